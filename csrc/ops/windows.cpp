// What pooling and resizing have in common: runs of the input for each dimension's results.
#include "windows.h"

#include <algorithm>

namespace flambeau {
namespace {

constexpr int64_t kShort = 8;  // runs up to this length go across lines of neighbours

// Type of the computation: half precision in float32, integers in int64.
DType compute_type(DType t) {
  check(!is_complex(t) && t != DType::boolean, "pooling and resizing are not implemented for ", t);
  if (t == DType::float64 || t == DType::float32) return t;
  return is_floating(t) ? DType::float32 : DType::int64;
}
WindowType window_type(DType t) {
  return t == DType::float32   ? WindowType::f32
         : t == DType::float64 ? WindowType::f64
                               : WindowType::i64;
}
DType place_type(DType t) { return t == DType::float32 ? DType::int32 : DType::int64; }

// Channels last and more than one of them: the kernel goes through pixels of so many numbers.
bool by_pixel(const Tensor& x, size_t dims) {
  const auto n = static_cast<size_t>(x.dim());
  if (n != dims + 2 || dims < 2 || x.is_contiguous()) return false;
  return x.is_contiguous(dims == 2 ? MemoryFormat::channels_last : MemoryFormat::channels_last_3d);
}

template <class T>
std::vector<char> as_bytes(const std::vector<double>& v) {
  std::vector<char> bytes(v.size() * sizeof(T));
  auto* p = reinterpret_cast<T*>(bytes.data());
  for (size_t i = 0; i < v.size(); ++i) p[i] = static_cast<T>(v[i]);
  return bytes;
}

// Numbers of the kernel's type.
std::vector<char> as_numbers(const std::vector<double>& v, WindowType t) {
  switch (t) {
    case WindowType::f32: return as_bytes<float>(v);
    case WindowType::f64: return as_bytes<double>(v);
    default: return as_bytes<int64_t>(v);
  }
}

// The arrays that a WindowAxis points to.
struct AxisData {
  std::vector<char> weights, across;
  std::vector<int32_t> at;
  WindowAxis view{};

