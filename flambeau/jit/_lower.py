"""How calls of flambeau's functions are said in aten's operators, where the two differ.

A rule takes the trace and the arguments of the call; it emits operators and returns the last, whose
results are those of the call. Rules return None where there is nothing to record, NotImplemented
where the function is to be taken apart.
"""

import flambeau
from flambeau import Tensor

# Functions on whose results nothing depends but Python.
UNSEEN = frozenset(
    "item tolist numpy is_floating_point is_complex is_contiguous dim numel nelement stride "
    "data_ptr element_size storage untyped_storage tensor as_tensor is_tensor get_device "
    "result_type promote_types can_cast equal allclose register_hook requires_grad_ "
    "retain_grad backward scalar_tensor storage_offset is_same_size __repr__ __format__ "
    "type cuda cpu pin_memory is_inference is_pinned is_signed is_set_to _is_view ndimension "
    "__bool__ __int__ __float__ __complex__ __index__ __len__".split()
)
# Methods whose sizes may come one by one.
LISTS = frozenset(
    "view reshape permute expand repeat tile flip new_zeros new_ones new_empty".split()
)
FACTORIES = frozenset("zeros ones empty rand randn".split())
LISTED = frozenset(
    "unbind split split_with_sizes chunk tensor_split hsplit vsplit dsplit meshgrid "
    "broadcast_tensors where nonzero_numpy".split()
)
DROPPED = frozenset(("out", "requires_grad", "generator", "non_blocking"))
RULES = {}


def _rule(function):
    """Enters a rule under its name without the underscore in front."""
    RULES[function.__name__[1:]] = function
    return function


def _emitting(name, *defaults):
    """A rule for a function of one tensor and these further arguments, by position in aten."""

    def rule(trace, input, *args, **kwargs):
        given = list(args[: len(defaults)])
        for key, default in defaults[len(given) :]:
            given.append(kwargs.pop(key, default))
        inplace = kwargs.get("inplace") or (len(args) > len(defaults) and args[len(defaults)])
        return trace.emit(name + "_" if inplace else name, input, *given)

    return rule


for _name, *_defaults in (
    ("relu",),
    ("hardswish",),
    ("hardsigmoid",),
    ("silu",),
    ("mish",),
    ("selu",),
    ("elu", ("alpha", 1.0)),
    ("celu", ("alpha", 1.0)),
    ("leaky_relu", ("negative_slope", 0.01)),
    ("hardtanh", ("min_val", -1.0), ("max_val", 1.0)),
    ("threshold", ("threshold", 0.0), ("value", 0.0)),
    ("dropout", ("p", 0.5), ("training", True)),
    ("softplus", ("beta", 1.0), ("threshold", 20.0)),
):
    RULES[_name] = _emitting(_name, *_defaults)
for _name in ("dropout1d", "dropout2d", "dropout3d"):
    RULES[_name] = _emitting("feature_dropout", ("p", 0.5), ("training", True))
RULES["logsigmoid"] = _emitting("log_sigmoid")
RULES["float"] = lambda trace, x: trace.emit("to", x, flambeau.float32)
RULES["double"] = lambda trace, x: trace.emit("to", x, flambeau.float64)
RULES["half"] = lambda trace, x: trace.emit("to", x, flambeau.float16)
RULES["bfloat16"] = lambda trace, x: trace.emit("to", x, flambeau.bfloat16)
RULES["long"] = lambda trace, x: trace.emit("to", x, flambeau.int64)
RULES["int"] = lambda trace, x: trace.emit("to", x, flambeau.int32)
RULES["bool"] = lambda trace, x: trace.emit("to", x, flambeau.bool)
RULES["byte"] = lambda trace, x: trace.emit("to", x, flambeau.uint8)
RULES["char"] = lambda trace, x: trace.emit("to", x, flambeau.int8)
RULES["short"] = lambda trace, x: trace.emit("to", x, flambeau.int16)
RULES["alias"] = lambda trace, x: trace.emit("detach", x)


