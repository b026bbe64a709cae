// What the gradient expressions of pointwise.def mean for tensors (recorded operators, for
// gradients of gradients) and for probes (which find out what an expression reads).
#pragma once
#include "../op.h"

namespace flambeau {

// -- tensors --------------------------------------------------------------------------------------
#define FLAMBEAU_TENSOR_OPERATOR(symbol, name)                       \
  template <class A, class B>                                        \
    requires(std::is_same_v<A, Tensor> || std::is_same_v<B, Tensor>) \
  Tensor operator symbol(const A& a, const B& b) {                   \
    static const OpCall f(name);                                     \
    return f(a, b);                                                  \
  }
FLAMBEAU_TENSOR_OPERATOR(+, "add")
FLAMBEAU_TENSOR_OPERATOR(-, "sub")
FLAMBEAU_TENSOR_OPERATOR(*, "mul")
FLAMBEAU_TENSOR_OPERATOR(/, "div")
FLAMBEAU_TENSOR_OPERATOR(>, "gt")
FLAMBEAU_TENSOR_OPERATOR(<, "lt")
FLAMBEAU_TENSOR_OPERATOR(>=, "ge")
FLAMBEAU_TENSOR_OPERATOR(<=, "le")
FLAMBEAU_TENSOR_OPERATOR(&, "logical_and")
FLAMBEAU_TENSOR_OPERATOR(|, "logical_or")
#undef FLAMBEAU_TENSOR_OPERATOR

inline Tensor operator==(const Tensor& a, const Tensor& b) {
  static const OpCall f("eq");
  return f(a, b);
}
inline Tensor operator!=(const Tensor& a, const Tensor& b) {
  static const OpCall f("ne");
  return f(a, b);
}
inline Tensor operator==(const Tensor& a, double b) {
  static const OpCall f("eq");
  return f(a, b);
}

#define FLAMBEAU_TENSOR_FUNCTION(name, op) \
  inline Tensor name(const Tensor& x) {    \
    static const OpCall f(op);             \
    return f(x);                           \
  }
FLAMBEAU_TENSOR_FUNCTION(operator-, "neg")
FLAMBEAU_TENSOR_FUNCTION(operator!, "logical_not")
FLAMBEAU_TENSOR_FUNCTION(exp, "exp")
FLAMBEAU_TENSOR_FUNCTION(exp2, "exp2")
FLAMBEAU_TENSOR_FUNCTION(log, "log")
FLAMBEAU_TENSOR_FUNCTION(sqrt, "sqrt")
FLAMBEAU_TENSOR_FUNCTION(sin, "sin")
FLAMBEAU_TENSOR_FUNCTION(cos, "cos")
FLAMBEAU_TENSOR_FUNCTION(sinh, "sinh")
FLAMBEAU_TENSOR_FUNCTION(cosh, "cosh")
FLAMBEAU_TENSOR_FUNCTION(tanh, "tanh")
FLAMBEAU_TENSOR_FUNCTION(rest_of_square, "_rest_of_square")
FLAMBEAU_TENSOR_FUNCTION(abs, "abs")
FLAMBEAU_TENSOR_FUNCTION(sgn, "sgn")
FLAMBEAU_TENSOR_FUNCTION(erf, "erf")
FLAMBEAU_TENSOR_FUNCTION(erfinv, "erfinv")
FLAMBEAU_TENSOR_FUNCTION(sigmoid, "sigmoid")
FLAMBEAU_TENSOR_FUNCTION(digamma, "digamma")
FLAMBEAU_TENSOR_FUNCTION(trigamma, "_trigamma")
FLAMBEAU_TENSOR_FUNCTION(log1p, "log1p")
FLAMBEAU_TENSOR_FUNCTION(lgamma, "lgamma")
FLAMBEAU_TENSOR_FUNCTION(i0, "i0")
FLAMBEAU_TENSOR_FUNCTION(i0e, "special.i0e")
FLAMBEAU_TENSOR_FUNCTION(i1, "special.i1")
FLAMBEAU_TENSOR_FUNCTION(i1e, "special.i1e")
FLAMBEAU_TENSOR_FUNCTION(erfcx, "special.erfcx")
FLAMBEAU_TENSOR_FUNCTION(normal_cdf, "special.ndtr")
FLAMBEAU_TENSOR_FUNCTION(is_finite, "isfinite")
#undef FLAMBEAU_TENSOR_FUNCTION
inline Tensor conj(const Tensor& x) {
  static const OpCall f("conj_physical");
  return is_complex(x.dtype()) ? f(x) : x;
}
inline Tensor power(const Tensor& x, const Tensor& z) {
  static const OpCall f("pow");
  return f(x, z);
}
inline Tensor floor_divide(const Tensor& x, const Tensor& z) {
  static const OpCall f("_div_floor");
  return f(x, z);
}
inline Tensor trunc_divide(const Tensor& x, const Tensor& z) {
  static const OpCall f("_div_trunc");
  return f(x, z);
}
inline Tensor zeta(const Tensor& x, const Tensor& z) {
  static const OpCall f("special.zeta");
  return f(x, z);
}
inline Tensor polygamma(double n, const Tensor& x) {
  static const OpCall f("_polygamma");
  return f(x, n);
}
template <class A, class B>
  requires(std::is_same_v<A, Tensor> || std::is_same_v<B, Tensor>)
Tensor where(const Tensor& c, const A& a, const B& b) {
  static const OpCall f("where");
  return f(c, a, b);
}
inline Tensor scaled(const Tensor& g, double p) { return p == 1 ? g : g * p; }

// -- probes ---------------------------------------------------------------------------------------
// A value that remembers which variables went into it, and whether it is still just g.
struct Probe {
  uint32_t reads = 0;
  bool is_g = false;
  Probe() = default;
  Probe(double) {}  // NOLINT: literals stand among the operands
  explicit Probe(uint32_t r, bool g = false) : reads(r), is_g(g) {}
};
template <class... P>
Probe probe_of(const P&... p) {
  return Probe((uint32_t(0) | ... | Probe(p).reads));
}
#define FLAMBEAU_PROBE_OPERATOR(symbol)                            \
  template <class A, class B>                                      \
    requires(std::is_same_v<A, Probe> || std::is_same_v<B, Probe>) \
  Probe operator symbol(const A& a, const B& b) {                  \
    return probe_of(a, b);                                         \
  }
FLAMBEAU_PROBE_OPERATOR(+)
FLAMBEAU_PROBE_OPERATOR(-)
FLAMBEAU_PROBE_OPERATOR(*)
FLAMBEAU_PROBE_OPERATOR(/)
FLAMBEAU_PROBE_OPERATOR(>)
FLAMBEAU_PROBE_OPERATOR(<)
FLAMBEAU_PROBE_OPERATOR(>=)
FLAMBEAU_PROBE_OPERATOR(<=)
FLAMBEAU_PROBE_OPERATOR(&)
FLAMBEAU_PROBE_OPERATOR(|)
#undef FLAMBEAU_PROBE_OPERATOR
inline Probe operator==(const Probe& a, const Probe& b) { return probe_of(a, b); }
inline Probe operator!=(const Probe& a, const Probe& b) { return probe_of(a, b); }
#define FLAMBEAU_PROBE_FUNCTION(name) \
  inline Probe name(const Probe& x) { return probe_of(x); }
FLAMBEAU_PROBE_FUNCTION(operator-)
FLAMBEAU_PROBE_FUNCTION(operator!)
FLAMBEAU_PROBE_FUNCTION(exp)
FLAMBEAU_PROBE_FUNCTION(exp2)
FLAMBEAU_PROBE_FUNCTION(log)
FLAMBEAU_PROBE_FUNCTION(sqrt)
FLAMBEAU_PROBE_FUNCTION(sin)
FLAMBEAU_PROBE_FUNCTION(cos)
FLAMBEAU_PROBE_FUNCTION(sinh)
FLAMBEAU_PROBE_FUNCTION(cosh)
FLAMBEAU_PROBE_FUNCTION(tanh)
FLAMBEAU_PROBE_FUNCTION(rest_of_square)
FLAMBEAU_PROBE_FUNCTION(abs)
FLAMBEAU_PROBE_FUNCTION(sgn)
FLAMBEAU_PROBE_FUNCTION(erf)
FLAMBEAU_PROBE_FUNCTION(erfinv)
FLAMBEAU_PROBE_FUNCTION(sigmoid)
FLAMBEAU_PROBE_FUNCTION(digamma)
FLAMBEAU_PROBE_FUNCTION(trigamma)
FLAMBEAU_PROBE_FUNCTION(log1p)
FLAMBEAU_PROBE_FUNCTION(lgamma)
FLAMBEAU_PROBE_FUNCTION(i0)
FLAMBEAU_PROBE_FUNCTION(i0e)
FLAMBEAU_PROBE_FUNCTION(i1)
FLAMBEAU_PROBE_FUNCTION(i1e)
FLAMBEAU_PROBE_FUNCTION(erfcx)
FLAMBEAU_PROBE_FUNCTION(normal_cdf)
FLAMBEAU_PROBE_FUNCTION(is_finite)
FLAMBEAU_PROBE_FUNCTION(conj)
#undef FLAMBEAU_PROBE_FUNCTION
inline Probe power(const Probe& x, const Probe& z) { return probe_of(x, z); }
inline Probe floor_divide(const Probe& x, const Probe& z) { return probe_of(x, z); }
inline Probe zeta(const Probe& x, const Probe& z) { return probe_of(x, z); }
inline Probe polygamma(double, const Probe& x) { return probe_of(x); }
inline Probe trunc_divide(const Probe& x, const Probe& z) { return probe_of(x, z); }
template <class A, class B>
Probe where(const Probe& c, const A& a, const B& b) {
  return probe_of(c, a, b);
}
inline Probe scaled(const Probe& g, double p) { return p == 1 ? g : probe_of(g); }

// -- both: the same text as in cpu/pointwise_math.h -----------------------------------------------
template <class T>
T sinc_slope(const T& g, const T& x, const T& t) {
  return where(x == 0.0, 0.0,
               g * conj((cos(t) - sin(t) / where(x == 0.0, 1.0, t)) / where(x == 0.0, 1.0, x)));
}
template <class T>
T silu_slope(const T& x, const T& s) {
  return s * (1.0 + x * (1.0 - s));
}
template <class T>
T mish_backward(const T& g, const T& x, const T& t, const T& s) {
  return g * (t + x * s * rest_of_square(t));
}
template <class T>
T gelu_tanh_backward(const T& g, const T& x, const T& t) {
  return g * (0.5 * (1.0 + t) +
              0.5 * x * rest_of_square(t) * 0.7978845608028654 * (1.0 + 0.134145 * x * x));
}
inline Tensor log1p_exp(const Tensor& x) {
  static const OpCall f("nn.functional.softplus");
  return f(x, 1.0, 1e30);
}
inline Probe log1p_exp(const Probe& x) { return probe_of(x); }
Tensor sgn_slope(const Tensor& g, const Tensor& x, const Tensor& y);
inline Probe sgn_slope(const Probe& g, const Probe& x, const Probe& y) { return probe_of(g, x, y); }
Tensor angle_slope(const Tensor& g, const Tensor& x);
inline Probe angle_slope(const Probe& g, const Probe& x) { return probe_of(g, x); }

}  // namespace flambeau
