"""From a list of samples to a batch."""

import collections.abc as abc
import copy

import flambeau

_NOT_A_BATCH = (
    "default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; found {}"
)


def default_collate(batch):
    """Joins samples into one batch: tensors and arrays are stacked on a new first dimension,
    numbers become a tensor, strings stay a list, and dicts, tuples and lists are joined within.

    >>> from flambeau.utils.data import default_collate
    >>> default_collate([{"x": 1, "y": "a"}, {"x": 2, "y": "b"}])
    {'x': tensor([1, 2]), 'y': ['a', 'b']}
    """
    return collate(batch, collate_fn_map=default_collate_fn_map)


def collate(batch, *, collate_fn_map=None):
    """`default_collate` with a table from types to functions `f(batch, collate_fn_map=...)`."""
    table = collate_fn_map or {}
    first = batch[0]
    kind = type(first)
    if kind in table:
        return table[kind](batch, collate_fn_map=table)
    for known, function in table.items():
        if isinstance(first, known):
            return function(batch, collate_fn_map=table)
    if kind.__module__ == "numpy":
        return collate_numpy_array_fn(batch)
    if isinstance(first, abc.Mapping):
        return _like_mapping(
            first, {key: collate([d[key] for d in batch], collate_fn_map=table) for key in first}
        )
    if isinstance(first, tuple) and hasattr(first, "_fields"):
        return kind(*(collate(column, collate_fn_map=table) for column in zip(*batch)))
    if isinstance(first, abc.Sequence):
        if any(len(sample) != len(first) for sample in batch):
            lengths = sorted({len(sample) for sample in batch})
            raise RuntimeError(
                f"each element in list of batch should be of equal size, got lengths {lengths}"
            )
        columns = [collate(column, collate_fn_map=table) for column in zip(*batch)]
        return columns if isinstance(first, tuple) else _like_sequence(first, columns)
    raise TypeError(_NOT_A_BATCH.format(kind))


def collate_tensor_fn(batch, *, collate_fn_map=None):
    return flambeau.stack(tuple(batch), 0)


def collate_numpy_array_fn(batch, *, collate_fn_map=None):
    first = batch[0]
    if not hasattr(first, "dtype"):
        raise TypeError(_NOT_A_BATCH.format(type(first)))
    if first.dtype.kind not in "biufc":
        raise TypeError(_NOT_A_BATCH.format(first.dtype))
    if first.shape == ():
        import numpy

        return flambeau.from_numpy(numpy.stack(batch))
    return collate_tensor_fn([flambeau.as_tensor(array) for array in batch])


def collate_float_fn(batch, *, collate_fn_map=None):
    return flambeau.tensor(batch, dtype=flambeau.float64)


def collate_int_fn(batch, *, collate_fn_map=None):
    return flambeau.tensor(batch)


def collate_str_fn(batch, *, collate_fn_map=None):
    return batch


class _Functions(dict):
    """Functions by type; NumPy's are known without an import of NumPy."""

    def __missing__(self, key):
        for kind in key if isinstance(key, tuple) else (key,):
            if getattr(kind, "__module__", "").partition(".")[0] != "numpy":
                raise KeyError(key)
        return collate_numpy_array_fn


default_collate_fn_map = _Functions(
    {
        flambeau.Tensor: collate_tensor_fn,
        float: collate_float_fn,
        int: collate_int_fn,
        str: collate_str_fn,
        bytes: collate_str_fn,
    }
)


def default_convert(data):
    """Turns the NumPy arrays in one sample into tensors and leaves all else as it is.

    >>> import numpy
    >>> from flambeau.utils.data import default_convert
    >>> default_convert([numpy.array([1, 2]), "a"])
    [tensor([1, 2]), 'a']
    """
    if isinstance(data, flambeau.Tensor):
        return data
    if type(data).__module__ == "numpy":
        return data if data.dtype.kind in "SaUO" else flambeau.as_tensor(data)
    if isinstance(data, abc.Mapping):
        return _like_mapping(data, {key: default_convert(value) for key, value in data.items()})
    if isinstance(data, tuple) and hasattr(data, "_fields"):
        return type(data)(*map(default_convert, data))
    if isinstance(data, abc.Sequence) and not isinstance(data, (str, bytes)):
        columns = [default_convert(value) for value in data]
        return columns if isinstance(data, tuple) else _like_sequence(data, columns)
    return data


def _like_mapping(like, values):
    """A mapping of the same class where it can be made, else a plain dict."""
    if type(like) is dict:
        return values
    try:
        if isinstance(like, abc.MutableMapping):
            made = copy.copy(like)  # keeps what else a subclass carries
            made.update(values)
            return made
        return type(like)(values)
    except TypeError:
        return values


def _like_sequence(like, values):
    if type(like) is list:
        return values
    try:
        if isinstance(like, abc.MutableSequence):
            made = copy.copy(like)
            made[:] = values
            return made
        return type(like)(values)
    except TypeError:  # range, for one
        return values
