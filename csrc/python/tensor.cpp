// flambeau.Tensor: the heap type, its objects' life, and how they pair with the core's tensors.
//
// One Python object stands for a TensorImpl and owns a reference to it; impl->pyobj points back.
// When Python lets go of an object that has a dict or a subclass while the graph still holds the
// impl, the ownership turns round (owns_pyobj): the impl keeps the object, and the next wrap()
// hands the same one out again.
#include "node.h"
// After Python.h.
#include <structmember.h>
#include <sys/mman.h>

#include <algorithm>

namespace flambeau {

PyTypeObject* TensorType;
PyTypeObject* ParameterType;

namespace {

PyTensor* cast(PyObject* o) { return reinterpret_cast<PyTensor*>(o); }
PyObject* cast(PyTensor* t) { return reinterpret_cast<PyObject*>(t); }

// -- life -----------------------------------------------------------------------------------------
// Objects are tracked by the cycle collector only once they have a dict: without one they cannot be
// part of a cycle, and making one is a few nanoseconds.
constexpr int kKept = 64;
PyTensor* kept[kKept];
int kept_count = 0;

PyTensor* allocate() {
  if (kept_count) {
    PyTensor* t = kept[--kept_count];
    PyObject_Init(cast(t), TensorType);
    return t;
  }
  auto* t = PyObject_GC_New(PyTensor, TensorType);
  if (!t) throw PythonError{};
  t->dict = nullptr;
  t->weakrefs = nullptr;
  return t;
}

void track(PyObject* self) {
  if (cast(self)->dict && !PyObject_GC_IsTracked(self)) PyObject_GC_Track(self);
}

// The bit in which the cycle collector notes that tp_finalize ran: an object that comes back may
// be finalized again.
void clear_finalized(PyObject* o) { reinterpret_cast<uintptr_t*>(o)[-1] &= ~uintptr_t(1); }

void keep_for_graph(PyTensor* t) {
  t->impl->owns_pyobj = true;
  --t->impl->refs;
}

bool outlived(PyTensor* t) { return t->impl && !t->impl->owns_pyobj && t->impl->refs > 1; }

bool release_object(TensorImpl* impl) {
  auto* t = static_cast<PyTensor*>(impl->pyobj);
  impl->owns_pyobj = false;
  if (Py_REFCNT(cast(t)) > 1) {  // reached through a weak reference
    impl->refs = 1;
    Py_DECREF(cast(t));
    return true;
  }
  t->impl = nullptr;
  impl->pyobj = nullptr;
  Py_DECREF(cast(t));
  return false;
}

// Of subclasses; the exact type comes through tensor_dealloc alone.
void tensor_finalize(PyObject* self) {
  if (!outlived(cast(self))) return;
  keep_for_graph(cast(self));
  Py_INCREF(self);
}

void tensor_dealloc(PyObject* self) {
  PyTensor* t = cast(self);
  PyTypeObject* type = Py_TYPE(self);
  if (type == TensorType && t->dict && outlived(t)) {
    Py_SET_REFCNT(self, 1);
    keep_for_graph(t);
    return;
  }
  PyObject_GC_UnTrack(self);
  if (t->weakrefs) PyObject_ClearWeakRefs(self);
  Py_CLEAR(t->dict);
  if (TensorImpl* impl = std::exchange(t->impl, nullptr)) {
    impl->pyobj = nullptr;
    if (--impl->refs == 0) impl->destroy();
  }
  if (type == TensorType && kept_count < kKept)
    kept[kept_count++] = t;
  else
    type->tp_free(self);
  Py_DECREF(type);
}

int tensor_traverse(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(self));
  // While a graph or another tensor's gradient holds it, what it refers to is no garbage.
  const TensorImpl* impl = cast(self)->impl;
  if (impl && impl->refs > 1) return 0;
  Py_VISIT(cast(self)->dict);
  // A Function's context may hold the result that alone keeps it.
  const AutogradMeta* m = impl ? impl->autograd : nullptr;
  if (m && m->grad_fn && m->grad_fn->refs == 1) Py_VISIT(context_behind(*m->grad_fn));
  return 0;
}
int tensor_clear(PyObject* self) {
  Py_CLEAR(cast(self)->dict);
  return 0;
}

int tensor_setattro(PyObject* self, PyObject* name, PyObject* value) {
  int r = PyObject_GenericSetAttr(self, name, value);
  track(self);
  return r;
}

PyObject* adopt(PyTypeObject* cls, const Tensor& t) {  // a new object of cls for t, which has none
  if (has_torch_dispatch(cls)) expect_torch_dispatch();
  PyObject* o = cls->tp_alloc(cls, 0);
  if (!o) throw PythonError{};
  cast(o)->impl = t.impl();
  ++t.impl()->refs;
  t.impl()->pyobj = o;
  return o;
}

// -- Tensor(...) ----------------------------------------------------------------------------------
bool sizes_from(PyObject* args, Ints* sizes) {  // Tensor(2, 3), Tensor(Size)
  Py_ssize_t n = PyTuple_GET_SIZE(args);
  if (n == 1 && Py_TYPE(PyTuple_GET_ITEM(args, 0)) == SizeType)
    return sizes_from(PyTuple_GET_ITEM(args, 0), sizes);
  for (Py_ssize_t i = 0; i < n; ++i) {
    int64_t s;
    PyObject* item = PyTuple_GET_ITEM(args, i);
    if (is_tensor(item) || !int_from(item, &s)) return false;
    sizes->push_back(s);
  }
  return true;
}

Tensor legacy_tensor(PyObject* args, Device device) {
  Options options{default_dtype(), device};
  Ints sizes;
  if (PyTuple_GET_SIZE(args) == 0) return empty(Ints{0}, options);
  if (sizes_from(args, &sizes)) return empty(sizes, options);
  if (PyTuple_GET_SIZE(args) != 1)
    fail(ErrorKind::type, "Tensor(): takes sizes, a sequence or a tensor, got ",
         PyTuple_GET_SIZE(args), " arguments");
  PyObject* data = PyTuple_GET_ITEM(args, 0);
  if (is_tensor(data)) return unwrap(data).alias();  // of its own type
  check_type(PyObject_HasAttrString(data, "__len__"), "Tensor(): data must be a sequence (got ",
             Py_TYPE(data)->tp_name, ")");
  return tensor_from_data(data, options.dtype, device);
}

PyObject* tensor_new(PyTypeObject* cls, PyObject* args, PyObject* kwargs) {
  return guarded([&]() -> PyObject* {
    Device device;  // of the CPU, whatever the default for factories is
    if (kwargs && PyDict_GET_SIZE(kwargs)) {
      PyObject* named = PyDict_GetItemString(kwargs, "device");
      if (cls == TensorType && (!named || PyDict_GET_SIZE(kwargs) > 1))
        fail(ErrorKind::type, "Tensor(): got an unexpected keyword argument");
      if (named && !device_from(named, &device))
        fail(ErrorKind::type, "Tensor(): argument 'device' must be flambeau.device");
    }
    Tensor t = legacy_tensor(args, device);
    return cls == TensorType ? wrap(t) : adopt(cls, t);
  });
}

// Tensor._make_subclass(cls, data, require_grad=False): data's memory as an object of cls, a leaf.
PyObject* make_subclass(PyObject*, PyObject* args, PyObject* kwargs) {
  static const char* names[] = {"cls", "data", "require_grad", nullptr};
  PyObject *cls, *data;
  int requires_grad = 0;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO|p:_make_subclass", const_cast<char**>(names),
                                   &cls, &data, &requires_grad))
    return nullptr;
  return guarded([&] {
    auto* type = reinterpret_cast<PyTypeObject*>(cls);
    check_type(PyType_Check(cls) && PyType_IsSubtype(type, TensorType),
               "_make_subclass(): cls must be a subclass of Tensor");
    check_type(is_tensor(data), "_make_subclass(): argument 'data' must be Tensor, not ",
               Py_TYPE(data)->tp_name);
    Tensor t = unwrap(data).alias();
    check(!requires_grad || is_inexact(t.dtype()),
          "Only Tensors of floating point and complex dtype can require gradients");
    if (requires_grad) autograd_meta(t).requires_grad = true;
    return adopt(type, t);
  });
}

