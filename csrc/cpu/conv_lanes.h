// Depthwise convolution of small planes: a vector holds one position of as many channels as it has
// lanes, so that short lines leave no lane idle. Planes are transposed on the way in and out.
#pragma once
#include "conv_columns.h"

namespace flambeau {
namespace FLAMBEAU_ISA {

// y[h, w] = sum over taps i, j of w[i, j] x[h s + i d, w s + j d], for all lanes at once; x has its
// zeros around it.
template <class T>
struct LaneRow {
  const T *x, *w;
  int64_t x_row, x_col;  // from a tap to the next
  int64_t rows, cols;  // taps
  int64_t w_row;
  Vec<T> start;
  T* y;
};

template <class T, int S, int N>
void lane_row(const LaneRow<T>& r) {
  constexpr int64_t W = Vec<T>::size;
  Vec<T> acc[N];
#pragma GCC unroll 16
  for (int q = 0; q < N; ++q) acc[q] = r.start;
  for (int64_t i = 0; i < r.rows; ++i)
    for (int64_t j = 0; j < r.cols; ++j) {
      const Vec<T> w = Vec<T>::load(r.w + i * r.w_row + j * W);
      const T* x = r.x + i * r.x_row + j * r.x_col;
#pragma GCC unroll 16
      for (int q = 0; q < N; ++q) acc[q] = fma(w, Vec<T>::load(x + q * S * W), acc[q]);
    }
#pragma GCC unroll 16
  for (int q = 0; q < N; ++q) acc[q].store(r.y + q * W);
}

// Adds to sums[k] the products of g with what tap k reads: lines of x and g of `cols` positions.
template <class T, int S, int N>
void lane_dots(const T* x, const T* g, int64_t rows, int64_t cols, int64_t x_row, const int64_t* at,
               double* sums) {
  constexpr int64_t W = Vec<T>::size;
  Vec<T> acc[N];
#pragma GCC unroll 9
  for (int k = 0; k < N; ++k) acc[k] = T(0);
  for (int64_t h = 0; h < rows; ++h, x += x_row)
    for (int64_t w = 0; w < cols; ++w, g += W) {
      const Vec<T> gi = Vec<T>::load(g);
#pragma GCC unroll 9
      for (int k = 0; k < N; ++k) acc[k] = fma(gi, Vec<T>::load(x + w * S * W + at[k]), acc[k]);
    }
  for (int k = 0; k < N; ++k)
    for (int64_t q = 0; q < W; ++q) sums[k * W + q] += static_cast<double>(acc[k].v[q]);
}

constexpr int kLaneCols = 14, kLaneDots = 9;
template <class T>
struct LaneTable {
  void (*row[kLaneCols + 1])(const LaneRow<T>&) = {};
  void (*dots[kLaneDots + 1])(const T*, const T*, int64_t, int64_t, int64_t, const int64_t*,
                              double*) = {};
  explicit constexpr LaneTable(bool strided) {
    strided ? fill<2, kLaneCols>() : fill<1, kLaneCols>();
  }
  template <int S, int N>
  constexpr void fill() {
    row[N] = &lane_row<T, S, N>;
    if constexpr (N <= kLaneDots) dots[N] = &lane_dots<T, S, N>;
    if constexpr (N > 1) fill<S, N - 1>();
  }
};
template <class T, bool Strided>
constexpr LaneTable<T> kLaneTable(Strided);

template <class T>
class DepthwiseLanes {
  static constexpr int64_t W = Vec<T>::size;

 public:
  static constexpr int64_t kLanes = W;

