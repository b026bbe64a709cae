// Rows of bytes from one place to another.
#pragma once
#include "vec.h"

namespace flambeau {
namespace FLAMBEAU_ISA {

template <int Size>
FLAMBEAU_INLINE void move_ends(char* dst, const char* src, int64_t n) {
  char first[Size], last[Size];
  __builtin_memcpy(first, src, Size);
  __builtin_memcpy(last, src + n - Size, Size);
  __builtin_memcpy(dst, first, Size);
  __builtin_memcpy(dst + n - Size, last, Size);
}

// Short rows in registers: a call for each would take longer than the bytes.
FLAMBEAU_INLINE void move_row(char* dst, const char* src, int64_t n) {
  using V = Vec<int32_t>;
  if (n > 16 * kVecBytes) {
    __builtin_memcpy(dst, src, static_cast<size_t>(n));
    return;
  }
  if (n < kVecBytes) {
    if (n >= 32) return move_ends<32>(dst, src, n);
    if (n >= 16) return move_ends<16>(dst, src, n);
    if (n >= 8) return move_ends<8>(dst, src, n);
    if (n >= 4) return move_ends<4>(dst, src, n);
    for (int64_t i = 0; i < n; ++i) dst[i] = src[i];
    return;
  }
  const auto piece = [&](int64_t i) {
    V::Reg r;
    __builtin_memcpy(&r, src + i, kVecBytes);
    __builtin_memcpy(dst + i, &r, kVecBytes);
  };
  for (int64_t i = 0; i + kVecBytes <= n; i += kVecBytes) piece(i);
  piece(n - kVecBytes);
}

}  // namespace FLAMBEAU_ISA
}  // namespace flambeau
