"""Names in checkpoints: PyTorch's for ours and back, and what may be used without trust."""

import _compat_pickle
import pickle
from collections import Counter, OrderedDict

import flambeau

from ._unpickler import check_key

# What lies in another module here, under both names.
_MOVED = {
    ("nn.modules._state", "_WrappedHook"): "nn.modules.module",
    ("nn.modules.attention", "MultiheadAttention"): "nn.modules.activation",
    ("nn.modules.pixelshuffle", "ChannelShuffle"): "nn.modules.channelshuffle",
    ("nn.parallel", "DataParallel"): "nn.parallel.data_parallel",
    ("nn.parameter", "_rebuild_parameter"): "_utils",
    ("nn.parameter", "_rebuild_parameter_with_state"): "_utils",
    ("nn.utils._reparametrize", "SpectralNorm"): "nn.utils.spectral_norm",
    ("nn.utils._reparametrize", "SpectralNormLoadStateDictPreHook"): "nn.utils.spectral_norm",
    ("nn.utils._reparametrize", "SpectralNormStateDictHook"): "nn.utils.spectral_norm",
    ("nn.utils._reparametrize", "WeightNorm"): "nn.utils.weight_norm",
    ("optim._cyclic", "CyclicLR"): "optim.lr_scheduler",
    ("optim._cyclic", "OneCycleLR"): "optim.lr_scheduler",
    ("optim._scheduler", "LRScheduler"): "optim.lr_scheduler",
}
_PACKED = (
    "torchvision.transforms.transforms",
    "torchvision.transforms.v2._",
    "torchvision.tv_tensors._",
)
_TO_TORCH = {("flambeau." + m, name): "torch." + to for (m, name), to in _MOVED.items()}
_TO_OURS = {("torch." + to, name): "flambeau." + m for (m, name), to in _MOVED.items()}


def torch_place(module, name):
    """The module in which PyTorch has a name of ours."""
    return _TO_TORCH.get((module, name)) or torch_module(module)


def our_place(module, name):
    """The module in which we have a name of PyTorch's."""
    if module == "torch._C._nn":
        return "flambeau.nn.functional"
    for theirs in _PACKED:  # private modules, whose names their packages have
        if module.startswith(theirs):
            return as_flambeau(theirs.rpartition(".")[0])
    return _TO_OURS.get((module, name)) or as_flambeau(module)


def python3_name(module, name):
    """A name as Python 3 has it: pickles of protocol 2 hold those of Python 2."""
    both = _compat_pickle.NAME_MAPPING.get((module, name))
    return both or (_compat_pickle.IMPORT_MAPPING.get(module, module), name)


def torch_module(module):
    """A module of this package under PyTorch's name."""
    if module == "flambeau" or module.startswith("flambeau."):
        rest = module[len("flambeau") :]
        return "torchvision" + rest[7:] if f"{rest}.".startswith(".vision.") else "torch" + rest
    return module


def as_flambeau(module):
    if module == "torchvision" or module.startswith("torchvision."):
        return "flambeau.vision" + module[len("torchvision") :]
    if module == "torch" or module.startswith("torch."):
        return "flambeau" + module[len("torch") :]
    return module


def named(safe_globals):
    """(module, name) -> (object, True) of what the user allows."""
    named = {}
    for entry in safe_globals:
        value, name = entry if isinstance(entry, tuple) else (entry, None)
        if name is None:
            name = value.__qualname__
            module = torch_place(value.__module__, name)
        else:
            module, _, name = name.rpartition(".")
        named[torch_module(module), name] = value, True
    return named


def set_state(value, state):
    """What BUILD does to an object of an allowed class."""
    if hasattr(value, "__setstate__"):
        value.__setstate__(state)
        return
    slots = None
    if isinstance(state, tuple) and len(state) == 2:
        state, slots = state
    if state:
        vars(value).update(state)
    for name, attribute in (slots or {}).items():
        setattr(value, name, attribute)


