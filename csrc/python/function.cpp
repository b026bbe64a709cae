// autograd.Function: operators written in Python, with their own gradient.
#include "../transform.h"
#include "node.h"

#include <algorithm>

namespace flambeau {

PyTypeObject* FunctionBaseType;

// The ctx of forward and backward, and the grad_fn that Python sees. The node owns it; it knows the
// node weakly, for the graph decides how long that lives.
struct PyContext {
  PyObject_HEAD FunctionNode* node;
  PyObject *to_save, *to_save_forward, *dirty, *non_differentiable, *needs_input_grad;
  bool materialize, lost;  // lost: the node is gone, and with it what it saved
};

namespace {

PyContext* cast(PyObject* o) { return reinterpret_cast<PyContext*>(o); }
PyObject* cast(PyContext* c) { return reinterpret_cast<PyObject*>(c); }

bool contains(PyObject* tuple, PyObject* o) {
  if (!tuple) return false;
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(tuple); ++i)
    if (PyTuple_GET_ITEM(tuple, i) == o) return true;
  return false;
}

Py as_tuple(PyObject* o) {  // a lone result is a tuple of one
  if (PyTuple_Check(o)) return Py::borrow(o);
  return Py::steal(checked(PyTuple_Pack(1, o)));
}

Py class_attribute(PyObject* cls, const char* name) {
  return Py::steal(checked(PyObject_GetAttrString(cls, name)));
}

}  // namespace

// -- the node -------------------------------------------------------------------------------------
FunctionNode::FunctionNode(PyContext* c) : context(c) {
  Py_INCREF(cast(c));
  c->node = this;
}

FunctionNode::~FunctionNode() {
  context->node = nullptr;
  context->lost = saved.size() > 0;
  Py_DECREF(cast(context));
}

std::string FunctionNode::name() const { return Py_TYPE(cast(context))->tp_name; }

void FunctionNode::release_saved() {
  for (SavedTensor& s : saved) s.reset();
}

PyObject* context_object(const FunctionNode& n) { return cast(n.context); }
PyObject* context_behind(const Node& n) {
  const auto* f = dynamic_cast<const FunctionNode*>(&n);
  return f ? cast(f->context) : nullptr;
}

namespace {

// ctx and the gradients of the results; what nobody asked for is zeros, or None.
std::vector<Py> backward_arguments(FunctionNode& n, TensorList& grads) {
  std::vector<Py> args = {Py::borrow(cast(n.context))};
  for (size_t i = 0; i < grads.size(); ++i) {
    if (!grads[i].defined() && n.context->materialize && n.outputs[i]) {
      const ResultMeta& r = n.results[i];
      grads[i] = zeros(r.sizes, {r.dtype, r.device});
    }
    args.push_back(Py::steal(checked(wrap(grads[i]))));
    grads[i] = Tensor();
  }
  return args;
}

// A tensor argument of forward takes its gradient; others must have got None.
TensorList gradients_from(const FunctionNode& n, PyObject* result) {
  Py tuple = as_tuple(result);
  auto got = static_cast<size_t>(PyTuple_GET_SIZE(tuple.get()));
  size_t given = got, want = n.inputs.size();
  while (got > want && PyTuple_GET_ITEM(tuple.get(), static_cast<Py_ssize_t>(got) - 1) == Py_None)
    --got;
  check(got == want, "function ", n.name(), " returned an incorrect number of gradients (expected ",
        want, ", got ", given, ")");
  TensorList out;
  for (size_t i = 0; i < want; ++i) {
    PyObject* g = PyTuple_GET_ITEM(tuple.get(), static_cast<Py_ssize_t>(i));
    if (!n.inputs[i]) {
      check(g == Py_None, "function ", n.name(),
            " returned a gradient different from None at "
            "position ",
            i + 1, ", but the corresponding forward input was not a Variable");
      continue;
    }
    check(g == Py_None || is_tensor(g), "function ", n.name(),
          ": expected Variable or None at position ", i + 1, " (got ", Py_TYPE(g)->tp_name, ")");
    out.push_back(g == Py_None ? Tensor() : unwrap(g));
  }
  return out;
}

}  // namespace

TensorList FunctionNode::apply(TensorList&& grads) {
  std::vector<Py> args = backward_arguments(*this, grads);
  auto* type = reinterpret_cast<PyObject*>(Py_TYPE(cast(context)));
  Py cls = class_attribute(type, "_forward_cls");
  Py name = class_attribute(cls.get(), "_backward_name");
  Py backward = Py::steal(checked(PyObject_GetAttr(cls.get(), name.get())));
  std::vector<PyObject*> raw;
  for (const Py& a : args) raw.push_back(a.get());
  Py result =
      Py::steal(checked(PyObject_Vectorcall(backward.get(), raw.data(), raw.size(), nullptr)));
  args.clear();
  return gradients_from(*this, result.get());
}

