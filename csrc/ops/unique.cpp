// Sets and bins: unique values, membership, places in a sorted line, counts.
#include <algorithm>
#include <cmath>

#include "../kernels/sort.h"
#include "index.h"

namespace flambeau {
namespace {

const OpCall call_sort("sort"), call_reshape("reshape");

void need_data(const Tensor& t, const char* op) {
  if (t.is_meta())
    fail(ErrorKind::not_implemented, op,
         "(): the result's shape depends on data, which a meta tensor ", "does not have");
}

using Three = std::tuple<Tensor, Tensor, Tensor>;

// -- unique ---------------------------------------------------------------------------------------
// Runs of equal neighbours of n items (each `width` bytes): their starts, and the run of every
// item.
struct Runs {
  std::vector<int64_t> starts, run_of;
};

template <class Same>
Runs find_runs(int64_t n, const Same& same) {
  Runs runs;
  runs.run_of.resize(static_cast<size_t>(n));
  for (int64_t i = 0; i < n; ++i) {
    if (i == 0 || !same(i - 1, i)) runs.starts.push_back(i);
    runs.run_of[static_cast<size_t>(i)] = static_cast<int64_t>(runs.starts.size()) - 1;
  }
  return runs;
}

Tensor from_vector(const std::vector<int64_t>& v, Device device) {
  Tensor t = empty(Ints{static_cast<int64_t>(v.size())}, {DType::int64, device});
  std::copy(v.begin(), v.end(), t.data<int64_t>());
  return t;
}

Tensor run_lengths(const Runs& runs, int64_t n, Device device) {
  std::vector<int64_t> lengths = runs.starts;
  for (size_t i = 0; i < lengths.size(); ++i)
    lengths[i] = (i + 1 < lengths.size() ? runs.starts[i + 1] : n) - runs.starts[i];
  return from_vector(lengths, device);
}

template <class F>
void with_values(const Tensor& plain, const F& f) {
  visit(plain.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    if constexpr (is_reduced_float<T>) {
      const T* p = plain.data<T>();
      f(p,
        [p](int64_t a, int64_t b) { return static_cast<float>(p[a]) == static_cast<float>(p[b]); });
    } else {
      const T* p = plain.data<T>();
      f(p, [p](int64_t a, int64_t b) { return p[a] == p[b]; });
    }
  });
}

// Integers of a small range: a table of counts instead of sorting.
bool unique_by_table(const Tensor& plain, bool inverse, Three* out) {
  if (plain.dtype() != DType::int64 || plain.numel() < 256) return false;
  const auto* p = plain.data<int64_t>();
  int64_t n = plain.numel(), least = 0, greatest = 0;
  bounds_kernel(plain.device_type(), p, n, &least, &greatest);
  int64_t range;
  if (__builtin_sub_overflow(greatest, least, &range) || range > n || range > (1 << 22))
    return false;
  std::vector<int64_t> counts(static_cast<size_t>(range) + 1), values, present;
  for (int64_t i = 0; i < n; ++i) ++counts[static_cast<size_t>(p[i] - least)];
  for (int64_t v = 0; v <= range; ++v) {
    int64_t& c = counts[static_cast<size_t>(v)];
    if (!c) continue;
    values.push_back(v + least);
    present.push_back(c);
    c = static_cast<int64_t>(values.size()) - 1;
  }
  Tensor where;
  if (inverse) {
    where = empty(plain.sizes(), plain.options());
    for (int64_t i = 0; i < n; ++i)
      where.data<int64_t>()[i] = counts[static_cast<size_t>(p[i] - least)];
  }
  *out = {from_vector(values, plain.device()), where, from_vector(present, plain.device())};
  return true;
}

// Values in order, for every element the number of its value, and how often each occurs.
Three unique_flat(const Tensor& x, bool inverse) {
  need_data(x, "unique");
  Tensor plain = reshape_raw(x, Ints{x.numel()}).contiguous_raw();
  Three out;
  if (unique_by_table(plain, inverse, &out)) {
    if (inverse) std::get<1>(out) = reshape_raw(std::get<1>(out), x.sizes());
    return out;
  }
  NoGrad off;
  TensorList sorted = call_sort.all(plain);
  Runs runs;
  with_values(sorted[0], [&](auto*, auto same) { runs = find_runs(plain.numel(), same); });
  static const OpCall select("index_select");
  Tensor values = select(sorted[0], 0, from_vector(runs.starts, x.device()));
  Tensor where;
  if (inverse) {
    where = empty(x.sizes(), {DType::int64, x.device()});
    const auto* from = sorted[1].data<int64_t>();
    for (int64_t i = 0; i < plain.numel(); ++i)
      where.data<int64_t>()[from[i]] = runs.run_of[static_cast<size_t>(i)];
  }
  return {values, where, run_lengths(runs, plain.numel(), x.device())};
}

// x with `dim` first, every position one contiguous line.
Tensor as_lines(const Tensor& x, int64_t dim) {
  Tensor lines = x;
  for (int64_t d = dim; d > 0; --d) lines = transpose_raw(lines, d, d - 1);
  return lines.contiguous_raw();
}

Tensor lines_back(const Tensor& lines, int64_t dim) {
  Tensor x = lines;
  for (int64_t d = 0; d < dim; ++d) x = transpose_raw(x, d, d + 1);
  return x.contiguous_raw();
}

template <class T>
int compare_lines(const T* a, const T* b, int64_t width) {
  for (int64_t i = 0; i < width; ++i) {
    if constexpr (is_complex_type<T>) {
      if (a[i] != b[i]) return a[i].real() < b[i].real() ? -1 : 1;
    } else if constexpr (is_reduced_float<T>) {
      auto p = static_cast<float>(a[i]), q = static_cast<float>(b[i]);
      if (p != q) return p < q ? -1 : 1;
    } else {
      if (a[i] != b[i]) return a[i] < b[i] ? -1 : 1;
    }
  }
  return 0;
}

Three unique_lines(const Tensor& x, int64_t dim, bool consecutive) {
  need_data(x, "unique");
  dim = wrap_dim(dim, x.dim());
  check(x.dim() > 0, "unique(): dim given for a tensor without dimensions");
  int64_t n = x.sizes()[dim];
  check(x.numel() > 0 || n == 0,
        "unique(): There are 0 sized dimensions, and they aren't selected, so unique "
        "cannot be applied");
  Tensor lines = as_lines(x, dim);
  int64_t width = n ? lines.numel() / n : 0;
  std::vector<int64_t> order(static_cast<size_t>(n)), firsts, inverse(static_cast<size_t>(n));
  for (int64_t i = 0; i < n; ++i) order[static_cast<size_t>(i)] = i;
  Runs runs;
  visit(x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const T* p = lines.data<T>();
    auto compare = [&](int64_t a, int64_t b) {
      return compare_lines(p + a * width, p + b * width, width);
    };
    if (!consecutive)
      std::stable_sort(order.begin(), order.end(),
                       [&](int64_t a, int64_t b) { return compare(a, b) < 0; });
    runs = find_runs(n, [&](int64_t a, int64_t b) {
      return compare(order[static_cast<size_t>(a)], order[static_cast<size_t>(b)]) == 0;
    });
  });
  for (int64_t s : runs.starts) firsts.push_back(order[static_cast<size_t>(s)]);
  for (size_t i = 0; i < order.size(); ++i) inverse[static_cast<size_t>(order[i])] = runs.run_of[i];
  static const OpCall select("index_select");
  Tensor values = lines_back(select(lines, 0, from_vector(firsts, x.device())), dim);
  return {values, from_vector(inverse, x.device()), run_lengths(runs, n, x.device())};
}

