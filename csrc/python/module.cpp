// flambeau._C: puts the module together; settings; C++ exceptions as Python ones.
#include <new>

#include "../lapack.h"
#include "../overlap.h"
#include "../parallel.h"
#include "python.h"

namespace flambeau {

namespace {

PyObject *OutOfMemoryError, *LinAlgError;

void warn_user(const std::string& text) {
  if (PyErr_WarnEx(PyExc_UserWarning, text.c_str(), 1) < 0) throw PythonError{};
}

PyObject* exception_for(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::value: return PyExc_ValueError;
    case ErrorKind::type: return PyExc_TypeError;
    case ErrorKind::index: return PyExc_IndexError;
    case ErrorKind::not_implemented: return PyExc_NotImplementedError;
    case ErrorKind::attribute: return PyExc_AttributeError;
    case ErrorKind::out_of_memory: return OutOfMemoryError;
    case ErrorKind::linalg: return LinAlgError;
    default: return PyExc_RuntimeError;
  }
}

PyObject* add_exception(PyObject* m, const char* full, const char* doc) {
  PyObject* e = checked(PyErr_NewExceptionWithDoc(full, doc, PyExc_RuntimeError, nullptr));
  if (PyModule_AddObjectRef(m, std::strrchr(full, '.') + 1, e) < 0) throw PythonError{};
  return e;
}

// -- settings -------------------------------------------------------------------------------------
PyObject* get_default_dtype(PyObject*, PyObject*) { return wrap(default_dtype()); }

PyObject* py_set_default_dtype(PyObject*, PyObject* o) {
  return guarded([&]() -> PyObject* {
    DType t;
    check_type(dtype_from(o, &t), "set_default_dtype(): argument 'd' must be flambeau.dtype, not ",
               Py_TYPE(o)->tp_name);
    check_type(is_floating(t), "only floating-point types are supported as the default type");
    set_default_dtype(t);
    Py_RETURN_NONE;
  });
}

PyObject* get_default_device(PyObject*, PyObject*) { return wrap(default_device()); }

PyObject* set_default_device(PyObject*, PyObject* o) {
  return guarded([&]() -> PyObject* {
    Device d;
    check_type(o == Py_None || device_from(o, &d),
               "set_default_device(): argument 'device' must be flambeau.device, not ",
               Py_TYPE(o)->tp_name);
    default_device() = d;
    Py_RETURN_NONE;
  });
}

PyObject* py_promote_types(PyObject*, PyObject* args) {
  PyObject *a, *b;
  if (!PyArg_ParseTuple(args, "OO:promote_types", &a, &b)) return nullptr;
  return guarded([&] {
    DType x, y;
    check_type(dtype_from(a, &x) && dtype_from(b, &y), "promote_types(): takes two dtypes");
    return wrap(promote(x, y));
  });
}

PyObject* py_can_cast(PyObject*, PyObject* args, PyObject* kwargs) {
  static const char* names[] = {"from_", "to", nullptr};
  PyObject *from, *to;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO:can_cast", const_cast<char**>(names), &from,
                                   &to))
    return nullptr;
  return guarded([&] {
    DType x, y;
    check_type(dtype_from(from, &x) && dtype_from(to, &y), "can_cast(): takes two dtypes");
    return PyBool_FromLong(can_cast(x, y));
  });
}

PyObject* get_num_threads(PyObject*, PyObject*) { return PyLong_FromLong(num_threads()); }

PyObject* py_set_num_threads(PyObject*, PyObject* o) {
  return guarded([&]() -> PyObject* {
    int64_t n;
    check_type(int_from(o, &n), "set_num_threads expects an int, but got ", Py_TYPE(o)->tp_name);
    check(n > 0 && n <= 4096, "expected positive number of threads, got ", n);
    set_num_threads(static_cast<int>(n));
    Py_RETURN_NONE;
  });
}

PyObject* py_isa_level(PyObject*, PyObject*) { return PyUnicode_FromString(isa_level()); }

PyObject* empty_cache(PyObject*, PyObject*) {
  cpu_empty_cache();
  Py_RETURN_NONE;
}

