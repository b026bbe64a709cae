// What the operators that read and write by index share.
#pragma once
#include "../kernels/index.h"
#include "shape.h"

namespace flambeau {

// An index tensor as contiguous int64.
Tensor plain_index(const Tensor& index, const char* op);
// An IndexError unless every index lies in [low, n). The index is contiguous int64.
void check_bounds(const Tensor& index, int64_t low, int64_t n, const char* op);
// self[.., index, ..] (op)= source, in the order of the indices.
void put_rows(const Tensor& self, int64_t dim, const Tensor& index, const Tensor& source,
              Combine c);
// [count, t.dim()]: where t is not zero, in row-major order.
Tensor nonzero_raw(const Tensor& t);

}  // namespace flambeau
