// Operators of vision models: overlapping boxes removed, regions of feature maps.
#include "../kernels/vision.h"

#include <cmath>

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

// The most samples that a region has, down and across together.
int64_t most_samples(const double* rois, int64_t count, const RoiAlignArgs& a) {
  if (a.ratio > 0) return a.ratio * (a.rows + a.columns);
  double most = 0;
  for (int64_t k = 0; k < count; ++k) {
    const double* roi = rois + 5 * k;
    const double w = std::fmax((roi[3] - roi[1]) * a.scale, a.aligned ? 0 : 1);
    const double h = std::fmax((roi[4] - roi[2]) * a.scale, a.aligned ? 0 : 1);
    most = std::fmax(most, w + h + static_cast<double>(2 * (a.rows + a.columns)));
  }
  check(most < 1e8, "roi_align(): a region is too large");
  return static_cast<int64_t>(most) + 2;
}

// `size` is the feature maps' [batch, channels, height, width].
Tensor roi_align(const Tensor& input, const Tensor& rois, const Ints& size, double scale,
                 const Ints& pooled, int64_t ratio, bool aligned, bool transposed) {
  check(size.size() == 4 && pooled.size() == 2, "roi_align(): input should be [N, C, H, W], got ",
        size);
  check(rois.dim() == 2 && rois.size(1) == 5, "roi_align(): rois should be [K, 5], got shape ",
        rois.sizes());
  check(input.dtype() == DType::float32 || input.dtype() == DType::float64,
        "roi_align(): input of ", input.dtype());
  check(pooled[0] > 0 && pooled[1] > 0, "roi_align(): the output size is ", pooled);
  const int64_t count = rois.size(0);
  const Ints cells{count, size[1], pooled[0], pooled[1]};
  check(input.sizes() == (transposed ? cells : size), "roi_align(): input of shape ",
        input.sizes());
  static const OpCall zeros_like("zeros_like");
  Tensor out = empty(transposed ? size : cells, input.options());
  if (out.is_meta()) return out;
  if (transposed) out = zeros_like(out);
  if (out.numel() == 0 || input.numel() == 0) return transposed ? out : Tensor(zeros_like(out));
  Tensor given = input.contiguous_raw(), boxes = rois.to_raw(DType::float64).contiguous_raw();
  const double* box = boxes.data<double>();
  for (int64_t k = 0; k < count; ++k) {
    check(box[5 * k] >= 0 && box[5 * k] < static_cast<double>(size[0]), "roi_align(): image ",
          box[5 * k], " of a batch of ", size[0]);
    for (int64_t i = 1; i < 5; ++i)
      check(std::isfinite(box[5 * k + i]), "roi_align(): region ", k, " is not finite");
  }
  RoiAlignArgs a{.image = transposed ? out.data() : given.data(),
                 .out = transposed ? given.data() : out.data(),
                 .rois = box,
                 .taps = nullptr,
                 .count = count,
                 .channels = size[1],
                 .height = size[2],
                 .width = size[3],
                 .rows = pooled[0],
                 .columns = pooled[1],
                 .per_roi = 0,
                 .ratio = ratio,
                 .scale = scale,
                 .aligned = aligned,
                 .transposed = transposed,
                 .is_double = input.dtype() == DType::float64};
  a.per_roi = most_samples(box, count, a);
  const int64_t bytes = count * a.per_roi * static_cast<int64_t>(sizeof(RoiTap));
  Tensor taps = empty(Ints{bytes}, input.options(DType::uint8));
  a.taps = reinterpret_cast<RoiTap*>(taps.data());
  roi_align_kernel(input.device_type(), a);
  return out;
}

void roi_align_back(Backward& b) {
  static const OpCall again("_roi_align");
  b.set(0, again(b.grad(), b.in(1), b.arg(2), b.arg(3), b.arg(4), b.arg(5), b.arg(6),
                 !b.arg(7).as_bool()));
}

FLAMBEAU_OPS{
    {.schema = "_nms(Tensor boxes, Tensor scores, float iou_threshold) -> Tensor",
     .forward = native<nms>,
     .flags = kInternal | kNotDifferentiable,
     .doc = "Indices of boxes that overlap no better one by more than the threshold."},
    {.schema = "_roi_align(Tensor input, Tensor rois, int[] size, float scale, int[] pooled, int "
               "ratio, bool aligned, bool transposed) -> Tensor",
     .forward = native<roi_align>,
     .backward = roi_align_back,
     .saves = "rois",
     .flags = kInternal,
     .node = "RoiAlignBackward0",
     .doc = "The means of bilinear samples in cells of regions, or the gradient of that."},
};

}  // namespace
}  // namespace flambeau
