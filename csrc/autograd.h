// The graph of gradients: nodes, edges, saved tensors, modes, and the engine that walks it.
#pragma once
#include <functional>
#include <memory>

#include "value.h"

namespace flambeau {

struct Op;
struct Node;
using NodeRef = Ref<Node>;

struct Edge {
  NodeRef node;
  uint32_t input = 0;  // which of the node's outgoing-forward results it is the gradient of
};

// Python callables on a node or tensor; the binding implements it. Ordered by registration.
struct TensorHook {
  virtual ~TensorHook() = default;
  virtual Tensor operator()(const Tensor& grad) = 0;  // undefined: unchanged
};
struct NodePreHook {
  virtual ~NodePreHook() = default;
  virtual void operator()(TensorList& grad_outputs) = 0;
};
struct NodePostHook {
  virtual ~NodePostHook() = default;
  virtual void operator()(TensorList& grad_inputs, const TensorList& grad_outputs) = 0;
};

struct NodeHooks {
  // (result number, hook): run on the gradient of that result before the node.
  std::vector<std::pair<uint32_t, std::shared_ptr<TensorHook>>> tensor_hooks;
  std::vector<std::shared_ptr<NodePreHook>> pre;
  std::vector<std::shared_ptr<NodePostHook>> post;
  // retain_grad(): where the gradient of result i is kept (weakly: the tensor owns this node).
  std::vector<std::pair<uint32_t, TensorImpl*>> retained;
};

// Shape of a forward result, to check and to fill in missing gradients.
struct ResultMeta {
  Ints sizes;
  DType dtype = DType::float32;
  Device device;
};

struct Node {
  uint32_t refs = 1;
  uint64_t sequence;                // order of creation: later nodes run first
  std::vector<Edge> next;           // where the gradients of the arguments go
  std::vector<ResultMeta> results;  // of the forward
  std::unique_ptr<NodeHooks> hooks;
  void* pyobj = nullptr;            // borrowed: the Python object, if one lives
  void* metadata = nullptr;         // owned by the binding: Node.metadata, forward traceback
  bool released = false;            // saved tensors are gone

  Node();
  virtual ~Node();
  // Gradients of the results in, gradients of the arguments (one per `next`) out.
  virtual TensorList apply(TensorList&& grads) = 0;
  virtual std::string name() const = 0;
  virtual void release_saved() {}
  virtual bool needs_zero_grads() const { return false; }  // undefined gradients are filled with zeros
  void destroy();  // without recursion, however long the chain
  bool wants(size_t i) const { return i < next.size() && next[i].node; }
  NodeHooks& ensure_hooks() {
    if (!hooks) hooks = std::make_unique<NodeHooks>();
    return *hooks;
  }
  void add_result(const Tensor& t) { results.push_back({t.sizes(), t.dtype(), t.device()}); }
};

// A tensor kept for the backward pass. Results of the node that keeps them are held without their
// grad_fn (which would be a cycle) and given it back when unpacked.
struct SavedHooks {  // autograd.graph.saved_tensors_hooks; the binding implements it
  virtual ~SavedHooks() = default;
  virtual std::shared_ptr<void> pack(const Tensor& t) = 0;
  virtual Tensor unpack(const std::shared_ptr<void>& packed) = 0;
};
class SavedTensor {
 public:
  SavedTensor() = default;
  SavedTensor(const Tensor& t, bool is_result, uint32_t result_number = 0);
  // Throws when the tensor was written since, or was freed.
  Tensor unpack(Node* owner) const;
  bool defined() const { return tensor_.defined() || packed_; }
  void reset();

 private:
  Tensor tensor_;
  std::shared_ptr<void> packed_;
  std::shared_ptr<SavedHooks> hooks_;
  uint32_t version_ = 0, result_ = 0;
  bool is_result_ = false;
};

// The node of an operator call.
struct OpNode final : Node {
  const Op* op;
  std::vector<Value> args;               // non-tensors; shape_of() for tensors not saved
  std::vector<SavedTensor> saved;        // in the order of the schema's saved arguments, items of
                                         // lists side by side, then the saved results
  std::vector<std::pair<int, int>> slots;  // (argument, item): which edge belongs to which argument
  TensorList grads;                      // gathered during apply, one per edge
  std::string name() const override;
  TensorList apply(TensorList&& grads) override;
  void release_saved() override;
};

// Where a gradient reaches a leaf.
struct AccumulateGrad final : Node {
  TensorImpl* variable;  // the leaf holds this node weakly; the node keeps the leaf alive
  Tensor owner;
  explicit AccumulateGrad(const Tensor& t);
  ~AccumulateGrad() override;
  TensorList apply(TensorList&& grads) override;
  std::string name() const override { return "torch::autograd::AccumulateGrad"; }
};

// What makes y a differentiable view of base: in-place writes to either reach both histories.
struct ViewInfo {
  Tensor base;                // never a view itself
  uint32_t version = 0;       // base's version when y's grad_fn was made
  bool multi_output = false;  // from split, unbind: in-place writes are refused
};

struct AutogradMeta {
  bool requires_grad = false;  // asked for on a leaf
  bool retains_grad = false;
  Tensor grad;
  NodeRef grad_fn;
  uint32_t result_number = 0;
  Node* accumulator = nullptr;  // weak: the AccumulateGrad of a leaf, while the graph holds it
  std::unique_ptr<ViewInfo> view;
  std::vector<std::shared_ptr<TensorHook>> hooks;  // of a leaf
  std::vector<std::shared_ptr<TensorHook>> post_accumulate;
  void* extra = nullptr;
};

AutogradMeta& autograd_meta(const Tensor& t);  // made when absent
NodeRef grad_fn(const Tensor& t);              // brought up to date for views; null for leaves
Edge gradient_edge(const Tensor& t);           // grad_fn or the leaf's accumulator; null node: none
void set_history(const Tensor& t, NodeRef node, uint32_t result_number = 0);
// After an in-place write by `node` (whose first edge belongs to t's old value): t, and when t is a
// view its base, get their new grad_fn.
void rebase_history(const Tensor& t, NodeRef node);
void check_inplace(const Tensor& t, bool records, const char* op);  // leaf, view of leaf, inference
void make_view_of(const Tensor& view, const Tensor& base, bool multi_output = false);

struct Modes {
  bool grad = true;
  bool inference = false;
  bool anomaly = false, anomaly_check_nan = true;
};
Modes& modes();  // of this thread
struct NoGrad {
  bool before;
  NoGrad() : before(modes().grad) { modes().grad = false; }
  ~NoGrad() { modes().grad = before; }
};
struct GradMode {
  bool before;
  explicit GradMode(bool on) : before(modes().grad) { modes().grad = on; }
  ~GradMode() { modes().grad = before; }
};

// Walks the graph from roots. Without `inputs`, gradients are accumulated in the leaves' grad; with
// them and `accumulate` false, they are returned (undefined where unused).
TensorList run_backward(const TensorList& roots, const TensorList& grads, bool retain_graph,
                        bool create_graph, const TensorList& inputs, bool accumulate,
                        bool allow_unused);

}  // namespace flambeau
