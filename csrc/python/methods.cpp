// Tensor's methods that are no operators: size(), item(), is_contiguous(), requires_grad_(), ...
#include "../transform.h"
#include "../stored.h"
#include "python.h"

namespace flambeau {

extern PyMethodDef tensor_methods[];

namespace {

const char* name_of(PyCFunction f) {
  const PyMethodDef* m = tensor_methods;
  while (m->ml_meth != f) ++m;
  return m->ml_name;
}

template <auto F>
PyObject* bare(PyObject* self, PyObject*) {
  return guarded([&] { return F(unwrap(self)); });
}

template <auto F>
PyObject* plain(PyObject* self, PyObject*) {
  if (in_function_mode()) [[unlikely]]
    return ask_mode(name_of(plain<F>), &self, 1, nullptr);
  return bare<F>(self, nullptr);
}

// A method with arguments in a TorchFunctionMode.
PyObject* ask_with(const char* name, PyObject* self, PyObject* args, PyObject* kwargs) {
  std::vector<PyObject*> all = {self};
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(args); ++i) all.push_back(PyTuple_GET_ITEM(args, i));
  const size_t positional = all.size();
  Py names = Py::steal(kwargs ? PySequence_Tuple(kwargs) : PyTuple_New(0));
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(names.get()); ++i)
    all.push_back(PyDict_GetItem(kwargs, PyTuple_GET_ITEM(names.get(), i)));
  return ask_mode(name, all.data(), positional, names.get());
}

// f(dim=None) over a list of integers: all of it, or one.
PyObject* one_or_all(PyObject* self, PyObject* const* args, Py_ssize_t nargs, PyObject* kwnames,
                     const char* name, const Ints& (Tensor::*list)() const,
                     PyObject* (*all)(IntSpan)) {
  if (in_function_mode()) [[unlikely]] {
    std::vector<PyObject*> given = {self};
    given.insert(given.end(), args, args + nargs + (kwnames ? PyTuple_GET_SIZE(kwnames) : 0));
    return ask_mode(name, given.data(), static_cast<size_t>(nargs) + 1, kwnames);
  }
  return guarded([&]() -> PyObject* {
    const Tensor& t = unwrap(self);
    Py_ssize_t nkw = kwnames ? PyTuple_GET_SIZE(kwnames) : 0;
    if (nkw && (nkw > 1 || nargs ||
                PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(kwnames, 0), "dim") != 0))
      fail(ErrorKind::type, name, "() takes one argument, 'dim'");
    check_type(nargs <= 1, name, "() takes at most 1 argument (", nargs, " given)");
    if (nargs + nkw == 0 || args[0] == Py_None) return all((t.*list)());
    int64_t dim;
    check_type(int_from(args[0], &dim), name, "(): argument 'dim' (position 1) must be int, not ",
               Py_TYPE(args[0])->tp_name);
    check_index(t.dim() > 0, "Dimension specified as ", dim, " but tensor has no dimensions");
    return PyLong_FromLongLong((t.*list)()[wrap_dim(dim, t.dim())]);
  });
}

PyObject* size(PyObject* self, PyObject* const* args, Py_ssize_t n, PyObject* kwnames) {
  return one_or_all(self, args, n, kwnames, "size", &Tensor::sizes, wrap_size);
}
PyObject* stride(PyObject* self, PyObject* const* args, Py_ssize_t n, PyObject* kwnames) {
  return one_or_all(self, args, n, kwnames, "stride", &Tensor::strides, wrap_ints);
}

PyObject* is_contiguous(PyObject* self, PyObject* args, PyObject* kwargs) {
  if (in_function_mode()) [[unlikely]]
    return ask_with("is_contiguous", self, args, kwargs);
  static const char* names[] = {"memory_format", nullptr};
  PyObject* o = nullptr;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O:is_contiguous", const_cast<char**>(names), &o))
    return nullptr;
  return guarded([&] {
    MemoryFormat f = MemoryFormat::contiguous;
    check_type(!o || memory_format_from(o, &f),
               "is_contiguous(): argument 'memory_format' must be torch.memory_format, not ",
               o ? Py_TYPE(o)->tp_name : "");
    check(f != MemoryFormat::preserve, "is_contiguous(): preserve memory format is unsupported");
    return PyBool_FromLong(unwrap(self).is_contiguous(f));
  });
}

