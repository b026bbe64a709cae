// Kernels that draw random numbers: the Mersenne Twister's step and bits turned into numbers.
// Built without contraction: a multiply and an add are fused here exactly where PyTorch fuses them.
#include "../kernels/random.h"

#include "vec.h"

namespace flambeau {
namespace FLAMBEAU_ISA {
namespace {

// -- the twister (Matsumoto and Nishimura, 1998) --------------------------------------------------
constexpr int kWords = 624, kMiddle = 397;

FLAMBEAU_INLINE uint32_t twist(uint32_t u, uint32_t v) {
  const uint32_t mixed = (u & 0x80000000u) | (v & 0x7fffffffu);
  return (mixed >> 1) ^ (-(v & 1u) & 0x9908b0dfu);
}

// No turn of these loops reads a word that one of the 226 turns before it wrote.
void step(uint32_t* s) {
#pragma GCC ivdep
  for (int i = 0; i < kWords - kMiddle; ++i) s[i] = s[i + kMiddle] ^ twist(s[i], s[i + 1]);
  uint32_t* t = s + kWords - kMiddle;
#pragma GCC ivdep
  for (int i = 0; i < kMiddle - 1; ++i) t[i] = s[i] ^ twist(t[i], t[i + 1]);
  s[kWords - 1] = s[kMiddle - 1] ^ twist(s[kWords - 1], s[0]);
}

void twister(uint32_t* s, uint32_t* out, bool stepped) {
  if (stepped) step(s);
  for (int i = 0; i < kWords; ++i) {
    uint32_t y = s[i];
    y ^= y >> 11;
    y ^= (y << 7) & 0x9d2c5680u;
    y ^= (y << 15) & 0xefc60000u;
    out[i] = y ^ (y >> 18);
  }
}

// -- numbers from bits ----------------------------------------------------------------------------
FLAMBEAU_INLINE float fused(float a, float b, float c) {
#if defined(__FMA__) || defined(__aarch64__)
  return __builtin_fmaf(a, b, c);
#else
  return static_cast<float>(static_cast<double>(a) * b + c);
#endif
}
FLAMBEAU_INLINE double fused(double a, double b, double c) {
#if defined(__FMA__) || defined(__aarch64__)
  return __builtin_fma(a, b, c);
#else
  return a * b + c;
#endif
}

// 24 bits in [0, 1).
FLAMBEAU_INLINE float unit(uint32_t bits) {
  return static_cast<float>(static_cast<int32_t>(bits & 0xffffff)) * 0x1p-24f;
}
// The high half of a 64-bit draw comes first.
FLAMBEAU_INLINE uint64_t wide(const uint32_t* bits, int64_t i) {
  return static_cast<uint64_t>(bits[2 * i]) << 32 | bits[2 * i + 1];
}
constexpr uint64_t kLow53 = (uint64_t(1) << 53) - 1;
FLAMBEAU_INLINE double unit53(uint64_t bits) {
  return static_cast<double>(static_cast<int64_t>(bits & kLow53)) * 0x1p-53;
}

constexpr int kRun = 256;  // numbers staged at a time on their way to half precision

FLAMBEAU_INLINE void to_half(Drawn type, const float* src, uint16_t* dst, int64_t n) {
  if (type == Drawn::float16)
    float_to_f16(src, dst, n);
  else
    float_to_bf16(src, dst, n);
}
FLAMBEAU_INLINE void from_half(Drawn type, const uint16_t* src, float* dst, int64_t n) {
  if (type == Drawn::float16)
    f16_to_float(src, dst, n);
  else
    bf16_to_float(src, dst, n);
}

void uniform_half(const UniformArgs& a) {
  const float from = static_cast<float>(a.from), to = static_cast<float>(a.to);
  uint16_t first, last;
  to_half(a.type, &from, &first, 1);
  to_half(a.type, &to, &last, 1);
  float run[kRun];
  for (int64_t b = 0; b < a.n; b += kRun) {
    const int64_t m = a.n - b < kRun ? a.n - b : kRun;
    for (int64_t i = 0; i < m; ++i) run[i] = fused(unit(a.bits[b + i]), to - from, from);
    auto* out = static_cast<uint16_t*>(a.out) + b;
    to_half(a.type, run, out, m);
    for (int64_t i = 0; i < m; ++i) out[i] = out[i] == last ? first : out[i];
  }
}

void uniform(const UniformArgs& a) {
  if (a.type == Drawn::float64) {
    auto* out = static_cast<double*>(a.out);
    const double from = a.from, to = a.to;
    for (int64_t i = 0; i < a.n; ++i) {
      const double v = fused(unit53(wide(a.bits, i)), to - from, from);
      out[i] = v == to ? from : v;
    }
  } else if (a.type == Drawn::float32) {
    auto* out = static_cast<float*>(a.out);
    const float from = static_cast<float>(a.from), to = static_cast<float>(a.to);
    for (int64_t i = 0; i < a.n; ++i) {
      const float v = fused(unit(a.bits[i]), to - from, from);
      out[i] = v == to ? from : v;
    }
  } else {
    uniform_half(a);
  }
}

// -- normal numbers -------------------------------------------------------------------------------
using F = Vec<float>;
using I = Vec<int32_t>;

// Natural logarithm of a normal positive number, and the sine and cosine of an angle of a few
// turns, by Cephes' single-precision polynomials.
FLAMBEAU_INLINE F log_of(F x) {
  const I bits = to_bits(x);
  I exponent = (bits >> 23) - 126;
  x = from_bits<float>((bits & 0x7fffff) | 0x3f000000);  // [0.5, 1)
  const Mask<float> small = x < F(0.707106781186547524f);
  exponent = exponent + I(small.m);  // minus one
  x = where(small, x + x, x) - 1;
  const F e = convert<float>(exponent), z = x * x;
  F y = fma(F(7.0376836292e-2f), x, F(-1.1514610310e-1f));
  y = fma(y, x, F(1.1676998740e-1f));
  y = fma(y, x, F(-1.2420140846e-1f));
  y = fma(y, x, F(1.4249322787e-1f));
  y = fma(y, x, F(-1.6668057665e-1f));
  y = fma(y, x, F(2.0000714765e-1f));
  y = fma(y, x, F(-2.4999993993e-1f));
  y = fma(y, x, F(3.3333331174e-1f)) * x;
  y = fma(y, z, e * F(-2.12194440e-4f));
  y = fma(z, F(-0.5f), y);
  return fma(e, F(0.693359375f), x + y);
}

FLAMBEAU_INLINE void sine_cosine(F x, F& sine, F& cosine) {  // x >= 0
  I octant = convert<int32_t>(x * F(1.27323954473516f));
  octant = (octant + 1) & ~1;
  const F turns = convert<float>(octant);
  x = fma(turns, F(-0.78515625f), x);
  x = fma(turns, F(-2.4187564849853515625e-4f), x);
  x = fma(turns, F(-3.77489497744594108e-8f), x);
  const F z = x * x;
  F c = fma(F(2.443315711809948e-5f), z, F(-1.388731625493765e-3f));
  c = fma(c, z, F(4.166664568298827e-2f)) * z;
  c = fma(c, z, z * F(-0.5f)) + 1;
  F s = fma(F(-1.9515295891e-4f), z, F(8.3321608736e-3f));
  s = fma(s, z, F(-1.6666654611e-1f)) * z;
  s = fma(s, x, x);
  const Mask<float> swap{(octant & 2).v != 0};
  const I sine_sign = (octant & 4) << 29, cosine_sign = ((octant + 2) & 4) << 29;
  sine = from_bits<float>(to_bits(where(swap, c, s)) ^ sine_sign);
  cosine = from_bits<float>(to_bits(where(swap, s, c)) ^ cosine_sign);
}

// Registers of radii and of angles from blocks of 16 numbers, eight radii and then eight angles,
// and back. A register of 16 lanes spans two blocks.
#if defined(__AVX512F__)
constexpr I::Reg kRadii = {0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23};
constexpr I::Reg kAngles = {8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31};
constexpr int kSpan = 32;
template <class V>
FLAMBEAU_INLINE void regroup(V& a, V& b) {
  const V radii = __builtin_shuffle(a.v, b.v, kRadii);
  b = __builtin_shuffle(a.v, b.v, kAngles);
  a = radii;
}
FLAMBEAU_INLINE int64_t second_of(int64_t p, int64_t n) { return p + 16 < n ? p + 16 : p; }
#else
constexpr int kSpan = 2 * F::size;
template <class V>
FLAMBEAU_INLINE void regroup(V&, V&) {}
FLAMBEAU_INLINE int64_t second_of(int64_t p, int64_t) { return p + 8; }
#endif

FLAMBEAU_INLINE F unit(I bits) { return convert<float>(bits & 0xffffff) * F(0x1p-24f); }

void normal(const NormalArgs& a) {
  const F mean(a.mean), std(a.std);
  const auto* bits = reinterpret_cast<const int32_t*>(a.bits);
  auto* out = static_cast<float*>(a.out);
  for (int64_t p = 0; p < a.n; p += kSpan) {
    const int64_t start = kSpan == 8 ? p / 16 * 16 + p % 16 / 2 : p;  // four pairs are half a block
    const int64_t second = second_of(start, a.n);
    I u = I::load(bits + start), v = I::load(bits + second);
    regroup(u, v);
    const F radius = sqrt(F(-2) * log_of(1 - unit(u)));
    F sine, cosine;
    sine_cosine(F(6.283185307179586f) * unit(v), sine, cosine);
    F x = fma(radius * cosine, std, mean), y = fma(radius * sine, std, mean);
    regroup(x, y);  // its own inverse
    y.store(out + second);
    x.store(out + start);
  }
}

// -- exponential numbers --------------------------------------------------------------------------
// Minus the logarithm of a number in (0, 1], in double: rounded to float, it is PyTorch's.
void exponential(const ExponentialArgs& a) {
  constexpr int W = Vec<double>::size;
  auto* out = static_cast<float*>(a.out);
  const Vec<double> mean(a.mean);
  for (int64_t b = 0; b < a.n; b += W) {
    double run[W];
    for (int i = 0; i < W; ++i) run[i] = b + i < a.n ? 1 - unit53(wide(a.bits, b + i)) : 1;
    (abs(log(Vec<double>::load(run))) * mean).store(run);
    for (int i = 0; i < W && b + i < a.n; ++i) out[b + i] = static_cast<float>(run[i]);
  }
}

// -- integers -------------------------------------------------------------------------------------
// x % range for 1 < range < 2^28 without a division: the quotient by a reciprocal is right to one.
FLAMBEAU_INLINE int32_t remainder_of(uint32_t x, uint32_t range, double reciprocal) {
  const double wide = static_cast<double>(static_cast<int32_t>(x ^ 0x80000000u)) + 2147483648.0;
  const auto quotient = static_cast<int32_t>(wide * reciprocal);
  auto r = static_cast<int32_t>(x - static_cast<uint32_t>(quotient) * range);
  r += r < 0 ? static_cast<int32_t>(range) : 0;
  return r - (r >= static_cast<int32_t>(range) ? static_cast<int32_t>(range) : 0);
}

template <class T>
void narrow_integers(const IntegerArgs& a, T* out) {
  const auto range = static_cast<uint32_t>(a.range);
  const bool power = (range & (range - 1)) == 0;  // as for the whole of int32, beyond 2^28
  const double reciprocal = 1.0 / range;
  int32_t run[kRun];
  for (int64_t b = 0; b < a.n; b += kRun) {
    const int64_t m = a.n - b < kRun ? a.n - b : kRun;
    const uint32_t* bits = a.bits + b;
    if (power)
      for (int64_t i = 0; i < m; ++i) run[i] = static_cast<int32_t>(bits[i] & (range - 1));
    else
      for (int64_t i = 0; i < m; ++i) run[i] = remainder_of(bits[i], range, reciprocal);
    for (int64_t i = 0; i < m; ++i) out[b + i] = static_cast<T>(run[i] + a.low);
  }
}

template <class T>
void integers(const IntegerArgs& a, T* out) {
  if (a.words == 1) {
    narrow_integers(a, out);
  } else if (a.range == 0) {
    for (int64_t i = 0; i < a.n; ++i)
      out[i] = static_cast<T>(static_cast<int64_t>(wide(a.bits, i)));
  } else {
    for (int64_t i = 0; i < a.n; ++i)
      out[i] = static_cast<T>(static_cast<int64_t>(wide(a.bits, i) % a.range + a.low));
  }
}

void integer(const IntegerArgs& a) {
  switch (a.type) {
    case Drawn::int8: return integers(a, static_cast<int8_t*>(a.out));
    case Drawn::int16: return integers(a, static_cast<int16_t*>(a.out));
    case Drawn::int32: return integers(a, static_cast<int32_t*>(a.out));
    case Drawn::int64: return integers(a, static_cast<int64_t*>(a.out));
    case Drawn::float32: return integers(a, static_cast<float*>(a.out));
    case Drawn::float64: return integers(a, static_cast<double*>(a.out));
    default: break;
  }
  float run[kRun];
  IntegerArgs part = a;
  for (int64_t b = 0; b < a.n; b += kRun) {
    part.bits = a.bits + b * a.words;
    part.n = a.n - b < kRun ? a.n - b : kRun;
    integers(part, run);
    to_half(a.type, run, static_cast<uint16_t*>(a.out) + b, part.n);
  }
}

// A swap misses the cache more often than not in a long permutation: partners are fetched ahead.
void shuffle(const ShuffleArgs& a) {
  int32_t partner[kRun];
  for (int64_t b = a.begin; b < a.end; b += kRun) {
    const int64_t m = a.end - b < kRun ? a.end - b : kRun;
    const auto left = static_cast<int32_t>(a.n - b);
    const uint32_t* bits = a.bits + (b - a.begin);
    for (int32_t i = 0; i < m; ++i)
      partner[i] = i + remainder_of(bits[i], left - i, 1.0 / (left - i));
    int32_t* out = a.out + b;
    for (int64_t i = 0; i < m; ++i) __builtin_prefetch(out + partner[i], 1);
    for (int64_t i = 0; i < m; ++i) {
      const int32_t x = out[i];
      out[i] = out[partner[i]];
      out[partner[i]] = x;
    }
  }
}

// -- yes or no ------------------------------------------------------------------------------------
// The low 53 bits of draws i, i + 1, ..., one to a lane.
FLAMBEAU_INLINE Vec<int64_t> load53(const uint32_t* bits, int64_t i) {
  typedef uint64_t U __attribute__((vector_size(kVecBytes)));
  const U u = (U)Vec<int32_t>::load(reinterpret_cast<const int32_t*>(bits + 2 * i)).v;
  return (Vec<int64_t>::Reg)((u << 32 | u >> 32) & kLow53);
}

// Bit i tells whether draw i is below the limit; m <= 64 of them.
FLAMBEAU_INLINE uint64_t below(const uint32_t* bits, int64_t m, uint64_t limit) {
  constexpr int W = Vec<int64_t>::size;
  const Vec<int64_t> bound(static_cast<int64_t>(limit));
  uint64_t mask = 0;
  int64_t i = 0;
  for (; i + W <= m; i += W)
    mask |= static_cast<uint64_t>(flambeau::FLAMBEAU_ISA::bits(load53(bits, i) < bound)) << i;
  for (; i < m; ++i) mask |= static_cast<uint64_t>((wide(bits, i) & kLow53) < limit) << i;
  return mask;
}

template <class T>
void chances(const ChanceArgs& a, T one) {
  auto* out = static_cast<T*>(a.out);
  for (int64_t b = 0; b < a.n; b += 64) {
    const int64_t m = a.n - b < 64 ? a.n - b : 64;
    const uint64_t mask = below(a.bits + 2 * b, m, a.limit);
    for (int64_t i = 0; i < m; ++i)
      out[b + i] = static_cast<T>(-static_cast<T>(mask >> i & 1) & one);
  }
}

void chance(const ChanceArgs& a) {
  switch (a.type) {
    case Drawn::int8: return chances<uint8_t>(a, 1);
    case Drawn::int16: return chances<uint16_t>(a, 1);
    case Drawn::int32: return chances<uint32_t>(a, 1);
    case Drawn::int64: return chances<uint64_t>(a, 1);
    case Drawn::float16: return chances<uint16_t>(a, 0x3c00);
    case Drawn::bfloat16: return chances<uint16_t>(a, 0x3f80);
    case Drawn::float32: return chances<uint32_t>(a, 0x3f800000);
    case Drawn::float64: return chances<uint64_t>(a, 0x3ff0000000000000);
  }
}

// The next lanes' bits of a mask as a mask of lanes.
FLAMBEAU_INLINE Mask<float> lanes(uint64_t mask) {
  const I set = I(static_cast<int32_t>(mask)) & (I(1).v << I::arange(0).v);
  return {set.v != 0};
}

FLAMBEAU_INLINE void keep_floats(const float* x, float* y, int64_t m, uint64_t mask, float scale) {
  for (int64_t i = 0; i < m; i += F::size) {
    const F kept = where(lanes(mask >> i), F(scale), F(0));
    (F::load_n(x + i, m - i) * kept).store_n(y + i, m - i);
  }
}

FLAMBEAU_INLINE void keep(const DropoutArgs& a, int64_t b, int64_t m, uint64_t mask) {
  if (a.type == Drawn::float32) {
    keep_floats(static_cast<const float*>(a.x) + b, static_cast<float*>(a.y) + b, m, mask,
                static_cast<float>(a.scale));
  } else if (a.type == Drawn::float64) {
    for (int64_t i = 0; i < m; ++i)
      static_cast<double*>(a.y)[b + i] =
          static_cast<const double*>(a.x)[b + i] * (mask >> i & 1 ? a.scale : 0.0);
  } else {
    float run[64];
    from_half(a.type, static_cast<const uint16_t*>(a.x) + b, run, m);
    keep_floats(run, run, m, mask, static_cast<float>(a.scale));
    to_half(a.type, run, static_cast<uint16_t*>(a.y) + b, m);
  }
}

void dropout(const DropoutArgs& a) {
  for (int64_t b = 0; b < a.n; b += 64) {
    const int64_t m = a.n - b < 64 ? a.n - b : 64;
    if (a.bits) a.mask[b / 64] = below(a.bits + 2 * b, m, a.limit);
    keep(a, b, m, a.mask[b / 64]);
  }
}

FLAMBEAU_REGISTER(twister_kernel, twister);
FLAMBEAU_REGISTER(uniform_kernel, uniform);
FLAMBEAU_REGISTER(normal_kernel, normal);
FLAMBEAU_REGISTER(exponential_kernel, exponential);
FLAMBEAU_REGISTER(integer_kernel, integer);
FLAMBEAU_REGISTER(shuffle_kernel, shuffle);
FLAMBEAU_REGISTER(chance_kernel, chance);
FLAMBEAU_REGISTER(dropout_kernel, dropout);

}  // namespace
}  // namespace FLAMBEAU_ISA
}  // namespace flambeau
