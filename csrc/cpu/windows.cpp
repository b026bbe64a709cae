// Pooling and resizing: sums, weighted sums and maxima of runs, along one dimension after another.
// Among equals the first in memory order is the maximum; not-a-number is greater than all.
#include "../kernels/windows.h"

#include "../parallel.h"
#include "../scratch.h"
#include "each.h"
#include "gemm.h"

namespace flambeau {
namespace FLAMBEAU_ISA {
namespace {

constexpr int64_t kWork = 32768;  // numbers looked at in one task

template <class T>
constexpr T kLeast = -kInf<T>;
template <>
constexpr int64_t kLeast<int64_t> = INT64_MIN;

struct Range {
  int64_t begin, end;
  int64_t size() const { return end - begin; }
};

// The part of the input that a range of results needs.
inline Range needed(const WindowAxis& a, Range out) {
  Range r{a.in, 0};
  for (int64_t o = out.begin; o < out.end; ++o) {
    if (!a.count[o]) continue;
    const int64_t end = a.start[o] + (a.count[o] - 1) * a.step + 1;
    if (a.start[o] < r.begin) r.begin = a.start[o];
    if (end > r.end) r.end = end;
  }
  return r.end ? r : Range{0, 0};
}

inline bool keeps(const WindowAxis& a) {
  return a.in == 1 && a.out == 1 && a.count[0] == 1 && !a.weights;
}

// Whether a line is dealt out into as many as the stride has steps.
inline bool deals_out(const WindowAxis& a) {
  return a.stride && (a.stride <= 8 || a.out >= kVecBytes / 4);
}

// Whether the runs along a line are weighted sums of neighbours.
inline bool weighs(const WindowAxis& a) { return a.weights && a.step == 1 && !a.stride; }

// Sixteen numbers of four bytes of a line at places that rise, where they lie close together.
struct Near {
#if defined(__AVX512F__)
  static constexpr bool kCan = true;
  static constexpr int64_t kReach = 64;
  const float* from = nullptr;
  int32_t base = 0;

  // Whether places from `first` to `last` can be had from a line of n numbers.
  FLAMBEAU_INLINE bool reaches(const void* line, int64_t n, int32_t first, int32_t last) {
    if (n < kReach) return false;
    base = first < n - kReach ? first : static_cast<int32_t>(n - kReach);
    from = static_cast<const float*>(line) + base;
    return last - base < kReach;
  }
  FLAMBEAU_INLINE Vec<float> at(const int32_t* places) const {
    const __m512i i = _mm512_sub_epi32(_mm512_loadu_si512(places), _mm512_set1_epi32(base));
    const auto load = [&](int k) { return _mm512_loadu_ps(from + 16 * k); };
    const __m512 low = _mm512_permutex2var_ps(load(0), i, load(1));
    const __m512 high = _mm512_permutex2var_ps(load(2), i, load(3));
    const __mmask16 far = _mm512_test_epi32_mask(i, _mm512_set1_epi32(32));
    return Vec<float>::Reg(_mm512_mask_blend_ps(far, low, high));
  }
#else
  static constexpr bool kCan = false;
  bool reaches(const void*, int64_t, int32_t, int32_t) { return false; }
  Vec<float> at(const int32_t*) const { return Vec<float>(0.f); }
#endif
};

// Whether lines are put together down the first two dimensions before they are gone along: there
// are fewer then, and no run is long enough for that to cost more.
inline bool goes_down(const WindowAxis& d, const WindowAxis& h) {
  const int64_t out = d.out * h.out, in = d.in * h.in;
  return !d.weights && !h.weights && in >= 2 * out && d.most * h.most * out <= 3 * in;
}

// The best so far, or the sum; with Index, where the best stands.
template <class T, bool Max, bool Index>
struct Best {
  using V = Vec<T>;
  using I = Vec<typename V::Int>;
  V value;
  I place;
  FLAMBEAU_INLINE Best(V value, I place) : value(value), place(place) {}
  FLAMBEAU_INLINE void take(V v, I at) {
    if constexpr (Max && Index) {
      const Mask<T> better = (v > value) | (v != v);
      value = where(better, v, value);
      place = I(better.m ? at.v : place.v);
    } else if constexpr (Max) {
      value = max(value, v);
    } else {
      value += v;
    }
  }
};

template <class T, bool Max, bool Index>
struct Walk {
  using V = Vec<T>;
  using Int = typename V::Int;
  using I = Vec<Int>;
  using B = Best<T, Max, Index>;
  static constexpr T kFirst = Max ? kLeast<T> : T(0);
  const WindowArgs& a;
  const int64_t line;  // numbers in a line of results
  T* phases;           // working memory for a line of the input, or for several turned over
  int64_t phase;       // numbers in one phase of it

