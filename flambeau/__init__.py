"""flambeau: tensors, gradients and networks under PyTorch's names.

>>> import flambeau as torch
>>> torch.tensor([1.0, 2.0]) * 2
tensor([2., 4.])
"""

import math as _math

from . import _C
from ._C import (
    OutOfMemoryError,
    Size,
    Tensor,
    UntypedStorage,
    as_tensor,
    can_cast,
    device,
    dtype,
    frombuffer,
    get_default_device,
    get_default_dtype,
    get_num_threads,
    layout,
    memory_format,
    promote_types,
    set_default_device,
    set_default_dtype,
    set_num_threads,
    tensor,
)
from .torch_version import __version__

_DTYPES = (
    "uint8 int8 int16 int32 int64 float16 float32 float64 complex64 complex128 bool bfloat16 "
    "uint16 uint32 uint64 float8_e4m3fn float8_e5m2 float double half short int long cfloat "
    "cdouble chalf complex32 float8_e4m3fnuz float8_e5m2fnuz float8_e8m0fnu float4_e2m1fn_x2 "
    "int1 int2 int3 int4 int5 int6 int7 uint1 uint2 uint3 uint4 uint5 uint6 uint7 "
    "bits1x8 bits2x4 bits4x2 bits8 bits16 qint8 quint8 qint32 quint4x2 quint2x4"
).split()
_FORMATS = (
    "strided sparse_coo sparse_csr sparse_csc sparse_bsr sparse_bsc jagged "
    "contiguous_format preserve_format channels_last channels_last_3d"
).split()
globals().update({name: getattr(_C, name) for name in _DTYPES + _FORMATS})
bit = _C.uint1

from . import _ops  # noqa: E402 (after the dtypes, which composites may name)

_ops.load_composites()
globals().update(_ops.plain())

# After the operators: these have a form of their own.
from . import _private, _tensor, storage  # noqa: E402
from ._creation import asarray, from_dlpack, from_numpy  # noqa: E402
from ._settings import (  # noqa: E402
    are_deterministic_algorithms_enabled,
    compile,
    get_float32_matmul_precision,
    get_num_interop_threads,
    is_complex,
    is_deterministic_algorithms_warn_only_enabled,
    is_floating_point,
    is_inference,
    is_storage,
    is_tensor,
    numel,
    set_float32_matmul_precision,
    set_flush_denormal,
    set_num_interop_threads,
    typename,
    use_deterministic_algorithms,
)

_tensor.attach(_ops.methods)

from ._C import (  # noqa: E402
    autocast_decrement_nesting,
    autocast_increment_nesting,
    clear_autocast_cache,
    get_autocast_dtype,
    is_anomaly_check_nan_enabled,
    is_anomaly_enabled,
    is_autocast_cache_enabled,
    is_autocast_enabled,
    is_grad_enabled,
    is_inference_mode_enabled,
    set_autocast_cache_enabled,
    set_autocast_dtype,
    set_autocast_enabled,
)
from .autograd.grad_mode import (  # noqa: E402
    enable_grad,
    inference_mode,
    no_grad,
    set_grad_enabled,
)
from .random import (  # noqa: E402
    Generator,
    default_generator,
    get_rng_state,
    initial_seed,
    manual_seed,
    seed,
    set_rng_state,
)

pi = _math.pi
e = _math.e
inf = _math.inf
nan = _math.nan
newaxis = None