Three consecutive_flat(const Tensor& x, bool inverse, bool counts) {
  need_data(x, "unique_consecutive");
  Tensor plain = reshape_raw(x, Ints{x.numel()}).contiguous_raw();
  const int64_t n = plain.numel();
  const Options whole{DType::int64, x.device()};
  Tensor values = empty(Ints{n}, x.options()), run_of, starts;
  if (inverse) run_of = empty(x.sizes(), whole);
  if (counts) starts = empty(Ints{n + 1}, whole);
  auto* numbers = inverse ? run_of.data<int64_t>() : nullptr;
  auto* from = counts ? starts.data<int64_t>() : nullptr;
  int64_t runs = n > 0;
  // Each element is written where the next run begins and stays if that is so: nothing to predict.
  with_values(plain, [&](auto* p, auto same) {
    auto* to = values.data<std::remove_const_t<std::remove_pointer_t<decltype(p)>>>();
    if (n) to[0] = p[0];
    if (n && from) from[0] = 0;
    if (n && numbers) numbers[0] = 0;
    if (!from && !numbers) {
      int64_t at = runs;  // in a register
      for (int64_t i = 1; i < n; ++i) {
        to[at] = p[i];
        at += !same(i - 1, i);
      }
      runs = at;
    }
    for (int64_t i = 1; i < n && (from || numbers); ++i) {
      to[runs] = p[i];
      if (from) from[runs] = i;
      runs += !same(i - 1, i);
      if (numbers) numbers[i] = runs - 1;
    }
  });
  const auto first = [&](const Tensor& t) { return narrow_raw(t, 0, 0, runs).clone_raw(); };
  Tensor lengths;
  if (counts) {
    for (int64_t i = 0; i < runs; ++i) from[i] = (i + 1 < runs ? from[i + 1] : n) - from[i];
    lengths = first(starts);
  }
  return {first(values), run_of, lengths};
}

