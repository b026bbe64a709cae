// Python data into tensors and back: tensor(), as_tensor(), from_numpy(), frombuffer(), tolist().
#include <cmath>

#include "../transform.h"
#include "../stored.h"
#include "node.h"
#include "python.h"

namespace flambeau {

namespace {

// -- nested sequences -----------------------------------------------------------------------------
constexpr size_t kMaxDims = 64;

bool is_number_array(PyObject* o) {  // an array without dimensions
  return is_numpy_array(o) && PySequence_Size(o) < 0 && (PyErr_Clear(), true);
}

bool is_leaf(PyObject* o) {
  return is_number_array(o) || PyFloat_Check(o) || PyLong_Check(o) || is_tensor(o) ||
         PyComplex_Check(o) || !PySequence_Check(o);
}

bool is_text(PyObject* o) { return PyUnicode_Check(o) || PyBytes_Check(o); }

Py items_of(PyObject* o) {  // a list or tuple with o's items
  Py items = Py::steal(PySequence_Fast(o, "not a sequence"));
  if (!items) throw PythonError{};
  return items;
}

Ints infer_sizes(PyObject* data) {
  Ints sizes;
  Py at = Py::borrow(data);
  while (!is_leaf(at.get())) {
    if (is_text(at.get())) {
      if (sizes.empty()) fail(ErrorKind::type, "new(): invalid data type 'str'");
      fail(ErrorKind::value, "too many dimensions 'str'");
    }
    if (sizes.size() == kMaxDims)
      fail(ErrorKind::value, "too many dimensions '", Py_TYPE(at.get())->tp_name, "'");
    Py items = items_of(at.get());
    Py_ssize_t n = PySequence_Fast_GET_SIZE(items.get());
    sizes.push_back(n);
    if (n == 0) break;
    at = Py::borrow(PySequence_Fast_GET_ITEM(items.get(), 0));
  }
  return sizes;
}

// The dtype of a number: Python's kinds follow the default dtype, tensors and arrays their own.
DType dtype_of_leaf(PyObject* o) {
  if (PyFloat_CheckExact(o)) return default_dtype();
  if (PyBool_Check(o)) return DType::boolean;
  if (PyLong_Check(o)) return DType::int64;
  if (is_tensor(o)) return unwrap(o).dtype();
  if (is_numpy_array(o)) return tensor_from_buffer(o, false).dtype();
  DType t;
  if (numpy_dtype(o, &t)) return t;
  if (PyFloat_Check(o)) return default_dtype();
  if (PyComplex_Check(o)) return to_complex(default_dtype());
  check_type(!is_text(o), "new(): invalid data type '", Py_TYPE(o)->tp_name, "'");
  check_type(!PyList_Check(o) && !PyTuple_Check(o), "must be a number, not ", Py_TYPE(o)->tp_name);
  fail(ErrorKind::runtime, "Could not infer dtype of ", Py_TYPE(o)->tp_name);
}

void infer_dtype(PyObject* o, size_t depth, size_t dims, std::optional<DType>* found) {
  auto meet = [&](DType t) { *found = *found ? promote(**found, t) : t; };
  if (depth == dims) {
    meet(dtype_of_leaf(o));
    return;
  }
  Py items = items_of(o);
  Py_ssize_t n = PySequence_Fast_GET_SIZE(items.get());
  PyObject** item = PySequence_Fast_ITEMS(items.get());
  if (depth + 1 < dims) {
    for (Py_ssize_t i = 0; i < n; ++i) infer_dtype(item[i], depth + 1, dims, found);
    return;
  }
  PyTypeObject* last = nullptr;  // runs of one type are looked at once
  for (Py_ssize_t i = 0; i < n; ++i) {
    PyTypeObject* type = Py_TYPE(item[i]);
    if (type == last && (type == &PyFloat_Type || type == &PyLong_Type || type == &PyBool_Type))
      continue;
    last = type;
    meet(dtype_of_leaf(item[i]));
  }
}

template <class T>
bool fits(int64_t v) {
  if constexpr (std::is_same_v<T, bool> || !std::is_integral_v<T>)
    return true;
  else if constexpr (std::is_same_v<T, uint64_t>)
    return true;
  else if constexpr (std::is_unsigned_v<T>)  // negative numbers wrap
    return v <= int64_t(std::numeric_limits<T>::max()) &&
           v >= -int64_t(std::numeric_limits<T>::max());
  else
    return v >= std::numeric_limits<T>::min() && v <= std::numeric_limits<T>::max();
}

// A Python number that 64 bits with a sign cannot hold; false for the others.
template <class T>
bool from_long(PyObject* o, T* out) {
  int overflow;
  PyLong_AsLongLongAndOverflow(o, &overflow);
  if (!overflow) return false;
  if constexpr (std::is_same_v<T, bool>) {
    *out = true;
  } else if constexpr (std::is_same_v<T, uint64_t>) {
    if (overflow < 0) fail(ErrorKind::value, "Overflow when unpacking long long");
    *out = PyLong_AsUnsignedLongLong(o);
  } else if constexpr (std::is_integral_v<T>) {
    fail(ErrorKind::value, "Overflow when unpacking long long");
  } else {
    *out = Scalar(PyLong_AsDouble(o)).to<T>();
  }
  if (PyErr_Occurred()) throw PythonError{};
  return true;
}

template <class T>
T leaf_value(PyObject* o, DType dtype) {
  if constexpr (std::is_floating_point_v<T>)
    if (PyFloat_CheckExact(o)) return static_cast<T>(PyFloat_AS_DOUBLE(o));
  if (T beyond; PyLong_CheckExact(o) && from_long(o, &beyond)) return beyond;
  Scalar s;
  if (is_tensor(o)) {
    check_value(unwrap(o).numel() == 1,
                "only one element tensors can be converted to Python scalars");
    s = item(unwrap(o));
  } else if (is_numpy_array(o)) {
    s = item(tensor_from_buffer(o, false));
  } else if (!scalar_from(o, &s)) {
    fail(ErrorKind::type, "must be a number, not ", Py_TYPE(o)->tp_name);
  }
  if (s.kind == Scalar::complex && !is_complex_type<T>) {
    if constexpr (std::is_same_v<T, bool>) return s.d != 0 || s.im != 0;
    fail(ErrorKind::type, "must be real number, not complex");
  }
  bool ok = true;
  if (s.kind <= Scalar::integer)
    ok = fits<T>(s.i);
  else if (s.kind == Scalar::floating && std::is_integral_v<T> && !std::is_same_v<T, bool>)
    ok = std::abs(s.d) < 9.3e18 && fits<T>(static_cast<int64_t>(s.d));
  check(ok, "value cannot be converted to type ", dtype, " without overflow");
  return s.to<T>();
}

template <class T>
T* fill_from(T* out, PyObject* o, const Ints& sizes, size_t depth, DType dtype) {
  if (depth == sizes.size()) {
    *out = leaf_value<T>(o, dtype);
    return out + 1;
  }
  Py items = items_of(o);
  Py_ssize_t n = PySequence_Fast_GET_SIZE(items.get());
  check_value(n == sizes[depth], "expected sequence of length ", sizes[depth], " at dim ", depth,
              " (got ", n, ")");
  // Reading an item may run Python code that changes the list: look at it afresh each time.
  for (Py_ssize_t i = 0; i < n; ++i) {
    check_value(i < PySequence_Fast_GET_SIZE(items.get()),
                "the sequence changed while it was read");
    PyObject* item = PySequence_Fast_GET_ITEM(items.get(), i);
    if (depth + 1 == sizes.size())
      *out++ = leaf_value<T>(item, dtype);
    else
      out = fill_from(out, item, sizes, depth + 1, dtype);
  }
  return out;
}

Tensor from_sequence(PyObject* data, std::optional<DType> dtype) {
  Ints sizes = infer_sizes(data);
  if (!dtype && product(sizes) != 0) infer_dtype(data, 0, sizes.size(), &dtype);
  if (dtype && is_stored(*dtype)) {  // by way of a type that has numbers
    const DType wide = *dtype == kComplex32 ? DType::complex64 : DType::float32;
    return from_sequence(data, wide).to_raw(*dtype);
  }
  Tensor t = empty(sizes, {dtype.value_or(default_dtype()), Device{}});
  visit(t.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    if (t.numel())
      fill_from(t.data<T>(), data, sizes, 0, t.dtype());
    else
      fill_from(static_cast<T*>(nullptr), data, sizes, 0, t.dtype());
  });
  return t;
}

Tensor placed(Tensor t, std::optional<DType> dtype, Device device) {
  if (dtype) t = t.to_raw(*dtype);
  if (device.type == t.device_type()) return t;
  if (device.type == DeviceType::meta) return empty(t.sizes(), {t.dtype(), device});
  if (t.is_meta()) fail(ErrorKind::not_implemented, "Cannot copy out of meta tensor; no data!");
  fail(ErrorKind::runtime, "this build of flambeau has no ", device_type_name(device.type),
       " support");
}

// -- arguments ------------------------------------------------------------------------------------
struct Placement {
  std::optional<DType> dtype;
  std::optional<Device> device;
  bool requires_grad = false;
};

void read_placement(const char* name, PyObject* dtype, PyObject* device, Placement* p) {
  if (dtype && dtype != Py_None) {
    DType t;
    check_type(dtype_from(dtype, &t), name, "(): argument 'dtype' must be flambeau.dtype, not ",
               Py_TYPE(dtype)->tp_name);
    p->dtype = t;
  }
  if (device && device != Py_None) {
    Device d;
    check_type(device_from(device, &d), name, "(): argument 'device' must be flambeau.device, not ",
               Py_TYPE(device)->tp_name);
    p->device = d;
  }
}

void ask_gradient(const Tensor& t, bool on) {
  if (!on) return;
  check(is_inexact(t.dtype()),
        "Only Tensors of floating point and complex dtype can require gradients");
  autograd_meta(t).requires_grad = true;
}

PyObject* tensor(PyObject*, PyObject* const* args, Py_ssize_t nargs, PyObject* kwnames) {
  return guarded([&] {
    PyObject *data = nargs ? args[0] : nullptr, *dtype = nullptr, *device = nullptr;
    check_type(nargs <= 1, "tensor() takes 1 positional argument but ", nargs, " were given");
    bool requires_grad = false;
    Py_ssize_t nkw = kwnames ? PyTuple_GET_SIZE(kwnames) : 0;
    for (Py_ssize_t k = 0; k < nkw; ++k) {
      PyObject *key = PyTuple_GET_ITEM(kwnames, k), *value = args[nargs + k];
      auto is = [&](const char* s) { return PyUnicode_CompareWithASCIIString(key, s) == 0; };
      if (is("dtype"))
        dtype = value;
      else if (is("device"))
        device = value;
      else if (is("requires_grad"))
        requires_grad = PyObject_IsTrue(value) == 1;
      else if (is("data") && !data)
        data = value;
      else if (!is("pin_memory"))  // memory pinned for a GPU: without one there is nothing to do
        fail(ErrorKind::type, "tensor() got an unexpected keyword argument '",
             PyUnicode_AsUTF8(key), "'");
    }
    check_type(data != nullptr, "tensor() missing 1 required positional arguments: \"data\"");
    Placement p;
    read_placement("tensor", dtype, device, &p);
    Tensor t = tensor_from_data(data, p.dtype, p.device);
    ask_gradient(t, requires_grad);
    return wrap(t);
  });
}

PyObject* as_tensor(PyObject*, PyObject* args, PyObject* kwargs) {
  static const char* names[] = {"data", "dtype", "device", nullptr};
  PyObject *data, *dtype = nullptr, *device = nullptr;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|OO:as_tensor", const_cast<char**>(names), &data,
                                   &dtype, &device))
    return nullptr;
  return guarded([&] {
    Placement p;
    read_placement("as_tensor", dtype, device, &p);
    if (is_tensor(data)) {
      static const OpCall to("to", 1);
      if (!p.dtype && !p.device) return Py_NewRef(data);
      const Tensor& t = unwrap(data);
      if (p.dtype.value_or(t.dtype()) == t.dtype() && p.device.value_or(t.device()) == t.device())
        return Py_NewRef(data);
      return wrap(to(t, p.device, p.dtype));
    }
    if (is_numpy_array(data))
      return wrap(
          placed(tensor_from_buffer(data, true), p.dtype, p.device.value_or(default_device())));
    return wrap(tensor_from_data(data, p.dtype, p.device));
  });
}

