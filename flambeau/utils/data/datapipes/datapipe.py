"""What steps are: classes whose subclasses can be called as methods of each other."""

import functools

from ..dataset import Dataset, IterableDataset

__all__ = ["DFIterDataPipe", "DataChunk", "IterDataPipe", "MapDataPipe"]


class _Chained:
    """Methods that `functional_datapipe` adds: `pipe.map(f)` is `Mapper(pipe, f)`."""

    def __getattr__(self, attribute_name):
        cls = type(self).functions.get(attribute_name)
        if cls is None:
            raise AttributeError(
                f"'{type(self).__name__}' object has no attribute '{attribute_name}'"
            )
        return functools.partial(cls, self)

    @classmethod
    def register_function(cls, function_name, function):
        """Makes `pipe.function_name(...)` call function(pipe, ...)."""
        if function_name in cls.functions:
            raise Exception(
                f"Unable to add DataPipe function name {function_name} as it is already taken"
            )
        cls.functions[function_name] = function

    @classmethod
    def register_datapipe_as_function(
        cls, function_name, cls_to_register, enable_df_api_tracing=False
    ):
        """Makes `pipe.function_name(...)` construct the class over the pipe."""
        cls.register_function(function_name, cls_to_register)

    def __dir__(self):
        return [*super().__dir__(), *type(self).functions]

    def __repr__(self):
        return type(self).__name__


class IterDataPipe(_Chained, IterableDataset):
    """A step over a stream: define `__iter__`, and `reset` for what begins anew with each pass.

    A step has one pass at a time: beginning another ends the one before.

    >>> from flambeau.utils.data.datapipes.iter import IterableWrapper
    >>> list(IterableWrapper(range(4)).map(lambda x: 10 * x).batch(3))
    [[0, 10, 20], [30]]
    """

    functions = {}
    _pass = 0

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        if "__iter__" in vars(cls):
            cls.__iter__ = _one_at_a_time(cls.__iter__)

    def reset(self):
        """Called before each pass."""

    def __getstate__(self):
        return {name: value for name, value in self.__dict__.items() if name != "_pass"}


def _one_at_a_time(begin):
    @functools.wraps(begin)
    def __iter__(self):
        self._pass += 1
        self.reset()
        return _follow(self, self._pass, begin(self))

    return __iter__


def _follow(pipe, number, items):
    for item in items:
        yield item
        if pipe._pass != number:
            raise RuntimeError(
                "This iterator has been invalidated because another iterator has been created from "
                f"the same IterDataPipe: {pipe!r}. There is one pass over an IterDataPipe at a time"
            )


class MapDataPipe(_Chained, Dataset):
    """A step over samples by number: define `__getitem__` and `__len__`."""

    functions = {}


class DFIterDataPipe(IterDataPipe):
    """A step over data frames."""

    _is_dfpipe = True


class DataChunk(list):
    """A list of samples that one step made of several."""

    def __init__(self, items):
        items = list(items)
        super().__init__(items)
        self.items = items

    def as_str(self, indent=""):
        return indent + "[" + ", ".join(map(str, self)) + "]"

    def raw_iterator(self):
        """The samples as they are."""
        yield from self.items
