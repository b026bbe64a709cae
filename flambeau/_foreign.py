"""Where PyTorch and flambeau meet in one program: functions and layers of PyTorch's own.

``torch.relu(flambeau_tensor)`` asks the tensor what to do, by the __torch_function__ protocol, and
the answer is flambeau's function of the same name; PyTorch's tensors among its arguments are taken
as flambeau's, over the same memory. Objects for dtypes, devices, layouts and memory formats equal
PyTorch's of the same name and serve as arguments on either side (they hash alike where PyTorch was
imported first). So functions that PyTorch has in Python run on flambeau's tensors. A layer of
PyTorch's that becomes the child of one of flambeau's is copied into flambeau's class of that name.
"""

import sys

import flambeau
from flambeau import _C

_PLACES = ("nn.functional", "", "linalg", "fft", "special", "Tensor")
_known = {}


def _home(function):
    """The module or class that a function says it belongs to."""
    home = getattr(function, "__module__", None)
    if isinstance(home, str):
        return home
    if hasattr(function, "__objclass__"):  # a method written in C
        return function.__objclass__.__module__
    return type(getattr(function, "__self__", None)).__module__


def twin(function):
    """flambeau's function for one of PyTorch's, None where it has none; any other as it is."""
    if _home(function).partition(".")[0] != "torch" or sys.modules.get("torch") is flambeau:
        return function
    if function not in _known:
        method = function.__qualname__.partition(".")[0] in ("Tensor", "TensorBase", "_TensorBase")
        found = getattr(flambeau.Tensor, function.__name__, None) if method else None
        _known[function] = found if callable(found) else _find(function.__name__)
    return _known[function]


def _find(name):
    for place in _PLACES:
        module = flambeau
        for part in place.split(".") if place else ():
            module = getattr(module, part)
        found = getattr(module, name, None)
        if callable(found):
            return found
    return None


def taken(value):
    """Arguments with PyTorch's tensors as flambeau's, over the same memory."""
    if isinstance(value, dict):
        return {key: taken(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(map(taken, value))
    return flambeau.from_dlpack(value) if _C._is_pytorch_tensor(value) else value


# -- modules ---------------------------------------------------------------------------------------


def module_twin(module):
    """A copy of one of PyTorch's own layers as flambeau's; None for anything else.

    Both keep their state under the same names, so the class of that name is given the state.
    """
    cls = _class_twin(type(module))
    if cls is None:
        return None
    made = cls.__new__(cls)
    made.__setstate__({name: _value_twin(value) for name, value in vars(module).items()})
    return made


def _class_twin(cls):
    root, _, path = cls.__module__.partition(".")
    if root != "torch" or not path.startswith("nn.modules") or sys.modules.get("torch") is flambeau:
        return None
    found = getattr(flambeau.nn, cls.__name__, None)
    if found is None:  # not public, but in the file of the same name
        file = getattr(flambeau.nn.modules, path.rpartition(".")[2], None)
        found = getattr(file, cls.__name__, None)
    return found if isinstance(found, type) and issubclass(found, flambeau.nn.Module) else None


def _value_twin(value):
    cls = type(value)
    if cls.__module__.partition(".")[0] == "torch":
        if hasattr(value, "detach"):
            return _tensor_twin(value)
        if cls.__name__ == "dtype":
            return getattr(flambeau, str(value).rpartition(".")[2])
        if cls.__name__ == "device":
            return flambeau.device(str(value))
        if cls.__name__ == "Size":
            return flambeau.Size(value)
        made = module_twin(value)
        return value if made is None else made
    if isinstance(value, dict):
        return cls((key, _value_twin(item)) for key, item in value.items())
    if cls in (list, tuple, set):
        return cls(_value_twin(item) for item in value)
    if callable(value) and not isinstance(value, type) and hasattr(value, "__name__"):
        found = twin(value)
        return value if found is None else found
    return value


def _tensor_twin(tensor):
    plain = flambeau.from_numpy(tensor.detach().cpu().numpy().copy())
    if type(tensor).__name__ == "Parameter":
        return flambeau.nn.Parameter(plain, tensor.requires_grad)
    return plain.requires_grad_(tensor.requires_grad)
