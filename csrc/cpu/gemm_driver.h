// One matrix product of float or double: how it is cut into tiles, packed and split among threads.
// Everything is decided by the sizes alone, so the bits do not depend on the number of threads.
#pragma once
#include "finish.h"
#include "gemm.h"
#include "kernels/matmul.h"
#include "parallel.h"
#include "scratch.h"

namespace flambeau {
namespace FLAMBEAU_ISA {

constexpr int64_t kDepth = 320;  // of a block of the reduction: its B panel stays in L1
constexpr int64_t kBlockTiles = 10;  // tiles in a block of rows: its A stays in L2
constexpr int64_t kPackedBytes = 16 << 20;  // of B packed at a time
constexpr double kParallelFlops = 1 << 20;  // below, splitting costs more than it gains

FLAMBEAU_INLINE int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

template <class T>
FLAMBEAU_INLINE T* scratch_for(Scratch slot, int64_t count) {
  return static_cast<T*>(scratch(slot, static_cast<size_t>(count) * sizeof(T)));
}

template <class T>
struct Gemm {
  int64_t m, n, k;
  const T* a;
  int64_t a_row, a_col;
  const T* b;
  int64_t b_row, b_col;
  T* c;
  int64_t c_row;
  T alpha = 1;
  Start start = Start::zero;
  const T* bias = nullptr;
  const Finish* finish = nullptr;  // of a row that is a channel: the first is `channel`
  int64_t channel = 0;
  // The reduction may run over parts of k_part numbers that lie a_part and b_part apart.
  int64_t k_part = 0, a_part = 0, b_part = 0;
};

// Rows [i, i + rows) of columns [j, j + cols) of C are complete.
template <class T>
void finish(const Gemm<T>& g, int64_t i, int64_t j, int64_t rows, int64_t cols) {
  if (!g.finish) return;
  for (int64_t r = i; r < i + rows; ++r)
    finish_run(*g.finish, g.c + r * g.c_row + j, cols, g.channel + r);
}

// The general form: B packed once in panels (or read where it lies), A packed per block of rows.
template <class T>
struct Blocked {
  static constexpr int64_t NR = kTileCols<T>, W = Vec<T>::size;
  const Gemm<T>& g;
  int64_t tiles, tile_rows, blocks, block_tiles;  // of rows
  int64_t panels, groups, group_panels;  // of columns
  int64_t depths, depth;  // of the reduction
  bool direct_b, pack_a;
  T* packed_b = nullptr;

  explicit Blocked(const Gemm<T>& gemm) : g(gemm) {
    tiles = ceil_div(g.m, kTileRows);
    tile_rows = ceil_div(g.m, tiles);
    tiles = ceil_div(g.m, tile_rows);
    panels = ceil_div(g.n, NR);
    depths = g.k > 0 ? ceil_div(g.k, kDepth) : 1;
    depth = ceil_div(g.k, depths);
    const bool small_b = g.k * NR * sizeof(T) <= (16 << 10) && g.n * g.k * sizeof(T) <= (32 << 10);
    direct_b = g.k_part == 0 && g.b_col == 1 && (tiles == 1 || small_b);
    pack_a = g.k_part != 0 || g.alpha != 1 || (g.a_row != 1 && g.a_col != 1) || g.n > 2 * NR;
    blocks = ceil_div(tiles, kBlockTiles);
    groups = 1;
    // Enough tasks for many threads, none of them too small to be worth a thread.
    const double flops = 2.0 * static_cast<double>(g.m) * static_cast<double>(g.n * g.k);
    const int64_t wanted = static_cast<int64_t>(flops / (4 * kParallelFlops)) + 1;
    const int64_t tasks = wanted < 32 ? wanted : 32;
    if (blocks < tasks) {
      groups = ceil_div(tasks, blocks);
      const int64_t most = ceil_div(panels, 4);
      if (groups > most) groups = most;
      if (blocks * groups < tasks) {
        blocks = ceil_div(tasks, groups);
        if (blocks > ceil_div(tiles, 2)) blocks = ceil_div(tiles, 2);
      }
    }
    block_tiles = ceil_div(tiles, blocks);
    blocks = ceil_div(tiles, block_tiles);
    group_panels = ceil_div(panels, groups);
    groups = ceil_div(panels, group_panels);
  }

