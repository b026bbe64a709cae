// Memory shared with others: NumPy arrays and buffers in, the buffer protocol and DLPack out and
// in.
#include "../transform.h"
#include "../stored.h"
#include "python.h"

namespace flambeau {

namespace {

// -- NumPy, once the program has imported it ------------------------------------------------------
PyObject* loaded_numpy(const char* name) {  // new reference; null: not imported
  PyObject* numpy = PyDict_GetItemString(PyImport_GetModuleDict(), "numpy");
  PyObject* o = numpy ? PyObject_GetAttrString(numpy, name) : nullptr;
  if (!o) PyErr_Clear();
  return o;
}

const char* skip_native_order(const char* format) {
  if (*format == '@' || *format == '=' || *format == '^') return format + 1;
  constexpr bool little = std::endian::native == std::endian::little;
  if (*format == (little ? '<' : '>')) return format + 1;
  return format;
}

bool dtype_from_format(const char* format, Py_ssize_t size, DType* t) {
  std::string_view f(skip_native_order(format));
  if (f == "Zf" || f == "F")
    *t = DType::complex64;
  else if (f == "Zd" || f == "D")
    *t = DType::complex128;
  else if (f == "e")
    *t = DType::float16;
  else if (f == "f")
    *t = DType::float32;
  else if (f == "d")
    *t = DType::float64;
  else if (f == "?")
    *t = DType::boolean;
  else if (f.size() == 1 && std::string_view("bhilq").find(f[0]) != f.npos) {
    constexpr DType of[] = {DType::int8, DType::int16, DType::int32, DType::int64};
    *t = of[std::countr_zero(static_cast<unsigned>(size))];
  } else if (f.size() == 1 && std::string_view("BHILQ").find(f[0]) != f.npos) {
    constexpr DType of[] = {DType::uint8, DType::uint16, DType::uint32, DType::uint64};
    *t = of[std::countr_zero(static_cast<unsigned>(size))];
  } else {
    return false;
  }
  return static_cast<Py_ssize_t>(itemsize(*t)) == size;
}

[[noreturn]] void refuse_type(PyObject* array) {
  PyErr_Clear();
  Py dtype = Py::steal(PyObject_GetAttrString(array, "dtype"));
  Py type = Py::steal(dtype ? PyObject_GetAttrString(dtype.get(), "type") : nullptr);
  Py name = Py::steal(type ? PyObject_GetAttrString(type.get(), "__name__") : nullptr);
  const char* text = name ? PyUnicode_AsUTF8(name.get()) : nullptr;
  PyErr_Clear();
  fail(ErrorKind::type, "can't convert np.ndarray of type numpy.", text ? text : "?",
       ". The only supported types are: float64, float32, float16, complex64, complex128, int64, "
       "int32, int16, int8, uint64, uint32, uint16, uint8, and bool.");
}

struct HeldBuffer {
  Py_buffer view;
};
void release_buffer(void* owner) {
  auto* held = static_cast<HeldBuffer*>(owner);
  PyBuffer_Release(&held->view);
  delete held;
}

void warn_readonly() {
  if (PyErr_WarnEx(PyExc_UserWarning,
                   "The given buffer or NumPy array is not writable, and flambeau does not support "
                   "non-writable tensors: writing to this tensor is undefined behaviour. Copy the "
                   "array to protect its data or make it writable.",
                   1) < 0)
    throw PythonError{};
}

Ints element_strides(const Py_buffer& view) {
  Ints strides;
  for (int d = 0; d < view.ndim; ++d) {
    check_value(view.strides[d] >= 0 || view.shape[d] <= 1,
                "At least one stride in the given numpy array is negative, and tensors with "
                "negative strides are not currently supported. (You can probably work around this "
                "by making a copy of your array  with array.copy().) ");
    check_value(view.strides[d] % view.itemsize == 0 || view.shape[d] <= 1,
                "given numpy array strides not a multiple of the element byte size. Copy the numpy "
                "array to reallocate the memory.");
    strides.push_back(view.strides[d] < 0 ? 1 : view.strides[d] / view.itemsize);
  }
  return strides;
}

Tensor tensor_at(Ref<Storage> storage, DType dtype, IntSpan sizes, IntSpan strides) {
  auto* p = new TensorImpl;
  p->dtype = dtype;
  p->device = storage->device;
  p->storage = std::move(storage);
  p->sizes = Ints(sizes);
  p->strides = Ints(strides);
  p->refresh();
  return Tensor(Ref<TensorImpl>::adopt(p));
}

// -- the buffer protocol --------------------------------------------------------------------------
struct Export {
  Ref<Storage> storage;  // the tensor may be given another one meanwhile
  std::vector<Py_ssize_t> shape, strides;
  explicit Export(const Tensor& t) : storage(t->storage) { storage->lend(); }
  Export(Export&& other) = default;
  ~Export() {
    if (storage) --storage->lent;
  }
};

const char* buffer_format(DType t) {
  if (is_stored(t)) return nullptr;
  switch (t) {
    case DType::complex64: return "Zf";
    case DType::complex128: return "Zd";
    case DType::bfloat16:
    case DType::float8_e4m3fn:
    case DType::float8_e5m2: return nullptr;
    case DType::boolean: return "?";
    case DType::uint8: return "B";
    case DType::int8: return "b";
    case DType::int16: return "h";
    case DType::int32: return "i";
    case DType::int64: return "q";
    case DType::uint16: return "H";
    case DType::uint32: return "I";
    case DType::uint64: return "Q";
    case DType::float16: return "e";
    case DType::float32: return "f";
    default: return "d";
  }
}

bool refuse_buffer(Py_buffer* view, const char* why) {
  view->obj = nullptr;
  PyErr_SetString(PyExc_BufferError, why);
  return false;
}

bool can_export(const Tensor& t, Py_buffer* view, int flags) {
  if (t.is_meta()) return refuse_buffer(view, "a meta tensor has no data");
  if (t->layout != Layout::strided)
    return refuse_buffer(view, "a sparse tensor has no such data: use to_dense()");
  if (t.requires_grad()) return refuse_buffer(view, "the tensor requires grad: use detach()");
  if (!buffer_format(t.dtype()))
    return refuse_buffer(view, "the buffer protocol has no such element type");
  bool wants_order = (flags & PyBUF_STRIDES) != PyBUF_STRIDES ||
                     (flags & PyBUF_C_CONTIGUOUS) == PyBUF_C_CONTIGUOUS;
  if (wants_order && !t.is_contiguous()) return refuse_buffer(view, "the tensor is not contiguous");
  if ((flags & PyBUF_F_CONTIGUOUS) == PyBUF_F_CONTIGUOUS && t.dim() > 1)
    return refuse_buffer(view, "the tensor is not in column order");
  return true;
}

// -- NumPy's array interface ----------------------------------------------------------------------
// https://numpy.org/doc/stable/reference/arrays.interface.html: NumPy reads it faster than a
// buffer.
struct ArrayInterface {
  int two = 2, nd = 0;
  char kind = 'f';
  int itemsize = 0, flags = 0;
  Py_ssize_t *shape = nullptr, *strides = nullptr;
  void* data = nullptr;
  PyObject* descr = nullptr;
};
struct ExportedArray {
  ArrayInterface interface;
  Export memory;
};
struct PyArraySource {  // what numpy.asarray() is given
  PyObject_HEAD PyObject* capsule;
};
PyTypeObject* ArraySourceType;

char interface_kind(DType t) {
  if (t == DType::boolean) return 'b';
  if (is_complex(t)) return 'c';
  return is_floating(t) ? 'f' : info(t).is_signed ? 'i' : 'u';
}

Export* export_memory(const Tensor& t) {
  auto size = static_cast<Py_ssize_t>(itemsize(t.dtype()));
  auto* lent = new Export(t);
  for (int64_t d = 0; d < t.dim(); ++d) {
    lent->shape.push_back(t.sizes()[d]);
    lent->strides.push_back(t.strides()[d] * size);
  }
  return lent;
}

char nowhere;  // the address of tensors without elements

// _array_source(tensor): its caller has checked that NumPy has such a dtype and may write to it.
PyObject* array_source(PyObject*, PyObject* o) {
  return guarded([&] {
    check_type(is_tensor(o), "expected a tensor, got ", Py_TYPE(o)->tp_name);
    const Tensor& t = unwrap(o);
    check_readable(t, kReads);
    check(t.device_type() == DeviceType::cpu && buffer_format(t.dtype()) &&
              t->layout == Layout::strided,
          "NumPy has no such arrays");
    std::unique_ptr<Export> memory(export_memory(t));
    auto* array = new ExportedArray{{}, std::move(*memory)};
    ArrayInterface& i = array->interface;
    constexpr int aligned = 0x100, native_order = 0x200, writable = 0x400;
    i.nd = static_cast<int>(t.dim());
    i.kind = interface_kind(t.dtype());
    i.itemsize = static_cast<int>(itemsize(t.dtype()));
    i.flags = aligned | native_order | writable;
    i.shape = array->memory.shape.data();
    i.strides = array->memory.strides.data();
    i.data = t.numel() ? t.data() : &nowhere;
    Py capsule = Py::steal(checked(PyCapsule_New(array, nullptr, [](PyObject* c) {
      delete static_cast<ExportedArray*>(PyCapsule_GetPointer(c, nullptr));
    })));
    auto* source = PyObject_New(PyArraySource, ArraySourceType);
    if (!source) throw PythonError{};
    source->capsule = capsule.release();
    return reinterpret_cast<PyObject*>(source);
  });
}

PyObject* get_array_struct(PyObject* self, void*) {
  return Py_NewRef(reinterpret_cast<PyArraySource*>(self)->capsule);
}
PyGetSetDef source_getset[] = {
    {"__array_struct__", get_array_struct, nullptr, "What NumPy reads.", nullptr}, {}};
void source_dealloc(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  Py_DECREF(reinterpret_cast<PyArraySource*>(self)->capsule);
  type->tp_free(self);
  Py_DECREF(type);
}

void make_source_type() {
  PyType_Slot slots[] = {{Py_tp_getset, source_getset},
                         {Py_tp_dealloc, reinterpret_cast<void*>(source_dealloc)},
                         {0, nullptr}};
  PyType_Spec spec = {"flambeau._C._ArraySource", sizeof(PyArraySource), 0,
                      Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, slots};
  ArraySourceType = reinterpret_cast<PyTypeObject*>(checked(PyType_FromSpec(&spec)));
}

// -- DLPack ---------------------------------------------------------------------------------------
// https://dmlc.github.io/dlpack/latest/c_api.html
struct DLDevice {
  int32_t type, id;
};
struct DLDataType {
  uint8_t code, bits;
  uint16_t lanes;
};
struct DLTensor {
  void* data;
  DLDevice device;
  int32_t ndim;
  DLDataType dtype;
  int64_t *shape, *strides;
  uint64_t byte_offset;
};
struct DLManagedTensor {
  DLTensor tensor;
  void* context;
  void (*deleter)(DLManagedTensor*);
};
constexpr int kDLCpu = 1;
enum : uint8_t { kDLInt, kDLUInt, kDLFloat, kDLHandle, kDLBfloat, kDLComplex, kDLBool };

struct Lent {
  DLManagedTensor managed;
  Tensor tensor;
  Lent(DLManagedTensor m, const Tensor& t) : managed(m), tensor(t) { tensor->storage->lend(); }
  ~Lent() { --tensor->storage->lent; }
};

DLDataType dlpack_type(DType t) {
  auto bits = static_cast<uint8_t>(itemsize(t) * 8);
  if (t == DType::boolean) return {kDLBool, 8, 1};
  if (t == DType::bfloat16) return {kDLBfloat, 16, 1};
  if (is_complex(t)) return {kDLComplex, bits, 1};
  if (is_stored(t)) fail(ErrorKind::type, "__dlpack__(): no such element type: ", t);
  if (is_floating(t)) {
    if (bits == 8) fail(ErrorKind::type, "__dlpack__(): no such element type: ", t);
    return {kDLFloat, bits, 1};
  }
  return {info(t).is_signed ? kDLInt : kDLUInt, bits, 1};
}

DType from_dlpack_type(DLDataType d) {
  for (int i = 0; i < kDTypeCount; ++i) {
    auto t = static_cast<DType>(i);
    if (is_floating(t) && itemsize(t) == 1) continue;
    DLDataType mine = dlpack_type(t);
    if (mine.code == d.code && mine.bits == d.bits && d.lanes == 1) return t;
  }
  fail(ErrorKind::type, "from_dlpack(): unsupported element type: code ", int(d.code), ", ",
       int(d.bits), " bits, ", d.lanes, " lanes");
}

void drop_capsule(PyObject* capsule) {
  if (!PyCapsule_IsValid(capsule, "dltensor")) return;  // taken over by somebody
  auto* managed = static_cast<DLManagedTensor*>(PyCapsule_GetPointer(capsule, "dltensor"));
  managed->deleter(managed);
}

PyObject* to_dlpack(PyObject* self, PyObject* args, PyObject* kwargs) {
  static const char* names[] = {"stream", "max_version", "dl_device", "copy", nullptr};
  PyObject *stream = Py_None, *version = Py_None, *device = Py_None, *copied = Py_None;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|$OOOO:__dlpack__", const_cast<char**>(names),
                                   &stream, &version, &device, &copied))
    return nullptr;
  return guarded([&]() -> PyObject* {
    Tensor t = unwrap(self);
    if (t.requires_grad()) {
      PyErr_SetString(PyExc_BufferError,
                      "Can't export tensors that require gradient, use tensor.detach()");
      return nullptr;
    }
    if (t.device_type() != DeviceType::cpu || t->layout != Layout::strided ||
        (stream != Py_None && !PyLong_Check(stream))) {
      PyErr_Format(PyExc_BufferError, "__dlpack__(): cannot export a tensor on %s",
                   device_type_name(t.device_type()));
      return nullptr;
    }
    if (device != Py_None) {
      int type = 0, id = 0;
      if (!PyArg_ParseTuple(device, "ii", &type, &id)) return nullptr;
      if (type != kDLCpu) {
        PyErr_SetString(PyExc_BufferError, "__dlpack__(): the tensor is on the CPU");
        return nullptr;
      }
    }
    t = copied == Py_True ? t.clone_raw() : t.alias();
    auto* lent = new Lent({}, t);  // the borrower keeps the address
    DLTensor& d = lent->managed.tensor;
    d = {t.data(),
         {kDLCpu, 0},
         static_cast<int32_t>(t.dim()),
         dlpack_type(t.dtype()),
         t->sizes.data(),
         t->strides.data(),
         0};
    lent->managed.context = lent;
    lent->managed.deleter = [](DLManagedTensor* m) {
      PyGILState_STATE gil = PyGILState_Ensure();
      delete static_cast<Lent*>(m->context);
      PyGILState_Release(gil);
    };
    return PyCapsule_New(&lent->managed, "dltensor", drop_capsule);
  });
}

