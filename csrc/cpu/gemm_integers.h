// Matrix products of integers. They wrap around, so words serve signed and unsigned ones alike.
#pragma once
#include "gemm_driver.h"

namespace flambeau {
namespace FLAMBEAU_ISA {

template <int Bytes>
struct Word;
#define FLAMBEAU_WORD(bytes, T)                                                             \
  template <>                                                                               \
  struct Word<bytes> {                                                                      \
    typedef T type;                                                                         \
    typedef T Reg __attribute__((vector_size(kVecBytes)));                                  \
    typedef T Loose __attribute__((vector_size(kVecBytes), aligned(sizeof(T)), may_alias)); \
  };
FLAMBEAU_WORD(2, uint16_t)
FLAMBEAU_WORD(4, uint32_t)
FLAMBEAU_WORD(8, uint64_t)
#undef FLAMBEAU_WORD

// Bytes are multiplied as words of 16 bits, whose lower halves are the same.
template <class T>
struct IntegerGemm {
  using Words = Word<sizeof(T) == 1 ? 2 : sizeof(T)>;
  using W = typename Words::type;
  static constexpr int64_t kLanes = kVecBytes / sizeof(W), kCols = 2 * kLanes;
  static constexpr int kRows = 4;
  static constexpr int64_t kBlock = 256;  // rows for which a panel of B is laid out
  const GemmArgs& x;

  static W product(W a, W b) { return static_cast<W>(uint64_t(a) * b); }

  // Columns [j, j + cols) of B, `width` words for each of its rows.
  void pack(const T* b, int64_t j, int64_t cols, int64_t width, W* out) const {
    for (int64_t k = 0; k < x.k; ++k, out += width) {
      const T* row = b + k * x.b_row + j * x.b_col;
      if (x.b_col == 1)
        for (int64_t q = 0; q < cols; ++q) out[q] = static_cast<W>(row[q]);
      else
        for (int64_t q = 0; q < cols; ++q) out[q] = static_cast<W>(row[q * x.b_col]);
      for (int64_t q = cols; q < width; ++q) out[q] = 0;
    }
  }

  void store(T* c, int64_t i, int64_t j, W sum) const {
    const auto whole = [](double f) { return static_cast<W>(static_cast<int64_t>(f)); };
    T& to = c[i * x.c_row + j * x.c_col];
    W value = x.alpha == 1 ? sum : product(whole(x.alpha), sum);
    if (x.beta != 0) value += product(whole(x.beta), static_cast<W>(to));
    const T* bias = static_cast<const T*>(x.bias);
    if (bias) value += static_cast<W>(bias[(x.bias_rows ? i : j) * x.bias_stride]);
    to = static_cast<T>(value);
  }

  void tile(const T* a, const W* panel, T* c, int64_t i, int64_t rows, int64_t j,
            int64_t cols) const {
    typename Words::Reg sums[kRows][2] = {};
    const T* from[kRows];
    for (int64_t r = 0; r < kRows; ++r) from[r] = a + (i + (r < rows ? r : 0)) * x.a_row;
    for (int64_t k = 0; k < x.k; ++k) {
      const auto* b = reinterpret_cast<const typename Words::Loose*>(panel + k * kCols);
      const typename Words::Reg b0 = b[0], b1 = b[1];
#pragma GCC unroll 4
      for (int r = 0; r < kRows; ++r) {
        const W factor = static_cast<W>(from[r][k * x.a_col]);
        sums[r][0] += factor * b0;
        sums[r][1] += factor * b1;
      }
    }
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t q = 0; q < cols; ++q) store(c, i + r, j + q, sums[r][q / kLanes][q % kLanes]);
  }

  // Rows [begin, end) of the panel of columns from j on.
  void rows(const T* a, const T* b, T* c, int64_t begin, int64_t end, int64_t j) const {
    const int64_t cols = min(kCols, x.n - j);
    W* panel = scratch_for<W>(Scratch::packed_b, x.k * kCols);
    if (x.n > 2 || x.a_col != 1) {
      pack(b, j, cols, kCols, panel);
      for (int64_t i = begin; i < end; i += kRows)
        tile(a, panel, c, i, min(kRows, end - i), j, cols);
      return;
    }
    for (int64_t q = j; q < j + cols; ++q) {  // one column after the other, along the rows of A
      pack(b, q, 1, 1, panel);
      for (int64_t i = begin; i < end; ++i) {
        const T* row = a + i * x.a_row;
        W sum = 0;
        for (int64_t k = 0; k < x.k; ++k) sum += product(static_cast<W>(row[k]), panel[k]);
        store(c, i, q, sum);
      }
    }
  }
};

}  // namespace FLAMBEAU_ISA
}  // namespace flambeau
