// Convolution, its transpose and its weight gradient, each as tiles of the matrix micro-kernel
// over blocks of columns. Sums run in an order given by the sizes alone.
#include "conv_depthwise.h"
#include "conv_direct.h"
#include "conv_lanes.h"
#include "conv_phases.h"
#include "conv_pointwise.h"
#include "conv_taps.h"
#include "conv_winograd.h"

namespace flambeau {
namespace FLAMBEAU_ISA {
namespace {

// Nothing to sum over: what is written is the bias.
bool nothing(const ConvArgs& a) {
  for (int i = 0; i < 3; ++i)
    if (a.in[i] <= 0 || a.out[i] <= 0 || a.kernel[i] <= 0) return true;
  return a.batch <= 0 || a.in_channels <= 0 || a.out_channels <= 0;
}

template <class T>
int64_t packed_filters(const Conv<T>& c) {
  const int64_t tiles = ceil_div(c.filters, kTileRows), rows = ceil_div(c.filters, tiles);
  return c.a.groups * tiles * rows * c.depth + Vec<T>::size;
}
template <class T>
Filters<T> filters_at(const Conv<T>& c, const T* packed) {
  const int64_t tiles = ceil_div(c.filters, kTileRows), rows = ceil_div(c.filters, tiles);
  return {tiles, rows, packed, tiles * rows * c.depth, 1, rows};
}
template <class T>
Filters<T> pack_filters(const Conv<T>& c, T* packed) {
  const int64_t tiles = ceil_div(c.filters, kTileRows), rows = ceil_div(c.filters, tiles);
  // In order: the store of a tile's last vector reaches into the next tile.
  for (int64_t i = 0; i < c.a.groups * tiles; ++i) {
    const int64_t first = i % tiles * rows;
    if (first < c.filters)
      pack(packed + i * rows * c.depth, rows, c.weight(i / tiles * c.filters + first), c.depth, 1,
           min(rows, c.filters - first), c.depth, T(1));
  }
  return filters_at(c, packed);
}
// Where they are read about once, packing would cost more than it gains.
template <class T>
bool filters_once(const Conv<T>& c) {
  return !DirectConv<T>::fits(c) && c.a.batch * c.positions <= 2 * kTileCols<T>;
}
template <class T>
Filters<T> filters_in_place(const Conv<T>& c) {
  const int64_t tiles = ceil_div(c.filters, kTileRows), rows = ceil_div(c.filters, tiles);
  return {tiles, rows, c.weight(0), c.filters * c.depth, c.depth, 1};
}

// out[filter][position] of tiles [t0, t1) of one group's filters, for a span. The reduction runs in
// chunks of channels, so that what a chunk reads stays in the caches.
template <class T>
void output_span(const Conv<T>& c, const Filters<T>& f, const Span& s, int64_t group, int64_t t0,
                 int64_t t1) {
  constexpr int64_t NR = kTileCols<T>, W = Vec<T>::size;
  const int64_t chunk = max(int64_t{1}, 256 / c.taps), first = group * c.filters + t0 * f.rows;
  const int64_t filters = min(t1 * f.rows, c.filters) - t0 * f.rows;
  const int64_t each = (s.last - s.first) * c.width, count = (s.n1 - s.n0) * each;
  const bool apart = s.n1 - s.n0 > 1;  // the results of several images are sorted out at the end
  TileArgs<T> t;
  t.c_row = apart ? column_step<T>(count) : c.y_plane;
  T* out = apart ? scratch_for<T>(Scratch::output, filters * t.c_row + W)
                 : c.output(s.n0, first) + s.first * c.width;
  t.a_row = f.row, t.a_col = f.col;
  for (int64_t ch = 0; ch < c.channels; ch += chunk) {
    const int64_t channels = min(chunk, c.channels - ch);
    const Columns<T> cols = columns(c, s, group * c.channels + ch, channels);
    t.b_row = cols.step;
    t.k = channels * c.taps;
    t.start = ch > 0 ? Start::c : c.a.bias ? Start::bias_rows : Start::zero;
    for (int64_t j = 0; j < count; j += NR)
      for (int64_t i = t0; i < t1; ++i) {
        const int64_t at = (i - t0) * f.rows;
        t.a = f.data + group * f.group + i * f.rows * c.depth + ch * c.taps * f.col;
        t.b = cols.data + j;
        t.cols = min(NR, count - j);
        t.c = out + at * t.c_row + j;
        t.bias = static_cast<const T*>(c.a.bias) + (c.a.bias ? first + at : 0);
        run_tile(t, min(f.rows, filters - at));
      }
  }
  for (int64_t n = s.n0; n < s.n1; ++n)
    for (int64_t i = 0; i < filters; ++i) {
      const T* src = out + i * t.c_row + (n - s.n0) * each;
      T* dst = c.output(n, first + i);
      for (int64_t j = 0; apart && j < each; j += W)
        Vec<T>::load_n(src + j, each - j).store_n(dst + j, each - j);
      finish(c, n, first + i, s.first * c.width, each);
    }
}

// A task is a group of one span, and where there are few such, some of its filters.
template <class T>
void output_spans(const Conv<T>& c, const Filters<T>& f) {
  // Short spans, where images fill them, so that tasks need not share the columns of one.
  const Spans<T> spans(c, 0, c.a.batch, kSpan / 2 % c.positions == 0 ? kSpan / 2 : kSpan);
  const int64_t tiles = ceil_div(c.filters, f.rows), tasks = spans.count() * c.a.groups;
  int64_t parts = min(ceil_div(16, tasks), max(int64_t{1}, tiles / 8));
  const int64_t part = ceil_div(tiles, parts);
  parts = ceil_div(tiles, part);
  const double flops =
      c.flops() * static_cast<double>(c.a.batch * c.a.groups) / static_cast<double>(tasks * parts);
  parallel_for(0, tasks * parts, 1 + static_cast<int64_t>(kParallelFlops / (flops + 1)),
               [&](int64_t begin, int64_t end) {
                 for (int64_t i = begin; i < end; ++i) {
                   const int64_t p = i % parts * part, group = i / parts % c.a.groups;
                   const Span s = spans.at(i / parts / c.a.groups);
                   output_span(spans.conv(c, s), f, s, group, p, min(p + part, tiles));
                 }
               });
}

template <class T>
void output_lines(const Conv<T>& c, const Filters<T>& f) {
  const DirectConv<T> direct(c);
  const int64_t width = c.single_line() ? c.part_width(direct.line_fit()) : c.width;
  const int64_t blocks = c.single_line() ? ceil_div(c.width, width) : direct.blocks();
  // Where there are few blocks of lines, some of the filters each: lines are laid out for each
  // part.
  const int64_t tasks = c.a.batch * c.a.groups * blocks;
  int64_t parts = min(ceil_div(16, tasks), ceil_div(f.tiles, 2));
  if (c.flops() < 8 * kParallelFlops * static_cast<double>(blocks)) parts = 1;
  const int64_t part = ceil_div(f.tiles, parts);
  parts = ceil_div(f.tiles, part);
  const double flops = c.flops() / static_cast<double>(blocks * parts) + 1;
  const int64_t grain = 1 + static_cast<int64_t>(kParallelFlops / flops);
  parallel_for(0, tasks * parts, grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t task = i / parts, first = i % parts * part, last = min(first + part, f.tiles);
      const int64_t n = task / blocks / c.a.groups, group = task / blocks % c.a.groups;
      const int64_t block = task % blocks;
      if (!c.single_line()) {
        direct.run(f, n, group, block, first, last);
        continue;
      }
      const Conv<T> line = c.part(block * width, min((block + 1) * width, c.width));
      DirectConv<T>(line).run(f, n, group, 0, first, last);
    }
  });
}

// f(n, channel) for every image and every `step`th of its channels, each with filters of its own.
template <class T, class F>
void each_plane(const Conv<T>& c, int64_t channels, int64_t step, const F& f) {
  const double flops = c.flops() * static_cast<double>(step) + 1;
  const int64_t count = ceil_div(channels, step);
  parallel_for(0, c.a.batch * count, 1 + static_cast<int64_t>(kParallelFlops / 4 / flops),
               [&](int64_t begin, int64_t end) {
                 for (int64_t i = begin; i < end; ++i) f(i / count, i % count * step);
               });
}

// Where it pays, and where what it gave is finite.
template <class T, class F>
bool by_winograd(const Conv<T>& c, int64_t worth, const F& f) {
  if constexpr (sizeof(T) == 4)
    return Winograd<T>::fits(c, worth) && f();
  else
    return false;
}

// Whether a dilated convolution is worth its phases, each an image of a few tiles.
template <class T>
bool by_phases(const Conv<T>& c, int64_t worth = 2048) {
  return c.dilated() && c.width >= 7 * c.a.dilation[2] &&
         Winograd<T>::fits(DilatedPhases<T>(c).plain(), worth);
}

// The weight as `output` reads it, for one that is kept.
void conv_filters(const ConvArgs& a, void* to, int64_t* bytes) {
  *bytes = 0;
  if (a.is_double || nothing(a)) return;
  const Conv<float> c(a);
  if (c.whole() || c.pointwise()) return;
  if (DepthwiseLanes<float>::fits(c) || Depthwise<float>::fits(c)) return;
  float* filters = static_cast<float*>(to);
  const bool phases = by_phases(c);
  if (phases || Winograd<float>::fits(c)) {
    const Conv<float> plain = phases ? DilatedPhases<float>(c).plain() : c;
    const Winograd<float> w(plain, false);
    *bytes = w.all_filters() * static_cast<int64_t>(sizeof(float));
    if (to) w.transform_filters(filters);
  } else if (ConvTaps<float>::fits(c)) {
    *bytes = c.weight_numbers() * static_cast<int64_t>(sizeof(float));
    if (to) ConvTaps<float>(c).turn_weight(filters);
  } else if (!filters_once(c)) {
    *bytes = packed_filters(c) * static_cast<int64_t>(sizeof(float));
    if (to) pack_filters(c, filters);
  }
}

// False where what it gives is not finite.
template <class T>
bool output_phases(const Conv<T>& c) {
  const DilatedPhases<T> phases(c);
  bool finite = true;
  phases.each_part(0, [&](const Conv<T>& part, int64_t n, int64_t images) {
    finite = finite && Winograd<T>(part, false).output(static_cast<const T*>(c.a.filters));
    phases.put_output(n, images, part.output(0, 0));
  });
  if (finite && c.a.finish)
    each_plane(c, c.a.out_channels, 1,
               [&](int64_t n, int64_t filter) { finish(c, n, filter, 0, c.positions); });
  return finite;
}

template <class T>
void output_taps(const Conv<T>& c, const T* kept) {
  const ConvTaps<T> taps(c);
  if (!kept) {
    T* weight = scratch_for<T>(Scratch::output, c.weight_numbers());
    taps.turn_weight(weight);
    kept = weight;
  }
  taps.output(kept);
}

template <class T>
void output(const Conv<T>& c) {
  if (c.whole()) return output_whole(c);
  if (c.pointwise()) return output_pointwise(c);
  if (DepthwiseLanes<T>::fits(c)) {
    const DepthwiseLanes<T> d(c);
    return each_plane(c, c.a.out_channels, d.kLanes,
                      [&](int64_t n, int64_t channel) { d.output(n, channel); });
  }
  if (Depthwise<T>::fits(c)) {
    const Depthwise<T> d(c);
    return each_plane(c, c.a.out_channels, 1,
                      [&](int64_t n, int64_t filter) { d.output(n, filter); });
  }
  const T* kept = static_cast<const T*>(c.a.filters);
  if constexpr (sizeof(T) == 4)
    if (Winograd<T>::fits(c)) {
      if (Winograd<T>(c, false).output(kept)) return;
      kept = nullptr;
    } else if (by_phases(c)) {
      if (output_phases(c)) return;
      kept = nullptr;
    }
  if (ConvTaps<T>::fits(c)) return output_taps(c, kept);
  if (filters_once(c)) return output_spans(c, filters_in_place(c));
  const Filters<T> f = kept ? filters_at(c, kept)
                            : pack_filters(c, scratch_for<T>(Scratch::packed_b, packed_filters(c)));
  if (DirectConv<T>::fits(c))
    output_lines(c, f);
  else
    output_spans(c, f);
}

// -- the input's gradient -------------------------------------------------------------------------

// With stride 1 it is a convolution of the output with the filters mirrored, channels and filters
// exchanged.
template <class T>
bool mirrors(const Conv<T>& c) {
  for (int i = 0; i < 3; ++i)
    if (c.a.stride[i] != 1 || c.a.padding[i] > (c.a.kernel[i] - 1) * c.a.dilation[i]) return false;
  return true;
}

template <class T>
void input_mirrored(const Conv<T>& c) {
  ConvArgs a = c.a;
  a.in_channels = c.a.out_channels, a.out_channels = c.a.in_channels;
  a.input = c.a.output, a.output = c.a.input;
  for (int i = 0; i < 3; ++i) {
    a.in[i] = c.a.out[i], a.out[i] = c.a.in[i];
    a.padding[i] = (a.kernel[i] - 1) * a.dilation[i] - c.a.padding[i];
  }
  const Conv<T> turned(a);
  if (by_winograd(turned, 2048, [&] { return Winograd<T>(turned, true).output(); })) return;
  T* mirrored = scratch_for<T>(Scratch::shared, c.a.out_channels * c.depth);
  constexpr int64_t kBlock = 16;  // channels at a time: neither side jumps at every filter
  const int64_t blocks = ceil_div(c.channels, kBlock);
  const auto mirror = [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      for (int64_t f = 0; f < c.filters; ++f) {
        const int64_t group = i / blocks, first = i % blocks * kBlock;
        for (int64_t ch = first; ch < min(first + kBlock, c.channels); ++ch) {
          const T* src = c.weight(group * c.filters + f) + ch * c.taps;
          T* dst = mirrored + ((group * c.channels + ch) * c.filters + f) * c.taps;
          for (int64_t k = 0; k < c.taps; ++k) dst[k] = src[c.taps - 1 - k];
        }
      }
  };
  parallel_for(0, a.groups * blocks, 1 + (16 << 10) / (kBlock * c.filters * c.taps), mirror);
  a.weight = mirrored;
  output(Conv<T>(a));
}

// With a stride every phase of the input is a convolution of the output with the taps that reach
// it. What one dimension gives phase `a`: its first tap, how many there are, and the padding.
struct Phase {
  int64_t first, taps, padding, size;
};
template <class T>
Phase phase_of(const Conv<T>& c, int d, int64_t a) {
  const int64_t s = c.a.stride[d], at = a + c.a.padding[d], first = at % s;
  const int64_t taps = first < c.a.kernel[d] ? ceil_div(c.a.kernel[d] - first, s) : 0;
  return {first, taps, taps - 1 - (at - first) / s, a < c.a.in[d] ? ceil_div(c.a.in[d] - a, s) : 0};
}
template <class T>
bool has_phases(const Conv<T>& c) {
  if (c.channels < kTileRows) return false;  // half-empty tiles, once for each phase
  for (int d = 0; d < 3; ++d) {
    if (c.a.stride[d] > 1 && c.a.dilation[d] > 1) return false;
    for (int64_t a = 0; a < c.a.stride[d]; ++a) {
      const Phase p = phase_of(c, d, a);
      if (p.taps <= 0 || p.padding < 0 || p.size <= 0) return false;
    }
  }
  return c.a.dilation[0] == 1 && c.a.dilation[1] == 1 && c.a.dilation[2] == 1;
}

// [groups][channel][filter][taps of the phase], mirrored.
template <class T>
void take_phase(const Conv<T>& c, const Phase (&p)[3], T* dst) {
  const int64_t *k = c.a.kernel, *s = c.a.stride;
  const int64_t taps = p[0].taps * p[1].taps * p[2].taps;
  constexpr int64_t kBlock = 16;  // channels at a time, as in input_mirrored
  const int64_t blocks = ceil_div(c.channels, kBlock);
  const auto turn = [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n)
      for (int64_t f = 0; f < c.filters; ++f) {
        const int64_t group = n / blocks, from = n % blocks * kBlock;
        for (int64_t ch = from; ch < min(from + kBlock, c.channels); ++ch) {
          const T* src = c.weight(group * c.filters + f) + ch * c.taps;
          T* out = dst + ((group * c.channels + ch) * c.filters + f) * taps;
          for (int64_t i = p[0].taps - 1; i >= 0; --i)
            for (int64_t j = p[1].taps - 1; j >= 0; --j)
              for (int64_t w = p[2].taps - 1; w >= 0; --w)
                *out++ = src[((p[0].first + i * s[0]) * k[1] + p[1].first + j * s[1]) * k[2] +
                             p[2].first + w * s[2]];
        }
      }
  };
  parallel_for(0, c.a.groups * blocks, 1 + (16 << 10) / (kBlock * c.filters * taps), turn);
}

