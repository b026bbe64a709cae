// The binding's shared pieces: Python objects for tensors, dtypes, devices; conversions; errors.
#pragma once
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "../op.h"

namespace flambeau {

// -- an owned reference ---------------------------------------------------------------------------
class Py {
 public:
  Py() = default;
  static Py steal(PyObject* p) {
    Py r;
    r.p_ = p;
    return r;
  }
  static Py borrow(PyObject* p) { return steal(Py_XNewRef(p)); }
  Py(const Py& o) : p_(Py_XNewRef(o.p_)) {}
  Py(Py&& o) noexcept : p_(std::exchange(o.p_, nullptr)) {}
  Py& operator=(Py o) noexcept {
    std::swap(p_, o.p_);
    return *this;
  }
  ~Py() { Py_XDECREF(p_); }
  PyObject* get() const { return p_; }
  PyObject* release() { return std::exchange(p_, nullptr); }
  explicit operator bool() const { return p_ != nullptr; }

 private:
  PyObject* p_ = nullptr;
};

// -- errors ---------------------------------------------------------------------------------------
// Thrown when a Python exception is already set.
struct PythonError {};
// Sets the Python exception for the C++ one in flight; call it in a catch (...) block.
void translate_exception();
// Runs f and gives its PyObject*; C++ exceptions become Python ones.
template <class F>
PyObject* guarded(F&& f) noexcept {
  try {
    return f();
  } catch (...) {
    translate_exception();
    return nullptr;
  }
}
template <class F>
int guarded_int(F&& f) noexcept {  // for slots that return 0 or -1
  try {
    return f();
  } catch (...) {
    translate_exception();
    return -1;
  }
}
inline PyObject* checked(PyObject* p) {  // a new reference, or the Python error that came instead
  if (!p) throw PythonError{};
  return p;
}

// -- tensors (tensor.cpp) -------------------------------------------------------------------------
struct PyTensor {
  PyObject_HEAD TensorImpl* impl;  // owned
  PyObject* dict;  // made on first use
  PyObject* weakrefs;
};
extern PyTypeObject* TensorType;  // flambeau.Tensor
extern PyTypeObject* ParameterType;  // set by flambeau.nn.parameter; null before
inline bool is_tensor_exact(PyObject* o) {
  return Py_TYPE(o) == TensorType || Py_TYPE(o) == ParameterType;
}
inline bool is_tensor(PyObject* o) {
  return is_tensor_exact(o) || PyType_IsSubtype(Py_TYPE(o), TensorType);
}
inline const Tensor& unwrap(PyObject* o) {  // o is a tensor
  return *reinterpret_cast<const Tensor*>(&reinterpret_cast<PyTensor*>(o)->impl);
}
PyObject* wrap(
    const Tensor& t);  // the tensor's Python object, made when there is none; None if undefined
PyObject* wrap_as(const Tensor& t, PyTypeObject* cls);  // an object of a subclass
PyObject* convert_results(PyObject* result, PyTypeObject* cls);  // tensors in it as objects of cls

// Within DisableTorchFunctionSubclass: subclasses are treated as plain tensors.
inline thread_local int torch_function_disabled = 0;
// TorchFunctionModes that are on: they see every call first.
inline thread_local int torch_function_modes = 0;
// Tensor's slots and tables, from numbers.cpp, attributes.cpp, methods.cpp, index.cpp.
extern PyType_Slot number_slots[], sequence_slots[];
extern PyGetSetDef tensor_attributes[];
extern PyMethodDef tensor_methods[];
PyObject* tensor_item(const Tensor& t);  // the only element as a Python number
PyObject* wrap_node(const NodeRef& node);  // autograd.cpp: a grad_fn; None when null
PyObject* tensor_getitem(PyObject* self, PyObject* index);
int tensor_setitem(PyObject* self, PyObject* index, PyObject* value);
int tensor_getbuffer(PyObject* self, Py_buffer* view, int flags);
void tensor_releasebuffer(PyObject* self, Py_buffer* view);

// -- small types (types.cpp) ----------------------------------------------------------------------
extern PyTypeObject *DTypeType, *DeviceTypeObject, *SizeType, *LayoutType, *MemoryFormatType;
inline bool is_small_type(const PyTypeObject* t) {
  return t == DTypeType || t == DeviceTypeObject || t == LayoutType || t == MemoryFormatType;
}
PyObject* wrap(DType t);
PyObject* wrap(Device d);
PyObject* wrap(Layout l);
PyObject* wrap(MemoryFormat f);
PyObject* wrap(const Scalar& s);
PyObject* wrap_size(IntSpan sizes);  // flambeau.Size
PyObject* wrap_ints(IntSpan v);  // a plain tuple
bool dtype_from(PyObject* o, DType* t);  // also float, int, bool, complex; false: not a dtype
bool device_from(PyObject* o, Device* d);  // a device, a string; false: neither; throws on bad text
bool layout_from(PyObject* o, Layout* l);
bool memory_format_from(PyObject* o, MemoryFormat* f);
// A Python (or NumPy) number; false when it is none. Tensors are not numbers here.
bool scalar_from(PyObject* o, Scalar* s);
bool int_from(PyObject* o, int64_t* i);  // anything with __index__, and 0-d integer tensors

// Generator objects (generator.cpp).
extern PyTypeObject* GeneratorType;
Generator* generator_from(PyObject* o);  // null: not a Generator
PyObject* wrap(Generator* g);

// -- operators (functions.cpp, args.cpp) ----------------------------------------------------------
// A record (with its overloads) as a Python callable: a function of a namespace, or a method. The
// module holds them all: _functions and _internal by full name, _methods by method name.
PyObject* make_function(const Op* op, bool method, bool inplace);
PyObject* wrap_results(const Op& op, Value* results);
bool is_pytorch_tensor(const PyTypeObject* t);  // of PyTorch's own, in a program that has both
// The call with PyTorch's tensors among the arguments taken as ours.
PyObject* call_with_taken(PyObject* func, PyObject* args, PyObject* kwargs);
// If an argument overrides __torch_function__, calls it; null with no error set: nobody does.
PyObject* torch_function(PyObject* func, PyObject* const* args, size_t nargs, PyObject* kwnames);
// Whether a call on `self` may be somebody else's: of a subclass, or in a TorchFunctionMode.
inline bool may_be_overridden(PyObject* self) {
  return (!is_tensor_exact(self) || torch_function_modes) && !torch_function_disabled;
}

inline bool in_function_mode() { return torch_function_modes && !torch_function_disabled; }
// What a TorchFunctionMode makes of the call of Tensor's own method.
PyObject* ask_mode(const char* method, PyObject* const* args, size_t nargs, PyObject* kwnames);

// The values of a call, read from Python by the schemas of op and its overloads (args.cpp).
struct ParsedCall {
  const Op* op = nullptr;
  int nargs = 0;
  bool has_out = false, requires_grad = false, sparse = false;  // sparse: by layout=
  alignas(Value) unsigned char storage[kMaxArgs * sizeof(Value)];
  Value outs[kMaxResults];
  Value* args() { return reinterpret_cast<Value*>(storage); }
  ParsedCall() = default;
  ParsedCall(const ParsedCall&) = delete;
  ~ParsedCall() { clear(); }
  void clear() {
    for (int i = 0; i < nargs; ++i) args()[i].~Value();
    nargs = 0;
  }
};
// False when an argument wants __torch_function__ first; throws TypeError when nothing fits.
bool parse_call(ParsedCall& call, const Op* op, PyObject* const* args, size_t nargs,
                PyObject* kwnames);

// -- conversions (convert.cpp) --------------------------------------------------------------------
// Nested sequences, numbers, arrays, tensors -> a new tensor.
Tensor tensor_from_data(PyObject* data, std::optional<DType> dtype, std::optional<Device> device);

// -- memory of others (exchange.cpp) --------------------------------------------------------------
bool is_numpy_array(PyObject* o);  // false too while NumPy is not imported
bool numpy_dtype(PyObject* scalar, DType* t);  // of a NumPy scalar; false when it is none
Tensor tensor_from_buffer(PyObject* array, bool shares);  // over an array's memory
Ref<Storage> storage_over_buffer(PyObject* o, bool warn_readonly);
Tensor tensor_over(Ref<Storage> storage, size_t byte_offset, DType dtype, IntSpan sizes);
// Over the memory of a typed or an untyped storage; false when it is none.
bool tensor_from_storage(PyObject* o, std::optional<DType> dtype, Tensor* t);
PyObject* wrap_storage(const Ref<Storage>& storage);  // flambeau.UntypedStorage

// Each file's part of the module; called once at import.
void init_types(PyObject* m);
void init_size(PyObject* m);
void init_tensor(PyObject* m);
void init_functions(PyObject* m);
void init_convert(PyObject* m);
void init_exchange(PyObject* m);
void init_autograd(PyObject* m);
void init_generator(PyObject* m);
void init_storage(PyObject* m);
void init_autocast(PyObject* m);
void init_transform(PyObject* m);
void init_overridable(PyObject* m);

}  // namespace flambeau
