"""CUDA: not part of this build."""

import types

matmul = types.SimpleNamespace(
    allow_tf32=False,
    allow_fp16_reduced_precision_reduction=True,
    allow_bf16_reduced_precision_reduction=True,
    allow_fp16_accumulation=False,
    fp32_precision="none",
)
cufft_plan_cache = types.SimpleNamespace(size=0, max_size=0, clear=lambda: None)
_settings = {"math_reduction": False}


def is_built():
    """Whether this build knows CUDA devices: no."""
    return False


_preferred = {"linalg": "default", "blas": "default"}


def _prefer(kind, backend, names):
    if backend is not None:
        if backend not in names:
            raise RuntimeError(f"Unknown input value. Choose from: {', '.join(names)}.")
        _preferred[kind] = backend
    return _preferred[kind]


def preferred_linalg_library(backend=None):
    """The library of linear algebra that CUDA devices would use; with a name, another one."""
    return _prefer("linalg", backend, ("default", "cusolver", "magma"))


def preferred_blas_library(backend=None):
    """The library of products that CUDA devices would use; with a name, another one."""
    return _prefer("blas", backend, ("default", "cublas", "cublaslt", "hipblaslt", "ck"))


# -- the kinds of attention, chosen by their older names -------------------------------------------
def sdp_kernel(enable_flash=True, enable_math=True, enable_mem_efficient=True, enable_cudnn=True):
    """Within it, attention may be computed in these ways only: `torch.nn.attention.sdpa_kernel`
    under its older name.

    >>> import flambeau as torch
    >>> with torch.backends.cuda.sdp_kernel(enable_flash=False):
    ...     torch.backends.cuda.flash_sdp_enabled()
    False
    """
    from flambeau.nn import attention

    wanted = zip((enable_flash, enable_mem_efficient, enable_math, enable_cudnn), attention._ALL)
    return attention.sdpa_kernel([backend for enabled, backend in wanted if enabled])


def _allow(name, enabled):
    from flambeau.nn import attention

    backend = attention.SDPBackend[name]
    others = [b for b in attention._allowed if b != backend]
    attention._allowed = tuple([*others, backend] if enabled else others)


def _allows(name):
    from flambeau.nn import attention

    return attention.SDPBackend[name] in attention._allowed


def enable_flash_sdp(enabled):
    """Allows attention in blocks, or not."""
    _allow("FLASH_ATTENTION", enabled)


def enable_mem_efficient_sdp(enabled):
    """Allows attention that saves memory, or not."""
    _allow("EFFICIENT_ATTENTION", enabled)


def enable_math_sdp(enabled):
    """Allows attention made of products and softmax, or not."""
    _allow("MATH", enabled)


def enable_cudnn_sdp(enabled):
    """Allows attention of cuDNN, or not."""
    _allow("CUDNN_ATTENTION", enabled)


def flash_sdp_enabled():
    """Whether attention in blocks is allowed."""
    return _allows("FLASH_ATTENTION")


def mem_efficient_sdp_enabled():
    """Whether attention that saves memory is allowed."""
    return _allows("EFFICIENT_ATTENTION")


def math_sdp_enabled():
    """Whether attention made of products and softmax is allowed."""
    return _allows("MATH")


def cudnn_sdp_enabled():
    """Whether attention of cuDNN is allowed."""
    return _allows("CUDNN_ATTENTION")


def allow_fp16_bf16_reduction_math_sdp(enabled):
    """Keeps whether attention made of products may add up in half precision; it never does."""
    _settings["math_reduction"] = bool(enabled)


def fp16_bf16_reduction_math_sdp_allowed():
    """What `allow_fp16_bf16_reduction_math_sdp` was told."""
    return _settings["math_reduction"]


def is_ck_sdpa_available():
    """Whether attention of Composable Kernel is there: no."""
    return False


def is_flash_attention_available():
    """Whether CUDA's flash attention is there: no."""
    return False


class SDPAParams:
    """The arguments of an attention, of which can_use_flash_attention() and its like are asked."""

    def __init__(self, query, key, value, attn_mask, dropout, is_causal, enable_gqa=False):
        self.query, self.key, self.value, self.attn_mask = query, key, value, attn_mask
        self.dropout, self.is_causal, self.enable_gqa = dropout, is_causal, enable_gqa


def can_use_flash_attention(params, debug=False):
    """Whether a GPU's own kernel could run that attention: there is none."""
    return False


can_use_cudnn_attention = can_use_efficient_attention = can_use_flash_attention


def __getattr__(name):
    if name == "SDPBackend":
        from flambeau.nn.attention import SDPBackend

        return SDPBackend
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
