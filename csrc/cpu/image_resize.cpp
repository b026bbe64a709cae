// Bytes resized: along the lines four bytes at a time, then down the columns.
#include "../kernels/image.h"
#include "../parallel.h"
#include "../scratch.h"
#include "bytes.h"

namespace flambeau {
namespace FLAMBEAU_ISA {
namespace {

constexpr int64_t kWork = 32768;  // numbers looked at in one task
constexpr int L = kByteLanes;
constexpr int P = L / 4;  // pixels of four bytes in a register of numbers

using Ints = Vec<int32_t>;

FLAMBEAU_INLINE Ints to_byte(Ints sum, int bits) {
  return min(max(sum >> bits, Ints(0)), Ints(255));
}

// Two numbers of 16 bits in each lane times two weights, and the sum of both.
FLAMBEAU_INLINE Ints weighed(Ints x, Ints w) {
#if defined(__AVX512BW__)
  return (Ints::Reg)_mm512_madd_epi16((__m512i)x.v, (__m512i)w.v);
#elif defined(__AVX2__)
  return (Ints::Reg)_mm256_madd_epi16((__m256i)x.v, (__m256i)w.v);
#else
  return (x & Ints(0xffff)) * ((w << 16) >> 16) + (x >> 16) * (w >> 16);
#endif
}

#if defined(__AVX2__)
// Bytes 4k to 4k + 3 as numbers.
template <int k>
FLAMBEAU_INLINE __m128i only() {
  const auto byte = [](unsigned c) { return static_cast<int>(0x80808000u + 4 * k + c); };
  return _mm_set_epi32(byte(3), byte(2), byte(1), byte(0));
}
// Bytes 8k to 8k + 3 as numbers of 16 bits, each beside the byte four further.
template <int k>
FLAMBEAU_INLINE __m128i both() {
  const auto byte = [](unsigned c) {
    return static_cast<int>(0x80008000u + (8 * k + c) + ((8 * k + 4 + c) << 16));
  };
  return _mm_set_epi32(byte(3), byte(2), byte(1), byte(0));
}
#endif

// Sixteen bytes from each of P places: four pixels each.
struct Parts {
#if defined(__AVX512BW__)
  __m512i v;
  FLAMBEAU_INLINE Parts(const uint8_t* line, const int32_t* start, int64_t t) {
    const auto at = [&](int p) {
      return _mm_loadu_si128((const __m128i*)(line + 4 * (start[p] + t)));
    };
    const __m256i low = _mm256_inserti128_si256(_mm256_castsi128_si256(at(0)), at(1), 1);
    const __m256i high = _mm256_inserti128_si256(_mm256_castsi128_si256(at(2)), at(3), 1);
    v = _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
  }
  // Pixel k of each part, its bytes as numbers.
  template <int k>
  FLAMBEAU_INLINE Ints pixel() const {
    return (Ints::Reg)_mm512_shuffle_epi8(v, _mm512_broadcast_i32x4(only<k>()));
  }
  // Pixels 2k and 2k + 1, each byte beside its neighbour's.
  template <int k>
  FLAMBEAU_INLINE Ints pair() const {
    return (Ints::Reg)_mm512_shuffle_epi8(v, _mm512_broadcast_i32x4(both<k>()));
  }
#elif defined(__AVX2__)
  __m256i v;
  FLAMBEAU_INLINE Parts(const uint8_t* line, const int32_t* start, int64_t t) {
    const auto at = [&](int p) {
      return _mm_loadu_si128((const __m128i*)(line + 4 * (start[p] + t)));
    };
    v = _mm256_inserti128_si256(_mm256_castsi128_si256(at(0)), at(1), 1);
  }
  template <int k>
  FLAMBEAU_INLINE Ints pixel() const {
    return (Ints::Reg)_mm256_shuffle_epi8(v, _mm256_broadcastsi128_si256(only<k>()));
  }
  template <int k>
  FLAMBEAU_INLINE Ints pair() const {
    return (Ints::Reg)_mm256_shuffle_epi8(v, _mm256_broadcastsi128_si256(both<k>()));
  }
#else
  const uint8_t* from[P];
  FLAMBEAU_INLINE Parts(const uint8_t* line, const int32_t* start, int64_t t) {
    for (int p = 0; p < P; ++p) from[p] = line + 4 * (start[p] + t);
  }
  template <int k>
  FLAMBEAU_INLINE Ints pixel() const {
    Ints::Reg r;
    for (int i = 0; i < L; ++i) r[i] = from[i / 4][4 * k + i % 4];
    return r;
  }
  template <int k>
  FLAMBEAU_INLINE Ints pair() const {
    Ints::Reg r;
    for (int i = 0; i < L; ++i) {
      const uint8_t* p = from[i / 4] + 8 * k + i % 4;
      r[i] = p[0] | p[4] << 16;
    }
    return r;
  }
#endif
};

// A line of pixels of four bytes, of which a run's width lies beyond the end, to another.
template <bool pairs>
void resize_line(const uint8_t* line, uint8_t* out, const ByteAxis& a) {
  const int64_t slots = pairs ? a.taps / 2 : a.taps;
  for (int64_t o = 0; o < a.out; o += P) {
    const int32_t* w = a.across + (o / 4 * slots) * 16 + o % 4 * 4;
    Ints sum = 1 << (a.bits - 1);
    for (int64_t t = 0; t < a.taps; t += 4, w += pairs ? 32 : 64) {
      const Parts x(line, a.start + o, t);
      if constexpr (pairs) {
        sum += weighed(x.pair<0>(), Ints::load(w));
        sum += weighed(x.pair<1>(), Ints::load(w + 16));
      } else {
        sum += x.pixel<0>() * Ints::load(w);
        sum += x.pixel<1>() * Ints::load(w + 16);
        sum += x.pixel<2>() * Ints::load(w + 32);
        sum += x.pixel<3>() * Ints::load(w + 48);
      }
    }
    narrow(to_byte(sum, a.bits), out + 4 * o);
  }
}
void resize_line(const uint8_t* line, uint8_t* out, const ByteAxis& a) {
  a.pairs ? resize_line<true>(line, out, a) : resize_line<false>(line, out, a);
}

// Four lines as one of pixels of four bytes, and back.
void join_lines(const uint8_t* const* lines, uint8_t* out, int64_t n) {
  auto* words = reinterpret_cast<int32_t*>(out);
  int64_t i = 0;
  for (; i + L <= n; i += L) {
    const Ints x = widen(lines[0] + i) | (widen(lines[1] + i) << 8) | (widen(lines[2] + i) << 16) |
                   (widen(lines[3] + i) << 24);
    x.store(words + i);
  }
  for (; i < n; ++i)
    for (int c = 0; c < 4; ++c) out[4 * i + c] = lines[c][i];
}
void split_line(const uint8_t* in, uint8_t* const* lines, int64_t count, int64_t n) {
  const auto* words = reinterpret_cast<const int32_t*>(in);
  int64_t i = 0;
  for (; i + L <= n; i += L) {
    const Ints x = Ints::load(words + i);
    for (int c = 0; c < count; ++c) narrow((x >> (8 * c)) & Ints(255), lines[c] + i);
  }
  for (; i < n; ++i)
    for (int c = 0; c < count; ++c) lines[c][i] = in[4 * i + c];
}

// Pixels of four bytes as pixels of three.
void tighten(const uint8_t* in, uint8_t* out, int64_t n) {
  const Sixteen mask = {0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, 0, 0, 0, 0};
  int64_t i = 0;
  for (; 3 * i + 16 <= 3 * n; i += 4) {
    const Sixteen x = *reinterpret_cast<const LooseSixteen*>(in + 4 * i);
    *reinterpret_cast<LooseSixteen*>(out + 3 * i) = __builtin_shuffle(x, mask);
  }
  for (; i < n; ++i)
    for (int c = 0; c < 3; ++c) out[3 * i + c] = in[4 * i + c];
}

struct Lines {
  const ByteResizeArgs& a;
  uint8_t* out;  // [planes, rows.in, columns.out, pixel]
  uint8_t *wide, *made;  // lines of pixels of four bytes

