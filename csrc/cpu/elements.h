// What elements of each dtype are in memory.
#pragma once
#include "../kernels/dtype.h"
#include "vec.h"

namespace flambeau {
namespace FLAMBEAU_ISA {

typedef __complex__ double Cx;
typedef __complex__ float Cx32;

// Element types in memory that plain C++ has no name for.
struct Half {
  uint16_t bits;
};
struct Brain {
  uint16_t bits;
};
struct E4M3 {
  uint8_t bits;
};
struct E5M2 {
  uint8_t bits;
};
struct Bool {
  uint8_t byte;
};

// clang-format off
#define FLAMBEAU_EACH_DTYPE(CASE)                                                    \
  CASE(uint8, uint8_t) CASE(int8, int8_t) CASE(int16, int16_t) CASE(int32, int32_t)  \
  CASE(int64, int64_t) CASE(float16, Half) CASE(float32, float)                      \
  CASE(float64, double) CASE(complex64, Cx32) CASE(complex128, Cx)                   \
  CASE(boolean, Bool) CASE(bfloat16, Brain) CASE(uint16, uint16_t)                   \
  CASE(uint32, uint32_t) CASE(uint64, uint64_t)                                      \
  CASE(float8_e4m3fn, E4M3) CASE(float8_e5m2, E5M2)
// clang-format on

inline int64_t item_size(DType t) {
  switch (t) {
#define CASE(name, T) \
  case DType::name: return sizeof(T);
    FLAMBEAU_EACH_DTYPE(CASE)
#undef CASE
  }
  return 1;
}

// f(an element of that dtype), float8 left out: it is stored, not reckoned with.
template <class F>
FLAMBEAU_INLINE void by_dtype(DType t, const F& f) {
  switch (t) {
#define CASE(name, T)                                                        \
  case DType::name:                                                          \
    if constexpr (!__is_same(T, E4M3) && !__is_same(T, E5M2)) return f(T{}); \
    return;
    FLAMBEAU_EACH_DTYPE(CASE)
#undef CASE
  }
}

}  // namespace FLAMBEAU_ISA
}  // namespace flambeau
