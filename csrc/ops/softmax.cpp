// Softmax and its logarithm.
#include "../kernels/softmax.h"
#include "../stored.h"

#include "expression.h"

namespace flambeau {
namespace {

// The kernel over dim; types and orders that it does not take are converted there and back.
Tensor run(const Tensor& input, const Tensor* grad, int64_t dim, bool logarithm) {
  const char* op = logarithm ? "log_softmax" : "softmax";
  check_implemented(is_floating(input.dtype()), op, input.dtype());
  dim = wrap_dim(dim, input.dim());
  SoftmaxArgs a{logarithm, input.dtype(), nullptr, nullptr, nullptr, 1, 1, 1};
  for (int64_t d = 0; d < input.dim(); ++d)
    (d < dim ? a.outer : d == dim ? a.n : a.inner) *= input.sizes()[d];
  if (itemsize(a.dtype) < 4 && (a.inner != 1 || itemsize(a.dtype) == 1)) a.dtype = DType::float32;
  Tensor x = input.to_raw(a.dtype).contiguous_raw(),
         g = grad ? grad->to_raw(a.dtype).contiguous_raw() : Tensor();
  Tensor out = empty(x.sizes(), x.options());
  if (out.numel() && !x.is_meta()) {
    a.x = x.data();
    a.g = grad ? g.data() : nullptr;
    a.out = out.data();
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
    {.schema = "softmax(Tensor input, int dim, ScalarType? dtype=None) -> Tensor",
     .forward = native<forward<false>>,
     .backward = backward<false>,
     .saves = "result",
     .doc = "exp(x) divided by its sum along a dimension."},
    {.schema = "log_softmax(Tensor input, int dim, ScalarType? dtype=None) -> Tensor",
     .forward = native<forward<true>>,
     .backward = backward<true>,
     .saves = "result",
     .doc = "Logarithm of the softmax, without overflow."},
    {.schema = "special.softmax(Tensor input, int dim, ScalarType? dtype=None) -> Tensor",
     .alias = "softmax"},
    {.schema = "special.log_softmax(Tensor input, int dim, ScalarType? dtype=None) -> Tensor",
     .alias = "log_softmax"},
});

}  // namespace flambeau
