// Runs of elements of any dtype to and from a compute type: what lets a loop be written once.
#pragma once
#include "elements.h"
#include "kernels/pointwise.h"
#include "vec.h"

namespace flambeau {

namespace FLAMBEAU_ISA {

FLAMBEAU_INLINE float e4m3_to_float(uint8_t b) {
  if ((b & 0x7f) == 0x7f) return __builtin_nanf("");
  int e = b >> 3 & 15, m = b & 7;
  float v = e ? __builtin_ldexpf(static_cast<float>(m | 8), e - 10)
              : __builtin_ldexpf(static_cast<float>(m), -9);
  return b & 0x80 ? -v : v;
}
FLAMBEAU_INLINE uint8_t float_to_e4m3(float f) {
  const auto sign = static_cast<uint8_t>(__builtin_signbit(f) ? 0x80 : 0);
  float a = __builtin_fabsf(f);
  if (f != f) return sign | 0x7f;
  if (a >= 464.0f) return sign | 0x7e;  // there is no infinity: the largest, 448
  int e = -5;  // of zero, so that it has the smallest unit
  if (a > 0) __builtin_frexpf(a, &e);
  int shift = (e - 1 < -6 ? -6 : e - 1) - 3;  // unit in the last place
  int units = static_cast<int>(__builtin_nearbyintf(__builtin_ldexpf(a, -shift)));
  return static_cast<uint8_t>(sign | (units + ((shift + 9) << 3)));
}

FLAMBEAU_INLINE Cx to_cx(double re, double im) {
  Cx c;
  __real__ c = re;
  __imag__ c = im;
  return c;
}

// One element to a compute type.
template <class C, class T>
FLAMBEAU_INLINE C widen_one(T x) {
  if constexpr (__is_same(T, Half))
    return static_cast<C>(f16_to_float(x.bits));
  else if constexpr (__is_same(T, Brain))
    return static_cast<C>(bf16_to_float(x.bits));
  else if constexpr (__is_same(T, E4M3))
    return static_cast<C>(e4m3_to_float(x.bits));
  else if constexpr (__is_same(T, E5M2))
    return static_cast<C>(f16_to_float(static_cast<uint16_t>(x.bits << 8)));
  else if constexpr (__is_same(T, Bool))
    return static_cast<C>(x.byte != 0);
  else if constexpr (__is_same(T, Cx32) || __is_same(T, Cx)) {
    if constexpr (__is_same(C, Cx))
      return to_cx(__real__ x, __imag__ x);
    else
      return static_cast<C>(__real__ x);
  } else if constexpr (__is_same(C, Cx))
    return to_cx(static_cast<double>(x), 0);
  else
    return static_cast<C>(x);
}

// A float to an integer as the processor does it: out of range gives the smallest.
template <class T, class C>
FLAMBEAU_INLINE T to_integer(C x) {
  if constexpr (__is_same(C, float) || __is_same(C, double)) {
    if constexpr (sizeof(T) < 4 || __is_same(T, int32_t))
      return static_cast<T>(static_cast<int32_t>(x));
    else
      return static_cast<T>(static_cast<int64_t>(x));
  } else {
    return static_cast<T>(x);
  }
}

// One element from a compute type (uint8_t: a bool result).
template <class T, class C>
FLAMBEAU_INLINE T narrow_one(C x) {
  if constexpr (__is_same(C, Cx) && !__is_same(T, Cx) && !__is_same(T, Cx32) && !__is_same(T, Bool))
    return narrow_one<T>(__real__ x);
  else if constexpr (__is_same(T, Half))
    return {float_to_f16(static_cast<float>(x))};
  else if constexpr (__is_same(T, Brain))
    return {float_to_bf16(static_cast<float>(x))};
  else if constexpr (__is_same(T, E4M3))
    return {float_to_e4m3(static_cast<float>(x))};
  else if constexpr (__is_same(T, E5M2)) {
    // Round float32 to 2 mantissa bits directly: by way of float16 it would be rounded twice.
    const auto f = static_cast<float>(x);
    const uint32_t u = __builtin_bit_cast(uint32_t, f);
    const float a = __builtin_fabsf(f);
    if (f != f) return {static_cast<uint8_t>((u >> 24 & 0x80) | 0x7f)};
    if (a < 0x1p-14f) {  // subnormal: units of 2^-16
      auto units = static_cast<uint8_t>(__builtin_nearbyintf(a * 0x1p16f));
      return {static_cast<uint8_t>((u >> 24 & 0x80) | units)};
    }
    const uint32_t r = (u & 0x7fffffff) + 0xfffff + (u >> 21 & 1);
    uint32_t bits = (r >> 21) - (112u << 2);
    if (bits > 0x7b || a > 0x1p17f) bits = 0x7c;
    return {static_cast<uint8_t>((u >> 24 & 0x80) | bits)};
  } else if constexpr (__is_same(T, Bool)) {
    if constexpr (__is_same(C, Cx))
      return {static_cast<uint8_t>(__real__ x != 0 || __imag__ x != 0)};
    else
      return {static_cast<uint8_t>(x != 0)};
  } else if constexpr (__is_same(T, Cx32) || __is_same(T, Cx)) {
    T c;
    if constexpr (__is_same(C, Cx)) {
      __real__ c = __real__ x;
      __imag__ c = __imag__ x;
    } else {
      __real__ c = x;
      __imag__ c = 0;
    }
    return c;
  } else if constexpr (__is_same(T, float) || __is_same(T, double))
    return static_cast<T>(x);
  else
    return to_integer<T>(x);
}

template <class C, class T>
inline void load_typed(C* dst, const char* src, int64_t stride, int64_t n) {
  if (stride == sizeof(T)) {
    if constexpr (__is_same(C, T)) {
      __builtin_memcpy(dst, src, static_cast<size_t>(n) * sizeof(T));
    } else if constexpr (__is_same(C, float) && __is_same(T, Half)) {
      f16_to_float(reinterpret_cast<const uint16_t*>(src), dst, n);
    } else if constexpr (__is_same(C, float) && __is_same(T, Brain)) {
      bf16_to_float(reinterpret_cast<const uint16_t*>(src), dst, n);
    } else {
      const T* p = reinterpret_cast<const T*>(src);
      for (int64_t i = 0; i < n; ++i) dst[i] = widen_one<C>(p[i]);
    }
  } else if (stride == 0) {
    const C x = widen_one<C>(*reinterpret_cast<const T*>(src));
    for (int64_t i = 0; i < n; ++i) dst[i] = x;
  } else {
    for (int64_t i = 0; i < n; ++i)
      dst[i] = widen_one<C>(*reinterpret_cast<const T*>(src + i * stride));
  }
}

template <class C, class T>
inline void store_typed(char* dst, int64_t stride, const C* src, int64_t n) {
  if (stride == sizeof(T)) {
    if constexpr (__is_same(C, T)) {
      __builtin_memcpy(dst, src, static_cast<size_t>(n) * sizeof(T));
    } else if constexpr (__is_same(C, float) && __is_same(T, Half)) {
      float_to_f16(src, reinterpret_cast<uint16_t*>(dst), n);
    } else if constexpr (__is_same(C, float) && __is_same(T, Brain)) {
      float_to_bf16(src, reinterpret_cast<uint16_t*>(dst), n);
    } else {
      T* p = reinterpret_cast<T*>(dst);
      for (int64_t i = 0; i < n; ++i) p[i] = narrow_one<T>(src[i]);
    }
  } else {
    for (int64_t i = 0; i < n; ++i) *reinterpret_cast<T*>(dst + i * stride) = narrow_one<T>(src[i]);
  }
}

// n elements of dtype t, `stride` bytes apart, as C.
template <class C>
void load_run(C* dst, const char* src, DType t, int64_t stride, int64_t n) {
  switch (t) {
#define CASE(name, T) \
  case DType::name: return load_typed<C, T>(dst, src, stride, n);
    FLAMBEAU_EACH_DTYPE(CASE)
#undef CASE
  }
}
template <class C>
void store_run(char* dst, DType t, int64_t stride, const C* src, int64_t n) {
  switch (t) {
#define CASE(name, T) \
  case DType::name: return store_typed<C, T>(dst, stride, src, n);
    FLAMBEAU_EACH_DTYPE(CASE)
#undef CASE
  }
}

// The dtype that is C in memory.
template <class C>
constexpr DType dtype_of = DType::float32;
template <>
constexpr DType dtype_of<double> = DType::float64;
template <>
constexpr DType dtype_of<int64_t> = DType::int64;
template <>
constexpr DType dtype_of<Cx> = DType::complex128;
template <>
constexpr DType dtype_of<uint8_t> = DType::boolean;

constexpr int64_t kRun =
    1024;  // elements converted at a time: a few such buffers fit the first cache

// Where a loop stands: one index for each dimension above the innermost, the byte offset of each
// operand's row, and the column in the row.
struct Cursor {
  int64_t index[kMaxDims];
  int64_t offset[kMaxOperands];
  int64_t column;

