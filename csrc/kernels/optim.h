// One step of an optimizer over all of its parameters.
#pragma once
#include "../dispatch.h"

namespace flambeau {

constexpr int kStates = 3;  // tensors as large as the parameter that an optimizer may keep
constexpr int kRates = 3;
constexpr int kOptions = 6;

// One parameter: its elements count from `begin` of all; memory is dense and in the same order.
struct StepItem {
  int64_t begin;
  void* param;
  const void* grad;
  void* state[kStates];   // null where the options want none
  double rates[kRates];   // what depends on the count of steps
};

struct StepArgs {
  const StepItem* items;  // the one after the last has only `begin`: the number of all elements
  int64_t count;
  bool is_double;
  bool maximize;
  double weight_decay;    // what is added to the gradient
  double options[kOptions];  // in the order that the formula names them
};

enum class Formula : uint8_t {
#define OPTIMIZER(name, ...) name,
#include "../ops/optim.def"
#undef OPTIMIZER
};

inline Kernel<void(Formula, const StepArgs&)> step_kernel{"Optimizer.step"};

// A part of a list of tensors, of at most kBlock elements; parts are of equal length but the last
// of each tensor, whatever the number of threads.
struct Block {
  void* data;
  int64_t n;
};
constexpr int64_t kBlock = 8192;
struct Blocks {
  const Block* blocks;
  int64_t count;
  bool is_double;
};
inline Kernel<void(const Blocks&, double*)> square_sums_kernel{"clip_grad_norm_"};  // of each
inline Kernel<void(const Blocks&, double)> scale_blocks_kernel{"clip_grad_norm_"};

}  // namespace flambeau
