// Nodes of the graph as Python objects, and Python callables as their hooks.
#include "node.h"

#include <structmember.h>

#include <algorithm>

#include "../node_names.h"

namespace flambeau {

PyTypeObject* NodeType;

PyObject* imported(const char* module, const char* name) {
  Py m = Py::steal(checked(PyImport_ImportModule(module)));
  return checked(PyObject_GetAttrString(m.get(), name));
}

namespace {

struct PyNode {
  PyObject_HEAD Node* node;  // owned
  PyObject* weakrefs;
};

PyNode* cast(PyObject* o) { return reinterpret_cast<PyNode*>(o); }

// -- hooks ----------------------------------------------------------------------------------------

// Callables in the order of their handles: an OrderedDict, which a RemovableHandle knows weakly.
struct HookTable {
  Py table = Py::steal(nullptr);
  HookTable() {
    static PyObject* ordered_dict = imported("collections", "OrderedDict");
    table = Py::steal(checked(PyObject_CallNoArgs(ordered_dict)));
  }
  Py functions() const {  // a list of its own: hooks may remove hooks
    return Py::steal(checked(PyMapping_Values(table.get())));
  }
  PyObject* add(PyObject* hook) {
    check_type(PyCallable_Check(hook), "register_hook(): hook must be callable, got ",
               Py_TYPE(hook)->tp_name);
    static PyObject* handle_class = imported("flambeau.utils.hooks", "RemovableHandle");
    Py handle = Py::steal(checked(PyObject_CallOneArg(handle_class, table.get())));
    Py id = Py::steal(checked(PyObject_GetAttrString(handle.get(), "id")));
    if (PyObject_SetItem(table.get(), id.get(), hook) < 0) throw PythonError{};
    return handle.release();
  }
};

std::string hook_name(PyObject* hook) {
  Py name = Py::steal(PyObject_GetAttrString(hook, "__name__"));
  const char* text = name ? PyUnicode_AsUTF8(name.get()) : nullptr;
  PyErr_Clear();
  return text ? text : "hook";
}

void check_replacement(const Tensor& was, const Tensor& got, PyObject* hook) {
  check(was.dtype() == got.dtype(), "hook '", hook_name(hook),
        "' has changed the type of value (was ", was.dtype(), ", got ", got.dtype(), ")");
  check(was.sizes() == got.sizes(), "hook '", hook_name(hook),
        "' has changed the size of value (was ", was.sizes(), ", got ", got.sizes(), ")");
  check(was.device() == got.device(), "hook '", hook_name(hook),
        "' has changed the device of value (was ", was.device(), ", got ", got.device(), ")");
}

const Tensor& replacement(PyObject* result, const Tensor& was, PyObject* hook) {
  check_type(is_tensor(result), "expected Variable, but hook returned '", Py_TYPE(result)->tp_name,
             "'");
  if (was.defined()) check_replacement(was, unwrap(result), hook);
  return unwrap(result);
}

struct PyTensorHook final : TensorHook, HookTable {
  Tensor operator()(const Tensor& grad) override {
    Tensor g = grad;
    Py hooks = functions();
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(hooks.get()); ++i) {
      PyObject* hook = PyList_GET_ITEM(hooks.get(), i);
      Py arg = Py::steal(checked(wrap(g)));
      Py result = Py::steal(checked(PyObject_CallOneArg(hook, arg.get())));
      if (result.get() != Py_None) g = replacement(result.get(), g, hook);
    }
    return g;
  }
};

struct PyPostAccumulateHook final : TensorHook, HookTable {
  Tensor operator()(const Tensor& leaf) override {
    Py hooks = functions();
    Py arg = Py::steal(checked(wrap(leaf)));
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(hooks.get()); ++i) {
      Py r = Py::steal(checked(PyObject_CallOneArg(PyList_GET_ITEM(hooks.get(), i), arg.get())));
      if (r.get() == Py_None || r.get() == arg.get()) continue;  // of a method in place: the leaf
      check_type(is_tensor(r.get()), "expected a tensor, but hook returned '",
                 Py_TYPE(r.get())->tp_name, "'");
      fail(ErrorKind::runtime, "Tensor post accumulate grad hooks should return None.");
    }
    return {};
  }
};

}  // namespace

