// Autograd's entries from Python: backward, modes, hooks of tensors and saved tensors, anomaly
// mode.
#include "../node_names.h"
#include "../rare.h"
#include "../sparse.h"
#include "../walk.h"
#include "node.h"

namespace flambeau {

namespace {

// -- backward -------------------------------------------------------------------------------------
TensorList tensors_from(PyObject* o, const char* what) {
  TensorList list;
  if (!o || o == Py_None) return list;
  if (is_tensor(o)) return {unwrap(o)};
  Py values = PyDict_Check(o) ? Py::steal(checked(PyDict_Values(o))) : Py::borrow(o);
  Py items = Py::steal(checked(PySequence_Tuple(values.get())));
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(items.get()); ++i) {
    PyObject* item = PyTuple_GET_ITEM(items.get(), i);
    check_type(item == Py_None || is_tensor(item), what, ": expected a Tensor or None at position ",
               i, ", got ", Py_TYPE(item)->tp_name);
    list.push_back(item == Py_None ? Tensor() : unwrap(item));
  }
  return list;
}

// A tensor, or a GradientEdge (node, output_nr).
Edge edge_from(PyObject* o) {
  if (is_tensor(o)) return gradient_edge(unwrap(o));
  check_type(PyTuple_Check(o) && PyTuple_GET_SIZE(o) >= 2 && node_from(PyTuple_GET_ITEM(o, 0)),
             "expected a Tensor or a GradientEdge, got ", Py_TYPE(o)->tp_name);
  long number = PyLong_AsLong(PyTuple_GET_ITEM(o, 1));
  if (number == -1 && PyErr_Occurred()) throw PythonError{};
  Edge e{NodeRef(node_from(PyTuple_GET_ITEM(o, 0))), static_cast<uint32_t>(number)};
  check(e.input < e.node->results.size(), "GradientEdge: ", e.node->name(), " has no output ",
        number);
  return e;
}

bool all_tensors(PyObject* tuple) {
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(tuple); ++i)
    if (!is_tensor(PyTuple_GET_ITEM(tuple, i))) return false;
  return true;
}

TensorList backward_of_edges(PyObject* roots, TensorList grads, bool retain, bool create,
                             PyObject* inputs, bool accumulate, bool allow_unused) {
  std::vector<Edge> from, to;
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(roots); ++i) {
    from.push_back(edge_from(PyTuple_GET_ITEM(roots, i)));
    const Edge& e = from.back();
    check(bool(e.node), "element ", i,
          " of tensors does not require grad and does not have a grad_fn");
    Tensor& g = grads[static_cast<size_t>(i)];
    if (g.defined()) continue;
    const ResultMeta& r = e.node->results[e.input];
    check(product(r.sizes) == 1, "grad can be implicitly created only for scalar outputs");
    g = full(r.sizes, 1, {r.dtype, r.device});
  }
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(inputs); ++i) {
    PyObject* input = PyTuple_GET_ITEM(inputs, i);
    to.push_back(edge_from(input));
    check(bool(to.back().node), "One of the differentiated Tensors does not require grad");
    if (accumulate && is_tensor(input)) retain_grad(unwrap(input));
  }
  return run_backward(from, std::move(grads), retain, create, to, accumulate, allow_unused);
}

// A gradient that knows its history and hangs on a parameter of it holds that parameter.
void warn_of_cycle() {
  if (PyErr_WarnEx(PyExc_UserWarning,
                   "Using backward() with create_graph=True will create a reference cycle between "
                   "the parameter and its gradient which can cause a memory leak. We recommend "
                   "using autograd.grad when creating the graph to avoid this; or reset the .grad "
                   "of the parameters to None after use.",
                   1) < 0)
    throw PythonError{};
}

