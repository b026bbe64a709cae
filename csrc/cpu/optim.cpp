// Optimizer steps: everything that an element needs is read and written once.
// Built without contraction: a multiply and an add are fused here exactly where PyTorch fuses them.
#include "../kernels/optim.h"

#include "../parallel.h"
#include "vec.h"

namespace flambeau {
namespace FLAMBEAU_ISA {
namespace {

constexpr int64_t kGrain = 32768;  // elements; smaller nets are stepped in the caller

// body(item, from, to): elements of one parameter.
template <class F>
void over_items(const StepArgs& a, const F& body) {
  parallel_for(0, a.items[a.count].begin, kGrain, [&](int64_t begin, int64_t end) {
    int64_t low = 0, high = a.count;  // the last item that begins at or before `begin`
    while (high - low > 1) {
      const int64_t middle = (low + high) / 2;
      (a.items[middle].begin <= begin ? low : high) = middle;
    }
    for (const StepItem* item = a.items + low; begin < end; ++item) {
      const int64_t stop = item[1].begin < end ? item[1].begin : end;
      if (stop > begin) body(*item, begin - item->begin, stop - item->begin);
      begin = stop;
    }
  });
}

template <class T>
FLAMBEAU_INLINE bool set(Vec<T> flag) {
  return flag[0] != 0;
}

// x + (y - x) * weight, from the nearer end.
template <class V>
FLAMBEAU_INLINE V lerp(V x, V y, V weight) {
  const V step = y - x;
  return where(weight < V(0.5), fma(weight, step, x), fma(weight - V(1), step, y));
}

// formula(p, g, s, has, k, r) on every element from `from` to `to`.
template <class T, class F>
FLAMBEAU_INLINE void step_item(const StepArgs& a, const StepItem& item, int64_t from, int64_t to,
                               const F& formula) {
  using V = Vec<T>;
  T* param = static_cast<T*>(item.param);
  const T* grad = static_cast<const T*>(item.grad);
  V k[kOptions], c[kOptions], r[kRates], s[kStates];
  for (int i = 0; i < kOptions; ++i) {
    k[i] = V(T(a.options[i]));
    c[i] = V(T(1 - a.options[i]));
  }
  for (int i = 0; i < kRates; ++i) r[i] = V(T(item.rates[i]));
  const V decay(T(a.weight_decay)), sign(T(a.maximize ? -1 : 1));
  const bool decays = a.weight_decay != 0;
  const auto has = [&](int i) { return item.state[i] != nullptr; };
  for (int64_t i = from; i < to; i += V::size) {
    const int64_t n = to - i;
    V p = V::load_n(param + i, n), g = V::load_n(grad + i, n) * sign;
    if (decays) g = fma(p, decay, g);
    for (int j = 0; j < kStates; ++j)
      s[j] = has(j) ? V::load_n(static_cast<T*>(item.state[j]) + i, n) : V(T(0));
    formula(p, g, s, has, k, c, r);
    for (int j = 0; j < kStates; ++j)
      if (has(j)) s[j].store_n(static_cast<T*>(item.state[j]) + i, n);
    p.store_n(param + i, n);
  }
}

template <class T>
void step_as(Formula formula, const StepArgs& a) {
  switch (formula) {
#define OPTIMIZER(name, rates, ...)                                                             \
  case Formula::name:                                                                           \
    return over_items(a, [&](const StepItem& item, int64_t from, int64_t to) {                  \
      step_item<T>(a, item, from, to,                                                           \
                   [](auto& p, auto& g, auto& s, const auto& has, const auto& k, const auto& c, \
                      const auto& r) __attribute__((always_inline)) {                           \
                     using V = Vec<T>;                                                          \
                     (void)V(), (void)has, (void)k, (void)c, (void)r;                           \
                     __VA_ARGS__                                                                \
                   });                                                                          \
    });
#include "../ops/optim.def"
#undef OPTIMIZER
  }
}

void step(Formula formula, const StepArgs& a) {
  a.is_double ? step_as<double>(formula, a) : step_as<float>(formula, a);
}

template <class T>
double square_sum(const T* x, int64_t n) {
  using V = Vec<T>;
  V sums[4] = {V(T(0)), V(T(0)), V(T(0)), V(T(0))};
  int64_t i = 0;
  for (; i + 4 * V::size <= n; i += 4 * V::size)
    for (int k = 0; k < 4; ++k) {
      const V v = V::load(x + i + k * V::size);
      sums[k] = fma(v, v, sums[k]);
    }
  for (; i < n; i += V::size) {
    const V v = V::load_n(x + i, n - i);
    sums[0] = fma(v, v, sums[0]);
  }
  return static_cast<double>(sum((sums[0] + sums[1]) + (sums[2] + sums[3])));
}

template <class T>
void scale(T* x, int64_t n, T factor) {
  for (int64_t i = 0; i < n; i += Vec<T>::size)
    (Vec<T>::load_n(x + i, n - i) * Vec<T>(factor)).store_n(x + i, n - i);
}

template <class F>
void over_blocks(const Blocks& b, const F& body) {
  parallel_for(0, b.count, kGrain / kBlock, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) body(b.blocks[i], i);
  });
}

void square_sums(const Blocks& b, double* sums) {
  over_blocks(b, [&](const Block& x, int64_t i) {
    sums[i] = b.is_double ? square_sum(static_cast<const double*>(x.data), x.n)
                          : square_sum(static_cast<const float*>(x.data), x.n);
  });
}

void scale_blocks(const Blocks& b, double factor) {
  over_blocks(b, [&](const Block& x, int64_t) {
    b.is_double ? scale(static_cast<double*>(x.data), x.n, factor)
                : scale(static_cast<float*>(x.data), x.n, static_cast<float>(factor));
  });
}

FLAMBEAU_REGISTER(step_kernel, step);
FLAMBEAU_REGISTER(square_sums_kernel, square_sums);
FLAMBEAU_REGISTER(scale_blocks_kernel, scale_blocks);

}  // namespace
}  // namespace FLAMBEAU_ISA
}  // namespace flambeau
