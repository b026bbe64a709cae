"""Products of matrices in the forms that other frameworks' names ask for."""

from enum import Enum

import flambeau as torch

__all__ = [
    "ScalingType",
    "SwizzleType",
    "conv_tbc",
    "grouped_mm",
    "scaled_grouped_mm",
    "scaled_mm",
]


def conv_tbc(input, weight, bias, pad=0):
    """A convolution over time: input (T, N, C), weight (K, C, C'), bias (C').

    >>> import flambeau as torch
    >>> x, w = torch.ones(4, 1, 2), torch.ones(3, 2, 1)
    >>> torch.nn.functional.conv_tbc(x, w, torch.zeros(1), 1).flatten()
    tensor([4., 6., 6., 4.])
    """
    if input.dim() != 3 or weight.dim() != 3 or bias.dim() != 1:
        raise RuntimeError(
            "conv_tbc: Input must have 3 dims: time, batch, in_channel; weight 3: kernel_width, "
            "in_channels, out_channels; and bias 1, but got "
            f"{input.dim()}, {weight.dim()} and {bias.dim()}"
        )
    if input.shape[2] != weight.shape[1] or bias.shape[0] != weight.shape[2]:
        raise RuntimeError(
            f"conv_tbc: channels do not fit: input {list(input.shape)}, weight "
            f"{list(weight.shape)}, bias {list(bias.shape)}"
        )
    conv1d = torch.nn.functional.conv1d
    out = conv1d(input.permute(1, 2, 0), weight.permute(2, 1, 0), bias, padding=pad)
    return out.permute(2, 0, 1)


def grouped_mm(mat_a, mat_b, *, offs=None, bias=None, out_dtype=None):
    """Products of several matrices: batches of them, or groups that lie side by side.

    A matrix of 2 dimensions holds its groups one after the other; `offs` are their ends: rows of
    `mat_a` with `mat_b` (G, K, N), columns of `mat_b` with `mat_a` (G, M, K), or the inner
    dimension of both.

    >>> import flambeau as torch
    >>> a, b = torch.ones(3, 2), torch.tensor([[[1.0], [1.0]], [[2.0], [2.0]]])
    >>> torch.nn.functional.grouped_mm(a, b, offs=torch.tensor([1, 3])).flatten()
    tensor([2., 4., 4.])
    """
    if mat_a.dim() not in (2, 3) or mat_b.dim() not in (2, 3):
        raise RuntimeError(
            f"grouped_mm: expected matrices of 2 or 3 dimensions, got {mat_a.dim()} and "
            f"{mat_b.dim()}"
        )
    flat = mat_a.dim() == 2 or mat_b.dim() == 2
    if flat != (offs is not None):
        raise RuntimeError("grouped_mm: offs are needed for matrices of 2 dimensions, only there")
    if not flat:
        out = torch.bmm(mat_a, mat_b)
    else:
        ends = offs.tolist()
        groups = list(zip([0, *ends[:-1]], ends))
        if mat_a.dim() == 3:
            parts = [mat_a[g] @ mat_b[:, a:b] for g, (a, b) in enumerate(groups)]
            out = torch.cat(parts, 1)
        elif mat_b.dim() == 3:
            parts = [mat_a[a:b] @ mat_b[g] for g, (a, b) in enumerate(groups)]
            if ends[-1] < len(mat_a):  # rows of no group
                parts.append(parts[-1].new_zeros(len(mat_a) - ends[-1], mat_b.shape[2]))
            out = torch.cat(parts)
        else:
            out = torch.stack([mat_a[:, a:b] @ mat_b[a:b] for a, b in groups])
    out = out if bias is None else out + bias
    return out if out_dtype is None else out.to(out_dtype)


class ScalingType(Enum):
    """What shares a scale in a scaled matrix: all of it, a row, a part of a row, a block."""

    TensorWise = 0
    RowWise = 1
    BlockWise1x16 = 2
    BlockWise1x32 = 3
    BlockWise1x128 = 4
    BlockWise128x128 = 5


class SwizzleType(Enum):
    """How scales are rearranged in memory."""

    NO_SWIZZLE = 0
    SWIZZLE_32_4_4 = 1


