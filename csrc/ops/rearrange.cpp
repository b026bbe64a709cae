// Copies with elements repeated, turned, shifted or masked by position.
#include <algorithm>

#include "../kernels/create.h"
#include "../kernels/image.h"
#include "shape.h"

namespace flambeau {
namespace {

const OpCall call_expand("expand"), call_reshape("reshape");

// -- repeat ---------------------------------------------------------------------------------------
// Each dimension n repeated r times is [r, n], expanded and then merged in one copy.
Tensor repeat(const Tensor& x, const Ints& repeats) {
  auto n = static_cast<int64_t>(repeats.size()), lead = n - x.dim();
  check(lead >= 0, "repeat(): Number of dimensions of repeat dims ", repeats,
        " can not be smaller than number of dimensions of tensor ", x.sizes());
  Ints apart, expanded, merged;
  for (int64_t d = 0; d < n; ++d) {
    int64_t own = d < lead ? 1 : x.sizes()[d - lead];
    check(repeats[d] >= 0, "repeat(): Trying to create tensor with negative dimension: ", repeats);
    apart.push_back(1);
    apart.push_back(own);
    expanded.push_back(repeats[d]);
    expanded.push_back(own);
    merged.push_back(repeats[d] * own);
  }
  static const OpCall clone("clone");
  Tensor y = call_reshape(call_expand(call_reshape(x, apart), expanded), merged);
  return y->storage.get() == x->storage.get() ? clone(y, MemoryFormat::contiguous) : y;
}

Tensor tile(const Tensor& x, const Ints& dims) {
  static const OpCall call_repeat("repeat");
  Ints repeats = dims;
  while (static_cast<int64_t>(repeats.size()) < x.dim()) repeats.insert(0, 1);
  return call_repeat(x, repeats);
}

Tensor positions(const Tensor& repeats, std::optional<int64_t> output_size) {
  check(repeats.dim() <= 1 && (repeats.dtype() == DType::int64 || repeats.dtype() == DType::int32),
        "repeat_interleave(): repeats has to be a 0-D or 1-D tensor of int32 or int64, got ",
        repeats.dim(), "-D ", repeats.dtype());
  if (repeats.is_meta())
    fail(ErrorKind::not_implemented,
         "repeat_interleave(): the result's size depends on the data of a "
         "meta tensor");
  Tensor counts = repeats.to_raw(DType::int64).contiguous_raw();
  const auto* c = counts.data<int64_t>();
  int64_t total = 0;
  for (int64_t i = 0; i < counts.numel(); ++i) {
    check(c[i] >= 0, "repeat_interleave(): repeats can not be negative, got ", c[i]);
    total += c[i];
  }
  check(!output_size || *output_size == total,
        "repeat_interleave(): allocated size does not match "
        "required size: output_size is ",
        output_size.value_or(0), ", repeats add up to ", total);
  Tensor out = empty(Ints{total}, {repeats.dtype(), repeats.device()});
  visit(out.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    if constexpr (std::is_integral_v<T>) {
      T* p = out.data<T>();
      for (int64_t i = 0; i < counts.numel(); ++i) p = std::fill_n(p, c[i], static_cast<T>(i));
    }
  });
  return out;
}

Tensor repeat_positions(const Tensor& repeats, std::optional<int64_t> output_size) {
  return positions(repeats, output_size);
}

Tensor repeat_by(const Tensor& input, const Tensor& repeats, std::optional<int64_t> dim,
                 std::optional<int64_t> output_size) {
  static const OpCall index_select("index_select");
  Tensor x = dim ? input : call_reshape(input, Ints{-1});
  if (x.dim() == 0) x = call_reshape(x, Ints{1});
  int64_t d = wrap_dim(dim.value_or(0), x.dim()), n = x.sizes()[d];
  check(repeats.numel() == 1 || repeats.numel() == n,
        "repeat_interleave(): repeats must have the same size as input along dim, but got ",
        "repeats of ", repeats.numel(), " elements and input of size ", n, " along dim ", d);
  Tensor counts = repeats;
  if (counts.numel() == 1) counts = expand_raw(reshape_raw(counts, Ints{1}), Ints{n});
  return index_select(x, d, positions(counts, output_size));
}

Tensor repeat_each(const Tensor& input, int64_t repeats, std::optional<int64_t> dim,
                   std::optional<int64_t> output_size) {
  static const OpCall clone("clone");
  check(repeats >= 0, "repeat_interleave(): repeats must be non-negative, got ", repeats);
  Tensor x = dim ? input : call_reshape(input, Ints{-1});
  if (x.dim() == 0) x = call_reshape(x, Ints{1});
  int64_t d = wrap_dim(dim.value_or(0), x.dim());
  Ints apart = x.sizes(), expanded, merged = x.sizes();
  merged[d] *= repeats;
  check(!output_size || *output_size == merged[d],
        "repeat_interleave(): allocated size does not match "
        "required size: output_size is ",
        output_size.value_or(0), ", needed ", merged[d]);
  apart.insert(d + 1, 1);
  expanded = apart;
  expanded[d + 1] = repeats;
  Tensor y = call_reshape(call_expand(call_reshape(x, apart), expanded), merged);
  return y->storage.get() == input->storage.get() ? clone(y) : y;
}

FLAMBEAU_OPS{
    {.schema = "repeat(Tensor input, int[] repeats) -> Tensor",
     .forward = native<repeat>,
     .flags = kComposite | kNoFunction,
     .node = "RepeatBackward0",
     .doc = "The tensor laid side by side along each dimension the given number of times."},
    {.schema = "tile(Tensor input, int[] dims) -> Tensor",
     .forward = native<tile>,
     .flags = kComposite,
     .node = "RepeatBackward0",
     .doc = "repeat() with missing leading counts taken as 1."},
    {.schema =
         "repeat_interleave(Tensor input, Tensor repeats, int? dim=None, *, int? output_size=None) "
         "-> Tensor",
     .forward = native<repeat_by>,
     .flags = kComposite,
     .doc = "Each element along a dimension repeated by its own count."},
    {.schema =
         "repeat_interleave(Tensor input, int repeats, int? dim=None, *, int? output_size=None) "
         "-> Tensor",
     .forward = native<repeat_each>,
     .flags = kComposite,
     .doc = "Each element along a dimension repeated."},
    {.schema = "repeat_interleave(Tensor repeats, *, int? output_size=None) -> Tensor",
     .forward = native<repeat_positions>,
     .flags = kNotDifferentiable,
     .doc = "Index i repeated repeats[i] times."},
};

// -- flip, roll -----------------------------------------------------------------------------------
// Dimensions that lie within one another in memory are one that is turned over. Where none but
// neighbours that stay together are further in, `mirror` does it: then y = x flipped along them.
bool flip_lines(const Tensor& x, const Tensor& y, const Ints& dims) {
  if (!(x.strides() == y.strides()) || !is_dense(x)) return false;
  uint64_t turned = 0;
  for (int64_t d : dims) turned |= uint64_t(1) << d;
  std::vector<int64_t> order;  // from the innermost
  for (int64_t d = 0; d < x.dim(); ++d)
    if (x.sizes()[d] != 1) order.push_back(d);
  std::stable_sort(order.begin(), order.end(),
                   [&](int64_t a, int64_t b) { return x.strides()[a] < x.strides()[b]; });
  int64_t inner = 1, n = 1, left = 0;
  for (int64_t d : order) left += turned >> d & 1;
  for (int64_t d : order) {
    const bool here = turned >> d & 1;
    if (here)
      n *= x.sizes()[d], --left;
    else if (n == 1)
      inner *= x.sizes()[d];
    else
      break;
  }
  const int64_t size = inner * static_cast<int64_t>(itemsize(x.dtype()));
  if (left || size > 16) return false;
  mirror_kernel(
      x.device_type(),
      {.in = x.data(), .out = y.data(), .rows = x.numel() / (n * inner), .n = n, .size = size});
  return true;
}

Tensor flip(const Tensor& x, const Ints& dims) {
  Ints wrapped = wrap_dims(dims, x.dim(), "flip");
  Tensor y = empty_like(x);
  if (x.is_meta() || x.numel() == 0) return y;
  if (x.dim() <= 64 && flip_lines(x, y, wrapped)) return y;
  Tensor turned = x.alias();  // strides below zero: for this copy only
  for (int64_t d : wrapped) {
    if (x.dim() == 0) break;
    turned->offset += (x.sizes()[d] - 1) * x.strides()[d];
    turned->strides[d] = -x.strides()[d];
  }
  turned->refresh();
  copy(y, turned);
  return y;
}

Tensor roll(const Tensor& x, const Ints& shifts, const std::optional<Ints>& along) {
  static const OpCall call_roll("roll"), reshape("reshape");
  const Ints dims = along.value_or(Ints{});
  check(!shifts.empty(), "roll(): `shifts` required");
  if (dims.empty() && shifts.size() == 1) {
    Tensor flat = reshape_raw(x, Ints{x.numel()});
    return call_roll(flat, shifts, Ints{0})
        .as_strided_raw(x.sizes(), contiguous_strides(x.sizes()), 0);
  }
  check(shifts.size() == dims.size(),
        "roll(): shifts and dimensions must align. shifts: ", shifts.size(),
        ", dims:", dims.size());
  check_index(x.dim() > 0, "roll(): Dimension specified as ", dims[0],
              " but tensor has no dimensions");
  Tensor from = x;
  for (size_t i = 0; i < dims.size(); ++i) {
    int64_t d = wrap_dim(dims[i], x.dim());
    Tensor y = empty(x.sizes(), x.options());
    if (x.numel()) {
      int64_t n = x.sizes()[d], k = ((shifts[i] % n) + n) % n;
      copy(narrow_raw(y, d, k, n - k), narrow_raw(from, d, 0, n - k));
      copy(narrow_raw(y, d, 0, k), narrow_raw(from, d, n - k, k));
    }
    from = y;
  }
  return from;
}

void roll_back(Backward& b) {
  static const OpCall call_roll("roll");
  Ints shifts = b.arg(1).as_ints();
  for (int64_t& s : shifts) s = -s;
  Ints dims = b.arg(2).is_none() ? Ints{} : b.arg(2).as_ints();
  // Undone in the other order, which matters when a dimension is named twice.
  std::reverse(shifts.begin(), shifts.end());
  std::reverse(dims.begin(), dims.end());
  b.set(0, call_roll(b.grad(), shifts, dims));
}

FLAMBEAU_OPS{
    {.schema = "flip(Tensor input, int[1] dims) -> Tensor",
     .forward = native<flip>,
     .backward =
         [](Backward& b) {
           static const OpCall call_flip("flip");
           b.set(0, call_flip(b.grad(), b.arg(1)));
         },
     .doc = "A copy with the order along the given dimensions reversed."},
    {.schema = "roll(Tensor input, int[1] shifts, int[1]? dims=[]) -> Tensor",
     .forward = native<roll>,
     .backward = roll_back,
     .doc = "A copy shifted along dimensions, what falls off coming in at the other end."},
};

// -- triangles ------------------------------------------------------------------------------------
Tensor triangle(const Tensor& input, int64_t diagonal, bool upper) {
  check(input.dim() >= 2, upper ? "triu" : "tril",
        "(): input tensor must have at least 2 dimensions, "
        "got ",
        input.dim());
  Tensor y = empty(input.sizes(), input.options());
  if (y.numel() == 0 || y.is_meta()) return y;
  Tensor x = input.contiguous_raw();
  TriangleArgs a;
  a.dst = static_cast<char*>(y.data());
  a.src = static_cast<const char*>(x.data());
  a.rows = x.sizes()[x.dim() - 2];
  a.columns = x.sizes()[x.dim() - 1];
  a.matrices = x.numel() / (a.rows * a.columns);
  a.diagonal = std::clamp(diagonal, -a.rows, a.columns);
  a.item = static_cast<int64_t>(itemsize(x.dtype()));
  a.upper = upper;
  triangle_kernel(x.device_type(), a);
  return y;
}
Tensor tril(const Tensor& x, int64_t diagonal) { return triangle(x, diagonal, false); }
Tensor triu(const Tensor& x, int64_t diagonal) { return triangle(x, diagonal, true); }

// The coordinates of a triangle, row by row.
Tensor triangle_indices(int64_t rows, int64_t columns, int64_t offset, bool upper,
                        std::optional<DType> dtype, std::optional<Device> device) {
  const char* op = upper ? "triu_indices" : "tril_indices";
  check(rows >= 0 && columns >= 0, op, "(): row and col must be non-negative, got ", rows, " and ",
        columns);
  const auto from = [&](int64_t i) {
    return std::clamp<int64_t>(upper ? i + offset : 0, 0, columns);
  };
  const auto to = [&](int64_t i) {
    return std::clamp<int64_t>(upper ? columns : i + offset + 1, 0, columns);
  };
  int64_t n = 0;
  for (int64_t i = 0; i < rows; ++i) n += std::max<int64_t>(to(i) - from(i), 0);
  Tensor out = empty(Ints{2, n}, {DType::int64, Device{}});
  int64_t *row = out.data<int64_t>(), *column = row + n;
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = from(i), end = to(i); j < end; ++j) *row++ = i, *column++ = j;
  if (device && device->type == DeviceType::meta)
    return empty(Ints{2, n}, {dtype.value_or(DType::int64), *device});
  return out.to_raw(dtype.value_or(DType::int64));
}
Tensor tril_indices(int64_t row, int64_t col, int64_t offset, std::optional<DType> dtype,
                    std::optional<Device> device) {
  return triangle_indices(row, col, offset, false, dtype, device);
}
Tensor triu_indices(int64_t row, int64_t col, int64_t offset, std::optional<DType> dtype,
                    std::optional<Device> device) {
  return triangle_indices(row, col, offset, true, dtype, device);
}

