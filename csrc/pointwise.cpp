// Running pointwise operators: promotion, output, loop; gradients by fused loops or by expression.
#include "pointwise.h"

#include <algorithm>

#include "fused.h"
#include "iter.h"
#include "kernels/direct.h"
#include "stored.h"

namespace flambeau {
namespace {

const PointwiseLoops& loops(int index) {
  static PointwiseLoops* all = [] {
    auto* l = new PointwiseLoops[kPointwiseCount]();
    pointwise_loops_f32(DeviceType::cpu, l);
    pointwise_loops_f64(DeviceType::cpu, l);
    pointwise_loops_i64(DeviceType::cpu, l);
    pointwise_loops_c128(DeviceType::cpu, l);
    return l;
  }();
  return all[index];
}

int category(DType t) {
  return t == DType::boolean ? 0 : is_floating(t) ? 2 : is_complex(t) ? 3 : 1;
}

// A type of a stronger class of operands with one of a weaker class: the weaker matters only when
// its category is higher.
DType combine(std::optional<DType> strong, std::optional<DType> weak) {
  if (!strong) return *weak;
  if (!weak) return *strong;
  if (category(*weak) <= category(*strong)) return *strong;
  if (is_complex(*weak) && is_floating(*strong))
    return *strong == DType::float64 ? DType::complex128 : DType::complex64;
  return promote(*strong, *weak);
}

void add_type(std::optional<DType>& into, DType t) { into = into ? promote(*into, t) : t; }

// A Python number as an operand: one element in the compute type.
struct NumberOperand {
  alignas(16) char bits[16];
  void set(const Scalar& s, Compute c) {
    visit(memory_of(c), [&](auto tag) {
      using T = typename decltype(tag)::type;
      T v = s.to<T>();
      std::memcpy(bits, &v, sizeof v);
    });
  }
};

PointwiseNumber number_of(const Scalar& s) {
  PointwiseNumber n;
  n.re = s.to<double>();
  if (s.kind == Scalar::complex) n.im = s.im;
  n.i = s.to<int64_t>();
  return n;
}

bool is_heavy(int index) { return index > pointwise_round_even || index == pointwise_pow; }

struct Operands {
  const Tensor* tensors[kMaxOperands];  // [0] the output; null for numbers
  Scalar numbers[kMaxOperands];
  int n = 0;  // with the output
};

bool identical(const Tensor& a, const Tensor& b) {
  return a->offset == b->offset && a.sizes() == b.sizes() && a.strides() == b.strides() &&
         a.dtype() == b.dtype();
}

// An operand that shares some of the output's memory, but not element for element, is copied.
void separate(Operands& o, Tensor* copies) {
  const Tensor& out = *o.tensors[0];
  for (int k = 1; k < o.n; ++k) {
    const Tensor* t = o.tensors[k];
    if (!t || (*t)->storage.get() != out->storage.get() || identical(*t, out)) continue;
    copies[k] = t->clone_raw();
    o.tensors[k] = &copies[k];
  }
}

// `index`: of the operator whose value this is, -1 for a gradient.
void run_loop(const Operands& o, Compute compute, PointwiseResult result, PointwiseFn fn,
              const PointwiseNumber* numbers, bool heavy, int index) {
  const Tensor& out = *o.tensors[0];
  if (out.numel() == 0 || out.is_meta()) return;
  Loop loop;
  const Tensor* real[kMaxOperands];
  NumberOperand scalars[kMaxOperands];
  int n = 0;
  for (int k = 0; k < o.n; ++k)
    if (o.tensors[k]) real[n++] = o.tensors[k];
  build_loop(loop, out.sizes(), real, n);
  if (n < o.n) {  // numbers take their places between the tensors
    int from = n - 1;
    for (int k = o.n - 1; k >= 0; --k) {
      if (o.tensors[k]) {
        if (from != k) {
          LoopOperand &d = loop.operands[k], &s = loop.operands[from];
          d.data = s.data;
          d.dtype = s.dtype;
          d.contiguous = s.contiguous;
          d.constant = s.constant;
          std::copy(s.strides, s.strides + loop.ndim, d.strides);
        }
        --from;
        continue;
      }
      scalars[k].set(o.numbers[k], compute);
      LoopOperand& d = loop.operands[k];
      d.data = scalars[k].bits;
      d.dtype = memory_of(compute);
      d.contiguous = false;
      d.constant = true;
      std::fill(d.strides, d.strides + loop.ndim, 0);
    }
    loop.noperands = o.n;
  }
  if (index >= 0 && (compute == Compute::i64 || compute == Compute::c128 ||
                     index == pointwise_where || itemsize(out.dtype()) == 2 || loop.ndim > 1)) {
    DirectArgs direct{&loop, index, compute, numbers, false};
    pointwise_direct_kernel(out.device_type(), direct);
    if (direct.done) return;
  }
  PointwiseArgs args{&loop, compute, result, fn, numbers, heavy};
  pointwise_kernel(out.device_type(), args);
}

Ints broadcast_all(const Operands& o, const char* name) {
  const Tensor* first = nullptr;
  Ints shape;
  for (int k = 1; k < o.n; ++k) {
    if (!o.tensors[k]) continue;
    if (!first) {
      first = o.tensors[k];
      shape = first->sizes();
    } else if (!(o.tensors[k]->sizes() == shape)) {
      shape = broadcast_shapes(shape, o.tensors[k]->sizes(), name);
    }
  }
  return shape;
}

// A number, as a tensor on the CPU, goes with tensors of any device.
Device common_device(const Operands& o, const char* name) {
  Device device;
  bool seen = false, numbers = false;  // numbers: so far all were
  for (int k = 1; k < o.n; ++k) {
    if (!o.tensors[k]) continue;
    const Tensor& t = *o.tensors[k];
    const bool number = t.device().type == DeviceType::cpu && t.dim() == 0;
    if (!seen || (numbers && !number)) {
      device = t.device();
      numbers = number;
      seen = true;
    } else {
      check(t.device().type == device.type || number, name,
            "(): Expected all tensors to be on the same device, but found at least two "
            "devices, ",
            device, " and ", t.device());
    }
  }
  return device;
}

Tensor make_output(const Operands& o, const Ints& shape, DType dtype, Device device) {
  for (int k = 1; k < o.n; ++k) {
    const Tensor* t = o.tensors[k];
    if (!t || !(t->sizes() == shape)) continue;
    if (t->is_contiguous()) break;
    return empty_strided(shape, preserved_strides(*t), {dtype, device});
  }
  return empty(shape, {dtype, device});
}

// Differences of a mask and numbers are mistakes more often than meant.
void refuse_bools(const PointwiseOp& op, const Operands& o) {
  for (int k = 1; k < o.n; ++k)
    check(o.tensors[k] ? o.tensors[k]->dtype() != DType::boolean
                       : o.numbers[k].kind != Scalar::boolean,
          op.name,
          "(): Subtraction, the `-` operator, with a bool tensor is not supported. If you "
          "are trying to invert a mask, use the `~` or `logical_not()` operator instead.");
}

// Integers have no quotient by zero and no power below zero.
void refuse_integers(const PointwiseOp& op, const Operands& o) {
  check(op.index != pointwise_pow || o.tensors[2] || o.numbers[2].to<int64_t>() >= 0,
        "Integers to negative integer powers are not allowed.");
  if (op.index != pointwise_div_floor && op.index != pointwise_div_trunc &&
      op.index != pointwise_remainder && op.index != pointwise_fmod)
    return;
  if (!o.tensors[2]) {
    check(o.numbers[2].to<int64_t>() != 0, "ZeroDivisionError");
    return;
  }
  const Tensor t = o.tensors[2]->contiguous_raw();
  if (t.is_meta()) return;
  visit(t.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    if constexpr (std::is_integral_v<T>) {
      const T* p = t.data<T>();
      const int64_t n = t.numel();
      T zeros = 0;
      for (int64_t i = 0; i < n; ++i) zeros |= p[i] == 0;
      check(!zeros, "ZeroDivisionError");
    }
  });
}

// Operators that do not promote their operands.
[[gnu::cold]] void refuse_mixed(const PointwiseOp& op, const Operands& o) {
  check(!o.tensors[1] || !o.tensors[2] || o.tensors[1]->dtype() == o.tensors[2]->dtype(), op.name,
        " is not yet implemented for tensors with different dtypes.");
}

void refuse_condition(const Operands& o) {
  const DType t = o.tensors[1] ? o.tensors[1]->dtype() : DType::boolean;
  check(t == DType::boolean || t == DType::uint8,
        "where(): expected condition to be a boolean tensor, but got a tensor with dtype ", t);
}

// The operator of one operand that a power is whose exponent is one of a few numbers.
int simple_power(const PointwiseOp& op, const Operands& o, Compute compute) {
  const bool power = op.index == pointwise_pow || op.index == pointwise_float_power;
  if (!power || o.tensors[2] || compute == Compute::c128) return op.index;
  const double exponent = o.numbers[2].to<double>();
  if (exponent == 1) return pointwise_positive_copy;
  if (exponent == 2) return pointwise_square;
  if (exponent == 3) return pointwise_cube;
  if (compute == Compute::i64) return op.index;
  if (exponent == -1) return pointwise_reciprocal;
  if (exponent == -2) return pointwise_inverse_square;
  // Of half precision, PyTorch's roots are powers, which know infinities and zeros otherwise.
  if (itemsize(o.tensors[0]->dtype()) == 2) return op.index;
  if (exponent == 0.5) return pointwise_sqrt;
  if (exponent == -0.5) return pointwise_rsqrt;
  return op.index;
}

}  // namespace

