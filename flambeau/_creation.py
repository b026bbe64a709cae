"""Tensors from other libraries' objects: asarray, from_numpy, from_dlpack."""

from flambeau import _C


def from_numpy(ndarray, /):
    """A tensor over a NumPy array's memory.

    >>> import numpy, flambeau as torch
    >>> torch.from_numpy(numpy.arange(3))
    tensor([0, 1, 2])
    """
    return _C.from_numpy(ndarray)


def from_dlpack(ext_tensor, /, *, device=None, copy=None):
    """A tensor over the memory of another library's, through DLPack.

    >>> import numpy, flambeau as torch
    >>> torch.from_dlpack(numpy.ones(2, dtype="float32"))
    tensor([1., 1.])
    """
    made = _C.from_dlpack(ext_tensor)
    if device is not None:
        made = made.to(device)
    return made.clone() if copy else made


def asarray(obj, *, dtype=None, device=None, copy=None, requires_grad=None):
    """A tensor from a tensor, an array, a buffer, numbers or sequences; without a copy if it can.

    A tensor keeps its history unless requires_grad is False.

    >>> import flambeau as torch
    >>> torch.asarray([1, 2])
    tensor([1, 2])
    """
    made = None
    if isinstance(obj, _C.Tensor):
        made = obj
    elif isinstance(obj, _C.UntypedStorage):
        made = _C.tensor([], dtype=dtype or _C.get_default_dtype()).set_(obj)
    elif hasattr(obj, "__array_interface__"):
        if copy is False and not hasattr(obj, "__array_function__"):  # NumPy's scalars
            raise RuntimeError(
                "asarray(): can't alias NumPy scalars. Either remove copy=False or transform it "
                "in a ndarray."
            )
        made = _C.as_tensor(obj)
    elif not isinstance(obj, (bool, int, float, complex, list, tuple)):
        if hasattr(obj, "__dlpack__") or type(obj).__name__ == "PyCapsule":
            made = _C.from_dlpack(obj)
        elif isinstance(obj, (bytes, bytearray, memoryview)):
            made = _C.frombuffer(obj, dtype=dtype or _C.get_default_dtype())
    if made is None:
        if copy is False:
            raise ValueError("asarray(): can't alias arbitrary sequences")
        made = _C.tensor(obj, dtype=dtype, device=device)
    else:
        source = made
        if dtype is not None or device is not None:
            made = made.to(device=device, dtype=dtype)
        if copy is False and made.data_ptr() != source.data_ptr():
            raise ValueError("asarray(): this dtype or device needs a copy")
        if copy and made.data_ptr() == source.data_ptr():
            made = made.clone()
    if made.requires_grad and requires_grad is False:
        return made.detach()
    if requires_grad and not made.requires_grad:
        return (made.detach() if made is obj else made).requires_grad_()
    return made
