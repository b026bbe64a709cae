// Operators of vision models: overlapping boxes removed, regions of feature maps.
#include "../kernels/vision.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "../op.h"

namespace flambeau {
namespace {

Tensor nms(const Tensor& boxes, const Tensor& scores, double threshold) {
  static const OpCall argsort("argsort"), index_select("index_select");
  check(boxes.dim() == 2 && boxes.size(1) == 4, "nms(): boxes should be [N, 4], got shape ",
        boxes.sizes());
  check(scores.dim() == 1 && scores.size(0) == boxes.size(0), "nms(): scores of shape ",
        scores.sizes(), " for boxes of shape ", boxes.sizes());
  Tensor order = argsort(scores, int64_t{0}, true, true);
  const int64_t n = boxes.size(0);
  if (n == 0 || boxes.is_meta()) return order;
  Tensor sorted = index_select(boxes.to_raw(DType::float64), int64_t{0}, order);
  sorted = sorted.contiguous_raw();
  Tensor areas = empty(Ints{n}, sorted.options()),
         keep = empty(Ints{n}, sorted.options(DType::uint8));
  nms_kernel(boxes.device_type(), {.boxes = sorted.data<double>(),
                                   .areas = areas.data<double>(),
                                   .keep = keep.data<uint8_t>(),
                                   .n = n,
                                   .threshold = threshold});
  int64_t kept = 0, *places = order.data<int64_t>();
  for (int64_t i = 0; i < n; ++i)
    if (keep.data<uint8_t>()[i]) places[kept++] = places[i];
  static const OpCall narrow("narrow");
  return narrow(order, int64_t{0}, int64_t{0}, kept);
}

// How regions [K, 5] (image, x1, y1, x2, y2) are cut into cells, and the cells sampled.
struct Cutting {
  int64_t rows, columns;
  double scale;
  int64_t ratio;  // samples of a cell to a side, 0: as many as it has pixels, -1: whole pixels
  bool aligned;   // centres of pixels are their places; of whole pixels the last one counts too
};

struct Regions {
  std::vector<int64_t> images;
  std::vector<RoiCell> cells;
  std::vector<RoiTap> taps;
  std::vector<int64_t> first;  // of each cell, among the taps

