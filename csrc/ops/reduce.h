// What reductions and running sums share: the types of their results.
#pragma once
#include "../kernels/reduce.h"
#include "../pointwise.h"

namespace flambeau {

using MaybeType = std::optional<DType>;

inline DType sum_type(const Tensor& x, const MaybeType& dtype) {
  if (dtype) return *dtype;
  return is_inexact(x.dtype()) ? x.dtype() : DType::int64;
}

inline Tensor in_type(const Tensor& g, DType t) {
  static const OpCall to("to");
  return g.dtype() == t ? g : to(g, t);
}

// The gradient of a value that all of these elements gave, in equal shares.
Tensor shared_gradient(const Tensor& g, const Tensor& x, const Tensor& value);

// A reduction without history, over all dimensions when `dims` is empty or not there; x is read as
// `in` on the way.
Tensor reduce_raw(const Tensor& x, Reduction kind, const std::optional<Ints>& dims, bool keepdim,
                  DType in, DType result, const char* op);

}  // namespace flambeau
