// Resizing: each result along a dimension is a weighted sum of neighbours, so that the gradient is
// the transposed map. nn/functional/_resize.py has the arguments as users give them.
#include <algorithm>
#include <cmath>

#include "windows.h"

namespace flambeau {
namespace {

enum class Filter {
  nearest,
  nearest_exact,
  linear,
  cubic,
  linear_smooth,
  cubic_smooth,
  box_smooth,
  lanczos_smooth
};

// One dimension. Places and weights are computed in T, PyTorch's type for it: in float32 they are
// off by up to half a unit in the last place of the coordinate, and programs compare results.
template <class T>
struct Target {
  int64_t in, out;
  double scale;  // asked for, or 0
  bool align_corners;
  // How far to step in the input for one step in the output.
  T ratio() const {
    if (align_corners) return out > 1 ? static_cast<T>(in - 1) / static_cast<T>(out - 1) : T(0);
    return scale > 0 ? static_cast<T>(1 / scale) : static_cast<T>(in) / static_cast<T>(out);
  }
  T place(int64_t o) const {
    const T i = static_cast<T>(o);
    return align_corners ? i * ratio() : std::fma(ratio(), i + T(0.5), T(-0.5));
  }
};

template <class T>
Axis nearest_axis(Target<T> t, bool exact) {
  Axis a(t.in, t.out);
  a.start.clear(), a.count.clear();
  t.align_corners = false;
  const T ratio = t.ratio();
  for (int64_t o = 0; o < t.out; ++o) {
    const T at = (static_cast<T>(o) + (exact ? T(0.5) : T(0))) * ratio;
    const float low = std::floor(static_cast<float>(at));
    a.add(std::clamp<int64_t>(static_cast<int64_t>(low), 0, t.in - 1), 1);
  }
  return a;
}

// Neighbours beyond the edge are the edge: their weights are added to its.
template <class T>
void add_clamped(Axis& a, int64_t from, const T* weights, int64_t n) {
  const int64_t first = std::clamp<int64_t>(from, 0, a.in - 1);
  const int64_t end = std::clamp<int64_t>(from + n - 1, 0, a.in - 1) + 1;
  const size_t base = a.weights.size();
  a.add(first, end - first);
  a.weights.resize(base + static_cast<size_t>(end - first));
  for (int64_t k = 0; k < n; ++k) {
    const int64_t at = std::clamp<int64_t>(from + k, 0, a.in - 1);
    a.weights[base + static_cast<size_t>(at - first)] += weights[k];
  }
}

// Keys' cubic convolution kernel with its one parameter.
template <class T>
T cubic(T x, T a) {
  x = std::abs(x);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : T(0);
}

template <class T>
Axis tapped_axis(const Target<T>& t, bool is_cubic) {
  Axis a(t.in, t.out);
  a.start.clear(), a.count.clear();
  a.from_second = !is_cubic;
  for (int64_t o = 0; o < t.out; ++o) {
    const T at = is_cubic ? t.place(o) : std::max(t.place(o), T(0)), low = std::floor(at);
    const T f = at - low, sharp = T(-0.75);
    const auto from = static_cast<int64_t>(low);
    if (is_cubic) {
      const T w[] = {cubic(f + 1, sharp), cubic(f, sharp), cubic(1 - f, sharp),
                     cubic(2 - f, sharp)};
      add_clamped(a, from - 1, w, 4);
    } else {
      const T w[] = {1 - f, f};
      add_clamped(a, from, w, 2);
    }
  }
  return a;
}

template <class T>
T sinc(T x) {
  x *= T(M_PI);
  return x == 0 ? T(1) : std::sin(x) / x;
}

// A filter of unit reach, and how far it reaches.
template <class T>
T filtered(Filter f, T x) {
  const T far = std::abs(x);
  switch (f) {
    case Filter::cubic_smooth: return cubic(x, T(-0.5));
    case Filter::box_smooth: return x > T(-0.5) && x <= T(0.5) ? 1 : 0;
    case Filter::lanczos_smooth: return x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0;
    default: return std::max(T(0), 1 - far);
  }
}
template <class T>
T reach(Filter f) {
  if (f == Filter::cubic_smooth) return 2;
  return f == Filter::box_smooth ? T(0.5) : f == Filter::lanczos_smooth ? T(3) : T(1);
}

// A filter whose support grows with the reduction, so that nothing is skipped.
template <class T>
Axis smooth_axis(const Target<T>& t, Filter f) {
  Axis a(t.in, t.out);
  a.start.clear(), a.count.clear();
  const T half = T(0.5), ratio = t.ratio(), stretch = std::max(ratio, T(1)), shrink = 1 / stretch;
  const T support = reach<T>(f) * stretch;
  for (int64_t o = 0; o < t.out; ++o) {
    const T center = (static_cast<T>(o) + half) * ratio;
    const auto first = std::max<int64_t>(static_cast<int64_t>(center - support + half), 0);
    const auto end = std::min<int64_t>(static_cast<int64_t>(center + support + half), t.in);
    std::vector<T> weights;
    T total = 0;
    for (int64_t i = first; i < end; ++i) {
      const T x = (static_cast<T>(i) - center + half) * shrink;
      weights.push_back(filtered(f, x));
      total += weights.back();
    }
    for (T w : weights) a.weights.push_back(total != 0 ? w / total : w);
    a.add(std::min(first, t.in - 1), std::max<int64_t>(end - first, 0));
  }
  return a;
}

template <class T>
Axis axis_of(Filter f, const Target<T>& t) {
  switch (f) {
    case Filter::nearest: return nearest_axis(t, false);
    case Filter::nearest_exact: return nearest_axis(t, true);
    case Filter::linear: return tapped_axis(t, false);
    case Filter::cubic: return tapped_axis(t, true);
    default: return smooth_axis(t, f);
  }
}

// Every result is one number of the input, given by the axes' starts.
Tensor pick(const Tensor& x, const std::vector<Axis>& axes) {
  check(!is_complex(x.dtype()) && x.dtype() != DType::boolean, "resizing is not implemented for ",
        x.dtype());
  const auto dims = static_cast<int64_t>(axes.size()), lead = x.dim() - dims;
  const auto format = dims == 3 ? MemoryFormat::channels_last_3d : MemoryFormat::channels_last;
  const bool pixels = lead == 2 && dims >= 2 && !x.is_contiguous() && x.is_contiguous(format);
  const Tensor in = pixels ? x : x.contiguous_raw();
  Ints shape = x.sizes();
  for (int64_t d = 0; d < dims; ++d) shape[lead + d] = axes[static_cast<size_t>(d)].out;
  const Tensor out = pixels ? empty_strided(shape, channels_last_strides(shape), x.options())
                            : empty(shape, x.options());
  if (!out.numel()) return out;
  const Axis& last = axes.back();
  std::vector<int64_t> rows{0};
  int64_t rows_in = 1;
  for (int64_t d = 0; d + 1 < dims; ++d) {
    const Axis& a = axes[static_cast<size_t>(d)];
    std::vector<int64_t> next;
    for (int64_t r : rows)
      for (int64_t s : a.start) next.push_back(r * a.in + s);
    rows.swap(next), rows_in *= a.in;
  }
  check(last.in <= INT32_MAX, "resizing: a line of ", last.in, " numbers is too long");
  const std::vector<int32_t> columns(last.start.begin(), last.start.end());
  bool doubled = last.out == 2 * last.in;
  for (int64_t c = 0; doubled && c < last.out; ++c)
    doubled = last.start[static_cast<size_t>(c)] == c / 2;
  const int64_t item = static_cast<int64_t>(itemsize(x.dtype())) * (pixels ? x.size(1) : 1);
  const auto count = static_cast<int64_t>(rows.size());
  pick_kernel(x.device_type(),
              {.in = in.data(),
               .out = out.data(),
               .planes = in.numel() / (rows_in * last.in * (pixels ? x.size(1) : 1)),
               .rows_in = rows_in,
               .columns_in = last.in,
               .rows = count,
               .columns = last.out,
               .size = item,
               .row = rows.data(),
               .column = columns.data(),
               .doubled = doubled});
  return out;
}

template <Filter filter>
Tensor resize(const Tensor& x, const Ints& size, bool align_corners,
              const std::vector<double>& scales, bool transposed) {
  check(x.dim() >= static_cast<int64_t>(size.size()) + 1 && scales.size() == size.size(),
        "resizing to ", size, ": got an input of shape ", x.sizes());
  constexpr bool is_nearest = filter == Filter::nearest || filter == Filter::nearest_exact;
  const bool as_image = x.dtype() == DType::uint8 && !is_nearest;
  std::vector<Axis> axes;
  for (size_t d = 0; d < size.size(); ++d) {
    const int64_t here = x.sizes()[static_cast<size_t>(x.dim()) - size.size() + d];
    check(here > 0 && size[d] > 0,
          "Input and output sizes should be greater than 0, but got input ", x.sizes(),
          " and output ", size);
    if (x.is_meta()) {  // the shape alone, however long
      axes.emplace_back(1, 1);
      axes.back().in = here, axes.back().out = size[d];
      continue;
    }
    const int64_t in = transposed ? size[d] : here, out = transposed ? here : size[d];
    const Axis a = as_image || x.dtype() == DType::float64
                       ? axis_of<double>(filter, {in, out, scales[d], align_corners})
                       : axis_of<float>(filter, {in, out, scales[d], align_corners});
    axes.push_back(transposed ? a.transposed() : a);
  }
  if (as_image && x.dim() == 4 && !x.is_meta()) return resize_bytes(x, axes, 0);
  if (is_nearest && !transposed && !x.is_meta()) return pick(x, axes);
  return run_windows(x, axes);
}

// As Pillow resizes its images, bit for bit: weights of 22 bits.
Tensor resize_pixels(const Tensor& x, const Ints& size, const std::string& filter) {
  const Filter f = filter == "bilinear"  ? Filter::linear_smooth
                   : filter == "bicubic" ? Filter::cubic_smooth
                   : filter == "box"     ? Filter::box_smooth
                                         : Filter::lanczos_smooth;
  check(x.dim() == 4 && size.size() == 2 && size[0] > 0 && size[1] > 0 && x.numel() > 0,
        "resizing to ", size, ": got pixels of shape ", x.sizes());
  std::vector<Axis> axes;
  for (int64_t d = 0; d < 2; ++d)
    axes.push_back(axis_of<double>(f, {x.size(2 + d), size[static_cast<size_t>(d)], 0, false}));
  return resize_bytes(x, axes, 22);
}

void back(const OpCall& again, Backward& b) {
  const Ints& sizes = b.sizes(0);
  const size_t dims = b.arg(1).as_ints().size();
  b.set(0, again(b.grad(), Ints(IntSpan(sizes.data() + sizes.size() - dims, dims)), b.arg(2),
                 b.arg(3), !b.arg(4).as_bool()));
}

}  // namespace

#define RESIZE(name, filter_, node_)                                 \
  {.schema = name                                                    \
   "(Tensor input, int[] size, bool align_corners, float[] scales, " \
   "bool transposed) -> Tensor",                                     \
   .forward = native<resize<Filter::filter_>>,                       \
   .backward =                                                       \
       [](Backward& b) {                                             \
         static const OpCall again(name);                            \
         back(again, b);                                             \
       },                                                            \
   .flags = kInternal,                                               \
   .node = node_ "Backward0",                                        \
   .doc = "The last dimensions resized, or the gradient of that."}

FLAMBEAU_OPS({
    RESIZE("_upsample_nearest1d", nearest, "UpsampleNearest1D"),
    RESIZE("_upsample_nearest2d", nearest, "UpsampleNearest2D"),
    RESIZE("_upsample_nearest3d", nearest, "UpsampleNearest3D"),
    RESIZE("_upsample_nearest_exact1d", nearest_exact, "UpsampleNearestExact1D"),
    RESIZE("_upsample_nearest_exact2d", nearest_exact, "UpsampleNearestExact2D"),
    RESIZE("_upsample_nearest_exact3d", nearest_exact, "UpsampleNearestExact3D"),
    RESIZE("_upsample_linear1d", linear, "UpsampleLinear1D"),
    RESIZE("_upsample_bilinear2d", linear, "UpsampleBilinear2D"),
    RESIZE("_upsample_trilinear3d", linear, "UpsampleTrilinear3D"),
    RESIZE("_upsample_bicubic2d", cubic, "UpsampleBicubic2D"),
    RESIZE("_upsample_bilinear2d_aa", linear_smooth, "UpsampleBilinear2DAa"),
    RESIZE("_upsample_bicubic2d_aa", cubic_smooth, "UpsampleBicubic2DAa"),
    {.schema = "_resize_pixels(Tensor input, int[] size, str filter) -> Tensor",
     .forward = native<resize_pixels>,
     .flags = kInternal | kNotDifferentiable,
     .doc = "Images of bytes [N, C, H, W] in another size, rounded as Pillow does."},
});

}  // namespace flambeau
