// Reading a Python call by an operator's schema: positional arguments first, interned keywords, no
// allocation on the way.
#include "../pointwise.h"
#include "../transform.h"
#include "python.h"

namespace flambeau {
namespace {

// Why a call does not fit a schema; the text is put together only when no overload fits.
struct Misfit {
  enum Kind { none, type, missing, keyword, many, twice, out } kind = none;
  int arg = 0;
  PyObject* object = nullptr;  // borrowed
};

bool is_index(PyObject* o) {
  if (PyLong_Check(o)) return true;
  if (!is_tensor(o)) return PyIndex_Check(o);
  const Tensor& t = unwrap(o);
  return t.dim() == 0 && is_integral(t.dtype()) && !t.is_meta();
}

bool read_int(PyObject* o, int64_t* out) {
  if (PyLong_CheckExact(o)) [[likely]] {
    int overflow;
    *out = PyLong_AsLongLongAndOverflow(o, &overflow);
    if (overflow) fail(ErrorKind::runtime, "Overflow when unpacking long long");
    return true;
  }
  if (PyFloat_Check(o)) return false;
  return int_from(o, out);
}

// An element of a list of integers; after the first a bool counts as one.
bool read_element(PyObject* o, bool first, int64_t* out) {
  if (!first && PyBool_Check(o)) {
    *out = o == Py_True;
    return true;
  }
  return read_int(o, out);
}

bool read_scalar(PyObject* o, Scalar* out) {
  if (PyFloat_CheckExact(o)) {
    *out = Scalar(PyFloat_AS_DOUBLE(o));
    return true;
  }
  if (scalar_from(o, out)) return true;
  if (!is_tensor(o)) return false;
  const Tensor& t = unwrap(o);
  if (t.dim() == 0 && !t.is_meta() && !t.requires_grad() && !is_transformed(t)) {
    *out = item(t);
    return true;
  }
  return false;
}

bool read_ints(const Argument& a, PyObject* o, Value* out) {
  if (PyTuple_Check(o) || PyList_Check(o)) {
    Py_ssize_t n = PySequence_Fast_GET_SIZE(o);
    Ints v;
    for (Py_ssize_t i = 0; i < n; ++i) {
      int64_t x;
      if (!read_element(PySequence_Fast_GET_ITEM(o, i), i == 0, &x)) return false;
      v.push_back(x);
    }
    if (a.length > 1 && n == 1) v.resize(static_cast<size_t>(a.length), v[0]);
    *out = Value(std::move(v));
    return true;
  }
  int64_t x;
  if (a.length == 0 || !read_int(o, &x)) return false;
  *out = Value(Ints(static_cast<size_t>(a.length), x));
  return true;
}

bool read_floats(const Argument& a, PyObject* o, Value* out) {
  std::vector<double> v;
  Scalar s;
  if (PyTuple_Check(o) || PyList_Check(o)) {
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(o); ++i) {
      if (!read_scalar(PySequence_Fast_GET_ITEM(o, i), &s)) return false;
      v.push_back(s.to<double>());
    }
  } else {
    if (a.length == 0 || !read_scalar(o, &s)) return false;
    v.assign(static_cast<size_t>(a.length), s.to<double>());
  }
  *out = Value(std::move(v));
  return true;
}

bool read_tensors(const Argument& a, PyObject* o, Value* out, bool* subclass) {
  if (!PyTuple_Check(o) && !PyList_Check(o)) return false;
  TensorList list;
  Py_ssize_t n = PySequence_Fast_GET_SIZE(o);
  list.reserve(static_cast<size_t>(n));
  for (Py_ssize_t i = 0; i < n; ++i) {
    PyObject* x = PySequence_Fast_GET_ITEM(o, i);
    if (is_tensor(x)) {
      *subclass = *subclass || !is_tensor_exact(x);
      list.push_back(unwrap(x));
    } else if (a.optional_items && x == Py_None) {
      list.emplace_back();
    } else {
      return false;
    }
  }
  *out = Value(std::move(list));
  return true;
}

bool read_bool(PyObject* o, Value* out) {
  if (PyBool_Check(o)) {
    *out = Value(o == Py_True);
    return true;
  }
  Scalar s;
  if (!read_scalar(o, &s) || s.kind > Scalar::integer) return false;
  *out = Value(s.i != 0);
  return true;
}

const PointwiseOp* pointwise_of(const Op& op) { return (op.alias ? op.alias : &op)->pointwise; }

// May a Python number stand for this Tensor argument? The lines of pointwise.def say so; functions
// around them want a tensor first.
bool takes_number(const Op& op, const Argument& a) {
  if (!(op.flags & kNumbers)) return false;
  if (&a != &op.schema.args[0]) return true;
  const PointwiseOp* p = pointwise_of(op);
  return p && p->types & (EITHER | BOTH);
}

// Numbers in both places where one is allowed.
bool too_many_numbers(const Op& op, const Value* args) {
  return op.nargs() > 1 && args[0].is_scalar() && args[1].is_scalar() && op.flags & kNumbers &&
         pointwise_of(op) && !(pointwise_of(op)->types & BOTH);
}

bool read_tensor(const Op& op, const Argument& a, PyObject* o, Value* out, bool* subclass) {
  if (is_tensor_exact(o)) [[likely]] {
    *out = Value(unwrap(o));
    return true;
  }
  if (is_tensor(o)) {
    *subclass = true;
    *out = Value(unwrap(o));
    return true;
  }
  Scalar s;
  if (!takes_number(op, a) || !scalar_from(o, &s)) return false;
  *out = Value(s);
  return true;
}

bool read_float(PyObject* o, Value* out) {
  Scalar s;
  if (!read_scalar(o, &s) || s.kind == Scalar::complex) return false;
  *out = Value(s.to<double>());
  return true;
}

bool read_string(PyObject* o, Value* out) {
  if (!PyUnicode_Check(o)) return false;
  const char* text = PyUnicode_AsUTF8(o);
  if (!text) throw PythonError{};
  *out = Value(std::string(text));
  return true;
}

bool read_generator(PyObject* o, Value* out) {
  Generator* g = generator_from(o);
  if (g) *out = Value(g);
  return g != nullptr;
}

template <typename T>
bool read_with(bool (*parse)(PyObject*, T*), PyObject* o, Value* out) {
  T made;
  if (!parse(o, &made)) return false;
  *out = Value(made);
  return true;
}

// One argument into out; false when it is of another type.
bool read(const Op& op, const Argument& a, PyObject* o, Value* out, bool* subclass) {
  if (o == Py_None && (a.optional || (a.has_default && a.fallback.is_none()))) {
    *out = Value();
    return true;
  }
  switch (a.type) {
    case ArgType::tensor: return read_tensor(op, a, o, out, subclass);
    case ArgType::tensors: return read_tensors(a, o, out, subclass);
    case ArgType::integer: return read_with(read_int, o, out);
    case ArgType::ints: return read_ints(a, o, out);
    case ArgType::floating: return read_float(o, out);
    case ArgType::floats: return read_floats(a, o, out);
    case ArgType::boolean: return read_bool(o, out);
    case ArgType::scalar: return read_with(read_scalar, o, out);
    case ArgType::dtype: return read_with(dtype_from, o, out);
    case ArgType::device: return read_with(device_from, o, out);
    case ArgType::layout: return read_with(layout_from, o, out);
    case ArgType::memory_format: return read_with(memory_format_from, o, out);
    case ArgType::string: return read_string(o, out);
    case ArgType::generator: return read_generator(o, out);
  }
  return false;
}

// view(2, 3) for view(int[] size): the rest of the positional arguments as one list. Of sizes; in
// var(0, True) for var(int[1] dim) the bool is another overload's.
bool read_variadic(PyObject* const* args, size_t from, size_t to, bool sizes, Value* out) {
  Ints v;
  for (size_t i = from; i < to; ++i) {
    int64_t x;
    if (!read_element(args[i], i == from || !sizes, &x)) return false;
    v.push_back(x);
  }
  *out = Value(std::move(v));
  return true;
}

bool keyword_is(PyObject* key, const char* text) {
  return PyUnicode_CompareWithASCIIString(key, text) == 0;
}

// The argument that a keyword names, by PyTorch's name or NumPy's; -1 when there is none.
int find_keyword(const Op& op, PyObject* key) {
  const auto& args = op.schema.args;
  for (size_t i = 0; i < args.size(); ++i)
    if (args[i].interned == key) return static_cast<int>(i);
  struct Twin {
    const char *numpy, *torch;
  };
  static constexpr Twin twins[] = {{"axis", "dim"}, {"keepdims", "keepdim"}, {"x", "input"},
                                   {"a", "input"},  {"self", "input"},       {"x1", "input"},
                                   {"x2", "other"}};
  for (size_t i = 0; i < args.size(); ++i) {
    if (keyword_is(key, args[i].name.c_str())) return static_cast<int>(i);
    for (const Twin& t : twins)
      if (args[i].name == t.torch && keyword_is(key, t.numpy)) return static_cast<int>(i);
  }
  return -1;
}

bool read_outs(ParsedCall& call, const Op& op, PyObject* o) {
  if (o == Py_None) return true;
  call.has_out = true;
  if (is_tensor(o)) {
    call.outs[0] = Value(unwrap(o));
    return true;
  }
  if (!PyTuple_Check(o) && !PyList_Check(o)) return false;
  Py_ssize_t n = PySequence_Fast_GET_SIZE(o);
  if (n != op.nresults()) return false;
  for (Py_ssize_t i = 0; i < n; ++i) {
    PyObject* x = PySequence_Fast_GET_ITEM(o, i);
    if (!is_tensor(x)) return false;
    call.outs[i] = Value(unwrap(x));
  }
  return true;
}

bool takes_out(const Op& op, PyObject* key) {
  const auto& results = op.schema.result_types;
  return !results.empty() && results[0] == ArgType::tensor && keyword_is(key, "out");
}

// A keyword that no schema lists: out=, and what factories take.
bool read_extra(ParsedCall& call, const Op& op, PyObject* key, PyObject* value) {
  if (takes_out(op, key)) return read_outs(call, op, value);
  if (!(op.flags & kFactory)) return false;
  if (keyword_is(key, "requires_grad")) {
    int on = PyObject_IsTrue(value);
    if (on < 0) throw PythonError{};
    call.requires_grad = on;
    return true;
  }
  if (keyword_is(key, "layout")) {
    Layout layout = Layout::strided;
    if (value != Py_None && !layout_from(value, &layout)) return false;
    call.sparse = layout != Layout::strided;
    return true;
  }
  // Pinned memory belongs to a GPU; on the CPU the flag has no effect.
  return keyword_is(key, "pin_memory");
}

// Without a dtype= of their own, zeros(..., out=t) and their kin make numbers of t's type.
void take_type_of_out(ParsedCall& call, const Op& op) {
  const auto& spec = op.schema.args;
  for (size_t i = 0; i < spec.size(); ++i) {
    if (spec[i].type != ArgType::dtype) continue;
    Value& dtype = call.args()[i];
    const DType own = call.outs[0].as_tensor().dtype();
    if (dtype.is_none()) dtype = Value(own);
    check(dtype.as_dtype() == own, op.schema.name, "(): dtype ", dtype.as_dtype(),
          " does not match dtype of out tensor (", own, ")");
  }
}

// Arguments given by name; `given` has a bit for each that came.
bool read_keywords(ParsedCall& call, const Op& op, PyObject* const* values, PyObject* kwnames,
                   uint64_t& given, bool* subclass, Misfit* why) {
  const Py_ssize_t nkw = kwnames ? PyTuple_GET_SIZE(kwnames) : 0;
  for (Py_ssize_t k = 0; k < nkw; ++k) {
    PyObject *key = PyTuple_GET_ITEM(kwnames, k), *value = values[k];
    const int i = find_keyword(op, key);
    if (i < 0) {
      if (read_extra(call, op, key, value)) continue;
      if (takes_out(op, key))
        *why = {Misfit::out, 0, value};
      else
        *why = {Misfit::keyword, 0, key};
      return false;
    }
    if (given >> i & 1) {
      *why = {Misfit::twice, i, key};
      return false;
    }
    if (!read(op, op.schema.args[i], value, call.args() + i, subclass)) {
      *why = {Misfit::type, i, value};
      return false;
    }
    given |= uint64_t(1) << i;
  }
  return true;
}

// Defaults for what did not come.
bool fill_missing(ParsedCall& call, const Op& op, uint64_t given, Misfit* why) {
  const auto& spec = op.schema.args;
  for (int i = 0; i < static_cast<int>(spec.size()); ++i) {
    if (given >> i & 1) continue;
    if (!spec[i].has_default) {
      *why = {Misfit::missing, i, nullptr};
      return false;
    }
    if (!spec[i].fallback.is_none()) call.args()[i] = spec[i].fallback;
  }
  return true;
}

bool parse_one(ParsedCall& call, const Op& op, PyObject* const* args, size_t nargs,
               PyObject* kwnames, bool* subclass, Misfit* why) {
  const auto& spec = op.schema.args;
  auto n = static_cast<int>(spec.size());
  call.clear();
  call.op = &op;
  call.has_out = call.requires_grad = call.sparse = false;
  uint64_t given = 0;
  Value* out = call.args();
  for (; call.nargs < n; ++call.nargs) new (out + call.nargs) Value;
  if (n < kMaxArgs)
    new (out + n) Value;  // pointwise operators read numbers up to the first that
                          // is none

  auto positional = static_cast<int>(nargs);
  int last = op.schema.positional - 1;
  // Only where the list is the first argument, or follows the tensor: not randint(5, 2, 3).
  bool variadic = last == 0 || (last == 1 && spec[0].type == ArgType::tensor);
  if (variadic && positional > last && spec[last].type == ArgType::ints && is_index(args[last])) {
    if (spec[last].length == 0 || positional > last + 1) {
      const bool sizes = spec[last].length == 0;
      if (!read_variadic(args, static_cast<size_t>(last), nargs, sizes, out + last)) {
        *why = {Misfit::type, last, args[last]};
        return false;
      }
      given |= uint64_t(1) << last;
      positional = last;
    }
  }
  if (positional > op.schema.positional) {
    *why = {Misfit::many, 0, nullptr};
    return false;
  }
  for (int i = 0; i < positional; ++i) {
    if (!read(op, spec[i], args[i], out + i, subclass)) [[unlikely]] {
      *why = {Misfit::type, i, args[i]};
      return false;
    }
    given |= uint64_t(1) << i;
  }
  if (!read_keywords(call, op, args + nargs, kwnames, given, subclass, why) ||
      !fill_missing(call, op, given, why))
    return false;
  if (call.has_out && op.flags & kFactory) take_type_of_out(call, op);
  if (n && out[0].is_scalar() && too_many_numbers(op, out)) [[unlikely]] {
    *why = {Misfit::type, 0, args[0]};
    return false;
  }
  return true;
}

const char* type_text(const Argument& a) {
  switch (a.type) {
    case ArgType::tensor: return "Tensor";
    case ArgType::tensors: return "tuple of Tensors";
    case ArgType::integer: return "int";
    case ArgType::ints: return "tuple of ints";
    case ArgType::floating: return "float";
    case ArgType::floats: return "tuple of floats";
    case ArgType::boolean: return "bool";
    case ArgType::scalar: return "Number";
    case ArgType::dtype: return "torch.dtype";
    case ArgType::device: return "torch.device";
    case ArgType::layout: return "torch.layout";
    case ArgType::memory_format: return "torch.memory_format";
    case ArgType::string: return "str";
    case ArgType::generator: return "torch.Generator";
  }
  return "?";
}

std::string short_name(const Op& op) {
  const std::string& n = op.schema.name;
  return n.substr(n.rfind('.') + 1);
}

std::string keyword_text(PyObject* key) {
  const char* text = PyUnicode_AsUTF8(key);
  return text ? text : "?";
}

const char* kind_text(PyObject* o) { return is_tensor_exact(o) ? "Tensor" : Py_TYPE(o)->tp_name; }

// ", not str", or which element of a list does not fit.
std::string found_text(const Argument& a, PyObject* o) {
  const bool tensors = a.type == ArgType::tensors, ints = a.type == ArgType::ints;
  if ((tensors || ints) && (PyTuple_Check(o) || PyList_Check(o))) {
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(o); ++i) {
      PyObject* x = PySequence_Fast_GET_ITEM(o, i);
      if (x == Py_None && a.optional_items) continue;
      if (!(tensors ? is_tensor(x) : is_index(x)))
        return cat(", but found element of type ", kind_text(x), " at pos ", i + 1);
    }
  }
  return cat(", not ", kind_text(o));
}

