"""What serialization and data loading share: storages, their bytes, and tensors rebuilt on them."""

import flambeau

# PyTorch's names of typed storages. A dtype without one travels as an untyped storage.
STORAGE_TYPES = {
    "FloatStorage": flambeau.float32,
    "DoubleStorage": flambeau.float64,
    "HalfStorage": flambeau.float16,
    "BFloat16Storage": flambeau.bfloat16,
    "LongStorage": flambeau.int64,
    "IntStorage": flambeau.int32,
    "ShortStorage": flambeau.int16,
    "CharStorage": flambeau.int8,
    "ByteStorage": flambeau.uint8,
    "BoolStorage": flambeau.bool,
    "ComplexFloatStorage": flambeau.complex64,
    "ComplexDoubleStorage": flambeau.complex128,
    "QInt8Storage": flambeau.qint8,
    "QUInt8Storage": flambeau.quint8,
    "QInt32Storage": flambeau.qint32,
}


def _element_size(dtype):
    """The bytes of an element."""
    if not isinstance(dtype, flambeau.dtype):
        raise RuntimeError(f"expected torch.dtype, but got {type(dtype)}")
    return dtype.itemsize


def _bytes_of(tensor):
    """A writable view of the bytes of a contiguous CPU tensor, in the tensor's own memory."""
    flat = tensor.detach().reshape(-1).view(flambeau.uint8)
    return memoryview(flat)


def device_args(device):
    """The arguments that make this device again."""
    return (device.type,) if device.index is None else (device.type, device.index)


def storage_address(storage):
    """What tells one storage from another while both live."""
    return storage._cdata


def storage_bytes(storage):
    """A view of all bytes of a CPU storage."""
    if storage.nbytes() == 0:
        return memoryview(b"")
    flat = flambeau.empty(0, dtype=flambeau.uint8).data.set_(storage)  # .data: no write is counted
    return _bytes_of(flat)


def tensor_on(storage, dtype, offset, size, stride):
    """A tensor over a storage. The caller has checked that it lies within."""
    return flambeau.empty(0, dtype=dtype, device=storage.device).set_(storage, offset, size, stride)


def check_within(nbytes, itemsize, offset, size, stride):
    """RuntimeError unless all elements of such a tensor lie in a storage of so many bytes."""
    size, stride = tuple(size), tuple(stride)
    for name, values in (("size", size), ("stride", stride), ("storage_offset", (offset,))):
        if not all(type(value) is int and 0 <= value < 1 << 63 for value in values):
            raise RuntimeError(f"rebuilding a tensor: bad {name} {values}")
    if len(size) != len(stride) or len(size) > 64:
        raise RuntimeError(f"rebuilding a tensor: size {size} does not go with stride {stride}")
    count = 1
    for length in size:
        count *= length
    if count >= 1 << 63:
        raise RuntimeError(f"rebuilding a tensor: size {size} has too many elements")
    last = sum((length - 1) * step for length, step in zip(size, stride)) if count else -1
    if (offset + last + 1) * itemsize > nbytes:
        raise RuntimeError(
            f"rebuilding a tensor: size {size}, stride {stride}, storage_offset {offset} go past "
            f"a storage of {nbytes} bytes"
        )


def check_flags(storage):
    """RuntimeError if the bytes of a storage of bools are not all 0 or 1."""
    if bytes(storage_bytes(storage)).translate(None, b"\0\1"):
        raise RuntimeError("rebuilding a tensor: a bool that is neither 0 nor 1")


# -- pickle and copy of tensors, attached to Tensor in _tensor.py ----------------------------------
def reduce_tensor(tensor, protocol):
    """`Tensor.__reduce_ex__`: the storage, which views share in the pickle too, and the place."""
    size, stride = tuple(tensor.size()), tuple(tensor.stride())
    dtype = str(tensor.dtype).rpartition(".")[2]
    storage = None if tensor.device.type == "meta" else tensor.detach().untyped_storage()
    arguments = storage, dtype, tensor.storage_offset(), size, stride, tensor.requires_grad
    state = dict(vars(tensor)) or None
    return _rebuild_tensor, (*arguments, type(tensor)), state


