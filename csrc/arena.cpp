// Ranges of large memory.
#include "arena.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdint>

namespace flambeau {
namespace {

constexpr size_t kPage = size_t(2) << 20;  // of transparent huge pages
constexpr size_t kSpan = size_t(256) << 20;  // address space taken at a time; pages come with use

char* align_up(char* p) {
  return reinterpret_cast<char*>((reinterpret_cast<uintptr_t>(p) + kPage - 1) / kPage * kPage);
}

}  // namespace

// Address space for at least `bytes` at top_.
bool Arena::map_span(size_t bytes) {
  const size_t least = (bytes + kPage - 1) / kPage * kPage;
  for (const size_t size : {std::max(least, kSpan), least}) {
    void* p =
        mmap(nullptr, size + kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) continue;
    char *begin = static_cast<char*>(p), *first = align_up(begin);
    if (first != begin) munmap(begin, static_cast<size_t>(first - begin));
    if (top_ != end_) munmap(top_, static_cast<size_t>(end_ - top_));
    top_ = first;
    end_ = begin + size + kPage;
#ifdef MADV_HUGEPAGE
    madvise(top_, static_cast<size_t>(end_ - top_), MADV_HUGEPAGE);
#endif
    return true;
  }
  return false;
}

Arena::Taken Arena::take(size_t bytes) {
  auto best = free_.end();  // the smallest that is large enough, the first of equals
  for (auto r = free_.begin(); r != free_.end(); ++r)
    if (r->second >= bytes && (best == free_.end() || r->second < best->second)) best = r;
  if (best != free_.end()) {
    idle_ -= bytes;
    char* p = best->first;
    const size_t left = best->second - bytes;
    if (left) {
      auto node = free_.extract(best);
      node.key() = p + bytes;
      node.mapped() = left;
      free_.insert(std::move(node));
    } else {
      free_.erase(best);
    }
    return {p, 0};
  }
  // A free range at the end of what was used grows.
  if (auto last = free_.upper_bound(top_); last != free_.begin()) {
    char* p = (--last)->first;
    const size_t have = last->second;
    if (p + have == top_ && bytes - have <= static_cast<size_t>(end_ - top_)) {
      free_.erase(last);
      idle_ -= have;
      top_ += bytes - have;
      return {p, bytes - have};
    }
  }
  if (static_cast<size_t>(end_ - top_) < bytes && !map_span(bytes)) return {nullptr, 0};
  char* p = top_;
  top_ += bytes;
  return {p, bytes};
}

void Arena::give(void* data, size_t bytes) {
  char* p = static_cast<char*>(data);
  idle_ += bytes;
  auto next = free_.lower_bound(p);
  if (next != free_.end() && p + bytes == next->first) {
    bytes += next->second;
    next = free_.erase(next);
  }
  if (next != free_.begin()) {
    auto before = std::prev(next);
    if (before->first + before->second == p) {
      before->second += bytes;
      return;
    }
  }
  free_.emplace_hint(next, p, bytes);
}

size_t Arena::release(Ranges::iterator range) {
  char* p = range->first;
  const size_t bytes = range->second;
  char *first = align_up(p), *last = align_up(p + bytes);
  if (last != p + bytes) last -= kPage;
  if (first >= last) return 0;
  munmap(first, static_cast<size_t>(last - first));
  idle_ -= static_cast<size_t>(last - first);
  if (first != p)
    range->second = static_cast<size_t>(first - p);
  else
    free_.erase(range);
  if (last != p + bytes) free_.emplace(last, static_cast<size_t>(p + bytes - last));
  return static_cast<size_t>(last - first);
}

size_t Arena::release(void* p) {
  auto after = free_.upper_bound(static_cast<char*>(p));
  return after == free_.begin() ? 0 : release(std::prev(after));
}

void Arena::release_all() {
  for (auto r = free_.begin(); r != free_.end();) {
    const auto next = std::next(r);
    release(r);
    r = next;
  }
}

}  // namespace flambeau
