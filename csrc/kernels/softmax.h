// The interface of softmax and its logarithm: x is [outer, n, inner].
#pragma once
#include "pointwise.h"

namespace flambeau {

struct SoftmaxArgs {
  bool logarithm;
  DType dtype;  // float32 or float64; of rows (inner is 1) float16 and bfloat16 too
  const void* x;  // in the backward pass: the result y
  const void* g;  // null in the forward pass
  void* out;
  int64_t outer, n, inner;
};
inline Kernel<void(const SoftmaxArgs&)> softmax_kernel{"softmax"};

}  // namespace flambeau