DType result_type(const Value* args, int n) {
  std::optional<DType> dims, zero, numbers;
  for (int k = 0; k < n; ++k) {
    if (args[k].is_tensor()) {
      const Tensor& t = args[k].as_tensor();
      add_type(t.dim() ? dims : zero, t.dtype());
    } else if (args[k].is_scalar()) {
      add_type(numbers, args[k].as_scalar().dtype());
    }
  }
  if (!dims && !zero && !numbers) return default_dtype();
  if (!dims && !zero) return *numbers;
  return combine(dims || zero ? std::optional(combine(dims, zero)) : std::nullopt, numbers);
}

namespace {

// -- the steps of a forward -----------------------------------------------------------------------
// The operands of a call, and the type that they have in common.
DType read_operands(const PointwiseOp& op, const Value* args, Operands& o) {
  o.n = op.operands + 1;
  DType common{};
  bool same = args[0].is_tensor();  // the common case: tensors of one type, numbers that it holds
  if (same) common = args[0].as_tensor().dtype();
  for (int k = 0; k < op.operands; ++k) {
    if (args[k].is_tensor()) {
      o.tensors[k + 1] = &args[k].as_tensor();
      same = same && args[k].as_tensor().dtype() == common;
    } else {
      check_type(args[k].is_scalar(), op.name, "(): argument ", k + 1,
                 " must be Tensor or a number");
      o.tensors[k + 1] = nullptr;
      o.numbers[k + 1] = args[k].as_scalar();
      same = same && common == DType::float32 && o.numbers[k + 1].kind != Scalar::complex;
    }
  }
  if (op.index == pointwise_where) refuse_condition(o);
  if (same) return common;
  if (op.types & NOBOOL) refuse_bools(op, o);
  if (op.index == pointwise_heaviside || op.index == pointwise_lerp) refuse_mixed(op, o);
  return result_type(args, op.operands);
}

void check_number(const PointwiseOp& op, const Scalar& s, DType common) {
  check(s.kind != Scalar::boolean || common == DType::boolean ||
            (op.index != pointwise_add && op.index != pointwise_sub),
        "Boolean alpha only supported for Boolean results.");
  if (is_integral(common) || common == DType::boolean)
    check(s.kind < Scalar::floating || !(op.types & I) || op.types & BOOL || op.operands != 2,
          "For integral input tensors, argument alpha must not be a floating point number.");
  else
    check(s.kind != Scalar::complex || is_complex(common),
          "For non-complex input tensors, argument alpha must not be a complex number.");
}

// The type that the operator computes in for operands of this one.
DType computed_type(const PointwiseOp& op, DType common) {
  if (op.types & NOBOOL && common == DType::boolean)
    fail(ErrorKind::runtime, op.name,
         "(): not supported for bool tensors; use logical operators "
         "such as ^, logical_xor() or ~ instead");
  if (op.types & WIDEBOOL && common == DType::boolean) common = DType::int64;
  if (!(op.types & I) && !is_inexact(common)) {
    check(op.index != pointwise_addcdiv,
          "Integer division with addcdiv is no longer supported. Divide before you add, with "
          "rounding_mode where whole numbers are wanted.");
    common = default_dtype();
  }
  if (op.types & DOUBLE) common = is_complex(common) ? DType::complex128 : DType::float64;
  const bool type_good = is_complex(common)    ? op.types & C
                         : is_floating(common) ? op.types & F
                                               : op.types & I;
  const bool eight_bit_float = itemsize(common) == 1 && is_floating(common);
  check_implemented(type_good && !eight_bit_float, op.name, common);
  return common;
}

// Makes a tensor that was given for the result ready to take it; whether it is the first operand.
bool prepare_out(const PointwiseOp& op, const Operands& o, Tensor& out, const Ints& shape,
                 DType dtype, Device device, bool real) {
  check(!(op.types & DOUBLE) || out.dtype() == dtype, op.name, "(): the operation's result ",
        "requires dtype ", dtype, ", got ", out.dtype());
  check(can_cast(dtype, out.dtype()), op.name, "(): result type ", dtype,
        " can't be cast to the desired output type ", out.dtype());
  check(out.device().type == device.type, op.name, "(): expected out tensor on device ", device,
        ", got ", out.device());
  check(out.dtype() == DType::boolean ||
            (op.index != pointwise_isposinf && op.index != pointwise_isneginf),
        op.name, "(): does not support non-boolean outputs");
  const bool inplace = o.tensors[1] && o.tensors[1]->is_same(out);
  check(!real || !inplace, "In-place ", op.name, " is not supported for complex tensors.");
  if (!(out.sizes() == shape)) {
    check(!inplace, op.name, "_(): output with shape ", out.sizes(),
          " doesn't match the broadcast shape ", shape);
    resize(out, shape);
  }
  check_no_internal_overlap(out, op.name);
  return inplace;
}

// A number that meets half precision is rounded to it where a little moves the result much.
void round_number(int index, Scalar& s, DType common) {
  const bool keen = index == pointwise_remainder || index == pointwise_fmod ||
                    index == pointwise_pow || index == pointwise_hardshrink;
  if (!keen || s.kind != Scalar::floating) return;
  if (common == DType::float16) s.d = convert<double>(convert<float16>(s.d));
  if (common == DType::bfloat16) s.d = convert<double>(convert<bfloat16>(s.d));
}

// Loops over complex numbers as they lie in memory beat one that converts them, by more than it
// takes to make real operands complex first.
void widen_reals(const PointwiseOp& op, Operands& o, DType common, Tensor* copies) {
  if (op.index > pointwise_div) return;
  for (int k = 1; k < o.n; ++k) {
    if (!o.tensors[k] || o.tensors[k]->dtype() == common || !o.tensors[k]->dim()) continue;
    copies[k] = o.tensors[k]->to_raw(common);
    o.tensors[k] = &copies[k];
  }
}

}  // namespace