  explicit DepthwiseLanes(const Conv<T>& c) : c_(c) {
    for (int i = 0; i < 2; ++i) size_[i] = reach(i) + (c.a.out[i + 1] - 1) * c.a.stride[i + 1] + 1;
  }
  // Where lines would leave most of a vector idle, or taps are so many that transposing is cheap.
  static bool fits(const Conv<T>& c) {
    const ConvArgs& a = c.a;
    if (c.channels != 1 || c.filters != 1 || a.groups < W || c.taps > kTaps) return false;
    if (a.stride[2] > 2) return false;
    if (a.kernel[0] != 1 || a.in[0] != 1 || a.out[0] != 1 || a.padding[0] != 0) return false;
    for (int i = 1; i < 3; ++i) {  // with the zeros around
      const int64_t read = max(a.in[i], (a.out[i] - 1) * a.stride[i] + 1);
      if (read + (a.kernel[i] - 1) * a.dilation[i] > kLine) return false;
    }
    return a.out[2] <= W / 2 || (a.out[2] <= W && c.taps >= 25);
  }
  // Whether the input's gradient is again such a convolution.
  static bool mirrors(const Conv<T>& c) {
    const ConvArgs& a = c.a;
    for (int i = 1; i < 3; ++i)
      if (a.stride[i] != 1 || a.padding[i] > (a.kernel[i] - 1) * a.dilation[i]) return false;
    return fits(c);
  }

  // Channels [first, first + W) of image n.
  void output(int64_t n, int64_t first) const {
    const ConvArgs& a = c_.a;
    const int64_t lanes = min(W, a.groups - first);
    const Plane in{a.in[1], a.in[2]}, out{a.out[1], a.out[2]};
    const int64_t padding[2] = {a.padding[1], a.padding[2]};
    T* x = scratch_for<T>(Scratch::columns, size_[0] * size_[1] * W);
    gather(x, size_, padding, c_.input(n, first), in, lanes);
    T* y = convolve(x, size_, out, padding, a.in[1], weights(first, lanes, false), first, lanes);
    scatter(c_.output(n, first), y, c_.positions, lanes);
    for (int64_t q = 0; q < lanes; ++q) finish(c_, n, first + q, 0, c_.positions);
  }

  void input(int64_t n, int64_t first) const {
    const ConvArgs& a = c_.a;
    const int64_t lanes = min(W, a.groups - first);
    const Plane in{a.in[1], a.in[2]}, out{a.out[1], a.out[2]};
    const int64_t padding[2] = {reach(0) - a.padding[1], reach(1) - a.padding[2]};
    const int64_t size[2] = {in.height + reach(0), in.width + reach(1)};
    T* g = scratch_for<T>(Scratch::columns, size[0] * size[1] * W);
    gather(g, size, padding, c_.output(n, first), out, lanes);
    T* x = convolve(g, size, in, padding, a.out[1], weights(first, lanes, true), first, lanes);
    scatter(c_.input(n, first), x, c_.in_size(), lanes);
  }

  void weight(int64_t first) const {
    const ConvArgs& a = c_.a;
    const int64_t lanes = min(W, a.groups - first);
    const Plane in{a.in[1], a.in[2]}, out{a.out[1], a.out[2]};
    const int64_t padding[2] = {a.padding[1], a.padding[2]}, none[2] = {0, 0};
    const int64_t whole[2] = {out.height, out.width};
    const int64_t numbers = size_[0] * size_[1] * W;
    T* x = scratch_for<T>(Scratch::columns, numbers + c_.positions * W);
    T* g = x + numbers;
    int64_t at[kTaps];
    for (int64_t k = 0; k < c_.taps; ++k)
      at[k] = (k / a.kernel[2] * a.dilation[1] * size_[1] + k % a.kernel[2] * a.dilation[2]) * W;
    double* sums = scratch_for<double>(Scratch::output, c_.taps * W);
    for (int64_t i = 0; i < c_.taps * W; ++i) sums[i] = 0;
    for (int64_t n = 0; n < a.batch; ++n) {
      gather(x, size_, padding, c_.input(n, first), in, lanes);
      gather(g, whole, none, c_.output(n, first), out, lanes);
      for (int64_t k = 0; k < c_.taps; k += kLaneDots)
        table().dots[min(c_.taps - k, int64_t{kLaneDots})](
            x, g, out.height, out.width, a.stride[1] * size_[1] * W, at + k, sums + k * W);
    }
    for (int64_t q = 0; q < lanes; ++q)
      for (int64_t k = 0; k < c_.taps; ++k)
        c_.weight(first + q)[k] = static_cast<T>(sums[k * W + q]);
  }

