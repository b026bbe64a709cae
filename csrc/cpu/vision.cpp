// Boxes that overlap, and regions of feature maps.
#include "../kernels/vision.h"

#include "../parallel.h"

namespace flambeau {
namespace FLAMBEAU_ISA {
namespace {

double largest(double a, double b) { return a > b ? a : b; }
double smallest(double a, double b) { return a < b ? a : b; }

void nms(const NmsArgs& a) {
  for (int64_t i = 0; i < a.n; ++i) {
    const double* b = a.boxes + 4 * i;
    a.areas[i] = (b[2] - b[0]) * (b[3] - b[1]);
    a.keep[i] = 1;
  }
  for (int64_t i = 0; i < a.n; ++i) {
    if (!a.keep[i]) continue;
    const double x1 = a.boxes[4 * i], y1 = a.boxes[4 * i + 1], x2 = a.boxes[4 * i + 2],
                 y2 = a.boxes[4 * i + 3], area = a.areas[i];
    for (int64_t j = i + 1; j < a.n; ++j) {
      const double* b = a.boxes + 4 * j;
      const double w = largest(0, smallest(x2, b[2]) - largest(x1, b[0]));
      const double h = largest(0, smallest(y2, b[3]) - largest(y1, b[1]));
      const double both = w * h;
      a.keep[j] &= !(both / (area + a.areas[j] - both) > a.threshold);
    }
  }
}

template <class T>
void mean_of_cell(T* image, T& cell, const RoiCell& down, const RoiCell& across, int64_t width,
                  bool transposed) {
  const int64_t samples = down.count * across.count;
  T sum = 0;
  const T n = static_cast<T>(samples > 0 ? samples : 1), g = cell / n;
  for (int64_t s = 0; s < down.count; ++s) {
    const RoiTap& v = down.taps[s];
    T *top = image + v.low * width, *bottom = image + v.high * width;
    const T tw = static_cast<T>(v.low_weight), bw = static_cast<T>(v.high_weight);
    for (int64_t t = 0; t < across.count; ++t) {
      const RoiTap& h = across.taps[t];
      const T lw = static_cast<T>(h.low_weight), rw = static_cast<T>(h.high_weight);
      if (transposed) {
        top[h.low] += g * (tw * lw);
        top[h.high] += g * (tw * rw);
        bottom[h.low] += g * (bw * lw);
        bottom[h.high] += g * (bw * rw);
      } else {
        sum += tw * (lw * top[h.low] + rw * top[h.high]) +
               bw * (lw * bottom[h.low] + rw * bottom[h.high]);
      }
    }
  }
  if (!transposed) cell = sum / n;
}

// Calls f(place in out, place of the plane in image, the cell's rows, its columns) for the cells of
// a channel of a region.
template <class F>
void each_cell(const RoiArgs& a, int64_t k, int64_t c, const F& f) {
  const int64_t area = a.height * a.width, size = a.rows * a.columns;
  const int64_t planes = a.own ? a.channels * size : a.channels;
  const RoiCell *down = a.cells + k * (a.rows + a.columns), *across = down + a.rows;
  for (int64_t i = 0; i < size; ++i) {
    const int64_t plane = a.images[k] * planes + (a.own ? c * size + i : c);
    f((k * a.channels + c) * size + i, plane * area, down[i / a.columns], across[i % a.columns]);
  }
}

template <class T>
void mean(const RoiArgs& a, bool transposed) {
  const auto plane = [&](int64_t k, int64_t c) {
    each_cell(a, k, c, [&](int64_t i, int64_t at, const RoiCell& down, const RoiCell& across) {
      mean_of_cell(static_cast<T*>(a.image) + at, static_cast<T*>(a.out)[i], down, across, a.width,
                   transposed);
    });
  };
  if (transposed) {  // regions overlap, so a channel is one thread's
    parallel_for(0, a.channels, 1, [&](int64_t begin, int64_t end) {
      for (int64_t c = begin; c < end; ++c)
        for (int64_t k = 0; k < a.count; ++k) plane(k, c);
    });
    return;
  }
  parallel_for(0, a.count * a.channels, 64, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) plane(i / a.channels, i % a.channels);
  });
}

template <class T>
int64_t argmax_of_cell(const T* image, const RoiCell& down, const RoiCell& across, int64_t width) {
  int64_t best = -1;
  for (int64_t s = 0; s < down.count; ++s)
    for (int64_t t = 0; t < across.count; ++t) {
      const int64_t at = down.taps[s].low * width + across.taps[t].low;
      if (best < 0 || image[at] > image[best] || image[best] != image[best]) best = at;
    }
  return best;
}

template <class T>
void argmax(const RoiArgs& a) {
  parallel_for(0, a.count * a.channels, 64, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p)
      each_cell(a, p / a.channels, p % a.channels,
                [&](int64_t i, int64_t at, const RoiCell& down, const RoiCell& across) {
                  const int64_t best =
                      argmax_of_cell(static_cast<const T*>(a.image) + at, down, across, a.width);
                  static_cast<int64_t*>(a.out)[i] = best < 0 ? -1 : at + best;
                });
  });
}

void roi_mean(const RoiArgs& a, bool transposed) {
  a.is_double ? mean<double>(a, transposed) : mean<float>(a, transposed);
}
void roi_argmax(const RoiArgs& a) { a.is_double ? argmax<double>(a) : argmax<float>(a); }

}  // namespace

FLAMBEAU_REGISTER(nms_kernel, nms);
FLAMBEAU_REGISTER(roi_mean_kernel, roi_mean);
FLAMBEAU_REGISTER(roi_argmax_kernel, roi_argmax);

}  // namespace FLAMBEAU_ISA
}  // namespace flambeau
