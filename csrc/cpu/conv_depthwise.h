// Depthwise convolution, where a filter reads one channel: no matrix to multiply, so planes are
// walked (small ones by conv_lanes.h). A plane is laid out with its zeros around it, one part for
// each phase of the stride; then every tap reads at a fixed offset from the position that is
// written, across line ends, and what falls between two lines is left out at the end.
#pragma once
#include "conv_columns.h"

namespace flambeau {
namespace FLAMBEAU_ISA {

// Adds to sums[k] the products of g with what tap k reads.
template <class T, int N>
void depthwise_dots(const T* x, const T* g, int64_t n, const int64_t* at, double* sums) {
  Vec<T> acc[N];
#pragma GCC unroll 9
  for (int k = 0; k < N; ++k) acc[k] = T(0);
  for (int64_t i = 0; i < n; i += Vec<T>::size) {
    const Vec<T> gi = Vec<T>::load(g + i);
#pragma GCC unroll 9
    for (int k = 0; k < N; ++k) acc[k] = fma(gi, Vec<T>::load(x + at[k] + i), acc[k]);
  }
#pragma GCC unroll 9
  for (int k = 0; k < N; ++k) sums[k] += static_cast<double>(sum(acc[k]));
}

constexpr int64_t kDots = 9;
template <class T>
struct DotsTable {
  void (*by_count[kDots + 1])(const T*, const T*, int64_t, const int64_t*, double*) = {};
  constexpr DotsTable() { fill<kDots>(); }
  template <int N>
  constexpr void fill() {
    by_count[N] = &depthwise_dots<T, N>;
    if constexpr (N > 1) fill<N - 1>();
  }
};
template <class T>
constexpr DotsTable<T> kDotsTable;

// A plane by rows: what is read of it is used for every row of results that it is part of.
template <class T>
struct DepthwiseRows {
  static constexpr int kRows = 4;  // of results at a time; those beyond the last are not stored
  T* y;
  int64_t height, width, y_line;
  const T* x;
  int64_t line, phase;
  const T* w;
  T bias;
  int64_t dilation;