  void begin_cell() { first.push_back(static_cast<int64_t>(taps.size())); }
  void finish() {
    begin_cell();
    for (size_t i = 0; i + 1 < first.size(); ++i)
      cells.push_back({taps.data() + first[i], first[i + 1] - first[i]});
  }
};

// In the regions' own type, which decides on which side of a pixel's edge a cell ends.
template <class T>
void sample_cells(Regions& r, T low, T high, int64_t count, int64_t pixels, const Cutting& cut) {
  const T scale = static_cast<T>(cut.scale), offset = cut.aligned ? T(0.5) : T(0);
  const T start = low * scale - offset;
  const T end = high * scale - offset, edge = static_cast<T>(pixels);
  T length = end - start;
  if (!cut.aligned) length = std::fmax(length, T(1));
  const T size = length / static_cast<T>(count);
  check(std::fabs(size) < T(1e5), "roi_align(): a region is too large");
  const int64_t samples = cut.ratio > 0 ? cut.ratio : static_cast<int64_t>(std::ceil(size));
  for (int64_t i = 0; i < count; ++i) {
    r.begin_cell();
    for (int64_t s = 0; s < samples; ++s) {
      T x = start + static_cast<T>(i) * size +
            (static_cast<T>(s) + T(0.5)) * size / static_cast<T>(samples);
      // a region that was widened to one pixel does not leave the map by that
      const bool outside = x < -1 || (x > edge && end > edge);
      x = std::fmin(std::fmax(x, T(0)), edge - 1);
      const int64_t at = static_cast<int64_t>(x), next = at + 1 < pixels ? at + 1 : at;
      const double rest = x - static_cast<T>(at);
      r.taps.push_back({at, next, outside ? 0 : 1 - rest, outside ? 0 : rest});
    }
  }
}

template <class T>
void whole_cells(Regions& r, T low, T high, int64_t count, int64_t pixels, const Cutting& cut) {
  const T scale = static_cast<T>(cut.scale);
  low = std::round(low * scale), high = std::round(high * scale);
  check(std::fabs(low) < T(1e9) && std::fabs(high) < T(1e9), "roi_pool(): a region is too large");
  const int64_t start = static_cast<int64_t>(low), more = cut.aligned ? 1 : 0;
  const int64_t length = std::max<int64_t>(static_cast<int64_t>(high) - start + more, 1);
  const T size = static_cast<T>(length) / static_cast<T>(count);
  const auto inside = [&](T x) {
    return std::clamp<int64_t>(static_cast<int64_t>(x) + start, 0, pixels - 1 + more);
  };
  for (int64_t i = 0; i < count; ++i) {
    r.begin_cell();
    const int64_t end = inside(std::ceil(static_cast<T>(i + 1) * size));
    for (int64_t x = inside(std::floor(static_cast<T>(i) * size)); x < end; ++x)
      r.taps.push_back({x, x, 1, 0});
  }
}

template <class T>
Regions regions(const Tensor& rois, const Ints& size, const Cutting& cut) {
  Regions r;
  const auto cells = cut.ratio < 0 ? whole_cells<T> : sample_cells<T>;
  for (int64_t k = 0; k < rois.size(0); ++k) {
    const T* roi = rois.data<T>() + 5 * k;
    check(roi[0] >= 0 && roi[0] < static_cast<T>(size[0]), "roi_align(): image ", roi[0],
          " of a batch of ", size[0]);
    for (int64_t i = 1; i < 5; ++i)
      check(std::isfinite(roi[i]), "roi_align(): region ", k, " is not finite");
    r.images.push_back(static_cast<int64_t>(roi[0]));
    cells(r, roi[2], roi[4], cut.rows, size[2], cut);
    cells(r, roi[1], roi[3], cut.columns, size[3], cut);
  }
  r.finish();
  return r;
}

void check_regions(const Tensor& input, const Tensor& rois, const Ints& size, const Ints& pooled) {
  check(size.size() == 4 && pooled.size() == 2, "roi_align(): input should be [N, C, H, W], got ",
        size);
  check(rois.dim() == 2 && rois.size(1) == 5, "roi_align(): rois should be [K, 5], got shape ",
        rois.sizes());
  check(input.dtype() == DType::float32 || input.dtype() == DType::float64,
        "roi_align(): input of ", input.dtype());
  check(pooled[0] > 0 && pooled[1] > 0, "roi_align(): the output size is ", pooled);
}

// Calls kernel(RoiArgs) with the regions laid out; image or out is null.
template <class F>
void with_regions(const Tensor& rois, const Ints& size, const Cutting& cut, bool own, DType dtype,
                  const F& kernel) {
  const bool is_double = dtype == DType::float64;
  const Tensor boxes = rois.to_raw(dtype).contiguous_raw();
  const Regions r =
      is_double ? regions<double>(boxes, size, cut) : regions<float>(boxes, size, cut);
  kernel({.image = nullptr,
          .out = nullptr,
          .images = r.images.data(),
          .cells = r.cells.data(),
          .count = rois.size(0),
          .channels = own ? size[1] / (cut.rows * cut.columns) : size[1],
          .height = size[2],
          .width = size[3],
          .rows = cut.rows,
          .columns = cut.columns,
          .own = own,
          .is_double = is_double});
}

// `size` is the feature maps' [batch, channels, height, width].
Tensor roi_mean(const Tensor& input, const Tensor& rois, const Ints& size, double scale,
                const Ints& pooled, int64_t ratio, bool aligned, bool own, bool transposed) {
  check_regions(input, rois, size, pooled);
  const int64_t area = pooled[0] * pooled[1];
  check(!own || size[1] % area == 0,
        "input channels must be a multiple of pooling height * pooling width");
  const Ints cells{rois.size(0), own ? size[1] / area : size[1], pooled[0], pooled[1]};
  check(input.sizes() == (transposed ? cells : size), "roi_align(): input of shape ",
        input.sizes());
  static const OpCall zeros("zeros_like");
  Tensor out = empty(transposed ? size : cells, input.options());
  if (out.is_meta()) return out;
  const bool none = out.numel() == 0 || input.numel() == 0;
  if (transposed || none) out = zeros(out);
  if (none) return out;
  Tensor given = input.contiguous_raw();
  with_regions(rois, size, {pooled[0], pooled[1], scale, ratio, aligned}, own, input.dtype(),
               [&](RoiArgs a) {
                 a.image = transposed ? out.data() : given.data();
                 a.out = transposed ? given.data() : out.data();
                 roi_mean_kernel(input.device_type(), a, transposed);
               });
  return out;
}

void roi_mean_back(Backward& b) {
  static const OpCall again("_roi_mean");
  b.set(0, again(b.grad(), b.in(1), b.arg(2), b.arg(3), b.arg(4), b.arg(5), b.arg(6), b.arg(7),
                 !b.arg(8).as_bool()));
}

Tensor roi_argmax(const Tensor& input, const Tensor& rois, double scale, const Ints& pooled) {
  check_regions(input, rois, input.sizes(), pooled);
  Tensor out =
      empty(Ints{rois.size(0), input.size(1), pooled[0], pooled[1]}, input.options(DType::int64));
  if (out.is_meta() || out.numel() == 0) return out;
  Tensor given = input.contiguous_raw();
  with_regions(rois, input.sizes(), {pooled[0], pooled[1], scale, -1, true}, false, input.dtype(),
               [&](RoiArgs a) {
                 a.image = given.data();
                 a.out = out.data();
                 roi_argmax_kernel(input.device_type(), a);
               });
  return out;
}

FLAMBEAU_OPS{
    {.schema = "_nms(Tensor boxes, Tensor scores, float iou_threshold) -> Tensor",
     .forward = native<nms>,
     .flags = kInternal | kNotDifferentiable,
     .doc = "Indices of boxes that overlap no better one by more than the threshold."},
    {.schema = "_roi_mean(Tensor input, Tensor rois, int[] size, float scale, int[] pooled, int "
               "ratio, bool aligned, bool own, bool transposed) -> Tensor",
     .forward = native<roi_mean>,
     .backward = roi_mean_back,
     .saves = "rois",
     .flags = kInternal,
     .node = "RoiAlignBackward0",
     .doc = "The means of samples in cells of regions, or the gradient of that."},
    {.schema = "_roi_argmax(Tensor input, Tensor rois, float scale, int[] pooled) -> Tensor",
     .forward = native<roi_argmax>,
     .flags = kInternal | kNotDifferentiable,
     .doc = "Where in `input` the greatest pixel of each cell of regions is; -1 without any."},
};

}  // namespace
}  // namespace flambeau