// The values alone, or a tuple with what was asked for besides.
Value chosen(const Three& all, bool inverse, bool counts) {
  auto& [values, where, number] = all;
  if (!inverse && !counts) return values;
  TensorList out{values};
  if (inverse) out.push_back(where);
  if (counts) out.push_back(number);
  return out;
}

Value unique(const Tensor& x, bool, bool inverse, bool counts, std::optional<int64_t> dim) {
  check(!is_complex(x.dtype()), "unique(): not implemented for ", x.dtype());
  return chosen(dim ? unique_lines(x, *dim, false) : unique_flat(x, inverse), inverse, counts);
}
Value unique_consecutive(const Tensor& x, bool inverse, bool counts, std::optional<int64_t> dim) {
  return chosen(dim ? unique_lines(x, *dim, true) : consecutive_flat(x, inverse, counts), inverse,
                counts);
}

// -- searching ------------------------------------------------------------------------------------
Tensor search(const Tensor& edges, const Tensor& values, bool out_int32, bool right,
              const Tensor& sorter) {
  DType t = promote(edges.dtype(), values.dtype());
  check(!is_complex(t), "searchsorted(): not implemented for ", t);
  Tensor out = empty(values.sizes(), {DType::int64, values.device()});
  Tensor e = edges.to_raw(t).contiguous_raw(), v = values.to_raw(t).contiguous_raw();
  Tensor s = sorter.defined() ? plain_index(sorter, "searchsorted") : Tensor();
  SearchArgs a{};
  a.edges = static_cast<const char*>(e.data());
  a.values = static_cast<const char*>(v.data());
  a.sorter = s.defined() ? s.data<int64_t>() : nullptr;
  a.out = out.data<int64_t>();
  a.edge_count = e.sizes().back();
  a.shared = e.dim() == 1;
  a.count = a.shared ? v.numel() : v.sizes().back();
  a.rows = a.shared ? 1 : a.count ? v.numel() / a.count : 0;
  a.right = right;
  a.dtype = t;
  if (s.defined()) check_bounds(s, 0, a.edge_count, "searchsorted");
  search_kernel(values.device_type(), a);
  return out_int32 ? out.to_raw(DType::int32) : out;
}

Tensor searchsorted(const Tensor& edges, const Tensor& values, bool out_int32, bool right,
                    const std::optional<std::string>& side, const Tensor& sorter) {
  check(!side || *side == "left" || *side == "right",
        "searchsorted(): side can only be 'left' or 'right' but "
        "got ",
        side.value_or(""));
  check(!(side && *side == "left" && right),
        "searchsorted(): side and right can't be set to opposites, got "
        "side of left while right was True");
  check(edges.dim() > 0, "searchsorted(): boundaries tensor should have at least 1 dimension");
  check(values.dim() > 0 || edges.dim() == 1,
        "searchsorted(): input value can be a scalar only when boundaries "
        "tensor dimension is 1, got ",
        edges.dim());
  if (edges.dim() > 1) {
    bool same = edges.dim() == values.dim();
    for (int64_t d = 0; same && d + 1 < edges.dim(); ++d)
      same = edges.sizes()[d] == values.sizes()[d];
    check(same,
          "searchsorted(): boundaries tensor should be 1 dimension or the first N-1 dimensions of "
          "boundaries tensor and input value tensor must match, but we got boundaries tensor ",
          edges.sizes(), " and input value tensor ", values.sizes());
  }
  check(!sorter.defined() || sorter.sizes() == edges.sizes(),
        "searchsorted(): boundary and sorter must have the "
        "same size, but got boundary tensor ",
        edges.sizes(), " and got sorter tensor ", sorter.defined() ? sorter.sizes() : Ints{});
  return search(edges, values, out_int32, right || (side && *side == "right"), sorter);
}

