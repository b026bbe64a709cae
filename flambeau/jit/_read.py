"""Reading TorchScript archives: the zip file, its pickles, and the modules that they describe."""

import os
import pickle
from collections import OrderedDict

import flambeau
from flambeau import serialization
from flambeau._loader import ZipLoader
from flambeau._zip import Reader

from ._modules import RecursiveScriptModule, ScriptObject
from ._unit import Unit


def _same(value):
    return value


def _tagged(value, kind):
    """A list or dictionary with the name of its type, which is of no use here."""
    return value


# What a pickle of an archive calls besides tensors and the classes of its own program.
_HELPERS = {
    "build_intlist": _same,
    "build_doublelist": _same,
    "build_boollist": _same,
    "build_tensorlist": _same,
    "build_complexlist": _same,
    "restore_type_tag": _tagged,
}


class _Loader(ZipLoader):
    """One archive."""

    def __init__(self, reader, restore):
        super().__init__(reader, restore, serialization._Options, None)
        self._folder = "data"
        names = [n for n in reader.names() if n.startswith("code/") and n.endswith(".py")]
        self.unit = Unit({name: self._text(name) for name in names})

    def _text(self, name):
        try:
            return self._reader.read(name).decode()
        except UnicodeDecodeError as error:
            raise RuntimeError(f"jit.load(): {name} of the archive is no text: {error}") from None

    def find_safely(self, module, name):
        if module == "__torch__" or module.startswith("__torch__."):
            found = self.unit.find(f"{module}.{name}")
            if found is None:
                raise pickle.UnpicklingError(f"the archive does not define {module}.{name}")
            return found, True
        if module == "torch.jit._pickle" and name in _HELPERS:
            return _HELPERS[name], True
        if (module, name) == ("builtins", "complex"):
            return complex, True
        if (module, name) == ("torch", "device"):
            return flambeau.device, True
        return super().find_safely(module, name)

    def _build(self, value, state):
        if isinstance(value, (RecursiveScriptModule, ScriptObject)):
            if isinstance(value, RecursiveScriptModule) and not isinstance(state, dict):
                raise pickle.UnpicklingError("a module whose state is no dictionary")
            value._fill(state)
        elif type(value) is not OrderedDict or state:
            raise pickle.UnpicklingError(f"BUILD on an object of type {type(value).__name__}")

    def _pickle(self, name, folder):
        self._folder, self._stored = folder, {}
        try:
            return self._unpickle_safely(self._reader.read(name + ".pkl"))[0]
        except pickle.UnpicklingError as error:
            reason = str(error).partition(". With weights_only")[0].removeprefix("load(): ")
            raise RuntimeError(f"jit.load(): {name}.pkl of the archive: {reason}") from None

    def load(self):
        self._allow([])
        if "constants.pkl" in self._reader:
            constants = self._pickle("constants", "constants")
            if not isinstance(constants, tuple):
                raise RuntimeError("jit.load(): the constants of the archive are no tuple")
            self.unit.define(constants)
        if "version" in self._reader:
            self.unit.version = self._reader.read("version")
        found = self._pickle("data", "data")
        if not isinstance(found, RecursiveScriptModule):
            raise RuntimeError("jit.load(): the archive holds no module")
        return found


def load(f, map_location=None, _extra_files=None, _restore_shapes=False):
    """What `flambeau.jit.load` does."""
    if isinstance(f, str | os.PathLike) and not os.path.isfile(f):
        raise ValueError(f"jit.load(): the file {f} does not exist, or is a folder")
    with serialization._opened(f) as file:
        start = file.read(2)
        file.seek(-len(start), 1)
        if start != b"PK":
            raise RuntimeError("jit.load(): the file is no zip archive, so no TorchScript")
        reader = Reader(file, packed=("code/", "extra/"))
        if "constants.pkl" not in reader and not any(
            name.startswith("code/") for name in reader.names()
        ):
            raise RuntimeError(
                "jit.load(): the archive has no program; it is a checkpoint for flambeau.load"
            )
        found = _Loader(reader, serialization._restorer(map_location)).load()
        for name in _extra_files or ():
            if f"extra/{name}" in reader:
                content = reader.read(f"extra/{name}")
                was_text = isinstance(_extra_files[name], str)
                _extra_files[name] = content.decode() if was_text else content
    return found
