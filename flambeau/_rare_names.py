"""Names of flambeau that programs ask for now and then: what the build has, switches, errors."""

import enum
import math

import flambeau
from flambeau import _C

has_cuda = has_cudnn = has_mps = False
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


class Event:
    """A moment in a device's queue of work. The CPU keeps none: there is nothing to record, and
    nothing to wait for.

    >>> import flambeau as torch
    >>> torch.Event().query()
    True
    """

    def __init__(self, device=None, *, enable_timing=False, blocking=False, interprocess=False):
        self.device = flambeau.device("cpu" if device is None else device)
        if self.device.type != "cpu":
            raise RuntimeError(f"flambeau is not built with support for {self.device} devices")

    def record(self, stream=None):
        """An error."""
        raise RuntimeError("cpu backend doesn't support events.")

    def query(self):
        """True: all work is done."""
        return True

    def synchronize(self):
        """Returns at once."""

    def wait(self, stream=None):
        """Returns at once."""

    def elapsed_time(self, end_event):
        """An error: nothing was recorded."""
        raise ValueError("Both events must be created with argument 'enable_timing=True'.")


class Tag(enum.Enum):
    """Marks of operators that are defined with library.define()."""

    core = 0
    cudagraph_unsafe = 1
    data_dependent_output = 2
    dynamic_output_shape = 3
    flexible_layout = 4
    generated = 5
    inplace = 6
    inplace_view = 7
    maybe_aliasing_or_mutating = 8
    needs_contiguous_strides = 9
    needs_exact_strides = 10
    needs_fixed_stride_order = 11
    nondeterministic_bitwise = 12
    nondeterministic_seeded = 13
    out = 14
    out_variant = 15
    pointwise = 16
    pt2_compliant_tag = 17
    reduction = 18
    view_copy = 19


class AggregationType(enum.Enum):
    """How the values of an event are put together."""

    SUM = 0
    AVG = 1


def get_device_module(device=None):
    """The module of a device's functions; that of the CPU by default.

    >>> import flambeau as torch
    >>> torch.get_device_module("cpu") is torch.cpu
    True
    """
    if device is not None and not isinstance(device, (str, flambeau.device)):
        raise RuntimeError(f"get_device_module(): expected a device, a str or None, got {device!r}")
    kind = "cpu" if device is None else flambeau.device(device).type
    if kind == "meta":
        raise RuntimeError("get_device_module(): the device 'meta' has no module")
    module = getattr(flambeau, kind, None)
    if module is None:
        raise RuntimeError(
            f"Device '{kind}' does not have a corresponding module registered as 'torch.{kind}'."
        )
    return module


def prepare_multiprocessing_environment(path):
    """Nothing: processes share memory without a place in the file system."""


def convolution(input, weight, bias, stride, padding, dilation, transposed, output_padding, groups):
    """nn.functional.conv1d to conv3d, or conv_transpose1d to 3d, by the weight's dimensions.

    >>> import flambeau as torch
    >>> x, w = torch.ones(1, 1, 3), torch.ones(1, 1, 2)
    >>> torch.convolution(x, w, None, [1], [0], [1], False, [0], 1)
    tensor([[[2., 2.]]])
    """
    if not 3 <= weight.dim() <= 5:
        raise RuntimeError(
            f"convolution(): expected a weight of 3 to 5 dimensions, got {weight.dim()}"
        )
    name = f"conv{'_transpose' * transposed}{weight.dim() - 2}d"
    function = getattr(flambeau.nn.functional, name)
    if transposed:
        return function(input, weight, bias, stride, padding, output_padding, groups, dilation)
    if any(output_padding):
        raise RuntimeError("convolution(): output_padding is for transposed convolutions")
    return function(input, weight, bias, stride, padding, dilation, groups)


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


class TensorType:
    """The type of tensors where annotations name it."""


