// The small types: dtype, device, layout, memory_format, and numbers on their way in.
#include <cmath>

#include "../stored.h"
#include "python.h"

namespace flambeau {

PyTypeObject *DTypeType, *DeviceTypeObject, *LayoutType, *MemoryFormatType;

namespace {

// -- dtype, layout, memory_format: one object for each value, pickled by name ---------------------
struct PyNamed {
  PyObject_HEAD uint8_t value;
  const char* name;
  Py_hash_t hash;
};

PyNamed* named(PyObject* o) { return reinterpret_cast<PyNamed*>(o); }

PyObject* named_repr(PyObject* self) { return PyUnicode_FromFormat("torch.%s", named(self)->name); }
PyObject* named_reduce(PyObject* self, PyObject*) {
  return PyUnicode_FromString(named(self)->name);
}
PyObject* named_same(PyObject* self, PyObject*) { return Py_NewRef(self); }
Py_hash_t named_hash(PyObject* self) { return named(self)->hash; }

// PyTorch's own module, where the program has imported it (borrowed); else null.
PyObject* pytorch() {
  PyObject* torch = PyDict_GetItemString(PyImport_GetModuleDict(), "torch");
  if (!torch || !PyModule_Check(torch)) return nullptr;
  const char* name = PyModule_GetName(torch);  // "flambeau" where that stands in for it
  if (!name) PyErr_Clear();
  return name && std::string_view(name) == "torch" ? torch : nullptr;
}

// What PyTorch's object of the same kind as `type` is called ("torch.float32", "cpu"); else "".
std::string pytorch_name(PyObject* o, const PyTypeObject* type) {
  std::string_view theirs = Py_TYPE(o)->tp_name, ours = type->tp_name;
  if (!theirs.starts_with("torch.") || theirs.substr(6) != ours.substr(ours.rfind('.') + 1))
    return "";
  Py text = Py::steal(checked(PyObject_Str(o)));
  const char* name = PyUnicode_AsUTF8(text.get());
  if (!name) throw PythonError{};
  return name;
}

// Its place among ours; -1: not PyTorch's, or none that we have.
template <size_t N>
int place_of(PyObject* o, const PyTypeObject* type, PyObject* (&objects)[N]) {
  if (Py_TYPE(o) == type) return named(o)->value;
  std::string name = pytorch_name(o, type);
  for (size_t i = 0; i < N && !name.empty(); ++i)
    if (name == cat("torch.", named(objects[i])->name)) return static_cast<int>(i);
  return -1;
}

// Equal to itself and to PyTorch's object of that name.
PyObject* named_compare(PyObject* a, PyObject* b, int op) {
  if (op != Py_EQ && op != Py_NE) Py_RETURN_NOTIMPLEMENTED;
  if (Py_TYPE(a) == Py_TYPE(b)) return PyBool_FromLong((a == b) == (op == Py_EQ));
  return guarded([&]() -> PyObject* {
    std::string name = pytorch_name(b, Py_TYPE(a));
    if (name.empty()) Py_RETURN_NOTIMPLEMENTED;
    return PyBool_FromLong((name == cat("torch.", named(a)->name)) == (op == Py_EQ));
  });
}

PyObject* dtype_objects[kAllDTypes];
// The last three are names only: no tensor has these layouts.
constexpr const char* kLayoutNames[] = {"strided",    "sparse_coo", "sparse_csr", "sparse_csc",
                                        "sparse_bsr", "sparse_bsc", "jagged"};
constexpr const char* kFormatNames[] = {"contiguous_format", "preserve_format", "channels_last",
                                        "channels_last_3d"};
PyObject* layout_objects[std::size(kLayoutNames)];
PyObject* format_objects[4];

DType dtype_of(PyObject* o) { return static_cast<DType>(named(o)->value); }

PyGetSetDef dtype_getset[] = {
    {"is_floating_point",
     [](PyObject* o, void*) { return PyBool_FromLong(is_floating(dtype_of(o))); }, nullptr,
     "True for floating point types, reduced ones included.", nullptr},
    {"is_complex", [](PyObject* o, void*) { return PyBool_FromLong(is_complex(dtype_of(o))); },
     nullptr, "True for complex types.", nullptr},
    {"is_signed", [](PyObject* o, void*) { return PyBool_FromLong(info(dtype_of(o)).is_signed); },
     nullptr, "True for types with negative values.", nullptr},
    {"itemsize", [](PyObject* o, void*) { return PyLong_FromSize_t(itemsize(dtype_of(o))); },
     nullptr, "Bytes of one element.", nullptr},
    {}};

PyMethodDef named_methods[] = {{"__reduce__", named_reduce, METH_NOARGS, "Pickled by name."},
                               {"__copy__", named_same, METH_NOARGS, "Itself."},
                               {"__deepcopy__", named_same, METH_O, "Itself."},
                               {}};
PyMethodDef dtype_methods[] = {
    {"__reduce__", named_reduce, METH_NOARGS, "Pickled by name."},
    {"__copy__", named_same, METH_NOARGS, "Itself."},
    {"__deepcopy__", named_same, METH_O, "Itself."},
    {"to_complex",
     [](PyObject* o, PyObject*) { return guarded([&] { return wrap(to_complex(dtype_of(o))); }); },
     METH_NOARGS, "The complex type of this precision."},
    {"to_real",
     [](PyObject* o, PyObject*) { return guarded([&] { return wrap(to_real(dtype_of(o))); }); },
     METH_NOARGS, "The real type of this precision."},
    {}};

PyTypeObject* make_named_type(const char* name, const char* doc, PyMethodDef* methods,
                              PyGetSetDef* getset) {
  PyType_Slot slots[] = {{Py_tp_repr, reinterpret_cast<void*>(named_repr)},
                         {Py_tp_richcompare, reinterpret_cast<void*>(named_compare)},
                         {Py_tp_hash, reinterpret_cast<void*>(named_hash)},
                         {Py_tp_methods, methods},
                         {Py_tp_doc, const_cast<char*>(doc)},
                         {getset ? Py_tp_getset : 0, getset},
                         {0, nullptr}};
  PyType_Spec spec = {name, sizeof(PyNamed), 0,
                      Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, slots};
  return reinterpret_cast<PyTypeObject*>(checked(PyType_FromSpec(&spec)));
}

PyObject* make_named(PyTypeObject* type, int value, const char* name) {
  auto* o = PyObject_New(PyNamed, type);
  if (!o) throw PythonError{};
  o->value = static_cast<uint8_t>(value);
  o->name = name;
  o->hash = _Py_HashPointer(o);
  // Equal objects have equal hashes: PyTorch's, where it was imported first.
  PyObject* torch = pytorch();
  Py theirs = Py::steal(torch ? PyObject_GetAttrString(torch, name) : nullptr);
  if (theirs) o->hash = PyObject_Hash(theirs.get());
  PyErr_Clear();  // of a name that it lacks
  return reinterpret_cast<PyObject*>(o);
}

// -- device ---------------------------------------------------------------------------------------
struct PyDevice {
  PyObject_HEAD Device device;
};

Device device_of(PyObject* o) { return reinterpret_cast<PyDevice*>(o)->device; }
PyObject* plain_devices[32];  // those without an index, each made at its first use

std::string device_text(Device d) {
  std::string s = device_type_name(d.type);
  if (d.index >= 0) s += ":" + std::to_string(d.index);
  return s;
}

// A device as it is named, with its index.
bool named_device(PyObject* o, Device* d) {
  if (Py_TYPE(o) == DeviceTypeObject) {
    *d = device_of(o);
    return true;
  }
  if (!PyUnicode_Check(o)) {
    std::string name = pytorch_name(o, DeviceTypeObject);
    if (!name.empty()) *d = parse_device(name);
    return !name.empty();
  }
  const char* text = PyUnicode_AsUTF8(o);
  if (!text) throw PythonError{};
  *d = parse_device(text);
  return true;
}

PyObject* device_new(PyTypeObject*, PyObject* args, PyObject* kwargs) {
  return guarded([&]() -> PyObject* {
    static const char* names[] = {"type", "index", nullptr};
    PyObject *type = nullptr, *index = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|O:device", const_cast<char**>(names), &type,
                                     &index))
      return nullptr;
    Device d;
    if (PyLong_Check(type)) {
      d = parse_device("cuda:" + std::to_string(PyLong_AsLongLong(type)));
    } else if (!named_device(type, &d)) {
      fail(ErrorKind::type, "device(): argument 'type' must be str, int or device, not ",
           Py_TYPE(type)->tp_name);
    }
    if (index != Py_None) {
      int64_t i = 0;
      if (!int_from(index, &i))
        fail(ErrorKind::type, "device(): argument 'index' must be int, not ",
             Py_TYPE(index)->tp_name);
      if (d.index >= 0)
        fail(ErrorKind::runtime,
             "type (string) must not include an index because index was passed "
             "explicitly: ",
             device_text(d));
      check(i >= -1 && i < 32768, "device(): index out of range: ", i);
      d.index = static_cast<int16_t>(i);
    }
    return wrap(d);
  });
}

