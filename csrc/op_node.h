// The node that a call of a record leaves in the graph.
#pragma once
#include "op.h"

namespace flambeau {

// Before the forward runs: what the gradients that are wanted read is saved now.
Ref<OpNode> make_node(const Op& op, const Value* args);
// Of a call that writes args[0]: where the gradient reads its old value, a copy is saved.
Ref<OpNode> make_inplace_node(const Op& op, const Value* args);

// After the forward: results get the node as their history, and are saved where the gradient reads
// them.
void record_results(const Op& op, const Ref<OpNode>& node, const Value* results);
void record_inplace(const Op& op, const Ref<OpNode>& node, const Tensor& self,
                    const Value* results);

// The gradient formula as a linear map of its own: nothing leads on from it, it saves all that its
// record lists, and results keep their history.
Ref<OpNode> gradient_formula(const Op& op, const Value* args, const TensorList& results);

}  // namespace flambeau
