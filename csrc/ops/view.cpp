// Views that show the same elements in another shape or another order of dimensions.
#include "shape.h"

#include <algorithm>

namespace flambeau {

std::optional<Ints> view_strides(const Tensor& t, IntSpan sizes) {
  if (t.is_contiguous()) return contiguous_strides(sizes);
  Ints out(sizes.size());
  int64_t d = static_cast<int64_t>(sizes.size()) - 1;
  int64_t run = 1, filled = 1, step = t.dim() ? t.strides()[t.dim() - 1] : 1;
  // Walk runs of old dimensions that lie one in another; new dimensions must end where runs do.
  for (int64_t o = t.dim() - 1; o >= 0; --o) {
    run *= t.sizes()[o];
    bool ends = o == 0 || (t.sizes()[o - 1] != 1 && t.strides()[o - 1] != run * step);
    if (!ends) continue;
    while (d >= 0 && (filled < run || sizes[d] == 1)) {
      out[d] = filled * step;
      filled *= sizes[d--];
    }
    if (filled != run) return std::nullopt;
    if (o > 0) step = t.strides()[o - 1];
    run = filled = 1;
  }
  if (d != -1) return std::nullopt;
  return out;
}

Ints infer_size(IntSpan sizes, int64_t numel, const char* op) {
  Ints out(sizes);
  int64_t known = 1, unknown = -1;
  for (size_t d = 0; d < sizes.size(); ++d) {
    if (sizes[d] == -1) {
      check(unknown < 0, op, "(): only one dimension can be inferred, got ", sizes);
      unknown = static_cast<int64_t>(d);
    } else {
      check(sizes[d] >= 0, op, "(): invalid shape dimension ", sizes[d], " in ", sizes);
      check(!__builtin_mul_overflow(known, sizes[d], &known), op, "(): shape ", sizes,
            " has too many elements");
    }
  }
  if (unknown >= 0) {
    check(known != 0 || numel != 0, op, "(): cannot reshape tensor of 0 elements into shape ",
          sizes, " because the unspecified dimension size -1 can be any value and is ambiguous");
    check(known != 0 && numel % known == 0, op, "(): shape '", sizes,
          "' is invalid for input of size ", numel);
    out[unknown] = numel / known;
  } else {
    check(known == numel, op, "(): shape '", sizes, "' is invalid for input of size ", numel);
  }
  return out;
}

Tensor reshape_raw(const Tensor& t, IntSpan sizes) {
  if (auto strides = view_strides(t, sizes)) return t.as_strided_raw(sizes, *strides, t->offset);
  return t.clone_raw().as_strided_raw(sizes, contiguous_strides(sizes), 0);
}

Ints wrap_dims(IntSpan dims, int64_t ndim, const char* op) {
  Ints out;
  for (int64_t d : dims) {
    d = wrap_dim(d, ndim);
    check(std::find(out.begin(), out.end(), d) == out.end(), op, "(): dim ", d,
          " appears multiple times in the list of dims ", dims);
    out.push_back(d);
  }
  return out;
}

Tensor permute_raw(const Tensor& t, const Ints& order) {
  Tensor y = t.alias();
  for (size_t d = 0; d < order.size(); ++d) {
    y->sizes[d] = t.sizes()[order[d]];
    y->strides[d] = t.strides()[order[d]];
  }
  y->refresh();
  return y;
}

Tensor transpose_raw(const Tensor& t, int64_t a, int64_t b) {
  a = wrap_dim(a, t.dim());
  b = wrap_dim(b, t.dim());
  Tensor y = t.alias();
  if (a == b) return y;
  std::swap(y->sizes[a], y->sizes[b]);
  std::swap(y->strides[a], y->strides[b]);
  y->refresh();
  return y;
}

Tensor expand_raw(const Tensor& t, IntSpan sizes) {
  auto n = static_cast<int64_t>(sizes.size()), lead = n - t.dim();
  check(lead >= 0, "expand(): the number of sizes provided (", n,
        ") must be greater or equal to the number of dimensions in the tensor (", t.dim(), ")");
  Ints out(sizes), strides(n);
  for (int64_t d = 0; d < n; ++d) {
    int64_t own = d < lead ? 1 : t.sizes()[d - lead];
    if (out[d] == -1) {
      check(d >= lead,
            "expand(): the expanded size of the tensor (-1) isn't allowed in a leading, "
            "non-existing dimension ",
            d);
      out[d] = own;
    }
    check(out[d] >= 0, "expand(): negative size in ", sizes);
    check(own == out[d] || own == 1, "The expanded size of the tensor (", out[d],
          ") must match the existing size (", own, ") at non-singleton dimension ", d,
          ". Target sizes: ", sizes, ". Tensor sizes: ", t.sizes());
    strides[d] = d >= lead && own == out[d] ? t.strides()[d - lead] : 0;
  }
  for (int64_t d = lead - 1; d >= 0; --d)  // new dimensions of size 1 lie as in a plain tensor
    if (out[d] == 1) strides[d] = d + 1 < n ? out[d + 1] * strides[d + 1] : 1;
  return t.as_strided_raw(out, strides, t->offset);
}

namespace {

const OpCall call_reshape("reshape"), call_view("view"), call_clone("clone");

// The gradient of every view that only regroups dimensions.
void reshape_back(Backward& b) { b.set(0, call_reshape(b.grad(), b.sizes(0))); }

// -- view -----------------------------------------------------------------------------------------
Tensor view(const Tensor& x, const Ints& size) {
  Ints sizes = infer_size(size, x.numel(), "view");
  auto strides = view_strides(x, sizes);
  check(strides.has_value(), "view(): view size is not compatible with input tensor's size ",
        x.sizes(), " and stride ", x.strides(), " (at least one dimension of ", sizes,
        " spans across two contiguous subspaces). Use .reshape(...) instead.");
  return x.as_strided_raw(sizes, *strides, x->offset);
}

Tensor view_dtype(const Tensor& x, DType dtype) {
  auto from = static_cast<int64_t>(itemsize(x.dtype())), to = static_cast<int64_t>(itemsize(dtype));
  Tensor y = x.alias();
  y->dtype = dtype;
  if (from == to) return y;
  check(x.dim() > 0, "view(): self.dim() cannot be 0 to view ", x.dtype(), " as ", dtype,
        " (different element sizes)");
  int64_t last = x.dim() - 1;
  check(x.strides()[last] == 1, "view(): self.stride(-1) must be 1 to view ", x.dtype(), " as ",
        dtype, " (different element sizes), but got ", x.strides()[last]);
  auto scale = [&](int64_t n, const char* what) {
    check(n * from % to == 0, "view(): ", what, " must be divisible by ", to / from, " to view ",
          x.dtype(), " as ", dtype, " (different element sizes), but got ", n);
    return n * from / to;
  };
  y->sizes[last] = scale(x.sizes()[last], "self.size(-1)");
  y->offset = scale(x->offset, "self.storage_offset()");
  for (int64_t d = 0; d < last; ++d) y->strides[d] = scale(x.strides()[d], "self.stride()");
  y->refresh();
  return y;
}

Tensor reshape(const Tensor& x, const Ints& shape) {
  Ints sizes = infer_size(shape, x.numel(), "reshape");
  if (view_strides(x, sizes)) return call_view(x, sizes);
  return call_view(call_clone(x, MemoryFormat::contiguous), sizes);
}

Tensor view_as(const Tensor& x, const Tensor& other) { return call_view(x, other.sizes()); }
Tensor reshape_as(const Tensor& x, const Tensor& other) { return call_reshape(x, other.sizes()); }
Tensor ravel(const Tensor& x) {  // contiguous, unlike reshape()
  return call_view(x.is_contiguous() ? x : call_clone(x, MemoryFormat::contiguous), Ints{-1});
}

Tensor flatten(const Tensor& x, int64_t start_dim, int64_t end_dim) {
  int64_t from = wrap_dim(start_dim, x.dim()), to = wrap_dim(end_dim, x.dim());
  check(from <= to, "flatten() has invalid args: start_dim (", start_dim,
        ") cannot come after end_dim (", end_dim, ")");
  if (x.dim() == 0) return call_view(x, Ints{1});
  if (from == to) return x;
  Ints sizes;
  int64_t merged = 1;
  for (int64_t d = 0; d < x.dim(); ++d) {
    if (d < from || d > to)
      sizes.push_back(x.sizes()[d]);
    else
      merged *= x.sizes()[d];
    if (d == to) sizes.push_back(merged);
  }
  return call_reshape(x, sizes);
}

Tensor unflatten(const Tensor& x, int64_t dim, const Ints& sizes) {
  check(!sizes.empty(), "unflatten(): sizes must be non-empty");
  dim = wrap_dim(dim, x.dim());
  check(x.dim() > 0, "unflatten(): input must have at least one dimension");
  Ints inner = sizes, out;
  int64_t known = 1, unknown = -1, n = x.sizes()[dim];
  for (size_t i = 0; i < sizes.size(); ++i) {
    if (sizes[i] != -1) {
      known *= sizes[i];
      continue;
    }
    check(unknown < 0, "unflatten(): only one dimension can be inferred, got ", sizes);
    unknown = static_cast<int64_t>(i);
  }
  if (unknown >= 0 && known > 0) inner[unknown] = n / known;
  check((unknown >= 0 ? known > 0 && n % known == 0 : known == n), "unflatten(): Provided sizes ",
        sizes, " don't multiply up to the size of dim ", dim, " (", n, ") in the input tensor");
  for (int64_t d = 0; d < x.dim(); ++d) {
    if (d != dim)
      out.push_back(x.sizes()[d]);
    else
      for (int64_t s : inner) out.push_back(s);
  }
  return call_view(x, out);
}

FLAMBEAU_OPS{
    {.schema = "view(Tensor input, int[] size) -> Tensor",
     .forward = native<view>,
     .backward = reshape_back,
     .flags = kView | kNoFunction,
     .doc = "The same elements in another shape, without a copy; -1 stands for what is left."},
    {.schema = "view(Tensor input, ScalarType dtype) -> Tensor",
     .forward = native<view_dtype>,
     .flags = kView | kNoFunction | kNotDifferentiable,
     .doc = "The same bytes read as another dtype; without a gradient."},
    {.schema = "reshape(Tensor input, int[] shape) -> Tensor",
     .forward = native<reshape>,
     .flags = kComposite,
     .doc = "The same elements in another shape: a view when there is one, else a copy."},
    {.schema = "view_as(Tensor input, Tensor other) -> Tensor",
     .forward = native<view_as>,
     .flags = kComposite | kNoFunction,
     .doc = "A view in the shape of another tensor."},
    {.schema = "reshape_as(Tensor input, Tensor other) -> Tensor",
     .forward = native<reshape_as>,
     .flags = kComposite | kNoFunction,
     .doc = "reshape() to the shape of another tensor."},
    {.schema = "ravel(Tensor input) -> Tensor",
     .forward = native<ravel>,
     .flags = kComposite,
     .doc = "All elements in one dimension."},
    {.schema = "flatten(Tensor input, int start_dim=0, int end_dim=-1) -> Tensor",
     .forward = native<flatten>,
     .flags = kComposite,
     .doc = "The dimensions from start_dim to end_dim made one."},
    {.schema = "unflatten(Tensor input, int dim, int[] sizes) -> Tensor",
     .forward = native<unflatten>,
     .flags = kComposite,
     .doc = "One dimension made several; one of the sizes may be -1."},
};

// -- permutations ---------------------------------------------------------------------------------
Tensor permute(const Tensor& x, const Ints& dims) {
  check(static_cast<int64_t>(dims.size()) == x.dim(),
        "permute(dims): number of dimensions in the "
        "tensor input does not match the length of the desired ordering of dimensions i.e. "
        "input.dim() = ",
        x.dim(), " is not equal to len(dims) = ", dims.size());
  return permute_raw(x, wrap_dims(dims, x.dim(), "permute"));
}

void permute_back(Backward& b) {
  static const OpCall call_permute("permute");
  Ints order = wrap_dims(b.arg(1).as_ints(), static_cast<int64_t>(b.sizes(0).size()), "permute");
  Ints inverse(order.size());
  for (size_t d = 0; d < order.size(); ++d) inverse[order[d]] = static_cast<int64_t>(d);
  b.set(0, call_permute(b.grad(), inverse));
}

const OpCall call_transpose("transpose");

void transpose_back(Backward& b) {
  b.set(0, call_transpose(b.grad(), b.arg(1).as_int(), b.arg(2).as_int()));
}

void transpose_(const Tensor& x, int64_t a, int64_t b) {
  a = wrap_dim(a, x.dim());
  b = wrap_dim(b, x.dim());
  if (a == b) return;
  std::swap(x->sizes[a], x->sizes[b]);
  std::swap(x->strides[a], x->strides[b]);
  x->refresh();
}

Tensor t(const Tensor& x) {
  check(x.dim() <= 2, "t() expects a tensor with <= 2 dimensions, but self is ", x.dim(), "D");
  return x.dim() < 2 ? x.alias() : transpose_raw(x, 0, 1);
}
void t_(const Tensor& x) {
  check(x.dim() <= 2, "t_() expects a tensor with <= 2 dimensions, but self is ", x.dim(), "D");
  if (x.dim() == 2) transpose_(x, 0, 1);
}
void t_back(Backward& b) {
  static const OpCall call_t("t");
  b.set(0, call_t(b.grad()));
}

Tensor movedim(const Tensor& x, const Ints& source, const Ints& destination) {
  check(source.size() == destination.size(),
        "movedim: Invalid source or destination dims: source (", source,
        " dims) should contain the same number of dims as destination (", destination, " dims)");
  int64_t n = x.dim();
  Ints from = wrap_dims(source, n, "movedim"), to = wrap_dims(destination, n, "movedim");
  Ints order(n, -1);
  for (size_t i = 0; i < from.size(); ++i) order[to[i]] = from[i];
  int64_t next = 0;
  for (int64_t d = 0; d < n; ++d) {  // the others keep their order
    if (order[d] >= 0) continue;
    while (std::find(from.begin(), from.end(), next) != from.end()) ++next;
    order[d] = next++;
  }
  static const OpCall call_permute("permute");
  return call_permute(x, order);
}

FLAMBEAU_OPS{
    {.schema = "permute(Tensor input, int[] dims) -> Tensor",
     .forward = native<permute>,
     .backward = permute_back,
     .flags = kView,
     .doc = "A view with the dimensions in another order."},
    {.schema = "transpose(Tensor input, int dim0, int dim1) -> Tensor",
     .forward = native<transpose_raw>,
     .inplace = native<transpose_>,
     .backward = transpose_back,
     .flags = kView | kInplace,
     .doc = "A view with two dimensions exchanged."},
    {.schema = "swapdims(Tensor input, int dim0, int dim1) -> Tensor",
     .flags = kInplace,
     .doc = "transpose() by another name.",
     .alias = "transpose"},
    {.schema = "swapaxes(Tensor input, int axis0, int axis1) -> Tensor",
     .flags = kInplace,
     .doc = "transpose() by another name.",
     .alias = "transpose"},
    {.schema = "t(Tensor input) -> Tensor",
     .forward = native<t>,
     .inplace = native<t_>,
     .backward = t_back,
     .flags = kView | kInplace,
     .doc = "A view of a matrix with its dimensions exchanged."},
    {.schema = "movedim(Tensor input, int[1] source, int[1] destination) -> Tensor",
     .forward = native<movedim>,
     .flags = kComposite,
     .doc = "A view with dimensions moved to other places, the others in their order."},
    {.schema = "moveaxis(Tensor input, int[1] source, int[1] destination) -> Tensor",
     .doc = "movedim() by another name.",
     .alias = "movedim"},
};

// -- dimensions of size 1 -------------------------------------------------------------------------
// All of them when dims is null.
void drop_ones(const Tensor& x, const Ints* dims) {
  Ints wanted = dims ? wrap_dims(*dims, x.dim(), "squeeze") : Ints();
  Ints sizes, strides;
  for (int64_t d = 0; d < x.dim(); ++d) {
    bool asked = !dims || std::find(wanted.begin(), wanted.end(), d) != wanted.end();
    if (asked && x.sizes()[d] == 1) continue;
    sizes.push_back(x.sizes()[d]);
    strides.push_back(x.strides()[d]);
  }
  x->sizes = std::move(sizes);
  x->strides = std::move(strides);
}

void squeeze_(const Tensor& x) { drop_ones(x, nullptr); }
void squeeze_dims_(const Tensor& x, const Ints& dims) { drop_ones(x, &dims); }
Tensor squeeze(const Tensor& x) {
  Tensor y = x.alias();
  drop_ones(y, nullptr);
  return y;
}
Tensor squeeze_dims(const Tensor& x, const Ints& dims) {
  Tensor y = x.alias();
  drop_ones(y, &dims);
  return y;
}

void unsqueeze_(const Tensor& x, int64_t dim) {
  dim = wrap_dim(dim, x.dim() + 1);
  int64_t stride = dim < x.dim() ? x.sizes()[dim] * x.strides()[dim] : 1;
  x->sizes.insert(dim, 1);
  x->strides.insert(dim, stride);
}
Tensor unsqueeze(const Tensor& x, int64_t dim) {
  Tensor y = x.alias();
  unsqueeze_(y, dim);
  return y;
}

FLAMBEAU_OPS{
    {.schema = "squeeze(Tensor input) -> Tensor",
     .forward = native<squeeze>,
     .inplace = native<squeeze_>,
     .backward = reshape_back,
     .flags = kView | kInplace,
     .doc = "A view without the dimensions of size 1."},
    {.schema = "squeeze(Tensor input, int[1] dim) -> Tensor",
     .forward = native<squeeze_dims>,
     .inplace = native<squeeze_dims_>,
     .backward = reshape_back,
     .flags = kView | kInplace,
     .node = "SqueezeBackward1",
     .doc = "A view without the given dimensions where they are of size 1."},
    {.schema = "unsqueeze(Tensor input, int dim) -> Tensor",
     .forward = native<unsqueeze>,
     .inplace = native<unsqueeze_>,
     .backward = reshape_back,
     .flags = kView | kInplace,
     .doc = "A view with a dimension of size 1 put in."},
};

// -- expand ---------------------------------------------------------------------------------------
Tensor expand(const Tensor& x, const Ints& size, bool) { return expand_raw(x, size); }
Tensor expand_as(const Tensor& x, const Tensor& other) {
  static const OpCall call_expand("expand");
  return call_expand(x, other.sizes());
}
Tensor broadcast_to(const Tensor& x, const Ints& size) {
  static const OpCall call_expand("expand");
  return call_expand(x, size);
}
void expand_back(Backward& b) {
  static const OpCall sum_to_size("sum_to_size");
  b.set(0, sum_to_size(b.grad(), b.sizes(0)));
}

FLAMBEAU_OPS{
    {.schema = "expand(Tensor input, int[] size, *, bool implicit=False) -> Tensor",
     .forward = native<expand>,
     .backward = expand_back,
     .flags = kView | kNoFunction,
     .doc = "A view that repeats dimensions of size 1 without a copy; -1 keeps a size."},
    {.schema = "expand_as(Tensor input, Tensor other) -> Tensor",
     .forward = native<expand_as>,
     .flags = kComposite | kNoFunction,
     .doc = "expand() to the shape of another tensor."},
    {.schema = "broadcast_to(Tensor input, int[] size) -> Tensor",
     .forward = native<broadcast_to>,
     .flags = kComposite,
     .doc = "expand() as a function."},
};

}  // namespace
}  // namespace flambeau
