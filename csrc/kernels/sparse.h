// Kernels of sparse matrices in compressed rows.
#pragma once
#include "../dispatch.h"
#include "dtype.h"

namespace flambeau {

// The values begin[r] .. begin[r + 1] of row r stand in the columns `column`. Positions out of
// range are left out and noted in *bad.
struct CompressedArgs {
  const int64_t* begin;  // [rows + 1]
  const int64_t* column;  // [count]
  int64_t rows, columns, count, width;
  DType dtype;  // float32 or float64, of all that follow
  const void* values;  // [count]
  const void* left;    // [rows, width]
  const void* right;   // [columns, width]
  void* out;
  int64_t* bad;
};
inline Kernel<void(const CompressedArgs&)> compressed_product_kernel{"sparse.mm"};  // [rows, width]
// The products of left and right at the positions alone: [count].
inline Kernel<void(const CompressedArgs&)> compressed_sample_kernel{"sparse.sampled_addmm"};

}  // namespace flambeau
