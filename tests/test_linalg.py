"""Linear algebra: factorizations, solutions, gradients, errors, shapes without data."""

import math

import pytest

import flambeau as torch
from flambeau import linalg

DTYPES = [torch.float32, torch.float64, torch.complex64, torch.complex128]


def random(*shape, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=dtype, generator=generator)


def close(a, b, scale=1.0):
    single = a.dtype in (torch.float32, torch.complex64)
    tolerance = (2e-4 if single else 1e-9) * scale
    assert a.shape == b.shape
    assert a.dtype == b.dtype
    assert torch.allclose(a, b, rtol=tolerance, atol=tolerance), (a - b).abs().max()


def eye(n, dtype=torch.float64):
    return torch.eye(n, dtype=dtype)


def positive(*shape, dtype=torch.float64):
    a = random(*shape, dtype=dtype)
    return a @ a.mH + eye(shape[-1], dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("batch", [(), (3,), (2, 0), (2, 3)])
class TestFactorizations:
    def test_lu(self, dtype, batch):
        for m, n in ((4, 4), (5, 3), (3, 5)):
            a = random(*batch, m, n, dtype=dtype)
            P, L, U = linalg.lu(a)
            close(P @ L @ U, a)
            factors = linalg.lu_factor(a)
            close(torch.lu_unpack(*factors)[2], U)

    def test_qr(self, dtype, batch):
        for m, n in ((4, 4), (5, 3), (3, 5)):
            a = random(*batch, m, n, dtype=dtype)
            for mode, k in (("reduced", min(m, n)), ("complete", m)):
                Q, R = linalg.qr(a, mode)
                assert Q.shape[-2:] == (m, k)
                close(Q @ R, a)
                close(Q.mH @ Q, eye(k, dtype).expand(*batch, k, k))
            close(linalg.qr(a, "r").R, linalg.qr(a).R)

    def test_householder(self, dtype, batch):
        a = random(*batch, 5, 3, dtype=dtype)
        Q, R = linalg.qr(a, "complete")
        factors = torch.geqrf(a)
        close(linalg.householder_product(*factors), Q[..., :3])
        c, d = random(*batch, 5, 2, dtype=dtype), random(*batch, 2, 5, dtype=dtype)
        close(torch.ormqr(*factors, c), Q @ c)
        close(torch.ormqr(*factors, c, transpose=True), Q.mH @ c)
        close(torch.ormqr(*factors, d, left=False), d @ Q)
        close(torch.ormqr(*factors, d, left=False, transpose=True), d @ Q.mH)

    def test_cholesky(self, dtype, batch):
        a = positive(*batch, 4, 4, dtype=dtype)
        L = linalg.cholesky(a)
        close(L @ L.mH, a)
        assert (L.triu(1) == 0).all()
        U = linalg.cholesky(a, upper=True)
        close(U.mH @ U, a)
        b = random(4, 2, dtype=dtype).expand(*batch, 4, 2)
        close(a @ torch.cholesky_solve(b, L), b, 10)
        close(a @ torch.cholesky_solve(b, U, upper=True), b, 10)
        one = eye(4, dtype).expand(*batch, 4, 4)
        close(a @ torch.cholesky_inverse(L), one, 10)

    def test_svd(self, dtype, batch):
        for m, n in ((4, 4), (5, 3), (3, 5)):
            a = random(*batch, m, n, dtype=dtype)
            U, S, Vh = linalg.svd(a, full_matrices=False)
            close(U @ (S.unsqueeze(-1) * Vh), a)
            close(U.mH @ U, eye(min(m, n), dtype).expand(*batch, min(m, n), min(m, n)))
            full = linalg.svd(a)
            assert full.U.shape[-2:] == (m, m) and full.Vh.shape[-2:] == (n, n)
            close(linalg.svdvals(a), S)
            close(torch.svd(a).V, Vh.mH)

    def test_eigenvalues(self, dtype, batch):
        a = random(*batch, 4, 4, dtype=dtype)
        w, v = linalg.eig(a)
        assert w.dtype.is_complex
        close(a.to(v.dtype) @ v, v * w.unsqueeze(-2), 10)
        h = a + a.mH
        w, v = linalg.eigh(h)
        close(h @ v, v * w.unsqueeze(-2), 10)
        close(linalg.eigvalsh(h, "U"), w, 10)

    def test_ldl(self, dtype, batch):
        a = random(*batch, 4, 4, dtype=dtype)
        b = random(*batch, 4, 2, dtype=dtype)
        for hermitian in (False, True):
            s = a + (a.mH if hermitian else a.mT)
            LD, pivots = linalg.ldl_factor(s, hermitian=hermitian)
            close(s @ linalg.ldl_solve(LD, pivots, b, hermitian=hermitian), b, 100)

    def test_solutions(self, dtype, batch):
        a = random(*batch, 4, 4, dtype=dtype) + 4 * eye(4, dtype)
        b = random(*batch, 4, 2, dtype=dtype)
        close(a @ linalg.solve(a, b), b)
        close(linalg.solve(a, b.mT, left=False) @ a, b.mT)
        close((a @ linalg.solve(a, b[..., 0]).unsqueeze(-1))[..., 0], b[..., 0])
        close(a @ linalg.inv(a), eye(4, dtype).expand(*batch, 4, 4))
        factors = linalg.lu_factor(a)
        close(a @ linalg.lu_solve(*factors, b), b)
        close(a.mH @ linalg.lu_solve(*factors, b, adjoint=True), b)
        close(linalg.lu_solve(*factors, b.mT, left=False) @ a, b.mT)
        close(a.triu() @ linalg.solve_triangular(a, b, upper=True), b)
        close(torch.triangular_solve(b, a, upper=False).solution,
              linalg.solve_triangular(a, b, upper=False))  # fmt: skip

    def test_determinants(self, dtype, batch):
        a = random(*batch, 4, 4, dtype=dtype)
        sign, size = linalg.slogdet(a)
        close(linalg.det(a), sign * size.exp())
        close(linalg.det(a @ a), linalg.det(a) ** 2, 100)

    def test_least_squares(self, dtype, batch):
        a, b = random(*batch, 5, 3, dtype=dtype), random(*batch, 5, 2, dtype=dtype)
        for driver in ("gelsy", "gels", "gelsd", "gelss"):
            x = linalg.lstsq(a, b, driver=driver).solution
            close(a.mH @ (a @ x - b), torch.zeros_like(x), 10)
            close(x, linalg.pinv(a) @ b, 10)


def test_broadcast_batches():
    a, b = random(3, 1, 4, 4), random(2, 4, 2)
    for x in (linalg.solve(a, b), linalg.lu_solve(*linalg.lu_factor(a), b)):
        assert x.shape == (3, 2, 4, 2)
        close(a @ x, b.expand(3, 2, 4, 2), 10)
    close(a.tril() @ linalg.solve_triangular(a, b, upper=False), b.expand(3, 2, 4, 2), 1e3)


@pytest.mark.parametrize("n", [1, 2, 7, 8, 9, 20])
def test_lu_of_each_size(n):
    a, b = random(5, n, n), random(5, n, 3)
    P, L, U = linalg.lu(a)
    close(P @ L @ U, a)
    assert (L.abs() <= 1).all()
    close(a @ linalg.solve(a, b), b, 1e3)
    factors = linalg.lu_factor(a)
    close(a.mT @ linalg.lu_solve(*factors, b, adjoint=True), b, 1e3)
    close(linalg.lu_solve(*factors, b.mT, left=False) @ a, b.mT, 1e3)


def test_known_values():
    a = torch.tensor([[4.0, 2.0], [2.0, 3.0]], dtype=torch.float64)
    close(linalg.det(a), torch.tensor(8.0, dtype=torch.float64))
    root = math.sqrt(17)
    expected = torch.tensor([(7 - root) / 2, (7 + root) / 2], dtype=torch.float64)
    close(linalg.eigvalsh(a), expected)
    close(linalg.cond(a), expected[1] / expected[0])
    close(linalg.matrix_norm(a, "nuc"), torch.tensor(7.0, dtype=torch.float64))
    close(linalg.matrix_norm(a, 1), torch.tensor(6.0, dtype=torch.float64))
    close(linalg.matrix_norm(a, -2), expected[0])
    close(torch.logdet(a), torch.tensor(math.log(8), dtype=torch.float64))
    assert linalg.matrix_rank(torch.ones(3, 3)) == 1
    assert torch.trace(torch.arange(9).reshape(3, 3)) == 12
    rotation = linalg.matrix_exp(torch.tensor([[0.0, -2.0], [2.0, 0.0]], dtype=torch.float64))
    c, s = math.cos(2), math.sin(2)
    close(rotation, torch.tensor([[c, -s], [s, c]], dtype=torch.float64))
    assert linalg.vander(torch.tensor([2, 3]), N=3).tolist() == [[1, 2, 4], [1, 3, 9]]
    assert linalg.cross(torch.tensor([1, 2, 3]), torch.tensor([4, 5, 6])).tolist() == [-3, 6, -3]


def test_exponential_of_mixed_sizes():
    a = torch.stack([random(3, 3) * s for s in (1e-6, 1.0, 30.0)])
    e = linalg.matrix_exp(a)
    for one, scaled in zip(e, a):
        close(one, linalg.matrix_exp(scaled), 10)
    close(e[1] @ linalg.matrix_exp(-a[1]), eye(3))


def test_powers_and_products():
    a = random(3, 3)
    close(linalg.matrix_power(a, 5), a @ a @ a @ a @ a)
    close(linalg.matrix_power(a, -2) @ a @ a, eye(3), 100)
    close(linalg.matrix_power(a, 0), eye(3))
    t = random(2, 3, 6)
    close(torch.tensordot(linalg.tensorinv(t), t, 2), eye(6), 100)
    b = random(2, 3)
    close(torch.tensordot(t, linalg.tensorsolve(t, b), 1), b, 100)
    x, y = random(2, 3, dtype=torch.complex128), random(2, 3, dtype=torch.complex128, seed=1)
    close(linalg.vecdot(x, y), (x.conj() * y).sum(-1))


@pytest.mark.parametrize("ord", [0, 0.5, 1, 2, 3, math.inf, -math.inf, -1])
def test_vector_norms(ord):
    x = random(3, 4)
    size = x.abs()
    if ord == 0:
        expected = (x != 0).sum(1).to(x.dtype)
    elif math.isinf(ord):
        expected = size.amax(1) if ord > 0 else size.amin(1)
    else:
        expected = (size**ord).sum(1) ** (1 / ord)
    close(linalg.vector_norm(x, ord, 1), expected)
    close(linalg.norm(x, ord, 1, keepdim=True), expected.unsqueeze(1))
    zero = torch.zeros(4, dtype=torch.float64, requires_grad=True)
    (g,) = torch.autograd.grad(linalg.vector_norm(zero, ord), zero)
    assert (g == 0).all()


# -- gradients -------------------------------------------------------------------------------------
def _free_of_phase(f):
    """The products of vectors that do not change with their signs or phases."""
    return lambda *args: tuple(x.abs() for x in f(*args))


SQUARE = {
    "inv": linalg.inv,
    "det": linalg.det,
    "slogdet": linalg.slogdet,
    "lu": lambda a: linalg.lu(a)[1:],
    "lu_factor": lambda a: linalg.lu_factor(a)[0],
    "cholesky": lambda a: linalg.cholesky(a @ a.mH + eye(a.size(-1), a.dtype)),
    "eigh": _free_of_phase(lambda a: linalg.eigh(a + a.mH)),
    "eig": _free_of_phase(linalg.eig),
    "eigvals": linalg.eigvals,
    "matrix_exp": linalg.matrix_exp,
    "matrix_power": lambda a: linalg.matrix_power(a, -2),
    "nuc": lambda a: linalg.matrix_norm(a, "nuc"),
}
ANY = {
    "qr": linalg.qr,
    "svd": _free_of_phase(lambda a: linalg.svd(a, full_matrices=False)),
    "svdvals": linalg.svdvals,
    "pinv": linalg.pinv,
    "lu": lambda a: linalg.lu(a)[1:],
}


def check_gradients(f, *inputs):
    inputs = [x.clone().requires_grad_() for x in inputs]
    assert torch.autograd.gradcheck(f, inputs)
    assert torch.autograd.gradgradcheck(f, inputs)


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
class TestGradients:
    @pytest.mark.parametrize("name", SQUARE)
    def test_square(self, name, dtype):
        check_gradients(SQUARE[name], random(3, 3, dtype=dtype))

    @pytest.mark.parametrize("name", ANY)
    @pytest.mark.parametrize("shape", [(4, 2), (2, 4), (2, 3, 3)])
    def test_any(self, name, shape, dtype):
        check_gradients(ANY[name], random(*shape, dtype=dtype))

    def test_two_matrices(self, dtype):
        a, b = random(3, 3, dtype=dtype), random(2, 3, 2, dtype=dtype, seed=1)
        check_gradients(linalg.solve, a, b)
        check_gradients(lambda a, b: linalg.solve(a, b.mT, left=False), a, b)
        check_gradients(lambda a, b: linalg.solve_triangular(a, b, upper=True), a, b)
        check_gradients(lambda a, b: linalg.lu_solve(*linalg.lu_factor(a), b, adjoint=True), a, b)
        check_gradients(lambda a, b: linalg.lstsq(a[:, :2].expand(2, 3, 2), b)[0], a, b)
        check_gradients(lambda a, b: torch.cholesky_solve(b, a.tril()), a, b[0])
        check_gradients(lambda a: torch.cholesky_inverse(a.triu(), upper=True), a)

    def test_householder(self, dtype):
        a, tau = torch.geqrf(random(4, 2, dtype=dtype))
        check_gradients(linalg.householder_product, a, tau)
        c = random(4, 3, dtype=dtype, seed=1)
        check_gradients(lambda *x: torch.ormqr(*x, transpose=True), a, tau, c)

    @pytest.mark.parametrize("ord", [0.5, 1.5, 2, 3, math.inf])
    def test_norms(self, ord, dtype):
        check_gradients(lambda x: linalg.vector_norm(x, ord, 1), random(2, 3, dtype=dtype))


def test_gradient_of_singular_determinant():
    a = torch.tensor([[1.0, 2.0], [2.0, 4.0]], dtype=torch.float64, requires_grad=True)
    (g,) = torch.autograd.grad(linalg.det(a), a)
    close(g, torch.tensor([[4.0, -2.0], [-2.0, 1.0]], dtype=torch.float64))


def test_gradients_that_are_not_there():
    a = random(4, 2).requires_grad_()
    assert not linalg.lstsq(a, random(4, 1), driver="gelsd").singular_values.requires_grad
    with pytest.raises(RuntimeError, match="complete"):
        linalg.qr(a, "complete").R.sum().backward()
    with pytest.raises(RuntimeError, match="mode='r'"):
        linalg.qr(a, "r").R.sum().backward()
    with pytest.raises(RuntimeError, match="not implemented"):
        torch.geqrf(a).a.sum().backward()


# -- errors, results, shapes -----------------------------------------------------------------------
def test_errors_of_values():
    zero = torch.zeros(2, 2)
    batch = torch.stack([torch.eye(2), zero])
    with pytest.raises(linalg.LinAlgError, match="leading minor of order 1 is not positive"):
        linalg.cholesky(zero)
    with pytest.raises(linalg.LinAlgError, match=r"linalg.inv: \(Batch element 1\): The diagonal"):
        linalg.inv(batch)
    with pytest.raises(linalg.LinAlgError, match="input matrix is singular"):
        linalg.solve(zero, torch.ones(2))
    with pytest.raises(linalg.LinAlgError, match="non-finite"):
        linalg.svd(zero * math.nan)
    with pytest.raises(RuntimeError, match="infs or NaNs"):
        linalg.eig(zero * math.nan)
    assert issubclass(linalg.LinAlgError, RuntimeError)
    assert linalg.inv_ex(batch).info.tolist() == [0, 1]
    assert linalg.cholesky_ex(batch).info.tolist() == [0, 1]
    assert linalg.eigh(zero * math.nan).eigenvalues.isnan().all()


@pytest.mark.parametrize("name", ["inv", "det", "cholesky", "eig", "eigh", "slogdet", "matrix_exp"])
def test_errors_of_shapes(name):
    f = getattr(linalg, name)
    with pytest.raises(RuntimeError, match="at least 2 dimensions"):
        f(torch.ones(2))
    with pytest.raises(RuntimeError, match="2 by 3"):
        f(torch.ones(2, 3))
    with pytest.raises((RuntimeError, NotImplementedError)):
        f(torch.ones(2, 2, dtype=torch.int64))


def test_errors_of_pivots():
    factors, pivots = linalg.lu_factor(random(3, 3))
    for bad in (9, 0, -7):
        with pytest.raises(RuntimeError, match="pivots"):
            linalg.lu_solve(factors, torch.full_like(pivots, bad), random(3, 1))
    with pytest.raises(RuntimeError, match="pairs"):
        linalg.ldl_solve(factors, torch.tensor([1, 2, -3], dtype=torch.int32), random(3, 1))


def test_named_results_and_out():
    a = random(3, 3)
    result = linalg.svd(a)
    assert isinstance(result, torch.return_types.linalg_svd)
    assert result.Vh is result[2]
    out = tuple(torch.empty(0, dtype=torch.float64) for _ in range(3))
    linalg.svd(a, out=out)
    close(out[1], result.S)
    w = torch.empty(0, dtype=torch.float64)
    assert linalg.norm(a, 2, out=w) is w
    close(w, result.S[0])
    with pytest.raises(RuntimeError, match="dtype"):
        linalg.inv(a, out=torch.empty(0, dtype=torch.int64))


@pytest.mark.parametrize("m, n", [(0, 0), (0, 3), (3, 0)])
def test_empty_matrices(m, n):
    a = torch.empty(m, n)
    U, S, Vh = linalg.svd(a)
    assert torch.equal(U, torch.eye(m)) and torch.equal(Vh, torch.eye(n)) and S.shape == (0,)
    assert linalg.pinv(a).shape == (n, m)
    assert torch.equal(linalg.qr(a, "complete").Q, torch.eye(m))
    assert linalg.lu(a).P.shape == (m, m)
    if m == n:
        assert linalg.det(a) == 1
        assert linalg.eig(a).eigenvalues.shape == (0,)


def test_meta_shapes():
    a = torch.empty(2, 4, 3, device="meta")
    s = torch.empty(2, 4, 4, device="meta")
    b = torch.empty(2, 4, 5, device="meta")
    results = [
        *linalg.svd(a), *linalg.qr(a), *linalg.lu(a), *linalg.eigh(s), *linalg.eig(s),
        linalg.inv(s), linalg.solve(s, b), linalg.cholesky(s), linalg.det(s), linalg.pinv(a),
        *linalg.slogdet(s), linalg.lstsq(a, b).solution, linalg.matrix_exp(s),
        linalg.householder_product(*torch.geqrf(a)), linalg.norm(a, 2, (1, 2)),
    ]  # fmt: skip
    one = torch.ones(2, 4, 4) + 9 * torch.eye(4)
    real = [
        *linalg.svd(one[..., :3]), *linalg.qr(one[..., :3]), *linalg.lu(one[..., :3]),
        *linalg.eigh(one), *linalg.eig(one), linalg.inv(one),
        linalg.solve(one, torch.ones(2, 4, 5)), linalg.cholesky(one), linalg.det(one),
        linalg.pinv(one[..., :3]), *linalg.slogdet(one),
        linalg.lstsq(one[..., :3], torch.ones(2, 4, 5)).solution, linalg.matrix_exp(one),
        linalg.householder_product(*torch.geqrf(one[..., :3])), linalg.norm(one, 2, (1, 2)),
    ]  # fmt: skip
    for x, y in zip(results, real, strict=True):
        assert x.is_meta and x.shape == y.shape and x.dtype == y.dtype


def test_results_do_not_depend_on_threads():
    a = random(64, 20, 20)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = linalg.svd(a)
        torch.set_num_threads(4)
        four = linalg.svd(a)
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(x, y) for x, y in zip(one, four))


