"""Functions of PyTorch that are called with flambeau's tensors, by the __torch_function__ protocol.

Both packages can be imported in one program; ``torch.relu(flambeau_tensor)`` then asks the tensor
what to do, and the answer is flambeau's function of the same name.
"""

import sys

import flambeau

_PLACES = ("nn.functional", "", "linalg", "fft", "special")
_known = {}


def _home(function):
    """The module or class that a function says it belongs to."""
    home = getattr(function, "__module__", None)
    if not isinstance(home, str):
        home = type(getattr(function, "__self__", None)).__module__
    return home


def twin(function):
    """flambeau's function for one of PyTorch's, None where it has none; any other as it is."""
    if _home(function).partition(".")[0] != "torch" or sys.modules.get("torch") is flambeau:
        return function
    if function not in _known:
        _known[function] = _find(function.__name__)
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
