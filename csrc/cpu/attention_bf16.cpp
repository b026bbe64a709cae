// Attention of bfloat16, forward: pairs are multiplied as they lie in memory, sums, scores and the
// softmax are float32, probabilities are rounded for the second product.
#include "each.h"
#include "gemm_bf16.h"
#include "kernels/attention.h"

namespace flambeau {
namespace FLAMBEAU_ISA {
namespace {

#ifdef FLAMBEAU_PAIRS

using V = Vec<float>;
constexpr int64_t W = V::size;
constexpr int64_t kQueries = 256, kKeys = 256;  // of a block
constexpr int64_t kPitch = kKeys / 2;  // pairs from a row of a left operand to the next
constexpr int64_t kFewQueries = 4;     // up to here keys are read where they lie

// sums[i][j] (+)= a[i][k] b[k][j] for one panel of B; `depth` counts pairs.
struct SumTile {
  const float *a, *b;
  int64_t b_row, depth;
  float* sums;  // rows of 32
  bool add;
};

template <int MR, int NV>
FLAMBEAU_PAIRS void sum_tile(const SumTile& t) {
  __m512 acc[MR][NV];
#pragma GCC unroll 16
  for (int i = 0; i < MR; ++i)
#pragma GCC unroll 2
    for (int v = 0; v < NV; ++v)
      acc[i][v] = t.add ? _mm512_loadu_ps(t.sums + 32 * i + v * W) : _mm512_setzero_ps();
  const float *a = t.a, *b = t.b;
  for (int64_t k = t.depth; k > 0; --k, ++a, b += t.b_row) {
    __m512bh bv[NV];
#pragma GCC unroll 2
    for (int v = 0; v < NV; ++v) bv[v] = (__m512bh)_mm512_loadu_ps(b + v * W);
#pragma GCC unroll 16
    for (int i = 0; i < MR; ++i) {
      const __m512bh av = (__m512bh)_mm512_set1_ps(a[i * kPitch]);
#pragma GCC unroll 2
      for (int v = 0; v < NV; ++v) acc[i][v] = _mm512_dpbf16_ps(acc[i][v], av, bv[v]);
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < MR; ++i)
#pragma GCC unroll 2
    for (int v = 0; v < NV; ++v) _mm512_storeu_ps(t.sums + 32 * i + v * W, acc[i][v]);
}

template <int NV>
struct SumTileTable {
  void (*by_rows[kTileRows + 1])(const SumTile&) = {};
  constexpr SumTileTable() { fill<kTileRows>(); }
  template <int MR>
  constexpr void fill() {
    by_rows[MR] = &sum_tile<MR, NV>;
    if constexpr (MR > 1) fill<MR - 1>();
  }
};
template <int NV>
constexpr SumTileTable<NV> kSumTiles;

// `rows` rows of pairs, kPitch apart, by the first `panels` panels of B. The sums of a panel are
// `height` rows of 32.
void multiply(const TileOps* ops, int64_t rows, int64_t height, const float* a, const PairPanels& b,
              const float* packed, int64_t panels, int64_t depth, float* sums, bool add) {
  constexpr int64_t kStep = PairPanels::kStep;
  if (ops) ops->configure(rows);
  for (int64_t p = 0; p < panels; ++p, sums += 32 * height) {
    const float* panel = packed + p * PairPanels::NR * b.pairs;
    const int64_t width = b.width(p);
    if (!ops) {
      const SumTile tile{a, panel, width, depth, sums, add};
      (width > W ? kSumTiles<2>.by_rows : kSumTiles<1>.by_rows)[rows](tile);
      continue;
    }
    int32_t at[kPitch / kStep];
    TileUnit u{};
    u.rows = rows, u.a = reinterpret_cast<const char*>(a);
    u.a_row = 4 * kPitch, u.a_step = 4 * kStep;
    u.b[0] = reinterpret_cast<const char*>(panel);
    u.b[1] = width > W ? reinterpret_cast<const char*>(panel + W) : nullptr;
    u.b_row = 4 * width;
    u.steps = ceil_div(depth, kStep);
    for (int64_t s = 0; s < u.steps; ++s) at[s] = static_cast<int32_t>(s * kStep * width);
    u.at = at, u.c = sums, u.add = add;
    ops->multiply(u);
  }
  if (ops) ops->release();
}

const uint16_t* place(const AttentionArgs& a, const HeadsArg& x, int64_t head, int64_t row) {
  return static_cast<const uint16_t*>(x.data) + head / a.heads * x.batch + head % a.heads * x.head +
         row * x.row;
}
uint16_t* result(const AttentionArgs& a, int64_t head, int64_t row) {
  return const_cast<uint16_t*>(place(a, a.out, head, row));
}
// The mask of query `i` from key `j` on, null where there is none; its numbers are mask_step[3]
// apart.
const float* mask_of(const AttentionArgs& a, int64_t head, int64_t i, int64_t j) {
  const int64_t* step = a.mask_step;
  if (!a.mask) return nullptr;
  return static_cast<const float*>(a.mask) + head / a.heads * step[0] + head % a.heads * step[1] +
         i * step[2] + j * step[3];
}
// Keys that query `i` sees of those before `end`.
int64_t seen_by(const AttentionArgs& a, int64_t i, int64_t end) {
  return a.causal ? min(i + 1, end) : end;
}

// A row of n scores, where at(j) says, is scaled; returns the lanes' maxima, `most` among them.
template <class At>
FLAMBEAU_INLINE V scaled(int64_t n, V scale, const float* mask, int64_t step, V most,
                         const At& at) {
  each<float>(n, [&](int64_t j, int64_t m) {
    V v = V::load_n(at(j), m) * scale;
    if (mask) v += step ? V::load_n(mask + j, m) : V(*mask);
    v.store_n(at(j), m);
    most = max(most, m < W ? V::load_n(at(j), m, -kInf<float>) : v);
  });
  return most;
}
// And turned into exponentials; returns the lanes' sums.
template <class At>
FLAMBEAU_INLINE V exponentials(int64_t n, V top, const At& at) {
  V sums(0.0f);
  each<float>(n, [&](int64_t j, int64_t m) {
    const V e = exp(V::load_n(at(j), m, -kInf<float>) - top);
    e.store_n(at(j), m);
    sums += e;
  });
  return sums;
}
// Where no key was seen yet there is nothing to subtract from.
FLAMBEAU_INLINE V finite(V top) { return where(top == V(-kInf<float>), V(0.0f), top); }
// Where every key is hidden the result is zero, and has no gradient.
FLAMBEAU_INLINE V share_of(V total) { return where(total == V(0.0f), V(0.0f), V(1.0f) / total); }
FLAMBEAU_INLINE V logsum_of(V top, V total) {
  return where(total == V(0.0f), V(kInf<float>), top + log(total));
}

// A block of queries of one head, in units of the rows that one tile holds.
class QueryBlock {
 public:
  QueryBlock(const AttentionArgs& args, int64_t head, int64_t i0)
      : a(args), ops(tile_ops()), head_(head), i0_(i0), count_(min(kQueries, a.queries - i0)) {
    height_ = ops ? 32 : kTileRows;
    height_ = ceil_div(count_, ceil_div(count_, height_));
    for (int64_t i = 0; i < kQueries + W; ++i) top_[i] = -kInf<float>, total_[i] = 0;
    columns_ = ceil_div(a.value_width, PairPanels::NR);
  }

  void run() {
    const PairPanels most(kKeys, PairPanels::NR * columns_), wide(a.width, kKeys);
    float* packed = scratch_for<float>(Scratch::packed_b, most.numbers() + wide.numbers());
    const int64_t units = ceil_div(count_, height_), size = columns_ * 32 * height_;
    float* room = scratch_for<float>(Scratch::columns, units * size + height_ * (kKeys + kPitch));
    sums_ = room, scores_ = sums_ + units * size, rows_ = scores_ + height_ * kKeys;
    const int64_t keys = seen_by(a, i0_ + count_ - 1, a.keys);
    for (int64_t j0 = 0; j0 < keys; j0 += kKeys) {
      const int64_t n = min(kKeys, keys - j0);
      const PairPanels k(a.width, n), v(n, a.value_width);
      k.pack_all(packed, place(a, a.k, head_, j0), 1, a.k.row, false);
      v.pack_all(packed + wide.numbers(), place(a, a.v, head_, j0), a.v.row, 1, false);
      for (int64_t u = 0; u < units; ++u)
        unit(u * height_, sums_ + u * size, j0, n, k, packed, v, packed + wide.numbers());
    }
    each<float>(count_, [&](int64_t i, int64_t m) {
      const V top = V::load(top_ + i), total = V::load(total_ + i);
      float* logsum = static_cast<float*>(a.logsum) + head_ * a.queries + i0_ + i;
      logsum_of(top, total).store_n(logsum, m);
      share_of(total).store(total_ + i);
    });
    for (int64_t i = 0; i < count_; ++i) {
      const float* row = sums_ + i / height_ * size + i % height_ * 32;
      uint16_t* out = result(a, head_, i0_ + i);
      for (int64_t c = 0; c < a.value_width; c += W)
        store_bf16_n(out + c, V::load(row + c / 32 * height_ * 32 + c % 32) * V(total_[i]),
                     a.value_width - c);
    }
  }

 private:
  void unit(int64_t first, float* sums, int64_t j0, int64_t n, const PairPanels& k,
            const float* packed_k, const PairPanels& v, const float* packed_v) {
    const int64_t rows = min(height_, count_ - first);
    const int64_t keys = seen_by(a, i0_ + first + rows - 1, j0 + n) - j0;
    if (keys <= 0) return;
    for (int64_t i = 0; i < rows; ++i) {
      uint16_t* q = row(i);
      __builtin_memcpy(q, place(a, a.q, head_, i0_ + first + i), sizeof(*q) * a.width);
      for (int64_t w = a.width; w < 2 * k.pairs; ++w) q[w] = 0;
    }
    multiply(ops, rows, height_, rows_, k, packed_k, ceil_div(keys, PairPanels::NR),
             ceil_div(a.width, 2), scores_, false);
    const int64_t depth = ceil_div(keys, 2 * PairPanels::kStep) * 2 * PairPanels::kStep;
    softmax(first, rows, sums, j0, n, depth);
    multiply(ops, rows, height_, rows_, v, packed_v, columns_, ceil_div(keys, 2), sums, j0 > 0);
  }

  // Of a unit: scores become probabilities as pairs, and what was summed before is scaled to the
  // new maxima. What rows need as numbers is found for W of them at a time.
  FLAMBEAU_PAIRS void softmax(int64_t first, int64_t rows, float* sums, int64_t j0, int64_t n,
                              int64_t depth) {
    float *top = top_ + first, *total = total_ + first;
    const auto seen = [&](int64_t i) {
      return max(seen_by(a, i0_ + first + i, j0 + n) - j0, int64_t{0});
    };
    const auto row_at = [&](int64_t i) {
      return [this, i](int64_t j) { return scores_ + ((j >> 5) * height_ + i) * 32 + (j & 31); };
    };
    const V scale(static_cast<float>(a.scale));
    for (int64_t g = 0; g < rows; g += W) {
      const int64_t count = min(W, rows - g);
      V lanes[W];
      for (int64_t i = 0; i < W; ++i) lanes[i] = V(-kInf<float>);
      for (int64_t i = 0; i < count; ++i)
        lanes[i] = scaled(seen(g + i), scale, mask_of(a, head_, i0_ + first + g + i, j0),
                          a.mask_step[3], lanes[i], row_at(g + i));
      const V before = V::load(top + g);
      const V now = max(before, fold_lanes(lanes, [](V x, V y) { return max(x, y); }));
      alignas(64) float base[W], kept[W];
      finite(now).store(base);
      exp(before - finite(now)).store(kept);
      for (int64_t i = 0; i < count; ++i)
        lanes[i] = exponentials(seen(g + i), V(base[i]), row_at(g + i));
      fma(V::load(total + g), V::load(kept), lane_sums(lanes)).store_n(total + g, count);
      now.store_n(top + g, count);
      for (int64_t i = 0; i < count; ++i) {
        const auto at = row_at(g + i);
        for (int64_t j = 0; j < depth; j += W) {
          const V e = V::load_n(at(j), max(seen(g + i) - j, int64_t{0}));
          _mm256_storeu_si256((__m256i*)(row(g + i) + j), (__m256i)_mm512_cvtneps_pbh(e.v));
        }
        if (j0 > 0 && kept[i] != 1) scale_sums(sums + (g + i) * 32, V(kept[i]));
      }
    }
  }
  void scale_sums(float* row, V factor) const {
    for (int64_t c = 0; c < columns_; ++c, row += 32 * height_)
      for (int64_t v = 0; v < 32; v += W) (V::load(row + v) * factor).store(row + v);
  }
  uint16_t* row(int64_t i) { return reinterpret_cast<uint16_t*>(rows_ + i * kPitch); }

  const AttentionArgs& a;
  const TileOps* ops;
  int64_t head_, i0_, count_, height_, columns_;
  float *sums_ = nullptr, *scores_ = nullptr, *rows_ = nullptr;
  alignas(64) float top_[kQueries + W], total_[kQueries + W];  // of what each row has seen
};

// -- few queries: bound by reading keys and values, which are read once and where they lie --------

FLAMBEAU_INLINE V load_bf16_n(const uint16_t* p, int64_t n) {
  return V((V::Reg)_mm512_maskz_slli_epi32(0xffff, pair_up(p, nullptr, n), 16));
}

// scores[j] = the product of q with key j, of `count` keys, 16 at most.
FLAMBEAU_PAIRS void dots(const AttentionArgs& a, const uint16_t* q, const uint16_t* keys,
                         int64_t count, float* scores) {
  V acc[W];
#pragma GCC unroll 16
  for (int64_t j = 0; j < W; ++j) acc[j] = V(0.0f);
  for (int64_t w = 0; w < a.width; w += 2 * W) {
    const __mmask32 mask = a.width - w >= 2 * W ? ~0u : (1u << (a.width - w)) - 1;
    const __m512bh x = (__m512bh)_mm512_maskz_loadu_epi16(mask, q + w);
#pragma GCC unroll 16
    for (int64_t j = 0; j < W; ++j) {
      const uint16_t* k = keys + min(j, count - 1) * a.k.row;
      acc[j] = V(_mm512_dpbf16_ps(acc[j].v, x, (__m512bh)_mm512_maskz_loadu_epi16(mask, k + w)));
    }
  }
  lane_sums(acc).store_n(scores, count);
}

// out = the values of `keys` keys, weighed.
void weigh(const AttentionArgs& a, const uint16_t* values, const float* p, int64_t keys, V share,
           uint16_t* out) {
  constexpr int64_t N = 4;
  for (int64_t c = 0; c < a.value_width; c += N * W) {
    V acc[2][N];
#pragma GCC unroll 4
    for (int64_t v = 0; v < N; ++v) acc[0][v] = acc[1][v] = V(0.0f);
    for (int64_t j = 0; j < keys; ++j)
#pragma GCC unroll 4
      for (int64_t v = 0; v < N; ++v) {
        const int64_t at = c + v * W, left = a.value_width - at;
        if (left <= 0) continue;
        const uint16_t* from = values + j * a.v.row + at;
        const V x = left >= W ? load_bf16(from) : load_bf16_n(from, left);
        acc[j % 2][v] = fma(V(p[j]), x, acc[j % 2][v]);
      }
#pragma GCC unroll 4
    for (int64_t v = 0; v < N; ++v) {
      const int64_t at = c + v * W, left = a.value_width - at;
      if (left > 0) store_bf16_n(out + at, (acc[0][v] + acc[1][v]) * share, left);
    }
  }
}

void few_queries(const AttentionArgs& a, int64_t head) {
  float* p = scratch_for<float>(Scratch::columns, a.keys + W);
  for (int64_t i = 0; i < a.queries; ++i) {
    const int64_t seen = seen_by(a, i, a.keys);
    for (int64_t j = 0; j < seen; j += W)
      dots(a, place(a, a.q, head, i), place(a, a.k, head, j), min(W, seen - j), p + j);
    const auto at = [&](int64_t j) { return p + j; };
    const V lanes = scaled(seen, V(static_cast<float>(a.scale)), mask_of(a, head, i, 0),
                           a.mask_step[3], V(-kInf<float>), at);
    const V top(hmax(lanes)), total(sum(exponentials(seen, finite(top), at)));
    weigh(a, place(a, a.v, head, 0), p, seen, share_of(total), result(a, head, i));
    static_cast<float*>(a.logsum)[head * a.queries + i] = logsum_of(top, total).v[0];
  }
}

void attention_pairs(const AttentionArgs& a, bool* fits) {
  if (fits) {
    *fits = has_pairs() && max(a.width, a.value_width) <= 2 * kPitch;
    return;
  }
  const bool few = a.queries <= kFewQueries;
  const int64_t blocks = few ? 1 : ceil_div(a.queries, kQueries);
  parallel_for(0, a.batch * a.heads * blocks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n)
      few ? few_queries(a, n) : QueryBlock(a, n / blocks, n % blocks * kQueries).run();
  });
}

#else

void attention_pairs(const AttentionArgs&, bool* fits) { *fits = false; }

#endif

}  // namespace

FLAMBEAU_REGISTER(attention_pairs_kernel, attention_pairs);

}  // namespace FLAMBEAU_ISA
}  // namespace flambeau