def _unscaled(matrix, scale, recipe, transposed):
    """The numbers that a scaled matrix stands for; the second of a product is `transposed`."""
    matrix = matrix.to(torch.float32)
    matrix = matrix.mT if transposed else matrix
    scale = scale.to(torch.float32)
    if recipe is ScalingType.TensorWise:
        scale = scale.reshape(())
    elif recipe is ScalingType.RowWise:
        scale = scale.reshape(-1, 1)
    else:
        rows, columns = map(int, recipe.name.removeprefix("BlockWise").split("x"))
        scale = scale.mT if transposed and scale.dim() == 2 else scale
        blocks = (-(-matrix.shape[-2] // rows), -(-matrix.shape[-1] // columns))
        scale = scale.reshape(blocks).repeat_interleave(rows, 0).repeat_interleave(columns, 1)
        scale = scale[: matrix.shape[-2], : matrix.shape[-1]]
    matrix = matrix * scale
    return matrix.mT if transposed else matrix


def _listed(x):
    return list(x) if isinstance(x, (list, tuple)) else [x]


def scaled_mm(
    mat_a,
    mat_b,
    scale_a,
    scale_recipe_a,
    scale_b,
    scale_recipe_b,
    swizzle_a=None,
    swizzle_b=None,
    bias=None,
    output_dtype=torch.bfloat16,
    contraction_dim=(),
    use_fast_accum=False,
):
    """The product of two matrices of small floats that come with their scales.

    Sums are of float32 either way: `use_fast_accum` has nothing to make faster here.

    >>> import flambeau as torch
    >>> F, one = torch.nn.functional, torch.ones(())
    >>> a = torch.ones(2, 2, dtype=torch.float8_e4m3fn)
    >>> F.scaled_mm(a, a, one, F.ScalingType.TensorWise, one, F.ScalingType.TensorWise)
    tensor([[2., 2.],
            [2., 2.]], dtype=torch.bfloat16)
    """

    for swizzle in (*_listed(swizzle_a), *_listed(swizzle_b)):
        if swizzle not in (None, SwizzleType.NO_SWIZZLE):
            raise RuntimeError("scaled_mm: scales must lie in plain order on the CPU")
    if tuple(contraction_dim) not in ((), (-1, -2), (1, 0)):
        raise RuntimeError(f"scaled_mm: cannot contract dimensions {tuple(contraction_dim)}")
    a, b = mat_a, mat_b
    for scale, recipe in zip(_listed(scale_a), _listed(scale_recipe_a)):
        a = _unscaled(a, scale, recipe, False)
    for scale, recipe in zip(_listed(scale_b), _listed(scale_recipe_b)):
        b = _unscaled(b, scale, recipe, True)
    out = a @ b
    if bias is not None:
        out = out + bias.to(out.dtype)
    return out if output_dtype is None else out.to(output_dtype)


def _scales_of(group, scales, recipes, rows, count):
    """One group's scales: of its rows of a flat matrix, or its own of `count` sets."""
    for scale, recipe in zip(_listed(scales), _listed(recipes)):
        if recipe is not ScalingType.TensorWise and rows is not None:
            yield scale[rows]
        elif recipe is not ScalingType.TensorWise or scale.numel() == count:
            yield scale.reshape(count, *(scale.shape[1:] if scale.shape[0] == count else [-1]))[
                group
            ]
        else:
            yield scale


def scaled_grouped_mm(
    mat_a,
    mat_b,
    scale_a,
    scale_recipe_a,
    scale_b,
    scale_recipe_b,
    swizzle_a=None,
    swizzle_b=None,
    bias=None,
    offs=None,
    output_dtype=torch.bfloat16,
    contraction_dim=(),
    use_fast_accum=False,
):
    """`grouped_mm` of matrices of small floats, each group's product as `scaled_mm` makes it.

    Scales lie as their matrices do: (G, M) for (G, M, K); (M) for groups of rows; and one after
    the other, (G * M), where the groups share the inner dimension.

    >>> import flambeau as torch
    >>> F, a = torch.nn.functional, torch.ones(2, 1, 2, dtype=torch.float8_e4m3fn)
    >>> rows = F.ScalingType.RowWise
    >>> scale = torch.tensor([[1.0], [2.0]])
    >>> F.scaled_grouped_mm(a, a.mT, scale, rows, scale, rows).flatten()
    tensor([2., 8.], dtype=torch.bfloat16)
    """
    flat_a, flat_b = mat_a.dim() == 2, mat_b.dim() == 2
    if (flat_a or flat_b) != (offs is not None):
        raise RuntimeError("scaled_grouped_mm: offs are needed for matrices of 2 dimensions only")
    ends = [] if offs is None else offs.tolist()
    spans = [slice(a, b) for a, b in zip([0, *ends[:-1]], ends)]
    count = len(spans) or mat_a.shape[0]
    parts = []
    for g in range(count):
        span = spans[g] if spans else None
        a = mat_a[g] if not flat_a else mat_a[:, span] if flat_b else mat_a[span]
        b = mat_b[g] if not flat_b else mat_b[span] if flat_a else mat_b[:, span]
        parts.append(
            scaled_mm(
                a,
                b,
                list(_scales_of(g, scale_a, scale_recipe_a, None if flat_b else span, count)),
                scale_recipe_a,
                list(_scales_of(g, scale_b, scale_recipe_b, None if flat_a else span, count)),
                scale_recipe_b,
                swizzle_a,
                swizzle_b,
                bias,
                output_dtype,
                contraction_dim,
                use_fast_accum,
            )
        )
    return torch.stack(parts) if flat_a == flat_b else torch.cat(parts, 1 if flat_b else 0)
