// Sampling of images at places between pixels.
#include "../kernels/grid_sample.h"

#include "../parallel.h"
#include "vec.h"

namespace flambeau {
namespace FLAMBEAU_ISA {
namespace {

// From -1..1 to pixels, and back inside where the border or its mirror image stands for outside.
template <class T>
FLAMBEAU_INLINE T place(T x, int64_t size, const GridSampleArgs& a) {
  const T n = static_cast<T>(size);
  x = a.align_corners ? (x + 1) / 2 * (n - 1) : ((x + 1) * n - 1) / 2;
  if (a.outside == OutsidePixels::zeros) return x;
  if (a.outside == OutsidePixels::reflection) {
    const T low = a.align_corners ? T(0) : T(-0.5), span = a.align_corners ? n - 1 : n;
    if (span == 0) return 0;
    x = x < low ? low - x : x - low;
    const T turns = __builtin_floor(x / span), rest = x - turns * span;
    x = low + (turns / 2 == __builtin_floor(turns / 2) ? rest : span - rest);
  }
  return x > 0 ? (x < n - 1 ? x : n - 1) : T(0);  // not a number: 0
}

template <class T>
struct Taps {
  int64_t at[4];
  T weight[4];  // 0 where the tap lies outside
};

template <class T>
FLAMBEAU_INLINE void find(Taps<T>& t, T gx, T gy, const GridSampleArgs& a) {
  T x = place(gx, a.width, a), y = place(gy, a.height, a);
  if (a.nearest) x = __builtin_rint(x), y = __builtin_rint(y);
  // Far outside there is nothing, and no integer to hold the place.
  const bool near = x > -2 && y > -2 && x < T(a.width) + 1 && y < T(a.height) + 1;
  const T x0 = near ? __builtin_floor(x) : T(-2), y0 = near ? __builtin_floor(y) : T(-2);
  const T fx = near ? x - x0 : T(0), fy = near ? y - y0 : T(0);
  const auto column = static_cast<int64_t>(x0), row = static_cast<int64_t>(y0);
  const T weights[4] = {(1 - fx) * (1 - fy), fx * (1 - fy), (1 - fx) * fy, fx * fy};
  for (int k = 0; k < 4; ++k) {
    const int64_t c = column + (k & 1), r = row + (k >> 1);
    const bool inside = c >= 0 && c < a.width && r >= 0 && r < a.height;
    t.at[k] = inside ? r * a.width + c : 0;
    t.weight[k] = inside ? weights[k] : T(0);
  }
}

template <class T>
void run(const GridSampleArgs& a) {
  const T *image = static_cast<const T*>(a.image), *grid = static_cast<const T*>(a.grid);
  T* out = static_cast<T*>(a.out);
  const int64_t area = a.height * a.width, grain = 1 + 16384 / (8 + a.channels);
  parallel_for(0, a.batch * a.points, grain, [&](int64_t begin, int64_t end) {
    Taps<T> t;
    for (int64_t i = begin; i < end; ++i) {
      const int64_t n = i / a.points, p = i % a.points;
      find(t, grid[2 * i], grid[2 * i + 1], a);
      const T* src = image + n * a.channels * area;
      T* dst = out + n * a.channels * a.points + p;
      for (int64_t c = 0; c < a.channels; ++c, src += area, dst += a.points) {
        if (a.nearest) {
          *dst = t.weight[0] != 0 ? src[t.at[0]] : T(0);
          continue;
        }
        T sum = 0;
        for (int k = 0; k < 4; ++k) sum += t.weight[k] != 0 ? src[t.at[k]] * t.weight[k] : T(0);
        *dst = sum;
      }
    }
  });
}

void grid_sample(const GridSampleArgs& a) { a.is_double ? run<double>(a) : run<float>(a); }

}  // namespace

FLAMBEAU_REGISTER(grid_sample_kernel, grid_sample);

}  // namespace FLAMBEAU_ISA
}  // namespace flambeau