# -- few vectors of many ---------------------------------------------------------------------------
def test_low_rank():
    a = random(20, 3) @ random(3, 15, seed=1)
    for x in (a, a.mT):
        U, S, V = torch.svd_lowrank(x, q=5)
        close((U * S) @ V.mT, x, 100)
    U, S, V = torch.pca_lowrank(a, q=4)
    close((U * S) @ V.mT, a - a.mean(0), 100)


def test_lobpcg():
    a, b = positive(30, 30), positive(30, 30) + 3 * eye(30)
    E, X = torch.lobpcg(a, k=3, niter=200, tol=1e-8)
    close(E, linalg.eigvalsh(a).flip(0)[:3], 1e3)
    close(a @ X, X * E, 1e5)
    E, X = torch.lobpcg(a, k=2, B=b, largest=False, niter=500, tol=1e-9)
    close(a @ X, b @ X * E, 1e5)
    with pytest.raises(ValueError, match="3 x"):
        torch.lobpcg(eye(4), k=2)


def test_lobpcg_gradient():
    a = positive(12, 12).requires_grad_()
    E, X = torch.lobpcg(a, k=2, niter=500, tol=1e-12)
    (g,) = torch.autograd.grad((E.sum() + X.abs().sum()), a)
    w, v = linalg.eigh(a)
    (h,) = torch.autograd.grad(w[-2:].sum() + v[:, -2:].abs().sum(), a)
    close((g + g.mT) / 2, h, 1e4)


