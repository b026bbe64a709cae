// Forward-mode derivatives from the gradient formulas, and the way to the batching rules.
//
// An operator's gradient formula G is linear in the incoming gradient u, and it is made of recorded
// operators. The derivative of the operator in a direction t is the transpose of G applied to t:
// the gradient of <G(u), t> with respect to u. So one formula serves both modes.
#include "transform.h"

#include <algorithm>

#include "op_node.h"

namespace flambeau {

TransformBinding transform_binding;

namespace {

const OpCall alias_op("alias"), copy_op("copy_"), clone_op("clone"), stack_op("stack"),
    select_op("select"), as_strided_op("as_strided");

Tensor mark(const Tensor& t, Transformed x) {
  live_examples += x.batch;
  autograd_meta(t).transformed = std::make_unique<Transformed>(std::move(x));
  return t;
}

// The tensor without the derivative that it, or what it is a view of, is about to get.
Tensor primal_alias(const Tensor& t) {
  ViewInfo& own = autograd_meta(t).view;
  const bool before = std::exchange(own.primal, true);
  Tensor p = alias_op(t);
  own.primal = before;
  autograd_meta(p).view.primal = true;
  return p;
}

}  // namespace

// -- the two kinds of tensors ---------------------------------------------------------------------
Tensor make_batch(const Tensor& value, int64_t dim, int level) {
  dim = wrap_dim(dim, value.dim());
  Ints sizes, strides;
  for (int64_t d = 0; d < value.dim(); ++d) {
    if (d == dim) continue;
    sizes.push_back(value.sizes()[d]);
    strides.push_back(value.strides()[d]);
  }
  bool none = value.sizes()[dim] == 0;  // no first example to show
  Tensor t =
      none ? empty(sizes, value.options()) : value.as_strided_raw(sizes, strides, value->offset);
  return mark(t, {true, level, dim, value, {}});
}

Tensor make_dual(const Tensor& primal, const Tensor& tangent, int level) {
  if (!tangent.defined()) return primal;
  // Laid out alike, so that what is a view of one is a view of the other.
  bool alike = tangent.strides() == primal.strides() || primal.numel() < 2 || !is_dense(primal);
  if (!alike) {
    Tensor t = empty_strided(primal.sizes(), primal.strides(), tangent.options());
    copy_op.inplace(t, tangent);
    return make_dual(primal, t, level);
  }
  return mark(alias_op(primal), {false, level, 0, primal, tangent});
}

Tensor primal_of(const Tensor& t, int level) {
  if (!t.defined()) return t;
  const Transformed* x = dual_of(t);
  return x && x->level == level ? x->value : t;
}

Tensor tangent_of(const Tensor& t, int level) {
  if (!t.defined()) return {};
  const Transformed* x = dual_of(t);
  return x && x->level == level ? x->tangent : Tensor();
}

const Transformed* transformed_by_base(const Tensor& view) {
  const ViewInfo& info = view->autograd->view;
  const AutogradMeta* b = info.base->autograd;
  const Transformed* whole = b ? b->transformed.get() : nullptr;
  if (!whole || whole->batch || info.primal || view.dtype() != info.base.dtype()) return nullptr;
  const Tensor& base = info.base;
  const Tensor& tangent = whole->tangent;
  if (tangent.strides() != base.strides()) return nullptr;
  Tensor part = as_strided_op(tangent, view.sizes(), view.strides(),
                              view->offset - base->offset + tangent->offset);
  mark(view, {false, whole->level, 0, primal_alias(view), part});
  return view->autograd->transformed.get();
}

void check_readable(const Tensor& t, const char* what) {
  check(!modes().vmaps || !batch_of(t), "vmap: It looks like you're ", what);
}

thread_local bool forward_enabled = true;

// -- what a call is about -------------------------------------------------------------------------
namespace {

struct Scan {
  bool batch = false;
  int level = 0;  // the innermost derivative
  void see(const Tensor& t) {
    if (!t.defined()) return;
    const Transformed* x = transformed_of(t);
    if (!x) return;
    batch |= x->batch;
    if (!x->batch && forward_enabled) level = std::max(level, x->level);
  }
  Scan(const Op& op, const Value* args) {
    for (uint64_t m = op.tensor_args; m; m &= m - 1) {
      const Value& v = args[__builtin_ctzll(m)];
      if (v.tag() == Value::tensor) {
        see(v.as_tensor());
      } else if (v.tag() == Value::tensors) {
        for (const Tensor& t : v.as_tensors()) see(t);
      }
    }
  }
};

bool draws(const Op& op) {
  for (const Argument& a : op.schema.args)
    if (a.type == ArgType::generator) return true;
  return false;
}

// Each tensor argument in two: without the derivative of that level, and the derivative.
void take_apart(const Op& op, const Value* args, int level, Value* primals, Value* tangents) {
  for (int i = 0; i < op.nargs(); ++i) {
    primals[i] = args[i];
    if (args[i].tag() == Value::tensor) {
      primals[i] = Value(primal_of(args[i].as_tensor(), level));
      tangents[i] = Value(tangent_of(args[i].as_tensor(), level));
    } else if (args[i].tag() == Value::tensors) {
      TensorList ps, ts;
      for (const Tensor& t : args[i].as_tensors()) {
        ps.push_back(primal_of(t, level));
        ts.push_back(tangent_of(t, level));
      }
      primals[i] = Value(std::move(ps));
      tangents[i] = Value(std::move(ts));
    }
  }
}

TensorList flatten(const Op& op, const Value* values) {
  TensorList out;
  for (int r = 0; r < op.nresults(); ++r) {
    if (values[r].tag() == Value::tensors)
      out.insert(out.end(), values[r].as_tensors().begin(), values[r].as_tensors().end());
    else
      out.push_back(values[r].as_tensor());
  }
  return out;
}

void put_together(const Op& op, Value* results, const TensorList& tangents, int level) {
  size_t at = 0;
  auto join = [&](const Tensor& t) {
    const Tensor& d = tangents[at++];
    return d.defined() ? make_dual(t, d, level) : t;
  };
  for (int r = 0; r < op.nresults(); ++r) {
    if (results[r].tag() == Value::tensors) {
      for (Tensor& t : results[r].as_tensors()) t = join(t);
    } else {
      results[r] = Value(join(results[r].as_tensor()));
    }
  }
}

// -- forward mode ---------------------------------------------------------------------------------
struct Sink final : Node {  // where the gradients of a formula seem to go
  TensorList apply(TensorList&&) override { return {}; }
  std::string name() const override { return "Sink"; }
};

const Tensor& item_of(const Value& v, int k) {
  static const Tensor undefined;
  if (v.tag() == Value::tensors) return v.as_tensors()[static_cast<size_t>(k)];
  return v.as_tensor();
}

bool matters(const Tensor& t) { return t.defined() && (t.requires_grad() || is_transformed(t)); }

// Whether the derivative has to be made of recorded operators itself.
bool differentiated_again(const OpNode& formula, const Value* primals, const Value* tangents) {
  for (auto [i, k] : formula.slots) {
    const Tensor &p = item_of(primals[i], k), &t = item_of(tangents[i], k);
    if ((p.defined() && is_transformed(p)) || (t.defined() && is_transformed(t))) return true;
    if (modes().grad && (matters(p) || matters(t))) return true;
  }
  return false;
}

bool shares(const Tensor& t, const OpNode& formula, const Value* tangents) {
  for (auto [i, k] : formula.slots) {
    const Tensor& in = item_of(tangents[i], k);
    if (in.defined() && in->storage == t->storage) return true;
  }
  return false;
}

// The gradients with respect to `inputs` of <roots, directions>, where these may be dual numbers.
TensorList pull(const TensorList& roots, const TensorList& directions, const TensorList& inputs,
                bool again) {
  int level = 0;
  for (const TensorList* list : {&roots, &directions})
    for (const Tensor& t : *list)
      if (const Transformed* x = dual_of(t)) level = std::max(level, x->level);
  if (!level) {
    TensorList live, along;
    for (size_t i = 0; i < roots.size(); ++i) {
      if (!roots[i].requires_grad()) continue;
      live.push_back(roots[i]);
      along.push_back(directions[i]);
    }
    if (live.empty()) return TensorList(inputs.size());
    return run_backward(live, along, again, again, inputs, false, true);
  }
  TensorList r, d, dr, dd;
  for (size_t i = 0; i < roots.size(); ++i) {
    r.push_back(primal_of(roots[i], level));
    d.push_back(primal_of(directions[i], level));
    if (Tensor t = tangent_of(roots[i], level); t.defined()) {
      dr.push_back(t);
      dd.push_back(d.back());
    }
    if (Tensor t = tangent_of(directions[i], level); t.defined()) {
      dr.push_back(r.back());
      dd.push_back(t);
    }
  }
  TensorList out = pull(r, d, inputs, true), change = pull(dr, dd, inputs, true);
  for (size_t i = 0; i < out.size(); ++i) {
    if (!change[i].defined()) continue;
    if (!out[i].defined()) out[i] = zeros(change[i].sizes(), change[i].options());
    out[i] = make_dual(out[i], change[i], level);
  }
  return out;
}

// The derivatives of the results, undefined where zero.
TensorList derivatives(const Op& op, const Value* primals, const Value* tangents,
                       const TensorList& results) {
  Ref<OpNode> formula = gradient_formula(op, primals, results);
  bool again = differentiated_again(*formula, primals, tangents);
  static const NodeRef sink = NodeRef::adopt(new Sink);
  TensorList u(results.size()), inputs, roots, directions;
  for (size_t r = 0; r < results.size(); ++r) {
    if (!results[r].defined() || !is_inexact(results[r].dtype())) continue;
    // Ones: a formula may look at signs, where linear means linear on each side of zero.
    u[r] = full(results[r].sizes(), 1, results[r].options());
    autograd_meta(u[r]).requires_grad = true;
    inputs.push_back(u[r]);
  }
  for (uint32_t s = 0; s < formula->slots.size(); ++s) {
    auto [i, k] = formula->slots[s];
    if (item_of(tangents[i], k).defined()) formula->next[s] = {sink, 0};
  }
  {
    GradMode on(true);
    TensorList g = formula->apply(TensorList(u));
    for (uint32_t s = 0; s < formula->slots.size(); ++s) {
      auto [i, k] = formula->slots[s];
      const Tensor& t = item_of(tangents[i], k);
      if (!t.defined() || !g[s].defined()) continue;
      conform(g[s], {t.sizes(), t.dtype(), t.device()}, *formula, s);
      roots.push_back(g[s]);
      directions.push_back(t);
    }
  }
  TensorList out(results.size());
  if (roots.empty() || inputs.empty()) return out;
  TensorList found = pull(roots, directions, inputs, again);
  size_t at = 0;
  for (size_t r = 0; r < results.size(); ++r) {
    if (!u[r].defined()) continue;
    Tensor& t = found[at++];
    if (t.defined()) out[r] = shares(t, *formula, tangents) ? clone_op(t) : std::move(t);
  }
  return out;
}

void forward_mode(const Op& op, Value* args, Value* results, int level) {
  Value primals[kMaxArgs], tangents[kMaxArgs];
  take_apart(op, args, level, primals, tangents);
  call_op(op, primals, results);
  if (op.flags & kNotDifferentiable) return;  // detach() among them: it stops derivatives too
  // A view's derivative is the same view of the derivative: writes through one reach the other.
  if (op.flags & kView) {
    if (results[0].is_tensor() && results[0].as_tensor().is_same(primals[0].as_tensor())) {
      results[0] = args[0];
      return;
    }
    primals[0] = tangents[0];
    Value parts[kMaxResults];
    call_op(op, primals, parts);
    put_together(op, results, flatten(op, parts), level);
    return;
  }
  TensorList all = flatten(op, results);
  if (std::none_of(all.begin(), all.end(),
                   [](const Tensor& t) { return t.defined() && is_inexact(t.dtype()); }))
    return;
  put_together(op, results, derivatives(op, primals, tangents, all), level);
}

// -- forward mode, in place -----------------------------------------------------------------------
void add_derivative(const Tensor& self, const Tensor& tangent, int level) {
  mark(self, {false, level, 0, primal_alias(self), tangent});
}

// A derivative of zeros for a tensor that has none: a view's is the same view of its base's.
Tensor ensure_derivative(const Tensor& self, int level) {
  if (Tensor t = tangent_of(self, level); t.defined()) return t;
  const AutogradMeta* m = self->autograd;
  Tensor base = m && m->view ? m->view.base : Tensor();
  Tensor t;
  if (base.defined() && base.dtype() == self.dtype() && is_dense(base)) {
    Tensor whole = ensure_derivative(base, level);
    t = as_strided_op(whole, self.sizes(), self.strides(), self->offset - base->offset);
  } else {
    Ints strides = is_dense(self) ? self.strides() : contiguous_strides(self.sizes());
    t = empty_strided(self.sizes(), strides, self.options());
    zero(t);
  }
  add_derivative(self, t, level);
  return t;
}

void copy_forward(const Tensor& self, const Value& src, const Op& op, Value* args, int level) {
  Tensor from = src.as_tensor();
  Value plain[kMaxArgs];
  for (int i = 0; i < op.nargs(); ++i) plain[i] = args[i];
  Tensor old = tangent_of(self, level);
  plain[0] = Value(primal_of(self, level));
  plain[1] = Value(primal_of(from, level));
  call_inplace(op, plain);
  Tensor t = tangent_of(from, level);
  if (!t.defined() && !old.defined()) return;
  if (!old.defined()) old = ensure_derivative(self, level);
  static const OpCall zero_op("zero_");
  if (t.defined())
    copy_op.inplace(old, t);
  else
    zero_op.inplace(old);
}

void same_geometry(const Tensor& t, const Tensor& from) {
  t->sizes = from.sizes();
  t->strides = from.strides();
  t->offset = from->offset;
  t->refresh();
}

// Whether an argument, its derivative or a derivative of these requires a gradient.
bool is_recorded(const Tensor& t) {
  if (!t.defined()) return false;
  const Transformed* x = transformed_of(t);
  return t.requires_grad() || (x && (is_recorded(x->value) || is_recorded(x->tangent)));
}
bool is_recorded(const Op& op, const Value* args) {
  for (int i = 0; i < op.nargs(); ++i)
    if (args[i].is_tensor() && is_recorded(args[i].as_tensor())) return true;
  return false;
}

bool forward_inplace(const Op& op, Value* args, int level) {
  static const Op* const copy = find_op("copy_");
  Tensor self = args[0].as_tensor();
  if (&op == copy) {
    copy_forward(self, args[1], op, args, level);
    return true;
  }
  Tensor p = primal_of(self, level), t = tangent_of(self, level);
  if (op.flags & kNotDifferentiable || (op.flags & kOnlyInplace && !(op.flags & kView))) {
    args[0] = Value(p);
    call_inplace(op, args);
    static const OpCall zero_op("zero_");
    if (t.defined()) zero_op.inplace(t);
    return true;
  }
  if (op.flags & kView) {  // squeeze_, t_: another shape for the same memory
    args[0] = Value(p);
    call_inplace(op, args);
    args[0] = Value(t);
    if (t.defined()) call_inplace(op, args);
    same_geometry(self, p);
    return true;
  }
  Value results[kMaxResults];
  if (modes().grad && is_recorded(op, args))  // what is saved is not what the copy overwrites
    args[0] = Value(clone_op(self));
  call_op(op, args, results);
  const Tensor& r = results[0].as_tensor();
  check(can_cast(r.dtype(), self.dtype()), op.schema.name, "_(): result type ", r.dtype(),
        " can't be cast to the desired output type ", self.dtype());
  check(r.sizes() == self.sizes(), op.schema.name, "_(): output with shape ", self.sizes(),
        " doesn't match the broadcast shape ", r.sizes());
  copy_op.inplace(self, r);
  return true;
}

}  // namespace

// -- the entries ----------------------------------------------------------------------------------
bool transformed_call(const Op& op, Value* args, Value* results) {
  if (op.flags & kOnlyInplace) return false;  // comes back by call_inplace
  Scan scan(op, args);
  if (scan.batch || (modes().vmaps && draws(op)))
    return transform_binding.batched(op, args, results, false);
  if (!scan.level || op.flags & kComposite) return false;
  forward_mode(op, args, results, scan.level);
  return true;
}

bool transformed_inplace(const Op& op, Value* args) {
  Scan scan(op, args);
  if (scan.batch || (modes().vmaps && draws(op))) {
    Value results[kMaxResults];
    return transform_binding.batched(op, args, results, true);
  }
  if (!scan.level || (op.flags & kComposite && !op.inplace)) return false;
  return forward_inplace(op, args, scan.level);
}

bool transformed_out(const Op& op, Value* args, Value* outs) {
  Scan scan(op, args);
  bool any = scan.batch || scan.level;
  for (int r = 0; r < op.nresults(); ++r)
    any = any || (outs[r].is_tensor() && is_transformed(outs[r].as_tensor()));
  if (!any) return false;
  Value results[kMaxResults];
  call_op(op, args, results);
  for (int r = 0; r < op.nresults(); ++r) {
    if (!outs[r].is_tensor()) {
      outs[r] = results[r];
      continue;
    }
    if (!is_transformed(outs[r].as_tensor()))
      resize(outs[r].as_tensor(), results[r].as_tensor().sizes());
    copy_op.inplace(outs[r].as_tensor(), results[r].as_tensor());
  }
  return true;
}

TensorList apply_to_examples(Node& node, TensorList&& grads) {
  int level = 0;
  int64_t count = 0;
  for (const Tensor& g : grads) {
    const Transformed* x = g.defined() ? transformed_of(g) : nullptr;
    if (!x || !x->batch || x->level < level) continue;
    level = x->level;
    count = x->value.sizes()[x->dim];
  }
  check(level > 0, node.name(), ": a gradient in forward mode does not pass an in-place write");
  std::vector<TensorList> columns;
  for (int64_t i = 0; i < count; ++i) {
    TensorList one = grads;
    for (Tensor& g : one) {
      const Transformed* x = g.defined() ? batch_of(g) : nullptr;
      if (x && x->level == level) g = select_op(x->value, x->dim, i);
    }
    TensorList got = node.apply(std::move(one));
    columns.resize(got.size());
    for (size_t k = 0; k < got.size(); ++k)
      if (got[k].defined()) columns[k].push_back(got[k]);
  }
  TensorList out(columns.size());
  for (size_t k = 0; k < columns.size(); ++k)
    if (static_cast<int64_t>(columns[k].size()) == count && count)
      out[k] = make_batch(stack_op(std::move(columns[k])), 0, level);
  return out;
}

}  // namespace flambeau