PyObject* memory_stats(PyObject*, PyObject*) {
  const MemoryStats& s = cpu_memory_stats();
  return Py_BuildValue("{s:L,s:L,s:L,s:L,s:L}", "in_use", static_cast<long long>(s.in_use), "peak",
                       static_cast<long long>(s.peak), "cached", static_cast<long long>(s.cached),
                       "allocations", static_cast<long long>(s.allocations), "system_allocations",
                       static_cast<long long>(s.system_allocations));
}

PyMethodDef functions[] = {
    {"get_default_dtype", get_default_dtype, METH_NOARGS,
     "The dtype of floats made from Python's."},
    {"set_default_dtype", py_set_default_dtype, METH_O, "Makes floats of that dtype from now on."},
    {"get_default_device", get_default_device, METH_NOARGS, "Where factories put tensors."},
    {"set_default_device", set_default_device, METH_O, "Makes factories put tensors there."},
    {"promote_types", py_promote_types, METH_VARARGS, "The dtype that holds both."},
    {"can_cast", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(py_can_cast)),
     METH_VARARGS | METH_KEYWORDS, "Whether a result of one dtype may be written to another."},
    {"get_num_threads", get_num_threads, METH_NOARGS, "How many threads work on one operator."},
    {"set_num_threads", py_set_num_threads, METH_O, "How many threads work on one operator."},
    {"_isa_level", py_isa_level, METH_NOARGS, "The instruction-set level of the kernels."},
    {"_empty_cache", empty_cache, METH_NOARGS, "Gives cached memory back to the system."},
    {"_memory_stats", memory_stats, METH_NOARGS, "Bytes in use and kept, and counts."},
    {}};

PyModuleDef definition = {PyModuleDef_HEAD_INIT,
                          "flambeau._C",
                          "The core of flambeau.",
                          -1,
                          functions,
                          nullptr,
                          nullptr,
                          nullptr,
                          nullptr};

void* release_gil() { return PyGILState_Check() ? PyEval_SaveThread() : nullptr; }
void acquire_gil(void* state) {
  if (state) PyEval_RestoreThread(static_cast<PyThreadState*>(state));
}

std::string find_lapack() {
  Py module = Py::steal(checked(PyImport_ImportModule("flambeau._lapack")));
  Py path = Py::steal(checked(PyObject_CallMethod(module.get(), "library", nullptr)));
  const char* text = PyUnicode_AsUTF8(path.get());
  if (!text) throw PythonError{};
  return text;
}

}  // namespace

void translate_exception() {
  try {
    throw;
  } catch (const PythonError&) {
    if (!PyErr_Occurred()) PyErr_SetString(PyExc_SystemError, "an error without an exception");
  } catch (const Error& e) {
    // Of a device that this build lacks PyTorch's binding says so by an assertion.
    const bool lacks = e.message.starts_with("Torch not compiled with ");
    PyErr_SetString(lacks ? PyExc_AssertionError : exception_for(e.kind), e.message.c_str());
  } catch (const std::bad_alloc&) {
    PyErr_NoMemory();
  } catch (const std::exception& e) {
    PyErr_SetString(PyExc_RuntimeError, e.what());
  }
}

}  // namespace flambeau

PyMODINIT_FUNC PyInit__C() {
  using namespace flambeau;
  return guarded([]() -> PyObject* {
    Py module = Py::steal(checked(PyModule_Create(&definition)));
    PyObject* m = module.get();
    choose_kernels();
    gil_hooks.release = release_gil;
    gil_hooks.acquire = acquire_gil;
    lapack_library = find_lapack;
    warn = warn_user;
    OutOfMemoryError =
        add_exception(m, "flambeau.OutOfMemoryError", "A tensor did not fit into memory.");
    LinAlgError = add_exception(m, "flambeau._C._LinAlgError", "A matrix had no such result.");
    init_types(m);
    init_tensor(m);
    init_functions(m);
    init_convert(m);
    init_autograd(m);
    init_generator(m);
    init_storage(m);
    init_autocast(m);
    init_transform(m);
    return module.release();
  });
}
