// LU factorization, and what follows from it: solutions, inverses, determinants.
#include <cmath>

#include "../transform.h"
#include "linalg.h"

namespace flambeau::linalg {
namespace {

using Two = std::tuple<Tensor, Tensor>;
using Three = std::tuple<Tensor, Tensor, Tensor>;
using Four = std::tuple<Tensor, Tensor, Tensor, Tensor>;

const OpCall call_factor("linalg.lu_factor_ex"), call_unpack("lu_unpack"),
    call_permutation("_lu_permutation"), call_lu_solve("linalg.lu_solve"),
    call_left_solve("_lu_solve"), call_solve_ex("_linalg_solve_ex"), call_solve("linalg.solve"),
    call_inv_ex("linalg.inv_ex"), call_det("_linalg_det"), call_slogdet("_linalg_slogdet"),
    call_svd("linalg.svd"), call_cat("cat");

std::string zero_pivot(int64_t i) {
  return cat("U[", i, ",", i, "] is zero and using it on lu_solve would result in a division by ",
             "zero. linalg.lu(A, pivot) and linalg.lu_factor_ex(A, pivot) factor such a matrix");
}
std::string singular(int64_t i) {
  return cat("The diagonal element ", i, " is zero, the inversion could not be completed because ",
             "the input matrix is singular.");
}
std::string unsolvable(int64_t) {
  return "The solver failed because the input matrix is singular.";
}

// -- factorization --------------------------------------------------------------------------------
// LU (L without its diagonal below U), the row exchanges, info.
Three factor(const Tensor& a, const char* op) {
  const int64_t m = rows(a), n = columns(a), k = std::min(m, n);
  const Ints batch = batch_sizes(a);
  Tensor lu = copy_columns(a), pivots = empty(with(batch, {k}), {DType::int32, a.device()});
  Tensor info = zeros(batch, {DType::int32, a.device()});
  with_type(a.dtype(), op, [&](auto type) {
    using T = typename decltype(type)::type;
    if (lu.is_meta() || lu.numel() == 0) return;
    for_each_matrix(count(batch), double(m) * double(n) * double(k), [&](int64_t i) {
      info.data<Int>()[i] =
          lapack::getrf(int_of(m), int_of(n), matrix<T>(lu, i), leading(m), vector<Int>(pivots, i));
    });
  });
  return {lu, pivots, info};
}

Three lu_factor_ex(const Tensor& a, bool pivot, bool check_errors) {
  check(a.dim() >= 2,
        "torch.lu_factor: Expected tensor with 2 or more dimensions. Got size: ", a.sizes(),
        " instead");
  check(pivot, "linalg.lu_factor: LU without pivoting is not implemented on the CPU");
  Three out = factor(a, "linalg.lu_factor");
  if (check_errors)
    check_infos(std::get<2>(out), "torch.linalg.lu_factor_ex", zero_pivot, ErrorKind::runtime);
  return out;
}

// A = P L U with L [m, k], U [k, n]: the part of the gradient that the k by k corner takes, then
// what lies right of it or below.
void lu_factor_back(Backward& b) {
  const Tensor& g = b.grad();
  const TensorList f = call_unpack.all(b.out(0), b.out(1));
  const Tensor &p = f[0], &l = f[1], &u = f[2];
  const int64_t m = rows(l), n = columns(u), k = columns(l);
  const Tensor l1 = narrow(l, -2, 0, k), u1 = narrow(u, -1, 0, k);
  const Tensor corner = narrow(narrow(g, -2, 0, k), -1, 0, k);
  Tensor of_l = mm(adjoint(l1), tril(corner, -1)), of_u = mm(triu(corner), adjoint(u1));
  Tensor right, below;
  if (n > k) {
    right = narrow(narrow(g, -2, 0, k), -1, k, n - k);
    of_l = of_l - mm(right, adjoint(narrow(u, -1, k, n - k)));
  }
  if (m > k) {
    below = narrow(narrow(g, -2, k, m - k), -1, 0, k);
    of_u = of_u - mm(adjoint(narrow(l, -2, k, m - k)), below);
  }
  const Tensor uh = adjoint(u1), lh = adjoint(l1);
  Tensor x = tril(of_l, -1) + triu(of_u);
  if (m > k) {
    x = call_cat(TensorList{triangular_solve(lh, x, true, true, true), below}, -2);
    x = triangular_solve(uh, x, false, false);
  } else {
    x = triangular_solve(uh, x, false, false);
    if (n > k) x = call_cat(TensorList{x, right}, -1);
    x = triangular_solve(lh, x, true, true, true);
  }
  b.set(0, mm(p, x));
}

Two lu_factor(const Tensor& a, bool pivot) {
  TensorList f = call_factor.all(a, pivot, false);
  check_infos(f[2], "torch.linalg.lu_factor", zero_pivot, ErrorKind::runtime);
  return {f[0], f[1]};
}

// P of A = P L U, with the number of rows and the dtype of LU.
Tensor permutation(const Tensor& pivots, const Tensor& lu) {
  const int64_t m = rows(lu), k = std::min(m, columns(lu));
  const Ints batch = batch_sizes(lu);
  Tensor out = zeros(with(batch, {m, m}), lu.options());
  const Tensor exchanges = copy_pivots(pivots, batch, lu, "lu_unpack");
  if (out.is_meta()) return out;
  std::vector<int64_t> order(m);
  for (int64_t i = 0; i < count(batch); ++i) {
    for (int64_t j = 0; j < m; ++j) order[j] = j;
    const Int* p = vector<Int>(exchanges, i);
    for (int64_t j = 0; j < k; ++j) {
      check(p[j] > 0, "lu_unpack: pivots must be positive, got ", p[j]);
      std::swap(order[j], order[p[j] - 1]);
    }
    visit(lu.dtype(), [&](auto type) {
      using T = typename decltype(type)::type;
      for (int64_t j = 0; j < m; ++j) matrix<T>(out, i)[order[j] * m + j] = convert<T>(1.0);
    });
  }
  return out;
}

Three lu_unpack(const Tensor& lu, const Tensor& pivots, bool unpack_data, bool unpack_pivots) {
  check(lu.dim() >= 2,
        "torch.lu_unpack: Expected tensor with 2 or more dimensions. Got size: ", lu.sizes(),
        " instead");
  check(!unpack_pivots || pivots.dtype() == DType::int32,
        "torch.lu_unpack: LU_pivots is expected to be a contiguous tensor of torch.int32 dtype.");
  const Ints none{0};
  Tensor p = empty(none, lu.options()), l = p, u = p;
  if (unpack_pivots) p = call_permutation(pivots, lu);
  if (unpack_data) {
    static const OpCall eye("eye");
    const int64_t m = rows(lu), k = std::min(m, columns(lu));
    l = tril(narrow(lu, -1, 0, k), -1) + eye(m, k, lu.dtype(), lu.device());
    u = triu(narrow(lu, -2, 0, k));
  }
  return {p, l, u};
}

Three lu(const Tensor& a, bool pivot) {
  check(a.dim() >= 2, "linalg.lu: Expected tensor with 2 or more dimensions. Got size: ", a.sizes(),
        " instead");
  TensorList f = call_factor.all(a, pivot, false);
  TensorList all = call_unpack.all(f[0], f[1], true, true);
  return {all[0], all[1], all[2]};
}

// -- solutions ------------------------------------------------------------------------------------
// op(A) X = B for B [.., n, k] in LAPACK's order, which becomes X; trans is 'N', 'T' or 'C'.
void solve_factored(char trans, const Tensor& lu, const Tensor& pivots, const Tensor& b) {
  const int64_t n = rows(lu), k = columns(b);
  with_type(b.dtype(), "linalg.lu_solve", [&](auto type) {
    using T = typename decltype(type)::type;
    if (b.is_meta() || b.numel() == 0) return;
    for_each_matrix(count(batch_sizes(b)), 2.0 * double(n) * double(n) * double(k), [&](int64_t i) {
      lapack::getrs(trans, int_of(n), int_of(k), matrix<T>(lu, i), leading(n),
                    vector<Int>(pivots, i), matrix<T>(b, i), leading(n));
    });
  });
}

Tensor lu_left_solve(const Tensor& lu, const Tensor& pivots, const Tensor& b, bool adjoint) {
  const Ints batch = broadcast_shapes(batch_sizes(lu), batch_sizes(b), "linalg.lu_solve");
  const Tensor x = copy_columns(b, batch);
  const Tensor p = copy_pivots(pivots, batch, lu, "linalg.lu_solve");
  solve_factored(adjoint ? 'C' : 'N', copy_columns(lu, batch), p, x);
  return x;
}

void lu_left_solve_back(Backward& b) {
  const bool adjoint = b.arg(3).as_bool();
  check(!b.needs(0), "linalg.lu_solve: no derivative for LU from here");
  b.set(2, sum_to(call_left_solve(b.in(0), b.in(1), b.grad(), !adjoint), b.sizes(2)));
}

Tensor lu_solve(const Tensor& lu, const Tensor& pivots, const Tensor& b, bool left, bool adjoint) {
  const char* op = "torch.linalg.lu_solve";
  check(is_inexact(lu.dtype()), op, ": Expected a floating point or complex tensor as input. Got ",
        lu.dtype());
  check_square(lu, op, "LU");
  check_matrix(b, op, "B");
  check(lu.dtype() == b.dtype(), op, ": Expected LU and B to have the same dtype, but found LU of ",
        "type ", lu.dtype(), " and B of type ", b.dtype(), " instead");
  check_same_device(lu, b, op);
  check(rows(lu) == (left ? rows(b) : columns(b)), op, ": Incompatible shapes of A and B for the ",
        "equation ", left ? "AX = B" : "XA = B", " (", rows(lu), "x", columns(lu), " and ", rows(b),
        "x", columns(b), ")");
  if (!left)
    return flambeau::adjoint(call_lu_solve(lu, pivots, flambeau::adjoint(b), true, !adjoint));
  if (!((lu.requires_grad() && modes().grad) || is_transformed(lu)))
    return call_left_solve(lu, pivots, b, adjoint);
  const TensorList f = call_unpack.all(lu, pivots);  // triangular systems differentiate in L and U
  const Tensor &p = f[0], &l = f[1], &u = f[2];
  if (!adjoint)
    return triangular_solve(u, triangular_solve(l, mm(flambeau::adjoint(p), b), false, true, true),
                            true);
  const Tensor y = triangular_solve(flambeau::adjoint(u), b, false);
  return mm(p, triangular_solve(flambeau::adjoint(l), y, true, true, true));
}

Tensor old_lu_solve(const Tensor& b, const Tensor& lu, const Tensor& pivots) {
  return call_lu_solve(lu, pivots, b);
}

bool is_vector(const Ints& a, const Ints& b) {
  return b.size() == 1 || (a.size() == b.size() + 1 && b == Ints(IntSpan(a.data(), b.size())));
}

Four solve_ex(const Tensor& a, const Tensor& given, bool left, bool check_errors) {
  const char* op = "linalg.solve";
  check_full_precision(a, op);
  check_square(a, op);
  check_same_type(a, given, op);
  const bool vector = is_vector(a.sizes(), given.sizes());
  check(given.dim() >= 1, op, ": The input tensor B must have at least 1 dimension.");
  check(left || !vector, op, ": Vector broadcasting of the left hand side is not supported for ",
        "left=False. In this case linalg.solve is equivalent to B / A.squeeze(-1)");
  Tensor b = given;
  if (vector) b = reshape_raw(given, with(given.sizes(), {1}));
  check(rows(a) == (left ? rows(b) : columns(b)), op, ": Incompatible shapes of A and B for the ",
        "equation ", left ? "AX = B" : "XA = B", " (", rows(a), "x", columns(a), " and ", rows(b),
        "x", columns(b), ")");
  auto [lu, pivots, info] = factor(a, op);
  if (check_errors) check_infos(info, "torch.linalg.solve_ex", unsolvable);
  const Ints batch = broadcast_shapes(batch_sizes(a), batch_sizes(b), op);
  Tensor x = copy_columns(left ? b : transpose_raw(b, -2, -1), batch);
  const bool same = batch == batch_sizes(a);
  const Tensor exchanges = expand_raw(pivots, with(batch, {rows(a)})).contiguous_raw();
  solve_factored(left ? 'N' : 'T', same ? lu : copy_columns(lu, batch), exchanges, x);
  if (!left) x = transpose_raw(x, -2, -1);
  if (vector) x = reshape_raw(x, with(batch, {rows(a)}));
  return {x, lu, pivots, info};
}

void solve_back(Backward& b) {
  const bool left = b.arg(2).as_bool(), vector = is_vector(b.sizes(0), b.sizes(1));
  const Tensor g = vector ? unsqueeze(b.grad(), -1) : b.grad();
  // When the gradient is recorded, A must be seen; else its factors are there already.
  const Tensor gb = modes().grad ? call_solve(adjoint(b.in(0)), g, left)
                                 : call_lu_solve(b.out(1), b.out(2), g, left, true);
  if (b.needs(0)) {
    const Tensor x = vector ? unsqueeze(b.out(0), -1) : b.out(0);
    b.set(0, sum_to(-(left ? mm(gb, adjoint(x)) : mm(adjoint(x), gb)), b.sizes(0)));
  }
  if (b.needs(1)) {
    static const OpCall squeeze("squeeze", 1);
    b.set(1, sum_to(vector ? squeeze(gb, Ints{-1}) : gb, b.sizes(1)));
  }
}

Two public_solve_ex(const Tensor& a, const Tensor& b, bool left, bool check_errors) {
  TensorList f = call_solve_ex.all(a, b, left, check_errors);
  return {f[0], f[3]};
}

Tensor solve(const Tensor& a, const Tensor& b, bool left) {
  TensorList f = call_solve_ex.all(a, b, left, false);
  check_infos(f[3], "torch.linalg.solve", unsolvable);
  return f[0];
}

// -- inverse --------------------------------------------------------------------------------------
Two inv_ex(const Tensor& a, bool check_errors) {
  check_full_precision(a, "linalg.inv");
  check_square(a, "linalg.inv");
  auto [lu, pivots, info] = factor(a, "linalg.inv");
  if (check_errors) check_infos(info, "linalg.inv_ex", singular);
  Tensor x = identity_columns(batch_sizes(a), rows(a), a.options());
  solve_factored('N', lu, pivots, x);
  return {transpose_raw(x, -2, -1), info};
}

void inv_back(Backward& b) {
  const Tensor y = adjoint(b.out(0));
  b.set(0, -mm(y, mm(b.grad(), y)));
}

Tensor inv(const Tensor& a) {
  TensorList f = call_inv_ex.all(a, false);
  check_infos(f[1], "linalg.inv", singular);
  return f[0];
}

// -- determinants ---------------------------------------------------------------------------------
Three det(const Tensor& a) {
  check_inexact(a, "linalg.det");
  check_square(a, "linalg.det");
  auto [lu, pivots, info] = factor(a, "linalg.det");
  Tensor out = empty(batch_sizes(a), a.options());
  if (!out.is_meta())
    with_type(a.dtype(), "linalg.det", [&](auto type) {
      using T = typename decltype(type)::type;
      const int64_t n = rows(a);
      for (int64_t i = 0; i < out.numel(); ++i) {
        T value(1);
        for (int64_t j = 0; j < n; ++j) {
          value *= matrix<T>(lu, i)[j * n + j];
          if (vector<Int>(pivots, i)[j] != j + 1) value = -value;
        }
        out.data<T>()[i] = value;
      }
    });
  return {out, lu, pivots};
}

// A^-H times a number for each matrix.
Tensor scaled_inverse(const Tensor& a, const Tensor& lu, const Tensor& pivots,
                      const Tensor& factor) {
  static const OpCall expand("expand");
  const Tensor d = diagonal_matrix(expand(unsqueeze(factor, -1), with(factor.sizes(), {rows(a)})));
  if (modes().grad) return call_solve_ex(adjoint(a), d, true, false);
  return call_lu_solve(lu, pivots, d, true, true);
}

// Of a singular matrix U S Vh: det(U) det(Vh) times, for each singular value, the product of
// others.
Tensor cofactors(const Tensor& a) {
  static const OpCall prod("prod"), eye("eye");
  const TensorList f = call_svd.all(a, true);
  const Tensor ones = eye(rows(a), Value(), DType::boolean, a.device());
  const Tensor others = prod(where(ones, 1.0, unsqueeze(f[1], -2)), -1);
  const Tensor phase = conj(call_det(f[0]) * call_det(f[2]));
  return unsqueeze(unsqueeze(phase, -1), -1) * mm(f[0] * unsqueeze(others, -2), f[2]);
}

void det_back(Backward& b) {
  const Tensor a = b.in(0), det = b.out(0), &g = b.grad();
  bool regular = true;
  if (!det.is_meta()) {
    static const OpCall all("all");
    NoGrad off;
    regular = item(all(det)).to<bool>();
  }
  if (regular)
    b.set(0, scaled_inverse(a, b.out(1), b.out(2), g * conj(det)));
  else
    b.set(0, unsqueeze(unsqueeze(g, -1), -1) * cofactors(a));
}

Four slogdet(const Tensor& a) {
  check_full_precision(a, "linalg.slogdet");
  check_square(a, "linalg.slogdet");
  auto [lu, pivots, info] = factor(a, "linalg.slogdet");
  Tensor sign = empty(batch_sizes(a), a.options());
  Tensor logabs = empty(batch_sizes(a), a.options(to_real(a.dtype())));
  if (!sign.is_meta())
    with_type(a.dtype(), "linalg.slogdet", [&](auto type) {
      using T = typename decltype(type)::type;
      using R = lapack::Real<T>;
      const int64_t n = rows(a);
      for (int64_t i = 0; i < sign.numel(); ++i) {
        T phase(1);
        R sum = 0;
        for (int64_t j = 0; j < n; ++j) {
          const T x = matrix<T>(lu, i)[j * n + j];
          const R size = std::abs(x);
          sum += std::log(size);
          phase *= size == 0 ? T(0) : x / size;
          if (vector<Int>(pivots, i)[j] != j + 1) phase = -phase;
        }
        sign.data<T>()[i] = phase;
        logabs.data<R>()[i] = sum;
      }
    });
  return {sign, logabs, lu, pivots};
}

void slogdet_back(Backward& b) {
  const Tensor a = b.in(0), &g_sign = b.grad(0), &g_log = b.grad(1);
  Tensor factor = g_log;
  if (is_complex(a.dtype())) {
    static const OpCall to("to");
    if (factor.defined()) factor = to(factor, a.dtype());
    if (g_sign.defined()) {
      const Tensor turn = -imaginary(conj(g_sign) * b.out(0));
      factor = add(factor, turn);
    }
  }
  if (factor.defined()) b.set(0, scaled_inverse(a, b.out(2), b.out(3), factor));
}

Tensor public_det(const Tensor& a) { return call_det(a); }
Two public_slogdet(const Tensor& a) {
  TensorList f = call_slogdet.all(a);
  return {f[0], f[1]};
}

FLAMBEAU_OPS{
    {.schema = "linalg.lu_factor_ex(Tensor A, *, bool pivot=True, bool check_errors=False) -> "
               "(Tensor LU, Tensor pivots, Tensor info)",
     .forward = native<lu_factor_ex>,
     .backward = lu_factor_back,
     .saves = "result, result1",
     .doc = "linalg.lu_factor() that tells in `info` which diagonal element of U is zero, if any."},
    {.schema = "linalg.lu_factor(Tensor A, *, bool pivot=True) -> (Tensor LU, Tensor pivots)",
     .forward = native<lu_factor>,
     .flags = kComposite,
     .doc = "The compact LU factorization with row exchanges, for linalg.lu_solve()."},
    {.schema = "linalg.lu(Tensor A, *, bool pivot=True) -> (Tensor P, Tensor L, Tensor U)",
     .forward = native<lu>,
     .flags = kComposite,
     .doc = "A = P L U: a permutation, a unit lower triangle and an upper one."},
    {.schema = "_lu_permutation(Tensor pivots, Tensor LU) -> Tensor",
     .forward = native<permutation>,
     .flags = kInternal | kNotDifferentiable},
    {.schema = "lu_unpack(Tensor LU_data, Tensor LU_pivots, bool unpack_data=True, "
               "bool unpack_pivots=True) -> (Tensor P, Tensor L, Tensor U)",
     .forward = native<lu_unpack>,
     .flags = kComposite | kNoMethod,
     .doc = "P, L and U from a compact LU factorization."},
    {.schema = "_lu_solve(Tensor LU, Tensor pivots, Tensor B, bool adjoint) -> Tensor",
     .forward = native<lu_left_solve>,
     .backward = lu_left_solve_back,
     .saves = "LU, pivots",
     .flags = kInternal,
     .node = "LinalgLuSolveBackward0"},
    {.schema = "linalg.lu_solve(Tensor LU, Tensor pivots, Tensor B, *, bool left=True, "
               "bool adjoint=False) -> Tensor",
     .forward = native<lu_solve>,
     .flags = kComposite,
     .doc = "X with A X = B (X A = B for left=False) from A's compact LU factorization."},
    {.schema = "lu_solve(Tensor input, Tensor LU_data, Tensor LU_pivots) -> Tensor",
     .forward = native<old_lu_solve>,
     .flags = kComposite,
     .doc = "linalg.lu_solve() with the right-hand side first."},
    {.schema = "_linalg_solve_ex(Tensor A, Tensor B, bool left, bool check_errors) -> "
               "(Tensor result, Tensor LU, Tensor pivots, Tensor info)",
     .forward = native<solve_ex>,
     .backward = solve_back,
     .saves = "A, result, result1, result2",
     .flags = kInternal,
     .node = "LinalgSolveExBackward0"},
    {.schema = "linalg.solve_ex(Tensor A, Tensor B, *, bool left=True, bool check_errors=False) -> "
               "(Tensor result, Tensor info)",
     .forward = native<public_solve_ex>,
     .flags = kComposite,
     .doc = "linalg.solve() that tells in `info` which matrices are singular."},
    {.schema = "linalg.solve(Tensor A, Tensor B, *, bool left=True) -> Tensor",
     .forward = native<solve>,
     .flags = kComposite,
     .doc = "X with A X = B (X A = B for left=False), for square matrices; B may hold vectors."},
    {.schema = "linalg.inv_ex(Tensor A, *, bool check_errors=False) -> (Tensor inverse, "
               "Tensor info)",
     .forward = native<inv_ex>,
     .backward = inv_back,
     .saves = "result",
     .doc = "linalg.inv() that tells in `info` which matrices are singular."},
    {.schema = "linalg.inv(Tensor A) -> Tensor",
     .forward = native<inv>,
     .flags = kComposite,
     .doc = "The inverse of square matrices."},
    {.schema = "inverse(Tensor input) -> Tensor", .alias = "linalg.inv"},
    {.schema = "_linalg_det(Tensor A) -> (Tensor result, Tensor LU, Tensor pivots)",
     .forward = native<det>,
     .backward = det_back,
     .saves = "A, result, result1, result2",
     .flags = kInternal,
     .node = "LinalgDetBackward0"},
    {.schema = "linalg.det(Tensor A) -> Tensor",
     .forward = native<public_det>,
     .flags = kComposite,
     .doc = "The determinant of square matrices."},
    {.schema = "det(Tensor input) -> Tensor", .alias = "linalg.det"},
    {.schema = "_linalg_slogdet(Tensor A) -> (Tensor sign, Tensor logabsdet, Tensor LU, "
               "Tensor pivots)",
     .forward = native<slogdet>,
     .backward = slogdet_back,
     .saves = "A, result, result2, result3",
     .flags = kInternal,
     .node = "LinalgSlogdetBackward0"},
    {.schema = "linalg.slogdet(Tensor A) -> (Tensor sign, Tensor logabsdet)",
     .forward = native<public_slogdet>,
     .flags = kComposite,
     .doc = "The sign (a complex number of modulus 1) and the logarithm of the absolute value of "
            "the determinant."},
    {.schema = "slogdet(Tensor input) -> (Tensor sign, Tensor logabsdet)",
     .alias = "linalg.slogdet"},
};

}  // namespace
}  // namespace flambeau::linalg
