// The error function's relatives: scaled, inverse, and as the normal distribution.
#include "special.h"

namespace flambeau {
namespace FLAMBEAU_ISA {
namespace {

constexpr double kSqrtHalf = 0.7071067811865476;

typedef Vec<double> V;

template <int N>
V polynomial(const double (&c)[N], V x) {  // lowest first
  V r = c[N - 1];
  for (int i = N - 2; i >= 0; --i) r = fma(r, x, V(c[i]));
  return r;
}

// The normal quantile of 1/2 + q, with tail = 1/2 - |q| given beside it, which keeps its digits.
// Wichura, Algorithm AS 241 (PPND16), Applied Statistics 37 (1988), 477-484.
V quantile(V q, V tail) {
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
  const V s = 0.180625 - q * q, middle = q * polynomial(a, s) / polynomial(b, s);
  const Mask<double> inside = abs(q) <= 0.425;
  if (all(inside)) return middle;
  const V r = sqrt(-log(tail)), near = r - 1.6;
  V outer = polynomial(c, near) / polynomial(d, near);
  if (any(r > 5)) outer = where(r > 5, polynomial(e, r - 5) / polynomial(f, r - 5), outer);
  return where(inside, middle, copysign(outer, q));
}

// Numbers 0 < p < 1 have a quantile r; the ends are infinite.
V bounded(V p, double low, V r) {
  const V inf(kInf<double>);
  return where((p > low) & (p < 1), r, where(p == low, -inf, where(p == 1, inf, kNan<double>)));
}

// exp(a^2) with the rounding of a^2, which exp magnifies, taken into account.
V exp_square(V a, double sign) {
  const V high = from_bits<double>(to_bits(a) & Vec<int64_t>(~int64_t(0x7ffffff)));
  const V rest = (a - high) * (a + high) * sign;
  return exp(high * high * sign) * (1 + rest * (1 + rest * 0.5));
}
// a exp(a^2) erfc(a) in 1 / a^2 for a >= 6, made like the polynomials of vec_math.h.
constexpr double k_erfcx_far[] = {
    0x1.67ab1eb9d2909p+16, -0x1.86b8ec34680edp+14, 0x1.facc804884cb2p+11, -0x1.2574aca8972cdp+9,
    0x1.6e0e8482be71dp+6,  -0x1.0a8fc1dc06db3p+4,  0x1.d9eb1d279d93cp+1,  -0x1.0ecf9d541db8ap+0,
    0x1.b14c2f8591d83p-2,  -0x1.20dd750429985p-2,  0x1.20dd750429b6dp-1};

// exp(a^2) erfc(a) for a >= 1.
V scaled_tail(V a) {
  const V far = horner(1 / (a * a), k_erfcx_far) / a;
  const V near = horner((a - 2) / (a + 2), MathTable<double>::k_erf_large);
  return where(a > 6, far, near);
}
V small_erfc(V x) { return 1 - fma(x, horner(x * x, MathTable<double>::k_erf_small), x); }

V complement(V x) {  // erfc
  const V a = where(abs(x) > 30, V(30), abs(x));
  const V tail = exp_square(a, -1) * scaled_tail(a);
  return where(abs(x) < 1, small_erfc(x), where(x < 0, 2 - tail, tail));
}

}  // namespace

V ndtri(V p) { return bounded(p, 0, quantile(p - 0.5, where(p < 0.5, p, 1 - p))); }

V erfinv(V x) { return bounded(x, -1, quantile(x * 0.5, (1 - abs(x)) * 0.5) * kSqrtHalf); }

V erfcx(V x) {
  const V a = where(abs(x) > 27, V(27), abs(x)), e = exp_square(a, 1);
  const V tail = scaled_tail(abs(x));
  const V left = where(x < -26.7, V(kInf<double>), 2 * e - tail);
  return where(abs(x) < 1, e * small_erfc(x), where(x < 0, left, tail));
}

V ndtr(V x) { return 0.5 * complement(x * -kSqrtHalf); }

V log_ndtr(V x) {
  const V low = log(scaled_tail(x * -kSqrtHalf) * 0.5) - x * x * 0.5;
  return where(x < -1.5, low, log1p(complement(x * kSqrtHalf) * -0.5));
}

V entr(V x) {
  const V inf(kInf<double>);
  return where(x > 0, -x * log(x), where(x == 0, V(0), where(x < 0, -inf, x)));
}

}  // namespace FLAMBEAU_ISA
}  // namespace flambeau
