"""The hooks of a module: registering them, and the call that runs them."""

from flambeau.utils.hooks import RemovableHandle

from . import module as everywhere  # the hooks on all modules stand there, as programs expect


def _register(hooks, hook, *marks, prepend=False):
    handle = RemovableHandle(hooks, extra_dict=marks)
    hooks[handle.id] = hook
    for mark in marks:
        mark[handle.id] = True
    if prepend:
        hooks.move_to_end(handle.id, last=False)
    return handle


def register_module_forward_pre_hook(hook):
    """Calls ``hook(module, args)`` before the forward of every module.

    >>> import flambeau as torch
    >>> from flambeau.nn.modules.module import register_module_forward_pre_hook
    >>> with register_module_forward_pre_hook(lambda m, args: print(type(m).__name__)):
    ...     _ = torch.nn.Identity()(1)
    Identity
    """
    return _register(everywhere._global_forward_pre_hooks, hook)


def register_module_forward_hook(hook, *, with_kwargs=False, always_call=False):
    """Calls ``hook(module, args, output)`` after the forward of every module."""
    marks = []
    if with_kwargs:
        marks.append(everywhere._global_forward_hooks_with_kwargs)
    if always_call:
        marks.append(everywhere._global_forward_hooks_always_called)
    return _register(everywhere._global_forward_hooks, hook, *marks)


def register_module_full_backward_pre_hook(hook):
    """Calls ``hook(module, grad_output)`` when the gradients of any module's outputs are there."""
    return _register(everywhere._global_backward_pre_hooks, hook)


def register_module_full_backward_hook(hook):
    """Calls ``hook(module, grad_input, grad_output)`` in the backward of every module."""
    return _register_global_backward(hook, full=True)


def register_module_backward_hook(hook):
    """Calls ``hook(module, grad_input, grad_output)`` with what the last operation of every
    module's forward has: the older form of `register_module_full_backward_hook`."""
    return _register_global_backward(hook, full=False)


def _register_global_backward(hook, full):
    if everywhere._global_backward_hooks and everywhere._global_is_full_backward_hook is not full:
        raise RuntimeError(
            "Cannot use both regular backward hooks and full backward hooks as a global Module "
            "hook. Please use only one of them."
        )
    everywhere._global_is_full_backward_hook = full
    return _register(everywhere._global_backward_hooks, hook)


def register_module_parameter_registration_hook(hook):
    """Calls ``hook(module, name, param)`` when a parameter is registered; it may replace it."""
    return _register(everywhere._global_parameter_registration_hooks, hook)


def register_module_buffer_registration_hook(hook):
    """Calls ``hook(module, name, buffer)`` when a buffer is registered; it may replace it."""
    return _register(everywhere._global_buffer_registration_hooks, hook)


def register_module_module_registration_hook(hook):
    """Calls ``hook(module, name, child)`` when a child is registered; it may replace it."""
    return _register(everywhere._global_module_registration_hooks, hook)


_MIXED = (
    "Cannot use both regular backward hooks and full backward hooks on a single Module. Please use "
    "only one of them."
)


