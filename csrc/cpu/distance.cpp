// Distances between rows: registers go across rows of the second matrix, so nothing is added up
// within one, and a few rows of the first share what is loaded of it.
#include "../kernels/distance.h"

#include "../parallel.h"
#include "../scratch.h"
#include "vec.h"

namespace flambeau {
namespace FLAMBEAU_ISA {
namespace {

constexpr int kRows = 4, kRegisters = 2;  // of the first matrix, of the second
constexpr int64_t kChunk = 512;           // rows of the first in one task

template <class T, Norm N>
struct Panel {
  using V = Vec<T>;
  static constexpr int64_t W = V::size, kColumns = kRegisters * W;
  const DistanceArgs& a;
  int64_t batch, column;  // the first row of the second matrix
  T* packed;              // [width, kColumns] of the second matrix, turned

  void pack() const {
    const T* x = static_cast<const T*>(a.x2) + (batch * a.n2 + column) * a.width;
    const int64_t n = a.n2 - column < kColumns ? a.n2 - column : kColumns;
    for (int64_t j = 0; j < kColumns; ++j)
      for (int64_t k = 0; k < a.width; ++k)
        packed[k * kColumns + j] = j < n ? x[j * a.width + k] : T(0);
  }

  static FLAMBEAU_INLINE V more(V total, V apart) {
    if constexpr (N == Norm::one)
      return total + abs(apart);
    else if constexpr (N == Norm::two)
      return total + apart * apart;
    else
      return max(total, abs(apart));
  }

  // Row i of the results, from this panel's columns on.
  FLAMBEAU_INLINE void put(const V* found, int64_t i) const {
    const int64_t n = a.n2 - column < kColumns ? a.n2 - column : kColumns;
    T* out = static_cast<T*>(a.out);
    if (!a.pairs || column > i) {
      out += a.pairs ? batch * (a.n1 * (a.n1 - 1) / 2) + i * (2 * a.n1 - i - 1) / 2 - i - 1
                     : (batch * a.n1 + i) * a.n2;
      for (int64_t r = 0; r < kRegisters; ++r)
        if (r * W < n) found[r].store_n(out + column + r * W, n - r * W);
      return;
    }
    alignas(kVecBytes) T all[kColumns];
    for (int64_t r = 0; r < kRegisters; ++r) found[r].store(all + r * W);
    out += batch * (a.n1 * (a.n1 - 1) / 2) + i * (2 * a.n1 - i - 1) / 2;
    for (int64_t j = i + 1; j < column + n; ++j) out[j - i - 1] = all[j - column];
  }

  void rows(int64_t begin, int64_t end) const {
    const T* x = static_cast<const T*>(a.x1) + batch * a.n1 * a.width;
    for (int64_t i = begin; i < end; i += kRows) {
      const T* row[kRows];
      for (int64_t r = 0; r < kRows; ++r) row[r] = x + (i + r < end ? i + r : end - 1) * a.width;
      V total[kRows][kRegisters];
      for (auto& line : total)
        for (V& v : line) v = V(T(0));
      for (int64_t k = 0; k < a.width; ++k) {
        V there[kRegisters];
#pragma GCC unroll 4
        for (int c = 0; c < kRegisters; ++c) there[c] = V::load(packed + k * kColumns + c * W);
#pragma GCC unroll 4
        for (int r = 0; r < kRows; ++r) {
          const V here(row[r][k]);
#pragma GCC unroll 4
          for (int c = 0; c < kRegisters; ++c) total[r][c] = more(total[r][c], here - there[c]);
        }
      }
      for (int r = 0; r < kRows && i + r < end; ++r) {
        if constexpr (N == Norm::two)
          for (V& v : total[r]) v = sqrt(v);
        put(total[r], i + r);
      }
    }
  }
};

template <class T, Norm N>
void distances(const DistanceArgs& a) {
  using P = Panel<T, N>;
  const int64_t panels = (a.n2 + P::kColumns - 1) / P::kColumns;
  const int64_t chunks = (a.n1 + kChunk - 1) / kChunk;
  const int64_t rows = a.n1 < kChunk ? a.n1 : kChunk, work = rows * P::kColumns * (a.width + 1);
  parallel_for(0, a.batch * panels * chunks, 1 + 65536 / (work + 1), [&](int64_t b, int64_t e) {
    T* packed = static_cast<T*>(
        scratch(Scratch::packed_b, static_cast<size_t>(P::kColumns * a.width) * sizeof(T)));
    for (int64_t i = b; i < e; ++i) {
      const P panel{a, i / chunks / panels, i / chunks % panels * P::kColumns, packed};
      if (i == b || i % chunks == 0) panel.pack();
      const int64_t begin = i % chunks * kChunk, last = begin + rows;
      int64_t end = last < a.n1 ? last : a.n1;
      // With pairs only rows before those of the panel.
      if (a.pairs && panel.column + P::kColumns - 1 < end) end = panel.column + P::kColumns - 1;
      panel.rows(begin, end);
    }
  });
}

template <class T>
void by_norm(const DistanceArgs& a) {
  switch (a.norm) {
    case Norm::one: return distances<T, Norm::one>(a);
    case Norm::two: return distances<T, Norm::two>(a);
    case Norm::greatest: return distances<T, Norm::greatest>(a);
  }
}

void distance(const DistanceArgs& a) { a.f64 ? by_norm<double>(a) : by_norm<float>(a); }

FLAMBEAU_REGISTER(distance_kernel, distance);

}  // namespace
}  // namespace FLAMBEAU_ISA
}  // namespace flambeau