PyObject* dlpack_device(PyObject* self, PyObject*) {
  if (unwrap(self).device_type() == DeviceType::cpu) return Py_BuildValue("ii", kDLCpu, 0);
  PyErr_SetString(PyExc_ValueError, "__dlpack_device__(): DLPack has no such device");
  return nullptr;
}

PyObject* from_dlpack(PyObject*, PyObject* o) {
  return guarded([&] {
    Py capsule = Py::borrow(o);
    if (!PyCapsule_CheckExact(o)) {
      Py device = Py::steal(checked(PyObject_CallMethod(o, "__dlpack_device__", nullptr)));
      int type = 0, id = 0;
      if (!PyArg_ParseTuple(device.get(), "ii", &type, &id)) throw PythonError{};
      check(type == kDLCpu, "from_dlpack(): unsupported device type ", type);
      capsule = Py::steal(checked(PyObject_CallMethod(o, "__dlpack__", nullptr)));
    }
    auto* managed = static_cast<DLManagedTensor*>(PyCapsule_GetPointer(capsule.get(), "dltensor"));
    if (!managed) {
      PyErr_Clear();
      fail(ErrorKind::runtime,
           "from_dlpack received an invalid capsule. Note that DLTensor capsules "
           "can be consumed only once, so you might have already constructed a tensor from it "
           "once.");
    }
    const DLTensor& d = managed->tensor;
    check(d.device.type == kDLCpu, "from_dlpack(): unsupported device type ", d.device.type);
    DType dtype = from_dlpack_type(d.dtype);
    Ints sizes(IntSpan(d.shape, static_cast<size_t>(d.ndim)));
    Ints strides = d.strides ? Ints(IntSpan(d.strides, static_cast<size_t>(d.ndim)))
                             : contiguous_strides(sizes);
    int64_t last = 0;
    for (size_t i = 0; i < sizes.size(); ++i) {
      check_value(strides[i] >= 0, "from_dlpack(): negative strides are not supported, got ",
                  strides);
      last += (sizes[i] - 1) * strides[i];
    }
    size_t nbytes = product(sizes) ? static_cast<size_t>(last + 1) * itemsize(dtype) : 0;
    PyCapsule_SetName(capsule.get(), "used_dltensor");
    auto storage = Storage::foreign(static_cast<char*>(d.data) + d.byte_offset, nbytes, Device{},
                                    managed, [](void* owner) {
                                      auto* m = static_cast<DLManagedTensor*>(owner);
                                      if (m->deleter) m->deleter(m);
                                    });
    return wrap(tensor_at(std::move(storage), dtype, sizes, strides));
  });
}

