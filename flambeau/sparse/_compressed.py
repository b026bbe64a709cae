"""Compressed sparse tensors: rows or columns one after another, of numbers or of blocks.

Where there are batches of matrices, each keeps as many values as the others. Shapes: compressed
indices (*batch, rows + 1), plain indices (*batch, nnz), values (*batch, nnz, *block, *dense).
"""

from math import prod

import flambeau
from flambeau import Tensor

from ._tensor import compressed, coo

ROWS = (flambeau.sparse_csr, flambeau.sparse_bsr)
BLOCKS = (flambeau.sparse_bsr, flambeau.sparse_bsc)
LAYOUTS = (flambeau.sparse_csr, flambeau.sparse_csc, *BLOCKS)


def as_tensor(data, dtype=None, device=None):
    if isinstance(data, Tensor):
        return data if dtype is None and device is None else data.to(device=device, dtype=dtype)
    return flambeau.as_tensor(data, dtype=dtype, device=device)


def as_positions(data, name, what):
    positions = as_tensor(data)
    if positions.is_floating_point() or positions.is_complex():
        positions = positions.to(flambeau.int64)
    if positions.dtype not in (flambeau.int64, flambeau.int32, flambeau.int16, flambeau.int8):
        raise RuntimeError(f"{name}(): {what} must be integers, got {positions.dtype}")
    return positions.detach()


def _check_parts(name, begins, plain, values, block):
    if begins.dim() < 1 or begins.shape[-1] == 0:
        raise RuntimeError(f"{name}(): compressed indices must not be empty")
    depth = begins.dim()
    if plain.dim() != depth or values.dim() < depth + block:
        raise RuntimeError(
            f"{name}(): expected compressed and plain indices of one number of dimensions and "
            f"values of {depth + block} or more, got {depth}, {plain.dim()} and {values.dim()}"
        )
    if begins.shape[:-1] != plain.shape[:-1] or plain.shape != values.shape[:depth]:
        raise RuntimeError(
            f"{name}(): indices and values must have same batches and nnz, got "
            f"{tuple(begins.shape)}, {tuple(plain.shape)} and {tuple(values.shape)}"
        )


def _check_positions(name, begins, plain, others):
    nnz, steps = plain.shape[-1], begins.diff()
    first, last = begins[..., 0], begins[..., -1]
    if bool((first != 0).any() | (last != nnz).any() | (steps < 0).any()):
        raise RuntimeError(f"{name}(): compressed indices must rise from 0 to nnz")
    if plain.numel() and not (int(plain.min()) >= 0 and int(plain.max()) < others):
        raise RuntimeError(f"{name}(): plain indices must be within 0 and {others - 1}")


def sparse_compressed_tensor(
    compressed_indices, plain_indices, values, size=None, *, dtype=None, layout=None, device=None,
    pin_memory=False, requires_grad=False, check_invariants=None,
):  # fmt: skip
    """A sparse matrix in compressed rows (layout sparse_csr) or columns (sparse_csc), of numbers or
    of dense tensors; or of blocks of them (sparse_bsr, sparse_bsc); or a batch of such matrices.

    >>> import flambeau as torch
    >>> torch.sparse_compressed_tensor(
    ...     [0, 1, 2], [1, 0], [3.0, 4.0], (2, 2), layout=torch.sparse_csr
    ... ).to_dense()
    tensor([[0., 3.],
            [4., 0.]])
    """
    if layout not in LAYOUTS:
        raise RuntimeError(
            "sparse_compressed_tensor(): expected layout sparse_csr, sparse_csc, sparse_bsr or "
            f"sparse_bsc, got {layout}"
        )
    name = str(layout).rpartition(".")[2] + "_tensor"
    begins = as_positions(compressed_indices, name, "compressed indices")
    plain = as_positions(plain_indices, name, "plain indices")
    values = as_tensor(values, dtype, device)
    block = 2 if layout in BLOCKS else 0
    _check_parts(name, begins, plain, values, block)
    depth = begins.dim()
    inner = tuple(values.shape[depth : depth + block]) or (1, 1)
    dense, leads = tuple(values.shape[depth + block :]), begins.shape[-1] - 1
    if size is None:
        others = int(plain.max()) + 1 if plain.numel() else 0
        pair = (leads, others) if layout in ROWS else (others, leads)
        size = (*begins.shape[:-1], pair[0] * inner[0], pair[1] * inner[1], *dense)
    size = tuple(size)
    here = size[depth - 1 : depth + 1]
    good = len(size) == depth + 1 + len(dense) and size[depth + 1 :] == dense
    good = good and size[: depth - 1] == tuple(begins.shape[:-1])
    if not good or here[0] % inner[0] or here[1] % inner[1]:
        raise RuntimeError(
            f"{name}(): size {size} does not go with values of size {tuple(values.shape)}"
        )
    pair = here[0] // inner[0], here[1] // inner[1]
    lead, others = pair if layout in ROWS else pair[::-1]
    if lead != leads:
        raise RuntimeError(f"{name}(): size {size} does not go with {leads + 1} compressed indices")
    _check_positions(name, begins, plain, others)
    values = values.detach() if requires_grad else values
    made = compressed(begins, plain, values, size, layout)
    return made.requires_grad_() if requires_grad else made


def sparse_csr_tensor(crow_indices, col_indices, values, size=None, **options):
    """A sparse matrix in compressed rows: row r has the values crow[r] to crow[r + 1].

    >>> import flambeau as torch
    >>> torch.sparse_csr_tensor([0, 1, 2], [1, 0], [3.0, 4.0]).to_dense()
    tensor([[0., 3.],
            [4., 0.]])
    """
    options["layout"] = flambeau.sparse_csr
    return sparse_compressed_tensor(crow_indices, col_indices, values, size, **options)


