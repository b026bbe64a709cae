// The backward pass: walks the graph from the roots, every node once, when its gradient is whole.
#include <algorithm>
#include <unordered_map>

#include "autograd.h"
#include "op.h"
#include "sparse.h"
#include "transform.h"
#include "walk.h"

namespace flambeau {

SparseBinding sparse_binding;

// What one walk knows about a node.
struct WalkState {
  Node* node = nullptr;
  const void* walk = nullptr;  // whose state this is
  uint32_t waits = 0;          // edges from nodes that have yet to send their gradient
  int capture = -1;            // the first of the wanted inputs among the node's results
  bool visited = false;
  bool runs = true;            // its apply() is wanted
  bool reached = true;         // its gradient is wanted
  TensorList grads;
};

namespace {

const OpCall add_op("add"), clone_op("clone"), sum_to_size_op("sum_to_size"), real_op("real"),
    to_op("to"), isnan_op("isnan"), any_op("any"), detach_op("detach"), ones_like_op("ones_like");

// -- gradients ------------------------------------------------------------------------------------
// Nobody else can see this memory.
bool exclusive(const Tensor& t) {
  return t->refs == 1 && t->storage->refs == 1 && !t->storage->free_foreign && is_dense(t) &&
         !t.requires_grad() && !is_transformed(t);
}

void accumulate(Tensor& sum, Tensor g) {
  if (!sum.defined()) {
    sum = std::move(g);
    return;
  }
  if (is_sparse(sum) || is_sparse(g)) {
    sum = sparse_binding.add(sum, g, false);
    return;
  }
  if (!modes().grad && sum.dtype() == g.dtype() && sum.sizes() == g.sizes()) {
    if (exclusive(sum)) {
      add_op.inplace(sum, g);
      return;
    }
    if (exclusive(g)) {
      add_op.inplace(g, sum);
      sum = std::move(g);
      return;
    }
  }
  sum = add_op(sum, g);
}

bool expandable(const Ints& from, const Ints& to) {
  if (from.size() > to.size()) return false;
  size_t shift = to.size() - from.size();
  for (size_t d = 0; d < from.size(); ++d)
    if (from[d] != to[d + shift] && from[d] != 1) return false;
  return true;
}

}  // namespace

// Brings a gradient to the shape and dtype of the result that it belongs to.
void conform(Tensor& g, const ResultMeta& want, const Node& from, size_t i) {
  if (!(g.sizes() == want.sizes)) {
    check(expandable(want.sizes, g.sizes()), "Function ", from.name(),
          " returned an invalid gradient at index ", i, " - got ", g.sizes(),
          " but expected shape compatible with ", want.sizes);
    g = sum_to_size_op(g, want.sizes);
  }
  check(g.device() == want.device, "Function ", from.name(),
        " returned an invalid gradient at index ", i, " - expected device ", want.device,
        " but got ", g.device());
  if (g.dtype() == want.dtype) return;
  check(is_inexact(g.dtype()) || !is_complex(want.dtype), "Function ", from.name(),
        " returned an invalid gradient at index ", i, " - got ", g.dtype(), " but expected ",
        want.dtype);
  if (is_complex(g.dtype()) && !is_complex(want.dtype)) g = real_op(g);
  if (g.dtype() != want.dtype)
    g = modes().grad || is_dispatching(g) ? to_op(g, want.dtype) : g.to_raw(want.dtype);
}

namespace {

bool same_layout(const Tensor& a, const Ints& strides) {
  for (int64_t d = 0; d < a.dim(); ++d)
    if (a.sizes()[d] != 1 && a.strides()[d] != strides[d]) return false;
  return true;
}

// Adds g to the gradient of a tensor whose retain_grad() was called.
void keep_grad(AutogradMeta& m, const Tensor& g) {
  if (is_sparse(m.grad) || is_sparse(g))
    m.grad = sparse_binding.add(m.grad, g, false);
  else if (m.grad.defined())
    m.grad = add_op(m.grad, g);
  else
    m.grad = modes().grad || is_dispatching(g) ? clone_op(g) : g.clone_raw();
}

}  // namespace

TensorList AccumulateGrad::apply(TensorList&& grads) {
  Tensor g = std::move(grads[0]);
  AutogradMeta& m = autograd_meta(owner);
  if (!g.defined() || !m.requires_grad) return {};
  if (is_sparse(g) || is_sparse(m.grad)) {
    m.grad = sparse_binding.add(m.grad, g, !modes().grad);
  } else if (m.grad.defined()) {
    if (modes().grad)
      m.grad = add_op(m.grad, g);
    else
      add_op.inplace(m.grad, g);
  } else if (modes().grad) {
    m.grad = clone_op(g);
  } else if (is_dispatching(g)) {
    m.grad = detach_op(g);
  } else {
    // The optimizer runs over both: the gradient has the parameter's own layout.
    Ints strides = is_dense(owner) ? owner.strides() : contiguous_strides(owner.sizes());
    if (exclusive(g) && same_layout(g, strides)) {
      m.grad = std::move(g);
    } else {
      m.grad = empty_strided(owner.sizes(), strides, g.options());
      copy(m.grad, g);
    }
  }
  if (m.hooks) {
    auto hooks = m.hooks->post_accumulate;  // a hook may remove itself
    for (auto& h : hooks) (*h)(owner);
  }
  return {};
}

// -- the walk -------------------------------------------------------------------------------------
namespace {

class Walk {
 public:
  Walk(bool retain_graph, bool create_graph, bool accumulate)
      : retain_(retain_graph), accumulate_(accumulate), outer_(current), mode_(create_graph) {
    current = this;
    in_backward_ = std::exchange(modes().in_backward, true);
  }
  ~Walk() {
    current = outer_;
    modes().in_backward = in_backward_;
    for (auto& chunk : chunks_)
      for (WalkState& s : std::span(chunk->states, chunk->used))
        if (s.node->state == &s) s.node->state = nullptr;
  }
  Walk(const Walk&) = delete;

