// Convolution as a matrix product: which input numbers a block of output positions reads.
#pragma once
#include "gemm_driver.h"
#include "kernels/conv.h"

namespace flambeau {
namespace FLAMBEAU_ISA {

// One convolution seen from one group. A "line" is a run of output along the last dimension;
// lines are numbered through the two dimensions before it.
template <class T>
struct Conv {
  ConvArgs a;
  int64_t channels, filters;  // of input and output, per group
  int64_t taps, depth;        // numbers in a kernel, and in a filter: channels * taps
  int64_t lines, width, positions;
  int64_t x_plane, y_plane;  // from a channel of the input to the next, and of the output

  explicit Conv(const ConvArgs& args) : a(args) {
    channels = a.in_channels / a.groups, filters = a.out_channels / a.groups;
    taps = a.kernel[0] * a.kernel[1] * a.kernel[2];
    depth = channels * taps;
    lines = a.out[0] * a.out[1], width = a.out[2];
    positions = lines * width;
    x_plane = in_size(), y_plane = positions;
  }
  // A single line, of sound for instance, can be worked on in parts.
  bool single_line() const { return lines == 1 && a.in[0] * a.in[1] == 1; }
  // About `size` positions, but more than twice what two parts both read: whole pairs of vectors.
  int64_t part_width(int64_t size) const {
    constexpr int64_t pair = 2 * Vec<T>::size;
    const int64_t shared = (a.kernel[2] - 1) * a.dilation[2] / a.stride[2];
    const int64_t parts = max(int64_t{1}, width / max(size, 2 * shared));
    return ceil_div(ceil_div(width, parts), pair) * pair;
  }
  // Positions [from, to) of a single line.
  Conv part(int64_t from, int64_t to) const {
    ConvArgs b = a;
    const int64_t first = from * a.stride[2] - a.padding[2], start = max(first, int64_t{0});
    b.padding[2] = start - first;
    b.in[2] = max(int64_t{0}, a.in[2] - start), b.out[2] = to - from;
    b.input = static_cast<T*>(a.input) + start, b.output = static_cast<T*>(a.output) + from;
    Conv c(b);
    c.x_plane = x_plane, c.y_plane = y_plane;
    return c;
  }
  int64_t in_size() const { return a.in[0] * a.in[1] * a.in[2]; }
  int64_t input_numbers() const { return a.batch * a.in_channels * in_size(); }
  int64_t output_numbers() const { return a.batch * a.out_channels * positions; }
  int64_t weight_numbers() const { return a.out_channels * depth; }
  T* input(int64_t n, int64_t channel) const {
    return static_cast<T*>(a.input) + (n * a.in_channels + channel) * x_plane;
  }
  T* output(int64_t n, int64_t filter) const {
    return static_cast<T*>(a.output) + (n * a.out_channels + filter) * y_plane;
  }
  T* weight(int64_t filter) const { return static_cast<T*>(a.weight) + filter * depth; }
  double flops() const {
    return 2.0 * static_cast<double>(positions) * static_cast<double>(depth * filters);
  }

