// LU, Cholesky and QR of real matrices of a few rows, where a call of LAPACK would take longer than
// the arithmetic.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>

namespace flambeau {

constexpr int kSmallLu = 8, kSmall = 10;  // rows and columns: of LU, of the others

// As getrf: partial pivoting, pivots counted from 1; gives the first zero pivot's number or 0.
template <class T>
int32_t small_getrf(int m, int n, T* a, int lda, int32_t* pivots) {
  int32_t info = 0;
  for (int k = 0; k < (m < n ? m : n); ++k) {
    int p = k;
    for (int i = k + 1; i < m; ++i)
      if (std::abs(a[i + k * lda]) > std::abs(a[p + k * lda])) p = i;
    pivots[k] = p + 1;
    const T pivot = a[p + k * lda];
    if (pivot == 0) {
      if (!info) info = k + 1;
      continue;
    }
    if (p != k)
      for (int j = 0; j < n; ++j) std::swap(a[k + j * lda], a[p + j * lda]);
    for (int i = k + 1; i < m; ++i) a[i + k * lda] /= pivot;
    for (int j = k + 1; j < n; ++j)
      for (int i = k + 1; i < m; ++i) a[i + j * lda] -= a[i + k * lda] * a[k + j * lda];
  }
  return info;
}

// As getrs, for one right-hand side.
template <class T>
void small_getrs(bool transposed, int n, const T* lu, int lda, const int32_t* pivots, T* b) {
  if (!transposed) {
    for (int k = 0; k < n; ++k) std::swap(b[k], b[pivots[k] - 1]);
    for (int k = 0; k < n; ++k)
      for (int i = k + 1; i < n; ++i) b[i] -= lu[i + k * lda] * b[k];
    for (int k = n - 1; k >= 0; --k) {
      b[k] /= lu[k + k * lda];
      for (int i = 0; i < k; ++i) b[i] -= lu[i + k * lda] * b[k];
    }
    return;
  }
  for (int k = 0; k < n; ++k) {
    for (int i = 0; i < k; ++i) b[k] -= lu[i + k * lda] * b[i];
    b[k] /= lu[k + k * lda];
  }
  for (int k = n - 1; k >= 0; --k)
    for (int i = k + 1; i < n; ++i) b[k] -= lu[i + k * lda] * b[i];
  for (int k = n - 1; k >= 0; --k) std::swap(b[k], b[pivots[k] - 1]);
}

// As potrf: the triangle that is given becomes its factor; gives the first minor that is not
// positive, or 0.
template <class T>
int32_t small_potrf(bool upper, int n, T* a, int lda) {
  const int down = upper ? lda : 1, across = upper ? 1 : lda;  // of the lower factor
  for (int j = 0; j < n; ++j) {
    T d = a[j * (down + across)];
    for (int k = 0; k < j; ++k) d -= a[j * down + k * across] * a[j * down + k * across];
    if (!(d > 0)) return j + 1;
    d = std::sqrt(d);
    a[j * (down + across)] = d;
    for (int i = j + 1; i < n; ++i) {
      T x = a[i * down + j * across];
      for (int k = 0; k < j; ++k) x -= a[i * down + k * across] * a[j * down + k * across];
      a[i * down + j * across] = x / d;
    }
  }
  return 0;
}

// x - tau v (v . x) for x and v of n numbers, the first of v being one.
template <class T>
void small_reflect(int n, const T* v, T tau, T* x) {
  T dot = x[0];
  for (int i = 1; i < n; ++i) dot += v[i] * x[i];
  dot *= tau;
  x[0] -= dot;
  for (int i = 1; i < n; ++i) x[i] -= dot * v[i];
}

// As geqrf: Householder's reflections, each scaled so that its first number is one.
template <class T>
void small_geqrf(int m, int n, T* a, int lda, T* tau) {
  for (int k = 0; k < (m < n ? m : n); ++k) {
    T *x = a + k + k * lda, most = std::abs(x[0]), rest = 0;  // a nan stays in the sums
    for (int i = 1; i < m - k; ++i) {
      most = std::max(most, std::abs(x[i]));
      rest += std::abs(x[i]);
    }
    tau[k] = 0;
    if (rest == 0) continue;
    double squares = 0;
    for (int i = 0; i < m - k; ++i) squares += double(x[i] / most) * double(x[i] / most);
    const T beta = -std::copysign(static_cast<T>(std::sqrt(squares)) * most, x[0]);
    tau[k] = (beta - x[0]) / beta;
    for (int i = 1; i < m - k; ++i) x[i] /= x[0] - beta;
    x[0] = beta;
    for (int j = k + 1; j < n; ++j) small_reflect(m - k, x, tau[k], a + k + j * lda);
  }
}

// As orgqr: the first n columns of the product of k reflections.
template <class T>
void small_orgqr(int m, int n, int k, T* a, int lda, const T* tau) {
  for (int j = k; j < n; ++j)
    for (int i = 0; i < m; ++i) a[i + j * lda] = i == j;
  for (int j = k - 1; j >= 0; --j) {
    T* v = a + j + j * lda;
    for (int c = j + 1; c < n; ++c) small_reflect(m - j, v, tau[j], a + j + c * lda);
    v[0] = 1 - tau[j];
    for (int i = 1; i < m - j; ++i) v[i] *= -tau[j];
    for (int i = 0; i < j; ++i) a[i + j * lda] = 0;
  }
}

}  // namespace flambeau
