"""Whether operations are recorded: context managers that are decorators too."""

from .. import _C

__all__ = [
    "enable_grad",
    "enforce_grad_layout_policy",
    "inference_mode",
    "no_grad",
    "set_grad_enabled",
    "set_multithreading_enabled",
]

_GENERATOR = 0x20  # inspect.CO_GENERATOR


class _Mode:
    """A context manager that also decorates functions, generators and classes' methods."""

    __slots__ = ("before",)

    def clone(self):
        return type(self)()

    def __call__(self, function):
        from functools import wraps

        if isinstance(function, type):
            from warnings import warn

            warn(
                "Decorating classes is deprecated and will be disabled in future versions. You "
                "should only decorate functions or methods: of a class, its __init__.",
                FutureWarning,
                stacklevel=2,
            )
            function.__init__ = self(function.__init__)
            return function
        clone = self.clone
        code = getattr(function, "__code__", None)
        if code is not None and code.co_flags & _GENERATOR:
            return wraps(function)(_in_mode(function, clone))

        @wraps(function)
        def decorated(*args, **kwargs):
            with clone():
                return function(*args, **kwargs)

        return decorated


def _in_mode(function, clone):
    """A generator function whose every step, but nothing between them, runs in the mode."""

    def generator(*args, **kwargs):
        steps = function(*args, **kwargs)
        advance, value = steps.send, None
        try:
            while True:
                with clone():
                    item = advance(value)
                try:
                    value = yield item
                    advance = steps.send
                except GeneratorExit:
                    with clone():
                        steps.close()
                    raise
                except BaseException as error:  # thrown in by the caller: the generator's to handle
                    advance, value = steps.throw, error
        except StopIteration as stop:
            return stop.value

    return generator


class _Switch(_Mode):
    """no_grad and enable_grad; `@no_grad` works without parentheses as well."""

    __slots__ = ()

    def __new__(cls, function=None):
        self = object.__new__(cls)
        return self if function is None else self(function)

    def __exit__(self, *exc):
        _C._exchange_grad_enabled(self.before)


class no_grad(_Switch):
    """Nothing is recorded inside: results require no gradient.

    >>> import flambeau as torch
    >>> x = torch.ones(2, requires_grad=True)
    >>> with torch.no_grad():
    ...     y = x * 2
    >>> y.requires_grad
    False
    """

    __slots__ = ()

    def __enter__(self):
        self.before = _C._exchange_grad_enabled(False)


class enable_grad(_Switch):
    """Operations are recorded inside, also within no_grad().

    >>> import flambeau as torch
    >>> x = torch.ones(2, requires_grad=True)
    >>> with torch.no_grad(), torch.enable_grad():
    ...     y = x * 2
    >>> y.requires_grad
    True
    """

    __slots__ = ()

    def __enter__(self):
        self.before = _C._exchange_grad_enabled(True)


class set_grad_enabled(_Mode):
    """Sets recording on or off: at once as a function, for the block as a context manager.

    >>> import flambeau as torch
    >>> with torch.set_grad_enabled(False):
    ...     torch.is_grad_enabled()
    False
    """

    __slots__ = ("mode",)

    def __init__(self, mode):
        self.mode = mode
        self.before = _C._exchange_grad_enabled(mode)

    def clone(self):
        return set_grad_enabled(self.mode)

    def __call__(self, function):
        _C._exchange_grad_enabled(self.before)  # a decorator sets nothing until the call
        return super().__call__(function)

    def __enter__(self):
        _C._exchange_grad_enabled(self.mode)

    def __exit__(self, *exc):
        _C._exchange_grad_enabled(self.before)


class inference_mode(_Mode):
    """no_grad() whose results can never be part of a graph, which makes them cheaper still.

    >>> import flambeau as torch
    >>> with torch.inference_mode():
    ...     y = torch.ones(2) * 2
    >>> y.requires_grad
    False
    """

    __slots__ = ("forward_before", "grad_before", "mode")

    def __new__(cls, mode=True):
        self = object.__new__(cls)
        if callable(mode):  # @inference_mode without parentheses
            self.mode = True
            return self(mode)
        return self

    def __init__(self, mode=True):
        self.mode = mode

    def clone(self):
        return inference_mode(self.mode)

    def __enter__(self):
        self.before = _C._exchange_inference_mode(self.mode)
        self.grad_before = _C._exchange_grad_enabled(not self.mode)
        self.forward_before = _C._set_fwd_grad_enabled(not self.mode)

    def __exit__(self, *exc):
        _C._exchange_inference_mode(self.before)
        _C._exchange_grad_enabled(self.grad_before)
        _C._set_fwd_grad_enabled(self.forward_before)


class _Setting:
    """A switch that is set at once, and set back where the block ends."""

    enabled = True

    def __init__(self, mode):
        if not isinstance(mode, bool):
            raise TypeError(f"{type(self).__name__}(): mode must be a bool, got {type(mode)}")
        cls, self.mode = type(self), mode
        self.before, cls.enabled = cls.enabled, mode

    def __enter__(self):
        pass

    def __exit__(self, *exc):
        type(self).enabled = self.before

    def clone(self):
        """Another of the same mode."""
        return type(self)(self.mode)


class set_multithreading_enabled(_Setting):
    """Whether backward may use threads of its own; here it runs on the calling one in any case.

    Taken for programs that pass it, as a function or as a context manager.
    """


class enforce_grad_layout_policy(_Setting):
    """Whether gradients of leaves get their strides; here they always do.

    Taken for programs that pass it, as a function or as a context manager.
    """


_C._is_multithreading_enabled = lambda: set_multithreading_enabled.enabled


class _unsafe_preserve_version_counter:
    """A block whose writes to a tensor, or to several, leave their versions as they were."""

    __slots__ = ("tensors", "versions")

    def __init__(self, tensors):
        self.tensors = (tensors,) if isinstance(tensors, _C.Tensor) else tuple(tensors)
        self.versions = tuple(t._version for t in self.tensors)

    def __enter__(self):
        pass

    def __exit__(self, *exc):
        for tensor, version in zip(self.tensors, self.versions, strict=True):
            _C._set_version(tensor, version)
