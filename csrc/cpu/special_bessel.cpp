// Bessel functions of orders 0 and 1 and the Airy function, by Chebyshev series.
//
// Near zero the regular part of each function is a series in x or x^2, beyond it what remains when
// the leading behaviour (Abramowitz and Stegun 9.2.5, 9.2.6, 9.7.1, 9.7.2, 10.4.59, 10.4.60) is
// taken out is one in 1/x or 1/x^2. scripts/special_tables.py computes the coefficients.
#include "special.h"
#include "special_tables.h"

namespace flambeau {
namespace FLAMBEAU_ISA {
namespace {

constexpr double kPi = 3.141592653589793, kTwoOverPi = 0.6366197723675814;

typedef Vec<double> V;

// Clenshaw's sum of a Chebyshev series at t in [-1, 1], of a vector or a number.
template <int N, class T>
T chebyshev(const double (&c)[N], T t) {
  T b1 = 0.0, b2 = 0.0;
  for (int i = 0; i < N - 1; ++i) {
    const T b = fma(t + t, b1, T(c[i]) - b2);
    b2 = b1;
    b1 = b;
  }
  return fma(t, b1, T(c[N - 1]) - b2);
}

template <int N>
V of_square(const double (&c)[N], V x, double high) {
  const V s = x * (1 / high);
  return chebyshev(c, fma(s + s, s, V(-1)));
}

// P cos(x - shift) - Q sin(x - shift) and P sin + Q cos, the angle taken exactly: cos(x - pi/4) is
// (cos x + sin x) / sqrt 2, sin(x - pi/4) is (sin x - cos x) / sqrt 2.
struct Wave {
  V j, y;
};
Wave wave(V x, V p, V q, bool first_order) {
  const V s = sin(x), c = cos(x), scale = 1 / sqrt(x * kPi);
  // order 1: x - 3 pi/4 = (x - pi/4) - pi/2
  const V cosine = first_order ? s - c : c + s, sine = first_order ? -(c + s) : s - c;
  return {scale * (p * cosine - q * sine), scale * (p * sine + q * cosine)};
}

Wave wave0(V x) {
  const V t = 128 / (x * x) - 1;
  return wave(x, chebyshev(k_p0_large, t), chebyshev(k_q0_large, t) / x, false);
}
Wave wave1(V x) {
  const V t = 128 / (x * x) - 1;
  return wave(x, chebyshev(k_p1_large, t), chebyshev(k_q1_large, t) / x, true);
}

// near where the mask is set and far() elsewhere, which is left out where nothing is.
template <class F>
V near_or(Mask<double> small, V near, const F& far) {
  return all(small) ? near : where(small, near, far());
}
// Functions of the second kind: infinite at zero, not defined below.
V from_zero(V x, double at_zero, V r) {
  return where(x == 0, V(at_zero), where(x < 0, V(kNan<double>), r));
}

}  // namespace

V i0e(V x) {
  x = abs(x);
  return near_or(x <= 8, chebyshev(k_i0_small, x * 0.25 - 1),
                 [&] { return chebyshev(k_i0_large, 16 / x - 1) / sqrt(x); });
}
V i0(V x) {
  x = abs(x);
  const V e = i0e(x), near = exp(x) * e;
  return near_or(x <= 8, near, [&] {
    const V half = exp(x * 0.5);  // the result may be finite where exp(x) is not
    return half * e * half;
  });
}
V i1e(V x) {
  const V a = abs(x);
  return near_or(a <= 8, x * chebyshev(k_i1_small, a * 0.25 - 1),
                 [&] { return copysign(chebyshev(k_i1_large, 16 / a - 1) / sqrt(a), x); });
}
V i1(V x) {
  const V half = exp(abs(x) * 0.5);
  return half * i1e(x) * half;
}

namespace {

V k0_near(V x) { return of_square(k_k0_small, x, 2) - log(x * 0.5) * i0(x); }
V k0_far(V x) { return chebyshev(k_k0_large, 4 / x - 1) / sqrt(x); }
V k1_near(V x) { return of_square(k_k1_small, x, 2) / x + log(x * 0.5) * i1(x); }
V k1_far(V x) { return chebyshev(k_k1_large, 4 / x - 1) / sqrt(x); }

}  // namespace

V scaled_modified_bessel_k0(V x) {
  return from_zero(x, kInf<double>, where(x > 2, k0_far(x), exp(x) * k0_near(x)));
}
V modified_bessel_k0(V x) {
  return from_zero(x, kInf<double>, where(x > 2, exp(-x) * k0_far(x), k0_near(x)));
}
V scaled_modified_bessel_k1(V x) {
  return from_zero(x, kInf<double>, where(x > 2, k1_far(x), exp(x) * k1_near(x)));
}
V modified_bessel_k1(V x) {
  return from_zero(x, kInf<double>, where(x > 2, exp(-x) * k1_far(x), k1_near(x)));
}

V bessel_j0(V x) {
  x = abs(x);
  return near_or(x <= 8, of_square(k_j0_small, x, 8), [&] { return wave0(x).j; });
}
V bessel_j1(V x) {
  const V a = abs(x);
  return near_or(a <= 8, x * of_square(k_j1_small, a, 8),
                 [&] { return where(x < 0, -wave1(a).j, wave1(a).j); });
}
V bessel_y0(V x) {
  const V near = of_square(k_y0_small, x, 8) + log(x) * bessel_j0(x) * kTwoOverPi;
  return from_zero(x, -kInf<double>, near_or(x <= 8, near, [&] { return wave0(x).y; }));
}
V bessel_y1(V x) {
  const V near = x * of_square(k_y1_small, x, 8) + (log(x) * bessel_j1(x) - 1 / x) * kTwoOverPi;
  return from_zero(x, -kInf<double>, near_or(x <= 8, near, [&] { return wave1(x).y; }));
}

V spherical_bessel_j0(V x) {
  const V s = x * x;
  const V near =
      1 - s * (1.0 / 6) * (1 - s * (1.0 / 20) * (1 - s * (1.0 / 42) * (1 - s * (1.0 / 72))));
  return where(s < 0.01, near, where(abs(x) == kInf<double>, V(0), sin(x) / x));
}

double airy_ai(double x) {
  if (__builtin_isinf(x)) return __builtin_nan("");
  if (x >= -5 && x <= 2) return chebyshev(k_airy_middle, (x + 5) * (2.0 / 7) - 1);
  const double a = __builtin_fabs(x), root = __builtin_sqrt(a), zeta = a * root * (2.0 / 3);
  if (x > 0)
    return __builtin_exp(-zeta) * chebyshev(k_airy_decay, 2 * 1.875 / zeta - 1) /
           (2 * __builtin_sqrt(kPi * root));
  const double t = 2 * (7.25 * 7.25) / (zeta * zeta) - 1;
  const double s = __builtin_sin(zeta), c = __builtin_cos(zeta);
  const double p = chebyshev(k_airy_cosine, t), q = chebyshev(k_airy_sine, t) / zeta;
  return (p * (c + s) + q * (s - c)) / __builtin_sqrt(2 * kPi * root);
}

}  // namespace FLAMBEAU_ISA
}  // namespace flambeau
