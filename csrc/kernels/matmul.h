// Matrix products: what operators hand to the kernel.
#pragma once
#include "finish.h"

namespace flambeau {

enum class GemmType : uint8_t { f32, f64, f16, bf16, c64, c128, u8, i8, i16, i32, i64 };

// C = alpha A B + beta C + bias, then `finish`, for every pair of batch indices.
// Strides count elements and may be anything, 0 in A and B too; batches of C do not overlap.
struct GemmArgs {
  GemmType type = GemmType::f32;
  int64_t m = 0, n = 0, k = 0;
  const void *a = nullptr, *b = nullptr;
  void* c = nullptr;
  int64_t a_row = 0, a_col = 1;  // A[i][k]
  int64_t b_row = 0, b_col = 1;  // B[k][j]
  int64_t c_row = 0, c_col = 1;  // C[i][j]
  int64_t batch[2] = {1, 1};
  int64_t a_batch[2] = {0, 0}, b_batch[2] = {0, 0}, c_batch[2] = {0, 0};
  double alpha = 1, beta = 0;         // beta = 0: C is not read; integers see them truncated
  double alpha_im = 0, beta_im = 0;   // of complex products
  const void* bias = nullptr;  // n numbers added to each row (m, to each column: bias_rows)
  int64_t bias_stride = 1;
  bool bias_rows = false;
  const Finish* finish = nullptr;  // of one float product whose C is dense
  const void* packed_b = nullptr;  // B as gemm_pack_kernel left it; b is not read then
};

inline Kernel<void(const GemmArgs&)> gemm_kernel{"matmul"};

// Packs B once for many products of `type`. b is of that type, or float32 that is to be rounded.
struct GemmPackArgs {
  GemmType type, from;
  int64_t k, n;
  const void* b;
  int64_t b_row, b_col;
  int64_t* bytes;  // set to the size of the pack, 0: products of this kind do not take packs
  void* out;       // null where only the size is asked for
};
inline Kernel<void(const GemmPackArgs&)> gemm_pack_kernel{"matmul"};

}  // namespace flambeau
