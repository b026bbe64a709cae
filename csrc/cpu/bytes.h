// Bytes in the lanes of numbers.
#pragma once
#include "vec.h"

namespace flambeau {
namespace FLAMBEAU_ISA {

constexpr int kByteLanes = Vec<int32_t>::size;
typedef uint8_t Bytes __attribute__((vector_size(kByteLanes)));
typedef uint8_t LooseBytes __attribute__((vector_size(kByteLanes), aligned(1), may_alias));
typedef uint8_t Sixteen __attribute__((vector_size(16)));
typedef uint8_t LooseSixteen __attribute__((vector_size(16), aligned(1), may_alias));

FLAMBEAU_INLINE Vec<int32_t> widen(const uint8_t* p) {
#if defined(__AVX512F__)  // compilers take bytes apart one by one
  return (Vec<int32_t>::Reg)_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i*)p));
#elif defined(__AVX2__)
  return (Vec<int32_t>::Reg)_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i*)p));
#else
  const Bytes b = *reinterpret_cast<const LooseBytes*>(p);
  return __builtin_convertvector(b, Vec<int32_t>::Reg);
#endif
}
FLAMBEAU_INLINE void narrow(Vec<int32_t> x, uint8_t* p) {
#if defined(__AVX512F__)
  _mm_storeu_si128((__m128i*)p, _mm512_cvtepi32_epi8((__m512i)x.v));
#else
  *reinterpret_cast<LooseBytes*>(p) = __builtin_convertvector(x.v, Bytes);
#endif
}

// Pixels of three bytes as pixels of four.
FLAMBEAU_INLINE void loosen(const uint8_t* in, uint8_t* out, int64_t n) {
  const Sixteen mask = {0, 1, 2, 2, 3, 4, 5, 5, 6, 7, 8, 8, 9, 10, 11, 11};
  int64_t i = 0;
  for (; 3 * i + 16 <= 3 * n; i += 4) {
    const Sixteen x = *reinterpret_cast<const LooseSixteen*>(in + 3 * i);
    *reinterpret_cast<LooseSixteen*>(out + 4 * i) = __builtin_shuffle(x, mask);
  }
  for (; i < n; ++i)
    for (int c = 0; c < 3; ++c) out[4 * i + c] = in[3 * i + c];
}

}  // namespace FLAMBEAU_ISA
}  // namespace flambeau
