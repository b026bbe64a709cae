"""Decorators of steps."""

import contextlib

from .datapipe import IterDataPipe, MapDataPipe


class functional_datapipe:
    """Registers a step as a method of all others.

    >>> from flambeau.utils.data import IterDataPipe, functional_datapipe
    >>> from flambeau.utils.data.datapipes.iter import IterableWrapper
    >>> @functional_datapipe("twice")
    ... class Twice(IterDataPipe):
    ...     def __init__(self, source):
    ...         self.source = source
    ...     def __iter__(self):
    ...         for value in self.source:
    ...             yield value
    ...             yield value
    >>> list(IterableWrapper("ab").twice())
    ['a', 'a', 'b', 'b']
    """

    def __init__(self, name, enable_df_api_tracing=False):
        self.name = name

    def __call__(self, cls):
        kind = cls if isinstance(cls, type) else None  # a function that makes steps is one too
        for base in (IterDataPipe, MapDataPipe):
            if kind is not None and issubclass(kind, base):
                base.register_datapipe_as_function(self.name, cls)
                return cls
        if kind is None:
            IterDataPipe.register_function(self.name, cls)
        return cls


_deterministic = False


class guaranteed_datapipes_determinism(contextlib.ContextDecorator):
    """Within it, making a step that is marked as non-deterministic is a TypeError."""

    def __enter__(self):
        global _deterministic
        self._before, _deterministic = _deterministic, True
        return self

    def __exit__(self, *exception):
        global _deterministic
        _deterministic = self._before


class non_deterministic:
    """Marks a step whose order may vary, or with a function of its arguments when it may."""

    def __init__(self, arg):
        self.cls = arg if isinstance(arg, type) else None
        self.varies = None if self.cls else arg
        if self.cls is not None and not issubclass(self.cls, IterDataPipe):
            raise TypeError("Only `IterDataPipe` can be decorated with `non_deterministic`")

    def __call__(self, *args, **kwargs):
        if self.cls is None:
            self.cls = args[0]
            return self._make
        return self._make(*args, **kwargs)

    def _make(self, *args, **kwargs):
        if _deterministic and (self.varies is None or self.varies(*args, **kwargs)):
            raise TypeError(
                f"{self.cls.__name__} is non-deterministic with these arguments, within "
                "guaranteed_datapipes_determinism()"
            )
        return self.cls(*args, **kwargs)


def argument_validation(f):
    """PyTorch compares the types of steps with hints; nothing is compared here."""
    return f


runtime_validation = argument_validation


class runtime_validation_disabled(contextlib.ContextDecorator):
    """There is no validation to disable; for programs that say so."""

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        pass
