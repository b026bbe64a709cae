// The operator table, and the call of a record with its autograd.
#include "op.h"

#include <algorithm>
#include <unordered_map>

#include "node_names.h"
#include "op_node.h"
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

// Whether f(t) holds for one of the tensors among the arguments of the mask.
template <class F>
bool any_tensor(uint64_t mask, const Value* args, F f) {
  for (uint64_t m = mask; m; m &= m - 1) {
    const Value& v = args[__builtin_ctzll(m)];
    if (v.tag() == Value::tensor) {
      if (v.as_tensor().defined() && f(v.as_tensor())) return true;
    } else if (v.tag() == Value::tensors) {
      for (const Tensor& t : v.as_tensors())
        if (t.defined() && f(t)) return true;
    }
  }
  return false;
}

bool any_requires_grad(const Op& op, const Value* args) {
  return any_tensor(op.tensor_args, args, [](const Tensor& t) { return t.requires_grad(); });
}

bool records(const Op& op, const Value* args) {
  return modes().grad && !modes().inference && !(op.flags & kNotDifferentiable) &&
         any_requires_grad(op, args);
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
// Meta tensors have no memory for a kernel to read. Only numbers and indices may lie on the CPU,
// beside a first tensor that does not.
void check_devices(const Op& op, const Value* args) {
  if (op.pointwise || op.flags & kAnyDevice || !(op.tensor_args & (op.tensor_args - 1))) return;
  bool meta = false, other = false, first_is_meta = false, alone = true;
  any_tensor(op.tensor_args, args, [&](const Tensor& t) {
    if (!meta && !other) first_is_meta = t.is_meta();
    (t.is_meta() ? meta : other) = true;
    alone = alone && (t.is_meta() || t.dim() == 0 || op.flags & kIndexed);
    return false;
  });
  check(!meta || !other || (first_is_meta && alone), op.schema.name,
        "(): Expected all tensors to be on the same device, but found at least two devices, cpu "
        "and meta");
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

// The parts record themselves; where the whole has a name, the last part shows as all of it.
void run_composite(const Op& op, Value* args, Value* results) {
  const bool named = op.flags & kNamedComposite && modes().grad;
  const uint64_t since = named ? node_count() : 0;
  op.forward(args, results);
  for (int r = 0; named && r < op.nresults(); ++r)
    if (results[r].tag() == Value::tensor)
      name_composite(results[r].as_tensor(), op.node_name, since);
}

}  // namespace

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

namespace {

// How an operator reads what it is given, beside what it writes.
enum class Reads {
  first,  // all before it writes: they may share memory
  along,  // element by element: they may share all of it or none
  apart,  // by index: they may share none
};

Reads reads_of(const Op& op, bool inplace) {
  if (op.flags & kIndexed) return Reads::apart;
  if (op.flags & kReadsFirst) return Reads::first;
  return inplace || op.pointwise || op.flags & kReadsAlong ? Reads::along : Reads::first;
}

void check_reads_apart(const Op& op, const Value* args, const Tensor& out, bool inplace) {
  const Reads reads = reads_of(op, inplace);
  if (reads == Reads::first) return;
  // out= of what may be called in place may be its first argument.
  const uint64_t self = inplace || (op.inplace && reads == Reads::apart);
  any_tensor(op.tensor_args & ~self, args, [&](const Tensor& in) {
    if (in->storage.get() != out->storage.get()) return false;
    const auto check_overlap = reads == Reads::apart ? check_no_overlap : check_no_partial_overlap;
    check_overlap(out, in, op.schema.name.c_str());
    return false;
  });
}

// What an operator made, into self or a tensor given as out=.
void check_castable(const Op& op, const char* call, const Tensor& result, const Tensor& out) {
  check(can_cast(result.dtype(), out.dtype()), op.schema.name, call, ": result type ",
        result.dtype(), " can't be cast to the desired output type ", out.dtype());
}

// The parts of a composite record; the write is a copy of the result.
void copy_composite(const Op& op, Value* args, const Tensor& self) {
  static const OpCall clone("clone"), copy_into("copy_");
  if (self.requires_grad() && modes().grad)
    args[0] = Value(clone(self));  // what the parts save is not what the copy overwrites
  Value results[kMaxResults];
  op.forward(args, results);
  args[0] = Value(self);
  check_castable(op, "_()", results[0].as_tensor(), self);
  copy_into(self, results[0].as_tensor());
}

void write_inplace(const Op& op, Value* args, const Tensor& self, Value* results) {
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
    check_castable(op, "_()", r, self);
    check(r.sizes() == self.sizes(), op.schema.name, "_(): output with shape ", self.sizes(),
          " doesn't match the broadcast shape ", r.sizes());
    copy(self, r);
  }
}

}  // namespace

