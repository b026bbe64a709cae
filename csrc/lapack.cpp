// LAPACK from a shared library (OpenBLAS, its names with the prefix scipy_) opened at run time.
#include "lapack.h"

#include <dlfcn.h>

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <vector>

#include "small_lapack.h"

namespace flambeau::lapack {
namespace {

// While it lives, a library that is loaded finds one thread asked for, and starts no others.
class OneThread {
 public:
  OneThread() {
    if (const char* text = std::getenv(kName)) before_ = text;
    setenv(kName, "1", 1);
  }
  ~OneThread() {
    if (before_)
      setenv(kName, before_->c_str(), 1);
    else
      unsetenv(kName);
  }
  OneThread(const OneThread&) = delete;

 private:
  static constexpr const char* kName = "OPENBLAS_NUM_THREADS";
  std::optional<std::string> before_;
};

void* library() {
  static void* const handle = [] {
    check(lapack_library != nullptr, "linear algebra: no library was named");
    const std::string path = lapack_library();
    // Its own threads would make results depend on their number; batches run on ours.
    OneThread scope;
    void* h = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    check(h != nullptr, "linear algebra: ", dlerror());
    auto* set_threads = reinterpret_cast<void (*)(int)>(dlsym(h, "scipy_openblas_set_num_threads"));
    if (set_threads) set_threads(1);
    return h;
  }();
  return handle;
}

void* find(const std::string& name) {
  void* f = dlsym(library(), ("scipy_" + name + "_").c_str());
  check(f != nullptr, "linear algebra: the library has no ", name);
  return f;
}

template <class T>
constexpr char letter() {
  if constexpr (std::is_same_v<T, float>) return 's';
  if constexpr (std::is_same_v<T, double>) return 'd';
  if constexpr (std::is_same_v<T, complex64>) return 'c';
  return 'z';
}

// Fortran takes everything by address and the lengths of strings, here all 1, at the end; those
// are harmless where a routine takes fewer.
template <class A>
A* address(A* p) {
  return p;
}
template <class A>
  requires(!std::is_pointer_v<A>)
const A* address(const A& x) {
  return &x;
}
template <class... A>
void invoke(void* routine, const A&... args) {
  using F = void (*)(decltype(address(args))..., size_t, size_t, size_t, size_t);
  reinterpret_cast<F>(routine)(address(args)..., 1, 1, 1, 1);
}

// The routine of element type T: real_name after s or d, complex_name after c or z.
#define FLAMBEAU_ROUTINE(T, real_name, complex_name)                                    \
  [] {                                                                                  \
    static void* const f =                                                              \
        find(letter<T>() + std::string(is_complex_type<T> ? complex_name : real_name)); \
    return f;                                                                           \
  }()

template <class T>
std::vector<T> room(int64_t n) {
  return std::vector<T>(static_cast<size_t>(std::max<int64_t>(n, 1)));
}
// A size that came as a number of type T, which in float32 may have been rounded down.
template <class T>
int64_t asked(T size) {
  return static_cast<int64_t>(double(std::real(size)) * (1 + 0x1p-23)) + 1;
}

// Calls f with workspaces: first asking for their size, then with that many.
template <class T, class F>
void with_work(const F& f) {
  T size{};
  f(&size, Int(-1));
  auto work = room<T>(asked(size));
  f(work.data(), static_cast<Int>(work.size()));
}

}  // namespace

void load() { library(); }

template <class T>
void trsm(char side, char uplo, char trans, char diag, Int m, Int n, const T* a, Int lda, T* b,
          Int ldb) {
  const T one(1);
  invoke(FLAMBEAU_ROUTINE(T, "trsm", "trsm"), side, uplo, trans, diag, m, n, one, a, lda, b, ldb);
}

template <class T>
Int getrf(Int m, Int n, T* a, Int lda, Int* pivots) {
  if constexpr (!is_complex_type<T>)
    if (m <= kSmallLu && n <= kSmallLu) return small_getrf(m, n, a, lda, pivots);
  Int info = 0;
  invoke(FLAMBEAU_ROUTINE(T, "getrf", "getrf"), m, n, a, lda, pivots, &info);
  return info;
}

template <class T>
Int getrs(char trans, Int n, Int nrhs, const T* lu, Int lda, const Int* pivots, T* b, Int ldb) {
  if constexpr (!is_complex_type<T>) {
    if (n <= kSmallLu && nrhs <= kSmallLu) {
      for (Int j = 0; j < nrhs; ++j)
        small_getrs(trans != 'N', n, lu, lda, pivots, b + int64_t(j) * ldb);
      return 0;
    }
  }
  Int info = 0;
  invoke(FLAMBEAU_ROUTINE(T, "getrs", "getrs"), trans, n, nrhs, lu, lda, pivots, b, ldb, &info);
  return info;
}

template <class T>
Int potrf(char uplo, Int n, T* a, Int lda) {
  if constexpr (!is_complex_type<T>)
    if (n <= kSmall) return small_potrf(uplo == 'U', n, a, lda);
  Int info = 0;
  invoke(FLAMBEAU_ROUTINE(T, "potrf", "potrf"), uplo, n, a, lda, &info);
  return info;
}

template <class T>
Int ldl(bool hermitian, Int n, T* a, Int lda, Int* pivots) {
  Int info = 0;
  void* const routine =
      hermitian ? FLAMBEAU_ROUTINE(T, "sytrf", "hetrf") : FLAMBEAU_ROUTINE(T, "sytrf", "sytrf");
  with_work<T>(
      [&](T* work, Int size) { invoke(routine, 'L', n, a, lda, pivots, work, size, &info); });
  return info;
}

template <class T>
Int ldl_solve(bool hermitian, Int n, Int nrhs, const T* ld, Int lda, const Int* pivots, T* b,
              Int ldb) {
  Int info = 0;
  void* const routine =
      hermitian ? FLAMBEAU_ROUTINE(T, "sytrs", "hetrs") : FLAMBEAU_ROUTINE(T, "sytrs", "sytrs");
  invoke(routine, 'L', n, nrhs, ld, lda, pivots, b, ldb, &info);
  return info;
}

template <class T>
Int geqrf(Int m, Int n, T* a, Int lda, T* tau) {
  if constexpr (!is_complex_type<T>)
    if (m <= kSmall && n <= kSmall) return small_geqrf(m, n, a, lda, tau), 0;
  Int info = 0;
  with_work<T>([&](T* work, Int size) {
    invoke(FLAMBEAU_ROUTINE(T, "geqrf", "geqrf"), m, n, a, lda, tau, work, size, &info);
  });
  return info;
}

template <class T>
Int orgqr(Int m, Int n, Int k, T* a, Int lda, const T* tau) {
  if constexpr (!is_complex_type<T>)
    if (m <= kSmall && n <= kSmall) return small_orgqr(m, n, k, a, lda, tau), 0;
  Int info = 0;
  with_work<T>([&](T* work, Int size) {
    invoke(FLAMBEAU_ROUTINE(T, "orgqr", "ungqr"), m, n, k, a, lda, tau, work, size, &info);
  });
  return info;
}

template <class T>
Int heevd(bool vectors, char uplo, Int n, T* a, Int lda, Real<T>* w) {
  using R = Real<T>;
  void* const routine = FLAMBEAU_ROUTINE(T, "syevd", "heevd");
  const char job = vectors ? 'V' : 'N';
  Int info = 0, int_size = 0;
  T size{};
  R real_size{};
  auto call = [&](T* work, Int lwork, R* reals, Int lreals, Int* ints, Int lints) {
    if constexpr (is_complex_type<T>)
      invoke(routine, job, uplo, n, a, lda, w, work, lwork, reals, lreals, ints, lints, &info);
    else
      invoke(routine, job, uplo, n, a, lda, w, work, lwork, ints, lints, &info);
  };
  call(&size, -1, &real_size, -1, &int_size, -1);
  auto work = room<T>(asked(size));
  auto reals = room<R>(asked(real_size));
  auto ints = room<Int>(int_size);
  call(work.data(), static_cast<Int>(work.size()), reals.data(), static_cast<Int>(reals.size()),
       ints.data(), static_cast<Int>(ints.size()));
  return info;
}

namespace {

// Real matrices: eigenvalues as two lists, eigenvectors of a conjugate pair as re, im.
template <class R>
Int real_geev(Int n, R* a, Int lda, std::complex<R>* w, std::complex<R>* v) {
  Int info = 0;
  auto re = room<R>(n), im = room<R>(n), columns = room<R>(v ? int64_t(n) * n : 1);
  const char right = v ? 'V' : 'N';
  R none{};
  with_work<R>([&](R* work, Int size) {
    invoke(FLAMBEAU_ROUTINE(R, "geev", "geev"), 'N', right, n, a, lda, re.data(), im.data(), &none,
           Int(1), columns.data(), n, work, size, &info);
  });
  for (Int j = 0; j < n; ++j) w[j] = {re[j], im[j]};
  if (!v) return info;
  for (Int j = 0; j < n; ++j) {
    const R* x = columns.data() + int64_t(j) * n;
    std::complex<R>* y = v + int64_t(j) * n;
    const bool pair = im[j] != 0 && j + 1 < n;
    for (Int i = 0; i < n; ++i) {
      y[i] = {x[i], pair ? x[i + n] : R(0)};
      if (pair) y[i + n] = std::conj(y[i]);
    }
    if (pair) ++j;
  }
  return info;
}

}  // namespace

template <class T>
Int geev(Int n, T* a, Int lda, Complex<T>* w, Complex<T>* v) {
  if constexpr (is_complex_type<T>) {
    Int info = 0;
    T none{};
    const char right = v ? 'V' : 'N';
    auto reals = room<Real<T>>(2 * int64_t(n));
    with_work<T>([&](T* work, Int size) {
      invoke(FLAMBEAU_ROUTINE(T, "geev", "geev"), 'N', right, n, a, lda, w, &none, Int(1),
             v ? v : &none, n, work, size, reals.data(), &info);
    });
    return info;
  } else {
    return real_geev(n, a, lda, w, v);
  }
}

template <class T>
Int gesdd(char jobz, Int m, Int n, T* a, Int lda, Real<T>* s, T* u, Int ldu, T* vh, Int ldvh) {
  Int info = 0;
  const int64_t least = std::min(m, n), most = std::max(m, n);
  auto ints = room<Int>(8 * least);
  with_work<T>([&](T* work, Int size) {
    void* const routine = FLAMBEAU_ROUTINE(T, "gesdd", "gesdd");
    if constexpr (is_complex_type<T>) {
      const int64_t k = jobz == 'N' ? 7 * least
                                    : std::max(5 * least * least + 5 * least,
                                               2 * most * least + 2 * least * least + least);
      auto reals = room<Real<T>>(size < 0 ? 1 : k);
      invoke(routine, jobz, m, n, a, lda, s, u, ldu, vh, ldvh, work, size, reals.data(),
             ints.data(), &info);
    } else {
      invoke(routine, jobz, m, n, a, lda, s, u, ldu, vh, ldvh, work, size, ints.data(), &info);
    }
  });
  return info;
}

template <class T>
Int gels(Int m, Int n, Int nrhs, T* a, Int lda, T* b, Int ldb) {
  Int info = 0;
  with_work<T>([&](T* work, Int size) {
    invoke(FLAMBEAU_ROUTINE(T, "gels", "gels"), 'N', m, n, nrhs, a, lda, b, ldb, work, size, &info);
  });
  return info;
}

template <class T>
Int gelsy(Int m, Int n, Int nrhs, T* a, Int lda, T* b, Int ldb, Real<T> rcond, Int* rank) {
  Int info = 0;
  auto order = room<Int>(n);
  auto reals = room<Real<T>>(2 * int64_t(n));
  with_work<T>([&](T* work, Int size) {
    void* const routine = FLAMBEAU_ROUTINE(T, "gelsy", "gelsy");
    if constexpr (is_complex_type<T>)
      invoke(routine, m, n, nrhs, a, lda, b, ldb, order.data(), rcond, rank, work, size,
             reals.data(), &info);
    else
      invoke(routine, m, n, nrhs, a, lda, b, ldb, order.data(), rcond, rank, work, size, &info);
  });
  return info;
}

template <class T>
Int gelsd(Int m, Int n, Int nrhs, T* a, Int lda, T* b, Int ldb, Real<T>* s, Real<T> rcond,
          Int* rank) {
  using R = Real<T>;
  void* const routine = FLAMBEAU_ROUTINE(T, "gelsd", "gelsd");
  Int info = 0, int_size = 0;
  T size{};
  R real_size{};
  auto call = [&](T* work, Int lwork, R* reals, Int* ints) {
    if constexpr (is_complex_type<T>)
      invoke(routine, m, n, nrhs, a, lda, b, ldb, s, rcond, rank, work, lwork, reals, ints, &info);
    else
      invoke(routine, m, n, nrhs, a, lda, b, ldb, s, rcond, rank, work, lwork, ints, &info);
  };
  call(&size, -1, &real_size, &int_size);
  auto work = room<T>(asked(size));
  auto reals = room<R>(asked(real_size));
  auto ints = room<Int>(int_size);
  call(work.data(), static_cast<Int>(work.size()), reals.data(), ints.data());
  return info;
}

template <class T>
Int gelss(Int m, Int n, Int nrhs, T* a, Int lda, T* b, Int ldb, Real<T>* s, Real<T> rcond,
          Int* rank) {
  Int info = 0;
  auto reals = room<Real<T>>(5 * int64_t(std::min(m, n)));
  with_work<T>([&](T* work, Int size) {
    void* const routine = FLAMBEAU_ROUTINE(T, "gelss", "gelss");
    if constexpr (is_complex_type<T>)
      invoke(routine, m, n, nrhs, a, lda, b, ldb, s, rcond, rank, work, size, reals.data(), &info);
    else
      invoke(routine, m, n, nrhs, a, lda, b, ldb, s, rcond, rank, work, size, &info);
  });
  return info;
}

#define FLAMBEAU_LAPACK(T)                                                         \
  template void trsm<T>(char, char, char, char, Int, Int, const T*, Int, T*, Int); \
  template Int getrf<T>(Int, Int, T*, Int, Int*);                                  \
  template Int getrs<T>(char, Int, Int, const T*, Int, const Int*, T*, Int);       \
  template Int potrf<T>(char, Int, T*, Int);                                       \
  template Int ldl<T>(bool, Int, T*, Int, Int*);                                   \
  template Int ldl_solve<T>(bool, Int, Int, const T*, Int, const Int*, T*, Int);   \
  template Int geqrf<T>(Int, Int, T*, Int, T*);                                    \
  template Int orgqr<T>(Int, Int, Int, T*, Int, const T*);                         \
  template Int heevd<T>(bool, char, Int, T*, Int, Real<T>*);                       \
  template Int geev<T>(Int, T*, Int, Complex<T>*, Complex<T>*);                    \
  template Int gesdd<T>(char, Int, Int, T*, Int, Real<T>*, T*, Int, T*, Int);      \
  template Int gels<T>(Int, Int, Int, T*, Int, T*, Int);                           \
  template Int gelsy<T>(Int, Int, Int, T*, Int, T*, Int, Real<T>, Int*);           \
  template Int gelsd<T>(Int, Int, Int, T*, Int, T*, Int, Real<T>*, Real<T>, Int*); \
  template Int gelss<T>(Int, Int, Int, T*, Int, T*, Int, Real<T>*, Real<T>, Int*);
FLAMBEAU_LAPACK(float)
FLAMBEAU_LAPACK(double)
FLAMBEAU_LAPACK(complex64)
FLAMBEAU_LAPACK(complex128)
#undef FLAMBEAU_LAPACK
#undef FLAMBEAU_ROUTINE

}  // namespace flambeau::lapack
