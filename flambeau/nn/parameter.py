"""Parameter and Buffer: tensors that a module adopts when they are assigned to it."""

from collections import OrderedDict

import flambeau as torch
from flambeau import _C, Tensor

__all__ = [
    "Buffer",
    "Parameter",
    "UninitializedBuffer",
    "UninitializedParameter",
    "UninitializedTensorMixin",
    "is_lazy",
]


class _ParameterMeta(type(Tensor)):
    """Lets a tensor that carries the mark ``_is_param`` count as a Parameter too."""

    def __instancecheck__(cls, instance):
        if type(instance) is cls or super().__instancecheck__(instance):
            return True
        if cls is not Parameter or not isinstance(instance, Tensor):
            return False
        return getattr(instance, "_is_param", False)


class Parameter(Tensor, metaclass=_ParameterMeta):
    """A tensor that is a module's weight: assigning it to a module registers it.

    >>> import flambeau as torch
    >>> layer = torch.nn.Module()
    >>> layer.scale = torch.nn.Parameter(torch.ones(2))
    >>> [name for name, _ in layer.named_parameters()]
    ['scale']
    """

    # Operators treat parameters as plain tensors.
    __torch_function__ = _C._disabled_torch_function_impl

    def __new__(cls, data=None, requires_grad=True):
        if data is None:
            data = torch.empty(0)
        if type(data) is Tensor or type(data) is Parameter:
            return Tensor._make_subclass(cls, data, requires_grad)
        # A custom tensor keeps its own type and is only marked as a parameter.
        kept = data.detach().requires_grad_(requires_grad)
        if type(kept) is Tensor:
            return Tensor._make_subclass(cls, kept, requires_grad)
        kept._is_param = True
        return kept

    def __deepcopy__(self, memo):
        if id(self) in memo:
            return memo[id(self)]
        twin = type(self)(self.detach().clone(), self.requires_grad)
        memo[id(self)] = twin
        return twin

    def __repr__(self):
        plain = self.detach().requires_grad_(self.requires_grad)
        return f"Parameter containing:\n{plain!r}"

    def __reduce_ex__(self, protocol):
        # Hooks are functions of this process and do not travel.
        state = {k: v for k, v in self.__dict__.items() if k != "_backward_hooks"}
        args = (self.detach(), self.requires_grad, OrderedDict())
        if state:
            return _rebuild_parameter_with_state, (*args, state)
        return _rebuild_parameter, args


_C._set_parameter_type(Parameter)


def _rebuild_parameter(data, requires_grad, backward_hooks):
    return Parameter(data, requires_grad)


def _rebuild_parameter_with_state(data, requires_grad, backward_hooks, state):
    param = Parameter(data, requires_grad)
    param.__dict__.update(state)
    return param


class _BufferMeta(type(Tensor)):
    """A Buffer is a plain tensor with marks; this makes ``isinstance`` see it."""

    def __instancecheck__(cls, instance):
        if super().__instancecheck__(instance):
            return True
        return (
            cls is Buffer
            and isinstance(instance, Tensor)
            and getattr(instance, "_is_buffer", False)
        )


class Buffer(Tensor, metaclass=_BufferMeta):
    """A tensor that is a module's state but no weight: assigning it registers a buffer.

    >>> import flambeau as torch
    >>> layer = torch.nn.Module()
    >>> layer.count = torch.nn.Buffer(torch.zeros(1))
    >>> list(layer.state_dict())
    ['count']
    """

    def __new__(cls, data=None, *, persistent=True):
        if data is None:
            data = torch.empty(0)
        tensor = data.detach().requires_grad_(data.requires_grad)
        tensor.persistent = persistent
        tensor._is_buffer = True
        return tensor


_UNINITIALIZED = (
    "Can't access the shape of an uninitialized parameter or buffer. This error usually happens "
    "in `load_state_dict` when trying to load an uninitialized parameter into an initialized one. "
    "Call `forward` to initialize the parameters before accessing their attributes."
)


# Operators that ask nothing of the shape.
_SHAPELESS = frozenset(
    "is_complex is_floating_point half float double bfloat16 cpu cuda to type detach "
    "requires_grad_ alias __get__ __set__".split()
)


class UninitializedTensorMixin:
    """A tensor whose shape is not known until a lazy module has seen its first input."""

    def materialize(self, shape, device=None, dtype=None):
        """Gives it a shape and memory, and turns it into what it stands for."""
        device = self.data.device if device is None else device
        dtype = self.data.dtype if dtype is None else dtype
        self.data = torch.empty(shape, device=device, dtype=dtype)
        self.__class__ = self.cls_to_become

    @property
    def shape(self):
        raise RuntimeError(_UNINITIALIZED)

    def size(self, dim=None):
        raise RuntimeError(_UNINITIALIZED)

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        name = getattr(func, "__name__", "")
        if name not in _SHAPELESS and not name.startswith("__get__"):
            raise ValueError(
                f"Attempted to use an uninitialized parameter in {func}. This error happens when "
                "you are using a `LazyModule` or explicitly manipulating "
                "`torch.nn.parameter.UninitializedParameter` objects. When using LazyModules "
                "Call `forward` with a dummy batch to initialize the parameters before calling "
                "torch functions"
            )
        return _C._disabled_torch_function_impl(func, types, args, kwargs or {})

    def share_memory_(self):
        raise RuntimeError(
            "Can't share memory on an uninitialized parameter or buffer. Call `forward` to "
            "initialize the parameters before calling `module.share_memory()`."
        )

    def __repr__(self):
        return f"<{type(self).__name__}>"

    def __reduce_ex__(self, protocol):
        return type(self), (self.requires_grad,)


class UninitializedParameter(UninitializedTensorMixin, Parameter):
    """A parameter of a lazy module, before the first input fixes its shape.

    >>> import flambeau as torch
    >>> torch.nn.UninitializedParameter()
    <UninitializedParameter>
    """

    cls_to_become = Parameter

    def __new__(cls, requires_grad=True, device=None, dtype=None):
        data = torch.empty(0, device=device, dtype=dtype)
        return Tensor._make_subclass(cls, data, requires_grad)

    def __deepcopy__(self, memo):
        if id(self) in memo:
            return memo[id(self)]
        data = self.data
        twin = type(self)(self.requires_grad, data.device, data.dtype)
        memo[id(self)] = twin
        return twin


class UninitializedBuffer(UninitializedTensorMixin, Tensor):
    """A buffer of a lazy module, before the first input fixes its shape.

    >>> import flambeau as torch
    >>> torch.nn.UninitializedBuffer()
    <UninitializedBuffer>
    """

    cls_to_become = Tensor

    def __new__(cls, requires_grad=False, device=None, dtype=None, persistent=True):
        data = torch.empty(0, device=device, dtype=dtype)
        buffer = Tensor._make_subclass(cls, data, requires_grad)
        buffer.persistent = persistent
        buffer._is_buffer = True
        return buffer


def is_lazy(param):
    """Whether a tensor still waits for its shape."""
    return isinstance(param, UninitializedTensorMixin)
