// A convolution or linear layer and the operators that follow it, run as one: batch normalization
// by fixed statistics, activations, the sum with a residual.
//
// Nothing is compiled and nothing need be told. What followed the product with a weight is counted,
// and at the next one its result is left to be computed: the operators that follow are noted, and
// with the last of them all run as one pass, each block being finished while it is in the caches.
// Whatever else comes first (another operator, a look at the memory) has what was noted computed
// before it goes on, so that nobody can tell but by the clock: every operator gives the bits that
// it gives alone, and results that somebody still holds in the middle are written too.
#pragma once
#include <functional>

#include "kernels/finish.h"
#include "op.h"

namespace flambeau {

// Writes the product to `out`, then finished by `finish` where that is not null.
using ProductFn =
    std::function<void(const TensorList& reads, const Tensor& out, const Finish* finish)>;

// From the `fuse` of a product's record. reads: what the product reads, the input of the result's
// dtype (float32 or bfloat16), then the weight. `rows`: a run of the result is one channel
// (dimension 1), so that normalization may follow.
bool begin_fused(const Op& op, Value* args, Value* results, const TensorList& reads,
                 const Ints& sizes, bool rows, ProductFn product);

// From the `fuse` of what may follow: a step on x that reads other tensors, too.
bool extend_fused(const Tensor& x, const FinishStep& step, const TensorList& reads, Value* results);

// The last product that was computed, with all that was noted: what follows it next time.
struct FusedSeen {
  Storage* weight = nullptr;
  const Storage* result = nullptr;
};
inline FusedSeen fused_seen;
// A storage is gone.
inline void forget_fused(const Storage* s) {
  if (s == fused_seen.weight || s == fused_seen.result) [[unlikely]]
    fused_seen = {};
}

}  // namespace flambeau
