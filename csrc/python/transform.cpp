// Function transforms from Python: examples of batches, dual numbers, and calls handed to the rules
// of flambeau/_batching and to TorchDispatchMode.
#include "../transform.h"

#include <unordered_map>
#include <unordered_set>

#include "node.h"

namespace flambeau {
namespace {

PyObject *batch_rule, *dispatcher;  // Python callables

// -- records and their values as Python has them --------------------------------------------------
PyObject* wrap_any(const Value& v);

PyObject* wrap_list(const TensorList& list) {
  Py out = Py::steal(checked(PyList_New(static_cast<Py_ssize_t>(list.size()))));
  for (size_t i = 0; i < list.size(); ++i)
    PyList_SET_ITEM(out.get(), static_cast<Py_ssize_t>(i), checked(wrap(list[i])));
  return out.release();
}

PyObject* wrap_floats(const std::vector<double>& v) {
  Py out = Py::steal(checked(PyList_New(static_cast<Py_ssize_t>(v.size()))));
  for (size_t i = 0; i < v.size(); ++i)
    PyList_SET_ITEM(out.get(), static_cast<Py_ssize_t>(i), checked(PyFloat_FromDouble(v[i])));
  return out.release();
}

PyObject* wrap_any(const Value& v) {
  switch (v.tag()) {
    case Value::tensor: return wrap(v.as_tensor());
    case Value::scalar: return wrap(v.as_scalar());
    case Value::ints: return wrap_ints(v.as_ints());
    case Value::tensors: return wrap_list(v.as_tensors());
    case Value::floats: return wrap_floats(v.as_floats());
    case Value::string: return PyUnicode_FromString(v.as_string().c_str());
    case Value::dtype: return wrap(v.as_dtype());
    case Value::device: return wrap(v.as_device());
    case Value::layout: return wrap(v.as_layout());
    case Value::memory_format: return wrap(v.as_memory_format());
    case Value::generator: return wrap(v.as_generator());
    default: Py_RETURN_NONE;
  }
}

const char* kind_of(ArgType t) {
  switch (t) {
    case ArgType::tensor: return "tensor";
    case ArgType::tensors: return "tensors";
    case ArgType::integer: return "int";
    case ArgType::ints: return "ints";
    case ArgType::generator: return "generator";
    case ArgType::boolean: return "bool";
    default: return "other";
  }
}

// What Python knows of a record: _record.Record(name, text, arguments, flags..., function), made
// once.
PyObject* record_object(const Op& op) {
  static std::unordered_map<const Op*, PyObject*> known;
  PyObject*& o = known[&op];
  if (o) return o;
  Py module = Py::steal(checked(PyImport_ImportModule("flambeau._record")));
  Py args = Py::steal(checked(PyList_New(0)));
  for (const Argument& a : op.schema.args) {
    Py fallback = Py::steal(checked(wrap_any(a.fallback)));
    Py one = Py::steal(checked(Py_BuildValue("(ssOO)", a.name.c_str(), kind_of(a.type),
                                             a.keyword_only ? Py_True : Py_False,
                                             a.has_default ? fallback.get() : Py_Ellipsis)));
    PyList_Append(args.get(), one.get());
  }
  auto flag = [&](bool on) { return on ? Py_True : Py_False; };
  bool inplace = op.flags & kOnlyInplace;
  Py function = Py::steal(checked(make_function(&op, false, inplace)));
  Py twin = Py::steal(op.flags & kInplace && !inplace ? make_function(&op, false, true)
                                                      : Py_NewRef(Py_None));
  o = checked(PyObject_CallMethod(
      module.get(), "Record", "ssOOOOOOOO", op.schema.name.c_str(), op.text.c_str(), args.get(),
      flag(op.pointwise), flag(op.flags & kView), flag(op.flags & kComposite),
      flag(op.flags & kFactory), flag(op.schema.returns_list), function.get(), twin.get()));
  return o;
}

Py arguments(const Op& op, const Value* args) {
  Py list = Py::steal(checked(PyList_New(op.nargs())));
  for (int i = 0; i < op.nargs(); ++i) PyList_SET_ITEM(list.get(), i, checked(wrap_any(args[i])));
  return list;
}

Value unwrap_result(PyObject* o) {
  if (o == Py_None) return Value();
  if (is_tensor(o)) return Value(unwrap(o));
  Scalar s;
  if (scalar_from(o, &s)) return Value(s);
  DType t;
  if (dtype_from(o, &t)) return Value(t);
  check_type(PyTuple_Check(o) || PyList_Check(o), "a rule returned a ", Py_TYPE(o)->tp_name);
  TensorList list;
  for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(o); ++i) {
    PyObject* x = PySequence_Fast_GET_ITEM(o, i);
    check_type(is_tensor(x), "a rule returned a list with a ", Py_TYPE(x)->tp_name);
    list.push_back(unwrap(x));
  }
  return Value(std::move(list));
}

// False: NotImplemented, the call goes on as it would have.
bool take_results(const Op& op, PyObject* found, Value* results) {
  if (found == Py_NotImplemented) return false;
  if (op.nresults() == 0) return true;
  if (op.nresults() == 1) {
    results[0] = unwrap_result(found);
    return true;
  }
  check_type(PyTuple_Check(found) || PyList_Check(found), op.schema.name,
             ": a rule must return all results, got ", Py_TYPE(found)->tp_name);
  check(PySequence_Fast_GET_SIZE(found) == op.nresults(), op.schema.name, ": a rule returned ",
        PySequence_Fast_GET_SIZE(found), " of ", op.nresults(), " results");
  for (int r = 0; r < op.nresults(); ++r)
    results[r] = unwrap_result(PySequence_Fast_GET_ITEM(found, r));
  return true;
}

bool batched(const Op& op, Value* args, Value* results, bool inplace) {
  if (!batch_rule) {  // the module sets it
    Py module = Py::steal(checked(PyImport_ImportModule("flambeau._batching")));
  }
  Py list = arguments(op, args);
  Py found = Py::steal(checked(PyObject_CallFunctionObjArgs(
      batch_rule, record_object(op), list.get(), inplace ? Py_True : Py_False, nullptr)));
  if (found.get() == Py_NotImplemented) return false;
  if (inplace) return true;
  return take_results(op, found.get(), results);
}

// -- __torch_dispatch__ ---------------------------------------------------------------------------
thread_local bool dispatch_mode = false;  // a TorchDispatchMode is on
thread_local int dispatch_disabled = 0;

void refresh_dispatch() {
  modes().dispatch = dispatch_mode || (dispatching_classes && !dispatch_disabled);
}

bool dispatches(const Tensor& t) {
  if (dispatch_mode) return t.defined();
  if (!t.defined() || !t->pyobj) return false;
  PyTypeObject* type = Py_TYPE(static_cast<PyObject*>(t->pyobj));
  return type != TensorType && type != ParameterType && has_torch_dispatch(type);
}

bool any_dispatches(const Op& op, const Value* args) {
  for (int i = 0; i < op.nargs(); ++i) {
    if (args[i].tag() == Value::tensor && dispatches(args[i].as_tensor())) return true;
    if (args[i].tag() == Value::tensors)
      for (const Tensor& t : args[i].as_tensors())
        if (dispatches(t)) return true;
  }
  return false;
}

bool dispatch(const Op& op, Value* args, Value* results, bool inplace) {
  if (!dispatch_mode && (dispatch_disabled || !any_dispatches(op, args))) return false;
  if (!dispatcher) {  // the module sets it
    Py module = Py::steal(checked(PyImport_ImportModule("flambeau.utils._python_dispatch")));
  }
  Py list = arguments(op, args);
  Py found = Py::steal(checked(PyObject_CallFunctionObjArgs(
      dispatcher, record_object(op), list.get(), inplace ? Py_True : Py_False, nullptr)));
  if (inplace) return found.get() != Py_NotImplemented;
  return take_results(op, found.get(), results);
}

PyObject* disable_dispatch(PyObject*, PyObject* step) {
  long by = PyLong_AsLong(step);
  if (by == -1 && PyErr_Occurred()) return nullptr;
  dispatch_disabled += static_cast<int>(by);
  refresh_dispatch();
  Py_RETURN_NONE;
}

PyObject* set_rules(PyObject*, PyObject* args) {
  PyObject *rule, *mode;
  if (!PyArg_ParseTuple(args, "OO:_set_rules", &rule, &mode)) return nullptr;
  if (rule != Py_None) Py_XSETREF(batch_rule, Py_NewRef(rule));
  if (mode != Py_None) Py_XSETREF(dispatcher, Py_NewRef(mode));
  Py_RETURN_NONE;
}

PyObject* exchange_dispatch(PyObject*, PyObject* on) {
  bool before = std::exchange(dispatch_mode, on == Py_True);
  refresh_dispatch();
  return PyBool_FromLong(before);
}

// -- levels and tensors ---------------------------------------------------------------------------
PyObject* open_levels(PyObject*, PyObject* args) {
  int transforms, vmaps;
  if (!PyArg_ParseTuple(args, "ii:_open_levels", &transforms, &vmaps)) return nullptr;
  modes().transforms += static_cast<uint32_t>(transforms);
  modes().vmaps += static_cast<uint32_t>(vmaps);
  // An example that outlives its vmap has no numbers: calls go on looking for such until a vmap
  // ends that leaves none.
  thread_local bool left = false;
  if (vmaps < 0 && !modes().vmaps) {
    bool now = live_examples > 0;
    modes().transforms += static_cast<uint32_t>(now) - static_cast<uint32_t>(left);
    left = now;
  }
  return PyLong_FromUnsignedLong(modes().transforms);
}

const Tensor& tensor_argument(PyObject* o) {
  check_type(is_tensor(o), "expected a Tensor, got ", Py_TYPE(o)->tp_name);
  return unwrap(o);
}

PyObject* py_make_batch(PyObject*, PyObject* args) {
  PyObject* value;
  long long dim;
  int level;
  if (!PyArg_ParseTuple(args, "OLi:_make_batch", &value, &dim, &level)) return nullptr;
  return guarded([&] { return wrap(make_batch(tensor_argument(value), dim, level)); });
}

PyObject* py_make_dual(PyObject*, PyObject* args) {
  PyObject *primal, *tangent;
  int level;
  if (!PyArg_ParseTuple(args, "OOi:_make_dual", &primal, &tangent, &level)) return nullptr;
  return guarded(
      [&] { return wrap(make_dual(tensor_argument(primal), tensor_argument(tangent), level)); });
}

// (True, level, value, dim) of an example, (False, level, primal, tangent) of a dual number.
PyObject* transformed(PyObject*, PyObject* o) {
  return guarded([&]() -> PyObject* {
    const Transformed* x = is_tensor(o) ? transformed_of(unwrap(o)) : nullptr;
    if (!x) Py_RETURN_NONE;
    Py value = Py::steal(checked(wrap(x->value)));
    if (x->batch) return Py_BuildValue("(OiOL)", Py_True, x->level, value.get(), (long long)x->dim);
    Py tangent = Py::steal(checked(wrap(x->tangent)));
    return Py_BuildValue("(OiOO)", Py_False, x->level, value.get(), tangent.get());
  });
}

// Whether the graphs of tensors lead to leaves, or have nodes, other than those of `inputs`.
PyObject* depends_on_others(PyObject*, PyObject* args) {
  PyObject *outputs, *inputs;
  if (!PyArg_ParseTuple(args, "O!O!:_depends_on_others", &PyTuple_Type, &outputs, &PyTuple_Type,
                        &inputs))
    return nullptr;
  return guarded([&]() -> PyObject* {
    std::unordered_set<Node*> seen;
    std::vector<NodeRef> own, todo;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(inputs); ++i) {
      own.push_back(gradient_edge(tensor_argument(PyTuple_GET_ITEM(inputs, i))).node);
      seen.insert(own.back().get());
    }
    auto visit = [&](const NodeRef& n) {
      if (n && seen.insert(n.get()).second) todo.push_back(n);
    };
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(outputs); ++i)
      visit(gradient_edge(tensor_argument(PyTuple_GET_ITEM(outputs, i))).node);
    while (!todo.empty()) {
      NodeRef n = std::move(todo.back());
      todo.pop_back();
      if (n->accumulates) Py_RETURN_TRUE;
      for (const Edge& e : n->next) visit(e.node);
    }
    Py_RETURN_FALSE;
  });
}

