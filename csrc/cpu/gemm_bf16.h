// Products of bfloat16 by the instruction that multiplies pairs of them and adds to float32: the
// float32 scheme, where a number is a pair of neighbours along the reduction.
#pragma once
#include "gemm_driver.h"

#if defined(__AVX512BW__) && defined(__AVX512VL__)
#define FLAMBEAU_PAIRS __attribute__((target("avx512bf16")))
#endif

namespace flambeau {
namespace FLAMBEAU_ISA {

#ifdef FLAMBEAU_PAIRS

// C = A B + bias, rounded once. A and B are packed pairs, `rows` or a panel's width for each k.
struct PairTile {
  const float *a, *b;
  int64_t a_col, b_row, k;  // k counts pairs
  uint16_t* c;
  int64_t c_row, cols;
  const float *bias_cols, *bias_rows;  // null where there is none
};

template <int MR, int NV>
FLAMBEAU_PAIRS void pair_tile(const PairTile& t) {
  constexpr int W = Vec<float>::size;
  __m512 acc[MR][NV];
#pragma GCC unroll 16
  for (int i = 0; i < MR; ++i)
#pragma GCC unroll 2
    for (int v = 0; v < NV; ++v) acc[i][v] = _mm512_setzero_ps();
  const float *a = t.a, *b = t.b;
  for (int64_t k = t.k; k > 0; --k, a += t.a_col, b += t.b_row) {
    __m512bh bv[NV];
#pragma GCC unroll 2
    for (int v = 0; v < NV; ++v) bv[v] = (__m512bh)_mm512_loadu_ps(b + v * W);
#pragma GCC unroll 16
    for (int i = 0; i < MR; ++i) {
      const __m512bh av = (__m512bh)_mm512_set1_ps(a[i]);
#pragma GCC unroll 2
      for (int v = 0; v < NV; ++v) acc[i][v] = _mm512_dpbf16_ps(acc[i][v], av, bv[v]);
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < MR; ++i)
#pragma GCC unroll 2
    for (int v = 0; v < NV; ++v) {
      const int64_t n = t.cols - v * W;
      Vec<float> r(acc[i][v]);
      if (t.bias_cols) r += Vec<float>::load_n(t.bias_cols + v * W, n);
      if (t.bias_rows) r += Vec<float>(t.bias_rows[i]);
      uint16_t* c = t.c + i * t.c_row + v * W;
      if (n >= W) {
        store_bf16(c, r);
      } else {
        uint16_t numbers[W];
        store_bf16(numbers, r);
        for (int64_t j = 0; j < n; ++j) c[j] = numbers[j];
      }
    }
}

template <int NV>
struct PairTileTable {
  void (*by_rows[kTileRows + 1])(const PairTile&) = {};
  constexpr PairTileTable() { fill<kTileRows>(); }
  template <int MR>
  constexpr void fill() {
    by_rows[MR] = &pair_tile<MR, NV>;
    if constexpr (MR > 1) fill<MR - 1>();
  }
};
template <int NV>
constexpr PairTileTable<NV> kPairTiles;

// dst[i * width + j] = the pair of numbers 2i and 2i + 1 along k of column j, 0 beyond the end.
// Like pack(), whole vectors are stored in an order that puts right what they spoil.
inline void pack_pairs(float* dst, int64_t width, const uint16_t* src, int64_t step, int64_t k_step,
                       int64_t valid, int64_t k) {
  constexpr int64_t W = Vec<float>::size;
  const int64_t pairs = ceil_div(k, 2), whole = k / 2;
  for (int64_t j = (width - 1) / W * W; j >= 0; j -= W) {
    const int64_t n = valid - j < 0 ? 0 : valid - j < W ? valid - j : W;
    float* d = dst + j;
    const uint16_t* s = src + j * step;
    if (step == 1) {
      const __mmask16 mask = static_cast<__mmask16>((1u << n) - 1);
      for (int64_t i = 0; i < pairs; ++i) {
        const uint16_t* row = s + 2 * i * k_step;
        const __m512i low = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, row));
        const __m512i high =
            i < whole ? _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, row + k_step))
                      : _mm512_setzero_si512();
        const __m512i both = _mm512_or_si512(low, _mm512_slli_epi32(high, 16));
        _mm512_storeu_si512(d + i * width, both);
      }
      continue;
    }
    if (k_step != 1) {
      for (int64_t i = 0; i < pairs; ++i)
        for (int64_t q = 0; q < (width - j < W ? width - j : W); ++q) {
          const uint16_t* p = s + q * step + 2 * i * k_step;
          const uint32_t low = q < n ? p[0] : 0, high = q < n && i < whole ? p[k_step] : 0;
          const uint32_t both = low | high << 16;
          __builtin_memcpy(d + i * width + q, &both, 4);
        }
      continue;
    }
    for (int64_t i = 0; i < pairs; i += W) {
      const int64_t columns = min(W, pairs - i);
      Vec<float> r[W];
      for (int64_t q = 0; q < W; ++q) {
        const uint16_t* p = s + q * step;
        r[q] = Vec<float>(0.0f);
        if (q >= n) continue;
        const auto mask = static_cast<__mmask16>((1u << min(W, whole - i)) - 1);
        r[q] = Vec<float>((Vec<float>::Reg)_mm512_maskz_loadu_epi32(mask, p + 2 * i));
        if (whole < i + columns) {
          const uint32_t last = p[k - 1];
          r[q].v[whole - i] = __builtin_bit_cast(float, last);
        }
      }
      transpose(r);
      for (int64_t q = 0; q < columns; ++q) r[q].store(d + (i + q) * width);
    }
  }
}