def sparse_csc_tensor(ccol_indices, row_indices, values, size=None, **options):
    """A sparse matrix in compressed columns: column c has the values ccol[c] to ccol[c + 1].

    >>> import flambeau as torch
    >>> torch.sparse_csc_tensor([0, 1, 2], [1, 0], [3.0, 4.0]).to_dense()
    tensor([[0., 4.],
            [3., 0.]])
    """
    options["layout"] = flambeau.sparse_csc
    return sparse_compressed_tensor(ccol_indices, row_indices, values, size, **options)


def sparse_bsr_tensor(crow_indices, col_indices, values, size=None, **options):
    """A sparse matrix of blocks in compressed rows; values has shape (nnz, rows, columns).

    >>> import flambeau as torch
    >>> torch.sparse_bsr_tensor([0, 1], [1], torch.ones(1, 2, 1), (2, 2)).to_dense()
    tensor([[0., 1.],
            [0., 1.]])
    """
    options["layout"] = flambeau.sparse_bsr
    return sparse_compressed_tensor(crow_indices, col_indices, values, size, **options)


def sparse_bsc_tensor(ccol_indices, row_indices, values, size=None, **options):
    """A sparse matrix of blocks in compressed columns; values has shape (nnz, rows, columns).

    >>> import flambeau as torch
    >>> torch.sparse_bsc_tensor([0, 1], [1], torch.ones(1, 1, 2), (2, 2)).to_dense()
    tensor([[0., 0.],
            [1., 1.]])
    """
    options["layout"] = flambeau.sparse_bsc
    return sparse_compressed_tensor(ccol_indices, row_indices, values, size, **options)


# -- to coordinates and back -----------------------------------------------------------------------
def expand(x):
    """A compressed tensor in coordinate format; positions of blocks' zeros are among its own."""
    batch, leads = tuple(x._c.shape[:-1]), max(x._c.shape[-1] - 1, 1)
    lead = flambeau.repeat_interleave(x._c.diff().reshape(-1))  # through all matrices
    matrix, lead, other = lead // leads, lead % leads, x._p.reshape(-1).to(flambeau.int64)
    rows, columns = (lead, other) if x.layout in ROWS else (other, lead)
    values = x._v.reshape(-1, *x._v.shape[x._c.dim() :])
    if x.layout in BLOCKS:
        high, wide = values.shape[1:3]
        i = flambeau.arange(high).repeat_interleave(wide)
        j = flambeau.arange(wide).repeat(high)
        rows = (rows.unsqueeze(1) * high + i).reshape(-1)
        columns = (columns.unsqueeze(1) * wide + j).reshape(-1)
        matrix = matrix.repeat_interleave(high * wide)
        values = values.reshape(-1, *values.shape[3:])
    indices = [rows.to(flambeau.int64), columns.to(flambeau.int64)]
    if batch:
        indices = [*flambeau.unravel_index(matrix, batch), *indices]
    return coo(flambeau.stack(indices), values, x.shape, False)


def check_blocks(height, width, blocksize):
    high, wide = blocksize
    if high <= 0 or wide <= 0 or height % high or width % wide:
        raise RuntimeError(
            f"tensor sparse size ({height}, {width}) must be divisible by given blocksize "
            f"({high}, {wide})"
        )
    return high, wide


def _begins(keys, leads, matrices):
    """Where each row begins in its matrix; keys number the rows of all matrices, in order."""
    first = flambeau.searchsorted(keys, flambeau.arange(matrices * leads + 1))
    at = flambeau.arange(matrices).unsqueeze(1) * leads + flambeau.arange(leads + 1)
    begins = first[at] - first[at[:, :1]]
    if bool((begins[:, -1] != begins[:1, -1]).any()):
        raise RuntimeError("Expect the same number of specified elements per batch.")
    return begins


def compress(x, layout, blocksize=None, dtype=flambeau.int64):
    """A coalesced COO tensor in compressed rows or columns, its positions of the given dtype."""
    depth = x.sparse_dim()
    if depth < 2:
        raise RuntimeError(f"only matrices are converted to {layout}, got {x.dim()}-D")
    batch, (height, width) = tuple(x.shape[: depth - 2]), x.shape[depth - 2 : depth]
    high, wide = check_blocks(height, width, blocksize or (1, 1))
    rows, columns = x._i[-2], x._i[-1]
    pair, counts = (rows // high, columns // wide), (height // high, width // wide)
    if layout not in ROWS:
        pair, counts = pair[::-1], counts[::-1]
    leads, others = counts[0], max(counts[1], 1)
    matrix = flambeau.zeros_like(rows)
    for d, n in enumerate(batch):
        matrix = matrix * n + x._i[d]
    keys = (matrix * leads + pair[0]) * others + pair[1]
    if blocksize is None:
        order = keys.argsort(stable=True)
        keys, values = keys[order], x._v[order]
    else:
        keys, block = keys.unique(return_inverse=True)
        values = x._v.new_zeros((keys.shape[0], high, wide, *x._v.shape[1:]))
        values = values.index_put((block, rows % high, columns % wide), x._v)
    matrices = prod(batch)
    begins = _begins(keys // others, leads, matrices)
    nnz = keys.shape[0] // max(matrices, 1)
    begins, plain = begins.reshape(*batch, leads + 1), (keys % others).reshape(*batch, nnz)
    values = values.reshape(*batch, nnz, *values.shape[1:])
    return compressed(begins.to(dtype), plain.to(dtype), values, x.shape, layout)