# -- transforms ------------------------------------------------------------------------------------
def test_vmap_and_jvp():
    a, b = random(4, 3, 3) + 3 * eye(3), random(4, 3)
    for f in (linalg.inv, linalg.det, linalg.svdvals, linalg.matrix_exp, linalg.pinv):
        close(torch.func.vmap(f)(a), torch.stack([f(x) for x in a]))
    close(torch.func.vmap(linalg.solve)(a, b), linalg.solve(a, b))
    one = torch.func.vmap(linalg.solve, (None, 0))(a[0], b)
    close(one, torch.stack([linalg.solve(a[0], x) for x in b]))
    change, step = random(3, 3, seed=1), 1e-6
    for f in (linalg.svdvals, linalg.inv, linalg.matrix_exp, lambda x: linalg.qr(x).R):
        _, slope = torch.func.jvp(f, (a[0],), (change,))
        secant = (f(a[0] + step * change) - f(a[0] - step * change)) / (2 * step)
        close(slope, secant, 1e5)


def test_losses_that_depend_on_the_phase():
    a = random(3, 3, dtype=torch.complex128).requires_grad_()
    for f in (lambda x: linalg.eig(x)[1], lambda x: linalg.eigh(x)[1], lambda x: linalg.svd(x)[0]):
        with pytest.raises(RuntimeError, match="phase"):
            (f(a) * random(3, 3, dtype=torch.complex128)).sum().abs().backward()