// Zeros of the system's, which cost nothing until somebody touches them.
Tensor reserve_strided(const Ints& sizes, const Ints& strides, const Options& o) {
  size_t n = itemsize(o.dtype);
  for (size_t d = 0; d < sizes.size(); ++d) {
    check(strides[d] >= 0, "_make_wrapper_subclass(): negative stride in ", strides);
    n += static_cast<size_t>(std::max<int64_t>(sizes[d] - 1, 0) * strides[d]) * itemsize(o.dtype);
  }
  void* data =
      mmap(nullptr, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (data == MAP_FAILED) fail(ErrorKind::out_of_memory, "cannot reserve ", n, " bytes");
  auto* held = new std::pair<void*, size_t>(data, n);
  auto storage = Storage::foreign(data, n, o.device, held, [](void* owner) {
    auto* range = static_cast<std::pair<void*, size_t>*>(owner);
    munmap(range->first, range->second);
    delete range;
  });
  auto* p = new TensorImpl;
  p->dtype = o.dtype;
  p->device = o.device;
  p->storage = std::move(storage);
  p->sizes = sizes;
  p->strides = strides;
  p->refresh();
  return Tensor(Ref<TensorImpl>::adopt(p));
}

// Tensor._make_wrapper_subclass(cls, size, strides, dtype, device, requires_grad): an object of cls
// that looks so. Its memory is zeros of the system's that nobody is to touch.
PyObject* make_wrapper(PyObject*, PyObject* args) {
  PyObject *cls, *size, *strides, *dtype, *device;
  int requires_grad;
  if (!PyArg_ParseTuple(args, "OOOOOp:_make_wrapper", &cls, &size, &strides, &dtype, &device,
                        &requires_grad))
    return nullptr;
  return guarded([&] {
    auto* type = reinterpret_cast<PyTypeObject*>(cls);
    check_type(PyType_Check(cls) && PyType_IsSubtype(type, TensorType) && has_torch_dispatch(type),
               "Attempted to create a wrapper subclass without a __torch_dispatch__");
    DType t;
    Device where;
    Ints sizes, steps;
    check_type(dtype_from(dtype, &t) && device_from(device, &where) && PyTuple_Check(size) &&
                   sizes_from(size, &sizes) && PyTuple_Check(strides) &&
                   sizes_from(strides, &steps),
               "_make_wrapper_subclass(): expected tuples of sizes and strides, a dtype, a device");
    check(sizes.size() == steps.size(), "_make_wrapper_subclass(): as many strides as sizes");
    for (int64_t s : sizes) check(s >= 0, "negative size in ", sizes);
    Tensor made = where.type == DeviceType::meta ? empty_strided(sizes, steps, {t, where})
                                                 : reserve_strided(sizes, steps, {t, where});
    if (requires_grad) set_requires_grad(made, true);
    return adopt(type, made);
  });
}

// Tensor._make_sparse(cls, size, dtype, layout): an object of cls of that shape over one zero; the
// elements are its own affair.
PyObject* make_sparse(PyObject*, PyObject* args) {
  PyObject *cls, *size, *dtype, *layout;
  if (!PyArg_ParseTuple(args, "OOOO:_make_sparse", &cls, &size, &dtype, &layout)) return nullptr;
  return guarded([&] {
    auto* type = reinterpret_cast<PyTypeObject*>(cls);
    check_type(PyType_Check(cls) && PyType_IsSubtype(type, TensorType) && type != TensorType,
               "_make_sparse(): cls must be a subclass of Tensor");
    DType t;
    Layout l;
    Ints sizes;
    check_type(dtype_from(dtype, &t) && layout_from(layout, &l) && PyTuple_Check(size) &&
                   sizes_from(size, &sizes),
               "_make_sparse(): expected a tuple of sizes, a dtype and a layout");
    for (int64_t s : sizes) check(s >= 0, "negative size in ", sizes);
    Tensor one = zeros(Ints{}, {t, {}}).as_strided_raw(sizes, Ints(sizes.size()), 0);
    one->layout = l;
    return adopt(type, one);
  });
}

PyObject* as_subclass(PyObject* self, PyObject* cls) {
  return guarded([&] {
    auto* type = reinterpret_cast<PyTypeObject*>(cls);
    check_type(PyType_Check(cls) && PyType_IsSubtype(type, TensorType),
               "as_subclass(): argument 'cls' must be a subclass of Tensor");
    static const OpCall alias("alias");
    Tensor t = alias(unwrap(self));
    return type == TensorType ? wrap(t) : wrap_as(t, type);
  });
}

}  // namespace

