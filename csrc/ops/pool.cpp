// Average and max pooling of one to three dimensions, over even and over adaptive windows.
#include <algorithm>

#include "../stored.h"
#include "windows.h"

namespace flambeau {
namespace {

const OpCall call_add_at("_add_at_places"), call_gather("gather"), call_reshape("reshape"),
    call_to("to");

constexpr const char* kAvg[] = {"", "_avg_pool1d", "_avg_pool2d", "_avg_pool3d"};
constexpr const char* kAdaptive[] = {"", "_adaptive_avg_pool1d", "_adaptive_avg_pool2d",
                                     "_adaptive_avg_pool3d"};
constexpr const char* kAdaptiveMax[] = {"", "_adaptive_max_pool1d", "_adaptive_max_pool2d",
                                        "_adaptive_max_pool3d"};
constexpr const char* kMax[] = {"", "_max_pool1d", "_max_pool2d", "_max_pool3d"};

Ints last(const Ints& sizes, int64_t dims) {
  return Ints(
      IntSpan(sizes.data() + sizes.size() - static_cast<size_t>(dims), static_cast<size_t>(dims)));
}

// -- geometry -------------------------------------------------------------------------------------
struct Pooling {
  Ints kernel, stride, padding, dilation, size;  // size: of the output
};

Ints expand(const Ints& v, int64_t dims, const char* op, const char* name) {
  if (v.size() == 1) return Ints(static_cast<size_t>(dims), v[0]);
  check(static_cast<int64_t>(v.size()) == dims, op, "(): ", name, " must be one int, or a list of ",
        dims, " ints, but got ", v);
  return v;
}

void check_input(const Tensor& x, int64_t dims, const char* op) {
  bool fits = x.dim() == dims + 1 || x.dim() == dims + 2;
  for (int64_t d = x.dim() == dims + 2; fits && d < x.dim(); ++d) fits = x.sizes()[d] > 0;
  check(fits, op, "(): Expected ", dims + 1, "D or ", dims + 2,
        "D (batch mode) tensor with optional 0 dim batch size for input, but got: ", x.sizes());
}

int64_t output_size(int64_t n, int64_t k, int64_t s, int64_t p, int64_t d, bool ceil) {
  const int64_t room = n + 2 * p - d * (k - 1) - 1 + (ceil ? s - 1 : 0);
  int64_t out = (room >= 0 ? room / s : -((-room + s - 1) / s)) + 1;
  // Windows begin inside the input or its left padding.
  if (ceil && (out - 1) * s >= n + p) --out;
  return out;
}

Pooling pooling(const Tensor& x, const Ints& kernel, const std::optional<Ints>& stride,
                const Ints& padding, const Ints& dilation, bool ceil, int64_t dims,
                const char* op) {
  Pooling g;
  g.kernel = expand(kernel, dims, op, "kernel_size");
  g.stride = g.kernel;
  if (stride && !stride->empty()) g.stride = expand(*stride, dims, op, "stride");
  g.padding = expand(padding, dims, op, "padding");
  g.dilation = expand(dilation, dims, op, "dilation");
  for (size_t d = 0; d < g.kernel.size(); ++d) {
    const int64_t k = g.kernel[d], p = g.padding[d];
    check(k > 0, op, "(): kernel size should be greater than zero, but got ", k);
    check(g.stride[d] > 0, op, "(): stride should be greater than zero, but got ", g.stride[d]);
    check(g.dilation[d] > 0, op, "(): dilation should be greater than zero, but got ",
          g.dilation[d]);
    check(p >= 0, "pad must be non-negative, but got pad: ", p);
    check(p <= ((k - 1) * g.dilation[d] + 1) / 2,
          "pad should be at most half of effective kernel size, but got pad=", p,
          ", kernel_size=", k, " and dilation=", g.dilation[d]);
  }
  check_input(x, dims, op);
  const Ints in = last(x.sizes(), dims);
  for (size_t d = 0; d < in.size(); ++d)
    g.size.push_back(
        output_size(in[d], g.kernel[d], g.stride[d], g.padding[d], g.dilation[d], ceil));
  for (int64_t n : g.size)
    check(n >= 1, "Given input size: ", in, ". Calculated output size: ", g.size,
          ". Output size is too small");
  return g;
}

Axis adaptive_axis(int64_t in, int64_t out) {
  if (out > 0 && in % out == 0) return pooled(in, out, in / out, in / out, 0, 1);
  Axis a(in, out);
  a.start.clear(), a.count.clear();
  for (int64_t o = 0; o < out; ++o) {
    const int64_t begin = o * in / out;
    a.add(begin, ((o + 1) * in + out - 1) / out - begin);
  }
  return a;
}

// Windows that an operator is given directly: one of each number for every dimension.
void check_windows(const Tensor& x, const Ints& size, std::initializer_list<const Ints*> windows) {
  const auto dims = static_cast<int64_t>(size.size());
  bool fits = dims >= 1 && dims <= 3 && x.dim() >= dims;
  for (int64_t n : size) fits = fits && n >= 0;
  for (const Ints* w : windows) fits = fits && w->size() == size.size();
  check(fits, "pooling: windows of ", dims, " dimensions over an input of shape ", x.sizes());
}
void check_steps(const Pooling& g) {
  for (size_t d = 0; d < g.kernel.size(); ++d)
    check(g.kernel[d] > 0 && g.stride[d] > 0 && g.dilation[d] > 0 && g.padding[d] >= 0,
          "pooling: kernel ", g.kernel, ", stride ", g.stride, ", dilation ", g.dilation,
          " and padding ", g.padding);
}

// -- averages: a linear map, whose gradient is its transpose --------------------------------------
Axis average_axis(int64_t in, int64_t out, int64_t k, int64_t s, int64_t p, bool include_pad,
                  bool divide) {
  Axis a = pooled(in, out, k, s, p, 1);
  if (!divide) return a;
  for (int64_t o = 0; o < out; ++o) {
    const int64_t begin = o * s - p, end = std::min(begin + k, in + p);
    const int64_t n = include_pad ? end - begin : a.count[static_cast<size_t>(o)];
    a.divisor.push_back(static_cast<double>(n));
  }
  return a;
}

Tensor average(const Tensor& x, const Ints& size, const Ints& kernel, const Ints& stride,
               const Ints& padding, bool include_pad, int64_t divisor, bool transposed) {
  check_windows(x, size, {&kernel, &stride, &padding});
  check_steps({kernel, stride, padding, Ints(size.size(), 1), size});
  const auto dims = static_cast<int64_t>(size.size());
  std::vector<Axis> axes;
  for (size_t d = 0; d < size.size(); ++d) {
    const int64_t here = x.sizes()[static_cast<size_t>(x.dim() - dims) + d];
    const int64_t in = transposed ? size[d] : here, out = transposed ? here : size[d];
    const Axis a =
        average_axis(in, out, kernel[d], stride[d], padding[d], include_pad, divisor == 0);
    axes.push_back(transposed ? a.transposed() : a);
  }
  return run_windows(x, axes, divisor ? static_cast<double>(divisor) : 1);
}

template <int dims>
void average_back(Backward& b) {
  static const OpCall again(kAvg[dims]);
  b.set(0, again(b.grad(), last(b.sizes(0), dims), b.arg(2), b.arg(3), b.arg(4), b.arg(5), b.arg(6),
                 !b.arg(7).as_bool()));
}

template <int dims>
Tensor avg_pool(const Tensor& input, const Ints& kernel, const std::optional<Ints>& stride,
                const Ints& padding, bool ceil, bool include_pad, std::optional<int64_t> divisor) {
  static const OpCall pool(kAvg[dims]);
  const Pooling g = pooling(input, kernel, stride, padding, Ints{1}, ceil, dims, kAvg[dims] + 1);
  check(!divisor || *divisor != 0, "divisor must be not zero");
  check_implemented(is_floating(input.dtype()) || input.dtype() == DType::int64, kAvg[dims] + 1,
                    input.dtype());
  return pool(input, g.size, g.kernel, g.stride, g.padding, include_pad, divisor.value_or(0),
              false);
}
Tensor avg_pool1d(const Tensor& input, const Ints& kernel, const std::optional<Ints>& stride,
                  const Ints& padding, bool ceil, bool include_pad) {
  return avg_pool<1>(input, kernel, stride, padding, ceil, include_pad, std::nullopt);
}

Tensor adaptive_average(const Tensor& x, const Ints& size, bool transposed) {
  check_windows(x, size, {});
  const auto dims = static_cast<int64_t>(size.size());
  bool whole = !transposed && is_floating(x.dtype()) && x.is_contiguous() && x.numel() > 0;
  for (int64_t n : size) whole = whole && n == 1;
  if (whole) {
    static const OpCall mean("mean");
    Ints inner;
    for (int64_t d = x.dim() - dims; d < x.dim(); ++d) inner.push_back(d);
    return mean(x, inner, true);
  }
  std::vector<Axis> axes;
  for (size_t d = 0; d < size.size(); ++d) {
    const int64_t here = x.sizes()[static_cast<size_t>(x.dim() - dims) + d];
    Axis a = transposed ? adaptive_axis(size[d], here) : adaptive_axis(here, size[d]);
    for (int64_t n : a.count) a.divisor.push_back(static_cast<double>(n));
    axes.push_back(transposed ? a.transposed() : a);
  }
  return run_windows(x, axes);
}

template <int dims>
void adaptive_average_back(Backward& b) {
  static const OpCall again(kAdaptive[dims]);
  b.set(0, again(b.grad(), last(b.sizes(0), dims), !b.arg(2).as_bool()));
}

// -- maxima ---------------------------------------------------------------------------------------
std::vector<Axis> max_axes(const Tensor& x, const Pooling& g) {
  std::vector<Axis> axes;
  const size_t lead = static_cast<size_t>(x.dim()) - g.size.size();
  for (size_t d = 0; d < g.size.size(); ++d)
    axes.push_back(pooled(x.sizes()[lead + d], g.size[d], g.kernel[d], g.stride[d], g.padding[d],
                          g.dilation[d]));
  return axes;
}

std::tuple<Tensor, Tensor> maxima(const Tensor& x, const Ints& size, const Ints& kernel,
                                  const Ints& stride, const Ints& padding, const Ints& dilation) {
  check_windows(x, size, {&kernel, &stride, &padding, &dilation});
  const Pooling g{kernel, stride, padding, dilation, size};
  check_steps(g);
  return run_max_windows(x, max_axes(x, g), true);
}

std::vector<Axis> adaptive_axes(const Tensor& x, const Ints& size) {
  check_windows(x, size, {});
  std::vector<Axis> axes;
  const size_t lead = static_cast<size_t>(x.dim()) - size.size();
  for (size_t d = 0; d < size.size(); ++d)
    axes.push_back(adaptive_axis(x.sizes()[lead + d], size[d]));
  return axes;
}
std::tuple<Tensor, Tensor> adaptive_maxima(const Tensor& x, const Ints& size) {
  return run_max_windows(x, adaptive_axes(x, size), true);
}

// Where no gradient is wanted, nobody asks for the places.
bool without_places(const Tensor& x) {
  return !modes().transforms && (!modes().grad || !x.requires_grad());
}

void maxima_back(Backward& b) {
  const auto dims = static_cast<int64_t>(b.arg(1).as_ints().size());
  b.set(0, call_add_at(b.grad(), b.out(1), b.sizes(0), dims));
}

void add_at_places_back(Backward& b) {
  const Ints shape = b.arg(2).as_ints();
  const int64_t dims = b.arg(3).as_int();
  Ints flat(IntSpan(shape.data(), shape.size() - static_cast<size_t>(dims)));
  flat.push_back(-1);
  const Tensor at = call_to(b.in(1), DType::int64);
  const Tensor picked =
      call_gather(call_reshape(b.grad(), flat), int64_t(-1), call_reshape(at, flat));
  b.set(0, call_reshape(picked, b.sizes(0)));
}

template <int dims>
TensorList with_places(const Tensor& input, const Pooling& g) {
  static const OpCall pool(kMax[dims]);
  return pool.all(input, g.size, g.kernel, g.stride, g.padding, g.dilation);
}

template <int dims>
Tensor max_pool(const Tensor& input, const Ints& kernel, const std::optional<Ints>& stride,
                const Ints& padding, const Ints& dilation, bool ceil) {
  const Pooling g = pooling(input, kernel, stride, padding, dilation, ceil, dims, kMax[dims] + 1);
  if (without_places(input)) return std::get<0>(run_max_windows(input, max_axes(input, g), false));
  return with_places<dims>(input, g)[0];
}

template <int dims>
Tensor adaptive_max(const Tensor& input, const Ints& size) {
  static const OpCall pool(kAdaptiveMax[dims]);
  if (without_places(input))
    return std::get<0>(run_max_windows(input, adaptive_axes(input, size), false));
  return pool.all(input, size)[0];
}

template <int dims>
std::tuple<Tensor, Tensor> max_pool_with_indices(const Tensor& input, const Ints& kernel,
                                                 const std::optional<Ints>& stride,
                                                 const Ints& padding, const Ints& dilation,
                                                 bool ceil) {
  const TensorList both = with_places<dims>(
      input, pooling(input, kernel, stride, padding, dilation, ceil, dims, kMax[dims] + 1));
  return {both[0], both[1].to_raw(DType::int64)};
}

}  // namespace

#define AVERAGE(n)                                                                                 \
  {.schema = "_avg_pool" #n                                                                        \
             "d(Tensor input, int[] size, int[] kernel, int[] stride, int[] padding, "             \
             "bool include_pad, int divisor, bool transposed) -> Tensor",                          \
   .forward = native<average>,                                                                     \
   .backward = average_back<n>,                                                                    \
   .flags = kInternal,                                                                             \
   .node = "AvgPool" #n "DBackward0",                                                              \
   .doc = "The mean of each window, or the gradient of that."},                                    \
      {.schema = "_adaptive_avg_pool" #n "d(Tensor input, int[] size, bool transposed) -> Tensor", \
       .forward = native<adaptive_average>,                                                        \
       .backward = adaptive_average_back<n>,                                                       \
       .flags = kInternal,                                                                         \
       .node = "AdaptiveAvgPool" #n "DBackward0",                                                  \
       .doc = "The means of as many windows as the output is to have, or their gradient."}

#define MAXIMUM(n)                                                                             \
  {.schema = "_max_pool" #n                                                                    \
             "d(Tensor input, int[] size, int[] kernel, int[] stride, int[] padding, "         \
             "int[] dilation) -> (Tensor, Tensor)",                                            \
   .forward = native<maxima>,                                                                  \
   .backward = maxima_back,                                                                    \
   .saves = "result1",                                                                         \
   .flags = kInternal,                                                                         \
   .node = "MaxPool" #n "DWithIndicesBackward0",                                               \
   .doc = "The largest value of each window, and where in its plane it stands."},              \
      {.schema = "_adaptive_max_pool" #n "d(Tensor input, int[] size) -> (Tensor, Tensor)",    \
       .forward = native<adaptive_maxima>,                                                     \
       .backward = maxima_back,                                                                \
       .saves = "result1",                                                                     \
       .flags = kInternal,                                                                     \
       .node = "AdaptiveMaxPool" #n "DBackward0",                                              \
       .doc = "The largest values of as many windows as the output is to have, and where."},   \
      {.schema = "_adaptive_max_values" #n "d(Tensor input, int[] size) -> Tensor",            \
       .forward = native<adaptive_max<n>>,                                                     \
       .flags = kComposite | kInternal,                                                        \
       .doc = "The largest values of as many windows as the output is to have."},              \
      {.schema = "max_pool" #n "d(Tensor input, int[" #n "] kernel_size, int[" #n              \
                 "]? stride=None, int[" #n "] padding=0, int[" #n                              \
                 "] dilation=1, bool ceil_mode=False) -> Tensor",                              \
       .forward = native<max_pool<n>>,                                                         \
       .flags = kComposite | kNoMethod,                                                        \
       .doc = "The largest value of each window. Input (N, C, *) or (C, *), with " #n          \
              " spatial dimensions; the padding counts as minus infinity."},                   \
      {.schema = "max_pool" #n "d_with_indices(Tensor input, int[" #n "] kernel_size, int[" #n \
                 "]? stride=None, int[" #n "] padding=0, int[" #n                              \
                 "] dilation=1, bool ceil_mode=False) -> (Tensor, Tensor)",                    \
       .forward = native<max_pool_with_indices<n>>,                                            \
       .flags = kComposite | kNoMethod,                                                        \
       .doc = "The largest value of each window, and where in its plane it stands."}

#define AVERAGES(n)                                                                         \
  {.schema = "nn.functional.avg_pool" #n "d(Tensor input, int[" #n "] kernel_size, int[" #n \
             "]? stride=None, int[" #n                                                      \
             "] padding=0, bool ceil_mode=False, bool count_include_pad=True, "             \
             "int? divisor_override=None) -> Tensor",                                       \
   .forward = native<avg_pool<n>>,                                                          \
   .flags = kComposite | kNoMethod,                                                         \
   .doc = "The mean of each window. Input (N, C, *) or (C, *), with " #n " spatial dimensions."}

FLAMBEAU_OPS({
    AVERAGE(1),
    AVERAGE(2),
    AVERAGE(3),
    MAXIMUM(1),
    MAXIMUM(2),
    MAXIMUM(3),
    AVERAGES(2),
    AVERAGES(3),
    {.schema = "avg_pool1d(Tensor input, int[1] kernel_size, int[1]? stride=None, "
               "int[1] padding=0, bool ceil_mode=False, bool count_include_pad=True) -> Tensor",
     .forward = native<avg_pool1d>,
     .flags = kComposite | kNoMethod,
     .doc = "The mean of each window over the last dimension of (N, C, L) or (C, L)."},
    {.schema = "nn.functional.avg_pool1d(Tensor input, int[1] kernel_size, int[1]? stride=None, "
               "int[1] padding=0, bool ceil_mode=False, bool count_include_pad=True) -> Tensor",
     .alias = "avg_pool1d"},
    {.schema = "_add_at_places(Tensor grad, Tensor places, int[] shape, int dims) -> Tensor",
     .forward = native<add_at_places>,
     .backward = add_at_places_back,
     .saves = "places",
     .flags = kInternal,
     .node = "MaxPoolBackwardBackward0",
     .doc = "Zeros of a shape with each number added at its place in its plane."},
});

}  // namespace flambeau
