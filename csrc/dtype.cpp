// Data types: their table, promotion, half-precision conversions.
#include "dtype.h"

#include <bit>
#include <cmath>
#include <ostream>

#include "stored.h"

namespace flambeau {

// name, NumPy's type string, bytes, floating, complex, signed; in the order of the enum
const DTypeInfo kDTypes[] = {
    {"uint8", "u1", 1, false, false, false},
    {"int8", "i1", 1, false, false, true},
    {"int16", "i2", 2, false, false, true},
    {"int32", "i4", 4, false, false, true},
    {"int64", "i8", 8, false, false, true},
    {"float16", "f2", 2, true, false, true},
    {"float32", "f4", 4, true, false, true},
    {"float64", "f8", 8, true, false, true},
    {"complex64", "c8", 8, false, true, true},
    {"complex128", "c16", 16, false, true, true},
    {"bool", "b1", 1, false, false, false},
    {"bfloat16", "", 2, true, false, true},
    {"uint16", "u2", 2, false, false, false},
    {"uint32", "u4", 4, false, false, false},
    {"uint64", "u8", 8, false, false, false},
    {"float8_e4m3fn", "", 1, true, false, true},
    {"float8_e5m2", "", 1, true, false, true},
    // stored.h
    {"complex32", "", 4, false, true, true},
    {"float8_e4m3fnuz", "", 1, true, false, true},
    {"float8_e5m2fnuz", "", 1, true, false, true},
    {"float8_e8m0fnu", "", 1, true, false, false},
    {"float4_e2m1fn_x2", "", 1, true, false, true},
    {"int1", "", 1, false, false, true},
    {"int2", "", 1, false, false, true},
    {"int3", "", 1, false, false, true},
    {"int4", "", 1, false, false, true},
    {"int5", "", 1, false, false, true},
    {"int6", "", 1, false, false, true},
    {"int7", "", 1, false, false, true},
    {"uint1", "", 1, false, false, false},
    {"uint2", "", 1, false, false, false},
    {"uint3", "", 1, false, false, false},
    {"uint4", "", 1, false, false, false},
    {"uint5", "", 1, false, false, false},
    {"uint6", "", 1, false, false, false},
    {"uint7", "", 1, false, false, false},
    {"bits1x8", "", 1, false, false, false},
    {"bits2x4", "", 1, false, false, false},
    {"bits4x2", "", 1, false, false, false},
    {"bits8", "", 1, false, false, false},
    {"bits16", "", 2, false, false, false},
    {"qint8", "", 1, false, false, true},
    {"quint8", "", 1, false, false, false},
    {"qint32", "", 4, false, false, true},
    {"quint4x2", "", 1, false, false, false},
    {"quint2x4", "", 1, false, false, false},
};
static_assert(std::size(kDTypes) == kAllDTypes);

std::ostream& operator<<(std::ostream& os, DType t) { return os << info(t).name; }

std::ostream& operator<<(std::ostream& os, const Scalar& s) {
  switch (s.kind) {
    case Scalar::boolean: return os << (s.i ? "True" : "False");
    case Scalar::integer: return os << s.i;
    case Scalar::floating: return os << s.d;
    default: return os << "(" << s.d << "+" << s.im << "j)";
  }
}

namespace {
DType the_default = DType::float32;
}
DType default_dtype() { return the_default; }
void set_default_dtype(DType t) {
  check_type(is_floating(t), "only floating-point types are supported as the default type, got ",
             t);
  the_default = t;
}

DType to_complex(DType t) {
  if (t == kComplex32) return t;
  switch (t) {
    case DType::float64:
    case DType::complex128: return DType::complex128;
    case DType::float16: return kComplex32;
    default: return DType::complex64;
  }
}

DType to_real(DType t) {
  if (t == kComplex32) return DType::float16;
  switch (t) {
    case DType::complex64: return DType::float32;
    case DType::complex128: return DType::float64;
    default: return t;
  }
}

namespace {

DType promote_unsigned(DType a, DType b) {  // both integral, different, at least one unsigned
  auto wide = itemsize(a) >= itemsize(b) ? a : b;
  auto narrow = wide == a ? b : a;
  bool wide_signed = info(wide).is_signed, narrow_signed = info(narrow).is_signed;
  if (itemsize(wide) > itemsize(narrow) && (wide_signed || !narrow_signed)) return wide;
  // uint8 with int8; PyTorch has no promotion for the wider unsigned types with signed ones.
  if (itemsize(wide) == 1) return DType::int16;
  check(false, "Promotion for uint16, uint32, uint64 types is not supported, attempted to promote ",
        a, " and ", b);
  return wide;
}

}  // namespace

DType promote(DType a, DType b) {
  if (a == b) return a;
  if (is_stored(a) || is_stored(b)) return promote_stored(a, b);
  if (a == DType::boolean) return b;
  if (b == DType::boolean) return a;
  if (is_complex(a) || is_complex(b)) {
    bool wide = a == DType::complex128 || b == DType::complex128 || a == DType::float64 ||
                b == DType::float64;
    return wide ? DType::complex128 : DType::complex64;
  }
  bool fa = is_floating(a), fb = is_floating(b);
  if (fa && fb) {
    check(itemsize(a) > 1 && itemsize(b) > 1,
          "Promotion for Float8 Types is not supported, attempted to promote ", a, " and ", b);
    if (itemsize(a) == itemsize(b)) return DType::float32;  // float16 with bfloat16
    return itemsize(a) > itemsize(b) ? a : b;
  }
  if (fa) return a;
  if (fb) return b;
  if (!info(a).is_signed || !info(b).is_signed) return promote_unsigned(a, b);
  return itemsize(a) > itemsize(b) ? a : b;
}

bool can_cast(DType from, DType to) {
  auto rank = [](DType t) {
    return t == DType::boolean ? 0 : is_integral(t) ? 1 : is_floating(t) ? 2 : 3;
  };
  return rank(from) <= rank(to);
}

// -- 16- and 8-bit floats -------------------------------------------------------------------------
bfloat16::bfloat16(float f) {
  auto u = std::bit_cast<uint32_t>(f);
  if (f != f)
    bits = 0x7fc0;
  else
    bits = static_cast<uint16_t>((u + 0x7fff + ((u >> 16) & 1)) >> 16);  // to nearest, ties to even
}
bfloat16::operator float() const { return std::bit_cast<float>(uint32_t(bits) << 16); }

namespace {

// A float to one with E exponent and M mantissa bits, to nearest even. `inf` is the bit pattern
// that overflow gives, `nan` that of a NaN.
template <int E, int M>
uint32_t narrow_float(float f, uint32_t inf, uint32_t nan, uint32_t largest) {
  auto u = std::bit_cast<uint32_t>(f);
  uint32_t sign = (u >> 31) << (E + M);
  if (f != f) return sign | nan;
  constexpr int bias = (1 << (E - 1)) - 1;
  float a = std::fabs(f);
  if (a == 0) return sign;
  int e;
  std::frexp(a, &e);  // a in [2^(e-1), 2^e)
  int exponent = std::isinf(a) ? 128 : e - 1;
  if (exponent > 127) return sign | inf;
  int shift = std::max(exponent, 1 - bias) - M;  // unit in the last place is 2^shift
  auto units = static_cast<uint32_t>(std::nearbyint(std::ldexp(double(a), -shift)));
  // Adding the biased exponent carries a mantissa that rounded up into the next exponent.
  uint32_t r =
      exponent < 1 - bias ? units : units + (static_cast<uint32_t>(exponent + bias - 1) << M);
  return sign | (r > largest ? inf : r);
}

template <int E, int M>
float widen_float(uint32_t bits) {
  constexpr int bias = (1 << (E - 1)) - 1;
  uint32_t exponent = (bits >> M) & ((1u << E) - 1), mantissa = bits & ((1u << M) - 1);
  float v = exponent ? std::ldexp(float(mantissa | (1u << M)), int(exponent) - bias - M)
                     : std::ldexp(float(mantissa), 1 - bias - M);
  return (bits >> (E + M)) & 1 ? -v : v;
}

}  // namespace

float16::float16(float f)
    : bits(static_cast<uint16_t>(narrow_float<5, 10>(f, 0x7c00, 0x7e00, 0x7bff))) {}
float16::operator float() const {
  if ((bits & 0x7c00) == 0x7c00) {
    float v = bits & 0x3ff ? std::numeric_limits<float>::quiet_NaN()
                           : std::numeric_limits<float>::infinity();
    return bits & 0x8000 ? -v : v;
  }
  return widen_float<5, 10>(bits);
}
float8_e4m3fn::float8_e4m3fn(float f)  // no infinities: overflow is the largest
    : bits(static_cast<uint8_t>(narrow_float<4, 3>(f, 0x7e, 0x7f, 0x7e))) {}
float8_e4m3fn::operator float() const {
  if ((bits & 0x7f) == 0x7f) return std::numeric_limits<float>::quiet_NaN();
  return widen_float<4, 3>(bits);
}
float8_e5m2::float8_e5m2(float f)
    : bits(static_cast<uint8_t>(narrow_float<5, 2>(f, 0x7c, 0x7f, 0x7b))) {}
float8_e5m2::operator float() const {
  float16 h;  // e5m2 is the upper byte of a float16
  h.bits = static_cast<uint16_t>(bits << 8);
  return static_cast<float>(h);
}

}  // namespace flambeau