void pointwise_forward(const PointwiseOp& op, Value* args, Value* results) {
  Operands o;
  DType common = read_operands(op, args, o);
  for (int k = op.operands; k < op.operands + op.numbers && args[k].is_scalar(); ++k)
    check_number(op, args[k].as_scalar(), common);
  common = computed_type(op, common);
  for (int k = 1; k < o.n; ++k)
    if (!o.tensors[k]) round_number(op.index, o.numbers[k], common);

  const Compute compute = compute_of(common);
  const bool boolean = op.types & BOOL, real = op.types & REAL && is_complex(common);
  const DType dtype = boolean ? DType::boolean : real ? to_real(common) : common;
  const Ints shape = broadcast_all(o, op.name);
  const Device device = common_device(o, op.name);
  if (compute == Compute::i64 && device.type == DeviceType::cpu) refuse_integers(op, o);

  Tensor out = results[0].as_tensor(), wanted, copies[kMaxOperands];
  if (out.defined()) {
    const bool inplace = prepare_out(op, o, out, shape, dtype, device, real);
    if (out.dtype() != dtype && !inplace) {  // rounded to its own type before it is cast
      wanted = out;
      out = empty(shape, {dtype, device});
    }
    o.tensors[0] = &out;
    separate(o, copies);
  } else {
    out = make_output(o, shape, dtype, device);
    o.tensors[0] = &out;
  }
  if (compute == Compute::c128 && op.operands == 2) widen_reals(op, o, common, copies);
  PointwiseNumber numbers[kMaxNumbers];
  for (int k = 0; k < op.numbers && args[op.operands + k].is_scalar(); ++k) {
    Scalar number = args[op.operands + k].as_scalar();
    round_number(op.index, number, common);
    numbers[k] = number_of(number);
  }
  const int index = simple_power(op, o, compute);
  PointwiseFn fn = loops(index).value[static_cast<int>(compute)];
  run_loop(o, compute,
           boolean ? PointwiseResult::boolean
           : real  ? PointwiseResult::real
                   : PointwiseResult::same,
           fn, numbers, is_heavy(index), index);
  if (wanted.defined()) copy(wanted, out);
  if (!results[0].is_tensor()) results[0] = Value(std::move(out));
}

