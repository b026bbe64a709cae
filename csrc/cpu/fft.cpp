// Fourier transforms of complex and real lines: a register's worth of lines at a time, long lines
// by rows and columns.
#include "fft.h"

#include "gemm.h"
#include "gemm_driver.h"
#include "parallel.h"
#include "scratch.h"

namespace flambeau {
namespace FLAMBEAU_ISA {
namespace {

template <class T>
Roots<T> roots_of(const void* table, int64_t n, int64_t step = 1) {
  const T* t = static_cast<const T*>(table);
  return {t, t + n, step};
}

template <class T>
Split<T> split_at(T* p, int64_t count) {
  return {p, p + count};
}
template <class T>
Split<T> swapped(Split<T> x) {
  return {x.im, x.re};
}

// f(k, q, element) for points k < count of the lines first + q, q < s, of [outer, n, inner]; in the
// order of the memory.
template <class F>
FLAMBEAU_INLINE void each_point(int64_t first, int64_t s, int64_t inner, int64_t n, int64_t count,
                                const F& f) {
  if (inner == 1) {
    for (int64_t q = 0; q < s; ++q)
      for (int64_t k = 0; k < count; ++k) f(k, q, (first + q) * n + k);
    return;
  }
  if (first % inner + s <= inner) {
    const int64_t base = first / inner * n * inner + first % inner;
    for (int64_t k = 0; k < count; ++k)
      for (int64_t q = 0; q < s; ++q) f(k, q, base + k * inner + q);
    return;
  }
  for (int64_t k = 0; k < count; ++k) {
    int64_t o = first / inner, i = first % inner;
    for (int64_t q = 0; q < s; ++q) {
      f(k, q, (o * n + k) * inner + i);
      if (++i == inner) {
        i = 0;
        ++o;
      }
    }
  }
}

// A transform of any number of points, those with large prime factors as a convolution with a chirp
// (Bluestein 1970): j k = (j^2 + k^2 - (k - j)^2) / 2.
template <class T>
class Points {
 public:
  // roots of n; for a convolution `chirp` of 2 n and `padded` of its length, and 2 n + 4 length
  // numbers of memory for what is prepared.
  Points(int64_t n, Roots<T> roots) : n_(n), fft_(n, roots) {}
  Points(int64_t n, Roots<T> chirp, int64_t length, Roots<T> padded, T* memory)
      : n_(n), fft_(length, padded), padded_(length) {
    chirp_ = split_at(memory, n);
    Split<T> x = split_at(memory + 2 * n, length), y = split_at(memory + 2 * (n + length), length);
    for (int64_t k = 0; k < n; ++k) {
      const int64_t at = static_cast<int64_t>(static_cast<unsigned __int128>(k) * k % (2 * n));
      chirp_.re[k] = chirp.cosine[at * chirp.step];
      chirp_.im[k] = chirp.sine[at * chirp.step];
    }
    for (int64_t k = 0; k < length; ++k) x.re[k] = x.im[k] = 0;
    for (int64_t k = 0; k < n; ++k) {
      const int64_t mirror = k ? length - k : 0;
      x.re[k] = x.re[mirror] = chirp_.re[k];
      x.im[k] = x.im[mirror] = -chirp_.im[k];
    }
    spectrum_ = fft_.run(x, y, 1);
  }
  int64_t room() const { return padded_ ? padded_ : n_; }

  // As Fft::run; x has room() points of s lines.
  Split<T> run(Split<T> x, Split<T> y, int64_t s) const {
    if (!padded_) return fft_.run(x, y, s);
    times(x, chirp_, n_, s, 1);
    for (int64_t i = n_ * s; i < padded_ * s; ++i) x.re[i] = x.im[i] = 0;
    Split<T> z = fft_.run(x, y, s);
    Split<T> other = z.re == x.re ? y : x;
    times(z, spectrum_, padded_, s, 1);
    z = swapped(fft_.run(swapped(z), swapped(other), s));
    times(z, chirp_, n_, s, T(1) / static_cast<T>(padded_));
    return z;
  }

