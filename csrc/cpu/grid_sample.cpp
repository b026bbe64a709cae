// Sampling of images at places between pixels.
#include "../kernels/grid_sample.h"

#include <utility>

#include "../parallel.h"
#include "vec.h"

namespace flambeau {
namespace FLAMBEAU_ISA {
namespace {

constexpr int kBlock = 64;  // points whose taps are found together

template <class T>
struct Taps {
  alignas(kVecBytes) typename Vec<T>::Int at[4][kBlock];  // within a channel
  alignas(kVecBytes) T weight[4][kBlock];                 // 0 where the tap lies outside
};
template <class T>
struct Slopes {  // of the weights along the grid's x and y
  alignas(kVecBytes) T x[4][kBlock], y[4][kBlock];
};

// From -1..1 to pixels, and back inside where the border or its mirror image stands for outside.
template <class T>
FLAMBEAU_INLINE Vec<T> place(Vec<T> x, int64_t size, const GridSampleArgs& a) {
  if (a.in_pixels) return x;
  const T n = static_cast<T>(size);
  x = a.align_corners ? (x + T(1)) * (n / 2 - T(0.5)) : ((x + T(1)) * n - T(1)) * T(0.5);
  if (a.outside == OutsidePixels::zeros) return x;
  if (a.outside == OutsidePixels::reflection) {
    const T low = a.align_corners ? T(0) : T(-0.5), span = a.align_corners ? n - 1 : n;
    if (span == 0) return T(0);
    x = abs(x - low);
    const Vec<T> turns = floor(x / span), rest = x - turns * span, half = turns * T(0.5);
    x = where(half == floor(half), rest, Vec<T>(span) - rest) + low;
  }
  x = where(x > T(0), x, Vec<T>(T(0)));  // not a number: 0
  return where(x < n - 1, x, Vec<T>(n - 1));
}

// What a step of the grid's number moves `place` by, 0 where it is held at the border.
template <class T>
FLAMBEAU_INLINE Vec<T> slope(Vec<T> x, int64_t size, const GridSampleArgs& a) {
  using V = Vec<T>;
  if (a.in_pixels) return V(T(1));
  const T n = static_cast<T>(size), scale = a.align_corners ? n / 2 - T(0.5) : n / 2;
  if (a.outside == OutsidePixels::zeros) return V(scale);
  x = a.align_corners ? (x + T(1)) * scale : ((x + T(1)) * n - T(1)) * T(0.5);
  V s(scale);
  if (a.outside == OutsidePixels::reflection) {
    const T low = a.align_corners ? T(0) : T(-0.5), span = a.align_corners ? n - 1 : n;
    if (span == 0) return V(T(0));
    s = where(x < low, -s, s);
    x = abs(x - low);
    const V turns = floor(x / span), rest = x - turns * span, half = turns * T(0.5);
    const Mask<T> even = half == floor(half);
    s = where(even, s, -s);
    x = where(even, rest, V(span) - rest) + low;
  }
  return where((x > T(0)) & (x < n - 1), s, V(T(0)));
}

// x y x y ... in two registers to x x ... and y y ...
template <class T, size_t... I>
FLAMBEAU_INLINE void part(Vec<T>& a, Vec<T>& b, std::index_sequence<I...>) {
  const auto x = __builtin_shufflevector(a.v, b.v, (2 * I)...);
  const auto y = __builtin_shufflevector(a.v, b.v, (2 * I + 1)...);
  a = typename Vec<T>::Reg(x);
  b = typename Vec<T>::Reg(y);
}

template <class T>
void find(Taps<T>& taps, const T* grid, int count, const GridSampleArgs& a,
          Slopes<T>* slopes = nullptr) {
  using V = Vec<T>;
  using Int = typename V::Int;
  const T width = static_cast<T>(a.width), height = static_cast<T>(a.height);
  const int64_t last = a.width * a.height - 1;
  for (int i = 0; i < kBlock; i += V::size) {
    const int64_t left_over = 2 * (count - i), half = left_over - V::size;
    V x = V::load_n(grid + 2 * i, left_over < 0 ? 0 : left_over);
    V y = V::load_n(grid + 2 * i + V::size, half < 0 ? 0 : half);
    part(x, y, std::make_index_sequence<V::size>{});
    V dx(T(0)), dy(T(0));
    if (slopes) dx = slope(x, a.width, a), dy = slope(y, a.height, a);
    x = place(x, a.width, a);
    y = place(y, a.height, a);
    if (a.nearest) x = round(x), y = round(y);
    // Far outside there is nothing, and no integer to hold the place.
    const Mask<T> near = (x > T(-2)) & (y > T(-2)) & (x < width + 1) & (y < height + 1);
    x = where(near, x, V(T(-2)));
    y = where(near, y, V(T(-2)));
    // Taps outside stand at places of their own: adding to one and the same would be a long chain.
    const Vec<Int> spare = min(Vec<Int>::arange(i), Vec<Int>(static_cast<Int>(last)));
    const V left = floor(x), top = floor(y), fx = x - left, fy = y - top;
    for (int k = 0; k < 4; ++k) {
      const V c = left + T(k & 1), r = top + T(k >> 1);
      const Mask<T> inside = (c >= T(0)) & (c < width) & (r >= T(0)) & (r < height);
      const V weight = (k & 1 ? fx : V(T(1)) - fx) * (k >> 1 ? fy : V(T(1)) - fy);
      const Vec<Int> at = convert<Int>(r) * static_cast<Int>(a.width) + convert<Int>(c);
      Vec<Int>(inside.m ? at.v : spare.v).store(taps.at[k] + i);
      where(inside, weight, V(T(0))).store(taps.weight[k] + i);
      if (!slopes) continue;
      const V along_x = (k & 1 ? dx : -dx) * (k >> 1 ? fy : V(T(1)) - fy);
      const V along_y = (k >> 1 ? dy : -dy) * (k & 1 ? fx : V(T(1)) - fx);
      where(inside, along_x, V(T(0))).store(slopes->x[k] + i);
      where(inside, along_y, V(T(0))).store(slopes->y[k] + i);
    }
  }
}

template <class T>
void sample(const Taps<T>& t, const T* src, T* dst, int count, bool nearest) {
  using V = Vec<T>;
  alignas(kVecBytes) T values[kBlock];
  V sums[kBlock / V::size];
  for (V& sum : sums) sum = V(T(0));
  for (int k = 0; k < (nearest ? 1 : 4); ++k) {
    for (int i = 0; i < kBlock; ++i) values[i] = src[t.at[k][i]];
    for (int i = 0; i < kBlock; i += V::size) {
      const V weight = V::load(t.weight[k] + i);  // 0: what stands there may be infinite
      V& sum = sums[i / V::size];
      sum = where(weight != T(0), sum + V::load(values + i) * weight, sum);
    }
  }
  for (int i = 0; i < count; i += V::size) sums[i / V::size].store_n(dst + i, count - i);
}

template <class T>
void run(const GridSampleArgs& a) {
  const T *image = static_cast<const T*>(a.image), *grid = static_cast<const T*>(a.grid);
  T* out = static_cast<T*>(a.out);
  const int64_t area = a.height * a.width, blocks = (a.points + kBlock - 1) / kBlock;
  parallel_for(0, a.batch * blocks, 1 + 256 / (8 + a.channels), [&](int64_t begin, int64_t end) {
    Taps<T> taps;
    for (int64_t i = begin; i < end; ++i) {
      const int64_t n = i / blocks, first = i % blocks * kBlock, rest = a.points - first;
      const int count = static_cast<int>(rest < kBlock ? rest : kBlock);
      find(taps, grid + 2 * (n * a.points + first), count, a);
      for (int64_t c = n * a.channels; c < (n + 1) * a.channels; ++c)
        sample(taps, image + c * area, out + c * a.points + first, count, a.nearest);
    }
  });
}

// Each channel of each image by one task: its pixels take what their points give in order.
template <class T>
void image_gradient(const GridSampleArgs& a, const T* g, T* image) {
  using V = Vec<T>;
  const T* grid = static_cast<const T*>(a.grid);
  const int64_t area = a.height * a.width;
  const int taken = a.nearest ? 1 : 4;
  constexpr int64_t kChannels = 8;  // that share the taps
  const int64_t groups = (a.channels + kChannels - 1) / kChannels;
  parallel_for(0, a.batch * groups, 1, [&](int64_t begin, int64_t end) {
    Taps<T> taps;
    for (int64_t i = begin; i < end; ++i) {
      const int64_t n = i / groups, first = n * a.channels + i % groups * kChannels;
      const int64_t rest = (n + 1) * a.channels - first;
      const int64_t last = first + (rest < kChannels ? rest : kChannels);
      for (int64_t p = 0; p < a.points; p += kBlock) {
        const int count = static_cast<int>(a.points - p < kBlock ? a.points - p : kBlock);
        find(taps, grid + 2 * (n * a.points + p), count, a);
        for (int64_t c = first; c < last; ++c) {
          T* to = image + c * area;
          const T* from = g + c * a.points + p;
          alignas(kVecBytes) T parts[4][kBlock];
          for (int k = 0; k < taken; ++k)
            for (int j = 0; j < count; j += V::size) {
              V w = V::load(taps.weight[k] + j);  // 0 outside, whatever the gradient
              where(w != T(0), V::load_n(from + j, count - j) * w, w).store(parts[k] + j);
            }
          for (int k = 0; k < taken; ++k)
            for (int j = 0; j < count; ++j) to[taps.at[k][j]] += parts[k][j];
        }
      }
    }
  });
}

template <class T>
void grid_gradient(const GridSampleArgs& a, const T* g, T* out) {
  using V = Vec<T>;
  const T *image = static_cast<const T*>(a.image), *grid = static_cast<const T*>(a.grid);
  const int64_t area = a.height * a.width, blocks = (a.points + kBlock - 1) / kBlock;
  parallel_for(0, a.batch * blocks, 1 + 256 / (8 + a.channels), [&](int64_t begin, int64_t end) {
    Taps<T> taps;
    Slopes<T> slopes;
    for (int64_t i = begin; i < end; ++i) {
      const int64_t n = i / blocks, first = i % blocks * kBlock, rest = a.points - first;
      const int count = static_cast<int>(rest < kBlock ? rest : kBlock);
      find(taps, grid + 2 * (n * a.points + first), count, a, &slopes);
      for (int j = 0; j < count; j += V::size) {
        V x(T(0)), y(T(0));
        for (int64_t c = n * a.channels; c < (n + 1) * a.channels; ++c) {
          const V d = V::load_n(g + c * a.points + first + j, count - j);
          const T* src = image + c * area;
          for (int k = 0; k < 4; ++k) {
            alignas(kVecBytes) T picked[V::size];
            for (int l = 0; l < V::size; ++l) picked[l] = src[taps.at[k][j + l]];
            const V sx = V::load(slopes.x[k] + j), sy = V::load(slopes.y[k] + j);
            // Without a slope the tap may lie outside, and what was picked be infinite.
            const V v = where((sx != T(0)) | (sy != T(0)), V::load(picked) * d, V(T(0)));
            x += v * sx;
            y += v * sy;
          }
        }
        T* to = out + 2 * (n * a.points + first + j);
        for (int l = 0; l < V::size && j + l < count; ++l) to[2 * l] = x[l], to[2 * l + 1] = y[l];
      }
    }
  });
}

template <class T>
void run_backward(const GridSampleArgs& a, const GridSampleGradients& d) {
  const T* g = static_cast<const T*>(d.out);
  if (d.image) image_gradient(a, g, static_cast<T*>(d.image));
  if (d.grid) grid_gradient(a, g, static_cast<T*>(d.grid));
}

void grid_sample(const GridSampleArgs& a) { a.is_double ? run<double>(a) : run<float>(a); }
void grid_sample_backward(const GridSampleArgs& a, const GridSampleGradients& d) {
  a.is_double ? run_backward<double>(a, d) : run_backward<float>(a, d);
}

}  // namespace

FLAMBEAU_REGISTER(grid_sample_kernel, grid_sample);
FLAMBEAU_REGISTER(grid_sample_backward_kernel, grid_sample_backward);

}  // namespace FLAMBEAU_ISA
}  // namespace flambeau
