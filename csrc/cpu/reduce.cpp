// Reductions over rows and columns, in blocks of fixed size that are combined in order.
#include "kernels/reduce.h"

#include "parallel.h"
#include "pointwise_math.h"
#include "scratch.h"

namespace flambeau {
namespace FLAMBEAU_ISA {
namespace {

template <class T>
constexpr bool is_vector = __is_same(T, float) || __is_same(T, double);

// What each kind does to one element and to two partial results.
template <Reduction K, class T>
struct Fold {
  static FLAMBEAU_INLINE auto start() {
    if constexpr (K == Reduction::prod || K == Reduction::all)
      return T(1);
    else
      return T(0);
  }
  template <class V>
  static FLAMBEAU_INLINE V map(V x) {
    if constexpr (K == Reduction::sum_squares)
      return x * x;
    else if constexpr (K == Reduction::sum_abs)
      return abs(x);
    else if constexpr (K == Reduction::sum_numbers)
      return where(x == x, x, V(0));
    else if constexpr (K == Reduction::any || K == Reduction::all || K == Reduction::count_nonzero)
      return where(x != 0, V(1), V(0));
    else
      return x;
  }
  template <class V>
  static FLAMBEAU_INLINE V both(V a, V b) {
    if constexpr (K == Reduction::prod)
      return a * b;
    else if constexpr (K == Reduction::max)
      return max(a, b);
    else if constexpr (K == Reduction::min || K == Reduction::all)
      return min(a, b);
    else if constexpr (K == Reduction::any)
      return max(a, b);
    else
      return a + b;
  }
  static constexpr bool from_first = K == Reduction::max || K == Reduction::min;
};

constexpr int64_t kBlock = 4096;  // elements of a row, or rows of a column, in one partial result
constexpr int64_t kWide = 256;  // columns walked together

// Elements [at, at + n) of x as T, by way of a buffer when they are of another type or apart.
template <class T>
FLAMBEAU_INLINE const T* elements(const ReduceArgs& a, int64_t at, int64_t n, int64_t size,
                                  T* buffer) {
  const char* p = a.x + at * size;
  if (a.step != 1) {  // only where x is of this type
    if (n < 1) __builtin_unreachable();
    const T* from = reinterpret_cast<const T*>(p);
    if (a.step == 2)
      for (int64_t i = 0; i < n; ++i) buffer[i] = from[2 * i];
    else
      for (int64_t i = 0; i < n; ++i) buffer[i] = from[a.step * i];
    return buffer;
  }
  if (a.dtype == dtype_of<T>) return reinterpret_cast<const T*>(p);
  load_run<T>(buffer, p, a.dtype, size, n);
  return buffer;
}

// 0, 1, ..., W - 1 twice: read from k on, it turns lanes by k.
template <class I, int W>
struct Turns {
  I at[2 * W];
  constexpr Turns() : at() {
    for (int i = 0; i < 2 * W; ++i) at[i] = static_cast<I>(i % W);
  }
};

// Lanes combined as fold() does, within registers: rows that follow one another overlap.
template <class T, class F>
FLAMBEAU_INLINE T fold_lanes(Vec<T> a, const F& f) {
  using I = typename Vec<T>::Int;
  static constexpr Turns<I, Vec<T>::size> turns;
#pragma GCC unroll 4
  for (int half = Vec<T>::size / 2; half; half /= 2)
    a = f(a, Vec<T>(__builtin_shuffle(a.v, Vec<I>::load(turns.at + half).v)));
  return a.v[0];
}

// The greatest (least) of n >= size numbers none of which is NaN; false if one is.
template <Reduction K, class T>
FLAMBEAU_INLINE bool extreme_run(const T* p, int64_t n, T* result) {
  using V = Vec<T>;
  using I = Vec<typename V::Int>;
  constexpr int W = V::size;
  auto both = [](V a, V b) {
    return K == Reduction::max ? where(b > a, b, a) : where(b < a, b, a);
  };
  const V first = V::load(p);
  if (n <= 2 * W) {
    const V last = V::load(p + n - W);
    if (any((first != first) | (last != last))) return false;
    *result = fold_lanes(both(first, last), both);
    return true;
  }
  V acc[4] = {first, first, first, first};
  I most[4] = {I(0), I(0), I(0), I(0)};  // the bits of a NaN are more than those of an infinity
  auto step = [&](int k, const T* q) {
    const V v = V::load(q);
    const I b = to_bits(abs(v));
    acc[k] = both(acc[k], v);
    most[k] = where(b > most[k], b, most[k]);
  };
  int64_t i = 0;
  for (; i + 4 * W <= n; i += 4 * W)
    for (int k = 0; k < 4; ++k) step(k, p + i + k * W);
  for (; i + W <= n; i += W) step(0, p + i);
  step(1, p + n - W);  // what is left, and some again
  for (int k = 1; k < 4; ++k) most[0] = where(most[k] > most[0], most[k], most[0]);
  if (any(most[0] > to_bits(V(kInf<T>)))) return false;
  *result = fold_lanes(both(both(acc[0], acc[1]), both(acc[2], acc[3])), both);
  return true;
}

template <Reduction K, class T>
T reduce_run(const T* p, int64_t n, T center) {
  using R = Fold<K, T>;
  T r = R::from_first ? p[0] : R::start();
  if constexpr (is_vector<T>) {
    using V = Vec<T>;
    constexpr int W = V::size;
    if constexpr (R::from_first)
      if (T extreme; n >= W && extreme_run<K>(p, n, &extreme)) return extreme;
    const V c(center);
    V acc[4] = {V(r), V(r), V(r), V(r)};
    auto at = [&](int64_t i) {
      V v = V::load(p + i);
      if constexpr (K == Reduction::sum_squares) v = v - c;
      return R::map(v);
    };
    int64_t i = 0;
    for (; i + 4 * W <= n; i += 4 * W)
      for (int k = 0; k < 4; ++k) acc[k] = R::both(acc[k], at(i + k * W));
    for (; i + W <= n; i += W) acc[0] = R::both(acc[0], at(i));
    const V v = R::both(R::both(acc[0], acc[1]), R::both(acc[2], acc[3]));
    r = fold_lanes(v, [](V x, V y) { return R::both(x, y); });
    for (; i < n; ++i) {
      T x = p[i];
      if constexpr (K == Reduction::sum_squares) x -= center;
      r = R::both(r, R::map(x));
    }
  } else {
    for (int64_t i = 0; i < n; ++i) {
      if constexpr (K == Reduction::sum_squares)
        r = R::both(r, R::map(static_cast<T>(p[i] - center)));
      else
        r = R::both(r, R::map(p[i]));
    }
  }
  return r;
}

// What partial results are combined in.
template <class T>
struct Carry {
  using type = T;
};
template <>
struct Carry<float> {
  using type = double;
};

constexpr int64_t kShort = 24;  // rows up to this are taken kSide at a time
constexpr int kSide = 16;

// out[r] for m <= kSide rows of n numbers that lie one behind the other.
template <Reduction K, class T>
void reduce_short_rows(const T* p, int64_t n, int64_t m, T* out) {
  using R = Fold<K, T>;
  T acc[kSide];
  for (int64_t r = 0; r < m; ++r)
    acc[r] = R::from_first ? p[r * n] : R::both(R::start(), R::map(p[r * n]));
  if (m == kSide) {
    for (int64_t j = 1; j < n; ++j)
      for (int r = 0; r < kSide; ++r) acc[r] = R::both(acc[r], R::map(p[r * n + j]));
  } else {
    for (int64_t j = 1; j < n; ++j)
      for (int64_t r = 0; r < m; ++r) acc[r] = R::both(acc[r], R::map(p[r * n + j]));
  }
  for (int64_t r = 0; r < m; ++r) out[r] = acc[r];
}

template <Reduction K, class T>
void reduce_rows(const ReduceArgs& a) {
  using A = typename Carry<T>::type;
  using R = Fold<K, A>;
  const int64_t size = item_size(a.dtype);
  const int64_t blocks = (a.n + kBlock - 1) / kBlock, pitch = a.pitch ? a.pitch : a.n;
  T* out = static_cast<T*>(a.out);
  auto block = [&](int64_t row, int64_t b) {
    alignas(64) T buffer[kBlock];
    const int64_t from = b * kBlock, m = a.n - from < kBlock ? a.n - from : kBlock;
    const T* p = elements<T>(a, row * pitch + from * a.step, m, size, buffer);
    return reduce_run<K, T>(p, m, a.center ? static_cast<T>(a.center[row]) : T(0));
  };
  if (a.n <= kShort && !a.center && !a.pitch) {
    const int64_t groups = (a.outer + kSide - 1) / kSide, grain = 32768 / (a.n * kSide) + 1;
    parallel_for(0, groups, grain, [&](int64_t b, int64_t e) {
      alignas(64) T buffer[kShort * kSide];
      for (int64_t row = b * kSide; row < e * kSide && row < a.outer; row += kSide) {
        const int64_t m = a.outer - row < kSide ? a.outer - row : kSide;
        const T* p = elements<T>(a, row * a.n, m * a.n, size, buffer);
        reduce_short_rows<K, T>(p, a.n, m, out + row);
      }
    });
    return;
  }
  if (blocks <= 1) {
    const int64_t grain = 32768 / (a.n + 1) + 1;
    parallel_for(0, a.outer, grain, [&](int64_t b, int64_t e) {
      for (int64_t row = b; row < e; ++row) out[row] = block(row, 0);
    });
    return;
  }
  A* partial =
      static_cast<A*>(scratch(Scratch::shared, static_cast<size_t>(a.outer * blocks) * sizeof(A)));
  parallel_for(0, a.outer * blocks, 8, [&](int64_t b, int64_t e) {
    for (int64_t i = b; i < e; ++i) partial[i] = static_cast<A>(block(i / blocks, i % blocks));
  });
  for (int64_t row = 0; row < a.outer; ++row) {
    A r = partial[row * blocks];
    for (int64_t b = 1; b < blocks; ++b) r = R::both(r, partial[row * blocks + b]);
    out[row] = static_cast<T>(r);
  }
}

// acc[j] = acc[j] with f(k, j) of `Rows` rows, which are joined among themselves first.
template <Reduction K, int Rows, class T, class At>
FLAMBEAU_INLINE void join_rows(T* acc, int64_t w, const At& at) {
  using R = Fold<K, T>;
  const auto join = [](auto old, auto v0, auto v1, auto v2, auto v3) {
    return R::both(old, Rows == 1 ? v0 : R::both(R::both(v0, v1), R::both(v2, v3)));
  };
  constexpr int a = Rows > 1 ? 1 : 0, b = 2 * a, c = 3 * a;
  int64_t j = 0;
  if constexpr (is_vector<T>) {
    using V = Vec<T>;
    const auto v = [&](int k) { return R::map(at(k, j, V())); };
    for (; j + V::size <= w; j += V::size)
      join(V::load(acc + j), v(0), v(a), v(b), v(c)).store(acc + j);
  }
  const auto x = [&](int k) { return R::map(at(k, j, T())); };
  for (; j < w; ++j) acc[j] = join(acc[j], x(0), x(a), x(b), x(c));
}

// acc[j] with x[i][j] for i in [from, from + m), j in [column, column + w)
template <Reduction K, class T>
void reduce_columns_block(const ReduceArgs& a, int64_t outer, int64_t from, int64_t m,
                          int64_t column, int64_t w, int64_t size, T* acc) {
  using R = Fold<K, T>;
  constexpr int kRows = 4;
  alignas(64) T buffer[kRows][kWide], center[kWide];
  const bool centered = K == Reduction::sum_squares && a.center;
  if (centered)
    for (int64_t j = 0; j < w; ++j)
      center[j] = static_cast<T>(a.center[outer * a.inner + column + j]);
  const T* p[kRows];
  const auto row = [&](int64_t i, int k) {
    p[k] = elements<T>(a, (outer * a.n + from + i) * a.inner + column, w, size, buffer[k]);
  };
  const auto at = [&](int k, int64_t j, auto as) {
    const auto load = [&](const T* q) {
      if constexpr (__is_same(decltype(as), T))
        return q[j];
      else
        return decltype(as)::load(q + j);
    };
    auto v = load(p[k]);
    if constexpr (K == Reduction::sum_squares)
      if (centered) v = v - load(center);
    return v;
  };
  int64_t i = 0;
  if (R::from_first) row(i++, 0);
  for (int64_t j = 0; j < w; ++j) acc[j] = R::from_first ? p[0][j] : R::start();
  for (; i + kRows <= m; i += kRows) {
    for (int k = 0; k < kRows; ++k) row(i + k, k);
    join_rows<K, kRows>(acc, w, at);
  }
  for (; i < m; ++i) {
    row(i, 0);
    join_rows<K, 1>(acc, w, at);
  }
}

// Few columns: as many rows side by side as make kWide numbers, added up as if they were columns.
constexpr int64_t kThin = 16;
template <Reduction K, class T>
void reduce_thin_block(const ReduceArgs& a, int64_t outer, int64_t from, int64_t m, int64_t size,
                       T* acc) {
  using R = Fold<K, T>;
  const int64_t inner = a.inner;
  int64_t group = kWide / 2;  // a power of two
  while (group * inner > kWide) group /= 2;
  if (a.center || m < 2 * group)
    return reduce_columns_block<K, T>(a, outer, from, m, 0, inner, size, acc);
  alignas(64) T wide[kWide];
  ReduceArgs grouped = a;
  grouped.x = a.x + (outer * a.n + from) * inner * size;
  grouped.inner = group * inner;
  const int64_t whole = m / group;
  reduce_columns_block<K, T>(grouped, 0, 0, whole, 0, grouped.inner, size, wide);
  for (int64_t half = group / 2; half; half /= 2)
    for (int64_t j = 0; j < half * inner; ++j) wide[j] = R::both(wide[j], wide[half * inner + j]);
  for (int64_t j = 0; j < inner; ++j) acc[j] = wide[j];
  if (whole * group == m) return;
  T rest[kThin];
  reduce_columns_block<K, T>(a, outer, from + whole * group, m - whole * group, 0, inner, size,
                             rest);
  for (int64_t j = 0; j < inner; ++j) acc[j] = R::both(acc[j], rest[j]);
}

template <Reduction K, class T>
void reduce_columns(const ReduceArgs& a) {
  using A = typename Carry<T>::type;
  using R = Fold<K, A>;
  const bool thin = a.inner <= kThin;
  const int64_t kRows = thin ? 4096 : 256;
  const int64_t size = item_size(a.dtype);
  const int64_t blocks = (a.n + kRows - 1) / kRows, wide = (a.inner + kWide - 1) / kWide;
  T* out = static_cast<T*>(a.out);
  const auto bytes = static_cast<size_t>(a.outer * blocks * a.inner) * sizeof(T);
  T* partial = blocks > 1 ? static_cast<T*>(scratch(Scratch::shared, bytes)) : out;
  const int64_t rows = a.n < kRows ? a.n : kRows, width = a.inner < kWide ? a.inner : kWide;
  const int64_t grain = 32768 / (rows * width + 1) + 1;
  parallel_for(0, a.outer * blocks * wide, grain, [&](int64_t b, int64_t e) {
    for (int64_t i = b; i < e; ++i) {
      const int64_t column = i % wide * kWide, block = i / wide % blocks, outer = i / wide / blocks;
      const int64_t from = block * kRows;
      const int64_t m = a.n - from < kRows ? a.n - from : kRows;
      const int64_t w = a.inner - column < kWide ? a.inner - column : kWide;
      T* to = partial + (outer * blocks + block) * a.inner + column;
      if (thin)
        reduce_thin_block<K, T>(a, outer, from, m, size, to);
      else
        reduce_columns_block<K, T>(a, outer, from, m, column, w, size, to);
    }
  });
  if (blocks == 1) return;
  for (int64_t o = 0; o < a.outer; ++o) {
    for (int64_t j = 0; j < a.inner; ++j) {
      A r = static_cast<A>(partial[o * blocks * a.inner + j]);
      for (int64_t b = 1; b < blocks; ++b)
        r = R::both(r, static_cast<A>(partial[(o * blocks + b) * a.inner + j]));
      out[o * a.inner + j] = static_cast<T>(r);
    }
  }
}

template <Reduction K, class T>
void reduce_kind(const ReduceArgs& a) {
  if constexpr (__is_same(T, Cx) && K != Reduction::sum && K != Reduction::prod) {
    return;
  } else {
    if (a.inner == 1)
      reduce_rows<K, T>(a);
    else
      reduce_columns<K, T>(a);
  }
}

template <class T>
void reduce_type(const ReduceArgs& a) {
  switch (a.kind) {
    case Reduction::sum: return reduce_kind<Reduction::sum, T>(a);
    case Reduction::prod: return reduce_kind<Reduction::prod, T>(a);
    case Reduction::max: return reduce_kind<Reduction::max, T>(a);
    case Reduction::min: return reduce_kind<Reduction::min, T>(a);
    case Reduction::any: return reduce_kind<Reduction::any, T>(a);
    case Reduction::all: return reduce_kind<Reduction::all, T>(a);
    case Reduction::sum_squares: return reduce_kind<Reduction::sum_squares, T>(a);
    case Reduction::sum_abs: return reduce_kind<Reduction::sum_abs, T>(a);
    case Reduction::sum_numbers:
      // Whole numbers have no NaN.
      if constexpr (is_vector<T>) return reduce_kind<Reduction::sum_numbers, T>(a);
      return;
    default: return reduce_kind<Reduction::count_nonzero, T>(a);
  }
}

void reduce(const ReduceArgs& a) {
  switch (a.compute) {
    case Compute::f32: return reduce_type<float>(a);
    case Compute::f64: return reduce_type<double>(a);
    case Compute::i64: return reduce_type<int64_t>(a);
    default: return reduce_type<Cx>(a);
  }
}

// -- positions ------------------------------------------------------------------------------------
template <class T, Reduction K>
int64_t arg_row(const T* p, int64_t n, T* value) {
  const T best = reduce_run<K, T>(p, n, T(0));
  *value = best;
  for (int64_t i = 0; i < n; ++i)
    if (p[i] == best || (best != best && p[i] != p[i])) return i;
  return 0;
}

// The same for kSide short rows side by side.
template <class T, bool greatest>
void arg_short_rows(const T* p, int64_t n, T* value, int64_t* index) {
  T best[kSide];
  int32_t at[kSide];
  for (int r = 0; r < kSide; ++r) best[r] = p[r * n], at[r] = 0;
  for (int32_t j = 1; j < n; ++j)
    for (int r = 0; r < kSide; ++r) {
      const T x = p[r * n + j];
      const bool better =
          ((greatest ? x > best[r] : x < best[r]) | (x != x)) & (best[r] == best[r]);
      best[r] = better ? x : best[r];
      at[r] = better ? j : at[r];
    }
  for (int r = 0; r < kSide; ++r) value[r] = best[r], index[r] = at[r];
}

template <class T>
void arg_reduce_short(const ArgReduceArgs& a, int64_t size) {
  const int64_t grain = 16384 / (a.n * kSide) + 1;
  parallel_for(0, a.outer / kSide, grain, [&](int64_t b, int64_t e) {
    alignas(64) T buffer[kShort * kSide], value[kSide];
    for (int64_t row = b * kSide; row < e * kSide; row += kSide) {
      const char* at = a.x + row * a.n * size;
      const T* p = reinterpret_cast<const T*>(at);
      if (a.dtype != dtype_of<T>) {
        load_run<T>(buffer, at, a.dtype, size, a.n * kSide);
        p = buffer;
      }
      a.max ? arg_short_rows<T, true>(p, a.n, value, a.index + row)
            : arg_short_rows<T, false>(p, a.n, value, a.index + row);
      for (int r = 0; r < kSide && a.value; ++r) static_cast<T*>(a.value)[row + r] = value[r];
    }
  });
}

template <class T>
void arg_reduce_type(ArgReduceArgs a) {
  const int64_t size = item_size(a.dtype);
  if (a.n <= kShort && a.outer >= kSide) {
    arg_reduce_short<T>(a, size);
    const int64_t done = a.outer / kSide * kSide;
    a.x += done * a.n * size;
    a.index += done;
    if (a.value) a.value = static_cast<T*>(a.value) + done;
    a.outer -= done;
    if (!a.outer) return;
  }
  const int64_t grain = 32768 / (a.n + 1) + 1;
  parallel_for(0, a.outer, grain, [&](int64_t b, int64_t e) {
    const bool direct = a.dtype == dtype_of<T>;
    const auto bytes = static_cast<size_t>(a.n) * sizeof(T);
    T* buffer = direct ? nullptr : static_cast<T*>(scratch(Scratch::columns, bytes));
    for (int64_t row = b; row < e; ++row) {
      const char* at = a.x + row * a.n * size;
      if (!direct) load_run<T>(buffer, at, a.dtype, size, a.n);
      const T* p = direct ? reinterpret_cast<const T*>(at) : buffer;
      T value;
      a.index[row] = a.max ? arg_row<T, Reduction::max>(p, a.n, &value)
                           : arg_row<T, Reduction::min>(p, a.n, &value);
      if (a.value) static_cast<T*>(a.value)[row] = value;
    }
  });
}

void arg_reduce(const ArgReduceArgs& a) {
  switch (a.compute) {
    case Compute::f32: return arg_reduce_type<float>(a);
    case Compute::f64: return arg_reduce_type<double>(a);
    default: return arg_reduce_type<int64_t>(a);
  }
}

// -- running sums and products --------------------------------------------------------------------
// N lines side by side, `step` from one to the next: none waits for another's sum.
template <int N, class T, class A, class F>
FLAMBEAU_INLINE void scan_lines(const T* x, T* out, int64_t n, int64_t stride, int64_t step,
                                A start, const F& f) {
  A r[N];
  for (int j = 0; j < N; ++j) r[j] = start;
  for (int64_t k = 0; k < n; ++k, x += stride, out += stride)
    for (int j = 0; j < N; ++j) {
      r[j] = f(r[j], static_cast<A>(x[j * step]));
      out[j * step] = static_cast<T>(r[j]);
    }
}

// One line of running sums: four numbers are added up by themselves before the sum so far joins.
template <class T, class A>
FLAMBEAU_INLINE void sum_line(const T* x, T* out, int64_t n, int64_t stride) {
  A r = A(0);
  int64_t k = 0;
  for (; k + 4 <= n; k += 4, x += 4 * stride, out += 4 * stride) {
    const A p0 = static_cast<A>(x[0]), p1 = p0 + static_cast<A>(x[stride]);
    const A p2 = p1 + static_cast<A>(x[2 * stride]), p3 = p2 + static_cast<A>(x[3 * stride]);
    out[0] = static_cast<T>(r + p0), out[stride] = static_cast<T>(r + p1);
    out[2 * stride] = static_cast<T>(r + p2);
    r = r + p3;
    out[3 * stride] = static_cast<T>(r);
  }
  for (; k < n; ++k, x += stride, out += stride) {
    r = r + static_cast<A>(*x);
    *out = static_cast<T>(r);
  }
}

template <class T, bool Sum = false, class A, class F>
void scan_with(const ScanArgs& a, A start, const F& f) {
  const T* x = static_cast<const T*>(a.x);
  T* out = static_cast<T*>(a.out);
  // Rows four at a time; columns as many as fill a cache line.
  constexpr int kRows = 4, kColumns = 16;
  const bool rows = a.inner == 1;
  const int64_t width = rows ? kRows : kColumns, lines = rows ? a.outer : a.inner;
  const int64_t groups = (lines + width - 1) / width, outer = rows ? 1 : a.outer;
  const int64_t stride = a.inner, step = rows ? a.n : 1;
  const int64_t grain = 32768 / (a.n * width + 1) + 1;
  parallel_for(0, outer * groups, grain, [&](int64_t b, int64_t e) {
    for (int64_t i = b; i < e; ++i) {
      const int64_t first = i % groups * width, at = i / groups * a.n * a.inner + first * step;
      const int64_t m = lines - first < width ? lines - first : width;
      if (m == kColumns)
        scan_lines<kColumns>(x + at, out + at, a.n, stride, step, start, f);
      else if (rows && m == kRows)
        scan_lines<kRows>(x + at, out + at, a.n, stride, step, start, f);
      else
        for (int64_t j = 0; j < m; ++j) {
          const int64_t line = at + j * step;
          if constexpr (Sum)
            sum_line<T, A>(x + line, out + line, a.n, stride);
          else
            scan_lines<1>(x + line, out + line, a.n, stride, step, start, f);
        }
    }
  });
}

template <class T>
void scan_type(const ScanArgs& a) {
  using A = typename Carry<T>::type;
  if (a.kind == Scan::sum) return scan_with<T, true>(a, A(0), [](A r, A x) { return r + x; });
  if (a.kind == Scan::prod) return scan_with<T>(a, A(1), [](A r, A x) { return r * x; });
  if constexpr (is_vector<T>)
    scan_with<T>(a, -__builtin_inf(), [](double r, double x) {
      const double m = r > x || r != r ? r : x;
      if (__builtin_isinf(m)) return m;
      return m + __builtin_log(__builtin_exp(r - m) + __builtin_exp(x - m));
    });
  if constexpr (__is_same(T, Cx))
    scan_with<T>(a, Cx(-__builtin_inf()), [](Cx r, Cx x) {
      const bool later = __real__ x > __real__ r;
      const Cx m = later ? x : r, other = later ? r : x;
      if (__builtin_isinf(__real__ m)) return __real__ m < 0 ? Cx(__real__ m) : m;
      return m + __builtin_clog(Cx(1) + __builtin_cexp(other - m));
    });
}

void scan(const ScanArgs& a) {
  switch (a.compute) {
    case Compute::f32: return scan_type<float>(a);
    case Compute::f64: return scan_type<double>(a);
    case Compute::i64: return scan_type<int64_t>(a);
    default: return scan_type<Cx>(a);
  }
}

}  // namespace

FLAMBEAU_REGISTER(reduce_kernel, reduce);
FLAMBEAU_REGISTER(arg_reduce_kernel, arg_reduce);
FLAMBEAU_REGISTER(scan_kernel, scan);

}  // namespace FLAMBEAU_ISA
}  // namespace flambeau
