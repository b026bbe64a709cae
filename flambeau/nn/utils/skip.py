"""Making a layer without drawing its weights."""

__all__ = ["skip_init"]


def skip_init(module_cls, *args, **kwargs):
    """Makes a layer whose weights hold whatever the memory held, to be loaded later.

    >>> import flambeau as torch
    >>> torch.nn.utils.skip_init(torch.nn.Linear, 2, 3).weight.shape
    torch.Size([3, 2])
    """
    from ..modules import Module

    if not (isinstance(module_cls, type) and issubclass(module_cls, Module)):
        raise RuntimeError(f"Expected a Module; got {module_cls}")
    device = kwargs.pop("device", "cpu")
    return module_cls(*args, device="meta", **kwargs).to_empty(device=device)
