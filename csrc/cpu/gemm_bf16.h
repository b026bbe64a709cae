// Products of bfloat16 by the instruction that multiplies pairs of them and adds to float32: the
// float32 scheme, where a number is a pair of neighbours along the reduction.
#pragma once
#include "gemm_driver.h"
#include "kernels/tiles.h"

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

FLAMBEAU_INLINE void store_bf16_n(uint16_t* p, Vec<float> a, int64_t n) {
  constexpr int64_t W = Vec<float>::size;
  if (n >= W) return store_bf16(p, a);
  uint16_t numbers[W];
  store_bf16(numbers, a);
  for (int64_t j = 0; j < n; ++j) p[j] = numbers[j];
}

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
      store_bf16_n(c, r, n);
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

// Pairs of n <= 16 numbers of each, zeros where `high` is null and beyond. (Without their masks
// GCC 12 warns of these functions' own undefined registers.)
FLAMBEAU_INLINE __m512i pair_up(const uint16_t* low, const uint16_t* high, int64_t n) {
  const auto mask = static_cast<__mmask16>((1u << n) - 1);
  __m512i r = _mm512_maskz_cvtepu16_epi32(0xffff, _mm256_maskz_loadu_epi16(mask, low));
  if (!high) return r;
  const __m512i h = _mm512_maskz_cvtepu16_epi32(0xffff, _mm256_maskz_loadu_epi16(mask, high));
  return _mm512_or_si512(r, _mm512_maskz_slli_epi32(0xffff, h, 16));
}

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
      for (int64_t i = 0; i < pairs; ++i) {
        const uint16_t* row = s + 2 * i * k_step;
        _mm512_storeu_si512(d + i * width, pair_up(row, i < whole ? row + k_step : nullptr, n));
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

// How B is packed: panels of 32 columns (the last one of 16, if that is enough), a row for each
// pair, with zeros up to whole steps of tiles. The same for vectors and tiles.
struct PairPanels {
  static constexpr int64_t NR = kTileCols<float>, W = Vec<float>::size, kStep = 16;
  int64_t k, n, pairs, panels;

  PairPanels(int64_t depth, int64_t columns) : k(depth), n(columns) {
    pairs = ceil_div(ceil_div(k, 2), kStep) * kStep;
    panels = ceil_div(n, NR);
  }
  int64_t numbers() const { return panels * NR * pairs + W; }
  int64_t cols(int64_t p) const { return min(NR, n - p * NR); }
  int64_t width(int64_t p) const { return cols(p) <= W ? W : NR; }

  void pack(float* packed, int64_t p, const uint16_t* b, int64_t b_row, int64_t b_col) const {
    float* dst = packed + p * NR * pairs;
    pack_pairs(dst, width(p), b, b_col, b_row, cols(p), k);
    for (int64_t i = ceil_div(k, 2) * width(p); i < pairs * width(p); ++i) dst[i] = 0;
  }
  // From float32, rounded, column by column.
  void pack(float* packed, int64_t p, const float* b, int64_t b_row, int64_t b_col) const {
    uint16_t* columns = scratch_for<uint16_t>(Scratch::packed_a, NR * k + 2 * W);
    for (int64_t j = 0; j < cols(p); ++j) {
      const float* src = b + j * b_col;
      uint16_t* dst = columns + j * k;
      if (b_row == 1) {
        float_to_bf16(src, dst, k);
      } else {
        for (int64_t i = 0; i < k; ++i) dst[i] = float_to_bf16(src[i * b_row]);
      }
    }
    pack(packed, p, columns, 1, k);
  }
  template <class T>
  void pack_all(float* packed, const T* b, int64_t b_row, int64_t b_col, bool split) const {
    parallel_for(0, panels, split ? 1 + (32 << 10) / (NR * pairs + 1) : panels,
                 [&](int64_t begin, int64_t end) {
                   for (int64_t p = begin; p < end; ++p)
                     pack(packed, p, b + p * NR * b_col, b_row, b_col);
                 });
  }
};

// 32 x 32 sums rounded to where they belong.
inline void store_sums(const float* sums, uint16_t* c, int64_t c_row, int64_t rows, int64_t cols,
                       const float* bias_cols, const float* bias_rows) {
  constexpr int64_t W = Vec<float>::size;
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < cols; j += W) {
      Vec<float> r = Vec<float>::load(sums + 32 * i + j);
      if (bias_cols) r += Vec<float>::load_n(bias_cols + j, cols - j);
      if (bias_rows) r += Vec<float>(bias_rows[i]);
      store_bf16_n(c + i * c_row + j, r, cols - j);
    }
}

