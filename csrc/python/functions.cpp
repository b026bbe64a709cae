// Operator records as Python callables: one type for functions, one for methods, one entry for all.
#include "../autocast.h"
#include "../pointwise.h"
#include "python.h"

#include <structmember.h>

namespace flambeau {

namespace {

struct OpFunction {
  PyObject_HEAD vectorcallfunc vectorcall;
  const Op* op;
  bool inplace;
  PyObject* name;
};

PyTypeObject *FunctionType, *MethodType;
PyObject* return_types;  // named-tuple classes by operator name

// -- results --------------------------------------------------------------------------------------
// "torch.return_types.max(\nvalues=...,\nindices=...)": a line for each result, as they are long.
PyObject* result_text(PyObject* self) {
  return guarded([&] {
    const PyTypeObject* type = Py_TYPE(self);
    Py text = Py::steal(checked(PyUnicode_FromFormat("%s(", type->tp_name)));
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(self); ++i)
      text = Py::steal(
          checked(PyUnicode_FromFormat("%U%s\n%s=%R", text.get(), i ? "," : "",
                                       type->tp_members[i].name, PyTuple_GET_ITEM(self, i))));
    return checked(PyUnicode_FromFormat("%U)", text.get()));
  });
}

// The class of that name; names live for ever, as classes do.
PyTypeObject* make_result_class(const std::string& name, const std::vector<std::string>& names) {
  PyObject* known = PyDict_GetItemString(return_types, name.c_str());
  if (known) return reinterpret_cast<PyTypeObject*>(known);
  auto n = names.size();
  auto* fields = new PyStructSequence_Field[n + 1]();
  for (size_t i = 0; i < n; ++i) fields[i].name = (new std::string(names[i]))->c_str();
  auto* full = new std::string("torch.return_types." + name);
  PyStructSequence_Desc desc = {full->c_str(), nullptr, fields, static_cast<int>(n)};
  PyTypeObject* cls = PyStructSequence_NewType(&desc);
  if (!cls) throw PythonError{};
  cls->tp_repr = result_text;
  // Printed under PyTorch's name, found by pickle under ours.
  Py home = Py::steal(checked(PyUnicode_FromString("flambeau.return_types")));
  if (PyObject_SetAttrString(reinterpret_cast<PyObject*>(cls), "__module__", home.get()) < 0)
    throw PythonError{};
  PyDict_SetItemString(return_types, name.c_str(), reinterpret_cast<PyObject*>(cls));
  Py_DECREF(cls);  // the dictionary holds it
  return cls;
}

// linalg.svd gives linalg_svd.
std::string result_name(const Op& op) {
  std::string name = op.schema.name;
  for (char& c : name)
    if (c == '.') c = '_';
  return name;
}

PyTypeObject* result_class(const Op& op) {
  return make_result_class(result_name(op), op.schema.results);
}

// _return_type(name, fields): for operators written in Python.
PyObject* return_type(PyObject*, PyObject* args) {
  const char* name;
  PyObject* fields;
  if (!PyArg_ParseTuple(args, "sO!:_return_type", &name, &PyTuple_Type, &fields)) return nullptr;
  return guarded([&] {
    std::vector<std::string> names;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(fields); ++i) {
      const char* text = PyUnicode_AsUTF8(PyTuple_GET_ITEM(fields, i));
      if (!text) throw PythonError{};
      names.emplace_back(text);
    }
    return Py_NewRef(reinterpret_cast<PyObject*>(make_result_class(name, names)));
  });
}

PyObject* wrap_value(const Value& v) {
  switch (v.tag()) {
    case Value::none: return Py_NewRef(Py_None);
    case Value::tensor: return wrap(v.as_tensor());
    case Value::scalar: return wrap(v.as_scalar());
    case Value::ints: return wrap_ints(v.as_ints());
    case Value::dtype: return wrap(v.as_dtype());
    case Value::string: return PyUnicode_FromString(v.as_string().c_str());
    case Value::tensors: {
      const TensorList& list = v.as_tensors();
      Py tuple = Py::steal(checked(PyTuple_New(static_cast<Py_ssize_t>(list.size()))));
      for (size_t i = 0; i < list.size(); ++i)
        PyTuple_SET_ITEM(tuple.get(), static_cast<Py_ssize_t>(i), checked(wrap(list[i])));
      return tuple.release();
    }
    default: fail(ErrorKind::runtime, "a result that Python has no form for");
  }
}

}  // namespace

