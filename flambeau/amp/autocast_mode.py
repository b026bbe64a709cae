"""autocast: operators run in the floating-point type that suits them."""

import functools

import flambeau as torch
from flambeau import _C, Tensor

__all__ = ["autocast", "autocast_decorator", "custom_bwd", "custom_fwd", "is_autocast_available"]

_CPU_DTYPES = (torch.bfloat16, torch.float16)


def is_autocast_available(device_type):
    """Whether autocast is known for a type of device.

    >>> import flambeau as torch
    >>> torch.amp.is_autocast_available("cpu")
    True
    """
    if device_type == "meta":
        return False
    try:
        _C.is_autocast_enabled(device_type)
    except RuntimeError:
        return False
    return True


def autocast_decorator(autocast_instance, func):
    """A function that runs in an autocast region."""

    @functools.wraps(func)
    def run(*args, **kwargs):
        with autocast_instance:
            return func(*args, **kwargs)

    return run


class autocast:
    """A region, or a decorator, in which products and convolutions run in `dtype`.

    Losses, norms of matrices and the like run in float32, `cat` and `stack` in the widest type of
    their arguments, everything else in the types that come; float64 is left alone. Casts of
    weights are kept until the outermost region ends, unless `cache_enabled` is False.

    >>> import flambeau as torch
    >>> layer = torch.nn.Linear(2, 2)
    >>> with torch.autocast("cpu", dtype=torch.bfloat16):
    ...     layer(torch.ones(1, 2)).dtype
    torch.bfloat16
    """

    def __init__(self, device_type, dtype=None, enabled=True, cache_enabled=None):
        if not isinstance(device_type, str):
            raise ValueError(f"Expected `device_type` of type `str`, got: `{type(device_type)}`")
        if not is_autocast_available(device_type):
            raise RuntimeError(
                f"User specified an unsupported autocast device_type '{device_type}'"
            )
        if dtype is not None and not isinstance(dtype, torch.dtype):
            raise ValueError(f"Expected `dtype` of type `torch.dtype`, got: `{type(dtype)}`")
        self.device = device_type
        self.fast_dtype = _C.get_autocast_dtype(device_type) if dtype is None else dtype
        self._enabled = bool(enabled) and self._usable(device_type)
        if cache_enabled is None:
            cache_enabled = _C.is_autocast_cache_enabled()
        self._cache_enabled = cache_enabled
        self._before = []

    def _usable(self, device_type):
        if device_type == "cpu":
            if self.fast_dtype in _CPU_DTYPES:
                return True
            reason = (
                "In CPU autocast, but the target dtype is not supported. Disabling autocast. CPU "
                f"Autocast only supports dtype of {', '.join(map(str, _CPU_DTYPES))} currently."
            )
        elif device_type == "cuda" and torch.cuda.is_available():
            return True
        else:
            name = device_type.upper()
            reason = (
                f"User provided device_type of '{device_type}', but {name} is not available. "
                "Disabling"
            )
        import warnings

        warnings.warn(reason, stacklevel=4)
        return False

    def __enter__(self):
        before = (
            _C.is_autocast_enabled(self.device),
            _C.get_autocast_dtype(self.device),
            _C.is_autocast_cache_enabled(),
        )
        self._before.append(before)
        _C.set_autocast_dtype(self.device, self.fast_dtype)
        _C.set_autocast_enabled(self.device, self._enabled)
        _C.set_autocast_cache_enabled(self._cache_enabled)
        _C.autocast_increment_nesting()
        return self

    def __exit__(self, *error):
        if _C.autocast_decrement_nesting() == 0:
            _C.clear_autocast_cache()
        enabled, dtype, keeps = self._before.pop()
        _C.set_autocast_enabled(self.device, enabled)
        _C.set_autocast_dtype(self.device, dtype)
        _C.set_autocast_cache_enabled(keeps)
        return False

    def __call__(self, func):
        return autocast_decorator(self, func)


# -- functions made of operators -------------------------------------------------------------------


