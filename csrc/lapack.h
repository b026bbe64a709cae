// LAPACK, as functions of the element type. Matrices lie column by column; every function gives
// LAPACK's info: 0, or what went wrong. The library is loaded at the first use.
#pragma once
#include "dtype.h"

namespace flambeau {

// Set by the binding: where the shared library lies.
inline std::string (*lapack_library)() = nullptr;

namespace lapack {

using Int = int32_t;

template <class T>
struct RealOf {
  using type = T;
};
template <class T>
struct RealOf<std::complex<T>> {
  using type = T;
};
template <class T>
using Real = typename RealOf<T>::type;
template <class T>
using Complex = std::complex<Real<T>>;

// Finds the library. What follows may then run on any thread.
void load();

// -- triangular and general systems ---------------------------------------------------------------
template <class T>
void trsm(char side, char uplo, char trans, char diag, Int m, Int n, const T* a, Int lda, T* b,
          Int ldb);
template <class T>
Int getrf(Int m, Int n, T* a, Int lda, Int* pivots);
template <class T>
Int getrs(char trans, Int n, Int nrhs, const T* lu, Int lda, const Int* pivots, T* b, Int ldb);

// -- symmetric systems ----------------------------------------------------------------------------
template <class T>
Int potrf(char uplo, Int n, T* a, Int lda);
// Of the lower triangle; Hermitian or, for complex numbers too, symmetric.
template <class T>
Int ldl(bool hermitian, Int n, T* a, Int lda, Int* pivots);
template <class T>
Int ldl_solve(bool hermitian, Int n, Int nrhs, const T* ld, Int lda, const Int* pivots, T* b,
              Int ldb);

// -- orthogonal factors ---------------------------------------------------------------------------
template <class T>
Int geqrf(Int m, Int n, T* a, Int lda, T* tau);
template <class T>
Int orgqr(Int m, Int n, Int k, T* a, Int lda, const T* tau);

// -- eigenvalues and singular values --------------------------------------------------------------
template <class T>
Int heevd(bool vectors, char uplo, Int n, T* a, Int lda, Real<T>* w);
// v (n by n) may be null. a is overwritten.
template <class T>
Int geev(Int n, T* a, Int lda, Complex<T>* w, Complex<T>* v);
template <class T>
Int gesdd(char jobz, Int m, Int n, T* a, Int lda, Real<T>* s, T* u, Int ldu, T* vh, Int ldvh);

// -- least squares: b (ldb by nrhs) takes the solution --------------------------------------------
template <class T>
Int gels(Int m, Int n, Int nrhs, T* a, Int lda, T* b, Int ldb);
template <class T>
Int gelsy(Int m, Int n, Int nrhs, T* a, Int lda, T* b, Int ldb, Real<T> rcond, Int* rank);
template <class T>
Int gelsd(Int m, Int n, Int nrhs, T* a, Int lda, T* b, Int ldb, Real<T>* s, Real<T> rcond,
          Int* rank);
template <class T>
Int gelss(Int m, Int n, Int nrhs, T* a, Int lda, T* b, Int ldb, Real<T>* s, Real<T> rcond,
          Int* rank);

}  // namespace lapack
}  // namespace flambeau
