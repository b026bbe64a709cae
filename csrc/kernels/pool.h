// Pooling over windows.
#pragma once
#include "../dispatch.h"

namespace flambeau {

// input [planes, in...] to out [planes, out...], both contiguous, three spatial dimensions (the
// first ones of size 1 where there are fewer).
struct MaxPoolArgs {
  const void* input;
  void* out;
  int64_t* places;  // flat positions within a plane of the input
  int64_t planes;
  int64_t in[3], size[3], kernel[3], stride[3], padding[3], dilation[3];
  bool is_double;
};
inline Kernel<void(const MaxPoolArgs&)> max_pool_kernel{"max_pool"};

}  // namespace flambeau
