"""Reading checkpoints: the names in them, their storages, and the tensors rebuilt from both."""

import importlib
import pickle
from collections import OrderedDict

import flambeau
from flambeau import _utils
from flambeau.storage import TypedStorage

from ._names import (
    PLAIN,
    REBUILD,
    SCHEMES,
    DimRange,
    named,
    our_place,
    python3_name,
    set_attributes,
    set_state,
    torch_place,
)
from ._unpickler import Unpickler

_ADVICE = (
    "load(): Weights only load failed: {reason}. With weights_only=True, the default, only tensors "
    "and plain containers are loaded. If you trust the file, allow what it needs with "
    "flambeau.serialization.add_safe_globals, or use weights_only=False, which runs any code that "
    "the file names"
)


_OURS = ("torch", "torchvision", "flambeau")
# What functions and methods of PyTorch pickle as attributes of.
_BINDINGS = {"_VariableFunctionsClass": flambeau, "TensorBase": flambeau.Tensor}


def open_checkpoint(file, restore, options, mapped):
    """A loader for the format that the file is in."""
    start = file.tell()
    head = file.read(16)
    if head[:1] != b"\x80" and head[:2] != b"PK":  # not where something begins: the whole file
        start = file.seek(0) or 0
        head = file.read(16)
    file.seek(start)
    if not head:
        raise EOFError("load(): Ran out of input: the file is empty")
    if head[:2] == b"PK":
        from ._zip import Reader

        return ZipLoader(Reader(file, packed=("code/", "extra/")), restore, options, mapped)
    if head[0] == 0x80:  # a pickle
        from ._legacy import LegacyLoader

        if mapped is not None:
            raise RuntimeError("load(): mmap=True needs a checkpoint in the zip format")
        return LegacyLoader(file, restore)
    if b"storages" in head or b"sys_info" in head or b"pickle" == head[:6]:
        raise RuntimeError(
            "load(): a tar file, the format of before PyTorch 0.1.10, which is not supported"
        )
    raise pickle.UnpicklingError(f"load(): the file is no checkpoint: it begins with {head[:8]!r}")