def set_attributes(tensor, state):
    if not isinstance(state, dict) or not all(isinstance(name, str) for name in state):
        raise pickle.UnpicklingError("attributes of a tensor that are not named")
    for name in state:
        if name.startswith("__") or hasattr(type(tensor), name):
            raise pickle.UnpicklingError(f"attribute {name!r} would hide one of Tensor")
    vars(tensor).update(state)


def _ordered_dict(items=()):
    made = OrderedDict()
    for key, value in items:
        check_key(key)
        made[key] = value
    return made


def _counter(items=()):
    for key in items:
        check_key(key)
    return Counter(items)


def _set_of(kind):
    def make(items=()):
        for item in items:
            check_key(item)
        return kind(items)

    return make


def _encode(text, encoding):
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"text in {encoding!r}")
    return text.encode("latin1")


def _bytearray(data=b"", encoding=None):
    if isinstance(data, str):
        data = _encode(data, encoding)
    if not isinstance(data, (bytes, bytearray)):  # a number would take that much memory
        raise pickle.UnpicklingError(f"a bytearray of a {type(data).__name__}")
    return bytearray(data)


def _bytes(data=b""):
    return bytes(_bytearray(data))


def _device(name, index=None):
    if not isinstance(name, str) or len(name) > 40:
        raise pickle.UnpicklingError(f"a device named {name!r:.40}")
    return flambeau.device(name) if index is None else flambeau.device(name, index)


def _layout(name):
    found = vars(flambeau).get(name.rpartition(".")[2])
    if not isinstance(found, flambeau.layout):
        raise pickle.UnpicklingError(f"unknown layout {name!r}")
    return found


class DimRange:
    """What PyTorch's compiler wrote on a size of a jagged tensor; kept unread."""

    def __setstate__(self, state):
        self.state = state


REBUILD = {
    ("torch._utils", "_rebuild_tensor"): "_rebuild_v1",
    ("torch._utils", "_rebuild_tensor_v2"): "_rebuild_v2",
    ("torch._utils", "_rebuild_tensor_v3"): "_rebuild_v3",
    ("torch._utils", "_rebuild_meta_tensor_no_storage"): "_rebuild_meta",
    ("torch._utils", "_rebuild_sparse_tensor"): "_rebuild_sparse",
    ("torch._utils", "_rebuild_qtensor"): "_rebuild_quantized",
    ("torch._utils", "_rebuild_nested_tensor"): "_rebuild_nested",
    ("torch.nested._internal.nested_tensor", "_rebuild_njt"): "_rebuild_jagged",
    ("torch._utils", "_rebuild_parameter"): "_rebuild_parameter",
    ("torch._utils", "_rebuild_parameter_with_state"): "_rebuild_parameter",
    ("torch._tensor", "_rebuild_from_type_v2"): "_rebuild_from_type",
}
SCHEMES = (
    "per_tensor_affine per_tensor_symmetric per_channel_affine per_channel_symmetric "
    "per_channel_affine_float_qparams"
).split()
PLAIN = {
    ("collections", "OrderedDict"): (_ordered_dict, True),
    ("collections", "Counter"): (_counter, True),
    ("_codecs", "encode"): (_encode, True),
    ("torch", "Size"): (flambeau.Size, True),
    ("torch", "device"): (_device, True),
    ("torch", "Tensor"): (flambeau.Tensor, False),
    ("torch.nn.parameter", "Parameter"): (flambeau.nn.Parameter, False),
    ("torch.serialization", "_get_layout"): (_layout, True),
    ("torch._dynamo.decorators", "_DimRange"): (DimRange, True),
    ("torch.nested._internal.nested_tensor", "NestedTensor"): (flambeau.Tensor, False),
}
for _module in ("builtins", "__builtin__"):
    PLAIN[_module, "set"] = _set_of(set), True
    PLAIN[_module, "frozenset"] = _set_of(frozenset), True
    PLAIN[_module, "bytearray"] = _bytearray, True
    PLAIN[_module, "bytes"] = _bytes, True
    PLAIN[_module, "complex"] = complex, True
