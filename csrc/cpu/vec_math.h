// Elementary functions of Vec<float> and Vec<double>, and of plain numbers by the same formulas.
// Within 2.5 ulp (1 for exp, log, sin, cos) everywhere, infinities, NaN and subnormals too.
#pragma once
#include <math.h>

#include "vec_native.h"

namespace flambeau {
namespace FLAMBEAU_ISA {

// Polynomials, highest power first: Chebyshev interpolation at 60 digits (mpmath) of
//   exp: (e^r - 1 - r) / r^2 on |r| <= ln2 / 2;   log: (2 atanh(s) - 2s) / s^3 in s^2, s <= 0.1717;
//   sin: (sin r - r) / r^3,  cos: (cos r - 1 + r^2 / 2) / r^4 in r^2, r <= pi / 4;
//   erf_small: erf(x) / x - 1 in x^2, x <= 1;  erf_large: erfc(x) e^(x^2) in (x - 2) / (x + 2), x
//   >= 1.
// pio2, ln2, log10_2 are the constants as sums of short pieces, so that n * piece is exact.
template <class T>
struct MathTable;

template <>
struct MathTable<float> {
  static constexpr float k_exp[] = {0x1.a1256cp-13f, 0x1.6d43bp-10f, 0x1.1110ep-7f,
                                    0x1.5554e8p-5f,  0x1.555556p-3f, 0x1p-1f};
  static constexpr float k_log[] = {0x1.ddd7c2p-3f, 0x1.245c1ap-2f, 0x1.9999ecp-2f, 0x1.555556p-1f};
  static constexpr float k_sin[] = {-0x1.9ac6fcp-13f, 0x1.110c24p-7f, -0x1.555552p-3f};
  static constexpr float k_cos[] = {0x1.9bd67p-16f, -0x1.6c12cep-10f, 0x1.555554p-5f};
  static constexpr float k_erf_small[] = {0x1.4a569p-14f,  -0x1.a45088p-11f, 0x1.54127p-8f,
                                          -0x1.b7fabap-6f, 0x1.ce2d1p-4f,    -0x1.81273ep-2f,
                                          0x1.06eba8p-3f};
  static constexpr float k_erf_large[] = {-0x1.dbdffep-11f, 0x1.bdc2c6p-8f, 0x1.ea8f84p-9f,
                                          -0x1.43731ap-4f,  0x1.eeea4ep-3f, -0x1.b5704p-2f,
                                          0x1.058672p-2f};
  static constexpr float k_pio2[] = {0x1.92p+0f, 0x1.fb4p-12f, 0x1.4442d2p-24f};
  static constexpr float k_ln2[] = {0x1.62ep-1f, 0x1.0bfbe8p-15f};
  static constexpr float k_log10_2[] = {0x1.344p-2f, 0x1.3509f8p-18f};
  static constexpr int kMantissa = 23, kBias = 127;
  static constexpr float kMagic = 0x1.8p23f;  // adding it leaves the nearest integer in low bits
  static constexpr float kExpMin = -104.5f, kExpMax = 88.9f, kExpm1Min = -20.0f;
  static constexpr float kMinNormal = 0x1p-126f, kUnsubnormal = 0x1p25f, kEpsilon = 0x1p-24f;
  static constexpr int kUnsubnormalBits = 25;
  static constexpr float kSinMax = 2000.0f, kErfMax = 4.0f;
};

template <>
struct MathTable<double> {
  static constexpr double k_exp[] = {0x1.1f7340dbc337ep-29,
                                     0x1.af4e554377204p-26,
                                     0x1.27e4db46cddd1p-22,
                                     0x1.71de01fdbf9cap-19,
                                     0x1.a01a01a6e1e2ap-16,
                                     0x1.a01a01abf85abp-13,
                                     0x1.6c16c16c162c3p-10,
                                     0x1.11111111100bep-7,
                                     0x1.5555555555556p-5,
                                     0x1.5555555555557p-3,
                                     0x1p-1};
  static constexpr double k_log[] = {
      0x1.2b62d7ad6afd1p-3, 0x1.39fd85b6dc092p-3, 0x1.7462bb40a0181p-3, 0x1.c71c62ce599c7p-3,
      0x1.2492492e03734p-2, 0x1.999999999523ep-2, 0x1.5555555555558p-1};
  static constexpr double k_sin[] = {0x1.5e098556d302ep-33, -0x1.ae60069e53ef1p-26,
                                     0x1.71de379252004p-19, -0x1.a01a019e80693p-13,
                                     0x1.1111111110ba5p-7,  -0x1.5555555555555p-3};
  static constexpr double k_cos[] = {-0x1.907c0e63adbb6p-37, 0x1.1eeb66b683028p-29,
                                     -0x1.27e4fa15bd814p-22, 0x1.a01a019f4d0edp-16,
                                     -0x1.6c16c16c1696p-10,  0x1.5555555555555p-5};
  static constexpr double k_erf_small[] = {
      -0x1.ac9585a44fe29p-31, 0x1.d76af6ca49787p-27, -0x1.5c131500d3f88p-23, 0x1.b981d78881a5dp-20,
      -0x1.f4ca838adb73bp-17, 0x1.f9a2be4f731a1p-14, -0x1.c02db0665e53dp-11, 0x1.565bccfa44156p-8,
      -0x1.b82ce31203772p-6,  0x1.ce2f21a040f66p-4,  -0x1.812746b0379c1p-2,  0x1.06eba8214db68p-3};
  static constexpr double k_erf_large[] = {
      -0x1.7063704c3f0fcp-22, 0x1.1ee9a828e6222p-18,  0x1.f65d30098704dp-20, -0x1.dd09bd5210ec1p-17,
      -0x1.cfa17045b83eep-16, 0x1.ce84b3a5b7fc2p-16,  0x1.6daa9a47fbc3fp-13, 0x1.6d5743360e947p-15,
      -0x1.016b5c40222d8p-10, -0x1.bc259f25157eap-11, 0x1.ca95ed4e3814ap-8,  0x1.e947159073dc1p-9,
      -0x1.437f0b68bf2fcp-4,  0x1.eeea7dc8a7c63p-3,   -0x1.b57034efd3f79p-2, 0x1.058671b52c775p-2};
  static constexpr double k_pio2[] = {0x1.921fb544p+0, 0x1.0b4611a6p-34, 0x1.3198a2e037073p-69};
  static constexpr double k_ln2[] = {0x1.62e42feep-1, 0x1.a39ef35793c76p-33};
  static constexpr double k_log10_2[] = {0x1.34413508p-2, 0x1.f79fef311f12bp-34};
  static constexpr int kMantissa = 52, kBias = 1023;
  static constexpr double kMagic = 0x1.8p52;
  static constexpr double kExpMin = -746.0, kExpMax = 710.0, kExpm1Min = -40.0;
  static constexpr double kMinNormal = 0x1p-1022, kUnsubnormal = 0x1p54, kEpsilon = 0x1p-53;
  static constexpr int kUnsubnormalBits = 54;
  static constexpr double kSinMax = 1e6, kErfMax = 6.0;
};

template <class T>
constexpr T kInf = static_cast<T>(__builtin_inf());
template <class T>
constexpr T kNan = static_cast<T>(__builtin_nan(""));
template <class T>
constexpr T kLog2e = static_cast<T>(1.4426950408889634);

template <class T, int N>
FLAMBEAU_INLINE Vec<T> horner(Vec<T> x, const T (&c)[N]) {
  Vec<T> r = c[0];
#pragma GCC unroll 32
  for (int i = 1; i < N; ++i) r = fma(r, x, Vec<T>(c[i]));
  return r;
}

// 2^k for an integer exponent in the normal range.
template <class T>
FLAMBEAU_INLINE Vec<T> power_of_two(Vec<typename Vec<T>::Int> k) {
  using M = MathTable<T>;
  return from_bits<T>((k + Vec<typename Vec<T>::Int>(M::kBias)) << M::kMantissa);
}

// x = n ln2 + r with |r| <= ln2 / 2; gives e^r - 1 and n.
template <class T>
FLAMBEAU_INLINE Vec<T> expm1_reduced(Vec<T> x, Vec<T>& n) {
  using M = MathTable<T>;
  n = fma(x, Vec<T>(kLog2e<T>), Vec<T>(M::kMagic)) - M::kMagic;
  Vec<T> r = fma(n, Vec<T>(-M::k_ln2[0]), x);
  r = fma(n, Vec<T>(-M::k_ln2[1]), r);
  return fma(r * r, horner(r, M::k_exp), r);
}

// p * 2^n for an integer n, in two steps, so that the result may be subnormal or overflow.
#if defined(__AVX512F__)
FLAMBEAU_INLINE Vec<float> scale(Vec<float> p, Vec<float> n) {
  return Vec<float>::Reg(_mm512_maskz_scalef_ps(0xffff, p.v, n.v));
}
FLAMBEAU_INLINE Vec<double> scale(Vec<double> p, Vec<double> n) {
  return Vec<double>::Reg(_mm512_maskz_scalef_pd(0xff, p.v, n.v));
}
#else
template <class T>
FLAMBEAU_INLINE Vec<T> scale(Vec<T> p, Vec<T> n) {
  using M = MathTable<T>;
  const auto k = to_bits(n + M::kMagic) - to_bits(Vec<T>(M::kMagic)), half = k >> 1;
  return p * power_of_two<T>(half) * power_of_two<T>(k - half);
}
#endif

template <class T>
FLAMBEAU_INLINE Vec<T> exp(Vec<T> x) {
  using M = MathTable<T>;
  x = where(x > M::kExpMax, M::kExpMax, x);
  x = where(x < M::kExpMin, M::kExpMin, x);
  Vec<T> n;
  const Vec<T> p = expm1_reduced(x, n);
  return scale(p + 1, n);
}

template <class T>
FLAMBEAU_INLINE Vec<T> exp2(Vec<T> x) {
  using M = MathTable<T>;
  x = where(x > M::kBias + 2, M::kBias + 2, x);
  x = where(x < -M::kBias - 60, -M::kBias - 60, x);
  const Vec<T> n = round(x);
  const Vec<T> r = (x - n) * static_cast<T>(0.6931471805599453);
  const Vec<T> p = fma(r * r, horner(r, M::k_exp), r) + 1;
  return scale(p, n);
}

template <class T>
FLAMBEAU_INLINE Vec<T> expm1(Vec<T> x) {
  using M = MathTable<T>;
  Vec<T> a = where(x > M::kExpMax, M::kExpMax, x);
  a = where(a < M::kExpm1Min, M::kExpm1Min, a);
  Vec<T> n;
  const Vec<T> p = expm1_reduced(a, n);
  const Vec<T> half = scale(Vec<T>(static_cast<T>(0.5)), n);  // n reaches infinity's exponent
  return where(abs(x) < M::kEpsilon, x, fma(p, half, half - static_cast<T>(0.5)) * 2);
}

// x = 2^e m with sqrt(1/2) <= m < sqrt(2); f = m - 1. For x > 0, subnormals too.
template <class T>
FLAMBEAU_INLINE void split(Vec<T> x, Vec<T>& e, Vec<T>& f) {
  using M = MathTable<T>;
  using I = Vec<typename Vec<T>::Int>;
  const Mask<T> tiny = x < M::kMinNormal;
  x = where(tiny, x * M::kUnsubnormal, x);
  const I base = to_bits(Vec<T>(static_cast<T>(0.70710678118654752)));
  const I k = (to_bits(x) - base) >> M::kMantissa;
  f = from_bits<T>(to_bits(x) - (k << M::kMantissa)) - 1;
  e = from_bits<T>(k + to_bits(Vec<T>(M::kMagic))) - M::kMagic;
  e = where(tiny, e - M::kUnsubnormalBits, e);
}

// log(1 + f) = f - (f^2 / 2 - rest), as fdlibm arranges it; hfsq = f^2 / 2.
template <class T>
FLAMBEAU_INLINE Vec<T> log_rest(Vec<T> f, Vec<T> hfsq) {
  const Vec<T> s = f / (f + 2);
  const Vec<T> z = s * s;
  return s * fma(z, horner(z, MathTable<T>::k_log), hfsq);
}

// The logarithm outside the positive finite numbers.
template <class T>
FLAMBEAU_INLINE Vec<T> log_special(Vec<T> x, Vec<T> regular) {
  const Vec<T> special = where(x == 0, -kInf<T>, where(x < 0, kNan<T>, x));
  return where((x > 0) & (x < kInf<T>), regular, special);
}

template <class T>
FLAMBEAU_INLINE Vec<T> log(Vec<T> x) {
  using M = MathTable<T>;
  Vec<T> e, f;
  split(x, e, f);
  const Vec<T> hfsq = f * f * static_cast<T>(0.5);
  const Vec<T> low = fma(e, Vec<T>(M::k_ln2[1]), log_rest(f, hfsq));
  return log_special(x, fma(e, Vec<T>(M::k_ln2[0]), f - (hfsq - low)));
}

template <class T>
FLAMBEAU_INLINE Vec<T> log1p(Vec<T> x) {
  using M = MathTable<T>;
  const Vec<T> u = x + 1;
  const Vec<T> b = u - 1;
  const Vec<T> error = (1 - (u - b)) + (x - b);  // u + error is exactly 1 + x
  Vec<T> e, f;
  split(u, e, f);
  const Vec<T> hfsq = f * f * static_cast<T>(0.5);
  const Vec<T> low = fma(e, Vec<T>(M::k_ln2[1]), error / u) + log_rest(f, hfsq);
  const Vec<T> r = log_special(u, fma(e, Vec<T>(M::k_ln2[0]), f - (hfsq - low)));
  return where(abs(x) < M::kEpsilon, x, r);
}

template <class T>
FLAMBEAU_INLINE Vec<T> log2(Vec<T> x) {
  Vec<T> e, f;
  split(x, e, f);
  const Vec<T> hfsq = f * f * static_cast<T>(0.5);
  const Vec<T> l = f - (hfsq - log_rest(f, hfsq));
  const T low = static_cast<T>(1.4426950408889634074L - static_cast<long double>(kLog2e<T>));
  return log_special(x, fma(l, Vec<T>(kLog2e<T>), fma(l, Vec<T>(low), e)));
}

template <class T>
FLAMBEAU_INLINE Vec<T> log10(Vec<T> x) {
  using M = MathTable<T>;
  Vec<T> e, f;
  split(x, e, f);
  const Vec<T> hfsq = f * f * static_cast<T>(0.5);
  const Vec<T> l = f - (hfsq - log_rest(f, hfsq));
  const Vec<T> low = fma(l, Vec<T>(static_cast<T>(0.4342944819032518)), e * M::k_log10_2[1]);
  return log_special(x, fma(e, Vec<T>(M::k_log10_2[0]), low));
}

template <class T>
FLAMBEAU_INLINE Vec<T> tanh(Vec<T> x) {
  // From tanh(x) = 1/2 on as 1 - 2e / (1 + e) of e = e^(-2|x|): a quotient near 1 would be two ulps
  // off, and programs take 1 - tanh(x)^2 of what is left.
  const Vec<T> a = abs(x);
  Vec<T> n;
  const Vec<T> p = expm1_reduced(where(a > 20, 20, a) * -2, n), s = scale(Vec<T>(1), n);
  const Vec<T> t = fma(p, s, s - 1);
  const Mask<T> large = a > static_cast<T>(0.5493);
  const Vec<T> q = where(large, fma(p, s, s) * 2, -t) / (t + 2);
  return copysign(where(large, 1 - q, q), x);
}

template <class T>
FLAMBEAU_INLINE Vec<T> sigmoid(Vec<T> x) {
  const Vec<T> e = exp(-abs(x));
  return where(x >= 0, 1, e) / (e + 1);
}

// sin (quadrant = 0) or cos (quadrant = 1) of |x| <= kSinMax: x = n pi/2 + r + tail.
template <class T>
FLAMBEAU_INLINE Vec<T> sincos_reduced(Vec<T> x, int quadrant) {
  using M = MathTable<T>;
  using I = Vec<typename Vec<T>::Int>;
  const Vec<T> t = fma(x, Vec<T>(static_cast<T>(0.6366197723675814)), Vec<T>(M::kMagic));
  const Vec<T> n = t - M::kMagic;
  const I q = to_bits(t) + quadrant;
  const Vec<T> head = fma(n, Vec<T>(-M::k_pio2[1]), fma(n, Vec<T>(-M::k_pio2[0]), x));
  const Vec<T> w = n * M::k_pio2[2];
  const Vec<T> r = head - w;
  const Vec<T> tail = (head - r) - w;
  const Vec<T> z = r * r;
  const Vec<T> half = z * static_cast<T>(0.5);
  const Vec<T> s = r + fma(r * z, horner(z, M::k_sin), tail * (1 - half));
  const Vec<T> one = 1 - half;
  const Vec<T> c = one + (((1 - one) - half) + fma(z * z, horner(z, M::k_cos), -r * tail));
  const Vec<T> v = where(Mask<T>{((q & 1) == 1).m}, c, s);
  return from_bits<T>(to_bits(v) ^ ((q & 2) << (M::kMantissa == 23 ? 30 : 62)));
}

template <class T>
FLAMBEAU_INLINE Vec<T> sin(Vec<T> x) {
  if (!all(abs(x) < MathTable<T>::kSinMax)) [[unlikely]]
    return map(x, [](T a) { return T(sizeof(T) == 4 ? __builtin_sinf(a) : __builtin_sin(a)); });
  return where(x == 0, x, sincos_reduced(x, 0));
}
template <class T>
FLAMBEAU_INLINE Vec<T> cos(Vec<T> x) {
  if (!all(abs(x) < MathTable<T>::kSinMax)) [[unlikely]]
    return map(x, [](T a) { return T(sizeof(T) == 4 ? __builtin_cosf(a) : __builtin_cos(a)); });
  return sincos_reduced(x, 1);
}

template <class T>
FLAMBEAU_INLINE Vec<T> erf(Vec<T> x) {
  using M = MathTable<T>;
  const Vec<T> a = where(abs(x) > M::kErfMax, M::kErfMax, abs(x));
  const Vec<T> small = fma(x, horner(x * x, M::k_erf_small), x);
  const Vec<T> large = 1 - exp(-(a * a)) * horner((a - 2) / (a + 2), M::k_erf_large);
  return where(abs(x) < 1, small, where(x != x, x, copysign(large, x)));
}

// Both halves of a Vec<float> in double precision.
struct DoublePair {
  Vec<double> lo, hi;
};
typedef float HalfFloats __attribute__((vector_size(kVecBytes / 2)));
FLAMBEAU_INLINE DoublePair widen(Vec<float> a) {
  HalfFloats h[2];
  __builtin_memcpy(h, &a, sizeof a);
  return {__builtin_convertvector(h[0], Vec<double>::Reg),
          __builtin_convertvector(h[1], Vec<double>::Reg)};
}
FLAMBEAU_INLINE Vec<float> narrow(DoublePair p) {
  const HalfFloats h[2] = {__builtin_convertvector(p.lo.v, HalfFloats),
                           __builtin_convertvector(p.hi.v, HalfFloats)};
  Vec<float> a;
  __builtin_memcpy(&a, h, sizeof a);
  return a;
}

// exp(y log |x|) in double precision; what C's pow says of signs and special values.
FLAMBEAU_INLINE Vec<float> pow(Vec<float> x, Vec<float> y) {
  using V = Vec<float>;
  const V a = abs(x), half = y * 0.5f;
  const DoublePair base = widen(a), power = widen(y);
  V r = narrow({exp(log(base.lo) * power.lo), exp(log(base.hi) * power.hi)});
  const Mask<float> whole = trunc(y) == y, odd = whole & (trunc(half) != half);
  r = where(odd & Mask<float>{to_bits(x).v < 0}, -r, r);
  r = where((x < 0) & !whole & (a < kInf<float>), V(kNan<float>), r);
  return where((y == 0) | (x == 1) | ((a == 1) & (abs(y) == kInf<float>)), V(1), r);
}
FLAMBEAU_INLINE Vec<double> pow(Vec<double> x, Vec<double> y) {
  return map(x, y, [](double a, double b) { return __builtin_pow(a, b); });
}

FLAMBEAU_INLINE float lgamma(float x) {
  int sign;
  return ::lgammaf_r(x, &sign);
}
FLAMBEAU_INLINE double lgamma(double x) {
  int sign;
  return ::lgamma_r(x, &sign);
}
template <class T>
FLAMBEAU_INLINE Vec<T> lgamma(Vec<T> a) {
  return map(a, [](T x) { return lgamma(x); });
}

FLAMBEAU_PLAIN(exp)
FLAMBEAU_PLAIN(exp2)
FLAMBEAU_PLAIN(expm1)
FLAMBEAU_PLAIN(log)
FLAMBEAU_PLAIN(log1p)
FLAMBEAU_PLAIN(log2)
FLAMBEAU_PLAIN(log10)
FLAMBEAU_PLAIN(tanh)
FLAMBEAU_PLAIN(sigmoid)
FLAMBEAU_PLAIN(sin)
FLAMBEAU_PLAIN(cos)
FLAMBEAU_PLAIN(erf)
#undef FLAMBEAU_PLAIN
FLAMBEAU_INLINE float pow(float x, float y) { return pow(Vec<float>(x), Vec<float>(y)).v[0]; }
FLAMBEAU_INLINE double pow(double x, double y) { return __builtin_pow(x, y); }

}  // namespace FLAMBEAU_ISA
}  // namespace flambeau

#include "vec_trig.h"  // tan, asin, sinh, atan2, hypot, ...
