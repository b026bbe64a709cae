// A dilated convolution as a plain one: outputs that lie `dilation` apart read inputs that do, too,
// so each phase of the dilation is a small image of its own.
#pragma once
#include "conv_columns.h"

namespace flambeau {
namespace FLAMBEAU_ISA {

// Number j of phase r of the input stands at j * dilation + r - shift, number q of the output at
// q * dilation + r. Phases are as large as the largest, with zeros at their ends.
template <class T>
class DilatedPhases {
 public:
  explicit DilatedPhases(const Conv<T>& c) : c_(c) {
    for (int d = 0; d < 3; ++d) {
      count_[d] = c.a.dilation[d];
      shift_[d] = c.a.padding[d] % count_[d];
      in_[d] = ceil_div(c.a.in[d] + shift_[d], count_[d]);
      out_[d] = ceil_div(c.a.out[d], count_[d]);
    }
    const int64_t image = c.in_size() * c.a.in_channels + c.positions * c.a.out_channels;
    const int64_t fit = max(int64_t{1}, (32 << 20) / (image * static_cast<int64_t>(sizeof(T))));
    images_ = ceil_div(c.a.batch, ceil_div(c.a.batch, fit));
  }

  // The plain convolution for some images: phases of an image follow each other.
  Conv<T> plain(int64_t images) const {
    ConvArgs a = c_.a;
    a.batch = images * count();
    for (int d = 0; d < 3; ++d) {
      a.in[d] = in_[d], a.out[d] = out_[d];
      a.padding[d] /= count_[d], a.dilation[d] = 1;
    }
    a.finish = nullptr;
    return Conv<T>(a);
  }
  Conv<T> plain() const { return plain(images_); }
  int64_t count() const { return count_[0] * count_[1] * count_[2]; }

  // f(plain convolution, first image, images) until all is done: its input is taken, its output is
  // working memory, behind which there are `more` numbers.
  template <class F>
  void each_part(int64_t more, const F& f) const {
    for (int64_t n = 0; n < c_.a.batch; n += images_) {
      const int64_t images = min(images_, c_.a.batch - n);
      Conv<T> part = plain(images);
      const int64_t x = part.input_numbers(), y = part.output_numbers();
      T* buffer = scratch_for<T>(Scratch::phases, x + y + more);
      part.a.input = buffer, part.a.output = buffer + x;
      take(false, n, images, buffer);
      f(part, n, images);
    }
  }
  void take_output(int64_t n, int64_t images, T* dst) const { take(true, n, images, dst); }
  void put_output(int64_t n, int64_t images, const T* src) const {
    T* y = c_.output(n, 0);
    const int64_t step = count_[2];
    each_line(true, images, [&](int64_t at, int64_t from, int64_t, int64_t end, int64_t) {
      for (int64_t j = 0; j < end; ++j) y[at + j * step] = src[from + j];
    });
  }

 private:
  // f(place in the tensor, place among the phases, begin, end, size) for every line of a phase:
  // numbers [begin, end) of `size` are in the tensor.
  template <class F>
  void each_line(bool output, int64_t images, const F& f) const {
    const int64_t* size = output ? c_.a.out : c_.a.in;
    const int64_t* n = output ? out_ : in_;
    const int64_t channels = output ? c_.a.out_channels : c_.a.in_channels;
    int64_t start[3];
    for (int d = 0; d < 3; ++d) start[d] = output ? 0 : -shift_[d];
    const int64_t numbers = n[0] * n[1] * n[2], plane = size[0] * size[1] * size[2];
    const int64_t phases = count();
    const auto each = [&](int64_t i) {
      for (int64_t l = 0; l < count_[0] * n[0] * count_[1] * n[1]; ++l) {
        const int64_t h = l % n[1], y = l / n[1] % count_[1], above = l / n[1] / count_[1];
        const int64_t d = above % n[0], z = above / n[0];
        const int64_t at_d = start[0] + z + d * count_[0], at_h = start[1] + y + h * count_[1];
        const bool inside = at_d >= 0 && at_d < size[0] && at_h >= 0 && at_h < size[1];
        const int64_t line = i * plane + (at_d * size[1] + at_h) * size[2];
        for (int64_t x = 0; x < count_[2]; ++x) {
          const int64_t phase = (z * count_[1] + y) * count_[2] + x, w = start[2] + x;
          const int64_t image = i / channels * phases + phase;
          const int64_t beyond = w + (n[2] - 1) * count_[2] >= size[2];
          f(line + w, (image * channels + i % channels) * numbers + (d * n[1] + h) * n[2],
            int64_t{inside && w < 0}, inside ? n[2] - beyond : 0, n[2]);
        }
      }
    };
    parallel_for(0, images * channels, 1 + 16384 / plane, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) each(i);
    });
  }
  void take(bool output, int64_t n, int64_t images, T* dst) const {
    const T* src = output ? c_.output(n, 0) : c_.input(n, 0);
    const int64_t step = count_[2];
    const auto line = [&](int64_t at, int64_t to, int64_t begin, int64_t end, int64_t size) {
      for (int64_t j = 0; j < begin; ++j) dst[to + j] = T(0);
      for (int64_t j = begin; j < end; ++j) dst[to + j] = src[at + j * step];
      for (int64_t j = end; j < size; ++j) dst[to + j] = T(0);
    };
    each_line(output, images, line);
  }

  const Conv<T>& c_;
  int64_t count_[3], shift_[3], in_[3], out_[3];
  int64_t images_;
};

}  // namespace FLAMBEAU_ISA
}  // namespace flambeau
