// Histories of tensors: gradient functions, saved tensors, views and in-place writes.
#include "autograd.h"

#include <algorithm>

#include "op.h"
#include "transform.h"

namespace flambeau {

constinit thread_local Modes thread_modes;
std::atomic<int64_t> live_examples;
NodeBinding node_binding;

// -- nodes ----------------------------------------------------------------------------------------
static uint64_t next_sequence = 0;  // guarded by the GIL, as reference counts are

uint64_t node_count() { return next_sequence; }

Node::Node() : sequence(next_sequence++) {
  if (modes().anomaly && node_binding.created) [[unlikely]]
    node_binding.created(*this);
}

Node::~Node() {
  if (metadata) node_binding.free_metadata(metadata);
}

// A node that dies drops its edges, and with them perhaps the next node, and so on for as long as
// the graph: the dead wait in a list, and only the outermost call deletes.
void Node::destroy() {
  static auto& dead = *new std::vector<Node*>;
  static bool deleting = false;
  dead.push_back(this);
  if (deleting) return;
  deleting = true;
  while (!dead.empty()) {
    Node* n = dead.back();
    dead.pop_back();
    delete n;
  }
  deleting = false;
}

// -- what a tensor knows --------------------------------------------------------------------------
AutogradMeta& autograd_meta(const Tensor& t) {
  if (!t->autograd) t->autograd = new AutogradMeta;
  return *t->autograd;
}

static void forget_retained(AutogradMeta& m) {
  if (!m.grad_fn || !m.grad_fn->hooks) return;
  std::erase_if(m.grad_fn->hooks->retained, [&](auto& r) { return r.second == &m; });
}

AutogradMeta::~AutogradMeta() {
  if (transformed && transformed->batch) --live_examples;
  if (retains_grad) forget_retained(*this);
}

// A gradient that is retained is that of the tensor's newest value.
static void assign_history(AutogradMeta& m, NodeRef node, uint32_t result_number) {
  if (m.retains_grad) forget_retained(m);
  m.grad_fn = std::move(node);
  m.result_number = result_number;
  if (m.retains_grad && m.grad_fn)
    m.grad_fn->ensure_hooks().retained.emplace_back(result_number, &m);
}

void set_history(const Tensor& t, NodeRef node, uint32_t result_number) {
  if (node->results.size() == result_number) node->add_result(t);
  assign_history(autograd_meta(t), std::move(node), result_number);
}

void set_requires_grad(const Tensor& t, bool on) {
  AutogradMeta* m = t->autograd;
  if (!on && !m) return;
  if (grad_fn(t)) {
    check(on, "you can only change requires_grad flags of leaf variables. If you want to use a ",
          "computed variable in a subgraph that doesn't require differentiation use ",
          "var_no_grad = var.detach().");
    return;
  }
  check(!on || is_inexact(t.dtype()),
        "only Tensors of floating point and complex dtype can require gradients, got ", t.dtype());
  check(!on || !t->inference || modes().inference,
        "Setting requires_grad=True on inference tensor outside InferenceMode is not allowed.");
  autograd_meta(t).requires_grad = on;
}

void retain_grad(const Tensor& t) {
  check(t.requires_grad(), "can't retain_grad on Tensor that has requires_grad=False");
  NodeRef node = grad_fn(t);
  AutogradMeta& m = autograd_meta(t);
  if (!node || m.retains_grad) return;
  m.retains_grad = true;
  node->ensure_hooks().retained.emplace_back(m.result_number, &m);
}

void detach_in_place(const Tensor& t) {
  AutogradMeta* m = t->autograd;
  if (!m) return;
  if (m->transformed && !m->transformed->batch) {  // it is a view of the number without derivative
    m->transformed.reset();
    m->view = {};
  }
  check(!m->view, "Can't detach views in-place. Use detach() instead.");
  assign_history(*m, nullptr, 0);
  m->requires_grad = m->retains_grad = false;
}

uint32_t version_of(const Tensor& t) {
  return t.version() + (t->autograd ? t->autograd->version_shift : 0);
}
void keep_version(const Tensor& t, uint32_t version) {
  if (t->autograd || version != t.version()) autograd_meta(t).version_shift = version - t.version();
}

// -- leaves ---------------------------------------------------------------------------------------
AccumulateGrad::AccumulateGrad(const Tensor& t) : owner(t) {
  sequence = UINT64_MAX;  // a leaf's gradient is added as soon as it is whole
  accumulates = true;
  add_result(t);
}

AccumulateGrad::~AccumulateGrad() {
  AutogradMeta* m = owner->autograd;
  if (m && m->accumulator == this) m->accumulator = nullptr;
}

// x.data = y and x.set_(y) may give a leaf another shape while an older graph is alive.
static bool still_describes(const ResultMeta& r, const Tensor& t) {
  return r.sizes == t.sizes() && r.dtype == t.dtype() && r.device == t.device();
}

Edge gradient_edge(const Tensor& t) {
  AutogradMeta* m = t->autograd;
  if (!m) return {};
  if (NodeRef fn = grad_fn(t)) return {std::move(fn), m->result_number};
  if (!m->requires_grad) return {};
  if (m->accumulator && still_describes(m->accumulator->results[0], t))
    return {NodeRef(m->accumulator), 0};
  auto node = NodeRef::adopt(new AccumulateGrad(t));
  m->accumulator = node.get();
  return {std::move(node), 0};
}

// -- views ----------------------------------------------------------------------------------------
namespace {

// Where a tensor lies in its storage.
struct Geometry {
  Ints sizes, strides;
  int64_t offset;
  DType dtype;
  explicit Geometry(const Tensor& t)
      : sizes(t.sizes()), strides(t.strides()), offset(t->offset), dtype(t.dtype()) {}
};

const OpCall as_strided_op("as_strided"), view_as_real_op("view_as_real"),
    view_as_complex_op("view_as_complex"), copy_op("copy_"), clone_op("clone");

// The part of `whole`, which stands for `base`, that `view` is of base; recorded.
Tensor replay_view(const Tensor& whole, const Geometry& base, const Geometry& view) {
  if (base.dtype == view.dtype)
    return as_strided_op(whole, view.sizes, view.strides,
                         view.offset - base.offset + whole->offset);
  if (is_complex(base.dtype) && view.dtype == to_real(base.dtype))
    return as_strided_op(view_as_real_op(whole), view.sizes, view.strides,
                         view.offset - 2 * base.offset + 2 * whole->offset);
  check(is_complex(view.dtype) && base.dtype == to_real(view.dtype), "a view of ", base.dtype,
        " as ", view.dtype, " has no gradient");
  Ints sizes = view.sizes, strides = view.strides;
  for (int64_t& s : strides) s *= 2;
  sizes.push_back(2);
  strides.push_back(1);
  int64_t offset = 2 * view.offset - base.offset + whole->offset;
  return view_as_complex_op(as_strided_op(whole, sizes, strides, offset));
}

// Any later version of the storage differs from this one.
void mark_stale(AutogradMeta& m, uint32_t version) { m.view.version = version + (1u << 31); }

// The storage was written since the view got its grad_fn: the base may have a new history.
void refresh_view(const Tensor& t, AutogradMeta& m) {
  const Tensor& base = m.view.base;
  m.view.version = t.version();
  const bool tracked = m.view.kind == ViewKind::normal || m.view.kind == ViewKind::multiple;
  // What base.data = y has given other memory is viewed no longer.
  if (m.requires_grad || !tracked || !base.requires_grad() || base->storage != t->storage) return;
  GradMode on(true);
  // The graph lies below all batches and derivatives, which the base may have besides.
  const uint32_t transforms = std::exchange(modes().transforms, 0);
  Tensor again = replay_view(base, Geometry(base), Geometry(t));
  modes().transforms = transforms;
  AutogradMeta& fresh = autograd_meta(again);
  assign_history(m, fresh.grad_fn, fresh.result_number);
}

}  // namespace

NodeRef grad_fn(const Tensor& t) {
  AutogradMeta* m = t->autograd;
  if (!m) return {};
  if (m->view && m->view.version != t.version()) refresh_view(t, *m);
  return m->grad_fn;
}

void make_view_of(const Tensor& view, const Tensor& base, ViewKind kind) {
  // Formulas of gradients make views that nobody will write to.
  if (modes().in_backward && !modes().grad) return;
  AutogradMeta& m = autograd_meta(view);
  const AutogradMeta* b = base->autograd;
  const ViewInfo* above = b && b->view ? &b->view : nullptr;
  m.view.base = above ? above->base : base;
  m.view.version = view.version();
  if (above && above->kind != ViewKind::normal)
    kind = above->kind;
  else if (modes().inference)
    kind = ViewKind::inference;
  else if (!modes().grad)
    kind = ViewKind::no_grad;
  m.view.kind = kind;
  m.view.primal = above && above->primal;
}

// -- in-place writes ------------------------------------------------------------------------------
namespace {

// base after a write to a view of it: the gradient of the part goes through `fn`, the rest passes.
struct CopySlices final : Node {
  NodeRef fn;
  Geometry base, view;

