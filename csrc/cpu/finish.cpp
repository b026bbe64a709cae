// The steps that follow a product, as a pass of their own.
#include "finish.h"

#include "parallel.h"

namespace flambeau {
namespace FLAMBEAU_ISA {
namespace {

template <class T>
void rows_of(const FinishArgs& a) {
  parallel_for(0, a.rows, 1 + 16384 / (a.length + 1), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const T* x = static_cast<const T*>(a.src) + i * a.length;
      T* y = static_cast<T*>(a.finish.origin) + i * a.length;
      if (x != y) __builtin_memcpy(y, x, static_cast<size_t>(a.length) * sizeof(T));
      finish_run(a.finish, y, a.length, i % a.channels);
    }
  });
}

void finish_rows(const FinishArgs& a) {
  if (a.bf16)
    rows_of<uint16_t>(a);
  else
    rows_of<float>(a);
}

}  // namespace

FLAMBEAU_REGISTER(finish_kernel, finish_rows);

}  // namespace FLAMBEAU_ISA
}  // namespace flambeau