PyObject* wrap_results(const Op& op, Value* results) {
  int n = op.nresults();
  if (n == 1) return wrap_value(results[0]);
  if (n == 0) return Py_NewRef(Py_None);
  bool named = !op.schema.results[0].empty();
  Py tuple = Py::steal(checked(named ? PyStructSequence_New(result_class(op)) : PyTuple_New(n)));
  for (int i = 0; i < n; ++i) {
    PyObject* x = checked(wrap_value(results[i]));
    if (named)
      PyStructSequence_SetItem(tuple.get(), i, x);
    else
      PyTuple_SET_ITEM(tuple.get(), i, x);
  }
  return tuple.release();
}

// -- __torch_function__ ---------------------------------------------------------------------------
namespace {

void collect_types(PyObject* o, std::vector<PyObject*>& found, PyObject* plain) {
  if (PyTuple_Check(o) || PyList_Check(o)) {
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(o); ++i)
      collect_types(PySequence_Fast_GET_ITEM(o, i), found, plain);
    return;
  }
  auto* type = reinterpret_cast<PyObject*>(Py_TYPE(o));
  if (is_tensor_exact(o) || PyLong_Check(o) || PyFloat_Check(o) || o == Py_None) return;
  if (is_small_type(Py_TYPE(o))) return;  // its __torch_function__ is for PyTorch's functions
  Py attr = Py::steal(PyObject_GetAttrString(type, "__torch_function__"));
  if (!attr) {
    PyErr_Clear();
    return;
  }
  if (attr.get() == plain) return;  // _disabled_torch_function_impl
  for (PyObject* f : found)
    if (Py_TYPE(f) == Py_TYPE(o)) return;
  // Subclasses before their bases.
  size_t at = found.size();
  for (size_t i = 0; i < found.size(); ++i)
    if (PyType_IsSubtype(Py_TYPE(o), Py_TYPE(found[i]))) {
      at = i;
      break;
    }
  found.insert(found.begin() + static_cast<ptrdiff_t>(at), o);
}

PyObject* disabled_impl;  // the object that a class sets as __torch_function__ to opt out

PyObject* disabled(PyObject*, PyObject* args) {
  PyObject *func, *types, *call_args = nullptr, *kwargs = nullptr;
  if (!PyArg_ParseTuple(args, "OO|OO", &func, &types, &call_args, &kwargs)) return nullptr;
  ++torch_function_disabled;
  Py empty = Py::steal(PyTuple_New(0));
  PyObject* r = PyObject_Call(func, call_args ? call_args : empty.get(),
                              kwargs && kwargs != Py_None ? kwargs : nullptr);
  --torch_function_disabled;
  return r;
}

}  // namespace

// A call's arguments as Python's own calls have them.
static std::pair<Py, Py> packed(PyObject* const* args, size_t nargs, PyObject* kwnames) {
  Py call_args = Py::steal(checked(PyTuple_New(static_cast<Py_ssize_t>(nargs))));
  for (size_t i = 0; i < nargs; ++i)
    PyTuple_SET_ITEM(call_args.get(), static_cast<Py_ssize_t>(i), Py_NewRef(args[i]));
  Py kwargs = Py::steal(checked(PyDict_New()));
  for (Py_ssize_t k = 0; kwnames && k < PyTuple_GET_SIZE(kwnames); ++k)
    PyDict_SetItem(kwargs.get(), PyTuple_GET_ITEM(kwnames, k),
                   args[nargs + static_cast<size_t>(k)]);
  return {std::move(call_args), std::move(kwargs)};
}

static PyObject* mode_handler;  // overrides._in_mode(func, types, args, kwargs)

PyObject* torch_function(PyObject* func, PyObject* const* args, size_t nargs, PyObject* kwnames) {
  size_t nkw = kwnames ? static_cast<size_t>(PyTuple_GET_SIZE(kwnames)) : 0;
  std::vector<PyObject*> found;
  for (size_t i = 0; i < nargs + nkw; ++i) collect_types(args[i], found, disabled_impl);
  if (found.empty() && !torch_function_modes) return nullptr;
  Py types = Py::steal(checked(PyTuple_New(static_cast<Py_ssize_t>(found.size()))));
  for (size_t i = 0; i < found.size(); ++i)
    PyTuple_SET_ITEM(types.get(), static_cast<Py_ssize_t>(i),
                     Py_NewRef(reinterpret_cast<PyObject*>(Py_TYPE(found[i]))));
  auto [call_args, kwargs] = packed(args, nargs, kwnames);
  for (PyObject* o : found)
    if (is_pytorch_tensor(Py_TYPE(o))) return call_with_taken(func, call_args.get(), kwargs.get());
  if (torch_function_modes)
    return checked(PyObject_CallFunctionObjArgs(mode_handler, func, types.get(), call_args.get(),
                                                kwargs.get(), nullptr));
  for (PyObject* o : found) {
    Py method = Py::steal(checked(PyObject_GetAttrString(o, "__torch_function__")));
    PyObject* r = checked(PyObject_CallFunctionObjArgs(method.get(), func, types.get(),
                                                       call_args.get(), kwargs.get(), nullptr));
    if (r != Py_NotImplemented) return r;
    Py_DECREF(r);
  }
  fail(ErrorKind::type,
       "no implementation found for operator on types that implement "
       "__torch_function__");
}

