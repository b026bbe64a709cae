// Pointwise loops that need no conversion: of bytes, integers and complex numbers in place, and
// what only moves bits. The compiler makes vectors of them.
#include "kernels/direct.h"
#include "move.h"
#include "pointwise_math.h"
#include "rows.h"

namespace flambeau {
namespace FLAMBEAU_ISA {
namespace {

// Elements that are worth a thread: fewer of larger ones.
int64_t grain(const Loop& loop) { return 262144 / (item_size(loop.operands[1].dtype) + 1); }

// An operand in a row: numbers side by side, or one for all of them.
template <class T>
struct Side {
  const T* p;
  FLAMBEAU_INLINE T operator[](int64_t i) const { return p[i]; }
};
template <class T>
struct One {
  T x;
  FLAMBEAU_INLINE T operator[](int64_t) const { return x; }
};

template <class T>
bool in_order(const LoopOperand& o) {
  return o.strides[0] == static_cast<int64_t>(sizeof(T));
}
template <class T>
bool usable(const LoopOperand& o) {
  return o.constant || (item_size(o.dtype) == sizeof(T) && (in_order<T>(o) || !o.strides[0]));
}

// The number that a constant operand holds; false where T does not hold it.
template <class T>
bool constant_of(const LoopOperand& o, T& x) {
  if constexpr (__is_same(T, Cx32) || __is_same(T, Cx)) {
    Cx wide;
    load_run<Cx>(&wide, o.data, o.dtype, 0, 1);
    x = narrow_one<T>(wide);
    return true;
  } else {
    int64_t wide;
    if (o.dtype == DType::float32 || o.dtype == DType::float64) return false;
    load_run<int64_t>(&wide, o.data, o.dtype, 0, 1);
    x = static_cast<T>(wide);
    return static_cast<int64_t>(x) == wide;
  }
}

template <class T, class R, class F>
bool unary(const Loop& loop, const F& f) {
  const LoopOperand &d = loop.operands[0], &s = loop.operands[1];
  if (!in_order<R>(d) || !in_order<T>(s) || s.constant) return false;
  each_row(loop, grain(loop), [&](const Cursor& c, int64_t n) {
    const T* x = reinterpret_cast<const T*>(c.at(loop, 1));
    R* y = reinterpret_cast<R*>(c.at(loop, 0));
    const F own = f;  // which bytes that are written cannot change
#pragma GCC ivdep
    for (int64_t i = 0; i < n; ++i) y[i] = own(x[i]);
  });
  return true;
}

// f(a, b, y, n) for every row of two operands.
template <class T, class R, class F>
bool rows_of_two(const Loop& loop, const F& f) {
  const LoopOperand &d = loop.operands[0], &s = loop.operands[1], &t = loop.operands[2];
  if (!in_order<R>(d) || !usable<T>(s) || !usable<T>(t)) return false;
  T first{}, second{};
  if (s.constant && !constant_of(s, first)) return false;
  if (t.constant && !constant_of(t, second)) return false;
  each_row(loop, grain(loop), [&](const Cursor& c, int64_t n) {
    const T *x = reinterpret_cast<const T*>(c.at(loop, 1)),
            *z = reinterpret_cast<const T*>(c.at(loop, 2));
    R* y = reinterpret_cast<R*>(c.at(loop, 0));
    auto row = [&](auto a, auto b) { f(a, b, y, n); };
    const bool one_x = !s.strides[0], one_z = !t.strides[0];
    const T a = s.constant ? first : one_x ? *x : T(), b = t.constant ? second : one_z ? *z : T();
    if (one_x && one_z)
      row(One<T>{a}, One<T>{b});
    else if (one_x)
      row(One<T>{a}, Side<T>{z});
    else if (one_z)
      row(Side<T>{x}, One<T>{b});
    else
      row(Side<T>{x}, Side<T>{z});
  });
  return true;
}

template <class T, class R, class F>
bool binary(const Loop& loop, const F& f) {
  return rows_of_two<T, R>(loop, [&](auto a, auto b, R* y, int64_t n) {
    const F own = f;
#pragma GCC ivdep
    for (int64_t i = 0; i < n; ++i) y[i] = own(a[i], b[i]);
  });
}

// where: of any type, by the size of its elements.
template <class T>
bool choose(const Loop& loop) {
  const LoopOperand &d = loop.operands[0], &m = loop.operands[1], &s = loop.operands[2],
                    &t = loop.operands[3];
  auto fits = [&](const LoopOperand& o) {
    return o.dtype == d.dtype && (in_order<T>(o) || !o.strides[0]);
  };
  if (!in_order<T>(d) || m.dtype != DType::boolean || !fits(s) || !fits(t)) return false;
  if (m.strides[0] > 1) return false;
  each_row(loop, grain(loop), [&](const Cursor& c, int64_t n) {
    const auto* mask = reinterpret_cast<const uint8_t*>(c.at(loop, 1));
    const T *x = reinterpret_cast<const T*>(c.at(loop, 2)),
            *z = reinterpret_cast<const T*>(c.at(loop, 3));
    T* y = reinterpret_cast<T*>(c.at(loop, 0));
    auto row = [&](auto a, auto b) {
      if (!m.strides[0]) {
        const bool first = *mask;
        for (int64_t i = 0; i < n; ++i) y[i] = first ? a[i] : b[i];
        return;
      }
#pragma GCC ivdep
      for (int64_t i = 0; i < n; ++i) {
        const T u = a[i], v = b[i];
        y[i] = mask[i] ? u : v;
      }
    };
    if (!s.strides[0])
      t.strides[0] ? row(One<T>{*x}, Side<T>{z}) : row(One<T>{*x}, One<T>{*z});
    else
      t.strides[0] ? row(Side<T>{x}, Side<T>{z}) : row(Side<T>{x}, One<T>{*z});
  });
  return true;
}

bool choose_by_size(const Loop& loop) {
  switch (item_size(loop.operands[0].dtype)) {
    case 1: return choose<uint8_t>(loop);
    case 2: return choose<uint16_t>(loop);
    case 4: return choose<uint32_t>(loop);
    case 8: return choose<uint64_t>(loop);
    default: return false;
  }
}

template <class T>
bool holds(const PointwiseNumber& n) {
  return static_cast<int64_t>(static_cast<T>(n.i)) == n.i;
}

template <class T>
bool compare(const DirectArgs& a) {
  const Loop& l = *a.loop;
  switch (a.index) {
    case pointwise_eq: return binary<T, uint8_t>(l, [](T x, T z) { return x == z; });
    case pointwise_ne: return binary<T, uint8_t>(l, [](T x, T z) { return x != z; });
    case pointwise_lt: return binary<T, uint8_t>(l, [](T x, T z) { return x < z; });
    case pointwise_le: return binary<T, uint8_t>(l, [](T x, T z) { return x <= z; });
    case pointwise_gt: return binary<T, uint8_t>(l, [](T x, T z) { return x > z; });
    case pointwise_ge: return binary<T, uint8_t>(l, [](T x, T z) { return x >= z; });
    case pointwise_logical_not: return unary<T, uint8_t>(l, [](T x) { return x == 0; });
    case pointwise_logical_and:
      return binary<T, uint8_t>(l, [](T x, T z) { return (x != 0) & (z != 0); });
    case pointwise_logical_or:
      return binary<T, uint8_t>(l, [](T x, T z) { return (x != 0) | (z != 0); });
    case pointwise_logical_xor:
      return binary<T, uint8_t>(l, [](T x, T z) { return (x != 0) ^ (z != 0); });
    default: return false;
  }
}

template <int size>
struct Unsigned {
  typedef uint32_t type;
};
template <>
struct Unsigned<8> {
  typedef uint64_t type;
};

// Quotients of integers, rounded down or towards zero, and their remainders. In double precision
// the quotient of a number below 2^52 comes as near to a whole number as to reach it only if it is
// one; where a block has larger ones, by the processor's division.
template <class T, bool down, bool remainder>
struct Quotient {
  typedef typename Unsigned<sizeof(T)>::type U;
  static FLAMBEAU_INLINE T rounded(T x, T z, int64_t q) {
    const T r = static_cast<T>(U(x) - U(q) * U(z));
    const bool beyond = down && r != 0 && (r < 0) != (z < 0);
    if (remainder) return static_cast<T>(U(r) + (beyond ? U(z) : U(0)));
    return static_cast<T>(U(q) - U(beyond));
  }
  static FLAMBEAU_INLINE T near(T x, T z) {
    return rounded(x, z, static_cast<int64_t>(static_cast<double>(x) / static_cast<double>(z)));
  }
  static FLAMBEAU_INLINE T exact(T x, T z) { return rounded(x, z, trunc_divide(x, z)); }
};

template <class T, bool down, bool remainder>
bool quotients(const Loop& loop) {
  typedef Quotient<T, down, remainder> Q;
  if constexpr (sizeof(T) < 8) {
    return binary<T, T>(loop, [](T x, T z) { return Q::near(x, z); });
  } else {
    constexpr int64_t kBlock = 256;
    return rows_of_two<T, T>(loop, [](auto a, auto b, T* y, int64_t n) {
      for (int64_t at = 0; at < n; at += kBlock) {
        const int64_t end = at + kBlock < n ? at + kBlock : n;
        uint64_t high = 0;
        for (int64_t i = at; i < end; ++i) high |= static_cast<uint64_t>(a[i] ^ (a[i] >> 63));
        if (high >> 52) {
          for (int64_t i = at; i < end; ++i) y[i] = Q::exact(a[i], b[i]);
        } else {
#pragma GCC ivdep
          for (int64_t i = at; i < end; ++i) y[i] = Q::near(a[i], b[i]);
        }
      }
    });
  }
}

// Sums and products wrap in a wider type and in T alike, so they are made in unsigned numbers.
template <class T>
bool integers(const DirectArgs& a) {
  const Loop& l = *a.loop;
  if (l.operands[0].dtype == DType::boolean) return compare<T>(a);
  typedef typename Unsigned<sizeof(T)>::type U;
  const U p = static_cast<U>(a.numbers[0].i);
  const T low = static_cast<T>(a.numbers[0].i), high = static_cast<T>(a.numbers[1].i);
  const bool fits = holds<T>(a.numbers[0]);
  auto wrapped = [](auto x) { return static_cast<T>(x); };
  switch (a.index) {
    case pointwise_add:
      if (a.numbers[0].i == 1)
        return binary<T, T>(l, [=](T x, T z) { return wrapped(U(x) + U(z)); });
      return binary<T, T>(l, [=](T x, T z) { return wrapped(U(x) + p * U(z)); });
    case pointwise_sub:
      if (a.numbers[0].i == 1)
        return binary<T, T>(l, [=](T x, T z) { return wrapped(U(x) - U(z)); });
      return binary<T, T>(l, [=](T x, T z) { return wrapped(U(x) - p * U(z)); });
    case pointwise_rsub: return binary<T, T>(l, [=](T x, T z) { return wrapped(U(z) - p * U(x)); });
    case pointwise_mul: return binary<T, T>(l, [=](T x, T z) { return wrapped(U(x) * U(z)); });
    case pointwise_maximum:
    case pointwise_fmax:
    case pointwise_clamp_min_tensor: return binary<T, T>(l, [](T x, T z) { return x > z ? x : z; });
    case pointwise_minimum:
    case pointwise_fmin:
    case pointwise_clamp_max_tensor: return binary<T, T>(l, [](T x, T z) { return x < z ? x : z; });
    case pointwise_bitwise_and: return binary<T, T>(l, [](T x, T z) { return T(x & z); });
    case pointwise_bitwise_or: return binary<T, T>(l, [](T x, T z) { return T(x | z); });
    case pointwise_bitwise_xor: return binary<T, T>(l, [](T x, T z) { return T(x ^ z); });
    case pointwise_bitwise_not: return unary<T, T>(l, [](T x) { return T(~x); });
    case pointwise_neg: return unary<T, T>(l, [=](T x) { return wrapped(-U(x)); });
    case pointwise_abs: return unary<T, T>(l, [=](T x) { return wrapped(x < 0 ? -U(x) : U(x)); });
    case pointwise_square: return unary<T, T>(l, [=](T x) { return wrapped(U(x) * U(x)); });
    case pointwise_cube: return unary<T, T>(l, [=](T x) { return wrapped(U(x) * U(x) * U(x)); });
    case pointwise_div_floor: return quotients<T, true, false>(l);
    case pointwise_div_trunc: return quotients<T, false, false>(l);
    case pointwise_remainder: return quotients<T, true, true>(l);
    case pointwise_fmod: return quotients<T, false, true>(l);
    case pointwise_sign:
    case pointwise_sgn: return unary<T, T>(l, [](T x) { return T((x > 0) - (x < 0)); });
    case pointwise_relu: return unary<T, T>(l, [](T x) { return x > 0 ? x : T(0); });
    case pointwise_clamp_min_scalar:
      return fits && unary<T, T>(l, [=](T x) { return x > low ? x : low; });
    case pointwise_clamp_max_scalar:
      return fits && unary<T, T>(l, [=](T x) { return x < low ? x : low; });
    case pointwise_clamp_scalar:
      return fits && holds<T>(a.numbers[1]) && unary<T, T>(l, [=](T x) {
               const T y = x > low ? x : low;
               return y < high ? y : high;
             });
    default: return false;
  }
}

// A bool may be any byte; its truth is what counts.
bool truths(const DirectArgs& a) {
  typedef uint8_t T;
  const Loop& l = *a.loop;
  for (int k = 1; k < l.noperands; ++k)  // numbers are compared as numbers
    if (T x; l.operands[k].constant && (!constant_of(l.operands[k], x) || x > 1)) return false;
  switch (a.index) {
    case pointwise_eq: return binary<T, T>(l, [](T x, T z) { return !x == !z; });
    case pointwise_ne:
    case pointwise_logical_xor:
    case pointwise_bitwise_xor: return binary<T, T>(l, [](T x, T z) { return !x != !z; });
    case pointwise_add:
      if (a.numbers[0].i == 0) return false;
      [[fallthrough]];
    case pointwise_logical_or:
    case pointwise_bitwise_or:
    case pointwise_maximum: return binary<T, T>(l, [](T x, T z) { return (x != 0) | (z != 0); });
    case pointwise_mul:
    case pointwise_logical_and:
    case pointwise_bitwise_and:
    case pointwise_minimum: return binary<T, T>(l, [](T x, T z) { return (x != 0) & (z != 0); });
    case pointwise_logical_not: return unary<T, T>(l, [](T x) { return x == 0; });
    default: return false;
  }
}

// -- complex numbers, the parts side by side
constexpr int64_t kPart = 256;

// Numbers whose parts lie side by side: lanes 2k and 2k + 1.
using Doubles = Vec<double>;
template <class K, class P>
FLAMBEAU_INLINE Vec<K> load_parts(const P* p) {
  if constexpr (__is_same(K, P)) {
    return Vec<K>::load(p);
  } else {
    HalfFloats h;
    __builtin_memcpy(&h, p, sizeof h);
    return __builtin_convertvector(h, Doubles::Reg);
  }
}
template <class K, class P>
FLAMBEAU_INLINE void store_parts(P* p, Vec<K> v) {
  if constexpr (__is_same(K, P)) {
    v.store(p);
  } else {
    const HalfFloats h = __builtin_convertvector(v.v, HalfFloats);
    __builtin_memcpy(p, &h, sizeof h);
  }
}

template <class K>
struct PartLanes {  // which lane each takes: the real part, the imaginary one, the other
  static constexpr int W = Vec<K>::size;
  typename Vec<K>::Int re[W], im[W], other[W];
  K sign[W];
  constexpr PartLanes() : re(), im(), other(), sign() {
    for (int i = 0; i < W; ++i)
      re[i] = i & ~1, im[i] = i | 1, other[i] = i ^ 1, sign[i] = i & 1 ? 1 : -1;
  }
};
template <class K>
constexpr PartLanes<K> kParts;
template <class K>
FLAMBEAU_INLINE Vec<K> take(Vec<K> v, const typename Vec<K>::Int* lanes) {
  return __builtin_shuffle(v.v, Vec<typename Vec<K>::Int>::load(lanes).v);
}
template <class K>
FLAMBEAU_INLINE Vec<K> product(Vec<K> x, Vec<K> z) {
  constexpr const PartLanes<K>& p = kParts<K>;
  return fma(take(x, p.re), z, take(x, p.im) * take(z, p.other) * Vec<K>::load(p.sign));
}
template <class K>
FLAMBEAU_INLINE Vec<K> quotient(Vec<K> x, Vec<K> z) {
  constexpr const PartLanes<K>& p = kParts<K>;
  const Vec<K> mirrored = z * Vec<K>::load(p.sign) * -1, squares = z * z;
  return product(x, mirrored) / (squares + take(squares, p.other));
}
// The same by a divisor whose larger part is made 1, so that its square does not overflow.
template <class K>
FLAMBEAU_INLINE Vec<K> safe_quotient(Vec<K> x, Vec<K> z) {
  const Vec<K> size = abs(z), large = max(size, take(size, kParts<K>.other));
  return quotient(x, z / large) / large;
}

// f in the precision of K. What is not a number may owe that to an infinity: the C rules then say
// what it is.
template <class K, class P, class X, class F, class S>
bool complex_binary(const Loop& loop, const F& f, const S& exact) {
  const LoopOperand &d = loop.operands[0], &s = loop.operands[1], &t = loop.operands[2];
  if (!in_order<X>(d) || !usable<X>(s) || !usable<X>(t)) return false;
  constexpr int kLanes = Vec<K>::size, kPair = kLanes / 2;
  each_row(loop, grain(loop), [&](const Cursor& c, int64_t n) {
    alignas(64) P one[2][kLanes], rest[2][kLanes], last[kLanes];
    for (P& p : rest[0]) p = 1;
    for (P& p : rest[1]) p = 1;
    const P* from[2];
    bool constant[2];
    for (int k = 0; k < 2; ++k) {
      const LoopOperand& o = loop.operands[k + 1];
      from[k] = reinterpret_cast<const P*>(c.at(loop, k + 1));
      constant[k] = o.constant || !o.strides[0];
      if (!constant[k]) continue;
      X x;
      if (o.constant)
        constant_of(o, x);
      else
        x = *reinterpret_cast<const X*>(from[k]);
      for (int i = 0; i < kLanes; ++i) one[k][i] = i & 1 ? __imag__ x : __real__ x;
      from[k] = one[k];
    }
    P* y = reinterpret_cast<P*>(c.at(loop, 0));
    const auto step = [&](const P* x, const P* z, P* out) {
      const Vec<K> u = load_parts<K>(x), v = load_parts<K>(z);
      Vec<K> r = f(u, v);
      if (any(r != r)) [[unlikely]]
        for (int i = 0; i < kLanes; i += 2)
          if (r.v[i] != r.v[i] || r.v[i + 1] != r.v[i + 1]) {
            const Cx e = exact(to_cx(u.v[i], u.v[i + 1]), to_cx(v.v[i], v.v[i + 1]));
            r.v[i] = static_cast<K>(__real__ e), r.v[i + 1] = static_cast<K>(__imag__ e);
          }
      store_parts(out, r);
    };
    int64_t i = 0;
    for (; i + kPair <= n; i += kPair)
      step(from[0] + (constant[0] ? 0 : 2 * i), from[1] + (constant[1] ? 0 : 2 * i), y + 2 * i);
    if (i == n) return;
    for (int k = 0; k < 2; ++k)
      for (int64_t j = 0; j < 2 * (n - i); ++j) rest[k][j] = from[k][constant[k] ? j : 2 * i + j];
    step(rest[0], rest[1], last);
    for (int64_t j = 0; j < 2 * (n - i); ++j) y[2 * i + j] = last[j];
  });
  return true;
}

template <class P, class X>
bool products(const Loop& l) {
  return complex_binary<P, P, X>(
      l, [](auto x, auto z) { return product(x, z); }, [](Cx x, Cx z) { return x * z; });
}
template <class P, class X>
bool quotients_of(const Loop& l) {  // in double precision float's squares do not overflow
  return complex_binary<double, P, X>(
      l, [](Doubles x, Doubles z) { return sizeof(P) == 4 ? quotient(x, z) : safe_quotient(x, z); },
      [](Cx x, Cx z) { return x / z; });
}
// A function of one operand as one of two, the other being operand `from` (0: the number one).
Loop with_operand(const Loop& loop, int from, int to) {
  static constexpr double kOne[2] = {1, 0};
  Loop l = loop;
  l.noperands = 3;
  if (to == 1) l.operands[2] = l.operands[1];
  LoopOperand& o = l.operands[to] = loop.operands[from];
  if (from) return l;
  o.data = const_cast<char*>(reinterpret_cast<const char*>(kOne));
  o.dtype = DType::complex128;
  o.constant = true;
  o.contiguous = false;
  for (int d = 0; d < l.ndim; ++d) o.strides[d] = 0;
  return l;
}

// Both parts by the same real function of as many real numbers.
template <class P, class F>
bool parts_unary(Loop loop, const F& f) {
  if (!in_order<P[2]>(loop.operands[0]) || !in_order<P[2]>(loop.operands[1])) return false;
  loop.sizes[0] *= 2;
  loop.numel *= 2;
  for (int k = 0; k < 2; ++k) loop.operands[k].strides[0] = sizeof(P);
  return unary<P, P>(loop, f);
}
template <class P, class F>
bool parts_binary(Loop loop, const F& f) {
  for (int k = 0; k < 3; ++k)
    if (!in_order<P[2]>(loop.operands[k]) || loop.operands[k].dtype != loop.operands[0].dtype)
      return false;
  loop.sizes[0] *= 2;
  loop.numel *= 2;
  for (int k = 0; k < 3; ++k) loop.operands[k].strides[0] = sizeof(P);
  each_row(loop, grain(loop), [&](const Cursor& c, int64_t n) {
    const P *x = reinterpret_cast<const P*>(c.at(loop, 1)),
            *z = reinterpret_cast<const P*>(c.at(loop, 2));
    P* y = reinterpret_cast<P*>(c.at(loop, 0));
#pragma GCC ivdep
    for (int64_t i = 0; i < n; ++i) y[i] = f(x[i], z[i]);
  });
  return true;
}

// A real function of both parts, a run of them at a time.
template <class P, class F>
bool of_parts(const Loop& loop, const F& f) {
  const LoopOperand &d = loop.operands[0], &s = loop.operands[1];
  if (!in_order<P>(d) || !in_order<P[2]>(s)) return false;
  each_row(loop, grain(loop), [&](const Cursor& c, int64_t n) {
    const P* x = reinterpret_cast<const P*>(c.at(loop, 1));
    P* y = reinterpret_cast<P*>(c.at(loop, 0));
    constexpr int W = Vec<P>::size;
    for (int64_t at = 0; at < n; at += kPart) {
      alignas(64) P re[kPart], im[kPart];
      const int64_t m = n - at < kPart ? n - at : kPart;
      for (int64_t i = 0; i < m; ++i) re[i] = x[2 * (at + i)], im[i] = x[2 * (at + i) + 1];
      for (int64_t i = 0; i < m; i += W)
        f(Vec<P>::load_n(re + i, m - i), Vec<P>::load_n(im + i, m - i)).store_n(y + at + i, m - i);
    }
  });
  return true;
}

template <class P, class X>
bool complexes(const DirectArgs& a) {
  const Loop& l = *a.loop;
  const bool plain = a.numbers[0].re == 1 && a.numbers[0].im == 0;
  switch (a.index) {
    case pointwise_add:
      return plain && (parts_binary<P>(l, [](P x, P z) { return x + z; }) ||
                       binary<X, X>(l, [](X x, X z) { return x + z; }));
    case pointwise_sub:
      return plain && (parts_binary<P>(l, [](P x, P z) { return x - z; }) ||
                       binary<X, X>(l, [](X x, X z) { return x - z; }));
    case pointwise_mul: return products<P, X>(l);
    case pointwise_div: return quotients_of<P, X>(l);
    case pointwise_square: return products<P, X>(with_operand(l, 1, 2));
    case pointwise_reciprocal: return quotients_of<P, X>(with_operand(l, 0, 1));
    case pointwise_neg: return parts_unary<P>(l, [](P x) { return -x; });
    case pointwise_conj_physical: return unary<X, X>(l, [](X x) { return ~x; });
    case pointwise_abs: return of_parts<P>(l, [](auto re, auto im) { return hypot(re, im); });
    case pointwise_angle: return of_parts<P>(l, [](auto re, auto im) { return atan2(im, re); });
    default: return false;
  }
}

// Sums and products with one number for a row, which need not be spread in memory first.
bool by_rows(const DirectArgs& a) {
  typedef float T;
  const Loop& l = *a.loop;
  bool broadcast = false;
  for (int k = 1; k < l.noperands; ++k) {
    if (l.operands[k].constant) return false;
    broadcast |= !l.operands[k].strides[0];
  }
  if (!broadcast) return false;
  const bool plain = a.numbers[0].re == 1;
  switch (a.index) {
    case pointwise_add: return plain && binary<T, T>(l, [](T x, T z) { return x + z; });
    case pointwise_sub: return plain && binary<T, T>(l, [](T x, T z) { return x - z; });
    case pointwise_mul: return binary<T, T>(l, [](T x, T z) { return x * z; });
    case pointwise_div: return binary<T, T>(l, [](T x, T z) { return x / z; });
    default: return false;
  }
}

// Signs of half-precision numbers are a bit.
bool halves_by_bits(const DirectArgs& a) {
  typedef uint16_t T;
  switch (a.index) {
    case pointwise_neg: return unary<T, T>(*a.loop, [](T x) { return T(x ^ 0x8000); });
    case pointwise_abs: return unary<T, T>(*a.loop, [](T x) { return T(x & 0x7fff); });
    default: return false;
  }
}

// What the operands have in common tells the loops.
bool by_type(const DirectArgs& a) {
  const Loop& l = *a.loop;
  if (a.index == pointwise_where) return choose_by_size(l);
  DType t = l.operands[1].dtype;
  for (int k = 2; k < l.noperands; ++k) {
    if (l.operands[k].constant) continue;
    if (l.operands[1].constant) t = l.operands[k].dtype;
    if (l.operands[k].dtype != t) return false;
  }
  const DType d = l.operands[0].dtype;
  const bool complex = t == DType::complex64 || t == DType::complex128;
  const bool small = t == DType::float16 || t == DType::bfloat16 || t == DType::float32;
  if (a.compute != (complex ? Compute::c128 : small ? Compute::f32 : Compute::i64)) return false;
  const bool real = complex && (a.index == pointwise_abs || a.index == pointwise_angle);
  if (real ? d != (t == DType::complex64 ? DType::float32 : DType::float64)
           : d != t && d != DType::boolean)
    return false;
  switch (t) {
    case DType::boolean: return truths(a);
    case DType::uint8: return integers<uint8_t>(a);
    case DType::int8: return integers<int8_t>(a);
    case DType::int16: return integers<int16_t>(a);
    case DType::int32: return integers<int32_t>(a);
    case DType::int64: return integers<int64_t>(a);
    case DType::complex64: return complexes<float, Cx32>(a);
    case DType::complex128: return complexes<double, Cx>(a);
    case DType::float32: return by_rows(a);
    case DType::float16:
    case DType::bfloat16: return halves_by_bits(a);
    default: return false;
  }
}

void direct(DirectArgs& a) {
  const Loop& l = *a.loop;
  // Short rows are gathered elsewhere.
  a.done = (l.ndim == 1 || l.sizes[0] >= 16) && by_type(a);
}

}  // namespace

FLAMBEAU_REGISTER(pointwise_direct_kernel, direct);

}  // namespace FLAMBEAU_ISA
}  // namespace flambeau