  // Rows h, h + step, ... of the results. Only with a stride S of one may the step not be one.
  template <int K, int S, int V>
  void block(int64_t h, int64_t first, int64_t step) const {
    constexpr int W = Vec<T>::size;
    Vec<T> acc[kRows][V];
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 2
      for (int u = 0; u < V; ++u) acc[r][u] = bias;
    const T* from = x + h * line + first;
#pragma GCC unroll 16
    for (int t = 0; t < (kRows - 1) * S + K; ++t)
#pragma GCC unroll 8
      for (int j = 0; j < K; ++j) {
        const T* p = from + (t % S * S + j % S) * phase + t / S * step * line + j / S * step;
        Vec<T> v[V];
#pragma GCC unroll 2
        for (int u = 0; u < V; ++u) v[u] = Vec<T>::load(p + u * W);
#pragma GCC unroll 4
        for (int r = 0; r < kRows; ++r) {
          const int i = t - r * S;
          if (i < 0 || i >= K) continue;
          const Vec<T> wk = w[i * K + j];
#pragma GCC unroll 2
          for (int u = 0; u < V; ++u) acc[r][u] = fma(wk, v[u], acc[r][u]);
        }
      }
    alignas(64) T nowhere[V * W];  // a branch would have the compiler compute row after row
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
      const int64_t at = h + r * step;
      T* to = at < height ? y + at * y_line + first : nowhere;
#pragma GCC unroll 2
      for (int u = 0; u < V; ++u) acc[r][u].store_n(to + u * W, width - first - u * W);
    }
  }
  template <int K, int S>
  void row(int64_t h, int64_t step) const {
    constexpr int W = Vec<T>::size;
    int64_t first = 0;
    for (; first + W < width; first += 2 * W) block<K, S, 2>(h, first, step);
    if (first < width) block<K, S, 1>(h, first, step);
  }
  template <int K, int S>
  void plane() const {
    for (int64_t h = 0; h < height; h += kRows) row<K, S>(h, 1);
  }
  // Rows that lie the dilation apart have what they read in common.
  template <int K>
  void dilated_plane() const {
    for (int64_t h = 0; h < height; h += kRows * dilation)
      for (int64_t i = h; i < min(h + dilation, height); ++i) row<K, 1>(i, dilation);
  }
  // Null where there is no such form.
  static auto form(const ConvArgs& a) -> void (DepthwiseRows::*)() const {
    if (a.kernel[1] != a.kernel[2] || a.stride[1] != a.stride[2]) return nullptr;
    if (a.dilation[1] != a.dilation[2]) return nullptr;
    if (a.dilation[1] > 1) switch (a.stride[1] == 1 ? a.kernel[1] : 0) {
        case 3: return &DepthwiseRows::template dilated_plane<3>;
        case 5: return &DepthwiseRows::template dilated_plane<5>;
        case 7: return &DepthwiseRows::template dilated_plane<7>;
        default: return nullptr;
      }
    switch (a.stride[1] == 1 ? a.kernel[1] : a.stride[1] == 2 ? -a.kernel[1] : 0) {
      case 3: return &DepthwiseRows::template plane<3, 1>;
      case 5: return &DepthwiseRows::template plane<5, 1>;
      case 7: return &DepthwiseRows::template plane<7, 1>;
      case -3: return &DepthwiseRows::template plane<3, 2>;
      case -5: return &DepthwiseRows::template plane<5, 2>;
      case -7: return &DepthwiseRows::template plane<7, 2>;
      default: return nullptr;
    }
  }
};

template <class T>
class Depthwise {
 public:
  explicit Depthwise(const Conv<T>& c) : c_(c) {
    for (int i = 0; i < 2; ++i) {
      const int d = i + 1;
      reach_[i] = (c.a.kernel[d] - 1) * c.a.dilation[d] / c.a.stride[d];
      size_[i] = c.a.out[d] + reach_[i];
    }
    line_ = size_[1];
    phase_ = size_[0] * line_;
    flat_ = (c.a.out[1] - 1) * line_ + c.a.out[2];
    phases_ = c.a.stride[1] * c.a.stride[2];
    const int64_t s = c.a.stride[2], p = c.a.padding[2];
    for (int64_t q = 0; q < s; ++q) {
      const int64_t first = p > q ? ceil_div(p - q, s) : 0, at = first * s + q - p;
      const int64_t inside = at < c.a.in[2] ? ceil_div(c.a.in[2] - at, s) : 0;
      columns_[q] = {first, at, max(int64_t{0}, min(size_[1] - first, inside))};
    }
  }
  static bool fits(const Conv<T>& c) {
    return c.channels == 1 && c.filters <= 2 && c.a.kernel[0] == 1 && c.a.in[0] == 1 &&
           c.a.out[0] == 1 && c.taps <= kTaps && c.a.padding[0] == 0 && c.a.stride[1] <= 4 &&
           c.a.stride[2] <= 4;
  }

  void output(int64_t n, int64_t filter) const {
    T* x = scratch_for<T>(Scratch::columns, phases_ * phase_ + rows_slack(line_));
    fill_phases(x, c_.input(n, filter / c_.filters));
    const T bias = c_.a.bias ? static_cast<const T*>(c_.a.bias)[filter] : T(0);
    T* out = c_.output(n, filter);
    if (const auto plane = DepthwiseRows<T>::form(c_.a)) {
      const DepthwiseRows<T> rows{out,    c_.a.out[1],       c_.width, c_.width,        x, line_,
                                  phase_, c_.weight(filter), bias,     c_.a.dilation[1]};
      (rows.*plane)();
    } else {
      T* y = scratch_for<T>(Scratch::output, flat_ + kSlack);
      int64_t at[kTaps];
      list_taps(at);
      correlate(y, x, flat_, c_.weight(filter), at, c_.taps, bias);
      for (int64_t h = 0; h < c_.a.out[1]; ++h)
        copy_line(out + h * c_.width, y + h * line_, c_.width);
    }
    finish(c_, n, filter, 0, c_.positions);
  }

