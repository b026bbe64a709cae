// Kernels of vision models: boxes and regions.
#pragma once
#include "../dispatch.h"

namespace flambeau {

// n boxes (x1, y1, x2, y2), the best first: keep[i] becomes 0 for those that overlap a better kept
// one by more than the threshold. areas has room for n numbers.
struct NmsArgs {
  const double* boxes;
  double* areas;
  uint8_t* keep;
  int64_t n;
  double threshold;
};
inline Kernel<void(const NmsArgs&)> nms_kernel{"nms"};

// Where one sample lies between two pixels of an axis, and what they weigh.
struct RoiTap {
  int64_t low, high;
  double low_weight, high_weight;
};

// The means of samples in cells of regions: image [batch, channels, height, width], rois
// [count, 5] (image, x1, y1, x2, y2), out [count, channels, rows, columns]. Transposed it reads
// out and adds to image. `taps` has room for per_roi samples of each region.
struct RoiAlignArgs {
  void *image, *out;
  const double* rois;
  RoiTap* taps;
  int64_t count, channels, height, width, rows, columns, per_roi;
  int64_t ratio;  // samples of a cell to a side; 0: as many as it has pixels
  double scale;
  bool aligned, transposed, is_double;
};
inline Kernel<void(const RoiAlignArgs&)> roi_align_kernel{"roi_align"};

}  // namespace flambeau
