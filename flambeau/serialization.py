"""save and load: objects with tensors to and from files, in PyTorch's format.

Loading is safe by default: `weights_only=True` builds tensors and plain containers and runs no code
from the file. What the file says of sizes and places is checked against the bytes that are there.
"""

import contextlib
import enum
import io
import os

import flambeau

__all__ = [
    "LoadEndianness",
    "add_safe_globals",
    "clear_safe_globals",
    "default_restore_location",
    "get_crc32_options",
    "get_default_load_endianness",
    "get_default_mmap_options",
    "get_safe_globals",
    "get_unsafe_globals_in_checkpoint",
    "load",
    "location_tag",
    "register_package",
    "safe_globals",
    "save",
    "set_crc32_options",
    "set_default_load_endianness",
    "set_default_mmap_options",
    "skip_data",
]


DEFAULT_PROTOCOL = 2
MAP_LOCATION = object  # what map_location may be: a function, a device, a text, a dict; for hints


class LoadEndianness(enum.Enum):
    """The byte order taken for files that do not say."""

    NATIVE = 1
    LITTLE = 2
    BIG = 3


class _Options:
    check_sums = True
    endianness = None
    mmap_flags = 2  # MAP_PRIVATE
    skip_data = False
    safe_globals = []  # objects, or (object, name)
    packages = []  # (priority, tagger, deserializer), by priority


def get_crc32_options():
    """Whether `save` notes a sum of each storage, by which `load` sees damage."""
    return _Options.check_sums


def set_crc32_options(compute_crc32):
    """Whether `save` is to note a sum of each storage."""
    _Options.check_sums = bool(compute_crc32)


def get_default_load_endianness():
    """The byte order taken for files that do not say; None stands for little-endian."""
    return _Options.endianness


def set_default_load_endianness(endianness):
    """Sets the byte order taken for files that do not say."""
    if endianness is not None and not isinstance(endianness, LoadEndianness):
        raise TypeError("Invalid argument type in function set_default_load_endianness")
    _Options.endianness = endianness


def get_default_mmap_options():
    """The flags of `load(mmap=True)`."""
    return _Options.mmap_flags


class set_default_mmap_options:
    """The flags of `load(mmap=True)`, MAP_PRIVATE or MAP_SHARED; also a context manager."""

    def __init__(self, flags):
        import mmap

        if flags not in (mmap.MAP_PRIVATE, mmap.MAP_SHARED):
            raise ValueError(
                f"Invalid argument in function set_default_mmap_options, expected mmap.MAP_PRIVATE "
                f"or mmap.MAP_SHARED, but got {flags}"
            )
        self._before = _Options.mmap_flags
        _Options.mmap_flags = flags

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        _Options.mmap_flags = self._before


class skip_data:
    """Within it `save` writes no data, only room for it, and `load` leaves storages unread."""

    def __init__(self, materialize_fake_tensors=False):
        if materialize_fake_tensors:
            raise ValueError("skip_data(): there are no fake tensors to materialize")

    def __enter__(self):
        self._before, _Options.skip_data = _Options.skip_data, True
        return self

    def __exit__(self, *exception):
        _Options.skip_data = self._before


# -- what weights_only may build -------------------------------------------------------------------
def add_safe_globals(safe_globals):
    """Lets `load(weights_only=True)` use these classes or functions, or (object, name) pairs."""
    _Options.safe_globals = _Options.safe_globals + list(safe_globals)


def get_safe_globals():
    """What was added by `add_safe_globals`."""
    return list(_Options.safe_globals)


def clear_safe_globals():
    """Takes back all of `add_safe_globals`."""
    _Options.safe_globals = []


class safe_globals:
    """`add_safe_globals` for the length of a `with`.

    >>> import flambeau as torch
    >>> class Settings:
    ...     pass
    >>> with torch.serialization.safe_globals([Settings]):
    ...     len(torch.serialization.get_safe_globals())
    1
    """

    def __init__(self, safe_globals):
        self._added = list(safe_globals)

    def __enter__(self):
        self._before = _Options.safe_globals
        add_safe_globals(self._added)
        return self

    def __exit__(self, *exception):
        _Options.safe_globals = self._before


def get_unsafe_globals_in_checkpoint(f):
    """The names in a checkpoint that `load(weights_only=True)` would refuse.

    >>> import io
    >>> import flambeau as torch
    >>> file = io.BytesIO()
    >>> torch.save({"x": torch.zeros(2)}, file)
    >>> torch.serialization.get_unsafe_globals_in_checkpoint(file)
    []
    """
    import pickletools

    from . import _loader, _zip

    with _opened(f) as file:
        data = _zip.Reader(file).read("data.pkl")
    found, strings = [], []
    for opcode, argument, _ in pickletools.genops(data):
        if opcode.name == "GLOBAL":
            found.append(tuple(argument.split(" ", 1)))
        elif opcode.name == "STACK_GLOBAL":
            found.append(tuple(strings[-2:]))
        elif isinstance(argument, str):
            strings.append(argument)
    refused = [name for name in found if not _loader.is_safe(*name, _Options.safe_globals)]
    return sorted({".".join(_loader.python3_name(*name)) for name in refused})


