"""Storages: the memory behind tensors, in bytes and in elements."""

from flambeau import _C

UntypedStorage = _C.UntypedStorage

__all__ = ["TypedStorage", "UntypedStorage"]


class TypedStorage:
    """A storage seen as elements of one dtype.

    >>> import flambeau as torch
    >>> len(torch.ones(3).storage())
    3
    """

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