def _floats(value, device_type=None):
    """The tensors in nested arguments that autocast may cast."""
    if isinstance(value, Tensor):
        if value.is_floating_point() and value.dtype != torch.float64:
            kind = value.device.type
            if kind == device_type or (device_type is None and _C.is_autocast_enabled(kind)):
                yield value
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _floats(item, device_type)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _floats(item, device_type)


def _cast(value, dtype, device_type=None):
    """Nested arguments with their floating-point tensors cast."""
    if isinstance(value, Tensor):
        return value if next(_floats(value, device_type), None) is None else value.to(dtype)
    if isinstance(value, dict):
        return {k: _cast(v, dtype, device_type) for k, v in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(_cast(v, dtype, device_type) for v in value))
    if isinstance(value, (list, tuple)):
        return type(value)(_cast(v, dtype, device_type) for v in value)
    return value


def _run_cast(rule, function, args, kwargs):
    """Calls a function made of operators as the lists have it; its parts are left alone."""
    devices = {t.device.type for t in _floats((args, kwargs))}
    if not devices:
        return function(*args, **kwargs)
    device = devices.pop()
    dtype = torch.float32 if rule == "float32" else _C.get_autocast_dtype(device)
    args, kwargs = _cast(args, dtype), _cast(kwargs, dtype)
    with autocast(device, enabled=False):
        return function(*args, **kwargs)


# -- functions with a gradient of their own --------------------------------------------------------


def _check_device_type(device_type):
    if not isinstance(device_type, str):
        raise ValueError(f"Expected `device_type` of type `str`, got: `{type(device_type)}`")


def custom_fwd(fwd=None, *, device_type, cast_inputs=None):
    """Decorates the forward of an autograd.Function: with `cast_inputs`, tensors of a region are
    cast to that dtype and the region is left; else the backward runs in the forward's region.

    >>> import flambeau as torch
    >>> class Square(torch.autograd.Function):
    ...     @staticmethod
    ...     @torch.amp.custom_fwd(device_type="cpu", cast_inputs=torch.float32)
    ...     def forward(ctx, x):
    ...         ctx.save_for_backward(x)
    ...         return x * x
    ...     @staticmethod
    ...     @torch.amp.custom_bwd(device_type="cpu")
    ...     def backward(ctx, grad):
    ...         return 2 * grad * ctx.saved_tensors[0]
    >>> with torch.autocast("cpu"):
    ...     Square.apply(torch.ones(1, dtype=torch.bfloat16)).dtype
    torch.float32
    """
    _check_device_type(device_type)
    if fwd is None:
        return functools.partial(custom_fwd, device_type=device_type, cast_inputs=cast_inputs)

    @functools.wraps(fwd)
    def run(*args, **kwargs):
        on = _C.is_autocast_enabled(device_type)
        args[0]._dtype = _C.get_autocast_dtype(device_type)
        args[0]._fwd_used_autocast = on and cast_inputs is None
        if not on or cast_inputs is None:
            return fwd(*args, **kwargs)
        with autocast(device_type=device_type, enabled=False):
            return fwd(
                *_cast(args, cast_inputs, device_type), **_cast(kwargs, cast_inputs, device_type)
            )

    return run


def custom_bwd(bwd=None, *, device_type):
    """Decorates the backward that goes with `custom_fwd`: it runs in the forward's region.

    >>> import flambeau as torch
    >>> class Doubled(torch.autograd.Function):
    ...     @staticmethod
    ...     @torch.amp.custom_fwd(device_type="cpu")
    ...     def forward(ctx, x):
    ...         return 2 * x
    ...     @staticmethod
    ...     @torch.amp.custom_bwd(device_type="cpu")
    ...     def backward(ctx, grad):
    ...         return 2 * grad
    >>> x = torch.ones(1, requires_grad=True)
    >>> Doubled.apply(x).backward()
    >>> x.grad
    tensor([2.])
    """
    _check_device_type(device_type)
    if bwd is None:
        return functools.partial(custom_bwd, device_type=device_type)

    @functools.wraps(bwd)
    def run(*args, **kwargs):
        region = autocast(
            device_type=device_type, enabled=args[0]._fwd_used_autocast, dtype=args[0]._dtype
        )
        with region:
            return bwd(*args, **kwargs)

    return run
