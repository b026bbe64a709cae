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

// Clenshaw's sum of a Chebyshev series at t in [-1, 1].
template <int N>
double chebyshev(const double (&c)[N], double t) {
  double b1 = 0, b2 = 0;
  for (int i = 0; i < N - 1; ++i) {
    const double b = 2 * t * b1 - b2 + c[i];
    b2 = b1;
    b1 = b;
  }
  return t * b1 - b2 + c[N - 1];
}

template <int N>
double of_square(const double (&c)[N], double x, double high) {
  const double s = x / high;
  return chebyshev(c, 2 * s * s - 1);
}

// P cos(x - shift) - Q sin(x - shift) and P sin + Q cos, the angle taken exactly: cos(x - pi/4) is
// (cos x + sin x) / sqrt 2, sin(x - pi/4) is (sin x - cos x) / sqrt 2.
struct Wave {
  double j, y;
};
Wave wave(double x, double p, double q, bool first_order) {
  const double s = __builtin_sin(x), c = __builtin_cos(x);
  const double scale = 1 / __builtin_sqrt(kPi * x);
  // order 1: x - 3 pi/4 = (x - pi/4) - pi/2
  const double cosine = first_order ? s - c : c + s, sine = first_order ? -(c + s) : s - c;
  return {scale * (p * cosine - q * sine), scale * (p * sine + q * cosine)};
}

Wave wave0(double x) {
  const double t = 128 / (x * x) - 1;
  return wave(x, chebyshev(k_p0_large, t), chebyshev(k_q0_large, t) / x, false);
}
Wave wave1(double x) {
  const double t = 128 / (x * x) - 1;
  return wave(x, chebyshev(k_p1_large, t), chebyshev(k_q1_large, t) / x, true);
}

}  // namespace

double i0e(double x) {
  x = __builtin_fabs(x);
  if (x <= 8) return chebyshev(k_i0_small, x / 4 - 1);
  return chebyshev(k_i0_large, 16 / x - 1) / __builtin_sqrt(x);
}
double i0(double x) {
  x = __builtin_fabs(x);
  if (x <= 8) return __builtin_exp(x) * i0e(x);
  const double half = __builtin_exp(x / 2);  // the result may be finite where exp(x) is not
  return half * i0e(x) * half;
}
double i1e(double x) {
  const double a = __builtin_fabs(x);
  if (a <= 8) return x * chebyshev(k_i1_small, a / 4 - 1);
  return __builtin_copysign(chebyshev(k_i1_large, 16 / a - 1) / __builtin_sqrt(a), x);
}
double i1(double x) {
  const double half = __builtin_exp(__builtin_fabs(x) / 2);
  return half * i1e(x) * half;
}

double scaled_modified_bessel_k0(double x) {
  if (x == 0) return __builtin_inf();
  if (x < 0) return __builtin_nan("");
  if (x > 2) return chebyshev(k_k0_large, 4 / x - 1) / __builtin_sqrt(x);
  return __builtin_exp(x) * modified_bessel_k0(x);
}
double modified_bessel_k0(double x) {
  if (x == 0) return __builtin_inf();
  if (x < 0) return __builtin_nan("");
  if (x > 2) return __builtin_exp(-x) * scaled_modified_bessel_k0(x);
  return of_square(k_k0_small, x, 2) - __builtin_log(x / 2) * i0(x);
}
double scaled_modified_bessel_k1(double x) {
  if (x == 0) return __builtin_inf();
  if (x < 0) return __builtin_nan("");
  if (x > 2) return chebyshev(k_k1_large, 4 / x - 1) / __builtin_sqrt(x);
  return __builtin_exp(x) * modified_bessel_k1(x);
}
double modified_bessel_k1(double x) {
  if (x == 0) return __builtin_inf();
  if (x < 0) return __builtin_nan("");
  if (x > 2) return __builtin_exp(-x) * scaled_modified_bessel_k1(x);
  return of_square(k_k1_small, x, 2) / x + __builtin_log(x / 2) * i1(x);
}

double bessel_j0(double x) {
  x = __builtin_fabs(x);
  return x <= 8 ? of_square(k_j0_small, x, 8) : wave0(x).j;
}
double bessel_j1(double x) {
  const double a = __builtin_fabs(x);
  return a <= 8 ? x * of_square(k_j1_small, a, 8) : __builtin_copysign(1, x) * wave1(a).j;
}
double bessel_y0(double x) {
  if (x == 0) return -__builtin_inf();
  if (x < 0) return __builtin_nan("");
  if (x > 8) return wave0(x).y;
  return of_square(k_y0_small, x, 8) + kTwoOverPi * __builtin_log(x) * bessel_j0(x);
}
double bessel_y1(double x) {
  if (x == 0) return -__builtin_inf();
  if (x < 0) return __builtin_nan("");
  if (x > 8) return wave1(x).y;
  return x * of_square(k_y1_small, x, 8) + kTwoOverPi * (__builtin_log(x) * bessel_j1(x) - 1 / x);
}

double spherical_bessel_j0(double x) {
  if (__builtin_isinf(x)) return 0;
  const double s = x * x;
  if (s < 0.01) return 1 - s / 6 * (1 - s / 20 * (1 - s / 42 * (1 - s / 72)));
  return __builtin_sin(x) / x;
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
