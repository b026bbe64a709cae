// Sampling of images, nearest or bilinear; nn.functional.grid_sample has the general form.
#include "../kernels/grid_sample.h"
#include "../rare.h"

#include "../op.h"

namespace flambeau {

RareGradients rare_gradients;

namespace {

constexpr int64_t kInPixels = 3;  // a padding mode: zeros, and the grid counts pixels

GridSampleArgs arguments(const Tensor& image, const Tensor& grid, bool nearest,
                         int64_t padding_mode, bool align_corners) {
  return {.image = image.data(),
          .grid = grid.data(),
          .out = nullptr,
          .batch = image.size(0),
          .channels = image.size(1),
          .height = image.size(2),
          .width = image.size(3),
          .points = grid.size(1) * grid.size(2),
          .is_double = image.dtype() == DType::float64,
          .nearest = nearest,
          .align_corners = align_corners,
          .in_pixels = padding_mode == kInPixels,
          .outside = padding_mode == kInPixels ? OutsidePixels::zeros
                                               : static_cast<OutsidePixels>(padding_mode)};
}

Tensor grid_sample(const Tensor& input, const Tensor& grid, bool nearest, int64_t padding_mode,
                   bool align_corners) {
  check(input.dim() == 4 && grid.dim() == 4 && grid.size(3) == 2 && grid.size(0) == input.size(0),
        "grid_sample(): input of shape ", input.sizes(), " and grid of shape ", grid.sizes());
  check(input.dtype() == grid.dtype() &&
            (input.dtype() == DType::float32 || input.dtype() == DType::float64),
        "grid_sample(): input of ", input.dtype(), " and grid of ", grid.dtype());
  check(padding_mode >= 0 && padding_mode <= kInPixels, "grid_sample(): padding mode ",
        padding_mode);
  check(input.size(2) > 0 && input.size(3) > 0, "grid_sample(): input has no pixels, its shape is ",
        input.sizes());
  check(input.size(2) < INT32_MAX / input.size(3), "grid_sample(): images of shape ", input.sizes(),
        " are too large");
  Tensor out =
      empty(Ints{input.size(0), input.size(1), grid.size(1), grid.size(2)}, input.options());
  if (out.numel() == 0 || out.is_meta()) return out;
  Tensor image = input.contiguous_raw(), places = grid.contiguous_raw();
  GridSampleArgs a = arguments(image, places, nearest, padding_mode, align_corners);
  a.out = out.data();
  grid_sample_kernel(input.device_type(), a);
  return out;
}

// The gradients of the image and of the grid.
std::tuple<Tensor, Tensor> grid_sample_backward(const Tensor& grad, const Tensor& input,
                                                const Tensor& grid, bool nearest,
                                                int64_t padding_mode, bool align_corners,
                                                bool wants_image, bool wants_grid) {
  Tensor image = wants_image ? zeros(input.sizes(), input.options()) : Tensor();
  Tensor places = wants_grid ? zeros(grid.sizes(), grid.options()) : Tensor();
  if (input.is_meta() || !grad.numel()) return {image, places};
  const Tensor x = input.contiguous_raw(), at = grid.contiguous_raw(), g = grad.contiguous_raw();
  grid_sample_backward_kernel(input.device_type(),
                              arguments(x, at, nearest, padding_mode, align_corners),
                              {.out = g.data(),
                               .image = wants_image ? image.data() : nullptr,
                               .grid = wants_grid && !nearest ? places.data() : nullptr});
  return {image, places};
}

void back(Backward& b) {
  static const OpCall gradients("_grid_sample_backward");
  const TensorList both = gradients.all(b.grad(), b.in(0), b.in(1), b.arg(2), b.arg(3), b.arg(4),
                                        b.needs(0), b.needs(1));
  if (b.needs(0)) b.set(0, both[0]);
  if (b.needs(1)) b.set(1, both[1]);
}

void back_again(Backward& b) {
  const TensorList found =
      rare_gradients.grid_sample({b.in(0), b.in(1), b.in(2)}, {b.grad(0), b.grad(1)},
                                 b.arg(3).as_bool(), b.arg(4).as_int(), b.arg(5).as_bool());
  for (int i = 0; i < 3; ++i)
    if (b.needs(i)) b.set(i, found[static_cast<size_t>(i)]);
}

FLAMBEAU_OPS{
    {.schema = "_grid_sample(Tensor input, Tensor grid, bool nearest, int padding_mode, bool "
               "align_corners) -> Tensor",
     .forward = native<grid_sample>,
     .backward = back,
     .saves = "input, grid",
     .flags = kInternal,
     .node = "GridSampler2DBackward0",
     .doc = "Pixels at the places of a grid, nearest or bilinear."},
    {.schema = "_grid_sample_backward(Tensor grad, Tensor input, Tensor grid, bool nearest, "
               "int padding_mode, bool align_corners, bool wants_image, bool wants_grid) -> "
               "(Tensor, Tensor)",
     .forward = native<grid_sample_backward>,
     .backward = back_again,
     .saves = "grad, input, grid",
     .flags = kInternal,
     .node = "GridSampler2DBackwardBackward0",
     .doc = "The gradients of an image and of the grid that it is sampled at."},
};

}  // namespace
}  // namespace flambeau
