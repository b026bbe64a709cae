// Connectionist temporal classification (Graves et al., 2006).
#pragma once
#include "../dispatch.h"

namespace flambeau {

// log_probs is [times, batch, classes], labels [batch, longest]; all contiguous.
struct CtcArgs {
  const void* log_probs;
  const int64_t *labels, *input_lengths, *target_lengths;
  int64_t times, batch, classes, longest, blank;
  int64_t width;  // of a row of alpha: at least 2 * longest + 5
  void* alpha;    // [batch, times, width]: two that are impossible, then the states
  void* loss;     // [batch]
  const void* g;  // [batch], or null in the forward pass
  void* grad;     // [times, batch, classes]
  bool zero_infinity, f64;
};
inline Kernel<void(const CtcArgs&)> ctc_kernel{"ctc"};

}  // namespace flambeau
