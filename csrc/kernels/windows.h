// Windows that slide over up to three dimensions, one dimension after the other: pooling, resizing.
#pragma once
#include "../dispatch.h"

namespace flambeau {

// One dimension: each of `out` results is the sum or the maximum of a run of the input's numbers.
struct WindowAxis {
  int64_t in, out;
  int64_t step;  // from one number of a run to the next
  int64_t most;  // the longest run
  const int64_t* start;  // [out], rising; where the run begins
  const int64_t* count;  // [out] how many numbers; may be 0
  const void* weights;  // [out, most], or null for a plain sum
  bool from_second;  // the second of two goes into the sum first
  // The same for lines of neighbours, where `most` is small; null otherwise.
  const void* across;  // [most, out] weights, 0 beyond the run; null for a plain sum
  const int32_t* at;  // [most, out] places
  // Pooling windows: run o is o * stride - offset + t * step for the t < kernel that lie inside.
  int64_t stride, offset, kernel;  // stride 0: none such
  const double* divisor;  // [out], or null
};

enum class WindowType : uint8_t { f32, f64, i64 };

// [planes, in0, in1, in2, inner] to [planes, out0, out1, out2, inner], both contiguous.
struct WindowArgs {
  const void* input;
  void* out;
  void* places;  // of the maxima, flat within a plane, as integers of the type's width; or null
  int64_t planes, inner;
  WindowAxis axis[3];
  const void* divisors;  // [out2 * inner] of the last axis, spread; or null
  double divide;  // a further divisor of all
  WindowType type;
  bool maximum;
};
inline Kernel<void(const WindowArgs&)> windows_kernel{"windows"};

// [planes, rows_in, columns_in] items of `size` bytes to [planes, rows, columns]: result (r, c) is
// item (row[r], column[c]). `doubled`: column[c] is c / 2.
struct PickArgs {
  const void* in;
  void* out;
  int64_t planes, rows_in, columns_in, rows, columns, size;
  const int64_t* row;
  const int32_t* column;
  bool doubled;
};
inline Kernel<void(const PickArgs&)> pick_kernel{"pick"};

// out [planes, volume, inner] zeroed, then each number of `grad` [planes, points, inner] added
// where `places` says.
struct PlacesArgs {
  const void *grad, *places;
  void* out;
  int64_t planes, points, volume, inner;
  WindowType type;
};
inline Kernel<void(const PlacesArgs&)> add_at_places_kernel{"add_at_places"};

}  // namespace flambeau
