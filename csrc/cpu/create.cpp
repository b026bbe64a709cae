// Sequences and triangles.
#include "../kernels/create.h"

#include "../parallel.h"
#include "elements.h"

namespace flambeau {
namespace FLAMBEAU_ISA {
namespace {

FLAMBEAU_INLINE void put(float* p, double v) { *p = static_cast<float>(v); }
FLAMBEAU_INLINE void put(double* p, double v) { *p = v; }
FLAMBEAU_INLINE void put(Brain* p, double v) { p->bits = float_to_bf16(static_cast<float>(v)); }
FLAMBEAU_INLINE void put(Half* p, double v) { p->bits = float_to_f16(static_cast<float>(v)); }
template <class T>
FLAMBEAU_INLINE void put(T* p, double v) {
  *p = static_cast<T>(static_cast<int64_t>(v));
}

// In the arithmetic of R: float for float results, as PyTorch's linspace has it.
template <class T, class R>
void fill_sequence(const SequenceArgs& a) {
  T* dst = static_cast<T*>(a.dst);
  const R first = static_cast<R>(a.first), last = static_cast<R>(a.last);
  const R step = a.half < a.n ? (last - first) / static_cast<R>(a.n - 1) : static_cast<R>(a.step);
  parallel_for(0, a.n, 32768, [&](int64_t b, int64_t e) {
    for (int64_t i = b; i < e; ++i) {
      R v =
          i < a.half ? first + static_cast<R>(i) * step : last - static_cast<R>(a.n - 1 - i) * step;
      put(dst + i,
          a.powers ? __builtin_pow(a.base, static_cast<double>(v)) : static_cast<double>(v));
    }
  });
}

template <class T>
void count_up(const SequenceArgs& a) {
  T* dst = static_cast<T*>(a.dst);
  const auto first = static_cast<uint64_t>(a.first_int), step = static_cast<uint64_t>(a.step_int);
  parallel_for(0, a.n, 32768, [&](int64_t b, int64_t e) {
    for (int64_t i = b; i < e; ++i)
      dst[i] = static_cast<T>(first + static_cast<uint64_t>(i) * step);
  });
}

template <class T>
void whole(const SequenceArgs& a) {
  if (a.integral)
    count_up<T>(a);
  else
    fill_sequence<T, double>(a);
}

void sequence(const SequenceArgs& a) {
  const bool spaced = a.half < a.n || a.powers;
  switch (a.dtype) {
    case DType::uint8: return whole<uint8_t>(a);
    case DType::int8: return whole<int8_t>(a);
    case DType::int16:
    case DType::uint16: return whole<int16_t>(a);
    case DType::int32:
    case DType::uint32: return whole<int32_t>(a);
    case DType::int64:
    case DType::uint64: return whole<int64_t>(a);
    case DType::boolean: return fill_sequence<bool, double>(a);
    case DType::float32:
      return spaced ? fill_sequence<float, float>(a) : fill_sequence<float, double>(a);
    case DType::float64: return fill_sequence<double, double>(a);
    case DType::bfloat16: return fill_sequence<Brain, float>(a);
    case DType::float16: return fill_sequence<Half, float>(a);
    default: return;
  }
}

void triangle(const TriangleArgs& a) {
  const int64_t rows = a.matrices * a.rows, line = a.columns * a.item;
  parallel_for(0, rows, 1 + 65536 / line, [&](int64_t b, int64_t e) {
    for (int64_t r = b; r < e; ++r) {
      int64_t cut = r % a.rows + a.diagonal + (a.upper ? 0 : 1);
      cut = (cut < 0 ? 0 : cut > a.columns ? a.columns : cut) * a.item;
      char* d = a.dst + r * line;
      const char* s = a.src + r * line;
      if (a.upper) {
        __builtin_memset(d, 0, static_cast<size_t>(cut));
        __builtin_memcpy(d + cut, s + cut, static_cast<size_t>(line - cut));
      } else {
        __builtin_memcpy(d, s, static_cast<size_t>(cut));
        __builtin_memset(d + cut, 0, static_cast<size_t>(line - cut));
      }
    }
  });
}

}  // namespace

FLAMBEAU_REGISTER(sequence_kernel, sequence);
FLAMBEAU_REGISTER(triangle_kernel, triangle);

}  // namespace FLAMBEAU_ISA
}  // namespace flambeau
