// Vec<T>: one register of float, double, int32_t or int64_t, as wide as the instruction-set level.
// Written on GCC vector extensions; the native instructions they cannot name are in vec_native.h.
// An expression such as `where(x > 0, 1 - x * x, 0)` compiles for Vec<T> and for plain T alike.
#pragma once
#include <stdint.h>
#if defined(__x86_64__)
#include <immintrin.h>
#define FLAMBEAU_X86 1
#endif

#define FLAMBEAU_INLINE inline __attribute__((always_inline))

namespace flambeau {
namespace FLAMBEAU_ISA {

#if defined(__AVX512F__)
constexpr int kVecBytes = 64;
#elif defined(__AVX__)
constexpr int kVecBytes = 32;
#else
constexpr int kVecBytes = 16;
#endif

// Reg: the register; Loose: the same at any address of a T; Int: the integer of T's width.
template <class T>
struct VecTraits;
#define FLAMBEAU_VEC_TRAITS(T, I)                                                            \
  template <>                                                                                \
  struct VecTraits<T> {                                                                      \
    typedef T Reg __attribute__((vector_size(kVecBytes)));                                   \
    typedef T Loose __attribute__((vector_size(kVecBytes), aligned(alignof(T)), may_alias)); \
    typedef I Int;                                                                           \
  };
FLAMBEAU_VEC_TRAITS(float, int32_t)
FLAMBEAU_VEC_TRAITS(double, int64_t)
FLAMBEAU_VEC_TRAITS(int32_t, int32_t)
FLAMBEAU_VEC_TRAITS(int64_t, int64_t)
#undef FLAMBEAU_VEC_TRAITS

template <class T>
struct Vec;

// The outcome of a comparison: all bits of a lane set, or none.
template <class T>
struct Mask {
  using Reg = typename VecTraits<typename VecTraits<T>::Int>::Reg;
  Reg m;

  friend FLAMBEAU_INLINE Mask operator&(Mask a, Mask b) { return {a.m & b.m}; }
  friend FLAMBEAU_INLINE Mask operator|(Mask a, Mask b) { return {a.m | b.m}; }
  friend FLAMBEAU_INLINE Mask operator^(Mask a, Mask b) { return {a.m ^ b.m}; }
  friend FLAMBEAU_INLINE Mask operator!(Mask a) { return {~a.m}; }
  friend FLAMBEAU_INLINE Vec<T> where(Mask c, Vec<T> a, Vec<T> b) { return c.m ? a.v : b.v; }
  FLAMBEAU_INLINE bool operator[](int i) const { return m[i] != 0; }
};

template <class T>
struct Vec {
  using Reg = typename VecTraits<T>::Reg;
  using Loose = typename VecTraits<T>::Loose;
  using Int = typename VecTraits<T>::Int;
  static constexpr int size = kVecBytes / static_cast<int>(sizeof(T));

  Reg v;

  Vec() = default;
  FLAMBEAU_INLINE Vec(Reg r) : v(r) {}
  FLAMBEAU_INLINE Vec(T x) : v(x - Reg{}) {}  // a broadcast; x - 0 keeps the sign of zero

  static FLAMBEAU_INLINE Vec load(const T* p) { return Reg(*reinterpret_cast<const Loose*>(p)); }
  FLAMBEAU_INLINE void store(T* p) const { *reinterpret_cast<Loose*>(p) = v; }

  // The first n lanes (0 <= n <= size); the rest read as `fill` and are not written.
  static FLAMBEAU_INLINE Vec load_n(const T* p, int64_t n, T fill = T(0)) {
    if (n >= size) return load(p);
#if defined(__AVX512F__)
    if constexpr (sizeof(T) == 4)
      return Reg(_mm512_mask_loadu_epi32((__m512i)Vec(fill).v, (1u << n) - 1, p));
    else
      return Reg(_mm512_mask_loadu_epi64((__m512i)Vec(fill).v, (1u << n) - 1, p));
#else
    alignas(kVecBytes) T buf[size];
    Vec(fill).store(buf);
    for (int64_t i = 0; i < n; ++i) buf[i] = p[i];
    return load(buf);
#endif
  }
  FLAMBEAU_INLINE void store_n(T* p, int64_t n) const {
    if (n >= size) return store(p);
#if defined(__AVX512F__)
    if constexpr (sizeof(T) == 4)
      _mm512_mask_storeu_epi32(p, (1u << n) - 1, (__m512i)v);
    else
      _mm512_mask_storeu_epi64(p, (1u << n) - 1, (__m512i)v);
#else
    alignas(kVecBytes) T buf[size];
    store(buf);
    for (int64_t i = 0; i < n; ++i) p[i] = buf[i];
#endif
  }
  // first, first + 1, ...
  static FLAMBEAU_INLINE Vec arange(T first) {
    Reg r;
    for (int i = 0; i < size; ++i) r[i] = first + static_cast<T>(i);
    return r;
  }
  FLAMBEAU_INLINE T operator[](int i) const { return v[i]; }