  struct Lines {  // values, and with Index places
    T* v;
    Int* at;
    FLAMBEAU_INLINE Lines on(int64_t n) const { return {v + n, Index ? at + n : nullptr}; }
  };

  static constexpr bool kNear = Near::kCan && sizeof(T) == 4;
  static bool weighs_many(const WindowArgs& a) {
    const WindowAxis& x = a.axis[2];
    return !Max && a.inner == 1 && weighs(x) && !keeps(a.axis[1]) && !(kNear && x.most <= 2);
  }

  // dst[n] = the run o of lines that lie `far` apart. Places are read from the lines, or when they
  // have none counted from `first`.
  FLAMBEAU_INLINE void fold(const WindowAxis& x, int64_t o, Lines src, int64_t far, Lines dst,
                            int64_t n, Int first = 0) const {
    const int64_t count = x.count[o];
    const T* w = x.weights ? static_cast<const T*>(x.weights) + o * x.most : nullptr;
    const auto one = [&](int64_t i, int64_t m) {
      const Int* at = src.at;
      const auto place = [&](int64_t t) {
        if constexpr (!Index) return I(0);
        return at ? I::load_n(at + t * x.step * far + i, m)
                  : I(static_cast<Int>(first + t * x.step));
      };
      B best(V(kFirst), count ? place(0) : I(0));
      for (int64_t s = 0; s < count; ++s) {
        const int64_t t = x.from_second ? count - 1 - s : s;
        const V v = V::load_n(src.v + t * x.step * far + i, m);
        best.take(w ? v * V(w[t]) : v, place(t));
      }
      best.value.store_n(dst.v + i, m);
      if constexpr (Index) best.place.store_n(dst.at + i, m);
    };
    each<T>(n, one);
  }

  // Phase r of the line holds src[i * stride + r - offset]; beyond the line stands kFirst. Steps is
  // the stride where it is known, so that all phases of a register's worth are made together.
  template <int Steps>
  FLAMBEAU_INLINE void deal(const WindowAxis& x, const T* src) const {
    const int64_t stride = Steps ? Steps : x.stride;
    const auto least = [](int64_t a, int64_t b) { return a < b ? a : b; };
    const int64_t lo = least((x.offset + stride - 1) / stride, phase);
    const int64_t end = least((x.in + x.offset) / stride, phase), hi = end < lo ? lo : end;
    const auto edge = [&](int64_t from, int64_t to) {
      for (int64_t r = 0; r < stride; ++r)
        for (int64_t i = from; i < to; ++i) {
          const int64_t at = i * stride + r - x.offset;
          phases[r * phase + i] = at >= 0 && at < x.in ? src[at] : kFirst;
        }
    };
    edge(0, lo);
    T* to = phases;
    const T* from = src - x.offset;
    const int64_t far = phase;
    if constexpr (Steps) {
#pragma GCC ivdep
      for (int64_t i = lo; i < hi; ++i)
        for (int r = 0; r < Steps; ++r) to[r * far + i] = from[i * Steps + r];
    } else {
      for (int64_t r = 0; r < stride; ++r)
        for (int64_t i = lo; i < hi; ++i) to[r * far + i] = from[i * stride + r];
    }
    const int64_t rest = least(hi + 1, phase);
    edge(hi, rest);
    for (int64_t r = 0; r < stride; ++r)
      for (int64_t i = rest; i < phase; ++i) to[r * far + i] = kFirst;
  }

  // Pooling along the line itself: every stride-th number is put beside its like, so that the same
  // tap of neighbouring windows is one load.
  void pool_line(const WindowAxis& x, const T* src, Lines dst, Int first) const {
    switch (x.stride) {
      case 1: deal<1>(x, src); break;
      case 2: deal<2>(x, src); break;
      case 3: deal<3>(x, src); break;
      case 4: deal<4>(x, src); break;
      default: deal<0>(x, src);
    }
    each<T>(x.out, [&](int64_t i, int64_t m) {
      I begin(0), left(0);
      if constexpr (Index) {
        left = (I::arange(0) + I(static_cast<Int>(i))) * I(static_cast<Int>(x.stride)) +
               I(static_cast<Int>(first - x.offset));
        begin = left;
        if (x.start[i] != i * x.stride - x.offset)  // the edge cut it
          for (int64_t k = 0; k < m; ++k) begin.v[k] = first + static_cast<Int>(x.start[i + k]);
      }
      B best(V(kFirst), begin);
      int64_t r = 0, q = 0;
      for (int64_t t = 0; t < x.kernel; ++t) {
        best.take(V::load(phases + r * phase + q + i), left + I(static_cast<Int>(t * x.step)));
        for (r += x.step; r >= x.stride; r -= x.stride) ++q;
      }
      best.value.store_n(dst.v + i, m);
      if constexpr (Index) best.place.store_n(dst.at + i, m);
    });
  }