PyObject* same_storage_geometry(PyObject*, PyObject* args) {
  PyObject *to, *from;
  if (!PyArg_ParseTuple(args, "OO:_set_geometry", &to, &from)) return nullptr;
  return guarded([&]() -> PyObject* {
    const Tensor &t = tensor_argument(to), &f = tensor_argument(from);
    t->sizes = f.sizes();
    t->strides = f.strides();
    t->offset = f->offset;
    t->refresh();
    if (const Transformed* x = transformed_of(f)) {  // the same part of the batch
      live_examples += x->batch - (batch_of(t) ? 1 : 0);
      autograd_meta(t).transformed = std::make_unique<Transformed>(*x);
    }
    Py_RETURN_NONE;
  });
}

PyObject* set_forward_enabled(PyObject*, PyObject* on) {
  const int value = PyObject_IsTrue(on);
  return value < 0 ? nullptr : PyBool_FromLong(std::exchange(forward_enabled, value != 0));
}
PyObject* is_forward_enabled(PyObject*, PyObject*) { return PyBool_FromLong(forward_enabled); }

PyMethodDef functions[] = {
    {"_set_fwd_grad_enabled", set_forward_enabled, METH_O,
     "Whether operators pass tangents of forward mode on; gives what it was."},
    {"_is_fwd_grad_enabled", is_forward_enabled, METH_NOARGS, "Whether they do."},
    {"_open_levels", open_levels, METH_VARARGS,
     "_open_levels(transforms, vmaps): counts levels up or down; gives how many are open."},
    {"_make_batch", py_make_batch, METH_VARARGS, "_make_batch(value, dim, level): an example."},
    {"_make_dual", py_make_dual, METH_VARARGS, "_make_dual(primal, tangent, level)."},
    {"_transformed", transformed, METH_O, "What a tensor stands for in a transform, or None."},
    {"_set_rules", set_rules, METH_VARARGS, "_set_rules(batch_rule, dispatcher)."},
    {"_exchange_dispatch", exchange_dispatch, METH_O, "Sets it; gives what it was."},
    {"_disable_torch_dispatch", disable_dispatch, METH_O,
     "Counts how often __torch_dispatch__ of classes is off."},
    {"_depends_on_others", depends_on_others, METH_VARARGS,
     "_depends_on_others(outputs, inputs): whether the graph has other leaves than inputs."},
    {"_set_geometry", same_storage_geometry, METH_VARARGS,
     "_set_geometry(to, from): the same part of the same memory."},
    {}};

}  // namespace

bool has_torch_dispatch(PyTypeObject* cls) {
  static PyObject* name = PyUnicode_InternFromString("__torch_dispatch__");
  PyObject* found = _PyType_Lookup(cls, name);
  return found && found != Py_None && found != _PyType_Lookup(TensorType, name);
}

void expect_torch_dispatch() {
  dispatching_classes = true;
  refresh_dispatch();
}

void init_transform(PyObject* m) {
  transform_binding.batched = batched;
  transform_binding.dispatch = dispatch;
  transform_binding.dispatches = dispatches;
  if (PyModule_AddFunctions(m, functions) < 0) throw PythonError{};
  init_overridable(m);
}

}  // namespace flambeau
