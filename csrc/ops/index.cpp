// Reading and writing by integer indices along one dimension: index_select, gather, scatter and
// kin.
#include "index.h"

#include "../overlap.h"
#include "../transform.h"

#include <algorithm>
#include <functional>
#include <limits>

namespace flambeau {

Tensor plain_index(const Tensor& index, const char* op) {
  check_index(index.dtype() == DType::int64 || index.dtype() == DType::int32, op,
              "(): Expected dtype int32/int64 for index, got ", index.dtype());
  return index.to_raw(DType::int64).contiguous_raw();
}

void check_bounds(const Tensor& index, int64_t low, int64_t n, const char* op) {
  if (index.is_meta() || index.numel() == 0) return;
  int64_t least = 0, greatest = 0;
  bounds_kernel(index.device_type(), index.data<int64_t>(), index.numel(), &least, &greatest);
  int64_t bad = least < low ? least : greatest;
  check_index(bad >= low && bad < n, op, "(): index ", bad,
              " is out of bounds for dimension with size ", n);
}

namespace {

// -- rows: x as [outer, n, inner] -----------------------------------------------------------------
RowsArgs rows_args(const Tensor& x, int64_t dim, const Tensor& index) {
  RowsArgs a{};
  a.outer = a.inner = a.rows = 1;
  for (int64_t d = 0; d < x.dim(); ++d)
    (d < dim ? a.outer : d == dim ? a.rows : a.inner) *= x.sizes()[d];
  a.index = index.data<int64_t>();
  a.count = index.numel();
  a.dtype = x.dtype();
  a.item = static_cast<int64_t>(itemsize(x.dtype()));
  return a;
}

Tensor index_select(const Tensor& input, int64_t dim, const Tensor& index) {
  check_index(index.dim() <= 1, "index_select(): Index is supposed to be a vector, got ",
              index.dim(), "-D");
  Tensor at = plain_index(index, "index_select");
  dim = wrap_dim(dim, input.dim());
  Ints sizes = input.sizes();
  if (input.dim())
    sizes[dim] = at.numel();
  else
    check_index(at.numel() == 1, "index_select(): Index to scalar can have only 1 value, got ",
                at.numel());
  Tensor y = empty(sizes, input.options());
  if (y.is_meta()) return y;
  check(at.numel() == 0 || input.dim() == 0 || input.sizes()[dim] > 0,
        "index_select(): index out of range in self: dimension ", dim, " is empty");
  if (y.numel() == 0) return y;
  Tensor x = input.contiguous_raw();
  RowsArgs a = rows_args(x, dim, at);
  int64_t bad = 0;
  a.bad = &bad;
  a.data = static_cast<char*>(x.data());
  a.other = static_cast<char*>(y.data());
  take_rows_kernel(x.device_type(), a);
  if (bad) check_bounds(at, 0, a.rows, "index_select");
  return y;
}

}  // namespace

// self[.., index, ..] (op)= source, self contiguous.
void put_rows(const Tensor& self, int64_t dim, const Tensor& index, const Tensor& source,
              Combine c) {
  if (self.is_meta() || index.numel() == 0 || source.numel() == 0) return;
  Tensor whole = self.contiguous_raw(), from = source.to_raw(self.dtype()).contiguous_raw();
  RowsArgs a = rows_args(whole, dim, index);
  check_bounds(index, 0, a.rows, "index_put");
  if (from->storage.get() == whole->storage.get()) from = from.clone_raw();
  a.data = static_cast<char*>(whole.data());
  a.other = static_cast<char*>(from.data());
  a.combine = c;
  put_rows_kernel(self.device_type(), a);
  if (!whole.is_same(self)) copy(self, whole);
}

namespace {

const OpCall call_index_select("index_select"), call_index_add("index_add"), call_gather("gather"),
    call_scatter_add("scatter_add"), call_scatter_value("scatter", 1), call_mul("mul"),
    call_index_fill("index_fill"), call_reshape("reshape"), call_sum("sum");

void check_source(const Tensor& self, int64_t dim, const Tensor& index, const Tensor& source,
                  const char* op, ErrorKind mismatch) {
  check_index(index.dim() <= 1, op, "(): Index should have dimension 1 or 0 (got ", index.dim(),
              ")");
  if (source.dim() != self.dim() && source.dim() != 0 && self.dim() != 0)
    fail(mismatch, op, "(): source has ", source.dim(), " dimensions, self ", self.dim());
  check(source.dtype() == self.dtype(), op,
        "(): self and source expected to have the same dtype, but "
        "got (self) ",
        self.dtype(), " and (source) ", source.dtype());
  int64_t n = source.dim() ? source.sizes()[dim] : 1;
  if (index.numel() != n)
    fail(mismatch, op, "(): Number of indices (", index.numel(),
         ") should be equal to source.size(dim): (", n, "), for dim: ", dim);
  for (int64_t d = 0; d < std::min(self.dim(), source.dim()); ++d)
    check(d == dim || source.sizes()[d] == self.sizes()[d], op,
          "(): source/destination tensor must have same slice shapes. Destination slice shape: ",
          self.sizes(), " at dimension ", dim, " and source slice shape: ", source.sizes());
}

void index_add_(const Tensor& self, int64_t dim, const Tensor& index, const Tensor& source,
                const Scalar& alpha) {
  dim = wrap_dim(dim, self.dim());
  check_source(self, dim, index, source, "index_add", ErrorKind::runtime);
  bool scaled = alpha.kind != Scalar::integer || alpha.i != 1;
  put_rows(self, dim, plain_index(index, "index_add"),
           scaled ? call_mul(source, alpha).to_raw(self.dtype()) : source, Combine::add);
}

void index_copy_(const Tensor& self, int64_t dim, const Tensor& index, const Tensor& source) {
  dim = wrap_dim(dim, self.dim());
  check_index(index.dtype() == DType::int64,
              "index_copy(): Expected a long tensor for index, but got ", index.dtype());
  check_source(self, dim, index, source, "index_copy", ErrorKind::index);
  put_rows(self, dim, plain_index(index, "index_copy"), source, Combine::assign);
}

void index_fill_(const Tensor& self, int64_t dim, const Tensor& index, const Value& value) {
  dim = wrap_dim(dim, self.dim());
  check_index(index.dtype() == DType::int64, "index_fill(): Expected dtype int64 for index, got ",
              index.dtype());
  check(index.dim() <= 1, "index_fill(): Index is supposed to be a vector, got ", index.dim(),
        "-D");
  Scalar v = value.is_tensor() ? item(value.as_tensor()) : value.as_scalar();
  check(v.kind != Scalar::complex || is_complex(self.dtype()),
        "index_fill_(): Converting complex Scalar to non-complex type is not supported");
  if (repeats(self)) warn_of_expanded("index_fill_");
  if (self.is_meta()) return;
  Tensor at = plain_index(index, "index_fill");
  int64_t n = self.dim() ? self.sizes()[dim] : 1;
  check_bounds(at, -n, n, "index_fill");
  for (int64_t k = 0; k < at.numel(); ++k) {
    int64_t i = at.data<int64_t>()[k];
    fill(self.dim() ? select_raw(self, dim, i < 0 ? i + n : i) : self, v);
  }
}

void index_select_back(Backward& b) {
  Tensor index = b.in(2);
  if (b.sizes(0).empty()) {
    b.set(0, call_reshape(b.grad(), Ints{}));
    return;
  }
  b.set(0, call_index_add(zeros(b.sizes(0), b.grad().options()), b.arg(1),
                          call_reshape(index, Ints{-1}), b.grad()));
}

void index_add_back(Backward& b) {
  b.set(0, b.grad());
  if (!b.needs(3)) return;
  Tensor g = call_index_select(b.grad(), b.arg(1), b.in(2));
  const Scalar& alpha = b.arg(4).as_scalar();
  if (alpha.kind != Scalar::integer || alpha.i != 1) g = call_mul(g, alpha);
  b.set(3, call_reshape(g, b.sizes(3)));
}

void index_copy_back(Backward& b) {
  Tensor index = b.in(2);
  if (b.needs(0)) b.set(0, call_index_fill(b.grad(), b.arg(1), index, 0));
  if (b.needs(3)) b.set(3, call_reshape(call_index_select(b.grad(), b.arg(1), index), b.sizes(3)));
}

void index_fill_back(Backward& b) {
  Tensor index = b.in(2);
  if (b.needs(0)) b.set(0, call_index_fill(b.grad(), b.arg(1), index, 0));
  if (!b.needs(3)) return;
  static const OpCall where("where");  // an index that comes twice counts once
  Tensor filled = zeros(b.sizes(0), {DType::boolean, b.grad().device()});
  filled = call_index_fill(filled, b.arg(1), index, true);
  b.set(3, call_sum(where(filled, b.grad(), 0.0)));
}

// The twin that makes a new tensor, as PyTorch's row by row, whatever the input's order.
template <ForwardFn write>
void on_rows(Value* args, Value* results) {
  const Tensor& self = args[0].as_tensor();
  const Tensor fresh = empty(self.sizes(), self.options());
  copy(fresh, self);
  const Value before = std::exchange(args[0], Value(fresh));
  write(args, results);
  args[0] = before;
  results[0] = Value(fresh);
}

FLAMBEAU_OPS{
    {.schema = "index_select(Tensor input, int dim, Tensor index) -> Tensor",
     .forward = native<index_select>,
     .backward = index_select_back,
     .saves = "index",
     .flags = kIndexed,
     .doc = "The given positions along a dimension."},
    {.schema = "index_add(Tensor input, int dim, Tensor index, Tensor source, *, Scalar alpha=1) "
               "-> Tensor",
     .forward = on_rows<native<index_add_>>,
     .inplace = native<index_add_>,
     .backward = index_add_back,
     .saves = "index",
     .flags = kIndexed,
     .doc = "Adds alpha * source at the given positions along a dimension."},
    {.schema = "index_copy(Tensor input, int dim, Tensor index, Tensor source) -> Tensor",
     .forward = on_rows<native<index_copy_>>,
     .inplace = native<index_copy_>,
     .backward = index_copy_back,
     .saves = "index",
     .flags = kIndexed,
     .doc = "Writes source at the given positions along a dimension."},
    {.schema = "index_fill(Tensor input, int dim, Tensor index, Scalar value) -> Tensor",
     .inplace = native<index_fill_>,
     .backward = index_fill_back,
     .saves = "index",
     .flags = kIndexed,
     .doc = "Writes one value at the given positions along a dimension."},
    {.schema = "index_fill(Tensor input, int dim, Tensor index, Tensor value) -> Tensor",
     .inplace = native<index_fill_>,
     .backward = index_fill_back,
     .saves = "index",
     .flags = kIndexed,
     .doc = "Writes one value at the given positions along a dimension."},
};

// -- lines: gather and scatter --------------------------------------------------------------------
Tensor at_least_1d(const Tensor& t) {
  return t.dim() ? t : t.as_strided_raw(Ints{1}, Ints{1}, t->offset);
}

LinesArgs lines_args(const Tensor& data, int64_t dim, const Tensor& index, const Tensor& other) {
  LinesArgs a{};
  a.ndim = static_cast<int>(index.dim());
  check(a.ndim <= kMaxIndexDims, "tensors of more than ", kMaxIndexDims,
        " dimensions are not supported");
  a.dim = static_cast<int>(dim);
  a.item = static_cast<int64_t>(itemsize(data.dtype()));
  for (int d = 0; d < a.ndim; ++d) {
    a.sizes[d] = index.sizes()[d];
    a.data_strides[d] = data.strides()[d] * a.item;
    a.index_strides[d] = index.strides()[d] * 8;
    a.other_strides[d] = other.strides()[d] * a.item;
  }
  // The kernels run along the last dimension: many short lines are read side by side.
  if (const int last = a.ndim - 1;
      a.dim == last && last > 0 && a.sizes[last] < 16 && a.sizes[last - 1] > a.sizes[last]) {
    for (int64_t* of : {a.sizes, a.data_strides, a.index_strides, a.other_strides})
      std::swap(of[last], of[last - 1]);
    a.dim = last - 1;
  }
  a.data = static_cast<char*>(data.data());
  a.other = static_cast<char*>(other.data());
  a.index = static_cast<const char*>(index.data());
  a.rows = data.sizes()[dim];
  a.dtype = data.dtype();
  return a;
}

Tensor line_index(const Tensor& index, const char* op) {
  check(index.dtype() == DType::int64 || index.dtype() == DType::int32, op,
        "(): Expected dtype int64 for index, got ", index.dtype());
  return at_least_1d(index.to_raw(DType::int64));
}

void check_lines(const Tensor& data, int64_t dim, const Tensor& index, const char* op) {
  check(data.dim() == index.dim(), op,
        "(): Index tensor must have the same number of dimensions as "
        "input tensor, got ",
        index.dim(), " and ", data.dim());
  for (int64_t d = 0; d < data.dim(); ++d)
    check(d == dim || index.sizes()[d] <= data.sizes()[d], op,
          "(): Size does not match at dimension ", d, " expected index ", index.sizes(),
          " to be no larger than self ", data.sizes(), " apart from dimension ", dim);
}

void check_line_bounds(const Tensor& index, int64_t n, const char* op) {
  if (index.is_meta() || index.numel() == 0) return;
  Tensor at = index.contiguous_raw();
  int64_t least = 0, greatest = 0;
  bounds_kernel(at.device_type(), at.data<int64_t>(), at.numel(), &least, &greatest);
  int64_t bad = least < 0 ? least : greatest;
  check(bad >= 0 && bad < n, op, "(): index ", bad, " is out of bounds for dimension with size ",
        n);
}

// The index of a whole row in every place of `sizes`: a vector spread over all dimensions but dim,
// as graph networks have it. Undefined if it is none.
Tensor row_index(const Tensor& index, int64_t dim, const Ints& sizes) {
  if (index.dim() < 2) return Tensor();
  for (int64_t d = 0; d < index.dim(); ++d) {
    if (d == dim) continue;
    if (index.sizes()[d] != sizes[d] || (sizes[d] != 1 && index.strides()[d] != 0)) return Tensor();
  }
  const Ints n{index.sizes()[dim]}, step{index.strides()[dim]};
  return index.as_strided_raw(n, step, index->offset).contiguous_raw();
}

Tensor gather(const Tensor& input, int64_t dim, const Tensor& index, bool) {
  dim = wrap_dim(dim, input.dim());
  Tensor y = empty(index.sizes(), input.options());
  if (index.numel() == 0) return y;
  Tensor x = at_least_1d(input), at = line_index(index, "gather");
  check_lines(x, dim, at, "gather");
  if (y.is_meta()) return y;
  if (const Tensor rows = row_index(at, dim, x.sizes()); rows.defined()) {
    check_line_bounds(rows, x.sizes()[dim], "gather");
    return index_select(x, dim, rows);
  }
  LinesArgs a = lines_args(x, dim, at, at_least_1d(y));
  int64_t bad = 0;
  a.bad = &bad;
  check(a.rows > 0, "gather(): index out of bounds: dimension ", dim, " is empty");
  gather_kernel(x.device_type(), a);
  if (bad) check_line_bounds(at, a.rows, "gather");
  return y;
}

// self[.., index, ..] (op)= src; a one-element src with strides of 0 stands for a value.
void scatter_lines(const Tensor& self, int64_t dim, const Tensor& index, const Tensor& src,
                   Combine c, const char* op) {
  dim = wrap_dim(dim, self.dim());
  if (index.numel() == 0) return;
  Tensor x = at_least_1d(self), at = line_index(index, op), from = at_least_1d(src);
  check_lines(x, dim, at, op);
  check(self.dtype() == src.dtype(), op, "(): Expected self.dtype to be equal to src.dtype, got ",
        self.dtype(), " and ", src.dtype());
  check(from.dim() == at.dim(), op,
        "(): Index tensor must have the same number of dimensions as src "
        "tensor, got ",
        at.dim(), " and ", from.dim());
  for (int64_t d = 0; d < at.dim(); ++d)
    check(at.sizes()[d] <= from.sizes()[d], op, "(): Expected index ", at.sizes(),
          " to be no larger than src ", from.sizes());
  if (self.is_meta()) return;
  const Tensor rows = x.is_contiguous() ? row_index(at, dim, x.sizes()) : Tensor();
  check_line_bounds(rows.defined() ? rows : at, x.sizes()[dim], op);
  if (rows.defined()) {
    for (int64_t d = 0; d < at.dim(); ++d) from = narrow_raw(from, d, 0, at.sizes()[d]);
    return put_rows(x, dim, rows, from, c);
  }
  if (from->storage.get() == x->storage.get()) from = from.clone_raw();
  LinesArgs a = lines_args(x, dim, at, from);
  a.combine = c;
  scatter_kernel(x.device_type(), a);
}

Tensor spread(const Tensor& self, const Scalar& value, const Tensor& index) {
  Tensor one = scalar_tensor(value, self.options());
  Ints sizes = index.dim() ? index.sizes() : Ints{1};
  return one.as_strided_raw(sizes, Ints(sizes.size()), 0);
}

Combine named(const std::string& reduce, const char* op) {
  if (reduce == "add" || reduce == "sum") return Combine::add;
  if (reduce == "multiply" || reduce == "prod") return Combine::mul;
  if (reduce == "amax") return Combine::amax;
  if (reduce == "amin") return Combine::amin;
  fail(ErrorKind::runtime, op, "(): reduce argument must be one of the listed names, got ", reduce);
}

using Reduce = std::optional<std::string>;
void scatter_(const Tensor& self, int64_t dim, const Tensor& index, const Tensor& src,
              const Reduce& reduce) {
  scatter_lines(self, dim, index, src, reduce ? named(*reduce, "scatter") : Combine::assign,
                "scatter");
}
void scatter_value_(const Tensor& self, int64_t dim, const Tensor& index, const Scalar& value,
                    const Reduce& reduce) {
  scatter_lines(self, dim, index, spread(self, value, index),
                reduce ? named(*reduce, "scatter") : Combine::assign, "scatter");
}
// f(self, src), in float32 where they are of half precision: there, sums of many stop growing.
template <class F>
void in_float(const Tensor& self, const Tensor& src, const F& f) {
  const DType t = self.dtype();
  if ((t != DType::bfloat16 && t != DType::float16) || src.dtype() != t || self.is_meta())
    return f(self, src);
  const Tensor wide = self.to_raw(DType::float32);
  f(wide, src.to_raw(DType::float32));
  copy(self, wide);
}

void scatter_add_(const Tensor& self, int64_t dim, const Tensor& index, const Tensor& src) {
  in_float(self, src, [&](const Tensor& x, const Tensor& from) {
    scatter_lines(x, dim, index, from, Combine::add, "scatter_add");
  });
}

void gather_back(Backward& b) {
  b.set(0, call_scatter_add(zeros(b.sizes(0), b.grad().options()), b.arg(1), b.in(2), b.grad()));
}

// The gradient of src, which may be larger than the index: zeros beyond.
Tensor gather_as(Backward& b, const Tensor& index) {
  static const OpCall widen("slice_backward");
  Tensor g = call_gather(b.grad(), b.arg(1), index);
  Ints sizes = index.sizes();
  for (size_t d = 0; d < sizes.size(); ++d) {
    if (sizes[d] == b.sizes(3)[d]) continue;
    int64_t n = sizes[d];
    sizes[d] = b.sizes(3)[d];
    g = widen(g, sizes, static_cast<int64_t>(d), int64_t(0), n, int64_t(1));
  }
  return g;
}

void scatter_back(Backward& b) {
  check(b.arg(4).is_none(), "scatter(): there is no gradient with reduce=");
  Tensor index = b.in(2);
  if (b.needs(0)) b.set(0, call_scatter_value(b.grad(), b.arg(1), index, 0));
  if (b.needs(3)) b.set(3, gather_as(b, index));
}

void scatter_add_back(Backward& b) {
  b.set(0, b.grad());
  if (b.needs(3)) b.set(3, gather_as(b, b.in(2)));
}

// -- scatter_reduce, index_reduce -----------------------------------------------------------------
// What an element holds before the first of several is combined into it.
Scalar neutral(Combine c, DType t) {
  if (c == Combine::add) return 0;
  if (c == Combine::mul) return 1;
  bool greatest = c == Combine::amin;
  if (is_floating(t)) {
    double inf = std::numeric_limits<double>::infinity();
    return greatest ? inf : -inf;
  }
  return visit(t, [&](auto tag) -> Scalar {
    using T = typename decltype(tag)::type;
    if constexpr (std::is_integral_v<T>)
      return static_cast<int64_t>(greatest ? std::numeric_limits<T>::max()
                                           : std::numeric_limits<T>::min());
    else
      return 0;
  });
}

// Runs `put(target, source, how)` on self, with or without its own elements, and takes the mean.
template <class Put>
void reduce_into(const Tensor& self, const Tensor& src, const std::string& reduce,
                 bool include_self, const char* op, const Put& put) {
  bool mean = reduce == "mean";
  Combine c = mean ? Combine::add : named(reduce, op);
  if (self.is_meta()) return;
  Tensor one = full(Ints(static_cast<size_t>(src.dim()), 1), 1, src.options());
  Tensor ones = expand_raw(one, src.sizes()), old;
  if (!include_self) {
    old = self.clone_raw();
    put(self, expand_raw(full(one.sizes(), neutral(c, self.dtype()), src.options()), src.sizes()),
        Combine::assign);
  }
  put(self, src, c);
  if (!mean) return;
  static const OpCall div("div"), floor("floor_divide"), add("add"), eq("eq");
  Tensor counts =
      include_self ? full(self.sizes(), 1, self.options()) : zeros(self.sizes(), self.options());
  put(counts, ones, Combine::add);
  counts = add(counts, eq(counts, 0));
  copy(self, is_inexact(self.dtype()) ? div(self, counts) : floor(self, counts));
}

void scatter_reduce_(const Tensor& self, int64_t dim, const Tensor& index, const Tensor& src,
                     const std::string& reduce, bool include_self) {
  if (index.numel() == 0) return;
  in_float(self, src, [&](const Tensor& x, const Tensor& part) {
    reduce_into(x, part, reduce, include_self, "scatter_reduce",
                [&](const Tensor& to, const Tensor& from, Combine c) {
                  scatter_lines(to, dim, index, from, c, "scatter_reduce");
                });
  });
}

void index_reduce_(const Tensor& self, int64_t dim, const Tensor& index, const Tensor& source,
                   const std::string& reduce, bool include_self) {
  dim = wrap_dim(dim, self.dim());
  check(reduce != "sum" && reduce != "add",
        "index_reduce(): Expected reduce to be one of prod, mean, amax or "
        "amin but got ",
        reduce);
  check_source(self, dim, index, source, "index_reduce", ErrorKind::runtime);
  Tensor at = plain_index(index, "index_reduce");
  if (at.numel() == 0) return;
  in_float(self, source, [&](const Tensor& x, const Tensor& part) {
    reduce_into(
        x, part, reduce, include_self, "index_reduce",
        [&](const Tensor& to, const Tensor& from, Combine c) { put_rows(to, dim, at, from, c); });
  });
}

// Sums and means pass their gradient on; products divide by the element; an extreme gives it to its
// equals in parts.
struct Places {  // reading and adding where the operator wrote
  std::function<Tensor(const Tensor&)> read;
  std::function<Tensor(const Tensor&, const Tensor&)> add, fill, again;
};

void reduce_back(Backward& b, const std::string& reduce, bool include_self, const Places& at) {
  static const OpCall div("div"), eq("eq"), clamp("clamp"), to("to"), add("add");
  Tensor self = b.in(0), src = b.in(3), result = b.out(), g = b.grad(), own, given;
  Tensor kept = include_self
                    ? full(self.sizes(), 1, g.options())
                    : at.fill(full(self.sizes(), 1, g.options()), zeros(src.sizes(), g.options()));
  if (reduce == "sum") {
    own = g;
    given = at.read(g);
  } else if (reduce == "mean") {
    Tensor counts = at.add(kept, full(src.sizes(), 1, g.options()));
    counts = add(counts, eq(counts, 0));
    own = div(g, counts);
    given = at.read(own);
  } else if (reduce == "prod") {
    // Where one factor is 0 the gradient is the product of the others, reckoned anew.
    static const OpCall where("where"), fill("masked_fill"), both("logical_and");
    Tensor zero = eq(self, 0), src_zero = eq(src, 0), others = at.again(fill(self, zero, 1), src);
    own = where(zero, call_mul(g, others), div(call_mul(g, result), fill(self, zero, 1)));
    Tensor zeros_here = at.read(at.add(zeros(self.sizes(), g.options()), to(src_zero, g.dtype())));
    Tensor lone = both(src_zero, eq(zeros_here, 1));
    others = at.again(self, fill(src, lone, 1));
    given = where(lone, at.read(call_mul(g, others)),
                  div(at.read(call_mul(g, result)), fill(src, src_zero, 1)));
    static const OpCall gt("gt"), any("any"), differentiable_once("_differentiable_once");
    if (modes().grad && !given.is_meta() && !is_transformed(zeros_here) &&
        item(any(gt(zeros_here, 1))).to<bool>())
      given = differentiable_once(given, b.node().op->schema.name);
  } else {
    Tensor wins_own = call_mul(to(eq(self, result), g.dtype()), kept);
    Tensor wins = to(eq(src, at.read(result)), g.dtype());
    Tensor share = div(g, clamp(at.add(wins_own, wins), 1));
    own = call_mul(wins_own, share);
    given = call_mul(wins, at.read(share));
  }
  if (b.needs(0)) b.set(0, include_self ? own : call_mul(own, kept));
  if (b.needs(3)) b.set(3, given);
}

void scatter_reduce_back(Backward& b) {
  Tensor index = b.in(2);
  Value dim = b.arg(1);
  static const OpCall scatter("scatter"), again("scatter_reduce");
  reduce_back(b, b.arg(4).as_string(), b.arg(5).as_bool(),
              {[&](const Tensor& t) { return call_gather(t, dim, index); },
               [&](const Tensor& t, const Tensor& s) { return call_scatter_add(t, dim, index, s); },
               [&](const Tensor& t, const Tensor& s) { return scatter(t, dim, index, s); },
               [&](const Tensor& t, const Tensor& s) {
                 return again(t, dim, index, s, b.arg(4), b.arg(5));
               }});
}

void index_reduce_back(Backward& b) {
  Tensor index = b.in(2);
  Value dim = b.arg(1);
  static const OpCall copy_rows("index_copy"), again("index_reduce");
  reduce_back(b, b.arg(4).as_string(), b.arg(5).as_bool(),
              {[&](const Tensor& t) { return call_index_select(t, dim, index); },
               [&](const Tensor& t, const Tensor& s) { return call_index_add(t, dim, index, s); },
               [&](const Tensor& t, const Tensor& s) { return copy_rows(t, dim, index, s); },
               [&](const Tensor& t, const Tensor& s) {
                 return again(t, dim, index, s, b.arg(4), b.arg(5));
               }});
}

Tensor alias_of(const Tensor& t, const std::string&) { return t.alias(); }

void refuse_second_derivative(Backward& b) {
  fail(ErrorKind::runtime, b.arg(1).as_string(),
       "(): Double backward is unsupported for src when >1 zeros in src are scattered to the same "
       "position in self");
}

FLAMBEAU_OPS{
    {.schema = "_differentiable_once(Tensor input, str name) -> Tensor",
     .forward = native<alias_of>,
     .backward = refuse_second_derivative,
     .flags = kInternal,
     .doc = "The products' gradient, which leaves out what further zeros have to do with it."},
    {.schema = "scatter_reduce(Tensor input, int dim, Tensor index, Tensor src, str reduce, *, "
               "bool include_self=True) -> Tensor",
     .forward = on_rows<native<scatter_reduce_>>,
     .inplace = native<scatter_reduce_>,
     .backward = scatter_reduce_back,
     .saves = "input, index, src, result",
     .flags = kIndexed,
     .doc = "Combines elements of src at the places along dim that the index gives."},
    {.schema = "index_reduce(Tensor input, int dim, Tensor index, Tensor source, str reduce, *, "
               "bool include_self=True) -> Tensor",
     .forward = on_rows<native<index_reduce_>>,
     .inplace = native<index_reduce_>,
     .backward = index_reduce_back,
     .saves = "input, index, source, result",
     .flags = kIndexed,
     .doc = "Combines source at the given positions along a dimension."},
};

FLAMBEAU_OPS{
    {.schema = "gather(Tensor input, int dim, Tensor index, *, bool sparse_grad=False) -> Tensor",
     .forward = native<gather>,
     .backward = gather_back,
     .saves = "index",
     .flags = kIndexed,
     .doc = "For every position, the element whose place along dim the index gives."},
    {.schema =
         "scatter(Tensor input, int dim, Tensor index, Tensor src, *, str? reduce=None) -> Tensor",
     .forward = on_rows<native<scatter_>>,
     .inplace = native<scatter_>,
     .backward = scatter_back,
     .saves = "index",
     .flags = kIndexed,
     .doc = "Writes every element of src at the place along dim that the index gives."},
    {.schema = "scatter(Tensor input, int dim, Tensor index, Scalar value, *, str? reduce=None) -> "
               "Tensor",
     .forward = on_rows<native<scatter_value_>>,
     .inplace = native<scatter_value_>,
     .backward = scatter_back,
     .saves = "index",
     .flags = kIndexed,
     .doc = "Writes a value at the places along dim that the index gives."},
    {.schema = "scatter_add(Tensor input, int dim, Tensor index, Tensor src) -> Tensor",
     .forward = on_rows<native<scatter_add_>>,
     .inplace = native<scatter_add_>,
     .backward = scatter_add_back,
     .saves = "index",
     .flags = kIndexed,
     .doc = "Adds every element of src at the place along dim that the index gives."},
};

}  // namespace
}  // namespace flambeau