class HooksMixin:
    """The part of Module that keeps hooks and calls them."""

    def register_forward_pre_hook(self, hook, *, prepend=False, with_kwargs=False):
        """Calls ``hook(module, args)`` before forward; what it returns replaces the arguments.

        With `with_kwargs` the hook is ``hook(module, args, kwargs)`` and returns both or None.
        """
        marks = [self._forward_pre_hooks_with_kwargs] if with_kwargs else []
        return _register(self._forward_pre_hooks, hook, *marks, prepend=prepend)

    def register_forward_hook(self, hook, *, prepend=False, with_kwargs=False, always_call=False):
        """Calls ``hook(module, args, output)`` after forward; what it returns replaces the output.

        With `with_kwargs` the hook is ``hook(module, args, kwargs, output)``; with `always_call`
        it runs even where forward raises.

        >>> import flambeau as torch
        >>> layer = torch.nn.Identity()
        >>> handle = layer.register_forward_hook(lambda module, args, output: output + 1)
        >>> layer(1)
        2
        """
        marks = [self._forward_hooks_with_kwargs] if with_kwargs else []
        if always_call:
            marks.append(self._forward_hooks_always_called)
        return _register(self._forward_hooks, hook, *marks, prepend=prepend)

    def register_full_backward_pre_hook(self, hook, prepend=False):
        """Calls ``hook(module, grad_output)`` in the backward, before the module's own."""
        return _register(self._backward_pre_hooks, hook, prepend=prepend)

    def register_full_backward_hook(self, hook, prepend=False):
        """Calls ``hook(module, grad_input, grad_output)`` once the input gradients are there."""
        if self._is_full_backward_hook is False:
            raise RuntimeError(_MIXED)
        self._is_full_backward_hook = True
        return _register(self._backward_hooks, hook, prepend=prepend)

    def register_backward_hook(self, hook):
        """Calls ``hook(module, grad_input, grad_output)`` with what the last operation of forward
        has: the older form of `register_full_backward_hook`, which sees the module's inputs."""
        if self._is_full_backward_hook is True:
            raise RuntimeError(_MIXED)
        self._is_full_backward_hook = False
        return _register(self._backward_hooks, hook)

    def _call_with_hooks(self, args, kwargs):
        called = set()
        try:
            args, kwargs = self._run_pre_hooks(args, kwargs)
            gradients = self._gradient_hooks()
            if gradients is not None:
                args = gradients.wrap_inputs(args)
            result = self.forward(*args, **kwargs)
            for key, hook, with_kwargs in self._output_hooks():
                called.add(key)
                extra = (kwargs,) if with_kwargs else ()
                new = hook(self, args, *extra, result)
                if new is not None:
                    result = new
            _, older = self._get_backward_hooks()
            if older:
                self._hook_last_node(result, older)
            return result if gradients is None else gradients.wrap_outputs(result)
        except Exception:
            self._run_always_called(called, args, kwargs)
            raise

    def _run_pre_hooks(self, args, kwargs):
        for hook in list(everywhere._global_forward_pre_hooks.values()):
            new = hook(self, args)
            if new is not None:
                args = new if isinstance(new, tuple) else (new,)
        for key, hook in list(self._forward_pre_hooks.items()):
            if key in self._forward_pre_hooks_with_kwargs:
                new = hook(self, args, kwargs)
                if new is None:
                    continue
                if not (isinstance(new, tuple) and len(new) == 2):
                    raise RuntimeError(
                        "forward pre-hook must return None or a tuple of (new_args, new_kwargs), "
                        f"but got {new}."
                    )
                args, kwargs = new
            else:
                new = hook(self, args)
                if new is not None:
                    args = new if isinstance(new, tuple) else (new,)
        return args, kwargs

    def _gradient_hooks(self):
        hooks, _ = self._get_backward_hooks()
        pre_hooks = self._get_backward_pre_hooks()
        if not hooks and not pre_hooks:
            return None
        from ._backward import ModuleGradients

        return ModuleGradients(self, hooks, pre_hooks)

    def _get_backward_hooks(self):
        """The full backward hooks on all modules and on this one, and the older ones."""
        shared, own = everywhere._global_backward_hooks.values(), self._backward_hooks.values()
        full, older = [], []
        (older if everywhere._global_is_full_backward_hook is False else full).extend(shared)
        (older if self._is_full_backward_hook is False else full).extend(own)
        return full, older

    def _hook_last_node(self, result, hooks):
        """Hangs the older backward hooks on the node of the first tensor in the result."""
        while not hasattr(result, "grad_fn"):
            result = next(iter(result.values())) if isinstance(result, dict) else result[0]
        if result.grad_fn is None:
            return
        for hook in hooks:
            result.grad_fn.register_hook(
                lambda grad_inputs, grad_outputs, hook=hook: hook(self, grad_inputs, grad_outputs)
            )

    def _output_hooks(self):
        """(key, hook, takes keyword arguments) of all forward hooks, in the order of the calls."""
        return [
            *(
                (key, hook, key in everywhere._global_forward_hooks_with_kwargs)
                for key, hook in everywhere._global_forward_hooks.items()
            ),
            *(
                (key, hook, key in self._forward_hooks_with_kwargs)
                for key, hook in self._forward_hooks.items()
            ),
        ]

    def _run_always_called(self, called, args, kwargs):
        """After an error: the hooks that asked to run in any case, with no output to show."""
        shared = everywhere._global_forward_hooks_always_called.keys()
        always = shared | self._forward_hooks_always_called
        for key, hook, with_kwargs in self._output_hooks():
            if key not in always or key in called:
                continue
            extra = (kwargs,) if with_kwargs else ()
            try:
                hook(self, args, *extra, None)
            except Exception as error:
                import warnings

                kind = "global module" if key in everywhere._global_forward_hooks else "module"
                warnings.warn(
                    f"{kind} forward hook with ``always_call=True`` raised an exception that was "
                    f"silenced as another error was raised in forward: {error}",
                    stacklevel=3,
                )