// -- Arrow ----------------------------------------------------------------------------------------
// https://arrow.apache.org/docs/format/CDataInterface.html
struct ArrowArray {
  int64_t length, null_count, offset, n_buffers, n_children;
  const void** buffers;
  ArrowArray **children, *dictionary;
  void (*release)(ArrowArray*);
  void* private_data;
};

// The numbers at the bottom of an array of lists, as bytes over the array's memory.
PyObject* arrow_bytes(PyObject*, PyObject* capsule) {
  return guarded([&] {
    auto* a = static_cast<ArrowArray*>(PyCapsule_GetPointer(capsule, "arrow_array"));
    if (!a) throw PythonError{};
    while (a->n_children == 1) a = a->children[0];
    check_value(a->n_buffers == 2 && a->offset == 0 && a->n_children == 0,
                "arrow_bytes(): wanted an array of numbers");
    auto storage =
        Storage::foreign(const_cast<void*>(a->buffers[1]), static_cast<size_t>(a->length), Device{},
                         Py_NewRef(capsule), [](void* owner) {
                           PyGILState_STATE gil = PyGILState_Ensure();
                           Py_DECREF(static_cast<PyObject*>(owner));
                           PyGILState_Release(gil);
                         });
    const Ints sizes{a->length};
    return wrap(tensor_at(std::move(storage), DType::uint8, sizes, contiguous_strides(sizes)));
  });
}

