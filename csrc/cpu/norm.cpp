// Batch, layer, root-mean-square and group normalization, forward and backward.
#include "kernels/norm.h"

#include "finish.h"
#include "gemm.h"
#include "parallel.h"
#include "scratch.h"

namespace flambeau {
namespace FLAMBEAU_ISA {
namespace {

constexpr int64_t kBlock = 4096;  // numbers added in T before the sum goes on in double
constexpr int64_t kRows = 64;     // the same for rows of columns

// v with zeros beyond its first m lanes.
template <class T>
FLAMBEAU_INLINE Vec<T> kept(Vec<T> v, int64_t m) {
  if (m >= Vec<T>::size) return v;
  return where(Vec<T>::arange(0) < Vec<T>(static_cast<T>(m)), v, Vec<T>(0));
}

// Adds to p and q what f(i, m, u, v) adds to the lanes of u and v over n numbers, in four pairs of
// registers, so that an addition need not wait for the one before.
template <class T, class F>
FLAMBEAU_INLINE void add_up(int64_t n, double& p, double& q, const F& f) {
  for (int64_t b = 0; b < n; b += kBlock) {
    constexpr int64_t W = Vec<T>::size;
    const int64_t e = n - b < kBlock ? n : b + kBlock;
    Vec<T> u[4] = {T(0), T(0), T(0), T(0)}, v[4] = {T(0), T(0), T(0), T(0)};
    int64_t i = b;
    for (; i + 4 * W <= e; i += 4 * W)
      for (int k = 0; k < 4; ++k) f(i + k * W, W, u[k], v[k]);
    for (; i < e; i += W) f(i, e - i < W ? e - i : W, u[0], v[0]);
    p += sum((u[0] + u[1]) + (u[2] + u[3]));
    q += sum((v[0] + v[1]) + (v[2] + v[3]));
  }
}

// One channel, or with inner == 1 as many side by side as a register holds.
template <class T>
struct Channels {
  using V = Vec<T>;
  static constexpr int W = V::size;
  const NormArgs& a;
  int64_t c, m;
  double p[W], q[W];

  // The values of these channels, for every number of a register.
  FLAMBEAU_INLINE V spread(const void* values) const {
    const T* v = static_cast<const T*>(values) + c;
    return a.inner == 1 ? V::load_n(v, m) : V(*v);
  }
  FLAMBEAU_INLINE V spread(const T (&v)[W]) const { return a.inner == 1 ? V::load(v) : V(v[0]); }

  template <class F>
  FLAMBEAU_INLINE void add_up_all(const F& f) {
    for (int i = 0; i < W; ++i) p[i] = q[i] = 0;
    if (a.inner > 1) {
      for (int64_t o = 0; o < a.outer; ++o) {
        const int64_t at = (o * a.channels + c) * a.inner;
        add_up<T>(a.inner, p[0], q[0],
                  [&](int64_t i, int64_t k, V& u, V& v) { f(at + i, k, u, v); });
      }
      return;
    }
    for (int64_t b = 0; b < a.outer; b += kRows) {
      const int64_t e = b + kRows < a.outer ? b + kRows : a.outer;
      V u(0), v(0);
      for (int64_t o = b; o < e; ++o) f(o * a.channels + c, m, u, v);
      for (int i = 0; i < W; ++i) p[i] += u[i], q[i] += v[i];
    }
  }

  template <class F>
  FLAMBEAU_INLINE void walk(const F& f) const {
    for (int64_t o = 0; o < a.outer; ++o) {
      const int64_t at = (o * a.channels + c) * a.inner;
      if (a.inner == 1)
        f(at, m);
      else
        each<T>(a.inner, [&](int64_t i, int64_t k) { f(at + i, k); });
    }
  }

  void store(void* out, const double* values, double scale) const {
    for (int64_t i = 0; i < m; ++i) static_cast<T*>(out)[c + i] = static_cast<T>(values[i] * scale);
  }

  V rsqrt() const {
    T r[W] = {};
    for (int64_t i = 0; i < m; ++i) r[i] = rsqrt_of(static_cast<const T*>(a.var)[c + i], a.eps);
    return spread(r);
  }

  // By a mean and a variance that are given.
  void apply() const {
    T slopes[W] = {}, shifts[W] = {};
    for (int64_t i = 0; i < m; ++i) {
      const Affine<T> f = affine_of<T>(a.mean, a.var, a.weight, a.bias, a.eps, c + i);
      slopes[i] = f.slope, shifts[i] = f.shift;
    }
    const V slope = spread(slopes), shift = spread(shifts);
    if constexpr (sizeof(T) == 4)
      if (a.half) return apply_bf16(slope, shift);
    const T* x = static_cast<const T*>(a.x);
    T* y = static_cast<T*>(a.out);
    walk([&](int64_t i, int64_t k) { fma(V::load_n(x + i, k), slope, shift).store_n(y + i, k); });
  }

