// Functions written in Python that Tensor subclasses and TorchFunctionModes may take over: a thin
// callable around each, which looks at the arguments' types and goes on.
#include "python.h"
// After Python.h.
#include <structmember.h>

#include <string_view>
#include <vector>

namespace flambeau {

namespace {

struct Overridable {
  PyObject_HEAD vectorcallfunc vectorcall;
  PyObject* function;
};

PyTypeObject* OverridableType;

PyObject* function_of(PyObject* o) { return reinterpret_cast<Overridable*>(o)->function; }

// Whether an argument may want the call for itself; lists and tuples are looked into.
bool asks(PyObject* o) {
  if (is_tensor_exact(o) || o == Py_None) return false;
  PyTypeObject* t = Py_TYPE(o);
  if (t == &PyLong_Type || t == &PyFloat_Type || t == &PyBool_Type || t == &PyUnicode_Type ||
      is_small_type(t))
    return false;
  if (t == &PyTuple_Type || t == &PyList_Type) {
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(o); ++i)
      if (asks(PySequence_Fast_GET_ITEM(o, i))) return true;
    return false;
  }
  static PyObject* name = PyUnicode_InternFromString("__torch_function__");
  return _PyType_Lookup(t, name) != nullptr;
}

bool any_asks(PyObject* const* args, size_t n) {
  if (torch_function_disabled) return false;
  if (torch_function_modes) return true;
  for (size_t i = 0; i < n; ++i)
    if (asks(args[i])) return true;
  return false;
}

// Where the schema wants a tensor, a missing attribute of something else is a wrong argument.
void blame_argument(PyObject* function, PyObject* const* args, size_t nargs) {
  if (!PyErr_ExceptionMatches(PyExc_AttributeError)) return;
  PyObject *type, *value, *trace;
  PyErr_Fetch(&type, &value, &trace);
  Py schema = Py::steal(PyObject_GetAttrString(function, "schema"));
  const char* text = schema ? PyUnicode_AsUTF8(schema.get()) : nullptr;
  std::string_view left = text ? text : "";
  const std::string name(left.substr(0, left.find('(')));
  left.remove_prefix(std::min(left.size(), name.size() + 1));
  for (size_t i = 0; i < nargs; ++i) {
    constexpr std::string_view kTensor = "Tensor ";
    const size_t end = left.find_first_of(",)=");
    if (end == left.npos || left[end] == '=') break;  // defaults may hold commas
    if (left.starts_with(kTensor) && !is_tensor(args[i])) {
      const std::string argument(left.substr(kTensor.size(), end - kTensor.size()));
      Py_XDECREF(type), Py_XDECREF(value), Py_XDECREF(trace);
      PyErr_Format(PyExc_TypeError, "%s(): argument '%s' (position %zu) must be Tensor, not %s",
                   name.c_str(), argument.c_str(), i + 1, Py_TYPE(args[i])->tp_name);
      return;
    }
    left.remove_prefix(std::min(left.size(), end + 2));
  }
  PyErr_Clear();
  PyErr_Restore(type, value, trace);
}

// torch_function() for f(x, [a, b]) as for f(x, a, b), where the schema takes any number of
// tensors.
PyObject* asked(PyObject* self, PyObject* const* args, size_t nargs, PyObject* kwnames) {
  PyObject* list = nargs ? args[nargs - 1] : nullptr;
  if (!list || !(PyList_Check(list) || PyTuple_Check(list)))
    return torch_function(self, args, nargs, kwnames);
  Py schema = Py::steal(PyObject_GetAttrString(function_of(self), "schema"));
  const char* text = schema ? PyUnicode_AsUTF8(schema.get()) : nullptr;
  if (!text) PyErr_Clear();
  if (!text || std::string_view(text).find("*Tensor") == std::string_view::npos)
    return torch_function(self, args, nargs, kwnames);
  std::vector<PyObject*> flat(args, args + nargs - 1);
  PyObject** items = PySequence_Fast_ITEMS(list);
  flat.insert(flat.end(), items, items + PySequence_Fast_GET_SIZE(list));
  const size_t positional = flat.size();
  const size_t named = kwnames ? static_cast<size_t>(PyTuple_GET_SIZE(kwnames)) : 0;
  flat.insert(flat.end(), args + nargs, args + nargs + named);
  return torch_function(self, flat.data(), positional, kwnames);
}

PyObject* call(PyObject* self, PyObject* const* args, size_t nargsf, PyObject* kwnames) {
  auto nargs = static_cast<size_t>(PyVectorcall_NARGS(nargsf));
  size_t total = nargs + (kwnames ? static_cast<size_t>(PyTuple_GET_SIZE(kwnames)) : 0);
  if (any_asks(args, total)) [[unlikely]] {
    PyObject* r = guarded([&] { return asked(self, args, nargs, kwnames); });
    if (r || PyErr_Occurred()) return r;
  }
  PyObject* result = PyObject_Vectorcall(function_of(self), args, nargsf, kwnames);
  if (!result && nargs > 0) [[unlikely]]
    blame_argument(function_of(self), args, nargs);
  return result;
}

PyObject* bind(PyObject* self, PyObject* object, PyObject*) {
  if (!object || object == Py_None) return Py_NewRef(self);
  return PyMethod_New(self, object);
}

template <const char* name>
PyObject* forwarded(PyObject* self, void*) {
  return PyObject_GetAttrString(function_of(self), name);
}
constexpr char kName[] = "__name__", kQualName[] = "__qualname__", kModule[] = "__module__",
               kDoc[] = "__doc__";

PyObject* wrapped(PyObject* self, void*) { return Py_NewRef(function_of(self)); }

PyObject* getattro(PyObject* self, PyObject* name) {  // the function's own attributes
  PyObject* found = PyObject_GenericGetAttr(self, name);
  if (found || !PyErr_ExceptionMatches(PyExc_AttributeError)) return found;
  PyErr_Clear();
  return PyObject_GetAttr(function_of(self), name);
}

int setattro(PyObject* self, PyObject* name, PyObject* value) {
  return PyObject_SetAttr(function_of(self), name, value);
}

PyObject* repr(PyObject* self) { return PyObject_Repr(function_of(self)); }
PyObject* reduce(PyObject* self, PyObject*) {  // pickled by where it is found
  return guarded([&] {
    Py module = Py::steal(checked(PyImport_ImportModule("flambeau._ops")));
    Py finder = Py::steal(checked(PyObject_GetAttrString(module.get(), "overridable")));
    return checked(Py_BuildValue(
        "O(NN)", finder.get(), checked(PyObject_GetAttrString(function_of(self), "__module__")),
        checked(PyObject_GetAttrString(function_of(self), "__qualname__"))));
  });
}

void dealloc(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  PyObject_GC_UnTrack(self);
  Py_CLEAR(reinterpret_cast<Overridable*>(self)->function);
  type->tp_free(self);
  Py_DECREF(type);
}
int traverse(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(function_of(self));
  return 0;
}

PyObject* make(PyObject*, PyObject* function) {
  if (!PyCallable_Check(function))
    return PyErr_Format(PyExc_TypeError, "expected a function, got %s", Py_TYPE(function)->tp_name);
  auto* o = PyObject_GC_New(Overridable, OverridableType);
  if (!o) return nullptr;
  o->vectorcall = call;
  o->function = Py_NewRef(function);
  PyObject_GC_Track(o);
  return reinterpret_cast<PyObject*>(o);
}

PyObject* has_torch_function(PyObject*, PyObject* const* args, Py_ssize_t n) {
  return PyBool_FromLong(any_asks(args, static_cast<size_t>(n)));
}

PyObject* handle(PyObject*, PyObject* const* args, Py_ssize_t n) {
  return guarded([&]() -> PyObject* {
    check_type(n == 3 && PyTuple_Check(args[1]) && PyDict_Check(args[2]),
               "_handle_torch_function(function, args, kwargs)");
    std::vector<PyObject*> all;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(args[1]); ++i)
      all.push_back(PyTuple_GET_ITEM(args[1], i));
    size_t positional = all.size();
    Py names = Py::steal(checked(PySequence_Tuple(args[2])));
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(names.get()); ++i)
      all.push_back(PyDict_GetItem(args[2], PyTuple_GET_ITEM(names.get(), i)));
    PyObject* r = torch_function(args[0], all.data(), positional, names.get());
    if (r || PyErr_Occurred()) return r;
    return Py_NewRef(Py_NotImplemented);
  });
}