// _run_backward(tensors, grads, retain_graph, create_graph, inputs, accumulate, allow_unused):
// tuples of equal length; gives the inputs' gradients.
PyObject* py_run_backward(PyObject*, PyObject* args) {
  PyObject *roots, *grads, *inputs;
  int retain, create, accumulate, allow_unused;
  if (!PyArg_ParseTuple(args, "O!O!ppO!pp:_run_backward", &PyTuple_Type, &roots, &PyTuple_Type,
                        &grads, &retain, &create, &PyTuple_Type, &inputs, &accumulate,
                        &allow_unused))
    return nullptr;
  return guarded([&] {
    TensorList first = tensors_from(grads, "gradients"), out;
    check(first.size() == static_cast<size_t>(PyTuple_GET_SIZE(roots)), "got ",
          PyTuple_GET_SIZE(roots), " tensors and ", first.size(), " gradients");
    if (all_tensors(roots) && all_tensors(inputs))
      out = run_backward(tensors_from(roots, "tensors"), first, retain, create,
                         tensors_from(inputs, "inputs"), accumulate, allow_unused);
    else
      out = backward_of_edges(roots, std::move(first), retain, create, inputs, accumulate,
                              allow_unused);
    Py tuple = Py::steal(checked(PyTuple_New(static_cast<Py_ssize_t>(out.size()))));
    for (size_t i = 0; i < out.size(); ++i)
      PyTuple_SET_ITEM(tuple.get(), static_cast<Py_ssize_t>(i), checked(wrap(out[i])));
    return tuple.release();
  });
}

PyObject* ask_mode_of_backward(PyObject* self, PyObject* args, PyObject* kwargs) {
  std::vector<PyObject*> all{self};
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(args); ++i) all.push_back(PyTuple_GET_ITEM(args, i));
  const size_t positional = all.size();
  Py names;
  if (kwargs) {
    names = Py::steal(PySequence_Tuple(kwargs));
    if (!names) return nullptr;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(names.get()); ++i)
      all.push_back(PyDict_GetItem(kwargs, PyTuple_GET_ITEM(names.get(), i)));
  }
  return ask_mode("backward", all.data(), positional, names.get());
}

PyObject* tensor_backward(PyObject* self, PyObject* args, PyObject* kwargs) {
  if (in_function_mode()) [[unlikely]]
    return ask_mode_of_backward(self, args, kwargs);
  static const char* names[] = {"gradient", "retain_graph", "create_graph", "inputs", nullptr};
  PyObject *gradient = Py_None, *retain = Py_None, *inputs = Py_None;
  int create = 0;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|OOpO:backward", const_cast<char**>(names),
                                   &gradient, &retain, &create, &inputs))
    return nullptr;
  return guarded([&]() -> PyObject* {
    check_type(gradient == Py_None || is_tensor(gradient),
               "backward(): argument 'gradient' must be Tensor, not ", Py_TYPE(gradient)->tp_name);
    TensorList wanted = tensors_from(inputs, "inputs");
    check(inputs == Py_None || !wanted.empty(),
          "`inputs` argument to `backward()` cannot be empty.");
    int keep = retain == Py_None ? create : PyObject_IsTrue(retain);
    if (keep < 0) throw PythonError{};
    if (create) warn_of_cycle();
    Tensor g = gradient == Py_None ? Tensor() : unwrap(gradient);
    run_backward({unwrap(self)}, {g}, keep, create, wanted, true, true);
    Py_RETURN_NONE;
  });
}

PyObject* py_gradient_edge(PyObject*, PyObject* o) {
  return guarded([&] {
    check_type(is_tensor(o), "expected a Tensor, got ", Py_TYPE(o)->tp_name);
    Edge e = gradient_edge(unwrap(o));
    check(bool(e.node),
          "It is not possible to get the gradient edge for a Tensor that does not "
          "require gradients");
    return Py_BuildValue("(NI)", checked(wrap_node(e.node)), e.input);
  });
}

PyObject* py_warn_of_cycle(PyObject*, PyObject*) {
  return guarded([]() -> PyObject* {
    warn_of_cycle();
    Py_RETURN_NONE;
  });
}

