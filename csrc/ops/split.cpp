// Views of all parts along a dimension: unbind, split, chunk, tensor_split.
#include "shape.h"

#include <algorithm>

namespace flambeau {
namespace {

Tensor or_zeros(const Tensor& g, IntSpan sizes, const Options& o) {
  return g.defined() ? g : zeros(sizes, o);
}

Options options_of(Backward& b, int count) {
  for (int i = 0; i < count; ++i)
    if (b.grad(i).defined()) return b.grad(i).options();
  return {b.dtype(0), {}};
}

// -- unbind ---------------------------------------------------------------------------------------
TensorList unbind(const Tensor& x, int64_t dim) {
  check_index(x.dim() > 0, "unbind(): Dimension specified as ", dim,
              " but tensor has no dimensions");
  dim = wrap_dim(dim, x.dim());
  TensorList out;
  for (int64_t i = 0; i < x.sizes()[dim]; ++i) out.push_back(select_raw(x, dim, i));
  return out;
}

void unbind_back(Backward& b) {
  static const OpCall stack("stack");
  Ints sizes = b.sizes(0);
  int64_t dim = wrap_dim(b.arg(1).as_int(), static_cast<int64_t>(sizes.size()));
  auto n = static_cast<int>(sizes[dim]);
  Options o = options_of(b, n);
  sizes.erase(dim);
  TensorList parts;
  for (int i = 0; i < n; ++i) parts.push_back(or_zeros(b.grad(i), sizes, o));
  b.set(0, stack(parts, dim));
}

// -- split ----------------------------------------------------------------------------------------
TensorList split_sizes(const Tensor& x, const Ints& lengths, int64_t dim) {
  check(x.dim() > 0, "split expects at least a 1-dimensional tensor");
  dim = wrap_dim(dim, x.dim());
  int64_t at = 0, n = x.sizes()[dim];
  TensorList out;
  for (int64_t length : lengths) {
    check(length >= 0,
          "split_with_sizes expects split_sizes have only non-negative entries, but got "
          "split_sizes=",
          lengths);
    check(at + length <= n, "split_with_sizes expects split_sizes to sum exactly to ", n,
          " (input tensor's size at dimension ", dim, "), but got split_sizes=", lengths);
    out.push_back(narrow_raw(x, dim, at, length));
    at += length;
  }
  check(at == n, "split_with_sizes expects split_sizes to sum exactly to ", n,
        " (input tensor's size at dimension ", dim, "), but got split_sizes=", lengths);
  return out;
}

Ints equal_parts(int64_t n, int64_t size) {
  check(size >= 0, "split expects split_size be non-negative, but got split_size=", size);
  check(size > 0 || n == 0,
        "split_size can only be 0 if dimension size is 0, but got dimension size of ", n);
  if (n == 0) return {0};
  Ints parts;
  for (int64_t at = 0; at < n; at += size) parts.push_back(std::min(size, n - at));
  return parts;
}

TensorList split(const Tensor& x, int64_t size, int64_t dim) {
  check(x.dim() > 0, "split expects at least a 1-dimensional tensor");
  dim = wrap_dim(dim, x.dim());
  return split_sizes(x, equal_parts(x.sizes()[dim], size), dim);
}

void join_back(Backward& b, const Ints& lengths, int64_t dim) {
  static const OpCall cat("cat");
  Ints sizes = b.sizes(0);
  Options o = options_of(b, static_cast<int>(lengths.size()));
  TensorList parts;
  for (size_t i = 0; i < lengths.size(); ++i) {
    sizes[dim] = lengths[i];
    parts.push_back(or_zeros(b.grad(static_cast<int>(i)), sizes, o));
  }
  b.set(0, cat(parts, dim));
}

void split_sizes_back(Backward& b) {
  int64_t dim = wrap_dim(b.arg(2).as_int(), static_cast<int64_t>(b.sizes(0).size()));
  join_back(b, b.arg(1).as_ints(), dim);
}

void split_back(Backward& b) {
  int64_t dim = wrap_dim(b.arg(2).as_int(), static_cast<int64_t>(b.sizes(0).size()));
  join_back(b, equal_parts(b.sizes(0)[dim], b.arg(1).as_int()), dim);
}

TensorList chunk(const Tensor& x, int64_t chunks, int64_t dim) {
  check(x.dim() > 0, "chunk expects at least a 1-dimensional tensor");
  check(chunks > 0, "chunk expects `chunks` to be greater than 0, got: ", chunks);
  dim = wrap_dim(dim, x.dim());
  int64_t n = x.sizes()[dim], size = (n + chunks - 1) / chunks;
  static const OpCall split_even("split"), split_list("split_with_sizes");
  if (size == 0) return split_list.all(x, Ints(static_cast<size_t>(chunks)), dim);
  return split_even.all(x, size, dim);
}

// -- tensor_split ---------------------------------------------------------------------------------
TensorList split_at(const Tensor& x, const Ints& indices, int64_t dim) {
  static const OpCall slice("slice");
  int64_t d = wrap_dim(dim, x.dim()), start = 0;
  TensorList out;
  for (size_t i = 0; i <= indices.size(); ++i) {
    int64_t end = i < indices.size() ? indices[i] : x.sizes()[d];
    out.push_back(slice(x, d, start, end));
    start = end;
  }
  return out;
}

TensorList split_into(const Tensor& x, int64_t sections, int64_t dim) {
  check(sections > 0, "tensor_split(): number of sections must be larger than 0, got ", sections);
  int64_t n = x.sizes()[wrap_dim(dim, x.dim())], base = n / sections, extra = n % sections, at = 0;
  Ints indices;
  for (int64_t i = 0; i + 1 < sections; ++i) indices.push_back(at += base + (i < extra));
  return split_at(x, indices, dim);
}

void check_splittable(const Tensor& x, int64_t least, const char* op) {
  check(x.dim() >= least, op, "(): requires a tensor with at least ", least,
        " dimension(s), but got a tensor with ", x.dim());
}

TensorList tensor_split(const Tensor& x, const Value& sections, int64_t dim) {
  check_splittable(x, 1, "tensor_split");
  if (sections.is_scalar()) return split_into(x, sections.as_int(), dim);
  if (!sections.is_tensor()) return split_at(x, sections.as_ints(), dim);
  const Tensor& t = sections.as_tensor();
  check(t.dtype() == DType::int64 && t.dim() <= 1 && t.device_type() == DeviceType::cpu,
        "tensor_split(): expected tensor_indices_or_sections to be a 0- or 1-dimensional int64 "
        "tensor "
        "on cpu, got ",
        t.dim(), "-D ", t.dtype());
  if (t.dim() == 0) return split_into(x, item(t).to<int64_t>(), dim);
  Tensor plain = t.contiguous_raw();
  return split_at(x, Ints(IntSpan(plain.data<int64_t>(), static_cast<size_t>(t.numel()))), dim);
}

// hsplit and its like divide evenly.
TensorList split_evenly(const Tensor& x, const Value& sections, int64_t dim, const char* op) {
  if (sections.is_scalar()) {
    int64_t n = x.sizes()[dim], k = sections.as_int();
    check(k > 0 && n % k == 0, op, "(): attempted to split along dimension ", dim,
          ", but the size of the dimension ", n, " is not divisible by the split_size ", k);
  }
  return tensor_split(x, sections, dim);
}
TensorList hsplit(const Tensor& x, const Value& sections) {
  check_splittable(x, 1, "hsplit");
  return split_evenly(x, sections, x.dim() == 1 ? 0 : 1, "hsplit");
}
TensorList vsplit(const Tensor& x, const Value& sections) {
  check_splittable(x, 2, "vsplit");
  return split_evenly(x, sections, 0, "vsplit");
}
TensorList dsplit(const Tensor& x, const Value& sections) {
  check_splittable(x, 3, "dsplit");
  return split_evenly(x, sections, 2, "dsplit");
}

constexpr const char* kSplitDoc = "Views of parts of the given size along a dimension.";
constexpr const char* kSizesDoc = "Views of parts of the given sizes along a dimension.";
constexpr const char* kTensorSplitDoc =
    "Views of parts along a dimension: a number of nearly equal ones, or cut at the given indices.";

#define FLAMBEAU_SPLIT(args)              \
  {.schema = "split" args " -> Tensor[]", \
   .forward = native<split>,              \
   .backward = split_back,                \
   .flags = kView,                        \
   .node = "SplitBackward0",              \
   .doc = kSplitDoc}
#define FLAMBEAU_SPLIT_SIZES(args)    \
  {.schema = args " -> Tensor[]",     \
   .forward = native<split_sizes>,    \
   .backward = split_sizes_back,      \
   .flags = kView,                    \
   .node = "SplitWithSizesBackward0", \
   .doc = kSizesDoc}
#define FLAMBEAU_PARTS(name, f, dim, text)                                         \
  {.schema = name "(Tensor input, int indices_or_sections" dim ") -> Tensor[]",    \
   .forward = native<f>,                                                           \
   .flags = kComposite,                                                            \
   .doc = text},                                                                   \
  {                                                                                \
    .schema = name "(Tensor input, int[] indices_or_sections" dim ") -> Tensor[]", \
    .forward = native<f>, .flags = kComposite, .doc = text                         \
  }

FLAMBEAU_OPS{
    {.schema = "unbind(Tensor input, int dim=0) -> Tensor[]",
     .forward = native<unbind>,
     .backward = unbind_back,
     .flags = kView,
     .doc = "Views of every position along a dimension."},
    FLAMBEAU_SPLIT("(Tensor tensor, int split_size_or_sections, int dim=0)"),
    FLAMBEAU_SPLIT_SIZES("split(Tensor tensor, int[] split_size_or_sections, int dim=0)"),
    FLAMBEAU_SPLIT("(Tensor tensor, int split_size, int dim=0)"),
    FLAMBEAU_SPLIT_SIZES("split(Tensor tensor, int[] split_size, int dim=0)"),
    FLAMBEAU_SPLIT_SIZES("split_with_sizes(Tensor input, int[] split_sizes, int dim=0)"),
    {.schema = "chunk(Tensor input, int chunks, int dim=0) -> Tensor[]",
     .forward = native<chunk>,
     .flags = kComposite,
     .doc =
         "Views of at most `chunks` parts of one size along a dimension; the last may be smaller."},
    FLAMBEAU_PARTS("tensor_split", tensor_split, ", int dim=0", kTensorSplitDoc),
    {.schema = "tensor_split(Tensor input, Tensor indices_or_sections, int dim=0) -> Tensor[]",
     .forward = native<tensor_split>,
     .flags = kComposite,
     .doc = kTensorSplitDoc},
    FLAMBEAU_PARTS("hsplit", hsplit, "", "tensor_split() of columns into equal parts."),
    FLAMBEAU_PARTS("vsplit", vsplit, "", "tensor_split() of rows into equal parts."),
    FLAMBEAU_PARTS("dsplit", dsplit, "", "tensor_split() of the third dimension into equal parts."),
};

}  // namespace
}  // namespace flambeau