// Planes of one phase to their places in planes of the input.
template <class T>
void put_phase(const Conv<T>& c, const Phase (&p)[3], const int64_t (&a)[3], int64_t n0,
               int64_t count, const T* src) {
  const int64_t size = p[0].size * p[1].size * p[2].size, s = c.a.stride[2];
  const int64_t *in = c.a.in, *step = c.a.stride;
  parallel_for(0, count * c.a.in_channels, 1 + 16384 / size, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const T* from = src + i * size;
      T* x = c.input(n0 + i / c.a.in_channels, i % c.a.in_channels);
      for (int64_t d = 0; d < p[0].size; ++d)
        for (int64_t h = 0; h < p[1].size; ++h, from += p[2].size) {
          T* to = x + ((a[0] + d * step[0]) * in[1] + a[1] + h * step[1]) * in[2] + a[2];
          if (s == 2)
            for (int64_t j = 0; j < p[2].size; ++j) to[2 * j] = from[j];
          else
            for (int64_t j = 0; j < p[2].size; ++j) to[s * j] = from[j];
        }
    }
  });
}

template <class T>
void input_phases(const Conv<T>& c) {
  const int64_t *stride = c.a.stride, phases = stride[0] * stride[1] * stride[2];
  const int64_t each = c.a.in_channels * ceil_div(c.in_size(), phases) * 2;
  const int64_t fit = max(int64_t{1}, (8 << 20) / (each * static_cast<int64_t>(sizeof(T))));
  const int64_t images = ceil_div(c.a.batch, ceil_div(c.a.batch, fit));
  const int64_t weights = ceil_div(c.a.out_channels * c.depth, 16) * 16;
  for (int64_t n = 0; n < c.a.batch; n += images)
    for (int64_t i = 0; i < phases; ++i) {
      const int64_t at[3] = {i / stride[2] / stride[1], i / stride[2] % stride[1], i % stride[2]};
      Phase p[3];
      ConvArgs a = c.a;
      a.batch = min(images, c.a.batch - n);
      a.in_channels = c.a.out_channels, a.out_channels = c.a.in_channels;
      int64_t size = a.batch * a.out_channels;
      for (int d = 0; d < 3; ++d) {
        p[d] = phase_of(c, d, at[d]);
        a.in[d] = c.a.out[d], a.out[d] = p[d].size, a.kernel[d] = p[d].taps;
        a.stride[d] = 1, a.padding[d] = p[d].padding;
        size *= p[d].size;
      }
      T* scratch_memory = scratch_for<T>(Scratch::shared, weights + size + Vec<T>::size);
      a.weight = scratch_memory, a.output = scratch_memory + weights;
      a.input = c.output(n, 0);
      take_phase(c, p, scratch_memory);
      output(Conv<T>(a));
      put_phase(c, p, at, n, a.batch, scratch_memory + weights);
    }
}