# -- where storages go -----------------------------------------------------------------------------
def register_package(priority, tagger, deserializer):
    """Adds a rule for a sort of storage.

    `tagger(storage)` names its place or gives None; `deserializer(storage, location)` puts a
    storage read on the CPU there or gives None. Rules of lower priority are asked first.
    """
    _Options.packages = sorted(
        [*_Options.packages, (priority, tagger, deserializer)], key=lambda rule: rule[0]
    )


def location_tag(storage):
    """The name of a storage's place, as it is noted in a file."""
    for _, tagger, _ in _Options.packages:
        tag = tagger(storage)
        if tag:
            return tag
    return str(storage.device)


def default_restore_location(storage, location):
    """The storage at the named place."""
    for _, _, deserializer in _Options.packages:
        placed = deserializer(storage, location)
        if placed is not None:
            return placed
    kind = location.partition(":")[0]
    if kind == "cpu":
        return storage
    if kind == "meta":
        return flambeau.UntypedStorage(storage.nbytes(), device="meta")
    if kind == "cuda" and not flambeau.cuda.is_available():
        raise RuntimeError(
            "Attempting to deserialize object on a CUDA device but torch.cuda.is_available() is "
            f"False: the file has tensors of device {location!r}; please use torch.load with "
            "map_location=torch.device('cpu') to map your storages to the CPU."
        )
    raise RuntimeError(f"load(): don't know how to restore data at location {location!r}")


def _restorer(map_location):
    """A function (storage, location) -> storage."""
    if map_location is None:
        return default_restore_location
    if isinstance(map_location, dict):
        return lambda storage, location: default_restore_location(
            storage, str(map_location.get(location, location))
        )
    if isinstance(map_location, (str, bytes, flambeau.device)):
        text = map_location.decode() if isinstance(map_location, bytes) else str(map_location)
        return lambda storage, location: default_restore_location(storage, text)
    if not callable(map_location):
        raise TypeError(
            "load(): map_location must be a function, a dict, a string or a device, got "
            f"{type(map_location).__name__}"
        )

    def restore(storage, location):
        placed = map_location(storage, location)
        return default_restore_location(storage, location) if placed is None else placed

    return restore


# -- save ------------------------------------------------------------------------------------------
def save(obj, f, pickle_module=None, pickle_protocol=2, _use_new_zipfile_serialization=True):
    """Writes an object to a path or to anything with `write`, in PyTorch's zip format.

    Tensors that share a storage still do when loaded. A file at a path appears whole or not at
    all. `pickle_protocol` is 2 or higher. With `_use_new_zipfile_serialization=False` the format is
    the one of before PyTorch 1.6. `pickle_module` can only be the standard pickle: names
    are written as PyTorch knows them, which no other pickler does.

    >>> import io
    >>> import flambeau as torch
    >>> file = io.BytesIO()
    >>> torch.save({"step": 3, "weight": torch.ones(2)}, file)
    >>> _ = file.seek(0)
    >>> torch.load(file)
    {'step': 3, 'weight': tensor([1., 1.])}
    """
    if pickle_module is not None and pickle_module.__name__ != "pickle":
        raise ValueError(f"save(): pickle_module must be pickle, got {pickle_module.__name__}")
    if not isinstance(pickle_protocol, int) or not 2 <= pickle_protocol <= 5:
        raise ValueError(f"save(): pickle_protocol must be from 2 to 5, got {pickle_protocol!r}")
    if isinstance(f, (str, os.PathLike)):
        with _whole_file(os.fspath(f)) as file:
            stem = os.path.splitext(os.path.basename(os.fspath(f)))[0]
            _write(obj, file, stem or "archive", pickle_protocol, _use_new_zipfile_serialization)
    elif hasattr(f, "write"):
        _write(obj, f, "archive", pickle_protocol, _use_new_zipfile_serialization)
        if hasattr(f, "flush"):
            f.flush()
    else:
        raise AttributeError(
            "expected 'f' to be string, path, or a file-like object with a 'write' attribute, got "
            f"{type(f).__name__}"
        )


def _write(obj, file, root, protocol, as_zip):
    from . import _pickler, _utils, _zip

    if not as_zip:
        from . import _legacy

        return _legacy.write(obj, file, protocol)
    stream = io.BytesIO()
    pickler = _pickler.Pickler(stream, protocol)
    pickler.dump(obj)
    archive = _zip.Writer(file, _Options.check_sums)
    archive.add(f"{root}/data.pkl", stream.getbuffer())
    archive.add(f"{root}/.format_version", b"1")
    archive.add(f"{root}/.storage_alignment", b"64")
    archive.add(f"{root}/byteorder", b"little")
    for key, storage in pickler.storages.items():
        if _Options.skip_data:
            data = bytes(storage.nbytes())
        else:
            data = _utils.storage_bytes(storage)
        archive.add(f"{root}/data/{key}", data)
    archive.add(f"{root}/version", b"3\n")
    archive.add(f"{root}/.data/serialization_id", archive.fingerprint())
    archive.close()


