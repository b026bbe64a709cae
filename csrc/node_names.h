// What nodes are called, show and keep, and composites whose nodes show as one.
#pragma once
#include "op.h"

namespace flambeau {

// In Op::flags: a composite that has a name for its node.
inline constexpr uint32_t kNamedComposite = 1u << 30;

// PyTorch's name for the node of a call, which may depend on what the operator was called with.
std::string name_of(const OpNode& node);

// "nn.functional.log_softmax" -> "LogSoftmax", "special.i0e" -> "SpecialI0E"
std::string camel_case(const std::string& full);

// Number of the next node.
uint64_t node_count();

// The node of `result` stands for all nodes since number `since`: it is called `name`, and they are
// hidden in what Node.next_functions shows. Without effect on a result that is older.
void name_composite(const Tensor& result, const std::string& name, uint64_t since);

// Where the gradients of the node's operator go: past the hidden nodes of a composite.
std::vector<Edge> shown_edges(const Node& node);

// A number that PyTorch makes a tensor has an edge that leads nowhere.
void add_number_edge(OpNode& node);

// Whether a gradient that is wanted reads the results that the record lists.
bool reads_results(const OpNode& node);

}  // namespace flambeau