  int64_t depth_at(int64_t d) const { return min(depth, g.k - d * depth); }
  int64_t panel_cols(int64_t p) const { return min(NR, g.n - p * NR); }
  static int64_t panel_width(int64_t cols) { return cols <= W ? W : NR; }
  bool is_packed(int64_t p) const { return !direct_b || panel_cols(p) % W != 0; }
  T* packed_panel(int64_t p, int64_t d) const {
    return packed_b + d * depth * panels * NR + p * NR * depth_at(d);
  }

  // Block d of the reduction, which may go over several parts.
  void pack_depth(int64_t d, T* dst, int64_t width, const T* src, int64_t step, int64_t k_step,
                  int64_t part, int64_t valid, T scale) const {
    int64_t k = d * depth, left = depth_at(d);
    if (g.k_part == 0) return pack(dst, width, src + k * k_step, step, k_step, valid, left, scale);
    while (left > 0) {
      const int64_t at = k % g.k_part, n = min(left, g.k_part - at);
      pack(dst, width, src + k / g.k_part * part + at * k_step, step, k_step, valid, n, scale);
      dst += n * width, k += n, left -= n;
    }
  }

  void pack_panels(int64_t begin, int64_t end) const {
    for (int64_t p = begin; p < end; ++p) {
      if (!is_packed(p)) continue;
      const int64_t cols = panel_cols(p);
      for (int64_t d = 0; d < depths; ++d)
        pack_depth(d, packed_panel(p, d), panel_width(cols), g.b + p * NR * g.b_col, g.b_col,
                   g.b_row, g.b_part, cols, T(1));
    }
  }

  void compute(int64_t block, int64_t group) const {
    const int64_t t0 = block * block_tiles, t1 = min(t0 + block_tiles, tiles);
    const int64_t p0 = group * group_panels, p1 = min(p0 + group_panels, panels);
    T* packed_a = nullptr;
    if (pack_a) packed_a = scratch_for<T>(Scratch::packed_a, (t1 - t0) * tile_rows * depth + W);
    for (int64_t d = 0; d < depths; ++d) {
      if (pack_a)
        for (int64_t t = t0; t < t1; ++t)
          pack_depth(d, packed_a + (t - t0) * tile_rows * depth, tile_rows,
                     g.a + t * tile_rows * g.a_row, g.a_row, g.a_col, g.a_part,
                     min(tile_rows, g.m - t * tile_rows), g.alpha);
      for (int64_t p = p0; p < p1; ++p)
        for (int64_t t = t0; t < t1; ++t) run(t, p, d, packed_a + (t - t0) * tile_rows * depth);
    }
    const int64_t i = t0 * tile_rows, j = p0 * NR;
    finish(g, i, j, min(t1 * tile_rows, g.m) - i, min(p1 * NR, g.n) - j);
  }

