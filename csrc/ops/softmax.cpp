// Softmax and its logarithm.
#include "../kernels/softmax.h"

#include "expression.h"

namespace flambeau {
namespace {

// The kernel over dim, in float32 or float64; other types are converted there and back.
Tensor run(const Tensor& input, const Tensor* grad, int64_t dim, bool logarithm) {
  const char* op = logarithm ? "log_softmax" : "softmax";
  check(is_floating(input.dtype()), "\"", op, "\" not implemented for '", input.dtype(), "'");
  DType t = input.dtype() == DType::float64 ? DType::float64 : DType::float32;
  Tensor x = input.to_raw(t).contiguous_raw(),
         g = grad ? grad->to_raw(t).contiguous_raw() : Tensor();
  dim = wrap_dim(dim, x.dim());
  Tensor out = empty(x.sizes(), x.options());
  if (out.numel() && !x.is_meta()) {
    SoftmaxArgs a{
        logarithm, t == DType::float64, x.data(), grad ? g.data() : nullptr, out.data(), 1, 1, 1};
    for (int64_t d = 0; d < x.dim(); ++d)
      (d < dim ? a.outer : d == dim ? a.n : a.inner) *= x.sizes()[d];
    softmax_kernel(x.device_type(), a);
  }
  return out.to_raw(input.dtype());
}

template <bool logarithm>
Tensor forward(const Tensor& x, int64_t dim, const std::optional<DType>& dtype) {
  return run(dtype ? x.to_raw(*dtype) : x, nullptr, dim, logarithm);
}

template <bool logarithm>
void backward(Backward& b) {
  static const OpCall sum("sum"), to("to");
  Tensor y = b.out(), g = b.grad();
  int64_t dim = b.arg(1).as_int();
  Tensor r;
  if (!modes().grad)
    r = run(y, &g, dim, logarithm);
  else if (logarithm)
    r = g - exp(y) * sum(g, Ints{dim}, true);
  else
    r = y * (g - sum(g * y, Ints{dim}, true));
  b.set(0, r.dtype() == b.dtype(0) ? r : to(r, b.dtype(0)));
}

}  // namespace

FLAMBEAU_OPS({
    {.schema = "softmax(Tensor input, int dim, *, ScalarType? dtype=None) -> Tensor",
     .forward = native<forward<false>>,
     .backward = backward<false>,
     .saves = "result",
     .doc = "exp(x) divided by its sum along a dimension."},
    {.schema = "log_softmax(Tensor input, int dim, *, ScalarType? dtype=None) -> Tensor",
     .forward = native<forward<true>>,
     .backward = backward<true>,
     .saves = "result",
     .doc = "Logarithm of the softmax, without overflow."},
    {.schema = "special.softmax(Tensor input, int dim, *, ScalarType? dtype=None) -> Tensor",
     .alias = "softmax"},
    {.schema = "special.log_softmax(Tensor input, int dim, *, ScalarType? dtype=None) -> Tensor",
     .alias = "log_softmax"},
});

}  // namespace flambeau