PyObject* requires_grad_(PyObject* self, PyObject* args, PyObject* kwargs) {
  if (in_function_mode()) [[unlikely]]
    return ask_with("requires_grad_", self, args, kwargs);
  static const char* names[] = {"requires_grad", nullptr};
  int on = 1;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|p:requires_grad_", const_cast<char**>(names),
                                   &on))
    return nullptr;
  return guarded([&] {
    check(!modes().transforms || !is_transformed(unwrap(self)),
          "You are attempting to call Tensor.requires_grad_() (or perhaps using "
          "torch.autograd.functional.* APIs) inside of a function being transformed. This is "
          "unsupported, please attempt to use the transforms of torch.func (e.g. grad, vjp, "
          "jacrev, jacfwd, hessian) or call requires_grad_() outside of a function being "
          "transformed instead.");
    set_requires_grad(unwrap(self), on);
    return Py_NewRef(self);
  });
}

PyObject* detach_(PyObject* self, PyObject*) {
  return guarded([&] {
    const Tensor& t = unwrap(self);
    detach_in_place(t);
    return Py_NewRef(self);
  });
}

PyObject* data_ptr(const Tensor& t) {
  if (t.is_meta() || t.numel() == 0) return PyLong_FromLong(0);
  if (fused_open) settle_fused();
  ++t->storage->writes;  // who has the address may write
  return PyLong_FromVoidPtr(t.data());
}

// type(): 'torch.FloatTensor'. With an argument it is a conversion, made in _tensor.py.
PyObject* type_name(const Tensor& t) {
  constexpr const char* names[] = {"Byte",
                                   "Char",
                                   "Short",
                                   "Int",
                                   "Long",
                                   "Half",
                                   "Float",
                                   "Double",
                                   "ComplexFloat",
                                   "ComplexDouble",
                                   "Bool",
                                   "BFloat16",
                                   "UInt16",
                                   "UInt32",
                                   "UInt64",
                                   "Float8_e4m3fn",
                                   "Float8_e5m2",
                                   "ComplexHalf",
                                   "Float8_e4m3fnuz",
                                   "Float8_e5m2fnuz",
                                   "Float8_e8m0fnu",
                                   "Float4_e2m1fn_x2",
                                   "Int1",
                                   "Int2",
                                   "Int3",
                                   "Int4",
                                   "Int5",
                                   "Int6",
                                   "Int7",
                                   "UInt1",
                                   "UInt2",
                                   "UInt3",
                                   "UInt4",
                                   "UInt5",
                                   "UInt6",
                                   "UInt7",
                                   "Bits1x8",
                                   "Bits2x4",
                                   "Bits4x2",
                                   "Bits8",
                                   "Bits16",
                                   "QInt8",
                                   "QUInt8",
                                   "QInt32",
                                   "QUInt4x2",
                                   "QUInt2x4"};
  static_assert(std::size(names) == kAllDTypes);
  return PyUnicode_FromFormat("torch.%sTensor", names[static_cast<int>(t.dtype())]);
}

PyObject* get_device(const Tensor& t) {
  return PyLong_FromLong(t.device_type() == DeviceType::cuda ? t.device().index : -1);
}

PyObject* is_set_to(PyObject* self, PyObject* other) {
  return guarded([&] {
    check_type(is_tensor(other), "is_set_to(): argument 'tensor' must be Tensor, not ",
               Py_TYPE(other)->tp_name);
    const Tensor &a = unwrap(self), &b = unwrap(other);
    return PyBool_FromLong(a->storage == b->storage && a->offset == b->offset &&
                           a.sizes() == b.sizes() && a.strides() == b.strides());
  });
}

PyObject* to_complex(PyObject* self, PyObject*) {
  if (in_function_mode()) [[unlikely]]
    return ask_mode("__complex__", &self, 1, nullptr);
  return guarded([&] {
    const Tensor& t = unwrap(self);
    check_value(t.numel() == 1, "only one element tensors can be converted to Python scalars");
    complex128 c = item(t).to<complex128>();
    return PyComplex_FromDoubles(c.real(), c.imag());
  });
}

Py_ssize_t length(PyObject* self) {
  if (in_function_mode()) [[unlikely]] {
    Py n = Py::steal(ask_mode("__len__", &self, 1, nullptr));
    return n ? PyLong_AsSsize_t(n.get()) : -1;
  }
  const Tensor& t = unwrap(self);
  if (t.dim()) return static_cast<Py_ssize_t>(t.sizes()[0]);
  PyErr_SetString(PyExc_TypeError, "len() of a 0-d tensor");
  return -1;
}

