// The cross entropy of logits and class numbers, forward and backward, without the log-softmax in
// memory. Registers run along the classes of a row, or where rows are strided along the rows.
#include "../kernels/cross_entropy.h"

#include "../parallel.h"
#include "each.h"
#include "gemm.h"

namespace flambeau {
namespace FLAMBEAU_ISA {
namespace {

template <class T>
struct Entropy {
  using V = Vec<T>;
  static constexpr int W = V::size;
  const CrossEntropyArgs& a;
  const T* weight;
  T spread, total;  // what every class gets of the smoothing, and the sum of that
  T rest;           // 1 - smoothing

  explicit Entropy(const CrossEntropyArgs& args)
      : a(args),
        weight(static_cast<const T*>(args.weight)),
        spread(static_cast<T>(args.smoothing / static_cast<double>(args.classes))),
        rest(static_cast<T>(1 - args.smoothing)) {
    double sum = static_cast<double>(a.classes);
    if (weight) {
      sum = 0;
      for (int64_t c = 0; c < a.classes; ++c) sum += static_cast<double>(weight[c]);
    }
    total = static_cast<T>(sum * static_cast<double>(spread));
  }

  T of(int64_t target) const { return weight ? weight[target] : T(1); }
  // The target at a place: its class, or -1 where it is ignored.
  int64_t target(int64_t i) const {
    const int64_t t = a.target[i];
    if (t == a.ignored) return -1;
    if (t >= 0 && t < a.classes) return t;
    *a.bad = i;
    return -1;
  }
  // Writes what place i is worth, given its largest logit, the logarithm of the sum of exponentials
  // of what is left of each, its logit at the target and the sum of what is left of all.
  FLAMBEAU_INLINE void finish(int64_t i, int64_t t, T top, T log_sum, T at_target,
                              T spread_sum) const {
    T* normalizer = static_cast<T*>(a.normalizer) + i;
    normalizer[0] = top, normalizer[a.outer * a.inner] = log_sum;
    const T w = t < 0 ? T(0) : of(t);
    T loss = rest * w * (log_sum + (top - at_target));  // far from zero, top may dwarf log_sum
    if (spread != T(0)) loss += total * log_sum - spread * spread_sum;
    static_cast<T*>(a.loss)[i] = t < 0 ? T(0) : loss;
    static_cast<T*>(a.share)[i] = w;
  }
  FLAMBEAU_INLINE T gradient(int64_t i) const {
    return static_cast<const T*>(a.g)[a.one_g ? 0 : i];
  }

  void forward_row(int64_t row) const {
    const T* x = static_cast<const T*>(a.x) + row * a.classes;
    const int64_t n = a.classes;
    constexpr T least = -kInf<T>;
    V tops[4] = {V(least), V(least), V(least), V(least)};
    int64_t i = 0;
    for (; i + 4 * W <= n; i += 4 * W)
      for (int k = 0; k < 4; ++k) {
        const V v = V::load(x + i + k * W);
        tops[k] = where(tops[k] > v, tops[k], v);
      }
    for (; i < n; i += W) tops[0] = max(tops[0], V::load_n(x + i, n - i, least));
    const T top = hmax(max(max(tops[0], tops[1]), max(tops[2], tops[3])));
    V sums(0), plain(0);
    each<T>(n, [&](int64_t c, int64_t m) {
      const V v = V::load_n(x + c, m, least);
      sums += exp(v - V(top));
      if (spread != T(0)) {
        const V all = V::load_n(x + c, m, top) - V(top);
        plain += weight ? all * V::load_n(weight + c, m) : all;
      }
    });
    const int64_t t = target(row);
    finish(row, t, top, log(sum(sums)), t < 0 ? T(0) : x[t], sum(plain));
  }

  void backward_row(int64_t row) const {
    const T* x = static_cast<const T*>(a.x) + row * a.classes;
    T* dx = static_cast<T*>(a.dx) + row * a.classes;
    const int64_t t = target(row);
    if (t < 0) return each<T>(a.classes, [&](int64_t c, int64_t m) { V(0).store_n(dx + c, m); });
    const T g = gradient(row), own = rest * of(t);
    const T* normalizer = static_cast<const T*>(a.normalizer) + row;
    const V top(normalizer[0]), log_sum(normalizer[a.outer]);
    const V scale(g * (own + total)), part(g * spread);
    each<T>(a.classes, [&](int64_t c, int64_t m) {
      V v = exp(V::load_n(x + c, m) - top - log_sum) * scale;
      if (spread != T(0)) v -= weight ? part * V::load_n(weight + c, m) : part;
      v.store_n(dx + c, m);
    });
    dx[t] -= g * own;
  }