  FLAMBEAU_INLINE void run(int64_t t, int64_t p, int64_t d, const T* packed_a) const {
    const int64_t i = t * tile_rows, j = p * NR;
    TileArgs<T> x;
    x.a = pack_a ? packed_a : g.a + i * g.a_row + d * depth * g.a_col;
    x.a_row = pack_a ? 1 : g.a_row;
    x.a_col = pack_a ? tile_rows : g.a_col;
    x.cols = panel_cols(p);
    const bool packed = is_packed(p);
    x.b = packed ? packed_panel(p, d) : g.b + j + d * depth * g.b_row;
    x.b_row = packed ? panel_width(x.cols) : g.b_row;
    x.k = depth_at(d);
    x.c = g.c + i * g.c_row + j;
    x.c_row = g.c_row;
    x.start = d == 0 ? g.start : Start::c;
    x.bias = g.start == Start::bias_rows ? g.bias + i : g.bias + j;
    run_tile(x, min(tile_rows, g.m - i));
  }
};

// -- one block of rows: every panel of B is used once ---------------------------------------------

// k rows of `cols` numbers into panels that lie `apart` from each other.
template <class T>
void pack_side_by_side(T* dst, int64_t apart, const T* src, int64_t row, int64_t cols, int64_t k) {
  constexpr int64_t NR = kTileCols<T>, W = Vec<T>::size;
  for (int64_t i = 0; i < k; ++i, src += row, dst += NR)
    for (int64_t j = 0; j < cols; j += W)
      Vec<T>::load_n(src + j, cols - j).store(dst + j / NR * apart + j % NR);
}

// The tiles of panel p in block d of the reduction; `a` has that block's rows.
template <class T>
FLAMBEAU_INLINE void panel_tiles(const Gemm<T>& g, const Blocked<T>& plan, const T* a, const T* b,
                                 int64_t b_row, int64_t p, int64_t d) {
  const int64_t rows = plan.tile_rows, j = p * kTileCols<T>;
  TileArgs<T> x;
  x.b = b, x.b_row = b_row;
  x.cols = plan.panel_cols(p);
  x.k = plan.depth_at(d);
  x.start = d == 0 ? g.start : Start::c;
  x.a_row = 1, x.a_col = rows, x.c_row = g.c_row;
  for (int64_t t = 0; t < plan.tiles; ++t) {
    const int64_t i = t * rows;
    x.a = a + i * x.k;
    x.c = g.c + i * g.c_row + j;
    x.bias = g.start == Start::bias_rows ? g.bias + i : g.bias + j;
    run_tile(x, min(rows, g.m - i));
  }
}

// So it is packed where it is used and stays in the cache, and all of A is packed before.
template <class T>
void gemm_one_block(const Gemm<T>& g, const Blocked<T>& plan) {
  constexpr int64_t NR = kTileCols<T>, W = Vec<T>::size;
  const int64_t tiles = plan.tiles, rows = plan.tile_rows, depth = plan.depth;
  // Packing spills up to a register beyond a tile: into the next, which is packed after it.
  const int64_t block = tiles * rows * depth + W;
  T* a = scratch_for<T>(Scratch::packed_a, plan.depths * block);
  const auto packed_tile = [&](int64_t t, int64_t d) {
    return a + d * block + t * rows * plan.depth_at(d);
  };
  parallel_for(0, plan.depths, 1 + 16384 / block, [&](int64_t b, int64_t e) {
    for (int64_t d = b; d < e; ++d)
      for (int64_t t = 0; t < tiles; ++t) {
        const int64_t i = t * rows, k = d * depth;
        pack(packed_tile(t, d), rows, g.a + i * g.a_row + k * g.a_col, g.a_row, g.a_col,
             min(rows, g.m - i), plan.depth_at(d), g.alpha);
      }
  });
  // Rows of B that run along memory are read for several panels at once: a page has few of them.
  const bool along = g.b_col == 1, direct = along && tiles == 1;
  const int64_t group = along && !direct ? 4 : 1;
  const double flops = 2.0 * static_cast<double>(g.m) * static_cast<double>(NR * g.k);
  const int64_t grain = group * (1 + static_cast<int64_t>(kParallelFlops / 2 / flops) / group);
  parallel_for(0, plan.panels, grain, [&](int64_t begin, int64_t end) {
    const int64_t apart = depth * NR + W;
    T* buffer = scratch_for<T>(Scratch::packed_b, group * apart);
    for (int64_t p = begin; p < end; p += group)
      for (int64_t d = 0; d < plan.depths; ++d) {
        const int64_t last = min(p + group, end), k = plan.depth_at(d);
        const T* from = g.b + p * NR * g.b_col + d * depth * g.b_row;
        if (group > 1)
          pack_side_by_side(buffer, apart, from, g.b_row, min(last * NR, g.n) - p * NR, k);
        for (int64_t q = p; q < last; ++q) {
          const T* b = buffer + (q - p) * apart;
          int64_t b_row = NR;
          if (group == 1) {
            const int64_t cols = plan.panel_cols(q);
            b_row = direct && cols % W == 0 ? g.b_row : plan.panel_width(cols);
            if (direct && cols % W == 0)
              b = from;
            else
              pack(buffer, b_row, from, g.b_col, g.b_row, cols, k, T(1));
          }
          panel_tiles(g, plan, a + d * block, b, b_row, q, d);
        }
      }
    finish(g, 0, begin * NR, g.m, min(end * NR, g.n) - begin * NR);
  });
}

// -- all other shapes -----------------------------------------------------------------------------

template <class T>
void gemm_blocked(const Gemm<T>& g) {
  Blocked<T> plan(g);
  const double flops = 2.0 * static_cast<double>(g.m) * static_cast<double>(g.n * g.k);
  if (flops >= kParallelFlops && plan.tiles <= kBlockTiles && plan.panels >= 8 && g.k_part == 0)
    return gemm_one_block(g, plan);
  plan.packed_b =
      scratch_for<T>(Scratch::packed_b, plan.panels * Blocked<T>::NR * g.k + Vec<T>::size);
  if (flops < kParallelFlops) {
    plan.pack_panels(0, plan.panels);
    for (int64_t i = 0; i < plan.blocks * plan.groups; ++i)
      plan.compute(i / plan.groups, i % plan.groups);
    return;
  }
  parallel_for(0, plan.panels, 1 + (32 << 10) / (Blocked<T>::NR * (g.k + 1)),
               [&](int64_t begin, int64_t end) { plan.pack_panels(begin, end); });
  parallel_for(0, plan.blocks * plan.groups, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) plan.compute(i / plan.groups, i % plan.groups);
  });
}

