"""Storages: the memory behind tensors, in bytes and in elements."""

import sys

from flambeau import _C

UntypedStorage = _C.UntypedStorage

__all__ = ["TypedStorage", "UntypedStorage"]


def _bytes(storage):
    """The storage as a tensor of its bytes, to read; .data: no write is counted."""
    return _C.tensor([], dtype=_C.uint8, device=storage.device).data.set_(storage)


def _over(buffer):
    """A storage over memory of somebody else, which it keeps alive."""
    if memoryview(buffer).nbytes == 0:
        return UntypedStorage(0)
    return _C.frombuffer(buffer, dtype=_C.uint8).untyped_storage()


# -- methods of UntypedStorage ---------------------------------------------------------------------
_one_byte = UntypedStorage.__getitem__


class _Methods:
    """What an UntypedStorage can do beyond its C type."""

    is_cuda, is_sparse = False, False

    def __getitem__(self, index):
        if self.device.type == "meta":
            raise NotImplementedError("Not available for 'meta' device type")
        if isinstance(index, slice):
            start, stop, step = index.indices(self.nbytes())
            if step != 1:
                raise RuntimeError(
                    f"Trying to slice with a step of {step}, but only 1 is supported"
                )
            stop = max(start, stop)
            part = self._part(start, stop) if stop > start else None
            return part or _over(memoryview(self)[start:stop])
        return _one_byte(self, index)

    @staticmethod
    def from_buffer(buffer, byte_order="native", count=-1, offset=0, *, dtype=_C.uint8):
        """A copy of a buffer's bytes, as TypedStorage.from_buffer() reads them."""
        return TypedStorage.from_buffer(buffer, byte_order, count, offset, dtype=dtype).untyped()

    @staticmethod
    def from_file(filename, shared=False, nbytes=0):
        """A storage over a file's first nbytes bytes; with shared=True writes reach the file."""
        import mmap
        import os

        if not nbytes:
            return UntypedStorage(0)
        with open(filename, "a+b" if shared else "rb") as file:
            if shared and os.fstat(file.fileno()).st_size < nbytes:
                os.truncate(filename, nbytes)
            size = os.fstat(file.fileno()).st_size
            if size < nbytes:
                raise RuntimeError(f"from_file(): {filename!r} has {size} bytes, not {nbytes}")
            access = mmap.ACCESS_WRITE if shared else mmap.ACCESS_COPY
            storage = _over(mmap.mmap(file.fileno(), nbytes, access=access))
            return storage if shared else storage._keep_to_us()

    def tolist(self):
        return _bytes(self).tolist()

    def fill_(self, value):
        _bytes(self).fill_(value)
        return self

    def copy_(self, source, non_blocking=None):
        _bytes(self).copy_(_bytes(source))
        return self

    def clone(self):
        return _bytes(self).clone().untyped_storage()

    def cpu(self):
        return _bytes(self).cpu().untyped_storage()

    def element_size(self):
        return 1

    def untyped(self):
        return self

    def __sizeof__(self):
        return object.__sizeof__(self) + self.nbytes()

    def __deepcopy__(self, memo):
        return memo.setdefault(id(self), self.clone())

    def is_shared(self):
        from . import _shared

        return _shared.descriptor(self) is not None

    def share_memory_(self):
        from . import _shared

        return _shared.share(self)

    def is_pinned(self, device="cuda"):
        return False


for _name, _value in vars(_Methods).items():
    if _name not in ("__module__", "__doc__", "__dict__", "__weakref__"):
        setattr(UntypedStorage, _name, _value)


