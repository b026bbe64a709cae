// Cholesky and LDL factorizations, triangular systems, and solutions from them.
#include "linalg.h"

namespace flambeau::linalg {
namespace {

using Two = std::tuple<Tensor, Tensor>;
using Three = std::tuple<Tensor, Tensor, Tensor>;

const OpCall call_cholesky_ex("linalg.cholesky_ex"), call_ldl_factor_ex("linalg.ldl_factor_ex"),
    call_clone("clone"), call_expand("expand");

// -- Cholesky -------------------------------------------------------------------------------------
std::string not_positive(int64_t order) {
  return cat("The factorization could not be completed because the input is not ",
             "positive-definite (the leading minor of order ", order,
             " is not positive-definite).");
}

Two cholesky_ex(const Tensor& a, bool upper, bool check_errors) {
  check_square(a, "linalg.cholesky");
  check_inexact(a, "linalg.cholesky");
  const Ints batch = batch_sizes(a);
  Tensor l = copy_columns(upper ? triu(a) : tril(a));
  Tensor info = zeros(batch, {DType::int32, a.device()});
  with_type(a.dtype(), "linalg.cholesky", [&](auto type) {
    using T = typename decltype(type)::type;
    if (l.is_meta() || l.numel() == 0) return;
    const Int n = int_of(rows(a));
    for_each_matrix(count(batch), double(n) * n * n / 3, [&](int64_t i) {
      info.data<Int>()[i] = lapack::potrf(upper ? 'U' : 'L', n, matrix<T>(l, i), n);
    });
  });
  if (check_errors) check_infos(info, "linalg.cholesky_ex", not_positive);
  return {l, info};
}

// A = L L^H: half of L^-H X L^-1, X the lower triangle of L^H G with its mirror image above it
// (Murray 2016, "Differentiation of the Cholesky decomposition").
void cholesky_back(Backward& b) {
  const bool upper = b.arg(1).as_bool();
  const Tensor l = upper ? adjoint(b.out(0)) : b.out(0);
  const Tensor g = upper ? adjoint(b.grad()) : b.grad();
  const Tensor x = mm(adjoint(l), g);
  const Tensor both = tril(x) + adjoint(tril(x, -1));
  const Tensor left = triangular_solve(adjoint(l), both * 0.5, true);
  b.set(0, triangular_solve(l, left, false, false));
}

Tensor cholesky(const Tensor& a, bool upper) {
  TensorList f = call_cholesky_ex.all(a, upper, false);
  check_infos(f[1], "linalg.cholesky", not_positive);
  return f[0];
}

Tensor cholesky_solve(const Tensor& b, const Tensor& factor, bool upper) {
  check(b.dim() >= 2, "b should have at least 2 dimensions, but has ", b.dim(),
        " dimensions instead");
  check(factor.dim() >= 2, "u should have at least 2 dimensions, but has ", factor.dim(),
        " dimensions instead");
  check(rows(factor) == columns(factor), "cholesky_solve: A must be batches of square matrices, ",
        "but they are ", rows(factor), " by ", columns(factor), " matrices");
  check(rows(factor) == rows(b), "Incompatible matrix sizes for cholesky_solve: each A matrix is ",
        rows(factor), " by ", columns(factor), " but each b matrix is ", rows(b), " by ",
        columns(b));
  check_same_type(factor, b, "cholesky_solve");
  const Tensor other = adjoint(factor);
  const Tensor y = triangular_solve(upper ? other : factor, b, false);
  return triangular_solve(upper ? factor : other, y, true);
}

// The gradient h of A = L L^H (or U^H U) taken on to all of the factor, as if nothing but A were
// known of it: both triangles get their share.
Tensor factor_gradient(const Tensor& h, const Tensor& factor, bool upper) {
  const Tensor both = h + adjoint(h);
  return -(upper ? mm(factor, both) : mm(both, factor));
}

void cholesky_solve_back(Backward& b) {
  static const OpCall again("cholesky_solve");
  const bool upper = b.arg(2).as_bool();
  const Tensor factor = b.in(1), g = again(b.grad(), factor, upper);
  if (b.needs(0)) b.set(0, sum_to(g, b.sizes(0)));
  if (b.needs(1))
    b.set(1, sum_to(factor_gradient(mm(g, adjoint(b.out(0))), factor, upper), b.sizes(1)));
}

// The first zero on the diagonal of each matrix, counted from 1, or 0.
Tensor zero_on_diagonal(const Tensor& a) {
  Tensor info = zeros(batch_sizes(a), {DType::int32, a.device()});
  if (info.is_meta()) return info;
  const Tensor d = diagonal(a).contiguous_raw();
  with_type(a.dtype(), "cholesky_inverse", [&](auto type) {
    using T = typename decltype(type)::type;
    for (int64_t i = 0; i < info.numel(); ++i)
      for (int64_t j = rows(a) - 1; j >= 0; --j)
        if (vector<T>(d, i)[j] == T(0)) info.data<Int>()[i] = int_of(j + 1);
  });
  return info;
}

Tensor cholesky_inverse(const Tensor& factor, bool upper) {
  check_square(factor, "cholesky_inverse");
  check_infos(zero_on_diagonal(factor), "cholesky_inverse", [](int64_t i) {
    return cat("The diagonal element ", i, " is zero, the inversion could not be completed ",
               "because the input matrix is singular.");
  });
  const Tensor one = identity_columns(batch_sizes(factor), rows(factor), factor.options());
  const Tensor x = triangular_solve(factor, one, upper);
  return upper ? mm(x, adjoint(x)) : mm(adjoint(x), x);
}

void cholesky_inverse_back(Backward& b) {
  const Tensor y = b.out(0);
  b.set(0, factor_gradient(mm(y, mm(b.grad(), y)), b.in(0), b.arg(1).as_bool()));
}

// -- triangular systems ---------------------------------------------------------------------------
Tensor solve_triangular(const Tensor& a, const Tensor& b, bool upper, bool left,
                        bool unitriangular) {
  const char* op = "linalg.solve_triangular";
  check_same_type(a, b, op);
  check_square(a, op);
  check_matrix(b, op, "B");
  check(rows(a) == (left ? rows(b) : columns(b)), op, ": Incompatible shapes of A and B for the ",
        "equation ", left ? "AX = B" : "XA = B", " (", rows(a), "x", columns(a), " and ", rows(b),
        "x", columns(b), ")");
  const Ints batch = broadcast_shapes(batch_sizes(a), batch_sizes(b), op);
  const Tensor x = copy_columns(b, batch);
  with_type(a.dtype(), op, [&](auto type) {
    using T = typename decltype(type)::type;
    if (x.is_meta() || x.numel() == 0) return;
    const Tensor t = copy_columns(a, batch);
    const Int m = int_of(rows(b)), n = int_of(columns(b)), lda = leading(rows(a));
    for_each_matrix(count(batch), double(lda) * m * n, [&](int64_t i) {
      lapack::trsm<T>(left ? 'L' : 'R', upper ? 'U' : 'L', 'N', unitriangular ? 'U' : 'N', m, n,
                      matrix<T>(t, i), lda, matrix<T>(x, i), leading(m));
    });
  });
  return x;
}

void solve_triangular_back(Backward& b) {
  const bool upper = b.arg(2).as_bool(), left = b.arg(3).as_bool(), unit = b.arg(4).as_bool();
  const Tensor gb = triangular_solve(adjoint(b.in(0)), b.grad(), !upper, left, unit);
  if (b.needs(0)) {
    const Tensor x = adjoint(b.out(0));
    const Tensor ga = sum_to(-(left ? mm(gb, x) : mm(x, gb)), b.sizes(0));
    b.set(0, upper ? triu(ga, unit) : tril(ga, -int64_t(unit)));
  }
  if (b.needs(1)) b.set(1, sum_to(gb, b.sizes(1)));
}

Two old_triangular_solve(const Tensor& b, const Tensor& a, bool upper, bool transpose,
                         bool unitriangular) {
  check(b.dim() >= 2, "torch.triangular_solve: Expected b to have at least 2 dimensions, but it ",
        "has ", b.dim(), " dimensions instead");
  check(a.dim() >= 2, "torch.triangular_solve: Expected A to have at least 2 dimensions, but it ",
        "has ", a.dim(), " dimensions instead");
  static const OpCall call_transpose("transpose");
  const Tensor t = transpose ? call_transpose(a, -2, -1) : a;
  const Ints batch = broadcast_shapes(batch_sizes(a), batch_sizes(b), "triangular_solve");
  return {triangular_solve(t, b, upper != transpose, true, unitriangular),
          call_clone(call_expand(a, with(batch, {rows(a), columns(a)})))};
}

// -- LDL ------------------------------------------------------------------------------------------
std::string zero_block(int64_t i) {
  return cat("D[", i, ",", i, "] is exactly zero, the factorization is of no use to ldl_solve.");
}

Three ldl_factor_ex(const Tensor& a, bool hermitian, bool check_errors) {
  const char* op = "torch.linalg.ldl_factor_ex";
  check_square(a, op);
  check_inexact(a, op);
  const Ints batch = batch_sizes(a);
  Tensor ld = copy_columns(tril(a));
  Tensor pivots = empty(with(batch, {rows(a)}), {DType::int32, a.device()});
  Tensor info = zeros(batch, {DType::int32, a.device()});
  with_type(a.dtype(), op, [&](auto type) {
    using T = typename decltype(type)::type;
    if (ld.is_meta() || ld.numel() == 0) return;
    const Int n = int_of(rows(a));
    for_each_matrix(count(batch), double(n) * n * n / 3, [&](int64_t i) {
      info.data<Int>()[i] = lapack::ldl(hermitian, n, matrix<T>(ld, i), n, vector<Int>(pivots, i));
    });
  });
  if (check_errors) check_infos(info, op, zero_block);
  return {ld, pivots, info};
}

Two ldl_factor(const Tensor& a, bool hermitian) {
  TensorList f = call_ldl_factor_ex.all(a, hermitian, false);
  check_infos(f[2], "torch.linalg.ldl_factor", zero_block);
  return {f[0], f[1]};
}

// Blocks of two rows have the same negative number twice.
void check_blocks(const Tensor& pivots, const char* op) {
  if (pivots.is_meta()) return;
  const int64_t n = pivots.size(-1);
  for (int64_t i = 0; n && i < pivots.numel() / n; ++i) {
    const Int* p = vector<Int>(pivots, i);
    for (int64_t j = 0; j < n; ++j) {
      if (p[j] > 0) continue;
      check(j + 1 < n && p[j + 1] == p[j], op, ": negative pivots must come in pairs");
      ++j;
    }
  }
}

Tensor ldl_solve(const Tensor& ld, const Tensor& pivots, const Tensor& b, bool hermitian) {
  const char* op = "torch.linalg.ldl_solve";
  check_square(ld, op, "LD");
  check_inexact(ld, op);
  check_matrix(b, op, "B");
  check(ld.dtype() == b.dtype(), op, ": LD and B must have the same dtype, but got ", ld.dtype(),
        " and ", b.dtype());
  check_same_device(ld, b, op);
  check(rows(ld) == rows(b), op, ": Incompatible shapes of A and B for the equation AX = B (",
        rows(ld), "x", columns(ld), " and ", rows(b), "x", columns(b), ")");
  const Ints batch = broadcast_shapes(batch_sizes(ld), batch_sizes(b), op);
  const Tensor x = copy_columns(b, batch), f = copy_columns(ld, batch);
  const Tensor p = copy_pivots(pivots, batch, ld, op);
  check_blocks(p, op);
  with_type(b.dtype(), op, [&](auto type) {
    using T = typename decltype(type)::type;
    if (x.is_meta() || x.numel() == 0) return;
    const Int n = int_of(rows(b)), k = int_of(columns(b));
    for_each_matrix(count(batch), 2.0 * n * n * k, [&](int64_t i) {
      lapack::ldl_solve(hermitian, n, k, matrix<T>(f, i), n, vector<Int>(p, i), matrix<T>(x, i), n);
    });
  });
  return x;
}

FLAMBEAU_OPS{
    {.schema = "linalg.cholesky_ex(Tensor input, *, bool upper=False, bool check_errors=False) -> "
               "(Tensor L, Tensor info)",
     .forward = native<cholesky_ex>,
     .backward = cholesky_back,
     .saves = "result",
     .doc = "linalg.cholesky() that tells in `info` which leading minor is not positive-definite."},
    {.schema = "linalg.cholesky(Tensor input, *, bool upper=False) -> Tensor",
     .forward = native<cholesky>,
     .flags = kComposite,
     .doc = "L with A = L L^H, lower triangular (or A = U^H U for upper=True), of Hermitian "
            "positive-definite matrices, of which one triangle is read."},
    {.schema = "cholesky(Tensor input, bool upper=False) -> Tensor", .alias = "linalg.cholesky"},
    {.schema = "cholesky_solve(Tensor input, Tensor input2, bool upper=False) -> Tensor",
     .forward = native<cholesky_solve>,
     .backward = cholesky_solve_back,
     .saves = "input2, result",
     .doc = "X with A X = B from the Cholesky factor of A."},
    {.schema = "cholesky_inverse(Tensor input, bool upper=False) -> Tensor",
     .forward = native<cholesky_inverse>,
     .backward = cholesky_inverse_back,
     .saves = "input, result",
     .doc = "The inverse of A from its Cholesky factor."},
    {.schema = "linalg.solve_triangular(Tensor input, Tensor B, *, bool upper, bool left=True, "
               "bool unitriangular=False) -> Tensor",
     .forward = native<solve_triangular>,
     .backward = solve_triangular_back,
     .saves = "input, result",
     .doc = "X with A X = B (X A = B for left=False) for triangular matrices A."},
    {.schema = "triangular_solve(Tensor input, Tensor A, bool upper=True, bool transpose=False, "
               "bool unitriangular=False) -> (Tensor solution, Tensor cloned_coefficient)",
     .forward = native<old_triangular_solve>,
     .flags = kComposite,
     .doc = "linalg.solve_triangular() with the right-hand side first; a copy of A comes along."},
    {.schema = "linalg.ldl_factor_ex(Tensor input, *, bool hermitian=False, "
               "bool check_errors=False) -> (Tensor LD, Tensor pivots, Tensor info)",
     .forward = native<ldl_factor_ex>,
     .doc = "linalg.ldl_factor() that tells in `info` which block of D is zero, if any."},
    {.schema = "linalg.ldl_factor(Tensor input, *, bool hermitian=False) -> (Tensor LD, "
               "Tensor pivots)",
     .forward = native<ldl_factor>,
     .flags = kComposite,
     .doc = "The compact Bunch-Kaufman factorization of symmetric (or Hermitian) matrices."},
    {.schema = "linalg.ldl_solve(Tensor LD, Tensor pivots, Tensor B, *, bool hermitian=False) -> "
               "Tensor",
     .forward = native<ldl_solve>,
     .doc = "X with A X = B from A's linalg.ldl_factor()."},
};

}  // namespace
}  // namespace flambeau::linalg
