// Element types that no kernel knows: conversions, and how operators take them.
#include "stored.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>

namespace flambeau {
namespace {

// -- 8-bit floats without infinities and signed zeros, and powers of two --------------------------
// What each code stands for. "fnuz": the code of -0 is the only NaN (Noune et al., 2022).
template <int E, int M>
std::array<float, 256> fnuz_values() {
  std::array<float, 256> values;
  constexpr int bias = 1 << (E - 1);
  for (int code = 0; code < 128; ++code) {
    const int exponent = code >> M, mantissa = code & ((1 << M) - 1);
    const float v = exponent ? std::ldexp(float(mantissa + (1 << M)), exponent - bias - M)
                             : std::ldexp(float(mantissa), 1 - bias - M);
    values[code] = v;
    values[code + 128] = code ? -v : std::numeric_limits<float>::quiet_NaN();
  }
  return values;
}

std::array<float, 256> power_values() {  // OCP Microscaling Formats v1.0, E8M0
  std::array<float, 256> values;
  for (int code = 0; code < 255; ++code) values[code] = std::ldexp(1.0f, code - 127);
  values[255] = std::numeric_limits<float>::quiet_NaN();
  return values;
}

const std::array<float, 256>& values_of(DType t) {
  static const auto e4m3 = fnuz_values<4, 3>(), e5m2 = fnuz_values<5, 2>(), e8m0 = power_values();
  return t == kFloat8E4M3fnuz ? e4m3 : t == kFloat8E5M2fnuz ? e5m2 : e8m0;
}

bool is_small_float(DType t) {
  return t == kFloat8E4M3fnuz || t == kFloat8E5M2fnuz || t == kFloat8E8M0fnu;
}

// The nearest code: of two as near the even one, of powers of two the larger. Beyond the largest
// there is only NaN.
uint8_t narrow(float x, const std::array<float, 256>& values, bool powers) {
  const int count = powers ? 255 : 128, nan = count;
  const float a = std::fabs(x);
  if (!std::isfinite(a)) return static_cast<uint8_t>(nan);
  auto at = static_cast<int>(std::lower_bound(&values[0], &values[count], a) - &values[0]);
  if (at > 0 && (at == count || values[at] != a)) {  // between two
    const double below = values[at - 1];
    const double above =
        at < count ? double(values[at]) : 2 * below - values[at - (powers ? 0 : 2)];
    const double middle = powers ? 1.5 * below : (below + above) / 2;
    if (a < middle || (a == middle && !powers && at % 2)) --at;
  }
  if (at == count) return static_cast<uint8_t>(nan);
  return static_cast<uint8_t>(powers || !at || !std::signbit(x) ? at : at + 128);
}

// -- complex32: pairs of float16 ------------------------------------------------------------------
Tensor as_pairs(const Tensor& t) {
  Tensor y = t.alias();
  y->dtype = to_real(t.dtype());
  y->offset *= 2;
  for (int64_t d = 0; d < t.dim(); ++d) y->strides[d] *= 2;
  y->sizes.push_back(2);
  y->strides.push_back(1);
  y->refresh();
  return y;
}

[[noreturn]] void unknown(const char* op, DType t) {
  fail(ErrorKind::not_implemented, "\"", op, "\" not implemented for '", t, "'");
}

}  // namespace

DType promote_stored(DType a, DType b) {
  if (a == b) return a;
  if (b == kComplex32) std::swap(a, b);
  const bool known = a == kComplex32 && (!is_floating(b) || itemsize(b) > 1) && !is_stored(b);
  check(known, "Promotion of ", a, " and ", b, " is not supported");
  if (b == DType::float64 || b == DType::complex128) return DType::complex128;
  return is_inexact(b) && b != DType::float16 ? DType::complex64 : kComplex32;
}

Tensor carried(const Tensor& t) {
  Tensor y = t.alias();
  const size_t size = itemsize(t.dtype());
  y->dtype = size == 1 ? DType::uint8 : size == 2 ? DType::int16 : DType::int32;
  return y;
}

Tensor widened(const Tensor& t) {
  if (!is_stored(t.dtype())) return t;
  if (t.dtype() == kComplex32) {
    Tensor wide = empty(t.sizes(), t.options(DType::complex64));
    copy(as_pairs(wide), as_pairs(t));
    return wide;
  }
  if (!is_small_float(t.dtype())) unknown("copy_", t.dtype());
  Tensor wide = empty(t.sizes(), t.options(DType::float32));
  if (t.is_meta()) return wide;
  const Tensor codes = carried(t).contiguous_raw();
  const auto& values = values_of(t.dtype());
  for (int64_t i = 0; i < t.numel(); ++i) wide.data<float>()[i] = values[codes.data<uint8_t>()[i]];
  return wide;
}

void copy_stored(const Tensor& dst, const Tensor& src) {
  const DType to = dst.dtype();
  if (to == src.dtype()) return copy(carried(dst), carried(src));
  if (is_stored(src.dtype())) return copy(dst, widened(src));
  if (to == kComplex32) return copy(as_pairs(dst), as_pairs(src.to_raw(DType::complex64)));
  if (!is_small_float(to)) unknown("copy_", to);
  const Tensor wide = src.to_raw(DType::float32).contiguous_raw();
  const Tensor codes = empty(src.sizes(), dst.options(DType::uint8));
  const auto& values = values_of(to);
  for (int64_t i = 0; i < wide.numel(); ++i)
    codes.data<uint8_t>()[i] = narrow(wide.data<float>()[i], values, to == kFloat8E8M0fnu);
  copy(carried(dst), codes);
}

void fill_stored(const Tensor& t, const Scalar& value) {
  if (t.is_meta()) return;
  const bool opaque = t.dtype() != kComplex32 && !is_small_float(t.dtype());
  if (opaque && value.to<complex128>() == complex128(0)) return fill(carried(t), 0);
  if (opaque) unknown("fill_", t.dtype());
  const DType wide = t.dtype() == kComplex32 ? DType::complex64 : DType::float32;
  copy(t, scalar_tensor(value, {wide, t.device()}));
}

// -- operators ------------------------------------------------------------------------------------
namespace {

// Each tensor argument, in lists too.
template <class F>
void each_tensor(const Op& op, const Value* args, const F& f) {
  for (uint64_t m = op.tensor_args; m; m &= m - 1) {
    const Value& v = args[__builtin_ctzll(m)];
    if (v.tag() == Value::tensor) {
      if (v.as_tensor().defined()) f(v.as_tensor());
    } else if (v.tag() == Value::tensors) {
      for (const Tensor& t : v.as_tensors())
        if (t.defined()) f(t);
    }
  }
}

template <class F>
Value mapped(const Value& v, const F& f) {
  if (v.tag() == Value::tensor && v.as_tensor().defined()) return Value(f(v.as_tensor()));
  if (v.tag() != Value::tensors) return v;
  TensorList list = v.as_tensors();
  for (Tensor& t : list)
    if (t.defined()) t = f(t);
  return Value(std::move(list));
}

// What runs as it is: views, copies, and what makes tensors of a type.
bool as_it_is(const Op& op) {
  static const std::string_view kNames[] = {
      "alias",     "clone",     "copy_",    "detach",   "empty_like", "fill_",
      "full_like", "new_empty", "new_full", "new_ones", "new_zeros",  "new_empty_strided",
      "ones_like", "resize_",   "set_",     "to_copy",  "zero_",      "zeros_like"};
  return op.flags & kView ||
         std::find(std::begin(kNames), std::end(kNames), op.schema.name) != std::end(kNames);
}

bool moves_elements(const Op& op) {
  static const std::string_view kNames[] = {"cat",  "flip",         "gather",       "index",
                                            "roll", "index_select", "masked_select"};
  return std::find(std::begin(kNames), std::end(kNames), op.schema.name) != std::end(kNames);
}

// What 8-bit floats are looked at by, in float32.
bool looks_at_elements(const Op& op) {
  static const std::string_view kNames[] = {
      "argwhere", "count_nonzero", "eq", "ge", "gt", "isnan", "le", "lt", "ne", "nonzero", "where"};
  return std::find(std::begin(kNames), std::end(kNames), op.schema.name) != std::end(kNames);
}

bool adds_elements(const Op& op) {
  static const std::string_view kNames[] = {"index_add", "index_reduce", "scatter_add",
                                            "scatter_reduce"};
  return std::find(std::begin(kNames), std::end(kNames), op.schema.name) != std::end(kNames);
}

// These the kernels convert, but cannot compute with.
bool is_kernels_float8(DType t) { return t == DType::float8_e4m3fn || t == DType::float8_e5m2; }
bool is_any_float8(DType t) { return is_small_float(t) || is_kernels_float8(t); }

struct Found {
  DType type = DType::uint8;  // the stored one, if they are all of one type
  bool mixed = false;
  bool single = false;  // tensors of single precision stand beside it
  bool grad = false;
};
Found look(const Op& op, const Value* args) {
  Found found;
  each_tensor(op, args, [&](const Tensor& t) {
    if (is_stored(t.dtype()) || is_kernels_float8(t.dtype())) {
      found.mixed |= found.type != DType::uint8 && found.type != t.dtype();
      found.type = t.dtype();
    }
    found.single |= t.dim() && (t.dtype() == DType::float32 || t.dtype() == DType::complex64 ||
                                t.dtype() == DType::bfloat16);
    found.grad |= t.requires_grad() && modes().grad;
  });
  return found;
}

const OpCall to("to");

void widen_all(const Op& op, const Value* args, Value* wide) {
  for (int i = 0; i < op.nargs(); ++i)
    wide[i] = mapped(args[i], [](const Tensor& t) {
      return t.dtype() == kComplex32    ? Tensor(to(t, DType::complex64))
             : is_any_float8(t.dtype()) ? Tensor(to(t, DType::float32))
                                        : t;
    });
}

}  // namespace

bool takes_stored(const Op& op, const Value* args) {
  bool found = false;
  each_tensor(op, args, [&](const Tensor& t) {
    found |= is_stored(t.dtype()) || is_kernels_float8(t.dtype());
  });
  return found;
}

bool call_stored(const Op& op, Value* args, Value* results) {
  if (as_it_is(op)) return false;
  const Found found = look(op, args);
  const char* name = op.schema.name.c_str();
  Value inner[kMaxArgs];
  if (!found.mixed && is_any_float8(found.type) && looks_at_elements(op)) {
    widen_all(op, args, inner);
    call_op(op, inner, results);
    for (int r = 0; r < op.nresults() && !found.single; ++r)
      results[r] = mapped(results[r], [&](const Tensor& t) {
        return t.dtype() == DType::float32 ? Tensor(to(t, found.type)) : t;
      });
    return true;
  }
  if (is_kernels_float8(found.type) && !adds_elements(op)) return false;
  if (found.type == kComplex32 && !found.mixed) {
    widen_all(op, args, inner);
    call_op(op, inner, results);
    for (int r = 0; r < op.nresults() && !found.single; ++r)
      results[r] = mapped(results[r], [](const Tensor& t) {
        return t.dtype() == DType::complex64 ? Tensor(to(t, kComplex32))
               : t.dtype() == DType::float32 ? Tensor(to(t, DType::float16))
                                             : t;
      });
    return true;
  }
  if (found.mixed || !moves_elements(op)) unknown(name, found.type);
  check(!found.grad, "derivative for ", name, " of ", found.type, " is not implemented");
  for (int i = 0; i < op.nargs(); ++i)
    inner[i] =
        mapped(args[i], [](const Tensor& t) { return is_stored(t.dtype()) ? carried(t) : t; });
  call_op(op, inner, results);
  Tensor moved = results[0].as_tensor().alias();
  moved->dtype = found.type;
  results[0] = Value(std::move(moved));
  return true;
}

bool call_stored_inplace(const Op& op, Value* args) {
  if (as_it_is(op)) return false;
  const Found found = look(op, args);
  if (is_kernels_float8(found.type) && !adds_elements(op)) return false;
  if (found.type != kComplex32 || found.mixed) unknown(op.schema.name.c_str(), found.type);
  static const OpCall copy_into("copy_");
  const Tensor self = args[0].as_tensor();
  Value inner[kMaxArgs];
  widen_all(op, args, inner);
  call_inplace(op, inner);
  if (self.dtype() == kComplex32) copy_into(self, inner[0].as_tensor());
  return true;
}

}  // namespace flambeau
