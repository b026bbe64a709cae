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
  const Ints x = sum >> bits;
  return where(x < 0, Ints(0), where(x > 255, Ints(255), x));
}

#if defined(__AVX2__)
// Bytes 4k to 4k + 3 as numbers.
template <int k>
FLAMBEAU_INLINE __m128i only() {
  const auto byte = [](unsigned c) { return static_cast<int>(0x80808000u + 4 * k + c); };
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
#endif
};

// A line of pixels of four bytes, of which a run's width lies beyond the end, to another.
void resize_line(const uint8_t* line, uint8_t* out, const ByteAxis& a) {
  for (int64_t o = 0; o < a.out; o += P) {
    const int32_t* w = a.across + (o / 4 * a.taps) * 16 + o % 4 * 4;
    Ints sum = 1 << (a.bits - 1);
    for (int64_t t = 0; t < a.taps; t += 4, w += 64) {
      const Parts x(line, a.start + o, t);
      sum += x.pixel<0>() * Ints::load(w);
      sum += x.pixel<1>() * Ints::load(w + 16);
      sum += x.pixel<2>() * Ints::load(w + 32);
      sum += x.pixel<3>() * Ints::load(w + 48);
    }
    narrow(to_byte(sum, a.bits), out + 4 * o);
  }
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

// One line of n bytes from lines below each other.
void down(const uint8_t* in, int64_t stride, const int32_t* w, int64_t count, int bits,
          uint8_t* out, int64_t n) {
  constexpr int kMany = 4;
  const Ints half = 1 << (bits - 1);
  int64_t i = 0;
  for (; i + kMany * L <= n; i += kMany * L) {
    Ints sum[kMany] = {half, half, half, half};
    for (int64_t k = 0; k < count; ++k)
      for (int r = 0; r < kMany; ++r) sum[r] += widen(in + k * stride + i + r * L) * Ints(w[k]);
    for (int r = 0; r < kMany; ++r) narrow(to_byte(sum[r], bits), out + i + r * L);
  }
  for (; i + L <= n; i += L) {
    Ints sum = half;
    for (int64_t k = 0; k < count; ++k) sum += widen(in + k * stride + i) * Ints(w[k]);
    narrow(to_byte(sum, bits), out + i);
  }
  for (; i < n; ++i) {
    int32_t sum = 1 << (bits - 1);
    for (int64_t k = 0; k < count; ++k) sum += in[k * stride + i] * w[k];
    sum >>= bits;
    out[i] = static_cast<uint8_t>(sum < 0 ? 0 : sum > 255 ? 255 : sum);
  }
}

void down_columns(const ByteResizeArgs& a, const uint8_t* in, int64_t plane, int64_t row) {
  const int64_t n = a.columns.out * a.pixel;
  const ByteAxis& r = a.rows;
  parallel_for(0, a.planes * r.out, kWork / (n * r.taps) + 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t o = i % r.out;
      down(in + i / r.out * plane + r.start[o] * row, row, r.weights + o * r.taps, r.count[o],
           r.bits, a.out + i * n, n);
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
