// Convolution without columns: the micro-kernel reads padded input lines where they lie. Good where
// lines are about as long as whole vectors; the number of filters and channels does not matter.
#pragma once
#include "conv_columns.h"

namespace flambeau {
namespace FLAMBEAU_ISA {

// MR filters at NV vectors of positions. What tap k reads for the vector at b[v] is b[v] + at[k].
template <class T>
struct LineTile {
  const T* a;  // packed: MR numbers for each k
  int64_t a_col;
  const int32_t* at;
  int64_t k;
  const T* b[2];
  T* c[2];
  int64_t n[2];  // positions of each vector that exist
  int64_t c_row;
  Start start;
  const T* bias;
};

template <class T, int MR, int NV>
void line_tile(const LineTile<T>& t) {
  Vec<T> acc[MR][NV];
#pragma GCC unroll 16
  for (int i = 0; i < MR; ++i)
#pragma GCC unroll 2
    for (int v = 0; v < NV; ++v) acc[i][v] = T(0);
  const T* a = t.a;
  const T *b0 = t.b[0], *b1 = t.b[NV - 1];
  const int64_t a_col = t.a_col;
  const int32_t *at = t.at, *end = at + t.k;
  for (; at < end; ++at, a += a_col) {
    Vec<T> bv[2];
    bv[0] = Vec<T>::load(b0 + *at);
    if constexpr (NV > 1) bv[1] = Vec<T>::load(b1 + *at);
#pragma GCC unroll 16
    for (int i = 0; i < MR; ++i) {
      const Vec<T> av = a[i];
#pragma GCC unroll 2
      for (int v = 0; v < NV; ++v) acc[i][v] = fma(av, bv[v], acc[i][v]);
    }
  }
#pragma GCC unroll 2
  for (int v = 0; v < NV; ++v) {
    T* c = t.c[v];
    const int64_t n = t.n[v];
#pragma GCC unroll 16
    for (int i = 0; i < MR; ++i, c += t.c_row) {
      Vec<T> r = acc[i][v];
      if (t.start == Start::c) r += Vec<T>::load_n(c, n);
      if (t.start == Start::bias_rows) r += Vec<T>(t.bias[i]);
      r.store_n(c, n);
    }
  }
}

template <class T, int NV>
struct LineTileTable {
  using Fn = void (*)(const LineTile<T>&);
  Fn by_rows[kTileRows + 1] = {};
  constexpr LineTileTable() { fill<kTileRows>(); }
  template <int MR>
  constexpr void fill() {
    by_rows[MR] = &line_tile<T, MR, NV>;
    if constexpr (MR > 1) fill<MR - 1>();
  }
};
template <class T, int NV>
constexpr LineTileTable<T, NV> kLineTiles;

// Where one vector of positions starts, in the padded lines and in the output plane.
struct LineVector {
  int32_t from, to, count;
};

// Filters in tiles of rows, as the micro-kernel reads them: packed, or where they lie. Tiles are
// rows * depth apart.
template <class T>
struct Filters {
  int64_t tiles, rows;
  const T* data;
  int64_t group, row, col;  // steps between groups, and between rows and columns of a tile
};

template <class T>
class DirectConv {
 public:
  explicit DirectConv(const Conv<T>& c) : c_(c) {
    constexpr int64_t W = Vec<T>::size;
    vectors_ = ceil_div(c.width, W);
    const int64_t line = c.a.in[2] + 2 * c.a.padding[2] + W;
    const int64_t fit = kBytes / (static_cast<int64_t>(sizeof(T)) * c.channels * line);
    block_ = fit < c.a.kernel[1] * c.a.dilation[1] ? c.a.kernel[1] * c.a.dilation[1] : fit;
    block_ = max(int64_t{1}, block_ / c.a.stride[1]);
    if (c.a.out[0] > 1) {  // whole planes: all of a plane's lines are padded at a time
      const int64_t plane = fit / (c.a.in[1] + 2 * c.a.padding[1] + 1);
      block_ = max(int64_t{1}, plane - c.a.kernel[0] * c.a.dilation[0]) * c.a.out[1];
    }
    block_ = min(block_, c.lines);
    if (c.a.out[0] == 1) block_ = ceil_div(c.lines, ceil_div(c.lines, block_));
  }
  // Most of each vector is made of positions, and offsets fit their type.
  static bool fits(const Conv<T>& c) {
    constexpr int64_t W = Vec<T>::size;
    const double line = static_cast<double>((c.a.in[2] + 2 * c.a.padding[2]) * c.channels);
    const double lines = static_cast<double>(c.a.in[0] + 2 * c.a.padding[0] + 1) *
                         static_cast<double>(c.a.in[1] + 2 * c.a.padding[1] + 1);
    return 10 * c.width >= 7 * ceil_div(c.width, W) * W && line * lines < 1e9 &&
           c.positions < 1000000000;
  }
  int64_t blocks() const { return ceil_div(c_.lines, block_); }
  // Positions of a single line that stay in the caches for all channels.
  int64_t line_fit() const {
    return max(int64_t{128}, kBytes / (static_cast<int64_t>(sizeof(T)) * c_.channels));
  }

