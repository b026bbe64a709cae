// The interface of the reductions: x is read as [outer, n, inner], the result is [outer, inner].
#pragma once
#include "pointwise.h"

namespace flambeau {

enum class Reduction : uint8_t {
  sum,
  prod,
  max,
  min,
  any,
  all,
  sum_squares,
  sum_abs,
  sum_numbers,  // what is no NaN
  count_nonzero
};

struct ReduceArgs {
  Reduction kind;
  Compute compute;  // float32 sums are carried in float32 over short blocks, across them in double
  DType dtype;  // of x
  const char* x;  // contiguous, or rows (inner is 1) that are not: see below
  void* out;  // contiguous, of the compute type
  int64_t outer, n, inner;
  const double* center;  // subtracted first when not null: [outer, inner] (sum_squares only)
  int64_t pitch = 0, step = 1;  // in elements, from row to row and within one; pitch 0: contiguous
};
inline Kernel<void(const ReduceArgs&)> reduce_kernel{"reduce"};

// The first position of the greatest (least) element of each row, NaN before all.
struct ArgReduceArgs {
  bool max;
  Compute compute;
  DType dtype;
  const char* x;  // [outer, n], contiguous
  int64_t* index;
  void* value;  // in the compute type, or null
  int64_t outer, n;
};
inline Kernel<void(const ArgReduceArgs&)> arg_reduce_kernel{"argmax"};

enum class Scan : uint8_t { sum, prod, logsumexp };
struct ScanArgs {
  Scan kind;
  Compute compute;
  const void* x;  // [outer, n, inner] in the compute type
  void* out;
  int64_t outer, n, inner;
};
inline Kernel<void(const ScanArgs&)> scan_kernel{"cumsum"};

}  // namespace flambeau
