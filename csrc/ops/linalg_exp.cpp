// The exponential of matrices, by scaling and squaring a Pade approximant.
#include <cmath>

#include "linalg.h"
#include "reduce.h"

namespace flambeau::linalg {
namespace {

const OpCall call_exp("linalg.matrix_exp"), call_cat("cat"), call_solve("_linalg_solve_ex");

// The numerator's coefficients of the diagonal approximant of order 13, and the greatest 1-norm for
// which it is exact in double precision: Higham 2005, "The scaling and squaring method for the
// matrix exponential revisited", table 2.3.
constexpr double kPade[] = {64764752532480000,
                            32382376266240000,
                            7771770303897600,
                            1187353796428800,
                            129060195264000,
                            10559470521600,
                            670442572800,
                            33522128640,
                            1323241920,
                            40840800,
                            960960,
                            16380,
                            182,
                            1};
constexpr double kBound = 5.371920351148152;

Tensor pade(const Tensor& a) {
  const double* b = kPade;
  const Tensor one = identity_columns(batch_sizes(a), rows(a), a.options());
  const Tensor a2 = mm(a, a), a4 = mm(a2, a2), a6 = mm(a4, a2);
  const Tensor even =
      mm(a6, a6 * b[12] + a4 * b[10] + a2 * b[8]) + a6 * b[6] + a4 * b[4] + a2 * b[2] + one * b[0];
  const Tensor odd = mm(a, mm(a6, a6 * b[13] + a4 * b[11] + a2 * b[9]) + a6 * b[7] + a4 * b[5] +
                               a2 * b[3] + one * b[1]);
  return call_solve(even - odd, even + odd, true, false);
}

// In double precision. Every matrix is halved as often as its own norm asks.
Tensor exponential(const Tensor& a) {
  static const OpCall norm("linalg.vector_norm"), amax("amax");
  const Tensor sizes = amax(norm(a, 1.0, Ints{-2}), Ints{-1}).contiguous_raw();
  Tensor halvings = empty(sizes.sizes(), sizes.options()), scales = empty_like(halvings);
  double most = 0, least = 1e9;
  for (int64_t i = 0; i < sizes.numel(); ++i) {
    const double size = sizes.data<double>()[i] / kBound;
    const double n = size > 1 && std::isfinite(size) ? std::ceil(std::log2(size)) : 0;
    halvings.data<double>()[i] = n;
    scales.data<double>()[i] = std::exp2(-n);
    most = std::max(most, n);
    least = std::min(least, n);
  }
  auto each = [](const Tensor& t) { return unsqueeze(unsqueeze(t, -1), -1); };
  Tensor y = pade(a * each(scales));
  for (double done = 0; done < most; ++done) {
    const Tensor square = mm(y, y);
    y = done < least ? square : where(each(halvings) > done, square, y);
  }
  return y;
}

Tensor matrix_exp(const Tensor& a) {
  check_square(a, "linalg.matrix_exp");
  check_inexact(a, "linalg.matrix_exp");
  if (a.is_meta() || a.numel() == 0) return empty(a.sizes(), a.options());
  const DType wide = is_complex(a.dtype()) ? DType::complex128 : DType::float64;
  return in_type(exponential(in_type(a, wide)), a.dtype());
}

// The derivative in a direction stands beside the exponential of a matrix of blocks (Van Loan
// 1978); the gradient is the derivative at the adjoint (Najfeld and Havel 1995).
void matrix_exp_back(Backward& b) {
  const Tensor a = adjoint(b.in(0)), &g = b.grad();
  const int64_t n = rows(a);
  if (a.numel() == 0) return b.set(0, g);
  const Tensor none = zeros(a.sizes(), a.options());
  const Tensor e = call_exp(
      call_cat(TensorList{call_cat(TensorList{a, g}, -1), call_cat(TensorList{none, a}, -1)}, -2));
  b.set(0, narrow(narrow(e, -2, 0, n), -1, n, n));
}

FLAMBEAU_OPS{
    {.schema = "linalg.matrix_exp(Tensor input) -> Tensor",
     .forward = native<matrix_exp>,
     .backward = matrix_exp_back,
     .saves = "input",
     .doc = "The exponential of square matrices, by scaling and squaring, in double precision."},
    {.schema = "matrix_exp(Tensor input) -> Tensor", .alias = "linalg.matrix_exp"},
};

}  // namespace
}  // namespace flambeau::linalg