PyObject* from_numpy(PyObject*, PyObject* array) {
  return guarded([&] {
    check_type(is_numpy_array(array), "expected np.ndarray (got ", Py_TYPE(array)->tp_name, ")");
    return wrap(tensor_from_buffer(array, true));
  });
}

PyObject* frombuffer(PyObject*, PyObject* args, PyObject* kwargs) {
  static const char* names[] = {"buffer", "dtype", "count", "offset", "requires_grad", nullptr};
  PyObject *buffer, *dtype = nullptr;
  Py_ssize_t count = -1, offset = 0;
  int requires_grad = 0;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|$Onnp:frombuffer", const_cast<char**>(names),
                                   &buffer, &dtype, &count, &offset, &requires_grad))
    return nullptr;
  return guarded([&] {
    check_type(dtype != nullptr, "frombuffer() missing 1 required argument: 'dtype'");
    Placement p;
    read_placement("frombuffer", dtype, nullptr, &p);
    auto size = static_cast<Py_ssize_t>(itemsize(*p.dtype));
    check_value(PyObject_CheckBuffer(buffer), "object does not implement Python buffer protocol.");
    Ref<Storage> storage = storage_over_buffer(buffer, true);
    auto n = static_cast<Py_ssize_t>(storage->nbytes);
    check_value(n > 0 && count != 0, "both buffer length (", n, ") and count (", count,
                ") must not be 0");
    check_value(offset >= 0 && offset < n, "offset (", offset,
                " bytes) must be non-negative and no greater than buffer length (", n,
                " bytes) minus 1");
    check_value(count > 0 || (n - offset) % size == 0, "buffer length (", n - offset,
                " bytes) after offset (", offset, " bytes) must be a multiple of element size (",
                size, ")");
    if (count < 0) count = (n - offset) / size;
    check_value(count <= (n - offset) / size, "requested buffer length (", count, " * ", size,
                " bytes) after offset (", offset,
                " bytes) must not be greater than actual buffer "
                "length (",
                n, " bytes)");
    Tensor t = tensor_over(storage, static_cast<size_t>(offset), *p.dtype, Ints{count});
    ask_gradient(t, requires_grad);
    return wrap(t);
  });
}