def map_file(path, flags):
    """The file in memory: a writable private copy, or with MAP_SHARED the file itself."""
    import mmap

    shared = flags == mmap.MAP_SHARED
    with open(path, "r+b" if shared else "rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_WRITE if shared else mmap.ACCESS_COPY)


class _StorageType:
    """A typed storage's class in a file: its element type; None for bytes."""

    def __init__(self, name, dtype):
        self.name, self.dtype = name, dtype
        self.itemsize = 1 if dtype is None else dtype.itemsize

    def on(self, storage):
        """The storage as one of this type; bytes where there is no type."""
        return TypedStorage(wrap_storage=storage, dtype=self.dtype or flambeau.uint8)

    def __repr__(self):
        return f"<{self.name} of a file>"


class Loader:
    """What both formats share: names, and rebuilding."""

    def __init__(self, restore):
        self._restore = restore
        self._types = {}
        self._flags_checked = set()  # identities of storages, which the loader keeps

    def is_program(self):
        """Whether this is a TorchScript archive and no checkpoint."""
        return False

    # -- names -----------------------------------------------------------------------------------
    def _known(self, module, name):
        """(object, whether it may be called) of a name of PyTorch's, or None."""
        if module in ("torch", "torch.cuda") and name in _utils.STORAGE_TYPES:
            return self._storage_type(name, _utils.STORAGE_TYPES[name]), False
        if module == "torch.storage" and name == "UntypedStorage":
            return self._storage_type(name, None), False
        value = vars(flambeau).get(name)  # getattr() would import what the file names
        if module == "torch" and isinstance(value, flambeau.dtype):
            return value, False
        if module == "torch" and name in SCHEMES:
            return getattr(flambeau, name), False
        method = REBUILD.get((module, name))
        if method is not None:
            return getattr(self, method), True
        return PLAIN.get((module, name))

    def _storage_type(self, name, dtype):
        if name not in self._types:
            self._types[name] = _StorageType(name, dtype)
        return self._types[name]

    def find_safely(self, module, name):
        """What a file may use without trust."""
        place = torch_place(module, name)
        found = (
            self._known(place, name)
            or self._allowed.get((place, name))
            or self._allowed.get(python3_name(module, name))
        )
        if found is None:
            raise pickle.UnpicklingError(
                _ADVICE.format(
                    reason=f"Unsupported global: GLOBAL {module}.{name} was not an allowed global "
                    "by default"
                )
            )
        return found

    def find_trusting(self, module, name):
        """Whatever a file names; what it names of PyTorch is looked up in this package."""
        found = self._known(torch_place(module, name), name)
        if found is not None:
            return found[0]
        if module == "torch._C" and name in _BINDINGS:
            return _BINDINGS[name]
        ours = our_place(module, name)
        try:
            value = importlib.import_module(ours)
            for part in name.split("."):
                value = getattr(value, part)
        except (ImportError, AttributeError) as error:
            raise pickle.UnpicklingError(f"load(): there is no {ours}.{name}: {error}") from error
        return value

    # -- the two ways to read --------------------------------------------------------------------
    def _unpickle_safely(self, data, at=0, encoding="utf-8"):
        reader = Unpickler(data, self.find_safely, self.persistent, self._build, at, encoding)
        try:
            value = reader.load()
        except pickle.UnpicklingError as error:
            if "load(): " in str(error):
                raise
            raise pickle.UnpicklingError(_ADVICE.format(reason=str(error))) from error
        return value, reader.position

    def _unpickle_trusting(self, file, pickle_module, arguments):
        base = (pickle_module or pickle).Unpickler
        loader = self

        class Trusting(base):
            def find_class(self, module, name):
                if module.partition(".")[0] in _OURS:
                    return loader.find_trusting(module, name)
                return super().find_class(module, name)

            def persistent_load(self, saved_id):
                return loader.persistent(saved_id)

        return Trusting(file, **{"encoding": "utf-8", **arguments}).load()

    def _allow(self, safe_globals):
        self._allowed = named(safe_globals)

    def _build(self, value, state):
        if type(value) is OrderedDict:
            if not isinstance(state, dict) or any(hasattr(OrderedDict, str(key)) for key in state):
                raise pickle.UnpicklingError("state of an OrderedDict that would hide its methods")
            vars(value).update(state)
        elif any(type(value) is kind for kind, _ in (*self._allowed.values(), (DimRange, True))):
            set_state(value, state)
        else:
            raise pickle.UnpicklingError(f"BUILD on an object of type {type(value).__name__}")

    # -- rebuilding ------------------------------------------------------------------------------
    def _rebuild_v1(self, stored, offset, size, stride):  # of before 0.4
        return self._rebuild_v2(stored, offset, size, stride, False)

    def _rebuild_v2(self, stored, offset, size, stride, requires_grad, hooks=None, metadata=None):
        if not isinstance(stored, TypedStorage):
            raise pickle.UnpicklingError("a tensor that is not on a storage of the file")
        return self._tensor(stored, stored.dtype, offset, size, stride, requires_grad, metadata)

    def _rebuild_v3(self, stored, offset, size, stride, requires_grad, hooks, dtype, metadata=None):
        if not isinstance(stored, TypedStorage) or not isinstance(dtype, flambeau.dtype):
            raise pickle.UnpicklingError("a tensor that is not on a storage of the file")
        return self._tensor(stored, dtype, offset, size, stride, requires_grad, metadata)

    def _tensor(self, stored, dtype, offset, size, stride, requires_grad, metadata):
        storage = stored._untyped_storage
        _utils.check_within(storage.nbytes(), dtype.itemsize, offset, size, stride)
        if dtype == flambeau.bool and storage.device.type == "cpu":
            self._check_flags(storage)
        made = _utils.tensor_on(storage, dtype, offset, size, stride)
        for mark in metadata or ():
            if mark not in ("conj", "neg"):
                raise pickle.UnpicklingError(f"a tensor marked {mark!r}")
            if metadata[mark]:
                made = made.conj().resolve_conj() if mark == "conj" else made.neg()
        return made.requires_grad_() if requires_grad is True else made

    def _check_flags(self, storage):
        if id(storage) not in self._flags_checked:
            _utils.check_flags(storage)
            self._flags_checked.add(id(storage))

    def _rebuild_meta(self, dtype, size, stride, requires_grad):
        _utils.check_within(1 << 62, 1, 0, size, stride)
        made = flambeau.empty_strided(size, stride, dtype=dtype, device="meta")
        return made.requires_grad_() if requires_grad is True else made

    def _rebuild_sparse(self, layout, data):
        from flambeau.sparse._tensor import rebuild

        if not isinstance(layout, flambeau.layout) or not isinstance(data, (tuple, list)):
            raise pickle.UnpicklingError("a sparse tensor without a layout")
        parts = 2 if layout == flambeau.sparse_coo else 3
        if len(data) < parts + 1 or not all(isinstance(t, flambeau.Tensor) for t in data[:parts]):
            raise pickle.UnpicklingError("a sparse tensor without its parts")
        return rebuild(str(layout).rpartition(".")[2], data)

    def _rebuild_quantized(self, stored, offset, size, stride, scheme, requires_grad, hooks):
        from flambeau._quantized._tensor import rebuild

        if not isinstance(stored, TypedStorage) or not isinstance(scheme, tuple):
            raise pickle.UnpicklingError("a quantized tensor without its integers or its scale")
        return rebuild(stored, offset, size, stride, *scheme)

    def _rebuild_nested(self, values, sizes, strides, offsets):
        from flambeau.nested._tensor import of_buffer

        return of_buffer(values, sizes, strides, offsets)

    def _rebuild_jagged(self, state):
        from flambeau.nested._tensor import of_state

        return of_state(state)

    def _rebuild_parameter(self, data, requires_grad, hooks, state=None):
        if not isinstance(data, flambeau.Tensor):
            raise pickle.UnpicklingError("a parameter that is no tensor")
        made = flambeau.nn.Parameter(data, requires_grad is True)
        set_attributes(made, state or {})
        return made

    def _rebuild_from_type(self, function, kind, arguments, state):
        if getattr(function, "__self__", None) is not self or not isinstance(arguments, tuple):
            raise pickle.UnpicklingError("a tensor rebuilt by something else than a rebuilder")
        made = function(*arguments)
        if made.is_nested:  # what the other attributes say is in its parts
            return made
        if isinstance(kind, type) and kind is not type(made) and issubclass(kind, flambeau.Tensor):
            made = made.as_subclass(kind)
        if isinstance(state, tuple) and len(state) == 2 and not state[1]:
            state = state[0]
        set_attributes(made, state or {})
        return made


class ZipLoader(Loader):
    """The format since PyTorch 1.6: a pickle and one member for each storage."""

    def __init__(self, reader, restore, options, mapped):
        super().__init__(restore)
        self._reader = reader
        self._mapped = mapped
        self._skip_data = options.skip_data
        self._big = options.endianness is not None and options.endianness.name == "BIG"
        if "byteorder" in reader:
            order = reader.read("byteorder")
            if order not in (b"little", b"big"):
                raise RuntimeError(f"load(): unknown byte order {order[:20]!r}")
            self._big = order == b"big"
        self._stored = {}  # key -> (its type, TypedStorage)
        self._folder = "data"

    def is_program(self):
        """Whether this is a TorchScript archive and no checkpoint."""
        return "constants.pkl" in self._reader

    def load_safely(self, safe_globals, encoding):
        self._allow(safe_globals)
        return self._unpickle_safely(self._reader.read("data.pkl"), encoding=encoding)[0]

    def load_trusting(self, pickle_module, arguments):
        import io

        file = io.BytesIO(self._reader.read("data.pkl"))
        return self._unpickle_trusting(file, pickle_module, arguments)

    def persistent(self, saved_id):
        kind, key, location, count = _checked_id(saved_id)
        name = f"{self._folder}/{key}"
        first, stored = self._stored.get(key, (None, None))
        if first is None:
            if name not in self._reader:
                raise RuntimeError(f"load(): the checkpoint has no storage {key!r}")
            stored = kind.on(self._restore(self._read(name, kind), location))
            self._stored[key] = kind, stored
        if self._reader.size(name) != count * kind.itemsize:
            raise RuntimeError(
                f"load(): storage {key!r} has {self._reader.size(name)} bytes, the checkpoint says "
                f"{count} elements of {kind.itemsize}"
            )
        return stored if kind is first else kind.on(stored.untyped())

    def _read(self, name, kind):
        size = self._reader.size(name)
        if self._mapped is not None and size and not self._big:
            start = self._reader.start(name)
            if start % 64 == 0:
                memory = memoryview(self._mapped)[start : start + size]
                stored = flambeau.frombuffer(memory, dtype=flambeau.uint8).untyped_storage()
                return stored._keep_to_us()
        data = flambeau.empty(size, dtype=flambeau.uint8)
        if size and not self._skip_data:
            view = _utils._bytes_of(data)
            self._reader.read_into(name, view)
            if self._big:
                _swap(view, kind)
        return data.untyped_storage()


_STORAGE = ("storage", b"storage")


def _checked_id(saved_id):
    if not isinstance(saved_id, tuple) or len(saved_id) < 5 or saved_id[0] not in _STORAGE:
        raise RuntimeError(f"load(): unknown persistent id {str(saved_id):.80}")
    kind, key, location, count = saved_id[1:5]
    if isinstance(key, bytes) and isinstance(location, bytes):  # of Python 2, left as they are
        key, location = key.decode("ascii"), location.decode("ascii")
    if not isinstance(kind, _StorageType) or not isinstance(key, str):
        raise RuntimeError("load(): a storage of unknown type")
    if not isinstance(location, str) or type(count) is not int or count < 0:
        raise RuntimeError(f"load(): storage {key!r} is at {location!r} with {count!r} elements")
    return kind, key, location, count


def _swap(view, kind):
    import numpy

    if kind.dtype is None:
        raise RuntimeError("load(): an untyped storage of a big-endian machine cannot be read")
    size = kind.itemsize // (2 if kind.dtype.is_complex else 1)
    numpy.frombuffer(view, dtype=f"u{size}").byteswap(inplace=True)


def is_safe(module, name, safe_globals):
    """Whether load(weights_only=True) takes this name."""
    loader = Loader(None)
    loader._allow(safe_globals)
    try:
        loader.find_safely(module, name)
    except pickle.UnpicklingError:
        return False
    return True


class _Plain(Loader):
    """Rebuilds what a plain pickle, read by Python's own `pickle`, has of PyTorch's tensors."""

    def _check_flags(self, storage):
        _utils.check_flags(storage)

    def _tensor(self, stored, dtype, offset, size, stride, requires_grad, metadata):
        if stored.device.type != "meta":
            return super()._tensor(stored, dtype, offset, size, stride, requires_grad, metadata)
        made = self._rebuild_meta(dtype, size, stride, requires_grad)
        return made  # a reader that wants the sizes now and the numbers later


plain = _Plain(None)
