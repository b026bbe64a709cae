// Pointwise loops over numbers as they lie in memory: bytes, integers, complex numbers.
#pragma once
#include "pointwise.h"

namespace flambeau {

// Does what a loop of pointwise_kernel would where it has one for these types and strides, and says
// so in `done`. Constants of the loop are of the compute type.
struct DirectArgs {
  const Loop* loop;  // operand 0 is the output
  int index;  // PointwiseIndex
  Compute compute;
  const PointwiseNumber* numbers;
  bool done;
};
inline Kernel<void(DirectArgs&)> pointwise_direct_kernel{"pointwise"};

}  // namespace flambeau