// -- tolist ---------------------------------------------------------------------------------------
template <class T>
PyObject* to_python(const T* p) {
  if constexpr (std::is_same_v<T, bool>)
    return PyBool_FromLong(*p);
  else if constexpr (is_complex_type<T>)
    return PyComplex_FromDoubles(p->real(), p->imag());
  else if constexpr (std::is_same_v<T, uint64_t>)
    return PyLong_FromUnsignedLongLong(*p);
  else if constexpr (std::is_integral_v<T>)
    return PyLong_FromLongLong(*p);
  else
    return PyFloat_FromDouble(convert<double>(*p));
}

template <class T>
PyObject* nested(const T* p, const Tensor& t, int64_t d) {
  if (d == t.dim()) return to_python(p);
  int64_t n = t.sizes()[d], step = t.strides()[d];
  Py list = Py::steal(checked(PyList_New(static_cast<Py_ssize_t>(n))));
  for (int64_t i = 0; i < n; ++i)
    PyList_SET_ITEM(list.get(), static_cast<Py_ssize_t>(i),
                    checked(nested(p + i * step, t, d + 1)));
  return list.release();
}

// Element by element, for classes with a __torch_dispatch__.
PyObject* dispatched_list(const Tensor& t) {
  if (t.dim() == 0) return wrap(item(t));
  static const OpCall select("select");
  Py list = Py::steal(checked(PyList_New(t.sizes()[0])));
  for (int64_t i = 0; i < t.sizes()[0]; ++i)
    PyList_SET_ITEM(list.get(), static_cast<Py_ssize_t>(i),
                    checked(dispatched_list(select(t, int64_t(0), i))));
  return list.release();
}