// Adds what one row of columns holds to where it was read from.
template <class T>
void scatter(const Conv<T>& c, const T* row, T* x, const int64_t (&tap)[3], int64_t first,
             int64_t last) {
  const ConvArgs& a = c.a;
  const int64_t s = a.stride[2], shift = tap[2] * a.dilation[2] - a.padding[2];
  const int64_t lo = shift >= 0 ? 0 : ceil_div(-shift, s);
  const int64_t hi = a.in[2] <= shift ? 0 : min(c.width, ceil_div(a.in[2] - shift, s));
  for (int64_t l = first; l < last; ++l, row += c.width) {
    const int64_t d = l / a.out[1] * a.stride[0] + tap[0] * a.dilation[0] - a.padding[0];
    const int64_t h = l % a.out[1] * a.stride[1] + tap[1] * a.dilation[1] - a.padding[1];
    if (d < 0 || d >= a.in[0] || h < 0 || h >= a.in[1]) continue;
    T* dst = x + (d * a.in[1] + h) * a.in[2] + shift;
    for (int64_t q = lo; q < hi; ++q) dst[q * s] += row[q];
  }
}

// One channel block of one image: columns by the micro-kernel, then added to the input.
template <class T>
void input_block(const Conv<T>& c, int64_t n, int64_t group, int64_t ch0, int64_t ch1) {
  constexpr int64_t NR = kTileCols<T>;
  const int64_t rows = (ch1 - ch0) * c.taps, size = c.in_size();
  for (int64_t ch = ch0; ch < ch1; ++ch) {
    const int64_t channel = group * c.channels + ch;
    const T start = c.a.bias ? static_cast<const T*>(c.a.bias)[channel] : T(0);
    T* x = c.input(n, channel);
    for (int64_t i = 0; i < size; ++i) x[i] = start;
  }
  const int64_t fit = (192 << 10) / (static_cast<int64_t>(sizeof(T)) * (rows + 1) * (c.width + 1));
  const int64_t block = min(max(fit, 1), c.lines);
  const int64_t step = column_step<T>(block * c.width), tiles = ceil_div(rows, kTileRows);
  T* cols = scratch_for<T>(Scratch::columns, rows * step + c.filters * NR + Vec<T>::size);
  T* panel = cols + rows * step;
  for (int64_t first = 0; first < c.lines; first += block) {
    const int64_t last = min(first + block, c.lines), count = (last - first) * c.width;
    for (int64_t j = 0; j < count; j += NR) {
      TileArgs<T> t;
      t.cols = min(NR, count - j);
      pack(panel, NR, c.output(n, group * c.filters) + first * c.width + j, 1, c.positions, t.cols,
           c.filters, T(1));
      t.b = panel, t.b_row = NR;
      t.k = c.filters;
      t.a_row = 1, t.a_col = c.depth;
      t.c_row = step;
      t.start = Start::zero;
      for (int64_t i = 0; i < tiles; ++i) {
        t.a = c.weight(group * c.filters) + ch0 * c.taps + i * kTileRows;
        t.c = cols + i * kTileRows * step + j;
        run_tile(t, min(int64_t{kTileRows}, rows - i * kTileRows));
      }
    }
    const T* row = cols;
    int64_t tap[3];
    for (int64_t ch = ch0; ch < ch1; ++ch)
      for (tap[0] = 0; tap[0] < c.a.kernel[0]; ++tap[0])
        for (tap[1] = 0; tap[1] < c.a.kernel[1]; ++tap[1])
          for (tap[2] = 0; tap[2] < c.a.kernel[2]; ++tap[2], row += step)
            scatter(c, row, c.input(n, group * c.channels + ch), tap, first, last);
  }
}

