"""Seeds and states of the default random number generator.

>>> import flambeau as torch
>>> _ = torch.manual_seed(0)
>>> torch.rand(2)
tensor([0.4963, 0.7682])
"""

import contextlib

from flambeau._C import Generator, default_generator

__all__ = [
    "Generator",
    "default_generator",
    "fork_rng",
    "get_rng_state",
    "initial_seed",
    "manual_seed",
    "seed",
    "set_rng_state",
    "thread_safe_generator",
]


def manual_seed(seed):
    """Starts the default generator's numbers from a seed; returns the generator.

    >>> import flambeau as torch
    >>> torch.manual_seed(3).initial_seed()
    3
    """
    return default_generator.manual_seed(int(seed))


def seed():
    """Starts the default generator from the system's entropy; returns the new seed.

    >>> import flambeau as torch
    >>> torch.seed() == torch.initial_seed()
    True
    """
    return default_generator.seed()


def initial_seed():
    """The seed that the default generator started from.

    >>> import flambeau as torch
    >>> _ = torch.manual_seed(5)
    >>> torch.initial_seed()
    5
    """
    return default_generator.initial_seed()


def get_rng_state():
    """The default generator's state: a tensor of bytes, laid out as PyTorch's.

    >>> import flambeau as torch
    >>> torch.get_rng_state().shape
    torch.Size([5056])
    """
    return default_generator.get_state()


def set_rng_state(new_state):
    """Goes on from a state that `get_rng_state` returned.

    >>> import flambeau as torch
    >>> state = torch.get_rng_state()
    >>> first = torch.rand(3)
    >>> torch.set_rng_state(state)
    >>> bool((torch.rand(3) == first).all())
    True
    """
    default_generator.set_state(new_state)


@contextlib.contextmanager
def fork_rng(
    devices=None, enabled=True, _caller="fork_rng", _devices_kw="devices", device_type=None
):
    """Leaves the default generator as it was when the block ends. `devices` names GPUs besides.

    >>> import flambeau as torch
    >>> state = torch.get_rng_state()
    >>> with torch.random.fork_rng():
    ...     _ = torch.rand(3)
    >>> bool((torch.get_rng_state() == state).all())
    True
    """
    if not enabled:
        yield
        return
    if devices:
        raise RuntimeError(f"{_caller}(): this build has no device besides the CPU, got {devices}")
    state = get_rng_state()
    try:
        yield
    finally:
        set_rng_state(state)


def thread_safe_generator():
    """The generator of the data-loading worker this thread is, or None outside of one."""
    return None