// -- apply ----------------------------------------------------------------------------------------
namespace {

// One call of a Function.
struct Application {
  PyObject* cls;
  PyObject* const* args;  // the positional ones, behind them those of keywords
  Py_ssize_t nargs;
  PyObject* keywords = nullptr;  // their names
  bool keeps_marks = false;  // what forward marked is read by the caller
  Py context = Py::steal(nullptr);
  Ref<FunctionNode> node;  // null when nothing is recorded
  std::vector<std::pair<TensorImpl*, uint32_t>> results;  // that have the node as their history

  PyContext* ctx() { return cast(context.get()); }
  void prepare();
  Py forward();
  Py record(PyObject* o, uint32_t number, Py_ssize_t count);
  Py record_dirty(PyObject* o, uint32_t number, Py_ssize_t count);
  void save();
  PyObject* run();
};

void Application::prepare() {
  Py type = class_attribute(cls, "_backward_cls");
  context = Py::steal(checked(PyObject_CallNoArgs(type.get())));
  Py needs = Py::steal(checked(PyTuple_New(nargs)));
  bool any = false;
  for (Py_ssize_t i = 0; i < nargs; ++i) {
    bool need = is_tensor(args[i]) && unwrap(args[i]).requires_grad();
    any |= need;
    PyTuple_SET_ITEM(needs.get(), i, Py_NewRef(need ? Py_True : Py_False));
  }
  Py_XSETREF(ctx()->needs_input_grad, needs.release());
  if (!any || !modes().grad || modes().inference) return;
  node = Ref<FunctionNode>::adopt(new FunctionNode(ctx()));
  for (Py_ssize_t i = 0; i < nargs; ++i) {
    node->inputs.push_back(is_tensor(args[i]));
    if (is_tensor(args[i])) node->next.push_back(gradient_edge(unwrap(args[i])));
  }
}

Py Application::forward() {
  NoGrad no_grad;
  Py f = class_attribute(cls, "forward"), separate = class_attribute(cls, "_separate_context");
  if (separate.get() == Py_True) {
    Py out = Py::steal(
        checked(PyObject_Vectorcall(f.get(), args, static_cast<size_t>(nargs), keywords)));
    Py inputs = Py::steal(checked(PyTuple_New(nargs)));
    for (Py_ssize_t i = 0; i < nargs; ++i) PyTuple_SET_ITEM(inputs.get(), i, Py_NewRef(args[i]));
    Py setup = class_attribute(cls, "setup_context");
    Py::steal(checked(PyObject_CallFunctionObjArgs(setup.get(), context.get(), inputs.get(),
                                                   out.get(), nullptr)));
    return out;
  }
  std::vector<PyObject*> all = {context.get()};
  Py_ssize_t named = keywords ? PyTuple_GET_SIZE(keywords) : 0;
  all.insert(all.end(), args, args + nargs + named);
  return Py::steal(
      checked(PyObject_Vectorcall(f.get(), all.data(), static_cast<size_t>(nargs) + 1, keywords)));
}

// A result that forward wrote in place: an input, or a view of one.
Py Application::record_dirty(PyObject* o, uint32_t number, Py_ssize_t count) {
  const Tensor& t = unwrap(o);
  check_inplace(t, bool(node), Py_TYPE(context.get())->tp_name);
  t.bump_version();
  if (!node) return Py::borrow(o);
  check(!t->autograd || !t->autograd->view || (count == 1 && nargs > 0 && args[0] == o),
        Py_TYPE(context.get())->tp_name,
        ": a view that forward() wrote in place must be its first argument and its only result");
  results.emplace_back(t.impl(), number);
  rebase_history(t, node, number);
  return Py::borrow(o);
}

// Gives a result of forward the node as its history.
Py Application::record(PyObject* o, uint32_t number, Py_ssize_t count) {
  bool tensor = is_tensor(o);
  if (node) {
    node->outputs.push_back(tensor);
    if (tensor)
      node->add_result(unwrap(o));
    else
      node->results.emplace_back();
  }
  if (!tensor) return Py::borrow(o);
  if (contains(ctx()->dirty, o)) return record_dirty(o, number, count);
  Tensor t = unwrap(o);
  if (!node || !is_inexact(t.dtype()) || contains(ctx()->non_differentiable, o))
    return Py::borrow(o);
  bool input = std::find(args, args + nargs, o) != args + nargs;
  if (input || (t.requires_grad() && !grad_fn(t))) {  // another's tensor keeps its history
    NoGrad no_grad;
    Tensor same = t.alias();
    make_view_of(same, t);
    t = same;
  }
  if (t->autograd && t->autograd->view)
    t->autograd->view.kind = count > 1 ? ViewKind::multiple : ViewKind::function;
  results.emplace_back(t.impl(), number);
  set_history(t, node, number);
  Py result = Py::steal(checked(wrap(t)));
  track_result(result.get());  // the context may get hold of it
  return result;
}

void Application::save() {
  Py items = Py::steal(std::exchange(ctx()->to_save, nullptr));
  if (!items || !node) return;
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(items.get()); ++i) {
    PyObject* o = PyTuple_GET_ITEM(items.get(), i);
    check_type(o == Py_None || is_tensor(o),
               "save_for_backward can only save variables, but argument ", i, " is of type ",
               Py_TYPE(o)->tp_name);
    if (o == Py_None) {
      node->saved.emplace_back();
      continue;
    }
    const Tensor& t = unwrap(o);
    auto own =
        std::find_if(results.begin(), results.end(), [&](auto& r) { return r.first == t.impl(); });
    bool is_result = own != results.end();
    node->saved.emplace_back(t, is_result, is_result ? own->second : 0);
  }
}

