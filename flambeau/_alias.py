"""`import torch` and `import torchvision` answered by flambeau, for programs as they are."""

import importlib
import importlib.machinery
import importlib.metadata
import sys
from types import ModuleType

_NAMES = {
    "torch": "flambeau",
    "torchvision": "flambeau.vision",
    "functorch": "flambeau._functorch.older",
}
# Modules whose names stand in others here.
_ELSEWHERE = {
    "torch._C._functorch": "flambeau._functorch._native",  # an extension has no modules in it
    "torchvision._internally_replaced_utils": "flambeau.hub",
    "torchvision.datasets.samplers.clip_sampler": "flambeau.vision.datasets.samplers",
    "torchvision.ops._box_convert": "flambeau.vision.ops.boxes",
    "torchvision.ops.ciou_loss": "flambeau.vision.ops.losses",
    "torchvision.ops.diou_loss": "flambeau.vision.ops.losses",
    "torchvision.ops.focal_loss": "flambeau.vision.ops.losses",
    "torchvision.ops.giou_loss": "flambeau.vision.ops.losses",
    "torchvision.ops.ps_roi_align": "flambeau.vision.ops.roi",
    "torchvision.ops.ps_roi_pool": "flambeau.vision.ops.roi",
    "torchvision.ops.roi_align": "flambeau.vision.ops.roi",
    "torchvision.ops.roi_pool": "flambeau.vision.ops.roi",
    "torchvision.transforms._functional_pil": "flambeau.vision.transforms.functional",
    "torchvision.transforms._functional_tensor": "flambeau.vision.transforms.functional",
}
# Private modules of torchvision whose names their packages have here.
_PACKED = {
    "torchvision.datasets": "optical_flow stereo_matching",
    "torchvision.transforms.v2": "augment container deprecated meta temporal type_conversion",
    "torchvision.transforms.v2.functional": "augment color deprecated meta misc temporal "
    "type_conversion utils",
    "torchvision.tv_tensors": "bounding_boxes dataset_wrapper image keypoints mask "
    "torch_function_helpers video",
}
for _package, _modules in _PACKED.items():
    _ours = _package.replace("torchvision", "flambeau.vision")
    _ELSEWHERE.update({f"{_package}._{_module}": _ours for _module in _modules.split()})


class _Distribution(importlib.metadata.Distribution):
    """What `importlib.metadata.version("torch")` reads: libraries ask it before they import."""

    def __init__(self, name):
        self._name = name

    def read_text(self, filename):
        from . import version

        if filename == "METADATA":
            number = version.torchvision if self._name == "torchvision" else version.__version__
            return f"Metadata-Version: 2.1\nName: {self._name}\nVersion: {number}\n"
        return None

    def locate_file(self, path):
        return path


_asked = set()


def _known_to_parent(name):
    """A module that stands elsewhere here, but that its parent answers to by PyTorch's name."""
    if name in _asked:  # the parent asks in turn for what it does not know
        return None
    parent, _, last = name.rpartition(".")
    _asked.add(name)
    try:
        found = getattr(importlib.import_module(parent), last, None)
    except ImportError:
        return None
    finally:
        _asked.discard(name)
    return found if isinstance(found, ModuleType) else None


class _Loader:
    """Gives the module that flambeau has for a name, as it is."""

    def create_module(self, spec):
        root, dot, rest = spec.name.partition(".")
        real = _ELSEWHERE.get(spec.name) or _NAMES[root] + dot + rest
        try:
            module = importlib.import_module(real)
        except ModuleNotFoundError as error:
            if error.name != real:
                raise
            module = _known_to_parent(real)
            if module is None:
                name = spec.name
                raise ModuleNotFoundError(f"No module named {name!r}", name=name) from None
        self.spec = module.__spec__
        return module

    def exec_module(self, module):
        module.__spec__ = self.spec  # the import system has put the alias's in its place


def _torch_name(name):
    """The name under which programs know a module of flambeau; None for any other module."""
    for theirs, ours in reversed(_NAMES.items()):
        if name == ours or name.startswith(f"{ours}."):
            return theirs + name[len(ours) :]
    return None


def _rename(module):
    """Classes say that they are torch's, as programs print and libraries compare it."""
    theirs = _torch_name(module.__name__)
    if theirs is None:  # done already
        return
    sys.modules.setdefault(theirs, module)
    for name, ours in _ELSEWHERE.items():  # found here, they do not become attributes of parents
        if module.__name__ == ours:
            sys.modules.setdefault(name, module)
    module.__name__ = theirs
    for value in list(vars(module).values()):
        if isinstance(value, type) and value.__module__.startswith("flambeau"):
            try:
                value.__module__ = _torch_name(value.__module__) or value.__module__
            except TypeError:  # a class of the core that cannot be changed
                pass


class _Renaming:
    """The loader of a module of flambeau, whose classes are renamed once they are there."""

    def __init__(self, loader):
        self._loader = loader

    def __getattr__(self, name):
        return getattr(self._loader, name)

    def create_module(self, spec):
        return self._loader.create_module(spec)

    def exec_module(self, module):
        self._loader.exec_module(module)
        _rename(module)


class _Finder:
    @staticmethod
    def find_spec(fullname, path=None, target=None):
        root = fullname.partition(".")[0]
        if root == "flambeau":
            spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
            if spec is not None and spec.loader is not None:
                spec.loader = _Renaming(spec.loader)
            return spec
        if root not in _NAMES:
            return None
        return importlib.machinery.ModuleSpec(fullname, _Loader(), origin="flambeau")

    @staticmethod
    def find_distributions(context=None):
        name = context and context.name
        return [_Distribution(ours) for ours in _NAMES if name in (None, ours)]


class _InChildren:
    """What a child process unpickles first, so that `import torch` gives flambeau there too."""

    def __reduce__(self):
        return as_torch, ()


def _prepare_children():
    from multiprocessing import spawn

    described = spawn.get_preparation_data

    def get_preparation_data(name):
        return {"flambeau": _InChildren(), **described(name)}

    spawn.get_preparation_data = get_preparation_data


def as_torch():
    """From here on `import torch` and `import torchvision` give flambeau and flambeau.vision.

    For programs and libraries that name PyTorch themselves. Call it before any of them is
    imported; `python -m flambeau program.py` does so. Only this process is concerned, and those
    that its `multiprocessing` starts: nothing is installed. Modules are flambeau's own objects, so
    `torch.nn is flambeau.nn`; from here on their classes call themselves torch's:
    `<class 'torch.Tensor'>`.

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
    import flambeau

    flambeau.torch = flambeau  # torch.torch is torch
    flambeau._C.__path__ = []  # so that imports from within it ask the finder
    _prepare_children()
    for name, module in list(sys.modules.items()):
        if module is not None and (name == "flambeau" or name.startswith("flambeau.")):
            _rename(module)