void track_result(PyObject* tensor) {
  if (!PyObject_GC_IsTracked(tensor)) PyObject_GC_Track(tensor);
}

// The default of __torch_function__: the call as on plain tensors, its results made objects of cls.
PyObject* convert_results(PyObject* result, PyTypeObject* cls) {
  if (is_tensor(result)) {
    if (cls == TensorType || PyObject_TypeCheck(result, cls)) return Py_NewRef(result);
    return wrap_as(unwrap(result), cls);
  }
  if (!PyTuple_Check(result) && !PyList_Check(result)) return Py_NewRef(result);
  Py list = Py::steal(checked(PySequence_List(result)));
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list.get()); ++i) {
    PyObject* item = convert_results(PyList_GET_ITEM(list.get(), i), cls);
    PyList_SetItem(list.get(), i, checked(item));
  }
  if (PyList_Check(result)) return list.release();
  if (PyTuple_CheckExact(result)) return PyList_AsTuple(list.get());
  Py args = Py::steal(checked(PyTuple_Pack(1, list.get())));  // a struct sequence
  return PyObject_Call(reinterpret_cast<PyObject*>(Py_TYPE(result)), args.get(), nullptr);
}

namespace {
// What flambeau._foreign has under that name.
PyObject* foreign_helper(const char* name) {
  Py module = Py::steal(checked(PyImport_ImportModule("flambeau._foreign")));
  return checked(PyObject_GetAttrString(module.get(), name));
}

Py taken(PyObject* arguments) {
  static PyObject* take = foreign_helper("taken");
  return Py::steal(checked(PyObject_CallOneArg(take, arguments)));
}

// A function of another package that keeps to the protocol (PyTorch's own relu) would only ask
// again: what flambeau has under its name, or null. The result is borrowed from a cache.
PyObject* twin_of(PyObject* func, bool* foreign) {
  if (!PyCFunction_Check(func) && !PyFunction_Check(func) && Py_TYPE(func) != &PyMethodDescr_Type &&
      Py_TYPE(func) != &PyWrapperDescr_Type)
    return nullptr;
  static PyObject* find = foreign_helper("twin");
  Py found = Py::steal(checked(PyObject_CallOneArg(find, func)));
  *foreign = found.get() != func;
  return *foreign && found.get() != Py_None ? found.get() : nullptr;
}

PyObject* default_torch_function(PyObject* cls, PyObject* args, PyObject* kwargs) {
  static const char* names[] = {"func", "types", "args", "kwargs", nullptr};
  PyObject *func, *types, *call_args = nullptr, *call_kwargs = nullptr;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO|OO:__torch_function__",
                                   const_cast<char**>(names), &func, &types, &call_args,
                                   &call_kwargs))
    return nullptr;
  return guarded([&]() -> PyObject* {
    auto* type = reinterpret_cast<PyTypeObject*>(cls);
    Py each = Py::steal(checked(PySequence_Tuple(types)));
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(each.get()); ++i) {
      auto* other = reinterpret_cast<PyTypeObject*>(PyTuple_GET_ITEM(each.get(), i));
      if (!PyType_IsSubtype(type, other) && !is_pytorch_tensor(other)) Py_RETURN_NOTIMPLEMENTED;
    }
    Py positional =
        Py::steal(call_args && call_args != Py_None ? PySequence_Tuple(call_args) : PyTuple_New(0));
    checked(positional.get());
    if (call_kwargs == Py_None) call_kwargs = nullptr;
    Py named = Py::borrow(call_kwargs);
    bool foreign = false;
    PyObject* twin = twin_of(func, &foreign);
    if (foreign && !twin) Py_RETURN_NOTIMPLEMENTED;
    if (foreign) {
      positional = taken(positional.get());
      if (named) named = taken(named.get());
    }
    ++torch_function_disabled;
    Py result = Py::steal(PyObject_Call(twin ? twin : func, positional.get(), named.get()));
    --torch_function_disabled;
    return convert_results(checked(result.get()), type);
  });
}

}  // namespace

