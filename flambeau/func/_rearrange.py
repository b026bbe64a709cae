"""rearrange: views written as patterns of named dimensions."""


def _parse(side):
    """[("a",), ("b", "c"), "..."] for "a (b c) ..."."""
    groups, inside = [], None
    for token in side.replace("(", " ( ").replace(")", " ) ").split():
        if token == "(":
            if inside is not None:
                raise ValueError(f"rearrange(): nested parentheses in {side!r}")
            inside = []
        elif token == ")":
            if inside is None:
                raise ValueError(f"rearrange(): a parenthesis closes nothing in {side!r}")
            groups.append(tuple(inside))
            inside = None
        elif token in ("...", "…"):
            if inside is not None:
                raise ValueError("rearrange(): an ellipsis inside of parentheses")
            groups.append("...")
        elif token != "1" and not token.isidentifier():
            raise ValueError(f"rearrange(): {token!r} is no name of a dimension")
        elif inside is not None:
            inside.append(token)
        else:
            groups.append(() if token == "1" else (token,))
    if inside is not None:
        raise ValueError(f"rearrange(): a parenthesis stays open in {side!r}")
    return groups


def _split(groups, shape, lengths):
    """The sizes of all names on the left, in order."""
    sizes = dict(lengths)
    for group, n in zip(groups, shape, strict=True):
        known = 1
        unknown = []
        for name in group:
            if name in sizes:
                known *= sizes[name]
            else:
                unknown.append(name)
        if len(unknown) > 1:
            raise ValueError(f"rearrange(): the sizes of {unknown} are not known")
        if n % known if unknown else n != known:
            raise ValueError(f"rearrange(): {group} does not make a dimension of size {n}")
        if unknown:
            sizes[unknown[0]] = n // known
    return sizes


def rearrange(tensor, pattern, **axes_lengths):
    """Dimensions put in another order, split and joined, as a pattern says.

    >>> import flambeau as torch
    >>> torch.func.rearrange(torch.arange(6).view(2, 3), "a b -> (b a)")
    tensor([0, 3, 1, 4, 2, 5])
    """
    if not hasattr(tensor, "dim"):
        from .. import stack

        tensor = stack(tuple(tensor))
    left, arrow, right = pattern.partition("->")
    if not arrow:
        raise ValueError(f"rearrange(): expected 'left -> right', got {pattern!r}")
    left, right = _parse(left), _parse(right)
    if left.count("...") > 1 or right.count("...") > 1 or ("..." in right and "..." not in left):
        raise ValueError(f"rearrange(): the ellipses of {pattern!r} do not fit")
    if "..." in left:
        at, more = left.index("..."), tensor.dim() - len(left) + 1
        hidden = tuple(f".{i}" for i in range(more))
        left[at : at + 1] = [(h,) for h in hidden]
        if "..." in right:
            at = right.index("...")
            right[at : at + 1] = [(h,) for h in hidden]
    if len(left) != tensor.dim():
        raise ValueError(
            f"rearrange(): {pattern!r} names {len(left)} dimensions, the tensor has {tensor.dim()}"
        )
    names = [n for group in left for n in group]
    order = [n for group in right for n in group]
    if sorted(names) != sorted(order) or len(set(names)) != len(names):
        raise ValueError(f"rearrange(): both sides of {pattern!r} must have each name once")
    sizes = _split(left, tensor.shape, axes_lengths)
    out = tensor.reshape([sizes[n] for n in names]).permute([names.index(n) for n in order])
    shape = []
    for group in right:
        n = 1
        for name in group:
            n *= sizes[name]
        shape.append(n)
    return out.reshape(shape)
