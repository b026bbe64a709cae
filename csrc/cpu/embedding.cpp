// Bags of embeddings: rows of a table added up or compared bag by bag.
#include "../parallel.h"
#include "items.h"

namespace flambeau {
namespace FLAMBEAU_ISA {
namespace {

constexpr int64_t kColumns = 128;  // accumulated at a time, in registers or the first cache

template <class T>
struct Accumulator {
  using type = T;
};
template <>
struct Accumulator<Half> {
  using type = float;
};
template <>
struct Accumulator<Brain> {
  using type = float;
};

template <class T, class A>
FLAMBEAU_INLINE T stored(A x) {
  if constexpr (__is_same(T, Half))
    return {float_to_f16(x)};
  else if constexpr (__is_same(T, Brain))
    return {float_to_bf16(x)};
  else
    return static_cast<T>(x);
}

template <class T>
void add_bag(const BagArgs& a, int64_t bag, int64_t from, int64_t n) {
  using A = typename Accumulator<T>::type;
  A sum[kColumns];
  for (int64_t i = 0; i < n; ++i) sum[i] = 0;
  const T* scale = reinterpret_cast<const T*>(a.scale);
  int64_t members = 0;
  for (int64_t k = a.offsets[bag]; k < a.offsets[bag + 1]; ++k) {
    if (a.index[k] == a.padding) continue;
    ++members;
    const T* row = reinterpret_cast<const T*>(a.weight) + a.index[k] * a.width + from;
    if (scale) {
      const A s = value_of(scale[k]);
      for (int64_t i = 0; i < n; ++i) sum[i] += s * value_of(row[i]);
    } else {
      for (int64_t i = 0; i < n; ++i) sum[i] += value_of(row[i]);
    }
  }
  T* out = reinterpret_cast<T*>(a.out) + bag * a.width + from;
  const A share = a.mode == BagMode::mean && members ? A(1) / static_cast<A>(members) : A(1);
  for (int64_t i = 0; i < n; ++i) out[i] = stored<T>(sum[i] * share);
}

// The same for as many numbers of plain sums, held in registers.
template <class T>
void add_whole(const BagArgs& a, int64_t bag, int64_t from) {
  using V = Vec<T>;
  constexpr int N = kColumns / V::size;
  V sum[N];
  for (int i = 0; i < N; ++i) sum[i] = V(T(0));
  int64_t members = 0;
  for (int64_t k = a.offsets[bag]; k < a.offsets[bag + 1]; ++k) {
    if (a.index[k] == a.padding) continue;
    ++members;
    const T* row = reinterpret_cast<const T*>(a.weight) + a.index[k] * a.width + from;
    for (int i = 0; i < N; ++i) sum[i] += V::load(row + i * V::size);
  }
  T* out = reinterpret_cast<T*>(a.out) + bag * a.width + from;
  const V share(a.mode == BagMode::mean && members ? T(1) / static_cast<T>(members) : T(1));
  for (int i = 0; i < N; ++i) (sum[i] * share).store(out + i * V::size);
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
bool add_in_registers(const BagArgs& a, int64_t bag, int64_t from, int64_t n) {
  if constexpr (__is_same(T, float) || __is_same(T, double)) {
    if (n == kColumns && !a.scale) return add_whole<T>(a, bag, from), true;
  }
  return false;
}

template <class T>
void bags_typed(const BagArgs& a) {
  const int64_t parts = (a.width + kColumns - 1) / kColumns;
  parallel_for(0, a.bags * parts, 64, [&](int64_t b, int64_t e) {
    for (int64_t w = b; w < e; ++w) {
      const int64_t bag = w / parts, from = (w - bag * parts) * kColumns;
      const int64_t n = a.width - from < kColumns ? a.width - from : kColumns;
      if (a.mode == BagMode::max)
        max_bag<T>(a, bag, from, n);
      else if (!add_in_registers<T>(a, bag, from, n))
        add_bag<T>(a, bag, from, n);
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