  void apply_bf16(V slope, V shift) const {
    const uint16_t* x = static_cast<const uint16_t*>(a.x);
    uint16_t* y = static_cast<uint16_t*>(a.out);
    walk([&](int64_t i, int64_t k) {
      if (k >= W) return store_bf16(y + i, fma(load_bf16(x + i), slope, shift));
      uint16_t part[W] = {};
      for (int64_t q = 0; q < k; ++q) part[q] = x[i + q];
      store_bf16(part, fma(load_bf16(part), slope, shift));
      for (int64_t q = 0; q < k; ++q) y[i + q] = part[q];
    });
  }

  void forward() {
    const T* x = static_cast<const T*>(a.x);
    T* y = static_cast<T*>(a.out);
    const double scale = 1.0 / static_cast<double>(a.outer * a.inner);
    add_up_all([&](int64_t i, int64_t k, V& u, V&) { u += V::load_n(x + i, k); });
    store(a.mean, p, scale);
    const V mean = spread(a.mean);
    add_up_all([&](int64_t i, int64_t k, V& u, V&) {
      const V d = kept(V::load_n(x + i, k) - mean, k);
      u += d * d;
    });
    store(a.var, p, scale);
    const V r = rsqrt(), w = a.weight ? spread(a.weight) : V(1), b = a.bias ? spread(a.bias) : V(0);
    walk([&](int64_t i, int64_t k) {
      ((V::load_n(x + i, k) - mean) * r * w + b).store_n(y + i, k);
    });
  }

  void backward() {
    const T *x = static_cast<const T*>(a.x), *g = static_cast<const T*>(a.g);
    T* dx = static_cast<T*>(a.out);
    const V mean = spread(a.mean), r = rsqrt();
    add_up_all([&](int64_t i, int64_t k, V& u, V& v) {
      const V d = V::load_n(g + i, k);
      u += d;
      v += d * ((V::load_n(x + i, k) - mean) * r);
    });
    store(a.dbias, p, 1);
    store(a.dweight, q, 1);
    if (a.fixed) {
      const V slope = a.weight ? spread(a.weight) * r : r;
      return walk([&](int64_t i, int64_t k) { (V::load_n(g + i, k) * slope).store_n(dx + i, k); });
    }
    T s[W] = {}, t[W] = {};
    const double scale = 1.0 / static_cast<double>(a.outer * a.inner);
    for (int i = 0; i < W; ++i)
      s[i] = static_cast<T>(p[i] * scale), t[i] = static_cast<T>(q[i] * scale);
    const V first = spread(s), second = spread(t), w = a.weight ? spread(a.weight) * r : r;
    walk([&](int64_t i, int64_t k) {
      const V h = (V::load_n(x + i, k) - mean) * r;
      (w * (V::load_n(g + i, k) - first - h * second)).store_n(dx + i, k);
    });
  }
};

template <class T>
void run_batch(const NormArgs& a) {
  const int64_t width = a.inner == 1 ? Vec<T>::size : 1;
  const int64_t grain = 8192 / (a.outer * a.inner * width + 1) + 1;
  parallel_for(0, (a.channels + width - 1) / width, grain, [&](int64_t b, int64_t e) {
    for (int64_t i = b; i < e; ++i) {
      const int64_t c = i * width, left = a.channels - c;
      Channels<T> group{a, c, left < width ? left : width, {}, {}};
      if (a.g)
        group.backward();
      else if (a.fixed)
        group.apply();
      else
        group.forward();
    }
  });
}

template <class T>
void forward_row(const NormArgs& a, int64_t row, const T* x, T* y) {
  using V = Vec<T>;
  const int64_t n = a.channels;
  const T *w = static_cast<const T*>(a.weight), *b = static_cast<const T*>(a.bias);
  double s = 0, t = 0;
  if (a.centered)
    add_up<T>(n, s, t, [&](int64_t i, int64_t m, V& u, V&) { u += V::load_n(x + i, m); });
  const T average = static_cast<T>(s / static_cast<double>(n));
  const V mean(average);
  s = 0;
  add_up<T>(n, s, t, [&](int64_t i, int64_t m, V& u, V&) {
    const V d = kept(V::load_n(x + i, m) - mean, m);
    u += d * d;
  });
  const T var = static_cast<T>(s / static_cast<double>(n));
  static_cast<T*>(a.mean)[row] = average;
  static_cast<T*>(a.var)[row] = var;
  const V r(rsqrt_of(var, a.eps));
  each<T>(n, [&](int64_t i, int64_t m) {
    V h = (V::load_n(x + i, m) - mean) * r;
    if (w) h = h * V::load_n(w + i, m);
    if (b) h = h + V::load_n(b + i, m);
    h.store_n(y + i, m);
  });
}

// Adds what the row gives to dweight and dbias to `sums`.
template <class T>
void backward_row(const NormArgs& a, int64_t row, const T* x, const T* g, T* dx, T* sums) {
  using V = Vec<T>;
  const int64_t n = a.channels;
  const T* w = static_cast<const T*>(a.weight);
  const V mean(static_cast<const T*>(a.mean)[row]);
  const V r(rsqrt_of(static_cast<const T*>(a.var)[row], a.eps));
  double p = 0, q = 0;
  add_up<T>(n, p, q, [&](int64_t i, int64_t m, V& u, V& v) {
    const V d = V::load_n(g + i, m), h = (V::load_n(x + i, m) - mean) * r;
    const V e = w ? d * V::load_n(w + i, m) : d;
    u += e;
    v += e * h;
    (V::load_n(sums + i, m) + d * h).store_n(sums + i, m);
    (V::load_n(sums + n + i, m) + d).store_n(sums + n + i, m);
  });
  const V first(a.centered ? static_cast<T>(p / static_cast<double>(n)) : T(0));
  const V second(static_cast<T>(q / static_cast<double>(n)));
  each<T>(n, [&](int64_t i, int64_t m) {
    const V d = V::load_n(g + i, m), h = (V::load_n(x + i, m) - mean) * r;
    const V e = w ? d * V::load_n(w + i, m) : d;
    (r * (e - first - h * second)).store_n(dx + i, m);
  });
}

// Rows of few columns would leave registers idle: W rows side by side, a register for each column.
template <class T>
struct NarrowRows {
  using V = Vec<T>;
  static constexpr int64_t W = V::size, kColumns = 32;
  const NormArgs& a;
  V sums[2 * kColumns];  // of dweight, then of dbias

