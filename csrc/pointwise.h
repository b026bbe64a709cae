// The pointwise kind: what a line of pointwise.def becomes, and how such an operator runs.
#pragma once
#include "kernels/pointwise.h"
#include "op.h"

namespace flambeau {

enum PointwiseReads : uint32_t { kReadsG = 1, kReadsX = 2, kReadsZ = 4, kReadsU = 8, kReadsY = 16 };

struct PointwiseOp {
  const char* name;
  int index;     // PointwiseIndex
  int operands;  // 1 to 3; the schema's arguments after them are numbers:
  int numbers;
  int types;
  uint32_t reads[3];  // PointwiseReads of each gradient
  bool differentiable, zero[3];
  // The gradient for operand k as recorded operators; of g, operands and result.
  Tensor (*expression)(int k, const Tensor& g, const Tensor* in, const Tensor& y,
                       const double* numbers);
  bool (*is_identity)(int k, const double* numbers);  // the gradient is g itself
};

// What a loop over dtype t computes in, and the dtype that is as such in memory.
inline Compute compute_of(DType t) {
  if (is_complex(t)) return Compute::c128;
  if (t == DType::float64) return Compute::f64;
  return is_floating(t) ? Compute::f32 : Compute::i64;
}
inline DType memory_of(Compute c) {
  switch (c) {
    case Compute::f32: return DType::float32;
    case Compute::f64: return DType::float64;
    case Compute::i64: return DType::int64;
    default: return DType::complex128;
  }
}

void pointwise_forward(const PointwiseOp& op, Value* args, Value* results);
// What one operand or a sum of two alike gives may be noted to follow a product: fused.h.
bool pointwise_fuse(const Op& op, Value* args, Value* results);
void pointwise_backward(const PointwiseOp& op, Backward& b);
// Which arguments the gradients that are wanted read: a subset of Op::saved_args.
uint64_t pointwise_saves(const Op& op, const Value* args);

// g summed to the shape of a broadcast operand, in its dtype.
Tensor reduce_gradient(const Tensor& g, const Ints& sizes, DType dtype);
// The dtype that operands combine to: tensors with dimensions first, then 0-d ones, then numbers.
DType result_type(const Value* args, int n);

}  // namespace flambeau
