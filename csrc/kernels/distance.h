// Distances between rows.
#pragma once
#include "../dispatch.h"

namespace flambeau {

enum class Norm : uint8_t { one, two, greatest };

// [batch, n1, width] and [batch, n2, width], contiguous. out: [batch, n1, n2], or with `pairs`,
// where both are the same, the distances of rows i < j in order: [batch, n1 (n1 - 1) / 2].
struct DistanceArgs {
  const void *x1, *x2;
  void* out;
  int64_t batch, n1, n2, width;
  Norm norm;
  bool pairs, f64;
};
inline Kernel<void(const DistanceArgs&)> distance_kernel{"cdist"};

}  // namespace flambeau