  // A plain product, once a stride has been taken out.
  bool pointwise() const {
    for (int i = 0; i < 3; ++i)
      if (a.kernel[i] != 1 || a.padding[i] != 0 || (a.out[i] - 1) * a.stride[i] >= a.in[i])
        return false;
    return true;
  }
  // A kernel as large as the input: one product of images by filters.
  bool whole() const {
    for (int i = 0; i < 3; ++i)
      if (a.kernel[i] != a.in[i] || a.padding[i] != 0 || a.out[i] != 1) return false;
    return a.groups == 1;
  }
  // With a stride of one.
  bool dilated() const {
    return a.stride[0] * a.stride[1] * a.stride[2] == 1 &&
           a.dilation[0] * a.dilation[1] * a.dilation[2] > 1;
  }
  bool strided() const { return positions != in_size(); }
};

// `count` numbers of one filter's plane, from `first` on, are complete.
template <class T>
FLAMBEAU_INLINE void finish(const Conv<T>& c, int64_t n, int64_t filter, int64_t first,
                            int64_t count) {
  if (c.a.finish) finish_run(*c.a.finish, c.output(n, filter) + first, count, filter);
}

// Asks for lines [first, last) of a plane of `in`, as far as there are such, ahead of their use:
// from channel to channel the processor does not guess what is read.
template <class T>
FLAMBEAU_INLINE void prefetch_lines(const T* plane, int64_t first, int64_t last,
                                    const int64_t (&in)[3]) {
  const T* end = plane + min(last, in[1]) * in[2];
  for (const T* p = plane + max(first, 0) * in[2]; p < end; p += 64 / sizeof(T))
    __builtin_prefetch(p);
}

template <class T, int... I>
FLAMBEAU_INLINE Vec<T> every_second(const T* p, int64_t n, Lanes<I...>) {
  constexpr int64_t W = Vec<T>::size;
  const auto a = Vec<T>::load_n(p, n).v, b = Vec<T>::load_n(p + W, max(n - W, int64_t{0})).v;
  return Vec<T>(__builtin_shufflevector(a, b, (2 * I)...));
}
// p[0], p[2], ... of n numbers.
template <class T>
FLAMBEAU_INLINE Vec<T> every_second(const T* p, int64_t n) {
  return every_second(p, n, AllLanes<T>{});
}

// The input lines that output lines [first, last) read, with their zeros around them, so that the
// copies below need not look for borders. A line is stored as `stride` runs, one for each phase:
// then what one tap reads along a line is consecutive whatever the stride.
template <class T>
class PaddedLines {
 public:
  PaddedLines(const Conv<T>& conv, int64_t first, int64_t last) : c_(conv) {
    const ConvArgs& a = conv.a;
    const int64_t d0 = first / a.out[1], d1 = (last - 1) / a.out[1];
    const int64_t h0 = d0 == d1 ? first % a.out[1] : 0;
    const int64_t h1 = d0 == d1 ? (last - 1) % a.out[1] : a.out[1] - 1;
    base_[0] = d0 * a.stride[0], base_[1] = h0 * a.stride[1];
    count_[0] = (d1 - d0) * a.stride[0] + (a.kernel[0] - 1) * a.dilation[0] + 1;
    count_[1] = (h1 - h0) * a.stride[1] + (a.kernel[1] - 1) * a.dilation[1] + 1;
    const int64_t reach = (a.out[2] - 1) * a.stride[2] + (a.kernel[2] - 1) * a.dilation[2] + 1;
    const int64_t phase = ceil_div(reach, a.stride[2]);
    line_ = {a.stride[2], a.padding[2], a.in[2], phase, phase * a.stride[2], {}};
    for (int64_t f = 0; f < kPhases; ++f) line_.inside[f] = line_.find(f);
  }
  int64_t numbers(int64_t channels) const {
    return channels * count_[0] * count_[1] * line_.size + Vec<T>::size;
  }

  void fill(T* buffer, const T* x, int64_t channels) {
    buffer_ = buffer;
    // Copies of what the stores of vectors might, for all the compiler knows, change.
    const ConvArgs a = c_.a;
    const Line line = line_;
    const int64_t depths = count_[0], rows = count_[1];
    const int64_t z0 = base_[0] - a.padding[0], y0 = base_[1] - a.padding[1];
    T* dst = buffer;
    for (int64_t c = 0; c < channels; ++c)
      for (int64_t z = z0; z < z0 + depths; ++z) {
        const bool inside = z >= 0 && z < a.in[0];
        const T* plane = x + c * c_.x_plane + z * a.in[1] * a.in[2];
        if (inside && c + 1 < channels) prefetch_lines(plane + c_.x_plane, y0, y0 + rows, a.in);
        for (int64_t y = y0; y < y0 + rows; ++y, dst += line.size)
          fill_line(dst, inside && y >= 0 && y < a.in[1] ? plane + y * a.in[2] : nullptr, line);
      }
  }

