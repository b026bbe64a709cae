// The loops of every line of pointwise.def in one compute type. Included by one file for each type.
#pragma once
#include "pointwise_math.h"

namespace flambeau {
namespace FLAMBEAU_ISA {
namespace {

struct NoGradient {};

// What an expression is read as: registers for the floating types, single elements for the others.
template <class T>
struct Lane {
  using type = T;
};
template <>
struct Lane<float> {
  using type = Vec<float>;
};
template <>
struct Lane<double> {
  using type = Vec<double>;
};

template <class T>
FLAMBEAU_INLINE auto number(const PointwiseNumber& n) {
  if constexpr (__is_same(T, int64_t))
    return n.i;
  else if constexpr (__is_same(T, Cx))
    return to_cx(n.re, n.im);
  else
    return typename Lane<T>::type(static_cast<T>(n.re));
}

template <int W>
struct ByteLanes;
#define FLAMBEAU_BYTES(W)                                                         \
  template <>                                                                     \
  struct ByteLanes<W> {                                                           \
    typedef uint8_t Reg __attribute__((vector_size(W)));                          \
    typedef uint8_t Loose __attribute__((vector_size(W), aligned(1), may_alias)); \
  };
FLAMBEAU_BYTES(2)
FLAMBEAU_BYTES(4)
FLAMBEAU_BYTES(8)
FLAMBEAU_BYTES(16)
#undef FLAMBEAU_BYTES

// Bytes 0 and 1 from a mask.
template <class T>
FLAMBEAU_INLINE void store_mask(uint8_t* p, Mask<T> m, int64_t n) {
  constexpr int W = Vec<T>::size;
  using Bytes = ByteLanes<W>;
  const typename Bytes::Reg b = __builtin_convertvector(m.m, typename Bytes::Reg) & 1;
  if (n >= W) {
    *reinterpret_cast<typename Bytes::Loose*>(p) = b;
    return;
  }
  for (int64_t i = 0; i < n; ++i) p[i] = b[i];
}
template <class T>
FLAMBEAU_INLINE void store_result(void* out, int64_t i, Vec<T> y, int64_t n) {
  y.store_n(static_cast<T*>(out) + i, n);
}
template <class T>
FLAMBEAU_INLINE void store_result(void* out, int64_t i, Mask<T> y, int64_t n) {
  store_mask(static_cast<uint8_t*>(out) + i, y, n);
}

// N operands through f, `flags` telling the type of the result.
template <class T, int N, int flags, class F>
FLAMBEAU_INLINE void loop(const void* const* in, void* out, int64_t n, const F& f) {
  if constexpr (__is_same(T, float) || __is_same(T, double)) {
    constexpr int W = Vec<T>::size;
    auto step = [&](int64_t i, int64_t m) {
      auto operand = [&](int k) {
        const T* p = static_cast<const T*>(in[k < N ? k : 0]) + i;
        return m >= W ? Vec<T>::load(p) : Vec<T>::load_n(p, m, T(1));
      };
      if constexpr (N == 1)
        store_result(out, i, f(operand(0)), m);
      else if constexpr (N == 2)
        store_result(out, i, f(operand(0), operand(1)), m);
      else if constexpr (N == 3)
        store_result(out, i, f(operand(0), operand(1), operand(2)), m);
      else if constexpr (N == 4)
        store_result(out, i, f(operand(0), operand(1), operand(2), operand(3)), m);
      else
        store_result(out, i, f(operand(0), operand(1), operand(2), operand(3), operand(4)), m);
    };
    int64_t i = 0;
    for (; i + W <= n; i += W) step(i, W);
    if (i < n) step(i, n - i);
  } else {
    auto operand = [&](int k, int64_t i) { return static_cast<const T*>(in[k < N ? k : 0])[i]; };
    auto store = [&](int64_t i, auto y) {
      if constexpr ((flags & BOOL) != 0)
        static_cast<uint8_t*>(out)[i] = y;
      else if constexpr ((flags & REAL) != 0 && __is_same(T, Cx))
        static_cast<double*>(out)[i] = y;
      else
        static_cast<T*>(out)[i] = static_cast<T>(y);
    };
    for (int64_t i = 0; i < n; ++i) {
      if constexpr (N == 1)
        store(i, f(operand(0, i)));
      else if constexpr (N == 2)
        store(i, f(operand(0, i), operand(1, i)));
      else if constexpr (N == 3)
        store(i, f(operand(0, i), operand(1, i), operand(2, i)));
      else if constexpr (N == 4)
        store(i, f(operand(0, i), operand(1, i), operand(2, i), operand(3, i)));
      else
        store(i, f(operand(0, i), operand(1, i), operand(2, i), operand(3, i), operand(4, i)));
    }
  }
}

#define FLAMBEAU_NUMBERS                                                            \
  [[maybe_unused]] const auto p = number<T>(numbers[0]), q = number<T>(numbers[1]), \
                              r = number<T>(numbers[2]);

// A struct for each line: value<T> and gradientK<T> are its loops.
#define FLAMBEAU_LOOP(name, N, flags, EXPR, ...)                                                  \
  template <class T>                                                                              \
  static void name([[maybe_unused]] const void* const* in, [[maybe_unused]] void* out,            \
                   [[maybe_unused]] int64_t n, [[maybe_unused]] const PointwiseNumber* numbers) { \
    using V = typename Lane<T>::type;                                                             \
    FLAMBEAU_NUMBERS                                                                              \
    loop<T, N, flags>(in, out, n, [&](__VA_ARGS__) { return as_result<V>(EXPR); });               \
  }

// Results as a register (a literal 0 among them), a mask, or for other types as they come.
template <class V, class R>
FLAMBEAU_INLINE auto as_result(R x) {
  if constexpr (requires { V::size; } && !requires { x.m; })
    return V(x);
  else if constexpr (__is_same(R, NoGradient))
    return V(0);
  else
    return x;
}
template <class V>
FLAMBEAU_INLINE V as_result(NoGradient) {
  return V(0);
}
#define OPERAND(name) [[maybe_unused]] V name

consteval bool is_gradient(const char* text) {
  return !named(text, "NONE") && !named(text, "ZERO") && !named(text, "MISSING");
}

#define UNARY(name, schema, flags, value_, g0, doc)                        \
  struct Loops_##name {                                                    \
    static constexpr int types = flags, operands = 1;                      \
    static constexpr bool has[3] = {is_gradient(#g0), false, false};       \
    FLAMBEAU_LOOP(value, 1, flags, value_, OPERAND(x))                     \
    FLAMBEAU_LOOP(gradient0, 3, 0, g0, OPERAND(g), OPERAND(x), OPERAND(y)) \
  };
#define BINARY(name, schema, flags, value_, g0, g1, doc)                               \
  struct Loops_##name {                                                                \
    static constexpr int types = flags, operands = 2;                                  \
    static constexpr bool has[3] = {is_gradient(#g0), is_gradient(#g1), false};        \
    FLAMBEAU_LOOP(value, 2, flags, value_, OPERAND(x), OPERAND(z))                     \
    FLAMBEAU_LOOP(gradient0, 4, 0, g0, OPERAND(g), OPERAND(x), OPERAND(z), OPERAND(y)) \
    FLAMBEAU_LOOP(gradient1, 4, 0, g1, OPERAND(g), OPERAND(x), OPERAND(z), OPERAND(y)) \
  };
#define TERNARY(name, schema, flags, value_, g0, g1, g2, doc)                                      \
  struct Loops_##name {                                                                            \
    static constexpr int types = flags, operands = 3;                                              \
    static constexpr bool has[3] = {is_gradient(#g0), is_gradient(#g1), is_gradient(#g2)};         \
    FLAMBEAU_LOOP(value, 3, flags, value_, OPERAND(x), OPERAND(z), OPERAND(u))                     \
    FLAMBEAU_LOOP(gradient0, 5, 0, g0, OPERAND(g), OPERAND(x), OPERAND(z), OPERAND(u), OPERAND(y)) \
    FLAMBEAU_LOOP(gradient1, 5, 0, g1, OPERAND(g), OPERAND(x), OPERAND(z), OPERAND(u), OPERAND(y)) \
    FLAMBEAU_LOOP(gradient2, 5, 0, g2, OPERAND(g), OPERAND(x), OPERAND(z), OPERAND(u), OPERAND(y)) \
  };
#include "../ops/pointwise.def"
#undef UNARY
#undef BINARY
#undef TERNARY

template <class T>
constexpr Compute compute_of = Compute::f32;
template <>
constexpr Compute compute_of<double> = Compute::f64;
template <>
constexpr Compute compute_of<int64_t> = Compute::i64;
template <>
constexpr Compute compute_of<Cx> = Compute::c128;

template <class T, class L>
void enter(PointwiseLoops& loops) {
  constexpr int need = __is_same(T, int64_t) ? I : __is_same(T, Cx) ? C : F;
  constexpr int at = static_cast<int>(compute_of<T>);
  if constexpr ((L::types & need) != 0) {
    loops.value[at] = &L::template value<T>;
    if constexpr (!__is_same(T, int64_t)) {
      if constexpr (L::has[0]) loops.gradient[0][at] = &L::template gradient0<T>;
      if constexpr (L::operands > 1)
        if constexpr (L::has[1]) loops.gradient[1][at] = &L::template gradient1<T>;
      if constexpr (L::operands > 2)
        if constexpr (L::has[2]) loops.gradient[2][at] = &L::template gradient2<T>;
    }
  }
}

template <class T>
void enter_all(PointwiseLoops* loops) {
#define UNARY(name, ...) enter<T, Loops_##name>(loops[pointwise_##name]);
#define BINARY UNARY
#define TERNARY UNARY
#include "../ops/pointwise.def"
#undef UNARY
#undef BINARY
#undef TERNARY
}

}  // namespace
}  // namespace FLAMBEAU_ISA
}  // namespace flambeau
