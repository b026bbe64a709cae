// tensor[...]: integers, slices, None, ... as views; tensors, lists and masks by index records.
#include "../overlap.h"
#include "../transform.h"
#include "python.h"

namespace flambeau {

namespace {

// An index taken apart: the view that its basic parts make, and the advanced ones by dimension.
struct Taken {
  Tensor view;
  TensorList indices;  // undefined: all of that dimension
  bool advanced = false;
};

// -- the shape of a view --------------------------------------------------------------------------
// Basic indices move through the dimensions of `from`; sizes and strides of the result gather here.
struct View {
  const Tensor& from;
  Ints sizes, strides;
  int64_t offset, dim = 0;  // the dimension of `from` that comes next
  explicit View(const Tensor& t) : from(t), offset(t->offset) {}

  void keep() {
    sizes.push_back(from.sizes()[dim]);
    strides.push_back(from.strides()[dim]);
    ++dim;
  }
  void select(int64_t i) {
    int64_t n = from.sizes()[dim];
    check_index(i >= -n && i < n, "index ", i, " is out of bounds for dimension ", dim,
                " with size ", n);
    offset += (i < 0 ? i + n : i) * from.strides()[dim];
    ++dim;
  }
  void slice(int64_t start, int64_t stop, int64_t step) {
    check_value(step > 0, "step must be greater than zero");
    int64_t n = from.sizes()[dim];
    auto clamp = [n](int64_t i) {
      if (i < 0) i += n;
      return i < 0 ? 0 : i > n ? n : i;
    };
    start = clamp(start);
    stop = std::max(clamp(stop), start);
    offset += start * from.strides()[dim];
    sizes.push_back((stop - start) / step + ((stop - start) % step != 0));
    strides.push_back(from.strides()[dim] * step);
    ++dim;
  }
  void add_dim() {
    // As in a plain tensor of one more dimension.
    int64_t inner = dim < from.dim() ? from.sizes()[dim] * from.strides()[dim] : 1;
    sizes.push_back(1);
    strides.push_back(inner);
  }
};

// -- reading an index -----------------------------------------------------------------------------
struct Bounds {
  int64_t start = 0, stop = INT64_MAX, step = 1;
};

int64_t slice_number(PyObject* o) {
  int64_t i;
  if (!PyLong_Check(o) && !is_tensor(o) && !PyIndex_Check(o))
    fail(ErrorKind::type, "slice indices must be integers or None or have an __index__ method");
  if (PyLong_Check(o)) {  // beyond 64 bits means the end
    int overflow;
    long long v = PyLong_AsLongLongAndOverflow(o, &overflow);
    return overflow > 0 ? INT64_MAX : overflow < 0 ? INT64_MIN / 2 : v;
  }
  Py n = Py::steal(checked(PyNumber_Index(o)));
  check_type(int_from(n.get(), &i), "slice indices must be integers");
  return i;
}

Bounds read_slice(PyObject* o) {
  auto* s = reinterpret_cast<PySliceObject*>(o);
  Bounds b;
  if (s->start != Py_None) b.start = slice_number(s->start);
  if (s->stop != Py_None) b.stop = slice_number(s->stop);
  if (s->step != Py_None) b.step = slice_number(s->step);
  check_value(b.step > 0, "step must be greater than zero");
  return b;
}

bool is_boolean(DType t) { return t == DType::boolean || t == DType::uint8; }

// 1-element integer tensors without dimensions select; bool ones are masks.
bool selects(PyObject* o) {
  if (PyLong_Check(o)) return !PyBool_Check(o);
  if (is_tensor(o)) {
    const Tensor& t = unwrap(o);
    return t.dim() == 0 && is_integral(t.dtype()) && !is_boolean(t.dtype()) && !t.is_meta() &&
           !batch_of(t);
  }
  return !PySequence_Check(o) && !PyBool_Check(o) && !is_numpy_array(o) && PyIndex_Check(o);
}

int64_t select_number(PyObject* o) {
  if (PyLong_Check(o)) {
    int64_t i = PyLong_AsLongLong(o);
    if (i == -1 && PyErr_Occurred()) throw PythonError{};
    return i;
  }
  if (is_tensor(o)) return item(unwrap(o)).to<int64_t>();
  Py n = Py::steal(checked(PyNumber_Index(o)));
  return select_number(n.get());
}

// A tuple of the parts; a list or tuple-like index that is no sequence of numbers stays whole.
// A list stands for a tuple if it is short and holds anything but numbers: [slice(...), None],
// [rows, columns].
bool holds_indices(PyObject* o) {
  constexpr Py_ssize_t kShort = 32;
  if (PyList_GET_SIZE(o) >= kShort) return false;
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(o); ++i) {
    PyObject* x = PyList_GET_ITEM(o, i);
    if (PySlice_Check(x) || x == Py_Ellipsis || x == Py_None || is_tensor(x) || PySequence_Check(x))
      return true;
  }
  return false;
}

int64_t consumed(PyObject* o) {  // dimensions that a part of an index takes
  if (o == Py_None || o == Py_Ellipsis || PyBool_Check(o)) return 0;
  if (is_tensor(o)) {
    const Tensor& t = unwrap(o);
    return is_boolean(t.dtype()) ? t.dim() : 1;
  }
  if (is_numpy_array(o)) {
    Tensor t = tensor_from_buffer(o, false);
    return is_boolean(t.dtype()) ? t.dim() : 1;
  }
  if (PyList_Check(o) || PyTuple_Check(o)) {  // a nested list of bools is a mask of its depth
    Tensor t = tensor_from_data(o, {}, Device{});
    return t.dtype() == DType::boolean && t.numel() ? t.dim() : 1;
  }
  return 1;
}

void warn_of_bytes(DType t) {
  if (t == DType::uint8 &&
      PyErr_WarnEx(PyExc_UserWarning,
                   "indexing with dtype torch.uint8 is now deprecated, please use a dtype "
                   "torch.bool instead.",
                   1) < 0)
    throw PythonError{};
}

Tensor index_tensor(PyObject* o, Device device) {
  Tensor t;
  if (is_tensor(o)) {
    t = unwrap(o);
  } else {
    t = tensor_from_data(o, {}, Device{});
    if (t.numel() == 0 && !is_boolean(t.dtype())) t = t.to_raw(DType::int64);
    if (device.type == DeviceType::meta) t = empty(t.sizes(), {t.dtype(), device});
  }
  check_index(is_integral(t.dtype()) || t.dtype() == DType::boolean,
              "tensors used as indices must be long, int, byte or bool tensors");
  warn_of_bytes(t.dtype());
  return t;
}

// Where each step is an operator of its own.
bool is_recorded(const Tensor& t) {
  return (t.requires_grad() && modes().grad) || modes().transforms || modes().dispatch;
}

// Applies one basic part to a tensor with a history, as a record of its own.
struct Recorded {
  static Tensor select(const Tensor& t, int64_t dim, int64_t i) {
    static const OpCall call("select");
    return call(t, dim, i);
  }
  static Tensor slice(const Tensor& t, int64_t dim, const Bounds& b) {
    static const OpCall call("slice");
    return call(t, dim, b.start, b.stop, b.step);
  }
  static Tensor unsqueeze(const Tensor& t, int64_t dim) {
    static const OpCall call("unsqueeze");
    return call(t, dim);
  }
};

// The index as a tuple, borrowed parts; `one` holds a lone index.
struct Parts {
  PyObject* one;
  PyObject** items;
  Py_ssize_t n;
  explicit Parts(PyObject* index) : one(index), items(&one), n(1) {
    if (PyTuple_Check(index)) {
      items = &PyTuple_GET_ITEM(index, 0);
      n = PyTuple_GET_SIZE(index);
    } else if (PyList_Check(index) && holds_indices(index)) {
      items = &PyList_GET_ITEM(index, 0);
      n = PyList_GET_SIZE(index);
    }
  }
  Parts(const Parts&) = delete;
};

void check_one_ellipsis(const Parts& parts) {
  bool seen = false;
  for (Py_ssize_t i = 0; i < parts.n; ++i) {
    if (parts.items[i] != Py_Ellipsis) continue;
    check_index(!seen, "an index can only have a single ellipsis ('...')");
    seen = true;
  }
}

int64_t count_dims(const Parts& parts, const Tensor& t) {
  int64_t n = 0;
  for (Py_ssize_t i = 0; i < parts.n; ++i) n += consumed(parts.items[i]);
  check_one_ellipsis(parts);
  check_index(n <= t.dim(), "too many indices for tensor of dimension ", t.dim());
  return n;
}

bool is_basic(PyObject* o) {
  return o == Py_None || o == Py_Ellipsis || PySlice_Check(o) || (!PyBool_Check(o) && selects(o));
}

// All parts are basic: the whole view in one step.
Tensor plain_view(const Tensor& t, const Parts& parts) {
  View v(t);
  for (Py_ssize_t i = 0; i < parts.n; ++i) {
    PyObject* o = parts.items[i];
    if (o == Py_None) {
      v.add_dim();
      continue;
    }
    if (o == Py_Ellipsis) {
      check_one_ellipsis(parts);
      int64_t rest = 0;
      for (Py_ssize_t k = i + 1; k < parts.n; ++k)
        rest += parts.items[k] != Py_None && parts.items[k] != Py_Ellipsis;
      while (v.dim < t.dim() - rest) v.keep();
      continue;
    }
    check_index(t.dim() > 0 || PySlice_Check(o),
                "invalid index of a 0-dim tensor. Use `tensor.item()` in Python or "
                "`tensor.item<T>()` in C++ to convert a 0-dim tensor to a number");
    check_index(v.dim < t.dim(), "too many indices for tensor of dimension ", t.dim());
    if (PySlice_Check(o)) {
      Bounds b = read_slice(o);
      v.slice(b.start, b.stop, b.step);
    } else {
      v.select(select_number(o));
    }
  }
  while (v.dim < t.dim()) v.keep();
  return t.as_strided_raw(v.sizes, v.strides, v.offset);
}

// Step by step: basic parts as recorded views, advanced ones set aside.
Taken take(const Tensor& self, const Parts& parts) {
  int64_t used = count_dims(parts, self);
  Taken out{self, {}, false};
  int64_t dim = 0, hidden = 0, away = 0;  // away: of self's dimensions those that are gone by now
  // A mask takes as many dimensions as it has, but one place in the list: the record spreads it.
  auto set = [&](Tensor index) {
    int64_t dims = is_boolean(index.dtype()) ? std::max<int64_t>(index.dim(), 1) : 1;
    out.advanced = true;
    while (static_cast<int64_t>(out.indices.size()) <= dim - hidden) out.indices.emplace_back();
    out.indices[static_cast<size_t>(dim - hidden)] = std::move(index);
    dim += dims;
    hidden += dims - 1;
  };
  bool ellipsis = false;
  for (Py_ssize_t i = 0; i < parts.n; ++i) {
    PyObject* o = parts.items[i];
    if (o == Py_Ellipsis) {
      if (!ellipsis) dim += self.dim() - used;
      ellipsis = true;
    } else if (o == Py_None) {
      out.view = Recorded::unsqueeze(out.view, dim++);
      --away;
    } else if (PyBool_Check(o) ||
               (is_tensor(o) && unwrap(o).dim() == 0 && is_boolean(unwrap(o).dtype()))) {
      if (is_tensor(o)) warn_of_bytes(unwrap(o).dtype());
      out.view = Recorded::unsqueeze(out.view, dim);
      --away;
      bool on = PyBool_Check(o) ? o == Py_True : item(unwrap(o)).to<bool>();
      Tensor mask = full(Ints{1}, on, {DType::boolean, self.device()});
      set(mask);
    } else if (PySlice_Check(o)) {
      Bounds b = read_slice(o);
      if (b.start != 0 || b.stop != INT64_MAX || b.step != 1)
        out.view = Recorded::slice(out.view, dim, b);
      ++dim;
    } else if (selects(o)) {
      int64_t k = select_number(o), n = out.view.size(dim);
      check_index(k >= -n && k < n, "index ", k, " is out of bounds for dimension ", dim + away,
                  " with size ", n);
      ++away;
      out.view = Recorded::select(out.view, dim, k);
    } else {
      set(index_tensor(o, self.device()));
    }
  }
  return out;
}

// -- reading and writing --------------------------------------------------------------------------
bool all_basic(const Parts& parts) {
  for (Py_ssize_t i = 0; i < parts.n; ++i)
    if (!is_basic(parts.items[i])) return false;
  return true;
}

Tensor get(const Tensor& self, PyObject* index) {
  Parts parts(index);
  if (all_basic(parts) && !is_recorded(self)) [[likely]] {
    Tensor view = plain_view(self, parts);
    if (!(modes().inference && self->inference)) make_view_of(view, self);
    return view;
  }
  Taken taken = take(self, parts);
  if (taken.advanced) {
    static const OpCall call("index");
    return call(taken.view, std::move(taken.indices));
  }
  if (!taken.view.is_same(self)) return taken.view;
  static const OpCall alias("alias");  // x[...] and x[:] are tensors of their own
  return alias(self);
}

Tensor value_tensor(const Tensor& self, PyObject* value) {
  if (is_tensor(value)) return unwrap(value);
  Scalar s;
  if (scalar_from(value, &s)) {
    check_type(s.kind != Scalar::complex || is_complex(self.dtype()),
               "can't assign a complex number to a tensor of ", self.dtype());
    return scalar_tensor(s, self.options());
  }
  if (is_numpy_array(value) || PyList_Check(value) || PyTuple_Check(value))
    return tensor_from_data(value, self.dtype(), self.device());
  fail(ErrorKind::type, "can't assign a ", Py_TYPE(value)->tp_name, " to a ", self.dtype(),
       " tensor");
}

// Leading dimensions of size 1 beyond the target's do not count.
Tensor without_leading_ones(Tensor value, int64_t dims) {
  static const OpCall select("select");
  while (value.dim() > dims && value.sizes()[0] == 1) value = select(value, int64_t(0), int64_t(0));
  return value;
}

void write(const Tensor& to, const Tensor& value) {
  static const OpCall copy_("copy_"), expand("expand");
  Tensor from = without_leading_ones(value, to.dim());
  // What repeats is read before anything is written, also where it lies in the same memory.
  if (from->storage.get() == to->storage.get() && from.sizes() != to.sizes())
    from = expand(from, to.sizes());
  copy_.inplace(to, from);
}

void set(const Tensor& self, PyObject* index, PyObject* value) {
  Parts parts(index);
  if (all_basic(parts)) {
    Scalar s;
    bool recorded =
        is_recorded(self) || (modes().grad && is_tensor(value) && unwrap(value).requires_grad());
    if (!recorded && (!self->inference || modes().inference)) {
      Tensor view = plain_view(self, parts);
      check_no_internal_overlap(view, "copy_");
      if (!is_tensor(value) && scalar_from(value, &s) &&
          (s.kind != Scalar::complex || is_complex(self.dtype())))
        fill(view, s);
      else {
        Tensor from = without_leading_ones(value_tensor(self, value), view.dim());
        if (from.sizes() == view.sizes()) check_no_partial_overlap(view, from, "copy_");
        copy(view, from);
      }
      self.bump_version();
      return;
    }
    Tensor view = get(self, index);
    if (parts.n == 1 && parts.items[0] == Py_Ellipsis) view = self;
    write(view, value_tensor(self, value));
    return;
  }
  Taken taken = take(self, parts);
  Tensor v = value_tensor(self, value);
  if (!taken.advanced) {
    write(taken.view, v);
    return;
  }
  check(v.dtype() == self.dtype() || v.dim() == 0 || !is_tensor(value),
        "Index put requires the source and destination dtypes match, got ", self.dtype(),
        " for the destination and ", v.dtype(), " for the source.");
  if (v.dtype() != self.dtype()) {
    static const OpCall to("to");
    v = to(v, self.dtype());
  }
  static const OpCall put("index_put");
  put.inplace(taken.view, std::move(taken.indices), without_leading_ones(v, 0));
}

bool has_subclass(PyObject* o) {
  if (torch_function_modes) return true;
  if (is_tensor(o)) return !is_tensor_exact(o);
  if (PyTuple_Check(o))
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(o); ++i)
      if (has_subclass(PyTuple_GET_ITEM(o, i))) return true;
  return false;
}

