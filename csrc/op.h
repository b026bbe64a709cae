// The operator record: schema, forward, gradient, doc, in one place; and the call that reads it.
#pragma once
#include <tuple>

#include "autograd.h"
#include "value.h"

namespace flambeau {

enum class ArgType : uint8_t {
  tensor,         // Tensor, Tensor?
  tensors,        // Tensor[], Tensor?[]
  integer,        // int
  ints,           // int[], int[2]
  floating,       // float
  floats,         // float[]
  boolean,        // bool
  scalar,         // Scalar
  dtype,          // ScalarType
  device,
  layout,
  memory_format,
  string,
  generator,
};

struct Argument {
  std::string name;
  ArgType type;
  bool optional = false;      // "?": None is taken
  bool optional_items = false;  // "Tensor?[]"
  bool has_default = false;
  bool keyword_only = false;
  bool written = false;       // "Tensor(a!)": written in place
  int64_t length = 0;         // of int[2]: one int stands for that many
  Value fallback;             // the default
  void* interned = nullptr;   // the binding's interned name
};

// "softmax(Tensor input, int dim, *, ScalarType? dtype=None) -> Tensor"
struct Schema {
  std::string name;  // with its namespace: "nn.functional.relu", "linalg.svd", "add"
  std::vector<Argument> args;
  std::vector<std::string> results;  // names, "" when unnamed
  std::vector<ArgType> result_types;
  int positional = 0;         // arguments before "*"
  bool returns_list = false;  // -> Tensor[]
  static Schema parse(const std::string& text);
};

struct Op;
struct PointwiseOp;  // pointwise.h

// What a gradient formula sees. Arguments are numbered as in the schema.
class Backward {
 public:
  Backward(OpNode& node, TensorList& grads) : node_(node), grads_(grads) {}
  const Tensor& grad(int i = 0) const { return grads_[i]; }  // of result i; may be undefined
  Tensor in(int i) const;                  // a tensor argument listed in `saves`
  TensorList in_list(int i) const;         // a Tensor[] argument listed in `saves`
  Tensor out(int i = 0) const;             // a result listed in `saves`
  const Value& arg(int i) const;           // any other argument
  bool has(int i) const;                   // the argument was not None
  bool needs(int i) const;                 // a gradient for argument i is wanted
  bool needs(int i, int item) const;       // for an item of a Tensor[] argument
  const Ints& sizes(int i) const;          // of a tensor argument, saved or not
  DType dtype(int i) const;
  int count(int i) const;                  // items of a Tensor[] argument
  Ints sizes(int i, int item) const;
  DType dtype(int i, int item) const;
  void set(int i, Tensor g);               // the gradient of argument i
  void set(int i, int item, Tensor g);     // of an item of a Tensor[] argument
  OpNode& node() { return node_; }