@_rule
def _relu6(trace, x, inplace=False):
    return trace.emit("hardtanh_" if inplace else "hardtanh", x, 0.0, 6.0)


@_rule
def _softsign(trace, x):
    below = trace.step("add", x, trace.step("abs", x, x), 1)
    return trace.emit("div", x, below)


@_rule
def _tanhshrink(trace, x):
    return trace.emit("sub", x, trace.step("tanh", x, x))


@_rule
def _gelu(trace, x, approximate="none"):
    return trace.emit("gelu", x, approximate=approximate)


@_rule
def _softmax(trace, x, dim=None, _stacklevel=3, dtype=None, name="softmax"):
    if dim is None:
        return NotImplemented
    return trace.emit(name, x, dim, *([] if dtype is None else [dtype]))


@_rule
def _log_softmax(trace, x, dim=None, _stacklevel=3, dtype=None):
    return _softmax(trace, x, dim, dtype=dtype, name="log_softmax")


@_rule
def _to(trace, x, *args, **kwargs):
    found = x.to(*args, **kwargs)
    if found.device.type != x.device.type:
        return NotImplemented
    if kwargs.get("copy"):
        return trace.emit("to", x, found.dtype, False, True)
    return trace.emit("to", x, found.dtype)


@_rule
def _type_as(trace, x, other):
    return trace.emit("type_as", x, other)


# -- shapes ----------------------------------------------------------------------------------------
@_rule
def _split(trace, x, split_size_or_sections=None, dim=0, **kwargs):
    parts = kwargs.get("split_size", split_size_or_sections)
    name = "split_with_sizes" if isinstance(parts, (tuple, list)) else "split"
    return trace.emit(name, x, parts, dim)


@_rule
def _meshgrid(trace, *tensors, indexing="ij"):
    if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)):
        tensors = tensors[0]
    return trace.emit("meshgrid", list(tensors), indexing=indexing)


@_rule
def _einsum(trace, equation, *operands):
    if len(operands) == 1 and isinstance(operands[0], (tuple, list)):
        operands = operands[0]
    return trace.emit("einsum", equation, list(operands))


@_rule
def _unique(trace, x, *args, **kwargs):
    trace.refused.append("unique")


def _flat(indices):
    """An index with its ellipsis spelled out as None for later; (parts, where it was)."""
    return list(indices) if isinstance(indices, tuple) else [indices]


def _chosen(trace, x, indices):
    """Emits what x[indices] is; returns the value, or NotImplemented."""
    parts = _flat(indices)
    if any(isinstance(p, (list, bool)) for p in parts):
        parts = [flambeau.tensor(p) if isinstance(p, list) else p for p in parts]
        if any(isinstance(p, bool) for p in parts):
            return NotImplemented
    taken = sum(
        (p.dim() if p.dtype == flambeau.bool else 1) if isinstance(p, Tensor) else p is not None
        for p in parts
        if p is not Ellipsis
    )
    at = next((i for i, p in enumerate(parts) if p is Ellipsis), None)
    if at is not None:
        parts[at : at + 1] = [slice(None)] * (x.dim() - taken)
    value, example, dim, tensors = trace.value(x), x, 0, []
    for part in parts:
        if isinstance(part, Tensor):
            tensors += [None] * (dim - len(tensors)) + [part]
            dim += part.dim() if part.dtype == flambeau.bool else 1
            continue
        if part is None:
            example = example.unsqueeze(dim)
            value = trace.step("unsqueeze", example, value, dim)
            dim += 1
        elif isinstance(part, slice):
            if part != slice(None):
                before = [slice(None)] * dim
                example = example[(*before, part)]
                step = 1 if part.step is None else part.step
                value = trace.step("slice", example, value, dim, part.start, part.stop, step)
            dim += 1
        else:
            example = example.select(dim, part)
            value = trace.step("select", example, value, dim, part)
    if tensors:
        example = x[indices]
        value = trace.step("index", example, value, tensors)
    return value


