// New tensors: empty, zeros, full, arange, eye and their kin; filling in place.
#include <algorithm>
#include <cmath>

#include "../kernels/create.h"
#include "shape.h"

namespace flambeau {
namespace {

using Type = std::optional<DType>;
using Place = std::optional<Device>;
using Format = std::optional<MemoryFormat>;

Options options(Type dtype, Place device, DType otherwise = default_dtype()) {
  return {dtype.value_or(otherwise), device.value_or(default_device())};
}

// -- of a size ------------------------------------------------------------------------------------
Tensor empty_op(const Ints& size, Type dtype, Place device, Format format) {
  Options o = options(dtype, device);
  if (!format || *format == MemoryFormat::contiguous) return empty(size, o);
  check(*format != MemoryFormat::preserve, "empty(): preserve_format needs a tensor to look at");
  Tensor like = empty(size, {o.dtype, {DeviceType::meta}});
  return empty_with_format(like, o.dtype, o.device, format);
}
Tensor zeros_op(const Ints& size, Type dtype, Place device) {
  return zeros(size, options(dtype, device));
}
Tensor full_op(const Ints& size, const Scalar& value, Type dtype, Place device) {
  return full(size, value, options(dtype, device, value.dtype()));
}
Tensor ones_op(const Ints& size, Type dtype, Place device) {
  return full(size, 1, options(dtype, device));
}
Tensor empty_strided_op(const Ints& size, const Ints& stride, Type dtype, Place device) {
  return empty_strided(size, stride, options(dtype, device));
}
Tensor empty_permuted(const Ints& size, const Ints& layout, Type dtype, Place device) {
  check(layout.size() == size.size(),
        "empty_permuted(): Number of dimensions in size does not match the "
        "length of the physical_layout; i.e. len(size) = ",
        size.size(), " is not equal to len(physical_layout) = ", layout.size());
  Ints order = wrap_dims(layout, static_cast<int64_t>(size.size()), "empty_permuted");
  Ints strides(size.size());
  int64_t step = 1;
  for (size_t i = order.size(); i-- > 0;) {
    strides[order[i]] = step;
    step *= std::max<int64_t>(size[order[i]], 1);
  }
  return empty_strided(size, strides, options(dtype, device));
}
Tensor scalar_tensor_op(const Scalar& s, Type dtype, Place device) {
  return scalar_tensor(s, options(dtype, device));
}

#define FLAMBEAU_MAKE "*, ScalarType? dtype=None, Device? device=None"

FLAMBEAU_OPS{
    {.schema = "empty(int[] size, " FLAMBEAU_MAKE ", MemoryFormat? memory_format=None) -> Tensor",
     .forward = native<empty_op>,
     .flags = kFactory | kNotDifferentiable,
     .doc = "A tensor with whatever its memory holds."},
    {.schema = "zeros(int[] size, " FLAMBEAU_MAKE ") -> Tensor",
     .forward = native<zeros_op>,
     .flags = kFactory | kNotDifferentiable,
     .doc = "A tensor of zeros."},
    {.schema = "ones(int[] size, " FLAMBEAU_MAKE ") -> Tensor",
     .forward = native<ones_op>,
     .flags = kFactory | kNotDifferentiable,
     .doc = "A tensor of ones."},
    {.schema = "full(int[] size, Scalar fill_value, " FLAMBEAU_MAKE ") -> Tensor",
     .forward = native<full_op>,
     .flags = kFactory | kNotDifferentiable,
     .doc = "A tensor of one value, of the value's dtype."},
    {.schema = "empty_strided(int[] size, int[] stride, " FLAMBEAU_MAKE ") -> Tensor",
     .forward = native<empty_strided_op>,
     .flags = kFactory | kNotDifferentiable,
     .doc = "An empty tensor with the given strides."},
    {.schema = "empty_permuted(int[] size, int[] physical_layout, " FLAMBEAU_MAKE ") -> Tensor",
     .forward = native<empty_permuted>,
     .flags = kFactory | kNotDifferentiable,
     .doc = "An empty tensor whose memory runs over its dimensions in the given order."},
    {.schema = "scalar_tensor(Scalar s, " FLAMBEAU_MAKE ") -> Tensor",
     .forward = native<scalar_tensor_op>,
     .flags = kFactory | kNotDifferentiable,
     .doc = "A 0-d tensor of one value."},
};

// -- like another ---------------------------------------------------------------------------------
Tensor empty_like_op(const Tensor& x, Type dtype, Place device, Format format) {
  return empty_with_format(x, dtype.value_or(x.dtype()), device.value_or(x.device()), format);
}
Tensor full_like(const Tensor& x, const Scalar& value, Type dtype, Place device, Format format) {
  Tensor y = empty_like_op(x, dtype, device, format);
  fill(y, value);
  return y;
}
Tensor zeros_like(const Tensor& x, Type dtype, Place device, Format format) {
  return full_like(x, 0, dtype, device, format);
}
Tensor ones_like(const Tensor& x, Type dtype, Place device, Format format) {
  return full_like(x, 1, dtype, device, format);
}

Options like(const Tensor& x, Type dtype, Place device) {
  return {dtype.value_or(x.dtype()), device.value_or(x.device())};
}
Tensor new_empty(const Tensor& x, const Ints& size, Type dtype, Place device) {
  return empty(size, like(x, dtype, device));
}
Tensor new_zeros(const Tensor& x, const Ints& size, Type dtype, Place device) {
  return zeros(size, like(x, dtype, device));
}
Tensor new_ones(const Tensor& x, const Ints& size, Type dtype, Place device) {
  return full(size, 1, like(x, dtype, device));
}
Tensor new_full(const Tensor& x, const Ints& size, const Scalar& value, Type dtype, Place device) {
  return full(size, value, like(x, dtype, device));
}
Tensor new_empty_strided(const Tensor& x, const Ints& size, const Ints& stride, Type dtype,
                         Place device) {
  return empty_strided(size, stride, like(x, dtype, device));
}

#define FLAMBEAU_LIKE FLAMBEAU_MAKE ", MemoryFormat? memory_format=None"
#define FLAMBEAU_NEW(name, args, f, text)                                  \
  {.schema = name "(Tensor input, " args ", " FLAMBEAU_MAKE ") -> Tensor", \
   .forward = native<f>,                                                   \
   .flags = kFactory | kMethod | kNoFunction | kNotDifferentiable,         \
   .doc = text}

FLAMBEAU_OPS{
    {.schema = "empty_like(Tensor input, " FLAMBEAU_LIKE ") -> Tensor",
     .forward = native<empty_like_op>,
     .flags = kFactory | kNotDifferentiable,
     .doc = "An empty tensor of the shape, dtype and memory order of another."},
    {.schema = "zeros_like(Tensor input, " FLAMBEAU_LIKE ") -> Tensor",
     .forward = native<zeros_like>,
     .flags = kFactory | kNotDifferentiable,
     .doc = "Zeros of the shape, dtype and memory order of another tensor."},
    {.schema = "ones_like(Tensor input, " FLAMBEAU_LIKE ") -> Tensor",
     .forward = native<ones_like>,
     .flags = kFactory | kNotDifferentiable,
     .doc = "Ones of the shape, dtype and memory order of another tensor."},
    {.schema = "full_like(Tensor input, Scalar fill_value, " FLAMBEAU_LIKE ") -> Tensor",
     .forward = native<full_like>,
     .flags = kFactory | kNotDifferentiable,
     .doc = "One value in the shape, dtype and memory order of another tensor."},
    FLAMBEAU_NEW("new_empty", "int[] size", new_empty, "An empty tensor of the same dtype."),
    FLAMBEAU_NEW("new_zeros", "int[] size", new_zeros, "Zeros of the same dtype."),
    FLAMBEAU_NEW("new_ones", "int[] size", new_ones, "Ones of the same dtype."),
    FLAMBEAU_NEW("new_full", "int[] size, Scalar fill_value", new_full,
                 "One value in the same dtype."),
    FLAMBEAU_NEW("new_empty_strided", "int[] size, int[] stride", new_empty_strided,
                 "An empty tensor of the same dtype with the given strides."),
};

// -- sequences ------------------------------------------------------------------------------------
bool integer_valued(const Scalar& s) { return s.kind <= Scalar::integer; }

int64_t arange_length(const Scalar& start, const Scalar& end, const Scalar& step) {
  if (integer_valued(start) && integer_valued(end) && integer_valued(step)) {
    int64_t k = step.i, span;
    check(k != 0, "arange(): step must be nonzero");
    check((k > 0 && end.i >= start.i) || (k < 0 && end.i <= start.i),
          "arange(): upper bound and lower bound inconsistent with step sign, got start=", start,
          ", end=", end, ", step=", step);
    check(!__builtin_sub_overflow(end.i, start.i, &span),
          "arange(): range too large, possible overflow");
    return span / k + (span % k != 0);
  }
  double from = start.to<double>(), to = end.to<double>(), k = step.to<double>();
  check(k != 0, "arange(): step must be nonzero");
  check(std::isfinite(from) && std::isfinite(to), "arange(): unsupported range: ", from, " -> ",
        to);
  check((k > 0 && to >= from) || (k < 0 && to <= from),
        "arange(): upper bound and lower bound inconsistent with step sign, got start=", start,
        ", end=", end, ", step=", step);
  double n = std::ceil((to - from) / k);
  check(n >= 0 && n < 9.2e18, "arange(): invalid size, possible overflow?");
  return static_cast<int64_t>(n);
}

Tensor arange(const Scalar& start, const Scalar& end, const Scalar& step, Type dtype,
              Place device) {
  check(
      start.kind != Scalar::complex && end.kind != Scalar::complex && step.kind != Scalar::complex,
      "arange(): not implemented for complex numbers");
  bool whole = integer_valued(start) && integer_valued(end) && integer_valued(step);
  Options o = options(dtype, device, whole ? DType::int64 : default_dtype());
  check(!is_complex(o.dtype) && o.dtype != DType::boolean, "arange(): not implemented for dtype ",
        o.dtype);
  // PyTorch cuts the bounds to integers before counting, for int64 only.
  auto cut = [&](const Scalar& s) { return o.dtype == DType::int64 ? Scalar(s.to<int64_t>()) : s; };
  Tensor y = empty(Ints{arange_length(cut(start), cut(end), cut(step))}, o);
  SequenceArgs a{};
  a.dst = y.data();
  a.dtype = o.dtype;
  a.n = a.half = y.numel();
  a.first = start.to<double>();
  a.step = step.to<double>();
  a.first_int = start.to<int64_t>();
  a.step_int = step.to<int64_t>();
  a.integral = is_integral(o.dtype);
  sequence_kernel(y.device_type(), a);
  return y;
}
Tensor arange_to(const Scalar& end, Type dtype, Place device) {
  return arange(int64_t(0), end, int64_t(1), dtype, device);
}

Tensor spaced(const char* op, const Scalar& start, const Scalar& end, int64_t steps,
              const double* base, Type dtype, Place device) {
  bool complex_ends = start.kind == Scalar::complex || end.kind == Scalar::complex;
  Options o = options(dtype, device, complex_ends ? to_complex(default_dtype()) : default_dtype());
  check(steps >= 0, op, "(): number of steps must be non-negative, got ", steps);
  check(is_complex(o.dtype) || !complex_ends, op,
        "(): inferred dtype complex can't be safely cast to ", o.dtype);
  if (is_complex(o.dtype)) {
    if (base) {
      static const OpCall power("pow");
      Tensor b = scalar_tensor(*base, {o.dtype, o.device});
      return power(b, spaced(op, start, end, steps, nullptr, o.dtype, o.device));
    }
    complex128 a = start.to<complex128>(), b = end.to<complex128>();
    static const OpCall call_complex("complex");
    return call_complex(spaced(op, a.real(), b.real(), steps, nullptr, to_real(o.dtype), o.device),
                        spaced(op, a.imag(), b.imag(), steps, nullptr, to_real(o.dtype), o.device));
  }
  Tensor y = empty(Ints{steps}, o);
  SequenceArgs a{};
  a.dst = y.data();
  a.dtype = o.dtype;
  a.n = steps;
  a.half = std::max<int64_t>(steps / 2, 1);
  bool whole = is_integral(o.dtype);  // then the ends are cut first
  a.first = whole ? static_cast<double>(start.to<int64_t>()) : start.to<double>();
  a.last = whole ? static_cast<double>(end.to<int64_t>()) : end.to<double>();
  a.step = steps > 1 ? (a.last - a.first) / static_cast<double>(steps - 1) : 0;
  a.powers = base;
  a.base = base ? *base : 0;
  sequence_kernel(y.device_type(), a);
  return y;
}

Tensor linspace(const Scalar& start, const Scalar& end, int64_t steps, Type dtype, Place device) {
  return spaced("linspace", start, end, steps, nullptr, dtype, device);
}
Tensor logspace(const Scalar& start, const Scalar& end, int64_t steps, double base, Type dtype,
                Place device) {
  return spaced("logspace", start, end, steps, &base, dtype, device);
}

// A 0-d tensor or a number, for ends that require a gradient, which does not flow.
Scalar number(const Value& v, const char* op) {
  if (!v.is_tensor()) return v.as_scalar();
  check(v.as_tensor().dim() == 0, op, "(): only supports 0-dimensional start and end tensors, got ",
        v.as_tensor().dim(), "-D");
  return item(v.as_tensor());
}
Tensor linspace_ends(const Value& start, const Value& end, int64_t steps, Type dtype,
                     Place device) {
  return linspace(number(start, "linspace"), number(end, "linspace"), steps, dtype, device);
}
Tensor logspace_ends(const Value& start, const Value& end, int64_t steps, double base, Type dtype,
                     Place device) {
  return logspace(number(start, "logspace"), number(end, "logspace"), steps, base, dtype, device);
}

Tensor eye(int64_t n, std::optional<int64_t> columns, Type dtype, Place device) {
  int64_t m = columns.value_or(n);
  check(n >= 0, "eye(): n must be greater or equal to 0, got ", n);
  check(m >= 0, "eye(): m must be greater or equal to 0, got ", m);
  Tensor y = zeros(Ints{n, m}, options(dtype, device));
  fill(y.as_strided_raw(Ints{std::min(n, m)}, Ints{m + 1}, 0), 1);
  return y;
}

// out= keeps its shape, a view of a matrix say, if it has room for as many.
template <auto F>
void sequence(Value* args, Value* results) {
  Value made;
  native<F>(args, &made);
  const Tensor& out = results[0].as_tensor();
  if (out.defined()) {
    const Tensor got = made.as_tensor();
    check(got.device() == out.device(), "expected out tensor on device ", got.device(), ", got ",
          out.device());
    if (got.numel() != out.numel()) resize(out, got.sizes());
    copy(out, got.as_strided_raw(out.sizes(), contiguous_strides(out.sizes()), 0));
  } else {
    results[0] = std::move(made);
  }
}
constexpr uint32_t kSequence = kFactory | kNotDifferentiable | kWritesOut;

#define FLAMBEAU_ENDS(name, type, more, f)                                                       \
  {.schema = name "(" type " start, " type " end, int steps, " more FLAMBEAU_MAKE ") -> Tensor", \
   .forward = sequence<f>,                                                                       \
   .flags = kSequence | kNumbers,                                                                \
   .doc = name "() between two 0-d tensors."}

FLAMBEAU_OPS{
    {.schema = "arange(Scalar end, " FLAMBEAU_MAKE ") -> Tensor",
     .forward = sequence<arange_to>,
     .flags = kSequence,
     .doc = "0, 1, ... below end."},
    {.schema = "arange(Scalar start, Scalar end, Scalar step=1, " FLAMBEAU_MAKE ") -> Tensor",
     .forward = sequence<arange>,
     .flags = kSequence,
     .doc = "start, start + step, ... below end."},
    {.schema = "linspace(Scalar start, Scalar end, int steps, " FLAMBEAU_MAKE ") -> Tensor",
     .forward = sequence<linspace>,
     .flags = kSequence,
     .doc = "Evenly spaced values, both ends among them."},
    FLAMBEAU_ENDS("linspace", "Tensor", "", linspace_ends),
    {.schema = "logspace(Scalar start, Scalar end, int steps, float base=10.0, " FLAMBEAU_MAKE
               ") -> Tensor",
     .forward = sequence<logspace>,
     .flags = kSequence,
     .doc = "Powers of base with evenly spaced exponents, both ends among them."},
    FLAMBEAU_ENDS("logspace", "Tensor", "float base=10.0, ", logspace_ends),
    {.schema = "eye(int n, int? m=None, " FLAMBEAU_MAKE ") -> Tensor",
     .forward = native<eye>,
     .flags = kFactory | kNotDifferentiable,
     .doc = "A matrix with ones on its diagonal."},
};

// -- complex from parts ---------------------------------------------------------------------------
Tensor part_of(const Tensor& z, int64_t which) {
  Ints strides = z.strides();
  for (int64_t& s : strides) s *= 2;
  Tensor y = z.as_strided_raw(z.sizes(), strides, z->offset * 2 + which);
  y->dtype = to_real(z.dtype());
  return y;
}

Tensor complex(const Tensor& real, const Tensor& imag) {
  DType t = real.dtype();
  check(is_floating(t) && itemsize(t) >= 2,
        "complex(): Expected both inputs to be Half, Float or "
        "Double tensors but got ",
        t, " and ", imag.dtype());
  check(t == imag.dtype(), "complex(): Expected object of scalar type ", t, " but got scalar type ",
        imag.dtype(), " for second argument");
  check(t != DType::bfloat16, "complex(): no complex dtype for ", t);
  Tensor z =
      empty(broadcast_shapes(real.sizes(), imag.sizes(), "complex"), real.options(to_complex(t)));
  copy(part_of(z, 0), real);
  copy(part_of(z, 1), imag);
  return z;
}

void complex_forward(Value* args, Value* results) {
  Tensor z = complex(args[0].as_tensor(), args[1].as_tensor());
  if (results[0].is_tensor()) {
    const Tensor& out = results[0].as_tensor();
    check(out.dtype() == z.dtype(), "complex(): Expected object of scalar type ", z.dtype(),
          " but got scalar type ", out.dtype(), " for argument 'out'");
    resize(out, z.sizes());
    copy(out, z);
  } else {
    results[0] = Value(std::move(z));
  }
}

void complex_back(Backward& b) {
  static const OpCall call_real("real"), call_imag("imag"), sum_to_size("sum_to_size");
  if (b.needs(0)) b.set(0, sum_to_size(call_real(b.grad()), b.sizes(0)));
  if (b.needs(1)) b.set(1, sum_to_size(call_imag(b.grad()), b.sizes(1)));
}

Tensor polar(const Tensor& abs, const Tensor& angle) {
  static const OpCall call_complex("complex"), cos("cos"), sin("sin"), mul("mul");
  check(is_floating(abs.dtype()) && abs.dtype() == angle.dtype(),
        "polar(): Expected both inputs to be "
        "Float or Double tensors of one dtype but got ",
        abs.dtype(), " and ", angle.dtype());
  return call_complex(mul(abs, cos(angle)), mul(abs, sin(angle)));
}

FLAMBEAU_OPS{
    {.schema = "complex(Tensor real, Tensor imag) -> Tensor",
     .forward = complex_forward,
     .backward = complex_back,
     .flags = kNoMethod | kWritesOut,
     .doc = "Complex numbers from their real and imaginary parts."},
    {.schema = "polar(Tensor abs, Tensor angle) -> Tensor",
     .forward = native<polar>,
     .flags = kComposite | kNoMethod,
     .node = "PolarBackward0",
     .doc = "Complex numbers from magnitude and angle."},
};

// -- filling in place -----------------------------------------------------------------------------
void fill_(const Tensor& x, const Scalar& value) { fill(x, value); }
void fill_tensor_(const Tensor& x, const Tensor& value) {
  check(value.dim() == 0, "fill_ only supports 0-dimension value tensor but got tensor with ",
        value.dim(), " dimensions.");
  copy(x, value);
}
void fill_tensor_back(Backward& b) {
  static const OpCall sum_to_size("sum_to_size"), to("to");
  if (b.needs(1)) b.set(1, to(sum_to_size(b.grad(), Ints{}), b.dtype(1)));
}

void refuse_grad(const Tensor& x) {
  check(!x.requires_grad(), "cannot resize variables that require grad");
}

void resize_(const Tensor& x, const Ints& size, Format format) {
  refuse_grad(x);
  for (int64_t s : size) check(s >= 0, "resize_(): negative size in ", size);
  resize(x, size);
  check(!format || *format != MemoryFormat::preserve,
        "resize_(): preserve_format is of another tensor: use resize_as_()");
  if (!format || *format == MemoryFormat::contiguous) return;
  x->strides = empty_with_format(empty(size, {x.dtype(), {DeviceType::meta}}), x.dtype(),
                                 {DeviceType::meta}, format)
                   .strides();
  x->refresh();
}
void resize_as_(const Tensor& x, const Tensor& other, Format format) {
  if (format && *format == MemoryFormat::preserve) {
    format = MemoryFormat::contiguous;
    for (MemoryFormat f : {MemoryFormat::channels_last, MemoryFormat::channels_last_3d})
      if (!other.is_contiguous() && other.is_contiguous(f)) format = f;
  }
  resize_(x, other.sizes(), format);
}

void set_to(const Tensor& x, const Tensor& source, IntSpan size, IntSpan stride, int64_t offset) {
  check(x.dtype() == source.dtype() && x.device() == source.device(), "set_(): source of ",
        source.dtype(), " on ", source.device(), " for a tensor of ", x.dtype(), " on ",
        x.device());
  x->storage = source->storage;
  x->sizes.assign(size.data(), size.size());
  x->strides.assign(stride.data(), stride.size());
  x->offset = offset;
  x->refresh();
}
void set_source_(const Tensor& x, const Tensor& source) {
  set_to(x, source, source.sizes(), source.strides(), source->offset);
}
void set_part_(const Tensor& x, const Tensor& source, int64_t offset, const Ints& size,
               const Ints& stride) {
  static const OpCall as_strided("as_strided");
  NoGrad off;
  set_source_(x,
              as_strided(source, size, stride.empty() ? contiguous_strides(size) : stride, offset));
}
void set_empty_(const Tensor& x) {
  Tensor none = empty(Ints{0}, x.options());
  set_source_(x, none);
}

FLAMBEAU_OPS{
    {.schema = "fill(Tensor input, Scalar value) -> Tensor",
     .inplace = native<fill_>,
     .backward = [](Backward&) {},  // nothing of the old value is left
     .doc = "One value in every element."},
    {.schema = "fill(Tensor input, Tensor value) -> Tensor",
     .inplace = native<fill_tensor_>,
     .backward = fill_tensor_back,
     .doc = "One value in every element."},
    {.schema = "zero_(Tensor(a!) input) -> Tensor",
     .inplace = native<zero>,
     .backward = [](Backward&) {},
     .doc = "Zero in every element."},
    {.schema =
         "resize_(Tensor(a!) input, int[] size, *, MemoryFormat? memory_format=None) -> Tensor",
     .inplace = native<resize_>,
     .flags = kNotDifferentiable | kNoFunction,
     .doc = "Another shape over the same memory, which grows where it must."},
    {.schema =
         "resize_as_(Tensor(a!) input, Tensor the_template, *, MemoryFormat? memory_format=None) "
         "-> Tensor",
     .inplace = native<resize_as_>,
     .flags = kNotDifferentiable | kAnyDevice,
     .doc = "resize_() to the shape of another tensor."},
    {.schema = "set_(Tensor(a!) input) -> Tensor",
     .inplace = native<set_empty_>,
     .flags = kNotDifferentiable | kNoFunction,
     .doc = "Makes the tensor empty."},
    {.schema = "set_(Tensor(a!) input, Tensor source) -> Tensor",
     .inplace = native<set_source_>,
     .flags = kNotDifferentiable | kNoFunction | kReadsFirst | kAnyDevice,
     .doc = "Makes the tensor a view of the memory of another."},
    {.schema =
         "set_(Tensor(a!) input, Tensor source, int storage_offset, int[] size, int[] stride=[]) "
         "-> Tensor",
     .inplace = native<set_part_>,
     .flags = kNotDifferentiable | kNoFunction | kReadsFirst | kAnyDevice,
     .doc = "Makes the tensor a strided view of the memory of another."},
};

}  // namespace
}  // namespace flambeau