std::string misfit_text(const Op& op, const Misfit& why, size_t nargs) {
  std::string name = short_name(op);
  const auto& spec = op.schema.args;
  switch (why.kind) {
    case Misfit::type:
      return cat(name, "(): argument '", spec[why.arg].name, "'",
                 static_cast<size_t>(why.arg) < nargs ? cat(" (position ", why.arg + 1, ")") : "",
                 " must be ", type_text(spec[why.arg]), found_text(spec[why.arg], why.object));
    case Misfit::out:
      return cat(name, "(): argument 'out' must be ",
                 op.nresults() > 1 ? "tuple of Tensors" : "Tensor", ", not ",
                 kind_text(why.object));
    case Misfit::missing:
      return cat(name, "() missing 1 required positional arguments: \"", spec[why.arg].name, "\"");
    case Misfit::keyword:
      return cat(name, "() got an unexpected keyword argument '", keyword_text(why.object), "'");
    case Misfit::twice:
      return cat(name, "() got multiple values for argument '", spec[why.arg].name, "'");
    default:
      return cat(name, "() takes ", op.schema.positional, " positional arguments but ", nargs,
                 " were given");
  }
}

[[noreturn]] void refuse(const Op* op, PyObject* const* args, size_t nargs, PyObject* kwnames,
                         const Misfit& why) {
  if (!op->next_overload) fail(ErrorKind::type, misfit_text(*op, why, nargs));
  std::string got;
  for (size_t i = 0; i < nargs; ++i) got += cat(i ? ", " : "", kind_text(args[i]));
  for (Py_ssize_t k = 0; kwnames && k < PyTuple_GET_SIZE(kwnames); ++k)
    got += cat(got.empty() ? "" : ", ", keyword_text(PyTuple_GET_ITEM(kwnames, k)), "=",
               Py_TYPE(args[nargs + static_cast<size_t>(k)])->tp_name);
  std::string expected;
  for (const Op* o = op; o; o = o->next_overload) {
    size_t open = o->text.find('(');
    expected += "\n * " + o->text.substr(open, o->text.find(" ->") - open);
  }
  fail(ErrorKind::type, short_name(*op), "() received an invalid combination of arguments - got (",
       got, "), but expected one of:", expected);
}

