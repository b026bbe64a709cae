"""Contexts that decorate functions too, as libraries derive them."""

import functools
import inspect

__all__ = []


def _generator(enter, function):
    """A generator function that runs inside of a context only while it computes."""

    @functools.wraps(function)
    def generator(*args, **kwargs):
        inner = function(*args, **kwargs)
        step, value = inner.send, None
        try:
            while True:
                with enter():
                    given = step(value)
                try:
                    step, value = inner.send, (yield given)
                except GeneratorExit:
                    with enter():
                        inner.close()
                    raise
                except BaseException as error:
                    step, value = inner.throw, error
        except StopIteration as stop:
            return stop.value

    return generator


def context_decorator(ctx, func):
    """func inside of a context: ctx is a context that is entered anew or a function that makes one.

    A generator is inside of it only while it computes.
    """
    if callable(ctx) and hasattr(ctx, "__enter__"):
        raise AssertionError(f"{ctx} is a context and callable: which one is meant is not clear")
    enter = ctx if callable(ctx) else lambda: ctx
    if inspect.isclass(func):
        raise RuntimeError("a class cannot be decorated: decorate its methods instead")
    if inspect.isgeneratorfunction(func):
        return _generator(enter, func)

    @functools.wraps(func)
    def decorated(*args, **kwargs):
        with enter():
            return func(*args, **kwargs)

    return decorated


class _DecoratorContextManager:
    """A context whose objects decorate functions; `clone` makes the one for each call."""

    def __call__(self, orig_func):
        return context_decorator(self.clone, orig_func)

    def __enter__(self):
        raise NotImplementedError

    def __exit__(self, exc_type, exc_value, traceback):
        raise NotImplementedError

    def clone(self):
        """A context like this one; to be overridden where the constructor takes arguments."""
        return self.__class__()


class _NoParamDecoratorContextManager(_DecoratorContextManager):
    """The same where the class itself may stand as the decorator, without parentheses."""

    def __new__(cls, orig_func=None):
        if orig_func is None:
            return super().__new__(cls)
        return cls()(orig_func)
