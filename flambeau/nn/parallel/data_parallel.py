"""A module on several GPUs; without any, the module itself."""

from flambeau.nn import Module

__all__ = ["DataParallel", "data_parallel"]


class DataParallel(Module):
    """Splits a batch over GPUs; without any, calls the module on the whole of it, so that
    `output_device` and `dim` have no say.

    State keys carry the prefix `module.`, as PyTorch's do.

    >>> import flambeau as torch
    >>> list(torch.nn.DataParallel(torch.nn.Linear(1, 1)).state_dict())
    ['module.weight', 'module.bias']
    """

    def __init__(self, module, device_ids=None, output_device=None, dim=0):
        super().__init__()
        if device_ids:
            raise AssertionError("Torch not compiled with CUDA enabled")
        self.module = module
        self.dim = dim
        self.device_ids = []

    def forward(self, *inputs, **kwargs):
        return self.module(*inputs, **kwargs)


def data_parallel(module, inputs, device_ids=None, output_device=None, dim=0, module_kwargs=None):
    """`DataParallel(module, ...)(*inputs, **module_kwargs)` without the wrapper."""
    if device_ids:
        raise AssertionError("Torch not compiled with CUDA enabled")
    inputs = inputs if isinstance(inputs, tuple) else (inputs,)
    return module(*inputs, **(module_kwargs or {}))
