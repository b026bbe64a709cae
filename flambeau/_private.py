"""Names that PyTorch keeps private and that libraries reach for all the same."""

from . import _C


def is_own(cls):
    """Whether a class is flambeau's, also where it calls itself torch's (see _alias.py)."""
    import sys

    root = cls.__module__.partition(".")[0]
    if root in ("torch", "torchvision"):
        return sys.modules.get("torch") is sys.modules["flambeau"]
    return root == "flambeau"


def _log_api_usage_once(event):
    """Notes for PyTorch's authors which part of it a program used; nobody is told here."""


def _get_accelerator(check=False):
    """The device of the accelerator: the CPU where there is none."""
    return _C.device("cpu")


def _get_tracing_state():
    """The trace of jit under way: None, as nothing is traced."""


def _are_functorch_transforms_active():
    """Whether a vmap is open."""
    from . import _levels

    return len(_levels.vmaps) > 0


def _infer_size(a, b):
    """The shape that two shapes broadcast to."""
    from . import broadcast_shapes

    return broadcast_shapes(a, b)


def _is_torch_function_mode_enabled():
    """Whether a mode that takes functions over is open."""
    from . import overrides

    return bool(overrides._modes)


def _is_alias_of(a, b):
    """Whether two tensors share their memory."""
    return a.untyped_storage()._cdata == b.untyped_storage()._cdata


class _Functions(dict):
    """Operators by name; and the class of the nodes where gradients arrive, which libraries ask."""

    @property
    def AccumulateGrad(self):
        leaf = _C.tensor(1.0, requires_grad=True)
        return type(leaf.view_as(leaf).grad_fn.next_functions[0][0])

    @property
    def UndefinedGrad(self):
        from .autograd.function import UndefinedGrad

        return UndefinedGrad

    @property
    def DelayedError(self):
        from .autograd.function import DelayedError

        return DelayedError


class _WeakTensorRef:
    """Whether a tensor is still there."""

    def __init__(self, tensor):
        from weakref import ref

        self._ref = ref(tensor)

    def expired(self):
        return self._ref() is None


def _submodule(name):
    """What is a module in torch._C is read when somebody asks."""
    if name == "_functorch":
        from ._functorch import _native

        return _native
    if name == "_autograd":
        from .autograd import graph

        return graph._native
    if name == "_distributed_rpc":
        from .distributed import rpc

        return rpc
    from . import _operators

    if name in _operators.NAMESPACES:
        made = _operators.Operators(f"torch._C.{name}")
        setattr(_C, name, made)
        return made
    if name in ("TensorBase", "_TensorBase"):
        return _C.Tensor
    raise AttributeError(f"module '{_C.__name__}' has no attribute {name!r}")


def _jit_switch(value):
    """A setter that gives back what was set before; programs set TorchScript's fusers at import."""

    def switch(enabled):
        nonlocal value
        before, value = value, enabled
        return before

    return switch


for _name in (
    "set_autocast_mode set_nvfuser_enabled set_nvfuser_guard_mode set_profiling_executor "
    "set_profiling_mode set_texpr_fuser_enabled override_can_fuse_on_cpu override_can_fuse_on_gpu"
).split():
    setattr(_C, f"_jit_{_name}", _jit_switch(False))
_C._get_graph_executor_optimize = _jit_switch(True)
_C._jit_can_fuse_on_cpu = _C._jit_can_fuse_on_gpu = lambda: False

_C.__getattr__ = _submodule
_C._functions = _Functions(_C._functions)
_C._WeakTensorRef = _WeakTensorRef
_C._infer_size = _infer_size
_C._get_tracing_state = _get_tracing_state
_C._are_functorch_transforms_active = _are_functorch_transforms_active
_C._TensorMeta = type(_C.Tensor)  # metaclasses derive from it
_C._log_api_usage_once = _log_api_usage_once
_C._get_default_device = lambda: str(_C.get_default_device())
_C._get_accelerator = _get_accelerator
_C._get_privateuse1_backend_name = lambda: "privateuseone"
_C._get_cudnn_enabled = lambda: True
_C.has_lapack = _C.has_spectral = True
_C._is_tracing = lambda: False
_C._is_torch_function_mode_enabled = _is_torch_function_mode_enabled
_C._is_alias_of = _is_alias_of


class Value:
    """A value in a graph of TorchScript; programs name the class, none of them is made."""


class Graph:
    """A graph of TorchScript, which programs name."""


class ScriptObject:
    """An object of a class that a compiled library registered, which programs name."""


_C.Value, _C.Graph, _C.ScriptObject = Value, Graph, ScriptObject
