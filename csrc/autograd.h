// The graph of gradients: nodes, edges, saved tensors, modes, and the engine that walks it.
#pragma once
#include <functional>
#include <memory>

#include "small.h"
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

struct AutogradMeta;

struct NodeHooks {
  // (result number, hook): run on the gradient of that result before the node.
  std::vector<std::pair<uint32_t, std::shared_ptr<TensorHook>>> tensor_hooks;
  std::vector<std::shared_ptr<NodePreHook>> pre;
  std::vector<std::shared_ptr<NodePostHook>> post;
  // retain_grad(): whose `grad` takes the gradient of result i (weak: the tensor owns this node).
  std::vector<std::pair<uint32_t, AutogradMeta*>> retained;
};

// Shape of a forward result, to check and to fill in missing gradients.
struct ResultMeta {
  Ints sizes;
  DType dtype = DType::float32;
  Device device;
};

struct WalkState;  // engine.cpp

struct Node {
  uint32_t refs = 1;
  bool released = false;  // saved tensors are gone
  bool accumulates = false;  // an AccumulateGrad
  uint64_t sequence;  // order of creation: later nodes run first
  Small<Edge, 2> next;  // where the gradients of the arguments go
  Small<ResultMeta, 1> results;  // of the forward
  std::unique_ptr<NodeHooks> hooks;
  WalkState* state = nullptr;  // of the engine's walk that visits the node now
  void* pyobj = nullptr;  // borrowed: the Python object, if one lives
  void* metadata = nullptr;  // owned by the binding: Node.metadata, forward traceback

  Node();
  virtual ~Node();
  Node(const Node&) = delete;
  // Gradients of the results in, gradients of the arguments (one per `next`) out.
  virtual TensorList apply(TensorList&& grads) = 0;
  virtual std::string name() const = 0;
  virtual void release_saved() {}
  void destroy();  // without recursion, however long the chain
  bool wants(size_t i) const { return i < next.size() && next[i].node; }
  NodeHooks& ensure_hooks() {
    if (!hooks) hooks = std::make_unique<NodeHooks>();
    return *hooks;
  }
  void add_result(const Tensor& t) {
    results.push_back(ResultMeta{t.sizes(), t.dtype(), t.device()});
  }
};

// What the binding does about nodes: forward tracebacks for anomaly mode, Python-owned metadata.
struct NodeBinding {
  void (*created)(Node& node) = nullptr;  // in anomaly mode
  void (*failed)(Node& node) = nullptr;  // prints the forward's traceback
  void (*free_metadata)(void* metadata) = nullptr;
};
extern NodeBinding node_binding;

struct Modes {
  bool grad = true;
  bool inference = false;
  bool anomaly = false, anomaly_check_nan = true;
  bool saved_hooks = false;  // saved_hooks() is not empty
  bool in_backward = false;  // inside of run_backward
  bool dispatch = false;  // a TorchDispatchMode is on
  uint32_t transforms = 0;  // levels of vmap and forward mode that are open
  uint32_t vmaps = 0;  // those of vmap
};
// initial-exec: reached without a call, also from a loaded library.
extern constinit thread_local Modes thread_modes __attribute__((tls_model("initial-exec")));
inline Modes& modes() { return thread_modes; }  // of this thread

// A tensor kept for the backward pass. Results of the node that keeps them are held without their
// grad_fn (which would be a cycle) and given it back when unpacked.
struct SavedHooks {  // autograd.graph.saved_tensors_hooks; the binding implements it
  virtual ~SavedHooks() = default;
  // is_result: of the node that keeps it, which what is packed must not hold.
  virtual std::shared_ptr<void> pack(const Tensor& t, bool is_result) = 0;
  virtual Tensor unpack(const std::shared_ptr<void>& packed) = 0;
};
using SavedHooksRef = std::shared_ptr<SavedHooks>;
std::vector<SavedHooksRef>& saved_hooks();  // of this thread, the innermost last; null: disabled

class SavedTensor {
 public:
  SavedTensor() = default;
  SavedTensor(const Tensor& t, bool is_result, uint32_t result_number = 0);
  // Throws when the tensor was written since, or was freed. With its history where that is asked.
  Tensor unpack(Node* owner, bool history = modes().grad) const;
  bool defined() const { return tensor_.defined() || packed_; }
  const Tensor& held() const { return tensor_; }  // undefined where hooks packed it
  bool is_packed() const { return bool(packed_); }
  void reset() {
    tensor_ = Tensor();
    packed_.reset();
  }
  // Hooks for this tensor alone (Node._raw_saved_*.register_hooks).
  void register_hooks(SavedHooksRef hooks);

 private:
  struct Packed {  // what saved_tensors_hooks made of it
    SavedHooksRef hooks;
    std::shared_ptr<void> value;
    Edge edge;  // the tensor's own history
    Ints sizes;
  };
  void pack(SavedHooksRef hooks, const Tensor& t);
  [[noreturn]] void modified(Node* owner) const;

  Tensor tensor_;
  std::unique_ptr<Packed> packed_;
  uint32_t version_ = 0, result_ = 0;
  bool is_result_ = false, kept_ = false;
};

