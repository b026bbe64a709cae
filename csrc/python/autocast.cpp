// Autocast's state from Python, under PyTorch's names.
#include "../autocast.h"

#include "python.h"

namespace flambeau {
namespace {

int device_number(PyObject* name) {
  check_type(PyUnicode_Check(name), "autocast: a device type must be a string, got ",
             Py_TYPE(name)->tp_name);
  for (int i = 0; i < kAutocastDeviceCount; ++i)
    if (PyUnicode_CompareWithASCIIString(name, kAutocastDevices[i]) == 0) return i;
  fail(ErrorKind::runtime, "unsupported autocast device_type '", PyUnicode_AsUTF8(name), "'");
}
constexpr int kCuda = 2;

PyObject* is_enabled(PyObject*, PyObject* args) {
  PyObject* name = nullptr;
  if (!PyArg_ParseTuple(args, "|O:is_autocast_enabled", &name)) return nullptr;
  return guarded(
      [&] { return PyBool_FromLong(thread_autocast.enabled[name ? device_number(name) : kCuda]); });
}

PyObject* set_enabled(PyObject*, PyObject* args) {
  PyObject *first, *second = nullptr;
  if (!PyArg_ParseTuple(args, "O|O:set_autocast_enabled", &first, &second)) return nullptr;
  return guarded([&]() -> PyObject* {
    PyObject* on = second ? second : first;
    check_type(PyBool_Check(on), "set_autocast_enabled(): enabled must be a bool, got ",
               Py_TYPE(on)->tp_name);
    thread_autocast.enabled[second ? device_number(first) : kCuda] = on == Py_True;
    thread_autocast.active = false;
    for (bool enabled : thread_autocast.enabled)
      thread_autocast.active = thread_autocast.active || enabled;
    Py_RETURN_NONE;
  });
}

PyObject* get_dtype(PyObject*, PyObject* name) {
  return guarded([&] { return wrap(thread_autocast.dtype[device_number(name)]); });
}

PyObject* set_dtype(PyObject*, PyObject* args) {
  PyObject *name, *dtype;
  if (!PyArg_ParseTuple(args, "OO:set_autocast_dtype", &name, &dtype)) return nullptr;
  return guarded([&]() -> PyObject* {
    DType t;
    check_type(dtype_from(dtype, &t), "set_autocast_dtype(): dtype must be a dtype, got ",
               Py_TYPE(dtype)->tp_name);
    thread_autocast.dtype[device_number(name)] = t;
    Py_RETURN_NONE;
  });
}

PyObject* is_cache_enabled(PyObject*, PyObject*) { return PyBool_FromLong(thread_autocast.keeps); }

PyObject* set_cache_enabled(PyObject*, PyObject* on) {
  return guarded([&]() -> PyObject* {
    check_type(PyBool_Check(on), "set_autocast_cache_enabled(): enabled must be a bool, got ",
               Py_TYPE(on)->tp_name);
    thread_autocast.keeps = on == Py_True;
    Py_RETURN_NONE;
  });
}

PyObject* clear_cache(PyObject*, PyObject*) {
  clear_autocast_cache();
  Py_RETURN_NONE;
}

PyObject* deeper(PyObject*, PyObject*) { return PyLong_FromLong(++thread_autocast.nesting); }
PyObject* shallower(PyObject*, PyObject*) { return PyLong_FromLong(--thread_autocast.nesting); }
PyObject* is_active(PyObject*, PyObject*) { return PyBool_FromLong(autocasting()); }

PyMethodDef functions[] = {
    {"is_autocast_enabled", is_enabled, METH_VARARGS,
     "is_autocast_enabled(device_type): whether autocast is on for a type of device."},
    {"set_autocast_enabled", set_enabled, METH_VARARGS,
     "set_autocast_enabled(device_type, enabled): switches autocast on or off."},
    {"get_autocast_dtype", get_dtype, METH_O,
     "get_autocast_dtype(device_type): the type that autocast lowers to."},
    {"set_autocast_dtype", set_dtype, METH_VARARGS,
     "set_autocast_dtype(device_type, dtype): sets the type that autocast lowers to."},
    {"is_autocast_cache_enabled", is_cache_enabled, METH_NOARGS,
     "Whether casts of weights are kept within an autocast region."},
    {"set_autocast_cache_enabled", set_cache_enabled, METH_O,
     "Says whether casts of weights are kept within an autocast region."},
    {"clear_autocast_cache", clear_cache, METH_NOARGS, "Forgets the casts of weights."},
    {"autocast_increment_nesting", deeper, METH_NOARGS, "Enters an autocast region; its depth."},
    {"autocast_decrement_nesting", shallower, METH_NOARGS, "Leaves an autocast region; the depth."},
    {"_autocasting", is_active, METH_NOARGS, "Whether autocast is on for any device."},
    {}};

}  // namespace

void init_autocast(PyObject* m) {
  if (PyModule_AddFunctions(m, functions) < 0) throw PythonError{};
  static constexpr const char* kinds[] = {"lower", "float32", "widest"};
  Py rules = Py::steal(checked(PyDict_New()));
  for (const AutocastRule& rule : autocast_rules()) {
    Py kind = Py::steal(checked(PyUnicode_FromString(kinds[static_cast<int>(rule.to)])));
    if (PyDict_SetItemString(rules.get(), rule.name, kind.get())) throw PythonError{};
  }
  PyModule_AddObjectRef(m, "_autocast_rules", rules.get());
}

}  // namespace flambeau