PyObject* ask_mode(const char* method, PyObject* const* args, size_t nargs, PyObject* kwnames) {
  return guarded([&] {
    Py function =
        Py::steal(checked(PyObject_GetAttrString(reinterpret_cast<PyObject*>(TensorType), method)));
    return torch_function(function.get(), args, nargs, kwnames);
  });
}

// -- the entry ------------------------------------------------------------------------------------
namespace {

PyObject* finish(ParsedCall& call, const Op& op, PyObject* out_object) {
  Value results[kMaxResults];
  if (call.has_out) {
    call_out(op, call.args(), call.outs);
    if (op.nresults() == 1) return Py_NewRef(out_object);
    return wrap_results(op, call.outs);
  }
  if (autocasting()) [[unlikely]]
    autocast_args(op, call.args());
  call_op(op, call.args(), results);
  if (call.requires_grad) {
    const Tensor& t = results[0].as_tensor();
    check(is_inexact(t.dtype()),
          "Only Tensors of floating point and complex dtype can require gradients");
    autograd_meta(t).requires_grad = true;
  }
  return wrap_results(op, results);
}

PyObject* find_out(PyObject* const* args, size_t nargs, PyObject* kwnames) {
  for (Py_ssize_t k = 0; kwnames && k < PyTuple_GET_SIZE(kwnames); ++k)
    if (PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(kwnames, k), "out") == 0) {
      PyObject* o = args[nargs + static_cast<size_t>(k)];
      return is_tensor(o) ? o : PySequence_Fast_GET_ITEM(o, 0);
    }
  return nullptr;
}

struct PlainTensors {  // subclasses are read as plain tensors in its scope
  PlainTensors() { ++torch_function_disabled; }
  ~PlainTensors() { --torch_function_disabled; }
};

PyObject* call_function(PyObject* self, PyObject* const* args, size_t nargsf, PyObject* kwnames) {
  auto* f = reinterpret_cast<OpFunction*>(self);
  auto nargs = static_cast<size_t>(PyVectorcall_NARGS(nargsf));
  return guarded([&]() -> PyObject* {
    ParsedCall call;
    if (!parse_call(call, f->op, args, nargs, kwnames)) {
      PyObject* r = torch_function(self, args, nargs, kwnames);
      if (r) return r;
      PlainTensors plain;
      parse_call(call, f->op, args, nargs, kwnames);
    }
    if (call.sparse) [[unlikely]] {
      auto [call_args, kwargs] = packed(args, nargs, kwnames);
      Py home = Py::steal(checked(PyImport_ImportModule("flambeau.sparse._create")));
      Py make = Py::steal(checked(PyObject_GetAttrString(home.get(), "made_by_layout")));
      return checked(
          PyObject_CallFunctionObjArgs(make.get(), self, call_args.get(), kwargs.get(), nullptr));
    }
    const Op* op = call.op;
    bool inplace = f->inplace;
    if (op->alias) [[unlikely]] {
      if (op->nargs() > op->alias->nargs()) inplace |= call.args()[op->nargs() - 1].as_bool();
      op = op->alias;
    }
    if (!inplace && !(op->flags & kOnlyInplace)) [[likely]]
      return finish(call, *op, call.has_out ? find_out(args, nargs, kwnames) : nullptr);
    check_type(call.args()[0].is_tensor(), op->schema.name, "_(): argument 'input' must be Tensor");
    call_inplace(*op, call.args());
    if (nargs > 0) return Py_NewRef(args[0]);
    return wrap(call.args()[0].as_tensor());
  });
}

