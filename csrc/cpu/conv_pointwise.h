// Convolutions with kernels of one: plain products, once a stride has been taken out of the input.
#pragma once
#include "conv_columns.h"

namespace flambeau {
namespace FLAMBEAU_ISA {

// Calls f(place in the input, place in the output, how many) for every line of a plane's output.
template <class T, class F>
FLAMBEAU_INLINE void each_strided_line(const Conv<T>& c, const F& f) {
  const ConvArgs& a = c.a;
  for (int64_t l = 0; l < c.lines; ++l) {
    const int64_t d = l / a.out[1] * a.stride[0], h = l % a.out[1] * a.stride[1];
    f((d * a.in[1] + h) * a.in[2], l * c.width);
  }
}

template <class T>
void take_strided(const Conv<T>& c, T* dst, const T* x) {
  const int64_t s = c.a.stride[2];
  each_strided_line(c, [&](int64_t from, int64_t to) {
    if (s == 2)
      for (int64_t j = 0; j < c.width; ++j) dst[to + j] = x[from + 2 * j];
    else
      for (int64_t j = 0; j < c.width; ++j) dst[to + j] = x[from + s * j];
  });
}
template <class T>
void put_strided(const Conv<T>& c, T* x, const T* src) {
  const int64_t s = c.a.stride[2];
  each_strided_line(c, [&](int64_t to, int64_t from) {
    if (s == 2)
      for (int64_t j = 0; j < c.width; ++j) x[to + 2 * j] = src[from + j];
    else
      for (int64_t j = 0; j < c.width; ++j) x[to + s * j] = src[from + j];
  });
}

template <class T, class F>
void each_image_group(const Conv<T>& c, const F& f) {
  const int64_t count = c.a.batch * c.a.groups;
  const auto range = [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) f(i / c.a.groups, i % c.a.groups);
  };
  if (count < 4) return range(0, count);  // the products themselves are split
  parallel_for(0, count, 1 + static_cast<int64_t>(kParallelFlops / (c.flops() + 1)), range);
}

template <class T>
void output_pointwise(const Conv<T>& c) {
  each_image_group(c, [&](int64_t n, int64_t group) {
    const int64_t filter = group * c.filters;
    const T* x = c.input(n, group * c.channels);
    if (c.strided()) {
      T* dense = scratch_for<T>(Scratch::columns, c.channels * c.positions);
      for (int64_t ch = 0; ch < c.channels; ++ch)
        take_strided(c, dense + ch * c.positions, x + ch * c.in_size());
      x = dense;
    }
    Gemm<T> g{c.filters, c.positions, c.channels, c.weight(filter),    c.channels, 1,
              x,         c.positions, 1,          c.output(n, filter), c.positions};
    if (c.a.bias) {
      g.bias = static_cast<const T*>(c.a.bias) + filter;
      g.start = Start::bias_rows;
    }
    g.finish = c.a.finish, g.channel = filter;
    gemm(g);
  });
}

template <class T>
void input_pointwise(const Conv<T>& c) {
  each_image_group(c, [&](int64_t n, int64_t group) {
    const int64_t channel = group * c.channels;
    T* x = c.input(n, channel);
    T* out = x;
    if (c.strided()) out = scratch_for<T>(Scratch::columns, c.channels * c.positions);
    Gemm<T> g{c.channels,
              c.positions,
              c.filters,
              c.weight(group * c.filters),
              1,
              c.channels,
              c.output(n, group * c.filters),
              c.positions,
              1,
              out,
              c.positions};
    const T* bias = static_cast<const T*>(c.a.bias) + (c.a.bias ? channel : 0);
    if (c.a.bias && !c.strided()) g.bias = bias, g.start = Start::bias_rows;
    gemm(g);
    if (!c.strided()) return;
    for (int64_t ch = 0; ch < c.channels; ++ch, x += c.in_size(), out += c.positions) {
      const T start = c.a.bias ? bias[ch] : T(0);
      for (int64_t j = 0; start != 0 && j < c.positions; ++j) out[j] += start;
      for (int64_t j = 0; j < c.in_size(); ++j) x[j] = start;
      put_strided(c, x, out);
    }
  });
}

// The reduction goes over positions and images: as many images at a time as fit packed.
template <class T>
void weight_pointwise(const Conv<T>& c) {
  const int64_t fit =
      (kPackedBytes / 2) / (static_cast<int64_t>(sizeof(T)) * c.channels * c.positions + 1);
  const int64_t images = ceil_div(c.a.batch, ceil_div(c.a.batch, max(1, fit)));
  for (int64_t group = 0; group < c.a.groups; ++group)
    for (int64_t n = 0; n < c.a.batch; n += images) {
      const int64_t count = min(images, c.a.batch - n), channel = group * c.channels;
      const T* x = c.input(n, channel);
      int64_t next = c.a.in_channels * c.in_size();
      if (c.strided()) {
        T* dense = scratch_for<T>(Scratch::columns, count * c.channels * c.positions);
        parallel_for(0, count * c.channels, 1 + 16384 / c.positions,
                     [&](int64_t begin, int64_t end) {
                       for (int64_t i = begin; i < end; ++i)
                         take_strided(c, dense + i * c.positions,
                                      c.input(n + i / c.channels, channel + i % c.channels));
                     });
        x = dense;
        next = c.channels * c.positions;
      }
      Gemm<T> g{c.filters,
                c.channels,
                count * c.positions,
                c.output(n, group * c.filters),
                c.positions,
                1,
                x,
                1,
                c.positions,
                c.weight(group * c.filters),
                c.channels};
      g.start = n > 0 ? Start::c : Start::zero;
      g.k_part = c.positions, g.a_part = c.a.out_channels * c.positions, g.b_part = next;
      gemm(g);
    }
}

// -- kernels as large as the input ----------------------------------------------------------------

template <class T>
void output_whole(const Conv<T>& c) {
  Gemm<T> g{c.a.batch,   c.filters, c.depth, c.input(0, 0),  c.depth,  1,
            c.weight(0), 1,         c.depth, c.output(0, 0), c.filters};
  g.bias = static_cast<const T*>(c.a.bias);
  if (g.bias) g.start = Start::bias_cols;
  gemm(g);
  for (int64_t i = 0; c.a.finish && i < c.a.batch * c.filters; ++i)
    finish(c, i / c.filters, i % c.filters, 0, 1);
}

template <class T>
void input_whole(const Conv<T>& c) {
  Gemm<T> g{c.a.batch,   c.depth, c.filters, c.output(0, 0), c.filters, 1,
            c.weight(0), c.depth, 1,         c.input(0, 0),  c.depth};
  if (c.a.bias) {
    const T* bias = static_cast<const T*>(c.a.bias);
    for (int64_t i = 0; i < c.a.batch * c.depth; ++i) c.input(0, 0)[i] = bias[i % c.depth / c.taps];
    g.start = Start::c;
  }
  gemm(g);
}

template <class T>
void weight_whole(const Conv<T>& c) {
  gemm(Gemm<T>{c.filters, c.depth, c.a.batch, c.output(0, 0), 1, c.filters, c.input(0, 0), c.depth,
               1, c.weight(0), c.depth});
}

}  // namespace FLAMBEAU_ISA
}  // namespace flambeau