// -- few rows: bound by reading B, which is read once and where it lies ---------------------------

constexpr int64_t kFewRows = 8;

// Lane i of the result is all lanes of v[i], combined by f.
template <int Step, class T, class F, int... I>
FLAMBEAU_INLINE void fold_pairs(Vec<T> (&v)[Vec<T>::size], const F& f, Lanes<I...> lanes) {
  constexpr int W = Vec<T>::size;
  if constexpr (Step < W) {
#pragma GCC unroll 16
    for (int i = 0; i < W; i += 2 * Step) {
      const auto a = v[i].v, b = v[i + Step].v;
      v[i] = f(Vec<T>(__builtin_shufflevector(a, b, (I & Step ? W + I - Step : I)...)),
               Vec<T>(__builtin_shufflevector(a, b, (I & Step ? W + I : I + Step)...)));
    }
    fold_pairs<Step * 2>(v, f, lanes);
  }
}
template <class T, class F>
FLAMBEAU_INLINE Vec<T> fold_lanes(Vec<T> (&v)[Vec<T>::size], const F& f) {
  fold_pairs<1>(v, f, AllLanes<T>{});
  return v[0];
}
template <class T>
FLAMBEAU_INLINE Vec<T> lane_sums(Vec<T> (&v)[Vec<T>::size]) {
  return fold_lanes(v, [](Vec<T> a, Vec<T> b) { return a + b; });
}

// Both operands run along k: dot products of M rows of A with C columns of B at a time.
template <class T, int M, int C>
FLAMBEAU_INLINE void dots(const Gemm<T>& g, int64_t j, int64_t valid,
                          Vec<T> (*sums)[Vec<T>::size]) {
  constexpr int64_t W = Vec<T>::size;
  Vec<T> acc[M][C];
#pragma GCC unroll 16
  for (int i = 0; i < M; ++i)
#pragma GCC unroll 16
    for (int q = 0; q < C; ++q) acc[i][q] = T(0);
  const T* b[C];
#pragma GCC unroll 16
  for (int q = 0; q < C; ++q) b[q] = g.b + (q < valid ? j + q : j) * g.b_col;
  const auto step = [&](int64_t k, auto load) {
    Vec<T> bv[C];
#pragma GCC unroll 16
    for (int q = 0; q < C; ++q) bv[q] = load(b[q] + k);
#pragma GCC unroll 16
    for (int i = 0; i < M; ++i) {
      const Vec<T> av = load(g.a + i * g.a_row + k);
#pragma GCC unroll 16
      for (int q = 0; q < C; ++q) acc[i][q] = fma(av, bv[q], acc[i][q]);
    }
  };
  int64_t k = 0;
  for (; k + W <= g.k; k += W) step(k, [](const T* p) { return Vec<T>::load(p); });
  if (k < g.k) step(k, [&](const T* p) { return Vec<T>::load_n(p, g.k - k); });
#pragma GCC unroll 16
  for (int i = 0; i < M; ++i)
#pragma GCC unroll 16
    for (int q = 0; q < C; ++q) sums[i][q] = acc[i][q];
}