 private:
  static void times(Split<T> x, Split<T> w, int64_t n, int64_t s, T scale) {
    for (int64_t k = 0; k < n; ++k) {
      const T c = w.re[k] * scale, d = w.im[k] * scale;
      for (int64_t i = k * s; i < (k + 1) * s; ++i) {
        const T re = x.re[i] * c - x.im[i] * d;
        x.im[i] = x.re[i] * d + x.im[i] * c;
        x.re[i] = re;
      }
    }
  }

  int64_t n_;
  Fft<T> fft_;
  int64_t padded_ = 0;
  Split<T> chirp_{}, spectrum_{};
};

template <class T>
class Lines {
 public:
  explicit Lines(const FftArgs& a)
      : a_(a),
        in_(static_cast<const T*>(a.in)),
        out_(static_cast<T*>(a.out)),
        half_(a.kind != FftArgs::complex && a.n % 2 == 0),
        n_(half_ ? a.n / 2 : a.n),
        scale_(static_cast<T>(a.scale)),
        roots_(roots_of<T>(a.table, a.n)) {}

  void run() {
    if (a_.padded) {
      T* memory = scratch_for<T>(Scratch::shared, 2 * n_ + 4 * a_.padded);
      return run_groups(Points<T>(n_, roots_of<T>(a_.chirp_table, 2 * n_), a_.padded,
                                  roots_of<T>(a_.padded_table, a_.padded), memory));
    }
    if (a_.inner == 1 && a_.work) return run_long();
    run_groups(Points<T>(n_, roots_.every(half_ ? 2 : 1)));
  }

 private:
  static constexpr int64_t W = Vec<T>::size;

  // -- lines side by side
  void run_groups(const Points<T>& points) const {
    const int64_t lines = a_.outer * a_.inner, room = points.room();
    int64_t group = lines < W ? lines : W;
    if (room > (1 << 16)) group = 1;  // the memory of many long lines
    // Groups end where a row of neighbours does, so that what they read is side by side too.
    const bool rows = a_.inner >= group;
    const int64_t row = rows ? a_.inner : lines, per_row = (row + group - 1) / group;
    int64_t grain = (1 << 14) / (room * group);
    if (grain < 1) grain = 1;
    parallel_for(0, lines / row * per_row, grain, [&](int64_t b, int64_t e) {
      T* memory = scratch_for<T>(Scratch::columns, 4 * room * group);
      for (int64_t g = b; g < e; ++g) {
        const int64_t at = g % per_row * group, first = g / per_row * row + at;
        const int64_t s = row - at < group ? row - at : group;
        const Split<T> x = split_at(memory, room * s),
                       y = split_at(memory + 2 * room * s, room * s);
        const bool square = a_.inner == 1 && 2 * s >= W && (half_ || a_.kind == FftArgs::complex);
        if (square)
          load_square(x, y, first, s);
        else
          load(x, first, s);
        const Split<T> r = points.run(x, y, s);
        if (square)
          store_square(r, first, s);
        else
          store(r, first, s);
      }
    });
  }

  void load(Split<T> x, int64_t first, int64_t s) const {
    const int64_t inner = a_.inner, n = a_.n;
    if (a_.kind == FftArgs::complex) {
      if (!a_.forward) x = swapped(x);
      each_point(first, s, inner, n, n, [&](int64_t k, int64_t q, int64_t at) {
        x.re[k * s + q] = in_[2 * at];
        x.im[k * s + q] = in_[2 * at + 1];
      });
    } else if (a_.kind == FftArgs::from_real) {
      each_point(first, s, inner, n, n, [&](int64_t k, int64_t q, int64_t at) {
        if (half_) {
          T* part = k & 1 ? x.im : x.re;
          part[(k >> 1) * s + q] = in_[at];
        } else {
          x.re[k * s + q] = in_[at];
          x.im[k * s + q] = 0;
        }
      });
    } else {
      x = swapped(x);
      each_point(first, s, inner, n / 2 + 1, n_, [&](int64_t k, int64_t q, int64_t at) {
        const Pair<T> z = half_ ? packed(in_ + 2 * at, k) : mirrored(in_ + 2 * at, k);
        x.re[k * s + q] = z.re;
        x.im[k * s + q] = z.im;
      });
    }
  }

