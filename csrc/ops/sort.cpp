// Order: sort, topk, kthvalue, median, mode, running extremes.
#include "../kernels/sort.h"

#include <algorithm>

#include "index.h"
#include "reduce.h"

namespace flambeau {
namespace {

const OpCall call_scatter("scatter"), call_gather("gather"), call_unsqueeze("unsqueeze");

void check_sortable(const Tensor& x, const char* op) {
  check(!is_complex(x.dtype()), op, "(): does not support complex inputs, got ", x.dtype());
  check(itemsize(x.dtype()) > 1 || !is_floating(x.dtype()), op, "(): not implemented for ",
        x.dtype());
}

// The first `keep` of each line along dim in order, dim moved last: [.., keep] contiguous. With
// Ties::select only the last of these: [.., 1].
std::pair<Tensor, Tensor> sorted_last(const Tensor& x, int64_t dim, int64_t keep, bool descending,
                                      Ties ties = Ties::stable) {
  Tensor lines =
      (x.dim() ? transpose_raw(x, dim, -1) : x.as_strided_raw(Ints{1}, Ints{1}, x->offset))
          .contiguous_raw();
  int64_t n = lines.sizes().back();
  Ints sizes = lines.sizes();
  sizes.back() = ties == Ties::select ? 1 : keep;
  Tensor values = empty(sizes, x.options()), indices = empty(sizes, {DType::int64, x.device()});
  if (values.numel() && !x.is_meta()) {
    check(n < int64_t(1) << 32, "sort(): more than 2^32 elements in a line are not supported");
    SortArgs a{};
    a.src = static_cast<const char*>(lines.data());
    a.values = static_cast<char*>(values.data());
    a.indices = indices.data<int64_t>();
    a.rows = lines.numel() / n;
    a.n = n;
    a.keep = keep;
    a.dtype = x.dtype();
    a.item = static_cast<int64_t>(itemsize(x.dtype()));
    a.descending = descending;
    a.ties = ties;
    int no_memory = 0;
    a.no_memory = &no_memory;
    sort_kernel(x.device_type(), a);
    if (no_memory) fail(ErrorKind::out_of_memory, "sort(): out of memory for lines of ", n);
  }
  return {values, indices};
}

Tensor back_in_place(const Tensor& lines, const Tensor& x, int64_t dim) {
  if (x.dim() == 0) return lines.as_strided_raw(Ints{}, Ints{}, 0);
  return dim == x.dim() - 1 ? lines : transpose_raw(lines, dim, -1).contiguous_raw();
}

using Pair = std::tuple<Tensor, Tensor>;

Pair sort_along(const Tensor& x, int64_t dim, int64_t keep, bool descending, Ties ties) {
  auto [values, indices] = sorted_last(x, dim, keep, descending, ties);
  return {back_in_place(values, x, dim), back_in_place(indices, x, dim)};
}

// Equal elements keep their order when that is asked for, and in long lines, which are sorted by
// radix: PyTorch's order of equals would cost ten times as much there. In short ones it is
// PyTorch's.
constexpr int64_t kLongLine = 16384;
Pair sort(const Tensor& x, int64_t dim, bool descending, std::optional<bool> stable) {
  check_sortable(x, "sort");
  dim = wrap_dim(dim, x.dim());
  int64_t n = x.dim() ? x.sizes()[dim] : 1;
  bool in_order = stable.value_or(false) || n > kLongLine;
  return sort_along(x, dim, n, descending, in_order ? Ties::stable : Ties::sort);
}
Tensor argsort(const Tensor& x, int64_t dim, bool descending, bool stable) {
  return std::get<1>(sort(x, dim, descending, stable));
}
Tensor msort(const Tensor& x) {
  static const OpCall call_sort("sort");
  return call_sort(x, int64_t(0));
}

// The gradient goes to where the values came from. `kept`: the dimension is still there.
void pick_back(Backward& b, int64_t dim, bool kept) {
  Tensor g = b.grad(), at = b.out(1);
  if (!kept && !b.sizes(0).empty()) {
    g = call_unsqueeze(g, dim);
    at = call_unsqueeze(at, dim);
  }
  b.set(0, call_scatter(zeros(b.sizes(0), g.options()), dim, at, g));
}

Pair topk(const Tensor& x, int64_t k, int64_t dim, bool largest, bool) {
  check_sortable(x, "topk");
  dim = wrap_dim(dim, x.dim());
  int64_t n = x.dim() ? x.sizes()[dim] : 1;
  check(k >= 0 && k <= n, "topk(): selected index k out of range: k is ", k, ", dimension ", dim,
        " has size ", n);
  if (x.dim() == 0 && k == 0)
    return {empty(Ints{}, x.options()), empty(Ints{}, {DType::int64, x.device()})};
  return sort_along(x, dim, k, largest, Ties::top);
}

// The element of place `k` in each line in order.
Pair select_kth(const Tensor& x, int64_t dim, bool keepdim, int64_t k) {
  auto [v, i] = sorted_last(x, dim, k + 1, false, Ties::select);
  auto shaped = [&](const Tensor& t) {
    if (x.dim() == 0) return t.as_strided_raw(Ints{}, Ints{}, t->offset).clone_raw();
    Tensor placed = transpose_raw(t, dim, -1);
    return (keepdim ? placed : select_raw(placed, dim, 0)).clone_raw();
  };
  return {shaped(v), shaped(i)};
}

int64_t line_length(const Tensor& x, int64_t dim, const char* op) {
  int64_t n = x.dim() ? x.sizes()[dim] : 1;
  check_index(n > 0, op, "(): Expected reduction dim ", dim, " to have non-zero size.");
  return n;
}

Pair kthvalue(const Tensor& x, int64_t k, int64_t dim, bool keepdim) {
  check_sortable(x, "kthvalue");
  dim = wrap_dim(dim, x.dim());
  int64_t n = line_length(x, dim, "kthvalue");
  check(k >= 1 && k <= n, "kthvalue(): selected number k out of range for dimension ", dim,
        ": k is ", k, ", size is ", n);
  return select_kth(x, dim, keepdim, k - 1);
}

template <class T>
bool is_nan(T v) {
  if constexpr (is_reduced_float<T>)
    return static_cast<float>(v) != static_cast<float>(v);
  else
    return v != v;
}

// Along the last dimension of sorted lines: the middle of what is no NaN, or the first NaN.
Pair median_along(const Tensor& x, int64_t dim, bool keepdim, bool skip_nan) {
  int64_t n = line_length(x, dim, skip_nan ? "nanmedian" : "median");
  if (x.is_meta()) return select_kth(x, dim, keepdim, 0);
  auto [values, indices] = sorted_last(x, dim, n, false);
  Ints sizes = x.sizes();
  if (x.dim()) sizes[dim] = 1;
  Ints lines = values.sizes();
  lines.back() = 1;
  Tensor v = empty(lines, x.options()), at = empty(lines, indices.options());
  visit(x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const T* p = values.data<T>();
    for (int64_t r = 0; r < v.numel(); ++r, p += n) {
      int64_t real = n;
      while (real > 0 && is_nan(p[real - 1])) --real;
      int64_t k = real == n || (skip_nan && real > 0) ? (real - 1) / 2 : real;
      v.data<T>()[r] = p[k];
      at.data<int64_t>()[r] = indices.data<int64_t>()[r * n + k];
    }
  });
  auto shaped = [&](const Tensor& t) {
    if (x.dim() == 0) return t.as_strided_raw(Ints{}, Ints{}, 0);
    Tensor placed = transpose_raw(t, dim, -1);
    return (keepdim ? placed : select_raw(placed, dim, 0)).contiguous_raw();
  };
  return {shaped(v), shaped(at)};
}

template <bool SkipNan>
Pair median_dim(const Tensor& x, int64_t dim, bool keepdim) {
  check_sortable(x, "median");
  return median_along(x, wrap_dim(dim, x.dim()), keepdim, SkipNan);
}

template <bool SkipNan>
Pair median_all(const Tensor& x) {
  check_sortable(x, "median");
  Tensor flat = reshape_raw(x, Ints{x.numel()});
  if (x.numel() == 0) {
    check(is_floating(x.dtype()), "median(): cannot be computed for an empty tensor of ",
          x.dtype());
    return {full(Ints{}, std::numeric_limits<double>::quiet_NaN(), x.options()),
            full(Ints{}, -1, {DType::int64, x.device()})};
  }
  return median_along(flat, 0, false, SkipNan);
}
template <bool SkipNan>
Tensor median_value(const Tensor& x) {
  static const OpCall call(SkipNan ? "nanmedian_flat" : "median_flat");
  return call(x);
}

void median_all_back(Backward& b) {
  if (product(b.sizes(0))) b.set(0, shared_gradient(b.grad(), b.in(0), b.out(0)));
}

// The most frequent value, the least of equals; the last of its positions in sorted order.
Pair mode(const Tensor& x, int64_t dim, bool keepdim) {
  check_sortable(x, "mode");
  dim = wrap_dim(dim, x.dim());
  int64_t n = line_length(x, dim, "mode");
  static const OpCall add("add");
  const Tensor one_zero = is_floating(x.dtype()) ? add(x, 0.0) : x;  // -0 is no number of its own
  const Ties ties = n > kLongLine ? Ties::stable : Ties::sort;
  auto [values, indices] = sorted_last(one_zero, dim, n, false, ties);
  Ints lines = values.sizes();
  lines.back() = 1;
  Tensor v = empty(lines, x.options()), at = empty(lines, indices.options());
  size_t item = itemsize(x.dtype());
  for (int64_t r = 0; r < v.numel() && !x.is_meta(); ++r) {
    const char* p = static_cast<const char*>(values.data()) + r * n * static_cast<int64_t>(item);
    int64_t best = 0, longest = 0, run = 0;
    for (int64_t i = 0; i < n; ++i) {
      run = i && !std::memcmp(p + i * item, p + (i - 1) * item, item) ? run + 1 : 1;
      if (run > longest) {
        longest = run;
        best = i;
      }
    }
    std::memcpy(static_cast<char*>(v.data()) + r * item, p + best * item, item);
    at.data<int64_t>()[r] = indices.data<int64_t>()[r * n + best];
  }
  auto shaped = [&](const Tensor& t) {
    if (x.dim() == 0) return t.as_strided_raw(Ints{}, Ints{}, 0);
    Tensor placed = transpose_raw(t, dim, -1);
    return (keepdim ? placed : select_raw(placed, dim, 0)).contiguous_raw();
  };
  return {shaped(v), shaped(at)};
}

template <int DimArg, int KeepArg>
void reduced_back(Backward& b) {
  pick_back(b, b.arg(DimArg).as_int(), b.arg(KeepArg).as_bool());
}

constexpr const char* kMedianDoc = "The middle value, the lower of two; NaN where there is one.";
constexpr const char* kNanMedianDoc = "The middle value, the lower of two, of what is no NaN.";

FLAMBEAU_OPS{
    {.schema = "sort(Tensor input, int dim=-1, bool descending=False, *, bool? stable=None) -> "
               "(Tensor values, Tensor indices)",
     .forward = native<sort>,
     .backward = [](Backward& b) { pick_back(b, b.arg(1).as_int(), true); },
     .saves = "result1",
     .doc = "The elements along a dimension in order, and where they were."},
    {.schema =
         "argsort(Tensor input, int dim=-1, bool descending=False, *, bool stable=False) -> Tensor",
     .forward = native<argsort>,
     .flags = kNotDifferentiable,
     .doc = "The positions that sort() would take the elements from."},
    {.schema = "msort(Tensor input) -> Tensor",
     .forward = native<msort>,
     .flags = kComposite,
     .doc = "sort() along the first dimension, values only."},
    {.schema = "topk(Tensor input, int k, int dim=-1, bool largest=True, bool sorted=True) -> "
               "(Tensor values, Tensor indices)",
     .forward = native<topk>,
     .backward = [](Backward& b) { pick_back(b, b.arg(2).as_int(), true); },
     .saves = "result1",
     .flags = kReadsAlong,
     .doc = "The k greatest (or least) elements along a dimension, in order."},
    {.schema = "kthvalue(Tensor input, int k, int dim=-1, bool keepdim=False) -> "
               "(Tensor values, Tensor indices)",
     .forward = native<kthvalue>,
     .backward = reduced_back<2, 3>,
     .saves = "result1",
     .doc = "The k-th least element along a dimension."},
    {.schema = "median(Tensor input) -> Tensor",
     .forward = native<median_value<false>>,
     .flags = kComposite,
     .doc = kMedianDoc},
    {.schema =
         "median(Tensor input, int dim, bool keepdim=False) -> (Tensor values, Tensor indices)",
     .forward = native<median_dim<false>>,
     .backward = reduced_back<1, 2>,
     .saves = "result1",
     .doc = kMedianDoc},
    {.schema = "median_flat(Tensor input) -> (Tensor values, Tensor indices)",
     .forward = native<median_all<false>>,
     .backward = median_all_back,
     .saves = "input, result0",
     .flags = kInternal,
     .node = "MedianBackward0",
     .doc = kMedianDoc},
    {.schema = "nanmedian(Tensor input) -> Tensor",
     .forward = native<median_value<true>>,
     .flags = kComposite,
     .doc = kNanMedianDoc},
    {.schema =
         "nanmedian(Tensor input, int dim, bool keepdim=False) -> (Tensor values, Tensor indices)",
     .forward = native<median_dim<true>>,
     .backward = reduced_back<1, 2>,
     .saves = "result1",
     .doc = kNanMedianDoc},
    {.schema = "nanmedian_flat(Tensor input) -> (Tensor values, Tensor indices)",
     .forward = native<median_all<true>>,
     .backward = median_all_back,
     .saves = "input, result0",
     .flags = kInternal,
     .node = "NanmedianBackward0",
     .doc = kNanMedianDoc},
    {.schema =
         "mode(Tensor input, int dim=-1, bool keepdim=False) -> (Tensor values, Tensor indices)",
     .forward = native<mode>,
     .backward = reduced_back<1, 2>,
     .saves = "result1",
     .doc = "The most frequent value along a dimension, the least of equals."},
};

// -- running extremes -----------------------------------------------------------------------------
template <bool Least>
Pair running(const Tensor& x, int64_t dim) {
  check_sortable(x, Least ? "cummin" : "cummax");
  dim = wrap_dim(dim, x.dim());
  Tensor lines = (x.dim() ? transpose_raw(x, dim, -1) : x).contiguous_raw();
  Tensor values = empty(lines.sizes(), x.options()),
         at = empty(lines.sizes(), {DType::int64, x.device()});
  RunningArgs a{};
  a.src = static_cast<const char*>(lines.data());
  a.values = static_cast<char*>(values.data());
  a.indices = at.data<int64_t>();
  a.n = x.dim() ? lines.sizes().back() : 1;
  a.rows = a.n ? lines.numel() / a.n : 0;
  a.dtype = x.dtype();
  a.least = Least;
  running_kernel(x.device_type(), a);
  return {back_in_place(values, x, dim), back_in_place(at, x, dim)};
}

void running_back(Backward& b) {
  static const OpCall scatter_add("scatter_add");
  b.set(0, scatter_add(zeros(b.sizes(0), b.grad().options()), b.arg(1), b.out(1), b.grad()));
}

FLAMBEAU_OPS{
    {.schema = "cummax(Tensor input, int dim) -> (Tensor values, Tensor indices)",
     .forward = native<running<false>>,
     .backward = running_back,
     .saves = "result1",
     .doc = "The greatest element so far along a dimension."},
    {.schema = "cummin(Tensor input, int dim) -> (Tensor values, Tensor indices)",
     .forward = native<running<true>>,
     .backward = running_back,
     .saves = "result1",
     .doc = "The least element so far along a dimension."},
};

}  // namespace
}  // namespace flambeau
