// flambeau.Size: the tuple of a tensor's sizes, made on every `.shape` and so kept on a free list.
#include "python.h"

namespace flambeau {

PyTypeObject* SizeType;

namespace {

constexpr int kKept = 6;      // sizes of up to five dimensions are kept
constexpr int kDepth = 32;    // this many of each
PyTupleObject* kept[kKept][kDepth];
int kept_count[kKept];

void size_dealloc(PyObject* self) {
  PyObject_GC_UnTrack(self);
  auto* t = reinterpret_cast<PyTupleObject*>(self);
  Py_ssize_t n = Py_SIZE(self);
  for (Py_ssize_t i = 0; i < n; ++i) Py_CLEAR(t->ob_item[i]);
  if (n < kKept && kept_count[n] < kDepth && Py_TYPE(self) == SizeType)
    kept[n][kept_count[n]++] = t;
  else
    PyObject_GC_Del(self);
}

PyObject* from_tuple(PyObject* tuple) {  // steals; items are known to be ints
  if (!tuple || Py_TYPE(tuple) == SizeType) return tuple;
  if (!PyTuple_Check(tuple)) return tuple;  // NotImplemented
  Py owned = Py::steal(tuple);
  Py args = Py::steal(PyTuple_Pack(1, tuple));
  if (!args) return nullptr;
  return PyTuple_Type.tp_new(SizeType, args.get(), nullptr);
}

PyObject* size_new(PyTypeObject* type, PyObject* args, PyObject* kwargs) {
  Py made = Py::steal(PyTuple_Type.tp_new(type, args, kwargs));
  if (!made) return nullptr;
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(made.get()); ++i) {
    PyObject* item = PyTuple_GET_ITEM(made.get(), i);
    if (PyLong_Check(item)) continue;
    PyObject* number = PyFloat_Check(item) || !PyIndex_Check(item) ? nullptr : PyNumber_Index(item);
    if (!number) {
      PyErr_Clear();
      return PyErr_Format(PyExc_TypeError,
                          "torch.Size() takes an iterable of 'int' (item %zd is '%s')", i,
                          Py_TYPE(item)->tp_name);
    }
    Py_DECREF(item);
    PyTuple_SET_ITEM(made.get(), i, number);
  }
  return made.release();
}

PyObject* size_repr(PyObject* self) {
  std::string s = "torch.Size([";
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(self); ++i) {
    if (i) s += ", ";
    s += std::to_string(PyLong_AsLongLong(PyTuple_GET_ITEM(self, i)));
  }
  if (PyErr_Occurred()) return nullptr;
  return PyUnicode_FromString((s + "])").c_str());
}

bool all_ints(PyObject* tuple) {
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(tuple); ++i)
    if (!PyLong_Check(PyTuple_GET_ITEM(tuple, i))) return false;
  return true;
}

// A tuple on either side: Size + tuple and tuple + Size are Sizes.
PyObject* size_add(PyObject* a, PyObject* b) {
  if (!PyTuple_Check(a) || !PyTuple_Check(b)) Py_RETURN_NOTIMPLEMENTED;
  PyObject* sum = PyTuple_Type.tp_as_sequence->sq_concat(a, b);
  return sum && all_ints(sum) ? from_tuple(sum) : sum;
}
PyObject* size_concat(PyObject* a, PyObject* b) {
  PyObject* sum = PyTuple_Type.tp_as_sequence->sq_concat(a, b);
  return sum && all_ints(sum) ? from_tuple(sum) : sum;
}
PyObject* size_repeat(PyObject* a, Py_ssize_t n) {
  return from_tuple(PyTuple_Type.tp_as_sequence->sq_repeat(a, n));
}
PyObject* size_subscript(PyObject* a, PyObject* i) {
  PyObject* r = PyTuple_Type.tp_as_mapping->mp_subscript(a, i);
  return r && PySlice_Check(i) ? from_tuple(r) : r;
}

PyObject* size_numel(PyObject* self, PyObject*) {
  int64_t n = 1;
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(self); ++i)
    n *= PyLong_AsLongLong(PyTuple_GET_ITEM(self, i));
  if (PyErr_Occurred()) return nullptr;
  return PyLong_FromLongLong(n);
}
PyObject* size_reduce(PyObject* self, PyObject*) {
  Py copy = Py::steal(PyTuple_New(PyTuple_GET_SIZE(self)));
  if (!copy) return nullptr;
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(self); ++i)
    PyTuple_SET_ITEM(copy.get(), i, Py_NewRef(PyTuple_GET_ITEM(self, i)));
  return Py_BuildValue("O(O)", SizeType, copy.get());
}

PyMethodDef size_methods[] = {{"numel", size_numel, METH_NOARGS, "The product of the sizes."},
                              {"__reduce__", size_reduce, METH_NOARGS, "Pickled as a tuple."},
                              {}};

}  // namespace

PyObject* wrap_size(IntSpan sizes) {
  size_t n = sizes.size();
  PyTupleObject* t;
  if (n < kKept && kept_count[n]) {
    t = kept[n][--kept_count[n]];
    _Py_NewReference(reinterpret_cast<PyObject*>(t));
  } else {
    t = PyObject_GC_NewVar(PyTupleObject, SizeType, static_cast<Py_ssize_t>(n));
    if (!t) return nullptr;
  }
  // Not tracked by the cycle collector: integers refer to nothing.
  for (size_t i = 0; i < n; ++i) t->ob_item[i] = PyLong_FromLongLong(sizes[i]);
  return reinterpret_cast<PyObject*>(t);
}

PyObject* wrap_ints(IntSpan v) {
  PyObject* t = PyTuple_New(static_cast<Py_ssize_t>(v.size()));
  if (!t) return nullptr;
  for (size_t i = 0; i < v.size(); ++i)
    PyTuple_SET_ITEM(t, static_cast<Py_ssize_t>(i), PyLong_FromLongLong(v[i]));
  return t;
}

// A static type: its objects then need no reference to it, and `.shape` stays cheap.
void init_size(PyObject* m) {
  static PyTypeObject type;
  Py_SET_REFCNT(reinterpret_cast<PyObject*>(&type), 1);
  static PySequenceMethods sequence;
  static PyMappingMethods mapping;
  static PyNumberMethods number;
  sequence.sq_concat = size_concat;
  sequence.sq_repeat = size_repeat;
  mapping.mp_subscript = size_subscript;
  number.nb_add = size_add;
  type.tp_name = "flambeau.Size";
  type.tp_doc = "The sizes of a tensor: a tuple of ints with numel().";
  type.tp_flags = Py_TPFLAGS_DEFAULT;  // cycle collection is inherited
  type.tp_base = &PyTuple_Type;
  type.tp_new = size_new;
  type.tp_dealloc = size_dealloc;
  type.tp_repr = size_repr;
  type.tp_as_sequence = &sequence;
  type.tp_as_mapping = &mapping;
  type.tp_as_number = &number;
  type.tp_methods = size_methods;
  SizeType = &type;
  if (PyType_Ready(&type) < 0 ||
      PyModule_AddObjectRef(m, "Size", reinterpret_cast<PyObject*>(&type)) < 0)
    throw PythonError{};
}

}  // namespace flambeau