PyObject* py_node_count(PyObject*, PyObject*) { return PyLong_FromUnsignedLongLong(node_count()); }

PyObject* py_name_composite(PyObject*, PyObject* args) {
  return guarded([&]() -> PyObject* {
    PyObject* tensor;
    const char* name;
    unsigned long long since;
    if (!PyArg_ParseTuple(args, "OsK", &tensor, &name, &since)) return nullptr;
    if (is_tensor(tensor)) name_composite(unwrap(tensor), name, since);
    return Py_NewRef(tensor);
  });
}

PyObject* py_current_node(PyObject*, PyObject*) {
  return guarded([] { return wrap_node(current_node() ? NodeRef(current_node()) : NodeRef()); });
}

PyObject* py_current_walk(PyObject*, PyObject*) { return PyLong_FromLongLong(current_walk()); }

PyObject* py_queue_callback(PyObject*, PyObject* f) {
  return guarded([&]() -> PyObject* {
    queue_callback(
        [callback = Py::borrow(f)] { Py::steal(checked(PyObject_CallNoArgs(callback.get()))); });
    Py_RETURN_NONE;
  });
}

PyObject* set_version(PyObject*, PyObject* args) {
  PyObject* o;
  unsigned int version;
  if (!PyArg_ParseTuple(args, "O!I:_set_version", TensorType, &o, &version)) return nullptr;
  const Tensor& t = unwrap(o);
  t->storage->version += version - version_of(t);
  Py_RETURN_NONE;
}

PyObject* increment_version(PyObject*, PyObject* o) {
  if (!is_tensor(o))
    return PyErr_Format(PyExc_TypeError, "expected a Tensor, got %s", Py_TYPE(o)->tp_name);
  return guarded([&]() -> PyObject* {
    check_inplace(unwrap(o), false, "increment_version");
    unwrap(o).bump_version();
    Py_RETURN_NONE;
  });
}

// -- modes ----------------------------------------------------------------------------------------
template <bool Modes::* flag>
PyObject* get_mode(PyObject*, PyObject*) {
  return PyBool_FromLong(modes().*flag);
}
template <bool Modes::* flag>
PyObject* exchange_mode(PyObject*, PyObject* on) {  // gives what it was
  if (!PyBool_Check(on))
    return PyErr_Format(PyExc_TypeError, "enabled must be a bool (got %s)", Py_TYPE(on)->tp_name);
  return PyBool_FromLong(std::exchange(modes().*flag, on == Py_True));
}

// -- saved tensors --------------------------------------------------------------------------------
struct PySavedHooks final : SavedHooks {
  Py pack_hook, unpack_hook;
  PySavedHooks(PyObject* p, PyObject* u) : pack_hook(Py::borrow(p)), unpack_hook(Py::borrow(u)) {}
  std::shared_ptr<void> pack(const Tensor& t, bool is_result) override {
    Py arg = Py::steal(checked(wrap(t)));
    PyObject* packed = checked(PyObject_CallOneArg(pack_hook.get(), arg.get()));
    if (is_result && packed == arg.get()) {  // a cycle: the tensor holds the node
      Py_DECREF(packed);
      packed = checked(wrap(t.alias()));
    }
    return {packed, [](void* o) { Py_DECREF(static_cast<PyObject*>(o)); }};
  }
  Tensor unpack(const std::shared_ptr<void>& packed) override {
    auto* o = static_cast<PyObject*>(packed.get());
    Py t = Py::steal(checked(PyObject_CallOneArg(unpack_hook.get(), o)));
    check_type(is_tensor(t.get()),
               "Output of saved tensor unpack_hook expected to be a Tensor but "
               "got result of type ",
               Py_TYPE(t.get())->tp_name);
    return unwrap(t.get());
  }
};