struct PairGemm {
  static constexpr int64_t NR = kTileCols<float>, W = Vec<float>::size;
  const GemmArgs& x;
  const uint16_t *a, *b;
  uint16_t* c;
  const float* bias;
  int64_t pairs, tiles, rows, block, panels;
  float* packed_b = nullptr;

  PairGemm(const GemmArgs& args, const uint16_t* pa, const uint16_t* pb, uint16_t* pc,
           const float* biases)
      : x(args), a(pa), b(pb), c(pc), bias(biases) {
    pairs = ceil_div(x.k, 2);
    tiles = ceil_div(x.m, kTileRows);
    rows = ceil_div(x.m, tiles);
    tiles = ceil_div(x.m, rows);
    panels = ceil_div(x.n, NR);
    // Tiles in a block: their A stays in the second-level cache.
    block = min(max((384 << 10) / (4 * rows * pairs), int64_t{1}), tiles);
    block = ceil_div(tiles, ceil_div(tiles, block));
  }
  static int64_t panel_width(int64_t cols) { return cols <= W ? W : NR; }

  void pack_panels(int64_t begin, int64_t end) const {
    for (int64_t p = begin; p < end; ++p) {
      const int64_t cols = min(NR, x.n - p * NR);
      pack_pairs(packed_b + p * NR * pairs, panel_width(cols), b + p * NR * x.b_col, x.b_col,
                 x.b_row, cols, x.k);
    }
  }
  void compute(int64_t t0, int64_t t1, int64_t p0, int64_t p1) const {
    float* packed_a = scratch_for<float>(Scratch::packed_a, (t1 - t0) * rows * pairs + W);
    for (int64_t t = t0; t < t1; ++t)
      pack_pairs(packed_a + (t - t0) * rows * pairs, rows, a + t * rows * x.a_row, x.a_row, x.a_col,
                 min(rows, x.m - t * rows), x.k);
    for (int64_t p = p0; p < p1; ++p)
      for (int64_t t = t0; t < t1; ++t) {
        PairTile tile;
        tile.cols = min(NR, x.n - p * NR);
        tile.a = packed_a + (t - t0) * rows * pairs, tile.a_col = rows;
        tile.b = packed_b + p * NR * pairs, tile.b_row = panel_width(tile.cols);
        tile.k = pairs;
        tile.c = c + t * rows * x.c_row + p * NR, tile.c_row = x.c_row;
        tile.bias_cols = bias && !x.bias_rows ? bias + p * NR : nullptr;
        tile.bias_rows = bias && x.bias_rows ? bias + t * rows : nullptr;
        const int64_t count = min(rows, x.m - t * rows);
        (tile.cols > W ? kPairTiles<2>.by_rows : kPairTiles<1>.by_rows)[count](tile);
      }
  }
  void run() {
    packed_b = scratch_for<float>(Scratch::packed_b, panels * NR * pairs + W);
    const int64_t blocks = ceil_div(tiles, block);
    const int64_t group = ceil_div(panels, min(ceil_div(panels, 4), ceil_div(32, blocks)));
    const int64_t groups = ceil_div(panels, group);
    const double flops = 2.0 * static_cast<double>(x.m) * static_cast<double>(x.n * x.k);
    const bool split = flops >= 2 * kParallelFlops;
    parallel_for(0, panels, split ? 1 + (32 << 10) / (NR * pairs + 1) : panels,
                 [&](int64_t begin, int64_t end) { pack_panels(begin, end); });
    parallel_for(0, blocks * groups, split ? 1 : blocks * groups, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t t = i / groups * block, p = i % groups * group;
        compute(t, min(t + block, tiles), p, min(p + group, panels));
      }
    });
  }
};

// Whether this processor and this product are served.
inline bool pairs_fit(const GemmArgs& x) {
  static const bool has = __builtin_cpu_supports("avx512bf16");
  return has && x.m > 4 && x.k > 1 && x.alpha == 1 && x.beta == 0 && x.c_col == 1 &&
         x.activation == Activation::none;
}

#else

inline bool pairs_fit(const GemmArgs&) { return false; }

#endif

}  // namespace FLAMBEAU_ISA
}  // namespace flambeau
