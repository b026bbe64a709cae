// 3x3 convolutions with stride 1 by minimal filtering, F(2x2, 3x3) of Lavin and Gray (arXiv
// 1509.09308): tiles of 2x2 outputs and 4x4 inputs are transformed into 16 numbers, for each of
// which there is a product of filters by channels; 16 multiplications make what takes 36.
#pragma once
#include "conv_columns.h"

namespace flambeau {
namespace FLAMBEAU_ISA {

constexpr int kPlaces = 16;  // numbers of a transformed tile

// B^T d B of the tiles whose rows are r[0..3]: d[i][j] is number j of row i.
template <class T>
FLAMBEAU_INLINE void transform_input(const Vec<T> (&d)[4][4], Vec<T> (&v)[kPlaces]) {
  Vec<T> r[4][4];
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j) {
    r[0][j] = d[0][j] - d[2][j], r[1][j] = d[1][j] + d[2][j];
    r[2][j] = d[2][j] - d[1][j], r[3][j] = d[1][j] - d[3][j];
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    v[4 * i] = r[i][0] - r[i][2], v[4 * i + 1] = r[i][1] + r[i][2];
    v[4 * i + 2] = r[i][2] - r[i][1], v[4 * i + 3] = r[i][1] - r[i][3];
  }
}

// G g G^T of a filter g[3 * i + j].
template <class T>
FLAMBEAU_INLINE void transform_filter(const Vec<T> (&g)[9], Vec<T> (&u)[kPlaces]) {
  const Vec<T> half = T(0.5);
  Vec<T> r[4][3];
#pragma GCC unroll 3
  for (int j = 0; j < 3; ++j) {
    const Vec<T> sum = (g[j] + g[6 + j]) * half, mid = g[3 + j] * half;
    r[0][j] = g[j], r[1][j] = sum + mid, r[2][j] = sum - mid, r[3][j] = g[6 + j];
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    const Vec<T> sum = (r[i][0] + r[i][2]) * half, mid = r[i][1] * half;
    u[4 * i] = r[i][0], u[4 * i + 1] = sum + mid, u[4 * i + 2] = sum - mid, u[4 * i + 3] = r[i][2];
  }
}

// A^T m A: the 2x2 outputs y[2 * i + j] of a tile.
template <class T>
FLAMBEAU_INLINE void transform_output(const Vec<T> (&m)[kPlaces], Vec<T> (&y)[4]) {
  Vec<T> r[2][4];
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j) {
    const Vec<T> sum = m[4 + j] + m[8 + j], difference = m[4 + j] - m[8 + j];
    r[0][j] = m[j] + sum, r[1][j] = difference - m[12 + j];
  }
#pragma GCC unroll 2
  for (int i = 0; i < 2; ++i) {
    y[2 * i] = r[i][0] + r[i][1] + r[i][2];
    y[2 * i + 1] = r[i][1] - r[i][2] - r[i][3];
  }
}

// The gradients of the last two: A y A^T, and G^T u G.
template <class T>
FLAMBEAU_INLINE void transform_output_back(const Vec<T> (&y)[4], Vec<T> (&m)[kPlaces]) {
  Vec<T> r[4][2];
#pragma GCC unroll 2
  for (int j = 0; j < 2; ++j) {
    r[0][j] = y[j], r[1][j] = y[j] + y[2 + j], r[2][j] = y[j] - y[2 + j], r[3][j] = -y[2 + j];
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    m[4 * i] = r[i][0], m[4 * i + 1] = r[i][0] + r[i][1];
    m[4 * i + 2] = r[i][0] - r[i][1], m[4 * i + 3] = -r[i][1];
  }
}
template <class T>
FLAMBEAU_INLINE void transform_filter_back(const Vec<T> (&u)[kPlaces], Vec<T> (&g)[9]) {
  const Vec<T> half = T(0.5);
  Vec<T> r[3][4];
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j) {
    const Vec<T> sum = (u[4 + j] + u[8 + j]) * half;
    r[0][j] = u[j] + sum, r[1][j] = (u[4 + j] - u[8 + j]) * half, r[2][j] = sum + u[12 + j];
  }
