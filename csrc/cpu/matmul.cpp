// Matrix products of every type: batches, layouts of C, half precision, integers, complex numbers.
#include "gemm_bf16.h"
#include "gemm_complex.h"
#include "gemm_integers.h"

namespace flambeau {
namespace FLAMBEAU_ISA {
namespace {

template <class T>
const T* at(const void* p, const int64_t* stride, int64_t i0, int64_t i1) {
  return static_cast<const T*>(p) + i0 * stride[0] + i1 * stride[1];
}

template <class T>
void copy_matrix(T* dst, int64_t dr, int64_t dc, const T* src, int64_t sr, int64_t sc, int64_t m,
                 int64_t n) {
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < n; ++j) dst[i * dr + j * dc] = src[i * sr + j * sc];
}

template <class T>
const T* dense_bias(const GemmArgs& x) {
  const T* bias = static_cast<const T*>(x.bias);
  if (!bias || x.bias_stride == 1) return bias;
  const int64_t count = x.bias_rows ? x.m : x.n;
  T* dense = static_cast<T*>(scratch(Scratch::columns, count * sizeof(T)));
  copy_matrix(dense, 1, 1, bias, x.bias_stride, 1, count, 1);
  return dense;
}

// One product whose C has consecutive columns.
template <class T>
void gemm_rows(const GemmArgs& x, const T* a, const T* b, T* c, const T* bias) {
  Gemm<T> g{x.m, x.n, x.k, a, x.a_row, x.a_col, b, x.b_row, x.b_col, c, x.c_row};
  g.alpha = static_cast<T>(x.alpha);
  g.bias = bias;
  if constexpr (sizeof(T) == 4) g.finish = x.finish;
  if (bias) g.start = x.bias_rows ? Start::bias_rows : Start::bias_cols;
  if (x.beta != 0) {
    const T beta = static_cast<T>(x.beta);
    for (int64_t i = 0; i < x.m; ++i)
      for (int64_t j = 0; j < x.n; ++j) {
        T& value = c[i * x.c_row + j];
        value = value * beta + (!bias ? T(0) : bias[x.bias_rows ? i : j]);
      }
    g.start = Start::c;
  }
  gemm(g);
}

// C = A B is C' = B' A' where that makes C's rows consecutive.
GemmArgs transposed(const GemmArgs& x) {
  GemmArgs t = x;
  t.m = x.n, t.n = x.m;
  t.a = x.b, t.a_row = x.b_col, t.a_col = x.b_row;
  t.b = x.a, t.b_row = x.a_col, t.b_col = x.a_row;
  t.c_row = x.c_col, t.c_col = x.c_row;
  t.bias_rows = !x.bias_rows;
  for (int i = 0; i < 2; ++i) t.a_batch[i] = x.b_batch[i], t.b_batch[i] = x.a_batch[i];
  return t;
}

template <class T>
void gemm_one(const GemmArgs& x, const T* a, const T* b, T* c, const T* bias) {
  if (x.c_col == 1) return gemm_rows(x, a, b, c, bias);
  GemmArgs dense = x;  // neither rows nor columns of C are consecutive
  dense.c_row = x.n, dense.c_col = 1;
  T* out = static_cast<T*>(scratch(Scratch::output, x.m * x.n * sizeof(T)));
  if (x.beta != 0) copy_matrix(out, x.n, 1, c, x.c_row, x.c_col, x.m, x.n);
  gemm_rows(dense, a, b, out, bias);
  copy_matrix(c, x.c_row, x.c_col, out, x.n, 1, x.m, x.n);
}

// Every batch; many small products are split among the threads whole.
template <class F>
void for_batches(const GemmArgs& x, const F& f) {
  const int64_t count = x.batch[0] * x.batch[1];
  const double flops = 2.0 * static_cast<double>(x.m) * static_cast<double>(x.n * x.k) + 100;
  const auto range = [&](int64_t begin, int64_t end) {
    int64_t i0 = begin / x.batch[1], i1 = begin % x.batch[1];
    for (int64_t i = begin; i < end; ++i) {
      f(i0, i1);
      if (++i1 == x.batch[1]) i1 = 0, ++i0;
    }
  };
  if (count < 4 || flops > 32 * kParallelFlops) return range(0, count);
  parallel_for(0, count, 1 + static_cast<int64_t>(kParallelFlops / flops), range);
}

// A column or row of a few numbers takes less time than it takes to set up a micro-kernel.
template <class T>
void gemm_tiny(const GemmArgs& x, const T* a, const T* b, T* c, const T* bias) {
  const T alpha = static_cast<T>(x.alpha), beta = static_cast<T>(x.beta);
  for (int64_t i = 0; i < x.m; ++i)
    for (int64_t j = 0; j < x.n; ++j) {
      T& to = c[i * x.c_row + j * x.c_col];
      T sum(0);
      for (int64_t p = 0; p < x.k; ++p)
        sum += a[i * x.a_row + p * x.a_col] * b[p * x.b_row + j * x.b_col];
      sum = alpha * sum + (bias ? bias[x.bias_rows ? i : j] : T(0));
      to = beta == T(0) ? sum : sum + beta * to;
    }
}

template <class T>
void gemm_float(const GemmArgs& args) {
  // A single column is a product with few rows, read the other way round.
  const bool turn = args.c_row == 1 && (args.c_col != 1 || (args.n == 1 && args.m > 1));
  const GemmArgs x = turn ? transposed(args) : args;
  const T* bias = dense_bias<T>(x);
  const bool tiny = (x.m == 1 || x.n == 1) && x.m * x.n * x.k <= 64 && !x.finish;
  const auto one = tiny ? gemm_tiny<T> : gemm_one<T>;
  for_batches(x, [&](int64_t i0, int64_t i1) {
    one(x, at<T>(x.a, x.a_batch, i0, i1), at<T>(x.b, x.b_batch, i0, i1),
        const_cast<T*>(at<T>(x.c, x.c_batch, i0, i1)), bias);
  });
}

// -- half precision: the operands converted, the product rounded once -----------------------------

struct Half {
  uint16_t bits;
};
using Widen = void (*)(const uint16_t*, float*, int64_t);
using Narrow = void (*)(const float*, uint16_t*, int64_t);

void widen_matrix(float* dst, const uint16_t* src, int64_t row, int64_t col, int64_t m, int64_t n,
                  Widen widen) {
  if (col != 1 && row == 1) {  // keep what is consecutive, transposed
    for (int64_t j = 0; j < n; ++j) widen(src + j * col, dst + j * m, m);
    return;
  }
  for (int64_t i = 0; i < m; ++i) {
    if (col == 1) {
      widen(src + i * row, dst + i * n, n);
    } else {
      for (int64_t j = 0; j < n; ++j) widen(src + i * row + j * col, dst + i * n + j, 1);
    }
  }
}

template <Widen widen, Narrow narrow>
void gemm_half(const GemmArgs& x) {
  const int64_t mk = x.m * x.k, kn = x.k * x.n, mn = x.m * x.n;
  const bool a_turned = x.a_col != 1 && x.a_row == 1, b_turned = x.b_col != 1 && x.b_row == 1;
  const int64_t biases = !x.bias ? 0 : x.bias_rows ? x.m : x.n;
  float* a = static_cast<float*>(scratch(Scratch::shared, (mk + kn + mn + biases) * sizeof(float)));
  float *b = a + mk, *c = b + kn, *bias = c + mn;
  GemmArgs y = x;
  y.a_row = a_turned ? 1 : x.k, y.a_col = a_turned ? x.m : 1;
  y.b_row = b_turned ? 1 : x.n, y.b_col = b_turned ? x.k : 1;
  y.c_row = x.n, y.c_col = 1;
  y.bias_stride = 1;
  for (int64_t i = 0; i < biases; ++i)
    widen(static_cast<const uint16_t*>(x.bias) + i * x.bias_stride, bias + i, 1);
  for (int64_t i = 0; i < x.batch[0] * x.batch[1]; ++i) {
    const int64_t i0 = i / x.batch[1], i1 = i % x.batch[1];
    widen_matrix(a, at<uint16_t>(x.a, x.a_batch, i0, i1), x.a_row, x.a_col, x.m, x.k, widen);
    widen_matrix(b, at<uint16_t>(x.b, x.b_batch, i0, i1), x.b_row, x.b_col, x.k, x.n, widen);
    uint16_t* out = const_cast<uint16_t*>(at<uint16_t>(x.c, x.c_batch, i0, i1));
    if (x.beta != 0)
      for (int64_t r = 0; r < mn; ++r) widen(out + r / x.n * x.c_row + r % x.n * x.c_col, c + r, 1);
    gemm_one<float>(y, a, b, c, biases ? bias : nullptr);
    for (int64_t r = 0; r < x.m; ++r) {
      if (x.c_col == 1) {
        narrow(c + r * x.n, out + r * x.c_row, x.n);
      } else {
        for (int64_t j = 0; j < x.n; ++j)
          narrow(c + r * x.n + j, out + r * x.c_row + j * x.c_col, 1);
      }
    }
  }
}
// The same without conversions where pairs of bfloat16 can be multiplied.
bool gemm_pairs(const GemmArgs& args) {
  const bool turn = args.c_row == 1 && args.c_col != 1;
  const GemmArgs x = turn ? transposed(args) : args;
  if (!pairs_fit(x)) return false;
#ifdef FLAMBEAU_PAIRS
  const int64_t biases = !x.bias ? 0 : x.bias_rows ? x.m : x.n;
  float* bias = static_cast<float*>(scratch(Scratch::shared, biases * sizeof(float)));
  for (int64_t i = 0; i < biases; ++i)
    bias[i] = bf16_to_float(static_cast<const uint16_t*>(x.bias)[i * x.bias_stride]);
  for_batches(x, [&](int64_t i0, int64_t i1) {
    PairGemm(x, at<uint16_t>(x.a, x.a_batch, i0, i1), at<uint16_t>(x.b, x.b_batch, i0, i1),
             const_cast<uint16_t*>(at<uint16_t>(x.c, x.c_batch, i0, i1)), biases ? bias : nullptr)
        .run();
  });
#endif
  return true;
}
void bf16_in(const uint16_t* s, float* d, int64_t n) { bf16_to_float(s, d, n); }
void bf16_out(const float* s, uint16_t* d, int64_t n) { float_to_bf16(s, d, n); }
void f16_in(const uint16_t* s, float* d, int64_t n) { f16_to_float(s, d, n); }
void f16_out(const float* s, uint16_t* d, int64_t n) { float_to_f16(s, d, n); }
void gemm_bf16(const GemmArgs& x) {
  if (!gemm_pairs(x)) gemm_half<bf16_in, bf16_out>(x);
}

void gemm_pack(const GemmPackArgs& x) {
  *x.bytes = 0;
#ifdef FLAMBEAU_PAIRS
  if (x.type != GemmType::bf16 || x.k < 2 || !has_pairs()) return;
  const PairPanels panels(x.k, x.n);
  *x.bytes = panels.numbers() * static_cast<int64_t>(sizeof(float));
  float* out = static_cast<float*>(x.out);
  if (!out) return;
  if (x.from == GemmType::f32)
    panels.pack_all(out, static_cast<const float*>(x.b), x.b_row, x.b_col, true);
  else
    panels.pack_all(out, static_cast<const uint16_t*>(x.b), x.b_row, x.b_col, true);
#endif
}

// -- integers and complex numbers -----------------------------------------------------------------

template <class R>
void gemm_complex(const GemmArgs& args) {
  struct Pair {
    R parts[2];
  };
  const GemmArgs turned = transposed(args);
  const bool turn = ComplexGemm<R>::cost(turned) < ComplexGemm<R>::cost(args);
  const GemmArgs& x = turn ? turned : args;
  const ComplexGemm<R> product(x);
  for_batches(x, [&](int64_t i0, int64_t i1) {
    product.run(at<Pair>(x.a, x.a_batch, i0, i1)->parts, at<Pair>(x.b, x.b_batch, i0, i1)->parts,
                const_cast<Pair*>(at<Pair>(x.c, x.c_batch, i0, i1))->parts);
  });
}

// A row times a matrix is read as the matrix, turned, times a column.
template <class T>
void gemm_integers(const GemmArgs& args) {
  using Product = IntegerGemm<T>;
  const bool turn = args.m == 1 && args.n > 1 && args.b_row == 1;
  const GemmArgs x = turn ? transposed(args) : args;
  const int64_t panels = ceil_div(x.n, Product::kCols), blocks = ceil_div(x.m, Product::kBlock);
  const int64_t items = x.batch[0] * x.batch[1] * panels * blocks;
  const int64_t work = min(x.m, Product::kBlock) * min(x.n, Product::kCols) * x.k + 1;
  parallel_for(0, items, 1 + 200000 / work, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t j = i % panels * Product::kCols, row = i / panels % blocks * Product::kBlock;
      const int64_t batch = i / panels / blocks, i0 = batch / x.batch[1], i1 = batch % x.batch[1];
      Product{x}.rows(at<T>(x.a, x.a_batch, i0, i1), at<T>(x.b, x.b_batch, i0, i1),
                      const_cast<T*>(at<T>(x.c, x.c_batch, i0, i1)), row,
                      min(row + Product::kBlock, x.m), j);
    }
  });
}

void gemm_impl(const GemmArgs& x) {
  if (x.m <= 0 || x.n <= 0 || x.batch[0] <= 0 || x.batch[1] <= 0) return;
  switch (x.type) {
    case GemmType::f32: return gemm_float<float>(x);
    case GemmType::f64: return gemm_float<double>(x);
    case GemmType::f16: return gemm_half<f16_in, f16_out>(x);
    case GemmType::bf16: return gemm_bf16(x);
    case GemmType::c64: return gemm_complex<float>(x);
    case GemmType::c128: return gemm_complex<double>(x);
    case GemmType::u8: return gemm_integers<uint8_t>(x);
    case GemmType::i8: return gemm_integers<int8_t>(x);
    case GemmType::i16: return gemm_integers<int16_t>(x);
    case GemmType::i32: return gemm_integers<int32_t>(x);
    case GemmType::i64: return gemm_integers<int64_t>(x);
  }
}

}  // namespace

FLAMBEAU_REGISTER(gemm_kernel, gemm_impl);
FLAMBEAU_REGISTER(gemm_pack_kernel, gemm_pack);

}  // namespace FLAMBEAU_ISA
}  // namespace flambeau
