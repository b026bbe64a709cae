// Strided iteration: operands of one broadcast shape, dimensions merged and put in memory order.
#pragma once
#include "tensor.h"
#include "kernels/loop.h"

namespace flambeau {

// Gives loop the sizes and strides for these operands, the output first. Every tensor must
// broadcast to `sizes`; dimensions of size 1 are dropped, those that are contiguous in all operands
// merged.
void build_loop(Loop& loop, IntSpan sizes, std::initializer_list<const Tensor*> operands);
void build_loop(Loop& loop, IntSpan sizes, const Tensor* const* operands, int n);

}  // namespace flambeau