Py wrap_all(const TensorList& list) {
  Py tuple = Py::steal(checked(PyTuple_New(static_cast<Py_ssize_t>(list.size()))));
  for (size_t i = 0; i < list.size(); ++i)
    PyTuple_SET_ITEM(tuple.get(), static_cast<Py_ssize_t>(i), checked(wrap(list[i])));
  return tuple;
}

namespace {

// Takes what a node's hook returned in place of `grads`: None or a tuple, or, where `lone` allows
// it, a single gradient.
void replace_all(PyObject* result, TensorList& grads, PyObject* hook, bool lone) {
  if (result == Py_None) return;
  Py tuple = Py::borrow(result);
  if (lone && !PyTuple_Check(result)) tuple = Py::steal(checked(PyTuple_Pack(1, result)));
  check_type(PyTuple_Check(tuple.get()), "expected tuple, but hook returned '",
             Py_TYPE(result)->tp_name, "'");
  check(PyTuple_GET_SIZE(tuple.get()) == static_cast<Py_ssize_t>(grads.size()), "hook '",
        hook_name(hook), "' has returned an incorrect number of values (got ",
        PyTuple_GET_SIZE(tuple.get()), ", but expected ", grads.size(), ")");
  for (size_t i = 0; i < grads.size(); ++i) {
    PyObject* g = PyTuple_GET_ITEM(tuple.get(), static_cast<Py_ssize_t>(i));
    if (g == Py_None)
      grads[i] = Tensor();
    else
      grads[i] = replacement(g, grads[i], hook);
  }
}

struct PyPreHook final : NodePreHook, HookTable {
  void operator()(TensorList& grads) override {
    Py hooks = functions();
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(hooks.get()); ++i) {
      PyObject* hook = PyList_GET_ITEM(hooks.get(), i);
      Py args = wrap_all(grads);
      Py result = Py::steal(checked(PyObject_CallOneArg(hook, args.get())));
      replace_all(result.get(), grads, hook, false);
    }
  }
};

struct PyPostHook final : NodePostHook, HookTable {
  void operator()(TensorList& grad_inputs, const TensorList& grad_outputs) override {
    Py hooks = functions();
    Py outputs = wrap_all(grad_outputs);
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(hooks.get()); ++i) {
      PyObject* hook = PyList_GET_ITEM(hooks.get(), i);
      Py args = wrap_all(grad_inputs);
      PyObject* both[] = {args.get(), outputs.get()};
      Py result = Py::steal(checked(PyObject_Vectorcall(hook, both, 2, nullptr)));
      replace_all(result.get(), grad_inputs, hook, true);
    }
  }
};

// The table of Python hooks of kind H in a list, made when there is none.
template <class H, class Base>
H& table_in(std::vector<std::shared_ptr<Base>>& list) {
  for (auto& h : list)
    if (auto* p = dynamic_cast<H*>(h.get())) return *p;
  auto made = std::make_shared<H>();
  list.push_back(made);
  return *made;
}

}  // namespace

// The hooks on the gradient of t.
static PyTensorHook& hooks_of(const Tensor& t) {
  NodeRef node = grad_fn(t);
  if (!node) return table_in<PyTensorHook>(autograd_meta(t).ensure_hooks().tensor);
  uint32_t number = autograd_meta(t).result_number;
  auto& list = node->ensure_hooks().tensor_hooks;
  for (auto& [result, h] : list)
    if (auto* p = dynamic_cast<PyTensorHook*>(h.get()); p && result == number) return *p;
  auto made = std::make_shared<PyTensorHook>();
  list.emplace_back(number, made);
  return *made;
}

PyObject* tensor_register_hook(const Tensor& t, PyObject* hook) {
  check(t.requires_grad(), "cannot register a hook on a tensor that doesn't require gradient");
  return hooks_of(t).add(hook);
}

