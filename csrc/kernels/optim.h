// One step of an optimizer over all of its parameters.
#pragma once
#include "../dispatch.h"

namespace flambeau {

// One parameter: its elements count from `begin` of all; memory is dense and in the same order.
struct StepItem {
  int64_t begin;
  void* param;
  const void* grad;
  void* state[3];       // SGD: buffer; Adam: mean, mean square, largest mean square
  double rate, root;    // Adam: lr / (1 - beta1^t) and sqrt(1 - beta2^t)
};

struct StepArgs {
  const StepItem* items;  // the one after the last has only `begin`: the number of all elements
  int64_t count;
  bool is_double;
  bool maximize;
  double lr, weight_decay;
};

struct SgdArgs : StepArgs {
  double momentum, dampening;
  bool nesterov;
  bool first;  // buffers begin as the gradient
};

struct AdamArgs : StepArgs {
  double beta1, beta2, eps;
  bool amsgrad;
  bool decoupled;  // weight decay acts on the parameter, not on the gradient
};

inline Kernel<void(const SgdArgs&)> sgd_kernel{"SGD.step"};
inline Kernel<void(const AdamArgs&)> adam_kernel{"Adam.step"};

}  // namespace flambeau
