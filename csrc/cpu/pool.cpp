// Max pooling: each window is walked once, the first of equals wins, not-a-number wins over all.
#include "../kernels/pool.h"

#include "../parallel.h"

namespace flambeau {
namespace FLAMBEAU_ISA {
namespace {

constexpr int64_t kWork = 32768;  // elements looked at in one task

struct Reach {  // the part of a window that lies inside, by its taps
  int64_t first, last, start;
};

inline Reach reach(const MaxPoolArgs& a, int d, int64_t o) {
  const int64_t start = o * a.stride[d] - a.padding[d];
  const int64_t first = start < 0 ? (-start + a.dilation[d] - 1) / a.dilation[d] : 0;
  int64_t last = (a.in[d] - start + a.dilation[d] - 1) / a.dilation[d];
  if (last > a.kernel[d]) last = a.kernel[d];
  return {first, last, start};
}

template <class T>
void plane(const MaxPoolArgs& a, int64_t p) {
  const T* x = static_cast<const T*>(a.input) + p * a.in[0] * a.in[1] * a.in[2];
  const int64_t outputs = a.size[0] * a.size[1] * a.size[2];
  T* y = static_cast<T*>(a.out) + p * outputs;
  int64_t* places = a.places + p * outputs;
  for (int64_t i = 0; i < a.size[0]; ++i) {
    const Reach r0 = reach(a, 0, i);
    for (int64_t j = 0; j < a.size[1]; ++j) {
      const Reach r1 = reach(a, 1, j);
      for (int64_t k = 0; k < a.size[2]; ++k, ++y, ++places) {
        const Reach r2 = reach(a, 2, k);
        int64_t best = -1;
        T most = 0;
        for (int64_t u = r0.first; u < r0.last; ++u) {
          for (int64_t v = r1.first; v < r1.last; ++v) {
            const int64_t line =
                ((r0.start + u * a.dilation[0]) * a.in[1] + r1.start + v * a.dilation[1]) *
                    a.in[2] +
                r2.start;
            for (int64_t w = r2.first; w < r2.last; ++w) {
              const int64_t at = line + w * a.dilation[2];
              const T value = x[at];
              if (best < 0 || value > most || (value != value && most == most)) {
                best = at;
                most = value;
              }
            }
          }
        }
        *y = most;
        *places = best;
      }
    }
  }
}

void max_pool(const MaxPoolArgs& a) {
  const int64_t work = a.size[0] * a.size[1] * a.size[2] * a.kernel[0] * a.kernel[1] * a.kernel[2];
  const int64_t grain = work >= kWork ? 1 : kWork / (work ? work : 1);
  parallel_for(0, a.planes, grain, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) a.is_double ? plane<double>(a, p) : plane<float>(a, p);
  });
}

FLAMBEAU_REGISTER(max_pool_kernel, max_pool);

}  // namespace
}  // namespace FLAMBEAU_ISA
}  // namespace flambeau
