// The functions that pointwise.def names beyond vec_math.h: for vectors, integers and complex
// numbers.
#pragma once
#include "normal.h"
#include "runs.h"
#include "special.h"

namespace flambeau {
namespace FLAMBEAU_ISA {

// -- complex numbers, from the C library ----------------------------------------------------------
#define FLAMBEAU_COMPLEX(name) \
  FLAMBEAU_INLINE Cx name(Cx x) { return __builtin_c##name(x); }
FLAMBEAU_COMPLEX(exp)
FLAMBEAU_COMPLEX(log)
FLAMBEAU_COMPLEX(sqrt)
FLAMBEAU_COMPLEX(sin)
FLAMBEAU_COMPLEX(cos)
FLAMBEAU_COMPLEX(tan)
FLAMBEAU_COMPLEX(asin)
FLAMBEAU_COMPLEX(acos)
FLAMBEAU_COMPLEX(atan)
FLAMBEAU_COMPLEX(sinh)
FLAMBEAU_COMPLEX(cosh)
FLAMBEAU_COMPLEX(tanh)
FLAMBEAU_COMPLEX(asinh)
FLAMBEAU_COMPLEX(acosh)
FLAMBEAU_COMPLEX(atanh)
#undef FLAMBEAU_COMPLEX
FLAMBEAU_INLINE double real(Cx x) { return __real__ x; }
FLAMBEAU_INLINE double imag(Cx x) { return __imag__ x; }
FLAMBEAU_INLINE Cx conj(Cx x) { return to_cx(real(x), -imag(x)); }
FLAMBEAU_INLINE double abs(Cx x) { return hypot(real(x), imag(x)); }
FLAMBEAU_INLINE double angle(Cx x) { return __builtin_atan2(imag(x), real(x)); }
FLAMBEAU_INLINE Cx sgn(Cx x) {
  const double a = abs(x);
  return a == 0 ? to_cx(0, 0) : to_cx(real(x) / a, imag(x) / a);
}
FLAMBEAU_INLINE Cx exp2(Cx x) { return __builtin_cexp(x * 0.6931471805599453); }
FLAMBEAU_INLINE Cx expm1(Cx x) {  // (e^a - 1) cos b + (cos b - 1), e^a sin b
  const double s = __builtin_sin(imag(x) / 2), e = __builtin_expm1(real(x));
  return to_cx(e * __builtin_cos(imag(x)) - 2 * s * s, (e + 1) * __builtin_sin(imag(x)));
}
FLAMBEAU_INLINE Cx log2(Cx x) { return __builtin_clog(x) * 1.4426950408889634; }
FLAMBEAU_INLINE Cx log10(Cx x) { return __builtin_clog(x) * 0.4342944819032518; }
FLAMBEAU_INLINE Cx log1p(Cx x) {
  const double a = real(x), b = imag(x);
  // |1 + x|^2 = 1 + a (2 + a) + b^2; the sum without the 1 keeps small numbers exact.
  // Squares overflow beyond 1e154, where the 1 has long been lost.
  const double far = __builtin_fmax(__builtin_fabs(a), __builtin_fabs(b));
  const double re = far > 1e100 ? __builtin_log(__builtin_hypot(1 + a, b))
                                : 0.5 * __builtin_log1p(a * (2 + a) + b * b);
  return to_cx(re, __builtin_atan2(b, 1 + a));
}
FLAMBEAU_INLINE Cx sigmoid(Cx x) { return 1.0 / (1.0 + __builtin_cexp(-x)); }
FLAMBEAU_INLINE Cx power(Cx x, Cx z) {
  if (z == 0.0) return to_cx(1, 0);
  if (z == 1.0) return x;
  if (z == 2.0) return x * x;
  if (x == 0.0 && real(z) > 0) return to_cx(0, 0);
  return __builtin_cpow(x, z);
}
FLAMBEAU_INLINE bool is_infinite(Cx x) {
  return __builtin_isinf(real(x)) || __builtin_isinf(imag(x));
}
FLAMBEAU_INLINE bool is_finite(Cx x) {
  return __builtin_isfinite(real(x)) && __builtin_isfinite(imag(x));
}
FLAMBEAU_INLINE bool is_real(Cx x) { return imag(x) == 0; }

// -- integers -------------------------------------------------------------------------------------
// Division by zero is refused before the loop runs; the most negative number by -1 wraps.
FLAMBEAU_INLINE int64_t trunc_divide(int64_t x, int64_t z) {
  if (z == -1) return static_cast<int64_t>(-static_cast<uint64_t>(x));
  return z == 0 ? 0 : x / z;
}
FLAMBEAU_INLINE int64_t trunc_mod(int64_t x, int64_t z) { return z == -1 || z == 0 ? 0 : x % z; }
FLAMBEAU_INLINE int64_t floor_divide(int64_t x, int64_t z) {
  const int64_t q = trunc_divide(x, z);
  return trunc_mod(x, z) != 0 && (x < 0) != (z < 0) ? q - 1 : q;
}
FLAMBEAU_INLINE int64_t floor_mod(int64_t x, int64_t z) {
  const int64_t r = trunc_mod(x, z);
  return r != 0 && (r < 0) != (z < 0) ? r + z : r;
}
FLAMBEAU_INLINE int64_t power(int64_t x, int64_t z) {
  if (z < 0) return x == 1 ? 1 : x == -1 ? (z % 2 ? -1 : 1) : 0;
  uint64_t r = 1, b = static_cast<uint64_t>(x);
  for (; z; z >>= 1, b *= b)
    if (z & 1) r *= b;
  return static_cast<int64_t>(r);
}
FLAMBEAU_INLINE int64_t floor(int64_t x) { return x; }
FLAMBEAU_INLINE int64_t ceil(int64_t x) { return x; }
FLAMBEAU_INLINE int64_t trunc(int64_t x) { return x; }
FLAMBEAU_INLINE int64_t round(int64_t x) { return x; }
FLAMBEAU_INLINE int64_t conj(int64_t x) { return x; }
FLAMBEAU_INLINE int64_t sgn(int64_t x) { return (x > 0) - (x < 0); }
FLAMBEAU_INLINE int64_t shift_left(int64_t x, int64_t z) {
  return z < 0 || z > 63 ? 0 : static_cast<int64_t>(static_cast<uint64_t>(x) << z);
}
FLAMBEAU_INLINE int64_t shift_right(int64_t x, int64_t z) {
  return x >> (z < 0 || z > 63 ? 63 : z);
}
FLAMBEAU_INLINE int64_t gcd(int64_t x, int64_t z) {
  auto a = static_cast<uint64_t>(x < 0 ? -static_cast<uint64_t>(x) : static_cast<uint64_t>(x));
  auto b = static_cast<uint64_t>(z < 0 ? -static_cast<uint64_t>(z) : static_cast<uint64_t>(z));
  while (b) {
    const uint64_t r = a % b;
    a = b;
    b = r;
  }
  return static_cast<int64_t>(a);
}
FLAMBEAU_INLINE int64_t lcm(int64_t x, int64_t z) {
  const int64_t d = gcd(x, z);
  if (d == 0) return 0;
  const auto m = static_cast<int64_t>(static_cast<uint64_t>(x / d) * static_cast<uint64_t>(z));
  return m < 0 ? static_cast<int64_t>(-static_cast<uint64_t>(m)) : m;
}
FLAMBEAU_INLINE bool is_infinite(int64_t) { return false; }
FLAMBEAU_INLINE bool is_finite(int64_t) { return true; }
FLAMBEAU_INLINE bool is_real(int64_t) { return true; }
FLAMBEAU_INLINE bool sign_bit(int64_t x) { return x < 0; }

// -- vectors --------------------------------------------------------------------------------------
template <class T>
FLAMBEAU_INLINE Vec<T> conj(Vec<T> x) {
  return x;
}
template <class T>
FLAMBEAU_INLINE Vec<T> sgn(Vec<T> x) {  // 0 for NaN
  return where(x > 0, Vec<T>(1), where(x < 0, Vec<T>(-1), Vec<T>(0)));
}
template <class T>
FLAMBEAU_INLINE Vec<T> angle(Vec<T> x) {
  return where(x != x, x, where(x < 0, Vec<T>(static_cast<T>(3.141592653589793)), Vec<T>(0)));
}
template <class T>
FLAMBEAU_INLINE Mask<T> is_infinite(Vec<T> x) {
  return abs(x) == Vec<T>(kInf<T>);
}
template <class T>
FLAMBEAU_INLINE Mask<T> is_finite(Vec<T> x) {
  return abs(x) < Vec<T>(kInf<T>);
}
template <class T>
FLAMBEAU_INLINE Mask<T> is_real(Vec<T> x) {
  return Vec<T>(0) == Vec<T>(0) * sgn(x);
}
template <class T>
FLAMBEAU_INLINE Mask<T> sign_bit(Vec<T> x) {
  return {to_bits(x).v < 0};
}
template <class T>
FLAMBEAU_INLINE Vec<T> trunc_mod(Vec<T> x, Vec<T> z) {
  return fmod(x, z);
}
template <class T>
FLAMBEAU_INLINE Vec<T> trunc_divide(Vec<T> x, Vec<T> z) {
  return trunc(x / z);
}
template <class T>
FLAMBEAU_INLINE Vec<T> floor_mod(Vec<T> x, Vec<T> z) {
  const Vec<T> r = fmod(x, z);
  return where((r != 0) & ((r < 0) ^ (z < 0)), r + z, r);
}
template <class T>
FLAMBEAU_INLINE Vec<T> floor_divide(Vec<T> x, Vec<T> z) {
  // From the exact remainder, so that (x // z) * z + x % z gives x back; rounded to an integer.
  const Vec<T> m = fmod(x, z);
  Vec<T> q = (x - m) / z;
  q = where((m != 0) & ((z < 0) ^ (m < 0)), q - 1, q);
  const Vec<T> f = floor(q);
  const Vec<T> r = where(q == 0, copysign(Vec<T>(0), x / z), where(q - f > Vec<T>(0.5), f + 1, f));
  return where(z == 0, x / z, r);
}
template <class T>
FLAMBEAU_INLINE Vec<T> power(Vec<T> x, Vec<T> z) {
  const T first = z.v[0];  // mostly that of all
  const bool half = (first == T(0.5)) | (first == T(-0.5));
  if (half | (first == 2) | (first == 3) | (first == -1) | (first == 1) | (first == -2)) {
    if (all(z == first)) {
      if (first == 2) return x * x;
      if (first == 3) return x * x * x;
      if (first == 1) return x;
      if (first == -1) return 1 / x;
      if (first == -2) return 1 / (x * x);
      // Unlike the square root, infinity of -infinity and 0 of -0.
      const Vec<T> root = where(x == Vec<T>(-kInf<T>), Vec<T>(kInf<T>), sqrt(x) + 0);
      return first > 0 ? root : 1 / root;
    }
  }
  return pow(x, z);
}
template <class T>
FLAMBEAU_INLINE Vec<T> log_add_exp(Vec<T> x, Vec<T> z) {
  const Vec<T> m = max(x, z);
  return where(is_infinite(x) & (x == z), x, m + log1p_unit(exp(-abs(x - z))));
}
template <class T>
FLAMBEAU_INLINE Vec<T> log2_add_exp2(Vec<T> x, Vec<T> z) {
  const Vec<T> m = max(x, z);
  return where(is_infinite(x) & (x == z), x,
               m + log1p_unit(exp2(-abs(x - z))) * Vec<T>(static_cast<T>(1.4426950408889634)));
}
FLAMBEAU_INLINE Cx log_add_exp(Cx x, Cx z) {
  const Cx m = real(x) < real(z) ? z : x, n = real(x) < real(z) ? x : z;
  if (__builtin_isinf(real(m)) && real(x) == real(z)) {
    if (real(m) < 0) return m;
    return __builtin_clog(__builtin_cexp(m) + __builtin_cexp(n));
  }
  return m + log1p(__builtin_cexp(n - m));
}
// The mantissa, in [1/2, 1), and the exponent of two that goes with it.
template <class T>
FLAMBEAU_INLINE Vec<T> mantissa(Vec<T> x) {
  return map(x, [](T a) {
    int e;
    return static_cast<T>(__builtin_frexp(static_cast<double>(a), &e));
  });
}
template <class T>
FLAMBEAU_INLINE Vec<T> exponent(Vec<T> x) {
  return map(x, [](T a) {
    int e = 0;
    if (__builtin_isfinite(a)) __builtin_frexp(static_cast<double>(a), &e);
    return static_cast<T>(e);
  });
}
// log(1 + exp(x)) without overflow
template <class T>
FLAMBEAU_INLINE Vec<T> log1p_exp(Vec<T> x) {
  return max(x, Vec<T>(0)) + log1p_unit(exp(-abs(x)));
}
template <class T>
FLAMBEAU_INLINE T lerp_value(T x, T z, T u) {  // from the nearer end, so that both ends are met
  return where(abs(u) < 0.5, x + u * (z - x), z - (z - x) * (1.0 - u));
}

// -- parts of gradients: the same text stands for tensors in ops/expression.h ---------------------
template <class T, class P>
FLAMBEAU_INLINE T scaled(T g, P p) {
  return g * conj(p);
}
template <class T>
FLAMBEAU_INLINE T rest_of_square(T x) {
  return 1.0 - x * x;
}
template <class T>
FLAMBEAU_INLINE T sinc_slope(T g, T x, T t) {
  return where(
      x == 0.0, T(0.0),
      g * conj((cos(t) - sin(t) / where(x == 0.0, T(1.0), t)) / where(x == 0.0, T(1.0), x)));
}
template <class T>
FLAMBEAU_INLINE T silu_slope(T x, T s) {
  return s * (1.0 + x * (1.0 - s));
}
template <class T>
FLAMBEAU_INLINE T mish_backward(T g, T x, T t, T s) {
  return g * (t + x * s * rest_of_square(t));
}
template <class T>
FLAMBEAU_INLINE T gelu_tanh_backward(T g, T x, T t) {
  return g * (0.5 * (1.0 + t) +
              0.5 * x * rest_of_square(t) * 0.7978845608028654 * (1.0 + 0.134145 * x * x));
}
FLAMBEAU_INLINE Cx sgn_slope(Cx g, Cx x, Cx y) {
  const double a = abs(x);
  if (a == 0) return to_cx(0, 0);
  return (g / a) - (y * ((__real__(g / a * conj(y)))));
}
template <class T>
FLAMBEAU_INLINE Vec<T> sgn_slope(Vec<T>, Vec<T>, Vec<T>) {
  return Vec<T>(0);
}
FLAMBEAU_INLINE Cx angle_slope(Cx g, Cx x) {
  const double a = real(x) * real(x) + imag(x) * imag(x);
  return a == 0 ? to_cx(0, 0) : to_cx(-imag(x) / a * real(g), real(x) / a * real(g));
}
template <class T>
FLAMBEAU_INLINE Vec<T> angle_slope(Vec<T>, Vec<T>) {
  return Vec<T>(0);
}

}  // namespace FLAMBEAU_ISA
}  // namespace flambeau