template <class F>
PyCFunction method(F f) {
  return reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(f));
}

PyMethodDef functions[] = {
    {"from_dlpack", from_dlpack, METH_O,
     "from_dlpack(ext_tensor): a tensor over the memory of another library's."},
    {"_arrow_bytes", arrow_bytes, METH_O,
     "_arrow_bytes(capsule): the bytes of an Arrow array as a flat tensor over its memory."},
    {"_array_source", array_source, METH_O,
     "What numpy.asarray() makes an array over a tensor from."},
    {}};
PyMethodDef methods[] = {
    {"__dlpack__", method(to_dlpack), METH_VARARGS | METH_KEYWORDS,
     "A DLPack capsule over the tensor's memory."},
    {"__dlpack_device__", dlpack_device, METH_NOARGS, "(device type, device number) for DLPack."},
    {}};

}  // namespace

bool is_numpy_array(PyObject* o) {
  static PyTypeObject* ndarray = nullptr;
  if (PyList_CheckExact(o) || PyFloat_CheckExact(o) || PyLong_CheckExact(o)) return false;
  if (!ndarray) {
    PyObject* type = loaded_numpy("ndarray");
    if (!type) return false;
    ndarray = reinterpret_cast<PyTypeObject*>(type);
  }
  return PyObject_TypeCheck(o, ndarray);
}