  const uint8_t* source(int64_t i) const {
    return a.in + i / a.rows.in * a.plane_stride + i % a.rows.in * a.row_stride;
  }
  uint8_t* target(int64_t i) const { return out + i * a.columns.out * a.pixel; }

  void pixels(int64_t i) const {
    if (a.pixel == 3)
      loosen(source(i), wide, a.columns.in);
    else
      __builtin_memcpy(wide, source(i), static_cast<size_t>(a.columns.in * 4));
    resize_line(wide, made, a.columns);
    if (a.pixel == 3)
      tighten(made, target(i), a.columns.out);
    else
      __builtin_memcpy(target(i), made, static_cast<size_t>(a.columns.out * 4));
  }
  void four(int64_t i, int64_t count) const {
    const uint8_t* from[4];
    uint8_t* to[4];
    for (int64_t c = 0; c < 4; ++c) {
      from[c] = source(c < count ? i + c : i);
      to[c] = target(c < count ? i + c : i);
    }
    join_lines(from, wide, a.columns.in);
    resize_line(wide, made, a.columns);
    split_line(made, to, count, a.columns.out);
  }
};

void along_lines(const ByteResizeArgs& a, uint8_t* out) {
  const int64_t lines = a.planes * a.rows.in, step = a.pixel == 1 ? 4 : 1;
  const int64_t work = (a.columns.in + a.columns.out * a.columns.taps) * 4;
  const int64_t held = (a.columns.in + a.columns.taps + 64) * 4, made = a.columns.out * 4 + 256;
  parallel_for(0, (lines + step - 1) / step, kWork / work + 1, [&](int64_t begin, int64_t end) {
    auto* wide = static_cast<uint8_t*>(scratch(Scratch::columns, static_cast<size_t>(held + made)));
    __builtin_memset(wide, 0, static_cast<size_t>(held));
    const Lines line{a, out, wide, wide + held};
    for (int64_t i = begin; i < end; ++i) {
      if (step == 1)
        line.pixels(i);
      else
        line.four(4 * i, lines - 4 * i < 4 ? lines - 4 * i : 4);
    }
  });
}

// Lines below each other, `stride` apart, and the weights that make one of them.
struct Column {
  const uint8_t* in;
  int64_t stride;
  const int32_t* weights;
  int64_t count;
  int bits;