// The node of an operator call.
struct OpNode final : Node {
  const Op* op;
  Small<Value, 3> args;  // non-tensors; shape_of() for tensors not saved
  Small<SavedTensor, 2> saved;  // in the order of the schema's saved arguments, items of
                                // lists side by side, then the saved results
  Small<std::pair<int, int>, 2> slots;  // (argument, item): which edge belongs to which argument
  TensorList grads;  // gathered during apply, one per edge
  std::string name() const override;
  TensorList apply(TensorList&& grads) override;
  void release_saved() override;
};

// Where a gradient reaches a leaf.
struct AccumulateGrad final : Node {
  Tensor owner;  // the leaf holds this node weakly; the node keeps the leaf alive
  explicit AccumulateGrad(const Tensor& t);
  ~AccumulateGrad() override;
  TensorList apply(TensorList&& grads) override;
  std::string name() const override { return "torch::autograd::AccumulateGrad"; }
};

// How a view was made: recorded in-place writes to it are refused unless it is an ordinary one.
enum class ViewKind : uint8_t {
  normal,
  no_grad,  // in no_grad mode
  inference,  // in inference mode
  function,  // a result of an autograd.Function
  multiple,  // one of several: split, unbind
};

// What makes y a differentiable view of base: in-place writes to either reach both histories.
// Reads like a pointer: false when the tensor is no view.
struct ViewInfo {
  Tensor base;  // never a view itself
  uint32_t version = 0;  // base's version when y's grad_fn was made
  ViewKind kind = ViewKind::normal;
  bool primal = false;  // of a number without its derivative: base's derivative is not its own
  explicit operator bool() const { return base.defined(); }
  ViewInfo* operator->() { return this; }
  const ViewInfo* operator->() const { return this; }
};

// What a function transform made of a tensor (transform.h): an example of a batch, or a number with
// its derivative in forward mode.
struct Transformed {
  bool batch;
  int level;  // inner transforms have higher ones
  int64_t dim;  // of `value`, along which the examples lie
  Tensor value;  // all examples; or the number without its derivative
  Tensor tangent;  // the derivative, of the same shape and dtype
};

struct LeafHooks {
  std::vector<std::shared_ptr<TensorHook>> tensor;  // on the gradient, before it is added
  std::vector<std::shared_ptr<TensorHook>> post_accumulate;  // called with the leaf, after
};

struct AutogradMeta {
  bool requires_grad = false;  // asked for on a leaf
  bool retains_grad = false;
  uint32_t result_number = 0;
  uint32_t version_shift = 0;  // added to its memory's: x.data = y leaves the version of x
  Tensor grad;
  NodeRef grad_fn;
  Node* accumulator = nullptr;  // weak: the AccumulateGrad of a leaf, while the graph holds it
  ViewInfo view;
  std::unique_ptr<LeafHooks> hooks;
  std::unique_ptr<Transformed> transformed;
  AutogradMeta() = default;
  AutogradMeta(const AutogradMeta&) = delete;
  ~AutogradMeta();
  LeafHooks& ensure_hooks() {
    if (!hooks) hooks = std::make_unique<LeafHooks>();
    return *hooks;
  }
};

AutogradMeta& autograd_meta(const Tensor& t);  // made when absent
NodeRef grad_fn(const Tensor& t);  // brought up to date for views; null for leaves
Edge gradient_edge(const Tensor& t);  // grad_fn or the leaf's accumulator; null node: none
// Makes t result `result_number` of node; the node's `results` have it already or get it here.
void set_history(const Tensor& t, NodeRef node, uint32_t result_number = 0);
// After an in-place write by `node` (whose first edge belongs to t's old value): t, and when t is a
// view its base, get their new grad_fn.
void rebase_history(const Tensor& t, NodeRef node, uint32_t result_number = 0);
// After unsqueeze_ and its like on a view: no value was written, t is another part of its base.
void lay_view_anew(const Tensor& t);
void check_inplace(const Tensor& t, bool records, const char* op);  // leaf, view of leaf, inference
void make_view_of(const Tensor& view, const Tensor& base, ViewKind kind = ViewKind::normal);
void set_requires_grad(const Tensor& t, bool on);  // requires_grad_(), with its checks
void retain_grad(const Tensor& t);
void detach_in_place(const Tensor& t);  // detach_()
uint32_t version_of(const Tensor& t);  // counts the writes to it, in whatever memory it had
void keep_version(const Tensor& t, uint32_t version);  // t was given other memory

struct GradMode {
  bool before;
  explicit GradMode(bool on) : before(modes().grad) { modes().grad = on; }
  ~GradMode() { modes().grad = before; }
  GradMode(const GradMode&) = delete;
};
struct NoGrad : GradMode {
  NoGrad() : GradMode(false) {}
};

// Walks the graph from roots. Without `inputs`, gradients are accumulated in the leaves' grad; with
// them and `accumulate` false, they are returned (undefined where unused).
TensorList run_backward(const TensorList& roots, const TensorList& grads, bool retain_graph,
                        bool create_graph, const TensorList& inputs, bool accumulate,
                        bool allow_unused);
// The same from and to edges of the graph (GradientEdge).
TensorList run_backward(const std::vector<Edge>& roots, TensorList grads, bool retain_graph,
                        bool create_graph, const std::vector<Edge>& inputs, bool accumulate,
                        bool allow_unused);
// Runs f when the walk that is under way ends; an error outside of one.
void queue_callback(std::function<void()> f);
Node* current_node();  // the node that runs now; null outside of a walk

}  // namespace flambeau
