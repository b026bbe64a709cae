"""Rules of products and of linear algebra."""

import flambeau
from flambeau import _C

from . import padded, rule


def _check_ranks(call, *wanted):
    """An example has its own number of dimensions, whatever the batch has."""
    for i, rank in enumerate(wanted):
        if call.rank(i) != rank:
            raise RuntimeError(
                f"{call.record.name}(): Shape mismatch: expected argument {i + 1} to have {rank} "
                f"dimensions, got {call.rank(i)}"
            )


@rule("mm", "bmm", "_batched_products", "spmm")
def products(call):
    if call.record.name in ("mm", "bmm"):
        _check_ranks(call, *((2, 2) if call.record.name == "mm" else (3, 3)))
    rank = max(call.rank(0), call.rank(1))
    a, b = (padded(call.args[i], rank) if call.on[i] else call.args[i] for i in (0, 1))
    return flambeau.matmul(a, b)


@rule("matmul")
def matmul(call):
    a, b = call.args
    ranks = call.rank(0), call.rank(1)
    if 0 in ranks:
        raise RuntimeError(
            f"both arguments to matmul need to be at least 1D, but they are {ranks[0]}D and "
            f"{ranks[1]}D"
        )
    a = a.unsqueeze(-2) if ranks[0] == 1 else a
    b = b.unsqueeze(-1) if ranks[1] == 1 else b
    rank = max(*ranks, 2)
    a, b = (padded(t, rank) if on else t for t, on in zip((a, b), call.on, strict=True))
    out = flambeau.matmul(a, b)
    out = out.squeeze(-1) if ranks[1] == 1 else out
    if ranks[0] == 1:
        out = out.squeeze(-1 if ranks[1] == 1 else -2)
    return out


@rule("mv")
def mv(call):
    _check_ranks(call, 2, 1)
    return flambeau.matmul(call.args[0], call.args[1].unsqueeze(-1)).squeeze(-1)


@rule("dot")
def dot(call):
    _check_ranks(call, 1, 1)
    a, b = call.args
    return flambeau.matmul(a.unsqueeze(-2), b.unsqueeze(-1)).squeeze(-1).squeeze(-1)


@rule("addmm", "baddbmm")
def addmm(call):
    rank = 2 if call.record.name == "addmm" else 3
    x, a, b = (padded(t, rank) if on else t for t, on in zip(call.args[:3], call.on, strict=False))
    out = flambeau.matmul(a, b)
    if call["alpha"] != 1:
        out = out * call["alpha"]
    return out if call["beta"] == 0 else out + (x if call["beta"] == 1 else x * call["beta"])


@rule("nn.functional.linear")
def linear(call):
    x, weight, bias = call.args
    if not call.on[1] and not call.on[2]:
        return call.run()
    rank, vector = call.rank(), call.rank(1) == 1
    w = weight.unsqueeze(-2) if vector else weight
    lead = x.shape[call.on[0] : -1]
    rows = x.reshape(*x.shape[: call.on[0]], -1, x.shape[-1])
    out = flambeau.matmul(rows, w.mT)
    if out.dim() == 2:  # only the bias differs
        out = out.unsqueeze(0)
    out = out.reshape(out.shape[0], *lead, out.shape[-1])
    out = out.squeeze(-1) if vector else out
    if bias is None:
        return out
    return out + (padded(bias, rank - vector) if call.on[2] else bias)


@rule(
    "linalg.solve", "linalg.solve_ex", "linalg.lu_solve", "linalg.solve_triangular",
    "cholesky_solve",
)  # fmt: skip
def solve(call):
    """Systems of one matrix each: a vector on the right is a matrix of one column."""
    from . import one_by_one

    tensors = call.record.tensors
    first, last = tensors[0], tensors[-1]
    a = call.rank(0) if call.record.name != "cholesky_solve" else call.rank(1)
    b = call.rank(last) if call.record.name != "cholesky_solve" else call.rank(0)
    if a != 2 or b not in (1, 2):
        return one_by_one(call)
    changes = {call.record.arguments[i][0]: call.whole(i) for i in tensors}
    right = call.record.arguments[first if call.record.name == "cholesky_solve" else last][0]
    if b == 1:
        changes[right] = changes[right].unsqueeze(-1)
    out = call.run(**changes)
    if b == 2:
        return out
    if isinstance(out, _C.Tensor):
        return out.squeeze(-1)
    return [out[0].squeeze(-1), *out[1:]]


@rule("cholesky", "cholesky_inverse")
def one_matrix(call):
    return call.run()


@rule("_distances", "_pair_distances")
def distances(call):
    tensors = call.record.tensors
    return call.record.call(
        [call.whole(i) if i in tensors else arg for i, arg in enumerate(call.args)]
    )


@rule("_fft_complex", "_fft_from_real", "_fft_to_real")
def fourier(call):
    dim = call["dim"]
    many = isinstance(dim, (tuple, list))
    return call.run(dim=tuple(map(call.dim, dim)) if many else call.dim(dim))


def leading(call):
    """Operators on matrices take any leading dimensions."""
    from . import one_by_one

    tensors = [i for i in call.record.tensors if isinstance(call.args[i], _C.Tensor)]
    if len(tensors) == 1 and not any(a[0].startswith("dim") for a in call.record.arguments):
        return call.run()
    return one_by_one(call)
