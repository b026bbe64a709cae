// The nodes that calls of records leave in the graph, and what their gradient formulas see.
#include "op_node.h"

#include <algorithm>
#include <utility>

#include "node_names.h"
#include "pointwise.h"
#include "transform.h"

namespace flambeau {
namespace {

// `save`: the record lists the argument; `read`: a gradient that is wanted reads it.
void save_argument(OpNode& node, int i, const Value& v, bool save, bool read) {
  if (v.tag() == Value::tensor) {
    const Tensor& t = v.as_tensor();
    node.slots.emplace_back(i, 0);
    node.next.push_back(gradient_edge(t));
    node.args[i] = Value::shape_of(t);
    if (save) node.saved.emplace_back(read ? t : Tensor(), false);
  } else if (v.tag() == Value::tensors) {
    const TensorList& list = v.as_tensors();
    for (size_t k = 0; k < list.size(); ++k) {
      node.slots.emplace_back(i, static_cast<int>(k));
      node.next.push_back(list[k].defined() ? gradient_edge(list[k]) : Edge{});
      if (save) node.saved.emplace_back(list[k], false);
    }
    // Shapes side by side: ndim, sizes..., dtype for each item.
    Ints shapes;
    for (const Tensor& t : list) {
      shapes.push_back(t.defined() ? t.dim() : -1);
      if (!t.defined()) continue;
      for (int64_t s : t.sizes()) shapes.push_back(s);
      shapes.push_back(static_cast<int64_t>(t.dtype()));
    }
    node.args[i] = Value(std::move(shapes));
  } else {
    node.args[i] = v;  // a number, or None, keeps its place among the saved
    if (save && node.op->schema.args[i].type == ArgType::tensor) node.saved.emplace_back();
  }
}

Ref<OpNode> make_node(const Op& op, const Value* args, uint64_t read) {
  auto node = Ref<OpNode>::adopt(new OpNode);
  node->op = &op;
  node->args.resize(op.nargs());
  node->next.reserve(2);
  node->slots.reserve(2);
  for (int i = 0; i < op.nargs(); ++i)
    save_argument(*node, i, args[i], op.saved_args >> i & 1, read >> i & 1);
  add_number_edge(*node);
  return node;
}

// Which arguments the gradients that are wanted read.
uint64_t wanted_saves(const Op& op, const Value* args) {
  if (op.pointwise) return pointwise_saves(op, args);
  uint64_t saves = op.saved_args;
  for (const auto& [arg, reader] : op.saved_for)
    if (!args[reader].is_tensor() || !args[reader].as_tensor().requires_grad())
      saves &= ~(uint64_t(1) << arg);
  return saves;
}

bool differentiable(const Tensor& t) { return t.defined() && is_inexact(t.dtype()); }

}  // namespace

Ref<OpNode> make_node(const Op& op, const Value* args) {
  return make_node(op, args, wanted_saves(op, args));
}

Ref<OpNode> make_inplace_node(const Op& op, const Value* args) {
  if (!(wanted_saves(op, args) & 1)) return make_node(op, args);
  Tensor old;  // the gradient reads the value that is overwritten
  {
    NoGrad off;
    old = args[0].as_tensor().clone_raw();
  }
  Ref<OpNode> node = make_node(op, args);
  const Edge& edge = node->next[0];
  if (edge.node) set_history(old, edge.node, edge.input);
  node->saved[0] = SavedTensor(old, false);
  return node;
}

void record_results(const Op& op, const Ref<OpNode>& node, const Value* results) {
  uint32_t number = 0;
  const uint64_t read = op.saved_results && reads_results(*node) ? op.saved_results : 0;
  auto one = [&](const Tensor& t, bool save, bool keep) {
    if (t.defined())
      node->add_result(t);
    else
      node->results.emplace_back();
    if (differentiable(t)) set_history(t, node, number);
    if (save) node->saved.emplace_back(keep ? t : Tensor(), differentiable(t), number);
    ++number;
  };
  for (int r = 0; r < op.nresults(); ++r) {
    bool save = op.saved_results >> r & 1, keep = read >> r & 1;
    if (results[r].tag() == Value::tensors)
      for (const Tensor& t : results[r].as_tensors()) one(t, save, keep);
    else
      one(results[r].as_tensor(), save, keep);
  }
}

void record_inplace(const Op& op, const Ref<OpNode>& node, const Tensor& self,
                    const Value* results) {
  if (op.flags & kView && self->autograd && self->autograd->view) {
    lay_view_anew(self);
    return;
  }
  node->add_result(self);
  rebase_history(self, node);
  const bool keep = op.saved_results && reads_results(*node);
  for (int r = 0; r < op.nresults(); ++r)
    if (op.saved_results >> r & 1)
      node->saved.emplace_back(!keep ? Tensor() : r == 0 ? self : results[r].as_tensor(), true, r);
}

Ref<OpNode> gradient_formula(const Op& op, const Value* args, const TensorList& results) {
  bool hooks = std::exchange(modes().saved_hooks, false);
  Ref<OpNode> node = make_node(op, args, op.saved_args);
  for (Edge& e : node->next) e = Edge{};
  for (size_t r = 0; r < results.size(); ++r) {
    if (results[r].defined())
      node->add_result(results[r]);
    else
      node->results.emplace_back();
  }
  bool list = op.schema.returns_list;
  for (size_t r = 0; r < results.size(); ++r)
    if (op.saved_results >> (list ? 0 : r) & 1) node->saved.emplace_back(results[r], false);
  modes().saved_hooks = hooks;
  return node;
}

std::string OpNode::name() const { return name_of(*this); }

void OpNode::release_saved() {
  for (SavedTensor& s : saved) s.reset();
}

namespace {

// What hooks have unpacked for the nodes that are under way: they are asked once for each tensor.
thread_local std::vector<std::pair<const SavedTensor*, Tensor>> unpacked;

struct UnpackedHere {
  size_t before = unpacked.size();
  ~UnpackedHere() { unpacked.resize(before); }
};

Tensor unpack_once(const SavedTensor& s, Node* node) {
  if (!s.is_packed()) return s.unpack(node);
  for (const auto& [of, tensor] : unpacked)
    if (of == &s) return tensor;
  Tensor tensor = s.unpack(node);
  unpacked.emplace_back(&s, tensor);
  return tensor;
}

// An operator that has no gradient still gives a result that requires one; asking for it is an
// error.
void no_derivative(Backward& b) {
  fail(ErrorKind::runtime, "derivative for ", b.node().op->schema.name, " is not implemented");
}

}  // namespace

TensorList OpNode::apply(TensorList&& gs) {
  UnpackedHere here;
  grads.assign(next.size(), Tensor());
  Backward b(*this, gs);
  bool any = false;
  for (const Tensor& g : gs) any = any || g.defined();
  if (any) (op->backward ? op->backward : no_derivative)(b);
  return std::move(grads);
}

namespace {

int saved_position(const OpNode& n, int arg, int item) {
  int at = 0;
  for (int i = 0; i < arg; ++i) {
    if (!(n.op->saved_args >> i & 1)) continue;
    if (n.op->schema.args[i].type == ArgType::tensors)
      at += static_cast<int>(
          std::count_if(n.slots.begin(), n.slots.end(), [&](auto& s) { return s.first == i; }));
    else
      ++at;
  }
  return at + item;
}

int slot_of(const OpNode& n, int arg, int item) {
  for (size_t s = 0; s < n.slots.size(); ++s)
    if (n.slots[s].first == arg && n.slots[s].second == item) return static_cast<int>(s);
  return -1;
}

int saved_arg_count(const OpNode& n) { return saved_position(n, n.op->nargs(), 0); }

}  // namespace

Tensor Backward::in(int i) const {
  return unpack_once(node_.saved[saved_position(node_, i, 0)], &node_);
}

TensorList Backward::in_list(int i) const {
  TensorList out;
  for (int k = 0; k < count(i); ++k)
    out.push_back(unpack_once(node_.saved[saved_position(node_, i, k)], &node_));
  return out;
}

Tensor Backward::out(int i) const {
  int at = saved_arg_count(node_);
  for (int r = 0; r < i; ++r) at += node_.op->saved_results >> r & 1;
  return unpack_once(node_.saved[at], &node_);
}

const Value& Backward::arg(int i) const { return node_.args[i]; }
bool Backward::has(int i) const { return !node_.args[i].is_none(); }
bool Backward::needs(int i) const { return needs(i, 0); }
bool Backward::needs(int i, int item) const {
  int s = slot_of(node_, i, item);
  return s >= 0 && node_.next[s].node;
}
const Ints& Backward::sizes(int i) const { return node_.args[i].as_ints(); }
DType Backward::dtype(int i) const { return node_.args[i].shape_dtype(); }

int Backward::count(int i) const {
  return static_cast<int>(
      std::count_if(node_.slots.begin(), node_.slots.end(), [&](auto& s) { return s.first == i; }));
}

Ints Backward::sizes(int i, int item) const {
  const Ints& shapes = node_.args[i].as_ints();
  size_t at = 0;
  for (int k = 0; k < item; ++k) at += shapes[at] < 0 ? 1 : static_cast<size_t>(shapes[at]) + 2;
  if (shapes[at] < 0) return {};
  return Ints(IntSpan(shapes.data() + at + 1, static_cast<size_t>(shapes[at])));
}

DType Backward::dtype(int i, int item) const {
  const Ints& shapes = node_.args[i].as_ints();
  size_t at = 0;
  for (int k = 0; k < item; ++k) at += shapes[at] < 0 ? 1 : static_cast<size_t>(shapes[at]) + 2;
  return shapes[at] < 0 ? DType::float32 : static_cast<DType>(shapes[at + 1 + shapes[at]]);
}

void Backward::set(int i, Tensor g) { set(i, 0, std::move(g)); }
void Backward::set(int i, int item, Tensor g) {
  int s = slot_of(node_, i, item);
  if (s >= 0) node_.grads[s] = std::move(g);
}

}  // namespace flambeau
