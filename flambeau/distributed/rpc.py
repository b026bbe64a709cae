"""Remote procedure calls: not in this build, which is_available() tells."""


def is_available():
    """False: there are no remote procedure calls.

    >>> import flambeau as torch
    >>> torch.distributed.rpc.is_available()
    False
    """
    return False
