"""Methods of Tensor that are easier in Python; attached to the C type when flambeau is imported."""

import flambeau
from flambeau import _C

from . import _rare_methods

Tensor = _C.Tensor


def _repr(self, *, tensor_contents=None):
    from . import _tensor_str

    return _tensor_str.text(self, tensor_contents)


def _format(self, format_spec):
    if self.dim() == 0 and not self.is_meta and type(self) is Tensor:
        return self.item().__format__(format_spec)
    return object.__format__(self, format_spec)


def _contains(self, element):
    if isinstance(element, (Tensor, bool, int, float, complex)):
        return bool((element == self).any().item())
    raise RuntimeError(
        f"Tensor.__contains__ only supports Tensor or scalar, but you passed in a {type(element)}."
    )


def _reversed(self):
    return self if self.dim() == 0 else self.flip(0)


def _deepcopy(self, memo):
    from . import _utils

    return _utils.deepcopy_tensor(self, memo)


def _reduce_ex(self, protocol):
    from . import _utils

    return _utils.reduce_tensor(self, protocol)


def _setstate(self, state):
    self.__dict__.update(state)


def _dir(self):
    return sorted({*dir(type(self)), *self.__dict__})


# -- NumPy -----------------------------------------------------------------------------------------
def numpy(self, *, force=False):
    """An array over the tensor's memory; with `force`, a copy where that is not possible.

    >>> import flambeau as torch
    >>> torch.ones(2).numpy()
    array([1., 1.], dtype=float32)
    """
    if force:
        return self.detach().cpu().numpy()
    if not self.is_cpu:
        raise TypeError(
            f"can't convert {self.device} device type tensor to numpy. Use Tensor.cpu() to copy "
            "the tensor to host memory first."
        )
    if self.requires_grad and _C.is_grad_enabled():
        raise RuntimeError(
            "Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead."
        )
    if self.dtype not in _NUMPY_HAS:
        name = self.type().removeprefix("torch.").removesuffix("Tensor")
        raise TypeError(f"Got unsupported ScalarType {name}")
    return _numpy().asarray(_C._array_source(self))


def _numpy():
    import numpy

    globals()["_numpy"] = lambda: numpy
    return numpy


_NUMPY_HAS = {
    getattr(_C, name)
    for name in "uint8 int8 int16 int32 int64 uint16 uint32 uint64 float16 float32 float64 "
    "complex64 complex128 bool".split()
}


def _array(self, dtype=None, copy=None):
    array = self.numpy()
    if dtype is not None and array.dtype != dtype:
        if copy is False:
            raise ValueError("__array__(): another dtype needs a copy")
        return array.astype(dtype)
    return array.copy() if copy else array


def _array_wrap(self, array, context=None, return_scalar=False):
    if array.dtype == bool:  # what NumPy's comparisons give
        return flambeau.from_numpy(array.copy())
    return flambeau.from_numpy(array)


# -- dtype and device ------------------------------------------------------------------------------
def type_(self, dtype=None, non_blocking=False):
    """The name of the tensor's type, or the tensor converted to `dtype`.

    >>> import flambeau as torch
    >>> torch.ones(1).type(torch.int64)
    tensor([1])
    """
    if dtype is None:
        return self._type_name()
    if isinstance(dtype, str):
        name = dtype.rpartition(".")[2].removesuffix("Tensor")
        dtype = _DTYPES_BY_NAME.get(name)
        if dtype is None:
            raise ValueError(f"invalid type: '{name}'")
    elif dtype is _C.Tensor:
        dtype = _C.get_default_dtype()
    elif not isinstance(dtype, _C.dtype):
        dtype = getattr(dtype, "dtype", dtype)
    return self.to(dtype)


_DTYPES_BY_NAME = {
    "Float": _C.float32,
    "Double": _C.float64,
    "Half": _C.float16,
    "BFloat16": _C.bfloat16,
    "Byte": _C.uint8,
    "Char": _C.int8,
    "Short": _C.int16,
    "Int": _C.int32,
    "Long": _C.int64,
    "Bool": _C.bool,
    "ComplexFloat": _C.complex64,
    "ComplexDouble": _C.complex128,
}


def cuda(self, device=None, non_blocking=False, memory_format=None):
    """A copy on a CUDA device: an error, as this build has none."""
    raise AssertionError("Torch not compiled with CUDA enabled")


def new_tensor(self, data, *, dtype=None, device=None, requires_grad=False, pin_memory=False):
    """A tensor from data, with this one's dtype and device unless told otherwise.

    >>> import flambeau as torch
    >>> torch.ones(1, dtype=torch.int8).new_tensor([1, 2])
    tensor([1, 2], dtype=torch.int8)
    """
    return _C.tensor(
        data,
        dtype=self.dtype if dtype is None else dtype,
        device=self.device if device is None else device,
        requires_grad=requires_grad,
    )


