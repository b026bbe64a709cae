// QR factorization and least squares.
#include "linalg.h"

namespace flambeau::linalg {
namespace {

using Two = std::tuple<Tensor, Tensor>;
using Three = std::tuple<Tensor, Tensor, Tensor>;
using Four = std::tuple<Tensor, Tensor, Tensor, Tensor>;

const OpCall call_lstsq("_linalg_lstsq"), call_qr("linalg.qr"), call_cat("cat");

// R above the diagonal and Householder vectors below it, their factors.
Two geqrf(const Tensor& a) {
  check_matrix(a, "torch.geqrf", "input");
  const int64_t m = rows(a), n = columns(a);
  const Ints batch = batch_sizes(a);
  Tensor f = copy_columns(a), tau = empty(with(batch, {std::min(m, n)}), a.options());
  with_type(a.dtype(), "geqrf", [&](auto type) {
    using T = typename decltype(type)::type;
    if (f.is_meta() || f.numel() == 0) return;
    const double work = 2.0 * double(m) * double(n) * double(std::min(m, n));
    for_each_matrix(count(batch), work, [&](int64_t i) {
      lapack::geqrf(int_of(m), int_of(n), matrix<T>(f, i), leading(m), vector<T>(tau, i));
    });
  });
  return {f, tau};
}

// The first `wanted` columns of Q.
Tensor make_q(const Tensor& f, const Tensor& tau, int64_t wanted) {
  const int64_t m = rows(f), k = std::min(m, columns(f));
  const Ints batch = batch_sizes(f);
  Tensor q = empty_columns(batch, m, wanted, f.options());
  if (q.is_meta() || q.numel() == 0) return q;
  const int64_t given = std::min(wanted, columns(f));
  copy(first_columns(q, given), first_columns(f, given));
  with_type(f.dtype(), "linalg.qr", [&](auto type) {
    using T = typename decltype(type)::type;
    const double work = 2.0 * double(m) * double(wanted) * double(k);
    for_each_matrix(count(batch), work, [&](int64_t i) {
      lapack::orgqr(int_of(m), int_of(wanted), int_of(k), matrix<T>(q, i), leading(m),
                    vector<T>(tau, i));
    });
  });
  return q;
}

Two qr(const Tensor& a, const std::string& mode) {
  check(mode == "reduced" || mode == "complete" || mode == "r", "qr received unrecognized mode '",
        mode, "' but expected one of 'reduced' (default), 'r', or 'complete'");
  check_matrix(a, "linalg.qr");
  check_inexact(a, "linalg.qr");
  auto [f, tau] = geqrf(a);
  const int64_t m = rows(a), k = std::min(m, columns(a));
  const Tensor r = triu(mode == "complete" ? f : first_rows(f, k));
  if (mode == "r") return {empty(Ints{0}, a.options()), r};
  return {make_q(f, tau, mode == "complete" ? m : k), r};
}

// Walter and Lehmann 2018, "Algorithmic differentiation of linear algebra functions": with M =
// gR R^H - Q^H gQ, (gQ + Q times the Hermitian matrix of M's upper triangle) R^-H. For more columns
// than rows, R = [R1 R2] and A = [Q R1, Q R2].
void qr_back(Backward& b) {
  const std::string& mode = b.arg(1).as_string();
  const Ints& sizes = b.sizes(0);
  const int64_t m = sizes[sizes.size() - 2], n = sizes[sizes.size() - 1], k = std::min(m, n);
  check(mode != "r", "The derivative of linalg.qr depends on Q, which is not computed when ",
        "mode='r'. Please use linalg.qr(A, mode='reduced') if you are going to differentiate ",
        "through linalg.qr.");
  check(mode == "reduced" || m <= n, "The QR decomposition is not differentiable when ",
        "mode='complete' and nrows > ncols");
  const Tensor q = b.out(0), r = b.out(1), qh = adjoint(q);
  const Tensor r1 = narrow(r, -1, 0, k), &gr = b.grad(1);
  Tensor gq = b.grad(0), of_r, right;
  if (gr.defined()) {
    of_r = mm(narrow(gr, -1, 0, k), adjoint(r1));
    if (n > k) {
      const Tensor gr2 = narrow(gr, -1, k, n - k);
      right = mm(q, gr2);
      gq = add(gq, mm(q, mm(narrow(r, -1, k, n - k), adjoint(gr2))));
    }
  }
  const Tensor x = add(of_r, gq.defined() ? -mm(qh, gq) : Tensor());
  const Tensor t = triu(x) + triu(x, 1);
  Tensor g = add(gq, mm(q, (t + adjoint(t)) * 0.5));
  g = triangular_solve(adjoint(r1), g, false, false);
  if (n > k) {
    if (!right.defined()) right = zeros(with(batch_sizes(g), {m, n - k}), g.options());
    g = call_cat(TensorList{g, right}, -1);
  }
  b.set(0, g);
}

Two old_qr(const Tensor& a, bool some) {
  TensorList f = call_qr.all(a, some ? "reduced" : "complete");
  return {f[0], f[1]};
}

// -- least squares --------------------------------------------------------------------------------
std::string not_full_rank(int64_t i) {
  return cat("The least squares solution could not be computed because the input matrix does not ",
             "have full rank (error code: ", i, ").");
}
std::string not_converged(int64_t i) {
  return cat("The algorithm for computing the singular value decomposition failed to converge ",
             "(error code: ", i, ").");
}

struct LeastSquares {
  int64_t m, n, k;
  Tensor a, b, rank, values, info;  // matrices in LAPACK's order; b has max(m, n) rows
};

template <class T>
void run_lstsq(const LeastSquares& x, const std::string& driver, double rcond) {
  const Int m = int_of(x.m), n = int_of(x.n), k = int_of(x.k), ldb = leading(std::max(x.m, x.n));
  const auto tolerance = static_cast<lapack::Real<T>>(rcond);
  const double work = 4.0 * m * n * std::min(m, n);
  for_each_matrix(count(batch_sizes(x.b)), work, [&](int64_t i) {
    T *a = matrix<T>(x.a, i), *b = matrix<T>(x.b, i);
    Int rank = 0, &info = x.info.data<Int>()[i];
    if (driver == "gels") {
      info = lapack::gels(m, n, k, a, leading(m), b, ldb);
      return;
    }
    if (driver == "gelsy") {
      info = lapack::gelsy(m, n, k, a, leading(m), b, ldb, tolerance, &rank);
    } else {
      auto* s = vector<lapack::Real<T>>(x.values, i);
      info = driver == "gelsd" ? lapack::gelsd(m, n, k, a, leading(m), b, ldb, s, tolerance, &rank)
                               : lapack::gelss(m, n, k, a, leading(m), b, ldb, s, tolerance, &rank);
    }
    x.rank.data<int64_t>()[i] = rank;
  });
}

// Solutions, ranks, singular values of A [.., m, n] X = B [.., m, k] of the same batch.
Three lstsq_raw(const Tensor& a, const Tensor& b, double rcond, const std::string& driver) {
  const Ints batch = batch_sizes(b);
  LeastSquares x;
  x.m = rows(a), x.n = columns(a), x.k = columns(b);
  x.a = copy_columns(a, batch);
  x.b = zeros(with(batch, {x.k, std::max(x.m, x.n)}), b.options());
  x.b = transpose_raw(x.b, -2, -1);
  const bool spectral = driver == "gelsd" || driver == "gelss", ranked = driver != "gels";
  const Tensor none = empty(Ints{0}, {DType::int64, a.device()});
  x.rank = ranked ? zeros(batch, none.options()) : none;
  const Ints value_sizes = spectral ? with(batch, {std::min(x.m, x.n)}) : Ints{0};
  x.values = zeros(value_sizes, a.options(to_real(a.dtype())));
  x.info = zeros(batch, {DType::int32, a.device()});
  const Tensor solution = first_rows(x.b, x.n);
  if (x.b.is_meta()) return {solution, x.rank, x.values};
  if (x.b.numel()) copy(first_rows(x.b, x.m), b);
  with_type(a.dtype(), "torch.linalg.lstsq", [&](auto type) {
    using T = typename decltype(type)::type;
    if (x.a.numel() == 0 || x.b.numel() == 0) {
      if (x.a.numel() == 0) zero(x.b);
      return;
    }
    check(all_finite(x.a.data<T>(), x.a.numel()) && all_finite(x.b.data<T>(), x.b.numel()),
          "torch.linalg.lstsq: the input contains infs or NaNs.");
    run_lstsq<T>(x, driver, rcond);
  });
  check_infos(x.info, "torch.linalg.lstsq", ranked ? not_converged : not_full_rank);
  return {solution.clone_raw(), x.rank, x.values};
}

// X is the pseudoinverse of A times B.
void lstsq_back(Backward& b) {
  const Tensor a = b.in(0), rhs = b.in(1), p = pinv(a);
  if (!b.grad().defined()) return;
  if (b.needs(0)) b.set(0, pinv_gradient(a, p, mm(b.grad(), adjoint(rhs))));
  if (b.needs(1)) b.set(1, mm(adjoint(p), b.grad()));
}

// The sums of squares of B - A X, for more rows than columns and full rank; else nothing.
Tensor residuals(const Tensor& a, const Tensor& b, const Tensor& x, const Tensor& rank) {
  static const OpCall sum("sum");
  bool wanted = rows(a) > columns(a) && !a.is_meta();
  for (int64_t i = 0; wanted && i < rank.numel(); ++i)
    wanted = rank.data<int64_t>()[i] == columns(a);
  if (!wanted) return empty(Ints{0}, a.options(to_real(a.dtype())));
  const Tensor r = b - mm(a, x);
  return sum(real(r * conj(r)), Ints{-2});
}

Four lstsq(const Tensor& a, const Tensor& given, std::optional<double> rcond,
           std::optional<std::string> driver) {
  static const OpCall expand("expand"), squeeze("squeeze", 1), detach("detach");
  const char* op = "torch.linalg.lstsq";
  check(a.dim() >= 2, op, ": input must have at least 2 dimensions.");
  check(given.dim() >= 1, op, ": other must have at least 1 dimension.");
  check_full_precision(a, op);
  check(a.dtype() == given.dtype(), op, ": Expected input and other to have the same dtype, but ",
        "got input's dtype ", a.dtype(), " and other's dtype ", given.dtype());
  check_same_device(a, given, op);
  const int64_t gap = a.dim() - given.dim();
  check(gap >= 0 && gap <= 1, op,
        ": input.dim() must be greater or equal to other.dim() and (input.dim() - ",
        "other.dim()) <= 1");
  const bool vector =
      gap == 1 && batch_sizes(a) == Ints(IntSpan(given.sizes().data(), given.dim() - 1));
  const Tensor b = vector ? unsqueeze(given, -1) : given;
  check(b.dim() >= 2 && rows(b) == rows(a), op, ": input.size(-2) should match other.size(",
        vector ? "-1" : "-2", ")");
  const std::string name = driver.value_or("gelsy");
  check(name == "gels" || name == "gelsy" || name == "gelsd" || name == "gelss", op,
        ": parameter `driver` should be one of (gels, gelsy, gelsd, gelss)");
  const bool single = to_real(a.dtype()) == DType::float32;
  const double eps =
      single ? std::numeric_limits<float>::epsilon() : std::numeric_limits<double>::epsilon();
  const double tolerance = rcond.value_or(eps * double(std::max(rows(a), columns(a))));
  const Ints batch = broadcast_shapes(batch_sizes(a), batch_sizes(b), op);
  const Tensor wide_a = expand(a, with(batch, {rows(a), columns(a)}));
  const Tensor wide_b = expand(b, with(batch, {rows(b), columns(b)}));
  TensorList f = call_lstsq.all(wide_a, wide_b, tolerance, name);
  Tensor rest =
      name == "gelsy" ? empty(Ints{0}, f[2].options()) : residuals(wide_a, wide_b, f[0], f[1]);
  return {vector ? squeeze(f[0], Ints{-1}) : f[0], rest, f[1], detach(f[2])};
}

FLAMBEAU_OPS{
    {.schema = "geqrf(Tensor input) -> (Tensor a, Tensor tau)",
     .forward = native<geqrf>,
     .doc = "The compact QR factorization: R and, below it, Householder vectors; their factors."},
    {.schema = "linalg.qr(Tensor A, str mode=\"reduced\") -> (Tensor Q, Tensor R)",
     .forward = native<qr>,
     .backward = qr_back,
     .saves = "result, result1",
     .doc = "A = Q R with orthonormal columns in Q and R upper triangular; mode 'complete' gives "
            "all of Q, 'r' only R."},
    {.schema = "qr(Tensor input, bool some=True) -> (Tensor Q, Tensor R)",
     .forward = native<old_qr>,
     .flags = kComposite,
     .doc = "linalg.qr() in mode 'reduced' or, for some=False, 'complete'."},
    {.schema = "_linalg_lstsq(Tensor A, Tensor B, float rcond, str driver) -> (Tensor solution, "
               "Tensor rank, Tensor singular_values)",
     .forward = native<lstsq_raw>,
     .backward = lstsq_back,
     .saves = "A, B",
     .flags = kInternal,
     .node = "LinalgLstsqBackward0"},
    {.schema = "linalg.lstsq(Tensor input, Tensor b, float? rcond=None, *, str? driver=None) -> "
               "(Tensor solution, Tensor residuals, Tensor rank, Tensor singular_values)",
     .forward = native<lstsq>,
     .flags = kComposite,
     .doc = "X for which A X - B is least; drivers gelsy, gels (full rank), gelsd, gelss."},
};

}  // namespace
}  // namespace flambeau::linalg