  // Short runs whose places lie close together; false where they do not.
  bool pick_near([[maybe_unused]] const WindowAxis& x, [[maybe_unused]] const T* src,
                 [[maybe_unused]] T* dst) const {
    if constexpr (kNear) {
      constexpr int64_t W = V::size;
      const int64_t out = x.out, most = x.most, rest = (most - 1) * out;
      const int32_t *at = x.at, *low = at + (x.from_second ? rest : 0),
                    *high = at + (x.from_second ? 0 : rest) + W - 1;
      const T* w = static_cast<const T*>(x.across);
      for (int64_t i = 0; out >= W;) {
        Near near;
        if (!near.reaches(src, x.in, low[i], high[i])) return false;
        V total(0);
        for (int64_t t = 0; t < most; ++t) {
          const V share = V::load(w + t * out + i), v = near.at(at + t * out + i);
          total = where(share != V(0), total + v * share, total);
        }
        total.store(dst + i);
        if (i + W == out) return true;
        i = i + 2 * W <= out ? i + W : out - W;  // the last overlap
      }
    }
    return false;
  }

  // Short runs along the line at places of their own.
  void pick_line(const WindowAxis& x, const T* src, T* dst) const {
    const T* w = static_cast<const T*>(x.across);
    if (w && pick_near(x, src, dst)) return;
    each<T>(x.out, [&](int64_t i, int64_t m) {
      V total(0);
      for (int64_t t = 0; t < x.most; ++t) {
        alignas(kVecBytes) T picked[V::size];
        const int32_t* at = x.at + t * x.out + i;
        for (int64_t k = 0; k < m; ++k) picked[k] = src[at[k]];
        const V v = V::load_n(picked, m);
        if (!w) {
          total = v;
          continue;
        }
        const V share = V::load_n(w + t * x.out + i, m);  // 0: what stands there may be infinite
        total = where(share != V(0), total + v * share, total);
      }
      total.store_n(dst + i, m);
    });
  }

  // Several lines of weighted sums at once: turned over, so that a register holds the same number
  // of every line, and turned back.
  void weigh_lines(const WindowAxis& x, const T* src, int64_t lines, T* dst) const {
    constexpr int64_t W = V::size;
    T* turned = phases;
    for (int64_t i = 0; i < x.in; i += W) {
      V r[W];
#pragma GCC unroll 16
      for (int64_t q = 0; q < W; ++q)
        r[q] = q < lines ? V::load_n(src + q * x.in + i, x.in - i) : V(0);
      transpose(r);
#pragma GCC unroll 16
      for (int64_t q = 0; q < W; ++q) r[q].store(turned + (i + q) * W);
    }
    const T* weights = static_cast<const T*>(x.weights);
    const int64_t most = x.most, first = x.from_second ? 1 : 0;
    const auto run = [&](int64_t o) {
      const T *from = turned + x.start[o] * W, *w = weights + o * most;
      V total(0);
      if (most == 2 && w[0] != T(0) && w[1] != T(0)) {
        total += V::load(from + first * W) * V(w[first]);
        total += V::load(from + (1 - first) * W) * V(w[1 - first]);
        return total;
      }
      const int64_t count = x.count[o];
      for (int64_t t = 0; t < count; ++t)  // with 0: what stands there may be infinite
        if (w[t] != T(0)) total += V::load(from + t * W) * V(w[t]);
      return total;
    };
    for (int64_t o = 0; o < x.out; o += W) {
      V r[W];
      for (int64_t q = 0; q < W; ++q) r[q] = o + q < x.out ? run(o + q) : V(0);
      transpose(r);
      for (int64_t q = 0; q < lines; ++q) r[q].store_n(dst + q * line + o, x.out - o);
    }
  }