bool numpy_dtype(PyObject* o, DType* t) {
  static PyTypeObject* generic = nullptr;
  if (!generic) generic = reinterpret_cast<PyTypeObject*>(loaded_numpy("generic"));
  if (!generic || !PyObject_TypeCheck(o, generic)) return false;
  Py_buffer view;
  if (PyObject_GetBuffer(o, &view, PyBUF_FORMAT | PyBUF_STRIDES) < 0) {
    PyErr_Clear();
    return false;
  }
  bool known = view.format && dtype_from_format(view.format, view.itemsize, t);
  PyBuffer_Release(&view);
  return known;
}

Ref<Storage> storage_over_buffer(PyObject* o, bool warn) {
  auto* held = new HeldBuffer;
  if (PyObject_GetBuffer(o, &held->view, PyBUF_SIMPLE) < 0) {
    delete held;
    throw PythonError{};
  }
  Py_buffer& view = held->view;
  const bool readonly = view.readonly, bytes = PyBytes_Check(o);
  auto storage =
      Storage::foreign(view.buf, static_cast<size_t>(view.len), Device{}, held, release_buffer);
  storage->outside = !bytes;  // those never change
  if (readonly && warn) warn_readonly();
  return storage;
}

Tensor tensor_over(Ref<Storage> storage, size_t byte_offset, DType dtype, IntSpan sizes) {
  size_t nbytes = static_cast<size_t>(product(sizes)) * itemsize(dtype);
  check(byte_offset <= storage->nbytes && nbytes <= storage->nbytes - byte_offset, "a tensor of ",
        sizes, " of ", dtype, " at byte ", byte_offset, " reaches past a buffer of ",
        storage->nbytes, " bytes");
  // An offset that is no multiple of the element size makes a storage of its own over the same
  // bytes.
  if (byte_offset % itemsize(dtype)) {
    storage = Storage::part(storage, byte_offset, nbytes);
    byte_offset = 0;
  }
  Tensor t = tensor_at(std::move(storage), dtype, sizes, contiguous_strides(sizes));
  t->offset = static_cast<int64_t>(byte_offset / itemsize(dtype));
  return t;
}