void check_marked(PyObject* marked, const char* rule) {
  for (Py_ssize_t i = 0; marked && i < PyTuple_GET_SIZE(marked); ++i) {
    PyObject* o = PyTuple_GET_ITEM(marked, i);
    check(o == Py_None || is_tensor(o), rule, ", but argument ", i, " is of type ",
          Py_TYPE(o)->tp_name);
  }
}

PyObject* Application::run() {
  prepare();
  Py out = forward();
  Py tuple = as_tuple(out.get());
  Py_ssize_t count = PyTuple_GET_SIZE(tuple.get());
  check_marked(ctx()->non_differentiable,
               "mark_non_differentiable only accepts variable arguments");
  check_marked(ctx()->dirty, "mark_dirty can only accept variables");
  if (PyObject* dirty = ctx()->dirty)
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(dirty); ++i)
      check(contains(tuple.get(), PyTuple_GET_ITEM(dirty, i)),
            "Some elements marked as dirty during the forward method were not returned as output. "
            "The inputs that are modified inplace must all be outputs of the Function.");
  Py made = Py::steal(checked(PyTuple_New(count)));
  for (Py_ssize_t i = 0; i < count; ++i) {
    Py r = record(PyTuple_GET_ITEM(tuple.get(), i), static_cast<uint32_t>(i), count);
    PyTuple_SET_ITEM(made.get(), i, r.release());
  }
  save();
  if (!keeps_marks) {
    Py_CLEAR(ctx()->dirty);
    Py_CLEAR(ctx()->non_differentiable);
  }
  if (PyTuple_Check(out.get())) return made.release();
  return Py_NewRef(PyTuple_GET_ITEM(made.get(), 0));
}

// With its context: what the transforms of a Function are made of.
PyObject* apply_with_context(PyObject* cls, PyObject* const* args, Py_ssize_t n) {
  return guarded([&] {
    Application a{.cls = cls, .args = args, .nargs = n, .node = {}, .results = {}};
    a.keeps_marks = true;
    Py out = Py::steal(a.run());
    return Py_BuildValue("(ON)", a.context.get(), out.release());
  });
}

// Examples of batches and dual numbers go through the class's vmap and jvp.
PyObject* apply_transformed(PyObject* cls, PyObject* const* args, Py_ssize_t n) {
  Py module = Py::steal(checked(PyImport_ImportModule("flambeau.autograd._transformed")));
  Py all = Py::steal(checked(PyTuple_New(n)));
  for (Py_ssize_t i = 0; i < n; ++i) PyTuple_SET_ITEM(all.get(), i, Py_NewRef(args[i]));
  return PyObject_CallMethod(module.get(), "apply", "OO", cls, all.get());
}

// Keywords in the places of forward's arguments: transforms and setup_context want them there.
PyObject* apply_bound(PyObject* cls, PyObject* const* args, Py_ssize_t n, PyObject* keywords) {
  Py bind = Py::steal(imported("flambeau.autograd.function", "_bound"));
  std::vector<PyObject*> all = {cls};
  all.insert(all.end(), args, args + n + PyTuple_GET_SIZE(keywords));
  Py bound = Py::steal(
      checked(PyObject_Vectorcall(bind.get(), all.data(), static_cast<size_t>(n) + 1, keywords)));
  Py run = class_attribute(cls, "apply");
  return PyObject_CallObject(run.get(), bound.get());
}

