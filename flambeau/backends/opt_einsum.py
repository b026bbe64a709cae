"""The order of einsum's products: chosen by flambeau itself."""

enabled = False
strategy = None


def is_available():
    """Whether the opt_einsum package is used: not in this build."""
    return False
