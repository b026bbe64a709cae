// The cross entropy of logits and class numbers, fused; nn/functional/_softmax.py has the rest.
#include "../kernels/cross_entropy.h"
#include "../stored.h"

#include "expression.h"

namespace flambeau {
namespace {

enum Reduction : int64_t { none, mean, sum };  // PyTorch's numbers

// input, target, weight, ignore_index, label_smoothing, reduction
CrossEntropyArgs arguments(const Tensor& x, const Tensor& target, const Tensor& weight,
                           int64_t ignored, double smoothing) {
  CrossEntropyArgs a{};
  a.f64 = x.dtype() == DType::float64;
  a.smoothing = smoothing, a.ignored = ignored;
  a.outer = x.dim() > 1 ? x.sizes()[0] : 1;
  a.classes = x.sizes()[x.dim() > 1];
  a.inner = 1;
  for (int64_t d = 2; d < x.dim(); ++d) a.inner *= x.sizes()[d];
  a.x = x.data(), a.target = target.data<int64_t>();
  a.weight = weight.defined() ? weight.data() : nullptr;
  return a;
}

Tensor working(const Tensor& t) {
  if (!t.defined()) return t;
  return t.to_raw(t.dtype() == DType::float64 ? DType::float64 : DType::float32).contiguous_raw();
}

void check_shapes(const Tensor& x, const Tensor& target, const Tensor& weight) {
  check_implemented(is_floating(x.dtype()), "cross_entropy", x.dtype());
  check(x.dim() >= 1, "cross_entropy(): expected 1 or more dimensions, got ", x.dim());
  Ints wanted = x.sizes();
  wanted.erase(x.dim() > 1);
  check(target.sizes() == wanted && target.dtype() == DType::int64,
        "cross_entropy(): Expected target of int64 and size ", wanted, ", got ", target.dtype(),
        " of size ", target.sizes());
  check(!weight.defined() || (weight.dim() == 1 && weight.numel() == x.sizes()[x.dim() > 1] &&
                              weight.dtype() == x.dtype()),
        "cross_entropy(): weight needs one ", x.dtype(), " for each of ", x.sizes()[x.dim() > 1],
        " classes");
}

std::tuple<Tensor, Tensor, Tensor> run_forward(const Tensor& input, const Tensor& target,
                                               const Tensor& weight, int64_t ignored,
                                               double smoothing, int64_t reduction,
                                               bool log_probs) {
  static const OpCall call_sum("sum"), call_div("div");
  check_shapes(input, target, weight);
  const Tensor x = working(input), w = working(weight), t = target.contiguous_raw();
  Tensor loss = empty(t.sizes(), x.options()), share = empty(t.sizes(), x.options());
  Tensor normalizer = empty(Ints{log_probs ? 0 : 2, t.numel()}, x.options());
  if (!x.is_meta() && t.numel()) {
    int64_t bad = -1;
    CrossEntropyArgs a = arguments(x, t, w, ignored, smoothing);
    a.loss = loss.data(), a.share = share.data(), a.bad = &bad;
    a.normalizer = normalizer.data();
    a.log_probs = log_probs;
    cross_entropy_kernel(x.device_type(), a);
    check_index(bad < 0, "Target ", bad < 0 ? 0 : t.data<int64_t>()[bad], " is out of bounds.");
  }
  Tensor total = reduction == mean ? call_sum(share) : scalar_tensor(1.0, x.options());
  if (reduction != none) loss = call_sum(loss);
  if (reduction == mean) loss = call_div(loss, total);
  return {loss.to_raw(input.dtype()), normalizer, total};
}

std::tuple<Tensor, Tensor, Tensor> cross_entropy(const Tensor& input, const Tensor& target,
                                                 const Tensor& weight, int64_t ignored,
                                                 double smoothing, int64_t reduction) {
  return run_forward(input, target, weight, ignored, smoothing, reduction, false);
}
std::tuple<Tensor, Tensor> nll_loss(const Tensor& input, const Tensor& target, const Tensor& weight,
                                    int64_t ignored, int64_t reduction) {
  const auto [loss, none, total] = run_forward(input, target, weight, ignored, 0, reduction, true);
  return {loss, total};
}

// The target's share of every class, as a tensor of the input's shape.
Tensor shares(Backward& b, const Tensor& x, double smoothing) {
  static const OpCall ne("ne"), mul("mul"), unsqueeze("unsqueeze"), scatter_add("scatter_add"),
      index_select("index_select"), expand("expand"), reshape("reshape");
  NoGrad off;
  const int64_t dim = x.dim() > 1;
  const Tensor target = b.in(1), kept = ne(target, b.arg(3));
  const Tensor at = target * kept.to_raw(DType::int64);
  Tensor own = kept.to_raw(x.dtype());
  Tensor all = full(Ints{}, smoothing / static_cast<double>(x.sizes()[dim]), x.options());
  if (b.has(2)) {
    Ints column(static_cast<size_t>(x.dim()), 1);
    column[static_cast<size_t>(dim)] = -1;
    all = all * reshape(b.in(2), column);
    own = own * reshape(index_select(b.in(2), 0, reshape(at, Ints{-1})), target.sizes());
  }
  const Tensor base = expand(all, x.sizes()) * unsqueeze(kept.to_raw(x.dtype()), dim);
  return scatter_add(base, dim, unsqueeze(at, dim), unsqueeze(own * (1 - smoothing), dim));
}

void recorded(Backward& b, const Tensor& g) {
  static const OpCall softmax("softmax"), total("sum"), unsqueeze("unsqueeze");
  const Tensor x = b.in(0);
  const int64_t dim = x.dim() > 1;
  const Tensor t = shares(b, x, b.arg(4).as_double()), each = g.dim() ? unsqueeze(g, dim) : g;
  b.set(0, each * (softmax(x, dim) * total(t, Ints{dim}, true) - t));
}

void backward(Backward& b) {
  const int64_t reduction = b.arg(5).as_int();
  Tensor g = b.grad();
  if (reduction == mean) g = g / b.out(2).to_raw(g.dtype()).alias();  // a constant
  if (modes().grad) return recorded(b, g);
  const Tensor x = working(b.in(0)), t = b.in(1).contiguous_raw();
  const Tensor w = b.has(2) ? working(b.in(2)) : Tensor();
  Tensor dx = empty(x.sizes(), x.options());
  if (!x.is_meta() && x.numel()) {
    const Tensor normalizer = b.out(1), grads = working(g);
    int64_t bad;
    CrossEntropyArgs a = arguments(x, t, w, b.arg(3).as_int(), b.arg(4).as_double());
    a.normalizer = normalizer.data(), a.g = grads.data(), a.one_g = reduction != none;
    a.dx = dx.data(), a.bad = &bad;
    cross_entropy_kernel(x.device_type(), a);
  }
  b.set(0, dx.to_raw(b.dtype(0)));
}

// The gradient does not depend on the input, only on its shape.
void nll_backward(Backward& b) {
  static const OpCall unsqueeze("unsqueeze");
  const int64_t reduction = b.arg(4).as_int();
  Tensor g = b.grad();
  if (reduction == mean) g = g / b.out(1).to_raw(g.dtype()).alias();  // a constant
  Tensor dx = empty(b.sizes(0), g.options());
  if (modes().grad) {
    const Tensor t = shares(b, dx, 0);
    return b.set(0, (g.dim() ? unsqueeze(g, int64_t(t.dim() > 1)) : g) * -t);
  }
  dx = working(dx);
  if (!dx.is_meta() && dx.numel()) {
    const Tensor t = b.in(1).contiguous_raw(), grads = working(g);
    const Tensor w = b.has(2) ? working(b.in(2)) : Tensor();
    int64_t bad;
    CrossEntropyArgs a = arguments(dx, t, w, b.arg(3).as_int(), 0);
    a.log_probs = true;
    a.g = grads.data(), a.one_g = reduction != none;
    a.dx = dx.data(), a.bad = &bad;
    cross_entropy_kernel(dx.device_type(), a);
  }
  b.set(0, dx.to_raw(b.dtype(0)));
}

FLAMBEAU_OPS{
    {.schema = "_cross_entropy(Tensor input, Tensor target, Tensor? weight, int ignore_index, "
               "float label_smoothing, int reduction) -> (Tensor, Tensor, Tensor)",
     .forward = native<cross_entropy>,
     .backward = backward,
     .saves = "input, target, weight, result1, result2",
     .flags = kInternal,
     .node = "CrossEntropyBackward0",
     .doc = "The loss, what normalizes each row, and the sum of weights."},
    {.schema = "_nll_loss(Tensor input, Tensor target, Tensor? weight, int ignore_index, "
               "int reduction) -> (Tensor, Tensor)",
     .forward = native<nll_loss>,
     .backward = nll_backward,
     .saves = "target, weight, result1",
     .flags = kInternal,
     .node = "NllLossBackward0",
     .doc = "The loss of log-probabilities, and the sum of weights."},
};

}  // namespace
}  // namespace flambeau
