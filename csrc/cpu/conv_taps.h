// Widely dilated convolutions: for each tap a product over the positions for which it reads the
// input, not the zeros around. Where taps lie far apart, most of what columns hold are such zeros.
#pragma once
#include "conv_columns.h"

namespace flambeau {
namespace FLAMBEAU_ISA {

template <class T>
class ConvTaps {
 public:
  explicit ConvTaps(const Conv<T>& c) : c_(c) {
    // Several small images at a time, or parts of a large one along its first dimension.
    images_ = ceil_div(c.a.batch, ceil_div(c.a.batch * c.positions, kPositions));
    while (cut_ < 2 && c.a.out[cut_] == 1) ++cut_;
    const int64_t slice = c.positions / c.a.out[cut_];
    block_ = ceil_div(c.a.out[cut_], ceil_div(c.positions, kPositions));
    most_ = images_ * block_ * slice;
  }
  // Products of some size, where a fifth or more of what columns hold are zeros.
  static bool fits(const Conv<T>& c) {
    if (!c.dilated() || c.channels < 32 || c.filters < 32) return false;
    double read = 1;
    for (int d = 0; d < 3; ++d) {
      int64_t count = 0;
      for (int64_t k = 0; k < c.a.kernel[d]; ++k) count += reach(c.a, d, k, 0, c.a.out[d]).count;
      read *= static_cast<double>(count);
    }
    return read <= 0.8 * static_cast<double>(c.positions * c.taps);
  }

  // The weight as [tap][filter of all groups][channel].
  void turn_weight(T* to) const {
    each_weight([&](int64_t filter, int64_t ch, int64_t k, int64_t at) {
      to[at] = c_.weight(filter)[ch * c_.taps + k];
    });
  }

  // `weight`: as turn_weight left it.
  void output(const T* weight) const {
    const ConvArgs& a = c_.a;
    start_output();
    const int64_t rows = min(c_.channels, kChannels);
    T* columns = scratch_for<T>(Scratch::columns, most_ * (rows + c_.filters));
    T* sums = columns + most_ * rows;
    for (int64_t ch = 0; ch < c_.channels; ch += kChannels)
      each_product([&](const Box& box, int64_t tap, int64_t group, int64_t n, int64_t images) {
        const int64_t some = min(kChannels, c_.channels - ch), count = images * box.positions();
        const T* w = weight + (tap * a.out_channels + group * c_.filters) * c_.channels + ch;
        take(box, true, n, images, group * c_.channels + ch, some, columns);
        gemm(Gemm<T>{c_.filters, count, some, w, c_.channels, 1, columns, count, 1, sums, count});
        add(box, n, images, group, sums);
      });
    if (!a.finish) return;
    parallel_for(0, a.batch * a.out_channels, 1 + 16384 / c_.positions,
                 [&](int64_t begin, int64_t end) {
                   for (int64_t i = begin; i < end; ++i)
                     finish(c_, i / a.out_channels, i % a.out_channels, 0, c_.positions);
                 });
  }

  void weight() const {
    const int64_t numbers = c_.weight_numbers();
    T* sums = scratch_for<T>(Scratch::columns, numbers + most_ * (c_.channels + c_.filters));
    T *columns = sums + numbers, *grads = columns + most_ * c_.channels;
    __builtin_memset(sums, 0, static_cast<size_t>(numbers) * sizeof(T));
    each_product([&](const Box& box, int64_t tap, int64_t group, int64_t n, int64_t images) {
      const int64_t count = images * box.positions(), row = tap * c_.a.out_channels;
      take(box, true, n, images, group * c_.channels, c_.channels, columns);
      take(box, false, n, images, group * c_.filters, c_.filters, grads);
      Gemm<T> g{
          c_.filters, c_.channels, count, grads, count,
          1,          columns,     1,     count, sums + (row + group * c_.filters) * c_.channels,
          c_.channels};
      g.start = Start::c;
      gemm(g);
    });
    each_weight([&](int64_t filter, int64_t ch, int64_t k, int64_t at) {
      c_.weight(filter)[ch * c_.taps + k] = sums[at];
    });
  }

 private:
  // Of a product: what it reads and writes stays in the caches.
  static constexpr int64_t kPositions = 1024, kChannels = 512;

  // f(filter, channel, tap, place in the turned weight) for every number of the weight.
  template <class F>
  void each_weight(const F& f) const {
    const int64_t rows = c_.a.out_channels;
    parallel_for(0, rows, 1 + (16 << 10) / c_.depth, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r)
        for (int64_t k = 0; k < c_.taps; ++k)
          for (int64_t ch = 0; ch < c_.channels; ++ch)
            f(r, ch, k, (k * rows + r) * c_.channels + ch);
    });
  }