#pragma GCC unroll 3
  for (int i = 0; i < 3; ++i) {
    const Vec<T> sum = (r[i][1] + r[i][2]) * half;
    g[3 * i] = r[i][0] + sum, g[3 * i + 1] = (r[i][1] - r[i][2]) * half;
    g[3 * i + 2] = sum + r[i][3];
  }
}

template <class T, int... I>
FLAMBEAU_INLINE void split_pairs(Vec<T> a, Vec<T> b, Vec<T>& even, Vec<T>& odd, Lanes<I...>) {
  even = Vec<T>(__builtin_shufflevector(a.v, b.v, (2 * I)...));
  odd = Vec<T>(__builtin_shufflevector(a.v, b.v, (2 * I + 1)...));
}
template <class T, int... I>
FLAMBEAU_INLINE void join_pairs(Vec<T> even, Vec<T> odd, Vec<T>& a, Vec<T>& b, Lanes<I...>) {
  constexpr int W = Vec<T>::size;
  a = Vec<T>(__builtin_shufflevector(even.v, odd.v, (I / 2 + (I & 1) * W)...));
  b = Vec<T>(__builtin_shufflevector(even.v, odd.v, (W / 2 + I / 2 + (I & 1) * W)...));
}

// Rows of tiles are numbered through all planes; a block is some consecutive ones of them. The
// planes of a reduction are channels, times the depth of the kernel.
template <class T>
class Winograd {
  static constexpr int64_t W = Vec<T>::size, NR = kTileCols<T>;

 public:
  // `mirrored`: c is the convolution that gives an input's gradient, and its filters are those of
  // the forward pass, whose channels and filters change places.
  Winograd(const Conv<T>& c, bool mirrored) : c_(c), mirrored_(mirrored) {
    across_ = ceil_div(c.a.out[2], 2), down_ = ceil_div(c.a.out[1], 2);
    rows_ = c.a.batch * c.a.out[0] * down_;
    reduce_ = c.channels * c.a.kernel[0];
    tiles_ = ceil_div(c.filters, kTileRows), tile_rows_ = ceil_div(c.filters, tiles_);
    line_ = ceil_div(across_, W) * 2 * W + 2 * W;
  }

  // Transformed filters and their sums cost memory traffic: `worth` numbers of them need a tile.
  static bool fits(const Conv<T>& c, int64_t worth = 2048) {
    if (sizeof(T) != 4 || c.a.kernel[1] != 3 || c.a.kernel[2] != 3) return false;
    for (int i = 0; i < 3; ++i)
      if (c.a.stride[i] != 1 || c.a.dilation[i] != 1) return false;
    const int64_t reduce = c.channels * c.a.kernel[0];
    const int64_t tiles =
        ceil_div(c.a.out[1], 2) * ceil_div(c.a.out[2], 2) * c.a.batch * c.a.out[0];
    return reduce >= 32 && c.filters >= 32 && tiles >= max(48, reduce * c.filters / worth) &&
           reduce * c.a.out_channels * kPlaces < (16 << 20);
  }

