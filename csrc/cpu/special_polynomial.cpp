// Orthogonal polynomials of a degree that is data too, by their recurrences (DLMF 18.9).
#include "special.h"

namespace flambeau {
namespace FLAMBEAU_ISA {
namespace {

// The degree as an integer, -1 for what is none.
int64_t degree(double n) { return n > -1 && n < 9e18 ? static_cast<int64_t>(n) : -1; }

// p[k+1] = step(k, p[k], p[k-1]) from p[0] = 1 and p[1], until it is no number any more.
template <class F>
double recur(int64_t n, double first, const F& step) {
  if (n < 0) return 0;
  if (n == 0) return 1;
  double before = 1, now = first;
  for (int64_t k = 1; k < n && now == now; ++k) {
    const double next = step(static_cast<double>(k), now, before);
    before = now;
    now = next;
  }
  return now;
}

double chebyshev(double x, int64_t n, double first) {
  return recur(n, first, [&](double, double p, double q) { return 2 * x * p - q; });
}

constexpr int64_t kMany =
    8;  // from here on the trigonometric form is faster (DLMF 18.5.1 to 18.5.4)
bool inside(double x) { return x > -1 && x < 1; }
double half(double n) { return n + 0.5; }

}  // namespace

double chebyshev_t(double x, double degree_) {
  const int64_t n = degree(degree_);
  if (n > kMany && inside(x)) return __builtin_cos(static_cast<double>(n) * __builtin_acos(x));
  return chebyshev(x, n, x);
}
double chebyshev_u(double x, double degree_) {
  const int64_t n = degree(degree_);
  if (n > kMany && inside(x)) {
    const double a = __builtin_acos(x);
    if (__builtin_sin(a) != 0)
      return __builtin_sin(static_cast<double>(n + 1) * a) / __builtin_sin(a);
  }
  return chebyshev(x, n, 2 * x);
}
double chebyshev_v(double x, double degree_) {
  const int64_t n = degree(degree_);
  if (n > kMany && inside(x)) {
    const double a = __builtin_acos(x);
    if (__builtin_sin(a / 2) != 1)
      return __builtin_cos(half(static_cast<double>(n)) * a) / __builtin_cos(a / 2);
  }
  return chebyshev(x, n, 2 * x - 1);
}
double chebyshev_w(double x, double degree_) {
  const int64_t n = degree(degree_);
  if (n > kMany && inside(x)) {
    const double a = __builtin_acos(x);
    if (__builtin_cos(a / 2) != 1)
      return __builtin_sin(half(static_cast<double>(n)) * a) / __builtin_sin(a / 2);
  }
  return chebyshev(x, n, 2 * x + 1);
}

double hermite_h(double x, double n) {
  return recur(degree(n), 2 * x, [&](double k, double p, double q) { return 2 * (x * p - k * q); });
}
double hermite_he(double x, double n) {
  return recur(degree(n), x, [&](double k, double p, double q) { return x * p - k * q; });
}
double laguerre_l(double x, double n) {
  return recur(degree(n), 1 - x, [&](double k, double p, double q) {
    return ((2 * k + 1 - x) * p - k * q) / (k + 1);
  });
}
double legendre_p(double x, double n) {
  if (x == 1 || x == -1) {  // exact at any degree
    const int64_t m = degree(n);
    return m < 0 ? 0 : x < 0 && m % 2 ? -1 : 1;
  }
  return recur(degree(n), x, [&](double k, double p, double q) {
    return ((2 * k + 1) * x * p - k * q) / (k + 1);
  });
}

}  // namespace FLAMBEAU_ISA
}  // namespace flambeau
