// flambeau.UntypedStorage: the bytes behind tensors; set_() and untyped_storage().
#include "python.h"

namespace flambeau {

namespace {

struct PyStorage {
  PyObject_HEAD Storage* storage;  // owned; storage->pyobj points back
};

PyTypeObject* StorageType;

Storage* storage_of(PyObject* o) { return reinterpret_cast<PyStorage*>(o)->storage; }
bool is_storage(PyObject* o) { return PyObject_TypeCheck(o, StorageType); }

Ref<Storage> storage_argument(PyObject* o, const char* op) {
  if (is_storage(o)) return Ref<Storage>(storage_of(o));
  Py untyped = Py::steal(PyObject_GetAttrString(o, "_untyped_storage"));  // a TypedStorage
  PyErr_Clear();
  check_type(untyped && is_storage(untyped.get()), op, "(): expected a storage, got ",
             Py_TYPE(o)->tp_name);
  return Ref<Storage>(storage_of(untyped.get()));
}

// The dtype of a TypedStorage; none of a plain one.
std::optional<DType> storage_dtype(PyObject* o) {
  Py typed = Py::steal(PyObject_GetAttrString(o, "dtype"));
  DType own;
  if (typed && dtype_from(typed.get(), &own)) return own;
  PyErr_Clear();
  return {};
}

void check_storage_type(PyObject* o, DType wanted) {
  const DType own = storage_dtype(o).value_or(wanted);
  check(own == wanted, "Expected a Storage of type ", wanted,
        " or an UntypedStorage, but got type ", own, " for argument 1 'storage'");
}

void dealloc(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  if (Storage* s = storage_of(self)) {
    s->pyobj = nullptr;
    if (--s->refs == 0) s->destroy();
  }
  type->tp_free(self);
  Py_DECREF(type);
}

PyObject* storage_new(PyTypeObject*, PyObject* args, PyObject* kwargs) {
  static const char* names[] = {"size", "device", nullptr};
  PyObject *data = nullptr, *device = nullptr;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|OO:UntypedStorage", const_cast<char**>(names),
                                   &data, &device))
    return nullptr;
  return guarded([&] {
    Device d = default_device();
    check_type(!device || device == Py_None || device_from(device, &d),
               "UntypedStorage(): argument 'device' must be flambeau.device");
    int64_t n = 0;
    if (!data || int_from(data, &n)) {
      check(n >= 0, "UntypedStorage(): size must not be negative, got ", n);
      Ref<Storage> s = Storage::allocate(static_cast<size_t>(n), d);
      s->resizable = true;
      return wrap_storage(s);
    }
    Tensor bytes = tensor_from_data(data, DType::uint8, d);
    return wrap_storage(bytes->storage);
  });
}

PyObject* nbytes(PyObject* self, PyObject*) { return PyLong_FromSize_t(storage_of(self)->nbytes); }
PyObject* data_ptr(PyObject* self, PyObject*) {
  return guarded([&] {
    if (fused_open) settle_fused();
    ++storage_of(self)->home().writes;  // who has the address may write
    return PyLong_FromVoidPtr(storage_of(self)->data);
  });
}
Py_ssize_t length(PyObject* self) { return static_cast<Py_ssize_t>(storage_of(self)->nbytes); }

PyObject* resize(PyObject* self, PyObject* size) {
  return guarded([&] {
    int64_t n;
    check_type(int_from(size, &n), "resize_(): argument 'size' must be int, not ",
               Py_TYPE(size)->tp_name);
    check(n >= 0, "resize_(): size must not be negative, got ", n);
    storage_of(self)->resize(static_cast<size_t>(n));
    return Py_NewRef(self);
  });
}

PyObject* take(PyObject* self, PyObject* other) {
  return guarded([&] {
    check_type(Py_TYPE(other) == Py_TYPE(self), "_take(): another storage is wanted");
    storage_of(self)->take(*storage_of(other));
    return Py_NewRef(self);
  });
}

uint8_t* byte_at(PyObject* self, Py_ssize_t i) {
  if (fused_open) settle_fused();
  Storage* s = storage_of(self);
  auto n = static_cast<Py_ssize_t>(s->nbytes);
  check(s->device.type != DeviceType::meta, "a meta storage has no data");
  check_index(i >= 0 && i < n, "index ", i, " out of range for storage of size ", n);
  return static_cast<uint8_t*>(s->data) + i;
}
PyObject* get_byte(PyObject* self, Py_ssize_t i) {
  return guarded([&] { return PyLong_FromLong(*byte_at(self, i)); });
}
int set_byte(PyObject* self, Py_ssize_t i, PyObject* value) {
  return guarded_int([&] {
    int64_t v;
    check_type(value && int_from(value, &v), "can only set storage content with an int");
    *byte_at(self, i) = static_cast<uint8_t>(v);
    ++storage_of(self)->version, ++storage_of(self)->home().writes;
    return 0;
  });
}

