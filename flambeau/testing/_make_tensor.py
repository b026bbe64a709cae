"""make_tensor: random tensors of any dtype and layout."""

import flambeau

_FLOATS = (
    flambeau.float16, flambeau.bfloat16, flambeau.float32, flambeau.float64,
    flambeau.float8_e4m3fn, flambeau.float8_e5m2,
)  # fmt: skip
_SMALL = (flambeau.float8_e4m3fn, flambeau.float8_e5m2)


def _bounds(low, high, dtype, default, lowest, highest):
    low = default[0] if low is None else low
    high = default[1] if high is None else high
    for name, x in (("low", low), ("high", high)):
        if x != x:
            raise ValueError(f"`{name}` cannot be NaN, but got {name}={x}")
    if low == high and (dtype.is_floating_point or dtype.is_complex):
        import warnings

        warnings.warn(
            "Passing `low==high` to `torch.testing.make_tensor` for floating or complex types is "
            "deprecated since 2.1 and will be removed in 2.3. Use `torch.full(...)` instead.",
            FutureWarning,
            stacklevel=4,
        )
    elif low >= high:
        raise ValueError(f"`low` must be less than `high`, but got {low} >= {high}")
    if high < lowest or low > highest:
        raise ValueError(
            f"The value interval specified by `low` and `high` is {low} and {high}, but {dtype} "
            f"only supports [{lowest}, {highest}]"
        )
    return max(low, lowest), min(high, highest)


def _values(shape, dtype, device, low, high):
    if dtype == flambeau.bool:
        low, high = _bounds(low, high, dtype, (0, 2), 0, 2)
        return flambeau.randint(int(low), int(high), shape, dtype=dtype, device=device)
    if not (dtype.is_floating_point or dtype.is_complex):
        limits = flambeau.iinfo(dtype)
        default = (0 if dtype == flambeau.uint8 else -9, 10)
        low, high = _bounds(low, high, dtype, default, limits.min, limits.max + 1)
        low, high = -int(-low // 1), -int(-high // 1)
        wide = flambeau.randint(low, high, shape, dtype=flambeau.int64, device=device)
        return wide.to(dtype)
    real = dtype.to_real()
    limits = flambeau.finfo(real)
    low, high = _bounds(low, high, dtype, (-9, 9), limits.min, limits.max)
    drawn = flambeau.float32 if real in _SMALL else real
    made = flambeau.empty(shape, dtype=drawn.to_complex() if dtype.is_complex else drawn)
    parts = flambeau.view_as_real(made) if dtype.is_complex else made
    if high - low > flambeau.finfo(drawn).max:  # wider than any number
        parts.uniform_(low / 2, high / 2).mul_(2)
    else:
        parts.uniform_(low, high)
    return made.to(device=device, dtype=dtype)


def make_tensor(
    *shape,
    dtype,
    device,
    low=None,
    high=None,
    requires_grad=False,
    noncontiguous=False,
    exclude_zero=False,
    memory_format=None,
):
    """A tensor of random numbers from [low, high): by default from -9 to 9.

    Args:
        noncontiguous: every other element of a tensor of twice the size.
        exclude_zero: zeros are replaced by the smallest number of the dtype.

    >>> import flambeau as torch
    >>> torch.testing.make_tensor((2, 3), dtype=torch.int64, device="cpu", low=0, high=1)
    tensor([[0, 0, 0],
            [0, 0, 0]])
    """
    shape = tuple(shape[0]) if len(shape) == 1 and not isinstance(shape[0], int) else shape
    if noncontiguous and memory_format is not None:
        raise ValueError(
            "The parameters `noncontiguous` and `memory_format` are mutually exclusive, but got "
            f"noncontiguous={noncontiguous} and memory_format={memory_format}"
        )
    if requires_grad and not (dtype.is_floating_point or dtype.is_complex):
        raise ValueError(
            "`requires_grad=True` is not supported for boolean and integral dtypes, but got "
            f"{dtype}"
        )
    numel = 1
    for n in shape:
        numel *= n
    spread = noncontiguous and numel > 1
    result = _values((*shape[:-1], 2 * shape[-1]) if spread else shape, dtype, device, low, high)
    if spread:
        result = result[..., ::2]
    elif memory_format is not None:
        result = result.clone(memory_format=memory_format)
    if exclude_zero:
        tiny = (
            1
            if dtype == flambeau.bool or not (dtype.is_floating_point or dtype.is_complex)
            else (flambeau.finfo(dtype.to_real()).tiny)
        )
        result[result == 0] = tiny
    return result.requires_grad_() if requires_grad else result
