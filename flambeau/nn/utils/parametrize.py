"""Parametrizations: tensors of a module that are computed from others each time they are read."""

import copy
from contextlib import contextmanager

import flambeau as torch
from flambeau import Tensor

from ..modules.container import ModuleDict, ModuleList
from ..modules.module import Module
from ..parameter import Parameter

__all__ = [
    "ParametrizationList",
    "cached",
    "is_parametrized",
    "register_parametrization",
    "remove_parametrizations",
    "transfer_parametrizations_and_params",
    "type_before_parametrizations",
]

_cache_depth = 0
_cache = {}


@contextmanager
def cached():
    """Within it, a parametrized tensor is computed once and kept.

    >>> import flambeau as torch
    >>> from flambeau.nn.utils import parametrize
    >>> with parametrize.cached():
    ...     pass
    """
    global _cache_depth, _cache
    _cache_depth += 1
    try:
        yield
    finally:
        _cache_depth -= 1
        if not _cache_depth:
            _cache = {}


def _register(module, name, tensor):
    if isinstance(tensor, Parameter):
        module.register_parameter(name, tensor)
    else:
        module.register_buffer(name, tensor)


def _put(destination, source):
    """Gives a tensor another's values and shape; the object stays, for optimizers that hold it."""
    if destination is not source:
        destination.data = source.detach()


def _check(value, dtype, shape, what):
    if not isinstance(value, Tensor):
        raise ValueError(f"{what} must return a tensor. Got {type(value).__name__}.")
    if value.dtype != dtype:
        raise ValueError(
            f"{what} may not change the dtype of the tensor, unless the `unsafe` flag is enabled: "
            f"it was {dtype} and became {value.dtype}"
        )
    if value.shape != shape:
        raise ValueError(
            f"{what} may not change the shape of the tensor, unless the `unsafe` flag is enabled: "
            f"it was {shape} and became {value.shape}"
        )


class ParametrizationList(ModuleList):
    """The parametrizations of one tensor in order, and what it is computed from.

    That is one tensor, `original`, or where the first `right_inverse` gives a sequence several,
    `original0`, `original1`, ...
    """

    def __init__(self, modules, original, unsafe=False):
        if len(modules) == 0:
            raise ValueError("ParametrizationList requires one or more modules.")
        super().__init__(modules)
        self.unsafe = unsafe
        dtype, shape = original.dtype, original.shape
        with torch.no_grad():
            new = original
            for module in reversed(self):
                new = _invert(module, new)
        if not isinstance(new, (Tensor, list, tuple)):
            raise ValueError(
                "'right_inverse' must return a Tensor or a Sequence of tensors (list, tuple...). "
                f"Got {type(new).__name__}"
            )
        self.is_tensor = isinstance(new, Tensor)
        self.ntensors = 1 if self.is_tensor else len(new)
        if self.is_tensor:
            if new.dtype != dtype:
                raise ValueError(
                    "When `right_inverse` outputs one tensor, it may not change the dtype: it was "
                    f"{dtype} and became {new.dtype}"
                )
            _put(original, new)
            _register(self, "original", original)
        else:
            self._register_several(new, original)
        if not self.unsafe:
            _check(self(), dtype, shape, "A parametrization")

    def _register_several(self, values, original):
        for i, value in enumerate(values):
            if not isinstance(value, Tensor):
                raise ValueError(
                    "'right_inverse' must return a Tensor or a Sequence of tensors (list, "
                    f"tuple...). Got element {i} of the sequence with type {type(value).__name__}."
                )
            if isinstance(original, Parameter):
                value = Parameter(value, original.requires_grad)
            value.requires_grad_(original.requires_grad)
            _register(self, f"original{i}", value)

    def right_inverse(self, value):
        """Sets the originals so that the tensor becomes `value`, as far as that is possible."""
        with torch.no_grad():
            for module in reversed(self):
                if not hasattr(module, "right_inverse"):
                    raise RuntimeError(
                        f"parametrization {type(module).__name__} does not implement right_inverse."
                    )
                value = module.right_inverse(value)
            if self.is_tensor:
                if not isinstance(value, Tensor):
                    raise ValueError(
                        f"`right_inverse` should return a tensor. Got {type(value).__name__}"
                    )
                if value.dtype != self.original.dtype:
                    raise ValueError(
                        f"The tensor returned by `right_inverse` has dtype {value.dtype} while "
                        f"`original` has dtype {self.original.dtype}"
                    )
                _put(self.original, value)
                return
            if not isinstance(value, (list, tuple)) or len(value) != self.ntensors:
                raise ValueError(
                    f"'right_inverse' must return a sequence of {self.ntensors} tensors"
                )
            for i, new in enumerate(value):
                _put(getattr(self, f"original{i}"), new)

    def forward(self):
        originals = [self.original] if self.is_tensor else [
            getattr(self, f"original{i}") for i in range(self.ntensors)
        ]  # fmt: skip
        x = self[0](*originals)
        for i in range(1, len(self)):
            x = self[i](x)
        return x


def _invert(module, value):
    """module.right_inverse(value), or value where there is none."""
    if not hasattr(module, "right_inverse"):
        return value
    try:
        return module.right_inverse(value)
    except NotImplementedError:
        return value