  // The input's channel takes part in `filters` outputs.
  void input(int64_t n, int64_t channel) const {
    const ConvArgs& a = c_.a;
    const int64_t line = c_.width + 2 * reach_[1], rows = a.out[1] + 2 * reach_[0];
    T* g = scratch_for<T>(Scratch::columns, rows * line + rows_slack(line));
    const int64_t flat = (size_[0] - 1) * line + size_[1];
    T* part = scratch_for<T>(Scratch::output, flat + kSlack);
    T* x = c_.input(n, channel);
    const T start = a.bias ? static_cast<const T*>(a.bias)[channel] : T(0);
    const auto plane = a.stride[1] == 1 ? DepthwiseRows<T>::form(a) : nullptr;
    for (int64_t i = 0; i < c_.in_size(); ++i) x[i] = start;
    zero(g, rows * line + kSlack);
    for (int64_t f = 0; f < c_.filters; ++f) {
      const T* y = c_.output(n, channel * c_.filters + f);
      for (int64_t h = 0; h < a.out[1]; ++h)
        copy_line(g + (h + reach_[0]) * line + reach_[1], y + h * c_.width, c_.width);
      for (int64_t p = 0; p < a.stride[1]; ++p)
        for (int64_t q = 0; q < a.stride[2]; ++q) {
          int64_t at[kTaps];
          T w[kTaps];
          const int64_t taps =
              taps_of_phase(p, q, line, c_.weight(channel * c_.filters + f), at, w);
          if (taps == 0) continue;
          if (plane) {  // by the filter turned round
            for (int64_t k = 0; k < taps / 2; ++k) {
              const T last = w[taps - 1 - k];
              w[taps - 1 - k] = w[k], w[k] = last;
            }
            const DepthwiseRows<T> by_rows{part, size_[0], size_[1], line, g,
                                           line, 0,        w,        T(0), a.dilation[1]};
            (by_rows.*plane)();
          } else {
            correlate(part, g, flat, w, at, taps, T(0));
          }
          add_phase(x, part, line, p, q);
        }
    }
  }

  void weight(int64_t filter) const {
    constexpr int64_t W = Vec<T>::size;
    T* x = scratch_for<T>(Scratch::columns, phases_ * phase_ + kSlack);
    T* g = scratch_for<T>(Scratch::output, flat_ + kSlack);
    zero(g, flat_ + kSlack);
    int64_t at[kTaps];
    list_taps(at);
    double sums[kTaps] = {};
    for (int64_t n = 0; n < c_.a.batch; ++n) {
      fill_phases(x, c_.input(n, filter / c_.filters));
      const T* y = c_.output(n, filter);
      for (int64_t h = 0; h < c_.a.out[1]; ++h)
        copy_line(g + h * line_, y + h * c_.width, c_.width);
      for (int64_t k = 0; k < c_.taps; k += kDots)
        kDotsTable<T>.by_count[min(c_.taps - k, kDots)](x, g, ceil_div(flat_, W) * W, at + k,
                                                        sums + k);
    }
    for (int64_t k = 0; k < c_.taps; ++k) c_.weight(filter)[k] = static_cast<T>(sums[k]);
  }

 private:
  static constexpr int64_t kTaps = 128, kUnroll = 4;
  static constexpr int64_t kSlack = (kUnroll + 1) * Vec<T>::size;

  // What rows by blocks read beyond the end.
  int64_t rows_slack(int64_t line) const {
    return DepthwiseRows<T>::kRows * c_.a.dilation[1] * line + kSlack;
  }
  static void zero(T* p, int64_t n) { __builtin_memset(p, 0, static_cast<size_t>(n) * sizeof(T)); }
  static FLAMBEAU_INLINE void copy_line(T* dst, const T* src, int64_t n) {
    for (int64_t i = 0; i < n; i += Vec<T>::size)
      Vec<T>::load_n(src + i, n - i).store_n(dst + i, n - i);
  }

