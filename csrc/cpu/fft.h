// The fast Fourier transform of several lines at once: point k of line q is element k * s + q.
//
// Stockham's self-sorting form (Van Loan, Computational Frameworks for the FFT, 1992, section 1.7):
// a pass of radix r over n points of s lines is one over n / r points of r s lines next, so the
// innermost loop, over the lines, soon fills vectors whatever s was.
#pragma once
#include "kernels/fft.h"
#include "vec.h"

namespace flambeau {
namespace FLAMBEAU_ISA {

template <class T>
struct Split {  // real and imaginary parts
  T *re, *im;
};

// cos and -sin of 2 pi k step / (step n): a table may be of a multiple of n.
template <class T>
struct Roots {
  const T *cosine, *sine;
  int64_t step;
  Roots every(int64_t times) const { return {cosine, sine, step * times}; }
};

template <class V>
struct Pair {
  V re, im;
  friend FLAMBEAU_INLINE Pair operator+(Pair a, Pair b) { return {a.re + b.re, a.im + b.im}; }
  friend FLAMBEAU_INLINE Pair operator-(Pair a, Pair b) { return {a.re - b.re, a.im - b.im}; }
  template <class T>
  FLAMBEAU_INLINE Pair times(T c, T s) const {
    return {re * c - im * s, re * s + im * c};
  }
  template <class T>
  FLAMBEAU_INLINE Pair scaled(T c) const {
    return {re * c, im * c};
  }
  FLAMBEAU_INLINE Pair turned() const { return {im, -re}; }  // times -i
};

// The transform of R points, in place.
template <int R, class T, class V>
struct Butterfly;
template <class T, class V>
struct Butterfly<2, T, V> {
  static FLAMBEAU_INLINE void run(Pair<V>* a) {
    const Pair<V> b = a[0] - a[1];
    a[0] = a[0] + a[1];
    a[1] = b;
  }
};
template <class T, class V>
struct Butterfly<3, T, V> {
  static FLAMBEAU_INLINE void run(Pair<V>* a) {
    const Pair<V> sum = a[1] + a[2];
    const Pair<V> turn = (a[1] - a[2]).scaled(T(0.8660254037844386)).turned();
    const Pair<V> half = a[0] - sum.scaled(T(0.5));
    a[0] = a[0] + sum;
    a[1] = half + turn;
    a[2] = half - turn;
  }
};
template <class T, class V>
struct Butterfly<4, T, V> {
  static FLAMBEAU_INLINE void run(Pair<V>* a) {
    const Pair<V> even = a[0] + a[2], odd = a[0] - a[2];
    const Pair<V> sum = a[1] + a[3], turn = (a[1] - a[3]).turned();
    a[0] = even + sum;
    a[1] = odd + turn;
    a[2] = even - sum;
    a[3] = odd - turn;
  }
};
template <class T, class V>
struct Butterfly<5, T, V> {
  static FLAMBEAU_INLINE void run(Pair<V>* a) {
    constexpr T c1 = T(0.30901699437494745), c2 = T(-0.8090169943749475);
    constexpr T s1 = T(0.9510565162951535), s2 = T(0.5877852522924731);
    const Pair<V> p = a[1] + a[4], q = a[2] + a[3], u = a[1] - a[4], v = a[2] - a[3];
    const Pair<V> x = a[0] + p.scaled(c1) + q.scaled(c2), y = a[0] + p.scaled(c2) + q.scaled(c1);
    const Pair<V> tx = (u.scaled(s1) + v.scaled(s2)).turned();
    const Pair<V> ty = (u.scaled(s2) - v.scaled(s1)).turned();
    a[0] = a[0] + p + q;
    a[1] = x + tx;
    a[2] = y + ty;
    a[3] = y - ty;
    a[4] = x - tx;
  }
};
template <class T, class V>
struct Butterfly<8, T, V> {
  static FLAMBEAU_INLINE void run(Pair<V>* a) {
    constexpr T h = T(0.7071067811865476);
    Pair<V> even[4] = {a[0], a[2], a[4], a[6]}, odd[4] = {a[1], a[3], a[5], a[7]};
    Butterfly<4, T, V>::run(even);
    Butterfly<4, T, V>::run(odd);
    odd[1] = odd[1].times(h, -h);
    odd[2] = odd[2].turned();
    odd[3] = odd[3].times(-h, -h);
    for (int k = 0; k < 4; ++k) {
      a[k] = even[k] + odd[k];
      a[k + 4] = even[k] - odd[k];
    }
  }
};

template <class T>
class Fft {
 public:
  static constexpr int kMaxFactors = 64;
  Fft(int64_t n, Roots<T> roots) : n_(n), roots_(roots) {
    constexpr int64_t first[] = {8, 4, 2, 3, 5};
    for (int64_t r : first)
      for (; n % r == 0; n /= r) factors_[count_++] = r;
    for (int64_t r = 7; n > 1; r += 2)
      for (; n % r == 0; n /= r) factors_[count_++] = r;
  }
  int64_t points() const { return n_; }

