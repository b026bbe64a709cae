"""The state dict of a module: writing it, reading it, and the hooks around both."""

import weakref
from collections import OrderedDict, namedtuple

import flambeau as torch
from flambeau import Tensor

from ..parameter import _UNINITIALIZED, Parameter, is_lazy
from ._hooks import _register

_EXTRA_STATE = "_extra_state"


class _IncompatibleKeys(namedtuple("IncompatibleKeys", ["missing_keys", "unexpected_keys"])):
    """What `load_state_dict` returns: the keys that were missing and those not expected."""

    __slots__ = ()

    def __repr__(self):
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return super().__repr__()

    __str__ = __repr__


class StateMixin:
    """The part of Module that writes and reads state dicts."""

    def get_extra_state(self):
        """Returns what a subclass keeps in the state dict beyond its tensors."""
        raise RuntimeError(f"{type(self).__name__} has no extra state")

    def set_extra_state(self, state):
        """Takes back what `get_extra_state` returned."""
        raise RuntimeError(f"{type(self).__name__} has no extra state to set")

    def _has_extra_state(self, method):
        return getattr(type(self), method) is not getattr(StateMixin, method)

    def _register_state_dict_hook(self, hook):
        if getattr(hook, "_from_public_api", False):
            raise RuntimeError(
                "Cannot register the same function as the state dict post hook that was "
                "previously registered via register_state_dict_post_hook"
            )
        return _register(self._state_dict_hooks, hook)

    def register_state_dict_post_hook(self, hook):
        """Calls ``hook(module, state_dict, prefix, local_metadata)`` after `state_dict`."""
        hook._from_public_api = True
        return _register(self._state_dict_hooks, hook)

    def register_state_dict_pre_hook(self, hook):
        """Calls ``hook(module, prefix, keep_vars)`` before `state_dict`."""
        return _register(self._state_dict_pre_hooks, hook)

    def _register_load_state_dict_pre_hook(self, hook, with_module=False):
        hook = _WrappedHook(hook, self) if with_module else hook
        return _register(self._load_state_dict_pre_hooks, hook)

    def register_load_state_dict_pre_hook(self, hook):
        """Calls ``hook(module, state_dict, prefix, local_metadata, strict, missing_keys,
        unexpected_keys, error_msgs)`` before the module's own tensors are read."""
        return _register(self._load_state_dict_pre_hooks, _WrappedHook(hook, self))

    def register_load_state_dict_post_hook(self, hook):
        """Calls ``hook(module, incompatible_keys)`` after `load_state_dict`; it may edit them."""
        return _register(self._load_state_dict_post_hooks, hook)

    def state_dict(self, *args, destination=None, prefix="", keep_vars=False):
        """Returns all parameters and persistent buffers by their dotted names.

        The tensors share memory with the module; `keep_vars` keeps them in the graph.

        >>> import flambeau as torch
        >>> list(torch.nn.Linear(2, 3).state_dict())
        ['weight', 'bias']
        """
        for name, value in zip(("destination", "prefix", "keep_vars"), args):
            if name == "destination":
                destination = value
            elif name == "prefix":
                prefix = value
            else:
                keep_vars = value
        if destination is None:
            destination = OrderedDict()
            destination._metadata = OrderedDict()
        metadata = {"version": self._version}
        if hasattr(destination, "_metadata"):
            destination._metadata[prefix[:-1]] = metadata
        for hook in self._state_dict_pre_hooks.values():
            hook(self, prefix, keep_vars)
        self._save_to_state_dict(destination, prefix, keep_vars)
        for name, module in self._modules.items():
            if module is not None:
                module.state_dict(
                    destination=destination, prefix=f"{prefix}{name}.", keep_vars=keep_vars
                )
        for hook in self._state_dict_hooks.values():
            new = hook(self, destination, prefix, metadata)
            if getattr(hook, "_from_public_api", False):
                if new is not None:
                    raise RuntimeError("state_dict post-hook must return None")
            elif new is not None:
                destination = new
        return destination

    def _own_tensors(self):
        """The module's own entries of the state dict."""
        for name, param in self._parameters.items():
            if param is not None:
                yield name, param
        for name, buffer in self._buffers.items():
            if buffer is not None and name not in self._non_persistent_buffers_set:
                yield name, buffer

    def _save_to_state_dict(self, destination, prefix, keep_vars):
        for name, tensor in self._own_tensors():
            destination[prefix + name] = tensor if keep_vars else tensor.detach()
        if self._has_extra_state("get_extra_state"):
            destination[prefix + _EXTRA_STATE] = self.get_extra_state()

    def _load_from_state_dict(
        self, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
    ):
        for hook in self._load_state_dict_pre_hooks.values():
            hook(
                state_dict,
                prefix,
                local_metadata,
                strict,
                missing_keys,
                unexpected_keys,
                error_msgs,
            )
        assign = local_metadata.get("assign_to_params_buffers", False)
        for name, own in self._own_tensors():
            key = prefix + name
            if key in state_dict:
                error = self._load_tensor(name, own, key, state_dict[key], assign)
                if error:
                    error_msgs.append(error)
            elif strict:
                missing_keys.append(key)
        extra = prefix + _EXTRA_STATE
        if self._has_extra_state("set_extra_state"):
            if extra in state_dict:
                self.set_extra_state(state_dict[extra])
            elif strict:
                missing_keys.append(extra)
        elif strict and extra in state_dict:
            unexpected_keys.append(extra)
        if strict:
            self._note_unexpected(state_dict, prefix, unexpected_keys)

    def _load_tensor(self, name, own, key, value, assign):
        """Copies or assigns one tensor; returns what was wrong with it, if anything."""
        if not isinstance(value, Tensor):
            return (
                f'While copying the parameter named "{key}", expected {torch.__name__}.Tensor or '
                f"Tensor-like object from checkpoint but received {type(value)}"
            )
        if is_lazy(value):
            if is_lazy(own):
                return None  # both wait for a shape
            return f'While copying the parameter named "{key}": {_UNINITIALIZED}'
        if not is_lazy(own):
            # Checkpoints of old kept numbers as one element.
            if own.dim() == 0 and value.dim() == 1 and value.shape[0] == 1:
                value = value[0]
            if value.shape != own.shape:
                return (
                    f"size mismatch for {key}: copying a param with shape {value.shape} from "
                    f"checkpoint, the shape in current model is {own.shape}."
                )
        if own.is_meta and not value.is_meta and not assign:
            import warnings

            warnings.warn(
                f"for {key}: copying from a non-meta parameter in the checkpoint to a meta "
                "parameter in the current model, which is a no-op. (Did you mean to pass "
                "`assign=True` to assign items in the state dictionary to their corresponding key "
                "in the module instead of copying them in place?)",
                stacklevel=5,
            )
        try:
            if torch.__future__.get_swap_module_params_on_conversion() and not is_lazy(own):
                with torch.no_grad():
                    loaded = own.module_load(value, assign=assign)
                if isinstance(own, Parameter) and not isinstance(loaded, Parameter):
                    loaded = Parameter(loaded, own.requires_grad)
                torch.utils.swap_tensors(own, loaded)
            elif assign:
                self._assign_tensor(name, own, value)
            else:
                with torch.no_grad():
                    own.copy_(value)
        except Exception as error:
            return (
                f'While copying the parameter named "{key}", whose dimensions in the model are '
                f"{own.size()} and whose dimensions in the checkpoint are {value.size()}, an "
                f"exception occurred : {error.args}."
            )
        return None

    def _assign_tensor(self, name, own, value):
        if isinstance(own, Parameter):
            if not isinstance(value, Parameter):
                value = Parameter(value, own.requires_grad)
            else:
                value.requires_grad_(own.requires_grad)
        setattr(self, name, value)

    def _note_unexpected(self, state_dict, prefix, unexpected_keys):
        known = {prefix + name for name, _ in self._own_tensors()}
        for key in state_dict:
            if not key.startswith(prefix) or key in known or key == prefix + _EXTRA_STATE:
                continue
            first, dot, _ = key[len(prefix) :].partition(".")
            if not dot or first not in self._modules:
                unexpected_keys.append(key)

    def load_state_dict(self, state_dict, strict=True, assign=False):
        """Copies the tensors of a state dict into this module and its children.

        With `strict` the names must match exactly; with `assign` the tensors themselves become
        the module's. Returns the missing and the unexpected keys.

        >>> import flambeau as torch
        >>> a, b = torch.nn.Linear(2, 3), torch.nn.Linear(2, 3)
        >>> b.load_state_dict(a.state_dict())
        <All keys matched successfully>
        """
        if not (hasattr(state_dict, "keys") and hasattr(state_dict, "__getitem__")):
            raise TypeError(f"Expected state_dict to be dict-like, got {type(state_dict)}.")
        metadata = getattr(state_dict, "_metadata", None)
        state_dict = OrderedDict(state_dict)  # hooks may edit it
        if metadata is not None:
            state_dict._metadata = metadata
        keys = _IncompatibleKeys([], [])
        errors = []
        _load(self, state_dict, "", metadata, strict, assign, keys, errors)
        if strict:
            _note_keys(errors, "Unexpected", keys.unexpected_keys)
            _note_keys(errors, "Missing", keys.missing_keys)
        if errors:
            lines = "\n\t".join(errors)
            raise RuntimeError(
                f"Error(s) in loading state_dict for {type(self).__name__}:\n\t{lines}"
            )
        return keys


