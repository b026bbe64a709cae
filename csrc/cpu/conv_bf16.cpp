// Forward convolution of bfloat16 cut into blocks of lines and tiles of filters.
#include "conv_bf16.h"

namespace flambeau {
namespace FLAMBEAU_ISA {
namespace {

#ifdef FLAMBEAU_PAIRS

// What is done to sums: the bias, a normalization and a relu in registers, the rest of the steps
// when a tile's block is stored.
struct PairEnd {
  float *bias = nullptr, *slope = nullptr, *shift = nullptr;
  bool relu = false;
  Finish rest{};

  explicit PairEnd(const ConvPairsArgs& a) {
    const int64_t n = a.out_channels;
    float* memory = scratch_for<float>(Scratch::shared, 3 * n);
    if (a.bias) bf16_to_float(static_cast<const uint16_t*>(a.bias), bias = memory, n);
    if (!a.finish) return;
    rest = *a.finish;
    if (const FinishStep& s = *rest.steps; s.kind == FinishStep::norm) {
      slope = memory + n, shift = slope + n;
      for (int64_t c = 0; c < n; ++c) {
        const auto affine = affine_of<float>(s.mean, s.var, s.weight, s.bias, s.eps, c);
        slope[c] = affine.slope, shift[c] = affine.shift;
      }
      ++rest.steps, --rest.count;
    }
    relu = rest.count && rest.steps->is_relu;
    if (relu) ++rest.steps, --rest.count;
  }
};

struct PairConvRun {
  static constexpr int64_t W = Vec<float>::size;
  const PairConv& c;
  const PairEnd& end;
  int64_t lines, columns;              // of a block
  int64_t down, across, parts, part;   // blocks of a plane, parts of the tiles of filters

  PairConvRun(const PairConv& conv, const PairEnd& ending) : c(conv), end(ending) {
    const ConvPairsArgs& a = c.a;
    // A block's lines stay in the second-level cache.
    constexpr int64_t kNumbers = (256 << 10) / 4;
    const int64_t rows_reach = (a.kernel[1] - 1) * a.dilation[1];
    const int64_t reach = (a.kernel[2] - 1) * a.dilation[2];
    const int64_t planes =
        c.pairs * a.kernel[0] * min(a.stride[1], rows_reach + 1) * min(a.stride[2], reach + 1);
    const int64_t line = planes * (a.out[2] + reach / a.stride[2]);
    lines = kNumbers / line - rows_reach / a.stride[1];
    lines = min(max(lines, min(a.out[1], max(int64_t{1}, a.kernel[1] / 2))), a.out[1]);
    if (c.ops) lines = max(int64_t{1}, min(lines, 1536 / a.out[2]));  // their sums wait, too
    columns = a.out[2];
    if (lines == 1 && line > kNumbers + kNumbers / 4) {
      columns = max(int64_t{256}, kNumbers / planes) / W * W;
      columns = ceil_div(a.out[2], ceil_div(a.out[2], columns));
    }
    down = ceil_div(a.out[1], lines), lines = ceil_div(a.out[1], down);
    down = ceil_div(a.out[1], lines);
    across = ceil_div(a.out[2], columns);
    const int64_t tasks = a.batch * a.groups * a.out[0] * down * across;
    parts = max(int64_t{1}, min(ceil_div(16, tasks), c.tiles / 4));
    part = ceil_div(c.tiles, parts), parts = ceil_div(c.tiles, part);
  }

  PairBlock block(int64_t i) const {
    const ConvPairsArgs& a = c.a;
    PairBlock b;
    b.w0 = i % across * columns, b.w1 = min(b.w0 + columns, a.out[2]), i /= across;
    b.h0 = i % down * lines, b.h1 = min(b.h0 + lines, a.out[1]), i /= down;
    b.d = i % a.out[0], i /= a.out[0];
    b.group = i % a.groups, b.n = i / a.groups;
    return b;
  }

  // The places of a block, vector by vector.
  static int64_t list_vectors(const PairBlock& b, int64_t pitch, PairVector* out) {
    const int64_t width = b.w1 - b.w0, places = (b.h1 - b.h0 - 1) * pitch + width;
    int64_t count = 0, to = 0;
    for (int64_t p = 0; p < places; p += W, ++count) {
      PairVector v{static_cast<int32_t>(p), static_cast<int32_t>(to), 0, 0};
      for (int64_t q = 0; q < W && p + q < places; ++q)
        if ((p + q) % pitch < width) v.mask = static_cast<uint16_t>(v.mask | 1u << q), ++v.count;
      to += v.count;
      out[count] = v;
    }
    return count;
  }

  // Where each step of the reduction reads, in the order of the packed filters.
  int64_t list_steps(const PairLines& lines_of, int32_t* at) const {
    const int64_t stride = lines_of.pair_step(), step = c.ops ? PairPanels::kStep : 1;
    const int64_t outer = c.ops ? c.taps : c.pairs, inner = c.ops ? c.pairs / step : c.taps;
    for (int64_t i = 0; i < outer; ++i)
      for (int64_t j = 0; j < inner; ++j)
        *at++ = static_cast<int32_t>(c.ops ? lines_of.at(i) + j * step * stride
                                           : lines_of.at(j) + i * stride);
    return outer * inner;
  }