PyMethodDef functions[] = {
    {"_overridable", make, METH_O, "A function that subclasses of Tensor may take over."},
    {"_has_torch_function",
     reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(has_torch_function)), METH_FASTCALL,
     "Whether a subclass or a mode wants a call with these arguments."},
    {"_handle_torch_function", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(handle)),
     METH_FASTCALL, "Gives a call to who wants it; NotImplemented: nobody."},
    {}};

}  // namespace

void init_overridable(PyObject* m) {
  static PyGetSetDef getset[] = {{kName, forwarded<kName>, nullptr, nullptr, nullptr},
                                 {kQualName, forwarded<kQualName>, nullptr, nullptr, nullptr},
                                 {kModule, forwarded<kModule>, nullptr, nullptr, nullptr},
                                 {kDoc, forwarded<kDoc>, nullptr, nullptr, nullptr},
                                 {"__wrapped__", wrapped, nullptr, nullptr, nullptr},
                                 {}};
  static PyMemberDef members[] = {
      {"__vectorcalloffset__", T_PYSSIZET, offsetof(Overridable, vectorcall), READONLY, nullptr},
      {}};
  static PyMethodDef methods[] = {{"__reduce__", reduce, METH_NOARGS, nullptr}, {}};
  PyType_Slot slots[] = {{Py_tp_call, reinterpret_cast<void*>(PyVectorcall_Call)},
                         {Py_tp_repr, reinterpret_cast<void*>(repr)},
                         {Py_tp_dealloc, reinterpret_cast<void*>(dealloc)},
                         {Py_tp_traverse, reinterpret_cast<void*>(traverse)},
                         {Py_tp_getattro, reinterpret_cast<void*>(getattro)},
                         {Py_tp_setattro, reinterpret_cast<void*>(setattro)},
                         {Py_tp_descr_get, reinterpret_cast<void*>(bind)},
                         {Py_tp_methods, methods},
                         {Py_tp_getset, getset},
                         {Py_tp_members, members},
                         {0, nullptr}};
  PyType_Spec spec = {"flambeau._C.OverridableFunction", sizeof(Overridable), 0,
                      Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL |
                          Py_TPFLAGS_METHOD_DESCRIPTOR | Py_TPFLAGS_DISALLOW_INSTANTIATION,
                      slots};
  OverridableType = reinterpret_cast<PyTypeObject*>(checked(PyType_FromSpec(&spec)));
  if (PyModule_AddFunctions(m, functions) < 0) throw PythonError{};
}

}  // namespace flambeau