PyObject* ask_subclass(const char* name, PyObject* const* args, size_t n) {
  Py func =
      Py::steal(checked(PyObject_GetAttrString(reinterpret_cast<PyObject*>(TensorType), name)));
  return torch_function(func.get(), args, n, nullptr);
}

}  // namespace

PyObject* tensor_getitem(PyObject* self, PyObject* index) {
  return guarded([&]() -> PyObject* {
    if ((has_subclass(self) || has_subclass(index)) && !torch_function_disabled) {
      PyObject* both[] = {self, index};
      PyObject* r = ask_subclass("__getitem__", both, 2);
      if (r || PyErr_Occurred()) return r;
    }
    return wrap(get(unwrap(self), index));
  });
}

int tensor_setitem(PyObject* self, PyObject* index, PyObject* value) {
  return guarded_int([&] {
    check_type(value != nullptr, "Tensor does not support deleting items");
    if ((has_subclass(self) || has_subclass(index) || has_subclass(value)) &&
        !torch_function_disabled) {
      PyObject* all[] = {self, index, value};
      Py r = Py::steal(ask_subclass("__setitem__", all, 3));
      if (r) return 0;
      if (PyErr_Occurred()) return -1;
    }
    set(unwrap(self), index, value);
    return 0;
  });
}

}  // namespace flambeau
