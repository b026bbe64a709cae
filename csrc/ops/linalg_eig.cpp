// Eigenvalues, singular values and the pseudoinverse.
#include "../transform.h"
#include "linalg.h"

namespace flambeau::linalg {
namespace {

using Two = std::tuple<Tensor, Tensor>;
using Three = std::tuple<Tensor, Tensor, Tensor>;

const OpCall call_eigh("_linalg_eigh"), call_eig("_linalg_eig"), call_svd("_linalg_svd"),
    call_pinv("_linalg_pinv"), call_to("to");

// Whether a derivative may be asked for, which takes the vectors too.
bool recorded(const Tensor& a) { return (modes().grad && a.requires_grad()) || is_transformed(a); }

Tensor as_type(const Tensor& a, DType t) { return a.dtype() == t ? a : call_to(a, t); }

std::string no_eigenvalues(int64_t i) {
  return cat("The algorithm failed to converge because the input matrix is ill-conditioned or has ",
             "too many repeated eigenvalues (error code: ", i, ").");
}
constexpr Int kNotFinite = -1000;
std::string no_singular_values(int64_t i) {
  if (i == kNotFinite)
    return "The algorithm failed to converge because the input matrix contained non-finite values.";
  return cat("The algorithm failed to converge because the input matrix is ill-conditioned or has ",
             "too many repeated singular values (error code: ", i, ").");
}

// Complex vectors are given up to a phase. A loss whose slope along it is not 0 is not a function
// of the matrix: the diagonal of V^H gV is real for any other.
void check_phase(const Tensor& products, const char* op) {
  if (!is_complex(products.dtype()) || products.is_meta() || modes().grad) return;
  static const OpCall imag("imag"), amax("amax");
  const Tensor turn = abs(imag(diagonal(products)));
  if (turn.numel() == 0 || !(item(amax(turn)).to<double>() > 1e-2)) return;
  fail(ErrorKind::runtime, op, ": The eigenvectors or singular vectors of a complex matrix are ",
       "determined up to multiplication by a number of modulus 1. The loss depends on that phase, ",
       "so it has no gradient.");
}

// -- Hermitian matrices ---------------------------------------------------------------------------
Two eigh(const Tensor& a, const std::string& uplo, bool vectors) {
  const char side = uplo.empty() ? ' ' : static_cast<char>(uplo[0] & ~32);
  check_square(a, "linalg.eigh");
  check_inexact(a, "linalg.eigh");
  check(uplo.size() == 1 && (side == 'L' || side == 'U'),
        "Expected UPLO argument to be 'L' or 'U', but got ", uplo);
  const Ints batch = batch_sizes(a);
  const int64_t n = rows(a);
  Tensor v = copy_columns(side == 'L' ? tril(a) : triu(a));
  Tensor w = empty(with(batch, {n}), a.options(to_real(a.dtype())));
  Tensor info = zeros(batch, {DType::int32, a.device()});
  with_type(a.dtype(), "linalg.eigh", [&](auto type) {
    using T = typename decltype(type)::type;
    using R = lapack::Real<T>;
    if (v.is_meta() || v.numel() == 0) return;
    for_each_matrix(count(batch), 9.0 * double(n) * double(n) * double(n), [&](int64_t i) {
      T* x = matrix<T>(v, i);
      if (all_finite(x, n * n)) {
        info.data<Int>()[i] =
            lapack::heevd<T>(vectors, side, int_of(n), x, int_of(n), vector<R>(w, i));
        return;
      }
      const R nan = std::numeric_limits<R>::quiet_NaN();
      std::fill_n(x, n * n, T(nan));
      std::fill_n(vector<R>(w, i), n, nan);
    });
  });
  check_infos(info, "linalg.eigh", no_eigenvalues);
  return {w, vectors ? v : empty(Ints{0}, a.options())};
}

// The Hermitian part of V (diag(gL) + V^H gV / (L_j - L_i)) V^H.
void eigh_back(Backward& b) {
  const Tensor w = b.out(0), v = b.out(1), vh = adjoint(v), &gw = b.grad(0), &gv = b.grad(1);
  if (!gv.defined()) {
    b.set(0, mm(v * unsqueeze(gw, -2), vh));
    return;
  }
  const Tensor products = mm(vh, gv);
  check_phase(products, "linalg_eigh_backward");
  Tensor x = over_differences(products, w);
  if (gw.defined()) x = x + diagonal_matrix(gw);
  const Tensor g = mm(v, mm(x, vh));
  b.set(0, (g + adjoint(g)) * 0.5);
}

Two public_eigh(const Tensor& a, const std::string& uplo) {
  TensorList f = call_eigh.all(a, uplo, true);
  return {f[0], f[1]};
}

Tensor eigvalsh(const Tensor& a, const std::string& uplo) {
  return call_eigh(a, uplo, recorded(a));
}

// -- general matrices -----------------------------------------------------------------------------
Two eig(const Tensor& a, bool vectors) {
  check_square(a, "linalg.eig");
  check_inexact(a, "linalg.eig");
  const Ints batch = batch_sizes(a);
  const int64_t n = rows(a);
  const DType complex = to_complex(a.dtype());
  Tensor x = copy_columns(a), w = empty(with(batch, {n}), a.options(complex));
  Tensor v = vectors ? empty_columns(batch, n, n, w.options()) : empty(Ints{0}, w.options());
  Tensor info = zeros(batch, {DType::int32, a.device()});
  with_type(a.dtype(), "linalg.eig", [&](auto type) {
    using T = typename decltype(type)::type;
    using C = lapack::Complex<T>;
    if (x.is_meta() || x.numel() == 0) return;
    check(all_finite(x.data<T>(), x.numel()),
          "torch.linalg.eig: input tensor should not contain infs or NaNs.");
    for_each_matrix(count(batch), 25.0 * double(n) * double(n) * double(n), [&](int64_t i) {
      info.data<Int>()[i] = lapack::geev<T>(int_of(n), matrix<T>(x, i), int_of(n), vector<C>(w, i),
                                            vectors ? matrix<C>(v, i) : nullptr);
    });
  });
  check_infos(info, "linalg.eig", no_eigenvalues);
  return {w, v};
}

// G = V^-H (diag(gL) + (V^H gV - V^H V Re diag(V^H gV)) / conj(L_j - L_i)) V^H, for eigenvectors of
// norm 1 (Boeddeker et al. 2017, arXiv 1701.00392).
void eig_back(Backward& b) {
  static const OpCall solve("linalg.solve");
  const Tensor w = b.out(0), v = b.out(1), vh = adjoint(v), &gw = b.grad(0), &gv = b.grad(1);
  Tensor x;
  if (gv.defined()) {
    x = mm(vh, gv);
    check_phase(x, "linalg_eig_backward");
    const Tensor lengths = real(diagonal(x));
    x = over_differences(x - mm(vh, v * unsqueeze(lengths, -2)), conj(w));
  }
  if (gw.defined()) x = add(x, diagonal_matrix(gw));
  const Tensor g = solve(vh, mm(x, vh));
  b.set(0, is_complex(b.dtype(0)) ? g : real(g));
}

Two public_eig(const Tensor& a) {
  TensorList f = call_eig.all(a, true);
  return {f[0], f[1]};
}

Tensor eigvals(const Tensor& a) { return call_eig(a, recorded(a)); }

// -- singular values ------------------------------------------------------------------------------
template <class T>
void run_svd(char job, const Tensor& x, const Tensor& u, const Tensor& s, const Tensor& vh,
             const Tensor& info) {
  const Int m = int_of(rows(x)), n = int_of(columns(x)), k = std::min(m, n);
  const double work = 10.0 * m * n * k;
  for_each_matrix(count(batch_sizes(x)), work, [&](int64_t i) {
    T* a = matrix<T>(x, i);
    Int& code = info.data<Int>()[i];
    if (!all_finite(a, int64_t(m) * n)) {
      code = kNotFinite;
      return;
    }
    T *pu = nullptr, *pv = nullptr;
    if (job != 'N') pu = matrix<T>(u, i), pv = matrix<T>(vh, i);
    code = lapack::gesdd<T>(job, m, n, a, m, vector<lapack::Real<T>>(s, i), pu, m, pv,
                            job == 'S' ? k : n);
  });
}

Three svd(const Tensor& a, bool full, bool vectors) {
  check_matrix(a, "linalg.svd");
  check_inexact(a, "linalg.svd");
  const Ints batch = batch_sizes(a);
  const int64_t m = rows(a), n = columns(a), k = std::min(m, n);
  Tensor s = empty(with(batch, {k}), a.options(to_real(a.dtype())));
  Tensor u = empty(Ints{0}, a.options()), vh = u;
  if (vectors && k == 0 && full) {
    u = identity_columns(batch, m, a.options());
    vh = identity_columns(batch, n, a.options());
  } else if (vectors) {
    u = empty_columns(batch, m, full ? m : k, a.options());
    vh = empty_columns(batch, full ? n : k, n, a.options());
  }
  const Tensor x = copy_columns(a), info = zeros(batch, {DType::int32, a.device()});
  with_type(a.dtype(), "linalg.svd", [&](auto type) {
    using T = typename decltype(type)::type;
    if (x.is_meta() || x.numel() == 0) return;
    run_svd<T>(!vectors ? 'N' : full ? 'A' : 'S', x, u, s, vh, info);
  });
  check_infos(info, "linalg.svd", no_singular_values);
  return {u, s, vh};
}

Tensor skew(const Tensor& x) { return x - adjoint(x); }

// With X = skew(U^H gU), Y = skew(V^H gV), E = S_j^2 - S_i^2, the first k columns of U and V:
// G = U (diag(gS) + X/E S + S Y/E) V^H + (1 - U U^H) gU S^-1 V^H + U S^-1 gV^H (1 - V V^H); for
// complex numbers, whose vectors have a free phase, also U i Im(diag(U^H gU)) S^-1 V^H.
void svd_back(Backward& b) {
  const Ints& sizes = b.sizes(0);
  const int64_t m = sizes[sizes.size() - 2], n = sizes[sizes.size() - 1], k = std::min(m, n);
  const Tensor s = b.out(1), &gs = b.grad(1);
  const Tensor u = narrow(b.out(0), -1, 0, k), vh = narrow(b.out(2), -2, 0, k);
  const Tensor uh = adjoint(u), v = adjoint(vh), wide = unsqueeze(s, -2);
  Tensor gu = b.grad(0), gv = b.grad(2), inner, g;
  if (gs.defined()) inner = diagonal_matrix(as_type(gs, u.dtype()));
  const Tensor squares = s * s;
  if (gu.defined()) gu = narrow(gu, -1, 0, k);
  if (gv.defined()) gv = adjoint(narrow(gv, -2, 0, k));
  const Tensor x = gu.defined() ? mm(uh, gu) : Tensor(), y = gv.defined() ? mm(vh, gv) : Tensor();
  if (gu.defined() || gv.defined()) check_phase(add(x, y), "svd_backward");
  if (gu.defined()) {
    inner = add(inner, over_differences(skew(x), squares) * wide);
    if (is_complex(u.dtype())) inner = inner + diagonal_matrix(imaginary(diagonal(x)) / s);
    if (m > k) g = mm((gu - mm(u, x)) / wide, vh);
  }
  if (gv.defined()) {
    inner = add(inner, unsqueeze(s, -1) * over_differences(skew(y), squares));
    if (n > k) g = add(g, mm(u / wide, adjoint(gv - mm(v, y))));
  }
  b.set(0, add(g, mm(u, mm(inner, vh))));
}

void check_driver(const std::optional<std::string>& driver) {
  check(!driver, "torch.linalg.svd: keyword argument `driver=` is only supported on CUDA inputs ",
        "with cuSOLVER backend.");
}

Three public_svd(const Tensor& a, bool full, std::optional<std::string> driver) {
  check_driver(driver);
  TensorList f = call_svd.all(a, full, true);
  return {f[0], f[1], f[2]};
}

Tensor svdvals(const Tensor& a, std::optional<std::string> driver) {
  check_driver(driver);
  return call_svd.all(a, false, recorded(a))[1];
}

Three old_svd(const Tensor& a, bool some, bool compute_uv) {
  check(a.dim() >= 2, "linalg.svd: input should have at least 2 dimensions, but has ", a.dim(),
        " dimensions instead");
  if (compute_uv) {
    TensorList f = call_svd.all(a, !some, true);
    return {f[0], f[1], adjoint(f[2])};
  }
  const Ints batch = batch_sizes(a);
  const int64_t m = rows(a), n = columns(a);
  return {zeros(with(batch, {m, m}), a.options()), call_svd.all(a, false, recorded(a))[1],
          zeros(with(batch, {n, n}), a.options())};
}

// -- the pseudoinverse ----------------------------------------------------------------------------
// Singular values of at most max(atol, rtol times the greatest) count as 0.
Tensor pinv_raw(const Tensor& a, const Tensor& atol, const Tensor& rtol, bool hermitian) {
  static const OpCall amax("amax"), maximum("maximum");
  const Ints batch = batch_sizes(a);
  if (a.numel() == 0) return empty(with(batch, {columns(a), rows(a)}), a.options());
  auto inverted = [&](const Tensor& s) {
    const Tensor sizes = abs(s), most = amax(sizes, Ints{-1}, true);
    const Tensor least = maximum(unsqueeze(as_type(atol, s.dtype()), -1),
                                 unsqueeze(as_type(rtol, s.dtype()), -1) * most);
    return unsqueeze(where(sizes > least, 1.0 / s, 0.0), -2);
  };
  if (hermitian) {
    const TensorList f = call_eigh.all(a, "L", true);
    return mm(f[1] * inverted(f[0]), adjoint(f[1]));
  }
  const TensorList f = call_svd.all(a, false, true);
  return mm(adjoint(f[2]) * inverted(f[1]), adjoint(f[0]));
}

void pinv_back(Backward& b) { b.set(0, pinv_gradient(b.in(0), b.out(0), b.grad())); }

FLAMBEAU_OPS{
    {.schema = "_linalg_eigh(Tensor A, str UPLO, bool compute_v) -> (Tensor eigenvalues, "
               "Tensor eigenvectors)",
     .forward = native<eigh>,
     .backward = eigh_back,
     .saves = "result, result1",
     .flags = kInternal,
     .node = "LinalgEighBackward0"},
    {.schema = "linalg.eigh(Tensor input, str UPLO=\"L\") -> (Tensor eigenvalues, "
               "Tensor eigenvectors)",
     .forward = native<public_eigh>,
     .flags = kComposite,
     .doc = "Eigenvalues (ascending) and eigenvectors (columns) of Hermitian matrices, of which "
            "the lower or the upper triangle is read."},
    {.schema = "linalg.eigvalsh(Tensor input, str UPLO=\"L\") -> Tensor",
     .forward = native<eigvalsh>,
     .flags = kComposite,
     .doc = "Eigenvalues, ascending, of Hermitian matrices."},
    {.schema = "_linalg_eig(Tensor A, bool compute_v) -> (Tensor eigenvalues, "
               "Tensor eigenvectors)",
     .forward = native<eig>,
     .backward = eig_back,
     .saves = "result, result1",
     .flags = kInternal,
     .node = "LinalgEigBackward0"},
    {.schema = "linalg.eig(Tensor input) -> (Tensor eigenvalues, Tensor eigenvectors)",
     .forward = native<public_eig>,
     .flags = kComposite,
     .doc = "Eigenvalues and eigenvectors (columns, of norm 1) of square matrices, as complex "
            "numbers."},
    {.schema = "linalg.eigvals(Tensor input) -> Tensor",
     .forward = native<eigvals>,
     .flags = kComposite | kCastsOut,
     .doc = "Eigenvalues of square matrices, as complex numbers."},
    {.schema = "_linalg_svd(Tensor A, bool full_matrices, bool compute_uv) -> (Tensor U, Tensor S, "
               "Tensor Vh)",
     .forward = native<svd>,
     .backward = svd_back,
     .saves = "result, result1, result2",
     .flags = kInternal,
     .node = "LinalgSvdBackward0"},
    {.schema = "linalg.svd(Tensor A, bool full_matrices=True, *, str? driver=None) -> (Tensor U, "
               "Tensor S, Tensor Vh)",
     .forward = native<public_svd>,
     .flags = kComposite,
     .doc = "A = U diag(S) Vh with orthonormal columns in U and rows in Vh, S descending."},
    {.schema = "linalg.svdvals(Tensor A, *, str? driver=None) -> Tensor",
     .forward = native<svdvals>,
     .flags = kComposite,
     .doc = "Singular values, descending."},
    {.schema = "svd(Tensor input, bool some=True, bool compute_uv=True) -> (Tensor U, Tensor S, "
               "Tensor V)",
     .forward = native<old_svd>,
     .flags = kComposite,
     .doc = "input = U diag(S) V^H; linalg.svd() gives V^H."},
    {.schema = "_linalg_pinv(Tensor A, Tensor atol, Tensor rtol, bool hermitian) -> Tensor",
     .forward = native<pinv_raw>,
     .backward = pinv_back,
     .saves = "A, result",
     .flags = kInternal,
     .node = "LinalgPinvBackward0"},
};

}  // namespace

Tensor pinv(const Tensor& a) {
  const DType t = to_real(a.dtype());
  const double eps = t == DType::float32 ? std::numeric_limits<float>::epsilon()
                                         : std::numeric_limits<double>::epsilon();
  const Options o = a.options(t);
  const double rtol = eps * double(std::max(rows(a), columns(a)));
  return call_pinv(a, scalar_tensor(0.0, o), scalar_tensor(rtol, o), false);
}

}  // namespace flambeau::linalg
