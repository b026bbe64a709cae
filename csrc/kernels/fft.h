// The interface of the Fourier transforms: x is [outer, n, inner], complex numbers as pairs.
#pragma once
#include "pointwise.h"

namespace flambeau {

struct FftArgs {
  enum Kind : uint8_t { complex, from_real, to_real } kind;
  bool f64, forward;
  double scale;
  int64_t outer, n, inner;  // n: complex points, or the real numbers on the real side
  const void* in;
  void* out;
  // cos and then -sin of 2 pi k / n, n of each. Where `padded` is not 0, n has a large prime factor
  // and the transform is a convolution of that length: tables of 2 n and of padded.
  const void *table, *chirp_table, *padded_table;
  int64_t padded;
  void* work;  // room for 2 n complex numbers
};
inline Kernel<void(const FftArgs&)> fft_kernel{"fft"};

constexpr int64_t kLargestRadix = 31;  // larger prime factors go by way of a convolution

}  // namespace flambeau