  void store(Split<T> x, int64_t first, int64_t s) const {
    const int64_t inner = a_.inner, n = a_.n;
    if (a_.kind == FftArgs::complex) {
      if (!a_.forward) x = swapped(x);
      each_point(first, s, inner, n, n, [&](int64_t k, int64_t q, int64_t at) {
        out_[2 * at] = x.re[k * s + q] * scale_;
        out_[2 * at + 1] = x.im[k * s + q] * scale_;
      });
    } else if (a_.kind == FftArgs::from_real) {
      each_point(first, s, inner, n / 2 + 1, n / 2 + 1, [&](int64_t k, int64_t q, int64_t at) {
        Pair<T> z;
        if (half_) {
          const int64_t i = (k == n_ ? 0 : k) * s + q, j = (k ? n_ - k : 0) * s + q;
          z = unpacked(Pair<T>{x.re[i], x.im[i]}, Pair<T>{x.re[j], x.im[j]}, k);
        } else {
          z = {x.re[k * s + q], x.im[k * s + q]};
        }
        out_[2 * at] = z.re * scale_;
        out_[2 * at + 1] = z.im * scale_;
      });
    } else {
      x = swapped(x);
      each_point(first, s, inner, n, n, [&](int64_t k, int64_t q, int64_t at) {
        const T* part = half_ && k & 1 ? x.im : x.re;
        out_[at] = scale_ * part[(half_ ? k >> 1 : k) * s + q];
      });
    }
  }

  // -- lines one after the other: squares of them are transposed in registers
  using P = Pair<Vec<T>>;
  static constexpr int64_t kAtOnce = W / 2;
  static FLAMBEAU_INLINE P row(Split<T> x, int64_t k, int64_t s) {
    return {Vec<T>::load_n(x.re + k * s, s), Vec<T>::load_n(x.im + k * s, s)};
  }
  static FLAMBEAU_INLINE void set_row(Split<T> x, int64_t k, int64_t s, P z) {
    z.re.store_n(x.re + k * s, s);
    z.im.store_n(x.im + k * s, s);
  }

  // put(k, numbers k of all lines) for lines of `count` complex numbers that begin `step` apart.
  template <class F>
  static FLAMBEAU_INLINE void read_rows(const T* in, int64_t step, int64_t s, int64_t count,
                                        const F& put) {
    for (int64_t k = 0; k < count; k += kAtOnce) {
      const int64_t m = count - k < kAtOnce ? count - k : kAtOnce;
      Vec<T> r[W];
#pragma GCC unroll 16
      for (int64_t q = 0; q < W; ++q)
        r[q] = q < s ? Vec<T>::load_n(in + q * step + 2 * k, 2 * m) : Vec<T>(T(0));
      transpose(r);
#pragma GCC unroll 16
      for (int64_t i = 0; i < kAtOnce; ++i)
        if (i < m) put(k + i, P{r[2 * i], r[2 * i + 1]});
    }
  }
  template <class F>
  static FLAMBEAU_INLINE void write_rows(T* out, int64_t step, int64_t s, int64_t count,
                                         const F& get) {
    for (int64_t k = 0; k < count; k += kAtOnce) {
      const int64_t m = count - k < kAtOnce ? count - k : kAtOnce;
      Vec<T> r[W];
#pragma GCC unroll 16
      for (int64_t i = 0; i < kAtOnce; ++i) {
        const P z = i < m ? get(k + i) : P{Vec<T>(T(0)), Vec<T>(T(0))};
        r[2 * i] = z.re;
        r[2 * i + 1] = z.im;
      }
      transpose(r);
#pragma GCC unroll 16
      for (int64_t q = 0; q < W; ++q)
        if (q < s) r[q].store_n(out + q * step + 2 * k, 2 * m);
    }
  }

  void load_square(Split<T> x, Split<T> y, int64_t first, int64_t s) const {
    if (a_.kind != FftArgs::to_real) {
      const Split<T> to = a_.forward ? x : swapped(x);
      return read_rows(in_ + first * 2 * n_, 2 * n_, s, n_,
                       [&](int64_t k, P z) { set_row(to, k, s, z); });
    }
    const T* in = in_ + first * (a_.n + 2);
    read_rows(in, a_.n + 2, s, n_, [&](int64_t k, P z) { set_row(y, k, s, z); });
    T last[W] = {};
    for (int64_t q = 0; q < s; ++q) last[q] = in[q * (a_.n + 2) + a_.n];
    const Vec<T> zero(T(0));
    set_row(swapped(x), 0, s, packed(P{row(y, 0, s).re, zero}, P{Vec<T>::load(last), zero}, 0));
    for (int64_t k = 1; k < n_; ++k) {
      const P b = row(y, n_ - k, s);
      set_row(swapped(x), k, s, packed(row(y, k, s), P{b.re, -b.im}, k));
    }
  }

