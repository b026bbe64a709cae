// Optimizer steps: everything that an element needs is read and written once.
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
    if (decays) g += p * decay;
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

FLAMBEAU_REGISTER(step_kernel, step);

}  // namespace
}  // namespace FLAMBEAU_ISA
}  // namespace flambeau