// Adds what the taps of one position hold to where they were read from.
template <class T>
void add_taps(const Conv<T>& c, int64_t position, const T* from, T* x) {
  const int64_t *in = c.a.in, *out = c.a.out, *kernel = c.a.kernel;
  const int64_t place[3] = {position / out[2] / out[1], position / out[2] % out[1],
                            position % out[2]};
  int64_t corner[3];
  for (int i = 0; i < 3; ++i) corner[i] = place[i] * c.a.stride[i] - c.a.padding[i];
  for (int64_t i = 0, d = corner[0]; i < kernel[0]; ++i, d += c.a.dilation[0])
    for (int64_t j = 0, h = corner[1]; j < kernel[1]; ++j, h += c.a.dilation[1]) {
      const bool inside = d >= 0 && d < in[0] && h >= 0 && h < in[1];
      for (int64_t k = 0, w = corner[2]; k < kernel[2]; ++k, w += c.a.dilation[2], ++from)
        if (inside && w >= 0 && w < in[2]) x[(d * in[1] + h) * in[2] + w] += *from;
    }
}

// Few positions under many filters: those are read once, where they lie, for all images together,
// and what each tap gives is added to where it was read from.
template <class T>
bool few_positions(const Conv<T>& c) {
  const int64_t most = mirrors(c) ? kTileCols<T> : min(c.filters, 16 * kTileCols<T>);
  return c.a.groups == 1 && c.filters >= kTileRows && c.depth >= 8 * kTileCols<T> &&
         c.a.batch * c.positions <= most;
}

