// The micro-kernel of all dense arithmetic: a tile of C held in registers, and the packing of the
// operands into the order in which it reads them.
#pragma once
#include "vec.h"

namespace flambeau {
namespace FLAMBEAU_ISA {

// Registers hold kTileRows x 2 vectors of C, two vectors of B and one number of A.
#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int kTileRows = 14;
#else
constexpr int kTileRows = 6;
#endif
template <class T>
constexpr int kTileCols = 2 * Vec<T>::size;

enum class Start { zero, c, bias_cols, bias_rows };  // what a tile of C begins with

// C[i][j] = start + sum over k of A[i][k] B[k][j] for a tile of `cols` <= NV vectors.
template <class T>
struct TileArgs {
  const T* a;
  int64_t a_row, a_col;
  const T* b;
  int64_t b_row;  // B's columns are consecutive; full vectors are read
  int64_t k;
  T* c;
  int64_t c_row;
  int64_t cols;
  Start start;
  const T* bias;
};

// Seven rows are reached from one base by the factors that an x86 address has room for; the
// compiler, left alone, would keep a register for each row and spill.
struct RowSteps {
  int64_t s1, s3, s5;
  explicit FLAMBEAU_INLINE RowSteps(int64_t bytes) : s1(bytes), s3(3 * bytes), s5(5 * bytes) {
    __asm__("" : "+r"(s1), "+r"(s3), "+r"(s5));
  }
  template <class T>
  FLAMBEAU_INLINE T* row(T* base, int i) const {
    const int64_t at[7] = {0, s1, 2 * s1, s3, 4 * s1, s5, 2 * s3};
    return reinterpret_cast<T*>((char*)base + at[i]);
  }
};

template <class T, int MR, int NV>
FLAMBEAU_INLINE void add_start(const TileArgs<T>& t, Vec<T> (&acc)[MR][NV]) {
  constexpr int W = Vec<T>::size;
  const int64_t last = t.cols - (NV - 1) * W;
  if (t.start == Start::c) {
#pragma GCC unroll 16
    for (int i = 0; i < MR; ++i)
#pragma GCC unroll 16
      for (int v = 0; v < NV; ++v)
        acc[i][v] += Vec<T>::load_n(t.c + i * t.c_row + v * W, v == NV - 1 ? last : W);
  } else if (t.start == Start::bias_cols) {
#pragma GCC unroll 16
    for (int i = 0; i < MR; ++i)
#pragma GCC unroll 16
      for (int v = 0; v < NV; ++v)
        acc[i][v] += Vec<T>::load_n(t.bias + v * W, v == NV - 1 ? last : W);
  } else if (t.start == Start::bias_rows) {
#pragma GCC unroll 16
    for (int i = 0; i < MR; ++i)
#pragma GCC unroll 16
      for (int v = 0; v < NV; ++v) acc[i][v] += Vec<T>(t.bias[i]);
  }
}

// UnitRow: consecutive rows of A are consecutive in memory (packed, or A transposed).
template <class T, int MR, int NV, bool UnitRow>
void tile(const TileArgs<T>& t) {
  constexpr int W = Vec<T>::size;
  Vec<T> acc[MR][NV];
#pragma GCC unroll 16
  for (int i = 0; i < MR; ++i) {
#pragma GCC unroll 16
    for (int v = 0; v < NV; ++v) acc[i][v] = T(0);
    __builtin_prefetch(t.c + i * t.c_row, 1);
  }
  const T* a0 = t.a;
  const T* a7 = t.a + 7 * t.a_row;
  const T* b = t.b;
  const int64_t a_col = t.a_col, b_row = t.b_row;
  const RowSteps steps(t.a_row * static_cast<int64_t>(sizeof(T)));
  for (int64_t k = t.k; k > 0; --k) {
    Vec<T> bv[NV];
#pragma GCC unroll 16
    for (int v = 0; v < NV; ++v) bv[v] = Vec<T>::load(b + v * W);
#pragma GCC unroll 16
    for (int i = 0; i < MR; ++i) {
      const Vec<T> av = UnitRow ? a0[i] : i < 7 ? *steps.row(a0, i) : *steps.row(a7, i - 7);
#pragma GCC unroll 16
      for (int v = 0; v < NV; ++v) acc[i][v] = fma(av, bv[v], acc[i][v]);
    }
    a0 += a_col;
    if constexpr (!UnitRow && MR > 7) a7 += a_col;
    b += b_row;
  }
  add_start<T, MR, NV>(t, acc);
  const int64_t last = t.cols - (NV - 1) * W;
#pragma GCC unroll 16
  for (int i = 0; i < MR; ++i) {
#pragma GCC unroll 16
    for (int v = 0; v < NV - 1; ++v) acc[i][v].store(t.c + i * t.c_row + v * W);
    acc[i][NV - 1].store_n(t.c + i * t.c_row + (NV - 1) * W, last);
  }
}

template <class T>
using TileFn = void (*)(const TileArgs<T>&);

template <class T, int NV, bool UnitRow>
struct TileTable {
  TileFn<T> by_rows[kTileRows + 1] = {};
  constexpr TileTable() { fill<kTileRows>(); }
  template <int MR>
  constexpr void fill() {
    by_rows[MR] = &tile<T, MR, NV, UnitRow>;
    if constexpr (MR > 1) fill<MR - 1>();
  }
};
template <class T, int NV, bool UnitRow>
constexpr TileTable<T, NV, UnitRow> kTiles;

template <class T>
FLAMBEAU_INLINE void run_tile(const TileArgs<T>& t, int64_t rows) {
  const bool unit = t.a_row == 1;
  if (t.cols > Vec<T>::size)
    (unit ? kTiles<T, 2, true>.by_rows : kTiles<T, 2, false>.by_rows)[rows](t);
  else
    (unit ? kTiles<T, 1, true>.by_rows : kTiles<T, 1, false>.by_rows)[rows](t);
}

template <int... I>
struct Lanes {};
template <int N, int... I>
struct MakeLanes : MakeLanes<N - 1, N - 1, I...> {};
template <int... I>
struct MakeLanes<0, I...> {
  using type = Lanes<I...>;
};
template <class T>
using AllLanes = typename MakeLanes<Vec<T>::size>::type;

// -- packing --------------------------------------------------------------------------------------

template <class R, int Step, int... I>
FLAMBEAU_INLINE void exchange(R& a, R& b, Lanes<I...>) {
  constexpr int W = sizeof...(I);
  const R x = __builtin_shufflevector(a, b, (I & Step ? W + I - Step : I)...);
  const R y = __builtin_shufflevector(a, b, (I & Step ? W + I : I + Step)...);
  a = x;
  b = y;
}
template <int Step, class T>
FLAMBEAU_INLINE void transpose_steps(Vec<T> (&r)[Vec<T>::size]) {
  constexpr int W = Vec<T>::size;
  if constexpr (Step < W) {
#pragma GCC unroll 16
    for (int i = 0; i < W; ++i)
      if (!(i & Step)) exchange<typename Vec<T>::Reg, Step>(r[i].v, r[i + Step].v, AllLanes<T>{});
    transpose_steps<Step * 2>(r);
  }
}
// A square of W rows of W numbers, in registers.
template <class T>
FLAMBEAU_INLINE void transpose(Vec<T> (&r)[Vec<T>::size]) {
  transpose_steps<1>(r);
}

// dst[k * width + j] = scale * src[j * step + k * k_step] for j < valid, 0 up to width. Whole
// vectors are stored: up to a vector past the end is overwritten, and dst is filled in an order
// that puts right what such a store spoils within it.
template <class T>
void pack(T* dst, int64_t width, const T* src, int64_t step, int64_t k_step, int64_t valid,
          int64_t k, T scale) {
  constexpr int64_t W = Vec<T>::size;
  for (int64_t j = (width - 1) / W * W; j >= 0; j -= W) {
    const int64_t n = valid - j < 0 ? 0 : valid - j < W ? valid - j : W;
    T* d = dst + j;
    const T* s = src + j * step;
    if (step == 1) {
      for (int64_t i = 0; i < k; ++i)
        (Vec<T>::load_n(s + i * k_step, n) * scale).store(d + i * width);
    } else if (k_step == 1) {
      for (int64_t i = 0; i < k; i += W) {
        const int64_t columns = k - i < W ? k - i : W;
        Vec<T> r[W];
#pragma GCC unroll 16
        for (int64_t q = 0; q < W; ++q)
          r[q] = q < n ? Vec<T>::load_n(s + q * step + i, columns) * scale : Vec<T>(T(0));
        transpose(r);
        if (columns == W) {
#pragma GCC unroll 16
          for (int64_t q = 0; q < W; ++q) r[q].store(d + (i + q) * width);
        } else {
          for (int64_t q = 0; q < columns; ++q) r[q].store(d + (i + q) * width);
        }
      }
    } else {
      for (int64_t i = 0; i < k; ++i)
        for (int64_t q = 0; q < (width - j < W ? width - j : W); ++q)
          d[i * width + q] = q < n ? s[q * step + i * k_step] * scale : T(0);
    }
  }
}

}  // namespace FLAMBEAU_ISA
}  // namespace flambeau
