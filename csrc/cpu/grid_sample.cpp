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

// From -1..1 to pixels, and back inside where the border or its mirror image stands for outside.
template <class T>
FLAMBEAU_INLINE Vec<T> place(Vec<T> x, int64_t size, const GridSampleArgs& a) {
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

// x y x y ... in two registers to x x ... and y y ...
template <class T, size_t... I>
FLAMBEAU_INLINE void part(Vec<T>& a, Vec<T>& b, std::index_sequence<I...>) {
  const auto x = __builtin_shufflevector(a.v, b.v, (2 * I)...);
  const auto y = __builtin_shufflevector(a.v, b.v, (2 * I + 1)...);
  a = typename Vec<T>::Reg(x);
  b = typename Vec<T>::Reg(y);
}

template <class T>
void find(Taps<T>& taps, const T* grid, int count, const GridSampleArgs& a) {
  using V = Vec<T>;
  using Int = typename V::Int;
  const T width = static_cast<T>(a.width), height = static_cast<T>(a.height);
  for (int i = 0; i < kBlock; i += V::size) {
    const int64_t left_over = 2 * (count - i), half = left_over - V::size;
    V x = V::load_n(grid + 2 * i, left_over < 0 ? 0 : left_over);
    V y = V::load_n(grid + 2 * i + V::size, half < 0 ? 0 : half);
    part(x, y, std::make_index_sequence<V::size>{});
    x = place(x, a.width, a);
    y = place(y, a.height, a);
    if (a.nearest) x = round(x), y = round(y);
    // Far outside there is nothing, and no integer to hold the place.
    const Mask<T> near = (x > T(-2)) & (y > T(-2)) & (x < width + 1) & (y < height + 1);
    x = where(near, x, V(T(-2)));
    y = where(near, y, V(T(-2)));
    const V left = floor(x), top = floor(y), fx = x - left, fy = y - top;
    for (int k = 0; k < 4; ++k) {
      const V c = left + T(k & 1), r = top + T(k >> 1);
      const Mask<T> inside = (c >= T(0)) & (c < width) & (r >= T(0)) & (r < height);
      const V weight = (k & 1 ? fx : V(T(1)) - fx) * (k >> 1 ? fy : V(T(1)) - fy);
      const Vec<Int> at = convert<Int>(r) * static_cast<Int>(a.width) + convert<Int>(c);
      Vec<Int>(at.v & inside.m).store(taps.at[k] + i);
      where(inside, weight, V(T(0))).store(taps.weight[k] + i);
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

void grid_sample(const GridSampleArgs& a) { a.is_double ? run<double>(a) : run<float>(a); }

}  // namespace

FLAMBEAU_REGISTER(grid_sample_kernel, grid_sample);

}  // namespace FLAMBEAU_ISA
}  // namespace flambeau