void tensor_set_backward_hooks(const Tensor& t, PyObject* hooks) {
  check(hooks != nullptr, "_backward_hooks cannot be deleted");
  check_type(hooks == Py_None || PyDict_Check(hooks),
             "_backward_hooks must be a dict or None, got ", Py_TYPE(hooks)->tp_name);
  hooks_of(t).table = hooks == Py_None ? std::move(HookTable().table) : Py::borrow(hooks);
}

// _backward_hooks: {id: hook}, or None.
PyObject* tensor_backward_hooks(const Tensor& t) {
  const AutogradMeta* m = t->autograd;
  const NodeRef node = grad_fn(t);
  if (node && node->hooks) {
    for (auto& [result, h] : node->hooks->tensor_hooks)
      if (auto* p = dynamic_cast<PyTensorHook*>(h.get()); p && result == m->result_number)
        return Py_NewRef(p->table.get());
  } else if (!node && m && m->hooks) {
    for (auto& h : m->hooks->tensor)
      if (auto* p = dynamic_cast<PyTensorHook*>(h.get())) return Py_NewRef(p->table.get());
  }
  Py_RETURN_NONE;
}

PyObject* tensor_register_post_accumulate_grad_hook(const Tensor& t, PyObject* hook) {
  check(t.requires_grad(), "cannot register a hook on a tensor that doesn't require gradient");
  check(!grad_fn(t), "post accumulate grad hooks cannot be registered on non-leaf tensors");
  return table_in<PyPostAccumulateHook>(autograd_meta(t).ensure_hooks().post_accumulate).add(hook);
}

// -- what every node answers ----------------------------------------------------------------------
PyObject* node_register_hook(Node& n, PyObject* hook) {
  return table_in<PyPostHook>(n.ensure_hooks().post).add(hook);
}
PyObject* node_register_prehook(Node& n, PyObject* hook) {
  return table_in<PyPreHook>(n.ensure_hooks().pre).add(hook);
}

PyObject* node_name(Node& n) { return PyUnicode_FromString(n.name().c_str()); }

PyObject* node_next_functions(Node& n) {
  const std::vector<Edge> edges = shown_edges(n);
  Py tuple = Py::steal(checked(PyTuple_New(static_cast<Py_ssize_t>(edges.size()))));
  for (size_t i = 0; i < edges.size(); ++i) {
    PyObject* next = checked(wrap_node(edges[i].node));
    PyTuple_SET_ITEM(tuple.get(), static_cast<Py_ssize_t>(i),
                     checked(Py_BuildValue("(NI)", next, edges[i].input)));
  }
  return tuple.release();
}

PyObject* node_metadata(Node& n) {
  if (!n.metadata) n.metadata = checked(PyDict_New());
  return Py_NewRef(static_cast<PyObject*>(n.metadata));
}

// (shape, dtype, device) of every forward result.
PyObject* node_input_metadata(Node& n) {
  static PyObject* metadata_class = imported("flambeau.autograd.graph", "_InputMetadata");
  Py list = Py::steal(checked(PyList_New(n.results.size())));
  for (uint32_t i = 0; i < n.results.size(); ++i) {
    const ResultMeta& r = n.results[i];
    PyList_SET_ITEM(
        list.get(), i,
        checked(PyObject_CallFunction(metadata_class, "NNN", checked(wrap_size(r.sizes)),
                                      checked(wrap(r.dtype)), checked(wrap(r.device)))));
  }
  return list.release();
}

