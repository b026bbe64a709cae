"""PyTorch's format of before version 1.6: pickles in a row, then the bytes of each storage."""

import io
import struct

import flambeau
from flambeau import _utils

from ._loader import Loader, _checked_id, _Stored, _swap

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001


class LegacyLoader(Loader):
    """Reads the whole file; storages are filled after the objects are made."""

    data_first = False

    def __init__(self, file, restore):
        super().__init__(restore)
        self._data = file.read()
        self._claimed = 0
        self._storages = {}  # key -> (the tensor of bytes to fill, type, count)
        self._placed = {}  # key -> _Stored
        self._allow(())
        self._at = 0
        if self._next() != _MAGIC:
            raise RuntimeError("load(): Invalid magic number; corrupt file?")
        version, system = self._next(), self._next()
        if version != _PROTOCOL or not isinstance(system, dict):
            raise RuntimeError(f"load(): unknown protocol {str(version):.40} of an old checkpoint")
        self._big = system.get("little_endian") is False

    def _next(self):
        value, self._at = self._unpickle_safely(self._data, self._at)
        return value

    def load_safely(self, safe_globals):
        self._allow(safe_globals)
        value = self._next()
        self._allow(())
        self._fill()
        return value

    def load_trusting(self, pickle_module, arguments):
        file = io.BytesIO(self._data)
        file.seek(self._at)
        value = self._unpickle_trusting(file, pickle_module, arguments)
        self._at = file.tell()
        self._fill()
        return value

    def persistent(self, saved_id):
        if isinstance(saved_id, tuple) and saved_id[:1] == ("module",) and len(saved_id) > 1:
            return saved_id[1]
        kind, key, location, count = _checked_id(saved_id)
        if len(saved_id) > 5 and saved_id[5] is not None:
            raise RuntimeError("load(): views of storages in old checkpoints are not supported")
        if key not in self._placed:
            size = count * kind.itemsize
            self._claimed += size
            if self._claimed > len(self._data):
                raise RuntimeError("load(): the storages claim more bytes than the file has")
            data = flambeau.zeros(size, dtype=flambeau.uint8)
            self._storages[key] = data, kind, count
            self._placed[key] = _Stored(self._restore(data.untyped_storage(), location), kind)
        if self._storages[key][1:] != (kind, count):
            raise RuntimeError(f"load(): storage {key!r} is described in two ways")
        return self._placed[key]

    def _fill(self):
        keys = self._next()
        if not isinstance(keys, list) or set(keys) != set(self._storages):
            raise RuntimeError("load(): the list of storages is not that of the objects")
        for key in keys:
            data, kind, count = self._storages[key]
            size = count * kind.itemsize
            head = self._data[self._at : self._at + 8]
            if len(head) < 8 or struct.unpack("<q", head)[0] != count:
                raise RuntimeError(f"load(): storage {key!r} is not where it should be")
            start = self._at + 8
            if start + size > len(self._data):
                raise RuntimeError(f"load(): the file ends within storage {key!r}")
            if size:
                view = _utils._bytes_of(data)
                view[:] = self._data[start : start + size]
                if self._big:
                    _swap(view, kind)
                if kind.dtype == flambeau.bool:
                    _utils.check_flags(data.untyped_storage())
            self._at = start + size