PyObject* tolist(PyObject*, PyObject* self) {
  return guarded([&]() -> PyObject* {
    check_type(is_tensor(self), "tolist(): expected a tensor, got ", Py_TYPE(self)->tp_name);
    if (Py_TYPE(self) != TensorType && has_torch_dispatch(Py_TYPE(self)))
      return dispatched_list(unwrap(self));
    const Tensor t = widened(unwrap(self));
    if (t.is_meta()) fail(ErrorKind::not_implemented, "Cannot copy out of meta tensor; no data!");
    check_readable(t, kReads);
    return visit(t.dtype(), [&](auto tag) {
      using T = typename decltype(tag)::type;
      return nested(t.data<T>(), t, 0);
    });
  });
}

template <class F>
PyCFunction method(F f) {
  return reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(f));
}

PyMethodDef functions[] = {
    {"tensor", method(tensor), METH_FASTCALL | METH_KEYWORDS,
     "tensor(data, *, dtype=None, device=None, requires_grad=False, pin_memory=False)\n--\n\n"
     "A new tensor with a copy of data: a number, nested sequences, an array, a tensor.\n\n"
     ">>> import flambeau as torch\n>>> torch.tensor([[1, 2], [3, 4]])\n"
     "tensor([[1, 2],\n        [3, 4]])"},
    {"as_tensor", method(as_tensor), METH_VARARGS | METH_KEYWORDS,
     "as_tensor(data, dtype=None, device=None): a tensor that shares data's memory where it can."},
    {"from_numpy", from_numpy, METH_O, "from_numpy(ndarray): a tensor over the array's memory."},
    {"frombuffer", method(frombuffer), METH_VARARGS | METH_KEYWORDS,
     "frombuffer(buffer, *, dtype, count=-1, offset=0, requires_grad=False): a 1-D tensor over the "
     "memory of an object with the buffer protocol."},
    {}};

