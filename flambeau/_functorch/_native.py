"""What PyTorch keeps in `torch._C._functorch`: tensors inside of transforms, taken apart."""

from .. import _C, _levels
from .vmap import _add_batch_dim, _remove_batch_dim  # noqa: F401

__all__ = """_add_batch_dim _remove_batch_dim get_unwrapped is_batchedtensor
is_functorch_wrapped_tensor is_gradtrackingtensor maybe_get_bdim maybe_get_level""".split()


def is_batchedtensor(tensor):
    """Whether a tensor is an example of an open batch."""
    return _levels.batch_of(tensor) is not None


def is_gradtrackingtensor(tensor):
    """Whether a tensor has a derivative in forward mode."""
    return _levels.dual_of(tensor) is not None


def is_functorch_wrapped_tensor(tensor):
    """Whether a tensor is either."""
    return _C._transformed(tensor) is not None


def get_unwrapped(tensor):
    """The tensor without its innermost transform; itself if there is none."""
    found = _C._transformed(tensor)
    return tensor if found is None else found[2]


def maybe_get_level(tensor):
    """The number of a tensor's outermost transform; -1 if there is none."""
    found = _C._transformed(tensor)
    return -1 if found is None else found[1]


def maybe_get_bdim(tensor):
    """The dimension of all examples along which a batch lies; -1 for other tensors."""
    found = _levels.batch_of(tensor)
    return -1 if found is None else found[2]
