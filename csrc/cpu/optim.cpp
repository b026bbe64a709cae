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
Vec<T> gradient(const StepArgs& a, const T* grad, Vec<T> p, int64_t n, bool decays) {
  Vec<T> g = Vec<T>::load_n(grad, n);
  if (a.maximize) g = -g;
  if (decays) g = g + p * Vec<T>(T(a.weight_decay));
  return g;
}

template <class T>
void sgd_item(const SgdArgs& a, const StepItem& item, int64_t from, int64_t to) {
  using V = Vec<T>;
  T* param = static_cast<T*>(item.param);
  const T* grad = static_cast<const T*>(item.grad);
  T* buffer = static_cast<T*>(item.state[0]);
  const V lr(T(a.lr)), momentum(T(a.momentum)), fresh(T(1 - a.dampening));
  for (int64_t i = from; i < to; i += V::size) {
    const int64_t n = to - i;
    const V p = V::load_n(param + i, n);
    V g = gradient<T>(a, grad + i, p, n, a.weight_decay != 0);
    if (buffer) {
      const V b = a.first ? g : V::load_n(buffer + i, n) * momentum + g * fresh;
      b.store_n(buffer + i, n);
      g = a.nesterov ? g + b * momentum : b;
    }
    (p - g * lr).store_n(param + i, n);
  }
}

template <class T>
void adam_item(const AdamArgs& a, const StepItem& item, int64_t from, int64_t to) {
  using V = Vec<T>;
  T* param = static_cast<T*>(item.param);
  const T* grad = static_cast<const T*>(item.grad);
  T* mean = static_cast<T*>(item.state[0]);
  T* square = static_cast<T*>(item.state[1]);
  T* largest = static_cast<T*>(item.state[2]);
  const bool coupled = a.weight_decay != 0 && !a.decoupled;
  const V fresh1(T(1 - a.beta1)), old2(T(a.beta2)), fresh2(T(1 - a.beta2)), eps(T(a.eps));
  const V shrink(T(a.decoupled ? 1 - a.lr * a.weight_decay : 1.0));
  const V rate(T(item.rate)), root(T(item.root));
  for (int64_t i = from; i < to; i += V::size) {
    const int64_t n = to - i;
    V p = V::load_n(param + i, n);
    const V g = gradient<T>(a, grad + i, p, n, coupled);
    p = p * shrink;
    V m = V::load_n(mean + i, n);
    m = m + (g - m) * fresh1;
    m.store_n(mean + i, n);
    V v = V::load_n(square + i, n) * old2 + g * g * fresh2;
    v.store_n(square + i, n);
    if (a.amsgrad) {
      v = max(V::load_n(largest + i, n), v);
      v.store_n(largest + i, n);
    }
    (p - m / (sqrt(v) / root + eps) * rate).store_n(param + i, n);
  }
}

void sgd(const SgdArgs& a) {
  over_items(a, [&](const StepItem& item, int64_t from, int64_t to) {
    a.is_double ? sgd_item<double>(a, item, from, to) : sgd_item<float>(a, item, from, to);
  });
}

void adam(const AdamArgs& a) {
  over_items(a, [&](const StepItem& item, int64_t from, int64_t to) {
    a.is_double ? adam_item<double>(a, item, from, to) : adam_item<float>(a, item, from, to);
  });
}

FLAMBEAU_REGISTER(sgd_kernel, sgd);
FLAMBEAU_REGISTER(adam_kernel, adam);

}  // namespace
}  // namespace FLAMBEAU_ISA
}  // namespace flambeau
