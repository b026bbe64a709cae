"""Settings of the whole program, and questions about objects."""

from flambeau import _C

_MODES = ("default", "lite", "reduce-overhead", "max-autotune-no-cudagraphs", "max-autotune")
_settings = {"deterministic": False, "warn_only": False, "precision": "highest", "interop": 1}


def is_tensor(obj, /):
    """Whether obj is a tensor.

    >>> import flambeau as torch
    >>> torch.is_tensor(torch.ones(1))
    True
    """
    return isinstance(obj, _C.Tensor)


def is_storage(obj, /):
    """Whether obj is a storage."""
    from .storage import TypedStorage

    return isinstance(obj, (_C.UntypedStorage, TypedStorage))


def is_floating_point(input):
    """Whether the tensor's dtype is a float."""
    return input.is_floating_point()


def is_complex(input):
    """Whether the tensor's dtype is complex."""
    return input.is_complex()


def is_inference(input):
    """Whether the tensor was made in inference mode."""
    return input.is_inference()


def numel(input):
    """How many elements the tensor has."""
    return input.numel()


def typename(obj, /):
    """The name of obj's type, with its module.

    >>> import flambeau as torch
    >>> torch.typename(torch.ones(1))
    'torch.FloatTensor'
    """
    if isinstance(obj, _C.Tensor):
        return obj.type()
    named = obj if hasattr(obj, "__qualname__") else type(obj)
    module = getattr(named, "__module__", None) or ""
    prefix = "" if module in ("builtins", "__builtin__", "") else module + "."
    return prefix + named.__qualname__


def compile(
    model=None, *, fullgraph=False, dynamic=None, backend="inductor", mode=None, options=None,
    disable=False,
):  # fmt: skip
    """The function or module behind PyTorch's names for a compiled one: it runs as it is.

    A `backend` that is a function gets the graph of what is called and gives a callable for it, for
    each kind of arguments (shapes, dtypes, modes). With `fullgraph` it is an error if there is no
    graph because Python needs a tensor's numbers; else the function runs as it is.

    >>> import flambeau as torch
    >>> torch.compile(torch.nn.Linear(2, 1))._orig_mod
    Linear(in_features=2, out_features=1, bias=True)
    """
    if mode is not None and options is not None:
        raise RuntimeError(
            "Either mode or options can be specified, but both can't be specified at the same time."
        )
    if mode is not None and mode not in _MODES:
        raise RuntimeError(f"Unrecognized mode={mode}, should be one of: {', '.join(_MODES)}")
    if model is None:
        return lambda model: compile(
            model, fullgraph=fullgraph, dynamic=dynamic, backend=backend, mode=mode,
            options=options, disable=disable,
        )  # fmt: skip
    if not callable(model):
        raise AssertionError(
            f"compile(): a function or module is expected, got {type(model).__name__}"
        )
    if disable:
        return model
    from ._dynamo import make

    return make(model, backend, fullgraph, options)


def use_deterministic_algorithms(mode, *, warn_only=False):
    """Results are the same on every run and any number of threads in either mode."""
    if not isinstance(mode, bool):
        raise TypeError(f"deterministic_algorithms expected to be bool, not {type(mode).__name__}")
    _settings["deterministic"] = mode
    _settings["warn_only"] = bool(warn_only)


def are_deterministic_algorithms_enabled():
    """What use_deterministic_algorithms() was told."""
    return _settings["deterministic"]


def is_deterministic_algorithms_warn_only_enabled():
    """Whether use_deterministic_algorithms() was told to warn only."""
    return _settings["warn_only"]


def set_float32_matmul_precision(precision):
    """Matrix products of float32 are computed in float32 at every setting."""
    if precision not in ("highest", "high", "medium"):
        raise RuntimeError(
            f"invalid value for float32 matmul precision: {precision!r}; "
            "use 'highest', 'high' or 'medium'"
        )
    _settings["precision"] = precision


def get_float32_matmul_precision():
    """What set_float32_matmul_precision() was told."""
    return _settings["precision"]


def set_num_interop_threads(threads):
    """Operators run one after the other on the caller's thread: the number is only kept."""
    _settings["interop"] = int(threads)


def get_num_interop_threads():
    """What set_num_interop_threads() was told."""
    return _settings["interop"]


def set_flush_denormal(mode):
    """False: denormal numbers are always kept."""
    return False


class DisableTorchDispatch:
    """Within its `with` block, `__torch_dispatch__` of subclasses of Tensor is off."""

    def __enter__(self):
        _C._disable_torch_dispatch(1)

    def __exit__(self, *error):
        _C._disable_torch_dispatch(-1)


class DisableTorchFunctionSubclass:
    """Within its `with` block, subclasses of Tensor are treated as plain tensors."""

    def __enter__(self):
        _C._disable_torch_function(1)
        return self

    def __exit__(self, *error):
        _C._disable_torch_function(-1)


class DisableTorchFunction(DisableTorchFunctionSubclass):
    """The same, and modes are off as well."""


_C.DisableTorchFunction = DisableTorchFunction
_C._DisableTorchDispatch = DisableTorchDispatch
_C.DisableTorchFunctionSubclass = DisableTorchFunctionSubclass
