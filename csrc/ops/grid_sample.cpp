// Sampling of images where no gradient is wanted; nn.functional.grid_sample has the general form.
#include "../kernels/grid_sample.h"

#include "../op.h"

namespace flambeau {
namespace {

Tensor grid_sample(const Tensor& input, const Tensor& grid, bool nearest, int64_t padding_mode,
                   bool align_corners) {
  check(input.dim() == 4 && grid.dim() == 4 && grid.size(3) == 2 && grid.size(0) == input.size(0),
        "grid_sample(): input of shape ", input.sizes(), " and grid of shape ", grid.sizes());
  check(input.dtype() == grid.dtype() &&
            (input.dtype() == DType::float32 || input.dtype() == DType::float64),
        "grid_sample(): input of ", input.dtype(), " and grid of ", grid.dtype());
  check(padding_mode >= 0 && padding_mode <= 2, "grid_sample(): padding mode ", padding_mode);
  check(input.size(2) > 0 && input.size(3) > 0, "grid_sample(): input has no pixels, its shape is ",
        input.sizes());
  check(input.size(2) < INT32_MAX / input.size(3), "grid_sample(): images of shape ", input.sizes(),
        " are too large");
  Tensor out =
      empty(Ints{input.size(0), input.size(1), grid.size(1), grid.size(2)}, input.options());
  if (out.numel() == 0 || out.is_meta()) return out;
  Tensor image = input.contiguous_raw(), places = grid.contiguous_raw();
  grid_sample_kernel(input.device_type(), {.image = image.data(),
                                           .grid = places.data(),
                                           .out = out.data(),
                                           .batch = input.size(0),
                                           .channels = input.size(1),
                                           .height = input.size(2),
                                           .width = input.size(3),
                                           .points = grid.size(1) * grid.size(2),
                                           .is_double = input.dtype() == DType::float64,
                                           .nearest = nearest,
                                           .align_corners = align_corners,
                                           .outside = static_cast<OutsidePixels>(padding_mode)});
  return out;
}

FLAMBEAU_OPS{
    {.schema = "_grid_sample(Tensor input, Tensor grid, bool nearest, int padding_mode, bool "
               "align_corners) -> Tensor",
     .forward = native<grid_sample>,
     .flags = kInternal | kNotDifferentiable,
     .doc = "Pixels at the places of a grid, nearest or bilinear; without a gradient."},
};

}  // namespace
}  // namespace flambeau
