// The records of pointwise.def, their aliases, and the operators that choose between them.
#include "../pointwise.h"

#include "expression.h"

namespace flambeau {

Tensor sgn_slope(const Tensor& g, const Tensor& x, const Tensor& y) {
  if (!is_complex(x.dtype())) return g * 0.0;
  static const OpCall real("real");
  Tensor a = abs(x), safe = where(a == 0.0, 1.0, a);
  return where(a == 0.0, 0.0, g / safe - y * real(g / safe * conj(y)));
}

Tensor angle_slope(const Tensor& g, const Tensor& x) {
  if (!is_complex(x.dtype())) return g * 0.0;
  static const OpCall re("real"), im("imag"), make("complex");
  Tensor a = re(x), b = im(x), n = a * a + b * b, safe = where(n == 0.0, 1.0, n);
  return where(n == 0.0, 0.0, make(-b / safe * g, a / safe * g));
}

namespace {

struct NoGradient {
  operator Tensor() const { return {}; }
  operator Probe() const { return {}; }
};

// The gradient texts as a function of any type: g, operands x z u, result y.
template <class T>
struct Vars {
  T g, x, z, u, y;
};
#define FLAMBEAU_GRADIENT(...)                                                  \
  [[maybe_unused]] const auto &g = v.g, &x = v.x, &z = v.z, &u = v.u, &y = v.y; \
  [[maybe_unused]] const double p = numbers[0], q = numbers[1], r = numbers[2];

#define UNARY(name, schema, flags, value, g0, doc)                    \
  struct Def_##name {                                                 \
    static constexpr int operands = 1, types = flags;                 \
    static constexpr bool zero[3] = {named(#g0, "ZERO")};             \
    static constexpr bool none = named(#g0, "NONE");                  \
    template <class T>                                                \
    static T gradient(int, const Vars<T>& v, const double* numbers) { \
      FLAMBEAU_GRADIENT()                                             \
      return g0;                                                      \
    }                                                                 \
  };
#define BINARY(name, schema, flags, value, g0, g1, doc)                       \
  struct Def_##name {                                                         \
    static constexpr int operands = 2, types = flags;                         \
    static constexpr bool zero[3] = {named(#g0, "ZERO"), named(#g1, "ZERO")}; \
    static constexpr bool none = named(#g0, "NONE");                          \
    template <class T>                                                        \
    static T gradient(int k, const Vars<T>& v, const double* numbers) {       \
      FLAMBEAU_GRADIENT()                                                     \
      if (k == 0) return g0;                                                  \
      return g1;                                                              \
    }                                                                         \
  };
#define TERNARY(name, schema, flags, value, g0, g1, g2, doc)                                      \
  struct Def_##name {                                                                             \
    static constexpr int operands = 3, types = flags;                                             \
    static constexpr bool zero[3] = {named(#g0, "ZERO"), named(#g1, "ZERO"), named(#g2, "ZERO")}; \
    static constexpr bool none = named(#g0, "NONE");                                              \
    template <class T>                                                                            \
    static T gradient(int k, const Vars<T>& v, const double* numbers) {                           \
      FLAMBEAU_GRADIENT()                                                                         \
      if (k == 0) return g0;                                                                      \
      if (k == 1) return g1;                                                                      \
      return g2;                                                                                  \
    }                                                                                             \
  };
#include "pointwise.def"
#undef UNARY
#undef BINARY
#undef TERNARY

const Vars<Probe> kProbes = {Probe(kReadsG, true), Probe(kReadsX), Probe(kReadsZ), Probe(kReadsU),
                             Probe(kReadsY)};

template <class D>
PointwiseOp describe(const char* name, int index) {
  PointwiseOp op{};
  op.name = name;
  op.index = index;
  op.operands = D::operands;
  op.types = D::types;
  op.differentiable = !D::none;
  const double numbers[kMaxNumbers] = {};
  for (int k = 0; k < D::operands; ++k) {
    op.reads[k] = D::gradient(k, kProbes, numbers).reads;
    op.zero[k] = D::zero[k];
  }
  op.expression = [](int k, const Tensor& g, const Tensor* in, const Tensor& y, const double* n) {
    return D::gradient(k, Vars<Tensor>{g, in[0], in[1], in[2], y}, n);
  };
  op.is_identity = [](int k, const double* n) { return D::gradient(k, kProbes, n).is_g; };
  return op;
}

// "add(Tensor input, ...) -> Tensor" -> "add", without namespace or leading underscore.
const char* plain_name(const char* schema) {
  std::string s(schema, std::string(schema).find('('));
  size_t from = s.rfind('.') == std::string::npos ? 0 : s.rfind('.') + 1;
  if (s[from] == '_') ++from;
  return (new std::string(s.substr(from)))->c_str();  // kept with the record
}

template <class D, int index>
void enter(const char* schema, const char* doc) {
  static PointwiseOp op = describe<D>(plain_name(schema), index);
  OpRecord r{};
  r.schema = schema;
  r.forward = [](Value* args, Value* results) { pointwise_forward(op, args, results); };
  r.fuse = pointwise_fuse;
  if (op.differentiable) r.backward = [](Backward& b) { pointwise_backward(op, b); };
  uint32_t reads = op.reads[0] | op.reads[1] | op.reads[2];
  std::string saves;
  Schema parsed = Schema::parse(schema);
  op.numbers = static_cast<int>(parsed.args.size()) - op.operands;
  for (int k = 0; k < op.operands; ++k)
    if (reads & (kReadsX << k)) saves += (saves.empty() ? "" : ", ") + parsed.args[k].name;
  if (reads & kReadsY) saves += saves.empty() ? "result" : ", result";
  r.saves = saves.c_str();
  r.flags = kInplace | kWritesOut;
  if (op.types & (OTHER | EITHER | BOTH) || op.operands > 2 ||
      (op.operands > 1 && parsed.name[0] == '_'))
    r.flags |= kNumbers;
  if (!op.differentiable) r.flags |= kNotDifferentiable;
  if (parsed.name[0] == '_') r.flags |= kInternal;
  if (parsed.args[0].name == "condition") r.flags = (r.flags | kNoMethod) & ~kInplace;
  r.doc = doc;
  r.pointwise = &op;
  register_op(r);
}

const bool entered = [] {
#define UNARY(name, schema, flags, value, g0, doc) enter<Def_##name, pointwise_##name>(schema, doc);
#define BINARY(name, schema, flags, value, g0, g1, doc) \
  enter<Def_##name, pointwise_##name>(schema, doc);
#define TERNARY(name, schema, flags, value, g0, g1, g2, doc) \
  enter<Def_##name, pointwise_##name>(schema, doc);
#include "pointwise.def"
#undef UNARY
#undef BINARY
#undef TERNARY
  return true;
}();

// -- operators that choose between lines ----------------------------------------------------------
Tensor div_mode(const Value& x, const Value& z, const std::optional<std::string>& mode) {
  static const OpCall divide("div"), floor("_div_floor"), trunc("_div_trunc");
  if (!mode) return divide(x, z);
  if (*mode == "floor") return floor(x, z);
  check(*mode == "trunc",
        "div(): expected rounding_mode to be one of None, 'trunc', or 'floor' but "
        "found '",
        *mode, "'");
  static const OpCall whole("trunc");  // of narrow floats, the quotient is rounded to them first
  if (x.is_tensor() && is_floating(x.as_tensor().dtype()) && itemsize(x.as_tensor().dtype()) == 2)
    return whole(divide(x, z));
  return trunc(x, z);
}

// f(x, numbers...), or f_ of the same.
template <bool in_place, class... A>
Tensor run(const OpCall& f, const Tensor& x, A&&... a) {
  if constexpr (!in_place) return f(x, std::forward<A>(a)...);
  f.inplace(x, std::forward<A>(a)...);
  return x;
}

template <bool in_place>
Tensor clamp(const Tensor& x, const Value& low, const Value& high) {
  static const OpCall both("_clamp"), least("_clamp_min"), most("_clamp_max"),
      both_t("_clamp_tensor"), least_t("_clamp_min_tensor"), most_t("_clamp_max_tensor");
  check(!low.is_none() || !high.is_none(),
        "clamp(): At least one of 'min' or 'max' must not be None");
  check_type(!is_complex(x.dtype()), "clamp(): is not supported for complex types");
  // A float bound takes integers to floats; the numbered forms keep the type of x.
  auto widens = [&](const Value& v) {
    if (!v.is_scalar() || is_inexact(x.dtype())) return false;
    return v.as_scalar().kind > (x.dtype() == DType::boolean ? Scalar::boolean : Scalar::integer);
  };
  if (low.is_tensor() || high.is_tensor() || widens(low) || widens(high)) {
    if (high.is_none()) return run<in_place>(least_t, x, low);
    if (low.is_none()) return run<in_place>(most_t, x, high);
    return run<in_place>(both_t, x, low, high);
  }
  if (high.is_none()) return run<in_place>(least, x, low);
  if (low.is_none()) return run<in_place>(most, x, high);
  return run<in_place>(both, x, low, high);
}

template <bool in_place>
Tensor clamp_min(const Tensor& x, const Value& low) {
  return clamp<in_place>(x, low, Value());
}
template <bool in_place>
Tensor clamp_max(const Tensor& x, const Value& high) {
  return clamp<in_place>(x, Value(), high);
}

Tensor gelu(const Tensor& x, const std::string& approximate) {
  static const OpCall exact("_gelu"), fast("_gelu_tanh");
  if (approximate == "tanh") return fast(x);
  check(approximate == "none", "gelu(): approximate argument must be either none or tanh, got ",
        approximate);
  return exact(x);
}

Tensor round(const Tensor& x, int64_t decimals) {
  static const OpCall nearest("_round");
  if (decimals == 0) return nearest(x);
  double ten = 1;
  for (int64_t i = decimals; i != 0 && ten < HUGE_VAL; i += i < 0 ? 1 : -1) ten *= 10;
  return decimals > 0 ? nearest(x * ten) / ten : nearest(x / ten) * ten;
}

Tensor round_(const Tensor& x, int64_t decimals) {
  static const OpCall nearest("_round"), assign("copy_");
  decimals ? assign.inplace(x, round(x, decimals)) : nearest.inplace(x);
  return x;
}

Tensor logit(const Tensor& x, std::optional<double> eps) {
  static const OpCall f("_logit"), keep("_clamp");
  if (!eps) return f(x);
  return f(keep(is_inexact(x.dtype()) ? x : x.to_raw(default_dtype()), *eps, 1 - *eps));
}

Tensor polygamma_of(int64_t n, const Tensor& x) {
  static const OpCall f("_polygamma");
  check(n >= 0, "polygamma(n, x) does not support negative n.");
  static const OpCall digamma("digamma"), trigamma("_trigamma");
  if (n <= 1) return n ? trigamma(x) : digamma(x);
  return f(x, static_cast<double>(n));
}

// The logarithm of the p-dimensional gamma function (DLMF 35.3.5).
Tensor mvlgamma(const Tensor& x, int64_t p) {
  static const OpCall minus("sub"), plus("add"), log_gamma("lgamma");
  check(p >= 1, "p has to be greater than or equal to 1");
  check(p <= 1 << 24, "mvlgamma(): p is ", p, ", too many dimensions");
  const double order = static_cast<double>(p), log_pi = 1.1447298858494002;
  Tensor sum;
  for (int64_t k = 0; k < p; ++k) {
    Tensor term = log_gamma(minus(x, 0.5 * static_cast<double>(k)));
    sum = k ? plus(sum, term) : term;
  }
  return plus(sum, order * (order - 1) / 4 * log_pi);
}

// In two steps, as a power of two alone may be too large where the result is not.
Tensor ldexp(const Tensor& x, const Tensor& other) {
  static const OpCall power("exp2"), times("mul"), minus("sub"), cast("to"), down("_div_floor");
  if (is_complex(other.dtype())) return times(x, power(other));
  DType real = is_inexact(x.dtype()) ? to_real(x.dtype()) : default_dtype();
  if (is_floating(other.dtype())) real = promote(real, other.dtype());
  const DType wide = itemsize(real) < 4 ? DType::float32 : real;
  const Tensor e = cast(other, wide), half = down(e, 2.0);
  const Tensor y = times(times(x, power(half)), power(minus(e, half)));
  return wide == real ? y : cast(y, real);
}

std::tuple<Tensor, Tensor> frexp(const Tensor& x) {
  static const OpCall mantissa("_frexp_mantissa"), exponent("_frexp_exponent");
  check(is_floating(x.dtype()), "torch.frexp() only supports floating-point dtypes");
  return {mantissa(x), exponent(x).to_raw(DType::int32)};
}

template <bool in_place>
Tensor nan_to_num(const Tensor& x, std::optional<double> nan, std::optional<double> posinf,
                  std::optional<double> neginf) {
  static const OpCall f("_nan_to_num"), parts("view_as_real"), whole("view_as_complex");
  if (!is_inexact(x.dtype())) return in_place ? x : x.clone_raw();
  if (is_complex(x.dtype())) {
    const Tensor y = nan_to_num<in_place>(parts(x), nan, posinf, neginf);
    return in_place ? x : whole(y);
  }
  double largest = x.dtype() == DType::float64    ? std::numeric_limits<double>::max()
                   : x.dtype() == DType::float16  ? 65504.0
                   : x.dtype() == DType::bfloat16 ? 0x1.fep127
                                                  : double(std::numeric_limits<float>::max());
  return run<in_place>(f, x, nan.value_or(0), posinf.value_or(largest), neginf.value_or(-largest));
}

Tensor prelu(const Tensor& x, const Tensor& weight) {
  static const OpCall f("_prelu"), reshape("reshape");
  check(weight.dim() <= 1,
        "prelu: Expected `weight` to be a scalar or 1D tensor, but got: ndim = ", weight.dim());
  if (weight.numel() == 1) return f(x, reshape(weight, Ints{}));
  check(x.dim() >= 1, "prelu(): Not allow zero-dim input tensor.");
  int64_t channels = x.dim() > 1 ? x.sizes()[1] : 1;
  check(channels == weight.numel(),
        "prelu(): Mismatch of parameter numbers and input channel size. "
        "Found parameter numbers = ",
        weight.numel(), " and channel size = ", channels, ".");
  Ints shape(static_cast<size_t>(x.dim() > 1 ? x.dim() - 1 : 1), 1);
  shape[0] = weight.numel();
  return f(x, reshape(weight, shape));
}

Tensor bitwise_not(const Tensor& x) {
  static const OpCall bits("_bitwise_not"), truth("logical_not");
  return x.dtype() == DType::boolean ? truth(x) : bits(x);
}

Tensor conj_of(const Tensor& x) {
  static const OpCall f("conj_physical");
  return is_complex(x.dtype()) ? f(x) : x;
}
// As PyTorch has it: what the gradient reads is neither the input nor the result.
Tensor tanhshrink(const Tensor& x) { return x - tanh(x); }
Tensor positive(const Tensor& x) {
  check(x.dtype() != DType::boolean, "The `+` operator, on a bool tensor is not supported.");
  return x;
}

}  // namespace

constexpr uint32_t kChoice = kComposite | kInplace;
FLAMBEAU_OPS({
    {.schema = "div(Tensor input, Tensor other, *, str? rounding_mode) -> Tensor",
     .forward = native<div_mode>,
     .flags = kChoice | kNumbers,
     .doc = "Quotient; rounding_mode is None, 'trunc' or 'floor'."},
    {.schema = "div(Scalar input, Scalar other, *, str? rounding_mode) -> Tensor",
     .forward = native<div_mode>,
     .flags = kComposite | kNoMethod,
     .doc = "Quotient of numbers; rounding_mode is None, 'trunc' or 'floor'."},
    {.schema = "bitwise_not(Tensor input) -> Tensor",
     .forward = native<bitwise_not>,
     .flags = kChoice,
     .doc = "Every bit the other way round; of a bool, not."},
    {.schema = "nn.functional.tanhshrink(Tensor input) -> Tensor",
     .forward = native<tanhshrink>,
     .flags = kComposite | kNoMethod,
     .doc = "x - tanh(x)."},
    {.schema = "floor_divide(Tensor input, Tensor other) -> Tensor",
     .flags = kInplace,
     .alias = "_div_floor"},
    {.schema = "clamp(Tensor input, Tensor? min=None, Tensor? max=None) -> Tensor",
     .forward = native<clamp<false>>,
     .flags = kComposite | kNumbers,
     .doc = "input kept between min and max, either of which may be None."},
    {.schema = "clamp_(Tensor(a!) input, Tensor? min=None, Tensor? max=None) -> Tensor(a!)",
     .forward = native<clamp<true>>,
     .flags = kComposite | kNumbers,
     .doc = "clamp() in place."},
    {.schema = "clip(Tensor input, Tensor? min=None, Tensor? max=None) -> Tensor",
     .alias = "clamp"},
    {.schema = "clip_(Tensor(a!) input, Tensor? min=None, Tensor? max=None) -> Tensor(a!)",
     .alias = "clamp_"},
    {.schema = "clamp_min(Tensor input, Tensor min) -> Tensor",
     .forward = native<clamp_min<false>>,
     .flags = kComposite | kNumbers,
     .doc = "input, but at least min."},
    {.schema = "clamp_min_(Tensor(a!) input, Tensor min) -> Tensor(a!)",
     .forward = native<clamp_min<true>>,
     .flags = kComposite | kNumbers,
     .doc = "clamp_min() in place."},
    {.schema = "clamp_max(Tensor input, Tensor max) -> Tensor",
     .forward = native<clamp_max<false>>,
     .flags = kComposite | kNumbers,
     .doc = "input, but at most max."},
    {.schema = "clamp_max_(Tensor(a!) input, Tensor max) -> Tensor(a!)",
     .forward = native<clamp_max<true>>,
     .flags = kComposite | kNumbers,
     .doc = "clamp_max() in place."},
    {.schema = "nn.functional.gelu(Tensor input, *, str approximate=\"none\") -> Tensor",
     .forward = native<gelu>,
     .flags = kComposite,
     .doc = "x times the normal distribution function of x; approximate='tanh' for the fast form."},
    {.schema = "round(Tensor input, *, int decimals=0) -> Tensor",
     .forward = native<round>,
     .flags = kComposite,
     .doc = "Nearest number of so many decimals, halves to the even one."},
    {.schema = "round_(Tensor(a!) input, *, int decimals=0) -> Tensor(a!)",
     .forward = native<round_>,
     .flags = kComposite,
     .doc = "round() in place."},
    {.schema = "logit(Tensor input, float? eps=None) -> Tensor",
     .forward = native<logit>,
     .flags = kChoice,
     .doc = "Inverse of the logistic function; input is kept within [eps, 1 - eps] when given."},
    {.schema = "special.logit(Tensor input, float? eps=None) -> Tensor", .alias = "logit"},
    {.schema = "polygamma(int n, Tensor input) -> Tensor",
     .forward = native<polygamma_of>,
     .flags = kComposite,
     .node = "PolygammaBackward0",
     .doc = "The n-th derivative of digamma."},
    {.schema = "special.polygamma(int n, Tensor input) -> Tensor", .alias = "polygamma"},
    {.schema = "mvlgamma(Tensor input, int p) -> Tensor",
     .forward = native<mvlgamma>,
     .flags = kChoice,
     .doc = "Logarithm of the p-dimensional gamma function."},
    {.schema = "special.multigammaln(Tensor input, int p) -> Tensor", .alias = "mvlgamma"},
    {.schema = "ldexp(Tensor input, Tensor other) -> Tensor",
     .forward = native<ldexp>,
     .flags = kChoice,
     .doc = "input times two to the power of other."},
    {.schema = "frexp(Tensor input) -> (Tensor mantissa, Tensor exponent)",
     .forward = native<frexp>,
     .flags = kComposite,
     .doc = "The mantissa, in [1/2, 1), and the exponent of two of each number."},
    {.schema =
         "nan_to_num(Tensor input, float? nan=None, float? posinf=None, float? neginf=None) -> "
         "Tensor",
     .forward = native<nan_to_num<false>>,
     .flags = kComposite,
     .doc =
         "nan, inf and -inf replaced: by 0 and the largest and smallest numbers when not given."},
    {.schema = "nan_to_num_(Tensor(a!) input, float? nan=None, float? posinf=None, "
               "float? neginf=None) -> Tensor(a!)",
     .forward = native<nan_to_num<true>>,
     .flags = kComposite,
     .doc = "nan_to_num() in place."},
    {.schema = "prelu(Tensor input, Tensor weight) -> Tensor",
     .forward = native<prelu>,
     .flags = kComposite,
     .doc = "x where positive, weight * x elsewhere, one weight for all or for each channel."},
    {.schema = "nn.functional.prelu(Tensor input, Tensor weight) -> Tensor", .alias = "prelu"},
    {.schema = "conj(Tensor input) -> Tensor",
     .forward = native<conj_of>,
     .flags = kComposite,
     .doc = "Complex conjugate; a real tensor itself."},
    {.schema = "where(Tensor condition) -> Tensor[]",
     .forward =
         [](Value* args, Value* results) {
           static const OpCall positions("nonzero");
           results[0] = Value(positions.all(args[0].as_tensor(), true));
         },
     .flags = kNotDifferentiable},
    {.schema = "positive(Tensor input) -> Tensor",
     .forward = native<positive>,
     .flags = kComposite,
     .doc = "input itself."},
});

#define SAME(other, name) {.schema = other "(Tensor input) -> Tensor", .alias = name}
#define SAME2(other, name) {.schema = other "(Tensor input, Tensor other) -> Tensor", .alias = name}
#define MAYBE_INPLACE(other, numbers, name) \
  {.schema = other "(Tensor input" numbers ", bool inplace=False) -> Tensor", .alias = name}
FLAMBEAU_OPS({
    SAME("absolute", "abs"),
    SAME("negative", "neg"),
    SAME("fix", "trunc"),
    SAME("arcsin", "asin"),
    SAME("arccos", "acos"),
    SAME("arctan", "atan"),
    SAME("arcsinh", "asinh"),
    SAME("arccosh", "acosh"),
    SAME("arctanh", "atanh"),
    SAME("special.exp2", "exp2"),
    SAME("special.expm1", "expm1"),
    SAME("special.log1p", "log1p"),
    SAME("special.erf", "erf"),
    SAME("special.erfc", "erfc"),
    SAME("special.gammaln", "lgamma"),
    SAME("special.digamma", "digamma"),
    SAME("special.psi", "digamma"),
    SAME("special.expit", "sigmoid"),
    SAME("special.sinc", "sinc"),
    SAME("special.i0", "i0"),
    SAME("special.erfinv", "erfinv"),
    SAME2("special.gammainc", "igamma"),
    SAME2("special.gammaincc", "igammac"),
    {.schema = "special.round(Tensor input, *, int decimals=0) -> Tensor", .alias = "round"},
    {.schema = "subtract(Tensor input, Tensor other, *, Scalar alpha=1) -> Tensor", .alias = "sub"},
    SAME2("multiply", "mul"),
    SAME2("divide", "div"),
    {.schema = "divide(Tensor input, Tensor other, *, str? rounding_mode) -> Tensor",
     .alias = "div"},
    {.schema = "divide(Scalar input, Scalar other, *, str? rounding_mode) -> Tensor",
     .alias = "div"},
    SAME2("true_divide", "div"),
    SAME2("greater", "gt"),
    SAME2("greater_equal", "ge"),
    SAME2("less", "lt"),
    SAME2("less_equal", "le"),
    SAME2("not_equal", "ne"),
    SAME2("arctan2", "atan2"),
    SAME2("special.xlogy", "xlogy"),
    MAYBE_INPLACE("nn.functional.relu", "", "relu"),
    MAYBE_INPLACE("nn.functional.relu6", "", "_relu6"),
    MAYBE_INPLACE("nn.functional.leaky_relu", ", float negative_slope=0.01", "_leaky_relu"),
    MAYBE_INPLACE("nn.functional.elu", ", float alpha=1.0", "_elu"),
    MAYBE_INPLACE("nn.functional.selu", "", "selu"),
    MAYBE_INPLACE("nn.functional.celu", ", float alpha=1.0", "celu"),
    MAYBE_INPLACE("nn.functional.silu", "", "_silu"),
    MAYBE_INPLACE("nn.functional.mish", "", "_mish"),
    MAYBE_INPLACE("nn.functional.hardtanh", ", Scalar min_val=-1.0, Scalar max_val=1.0",
                  "_hardtanh"),
    MAYBE_INPLACE("nn.functional.hardsigmoid", "", "_hardsigmoid"),
    MAYBE_INPLACE("nn.functional.hardswish", "", "_hardswish"),
    MAYBE_INPLACE("nn.functional.threshold", ", Scalar threshold, Scalar value", "_threshold"),
    {.schema = "threshold(Tensor input, Scalar threshold, Scalar value) -> Tensor",
     .alias = "_threshold"},
    SAME("nn.functional.sigmoid", "sigmoid"),
    SAME("nn.functional.tanh", "tanh"),
});

}  // namespace flambeau