bool pointwise_fuse(const Op& op, Value* args, Value* results) {
  if (!fused_open && !fused_seen.result) return false;
  const PointwiseOp& p = *op.pointwise;
  if (!args[0].is_tensor()) return false;
  const DType dtype = args[0].as_tensor().dtype();
  if (compute_of(dtype) != Compute::f32) return false;
  if (p.operands == 1) {
    if (!(p.types & F) || p.types & (BOOL | REAL | DOUBLE)) return false;
    FinishStep step{.fn = loops(p.index).value[static_cast<int>(Compute::f32)],
                    .is_relu = p.index == pointwise_relu};
    for (int k = 0; k < p.numbers; ++k) {
      const Value& v = args[1 + k];
      if (!v.is_scalar() || v.as_scalar().kind == Scalar::complex) return false;
      step.numbers[k] = number_of(v.as_scalar());
    }
    return extend_fused(args[0].as_tensor(), step, {}, results);
  }
  if (p.index != pointwise_add || !args[1].is_tensor() || !args[2].is_scalar()) return false;
  const Scalar& alpha = args[2].as_scalar();
  if (alpha.kind == Scalar::complex || alpha.to<double>() != 1) return false;
  const Tensor &x = args[0].as_tensor(), &z = args[1].as_tensor();
  if (z.dtype() != dtype || !(x.sizes() == z.sizes())) return false;
  const auto sum = [&](const Tensor& to, const Tensor& other) {
    if (!other.is_contiguous() || !other->storage->data) return false;
    const FinishStep step{.kind = FinishStep::add, .other = other.data()};
    return extend_fused(to, step, {other}, results);
  };
  return sum(x, z) || (!results[0].is_tensor() && sum(z, x));
}

