// The rows of a loop, split among threads.
#pragma once
#include "parallel.h"
#include "runs.h"

namespace flambeau {
namespace FLAMBEAU_ISA {

// f(cursor, length) for every row, or part of one; `grain` elements are worth a thread.
template <class F>
void each_row(const Loop& loop, int64_t grain, const F& f) {
  parallel_for(0, loop.numel, grain, [&](int64_t b, int64_t e) {
    Cursor c(loop, b);
    for (int64_t i = b; i < e;) {
      int64_t n = loop.sizes[0] - c.column;
      if (n > e - i) n = e - i;
      f(c, n);
      c.advance(loop, n);
      i += n;
    }
  });
}

}  // namespace FLAMBEAU_ISA
}  // namespace flambeau
