// How a tensor lies in memory for a reduction over some of its dimensions, given as bits.
#pragma once
#include "../tensor.h"

namespace flambeau {

// x as [outer, n, inner] in memory: itself where the reduced dimensions lie side by side, else a
// copy with them last.
struct Folded {
  Tensor x;
  int64_t outer = 1, n = 1, inner = 1;
  int64_t pitch = 0, step = 1;  // of rows that are not contiguous
};
// `apart`: whether the kernel may be given numbers that do not lie side by side.
Folded fold_dims(const Tensor& x, uint64_t bits, bool apart);

// The last dimensions that are reduced and lie side by side, of those that are reduced at all.
uint64_t last_group(const Tensor& x, uint64_t bits);

// Whether all that are reduced lie side by side.
bool lie_together(const Tensor& x, uint64_t bits);

// Dense x with its dimensions in the order of its memory, the bits with them, where those that stay
// are in order; else x as it is. A sum does not ask in which order its terms come.
Tensor in_memory_order(const Tensor& x, uint64_t& bits);

}  // namespace flambeau