PyObject* bind_method(PyObject* self, PyObject* object, PyObject*) {
  if (!object || object == Py_None) return Py_NewRef(self);
  return PyMethod_New(self, object);
}

PyObject* function_repr(PyObject* self) {
  auto* f = reinterpret_cast<OpFunction*>(self);
  return PyUnicode_FromFormat("<built-in method %U>", f->name);
}

PyObject* get_name(PyObject* self, void*) {
  return Py_NewRef(reinterpret_cast<OpFunction*>(self)->name);
}

PyObject* get_module(PyObject* self, void*) {
  const std::string& full = reinterpret_cast<OpFunction*>(self)->op->schema.name;
  size_t dot = full.rfind('.');
  std::string module = "flambeau" + (dot == std::string::npos ? "" : "." + full.substr(0, dot));
  return PyUnicode_FromString(module.c_str());
}

PyObject* get_doc(PyObject* self, void*) {
  auto* f = reinterpret_cast<OpFunction*>(self);
  std::string text;
  for (const Op* o = f->op; o; o = o->next_overload) {
    size_t open = o->text.find('(');
    text += (f->inplace ? cat(f->op->schema.name, "_") : f->op->schema.name) +
            o->text.substr(open) + "\n";
  }
  return PyUnicode_FromString((text + "\n" + f->op->doc).c_str());
}

PyObject* get_schemas(PyObject* self, void*) {
  return guarded([&] {
    Py list = Py::steal(checked(PyList_New(0)));
    for (const Op* o = reinterpret_cast<OpFunction*>(self)->op; o; o = o->next_overload) {
      Py text = Py::steal(checked(PyUnicode_FromString(o->text.c_str())));
      PyList_Append(list.get(), text.get());
    }
    return list.release();
  });
}

// pointwise, view, native, or composed (of other operators, and differentiable as they are).
PyObject* get_kind(PyObject* self, void*) {
  const Op* op = reinterpret_cast<OpFunction*>(self)->op;
  if (op->alias) op = op->alias;
  const char* kind = op->pointwise            ? "pointwise"
                     : op->flags & kView      ? "view"
                     : op->flags & kComposite ? "composed"
                                              : "native";
  return PyUnicode_FromString(kind);
}

PyObject* get_differentiable(PyObject* self, void*) {
  for (const Op* o = reinterpret_cast<OpFunction*>(self)->op; o; o = o->next_overload) {
    const Op* op = o->alias ? o->alias : o;
    bool formula = op->pointwise ? op->pointwise->differentiable : op->backward != nullptr;
    if (formula || (op->flags & kComposite && !(op->flags & kNotDifferentiable))) Py_RETURN_TRUE;
  }
  Py_RETURN_FALSE;
}

// Pickled by where it is found: flambeau.<namespace>.<name>.
PyObject* function_reduce(PyObject* self, PyObject*) {
  const auto* f = reinterpret_cast<OpFunction*>(self);
  return guarded([&] {
    Py module = Py::steal(checked(PyImport_ImportModule("flambeau._ops")));
    Py finder = Py::steal(checked(PyObject_GetAttrString(module.get(), "find")));
    return checked(Py_BuildValue("O(ssO)", finder.get(), f->op->schema.name.c_str(),
                                 Py_TYPE(self) == MethodType ? "method" : "function",
                                 f->inplace ? Py_True : Py_False));
  });
}

PyMethodDef function_methods[] = {{"__reduce__", function_reduce, METH_NOARGS, nullptr}, {}};
PyGetSetDef function_getset[] = {
    {"__name__", get_name, nullptr, nullptr, nullptr},
    {"__qualname__", get_name, nullptr, nullptr, nullptr},
    {"__module__", get_module, nullptr, nullptr, nullptr},
    {"__doc__", get_doc, nullptr, nullptr, nullptr},
    {"schemas", get_schemas, nullptr, "The record's schemas, one for each overload.", nullptr},
    {"kind", get_kind, nullptr, "pointwise, view, native or composed.", nullptr},
    {"differentiable", get_differentiable, nullptr, "Whether there is a gradient.", nullptr},
    {}};
PyMemberDef function_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(OpFunction, vectorcall), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr}};

void function_dealloc(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  Py_XDECREF(reinterpret_cast<OpFunction*>(self)->name);
  type->tp_free(self);
  Py_DECREF(type);
}