template <class T>
void input_few(const Conv<T>& c) {
  const ConvArgs& a = c.a;
  const int64_t count = a.batch * c.positions, start = ceil_div(count * c.filters, 16) * 16;
  T* rows = scratch_for<T>(Scratch::shared, start + count * c.depth + Vec<T>::size);
  T* columns = rows + start;
  for (int64_t n = 0; n < a.batch; ++n)
    for (int64_t f = 0; f < c.filters; ++f)
      for (int64_t p = 0; p < c.positions; ++p)
        rows[(n * c.positions + p) * c.filters + f] = c.output(n, f)[p];
  gemm(Gemm<T>{count, c.depth, c.filters, rows, c.filters, 1, c.weight(0), c.depth, 1, columns,
               c.depth});
  const auto add = [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t n = i / a.in_channels, ch = i % a.in_channels;
      T* x = c.input(n, ch);
      const T first = a.bias ? static_cast<const T*>(a.bias)[ch] : T(0);
      for (int64_t j = 0; j < c.in_size(); ++j) x[j] = first;
      const T* from = columns + n * c.positions * c.depth + ch * c.taps;
      for (int64_t p = 0; p < c.positions; ++p, from += c.depth) add_taps(c, p, from, x);
    }
  };
  parallel_for(0, a.batch * a.in_channels, 1 + 16384 / (c.positions * c.taps), add);
}

