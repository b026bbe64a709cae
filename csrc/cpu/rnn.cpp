// LSTM and GRU layers: the recurrent product of each step by weights that are packed once, and the
// gates' functions fused.
#include "kernels/rnn.h"

#include "each.h"
#include "gemm_driver.h"

namespace flambeau {
namespace FLAMBEAU_ISA {
namespace {

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
  Repeated<T> product(g);
  for (int64_t i = 0; i < a.steps; ++i) {
    product.run(l.before(a.out, a.h0, i, 0), l.at(a.gates, l.step(i), 0, 4 * l.h));
    l.rows([&](int64_t row) { (a.gru ? gru_row<T> : lstm_row<T>)(l, i, row); });
  }
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

void rnn(const RnnArgs& a) { a.f64 ? forward<double>(a) : forward<float>(a); }
void rnn_backward(const RnnArgs& a) { a.f64 ? backward<double>(a) : backward<float>(a); }

}  // namespace

FLAMBEAU_REGISTER(rnn_kernel, rnn);
FLAMBEAU_REGISTER(rnn_backward_kernel, rnn_backward);

}  // namespace FLAMBEAU_ISA
}  // namespace flambeau