  // m places side by side from `first` on, whose classes lie `step` apart.
  void forward_columns(const T* x, int64_t step, int64_t first, int64_t m) const {
    V top(-kInf<T>), sums(0), plain(0);
    // Classes that lie a power of two apart would push each other out of the cache.
    constexpr int64_t kKept = 64;
    V kept[kKept];
    for (int64_t c = 0; c < a.classes; ++c) {
      const V v = V::load_n(x + c * step, m);
      if (c < kKept) kept[c] = v;
      top = max(top, v);
    }
    for (int64_t c = 0; c < a.classes; ++c) {
      const V v = (c < kKept ? kept[c] : V::load_n(x + c * step, m)) - top;
      sums += exp(v);
      if (spread != T(0)) plain += weight ? v * V(weight[c]) : v;
    }
    const V log_sum = log(sums);
    for (int64_t k = 0; k < m; ++k) {
      const int64_t t = target(first + k);
      finish(first + k, t, top.v[k], log_sum.v[k], t < 0 ? T(0) : x[t * step + k], plain.v[k]);
    }
  }

  // Rows of few classes would leave registers idle: W of them side by side.
  static constexpr int64_t kFew = 128;
  void forward_rows(int64_t first, int64_t m) const {
    if (a.classes > kFew || a.classes > m * ((a.classes + W - 1) / W + 3)) {
      for (int64_t i = first; i < first + m; ++i) forward_row(i);
      return;
    }
    alignas(64) T turned[kFew * W];
    pack(turned, W, static_cast<const T*>(a.x) + first * a.classes, a.classes, 1, m, a.classes,
         T(1));
    forward_columns(turned, W, first, m);
  }

  void backward_columns(int64_t o, int64_t j, int64_t m) const {
    const int64_t first = o * a.inner + j;
    const T* x = static_cast<const T*>(a.x) + o * a.classes * a.inner + j;
    T* dx = static_cast<T*>(a.dx) + o * a.classes * a.inner + j;
    V scale(0), part(0);
    T own[W] = {};
    for (int64_t k = 0; k < m; ++k) {
      const int64_t t = target(first + k);
      if (t < 0) continue;
      const T g = gradient(first + k);
      own[k] = g * rest * of(t);
      scale.v[k] = own[k] + g * total;
      part.v[k] = g * spread;
    }
    const T* normalizer = static_cast<const T*>(a.normalizer) + first;
    const V top = V::load_n(normalizer, m), log_sum = V::load_n(normalizer + a.outer * a.inner, m);
    for (int64_t c = 0; c < a.classes; ++c) {
      V v = exp(V::load_n(x + c * a.inner, m) - top - log_sum) * scale;
      if (spread != T(0)) v -= part * V(of(c));
      where(scale != V(0), v, V(0)).store_n(dx + c * a.inner, m);
    }
    for (int64_t k = 0; k < m; ++k) {
      const int64_t t = target(first + k);
      if (t >= 0) dx[t * a.inner + k] -= own[k];
    }
  }
};

// Of log-probabilities: one number of each place counts.
template <class T>
void run_picked(const CrossEntropyArgs& a, const Entropy<T>& e) {
  const int64_t image = a.classes * a.inner, work = a.dx ? image : a.inner;
  parallel_for(0, a.outer, 8192 / (work + 1) + 1, [&](int64_t begin, int64_t end) {
    for (int64_t o = begin; o < end; ++o) {
      T* dx = a.dx ? static_cast<T*>(a.dx) + o * image : nullptr;
      if (dx) __builtin_memset(dx, 0, static_cast<size_t>(image) * sizeof(T));
      for (int64_t j = 0; j < a.inner; ++j) {
        const int64_t i = o * a.inner + j, t = e.target(i), at = t * a.inner + j;
        const T w = t < 0 ? T(0) : e.of(t);
        if (dx) {
          if (t >= 0) dx[at] = -e.gradient(i) * w;
          continue;
        }
        static_cast<T*>(a.loss)[i] = t < 0 ? T(0) : -w * static_cast<const T*>(a.x)[o * image + at];
        static_cast<T*>(a.share)[i] = w;
      }
    }
  });
}

template <class T>
void run(const CrossEntropyArgs& a) {
  const Entropy<T> e(a);
  if (a.log_probs) return run_picked(a, e);
  constexpr int64_t W = Vec<T>::size;
  if (a.inner == 1) {
    const int64_t step = a.classes * W;
    parallel_for(0, (a.outer + W - 1) / W, 8192 / (step + 1) + 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin * W; i < end * W && i < a.outer; i += W) {
        const int64_t m = a.outer - i < W ? a.outer - i : W;
        if (!a.dx) e.forward_rows(i, m);
        for (int64_t k = i; a.dx && k < i + m; ++k) e.backward_row(k);
      }
    });
    return;
  }
  const int64_t blocks = (a.inner + W - 1) / W;
  const int64_t grain = 8192 / (a.classes * W + 1) + 1;
  parallel_for(0, a.outer * blocks, grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t o = i / blocks, j = i % blocks * W, m = a.inner - j < W ? a.inner - j : W;
      if (a.dx)
        e.backward_columns(o, j, m);
      else
        e.forward_columns(static_cast<const T*>(a.x) + o * a.classes * a.inner + j, a.inner,
                          o * a.inner + j, m);
    }
  });
}

void cross_entropy(const CrossEntropyArgs& a) { a.f64 ? run<double>(a) : run<float>(a); }

FLAMBEAU_REGISTER(cross_entropy_kernel, cross_entropy);

}  // namespace
}  // namespace FLAMBEAU_ISA
}  // namespace flambeau