template <class T>
void input(const Conv<T>& c) {
  if (c.whole()) return input_whole(c);
  if (c.pointwise()) return input_pointwise(c);
  if (DepthwiseLanes<T>::mirrors(c)) {
    const DepthwiseLanes<T> d(c);
    return each_plane(c, c.a.in_channels, d.kLanes,
                      [&](int64_t n, int64_t channel) { d.input(n, channel); });
  }
  if (Depthwise<T>::fits(c)) {
    const Depthwise<T> d(c);
    return each_plane(c, c.a.in_channels, 1,
                      [&](int64_t n, int64_t channel) { d.input(n, channel); });
  }
  if (few_positions(c)) return input_few(c);
  if (mirrors(c)) return input_mirrored(c);
  if (has_phases(c)) return input_phases(c);
  const int64_t wanted = ceil_div(256, c.taps);  // rows of columns worth a block
  const int64_t blocks = ceil_div(c.channels, wanted), block = ceil_div(c.channels, blocks);
  const double flops = c.flops() / static_cast<double>(blocks) + 1;
  parallel_for(0, c.a.batch * c.a.groups * blocks, 1 + static_cast<int64_t>(kParallelFlops / flops),
               [&](int64_t begin, int64_t end) {
                 for (int64_t i = begin; i < end; ++i) {
                   const int64_t image = i / blocks, first = i % blocks * block;
                   if (first < c.channels)
                     input_block(c, image / c.a.groups, image % c.a.groups, first,
                                 min(first + block, c.channels));
                 }
               });
}

