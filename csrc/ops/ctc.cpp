// Connectionist temporal classification; nn/functional/_ctc.py has the arguments as users give
// them.
#include "../kernels/ctc.h"

#include "../op.h"
#include "../stored.h"

namespace flambeau {
namespace {

void check_arguments(const Tensor& log_probs, const Tensor& labels, const Tensor& input_lengths,
                     const Tensor& target_lengths, int64_t blank) {
  const DType t = log_probs.dtype();
  check_implemented(t == DType::float32 || t == DType::float64, "ctc_loss", t);
  check(log_probs.dim() == 3 && labels.dim() == 2 && labels.sizes()[0] == log_probs.sizes()[1],
        "ctc_loss(): log_probs of shape ", log_probs.sizes(), " and labels of shape ",
        labels.sizes());
  const Ints batch{log_probs.sizes()[1]};
  for (const Tensor* t : {&labels, &input_lengths, &target_lengths})
    check(t->dtype() == DType::int64 && (t == &labels || t->sizes() == batch),
          "ctc_loss(): expected int64 labels and lengths of ", batch[0], " samples");
  check(blank >= 0 && blank < log_probs.sizes()[2], "blank must be in label range");
  if (log_probs.is_meta()) return;
  const int64_t times = log_probs.sizes()[0], longest = labels.sizes()[1];
  const auto* in = input_lengths.data<int64_t>();
  const auto* target = target_lengths.data<int64_t>();
  for (int64_t n = 0; n < batch[0]; ++n) {
    check(in[n] >= 0 && in[n] <= times, "Expected input_lengths to have value at most ", times,
          ", but got value ", in[n]);
    check(target[n] >= 0 && target[n] <= longest, "Expected target_lengths between 0 and ", longest,
          ", but got value ", target[n]);
    for (int64_t s = 0; s < target[n]; ++s) {
      const int64_t label = labels.data<int64_t>()[n * longest + s];
      check(label >= 0 && label < log_probs.sizes()[2], "ctc_loss(): label ", label,
            " is not below the number of classes ", log_probs.sizes()[2]);
    }
  }
}

CtcArgs arguments(const Tensor& log_probs, const Tensor& labels, const Tensor& input_lengths,
                  const Tensor& target_lengths, int64_t blank, bool zero_infinity) {
  CtcArgs a{};
  a.log_probs = log_probs.data();
  a.labels = labels.data<int64_t>();
  a.input_lengths = input_lengths.data<int64_t>();
  a.target_lengths = target_lengths.data<int64_t>();
  a.times = log_probs.sizes()[0], a.batch = log_probs.sizes()[1];
  a.classes = log_probs.sizes()[2], a.longest = labels.sizes()[1];
  a.blank = blank, a.width = 2 * a.longest + 5;
  a.zero_infinity = zero_infinity, a.f64 = log_probs.dtype() == DType::float64;
  return a;
}

std::tuple<Tensor, Tensor> ctc_loss(const Tensor& log_probs, const Tensor& labels,
                                    const Tensor& input_lengths, const Tensor& target_lengths,
                                    int64_t blank, bool zero_infinity) {
  const Tensor x = log_probs.contiguous_raw(), y = labels.contiguous_raw(),
               in = input_lengths.contiguous_raw(), out = target_lengths.contiguous_raw();
  check_arguments(x, y, in, out, blank);
  const int64_t times = x.sizes()[0], batch = x.sizes()[1];
  Tensor loss = empty(Ints{batch}, x.options());
  Tensor alpha = empty(Ints{batch, times, 2 * y.sizes()[1] + 5}, x.options());
  if (x.is_meta() || batch == 0) return {loss, alpha};
  CtcArgs a = arguments(x, y, in, out, blank, zero_infinity);
  a.alpha = alpha.data(), a.loss = loss.data();
  ctc_kernel(x.device_type(), a);
  return {loss, alpha};
}

// Not recorded: as in PyTorch there is no second gradient.
Tensor ctc_loss_backward(const Tensor& grad, const Tensor& log_probs, const Tensor& labels,
                         const Tensor& input_lengths, const Tensor& target_lengths,
                         const Tensor& alpha, int64_t blank, bool zero_infinity) {
  const Tensor x = log_probs.contiguous_raw(), y = labels.contiguous_raw(),
               in = input_lengths.contiguous_raw(), out = target_lengths.contiguous_raw(),
               g = grad.contiguous_raw();
  check_arguments(x, y, in, out, blank);
  Tensor result = empty(x.sizes(), x.options());
  if (x.is_meta() || !x.numel()) return result;
  CtcArgs a = arguments(x, y, in, out, blank, zero_infinity);
  check(alpha.sizes() == Ints({a.batch, a.times, a.width}) && g.sizes() == Ints({a.batch}) &&
            alpha.dtype() == x.dtype() && g.dtype() == x.dtype() && alpha.is_contiguous(),
        "ctc_loss(): gradients of another loss");
  a.alpha = alpha.data(), a.g = g.data(), a.grad = result.data();
  ctc_kernel(x.device_type(), a);
  return result;
}

FLAMBEAU_OPS{
    {.schema = "_ctc_loss(Tensor log_probs, Tensor labels, Tensor input_lengths, "
               "Tensor target_lengths, int blank, bool zero_infinity) -> (Tensor, Tensor)",
     .forward = native<ctc_loss>,
     .backward =
         [](Backward& b) {
           static const OpCall gradient("_ctc_loss_backward");
           b.set(0, gradient(b.grad(), b.in(0), b.in(1), b.in(2), b.in(3), b.out(1).alias(),
                             b.arg(4), b.arg(5)));
         },
     .saves = "log_probs, labels, input_lengths, target_lengths, result1",
     .flags = kInternal,
     .node = "CtcLossBackward0",
     .doc = "The loss of every sample, and the likelihoods of its states over time."},
    {.schema = "_ctc_loss_backward(Tensor grad, Tensor log_probs, Tensor labels, "
               "Tensor input_lengths, Tensor target_lengths, Tensor alpha, int blank, "
               "bool zero_infinity) -> Tensor",
     .forward = native<ctc_loss_backward>,
     .flags = kInternal,
     .doc = "The gradient of log_probs that came from a softmax."},
};

}  // namespace
}  // namespace flambeau
