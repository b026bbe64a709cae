// Images: mirrored, looked up, counted, as floats, changed in colour.
#include "../kernels/image.h"

#include "../parallel.h"
#include "../scratch.h"
#include "bytes.h"
#include "each.h"

namespace flambeau {
namespace FLAMBEAU_ISA {
namespace {

constexpr int64_t kWork = 32768;  // bytes in one task
using Floats = Vec<float>;

// -- mirrored -------------------------------------------------------------------------------------
#if defined(__AVX512BW__)
using Block = __m512i;
#elif defined(__AVX2__)
using Block = __m256i;
#else
using Block = Sixteen;
#endif
constexpr int64_t kBlock = sizeof(Block);

// A register of items of 1, 2, 4 or 8 bytes, the last first.
template <int size>
FLAMBEAU_INLINE void mirror_block(const uint8_t* in, uint8_t* out) {
  Sixteen order;
  for (int i = 0; i < 16; ++i)
    order[i] = static_cast<uint8_t>(16 - size - i / size * size + i % size);
  Block x;
  __builtin_memcpy(&x, in, sizeof x);
#if defined(__AVX512BW__)
  x = _mm512_shuffle_epi8(x, _mm512_broadcast_i32x4((__m128i)order));
  x = _mm512_shuffle_i64x2(x, x, 0x1b);
#elif defined(__AVX2__)
  x = _mm256_shuffle_epi8(x, _mm256_broadcastsi128_si256((__m128i)order));
  x = _mm256_permute2x128_si256(x, x, 1);
#else
  x = __builtin_shuffle(x, order);
#endif
  __builtin_memcpy(out, &x, sizeof x);
}
// A line of n bytes, a register at least: the last overlaps the one before it.
template <int size>
void mirror_blocks(const uint8_t* in, uint8_t* out, int64_t n) {
  for (int64_t i = 0; i + kBlock < n; i += kBlock) mirror_block<size>(in + n - i - kBlock, out + i);
  mirror_block<size>(in, out + n - kBlock);
}

// As many items as sixteen bytes hold at once; sixteen bytes are written, so the last few go alone.
template <int size>
void mirror_row(const uint8_t* in, uint8_t* out, int64_t n) {
  if constexpr (16 % size == 0)
    if (n * size >= kBlock) return mirror_blocks<size>(in, out, n * size);
  constexpr int many = 16 / size;
  Sixteen mask;
  for (int i = 0; i < 16; ++i)
    mask[i] = static_cast<uint8_t>(i < many * size ? (many - 1 - i / size) * size + i % size : 0);
  int64_t i = 0;
  for (; (n - i) * size >= 16; i += many) {
    const uint8_t* p = in + (n - i - many) * size;
    // the register may not reach beyond the row: not at its end, where it begins earlier instead
    const int64_t back = p + 16 > in + n * size ? 16 - many * size : 0;
    Sixteen x = *reinterpret_cast<const LooseSixteen*>(p - back);
    x = back ? __builtin_shuffle(x, mask + static_cast<uint8_t>(back)) : __builtin_shuffle(x, mask);
    *reinterpret_cast<LooseSixteen*>(out + i * size) = x;
  }
  for (; i < n; ++i) __builtin_memcpy(out + i * size, in + (n - 1 - i) * size, size);
}

void mirror(const MirrorArgs& a) {
  const int64_t bytes = a.n * a.size;
  parallel_for(0, a.rows, kWork / (bytes + 1) + 1, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const uint8_t* in = static_cast<const uint8_t*>(a.in) + r * bytes;
      uint8_t* out = static_cast<uint8_t*>(a.out) + r * bytes;
      switch (a.size) {
        case 1: mirror_row<1>(in, out, a.n); break;
        case 2: mirror_row<2>(in, out, a.n); break;
        case 3: mirror_row<3>(in, out, a.n); break;
        case 4: mirror_row<4>(in, out, a.n); break;
        case 8: mirror_row<8>(in, out, a.n); break;
        default:
          for (int64_t i = 0; i < a.n; ++i)
            __builtin_memcpy(out + i * a.size, in + (a.n - 1 - i) * a.size,
                             static_cast<size_t>(a.size));
      }
    }
  });
}

// -- tables ---------------------------------------------------------------------------------------
void lookup(const LookupArgs& a) {
  parallel_for(0, a.planes, kWork / (a.n + 1) + 1, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) {
      const uint8_t *in = a.in + p * a.n, *table = a.table + p * a.step;
      uint8_t* out = a.out + p * a.n;
      for (int64_t i = 0; i < a.n; ++i) out[i] = table[in[i]];
    }
  });
}

