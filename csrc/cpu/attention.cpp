// Attention in blocks of queries by keys: scores live in the second-level cache and are made again
// for the gradient. One head of one sample is done by one thread, or one of its blocks of queries.
#include "kernels/attention.h"

#include "each.h"
#include "gemm_driver.h"

namespace flambeau {
namespace FLAMBEAU_ISA {
namespace {

constexpr int64_t kQueries = 128, kKeys = 256;  // of a block

template <class T>
struct Head {
  const AttentionArgs& a;
  int64_t b, h;

  T* at(const HeadsArg& x, int64_t row) const {
    return static_cast<T*>(x.data) + b * x.batch + h * x.head + row * x.row;
  }
  T* logsum(int64_t row) const {
    return static_cast<T*>(a.logsum) + (b * a.heads + h) * a.queries + row;
  }
  // Keys that the queries before `end` may see.
  int64_t reach(int64_t end) const { return a.causal ? min(end, a.keys) : a.keys; }

  // scores[i][j] of queries [i0, i1) and keys [j0, j1), minus infinity where they are hidden.
  void scores(T* s, int64_t i0, int64_t i1, int64_t j0, int64_t j1) const {
    Gemm<T> g{i1 - i0,     j1 - j0, a.width, at(a.q, i0), a.q.row, 1,
              at(a.k, j0), 1,       a.k.row, s,           kKeys};
    gemm(g);
    const Vec<T> scale(static_cast<T>(a.scale)), hidden(-kInf<T>);
    for (int64_t i = i0; i < i1; ++i, s += kKeys) {
      const T* mask = static_cast<const T*>(a.mask);
      const int64_t* step = a.mask_step;
      if (mask) mask += b * step[0] + h * step[1] + i * step[2] + j0 * step[3];
      // The key that query i may see last is key i.
      const int64_t seen = a.causal ? i + 1 - j0 : j1 - j0;
      each<T>(j1 - j0, [&](int64_t j, int64_t m) {
        Vec<T> v = Vec<T>::load_n(s + j, m) * scale;
        if (mask && step[3] == 1) v += Vec<T>::load_n(mask + j, m);
        if (mask && step[3] == 0) v += Vec<T>(*mask);
        if (j + m > seen)
          v = where(Vec<T>::arange(static_cast<T>(j)) < Vec<T>(static_cast<T>(seen)), v, hidden);
        v.store_n(s + j, m);
      });
    }
  }
};

template <class T>
T row_max(const T* s, int64_t n, T top) {
  Vec<T> v(top);
  each<T>(n, [&](int64_t j, int64_t m) { v = max(v, Vec<T>::load_n(s + j, m, top)); });
  return hmax(v);
}
// s = exp(s - top); returns the sum.
template <class T>
T row_exp(T* s, int64_t n, T top) {
  using V = Vec<T>;
  V total(0);
  each<T>(n, [&](int64_t j, int64_t m) {
    const V e = exp(V::load_n(s + j, m, -kInf<T>) - V(top));
    e.store_n(s + j, m);
    total += e;
  });
  return sum(total);
}
template <class T>
void scale_row(T* x, int64_t n, T factor) {
  each<T>(n, [&](int64_t j, int64_t m) {
    (Vec<T>::load_n(x + j, m) * Vec<T>(factor)).store_n(x + j, m);
  });
}

// Queries [i0, i1) of a head: a running maximum and sum for each, over blocks of keys.
template <class T>
void forward_block(const Head<T>& x, int64_t i0, int64_t i1) {
  const AttentionArgs& a = x.a;
  T* s = scratch_for<T>(Scratch::columns, kQueries * (kKeys + 2));
  T *top = s + kQueries * kKeys, *total = top + kQueries;
  for (int64_t i = 0; i < i1 - i0; ++i) top[i] = -kInf<T>, total[i] = 0;
  const int64_t keys = x.reach(i1);
  for (int64_t j0 = 0; j0 < keys; j0 += kKeys) {
    const int64_t j1 = min(j0 + kKeys, keys);
    x.scores(s, i0, i1, j0, j1);
    for (int64_t i = 0; i < i1 - i0; ++i) {
      T* row = s + i * kKeys;
      const T most = row_max(row, j1 - j0, top[i]);
      // A row that has seen no key yet stays zero.
      const T base = most == -kInf<T> ? T(0) : most;
      const T kept = j0 == 0 ? T(0) : exp(top[i] - base);
      total[i] = total[i] * kept + row_exp(row, j1 - j0, base);
      if (j0 > 0) scale_row(x.at(a.out, i0 + i), a.value_width, kept);
      top[i] = most;
    }
    Gemm<T> g{i1 - i0, a.value_width,   j1 - j0,  s, kKeys, 1, x.at(a.v, j0), a.v.row,
              1,       x.at(a.out, i0), a.out.row};
    if (j0 > 0) g.start = Start::c;
    gemm(g);
  }
  for (int64_t i = 0; i < i1 - i0; ++i) {
    T* out = x.at(a.out, i0 + i);
    const bool blind = total[i] == 0;  // every key is hidden: zero, and no gradient
    for (int64_t j = 0; blind && j < a.value_width; ++j) out[j] = 0;
    if (!blind) scale_row(out, a.value_width, 1 / total[i]);
    *x.logsum(i0 + i) = blind ? kInf<T> : top[i] + log(total[i]);
  }
}

template <class T>
void forward(const AttentionArgs& a) {
  const int64_t blocks = ceil_div(a.queries, kQueries);
  parallel_for(0, a.batch * a.heads * blocks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n) {
      const int64_t head = n / blocks, i0 = n % blocks * kQueries;
      const Head<T> x{a, head / a.heads, head % a.heads};
      forward_block(x, i0, min(i0 + kQueries, a.queries));
    }
  });
}

// What queries [i0, i1) and keys [j0, j1) add to the three gradients.
template <class T>
void backward_block(const Head<T>& x, int64_t i0, int64_t i1, int64_t j0, int64_t j1, T* s, T* d,
                    const T* dots) {
  using V = Vec<T>;
  const AttentionArgs& a = x.a;
  const int64_t m = i1 - i0, n = j1 - j0;
  x.scores(s, i0, i1, j0, j1);
  gemm(
      Gemm<T>{m, n, a.value_width, x.at(a.g, i0), a.g.row, 1, x.at(a.v, j0), 1, a.v.row, d, kKeys});
  for (int64_t i = 0; i < m; ++i) {
    T *p = s + i * kKeys, *e = d + i * kKeys;
    const V logsum(*x.logsum(i0 + i)), dot(dots[i0 + i]), scale(static_cast<T>(a.scale));
    each<T>(n, [&](int64_t j, int64_t r) {
      const V y = exp(V::load_n(p + j, r) - logsum);
      y.store_n(p + j, r);
      (y * (V::load_n(e + j, r) - dot) * scale).store_n(e + j, r);
    });
  }
  const auto product = [&](int64_t rows, int64_t cols, int64_t k, const T* left, int64_t row,
                           int64_t col, const T* right, int64_t step, T* c, int64_t c_row,
                           bool first) {
    Gemm<T> g{rows, cols, k, left, row, col, right, step, 1, c, c_row};
    if (!first) g.start = Start::c;
    gemm(g);
  };
  product(n, a.value_width, m, s, 1, kKeys, x.at(a.g, i0), a.g.row, x.at(a.dv, j0), a.dv.row,
          false);
  product(n, a.width, m, d, 1, kKeys, x.at(a.q, i0), a.q.row, x.at(a.dk, j0), a.dk.row, false);
  product(m, a.width, n, d, kKeys, 1, x.at(a.k, j0), a.k.row, x.at(a.dq, i0), a.dq.row, j0 == 0);
}

template <class T>
void zero_rows(const Head<T>& x, const HeadsArg& t, int64_t rows, int64_t width) {
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < width; ++j) x.at(t, i)[j] = 0;
}

