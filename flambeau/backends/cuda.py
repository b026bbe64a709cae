"""CUDA: not part of this build."""

import types

matmul = types.SimpleNamespace(allow_tf32=False)


def is_built():
    """Whether this build knows CUDA devices: no."""
    return False
