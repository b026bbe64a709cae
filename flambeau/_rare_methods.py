"""Methods of Tensor that programs call now and then; attached when flambeau is imported."""

import flambeau
from flambeau import _C


def where(self, condition, other):
    """This tensor where the condition holds, other elsewhere.

    >>> import flambeau as torch
    >>> x = torch.tensor([1, -2])
    >>> x.where(x > 0, 0)
    tensor([1, 0])
    """
    return flambeau.where(condition, self, other)


def fill_diagonal_(self, fill_value, wrap=False):
    """Writes a number on the main diagonal, the diagonal of a cube where there are more dimensions.

    With `wrap` the diagonal of a tall matrix begins again after each block of as many rows as
    there are columns and one.

    >>> import flambeau as torch
    >>> torch.zeros(2, 2).fill_diagonal_(5)
    tensor([[5., 0.],
            [0., 5.]])
    """
    if self.dim() < 2:
        raise RuntimeError("fill_diagonal_(): dimensions must larger than 1")
    if self.dim() > 2 and len(set(self.shape)) > 1:
        raise RuntimeError("fill_diagonal_(): all dimensions of input must be of equal length")
    rows, step, at = self.shape[0], sum(self.stride()), self.storage_offset()
    block = min(self.shape)
    starts = range(0, rows, block + 1) if wrap and self.dim() == 2 and block else (0,)
    for first in starts:
        n = min(block, rows - first)
        self.as_strided((n,), (step,), at + first * self.stride(0)).fill_(fill_value)
    return self


def hardshrink(self, lambd=0.5):
    """nn.functional.hardshrink()."""
    return flambeau.nn.functional.hardshrink(self, lambd)


def dequantize(self):
    """The numbers in float32; quantized tensors there are none."""
    return self.to(flambeau.float32)


def _refuse_history(name, *tensors):
    if any(t.requires_grad for t in tensors):
        raise RuntimeError(
            f"Can't call {name}() on Variable that requires grad. "
            f"Use var.detach().{name}() instead."
        )


def _numbers(values, like):
    """What functions of Python gave, as a tensor of the shape and dtype of another."""
    for value in values:
        if not isinstance(value, (int, float, complex, flambeau.Tensor)) and not hasattr(
            value, "item"
        ):
            raise TypeError(f"must be real number, not {type(value).__name__}")
    return flambeau.tensor(values, dtype=like.dtype).reshape(like.shape)


def apply_(self, callable):
    """Sets every element to callable(element); slow, on the CPU only."""
    _refuse_history("apply_", self)
    flat = [callable(value) for value in self.reshape(-1).tolist()]
    return self.copy_(_numbers(flat, self))


def map_(self, tensor, callable):
    """Sets every element to callable(element, element of tensor); slow, on the CPU only."""
    pairs = zip(self.reshape(-1).tolist(), tensor.expand_as(self).reshape(-1).tolist())
    _refuse_history("map_", self, tensor)
    return self.copy_(_numbers([callable(a, b) for a, b in pairs], self))


def map2_(self, x, y, callable):
    """Sets every element to callable(element, element of x, element of y); slow."""
    sides = (t.expand_as(self).reshape(-1).tolist() for t in (self, x, y))
    _refuse_history("map2_", self, x, y)
    return self.copy_(_numbers([callable(*values) for values in zip(*sides)], self))


def _resized(self, sizes):
    import warnings

    warnings.warn("non-inplace resize is deprecated", stacklevel=3)
    return self.reshape(sizes)


def resize(self, *sizes):
    """reshape() under its oldest name."""
    return _resized(self, sizes[0] if len(sizes) == 1 and not isinstance(sizes[0], int) else sizes)


def resize_as(self, tensor):
    """reshape_as() under its oldest name."""
    return _resized(self, tensor.shape)


def _has_format(tensor, memory_format):
    rank = {flambeau.channels_last: 4, flambeau.channels_last_3d: 5}
    fits = rank.get(memory_format, tensor.dim()) == tensor.dim()
    return fits and tensor.is_contiguous(memory_format=memory_format)


