// Tensors filled in place with random numbers: uniform_, normal_, random_, bernoulli_ and their
// kin.
#include "random.h"

#include <algorithm>
#include <cmath>

#include "shape.h"

namespace flambeau {

[[noreturn]] static void no_draws(const char* op, DType t) {
  fail(ErrorKind::not_implemented, op, "(): not implemented for ", t);
}

Drawn drawn_type(DType t, const char* op) {
  switch (t) {
    case DType::boolean:
    case DType::uint8:
    case DType::int8: return Drawn::int8;
    case DType::int16:
    case DType::uint16: return Drawn::int16;
    case DType::int32:
    case DType::uint32: return Drawn::int32;
    case DType::int64:
    case DType::uint64: return Drawn::int64;
    case DType::float16: return Drawn::float16;
    case DType::bfloat16: return Drawn::bfloat16;
    case DType::float32: return Drawn::float32;
    case DType::float64: return Drawn::float64;
    default: no_draws(op, t);
  }
}

Tensor in_memory_order(const Tensor& t) {
  Ints order;
  for (int64_t d = 0; d < t.dim(); ++d) order.push_back(d);
  std::stable_sort(order.begin(), order.end(),
                   [&](int64_t a, int64_t b) { return t.strides()[a] > t.strides()[b]; });
  Ints sizes, strides;
  for (int64_t d : order) {
    sizes.push_back(t.sizes()[d]);
    strides.push_back(t.strides()[d]);
  }
  return t.as_strided_raw(sizes, strides, t->offset);
}

namespace {

bool has_draws(DType t) {
  return t == DType::float32 || t == DType::float64 || t == DType::float16 || t == DType::bfloat16;
}

// A complex tensor as the real numbers it consists of.
Tensor real_parts(const Tensor& t) {
  auto* p = new TensorImpl;
  p->dtype = to_real(t.dtype());
  p->device = t.device();
  p->storage = t->storage;
  p->offset = 2 * t->offset;
  p->sizes = t.sizes();
  p->strides = t.strides();
  for (int64_t& s : p->strides) s *= 2;
  p->sizes.push_back(2);
  p->strides.push_back(1);
  p->refresh();
  return Tensor(Ref<TensorImpl>::adopt(p));
}

// Numbers that are made in float or double, in a tensor of any type.
template <class F>
void draw_in_double(const Tensor& t, const F& f) {
  draw_into(t, [&](void* out, int64_t n) {
    if (t.dtype() == DType::float32) return f(static_cast<float*>(out), n);
    if (t.dtype() == DType::float64) return f(static_cast<double*>(out), n);
    const Tensor numbers = empty(Ints{n}, {DType::float64, t.device()});
    f(numbers.data<double>(), n);
    visit(t.dtype(), [&](auto tag) {
      using T = typename decltype(tag)::type;
      const double* from = numbers.data<double>();
      for (int64_t i = 0; i < n; ++i) static_cast<T*>(out)[i] = convert<T>(from[i]);
    });
  });
}

void normal_blocks(Generator& g, const Tensor& t, double mean, double std) {
  const int64_t n = t.numel();
  if (t.dtype() == DType::float32)
    return draw_normal_blocks(g, t.data<float>(), n, mean, std, false);
  if (t.dtype() == DType::float64)
    return draw_normal_blocks(g, t.data<double>(), n, mean, std, false);
  const Tensor numbers = empty(t.sizes(), t.options(DType::float32));
  draw_normal_blocks(g, numbers.data<float>(), n, mean, std, true);
  copy(t, numbers);
}

}  // namespace

void uniform_fill(const Tensor& t, double from, double to, Generator* g) {
  if (is_complex(t.dtype())) return uniform_fill(real_parts(t), from, to, g);
  if (!has_draws(t.dtype())) no_draws("uniform_", t.dtype());
  const double largest = t.dtype() == DType::float16    ? 65504.0
                         : t.dtype() == DType::bfloat16 ? 0x1.fep127
                         : t.dtype() == DType::float32  ? std::numeric_limits<float>::max()
                                                        : std::numeric_limits<double>::max();
  check(std::fabs(from) <= largest, "uniform_(): from is out of bounds for ", t.dtype());
  check(std::fabs(to) <= largest, "uniform_(): to is out of bounds for ", t.dtype());
  check(from <= to, "uniform_ expects to return a [from, to) range, but found from=", from,
        " > to=", to);
  check(to - from <= largest, "uniform_ expects to-from <= ", largest, ", but found to=", to,
        " and from=", from, " which result in to-from to exceed the limit");
  const Drawn type = drawn_type(t.dtype(), "uniform_");
  draw_into(t, [&](void* out, int64_t n) {
    draw_uniform(generator_or_default(g), out, n, type, from, to);
  });
}

void normal_fill(const Tensor& t, double mean, double std, Generator* g) {
  check(std >= 0, "normal expects std >= 0.0, but found std ", std);
  // Like PyTorch, which shifts both parts by the mean.
  if (is_complex(t.dtype())) return normal_fill(real_parts(t), mean, std / std::sqrt(2.0), g);
  if (!has_draws(t.dtype())) no_draws("normal_", t.dtype());
  if (t.is_meta()) return;
  Generator& generator = generator_or_default(g);
  if (t.numel() >= 16 && t.is_contiguous()) return normal_blocks(generator, t, mean, std);
  draw_in_double(t, [&](auto* out, int64_t n) {
    using T = std::remove_pointer_t<decltype(out)>;
    for (int64_t i = 0; i < n; ++i)
      out[i] = static_cast<T>(std::fma(generator.normal(), std, mean));
  });
}

void exponential_fill(const Tensor& t, double lambda, Generator* g) {
  check(is_floating(t.dtype()) && has_draws(t.dtype()),
        "Exponential distribution is a continuous probability distribution. dtype must be a "
        "floating point but you specified ",
        t.dtype());
  check(lambda > 0, "exponential_ expects lambda > 0.0, but found lambda=", lambda);
  draw_in_double(
      t, [&](auto* out, int64_t n) { draw_exponential(generator_or_default(g), out, n, lambda); });
}

void bernoulli_fill(const Tensor& t, double p, Generator* g) {
  check(p >= 0 && p <= 1, "bernoulli_ expects p to be in [0, 1], but got p=", p);
  const Drawn type = drawn_type(t.dtype(), "bernoulli_");
  draw_into(t,
            [&](void* out, int64_t n) { draw_chances(generator_or_default(g), out, n, type, p); });
}

namespace {

// -- the operators --------------------------------------------------------------------------------
// A drawn number does not depend on what was there: its gradient is zero.
void zero_gradient(Backward& b) {
  for (int i = 0; i < 2; ++i)
    if (b.needs(i)) b.set(i, zeros(b.sizes(i), {b.dtype(i), b.grad().device()}));
}

void uniform_(const Tensor& t, double from, double to, Generator* g) {
  uniform_fill(t, from, to, g);
}
void normal_(const Tensor& t, double mean, double std, Generator* g) {
  normal_fill(t, mean, std, g);
}
void exponential_(const Tensor& t, double lambda, Generator* g) { exponential_fill(t, lambda, g); }
void bernoulli_(const Tensor& t, double p, Generator* g) { bernoulli_fill(t, p, g); }

void check_continuous(const Tensor& t, const char* name) {
  check(has_draws(t.dtype()), name,
        " distribution is a continuous probability distribution. dtype must be a floating point "
        "but you specified ",
        t.dtype());
}

void cauchy_(const Tensor& t, double median, double sigma, Generator* g) {
  check_continuous(t, "Cauchy");
  check(sigma > 0, "cauchy_ expects sigma > 0.0, but found sigma=", sigma);
  draw_in_double(t, [&](auto* out, int64_t n) {
    draw_cauchy(generator_or_default(g), out, n, median, sigma);
  });
}

void log_normal_(const Tensor& t, double mean, double std, Generator* g) {
  if (!has_draws(t.dtype())) no_draws("log_normal_", t.dtype());
  check(std > 0, "log_normal_ expects std > 0.0, but found std=", std);
  Generator& generator = generator_or_default(g);
  draw_in_double(t, [&](auto* out, int64_t n) {
    using T = std::remove_pointer_t<decltype(out)>;
    for (int64_t i = 0; i < n; ++i)
      out[i] = static_cast<T>(std::exp(std::fma(generator.normal(), std, mean)));
  });
}

void geometric_(const Tensor& t, double p, Generator* g) {
  if (t.dtype() == DType::boolean || is_complex(t.dtype())) no_draws("geometric_", t.dtype());
  drawn_type(t.dtype(), "geometric_");
  check(p > 0 && p < 1, "geometric_ expects p to be in (0, 1), but got p=", p);
  draw_in_double(t,
                 [&](auto* out, int64_t n) { draw_geometric(generator_or_default(g), out, n, p); });
}

void bernoulli_of(const Tensor& t, const Tensor& p, Generator* g) {
  drawn_type(t.dtype(), "bernoulli_");
  if (!has_draws(p.dtype())) no_draws("bernoulli_", p.dtype());
  const Tensor each = expand_raw(p, t.sizes());
  if (t.is_meta() || t.numel() == 0) return;
  // p in the order in which t lies in memory.
  const bool wide = p.dtype() == DType::float64;
  const Tensor ordered = in_memory_order(t);
  const Tensor paired = empty_strided(t.sizes(), preserved_strides(t),
                                      p.options(wide ? DType::float64 : DType::float32));
  copy(paired, each);
  const Tensor chances = in_memory_order(paired).contiguous_raw();
  const Tensor drawn = empty(ordered.sizes(), t.options(DType::boolean));
  const auto draw = [&](const auto* each_p) {
    for (int64_t i = 0; i < t.numel(); ++i)
      check(each_p[i] >= 0 && each_p[i] <= 1,
            "bernoulli_(): expected every p to be in [0, 1], but got p=", each_p[i]);
    draw_chances_of(generator_or_default(g), drawn.data<bool>(), t.numel(), each_p);
  };
  if (wide)
    draw(chances.data<double>());
  else
    draw(chances.data<float>());
  copy(ordered, drawn);
}

// -- random_ --------------------------------------------------------------------------------------
// One past the largest integer that random_ draws without bounds, less one: the type's largest, or
// the largest up to which every integer is a number of the type.
uint64_t largest_integer(DType t) {
  switch (t) {
    case DType::boolean: return 1;
    case DType::uint8: return UINT8_MAX;
    case DType::int8: return INT8_MAX;
    case DType::int16: return INT16_MAX;
    case DType::int32: return INT32_MAX;
    case DType::int64: return INT64_MAX;
    case DType::uint16: return UINT16_MAX;
    case DType::uint32: return UINT32_MAX;
    case DType::uint64: return UINT64_MAX;
    case DType::bfloat16: return 1u << 8;
    case DType::float16: return 1u << 11;
    case DType::float32: return 1u << 24;
    case DType::float64: return uint64_t(1) << 53;
    default: fail(ErrorKind::not_implemented, "random_(): not implemented for ", t);
  }
}

bool fits(int64_t v, DType t) {
  switch (t) {
    case DType::boolean: return v == 0 || v == 1;
    case DType::int8: return v >= INT8_MIN && v <= INT8_MAX;
    case DType::int16: return v >= INT16_MIN && v <= INT16_MAX;
    case DType::int32: return v >= INT32_MIN && v <= INT32_MAX;
    case DType::uint8:
    case DType::uint16:
    case DType::uint32: return v >= 0 && v <= static_cast<int64_t>(largest_integer(t));
    case DType::uint64: return v >= 0;
    case DType::float16: return v >= -65504 && v <= 65504;
    default: return true;
  }
}

int mantissa_bits(DType t) {
  switch (t) {
    case DType::bfloat16: return 8;
    case DType::float16: return 11;
    case DType::float32: return 24;
    case DType::float64: return 53;
    default: return 64;
  }
}

int64_t rounded(int64_t v, DType t) {
  switch (t) {
    case DType::bfloat16: return convert<int64_t>(convert<bfloat16>(v));
    case DType::float16: return convert<int64_t>(convert<float16>(v));
    case DType::float32: return convert<int64_t>(static_cast<float>(v));
    case DType::float64: return convert<int64_t>(static_cast<double>(v));
    default: return v;
  }
}

int64_t step_at(int64_t v, int bits) {
  int n = 0;
  for (int64_t x = std::abs(v); x >>= 1;) ++n;
  return int64_t(1) << (n - bits + 1);
}

// Bounds beyond a floating type's exact integers move inwards until no draw rounds past them.
int64_t lower_bound(int64_t from, DType t) {
  const int64_t next = rounded(from + 1, t);
  return next >= from ? from : next + step_at(from + 1, mantissa_bits(t));
}
int64_t upper_bound(int64_t to, DType t) {
  const int64_t last = rounded(to - 1, t);
  return last < to ? to : last - step_at(to - 1, mantissa_bits(t));
}

void draw_range(const Tensor& t, uint64_t range, int64_t low, bool wide, Generator* g) {
  const Drawn type = drawn_type(t.dtype(), "random_");
  draw_into(t, [&](void* out, int64_t n) {
    draw_integers(generator_or_default(g), out, n, type, range, low, wide);
  });
}

constexpr uint64_t kWideRange = uint64_t(1) << 28;  // from here on a draw takes 64 bits

void random_between(const Tensor& t, int64_t from, std::optional<int64_t> to, Generator* g) {
  const uint64_t largest = largest_integer(t.dtype());
  check(fits(from, t.dtype()), "from is out of bounds for ", t.dtype());
  uint64_t range;
  if (to) {
    check(from < *to, "random_ expects 'from' to be less than 'to', but got from=", from,
          " >= to=", *to);
    check(fits(*to - 1, t.dtype()), "to - 1 is out of bounds for ", t.dtype());
    int64_t end = *to;
    if (is_floating(t.dtype())) {
      from = lower_bound(from, t.dtype());
      end = upper_bound(end, t.dtype());
      check(from < end,
            "random_ expects 'from' casted to dtype to be less than 'to' casted to "
            "dtype, but got from=",
            from, " >= to=", end);
    }
    range = static_cast<uint64_t>(end) - static_cast<uint64_t>(from);
  } else {
    if (is_floating(t.dtype())) from = lower_bound(from, t.dtype());
    check(from <= 0 || static_cast<uint64_t>(from) <= largest,
          "random_ expects 'from' to be less than 'to', but got from=", from, " >= to=", largest);
    range = largest - static_cast<uint64_t>(from) + 1;
  }
  draw_range(t, range, from, range >= kWideRange || range == 0, g);
}

void random_default(const Tensor& t, Generator* g) {
  const DType type = t.dtype();
  if (type == DType::uint16 || type == DType::uint32 || type == DType::uint64)
    no_draws("random_", type);
  const bool wide = type == DType::int64 || type == DType::float64;
  draw_range(t, largest_integer(type) + 1, 0, wide, g);
}
void random_to(const Tensor& t, int64_t to, Generator* g) { random_between(t, 0, to, g); }

FLAMBEAU_OPS{
    {.schema = "uniform_(Tensor(a!) input, float from=0, float to=1, *, Generator? generator=None) "
               "-> Tensor(a!)",
     .inplace = native<uniform_>,
     .backward = zero_gradient,
     .node = "UniformBackward0",
     .doc = "Fills with numbers drawn evenly from [from, to)."},
    {.schema = "normal_(Tensor(a!) input, float mean=0, float std=1, *, Generator? generator=None) "
               "-> Tensor(a!)",
     .inplace = native<normal_>,
     .backward = zero_gradient,
     .node = "NormalBackward0",
     .doc = "Fills with normally distributed numbers."},
    {.schema = "exponential_(Tensor(a!) input, float lambd=1, *, Generator? generator=None) -> "
               "Tensor(a!)",
     .inplace = native<exponential_>,
     .backward = zero_gradient,
     .node = "ExponentialBackward0",
     .doc = "Fills with exponentially distributed numbers of rate lambd."},
    {.schema = "cauchy_(Tensor(a!) input, float median=0, float sigma=1, *, Generator? "
               "generator=None) -> Tensor(a!)",
     .inplace = native<cauchy_>,
     .backward = zero_gradient,
     .node = "CauchyBackward0",
     .doc = "Fills with numbers from the Cauchy distribution."},
    {.schema = "log_normal_(Tensor(a!) input, float mean=1, float std=2, *, Generator? "
               "generator=None) -> Tensor(a!)",
     .inplace = native<log_normal_>,
     .backward = zero_gradient,
     .node = "LogNormalBackward0",
     .doc = "Fills with numbers whose logarithm is normally distributed."},
    {.schema = "geometric_(Tensor(a!) input, float p, *, Generator? generator=None) -> Tensor(a!)",
     .inplace = native<geometric_>,
     .backward = zero_gradient,
     .node = "GeometricBackward0",
     .doc = "Fills with the number of trials up to the first success, of probability p."},
    {.schema = "bernoulli_(Tensor(a!) input, Tensor p, *, Generator? generator=None) -> Tensor(a!)",
     .inplace = native<bernoulli_of>,
     .backward = zero_gradient,
     .node = "BernoulliBackward1",
     .doc = "Fills with 1, with probability p, and 0 otherwise."},
    {.schema = "bernoulli_(Tensor(a!) input, float p=0.5, *, Generator? generator=None) -> "
               "Tensor(a!)",
     .inplace = native<bernoulli_>,
     .backward = zero_gradient,
     .node = "BernoulliBackward0",
     .doc = "Fills with 1, with probability p, and 0 otherwise."},
    {.schema = "random_(Tensor(a!) input, *, Generator? generator=None) -> Tensor(a!)",
     .inplace = native<random_default>,
     .backward = zero_gradient,
     .node = "RandomBackward0",
     .doc = "Fills with integers drawn evenly from [from, to), by default from 0 to the largest "
            "that the dtype has, or counts exactly up to."},
    {.schema = "random_(Tensor(a!) input, int to, *, Generator? generator=None) -> Tensor(a!)",
     .inplace = native<random_to>,
     .backward = zero_gradient,
     .node = "RandomBackward1"},
    {.schema = "random_(Tensor(a!) input, int from, int? to, *, Generator? generator=None) -> "
               "Tensor(a!)",
     .inplace = native<random_between>,
     .backward = zero_gradient,
     .node = "RandomBackward2"},
};

}  // namespace
}  // namespace flambeau
