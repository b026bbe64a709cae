// Sorting by radix: elements become unsigned keys of the same order, keys carry their positions.
#include "../kernels/sort.h"

#include <algorithm>

#include "../parallel.h"
#include "items.h"

namespace flambeau {
namespace FLAMBEAU_ISA {
namespace {

// -- keys -----------------------------------------------------------------------------------------
FLAMBEAU_INLINE uint32_t float_key(float x) {
  const uint32_t u = __builtin_bit_cast(uint32_t, x + 0.0f);  // -0 becomes 0
  const uint32_t key = u ^ (static_cast<uint32_t>(static_cast<int32_t>(u) >> 31) | 1u << 31);
  return u << 1 > 0xff000000u ? 0xffffffffu : key;  // not a number: the greatest
}
FLAMBEAU_INLINE uint64_t double_key(double x) {
  const uint64_t u = __builtin_bit_cast(uint64_t, x + 0.0);
  const uint64_t key =
      u ^ (static_cast<uint64_t>(static_cast<int64_t>(u) >> 63) | uint64_t(1) << 63);
  return u << 1 > uint64_t(0xffe) << 52 ? ~uint64_t(0) : key;
}
template <class T>
FLAMBEAU_INLINE auto key_of(T x) {
  if constexpr (__is_same(T, double))
    return double_key(x);
  else if constexpr (__is_same(T, int64_t))
    return static_cast<uint64_t>(x) ^ uint64_t(1) << 63;
  else if constexpr (__is_same(T, uint64_t))
    return x;
  else if constexpr (__is_same(T, float) || __is_same(T, Half) || __is_same(T, Brain))
    return float_key(value_of(x));
  else
    return static_cast<uint32_t>(static_cast<int64_t>(value_of(x)) + (int64_t(1) << 31));
}

// A key of 32 bits and its position in one word, or 64 bits beside it.
struct Narrow {
  using Key = uint32_t;
  uint64_t word;
  FLAMBEAU_INLINE static Narrow make(uint32_t key, uint32_t at) {
    return {uint64_t(key) << 32 | at};
  }
  FLAMBEAU_INLINE uint32_t key() const { return static_cast<uint32_t>(word >> 32); }
  FLAMBEAU_INLINE uint32_t at() const { return static_cast<uint32_t>(word); }
  FLAMBEAU_INLINE bool before(Narrow o) const { return word < o.word; }
};
struct Wide {
  using Key = uint64_t;
  uint64_t k;
  uint64_t position;
  FLAMBEAU_INLINE static Wide make(uint64_t key, uint64_t at) { return {key, at}; }
  FLAMBEAU_INLINE uint64_t key() const { return k; }
  FLAMBEAU_INLINE uint64_t at() const { return position; }
  FLAMBEAU_INLINE bool before(Wide o) const {
    return k < o.k || (k == o.k && position < o.position);
  }
};

template <class E>
void insertion_sort(E* p, int64_t n) {
  for (int64_t i = 1; i < n; ++i) {
    const E x = p[i];
    int64_t j = i;
    for (; j > 0 && x.before(p[j - 1]); --j) p[j] = p[j - 1];
    p[j] = x;
  }
}

// Least significant digit first; digits that all keys share are skipped. The result lies in the
// buffer that is returned.
template <int Bits, class E>
E* radix_sort(E* p, E* spare, int64_t n) {
  using Key = typename E::Key;
  constexpr int kDigits = (static_cast<int>(sizeof(Key)) * 8 + Bits - 1) / Bits, kSize = 1 << Bits;
  uint32_t counts[kDigits][kSize] = {};
  for (int64_t i = 0; i < n; ++i) {
    const Key key = p[i].key();
    for (int d = 0; d < kDigits; ++d) ++counts[d][key >> (d * Bits) & (kSize - 1)];
  }
  for (int d = 0; d < kDigits; ++d) {
    uint32_t* c = counts[d];
    if (c[p[0].key() >> (d * Bits) & (kSize - 1)] == static_cast<uint32_t>(n)) continue;
    uint32_t total = 0;
    for (int i = 0; i < kSize; ++i) {
      const uint32_t here = c[i];
      c[i] = total;
      total += here;
    }
    for (int64_t i = 0; i < n; ++i) {
      const E x = p[i];
      spare[c[x.key() >> (d * Bits) & (kSize - 1)]++] = x;
    }
    E* done = spare;
    spare = p;
    p = done;
  }
  return p;
}

template <class E>
E* sort_entries(E* p, E* spare, int64_t n) {
  if (n <= 40) {
    insertion_sort(p, n);
    return p;
  }
  return n < 8192 ? radix_sort<8>(p, spare, n) : radix_sort<11>(p, spare, n);
}

// The `keep` first of n, in order, by keeping the best so far: few of a row come through, and
// blocks of which none does are passed over by their least key.
template <class E, class T>
void select_entries(const T* src, int64_t n, typename E::Key flip, E* best, int64_t keep) {
  using Key = typename E::Key;
  auto key_at = [&](int64_t i) { return static_cast<Key>(key_of(src[i]) ^ flip); };
  for (int64_t i = 0; i < keep; ++i) best[i] = E::make(key_at(i), static_cast<Key>(i));
  insertion_sort(best, keep);
  constexpr int64_t kBlock = 32;
  for (int64_t from = keep; from < n; from += kBlock) {
    const int64_t end = from + kBlock < n ? from + kBlock : n;
    if (end - from == kBlock) {
      Key least = ~Key(0);
      for (int64_t i = from; i < from + kBlock; ++i) {
        const Key key = key_at(i);
        least = key < least ? key : least;
      }
      if (least >= best[keep - 1].key()) [[likely]]
        continue;
    }
    for (int64_t i = from; i < end; ++i) {
      const E x = E::make(key_at(i), static_cast<Key>(i));
      if (!x.before(best[keep - 1])) continue;
      int64_t j = keep - 1;
      for (; j > 0 && x.before(best[j - 1]); --j) best[j] = best[j - 1];
      best[j] = x;
    }
  }
}

// -- equal elements -------------------------------------------------------------------------------
struct ByKey {
  template <class E>
  FLAMBEAU_INLINE bool operator()(const E& a, const E& b) const {
    return a.key() < b.key();
  }
};

// Which of 32 keys are less than a bound, as bits.
template <class Key>
FLAMBEAU_INLINE uint32_t smaller_keys(const Key* keys, Key bound) {
  using Signed = typename Choose<sizeof(Key) == 4, int32_t, int64_t>::type;
  using V = Vec<Signed>;
  const V sign(static_cast<Signed>(Key(1) << (8 * sizeof(Key) - 1)));
  const V most = V(static_cast<Signed>(bound)) ^ sign;
  uint32_t smaller = 0;
  for (int i = 0; i < 32; i += V::size)
    smaller |= bits((V::load(reinterpret_cast<const Signed*>(keys) + i) ^ sign) < most) << i;
  return smaller;
}

// The `keep` first of n as std::partial_sort leaves them, equals too: its heap of the best so far,
// with the rest read where it lies. `best` has room for one more.
template <class E, class T>
void heap_entries(const T* src, int64_t n, typename E::Key flip, E* best, int64_t keep) {
  using Key = typename E::Key;
  auto key_at = [&](int64_t i) { return static_cast<Key>(key_of(src[i]) ^ flip); };
  for (int64_t i = 0; i < keep; ++i) best[i] = E::make(key_at(i), static_cast<Key>(i));
  std::make_heap(best, best + keep, ByKey{});
  const auto put = [&](int64_t i, Key key) {
    best[keep] = E::make(key, static_cast<Key>(i));
    std::pop_heap(best, best + keep + 1, ByKey{});
  };
  constexpr int64_t kBlock = 32;
  for (int64_t from = keep; from < n; from += kBlock) {
    alignas(64) Key keys[kBlock];
    const int64_t end = from + kBlock < n ? kBlock : n - from;
    for (int64_t i = 0; i < end; ++i) keys[i] = key_at(from + i);
    for (int64_t i = end; i < kBlock; ++i) keys[i] = ~Key(0);
    uint32_t smaller = smaller_keys(keys, best[0].key());
    for (; smaller; smaller &= smaller - 1) {
      const int i = __builtin_ctz(smaller);
      if (keys[i] < best[0].key()) put(from + i, keys[i]);
    }
  }
  std::sort_heap(best, best + keep, ByKey{});
}

template <class E>
bool has_ties(const E* sorted, int64_t n) {
  for (int64_t i = 1; i < n; ++i)
    if (sorted[i].key() == sorted[i - 1].key()) return true;
  return false;
}

template <class E>
void select_place(E* p, int64_t n, int64_t k) {
  int64_t left = 0, right = n - 1;
  auto in_order = [&](int64_t i, int64_t j) {
    if (p[j].key() < p[i].key()) std::swap(p[i], p[j]);
  };
  while (right > left + 1) {
    std::swap(p[(left + right) / 2], p[left + 1]);
    in_order(left + 1, right);
    in_order(left, right);
    in_order(left + 1, left);
    const E pivot = p[left];
    int64_t i = left + 1, j = right;
    for (;;) {
      while (p[++i].key() < pivot.key()) {
      }
      while (pivot.key() < p[--j].key()) {
      }
      if (j < i) break;
      std::swap(p[i], p[j]);
    }
    std::swap(p[left], p[j]);
    if (j <= k) left = i;
    if (j >= k) right = j - 1;
  }
  if (right == left + 1) in_order(left, right);
}

template <class E>
void sort_as_library(E* p, int64_t n, int64_t keep, Ties ties) {
  if (ties == Ties::sort) {
    std::sort(p, p + n, ByKey{});
  } else if (keep * 64 <= n) {
    std::partial_sort(p, p + keep, p + n, ByKey{});
  } else {
    std::nth_element(p, p + keep - 1, p + n, ByKey{});
    std::sort(p, p + keep - 1, ByKey{});
  }
}

// -- bytes ----------------------------------------------------------------------------------------
// Their places follow from how many there are of each.
template <class T>
void sort_bytes(const SortArgs& a) {
  const uint8_t flip = (__is_same(T, int8_t) ? 0x80 : 0) ^ (a.descending ? 0xff : 0);
  parallel_for(0, a.rows, 1 + 65536 / (a.n + 1), [&](int64_t b, int64_t e) {
    for (int64_t r = b; r < e; ++r) {
      const T* src = reinterpret_cast<const T*>(a.src) + r * a.n;
      T* values = reinterpret_cast<T*>(a.values) + r * a.n;
      int64_t* indices = a.indices + r * a.n;
      auto key = [&](int64_t i) {
        return static_cast<uint8_t>(static_cast<uint8_t>(value_of(src[i])) ^ flip);
      };
      int64_t places[256] = {}, total = 0;
      for (int64_t i = 0; i < a.n; ++i) ++places[key(i)];
      for (int64_t& place : places) {
        const int64_t here = place;
        place = total;
        total += here;
      }
      for (int64_t i = 0; i < a.n; ++i) {
        const int64_t at = places[key(i)]++;
        indices[at] = i;
        values[at] = src[i];
      }
    }
  });
}

// -- rows -----------------------------------------------------------------------------------------
template <class T>
void sort_typed(const SortArgs& a) {
  using Key = decltype(key_of(T{}));
  using E = typename Choose<sizeof(Key) == 4, Narrow, Wide>::type;
  const bool one = a.ties == Ties::select;
  const bool heap = a.ties == Ties::top && a.keep > 0 && a.keep * 64 <= a.n;
  const bool select =
      !one && !heap && a.keep > 0 && a.keep * 8 <= a.n && (a.keep <= 64 || a.keep * a.keep <= a.n);
  // Lines of half precision have equals nearly always: there is no use in looking first.
  const bool tied =
      (__is_same(T, Half) || __is_same(T, Brain)) && a.n > 64 && a.ties != Ties::stable && !heap;
  const int64_t grain = 1 + 16384 / (a.n ? a.n : 1);
  parallel_for(0, a.rows, grain, [&](int64_t b, int64_t e) {
    E* buffer = static_cast<E*>(__builtin_malloc(static_cast<size_t>(2 * a.n + 1) * sizeof(E)));
    if (!buffer) {
      __atomic_store_n(a.no_memory, 1, __ATOMIC_RELAXED);
      return;
    }
    const Key flip = a.descending ? static_cast<Key>(~Key(0)) : Key(0);
    for (int64_t r = b; r < e; ++r) {
      const T* src = reinterpret_cast<const T*>(a.src) + r * a.n;
      auto fill = [&] {
        for (int64_t i = 0; i < a.n; ++i)
          buffer[i] = E::make(static_cast<Key>(key_of(src[i]) ^ flip), static_cast<Key>(i));
      };
      if (tied || (!select && !heap)) fill();
      if (one) {
        select_place(buffer, a.n, a.keep - 1);
        const auto at = static_cast<int64_t>(buffer[a.keep - 1].at());
        a.indices[r] = at;
        reinterpret_cast<T*>(a.values)[r] = src[at];
        continue;
      }
      E* sorted = buffer + a.n;
      // One more than is kept shows whether the last has equals beyond.
      const int64_t shown = a.keep < a.n ? a.keep + 1 : a.n;
      if (tied && a.keep)
        sort_as_library(buffer, a.n, a.keep, a.ties), sorted = buffer;
      else if (heap)
        heap_entries(src, a.n, flip, sorted, a.keep);
      else if (select)
        select_entries(src, a.n, flip, sorted, shown);
      else
        sorted = sort_entries(buffer, sorted, a.n);
      if (!tied && !heap && a.ties != Ties::stable && a.keep && has_ties(sorted, shown)) {
        fill();
        sort_as_library(buffer, a.n, a.keep, a.ties);
        sorted = buffer;
      }
      T* values = reinterpret_cast<T*>(a.values) + r * a.keep;
      int64_t* indices = a.indices + r * a.keep;
      for (int64_t i = 0; i < a.keep; ++i) {
        const auto at = static_cast<int64_t>(sorted[i].at());
        indices[i] = at;
        values[i] = src[at];
      }
    }
    __builtin_free(buffer);
  });
}

void sort(const SortArgs& a) {
  by_real_dtype(a.dtype, [&](auto tag) {
    if constexpr (sizeof(tag) == 1) {
      if (a.ties == Ties::stable && a.keep == a.n && a.n > 256) return sort_bytes<decltype(tag)>(a);
    }
    sort_typed<decltype(tag)>(a);
  });
}

// -- running extremes, searching ------------------------------------------------------------------
// Lines side by side, each of which waits for itself at every step.
template <int Lines, bool Least, class T>
FLAMBEAU_INLINE void run_lines(const T* src, T* values, int64_t* indices, int64_t n) {
  T best[Lines];
  decltype(value_of(T{})) most[Lines];
  int64_t at[Lines];
  for (int k = 0; k < Lines; ++k) best[k] = src[k * n], most[k] = value_of(best[k]), at[k] = 0;
  for (int64_t i = 0; i < n; ++i)
    for (int k = 0; k < Lines; ++k) {
      const T here = src[k * n + i];
      const auto x = value_of(here), y = most[k];
      const bool later = Least ? x <= y : x >= y;
      const bool wins = later | (x != x);  // nothing compares with a NaN but another NaN
      best[k] = wins ? here : best[k], most[k] = wins ? x : y, at[k] = wins ? i : at[k];
      values[k * n + i] = best[k], indices[k * n + i] = at[k];
    }
}

template <bool Least, class T>
void running_typed(const RunningArgs& a) {
  constexpr int kLines = 4;
  const T* src = reinterpret_cast<const T*>(a.src);
  T* values = reinterpret_cast<T*>(a.values);
  const int64_t groups = (a.rows + kLines - 1) / kLines;
  parallel_for(0, groups, 1 + 16384 / (a.n * kLines + 1), [&](int64_t b, int64_t e) {
    for (int64_t g = b; g < e; ++g) {
      int64_t r = g * kLines;
      if (r + kLines <= a.rows)
        run_lines<kLines, Least>(src + r * a.n, values + r * a.n, a.indices + r * a.n, a.n);
      else
        for (; r < a.rows; ++r)
          run_lines<1, Least>(src + r * a.n, values + r * a.n, a.indices + r * a.n, a.n);
    }
  });
}

void running(const RunningArgs& a) {
  by_real_dtype(a.dtype, [&](auto tag) {
    using T = decltype(tag);
    a.least ? running_typed<true, T>(a) : running_typed<false, T>(a);
  });
}

// Where `Count` values go among n edges: side by side, since each step waits for the one before,
// and without a branch to mispredict. edge(i): the key of edge i.
template <int Count, class T, class E>
FLAMBEAU_INLINE void search_some(const T* values, int64_t* out, int64_t n, bool right,
                                 const E& edge) {
  decltype(key_of(T{})) key[Count];
  int64_t lo[Count];
  for (int k = 0; k < Count; ++k) key[k] = key_of(values[k]), lo[k] = 0;
  const auto step = [&](int64_t width, int64_t at) {
    for (int k = 0; k < Count; ++k) {
      const auto x = edge(lo[k] + at);
      lo[k] += width & -static_cast<int64_t>((x < key[k]) | (right & (x == key[k])));
    }
  };
  for (; n > 1; n -= n / 2) step(n / 2, n / 2 - 1);
  if (n == 1) step(1, 0);
  for (int k = 0; k < Count; ++k) out[k] = lo[k];
}

template <class T>
void search_typed(const SearchArgs& a) {
  constexpr int kSome = 16, kFew = 512;  // edges whose keys are made once for all values
  const T* values = reinterpret_cast<const T*>(a.values);
  parallel_for(0, a.rows * a.count, 2048, [&](int64_t b, int64_t e) {
    while (b < e) {  // up to the end of a row
      const int64_t row = b / a.count, end = (row + 1) * a.count < e ? (row + 1) * a.count : e;
      const int64_t first = a.shared ? 0 : row * a.edge_count;
      const T* edges = reinterpret_cast<const T*>(a.edges) + first;
      const auto range = [&](const auto& edge) {
        for (; b + kSome <= end; b += kSome)
          search_some<kSome>(values + b, a.out + b, a.edge_count, a.right, edge);
        for (; b < end; ++b) search_some<1>(values + b, a.out + b, a.edge_count, a.right, edge);
      };
      const int64_t* sorter = a.sorter ? a.sorter + first : nullptr;
      const auto edge = [&](int64_t i) { return key_of(edges[sorter ? sorter[i] : i]); };
      if (a.edge_count > kFew || a.edge_count > 2 * (end - b)) {
        range(edge);
        continue;
      }
      decltype(key_of(T{})) keys[kFew];
      for (int64_t i = 0; i < a.edge_count; ++i) keys[i] = edge(i);
      range([&](int64_t i) { return keys[i]; });
    }
  });
}

void search(const SearchArgs& a) {
  by_real_dtype(a.dtype, [&](auto tag) { search_typed<decltype(tag)>(a); });
}

}  // namespace

FLAMBEAU_REGISTER(sort_kernel, sort);
FLAMBEAU_REGISTER(running_kernel, running);
FLAMBEAU_REGISTER(search_kernel, search);

}  // namespace FLAMBEAU_ISA
}  // namespace flambeau
