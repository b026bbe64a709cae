// Linear algebra: from tensors to LAPACK's matrices and back, and what the gradients share.
#pragma once
#include "../lapack.h"
#include "../parallel.h"
#include "expression.h"
#include "gemm.h"

namespace flambeau::linalg {

using lapack::Int;

// -- checks, in the name of an operator -----------------------------------------------------------
void check_matrix(const Tensor& a, const char* op, const char* name = "A");
void check_square(const Tensor& a, const char* op, const char* name = "A");
void check_inexact(const Tensor& a, const char* op);
void check_full_precision(const Tensor& a, const char* op);  // not float16 or bfloat16
void check_same_type(const Tensor& a, const Tensor& b, const char* op);  // and device
void check_same_device(const Tensor& a, const Tensor& b, const char* op);
// Throws a LinAlgError that names the first matrix of the batch whose info is not 0:
// "op: (Batch element 1): The ..."; `what` gives the sentence for such an info.
void check_infos(const Tensor& info, const char* op, std::string (*what)(int64_t info),
                 ErrorKind kind = ErrorKind::linalg);

// -- matrices in LAPACK's order -------------------------------------------------------------------
inline int64_t rows(const Tensor& a) { return a.sizes()[a.dim() - 2]; }
inline int64_t columns(const Tensor& a) { return a.sizes()[a.dim() - 1]; }
inline Ints batch_sizes(const Tensor& a) { return Ints(IntSpan(a.sizes().data(), a.dim() - 2)); }
inline Tensor first_rows(const Tensor& a, int64_t n) {  // no history
  return narrow_raw(a, a.dim() - 2, 0, n);
}
inline Tensor first_columns(const Tensor& a, int64_t n) { return narrow_raw(a, a.dim() - 1, 0, n); }
Ints with(Ints batch, std::initializer_list<int64_t> last);
// Matrices of that size, column by column, one after the other.
Tensor empty_columns(const Ints& batch, int64_t rows, int64_t columns, const Options& o);
Tensor copy_columns(const Tensor& a);
Tensor copy_columns(const Tensor& a, const Ints& batch);  // expanded to those batches
Tensor identity_columns(const Ints& batch, int64_t n, const Options& o);
int64_t count(const Ints& batch);
// LAPACK's list of row exchanges of `factors`, checked to lie within its rows.
Tensor copy_pivots(const Tensor& pivots, const Ints& batch, const Tensor& factors, const char* op);

// Matrix i of a batch that one of the above made, or row i of a list of vectors of that length.
template <class T>
T* matrix(const Tensor& a, int64_t i) {
  return a.data<T>() + i * rows(a) * columns(a);
}
template <class T>
T* vector(const Tensor& a, int64_t i) {
  return a.data<T>() + (a.dim() ? i * a.sizes()[a.dim() - 1] : 0);
}

// Others may run Python meanwhile.
struct WithoutGil {
  void* state = gil_hooks.release ? gil_hooks.release() : nullptr;
  WithoutGil() = default;
  WithoutGil(const WithoutGil&) = delete;
  ~WithoutGil() {
    if (gil_hooks.acquire) gil_hooks.acquire(state);
  }
};

// f(i) for each of n matrices that take about `work` operations each, over the pool. A call of
// LAPACK takes as long as a thousand operations besides.
template <class F>
void for_each_matrix(int64_t n, double work, const F& f) {
  lapack::load();
  const auto grain = static_cast<int64_t>(2e5 / (work + 1e3)) + 1;
  auto range = [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) f(i);
  };
  if (n == 1 && work > 1e6) {
    WithoutGil scope;
    return range(0, 1);
  }
  parallel_for(0, n, grain, range);
}

// f(Type<T>) for the types that LAPACK knows.
template <class F>
void with_type(DType t, const char* op, const F& f) {
  switch (t) {
    case DType::float32: return f(Type<float>{});
    case DType::float64: return f(Type<double>{});
    case DType::complex64: return f(Type<complex64>{});
    case DType::complex128: return f(Type<complex128>{});
    default: fail(ErrorKind::not_implemented, op, ": not implemented for ", t);
  }
}

template <class T>
bool all_finite(const T* p, int64_t n) {
  lapack::Real<T> sum = 0;  // 0 times an infinity or a nan is a nan
  for (int64_t i = 0; i < n; ++i) sum += std::abs(p[i]) * 0;
  return sum == 0;
}

inline Int int_of(int64_t n) {
  check(n <= std::numeric_limits<Int>::max(), "linear algebra: ", n,
        " rows or columns are too many");
  return static_cast<Int>(n);
}
inline Int leading(int64_t rows) { return int_of(std::max<int64_t>(rows, 1)); }

// -- recorded operators that gradients are made of ------------------------------------------------
Tensor mm(const Tensor& a, const Tensor& b);
Tensor tril(const Tensor& a, int64_t diagonal = 0);
Tensor triu(const Tensor& a, int64_t diagonal = 0);
Tensor diagonal(const Tensor& a);  // of the last two dimensions
Tensor diagonal_matrix(const Tensor& a);
Tensor unsqueeze(const Tensor& a, int64_t dim);
Tensor narrow(const Tensor& a, int64_t dim, int64_t start, int64_t length);
Tensor sum_to(const Tensor& a, const Ints& sizes);
Tensor real(const Tensor& a);  // itself where real
Tensor imaginary(const Tensor& a);  // i times the imaginary part, of a complex tensor
Tensor triangular_solve(const Tensor& a, const Tensor& b, bool upper, bool left = true,
                        bool unitriangular = false);
// Divided by the differences b_j - b_i of a list's elements, 0 on the diagonal.
Tensor over_differences(const Tensor& x, const Tensor& b);
Tensor pinv(const Tensor& a);
// Of A's pseudoinverse p, for the gradient g of p (Golub and Pereyra 1973).
Tensor pinv_gradient(const Tensor& a, const Tensor& p, const Tensor& g);
inline Tensor add(const Tensor& a, const Tensor& b) {  // either may be undefined
  return !a.defined() ? b : !b.defined() ? a : a + b;
}

}  // namespace flambeau::linalg