@_rule
def ___getitem__(trace, x, indices):
    before = len(trace.calls)
    found = _chosen(trace, x, indices)
    if found is NotImplemented:
        del trace.calls[before:]
        trace.refused.append("indexing by a truth value or a list of them")
        return None
    return trace.emit("alias", x) if len(trace.calls) == before else trace.calls[-1]


def _by_dimension(x, parts):
    """An index of tensors as index_put_ takes it: None for the dimensions that are left whole."""

    def dims(part):
        return part.dim() if isinstance(part, Tensor) and part.dtype == flambeau.bool else 1

    left = x.dim() - sum(dims(p) for p in parts if p is not Ellipsis)
    tensors = []
    for part in parts:
        whole = isinstance(part, slice) and part == slice(None)
        tensors += [None] * left if part is Ellipsis else [None if whole else part]
    return tensors


@_rule
def ___setitem__(trace, x, indices, value):
    parts = _flat(indices)
    if any(isinstance(p, Tensor) for p in parts):
        if not isinstance(value, Tensor):
            value = flambeau.tensor(value, dtype=x.dtype)
        tensors = _by_dimension(x, parts)
        if all(p is None or isinstance(p, Tensor) for p in tensors):
            call = trace.emit("index_put_", x, tensors, value)
            call.results = [trace.value(x)]
            return call
        trace.refused.append("assignment to a mixed index")
        return None
    place = _chosen(trace, x, indices)
    if place is NotImplemented:
        trace.refused.append("assignment to an index by a truth value")
        return None
    if isinstance(value, Tensor):
        return trace.emit("copy_", place, value)
    return trace.emit("fill_", place, value)


# -- networks --------------------------------------------------------------------------------------
@_rule
def _batch_norm(
    trace, input, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1,
    eps=1e-5,
):  # fmt: skip
    return trace.emit(
        "batch_norm", input, weight, bias, running_mean, running_var, training, momentum, eps, True
    )


@_rule
def _instance_norm(
    trace, input, running_mean=None, running_var=None, weight=None, bias=None,
    use_input_stats=True, momentum=0.1, eps=1e-5,
):  # fmt: skip
    return trace.emit(
        "instance_norm", input, weight, bias, running_mean, running_var, use_input_stats, momentum,
        eps, True,
    )  # fmt: skip


@_rule
def _layer_norm(trace, input, normalized_shape, weight=None, bias=None, eps=1e-5):
    return trace.emit("layer_norm", input, list(normalized_shape), weight, bias, eps)


@_rule
def _group_norm(trace, input, num_groups, weight=None, bias=None, eps=1e-5):
    return trace.emit("group_norm", input, num_groups, weight, bias, eps)


@_rule
def _embedding(
    trace, input, weight, padding_idx=None, max_norm=None, norm_type=2.0,
    scale_grad_by_freq=False, sparse=False,
):  # fmt: skip
    if max_norm is not None:
        return NotImplemented
    at = -1 if padding_idx is None else padding_idx
    at = at + weight.shape[0] if at < -1 else at
    return trace.emit("embedding", weight, input, at, scale_grad_by_freq, sparse)


@_rule
def _one_hot(trace, input, num_classes=-1):
    return trace.emit("one_hot", input, num_classes)


def _tuple(value, n):
    return list(value) if isinstance(value, (tuple, list)) else [value] * n