Tensor tensor_from_buffer(PyObject* array, bool shares) {
  auto* held = new HeldBuffer;
  if (PyObject_GetBuffer(array, &held->view, PyBUF_STRIDES | PyBUF_FORMAT) < 0) {
    delete held;
    refuse_type(array);
  }
  Py_buffer& view = held->view;
  int64_t last = 0;
  for (int d = 0; d < view.ndim; ++d) last += (view.shape[d] - 1) * view.strides[d];
  auto nbytes = static_cast<size_t>(view.len ? last + view.itemsize : 0);
  // From here on the storage gives the buffer back.
  auto storage = Storage::foreign(view.buf, nbytes, Device{}, held, release_buffer);
  DType dtype;
  const char* format = view.format ? view.format : "B";
  check_value(!((*format == '>' || *format == '<' || *format == '!') &&
                skip_native_order(format) == format),
              "given numpy array has byte order different from the native byte order. Conversion "
              "between byte orders is currently not supported.");
  if (!dtype_from_format(format, view.itemsize, &dtype)) refuse_type(array);
  Ints sizes;
  for (int d = 0; d < view.ndim; ++d) sizes.push_back(view.shape[d]);
  Ints strides = element_strides(view);
  if (shares && view.readonly) warn_readonly();
  return tensor_at(std::move(storage), dtype, sizes, strides);
}

int tensor_getbuffer(PyObject* self, Py_buffer* view, int flags) {
  const Tensor& t = unwrap(self);
  if (!can_export(t, view, flags)) return -1;
  Export* lent = export_memory(t);
  auto size = static_cast<Py_ssize_t>(itemsize(t.dtype()));
  view->buf = t.numel() ? t.data() : &nowhere;
  view->obj = Py_NewRef(self);
  view->len = t.numel() * size;
  view->itemsize = size;
  view->readonly = 0;
  view->ndim = static_cast<int>(t.dim());
  view->format = flags & PyBUF_FORMAT ? const_cast<char*>(buffer_format(t.dtype())) : nullptr;
  view->shape = (flags & PyBUF_ND) == PyBUF_ND ? lent->shape.data() : nullptr;
  view->strides = (flags & PyBUF_STRIDES) == PyBUF_STRIDES ? lent->strides.data() : nullptr;
  view->suboffsets = nullptr;
  view->internal = lent;
  return 0;
}

void tensor_releasebuffer(PyObject*, Py_buffer* view) {
  delete static_cast<Export*>(view->internal);
}

void init_exchange(PyObject* m) {
  make_source_type();
  if (PyModule_AddFunctions(m, functions) < 0) throw PythonError{};
  for (PyMethodDef* d = methods; d->ml_name; ++d) {
    Py descriptor = Py::steal(checked(PyDescr_NewMethod(TensorType, d)));
    if (PyObject_SetAttrString(reinterpret_cast<PyObject*>(TensorType), d->ml_name,
                               descriptor.get()) < 0)
      throw PythonError{};
  }
}

}  // namespace flambeau
