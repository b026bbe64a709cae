"""Writing TorchScript archives: source, constants and the state of the modules."""

import ast
import enum
import io
import os

import flambeau
from flambeau import Tensor, _utils, _zip, serialization
from flambeau._pickler import Pickler, _Name

from ._modules import RecursiveScriptModule, ScriptObject
from ._types import dotted

_BUILDERS = {"int": "build_intlist", "float": "build_doublelist", "bool": "build_boollist",
             "Tensor": "build_tensorlist"}  # fmt: skip
_TAG = _Name("torch.jit._pickle", "restore_type_tag")
_DEVICE = _Name("torch", "device")


class _Pickler(Pickler):
    """Pickles modules and values by the types that the program declares for them."""

    def __init__(self, file):
        super().__init__(file, 2)
        self._globals = {}

    def _global(self, module, name):
        return self._globals.setdefault((module, name), _Name(module, name))

    def module(self, value):
        """A module or an object of a script: class, no arguments, state."""
        known = self.memo.get(id(value))
        if known is not None:
            self.write(self.get(known[0]))
            return
        unit, name, node = value._unit, value._qualified_name, value._node
        self.save(self._global(*name.rsplit(".", 1)))
        self.write(b")\x81")
        self.memoize(value)
        state = value._state()
        self.write(b"}(")
        for key, kind in unit.attributes(node).items():
            self.save(key)
            self.typed(state.get(key), kind)
        self.write(b"ub")

    def typed(self, value, kind):
        """A value of a declared type, given as a node."""
        if isinstance(value, (RecursiveScriptModule, ScriptObject)):
            self.module(value)
        elif isinstance(value, Tensor):
            self.tensor(value)
        elif isinstance(value, enum.Enum) and hasattr(type(value), "_qualified_name"):
            self.save(self._global(*type(value)._qualified_name.rsplit(".", 1)))
            self.save(value.value)
            self.write(b"R")
        elif isinstance(value, flambeau.device):
            self.save_reduce(_DEVICE, _utils.device_args(value))
        elif isinstance(value, complex):
            self.write(b"cbuiltins\ncomplex\n")
            self.save((value.real, value.imag))
            self.write(b"R")
        elif isinstance(value, (list, dict, tuple)):
            self._container(value, kind)
        elif value is None or isinstance(value, (bool, int, float, str)):
            self.save(value)
        else:
            raise RuntimeError(f"jit.save(): an attribute of type {type(value).__name__}")

    def tensor(self, value):
        known = self.memo.get(id(value))
        if known is not None:
            self.write(self.get(known[0]))
        else:
            self.save_reduce(*self._rebuild(value.detach(), value.requires_grad), obj=value)

    def _container(self, value, kind):
        while isinstance(kind, ast.Subscript) and dotted(kind.value) in ("Optional", "Final"):
            kind = kind.slice
        inner = getattr(kind, "slice", None)
        kinds = inner.elts if isinstance(inner, ast.Tuple) else [inner]
        if isinstance(value, tuple):
            self.write(b"(")
            for i, each in enumerate(value):
                self.typed(each, kinds[i] if i < len(kinds) else None)
            self.write(b"t")
            return
        builder = _BUILDERS.get(dotted(kinds[0])) if isinstance(value, list) and inner else None
        self.save(_TAG if builder is None else self._global("torch.jit._pickle", builder))
        self.write(b"(")
        if isinstance(value, list):
            self.write(b"](")
            for each in value:
                self.typed(each, kinds[0])
            self.write(b"e")
        else:
            self.write(b"}(")
            for key, each in value.items():
                self.typed(key, kinds[0])
                self.typed(each, kinds[-1])
            self.write(b"u")
        if builder is None:
            self.save(ast.unparse(kind))
        self.write(b"tR")

    def whole(self, write):
        """A pickle of what `write` saves."""
        self.write(b"\x80\x02")
        write()
        self.write(b".")


def _pickled(folder, archive, root, write):
    stream = io.BytesIO()
    pickler = _Pickler(stream)
    pickler.whole(lambda: write(pickler))
    name = "data.pkl" if folder == "data" else f"{folder}.pkl"
    for key, storage in pickler.storages.items():
        archive.add(f"{root}/{folder}/{key}", _utils.storage_bytes(storage))
    archive.add(f"{root}/{name}", stream.getbuffer())


def save(module, f, extra_files=None):
    """What `jit.save` does with a module that has a program."""
    if isinstance(f, (str, os.PathLike)):
        with serialization._whole_file(os.fspath(f)) as file:
            stem = os.path.splitext(os.path.basename(os.fspath(f)))[0]
            _save(module, file, stem or "archive", extra_files)
    else:
        _save(module, f, "archive", extra_files)


def _save(module, file, root, extra_files):
    unit = module._unit
    archive = _zip.Writer(file)
    for name, content in (extra_files or {}).items():
        data = content.encode() if isinstance(content, str) else content
        archive.add(f"{root}/extra/{name}", data)
    _pickled("data", archive, root, lambda pickler: pickler.module(module))
    for name, text in unit.files.items():
        archive.add(f"{root}/{name}", text.encode())

    def constants(pickler):
        pickler.write(b"(")
        for value in unit.constants:
            pickler.typed(value, None)
        pickler.write(b"t")

    _pickled("constants", archive, root, constants)
    archive.add(f"{root}/version", unit.version)
    archive.add(f"{root}/byteorder", b"little")
    archive.add(f"{root}/.data/serialization_id", archive.fingerprint())
    archive.close()