PyObject* push_saved_hooks(PyObject*, PyObject* args) {
  PyObject *pack, *unpack;
  if (!PyArg_ParseTuple(args, "OO", &pack, &unpack)) return nullptr;
  saved_hooks().push_back(std::make_shared<PySavedHooks>(pack, unpack));
  modes().saved_hooks = true;
  Py_RETURN_NONE;
}

// _register_saved_hooks(node, at, pack, unpack): for one tensor that an operator's node keeps.
PyObject* register_saved_hooks(PyObject*, PyObject* args) {
  PyObject *o, *pack, *unpack;
  Py_ssize_t at;
  if (!PyArg_ParseTuple(args, "OnOO", &o, &at, &pack, &unpack)) return nullptr;
  return guarded([&]() -> PyObject* {
    Node* node = node_from(o);
    const auto attach = [&](auto& saved) {
      check(at >= 0 && at < static_cast<Py_ssize_t>(saved.size()),
            "register_hooks(): the node keeps no such tensor");
      saved[static_cast<uint32_t>(at)].register_hooks(std::make_shared<PySavedHooks>(pack, unpack));
    };
    if (auto* of_op = dynamic_cast<OpNode*>(node))
      attach(of_op->saved);
    else if (auto* of_function = dynamic_cast<FunctionNode*>(node))
      attach(of_function->saved);
    else
      check(false, "register_hooks(): the graph that kept the tensor is gone");
    Py_RETURN_NONE;
  });
}

PyObject* py_will_execute(PyObject*, PyObject* o) {
  return guarded([&] {
    Node* n = node_from(o);
    check_type(n != nullptr, "expected a Node, got ", Py_TYPE(o)->tp_name);
    check(current_walk() >= 0,
          "_will_engine_execute_node: expected to be called while backward runs");
    return PyBool_FromLong(is_reached(n));
  });
}

// Whether the backward that is under way reaches a tensor's gradient.
PyObject* py_is_reached(PyObject*, PyObject* o) {
  if (!is_tensor(o))
    return PyErr_Format(PyExc_TypeError, "expected a Tensor, got %s", Py_TYPE(o)->tp_name);
  return guarded([&] {
    Edge e = gradient_edge(unwrap(o));
    return PyBool_FromLong(e.node && is_reached(e.node.get()));
  });
}

PyObject* pop_saved_hooks(PyObject*, PyObject*) {
  if (!saved_hooks().empty()) saved_hooks().pop_back();
  modes().saved_hooks = !saved_hooks().empty();
  Py_RETURN_NONE;
}

// -- anomaly mode ---------------------------------------------------------------------------------
// Notes where the forward was, and within which backward.
void node_created(Node& n) {
  Py module = Py::steal(checked(PyImport_ImportModule("traceback")));
  Py stack = Py::steal(checked(PyObject_CallMethod(module.get(), "format_stack", nullptr)));
  Py notes = Py::steal(checked(node_metadata(n)));
  PyDict_SetItemString(notes.get(), "traceback_", stack.get());
  Node* parent = current_node();
  Py p = Py::steal(checked(wrap_node(parent ? NodeRef(parent) : NodeRef())));
  PyDict_SetItemString(notes.get(), "parent_", p.get());
}

void warn_about(const std::string& name, PyObject* notes, const char* role) {
  PyObject* stack = notes ? PyDict_GetItemString(notes, "traceback_") : nullptr;
  Py empty = Py::steal(PyUnicode_FromString("")),
     text = Py::steal(stack ? PyUnicode_Join(empty.get(), stack) : nullptr);
  if (text)
    PyErr_WarnFormat(PyExc_UserWarning, 1,
                     "%s %s. Traceback of forward call that caused the error:\n%U", role,
                     name.c_str(), text.get());
  else
    PyErr_WarnFormat(PyExc_UserWarning, 1,
                     "%s %s. No forward pass information available. Enable detect anomaly during "
                     "the forward pass for more information.",
                     role, name.c_str());
  if (PyErr_Occurred()) PyErr_WriteUnraisable(nullptr);  // warnings are errors: it is still seen
}