PyObject* apply(PyObject* cls, PyObject* const* args, Py_ssize_t n, PyObject* keywords) {
  return guarded([&] {
    Py_ssize_t named = keywords ? PyTuple_GET_SIZE(keywords) : 0;
    bool transforms = modes().transforms && std::any_of(args, args + n + named, [](PyObject* o) {
                        return is_tensor(o) && is_transformed(unwrap(o));
                      });
    if (named && (transforms || class_attribute(cls, "_separate_context").get() == Py_True))
      return apply_bound(cls, args, n, keywords);
    if (transforms) return apply_transformed(cls, args, n);
    Application a{.cls = cls, .args = args, .nargs = n, .node = {}, .results = {}};
    a.keywords = keywords;
    return a.run();
  });
}

// -- the context ----------------------------------------------------------------------------------
PyObject* context_new(PyTypeObject* type, PyObject*, PyObject*) {
  PyObject* o = type->tp_alloc(type, 0);
  if (o) cast(o)->materialize = true;
  return o;
}

int context_traverse(PyObject* self, visitproc visit, void* arg) {
  PyContext* c = cast(self);
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(c->to_save);
  Py_VISIT(c->to_save_forward);
  Py_VISIT(c->dirty);
  Py_VISIT(c->non_differentiable);
  Py_VISIT(c->needs_input_grad);
  return 0;
}

int context_clear(PyObject* self) {
  PyContext* c = cast(self);
  Py_CLEAR(c->to_save);
  Py_CLEAR(c->to_save_forward);
  Py_CLEAR(c->dirty);
  Py_CLEAR(c->non_differentiable);
  Py_CLEAR(c->needs_input_grad);
  return 0;
}

void context_dealloc(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  PyObject_GC_UnTrack(self);
  context_clear(self);
  type->tp_free(self);
  Py_DECREF(type);
}

template <PyObject* PyContext::* slot>
PyObject* keep(PyObject* self, PyObject* tensors) {
  Py_XSETREF(cast(self)->*slot, Py_NewRef(tensors));
  Py_RETURN_NONE;
}
template <PyObject* PyContext::* slot>
PyObject* get(PyObject* self, void*) {
  PyObject* o = cast(self)->*slot;
  return Py_NewRef(o ? o : Py_None);
}
template <PyObject* PyContext::* slot>
int set(PyObject* self, PyObject* value, void*) {
  if (value && value != Py_None && !PyTuple_Check(value)) {
    PyErr_Format(PyExc_TypeError, "expected a tuple, got %s", Py_TYPE(value)->tp_name);
    return -1;
  }
  Py_XSETREF(cast(self)->*slot, Py_XNewRef(value == Py_None ? nullptr : value));
  return 0;
}

PyObject* set_materialize_grads(PyObject* self, PyObject* value) {
  int on = PyObject_IsTrue(value);
  if (on < 0) return nullptr;
  cast(self)->materialize = on;
  Py_RETURN_NONE;
}

PyObject* get_materialize_grads(PyObject* self, void*) {
  return PyBool_FromLong(cast(self)->materialize);
}

PyObject* get_saved_tensors(PyObject* self, void*) {
  return guarded([&]() -> PyObject* {
    PyContext* c = cast(self);
    if (c->to_save) return Py_NewRef(c->to_save);
    check(!c->lost, "saved_tensors: the graph that kept them has been freed");
    if (!c->node) return PyTuple_New(0);
    Ref<FunctionNode> node(c->node);  // an unpack hook may drop the graph
    Py tuple = Py::steal(checked(PyTuple_New(node->saved.size())));
    for (uint32_t i = 0; i < node->saved.size(); ++i)
      PyTuple_SET_ITEM(tuple.get(), i, checked(wrap(node->saved[i].unpack(node.get(), true))));
    return tuple.release();
  });
}

FunctionNode& live_node(PyObject* self) {
  check(cast(self)->node != nullptr, Py_TYPE(self)->tp_name,
        ": the graph that this function was part of is gone, or it was never recorded");
  return *cast(self)->node;
}
template <auto F>
PyObject* call(PyObject* self, PyObject*) {
  return guarded([&] { return F(live_node(self)); });
}
template <auto F>
PyObject* call_with(PyObject* self, PyObject* arg) {
  return guarded([&] { return F(live_node(self), arg); });
}
template <auto F>
PyObject* get_of_node(PyObject* self, void*) {
  return guarded([&] { return F(live_node(self)); });
}
PyObject* name_of(PyObject* self, PyObject*) {
  return PyUnicode_FromString(Py_TYPE(self)->tp_name);
}

