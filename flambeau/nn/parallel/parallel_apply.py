"""Several modules, each on its own input."""

__all__ = ["get_a_var", "parallel_apply"]


def get_a_var(obj):
    """The first tensor in nested lists, tuples and dictionaries; None if there is none."""
    from flambeau import Tensor
    from flambeau.utils._pytree import tree_leaves

    return next((leaf for leaf in tree_leaves(obj) if isinstance(leaf, Tensor)), None)


def parallel_apply(modules, inputs, kwargs_tup=None, devices=None):
    """[module(*input, **kwargs), ...], one after the other: there is one device.

    >>> import flambeau as torch
    >>> torch.nn.parallel.parallel_apply([torch.neg, torch.abs], [torch.ones(1), -torch.ones(1)])
    [tensor([-1.]), tensor([1.])]
    """
    kwargs_tup = kwargs_tup or [{}] * len(modules)
    given = [x if isinstance(x, (list, tuple)) else (x,) for x in inputs]
    return [module(*x, **k) for module, x, k in zip(modules, given, kwargs_tup, strict=True)]