Tensor searchsorted_number(const Tensor& edges, const Scalar& value, bool out_int32, bool right,
                           const std::optional<std::string>& side, const Tensor& sorter) {
  return searchsorted(edges,
                      scalar_tensor(value, edges.options(promote(edges.dtype(), value.dtype()))),
                      out_int32, right, side, sorter);
}

Tensor bucketize(const Tensor& values, const Tensor& edges, bool out_int32, bool right) {
  check(edges.dim() == 1, "bucketize(): boundaries tensor must be 1 dimension, but got dim(",
        edges.dim(), ")");
  return search(edges, values, out_int32, right, {});
}
Tensor bucketize_number(const Scalar& value, const Tensor& edges, bool out_int32, bool right) {
  return bucketize(scalar_tensor(value, edges.options(promote(edges.dtype(), value.dtype()))),
                   edges, out_int32, right);
}

// -- membership -----------------------------------------------------------------------------------
Tensor isin(const Tensor& elements, const Tensor& tests, bool, bool invert) {
  check(!is_complex(elements.dtype()) && !is_complex(tests.dtype()),
        "isin(): Unsupported input type ", elements.dtype());
  Tensor out = empty(elements.sizes(), elements.options(DType::boolean));
  if (out.is_meta()) return out;
  DType t = promote(elements.dtype(), tests.dtype());
  Tensor flat = reshape_raw(tests, Ints{tests.numel()}).to_raw(t);
  NoGrad off;
  Tensor sorted = call_sort(flat), e = elements.to_raw(t).contiguous_raw();
  Tensor at = search(sorted, e, false, false, {});
  visit(t, [&](auto tag) {
    using T = typename decltype(tag)::type;
    if constexpr (!is_complex_type<T> && !is_reduced_float<T>) {
      for (int64_t i = 0; i < e.numel(); ++i) {
        int64_t k = at.data<int64_t>()[i];
        bool found = k < sorted.numel() && sorted.data<T>()[k] == e.data<T>()[i];
        out.data<bool>()[i] = found != invert;
      }
    } else if constexpr (is_reduced_float<T>) {
      for (int64_t i = 0; i < e.numel(); ++i) {
        int64_t k = at.data<int64_t>()[i];
        bool found = k < sorted.numel() &&
                     static_cast<float>(sorted.data<T>()[k]) == static_cast<float>(e.data<T>()[i]);
        out.data<bool>()[i] = found != invert;
      }
    }
  });
  return out;
}
Tensor isin_number(const Tensor& elements, const Scalar& test, bool unique_given, bool invert) {
  return isin(elements,
              scalar_tensor(test, elements.options(promote(elements.dtype(), test.dtype()))),
              unique_given, invert);
}
Tensor isin_numbers(const Scalar& element, const Tensor& tests, bool unique_given, bool invert) {
  return isin(scalar_tensor(element, tests.options(promote(tests.dtype(), element.dtype()))), tests,
              unique_given, invert);
}

