// The distribution function of the normal distribution, as gelu needs it.
#pragma once
#include "vec.h"

namespace flambeau {
namespace FLAMBEAU_ISA {

// log2(2 ndtr(-a)) / a for a in [0, 6.2], highest power first: weighted least squares with
// Lawson's iteration (SciPy's log_ndtr in float64), with the root of ndtr as weight. Up to 10.79
// the polynomial goes on falling.
constexpr float kNormalTail[] = {
    -0x1.534e94p-25f, 0x1.226e02p-20f, -0x1.af866cp-17f, 0x1.63dc82p-14f, -0x1.3b0986p-12f,
    0x1.df6014p-16f,  0x1.c5f3fcp-8f,  -0x1.ad8d9ap-5f,  -0x1.d63df2p-2f, -0x1.26aec6p+0f};

// 2^f on |f| <= 1/2, least relative error.
constexpr float kNormalPower[] = {0x1.41fbbcp-13f, 0x1.5f3e52p-10f, 0x1.3b2d4cp-7f, 0x1.c6aee8p-5f,
                                  0x1.ebfbdcp-3f,  0x1.62e43p-1f,   0x1p+0f};

// Two halves side by side: half as long to wait for as one after the other.
template <int N>
FLAMBEAU_INLINE Vec<float> halves(Vec<float> x, const float (&c)[N]) {
  const Vec<float> square = x * x;
  Vec<float> odd = c[N % 2 ? 1 : 0], even = c[N % 2 ? 0 : 1];  // powers of x
#pragma GCC unroll 16
  for (int i = 2; i < N; ++i) {
    if ((N - 1 - i) % 2)
      odd = fma(odd, square, Vec<float>(c[i]));
    else
      even = fma(even, square, Vec<float>(c[i]));
  }
  return fma(odd, x, even);
}

// Within 1e-7, and down to -4 within 2e-6 of the value: the tail comes without cancellation.
FLAMBEAU_INLINE Vec<float> normal_cdf(Vec<float> x) {
  using V = Vec<float>;
  // Added, it leaves the nearest integer in the low bits, with the exponent's bias.
  const V magic(0x1.8p23f + 127);
  const V most(10.79f), a = where(abs(x) > most, most, abs(x));  // there t is -127, 2^t made as 0
  const V t = fma(a, halves(a, kNormalTail), V(-1.0f));
  const V shifted = t + magic;
  const V tail =
      halves(t - (shifted - magic), kNormalPower) * from_bits<float>(to_bits(shifted) << 23);
  return where(x < 0, tail, 1 - tail);
}
FLAMBEAU_INLINE Vec<double> normal_cdf(Vec<double> x) {
  return 0.5 * (1.0 + erf(x * 0.7071067811865476));
}
FLAMBEAU_INLINE float normal_cdf(float x) { return normal_cdf(Vec<float>(x)).v[0]; }
FLAMBEAU_INLINE double normal_cdf(double x) { return normal_cdf(Vec<double>(x)).v[0]; }

}  // namespace FLAMBEAU_ISA
}  // namespace flambeau