  void store_square(Split<T> x, int64_t first, int64_t s) const {
    if (a_.kind == FftArgs::from_real)
      return write_rows(out_ + first * (a_.n + 2), a_.n + 2, s, n_ + 1, [&](int64_t k) {
        return unpacked(row(x, k == n_ ? 0 : k, s), row(x, k ? n_ - k : 0, s), k).scaled(scale_);
      });
    const Split<T> from = a_.forward ? x : swapped(x);
    write_rows(out_ + first * 2 * n_, 2 * n_, s, n_,
               [&](int64_t k) { return row(from, k, s).scaled(scale_); });
  }

  // -- real lines of 2 n numbers as n complex ones
  // The even numbers' transform E and the odd ones' O are in Z = E + i O; X = E + w^k O.
  template <class V>
  FLAMBEAU_INLINE Pair<V> unpacked(Pair<V> a, Pair<V> b, int64_t k) const {
    const Pair<V> even = {a.re + b.re, a.im - b.im}, odd = {a.re - b.re, a.im + b.im};
    return (even + odd.turned().times(roots_.cosine[k], roots_.sine[k])).scaled(T(0.5));
  }
  // The way back, b being the conjugate of point n - k.
  template <class V>
  FLAMBEAU_INLINE Pair<V> packed(Pair<V> a, Pair<V> b, int64_t k) const {
    const Pair<V> odd = (a - b).times(roots_.cosine[k], -roots_.sine[k]);
    return a + b + Pair<V>{-odd.im, odd.re};
  }
  // The same of the line's point k at p; what is imaginary at both ends does not count.
  FLAMBEAU_INLINE Pair<T> packed(const T* p, int64_t k) const {
    const T* m = p + 2 * (n_ - 2 * k) * a_.inner;
    return packed(Pair<T>{p[0], k ? p[1] : 0}, Pair<T>{m[0], k ? -m[1] : 0}, k);
  }
  // Point k of an odd number of them, from the first half.
  FLAMBEAU_INLINE Pair<T> mirrored(const T* p, int64_t k) const {
    if (k <= a_.n / 2) return {p[0], k ? p[1] : 0};
    const T* m = p + 2 * (a_.n - 2 * k) * a_.inner;
    return {m[0], -m[1]};
  }

  // -- one long line after the other, each as a matrix of n1 rows and n2 columns
  void run_long() const {
    T* work = static_cast<T*>(a_.work);
    T* aside = work + 2 * n_;
    for (int64_t line = 0; line < a_.outer; ++line) {
      if (a_.kind == FftArgs::complex) {
        matrix(in_ + line * 2 * n_, out_ + line * 2 * n_, work, !a_.forward, scale_);
      } else if (a_.kind == FftArgs::from_real) {
        matrix(in_ + line * a_.n, aside, work, false, 1);
        T* out = out_ + line * (a_.n + 2);
        parallel_for(0, n_ + 1, 1 << 14, [&](int64_t b, int64_t e) {
          for (int64_t k = b; k < e; ++k) {
            const T *p = aside + 2 * (k == n_ ? 0 : k), *m = aside + 2 * (k ? n_ - k : 0);
            const Pair<T> z = unpacked(Pair<T>{p[0], p[1]}, Pair<T>{m[0], m[1]}, k);
            out[2 * k] = z.re * scale_;
            out[2 * k + 1] = z.im * scale_;
          }
        });
      } else {
        const T* in = in_ + line * (a_.n + 2);
        parallel_for(0, n_, 1 << 14, [&](int64_t b, int64_t e) {
          for (int64_t k = b; k < e; ++k) {
            const Pair<T> z = packed(in + 2 * k, k);
            aside[2 * k] = z.re;
            aside[2 * k + 1] = z.im;
          }
        });
        matrix(aside, out_ + line * a_.n, work, true, scale_);
      }
    }
  }