// -- counting -------------------------------------------------------------------------------------
Tensor bincount(const Tensor& x, const Tensor& weights, int64_t minlength) {
  need_data(x, "bincount");
  check(x.dim() == 1 && !is_inexact(x.dtype()),
        "bincount(): only supports 1-d non-negative integral inputs, "
        "got ",
        x.dim(), "-D ", x.dtype());
  check(minlength >= 0, "bincount(): minlength should be >= 0, got ", minlength);
  check(!weights.defined() || weights.sizes() == x.sizes(),
        "bincount(): weights should be 1-d and have the same "
        "length as input");
  Tensor at = x.to_raw(DType::int64).contiguous_raw();
  int64_t least = 0, greatest = -1;
  if (at.numel())
    bounds_kernel(at.device_type(), at.data<int64_t>(), at.numel(), &least, &greatest);
  check(least >= 0, "bincount(): only supports 1-d non-negative integral inputs, got ", least);
  int64_t n = std::max(greatest + 1, minlength);
  bool real = weights.defined();
  DType t = !real                               ? DType::int64
            : weights.dtype() == DType::float32 ? DType::float32
                                                : DType::float64;
  Tensor out = zeros(Ints{n}, x.options(t));
  put_rows(out, 0, at, real ? weights.to_raw(t) : full(at.sizes(), 1, out.options()), Combine::add);
  return out;
}

// How many of n numbers fall into each of `bins` equal parts of [lo, hi], in four tables side by
// side, so that equal neighbours need not wait for each other.
template <class T>
void count_bins(const T* p, int64_t n, double lo, double hi, int64_t bins, double* out) {
  constexpr int64_t kTables = 4, kBlock = 512;
  std::vector<int64_t> counts(static_cast<size_t>(kTables * (bins + 1)));  // [bins]: outside
  int64_t at[kBlock];
  for (int64_t from = 0; from < n; from += kBlock) {
    const int64_t m = std::min(kBlock, n - from);
    for (int64_t i = 0; i < m; ++i) {
      const auto v = convert<double>(p[from + i]);
      const bool inside = v >= lo && v <= hi;
      const auto k = static_cast<int64_t>((inside ? v - lo : 0) / (hi - lo) * double(bins));
      at[i] = inside ? std::min(k, bins - 1) : bins;
    }
    for (int64_t i = 0; i < m; ++i) ++counts[static_cast<size_t>(i % kTables * (bins + 1) + at[i])];
  }
  for (int64_t k = 0; k < bins; ++k)
    for (int64_t t = 0; t < kTables; ++t)
      out[k] += static_cast<double>(counts[static_cast<size_t>(t * (bins + 1) + k)]);
}

Tensor histc(const Tensor& x, int64_t bins, const Scalar& min, const Scalar& max) {
  check(is_floating(x.dtype()), "histc(): not implemented for ", x.dtype());
  check(bins > 0, "histc(): bins must be > 0, but got ", bins);
  double lo = min.to<double>(), hi = max.to<double>();
  if (x.is_meta()) return empty(Ints{bins}, x.options());
  if (lo == hi && x.numel()) {
    static const OpCall least("amin"), greatest("amax");
    const NoGrad off;
    lo = least(x).to_raw(DType::float64).data<double>()[0];
    hi = greatest(x).to_raw(DType::float64).data<double>()[0];
  }
  if (lo == hi) {
    lo -= 1;
    hi += 1;
  }
  check(std::isfinite(lo) && std::isfinite(hi), "histc(): range of [", lo, ", ", hi,
        "] is not finite");
  check(lo < hi, "histc(): max must be larger than min, got ", lo, " and ", hi);
  const Tensor plain = x.contiguous_raw(), out = zeros(Ints{bins}, {DType::float64, x.device()});
  visit(x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    if constexpr (std::is_floating_point_v<T> || is_reduced_float<T>)
      count_bins(plain.data<T>(), plain.numel(), lo, hi, bins, out.data<double>());
  });
  return out.to_raw(x.dtype());
}

Tensor one_hot(const Tensor& x, int64_t classes) {
  check(x.dtype() == DType::int64,
        "one_hot is only applicable to index tensor of type LongTensor, got ", x.dtype());
  Tensor at = x.contiguous_raw();
  if (classes == -1) {
    need_data(x, "one_hot");
    check(x.numel() > 0, "one_hot(): Can not infer total number of classes from empty tensor.");
  }
  int64_t least = 0, greatest = -1;
  if (at.numel() && !at.is_meta())
    bounds_kernel(at.device_type(), at.data<int64_t>(), at.numel(), &least, &greatest);
  check(least >= 0, "one_hot(): Class values must be non-negative, got ", least);
  if (classes == -1) classes = greatest + 1;
  check(classes > 0 || x.numel() == 0, "one_hot(): num_classes should be positive, got ", classes);
  check(greatest < classes, "one_hot(): Class values must be smaller than num_classes, got ",
        greatest, " for ", classes);
  Ints sizes = x.sizes();
  sizes.push_back(classes);
  Tensor out = zeros(sizes, x.options());
  for (int64_t i = 0; i < at.numel() && !at.is_meta(); ++i)
    out.data<int64_t>()[i * classes + at.data<int64_t>()[i]] = 1;
  return out;
}

