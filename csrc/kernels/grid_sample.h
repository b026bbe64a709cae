// Sampling of images at places between pixels.
#pragma once
#include "../dispatch.h"

namespace flambeau {

enum class OutsidePixels : uint8_t { zeros, border, reflection };  // PyTorch's numbers

// image [batch, channels, height, width] and grid [batch, points, 2] (x, y from -1 to 1, or
// `in_pixels`), both contiguous and of one type, to out [batch, channels, points].
struct GridSampleArgs {
  const void *image, *grid;
  void* out;
  int64_t batch, channels, height, width, points;
  bool is_double, nearest, align_corners, in_pixels;
  OutsidePixels outside;
};
inline Kernel<void(const GridSampleArgs&)> grid_sample_kernel{"grid_sample"};

// From the gradient of out, laid out like it: that of the image, added to zeros, and that of the
// grid; null where not wanted.
struct GridSampleGradients {
  const void* out;
  void *image, *grid;
};
inline Kernel<void(const GridSampleArgs&, const GridSampleGradients&)> grid_sample_backward_kernel{
    "grid_sample_backward"};

}  // namespace flambeau
