"""How scaled_dot_product_attention is computed: names of the backends, and which may be used.

flambeau has one way to compute it, which takes little memory and gives the same result under every
name: what is chosen is remembered, and changes nothing.
"""

import enum
from contextlib import contextmanager

__all__ = [
    "SDPBackend",
    "WARN_FOR_UNFUSED_KERNELS",
    "activate_flash_attention_impl",
    "current_flash_attention_impl",
    "list_flash_attention_impls",
    "register_flash_attention_impl",
    "restore_flash_attention_impl",
    "sdpa_kernel",
]

WARN_FOR_UNFUSED_KERNELS = False


class SDPBackend(enum.IntEnum):
    """The backends of scaled_dot_product_attention.

    >>> import flambeau as torch
    >>> torch.nn.attention.SDPBackend.MATH.name
    'MATH'
    """

    ERROR = -1
    MATH = 0
    FLASH_ATTENTION = 1
    EFFICIENT_ATTENTION = 2
    CUDNN_ATTENTION = 3
    OVERRIDEABLE = 4


_ALL = (
    SDPBackend.FLASH_ATTENTION,
    SDPBackend.EFFICIENT_ATTENTION,
    SDPBackend.MATH,
    SDPBackend.CUDNN_ATTENTION,
)
_allowed = _ALL


def _cur_sdpa_kernel_backends(with_priority=False):
    """The backends that may be used now."""
    return list(_allowed)


@contextmanager
def sdpa_kernel(backends, set_priority=False):
    """Within it, attention may be computed by these backends only. Here they are one, so
    `set_priority`, which says that the first is wanted most, changes nothing.

    >>> import flambeau as torch
    >>> from flambeau.nn.attention import SDPBackend, sdpa_kernel
    >>> q = torch.ones(1, 2, 4)
    >>> with sdpa_kernel(SDPBackend.MATH):
    ...     torch.nn.functional.scaled_dot_product_attention(q, q, q).shape
    torch.Size([1, 2, 4])
    """
    global _allowed
    if isinstance(backends, SDPBackend):
        backends = [backends]
    if not isinstance(backends, (list, tuple)) or not all(
        isinstance(b, SDPBackend) for b in backends
    ):
        raise AssertionError("Backend must be an instance of SDPBackend or a list of SDPBackend")
    before = _allowed
    _allowed = tuple(dict.fromkeys(backends))
    try:
        yield {}
    finally:
        _allowed = before


# -- implementations of flash attention by others --------------------------------------------------

_implementations = {}
_active = None


def register_flash_attention_impl(impl, *, register_fn):
    """Enters an implementation; ``register_fn()`` makes it the one in use and may return a
    handle with ``remove()``."""
    _implementations[impl] = register_fn


def list_flash_attention_impls():
    """The names that are registered."""
    return sorted(_implementations)


def current_flash_attention_impl():
    """The name of the implementation in use; None for flambeau's own."""
    return None if _active is None else _active[0]


def activate_flash_attention_impl(impl):
    """Puts an implementation that was registered to use."""
    global _active
    if impl not in _implementations:
        raise ValueError(
            f"Unknown flash attention impl '{impl}'. Available implementations: "
            f"{list_flash_attention_impls()}"
        )
    restore_flash_attention_impl()
    _active = impl, _implementations[impl]()


def restore_flash_attention_impl():
    """Goes back to flambeau's own implementation."""
    global _active
    if _active is not None and hasattr(_active[1], "remove"):
        _active[1].remove()
    _active = None


def __getattr__(name):
    if name == "bias":
        from importlib import import_module

        return import_module(f"{__name__}.bias")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
