"""Running combinations of an associative function."""

import flambeau


def associative_scan(
    combine_fn, xs, dim, reverse=False, combine_mode="pointwise", additional_inputs=()
):
    """y[i] = combine_fn(y[i - 1], x[i]) along dim, in logarithmically many steps (Hillis, Steele).

    xs: a tensor or a nesting of tensors of one size along dim; combine_fn(a, b) takes and gives
    such nestings and must be associative. reverse scans from the end.

    >>> import flambeau as torch
    >>> from flambeau._higher_order_ops import associative_scan
    >>> associative_scan(torch.add, torch.arange(4), 0)
    tensor([0, 1, 3, 6])
    """
    if combine_mode not in ("pointwise", "generic"):
        raise ValueError(
            f"Combine_mode must either 'pointwise' or 'generic', but got {combine_mode}"
        )
    tree = flambeau.utils._pytree
    leaves, structure = tree.tree_flatten(xs)
    if not leaves:
        raise ValueError("associative_scan(): expected at least 1 tensor")
    size = leaves[0].shape[dim]
    if any(leaf.shape[dim] != size for leaf in leaves):
        raise ValueError("associative_scan(): all tensors must have one size along dim")
    if reverse:
        leaves = [leaf.flip(dim) for leaf in leaves]
    step = 1
    while step < size:
        before = [leaf.narrow(dim, 0, size - step) for leaf in leaves]
        after = [leaf.narrow(dim, step, size - step) for leaf in leaves]
        pair = (tree.tree_unflatten(part, structure) for part in (before, after))
        joined = tree.tree_leaves(combine_fn(*pair, *additional_inputs))
        leaves = [
            flambeau.cat([leaf.narrow(dim, 0, step), one], dim)
            for leaf, one in zip(leaves, joined, strict=True)
        ]
        step *= 2
    if reverse:
        leaves = [leaf.flip(dim) for leaf in leaves]
    return tree.tree_unflatten(leaves, structure)