  void run(int64_t task) const {
    const ConvPairsArgs& a = c.a;
    const PairBlock b = block(task / parts);
    const int64_t t0 = task % parts * part, t1 = min(t0 + part, c.tiles);
    const PairLines lines_of(c, b);
    const int64_t steps = c.taps * c.pairs;
    const int64_t most = ceil_div((b.h1 - b.h0) * lines_of.pitch(), W) + 1;
    float* buffer = scratch_for<float>(Scratch::columns, lines_of.numbers());
    lines_of.fill(buffer);
    PairVector* vectors = reinterpret_cast<PairVector*>(
        scratch(Scratch::packed_a, static_cast<size_t>(steps) * 4 + most * sizeof(PairVector)));
    int32_t* at = reinterpret_cast<int32_t*>(vectors + most);
    const int64_t count = list_vectors(b, lines_of.pitch(), vectors), stride = lines_of.pair_step();
    const int64_t s = list_steps(lines_of, at);
    const int64_t plane = a.out[1] * a.out[2];
    uint16_t* out = static_cast<uint16_t*>(a.output) +
                    ((b.n * a.out_channels + b.group * c.filters) * a.out[0] + b.d) * plane +
                    b.h0 * a.out[2] + b.w0;
    for (int64_t t = t0; t < t1; ++t) {
      PairLineTile tile;
      tile.a = static_cast<const float*>(a.packed) + (b.group * c.tiles + t) * c.tile_size();
      tile.a_col = c.rows;
      tile.at = at, tile.k = s;
      tile.lines = buffer;
      tile.c_row = a.out[0] * plane;
      tile.c = out + t * c.rows * tile.c_row;
      const int64_t first = b.group * c.filters + t * c.rows;
      tile.bias = end.bias ? end.bias + first : nullptr;
      tile.slope = end.slope ? end.slope + first : nullptr;
      tile.shift = end.slope ? end.shift + first : nullptr;
      tile.relu = end.relu;
      const int64_t rows = min(c.rows, c.filters - t * c.rows);
      if (c.ops)
        run_tiles(tile, vectors, count, rows, stride);
      else
        run_vectors(tile, vectors, count, rows);
      for (int64_t r = 0; end.rest.count && r < rows; ++r)
        finish(b, tile.c + r * tile.c_row, first + r);
    }
  }

  // The results of a block in one channel.
  void finish(const PairBlock& b, uint16_t* y, int64_t channel) const {
    const int64_t width = c.a.out[2], n = b.h1 - b.h0;
    if (across == 1) return finish_run(end.rest, y, n * width, channel);
    for (int64_t h = 0; h < n; ++h) finish_run(end.rest, y + h * width, b.w1 - b.w0, channel);
  }

  static void run_vectors(const PairLineTile& t, const PairVector* v, int64_t count, int64_t rows) {
    int64_t i = 0;
    for (; i + 2 <= count; i += 2) kPairLineTiles<2>.by_rows[rows](t, v + i);
    if (i < count) kPairLineTiles<1>.by_rows[rows](t, v + i);
  }

  // The reduction in parts of 16 steps, whose filters stay in the first-level cache.
  void run_tiles(const PairLineTile& t, const PairVector* v, int64_t count, int64_t rows,
                 int64_t stride) const {
    constexpr int64_t kPart = 16;
    float* sums = scratch_for<float>(Scratch::output, ceil_div(count, 2) * 1024);
    c.ops->configure(rows);
    for (int64_t s = 0; s < t.k; s += kPart)
      for (int64_t i = 0; i < count; i += 2) {
        TileUnit u;
        u.rows = rows;
        u.a = reinterpret_cast<const char*>(t.a + s * 32 * PairPanels::kStep);
        u.a_row = 64, u.a_step = 64 * 32;
        u.b[0] = reinterpret_cast<const char*>(t.lines + v[i].from);
        u.b[1] = i + 1 < count ? reinterpret_cast<const char*>(t.lines + v[i + 1].from) : nullptr;
        u.b_row = 4 * stride;
        u.at = t.at + s;
        u.steps = min(kPart, t.k - s);
        u.c = sums + i / 2 * 1024;
        u.add = s > 0;
        c.ops->multiply(u);
        if (s + kPart < t.k) continue;
        for (int64_t q = 0; q < 2 && i + q < count; ++q)
          for (int64_t r = 0; r < rows; ++r)
            store_places(t, r, Vec<float>::load(u.c + 32 * r + 16 * q), v[i + q]);
      }
    c.ops->release();
  }
};

void convolve(const ConvPairsArgs& a) {
  const PairConv c(a);
  const PairEnd end(a);
  const PairConvRun run(c, end);
  const int64_t tasks = a.batch * a.groups * a.out[0] * run.down * run.across * run.parts;
  const double flops = 2.0 * static_cast<double>(a.batch * a.out_channels) *
                       static_cast<double>(a.out[0] * a.out[1] * a.out[2]) *
                       static_cast<double>(c.channels * c.taps) / static_cast<double>(tasks);
  parallel_for(0, tasks, 1 + static_cast<int64_t>(kParallelFlops / (flops + 1)),
               [&](int64_t begin, int64_t end) {
                 for (int64_t i = begin; i < end; ++i) run.run(i);
               });
}

void conv_pairs(const ConvPairsArgs& a) {
  if (!a.bytes) return convolve(a);
  *a.bytes = 0;
  if (!has_pairs()) return;
  const PairConv c(a);
  if (!c.fits()) return;
  *a.bytes = c.packed_size() * static_cast<int64_t>(sizeof(float));
  float* out = static_cast<float*>(a.pack);
  if (!out) return;
  if (a.weight_is_float)
    c.pack(static_cast<const float*>(a.weight), out);
  else
    c.pack(static_cast<const uint16_t*>(a.weight), out);
}

#else

void conv_pairs(const ConvPairsArgs& a) {
  if (a.bytes) *a.bytes = 0;
}

#endif

}  // namespace

FLAMBEAU_REGISTER(conv_pairs_kernel, conv_pairs);

}  // namespace FLAMBEAU_ISA
}  // namespace flambeau
