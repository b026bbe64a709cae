"""PyTorch's format of before version 1.6: pickles in a row, then the bytes of each storage."""

import io
import pickle
import struct

import flambeau
from flambeau import _utils

from ._loader import Loader, _checked_id, _swap
from ._unpickler import Unpickler

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001


def write(obj, file, protocol):
    """Writes an object in this format."""
    from ._pickler import Pickler

    sizes = {"short": 2, "int": 4, "long": 4}
    system = {"protocol_version": _PROTOCOL, "little_endian": True, "type_sizes": sizes}
    stream = io.BytesIO()
    pickler = Pickler(stream, protocol, legacy=True)
    pickler.dump(obj)
    for value in (_MAGIC, _PROTOCOL, system):
        pickle.dump(value, file, protocol)
    file.write(stream.getbuffer())
    pickle.dump(list(pickler.storages), file, protocol)
    for storage, count in zip(pickler.storages.values(), pickler.counts()):
        file.write(struct.pack("<q", count))
        file.write(_utils.storage_bytes(storage))


class _Anything:
    """What a name, a call or a storage of the file gives while it is only looked through."""

    def __call__(self, *args, **kwargs):
        return _Anything()

    append = extend = update = __setitem__ = __call__


class _Survey(Unpickler):
    """Finds the storages that a pickle refers to, and where it ends; makes nothing else of it."""

    def _top(self, kinds, what):
        value = self._stack[-1]
        return value if isinstance(value, kinds) else _Anything()

    def _checked(self, function):
        return function

    def _new_object(self, keywords=False):
        del self._stack[-2 - keywords :]
        self._push(_Anything())


class LegacyLoader(Loader):
    """Reads the whole file: what storages there are, then their bytes, then the objects."""

    def __init__(self, file, restore):
        super().__init__(restore)
        start = file.tell()
        self._data = file.read()
        self._claimed = 0
        self._found = {}  # key -> (type, location, count)
        self._placed = {}  # key -> TypedStorage
        self._views = {}  # key of a part of a storage -> ((key, start, size), TypedStorage)
        self._allow(())
        self._at = 0
        if self._next() != _MAGIC:
            raise RuntimeError("load(): Invalid magic number; corrupt file?")
        version, system = self._next(), self._next()
        if version != _PROTOCOL or not isinstance(system, dict):
            raise RuntimeError(f"load(): unknown protocol {str(version):.40} of an old checkpoint")
        self._big = system.get("little_endian") is False
        self._start = self._at
        self._survey()
        self._fill()
        file.seek(start + self._at)  # what is behind it is somebody else's

    def _next(self):
        value, self._at = self._unpickle_safely(self._data, self._at)
        return value

    def load_safely(self, safe_globals, encoding):
        self._allow(safe_globals)
        return self._unpickle_safely(self._data, self._start, encoding)[0]

    def load_trusting(self, pickle_module, arguments):
        file = io.BytesIO(self._data)
        file.seek(self._start)
        return self._unpickle_trusting(file, pickle_module, arguments)

    def persistent(self, saved_id):
        if _is_source(saved_id):
            return saved_id[1]
        kind, key, location, count = _checked_id(saved_id)
        if self._found.get(key) != (kind, location, count):
            raise RuntimeError(f"load(): storage {key!r} is described in two ways")
        whole, view = self._placed[key], _view_of(saved_id, count)
        if view is None:
            return whole
        name, start, size = view
        if name not in self._views:
            at = start * kind.itemsize
            part = whole.untyped()[at : at + size * kind.itemsize]
            self._views[name] = view, kind.on(part)
        if self._views[name][0] != view:
            raise RuntimeError(f"load(): the view {name!r} is described in two ways")
        return self._views[name][1]

    # -- what comes before -----------------------------------------------------------------------
    def _survey(self):
        def find(module, name):
            known = self._known(module, name)
            return known if known and not known[1] else (_Anything(), True)

        survey = _Survey(
            self._data, find, self._note, lambda value, state: None, self._start, "latin-1"
        )
        survey.load()
        self._at = survey.position

    def _note(self, saved_id):
        if _is_source(saved_id):
            return saved_id[1]
        kind, key, location, count = _checked_id(saved_id)
        _view_of(saved_id, count)
        if key not in self._found:
            self._claimed += count * kind.itemsize
            if self._claimed > len(self._data):
                raise RuntimeError("load(): the storages claim more bytes than the file has")
        if self._found.setdefault(key, (kind, location, count)) != (kind, location, count):
            raise RuntimeError(f"load(): storage {key!r} is described in two ways")
        return _Anything()

    def _fill(self):
        keys = self._next()
        if not isinstance(keys, list) or set(keys) != set(self._found):
            raise RuntimeError("load(): the list of storages is not that of the objects")
        for key in keys:
            kind, location, count = self._found[key]
            size = count * kind.itemsize
            head = self._data[self._at : self._at + 8]
            if len(head) < 8 or struct.unpack("<q", head)[0] != count:
                raise RuntimeError(f"load(): storage {key!r} is not where it should be")
            start = self._at + 8
            if start + size > len(self._data):
                raise RuntimeError(f"load(): the file ends within storage {key!r}")
            data = flambeau.empty(size, dtype=flambeau.uint8)
            if size:
                view = _utils._bytes_of(data)
                view[:] = self._data[start : start + size]
                if self._big:
                    _swap(view, kind)
            self._placed[key] = kind.on(self._restore(data.untyped_storage(), location))
            self._at = start + size


def _view_of(saved_id, count):
    """(key, start, size) of the part of its storage that an id stands for; None: all of it."""
    view = saved_id[5] if len(saved_id) > 5 else None
    if view is None:
        return None
    good = isinstance(view, tuple) and len(view) == 3 and isinstance(view[0], str)
    if not good or any(type(n) is not int or n < 0 for n in view[1:]):
        raise RuntimeError("load(): a view of a storage is not described as it should be")
    if view[1] + view[2] > count:
        raise RuntimeError(f"load(): the view {view[0]!r} reaches beyond its storage")
    return view


def _is_source(saved_id):
    """Whether a persistent id is that of a module's class with its source."""
    return isinstance(saved_id, tuple) and saved_id[:1] == ("module",) and len(saved_id) > 1