def _inject_class(module):
    """Makes the module the only one of a new class, for properties that are its alone."""
    cls = type(module)

    def deepcopy(self, memo):
        known = memo.get(id(self))
        if known is not None:
            return known
        twin = self.__new__(type(self))
        memo[id(self)] = twin
        twin.__dict__ = copy.deepcopy(self.__dict__, memo)
        return twin

    def getstate(self):
        raise RuntimeError(
            "Serialization of parametrized modules is only supported through state_dict(). See:\n"
            "https://pytorch.org/tutorials/beginner/saving_loading_models.html"
            "#saving-loading-a-general-checkpoint-for-inference-and-or-resuming-training"
        )

    members = {"__getstate__": getstate}
    if not hasattr(cls, "__deepcopy__"):
        members["__deepcopy__"] = deepcopy
    module.__class__ = type(f"Parametrized{cls.__name__}", (cls,), members)


def _inject_property(module, name):
    def read(self):
        parametrization = self.parametrizations[name]
        if not _cache_depth:
            return parametrization()
        key = id(self), name
        if key not in _cache:
            _cache[key] = parametrization()
        return _cache[key]

    def write(self, value):
        self.parametrizations[name].right_inverse(value)

    setattr(type(module), name, property(read, write))


def register_parametrization(module, tensor_name, parametrization, *, unsafe=False):
    """Makes ``module.tensor_name`` the value of `parametrization`, of what the tensor was.

    Where the parametrization has a ``right_inverse``, the tensor keeps its value, and assigning to
    it works. Further ones are applied one after the other. With `unsafe` the shape and dtype may
    change and nothing is checked.

    >>> import flambeau as torch
    >>> from flambeau.nn.utils import parametrize
    >>> class Symmetric(torch.nn.Module):
    ...     def forward(self, x):
    ...         return x.triu() + x.triu(1).mT
    >>> layer = torch.nn.Linear(3, 3)
    >>> layer = parametrize.register_parametrization(layer, "weight", Symmetric())
    >>> torch.equal(layer.weight, layer.weight.mT)
    True
    """
    parametrization.train(module.training)
    if is_parametrized(module, tensor_name):
        if not unsafe:
            _check_further(module, tensor_name, parametrization)
        module.parametrizations[tensor_name].append(parametrization)
        module.parametrizations[tensor_name].unsafe |= unsafe
    elif tensor_name in module._buffers or tensor_name in module._parameters:
        original = getattr(module, tensor_name)
        parts = ParametrizationList([parametrization], original, unsafe=unsafe)
        delattr(module, tensor_name)
        if not is_parametrized(module):
            _inject_class(module)
            module.parametrizations = ModuleDict()
        _inject_property(module, tensor_name)
        module.parametrizations[tensor_name] = parts
    else:
        raise ValueError(
            f"Module '{module}' does not have a parameter, a buffer, or a parametrized element "
            f"with name '{tensor_name}'"
        )
    return module


def _check_further(module, tensor_name, parametrization):
    before = getattr(module, tensor_name)
    after = parametrization(before)
    _check(after, before.dtype, before.shape, "A parametrization")
    if hasattr(parametrization, "right_inverse"):
        try:
            _check(
                parametrization.right_inverse(after), before.dtype, before.shape, "right_inverse"
            )
        except NotImplementedError:
            pass


def is_parametrized(module, tensor_name=None):
    """Whether a module has parametrized tensors, or one of that name."""
    parametrizations = getattr(module, "parametrizations", None)
    if not isinstance(parametrizations, ModuleDict):
        return False
    if tensor_name is None:
        return len(parametrizations) > 0
    return tensor_name in parametrizations


def remove_parametrizations(module, tensor_name, leave_parametrized=True):
    """Makes a tensor plain again: with its computed value, or else with the original one."""
    if not is_parametrized(module, tensor_name):
        raise ValueError(f"Module {module} does not have a parametrization on {tensor_name}")
    parts = module.parametrizations[tensor_name]
    if parts.is_tensor:
        original = parts.original
        if leave_parametrized:
            with torch.no_grad():
                _put(original, getattr(module, tensor_name))
    elif leave_parametrized:
        value = getattr(module, tensor_name)
        original = Parameter(value.detach()) if value.requires_grad else value
    else:
        raise ValueError(
            "Cannot leave unparametrized (`leave_parametrized=False`) a tensor that is "
            "parametrized in terms of a sequence of tensors."
        )
    delattr(type(module), tensor_name)
    del module.parametrizations[tensor_name]
    _register(module, tensor_name, original)
    if not is_parametrized(module):
        del module.parametrizations
        module.__class__ = type(module).__bases__[0]
    return module


def type_before_parametrizations(module):
    """The class of a module, without what parametrizations made of it."""
    return type(module).__bases__[0] if is_parametrized(module) else type(module)


def transfer_parametrizations_and_params(from_module, to_module, tensor_name=None):
    """Gives another module of the same class the parametrizations and what they work on."""
    if not is_parametrized(from_module):
        return to_module
    if not isinstance(from_module, Module) or not isinstance(to_module, Module):
        raise TypeError("transfer_parametrizations_and_params(): wanted two modules")
    names = from_module.parametrizations if tensor_name is None else [tensor_name]
    if not hasattr(from_module, "parametrizations"):
        raise ValueError("from_module has no parametrizations")
    for name in names:
        parts = from_module.parametrizations[name]
        if not hasattr(to_module, name):
            setattr(to_module, name, Parameter(getattr(from_module, name).detach()))
        for part in parts:
            register_parametrization(to_module, name, part)
        copies = to_module.parametrizations[name]
        for i in range(parts.ntensors):
            which = "original" if parts.is_tensor else f"original{i}"
            setattr(copies, which, getattr(parts, which))
    return to_module
