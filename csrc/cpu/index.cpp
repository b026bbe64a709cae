// Reading and writing rows and lines by index.
#include "../kernels/index.h"

#include "../parallel.h"
#include "../scratch.h"
#include "items.h"
#include "move.h"

namespace flambeau {
namespace FLAMBEAU_ISA {
namespace {

// Whether each of the n indices is below `rows` and not negative.
FLAMBEAU_INLINE bool within(const int64_t* index, int64_t n, int64_t rows) {
  uint64_t outside = 0;
  for (int64_t i = 0; i < n; ++i)
    outside |= static_cast<uint64_t>(index[i]) >= static_cast<uint64_t>(rows);
  return outside == 0;
}

// dst[i] = src[index[i]]. Checked a piece at a time, so that neither loop has anything else to do.
template <class T>
FLAMBEAU_INLINE bool take(T* dst, const T* src, const int64_t* index, int64_t n, int64_t rows) {
  constexpr int64_t kPiece = 512;
  bool bad = false;
  for (int64_t i = 0; i < n; i += kPiece) {
    const int64_t e = n - i < kPiece ? n : i + kPiece;
    if (within(index + i, e - i, rows)) {
#pragma GCC unroll 8
      for (int64_t k = i; k < e; ++k) {
        int64_t at = index[k];
        __asm__("" : "+r"(at));  // single loads: putting them together as vectors costs more
        dst[k] = src[at];
      }
      continue;
    }
    bad = true;
    for (int64_t k = i; k < e; ++k)
      dst[k] = src[static_cast<uint64_t>(index[k]) < static_cast<uint64_t>(rows) ? index[k] : 0];
  }
  return bad;
}

// -- rows -----------------------------------------------------------------------------------------
template <class T>
void take_items(const RowsArgs& a) {  // inner is one element
  parallel_for(0, a.outer * a.count, 16384, [&](int64_t b, int64_t e) {
    bool bad = false;
    T* dst = reinterpret_cast<T*>(a.other);
    while (b < e) {
      const int64_t o = b / a.count, from = b - o * a.count;
      const int64_t n = a.count - from < e - b ? a.count - from : e - b;
      const T* src = reinterpret_cast<const T*>(a.data) + o * a.rows;
      bad |= take(dst + b, src, a.index + from, n, a.rows);
      b += n;
    }
    if (bad) __atomic_store_n(a.bad, 1, __ATOMIC_RELAXED);
  });
}

void take_rows(const RowsArgs& a) {
  if (a.inner == 1) {
    by_size(a.item, [&](auto tag) { take_items<decltype(tag)>(a); });
    return;
  }
  const int64_t row = a.inner * a.item;
  parallel_for(0, a.outer * a.count, 1 + 262144 / row, [&](int64_t b, int64_t e) {
    bool bad = false;
    const int64_t ahead = row < 1024 ? row : 1024;
    for (int64_t k = b; k < e; ++k) {
      const int64_t o = k / a.count;
      int64_t i = a.index[k - o * a.count];
      if (const int64_t soon = k + 2 - o * a.count; soon < a.count) {
        const int64_t at = a.index[soon];
        if (static_cast<uint64_t>(at) < static_cast<uint64_t>(a.rows))
          for (int64_t j = 0; j < ahead; j += 64)
            __builtin_prefetch(a.data + (o * a.rows + at) * row + j);
      }
      if (static_cast<uint64_t>(i) >= static_cast<uint64_t>(a.rows)) {
        bad = true;
        i = 0;
      }
      move_row(a.other + k * row, a.data + (o * a.rows + i) * row, row);
    }
    if (bad) __atomic_store_n(a.bad, 1, __ATOMIC_RELAXED);
  });
}

// Columns are split, never the list of indices: each element meets its writers in their order.
template <class T, Combine C>
void put_rows_typed(const RowsArgs& a) {
  const bool little = a.count * a.inner <= 1 << 17;  // whole rows, which are faster on one thread
  const int64_t wide = little ? a.inner : a.inner < 256 ? 32 : 128;
  const int64_t step = a.inner < wide ? a.inner : wide;
  const int64_t parts = (a.inner + step - 1) / step;
  const int64_t work = a.count * step;
  const int64_t grain = work > 32768 ? 1 : 1 + 32768 / (work ? work : 1);
  parallel_for(0, a.outer * parts, grain, [&](int64_t b, int64_t e) {
    for (int64_t w = b; w < e; ++w) {
      const int64_t o = w / parts, from = (w - o * parts) * step;
      const int64_t n = a.inner - from < step ? a.inner - from : step;
      T* data = reinterpret_cast<T*>(a.data) + o * a.rows * a.inner + from;
      const T* other = reinterpret_cast<const T*>(a.other) + o * a.count * a.inner + from;
      if (n == 1) {
        for (int64_t k = 0; k < a.count; ++k)
          combine<C>(data + a.index[k] * a.inner, other[k * a.inner]);
        continue;
      }
      for (int64_t k = 0; k < a.count; ++k) {
        T* d = data + a.index[k] * a.inner;
        const T* s = other + k * a.inner;
#pragma GCC ivdep
        for (int64_t i = 0; i < n; ++i) combine<C>(d + i, s[i]);
      }
    }
  });
}

void put_rows(const RowsArgs& a) {
  if (a.combine == Combine::assign)
    by_size(a.item, [&](auto tag) { put_rows_typed<decltype(tag), Combine::assign>(a); });
  else
    by_combine(a.combine, [&](auto c) {
      by_dtype(a.dtype, [&](auto tag) { put_rows_typed<decltype(tag), decltype(c)::value>(a); });
    });
}

// -- lines ----------------------------------------------------------------------------------------
// Calls f(data, other, index, n, data_step): element i of the run has its index at index[i], lies
// at other + i * other step and at data + index * data stride of dim + i * data_step. Runs that may
// meet each other come from one call of the task, in order.
template <class F>
void for_runs(const LinesArgs& a, bool split, const F& f) {
  const int last = a.ndim - 1;
  const bool along = a.dim == last;
  int64_t outer = 1;
  for (int d = 0; d < last; ++d)
    if (d != a.dim) outer *= a.sizes[d];
  const int64_t n = a.sizes[last], lines = along ? 1 : a.sizes[a.dim];
  const int64_t part = (split || !along) && n > 8192 ? 8192 : (n ? n : 1);
  const int64_t parts = (n + part - 1) / part, work = lines * part;
  parallel_for(0, outer * parts, 1 + 16384 / (work ? work : 1), [&](int64_t b, int64_t e) {
    for (int64_t w = b; w < e; ++w) {
      int64_t rest = w / parts, from = (w - rest * parts) * part;
      int64_t x = 0, y = from * a.other_strides[last], z = from * a.index_strides[last];
      if (!along) x = from * a.data_strides[last];
      for (int d = last - 1; d >= 0; --d) {
        if (d == a.dim) continue;
        const int64_t at = rest % a.sizes[d];
        rest /= a.sizes[d];
        x += at * a.data_strides[d];
        y += at * a.other_strides[d];
        z += at * a.index_strides[d];
      }
      const int64_t count = n - from < part ? n - from : part;
      for (int64_t j = 0; j < lines; ++j)
        f(a.data + x, a.other + y + j * (along ? 0 : a.other_strides[a.dim]),
          a.index + z + j * (along ? 0 : a.index_strides[a.dim]), count,
          along ? 0 : a.data_strides[last]);
    }
  });
}

template <class T>
void gather_typed(const LinesArgs& a) {
  const int last = a.ndim - 1;
  const int64_t so = a.other_strides[last], si = a.index_strides[last], sd = a.data_strides[a.dim];
  const bool plain = so == static_cast<int64_t>(sizeof(T)) && si == 8;
  for_runs(a, true, [&](char* data, char* other, const char* index, int64_t n, int64_t step) {
    bool bad = false;
    auto one = [&](int64_t i, int64_t at) -> const T& {
      const bool ok = static_cast<uint64_t>(at) < static_cast<uint64_t>(a.rows);
      bad |= !ok;
      return *reinterpret_cast<const T*>(data + (ok ? at : 0) * sd + i * step);
    };
    if (plain && step == 0 && sd == static_cast<int64_t>(sizeof(T))) {
      bad = take(reinterpret_cast<T*>(other), reinterpret_cast<const T*>(data),
                 reinterpret_cast<const int64_t*>(index), n, a.rows);
    } else if (plain) {
      T* dst = reinterpret_cast<T*>(other);
      const int64_t* at = reinterpret_cast<const int64_t*>(index);
      for (int64_t i = 0; i < n; ++i) dst[i] = one(i, at[i]);
    } else {
      for (int64_t i = 0; i < n; ++i)
        *reinterpret_cast<T*>(other + i * so) =
            one(i, *reinterpret_cast<const int64_t*>(index + i * si));
    }
    if (bad) __atomic_store_n(a.bad, 1, __ATOMIC_RELAXED);
  });
}

void gather(const LinesArgs& a) {
  by_size(a.item, [&](auto tag) { gather_typed<decltype(tag)>(a); });
}

template <class T, Combine C>
void scatter_typed(const LinesArgs& a) {
  const int last = a.ndim - 1;
  const int64_t so = a.other_strides[last], si = a.index_strides[last], sd = a.data_strides[a.dim];
  const bool plain =
      so == static_cast<int64_t>(sizeof(T)) && si == 8 && sd == static_cast<int64_t>(sizeof(T));
  for_runs(a, false, [&](char* data, char* other, const char* index, int64_t n, int64_t step) {
    if (plain && step == 0) {
      T* dst = reinterpret_cast<T*>(data);
      const T* src = reinterpret_cast<const T*>(other);
      const int64_t* at = reinterpret_cast<const int64_t*>(index);
      for (int64_t i = 0; i < n; ++i) combine<C>(dst + at[i], src[i]);
      return;
    }
    for (int64_t i = 0; i < n; ++i) {
      const int64_t at = *reinterpret_cast<const int64_t*>(index + i * si);
      combine<C>(reinterpret_cast<T*>(data + at * sd + i * step),
                 *reinterpret_cast<const T*>(other + i * so));
    }
  });
}

// One long line of sums: parts of the line are added up in tables of their own, all of them at
// once, and the tables then in order. The number of parts follows from the size.
template <class T>
bool scatter_parts(const LinesArgs& a) {
  constexpr int64_t kParts = 8;
  const int64_t n = a.sizes[0], rows = a.rows;
  if (a.ndim != 1 || n < 1 << 16 || n < 2 * kParts * rows) return false;
  if (a.other_strides[0] != static_cast<int64_t>(sizeof(T)) || a.index_strides[0] != 8)
    return false;
  T* tables =
      static_cast<T*>(scratch(Scratch::shared, static_cast<size_t>(kParts * rows) * sizeof(T)));
  const T* src = reinterpret_cast<const T*>(a.other);
  const int64_t* at = reinterpret_cast<const int64_t*>(a.index);
  parallel_for(0, kParts, 1, [&](int64_t b, int64_t) {
    T* table = tables + b * rows;
    for (int64_t i = 0; i < rows; ++i) table[i] = T(0);
    for (int64_t i = b * n / kParts; i < (b + 1) * n / kParts; ++i) table[at[i]] += src[i];
  });
  for (int64_t i = 0; i < rows; ++i) {
    T sum = tables[i];
    for (int64_t p = 1; p < kParts; ++p) sum += tables[p * rows + i];
    *reinterpret_cast<T*>(a.data + i * a.data_strides[0]) += sum;
  }
  return true;
}

void scatter(const LinesArgs& a) {
  if (a.combine == Combine::add && ((a.dtype == DType::float32 && scatter_parts<float>(a)) ||
                                    (a.dtype == DType::float64 && scatter_parts<double>(a)) ||
                                    (a.dtype == DType::int64 && scatter_parts<uint64_t>(a))))
    return;
  if (a.combine == Combine::assign)
    by_size(a.item, [&](auto tag) { scatter_typed<decltype(tag), Combine::assign>(a); });
  else
    by_combine(a.combine, [&](auto c) {
      by_dtype(a.dtype, [&](auto tag) { scatter_typed<decltype(tag), decltype(c)::value>(a); });
    });
}

void bounds(const int64_t* p, int64_t n, int64_t* least, int64_t* greatest) {
  int64_t lo = n ? p[0] : 0, hi = lo;
  for (int64_t i = 0; i < n; ++i) {
    lo = p[i] < lo ? p[i] : lo;
    hi = p[i] > hi ? p[i] : hi;
  }
  *least = lo;
  *greatest = hi;
}

}  // namespace

FLAMBEAU_REGISTER(take_rows_kernel, take_rows);
FLAMBEAU_REGISTER(put_rows_kernel, put_rows);
FLAMBEAU_REGISTER(gather_kernel, gather);
FLAMBEAU_REGISTER(scatter_kernel, scatter);
FLAMBEAU_REGISTER(bounds_kernel, bounds);

}  // namespace FLAMBEAU_ISA
}  // namespace flambeau
