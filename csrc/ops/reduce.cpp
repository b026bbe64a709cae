// Reductions: sum, mean, prod, extremes, any, all, variance, norms.
#include "../kernels/reduce.h"

#include <algorithm>
#include <cmath>

#include "../pointwise.h"
#include "../stored.h"
#include "expression.h"
#include "fold.h"
#include "reduce.h"
#include "shape.h"

namespace flambeau {
namespace {

using MaybeInts = std::optional<Ints>;

const OpCall call_sum("sum"), call_to("to"), call_reshape("reshape"), call_expand("expand"),
    call_mean("mean"), call_unsqueeze("unsqueeze"), call_scatter("scatter"), call_flip("flip"),
    call_cumsum("cumsum"), call_cumprod("cumprod"), call_pow("pow"), call_narrow("narrow"),
    call_where("where"), call_amax("amax");

// The dimensions to reduce, as bits; none given or an empty list: all of them.
uint64_t dim_bits(const MaybeInts& dims, int64_t ndim, const char* op, bool empty_is_all = true) {
  uint64_t bits = 0;
  check(ndim <= 64, op, "(): tensors of more than 64 dimensions are not supported");
  if (!dims || (dims->empty() && empty_is_all))
    return ndim == 64 ? ~uint64_t(0) : (uint64_t(1) << ndim) - 1;
  for (int64_t d : wrap_dims(*dims, ndim, op)) bits |= uint64_t(1) << d;
  return bits;
}

Ints reduced_sizes(const Tensor& x, uint64_t bits, bool keepdim) {
  Ints out;
  for (int64_t d = 0; d < x.dim(); ++d) {
    if (!(bits >> d & 1))
      out.push_back(x.sizes()[d]);
    else if (keepdim)
      out.push_back(1);
  }
  return out;
}

int64_t reduced_count(const Tensor& x, uint64_t bits) {
  int64_t n = 1;
  for (int64_t d = 0; d < x.dim(); ++d)
    if (bits >> d & 1) n *= x.sizes()[d];
  return n;
}

// What combines the results of reductions of one kind.
Reduction combined(Reduction kind) {
  switch (kind) {
    case Reduction::sum_squares:
    case Reduction::sum_abs:
    case Reduction::sum_numbers:
    case Reduction::count_nonzero: return Reduction::sum;
    default: return kind;
  }
}

// x reduced to the shape of out, contiguous and of the compute type. Where the dimensions do not
// lie side by side, those behind the others come first, and what is left of them after.
void reduce_into(const Tensor& out, Tensor x, Reduction kind, uint64_t bits, Compute compute,
                 const Tensor* center) {
  if (!center) x = in_memory_order(x, bits);
  if (!center && x.is_contiguous() && !lie_together(x, bits)) {
    const uint64_t group = last_group(x, bits);
    const Tensor part = empty(reduced_sizes(x, group, true), out.options());
    reduce_into(part, x, kind, group, compute, nullptr);
    return reduce_into(out, part, combined(kind), bits & ~group, compute, nullptr);
  }
  const Folded f = fold_dims(x, bits, x.dtype() == memory_of(compute));
  const Tensor c = center ? center->to_raw(DType::float64).contiguous_raw() : Tensor();
  ReduceArgs a{kind,    compute, f.x.dtype(), static_cast<const char*>(f.x.data()), out.data(),
               f.outer, f.n,     f.inner,     center ? c.data<double>() : nullptr,  f.pitch,
               f.step};
  if (compute == Compute::c128 && kind == Reduction::sum && is_complex(a.dtype)) {
    // Both parts by themselves, as two columns.
    const bool single = out.dtype() == DType::complex64;
    a.compute = single ? Compute::f32 : Compute::f64;
    a.dtype = a.dtype == DType::complex64 ? DType::float32 : DType::float64;
    a.inner *= 2;
  }
  reduce_kernel(x.device_type(), a);
}

// The reduction in the compute type of `in`, then in dtype `result`.
Tensor reduce(const Tensor& x, Reduction kind, uint64_t bits, bool keepdim, DType in, DType result,
              const Tensor* center = nullptr) {
  Compute compute = compute_of(in);
  Ints sizes = reduced_sizes(x, bits, keepdim);
  const bool narrow = kind == Reduction::sum && in == DType::complex64 && x.dtype() == in;
  Tensor out = empty(sizes, {narrow ? in : memory_of(compute), x.device()});
  if (out.numel() && !x.is_meta()) {
    if (reduced_count(x, bits) == 0)
      fill(out, kind == Reduction::prod || kind == Reduction::all ? 1 : 0);
    else
      reduce_into(out, x, kind, bits, compute, center);
  }
  return out.to_raw(result);
}

// g, of the reduced shape, spread over the original one again.
Tensor spread(const Tensor& g, const Ints& sizes, uint64_t bits, bool keepdim) {
  Tensor r = g;
  if (!keepdim) {
    Ints kept;
    for (size_t d = 0; d < sizes.size(); ++d) kept.push_back(bits >> d & 1 ? 1 : sizes[d]);
    r = call_reshape(r, kept);
  }
  return call_expand(r, sizes);
}

MaybeInts ints_of(const Value& v) {
  if (v.is_none()) return std::nullopt;
  if (v.tag() == Value::scalar) return Ints{v.as_int()};
  return v.as_ints();
}
uint64_t bits_of(Backward& b, int i, int arg = 1) {
  return dim_bits(ints_of(b.arg(arg)), static_cast<int64_t>(b.sizes(i).size()), "backward");
}
int64_t count_of(const Ints& sizes, uint64_t bits) {
  int64_t n = 1;
  for (size_t d = 0; d < sizes.size(); ++d)
    if (bits >> d & 1) n *= sizes[d];
  return n;
}

// -- sum, mean, prod ------------------------------------------------------------------------------
Tensor sum(const Tensor& x, const MaybeInts& dims, bool keepdim, const MaybeType& dtype) {
  DType t = sum_type(x, dtype);
  DType in = is_inexact(x.dtype()) ? promote(x.dtype(), t) : t;
  return reduce(x, Reduction::sum, dim_bits(dims, x.dim(), "sum"), keepdim, in, t);
}

Tensor nansum(const Tensor& x, const MaybeInts& dims, bool keepdim, const MaybeType& dtype) {
  const DType t = sum_type(x, dtype);
  check(!is_complex(x.dtype()) && !is_complex(t), "nansum(): does not support complex inputs");
  const DType in = is_floating(x.dtype()) ? promote(x.dtype(), t) : t;
  const Reduction kind = is_floating(x.dtype()) ? Reduction::sum_numbers : Reduction::sum;
  return reduce(x, kind, dim_bits(dims, x.dim(), "nansum"), keepdim, in, t);
}

Tensor mean(const Tensor& x, const MaybeInts& dims, bool keepdim, const MaybeType& dtype) {
  DType t = dtype.value_or(x.dtype());
  check(is_inexact(t),
        "mean(): could not infer output dtype. Input dtype must be either a floating "
        "point or complex dtype. Got: ",
        t);
  uint64_t bits = dim_bits(dims, x.dim(), "mean");
  DType in = is_inexact(x.dtype()) ? promote(x.dtype(), t) : t;
  Tensor total = reduce(x, Reduction::sum, bits, keepdim, in, memory_of(compute_of(in)));
  NoGrad off;
  static const OpCall divide("div");
  return divide(total, static_cast<double>(reduced_count(x, bits))).to_raw(t);
}

Tensor prod(const Tensor& x, const std::optional<int64_t>& dim, bool keepdim,
            const MaybeType& dtype) {
  DType t = sum_type(x, dtype);
  DType in = is_inexact(x.dtype()) ? promote(x.dtype(), t) : t;
  MaybeInts dims = dim ? MaybeInts(Ints{*dim}) : std::nullopt;
  return reduce(x, Reduction::prod, dim_bits(dims, x.dim(), "prod"), keepdim, in, t);
}

// Products of all the others along dim, zeros or not: those before times those after.
Tensor others(const Tensor& x, int64_t dim) {
  int64_t n = x.size(dim);
  if (n == 0) return x;
  Ints one = x.sizes();
  one[dim] = 1;
  static const OpCall cat("cat");
  Tensor ones = full(one, 1, x.options());
  Tensor before = cat(TensorList{ones, call_narrow(call_cumprod(x, dim), dim, 0, n - 1)}, dim);
  Tensor turned = call_flip(x, Ints{dim});
  Tensor after = cat(TensorList{ones, call_narrow(call_cumprod(turned, dim), dim, 0, n - 1)}, dim);
  return before * call_flip(after, Ints{dim});
}

void prod_backward(Backward& b) {
  Tensor x = in_type(b.in(0), b.grad().dtype());
  Tensor g;
  if (b.has(1)) {
    int64_t dim = wrap_dim(b.arg(1).as_int(), x.dim());
    if (x.dim() == 0) {
      g = b.grad();
    } else {
      bool keepdim = b.arg(2).as_bool();
      g = (keepdim ? b.grad() : call_unsqueeze(b.grad(), dim)) * conj(others(x, dim));
    }
  } else {
    Tensor flat = call_reshape(x, Ints{-1});
    g = call_reshape(b.grad() * conj(others(flat, 0)), b.sizes(0));
  }
  b.set(0, in_type(g, b.dtype(0)));
}

// -- extremes -------------------------------------------------------------------------------------
void refuse_empty(const Tensor& x, uint64_t bits, const char* op) {
  for (int64_t d = 0; d < x.dim(); ++d)
    check_index(!(bits >> d & 1) || x.sizes()[d] > 0 || x.is_meta(), op,
                "(): Expected reduction dim ", d, " to have non-zero size.");
}
void refuse_complex(const Tensor& x, const char* op) {
  check_implemented(!is_complex(x.dtype()), op, x.dtype());
}

template <Reduction K>
Tensor extreme(const Tensor& x, const MaybeInts& dims, bool keepdim) {
  const char* op = K == Reduction::max ? "amax" : "amin";
  refuse_complex(x, op);
  uint64_t bits = dim_bits(dims, x.dim(), op);
  refuse_empty(x, bits, op);
  return reduce(x, K, bits, keepdim, x.dtype(), x.dtype());
}
template <Reduction K>
Tensor extreme_all(const Tensor& x) {
  const char* op = K == Reduction::max ? "max" : "min";
  refuse_complex(x, op);
  check(x.numel() > 0, op,
        "(): Expected reduction dim to be specified for input.numel() == 0. Specify "
        "the reduction dim with the 'dim' argument.");
  return reduce(x, K, dim_bits(std::nullopt, x.dim(), op), false, x.dtype(), x.dtype());
}
// Equal extremes share the gradient.
void extreme_all_backward(Backward& b) { b.set(0, shared_gradient(b.grad(), b.in(0), b.out())); }
void extreme_backward(Backward& b) {
  uint64_t bits = bits_of(b, 0);
  bool keepdim = b.arg(2).as_bool();
  Tensor x = b.in(0), hit = in_type(x == spread(b.out(), x.sizes(), bits, keepdim), x.dtype());
  Ints dims;
  for (int64_t d = 0; d < x.dim(); ++d)
    if (bits >> d & 1) dims.push_back(d);
  Tensor shares = x.dim() ? call_sum(hit, dims, true) : hit;
  b.set(0, spread(b.grad(), x.sizes(), bits, keepdim) * (hit / shares));
}

// Rows with dim last, and where the results go back to.
struct Rows {
  Tensor x;  // [..., n] contiguous
  Ints sizes;
};
Rows rows_of(const Tensor& x, int64_t dim) {
  Tensor r = x.dim() ? x : x.as_strided_raw(Ints{1}, Ints{1}, x->offset);
  Ints sizes, strides;
  for (int64_t d = 0; d < r.dim(); ++d) {
    if (d == dim) continue;
    sizes.push_back(r.sizes()[d]);
    strides.push_back(r.strides()[d]);
  }
  Ints kept = sizes;
  sizes.push_back(r.sizes()[dim]);
  strides.push_back(r.strides()[dim]);
  return {r.as_strided_raw(sizes, strides, r->offset).contiguous_raw(), kept};
}

std::tuple<Tensor, Tensor> with_position(const Tensor& x, int64_t dim, bool keepdim, bool greatest,
                                         const char* op) {
  refuse_complex(x, op);
  dim = wrap_dim(dim, x.dim());
  if (x.dim()) refuse_empty(x, uint64_t(1) << dim, op);
  Compute compute = compute_of(x.dtype());
  Rows rows = rows_of(x, dim);
  Ints sizes = x.dim() ? rows.sizes : Ints{};
  if (keepdim && x.dim()) sizes.insert(static_cast<size_t>(dim), 1);
  Tensor values = empty(sizes, {memory_of(compute), x.device()});
  Tensor index = empty(sizes, {DType::int64, x.device()});
  if (index.numel() && !x.is_meta()) {
    ArgReduceArgs a{greatest,
                    compute,
                    x.dtype(),
                    static_cast<const char*>(rows.x.data()),
                    index.data<int64_t>(),
                    values.data(),
                    index.numel(),
                    rows.x.size(-1)};
    arg_reduce_kernel(x.device_type(), a);
  }
  return {values.to_raw(x.dtype()), index};
}
std::tuple<Tensor, Tensor> max_dim(const Tensor& x, int64_t dim, bool keepdim) {
  return with_position(x, dim, keepdim, true, "max");
}
std::tuple<Tensor, Tensor> min_dim(const Tensor& x, int64_t dim, bool keepdim) {
  return with_position(x, dim, keepdim, false, "min");
}
void max_dim_backward(Backward& b) {
  const Ints& sizes = b.sizes(0);
  Tensor g = b.grad(), index = b.out(1);
  if (!g.defined()) return;
  int64_t ndim = static_cast<int64_t>(sizes.size()), dim = wrap_dim(b.arg(1).as_int(), ndim);
  if (ndim == 0) return b.set(0, g);
  if (!b.arg(2).as_bool()) {
    g = call_unsqueeze(g, dim);
    index = call_unsqueeze(index, dim);
  }
  b.set(0, call_scatter(zeros(sizes, g.options()), dim, index, g));
}

template <bool greatest>
Tensor position(const Tensor& x, const std::optional<int64_t>& dim, bool keepdim) {
  const char* op = greatest ? "argmax" : "argmin";
  if (dim) return std::get<1>(with_position(x, *dim, keepdim, greatest, op));
  check_index(x.numel() > 0, op,
              "(): Expected reduction dim to be specified for input.numel() == 0. Specify "
              "the reduction dim with the 'dim' argument.");
  Tensor index =
      std::get<1>(with_position(reshape_raw(x, Ints{x.numel()}), 0, false, greatest, op));
  return keepdim ? reshape_raw(index, Ints(static_cast<size_t>(x.dim()), 1)) : index;
}

std::tuple<Tensor, Tensor> aminmax(const Tensor& x, const std::optional<int64_t>& dim,
                                   bool keepdim) {
  static const OpCall low("amin"), high("amax");
  check(dim || x.numel() > 0,
        "aminmax(): cannot compute aminmax over an empty dimension as the operation has no "
        "identity.");
  Value dims = dim ? Value(Ints{*dim}) : Value(Ints{});
  return {low(x, dims, keepdim), high(x, dims, keepdim)};
}

// -- any, all, count ------------------------------------------------------------------------------
template <Reduction K>
Tensor truth(const Tensor& x, const MaybeInts& dims, bool keepdim) {
  Tensor t = is_complex(x.dtype()) ? x.to_raw(DType::boolean) : x;
  DType result = x.dtype() == DType::uint8 ? DType::uint8 : DType::boolean;
  bool listed = dims && !dims->empty();
  uint64_t bits =
      dims && !listed ? 0 : dim_bits(dims, x.dim(), K == Reduction::any ? "any" : "all");
  return reduce(t, K, bits, keepdim, t.dtype(), result);
}
Tensor count_nonzero(const Tensor& x, const MaybeInts& dims) {
  Tensor t = x.to_raw(DType::boolean);
  return reduce(t, Reduction::count_nonzero, dim_bits(dims, x.dim(), "count_nonzero"), false,
                DType::int64, DType::int64);
}

// -- variance -------------------------------------------------------------------------------------
using Correction = std::optional<double>;
// Whether sums of squares taken in float32 may have left its range.
bool left_range(const Tensor& squares) {
  const double* s = squares.data<double>();
  return !std::all_of(s, s + squares.numel(), [](double v) { return v > 1e-30 && v < 1e37; });
}

// The mean of squared distances to the mean, as float64.
Tensor mean_square(const Tensor& x, uint64_t bits, double correction, bool keepdim, DType in) {
  const auto n = static_cast<double>(reduced_count(x, bits));
  Tensor center = reduce(x, Reduction::sum, bits, keepdim, in, DType::float64) * (1.0 / n);
  Tensor squares = reduce(x, Reduction::sum_squares, bits, keepdim, in, DType::float64, &center);
  if (in == DType::float32 && !x.is_meta() && left_range(squares))
    return mean_square(x, bits, correction, keepdim, DType::float64);
  return squares / std::max(n - correction, 0.0);
}

template <bool root>
Tensor variance(const Tensor& x, const MaybeInts& dims, Correction correction, bool keepdim) {
  check(is_inexact(x.dtype()), "std and var only support floating point and complex dtypes");
  uint64_t bits = dim_bits(dims, x.dim(), "var");
  NoGrad off;
  const double c = correction.value_or(1);
  if (is_complex(x.dtype())) {
    static const OpCall re("real"), im("imag"), var("var");
    const Tensor both = var(re(x), dims, c, keepdim) + var(im(x), dims, c, keepdim);
    return root ? sqrt(both) : both;
  }
  const Tensor squares = mean_square(x, bits, c, keepdim, memory_of(compute_of(x.dtype())));
  return (root ? sqrt(squares) : squares).to_raw(x.dtype());
}
Tensor centered(const Tensor& x, uint64_t bits) {
  Ints dims;
  for (int64_t d = 0; d < x.dim(); ++d)
    if (bits >> d & 1) dims.push_back(d);
  return x - call_mean(x, dims, true);
}
Tensor variance_slope(Backward& b, const Tensor& g) {
  uint64_t bits = bits_of(b, 0);
  Tensor x = b.in(0);
  double correction = b.has(2) ? b.arg(2).as_double() : 1;
  double freedom = std::max(static_cast<double>(count_of(x.sizes(), bits)) - correction, 0.0);
  return spread(g, x.sizes(), bits, b.arg(3).as_bool()) * (centered(x, bits) * (2.0 / freedom));
}
void variance_backward(Backward& b) { b.set(0, variance_slope(b, b.grad())); }
void deviation_backward(Backward& b) {
  Tensor y = b.out();
  b.set(0, variance_slope(b, where(y == 0.0, 0.0, b.grad() / (y * 2.0))));
}
double correction_of(bool unbiased) { return unbiased ? 1 : 0; }
const OpCall call_var("var"), call_std("std");
Tensor var_unbiased(const Tensor& x, bool unbiased) {
  return call_var(x, Value(), correction_of(unbiased), false);
}
Tensor std_unbiased(const Tensor& x, bool unbiased) {
  return call_std(x, Value(), correction_of(unbiased), false);
}
Tensor var_dims(const Tensor& x, const MaybeInts& dims, bool unbiased, bool keepdim) {
  return call_var(x, dims, correction_of(unbiased), keepdim);
}
Tensor std_dims(const Tensor& x, const MaybeInts& dims, bool unbiased, bool keepdim) {
  return call_std(x, dims, correction_of(unbiased), keepdim);
}
// var_mean and std_mean: `spread` is var or std.
template <const OpCall& spread>
std::tuple<Tensor, Tensor> with_mean(const Tensor& x, const MaybeInts& dims, Correction correction,
                                     bool keepdim) {
  return {spread(x, dims, correction.value_or(1), keepdim), call_mean(x, dims, keepdim)};
}
template <const OpCall& spread>
std::tuple<Tensor, Tensor> with_mean_unbiased(const Tensor& x, bool unbiased) {
  return with_mean<spread>(x, std::nullopt, correction_of(unbiased), false);
}
template <const OpCall& spread>
std::tuple<Tensor, Tensor> with_mean_dims(const Tensor& x, const MaybeInts& dims, bool unbiased,
                                          bool keepdim) {
  return with_mean<spread>(x, dims, correction_of(unbiased), keepdim);
}

Tensor logsumexp(const Tensor& x, const Ints& dims, bool keepdim) {
  NoGrad off;
  Tensor v = is_inexact(x.dtype()) ? x : x.to_raw(default_dtype());
  if (v.dim() == 0 && !is_complex(v.dtype())) return v.clone_raw();
  if (v.numel() == 0) return log(call_sum(exp(v), dims, keepdim));
  static const OpCall finite("isinf");
  static const OpCall real_part("real");
  Tensor top = call_amax(is_complex(v.dtype()) ? real_part(v) : v, dims, true);
  top = where(finite(top), 0.0, top);
  Tensor total = log(call_sum(exp(v - top), dims, true)) + top;
  return keepdim
             ? total
             : reshape_raw(total, reduced_sizes(v, dim_bits(dims, v.dim(), "logsumexp"), false));
}
void logsumexp_backward(Backward& b) {
  Tensor x = b.in(0);
  uint64_t bits = bits_of(b, 0);
  bool keepdim = b.arg(2).as_bool();
  b.set(0, spread(b.grad(), x.sizes(), bits, keepdim) *
               conj(exp(x - spread(b.out(), x.sizes(), bits, keepdim))));
}

Tensor sum_to_size(const Tensor& x, const Ints& size) {
  Ints shape = broadcast_shapes(x.sizes(), size, "sum_to_size");
  check(shape == x.sizes(), "sum_to_size(): size ", size, " is not expandable to size ", x.sizes());
  if (!is_inexact(x.dtype()) && x.dtype() != DType::int64 && (size.empty() || !(size == x.sizes())))
    return sum_to_size(x.to_raw(DType::int64), size);
  return reduce_gradient(x, size, x.dtype());
}

}  // namespace

Tensor shared_gradient(const Tensor& g, const Tensor& x, const Tensor& value) {
  Tensor hit = x == value;
  if (is_floating(x.dtype())) hit = hit | ((x != x) & (value != value));
  hit = in_type(hit, x.dtype());
  return g * (hit / call_sum(hit));
}

Tensor reduce_raw(const Tensor& x, Reduction kind, const std::optional<Ints>& dims, bool keepdim,
                  DType in, DType result, const char* op) {
  return reduce(x, kind, dim_bits(dims, x.dim(), op), keepdim, in, result);
}

#define DIMS "int[1]? dim=None, bool keepdim=False"
#define FLAMBEAU_WITH_MEAN(name, spread, text)                                                     \
  {.schema = name                                                                                  \
   "(Tensor input, int[1]? dim=None, *, float? correction=None, bool keepdim=False) -> "           \
   "(Tensor, Tensor)",                                                                             \
   .forward = native<with_mean<spread>>,                                                           \
   .flags = kComposite | kNoMethod,                                                                \
   .doc = text},                                                                                   \
      {.schema = name "(Tensor input, bool unbiased) -> (Tensor, Tensor)",                         \
       .forward = native<with_mean_unbiased<spread>>,                                              \
       .flags = kComposite},                                                                       \
  {                                                                                                \
    .schema =                                                                                      \
        name "(Tensor input, int[1]? dim, bool unbiased, bool keepdim=False) -> (Tensor, Tensor)", \
    .forward = native<with_mean_dims<spread>>, .flags = kComposite                                 \
  }
FLAMBEAU_OPS({
    {.schema = "sum(Tensor input, " DIMS ", *, ScalarType? dtype=None) -> Tensor",
     .forward = native<sum>,
     .backward =
         [](Backward& b) {
           b.set(0, in_type(spread(b.grad(), b.sizes(0), bits_of(b, 0), b.arg(2).as_bool()),
                            b.dtype(0)));
         },
     .flags = kCastsOut,
     .doc = "Sum over the given dimensions, or all."},
    {.schema = "nansum(Tensor input, " DIMS ", *, ScalarType? dtype=None) -> Tensor",
     .forward = native<nansum>,
     .backward =
         [](Backward& b) {
           const Tensor g = spread(b.grad(), b.sizes(0), bits_of(b, 0), b.arg(2).as_bool());
           b.set(0, in_type(where(b.in(0) == b.in(0), g, 0.0), b.dtype(0)));
         },
     .saves = "input",
     .flags = kCastsOut,
     .doc = "Sum over the given dimensions, or all, with NaNs as zeros."},
    {.schema = "mean(Tensor input, " DIMS ", *, ScalarType? dtype=None) -> Tensor",
     .forward = native<mean>,
     .backward =
         [](Backward& b) {
           uint64_t bits = bits_of(b, 0);
           Tensor g = b.grad() / static_cast<double>(count_of(b.sizes(0), bits));
           b.set(0, in_type(spread(g, b.sizes(0), bits, b.arg(2).as_bool()), b.dtype(0)));
         },
     .flags = kCastsOut,
     .doc = "Mean over the given dimensions, or all."},
    {.schema = "prod(Tensor input, int? dim=None, bool keepdim=False, *, ScalarType? dtype=None) "
               "-> Tensor",
     .forward = native<prod>,
     .backward = prod_backward,
     .saves = "input",
     .flags = kCastsOut,
     .doc = "Product over a dimension, or all."},
    {.schema = "amax(Tensor input, int[1]? dim=[], bool keepdim=False) -> Tensor",
     .forward = native<extreme<Reduction::max>>,
     .backward = extreme_backward,
     .saves = "input, result",
     .doc = "Greatest element; equal ones share the gradient."},
    {.schema = "amin(Tensor input, int[1]? dim=[], bool keepdim=False) -> Tensor",
     .forward = native<extreme<Reduction::min>>,
     .backward = extreme_backward,
     .saves = "input, result",
     .doc = "Least element; equal ones share the gradient."},
    {.schema =
         "aminmax(Tensor input, *, int? dim=None, bool keepdim=False) -> (Tensor min, Tensor max)",
     .forward = native<aminmax>,
     .flags = kComposite,
     .doc = "Least and greatest element."},
    {.schema = "max(Tensor input) -> Tensor",
     .forward = native<extreme_all<Reduction::max>>,
     .backward = extreme_all_backward,
     .saves = "input, result",
     .doc =
         "Greatest element of all; with dim, of each row, and where; with other, of both tensors."},
    {.schema = "max(Tensor input, Tensor other) -> Tensor",
     .forward =
         [](Value* args, Value* results) {
           static const OpCall f("maximum");
           results[0] = Value(f(args[0], args[1]));
         },
     .flags = kComposite},
    {.schema = "max(Tensor input, int dim, bool keepdim=False) -> (Tensor values, Tensor indices)",
     .forward = native<max_dim>,
     .backward = max_dim_backward,
     .saves = "result1"},
    {.schema = "min(Tensor input) -> Tensor",
     .forward = native<extreme_all<Reduction::min>>,
     .backward = extreme_all_backward,
     .saves = "input, result",
     .doc = "Least element of all; with dim, of each row, and where; with other, of both tensors."},
    {.schema = "min(Tensor input, Tensor other) -> Tensor",
     .forward =
         [](Value* args, Value* results) {
           static const OpCall f("minimum");
           results[0] = Value(f(args[0], args[1]));
         },
     .flags = kComposite},
    {.schema = "min(Tensor input, int dim, bool keepdim=False) -> (Tensor values, Tensor indices)",
     .forward = native<min_dim>,
     .backward = max_dim_backward,
     .saves = "result1"},
    {.schema = "argmax(Tensor input, int? dim=None, bool keepdim=False) -> Tensor",
     .forward = native<position<true>>,
     .flags = kNotDifferentiable,
     .doc = "Position of the greatest element, the first of equal ones."},
    {.schema = "argmin(Tensor input, int? dim=None, bool keepdim=False) -> Tensor",
     .forward = native<position<false>>,
     .flags = kNotDifferentiable,
     .doc = "Position of the least element, the first of equal ones."},
    {.schema = "any(Tensor input, " DIMS ") -> Tensor",
     .forward = native<truth<Reduction::any>>,
     .flags = kCastsOut | kNotDifferentiable,
     .doc = "Whether any element is not zero."},
    {.schema = "all(Tensor input, " DIMS ") -> Tensor",
     .forward = native<truth<Reduction::all>>,
     .flags = kCastsOut | kNotDifferentiable,
     .doc = "Whether no element is zero."},
    {.schema = "count_nonzero(Tensor input, int[1]? dim=None) -> Tensor",
     .forward = native<count_nonzero>,
     .flags = kNotDifferentiable,
     .doc = "How many elements are not zero."},
    {.schema = "var(Tensor input, int[1]? dim=None, *, float? correction=None, bool keepdim=False) "
               "-> Tensor",
     .forward = native<variance<false>>,
     .backward = variance_backward,
     .saves = "input",
     .flags = kCastsOut,
     .doc = "Variance; divided by the count less correction."},
    {.schema = "var(Tensor input, bool unbiased) -> Tensor",
     .forward = native<var_unbiased>,
     .flags = kComposite},
    {.schema = "var(Tensor input, int[1]? dim, bool unbiased, bool keepdim=False) -> Tensor",
     .forward = native<var_dims>,
     .flags = kComposite},
    {.schema = "std(Tensor input, int[1]? dim=None, *, float? correction=None, bool keepdim=False) "
               "-> Tensor",
     .forward = native<variance<true>>,
     .backward = deviation_backward,
     .saves = "input, result",
     .flags = kCastsOut,
     .doc = "Standard deviation: the root of var()."},
    {.schema = "std(Tensor input, bool unbiased) -> Tensor",
     .forward = native<std_unbiased>,
     .flags = kComposite},
    {.schema = "std(Tensor input, int[1]? dim, bool unbiased, bool keepdim=False) -> Tensor",
     .forward = native<std_dims>,
     .flags = kComposite},
    FLAMBEAU_WITH_MEAN("var_mean", call_var, "Variance and mean."),
    FLAMBEAU_WITH_MEAN("std_mean", call_std, "Standard deviation and mean."),
    {.schema = "logsumexp(Tensor input, int[1] dim, bool keepdim=False) -> Tensor",
     .forward = native<logsumexp>,
     .backward = logsumexp_backward,
     .saves = "input, result",
     .flags = kCastsOut,
     .doc = "Logarithm of the sum of exponentials, without overflow."},
    {.schema = "special.logsumexp(Tensor input, int[1] dim, bool keepdim=False) -> Tensor",
     .alias = "logsumexp"},
    {.schema = "sum_to_size(Tensor input, int[] size) -> Tensor",
     .forward = native<sum_to_size>,
     .flags = kComposite | kNoFunction,
     .doc = "Sum over what was broadcast, to the given size."},
});

}  // namespace flambeau
