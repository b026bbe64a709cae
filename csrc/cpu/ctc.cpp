// Connectionist temporal classification: the states of a target, labels with blanks around them,
// side by side in registers; forward over time, and back for the gradient.
#include "../kernels/ctc.h"

#include "../parallel.h"
#include "../scratch.h"
#include "each.h"

namespace flambeau {
namespace FLAMBEAU_ISA {
namespace {

template <class T>
struct Sample {
  using V = Vec<T>;
  static constexpr T kNone = -kInf<T>;  // the logarithm of the impossible
  const CtcArgs& a;
  const int64_t n, times, length, states;
  T* alpha;
  T *skips, *emitted, *line, *next;  // working memory, a.width each

  Sample(const CtcArgs& a, int64_t n, T* memory)
      : a(a),
        n(n),
        times(a.input_lengths[n]),
        length(a.target_lengths[n]),
        states(2 * length + 1),
        alpha(static_cast<T*>(a.alpha) + n * a.times * a.width),
        skips(memory),
        emitted(memory + a.width),
        line(memory + 2 * a.width),
        next(memory + 3 * a.width) {
    // A state may be reached past a blank when the label before it is another one.
    for (int64_t s = 0; s < a.width; ++s)
      skips[s] = s < states && s >= 3 && s % 2 && label(s) != label(s - 2) ? T(0) : kNone;
  }

  int64_t label(int64_t s) const { return s % 2 ? a.labels[n * a.longest + s / 2] : a.blank; }
  const T* probs(int64_t t) const {
    return static_cast<const T*>(a.log_probs) + (t * a.batch + n) * a.classes;
  }
  void emit(int64_t t) const {
    const T* p = probs(t);
    for (int64_t s = 0; s < states; ++s) emitted[s] = p[label(s)];
  }
  static FLAMBEAU_INLINE V add(V x, V y, V z) {
    const V top = max(max(x, y), z), base = where(top == V(kNone), V(T(0)), top);
    return log(exp(x - base) + exp(y - base) + exp(z - base)) + base;
  }
  static T add(T x, T y) { return add(V(x), V(y), V(kNone))[0]; }

  // Without any input only the empty target is spelled.
  T likelihood() const {
    if (times == 0) return length ? kNone : T(0);
    const T* end = alpha + (times - 1) * a.width + 2 + states;
    return states > 1 ? add(end[-1], end[-2]) : end[-1];
  }

  void forward() const {
    for (int64_t t = 0; t < times; ++t) {
      T* row = alpha + t * a.width;
      row[0] = row[1] = kNone;
      emit(t);
      each<T>(states, [&](int64_t s, int64_t m) {
        const V own = V::load_n(emitted + s, m);
        if (t == 0)
          return where(V::arange(static_cast<T>(s)) < V(T(2)), own, V(kNone))
              .store_n(row + 2 + s, m);
        const T* last = row - a.width + s;
        const V skip = V::load_n(last, m) + V::load_n(skips + s, m, kNone);
        (add(V::load_n(last + 2, m), V::load_n(last + 1, m), skip) + own).store_n(row + 2 + s, m);
      });
    }
    const T loss = -likelihood();
    static_cast<T*>(a.loss)[n] = a.zero_infinity && loss == kInf<T> ? T(0) : loss;
  }

  void backward() const {
    const T nll = -likelihood(), g = static_cast<const T*>(a.g)[n];
    const bool nothing = a.zero_infinity && nll == kInf<T>;
    T *now = line, *after = next;  // beta at t and t + 1, with what is impossible behind
    for (int64_t t = a.times - 1; t >= 0; --t) {
      T* grad = static_cast<T*>(a.grad) + (t * a.batch + n) * a.classes;
      const T* p = probs(t);
      const bool counts = t < times && !nothing;
      each<T>(a.classes, [&](int64_t c, int64_t m) {
        (counts ? exp(V::load_n(p + c, m)) * V(g) : V(T(0))).store_n(grad + c, m);
      });
      if (!counts) continue;
      emit(t);
      each<T>(a.width, [&](int64_t s, int64_t m) { V(kNone).store_n(now + s, m); });
      if (t == times - 1) {
        for (int64_t s = states > 1 ? states - 2 : 0; s < states; ++s) now[s] = emitted[s];
      } else {
        each<T>(states, [&](int64_t s, int64_t m) {
          const V skip = V::load_n(after + s + 2, m, kNone) + V::load_n(skips + s + 2, m, kNone);
          const V reached = add(V::load_n(after + s, m), V::load_n(after + s + 1, m), skip);
          (reached + V::load_n(emitted + s, m)).store_n(now + s, m);
        });
      }
      const T* row = alpha + t * a.width + 2;
      each<T>(states, [&](int64_t s, int64_t m) {
        const V both = V::load_n(row + s, m) + V::load_n(now + s, m);
        const V share = exp(both + V(nll) - V::load_n(emitted + s, m));
        // What cannot be has no share, unless nothing can.
        where((both == V(kNone)) & (V(nll) < V(kInf<T>)), V(T(0)), share).store_n(emitted + s, m);
      });
      for (int64_t s = 0; s < states; ++s) grad[label(s)] -= g * emitted[s];
      T* swap = now;
      now = after;
      after = swap;
    }
  }
};

template <class T>
void run(const CtcArgs& a) {
  parallel_for(0, a.batch, 1, [&](int64_t begin, int64_t end) {
    const size_t bytes = 4 * static_cast<size_t>(a.width) * sizeof(T);
    T* memory = static_cast<T*>(scratch(Scratch::columns, bytes));
    for (int64_t n = begin; n < end; ++n) {
      const Sample<T> sample(a, n, memory);
      a.g ? sample.backward() : sample.forward();
    }
  });
}

void ctc(const CtcArgs& a) { a.f64 ? run<double>(a) : run<float>(a); }

FLAMBEAU_REGISTER(ctc_kernel, ctc);

}  // namespace
}  // namespace FLAMBEAU_ISA
}  // namespace flambeau
