// The steps that follow a product, over a run of one channel.
#pragma once
#include "each.h"
#include "kernels/finish.h"

namespace flambeau {
namespace FLAMBEAU_ISA {

template <class T>
FLAMBEAU_INLINE T rsqrt_of(T var, double eps) {
  return 1 / static_cast<T>(__builtin_sqrt(static_cast<double>(var + static_cast<T>(eps))));
}

// Batch normalization by given statistics as slope * x + shift.
template <class T>
struct Affine {
  T slope, shift;
};
template <class T>
FLAMBEAU_INLINE Affine<T> affine_of(const void* mean, const void* var, const void* weight,
                                    const void* bias, double eps, int64_t channel) {
  const auto at = [&](const void* p) { return static_cast<const T*>(p)[channel]; };
  const T r = rsqrt_of(at(var), eps), slope = weight ? at(weight) * r : r;
  return {slope, (bias ? at(bias) : T(0)) - at(mean) * slope};
}

template <class T>
void finish_step(const FinishStep& s, T* y, const T* other, int64_t n, int64_t channel) {
  using V = Vec<T>;
  if (s.kind == FinishStep::norm) {
    const Affine<T> a = affine_of<T>(s.mean, s.var, s.weight, s.bias, s.eps, channel);
    each<T>(n, [&](int64_t i, int64_t m) {
      fma(V::load_n(y + i, m), V(a.slope), V(a.shift)).store_n(y + i, m);
    });
  } else if (s.kind == FinishStep::add) {
    each<T>(n, [&](int64_t i, int64_t m) {
      (V::load_n(y + i, m) + V::load_n(other + i, m)).store_n(y + i, m);
    });
  } else {
    const void* in[1] = {y};
    s.fn(in, y, n, s.numbers);
  }
}

template <class T>
void finish_run(const Finish& f, T* y, int64_t n, int64_t channel) {
  const int64_t at = y - static_cast<T*>(f.origin);
  for (const FinishStep* s = f.steps; s < f.steps + f.count; ++s)
    finish_step(*s, y, static_cast<const T*>(s->other) + at, n, channel);
}

// Of bfloat16: every step computes in float.
inline void finish_run(const Finish& f, uint16_t* y, int64_t n, int64_t channel) {
  constexpr int64_t kBlock = 512;
  alignas(64) float numbers[kBlock], others[kBlock];
  for (int64_t b = 0; b < n; b += kBlock, y += kBlock) {
    const int64_t m = n - b < kBlock ? n - b : kBlock, at = y - static_cast<uint16_t*>(f.origin);
    for (const FinishStep* s = f.steps; s < f.steps + f.count; ++s) {
      bf16_to_float(y, numbers, m);
      if (s->other) bf16_to_float(static_cast<const uint16_t*>(s->other) + at, others, m);
      finish_step(*s, numbers, others, m, channel);
      float_to_bf16(numbers, y, m);
    }
  }
}

}  // namespace FLAMBEAU_ISA
}  // namespace flambeau
