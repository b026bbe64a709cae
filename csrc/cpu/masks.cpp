// Counting, finding, packing and filling under a mask.
#include "../parallel.h"
#include "items.h"

namespace flambeau {
namespace FLAMBEAU_ISA {
namespace {

template <class T>
FLAMBEAU_INLINE bool is_set(T x) {
  if constexpr (__is_same(T, Cx) || __is_same(T, Cx32))
    return __real__ x != 0 || __imag__ x != 0;
  else
    return value_of(x) != 0;
}

// f(block, first element, elements) for each block of the mask
template <class F>
void for_blocks(int64_t n, const F& f) {
  parallel_for(0, (n + kMaskBlock - 1) / kMaskBlock, 4, [&](int64_t b, int64_t e) {
    for (int64_t k = b; k < e; ++k) {
      const int64_t from = k * kMaskBlock;
      f(k, from, n - from < kMaskBlock ? n - from : kMaskBlock);
    }
  });
}

template <class T>
FLAMBEAU_INLINE void move_items(T* dst, const T* src, int64_t n) {
  __builtin_memcpy(dst, src, static_cast<size_t>(n) * sizeof(T));
}

void count(const MaskArgs& a) {
  by_dtype(a.dtype, [&](auto tag) {
    using T = decltype(tag);
    for_blocks(a.n, [&](int64_t k, int64_t from, int64_t n) {
      const T* p = reinterpret_cast<const T*>(a.mask) + from;
      int32_t c = 0;
      for (int64_t i = 0; i < n; ++i) c += is_set(p[i]);
      a.counts[k] = c;
    });
  });
}

// How many of a block's elements are set, once counts have been made into offsets.
FLAMBEAU_INLINE int64_t set_in_block(const MaskArgs& a, int64_t k) {
  return (k + 1 < (a.n + kMaskBlock - 1) / kMaskBlock ? a.counts[k + 1] : a.total) - a.counts[k];
}

// Without branches: each element is written where the next one that is set belongs. The loops end
// with the last one that is set, so nothing is touched beyond its place.
void positions(const MaskArgs& a, int64_t* out) {
  by_dtype(a.dtype, [&](auto tag) {
    using T = decltype(tag);
    for_blocks(a.n, [&](int64_t k, int64_t from, int64_t) {
      const T* p = reinterpret_cast<const T*>(a.mask) + from;
      int64_t* o = out + a.counts[k];
      const int64_t total = set_in_block(a, k);
      for (int64_t i = 0, c = 0; c < total; ++i) {
        o[c] = from + i;
        c += is_set(p[i]);
      }
    });
  });
}

template <class T>
void pack_typed(const PackArgs& a) {
  for_blocks(a.mask.n, [&](int64_t k, int64_t from, int64_t n) {
    const T* src = reinterpret_cast<const T*>(a.whole) + from;
    T* dst = reinterpret_cast<T*>(a.packed) + a.mask.counts[k];
    const char* mask = a.mask.mask + from;
    const int64_t total = set_in_block(a.mask, k);
    if (total == n) return move_items(dst, src, n);
    for (int64_t i = 0, c = 0; c < total; ++i) {
      dst[c] = src[i];
      c += mask[i] != 0;
    }
  });
}

template <class T>
void unpack_typed(const PackArgs& a) {
  for_blocks(a.mask.n, [&](int64_t k, int64_t from, int64_t n) {
    T* dst = reinterpret_cast<T*>(a.whole) + from;
    const T* src = reinterpret_cast<const T*>(a.packed) + a.mask.counts[k];
    const char* mask = a.mask.mask + from;
    const int64_t total = set_in_block(a.mask, k);
    if (total == n) return move_items(dst, src, n);
    for (int64_t i = 0, c = 0; c < total; ++i) {
      const T x = src[c], old = dst[i];
      const bool on = mask[i] != 0;
      dst[i] = on ? x : old;
      c += on;
    }
  });
}

void pack(const PackArgs& a) {
  by_size(a.item, [&](auto tag) { pack_typed<decltype(tag)>(a); });
}
void unpack(const PackArgs& a) {
  by_size(a.item, [&](auto tag) { unpack_typed<decltype(tag)>(a); });
}

void masked_fill(char* dst, const char* mask, int64_t n, int64_t item, const void* value) {
  by_size(item, [&](auto tag) {
    using T = decltype(tag);
    const T v = *static_cast<const T*>(value);
    T* d = reinterpret_cast<T*>(dst);
    parallel_for(0, n, 32768, [&](int64_t b, int64_t e) {
#pragma GCC ivdep
      for (int64_t i = b; i < e; ++i) {
        const T old = d[i];
        d[i] = mask[i] ? v : old;
      }
    });
  });
}

}  // namespace

FLAMBEAU_REGISTER(count_kernel, count);
FLAMBEAU_REGISTER(positions_kernel, positions);
FLAMBEAU_REGISTER(pack_kernel, pack);
FLAMBEAU_REGISTER(unpack_kernel, unpack);
FLAMBEAU_REGISTER(masked_fill_kernel, masked_fill);

}  // namespace FLAMBEAU_ISA
}  // namespace flambeau
