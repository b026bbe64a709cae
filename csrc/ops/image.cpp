// Operators of images: tables of bytes, bytes as floats, colours. Images are [..., C, H, W].
#include "../kernels/image.h"

#include <algorithm>

#include "../op.h"

namespace flambeau {
namespace {

void check_bytes(const Tensor& x, const char* name) {
  check(x.dtype() == DType::uint8, name, "(): wanted bytes, got ", x.dtype());
}

// A table of 256 bytes, or one for each plane: [planes, 256].
Tensor lookup_bytes(const Tensor& input, const Tensor& table) {
  check_bytes(input, "_lookup_bytes");
  check_bytes(table, "_lookup_bytes");
  const int64_t planes = table.numel() / 256;
  check(planes > 0 && table.numel() == planes * 256 && input.numel() % planes == 0,
        "_lookup_bytes(): tables of shape ", table.sizes(), " for bytes of shape ", input.sizes());
  const Tensor x = input.contiguous_raw(), t = table.contiguous_raw();
  Tensor out = empty(x.sizes(), x.options());
  // planes of one table can be cut anywhere
  const int64_t n =
      planes == 1 ? std::max<int64_t>(1, std::min<int64_t>(x.numel(), 16384)) : x.numel() / planes;
  if (out.is_meta() || !out.numel()) return out;
  const int64_t whole = x.numel() / n;
  LookupArgs a{.in = x.data<uint8_t>(),
               .table = t.data<uint8_t>(),
               .out = out.data<uint8_t>(),
               .planes = whole,
               .n = n,
               .step = planes == 1 ? 0 : 256};
  lookup_kernel(x.device_type(), a);
  if (const int64_t rest = x.numel() - whole * n) {
    a.in += whole * n, a.out += whole * n, a.planes = 1, a.n = rest;
    lookup_kernel(x.device_type(), a);
  }
  return out;
}

Tensor count_bytes(const Tensor& input) {
  check_bytes(input, "_count_bytes");
  check(input.dim() == 2, "_count_bytes(): wanted [planes, n], got ", input.sizes());
  const Tensor x = input.contiguous_raw();
  Tensor out = empty(Ints{x.size(0), 256}, x.options(DType::int64));
  if (!out.is_meta() && out.numel())
    histogram_kernel(x.device_type(), {.in = x.data<uint8_t>(),
                                       .counts = out.data<int64_t>(),
                                       .planes = x.size(0),
                                       .n = x.size(1)});
  return out;
}

Tensor bytes_to_floats(const Tensor& input) {
  check_bytes(input, "_bytes_to_floats");
  check(input.dim() == 3, "_bytes_to_floats(): wanted [C, H, W], got ", input.sizes());
  const int64_t step = input.stride(2);
  const bool pixels = input.stride(0) == 1 && input.size(0) <= step && (step == 3 || step == 4);
  const Tensor x = pixels || step == 1 ? input : input.contiguous_raw();
  Tensor out = empty(x.sizes(), x.options(DType::float32));
  if (!out.is_meta() && out.numel())
    byte_floats_kernel(x.device_type(), {.in = x.data<uint8_t>(),
                                         .out = out.data<float>(),
                                         .channels = x.size(0),
                                         .rows = x.size(1),
                                         .columns = x.size(2),
                                         .channel_stride = x.stride(0),
                                         .row_stride = x.stride(1),
                                         .pixel = pixels ? step : 1});
  return out;
}

Tensor standardize(const Tensor& input, const Tensor& mean, const Tensor& std, bool in_place) {
  check(input.dim() >= 3 && input.dtype() == DType::float32 && mean.dtype() == DType::float32 &&
            std.dtype() == DType::float32,
        "_standardize(): wanted float32 [..., C, H, W], got ", input.sizes());
  const int64_t channels = input.size(-3);
  check(mean.numel() == channels && std.numel() == channels, "_standardize(): ", mean.numel(),
        " means and ", std.numel(), " deviations for ", channels, " channels");
  check(!in_place || input.is_contiguous(), "_standardize(): not contiguous");
  const Tensor x = input.contiguous_raw(), m = mean.contiguous_raw(), s = std.contiguous_raw();
  Tensor out = in_place ? input : empty(x.sizes(), x.options());
  const int64_t n = x.size(-2) * x.size(-1);
  if (!out.is_meta() && out.numel())
    standardize_kernel(x.device_type(), {.in = x.data<float>(),
                                         .mean = m.data<float>(),
                                         .std = s.data<float>(),
                                         .out = out.data<float>(),
                                         .planes = x.numel() / n,
                                         .channels = channels,
                                         .n = n});
  return out;
}

// -- colours --------------------------------------------------------------------------------------
struct Picture {
  Tensor x;
  ColorArgs args{};

