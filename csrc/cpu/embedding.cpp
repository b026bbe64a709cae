// Bags of embeddings: rows of a table added up or compared bag by bag.
#include "../parallel.h"
#include "items.h"

namespace flambeau {
namespace FLAMBEAU_ISA {
namespace {

template <class T>
constexpr bool kIsHalf = __is_same(T, Half) || __is_same(T, Brain);
// Accumulated at a time: in registers, or in the first cache.
constexpr int kRegisters = 8;
template <class T>
constexpr int64_t kColumns = kRegisters * Vec<T>::size;
template <>
constexpr int64_t kColumns<Half> = 128;
template <>
constexpr int64_t kColumns<Brain> = 128;

FLAMBEAU_INLINE void store_half(Half& to, float x) { to = {float_to_f16(x)}; }
FLAMBEAU_INLINE void store_half(Brain& to, float x) { to = {float_to_bf16(x)}; }

// Of half precision.
template <class T>
void add_bag(const BagArgs& a, int64_t bag, int64_t from, int64_t n) {
  float sum[kColumns<T>];
  for (int64_t i = 0; i < n; ++i) sum[i] = 0;
  const T* scale = reinterpret_cast<const T*>(a.scale);
  int64_t members = 0;
  for (int64_t k = a.offsets[bag]; k < a.offsets[bag + 1]; ++k) {
    if (a.index[k] == a.padding) continue;
    ++members;
    const T* row = reinterpret_cast<const T*>(a.weight) + a.index[k] * a.width + from;
    if (scale) {
      const float s = value_of(scale[k]);
      for (int64_t i = 0; i < n; ++i) sum[i] += s * value_of(row[i]);
    } else {
      for (int64_t i = 0; i < n; ++i) sum[i] += value_of(row[i]);
    }
  }
  T* out = reinterpret_cast<T*>(a.out) + bag * a.width + from;
  const float share = a.mode == BagMode::mean && members ? 1 / static_cast<float>(members) : 1;
  for (int64_t i = 0; i < n; ++i) store_half(out[i], sum[i] * share);
}

// The same for at most as many numbers as N registers hold.
template <class T, int N, bool Scaled>
void add_registers(const BagArgs& a, int64_t bag, int64_t from, int64_t n) {
  using V = Vec<T>;
  constexpr int64_t W = V::size, last = (N - 1) * W;
  V sum[N];
#pragma GCC unroll 8
  for (int i = 0; i < N; ++i) sum[i] = V(T(0));
  const T* scale = reinterpret_cast<const T*>(a.scale);
  int64_t members = 0;
  for (int64_t k = a.offsets[bag]; k < a.offsets[bag + 1]; ++k) {
    if (a.index[k] == a.padding) continue;
    ++members;
    const T* row = reinterpret_cast<const T*>(a.weight) + a.index[k] * a.width + from;
#pragma GCC unroll 8
    for (int i = 0; i < N; ++i) {
      const V v = i < N - 1 ? V::load(row + i * W) : V::load_n(row + last, n - last);
      sum[i] += Scaled ? V(scale[k]) * v : v;
    }
  }
  T* out = reinterpret_cast<T*>(a.out) + bag * a.width + from;
  const V share(a.mode == BagMode::mean && members ? T(1) / static_cast<T>(members) : T(1));
#pragma GCC unroll 8
  for (int i = 0; i < N - 1; ++i) (sum[i] * share).store(out + i * W);
  (sum[N - 1] * share).store_n(out + last, n - last);
}

template <class T, int N = kRegisters>
void add_in_registers(const BagArgs& a, int64_t bag, int64_t from, int64_t n) {
  if constexpr (N > 1)
    if (n <= (N - 1) * Vec<T>::size) return add_in_registers<T, N - 1>(a, bag, from, n);
  if (a.scale)
    add_registers<T, N, true>(a, bag, from, n);
  else
    add_registers<T, N, false>(a, bag, from, n);
}

template <class T>
void max_bag(const BagArgs& a, int64_t bag, int64_t from, int64_t n) {
  T* out = reinterpret_cast<T*>(a.out) + bag * a.width + from;
  int64_t* winner = a.argmax + bag * a.width + from;
  for (int64_t i = 0; i < n; ++i) {
    out[i] = T{};
    winner[i] = -1;
  }
  for (int64_t k = a.offsets[bag]; k < a.offsets[bag + 1]; ++k) {
    if (a.index[k] == a.padding) continue;
    const T* row = reinterpret_cast<const T*>(a.weight) + a.index[k] * a.width + from;
    for (int64_t i = 0; i < n; ++i) {
      if (winner[i] >= 0 && !(value_of(row[i]) > value_of(out[i]))) continue;
      out[i] = row[i];
      winner[i] = a.index[k];
    }
  }
}

template <class T>
void bags_typed(const BagArgs& a) {
  const int64_t columns = kColumns<T>, parts = (a.width + columns - 1) / columns;
  parallel_for(0, a.bags * parts, 64, [&](int64_t b, int64_t e) {
    for (int64_t w = b; w < e; ++w) {
      const int64_t bag = w / parts, from = (w - bag * parts) * columns;
      const int64_t n = a.width - from < columns ? a.width - from : columns;
      if (a.mode == BagMode::max)
        max_bag<T>(a, bag, from, n);
      else if constexpr (kIsHalf<T>)
        add_bag<T>(a, bag, from, n);
      else
        add_in_registers<T>(a, bag, from, n);
    }
  });
}

void bags(const BagArgs& a) {
  switch (a.dtype) {
    case DType::float32: return bags_typed<float>(a);
    case DType::float64: return bags_typed<double>(a);
    case DType::float16: return bags_typed<Half>(a);
    case DType::bfloat16: return bags_typed<Brain>(a);
    default: return;
  }
}

}  // namespace

FLAMBEAU_REGISTER(bag_kernel, bags);

}  // namespace FLAMBEAU_ISA
}  // namespace flambeau