  // The best of a long run of neighbours, and with Index its distance from the first.
  FLAMBEAU_INLINE void long_run(const T* p, int64_t n, T* best, Int* place) const {
    constexpr int64_t W = V::size;
    B found(V::load(p), I::arange(0));
    for (int64_t t = W; t + W <= n; t += W)
      found.take(V::load(p + t), I::arange(0) + I(static_cast<Int>(t)));
    found.take(V::load(p + n - W), I::arange(0) + I(static_cast<Int>(n - W)));
    *best = found.value[0], *place = found.place[0];
    for (int i = 1; i < W; ++i) {
      const T v = found.value[i];
      const Int at = found.place[i];
      const bool unlike = v > *best || (v != v && *best == *best);
      const bool first = v == *best && at < *place, last = v != v && at > *place;
      if (unlike || first || last) *best = v, *place = at;
    }
  }

  // Runs of any length along the line, one by one.
  void run_line(const WindowAxis& x, const T* src, Lines dst, Int first) const {
    for (int64_t o = 0; o < x.out; ++o) {
      const T* p = src + x.start[o];
      const int64_t count = x.count[o];
      if constexpr (Max) {
        T best = kFirst;
        Int place = 0;
        if (x.step == 1 && count >= V::size) {
          long_run(p, count, &best, &place);
        } else {
          for (int64_t t = 0; t < count; ++t) {
            const T v = p[t * x.step];
            if (v > best || v != v) best = v, place = static_cast<Int>(t * x.step);
          }
        }
        dst.v[o] = best;
        if constexpr (Index) dst.at[o] = static_cast<Int>(first + x.start[o]) + place;
      } else {
        const T* w = x.weights ? static_cast<const T*>(x.weights) + o * x.most : nullptr;
        V total(0);
        each<T>(count, [&](int64_t t, int64_t m) {
          const V v = V::load_n(p + t, m);
          total += w ? v * V::load_n(w + t, m) : v;
        });
        dst.v[o] = sum(total);
      }
    }
  }

  // One line of the input, whose first number has the place `first`, along the last dimension.
  void across(const T* src, Lines dst, Int first) const {
    const WindowAxis& x = a.axis[2];
    if (a.inner > 1) {
      for (int64_t o = 0; o < x.out; ++o)
        fold(x, o, {const_cast<T*>(src) + x.start[o] * a.inner, nullptr}, a.inner,
             dst.on(o * a.inner), a.inner, first + static_cast<Int>(x.start[o]));
    } else if (deals_out(x)) {
      pool_line(x, src, dst, first);
    } else if (x.at && !Max) {
      pick_line(x, src, dst.v);
    } else {
      run_line(x, src, dst, first);
    }
  }

  void divide(T* y, double by) const {
    const T* d = static_cast<const T*>(a.divisors);
    if (!d && by == 1) return;
    const V scale(static_cast<T>(by));
    each<T>(line, [&](int64_t i, int64_t m) {
      (V::load_n(y + i, m) / (d ? V::load_n(d + i, m, 1) * scale : scale)).store_n(y + i, m);
    });
  }

  // Lines put together first, in `whole`, and then gone along.
  void unit_down(int64_t plane, Range depth, Range rows, T* whole) const {
    const WindowAxis &d = a.axis[0], &h = a.axis[1];
    const int64_t width = a.axis[2].in * a.inner;
    const T* x = static_cast<const T*>(a.input) + plane * d.in * h.in * width;
    for (int64_t i = depth.begin; i < depth.end; ++i)
      for (int64_t o = rows.begin; o < rows.end; ++o) {
        const T* from = x + (d.start[i] * h.in + h.start[o]) * width;
        each<T>(width, [&](int64_t at, int64_t m) {
          B best(V(kFirst), I(0));
          for (int64_t s = 0; s < d.count[i]; ++s)
            for (int64_t t = 0; t < h.count[o]; ++t)
              best.take(V::load_n(from + (s * d.step * h.in + t * h.step) * width + at, m), I(0));
          best.value.store_n(whole + at, m);
        });
        T* to = static_cast<T*>(a.out) + ((plane * d.out + i) * h.out + o) * line;
        across(whole, {to, nullptr}, 0);
        divide(to, a.divide * (d.divisor ? d.divisor[i] : 1) * (h.divisor ? h.divisor[o] : 1));
      }
  }

