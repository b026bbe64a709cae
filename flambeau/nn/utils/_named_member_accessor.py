"""Tensors of a module put in and taken out, whatever a class says about assignment."""

from flambeau import Tensor
from flambeau.nn.parameter import Parameter

__all__ = []
MISSING = object()


def set_tensor(module, name, tensor):
    """Puts a tensor in place of a parameter, a buffer or an attribute."""
    if name in module._parameters:
        module._parameters[name] = tensor
    elif name in module._buffers:
        module._buffers[name] = tensor
    elif isinstance(tensor, Parameter):
        module.register_parameter(name, tensor)
    else:
        setattr(module, name, tensor)


def swap(module, name, value):
    """Puts a tensor, None or nothing (MISSING) in place of a tensor; returns what stood there."""
    for held in (module._parameters, module._buffers):
        if name in held:
            before = held[name]
            if value is MISSING:
                del held[name]
            else:
                held[name] = value
            return before
    before = getattr(module, name, MISSING)
    if not (before is None or before is MISSING or isinstance(before, Tensor)):
        raise TypeError(f"attribute `{name}`: {before} is not an instance of torch.Tensor")
    if value is not MISSING:
        setattr(module, name, value)
    elif before is not MISSING:
        delattr(module, name)
    return before


def swap_tensor(module, name, tensor, allow_missing=False):
    """Puts a tensor in place of another and returns that; None takes it away.

    With allow_missing a name that the module lacks gives None, else it is an AttributeError.
    """
    if not isinstance(tensor, (Tensor, type(None))):
        raise TypeError(f"{tensor} is not an instance of torch.Tensor")
    if "." in name or not name:
        raise KeyError(f'tensor name can\'t be empty or contain ".": got {name!r}')
    if not (allow_missing or hasattr(module, name)):
        raise AttributeError(f"{module._get_name()} has no attribute `{name}`")
    before = swap(module, name, MISSING if tensor is None else tensor)
    return None if before is MISSING else before
