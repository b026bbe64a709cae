// LSTM and GRU layers: the recurrent product of each step by weights that are packed once, and the
// gates' functions fused.
#include "kernels/rnn.h"

#include "each.h"
#include "gemm_driver.h"

namespace flambeau {
namespace FLAMBEAU_ISA {
namespace {

// A few rows by the same matrix in many steps: its columns in panels that are read from end to end.
template <class T>
struct Panels {
  static constexpr int64_t P = 8 * Vec<T>::size;
  int64_t n, k, count;

  explicit Panels(const RnnArgs& a)
      : n((a.gru ? 3 : 4) * a.hidden), k(a.hidden), count(ceil_div(n, P)) {}
  // By sizes alone: a kept pack must not change the bits.
  static bool fits(const RnnArgs& a) { return a.batch <= kFewRows && a.steps >= 8; }

  int64_t numbers() const { return count * k * P + Vec<T>::size; }
  int64_t grain() const { return max((128 << 10) / (k * P * int64_t{sizeof(T)} + 1), int64_t{1}); }
  // In order: the store of a panel's last vector reaches into the next panel.
  void fill(T* to, const T* weight) const {
    for (int64_t p = 0; p < count; ++p)
      pack(to + p * k * P, P, weight + p * P * k, k, 1, min(P, n - p * P), k, T(1));
  }
  void multiply(const Gemm<T>& g, const T* packed) const {
    parallel_for(0, count, grain(), [&](int64_t begin, int64_t end) {
      for (int64_t p = begin; p < end; ++p) {
        Gemm<T> part = g;
        part.b = packed + p * k * P, part.b_row = P, part.b_col = 1;
        part.n = min(P, n - p * P), part.c = g.c + p * P;
        few_rows(part, false, 0, part.n);
      }
    });
  }
};

// Products by the same matrix, step after step.
template <class T>
class Repeated {
 public:
  explicit Repeated(const Gemm<T>& gemm) : g_(gemm), plan_(g_), few_(gemm.m <= kFewRows) {
    if (few_) return;
    plan_.packed_b =
        scratch_for<T>(Scratch::packed_b, plan_.panels * Blocked<T>::NR * g_.k + Vec<T>::size);
    parallel_for(0, plan_.panels, 1 + (32 << 10) / (Blocked<T>::NR * (g_.k + 1)),
                 [&](int64_t begin, int64_t end) { plan_.pack_panels(begin, end); });
  }
  Repeated(const Repeated&) = delete;

  void run(const T* a, T* c) {
    g_.a = a, g_.c = c;
    if (few_) return gemm(g_);
    const double flops = 2.0 * static_cast<double>(g_.m) * static_cast<double>(g_.n * g_.k);
    const int64_t tasks = plan_.blocks * plan_.groups;
    parallel_for(0, tasks, flops < kParallelFlops ? tasks : 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) plan_.compute(i / plan_.groups, i % plan_.groups);
    });
  }

 private:
  Gemm<T> g_;
  Blocked<T> plan_;
  bool few_;
};

// Where the numbers of one sequence at one step stand; null where there is none.
template <class T>
struct Layer {
  const RnnArgs& a;
  int64_t h, g;  // numbers of a state, and of all gates

  explicit Layer(const RnnArgs& args)
      : a(args), h(args.hidden), g((args.gru ? 3 : 4) * args.hidden) {}
  int64_t step(int64_t i) const { return a.backwards ? a.steps - 1 - i : i; }
  T* at(void* p, int64_t t, int64_t row, int64_t width) const {
    return p ? static_cast<T*>(p) + (t * a.batch + row) * width : nullptr;
  }
  const T* at(const void* p, int64_t t, int64_t row, int64_t width) const {
    return at(const_cast<void*>(p), t, row, width);
  }
  // What the state was before the i-th step.
  const T* before(const void* states, const void* first, int64_t i, int64_t row) const {
    if (i == 0) return at(first, 0, row, h);
    return at(states, step(i - 1), row, h);
  }
  template <class F>
  void rows(const F& f) const {
    parallel_for(0, a.batch, 1 + 4096 / (h + 1), [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) f(row);
    });
  }
};

template <class T>
FLAMBEAU_INLINE Vec<T> load_or_zero(const T* p, int64_t i, int64_t m) {
  return p ? Vec<T>::load_n(p + i, m) : Vec<T>(T(0));
}