  friend FLAMBEAU_INLINE Vec operator+(Vec a, Vec b) { return a.v + b.v; }
  friend FLAMBEAU_INLINE Vec operator-(Vec a, Vec b) { return a.v - b.v; }
  friend FLAMBEAU_INLINE Vec operator*(Vec a, Vec b) { return a.v * b.v; }
  friend FLAMBEAU_INLINE Vec operator/(Vec a, Vec b) { return a.v / b.v; }
  friend FLAMBEAU_INLINE Vec operator-(Vec a) { return -a.v; }
  FLAMBEAU_INLINE Vec& operator+=(Vec b) { return *this = *this + b; }
  FLAMBEAU_INLINE Vec& operator-=(Vec b) { return *this = *this - b; }
  FLAMBEAU_INLINE Vec& operator*=(Vec b) { return *this = *this * b; }
  FLAMBEAU_INLINE Vec& operator/=(Vec b) { return *this = *this / b; }
  // Integer lanes only.
  friend FLAMBEAU_INLINE Vec operator&(Vec a, Vec b) { return a.v & b.v; }
  friend FLAMBEAU_INLINE Vec operator|(Vec a, Vec b) { return a.v | b.v; }
  friend FLAMBEAU_INLINE Vec operator^(Vec a, Vec b) { return a.v ^ b.v; }
  friend FLAMBEAU_INLINE Vec operator~(Vec a) { return ~a.v; }
  friend FLAMBEAU_INLINE Vec operator<<(Vec a, int n) { return a.v << n; }
  friend FLAMBEAU_INLINE Vec operator>>(Vec a, int n) { return a.v >> n; }

  friend FLAMBEAU_INLINE Mask<T> operator<(Vec a, Vec b) { return {a.v < b.v}; }
  friend FLAMBEAU_INLINE Mask<T> operator<=(Vec a, Vec b) { return {a.v <= b.v}; }
  friend FLAMBEAU_INLINE Mask<T> operator>(Vec a, Vec b) { return {a.v > b.v}; }
  friend FLAMBEAU_INLINE Mask<T> operator>=(Vec a, Vec b) { return {a.v >= b.v}; }
  friend FLAMBEAU_INLINE Mask<T> operator==(Vec a, Vec b) { return {a.v == b.v}; }
  friend FLAMBEAU_INLINE Mask<T> operator!=(Vec a, Vec b) { return {a.v != b.v}; }

