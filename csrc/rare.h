// Gradients that are wanted too rarely for kernels: the binding makes them of Python's operators.
#pragma once
#include "tensor.h"

namespace flambeau {

struct RareGradients {
  // Of grid_sample()'s gradients for image and grid, with respect to (grad, image, grid):
  // `directions` are the gradients of the two, undefined where there are none.
  TensorList (*grid_sample)(const TensorList& inputs, const TensorList& directions, bool nearest,
                            int64_t padding_mode, bool align_corners) = nullptr;
};
extern RareGradients rare_gradients;

}  // namespace flambeau
