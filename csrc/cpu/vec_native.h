// The instructions that GCC vector extensions cannot name, each with a portable form beside it:
// fused multiply-add, square root, rounding, mask tests, bfloat16 and float16 conversion.
#pragma once
#include "vec.h"

namespace flambeau {
namespace FLAMBEAU_ISA {

// Portable forms, lane by lane.
#define FLAMBEAU_LANEWISE(name, f, d)               \
  FLAMBEAU_INLINE Vec<float> name(Vec<float> a) {   \
    return map(a, [](float x) { return f(x); });    \
  }                                                 \
  FLAMBEAU_INLINE Vec<double> name(Vec<double> a) { \
    return map(a, [](double x) { return d(x); });   \
  }

#if defined(FLAMBEAU_X86)
#if defined(__AVX512F__)
// The maskz forms with a full mask: the plain ones warn of an uninitialised operand (GCC 12).
#define FLAMBEAU_PS(op) _mm512_##op##_ps
#define FLAMBEAU_PD(op) _mm512_##op##_pd
#define FLAMBEAU_SQRT_PS(x) _mm512_maskz_sqrt_ps(0xffff, x)
#define FLAMBEAU_SQRT_PD(x) _mm512_maskz_sqrt_pd(0xff, x)
#define FLAMBEAU_ROUND_PS(x, mode) _mm512_maskz_roundscale_ps(0xffff, x, mode)
#define FLAMBEAU_ROUND_PD(x, mode) _mm512_maskz_roundscale_pd(0xff, x, mode)
#elif defined(__AVX__)
#define FLAMBEAU_PS(op) _mm256_##op##_ps
#define FLAMBEAU_PD(op) _mm256_##op##_pd
#define FLAMBEAU_ROUND_PS(x, mode) _mm256_round_ps(x, mode)
#define FLAMBEAU_ROUND_PD(x, mode) _mm256_round_pd(x, mode)
#define FLAMBEAU_SQRT_PS(x) _mm256_sqrt_ps(x)
#define FLAMBEAU_SQRT_PD(x) _mm256_sqrt_pd(x)
#else
#define FLAMBEAU_PS(op) _mm_##op##_ps
#define FLAMBEAU_PD(op) _mm_##op##_pd
#define FLAMBEAU_ROUND_PS(x, mode) _mm_round_ps(x, mode)
#define FLAMBEAU_ROUND_PD(x, mode) _mm_round_pd(x, mode)
#define FLAMBEAU_SQRT_PS(x) _mm_sqrt_ps(x)
#define FLAMBEAU_SQRT_PD(x) _mm_sqrt_pd(x)
#endif
#define FLAMBEAU_ROUNDING(name, mode)                                            \
  FLAMBEAU_INLINE Vec<float> name(Vec<float> a) {                                \
    return Vec<float>::Reg(FLAMBEAU_ROUND_PS(a.v, (mode) | _MM_FROUND_NO_EXC));  \
  }                                                                              \
  FLAMBEAU_INLINE Vec<double> name(Vec<double> a) {                              \
    return Vec<double>::Reg(FLAMBEAU_ROUND_PD(a.v, (mode) | _MM_FROUND_NO_EXC)); \
  }
FLAMBEAU_ROUNDING(floor, _MM_FROUND_TO_NEG_INF)
FLAMBEAU_ROUNDING(ceil, _MM_FROUND_TO_POS_INF)
FLAMBEAU_ROUNDING(round, _MM_FROUND_TO_NEAREST_INT)  // halves to even
FLAMBEAU_ROUNDING(trunc, _MM_FROUND_TO_ZERO)
#undef FLAMBEAU_ROUNDING
FLAMBEAU_INLINE Vec<float> sqrt(Vec<float> a) { return Vec<float>::Reg(FLAMBEAU_SQRT_PS(a.v)); }
FLAMBEAU_INLINE Vec<double> sqrt(Vec<double> a) { return Vec<double>::Reg(FLAMBEAU_SQRT_PD(a.v)); }
#else
FLAMBEAU_LANEWISE(floor, __builtin_floorf, __builtin_floor)
FLAMBEAU_LANEWISE(ceil, __builtin_ceilf, __builtin_ceil)
FLAMBEAU_LANEWISE(round, __builtin_rintf, __builtin_rint)
FLAMBEAU_LANEWISE(trunc, __builtin_truncf, __builtin_trunc)
FLAMBEAU_LANEWISE(sqrt, __builtin_sqrtf, __builtin_sqrt)
#endif

// a * b + c: one rounding where the level has the instruction, two on x86-64-v2.
#if defined(FLAMBEAU_X86) && defined(__FMA__)
FLAMBEAU_INLINE Vec<float> fma(Vec<float> a, Vec<float> b, Vec<float> c) {
  return Vec<float>::Reg(FLAMBEAU_PS(fmadd)(a.v, b.v, c.v));
}
FLAMBEAU_INLINE Vec<double> fma(Vec<double> a, Vec<double> b, Vec<double> c) {
  return Vec<double>::Reg(FLAMBEAU_PD(fmadd)(a.v, b.v, c.v));
}
#elif defined(__aarch64__)
FLAMBEAU_INLINE Vec<float> fma(Vec<float> a, Vec<float> b, Vec<float> c) {
  for (int i = 0; i < Vec<float>::size; ++i) c.v[i] = __builtin_fmaf(a.v[i], b.v[i], c.v[i]);
  return c;
}
FLAMBEAU_INLINE Vec<double> fma(Vec<double> a, Vec<double> b, Vec<double> c) {
  for (int i = 0; i < Vec<double>::size; ++i) c.v[i] = __builtin_fma(a.v[i], b.v[i], c.v[i]);
  return c;
}
#else
FLAMBEAU_INLINE Vec<float> fma(Vec<float> a, Vec<float> b, Vec<float> c) { return a * b + c; }
FLAMBEAU_INLINE Vec<double> fma(Vec<double> a, Vec<double> b, Vec<double> c) { return a * b + c; }
#endif

// Bit i is lane i of the mask.
#if defined(__AVX512DQ__)
FLAMBEAU_INLINE uint32_t bits(Mask<float> m) { return _mm512_movepi32_mask((__m512i)m.m); }
FLAMBEAU_INLINE uint32_t bits(Mask<double> m) { return _mm512_movepi64_mask((__m512i)m.m); }
#elif defined(FLAMBEAU_X86)
FLAMBEAU_INLINE uint32_t bits(Mask<float> m) {
  typedef decltype(FLAMBEAU_PS(setzero)()) F;
  return static_cast<uint32_t>(FLAMBEAU_PS(movemask)((F)m.m));
}
FLAMBEAU_INLINE uint32_t bits(Mask<double> m) {
  typedef decltype(FLAMBEAU_PD(setzero)()) F;
  return static_cast<uint32_t>(FLAMBEAU_PD(movemask)((F)m.m));
}
#else
template <class T>
FLAMBEAU_INLINE uint32_t bits(Mask<T> m) {
  uint32_t r = 0;
  for (int i = 0; i < Vec<T>::size; ++i) r |= static_cast<uint32_t>(m[i]) << i;
  return r;
}
#endif
FLAMBEAU_INLINE uint32_t bits(Mask<int32_t> m) { return bits(Mask<float>{m.m}); }
FLAMBEAU_INLINE uint32_t bits(Mask<int64_t> m) { return bits(Mask<double>{m.m}); }
template <class T>
FLAMBEAU_INLINE bool any(Mask<T> m) {
  return bits(m) != 0;
}
template <class T>
FLAMBEAU_INLINE bool all(Mask<T> m) {
  return bits(m) == (uint32_t(1) << Vec<T>::size) - 1;
}

// bfloat16 and float16 are held as their bits in uint16_t; to_* round to nearest even.
FLAMBEAU_INLINE float bf16_to_float(uint16_t b) {
  return __builtin_bit_cast(float, static_cast<uint32_t>(b) << 16);
}
FLAMBEAU_INLINE uint16_t float_to_bf16(float f) {
  const uint32_t u = __builtin_bit_cast(uint32_t, f);
  if (f != f) return static_cast<uint16_t>(u >> 16 | 0x40);
  return static_cast<uint16_t>((u + 0x7fff + (u >> 16 & 1)) >> 16);
}
FLAMBEAU_INLINE float f16_to_float(uint16_t h) {
  const uint32_t sign = static_cast<uint32_t>(h & 0x8000) << 16;
  const uint32_t magnitude = h & 0x7fff;
  // Subnormal and normal alike: place the fields, then scale by 2^112 to move the exponent's bias.
  const float scaled = __builtin_bit_cast(float, magnitude << 13) * 0x1p112f;
  uint32_t u = __builtin_bit_cast(uint32_t, scaled);
  if (magnitude >= 0x7c00) u = 0x7f800000 | (magnitude & 0x3ff) << 13;
  return __builtin_bit_cast(float, sign | u);
}
FLAMBEAU_INLINE uint16_t float_to_f16(float f) {
  const uint32_t u = __builtin_bit_cast(uint32_t, f);
  const uint32_t sign = u >> 16 & 0x8000, a = u & 0x7fffffff;
  if (a > 0x7f800000) return static_cast<uint16_t>(sign | 0x7e00);
  if (a >= 0x477ff000) return static_cast<uint16_t>(sign | 0x7c00);  // rounds past 65504
  if (a < 0x38800000) {  // below 2^-14: adding 0.5 leaves the rounded subnormal in the low bits
    const float shifted = __builtin_bit_cast(float, a) + 0.5f;
    return static_cast<uint16_t>(sign | (__builtin_bit_cast(uint32_t, shifted) - 0x3f000000));
  }
  return static_cast<uint16_t>(sign | (a - 0x38000000 + 0xfff + (a >> 13 & 1)) >> 13);
}

// Vec<float>::size consecutive half-precision numbers.
typedef uint16_t HalfReg __attribute__((vector_size(kVecBytes / 2)));
typedef uint16_t HalfLoose __attribute__((vector_size(kVecBytes / 2), aligned(2), may_alias));
typedef uint32_t WordReg __attribute__((vector_size(kVecBytes)));

FLAMBEAU_INLINE Vec<float> load_bf16(const uint16_t* p) {
  const HalfReg h = *reinterpret_cast<const HalfLoose*>(p);
  return Vec<float>::Reg(__builtin_convertvector(h, WordReg) << 16);
}
FLAMBEAU_INLINE void store_bf16(uint16_t* p, Vec<float> a) {
  const WordReg u = (WordReg)a.v;
  const WordReg rounded = (u + 0x7fff + (u >> 16 & 1)) >> 16;
  const WordReg r = (a != a).m ? (u >> 16 | 0x40) : rounded;
  *reinterpret_cast<HalfLoose*>(p) = __builtin_convertvector(r, HalfReg);
}
#if defined(__AVX512F__)
FLAMBEAU_INLINE Vec<float> load_f16(const uint16_t* p) {
  return Vec<float>::Reg(_mm512_maskz_cvtph_ps(0xffff, _mm256_loadu_si256((const __m256i*)p)));
}
FLAMBEAU_INLINE void store_f16(uint16_t* p, Vec<float> a) {
  _mm256_storeu_si256((__m256i*)p, _mm512_maskz_cvtps_ph(0xffff, a.v, _MM_FROUND_TO_NEAREST_INT));
}
#elif defined(__F16C__)
FLAMBEAU_INLINE Vec<float> load_f16(const uint16_t* p) {
  return Vec<float>::Reg(_mm256_cvtph_ps(_mm_loadu_si128((const __m128i*)p)));
}
FLAMBEAU_INLINE void store_f16(uint16_t* p, Vec<float> a) {
  _mm_storeu_si128((__m128i*)p, _mm256_cvtps_ph(a.v, _MM_FROUND_TO_NEAREST_INT));
}
#else
FLAMBEAU_INLINE Vec<float> load_f16(const uint16_t* p) {
  Vec<float> r;
  for (int i = 0; i < Vec<float>::size; ++i) r.v[i] = f16_to_float(p[i]);
  return r;
}
FLAMBEAU_INLINE void store_f16(uint16_t* p, Vec<float> a) {
  for (int i = 0; i < Vec<float>::size; ++i) p[i] = float_to_f16(a.v[i]);
}
#endif

// Runs of n numbers; the ends go through a padded register, so every element has the same path.
#define FLAMBEAU_HALF_RUNS(kind)                                                         \
  FLAMBEAU_INLINE void kind##_to_float(const uint16_t* src, float* dst, int64_t n) {     \
    constexpr int W = Vec<float>::size;                                                  \
    for (; n >= W; n -= W, src += W, dst += W) load_##kind(src).store(dst);              \
    if (n <= 0) return;                                                                  \
    uint16_t buf[W] = {};                                                                \
    for (int64_t i = 0; i < n; ++i) buf[i] = src[i];                                     \
    load_##kind(buf).store_n(dst, n);                                                    \
  }                                                                                      \
  FLAMBEAU_INLINE void float_to_##kind(const float* src, uint16_t* dst, int64_t n) {     \
    constexpr int W = Vec<float>::size;                                                  \
    for (; n >= W; n -= W, src += W, dst += W) store_##kind(dst, Vec<float>::load(src)); \
    if (n <= 0) return;                                                                  \
    uint16_t buf[W];                                                                     \
    store_##kind(buf, Vec<float>::load_n(src, n));                                       \
    for (int64_t i = 0; i < n; ++i) dst[i] = buf[i];                                     \
  }
FLAMBEAU_HALF_RUNS(bf16)
FLAMBEAU_HALF_RUNS(f16)
#undef FLAMBEAU_HALF_RUNS

// Plain numbers by the vector formula: the same bits as a lane. Ends with vec_math.h.
#define FLAMBEAU_PLAIN(name)                                               \
  FLAMBEAU_INLINE float name(float x) { return name(Vec<float>(x)).v[0]; } \
  FLAMBEAU_INLINE double name(double x) { return name(Vec<double>(x)).v[0]; }
FLAMBEAU_PLAIN(floor)
FLAMBEAU_PLAIN(ceil)
FLAMBEAU_PLAIN(round)
FLAMBEAU_PLAIN(trunc)
FLAMBEAU_PLAIN(sqrt)
FLAMBEAU_INLINE float fma(float a, float b, float c) {
  return fma(Vec<float>(a), Vec<float>(b), Vec<float>(c)).v[0];
}
FLAMBEAU_INLINE double fma(double a, double b, double c) {
  return fma(Vec<double>(a), Vec<double>(b), Vec<double>(c)).v[0];
}

}  // namespace FLAMBEAU_ISA
}  // namespace flambeau
