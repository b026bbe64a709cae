// Complex matrix products as real ones.
#pragma once
#include "gemm_driver.h"

namespace flambeau {
namespace FLAMBEAU_ISA {

// Numbers lie as pairs of parts, so C is A as it lies, m by 2 k, times B spread out, 2 k by 2 n:
// for each of its numbers the two by two matrix that multiplies a pair by it.
template <class R>
struct ComplexGemm {
  const GemmArgs& x;
  int64_t k2 = 2 * x.k, n2 = 2 * x.n;
  bool few = n2 <= kFewRows;  // columns: the real product is turned
  bool pack_a = x.a_col != 1, apart = few || x.c_col != 1;
  int64_t out_row = few ? 1 : apart ? n2 : 2 * x.c_row, out_col = few ? x.m : 1;

  explicit ComplexGemm(const GemmArgs& args) : x(args) {}

  // What laying things out costs.
  static int64_t cost(const GemmArgs& x) {
    return 2 * x.k * x.n + (x.a_col != 1) * x.m * x.k + (x.c_col != 1) * x.m * x.n;
  }

  void spread(const R* b, R* out) const {
    const R re = static_cast<R>(x.alpha), im = static_cast<R>(x.alpha_im);
    const bool plain = re == 1 && im == 0;
    const int64_t row = few ? 1 : n2, col = few ? k2 : 1;
    for (int64_t k = 0; k < x.k; ++k)
      for (int64_t j = 0; j < x.n; ++j) {
        const R* p = b + 2 * (k * x.b_row + j * x.b_col);
        const R u = plain ? p[0] : p[0] * re - p[1] * im, v = plain ? p[1] : p[0] * im + p[1] * re;
        R* to = out + 2 * k * row + 2 * j * col;
        to[0] = u, to[col] = v, to[row] = -v, to[row + col] = u;
      }
  }

  // What the product is added to.
  void start(const R* c, R* out) const {
    const R re = static_cast<R>(x.beta), im = static_cast<R>(x.beta_im);
    const R* bias = static_cast<const R*>(x.bias);
    for (int64_t i = 0; i < x.m; ++i)
      for (int64_t j = 0; j < x.n; ++j) {
        const R* p = c + 2 * (i * x.c_row + j * x.c_col);
        R u = 0, v = 0;
        if (re != 0 || im != 0) u = p[0] * re - p[1] * im, v = p[0] * im + p[1] * re;
        if (bias) {
          const R* q = bias + 2 * (x.bias_rows ? i : j) * x.bias_stride;
          u += q[0], v += q[1];
        }
        R* to = out + i * out_row + 2 * j * out_col;
        to[0] = u, to[out_col] = v;
      }
  }

  void run(const R* a, const R* b, R* c) const {
    const int64_t size_a = pack_a ? x.m * k2 : 0, size_c = apart ? x.m * n2 : 0;
    R* wide = scratch_for<R>(Scratch::output, k2 * n2 + size_a + size_c);
    R *packed = wide + k2 * n2, *out = apart ? packed + size_a : c;
    spread(b, wide);
    for (int64_t i = 0; i < x.m && pack_a; ++i)
      for (int64_t k = 0; k < x.k; ++k) {
        const R* p = a + 2 * (i * x.a_row + k * x.a_col);
        packed[i * k2 + 2 * k] = p[0], packed[i * k2 + 2 * k + 1] = p[1];
      }
    if (pack_a) a = packed;
    const int64_t a_row = pack_a ? k2 : 2 * x.a_row;
    Gemm<R> g{x.m, n2, k2, a, a_row, 1, wide, n2, 1, out, out_row};
    if (few) g = {n2, x.m, k2, wide, k2, 1, a, 1, a_row, out, out_col};
    if (x.bias || x.beta != 0 || x.beta_im != 0) start(c, out), g.start = Start::c;
    gemm(g);
    for (int64_t i = 0; i < x.m && apart; ++i)
      for (int64_t j = 0; j < x.n; ++j) {
        R* to = c + 2 * (i * x.c_row + j * x.c_col);
        const R* from = out + i * out_row + 2 * j * out_col;
        to[0] = from[0], to[1] = from[out_col];
      }
  }
};

}  // namespace FLAMBEAU_ISA
}  // namespace flambeau
