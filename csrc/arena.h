// Ranges of large memory: cut from mapped spans, joined again with their neighbours when they are
// given back, so that what one size has left serves another.
#pragma once
#include <cstddef>
#include <map>

namespace flambeau {

class Arena {
 public:
  // What take and give expect: n in whole units.
  static constexpr size_t kUnit = size_t(64) << 10;
  static size_t rounded(size_t n) { return (n + kUnit - 1) / kUnit * kUnit; }

  struct Taken {
    void* data;    // null where the system has no more
    size_t fresh;  // how many of the bytes were never used before
  };
  Taken take(size_t bytes);
  void give(void* p, size_t bytes);
  // Gives whole pages back to the system, of the free range that holds `p` or of all. The first
  // returns how many bytes that were.
  size_t release(void* p);
  void release_all();
  size_t idle() const { return idle_; }  // bytes in free ranges

 private:
  using Ranges = std::map<char*, size_t>;
  bool map_span(size_t bytes);
  size_t release(Ranges::iterator range);

  size_t idle_ = 0;
  Ranges free_;  // used before and free, by address; no two of them touch
  char *top_ = nullptr, *end_ = nullptr;  // what was never used of the last span
};

}  // namespace flambeau