  // A NaN in either operand gives NaN, as torch.maximum and torch.minimum do.
  friend FLAMBEAU_INLINE Vec max(Vec a, Vec b) { return where((a > b) | (a != a), a, b); }
  friend FLAMBEAU_INLINE Vec min(Vec a, Vec b) { return where((a < b) | (a != a), a, b); }
};

// The same bits read as integers or as floating point.
template <class T>
FLAMBEAU_INLINE Vec<typename Vec<T>::Int> to_bits(Vec<T> a) {
  return (typename Vec<typename Vec<T>::Int>::Reg)a.v;
}
template <class T>
FLAMBEAU_INLINE Vec<T> from_bits(Vec<typename Vec<T>::Int> a) {
  return (typename Vec<T>::Reg)a.v;
}
// Value conversion between types of one width; towards zero from floating point to integer.
template <class To, class From>
FLAMBEAU_INLINE Vec<To> convert(Vec<From> a) {
  static_assert(sizeof(To) == sizeof(From));
  return __builtin_convertvector(a.v, typename Vec<To>::Reg);
}

FLAMBEAU_INLINE Vec<float> abs(Vec<float> a) {
  return from_bits<float>(to_bits(a) & Vec<int32_t>(INT32_MAX));
}
FLAMBEAU_INLINE Vec<double> abs(Vec<double> a) {
  return from_bits<double>(to_bits(a) & Vec<int64_t>(INT64_MAX));
}
FLAMBEAU_INLINE Vec<int32_t> abs(Vec<int32_t> a) { return where(a < 0, -a, a); }
FLAMBEAU_INLINE Vec<int64_t> abs(Vec<int64_t> a) { return where(a < 0, -a, a); }

// The magnitude of a with the sign of b.
FLAMBEAU_INLINE Vec<float> copysign(Vec<float> a, Vec<float> b) {
  return from_bits<float>((to_bits(a) & INT32_MAX) | (to_bits(b) & INT32_MIN));
}
FLAMBEAU_INLINE Vec<double> copysign(Vec<double> a, Vec<double> b) {
  return from_bits<double>((to_bits(a) & INT64_MAX) | (to_bits(b) & INT64_MIN));
}

// f of every lane, for what has no vector form.
template <class T, class F>
FLAMBEAU_INLINE Vec<T> map(Vec<T> a, const F& f) {
  Vec<T> r;
  for (int i = 0; i < Vec<T>::size; ++i) r.v[i] = f(a.v[i]);
  return r;
}
template <class T, class F>
FLAMBEAU_INLINE Vec<T> map(Vec<T> a, Vec<T> b, const F& f) {
  Vec<T> r;
  for (int i = 0; i < Vec<T>::size; ++i) r.v[i] = f(a.v[i], b.v[i]);
  return r;
}

// Lanes combined as a tree (i with i + half), always in this order.
template <class T, class F>
FLAMBEAU_INLINE T fold(Vec<T> a, const F& f) {
  alignas(kVecBytes) T buf[Vec<T>::size];
  a.store(buf);
  for (int half = Vec<T>::size / 2; half; half /= 2)
    for (int i = 0; i < half; ++i) buf[i] = f(buf[i], buf[i + half]);
  return buf[0];
}

// Plain numbers: the same names and the same rules, so that one expression serves both.
template <class A, class B>
FLAMBEAU_INLINE auto where(bool c, A a, B b) -> decltype(c ? A() : B()) {
  return c ? a : b;
}
template <class T>
concept Number = !requires(T x) { x.v; };
template <Number A, Number B>
FLAMBEAU_INLINE auto max(A a, B b) -> decltype(a + b) {
  return (a > b) | (a != a) ? a : b;
}
template <Number A, Number B>
FLAMBEAU_INLINE auto min(A a, B b) -> decltype(a + b) {
  return (a < b) | (a != a) ? a : b;
}
#define FLAMBEAU_SCALAR(T)                              \
  FLAMBEAU_INLINE T sum(Vec<T> a) {                     \
    return fold(a, [](T x, T y) { return x + y; });     \
  }                                                     \
  FLAMBEAU_INLINE T prod(Vec<T> a) {                    \
    return fold(a, [](T x, T y) { return x * y; });     \
  }                                                     \
  FLAMBEAU_INLINE T hmax(Vec<T> a) {                    \
    return fold(a, [](T x, T y) { return max(x, y); }); \
  }                                                     \
  FLAMBEAU_INLINE T hmin(Vec<T> a) {                    \
    return fold(a, [](T x, T y) { return min(x, y); }); \
  }
FLAMBEAU_SCALAR(float)
FLAMBEAU_SCALAR(double)
FLAMBEAU_SCALAR(int32_t)
FLAMBEAU_SCALAR(int64_t)
#undef FLAMBEAU_SCALAR
FLAMBEAU_INLINE float abs(float a) { return __builtin_fabsf(a); }
FLAMBEAU_INLINE double abs(double a) { return __builtin_fabs(a); }
FLAMBEAU_INLINE int32_t abs(int32_t a) { return a < 0 ? -a : a; }
FLAMBEAU_INLINE int64_t abs(int64_t a) { return a < 0 ? -a : a; }
FLAMBEAU_INLINE float copysign(float a, float b) { return __builtin_copysignf(a, b); }
FLAMBEAU_INLINE double copysign(double a, double b) { return __builtin_copysign(a, b); }

}  // namespace FLAMBEAU_ISA
}  // namespace flambeau

#include "vec_native.h"  // fma, sqrt, floor, ceil, round, trunc, any, all, half precision
#include "vec_math.h"    // exp, log, tanh, ...