// -- the objects ----------------------------------------------------------------------------------
namespace {

// A class of its own for each kind of node, so that type(grad_fn).__name__ tells what it is.
PyTypeObject* class_of(const Node& n) {
  static PyObject* classes = checked(PyDict_New());
  std::string name = n.name();
  name = name.substr(name.rfind(':') + 1);
  if (PyObject* known = PyDict_GetItemString(classes, name.c_str()))
    return reinterpret_cast<PyTypeObject*>(known);
  static PyType_Slot slots[] = {{0, nullptr}};
  std::string full = "flambeau._C." + name;
  PyType_Spec spec = {full.c_str(), sizeof(PyNode), 0, Py_TPFLAGS_DEFAULT, slots};
  Py bases = Py::steal(checked(PyTuple_Pack(1, NodeType)));
  Py cls = Py::steal(checked(PyType_FromSpecWithBases(&spec, bases.get())));
  PyDict_SetItemString(classes, name.c_str(), cls.get());
  return reinterpret_cast<PyTypeObject*>(cls.get());
}

void node_dealloc(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  if (cast(self)->weakrefs) PyObject_ClearWeakRefs(self);
  if (Node* n = std::exchange(cast(self)->node, nullptr)) {
    n->pyobj = nullptr;
    NodeRef::adopt(n);
  }
  type->tp_free(self);
  Py_DECREF(type);
}

PyObject* wrap_argument(const Value& v) {
  switch (v.tag()) {
    case Value::scalar: return wrap(v.as_scalar());
    case Value::ints: return wrap_ints(v.as_ints());
    case Value::dtype: return wrap(v.as_dtype());
    case Value::device: return wrap(v.as_device());
    case Value::string: return PyUnicode_FromString(v.as_string().c_str());
    default: Py_RETURN_NONE;
  }
}

// What a node keeps under a name: tensors (count of them from `at` on in `saved`), or argument
// `arg` that is none.
struct Kept {
  std::string name;
  size_t at = 0, count = 0;
  bool list = false;
  int arg = -1;
};

// Arguments and tensors that the gradient reads. PyTorch calls the first argument self.
std::vector<Kept> all_kept(const OpNode& n) {
  std::vector<Kept> all;
  const auto& args = n.op->schema.args;
  size_t at = 0;
  for (int i = 0; i < n.op->nargs(); ++i) {
    std::string name(i == 0 ? "self" : args[i].name);
    if (!(n.op->saved_args >> i & 1)) {
      if (!(n.op->tensor_args >> i & 1)) all.push_back({.name = name, .arg = i});
      continue;
    }
    bool list = args[i].type != ArgType::tensor;
    size_t items = 1;
    if (list)
      items = static_cast<size_t>(
          std::count_if(n.slots.begin(), n.slots.end(), [&](auto& s) { return s.first == i; }));
    if (n.args[static_cast<size_t>(i)].is_scalar())  // a number in a tensor's place
      all.push_back({.name = name, .arg = i});
    else
      all.push_back({.name = name, .at = at, .count = items, .list = list});
    at += items;
  }
  for (int r = 0; r < n.op->nresults(); ++r) {
    if (!(n.op->saved_results >> r & 1)) continue;
    std::string name = n.op->nresults() == 1 ? "result" : "result" + std::to_string(r);
    all.push_back({.name = name, .at = at++, .count = 1});
  }
  return all;
}

// Finds a kept value by its name here or in the schema; none: its `name` is empty.
Kept find_kept(const OpNode& n, const std::string& name) {
  const auto& args = n.op->schema.args;
  for (const Kept& k : all_kept(n)) {
    bool first = k.name == "self" && n.op->nargs() && args[0].name == name;
    if (k.name == name || first || (name == "result" && k.name == "result0")) return k;
  }
  return {};
}

// _saved_self_sym_sizes: the shape of a tensor argument.
PyObject* saved_sizes(const OpNode& n, const std::string& name) {
  constexpr std::string_view tail = "_sym_sizes";
  if (!name.ends_with(tail)) return nullptr;
  const std::string wanted = name.substr(0, name.size() - tail.size());
  for (auto [arg, item] : n.slots) {
    const std::string& own = n.op->schema.args[static_cast<size_t>(arg)].name;
    const bool list = n.op->schema.args[static_cast<size_t>(arg)].type == ArgType::tensors;
    const bool shaped = n.args[static_cast<size_t>(arg)].tag() == Value::shape;
    if (!list && shaped && (wanted == own || (arg == 0 && wanted == "self")))
      return wrap_ints(n.args[static_cast<size_t>(arg)].as_ints());
  }
  return nullptr;
}

PyObject* saved_attribute(OpNode& n, const std::string& name) {
  Kept k = find_kept(n, name);
  if (k.name.empty()) return saved_sizes(n, name);
  if (k.arg >= 0) return wrap_argument(n.args[static_cast<size_t>(k.arg)]);
  if (!k.list) return wrap(n.saved[k.at].unpack(&n));
  TensorList list;
  for (size_t i = 0; i < k.count; ++i) list.push_back(n.saved[k.at + i].unpack(&n));
  return wrap_all(list).release();
}

// _raw_saved_self and the like: an object that registers hooks for that tensor alone.
PyObject* raw_saved_attribute(PyObject* self, const OpNode& n, const std::string& name) {
  Kept k = find_kept(n, name);
  if (k.name.empty() || k.arg >= 0 || k.list) return nullptr;
  static PyObject* saved_class = imported("flambeau.autograd.graph", "SavedTensor");
  return PyObject_CallMethod(saved_class, "_of", "Osn", self, k.name.c_str(),
                             static_cast<Py_ssize_t>(k.at));
}

PyObject* node_getattro(PyObject* self, PyObject* name) {
  const char* text = PyUnicode_AsUTF8(name);
  auto* n = dynamic_cast<OpNode*>(cast(self)->node);
  bool raw = text && std::strncmp(text, "_raw_saved_", 11) == 0;
  if (n && text && (raw || std::strncmp(text, "_saved_", 7) == 0)) {
    return guarded([&]() -> PyObject* {
      PyObject* value =
          raw ? raw_saved_attribute(self, *n, text + 11) : saved_attribute(*n, text + 7);
      if (value || PyErr_Occurred()) return value;
      return PyErr_Format(PyExc_AttributeError, "'%s' object has no attribute '%U'",
                          Py_TYPE(self)->tp_name, name);
    });
  }
  return PyObject_GenericGetAttr(self, name);
}

template <auto F>
PyObject* call(PyObject* self, PyObject*) {
  return guarded([&] { return F(*cast(self)->node); });
}
template <auto F>
PyObject* call_with(PyObject* self, PyObject* arg) {
  return guarded([&] { return F(*cast(self)->node, arg); });
}
template <auto F>
PyObject* get(PyObject* self, void*) {
  return guarded([&] { return F(*cast(self)->node); });
}

PyObject* node_repr(PyObject* self) {
  const char* name = std::strrchr(Py_TYPE(self)->tp_name, '.') + 1;
  return PyUnicode_FromFormat("<%s object at %p>", name, self);
}

// node(*gradients): those of the arguments, as backward would get them.
PyObject* node_call(PyObject* self, PyObject* args, PyObject* kwargs) {
  return guarded([&]() -> PyObject* {
    check_type(!kwargs || PyDict_GET_SIZE(kwargs) == 0, "a node takes no keywords");
    Node& n = *cast(self)->node;
    const auto given = static_cast<size_t>(PyTuple_GET_SIZE(args));
    check_type(given == n.results.size(), "expected ", n.results.size(), " arguments, got ", given,
               " instead");
    TensorList grads;
    for (size_t i = 0; i < given; ++i) {
      PyObject* g = PyTuple_GET_ITEM(args, static_cast<Py_ssize_t>(i));
      check_type(g == Py_None || is_tensor(g), "expected a Tensor or None at position ", i,
                 ", got ", Py_TYPE(g)->tp_name);
      grads.push_back(g == Py_None ? Tensor() : unwrap(g));
    }
    TensorList out = n.apply(std::move(grads));
    out.resize(n.next.size());
    if (out.size() == 1) return wrap(out[0]);
    return wrap_all(out).release();
  });
}

PyObject* sequence_number(Node& n) { return PyLong_FromUnsignedLongLong(n.sequence); }

// dir(): with the attributes that name what the node keeps.
PyObject* node_dir(PyObject* self, PyObject*) {
  return guarded([&]() -> PyObject* {
    Py names = Py::steal(checked(PyObject_CallMethod(
        reinterpret_cast<PyObject*>(&PyBaseObject_Type), "__dir__", "O", self)));
    if (auto* n = dynamic_cast<OpNode*>(cast(self)->node))
      for (const Kept& k : all_kept(*n))
        for (const char* prefix : {"_saved_", "_raw_saved_"}) {
          if (k.arg >= 0 && prefix[1] == 'r') continue;
          Py name = Py::steal(checked(PyUnicode_FromString((prefix + k.name).c_str())));
          if (PyList_Append(names.get(), name.get()) < 0) throw PythonError{};
        }
    return names.release();
  });
}

PyObject* variable_of(Node& n) {  // the leaf of an AccumulateGrad
  if (n.accumulates) return wrap(static_cast<AccumulateGrad&>(n).owner);
  return PyErr_Format(PyExc_AttributeError, "'%s' object has no attribute 'variable'",
                      class_of(n)->tp_name);
}

PyMethodDef node_methods[] = {
    {"name", call<node_name>, METH_NOARGS, "The node's name, as MulBackward0."},
    {"register_hook", call_with<node_register_hook>, METH_O,
     "register_hook(fn): fn(grad_inputs, grad_outputs) runs after the node; returns a handle."},
    {"register_prehook", call_with<node_register_prehook>, METH_O,
     "register_prehook(fn): fn(grad_outputs) runs before the node; returns a handle."},
    {"__dir__", node_dir, METH_NOARGS, "The attributes, those of kept tensors among them."},
    {"_sequence_nr", call<sequence_number>, METH_NOARGS, "Its number in the order of creation."},
    {}};

PyGetSetDef node_attributes[] = {
    {"next_functions", get<node_next_functions>, nullptr,
     "((node, result number), ...): where the gradients go next.", nullptr},
    {"metadata", get<node_metadata>, nullptr, "A dictionary for notes about the node.", nullptr},
    {"_input_metadata", get<node_input_metadata>, nullptr,
     "(shape, dtype, device) of every result of the forward.", nullptr},
    {"variable", get<variable_of>, nullptr, "The leaf, on an AccumulateGrad.", nullptr},
    {}};

}  // namespace

