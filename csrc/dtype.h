// Data types, their promotion, and scalars.
#pragma once
#include <complex>
#include <limits>

#include "common.h"
#include "kernels/dtype.h"

namespace flambeau {

struct DTypeInfo {
  const char* name;    // as Python spells it
  const char* letter;  // NumPy's / the buffer protocol's type character, "" where there is none
  uint8_t size;        // bytes
  bool floating, complex, is_signed;
};
extern const DTypeInfo kDTypes[];

inline const DTypeInfo& info(DType t) { return kDTypes[static_cast<int>(t)]; }
inline size_t itemsize(DType t) { return info(t).size; }
inline bool is_floating(DType t) { return info(t).floating; }
inline bool is_complex(DType t) { return info(t).complex; }
inline bool is_inexact(DType t) { return is_floating(t) || is_complex(t); }
inline bool is_integral(DType t) { return !is_inexact(t) && t != DType::boolean; }
std::ostream& operator<<(std::ostream& os, DType t);

DType default_dtype();
void set_default_dtype(DType t);
DType promote(DType a, DType b);
bool can_cast(DType from, DType to);
DType to_complex(DType t);  // float32 -> complex64, ...
DType to_real(DType t);     // complex64 -> float32, ...; real types stay

struct bfloat16 {
  uint16_t bits;
  bfloat16() = default;
  explicit bfloat16(float f);
  explicit operator float() const;
};
struct float16 {
  uint16_t bits;
  float16() = default;
  explicit float16(float f);
  explicit operator float() const;
};
struct float8_e4m3fn {
  uint8_t bits;
  float8_e4m3fn() = default;
  explicit float8_e4m3fn(float f);
  explicit operator float() const;
};
struct float8_e5m2 {
  uint8_t bits;
  float8_e5m2() = default;
  explicit float8_e5m2(float f);
  explicit operator float() const;
};
using complex64 = std::complex<float>;
using complex128 = std::complex<double>;

template <class T>
struct Type {
  using type = T;
};

// visit(dtype, [&](auto t) { using T = typename decltype(t)::type; ... })
template <class F>
decltype(auto) visit(DType t, F&& f) {
  switch (t) {
    case DType::uint8: return f(Type<uint8_t>{});
    case DType::int8: return f(Type<int8_t>{});
    case DType::int16: return f(Type<int16_t>{});
    case DType::int32: return f(Type<int32_t>{});
    case DType::int64: return f(Type<int64_t>{});
    case DType::float16: return f(Type<float16>{});
    case DType::float32: return f(Type<float>{});
    case DType::float64: return f(Type<double>{});
    case DType::complex64: return f(Type<complex64>{});
    case DType::complex128: return f(Type<complex128>{});
    case DType::boolean: return f(Type<bool>{});
    case DType::bfloat16: return f(Type<bfloat16>{});
    case DType::uint16: return f(Type<uint16_t>{});
    case DType::uint32: return f(Type<uint32_t>{});
    case DType::uint64: return f(Type<uint64_t>{});
    case DType::float8_e4m3fn: return f(Type<float8_e4m3fn>{});
    case DType::float8_e5m2: return f(Type<float8_e5m2>{});
    default: fail(ErrorKind::runtime, "unknown dtype");
  }
}

template <class T>
inline constexpr bool is_reduced_float =
    std::is_same_v<T, bfloat16> || std::is_same_v<T, float16> || std::is_same_v<T, float8_e4m3fn> ||
    std::is_same_v<T, float8_e5m2>;
template <class T>
inline constexpr bool is_complex_type =
    std::is_same_v<T, complex64> || std::is_same_v<T, complex128>;

// Any element type to any other: complex to real takes the real part, float to integer truncates
// (out of range values wrap as on x86), anything to bool asks for non-zero.
template <class To, class From>
inline To convert(From x) {
  if constexpr (std::is_same_v<To, From>) {
    return x;
  } else if constexpr (is_complex_type<From> && !is_complex_type<To>) {
    if constexpr (std::is_same_v<To, bool>)
      return x != From(0);
    else
      return convert<To>(x.real());
  } else if constexpr (is_reduced_float<From>) {
    return convert<To>(static_cast<float>(x));
  } else if constexpr (is_complex_type<To>) {
    if constexpr (is_complex_type<From>)
      return To(static_cast<typename To::value_type>(x.real()),
                static_cast<typename To::value_type>(x.imag()));
    else
      return To(static_cast<typename To::value_type>(x), 0);
  } else if constexpr (is_reduced_float<To>) {
    return To(static_cast<float>(x));
  } else if constexpr (std::is_same_v<To, bool>) {
    return x != From(0);
  } else if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To>) {
    // The cast is undefined out of range: go through int64, which saturates to its minimum.
    if (!(x >= From(-9223372036854775808.0) && x < From(9223372036854775808.0))) {
      if constexpr (std::is_same_v<To, uint64_t>)
        if (x > 0 && x < From(18446744073709551616.0)) return static_cast<uint64_t>(x);
      return static_cast<To>(std::numeric_limits<int64_t>::min());
    }
    return static_cast<To>(static_cast<int64_t>(x));
  } else {
    return static_cast<To>(x);
  }
}

// A Python number.
struct Scalar {
  enum Kind : uint8_t { boolean, integer, floating, complex } kind = integer;
  union {
    int64_t i;
    double d;
  };
  double im = 0;
  Scalar() : i(0) {}
  Scalar(bool b) : kind(boolean), i(b) {}                  // NOLINT
  Scalar(int v) : kind(integer), i(v) {}                   // NOLINT
  Scalar(int64_t v) : kind(integer), i(v) {}               // NOLINT
  Scalar(double v) : kind(floating), d(v) {}               // NOLINT
  Scalar(complex128 v) : kind(complex), d(v.real()), im(v.imag()) {}  // NOLINT
  template <class T>
  T to() const {
    if (kind <= integer) return convert<T>(i);
    if (kind == floating) return convert<T>(d);
    return convert<T>(complex128(d, im));
  }
  DType dtype() const {  // the type a tensor made of this alone would have
    switch (kind) {
      case boolean: return DType::boolean;
      case integer: return DType::int64;
      case floating: return default_dtype();
      default: return to_complex(default_dtype());
    }
  }
};
std::ostream& operator<<(std::ostream& os, const Scalar& s);

}  // namespace flambeau
