// Boxes that overlap, and regions of feature maps.
#include "../kernels/vision.h"

#include <cmath>

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

struct Cells {  // one axis of one region
  double start, size;
  int64_t samples;
};

Cells cells(double low, double high, int64_t count, const RoiAlignArgs& a) {
  const double offset = a.aligned ? 0.5 : 0.0;
  const double start = low * a.scale - offset, end = high * a.scale - offset;
  const double length = a.aligned ? end - start : largest(end - start, 1.0);
  const double size = length / static_cast<double>(count);
  const int64_t samples = a.ratio > 0 ? a.ratio : static_cast<int64_t>(std::ceil(size));
  return {start, size, samples > 0 ? samples : 0};
}

void fill(RoiTap* taps, const Cells& c, int64_t count, int64_t pixels) {
  for (int64_t i = 0; i < count; ++i) {
    for (int64_t s = 0; s < c.samples; ++s, ++taps) {
      const double share = (static_cast<double>(s) + 0.5) / static_cast<double>(c.samples);
      double x = c.start + (static_cast<double>(i) + share) * c.size;
      // Outside the nearest pixel counts, as in torchvision's own deterministic form.
      if (!(x > 0)) x = 0;
      const double last = static_cast<double>(pixels - 1);
      if (x > last) x = last;
      const int64_t low = static_cast<int64_t>(x), high = low + 1 < pixels ? low + 1 : low;
      const double rest = x - static_cast<double>(low);
      *taps = {low, high, 1 - rest, rest};
    }
  }
}

template <class T>
void one_plane(const RoiAlignArgs& a, int64_t k, T* image, T* out) {
  const double* roi = a.rois + 5 * k;
  const Cells down = cells(roi[2], roi[4], a.rows, a), across = cells(roi[1], roi[3], a.columns, a);
  const RoiTap *y = a.taps + k * a.per_roi, *x = y + a.rows * down.samples;
  const int64_t samples = down.samples * across.samples;
  const T share = T(1) / static_cast<T>(samples > 0 ? samples : 1);
  for (int64_t i = 0; i < a.rows; ++i) {
    for (int64_t j = 0; j < a.columns; ++j) {
      T sum = 0;
      T& cell = out[i * a.columns + j];
      const T g = cell * share;
      for (int64_t s = 0; s < down.samples; ++s) {
        const RoiTap& v = y[i * down.samples + s];
        T *top = image + v.low * a.width, *bottom = image + v.high * a.width;
        const T tw = static_cast<T>(v.low_weight), bw = static_cast<T>(v.high_weight);
        for (int64_t t = 0; t < across.samples; ++t) {
          const RoiTap& h = x[j * across.samples + t];
          const T lw = static_cast<T>(h.low_weight), rw = static_cast<T>(h.high_weight);
          if (a.transposed) {
            if (tw * lw != 0) top[h.low] += g * tw * lw;
            if (tw * rw != 0) top[h.high] += g * tw * rw;
            if (bw * lw != 0) bottom[h.low] += g * bw * lw;
            if (bw * rw != 0) bottom[h.high] += g * bw * rw;
          } else {
            sum += tw * (lw * top[h.low] + rw * top[h.high]) +
                   bw * (lw * bottom[h.low] + rw * bottom[h.high]);
          }
        }
      }
      if (!a.transposed) cell = sum * share;
    }
  }
}

template <class T>
void run(const RoiAlignArgs& a) {
  parallel_for(0, a.count, 64, [&](int64_t begin, int64_t end) {
    for (int64_t k = begin; k < end; ++k) {
      const double* roi = a.rois + 5 * k;
      const Cells down = cells(roi[2], roi[4], a.rows, a);
      RoiTap* taps = a.taps + k * a.per_roi;
      fill(taps, down, a.rows, a.height);
      fill(taps + a.rows * down.samples, cells(roi[1], roi[3], a.columns, a), a.columns, a.width);
    }
  });
  const int64_t area = a.height * a.width, size = a.rows * a.columns;
  const auto plane = [&](int64_t k, int64_t c) {
    const int64_t n = static_cast<int64_t>(a.rois[5 * k]);
    one_plane<T>(a, k, static_cast<T*>(a.image) + (n * a.channels + c) * area,
                 static_cast<T*>(a.out) + (k * a.channels + c) * size);
  };
  if (a.transposed) {  // regions overlap, so a channel is one thread's
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

void roi_align(const RoiAlignArgs& a) { a.is_double ? run<double>(a) : run<float>(a); }

}  // namespace

FLAMBEAU_REGISTER(nms_kernel, nms);
FLAMBEAU_REGISTER(roi_align_kernel, roi_align);

}  // namespace FLAMBEAU_ISA
}  // namespace flambeau