struct PairGemm {
  static constexpr int64_t NR = PairPanels::NR, W = Vec<float>::size;
  const GemmArgs& x;
  const uint16_t *a, *b;
  uint16_t* c;
  const float* bias;
  const TileOps* tiles_of_processor = tile_ops();
  const PairPanels panels;
  int64_t tiles, rows, block;
  const float* packed_b = nullptr;
  float* packed_a = nullptr;  // of tiles from `slab` on
  int64_t slab = 0;

  PairGemm(const GemmArgs& args, const uint16_t* pa, const uint16_t* pb, uint16_t* pc,
           const float* biases)
      : x(args), a(pa), b(pb), c(pc), bias(biases), panels(args.k, args.n) {
    const int64_t most = tiles_of_processor ? 32 : kTileRows;
    tiles = ceil_div(x.m, most);
    rows = tiles_of_processor ? most : ceil_div(x.m, tiles);
    tiles = ceil_div(x.m, rows);
    // Tiles in a block: their A stays in the second-level cache.
    block = min(max((384 << 10) / (4 * rows * panels.pairs), int64_t{1}), tiles);
    block = ceil_div(tiles, ceil_div(tiles, block));
  }
  const float* biases_of(int64_t t, int64_t p, bool of_rows) const {
    return !bias || x.bias_rows != of_rows ? nullptr : bias + (of_rows ? t * rows : p * NR);
  }
  uint16_t* out(int64_t t, int64_t p) const { return c + t * rows * x.c_row + p * NR; }

  void compute(int64_t t0, int64_t t1, int64_t p0, int64_t p1) const {
    if (tiles_of_processor) return compute_tiles(*tiles_of_processor, t0, t1, p0, p1);
    const int64_t pairs = ceil_div(x.k, 2);
    for (int64_t p = p0; p < p1; ++p)
      for (int64_t t = t0; t < t1; ++t) {
        PairTile tile;
        tile.cols = panels.cols(p);
        tile.a = packed_tile(t), tile.a_col = rows;
        tile.b = packed_b + p * NR * panels.pairs, tile.b_row = panels.width(p);
        tile.k = pairs;
        tile.c = out(t, p), tile.c_row = x.c_row;
        tile.bias_cols = biases_of(t, p, false), tile.bias_rows = biases_of(t, p, true);
        const int64_t count = min(rows, x.m - t * rows);
        (tile.cols > W ? kPairTiles<2>.by_rows : kPairTiles<1>.by_rows)[count](tile);
      }
  }

  // Once for all panels. Between tiles there is room for what a store spoils.
  float* packed_tile(int64_t t) const {
    return packed_a + (t - slab) * (rows * ceil_div(x.k, 2) + W);
  }
  void pack_a(int64_t t0, int64_t t1) const {
    for (int64_t t = t0; t < t1; ++t)
      pack_pairs(packed_tile(t), rows, a + t * rows * x.a_row, x.a_row, x.a_col,
                 min(rows, x.m - t * rows), x.k);
  }

  // Rows of A as tiles read them: where they lie, or copied with zeros up to whole steps.
  const uint16_t* tile_rows(int64_t t0, int64_t t1, int64_t& a_row) const {
    const uint16_t* from = a + t0 * rows * x.a_row;
    a_row = x.a_row;
    if (x.a_col == 1 && x.k % 32 == 0) return from;
    a_row = 2 * panels.pairs;
    const int64_t count = min(t1 * rows, x.m) - t0 * rows;
    uint16_t* copy = scratch_for<uint16_t>(Scratch::packed_a, count * a_row);
    for (int64_t i = 0; i < count; ++i)
      for (int64_t k = 0; k < a_row; ++k)
        copy[i * a_row + k] = k < x.k ? from[i * x.a_row + k * x.a_col] : uint16_t{0};
    return copy;
  }

