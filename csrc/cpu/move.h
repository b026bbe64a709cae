// Rows of bytes from one place to another.
#pragma once
#include "vec.h"

namespace flambeau {
namespace FLAMBEAU_ISA {

// Short rows in registers: a call for each would take longer than the bytes.
FLAMBEAU_INLINE void move_row(char* dst, const char* src, int64_t n) {
  using V = Vec<int32_t>;
  if (n < kVecBytes || n > 16 * kVecBytes) {
    __builtin_memcpy(dst, src, static_cast<size_t>(n));
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