FLAMBEAU_OPS{
    {.schema = "tril(Tensor input, int diagonal=0) -> Tensor",
     .forward = native<tril>,
     .backward =
         [](Backward& b) {
           static const OpCall call_tril("tril");
           b.set(0, call_tril(b.grad(), b.arg(1)));
         },
     .flags = kInplace,
     .doc = "Matrices with zeros above a diagonal."},
    {.schema = "triu(Tensor input, int diagonal=0) -> Tensor",
     .forward = native<triu>,
     .backward =
         [](Backward& b) {
           static const OpCall call_triu("triu");
           b.set(0, call_triu(b.grad(), b.arg(1)));
         },
     .flags = kInplace,
     .doc = "Matrices with zeros below a diagonal."},
    {.schema = "tril_indices(int row, int col, int offset=0, *, ScalarType? dtype=None, "
               "Device? device=None) -> Tensor",
     .forward = native<tril_indices>,
     .flags = kFactory | kNotDifferentiable,
     .doc = "Rows and columns of the elements on and below a diagonal."},
    {.schema = "triu_indices(int row, int col, int offset=0, *, ScalarType? dtype=None, "
               "Device? device=None) -> Tensor",
     .forward = native<triu_indices>,
     .flags = kFactory | kNotDifferentiable,
     .doc = "Rows and columns of the elements on and above a diagonal."},
};

}  // namespace
}  // namespace flambeau
