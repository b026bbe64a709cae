// What the operators that draw share: element types, memory order, checks.
#pragma once
#include "../op.h"
#include "../random.h"

namespace flambeau {

inline Generator& generator_or_default(Generator* g) { return g ? *g : default_generator(); }

// The element type as drawing sees it; types that nothing is drawn in are refused.
Drawn drawn_type(DType t, const char* op);

// t with its dimensions in the order in which it lies in memory: numbers are drawn in that order.
Tensor in_memory_order(const Tensor& t);

// Calls f(out, n) to write t's numbers in memory order: in place, or by way of a dense copy.
template <class F>
void draw_into(const Tensor& t, const F& f) {
  if (t.is_meta() || t.numel() == 0) return;
  if (is_dense(t)) return f(t.data(), t.numel());
  const Tensor ordered = in_memory_order(t);
  const Tensor dense = empty(ordered.sizes(), t.options());
  f(dense.data(), dense.numel());
  copy(ordered, dense);
}

void uniform_fill(const Tensor& t, double from, double to, Generator* g);
void normal_fill(const Tensor& t, double mean, double std, Generator* g);
void exponential_fill(const Tensor& t, double lambda, Generator* g);
void bernoulli_fill(const Tensor& t, double p, Generator* g);

}  // namespace flambeau
