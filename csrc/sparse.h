// Sparse tensors, seen from the core: the elements belong to the Python object (flambeau.sparse);
// the impl has their shape and layout over one zero. They meet the core as gradients only.
#pragma once
#include "tensor.h"

namespace flambeau {

struct SparseBinding {
  // sum + g, where either may be sparse; sum undefined: g as a gradient of its own. `in_place`
  // writes into a dense sum.
  Tensor (*add)(const Tensor& sum, const Tensor& g, bool in_place) = nullptr;
  Tensor (*to_dense)(const Tensor& t) = nullptr;
  // The gradient of a table of `rows` of which `indices` were taken; those equal to `padding` are
  // left out.
  Tensor (*from_rows)(const Tensor& values, const Tensor& indices, int64_t rows,
                      int64_t padding) = nullptr;
};
extern SparseBinding sparse_binding;

inline bool is_sparse(const Tensor& t) { return t.defined() && t->layout != Layout::strided; }

}  // namespace flambeau