def dim_order(self, ambiguity_check=False):
    """The dimensions from the outermost to the innermost in memory.

    ambiguity_check: whether it is a RuntimeError if strides allow another order, too (dimensions of
    one element do); a list of memory formats, if they then fit other than one of these.

    >>> import flambeau as torch
    >>> torch.empty(2, 3, 5).transpose(0, 1).dim_order()
    (1, 0, 2)
    """
    if not isinstance(ambiguity_check, (bool, list, tuple)):
        raise TypeError("The ambiguity_check argument must be a bool or a list of memory formats.")
    unique = 1 not in self.shape and len(set(self.stride())) == self.dim()
    if not unique and isinstance(ambiguity_check, (list, tuple)):
        unique = sum(_has_format(self, each) for each in ambiguity_check) == 1
    if ambiguity_check and not unique:
        raise RuntimeError(
            "The tensor does not have unique dim order, or cannot map to exact one of the given "
            "memory formats."
        )
    strides = self.stride()
    return tuple(sorted(range(self.dim()), key=lambda d: -strides[d]))


def const_data_ptr(self):
    """The address of the first element."""
    return self.data_ptr()


def storage_type(self):
    """The class of storage(): FloatStorage and its kin."""
    return getattr(flambeau, self.storage().pickle_storage_type())


def reinforce(self, reward):
    """An error: gradients of random draws are taken through distributions."""
    raise RuntimeError(
        "reinforce() was removed: use flambeau.distributions and its log_prob() in a loss instead"
    )


def to_padded_tensor(self, padding, output_size=None):
    """An error: there are no nested tensors."""
    raise RuntimeError("to_padded_tensor(): only nested tensors can be padded")


def record_stream(self, stream):
    """Nothing on the CPU, whose memory is not handed out again while it is in use."""


def _make_wrapper_subclass(cls, size, **options):
    """An object of `cls` that looks like a tensor and has no elements of its own."""
    from .utils._python_dispatch import make_wrapper_subclass

    return make_wrapper_subclass(cls, size, **options)


@classmethod
def _torch_dispatch(cls, func, types, args=(), kwargs=None):
    """The operator as it runs on plain tensors."""
    with _C._DisableTorchDispatch():
        return func(*args, **(kwargs or {}))


def _no_device(name):
    def to_device(self, *args, **kwargs):
        raise RuntimeError(f"flambeau is not compiled with {name.upper()} support")

    to_device.__name__ = name
    to_device.__doc__ = f"An error: there is no {name.upper()} device."
    return to_device


def _removed(name):
    def function(self, *args, **kwargs):
        return getattr(flambeau, name)(self, *args, **kwargs)

    function.__name__ = name
    function.__doc__ = f"An error: removed from PyTorch, as flambeau.{name}() says."
    return function


def _grad_dtype(self):
    return self.dtype if self.requires_grad else None


_PLAIN = (
    where, fill_diagonal_, apply_, map_, map2_, resize, resize_as, dim_order, const_data_ptr,
    storage_type,
    hardshrink, dequantize,
    reinforce, to_padded_tensor, record_stream,
)  # fmt: skip


def _cdata(self):
    """A number that tells one tensor from another while both live."""
    return id(self)


def attach(cls):
    """Gives cls the methods of this file."""
    cls._cdata = property(_cdata)
    for function in _PLAIN:
        setattr(cls, function.__name__, function)
    cls._make_wrapper_subclass = staticmethod(_make_wrapper_subclass)
    cls.__torch_dispatch__ = _C._disabled_torch_dispatch_impl = _torch_dispatch
    for name in ("ipu", "mtia", "xpu"):
        if not hasattr(cls, name):
            setattr(cls, name, _no_device(name))
    for name in ("eig", "lstsq", "solve", "symeig"):
        setattr(cls, name, _removed(name))
    for name in ("is_ipu", "is_maia", "is_mtia", "is_vulkan", "is_xla"):
        if not hasattr(cls, name):
            setattr(cls, name, property(lambda self: False, doc="False: no such device."))
    cls.grad_dtype = property(_grad_dtype, doc="The dtype of its gradient.")
    cls.name = None  # a program's own to set
    cls.volatile = property(lambda self: False, doc="False: gradients are turned off by no_grad().")
