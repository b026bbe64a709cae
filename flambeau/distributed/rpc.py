"""Remote procedure calls: not in this build, which is_available() tells."""


def is_available():
    """False: there are no remote procedure calls.

    >>> import flambeau as torch
    >>> torch.distributed.rpc.is_available()
    False
    """
    return False


class PyRRef:
    """A reference to an object of another process; programs ask whether a thing is one."""


def _is_current_rpc_agent_set():
    """Whether remote procedure calls were started: never."""
    return False