bool is_pytorch_tensor(const PyTypeObject* t) {
  for (; t; t = t->tp_base)
    if (std::string_view(t->tp_name) == "torch._C.TensorBase") return true;
  return false;
}

PyObject* call_with_taken(PyObject* func, PyObject* args, PyObject* kwargs) {
  return checked(PyObject_Call(func, taken(args).get(), taken(kwargs).get()));
}

namespace {

PyObject* disable_torch_function(PyObject*, PyObject* step) {
  long by = PyLong_AsLong(step);
  if (by == -1 && PyErr_Occurred()) return nullptr;
  torch_function_disabled += static_cast<int>(by);
  Py_RETURN_NONE;
}

PyObject* is_pytorch_tensor_object(PyObject*, PyObject* o) {
  return PyBool_FromLong(is_pytorch_tensor(Py_TYPE(o)));
}

PyObject* set_parameter_type(PyObject*, PyObject* cls) {
  if (!PyType_Check(cls) || !PyType_IsSubtype(reinterpret_cast<PyTypeObject*>(cls), TensorType))
    return PyErr_Format(PyExc_TypeError, "expected a subclass of Tensor, got %R", cls);
  ParameterType = reinterpret_cast<PyTypeObject*>(Py_NewRef(cls));
  Py_RETURN_NONE;
}

PyObject* get_dict(PyObject* self, void*) {
  PyObject*& dict = cast(self)->dict;
  if (!dict) dict = PyDict_New();
  if (!dict) return nullptr;
  track(self);
  return Py_NewRef(dict);
}
int set_dict(PyObject* self, PyObject* value, void*) {
  if (!value || !PyDict_Check(value)) {
    PyErr_SetString(PyExc_TypeError, "__dict__ must be set to a dictionary");
    return -1;
  }
  Py_XSETREF(cast(self)->dict, Py_NewRef(value));
  track(self);
  return 0;
}

Py_hash_t tensor_hash(PyObject* self) {
  auto p = reinterpret_cast<uintptr_t>(self);
  return static_cast<Py_hash_t>(p >> 4 | p << 60);
}

template <class F>
PyCFunction method(F f) {
  return reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(f));
}

