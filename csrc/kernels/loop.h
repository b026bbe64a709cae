// What a strided kernel is given: sizes, and each operand's pointer, byte strides and dtype.
#pragma once
#include "../dispatch.h"
#include "dtype.h"

namespace flambeau {

constexpr int kMaxDims = 64;
constexpr int kMaxOperands = 6;

struct LoopOperand {
  char* data;
  DType dtype;
  bool contiguous;  // in the loop's order
  bool constant;    // every stride is 0
  int64_t strides[kMaxDims];  // bytes; [0] is the innermost dimension
};

struct Loop {
  int ndim = 0;     // at least 1
  int noperands = 0;
  int64_t numel = 0;
  int64_t sizes[kMaxDims];  // [0] is the innermost
  LoopOperand operands[kMaxOperands];
};

// operand 0 = operand 1, converted.
inline Kernel<void(const Loop&)> copy_kernel{"copy"};
// operand 0 = a value of its dtype.
inline Kernel<void(const Loop&, const void*)> fill_kernel{"fill"};

}  // namespace flambeau
