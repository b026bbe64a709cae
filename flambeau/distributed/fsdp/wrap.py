"""Which modules inside of a model become units of their own."""

import contextlib
import functools

__all__ = [
    "CustomPolicy",
    "ModuleWrapPolicy",
    "always_wrap_policy",
    "enable_wrap",
    "lambda_auto_wrap_policy",
    "size_based_auto_wrap_policy",
    "transformer_auto_wrap_policy",
    "wrap",
]

_wrapping = []  # (class, options) of the blocks that are open


@contextlib.contextmanager
def enable_wrap(*, wrapper_cls, **wrapper_kwargs):
    """A block in which `wrap(module)` gives wrapper_cls(module, **wrapper_kwargs)."""
    _wrapping.append((wrapper_cls, wrapper_kwargs))
    try:
        yield
    finally:
        _wrapping.pop()


def wrap(module, **wrap_overrides):
    """The module as `enable_wrap` says, with options of its own; itself outside of such a block.

    >>> from flambeau import nn
    >>> from flambeau.distributed.fsdp.wrap import enable_wrap, wrap
    >>> with enable_wrap(wrapper_cls=nn.Sequential):
    ...     type(wrap(nn.ReLU())).__name__
    'Sequential'
    """
    if not _wrapping:
        return module
    wrapper, options = _wrapping[-1]
    return wrapper(module, **{**options, **wrap_overrides})


def always_wrap_policy(*args, **kwargs):
    """Every module."""
    return True


def lambda_auto_wrap_policy(module, recurse, nonwrapped_numel, lambda_fn):
    """Modules of which lambda_fn(module) is true."""
    return True if recurse else lambda_fn(module)


def transformer_auto_wrap_policy(module, recurse, nonwrapped_numel, transformer_layer_cls):
    """Modules of some classes."""
    return True if recurse else isinstance(module, tuple(transformer_layer_cls))


_module_wrap_policy = transformer_auto_wrap_policy


def size_based_auto_wrap_policy(
    module,
    recurse,
    nonwrapped_numel,
    min_num_params=int(1e8),
    force_leaf_modules=None,
    exclude_wrap_modules=None,
):
    """Modules with at least so many parameters."""
    from flambeau import nn

    large = nonwrapped_numel >= min_num_params
    leaves = tuple(force_leaf_modules or {nn.MultiheadAttention})
    if recurse:
        return large and not isinstance(module, leaves)
    return large and not isinstance(
        module, tuple(exclude_wrap_modules or {nn.ModuleList, nn.ModuleDict})
    )


def _or_policy(module, recurse, nonwrapped_numel, policies):
    return any(
        policy(module=module, recurse=recurse, nonwrapped_numel=nonwrapped_numel)
        for policy in policies
    )


class ModuleWrapPolicy:
    """Modules of some classes."""

    def __init__(self, module_classes):
        self._module_classes = set(module_classes)

    def __call__(self, module, recurse, *args, **kwargs):
        return True if recurse else isinstance(module, tuple(self._module_classes))


class CustomPolicy:
    """Modules of which lambda_fn(module) is true, or a dictionary of options."""

    def __init__(self, lambda_fn):
        self._lambda_fn = lambda_fn

    def __call__(self, module, recurse, *args, **kwargs):
        return True if recurse else bool(self._lambda_fn(module))


def chosen(module, policy):
    """The modules inside of a module that a policy picks, innermost first."""
    if policy is None:
        return []
    if isinstance(policy, (set, frozenset)):
        policy = ModuleWrapPolicy(policy)
    count = functools.partial(sum, start=0)
    picked = []

    def visit(inner, top):
        free = count(p.numel() for p in inner.parameters())
        if policy(module=inner, recurse=True, nonwrapped_numel=free):
            for child in inner.children():
                free -= visit(child, False)
        if not top and policy(module=inner, recurse=False, nonwrapped_numel=free):
            picked.append(inner)
            return count(p.numel() for p in inner.parameters())
        return 0

    visit(module, True)
    return picked