PyMethodDef subclass_methods[] = {
    {"_make_subclass", method(make_subclass), METH_STATIC | METH_VARARGS | METH_KEYWORDS,
     "_make_subclass(cls, data, require_grad=False): data's memory as an object of cls."},
    {"_make_wrapper", make_wrapper, METH_STATIC | METH_VARARGS,
     "_make_wrapper(cls, size, strides, dtype, device, requires_grad)."},
    {"_make_sparse", make_sparse, METH_STATIC | METH_VARARGS,
     "_make_sparse(cls, size, dtype, layout): what a sparse tensor stands on."},
    {"as_subclass", as_subclass, METH_O, "as_subclass(cls): the same memory as an object of cls."},
    {"__torch_function__", method(default_torch_function),
     METH_CLASS | METH_VARARGS | METH_KEYWORDS,
     "Runs func as on plain tensors and gives its results the class."},
    {}};

PyMethodDef module_functions[] = {
    {"_disable_torch_function", disable_torch_function, METH_O,
     "Counts up or down the blocks in which subclasses are plain tensors."},
    {"_set_parameter_type", set_parameter_type, METH_O, "Makes cls known as nn.Parameter."},
    {"_is_pytorch_tensor", is_pytorch_tensor_object, METH_O, "Whether it is PyTorch's own."},
    {}};