@contextlib.contextmanager
def _whole_file(path):
    """A file to write that takes its place at the path when all of it is there."""
    folder = os.path.dirname(path)
    if folder and not os.path.isdir(folder):
        raise RuntimeError(f"Parent directory {folder} does not exist.")
    path = os.path.realpath(path)  # a link stays a link
    if os.path.exists(path) and not os.path.isfile(path):  # a device or a pipe
        with open(path, "wb") as file:
            yield file
        return
    partial = f"{path}.{os.getpid()}.{os.urandom(4).hex()}.part"
    try:
        with open(partial, "xb") as file:
            yield file
        with contextlib.suppress(OSError):
            os.chmod(partial, os.stat(path).st_mode & 0o7777)
        os.replace(partial, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.remove(partial)


# -- load ------------------------------------------------------------------------------------------
def load(
    f, map_location=None, pickle_module=None, *, weights_only=None, mmap=None, **pickle_load_args
):
    """Reads what `save`, here or in PyTorch, has written to a path or a file that can seek.

    With `weights_only` (the default without a `pickle_module`) only tensors, plain containers and
    what `add_safe_globals` allows are built, and nothing in the file is run. `weights_only=False`
    is a full unpickle, for files you trust alone; `pickle_module` and further arguments are for it.
    Of the environment, TORCH_FORCE_WEIGHTS_ONLY_LOAD=1 means True whatever is asked, and
    TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD=1 False where nothing is asked.
    `map_location` says where tensors go: a device, a dict from location to location, or a function
    of storage and location. `mmap=True` maps the file, which must be a path, instead of reading it.

    >>> import flambeau as torch
    >>> import io
    >>> file = io.BytesIO()
    >>> torch.save({"weight": torch.ones(2)}, file)
    >>> _ = file.seek(0)
    >>> torch.load(file)
    {'weight': tensor([1., 1.])}
    """
    from . import _loader

    weights_only = _only_weights(weights_only, pickle_module)
    if weights_only and pickle_module is not None:
        raise RuntimeError("Can not safely load weights when explicit pickle_module is specified")
    if mmap and not isinstance(f, (str, os.PathLike)):
        raise ValueError("f must be a file path in order to use the mmap argument")
    restore = _restorer(map_location)
    with _opened(f) as file:
        mapped = _loader.map_file(f, _Options.mmap_flags) if mmap else None
        loader = _loader.open_checkpoint(file, restore, _Options, mapped)
        if loader.is_program():
            return _load_program(f, map_location, weights_only)
        if weights_only:
            unknown = set(pickle_load_args) - {"encoding"}
            if unknown:
                raise TypeError(f"load(): got unexpected arguments {sorted(unknown)}")
            encoding = pickle_load_args.get("encoding", "utf-8")
            return loader.load_safely(_Options.safe_globals, encoding)
        return loader.load_trusting(pickle_module, pickle_load_args)


def _only_weights(given, pickle_module):
    """Whether a file is read without trust: as asked, or as the environment has it."""
    names = ("TORCH_FORCE_WEIGHTS_ONLY_LOAD", "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD")
    always, never = (os.environ.get(n, "0") in ("1", "y", "yes", "true") for n in names)
    if always and never:
        raise RuntimeError(f"load(): Only one of {names[0]} or {names[1]} should be set")
    if always:
        return True
    if given is not None:
        return given
    return pickle_module is None and not never


def _load_program(f, map_location, weights_only):
    """A TorchScript archive that `load` was given."""
    import warnings

    if weights_only:
        raise RuntimeError(
            "load(): Cannot use weights_only=True with TorchScript archives, which are programs "
            "and no checkpoints. Use flambeau.jit.load, or weights_only=False"
        )
    if hasattr(f, "seek"):
        f.seek(0)
    found = flambeau.jit.load(f, map_location)
    warnings.warn(
        "'torch.load' received a zip file that looks like a TorchScript archive dispatching to "
        "'torch.jit.load' (call 'torch.jit.load' directly to silence this warning)",
        UserWarning,
        stacklevel=3,
    )
    return found


@contextlib.contextmanager
def _opened(f):
    if isinstance(f, (str, os.PathLike)):
        with open(f, "rb") as file:
            yield file
    elif hasattr(f, "read") and hasattr(f, "seek"):
        yield f
    else:
        raise AttributeError(
            f"{type(f).__name__!r} object has no attribute 'seek'. You can only torch.load from a "
            "file that is seekable. Please pre-load the data into a buffer like io.BytesIO and try "
            "to load from it instead."
        )


def _get_layout(name):
    """The layout of that name, as pickles of sparse tensors have it."""
    from ._names import _layout

    return _layout(name)