// -- gradients ------------------------------------------------------------------------------------
namespace {

uint32_t operand_bit(int k) { return kReadsX << k; }

void read_numbers(const PointwiseOp& op, const Value* args, int nargs, double* numbers,
                  PointwiseNumber* full) {
  for (int k = 0; k < kMaxNumbers; ++k) {
    int at = op.operands + k;
    bool there = at < nargs && args[at].is_scalar();
    numbers[k] = there ? args[at].as_double() : 0;
    if (there && full) full[k] = number_of(args[at].as_scalar());
  }
}

// Does this number behave as a plain double in the gradient expressions?
bool complex_number(const PointwiseNumber* full) {
  return full[0].im != 0 || full[1].im != 0 || full[2].im != 0;
}

Tensor sum_dims(const Tensor& g, const Ints& dims) {
  static const OpCall sum("sum");
  return sum(g, dims, true);
}

// A number as a tensor that holds all of it, whatever the default dtype is.
Tensor exact(const Scalar& s) {
  const DType t = s.dtype();
  return scalar_tensor(s, {is_complex(t)    ? DType::complex128
                           : is_floating(t) ? DType::float64
                                            : t,
                           {}});
}

}  // namespace

Tensor reduce_gradient(const Tensor& g, const Ints& sizes, DType dtype) {
  Tensor r = g;
  if (!(r.sizes() == sizes)) {
    Ints dims;
    int64_t lead = r.dim() - static_cast<int64_t>(sizes.size());
    for (int64_t d = 0; d < r.dim(); ++d)
      if (d < lead || (sizes[d - lead] == 1 && r.sizes()[d] != 1)) dims.push_back(d);
    if (!dims.empty()) r = sum_dims(r, dims);
    if (lead > 0) {
      static const OpCall reshape("reshape");
      r = reshape(r, sizes);
    }
  }
  if (r.dtype() != dtype) {
    static const OpCall real("real"), cast("to");
    if (is_complex(r.dtype()) && !is_complex(dtype)) r = real(r);
    if (r.dtype() != dtype) r = cast(r, dtype);
  }
  return r;
}