template <class T, int M>
void dot_columns(const Gemm<T>& g, int64_t begin, int64_t end) {
  constexpr int64_t W = Vec<T>::size;
  constexpr int C = M == 1 ? (W < 8 ? W : 8) : M <= 4 && W >= 4 ? 4 : 2;
  for (int64_t j = begin; j < end; j += W) {
    Vec<T> sums[M][W];
    const int64_t n = min(W, end - j);
    for (int64_t q = 0; q < W; q += C)
      if (q < n)
        dots<T, M, C>(g, j + q, n - q, (Vec<T>(*)[W]) & sums[0][q]);
      else
        for (int i = 0; i < M; ++i)
          for (int64_t r = q; r < q + C; ++r) sums[i][r] = T(0);
    for (int i = 0; i < M; ++i) {
      T* c = g.c + i * g.c_row + j;
      Vec<T> r = lane_sums(sums[i]);
      if (g.start == Start::c) r += Vec<T>::load_n(c, n);
      if (g.start == Start::bias_cols) r += Vec<T>::load_n(g.bias + j, n);
      if (g.start == Start::bias_rows) r += Vec<T>(g.bias[i]);
      r.store_n(c, n);
    }
  }
  finish(g, 0, begin, g.m, end - begin);
}

// The columns of B run along memory: tiles of M rows by as many vectors as there are registers.
template <class T, int M>
void wide_columns(const Gemm<T>& g, int64_t begin, int64_t end) {
  constexpr int64_t W = Vec<T>::size;
  constexpr int V = kTileRows > 8 ? (M <= 3 ? 8 : 4) : (M <= 3 ? 4 : 2);
  TileArgs<T> x{g.a, g.a_row, g.a_col, g.b, g.b_row, g.k, g.c, g.c_row, 0, g.start, g.bias};
  for (int64_t j = begin; j < end;) {
    const int64_t left = end - j;
    x.c = g.c + j;
    x.b = g.b + j;
    x.b_row = g.b_row;
    if (g.start != Start::bias_rows) x.bias = g.bias + j;
    x.cols = left >= V * W ? V * W : left >= W ? W : left;
    if (x.cols < W) {
      T* tail = scratch_for<T>(Scratch::packed_a, (g.k + 1) * W);
      pack(tail, W, x.b, 1, g.b_row, left, g.k, T(1));
      x.b = tail;
      x.b_row = W;
    }
    if (x.cols == V * W)
      tile<T, M, V, false>(x);
    else
      tile<T, M, 1, false>(x);
    j += x.cols;
  }
  finish(g, 0, begin, g.m, end - begin);
}

template <class T, int M = 1>
void few_rows(const Gemm<T>& g, bool dot, int64_t begin, int64_t end) {
  if constexpr (M <= kFewRows) {
    if (M == g.m)
      (dot ? dot_columns<T, M> : wide_columns<T, M>)(g, begin, end);
    else
      few_rows<T, M + 1>(g, dot, begin, end);
  }
}

template <class T>
void gemm_few_rows(const Gemm<T>& g, bool dot) {
  constexpr int64_t unit = 8 * Vec<T>::size, size = sizeof(T);
  const int64_t grain = unit * (1 + (128 << 10) / ((g.k + 1) * unit * size));
  parallel_for(0, g.n, grain, [&](int64_t begin, int64_t end) { few_rows(g, dot, begin, end); });
}

template <class T>
void gemm(const Gemm<T>& g) {
  constexpr int64_t W = Vec<T>::size;
  if (g.m <= kFewRows && g.alpha == 1 && g.k_part == 0) {
    if (g.b_row == 1 && g.a_col == 1 && g.k >= 2 * W) return gemm_few_rows(g, true);
    if (g.b_col == 1) return gemm_few_rows(g, false);
  }
  // Packed B is bounded: wider products go through it in slices of columns.
  const int64_t limit = kPackedBytes / static_cast<int64_t>(sizeof(T)) / (g.k + 1);
  const int64_t slice = max(limit / kTileCols<T>, 1) * kTileCols<T>;
  for (int64_t j = 0; j < g.n; j += slice) {
    Gemm<T> part = g;
    part.n = min(slice, g.n - j);
    part.b = g.b + j * g.b_col;
    part.c = g.c + j;
    if (g.start == Start::bias_cols) part.bias = g.bias + j;
    gemm_blocked(part);
  }
}

}  // namespace FLAMBEAU_ISA
}  // namespace flambeau
