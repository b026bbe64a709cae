"""Lazy modules: layers that learn the shape of their parameters from the first input."""

from ..parameter import is_lazy

__all__ = ["LazyModuleMixin"]


class LazyModuleMixin:
    """Turns a layer into one that waits for its first input.

    A subclass names the class it becomes in ``cls_to_become`` and defines
    ``initialize_parameters(*args)``, which materializes the parameters.

    >>> import flambeau as torch
    >>> layer = torch.nn.LazyLinear(3)
    >>> layer.has_uninitialized_params()
    True
    """

    cls_to_become = None

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._load_hook = self._register_load_state_dict_pre_hook(self._lazy_load_hook)
        self._initialize_hook = self.register_forward_pre_hook(
            self._infer_parameters, with_kwargs=True
        )

    def initialize_parameters(self, *args, **kwargs):
        """Gives the parameters their shapes; a subclass defines it."""
        raise NotImplementedError(
            f"initialize_parameters is not implemented for {type(self).__name__}"
        )

    def has_uninitialized_params(self):
        """Whether a parameter or buffer still waits for its shape."""
        return any(is_lazy(t) for t in (*self._parameters.values(), *self._buffers.values()))

    def _infer_parameters(self, module, args, kwargs=None):
        self.initialize_parameters(*args, **(kwargs or {}))
        if self.has_uninitialized_params():
            raise RuntimeError(f"module {self._get_name()} has not been fully initialized")
        self._initialize_hook.remove()
        self._load_hook.remove()
        del self._initialize_hook, self._load_hook
        if self.cls_to_become is not None:
            self.__class__ = self.cls_to_become

    def _lazy_load_hook(self, state_dict, prefix, *rest):
        """Before loading: parameters take the shapes of the checkpoint's."""
        for name, own in (*self._parameters.items(), *self._buffers.items()):
            value = state_dict.get(prefix + name)
            if own is not None and value is not None and is_lazy(own) and not is_lazy(value):
                own.materialize(value.shape)

    def _save_to_state_dict(self, destination, prefix, keep_vars):
        for name, tensor in self._own_tensors():
            kept = keep_vars or is_lazy(tensor)
            destination[prefix + name] = tensor if kept else tensor.detach()
