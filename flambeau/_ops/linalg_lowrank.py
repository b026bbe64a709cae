"""Factorizations of which only a few vectors are wanted: by random projection, by LOBPCG."""

import flambeau
from flambeau._ops import functions, op


# -- random projections ----------------------------------------------------------------------------
def _range_basis(A, q, niter):
    """An orthonormal basis near the range of A (Halko, Martinsson, Tropp 2009, algorithm 4.4)."""
    qr = functions["linalg.qr"]
    Q = qr(A @ flambeau.randn(A.size(-1), q, dtype=A.dtype, device=A.device)).Q
    for _ in range(niter):
        Q = qr(A.mH @ Q).Q
        Q = qr(A @ Q).Q
    return Q


@op("svd_lowrank(Tensor A, int? q=6, int? niter=2, Tensor? M=None)", method=False)
def svd_lowrank(A, q=6, niter=2, M=None):
    """U, S, V with A (or A - M) near U diag(S) V^H, of rank q, by random projection.

    >>> import flambeau as torch
    >>> U, S, V = torch.svd_lowrank(torch.ones(5, 4), q=2)
    >>> U.shape, S.shape, V.shape
    (torch.Size([5, 2]), torch.Size([2]), torch.Size([4, 2]))
    """
    q, niter = 6 if q is None else q, 2 if niter is None else niter
    if M is not None:
        A = A - M.expand(A.shape)
    wide = A.size(-2) < A.size(-1)
    if wide:
        A = A.mH
    Q = _range_basis(A, q, niter)
    U, S, Vh = functions["linalg.svd"](Q.mH @ A, full_matrices=False)
    U, V = Q @ U, Vh.mH
    return (V, S, U) if wide else (U, S, V)


@op("pca_lowrank(Tensor A, int? q=None, bool center=True, int niter=2)", method=False)
def pca_lowrank(A, q=None, center=True, niter=2):
    """Principal components: `svd_lowrank` of A, its columns' means subtracted first.

    >>> import flambeau as torch
    >>> U, S, V = torch.pca_lowrank(torch.ones(5, 4), q=2)
    >>> torch.allclose(S, torch.zeros(2), atol=1e-6)
    True
    """
    m, n = A.shape[-2:]
    if q is None:
        q = min(6, m, n)
    elif not 0 <= q <= min(m, n):
        raise ValueError(
            f"q(={q}) must be non-negative integer and not greater than min(m, n)={min(m, n)}"
        )
    if niter < 0:
        raise ValueError(f"niter(={niter}) must be non-negative integer")
    return svd_lowrank(A - A.mean(-2, keepdim=True) if center else A, q, niter)


# -- LOBPCG ----------------------------------------------------------------------------------------
def _orthonormal(S, B):
    """S with columns that are orthonormal in the scalar product of B; dependent ones dropped."""
    S = S / functions["linalg.vector_norm"](S, 2, [-2], True).clamp(min=1e-300)
    values, vectors = functions["linalg.eigh"](S.mT @ (S if B is None else B @ S))
    kept = values > values[-1] * S.size(-1) * flambeau.finfo(S.dtype).eps * 10
    return (S @ vectors[:, kept]) / values[kept].sqrt()


class _Search:
    """LOBPCG for one matrix: Rayleigh-Ritz on the span of X, the residuals and the last steps.

    Knyazev 2001, "Toward the optimal preconditioned eigensolver". A tracker sees `X`, `E`, `R`,
    `ivars`, `fvars`, `tvars`, `bvars`.
    """

    def __init__(self, A, B, X, iK, largest, tol, tracker):
        self.A, self.B, self.iK, self.largest, self.tracker = A, B, iK, largest, tracker
        self.k, self.tol = X.size(-1), tol
        self.X, self.P, self.R = X, None, None
        self.ivars = {"istep": 0, "converged_count": 0, "k": self.k, "m": A.size(-1)}
        self.fvars, self.tvars, self.bvars = {"tol": tol}, {}, {"largest": largest}
        self._ritz(_orthonormal(X, B), None)

    def _ritz(self, S, old):
        values, vectors = functions["linalg.eigh"](S.mT @ (self.A @ S))
        if self.largest:
            values, vectors = values.flip(0), vectors.flip(1)
        self.E, C = values[: self.k], vectors[:, : self.k]
        self.X = S @ C
        if old is not None:
            along = old if self.B is None else self.B @ old
            self.P = self.X - old @ (along.mT @ self.X)
        BX = self.X if self.B is None else self.B @ self.X
        self.R = self.A @ self.X - BX * self.E

    def converged(self):
        norm = functions["linalg.vector_norm"]
        scale = norm(self.X, 2, [-2]) * (norm(self.A) + self.E.abs())
        self.tvars["rerr"] = norm(self.R, 2, [-2]) / scale.clamp(min=1e-300)
        self.ivars["converged_count"] = int((self.tvars["rerr"] < self.tol).sum())
        return self.ivars["converged_count"] == self.k

    def run(self, niter):
        while not self.converged() and (niter < 0 or self.ivars["istep"] < niter):
            if self.tracker is not None:
                self.tracker(self)
            W = self.R if self.iK is None else self.iK @ self.R
            parts = [self.X, W] if self.P is None else [self.X, W, self.P]
            self._ritz(_orthonormal(flambeau.cat(parts, -1), self.B), self.X)
            self.ivars["istep"] += 1
        if self.tracker is not None:
            self.tracker(self)
        return self.E, self.X


