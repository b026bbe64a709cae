// The operator table, and the call of a record with its autograd.
#include "op.h"

#include <algorithm>
#include <span>
#include <string_view>
#include <unordered_map>

#include "node_names.h"
#include "overlap.h"
#include "pointwise.h"
#include "stored.h"
#include "transform.h"

namespace flambeau {
namespace {

struct Table {
  std::unordered_map<std::string, Op*> by_name;
  std::vector<Op*> all;
};
Table& table() {
  static Table* t = new Table;
  return *t;
}

int argument_of(const Op& op, const std::string& name) {
  for (int i = 0; i < op.nargs(); ++i)
    if (op.schema.args[i].name == name) return i;
  return -1;
}

void parse_saves(Op& op, const std::string& text) {
  for (size_t at = 0; at < text.size();) {
    size_t end = std::min(text.find(',', at), text.size());
    std::string name = text.substr(at, end - at);
    name.erase(0, name.find_first_not_of(' '));
    at = end + 1;
    std::string reader;
    if (const size_t gap = name.find(" for "); gap != std::string::npos) {
      reader = name.substr(gap + 5);
      name.erase(gap);
    }
    const int i = argument_of(op, name);
    bool found = i >= 0;
    if (found) op.saved_args |= uint64_t(1) << i;
    if (!reader.empty()) op.saved_for.emplace_back(i, argument_of(op, reader));
    if (name.compare(0, 6, "result") == 0) {
      op.saved_results |= uint64_t(1) << (name.size() > 6 ? std::stoi(name.substr(6)) : 0);
      found = true;
    }
    check(found, op.schema.name, ": no argument '", name, "' to save");
  }
}

bool is_tensor_type(ArgType t) { return t == ArgType::tensor || t == ArgType::tensors; }

}  // namespace

Op* register_op(const OpRecord& r) {
  auto* op = new Op;
  op->text = r.schema;
  op->schema = Schema::parse(op->text);
  op->forward = r.forward;
  op->inplace = r.inplace;
  op->backward = r.backward;
  op->fuse = r.fuse;
  op->flags = r.flags;
  op->doc = r.doc;
  op->pointwise = r.pointwise;
  op->alias_name = r.alias;
  if (op->schema.name.back() == '_')
    op->flags |= kOnlyInplace;
  else if (op->inplace)
    op->flags |= kInplace;
  const auto& args = op->schema.args;
  check(args.size() <= kMaxArgs && op->schema.results.size() <= kMaxResults, r.schema);
  for (size_t i = 0; i < args.size(); ++i)
    if (is_tensor_type(args[i].type)) op->tensor_args |= uint64_t(1) << i;
  if (!args.empty() && args[0].type == ArgType::tensor && !args[0].keyword_only &&
      !(op->flags & (kNoMethod | kFactory | kInternal)))
    op->flags |= kMethod;
  if (op->backward) parse_saves(*op, r.saves);
  if (op->flags & kComposite && r.node) op->flags |= kNamedComposite;
  Op*& first = table().by_name[op->schema.name];
  int overload = 0;
  if (!first) {
    first = op;
    table().all.push_back(op);
  } else {
    Op* last = first;
    for (++overload; last->next_overload; last = last->next_overload) ++overload;
    last->next_overload = op;
  }
  op->node_name =
      r.node ? r.node : camel_case(op->schema.name) + "Backward" + std::to_string(overload);
  return op;
}

Op* find_op(const std::string& name) {
  auto it = table().by_name.find(name);
  return it == table().by_name.end() ? nullptr : it->second;
}

const std::vector<Op*>& all_ops() { return table().all; }

void resolve_aliases() {
  for (Op* first : table().all) {
    for (Op* op = first; op; op = op->next_overload) {
      if (!op->alias_name) continue;
      const Op* target = find_op(op->alias_name);
      int skip = 0;
      for (const Op* o = first; o != op; o = o->next_overload) ++skip;
      for (; skip && target && target->next_overload; --skip) target = target->next_overload;
      check(target != nullptr, "alias of an operator that is not there: ", op->alias_name);
      check(op->nargs() >= target->nargs(), op->schema.name, " takes less than ", op->alias_name);
      op->alias = target;
      op->flags |= target->flags &
                   (kInplace | kNumbers | kWritesOut | kNotDifferentiable | kView | kCastsOut);
      if (op->doc.empty()) op->doc = target->doc;
    }
  }
}

// -- recording ------------------------------------------------------------------------------------
namespace {

bool any_requires_grad(const Op& op, const Value* args) {
  for (uint64_t m = op.tensor_args; m; m &= m - 1) {
    const Value& v = args[__builtin_ctzll(m)];
    if (v.tag() == Value::tensor) {
      if (v.as_tensor().requires_grad()) return true;
    } else if (v.tag() == Value::tensors) {
      for (const Tensor& t : v.as_tensors())
        if (t.defined() && t.requires_grad()) return true;
    }
  }
  return false;
}

bool records(const Op& op, const Value* args) {
  return modes().grad && !modes().inference && !(op.flags & kNotDifferentiable) &&
         any_requires_grad(op, args);
}

// An operator that has no gradient still gives a result that requires one; asking for it is an
// error.
void no_derivative(Backward& b) {
  fail(ErrorKind::runtime, "derivative for ", b.node().op->schema.name, " is not implemented");
}

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

Ref<OpNode> make_node(const Op& op, const Value* args) {
  return make_node(op, args, wanted_saves(op, args));
}

bool differentiable(const Tensor& t) { return t.defined() && is_inexact(t.dtype()); }

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

void link_views(const Value* args, const Value* results) {
  const Tensor& base = args[0].as_tensor();
  if (results[0].tag() == Value::tensors) {
    for (const Tensor& t : results[0].as_tensors())
      if (!t.is_same(base)) make_view_of(t, base, ViewKind::multiple);
  } else if (!results[0].as_tensor().is_same(base)) {
    make_view_of(results[0].as_tensor(), base);
  }
}

// -- devices --------------------------------------------------------------------------------------
// Meta tensors have no memory for a kernel to read. Besides what takes shapes alone, only numbers
// and indices may lie on the CPU, beside a first tensor that does not.
[[gnu::cold]] void refuse_mixed(const Op& op, const Value* args) {
  static const std::string_view kShapes[] = {"copy_",     "set_",    "to",         "type_as",
                                             "expand_as", "view_as", "reshape_as", "resize_as_"};
  const std::string& name = op.schema.name;
  if (std::find(std::begin(kShapes), std::end(kShapes), name) != std::end(kShapes)) return;
  bool first = true, meta = false;
  for (uint64_t m = op.tensor_args; m; m &= m - 1) {
    const Value& v = args[__builtin_ctzll(m)];
    const TensorList list = v.tag() == Value::tensors ? v.as_tensors() : TensorList{v.as_tensor()};
    for (const Tensor& t : list) {
      if (!t.defined()) continue;
      if (first) meta = t.is_meta();
      const bool same = t.is_meta() == meta;
      first = false;
      check(same || (meta && (t.dim() == 0 || name.starts_with("index"))), name,
            "(): Expected all tensors to be on the same device, but found at least two devices, "
            "cpu and meta");
    }
  }
}

void check_devices(const Op& op, const Value* args) {
  if (op.pointwise || !(op.tensor_args & (op.tensor_args - 1))) return;
  bool meta = false, other = false;
  auto see = [&](const Tensor& t) {
    if (t.defined()) (t.is_meta() ? meta : other) = true;
  };
  for (uint64_t m = op.tensor_args; m; m &= m - 1) {
    const Value& v = args[__builtin_ctzll(m)];
    if (v.tag() == Value::tensor) {
      see(v.as_tensor());
    } else if (v.tag() == Value::tensors) {
      for (const Tensor& t : v.as_tensors()) see(t);
    }
  }
  if (meta && other) [[unlikely]]
    refuse_mixed(op, args);
}

void run_forward(const Op& op, Value* args, Value* results) {
  if (fused_open) [[unlikely]]
    settle_fused();
  check_devices(op, args);
  if (op.forward) {
    op.forward(args, results);
    return;
  }
  Tensor fresh = empty_like(args[0].as_tensor());
  copy(fresh, args[0].as_tensor());
  Value mine[kMaxArgs];
  for (int i = 0; i < op.nargs(); ++i) mine[i] = args[i];
  mine[0] = Value(fresh);
  op.inplace(mine, results);
  results[0] = Value(std::move(fresh));
}

void dispatch_forward(const Op& op, Value* args, Value* results) {
  if (modes().dispatch && transform_binding.dispatch(op, args, results, false)) return;
  run_forward(op, args, results);
}

}  // namespace

// The gradient formula as a linear map of its own: nothing leads on from it, it saves all that its
// record lists, and results keep their history.
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

// The parts record themselves; where the whole has a name, the last part shows as all of it.
static void run_composite(const Op& op, Value* args, Value* results) {
  const bool named = op.flags & kNamedComposite && modes().grad;
  const uint64_t since = named ? node_count() : 0;
  op.forward(args, results);
  for (int r = 0; named && r < op.nresults(); ++r)
    if (results[r].tag() == Value::tensor)
      name_composite(results[r].as_tensor(), op.node_name, since);
}

void call_op(const Op& op, Value* args, Value* results) {
  if (modes().transforms) [[unlikely]]
    if (transformed_call(op, args, results)) return;
  if (op.flags & kComposite) return run_composite(op, args, results);
  if (op.flags & kOnlyInplace) {
    call_inplace(op, args);
    results[0] = args[0];
    return;
  }
  if (takes_stored(op, args)) [[unlikely]]
    if (call_stored(op, args, results)) return;
  if (!records(op, args)) [[likely]] {
    const bool dispatched =
        modes().dispatch && transform_binding.dispatch(op, args, results, false);
    if (!dispatched && (!op.fuse || !op.fuse(op, args, results))) run_forward(op, args, results);
    if (op.flags & kView && !(modes().inference && args[0].as_tensor()->inference))
      link_views(args, results);
    return;
  }
  // The node first: the forward of an in-place primitive may change what is saved.
  Ref<OpNode> node = make_node(op, args);
  {
    NoGrad off;
    dispatch_forward(op, args, results);
  }
  if (op.flags & kView) {
    bool same =
        results[0].tag() == Value::tensor && results[0].as_tensor().is_same(args[0].as_tensor());
    if (same) return;  // an operator that had nothing to do: contiguous(), to()
    link_views(args, results);
  }
  record_results(op, node, results);
}

// Refuses arguments that share some of the memory which is written, where elements are read and
// written one by one: products and the like read all before they write.
void check_reads_apart(const Op& op, const Value* args, const Tensor& out, bool inplace) {
  static constexpr std::string_view kWhole[] = {"set_",   "masked_scatter", "addmm", "addmv",
                                                "addbmm", "baddbmm",        "addr"};
  static constexpr std::string_view kSingle[] = {"cumsum", "cumprod", "cat", "topk"};
  // What they read by index may be written before.
  static constexpr std::string_view kFrom[] = {"gather", "index_select", "take", "masked_select"};
  static constexpr std::string_view kInto[] = {"scatter",   "scatter_add", "scatter_reduce",
                                               "index_add", "index_copy",  "index_fill",
                                               "put",       "index_reduce"};
  const auto among = [&](std::span<const std::string_view> names) {
    return std::find(names.begin(), names.end(), op.schema.name) != names.end();
  };
  const bool apart = inplace ? among(kInto) : among(kFrom);
  const auto look = [&](const Tensor& in) {
    if (!in.defined() || in->storage.get() != out->storage.get()) return;
    if (apart) return check_no_overlap(out, in, op.schema.name.c_str());
    if (inplace ? !among(kWhole) : op.pointwise || among(kSingle))
      check_no_partial_overlap(out, in, op.schema.name.c_str());
  };
  for (uint64_t m = inplace ? op.tensor_args & ~uint64_t{1} : op.tensor_args; m; m &= m - 1) {
    const Value& v = args[__builtin_ctzll(m)];
    if (v.tag() == Value::tensor) look(v.as_tensor());
    if (v.tag() == Value::tensors)
      for (const Tensor& t : v.as_tensors()) look(t);
  }
}

void call_inplace(const Op& op, Value* args) {
  if (modes().transforms) [[unlikely]]
    if (transformed_inplace(op, args)) return;
  Tensor self = args[0].as_tensor();
  if (op.flags & kComposite &&
      !op.inplace) {  // its parts record; the write is a copy of the result
    static const OpCall clone("clone");
    if (self.requires_grad() && modes().grad)
      args[0] = Value(clone(self));  // what the parts save is not what the copy overwrites
    Value results[kMaxResults];
    op.forward(args, results);
    args[0] = Value(self);
    const Tensor& r = results[0].as_tensor();
    check(can_cast(r.dtype(), self.dtype()), op.schema.name, "_(): result type ", r.dtype(),
          " can't be cast to the desired output type ", self.dtype());
    static const OpCall copy_into("copy_");
    copy_into(self, r);
    return;
  }
  if (takes_stored(op, args)) [[unlikely]]
    if (call_stored_inplace(op, args)) return;
  check_devices(op, args);
  bool recording = records(op, args);
  check_inplace(self, recording, op.schema.name.c_str());
  check_no_internal_overlap(self, op.schema.name.c_str());
  check_reads_apart(op, args, self, true);
  Value results[kMaxResults];
  if (!recording && op.fuse && !modes().dispatch) {
    results[0] = Value(self);
    if (op.fuse(op, args, results)) return self.bump_version();
    results[0] = Value();
  }
  if (fused_open) [[unlikely]]
    settle_fused();
  Ref<OpNode> node;
  if (recording) {
    bool reads_old = wanted_saves(op, args) & 1;
    if (reads_old) {  // the gradient reads the old value
      Tensor old;
      {
        NoGrad off;
        old = self.clone_raw();
      }
      node = make_node(op, args);
      const Edge& edge = node->next[0];
      if (edge.node) set_history(old, edge.node, edge.input);
      node->saved[0] = SavedTensor(old, false);
    } else {
      node = make_node(op, args);
    }
  }
  {
    NoGrad off;
    if (modes().dispatch && transform_binding.dispatch(op, args, results, true)) [[unlikely]] {
      results[0] = Value(self);
    } else if (op.inplace) {
      op.inplace(args, results);
    } else if (op.flags & kWritesOut) {
      results[0] = Value(self);
      op.forward(args, results);
    } else {
      op.forward(args, results);
      const Tensor& r = results[0].as_tensor();
      check(can_cast(r.dtype(), self.dtype()), op.schema.name, "_(): result type ", r.dtype(),
            " can't be cast to the desired output type ", self.dtype());
      check(r.sizes() == self.sizes(), op.schema.name, "_(): output with shape ", self.sizes(),
            " doesn't match the broadcast shape ", r.sizes());
      copy(self, r);
    }
  }
  self.bump_version();
  if (!recording) return;
  node->add_result(self);
  rebase_history(self, node);
  const bool keep = op.saved_results && reads_results(*node);
  for (int r = 0; r < op.nresults(); ++r)
    if (op.saved_results >> r & 1)
      node->saved.emplace_back(!keep ? Tensor() : r == 0 ? self : results[r].as_tensor(), true, r);
}

// dtype= and out= must agree.
void check_out_dtype(const Op& op, const Value* args, const Tensor& out) {
  for (int i = 0; i < op.nargs(); ++i)
    if (args[i].tag() == Value::dtype && op.schema.args[i].name == "dtype")
      check(args[i].as_dtype() == out.dtype(), op.schema.name,
            "(): Expected out tensor to have dtype ", args[i].as_dtype(), ", but got ", out.dtype(),
            " instead");
}

void call_out(const Op& op, Value* args, Value* outs) {
  if (modes().transforms) [[unlikely]]
    if (transformed_out(op, args, outs)) return;
  const char* name = op.schema.name.c_str();
  bool any = any_requires_grad(op, args);
  for (int r = 0; r < op.nresults(); ++r) {
    const Tensor& o = outs[r].as_tensor();
    any = any || (o.defined() && o.requires_grad());
  }
  check(!(any && modes().grad && !(op.flags & kNotDifferentiable)), name,
        "(): functions with out=... arguments don't support automatic differentiation, but one of "
        "the arguments requires grad.");
  if (fused_open) [[unlikely]]
    settle_fused();
  Ints had[kMaxResults];
  for (int r = 0; r < op.nresults(); ++r)
    if (const Tensor& o = outs[r].as_tensor(); o.defined()) {
      check(!o->inference || modes().inference, name,
            "(): Inplace update to inference tensor outside InferenceMode is not allowed. You can "
            "make a clone to get a normal tensor before doing inplace update.");
      check_reads_apart(op, args, o, false);
      check_out_dtype(op, args, o);
      had[r] = o.sizes();
    }
  NoGrad off;
  const bool stored =
      takes_stored(op, args) || (outs[0].is_tensor() && is_stored(outs[0].as_tensor().dtype()));
  if (op.flags & kWritesOut && !stored) {
    op.forward(args, outs);
  } else {
    Value results[kMaxResults];
    stored ? call_op(op, args, results) : run_forward(op, args, results);
    for (int r = 0; r < op.nresults(); ++r) {
      const Tensor& o = outs[r].as_tensor();
      if (!o.defined()) {
        outs[r] = results[r];
        continue;
      }
      check_type(results[r].tag() == Value::tensor, name,
                 "(): out= cannot take a tuple of results");
      const Tensor& got = results[r].as_tensor();
      bool casts = op.pointwise || op.flags & (kCastsOut | kFactory);
      check(casts || got.dtype() == o.dtype(), name, "(): Expected out tensor to have dtype ",
            got.dtype(), ", but got ", o.dtype(), " instead");
      check(can_cast(got.dtype(), o.dtype()), name, "(): result type ", got.dtype(),
            " can't be cast to the desired output type ", o.dtype());
      check(got.device() == o.device(), name, "(): expected out tensor on device ", got.device(),
            ", got ", o.device());
      resize(o, got.sizes());
      copy(o, got);
    }
  }
  for (int r = 0; r < op.nresults(); ++r) {
    outs[r].as_tensor().bump_version();
    if (!(op.flags & kFactory)) warn_of_resize(had[r], outs[r].as_tensor());
  }
}

// -- OpCall ---------------------------------------------------------------------------------------
const Op& OpCall::op() const {
  if (!op_) {
    const Op* o = find_op(name_);
    for (int i = 0; o && i < overload_; ++i) o = o->next_overload;
    check(o != nullptr, "no operator ", name_, ", overload ", overload_);
    op_ = o->alias ? o->alias : o;
  }
  return *op_;
}

namespace {
// Defaults for the arguments left out, and int -> int[] and the like, as a Python call would have
// it.
void complete(const Op& op, Value* args, int given) {
  for (int i = given; i < op.nargs(); ++i) args[i] = op.schema.args[i].fallback;
}
}  // namespace

void OpCall::run(Value* args, int n, Value* results) const {
  const Op& o = op();
  complete(o, args, n);
  call_op(o, args, results);
}

void OpCall::run_inplace(Value* args, int n) const {
  const Op& o = op();
  complete(o, args, n);
  call_inplace(o, args);
}

TensorList OpCall::collect(Value* results) const {
  if (results[0].tag() == Value::tensors) return std::move(results[0].as_tensors());
  TensorList out;
  for (int r = 0; r < op().nresults(); ++r) out.push_back(results[r].as_tensor());
  return out;
}

// -- OpNode and what a gradient formula sees ------------------------------------------------------
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
