// The cross entropy of logits and class numbers.
#pragma once
#include "../dispatch.h"

namespace flambeau {

// x is [outer, classes, inner], contiguous, target [outer, inner]. With t the target's share of
// every class, ((1 - smoothing) w[target] at the target + smoothing / classes w[c] at all):
// the loss of a place is sum(t) lse - sum(t x), and its gradient g (sum(t) softmax(x) - t).
struct CrossEntropyArgs {
  const void* x;
  const int64_t* target;
  const void* weight;  // [classes], or null
  double smoothing;
  int64_t ignored, outer, classes, inner;
  // [2, outer, inner]: the largest logit, and the logarithm of the sum of exponentials of what is
  // left of each. Not their sum: far from zero its last digit is worth more than the second.
  void* normalizer;
  void* loss;  // forward: [outer, inner], 0 where the target is ignored
  void* share;  // forward: [outer, inner], the weight of the target
  const void* g;  // backward: [outer, inner], or one number for all
  bool one_g;
  void* dx;  // backward
  int64_t* bad;  // forward: where a target is no class number
  bool f64;
  bool log_probs;  // x holds logarithms of probabilities: nothing is normalized
};
inline Kernel<void(const CrossEntropyArgs&)> cross_entropy_kernel{"cross_entropy"};

}  // namespace flambeau