 private:
  OpNode& node_;
  TensorList& grads_;
};

// Reads args, writes results. A result that is already there is an out= tensor (only for records
// with `writes_out`).
using ForwardFn = void (*)(Value* args, Value* results);
using BackwardFn = void (*)(Backward& b);
// Runs the operator as one with those before or after it, fused.h; false: it is to run by itself.
// For a call in place, results[0] is args[0].
using FuseFn = bool (*)(const Op& op, Value* args, Value* results);

enum OpFlags : uint32_t {
  kMethod = 1,  // Tensor.f besides flambeau.f; set by itself when the first argument is a Tensor
  kNoMethod = 2,
  kNoFunction = 4,  // Tensor.f only
  kInplace = 8,  // has an in-place twin f_
  kView = 16,  // the result shares memory with the first argument
  kNumbers = 32,  // Tensor arguments may be Python numbers (binary operators)
  kWritesOut = 64,  // forward writes an out= tensor given in results
  kNotDifferentiable = 128,  // results never require a gradient (comparisons, argmax, zeros)
  kInternal = 256,  // not in a public namespace; reached as flambeau._C._ops.name
  kFactory = 512,  // takes requires_grad= (and pin_memory=, layout=, ignored on the CPU)
  kComposite = 1024,  // forward calls other operators, which record themselves
  kCastsOut = 4096,  // out= may have another dtype, as with pointwise operators and factories
  kOnlyInplace =
      2048,  // copy_, zero_: no twin that makes a new tensor; set by itself for names in _
  kIndexed = 8192,  // reads or writes by index: what it reads shares no memory with what it writes;
                    // indices may lie on the CPU beside a meta tensor
  kReadsFirst = 16384,  // in place, yet reads all before it writes
  kReadsAlong = 32768,  // an out= tensor may be an argument, but not share some of its memory
  kAnyDevice = 65536,  // takes only the shape or type of its other tensors, or copies them
  kGradientsReversed = 131072,  // gradients travel on from the last argument first
};

struct OpRecord {
  const char* schema;
  ForwardFn forward = nullptr;
  // For f_ where writing in place is the primitive (scatter_, index_put_, masked_fill_): it changes
  // args[0]. `forward` may then be left out: f clones and calls this.
  ForwardFn inplace = nullptr;
  BackwardFn backward = nullptr;
  FuseFn fuse = nullptr;  // tried where no gradient is recorded
  // Tensors that backward reads: "input, other, result", "result1"; "input for other": where it
  // reads input for the gradient of `other` alone.
  const char* saves = "";
  uint32_t flags = 0;
  const char* node = nullptr;  // grad_fn's name where it is not CamelCase(name) + "Backward0"
  const char* doc = "";
  const PointwiseOp* pointwise = nullptr;
  // Another name of a record: same arguments, or with `bool inplace=False` after them.
  const char* alias = nullptr;
};

struct Op {
  Schema schema;
  ForwardFn forward, inplace;
  BackwardFn backward;
  FuseFn fuse;
  uint32_t flags;
  uint64_t saved_args = 0, saved_results = 0;  // bit sets
  std::vector<std::pair<int, int>> saved_for;  // an argument, and whose gradient alone reads it
  uint64_t tensor_args = 0;  // arguments of type Tensor and Tensor[]
  std::string node_name, doc, text;
  const PointwiseOp* pointwise;
  Op* next_overload = nullptr;
  const char* alias_name = nullptr;
  const Op* alias = nullptr;  // resolved by resolve_aliases
  int nargs() const { return static_cast<int>(schema.args.size()); }
  int nresults() const { return static_cast<int>(schema.results.size()); }
};

constexpr int kMaxArgs = 24;
constexpr int kMaxResults = 8;

// Every record, by name; overloads in the order of their registration.
Op* register_op(const OpRecord& r);
Op* find_op(const std::string& name);  // the first overload; null when there is none
const std::vector<Op*>& all_ops();  // first overloads
void resolve_aliases();  // once, when every record is in

struct RegisterOps {
  RegisterOps(std::initializer_list<OpRecord> rs) {
    for (const OpRecord& r : rs) register_op(r);
  }
};
// FLAMBEAU_OPS({.schema = ..., .forward = native<f>, ...}, {...});
#define FLAMBEAU_OPS_CAT2(a, b) a##b
#define FLAMBEAU_OPS_CAT(a, b) FLAMBEAU_OPS_CAT2(a, b)
#define FLAMBEAU_OPS static const ::flambeau::RegisterOps FLAMBEAU_OPS_CAT(flambeau_ops_, __LINE__)

// Runs an operator with autograd: args are filled to nargs, results to nresults.
void call_op(const Op& op, Value* args, Value* results);
// op_(args): changes args[0], with its history, version and checks.
void call_inplace(const Op& op, Value* args);
// op(args, out=outs): writes the defined tensors in outs, resized where empty or of another shape.
void call_out(const Op& op, Value* args, Value* outs);

// -- a typed C++ function as a forward ---------------------------------------------------------
template <class T>
struct FromValue;
template <>
struct FromValue<Tensor> {
  static const Tensor& get(const Value& v) { return v.as_tensor(); }
};
template <>
struct FromValue<TensorList> {
  static const TensorList& get(const Value& v) { return v.as_tensors(); }
};
template <>
struct FromValue<int64_t> {
  static int64_t get(const Value& v) { return v.as_int(); }
};
template <>
struct FromValue<double> {
  static double get(const Value& v) { return v.as_double(); }
};
template <>
struct FromValue<bool> {
  static bool get(const Value& v) { return v.as_bool(); }
};
template <>
struct FromValue<Scalar> {
  static const Scalar& get(const Value& v) { return v.as_scalar(); }
};
template <>
struct FromValue<Ints> {
  static const Ints& get(const Value& v) { return v.as_ints(); }
};
template <>
struct FromValue<std::vector<double>> {
  static const std::vector<double>& get(const Value& v) { return v.as_floats(); }
};
template <>
struct FromValue<std::string> {
  static const std::string& get(const Value& v) { return v.as_string(); }
};
template <>
struct FromValue<DType> {
  static DType get(const Value& v) { return v.as_dtype(); }
};
template <>
struct FromValue<Device> {
  static Device get(const Value& v) { return v.as_device(); }
};
template <>
struct FromValue<Layout> {
  static Layout get(const Value& v) { return v.as_layout(); }
};
template <>
struct FromValue<MemoryFormat> {
  static MemoryFormat get(const Value& v) { return v.as_memory_format(); }
};
template <>
struct FromValue<Generator*> {
  static Generator* get(const Value& v) { return v.as_generator(); }
};
template <>
struct FromValue<Value> {
  static const Value& get(const Value& v) { return v; }
};
template <class T>
struct FromValue<std::optional<T>> {
  static std::optional<T> get(const Value& v) {
    if (v.is_none()) return std::nullopt;
    return FromValue<T>::get(v);
  }
};

template <auto F>
struct NativeCall;
template <class R, class... A, R (*F)(A...)>
struct NativeCall<F> {
  template <size_t... I>
  static R invoke(Value* args, std::index_sequence<I...>) {
    return F(FromValue<std::remove_cvref_t<A>>::get(args[I])...);
  }
  static void run(Value* args, Value* results) {
    constexpr auto index = std::index_sequence_for<A...>{};
    if constexpr (std::is_void_v<R>) {
      invoke(args, index);
    } else if constexpr (requires { std::tuple_size<R>::value; }) {
      R r = invoke(args, index);
      [&]<size_t... I>(std::index_sequence<I...>) {
        ((results[I] = Value(std::move(std::get<I>(r)))), ...);
      }(std::make_index_sequence<std::tuple_size_v<R>>{});
    } else {
      results[0] = Value(invoke(args, index));
    }
  }
};
// A forward made of a plain function: Tensor f(const Tensor& input, int64_t dim,
// std::optional<DType>) takes the schema's arguments in order (undefined Tensor for None), returns
// Tensor, a std::tuple of them, TensorList, Scalar, or nothing for an in-place one.
template <auto F>
inline constexpr ForwardFn native = &NativeCall<F>::run;

// -- calling an operator from C++, recorded like any other call -----------------------------------
// static const OpCall f("name"); Tensor y = f(x, 1, std::nullopt...); missing trailing arguments
// take their defaults; overload by its index.
class OpCall {
 public:
  explicit OpCall(const char* name, int overload = 0) : name_(name), overload_(overload) {}
  template <class... A>
  Tensor operator()(A&&... a) const {
    Value args[kMaxArgs] = {Value(std::forward<A>(a))...}, results[kMaxResults];
    run(args, sizeof...(A), results);
    return results[0].as_tensor();
  }
  template <class... A>
  TensorList all(A&&... a) const {  // every result, or the items of a list
    Value args[kMaxArgs] = {Value(std::forward<A>(a))...}, results[kMaxResults];
    run(args, sizeof...(A), results);
    return collect(results);
  }
  template <class... A>
  void inplace(A&&... a) const {
    Value args[kMaxArgs] = {Value(std::forward<A>(a))...};
    run_inplace(args, sizeof...(A));
  }

 private:
  const Op& op() const;
  void run(Value* args, int n, Value* results) const;
  void run_inplace(Value* args, int n) const;
  TensorList collect(Value* results) const;
  const char* name_;
  int overload_;
  mutable const Op* op_ = nullptr;
};

}  // namespace flambeau