  const uint8_t* line(int64_t k) const { return in + k * stride; }
  // The line after the k-th, that one again after the last.
  const uint8_t* next(int64_t k) const { return line(k + 1 < count ? k + 1 : k); }
  int32_t weight(int64_t k, bool pairs) const {
    return pairs ? static_cast<int16_t>(weights[k / 2] >> (k % 2 * 16)) : weights[k];
  }
};

// The bytes of a line made of whole registers of bytes; how many that were.
int64_t down_wide([[maybe_unused]] const Column& c, [[maybe_unused]] uint8_t* out,
                  [[maybe_unused]] int64_t n) {
  int64_t i = 0;
#if defined(__AVX512BW__)
#define WIDE(f) _mm512_##f
  using Wide = __m512i;
#elif defined(__AVX2__)
#define WIDE(f) _mm256_##f
  using Wide = __m256i;
#endif
#ifdef WIDE
  const Wide half = WIDE(set1_epi32)(1 << (c.bits - 1)), zero = WIDE(set1_epi8)(0);
  for (; i + static_cast<int64_t>(sizeof(Wide)) <= n; i += sizeof(Wide)) {
    Wide sum[4] = {half, half, half, half};
    for (int64_t k = 0; k < c.count; k += 2) {
      Wide a, b;
      __builtin_memcpy(&a, c.line(k) + i, sizeof a);
      __builtin_memcpy(&b, c.next(k) + i, sizeof b);
      const Wide w = WIDE(set1_epi32)(c.weights[k / 2]);
      const Wide low = WIDE(unpacklo_epi8)(a, b), high = WIDE(unpackhi_epi8)(a, b);
      const auto add = [&](int r, Wide x) {
        sum[r] = WIDE(add_epi32)(sum[r], WIDE(madd_epi16)(x, w));
      };
      add(0, WIDE(unpacklo_epi8)(low, zero));
      add(1, WIDE(unpackhi_epi8)(low, zero));
      add(2, WIDE(unpacklo_epi8)(high, zero));
      add(3, WIDE(unpackhi_epi8)(high, zero));
    }
    const __m128i bits = _mm_cvtsi32_si128(c.bits);
    for (Wide& s : sum) s = WIDE(sra_epi32)(s, bits);
    const Wide made =
        WIDE(packus_epi16)(WIDE(packs_epi32)(sum[0], sum[1]), WIDE(packs_epi32)(sum[2], sum[3]));
    __builtin_memcpy(out + i, &made, sizeof made);
  }
#undef WIDE
#endif
  return i;
}

// One line of n bytes.
template <bool pairs>
void down(const Column& c, uint8_t* out, int64_t n) {
  constexpr int kMany = 4;
  const Ints half = 1 << (c.bits - 1);
  int64_t i = pairs ? down_wide(c, out, n) : 0;
  const auto add = [&](Ints& sum, int64_t k, int64_t at) {
    if constexpr (pairs)
      sum += weighed(widen(c.line(k) + at) | widen(c.next(k) + at) << 16, Ints(c.weights[k / 2]));
    else
      sum += widen(c.line(k) + at) * Ints(c.weights[k]);
  };
  constexpr int step = pairs ? 2 : 1;
  for (; i + kMany * L <= n; i += kMany * L) {
    Ints sum[kMany] = {half, half, half, half};
    for (int64_t k = 0; k < c.count; k += step)
      for (int r = 0; r < kMany; ++r) add(sum[r], k, i + r * L);
    for (int r = 0; r < kMany; ++r) narrow(to_byte(sum[r], c.bits), out + i + r * L);
  }
  for (; i + L <= n; i += L) {
    Ints sum = half;
    for (int64_t k = 0; k < c.count; k += step) add(sum, k, i);
    narrow(to_byte(sum, c.bits), out + i);
  }
  for (; i < n; ++i) {
    int32_t sum = 1 << (c.bits - 1);
    for (int64_t k = 0; k < c.count; ++k) sum += c.line(k)[i] * c.weight(k, pairs);
    sum >>= c.bits;
    out[i] = static_cast<uint8_t>(sum < 0 ? 0 : sum > 255 ? 255 : sum);
  }
}

void down_columns(const ByteResizeArgs& a, const uint8_t* in, int64_t plane, int64_t row) {
  const int64_t n = a.columns.out * a.pixel;
  const ByteAxis& r = a.rows;
  const int64_t slots = r.pairs ? r.taps / 2 : r.taps;
  parallel_for(0, a.planes * r.out, kWork / (n * r.taps) + 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t o = i % r.out;
      const Column c{in + i / r.out * plane + r.start[o] * row, row, r.weights + o * slots,
                     r.count[o], r.bits};
      r.pairs ? down<true>(c, a.out + i * n, n) : down<false>(c, a.out + i * n, n);
    }
  });
}

void byte_resize(const ByteResizeArgs& a) {
  if (!a.rows.weights) return along_lines(a, a.out);
  if (!a.columns.weights) return down_columns(a, a.in, a.plane_stride, a.row_stride);
  along_lines(a, a.between);
  const int64_t row = a.columns.out * a.pixel;
  down_columns(a, a.between, a.rows.in * row, row);
}

FLAMBEAU_REGISTER(byte_resize_kernel, byte_resize);

}  // namespace
}  // namespace FLAMBEAU_ISA
}  // namespace flambeau
