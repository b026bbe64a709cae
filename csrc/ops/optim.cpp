// Optimizer steps over lists of tensors, in one call and one parallel pass.
#include "../kernels/optim.h"

#include <cmath>

#include "../op.h"

namespace flambeau {
namespace {

// Tensors laid out as their parameters are; where one is not, a copy works in its place.
class Steps {
 public:
  Steps(const char* op, const TensorList& params, const TensorList& grads) : op_(op) {
    check(params.size() == grads.size(), op, "(): ", params.size(), " parameters and ",
          grads.size(), " gradients");
    items_.resize(params.size() + 1);
    held_.reserve(params.size());
    int64_t begin = 0;
    for (size_t i = 0; i < params.size(); ++i) {
      const Tensor& p = params[i];
      check(p.dtype() == params[0].dtype() &&
                (p.dtype() == DType::float32 || p.dtype() == DType::float64),
            op, "(): parameters of float32 or of float64, got ", p.dtype());
      check(p.device() == params[0].device(), op, "(): parameters on several devices");
      check_no_internal_overlap(p, op);
      items_[i].begin = begin;
      begin += p.numel();
      held_.push_back(is_dense(p) ? p : p.clone_raw());
      if (!held_[i].is_same(p)) changed_.push_back({p, held_[i]});
      p.bump_version();
      items_[i].param = memory(held_[i]);
      items_[i].grad = memory(laid_out(grads[i], i));
    }
    items_.back().begin = begin;
  }

  void state(int slot, const TensorList& tensors) {
    check(tensors.size() + 1 == items_.size(), op_, "(): ", tensors.size(), " states for ",
          items_.size() - 1, " parameters");
    for (size_t i = 0; i < tensors.size(); ++i) {
      Tensor own = laid_out(tensors[i], i);
      if (!own.is_same(tensors[i])) changed_.push_back({tensors[i], own});
      tensors[i].bump_version();
      items_[i].state[slot] = memory(own);
    }
  }

  StepItem& operator[](size_t i) { return items_[i]; }

  void fill(StepArgs& args, bool maximize, double lr, double weight_decay) const {
    args.items = items_.data();
    args.count = static_cast<int64_t>(items_.size()) - 1;
    args.is_double = held_[0].dtype() == DType::float64;
    args.maximize = maximize;
    args.lr = lr;
    args.weight_decay = weight_decay;
  }

  DeviceType device() const { return held_[0].device_type(); }

  void finish() const {
    if (device() == DeviceType::meta) return;
    for (const auto& [tensor, own] : changed_) copy(tensor, own);
  }

 private:
  static void* memory(const Tensor& t) { return t.is_meta() ? nullptr : t.data(); }

  Tensor laid_out(const Tensor& t, size_t i) {
    const Tensor& p = held_[i];
    check(t.defined() && t.sizes() == p.sizes() && t.dtype() == p.dtype(), op_, "(): parameter ", i,
          " has shape ", p.sizes(), " and dtype ", p.dtype(), ", its gradient or state has shape ",
          t.sizes(), " and dtype ", t.dtype());
    check(t.device() == p.device(), op_, "(): parameter ", i,
          " and its gradient or state are on "
          "different devices");
    if (t.strides() == p.strides() || (t.is_contiguous() && p.is_contiguous())) return t;
    Tensor own = empty_strided(p.sizes(), p.strides(), p.options());
    if (!t.is_meta()) copy(own, t);
    copies_.push_back(own);
    return own;
  }

  const char* op_;
  std::vector<StepItem> items_;
  TensorList held_, copies_;
  std::vector<std::pair<Tensor, Tensor>> changed_;
};

void sgd_step(const TensorList& params, const TensorList& grads, const TensorList& buffers,
              double lr, double momentum, double dampening, double weight_decay, bool nesterov,
              bool maximize, bool first) {
  if (params.empty()) return;
  Steps steps("SGD.step", params, grads);
  if (momentum != 0) steps.state(0, buffers);
  SgdArgs args{};
  steps.fill(args, maximize, lr, weight_decay);
  args.momentum = momentum;
  args.dampening = dampening;
  args.nesterov = nesterov;
  args.first = first;
  sgd_kernel(steps.device(), args);
  steps.finish();
}

// Counts the step in a float32 tensor, as checkpoints have it, and returns the count.
double count_step(const Tensor& count) {
  check(count.numel() == 1 && count.dtype() == DType::float32 &&
            count.device_type() == DeviceType::cpu,
        "Adam.step(): the count of steps must be one float32 on the CPU, got shape ", count.sizes(),
        " and dtype ", count.dtype());
  count.bump_version();
  return ++*count.data<float>();
}

void adam_step(const TensorList& params, const TensorList& grads, const TensorList& means,
               const TensorList& squares, const TensorList& largest, const TensorList& counts,
               double lr, double beta1, double beta2, double eps, double weight_decay,
               bool maximize, bool decoupled) {
  if (params.empty()) return;
  Steps steps("Adam.step", params, grads);
  steps.state(0, means);
  steps.state(1, squares);
  if (!largest.empty()) steps.state(2, largest);
  check(counts.size() == params.size(), "Adam.step(): ", counts.size(), " counts for ",
        params.size(), " parameters");
  for (size_t i = 0; i < params.size(); ++i) {
    const double t = count_step(counts[i]);
    steps[i].rate = lr / (1 - std::pow(beta1, t));
    steps[i].root = std::sqrt(1 - std::pow(beta2, t));
  }
  AdamArgs args{};
  steps.fill(args, maximize, lr, weight_decay);
  args.beta1 = beta1;
  args.beta2 = beta2;
  args.eps = eps;
  args.amsgrad = !largest.empty();
  args.decoupled = decoupled;
  adam_kernel(steps.device(), args);
  steps.finish();
}

FLAMBEAU_OPS{
    {.schema = "_sgd_step(Tensor[] params, Tensor[] grads, Tensor[] buffers, float lr, float "
               "momentum, float dampening, float weight_decay, bool nesterov, bool maximize, bool "
               "first) -> ()",
     .forward = native<sgd_step>,
     .flags = kInternal | kNotDifferentiable,
     .doc = "One step of gradient descent on every parameter; `first` fills the buffers."},
    {.schema = "_adam_step(Tensor[] params, Tensor[] grads, Tensor[] exp_avgs, Tensor[] "
               "exp_avg_sqs, Tensor[] max_exp_avg_sqs, Tensor[] steps, float lr, float beta1, "
               "float beta2, float eps, float weight_decay, bool maximize, bool decoupled) -> ()",
     .forward = native<adam_step>,
     .flags = kInternal | kNotDifferentiable,
     .doc = "One step of Adam on every parameter, counted in `steps`."},
};

}  // namespace
}  // namespace flambeau
