// The interface of batch and layer normalization: x is [outer, channels, inner], or [rows, n].
#pragma once
#include "pointwise.h"

namespace flambeau {

struct NormArgs {
  bool f64;
  double eps;
  int64_t outer, channels, inner;  // layer normalization: rows, n, 1
  const void* x;
  const void* g;       // null in the forward pass
  const void* weight;  // or null
  const void* bias;    // or null
  void* out;           // the result, or the gradient of x
  void *mean, *var;    // of each channel or row: written forward, read backward
  void *dweight, *dbias;
  void* partial;  // backward of layer normalization: 2 n sums for each block of `grain` rows
  int64_t grain;  // rows in a block of layer normalization
};
inline Kernel<void(const NormArgs&)> batch_norm_kernel{"batch_norm"};
inline Kernel<void(const NormArgs&)> layer_norm_kernel{"layer_norm"};

}  // namespace flambeau