 private:
  static constexpr int64_t kTaps = 128, kLine = 64;
  struct Plane {
    int64_t height, width;
  };
  const LaneTable<T>& table() const {
    return c_.a.stride[2] == 1 ? kLaneTable<T, false> : kLaneTable<T, true>;
  }
  int64_t reach(int i) const { return (c_.a.kernel[i + 1] - 1) * c_.a.dilation[i + 1]; }

  // dst: positions of lanes, `size` of them with the zeros around. Lanes beyond the last are zero.
  static void gather(T* dst, const int64_t (&size)[2], const int64_t (&padding)[2], const T* src,
                     const Plane& plane, int64_t lanes) {
    const int64_t count = plane.height * plane.width;
    if (count != size[0] * size[1])
      __builtin_memset(dst, 0, static_cast<size_t>(size[0] * size[1] * W) * sizeof(T));
    int64_t h = padding[0], w = 0;  // where the next position belongs
    for (int64_t p = 0; p < count; p += W) {
      Vec<T> r[W];
#pragma GCC unroll 16
      for (int64_t q = 0; q < W; ++q)
        r[q] = q < lanes ? Vec<T>::load_n(src + q * count + p, count - p) : Vec<T>(T(0));
      transpose(r);
      for (int64_t q = 0; q < min(W, count - p); ++q) {
        const int64_t column = w + padding[1];
        if (h < size[0] && column < size[1]) r[q].store(dst + (h * size[1] + column) * W);
        if (++w == plane.width) w = 0, ++h;
      }
    }
  }
  static void scatter(T* dst, const T* src, int64_t count, int64_t lanes) {
    for (int64_t p = 0; p < count; p += W) {
      Vec<T> r[W];
#pragma GCC unroll 16
      for (int64_t q = 0; q < W; ++q) r[q] = Vec<T>::load(src + min(p + q, count - 1) * W);
      transpose(r);
      for (int64_t q = 0; q < lanes; ++q) r[q].store_n(dst + q * count + p, count - p);
    }
  }
  // [taps][W], turned round for the input's gradient.
  T* weights(int64_t first, int64_t lanes, bool turned) const {
    T* w = scratch_for<T>(Scratch::packed_a, (c_.taps + 1) * W);
    pack(w, W, c_.weight(first), c_.taps, 1, lanes, c_.taps, T(1));
    for (int64_t k = 0; turned && k < c_.taps / 2; ++k) {
      T *low = w + k * W, *high = w + (c_.taps - 1 - k) * W;
      const Vec<T> kept = Vec<T>::load(low);
      Vec<T>::load(high).store(low);
      kept.store(high);
    }
    return w;
  }
  // Of the padded x, whose real lines are `real` ones from padding[0] on.
  T* convolve(const T* x, const int64_t (&size)[2], const Plane& out, const int64_t (&padding)[2],
              int64_t real, const T* w, int64_t first, int64_t lanes) const {
    const ConvArgs& a = c_.a;
    T* y = scratch_for<T>(Scratch::output, out.height * out.width * W);
    LaneRow<T> r{};
    r.x_row = a.dilation[1] * size[1] * W, r.x_col = a.dilation[2] * W;
    r.cols = a.kernel[2], r.w_row = r.cols * W;
    r.start = a.bias ? Vec<T>::load_n(static_cast<const T*>(a.bias) + first, lanes) : Vec<T>(T(0));
    for (int64_t h = 0; h < out.height; ++h) {
      // Taps that read zeros for the whole line are left out.
      const int64_t top = h * a.stride[1], d = a.dilation[1];
      const int64_t left = max(padding[0] + real - top, int64_t{0});
      const int64_t end = min(a.kernel[1], ceil_div(left, d));
      const int64_t begin = min(end, ceil_div(max(padding[0] - top, int64_t{0}), d));
      r.rows = end - begin;
      r.w = w + begin * r.w_row;
      for (int64_t q = 0; q < out.width; q += kLaneCols) {
        r.x = x + ((top + begin * d) * size[1] + q * a.stride[2]) * W;
        r.y = y + (h * out.width + q) * W;
        table().row[min(out.width - q, int64_t{kLaneCols})](r);
      }
    }
    return y;
  }

  const Conv<T>& c_;
  int64_t size_[2];  // of a plane with its zeros
};

}  // namespace FLAMBEAU_ISA
}  // namespace flambeau