template <class T>
void lstm_row(const Layer<T>& l, int64_t i, int64_t row) {
  using V = Vec<T>;
  const int64_t h = l.h, t = l.step(i);
  const T *x = l.at(l.a.projected, t, row, 4 * h), *bias = static_cast<const T*>(l.a.bias);
  const T* before = l.before(l.a.cells, l.a.c0, i, row);
  T *gates = l.at(l.a.gates, t, row, 4 * h), *cells = l.at(l.a.cells, t, row, h),
    *out = l.at(l.a.out, t, row, h);
  each<T>(h, [&](int64_t j, int64_t m) {
    V v[4];
    for (int k = 0; k < 4; ++k)
      v[k] = V::load_n(gates + k * h + j, m) + V::load_n(x + k * h + j, m) +
             load_or_zero(bias, k * h + j, m);
    v[0] = sigmoid(v[0]), v[1] = sigmoid(v[1]), v[2] = tanh(v[2]), v[3] = sigmoid(v[3]);
    const V c = v[1] * V::load_n(before + j, m) + v[0] * v[2];
    for (int k = 0; k < 4; ++k) v[k].store_n(gates + k * h + j, m);
    c.store_n(cells + j, m);
    (v[3] * tanh(c)).store_n(out + j, m);
  });
}

template <class T>
void gru_row(const Layer<T>& l, int64_t i, int64_t row) {
  using V = Vec<T>;
  const int64_t h = l.h, t = l.step(i);
  const T *x = l.at(l.a.projected, t, row, 3 * h), *bias = static_cast<const T*>(l.a.bias);
  const T* before = l.before(l.a.out, l.a.h0, i, row);
  T *gates = l.at(l.a.gates, t, row, 4 * h), *out = l.at(l.a.out, t, row, h);
  each<T>(h, [&](int64_t j, int64_t m) {
    V v[3], p[3];
    for (int k = 0; k < 3; ++k) {
      v[k] = V::load_n(gates + k * h + j, m) + load_or_zero(bias, k * h + j, m);
      p[k] = V::load_n(x + k * h + j, m);
    }
    const V reset = sigmoid(v[0] + p[0]), update = sigmoid(v[1] + p[1]);
    const V fresh = tanh(p[2] + reset * v[2]);
    reset.store_n(gates + j, m);
    update.store_n(gates + h + j, m);
    fresh.store_n(gates + 2 * h + j, m);
    v[2].store_n(gates + 3 * h + j, m);
    (fresh + update * (V::load_n(before + j, m) - fresh)).store_n(out + j, m);
  });
}

template <class T>
void forward(const RnnArgs& a) {
  const Layer<T> l(a);
  Gemm<T> g{a.batch, l.g, l.h,     nullptr, l.h, 1, static_cast<const T*>(a.weight),
            1,       l.h, nullptr, 4 * l.h};
  const auto steps = [&](const auto& multiply) {
    for (int64_t i = 0; i < a.steps; ++i) {
      multiply(l.before(a.out, a.h0, i, 0), l.at(a.gates, l.step(i), 0, 4 * l.h));
      l.rows([&](int64_t row) { (a.gru ? gru_row<T> : lstm_row<T>)(l, i, row); });
    }
  };
  if (!Panels<T>::fits(a)) {
    Repeated<T> product(g);
    return steps([&](const T* state, T* gates) { product.run(state, gates); });
  }
  const Panels<T> panels(a);
  const T* packed = static_cast<const T*>(a.packed);
  if (!packed) {
    T* to = scratch_for<T>(Scratch::packed_b, panels.numbers());
    panels.fill(to, static_cast<const T*>(a.weight));
    packed = to;
  }
  steps([&](const T* state, T* gates) {
    g.a = state, g.c = gates;
    panels.multiply(g, packed);
  });
}

// The running gradients of the states, d_h0 and d_c0, go from after the i-th step to before it,
// but for what the product adds.
template <class T>
void lstm_row_back(const Layer<T>& l, int64_t i, int64_t row) {
  using V = Vec<T>;
  const int64_t h = l.h, t = l.step(i);
  const T *gates = l.at(l.a.gates, t, row, 4 * h), *cells = l.at(l.a.cells, t, row, h),
          *before = l.before(l.a.cells, l.a.c0, i, row);
  const T *g_out = l.at(l.a.g_out, t, row, h), *g_cells = l.at(l.a.g_cells, t, row, h),
          *g_gates = l.at(l.a.g_gates, t, row, 4 * h);
  T *d = l.at(l.a.d_projected, t, row, 4 * h), *dh = l.at(l.a.d_h0, 0, row, h),
    *dc = l.at(l.a.d_c0, 0, row, h);
  each<T>(h, [&](int64_t j, int64_t m) {
    V v[4], e[4];
    for (int k = 0; k < 4; ++k) {
      v[k] = V::load_n(gates + k * h + j, m);
      e[k] = load_or_zero(g_gates, k * h + j, m);
    }
    const V y = tanh(V::load_n(cells + j, m));
    const V out = V::load_n(dh + j, m) + load_or_zero(g_out, j, m);
    const V c = V::load_n(dc + j, m) + load_or_zero(g_cells, j, m) + out * v[3] * (1 - y * y);
    e[0] += c * v[2], e[1] += c * V::load_n(before + j, m), e[2] += c * v[0], e[3] += out * y;
    for (int k = 0; k < 4; ++k)
      (e[k] * (k == 2 ? 1 - v[k] * v[k] : v[k] * (1 - v[k]))).store_n(d + k * h + j, m);
    (c * v[1]).store_n(dc + j, m);
  });
}