  // The reduction goes in parts of 16 steps, whose panel of B stays in the first-level cache; the
  // sums of all rows of the block wait meanwhile.
  void compute_tiles(const TileOps& ops, int64_t t0, int64_t t1, int64_t p0, int64_t p1) const {
    constexpr int64_t kPart = 16;
    const int64_t steps = panels.pairs / PairPanels::kStep;
    int64_t a_row;
    const uint16_t* from = tile_rows(t0, t1, a_row);
    float* sums = scratch_for<float>(Scratch::columns, (t1 - t0) * 1024);
    for (int64_t p = p0; p < p1; ++p) {
      const int64_t width = panels.width(p);
      const float* panel = packed_b + p * NR * panels.pairs;
      int32_t at[kPart];
      for (int64_t s = 0; s < kPart; ++s)
        at[s] = static_cast<int32_t>(s * PairPanels::kStep * width);
      int64_t configured = 0;
      for (int64_t s = 0; s < steps; s += kPart)
        for (int64_t t = t0; t < t1; ++t) {
          TileUnit u;
          u.rows = min(rows, x.m - t * rows);
          u.a = reinterpret_cast<const char*>(from + (t - t0) * rows * a_row + s * 32);
          u.a_row = 2 * a_row, u.a_step = 64;
          const float* columns = panel + s * PairPanels::kStep * width;
          u.b[0] = reinterpret_cast<const char*>(columns);
          u.b[1] = width > W ? reinterpret_cast<const char*>(columns + W) : nullptr;
          u.b_row = 4 * width;
          u.at = at;
          u.steps = min(kPart, steps - s);
          u.c = sums + (t - t0) * 1024;
          u.add = s > 0;
          if (u.rows != configured) ops.configure(configured = u.rows);
          ops.multiply(u);
          if (s + kPart >= steps)
            store_sums(u.c, out(t, p), x.c_row, u.rows, panels.cols(p), biases_of(t, p, false),
                       biases_of(t, p, true));
        }
      ops.release();
    }
  }

  void run() {
    const double flops = 2.0 * static_cast<double>(x.m) * static_cast<double>(x.n * x.k);
    const bool split = flops >= 2 * kParallelFlops;
    packed_b = static_cast<const float*>(x.packed_b);
    if (!packed_b) {
      float* packed = scratch_for<float>(Scratch::packed_b, panels.numbers());
      panels.pack_all(packed, b, x.b_row, x.b_col, split);
      packed_b = packed;
    }
    const int64_t most = max(block, (2 << 20) / (rows * panels.pairs) / block * block);
    for (slab = 0; slab < tiles; slab += most) compute_slab(min(slab + most, tiles), split);
  }
  void compute_slab(int64_t end_tile, bool split) {
    if (!tiles_of_processor) {
      const int64_t size = rows * ceil_div(x.k, 2), count = end_tile - slab;
      packed_a = scratch_for<float>(Scratch::packed_a, count * (size + W));
      parallel_for(slab, end_tile, split ? 1 + (16 << 10) / size : count,
                   [&](int64_t begin, int64_t end) { pack_a(begin, end); });
    }
    const int64_t blocks = ceil_div(end_tile - slab, block);
    const int64_t group =
        ceil_div(panels.panels, min(ceil_div(panels.panels, 4), ceil_div(32, blocks)));
    const int64_t groups = ceil_div(panels.panels, group);
    parallel_for(0, blocks * groups, split ? 1 : blocks * groups, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t t = slab + i / groups * block, p = i % groups * group;
        compute(t, min(t + block, end_tile), p, min(p + group, panels.panels));
      }
    });
  }
};

inline bool has_pairs() {
  static const bool has = __builtin_cpu_supports("avx512bf16");
  return has;
}

// Whether this processor and this product are served: the same whether B is packed or not, so that
// a weight's first product has the bits of its later ones.
inline bool pairs_fit(const GemmArgs& x) {
  return has_pairs() && x.k > 1 && x.alpha == 1 && x.beta == 0 && x.c_col == 1 && !x.finish;
}

#else

inline bool pairs_fit(const GemmArgs&) { return false; }

#endif

}  // namespace FLAMBEAU_ISA
}  // namespace flambeau
