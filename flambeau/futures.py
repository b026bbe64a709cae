"""Values that another thread may still be computing."""

import concurrent.futures
import types

__all__ = ["Future", "collect_all", "wait_all"]


class Future:
    """A value set once, by whoever computes it.

    >>> from flambeau.futures import Future
    >>> f = Future()
    >>> g = f.then(lambda done: done.value() + 1)
    >>> f.set_result(1)
    >>> g.wait()
    2
    """

    __class_getitem__ = classmethod(types.GenericAlias)

    def __init__(self, *, devices=None):
        self._future = concurrent.futures.Future()

    def __reduce__(self):
        raise RuntimeError("Can not pickle torch.futures.Future")

    def done(self):
        return self._future.done()

    def wait(self):
        """The value, once it is there; raises what was set by `set_exception`."""
        return self._future.result()

    def value(self):
        """The value, which must be there: RuntimeError otherwise."""
        if not self.done():
            raise RuntimeError("value() cannot be called on a Future that is not done")
        return self._future.result()

    def set_result(self, result):
        if self.done():
            raise RuntimeError("Future can only be marked completed once")
        self._future.set_result(result)

    def set_exception(self, result):
        if not isinstance(result, Exception):
            raise AssertionError(f"{result} is of type {type(result)}, not an Exception")
        self._future.set_exception(result)

    def add_done_callback(self, callback):
        """Calls callback(self) when the value is there, at once if it is."""
        self._future.add_done_callback(lambda _: callback(self))

    def then(self, callback):
        """A Future of callback(self), run when the value is there."""
        made = Future()

        def run(_):
            try:
                made.set_result(callback(self))
            except Exception as error:
                text = f"Got the following error when running the callback: {error!r}"
                failed = RuntimeError(text)
                failed.__cause__ = error
                made.set_exception(failed)

        self._future.add_done_callback(run)
        return made


def collect_all(futures):
    """A Future of the list of these futures, done when all are."""
    futures, made = list(futures), Future()
    if any(future is None for future in futures):
        raise RuntimeError("Future can't be None")
    left = len(futures)
    if not left:
        made.set_result(futures)

    def one_more(_):
        nonlocal left
        left -= 1
        if not left:
            made.set_result(futures)

    for future in futures:
        future.add_done_callback(one_more)
    return made


def wait_all(futures):
    """The values of all futures."""
    return [future.wait() for future in collect_all(futures).wait()]