PyObject* wrap_node(const NodeRef& node) {
  if (!node) Py_RETURN_NONE;
  if (auto* f = dynamic_cast<FunctionNode*>(node.get())) return Py_NewRef(context_object(*f));
  if (node->pyobj) return Py_NewRef(static_cast<PyObject*>(node->pyobj));
  PyTypeObject* cls = class_of(*node);
  PyObject* o = checked(cls->tp_alloc(cls, 0));
  cast(o)->node = NodeRef(node).release();
  node->pyobj = o;
  return o;
}

Node* node_behind(PyObject* o) { return cast(o)->node; }

static void free_metadata(void* metadata) { Py_DECREF(static_cast<PyObject*>(metadata)); }

void init_node(PyObject* m) {
  node_binding.free_metadata = free_metadata;
  static PyMemberDef members[] = {
      {"__weaklistoffset__", T_PYSSIZET, offsetof(PyNode, weakrefs), READONLY, nullptr}, {}};
  static PyType_Slot slots[] = {{Py_tp_members, members},
                                {Py_tp_doc, const_cast<char*>("A node of the graph of gradients.")},
                                {Py_tp_dealloc, reinterpret_cast<void*>(node_dealloc)},
                                {Py_tp_repr, reinterpret_cast<void*>(node_repr)},
                                {Py_tp_call, reinterpret_cast<void*>(node_call)},
                                {Py_tp_getattro, reinterpret_cast<void*>(node_getattro)},
                                {Py_tp_methods, node_methods},
                                {Py_tp_getset, node_attributes},
                                {0, nullptr}};
  PyType_Spec spec = {"flambeau._C.Node", sizeof(PyNode), 0,
                      Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
                      slots};
  NodeType = reinterpret_cast<PyTypeObject*>(checked(PyType_FromSpec(&spec)));
  if (PyModule_AddObjectRef(m, "Node", reinterpret_cast<PyObject*>(NodeType)) < 0)
    throw PythonError{};
}

}  // namespace flambeau