PyObject* iterate(PyObject* self) {
  return guarded([&]() -> PyObject* {
    const Tensor& t = unwrap(self);
    check_type(t.dim() > 0, "iteration over a 0-d tensor");
    static PyObject* name = PyUnicode_InternFromString("unbind");
    Py items = Py::steal(checked(PyObject_CallMethodNoArgs(self, name)));
    return PyObject_GetIter(items.get());
  });
}

PyObject* boolean(bool b) { return PyBool_FromLong(b); }

template <class F>
PyCFunction method(F f) {
  return reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(f));
}

}  // namespace

PyObject* tensor_item(const Tensor& t) {
  if (modes().vmaps) [[unlikely]]
    check_readable(t, kCallsItem);
  if (modes().dispatch && is_dispatching(t)) [[unlikely]]
    return wrap(item(t));
  if (t.dtype() == DType::float32 && t.numel() == 1 && !t.is_meta()) [[likely]]
    return PyFloat_FromDouble(*t.data<float>());
  if (t.dtype() == DType::uint64 && t.numel() == 1 && !t.is_meta())  // does not fit a Scalar
    return PyLong_FromUnsignedLongLong(*t.data<uint64_t>());
  return wrap(item(t));
}

#define FLAMBEAU_METHOD(name, f, doc) {name, plain<f>, METH_NOARGS, doc}
#define FLAMBEAU_TEST(name, expr, doc) \
  {name, plain<+[](const Tensor& t) { return boolean(expr); }>, METH_NOARGS, doc}
#define FLAMBEAU_NUMBER(name, expr, doc) \
  {name, plain<+[](const Tensor& t) { return PyLong_FromLongLong(expr); }>, METH_NOARGS, doc}
PyMethodDef tensor_methods[] = {
    {"size", method(size), METH_FASTCALL | METH_KEYWORDS,
     "size(dim=None): all sizes, or that of one dimension."},
    {"stride", method(stride), METH_FASTCALL | METH_KEYWORDS,
     "stride(dim=None): all strides in elements, or that of one dimension."},
    {"is_contiguous", method(is_contiguous), METH_VARARGS | METH_KEYWORDS,
     "is_contiguous(memory_format=contiguous_format): whether the elements lie in that order."},
    {"requires_grad_", method(requires_grad_), METH_VARARGS | METH_KEYWORDS,
     "requires_grad_(requires_grad=True): whether operations on it are recorded; gives it back."},
    {"detach_", detach_, METH_NOARGS, "Cuts it off from the graph that made it."},
    {"is_set_to", is_set_to, METH_O, "Whether both show the same memory in the same way."},
    {"__complex__", to_complex, METH_NOARGS, "The only element as a complex number."},
    FLAMBEAU_METHOD("item", tensor_item, "The only element as a Python number."),
    FLAMBEAU_METHOD("data_ptr", data_ptr, "The address of the first element."),
    {"_type_name", bare<type_name>, METH_NOARGS, "What type() gives."},
    FLAMBEAU_METHOD("get_device", get_device, "The number of its CUDA device, -1 on the CPU."),
    FLAMBEAU_NUMBER("dim", t.dim(), "How many dimensions it has."),
    FLAMBEAU_NUMBER("ndimension", t.dim(), "How many dimensions it has."),
    FLAMBEAU_NUMBER("numel", t.numel(), "How many elements it has."),
    FLAMBEAU_NUMBER("nelement", t.numel(), "How many elements it has."),
    FLAMBEAU_NUMBER("storage_offset", t->offset, "Elements before the first one in its storage."),
    FLAMBEAU_NUMBER("element_size", static_cast<long long>(itemsize(t.dtype())),
                    "Bytes of one element."),
    FLAMBEAU_TEST("is_floating_point", is_floating(t.dtype()), "Whether its dtype is a float."),
    FLAMBEAU_TEST("is_complex", is_complex(t.dtype()), "Whether its dtype is complex."),
    FLAMBEAU_TEST("is_signed", info(t.dtype()).is_signed, "Whether its dtype has negative values."),
    FLAMBEAU_TEST("is_inference", t->inference, "Whether it was made in inference mode."),
    FLAMBEAU_TEST("_is_view", t->autograd && t->autograd->view, "Whether it is a view of another."),
    {}};
#undef FLAMBEAU_METHOD
#undef FLAMBEAU_TEST
#undef FLAMBEAU_NUMBER

#define FLAMBEAU_SLOT(name, f) {name, reinterpret_cast<void*>(f)}
PyType_Slot sequence_slots[] = {
    FLAMBEAU_SLOT(Py_mp_length, length), FLAMBEAU_SLOT(Py_tp_iter, iterate), {0, nullptr}};
#undef FLAMBEAU_SLOT

}  // namespace flambeau
