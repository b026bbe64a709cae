// Softmax and log-softmax, forward and backward, one row at a time.
#include "kernels/softmax.h"

#include "each.h"
#include "parallel.h"
#include "runs.h"
#include "scratch.h"

namespace flambeau {
namespace FLAMBEAU_ISA {
namespace {

// Four registers of results, so that an addition need not wait for the one before.
template <class T, class F>
FLAMBEAU_INLINE void each_of_four(int64_t n, Vec<T> (&r)[4], const F& f) {
  constexpr int64_t W = Vec<T>::size;
  int64_t i = 0;
  for (; i + 4 * W <= n; i += 4 * W)
    for (int k = 0; k < 4; ++k) f(i + k * W, W, r[k]);
  for (; i < n; i += W) f(i, n - i < W ? n - i : W, r[0]);
}
template <class T>
FLAMBEAU_INLINE Vec<T> kept(Vec<T> v, int64_t m) {  // v with zeros beyond its first m lanes
  if (m >= Vec<T>::size) return v;
  return where(Vec<T>::arange(0) < Vec<T>(static_cast<T>(m)), v, Vec<T>(0));
}

template <class T>
void forward_row(const T* x, T* y, int64_t n, bool logarithm) {
  using V = Vec<T>;
  const T least = -kInf<T>;
  V top[4] = {V(least), V(least), V(least), V(least)}, total[4] = {V(0), V(0), V(0), V(0)};
  each_of_four<T>(n, top,
                  [&](int64_t i, int64_t m, V& t) { t = max(t, V::load_n(x + i, m, least)); });
  const T largest = hmax(max(max(top[0], top[1]), max(top[2], top[3])));
  each_of_four<T>(n, total, [&](int64_t i, int64_t m, V& t) {
    const V e = exp(V::load_n(x + i, m, least) - V(largest));
    if (!logarithm) e.store_n(y + i, m);
    t += kept(e, m);
  });
  const T s = sum((total[0] + total[1]) + (total[2] + total[3]));
  const V scale(logarithm ? log(s) : 1 / s);
  each<T>(n, [&](int64_t i, int64_t m) {  // the largest goes first: it may dwarf the logarithm
    const V v = logarithm ? V::load_n(x + i, m) - V(largest) - scale : V::load_n(y + i, m) * scale;
    v.store_n(y + i, m);
  });
}

template <class T>
void backward_row(const T* y, const T* g, T* out, int64_t n, bool logarithm) {
  using V = Vec<T>;
  V total[4] = {V(0), V(0), V(0), V(0)};
  each_of_four<T>(n, total, [&](int64_t i, int64_t m, V& t) {
    const V a = V::load_n(g + i, m);
    t += logarithm ? a : a * V::load_n(y + i, m);
  });
  const V s(sum((total[0] + total[1]) + (total[2] + total[3])));
  each<T>(n, [&](int64_t i, int64_t m) {
    const V a = V::load_n(g + i, m), b = V::load_n(y + i, m);
    const V v = logarithm ? a - exp(b) * s : b * (a - s);
    v.store_n(out + i, m);
  });
}

constexpr int64_t kKept = 64;  // rows of a column that are kept between two passes

// As many columns as a register holds, m of them there, `stride` from one row to the next.
template <class T>
void forward_columns(const T* x, T* y, int64_t n, int64_t stride, int64_t m, bool logarithm) {
  using V = Vec<T>;
  V largest(-kInf<T>), total(0);
  if (n <= kKept) {  // rows that lie a power of two apart would push each other out of the cache
    V kept[kKept];
    for (int64_t k = 0; k < n; ++k) {
      kept[k] = V::load_n(x + k * stride, m);
      largest = max(largest, kept[k]);
    }
    for (int64_t k = 0; k < n; ++k) {
      const V v = kept[k] - largest, e = exp(v);
      kept[k] = logarithm ? v : e;
      total += e;
    }
    const V scale = logarithm ? log(total) : V(1) / total;
    for (int64_t k = 0; k < n; ++k)
      (logarithm ? kept[k] - scale : kept[k] * scale).store_n(y + k * stride, m);
    return;
  }
  for (int64_t k = 0; k < n; ++k) largest = max(largest, V::load_n(x + k * stride, m));
  for (int64_t k = 0; k < n; ++k) {
    const V e = exp(V::load_n(x + k * stride, m) - largest);
    if (!logarithm) e.store_n(y + k * stride, m);
    total += e;
  }
  const V scale = logarithm ? log(total) : V(1) / total;
  for (int64_t k = 0; k < n; ++k) {
    const V v = logarithm ? V::load_n(x + k * stride, m) - largest - scale
                          : V::load_n(y + k * stride, m) * scale;
    v.store_n(y + k * stride, m);
  }
}

template <class T>
void backward_columns(const T* y, const T* g, T* out, int64_t n, int64_t stride, int64_t m,
                      bool logarithm) {
  using V = Vec<T>;
  V s(0);
  for (int64_t k = 0; k < n; ++k) {
    const V a = V::load_n(g + k * stride, m);
    s += logarithm ? a : a * V::load_n(y + k * stride, m);
  }
  for (int64_t k = 0; k < n; ++k) {
    const V a = V::load_n(g + k * stride, m), b = V::load_n(y + k * stride, m);
    const V v = logarithm ? a - exp(b) * s : b * (a - s);
    v.store_n(out + k * stride, m);
  }
}

template <class T>
void run(const SoftmaxArgs& a) {
  const auto *x = static_cast<const T*>(a.x), *g = static_cast<const T*>(a.g);
  auto* out = static_cast<T*>(a.out);
  const int64_t width = a.inner == 1 ? 1 : Vec<T>::size, groups = (a.inner + width - 1) / width;
  parallel_for(0, a.outer * groups, 8192 / (a.n * width + 1) + 1, [&](int64_t b, int64_t e) {
    for (int64_t i = b; i < e; ++i) {
      const int64_t column = i % groups * width, at = i / groups * a.n * a.inner + column;
      const int64_t m = a.inner - column < width ? a.inner - column : width;
      if (a.inner == 1 && g)
        backward_row(x + at, g + at, out + at, a.n, a.logarithm);
      else if (a.inner == 1)
        forward_row(x + at, out + at, a.n, a.logarithm);
      else if (g)
        backward_columns(x + at, g + at, out + at, a.n, a.inner, m, a.logarithm);
      else
        forward_columns(x + at, out + at, a.n, a.inner, m, a.logarithm);
    }
  });
}

// Rows of half precision, each by way of float32 in the caches.
void run_half(const SoftmaxArgs& a) {
  const int64_t size = 2, n = a.n;
  parallel_for(0, a.outer, 8192 / (n + 1) + 1, [&](int64_t b, int64_t e) {
    const size_t bytes = static_cast<size_t>(2 * n) * sizeof(float);
    float *x = static_cast<float*>(scratch(Scratch::columns, bytes)), *g = x + n;
    for (int64_t i = b; i < e; ++i) {
      const int64_t at = i * n * size;
      load_run<float>(x, static_cast<const char*>(a.x) + at, a.dtype, size, n);
      if (a.g) load_run<float>(g, static_cast<const char*>(a.g) + at, a.dtype, size, n);
      if (a.g)
        backward_row(x, g, x, n, a.logarithm);
      else
        forward_row(x, x, n, a.logarithm);
      store_run<float>(static_cast<char*>(a.out) + at, a.dtype, size, x, n);
    }
  });
}

void softmax(const SoftmaxArgs& a) {
  switch (a.dtype) {
    case DType::float64: return run<double>(a);
    case DType::float32: return run<float>(a);
    default: return run_half(a);
  }
}

}  // namespace

FLAMBEAU_REGISTER(softmax_kernel, softmax);

}  // namespace FLAMBEAU_ISA
}  // namespace flambeau
