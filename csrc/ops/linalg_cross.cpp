// The cross product of vectors of three numbers.
#include "../parallel.h"
#include "../stored.h"
#include "linalg.h"
#include "shape.h"

namespace flambeau::linalg {
namespace {

// x, y and out: [outer, 3, inner].
template <class T>
void products(const T* x, const T* y, T* out, int64_t outer, int64_t n) {
  using W = std::conditional_t<is_reduced_float<T>, float, T>;
  parallel_for(0, outer, 4096 / n + 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin * 3 * n; i < end * 3 * n; i += 3 * n)
      for (int64_t k = i; k < i + n; ++k) {
        const W a = static_cast<W>(x[k]), b = static_cast<W>(x[k + n]),
                c = static_cast<W>(x[k + 2 * n]), p = static_cast<W>(y[k]),
                q = static_cast<W>(y[k + n]), r = static_cast<W>(y[k + 2 * n]);
        out[k] = static_cast<T>(b * r - c * q);
        out[k + n] = static_cast<T>(c * p - a * r);
        out[k + 2 * n] = static_cast<T>(a * q - b * p);
      }
  });
}

Tensor cross(const Tensor& x, const Tensor& y, int64_t dim) {
  check(x.dim() == y.dim(), "linalg.cross: inputs must have the same number of dimensions.");
  check_index(x.dim() > 0, "Dimension specified as ", dim, " but tensor has no dimensions");
  dim = wrap_dim(dim, x.dim());
  check(x.size(dim) == 3 && y.size(dim) == 3, "linalg.cross: inputs dimension ", dim,
        " must have length 3. Got ", x.size(dim), " and ", y.size(dim));
  check(x.dtype() == y.dtype(), "expected scalar type ", x.dtype(), " but found ", y.dtype());
  const Ints sizes = broadcast_shapes(x.sizes(), y.sizes(), "linalg.cross");
  const Tensor out = empty(sizes, x.options());
  int64_t outer = 1, inner = 1;
  for (int64_t d = 0; d < out.dim(); ++d)
    if (d != dim) (d < dim ? outer : inner) *= sizes[d];
  const bool known = visit(x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    if constexpr (std::is_same_v<T, bool>) {
      return false;
    } else {
      if (out.is_meta() || out.numel() == 0) return true;
      const Tensor a = expand_raw(x, sizes).contiguous_raw(),
                   b = expand_raw(y, sizes).contiguous_raw();
      products(a.data<T>(), b.data<T>(), out.data<T>(), outer, inner);
      return true;
    }
  });
  check_implemented(known, "cross", DType::boolean);
  return out;
}

// (x + dx) x y - x x y = dx x y, whose product with g is that of dx with y x g.
void cross_backward(Backward& b) {
  static const OpCall cross("linalg.cross"), conj("conj"), sum_to("sum_to_size");
  const auto mirrored = [&](int i) {
    const Tensor t = b.in(i);
    return is_complex(t.dtype()) ? conj(t) : t;
  };
  const Tensor& g = b.grad();
  if (b.needs(0)) b.set(0, sum_to(cross(mirrored(1), g, b.arg(2)), b.sizes(0)));
  if (b.needs(1)) b.set(1, sum_to(cross(g, mirrored(0), b.arg(2)), b.sizes(1)));
}

FLAMBEAU_OPS{
    {.schema = "linalg.cross(Tensor input, Tensor other, *, int dim=-1) -> Tensor",
     .forward = native<cross>,
     .backward = cross_backward,
     .saves = "input for other, other for input",
     .flags = kNoMethod,
     .doc = "The cross product of vectors of three elements along a dimension."},
};

}  // namespace
}  // namespace flambeau::linalg