class _Symbolic:
    """A number that only a compiler's trace knows: here every number is known."""

    def __init__(self, node):
        raise RuntimeError(f"{type(self).__name__}: numbers are known here, so there is none")


class SymInt(_Symbolic):
    __doc__ = _Symbolic.__doc__


class SymFloat(_Symbolic):
    __doc__ = _Symbolic.__doc__


class SymBool(_Symbolic):
    __doc__ = _Symbolic.__doc__


def sym_int(a):
    """int(a)."""
    return int(a)


def sym_float(a):
    """float(a)."""
    return float(a)


def sym_max(a, b):
    """max(a, b), a float if one of them is."""
    return max(float(a), float(b)) if float in (type(a), type(b)) else max(a, b)


def sym_min(a, b):
    """min(a, b), a float if one of them is."""
    return min(float(a), float(b)) if float in (type(a), type(b)) else min(a, b)


def sym_not(a):
    """not a."""
    return not a


def sym_ite(b, t, f):
    """t if b, else f."""
    return t if b else f


def sym_sum(*args):
    """The sum of numbers, or of a sequence of them."""
    return sum(args[0] if len(args) == 1 and not isinstance(args[0], (int, float)) else args)


def sym_sqrt(a):
    """math.sqrt(a)."""
    return math.sqrt(a)


def _shape_as_tensor(self):
    """The sizes of a tensor as a tensor."""
    return flambeau.tensor(self.shape, dtype=flambeau.int64)


def __getattr__(name):
    if name in ("Event", "Stream"):
        return getattr(flambeau.cpu, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _segment_reduce(data, reduce, **options):
    """segment_reduce()."""
    return flambeau.segment_reduce(data, reduce, **options)


def _softmax_backward_data(grad_output, output, dim, input_dtype):
    """The gradient of softmax's input, from its result and the gradient of that."""
    made = output * (grad_output - (grad_output * output).sum(dim, keepdim=True))
    return made.to(input_dtype)


def _int_mm(input, mat2, *, out=None):
    """The product of two matrices of int8, summed in int32."""
    if input.dtype not in (flambeau.int8, flambeau.uint8) or mat2.dtype != flambeau.int8:
        raise RuntimeError(f"_int_mm(): expected int8, got {input.dtype} and {mat2.dtype}")
    made = input.to(flambeau.int32) @ mat2.to(flambeau.int32)
    return made if out is None else out.copy_(made)


def _grouped_mm(input, mat2, offs=None, bias=None, out_dtype=None):
    """nn.functional.grouped_mm()."""
    return flambeau.nn.functional.grouped_mm(input, mat2, offs=offs, bias=bias, out_dtype=out_dtype)


def _scaled_mm(
    input, mat2, scale_a, scale_b, bias=None, scale_result=None, out_dtype=None,
    use_fast_accum=False,
):  # fmt: skip
    """The product of two matrices of 8-bit floats with a scale for each, or one for each row of
    `input` and column of `mat2`; sums are of float32."""
    a, b = input.to(flambeau.float32) * scale_a, mat2.to(flambeau.float32) * scale_b
    made = a @ b if bias is None else a @ b + bias
    out_dtype = out_dtype or input.dtype
    if scale_result is not None and out_dtype.itemsize == 1:
        made = made * scale_result
    return made.to(out_dtype)


class DeviceObjType(TensorType):
    """The type of devices where annotations name it."""


class FloatType(TensorType):
    """The type of numbers where annotations name it."""


def _nested_compute_contiguous_strides_offsets(nested_size):
    """Where the parts of a nested tensor lie that are one after the other."""
    from .nested._tensor import contiguous_strides_offsets

    return contiguous_strides_offsets(nested_size)


def _nested_view_from_buffer(buffer, nested_size, nested_strides, offsets):
    """A nested tensor whose parts lie in a flat one."""
    from .nested._tensor import view_from_buffer

    return view_from_buffer(buffer, nested_size, nested_strides, offsets)