def test_devices_do_not_mix():
    one, far = torch.eye(3), torch.empty(3, 3, device="meta")
    pivots = torch.tensor([1, 2, 3], dtype=torch.int32)
    for call in (
        lambda: linalg.solve(one, far),
        lambda: linalg.lu_solve(one, pivots.to("meta"), one),
        lambda: linalg.ldl_solve(far, pivots, one),
        lambda: torch.lu_unpack(far, pivots),
        lambda: linalg.lstsq(one, far),
        lambda: linalg.cross(one, far),
        lambda: one + far,
        lambda: one + far[0, 0],
    ):
        with pytest.raises(RuntimeError, match="same device"):
            call()
    assert torch.maximum(torch.tensor(1.0), far[0, 0]).is_meta
    with pytest.raises(TypeError):
        linalg.inv(one, out=[])


def test_cross_products_along_any_dimension():
    torch.manual_seed(0)
    x, y = torch.randn(4, 3, 5, dtype=torch.float64), torch.randn(1, 3, 5, dtype=torch.float64)
    (a, b, c), (p, q, r) = x.unbind(1), y.unbind(1)
    wanted = torch.stack([b * r - c * q, c * p - a * r, a * q - b * p], 1)
    assert torch.allclose(torch.linalg.cross(x, y, dim=1), wanted)
    turned = torch.linalg.cross(x.movedim(1, -1), y.movedim(1, -1))
    assert torch.allclose(turned, wanted.movedim(1, -1))
    assert torch.allclose(
        torch.linalg.cross(x.float(), y.float(), dim=1).double(), wanted, 1e-5, 1e-5
    )
    assert torch.cross(x, y).shape == (4, 3, 5)
    assert torch.linalg.cross(x[:0], y, dim=1).shape == (0, 3, 5)
    mapped = torch.vmap(lambda u, v: torch.linalg.cross(u, v, dim=0), (0, None))(x, y[0])
    assert torch.allclose(mapped, wanted)