PyObject* device_repr(PyObject* self) {
  Device d = device_of(self);
  if (d.index < 0) return PyUnicode_FromFormat("device(type='%s')", device_type_name(d.type));
  return PyUnicode_FromFormat("device(type='%s', index=%d)", device_type_name(d.type), d.index);
}
PyObject* device_str(PyObject* self) {
  return PyUnicode_FromString(device_text(device_of(self)).c_str());
}
PyObject* device_compare(PyObject* a, PyObject* b, int op) {
  if (op != Py_EQ && op != Py_NE) Py_RETURN_NOTIMPLEMENTED;
  if (Py_TYPE(b) == DeviceTypeObject)
    return PyBool_FromLong((device_of(a) == device_of(b)) == (op == Py_EQ));
  return guarded([&]() -> PyObject* {
    std::string name = pytorch_name(b, DeviceTypeObject);
    if (name.empty()) Py_RETURN_NOTIMPLEMENTED;
    return PyBool_FromLong((name == device_text(device_of(a))) == (op == Py_EQ));
  });
}
Py_hash_t device_hash(PyObject* self) {  // as PyTorch's device of that name has
  Device d = device_of(self);
  Py_hash_t type = static_cast<Py_hash_t>(d.type);
  if (type != 0) type = d.type == DeviceType::meta ? 14 : type - 1;
  return type << 16 | (d.index & 0xff);
}
PyObject* device_reduce(PyObject* self, PyObject*) {
  Device d = device_of(self);
  if (d.index < 0) return Py_BuildValue("O(s)", DeviceTypeObject, device_type_name(d.type));
  return Py_BuildValue("O(si)", DeviceTypeObject, device_type_name(d.type), int(d.index));
}