def _rebuild_tensor(storage, dtype, offset, size, stride, requires_grad, kind):
    dtype = getattr(flambeau, dtype)
    if storage is None:
        made = flambeau.empty_strided(size, stride, dtype=dtype, device="meta")
    else:
        check_within(storage.nbytes(), dtype.itemsize, offset, size, stride)
        made = tensor_on(storage, dtype, offset, size, stride)
    if kind is not flambeau.Tensor:
        made = made.as_subclass(kind)
    return made.requires_grad_() if requires_grad else made


def reduce_storage(storage, protocol):
    """`UntypedStorage.__reduce_ex__`: its bytes, without a copy where the protocol allows it."""
    data = storage_bytes(storage)
    if protocol >= 5:
        import pickle

        return _rebuild_storage, (pickle.PickleBuffer(data),)
    return _rebuild_storage, (bytes(data),)


def _rebuild_storage(data):
    data = memoryview(data)
    made = flambeau.empty(data.nbytes, dtype=flambeau.uint8)
    if data.nbytes:
        _bytes_of(made)[:] = data.cast("B")
    return made.untyped_storage()


def _holds_others(tensor):
    """Whether a tensor is of a class whose elements lie in attributes of the object."""
    if type(tensor) is flambeau.Tensor or isinstance(tensor, flambeau.nn.Parameter):
        return False
    from .utils._python_dispatch import _dispatches

    return tensor.device.type == "meta" or _dispatches(type(tensor))


def deepcopy_tensor(tensor, memo):
    """`Tensor.__deepcopy__`: tensors that share a storage do so in the copy."""
    import copy

    if id(tensor) in memo:
        return memo[id(tensor)]
    if not tensor.is_leaf:
        raise RuntimeError(
            "Only Tensors created explicitly by the user (graph leaves) support the deepcopy "
            f"protocol at the moment; this one has grad_fn={tensor.grad_fn}. detach() it first"
        )
    if _holds_others(tensor):
        with flambeau.no_grad():
            made = tensor.clone()
        if type(made) is type(tensor):
            memo[id(tensor)] = made.requires_grad_(tensor.requires_grad)
            own = {k: v for k, v in vars(tensor).items() if k not in vars(made)}
            vars(made).update(copy.deepcopy(own, memo))
            _copy_slots(tensor, made, memo)
            return made
    plain = tensor.detach()
    if plain.device.type == "meta" or plain.layout is not flambeau.strided:
        made = plain.clone()
    else:
        storage = plain.untyped_storage()
        if id(storage) not in memo:
            memo[id(storage)] = _rebuild_storage(storage_bytes(storage))
            memo.setdefault(id(memo), []).append(storage)  # its id stays its own
        place = plain.storage_offset(), tuple(plain.size()), tuple(plain.stride())
        made = tensor_on(memo[id(storage)], plain.dtype, *place)
    if type(tensor) is not flambeau.Tensor:
        made = made.as_subclass(type(tensor))
    memo[id(tensor)] = made
    if tensor.requires_grad:
        made.requires_grad_()
    if tensor.grad is not None:
        made.grad = copy.deepcopy(tensor.grad, memo)
    vars(made).update(copy.deepcopy(vars(tensor), memo))
    _copy_slots(tensor, made, memo)
    return made


def _copy_slots(tensor, made, memo):
    """What the class of a tensor keeps in __slots__ of its own."""
    import copy
    import copyreg

    for name in copyreg._slotnames(type(tensor)):
        slot = getattr(type(tensor), name, None)
        if type(slot) is not _MEMBER:
            continue  # a name that another class answers
        try:
            value = slot.__get__(tensor)
        except AttributeError:
            continue  # not set
        slot.__set__(made, copy.deepcopy(value, memo))


class _Slotted:
    __slots__ = ("slot",)


_MEMBER = type(_Slotted.slot)


flambeau.UntypedStorage.__reduce_ex__ = reduce_storage
flambeau.UntypedStorage.__sizeof__ = lambda self: 64 + self.nbytes()