  // What each tap reads for the first position.
  void list_taps(int64_t* at) const {
    const ConvArgs& a = c_.a;
    for (int64_t i = 0; i < a.kernel[1]; ++i)
      for (int64_t j = 0; j < a.kernel[2]; ++j) {
        const int64_t h = i * a.dilation[1], w = j * a.dilation[2];
        *at++ = (h % a.stride[1] * a.stride[2] + w % a.stride[2]) * phase_ +
                h / a.stride[1] * line_ + w / a.stride[2];
      }
  }
  // The taps that reach the rows and columns of one phase, for lines of g.
  int64_t taps_of_phase(int64_t p, int64_t q, int64_t line, const T* weight, int64_t* at,
                        T* w) const {
    const ConvArgs& a = c_.a;
    int64_t taps = 0;
    for (int64_t i = 0; i < a.kernel[1]; ++i)
      for (int64_t j = 0; j < a.kernel[2]; ++j) {
        const int64_t h = i * a.dilation[1], v = j * a.dilation[2];
        if (h % a.stride[1] != p || v % a.stride[2] != q) continue;
        at[taps] = (reach_[0] - h / a.stride[1]) * line + reach_[1] - v / a.stride[2];
        w[taps++] = weight[i * a.kernel[2] + j];
      }
    return taps;
  }

  void fill_phases(T* dst, const T* x) const {
    const ConvArgs& a = c_.a;
    zero(dst, phases_ * phase_ + kSlack);
    int64_t i = a.padding[1] / a.stride[1], p = a.padding[1] % a.stride[1];
    for (int64_t h = 0; h < a.in[1] && i < size_[0]; ++h) {
      T* row = dst + p * a.stride[2] * phase_ + i * line_;
      for (int64_t q = 0; q < a.stride[2]; ++q, row += phase_) {
        const Columns& c = columns_[q];
        const T* src = x + h * a.in[2] + c.at;
        if (a.stride[2] == 1)
          copy_line(row + c.first, src, c.count);
        else if (a.stride[2] == 2)
          for (int64_t k = 0; k < c.count; ++k) row[c.first + k] = src[2 * k];
        else
          for (int64_t k = 0; k < c.count; ++k) row[c.first + k] = src[a.stride[2] * k];
      }
      if (++p == a.stride[1]) p = 0, ++i;
    }
  }
  void add_phase(T* x, const T* part, int64_t line, int64_t p, int64_t q) const {
    const ConvArgs& a = c_.a;
    for (int64_t i = 0; i < size_[0]; ++i) {
      const int64_t h = i * a.stride[1] + p - a.padding[1];
      if (h < 0 || h >= a.in[1]) continue;
      const Columns& c = columns_[q];
      const T* src = part + i * line + c.first;
      T* dst = x + h * a.in[2] + c.at;
      if (a.stride[2] == 1)
        for (int64_t k = 0; k < c.count; ++k) dst[k] += src[k];
      else
        for (int64_t k = 0; k < c.count; ++k) dst[a.stride[2] * k] += src[k];
    }
  }

  static void correlate(T* y, const T* x, int64_t n, const T* w, const int64_t* at, int64_t taps,
                        T bias) {
    constexpr int64_t W = Vec<T>::size;
    for (int64_t i = 0; i < n; i += kUnroll * W) {
      Vec<T> acc[kUnroll];
#pragma GCC unroll 4
      for (int u = 0; u < kUnroll; ++u) acc[u] = bias;
      for (int64_t k = 0; k < taps; ++k) {
        const T* p = x + at[k] + i;
        const Vec<T> wk = w[k];
#pragma GCC unroll 4
        for (int u = 0; u < kUnroll; ++u) acc[u] = fma(wk, Vec<T>::load(p + u * W), acc[u]);
      }
#pragma GCC unroll 4
      for (int u = 0; u < kUnroll; ++u) acc[u].store(y + i + u * W);
    }
  }

  // Of one phase of the columns, those in the input: the first, its place in the input's line, how
  // many they are.
  struct Columns {
    int64_t first, at, count;
  };

  const Conv<T>& c_;
  Columns columns_[4];
  int64_t reach_[2], size_[2];  // of rows and columns: what taps add, and a phase's own
  int64_t line_, phase_, phases_, flat_;
};

}  // namespace FLAMBEAU_ISA
}  // namespace flambeau