PyObject* get_device(PyObject* self, void*) { return wrap(storage_of(self)->device); }
PyObject* get_address(PyObject* self, void*) {
  return PyLong_FromVoidPtr(static_cast<void*>(storage_of(self)));
}

int getbuffer(PyObject* self, Py_buffer* view, int flags) {
  Storage* s = storage_of(self);
  if (s->device.type == DeviceType::meta) {
    view->obj = nullptr;
    PyErr_SetString(PyExc_BufferError, "a meta storage has no data");
    return -1;
  }
  return guarded_int([&] {
    static char nowhere;
    s->lend();  // its address is out
    if (!PyBuffer_FillInfo(view, self, s->nbytes ? s->data : &nowhere,
                           static_cast<Py_ssize_t>(s->nbytes), 0, flags))
      return 0;
    --s->lent;
    return -1;
  });
}
void releasebuffer(PyObject* self, Py_buffer*) { --storage_of(self)->lent; }

// _keep_to_us(): nobody but tensors writes to this foreign memory.
PyObject* keep_to_us(PyObject* self, PyObject*) {
  storage_of(self)->outside = false;
  return Py_NewRef(self);
}

// _part(begin, end): these bytes of foreign memory as a storage; None of our own, which may move.
PyObject* part(PyObject* self, PyObject* args) {
  Py_ssize_t begin, end;
  if (!PyArg_ParseTuple(args, "nn", &begin, &end)) return nullptr;
  return guarded([&]() -> PyObject* {
    Storage* s = storage_of(self);
    if (!s->free_foreign) Py_RETURN_NONE;
    check_index(0 <= begin && begin <= end && static_cast<size_t>(end) <= s->nbytes, "bytes ",
                begin, " to ", end, " of a storage of ", s->nbytes);
    return wrap_storage(Storage::part(Ref<Storage>(s), static_cast<size_t>(begin),
                                      static_cast<size_t>(end - begin)));
  });
}

PyMethodDef storage_methods[] = {
    {"nbytes", nbytes, METH_NOARGS, "How many bytes it holds."},
    {"size", nbytes, METH_NOARGS, "How many bytes it holds."},
    {"data_ptr", data_ptr, METH_NOARGS, "The address of its first byte."},
    {"resize_", resize, METH_O, "resize_(size): makes it that many bytes long."},
    {"_keep_to_us", keep_to_us, METH_NOARGS, "Nobody but tensors writes to this foreign memory."},
    {"_part", part, METH_VARARGS, "_part(begin, end): those bytes as a storage, or None."},
    {"_take", take, METH_O, "_take(other): moves another's foreign memory here."},
    {}};
PyGetSetDef storage_getset[] = {{"device", get_device, nullptr, "Where it lives.", nullptr},
                                {"_cdata", get_address, nullptr,
                                 "What tells one storage from another while both live.", nullptr},
                                {}};

// -- on Tensor ------------------------------------------------------------------------------------
PyObject* untyped_storage(PyObject* self, PyObject*) {
  return guarded([&] { return wrap_storage(unwrap(self)->storage); });
}

Ints ints_argument(PyObject* o, const char* name) {
  Py items = Py::steal(checked(PySequence_Tuple(o)));
  Ints out;
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(items.get()); ++i) {
    int64_t v;
    check_type(int_from(PyTuple_GET_ITEM(items.get(), i), &v), "set_(): argument '", name,
               "' must be tuple of ints");
    out.push_back(v);
  }
  return out;
}

void check_fits(const Storage& s, DType dtype, int64_t offset, const Ints& sizes,
                const Ints& strides) {
  check(sizes.size() == strides.size(), "set_(): ", sizes.size(), " sizes but ", strides.size(),
        " strides");
  check(offset >= 0, "set_(): storage_offset must not be negative, got ", offset);
  int64_t last = offset;
  bool any = true;
  for (size_t d = 0; d < sizes.size(); ++d) {
    check(sizes[d] >= 0 && strides[d] >= 0, "set_(): negative size or stride in ", sizes, ", ",
          strides);
    any = any && sizes[d] > 0;
    int64_t span;
    check(!__builtin_mul_overflow(std::max<int64_t>(sizes[d] - 1, 0), strides[d], &span) &&
              !__builtin_add_overflow(last, span, &last),
          "set_(): sizes and strides overflow");
  }
  auto have = static_cast<int64_t>(s.nbytes / itemsize(dtype));
  check(!any || last < have, "set_(): sizes ", sizes, ", strides ", strides, ", storage offset ",
        offset, " require ", last, " + 1 elements, out of bounds for storage of ", have);
}