bool wants_torch_function(PyObject* const* args, size_t n) {
  for (size_t i = 0; i < n; ++i) {
    PyObject* o = args[i];
    if (is_tensor(o) || is_small_type(Py_TYPE(o))) continue;
    if (PyTuple_Check(o) || PyList_Check(o)) {
      auto size = static_cast<size_t>(PySequence_Fast_GET_SIZE(o));
      if (wants_torch_function(PySequence_Fast_ITEMS(o), size)) return true;
    } else if (PyObject_HasAttrString(o, "__torch_function__")) {
      return true;
    }
  }
  return false;
}

// add(tensor, 2, other) and addcmul(tensor, 2, a, b), which programs of long ago write for
// add(tensor, other, alpha=2) and addcmul(tensor, a, b, value=2).
bool parse_scaled(ParsedCall& call, const Op& op, PyObject* const* args, size_t nargs,
                  bool* subclass) {
  constexpr size_t kMost = 4;
  if (nargs < 3 || nargs > kMost || !is_tensor(args[2])) return false;
  Scalar factor;
  if (!scalar_from(args[1], &factor)) return false;
  const auto& last = op.schema.args.back();
  if (last.name != "alpha" && last.name != "value") return false;
  PyObject* moved[kMost] = {args[0]};
  for (size_t i = 2; i < nargs; ++i) moved[i - 1] = args[i];
  moved[nargs - 1] = args[1];
  PyObject* names = PyTuple_Pack(1, last.interned);
  if (!names) throw PythonError{};
  Misfit why;
  bool fits = parse_one(call, op, moved, nargs - 1, names, subclass, &why);
  Py_DECREF(names);
  const std::string name = short_name(op);
  if (fits && PyErr_WarnFormat(PyExc_UserWarning, 1,
                               "This overload of %s is deprecated: pass the number as %s=",
                               name.c_str(), last.name.c_str()) < 0)
    throw PythonError{};
  return fits;
}

}  // namespace

bool parse_call(ParsedCall& call, const Op* op, PyObject* const* args, size_t nargs,
                PyObject* kwnames) {
  Misfit why;
  for (const Op* o = op; o; o = o->next_overload) {
    bool subclass = false;
    Misfit one;
    if (parse_one(call, *o, args, nargs, kwnames, &subclass, &one)) [[likely]]
      return !((subclass || torch_function_modes) && !torch_function_disabled);
    if (why.kind == Misfit::none) why = one;
  }
  bool subclass = false;
  if (!kwnames && parse_scaled(call, *op, args, nargs, &subclass))
    return !((subclass || torch_function_modes) && !torch_function_disabled);
  size_t total = nargs + (kwnames ? static_cast<size_t>(PyTuple_GET_SIZE(kwnames)) : 0);
  if (!torch_function_disabled && wants_torch_function(args, total)) return false;
  refuse(op, args, nargs, kwnames, why);
}

}  // namespace flambeau