template <class T>
void gru_row_back(const Layer<T>& l, int64_t i, int64_t row) {
  using V = Vec<T>;
  const int64_t h = l.h, t = l.step(i);
  const T *gates = l.at(l.a.gates, t, row, 4 * h), *before = l.before(l.a.out, l.a.h0, i, row);
  const T *g_out = l.at(l.a.g_out, t, row, h), *g_gates = l.at(l.a.g_gates, t, row, 4 * h);
  T *dx = l.at(l.a.d_projected, t, row, 3 * h), *d = l.at(l.a.d_hidden, t, row, 3 * h),
    *dh = l.at(l.a.d_h0, 0, row, h);
  each<T>(h, [&](int64_t j, int64_t m) {
    V v[4], e[4];
    for (int k = 0; k < 4; ++k) {
      v[k] = V::load_n(gates + k * h + j, m);
      e[k] = load_or_zero(g_gates, k * h + j, m);
    }
    const V out = V::load_n(dh + j, m) + load_or_zero(g_out, j, m);
    e[1] += out * (V::load_n(before + j, m) - v[2]);
    e[2] = (e[2] + out * (1 - v[1])) * (1 - v[2] * v[2]);
    e[0] = (e[0] + e[2] * v[3]) * v[0] * (1 - v[0]);
    e[1] = e[1] * v[1] * (1 - v[1]);
    e[3] += e[2] * v[0];
    for (int k = 0; k < 3; ++k) {
      e[k].store_n(dx + k * h + j, m);
      e[k == 2 ? 3 : k].store_n(d + k * h + j, m);
    }
    (out * v[1]).store_n(dh + j, m);
  });
}

template <class T>
void backward(const RnnArgs& a) {
  const Layer<T> l(a);
  T *dh = static_cast<T*>(a.d_h0), *dc = static_cast<T*>(a.d_c0);
  for (int64_t j = 0; j < a.batch * l.h; ++j) dh[j] = 0;
  for (int64_t j = 0; dc && j < a.batch * l.h; ++j) dc[j] = 0;
  Gemm<T> g{a.batch, l.h, l.g,     nullptr, l.g, 1, static_cast<const T*>(a.weight),
            l.h,     1,   nullptr, l.h};
  if (a.gru) g.start = Start::c;
  Repeated<T> product(g);
  for (int64_t i = a.steps - 1; i >= 0; --i) {
    l.rows([&](int64_t row) { (a.gru ? gru_row_back<T> : lstm_row_back<T>)(l, i, row); });
    product.run(l.at(a.gru ? a.d_hidden : a.d_projected, l.step(i), 0, l.g), dh);
  }
}

template <class T>
void pack_as(const RnnArgs& a, void* to, int64_t* bytes) {
  const Panels<T> panels(a);
  *bytes = Panels<T>::fits(a) ? panels.numbers() * static_cast<int64_t>(sizeof(T)) : 0;
  if (to) panels.fill(static_cast<T*>(to), static_cast<const T*>(a.weight));
}
void rnn_pack(const RnnArgs& a, void* to, int64_t* bytes) {
  a.f64 ? pack_as<double>(a, to, bytes) : pack_as<float>(a, to, bytes);
}
void rnn(const RnnArgs& a) { a.f64 ? forward<double>(a) : forward<float>(a); }
void rnn_backward(const RnnArgs& a) { a.f64 ? backward<double>(a) : backward<float>(a); }

}  // namespace

FLAMBEAU_REGISTER(rnn_kernel, rnn);
FLAMBEAU_REGISTER(rnn_backward_kernel, rnn_backward);
FLAMBEAU_REGISTER(rnn_pack_kernel, rnn_pack);

}  // namespace FLAMBEAU_ISA
}  // namespace flambeau
