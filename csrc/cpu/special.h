// Special functions of one number, in double precision: what the lines of pointwise.def call lane
// by lane. Defined in special_*.cpp.
#pragma once
#include "vec.h"

namespace flambeau {
namespace FLAMBEAU_ISA {

// f of every lane, computed in double precision.
#define FLAMBEAU_SPECIAL(name)                                                       \
  double name(double x);                                                             \
  template <class T>                                                                 \
  FLAMBEAU_INLINE Vec<T> name(Vec<T> a) {                                            \
    return map(a, [](T x) { return static_cast<T>(name(static_cast<double>(x))); }); \
  }
// The same where it is written for vectors.
#define FLAMBEAU_SPECIAL_VECTOR(name)             \
  Vec<double> name(Vec<double> a);                \
  FLAMBEAU_INLINE Vec<float> name(Vec<float> a) { \
    const DoublePair d = widen(a);                \
    return narrow({name(d.lo), name(d.hi)});      \
  }                                               \
  FLAMBEAU_INLINE double name(double x) { return name(Vec<double>(x)).v[0]; }
#define FLAMBEAU_SPECIAL2(name)                                                    \
  double name(double x, double z);                                                 \
  template <class T>                                                               \
  FLAMBEAU_INLINE Vec<T> name(Vec<T> a, Vec<T> b) {                                \
    return map(a, b, [](T x, T z) {                                                \
      return static_cast<T>(name(static_cast<double>(x), static_cast<double>(z))); \
    });                                                                            \
  }

// special_gamma.cpp
FLAMBEAU_SPECIAL_VECTOR(digamma)
Vec<double> lgamma_for_float(Vec<double> x);  // the digits that float has
FLAMBEAU_INLINE Vec<float> lgamma(Vec<float> a) {
  const DoublePair d = widen(a);
  return narrow({lgamma_for_float(d.lo), lgamma_for_float(d.hi)});
}
FLAMBEAU_SPECIAL_VECTOR(trigamma)
FLAMBEAU_SPECIAL2(polygamma)  // order, x
FLAMBEAU_SPECIAL2(zeta)       // Hurwitz: exponent, first term
// Regularized incomplete gamma functions of a and x: the lower, the upper; to `eps`.
double igamma(double a, double x, double eps);
double igammac(double a, double x, double eps);
template <class T>
constexpr double kGammaEps = sizeof(T) == 4 ? 0x1p-32 : 0x1p-53;
template <class T>
FLAMBEAU_INLINE Vec<T> igamma(Vec<T> a, Vec<T> b) {
  return map(a, b, [](T x, T z) { return static_cast<T>(igamma(x, z, kGammaEps<T>)); });
}
template <class T>
FLAMBEAU_INLINE Vec<T> igammac(Vec<T> a, Vec<T> b) {
  return map(a, b, [](T x, T z) { return static_cast<T>(igammac(x, z, kGammaEps<T>)); });
}
FLAMBEAU_SPECIAL2(gamma_sample_slope)  // d x / d a of a draw x from Gamma(a)
double beta_sample_slope(double x, double a, double b);  // d x / d a of a draw x from Beta(a, b)

// special_error.cpp
FLAMBEAU_SPECIAL_VECTOR(erfinv)
FLAMBEAU_SPECIAL_VECTOR(erfcx)
FLAMBEAU_SPECIAL_VECTOR(ndtr)
FLAMBEAU_SPECIAL_VECTOR(ndtri)
FLAMBEAU_SPECIAL_VECTOR(log_ndtr)
FLAMBEAU_SPECIAL_VECTOR(entr)

// special_bessel.cpp
FLAMBEAU_SPECIAL_VECTOR(i0)
FLAMBEAU_SPECIAL_VECTOR(i0e)
FLAMBEAU_SPECIAL_VECTOR(i1)
FLAMBEAU_SPECIAL_VECTOR(i1e)
FLAMBEAU_SPECIAL_VECTOR(bessel_j0)
FLAMBEAU_SPECIAL_VECTOR(bessel_j1)
FLAMBEAU_SPECIAL_VECTOR(bessel_y0)
FLAMBEAU_SPECIAL_VECTOR(bessel_y1)
FLAMBEAU_SPECIAL_VECTOR(modified_bessel_k0)
FLAMBEAU_SPECIAL_VECTOR(modified_bessel_k1)
FLAMBEAU_SPECIAL_VECTOR(scaled_modified_bessel_k0)
FLAMBEAU_SPECIAL_VECTOR(scaled_modified_bessel_k1)
FLAMBEAU_SPECIAL_VECTOR(spherical_bessel_j0)
FLAMBEAU_SPECIAL(airy_ai)

// special_polynomial.cpp: of x and the degree
FLAMBEAU_SPECIAL2(chebyshev_t)
FLAMBEAU_SPECIAL2(chebyshev_u)
FLAMBEAU_SPECIAL2(chebyshev_v)
FLAMBEAU_SPECIAL2(chebyshev_w)
FLAMBEAU_SPECIAL2(hermite_h)
FLAMBEAU_SPECIAL2(hermite_he)
FLAMBEAU_SPECIAL2(laguerre_l)
FLAMBEAU_SPECIAL2(legendre_p)

#undef FLAMBEAU_SPECIAL
#undef FLAMBEAU_SPECIAL_VECTOR
#undef FLAMBEAU_SPECIAL2

template <class T>
FLAMBEAU_INLINE Vec<T> polygamma(double n, Vec<T> x) {
  if (n == 0) return digamma(x);
  if (n == 1) return trigamma(x);
  return polygamma(Vec<T>(static_cast<T>(n)), x);
}
template <class T>
FLAMBEAU_INLINE Vec<T> dirichlet_slope(Vec<T> x, Vec<T> a, Vec<T> total) {
  Vec<T> r;
  for (int i = 0; i < Vec<T>::size; ++i)
    r.v[i] =
        static_cast<T>(beta_sample_slope(x.v[i], a.v[i], total.v[i] - a.v[i]) / (1.0 - x.v[i]));
  return r;
}

}  // namespace FLAMBEAU_ISA
}  // namespace flambeau