PyTypeObject* make_type(const char* name, bool method) {
  PyType_Slot slots[] = {{Py_tp_call, reinterpret_cast<void*>(PyVectorcall_Call)},
                         {Py_tp_repr, reinterpret_cast<void*>(function_repr)},
                         {Py_tp_dealloc, reinterpret_cast<void*>(function_dealloc)},
                         {Py_tp_methods, function_methods},
                         {Py_tp_getset, function_getset},
                         {Py_tp_members, function_members},
                         {method ? Py_tp_descr_get : 0, reinterpret_cast<void*>(bind_method)},
                         {0, nullptr}};
  unsigned flags =
      Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_DISALLOW_INSTANTIATION;
  if (method) flags |= Py_TPFLAGS_METHOD_DESCRIPTOR;
  PyType_Spec spec = {name, sizeof(OpFunction), 0, flags, slots};
  auto* type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&spec));
  if (!type) throw PythonError{};
  return type;
}

void add(PyObject* dict, const std::string& key, PyObject* value) {
  Py owned = Py::steal(checked(value));
  if (PyDict_SetItemString(dict, key.c_str(), owned.get())) throw PythonError{};
}

PyObject* count_modes(PyObject*, PyObject* args) {
  int by;
  PyObject* handler;
  if (!PyArg_ParseTuple(args, "iO:_count_function_modes", &by, &handler)) return nullptr;
  Py_XSETREF(mode_handler, Py_NewRef(handler));
  torch_function_modes += by;
  Py_RETURN_NONE;
}

PyMethodDef module_methods[] = {
    {"_return_type", return_type, METH_VARARGS,
     "_return_type(name, fields): the named tuple of an operator's results."},
    {"_count_function_modes", count_modes, METH_VARARGS,
     "_count_function_modes(by, handler): TorchFunctionModes that begin or end."},
    {"_disabled_torch_function_impl", disabled, METH_VARARGS,
     "Set as __torch_function__, this makes a Tensor subclass behave as a plain Tensor."},
    {}};

}  // namespace

PyObject* make_function(const Op* op, bool method, bool inplace) {
  auto* f = PyObject_New(OpFunction, method ? MethodType : FunctionType);
  if (!f) return nullptr;
  f->vectorcall = call_function;
  f->op = op;
  f->inplace = inplace;
  std::string name = op->schema.name.substr(op->schema.name.rfind('.') + 1) +
                     (inplace && op->schema.name.back() != '_' ? "_" : "");
  f->name = PyUnicode_InternFromString(name.c_str());
  return reinterpret_cast<PyObject*>(f);
}

void init_functions(PyObject* m) {
  resolve_aliases();
  FunctionType = make_type("flambeau._C.Function", false);
  MethodType = make_type("flambeau._C.Method", true);
  return_types = checked(PyDict_New());
  if (PyModule_AddFunctions(m, module_methods)) throw PythonError{};
  disabled_impl = checked(PyObject_GetAttrString(m, "_disabled_torch_function_impl"));
  Py functions = Py::steal(checked(PyDict_New())), methods = Py::steal(checked(PyDict_New())),
     internal = Py::steal(checked(PyDict_New()));
  for (Op* first : all_ops()) {
    for (Op* op = first; op; op = op->next_overload) {
      for (Argument& a : op->schema.args)
        if (!a.interned) a.interned = PyUnicode_InternFromString(a.name.c_str());
      bool named = op->nresults() > 1 && !op->schema.results[0].empty();
      if (named && !(first->flags & kInternal)) result_class(*op);
    }
    const std::string& full = first->schema.name;
    std::string name = full.substr(full.rfind('.') + 1);
    if (first->flags & kInternal) {
      add(internal.get(), full, make_function(first, false, false));
      continue;
    }
    bool inplace = first->flags & kInplace, plain = full == name;
    // A record whose own name ends in "_" (uniform_) writes its first argument itself.
    bool written = first->flags & kOnlyInplace;
    if (!(first->flags & kNoFunction))
      add(functions.get(), full, make_function(first, false, written));
    if (first->flags & kMethod && plain)
      add(methods.get(), name, make_function(first, true, written));
    if (!inplace || written) continue;
    if (!(first->flags & kNoFunction))
      add(functions.get(), full + "_", make_function(first, false, true));
    if (first->flags & kMethod && plain)
      add(methods.get(), name + "_", make_function(first, true, true));
  }
  PyModule_AddObjectRef(m, "_functions", functions.get());
  PyModule_AddObjectRef(m, "_methods", methods.get());
  PyModule_AddObjectRef(m, "_internal", internal.get());
  PyModule_AddObjectRef(m, "_return_types", return_types);
}

}  // namespace flambeau