  // Tiles [t0, t1) of the filters.
  void run(const Filters<T>& f, int64_t n, int64_t group, int64_t block, int64_t t0,
           int64_t t1) const {
    constexpr int64_t W = Vec<T>::size;
    const ConvArgs& a = c_.a;
    const int64_t first = block * block_, last = min(first + block_, c_.lines);
    PaddedLines<T> lines(c_, first, last);
    T* buffer = scratch_for<T>(Scratch::columns, lines.numbers(c_.channels) + W);
    lines.fill(buffer, c_.input(n, group * c_.channels), c_.channels);
    const int64_t count = (last - first) * vectors_;
    int32_t* at = scratch_for<int32_t>(Scratch::packed_a, c_.depth + 3 * count);
    LineVector* vectors = reinterpret_cast<LineVector*>(at + c_.depth);
    list_taps(lines, first, at);
    list_vectors(lines, buffer, first, last, vectors);
    // The reduction in chunks of channels: a chunk's filters stay in the first-level cache.
    const int64_t chunk = max(int64_t{1}, kDepth / c_.taps) * c_.taps;
    T* out = c_.output(n, group * c_.filters);
    for (int64_t k = 0; k < c_.depth; k += chunk)
      for (int64_t i = t0; i < t1; ++i) {
        const int64_t filter = i * f.rows, rows = min(f.rows, c_.filters - filter);
        if (rows <= 0) break;
        LineTile<T> t;
        t.a = f.data + (group * f.tiles + i) * f.rows * c_.depth + k * f.rows;
        t.a_col = f.rows;
        t.at = at + k;
        t.k = min(chunk, c_.depth - k);
        t.c_row = c_.y_plane;
        t.start = k > 0 ? Start::c : a.bias ? Start::bias_rows : Start::zero;
        t.bias = static_cast<const T*>(a.bias) + (a.bias ? group * c_.filters + filter : 0);
        for (int64_t v = 0; v < count; v += 2) {
          const int64_t pair = v + 1 < count ? 2 : 1;
          for (int64_t q = 0; q < pair; ++q) {
            const LineVector& x = vectors[v + q];
            t.b[q] = buffer + x.from;
            t.c[q] = out + filter * c_.y_plane + x.to;
            t.n[q] = x.count;
          }
          if (pair == 2)
            kLineTiles<T, 2>.by_rows[rows](t);
          else
            kLineTiles<T, 1>.by_rows[rows](t);
        }
      }
    const int64_t end = min(t1 * f.rows, c_.filters);
    for (int64_t i = t0 * f.rows; a.finish && i < end; ++i)
      finish(c_, n, group * c_.filters + i, first * c_.width, (last - first) * c_.width);
  }

 private:
  static constexpr int64_t kBytes = 256 << 10;  // of lines that are laid out at a time

  // Relative to what the first tap reads.
  void list_taps(const PaddedLines<T>& lines, int64_t first, int32_t* at) const {
    const ConvArgs& a = c_.a;
    const T* base = lines.at(0, 0, 0, first);
    for (int64_t k = 0; k < c_.taps; ++k) {
      const int64_t kw = k % a.kernel[2], kh = k / a.kernel[2] % a.kernel[1];
      at[k] = static_cast<int32_t>(lines.at(k / a.kernel[2] / a.kernel[1], kh, kw, first) - base);
    }
    const auto step = static_cast<int32_t>(lines.channel_step());
    for (int64_t k = c_.taps; k < c_.depth; ++k) at[k] = at[k - c_.taps] + step;
  }
  void list_vectors(const PaddedLines<T>& lines, const T* buffer, int64_t first, int64_t last,
                    LineVector* out) const {
    constexpr int64_t W = Vec<T>::size;
    for (int64_t l = first; l < last; ++l) {
      const int64_t from = lines.at(0, 0, 0, l) - buffer;
      for (int64_t j = 0; j < c_.width; j += W)
        *out++ = {static_cast<int32_t>(from + j), static_cast<int32_t>(l * c_.width + j),
                  static_cast<int32_t>(min(W, c_.width - j))};
    }
  }

  const Conv<T>& c_;
  int64_t vectors_, block_;  // vectors in a line, lines in a block
};

}  // namespace FLAMBEAU_ISA
}  // namespace flambeau