  Picture(const Tensor& input, const char* name) : x(input.contiguous_raw()) {
    check(x.dim() >= 3 && (x.dtype() == DType::uint8 || x.dtype() == DType::float32), name,
          "(): wanted an image of uint8 or float32, got ", x.dtype(), " of shape ", x.sizes());
    args.in = x.data();
    args.channels = x.size(-3), args.n = x.size(-2) * x.size(-1);
    args.images = x.numel() ? x.numel() / (args.channels * args.n) : 0;
    args.bytes = x.dtype() == DType::uint8;
  }
  // The result, of as many channels; f(args) fills it.
  template <class F>
  Tensor make(int64_t channels, const F& f) {
    Ints shape = x.sizes();
    shape[shape.size() - 3] = channels;
    Tensor out = empty(shape, x.options());
    args.out = out.data();
    if (!out.is_meta() && out.numel()) f(args);
    return out;
  }
};

Tensor image_gray(const Tensor& input) {
  Picture p(input, "_image_gray");
  check(p.args.channels == 3, "_image_gray(): wanted 3 channels, got ", p.args.channels);
  return p.make(1, [&](const ColorArgs& a) { gray_kernel(input.device_type(), a); });
}

Tensor image_hue(const Tensor& input, double factor) {
  Picture p(input, "_image_hue");
  check(p.args.channels == 3, "_image_hue(): wanted 3 channels, got ", p.args.channels);
  return p.make(3, [&](const ColorArgs& a) {
    hue_kernel(input.device_type(), a, static_cast<float>(factor));
  });
}

Tensor image_blend(const Tensor& input, const Tensor& other, double ratio) {
  Picture p(input, "_image_blend");
  const int64_t images = p.args.images, channels = p.args.channels;
  Tensor o;
  bool plane = false;
  if (other.defined()) {
    o = other.contiguous_raw();
    plane = o.numel() == images * p.args.n && o.dtype() == input.dtype();
    check(plane || (o.numel() == images && o.dtype() == DType::float32),
          "_image_blend(): ", o.dtype(), " of shape ", o.sizes(), " with images of shape ",
          input.sizes());
  }
  return p.make(channels, [&](const ColorArgs& a) {
    blend_kernel(input.device_type(), a, o.defined() ? o.data() : nullptr, plane ? 1 : 0, ratio);
  });
}

FLAMBEAU_OPS{
    {.schema = "_lookup_bytes(Tensor input, Tensor table) -> Tensor",
     .forward = native<lookup_bytes>,
     .flags = kInternal | kNotDifferentiable,
     .doc = "table[input] for bytes, with one table or one for each plane."},
    {.schema = "_count_bytes(Tensor input) -> Tensor",
     .forward = native<count_bytes>,
     .flags = kInternal | kNotDifferentiable,
     .doc = "How often each of 256 values comes in each plane."},
    {.schema = "_bytes_to_floats(Tensor input) -> Tensor",
     .forward = native<bytes_to_floats>,
     .flags = kInternal | kNotDifferentiable,
     .doc = "Bytes over 255 as float32, contiguous."},
    {.schema = "_standardize(Tensor input, Tensor mean, Tensor std, bool in_place=False) -> Tensor",
     .forward = native<standardize>,
     .flags = kInternal | kNotDifferentiable,
     .doc = "(image - mean) / std, channel by channel, in one pass."},
    {.schema = "_image_gray(Tensor input) -> Tensor",
     .forward = native<image_gray>,
     .flags = kInternal | kNotDifferentiable,
     .doc = "One channel of three."},
    {.schema = "_image_hue(Tensor input, float factor) -> Tensor",
     .forward = native<image_hue>,
     .flags = kInternal | kNotDifferentiable,
     .doc = "The hue turned by a share of the circle."},
    {.schema = "_image_blend(Tensor input, Tensor? other, float ratio) -> Tensor",
     .forward = native<image_blend>,
     .flags = kInternal | kNotDifferentiable,
     .doc = "input * ratio + other * (1 - ratio) between black and white; other may be grey."},
};

}  // namespace
}  // namespace flambeau
