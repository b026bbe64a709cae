// Samples from parameters in tensors: multinomial, poisson, binomial, gamma and Dirichlet.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "random.h"
#include "shape.h"

namespace flambeau {
namespace {

bool is_drawn(DType t) {
  return t == DType::float32 || t == DType::float64 || t == DType::float16 || t == DType::bfloat16;
}

// f of each number of x, one after the other, in row-major order.
template <class F>
Tensor each(const Tensor& x, const char* op, const F& f) {
  if (!is_drawn(x.dtype()))
    fail(ErrorKind::not_implemented, op, "(): not implemented for ", x.dtype());
  const Tensor y = empty(x.sizes(), x.options());
  if (x.is_meta()) return y;
  const Tensor from = x.contiguous_raw();
  visit(x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    if constexpr (std::is_floating_point_v<T> || is_reduced_float<T>)
      for (int64_t i = 0; i < x.numel(); ++i) y.data<T>()[i] = convert<T>(f(from.data<T>()[i], i));
  });
  return y;
}

Tensor poisson(const Tensor& rates, Generator* g) {
  Generator& generator = generator_or_default(g);
  return each(rates, "poisson", [&](auto rate, int64_t) {
    const auto r = convert<double>(rate);
    check(r >= 0, "invalid Poisson rate, expected rate to be non-negative");
    return draw_poisson(generator, r);
  });
}

Tensor binomial(const Tensor& count, const Tensor& prob, Generator* g) {
  check_type(count.dtype() == prob.dtype(), "binomial(): count is ", count.dtype(), ", prob is ",
             prob.dtype(), "; they must be of one dtype");
  Generator& generator = generator_or_default(g);
  const Ints shape = broadcast_shapes(count.sizes(), prob.sizes(), "binomial");
  const Tensor counts = expand_raw(count, shape);
  if (count.is_meta()) return empty(shape, count.options());
  const Tensor p = expand_raw(prob, shape).to_raw(DType::float64).contiguous_raw();
  return each(counts, "binomial", [&](auto n, int64_t i) {
    return draw_binomial(generator, convert<double>(n), p.data<double>()[i]);
  });
}

// The smallest positive number of the type, which a draw that rounds to zero becomes.
double tiny(DType t) {
  switch (t) {
    case DType::float16: return 0x1p-14;
    case DType::float64: return std::numeric_limits<double>::min();
    default: return std::numeric_limits<float>::min();
  }
}

Tensor gamma_like(const Tensor& alpha, const char* op, Generator& g) {
  const double least = tiny(alpha.dtype());
  return each(alpha, op, [&](auto a, int64_t) {
    using T = std::conditional_t<std::is_same_v<decltype(a), double>, double, float>;
    return std::max(static_cast<double>(draw_gamma<T>(g, convert<T>(a))), least);
  });
}

Tensor standard_gamma(const Tensor& alpha, Generator* g) {
  return gamma_like(alpha, "_standard_gamma", generator_or_default(g));
}

Tensor sample_dirichlet(const Tensor& alpha, Generator* g) {
  const Tensor gammas =
      gamma_like(alpha.to_raw(DType::float64), "_sample_dirichlet", generator_or_default(g));
  const Tensor y = empty(alpha.sizes(), alpha.options());
  if (alpha.is_meta() || alpha.numel() == 0) return y;
  const int64_t n = alpha.dim() ? alpha.sizes().back() : 1;
  // Draws of small concentrations come near the corners, never into them.
  const double least = tiny(alpha.dtype());
  const double most = alpha.dtype() == DType::float64 ? 1 - 0x1p-53 : 1 - 0x1p-24;
  auto* p = gammas.data<double>();
  for (int64_t row = 0; row < alpha.numel() / n; ++row, p += n) {
    const double sum = std::accumulate(p, p + n, 0.0);
    for (int64_t i = 0; i < n; ++i) p[i] = std::clamp(p[i] / sum, least, n > 1 ? most : 1.0);
  }
  copy(y, gammas);
  return y;
}

// Implicit reparametrization (Figurnov, Mohamed and Mnih 2018): a draw moves with its parameter so
// that its place in the distribution stays.
void standard_gamma_backward(Backward& b) {
  static const OpCall slope("_standard_gamma_grad"), times("mul");
  b.set(0, times(b.grad(), slope(b.in(0), b.out())));
}

// A part x of a draw is Beta(alpha, total - alpha); when it moves, the others shrink in proportion.
void sample_dirichlet_backward(Backward& b) {
  static const OpCall slope("_dirichlet_grad"), times("mul"), minus("sub"), sum("sum");
  const Tensor &g = b.grad(), alpha = b.in(0), x = b.out();
  const Tensor total = sum(alpha, Ints{-1}, true), along = sum(times(x, g), Ints{-1}, true);
  b.set(0, times(slope(x, alpha, total), minus(g, along)));
}

// -- multinomial ----------------------------------------------------------------------------------
template <class T>
void check_weights(const T* w, int64_t n) {
  bool good = true, positive = false;
  for (int64_t i = 0; i < n; ++i) {
    good &= w[i] >= 0 && w[i] <= std::numeric_limits<T>::max();
    positive |= w[i] > 0;
  }
  check(good, "probability tensor contains either `inf`, `nan` or element < 0");
  check(positive, "invalid multinomial distribution (sum of probabilities <= 0)");
}

// The places of the `samples` largest quotients of weights and exponential draws.
template <class T>
void without_replacement(const T* w, const T* draws, int64_t n, int64_t samples, int64_t* out) {
  std::vector<T> keys(static_cast<size_t>(n));
  for (int64_t i = 0; i < n; ++i) keys[i] = w[i] / draws[i];
  std::vector<int64_t> order(static_cast<size_t>(n));
  std::iota(order.begin(), order.end(), 0);
  std::partial_sort(order.begin(), order.begin() + samples, order.end(), [&](int64_t a, int64_t b) {
    return keys[a] > keys[b] || (keys[a] == keys[b] && a < b);
  });
  std::copy_n(order.begin(), samples, out);
}

template <class T>
void with_replacement(const T* w, int64_t n, int64_t samples, int64_t* out, Generator& g) {
  std::vector<T> cumulated(static_cast<size_t>(n));
  T sum = 0;
  for (int64_t i = 0; i < n; ++i) cumulated[i] = sum += w[i];
  for (T& c : cumulated) c /= sum;
  cumulated[n - 1] = 1;
  for (int64_t s = 0; s < samples; ++s) {
    const double u = g.uniform();
    out[s] = std::lower_bound(cumulated.begin(), cumulated.end(), u) - cumulated.begin();
  }
}

template <class T>
void sample_rows(const Tensor& w, int64_t samples, bool replacement, const Tensor& out,
                 const Tensor& like, Generator& g) {
  const int64_t n = w.size(-1), rows = w.numel() / n;
  const T* weights = w.data<T>();
  auto* places = out.data<int64_t>();
  for (int64_t r = 0; r < rows; ++r) check_weights(weights + r * n, n);
  if (replacement && samples > 1) {
    for (int64_t r = 0; r < rows; ++r)
      with_replacement(weights + r * n, n, samples, places + r * samples, g);
    return;
  }
  Tensor draws = empty_strided(w.sizes(), preserved_strides(like), w.options());
  draw_exponential(g, draws.data<T>(), w.numel(), 1.0);  // in the order of memory, as PyTorch
  draws = draws.contiguous_raw();
  for (int64_t r = 0; r < rows; ++r)
    without_replacement(weights + r * n, draws.data<T>() + r * n, n, samples, places + r * samples);
}

Tensor multinomial(const Tensor& w, int64_t samples, bool replacement, Generator* g) {
  check(w.dim() == 1 || w.dim() == 2, "prob_dist must be 1 or 2 dim");
  check(is_drawn(w.dtype()),
        "multinomial only supports floating-point dtypes for input, got: ", w.dtype());
  check(samples > 0, "cannot sample n_sample <= 0 samples");
  const int64_t n = w.size(-1);
  check(replacement || samples <= n,
        "cannot sample n_sample > prob_dist.size(-1) samples without replacement");
  check(n <= int64_t(1) << 24, "number of categories cannot exceed 2^24");
  Ints shape{samples};
  if (w.dim() == 2) shape.insert(0, w.size(0));
  const Tensor out = empty(shape, w.options(DType::int64));
  if (w.is_meta() || out.numel() == 0) return out;
  check(n > 0, "invalid multinomial distribution (sum of probabilities <= 0)");
  Generator& generator = generator_or_default(g);
  if (w.dtype() == DType::float64)
    sample_rows<double>(w.contiguous_raw(), samples, replacement, out, w, generator);
  else
    sample_rows<float>(w.to_raw(DType::float32).contiguous_raw(), samples, replacement, out, w,
                       generator);
  return out;
}

void multinomial_op(Value* args, Value* results) {
  const Tensor out = results[0].as_tensor();
  check(!out.defined() || out.dtype() == DType::int64,
        "multinomial expects Long tensor out, got: ", out.defined() ? out.dtype() : DType::int64);
  const Tensor places =
      multinomial(args[0].as_tensor(), args[1].as_int(), args[2].as_bool(), args[3].as_generator());
  if (out.defined()) {
    resize(out, places.sizes());
    copy(out, places);
  }
  results[0] = Value(out.defined() ? out : places);
}

void zero_gradients(Backward& b) {
  for (int i = 0; i < 2; ++i)
    if (b.needs(i)) b.set(i, zeros(b.sizes(i), {b.dtype(i), b.grad().device()}));
}

FLAMBEAU_OPS{
    {.schema = "multinomial(Tensor input, int num_samples, bool replacement=False, *, "
               "Generator? generator=None) -> Tensor",
     .forward = multinomial_op,
     .flags = kNotDifferentiable | kWritesOut,
     .doc = "Places drawn with the probabilities in each row of input, which need not sum to 1."},
    {.schema = "poisson(Tensor input, Generator? generator=None) -> Tensor",
     .forward = native<poisson>,
     .backward = zero_gradients,
     .flags = kNoMethod,
     .doc = "Poisson-distributed numbers of the rates in input."},
    {.schema = "binomial(Tensor count, Tensor prob, Generator? generator=None) -> Tensor",
     .forward = native<binomial>,
     .backward = zero_gradients,
     .flags = kNoMethod,
     .doc = "The number of successes among count trials, each of probability prob."},
    {.schema = "_standard_gamma(Tensor input, Generator? generator=None) -> Tensor",
     .forward = native<standard_gamma>,
     .backward = standard_gamma_backward,
     .saves = "input, result",
     .flags = kNoMethod,
     .doc = "Gamma-distributed numbers of the shapes in input and rate 1."},
    {.schema = "_sample_dirichlet(Tensor input, Generator? generator=None) -> Tensor",
     .forward = native<sample_dirichlet>,
     .backward = sample_dirichlet_backward,
     .saves = "input, result",
     .flags = kNoMethod,
     .doc = "Dirichlet-distributed rows of the concentrations in input."},
};

}  // namespace
}  // namespace flambeau