def test_gradients_of_cross_products():
    x = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    y = torch.randn(1, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(torch.linalg.cross, (x, y))
    assert torch.autograd.gradgradcheck(torch.linalg.cross, (x, y))
    z = torch.randn(2, 3, dtype=torch.complex128, requires_grad=True)
    assert torch.autograd.gradcheck(torch.linalg.cross, (z, z.detach().roll(1, 0)))


def test_lobpcg_has_derivatives():
    torch.manual_seed(0)
    A = torch.randn(9, 9, dtype=torch.float64)
    A = (A + A.mT).requires_grad_()

    def loss(values, vectors):
        return (values**2).sum() + (vectors[:3] ** 2 * torch.arange(6.0).view(3, 2)).sum()

    values, vectors = torch.linalg.eigh(A)
    found = loss(*torch.lobpcg(A, k=2, tol=1e-12, niter=-1))
    wanted = loss(values.flip(0)[:2], vectors.flip(1)[:, :2])
    first = [torch.autograd.grad(y, A, create_graph=True)[0] for y in (found, wanted)]
    first = [g + g.mT for g in first]
    assert torch.allclose(*first)
    second = [torch.autograd.grad((g**2).sum(), A)[0] for g in first]
    assert torch.allclose(*(g + g.mT for g in second), atol=1e-6)