def _conv(n):
    def rule(trace, input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
        if not isinstance(padding, str):
            padding = _tuple(padding, n)
        return trace.emit(
            f"conv{n}d",
            input,
            weight,
            bias,
            _tuple(stride, n),
            padding,
            _tuple(dilation, n),
            groups,
        )

    return rule


def _conv_transpose(n):
    def rule(
        trace, input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1
    ):  # fmt: skip
        return trace.emit(
            f"conv_transpose{n}d", input, weight, bias,
            _tuple(stride, n), _tuple(padding, n), _tuple(output_padding, n), groups,
            _tuple(dilation, n),
        )  # fmt: skip

    return rule


def _max_pool(n):
    def rule(trace, input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False,
             return_indices=False):  # fmt: skip
        name = f"max_pool{n}d" + ("_with_indices" if return_indices else "")
        stride = [] if stride is None else _tuple(stride, n)
        return trace.emit(
            name, input, _tuple(kernel_size, n), stride, _tuple(padding, n), _tuple(dilation, n),
            ceil_mode,
        )  # fmt: skip

    return rule


def _avg_pool(n):
    def rule(trace, input, kernel_size, stride=None, padding=0, ceil_mode=False,
             count_include_pad=True, divisor_override=None):  # fmt: skip
        stride = [] if stride is None else _tuple(stride, n)
        rest = [divisor_override] if n > 1 else []
        return trace.emit(
            f"avg_pool{n}d", input, _tuple(kernel_size, n), stride, _tuple(padding, n), ceil_mode,
            count_include_pad, *rest,
        )  # fmt: skip

    return rule


def _adaptive(name, n):
    def rule(trace, input, output_size, return_indices=False):
        size = _tuple(output_size, n)
        size = [x if x is not None else input.shape[i - n] for i, x in enumerate(size)]
        return trace.emit(name, input, size)

    return rule


for _n in (1, 2, 3):
    RULES[f"conv{_n}d"] = _conv(_n)
    RULES[f"conv_transpose{_n}d"] = _conv_transpose(_n)
    RULES[f"max_pool{_n}d"] = _max_pool(_n)
    RULES[f"avg_pool{_n}d"] = _avg_pool(_n)
    RULES[f"adaptive_avg_pool{_n}d"] = _adaptive(f"adaptive_avg_pool{_n}d", _n)
    RULES[f"adaptive_max_pool{_n}d"] = _adaptive(f"adaptive_max_pool{_n}d", _n)


@_rule
def _linear(trace, input, weight, bias=None):
    return trace.emit("linear", input, weight, bias)


@_rule
def _pad(trace, input, pad, mode="constant", value=None):
    return trace.emit("pad", input, list(pad), mode, value)


@_rule
def _scaled_dot_product_attention(
    trace, query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None,
    enable_gqa=False,
):  # fmt: skip
    named = {} if scale is None else {"scale": scale}
    if enable_gqa:
        named["enable_gqa"] = True
    return trace.emit(
        "scaled_dot_product_attention", query, key, value, attn_mask, float(dropout_p), is_causal,
        **named,
    )  # fmt: skip


@_rule
def _interpolate(
    trace, input, size=None, scale_factor=None, mode="nearest", align_corners=None,
    recompute_scale_factor=None, antialias=False,
):  # fmt: skip
    n = input.dim() - 2
    smooth = {"linear": "linear1d", "bilinear": "bilinear2d", "trilinear": "trilinear3d",
              "bicubic": "bicubic2d"}  # fmt: skip
    if mode == "area" or recompute_scale_factor:
        return NotImplemented
    if mode in smooth:
        name = ("_upsample_" if antialias else "upsample_") + smooth[mode]
        name += "_aa" if antialias else ""
        rest = [bool(align_corners)]
    else:
        exact = "_upsample_nearest_exact" if mode == "nearest-exact" else "upsample_nearest"
        name, rest = f"{exact}{n}d", []
    size = None if size is None else _tuple(size, n)
    factors = None if scale_factor is None else [float(f) for f in _tuple(scale_factor, n)]
    return trace.emit(name, input, size, *rest, factors)


@_rule
def _pixel_shuffle(trace, input, upscale_factor):
    return trace.emit("pixel_shuffle", input, upscale_factor)