  // Lines and slabs [rows, line] hold what the first two steps leave.
  void unit(int64_t plane, Range depth, Range rows, Lines lines, Lines slabs) const {
    const WindowAxis &d = a.axis[0], &h = a.axis[1];
    const int64_t width = a.axis[2].in * a.inner;
    const T* x = static_cast<const T*>(a.input) + plane * d.in * h.in * width;
    const int64_t at = plane * d.out * h.out;
    Lines out{static_cast<T*>(a.out), static_cast<Int*>(a.places)};
    const Range planes = needed(d, depth), wide = needed(h, rows);
    const auto target = [&](int64_t i, int64_t j) { return out.on((at + i * h.out + j) * line); };
    const bool many = weighs_many(a) && wide.size() >= V::size / 4;
    for (int64_t i = planes.begin; i < planes.end; ++i) {
      for (int64_t j = wide.begin; many && j < wide.end; j += V::size)
        weigh_lines(a.axis[2], x + (i * h.in + j) * width,
                    wide.end - j < V::size ? wide.end - j : V::size,
                    lines.v + (j - wide.begin) * line);
      for (int64_t j = wide.begin; !many && j < wide.end; ++j) {
        const int64_t row = i * h.in + j;
        const Lines to = !keeps(h)  ? lines.on((j - wide.begin) * line)
                         : keeps(d) ? target(0, 0)
                                    : slabs.on((i - planes.begin) * line);
        across(x + row * width, to, static_cast<Int>(row * a.axis[2].in));
      }
      if (keeps(h)) continue;
      for (int64_t o = rows.begin; o < rows.end; ++o)
        fold(h, o, lines.on((h.start[o] - wide.begin) * line), line,
             keeps(d) ? target(0, o)
                      : slabs.on(((i - planes.begin) * rows.size() + o - rows.begin) * line),
             line);
    }
    if (!keeps(d))
      for (int64_t i = depth.begin; i < depth.end; ++i)
        fold(d, i, slabs.on((d.start[i] - planes.begin) * rows.size() * line), rows.size() * line,
             target(i, rows.begin), rows.size() * line);
    for (int64_t i = depth.begin; i < depth.end; ++i)
      for (int64_t o = rows.begin; o < rows.end; ++o)
        divide(target(i, o).v,
               a.divide * (d.divisor ? d.divisor[i] : 1) * (h.divisor ? h.divisor[o] : 1));
  }
};

// Cuts a dimension of `out` results into pieces of about that much work, by size alone.
inline int64_t piece(int64_t out, int64_t work) {
  const int64_t pieces = work * out / kWork;
  return pieces <= 1 ? out : pieces >= out ? 1 : (out + pieces - 1) / pieces;
}

template <class T, bool Max, bool Index>
void run(const WindowArgs& a) {
  using W = Walk<T, Max, Index>;
  const WindowAxis &d = a.axis[0], &h = a.axis[1], &w = a.axis[2];
  const int64_t line = w.out * a.inner;
  const bool deep = !keeps(d);
  const int64_t row = h.in * w.in * a.inner / (h.out ? h.out : 1) + line;  // work for a line
  const int64_t rows = deep ? h.out : piece(h.out, row),
                slices = deep ? piece(d.out, row * h.out) : 1;
  const int64_t by_row = (h.out + rows - 1) / rows, by_slice = (d.out + slices - 1) / slices;
  const int64_t units = a.planes * by_slice * by_row, work = row * rows * slices;
  const bool down = !Index && !w.weights && goes_down(d, h);
  const int64_t phase =
      deals_out(w) ? w.out + (w.kernel - 1) * w.step / w.stride + 2 * Vec<T>::size : 0;
  const int64_t held = down ? w.in * a.inner : keeps(h) ? 0 : h.in * line;
  const int64_t slab = deep && !down ? d.in * h.out * line : 0;
  constexpr int64_t V = Vec<T>::size;
  const int64_t turned = W::weighs_many(a) ? (w.in + V) * V : phase * w.stride;
  const size_t numbers = static_cast<size_t>(turned + (held + slab) * (Index ? 2 : 1));
  parallel_for(0, units, kWork / (work + 1) + 1, [&](int64_t begin, int64_t end) {
    T* p = static_cast<T*>(scratch(Scratch::columns, numbers * sizeof(T)));
    T* lines = p + turned;
    T* slabs = lines + held;
    auto* at = reinterpret_cast<typename W::Int*>(slabs + slab);
    const W walk{a, line, p, phase};
    for (int64_t i = begin; i < end; ++i) {
      const int64_t r = i % by_row * rows, s = i / by_row % by_slice * slices;
      const int64_t plane = i / (by_row * by_slice);
      const Range depth{s, s + slices < d.out ? s + slices : d.out};
      const Range high{r, r + rows < h.out ? r + rows : h.out};
      if (down)
        walk.unit_down(plane, depth, high, lines);
      else
        walk.unit(plane, depth, high, {lines, at}, {slabs, at + held});
    }
  });
}

template <class T>
void by_kind(const WindowArgs& a) {
  if (!a.maximum)
    run<T, false, false>(a);
  else if (a.places)
    run<T, true, true>(a);
  else
    run<T, true, false>(a);
}

void windows(const WindowArgs& a) {
  switch (a.type) {
    case WindowType::f32: return by_kind<float>(a);
    case WindowType::f64: return by_kind<double>(a);
    case WindowType::i64: return by_kind<int64_t>(a);
  }
}

// Every result is one item of the input.
template <class Item>
void pick_columns(const PickArgs& a, const Item* __restrict in, Item* __restrict out) {
  const int64_t n = a.columns, half = a.columns_in;
  const int32_t* column = a.column;
  if (a.doubled) {
    for (int64_t i = 0; i < half; ++i) {
      const Item x = in[i];
      out[2 * i] = x;
      out[2 * i + 1] = x;
    }
    return;
  }
  int64_t i = 0;
  if constexpr (Near::kCan && sizeof(Item) == 4)
    for (Near near; n >= 16 && i < n && near.reaches(in, half, column[i], column[i + 15]);) {
      const auto x = near.at(column + i).v;
      __builtin_memcpy(out + i, &x, sizeof x);
      i = i + 16 == n || i + 32 <= n ? i + 16 : n - 16;  // the last overlap
    }
#pragma GCC unroll 8
  for (; i < n; ++i) out[i] = in[column[i]];
}
template <int size>
struct Item {
  uint8_t bytes[size];
};

void pick(const PickArgs& a) {
  const int64_t work = a.columns * a.size, from = a.columns_in * a.size;
  parallel_for(0, a.planes * a.rows, kWork / work + 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t r = i % a.rows;
      const auto* in =
          static_cast<const uint8_t*>(a.in) + (i / a.rows * a.rows_in + a.row[r]) * from;
      uint8_t* out = static_cast<uint8_t*>(a.out) + i * work;
      const auto as = [&](auto item) {
        using I = decltype(item);
        pick_columns(a, reinterpret_cast<const I*>(in), reinterpret_cast<I*>(out));
      };
      if (i > begin && r && a.row[r] == a.row[r - 1])
        __builtin_memcpy(out, out - work, static_cast<size_t>(work));
      else if (a.size == 1)
        as(uint8_t());
      else if (a.size == 2)
        as(uint16_t());
      else if (a.size == 3)
        as(Item<3>());
      else if (a.size == 4)
        as(uint32_t());
      else if (a.size == 8)
        as(uint64_t());
      else
        for (int64_t c = 0; c < a.columns; ++c)
          __builtin_memcpy(out + c * a.size, in + a.column[c] * a.size,
                           static_cast<size_t>(a.size));
    }
  });
}

template <class T>
void add_all(const PlacesArgs& a) {
  const int64_t work = (a.points + a.volume) * a.inner;
  parallel_for(0, a.planes, kWork / (work + 1) + 1, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) {
      T* y = static_cast<T*>(a.out) + p * a.volume * a.inner;
      const T* g = static_cast<const T*>(a.grad) + p * a.points * a.inner;
      const auto* at = static_cast<const typename Vec<T>::Int*>(a.places) + p * a.points * a.inner;
      __builtin_memset(y, 0, static_cast<size_t>(a.volume * a.inner) * sizeof(T));
      if (a.inner == 1)
        for (int64_t i = 0; i < a.points; ++i) y[at[i]] += g[i];
      else
        for (int64_t i = 0; i < a.points; ++i)
          for (int64_t c = 0; c < a.inner; ++c)
            y[at[i * a.inner + c] * a.inner + c] += g[i * a.inner + c];
    }
  });
}

void add_at_places(const PlacesArgs& a) {
  a.type == WindowType::f64 ? add_all<double>(a) : add_all<float>(a);
}

FLAMBEAU_REGISTER(windows_kernel, windows);
FLAMBEAU_REGISTER(pick_kernel, pick);
FLAMBEAU_REGISTER(add_at_places_kernel, add_at_places);

}  // namespace
}  // namespace FLAMBEAU_ISA
}  // namespace flambeau
