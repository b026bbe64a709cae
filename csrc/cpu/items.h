// Elements that are only moved, by size; elements that are combined, by dtype.
#pragma once
#include "../kernels/index.h"
#include "elements.h"
#include "vec.h"

namespace flambeau {
namespace FLAMBEAU_ISA {

struct Sixteen {
  uint64_t a, b;
};

// f(an element of `item` bytes)
template <class F>
FLAMBEAU_INLINE void by_size(int64_t item, const F& f) {
  switch (item) {
    case 1: return f(uint8_t{});
    case 2: return f(uint16_t{});
    case 4: return f(uint32_t{});
    case 8: return f(uint64_t{});
    default: return f(Sixteen{});
  }
}

// Real dtypes only: for what compares.
template <class F>
FLAMBEAU_INLINE void by_real_dtype(DType t, const F& f) {
  if (t == DType::complex64 || t == DType::complex128) return;
  by_dtype(t, [&](auto tag) {
    if constexpr (!__is_same(decltype(tag), Cx) && !__is_same(decltype(tag), Cx32)) f(tag);
  });
}

template <bool First, class A, class B>
struct Choose {
  using type = A;
};
template <class A, class B>
struct Choose<false, A, B> {
  using type = B;
};

template <Combine C>
struct CombineTag {
  static constexpr Combine value = C;
};
template <class F>
FLAMBEAU_INLINE void by_combine(Combine c, const F& f) {
  switch (c) {
    case Combine::add: return f(CombineTag<Combine::add>{});
    case Combine::mul: return f(CombineTag<Combine::mul>{});
    case Combine::amin: return f(CombineTag<Combine::amin>{});
    case Combine::amax: return f(CombineTag<Combine::amax>{});
    default: return;
  }
}

// A value to reckon or compare with: half precision as float, bool as a number.
FLAMBEAU_INLINE float value_of(Half x) { return f16_to_float(x.bits); }
FLAMBEAU_INLINE float value_of(Brain x) { return bf16_to_float(x.bits); }
FLAMBEAU_INLINE uint8_t value_of(Bool x) { return x.byte != 0; }
template <class T>
FLAMBEAU_INLINE T value_of(T x) {
  return x;
}

// *p = *p (op) x
template <Combine C, class T>
FLAMBEAU_INLINE void combine(T* p, T x) {
  if constexpr (C == Combine::assign) {
    *p = x;
  } else if constexpr (__is_same(T, Bool)) {
    const uint8_t a = p->byte != 0, b = x.byte != 0;
    p->byte = C == Combine::add || C == Combine::amax ? a | b : a & b;
  } else {
    const auto a = value_of(*p), b = value_of(x);
    decltype(a + b) r{};
    if constexpr (C == Combine::add)
      r = a + b;
    else if constexpr (C == Combine::mul)
      r = a * b;
    else if constexpr (__is_same(T, Cx) || __is_same(T, Cx32))
      r = a;
    else if constexpr (C == Combine::amin)
      r = (a < b) | (a != a) ? a : b;
    else
      r = (a > b) | (a != a) ? a : b;
    if constexpr (__is_same(T, Half))
      p->bits = float_to_f16(r);
    else if constexpr (__is_same(T, Brain))
      p->bits = float_to_bf16(r);
    else
      *p = static_cast<T>(r);
  }
}

}  // namespace FLAMBEAU_ISA
}  // namespace flambeau