// Four tables by turns: a run of one value does not wait for itself.
void histogram(const HistogramArgs& a) {
  parallel_for(0, a.planes, kWork / (a.n + 1) + 1, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) {
      const uint8_t* in = a.in + p * a.n;
      int64_t counts[4][256] = {};
      int64_t i = 0;
      for (; i + 4 <= a.n; i += 4)
        for (int k = 0; k < 4; ++k) ++counts[k][in[i + k]];
      for (; i < a.n; ++i) ++counts[0][in[i]];
      for (int v = 0; v < 256; ++v)
        a.counts[p * 256 + v] = counts[0][v] + counts[1][v] + counts[2][v] + counts[3][v];
    }
  });
}

// -- floats ---------------------------------------------------------------------------------------
FLAMBEAU_INLINE Floats over_white(Vec<int32_t> x) { return convert<float>(x) / Floats(255.f); }

void floats_of_line(const uint8_t* in, float* out, int64_t n) {
  int64_t i = 0;
  for (; i + kByteLanes <= n; i += kByteLanes) over_white(widen(in + i)).store(out + i);
  for (; i < n; ++i) out[i] = static_cast<float>(in[i]) / 255.f;
}
// Channel c of pixels of four bytes.
void floats_of_pixels(const uint8_t* in, int64_t c, float* out, int64_t n) {
  const auto* words = reinterpret_cast<const int32_t*>(in);
  const int shift = static_cast<int>(8 * c);
  each<int32_t>(n, [&](int64_t i, int64_t m) {
    const auto x = Vec<int32_t>::load_n(words + i, m);
    over_white((x >> shift) & Vec<int32_t>(255)).store_n(out + i, m);
  });
}

void byte_floats(const ByteFloatsArgs& a) {
  const int64_t work = a.columns * a.channels;
  const size_t held = static_cast<size_t>(a.columns * 4 + 64);
  parallel_for(0, a.rows, kWork / (work + 1) + 1, [&](int64_t begin, int64_t end) {
    auto* wide = static_cast<uint8_t*>(a.pixel == 1 ? nullptr : scratch(Scratch::columns, held));
    for (int64_t r = begin; r < end; ++r) {
      const uint8_t* in = a.in + r * a.row_stride;
      if (a.pixel == 3) loosen(in, wide, a.columns);
      if (a.pixel == 4) __builtin_memcpy(wide, in, static_cast<size_t>(a.columns * 4));
      for (int64_t c = 0; c < a.channels; ++c) {
        float* out = a.out + (c * a.rows + r) * a.columns;
        if (a.pixel == 1)
          floats_of_line(in + c * a.channel_stride, out, a.columns);
        else
          floats_of_pixels(wide, c, out, a.columns);
      }
    }
  });
}

void standardize(const StandardizeArgs& a) {
  parallel_for(0, a.planes, kWork / (4 * a.n + 1) + 1, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) {
      const float *in = a.in + p * a.n, mean = a.mean[p % a.channels], std = a.std[p % a.channels];
      float* out = a.out + p * a.n;
      each<float>(a.n, [&](int64_t i, int64_t m) {
        ((Floats::load_n(in + i, m) - Floats(mean)) / Floats(std)).store_n(out + i, m);
      });
    }
  });
}

// -- colours --------------------------------------------------------------------------------------
template <class T>
FLAMBEAU_INLINE Floats get(const T* p, int64_t m) {
  if constexpr (sizeof(T) == 4) {
    return Floats::load_n(p, m);
  } else {
    if (m >= kByteLanes) return convert<float>(widen(p));
    uint8_t few[kByteLanes] = {};
    __builtin_memcpy(few, p, static_cast<size_t>(m));
    return convert<float>(widen(few));
  }
}
template <class T>
FLAMBEAU_INLINE void put(Floats x, T* p, int64_t m) {
  if constexpr (sizeof(T) == 4) {
    x.store_n(p, m);
  } else {
    if (m >= kByteLanes) return narrow(convert<int32_t>(x), p);
    uint8_t few[kByteLanes];
    narrow(convert<int32_t>(x), few);
    __builtin_memcpy(p, few, static_cast<size_t>(m));
  }
}

// f(image, from, to) for pieces of the images.
template <class F>
void pieces(const ColorArgs& a, const F& f) {
  const int64_t step = kWork / 4, many = (a.n + step - 1) / step;
  parallel_for(0, a.images * many, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t from = i % many * step;
      f(i / many, from, from + step < a.n ? from + step : a.n);
    }
  });
}

template <class T>
void gray_of(const ColorArgs& a) {
  pieces(a, [&](int64_t image, int64_t from, int64_t to) {
    const T *r = static_cast<const T*>(a.in) + 3 * image * a.n + from, *g = r + a.n, *b = g + a.n;
    T* out = static_cast<T*>(a.out) + image * a.n + from;
    each<float>(to - from, [&](int64_t i, int64_t m) {
      Floats y = get(r + i, m) * Floats(0.2989f);
      y = fma(get(g + i, m), Floats(0.587f), y);
      put(fma(get(b + i, m), Floats(0.114f), y), out + i, m);
    });
  });
}
void gray(const ColorArgs& a) { a.bytes ? gray_of<uint8_t>(a) : gray_of<float>(a); }

