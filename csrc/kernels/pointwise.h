// The interface of the pointwise kernels: which loop, over what, with which numbers.
#pragma once
#include "loop.h"

namespace flambeau {

// What a loop computes in. Other dtypes are converted a run at a time.
enum class Compute : uint8_t { f32, f64, i64, c128, count };

// What a line of pointwise.def may say of its types.
enum PointwiseTypes : int {
  F = 1,
  I = 2,
  C = 4,
  BOOL = 8,
  REAL = 16,
  NOBOOL = 32,
  WIDEBOOL = 64,
  OTHER = 128,
  EITHER = 256,
  BOTH = 512,
  DOUBLE = 1024
};
// A gradient that does not exist, one that is zero, and one that is not written; each reading gives
// NoGradient its meaning.
#define NONE \
  NoGradient {}
#define ZERO \
  NoGradient {}
#define MISSING \
  NoGradient {}
consteval bool named(const char* a, const char* b) {
  while (*a && *a == *b) ++a, ++b;
  return *a == *b;
}

// A number of the schema (alpha, negative_slope) in every form that a loop may want.
struct PointwiseNumber {
  double re = 0, im = 0;
  int64_t i = 0;
};
constexpr int kMaxNumbers = 3;

// y = f(in...), n elements in the compute type; bool results as bytes.
using PointwiseFn = void (*)(const void* const* in, void* out, int64_t n,
                             const PointwiseNumber* numbers);

enum class PointwiseResult : uint8_t { same, boolean, real };

struct PointwiseArgs {
  const Loop* loop;  // operand 0 is the output
  Compute compute;
  PointwiseResult result;
  PointwiseFn fn;
  const PointwiseNumber* numbers;
  bool heavy;  // much arithmetic for an element: split sooner
};
inline Kernel<void(const PointwiseArgs&)> pointwise_kernel{"pointwise"};

enum PointwiseIndex : int {
#define UNARY(name, ...) pointwise_##name,
#define BINARY(name, ...) pointwise_##name,
#define TERNARY(name, ...) pointwise_##name,
#include "../ops/pointwise.def"
#undef UNARY
#undef BINARY
#undef TERNARY
  kPointwiseCount
};

// The loops of one operator: its value and its gradients for each operand (from g, the operands and
// the result, in this order). Null where the types say no.
struct PointwiseLoops {
  PointwiseFn value[static_cast<int>(Compute::count)];
  PointwiseFn gradient[3][static_cast<int>(Compute::count)];
};
inline Kernel<void(PointwiseLoops*)> pointwise_loops_f32{"pointwise"};
inline Kernel<void(PointwiseLoops*)> pointwise_loops_f64{"pointwise"};
inline Kernel<void(PointwiseLoops*)> pointwise_loops_i64{"pointwise"};
inline Kernel<void(PointwiseLoops*)> pointwise_loops_c128{"pointwise"};

}  // namespace flambeau
