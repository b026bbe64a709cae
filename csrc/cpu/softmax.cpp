// Softmax and log-softmax, forward and backward, one row at a time.
#include "kernels/softmax.h"

#include "parallel.h"
#include "scratch.h"
#include "each.h"

namespace flambeau {
namespace FLAMBEAU_ISA {
namespace {

template <class T>
void forward_row(const T* x, T* y, int64_t n, bool logarithm) {
  using V = Vec<T>;
  const T least = -kInf<T>;
  V top(least);
  each<T>(n, [&](int64_t i, int64_t m) { top = max(top, V::load_n(x + i, m, least)); });
  const T largest = hmax(top);
  V total(0);
  each<T>(n, [&](int64_t i, int64_t m) {
    const V e = exp(V::load_n(x + i, m, least) - V(largest));
    if (!logarithm) e.store_n(y + i, m);
    total += where(V::arange(0) < V(static_cast<T>(m)), e, V(0));
  });
  const T s = sum(total);
  const V scale = logarithm ? V(largest + log(s)) : V(1 / s);
  each<T>(n, [&](int64_t i, int64_t m) {
    const V v = logarithm ? V::load_n(x + i, m) - scale : V::load_n(y + i, m) * scale;
    v.store_n(y + i, m);
  });
}

template <class T>
void backward_row(const T* y, const T* g, T* out, int64_t n, bool logarithm) {
  using V = Vec<T>;
  V total(0);
  each<T>(n, [&](int64_t i, int64_t m) {
    const V a = V::load_n(g + i, m);
    total += logarithm ? a : a * V::load_n(y + i, m);
  });
  const V s(sum(total));
  each<T>(n, [&](int64_t i, int64_t m) {
    const V a = V::load_n(g + i, m), b = V::load_n(y + i, m);
    const V v = logarithm ? a - exp(b) * s : b * (a - s);
    v.store_n(out + i, m);
  });
}

template <class T>
void run(const SoftmaxArgs& a) {
  const auto *x = static_cast<const T*>(a.x), *g = static_cast<const T*>(a.g);
  auto* out = static_cast<T*>(a.out);
  const int64_t grain = 8192 / (a.n + 1) + 1;
  parallel_for(0, a.outer * a.inner, grain, [&](int64_t b, int64_t e) {
    T* lines = nullptr;  // a strided row is gathered first
    if (a.inner > 1)
      lines = static_cast<T*>(scratch(Scratch::columns, 3 * static_cast<size_t>(a.n) * sizeof(T)));
    for (int64_t i = b; i < e; ++i) {
      if (a.inner == 1) {
        const int64_t at = i * a.n;
        if (g)
          backward_row(x + at, g + at, out + at, a.n, a.logarithm);
        else
          forward_row(x + at, out + at, a.n, a.logarithm);
        continue;
      }
      const int64_t at = i / a.inner * a.n * a.inner + i % a.inner;
      T *first = lines, *second = lines + a.n, *result = lines + 2 * a.n;
      for (int64_t k = 0; k < a.n; ++k) {
        first[k] = x[at + k * a.inner];
        if (g) second[k] = g[at + k * a.inner];
      }
      if (g)
        backward_row(first, second, result, a.n, a.logarithm);
      else
        forward_row(first, result, a.n, a.logarithm);
      for (int64_t k = 0; k < a.n; ++k) out[at + k * a.inner] = result[k];
    }
  });
}

void softmax(const SoftmaxArgs& a) {
  if (a.f64)
    run<double>(a);
  else
    run<float>(a);
}

}  // namespace

FLAMBEAU_REGISTER(softmax_kernel, softmax);

}  // namespace FLAMBEAU_ISA
}  // namespace flambeau