std::vector<Device> outer_devices;  // of the `with device:` blocks that are open

PyObject* device_enter(PyObject* self, PyObject*) {
  outer_devices.push_back(default_device());
  default_device() = device_of(self);
  return Py_NewRef(self);
}
PyObject* device_exit(PyObject*, PyObject*) {
  if (!outer_devices.empty()) {
    default_device() = outer_devices.back();
    outer_devices.pop_back();
  }
  Py_RETURN_NONE;
}

PyGetSetDef device_getset[] = {
    {"type",
     [](PyObject* o, void*) { return PyUnicode_FromString(device_type_name(device_of(o).type)); },
     nullptr, "Its kind: 'cpu', 'meta', 'cuda'.", nullptr},
    {"index",
     [](PyObject* o, void*) -> PyObject* {
       if (device_of(o).index < 0) Py_RETURN_NONE;
       return PyLong_FromLong(device_of(o).index);
     },
     nullptr, "Its number, or None.", nullptr},
    {}};
PyMethodDef device_methods[] = {
    {"__reduce__", device_reduce, METH_NOARGS, "Pickled by type and index."},
    {"__enter__", device_enter, METH_NOARGS, "Makes it the default device."},
    {"__exit__", device_exit, METH_VARARGS, "Brings the former default back."},
    {}};

PyTypeObject* make_device_type() {
  static const char doc[] =
      "device(type, index=None): where a tensor lives.\n\n"
      ">>> import flambeau as torch\n>>> torch.device('cpu')\ndevice(type='cpu')";
  PyType_Slot slots[] = {{Py_tp_new, reinterpret_cast<void*>(device_new)},
                         {Py_tp_repr, reinterpret_cast<void*>(device_repr)},
                         {Py_tp_str, reinterpret_cast<void*>(device_str)},
                         {Py_tp_richcompare, reinterpret_cast<void*>(device_compare)},
                         {Py_tp_hash, reinterpret_cast<void*>(device_hash)},
                         {Py_tp_getset, device_getset},
                         {Py_tp_methods, device_methods},
                         {Py_tp_doc, const_cast<char*>(doc)},
                         {0, nullptr}};
  PyType_Spec spec = {"flambeau.device", sizeof(PyDevice), 0, Py_TPFLAGS_DEFAULT, slots};
  return reinterpret_cast<PyTypeObject*>(checked(PyType_FromSpec(&spec)));
}

