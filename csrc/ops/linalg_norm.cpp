// Norms of vectors: the length of all elements, or along dimensions.
#include <cmath>

#include "linalg.h"
#include "reduce.h"

namespace flambeau::linalg {
namespace {

const OpCall call_sum("sum");

using MaybeDims = std::optional<Ints>;

// The least of nothing is no number.
void check_not_empty(const Tensor& x, double p, const MaybeDims& dims) {
  if (dims && !dims->empty()) {
    for (int64_t d : *dims)
      check(x.dim() == 0 || x.size(d) != 0, "linalg.vector_norm cannot compute the ", p,
            " norm on the dimension ", d, " because this dimension is empty and the operation ",
            "does not have an identity");
  } else {
    check(x.numel() != 0, "linalg.vector_norm cannot compute the ", p, " norm on an empty tensor ",
          "because the operation does not have an identity");
  }
}

Tensor vector_norm(const Tensor& input, double p, const MaybeDims& dims, bool keepdim,
                   const MaybeType& dtype) {
  static const OpCall low("amin"), high("amax");
  const DType t = dtype.value_or(input.dtype());
  check_inexact(input, "linalg.vector_norm");
  check(is_inexact(t) && is_complex(t) >= is_complex(input.dtype()),
        "linalg.vector_norm: the dtype of the input ", input.dtype(), " should be convertible ",
        "without narrowing to the specified dtype ", t);
  const bool wide = itemsize(t) < 4;  // sums of float16 and bfloat16 are float32's
  const DType in = wide ? DType::float32 : t;
  if ((p == 1 || p == 2) && !is_complex(t)) {  // in one pass
    const Reduction kind = p == 1 ? Reduction::sum_abs : Reduction::sum_squares;
    const Tensor s = reduce_raw(input, kind, dims, keepdim, in, in, "linalg.vector_norm");
    return in_type(p == 1 ? s : sqrt(s), t);
  }
  if (p < 0 || std::isinf(p)) check_not_empty(input, p, dims);
  const Value d = dims ? Value(*dims) : Value();
  const Tensor x = abs(in_type(input, in));
  Tensor y;
  if (std::isinf(p))
    y = (p > 0 ? high : low)(x, dims ? *dims : Ints{}, keepdim);
  else if (p == 0)
    y = call_sum(in_type(!(x == 0.0), x.dtype()), d, keepdim);
  else if (p == 1)
    y = call_sum(x, d, keepdim);
  else if (p == 2)
    y = sqrt(call_sum(x * x, d, keepdim));
  else
    y = power(call_sum(power(x, scalar_tensor(p, x.options())), d, keepdim),
              scalar_tensor(1 / p, x.options()));
  return in_type(y, to_real(t));
}

// With its dimensions back, for tensors of those sizes.
Tensor kept(const Tensor& t, const Ints& sizes, const Value& dims, bool keepdim) {
  static const OpCall reshape("reshape");
  if (keepdim || t.dim() == static_cast<int64_t>(sizes.size())) return t;
  Ints all(sizes);
  const bool some = !dims.is_none() && !dims.as_ints().empty();
  for (size_t d = 0; d < all.size() && !some; ++d) all[d] = 1;
  for (size_t i = 0; some && i < dims.as_ints().size(); ++i)
    all[wrap_dim(dims.as_ints()[i], static_cast<int64_t>(all.size()))] = 1;
  return reshape(t, all);
}

// sgn(x) (|x| / norm)^(p - 1); 0 where the norm is 0, and where x is.
void vector_norm_back(Backward& b) {
  const double p = b.arg(1).as_double();
  const DType own = b.dtype(0);
  const bool keepdim = b.arg(3).as_bool();
  const Tensor norm = kept(b.out(0), b.sizes(0), b.arg(2), keepdim);
  const Tensor g = kept(b.grad(), b.sizes(0), b.arg(2), keepdim);
  const Tensor x = b.arg(4).is_none() ? b.in(0) : in_type(b.in(0), b.arg(4).as_dtype());
  Tensor out;
  if (p == 0) {
    out = sgn(x) * g * 0.0;
  } else if (p == 1) {
    out = sgn(x) * g;
  } else if (p == 2) {
    const Tensor none = norm == 0.0;
    out = x * where(none, 0.0, g / where(none, 1.0, norm));
  } else if (std::isinf(p)) {
    const Tensor hit = in_type(abs(x) == norm, norm.dtype());
    const Value d = b.arg(2);
    out = sgn(x) * (hit * (g / call_sum(hit, d, true)));
  } else {
    const Tensor none = norm == 0.0;
    const Tensor part = abs(x) / where(none, 1.0, norm);
    const Tensor power_of = where(x == 0.0, 1.0, part);
    out = sgn(x) * power(power_of, scalar_tensor(p - 1, norm.options())) * where(none, 0.0, g);
  }
  b.set(0, in_type(out, own));
}

FLAMBEAU_OPS{{.schema = "linalg.vector_norm(Tensor input, float ord=2, int[1]? dim=None, "
                        "bool keepdim=False, *, ScalarType? dtype=None) -> Tensor",
              .forward = native<vector_norm>,
              .backward = vector_norm_back,
              .saves = "input, result",
              .doc = "(sum |x|^ord)^(1/ord) over the given dimensions, or all."}};

}  // namespace
}  // namespace flambeau::linalg
