// What follows a product or a convolution and is done to each block while it is in the caches.
#pragma once
#include "pointwise.h"

namespace flambeau {

struct FinishStep {
  enum Kind : uint8_t { norm, pointwise, add } kind = pointwise;
  // norm: each channel by a mean and a variance that are given; weight and bias may be null.
  const void *mean = nullptr, *var = nullptr, *weight = nullptr, *bias = nullptr;
  double eps = 0;
  PointwiseFn fn = nullptr;  // pointwise: of one operand
  bool is_relu = false;      // that is all of it
  PointwiseNumber numbers[kMaxNumbers] = {};
  const void* other = nullptr;  // add: as large as the result, laid out alike
};

// In order, over a dense result that starts at `origin`: of floats, or of bfloat16, rounded by each
// step.
struct Finish {
  const FinishStep* steps;
  int count;
  void* origin;
};

// The same as a pass of its own, from src to finish.origin: rows of `length` numbers, row i of
// channel i % channels.
struct FinishArgs {
  Finish finish;
  const void* src;
  int64_t rows, length, channels;
  bool bf16;
};
inline Kernel<void(const FinishArgs&)> finish_kernel{"finish"};

}  // namespace flambeau