# Names that live in modules which most programs need late or never.
_ELSEWHERE = {
    "vmap": "func",
    "save": "serialization",
    "load": "serialization",
    "set_printoptions": "_tensor_str",
    "get_printoptions": "_tensor_str",
    "finfo": "_numeric_limits",
    "iinfo": "_numeric_limits",
    "PyTorchFileReader": "_zip",
    "TypedStorage": "storage",
    "Storage": "storage",
    "as_torch": "_alias",
    "Future": "futures",
    "cond": "_higher_order_ops",
    "while_loop": "_higher_order_ops",
    "ScriptFunction": "jit",
    "ScriptModule": "jit",
    "fork": "jit",
    "wait": "jit",
    "autocast": "amp",
    "GradScaler": "amp",
    **{
        f"{verb}_autocast_{kind}_{what}": "amp._by_device"
        for kind in ("cpu", "gpu", "ipu", "xla")
        for verb, what in (
            ("get", "dtype"),
            ("set", "dtype"),
            ("is", "enabled"),
            ("set", "enabled"),
        )
    },
    **dict.fromkeys(
        (
            "_choose_qparams_per_tensor _empty_affine_quantized "
            "_empty_per_channel_affine_quantized _make_per_channel_quantized_tensor "
            "_make_per_tensor_quantized_tensor dequantize "
            "fake_quantize_per_channel_affine fake_quantize_per_tensor_affine "
            "fused_moving_avg_obs_fake_quant per_channel_affine per_channel_affine_float_qparams "
            "per_channel_symmetric per_tensor_affine per_tensor_symmetric q_per_channel_axis "
            "q_per_channel_scales q_per_channel_zero_points q_scale q_zero_point qscheme "
            "quantize_per_channel quantize_per_tensor quantize_per_tensor_dynamic "
            "quantized_batch_norm quantized_max_pool1d quantized_max_pool2d quantized_max_pool3d"
        ).split(),
        "_quantized",
    ),
    **{
        f"{name}Tensor": "_constructors"
        for name in "Float Double Half BFloat16 Byte Char Short Int Long Bool".split()
    },
    **dict.fromkeys(
        (
            "AcceleratorError AggregationType Event Tag convolution get_device_module "
            "prepare_multiprocessing_environment USE_GLOBAL_DEPS USE_RTLD_GLOBAL_WITH_LIBTORCH "
            "compiled_with_cxx11_abi eig get_deterministic_debug_mode get_file_path has_lapack "
            "has_mkl has_openmp has_spectral init_num_threads is_vulkan_available "
            "is_warn_always_enabled legacy_contiguous_format lstsq matrix_rank "
            "set_anomaly_enabled set_default_tensor_type set_deterministic_debug_mode "
            "set_warn_always solve symeig thread_safe_generator to_dlpack "
            "Event Stream SymBool SymFloat SymInt TensorType get_device_module sym_float sym_int "
            "sym_ite sym_max sym_min sym_not sym_sqrt sym_sum _shape_as_tensor _segment_reduce "
            "_softmax_backward_data _grouped_mm _int_mm _scaled_mm DeviceObjType FloatType "
            "has_cuda has_cudnn has_mps _nested_compute_contiguous_strides_offsets "
            "_nested_view_from_buffer"
        ).split(),
        "_rare_names",
    ),
    "_convert_indices_from_coo_to_csr": "sparse._create",
    "_convert_indices_from_csr_to_coo": "sparse._create",
    **dict.fromkeys(
        (
            "_assert _assert_async _check _check_index _check_is_size _check_not_implemented "
            "_check_tensor_all _check_tensor_all_with _check_type _check_value _check_with"
        ).split(),
        "_checks",
    ),
    **{
        f"{name}Storage": "storage"
        for name in (
            "Float Double Half BFloat16 Byte Char Short Int Long Bool ComplexFloat ComplexDouble "
            "QInt8 QUInt8 QInt32 QUInt4x2 QUInt2x4"
        ).split()
    },
    **dict.fromkeys(
        (
            "adaptive_avg_pool1d adaptive_max_pool1d affine_grid_generator batch_norm "
            "bilinear binary_cross_entropy_with_logits channel_shuffle "
            "conv_tbc cosine_embedding_loss cosine_similarity ctc_loss embedding_bag "
            "embedding_renorm_ grid_sampler grid_sampler_2d grid_sampler_3d group_norm "
            "hardshrink hinge_embedding_loss instance_norm kl_div layer_norm "
            "margin_ranking_loss native_batch_norm native_channel_shuffle native_group_norm "
            "native_layer_norm norm_except_dim pairwise_distance pdist pixel_shuffle "
            "pixel_unshuffle poisson_nll_loss rms_norm triplet_margin_loss _addmm_activation "
            "_embedding_bag"
        ).split(),
        "_network",
    ),
}


def __getattr__(name):
    from importlib import import_module

    if name in _ELSEWHERE:
        value = getattr(import_module(f".{_ELSEWHERE[name]}", __name__), name)
        globals()[name] = value
        return value
    if name.startswith("_foreach_"):
        from ._foreach import find

        value = find(name)
        if value is not None:
            globals()[name] = value
            return value
    if not name.startswith("__") or name in ("__config__", "__future__"):
        full = f"{__name__}.{name}"
        try:
            return import_module(full)
        except ModuleNotFoundError as error:
            if error.name != full:
                raise
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *_ELSEWHERE})