  // False where something is not finite: then the transforms have spread it, or made a nan of it.
  // `u`: the transformed filters, if there are such already.
  bool output(const T* u = nullptr) {
    choose_block(max(96, reduce_ * c_.filters >> 10));
    if (!u) {
      T* own = scratch_for<T>(Scratch::packed_b, all_filters());
      transform_filters(own);
      u = own;
    }
    const int64_t blocks = ceil_div(rows_, block_);
    if (blocks * c_.a.groups < 4) {
      set_block(rows_);
      for (int64_t group = 0; group < c_.a.groups; ++group)
        output_split(u + group * filter_numbers(), group);
    } else {
      parallel_for(0, blocks * c_.a.groups, 1, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          const int64_t group = i % c_.a.groups, first = i / c_.a.groups * block_;
          output_block(u + group * filter_numbers(), group, first, min(first + block_, rows_));
        }
      });
    }
    return finite_ != 0;
  }

  int64_t all_filters() const { return c_.a.groups * filter_numbers(); }
  // u[group][place][tile of rows][reduce][row], as the micro-kernel reads them.
  void transform_filters(T* u) const {
    constexpr int64_t kBlock = 16;
    const int64_t blocks = ceil_div(reduce_, kBlock);
    parallel_for(
        0, c_.a.groups * tiles_ * blocks, 1 + 32 / tile_rows_, [&](int64_t begin, int64_t end) {
          for (int64_t i = begin; i < end; ++i) {
            const int64_t q = i % blocks * kBlock;
            filter_block(u, i / blocks / tiles_, i / blocks % tiles_, q, min(q + kBlock, reduce_));
          }
        });
  }

  bool weight() {
    choose_block(max(96, min(reduce_ * c_.filters >> 10, 192)));
    const int64_t parts_of_q = ceil_div(reduce_, 7 * kTileRows);
    const int64_t some = ceil_div(reduce_, parts_of_q), groups = c_.a.groups;
    const int64_t blocks = ceil_div(rows_, block_), total = kPlaces * reduce_ * c_.filters;
    // Planes of the reduction are split first, then tiles, whose sums are added up in order.
    int64_t parts = min(blocks, ceil_div(16, parts_of_q * groups));
    parts = max(1, min(parts, (4 << 20) / (total * groups) + 1));
    const int64_t rows = ceil_div(blocks, parts) * block_;
    parts = ceil_div(rows_, rows);
    T* sums = scratch_for<T>(Scratch::shared, parts * groups * total);
    parallel_for(0, parts_of_q * groups * parts, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t part = i % parts, q = i / parts % parts_of_q * some;
        const int64_t group = i / parts / parts_of_q;
        if (q < reduce_)
          weight_sums(group, q, min(q + some, reduce_), part * rows, min((part + 1) * rows, rows_),
                      sums + (part * groups + group) * total);
      }
    });
    const int64_t vectors = ceil_div(c_.filters, W);
    parallel_for(0, groups * vectors, 1 + (16 << 10) / (W * reduce_ * parts),
                 [&](int64_t begin, int64_t end) {
                   for (int64_t i = begin; i < end; ++i)
                     put_weight(i / vectors, i % vectors * W, sums, parts);
                 });
    return finite_ != 0;
  }

 private:
  // As many rows as give about `tiles` tiles and fill whole vectors best.
  void choose_block(int64_t tiles) {
    int64_t best = 0;
    for (int64_t r = ceil_div(tiles, across_); r <= ceil_div(2 * tiles, across_); ++r) {
      const int64_t filled = r * across_ * 1000 / (ceil_div(r * across_, W) * W);
      if (filled > best) best = filled, block_ = r;
    }
    set_block(min(block_, rows_));
  }
  void set_block(int64_t rows) {
    block_ = rows;
    step_ = column_step<T>(rows * across_);
  }

  int64_t filter_numbers() const { return kPlaces * tiles_ * reduce_ * tile_rows_; }
  // What is at one place is followed by the next place: an odd number of lines apart.
  static int64_t place_step(int64_t numbers) {
    constexpr int64_t line = 64 / static_cast<int64_t>(sizeof(T));
    return (ceil_div(numbers, line) | 1) * line;
  }

  void filter_block(T* u, int64_t group, int64_t tile, int64_t q0, int64_t q1) const {
    constexpr int64_t kMost = 16 * 9 * (kTileRows + Vec<T>::size);
    alignas(kVecBytes) T packed[kMost];
    const int64_t first = tile * tile_rows_, rows = min(tile_rows_, c_.filters - first);
    if (rows <= 0) return;
    const int64_t kd = c_.a.kernel[0];
    const T* w = static_cast<const T*>(c_.a.weight);
    if (!mirrored_) {
      pack(packed, tile_rows_, w + (group * c_.filters + first) * c_.depth + q0 * 9, c_.depth, 1,
           rows, (q1 - q0) * 9, T(1));
    } else {
      for (int64_t q = q0; q < q1; ++q)
        pack(packed + (q - q0) * 9 * tile_rows_, tile_rows_,
             w + ((group * c_.channels + q / kd) * c_.filters + first) * c_.taps +
                 (kd - 1 - q % kd) * 9,
             c_.taps, 1, rows, 9, T(1));
    }
    u += group * filter_numbers() + (tile * reduce_ + q0) * tile_rows_;
    const int64_t place = tiles_ * reduce_ * tile_rows_;
    const T* src = packed;
    for (int64_t q = q0; q < q1; ++q, src += 9 * tile_rows_, u += tile_rows_)
      for (int64_t j = 0; j < tile_rows_; j += W) {
        Vec<T> g[9], t[kPlaces];
#pragma GCC unroll 9
        for (int k = 0; k < 9; ++k) g[k] = Vec<T>::load(src + k * tile_rows_ + j);
        transform_filter(g, t);
        // A mirrored filter's transform is the filter's, with the outer places exchanged.
        constexpr int kTurned[4] = {3, 1, 2, 0};
        for (int k = 0; k < kPlaces; ++k) {
          const int at = mirrored_ ? kTurned[k / 4] * 4 + kTurned[k % 4] : k;
          t[k].store_n(u + at * place + j, tile_rows_ - j);
        }
      }
  }

  // Calls f(plane, row in the plane, rows, number of the first) for the runs of rows of one plane.
  template <class F>
  FLAMBEAU_INLINE void each_run(int64_t first, int64_t last, const F& f) const {
    for (int64_t r = first; r < last;) {
      const int64_t h = r % down_, n = min(down_ - h, last - r);
      f(r / down_, h, n, r - first);
      r += n;
    }
  }

  // v[place][q - q0][tile] of rows [first, last).
  void take_input(int64_t group, int64_t first, int64_t last, int64_t q0, int64_t q1, T* v,
                  int64_t place) const {
    const ConvArgs& a = c_.a;
    each_run(first, last, [&](int64_t plane, int64_t h, int64_t n, int64_t at) {
      T* lines = scratch_for<T>(Scratch::packed_a, (2 * n + 2) * line_ + 2 * W);
      for (int64_t q = q0; q < q1; ++q) {
        const int64_t d = plane % a.out[0] + q % a.kernel[0] - a.padding[0];
        const T* x = nullptr;
        if (d >= 0 && d < a.in[0])
          x = c_.input(plane / a.out[0], group * c_.channels + q / a.kernel[0]) +
              d * a.in[1] * a.in[2];
        if (x && q + 1 < q1)
          prefetch_lines(x + a.in[1] * a.in[2], 2 * h - a.padding[1],
                         2 * (h + n) + 2 - a.padding[1], a.in);
        T* dst = v + (q - q0) * step_ + at * across_;
        fill_lines(lines, x, 2 * h, 2 * n + 2);
        for (int64_t i = 0; i < n; ++i)
          transform_row(lines + 2 * i * line_, dst + i * across_, place);
      }
    });
  }
  // Padded lines [first, first + count) of a plane.
  void fill_lines(T* dst, const T* x, int64_t first, int64_t count) const {
    const ConvArgs& a = c_.a;
    const Vec<T> zero = T(0);
    const int64_t left = min(a.padding[2], line_), right = min(a.in[2] + left, line_);
    for (int64_t i = 0; i < count; ++i, dst += line_) {
      const int64_t h = first + i - a.padding[1];
      int64_t q = 0;
      if (x && h >= 0 && h < a.in[1]) {
        const T* src = x + h * a.in[2];
        for (; q < left; q += W) zero.store(dst + q);
        for (q = left; q < right; q += W) Vec<T>::load_n(src + q - left, right - q).store(dst + q);
      }
      for (; q < line_; q += W) zero.store(dst + q);
    }
  }
  void transform_row(const T* lines, T* v, int64_t place) const {
    for (int64_t t = 0; t < across_; t += W) {
      Vec<T> d[4][4], r[kPlaces];
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) {
        const T* src = lines + i * line_ + 2 * t;
        split_pairs(Vec<T>::load(src), Vec<T>::load(src + W), d[i][0], d[i][1], AllLanes<T>{});
        split_pairs(Vec<T>::load(src + 2), Vec<T>::load(src + W + 2), d[i][2], d[i][3],
                    AllLanes<T>{});
      }
      transform_input(d, r);
      const int64_t n = across_ - t;
#pragma GCC unroll 16
      for (int k = 0; k < kPlaces; ++k) r[k].store_n(v + k * place + t, n);
    }
  }

  void output_block(const T* u, int64_t group, int64_t first, int64_t last) const {
    const int64_t v_place = place_step(reduce_ * step_), m_place = place_step(c_.filters * step_);
    T* v = scratch_for<T>(Scratch::columns, kPlaces * v_place);
    T* m = scratch_for<T>(Scratch::output, kPlaces * m_place);
    take_input(group, first, last, 0, reduce_, v, v_place);
    for (int k = 0; k < kPlaces; ++k)
      multiply(u + k * tiles_ * reduce_ * tile_rows_, v + k * v_place, m + k * m_place,
               (last - first) * across_, 0, tiles_);
    put_output(group, first, last, 0, c_.filters, m, m_place);
  }
  // All rows, where they are too few to be split: channels, places and filters are.
  void output_split(const T* u, int64_t group) const {
    constexpr int64_t kSome = 8;  // channels or filters of a task
    const int64_t v_place = place_step(reduce_ * step_), m_place = place_step(c_.filters * step_);
    T* v = scratch_for<T>(Scratch::columns, kPlaces * v_place);
    T* m = scratch_for<T>(Scratch::output, kPlaces * m_place);
    parallel_for(0, ceil_div(reduce_, kSome), 1, [&](int64_t begin, int64_t end) {
      const int64_t q = begin * kSome;
      take_input(group, 0, rows_, q, min(end * kSome, reduce_), v + q * step_, v_place);
    });
    const int64_t halves = tiles_ > 4 ? 2 : 1, part = ceil_div(tiles_, halves);
    parallel_for(0, kPlaces * halves, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t k = i / halves, first = i % halves * part;
        multiply(u + k * tiles_ * reduce_ * tile_rows_, v + k * v_place, m + k * m_place,
                 rows_ * across_, first, min(first + part, tiles_));
      }
    });
    parallel_for(0, ceil_div(c_.filters, kSome), 1, [&](int64_t begin, int64_t end) {
      put_output(group, 0, rows_, begin * kSome, min(end * kSome, c_.filters), m, m_place);
    });
  }
  // One place: m = u v, for some tiles of filters.
  void multiply(const T* u, const T* v, T* m, int64_t tiles, int64_t first, int64_t last) const {
    // Short sums, whose errors make up for what the transforms add.
    const int64_t chunk = ceil_div(reduce_, ceil_div(reduce_, 128));
    TileArgs<T> t;
    t.a_row = 1, t.a_col = tile_rows_;
    t.b_row = t.c_row = step_;
    t.bias = nullptr;
    for (int64_t q = 0; q < reduce_; q += chunk) {
      t.k = min(chunk, reduce_ - q);
      t.start = q > 0 ? Start::c : Start::zero;
      for (int64_t j = 0; j < tiles; j += NR)
        for (int64_t i = first; i < last; ++i) {
          const int64_t rows = min(tile_rows_, c_.filters - i * tile_rows_);
          if (rows <= 0) break;
          t.a = u + (i * reduce_ + q) * tile_rows_;
          t.b = v + q * step_ + j;
          t.c = m + i * tile_rows_ * step_ + j;
          t.cols = min(NR, ceil_div(tiles - j, W) * W);
          run_tile(t, rows);
        }
    }
  }
  void put_output(int64_t group, int64_t first, int64_t last, int64_t f0, int64_t f1, const T* m,
                  int64_t place) const {
    each_run(first, last, [&](int64_t plane, int64_t h, int64_t n, int64_t at) {
      for (int64_t f = f0; f < f1; ++f)
        put_plane(group * c_.filters + f, plane, h, n, m + f * step_ + at * across_, place);
    });
    if (!c_.a.finish) return;
    each_run(first, last, [&](int64_t plane, int64_t h, int64_t n, int64_t) {
      const ConvArgs& a = c_.a;
      const int64_t line = plane % a.out[0] * a.out[1] + 2 * h,
                    lines = min(2 * n, a.out[1] - 2 * h);
      for (int64_t f = f0; f < f1; ++f)
        finish(c_, plane / a.out[0], group * c_.filters + f, line * c_.width, lines * c_.width);
    });
  }
  T* output_line(int64_t filter, int64_t plane, int64_t h) const {
    const ConvArgs& a = c_.a;
    return c_.output(plane / a.out[0], filter) + (plane % a.out[0] * a.out[1] + 2 * h) * c_.width;
  }
  void put_plane(int64_t filter, int64_t plane, int64_t h, int64_t n, const T* m,
                 int64_t place) const {
    const ConvArgs& a = c_.a;
    const int64_t width = c_.width;
    T* out = output_line(filter, plane, h);
    const Vec<T> bias = a.bias ? static_cast<const T*>(a.bias)[filter] : T(0);
    Vec<T> probe = T(0);
    for (int64_t i = 0; i < n; ++i, m += across_, out += 2 * width) {
      const bool pair = 2 * (h + i) + 1 < a.out[1];
      for (int64_t t = 0; t < across_; t += W) {
        Vec<T> r[kPlaces], y[4], left, right;
#pragma GCC unroll 16
        for (int k = 0; k < kPlaces; ++k) r[k] = Vec<T>::load_n(m + k * place + t, across_ - t);
        transform_output(r, y);
#pragma GCC unroll 4
        for (int k = 0; k < 4; ++k) y[k] += bias, probe = fma(y[k], Vec<T>(T(0)), probe);
        const int64_t j = 2 * t, left_n = min(width - j, W), right_n = max(width - j - W, 0);
        join_pairs(y[0], y[1], left, right, AllLanes<T>{});
        left.store_n(out + j, left_n), right.store_n(out + j + W, right_n);
        if (!pair) continue;
        join_pairs(y[2], y[3], left, right, AllLanes<T>{});
        left.store_n(out + width + j, left_n), right.store_n(out + width + j + W, right_n);
      }
    }
    check_finite(probe);
  }
  void check_finite(Vec<T> zeros) const {
    if (sum(zeros) != 0) __atomic_store_n(&finite_, 0, __ATOMIC_RELAXED);
  }

  // Adds up places of [q0, q1) for all filters over rows [first, last): sums[place][q][filter].
  void weight_sums(int64_t group, int64_t q0, int64_t q1, int64_t first, int64_t last,
                   T* sums) const {
    const int64_t v_place = place_step((q1 - q0) * step_);
    const int64_t g_place = place_step(block_ * across_ * NR);
    T* v = scratch_for<T>(Scratch::columns, kPlaces * v_place);
    T* g = scratch_for<T>(Scratch::output, kPlaces * g_place);
    const int64_t tile_rows = ceil_div(q1 - q0, ceil_div(q1 - q0, kTileRows));
    TileArgs<T> t;
    t.a_row = step_, t.a_col = 1;
    t.b_row = NR, t.c_row = c_.filters;
    t.bias = nullptr;
    for (int64_t r = first; r < last; r += block_) {
      const int64_t end = min(r + block_, last);
      take_input(group, r, end, q0, q1, v, v_place);
      t.k = (end - r) * across_;
      t.start = r > first ? Start::c : Start::zero;
      for (int64_t f = 0; f < c_.filters; f += NR) {
        t.cols = min(NR, c_.filters - f);
        take_gradients(group * c_.filters + f, t.cols, r, end, g, g_place);
        for (int k = 0; k < kPlaces; ++k)
          for (int64_t q = q0; q < q1; q += tile_rows) {
            t.a = v + k * v_place + (q - q0) * step_;
            t.b = g + k * g_place;
            t.c = sums + (k * reduce_ + q) * c_.filters + f;
            run_tile(t, min(tile_rows, q1 - q));
          }
      }
    }
  }
  // g[place][tile][filter] of a panel of filters.
  void take_gradients(int64_t filter, int64_t filters, int64_t first, int64_t last, T* g,
                      int64_t place) const {
    each_run(first, last, [&](int64_t plane, int64_t h, int64_t n, int64_t at) {
      for (int64_t i = 0; i < n; ++i)
        for (int64_t t = 0; t < across_; t += W)
          for (int64_t f = 0; f < filters; f += W)
            gradient_vectors(filter + f, min(W, filters - f), plane, h + i, t,
                             g + ((at + i) * across_ + t) * NR + f, place);
    });
  }
  // W filters at W tiles, turned.
  void gradient_vectors(int64_t filter, int64_t filters, int64_t plane, int64_t h, int64_t t, T* g,
                        int64_t place) const {
    alignas(kVecBytes) T turned[4][W * W];
    const int64_t width = c_.width, left_n = min(width - 2 * t, W);
    const int64_t right_n = max(width - 2 * t - W, 0);
    for (int64_t line = 0; line < 2; ++line) {
      Vec<T> even[W], odd[W];
      const bool inside = 2 * h + line < c_.a.out[1];
#pragma GCC unroll 16
      for (int64_t f = 0; f < W; ++f) {
        even[f] = odd[f] = T(0);
        if (f >= filters || !inside) continue;
        const T* y = output_line(filter + f, plane, h) + line * width + 2 * t;
        split_pairs(Vec<T>::load_n(y, left_n),
                    right_n > 0 ? Vec<T>::load_n(y + W, right_n) : Vec<T>(T(0)), even[f], odd[f],
                    AllLanes<T>{});
      }
      transpose(even), transpose(odd);
#pragma GCC unroll 16
      for (int64_t i = 0; i < W; ++i) {
        even[i].store(turned[2 * line] + i * W);
        odd[i].store(turned[2 * line + 1] + i * W);
      }
    }
    for (int64_t i = 0; i < min(W, across_ - t); ++i, g += NR) {
      Vec<T> y[4], m[kPlaces];
#pragma GCC unroll 4
      for (int k = 0; k < 4; ++k) y[k] = Vec<T>::load(turned[k] + i * W);
      transform_output_back(y, m);
#pragma GCC unroll 16
      for (int k = 0; k < kPlaces; ++k) m[k].store(g + k * place);
    }
  }
  // W filters' gradients from the sums of all parts.
  void put_weight(int64_t group, int64_t f, const T* sums, int64_t parts) const {
    constexpr int64_t kSome = 16;
    alignas(kVecBytes) T turned[kSome * 9 * W];
    const int64_t filters = min(W, c_.filters - f), total = kPlaces * reduce_ * c_.filters;
    Vec<T> probe = T(0);
    for (int64_t q = 0; q < reduce_; q += kSome) {
      const int64_t count = min(kSome, reduce_ - q);
      for (int64_t i = 0; i < count; ++i) {
        Vec<T> u[kPlaces], w[9];
        for (int k = 0; k < kPlaces; ++k) {
          const T* src = sums + group * total + (k * reduce_ + q + i) * c_.filters + f;
          u[k] = Vec<T>::load_n(src, filters);
          for (int64_t part = 1; part < parts; ++part)
            u[k] += Vec<T>::load_n(src + part * c_.a.groups * total, filters);
        }
        transform_filter_back(u, w);
#pragma GCC unroll 9
        for (int k = 0; k < 9; ++k) {
          w[k].store(turned + (i * 9 + k) * W);
          probe = fma(w[k], Vec<T>(T(0)), probe);
        }
      }
      turn_sums(c_.weight(group * c_.filters + f) + q * 9, c_.depth, turned, filters, W, count * 9,
                1, 0);
    }
    check_finite(probe);
  }

  const Conv<T>& c_;
  const bool mirrored_;
  int64_t across_, down_, rows_;  // tiles of a row, rows of a plane, rows of all planes
  int64_t reduce_, tiles_, tile_rows_;
  int64_t line_, block_ = 1, step_ = 0;  // numbers of a padded line, rows of a block, v's step
  mutable int finite_ = 1;
};

}  // namespace FLAMBEAU_ISA
}  // namespace flambeau
