// Numbers drawn by rejection: Poisson, binomial and gamma, as PyTorch draws them.
#include <cmath>

#include "random.h"

namespace flambeau {
namespace {

// Hörmann, "The transformed rejection method for generating Poisson random variables" (1993).
double poisson_by_rejection(Generator& g, double rate) {
  const double b = 0.931 + 2.53 * std::sqrt(rate);
  const double a = -0.059 + 0.02483 * b;
  const double inverse_alpha = 1.1239 + 1.1328 / (b - 3.4);
  const double v_r = 0.9277 - 3.6224 / (b - 2);
  const double log_rate = std::log(rate);
  for (;;) {
    const double u = g.uniform() - 0.5;
    const double v = g.uniform();
    const double us = 0.5 - std::fabs(u);
    const double k = std::floor((2 * a / us + b) * u + rate + 0.43);
    if (us >= 0.07 && v <= v_r) return k;
    if (k < 0 || (us < 0.013 && v > us)) continue;
    if (std::log(v) + std::log(inverse_alpha) - std::log(a / (us * us) + b) <=
        -rate + k * log_rate - std::lgamma(k + 1))
      return k;
  }
}

// log(k!) - (log(sqrt(2 pi)) + (k + 1/2) log(k + 1) - (k + 1)).
double stirling_rest(double k) {
  static constexpr double kSmall[] = {0.0810614667953272,  0.0413406959554092, 0.0276779256849983,
                                      0.02079067210376509, 0.0166446911898211, 0.0138761288230707,
                                      0.0118967099458917,  0.0104112652619720, 0.00925546218271273,
                                      0.00833056343336287};
  if (k <= 9) return kSmall[static_cast<int>(k)];
  const double square = (k + 1) * (k + 1);
  return (1.0 / 12 - (1.0 / 360 - 1.0 / 1260 / square) / square) / (k + 1);
}

// Gaps between successes are geometric.
double binomial_by_gaps(Generator& g, double count, double p) {
  const double log_miss = std::log1p(-p);
  double tried = 0, successes = 0;
  for (;;) {
    tried += std::ceil(std::log(g.uniform()) / log_miss);
    if (tried > count) return successes;
    ++successes;
  }
}

// Hörmann, "The generation of binomial random variates" (1993), algorithm BTRS.
double binomial_by_rejection(Generator& g, double count, double p) {
  const double spread = std::sqrt(count * p * (1 - p));
  const double b = 1.15 + 2.53 * spread;
  const double a = -0.0873 + 0.0248 * b + 0.01 * p;
  const double c = count * p + 0.5;
  const double v_r = 0.92 - 4.2 / b;
  const double odds = p / (1 - p);
  const double alpha = (2.83 + 5.1 / b) * spread;
  const double mode = std::floor((count + 1) * p);
  for (;;) {
    const double u = g.uniform() - 0.5;
    double v = g.uniform();
    const double us = 0.5 - std::fabs(u);
    const double k = std::floor((2 * a / us + b) * u + c);
    if (us >= 0.07 && v <= v_r) return k;
    if (k < 0 || k > count) continue;
    v = std::log(v * alpha / (a / (us * us) + b));
    const double bound = (mode + 0.5) * std::log((mode + 1) / (odds * (count - mode + 1))) +
                         (count + 1) * std::log((count - mode + 1) / (count - k + 1)) +
                         (k + 0.5) * std::log(odds * (count - k + 1) / (k + 1)) +
                         stirling_rest(mode) + stirling_rest(count - mode) - stirling_rest(k) -
                         stirling_rest(count - k);
    if (v <= bound) return k;
  }
}

}  // namespace

double draw_poisson(Generator& g, double rate) {
  if (rate >= 10) return poisson_by_rejection(g, rate);
  if (rate == 0) return 0;
  const double limit = std::exp(-rate);  // Knuth: uniform factors until their product is below it
  double product = 1;
  for (int64_t k = 0;; ++k) {
    product *= g.uniform();
    if (product <= limit) return static_cast<double>(k);
  }
}

double draw_binomial(Generator& g, double count, double p) {
  if (!(count > 0) || !(p > 0)) return count != count || p != p ? NAN : 0;
  if (p >= 1) return count;
  const bool flip = p > 0.5;
  if (flip) p = 1 - p;
  const double k =
      count * p >= 10 ? binomial_by_rejection(g, count, p) : binomial_by_gaps(g, count, p);
  return flip ? count - k : k;
}

// Marsaglia and Tsang, "A simple method for generating gamma variables" (2000). The shape's own
// arithmetic is in its precision, the rest in double.
template <class T>
T draw_gamma(Generator& g, T alpha) {
  double scale = 1;
  if (alpha < T(1)) {
    if (alpha == T(0)) return T(0);
    scale *= std::pow(1 - g.uniform(), static_cast<double>(T(1) / alpha));
    alpha += T(1);
  }
  const double d = alpha - T(1.0f / 3.0f);
  const double c = 1 / std::sqrt(9 * d);
  for (;;) {
    double x, y;
    do {
      x = g.normal();
      y = 1 + c * x;
    } while (y <= 0);
    const double v = y * y * y;
    const double u = 1 - g.uniform();
    const double xx = x * x;
    if (u < 1 - 0.0331f * xx * xx || std::log(u) < 0.5 * xx + d * (1 - v + std::log(v)))
      return static_cast<T>(scale * d * v);
  }
}
template float draw_gamma(Generator&, float);
template double draw_gamma(Generator&, double);

}  // namespace flambeau
