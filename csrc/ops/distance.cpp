// Distances between the rows of two matrices, or between all pairs of rows of one: cdist, pdist.
#include "../kernels/distance.h"

#include <cmath>

#include "expression.h"

namespace flambeau {
namespace {

const OpCall call_unsqueeze("unsqueeze"), call_sum("sum"), call_mask("masked_fill"),
    call_select("select"), call_pick("index_select"), call_index_add("index_add"),
    call_triangle("triu_indices");

Norm norm_of(double p) { return p == 1 ? Norm::one : p == 2 ? Norm::two : Norm::greatest; }

void check_rows(const Tensor& x, double p) {
  check(x.dtype() == DType::float32 || x.dtype() == DType::float64,
        "distances: expected float32 or float64, got ", x.dtype());
  check(x.dim() >= 2, "distances: expected a matrix or a batch of them, got ", x.sizes());
  check(p == 1 || p == 2 || std::isinf(p), "distances: p is ", p, ", not 1, 2 or infinity");
}

void run(const Tensor& x1, const Tensor& x2, const Tensor& out, double p, bool pairs) {
  if (out.is_meta() || !out.numel()) return;
  const Tensor a = x1.contiguous_raw(), b = x2.contiguous_raw();
  const int64_t last = a.dim() - 1, n1 = a.sizes()[last - 1], width = a.sizes()[last];
  distance_kernel(a.device_type(),
                  {.x1 = a.data(),
                   .x2 = b.data(),
                   .out = out.data(),
                   .batch = out.numel() / (pairs ? n1 * (n1 - 1) / 2 : n1 * b.sizes()[last - 1]),
                   .n1 = n1,
                   .n2 = b.sizes()[last - 1],
                   .width = width,
                   .norm = norm_of(p),
                   .pairs = pairs,
                   .f64 = a.dtype() == DType::float64});
}

Tensor distances(const Tensor& x1, const Tensor& x2, double p) {
  check_rows(x1, p);
  Ints sizes = x1.sizes(), other = x2.sizes();
  const auto last = static_cast<int64_t>(sizes.size()) - 1;
  bool fits = x2.dtype() == x1.dtype() && other.size() == sizes.size();
  for (int64_t d = 0; fits && d <= last; ++d) fits = d == last - 1 || sizes[d] == other[d];
  check(fits, "distances: rows of ", x1.dtype(), " ", x1.sizes(), " and of ", x2.dtype(), " ",
        x2.sizes());
  sizes[last] = other[last - 1];
  const Tensor out = empty(sizes, x1.options());
  run(x1, x2, out, p, false);
  return out;
}

Tensor pair_distances(const Tensor& x, double p) {
  check_rows(x, p);
  Ints sizes(IntSpan(x.sizes().data(), static_cast<size_t>(x.dim() - 2)));
  const int64_t n = x.sizes()[x.dim() - 2];
  sizes.push_back(n * (n - 1) / 2);
  const Tensor out = empty(sizes, x.options());
  run(x, x, out, p, true);
  return out;
}

// The gradient of the distances d with that of each difference; 0 where there is no distance.
Tensor slope(const Tensor& apart, const Tensor& d, const Tensor& g, double p) {
  const auto along = [](const Tensor& t) { return call_unsqueeze(t, int64_t(-1)); };
  if (p == 1) return sgn(apart) * along(g);
  if (p == 2) {
    const Tensor none = d == 0.0;
    return along(call_mask(g / call_mask(d, none, 1.0), none, 0.0)) * apart;
  }
  return where(abs(apart) == along(d), sgn(apart) * along(g), 0.0);
}

void distances_back(Backward& b) {
  const Tensor apart = call_unsqueeze(b.in(0), int64_t(-2)) - call_unsqueeze(b.in(1), int64_t(-3));
  const Tensor g = slope(apart, b.out(), b.grad(), b.arg(2).as_double());
  if (b.needs(0)) b.set(0, call_sum(g, Ints{-2}));
  if (b.needs(1)) b.set(1, -call_sum(g, Ints{-3}));
}

void pair_distances_back(Backward& b) {
  const Tensor x = b.in(0);
  const int64_t dim = x.dim() - 2, n = x.sizes()[dim];
  const Tensor at = call_triangle(n, n, int64_t(1));
  const Tensor first = call_select(at, int64_t(0), int64_t(0)),
               second = call_select(at, int64_t(0), int64_t(1));
  const Tensor apart = call_pick(x, dim, first) - call_pick(x, dim, second);
  const Tensor g = slope(apart, b.out(), b.grad(), b.arg(1).as_double());
  const Tensor zero = zeros(x.sizes(), g.options());
  b.set(0, call_index_add(call_index_add(zero, dim, first, g), dim, second, -g));
}

}  // namespace

FLAMBEAU_OPS({
    {.schema = "_distances(Tensor x1, Tensor x2, float p) -> Tensor",
     .forward = native<distances>,
     .backward = distances_back,
     .saves = "x1, x2, result",
     .flags = kInternal,
     .node = "CdistBackward0",
     .doc = "Norms of the differences of the rows of [..., P, M] and [..., R, M]: [..., P, R]."},
    {.schema = "_pair_distances(Tensor input, float p) -> Tensor",
     .forward = native<pair_distances>,
     .backward = pair_distances_back,
     .saves = "input, result",
     .flags = kInternal,
     .node = "PdistBackward0",
     .doc = "Norms of the differences of all pairs of rows of [..., N, M]."},
});

}  // namespace flambeau
