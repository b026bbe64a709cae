// LU of matrices of a few rows, where a call of LAPACK would take longer than the arithmetic.
#pragma once
#include <cmath>
#include <cstdint>
#include <utility>

namespace flambeau {

constexpr int kSmallLu = 8;  // rows and columns, of real matrices

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

}  // namespace flambeau