  // Where the result of x is: in x or in y, which is written too.
  Split<T> run(Split<T> x, Split<T> y, int64_t s) const {
    int64_t left = n_;
    Roots<T> roots = roots_;
    for (int i = 0; i < count_; ++i) {
      const int64_t r = factors_[i], m = left / r;
      if (s >= Vec<T>::size)
        pass_of<Vec<T>>(r, m, s, roots, x, y);
      else
        pass_of<T>(r, m, s, roots, x, y);
      const Split<T> swap = x;
      x = y;
      y = swap;
      left = m;
      s *= r;
      roots.step *= r;
    }
    return x;
  }

 private:
  template <class V>
  void pass_of(int64_t r, int64_t m, int64_t s, Roots<T> w, Split<T> x, Split<T> y) const {
    switch (r) {
      case 2: return pass<2, V>(m, s, w, x, y);
      case 3: return pass<3, V>(m, s, w, x, y);
      case 4: return pass<4, V>(m, s, w, x, y);
      case 5: return pass<5, V>(m, s, w, x, y);
      case 8: return pass<8, V>(m, s, w, x, y);
      default: return any_pass<V>(static_cast<int>(r), m, s, w, x, y);
    }
  }

  // f(q, count) for the lines: in vectors, the last of them of `count` lines only, or one by one.
  template <class V, class F>
  static FLAMBEAU_INLINE void lines(int64_t s, const F& f) {
    if constexpr (sizeof(V) == sizeof(T)) {
      for (int64_t q = 0; q < s; ++q) f(q, 1);
    } else {
      int64_t q = 0;
      for (; q + V::size <= s; q += V::size) f(q, V::size);
      if (q < s) f(q, s - q);
    }
  }
  template <class V>
  static FLAMBEAU_INLINE Pair<V> load(Split<T> x, int64_t at, int64_t count) {
    if constexpr (sizeof(V) == sizeof(T))
      return {x.re[at], x.im[at]};
    else
      return {V::load_n(x.re + at, count), V::load_n(x.im + at, count)};
  }
  template <class V>
  static FLAMBEAU_INLINE void store(Split<T> y, int64_t at, int64_t count, Pair<V> a) {
    if constexpr (sizeof(V) == sizeof(T)) {
      y.re[at] = a.re;
      y.im[at] = a.im;
    } else {
      a.re.store_n(y.re + at, count);
      a.im.store_n(y.im + at, count);
    }
  }

  template <int R, class V>
  static void pass(int64_t m, int64_t s, Roots<T> w, Split<T> x, Split<T> y) {
    for (int64_t p = 0; p < m; ++p) {
      T c[R], d[R];
      for (int k = 1; k < R; ++k) {
        c[k] = w.cosine[p * k * w.step];
        d[k] = w.sine[p * k * w.step];
      }
      lines<V>(s, [&](int64_t q, int64_t count) {
        Pair<V> a[R];
#pragma GCC unroll 8
        for (int k = 0; k < R; ++k) a[k] = load<V>(x, s * (p + m * k) + q, count);
        Butterfly<R, T, V>::run(a);
        store<V>(y, s * R * p + q, count, a[0]);
#pragma GCC unroll 8
        for (int k = 1; k < R; ++k) store<V>(y, s * (R * p + k) + q, count, a[k].times(c[k], d[k]));
      });
    }
  }

  // Any radix, by the definition.
  template <class V>
  void any_pass(int r, int64_t m, int64_t s, Roots<T> w, Split<T> x, Split<T> y) const {
    const int64_t unit = n_ / r * roots_.step;  // of the r-th roots of one in the table
    for (int64_t p = 0; p < m; ++p) {
      lines<V>(s, [&](int64_t q, int64_t count) {
        Pair<V> a[kLargestRadix];
        for (int k = 0; k < r; ++k) a[k] = load<V>(x, s * (p + m * k) + q, count);
        for (int k = 0; k < r; ++k) {
          Pair<V> sum = a[0];
          for (int j = 1; j < r; ++j) {
            const int64_t at = j * k % r * unit;
            sum = sum + a[j].times(w.cosine[at], w.sine[at]);
          }
          const int64_t at = p * k * w.step;
          store<V>(y, s * (r * p + k) + q, count, sum.times(w.cosine[at], w.sine[at]));
        }
      });
    }
  }

  int64_t n_;
  Roots<T> roots_;
  int64_t factors_[kMaxFactors];
  int count_ = 0;
};

}  // namespace FLAMBEAU_ISA
}  // namespace flambeau
