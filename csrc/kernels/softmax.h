// The interface of softmax and its logarithm: x is [outer, n, inner].
#pragma once
#include "pointwise.h"

namespace flambeau {

struct SoftmaxArgs {
  bool logarithm, f64;
  const void* x;  // in the backward pass: the result y
  const void* g;  // null in the forward pass
  void* out;
  int64_t outer, n, inner;
};
inline Kernel<void(const SoftmaxArgs&)> softmax_kernel{"softmax"};

}  // namespace flambeau
