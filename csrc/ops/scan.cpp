// Running sums along a dimension: cumsum, cumprod, logcumsumexp.
#include <limits>

#include "../stored.h"
#include "expression.h"
#include "reduce.h"

namespace flambeau {
namespace {

const OpCall call_sum("sum"), call_flip("flip"), call_cumsum("cumsum"), call_cumprod("cumprod"),
    call_narrow("narrow");

Tensor scan(const Tensor& x, int64_t dim, const MaybeType& dtype, Scan kind) {
  DType t = sum_type(x, dtype);
  Compute compute = compute_of(t);
  dim = wrap_dim(dim, x.dim());
  Tensor in = x.to_raw(t).to_raw(memory_of(compute)).contiguous_raw();
  Tensor out = empty(x.sizes(), in.options());
  if (out.numel() && !x.is_meta()) {
    ScanArgs a{kind, compute, in.data(), out.data(), 1, 1, 1};
    for (int64_t d = 0; d < x.dim(); ++d)
      (d < dim ? a.outer : d == dim ? a.n : a.inner) *= x.sizes()[d];
    scan_kernel(x.device_type(), a);
  }
  return out.to_raw(t);
}
Tensor cumsum(const Tensor& x, int64_t dim, const MaybeType& dtype) {
  return scan(x, dim, dtype, Scan::sum);
}
Tensor cumprod(const Tensor& x, int64_t dim, const MaybeType& dtype) {
  return scan(x, dim, dtype, Scan::prod);
}
Tensor logcumsumexp(const Tensor& x, int64_t dim) {
  check_implemented(is_inexact(x.dtype()), "logcumsumexp", x.dtype());
  return scan(x, dim, std::nullopt, Scan::logsumexp);
}
Tensor turned_sum(const Tensor& g, int64_t dim) {  // each element and all that follow
  if (g.dim() == 0) return g;
  return call_flip(call_cumsum(call_flip(g, Ints{dim}), dim), Ints{dim});
}
void cumsum_backward(Backward& b) {
  b.set(0, in_type(turned_sum(b.grad(), b.arg(1).as_int()), b.dtype(0)));
}
// d y_j / d x_i is the product up to j without x_i: for each i, the others' products one zero-safe
// way.
Tensor cumprod_slope(const Tensor& g, const Tensor& x, int64_t dim) {
  static const OpCall cat("cat"), product("prod");
  const int64_t n = x.size(dim);
  TensorList parts;
  for (int64_t i = 0; i < n; ++i) {
    Tensor tail = call_narrow(g, dim, i, n - i);
    Ints one = x.sizes();
    one[dim] = 1;
    Tensor ones = full(one, 1, x.options());
    Tensor rest =
        i + 1 < n
            ? cat(TensorList{ones, call_cumprod(call_narrow(x, dim, i + 1, n - i - 1), dim)}, dim)
            : ones;
    Tensor part = call_sum(tail * conj(rest), Ints{dim}, true);
    if (i > 0) part = part * conj(product(call_narrow(x, dim, 0, i), dim, true));
    parts.push_back(part);
  }
  return n ? cat(parts, dim) : g;
}
// Whether an element is zero, or cannot be looked at.
bool may_have_zeros(const Tensor& x) {
  static const OpCall any("any"), same("eq");
  if (x.is_meta() || modes().transforms || modes().dispatch) return true;
  const NoGrad off;
  return item(any(same(x, 0.0))).i != 0;
}
// Where nothing is zero, the product without x_i is y_j / x_i. A line's first zero leaves a slope
// to what is before it, which y_j / x_i still says, and to itself alone.
void cumprod_backward(Backward& b) {
  const Tensor x = in_type(b.in(0), b.grad().dtype()), g = b.grad();
  if (x.dim() == 0) return b.set(0, in_type(g, b.dtype(0)));
  const int64_t dim = wrap_dim(b.arg(1).as_int(), x.dim());
  const bool zeros = may_have_zeros(x);
  if (modes().grad && zeros) return b.set(0, in_type(cumprod_slope(g, x, dim), b.dtype(0)));
  Tensor slope = turned_sum(g * conj(in_type(b.out(), g.dtype())), dim) / conj(x);
  if (zeros) {
    const Tensor zero = x == 0.0, first = zero & (call_cumsum(zero, dim) == 1.0);
    const Tensor others = call_cumprod(where(first, 1.0, x), dim);
    slope = where(zero, where(first, turned_sum(g * conj(others), dim), 0.0), slope);
  }
  b.set(0, in_type(slope, b.dtype(0)));
}
void logcumsumexp_backward(Backward& b) {
  Tensor x = b.in(0), y = b.out(), g = b.grad();
  if (x.dim() == 0) return b.set(0, g);
  int64_t dim = b.arg(1).as_int();
  static const OpCall lcse("logcumsumexp");
  constexpr double none = -std::numeric_limits<double>::infinity();
  // What has no gradient adds exp(-inf), and nothing to a second derivative.
  auto part = [&](const Tensor& h, const Tensor& absent) {
    Tensor l = where(absent, none, log(where(absent, 1.0, h)) - conj(y));
    return exp(call_flip(lcse(call_flip(l, Ints{dim}), dim), Ints{dim}) + conj(x));
  };
  if (is_complex(x.dtype())) return b.set(0, part(g, g == 0.0));
  // Positive and negative parts of g apart, each in logarithms: no overflow.
  Tensor up = part(g, g <= 0.0), down = part(-g, g >= 0.0);
  b.set(0, up - down);
}

FLAMBEAU_OPS({
    {.schema = "cumsum(Tensor input, int dim, *, ScalarType? dtype=None) -> Tensor",
     .forward = native<cumsum>,
     .backward = cumsum_backward,
     .flags = kCastsOut | kInplace | kReadsAlong,
     .doc = "Running sum along a dimension."},
    {.schema = "cumprod(Tensor input, int dim, *, ScalarType? dtype=None) -> Tensor",
     .forward = native<cumprod>,
     .backward = cumprod_backward,
     .saves = "input, result",
     .flags = kCastsOut | kInplace | kReadsAlong,
     .doc = "Running product along a dimension."},
    {.schema = "logcumsumexp(Tensor input, int dim) -> Tensor",
     .forward = native<logcumsumexp>,
     .backward = logcumsumexp_backward,
     .saves = "input, result",
     .doc = "Running logsumexp along a dimension."},
});

}  // namespace
}  // namespace flambeau
