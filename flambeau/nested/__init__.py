"""Nested tensors: batches of tensors of unlike sizes as one.

With layout=torch.jagged one dimension differs and the data lies in one piece; with the default
layout, torch.strided, all dimensions may differ.

>>> import flambeau as torch
>>> words = torch.nested.nested_tensor([torch.ones(2, 3), torch.ones(4, 3)], layout=torch.jagged)
>>> (words * 2).sum(1)
tensor([[4., 4., 4.],
        [8., 8., 8.]])
"""

import flambeau

from ._tensor import NestedTensor, jagged, of_parts

__all__ = [
    "as_nested_tensor",
    "masked_select",
    "narrow",
    "nested_tensor",
    "nested_tensor_from_jagged",
    "to_padded_tensor",
]


def nested_tensor(
    tensor_list, *, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False
):
    """A nested tensor of copies of tensors, or of lists of numbers; it is a leaf.

    >>> import flambeau as torch
    >>> torch.nested.nested_tensor([[1, 2], [3]])
    nested_tensor([
      tensor([1, 2]),
      tensor([3])
    ])
    """
    parts = [
        (t.detach().clone() if isinstance(t, flambeau.Tensor) else flambeau.tensor(t, dtype=dtype))
        for t in tensor_list
    ]
    parts = [t.to(device=device or t.device, dtype=dtype or t.dtype) for t in parts]
    made = of_parts(parts, layout or flambeau.strided)
    return made.requires_grad_() if requires_grad else made


def as_nested_tensor(ts, dtype=None, device=None, layout=None):
    """A nested tensor of tensors, through which gradients reach them.

    >>> import flambeau as torch
    >>> x = torch.ones(2, requires_grad=True)
    >>> nested = torch.nested.as_nested_tensor([x, torch.zeros(3)], layout=torch.jagged)
    >>> nested.values().sum().backward()
    >>> x.grad
    tensor([1., 1.])
    """
    if isinstance(ts, NestedTensor):
        return ts if layout in (None, ts.layout) else of_parts(ts.unbind(), layout)
    if not isinstance(ts, (flambeau.Tensor, list, tuple)):
        raise TypeError(
            "as_nested_tensor(): Expected first argument to be a tensor or a list / tuple of "
            "tensors"
        )
    parts = list(ts)
    if not all(isinstance(t, flambeau.Tensor) for t in parts):
        raise TypeError("as_nested_tensor(): Expected list / tuple of tensors")
    parts = [t.to(device=device or t.device, dtype=dtype or t.dtype) for t in parts]
    return of_parts(parts, layout or flambeau.strided)


def to_padded_tensor(input, padding, output_size=None, out=None):
    """A plain tensor in which all parts have the size of the largest, or output_size.

    >>> import flambeau as torch
    >>> torch.nested.to_padded_tensor(torch.nested.nested_tensor([[1, 2], [3]]), 0)
    tensor([[1, 2],
            [3, 0]])
    """
    made = input.to_padded_tensor(padding, output_size)
    return made if out is None else out.resize_(made.shape).copy_(made)


def nested_tensor_from_jagged(
    values, offsets=None, lengths=None, jagged_dim=None, min_seqlen=None, max_seqlen=None
):
    """A jagged tensor over values: part i begins at offsets[i] and ends at the next, or has
    lengths[i] entries.

    >>> import flambeau as torch
    >>> both = torch.nested.nested_tensor_from_jagged(torch.arange(5), torch.tensor([0, 2, 5]))
    >>> both.unbind()
    (tensor([0, 1]), tensor([2, 3, 4]))
    """
    if offsets is None and lengths is None:
        raise RuntimeError(
            "nested_tensor_from_jagged(): At least one of offsets or lengths is required."
        )
    if offsets is None:
        offsets = flambeau.nn.functional.pad(lengths.cumsum(0), (1, 0))
        lengths = None
    return jagged(values, offsets, lengths, 1 if jagged_dim is None else jagged_dim)


def narrow(tensor, dim, start, length, layout=flambeau.strided):
    """Of each row of a batch a piece of its own: from start[i], length[i] long.

    >>> import flambeau as torch
    >>> rows = torch.arange(6).view(2, 3)
    >>> start, length = torch.tensor([0, 1]), torch.tensor([1, 2])
    >>> torch.nested.narrow(rows, 1, start, length, layout=torch.jagged).unbind()
    (tensor([0]), tensor([4, 5]))
    """
    if not isinstance(start, (int, flambeau.Tensor)) or not isinstance(
        length, (int, flambeau.Tensor)
    ):
        raise RuntimeError("start and length must be ints or tensors")
    if dim != 1:
        raise RuntimeError("narrow(): only dim=1 is supported")
    starts, lengths = (
        [int(v)] * tensor.shape[0] if isinstance(v, int) else v.tolist() for v in (start, length)
    )
    parts = [t.narrow(0, s, n) for t, s, n in zip(tensor, starts, lengths)]
    return of_parts(parts, layout)


def masked_select(tensor, mask):
    """Of each row of a batch the elements where the mask is true, as a jagged tensor.

    >>> import flambeau as torch
    >>> mask = torch.tensor([[True, False], [True, True]])
    >>> torch.nested.masked_select(torch.tensor([[1, 2], [3, 4]]), mask).unbind()
    (tensor([1]), tensor([3, 4]))
    """
    mask = mask.broadcast_to(tensor.shape)
    if tensor.dim() != 2:
        raise RuntimeError("masked_select(): expected a tensor with two dimensions")
    offsets = flambeau.nn.functional.pad(mask.sum(1).cumsum(0), (1, 0))
    return jagged(tensor[mask], offsets)
