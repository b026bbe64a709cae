// What the families made of matrix products share: from tensors to the kernel's arguments.
#pragma once
#include "../kernels/matmul.h"
#include "../packs.h"
#include "shape.h"

namespace flambeau {

// Complains in the name of `op` where there is no product of this type.
GemmType gemm_type(DType t, const char* op);

// c = a b by the strides of the last two dimensions; leading dimensions of c are batches, over
// which a and b have the same sizes (stride 0 where expanded). `x` brings everything else.
void run_gemm(GemmArgs x, const Tensor& a, const Tensor& b, const Tensor& c);

// b [k, n] packed for products of type `t`, kept while it stands still (see packs.h); null where
// it is not. b is of type t, or float32 under autocast.
Ref<Storage> kept_columns(const Tensor& b, DType t);

// The conjugate transpose of the last two dimensions, recorded.
Tensor adjoint(const Tensor& t);

}  // namespace flambeau