// -- the weight's gradient ------------------------------------------------------------------------

// The gradients of a panel of filters over a span, as the micro-kernel reads them.
template <class T>
void pack_gradients(const Conv<T>& c, const Span& s, int64_t filter, int64_t filters, int64_t width,
                    T* dst) {
  const int64_t each = (s.last - s.first) * c.width;
  for (int64_t n = s.n0; n < s.n1; ++n, dst += each * width)
    pack(dst, width, c.output(n, filter) + s.first * c.width, c.y_plane, 1, filters, each, T(1));
}

// Sums over images [n0, n1) of one channel block of one group, turned: sums[row][filter].
template <class T>
void weight_block(const Conv<T>& c, int64_t group, int64_t ch0, int64_t ch1, int64_t n0, int64_t n1,
                  T* sums, int64_t sums_row) {
  constexpr int64_t NR = kTileCols<T>, W = Vec<T>::size;
  const int64_t rows = (ch1 - ch0) * c.taps, panels = ceil_div(c.filters, NR);
  const Spans<T> spans(c, n0, n1);
  for (int64_t i = 0; i < spans.count(); ++i) {
    const Span s = spans.at(i);
    const Conv<T> part = spans.conv(c, s);
    const Columns<T> cols = columns(part, s, group * c.channels + ch0, ch1 - ch0);
    T* grads = scratch_for<T>(Scratch::packed_a, NR * cols.count + 2 * W);
    for (int64_t p = 0; p < panels; ++p) {
      const int64_t filters = min(NR, c.filters - p * NR), width = filters <= W ? W : NR;
      pack_gradients(part, s, group * c.filters + p * NR, filters, width, grads);
      TileArgs<T> t;
      t.a_row = cols.step, t.a_col = 1;
      t.b = grads, t.b_row = width;
      t.k = cols.count;
      t.c_row = sums_row;
      t.cols = filters;
      t.start = i > 0 ? Start::c : Start::zero;
      for (int64_t r = 0; r < rows; r += kTileRows) {
        t.a = cols.data + r * cols.step;
        t.c = sums + r * sums_row + p * NR;
        run_tile(t, min(int64_t{kTileRows}, rows - r));
      }
    }
  }
}

template <class T>
void weight_spans(const Conv<T>& c) {
  // Channels are split first, then images, whose sums are added up in order at the end.
  int64_t blocks = ceil_div(c.depth, 16 * kTileRows);
  const int64_t block = ceil_div(c.channels, min(blocks, c.channels));
  blocks = ceil_div(c.channels, block);
  const int64_t total = c.a.out_channels * c.depth;
  const double flops = c.flops() * static_cast<double>(c.a.batch * c.a.groups) /
                       static_cast<double>(blocks * c.a.groups);
  int64_t parts = min(c.a.batch, min(int64_t{16} / (blocks * c.a.groups) + 1,
                                     1 + static_cast<int64_t>(flops / kParallelFlops)));
  parts = max(1, min(parts, (4 << 20) / (total + 1) + 1));
  const int64_t images = ceil_div(c.a.batch, parts);
  parts = ceil_div(c.a.batch, images);
  T* sums = scratch_for<T>(Scratch::shared, parts * total);
  parallel_for(0, c.a.groups * blocks * parts, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t part = i % parts, group = i / parts / blocks, ch = i / parts % blocks * block;
      T* out = sums + part * total + group * c.filters * c.depth + ch * c.taps * c.filters;
      weight_block(c, group, ch, min(ch + block, c.channels), part * images,
                   min((part + 1) * images, c.a.batch), out, c.filters);
    }
  });
  constexpr int64_t kTurn = 2 * Vec<T>::size;  // filters that are turned in one task
  const int64_t turns = ceil_div(c.filters, kTurn);
  parallel_for(0, c.a.groups * turns, 1 + (64 << 10) / (kTurn * c.depth * parts + 1),
               [&](int64_t begin, int64_t end) {
                 for (int64_t i = begin; i < end; ++i) {
                   const int64_t group = i / turns, f = i % turns * kTurn;
                   turn_sums(c.weight(group * c.filters + f), c.depth,
                             sums + group * c.filters * c.depth + f, min(kTurn, c.filters - f),
                             c.filters, c.depth, parts, total);
                 }
               });
}