void call_inplace(const Op& op, Value* args) {
  if (modes().transforms) [[unlikely]]
    if (transformed_inplace(op, args)) return;
  Tensor self = args[0].as_tensor();
  if (op.flags & kComposite && !op.inplace) return copy_composite(op, args, self);
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
  if (recording) node = make_inplace_node(op, args);
  write_inplace(op, args, self, results);
  self.bump_version();
  if (recording) record_inplace(op, node, self, results);
}

namespace {

// dtype= and out= must agree.
void check_out_dtype(const Op& op, const Value* args, const Tensor& out) {
  for (int i = 0; i < op.nargs(); ++i)
    if (args[i].tag() == Value::dtype && op.schema.args[i].name == "dtype")
      check(args[i].as_dtype() == out.dtype(), op.schema.name,
            "(): Expected out tensor to have dtype ", args[i].as_dtype(), ", but got ", out.dtype(),
            " instead");
}

void check_outs(const Op& op, const Value* args, const Value* outs) {
  const char* name = op.schema.name.c_str();
  bool any = any_requires_grad(op, args);
  for (int r = 0; r < op.nresults(); ++r) {
    const Tensor& o = outs[r].as_tensor();
    any = any || (o.defined() && o.requires_grad());
  }
  check(!(any && modes().grad && !(op.flags & kNotDifferentiable)), name,
        "(): functions with out=... arguments don't support automatic differentiation, but one of "
        "the arguments requires grad.");
  for (int r = 0; r < op.nresults(); ++r) {
    const Tensor& o = outs[r].as_tensor();
    if (!o.defined()) continue;
    check(!o->inference || modes().inference, name,
          "(): Inplace update to inference tensor outside InferenceMode is not allowed. You can "
          "make a clone to get a normal tensor before doing inplace update.");
    check_reads_apart(op, args, o, false);
    check_out_dtype(op, args, o);
  }
}

void copy_to_out(const Op& op, const Value& result, const Tensor& out) {
  const char* name = op.schema.name.c_str();
  check_type(result.tag() == Value::tensor, name, "(): out= cannot take a tuple of results");
  const Tensor& got = result.as_tensor();
  const bool casts = op.pointwise || op.flags & (kCastsOut | kFactory);
  check(casts || got.dtype() == out.dtype(), name, "(): Expected out tensor to have dtype ",
        got.dtype(), ", but got ", out.dtype(), " instead");
  check_castable(op, "()", got, out);
  check(got.device() == out.device(), name, "(): expected out tensor on device ", got.device(),
        ", got ", out.device());
  resize(out, got.sizes());
  copy(out, got);
}

}  // namespace

void call_out(const Op& op, Value* args, Value* outs) {
  if (modes().transforms) [[unlikely]]
    if (transformed_out(op, args, outs)) return;
  if (fused_open) [[unlikely]]
    settle_fused();
  check_outs(op, args, outs);
  Ints had[kMaxResults];
  for (int r = 0; r < op.nresults(); ++r)
    if (const Tensor& o = outs[r].as_tensor(); o.defined()) had[r] = o.sizes();
  NoGrad off;
  const bool stored =
      takes_stored(op, args) || (outs[0].is_tensor() && is_stored(outs[0].as_tensor().dtype()));
  if (op.flags & kWritesOut && !stored) {
    op.forward(args, outs);
  } else {
    Value results[kMaxResults];
    stored ? call_op(op, args, results) : run_forward(op, args, results);
    for (int r = 0; r < op.nresults(); ++r) {
      if (const Tensor& o = outs[r].as_tensor(); o.defined())
        copy_to_out(op, results[r], o);
      else
        outs[r] = results[r];
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

}  // namespace flambeau