class TypedStorage:
    """A storage seen as elements of one dtype: of so many, or of the numbers given.

    >>> import flambeau as torch
    >>> len(torch.ones(3).storage())
    3
    """

    dtype = None  # classes like FloatStorage have one
    is_cuda = is_sparse = is_hpu = False

    def __init__(self, *args, wrap_storage=None, dtype=None, device=None, _internal=False):
        if len(args) > 1:
            raise RuntimeError(f"{type(self).__name__}(): Too many positional arguments")
        size = args[0] if args else 0
        if self.dtype is None:
            self.dtype = _C.get_default_dtype() if dtype is None else dtype
        elif dtype is not None:
            raise RuntimeError(f"{type(self).__name__}(): 'dtype' cannot be specified")
        if wrap_storage is None:
            if isinstance(size, int):
                wrap_storage = UntypedStorage(size * self.dtype.itemsize, device)
            else:
                numbers = _C.tensor(list(size), dtype=self.dtype, device=device or "cpu")
                wrap_storage = numbers.untyped_storage()
        self._untyped_storage = wrap_storage

    @classmethod
    def from_buffer(cls, buffer, byte_order="native", count=-1, offset=0, *, dtype=None):
        """A copy of the numbers in a buffer, whose bytes are in "native", "little" or "big" order.

        >>> import flambeau as torch
        >>> torch.ShortStorage.from_buffer(bytes([1, 2]), "big").tolist()
        [258]
        """
        dtype = dtype or cls.dtype
        if byte_order not in ("native", "little", "big"):
            raise ValueError(f"from_buffer(): invalid byte_order {byte_order!r}")
        size = dtype.itemsize
        data = bytes(memoryview(buffer).cast("B")[offset:])
        data = data[: (len(data) // size if count < 0 else count) * size]
        if dtype == _C.bool:
            data = bytes(byte != 0 for byte in data)
        swapped = byte_order not in ("native", sys.byteorder)
        part = size // 2 if dtype.is_complex else size
        if swapped and part > 1:
            data = b"".join(data[i : i + part][::-1] for i in range(0, len(data), part))
        return cls._like(_over(bytearray(data)), dtype)

    _from_buffer = from_buffer

    @classmethod
    def from_file(cls, filename, shared=False, size=0, *, dtype=None):
        """The first size numbers of a file; with shared=True writes reach the file."""
        dtype = dtype or cls.dtype or _C.get_default_dtype()
        nbytes = size * dtype.itemsize
        return cls._like(UntypedStorage.from_file(filename, shared, nbytes), dtype)

    @classmethod
    def _like(cls, untyped, dtype):
        if cls.dtype is not None:
            return cls(wrap_storage=untyped)
        return TypedStorage(wrap_storage=untyped, dtype=dtype)

    def untyped(self):
        return self._untyped_storage

    def _tensor(self):
        return _C.tensor([], dtype=self.dtype, device=self.device).set_(self._untyped_storage)

    @property
    def device(self):
        return self._untyped_storage.device

    def __len__(self):
        return self._untyped_storage.nbytes() // self.dtype.itemsize

    size = __len__

    def nbytes(self):
        return self._untyped_storage.nbytes()

    def __sizeof__(self):
        return object.__sizeof__(self) + self.nbytes()

    def element_size(self):
        return self.dtype.itemsize

    def data_ptr(self):
        return self._untyped_storage.data_ptr()

    def __getitem__(self, index):
        if self.device.type == "meta":
            raise NotImplementedError("Not available for 'meta' device type")
        if not isinstance(index, int):
            raise RuntimeError(f"can't index a {type(self).__name__} with {type(index).__name__}")
        return self._tensor()[index].tolist()

    def __setitem__(self, index, value):
        if self.device.type == "meta":
            raise NotImplementedError("Not available for 'meta' device type")
        if isinstance(value, TypedStorage):
            raise RuntimeError(f"cannot set item with value type {type(value)}")
        self._tensor()[index] = value

    def __iter__(self):
        return iter(self.tolist())

    def __repr__(self):
        numbers = "" if self.device.type == "meta" else " ".join(map(str, self.tolist())) + "\n"
        about = f"dtype={self.dtype}, device={self.device}"
        return f"{numbers}[torch.storage.TypedStorage({about}) of size {len(self)}]"

    def tolist(self):
        return self._tensor().tolist()

    def fill_(self, value):
        self._tensor().fill_(value)
        return self

    def copy_(self, source, non_blocking=None):
        """Takes over the numbers of another storage, as ones of this dtype."""
        self._tensor().copy_(source._tensor())
        return self

    def resize_(self, size):
        self._untyped_storage.resize_(size * self.dtype.itemsize)

    def clone(self):
        return TypedStorage(wrap_storage=self._untyped_storage.clone(), dtype=self.dtype)

    def cpu(self):
        if self.device.type == "meta":
            raise NotImplementedError("Cannot copy out of meta tensor; no data!")
        return self

    def type(self, dtype=None, non_blocking=False):
        """The name of the class for this dtype; with dtype, the numbers as ones of that type."""
        if dtype is None:
            return f"torch.{_NAMES[self.dtype]}"
        if isinstance(dtype, str):
            dtype = globals()[dtype.rpartition(".")[2]]
        return self._as(getattr(dtype, "dtype", dtype))

    def pickle_storage_type(self):
        return _NAMES[self.dtype]

    def _as(self, dtype):
        made = self._tensor().to(dtype)
        return TypedStorage(wrap_storage=made.untyped_storage(), dtype=dtype)

    def is_shared(self):
        return self._untyped_storage.is_shared()

    def share_memory_(self):
        self._untyped_storage.share_memory_()
        return self

    def is_pinned(self, device="cuda"):
        return False

    @property
    def _cdata(self):
        return self._untyped_storage._cdata

    def __deepcopy__(self, memo):
        import copy

        return type(self)._like(copy.deepcopy(self._untyped_storage, memo), self.dtype)


def _cast(name, dtype):
    def cast(self):
        return self._as(dtype)

    cast.__name__ = name
    cast.__doc__ = f"The numbers as a storage of {dtype}."
    setattr(TypedStorage, name, cast)


for _name in "float double half bfloat16 long int short char byte bool".split():
    _cast(_name, getattr(_C, {"char": "int8", "byte": "uint8"}.get(_name, _name)))
_cast("complex_float", _C.complex64)
_cast("complex_double", _C.complex128)


# -- FloatStorage and its kin ----------------------------------------------------------------------
_NAMES = {}  # dtype -> name


class _OfDType(type):
    """The class of FloatStorage: every storage of floats is an instance."""

    def __instancecheck__(cls, instance):
        return isinstance(instance, TypedStorage) and instance.dtype == cls.dtype


def _of_dtype(name, element):
    _NAMES[element] = name
    doc = f"A storage of {element}, from a size or from numbers."
    return _OfDType(name, (TypedStorage,), {"dtype": element, "__doc__": doc, "__module__": _HERE})


_HERE = "flambeau"
for _name, _dtype in {
    "FloatStorage": _C.float32,
    "DoubleStorage": _C.float64,
    "HalfStorage": _C.float16,
    "BFloat16Storage": _C.bfloat16,
    "LongStorage": _C.int64,
    "IntStorage": _C.int32,
    "ShortStorage": _C.int16,
    "CharStorage": _C.int8,
    "ByteStorage": _C.uint8,
    "BoolStorage": _C.bool,
    "ComplexFloatStorage": _C.complex64,
    "ComplexDoubleStorage": _C.complex128,
    "QInt8Storage": _C.qint8,
    "QUInt8Storage": _C.quint8,
    "QInt32Storage": _C.qint32,
    "QUInt4x2Storage": _C.quint4x2,
    "QUInt2x4Storage": _C.quint2x4,
}.items():
    globals()[_name] = _of_dtype(_name, _dtype)
    __all__.append(_name)

Storage = globals()["FloatStorage"]


def _dtype_to_storage_type_map():
    """The name of the class for each dtype."""
    return dict(_NAMES)


def _storage_type_to_dtype_map():
    """The dtype of each class, by its name."""
    return {name: dtype for dtype, name in _NAMES.items()}


def _load_from_bytes(data):
    """The storage that PyTorch wrote into a plain pickle, where storages are small files."""
    import io

    from .serialization import load

    return load(io.BytesIO(data), weights_only=False)
