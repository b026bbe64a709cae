// Kernels that fill tensors by position.
#pragma once
#include "../dispatch.h"
#include "dtype.h"

namespace flambeau {

// dst[i] = first + i * step; past `half`, last - (n - 1 - i) * step, so that both ends are exact.
// Integers count in integers where `integral`, else the real values are truncated.
struct SequenceArgs {
  void* dst;
  DType dtype;
  int64_t n, half;
  double first, last, step;
  int64_t first_int, step_int;
  bool integral;
  bool powers;  // base ** value
  double base;
};
inline Kernel<void(const SequenceArgs&)> sequence_kernel{"arange"};

// Zeros outside a triangle of each [rows, columns] matrix.
struct TriangleArgs {
  char* dst;
  const char* src;
  int64_t matrices, rows, columns, diagonal, item;
  bool upper;
};
inline Kernel<void(const TriangleArgs&)> triangle_kernel{"tril"};

}  // namespace flambeau