def new(self, *args, size=None, device=None):
    """A tensor of this one's dtype, of the given sizes, from the given data or over a storage."""
    if device is not None and _C.device(device).type != self.device.type:
        raise RuntimeError(f"new(): makes tensors on {self.device}, not on {device}")
    if size is not None:
        args = (_C.Size(size),)
    if len(args) == 1 and not isinstance(args[0], int) and flambeau.is_storage(args[0]):
        return self.new_empty(0).set_(args[0])
    if len(args) == 1 and isinstance(args[0], _C.Tensor):
        if args[0].dtype != self.dtype:
            raise TypeError(f"new(): expected a tensor of {self.dtype}, got {args[0].dtype}")
        return args[0].view_as(args[0])
    if len(args) == 1 and not isinstance(args[0], (int, _C.Size)):
        return self.new_tensor(args[0])
    return flambeau.empty(*(args or (0,)), dtype=self.dtype, device=self.device)


def is_shared(self):
    """Whether its memory is shared between processes."""
    return self.untyped_storage().is_shared()


def share_memory_(self):
    """Moves the storage into memory that other processes can map; every view follows.

    >>> import flambeau as torch
    >>> torch.ones(2).share_memory_().is_shared()
    True
    """
    self.untyped_storage().share_memory_()
    return self


def is_pinned(self, device=None):
    """Whether its memory is pinned for a GPU: never on a build without one."""
    return False


def pin_memory(self, device=None):
    """Pinned memory belongs to a GPU; without one the tensor itself is the answer."""
    return self


def storage(self):
    """The typed storage behind the tensor."""
    return flambeau.TypedStorage(wrap_storage=self.untyped_storage(), dtype=self.dtype)


def module_load(self, other, assign=False):
    """What Module.load_state_dict puts in this tensor's place."""
    return other.detach() if assign else self.copy_(other).detach()


def itself(self):
    """The tensor itself: no operation here leaves a conjugation or a sign to be done later."""
    return self


def never(self):
    """False: no operation here leaves a conjugation or a sign to be done later."""
    return False


def _init_subclass(cls, **kwargs):
    object.__init_subclass__(**kwargs)
    # flambeau's own classes say what they do with each method.
    if "__torch_function__" in cls.__dict__ and not cls.__module__.startswith("flambeau."):
        from . import overrides

        overrides._prepare_subclass(cls)


_SPECIAL = {
    "__init_subclass__": classmethod(_init_subclass),
    "__repr__": _repr,
    "__format__": _format,
    "__contains__": _contains,
    "__reversed__": _reversed,
    "__deepcopy__": _deepcopy,
    "__reduce_ex__": _reduce_ex,
    "__setstate__": _setstate,
    "__dir__": _dir,
    "__array__": _array,
    "__array_wrap__": _array_wrap,
    "__array_priority__": 1000,
    "type": type_,
    "_grad": property(lambda self: self.grad, lambda self, value: setattr(self, "grad", value)),
    "resolve_conj": itself,
    "resolve_neg": itself,
    "is_conj": never,
    "is_neg": never,
}
_PLAIN = (
    numpy, cuda, new_tensor, new, is_shared, share_memory_, is_pinned, pin_memory, storage,
    module_load,
)  # fmt: skip


def _type_function(cls, func, types, args=(), kwargs=None):
    """One of PyTorch's functions was given a dtype or device of flambeau's: it is for our function
    of that name, unless another argument wants the call."""
    from ._foreign import taken, twin

    found = twin(func)
    ours = all(issubclass(t, (Tensor, *_SMALL_TYPES)) for t in types)
    if not ours or found is func or found is None:
        return NotImplemented
    return found(*taken(args), **taken(kwargs or {}))


_SMALL_TYPES = (_C.dtype, _C.device, _C.layout, _C.memory_format)


def attach(methods):
    """Gives Tensor the methods of this file and those of the operator table."""
    for name, value in _SPECIAL.items():
        setattr(Tensor, name, value)
    for kind in _SMALL_TYPES:
        kind.__torch_function__ = classmethod(_type_function)
    for function in _PLAIN:
        setattr(Tensor, function.__name__, function)
    _rare_methods.attach(Tensor)
    own = set(Tensor.__dict__)
    for name, function in methods.items():
        if name not in own:
            setattr(Tensor, name, function)


def _rebuild_from_type_v2(func, new_type, args, state):
    """A tensor of a class of its own, in a plain pickle that PyTorch wrote."""
    from ._loader import plain

    return plain._rebuild_from_type(func, new_type, args, state)
