// Convolution of bfloat16, forward: input lines are copied with their zeros around them as pairs of
// channels, and every tap is read from them at a fixed offset, across line ends. What falls between
// the lines is left out when sums are stored. Vectors and tiles read the same lines.
#pragma once
#include "gemm_bf16.h"
#include "kernels/conv.h"

namespace flambeau {
namespace FLAMBEAU_ISA {

#ifdef FLAMBEAU_PAIRS

// One convolution seen from one group, and how its filters are packed: tiles of rows, in each, for
// vectors, the pairs of channels and in each the taps, for tiles of the processor the other way.
struct PairConv {
  ConvPairsArgs a;
  const TileOps* ops;  // null: vectors
  int64_t channels, filters, taps;
  int64_t pairs;  // of channels, with zeros up to whole steps of tiles
  int64_t tiles, rows;  // of filters

  explicit PairConv(const ConvPairsArgs& args) : a(args) {
    if (one_by_one()) {  // a plane is one long line
      a.in[2] *= a.in[0] * a.in[1], a.out[2] = a.in[2];
      for (int i = 0; i < 2; ++i) a.in[i] = a.out[i] = 1;
    }
    channels = a.in_channels / a.groups, filters = a.out_channels / a.groups;
    taps = a.kernel[0] * a.kernel[1] * a.kernel[2];
    pairs = ceil_div(channels, 2);
    ops = pairs >= 8 ? tile_ops() : nullptr;  // fewer would leave the tiles half empty
    if (ops) pairs = ceil_div(pairs, PairPanels::kStep) * PairPanels::kStep;
    tiles = ceil_div(filters, ops ? 32 : kTileRows);
    rows = ops ? 32 : ceil_div(filters, tiles);
  }
  int64_t tile_size() const { return rows * taps * pairs; }
  int64_t packed_size() const { return a.groups * tiles * tile_size(); }

  bool one_by_one() const {
    for (int i = 0; i < 3; ++i)
      if (a.kernel[i] != 1 || a.stride[i] != 1 || a.padding[i] != 0) return false;
    return true;
  }
  // Whether lines are mostly made of results. Depthwise convolutions have a loop of their own.
  bool fits() const {
    const int64_t reach = (a.kernel[2] - 1) * a.dilation[2] / a.stride[2];
    const int64_t rows_reach = (a.kernel[1] - 1) * a.dilation[1] / a.stride[1];
    return channels > 1 && reach <= a.out[2] && rows_reach <= 2 * a.out[1] + 8 &&
           a.kernel[0] <= 16 && a.in[2] < (1 << 24) && a.stride[1] <= 16 && a.stride[2] <= 16;
  }

  template <class T>
  void pack(const T* w, float* out) const {
    parallel_for(0, a.groups * tiles, 1 + (16 << 10) / tile_size(),
                 [&](int64_t begin, int64_t end) {
                   for (int64_t t = begin; t < end; ++t)
                     pack_tile(w, t / tiles, t % tiles, out + t * tile_size());
                 });
  }
  template <class T>
  void pack_tile(const T* w, int64_t group, int64_t tile, float* out) const {
    constexpr int64_t kStep = PairPanels::kStep;
    for (int64_t i = 0; i < rows; ++i) {
      const int64_t filter = tile * rows + i;
      const T* row = w + (group * filters + filter) * channels * taps;
      for (int64_t p = 0; p < pairs; ++p)
        for (int64_t k = 0; k < taps; ++k) {
          const bool one = filter < filters && 2 * p < channels;
          const bool two = filter < filters && 2 * p + 1 < channels;
          const uint32_t low = one ? bf16_bits(row[2 * p * taps + k]) : 0;
          const uint32_t high = two ? bf16_bits(row[(2 * p + 1) * taps + k]) : 0;
          const uint32_t both = low | high << 16;
          const int64_t at = ops ? ((k * pairs + p) / kStep * rows + i) * kStep + p % kStep
                                 : (p * taps + k) * rows + i;
          __builtin_memcpy(out + at, &both, 4);
        }
    }
  }
  static uint32_t bf16_bits(uint16_t x) { return x; }
  static uint32_t bf16_bits(float x) { return float_to_bf16(x); }
};

// Results that are made at a time: lines [h0, h1) of one depth, or a part of one line.
struct PairBlock {
  int64_t n, group, d, h0, h1, w0, w1;
};

// The input lines of a block: for each pair of channels, each tap along the depth, each phase of
// the strides there are `lines` of `pitch` pairs.
class PairLines {
 public:
  static constexpr int64_t W = Vec<float>::size;

