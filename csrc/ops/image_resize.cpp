// Images of bytes in another size, in whole numbers: dimension by dimension, each rounded to bytes.
#include <algorithm>
#include <cmath>

#include "../kernels/image.h"
#include "windows.h"

namespace flambeau {
namespace {

// Weights have as many bits as 16 can hold, as in PyTorch.
int bits_of(const Axis& a) {
  double largest = 0;
  for (double w : a.weights) largest = std::max(largest, w);
  int bits = 0;
  while (bits < 22 && std::floor(0.5 + std::ldexp(largest, bits + 1)) < 32768) ++bits;
  return bits;
}

struct Whole {
  std::vector<int32_t> start, count, weights, across;
  ByteAxis view{};

  Whole(const Axis& a, int bits) {
    view.in = a.in, view.out = a.out;
    if (a.in == a.out) return;
    const int64_t most = *std::max_element(a.count.begin(), a.count.end());
    const auto taps = static_cast<size_t>((most + 3) / 4 * 4), n = static_cast<size_t>(a.out);
    const size_t padded = (n + 3) / 4 * 4, each = bits < 16 ? 2 : 1, slots = taps / each;
    start.resize(padded), count.resize(padded), weights.resize(padded * slots);
    across.resize(padded * slots * 4);
    size_t next = 0;
    for (size_t o = 0; o < n; ++o) {
      start[o] = static_cast<int32_t>(a.start[o]), count[o] = static_cast<int32_t>(a.count[o]);
      for (size_t t = 0; t < static_cast<size_t>(a.count[o]); ++t) {
        const double w = std::ldexp(a.weights[next++], bits);
        auto whole = static_cast<int32_t>(w + (w < 0 ? -0.5 : 0.5));
        const size_t slot = t / each;
        if (each == 2) {
          whole = t % 2 ? whole * 65536 : whole & 0xffff;
          whole |= weights[o * slots + slot];
        }
        weights[o * slots + slot] = whole;
        std::fill_n(across.data() + ((o / 4 * slots + slot) * 4 + o % 4) * 4, 4, whole);
      }
    }
    view.taps = static_cast<int64_t>(taps), view.bits = bits, view.pairs = each == 2;
    view.start = start.data(), view.count = count.data();
    view.weights = weights.data(), view.across = across.data();
  }
};

// Pixels whose channels are neighbours: how many bytes they take, else 0.
int64_t pixel_bytes(const Tensor& x) {
  const int64_t c = x.size(1);
  const bool pixels = x.stride(1) == 1 && x.stride(3) == c && x.stride(2) >= c * x.size(3);
  return pixels && (c == 3 || c == 4) ? c : 0;
}
// Planes of rows without gaps, equally far apart.
bool by_planes(const Tensor& x) {
  return x.stride(3) == 1 && x.stride(2) >= x.size(3) &&
         (x.size(0) == 1 || x.stride(0) == x.size(1) * x.stride(1));
}

}  // namespace

Tensor resize_bytes(const Tensor& input, const std::vector<Axis>& axes, int bits) {
  check(input.dim() == 4 && input.dtype() == DType::uint8,
        "resizing: images of bytes should be [N, C, H, W], got shape ", input.sizes());
  check(input.size(2) < INT32_MAX / 4 && input.size(3) < INT32_MAX / 4,
        "resizing: images of shape ", input.sizes(), " are too large");
  const int64_t pixel = pixel_bytes(input);
  const Tensor x = pixel || by_planes(input) ? input : input.contiguous_raw();
  const Ints shape{x.size(0), x.size(1), axes[0].out, axes[1].out};
  const Tensor out = pixel ? empty_strided(shape, channels_last_strides(shape), x.options())
                           : empty(shape, x.options());
  if (out.is_meta() || !out.numel()) return out;
  const auto whole = [&](const Axis& a) { return Whole(a, bits ? bits : bits_of(a)); };
  const Whole rows = whole(axes[0]), columns = whole(axes[1]);
  if (!rows.view.weights && !columns.view.weights) {
    copy(out, x);
    return out;
  }
  Tensor between;
  if (rows.view.weights && columns.view.weights)
    between = empty(Ints{x.size(0) * x.size(1) * axes[0].in * axes[1].out}, x.options());
  byte_resize_kernel(x.device_type(),
                     {.in = x.data<uint8_t>(),
                      .out = out.data<uint8_t>(),
                      .between = between.defined() ? between.data<uint8_t>() : nullptr,
                      .plane_stride = pixel ? x.stride(0) : x.stride(1),
                      .row_stride = x.stride(2),
                      .planes = pixel ? x.size(0) : x.size(0) * x.size(1),
                      .pixel = pixel ? pixel : 1,
                      .columns = columns.view,
                      .rows = rows.view});
  return out;
}

}  // namespace flambeau
