// Autocast: while it is on, operators run in the floating-point type that suits them.
#pragma once
#include "op.h"

namespace flambeau {

// The devices that autocast is known for; the first are those of DeviceType.
constexpr const char* kAutocastDevices[] = {"cpu", "meta", "cuda", "mps",  "xpu",          "xla",
                                            "ipu", "hpu",  "mtia", "maia", "privateuseone"};
constexpr int kAutocastDeviceCount = 11;

struct Autocast {
  bool active = false;  // enabled for any device
  bool keeps = true;    // casts of weights are kept until the outermost region ends
  int nesting = 0;
  bool enabled[kAutocastDeviceCount] = {};
  DType dtype[kAutocastDeviceCount] = {DType::bfloat16, DType::bfloat16, DType::float16,
                                       DType::float16,  DType::float16,  DType::bfloat16,
                                       DType::float16,  DType::bfloat16, DType::float16,
                                       DType::bfloat16, DType::bfloat16};
};
extern constinit thread_local Autocast thread_autocast __attribute__((tls_model("initial-exec")));
inline bool autocasting() { return thread_autocast.active; }

// Casts the arguments of an operator that is on one of the lists.
void autocast_args(const Op& op, Value* args);
void clear_autocast_cache();
// Whether autocast left the cast of a weight to the operator, which may have it packed already.
inline bool later_cast(const Tensor& x, const Tensor& weight) {
  return autocasting() && x.dtype() == DType::bfloat16 && weight.dtype() == DType::float32;
}

enum class CastTo : uint8_t { lower, float32, widest };
struct AutocastRule {
  const char* name;  // without "nn.functional."
  CastTo to;
};
const std::vector<AutocastRule>& autocast_rules();

}  // namespace flambeau
