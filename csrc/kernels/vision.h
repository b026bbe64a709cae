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
// The samples of a cell along an axis.
struct RoiCell {
  const RoiTap* taps;
  int64_t count;
};

// Samples in the cells of regions: image [batch, ., height, width], out [count, channels, rows,
// columns]; `images` and `cells` (rows, then columns) tell of each region. `own`: the image has
// channels for each cell, [channels, rows, columns] of them.
struct RoiArgs {
  void *image, *out;
  const int64_t* images;
  const RoiCell* cells;
  int64_t count, channels, height, width, rows, columns;
  bool own, is_double;
};
// Their means; transposed it reads out and adds to image.
inline Kernel<void(const RoiArgs&, bool transposed)> roi_mean_kernel{"roi_mean"};
// Where in the whole image the greatest of the low pixels is, as int64; -1 in a cell without any.
inline Kernel<void(const RoiArgs&)> roi_argmax_kernel{"roi_argmax"};

}  // namespace flambeau