#define FLAMBEAU_SEARCH ", *, bool out_int32=False, bool right=False"

FLAMBEAU_OPS{
    {.schema = "unique(Tensor input, bool sorted=True, bool return_inverse=False, "
               "bool return_counts=False, int? dim=None) -> Tensor",
     .forward = native<unique>,
     .flags = kNotDifferentiable,
     .doc = "The distinct values in order; also where each element's value stands, and how often."},
    {.schema =
         "unique_consecutive(Tensor input, bool return_inverse=False, bool return_counts=False, "
         "int? dim=None) -> Tensor",
     .forward = native<unique_consecutive>,
     .flags = kNotDifferentiable,
     .doc = "One value for every run of equal ones."},
    {.schema = "searchsorted(Tensor sorted_sequence, Tensor input" FLAMBEAU_SEARCH
               ", str? side=None, Tensor? sorter=None) -> Tensor",
     .forward = native<searchsorted>,
     .flags = kNotDifferentiable | kNoMethod,
     .doc = "Where each value would go into sorted lines."},
    {.schema = "searchsorted(Tensor sorted_sequence, Scalar input" FLAMBEAU_SEARCH
               ", str? side=None, Tensor? sorter=None) -> Tensor",
     .forward = native<searchsorted_number>,
     .flags = kNotDifferentiable | kNoMethod,
     .doc = "Where a value would go into a sorted line."},
    {.schema = "bucketize(Tensor input, Tensor boundaries" FLAMBEAU_SEARCH ") -> Tensor",
     .forward = native<bucketize>,
     .flags = kNotDifferentiable | kNoMethod,
     .doc = "The bucket of each value between sorted boundaries."},
    {.schema = "bucketize(Scalar input, Tensor boundaries" FLAMBEAU_SEARCH ") -> Tensor",
     .forward = native<bucketize_number>,
     .flags = kNotDifferentiable | kNoMethod,
     .doc = "The bucket of a value between sorted boundaries."},
    {.schema = "isin(Tensor elements, Tensor test_elements, *, bool assume_unique=False, "
               "bool invert=False) -> Tensor",
     .forward = native<isin>,
     .flags = kNotDifferentiable | kNoMethod,
     .doc = "Which elements occur in test_elements."},
    {.schema = "isin(Tensor elements, Scalar test_element, *, bool assume_unique=False, "
               "bool invert=False) -> Tensor",
     .forward = native<isin_number>,
     .flags = kNotDifferentiable | kNoMethod,
     .doc = "Which elements equal a number."},
    {.schema = "isin(Scalar element, Tensor test_elements, *, bool assume_unique=False, "
               "bool invert=False) -> Tensor",
     .forward = native<isin_numbers>,
     .flags = kNotDifferentiable | kNoMethod,
     .doc = "Whether a number occurs in test_elements."},
    {.schema = "bincount(Tensor input, Tensor? weights=None, int minlength=0) -> Tensor",
     .forward = native<bincount>,
     .flags = kNotDifferentiable,
     .doc = "How often each of 0, 1, ... occurs, or the sum of the weights there."},
    {.schema = "histc(Tensor input, int bins=100, Scalar min=0, Scalar max=0) -> Tensor",
     .forward = native<histc>,
     .flags = kNotDifferentiable,
     .doc = "How many elements lie in each of equal bins from min to max."},
    {.schema = "nn.functional.one_hot(Tensor input, int num_classes=-1) -> Tensor",
     .forward = native<one_hot>,
     .flags = kNotDifferentiable | kNoMethod,
     .doc = "A 1 at the place of each class, 0 elsewhere, in a new last dimension."},
};

}  // namespace
}  // namespace flambeau
