// Max pooling and where the maxima stand; its geometry is checked in nn/functional/_window.py.
#include "../kernels/pool.h"

#include "../op.h"

namespace flambeau {
namespace {

std::tuple<Tensor, Tensor> max_pool(const Tensor& input, const Ints& size, const Ints& kernel,
                                    const Ints& stride, const Ints& padding, const Ints& dilation) {
  const int64_t dims = static_cast<int64_t>(size.size());
  check(dims >= 1 && dims <= 3 && input.dim() >= dims && dims == int64_t(kernel.size()) &&
            dims == int64_t(stride.size()) && dims == int64_t(padding.size()) &&
            dims == int64_t(dilation.size()),
        "max_pool(): windows of ", dims, " dimensions over an input of shape ", input.sizes());
  check(input.dtype() == DType::float32 || input.dtype() == DType::float64,
        "max_pool(): want float32 or float64, got ", input.dtype());
  Tensor x = input.contiguous_raw();
  Ints shape = input.sizes();
  MaxPoolArgs a{};
  a.planes = 1;
  for (int64_t d = 0; d < input.dim() - dims; ++d) a.planes *= shape[d];
  for (int d = 0; d < 3; ++d) {
    const int64_t from = d - (3 - dims);
    const bool there = from >= 0;
    a.in[d] = there ? shape[input.dim() - dims + from] : 1;
    a.size[d] = there ? size[from] : 1;
    a.kernel[d] = there ? kernel[from] : 1;
    a.stride[d] = there ? stride[from] : 1;
    a.padding[d] = there ? padding[from] : 0;
    a.dilation[d] = there ? dilation[from] : 1;
    // Every window must hold an element: that makes each place a valid one.
    const int64_t last = (a.size[d] - 1) * a.stride[d] - a.padding[d];
    check(a.size[d] >= 0 && a.kernel[d] > 0 && a.stride[d] > 0 && a.dilation[d] > 0 &&
              a.padding[d] >= 0 && last < a.in[d] &&
              (a.kernel[d] - 1) * a.dilation[d] >= a.padding[d],
          "max_pool(): a window lies outside of the input of shape ", shape);
    if (there) shape[input.dim() - dims + from] = size[from];
  }
  Tensor out = empty(shape, input.options());
  Tensor places = empty(shape, input.options(DType::int64));
  if (out.numel() == 0 || out.is_meta()) return {out, places};
  a.input = x.data();
  a.out = out.data();
  a.places = places.data<int64_t>();
  a.is_double = input.dtype() == DType::float64;
  max_pool_kernel(input.device_type(), a);
  return {out, places};
}

void max_pool_back(Backward& b) {
  static const OpCall scatter_add("scatter_add"), reshape("reshape");
  const Tensor g = b.grad();
  const Ints& shape = b.sizes(0);
  const auto dims = static_cast<int64_t>(b.arg(1).as_ints().size());
  Ints lead, flat;
  for (int64_t d = 0; d < static_cast<int64_t>(shape.size()) - dims; ++d) lead.push_back(shape[d]);
  flat = lead;
  flat.push_back(-1);
  int64_t volume = 1;
  for (auto d = static_cast<int64_t>(lead.size()); d < static_cast<int64_t>(shape.size()); ++d)
    volume *= shape[d];
  lead.push_back(volume);
  if (product(shape) == 0 || g.numel() == 0) return b.set(0, zeros(shape, g.options()));
  Tensor sum =
      scatter_add(zeros(lead, g.options()), int64_t(-1), reshape(b.out(1), flat), reshape(g, flat));
  b.set(0, reshape(sum, shape));
}

FLAMBEAU_OPS{
    {.schema = "_max_pool(Tensor input, int[] size, int[] kernel, int[] stride, int[] padding, "
               "int[] dilation) -> (Tensor, Tensor)",
     .forward = native<max_pool>,
     .backward = max_pool_back,
     .saves = "result1",
     .flags = kInternal,
     .node = "MaxPoolBackward0",
     .doc = "The largest value of each window, and where in its plane it stands."},
};

}  // namespace
}  // namespace flambeau
