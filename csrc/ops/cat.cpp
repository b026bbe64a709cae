// Joining tensors: cat, stack and their short forms.
#include "shape.h"

namespace flambeau {
namespace {

// A 1-D tensor without elements joins anything, whatever the others' shapes.
bool is_nothing(const Tensor& t) { return t.dim() == 1 && t.numel() == 0; }

DType common_dtype(const TensorList& tensors) {
  // Tensors with dimensions decide before 0-d ones do, within a category.
  DType t = tensors[0].dtype();
  for (const Tensor& x : tensors) t = promote(t, x.dtype());
  return t;
}

Tensor empty_joined(const TensorList& tensors, const Tensor& first, IntSpan sizes,
                    const Options& o) {
  for (MemoryFormat f : {MemoryFormat::channels_last, MemoryFormat::channels_last_3d}) {
    bool all = !first.is_contiguous();
    for (const Tensor& t : tensors) all = all && (is_nothing(t) || t.is_contiguous(f));
    if (all) return empty_strided(sizes, channels_last_strides(sizes), o);
  }
  return empty(sizes, o);
}

Tensor join(const TensorList& tensors, int64_t dim) {
  check_value(!tensors.empty(), "cat(): expected a non-empty list of Tensors");
  const Tensor* first = nullptr;
  for (size_t i = 0; i < tensors.size(); ++i) {
    check(tensors[i].dim() > 0, "cat(): zero-dimensional tensor (at position ", i,
          ") cannot be concatenated");
    check(tensors[i].device() == tensors[0].device(),
          "cat(): Expected all tensors to be on the same "
          "device, but found at least two devices, ",
          tensors[0].device(), " and ", tensors[i].device());
    if (!first && !is_nothing(tensors[i])) first = &tensors[i];
  }
  Options o{common_dtype(tensors), tensors[0].device()};
  if (!first) {
    return empty(Ints{0}, o);
  }
  dim = wrap_dim(dim, first->dim());
  Ints sizes = first->sizes();
  sizes[dim] = 0;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const Tensor& t = tensors[i];
    if (is_nothing(t)) continue;
    check(t.dim() == first->dim(), "cat(): Tensors must have same number of dimensions: got ",
          first->dim(), " and ", t.dim());
    for (int64_t d = 0; d < t.dim(); ++d)
      check(d == dim || t.sizes()[d] == sizes[d],
            "cat(): Sizes of tensors must match except in "
            "dimension ",
            dim, ". Expected size ", sizes[d], " but got size ", t.sizes()[d],
            " for tensor number ", i, " in the list.");
    sizes[dim] += t.sizes()[dim];
  }
  Tensor out = empty_joined(tensors, *first, sizes, o);
  int64_t at = 0;
  for (const Tensor& t : tensors) {
    if (is_nothing(t)) continue;
    copy(narrow_raw(out, dim, at, t.sizes()[dim]), t);
    at += t.sizes()[dim];
  }
  return out;
}

void join_back(Backward& b) {
  static const OpCall slice("slice"), to("to");
  const Tensor& g = b.grad();
  int64_t at = 0, dim = wrap_dim(b.arg(1).as_int(), g.dim());
  for (int i = 0; i < b.count(0); ++i) {
    Ints sizes = b.sizes(0, i);
    if (sizes.size() == 1 && sizes[0] == 0) {
      if (b.needs(0, i)) b.set(0, i, zeros(sizes, {b.dtype(0, i), g.device()}));
      continue;
    }
    int64_t n = sizes[dim];
    if (b.needs(0, i)) b.set(0, i, to(slice(g, dim, at, at + n), b.dtype(0, i)));
    at += n;
  }
}

Tensor stack(const TensorList& tensors, int64_t dim) {
  check(!tensors.empty(), "stack expects a non-empty TensorList");
  const Ints& item = tensors[0].sizes();
  dim = wrap_dim(dim, tensors[0].dim() + 1);
  for (size_t i = 1; i < tensors.size(); ++i)
    check(tensors[i].sizes() == item, "stack expects each tensor to be equal size, but got ", item,
          " at entry 0 and ", tensors[i].sizes(), " at entry ", i);
  Ints sizes = item;
  sizes.insert(dim, static_cast<int64_t>(tensors.size()));
  Tensor out = empty(sizes, {common_dtype(tensors), tensors[0].device()});
  for (size_t i = 0; i < tensors.size(); ++i)
    copy(select_raw(out, dim, static_cast<int64_t>(i)), tensors[i]);
  return out;
}

void stack_back(Backward& b) {
  static const OpCall select("select"), to("to");
  int64_t dim = wrap_dim(b.arg(1).as_int(), b.grad().dim());
  for (int i = 0; i < b.count(0); ++i)
    if (b.needs(0, i)) b.set(0, i, to(select(b.grad(), dim, i), b.dtype(0, i)));
}

// -- short forms ----------------------------------------------------------------------------------
const OpCall call_cat("cat"), call_reshape("reshape"), call_unsqueeze("unsqueeze");

Tensor atleast(const Tensor& x, int64_t n) {
  if (x.dim() >= n) return x;
  if (x.dim() == 0) return call_reshape(x, Ints(static_cast<size_t>(n), 1));
  if (n == 2) return call_unsqueeze(x, 0);
  return x.dim() == 2 ? call_unsqueeze(x, -1) : call_unsqueeze(call_unsqueeze(x, 0), -1);
}
template <int N>
Tensor atleast_one(const Tensor& x) {
  return atleast(x, N);
}
template <int N>
TensorList atleast_all(const TensorList& tensors) {
  TensorList out;
  for (const Tensor& t : tensors) out.push_back(atleast(t, N));
  return out;
}

Tensor hstack(const TensorList& tensors) {
  check(!tensors.empty(), "hstack expects a non-empty TensorList");
  TensorList parts = atleast_all<1>(tensors);
  return call_cat(parts, parts[0].dim() == 1 ? 0 : 1);
}
Tensor vstack(const TensorList& tensors) {
  check(!tensors.empty(), "vstack expects a non-empty TensorList");
  return call_cat(atleast_all<2>(tensors), 0);
}
Tensor dstack(const TensorList& tensors) {
  check(!tensors.empty(), "dstack expects a non-empty TensorList");
  return call_cat(atleast_all<3>(tensors), 2);
}
Tensor column_stack(const TensorList& tensors) {
  check(!tensors.empty(), "column_stack expects a non-empty TensorList");
  TensorList parts;
  for (const Tensor& t : tensors)
    parts.push_back(t.dim() <= 1 ? call_reshape(t, Ints{t.numel(), 1}) : t);
  return call_cat(parts, 1);
}

#define FLAMBEAU_ATLEAST(n)                                       \
  {.schema = "atleast_" #n "d(Tensor input) -> Tensor",           \
   .forward = native<atleast_one<n>>,                             \
   .flags = kComposite | kNoMethod,                               \
   .doc = "A view with at least " #n " dimensions."},             \
      {.schema = "atleast_" #n "d(Tensor[] tensors) -> Tensor[]", \
       .forward = native<atleast_all<n>>,                         \
       .flags = kComposite,                                       \
       .doc = "Views with at least " #n " dimensions."}

FLAMBEAU_OPS{
    {.schema = "cat(Tensor[] tensors, int dim=0) -> Tensor",
     .forward = native<join>,
     .backward = join_back,
     .flags = kCastsOut | kReadsAlong,
     .doc = "Tensors laid end to end along a dimension."},
    {.schema = "concat(Tensor[] tensors, int dim=0) -> Tensor", .alias = "cat"},
    {.schema = "concatenate(Tensor[] tensors, int dim=0) -> Tensor", .alias = "cat"},
    {.schema = "stack(Tensor[] tensors, int dim=0) -> Tensor",
     .forward = native<stack>,
     .backward = stack_back,
     .flags = kCastsOut,
     .doc = "Tensors of one shape side by side along a new dimension."},
    FLAMBEAU_ATLEAST(1),
    FLAMBEAU_ATLEAST(2),
    FLAMBEAU_ATLEAST(3),
    {.schema = "hstack(Tensor[] tensors) -> Tensor",
     .forward = native<hstack>,
     .flags = kCastsOut | kComposite,
     .doc = "Tensors joined column by column."},
    {.schema = "vstack(Tensor[] tensors) -> Tensor",
     .forward = native<vstack>,
     .flags = kCastsOut | kComposite,
     .doc = "Tensors joined row by row."},
    {.schema = "row_stack(Tensor[] tensors) -> Tensor", .alias = "vstack"},
    {.schema = "dstack(Tensor[] tensors) -> Tensor",
     .forward = native<dstack>,
     .flags = kCastsOut | kComposite,
     .doc = "Tensors joined along the third dimension."},
    {.schema = "column_stack(Tensor[] tensors) -> Tensor",
     .forward = native<column_stack>,
     .flags = kCastsOut | kComposite,
     .doc = "Vectors as the columns of a matrix."},
};

}  // namespace
}  // namespace flambeau
