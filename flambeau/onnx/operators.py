"""Shapes as tensors, so that an exported graph may depend on them."""

import flambeau


def shape_as_tensor(x):
    """The sizes of a tensor as a tensor.

    >>> import flambeau as torch
    >>> from flambeau.onnx.operators import shape_as_tensor
    >>> shape_as_tensor(torch.ones(2, 3))
    tensor([2, 3])
    """
    return flambeau._shape_as_tensor(x)


def reshape_from_tensor_shape(x, shape):
    """The tensor in the shape that another tensor holds."""
    return x.reshape(shape.tolist())