void node_failed(Node& n) {
  PyObject *type, *value, *trace;
  PyErr_Fetch(&type, &value, &trace);
  const char* role = "Error detected in";
  for (NodeRef at(&n); at;) {
    auto* notes = static_cast<PyObject*>(at->metadata);
    warn_about(at->name(), notes, role);
    PyObject* parent = notes ? PyDict_GetItemString(notes, "parent_") : nullptr;
    at = NodeRef(parent && parent != Py_None ? node_from(parent) : nullptr);
    role = "The backward pass that failed was recorded by";
  }
  PyErr_Restore(type, value, trace);
}

// -- methods of tensors ---------------------------------------------------------------------------
PyObject* register_hook(PyObject* self, PyObject* hook) {
  return guarded([&] { return tensor_register_hook(unwrap(self), hook); });
}
PyObject* register_post_accumulate_grad_hook(PyObject* self, PyObject* hook) {
  return guarded([&] { return tensor_register_post_accumulate_grad_hook(unwrap(self), hook); });
}
PyObject* py_retain_grad(PyObject* self, PyObject*) {
  return guarded([&]() -> PyObject* {
    retain_grad(unwrap(self));
    Py_RETURN_NONE;
  });
}

PyMethodDef tensor_graph_methods[] = {
    {"backward", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(tensor_backward)),
     METH_VARARGS | METH_KEYWORDS,
     "backward(gradient=None, retain_graph=None, create_graph=False, inputs=None): adds the "
     "gradient "
     "of this tensor to the grad of every leaf it was computed from."},
    {"register_hook", register_hook, METH_O,
     "register_hook(hook): hook(grad) runs when the gradient is known and may replace it; returns "
     "a "
     "handle with remove()."},
    {"register_post_accumulate_grad_hook", register_post_accumulate_grad_hook, METH_O,
     "register_post_accumulate_grad_hook(hook): hook(tensor) runs when a leaf's grad was added "
     "to."},
    {"retain_grad", py_retain_grad, METH_NOARGS,
     "Keeps the gradient of a tensor that is no leaf in its grad."},
    {}};

PyMethodDef functions[] = {
    {"_run_backward", py_run_backward, METH_VARARGS, "Walks the graph; see flambeau.autograd."},
    {"_gradient_edge", py_gradient_edge, METH_O, "(node, output_nr) of a tensor."},
    {"_current_autograd_node", py_current_node, METH_NOARGS, "The node that runs now, or None."},
    {"_warn_of_cycle", py_warn_of_cycle, METH_NOARGS, "Warns of backward(create_graph=True)."},
    {"_node_count", py_node_count, METH_NOARGS, "The number of the next node."},
    {"_name_composite", py_name_composite, METH_VARARGS,
     "(tensor, name, since): its node stands for all nodes since that number; gives the tensor."},
    {"_current_graph_task_id", py_current_walk, METH_NOARGS,
     "The number of the backward under way, or -1."},
    {"_queue_callback", py_queue_callback, METH_O, "Calls f when the backward under way ends."},
    {"_set_version", set_version, METH_VARARGS, "_set_version(tensor, n): as if n writes were it."},
    {"_increment_version", increment_version, METH_O, "Counts a write that happened elsewhere."},
    {"is_grad_enabled", get_mode<&Modes::grad>, METH_NOARGS, "Whether operations are recorded."},
    {"_exchange_grad_enabled", exchange_mode<&Modes::grad>, METH_O, "Sets it; gives what it was."},
    {"is_inference_mode_enabled", get_mode<&Modes::inference>, METH_NOARGS,
     "Whether inference mode is on."},
    {"_exchange_inference_mode", exchange_mode<&Modes::inference>, METH_O,
     "Sets it; gives what it was."},
    {"is_anomaly_enabled", get_mode<&Modes::anomaly>, METH_NOARGS, "Whether anomaly mode is on."},
    {"_exchange_anomaly", exchange_mode<&Modes::anomaly>, METH_O, "Sets it; gives what it was."},
    {"is_anomaly_check_nan_enabled", get_mode<&Modes::anomaly_check_nan>, METH_NOARGS,
     "Whether anomaly mode looks for nan."},
    {"_exchange_anomaly_check_nan", exchange_mode<&Modes::anomaly_check_nan>, METH_O,
     "Sets it; gives what it was."},
    {"_push_saved_hooks", push_saved_hooks, METH_VARARGS, "_push_saved_hooks(pack, unpack)."},
    {"_has_saved_hooks", get_mode<&Modes::saved_hooks>, METH_NOARGS,
     "Whether hooks on saved tensors are on."},
    {"_register_saved_hooks", register_saved_hooks, METH_VARARGS,
     "_register_saved_hooks(node, at, pack, unpack)."},
    {"_is_reached", py_is_reached, METH_O, "Whether the backward under way reaches a tensor."},
    {"_will_engine_execute_node", py_will_execute, METH_O,
     "Whether the backward under way reaches a node."},
    {"_pop_saved_hooks", pop_saved_hooks, METH_NOARGS, "Ends the innermost _push_saved_hooks."},
    {}};

}  // namespace

