// Tensor's attributes: data, dtype, shape, grad, requires_grad, T, is_cpu, ...
#include "../transform.h"
#include "node.h"

namespace flambeau {

namespace {

PyObject* accessor(const char* name, const char* kind) {  // Tensor.shape.__get__
  auto* type = reinterpret_cast<PyObject*>(TensorType);
  Py descriptor = Py::steal(checked(PyObject_GetAttrString(type, name)));
  return checked(PyObject_GetAttrString(descriptor.get(), kind));
}

// Whether a subclass has the __torch_function__ that it inherited from Tensor.
bool has_default_override(PyObject* self) {
  static PyObject* name = PyUnicode_InternFromString("__torch_function__");
  return _PyType_Lookup(Py_TYPE(self), name) == _PyType_Lookup(TensorType, name);
}

// A getter from a function of the tensor; its name is the closure.
template <auto F>
PyObject* get(PyObject* self, void* closure) {
  return guarded([&]() -> PyObject* {
    if (!may_be_overridden(self)) [[likely]]
      return F(unwrap(self));
    auto* name = static_cast<const char*>(closure);
    if (!torch_function_modes && has_default_override(self)) {
      Py result = Py::steal(checked(F(unwrap(self))));
      bool kept = std::strcmp(name, "grad") == 0 || std::strcmp(name, "_base") == 0;
      return kept ? result.release() : convert_results(result.get(), Py_TYPE(self));
    }
    Py function = Py::steal(accessor(name, "__get__"));
    PyObject* r = torch_function(function.get(), &self, 1, nullptr);
    return r || PyErr_Occurred() ? r : F(unwrap(self));
  });
}

template <auto F>
int set(PyObject* self, PyObject* value, void* closure) {
  return guarded_int([&] {
    if (may_be_overridden(self) && (torch_function_modes || !has_default_override(self))) {
      Py function = Py::steal(accessor(static_cast<const char*>(closure), "__set__"));
      PyObject* both[] = {self, value ? value : Py_None};
      Py r = Py::steal(torch_function(function.get(), both, 2, nullptr));
      if (r) return 0;
      if (PyErr_Occurred()) return -1;
    }
    F(unwrap(self), value);
    return 0;
  });
}

PyObject* boolean(bool b) { return PyBool_FromLong(b); }

// -- history --------------------------------------------------------------------------------------
PyObject* get_data(const Tensor& t) {
  static const OpCall detach("detach");
  if (is_transformed(t)) return wrap(detach(t));
  Tensor alias = t.alias();
  alias->detached_version = true;
  return wrap(alias);
}

void set_data(const Tensor& t, PyObject* value) {
  check_type(value && is_tensor(value), "Variable data has to be a tensor, but got ",
             value ? Py_TYPE(value)->tp_name : "nothing");
  const Tensor& from = unwrap(value);
  check(from->layout == t->layout,
        "Attempted to call `variable.set_data(tensor)`, but `variable` and `tensor` have "
        "incompatible tensor type.");
  check(from.device_type() == t.device_type(),
        "Attempted to call `variable.set_data(tensor)`, but `variable` and `tensor` have "
        "incompatible tensor type.");
  check(!t.requires_grad() || is_inexact(from.dtype()),
        "data set to a tensor that requires gradients must be floating point or complex dtype");
  TensorImpl* p = t.impl();
  const uint32_t version = version_of(t);
  p->dtype = from.dtype();
  p->device = from.device();
  p->storage = from->storage;
  p->offset = from->offset;
  p->sizes = from.sizes();
  p->strides = from.strides();
  p->refresh();
  keep_version(t, version);
}

PyObject* get_grad(const Tensor& t) {
  if (!t->autograd) Py_RETURN_NONE;
  const AutogradMeta& m = *t->autograd;
  if (!m.grad.defined() && m.grad_fn && !m.retains_grad &&
      PyErr_WarnEx(PyExc_UserWarning,
                   "The .grad attribute of a Tensor that is not a leaf Tensor is being accessed. "
                   "Its .grad attribute won't be populated during autograd.backward(). Call "
                   ".retain_grad() on it before, or look at the leaf Tensor instead.",
                   1) < 0)
    throw PythonError{};
  return wrap(m.grad);
}

void set_grad(const Tensor& t, PyObject* value) {
  if (!value || value == Py_None) {
    if (t->autograd) t->autograd->grad = Tensor();
    return;
  }
  check_type(is_tensor(value),
             "assigned grad expected to be a Tensor or None but got grad of type ",
             Py_TYPE(value)->tp_name);
  const Tensor& g = unwrap(value);
  check(!g.is_same(t), "can't assign Variable as its own grad");
  check(g.device_type() == t.device_type(), "attempting to assign a gradient with device type '",
        g.device(), "' to a tensor with device type '", t.device(),
        "'. Please ensure that the gradient and the tensor are on the same device");
  check(g.dtype() == t.dtype(), "attempting to assign a gradient with dtype '", g.dtype(),
        "' to a tensor with dtype '", t.dtype(),
        "'. Please ensure that the gradient and the tensor have the same dtype");
  check(g.sizes() == t.sizes(), "attempting to assign a gradient of size '", g.sizes(),
        "' to a tensor of size '", t.sizes(),
        "'. Please ensure that the gradient and the tensor are the same size");
  autograd_meta(t).grad = g;
}

PyObject* get_grad_fn(const Tensor& t) {
  if (!t->autograd) Py_RETURN_NONE;
  return wrap_node(grad_fn(t));
}

void set_requires_grad_attribute(const Tensor& t, PyObject* value) {
  check(value && PyBool_Check(value), "requires_grad must be a bool");
  set_requires_grad(t, value == Py_True);
}

bool is_leaf(const Tensor& t) { return !t->autograd || !grad_fn(t); }

// -- views ----------------------------------------------------------------------------------------
PyObject* reversed_dims(const Tensor& t) {
  static const OpCall permute("permute");
  Ints dims;
  for (int64_t d = t.dim() - 1; d >= 0; --d) dims.push_back(d);
  return wrap(permute(t, dims));
}

Tensor matrix_transpose(const Tensor& t, const char* name) {
  static const OpCall transpose("transpose");
  check(t.dim() >= 2, "tensor.", name,
        " is only supported on matrices or batches of matrices. Got ", t.dim(), "-D tensor.");
  return transpose(t, int64_t(-2), int64_t(-1));
}

PyObject* get_mT(const Tensor& t) { return wrap(matrix_transpose(t, "mT")); }

Tensor conjugated(Tensor t) {
  static const OpCall conj("conj");
  return is_complex(t.dtype()) ? conj(t) : t;
}

PyObject* get_mH(const Tensor& t) { return wrap(conjugated(matrix_transpose(t, "mH"))); }

PyObject* get_H(const Tensor& t) {
  check(t.dim() == 2 || t.dim() == 0, "tensor.H is only supported on matrices (2-D tensors). Got ",
        t.dim(), "-D tensor.",
        t.dim() > 2 ? " For batches of matrices, consider using tensor.mH" : "");
  if (t.dim() == 0) return wrap(conjugated(t));
  return get_mH(t);
}

Tensor complex_part(const Tensor& t, int64_t part) {
  static const OpCall view_as_real("view_as_real"), select("select");
  return select(view_as_real(t), int64_t(-1), part);
}

PyObject* get_real(const Tensor& t) {
  return is_complex(t.dtype()) ? wrap(complex_part(t, 0)) : wrap(t);
}
PyObject* get_imag(const Tensor& t) {
  check(is_complex(t.dtype()), "imag is not implemented for tensors with non-complex dtypes.");
  return wrap(complex_part(t, 1));
}

template <int64_t part>
void set_part(const Tensor& t, PyObject* value) {
  static const OpCall copy_op("copy_");
  check(value != nullptr, "can't delete a part of a complex tensor");
  Tensor to = part == 0 && !is_complex(t.dtype()) ? t : Tensor();
  if (!to.defined()) {
    check(is_complex(t.dtype()), "imag is not implemented for tensors with non-complex dtypes.");
    to = complex_part(t, part);
  }
  Tensor from = is_tensor(value) ? unwrap(value) : tensor_from_data(value, t.dtype(), t.device());
  copy_op.inplace(to, from);
}

template <DeviceType type>
PyObject* is_on(const Tensor& t) {
  return boolean(t.device_type() == type);
}
PyObject* never(const Tensor&) { Py_RETURN_FALSE; }
PyObject* get_layout(const Tensor& t) { return wrap(t->layout); }

}  // namespace

#define FLAMBEAU_CLOSURE(name) const_cast<char*>(name)
#define FLAMBEAU_GET(name, f, doc) {name, get<f>, nullptr, doc, FLAMBEAU_CLOSURE(name)}
#define FLAMBEAU_FLAG(name, expr, doc) \
  {name, get<+[](const Tensor& t) { return boolean(expr); }>, nullptr, doc, FLAMBEAU_CLOSURE(name)}
PyGetSetDef tensor_attributes[] = {
    {"data", get<get_data>, set<set_data>, "The same memory without history.",
     FLAMBEAU_CLOSURE("data")},
    {"grad", get<get_grad>, set<set_grad>, "The gradient that backward() gathered, or None.",
     FLAMBEAU_CLOSURE("grad")},
    {"requires_grad", get<+[](const Tensor& t) { return boolean(t.requires_grad()); }>,
     set<set_requires_grad_attribute>, "Whether operations on it are recorded.",
     FLAMBEAU_CLOSURE("requires_grad")},
    FLAMBEAU_GET("grad_fn", get_grad_fn, "The node that computes its gradient, or None."),
    FLAMBEAU_FLAG("is_leaf", is_leaf(t), "True for tensors that no recorded operation made."),
    FLAMBEAU_FLAG("retains_grad", t->autograd && t->autograd->retains_grad,
                  "Whether retain_grad() was called."),
    FLAMBEAU_GET(
        "output_nr",
        +[](const Tensor& t) {
          return PyLong_FromLong(t->autograd ? t->autograd->result_number : 0);
        },
        "Which result of its grad_fn it is."),
    {"_backward_hooks", get<tensor_backward_hooks>, set<tensor_set_backward_hooks>,
     "{id: hook}, or None.", FLAMBEAU_CLOSURE("_backward_hooks")},
    FLAMBEAU_GET(
        "_version",
        +[](const Tensor& t) {
          check(!t->inference, "Inference tensors do not track version counter.");
          return PyLong_FromUnsignedLong(version_of(t));
        },
        "How often its memory was written in place."),
    FLAMBEAU_GET(
        "_base",
        +[](const Tensor& t) {
          return wrap(t->autograd && t->autograd->view ? t->autograd->view->base : Tensor());
        },
        "The tensor it is a view of, or None."),
    FLAMBEAU_GET(
        "dtype", +[](const Tensor& t) { return wrap(t.dtype()); }, "The elements' type."),
    FLAMBEAU_GET(
        "shape", +[](const Tensor& t) { return wrap_size(t.sizes()); }, "Its sizes."),
    FLAMBEAU_GET(
        "device", +[](const Tensor& t) { return wrap(t.device()); }, "Where it lives."),
    FLAMBEAU_GET("layout", get_layout, "torch.strided, or how a sparse tensor is kept."),
    FLAMBEAU_GET(
        "ndim", +[](const Tensor& t) { return PyLong_FromLongLong(t.dim()); },
        "How many dimensions it has."),
    FLAMBEAU_GET(
        "itemsize", +[](const Tensor& t) { return PyLong_FromSize_t(itemsize(t.dtype())); },
        "Bytes of one element."),
    FLAMBEAU_GET(
        "nbytes",
        +[](const Tensor& t) {
          return PyLong_FromLongLong(t.numel() * int64_t(itemsize(t.dtype())));
        },
        "Bytes of all elements."),
    FLAMBEAU_GET("T", reversed_dims, "The dimensions in reverse order."),
    FLAMBEAU_GET("mT", get_mT, "The last two dimensions swapped."),
    FLAMBEAU_GET("H", get_H, "The conjugate transpose of a matrix."),
    FLAMBEAU_GET("mH", get_mH, "The conjugate transpose of the last two dimensions."),
    {"real", get<get_real>, set<set_part<0>>, "The real part, as a view.",
     FLAMBEAU_CLOSURE("real")},
    {"imag", get<get_imag>, set<set_part<1>>, "The imaginary part, as a view.",
     FLAMBEAU_CLOSURE("imag")},
    FLAMBEAU_GET("is_cpu", is_on<DeviceType::cpu>, "True on the CPU."),
    FLAMBEAU_GET("is_cuda", is_on<DeviceType::cuda>, "True on a CUDA device."),
    FLAMBEAU_GET("is_meta", is_on<DeviceType::meta>, "True for tensors without data."),
    FLAMBEAU_FLAG("is_sparse", t->layout == Layout::sparse_coo, "True for sparse COO tensors."),
    FLAMBEAU_FLAG("is_sparse_csr", t->layout == Layout::sparse_csr, "True for sparse CSR tensors."),
    FLAMBEAU_GET("is_quantized", never, "False: there are no quantized tensors."),
    FLAMBEAU_GET("is_mkldnn", never, "False: tensors have no foreign layouts."),
    FLAMBEAU_GET("is_mps", never, "False: there is no MPS device."),
    FLAMBEAU_GET("is_xpu", never, "False: there is no XPU device."),
    FLAMBEAU_GET("is_nested", never, "False: there are no nested tensors."),
    {}};
#undef FLAMBEAU_GET
#undef FLAMBEAU_CLOSURE
#undef FLAMBEAU_FLAG

}  // namespace flambeau