  // What tap (kd, kh, kw) of the first channel reads for output line l, from its first position on.
  const T* at(int64_t kd, int64_t kh, int64_t kw, int64_t l) const {
    const ConvArgs& a = c_.a;
    const int64_t i = l / a.out[1] * a.stride[0] + kd * a.dilation[0] - base_[0];
    const int64_t j = l % a.out[1] * a.stride[1] + kh * a.dilation[1] - base_[1];
    const int64_t w = kw * a.dilation[2];
    return buffer_ + (i * count_[1] + j) * line_.size + w % a.stride[2] * line_.phase +
           w / a.stride[2];
  }
  int64_t channel_step() const { return count_[0] * count_[1] * line_.size; }
  int64_t line_step() const { return c_.a.stride[1] * line_.size; }

 private:
  static constexpr int64_t kPhases = 4;  // for which divisions are not made for every line
  struct Inside {
    int64_t lo, hi;
  };
  struct Line {
    int64_t stride, padding, in, phase, size;
    Inside inside[kPhases];

    // The numbers of phase f that are not zeros around: dst[q] = src[q * stride + f - padding].
    Inside find(int64_t f) const {
      const int64_t end = in + padding - f;
      const int64_t lo = padding > f ? min(ceil_div(padding - f, stride), phase) : 0;
      return {lo, end <= 0 ? lo : max(lo, min(ceil_div(end, stride), phase))};
    }
  };

  static FLAMBEAU_INLINE void fill_line(T* dst, const T* src, const Line& line) {
    constexpr int64_t W = Vec<T>::size;
    const Vec<T> zero = T(0);
    const int64_t s = line.stride;
    for (int64_t f = 0; f < s; ++f, dst += line.phase) {
      const Inside r = f < kPhases ? line.inside[f] : line.find(f);
      const int64_t lo = r.lo, hi = src ? r.hi : lo;
      // Whole vectors: what a store spoils behind it is written next, or is the slack at the end.
      for (int64_t q = 0; q < lo; q += W) zero.store(dst + q);
      const T* from = src ? src + f - line.padding : nullptr;
      if (s == 1)
        for (int64_t q = lo; q < hi; q += W) Vec<T>::load_n(from + q, hi - q).store(dst + q);
      else if (s == 2)
        for (int64_t q = lo; q < hi; q += W)
          every_second(from + 2 * q, 2 * (hi - q) - 1).store(dst + q);
      else
        for (int64_t q = lo; q < hi; ++q) dst[q] = from[s * q];
      for (int64_t q = hi; q < line.phase; q += W) zero.store(dst + q);
    }
  }

  const Conv<T>& c_;
  int64_t base_[2], count_[2];
  Line line_;
  T* buffer_ = nullptr;
};

// Output positions that are worked on at a time: lines [first, last) of images [n0, n1), which are
// whole where there are several; or positions [from, to) of a single line.
struct Span {
  int64_t n0, n1, first, last, from, to;
};

constexpr int64_t kSpan = 256;  // positions: that many columns stay in the second-level cache

// How images [n0, n1) are cut into spans.
template <class T>
struct Spans {
  int64_t n0, n1, lines, width;
  int64_t images, block, per_image;  // images of a span or else lines; spans of an image
  int64_t part = 0;  // of a single line

