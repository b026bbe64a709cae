// The interface of normalizations: x is [outer, channels, inner], or [rows, n].
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
  bool fixed;     // batch normalization by the given mean and variance
  bool centered;  // layer normalization: false for the root mean square, which is then `var`
  // x, g and out are of this narrower type, the rest is float32: batch normalization by given
  // statistics, forward (bfloat16 alone), and layer normalization.
  enum Half : uint8_t { none, bf16, f16 } half;
};
inline Kernel<void(const NormArgs&)> batch_norm_kernel{"batch_norm"};
inline Kernel<void(const NormArgs&)> layer_norm_kernel{"layer_norm"};

// Group normalization: x is [outer, groups, channels of a group, inner].
struct GroupNormArgs {
  bool f64;
  double eps;
  int64_t outer, groups, channels, inner;
  const void* x;
  const void* g;       // null in the forward pass
  const void* weight;  // [groups * channels], or null
  const void* bias;    // the same
  void* out;           // the result, or the gradient of x
  void *mean, *var;    // [outer, groups]: written forward, read backward
  void *dweight, *dbias;  // [outer, groups * channels], to be summed
};
inline Kernel<void(const GroupNormArgs&)> group_norm_kernel{"group_norm"};

}  // namespace flambeau
