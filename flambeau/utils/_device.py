"""Default devices under the names by which libraries know them."""

import functools

import flambeau
from flambeau import _C

_CONSTRUCTORS = (
    "arange as_tensor asarray bartlett_window blackman_window empty empty_permuted empty_strided "
    "eye full hamming_window hann_window kaiser_window linspace logspace ones rand randint randn "
    "randperm range scalar_tensor sparse_bsc_tensor sparse_bsr_tensor sparse_compressed_tensor "
    "sparse_coo_tensor sparse_csc_tensor sparse_csr_tensor tensor tril_indices triu_indices zeros"
).split()


@functools.cache
def _device_constructors():
    """The functions whose tensors go to the default device."""
    made = {getattr(flambeau, name) for name in _CONSTRUCTORS}
    return made | {flambeau.fft.fftfreq, flambeau.fft.rfftfreq, flambeau.nested.nested_tensor}


class DeviceContext:
    """A block whose new tensors lie on a device.

    >>> import flambeau as torch
    >>> with torch.utils._device.DeviceContext("meta"):
    ...     torch.ones(2).device
    device(type='meta')
    """

    def __init__(self, device):
        self.device, self._before = flambeau.device(device), []

    def __enter__(self):
        self._before.append(_C.get_default_device())
        _C.set_default_device(self.device)
        return self

    def __exit__(self, *_):
        _C.set_default_device(self._before.pop())


def device_decorator(device, func):
    """A function that runs with `device` as the default one."""

    @functools.wraps(func)
    def on_device(*args, **kwargs):
        with DeviceContext(device):
            return func(*args, **kwargs)

    return on_device


def set_device(device):
    """`device_decorator` as a decorator."""
    return functools.partial(device_decorator, device)


def __getattr__(name):
    if name == "CURRENT_DEVICE":  # None where nobody asked for one
        current = flambeau.device(_C.get_default_device())
        return None if current.type == "cpu" else current
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