PyObject* tolist_method(PyObject* self, PyObject*) { return tolist(nullptr, self); }
PyMethodDef tolist_definition = {"tolist", tolist_method, METH_NOARGS,
                                 "The elements as nested lists of Python numbers."};

}  // namespace

Tensor tensor_from_data(PyObject* data, std::optional<DType> dtype, std::optional<Device> device) {
  Device where = device.value_or(default_device());
  if (is_tensor(data)) {
    const Tensor& t = unwrap(data);
    DType type = dtype.value_or(t.dtype());
    if (t.is_meta())
      return placed(empty(t.sizes(), {type, t.device()}), {}, device.value_or(t.device()));
    Tensor copied = empty_like(t, type);
    copy(copied, t);
    return placed(copied, {}, device.value_or(t.device()));
  }
  Scalar s;
  const bool whole = PyLong_CheckExact(data) && dtype && !is_stored(*dtype);  // of any size
  if (whole || (!is_numpy_array(data) && !PyList_Check(data) && scalar_from(data, &s))) {
    Tensor t = scalar_tensor(0, {dtype.value_or(dtype_of_leaf(data)), Device{}});
    if (is_stored(t.dtype()))
      fill(t, s);
    else
      visit(t.dtype(), [&](auto tag) {
        using T = typename decltype(tag)::type;
        *t.data<T>() = leaf_value<T>(data, t.dtype());
      });
    return placed(t, {}, where);
  }
  if (is_numpy_array(data)) {
    Tensor view = tensor_from_buffer(data, false);
    Tensor copied = empty(view.sizes(), {dtype.value_or(view.dtype()), Device{}});
    copy(copied, view);
    return placed(copied, {}, where);
  }
  Tensor over;
  const bool sequence = PyList_Check(data) || PyTuple_Check(data);
  if (!sequence && tensor_from_storage(data, dtype, &over))
    return placed(over, {}, device.value_or(over.device()));
  return placed(from_sequence(data, dtype), {}, where);
}

void init_convert(PyObject* m) {
  if (PyModule_AddFunctions(m, functions) < 0) throw PythonError{};
  auto* tensor_type = reinterpret_cast<PyObject*>(TensorType);
  Py descriptor = Py::steal(checked(PyDescr_NewMethod(TensorType, &tolist_definition)));
  if (PyObject_SetAttrString(tensor_type, "tolist", descriptor.get()) < 0) throw PythonError{};
  init_exchange(m);
}

}  // namespace flambeau
