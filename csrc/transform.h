// Function transforms at the operator's entry: examples of a batch (vmap) and dual numbers (forward
// mode). A tensor may be an example of several batches and a number with several derivatives: the
// batches lie outside, the dual numbers inside, plain tensors with their graph innermost.
#pragma once
#include <atomic>

#include "op.h"

namespace flambeau {

// The derivative that a view has from its base, which was written since by a dual number.
const Transformed* transformed_by_base(const Tensor& view);
inline const Transformed* transformed_of(const Tensor& t) {
  const AutogradMeta* m = t->autograd;
  if (!m || m->transformed || !m->view) return m ? m->transformed.get() : nullptr;
  return transformed_by_base(t);
}
inline bool is_transformed(const Tensor& t) { return t.defined() && transformed_of(t); }
inline const Transformed* batch_of(const Tensor& t) {
  const Transformed* x = transformed_of(t);
  return x && x->batch ? x : nullptr;
}
inline const Transformed* dual_of(const Tensor& t) {
  const Transformed* x = transformed_of(t);
  return x && !x->batch ? x : nullptr;
}

// Tensors that are examples, in all threads. Those that outlive their vmap keep the level open.
extern std::atomic<int64_t> live_examples;
// One example of `value`, which has size(dim) of them. Shows the memory of the first.
Tensor make_batch(const Tensor& value, int64_t dim, int level);
// primal + epsilon * tangent; neither is an example of a batch.
Tensor make_dual(const Tensor& primal, const Tensor& tangent, int level);
Tensor primal_of(const Tensor& t, int level);  // t itself where it has no derivative
Tensor tangent_of(const Tensor& t, int level);  // undefined: zero

// Called while a level is open; false: the call is an ordinary one.
bool transformed_call(const Op& op, Value* args, Value* results);
bool transformed_inplace(const Op& op, Value* args);
bool transformed_out(const Op& op, Value* args, Value* outs);

// A node's gradients, one example after another.
TensorList apply_to_examples(Node& node, TensorList&& grads);
// Errors for what reads the elements of an example.
inline constexpr const char* kCallsItem =
    "calling .item() on a Tensor. We don't support vmap over calling .item() on a Tensor, please "
    "try to rewrite what you're doing with other operations.";
inline constexpr const char* kReads =
    "reading the elements of a Tensor. We don't support that: an example's numbers are not known.";
inline constexpr const char* kBranches =
    "attempting to use a Tensor in some data-dependent control flow. We don't support that yet: "
    "use torch.where or other operations instead.";
void check_readable(const Tensor& t, const char* what);

// What the binding does: the batching rules, and what goes to a __torch_dispatch__. False: not
// handled.
struct TransformBinding {
  bool (*batched)(const Op& op, Value* args, Value* results, bool inplace) = nullptr;
  bool (*dispatch)(const Op& op, Value* args, Value* results, bool inplace) = nullptr;
  bool (*dispatches)(const Tensor& t) = nullptr;  // whether its class has a __torch_dispatch__
};
extern TransformBinding transform_binding;
// Objects of classes with a __torch_dispatch__ were made: their memory says nothing.
inline bool dispatching_classes = false;
inline bool is_dispatching(const Tensor& t) {
  return dispatching_classes && transform_binding.dispatches(t);
}

// Whether calls pass derivatives of forward mode on; of this thread.
extern thread_local bool forward_enabled;

// engine.cpp
void conform(Tensor& g, const ResultMeta& want, const Node& from, size_t i);

}  // namespace flambeau