  // x[j1 n2 + j2]: the columns, times w^(k1 j2), then the rows, to X[k1 + n1 k2].
  void matrix(const T* in, T* out, T* work, bool inverse, T scale) const {
    int64_t n1 = 1;
    for (int64_t d = 1; d * d <= n_; ++d)
      if (n_ % d == 0) n1 = d;
    const int64_t n2 = n_ / n1;
    const Roots<T> w = roots_.every(half_ ? 2 : 1);
    const Fft<T> down(n1, w.every(n2)), across(n2, w.every(n1));
    parallel_for(0, (n2 + W - 1) / W, 4, [&](int64_t b, int64_t e) {
      T* memory = scratch_for<T>(Scratch::columns, 4 * n1 * W);
      for (int64_t g = b; g < e; ++g) {
        const int64_t j = g * W, s = n2 - j < W ? n2 - j : W;
        const Split<T> x = split_at(memory, n1 * s), y = split_at(memory + 2 * n1 * s, n1 * s);
        const Split<T> to = inverse ? swapped(x) : x;
        for (int64_t k = 0; k < n1; ++k)
          for (int64_t q = 0; q < s; ++q) {
            to.re[k * s + q] = in[2 * (k * n2 + j + q)];
            to.im[k * s + q] = in[2 * (k * n2 + j + q) + 1];
          }
        store_turned(down.run(x, y, s), work + 2 * j, n1, n2, j, s, w);
      }
    });
    parallel_for(0, (n1 + W - 1) / W, 4, [&](int64_t b, int64_t e) {
      T* memory = scratch_for<T>(Scratch::columns, 4 * n2 * W);
      for (int64_t g = b; g < e; ++g) {
        const int64_t j = g * W, s = n1 - j < W ? n1 - j : W;
        const Split<T> x = split_at(memory, n2 * s), y = split_at(memory + 2 * n2 * s, n2 * s);
        read_rows(work + 2 * j * n2, 2 * n2, s, n2, [&](int64_t k, P z) { set_row(x, k, s, z); });
        const Split<T> r = across.run(x, y, s), from = inverse ? swapped(r) : r;
        for (int64_t k = 0; k < n2; ++k)
          for (int64_t q = 0; q < s; ++q) {
            out[2 * (k * n1 + j + q)] = from.re[k * s + q] * scale;
            out[2 * (k * n1 + j + q) + 1] = from.im[k * s + q] * scale;
          }
      }
    });
  }

  // Row k, column j + q of x times w^(k (j + q)): a power of 16 rows times one within them.
  static void store_turned(Split<T> x, T* out, int64_t n1, int64_t n2, int64_t j, int64_t s,
                           Roots<T> w) {
    constexpr int64_t kNear = 16;
    T near_c[kNear][W], near_s[kNear][W], c[W], d[W];
    for (int64_t k = 0; k < kNear; ++k)
      for (int64_t q = 0; q < s; ++q) {
        near_c[k][q] = w.cosine[(j + q) * k * w.step];
        near_s[k][q] = w.sine[(j + q) * k * w.step];
      }
    for (int64_t k = 0; k < n1; ++k) {
      const int64_t at = k % kNear;
      if (at == 0)
        for (int64_t q = 0; q < s; ++q) {
          c[q] = w.cosine[(j + q) * k * w.step];
          d[q] = w.sine[(j + q) * k * w.step];
        }
      for (int64_t q = 0; q < s; ++q) {
        const Pair<T> turn = Pair<T>{c[q], d[q]}.times(near_c[at][q], near_s[at][q]);
        const Pair<T> z = Pair<T>{x.re[k * s + q], x.im[k * s + q]}.times(turn.re, turn.im);
        out[2 * (k * n2 + q)] = z.re;
        out[2 * (k * n2 + q) + 1] = z.im;
      }
    }
  }

  const FftArgs& a_;
  const T* in_;
  T* out_;
  bool half_;
  int64_t n_;  // complex points that are transformed
  T scale_;
  Roots<T> roots_;  // of a_.n
};

void fft(const FftArgs& a) {
  if (a.f64)
    Lines<double>(a).run();
  else
    Lines<float>(a).run();
}

}  // namespace

FLAMBEAU_REGISTER(fft_kernel, fft);

}  // namespace FLAMBEAU_ISA
}  // namespace flambeau
