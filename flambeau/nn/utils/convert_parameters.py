"""Parameters as one vector, and back."""

import flambeau as torch

__all__ = ["parameters_to_vector", "vector_to_parameters"]


def parameters_to_vector(parameters):
    """Writes all parameters in one row.

    >>> import flambeau as torch
    >>> torch.nn.utils.parameters_to_vector([torch.zeros(2), torch.ones(1, 2)])
    tensor([0., 0., 1., 1.])
    """
    return torch.cat([param.reshape(-1) for param in parameters])


def vector_to_parameters(vec, parameters):
    """Gives parameters the values of one row.

    >>> import flambeau as torch
    >>> w = torch.nn.Parameter(torch.zeros(1, 2))
    >>> torch.nn.utils.vector_to_parameters(torch.ones(2), [w])
    >>> w.data
    tensor([[1., 1.]])
    """
    if not isinstance(vec, torch.Tensor):
        raise TypeError(f"expected torch.Tensor, but got: {type(vec)}")
    start = 0
    for param in parameters:
        param.data = vec[start : start + param.numel()].view_as(param).data
        start += param.numel()
