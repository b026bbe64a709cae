// Products with sparse matrices in compressed rows, row by row.
#include "../kernels/sparse.h"

#include "../parallel.h"
#include "vec.h"

namespace flambeau {
namespace FLAMBEAU_ISA {
namespace {

// f(row, first, last) with the row's values within the list.
template <class F>
void for_rows(const CompressedArgs& a, const F& f) {
  const int64_t work = 1 + a.count / (a.rows + 1) * a.width;
  parallel_for(0, a.rows, 1 + 32768 / work, [&](int64_t b, int64_t e) {
    bool bad = false;
    for (int64_t r = b; r < e; ++r) {
      int64_t first = a.begin[r], last = a.begin[r + 1];
      if (first < 0 || last > a.count || first > last) {
        bad = true;
        first = last = 0;
      }
      bad |= f(r, first, last);
    }
    if (bad) __atomic_store_n(a.bad, 1, __ATOMIC_RELAXED);
  });
}

// Columns [from, from + n) of one row of the result, V registers of them.
template <class T, int V>
FLAMBEAU_INLINE bool row_block(const CompressedArgs& a, int64_t r, int64_t first, int64_t last,
                               int64_t from, int64_t n) {
  constexpr int64_t W = Vec<T>::size, kAhead = 8;
  const T* values = static_cast<const T*>(a.values);
  const T* right = static_cast<const T*>(a.right) + from;
  bool bad = false;
  Vec<T> sum[V];
  for (int v = 0; v < V; ++v) sum[v] = T(0);
  for (int64_t k = first; k < last; ++k) {
    const int64_t c = a.column[k];
    if (static_cast<uint64_t>(c) >= static_cast<uint64_t>(a.columns)) [[unlikely]] {
      bad = true;
      continue;
    }
    const int64_t soon = k + kAhead < a.count ? a.column[k + kAhead] : c;
    if (static_cast<uint64_t>(soon) < static_cast<uint64_t>(a.columns))
      for (int v = 0; v < V; ++v) __builtin_prefetch(right + soon * a.width + v * W);
    const Vec<T> value(values[k]);
    const T* row = right + c * a.width;
    for (int v = 0; v < V; ++v) sum[v] = fma(value, Vec<T>::load_n(row + v * W, n - v * W), sum[v]);
  }
  T* out = static_cast<T*>(a.out) + r * a.width + from;
  for (int v = 0; v < V; ++v) sum[v].store_n(out + v * W, n - v * W);
  return bad;
}

template <class T>
void product(const CompressedArgs& a) {
  constexpr int64_t W = Vec<T>::size;
  for_rows(a, [&](int64_t r, int64_t first, int64_t last) {
    bool bad = false;
    int64_t from = 0;
    for (; from + 4 * W <= a.width; from += 4 * W)
      bad |= row_block<T, 4>(a, r, first, last, from, 4 * W);
    for (; from < a.width; from += W)
      bad |= row_block<T, 1>(a, r, first, last, from, a.width - from < W ? a.width - from : W);
    return bad;
  });
}

template <class T>
void sample(const CompressedArgs& a) {
  const T* left = static_cast<const T*>(a.left);
  const T* right = static_cast<const T*>(a.right);
  T* out = static_cast<T*>(a.out);
  for_rows(a, [&](int64_t r, int64_t first, int64_t last) {
    bool bad = false;
    const T* x = left + r * a.width;
    for (int64_t k = first; k < last; ++k) {
      const int64_t c = a.column[k];
      if (static_cast<uint64_t>(c) >= static_cast<uint64_t>(a.columns)) [[unlikely]] {
        bad = true;
        out[k] = T(0);
        continue;
      }
      const T* y = right + c * a.width;
      constexpr int64_t kLanes = 16;  // sums side by side, in an order that is always the same
      T lanes[kLanes] = {};
      int64_t i = 0;
      for (; i + kLanes <= a.width; i += kLanes)
        for (int64_t j = 0; j < kLanes; ++j) lanes[j] += x[i + j] * y[i + j];
      T sum = 0;
      for (; i < a.width; ++i) sum += x[i] * y[i];
      for (int64_t j = 0; j < kLanes; ++j) sum += lanes[j];
      out[k] = sum;
    }
    return bad;
  });
}

void compressed_product(const CompressedArgs& a) {
  a.dtype == DType::float32 ? product<float>(a) : product<double>(a);
}
void compressed_sample(const CompressedArgs& a) {
  a.dtype == DType::float32 ? sample<float>(a) : sample<double>(a);
}

}  // namespace

FLAMBEAU_REGISTER(compressed_product_kernel, compressed_product);
FLAMBEAU_REGISTER(compressed_sample_kernel, compressed_sample);

}  // namespace FLAMBEAU_ISA
}  // namespace flambeau