class _WrappedHook:
    """A load hook that gets its module as first argument; it pickles as PyTorch's does."""

    def __init__(self, hook, module):
        self.hook, self.with_module = hook, True
        self.module = weakref.ref(module)  # which owns this

    def __call__(self, *args):
        return self.hook(self.module(), *args) if self.with_module else self.hook(*args)

    def __getstate__(self):
        module = self.module() if self.with_module else None
        return {"hook": self.hook, "with_module": self.with_module, "module": module}

    def __setstate__(self, state):
        self.hook, self.with_module = state["hook"], state["with_module"]
        if self.with_module:
            self.module = weakref.ref(state["module"])


def _note_keys(errors, kind, keys):
    if keys:
        names = ", ".join(f'"{key}"' for key in keys)
        errors.insert(0, f"{kind} key(s) in state_dict: {names}. ")


def _load(module, state_dict, prefix, metadata, strict, assign, keys, errors):
    local = dict(metadata.get(prefix[:-1], {})) if metadata is not None else {}
    if assign:
        local["assign_to_params_buffers"] = True
    # Missing and unexpected keys are always collected: the caller of strict=False gets them too.
    module._load_from_state_dict(
        state_dict, prefix, local, True, keys.missing_keys, keys.unexpected_keys, errors
    )
    for name, child in module._modules.items():
        if child is not None:
            below = f"{prefix}{name}."
            part = OrderedDict((k, v) for k, v in state_dict.items() if k.startswith(below))
            _load(child, part, below, metadata, strict, assign, keys, errors)
    for hook in module._load_state_dict_post_hooks.values():
        if hook(module, keys) is not None:
            raise RuntimeError(
                "Hooks registered with ``register_load_state_dict_post_hook`` are not expected "
                "to return new values, if incompatible_keys need to be modified, it should be "
                "done inplace."
            )