uint64_t pointwise_saves(const Op& op, const Value* args) {
  const PointwiseOp& p = *op.pointwise;
  uint32_t reads = 0;
  for (int k = 0; k < p.operands; ++k)
    if (args[k].is_tensor() && args[k].as_tensor().requires_grad()) reads |= p.reads[k];
  uint64_t saves = 0;
  for (int k = 0; k < p.operands; ++k)
    if (reads & operand_bit(k)) saves |= uint64_t(1) << k;
  return saves;
}

[[noreturn]] static void not_differentiable(const char* op, const std::string& argument) {
  fail(ErrorKind::not_implemented, "the derivative for '", op, ": ", argument,
       "' is not implemented.");
}

namespace {

// The gradient of operand k by one fused loop over g, the operands and the result. What it does not
// read may be anything of a shape that fits: g itself.
Tensor fused_gradient(const PointwiseOp& op, const Backward& b, int k, const Tensor& g,
                      const Tensor* in, const Tensor& y, const PointwiseNumber* numbers) {
  Operands o;
  o.n = op.operands + 3;
  DType widest = promote(g.dtype(), b.dtype(k));
  o.tensors[1] = &g;
  for (int i = 0; i < op.operands; ++i) {
    const bool reads = op.reads[k] & operand_bit(i);
    o.tensors[2 + i] = reads ? &in[i] : &g;
    if (reads && in[i].dim() && is_inexact(in[i].dtype())) widest = promote(widest, in[i].dtype());
  }
  o.tensors[o.n - 1] = op.reads[k] & kReadsY ? &y : &g;
  if (is_complex(widest) && !(op.types & C)) widest = to_real(widest);
  const Compute compute = compute_of(widest);
  const PointwiseFn fn = loops(op.index).gradient[k][static_cast<int>(compute)];
  if (!fn) return Tensor();
  // g has the shape of the result, which every operand broadcasts to.
  Tensor out = make_output(o, g.sizes(), widest, g.device());
  o.tensors[0] = &out;
  run_loop(o, compute, PointwiseResult::same, fn, numbers, true, -1);
  return out;
}

}  // namespace

void pointwise_backward(const PointwiseOp& op, Backward& b) {
  const Tensor& g = b.grad();
  if (!g.defined()) return;
  double numbers[kMaxNumbers];
  PointwiseNumber full[kMaxNumbers];
  const OpNode& node = b.node();
  read_numbers(op, node.args.data(), node.op->nargs(), numbers, full);
  Tensor in[3], y;
  uint32_t have = 0;
  auto fetch = [&](uint32_t reads) {
    for (int k = 0; k < op.operands; ++k)
      if (reads & ~have & operand_bit(k)) {
        in[k] = node.args[k].is_scalar() ? exact(node.args[k].as_scalar()) : b.in(k);
        have |= operand_bit(k);
      }
    if (reads & ~have & kReadsY) {
      y = b.out();
      have |= kReadsY;
    }
  };
  // Complex products and quotients have loops of their own, which several operators are made of.
  const bool parts =
      is_complex(g.dtype()) && (op.index == pointwise_mul || op.index == pointwise_div);
  const bool recording = modes().grad || parts;
  for (int k = 0; k < op.operands; ++k) {
    if (node.args[k].is_scalar() || !b.needs(k)) continue;
    DType own = b.dtype(k);
    if (op.zero[k]) {
      b.set(k, zeros(b.sizes(k), {own, g.device()}));
      continue;
    }
    if (!complex_number(full) && op.is_identity(k, numbers)) {
      b.set(k, reduce_gradient(g, b.sizes(k), own));
      continue;
    }
    fetch(op.reads[k]);
    const Tensor slope =
        recording ? op.expression(k, g, in, y, numbers) : fused_gradient(op, b, k, g, in, y, full);
    if (!slope.defined()) not_differentiable(op.name, node.op->schema.args[k].name);
    b.set(k, reduce_gradient(slope, b.sizes(k), own));
  }
}

}  // namespace flambeau
