// New tensors of random numbers: rand, randn, randint, randperm, normal, bernoulli and their kin.
#include "random.h"
#include "shape.h"

namespace flambeau {
namespace {

using Type = std::optional<DType>;
using Place = std::optional<Device>;
using Format = std::optional<MemoryFormat>;

template <class T>
std::optional<T> maybe(const Value& v) {
  return FromValue<std::optional<T>>::get(v);
}

// The tensor to fill: the out= tensor, given the size, or a new one. The arguments from `at` on are
// generator, dtype, layout, device.
Tensor target(const Value* args, int at, const Value& result, const Ints& size,
              DType otherwise = default_dtype()) {
  const Type dtype = maybe<DType>(args[at + 1]);
  const auto layout = maybe<Layout>(args[at + 2]);
  const Place device = maybe<Device>(args[at + 3]);
  check(!layout || *layout == Layout::strided, "only strided tensors can be drawn");
  const Tensor& out = result.as_tensor();
  if (!out.defined())
    return empty(size, {dtype.value_or(otherwise), device.value_or(default_device())});
  check(!dtype || *dtype == out.dtype(), "dtype ", dtype.value_or(otherwise),
        " does not match dtype of out parameter (", out.dtype(), ")");
  check(!device || *device == out.device(), "device ", device.value_or(Device{}),
        " does not match device of out parameter (", out.device(), ")");
  resize(out, size);
  return out;
}

const OpCall& random_call(int overload) {
  static const OpCall calls[] = {OpCall("random_", 0), OpCall("random_", 1), OpCall("random_", 2)};
  return calls[overload];
}
void fill_integers(const Tensor& t, int64_t low, int64_t high, Generator* g) {
  NoGrad off;
  random_call(2).inplace(t, low, high, g);
}

void rand(Value* args, Value* results) {
  Tensor t = target(args, 1, results[0], args[0].as_ints());
  uniform_fill(t, 0, 1, args[1].as_generator());
  results[0] = Value(std::move(t));
}
void randn(Value* args, Value* results) {
  Tensor t = target(args, 1, results[0], args[0].as_ints());
  normal_fill(t, 0, 1, args[1].as_generator());
  results[0] = Value(std::move(t));
}
void randint(Value* args, Value* results) {
  Tensor t = target(args, 3, results[0], args[2].as_ints(), DType::int64);
  fill_integers(t, args[0].as_int(), args[1].as_int(), args[3].as_generator());
  results[0] = Value(std::move(t));
}
void randint_to(Value* args, Value* results) {
  Tensor t = target(args, 2, results[0], args[1].as_ints(), DType::int64);
  fill_integers(t, 0, args[0].as_int(), args[2].as_generator());
  results[0] = Value(std::move(t));
}
void normal_of_size(Value* args, Value* results) {
  Tensor t = target(args, 3, results[0], args[2].as_ints());
  normal_fill(t, args[0].as_double(), args[1].as_double(), args[3].as_generator());
  results[0] = Value(std::move(t));
}

// Integers up to which every one is a number of the type.
int64_t exact_limit(DType t) {
  switch (t) {
    case DType::boolean: fail(ErrorKind::not_implemented, "randperm(): not implemented for bool");
    case DType::uint8: return 256;
    case DType::int8: return 128;
    case DType::int16: return 1 << 15;
    case DType::uint16: return 1 << 16;
    case DType::float16: return (1 << 11) + 1;
    case DType::float32: return (1 << 24) + 1;
    case DType::int32: return int64_t(1) << 31;
    case DType::uint32: return int64_t(1) << 32;
    default: return INT64_MAX;
  }
}

void randperm(Value* args, Value* results) {
  const int64_t n = args[0].as_int();
  Tensor t = target(args, 1, results[0], {n}, DType::int64);
  check(n <= exact_limit(t.dtype()), "randperm(): n cannot be greater than ",
        exact_limit(t.dtype()), " for ", t.dtype(), ", got ", n);
  if (!t.is_meta() && n > 0) {
    Generator& g = generator_or_default(args[1].as_generator());
    const bool few = n < kShortPermutation;
    const Tensor order = empty(Ints{n}, {few ? DType::int32 : DType::int64, t.device()});
    if (few)
      draw_permutation(g, order.data<int32_t>(), n);
    else
      draw_permutation(g, order.data<int64_t>(), n);
    copy(t, order);
  }
  results[0] = Value(std::move(t));
}

// -- like another tensor: input, then what is drawn, dtype, layout, device, format, generator -----
Tensor alike(const Value* args, int at) {
  const Tensor& x = args[0].as_tensor();
  const auto layout = maybe<Layout>(args[at + 1]);
  check(!layout || *layout == Layout::strided, "only strided tensors can be drawn");
  return empty_with_format(x, maybe<DType>(args[at]).value_or(x.dtype()),
                           maybe<Device>(args[at + 2]).value_or(x.device()),
                           maybe<MemoryFormat>(args[at + 3]));
}
void rand_like(Value* args, Value* results) {
  Tensor t = alike(args, 1);
  uniform_fill(t, 0, 1, args[5].as_generator());
  results[0] = Value(std::move(t));
}
void randn_like(Value* args, Value* results) {
  Tensor t = alike(args, 1);
  normal_fill(t, 0, 1, args[5].as_generator());
  results[0] = Value(std::move(t));
}
void randint_like(Value* args, Value* results) {
  Tensor t = alike(args, 2);
  fill_integers(t, 0, args[1].as_int(), args[6].as_generator());
  results[0] = Value(std::move(t));
}
void randint_like_between(Value* args, Value* results) {
  Tensor t = alike(args, 3);
  fill_integers(t, args[1].as_int(), args[2].as_int(), args[7].as_generator());
  results[0] = Value(std::move(t));
}

// -- from parameters in tensors -------------------------------------------------------------------
void zero_gradients(Backward& b) {
  for (int i = 0; i < 2; ++i)
    if (b.needs(i)) b.set(i, zeros(b.sizes(i), {b.dtype(i), b.grad().device()}));
}

Tensor scaled(const Tensor& z, const Value& std, const Value& mean) {
  static const OpCall mul("mul"), add("add");
  return add(mul(z, std), mean);
}

void check_spread(const Tensor& std) {
  if (std.is_meta()) return;
  const Tensor each = std.to_raw(DType::float64).contiguous_raw();
  for (int64_t i = 0; i < each.numel(); ++i)
    check(each.data<double>()[i] >= 0, "normal expects all elements of std >= 0.0");
}

Tensor normal_tensors(const Tensor& mean, const Tensor& std, Generator* g) {
  check_spread(std);
  const Tensor z = empty(broadcast_shapes(mean.sizes(), std.sizes(), "normal"), mean.options());
  normal_fill(z, 0, 1, g);
  return scaled(z, std.to_raw(mean.dtype()), mean);
}
Tensor normal_mean(const Tensor& mean, double std, Generator* g) {
  static const OpCall add("add");
  const Tensor z = empty(mean.sizes(), mean.options());
  normal_fill(z, 0, std, g);
  return add(z, mean);
}
Tensor normal_std(double mean, const Tensor& std, Generator* g) {
  check_spread(std);
  const Tensor z = empty(std.sizes(), std.options());
  normal_fill(z, 0, 1, g);
  return scaled(z, std, Value(mean));
}

// Where coins for x go: rows, which decide the order of the draws, or out= of any type.
Tensor coins(const Tensor& x, const Tensor& out) {
  if (!out.defined()) return empty(x.sizes(), x.options());
  resize(out, x.sizes());
  return out;
}
void bernoulli(Value* args, Value* results) {
  static const OpCall draw("bernoulli_", 0);
  Tensor t = coins(args[0].as_tensor(), results[0].as_tensor());
  draw.inplace(t, args[0].as_tensor(), args[1].as_generator());
  results[0] = Value(std::move(t));
}
void bernoulli_p(Value* args, Value* results) {
  Tensor t = coins(args[0].as_tensor(), results[0].as_tensor());
  bernoulli_fill(t, args[1].as_double(), args[2].as_generator());
  results[0] = Value(std::move(t));
}

#define FLAMBEAU_DRAWN \
  "*, Generator? generator=None, ScalarType? dtype=None, Layout? layout=None, Device? device=None"
#define FLAMBEAU_ALIKE                                                                  \
  "*, ScalarType? dtype=None, Layout? layout=None, Device? device=None, MemoryFormat? " \
  "memory_format=None, Generator? generator=None"

constexpr uint32_t kMake = kFactory | kNotDifferentiable | kWritesOut;
constexpr uint32_t kLike = kFactory | kNotDifferentiable;

FLAMBEAU_OPS{
    {.schema = "rand(int[] size, " FLAMBEAU_DRAWN ") -> Tensor",
     .forward = rand,
     .flags = kMake,
     .doc = "Numbers drawn evenly from [0, 1)."},
    {.schema = "randn(int[] size, " FLAMBEAU_DRAWN ") -> Tensor",
     .forward = randn,
     .flags = kMake,
     .doc = "Normally distributed numbers of mean 0 and variance 1."},
    {.schema = "randint(int low, int high, int[] size, " FLAMBEAU_DRAWN ") -> Tensor",
     .forward = randint,
     .flags = kMake,
     .doc = "Integers drawn evenly from [low, high); low is 0 when left out."},
    {.schema = "randint(int high, int[] size, " FLAMBEAU_DRAWN ") -> Tensor",
     .forward = randint_to,
     .flags = kMake},
    {.schema = "randperm(int n, " FLAMBEAU_DRAWN ") -> Tensor",
     .forward = randperm,
     .flags = kMake,
     .doc = "The integers from 0 to n - 1 in random order."},
    {.schema = "rand_like(Tensor input, " FLAMBEAU_ALIKE ") -> Tensor",
     .forward = rand_like,
     .flags = kLike,
     .doc = "Numbers drawn evenly from [0, 1), in the shape of another tensor."},
    {.schema = "randn_like(Tensor input, " FLAMBEAU_ALIKE ") -> Tensor",
     .forward = randn_like,
     .flags = kLike,
     .doc = "Normally distributed numbers in the shape of another tensor."},
    {.schema = "randint_like(Tensor input, int high, " FLAMBEAU_ALIKE ") -> Tensor",
     .forward = randint_like,
     .flags = kLike,
     .doc = "Integers drawn evenly from [low, high), in the shape of another tensor."},
    {.schema = "randint_like(Tensor input, int low, int high, " FLAMBEAU_ALIKE ") -> Tensor",
     .forward = randint_like_between,
     .flags = kLike},
    {.schema = "normal(Tensor mean, Tensor std, *, Generator? generator=None) -> Tensor",
     .forward = native<normal_tensors>,
     .backward = zero_gradients,
     .flags = kNoMethod,
     .node = "NormalBackward3",
     .doc = "Normally distributed numbers, each of its own mean and standard deviation."},
    {.schema = "normal(Tensor mean, float std=1, *, Generator? generator=None) -> Tensor",
     .forward = native<normal_mean>,
     .backward = zero_gradients,
     .flags = kNoMethod,
     .node = "NormalBackward1"},
    {.schema = "normal(float mean, Tensor std, *, Generator? generator=None) -> Tensor",
     .forward = native<normal_std>,
     .backward = zero_gradients,
     .flags = kNoMethod,
     .node = "NormalBackward2"},
    {.schema = "normal(float mean, float std, int[] size, " FLAMBEAU_DRAWN ") -> Tensor",
     .forward = normal_of_size,
     .flags = kMake | kNoMethod},
    {.schema = "bernoulli(Tensor input, *, Generator? generator=None) -> Tensor",
     .forward = bernoulli,
     .backward = zero_gradients,
     .flags = kWritesOut,
     .doc = "1 with the probabilities in input, 0 otherwise; or with probability p."},
    {.schema = "bernoulli(Tensor input, float p, *, Generator? generator=None) -> Tensor",
     .forward = bernoulli_p,
     .backward = zero_gradients,
     .flags = kWritesOut},
};

}  // namespace
}  // namespace flambeau
