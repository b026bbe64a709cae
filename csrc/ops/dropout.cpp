// Dropout and rrelu: noise and product in one pass, one bit kept for each number.
#include <algorithm>
#include <cmath>

#include "random.h"

namespace flambeau {
namespace {

// 1 / (1 - p) as a number of the type.
double scale_for(double p, DType t) {
  if (t == DType::float64) return 1 / (1 - p);
  const float scale = 1.0f / static_cast<float>(1 - p);
  if (t == DType::float16) return static_cast<float>(float16(scale));
  if (t == DType::bfloat16) return static_cast<float>(bfloat16(scale));
  return scale;
}

// input in dense memory, in the order that a result shaped like it has.
Tensor in_order_of(const Tensor& like, const Tensor& x) {
  if (x.strides() == like.strides() && is_dense(x)) return x;
  const Tensor dense = empty_strided(like.sizes(), like.strides(), x.options());
  copy(dense, x);
  return dense;
}

void check_type_of(const Tensor& x) {
  const DType t = x.dtype();
  check(is_inexact(t), "dropout(): result type float32 can't be cast to the desired output type ",
        t);
  if (t != DType::float32 && t != DType::float64 && t != DType::float16 && t != DType::bfloat16)
    fail(ErrorKind::not_implemented, "dropout(): not implemented for ", t);
}

DropoutArgs arguments(const Tensor& x, const Tensor& y, const Tensor& mask, double p) {
  DropoutArgs a{};
  a.n = x.numel();
  a.x = x.data();
  a.y = y.data();
  a.type = drawn_type(x.dtype(), "dropout");
  a.scale = scale_for(p, x.dtype());
  a.mask = mask.data<uint64_t>();
  return a;
}

// The mask has one bit for each number, in memory order, in words of 64; after them come the
// strides of the memory that they run over.
std::tuple<Tensor, Tensor> drop(const Tensor& x, double p, Generator* g) {
  check_type_of(x);
  const Tensor y = empty_like(x);
  const int64_t words = (x.numel() + 63) / 64;
  const Tensor mask = empty(Ints{words + x.dim()}, x.options(DType::int64));
  if (x.is_meta()) return {y, mask};
  const Tensor from = in_order_of(y, x);
  draw_dropout(generator_or_default(g), arguments(from, y, mask, p), 1 - p);
  std::copy(y.strides().begin(), y.strides().end(), mask.data<int64_t>() + words);
  return {y, mask};
}

Tensor apply_mask(const Tensor& x, const Tensor& mask, double p) {
  if (x.is_meta()) return empty_like(x);
  const int64_t words = (x.numel() + 63) / 64;
  check(mask.numel() == words + x.dim(), "dropout: a mask of another shape than ", x.sizes());
  const int64_t* strides = mask.data<int64_t>() + words;
  const Tensor y = empty_strided(x.sizes(), {strides, static_cast<size_t>(x.dim())}, x.options());
  const Tensor from = in_order_of(y, x);
  apply_dropout(arguments(from, y, mask, p));
  return y;
}

const OpCall& masked() {
  static const OpCall call("_dropout_masked");
  return call;
}

Tensor dropout_in_place(const Tensor& x, double p) {
  static const OpCall draw("_dropout");
  TensorList drawn;
  {
    NoGrad off;
    drawn = draw.all(x, p);
  }
  masked().inplace(x, drawn[1], p);
  return x;
}

Tensor times_zero(const Tensor& x, bool inplace) {
  static const OpCall mul("mul");
  if (!inplace) return mul(x, 0.0);
  mul.inplace(x, 0.0);
  return x;
}

Tensor run_dropout(const Tensor& x, double p, bool train, bool inplace) {
  static const OpCall draw("_dropout");
  if (p == 0 || !train || x.numel() == 0) return x;
  if (p == 1) return times_zero(x, inplace);
  return inplace ? dropout_in_place(x, p) : draw(x, p);
}

void check_p(ErrorKind kind, double p) {
  if (!(p >= 0 && p <= 1)) fail(kind, "dropout probability has to be between 0 and 1, but got ", p);
}

Tensor dropout(const Tensor& x, double p, bool train) {
  check_p(ErrorKind::runtime, p);
  return run_dropout(x, p, train, false);
}
Tensor dropout_(const Tensor& x, double p, bool train) {
  check_p(ErrorKind::runtime, p);
  return run_dropout(x, p, train, true);
}
Tensor functional_dropout(const Tensor& x, double p, bool training, bool inplace) {
  check_p(ErrorKind::value, p);
  return run_dropout(x, p, training, inplace);
}

std::tuple<Tensor, Tensor> native_dropout(const Tensor& x, double p, std::optional<bool> train) {
  check_p(ErrorKind::runtime, p);
  const Tensor mask = empty_like(x, DType::boolean);
  if (x.numel() == 0 || !train.value_or(true)) {
    fill(mask, true);
    return {x.clone_raw(), mask};
  }
  static const OpCall mul("mul");
  bernoulli_fill(mask, 1 - p, nullptr);
  const double scale = p == 1 ? 0.0 : 1 / (1 - p);
  return {mul(mul(x, mask), scale), mask};
}
void native_dropout_backward(Backward& b) {
  static const OpCall mul("mul");
  const double p = b.arg(1).as_double();
  const bool train = b.arg(2).is_none() || b.arg(2).as_bool();
  const double scale = !train ? 1.0 : p == 1 ? 0.0 : 1 / (1 - p);
  b.set(0, mul(mul(b.grad(), b.out(1)), scale));
}

// -- rrelu ----------------------------------------------------------------------------------------
// Slopes drawn evenly from [lower, upper] where the input is not positive, 1 elsewhere.
std::tuple<Tensor, Tensor> rrelu_draw(const Tensor& x, double lower, double upper, Generator* g) {
  check(is_floating(x.dtype()), "rrelu(): not implemented for ", x.dtype());
  const Tensor noise = empty(x.sizes(), x.options());
  const Tensor y = empty(x.sizes(), x.options());
  if (x.is_meta()) return {y, noise};
  const Tensor from = x.contiguous_raw();
  Generator& generator = generator_or_default(g);
  visit(x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    if constexpr (std::is_floating_point_v<T> || is_reduced_float<T>) {
      const T* in = from.data<T>();
      const auto low = convert<double>(convert<T>(lower)),
                 high = convert<double>(convert<T>(upper));
      for (int64_t i = 0; i < x.numel(); ++i) {
        const auto v = convert<double>(in[i]);
        const T slope = convert<T>(v <= 0 ? generator.uniform() * (high - low) + low : 1.0);
        noise.data<T>()[i] = slope;
        y.data<T>()[i] = v <= 0 ? convert<T>(v * convert<double>(slope)) : in[i];
      }
    }
  });
  return {y, noise};
}
void rrelu_draw_backward(Backward& b) {
  static const OpCall mul("mul");
  if (b.grad().defined()) b.set(0, mul(b.grad(), b.out(1)));
}

Tensor rrelu(const Tensor& x, const Scalar& lower, const Scalar& upper, bool training,
             bool inplace) {
  static const OpCall draw("_rrelu"), leaky("_leaky_relu"), assign("copy_");
  const auto low = lower.to<double>(), high = upper.to<double>();
  check(low <= high, "Lower bound should be less than or equal to the upper bound");
  Tensor y = training ? draw(x, low, high) : leaky(x, (low + high) / 2);
  if (!inplace) return y;
  assign.inplace(x, y);
  return x;
}
Tensor rrelu_plain(const Tensor& x, const Scalar& lower, const Scalar& upper, bool training) {
  return rrelu(x, lower, upper, training, false);
}
Tensor rrelu_(const Tensor& x, const Scalar& lower, const Scalar& upper, bool training) {
  return rrelu(x, lower, upper, training, true);
}

FLAMBEAU_OPS{
    {.schema = "_dropout(Tensor input, float p, *, Generator? generator=None) -> (Tensor, Tensor)",
     .forward = native<drop>,
     .backward = [](Backward& b) { b.set(0, masked()(b.grad(), b.out(1), b.arg(1))); },
     .saves = "result1",
     .flags = kInternal,
     .node = "MulBackward0",
     .doc = "Dropout in training, and its mask."},
    {.schema = "_dropout_masked(Tensor input, Tensor mask, float p) -> Tensor",
     .forward = native<apply_mask>,
     .backward = [](Backward& b) { b.set(0, masked()(b.grad(), b.in(1), b.arg(2))); },
     .saves = "mask",
     .flags = kInternal | kInplace,
     .node = "MulBackward0",
     .doc = "Dropout by a mask that was drawn before."},
    {.schema = "dropout(Tensor input, float p, bool train) -> Tensor",
     .forward = native<dropout>,
     .flags = kComposite | kNoMethod,
     .doc =
         "Zeroes each number with probability p and scales the rest by 1 / (1 - p), in training."},
    {.schema = "dropout_(Tensor(a!) input, float p, bool train) -> Tensor(a!)",
     .forward = native<dropout_>,
     .flags = kComposite | kNoMethod,
     .doc = "Dropout in place."},
    {.schema = "nn.functional.dropout(Tensor input, float p=0.5, bool training=True, "
               "bool inplace=False) -> Tensor",
     .forward = native<functional_dropout>,
     .flags = kComposite,
     .doc =
         "Zeroes each number with probability p and scales the rest by 1 / (1 - p), in training."},
    {.schema = "native_dropout(Tensor input, float p, bool? train) -> (Tensor, Tensor)",
     .forward = native<native_dropout>,
     .backward = native_dropout_backward,
     .saves = "result1",
     .flags = kNoMethod,
     .doc = "Dropout and the mask of what it kept."},
    {.schema = "_rrelu(Tensor input, float lower, float upper, *, Generator? generator=None) -> "
               "(Tensor, Tensor)",
     .forward = native<rrelu_draw>,
     .backward = rrelu_draw_backward,
     .saves = "result1",
     .flags = kInternal,
     .node = "RreluWithNoiseBackward0",
     .doc = "rrelu in training, and its slopes."},
    {.schema = "rrelu(Tensor input, Scalar lower=0.125, Scalar upper=0.3333333333333333, "
               "bool training=False) -> Tensor",
     .forward = native<rrelu_plain>,
     .flags = kComposite | kNoMethod,
     .doc = "Leaky relu of a slope drawn evenly from [lower, upper] in training, of their mean "
            "otherwise."},
    {.schema = "rrelu_(Tensor(a!) input, Scalar lower=0.125, Scalar upper=0.3333333333333333, "
               "bool training=False) -> Tensor(a!)",
     .forward = native<rrelu_>,
     .flags = kComposite | kNoMethod,
     .doc = "rrelu in place."},
    {.schema = "nn.functional.rrelu_(Tensor(a!) input, Scalar lower=0.125, Scalar "
               "upper=0.3333333333333333, bool training=False) -> Tensor(a!)",
     .forward = native<rrelu_>,
     .flags = kComposite | kNoMethod,
     .doc = "rrelu in place."},
    {.schema = "nn.functional.rrelu(Tensor input, Scalar lower=0.125, Scalar "
               "upper=0.3333333333333333, bool training=False, bool inplace=False) -> Tensor",
     .forward = native<rrelu>,
     .flags = kComposite,
     .doc = "Leaky relu of a slope drawn evenly from [lower, upper] in training, of their mean "
            "otherwise."},
};

}  // namespace
}  // namespace flambeau
