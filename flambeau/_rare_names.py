"""Names of flambeau that programs ask for now and then: what the build has, switches, errors."""

import flambeau
from flambeau import _C

has_lapack = True
has_mkl = False
has_openmp = False
has_spectral = True
USE_GLOBAL_DEPS = False
USE_RTLD_GLOBAL_WITH_LIBTORCH = False
legacy_contiguous_format = _C.contiguous_format

_state = {"warn_always": False}


class AcceleratorError(RuntimeError):
    """An error of a device other than the CPU."""


def compiled_with_cxx11_abi():
    """Whether the core was compiled with C++11's strings: always.

    >>> import flambeau as torch
    >>> torch.compiled_with_cxx11_abi()
    True
    """
    return True


def init_num_threads():
    """Nothing: the pool is ready when it is first used."""


def is_vulkan_available():
    """False: there is no Vulkan device."""
    return False


def set_warn_always(b, /):
    """Keeps whether warnings should come every time; Python's filters decide.

    >>> import flambeau as torch
    >>> torch.set_warn_always(False)
    """
    _state["warn_always"] = bool(b)


def is_warn_always_enabled():
    """What set_warn_always() was told."""
    return _state["warn_always"]


_DEBUG_MODES = {"default": 0, "warn": 1, "error": 2}


def set_deterministic_debug_mode(debug_mode):
    """use_deterministic_algorithms() by a number or a name: 'default', 'warn' or 'error'.

    >>> import flambeau as torch
    >>> torch.set_deterministic_debug_mode("warn")
    >>> torch.get_deterministic_debug_mode()
    1
    >>> torch.set_deterministic_debug_mode(0)
    """
    if not isinstance(debug_mode, (int, str)):
        raise TypeError(f"debug_mode must be str or int, but got {type(debug_mode)}")
    mode = _DEBUG_MODES.get(debug_mode, debug_mode)
    if mode not in (0, 1, 2):
        raise RuntimeError(
            "invalid value of debug_mode, expected 0, 1, 2, 'default', 'warn' or 'error', but got "
            f"{debug_mode}"
        )
    flambeau.use_deterministic_algorithms(mode > 0, warn_only=mode == 1)


def get_deterministic_debug_mode():
    """0, 1 or 2: what set_deterministic_debug_mode() was told."""
    if not flambeau.are_deterministic_algorithms_enabled():
        return 0
    return 1 if flambeau.is_deterministic_algorithms_warn_only_enabled() else 2


def set_default_tensor_type(t, /):
    """The default dtype by the name or the class of a tensor type.

    >>> import flambeau as torch
    >>> torch.set_default_tensor_type("torch.FloatTensor")
    """
    if isinstance(t, str):
        name = t.rpartition(".")[2]
        if not name.endswith("Tensor") or not hasattr(flambeau, name):
            raise TypeError(f"invalid type object: {t}")
        t = getattr(flambeau, name)
    dtype = getattr(t, "dtype", None)
    if not isinstance(dtype, _C.dtype):
        raise TypeError(f"invalid type object: {t!r}")
    if not dtype.is_floating_point:
        raise TypeError(f"only floating-point types are supported as the default type, got {dtype}")
    flambeau.set_default_dtype(dtype)


def set_anomaly_enabled(mode, check_nan=True):
    """Whether the backward pass looks for the forward's trace, and for nan."""
    _C._exchange_anomaly(bool(mode))
    _C._exchange_anomaly_check_nan(bool(check_nan))


def get_file_path(*parts):
    """The path of a file of the package."""
    import os

    return os.path.join(os.path.dirname(flambeau.__file__), *parts)


def to_dlpack(tensor, /):
    """The tensor's memory as a DLPack capsule."""
    return tensor.__dlpack__()


def thread_safe_generator():
    """The generator of a worker of DataLoader, None elsewhere."""
    return None


def _removed(name, instead):
    def function(*args, **kwargs):
        raise RuntimeError(f"{name}() was removed from PyTorch; use {instead} instead")

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"An error: removed from PyTorch in favour of {instead}."
    return function


symeig = _removed("symeig", "linalg.eigh")
eig = _removed("eig", "linalg.eig")
lstsq = _removed("lstsq", "linalg.lstsq")
solve = _removed("solve", "linalg.solve")
matrix_rank = _removed("matrix_rank", "linalg.matrix_rank")