  CopySlices(NodeRef f, const Tensor& b, const Tensor& v) : fn(std::move(f)), base(b), view(v) {
    add_result(b);
    next.push_back(gradient_edge(b));
    for (size_t i = 1; i < fn->next.size(); ++i) next.push_back(fn->next[i]);
  }
  std::string name() const override { return "torch::autograd::CopySlices"; }
  void release_saved() override {
    // A second derivative through fn's saved result has fn itself in its graph: that releases it.
    if (fn->refs > 1) return;
    fn->release_saved();
    fn->released = true;
  }
  TensorList apply(TensorList&& grads) override;
  Tensor own_copy(Tensor g) const;
};

void write(const Tensor& to, const Tensor& from) {
  if (modes().grad)
    copy_op.inplace(to, from);
  else
    copy(to, from);
}

// The gradient of the whole in base's layout, ours to write.
Tensor CopySlices::own_copy(Tensor g) const {
  bool ours = g->refs == 1 && g->storage->refs == 1 && !g->storage->free_foreign;
  if (ours && !modes().grad && g.strides() == base.strides && g.dtype() == base.dtype) return g;
  Tensor t = empty_strided(base.sizes, base.strides, {base.dtype, g.device()});
  write(t, g);
  return t;
}

TensorList CopySlices::apply(TensorList&& grads) {
  TensorList out(next.size());
  if (!grads[0].defined()) return out;
  if (is_transformed(grads[0])) return apply_to_examples(*this, std::move(grads));
  Tensor whole = own_copy(std::move(grads[0]));
  Tensor part = replay_view(whole, base, view);
  TensorList in(1);
  in[0] = modes().grad ? clone_op(part) : part.clone_raw();
  TensorList inner = fn->apply(std::move(in));
  inner.resize(out.size());
  if (wants(0)) {
    write(part, inner[0].defined() ? inner[0] : zeros({}, {base.dtype, whole.device()}));
    out[0] = std::move(whole);
  }
  for (size_t i = 1; i < out.size(); ++i) out[i] = std::move(inner[i]);
  return out;
}

}  // namespace

void rebase_history(const Tensor& t, NodeRef node, uint32_t result_number) {
  AutogradMeta& m = autograd_meta(t);
  if (!m.view) {
    set_history(t, std::move(node), result_number);
    return;
  }
  const Tensor& base = m.view.base;
  auto slices = NodeRef::adopt(new CopySlices(std::move(node), base, t));
  assign_history(autograd_meta(base), std::move(slices), 0);
  mark_stale(m, t.version());
  if (m.retains_grad) refresh_view(t, m);
}

void lay_view_anew(const Tensor& t) { refresh_view(t, *t->autograd); }

namespace {

const char* why_forbidden(ViewKind kind) {
  switch (kind) {
    case ViewKind::no_grad:
      return "(): A view was created in no_grad mode and is being modified inplace with grad mode "
             "enabled. Do both inside the no_grad block, or both outside.";
    case ViewKind::inference:
      return "(): A view was created in inference mode and is being modified inplace in normal "
             "mode. Do both inside the inference_mode block, or both outside.";
    case ViewKind::function:
      return "(): a view is being modified inplace. This view was created inside a custom Function "
             "(or because an input was returned as-is), whose backward the write would bypass: "
             "clone the output of the custom Function.";
    default:
      return "(): a view is being modified inplace. This view is the output of a function that "
             "returns multiple views, which are not to be written to: use an out-of-place "
             "operation instead.";
  }
}

}  // namespace

void check_inplace(const Tensor& t, bool records, const char* op) {
  check(!t->inference || modes().inference, op,
        "(): Inplace update to inference tensor outside InferenceMode is not allowed. You can make "
        "a clone to get a normal tensor before doing inplace update.");
  const AutogradMeta* m = t->autograd;
  if (!m || !modes().grad) return;
  if (m->view && (records || m->view.base.requires_grad())) {
    check(m->view.kind == ViewKind::normal, op, why_forbidden(m->view.kind));
    const AutogradMeta* b = m->view.base->autograd;
    check(
        !b || !b->requires_grad || b->grad_fn, op,
        "(): a view of a leaf Variable that requires grad is being used in an in-place operation.");
  }
  check(!records || m->view || !m->requires_grad || m->grad_fn, op,
        "(): a leaf Variable that requires grad is being used in an in-place operation.");
}

// -- saved tensors --------------------------------------------------------------------------------
namespace {

// The tensor without its history; a class with a __torch_dispatch__ or a mode makes its own.
Tensor without_history(const Tensor& t) {
  if (!modes().dispatch || !transform_binding.dispatches(t)) [[likely]]
    return t.alias();
  static const OpCall detach("detach");
  NoGrad no_grad;
  return detach(t);
}

}  // namespace

std::vector<SavedHooksRef>& saved_hooks() {
  // Never destroyed: hooks that a thread leaves behind belong to an interpreter that may be gone.
  static thread_local auto& stack = *new std::vector<SavedHooksRef>;
  return stack;
}

SavedTensor::SavedTensor(const Tensor& t, bool is_result, uint32_t result_number) {
  if (!t.defined()) return;
  check(!t->inference || modes().inference,
        "Inference tensors cannot be saved for backward. Please do not use Tensors created in "
        "inference mode in computation tracked by autograd: clone() gives a normal tensor, "
        "torch.no_grad() makes normal ones.");
  kept_ = true;
  result_ = result_number;
  is_result_ = is_result;
  if (modes().saved_hooks) [[unlikely]]
    if (SavedHooksRef hooks = saved_hooks().back()) {
      pack(std::move(hooks), t);
      return;
    }
  tensor_ = is_result ? without_history(t) : t;
  version_ = version_of(tensor_);
}

void SavedTensor::register_hooks(SavedHooksRef hooks) {
  check(kept_, "Registering hooks on a saved tensor that is None is forbidden");
  check(defined(), "the saved tensor has already been freed");
  check(!packed_, "the saved tensor already has hooks");
  const Tensor t = std::exchange(tensor_, Tensor());
  NoGrad no_grad;
  pack(std::move(hooks), without_history(t));
  if (!is_result_ && t.requires_grad()) packed_->edge = gradient_edge(t);
}

void SavedTensor::pack(SavedHooksRef hooks, const Tensor& t) {
  auto p = std::make_unique<Packed>();
  p->hooks = std::move(hooks);
  p->sizes = t.sizes();
  if (!is_result_ && t.requires_grad()) p->edge = gradient_edge(t);
  NoGrad no_grad;
  uint32_t version = t.version();
  p->value = p->hooks->pack(t, is_result_);
  check(t.version() == version,
        "A saved tensor pack hook is modifying its input in place. Tensors provided as input to "
        "pack hook can not be modified by in-place operations.");
  packed_ = std::move(p);
}

static bool is_leaf_of(const Tensor& t, const Edge& e) {
  return e.node->accumulates && static_cast<AccumulateGrad&>(*e.node).owner.is_same(t);
}

Tensor SavedTensor::unpack(Node* owner, bool history) const {
  if (!kept_) return {};
  check(defined(),
        "Trying to backward through the graph a second time (or directly access saved "
        "tensors after they have already been freed). They are freed as backward() or "
        "autograd.grad() walk the graph. Specify retain_graph=True if you need to backward through "
        "the graph a second time or to access saved tensors after calling backward.");
  if (!packed_) {
    if (version_of(tensor_) != version_) modified(owner);
    if (!is_result_ || !history) return tensor_;
    Tensor t = without_history(tensor_);
    assign_history(autograd_meta(t), NodeRef(owner), result_);
    return t;
  }
  // Hold what the hook may free.
  auto hooks = packed_->hooks;
  auto value = packed_->value;
  Edge edge = is_result_ ? Edge{NodeRef(owner), result_} : packed_->edge;
  const Ints sizes = packed_->sizes;
  Tensor t = hooks->unpack(value);
  check(t.sizes() == sizes, "a saved tensor's unpack hook gave a tensor of shape ", t.sizes(),
        " for one of shape ", sizes);
  if (!history || !edge.node || is_leaf_of(t, edge)) return t;
  t = without_history(t);
  assign_history(autograd_meta(t), edge.node, edge.input);
  return t;
}

void SavedTensor::modified(Node* owner) const {
  static const char* const kTypes[] = {
      "Byte",   "Char",   "Short",        "Int",           "Long",       "Half",
      "Float",  "Double", "ComplexFloat", "ComplexDouble", "Bool",       "BFloat16",
      "UInt16", "UInt32", "UInt64",       "Float8_e4m3fn", "Float8_e5m2"};
  Node* from = owner;
  uint32_t number = result_;
  const AutogradMeta* m = tensor_->autograd;
  if (!is_result_) {
    from = m ? m->grad_fn.get() : nullptr;
    number = m ? m->result_number : 0;
  }
  std::string origin;
  if (from) {
    std::string name = from->name();
    origin = cat(", which is output ", number, " of ", name.substr(0, name.rfind("Backward")), ",");
  }
  fail(ErrorKind::runtime,
       "one of the variables needed for gradient computation has been modified by an inplace "
       "operation: [torch.",
       kTypes[static_cast<int>(tensor_.dtype())], "Tensor ", tensor_.sizes(), "]", origin,
       " is at version ", version_of(tensor_), "; expected version ", version_,
       " instead. Hint: enable anomaly detection to find the operation that failed to compute its "
       "gradient, with torch.autograd.set_detect_anomaly(True).");
}

}  // namespace flambeau
