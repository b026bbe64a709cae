// Batch, layer, root-mean-square and group normalization, fused; nn/functional/_norm.py has what
// surrounds them.
#include "../kernels/norm.h"

#include <algorithm>

#include "../fused.h"
#include "expression.h"
#include "reduce.h"

namespace flambeau {
namespace {

const void* memory(const Tensor& t) { return t.defined() ? t.data() : nullptr; }

NormArgs::Half half_of(DType t) {
  return t == DType::bfloat16  ? NormArgs::bf16
         : t == DType::float16 ? NormArgs::f16
                               : NormArgs::none;
}

// The type of all but the input and the result.
DType wide_type(DType t) { return half_of(t) ? DType::float32 : t; }

void check_inputs(const Tensor& x, std::initializer_list<Tensor> others, const char* op,
                  bool half = false) {
  const DType wanted = half ? wide_type(x.dtype()) : x.dtype();
  check(wanted == DType::float32 || wanted == DType::float64, op,
        "(): expected float32 or float64, got ", wanted);
  check(x.dim() >= 2, op, "(): expected at least 2 dimensions, got ", x.dim());
  for (const Tensor& t : others)
    check(!t.defined() || (t.dtype() == wanted && t.device() == x.device() && t.dim() == 1 &&
                           t.numel() == x.sizes()[1]),
          op, "(): weight and bias need one ", wanted, " for each of ", x.sizes()[1]);
}

bool channels_last(const Tensor& x) {
  return !x.is_contiguous() && ((x.dim() == 4 && x.is_contiguous(MemoryFormat::channels_last)) ||
                                (x.dim() == 5 && x.is_contiguous(MemoryFormat::channels_last_3d)));
}
// As x is: row by row, or with the channels last.
Tensor in_order(const Tensor& t, bool last) {
  if (!last) return t.contiguous_raw();
  if (channels_last(t)) return t;
  Tensor y = empty_strided(t.sizes(), channels_last_strides(t.sizes()), t.options());
  copy(y, t);
  return y;
}
Tensor empty_as(const Tensor& x) {
  return channels_last(x) ? empty_strided(x.sizes(), x.strides(), x.options())
                          : empty(x.sizes(), x.options());
}

// [N, C, ...] as outer, channels and inner.
NormArgs arguments(const Tensor& x, double eps) {
  NormArgs a{};
  a.f64 = x.dtype() == DType::float64;
  a.eps = eps;
  a.outer = x.sizes()[0], a.channels = x.sizes()[1], a.inner = 1;
  for (int64_t d = 2; d < x.dim(); ++d) a.inner *= x.sizes()[d];
  if (channels_last(x)) a.outer *= a.inner, a.inner = 1;
  a.centered = true;
  // By size alone: at most 64 blocks.
  a.grain = std::max((a.outer + 63) / 64, 8192 / (a.channels + 1) + 1);
  return a;
}

template <bool layer>
std::tuple<Tensor, Tensor, Tensor> forward(const Tensor& input, const Tensor& weight,
                                           const Tensor& bias, double eps) {
  const DType wide = wide_type(input.dtype());
  const auto widened = [&](const Tensor& t) {
    return t.defined() ? t.to_raw(layer ? wide : t.dtype()).contiguous_raw() : t;
  };
  const Tensor w = widened(weight), b = widened(bias);
  check_inputs(input, {w, b}, layer ? "layer_norm" : "batch_norm", layer);
  const bool last = channels_last(input);
  Tensor out = empty_as(input);
  const Ints groups{input.sizes()[layer ? 0 : 1]};
  const Options options{wide, input.device()};
  Tensor mean = empty(groups, options), var = empty(groups, options);
  if (input.is_meta()) return {out, mean, var};
  const Tensor x = in_order(input, last);
  NormArgs a = arguments(x, eps);
  a.half = half_of(x.dtype());
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
  const bool last = channels_last(b.in(0));
  const Tensor x = in_order(b.in(0), last), g = in_order(b.grad().to_raw(x.dtype()), last);
  const Options wide{wide_type(x.dtype()), x.device()};
  const Tensor w = b.has(1) ? b.in(1).to_raw(wide.dtype).contiguous_raw() : Tensor();
  const Tensor mean = b.out(1), var = b.out(2);
  NormArgs a = arguments(x, b.arg(3).as_double());
  a.half = half_of(x.dtype());
  const Ints channels{a.channels};
  Gradients r{empty_as(x), empty(channels, wide), empty(channels, wide)};
  if (x.is_meta()) return r;
  const int64_t blocks = layer ? (a.outer + a.grain - 1) / a.grain : 0;
  const Tensor partial = empty(Ints{2 * blocks * a.channels}, wide);
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
  const DType wide = wide_type(b.dtype(0));
  const Tensor x = in_type(b.in(0), wide), g = in_type(b.grad(), wide);
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
  b.set(0, in_type(r.x, b.dtype(0)));
  if (b.has(1)) b.set(1, in_type(r.weight, b.dtype(1)));
  if (b.has(2)) b.set(2, in_type(r.bias, b.dtype(2)));
}

// -- batch normalization by given statistics ------------------------------------------------------
Tensor fixed_forward(const Tensor& input, const Tensor& weight, const Tensor& bias,
                     const Tensor& mean, const Tensor& var, double eps) {
  const bool bf16 = input.dtype() == DType::bfloat16 && mean.dtype() == DType::float32;
  check_inputs(input, {weight, bias, mean, var}, "batch_norm", bf16);
  const bool last = channels_last(input);
  Tensor out = empty_as(input);
  if (input.is_meta()) return out;
  const Tensor x = in_order(input, last), w = weight.defined() ? weight.contiguous_raw() : weight,
               b = bias.defined() ? bias.contiguous_raw() : bias, m = mean.contiguous_raw(),
               v = var.contiguous_raw();
  NormArgs a = arguments(x, eps);
  a.fixed = true, a.half = half_of(x.dtype());
  a.x = x.data(), a.weight = memory(w), a.bias = memory(b);
  a.out = out.data(), a.mean = m.data(), a.var = v.data();
  batch_norm_kernel(x.device_type(), a);
  return out;
}

bool fuse_fixed(const Op&, Value* args, Value* results) {
  if (!fused_open && !fused_seen.result) return false;
  const Tensor& x = args[0].as_tensor();
  FinishStep step{.kind = FinishStep::norm, .eps = args[5].as_double()};
  const void** places[] = {&step.weight, &step.bias, &step.mean, &step.var};
  TensorList reads;
  for (int i = 0; i < 4; ++i) {
    const Tensor& t = args[i + 1].as_tensor();
    if (!t.defined()) continue;
    const bool fits = t.dtype() == DType::float32 && t.is_contiguous() && x.dim() >= 2 &&
                      t.dim() == 1 && t.numel() == x.sizes()[1] && !t.is_meta();
    if (!fits) return false;
    *places[i] = t.data();
    reads.push_back(t);
  }
  return extend_fused(x, step, reads, results);
}

Gradients fixed_fused(Backward& b) {
  const bool last = channels_last(b.in(0));
  const Tensor x = in_order(b.in(0), last), g = in_order(b.grad(), last);
  const Tensor w = b.has(1) ? b.in(1).contiguous_raw() : Tensor();
  const Tensor mean = b.in(3).contiguous_raw(), var = b.in(4).contiguous_raw();
  NormArgs a = arguments(x, b.arg(5).as_double());
  const Ints channels{a.channels};
  Gradients r{empty_as(x), empty(channels, x.options()), empty(channels, x.options())};
  if (x.is_meta()) return r;
  a.fixed = true;
  a.x = x.data(), a.g = g.data(), a.weight = memory(w);
  a.mean = mean.data(), a.var = var.data();
  a.out = r.x.data(), a.dweight = r.weight.data(), a.dbias = r.bias.data();
  batch_norm_kernel(x.device_type(), a);
  return r;
}

// Rows through the fused operator where it takes them.
Tensor layer_norm(const Tensor& input, const Ints& shape, const Tensor& weight, const Tensor& bias,
                  double eps) {
  static const OpCall reshape("reshape"), fused("_layer_norm"), mean("mean"), rsqrt("rsqrt"),
      self("nn.functional.layer_norm");
  const auto dims = static_cast<int64_t>(shape.size());
  const int64_t lead = input.dim() - dims;
  bool fits = dims > 0 && lead >= 0;
  for (int64_t d = 0; fits && d < dims; ++d) fits = input.sizes()[lead + d] == shape[d];
  check(fits, "Given normalized_shape=", shape, ", expected input with shape [*, ",
        cat(shape).substr(1), ", but got input of size ", input.sizes());
  int64_t n = 1;
  for (int64_t s : shape) n *= s;
  const DType wide = wide_type(input.dtype());
  bool direct = input.numel() > 0 && (wide == DType::float32 || wide == DType::float64);
  for (const Tensor& t : {weight, bias})
    direct = direct && (!t.defined() || (t.sizes() == shape && wide_type(t.dtype()) == wide &&
                                         t.device() == input.device()));
  if (direct) {
    const auto flat = [&](const Tensor& t) {
      return t.defined() && dims > 1 ? reshape(t, Ints{n}) : t;
    };
    if (input.dim() == 2 && dims == 1) return fused(input, weight, bias, eps);
    const Tensor rows = reshape(input, Ints{input.numel() / n, n});
    return reshape(fused(rows, flat(weight), flat(bias), eps), input.sizes());
  }
  if (wide != input.dtype()) {
    const auto widened = [&](const Tensor& t) { return t.defined() ? in_type(t, wide) : t; };
    return in_type(self(widened(input), shape, widened(weight), widened(bias), eps), input.dtype());
  }
  Ints last;
  for (int64_t d = lead; d < input.dim(); ++d) last.push_back(d);
  const Tensor centered = input - mean(input, last, true);
  Tensor y = centered * rsqrt(mean(centered * centered, last, true) + eps);
  if (weight.defined()) y = y * weight;
  return bias.defined() ? y + bias : y;
}

void fixed_backward(Backward& b) {
  static const OpCall sum("sum"), rsqrt("rsqrt"), reshape("reshape");
  if (!modes().grad) {
    const Gradients r = fixed_fused(b);
    b.set(0, r.x);
    if (b.has(1)) b.set(1, r.weight);
    if (b.has(2)) b.set(2, r.bias);
    return;
  }
  const Tensor g = b.grad();
  Ints others{0}, shape{1, -1};
  for (size_t d = 2; d < b.sizes(0).size(); ++d)
    others.push_back(static_cast<int64_t>(d)), shape.push_back(1);
  const Tensor r = rsqrt(b.in(4) + b.arg(5).as_double());
  if (b.needs(0)) b.set(0, g * reshape(b.has(1) ? b.in(1) * r : r, shape));
  if (b.has(1) && b.needs(1)) {
    const Tensor h = (b.in(0) - reshape(b.in(3), shape)) * reshape(r, shape);
    b.set(1, sum(g * h, others));
  }
  if (b.has(2) && b.needs(2)) b.set(2, sum(g, others));
}

// -- root mean square -----------------------------------------------------------------------------
std::tuple<Tensor, Tensor> rms_forward(const Tensor& input, const Tensor& weight, double eps) {
  check_inputs(input, {weight}, "rms_norm");
  Tensor out = empty(input.sizes(), input.options());
  Tensor square = empty(Ints{input.sizes()[0]}, input.options());
  if (input.is_meta()) return {out, square};
  const Tensor x = input.contiguous_raw(), w = weight.defined() ? weight.contiguous_raw() : weight;
  const Tensor mean = empty(square.sizes(), input.options());
  NormArgs a = arguments(x, eps);
  a.centered = false;
  a.x = x.data(), a.weight = memory(w);
  a.out = out.data(), a.mean = mean.data(), a.var = square.data();
  layer_norm_kernel(x.device_type(), a);
  return {out, square};
}

void rms_backward(Backward& b) {
  static const OpCall mean("mean"), sum("sum"), rsqrt("rsqrt");
  const double eps = b.arg(2).as_double();
  if (modes().grad) {
    const Tensor x = b.in(0), g = b.grad(), r = rsqrt(mean(x * x, Ints{1}, true) + eps);
    const Tensor h = x * r, e = b.has(1) ? g * b.in(1) : g;
    b.set(0, r * (e - h * mean(e * h, Ints{1}, true)));
    if (b.has(1)) b.set(1, sum(g * h, Ints{0}));
    return;
  }
  const Tensor x = b.in(0).contiguous_raw(), g = b.grad().contiguous_raw(), square = b.out(1);
  const Tensor w = b.has(1) ? b.in(1).contiguous_raw() : Tensor();
  NormArgs a = arguments(x, eps);
  Tensor dx = empty(x.sizes(), x.options()), dw = empty(Ints{a.channels}, x.options());
  if (!x.is_meta()) {
    const Tensor mean_of_rows = zeros(square.sizes(), x.options()),
                 db = empty(dw.sizes(), x.options()),
                 partial =
                     empty(Ints{2 * ((a.outer + a.grain - 1) / a.grain) * a.channels}, x.options());
    a.centered = false;
    a.x = x.data(), a.g = g.data(), a.weight = memory(w);
    a.mean = mean_of_rows.data(), a.var = square.data(), a.partial = partial.data();
    a.out = dx.data(), a.dweight = dw.data(), a.dbias = db.data();
    layer_norm_kernel(x.device_type(), a);
  }
  b.set(0, dx);
  if (b.has(1)) b.set(1, dw);
}

// -- groups ---------------------------------------------------------------------------------------
GroupNormArgs group_arguments(const Tensor& x, int64_t groups, double eps) {
  GroupNormArgs a{};
  a.f64 = x.dtype() == DType::float64;
  a.eps = eps;
  a.outer = x.sizes()[0], a.groups = groups, a.channels = x.sizes()[1] / groups, a.inner = 1;
  for (int64_t d = 2; d < x.dim(); ++d) a.inner *= x.sizes()[d];
  return a;
}

std::tuple<Tensor, Tensor, Tensor> group_forward(const Tensor& input, const Tensor& weight,
                                                 const Tensor& bias, int64_t groups, double eps) {
  check_inputs(input, {weight, bias}, "group_norm");
  check(groups > 0 && input.sizes()[1] % groups == 0, "group_norm(): ", groups, " groups of ",
        input.sizes()[1], " channels");
  Tensor out = empty(input.sizes(), input.options());
  const Ints shape{input.sizes()[0], groups};
  Tensor mean = empty(shape, input.options()), var = empty(shape, input.options());
  if (input.is_meta()) return {out, mean, var};
  const Tensor x = input.contiguous_raw(), w = weight.defined() ? weight.contiguous_raw() : weight,
               b = bias.defined() ? bias.contiguous_raw() : bias;
  GroupNormArgs a = group_arguments(x, groups, eps);
  a.x = x.data(), a.weight = memory(w), a.bias = memory(b);
  a.out = out.data(), a.mean = mean.data(), a.var = var.data();
  group_norm_kernel(x.device_type(), a);
  return {out, mean, var};
}

void group_recorded(Backward& b) {
  static const OpCall mean("mean"), sum("sum"), rsqrt("rsqrt"), reshape("reshape");
  const Ints sizes = b.sizes(0);
  Ints others{0}, shape{1, -1};
  for (size_t d = 2; d < sizes.size(); ++d)
    others.push_back(static_cast<int64_t>(d)), shape.push_back(1);
  const Ints rows{sizes[0], b.arg(3).as_int(), -1}, last{2};
  const auto grouped = [&](const Tensor& t) { return reshape(t, rows); };
  const Tensor x = grouped(b.in(0)), g = b.grad();
  const Tensor centered = x - mean(x, last, true);
  const Tensor r = rsqrt(mean(centered * centered, last, true) + b.arg(4).as_double());
  const Tensor h = centered * r, e = grouped(b.has(1) ? g * reshape(b.in(1), shape) : g);
  b.set(0, reshape(r * (e - mean(e, last, true) - h * mean(e * h, last, true)), sizes));
  if (b.has(1)) b.set(1, sum(g * reshape(h, sizes), others));
  if (b.has(2)) b.set(2, sum(g, others));
}

void group_backward(Backward& b) {
  static const OpCall sum("sum");
  if (modes().grad) return group_recorded(b);
  const Tensor x = b.in(0).contiguous_raw(), g = b.grad().contiguous_raw();
  const Tensor w = b.has(1) ? b.in(1).contiguous_raw() : Tensor();
  const Tensor mean = b.out(1), var = b.out(2);
  Tensor dx = empty(x.sizes(), x.options());
  const Ints shape{x.sizes()[0], x.sizes()[1]};
  const Tensor dw = empty(shape, x.options()), db = empty(shape, x.options());
  if (!x.is_meta()) {
    GroupNormArgs a = group_arguments(x, b.arg(3).as_int(), b.arg(4).as_double());
    a.x = x.data(), a.g = g.data(), a.weight = memory(w);
    a.mean = mean.data(), a.var = var.data();
    a.out = dx.data(), a.dweight = dw.data(), a.dbias = db.data();
    group_norm_kernel(x.device_type(), a);
  }
  b.set(0, dx);
  if (b.has(1)) b.set(1, sum(dw, Ints{0}));
  if (b.has(2)) b.set(2, sum(db, Ints{0}));
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
    {.schema = "nn.functional.layer_norm(Tensor input, int[] normalized_shape, "
               "Tensor? weight=None, Tensor? bias=None, float eps=1e-5) -> Tensor",
     .forward = native<layer_norm>,
     .flags = kComposite | kNoMethod,
     .node = "NativeLayerNormBackward0",
     .doc = "Normalizes over the last dimensions, which must be normalized_shape."},
    {.schema = "_batch_norm_fixed(Tensor input, Tensor? weight, Tensor? bias, Tensor mean, "
               "Tensor var, float eps) -> Tensor",
     .forward = native<fixed_forward>,
     .backward = fixed_backward,
     .fuse = fuse_fixed,
     .saves = "input, weight, mean, var",
     .flags = kInternal,
     .node = "NativeBatchNormBackward0",
     .doc = "Batch normalization by given statistics, which take no gradient."},
    {.schema = "_rms_norm(Tensor input, Tensor? weight, float eps) -> (Tensor, Tensor)",
     .forward = native<rms_forward>,
     .backward = rms_backward,
     .saves = "input, weight, result1",
     .flags = kInternal,
     .node = "FusedRmsNormBackward0",
     .doc = "Each row over the root of its mean square; that mean, without its gradient."},
    {.schema = "_group_norm(Tensor input, Tensor? weight, Tensor? bias, int groups, float eps) -> "
               "(Tensor, Tensor, Tensor)",
     .forward = native<group_forward>,
     .backward = group_backward,
     .saves = "input, weight, result1, result2",
     .flags = kInternal,
     .node = "NativeGroupNormBackward0",
     .doc = "Normalization of groups of channels; their mean and variance, without gradients."},
});

}  // namespace flambeau
