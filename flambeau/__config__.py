"""How this build was made.

>>> import flambeau as torch
>>> "flambeau" in torch.__config__.show()
True
"""

from . import _C
from .torch_version import __version__

__all__ = ["parallel_info", "show"]


def show():
    """A few lines about the build."""
    return (
        f"flambeau {__version__} built with:\n"
        f"  - C++ Version: 202002\n"
        f"  - CPU capability usage: {flambeau_level()}\n"
        f"  - Build settings: USE_CUDA=OFF, USE_MKL=OFF, USE_MPI=OFF, USE_NCCL=OFF, USE_GLOO=ON"
    )


def flambeau_level():
    import flambeau

    return flambeau.backends.cpu.get_cpu_capability()


def parallel_info():
    """How work is split among threads."""
    return f"flambeau thread pool: {_C.get_num_threads()} threads"
