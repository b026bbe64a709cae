"""`import torch` and `import torchvision` answered by flambeau, for programs as they are."""

import importlib
import importlib.machinery
import importlib.metadata
import sys

_NAMES = {"torch": "flambeau", "torchvision": "flambeau.vision"}


class _Distribution(importlib.metadata.Distribution):
    """What `importlib.metadata.version("torch")` reads: libraries ask it before they import."""

    def __init__(self, name):
        self._name = name

    def read_text(self, filename):
        from . import version

        if filename == "METADATA":
            number = version.__version__ if self._name == "torch" else version.torchvision
            return f"Metadata-Version: 2.1\nName: {self._name}\nVersion: {number}\n"
        return None

    def locate_file(self, path):
        return path


class _Loader:
    """Gives the module that flambeau has for a name, as it is."""

    def create_module(self, spec):
        root, dot, rest = spec.name.partition(".")
        real = _NAMES[root] + dot + rest
        try:
            module = importlib.import_module(real)
        except ModuleNotFoundError as error:
            if error.name != real:
                raise
            raise ModuleNotFoundError(f"No module named {spec.name!r}", name=spec.name) from None
        self.spec = module.__spec__
        return module

    def exec_module(self, module):
        module.__spec__ = self.spec  # the import system has put the alias's in its place


class _Finder:
    @staticmethod
    def find_spec(fullname, path=None, target=None):
        if fullname.partition(".")[0] not in _NAMES:
            return None
        return importlib.machinery.ModuleSpec(fullname, _Loader(), origin="flambeau")

    @staticmethod
    def find_distributions(context=None):
        name = context and context.name
        return [_Distribution(ours) for ours in _NAMES if name in (None, ours)]


def as_torch():
    """From here on `import torch` and `import torchvision` give flambeau and flambeau.vision.

    For programs and libraries that name PyTorch themselves. Call it before any of them is
    imported; `python -m flambeau program.py` does so. Only this process is concerned: nothing is
    installed. Modules are flambeau's own objects, so `torch.nn is flambeau.nn`.

    Raises RuntimeError if PyTorch itself has been imported already.

    >>> import flambeau
    >>> flambeau.as_torch()  # doctest: +SKIP
    >>> import torch, torchvision.transforms  # doctest: +SKIP
    """
    if any(isinstance(finder, _Finder) for finder in sys.meta_path):
        return
    for name, ours in _NAMES.items():
        if name in sys.modules and sys.modules[name].__name__ != ours:
            raise RuntimeError(f"as_torch(): {name} itself has been imported already")
    sys.meta_path.insert(0, _Finder())
