// Copies and conversions: clone, contiguous, to and its short forms, copy_, detach; complex parts.
#include "../stored.h"
#include "shape.h"

namespace flambeau {

Tensor empty_with_format(const Tensor& like, DType dtype, Device device,
                         std::optional<MemoryFormat> format) {
  MemoryFormat f = format.value_or(MemoryFormat::preserve);
  Options o{dtype, device};
  if (f == MemoryFormat::contiguous) return empty(like.sizes(), o);
  if (f == MemoryFormat::preserve) {
    if (like.is_contiguous()) return empty(like.sizes(), o);
    return empty_strided(like.sizes(), preserved_strides(like), o);
  }
  int64_t want = f == MemoryFormat::channels_last ? 4 : 5;
  check(like.dim() == want, "required rank ", want, " tensor to use ",
        want == 4 ? "channels_last" : "channels_last_3d", " format, got ", like.dim(), "-D");
  return empty_strided(like.sizes(), channels_last_strides(like.sizes()), o);
}

namespace {

using Format = std::optional<MemoryFormat>;

// -- clone, contiguous ----------------------------------------------------------------------------
Tensor clone(const Tensor& x, Format format) {
  Tensor y = empty_with_format(x, x.dtype(), x.device(), format);
  copy(y, x);
  return y;
}

Tensor contiguous(const Tensor& x, MemoryFormat format) {
  check(format != MemoryFormat::preserve, "contiguous(): preserve memory format is unsupported");
  static const OpCall call_clone("clone");
  return x.is_contiguous(format) ? x : call_clone(x, format);
}

// -- to -------------------------------------------------------------------------------------------
// `source` is where the gradient goes back to.
Tensor to_copy(const Tensor& x, DType dtype, Device device, Device, Format format) {
  Tensor y = empty_with_format(x, dtype, device, format);
  if (device.type == DeviceType::meta) return y;
  if (x.is_meta()) fail(ErrorKind::not_implemented, "Cannot copy out of meta tensor; no data!");
  copy(y, x);
  return y;
}

void to_copy_back(Backward& b) {
  static const OpCall back("to_copy");
  b.set(0, back(b.grad(), b.dtype(0), b.arg(3), b.arg(2), Value()));
}

Tensor convert(const Tensor& x, DType dtype, Device device, bool force, Format format) {
  bool placed = !format || *format == MemoryFormat::preserve || x.is_contiguous(*format);
  bool same = dtype == x.dtype() && device.type == x.device_type();
  if (same && placed && !force) return x;
  static const OpCall call("to_copy");
  return call(x, dtype, device, x.device(), format);
}

Tensor to_dtype(const Tensor& x, DType dtype, bool, bool force, Format format) {
  return convert(x, dtype, x.device(), force, format);
}
Tensor to_device(const Tensor& x, std::optional<Device> device, std::optional<DType> dtype, bool,
                 bool force, Format format) {
  return convert(x, dtype.value_or(x.dtype()), device.value_or(x.device()), force, format);
}
Tensor to_other(const Tensor& x, const Tensor& other, bool, bool force, Format format) {
  return convert(x, other.dtype(), other.device(), force, format);
}
Tensor type_as(const Tensor& x, const Tensor& other) {
  return convert(x, other.dtype(), other.device(), false, {});
}
Tensor cpu(const Tensor& x, Format format) {
  return convert(x, x.dtype(), Device{}, false, format);
}

template <DType T>
Tensor to_type(const Tensor& x, Format format) {
  return convert(x, T, x.device(), false, format);
}

Tensor chalf(const Tensor& x, Format format) {
  return convert(x, kComplex32, x.device(), false, format);
}

#define FLAMBEAU_TO_TYPE(name, T)                                                  \
  {.schema = name "(Tensor input, *, MemoryFormat? memory_format=None) -> Tensor", \
   .forward = native<to_type<DType::T>>,                                           \
   .flags = kComposite | kNoFunction,                                              \
   .doc = "to(" #T ")."}

FLAMBEAU_OPS{
    {.schema = "clone(Tensor input, *, MemoryFormat? memory_format=None) -> Tensor",
     .forward = native<clone>,
     .backward = [](Backward& b) { b.set(0, b.grad()); },
     .doc = "A copy with its own memory."},
    {.schema = "contiguous(Tensor input, MemoryFormat memory_format=contiguous_format) -> Tensor",
     .forward = native<contiguous>,
     .flags = kComposite | kNoFunction,
     .doc = "The tensor itself where it lies in order, else a copy that does."},
    {.schema = "to(Tensor input, ScalarType dtype, bool non_blocking=False, bool copy=False, *, "
               "MemoryFormat? memory_format=None) -> Tensor",
     .forward = native<to_dtype>,
     .flags = kComposite | kNoFunction,
     .doc = "The tensor with another dtype; itself where nothing changes and copy is false."},
    {.schema =
         "to(Tensor input, Device? device=None, ScalarType? dtype=None, bool non_blocking=False, "
         "bool copy=False, *, MemoryFormat? memory_format=None) -> Tensor",
     .forward = native<to_device>,
     .flags = kComposite | kNoFunction,
     .doc = "The tensor on another device, with another dtype."},
    {.schema = "to(Tensor input, Tensor other, bool non_blocking=False, bool copy=False, *, "
               "MemoryFormat? memory_format=None) -> Tensor",
     .forward = native<to_other>,
     .flags = kComposite | kNoFunction,
     .doc = "The tensor with the dtype and device of another."},
    {.schema = "to_copy(Tensor input, ScalarType dtype, Device device, Device source, "
               "MemoryFormat? memory_format=None) -> Tensor",
     .forward = native<to_copy>,
     .backward = to_copy_back,
     .flags = kInternal,
     .doc = "A copy with another dtype or device."},
    {.schema = "type_as(Tensor input, Tensor other) -> Tensor",
     .forward = native<type_as>,
     .flags = kComposite | kNoFunction,
     .doc = "to() the dtype of another tensor."},
    {.schema = "cpu(Tensor input, *, MemoryFormat? memory_format=None) -> Tensor",
     .forward = native<cpu>,
     .flags = kComposite | kNoFunction,
     .doc = "to(\"cpu\")."},
    FLAMBEAU_TO_TYPE("float", float32),
    FLAMBEAU_TO_TYPE("double", float64),
    FLAMBEAU_TO_TYPE("half", float16),
    FLAMBEAU_TO_TYPE("bfloat16", bfloat16),
    FLAMBEAU_TO_TYPE("int", int32),
    FLAMBEAU_TO_TYPE("long", int64),
    FLAMBEAU_TO_TYPE("short", int16),
    FLAMBEAU_TO_TYPE("char", int8),
    FLAMBEAU_TO_TYPE("byte", uint8),
    FLAMBEAU_TO_TYPE("bool", boolean),
    FLAMBEAU_TO_TYPE("cfloat", complex64),
    FLAMBEAU_TO_TYPE("cdouble", complex128),
    {.schema = "chalf(Tensor input, *, MemoryFormat? memory_format=None) -> Tensor",
     .forward = native<chalf>,
     .flags = kComposite | kNoFunction,
     .doc = "to(complex32)."},
};

// -- copy_, detach --------------------------------------------------------------------------------
void copy_(const Tensor& self, const Tensor& src, bool) { copy(self, src); }

// The number as a tensor, which the composite then copies.
Tensor number_like(const Tensor& self, const Scalar& src, bool) {
  return scalar_tensor(src, self.options());
}

void copy_back(Backward& b) {
  static const OpCall sum_to_size("sum_to_size"), to("to");
  if (!b.needs(1)) return;
  Tensor g = b.grad();
  if (g.sizes() != b.sizes(1)) g = sum_to_size(g, b.sizes(1));
  b.set(1, to(g, b.dtype(1)));
}

Tensor detach(const Tensor& x) { return x.alias(); }
Tensor alias(const Tensor& x) { return x.alias(); }

FLAMBEAU_OPS{
    {.schema = "copy_(Tensor(a!) input, Tensor src, bool non_blocking=False) -> Tensor",
     .inplace = native<copy_>,
     .backward = copy_back,
     .flags = kNoFunction | kAnyDevice,
     .node = "torch::autograd::CopyBackwards",
     .doc = "Writes src, broadcast and converted, into the tensor."},
    {.schema = "copy_(Tensor(a!) input, Scalar src, bool non_blocking=False) -> Tensor",
     .forward = native<number_like>,
     .flags = kComposite | kNoFunction,
     .doc = "Writes a number, converted, into the tensor."},
    {.schema = "detach(Tensor input) -> Tensor",
     .forward = native<detach>,
     .flags = kNotDifferentiable,
     .doc = "A view that is cut off from the graph."},
    {.schema = "alias(Tensor input) -> Tensor",
     .forward = native<alias>,
     .backward = [](Backward& b) { b.set(0, b.grad()); },
     .flags = kView | kInternal,
     .doc = "A view of all of the tensor."},
};

// -- complex parts --------------------------------------------------------------------------------
Tensor view_as_real(const Tensor& x) {
  check(is_complex(x.dtype()), "view_as_real is only supported for complex tensors, got ",
        x.dtype());
  Tensor y = x.alias();
  y->dtype = to_real(x.dtype());
  y->offset *= 2;
  for (int64_t d = 0; d < x.dim(); ++d) y->strides[d] *= 2;
  y->sizes.push_back(2);
  y->strides.push_back(1);
  y->refresh();
  return y;
}

Tensor view_as_complex(const Tensor& x) {
  check(x.dtype() == DType::float32 || x.dtype() == DType::float64 || x.dtype() == DType::float16,
        "view_as_complex is only supported for half, float and double tensors, but got a tensor of "
        "scalar type: ",
        x.dtype());
  check(x.dim() > 0, "Input tensor must have one or more dimensions");
  check(x.sizes().back() == 2, "Tensor must have a last dimension of size 2, got ", x.sizes());
  check(x.strides().back() == 1, "Tensor must have a last dimension with stride 1, got ",
        x.strides());
  check(x->offset % 2 == 0, "Tensor must have a storage_offset divisible by 2, got ", x->offset);
  Tensor y = x.alias();
  y->dtype = to_complex(x.dtype());
  y->sizes.pop_back();
  y->strides.pop_back();
  y->offset /= 2;
  for (int64_t d = 0; d + 1 < x.dim(); ++d) {
    check(x.strides()[d] % 2 == 0,
          "Tensor must have a stride divisible by 2 for all but last dimension,"
          " got ",
          x.strides());
    y->strides[d] /= 2;
  }
  y->refresh();
  return y;
}

const OpCall call_as_real("view_as_real"), call_as_complex("view_as_complex");

Tensor part(const Tensor& x, int64_t which) {
  static const OpCall select("select");
  return select(call_as_real(x), -1, which);
}
Tensor real(const Tensor& x) { return is_complex(x.dtype()) ? part(x, 0) : x; }
Tensor imag(const Tensor& x) {
  check(is_complex(x.dtype()), "imag is not implemented for tensors with non-complex dtypes.");
  return part(x, 1);
}

// What item() is for classes with a __torch_dispatch__; others are read where they are.
Tensor dispatched_item(const Tensor& x) { return x.clone_raw(); }

FLAMBEAU_OPS{
    {.schema = "_item(Tensor input) -> Tensor",
     .forward = native<dispatched_item>,
     .flags = kInternal | kNotDifferentiable,
     .doc = "The one element, as a mode or a class is asked for it."},
    {.schema = "view_as_real(Tensor input) -> Tensor",
     .forward = native<view_as_real>,
     .backward =
         [](Backward& b) {
           static const OpCall contiguous("contiguous");
           b.set(0, call_as_complex(contiguous(b.grad())));
         },
     .flags = kView | kNoMethod,
     .doc = "A view of complex numbers as pairs of real ones in a new last dimension."},
    {.schema = "view_as_complex(Tensor input) -> Tensor",
     .forward = native<view_as_complex>,
     .backward = [](Backward& b) { b.set(0, call_as_real(b.grad())); },
     .flags = kView | kNoMethod,
     .doc = "A view of pairs in the last dimension as complex numbers."},
    {.schema = "real(Tensor input) -> Tensor",
     .forward = native<real>,
     .flags = kComposite | kNoMethod,
     .doc = "A view of the real parts."},
    {.schema = "imag(Tensor input) -> Tensor",
     .forward = native<imag>,
     .flags = kComposite | kNoMethod,
     .doc = "A view of the imaginary parts."},
};

}  // namespace
}  // namespace flambeau