PyObject* make_device(Device d) {
  auto* o = PyObject_New(PyDevice, DeviceTypeObject);
  if (!o) throw PythonError{};
  o->device = d;
  return reinterpret_cast<PyObject*>(o);
}

// -- NumPy's scalars ------------------------------------------------------------------------------
// numpy.generic, once the program has imported NumPy; null before: then no such object exists.
PyTypeObject* numpy_generic() {
  static PyTypeObject* type = nullptr;
  if (type) return type;
  PyObject* modules = PyImport_GetModuleDict();
  PyObject* numpy = PyDict_GetItemString(modules, "numpy");
  if (!numpy) return nullptr;
  PyObject* generic = PyObject_GetAttrString(numpy, "generic");
  if (!generic) {  // half imported
    PyErr_Clear();
    return nullptr;
  }
  type = reinterpret_cast<PyTypeObject*>(generic);
  return type;
}

bool numpy_scalar_from(PyObject* o, Scalar* s) {
  PyTypeObject* generic = numpy_generic();
  if (!generic || !PyObject_TypeCheck(o, generic)) return false;
  const char* name = Py_TYPE(o)->tp_name;
  if (const char* dot = std::strrchr(name, '.')) name = dot + 1;
  std::string_view n(name);
  if (n == "bool" || n == "bool_") {
    *s = Scalar(PyObject_IsTrue(o) == 1);
    return true;
  }
  if (n.starts_with("complex") || n == "clongdouble") {
    Py_complex c = PyComplex_AsCComplex(o);
    if (PyErr_Occurred()) throw PythonError{};
    *s = Scalar(complex128(c.real, c.imag));
    return true;
  }
  if (n.starts_with("float") || n == "longdouble" || n == "half" || n == "single") {
    double d = PyFloat_AsDouble(o);
    if (d == -1 && PyErr_Occurred()) throw PythonError{};
    *s = Scalar(d);
    return true;
  }
  if (n.find("int") != n.npos || n.find("long") != n.npos || n == "byte" || n == "ubyte" ||
      n == "short" || n == "ushort") {
    Py i = Py::steal(checked(PyNumber_Index(o)));
    return scalar_from(i.get(), s);
  }
  return false;  // dates, strings, objects
}

int64_t long_value(PyObject* o) {
  int overflow = 0;
  long long v = PyLong_AsLongLongAndOverflow(o, &overflow);
  if (!overflow) return v;
  // The unsigned upper half keeps its bits.
  if (overflow > 0) {
    unsigned long long u = PyLong_AsUnsignedLongLong(o);
    if (!PyErr_Occurred()) return static_cast<int64_t>(u);
    PyErr_Clear();
  }
  fail(ErrorKind::value, "Overflow when unpacking long long");
}

}  // namespace

PyObject* wrap(DType t) { return Py_NewRef(dtype_objects[static_cast<int>(t)]); }
PyObject* wrap(Layout l) { return Py_NewRef(layout_objects[static_cast<int>(l)]); }
PyObject* wrap(MemoryFormat f) { return Py_NewRef(format_objects[static_cast<int>(f)]); }
PyObject* wrap(Device d) {
  if (d.index >= 0) return make_device(d);
  PyObject*& plain = plain_devices[static_cast<int>(d.type)];
  if (!plain) plain = make_device(d);
  return Py_NewRef(plain);
}
PyObject* wrap(const Scalar& s) {
  switch (s.kind) {
    case Scalar::boolean: return PyBool_FromLong(s.i != 0);
    case Scalar::integer: return PyLong_FromLongLong(s.i);
    case Scalar::floating: return PyFloat_FromDouble(s.d);
    default: return PyComplex_FromDoubles(s.d, s.im);
  }
}

bool dtype_from(PyObject* o, DType* t) {
  if (Py_TYPE(o) == DTypeType) {
    *t = dtype_of(o);
    return true;
  }
  if (!PyType_Check(o)) {
    int i = place_of(o, DTypeType, dtype_objects);
    if (i >= 0) *t = static_cast<DType>(i);
    return i >= 0;
  }
  auto* type = reinterpret_cast<PyTypeObject*>(o);
  if (type == &PyFloat_Type)
    *t = DType::float64;
  else if (type == &PyLong_Type)
    *t = DType::int64;
  else if (type == &PyBool_Type)
    *t = DType::boolean;
  else if (type == &PyComplex_Type)
    *t = DType::complex128;
  else
    return false;
  return true;
}

