// An operand of a loop whose rows are short, read into or written from one run: the operand's own
// dimensions are merged, and its rows are copied, repeated or spread many at a time.
#pragma once
#include "items.h"
#include "runs.h"

namespace flambeau {
namespace FLAMBEAU_ISA {

class ShortRows {
 public:
  static constexpr int64_t kSlack = kVecBytes;  // bytes that `read` may write beyond its run

  static bool fit(const Loop& loop) { return loop.ndim > 1 && loop.sizes[0] < 256; }
  // Elements of a run: whole rows, so that what repeats from row to row does so from run to run.
  static int64_t run(const Loop& loop) { return kRun / loop.sizes[0] * loop.sizes[0]; }

  // Operand k from element `begin` of the loop on.
  void start(const Loop& loop, int k, int64_t begin) {
    const LoopOperand& o = loop.operands[k];
    item_ = item_size(o.dtype), row_ = o.data;
    int last = 0;
    sizes_[0] = loop.sizes[0], strides_[0] = o.strides[0];
    for (int d = 1; d < loop.ndim; ++d) {
      if (o.strides[d] == strides_[last] * sizes_[last]) {
        sizes_[last] *= loop.sizes[d];
        continue;
      }
      ++last;
      sizes_[last] = loop.sizes[d], strides_[last] = o.strides[d];
    }
    if (last == 0) ++last, sizes_[1] = 1, strides_[1] = 0;
    ndim_ = last + 1;
    column_ = begin % sizes_[0];
    begin /= sizes_[0];
    for (int d = 1; d < ndim_; ++d) {
      index_[d] = begin % sizes_[d];
      begin /= sizes_[d];
      row_ += index_[d] * strides_[d];
    }
  }
  // The next n elements. `dst` is the same at every call: what repeats itself stays there.
  void read(char* dst, int64_t n) {
    const bool same = column_ == kept_from_ || strides_[0] == 0;
    if (ndim_ == 2 && strides_[1] == 0 && n <= kept_ && same) {
      column_ = (column_ + n) % sizes_[0];
      return;
    }
    kept_ = n, kept_from_ = column_;
    by_size(item_,
            [&](auto tag) { walk<decltype(tag)>(dst, n, [this](auto... x) { read_rows(x...); }); });
  }
  void write(const char* src, int64_t n) {
    by_size(item_, [&](auto tag) {
      walk<decltype(tag)>(src, n, [this](auto... x) { write_rows(x...); });
    });
  }

 private:
  // f(run, at, rows, size) for what lies in `rows` rows of `size` elements from `at` on.
  template <class T, class Bytes, class F>
  FLAMBEAU_INLINE void walk(Bytes* bytes, int64_t n, const F& f) {
    auto* run = of_items<T>(bytes);
    const int64_t width = sizes_[0];
    while (n > 0) {
      const bool whole = column_ == 0 && n >= width;
      const int64_t rows = whole ? least(n / width, sizes_[1] - index_[1]) : 1;
      const int64_t size = whole ? width : least(n, width - column_);
      f(run, row_ + column_ * strides_[0], rows, size);
      column_ += size;
      if (column_ == width) column_ = 0, skip(rows);
      run += rows * size, n -= rows * size;
    }
  }
  // Dense rows of a few bytes, by moves of that size.
  template <int Bytes>
  static void move_rows(char* to, int64_t to_step, const char* from, int64_t step, int64_t rows) {
    for (int64_t r = 0; r < rows; ++r) __builtin_memcpy(to + r * to_step, from + r * step, Bytes);
  }
  static bool few_bytes(int64_t bytes, char* to, int64_t to_step, const char* from, int64_t step,
                        int64_t rows) {
    switch (bytes) {
      case 2: return move_rows<2>(to, to_step, from, step, rows), true;
      case 4: return move_rows<4>(to, to_step, from, step, rows), true;
      case 6: return move_rows<6>(to, to_step, from, step, rows), true;
      case 8: return move_rows<8>(to, to_step, from, step, rows), true;
      case 12: return move_rows<12>(to, to_step, from, step, rows), true;
      case 16: return move_rows<16>(to, to_step, from, step, rows), true;
      default: return false;
    }
  }
  template <class T>
  FLAMBEAU_INLINE void read_rows(T* dst, const char* from, int64_t rows, int64_t size) const {
    const int64_t stride = strides_[0], total = rows * size;
    const int64_t bytes = size * static_cast<int64_t>(sizeof(T));
    const bool repeats = strides_[1] == 0, dense = stride == static_cast<int64_t>(sizeof(T));
    if (dense && !repeats &&
        few_bytes(bytes, reinterpret_cast<char*>(dst), bytes, from, strides_[1], rows))
      return;
    for (int64_t r = 0; r < (repeats ? 1 : rows); ++r, from += strides_[1])
      read_row(dst + r * size, from, stride, size);
    for (int64_t done = size; repeats && done < total; done *= 2)
      __builtin_memcpy(dst + done, dst, sizeof(T) * static_cast<size_t>(least(done, total - done)));
  }
  static int32_t signed_of(uint32_t);
  static int64_t signed_of(uint64_t);
  // By whole vectors, where there are such: what a store spoils behind the row is written next.
  template <class T>
  static FLAMBEAU_INLINE void read_row(T* dst, const char* from, int64_t stride, int64_t size) {
    if constexpr (sizeof(T) == 4 || sizeof(T) == 8) {
      using I = decltype(signed_of(T{}));
      constexpr int64_t W = Vec<I>::size;
      const I* p = reinterpret_cast<const I*>(from);
      I* to = reinterpret_cast<I*>(dst);
      if (stride == 0) {
        for (int64_t i = 0; i < size; i += W) Vec<I>(*p).store(to + i);
        return;
      }
      if (stride == static_cast<int64_t>(sizeof(T))) {
        for (int64_t i = 0; i < size; i += W) Vec<I>::load_n(p + i, size - i).store(to + i);
        return;
      }
    }
    for (int64_t i = 0; i < size; ++i) dst[i] = *reinterpret_cast<const T*>(from + i * stride);
  }
  template <class T>
  FLAMBEAU_INLINE void write_rows(const T* src, char* to, int64_t rows, int64_t size) const {
    const int64_t stride = strides_[0], next = strides_[1];
    const int64_t bytes = size * static_cast<int64_t>(sizeof(T));
    if (stride == static_cast<int64_t>(sizeof(T)) &&
        few_bytes(bytes, to, next, reinterpret_cast<const char*>(src), bytes, rows))
      return;
    for (int64_t r = 0; r < rows; ++r, src += size, to += next)
      for (int64_t i = 0; i < size; ++i) *reinterpret_cast<T*>(to + i * stride) = src[i];
  }
  void skip(int64_t rows) {
    index_[1] += rows;
    row_ += rows * strides_[1];
    for (int d = 1; d + 1 < ndim_ && index_[d] == sizes_[d]; ++d) {
      row_ += strides_[d + 1] - sizes_[d] * strides_[d];
      index_[d] = 0;
      ++index_[d + 1];
    }
  }
  template <class T>
  static T* of_items(char* bytes) {
    return reinterpret_cast<T*>(bytes);
  }
  template <class T>
  static const T* of_items(const char* bytes) {
    return reinterpret_cast<const T*>(bytes);
  }
  static FLAMBEAU_INLINE int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

  int64_t item_;
  char* row_;
  int ndim_;
  int64_t column_, kept_ = 0, kept_from_ = 0;
  int64_t sizes_[kMaxDims + 1], strides_[kMaxDims + 1], index_[kMaxDims + 1];
};

}  // namespace FLAMBEAU_ISA
}  // namespace flambeau
