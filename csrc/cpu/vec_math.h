// Elementary functions of Vec<float> and Vec<double>, and of plain numbers by the same formulas.
#pragma once
#include "vec_native.h"

namespace flambeau {
namespace FLAMBEAU_ISA {

// Lane by lane from the C library.
#define FLAMBEAU_LIBM(name)                                                                      \
  FLAMBEAU_INLINE Vec<float> name(Vec<float> a) {                                                \
    return map(a, [](float x) { return __builtin_##name##f(x); });                               \
  }                                                                                              \
  FLAMBEAU_INLINE Vec<double> name(Vec<double> a) {                                              \
    return map(a, [](double x) { return __builtin_##name(x); });                                 \
  }                                                                                              \
  FLAMBEAU_INLINE float name(float x) { return __builtin_##name##f(x); }                         \
  FLAMBEAU_INLINE double name(double x) { return __builtin_##name(x); }
#define FLAMBEAU_LIBM2(name)                                                                     \
  FLAMBEAU_INLINE Vec<float> name(Vec<float> a, Vec<float> b) {                                  \
    return map(a, b, [](float x, float y) { return __builtin_##name##f(x, y); });                \
  }                                                                                              \
  FLAMBEAU_INLINE Vec<double> name(Vec<double> a, Vec<double> b) {                               \
    return map(a, b, [](double x, double y) { return __builtin_##name(x, y); });                 \
  }                                                                                              \
  FLAMBEAU_INLINE float name(float x, float y) { return __builtin_##name##f(x, y); }             \
  FLAMBEAU_INLINE double name(double x, double y) { return __builtin_##name(x, y); }
FLAMBEAU_LIBM(exp)
FLAMBEAU_LIBM(expm1)
FLAMBEAU_LIBM(exp2)
FLAMBEAU_LIBM(log)
FLAMBEAU_LIBM(log1p)
FLAMBEAU_LIBM(log2)
FLAMBEAU_LIBM(log10)
FLAMBEAU_LIBM(tanh)
FLAMBEAU_LIBM(sin)
FLAMBEAU_LIBM(cos)
FLAMBEAU_LIBM(tan)
FLAMBEAU_LIBM(asin)
FLAMBEAU_LIBM(acos)
FLAMBEAU_LIBM(atan)
FLAMBEAU_LIBM(sinh)
FLAMBEAU_LIBM(cosh)
FLAMBEAU_LIBM(asinh)
FLAMBEAU_LIBM(acosh)
FLAMBEAU_LIBM(atanh)
FLAMBEAU_LIBM(erf)
FLAMBEAU_LIBM(erfc)
FLAMBEAU_LIBM(lgamma)
FLAMBEAU_LIBM2(pow)
FLAMBEAU_LIBM2(atan2)
FLAMBEAU_LIBM2(hypot)
FLAMBEAU_LIBM2(fmod)
FLAMBEAU_LIBM2(nextafter)
#undef FLAMBEAU_LIBM
#undef FLAMBEAU_LIBM2

FLAMBEAU_INLINE Vec<float> sigmoid(Vec<float> x) { return 1 / (1 + exp(-x)); }
FLAMBEAU_INLINE Vec<double> sigmoid(Vec<double> x) { return 1 / (1 + exp(-x)); }
FLAMBEAU_INLINE float sigmoid(float x) { return sigmoid(Vec<float>(x)).v[0]; }
FLAMBEAU_INLINE double sigmoid(double x) { return sigmoid(Vec<double>(x)).v[0]; }

}  // namespace FLAMBEAU_ISA
}  // namespace flambeau
