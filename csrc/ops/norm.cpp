// Batch normalization in training and layer normalization, fused.
#include "../kernels/norm.h"

#include <algorithm>

#include "expression.h"

namespace flambeau {
namespace {

const void* memory(const Tensor& t) { return t.defined() ? t.data() : nullptr; }

void check_inputs(const Tensor& x, std::initializer_list<Tensor> others, const char* op) {
  check(x.dtype() == DType::float32 || x.dtype() == DType::float64, op,
        "(): expected float32 or float64, got ", x.dtype());
  check(x.dim() >= 2, op, "(): expected at least 2 dimensions, got ", x.dim());
  for (const Tensor& t : others)
    check(!t.defined() || (t.dtype() == x.dtype() && t.device() == x.device() && t.dim() == 1 &&
                           t.numel() == x.sizes()[1]),
          op, "(): weight and bias need one ", x.dtype(), " for each of ", x.sizes()[1]);
}

// [N, C, ...] as outer, channels and inner.
NormArgs arguments(const Tensor& x, double eps) {
  NormArgs a{};
  a.f64 = x.dtype() == DType::float64;
  a.eps = eps;
  a.outer = x.sizes()[0], a.channels = x.sizes()[1], a.inner = 1;
  for (int64_t d = 2; d < x.dim(); ++d) a.inner *= x.sizes()[d];
  // By size alone: at most 64 blocks.
  a.grain = std::max((a.outer + 63) / 64, 8192 / (a.channels + 1) + 1);
  return a;
}

template <bool layer>
std::tuple<Tensor, Tensor, Tensor> forward(const Tensor& input, const Tensor& weight,
                                           const Tensor& bias, double eps) {
  check_inputs(input, {weight, bias}, layer ? "layer_norm" : "batch_norm");
  Tensor out = empty(input.sizes(), input.options());
  const Ints groups{input.sizes()[layer ? 0 : 1]};
  Tensor mean = empty(groups, input.options()), var = empty(groups, input.options());
  if (input.is_meta()) return {out, mean, var};
  const Tensor x = input.contiguous_raw(), w = weight.defined() ? weight.contiguous_raw() : weight,
               b = bias.defined() ? bias.contiguous_raw() : bias;
  NormArgs a = arguments(x, eps);
  a.x = x.data(), a.weight = memory(w), a.bias = memory(b);
  a.out = out.data(), a.mean = mean.data(), a.var = var.data();
  (layer ? layer_norm_kernel : batch_norm_kernel)(x.device_type(), a);
  return {out, mean, var};
}

struct Gradients {
  Tensor x, weight, bias;
};

template <bool layer>
Gradients fused(Backward& b) {
  const Tensor x = b.in(0).contiguous_raw(), g = b.grad().contiguous_raw();
  const Tensor w = b.has(1) ? b.in(1).contiguous_raw() : Tensor();
  const Tensor mean = b.out(1), var = b.out(2);
  NormArgs a = arguments(x, b.arg(3).as_double());
  const Ints channels{a.channels};
  Gradients r{empty(x.sizes(), x.options()), empty(channels, x.options()),
              empty(channels, x.options())};
  if (x.is_meta()) return r;
  const int64_t blocks = layer ? (a.outer + a.grain - 1) / a.grain : 0;
  const Tensor partial = empty(Ints{2 * blocks * a.channels}, x.options());
  a.x = x.data(), a.g = g.data(), a.weight = memory(w);
  a.mean = mean.data(), a.var = var.data(), a.partial = partial.data();
  a.out = r.x.data(), a.dweight = r.weight.data(), a.dbias = r.bias.data();
  (layer ? layer_norm_kernel : batch_norm_kernel)(x.device_type(), a);
  return r;
}

// The same made of recorded operators, to differentiate again.
template <bool layer>
Gradients recorded(Backward& b) {
  static const OpCall mean("mean"), sum("sum"), rsqrt("rsqrt"), reshape("reshape");
  const Tensor x = b.in(0), g = b.grad();
  Ints others{0}, shape{1, -1};  // all dimensions but the channels'
  for (int64_t d = 2; d < x.dim(); ++d) others.push_back(d), shape.push_back(1);
  const Ints over = layer ? Ints{1} : others;
  const Tensor centered = x - mean(x, over, true);
  const Tensor r = rsqrt(mean(centered * centered, over, true) + b.arg(3).as_double());
  const Tensor h = centered * r, e = b.has(1) ? g * reshape(b.in(1), shape) : g;
  return {r * (e - mean(e, over, true) - h * mean(e * h, over, true)), sum(g * h, others),
          sum(g, others)};
}

template <bool layer>
void backward(Backward& b) {
  const Gradients r = modes().grad ? recorded<layer>(b) : fused<layer>(b);
  b.set(0, r.x);
  if (b.has(1)) b.set(1, r.weight);
  if (b.has(2)) b.set(2, r.bias);
}

}  // namespace

FLAMBEAU_OPS({
    {.schema = "_batch_norm(Tensor input, Tensor? weight, Tensor? bias, float eps) -> "
               "(Tensor, Tensor, Tensor)",
     .forward = native<forward<false>>,
     .backward = backward<false>,
     .saves = "input, weight, result1, result2",
     .flags = kInternal,
     .node = "NativeBatchNormBackward0",
     .doc = "Batch normalization in training; its mean and variance, without their gradients."},
    {.schema = "_layer_norm(Tensor input, Tensor? weight, Tensor? bias, float eps) -> "
               "(Tensor, Tensor, Tensor)",
     .forward = native<forward<true>>,
     .backward = backward<true>,
     .saves = "input, weight, result1, result2",
     .flags = kInternal,
     .node = "NativeLayerNormBackward0",
     .doc = "Normalization of each row; its mean and variance, without their gradients."},
});

}  // namespace flambeau
