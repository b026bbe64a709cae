// Trigonometric and hyperbolic functions of Vec<float> and Vec<double>, their inverses, and what
// else is made of them. Those of float are reckoned in double precision, so their last bit is right
// but for rare halves; those of double are within 3 ulp.
#pragma once
#include "vec_math.h"

namespace flambeau {
namespace FLAMBEAU_ISA {

// As in vec_math.h: atan: (atan z - z) / z^3 in z^2, z <= tan(pi / 8); asin: the same, z <= 1/2;
// log1p: (2 atanh(s) - 2s) / s^3 in s^2, s <= 1/3. The short ones are for results of float.
struct TrigTable {
  static constexpr double k_atan_short[] = {
      -0x1.4b3891ff382b2p-5, 0x1.24434e877a5ddp-4, -0x1.71d3c1080547p-4, 0x1.c6f68737bd59p-4,
      -0x1.2491c08b2dc95p-3, 0x1.99999825954bep-3, -0x1.5555555502188p-2};
  static constexpr double k_atan[] = {
      -0x1.c81291cfc455fp-7, 0x1.f5ef74d05428dp-6, -0x1.503c4469943acp-5, 0x1.829ce3237ab26p-5,
      -0x1.aebd1fa559894p-5, 0x1.e1d8e9bffe59dp-5, -0x1.1110cee80b516p-4, 0x1.3b13aea9e84b6p-4,
      -0x1.745d173565149p-4, 0x1.c71c71c6ddbfcp-4, -0x1.24924924920adp-3, 0x1.9999999999997p-3,
      -0x1.5555555555555p-2};
  static constexpr double k_asin_short[] = {
      0x1.e0231588b1e55p-6, 0x1.64b97e009bd03p-8, 0x1.3c5053c2afce1p-6, 0x1.6a9e3262c37dbp-6,
      0x1.f208eb1ddd0fbp-6, 0x1.6db5cfb6af282p-5, 0x1.333334ceb652p-4,  0x1.55555554ee47bp-3};
  static constexpr double k_asin[] = {
      0x1.e529c6fce9bb4p-6, -0x1.3b416bb7d9257p-6, 0x1.406192d124629p-6, 0x1.8f193743418ffp-9,
      0x1.31622469ce5adp-7, 0x1.3b49de7121487p-7,  0x1.7b027ee1dd585p-7, 0x1.c990ad3d8fdcap-7,
      0x1.1c4efce23019fp-6, 0x1.6e8ba123e494cp-6,  0x1.f1c71c7a52ba3p-6, 0x1.6db6db6dac1ep-5,
      0x1.3333333333388p-4, 0x1.5555555555555p-3};
  static constexpr float k_log1p_short[] = {0x1.a9bafcp-3f, 0x1.65ad56p-3f, 0x1.c7fb36p-3f,
                                            0x1.248f58p-2f, 0x1.9999ap-2f,  0x1.555556p-1f};
  static constexpr double k_log1p[] = {
      0x1.37efaea22dc4bp-3, 0x1.0371f75936f6fp-4, 0x1.9739afdde011p-4,  0x1.ad46f379b316dp-4,
      0x1.e2046677f3c39p-4, 0x1.11103f2bddc9fp-3, 0x1.3b13b7c41e111p-3, 0x1.745d1724e5b21p-3,
      0x1.c71c71c77e0f7p-3, 0x1.2492492491fe8p-2, 0x1.999999999999cp-2, 0x1.5555555555555p-1};
};

constexpr double kHalfTurn = 3.141592653589793, kHalfTurnLow = 1.2246467991473532e-16;  // pi

// log(1 + e) for 0 <= e <= 1.
template <class T>
FLAMBEAU_INLINE Vec<T> log1p_unit(Vec<T> e) {
  const Vec<T> s = e / (e + 2), z = s * s, half = e * e * static_cast<T>(0.5);
  Vec<T> p;
  if constexpr (sizeof(T) == 4)
    p = horner(z, TrigTable::k_log1p_short);
  else
    p = horner(z, TrigTable::k_log1p);
  return e - (half - s * fma(z, p, half));
}

// What follows is double precision with a series for double or (Short) one that serves float.
typedef Vec<double> Doubles;

template <bool Short>
FLAMBEAU_INLINE Doubles atan_series(Doubles z) {
  const Doubles s = z * z;
  if constexpr (Short) return fma(z * s, horner(s, TrigTable::k_atan_short), z);
  return fma(z * s, horner(s, TrigTable::k_atan), z);
}
// atan(num / den) for 0 <= num, den: the quotient, or that less 1, or its inverse, is small.
template <bool Short>
FLAMBEAU_INLINE Doubles atan_quotient(Doubles num, Doubles den) {
  const Mask<double> high = num > den * 2.414213562373095, low = num < den * 0.41421356237309503;
  const Doubles n = where(high, -den, where(low, num, num - den));
  const Doubles d = where(high, num, where(low, den, num + den));
  const Doubles base =
      where(high, Doubles(kHalfTurn / 2), where(low, Doubles(0), Doubles(kHalfTurn / 4)));
  const Doubles rest =
      where(high, Doubles(kHalfTurnLow / 2), where(low, Doubles(0), Doubles(kHalfTurnLow / 4)));
  return base + (atan_series<Short>(n / d) + rest);
}
template <bool Short>
FLAMBEAU_INLINE Doubles atan_of(Doubles x) {
  return copysign(atan_quotient<Short>(abs(x), Doubles(1)), x);
}
template <bool Short>
FLAMBEAU_INLINE Doubles atan2_of(Doubles y, Doubles x) {
  const Doubles a = abs(y), b = abs(x), inf(kInf<double>);
  // Two infinities are as far out as each other; two zeros are on the axis.
  const Mask<double> both = (a == inf) & (b == inf);
  const Doubles num = where(both, Doubles(1), a), den = where(both, Doubles(1), b);
  Doubles r = where(a == 0, Doubles(0), atan_quotient<Short>(num, den));
  r = where(Mask<double>{to_bits(x).v < 0}, Doubles(kHalfTurn) - (r - Doubles(kHalfTurnLow)), r);
  return where((x != x) | (y != y), x + y, copysign(r, y));
}

// asin a for 0 <= a <= 1/2; of a larger one asin sqrt((1 - a) / 2), half of what is left to 1/2 pi.
template <bool Short>
FLAMBEAU_INLINE Doubles asin_part(Doubles a, Mask<double> large) {
  const Doubles z = where(large, (1 - a) * 0.5, a * a), s = where(large, sqrt(z), a);
  if constexpr (Short) return fma(s * z, horner(z, TrigTable::k_asin_short), s);
  return fma(s * z, horner(z, TrigTable::k_asin), s);
}
template <bool Short>
FLAMBEAU_INLINE Doubles asin_of(Doubles x) {
  const Doubles a = abs(x);
  const Mask<double> large = a > 0.5;
  const Doubles r = asin_part<Short>(a, large);
  return copysign(where(large, Doubles(kHalfTurn / 2) - (2 * r - Doubles(kHalfTurnLow / 2)), r), x);
}
template <bool Short>
FLAMBEAU_INLINE Doubles acos_of(Doubles x) {
  const Doubles a = abs(x);
  const Mask<double> large = a > 0.5;
  const Doubles r = asin_part<Short>(a, large);
  const Doubles end = where(x < 0, Doubles(kHalfTurn) - (2 * r - Doubles(kHalfTurnLow)), 2 * r);
  return where(large, end, Doubles(kHalfTurn / 2) - (copysign(r, x) - Doubles(kHalfTurnLow / 2)));
}
template <bool Short>
FLAMBEAU_INLINE Doubles tan_of(Doubles x) {
  if (!all(abs(x) < MathTable<double>::kSinMax)) [[unlikely]]
    return map(x, [](double a) { return __builtin_tan(a); });
  return where(x == 0, x, sincos_reduced(x, 0) / sincos_reduced(x, 1));
}
template <bool Short>
FLAMBEAU_INLINE Doubles sinh_of(Doubles x) {
  const Doubles a = abs(x), t = expm1(where(a > 700, Doubles(700), a));
  Doubles r = (t + t / (t + 1)) * 0.5;
  if constexpr (!Short) {
    const Doubles half = exp(a * 0.5);
    r = where(a > 700, half * 0.5 * half, r);
  }
  return copysign(r, x);
}
template <bool Short>
FLAMBEAU_INLINE Doubles cosh_of(Doubles x) {
  const Doubles half = exp(abs(x) * 0.5), e = half * half;
  if constexpr (Short) return where(e == kInf<double>, e, e * 0.5 + 0.5 / e);
  const Doubles t = exp(where(abs(x) > 700, Doubles(700), abs(x)));
  return where(abs(x) > 700, half * 0.5 * half, t * 0.5 + 0.5 / t);
}
template <bool Short>
FLAMBEAU_INLINE Doubles asinh_of(Doubles x) {
  const Doubles a = abs(x), s = a * a;
  Doubles r = log1p(a + s / (1 + sqrt(s + 1)));
  if constexpr (!Short) r = where(a > 1e9, log(a) + 0.6931471805599453, r);
  return copysign(where(a == kInf<double>, a, r), x);
}
template <bool Short>
FLAMBEAU_INLINE Doubles acosh_of(Doubles x) {
  const Doubles t = x - 1;
  Doubles r = log1p(t + sqrt(t * (t + 2)));
  if constexpr (!Short) r = where(x > 1e9, log(x) + 0.6931471805599453, r);
  return where(x < 1, Doubles(kNan<double>), where(x == kInf<double>, x, r));
}
template <bool Short>
FLAMBEAU_INLINE Doubles atanh_of(Doubles x) {
  const Doubles a = abs(x);
  return copysign(0.5 * log1p(2 * a / (1 - a)), x);
}
template <bool Short>
FLAMBEAU_INLINE Doubles erfc_of(Doubles x) {
  if constexpr (!Short) return map(x, [](double a) { return __builtin_erfc(a); });
  using M = MathTable<double>;
  const Doubles a = where(abs(x) > 12, Doubles(12), abs(x));
  const Doubles small = 1 - fma(x, horner(x * x, M::k_erf_small), x);
  const Doubles tail = exp(-(a * a)) * horner((a - 2) / (a + 2), M::k_erf_large);
  return where(abs(x) < 1, small, where(x < 0, 2 - tail, tail));
}
template <bool Short>
FLAMBEAU_INLINE Doubles hypot_of(Doubles x, Doubles y) {
  const Doubles a = abs(x), b = abs(y), inf(kInf<double>);
  Doubles r;
  if constexpr (Short) {
    r = sqrt(fma(a, a, b * b));
  } else {
    const Doubles most = max(a, b);
    const Doubles down = where(most > 0x1p500, Doubles(0x1p-600),
                               where(most < 0x1p-400, Doubles(0x1p600), Doubles(1)));
    const Doubles up = where(most > 0x1p500, Doubles(0x1p600),
                             where(most < 0x1p-400, Doubles(0x1p-600), Doubles(1)));
    r = sqrt(fma(a * down, a * down, b * down * (b * down))) * up;
  }
  return where((a == inf) | (b == inf), inf, r);
}
// x - z q with the quotient q whole: exact while q has no more digits than the product leaves it.
template <bool Short>
FLAMBEAU_INLINE Doubles fmod_of(Doubles x, Doubles z) {
#if defined(__FMA__) || defined(__aarch64__)
  constexpr double most = 0x1p52;
#else
  constexpr double most = Short ? 0x1p28 : 0;
#endif
  const Doubles a = abs(x), b = abs(z), q = trunc(a / b);
  if (any(q >= most)) [[unlikely]]
    return map(x, z, [](double u, double v) { return __builtin_fmod(u, v); });
  Doubles r = fma(-q, b, a);
  r = where(r < 0, r + b, r);
  return copysign(where(b == kInf<double>, where(a == b, Doubles(kNan<double>), a), r), x);
}

#define FLAMBEAU_BY_DOUBLE(name)                                                  \
  FLAMBEAU_INLINE Vec<double> name(Vec<double> x) { return name##_of<false>(x); } \
  FLAMBEAU_INLINE Vec<float> name(Vec<float> x) {                                 \
    const DoublePair d = widen(x);                                                \
    return narrow({name##_of<true>(d.lo), name##_of<true>(d.hi)});                \
  }                                                                               \
  FLAMBEAU_INLINE float name(float x) { return name(Vec<float>(x)).v[0]; }        \
  FLAMBEAU_INLINE double name(double x) { return name(Vec<double>(x)).v[0]; }
FLAMBEAU_BY_DOUBLE(tan)
FLAMBEAU_BY_DOUBLE(asin)
FLAMBEAU_BY_DOUBLE(acos)
FLAMBEAU_BY_DOUBLE(atan)
FLAMBEAU_BY_DOUBLE(sinh)
FLAMBEAU_BY_DOUBLE(cosh)
FLAMBEAU_BY_DOUBLE(asinh)
FLAMBEAU_BY_DOUBLE(acosh)
FLAMBEAU_BY_DOUBLE(atanh)
FLAMBEAU_BY_DOUBLE(erfc)
#undef FLAMBEAU_BY_DOUBLE
#define FLAMBEAU_BY_DOUBLE2(name)                                                                  \
  FLAMBEAU_INLINE Vec<double> name(Vec<double> x, Vec<double> y) {                                 \
    return name##_of<false>(x, y);                                                                 \
  }                                                                                                \
  FLAMBEAU_INLINE Vec<float> name(Vec<float> x, Vec<float> y) {                                    \
    const DoublePair a = widen(x), b = widen(y);                                                   \
    return narrow({name##_of<true>(a.lo, b.lo), name##_of<true>(a.hi, b.hi)});                     \
  }                                                                                                \
  FLAMBEAU_INLINE float name(float x, float y) { return name(Vec<float>(x), Vec<float>(y)).v[0]; } \
  FLAMBEAU_INLINE double name(double x, double y) {                                                \
    return name(Vec<double>(x), Vec<double>(y)).v[0];                                              \
  }
FLAMBEAU_BY_DOUBLE2(atan2)
FLAMBEAU_BY_DOUBLE2(hypot)
FLAMBEAU_BY_DOUBLE2(fmod)
#undef FLAMBEAU_BY_DOUBLE2

// The neighbour of x towards y: its bits, as an integer, one up or down.
template <class T>
FLAMBEAU_INLINE Vec<T> nextafter(Vec<T> x, Vec<T> y) {
  using I = Vec<typename Vec<T>::Int>;
  const Mask<T> away = (x < y) ^ Mask<T>{to_bits(x).v < 0};
  // Zero and what is no number have no neighbours of their own: the one's bits cannot overflow.
  const I from = to_bits(where((x == 0) | (x != x), Vec<T>(1), x));
  const I bits = from + where(Mask<typename Vec<T>::Int>{away.m}, I(1), I(-1));
  const Vec<T> least = copysign(from_bits<T>(I(1)), y);
  const Vec<T> r = where(x == 0, least, from_bits<T>(bits));
  return where((x != x) | (y != y), x + y, where(x == y, y, r));
}

}  // namespace FLAMBEAU_ISA
}  // namespace flambeau
