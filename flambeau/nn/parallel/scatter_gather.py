"""Splitting nested inputs over devices and joining their results."""

import flambeau

__all__ = ["gather", "is_namedtuple", "scatter", "scatter_kwargs"]


def is_namedtuple(obj):
    """Whether an object is a named tuple."""
    return isinstance(obj, tuple) and hasattr(obj, "_asdict") and hasattr(obj, "_fields")


def _rebuilt(like, parts):
    if is_namedtuple(like):
        return type(like)(*parts)
    return type(like)(parts)


def scatter(inputs, target_gpus, dim=0):
    """A part of nested inputs for each device: tensors are cut along `dim`, the rest is repeated.

    >>> import flambeau as torch
    >>> from flambeau.nn.parallel.scatter_gather import scatter
    >>> scatter((torch.arange(4), "a"), ["cpu", "cpu"])
    [(tensor([0, 1]), 'a'), (tensor([2, 3]), 'a')]
    """
    devices = [flambeau.device(device) for device in target_gpus]

    def cut(value):
        if isinstance(value, flambeau.Tensor):
            return [
                part.to(device) for part, device in zip(value.chunk(len(devices), dim), devices)
            ]
        if isinstance(value, (tuple, list)) and value:
            return [_rebuilt(value, parts) for parts in zip(*map(cut, value))]
        if isinstance(value, dict) and value:
            columns = zip(*(cut(item) for item in value.values()))
            return [type(value)(zip(value, parts)) for parts in columns]
        return [value] * len(devices)

    return cut(inputs)


def scatter_kwargs(inputs, kwargs, target_gpus, dim=0):
    """scatter() of arguments and keyword arguments, as many of the one as of the other."""
    inputs = scatter(inputs, target_gpus, dim) if inputs else []
    kwargs = scatter(kwargs, target_gpus, dim) if kwargs else []
    inputs += [()] * (len(kwargs) - len(inputs))
    kwargs += [{}] * (len(inputs) - len(kwargs))
    return tuple(inputs), tuple(kwargs)


def gather(outputs, target_device, dim=0):
    """The results of all devices joined along `dim`."""
    first = outputs[0]
    if isinstance(first, flambeau.Tensor):
        if all(output.dim() == 0 for output in outputs):
            outputs = [output.view(1) for output in outputs]
        return flambeau.cat([output.to(target_device) for output in outputs], dim)
    if first is None:
        return None
    if isinstance(first, dict):
        return type(first)((k, gather([o[k] for o in outputs], target_device, dim)) for k in first)
    return _rebuilt(first, [gather(parts, target_device, dim) for parts in zip(*outputs)])