  // Positions [first, first + count) for which a tap reads the input, from position `from` on.
  struct Reach {
    int64_t first, count, from;
  };
  struct Box {
    Reach d[3];
    int64_t positions() const { return d[0].count * d[1].count * d[2].count; }
  };
  static Reach reach(const ConvArgs& a, int d, int64_t k, int64_t begin, int64_t end) {
    const int64_t shift = k * a.dilation[d] - a.padding[d];
    const int64_t first = max(begin, -shift), last = min(min(end, a.out[d]), a.in[d] - shift);
    return {first, max(int64_t{0}, last - first), first + shift};
  }
  // What tap k reads for results [part, part + block_) of the dimension that is cut.
  Box box(int64_t k, int64_t part) const {
    const int64_t* kernel = c_.a.kernel;
    const int64_t tap[3] = {k / kernel[2] / kernel[1], k / kernel[2] % kernel[1], k % kernel[2]};
    Box b;
    for (int d = 0; d < 3; ++d)
      b.d[d] = d == cut_ ? reach(c_.a, d, tap[d], part, part + block_)
                         : reach(c_.a, d, tap[d], 0, c_.a.out[d]);
    return b;
  }

  // f(box, tap, group, first image, images) for all that is to be added up.
  template <class F>
  void each_product(const F& f) const {
    for (int64_t n = 0; n < c_.a.batch; n += images_)
      for (int64_t part = 0; part < c_.a.out[cut_]; part += block_)
        for (int64_t group = 0; group < c_.a.groups; ++group)
          for (int64_t k = 0; k < c_.taps; ++k) {
            const Box b = box(k, part);
            if (b.positions() > 0) f(b, k, group, n, min(images_, c_.a.batch - n));
          }
  }
  // f(place in a plane, place in the box, numbers) for every line of a box.
  template <class F>
  static FLAMBEAU_INLINE void each_line(const Box& box, bool input, const int64_t (&size)[3],
                                        const F& f) {
    int64_t at[3], to = 0;
    for (int d = 0; d < 3; ++d) at[d] = input ? box.d[d].from : box.d[d].first;
    for (int64_t i = 0; i < box.d[0].count; ++i)
      for (int64_t j = 0; j < box.d[1].count; ++j, to += box.d[2].count)
        f(((at[0] + i) * size[1] + at[1] + j) * size[2] + at[2], to, box.d[2].count);
  }
  // dst[channel][image][position] of what a tap reads, or of the output.
  void take(const Box& box, bool input, int64_t n, int64_t images, int64_t first, int64_t channels,
            T* dst) const {
    constexpr int64_t W = Vec<T>::size;
    const int64_t positions = box.positions();
    const auto& size = input ? c_.a.in : c_.a.out;
    parallel_for(0, channels * images, 1 + 16384 / positions, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t channel = first + i / images, image = n + i % images;
        const T* src = input ? c_.input(image, channel) : c_.output(image, channel);
        T* out = dst + i * positions;
        each_line(box, input, size, [&](int64_t from, int64_t to, int64_t count) {
          for (int64_t j = 0; j < count; j += W)
            Vec<T>::load_n(src + from + j, count - j).store_n(out + to + j, count - j);
        });
      }
    });
  }
  void add(const Box& box, int64_t n, int64_t images, int64_t group, const T* sums) const {
    constexpr int64_t W = Vec<T>::size;
    const int64_t positions = box.positions();
    parallel_for(0, c_.filters * images, 1 + 16384 / positions, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        T* y = c_.output(n + i % images, group * c_.filters + i / images);
        const T* src = sums + i * positions;
        each_line(box, false, c_.a.out, [&](int64_t to, int64_t from, int64_t count) {
          for (int64_t j = 0; j < count; j += W)
            (Vec<T>::load_n(y + to + j, count - j) + Vec<T>::load_n(src + from + j, count - j))
                .store_n(y + to + j, count - j);
        });
      }
    });
  }
  void start_output() const {
    const ConvArgs& a = c_.a;
    for (int64_t i = 0; i < a.batch * a.out_channels; ++i) {
      const T start = a.bias ? static_cast<const T*>(a.bias)[i % a.out_channels] : T(0);
      T* y = c_.output(0, 0) + i * c_.positions;
      for (int64_t j = 0; j < c_.positions; ++j) y[j] = start;
    }
  }

  const Conv<T>& c_;
  int cut_ = 0;
  int64_t images_, block_, most_;  // of a product: images, what is cut, and positions at most
};

}  // namespace FLAMBEAU_ISA
}  // namespace flambeau