  explicit NarrowRows(const NormArgs& args) : a(args) {
    for (V& v : sums) v = V(0);
  }
  const T* weight() const { return static_cast<const T*>(a.weight); }
  const T* bias() const { return static_cast<const T*>(a.bias); }

  void turn(const T* rows, int64_t m, V* columns) const {
    pack(reinterpret_cast<T*>(columns), W, rows, a.channels, 1, m, a.channels, T(1));
  }
  void turn_back(T* rows, int64_t m, const V* columns) const {
    alignas(64) T turned[(kColumns + 1) * W];
    pack(turned, a.channels, reinterpret_cast<const T*>(columns), W, 1, a.channels, m, T(1));
    __builtin_memcpy(rows, turned, static_cast<size_t>(m * a.channels) * sizeof(T));
  }

  void forward(int64_t row, int64_t m, const T* x, T* y) const {
    const int64_t n = a.channels;
    const V share(T(1) / static_cast<T>(n));
    V t[kColumns], mean(0), squares(0);
    turn(x, m, t);
    for (int64_t c = 0; a.centered && c < n; ++c) mean += t[c];
    mean = mean * share;
    for (int64_t c = 0; c < n; ++c) t[c] -= mean, squares = fma(t[c], t[c], squares);
    const V var = squares * share, r = 1 / sqrt(var + V(static_cast<T>(a.eps)));
    mean.store_n(static_cast<T*>(a.mean) + row, m);
    var.store_n(static_cast<T*>(a.var) + row, m);
    for (int64_t c = 0; c < n; ++c) {
      t[c] *= r;
      if (a.weight) t[c] *= V(weight()[c]);
      if (a.bias) t[c] += V(bias()[c]);
    }
    turn_back(y, m, t);
  }

