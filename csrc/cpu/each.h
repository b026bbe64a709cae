// A row in registers.
#pragma once
#include "vec.h"

namespace flambeau {
namespace FLAMBEAU_ISA {

// f(i, m) for the m numbers from i on: registers full, then the rest.
template <class T, class F>
FLAMBEAU_INLINE void each(int64_t n, const F& f) {
  constexpr int W = Vec<T>::size;
  int64_t i = 0;
  for (; i + W <= n; i += W) f(i, static_cast<int64_t>(W));
  if (i < n) f(i, n - i);
}

}  // namespace FLAMBEAU_ISA
}  // namespace flambeau
