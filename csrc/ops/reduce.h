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

}  // namespace flambeau