// Where a tensor is to be: there is one CPU, which has no number.
bool device_from(PyObject* o, Device* d) {
  if (!named_device(o, d)) return false;
  if (d->type == DeviceType::cpu) d->index = -1;
  return true;
}

bool layout_from(PyObject* o, Layout* l) {
  int i = place_of(o, LayoutType, layout_objects);
  if (i >= 0) *l = static_cast<Layout>(i);
  return i >= 0;
}

bool memory_format_from(PyObject* o, MemoryFormat* f) {
  int i = place_of(o, MemoryFormatType, format_objects);
  if (i >= 0) *f = static_cast<MemoryFormat>(i);
  return i >= 0;
}

bool scalar_from(PyObject* o, Scalar* s) {
  if (PyFloat_CheckExact(o)) {
    *s = Scalar(PyFloat_AS_DOUBLE(o));
  } else if (PyBool_Check(o)) {
    *s = Scalar(o == Py_True);
  } else if (PyLong_Check(o)) {
    *s = Scalar(long_value(o));
  } else if (PyFloat_Check(o)) {
    *s = Scalar(PyFloat_AS_DOUBLE(o));
  } else if (PyComplex_Check(o)) {
    *s = Scalar(complex128(PyComplex_RealAsDouble(o), PyComplex_ImagAsDouble(o)));
  } else {
    return !is_tensor(o) && numpy_scalar_from(o, s);
  }
  return true;
}

bool int_from(PyObject* o, int64_t* i) {
  if (PyLong_Check(o)) {
    if (PyBool_Check(o)) return false;
    *i = PyLong_AsLongLong(o);
    if (*i == -1 && PyErr_Occurred()) {
      PyErr_Clear();
      fail(ErrorKind::runtime, "Overflow when unpacking long");
    }
    return true;
  }
  if (is_tensor(o)) {
    const Tensor& t = unwrap(o);
    if (t.dim() != 0 || !is_integral(t.dtype()) || t.is_meta()) return false;
    *i = item(t).to<int64_t>();
    return true;
  }
  if (PyFloat_Check(o) || !PyIndex_Check(o)) return false;
  Py n = Py::steal(PyNumber_Index(o));
  if (!n.get()) {  // an array has __index__, and refuses unless it is one integer
    if (!PyErr_ExceptionMatches(PyExc_TypeError)) throw PythonError{};
    PyErr_Clear();
    return false;
  }
  return int_from(n.get(), i);
}

void init_types(PyObject* m) {
  DTypeType = make_named_type("flambeau.dtype", "The type of a tensor's elements.", dtype_methods,
                              dtype_getset);
  LayoutType = make_named_type("flambeau.layout", "How a tensor's elements are kept.",
                               named_methods, nullptr);
  MemoryFormatType =
      make_named_type("flambeau.memory_format", "The order of a tensor's dimensions in memory.",
                      named_methods, nullptr);
  DeviceTypeObject = make_device_type();
  auto add = [&](const char* name, PyObject* o) {
    if (PyModule_AddObjectRef(m, name, o) < 0) throw PythonError{};
  };
  for (int i = 0; i < kAllDTypes; ++i) {
    const char* name = kDTypes[i].name;
    dtype_objects[i] = make_named(DTypeType, i, name);
    add(name, dtype_objects[i]);
  }
  for (size_t i = 0; i < std::size(kLayoutNames); ++i) {
    layout_objects[i] = make_named(LayoutType, static_cast<int>(i), kLayoutNames[i]);
    add(kLayoutNames[i], layout_objects[i]);
  }
  for (int i = 0; i < 4; ++i) {
    format_objects[i] = make_named(MemoryFormatType, i, kFormatNames[i]);
    add(kFormatNames[i], format_objects[i]);
  }
  constexpr std::pair<const char*, DType> aliases[] = {
      {"float", DType::float32},    {"double", DType::float64},     {"half", DType::float16},
      {"short", DType::int16},      {"int", DType::int32},          {"long", DType::int64},
      {"cfloat", DType::complex64}, {"cdouble", DType::complex128}, {"chalf", kComplex32}};
  for (auto [name, t] : aliases) add(name, dtype_objects[static_cast<int>(t)]);
  add("dtype", reinterpret_cast<PyObject*>(DTypeType));
  add("layout", reinterpret_cast<PyObject*>(LayoutType));
  add("memory_format", reinterpret_cast<PyObject*>(MemoryFormatType));
  add("device", reinterpret_cast<PyObject*>(DeviceTypeObject));
  init_size(m);
}

}  // namespace flambeau