def _flatten_dense_tensors(tensors):
    """One flat tensor of all elements, in order."""
    return flambeau.cat([t.reshape(-1) for t in tensors])


def _unflatten_dense_tensors(flat, tensors):
    """Views of a flat tensor with the shapes of these tensors."""
    parts = flat.split([t.numel() for t in tensors])
    return tuple(part.view_as(t) for part, t in zip(parts, tensors, strict=True))


def _take_tensors(tensors, size_limit):
    """Groups of tensors of one type with up to size_limit bytes each, in the order they fill up."""
    open_groups = {}
    for tensor in tensors:
        group, size = open_groups.get(tensor.type(), ([], 0))
        nbytes = tensor.numel() * tensor.element_size()
        if group and size + nbytes > size_limit:
            yield group
            group, size = [], 0
        open_groups[tensor.type()] = [*group, tensor], size + nbytes
    for group, _ in open_groups.values():
        yield group


def _reorder_tensors_as(tensors, ordered):
    """The tensors in the order in which their types come in `ordered`."""
    of_type = {}
    for tensor in tensors:
        of_type.setdefault(tensor.type(), []).append(tensor)
    waiting = {name: iter(group) for name, group in of_type.items()}
    return tuple(next(waiting[tensor.type()]) for tensor in ordered)


class ExceptionWrapper:
    """An exception on its way to another thread or process, with its traceback as text.

    >>> from flambeau._utils import ExceptionWrapper
    >>> try:
    ...     1 / 0
    ... except ZeroDivisionError:
    ...     wrapped = ExceptionWrapper(where="in a thread")
    >>> try:
    ...     wrapped.reraise()
    ... except ZeroDivisionError as error:
    ...     print(str(error).splitlines()[0])
    Caught ZeroDivisionError in a thread.
    """

    def __init__(self, exc_info=None, where="in background"):
        import sys
        import traceback

        self.exc_type, *rest = exc_info or sys.exc_info()
        self.exc_msg = "".join(traceback.format_exception(self.exc_type, *rest))
        self.where = where
        self._name = self.exc_type.__name__

    def _exception(self):
        message = f"Caught {self._name} {self.where}.\nOriginal {self.exc_msg}"
        if issubclass(self.exc_type, KeyError):
            message = KeyErrorMessage(message)
        try:
            return self.exc_type(message)
        except Exception:  # its constructor wants something else
            return RuntimeError(message)

    def reraise(self):
        """Raises it in the thread or process that has it now."""
        raise self._exception()  # under no name here, which would be a cycle


class KeyErrorMessage(str):
    """A text that a KeyError shows as it is, not as its repr."""

    __slots__ = ()

    def __repr__(self):
        return str(self)


def _get_available_device_type():
    """The type of the accelerator; None, as there is only the CPU."""
    return "cuda" if flambeau.cuda.is_available() else None


def _get_device_module(device_type):
    """The module of a type of device: torch.cpu for "cpu"."""
    module = getattr(flambeau, device_type, None)
    if module is None:
        raise RuntimeError(f"Device '{device_type}' does not have a corresponding module.")
    return module


def _get_device_index(device, optional=False, allow_cpu=False):
    """The number of a device that a program names: -1 for the CPU where that is allowed."""
    if isinstance(device, int):
        return device
    if device is not None:
        device = flambeau.device(device)
        if device.type == "cpu":
            if allow_cpu:
                return -1
            raise ValueError(f"Expected a non cpu device, but got: {device}")
        if device.index is not None:
            return device.index
    if not optional:
        raise ValueError(
            f"Expected a torch.device with a specified index or an integer, but got: {device}"
        )
    return flambeau.cuda.current_device()


def __getattr__(name):
    if name.startswith("_rebuild_"):  # a plain pickle that PyTorch wrote is being read
        from ._loader import plain
        from ._names import REBUILD

        if ("torch._utils", name) in REBUILD:
            return getattr(plain, REBUILD["torch._utils", name])
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
