// Tensor's number slots: a + b, 2 * a, a @ b, a < b, -a, a += b, bool(a), int(a).
//
// The common cases, tensors and Python numbers, go straight to the operator's record; whatever
// else comes is given to __torch_function__ or answered with NotImplemented.
#include "../autocast.h"
#include "../transform.h"
#include "python.h"

namespace flambeau {

namespace {

enum Operator {
  kAdd,
  kSub,
  kMul,
  kDiv,
  kFloorDiv,
  kRemainder,
  kPow,
  kMatmul,
  kLshift,
  kRshift,
  kAnd,
  kOr,
  kXor,
  kLt,
  kLe,
  kEq,
  kNe,
  kGt,
  kGe,
  kNeg,
  kAbs,
  kInvert,
  kRsub,
  kOperators
};

struct Entry {
  const char* name;
  const Op* op = nullptr;  // null: a function of flambeau/_ops
};
Entry entries[kOperators] = {{"add"},
                             {"sub"},
                             {"mul"},
                             {"div"},
                             {"floor_divide"},
                             {"remainder"},
                             {"pow"},
                             {"matmul"},
                             {"bitwise_left_shift"},
                             {"bitwise_right_shift"},
                             {"bitwise_and"},
                             {"bitwise_or"},
                             {"bitwise_xor"},
                             {"lt"},
                             {"le"},
                             {"eq"},
                             {"ne"},
                             {"gt"},
                             {"ge"},
                             {"neg"},
                             {"abs"},
                             {"bitwise_not"},
                             {"rsub"}};

constexpr int kSlotArgs = 6;  // no operator of this table takes more

const Op* record_of(Entry& e) {
  if (!e.op) {
    e.op = find_op(e.name);
    if (e.op && e.op->alias) e.op = e.op->alias;
    if (e.op && e.op->alias) e.op = e.op->alias;
    if (e.op && (e.op->nargs() > kSlotArgs || e.op->nresults() != 1)) e.op = nullptr;
  }
  return e.op;
}

enum class Operand { ready, subclass, foreign };

Operand read_operand(PyObject* o, Value* v) {
  PyTypeObject* type = Py_TYPE(o);
  if (is_tensor_exact(o)) {
    *v = Value(unwrap(o));
    bool asks = torch_function_modes && !torch_function_disabled;
    return asks ? Operand::subclass : Operand::ready;
  }
  if (type == &PyFloat_Type) {
    *v = Value(PyFloat_AS_DOUBLE(o));
    return Operand::ready;
  }
  if (is_tensor(o)) {
    *v = Value(unwrap(o));
    return torch_function_disabled ? Operand::ready : Operand::subclass;
  }
  Scalar s;
  if (is_numpy_array(o)) {  // an array beside a tensor counts as one
    *v = Value(tensor_from_buffer(o, false));
    return Operand::ready;
  }
  if (!scalar_from(o, &s)) return Operand::foreign;
  *v = Value(s);
  return Operand::ready;
}

void fill_defaults(const Op& op, Value* args, int from) {
  for (int i = from; i < op.nargs(); ++i) args[i] = op.schema.args[i].fallback;
}

// With the arguments read: the overload whose second argument can hold what came.
const Op& overload_for(const Op& first, const Value& other) {
  if (other.is_tensor()) return first;
  for (const Op* op = &first; op; op = op->next_overload)
    if (op->nargs() > 1 && op->schema.args[0].type == ArgType::tensor &&
        op->schema.args[1].type == ArgType::scalar)
      return *op;
  return first;
}

// The method of that name, as __torch_function__ and composites want it.
PyObject* call_method(const char* name, PyObject* const* operands, size_t n) {
  Py func =
      Py::steal(checked(PyObject_GetAttrString(reinterpret_cast<PyObject*>(TensorType), name)));
  return PyObject_Vectorcall(func.get(), operands, n, nullptr);
}

PyObject* ask_subclass(const char* name, PyObject* const* operands, size_t n) {
  if (torch_function_disabled) return nullptr;
  Py func = Py::steal(PyObject_GetAttrString(reinterpret_cast<PyObject*>(TensorType), name));
  if (!func) {
    PyErr_Clear();
    return nullptr;
  }
  return torch_function(func.get(), operands, n, nullptr);
}

bool overrides(PyObject* o) {  // something that is no tensor but has __torch_function__
  PyTypeObject* t = Py_TYPE(o);
  if (t == &PyUnicode_Type || t == &PyList_Type || t == &PyTuple_Type || o == Py_None) return false;
  if (is_small_type(t)) return false;
  static PyObject* name = PyUnicode_InternFromString("__torch_function__");
  return _PyType_Lookup(t, name) != nullptr;
}

PyObject* binary(Operator k, PyObject* a, PyObject* b) {
  return guarded([&]() -> PyObject* {
    Entry& e = entries[k];
    Value args[kSlotArgs], results[1];
    Operand x = read_operand(a, &args[0]), y = read_operand(b, &args[1]);
    if (x != Operand::ready || y != Operand::ready) [[unlikely]] {
      bool foreign =
          (x == Operand::foreign && !overrides(a)) || (y == Operand::foreign && !overrides(b));
      if (foreign) Py_RETURN_NOTIMPLEMENTED;
      PyObject* both[] = {a, b};
      PyObject* r = ask_subclass(e.name, both, 2);
      if (r || PyErr_Occurred()) return r;
      if (x == Operand::foreign || y == Operand::foreign) Py_RETURN_NOTIMPLEMENTED;
    }
    const Op* op = record_of(e);
    if (!op) {
      PyObject* both[] = {a, b};
      return call_method(e.name, both, 2);
    }
    const Op& chosen = overload_for(*op, args[1]);
    fill_defaults(chosen, args, 2);
    if (autocasting()) [[unlikely]]
      autocast_args(chosen, args);
    call_op(chosen, args, results);
    return wrap(results[0].as_tensor());
  });
}

template <Operator k>
PyObject* slot(PyObject* a, PyObject* b) {
  return binary(k, a, b);
}

// number - tensor has a record of its own: its gradient is simpler, its node is named after it.
PyObject* subtract(PyObject* a, PyObject* b) {
  if (!is_tensor(a) && is_tensor(b) && record_of(entries[kRsub])) return binary(kRsub, b, a);
  return binary(kSub, a, b);
}

// number / tensor is the tensor's reciprocal times the number, so that the gradient reads neither
// the tensor nor the result.
PyObject* divide(PyObject* a, PyObject* b) {
  const bool plain = is_tensor_exact(b) && (PyFloat_CheckExact(a) || PyLong_CheckExact(a)) &&
                     (!torch_function_modes || torch_function_disabled);
  if (!plain) return binary(kDiv, a, b);
  return guarded([&] {
    static const OpCall reciprocal("reciprocal"), mul("mul");
    Scalar number;
    check(scalar_from(a, &number), "div(): the number is out of range");
    const Tensor r = reciprocal(unwrap(b));
    return wrap(r.requires_grad() || number.to<double>() != 1 ? mul(r, number) : r);
  });
}

PyObject* matmul(PyObject* a, PyObject* b) {
  if ((!is_tensor(a) && !overrides(a)) || (!is_tensor(b) && !overrides(b)))
    Py_RETURN_NOTIMPLEMENTED;
  return binary(kMatmul, a, b);
}

PyObject* power(PyObject* a, PyObject* b, PyObject* mod) {
  if (mod != Py_None) Py_RETURN_NOTIMPLEMENTED;
  return binary(kPow, a, b);
}

PyObject* inplace(Operator k, PyObject* a, PyObject* b) {
  return guarded([&]() -> PyObject* {
    Entry& e = entries[k];
    Value args[kSlotArgs];
    Operand x = read_operand(a, &args[0]), y = read_operand(b, &args[1]);
    // The sum of a tensor and an array is a new tensor, of the type that holds both.
    if ((y == Operand::foreign && !overrides(b)) || is_numpy_array(b)) Py_RETURN_NOTIMPLEMENTED;
    const Op* op = record_of(e);
    if (x != Operand::ready || y != Operand::ready || !op || !(op->flags & kInplace)) {
      std::string name = std::string(e.name) + "_";
      PyObject* both[] = {a, b};
      PyObject* r = x == Operand::ready && y == Operand::ready
                        ? nullptr
                        : ask_subclass(name.c_str(), both, 2);
      if (r || PyErr_Occurred()) return r;
      if (y == Operand::foreign) Py_RETURN_NOTIMPLEMENTED;
      if (!op || !(op->flags & kInplace)) return call_method(name.c_str(), both, 2);
    }
    const Op& chosen = overload_for(*op, args[1]);
    fill_defaults(chosen, args, 2);
    call_inplace(chosen, args);
    return Py_NewRef(a);
  });
}

template <Operator k>
PyObject* inplace_slot(PyObject* a, PyObject* b) {
  return inplace(k, a, b);
}
PyObject* inplace_power(PyObject* a, PyObject* b, PyObject* mod) {
  if (mod != Py_None) Py_RETURN_NOTIMPLEMENTED;
  return inplace(kPow, a, b);
}

template <Operator k>
PyObject* unary(PyObject* a) {
  return guarded([&]() -> PyObject* {
    Entry& e = entries[k];
    Value args[kSlotArgs], results[1];
    if (read_operand(a, &args[0]) != Operand::ready) {
      PyObject* r = ask_subclass(e.name, &a, 1);
      if (r || PyErr_Occurred()) return r;
    }
    const Op* op = record_of(e);
    if (!op) return call_method(e.name, &a, 1);
    if constexpr (k == kInvert)
      check_type(!is_inexact(args[0].as_tensor().dtype()),
                 "~ (operator.invert) is only implemented on integer and Boolean-type tensors");
    fill_defaults(*op, args, 1);
    call_op(*op, args, results);
    return wrap(results[0].as_tensor());
  });
}

PyObject* positive(PyObject* a) {
  if (unwrap(a).dtype() == DType::boolean) {
    PyErr_SetString(PyExc_RuntimeError, "The `+` operator, on a bool tensor is not supported.");
    return nullptr;
  }
  return Py_NewRef(a);
}

PyObject* compare(PyObject* a, PyObject* b, int op) {
  constexpr Operator map[] = {kLt, kLe, kEq, kNe, kGt, kGe};  // Py_LT, Py_LE, Py_EQ, ...
  return binary(map[op], a, b);
}

// -- conversions to Python's numbers --------------------------------------------------------------
int truth(PyObject* self) {
  if (in_function_mode()) [[unlikely]] {
    Py answer = Py::steal(ask_mode("__bool__", &self, 1, nullptr));
    return answer ? PyObject_IsTrue(answer.get()) : -1;
  }
  return guarded_int([&] {
    const Tensor& t = unwrap(self);
    check(t.numel() != 0, "Boolean value of Tensor with no values is ambiguous");
    check(t.numel() == 1, "Boolean value of Tensor with more than one value is ambiguous");
    if (modes().vmaps) [[unlikely]]
      check_readable(t, kBranches);
    Scalar s = item(t);
    if (s.kind == Scalar::complex) return int(s.d != 0 || s.im != 0);
    return s.kind == Scalar::floating ? int(s.d != 0) : int(s.i != 0);
  });
}

Py number(PyObject* self) {  // the only element, as Python has it
  const Tensor& t = unwrap(self);
  check_value(t.numel() == 1, "only one element tensors can be converted to Python scalars");
  return Py::steal(checked(tensor_item(t)));
}

PyObject* to_int(PyObject* self) {
  if (in_function_mode()) [[unlikely]]
    return ask_mode("__int__", &self, 1, nullptr);
  return guarded([&] {
    Py n = number(self);
    check(!PyComplex_Check(n.get()) || PyComplex_ImagAsDouble(n.get()) == 0,
          "value cannot be converted to type int64_t without overflow");
    if (PyComplex_Check(n.get())) return PyLong_FromDouble(PyComplex_RealAsDouble(n.get()));
    return PyNumber_Long(n.get());
  });
}
PyObject* to_float(PyObject* self) {
  if (in_function_mode()) [[unlikely]]
    return ask_mode("__float__", &self, 1, nullptr);
  return guarded([&] {
    Py n = number(self);
    check(!PyComplex_Check(n.get()) || PyComplex_ImagAsDouble(n.get()) == 0,
          "value cannot be converted to type double without overflow");
    if (PyComplex_Check(n.get())) return PyFloat_FromDouble(PyComplex_RealAsDouble(n.get()));
    return PyNumber_Float(n.get());
  });
}
PyObject* to_index(PyObject* self) {
  if (in_function_mode()) [[unlikely]]
    return ask_mode("__index__", &self, 1, nullptr);
  return guarded([&] {
    const Tensor& t = unwrap(self);
    check_type(t.numel() == 1 && !is_inexact(t.dtype()),
               "only integer tensors of a single element can be converted to an index");
    Py n = number(self);
    return PyNumber_Long(n.get());
  });
}

}  // namespace

#define FLAMBEAU_SLOT(name, f) {name, reinterpret_cast<void*>(f)}
PyType_Slot number_slots[] = {FLAMBEAU_SLOT(Py_nb_add, slot<kAdd>),
                              FLAMBEAU_SLOT(Py_nb_subtract, subtract),
                              FLAMBEAU_SLOT(Py_nb_multiply, slot<kMul>),
                              FLAMBEAU_SLOT(Py_nb_true_divide, divide),
                              FLAMBEAU_SLOT(Py_nb_floor_divide, slot<kFloorDiv>),
                              FLAMBEAU_SLOT(Py_nb_remainder, slot<kRemainder>),
                              FLAMBEAU_SLOT(Py_nb_power, power),
                              FLAMBEAU_SLOT(Py_nb_matrix_multiply, matmul),
                              FLAMBEAU_SLOT(Py_nb_lshift, slot<kLshift>),
                              FLAMBEAU_SLOT(Py_nb_rshift, slot<kRshift>),
                              FLAMBEAU_SLOT(Py_nb_and, slot<kAnd>),
                              FLAMBEAU_SLOT(Py_nb_or, slot<kOr>),
                              FLAMBEAU_SLOT(Py_nb_xor, slot<kXor>),
                              FLAMBEAU_SLOT(Py_nb_inplace_add, inplace_slot<kAdd>),
                              FLAMBEAU_SLOT(Py_nb_inplace_subtract, inplace_slot<kSub>),
                              FLAMBEAU_SLOT(Py_nb_inplace_multiply, inplace_slot<kMul>),
                              FLAMBEAU_SLOT(Py_nb_inplace_true_divide, inplace_slot<kDiv>),
                              FLAMBEAU_SLOT(Py_nb_inplace_floor_divide, inplace_slot<kFloorDiv>),
                              FLAMBEAU_SLOT(Py_nb_inplace_remainder, inplace_slot<kRemainder>),
                              FLAMBEAU_SLOT(Py_nb_inplace_power, inplace_power),
                              FLAMBEAU_SLOT(Py_nb_inplace_lshift, inplace_slot<kLshift>),
                              FLAMBEAU_SLOT(Py_nb_inplace_rshift, inplace_slot<kRshift>),
                              FLAMBEAU_SLOT(Py_nb_inplace_and, inplace_slot<kAnd>),
                              FLAMBEAU_SLOT(Py_nb_inplace_or, inplace_slot<kOr>),
                              FLAMBEAU_SLOT(Py_nb_inplace_xor, inplace_slot<kXor>),
                              FLAMBEAU_SLOT(Py_nb_negative, unary<kNeg>),
                              FLAMBEAU_SLOT(Py_nb_absolute, unary<kAbs>),
                              FLAMBEAU_SLOT(Py_nb_invert, unary<kInvert>),
                              FLAMBEAU_SLOT(Py_nb_positive, positive),
                              FLAMBEAU_SLOT(Py_nb_bool, truth),
                              FLAMBEAU_SLOT(Py_nb_int, to_int),
                              FLAMBEAU_SLOT(Py_nb_float, to_float),
                              FLAMBEAU_SLOT(Py_nb_index, to_index),
                              FLAMBEAU_SLOT(Py_tp_richcompare, compare),
                              {0, nullptr}};
#undef FLAMBEAU_SLOT

}  // namespace flambeau
