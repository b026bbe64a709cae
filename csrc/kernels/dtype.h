// The data types, for the core and the kernels alike.
#pragma once
#include <cstdint>

namespace flambeau {

enum class DType : uint8_t {
  uint8,
  int8,
  int16,
  int32,
  int64,
  float16,
  float32,
  float64,
  complex64,
  complex128,
  boolean,
  bfloat16,
  uint16,
  uint32,
  uint64,
  float8_e4m3fn,
  float8_e5m2,
};

constexpr int kDTypeCount = static_cast<int>(DType::float8_e5m2) + 1;

}  // namespace flambeau
