"""Rules of linear algebra: matrices and what goes with them take any leading dimensions."""

from flambeau import _C

from . import padded, rule

# How many dimensions less than a matrix an argument has.
_FEWER = {"pivots": 1, "LU_pivots": 1, "atol": 2, "rtol": 2, "tau": 1}


@rule(
    "_linalg_svd", "_linalg_eigh", "_linalg_eig", "_linalg_det", "_linalg_slogdet", "geqrf",
    "cholesky_inverse", "linalg.inv_ex", "linalg.qr", "linalg.cholesky_ex", "linalg.lu_factor_ex",
    "linalg.ldl_factor_ex", "linalg.matrix_exp",
)  # fmt: skip
def one_matrix(call):
    return call.run()


@rule(
    "linalg.solve_triangular", "cholesky_solve", "linalg.ldl_solve", "_lu_solve", "_linalg_pinv",
    "_linalg_lstsq", "_lu_permutation",
)  # fmt: skip
def several(call):
    tensors = [i for i in call.record.tensors if isinstance(call.args[i], _C.Tensor)]
    fewer = {i: _FEWER.get(call.record.arguments[i][0], 0) for i in tensors}
    rank = max(call.rank(i) + fewer[i] for i in tensors)
    for i in tensors:
        t = call.args[i] if call.on[i] else call.whole(i)
        call.args[i] = padded(t, rank - fewer[i])
    return call.record.call(call.args)


@rule("_linalg_solve_ex")
def solve(call):
    a, b = call.whole(0), call.whole(1)
    vector = b.dim() == 2 or (a.dim() == b.dim() + 1 and a.shape[1:-1] == b.shape[1:])
    b = b.unsqueeze(-1) if vector else b
    rank = max(a.dim(), b.dim()) - 1
    found = call.record.call([padded(a, rank), padded(b, rank), *call.args[2:]])
    lead = a.dim() - 3
    x, factors, pivots, info = found
    x = x.squeeze(-1) if vector else x
    return [x, *(t.reshape(call.size, *t.shape[t.dim() - keep - lead :])
                 for t, keep in ((factors, 2), (pivots, 1), (info, 0)))]  # fmt: skip
