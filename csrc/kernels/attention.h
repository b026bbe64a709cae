// The interface of attention: no matrix of queries by keys is kept.
#pragma once
#include "../dispatch.h"

namespace flambeau {

// [batch, heads, length, width] of any strides but the last, which is 1; counted in numbers.
struct HeadsArg {
  void* data = nullptr;
  int64_t batch = 0, head = 0, row = 0;
};

struct AttentionArgs {
  bool f64, causal;
  double scale;
  int64_t batch, heads, queries, keys, width, value_width;
  HeadsArg q, k, v, out;
  const void* mask = nullptr;  // added to the scores; strides for batch, head, query and key
  int64_t mask_step[4] = {0, 0, 0, 0};
  void* logsum;  // [batch, heads, queries]: logarithm of the sum of exponentials of the scores
  HeadsArg g, dq, dk, dv;  // the backward pass: out's gradient, and what is written
};
inline Kernel<void(const AttentionArgs&)> attention_kernel{"attention"};
// The same of bfloat16, the mask float32. Where `fits` is not null, nothing is computed: set to
// whether this processor multiplies pairs and heads are no wider than that takes.
inline Kernel<void(const AttentionArgs&, bool* fits)> attention_pairs_kernel{"attention"};
inline Kernel<void(const AttentionArgs&)> attention_backward_kernel{"attention's gradient"};

}  // namespace flambeau