  Cursor(const Loop& loop, int64_t at) {
    column = at % loop.sizes[0];
    int64_t rest = at / loop.sizes[0];
    for (int k = 0; k < loop.noperands; ++k) offset[k] = 0;
    for (int d = 1; d < loop.ndim; ++d) {
      index[d] = rest % loop.sizes[d];
      rest /= loop.sizes[d];
      for (int k = 0; k < loop.noperands; ++k) offset[k] += index[d] * loop.operands[k].strides[d];
    }
  }
  FLAMBEAU_INLINE char* at(const Loop& loop, int k) const {
    return loop.operands[k].data + offset[k] + column * loop.operands[k].strides[0];
  }
  // n elements on, within the row or just past its end.
  FLAMBEAU_INLINE void advance(const Loop& loop, int64_t n) {
    column += n;
    if (column < loop.sizes[0]) return;
    column = 0;
    for (int d = 1; d < loop.ndim; ++d) {
      for (int k = 0; k < loop.noperands; ++k) offset[k] += loop.operands[k].strides[d];
      if (++index[d] < loop.sizes[d]) return;
      for (int k = 0; k < loop.noperands; ++k)
        offset[k] -= loop.operands[k].strides[d] * loop.sizes[d];
      index[d] = 0;
    }
  }
};

}  // namespace FLAMBEAU_ISA
}  // namespace flambeau