PyTypeObject* make_type() {
  static const char doc[] =
      "A strided array of one dtype on one device, with a record of how it came to be.\n\n"
      ">>> import flambeau as torch\n>>> torch.tensor([[1., 2.], [3., 4.]]).sum()\ntensor(10.)";
  static PyMemberDef members[] = {
      {"__dictoffset__", T_PYSSIZET, offsetof(PyTensor, dict), READONLY, nullptr},
      {"__weaklistoffset__", T_PYSSIZET, offsetof(PyTensor, weakrefs), READONLY, nullptr},
      {}};
  static std::vector<PyMethodDef> methods;  // the type keeps pointers into these
  static std::vector<PyGetSetDef> attributes;
  for (PyMethodDef* d = tensor_methods; d->ml_name; ++d) methods.push_back(*d);
  for (PyMethodDef* d = subclass_methods; d->ml_name; ++d) methods.push_back(*d);
  methods.push_back({});
  for (PyGetSetDef* d = tensor_attributes; d->name; ++d) attributes.push_back(*d);
  attributes.push_back({"__dict__", get_dict, set_dict, "Attributes set from Python.", nullptr});
  attributes.push_back({});
  std::vector<PyType_Slot> slots = {
      {Py_tp_doc, const_cast<char*>(doc)},
      {Py_tp_new, reinterpret_cast<void*>(tensor_new)},
      {Py_tp_dealloc, reinterpret_cast<void*>(tensor_dealloc)},
      {Py_tp_finalize, reinterpret_cast<void*>(tensor_finalize)},
      {Py_tp_traverse, reinterpret_cast<void*>(tensor_traverse)},
      {Py_tp_clear, reinterpret_cast<void*>(tensor_clear)},
      {Py_tp_setattro, reinterpret_cast<void*>(tensor_setattro)},
      {Py_tp_hash, reinterpret_cast<void*>(tensor_hash)},
      {Py_tp_members, members},
      {Py_tp_methods, methods.data()},
      {Py_tp_getset, attributes.data()},
      {Py_mp_subscript, reinterpret_cast<void*>(tensor_getitem)},
      {Py_mp_ass_subscript, reinterpret_cast<void*>(tensor_setitem)},
      {Py_bf_getbuffer, reinterpret_cast<void*>(tensor_getbuffer)},
      {Py_bf_releasebuffer, reinterpret_cast<void*>(tensor_releasebuffer)}};
  for (PyType_Slot* s = number_slots; s->slot; ++s) slots.push_back(*s);
  for (PyType_Slot* s = sequence_slots; s->slot; ++s) slots.push_back(*s);
  slots.push_back({0, nullptr});
  PyType_Spec spec = {"flambeau.Tensor", sizeof(PyTensor), 0,
                      Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC, slots.data()};
  return reinterpret_cast<PyTypeObject*>(checked(PyType_FromSpec(&spec)));
}

}  // namespace

PyObject* wrap(const Tensor& t) {
  TensorImpl* impl = t.impl();
  if (!impl) [[unlikely]]
    Py_RETURN_NONE;
  if (impl->pyobj) {
    auto* o = static_cast<PyObject*>(impl->pyobj);
    if (!impl->owns_pyobj) return Py_NewRef(o);
    impl->owns_pyobj = false;
    ++impl->refs;
    clear_finalized(o);
    return o;
  }
  PyTensor* o = allocate();
  o->impl = impl;
  ++impl->refs;
  impl->pyobj = o;
  return cast(o);
}

PyObject* wrap_as(const Tensor& t, PyTypeObject* cls) {
  if (!t->pyobj) return adopt(cls, t);
  static const OpCall alias("alias");
  return adopt(cls, alias(t));
}

void init_tensor(PyObject* m) {
  release_pyobj = release_object;
  TensorType = make_type();
  if (PyModule_AddObjectRef(m, "Tensor", reinterpret_cast<PyObject*>(TensorType)) < 0 ||
      PyModule_AddFunctions(m, module_functions) < 0)
    throw PythonError{};
}

}  // namespace flambeau