  TensorList run(const std::vector<Edge>& roots, TensorList grads, const std::vector<Edge>& inputs);

  bool reaches(Node* n) const;

  static thread_local Walk* current;
  static inline int64_t started = 0;  // guarded by the GIL
  const int64_t number = started++;
  Node* node = nullptr;  // that runs now
  std::vector<std::function<void()>> callbacks;

 private:
  struct Chunk {
    static constexpr size_t kStates = 64;
    WalkState states[kStates];
    size_t used = 0;
  };
  struct Capture {
    uint32_t result;
    size_t input;
    int next;
  };

  WalkState& state_of(Node* n);
  void want(const std::vector<Edge>& inputs);
  void discover(Node* root, bool selective);
  void settle(WalkState& s);
  void receive(WalkState& s, uint32_t result, Tensor g);
  void ready(WalkState* s);
  WalkState* take();
  void run_tensor_hooks(Node& n, TensorList& grads);
  void capture(const WalkState& s, const TensorList& grads);
  void run_node(WalkState& s);
  TensorList apply(Node& n, TensorList&& grads);
  void check_nan(const Node& n, const TensorList& out);
  void send(Node& n, TensorList& out);

  const bool retain_, accumulate_;
  bool in_backward_;
  Walk* outer_;
  GradMode mode_;
  std::vector<std::unique_ptr<Chunk>> chunks_;
  std::unordered_map<Node*, WalkState*> elsewhere_;  // of nodes that another walk holds
  std::vector<WalkState*> heap_;  // ready; the newest node on top
  std::vector<Capture> captures_;
  TensorList captured_;
};

thread_local Walk* Walk::current = nullptr;

// A node points at its state. When a walk around this one, or in another thread (met while the
// GIL was away), has put its own there, ours stands in a table.
WalkState& Walk::state_of(Node* n) {
  if (n->state) {
    if (n->state->walk == this) return *n->state;
    if (auto it = elsewhere_.find(n); it != elsewhere_.end()) return *it->second;
  }
  if (chunks_.empty() || chunks_.back()->used == Chunk::kStates)
    chunks_.push_back(std::make_unique<Chunk>());
  WalkState& s = chunks_.back()->states[chunks_.back()->used++];
  s.node = n;
  s.walk = this;
  if (n->state)
    elsewhere_[n] = &s;
  else
    n->state = &s;
  return s;
}

bool Walk::reaches(Node* n) const {
  const WalkState* s = n->state;
  if (s && s->walk != this) {
    auto it = elsewhere_.find(n);
    s = it == elsewhere_.end() ? nullptr : it->second;
  }
  return s && s->visited && s->reached;
}

void Walk::want(const std::vector<Edge>& inputs) {
  captured_.resize(inputs.size());
  for (size_t i = 0; i < inputs.size(); ++i) {
    WalkState& s = state_of(inputs[i].node.get());
    captures_.push_back({inputs[i].input, i, s.capture});
    s.capture = static_cast<int>(captures_.size()) - 1;
  }
}

// With inputs given, only what lies between the roots and them has to run.
void Walk::settle(WalkState& s) {
  s.runs = accumulate_ && s.capture >= 0;
  for (const Edge& e : s.node->next)
    if (e.node && state_of(e.node.get()).reached) s.runs = true;
  s.reached = s.runs || s.capture >= 0;
}

// Counts for every node the edges that lead to it; children are settled before their parents.
void Walk::discover(Node* root, bool selective) {
  std::vector<std::pair<WalkState*, uint32_t>> path;  // with the next edge to follow
  auto enter = [&](WalkState& s) {
    if (s.visited) return;
    s.visited = true;
    path.emplace_back(&s, 0);
  };
  enter(state_of(root));
  while (!path.empty()) {
    auto& [s, i] = path.back();
    if (i == s->node->next.size()) {
      if (selective) settle(*s);
      path.pop_back();
      continue;
    }
    Node* child = s->node->next[i++].node.get();
    if (!child) continue;
    WalkState& c = state_of(child);
    ++c.waits;
    enter(c);
  }
}

void Walk::receive(WalkState& s, uint32_t result, Tensor g) {
  if (s.grads.empty()) s.grads.resize(s.node->results.size());
  accumulate(s.grads[result], std::move(g));
}

static bool older(const WalkState* a, const WalkState* b) {
  return a->node->sequence < b->node->sequence;
}
void Walk::ready(WalkState* s) {
  heap_.push_back(s);
  std::push_heap(heap_.begin(), heap_.end(), older);
}
WalkState* Walk::take() {
  std::pop_heap(heap_.begin(), heap_.end(), older);
  WalkState* s = heap_.back();
  heap_.pop_back();
  return s;
}

void Walk::run_tensor_hooks(Node& n, TensorList& grads) {
  auto run = [&](TensorHook& hook, Tensor& g) {
    if (Tensor changed = hook(g); changed.defined()) g = std::move(changed);
  };
  // Hooks may be removed while they run: the lists are copied. Those of results that had no part in
  // the loss are told so.
  if (n.accumulates) {
    AutogradMeta* m = static_cast<AccumulateGrad&>(n).owner->autograd;
    if (m && m->hooks) {
      auto hooks = m->hooks->tensor;
      for (auto& h : hooks) run(*h, grads[0]);
    }
  }
  if (!n.hooks) return;
  auto hooks = n.hooks->tensor_hooks;
  for (auto& [result, h] : hooks) run(*h, grads[result]);
  for (auto& [result, m] : n.hooks->retained)
    if (grads[result].defined()) keep_grad(*m, grads[result]);
}

void Walk::check_nan(const Node& n, const TensorList& out) {
  NoGrad no_grad;
  for (size_t i = 0; i < out.size(); ++i)
    if (out[i].defined() && is_inexact(out[i].dtype()) && !out[i].is_meta() && !is_sparse(out[i]))
      check(!item(any_op(isnan_op(out[i]))).to<bool>(), "Function '", n.name(),
            "' returned nan values in its ", i, "th output.");
}

// Formulas read memory; as operators, which classes with a __torch_dispatch__ get, they do not.
TensorList apply_in_operators(OpNode& n, TensorList&& grads) {
  GradMode recording(true);
  TensorList out = n.apply(std::move(grads));
  NoGrad plain;
  for (Tensor& g : out)
    if (g.defined() && g.requires_grad())
      g = transform_binding.dispatches(g) ? detach_op(g) : g.alias();
  return out;
}

bool meets_dispatch(const OpNode& n, const TensorList& grads) {
  const auto found = [](const Tensor& t) { return transform_binding.dispatches(t); };
  for (const SavedTensor& s : n.saved)
    if (s.is_packed() || found(s.held())) return true;
  return std::any_of(grads.begin(), grads.end(), found);
}

TensorList apply_node(Node& n, TensorList&& grads) {
  if (modes().dispatch && !modes().grad) [[unlikely]]
    if (auto* formula = dynamic_cast<OpNode*>(&n); formula && meets_dispatch(*formula, grads))
      return apply_in_operators(*formula, std::move(grads));
  return n.apply(std::move(grads));
}

TensorList Walk::apply(Node& n, TensorList&& grads) {
  if (!modes().anomaly) [[likely]]
    return apply_node(n, std::move(grads));
  try {
    TensorList out = apply_node(n, std::move(grads));
    if (modes().anomaly_check_nan) check_nan(n, out);
    return out;
  } catch (...) {
    if (node_binding.failed) node_binding.failed(n);
    throw;
  }
}

// Keeps the gradients that were asked for.
void Walk::capture(const WalkState& s, const TensorList& grads) {
  for (int c = s.capture; c >= 0; c = captures_[c].next)
    captured_[captures_[c].input] = grads[captures_[c].result];
}

void Walk::run_node(WalkState& s) {
  Node& n = *s.node;
  TensorList grads = std::move(s.grads);
  grads.resize(n.results.size());
  Node* before = std::exchange(node, &n);
  // As PyTorch has it: what an input's hooks make of its gradient is what is asked for only where
  // the walk ends.
  if (s.runs) capture(s, grads);
  if (n.hooks || n.accumulates) run_tensor_hooks(n, grads);
  if (!s.runs) {
    capture(s, grads);
    node = before;
    return;
  }
  if (!n.accumulates)  // formulas are for dense gradients
    for (Tensor& g : grads)
      if (is_sparse(g)) g = sparse_binding.to_dense(g);
  TensorList out;
  if (n.hooks && !(n.hooks->pre.empty() && n.hooks->post.empty())) {
    auto pre = n.hooks->pre;
    for (auto& h : pre) (*h)(grads);
    TensorList kept = grads;
    out = apply(n, std::move(grads));
    out.resize(n.next.size());
    auto post = n.hooks->post;
    for (auto& h : post) (*h)(out, kept);
  } else {
    out = apply(n, std::move(grads));
  }
  node = before;
  if (!retain_) {
    n.release_saved();
    n.released = true;
  }
  send(n, out);
}

static bool sends_last_first(const Node& n) {
  return typeid(n) == typeid(OpNode) &&
         static_cast<const OpNode&>(n).op->flags & kGradientsReversed;
}

void Walk::send(Node& n, TensorList& out) {
  const bool backwards = sends_last_first(n);
  for (size_t k = 0; k < n.next.size(); ++k) {
    const size_t i = backwards ? n.next.size() - 1 - k : k;
    const Edge& e = n.next[i];
    if (!e.node) continue;
    WalkState& child = state_of(e.node.get());
    if (child.reached && out[i].defined()) {
      conform(out[i], e.node->results[e.input], n, i);
      receive(child, e.input, std::move(out[i]));
    }
    if (--child.waits == 0 && child.reached) ready(&child);
  }
}

TensorList Walk::run(const std::vector<Edge>& roots, TensorList grads,
                     const std::vector<Edge>& inputs) {
  want(inputs);
  for (const Edge& e : roots) discover(e.node.get(), !inputs.empty());
  std::vector<WalkState*> first;
  for (size_t i = 0; i < roots.size(); ++i) {
    WalkState& s = state_of(roots[i].node.get());
    bool listed = !s.grads.empty();
    receive(s, roots[i].input, std::move(grads[i]));
    if (!listed && s.waits == 0 && s.reached) ready(&s);
  }
  while (!heap_.empty()) run_node(*take());
  for (size_t i = 0; i < callbacks.size(); ++i) callbacks[i]();
  return std::move(captured_);
}

// -- entry ----------------------------------------------------------------------------------------
Tensor first_gradient(const Tensor& root, Tensor g, size_t i) {
  if (!g.defined()) {
    check(root.numel() == 1, "grad can be implicitly created only for scalar outputs");
    check(!is_complex(root.dtype()),
          "grad can be implicitly created only for real scalar outputs but got ", root.dtype());
    return is_dispatching(root) ? ones_like_op(root) : full(root.sizes(), 1, root.options());
  }
  check(g.sizes() == root.sizes(), "Mismatch in shape: grad_output[", i,
        "] has a shape of torch.Size(", g.sizes(), ") and output[", i,
        "] has a shape of torch.Size(", root.sizes(), ").");
  check(is_complex(g.dtype()) == is_complex(root.dtype()),
        "For complex Tensors, both grad_output and output are required to have the same dtype. "
        "Mismatch in dtype: grad_output[",
        i, "] has a dtype of ", g.dtype(), " and output[", i, "] has a dtype of ", root.dtype(),
        ".");
  return g;
}

}  // namespace

TensorList run_backward(const std::vector<Edge>& roots, TensorList grads, bool retain_graph,
                        bool create_graph, const std::vector<Edge>& inputs, bool accumulate,
                        bool allow_unused) {
  // Formulas read the memory of plain tensors only; recorded, they are made of operators.
  for (const Tensor& g : grads) create_graph |= is_transformed(g);
  Walk walk(retain_graph, create_graph, accumulate);
  for (size_t i = 0; i < roots.size(); ++i)
    conform(grads[i], roots[i].node->results[roots[i].input], *roots[i].node, i);
  TensorList out = walk.run(roots, std::move(grads), inputs);
  if (!accumulate && !allow_unused)
    for (size_t i = 0; i < out.size(); ++i)
      check(out[i].defined(), "The differentiated Tensor at index ", i,
            " appears to not have been used in the graph. Set allow_unused=True if this is the "
            "desired behavior.");
  return out;
}

TensorList run_backward(const TensorList& roots, const TensorList& grads, bool retain_graph,
                        bool create_graph, const TensorList& inputs, bool accumulate,
                        bool allow_unused) {
  std::vector<Edge> from, to;
  TensorList first;
  for (size_t i = 0; i < roots.size(); ++i) {
    from.push_back(gradient_edge(roots[i]));
    check(bool(from.back().node), "element ", i,
          " of tensors does not require grad and does not have a grad_fn");
    first.push_back(first_gradient(roots[i], grads[i], i));
  }
  for (const Tensor& t : inputs) {
    to.push_back(gradient_edge(t));
    check(bool(to.back().node), "One of the differentiated Tensors does not require grad");
    if (accumulate) retain_grad(t);
  }
  return run_backward(from, std::move(first), retain_graph, create_graph, to, accumulate,
                      allow_unused);
}

void queue_callback(std::function<void()> f) {
  check(Walk::current, "queue_callback(): final callbacks can only be installed during a backward");
  Walk::current->callbacks.push_back(std::move(f));
}

bool is_reached(Node* n) { return Walk::current && Walk::current->reaches(n); }

int64_t current_walk() { return Walk::current ? Walk::current->number : -1; }

Node* current_node() { return Walk::current ? Walk::current->node : nullptr; }

}  // namespace flambeau