  AxisData(const Axis& a, WindowType type, bool lines) {
    const int64_t most = a.count.empty() ? 0 : *std::max_element(a.count.begin(), a.count.end());
    view.in = a.in, view.out = a.out, view.step = a.step, view.most = most;
    view.start = a.start.data(), view.count = a.count.data();
    view.stride = a.stride, view.offset = a.offset, view.kernel = a.kernel;
    view.divisor = a.divisor.empty() ? nullptr : a.divisor.data();
    view.from_second = a.from_second && most == 2;
    const bool plain = a.weights.empty();
    const bool go_across = lines && !a.stride && most <= kShort && a.in <= INT32_MAX;
    // Runs of one number each need no weights to tell what belongs to them.
    const bool single =
        plain && std::all_of(a.count.begin(), a.count.end(), [](int64_t n) { return n == 1; });
    const auto all = static_cast<size_t>(most * a.out);
    std::vector<double> rows(plain ? 0 : all), columns(go_across && !single ? all : 0);
    if (go_across) at.resize(all);
    size_t next = 0;
    for (int64_t o = 0; o < a.out; ++o) {
      const auto i = static_cast<size_t>(o);
      for (int64_t t = 0; t < most; ++t) {
        const auto column = static_cast<size_t>((view.from_second ? 1 - t : t) * a.out + o);
        const int64_t inside = std::max<int64_t>(std::min(t, a.count[i] - 1), 0);
        if (go_across) at[column] = static_cast<int32_t>(std::min(a.in - 1, a.start[i] + inside));
        if (t >= a.count[i]) continue;
        const double w = plain ? 1 : a.weights[next++];
        if (!plain) rows[static_cast<size_t>(o * most + t)] = w;
        if (!columns.empty()) columns[column] = w;
      }
    }
    if (!rows.empty()) weights = as_numbers(rows, type), view.weights = weights.data();
    if (go_across) view.at = at.data();
    if (!columns.empty()) across = as_numbers(columns, type), view.across = across.data();
  }
};

struct Shapes {
  Ints out;        // of the result
  bool pixels;     // channels last
  int64_t planes, inner;
};

Shapes shapes_of(const Tensor& x, const std::vector<Axis>& axes) {
  const auto dims = static_cast<int64_t>(axes.size());
  check(x.dim() >= dims, "pooling and resizing: ", dims, " windows over a tensor of shape ",
        x.sizes());
  Shapes s{x.sizes(), by_pixel(x, axes.size()), 1, 1};
  const int64_t lead = x.dim() - dims;
  for (int64_t d = 0; d < lead; ++d) s.planes *= x.sizes()[d];
  if (s.pixels) s.planes = x.sizes()[0], s.inner = x.sizes()[1];
  for (int64_t d = 0; d < dims; ++d) {
    const Axis& a = axes[static_cast<size_t>(d)];
    check(a.in == x.sizes()[lead + d], "pooling and resizing: the input of shape ", x.sizes(),
          " is not of size ", a.in, " in dimension ", lead + d);
    s.out[lead + d] = a.out;
  }
  return s;
}

Tensor make(const Shapes& s, const Options& o) {
  return s.pixels ? empty_strided(s.out, channels_last_strides(s.out), o) : empty(s.out, o);
}

// Maxima of whole planes: one run of all their numbers, in which places are the same.
std::vector<Axis> flattened(const std::vector<Axis>& axes) {
  int64_t volume = 1;
  for (const Axis& a : axes) {
    if (a.out != 1 || a.count[0] != a.in || a.step != 1) return axes;
    volume *= a.in;
  }
  return {pooled(volume, 1, volume, volume, 0, 1)};
}

void run(const Tensor& x, const Tensor& out, const Tensor& places, const Shapes& s,
         const std::vector<Axis>& all, double divide, bool maximum) {
  const std::vector<Axis> axes = maximum && !s.pixels ? flattened(all) : all;
  WindowArgs a{};
  a.type = window_type(x.dtype());
  a.planes = s.planes, a.inner = s.inner;
  a.divide = divide, a.maximum = maximum;
  const Axis one(1, 1);
  std::vector<AxisData> data;
  data.reserve(3);
  for (size_t d = 0; d < 3; ++d) {
    const size_t missing = 3 - axes.size();
    data.emplace_back(d < missing ? one : axes[d - missing], a.type, d == 2 && s.inner == 1);
    a.axis[d] = data.back().view;
  }
  std::vector<char> spread;
  if (a.axis[2].divisor) {
    std::vector<double> line;
    for (double v : axes.back().divisor) line.insert(line.end(), static_cast<size_t>(s.inner), v);
    spread = as_numbers(line, a.type);
    a.divisors = spread.data();
  }
  a.input = x.data(), a.out = out.data();
  a.places = places.defined() ? places.data() : nullptr;
  windows_kernel(x.device_type(), a);
}

// In the order that the shapes say.
Tensor in_order(const Tensor& x, const Shapes& s) {
  if (!s.pixels) return x.contiguous_raw();
  if (by_pixel(x, s.out.size() - 2)) return x;
  Tensor y = empty_strided(x.sizes(), channels_last_strides(x.sizes()), x.options());
  copy(y, x);
  return y;
}
Tensor plain(const Tensor& x, const Shapes& s) {
  return in_order(x.to_raw(compute_type(x.dtype())), s);
}

}  // namespace

Axis::Axis(int64_t in, int64_t out) : in(in), out(out) {
  if (in == 1 && out == 1) add(0, 1);
}

Axis Axis::transposed() const {
  Axis t(out, in);
  t.start.clear(), t.count.clear();
  // Weights of the numbers of `in` in turn: runs rise, so each number's results are neighbours.
  std::vector<int64_t> first(static_cast<size_t>(in), -1), n(static_cast<size_t>(in), 0);
  for (int64_t o = 0; o < out; ++o)
    for (int64_t k = 0; k < count[static_cast<size_t>(o)]; ++k) {
      const auto i = static_cast<size_t>(start[static_cast<size_t>(o)] + k * step);
      if (first[i] < 0) first[i] = o;
      n[i] = o - first[i] + 1;
    }
  std::vector<size_t> base(static_cast<size_t>(in));
  size_t total = 0;
  int64_t last = 0;
  for (size_t i = 0; i < base.size(); ++i) {
    base[i] = total, total += static_cast<size_t>(n[i]);
    if (first[i] >= 0) last = first[i];
    t.add(last, n[i]);
  }
  t.weights.assign(total, 0);
  size_t next = 0;
  for (int64_t o = 0; o < out; ++o)
    for (int64_t k = 0; k < count[static_cast<size_t>(o)]; ++k) {
      const auto i = static_cast<size_t>(start[static_cast<size_t>(o)] + k * step);
      const double w = weights.empty() ? 1 : weights[next++];
      t.weights[base[i] + static_cast<size_t>(o - first[i])] +=
          divisor.empty() ? w : w / divisor[static_cast<size_t>(o)];
    }
  return t;
}

Axis pooled(int64_t in, int64_t out, int64_t kernel, int64_t stride, int64_t padding,
            int64_t dilation) {
  Axis a(in, out);
  a.start.clear(), a.count.clear();
  a.step = dilation, a.stride = stride, a.offset = padding, a.kernel = kernel;
  for (int64_t o = 0; o < out; ++o) {
    const int64_t begin = o * stride - padding;
    const int64_t skipped = begin < 0 ? (-begin + dilation - 1) / dilation : 0;
    const int64_t room = in - begin;
    const int64_t end = std::min(kernel, room > 0 ? (room + dilation - 1) / dilation : 0);
    a.add(std::min(begin + skipped * dilation, in - 1), std::max<int64_t>(end - skipped, 0));
  }
  return a;
}

Tensor run_windows(const Tensor& x, const std::vector<Axis>& axes, double divide) {
  const Shapes s = shapes_of(x, axes);
  Tensor out = make(s, x.options(compute_type(x.dtype())));
  if (!out.is_meta() && out.numel()) run(plain(x, s), out, Tensor(), s, axes, divide, false);
  return out.to_raw(x.dtype());
}

std::tuple<Tensor, Tensor> run_max_windows(const Tensor& x, const std::vector<Axis>& axes,
                                           bool places) {
  const Shapes s = shapes_of(x, axes);
  const DType t = compute_type(x.dtype());
  Tensor out = make(s, x.options(t));
  Tensor at = places ? make(s, x.options(place_type(t))) : Tensor();
  int64_t volume = 1;
  for (const Axis& a : axes) volume *= a.in;
  check(t != DType::float32 || volume <= INT32_MAX, "max pooling: planes of ", volume,
        " numbers are too large");
  if (!out.is_meta() && out.numel()) run(plain(x, s), out, at, s, axes, 1, true);
  return {out.to_raw(x.dtype()), at};
}

Tensor add_at_places(const Tensor& grad, const Tensor& places, const Ints& shape, int64_t dims) {
  const DType t = places.dtype() == DType::int64 ? DType::float64 : DType::float32;
  const auto lead = static_cast<int64_t>(shape.size()) - dims;
  check(lead >= 0 && grad.sizes() == places.sizes() && grad.dim() == lead + dims,
        "max pooling: gradients of shape ", grad.sizes(), " for places of shape ", places.sizes());
  Shapes s{shape, by_pixel(places, static_cast<size_t>(dims)), 1, 1};
  Tensor out = make(s, grad.options(t));
  if (out.is_meta() || !out.numel()) return out.to_raw(grad.dtype());
  for (int64_t d = 0; d < lead; ++d) s.planes *= shape[d];
  if (s.pixels) s.planes = shape[0], s.inner = shape[1];
  const Tensor g = in_order(grad.to_raw(t), s), at = in_order(places, s);
  const int64_t many = s.planes * s.inner;
  add_at_places_kernel(g.device_type(), {.grad = g.data(),
                                         .places = at.data(),
                                         .out = out.data(),
                                         .planes = s.planes,
                                         .points = g.numel() / many,
                                         .volume = out.numel() / many,
                                         .inner = s.inner,
                                         .type = window_type(t)});
  return out.to_raw(grad.dtype());
}

}  // namespace flambeau