// flambeau.sparse, which is imported when the first sparse gradient comes.
namespace {

template <class... A>
Tensor call_sparse(const char* name, const char* format, A... args) {
  Py module = Py::steal(checked(PyImport_ImportModule("flambeau.sparse._gradient")));
  Py result = Py::steal(checked(PyObject_CallMethod(module.get(), name, format, args...)));
  check_type(is_tensor(result.get()), name, "(): expected a tensor");
  return unwrap(result.get());
}

Tensor sparse_add(const Tensor& sum, const Tensor& g, bool in_place) {
  Py a = Py::steal(wrap(sum)), b = Py::steal(wrap(g));
  return call_sparse("add", "OOi", a.get(), b.get(), static_cast<int>(in_place));
}
Tensor sparse_to_dense(const Tensor& t) {
  Py o = Py::steal(wrap(t));
  return call_sparse("to_dense", "O", o.get());
}
Tensor sparse_from_rows(const Tensor& values, const Tensor& indices, int64_t rows,
                        int64_t padding) {
  Py v = Py::steal(wrap(values)), at = Py::steal(wrap(indices));
  return call_sparse("from_rows", "OOLL", v.get(), at.get(), static_cast<long long>(rows),
                     static_cast<long long>(padding));
}

}  // namespace

static TensorList second_of_grid_sample(const TensorList& inputs, const TensorList& directions,
                                        bool nearest, int64_t padding_mode, bool align_corners) {
  Py second = Py::steal(imported("flambeau.nn.functional._sample", "second"));
  Py x = wrap_all(inputs), v = wrap_all(directions);
  Py found = Py::steal(checked(PyObject_CallFunction(
      second.get(), "OOiLi", x.get(), v.get(), static_cast<int>(nearest),
      static_cast<long long>(padding_mode), static_cast<int>(align_corners))));
  return tensors_from(found.get(), "gradients");
}

void init_autograd(PyObject* m) {
  rare_gradients = {second_of_grid_sample};
  sparse_binding = {sparse_add, sparse_to_dense, sparse_from_rows};
  init_node(m);
  init_function(m);
  node_binding.created = node_created;
  node_binding.failed = node_failed;
  if (PyModule_AddFunctions(m, functions) < 0) throw PythonError{};
  for (PyMethodDef* d = tensor_graph_methods; d->ml_name; ++d) {
    Py method = Py::steal(checked(PyDescr_NewMethod(TensorType, d)));
    if (PyObject_SetAttrString(reinterpret_cast<PyObject*>(TensorType), d->ml_name, method.get()) <
        0)
      throw PythonError{};
  }
}

}  // namespace flambeau
