// flambeau.Generator: a source of random numbers, and the default one.
#include "../random.h"
#include "python.h"

namespace flambeau {

PyTypeObject* GeneratorType;

namespace {

struct PyGenerator {
  PyObject_HEAD Generator* generator;
  bool owned;
};

Generator& of(PyObject* self) { return *reinterpret_cast<PyGenerator*>(self)->generator; }

PyObject* make(Generator* g, bool owned) {
  auto* p = PyObject_New(PyGenerator, GeneratorType);
  if (!p) return nullptr;
  p->generator = g;
  p->owned = owned;
  return reinterpret_cast<PyObject*>(p);
}

PyObject* generator_new(PyTypeObject* type, PyObject* args, PyObject* kwargs) {
  static const char* names[] = {"device", nullptr};
  PyObject* device = Py_None;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O:Generator", const_cast<char**>(names),
                                   &device))
    return nullptr;
  return guarded([&] {
    Device d;
    check_type(device == Py_None || device_from(device, &d),
               "Generator(): argument 'device' must be flambeau.device, not ",
               Py_TYPE(device)->tp_name);
    check(d.type == DeviceType::cpu, "Generator(): there is no generator for device ", d);
    auto* self = reinterpret_cast<PyGenerator*>(checked(type->tp_alloc(type, 0)));
    self->generator = new Generator;
    self->owned = true;
    return reinterpret_cast<PyObject*>(self);
  });
}

void generator_dealloc(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  if (reinterpret_cast<PyGenerator*>(self)->owned) delete &of(self);
  type->tp_free(self);
  Py_DECREF(type);
}

// Any 64-bit integer, negative ones by their two's complement.
uint64_t seed_from(PyObject* o) {
  check(PyLong_Check(o), "manual_seed expected a long, but got ", Py_TYPE(o)->tp_name);
  int overflow;
  const long long seed = PyLong_AsLongLongAndOverflow(o, &overflow);
  if (!overflow) return static_cast<uint64_t>(seed);
  const unsigned long long large = PyLong_AsUnsignedLongLong(o);
  if (!PyErr_Occurred()) return large;
  PyErr_Clear();
  fail(ErrorKind::value, "manual_seed(): Overflow when unpacking long long");
}

PyObject* manual_seed(PyObject* self, PyObject* seed) {
  return guarded([&] {
    of(self).manual_seed(seed_from(seed));
    return Py_NewRef(self);
  });
}

PyObject* seed(PyObject* self, PyObject*) {
  return guarded([&] { return PyLong_FromUnsignedLongLong(of(self).seed()); });
}

PyObject* initial_seed(PyObject* self, PyObject*) {
  return PyLong_FromUnsignedLongLong(of(self).initial_seed());
}

PyObject* get_state(PyObject* self, PyObject*) {
  return guarded([&] {
    const Tensor t = empty(Ints{static_cast<int64_t>(Generator::kStateBytes)}, {DType::uint8, {}});
    of(self).get_state(t.data<uint8_t>());
    return wrap(t);
  });
}

PyObject* set_state(PyObject* self, PyObject* state) {
  return guarded([&] {
    check_type(is_tensor(state) && unwrap(state).dtype() == DType::uint8 &&
                   unwrap(state).device_type() == DeviceType::cpu,
               "RNG state must be a flambeau.ByteTensor");
    const Tensor t = unwrap(state).contiguous_raw();
    check(t.numel() == static_cast<int64_t>(Generator::kStateBytes),
          "set_state(): expected a state of ", Generator::kStateBytes, " bytes, got ", t.numel());
    of(self).set_state(t.data<uint8_t>());
    return Py_NewRef(self);
  });
}

PyObject* clone_state(PyObject* self, PyObject*) {
  return guarded([&] { return make(new Generator(of(self)), true); });
}

PyObject* reduce(PyObject* self, PyObject*) {
  return guarded([&] {
    Py device = Py::steal(checked(wrap(Device{})));
    Py state = Py::steal(checked(get_state(self, nullptr)));
    Py start = Py::steal(checked(initial_seed(self, nullptr)));
    return checked(Py_BuildValue("(O(O)(OOO))", Py_TYPE(self), device.get(), start.get(), Py_None,
                                 state.get()));
  });
}

PyObject* set_pickled(PyObject* self, PyObject* state) {  // (seed, offset of a device, state)
  const bool triple = PyTuple_Check(state) && PyTuple_GET_SIZE(state) == 3;
  Py done = Py::steal(set_state(self, triple ? PyTuple_GET_ITEM(state, 2) : state));
  return done.get() ? Py_NewRef(Py_None) : nullptr;
}

PyObject* get_device(PyObject*, void*) {
  return guarded([] { return wrap(Device{}); });
}

PyMethodDef methods[] = {
    {"manual_seed", manual_seed, METH_O, "Starts the numbers that belong to a seed; itself."},
    {"seed", seed, METH_NOARGS, "Takes a seed from the system's entropy and returns it."},
    {"initial_seed", initial_seed, METH_NOARGS, "The seed that the numbers started from."},
    {"get_state", get_state, METH_NOARGS, "The state as a tensor of bytes, laid out as PyTorch's."},
    {"set_state", set_state, METH_O, "Goes on from a state that get_state returned."},
    {"clone_state", clone_state, METH_NOARGS, "Another generator in the same state."},
    {"graphsafe_get_state", clone_state, METH_NOARGS, "Another generator in the same state."},
    {"__reduce__", reduce, METH_NOARGS, nullptr},
    {"__setstate__", set_pickled, METH_O, nullptr},
    {}};
PyGetSetDef getset[] = {{"device", get_device, nullptr, "The generator's device.", nullptr}, {}};

}  // namespace

Generator* generator_from(PyObject* o) {
  return PyObject_TypeCheck(o, GeneratorType) ? &of(o) : nullptr;
}

PyObject* wrap(Generator* g) {  // for as long as its owner keeps it
  if (g != &default_generator()) return make(g, false);
  Py module = Py::steal(checked(PyImport_ImportModule("flambeau._C")));
  return PyObject_GetAttrString(module.get(), "default_generator");
}

void init_generator(PyObject* m) {
  PyType_Slot slots[] = {
      {Py_tp_new, reinterpret_cast<void*>(generator_new)},
      {Py_tp_dealloc, reinterpret_cast<void*>(generator_dealloc)},
      {Py_tp_methods, methods},
      {Py_tp_getset, getset},
      {Py_tp_doc, const_cast<char*>("A source of random numbers: the Mersenne Twister, with "
                                    "PyTorch's numbers for each seed.")},
      {0, nullptr}};
  PyType_Spec spec = {"flambeau._C.Generator", sizeof(PyGenerator), 0,
                      Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, slots};
  GeneratorType = reinterpret_cast<PyTypeObject*>(checked(PyType_FromSpec(&spec)));
  if (PyModule_AddObjectRef(m, "Generator", reinterpret_cast<PyObject*>(GeneratorType)) < 0)
    throw PythonError{};
  Py standard = Py::steal(checked(make(&default_generator(), false)));
  if (PyModule_AddObjectRef(m, "default_generator", standard.get()) < 0) throw PythonError{};
}

}  // namespace flambeau
