// x[i, j, mask]: reading and writing by lists of index tensors; masks and their positions.
#include <algorithm>

#include "../overlap.h"
#include "index.h"

namespace flambeau {
namespace {

void need_data(const Tensor& t, const char* op) {
  if (t.is_meta())
    fail(ErrorKind::not_implemented, op,
         "(): the result's shape depends on data, which a meta tensor ", "does not have");
}

// Offsets of the blocks' matches in place of their counts; the total.
int64_t count_matches(MaskArgs& a, std::vector<int64_t>& counts, DeviceType device) {
  counts.resize(static_cast<size_t>((a.n + kMaskBlock - 1) / kMaskBlock));
  a.counts = counts.data();
  count_kernel(device, a);
  int64_t total = 0;
  for (int64_t& c : counts) {
    int64_t here = c;
    c = total;
    total += here;
  }
  return a.total = total;
}

MaskArgs mask_args(const Tensor& plain) {
  return {static_cast<const char*>(plain.data()), plain.dtype(), plain.numel(), nullptr};
}

// Positions in row-major order of what is not zero.
Tensor flat_positions(const Tensor& t) {
  Tensor plain = t.contiguous_raw();
  MaskArgs a = mask_args(plain);
  std::vector<int64_t> counts;
  int64_t total = count_matches(a, counts, t.device_type());
  Tensor out = empty(Ints{total}, {DType::int64, t.device()});
  positions_kernel(t.device_type(), a, out.data<int64_t>());
  return out;
}

}  // namespace

Tensor nonzero_raw(const Tensor& t) {
  need_data(t, "nonzero");
  Tensor at = flat_positions(t);
  if (t.dim() == 1) return at.as_strided_raw(Ints{at.numel(), 1}, Ints{1, 1}, 0);
  Tensor out = empty(Ints{at.numel(), t.dim()}, {DType::int64, t.device()});
  auto* p = out.data<int64_t>();
  const int64_t* flat = at.data<int64_t>();
  const int64_t n = t.dim(), width = n ? t.sizes()[n - 1] : 1;
  Ints row(static_cast<size_t>(n), 0);  // where the line of the last position is
  for (int64_t k = 0, begin = 0; k < at.numel(); ++k, p += n) {
    if (flat[k] - begin >= width) {
      int64_t rest = flat[k] / width;
      begin = rest * width;
      for (int64_t d = n - 2; d >= 0; --d) {
        row[d] = rest % t.sizes()[d];
        rest /= t.sizes()[d];
      }
    }
    for (int64_t d = 0; d + 1 < n; ++d) p[d] = row[d];
    if (n) p[n - 1] = flat[k] - begin;
  }
  return out;
}

namespace {

// x under the mask becomes the one element of `value`.
void fill_under(const Tensor& x, const Tensor& mask, const Tensor& value) {
  Tensor whole = x.contiguous_raw(), plain = mask.contiguous_raw();
  masked_fill_kernel(x.device_type(), static_cast<char*>(whole.data()),
                     static_cast<const char*>(plain.data()), x.numel(),
                     static_cast<int64_t>(itemsize(x.dtype())), value.data());
  if (!whole.is_same(x)) copy(x, whole);
}

// The elements under the mask; the mask has x's shape.
Tensor packed(const Tensor& x, const Tensor& mask) {
  Tensor plain = x.contiguous_raw(), m = mask.contiguous_raw();
  PackArgs a{mask_args(m), static_cast<char*>(plain.data()), nullptr,
             static_cast<int64_t>(itemsize(x.dtype()))};
  std::vector<int64_t> counts;
  Tensor y = empty(Ints{count_matches(a.mask, counts, x.device_type())}, x.options());
  a.packed = static_cast<char*>(y.data());
  pack_kernel(x.device_type(), a);
  return y;
}

// -- lists of indices -----------------------------------------------------------------------------
// The indexed dimensions side by side and flattened: x seen as [outer, rows, inner], and one flat
// index of the given shape into the rows.
struct Plan {
  Ints order;  // permutation that brings the indexed dimensions together; empty: none
  int64_t first = 0, n = 0;  // they are dimensions first .. first + n
  Ints shape;  // of the index, broadcast
  Tensor flat;  // int64, contiguous; undefined on meta
  Ints sizes;  // of the permuted tensor
  Ints result() const {
    Ints r;
    for (int64_t d = 0; d < first; ++d) r.push_back(sizes[d]);
    for (int64_t s : shape) r.push_back(s);
    for (size_t d = static_cast<size_t>(first + n); d < sizes.size(); ++d) r.push_back(sizes[d]);
    return r;
  }
};

bool is_mask(const Tensor& t) { return t.dtype() == DType::boolean || t.dtype() == DType::uint8; }

void check_mask_shape(const Tensor& x, const Tensor& mask, int64_t first) {
  for (int64_t d = 0; d < mask.dim(); ++d) {
    const int64_t at = first + d;
    check_index(at < x.dim() && mask.sizes()[d] == x.sizes()[at], "The shape of the mask ",
                mask.sizes(), " at index ", d, " does not match the shape of the indexed tensor ",
                x.sizes(), " at index ", at);
  }
}

void check_count(size_t indices, const Tensor& x) {
  check_index(static_cast<int64_t>(indices) <= x.dim(), "too many indices for tensor of dimension ",
              x.dim(), " (got ", indices, ")");
}

// Where the only index that is given stands, if it is a mask; -1 otherwise.
int64_t only_mask(const TensorList& indices) {
  int64_t at = -1;
  for (size_t d = 0; d < indices.size(); ++d) {
    if (!indices[d].defined()) continue;
    if (at >= 0 || !is_mask(indices[d]) || indices[d].dim() == 0) return -1;
    at = static_cast<int64_t>(d);
  }
  return at;
}

// Masks become one index for each of their dimensions.
TensorList spread_masks(const Tensor& x, const TensorList& indices) {
  TensorList out;
  for (const Tensor& t : indices) {
    if (!t.defined() || !is_mask(t)) {
      out.push_back(t);
      continue;
    }
    need_data(t, "index");
    check_mask_shape(x, t, static_cast<int64_t>(out.size()));
    Tensor at = nonzero_raw(t);
    for (int64_t d = 0; d < t.dim(); ++d) out.push_back(select_raw(at, 1, d));
  }
  check_count(out.size(), x);
  return out;
}

// idx = idx * n + t, checked and wrapped.
void append_index(Tensor& flat, const Tensor& t, IntSpan shape, int64_t n, int64_t dim) {
  Tensor one = expand_raw(t.to_raw(DType::int64), shape).contiguous_raw();
  int64_t least = 0, greatest = 0;
  bounds_kernel(one.device_type(), one.data<int64_t>(), one.numel(), &least, &greatest);
  if (one.numel()) {
    int64_t bad = least < -n ? least : greatest;
    check_index(bad >= -n && bad < n, "index ", bad, " is out of bounds for dimension ", dim,
                " with size ", n);
  }
  if (!flat.defined() && least >= 0) {
    flat = one;
    return;
  }
  Tensor out = empty(shape, one.options());
  auto* o = out.data<int64_t>();
  const auto* p = one.data<int64_t>();
  const int64_t* f = flat.defined() ? flat.data<int64_t>() : nullptr;
  for (int64_t i = 0; i < one.numel(); ++i)
    o[i] = (f ? f[i] * n : 0) + (p[i] < 0 ? p[i] + n : p[i]);
  flat = out;
}

// One mask: its positions are the flat index.
Plan mask_plan(const Tensor& x, const TensorList& given, int64_t at) {
  const Tensor& mask = given[static_cast<size_t>(at)];
  need_data(mask, "index");
  check_mask_shape(x, mask, at);
  check_count(given.size() - 1 + static_cast<size_t>(mask.dim()), x);
  Plan plan;
  plan.first = at, plan.n = mask.dim(), plan.sizes = x.sizes();
  plan.flat = flat_positions(mask);
  plan.shape = Ints{plan.flat.numel()};
  return plan;
}

Plan make_plan(const Tensor& x, const TensorList& given) {
  if (const int64_t at = only_mask(given); at >= 0) return mask_plan(x, given, at);
  TensorList indices = spread_masks(x, given);
  Plan plan;
  Ints indexed, others;
  bool started = false;
  for (int64_t d = 0; d < x.dim(); ++d) {
    bool has = d < static_cast<int64_t>(indices.size()) && indices[d].defined();
    if (!has) {
      others.push_back(d);
      continue;
    }
    const Tensor& t = indices[d];
    check_index(is_integral(t.dtype()),
                "tensors used as indices must be long, int, byte or bool tensors");
    try {
      plan.shape = started ? broadcast_shapes(plan.shape, t.sizes(), "index") : t.sizes();
    } catch (const Error&) {
      fail(ErrorKind::index,
           "shape mismatch: indexing tensors could not be broadcast together with ", "shapes ",
           plan.shape, ", ", t.sizes());
    }
    started = true;
    indexed.push_back(d);
  }
  check(started, "index(): at least one index must be given");
  plan.n = static_cast<int64_t>(indexed.size());
  bool together = indexed.back() - indexed[0] + 1 == plan.n;
  plan.first = together ? indexed[0] : 0;
  plan.sizes = x.sizes();
  if (!together) {
    plan.order = indexed;
    for (int64_t d : others) plan.order.push_back(d);
    for (int64_t d = 0; d < x.dim(); ++d) plan.sizes[d] = x.sizes()[plan.order[d]];
  }
  if (x.is_meta()) return plan;
  for (int64_t d : indexed) append_index(plan.flat, indices[d], plan.shape, x.sizes()[d], d);
  return plan;
}

Tensor permuted(const Tensor& x, const Plan& plan) {
  return plan.order.empty() ? x : permute_raw(x, plan.order);
}

RowsArgs plan_args(const Plan& plan, const Tensor& x) {
  RowsArgs a{};
  a.outer = a.rows = a.inner = 1;
  for (int64_t d = 0; d < static_cast<int64_t>(plan.sizes.size()); ++d)
    (d < plan.first ? a.outer : d < plan.first + plan.n ? a.rows : a.inner) *= plan.sizes[d];
  a.index = plan.flat.data<int64_t>();
  a.count = plan.flat.numel();
  a.dtype = x.dtype();
  a.item = static_cast<int64_t>(itemsize(x.dtype()));
  return a;
}

Tensor index(const Tensor& x, const TensorList& indices) {
  if (only_mask(indices) == 0 && indices[0].sizes() == x.sizes() && !x.is_meta()) {
    need_data(indices[0], "index");
    return packed(x, indices[0]);
  }
  Plan plan = make_plan(x, indices);
  Tensor y = empty(plan.result(), x.options());
  if (y.is_meta() || y.numel() == 0) return y;
  Tensor from = permuted(x, plan).contiguous_raw();
  RowsArgs a = plan_args(plan, x);
  int64_t bad = 0;
  a.bad = &bad;
  a.data = static_cast<char*>(from.data());
  a.other = static_cast<char*>(y.data());
  take_rows_kernel(x.device_type(), a);
  return y;
}

void index_put_(const Tensor& x, const TensorList& indices, const Tensor& values, bool accumulate);

// Several positions are one place: the places are numbered, and written by number.
void put_into_expanded(const Tensor& x, const TensorList& indices, const Tensor& values,
                       bool accumulate) {
  warn_of_expanded("index_put_");
  Ints sizes = x.sizes();
  for (int64_t d = 0; d < x.dim(); ++d)
    if (x.strides()[d] == 0) sizes[d] = 1;
  Tensor places = x.as_strided_raw(sizes, x.strides(), x->offset);
  static const OpCall reshape("reshape"), arange("arange");
  Tensor numbers = reshape(arange(Scalar(places.numel())), sizes);
  Tensor at = index(expand_raw(numbers, x.sizes()), indices);
  Tensor from = reshape(expand_raw(values, at.sizes()), Ints{-1});
  Tensor flat = reshape(places.clone_raw(), Ints{-1});
  index_put_(flat, TensorList{reshape(at, Ints{-1})}, from, accumulate);
  copy(places, reshape(flat, sizes));
}

void index_put_(const Tensor& x, const TensorList& indices, const Tensor& values, bool accumulate) {
  check(values.dtype() == x.dtype(),
        "index_put_(): Index put requires the source and destination dtypes "
        "match, got ",
        x.dtype(), " for the destination and ", values.dtype(), " for the source.");
  if (repeats(x) && !x.is_meta()) return put_into_expanded(x, indices, values, accumulate);
  if (!accumulate && values.numel() == 1 && values.dim() == 0 && only_mask(indices) == 0 &&
      indices[0].dtype() == DType::boolean && indices[0].sizes() == x.sizes() && !x.is_meta()) {
    need_data(indices[0], "index_put_");
    return fill_under(x, indices[0], values);
  }
  Plan plan = make_plan(x, indices);
  Ints shape = plan.result();
  Ints reached = broadcast_shapes(shape, values.sizes(), "index_put_");
  check(reached == shape, "shape mismatch: value tensor of shape ", values.sizes(),
        " cannot be broadcast to indexing result of shape ", shape);
  if (x.is_meta() || product(shape) == 0) return;
  Tensor view = permuted(x, plan), whole = view.contiguous_raw();
  Tensor from = expand_raw(values, shape).contiguous_raw();
  if (from->storage.get() == whole->storage.get()) from = from.clone_raw();
  RowsArgs a = plan_args(plan, x);
  a.data = static_cast<char*>(whole.data());
  a.other = static_cast<char*>(from.data());
  a.combine = accumulate ? Combine::add : Combine::assign;
  put_rows_kernel(x.device_type(), a);
  if (!whole.is_same(view)) copy(view, whole);
}

const OpCall call_index("index"), call_index_put("index_put");

void index_back(Backward& b) {
  b.set(0, call_index_put(zeros(b.sizes(0), b.grad().options()), b.in_list(1), b.grad(), true));
}

void index_put_back(Backward& b) {
  static const OpCall sum_to_size("sum_to_size");
  TensorList indices = b.in_list(1);
  if (b.needs(0))
    b.set(0, b.arg(3).as_bool()
                 ? b.grad()
                 : call_index_put(b.grad(), indices, zeros(Ints{}, b.grad().options())));
  if (b.needs(2)) b.set(2, sum_to_size(call_index(b.grad(), indices), b.sizes(2)));
}

FLAMBEAU_OPS{
    {.schema = "index(Tensor input, Tensor?[] indices) -> Tensor",
     .forward = native<index>,
     .backward = index_back,
     .saves = "indices",
     .flags = kInternal | kIndexed,
     .doc = "x[i, j, ...] with tensors of indices or masks; None keeps a dimension."},
    {.schema = "index_put(Tensor input, Tensor?[] indices, Tensor values, bool accumulate=False) "
               "-> Tensor",
     .inplace = native<index_put_>,
     .backward = index_put_back,
     .saves = "indices",
     .flags = kIndexed,
     .doc = "Writes values, or adds them, at x[i, j, ...]."},
};

// -- masks ----------------------------------------------------------------------------------------
void check_mask(const Tensor& mask, const char* op) {
  check(mask.dtype() == DType::boolean, op,
        " only supports boolean masks, but got mask with dtype ", mask.dtype());
}

Tensor masked_select(const Tensor& x, const Tensor& mask) {
  check_mask(mask, "masked_select");
  need_data(x, "masked_select");
  Ints shape = broadcast_shapes(x.sizes(), mask.sizes(), "masked_select");
  return packed(expand_raw(x, shape), expand_raw(mask, shape));
}

void masked_scatter_(const Tensor& x, const Tensor& mask, const Tensor& source) {
  check_mask(mask, "masked_scatter");
  check(x.dtype() == source.dtype(),
        "masked_scatter: expected self and source to have same dtypes but "
        "got ",
        x.dtype(), " and ", source.dtype());
  Tensor m = expand_raw(mask, x.sizes()).contiguous_raw();
  if (x.is_meta()) return;
  Tensor whole = x.contiguous_raw(), from = source.contiguous_raw();
  if (from->storage.get() == whole->storage.get()) from = from.clone_raw();
  PackArgs a{mask_args(m), static_cast<char*>(whole.data()), static_cast<char*>(from.data()),
             static_cast<int64_t>(itemsize(x.dtype()))};
  std::vector<int64_t> counts;
  int64_t total = count_matches(a.mask, counts, x.device_type());
  check(total <= from.numel(), "masked_scatter: expected the number of ones in mask (", total,
        ") to be at most the number of elements in source (", from.numel(), ")");
  unpack_kernel(x.device_type(), a);
  if (!whole.is_same(x)) copy(x, whole);
}

Tensor masked_scatter(const Tensor& x, const Tensor& mask, const Tensor& source) {
  Ints shape = broadcast_shapes(x.sizes(), mask.sizes(), "masked_scatter");
  Tensor y = expand_raw(x, shape).clone_raw();
  masked_scatter_(y, mask, source);
  return y;
}

void masked_fill_raw(const Tensor& x, const Tensor& mask, const Scalar& value) {
  check_mask(mask, "masked_fill");
  Tensor m = expand_raw(mask, x.sizes());
  check(value.kind != Scalar::complex || is_complex(x.dtype()),
        "masked_fill_(): value cannot be converted to type ", x.dtype(), " without overflow");
  if (x.is_meta() || x.numel() == 0) return;
  Ints repeats, sizes = x.sizes();  // an element under several positions: any of them will do
  for (int64_t d = 0; d < x.dim(); ++d)
    if (x.strides()[d] == 0 && sizes[d] > 1) {
      repeats.push_back(d);
      sizes[d] = 1;
    }
  if (repeats.empty()) return fill_under(x, m, scalar_tensor(value, x.options()));
  warn_of_expanded("masked_fill_");
  static const OpCall any("any");
  fill_under(x.as_strided_raw(sizes, x.strides(), x->offset), any(m, repeats, true),
             scalar_tensor(value, x.options()));
}

Scalar fill_value(const Value& v) {
  if (!v.is_tensor()) return v.as_scalar();
  check(v.as_tensor().dim() == 0,
        "masked_fill only supports a 0-dimensional value tensor, but got tensor "
        "with ",
        v.as_tensor().dim(), " dimension(s).");
  return v.as_tensor().is_meta() ? Scalar(0) : item(v.as_tensor());
}
void masked_fill_(const Tensor& x, const Tensor& mask, const Value& value) {
  masked_fill_raw(x, mask, fill_value(value));
}
Tensor masked_fill(const Tensor& x, const Tensor& mask, const Value& value) {
  Tensor y = expand_raw(x, broadcast_shapes(x.sizes(), mask.sizes(), "masked_fill")).clone_raw();
  masked_fill_(y, mask, value);
  return y;
}

const OpCall call_masked_fill("masked_fill"), call_masked_select("masked_select"),
    call_masked_scatter("masked_scatter"), call_sum_to_size("sum_to_size"), call_sum("sum"),
    call_reshape("reshape");

void masked_fill_back(Backward& b) {
  Tensor mask = b.in(1);
  if (b.needs(0)) b.set(0, call_sum_to_size(call_masked_fill(b.grad(), mask, 0), b.sizes(0)));
  if (b.needs(2)) b.set(2, call_sum(call_masked_select(b.grad(), mask)));
}

void masked_select_back(Backward& b) {
  Tensor mask = b.in(1);
  Ints shape = broadcast_shapes(b.sizes(0), mask.sizes(), "masked_select");
  Tensor g = call_masked_scatter(zeros(shape, b.grad().options()), mask, b.grad());
  b.set(0, call_sum_to_size(g, b.sizes(0)));
}

void masked_scatter_back(Backward& b) {
  Tensor mask = b.in(1);
  if (b.needs(0)) b.set(0, call_sum_to_size(call_masked_fill(b.grad(), mask, 0), b.sizes(0)));
  if (!b.needs(2)) return;
  static const OpCall widen("slice_backward");
  Tensor g = call_masked_select(b.grad(), mask);
  int64_t n = product(b.sizes(2));
  g = widen(g, Ints{n}, int64_t(0), int64_t(0), g.numel(), int64_t(1));
  b.set(2, call_reshape(g, b.sizes(2)));
}

FLAMBEAU_OPS{
    {.schema = "masked_select(Tensor input, Tensor mask) -> Tensor",
     .forward = native<masked_select>,
     .backward = masked_select_back,
     .saves = "mask",
     .flags = kIndexed,
     .doc = "The elements where the mask is true, in one dimension."},
    {.schema = "masked_scatter(Tensor input, Tensor mask, Tensor source) -> Tensor",
     .forward = native<masked_scatter>,
     .inplace = native<masked_scatter_>,
     .backward = masked_scatter_back,
     .saves = "mask",
     .flags = kReadsFirst,
     .doc = "Elements of source, one after another, where the mask is true."},
    {.schema = "masked_fill(Tensor input, Tensor mask, Scalar value) -> Tensor",
     .forward = native<masked_fill>,
     .inplace = native<masked_fill_>,
     .backward = masked_fill_back,
     .saves = "mask",
     .doc = "One value where the mask is true."},
    {.schema = "masked_fill(Tensor input, Tensor mask, Tensor value) -> Tensor",
     .forward = native<masked_fill>,
     .inplace = native<masked_fill_>,
     .backward = masked_fill_back,
     .saves = "mask",
     .doc = "One value where the mask is true."},
};

// -- positions ------------------------------------------------------------------------------------
Value nonzero(const Tensor& x, bool as_tuple) {
  Tensor at = nonzero_raw(x);
  if (!as_tuple) return at;
  if (x.dim() == 0)
    return TensorList{select_raw(nonzero_raw(x.as_strided_raw(Ints{1}, Ints{1}, x->offset)), 1, 0)};
  TensorList parts;
  for (int64_t d = 0; d < x.dim(); ++d) parts.push_back(select_raw(at, 1, d));
  return parts;
}
Tensor argwhere(const Tensor& x) { return nonzero_raw(x); }

// -- flat -----------------------------------------------------------------------------------------
Tensor take(const Tensor& x, const Tensor& at) {
  check(at.dtype() == DType::int64, "take(): Expected a long tensor for index, but got ",
        at.dtype());
  return call_index(call_reshape(x, Ints{-1}), TensorList{at});
}
void put_(const Tensor& x, const Tensor& at, const Tensor& source, bool accumulate) {
  check(at.numel() == source.numel(),
        "put_(): Expected source and index to have the same number of "
        "elements, but got ",
        source.numel(), " and ", at.numel());
  check_index(at.dtype() == DType::int64, "put_(): Expected a long tensor for index, but got ",
              at.dtype());
  Tensor whole = x.contiguous_raw();
  Tensor flat = whole.as_strided_raw(Ints{x.numel()}, Ints{1}, whole->offset);
  index_put_(flat, {reshape_raw(at, Ints{at.numel()})}, reshape_raw(source, Ints{source.numel()}),
             accumulate);
  if (!whole.is_same(x)) copy(x, whole);
}
void put_back(Backward& b) {
  Tensor at = b.in(1);
  static const OpCall call_put("put"), call_take("take");
  if (b.needs(0)) {
    Tensor nothing = zeros(b.sizes(2), b.grad().options());
    b.set(0, b.arg(3).as_bool() ? b.grad() : call_put(b.grad(), at, nothing));
  }
  if (b.needs(2)) b.set(2, call_reshape(call_take(b.grad(), at), b.sizes(2)));
}

FLAMBEAU_OPS{
    {.schema = "nonzero(Tensor input, *, bool as_tuple=False) -> Tensor",
     .forward = native<nonzero>,
     .flags = kNotDifferentiable,
     .doc = "Where the elements are not zero: one row of indices for each."},
    {.schema = "argwhere(Tensor input) -> Tensor",
     .forward = native<argwhere>,
     .flags = kNotDifferentiable,
     .doc = "Where the elements are not zero: one row of indices for each."},
    {.schema = "take(Tensor input, Tensor index) -> Tensor",
     .forward = native<take>,
     .flags = kComposite | kIndexed,
     .node = "TakeBackward0",
     .doc = "Elements by their positions in the flattened tensor."},
    {.schema = "put(Tensor input, Tensor index, Tensor source, bool accumulate=False) -> Tensor",
     .inplace = native<put_>,
     .backward = put_back,
     .saves = "index",
     .flags = kIndexed,
     .doc = "Writes source by positions in the flattened tensor."},
};

}  // namespace
}  // namespace flambeau
