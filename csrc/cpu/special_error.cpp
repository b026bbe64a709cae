// The error function's relatives: scaled, inverse, and as the normal distribution.
#include "special.h"

namespace flambeau {
namespace FLAMBEAU_ISA {
namespace {

constexpr double kSqrtHalf = 0.7071067811865476;

template <int N>
double polynomial(const double (&c)[N], double x) {  // lowest first
  double r = c[N - 1];
  for (int i = N - 2; i >= 0; --i) r = r * x + c[i];
  return r;
}

// The normal quantile of 1/2 + q, with tail = 1/2 - |q| given beside it, which keeps its digits.
// Wichura, Algorithm AS 241 (PPND16), Applied Statistics 37 (1988), 477-484.
double quantile(double q, double tail) {
  static constexpr double a[] = {3.3871328727963666080e0, 1.3314166789178437745e2,
                                 1.9715909503065514427e3, 1.3731693765509461125e4,
                                 4.5921953931549871457e4, 6.7265770927008700853e4,
                                 3.3430575583588128105e4, 2.5090809287301226727e3};
  static constexpr double b[] = {1.0,
                                 4.2313330701600911252e1,
                                 6.8718700749205790830e2,
                                 5.3941960214247511077e3,
                                 2.1213794301586595867e4,
                                 3.9307895800092710610e4,
                                 2.8729085735721942674e4,
                                 5.2264952788528545610e3};
  static constexpr double c[] = {1.42343711074968357734e0,  4.63033784615654529590e0,
                                 5.76949722146069140550e0,  3.64784832476320460504e0,
                                 1.27045825245236838258e0,  2.41780725177450611770e-1,
                                 2.27238449892691845833e-2, 7.74545014278341407640e-4};
  static constexpr double d[] = {1.0,
                                 2.05319162663775882187e0,
                                 1.67638483018380384940e0,
                                 6.89767334985100004550e-1,
                                 1.48103976427480074590e-1,
                                 1.51986665636164571966e-2,
                                 5.47593808499534494600e-4,
                                 1.05075007164441684324e-9};
  static constexpr double e[] = {6.65790464350110377720e0,  5.46378491116411436990e0,
                                 1.78482653991729133580e0,  2.96560571828504891230e-1,
                                 2.65321895265761230930e-2, 1.24266094738807843860e-3,
                                 2.71155556874348757815e-5, 2.01033439929228813265e-7};
  static constexpr double f[] = {1.0,
                                 5.99832206555887937690e-1,
                                 1.36929880922735805310e-1,
                                 1.48753612908506148525e-2,
                                 7.86869131145613259100e-4,
                                 1.84631831751005468180e-5,
                                 1.42151175831644588870e-7,
                                 2.04426310338993978564e-15};
  if (__builtin_fabs(q) <= 0.425) {
    const double r = 0.180625 - q * q;
    return q * polynomial(a, r) / polynomial(b, r);
  }
  double r = __builtin_sqrt(-__builtin_log(tail));
  r = r <= 5 ? polynomial(c, r - 1.6) / polynomial(d, r - 1.6)
             : polynomial(e, r - 5) / polynomial(f, r - 5);
  return __builtin_copysign(r, q);
}

}  // namespace

double ndtri(double p) {
  if (!(p > 0 && p < 1))
    return p == 0 ? -__builtin_inf() : p == 1 ? __builtin_inf() : __builtin_nan("");
  return quantile(p - 0.5, p < 0.5 ? p : 1 - p);
}

double erfinv(double x) {
  const double a = __builtin_fabs(x);
  if (!(a < 1)) return a == 1 ? __builtin_copysign(__builtin_inf(), x) : __builtin_nan("");
  return quantile(x / 2, (1 - a) / 2) * kSqrtHalf;
}

double erfcx(double x) {
  if (x > 25) {  // Abramowitz and Stegun 7.1.23
    const double s = 1 / (2 * x * x);
    return 0.5641895835477563 / x *
           (1 - s * (1 - s * (3 - s * (15 - s * (105 - s * (945 - s * 10395))))));
  }
  if (x < -26.7) return __builtin_inf();
  const double s = x * x, rest = __builtin_fma(x, x, -s);  // exp magnifies the rounding of x^2
  const double e = __builtin_exp(s);
  return (e + e * rest) * __builtin_erfc(x);
}

double ndtr(double x) { return 0.5 * __builtin_erfc(-x * kSqrtHalf); }

double log_ndtr(double x) {
  if (x < -1) return __builtin_log(erfcx(-x * kSqrtHalf) / 2) - x * x / 2;
  return __builtin_log1p(-__builtin_erfc(x * kSqrtHalf) / 2);
}

double entr(double x) {
  if (x > 0) return -x * __builtin_log(x);
  return x == 0 ? 0 : x < 0 ? -__builtin_inf() : x;
}

}  // namespace FLAMBEAU_ISA
}  // namespace flambeau