PyObject* set_(PyObject* self, PyObject* args, PyObject* kwargs) {
  static const char* names[] = {"source", "storage_offset", "size", "stride", nullptr};
  PyObject *source = nullptr, *size = nullptr, *stride = nullptr;
  long long offset = 0;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|OLOO:set_", const_cast<char**>(names), &source,
                                   &offset, &size, &stride))
    return nullptr;
  return guarded([&] {
    const Tensor& t = unwrap(self);
    check(!t.requires_grad() || !modes().grad,
          "set_(): a tensor that requires grad cannot be given another storage");
    Ref<Storage> storage;
    Ints sizes, strides;
    if (!source) {
      storage = Storage::allocate(0, t.device());
      sizes = {0};
    } else if (is_tensor(source)) {
      const Tensor& from = unwrap(source);
      check(from.dtype() == t.dtype(), "set_(): expected a tensor of ", t.dtype(), ", got ",
            from.dtype());
      storage = from->storage;
      if (!size) {
        sizes = from.sizes();
        strides = from.strides();
        offset = from->offset;
      }
    } else {
      storage = storage_argument(source, "set_");
      check_storage_type(source, t.dtype());
      if (!size) sizes = {static_cast<int64_t>(storage->nbytes / itemsize(t.dtype()))};
    }
    if (size) sizes = ints_argument(size, "size");
    if (stride)
      strides = ints_argument(stride, "stride");
    else if (strides.empty())
      strides = contiguous_strides(sizes);
    check(storage->device.type == t.device_type(), "set_(): expected a storage on ", t.device(),
          ", got one on ", storage->device);
    check_fits(*storage, t.dtype(), offset, sizes, strides);
    // The count of writes is the storage's: nothing is written where it becomes another's view.
    const bool again = t->storage.get() == storage.get();
    t->storage = std::move(storage);
    t->offset = offset;
    t->sizes = std::move(sizes);
    t->strides = std::move(strides);
    t->refresh();
    if (again) t.bump_version();
    return Py_NewRef(self);
  });
}

PyMethodDef tensor_part[] = {
    {"untyped_storage", untyped_storage, METH_NOARGS, "The bytes that it shows."},
    {"set_", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(set_)),
     METH_VARARGS | METH_KEYWORDS,
     "set_(source=None, storage_offset=0, size=None, stride=None): shows other memory from now "
     "on."},
    {}};

}  // namespace

PyObject* wrap_storage(const Ref<Storage>& storage) {
  if (storage->pyobj) return Py_NewRef(static_cast<PyObject*>(storage->pyobj));
  auto* o = PyObject_New(PyStorage, StorageType);
  if (!o) throw PythonError{};
  o->storage = storage.get();
  ++storage->refs;
  storage->pyobj = o;
  return reinterpret_cast<PyObject*>(o);
}

void init_storage(PyObject* m) {
  static const char doc[] = "UntypedStorage(size=0, device=None): the bytes behind tensors.";
  PyType_Slot slots[] = {{Py_tp_new, reinterpret_cast<void*>(storage_new)},
                         {Py_tp_dealloc, reinterpret_cast<void*>(dealloc)},
                         {Py_tp_methods, storage_methods},
                         {Py_tp_getset, storage_getset},
                         {Py_tp_doc, const_cast<char*>(doc)},
                         {Py_sq_length, reinterpret_cast<void*>(length)},
                         {Py_sq_item, reinterpret_cast<void*>(get_byte)},
                         {Py_sq_ass_item, reinterpret_cast<void*>(set_byte)},
                         {Py_bf_getbuffer, reinterpret_cast<void*>(getbuffer)},
                         {Py_bf_releasebuffer, reinterpret_cast<void*>(releasebuffer)},
                         {0, nullptr}};
  PyType_Spec spec = {"flambeau.UntypedStorage", sizeof(PyStorage), 0, Py_TPFLAGS_DEFAULT, slots};
  StorageType = reinterpret_cast<PyTypeObject*>(checked(PyType_FromSpec(&spec)));
  if (PyModule_AddObjectRef(m, "UntypedStorage", reinterpret_cast<PyObject*>(StorageType)) < 0)
    throw PythonError{};
  for (PyMethodDef* d = tensor_part; d->ml_name; ++d) {
    Py descriptor = Py::steal(checked(PyDescr_NewMethod(TensorType, d)));
    if (PyObject_SetAttrString(reinterpret_cast<PyObject*>(TensorType), d->ml_name,
                               descriptor.get()) < 0)
      throw PythonError{};
  }
}

bool tensor_from_storage(PyObject* o, std::optional<DType> dtype, Tensor* t) {
  if (!is_storage(o) && !PyObject_HasAttrString(o, "_untyped_storage")) return false;
  const DType type = dtype.value_or(storage_dtype(o).value_or(DType::int64));
  check_storage_type(o, type);
  Ref<Storage> storage = storage_argument(o, "tensor");
  const int64_t count = static_cast<int64_t>(storage->nbytes / itemsize(type));
  *t = tensor_over(std::move(storage), 0, type, Ints{count});
  return true;
}

}  // namespace flambeau
