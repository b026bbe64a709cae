// Optimizer steps over lists of tensors, in one call and one parallel pass.
#include "../kernels/optim.h"

#include <algorithm>
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

  void run(Formula formula, StepArgs& args) const {
    args.items = items_.data();
    args.count = static_cast<int64_t>(items_.size()) - 1;
    args.is_double = held_[0].dtype() == DType::float64;
    step_kernel(held_[0].device_type(), formula, args);
    if (held_[0].device_type() == DeviceType::meta) return;
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

// -- what depends on the count of steps -----------------------------------------------------------
using std::pow, std::sqrt;

void adam_rates(double t, const double* k, double* r) {
  r[0] = k[0] / (1 - pow(k[1], t));
  r[1] = sqrt(1 - pow(k[2], t));
}

void nadam_rates(double t, const double* k, double* r, double* extra) {
  const auto momentum = [&](double at) { return k[1] * (1 - 0.5 * pow(0.96, at * k[4])); };
  const double now = momentum(t), next = momentum(t + 1);
  extra[0] *= now;
  const double product = extra[0];
  r[0] = k[0] * (1 - now) / (1 - product);
  r[1] = k[0] * next / (1 - product * next);
  r[2] = 1 - pow(k[2], t);
}

// Liu et al. 2020: how many gradients the mean square stands for, now and at most.
void radam_rates(double t, const double* k, double* r) {
  const double correction = 1 - pow(k[2], t), most = 2 / (1 - k[2]) - 1;
  const double now = most - 2 * t * pow(k[2], t) / correction;
  const double scale = (now - 4) * (now - 2) * most / ((most - 4) * (most - 2) * now);
  r[0] = 1 - pow(k[1], t);
  r[1] = sqrt(correction);
  r[2] = now > 5 ? sqrt(scale) : 0.0;
}

void asgd_rates(double t, const double* k, double* r, double* extra) {
  r[0] = 1 - k[1] * extra[0];
  r[1] = extra[0];
  r[2] = extra[1];
  extra[0] = k[0] / pow(1 + k[1] * k[0] * t, k[2]);
  extra[1] = 1 / std::max(1.0, t - k[3]);
}

void rates_of(Formula formula, double t, const double* k, double* r, double* extra) {
  switch (formula) {
#define OPTIMIZER(name, rates, ...) \
  case Formula::name: {             \
    rates;                          \
    break;                          \
  }
#include "optim.def"
#undef OPTIMIZER
  }
}

constexpr const char* kNames[] = {
#define OPTIMIZER(name, ...) #name,
#include "optim.def"
#undef OPTIMIZER
};

Formula formula_of(const std::string& name) {
  for (size_t i = 0; i < std::size(kNames); ++i)
    if (name == kNames[i]) return static_cast<Formula>(i);
  fail(ErrorKind::value, "no optimizer ", name);
}

// Numbers that an optimizer keeps for each parameter: float32, or another dtype in a checkpoint.
double read_number(const Tensor& t, const char* op) {
  check(t.numel() == 1 && t.device_type() == DeviceType::cpu, op,
        "(): counts of steps must each be one number on the CPU, got shape ", t.sizes());
  return item(t).to<double>();
}

void write_number(const Tensor& t, double value) {
  if (t.dtype() == DType::float32) {
    t.bump_version();
    *t.data<float>() = static_cast<float>(value);
    return;
  }
  static const OpCall fill("fill");
  NoGrad off;
  fill.inplace(t, value);
}

void optimizer_step(const std::string& name, const TensorList& params, const TensorList& grads,
                    const TensorList& state0, const TensorList& state1, const TensorList& state2,
                    const TensorList& counts, const TensorList& extra0, const TensorList& extra1,
                    const std::vector<double>& options, double weight_decay, bool maximize) {
  if (params.empty()) return;
  const Formula formula = formula_of(name);
  const char* op = name.c_str();
  Steps steps(op, params, grads);
  const TensorList* states[kStates] = {&state0, &state1, &state2};
  for (int i = 0; i < kStates; ++i)
    if (!states[i]->empty()) steps.state(i, *states[i]);
  StepArgs args{};
  check(options.size() <= kOptions, op, "(): ", options.size(), " options");
  std::copy(options.begin(), options.end(), args.options);
  args.weight_decay = weight_decay;
  args.maximize = maximize;
  const TensorList* extras[] = {&extra0, &extra1};
  for (const TensorList* numbers : {&counts, &extra0, &extra1})
    check(numbers->empty() || numbers->size() == params.size(), op, "(): ", numbers->size(),
          " counts for ", params.size(), " parameters");
  for (size_t i = 0; i < counts.size(); ++i) {
    const double t = read_number(counts[i], op) + 1;
    write_number(counts[i], t);
    double extra[] = {0, 0};
    for (int k = 0; k < 2; ++k)
      if (!extras[k]->empty()) extra[k] = read_number((*extras[k])[i], op);
    rates_of(formula, t, args.options, steps[i].rates, extra);
    for (int k = 0; k < 2; ++k)
      if (!extras[k]->empty()) write_number((*extras[k])[i], extra[k]);
  }
  steps.run(formula, args);
}

// -- the norm of many gradients, and scaling them -------------------------------------------------
std::vector<Block> blocks_of(const TensorList& tensors, Blocks* all) {
  std::vector<Block> blocks;
  for (const Tensor& t : tensors) {
    check(t.dtype() == tensors[0].dtype() && is_dense(t) && t.device() == tensors[0].device() &&
              (t.dtype() == DType::float32 || t.dtype() == DType::float64),
          "clip_grad_norm_(): wanted dense tensors, all of float32 or all of float64");
    auto* data = static_cast<char*>(t.data());
    const int64_t n = t.numel(), size = t.dtype() == DType::float64 ? 8 : 4;
    for (int64_t i = 0; i < n; i += kBlock)
      blocks.push_back({data + i * size, std::min(kBlock, n - i)});
  }
  *all = {blocks.data(), static_cast<int64_t>(blocks.size()), tensors[0].dtype() == DType::float64};
  return blocks;
}

Scalar total_norm(const TensorList& tensors) {
  if (tensors.empty()) return Scalar(0.0);
  Blocks all;
  const std::vector<Block> blocks = blocks_of(tensors, &all);
  std::vector<double> sums(blocks.size());
  square_sums_kernel(tensors[0].device_type(), all, sums.data());
  double sum = 0;
  for (double s : sums) sum += s;
  return Scalar(std::sqrt(sum));
}

void scale_all(const TensorList& tensors, double factor) {
  if (tensors.empty()) return;
  Blocks all;
  const std::vector<Block> blocks = blocks_of(tensors, &all);
  for (const Tensor& t : tensors) t.bump_version();
  scale_blocks_kernel(tensors[0].device_type(), all, factor);
}

FLAMBEAU_OPS{
    {.schema = "_total_norm(Tensor[] tensors) -> Scalar",
     .forward = native<total_norm>,
     .flags = kInternal | kNotDifferentiable,
     .doc = "The 2-norm of dense tensors of one type, as if they were one vector."},
    {.schema = "_scale_all(Tensor[] tensors, float factor) -> ()",
     .forward = native<scale_all>,
     .flags = kInternal | kNotDifferentiable,
     .doc = "Multiplies dense tensors of one type by a number, in place."},
    {.schema = "_optimizer_step(str name, Tensor[] params, Tensor[] grads, Tensor[] state0, "
               "Tensor[] state1, Tensor[] state2, Tensor[] counts, Tensor[] extra0, Tensor[] "
               "extra1, float[] options, float weight_decay, bool maximize) -> ()",
     .forward = native<optimizer_step>,
     .flags = kInternal | kNotDifferentiable,
     .doc = "One step of an optimizer of optim.def on every parameter, counted in `counts`; lists "
            "of states that the options do not want are empty."},
};

}  // namespace
}  // namespace flambeau