def _differentiable(A, B, E, X):
    """The same eigenpairs as functions of A and B.

    Two steps of Newton's iteration from what was found change next to nothing, and have the first
    and second derivatives of the eigenpairs.
    """
    A = (A + A.mT) / 2  # so that its gradient is symmetric as well
    eye = flambeau.eye(A.size(-1), dtype=A.dtype) if B is None else B.detach()
    columns = []
    for value, x in zip(E, X.unbind(-1), strict=True):
        inverse = functions["linalg.pinv"](A.detach() - value * eye, hermitian=True, rtol=1e-6)
        for _ in range(2):
            along = x if B is None else B @ x
            residual = A @ x - along * ((x @ (A @ x)) / (x @ along))
            x = x - inverse @ residual
            x = x / (x @ (x if B is None else B @ x)).sqrt()
        columns.append(x)
    X = flambeau.stack(columns, -1)
    return (X * (A @ X)).sum(0), X


def _solve_one(A, B, X, iK, niter, tol, largest, tracker):
    with flambeau.no_grad():
        search = _Search(
            A.detach(), None if B is None else B.detach(), X, iK, largest, tol, tracker
        )
        E, V = search.run(niter)
    wanted = A.requires_grad or (B is not None and B.requires_grad)
    if wanted and flambeau.is_grad_enabled():
        return _differentiable(A, B, E, V)
    return E, V


@op("lobpcg(Tensor A, int? k=None, Tensor? B=None, Tensor? X=None, int? n=None)", method=False)
def lobpcg(
    A,
    k=None,
    B=None,
    X=None,
    n=None,
    iK=None,
    niter=None,
    tol=None,
    largest=None,
    method=None,
    tracker=None,
    ortho_iparams=None,
    ortho_fparams=None,
    ortho_bparams=None,
):
    """The k greatest (or least) eigenvalues and vectors of symmetric A x = lambda B x, by LOBPCG.

    ``X`` holds first approximations (random ones are drawn otherwise), ``iK`` a preconditioner.
    Both methods, 'basic' and 'ortho', orthonormalize by an eigendecomposition of the Gram matrix,
    which the ``ortho_...`` parameters do not influence.

    >>> import flambeau as torch
    >>> E, V = torch.lobpcg(torch.diag(torch.arange(1.0, 10.0)), k=2)
    >>> torch.allclose(E, torch.tensor([9.0, 8.0]), atol=1e-3)
    True
    """
    if method not in (None, "basic", "ortho"):
        raise ValueError(f"lobpcg: method must be 'basic' or 'ortho', got {method!r}")
    m = A.size(-1)
    if A.dim() < 2 or A.size(-2) != m:
        raise RuntimeError(f"lobpcg: A must be square matrices, got shape {list(A.shape)}")
    k = (1 if X is None else X.size(-1)) if k is None else k
    n = (k if X is None else X.size(-1)) if n is None else n
    if m < 3 * n:
        raise ValueError(
            f"LPBPCG algorithm is not applicable when the number of A rows (={m}) is smaller than "
            f"3 x the number of requested eigenpairs (={n})"
        )
    if not A.dtype.is_floating_point:
        raise RuntimeError(f"lobpcg: expected a real floating-point matrix, got {A.dtype}")
    tol = flambeau.finfo(A.dtype).eps ** 0.5 if tol is None else tol
    niter = 1000 if niter is None else niter
    largest = True if largest is None else largest
    X = flambeau.randn(*A.shape[:-1], n, dtype=A.dtype, device=A.device) if X is None else X
    batch, pairs = list(A.shape[:-2]), []
    single = [None if t is None else t.reshape(-1, *t.shape[-2:]) for t in (B, X, iK)]
    for i, matrix in enumerate(A.reshape(-1, m, m)):
        parts = [None if t is None else t[i % len(t)] for t in single]
        E, V = _solve_one(matrix, *parts, niter, tol, largest, tracker)
        pairs.append((E[:k], V[:, :k]))
    if not batch:
        return pairs[0]
    values, vectors = (flambeau.stack(x) for x in zip(*pairs))
    return values.reshape(batch + [k]), vectors.reshape(batch + [m, k])