PyMethodDef methods[] = {
    {"apply", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(apply)),
     METH_CLASS | METH_FASTCALL | METH_KEYWORDS,
     "apply(*args): runs forward and records the gradient."},
    {"_apply_with_context",
     reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(apply_with_context)),
     METH_CLASS | METH_FASTCALL, "apply(*args), as (ctx, results)."},
    {"save_for_backward", keep<&PyContext::to_save>, METH_VARARGS,
     "save_for_backward(*tensors): keeps them for backward, with version checks."},
    {"save_for_forward", keep<&PyContext::to_save_forward>, METH_VARARGS,
     "save_for_forward(*tensors): keeps them for jvp."},
    {"mark_dirty", keep<&PyContext::dirty>, METH_VARARGS,
     "mark_dirty(*tensors): inputs that forward writes in place."},
    {"mark_non_differentiable", keep<&PyContext::non_differentiable>, METH_VARARGS,
     "mark_non_differentiable(*tensors): results without a gradient."},
    {"set_materialize_grads", set_materialize_grads, METH_O,
     "set_materialize_grads(value): whether backward gets zeros, rather than None, for results "
     "that "
     "had no part in the loss."},
    {"name", name_of, METH_NOARGS, "The node's name."},
    {"register_hook", call_with<node_register_hook>, METH_O,
     "register_hook(fn): fn(grad_inputs, grad_outputs) runs after backward; returns a handle."},
    {"register_prehook", call_with<node_register_prehook>, METH_O,
     "register_prehook(fn): fn(grad_outputs) runs before backward; returns a handle."},
    {}};

PyGetSetDef attributes[] = {
    {"saved_tensors", get_saved_tensors, nullptr, "What save_for_backward() was given.", nullptr},
    {"saved_for_forward", get<&PyContext::to_save_forward>, nullptr,
     "What save_for_forward() was given.", nullptr},
    {"to_save", get<&PyContext::to_save>, set<&PyContext::to_save>,
     "Tensors to save when forward ends.", nullptr},
    {"dirty_tensors", get<&PyContext::dirty>, set<&PyContext::dirty>,
     "Inputs that forward wrote in place.", nullptr},
    {"non_differentiable", get<&PyContext::non_differentiable>, set<&PyContext::non_differentiable>,
     "Results without a gradient.", nullptr},
    {"materialize_grads", get_materialize_grads, nullptr,
     "Whether gradients and tangents that are not there are given as zeros.", nullptr},
    {"needs_input_grad", get<&PyContext::needs_input_grad>, set<&PyContext::needs_input_grad>,
     "A bool for every argument of forward: whether its gradient is wanted.", nullptr},
    {"next_functions", get_of_node<node_next_functions>, nullptr,
     "((node, result number), ...): where the gradients go next.", nullptr},
    {"metadata", get_of_node<node_metadata>, nullptr, "A dictionary for notes about the node.",
     nullptr},
    {"_input_metadata", get_of_node<node_input_metadata>, nullptr,
     "(shape, dtype, device) of every result of the forward.", nullptr},
    {}};

}  // namespace

void init_function(PyObject* m) {
  static PyType_Slot slots[] = {
      {Py_tp_doc, const_cast<char*>("The context of an autograd.Function.")},
      {Py_tp_new, reinterpret_cast<void*>(context_new)},
      {Py_tp_dealloc, reinterpret_cast<void*>(context_dealloc)},
      {Py_tp_traverse, reinterpret_cast<void*>(context_traverse)},
      {Py_tp_clear, reinterpret_cast<void*>(context_clear)},
      {Py_tp_methods, methods},
      {Py_tp_getset, attributes},
      {0, nullptr}};
  PyType_Spec spec = {"flambeau._C._FunctionBase", sizeof(PyContext), 0,
                      Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC, slots};
  FunctionBaseType = reinterpret_cast<PyTypeObject*>(checked(PyType_FromSpec(&spec)));
  if (PyModule_AddObjectRef(m, "_FunctionBase", reinterpret_cast<PyObject*>(FunctionBaseType)) < 0)
    throw PythonError{};
}

Node* node_from(PyObject* o) {
  if (PyObject_TypeCheck(o, FunctionBaseType)) return cast(o)->node;
  if (!PyObject_TypeCheck(o, NodeType)) return nullptr;
  return node_behind(o);
}

}  // namespace flambeau
