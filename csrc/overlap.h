// Memory that a write and a read share in part.
#pragma once

#include "tensor.h"

namespace flambeau {

// Refuses to write `out` while `in` is read from some, but not exactly the same, of its memory.
void check_no_partial_overlap(const Tensor& out, const Tensor& in, const char* op);

}  // namespace flambeau