  PairLines(const PairConv& conv, const PairBlock& block) : c_(conv), b_(block) {
    const ConvPairsArgs& a = c_.a;
    for (int i = 0; i < 2; ++i) {
      const int64_t reach = (a.kernel[i + 1] - 1) * a.dilation[i + 1];
      phases_[i] = min(a.stride[i + 1], reach + 1);
    }
    lines_ = b_.h1 - b_.h0 + (a.kernel[1] - 1) * a.dilation[1] / a.stride[1];
    pitch_ = b_.w1 - b_.w0 + (a.kernel[2] - 1) * a.dilation[2] / a.stride[2];
  }
  int64_t pitch() const { return pitch_; }
  // An odd number of cache lines, so that pairs spread over the whole cache.
  int64_t pair_step() const {
    const int64_t places = a().kernel[0] * phases_[0] * phases_[1] * lines_ * pitch_;
    return (ceil_div(places, W) | 1) * W;
  }
  // With what the last vectors read beyond the end: those places are no results.
  int64_t numbers() const { return c_.pairs * pair_step() + 4 * W; }
  // Where tap k reads the pair 0 for the block's first result.
  int64_t at(int64_t k) const {
    const ConvPairsArgs& a = c_.a;
    const int64_t kw = k % a.kernel[2] * a.dilation[2], rest = k / a.kernel[2];
    const int64_t kh = rest % a.kernel[1] * a.dilation[1], kd = rest / a.kernel[1];
    const int64_t plane = (kd * phases_[0] + kh % a.stride[1]) * phases_[1] + kw % a.stride[2];
    return (plane * lines_ + kh / a.stride[1]) * pitch_ + kw / a.stride[2];
  }

  void fill(float* buffer) const {
    const ConvPairsArgs& a = c_.a;
    const int64_t size = a.in[0] * a.in[1] * a.in[2];
    const uint16_t* x = static_cast<const uint16_t*>(a.input) +
                        (b_.n * a.in_channels + b_.group * c_.channels) * size;
    for (int64_t p = 0; p < c_.pairs; ++p) {
      float* dst = buffer + p * pair_step();
      for (int64_t kd = 0; kd < a.kernel[0]; ++kd) {
        const int64_t d = b_.d * a.stride[0] + kd * a.dilation[0] - a.padding[0];
        const bool inside = d >= 0 && d < a.in[0] && 2 * p < c_.channels;
        const uint16_t* low = inside ? x + 2 * p * size + d * a.in[1] * a.in[2] : nullptr;
        const uint16_t* high = inside && 2 * p + 1 < c_.channels ? low + size : nullptr;
        for (int64_t f = 0; f < phases_[0]; ++f)
          for (int64_t g = 0; g < phases_[1]; ++g)
            for (int64_t l = 0; l < lines_; ++l, dst += pitch_) {
              const int64_t h = (b_.h0 + l) * a.stride[1] + f - a.padding[1];
              const bool real = low && h >= 0 && h < a.in[1];
              if (real) fetch(low + h * a.in[2], high ? size : 0);
              fill_line(dst, real ? low + h * a.in[2] : nullptr,
                        real && high ? high + h * a.in[2] : nullptr, g);
            }
      }
    }
  }

 private:
  const ConvPairsArgs& a() const { return c_.a; }

  // What will be read four pairs later: planes are too far apart for the processor to
  // see it coming.
  void fetch(const uint16_t* line, int64_t plane) const {
    const char* p = reinterpret_cast<const char*>(line + b_.w0 * a().stride[2] + 8 * plane);
    const int64_t bytes = min(2 * (b_.w1 - b_.w0) * a().stride[2], int64_t{4096});
    for (int64_t i = 0; i < bytes; i += 64) {
      __builtin_prefetch(p + i);
      __builtin_prefetch(p + 2 * plane + i);
    }
  }