  Spans(const Conv<T>& c, int64_t from, int64_t to, int64_t span = kSpan)
      : n0(from), n1(to), lines(c.lines), width(c.width) {
    images = max(int64_t{1}, min(span / c.positions, to - from));
    images = ceil_div(to - from, ceil_div(to - from, images));
    per_image = c.positions <= kSpan ? 1 : ceil_div(lines, max(int64_t{1}, kSpan / width));
    block = ceil_div(lines, per_image);
    per_image = ceil_div(lines, block);
    if (!c.single_line() || width <= kSpan) return;
    part = c.part_width(kSpan);
    per_image = ceil_div(width, part);
  }
  int64_t count() const {
    return per_image > 1 ? (n1 - n0) * per_image : ceil_div(n1 - n0, images);
  }
  Span at(int64_t i) const {
    if (per_image == 1)
      return {n0 + i * images, min(n0 + (i + 1) * images, n1), 0, lines, 0, width};
    const int64_t n = n0 + i / per_image, at = i % per_image;
    if (part > 0) return {n, n + 1, 0, 1, at * part, min((at + 1) * part, width)};
    return {n, n + 1, at * block, min((at + 1) * block, lines), 0, width};
  }
  // The convolution whose lines span s counts.
  Conv<T> conv(const Conv<T>& c, const Span& s) const {
    return part > 0 ? c.part(s.from, s.to) : c;
  }
};

// The matrix [channels * taps, positions of a span], and its step between rows. The step is an odd
// number of cache lines, so that a column of tiles spreads over the whole cache.
template <class T>
struct Columns {
  T* data;
  int64_t step, count;
};

template <class T>
int64_t column_step(int64_t positions) {
  constexpr int64_t line = 64 / static_cast<int64_t>(sizeof(T));
  const int64_t lines = ceil_div(positions, line);
  return (lines | 1) * line;
}

// What the taps of some channels read along lines [first, last), a row for each tap.
template <class T>
void lay_columns(const Conv<T>& c, const PaddedLines<T>& lines, int64_t channels, int64_t first,
                 int64_t last, T* out, int64_t step) {
  constexpr int64_t W = Vec<T>::size;
  const ConvArgs& a = c.a;
  // Copies of what the stores of vectors might, for all the compiler knows, change.
  const int64_t next = lines.line_step(), channel = lines.channel_step(), width = c.width;
  const int64_t below = c.taps * step;
  for (int64_t k = 0; k < c.taps; ++k) {
    const int64_t kw = k % a.kernel[2], kh = k / a.kernel[2] % a.kernel[1];
    for (int64_t l = first; l < last;) {
      // Lines that follow each other in the input, too: those of one plane.
      const int64_t stop = min(last, (l / a.out[1] + 1) * a.out[1]);
      const T* src = lines.at(k / a.kernel[2] / a.kernel[1], kh, kw, l);
      T* row = out + k * step + (l - first) * width;
      const int64_t count = stop - l;
      for (int64_t ch = 0; ch < channels; ++ch, src += channel, row += below) {
        const T* from = src;
        T* to = row;
        if (width <= W)
          for (int64_t i = 0; i < count; ++i, from += next, to += width)
            Vec<T>::load(from).store(to);
        else
          for (int64_t i = 0; i < count; ++i, from += next, to += width)
            for (int64_t j = 0; j < width; j += W) Vec<T>::load(from + j).store(to + j);
      }
      l = stop;
    }
  }
}

template <class T>
Columns<T> columns(const Conv<T>& c, const Span& s, int64_t channel, int64_t channels) {
  constexpr int64_t W = Vec<T>::size;
  PaddedLines<T> lines(c, s.first, s.last);
  const int64_t each = (s.last - s.first) * c.width, count = (s.n1 - s.n0) * each;
  // Between rows there is room for what the last vector of a row spoils.
  const int64_t step = column_step<T>(count + W);
  const int64_t padded = ceil_div(lines.numbers(channels), W) * W;
  const int64_t total = padded + channels * c.taps * step + kTileCols<T> + W;
  T* buffer = scratch_for<T>(Scratch::columns, total);
  for (int64_t n = s.n0; n < s.n1; ++n) {
    lines.fill(buffer, c.input(n, channel), channels);
    lay_columns(c, lines, channels, s.first, s.last, buffer + padded + (n - s.n0) * each, step);
  }
  return {buffer + padded, step, count};
}

// weight[f * step + k] = sum of src[k][f] over `parts` that lie `total` apart, for f < filters, k <
// depth.
template <class T>
void turn_sums(T* weight, int64_t step, const T* src, int64_t filters, int64_t stride,
               int64_t depth, int64_t parts, int64_t total) {
  constexpr int64_t W = Vec<T>::size;
  for (int64_t f = 0; f < filters; f += W)
    for (int64_t k = 0; k < depth; k += W) {
      Vec<T> r[W];
#pragma GCC unroll 16
      for (int64_t q = 0; q < W; ++q) {
        r[q] = T(0);
        for (int64_t p = 0; q < depth - k && p < parts; ++p)
          r[q] += Vec<T>::load_n(src + p * total + (k + q) * stride + f, filters - f);
      }
      transpose(r);
      for (int64_t q = 0; q < W && q < filters - f; ++q)
        r[q].store_n(weight + (f + q) * step + k, depth - k);
    }
}

}  // namespace FLAMBEAU_ISA
}  // namespace flambeau