template <class T>
void blend_of(const ColorArgs& a, const void* other, int64_t step, double ratio) {
  const Floats here(static_cast<float>(ratio)), there(static_cast<float>(1 - ratio));
  const Floats white(sizeof(T) == 1 ? 255.f : 1.f);
  pieces(a, [&](int64_t image, int64_t from, int64_t to) {
    for (int64_t c = 0; c < a.channels; ++c) {
      const int64_t at = (image * a.channels + c) * a.n + from;
      const T *in = static_cast<const T*>(a.in) + at,
              *plane = step ? static_cast<const T*>(other) + image * a.n + from : nullptr;
      const Floats mean(other && !step ? static_cast<const float*>(other)[image] : 0.f);
      T* out = static_cast<T*>(a.out) + at;
      each<float>(to - from, [&](int64_t i, int64_t m) {
        Floats y = get(in + i, m) * here;
        if (other) y = fma(step ? get(plane + i, m) : mean, there, y);
        put(min(max(y, Floats(0.f)), white), out + i, m);
      });
    }
  });
}
void blend(const ColorArgs& a, const void* other, int64_t step, double ratio) {
  a.bytes ? blend_of<uint8_t>(a, other, step, ratio) : blend_of<float>(a, other, step, ratio);
}

struct Color {
  Floats r, g, b;
};

// By way of hue, saturation and value (Smith, Color gamut transform pairs, 1978).
FLAMBEAU_INLINE Color turned(Color x, Floats by) {
  const Floats one(1.f), zero(0.f);
  const Floats high = max(x.r, max(x.g, x.b)), low = min(x.r, min(x.g, x.b)), span = high - low;
  const auto flat = span == zero;
  const Floats saturation = span / where(flat, one, high), divisor = where(flat, one, span);
  const Floats r = (high - x.r) / divisor, g = (high - x.g) / divisor, b = (high - x.b) / divisor;
  Floats hue =
      where(high == x.r, b - g, where(high == x.g, Floats(2.f) + r - b, Floats(4.f) + g - r));
  hue = where(flat, zero, hue) / Floats(6.f) + one;
  hue = hue - floor(hue) + by;
  hue = (hue - floor(hue)) * Floats(6.f);
  const Floats sector = floor(hue), f = hue - sector;
  const auto part = [&](Floats s) { return min(max(high * (one - s), zero), one); };
  const Floats p = part(saturation), q = part(saturation * f), t = part(saturation * (one - f));
  const auto is = [&](float k) { return sector == Floats(k); };
  const auto zeroth = is(0) | is(6);
  const auto pick = [&](Floats s0, Floats s1, Floats s2, Floats s3, Floats s4, Floats s5) {
    return where(zeroth, s0,
                 where(is(1), s1, where(is(2), s2, where(is(3), s3, where(is(4), s4, s5)))));
  };
  return {pick(high, q, p, p, t, high), pick(t, high, high, q, p, p), pick(p, p, t, high, high, q)};
}

template <class T>
void hue_of(const ColorArgs& a, float factor) {
  constexpr bool bytes = sizeof(T) == 1;
  const Floats in_scale(bytes ? 1.f / 255.f : 1.f), out_scale(bytes ? 255.999f : 1.f);
  pieces(a, [&](int64_t image, int64_t from, int64_t to) {
    const int64_t at = 3 * image * a.n + from;
    const T* in = static_cast<const T*>(a.in) + at;
    T* out = static_cast<T*>(a.out) + at;
    each<float>(to - from, [&](int64_t i, int64_t m) {
      const auto channel = [&](int64_t c) { return get(in + c * a.n + i, m) * in_scale; };
      const Color y = turned({channel(0), channel(1), channel(2)}, Floats(factor));
      put(y.r * out_scale, out + i, m);
      put(y.g * out_scale, out + a.n + i, m);
      put(y.b * out_scale, out + 2 * a.n + i, m);
    });
  });
}
void hue(const ColorArgs& a, float factor) {
  a.bytes ? hue_of<uint8_t>(a, factor) : hue_of<float>(a, factor);
}

FLAMBEAU_REGISTER(mirror_kernel, mirror);
FLAMBEAU_REGISTER(lookup_kernel, lookup);
FLAMBEAU_REGISTER(histogram_kernel, histogram);
FLAMBEAU_REGISTER(byte_floats_kernel, byte_floats);
FLAMBEAU_REGISTER(standardize_kernel, standardize);
FLAMBEAU_REGISTER(gray_kernel, gray);
FLAMBEAU_REGISTER(blend_kernel, blend);
FLAMBEAU_REGISTER(hue_kernel, hue);

}  // namespace
}  // namespace FLAMBEAU_ISA
}  // namespace flambeau