template <class T>
void backward(const AttentionArgs& a) {
  parallel_for(0, a.batch * a.heads, 1, [&](int64_t begin, int64_t end) {
    T* s = scratch_for<T>(Scratch::columns, 2 * kQueries * kKeys + a.queries);
    T *d = s + kQueries * kKeys, *dots = d + kQueries * kKeys;
    for (int64_t n = begin; n < end; ++n) {
      const Head<T> x{a, n / a.heads, n % a.heads};
      for (int64_t i = 0; i < a.queries; ++i) {
        const T *g = x.at(a.g, i), *y = x.at(a.out, i);
        Vec<T> total(0);
        each<T>(a.value_width, [&](int64_t j, int64_t m) {
          total += Vec<T>::load_n(g + j, m) * Vec<T>::load_n(y + j, m);
        });
        dots[i] = sum(total);
      }
      zero_rows(x, a.dk, a.keys, a.width);
      zero_rows(x, a.dv, a.keys, a.value_width);
      for (int64_t i0 = 0; i0 < a.queries; i0 += kQueries) {
        const int64_t i1 = min(i0 + kQueries, a.queries), keys = x.reach(i1);
        for (int64_t j0 = 0; j0 < keys; j0 += kKeys)
          backward_block(x, i0, i1, j0, min(j0 + kKeys, keys), s, d, dots);
      }
    }
  });
}

void attention(const AttentionArgs& a) { a.f64 ? forward<double>(a) : forward<float>(a); }
void attention_backward(const AttentionArgs& a) {
  a.f64 ? backward<double>(a) : backward<float>(a);
}

}  // namespace

FLAMBEAU_REGISTER(attention_kernel, attention);
FLAMBEAU_REGISTER(attention_backward_kernel, attention_backward);

}  // namespace FLAMBEAU_ISA
}  // namespace flambeau
