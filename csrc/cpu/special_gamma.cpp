// The gamma function's relatives: polygamma, Hurwitz zeta, incomplete gamma functions, and how
// draws from gamma and beta distributions move with their parameters.
#include "special.h"
#include "special_tables.h"

namespace flambeau {
namespace FLAMBEAU_ISA {
namespace {

constexpr double kPi = 3.141592653589793;
constexpr double kEps = 0x1p-53;
constexpr int kMaxTerms = 100000;

double log_gamma(double x) {
  int sign;
  return ::lgamma_r(x, &sign);
}

// A number and its derivative.
struct Dual {
  double v, d = 0;
  Dual(double v_, double d_ = 0) : v(v_), d(d_) {}  // NOLINT: constants stand among the operands
};
Dual operator+(Dual a, Dual b) { return {a.v + b.v, a.d + b.d}; }
Dual operator-(Dual a, Dual b) { return {a.v - b.v, a.d - b.d}; }
Dual operator*(Dual a, Dual b) { return {a.v * b.v, a.d * b.v + a.v * b.d}; }
Dual operator/(Dual a, Dual b) {
  const double q = a.v / b.v;
  return {q, (a.d - q * b.d) / b.v};
}
bool settled(double change, double, double eps) { return __builtin_fabs(change) <= eps; }
bool settled(Dual factor, Dual total, double eps) {
  return __builtin_fabs(factor.v) <= eps &&
         __builtin_fabs(factor.d) <= eps * (__builtin_fabs(total.d / total.v) + 1);
}
double plain(double x) { return x; }
double plain(Dual x) { return x.v; }
template <class N>
N nonzero(N x) {
  return plain(x) == 0 ? N(1e-300) : x;
}

// sum of x^n / (a (a+1) ... (a+n)): gamma(a, x) over x^a exp(-x) (DLMF 8.7.1, 8.11.4)
template <class N>
N lower_series(N a, double x, double eps = kEps) {
  N term = N(1) / a, sum = term;
  for (int n = 1; n < kMaxTerms; ++n) {
    term = term * N(x) / (a + N(n));
    sum = sum + term;
    if (settled(term / sum, sum, eps)) break;
  }
  return sum;
}

// Gamma(a, x) over x^a exp(-x): its continued fraction (DLMF 8.9.2), by Lentz's method.
template <class N>
N upper_fraction(N a, double x, double eps = kEps) {
  N b = N(x + 1) - a, c = N(1e300), d = N(1) / nonzero(b), h = d;
  for (int n = 1; n < kMaxTerms; ++n) {
    const N an = N(-n) * (N(n) - a);
    b = b + N(2);
    d = N(1) / nonzero(an * d + b);
    c = nonzero(b + an / c);
    const N factor = c * d;
    h = h * factor;
    if (settled(factor - N(1), h, eps)) break;
  }
  return h;
}

// I_x(a, b) over x^a (1-x)^b / (a B(a, b)): its continued fraction (DLMF 8.17.22).
template <class N>
N beta_fraction(N a, N b, double x) {
  N c = N(1), d = N(1) / nonzero(N(1) - (a + b) * N(x) / (a + N(1))), h = d;
  for (int m = 1; m < kMaxTerms; ++m) {
    const N even = N(m) * (b - N(m)) * N(x) / ((a + N(2 * m - 1)) * (a + N(2 * m)));
    d = N(1) / nonzero(N(1) + even * d);
    c = nonzero(N(1) + even / c);
    h = h * d * c;
    const N odd = N(0) - (a + N(m)) * (a + b + N(m)) * N(x) / ((a + N(2 * m)) * (a + N(2 * m + 1)));
    d = N(1) / nonzero(N(1) + odd * d);
    c = nonzero(N(1) + odd / c);
    const N factor = d * c;
    h = h * factor;
    if (settled(factor - N(1), h, kEps)) break;
  }
  return h;
}

// mu - log(1 + mu) without cancellation, mu being (x - a) / a.
double log1p_gap(double a, double x) {
  const double mu = (x - a) / a;
  if (__builtin_fabs(mu) > 0.5) return mu - __builtin_log(x / a);
  if (__builtin_fabs(mu) > 0.1) return mu - __builtin_log1p(mu);
  double sum = 0;
  for (int k = 18; k >= 2; --k) sum = (k % 2 ? -1.0 : 1.0) / k + sum * mu;
  return sum * mu * mu;
}

// x^a exp(-x) / Gamma(a)
double gamma_prefix(double a, double x) {
  if (a < 10) return __builtin_exp(a * __builtin_log(x) - x - log_gamma(a));
  const double s = 1 / (a * a);  // Stirling's series (DLMF 5.11.1)
  const double stirling =
      (1.0 / 12 - s * (1.0 / 360 -
                       s * (1.0 / 1260 - s * (1.0 / 1680 - s * (1.0 / 1188 - s * 691 / 360360))))) /
      a;
  const double decay = a * log1p_gap(a, x);
  return __builtin_sqrt(a / (2 * kPi)) * __builtin_exp(-decay - stirling);
}

// Q(a, x) for large a: Temme's uniform expansion (DLMF 8.12.3, 8.12.7).
double upper_uniform(double a, double x) {
  const double gap = log1p_gap(a, x), eta = __builtin_copysign(__builtin_sqrt(2 * gap), x - a);
  double sum = 0;
  for (int k = 4; k >= 0; --k) {
    double c = 0;
    for (int n = 15; n >= 0; --n) c = c * eta + k_temme[k][n];
    sum = sum / a + c;
  }
  return 0.5 * __builtin_erfc(eta * __builtin_sqrt(a / 2)) +
         __builtin_exp(-a * gap) / __builtin_sqrt(2 * kPi * a) * sum;
}

// P and Q for small a and x, where Q is a difference of numbers close to one: with
// u = log(x^a / Gamma(1 + a)), P = exp(u) (1 + a sum of (-x)^n / ((a + n) n!)) (DLMF 8.7.1).
double small_incomplete_gamma(double a, double x, bool lower, double eps) {
  double sum = 0, power = 1;
  for (int n = 1; n < 30; ++n) {
    power *= -x / n;
    const double term = power / (a + n);
    sum += term;
    if (__builtin_fabs(term) <= eps * __builtin_fabs(sum)) break;
  }
  const double near_one =  // log Gamma(1 + a), by its series (DLMF 5.7.3) where 1 + a is rounded
      a < 1e-3 ? a * (-0.5772156649015329 +
                      a * (0.8224670334241132 -
                           a * (0.40068563438653143 -
                                a * (0.27058080842778454 - a * 0.20738555102867398))))
               : log_gamma(1 + a);
  const double u = a * __builtin_log(x) - near_one, rest = __builtin_exp(u) * a * sum;
  return lower ? __builtin_exp(u) + rest : -__builtin_expm1(u) - rest;
}

// P (lower) or Q of the regularized incomplete gamma functions, inside their domain.
double incomplete_gamma(double a, double x, bool lower, double eps) {
  if (a > 1e4 && __builtin_fabs(x - a) < 0.4 * a) {
    const double q = upper_uniform(a, x);
    return lower ? 1 - q : q;
  }
  if (a < 1 && x < 1.1) return small_incomplete_gamma(a, x, lower, eps);
  if (x < a + 1) {
    const double p = gamma_prefix(a, x) * lower_series(a, x, eps);
    return lower ? p : 1 - p;
  }
  const double q = gamma_prefix(a, x) * upper_fraction(a, x, eps);
  return lower ? 1 - q : q;
}

double regularized(double a, double x, bool lower, double eps) {
  const double zero = lower ? 0 : 1, one = 1 - zero;
  if (x < 0 || a < 0) return __builtin_nan("");
  if (a == 0) return x > 0 ? one : __builtin_nan("");
  if (x == 0) return zero;
  if (__builtin_isinf(a)) return __builtin_isinf(x) ? __builtin_nan("") : zero;
  if (__builtin_isinf(x)) return one;
  if (a != a || x != x) return __builtin_nan("");
  return incomplete_gamma(a, x, lower, eps);
}

}  // namespace

double igamma(double a, double x, double eps) { return regularized(a, x, true, eps); }
double igammac(double a, double x, double eps) { return regularized(a, x, false, eps); }

// Both from P(a, x(a)) = const: dx/da = -(dP/da) / (dP/dx).
double gamma_sample_slope(double a, double x) {
  if (!(x > 0 && a > 0)) return x == 0 ? 0 : __builtin_nan("");
  if (a > 1e8) return 1 + (x - a) / (2 * a);  // a normal distribution
  const double rate = __builtin_log(x) - digamma(a);
  if (x < a + 1) {
    const Dual s = lower_series(Dual(a, 1), x);
    return -x * (rate * s.v + s.d);
  }
  const Dual h = upper_fraction(Dual(a, 1), x);
  return x * (rate * h.v + h.d);
}

double beta_sample_slope(double x, double a, double b) {
  if (!(x > 0 && x < 1)) return x == 0 || x == 1 ? 0 : __builtin_nan("");
  const double rate = __builtin_log(x) - digamma(a) + digamma(a + b);
  if (x < (a + 1) / (a + b + 2)) {
    const Dual c = beta_fraction(Dual(a, 1), Dual(b), x);
    return -x * (1 - x) / a * (c.v * (rate - 1 / a) + c.d);
  }
  const Dual c = beta_fraction(Dual(b), Dual(a, 1), 1 - x);
  return x * (1 - x) / b * (c.v * rate + c.d);
}

// Shifted up by recurrence to 10, then the asymptotic series (Abramowitz and
// Stegun 6.3.18, 6.4.12); reflected for negative arguments.
Vec<double> digamma(Vec<double> x) {
  using V = Vec<double>;
  const V whole = trunc(x);
  const Mask<double> negative = x < 0;
  V a = where(negative, 1 - x, x), r(0);
  for (int k = 0; k < 10 && any(a < 10); ++k) {
    const Mask<double> low = a < 10;
    r = r - where(low, 1 / a, V(0));
    a = where(low, a + 1, a);
  }
  const V s = 1 / (a * a);
  const V series =
      s * (1.0 / 12 -
           s * (1.0 / 120 -
                s * (1.0 / 252 -
                     s * (1.0 / 240 - s * (1.0 / 132 - s * (691.0 / 32760 - s * (1.0 / 12)))))));
  r = r + log(a) - 0.5 / a - series;
  if (any(negative)) {
    const V turned = where(x == whole, V(kNan<double>), kPi / tan((x - whole) * kPi));
    r = where(negative, r - turned, r);
  }
  return where(x == 0, copysign(V(kInf<double>), -x), r);
}

// Shifted up by 8, then Stirling's series (Abramowitz and Stegun 6.1.41); reflected below 0.
// Near the zeros at 1 and 2 it has the digits of float only.
Vec<double> lgamma_for_float(Vec<double> x) {
  using V = Vec<double>;
  const Mask<double> low = x < 0;
  V a = where(low, 1 - x, x);
  // a (a + 1) ... (a + 7), the first times the last, the second times the last but one, ...
  const V u = a * (a + 7), rising = u * (u + 6) * (u + 10) * (u + 12);
  const Mask<double> small = a < 8;
  const V product = where(small, rising, V(1));
  a = where(small, a + 8, a);
  const V inverse = 1 / a, s = inverse * inverse;
  const V series =
      1.0 / 12 - s * (1.0 / 360 - s * (1.0 / 1260 - s * (1.0 / 1680 - s * (1.0 / 1188))));
  V r = (a - 0.5) * log(a) - a + 0.9189385332046727 + series * inverse - log(product);
  if (any(low)) {
    const V distance = x - round(x);
    r = where(low, log(kPi / abs(sin(distance * kPi))) - r, r);
  }
  r = where((x == 1) | (x == 2), V(0), r);
  return where(abs(x) == kInf<double>, V(kInf<double>), r);
}

Vec<double> trigamma(Vec<double> x) {
  using V = Vec<double>;
  const Mask<double> low = x < 0.5;
  V a = where(low, 1 - x, x), r(0);
  for (int k = 0; k < 10 && any(a < 10); ++k) {
    const Mask<double> small = a < 10;
    r = r + where(small, 1 / (a * a), V(0));
    a = where(small, a + 1, a);
  }
  const V s = 1 / (a * a);
  const V series =
      s * (1.0 / 6 -
           s * (1.0 / 30 -
                s * (1.0 / 42 - s * (1.0 / 30 - s * (5.0 / 66 - s * (691.0 / 2730 - s * 7 / 6))))));
  r = r + (1 + 0.5 / a + series) / a;
  if (any(low)) {
    const V turn = sin((x - round(x)) * kPi);
    r = where(low, kPi * kPi / (turn * turn) - r, r);
  }
  return r;
}

double polygamma(double n, double x) {
  if (n == 0) return digamma(x);
  if (n == 1) return trigamma(x);
  const double sign = __builtin_fmod(n, 2) == 0 ? -1 : 1;
  return sign * __builtin_tgamma(n + 1) * zeta(n + 1, x);
}

// The first terms, then Euler and Maclaurin's formula (DLMF 25.11.5) for the rest.
double zeta(double s, double q) {
  if (s == 1) return __builtin_inf();
  if (!(s > 1)) return __builtin_nan("");
  if (q <= 0) {
    if (q == __builtin_floor(q)) return __builtin_inf();
    if (s != __builtin_floor(s)) return __builtin_nan("");  // a power of a negative number
    // With q = f - n the terms below zero are those of 1 - f, 2 - f, ..., n - f.
    const double n = __builtin_ceil(-q), f = q + n;
    const double below = zeta(s, 1 - f) - zeta(s, n + 1 - f);
    return zeta(s, f) + (__builtin_fmod(s, 2) == 0 ? below : -below);
  }
  if (q != q) return q;
  double sum = 0;
  for (; q < 12 + s; q += 1) {
    const double term = __builtin_pow(q, -s);
    sum += term;
    if (term <= kEps * kEps * sum) return sum;  // s is large: nothing else counts
  }
  // B_2j / (2j)!
  static constexpr double c[] = {1.0 / 12,
                                 -1.0 / 720,
                                 1.0 / 30240,
                                 -1.0 / 1209600,
                                 1.0 / 47900160,
                                 -5.284190138687493e-10,
                                 1.338253653068468e-11,
                                 -3.389680296322583e-13,
                                 8.586062056277845e-15};
  const double power = __builtin_pow(q, -s);
  double rest = power * (q / (s - 1) + 0.5), factor = power * s / q;
  for (int j = 0; j < 9; ++j) {
    rest += c[j] * factor;
    factor *= (s + 2 * j + 1) * (s + 2 * j + 2) / (q * q);
  }
  return sum + rest;
}

}  // namespace FLAMBEAU_ISA
}  // namespace flambeau
