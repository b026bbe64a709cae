"""Storages: the memory behind tensors, in bytes and in elements."""

from flambeau import _C

UntypedStorage = _C.UntypedStorage

__all__ = ["TypedStorage", "UntypedStorage"]


def _bytes(storage):
    """The storage as a tensor of its bytes."""
    return _C.tensor([], dtype=_C.uint8, device=storage.device).set_(storage)


def _over(buffer):
    """A storage over memory of somebody else, which it keeps alive."""
    if memoryview(buffer).nbytes == 0:
        return UntypedStorage(0)
    return _C.frombuffer(buffer, dtype=_C.uint8).untyped_storage()


# -- methods of UntypedStorage ---------------------------------------------------------------------
def _attach(cls=UntypedStorage):
    one_byte = cls.__getitem__

    def __getitem__(self, index):
        if isinstance(index, slice):
            start, stop, step = index.indices(self.nbytes())
            if step != 1:
                raise RuntimeError(
                    f"Trying to slice with a step of {step}, but only 1 is supported"
                )
            return _over(memoryview(self)[start : max(start, stop)])
        return one_byte(self, index)

    def from_file(filename, shared=False, nbytes=0):
        """A storage over a file's first nbytes bytes; with shared=True writes reach the file."""
        import mmap
        import os

        if not nbytes:
            return cls(0)
        with open(filename, "a+b" if shared else "rb") as file:
            if shared and os.fstat(file.fileno()).st_size < nbytes:
                os.truncate(filename, nbytes)
            size = os.fstat(file.fileno()).st_size
            if size < nbytes:
                raise RuntimeError(f"from_file(): {filename!r} has {size} bytes, not {nbytes}")
            access = mmap.ACCESS_WRITE if shared else mmap.ACCESS_COPY
            return _over(mmap.mmap(file.fileno(), nbytes, access=access))

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

    def is_shared(self):
        from . import _shared

        return _shared.descriptor(self) is not None

    def share_memory_(self):
        from . import _shared

        return _shared.share(self)

    def is_pinned(self, device="cuda"):
        return False

    cls.from_file = staticmethod(from_file)
    for method in (
        __getitem__, tolist, fill_, copy_, clone, cpu, element_size, untyped, is_shared,
        share_memory_, is_pinned,
    ):  # fmt: skip
        setattr(cls, method.__name__, method)
    cls.is_cuda, cls.is_sparse = False, False


_attach()


class TypedStorage:
    """A storage seen as elements of one dtype.

    >>> import flambeau as torch
    >>> len(torch.ones(3).storage())
    3
    """

    is_cuda = is_sparse = False

    def __init__(self, size=0, *, wrap_storage=None, dtype=None, device=None):
        self.dtype = _C.get_default_dtype() if dtype is None else dtype
        if wrap_storage is None:
            wrap_storage = UntypedStorage(size * self.dtype.itemsize, device)
        self._untyped_storage = wrap_storage

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

    def element_size(self):
        return self.dtype.itemsize

    def data_ptr(self):
        return self._untyped_storage.data_ptr()

    def __getitem__(self, index):
        got = self._tensor()[index]
        return got.tolist()

    def __setitem__(self, index, value):
        self._tensor()[index] = value

    def __iter__(self):
        return iter(self.tolist())

    def tolist(self):
        return self._tensor().tolist()

    def fill_(self, value):
        self._tensor().fill_(value)
        return self

    def resize_(self, size):
        self._untyped_storage.resize_(size * self.dtype.itemsize)

    def clone(self):
        return TypedStorage(wrap_storage=self._untyped_storage.clone(), dtype=self.dtype)

    def is_shared(self):
        return self._untyped_storage.is_shared()

    def share_memory_(self):
        self._untyped_storage.share_memory_()
        return self


# -- FloatStorage and its kin ----------------------------------------------------------------------
def _of_dtype(name, element):
    class Storage(TypedStorage):
        def __init__(self, size=0, *, wrap_storage=None, device=None):
            data = None if isinstance(size, int) else size
            if data is not None:
                wrap_storage = _C.tensor(list(data), dtype=element).untyped_storage()
            super().__init__(size, wrap_storage=wrap_storage, dtype=element, device=device)

    Storage.__name__ = Storage.__qualname__ = name
    Storage.__doc__ = f"A storage of {element}, from a size or from numbers."
    return Storage


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