  // dst[q] = both channels at q * stride + first, zeros outside. Whole vectors are stored: what
  // they spoil behind a line is written next.
  void fill_line(float* dst, const uint16_t* low, const uint16_t* high, int64_t phase) const {
    const int64_t s = a().stride[2], first = b_.w0 * s + phase - a().padding[2];
    int64_t lo = first >= 0 ? 0 : min(ceil_div(-first, s), pitch_), hi = lo;
    if (low && first < a().in[2]) hi = max(lo, min(ceil_div(a().in[2] - first, s), pitch_));
    const Vec<float> zero(0.0f);
    for (int64_t q = 0; q < lo; q += W) zero.store(dst + q);
    if (lo < hi) copy_pairs(dst, low + first, high ? high + first : nullptr, lo, hi, s);
    for (int64_t q = hi; q < pitch_; q += W) zero.store(dst + q);
  }
  static void copy_pairs(float* dst, const uint16_t* low, const uint16_t* high, int64_t lo,
                         int64_t hi, int64_t s) {
    int64_t q = lo;
    if (s == 1) {
      for (; q < hi; q += W)
        _mm512_storeu_si512(dst + q, pair_up(low + q, high ? high + q : nullptr, min(W, hi - q)));
      return;
    }
    if (s == 2) {  // the lower halves of words; the last word's upper half may not exist
      const __m512i half = _mm512_set1_epi32(0xffff);
      for (; q < hi - 1; q += W) {
        const auto mask = static_cast<__mmask16>((1u << min(W, hi - 1 - q)) - 1);
        __m512i r = _mm512_and_si512(_mm512_maskz_loadu_epi32(mask, low + 2 * q), half);
        if (high)
          r = _mm512_or_si512(
              r, _mm512_maskz_slli_epi32(0xffff, _mm512_maskz_loadu_epi32(mask, high + 2 * q), 16));
        _mm512_storeu_si512(dst + q, r);
      }
      q = hi - 1;
    }
    for (; q < hi; ++q) {
      const uint32_t l = low[q * s], h = high ? high[q * s] : 0, both = l | h << 16;
      __builtin_memcpy(dst + q, &both, 4);
    }
  }

  const PairConv& c_;
  const PairBlock& b_;
  int64_t phases_[2], lines_, pitch_;
};

// Sixteen places from a line on: which of them are results, and where these go.
struct PairVector {
  int32_t from, to;
  uint16_t mask, count;
};

// MR filters at NV vectors. What step k reads for the vector at b[v] is b[v] + at[k].
struct PairLineTile {
  const float* a;
  int64_t a_col;
  const int32_t* at;
  int64_t k;
  const float* lines;
  uint16_t* c;  // the first filter's results
  int64_t c_row;
  const float* bias;  // or null
  const float *slope, *shift;  // what normalization makes of the rounded result, or null
  bool relu;  // then
};

FLAMBEAU_INLINE Vec<float> rounded_to_bf16(Vec<float> a) {
  uint16_t numbers[Vec<float>::size];
  store_bf16(numbers, a);
  return load_bf16(numbers);
}

// Results of the tile's filter i.
FLAMBEAU_INLINE void store_places(const PairLineTile& t, int64_t i, Vec<float> r,
                                  const PairVector& v) {
  uint16_t* c = t.c + i * t.c_row;
  if (t.bias) r += Vec<float>(t.bias[i]);
  if (t.slope) r = fma(rounded_to_bf16(r), Vec<float>(t.slope[i]), Vec<float>(t.shift[i]));
  if (t.relu) r = max(r, Vec<float>(0.0f));
  if (v.mask != 0xffff) r = Vec<float>((Vec<float>::Reg)_mm512_maskz_compress_ps(v.mask, r.v));
  store_bf16_n(c + v.to, r, v.count);
}

template <int MR, int NV>
FLAMBEAU_PAIRS void pair_line_tile(const PairLineTile& t, const PairVector* vectors) {
  __m512 acc[MR][NV];
#pragma GCC unroll 16
  for (int i = 0; i < MR; ++i)
#pragma GCC unroll 2
    for (int v = 0; v < NV; ++v) acc[i][v] = _mm512_setzero_ps();
  const float* a = t.a;
  const float *b0 = t.lines + vectors[0].from, *b1 = t.lines + vectors[NV - 1].from;
  const int64_t a_col = t.a_col;
  const int32_t *at = t.at, *end = at + t.k;
  for (; at < end; ++at, a += a_col) {
    __m512bh bv[2];
    bv[0] = (__m512bh)_mm512_loadu_ps(b0 + *at);
    if constexpr (NV > 1) bv[1] = (__m512bh)_mm512_loadu_ps(b1 + *at);
#pragma GCC unroll 16
    for (int i = 0; i < MR; ++i) {
      const __m512bh av = (__m512bh)_mm512_set1_ps(a[i]);
#pragma GCC unroll 2
      for (int v = 0; v < NV; ++v) acc[i][v] = _mm512_dpbf16_ps(acc[i][v], av, bv[v]);
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < MR; ++i)
#pragma GCC unroll 2
    for (int v = 0; v < NV; ++v) store_places(t, i, Vec<float>(acc[i][v]), vectors[v]);
}

template <int NV>
struct PairLineTable {
  using Fn = void (*)(const PairLineTile&, const PairVector*);
  Fn by_rows[kTileRows + 1] = {};
  constexpr PairLineTable() { fill<kTileRows>(); }
  template <int MR>
  constexpr void fill() {
    by_rows[MR] = &pair_line_tile<MR, NV>;
    if constexpr (MR > 1) fill<MR - 1>();
  }
};
template <int NV>
constexpr PairLineTable<NV> kPairLineTiles;

#endif

}  // namespace FLAMBEAU_ISA
}  // namespace flambeau