  void backward(int64_t row, int64_t m, const T* x, const T* g, T* dx) {
    const int64_t n = a.channels;
    const V share(T(1) / static_cast<T>(n));
    const V mean = V::load_n(static_cast<const T*>(a.mean) + row, m);
    const V var = V::load_n(static_cast<const T*>(a.var) + row, m, T(1));
    const V r = 1 / sqrt(var + V(static_cast<T>(a.eps)));
    V h[kColumns], d[kColumns], first(0), second(0);
    turn(x, m, h), turn(g, m, d);
    for (int64_t c = 0; c < n; ++c) {
      h[c] = (h[c] - mean) * r;
      sums[c] = fma(d[c], h[c], sums[c]);
      sums[n + c] += d[c];
      if (a.weight) d[c] *= V(weight()[c]);
      first += d[c];
      second = fma(d[c], h[c], second);
    }
    first = a.centered ? first * share : V(0);
    second *= share;
    for (int64_t c = 0; c < n; ++c) d[c] = r * (d[c] - first - h[c] * second);
    turn_back(dx, m, d);
  }
  void finish(T* partial) const {
    for (int64_t i = 0; i < 2 * a.channels; ++i) partial[i] = sum(sums[i]);
  }
};

// Numbers of half precision as float32, and back.
void widen_half(NormArgs::Half kind, const void* from, int64_t at, float* to, int64_t n) {
  const uint16_t* p = static_cast<const uint16_t*>(from) + at;
  kind == NormArgs::bf16 ? bf16_to_float(p, to, n) : f16_to_float(p, to, n);
}
void narrow_half(NormArgs::Half kind, const float* from, void* to, int64_t at, int64_t n) {
  uint16_t* p = static_cast<uint16_t*>(to) + at;
  kind == NormArgs::bf16 ? float_to_bf16(from, p, n) : float_to_f16(from, p, n);
}

// Rows [begin, end), a block of the gradient's sums.
template <class T>
void narrow_rows(const NormArgs& a, int64_t begin, int64_t end, T* partial) {
  using Rows = NarrowRows<T>;
  Rows rows(a);
  for (int64_t row = begin; row < end; row += Rows::W) {
    const int64_t m = end - row < Rows::W ? end - row : Rows::W, at = row * a.channels;
    const T *x = static_cast<const T*>(a.x) + at, *g = static_cast<const T*>(a.g) + at;
    T* out = static_cast<T*>(a.out) + at;
    alignas(64) T wide[2][Rows::kColumns * Rows::W];  // out goes where x was
    if constexpr (sizeof(T) == 4)
      if (a.half) {
        widen_half(a.half, a.x, at, wide[0], m * a.channels);
        if (a.g) widen_half(a.half, a.g, at, wide[1], m * a.channels);
        x = out = wide[0], g = wide[1];
      }
    if (a.g)
      rows.backward(row, m, x, g, out);
    else
      rows.forward(row, m, x, out);
    if constexpr (sizeof(T) == 4)
      if (a.half) narrow_half(a.half, out, a.out, at, m * a.channels);
  }
  if (a.g) rows.finish(partial);
}

// A row of half precision passes through float32 in the first cache.
void half_row(const NormArgs& a, int64_t row, float* buffer, float* sums) {
  const int64_t n = a.channels, at = row * n;
  float *x = buffer, *g = buffer + n;  // x is overwritten by the result
  widen_half(a.half, a.x, at, x, n);
  if (a.g) {
    widen_half(a.half, a.g, at, g, n);
    backward_row<float>(a, row, x, g, x, sums);
  } else {
    forward_row<float>(a, row, x, x);
  }
  narrow_half(a.half, x, a.out, at, n);
}

template <class T>
void run_layer(const NormArgs& a) {
  const int64_t n = a.channels;
  T* partial = static_cast<T*>(a.partial);
  parallel_for(0, a.outer, a.grain, [&](int64_t b, int64_t e) {
    T* sums = a.g ? partial + b / a.grain * 2 * n : nullptr;
    if (n <= NarrowRows<T>::kColumns) return narrow_rows<T>(a, b, e, sums);
    for (int64_t i = 0; sums && i < 2 * n; ++i) sums[i] = 0;
    if constexpr (sizeof(T) == 4)
      if (a.half) {
        T* buffer =
            static_cast<T*>(scratch(Scratch::columns, static_cast<size_t>(2 * n) * sizeof(T)));
        for (int64_t row = b; row < e; ++row) half_row(a, row, buffer, sums);
        return;
      }
    const auto at = [&](const void* p, int64_t row) { return static_cast<const T*>(p) + row * n; };
    for (int64_t row = b; row < e; ++row) {
      T* out = const_cast<T*>(at(a.out, row));
      if (a.g)
        backward_row<T>(a, row, at(a.x, row), at(a.g, row), out, sums);
      else
        forward_row<T>(a, row, at(a.x, row), out);
    }
  });
  if (!a.g) return;
  T *dweight = static_cast<T*>(a.dweight), *dbias = static_cast<T*>(a.dbias);
  const int64_t blocks = (a.outer + a.grain - 1) / a.grain;
  for (int64_t i = 0; i < n; ++i) dweight[i] = dbias[i] = 0;
  for (int64_t k = 0; k < blocks; ++k)
    for (int64_t i = 0; i < n; ++i) {
      dweight[i] += partial[2 * k * n + i];
      dbias[i] += partial[(2 * k + 1) * n + i];
    }
}

// -- groups of channels ---------------------------------------------------------------------------
template <class T>
void forward_group(const GroupNormArgs& a, int64_t group) {
  using V = Vec<T>;
  const int64_t n = a.channels * a.inner, first = group % a.groups * a.channels;
  const T* x = static_cast<const T*>(a.x) + group * n;
  T* y = static_cast<T*>(a.out) + group * n;
  const T *w = static_cast<const T*>(a.weight), *bias = static_cast<const T*>(a.bias);
  double s = 0, t = 0;
  add_up<T>(n, s, t, [&](int64_t i, int64_t m, V& u, V&) { u += V::load_n(x + i, m); });
  const T mean = static_cast<T>(s / static_cast<double>(n));
  s = 0;
  add_up<T>(n, s, t, [&](int64_t i, int64_t m, V& u, V&) {
    const V d = kept(V::load_n(x + i, m) - V(mean), m);
    u += d * d;
  });
  const T var = static_cast<T>(s / static_cast<double>(n)), r = rsqrt_of(var, a.eps);
  static_cast<T*>(a.mean)[group] = mean;
  static_cast<T*>(a.var)[group] = var;
  for (int64_t c = 0; c < a.channels; ++c) {
    const V scale(w ? w[first + c] * r : r), shift(bias ? bias[first + c] : T(0));
    each<T>(a.inner, [&](int64_t i, int64_t m) {
      const int64_t at = c * a.inner + i;
      ((V::load_n(x + at, m) - V(mean)) * scale + shift).store_n(y + at, m);
    });
  }
}

template <class T>
void backward_group(const GroupNormArgs& a, int64_t group) {
  using V = Vec<T>;
  const int64_t n = a.channels * a.inner, first = group % a.groups * a.channels;
  const T *x = static_cast<const T*>(a.x) + group * n, *g = static_cast<const T*>(a.g) + group * n;
  T* dx = static_cast<T*>(a.out) + group * n;
  const T* w = static_cast<const T*>(a.weight);
  const T r = rsqrt_of(static_cast<const T*>(a.var)[group], a.eps);
  const V mean(static_cast<const T*>(a.mean)[group]);
  double s = 0, t = 0;
  for (int64_t c = 0; c < a.channels; ++c) {
    double p = 0, q = 0;
    add_up<T>(a.inner, p, q, [&](int64_t i, int64_t m, V& u, V& v) {
      const V d = V::load_n(g + c * a.inner + i, m);
      u += d;
      v += d * ((V::load_n(x + c * a.inner + i, m) - mean) * V(r));
    });
    static_cast<T*>(a.dbias)[group * a.channels + c] = static_cast<T>(p);
    static_cast<T*>(a.dweight)[group * a.channels + c] = static_cast<T>(q);
    const double k = w ? static_cast<double>(w[first + c]) : 1;
    s += k * p, t += k * q;
  }
  const V mine(static_cast<T>(s / static_cast<double>(n)) * r);
  const V slope(static_cast<T>(t / static_cast<double>(n)) * r);
  for (int64_t c = 0; c < a.channels; ++c) {
    const V scale(w ? w[first + c] * r : r);
    each<T>(a.inner, [&](int64_t i, int64_t m) {
      const int64_t at = c * a.inner + i;
      const V h = (V::load_n(x + at, m) - mean) * V(r);
      (V::load_n(g + at, m) * scale - mine - h * slope).store_n(dx + at, m);
    });
  }
}

template <class T>
void run_group(const GroupNormArgs& a) {
  parallel_for(0, a.outer * a.groups, 8192 / (a.channels * a.inner + 1) + 1,
               [&](int64_t b, int64_t e) {
                 for (int64_t i = b; i < e; ++i)
                   a.g ? backward_group<T>(a, i) : forward_group<T>(a, i);
               });
}

void batch_norm(const NormArgs& a) { a.f64 ? run_batch<double>(a) : run_batch<float>(a); }
void layer_norm(const NormArgs& a) { a.f64 ? run_layer<double>(a) : run_layer<float>(a); }

void group_norm(const GroupNormArgs& a) { a.f64 ? run_group<double>(a) : run_group<float>(a); }

}  // namespace

FLAMBEAU_REGISTER(group_norm_kernel, group_norm);
FLAMBEAU_REGISTER(batch_norm_kernel, batch_norm);
FLAMBEAU_REGISTER(layer_norm_kernel, layer_norm);

}  // namespace FLAMBEAU_ISA
}  // namespace flambeau
