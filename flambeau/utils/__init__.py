"""Helpers around training: data loading. Submodules are imported on first use."""

import importlib


def __getattr__(name):
    if not name.startswith("__"):
        path = f"{__name__}.{name}"
        try:
            return importlib.import_module(path)
        except ModuleNotFoundError as error:
            if error.name != path:
                raise
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def swap_tensors(t1, t2):
    """Exchanges what two tensors are: every reference to one sees what the other was.

    Both must be leaves of the graph: a node that made a tensor keeps to it.

    >>> import flambeau as torch
    >>> a, b = torch.zeros(2), torch.ones(1)
    >>> torch.utils.swap_tensors(a, b)
    >>> a, b
    (tensor([1.]), tensor([0., 0.]))
    """
    if not (t1.is_leaf and t2.is_leaf):
        raise RuntimeError("swap_tensors(): expected leaves of the graph")
    held = [(type(t), dict(vars(t)), t.detach(), t.requires_grad, t.grad) for t in (t1, t2)]
    for tensor, (kind, attributes, data, requires_grad, grad) in zip((t2, t1), held):
        tensor.grad = None
        tensor.requires_grad_(False)
        if type(tensor) is not kind:
            tensor.__class__ = kind
        tensor.data = data
        vars(tensor).clear()
        vars(tensor).update(attributes)
        tensor.requires_grad_(requires_grad)
        tensor.grad = grad