// False where what it gives is not finite.
template <class T>
bool weight_phases(const Conv<T>& c) {
  const DilatedPhases<T> phases(c);
  bool finite = true;
  phases.each_part(c.weight_numbers(), [&](Conv<T>& part, int64_t n, int64_t images) {
    T* y = part.output(0, 0);
    phases.take_output(n, images, y);
    if (n > 0) part.a.weight = y + part.output_numbers();
    finite = finite && Winograd<T>(part, false).weight();
    const T* sums = part.weight(0);
    for (int64_t i = 0; n > 0 && i < c.weight_numbers(); ++i) c.weight(0)[i] += sums[i];
  });
  return finite;
}

template <class T>
void weight(const Conv<T>& c) {
  if (c.whole()) return weight_whole(c);
  if (c.pointwise()) return weight_pointwise(c);
  if (by_winograd(c, 512, [&] { return Winograd<T>(c, false).weight(); })) return;
  if (DepthwiseLanes<T>::fits(c)) {
    const DepthwiseLanes<T> d(c);
    return parallel_for(0, ceil_div(c.a.groups, d.kLanes), 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) d.weight(i * d.kLanes);
    });
  }
  if (Depthwise<T>::fits(c)) {
    const Depthwise<T> d(c);
    return parallel_for(0, c.a.out_channels, 1, [&](int64_t begin, int64_t end) {
      for (int64_t f = begin; f < end; ++f) d.weight(f);
    });
  }
  if constexpr (sizeof(T) == 4)
    if (by_phases(c, 512) && weight_phases(c)) return;
  if (ConvTaps<T>::fits(c)) return ConvTaps<T>(c).weight();
  weight_spans(c);
}

template <class T>
void fill_channels(T* out, const T* bias, int64_t batch, int64_t channels, int64_t size) {
  for (int64_t i = 0; i < batch * channels; ++i)
    for (int64_t j = 0; j < size; ++j) out[i * size + j] = bias ? bias[i % channels] : T(0);
}

int64_t product(const int64_t (&v)[3]) { return v[0] * v[1] * v[2]; }

template <class T>
void output_of(const ConvArgs& a) {
  if (!nothing(a)) return output(Conv<T>(a));
  fill_channels(static_cast<T*>(a.output), static_cast<const T*>(a.bias), a.batch, a.out_channels,
                product(a.out));
}
template <class T>
void input_of(const ConvArgs& a) {
  if (!nothing(a)) return input(Conv<T>(a));
  fill_channels(static_cast<T*>(a.input), static_cast<const T*>(a.bias), a.batch, a.in_channels,
                product(a.in));
}
template <class T>
void weight_of(const ConvArgs& a) {
  if (!nothing(a)) return weight(Conv<T>(a));
  fill_channels(static_cast<T*>(a.weight), static_cast<const T*>(nullptr), a.out_channels,
                a.in_channels / a.groups, product(a.kernel));
}

void conv_output(const ConvArgs& a) { (a.is_double ? output_of<double> : output_of<float>)(a); }
void conv_input(const ConvArgs& a) { (a.is_double ? input_of<double> : input_of<float>)(a); }
void conv_weight(const ConvArgs& a) { (a.is_double ? weight_of<double> : weight_of<float>)(a); }

}  // namespace

FLAMBEAU_REGISTER(conv_filters_kernel, conv_filters);
FLAMBEAU_REGISTER(conv_output_kernel, conv_output);
FLAMBEAU_REGISTER(conv_input_kernel, conv_input);
FLAMBEAU_REGISTER(conv_weight_kernel, conv_weight);

}  // namespace FLAMBEAU_ISA
}  // namespace flambeau
