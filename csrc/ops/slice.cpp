// Views of a part: select, slice, diagonal, windows, strides; and their gradients, which put a
// gradient back into zeros.
#include "shape.h"

#include <algorithm>

namespace flambeau {

Tensor narrow_raw(const Tensor& t, int64_t dim, int64_t start, int64_t length) {
  Tensor y = t.as_strided_raw(t.sizes(), t.strides(), t->offset + start * t.strides()[dim]);
  y->sizes[dim] = length;
  y->refresh();
  return y;
}

Tensor select_raw(const Tensor& t, int64_t dim, int64_t index) {
  Tensor y = t.as_strided_raw(t.sizes(), t.strides(), t->offset + index * t.strides()[dim]);
  y->sizes.erase(dim);
  y->strides.erase(dim);
  y->refresh();
  return y;
}

namespace {

// Gradients of views: g written where the view of zeros(sizes) lies. `view` may not overlap itself.
Tensor scatter_view(const Tensor& base, const Tensor& view, const Tensor& g) {
  copy(view, g);
  return base;
}

// -- select ---------------------------------------------------------------------------------------
Tensor select(const Tensor& x, int64_t dim, int64_t index) {
  check_index(x.dim() > 0, "select() cannot be applied to a 0-dim tensor.");
  dim = wrap_dim(dim, x.dim());
  int64_t n = x.sizes()[dim];
  check_index(index >= -n && index < n, "select(): index ", index,
              " out of range for tensor of size ", x.sizes(), " at dimension ", dim);
  return select_raw(x, dim, index < 0 ? index + n : index);
}
const OpCall call_select("select");

Tensor select_backward(const Tensor& grad, const Ints& sizes, int64_t dim, int64_t index) {
  Tensor base = zeros(sizes, grad.options());
  return scatter_view(base, select(base, dim, index), grad);
}

// -- slice, narrow --------------------------------------------------------------------------------
struct Range {
  int64_t start, length, step;
};

// Python's rules: ends beyond the tensor are cut.
Range slice_range(int64_t n, std::optional<int64_t> from, std::optional<int64_t> to, int64_t step) {
  check_value(step > 0, "slice(): step must be greater than zero, got ", step);
  int64_t start = from.value_or(0), end = to.value_or(n);
  if (start < 0) start += n;
  if (end < 0) end += n;
  start = std::clamp<int64_t>(start, 0, n);
  end = std::clamp<int64_t>(end, start, n);
  return {start, (end - start + step - 1) / step, step};
}

Tensor slice(const Tensor& x, int64_t dim, std::optional<int64_t> start, std::optional<int64_t> end,
             int64_t step) {
  check(x.dim() > 0, "slice() cannot be applied to a 0-dim tensor.");
  dim = wrap_dim(dim, x.dim());
  Range r = slice_range(x.sizes()[dim], start, end, step);
  Tensor y = x.as_strided_raw(x.sizes(), x.strides(), x->offset + r.start * x.strides()[dim]);
  y->sizes[dim] = r.length;
  y->strides[dim] *= r.step;
  y->refresh();
  return y;
}
const OpCall call_slice("slice");

Tensor slice_backward(const Tensor& grad, const Ints& sizes, int64_t dim,
                      std::optional<int64_t> start, std::optional<int64_t> end, int64_t step) {
  Tensor base = zeros(sizes, grad.options());
  return scatter_view(base, slice(base, dim, start, end, step), grad);
}

Tensor narrow(const Tensor& x, int64_t dim, const Value& from, int64_t length) {
  check(x.dim() > 0, "narrow() cannot be applied to a 0-dim tensor.");
  check(length >= 0, "narrow(): length must be non-negative, got ", length);
  int64_t start = 0;
  if (from.is_tensor()) {
    const Tensor& t = from.as_tensor();
    check(t.dim() == 0 && is_integral(t.dtype()),
          "narrow(): start must be a 0-dim integral Tensor.");
    start = item(t).to<int64_t>();
  } else {
    start = from.as_int();
  }
  dim = wrap_dim(dim, x.dim());
  int64_t n = x.sizes()[dim];
  check_index(start >= -n && start <= n,
              "narrow(): start out of range (expected to be in range of [", -n, ", ", n,
              "], but got ", start, ")");
  if (start < 0) start += n;
  check(start + length <= n, "narrow(): start (", start, ") + length (", length,
        ") exceeds dimension size (", n, ").");
  return call_slice(x, dim, start, start + length);
}

FLAMBEAU_OPS{
    {.schema = "select(Tensor input, int dim, int index) -> Tensor",
     .forward = native<select>,
     .backward =
         [](Backward& b) {
           static const OpCall back("select_backward");
           b.set(0, back(b.grad(), b.sizes(0), b.arg(1), b.arg(2)));
         },
     .flags = kView,
     .doc = "A view of one position along a dimension."},
    {.schema = "select_backward(Tensor grad, int[] sizes, int dim, int index) -> Tensor",
     .forward = native<select_backward>,
     .backward = [](Backward& b) { b.set(0, call_select(b.grad(), b.arg(2), b.arg(3))); },
     .flags = kInternal,
     .doc = "Zeros with grad at one position along a dimension."},
    {.schema =
         "slice(Tensor input, int dim=0, int? start=None, int? end=None, int step=1) -> Tensor",
     .forward = native<slice>,
     .backward =
         [](Backward& b) {
           static const OpCall back("slice_backward");
           b.set(0, back(b.grad(), b.sizes(0), b.arg(1), b.arg(2), b.arg(3), b.arg(4)));
         },
     .flags = kView | kInternal,
     .doc = "A view of every step-th position from start to end along a dimension."},
    {.schema = "slice_backward(Tensor grad, int[] sizes, int dim, int? start, int? end, int step) "
               "-> Tensor",
     .forward = native<slice_backward>,
     .backward =
         [](Backward& b) {
           b.set(0, call_slice(b.grad(), b.arg(2), b.arg(3), b.arg(4), b.arg(5)));
         },
     .flags = kInternal,
     .doc = "Zeros with grad at the positions of a slice."},
    {.schema = "narrow(Tensor input, int dim, int start, int length) -> Tensor",
     .forward = native<narrow>,
     .flags = kComposite,
     .doc = "A view of `length` positions from `start` along a dimension."},
    {.schema = "narrow(Tensor input, int dim, Tensor start, int length) -> Tensor",
     .forward = native<narrow>,
     .flags = kComposite,
     .doc = "A view of `length` positions from `start` along a dimension."},
};

// -- diagonal -------------------------------------------------------------------------------------
Tensor diagonal(const Tensor& x, int64_t offset, int64_t dim1, int64_t dim2) {
  int64_t a = wrap_dim(dim1, x.dim()), c = wrap_dim(dim2, x.dim());
  check(a != c, "diagonal(): diagonal dimensions cannot be identical ", dim1, ", ", dim2);
  int64_t rows = x.sizes()[a], columns = x.sizes()[c];
  int64_t n = offset >= 0 ? std::min(rows, columns - offset) : std::min(rows + offset, columns);
  n = std::max<int64_t>(n, 0);
  int64_t first = offset >= 0 ? offset * x.strides()[c] : -offset * x.strides()[a];
  Tensor y = x.as_strided_raw(x.sizes(), x.strides(), x->offset + (n ? first : 0));
  int64_t stride = x.strides()[a] + x.strides()[c];
  for (int64_t d : {std::max(a, c), std::min(a, c)}) {
    y->sizes.erase(d);
    y->strides.erase(d);
  }
  y->sizes.push_back(n);
  y->strides.push_back(stride);
  y->refresh();
  return y;
}
const OpCall call_diagonal("diagonal");

Tensor diagonal_backward(const Tensor& grad, const Ints& sizes, int64_t offset, int64_t dim1,
                         int64_t dim2) {
  Tensor base = zeros(sizes, grad.options());
  return scatter_view(base, diagonal(base, offset, dim1, dim2), grad);
}

Tensor linalg_diagonal(const Tensor& x, int64_t offset, int64_t dim1, int64_t dim2) {
  return call_diagonal(x, offset, dim1, dim2);
}

Tensor diag_embed(const Tensor& x, int64_t offset, int64_t dim1, int64_t dim2) {
  int64_t n = x.dim() + 1, a = wrap_dim(dim1, n), c = wrap_dim(dim2, n);
  check(a != c, "diag_embed(): diagonal dimensions cannot be identical ", dim1, ", ", dim2);
  check_index(x.dim() > 0, "diag_embed(): input must have at least one dimension");
  Ints sizes(IntSpan(x.sizes().data(), x.sizes().size() - 1));
  int64_t side = x.sizes().back() + std::abs(offset);
  for (int64_t d : {std::min(a, c), std::max(a, c)}) sizes.insert(d, side);
  static const OpCall back("diagonal_backward");
  return back(x, sizes, offset, a, c);
}

Tensor diag(const Tensor& x, int64_t k) {
  check(x.dim() == 1 || x.dim() == 2, "diag(): Supports 1D or 2D tensors. Got ", x.dim(), "D");
  static const OpCall embed("diag_embed"), clone("clone");
  return x.dim() == 1 ? embed(x, k) : clone(call_diagonal(x, k), MemoryFormat::contiguous);
}

Tensor diagflat(const Tensor& x, int64_t offset) {
  static const OpCall embed("diag_embed"), reshape("reshape");
  return embed(reshape(x, Ints{-1}), offset);
}

FLAMBEAU_OPS{
    {.schema = "diagonal(Tensor input, int offset=0, int dim1=0, int dim2=1) -> Tensor",
     .forward = native<diagonal>,
     .backward =
         [](Backward& b) {
           static const OpCall back("diagonal_backward");
           b.set(0, back(b.grad(), b.sizes(0), b.arg(1), b.arg(2), b.arg(3)));
         },
     .flags = kView,
     .doc = "A view of a diagonal of two dimensions, put last."},
    {.schema =
         "diagonal_backward(Tensor grad, int[] sizes, int offset, int dim1, int dim2) -> Tensor",
     .forward = native<diagonal_backward>,
     .backward =
         [](Backward& b) { b.set(0, call_diagonal(b.grad(), b.arg(2), b.arg(3), b.arg(4))); },
     .flags = kInternal,
     .node = "DiagonalBackwardBackward0",
     .doc = "Zeros with grad on a diagonal."},
    {.schema = "linalg.diagonal(Tensor A, *, int offset=0, int dim1=-2, int dim2=-1) -> Tensor",
     .forward = native<linalg_diagonal>,
     .flags = kComposite | kNoMethod,
     .doc = "diagonal() of the last two dimensions."},
    {.schema = "diag_embed(Tensor input, int offset=0, int dim1=-2, int dim2=-1) -> Tensor",
     .forward = native<diag_embed>,
     .flags = kComposite,
     .node = "DiagEmbedBackward0",
     .doc = "Zeros with the last dimension of input on a diagonal."},
    {.schema = "diag(Tensor input, int diagonal=0) -> Tensor",
     .forward = native<diag>,
     .flags = kComposite,
     .doc = "The diagonal of a matrix, or a matrix with the vector on its diagonal."},
    {.schema = "diagflat(Tensor input, int offset=0) -> Tensor",
     .forward = native<diagflat>,
     .flags = kComposite,
     .node = "DiagEmbedBackward0",
     .doc = "A matrix with all elements of input on its diagonal."},
};

// -- windows --------------------------------------------------------------------------------------
Tensor unfold(const Tensor& x, int64_t dimension, int64_t size, int64_t step) {
  int64_t d = wrap_dim(dimension, x.dim()), n = x.dim() ? x.sizes()[d] : 1;
  check(size >= 0, "unfold(): size is ", size, " but must be >= 0");
  check(size <= n, "unfold(): maximum size for tensor at dimension ", d, " is ", n, " but size is ",
        size);
  check(step > 0, "unfold(): step is ", step, " but must be > 0");
  Tensor y = x.alias();
  y->sizes.push_back(size);
  y->strides.push_back(x.dim() ? x.strides()[d] : 1);
  if (x.dim()) {
    y->sizes[d] = (n - size) / step + 1;
    y->strides[d] = x.strides()[d] * step;
  }
  y->refresh();
  return y;
}

// Windows overlap: position k of every window is one pass that does not.
Tensor unfold_backward(const Tensor& grad, const Ints& sizes, int64_t dimension, int64_t size,
                       int64_t step) {
  static const OpCall add("add");
  Tensor base = zeros(sizes, grad.options());
  Tensor windows = unfold(base, dimension, size, step);
  int64_t last = grad.dim() - 1;
  for (int64_t k = 0; k < size; ++k) {
    Tensor place = select_raw(windows, last, k), g = select_raw(grad, last, k);
    if (step >= size)
      copy(place, g);
    else
      add.inplace(place, g);
  }
  return base;
}

FLAMBEAU_OPS{
    {.schema = "unfold(Tensor input, int dimension, int size, int step) -> Tensor",
     .forward = native<unfold>,
     .backward =
         [](Backward& b) {
           static const OpCall back("unfold_backward");
           b.set(0, back(b.grad(), b.sizes(0), b.arg(1), b.arg(2), b.arg(3)));
         },
     .flags = kView | kNoFunction,
     .doc =
         "A view of all windows of `size` along a dimension, `step` apart; the window comes last."},
    {.schema = "unfold_backward(Tensor grad, int[] sizes, int dim, int size, int step) -> Tensor",
     .forward = native<unfold_backward>,
     .backward =
         [](Backward& b) {
           static const OpCall call_unfold("unfold");
           b.set(0, call_unfold(b.grad(), b.arg(2), b.arg(3), b.arg(4)));
         },
     .flags = kInternal,
     .doc = "Windows added up where they lie."},
};

// -- as_strided -----------------------------------------------------------------------------------
void check_in_storage(const Tensor& x, const Ints& size, const Ints& stride, int64_t offset) {
  check(size.size() == stride.size(),
        "as_strided(): mismatch in length of strides and shape: ", stride, " and ", size);
  check(offset >= 0, "as_strided(): storage_offset must be non-negative, got ", offset);
  int64_t last = offset;
  for (size_t d = 0; d < size.size(); ++d) {
    check(size[d] >= 0, "as_strided(): negative size in ", size);
    check(stride[d] >= 0, "as_strided(): Negative strides are not supported, got ", stride);
    if (size[d] == 0) return;
    int64_t span;
    check(!__builtin_mul_overflow(size[d] - 1, stride[d], &span) &&
              !__builtin_add_overflow(last, span, &last),
          "as_strided(): sizes and strides overflow");
  }
  auto have = static_cast<int64_t>(x->storage->nbytes / itemsize(x.dtype()));
  check(last < have, "as_strided(): setStorage: sizes ", size, ", strides ", stride,
        ", storage offset ", offset, " require ", last + 1,
        " elements, out of bounds for storage of ", have);
}

// The input's own strides and offset travel along for the gradient.
Tensor as_strided(const Tensor& x, const Ints& size, const Ints& stride,
                  std::optional<int64_t> storage_offset) {
  static const OpCall call("as_strided_view");
  return call(x, size, stride, storage_offset.value_or(x->offset), x.strides(), x->offset);
}

Tensor as_strided_view(const Tensor& x, const Ints& size, const Ints& stride, int64_t offset) {
  check_in_storage(x, size, stride, offset);
  return x.as_strided_raw(size, stride, offset);
}

void as_strided_(const Tensor& x, const Ints& size, const Ints& stride,
                 std::optional<int64_t> storage_offset) {
  int64_t offset = storage_offset.value_or(x->offset);
  check_in_storage(x, size, stride, offset);
  x->sizes = size;
  x->strides = stride;
  x->offset = offset;
  x->refresh();
}

// Positions in the storage of both shapes, so that any overlap adds up.
Tensor strided_positions(IntSpan size, IntSpan stride, int64_t offset, Device device) {
  Tensor out = empty(size, {DType::int64, device});
  auto* p = out.data<int64_t>();
  Ints at(size.size());
  int64_t here = offset;
  for (int64_t i = 0, n = out.numel(); i < n; ++i) {
    p[i] = here;
    for (size_t d = size.size(); d-- > 0;) {
      here += stride[d];
      if (++at[d] < size[d]) break;
      here -= at[d] * stride[d];
      at[d] = 0;
    }
  }
  return out;
}

// One past the last element that is reached.
int64_t reach(IntSpan size, IntSpan stride, int64_t offset) {
  int64_t last = offset;
  for (size_t d = 0; d < size.size(); ++d) last += std::max<int64_t>(size[d] - 1, 0) * stride[d];
  return last + 1;
}

// Through a flat stand-in for the storage: added up where the view lies, read where the input does.
void as_strided_back(Backward& b) {
  static const OpCall index_add("index_add"), index_select("index_select"), reshape("reshape");
  const Ints &size = b.arg(1).as_ints(), &stride = b.arg(2).as_ints(), &own = b.arg(4).as_ints();
  const Ints& sizes = b.sizes(0);
  int64_t offset = b.arg(3).as_int(), own_offset = b.arg(5).as_int();
  Device device = b.grad().device();
  int64_t n = std::max(reach(size, stride, offset), reach(sizes, own, own_offset));
  Tensor flat = index_add(zeros(Ints{n}, b.grad().options()), 0,
                          strided_positions(size, stride, offset, device)
                              .as_strided_raw(Ints{product(size)}, Ints{1}, 0),
                          reshape(b.grad(), Ints{-1}));
  Tensor from = strided_positions(sizes, own, own_offset, device)
                    .as_strided_raw(Ints{product(sizes)}, Ints{1}, 0);
  if (product(sizes) > reach(sizes, own, 0)) {  // places that the input has twice share
    static const OpCall div("div"), maximum("maximum");
    Tensor ones = full(Ints{product(sizes)}, 1, b.grad().options());
    Tensor counts = index_add(zeros(Ints{n}, b.grad().options()), 0, from, ones);
    flat = div(flat, maximum(counts, full(Ints{}, 1, b.grad().options())));
  }
  Tensor g = index_select(flat, 0, from);
  b.set(0, reshape(g, sizes));
}

FLAMBEAU_OPS{
    {.schema =
         "as_strided(Tensor input, int[] size, int[] stride, int? storage_offset=None) -> Tensor",
     .forward = native<as_strided>,
     .inplace = native<as_strided_>,
     .flags = kComposite,
     .doc = "A view with any sizes, strides and offset inside the storage."},
    {.schema =
         "as_strided_view(Tensor input, int[] size, int[] stride, int offset, int[] own_stride, "
         "int own_offset) -> Tensor",
     .forward = native<as_strided_view>,
     .backward = as_strided_back,
     .flags = kView | kInternal,
     .node = "AsStridedBackward0",
     .doc = "as_strided() that knows how its input lies."},
};

}  // namespace
}  // namespace flambeau
