"""Tensor operators of TorchScript whose arguments differ from those of flambeau's functions."""

import flambeau
from flambeau import Tensor
from flambeau.nn import functional as F
from flambeau.nn.functional._reduction import REDUCTIONS

from . import _recurrent
from ._values import NUMBERS, as_dtype, as_memory_format

TABLE = dict(_recurrent.TABLE)


def _aten(function):
    """Enters a function under its name without the underscore in front."""
    TABLE[function.__name__[1:]] = function
    return function


# -- what tensors are ------------------------------------------------------------------------------
def _listed(function):
    return lambda *args, **kwargs: list(function(*args, **kwargs))


for _name in """unbind split split_with_sizes chunk tensor_split hsplit vsplit dsplit meshgrid
    broadcast_tensors unsafe_chunk unsafe_split unsafe_split_with_sizes""".split():
    _found = flambeau._ops.functions.get(_name) or getattr(flambeau, _name, None)
    if _found is None:
        _found = getattr(Tensor, _name, None)
    if _found is not None:
        TABLE[_name] = _listed(_found)

TABLE.update({
    "dim": lambda x: x.dim(),
    "numel": lambda x: x.numel(),
    "len": len,
    "item": lambda x: x.item(),
    "stride": lambda x, *dim: x.stride(*dim) if dim else list(x.stride()),
    "storage_offset": lambda x: x.storage_offset(),
    "element_size": lambda x: x.element_size(),
    "is_contiguous": lambda x, **kw: x.is_contiguous(**kw),
    "is_floating_point": lambda x: x.is_floating_point(),
    "is_complex": lambda x: x.is_complex(),
    "is_leaf": lambda x: x.is_leaf,
    "is_inference": lambda x: x.is_inference(),
    "is_nonzero": bool,
    "numpy_T": lambda x: x.T,
    "matrix_H": lambda x: x.H,
    "mT": lambda x: x.mT,
    "mH": lambda x: x.mH,
    "data": lambda x: x.data,
    "cpu": lambda x: x.cpu(),
    "requires_grad_": lambda x, on=True: x.requires_grad_(on),
    "zero_": lambda x: x.zero_(),
    "uniform_": lambda x, *args: x.uniform_(*args),
    "resize_": lambda x, size, **kw: x.resize_(size),
    "tensor": flambeau.tensor,
    "as_tensor": flambeau.as_tensor,
    "Int": int,
    "Float": float,
    "Bool": bool,
    "Complex": complex,
    "IntImplicit": int,
    "FloatImplicit": float,
    "ComplexImplicit": complex,
    "ScalarImplicit": lambda x: x.item(),
    "nonzero_numpy": lambda x: list(x.nonzero(as_tuple=True)),
    "lift": lambda x: x,
    "lift_fresh": lambda x: x,
    "__contains__": lambda container, item: item in container,
    "__getitem__": lambda container, key: container[key],
    "__is__": lambda a, b: a is b,
    "__isnot__": lambda a, b: a is not b,
    "__not__": lambda x: not x,
    "_set_item": lambda container, key, value: container.__setitem__(key, value),
    "append": lambda items, item: items.append(item),
    "get": lambda owner, key, default=None: owner.get(key, default),
    "setdefault": lambda owner, key, value: owner.setdefault(key, value),
    "insert": lambda items, i, item: items.insert(i, item),
    "pop": lambda owner, *args: owner.pop(*args),
})  # fmt: skip


@_aten
def _size(x, dim=None):
    return list(x.shape) if dim is None else x.shape[dim]


@_aten
def _result_type(a, b):
    return NUMBERS[flambeau.result_type(a, b)]


@_aten
def _to(x, *args, **kwargs):
    """to(x, dtype or other or device[, dtype], non_blocking, copy, memory_format)."""
    named = {k: kwargs[k] for k in ("dtype", "device", "copy", "memory_format") if k in kwargs}
    rest = list(args)
    if rest and isinstance(rest[0], (flambeau.device, type(None))):
        device = rest.pop(0)
        if device is not None:
            named["device"] = device
        if rest and type(rest[0]) is not bool:
            named["dtype"] = as_dtype(rest.pop(0))
    elif rest and isinstance(rest[0], Tensor):
        other = rest.pop(0)
        named.update(dtype=other.dtype, device=other.device)
    elif rest and type(rest[0]) is not bool:
        named["dtype"] = as_dtype(rest.pop(0))
    if len(rest) > 1:
        named["copy"] = rest[1]
    if len(rest) > 2 and rest[2] is not None:
        named["memory_format"] = as_memory_format(rest[2])
    return x.to(**{k: v for k, v in named.items() if v is not None})


for _name, _kind in (
    ("Byte", flambeau.uint8),
    ("Char", flambeau.int8),
    ("Double", flambeau.float64),
    ("Float", flambeau.float32),
    ("Half", flambeau.float16),
    ("Int", flambeau.int32),
    ("Long", flambeau.int64),
    ("Short", flambeau.int16),
):
    TABLE["_cast_" + _name] = lambda x, non_blocking=False, kind=_kind: x.to(kind)


@_aten
def _view(x, size):
    return x.view(as_dtype(size) if type(size) is int else size)


@_aten
def _contiguous(x, memory_format=flambeau.contiguous_format):
    return x.contiguous(memory_format=memory_format)


def _with_alpha(name):
    function = flambeau._ops.functions[name]

    def run(a, b, *alpha, **kwargs):
        if alpha:
            kwargs["alpha"] = alpha[0]
        if not isinstance(a, Tensor) and name != "rsub":
            a = flambeau.as_tensor(a)
        return function(a, b, **kwargs)

    return run


for _name in ("add", "sub", "rsub"):
    TABLE[_name] = _with_alpha(_name)


@_aten
def _slice(x, dim=0, start=None, end=None, step=1):
    dim = dim + x.dim() if dim < 0 else dim
    return x[(slice(None),) * dim + (slice(start, end, step),)]


@_aten
def _index(x, indices):
    return x[tuple(slice(None) if i is None else i for i in indices)]


@_aten
def _where(condition, *rest):
    found = flambeau.where(condition, *rest)
    return found if rest else list(found)


@_aten
def _softmax(x, dim, dtype=None):
    return flambeau.softmax(x, dim, dtype=as_dtype(dtype))


@_aten
def _log_softmax(x, dim, dtype=None):
    return flambeau.log_softmax(x, dim, dtype=as_dtype(dtype))


TABLE["_softmax"] = lambda x, dim, half_to_float: flambeau.softmax(x, dim)
TABLE["_log_softmax"] = lambda x, dim, half_to_float: flambeau.log_softmax(x, dim)


@_aten
def __weight_norm(v, g, dim=0):
    return v * (g / flambeau.norm_except_dim(v, 2, dim))


@_aten
def __shape_as_tensor(x):
    return flambeau.tensor(x.shape)


@_aten
def __unsafe_view(x, size):
    return x.view(size)


TABLE["_reshape_alias"] = lambda x, size, stride: x.view(size)


@_aten
def _einsum(equation, operands, path=None):
    return flambeau.einsum(equation, *operands)


@_aten
def _tensordot(a, b, dims_self, dims_other):
    return flambeau.tensordot(a, b, (dims_self, dims_other))


@_aten
def __unique2(x, sorted=True, return_inverse=False, return_counts=False):
    found = flambeau.unique(x, sorted, True, True)
    return found[0], found[1] if return_inverse else found[1][:0], found[2]


@_aten
def _unique_dim(x, dim, sorted=True, return_inverse=False, return_counts=False):
    return flambeau.unique(x, sorted, True, True, dim)


@_aten
def _unique_consecutive(x, return_inverse=False, return_counts=False, dim=None):
    return flambeau.unique_consecutive(x, True, True, dim)


@_aten
def _stft(x, n_fft, hop=None, win=None, window=None, *rest, **kwargs):
    """With `center` and `pad_mode`, or, as older programs have it, without."""
    if len(rest) > 1 and isinstance(rest[1], str):
        center, mode, normalized, onesided, *rest = rest
    else:
        center, mode = False, "reflect"
        normalized, onesided, *rest = *rest, *(False, None)[len(rest) :]
    complex_ = rest[0] if rest else kwargs.get("return_complex")
    found = flambeau.stft(
        x, n_fft, hop, win, window, center, mode, bool(normalized), onesided, return_complex=True
    )
    return flambeau.view_as_real(found) if complex_ is False else found


# -- networks --------------------------------------------------------------------------------------
_CONV = (F.conv1d, F.conv2d, F.conv3d)
_CONV_TRANSPOSE = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)


@_aten
def __convolution(x, weight, bias, stride, padding, dilation, transposed, output_padding, groups,
                  *switches):  # fmt: skip
    n = weight.dim() - 3
    if transposed:
        return _CONV_TRANSPOSE[n](
            x, weight, bias, stride, padding, output_padding, groups, dilation
        )
    return _CONV[n](x, weight, bias, stride, padding, dilation, groups)


TABLE["convolution"] = TABLE["_convolution"]


@_aten
def __convolution_mode(x, weight, bias, stride, padding, dilation, groups):
    return _CONV[weight.dim() - 3](x, weight, bias, stride, padding, dilation, groups)


@_aten
def _batch_norm(x, weight, bias, mean, var, training, momentum, eps, cudnn=True):
    return F.batch_norm(x, mean, var, weight, bias, training, momentum, eps)


@_aten
def _instance_norm(x, weight, bias, mean, var, use_input_stats, momentum, eps, cudnn=True):
    return F.instance_norm(x, mean, var, weight, bias, use_input_stats, momentum, eps)


@_aten
def _layer_norm(x, shape, weight=None, bias=None, eps=1e-5, cudnn=True):
    return F.layer_norm(x, shape, weight, bias, eps)


@_aten
def _group_norm(x, groups, weight=None, bias=None, eps=1e-5, cudnn=True):
    return F.group_norm(x, groups, weight, bias, eps)


@_aten
def _rms_norm(x, shape, weight=None, eps=None):
    return F.rms_norm(x, shape, weight, eps)


@_aten
def _feature_dropout(x, p, train):
    if not train or p == 0:
        return x
    return x * F.dropout(x.new_ones(*x.shape[:2], *[1] * (x.dim() - 2)), p)


@_aten
def _embedding(weight, indices, padding_idx=-1, scale_grad_by_freq=False, sparse=False):
    at = None if padding_idx == -1 else padding_idx
    return F.embedding(indices, weight, at, scale_grad_by_freq=scale_grad_by_freq, sparse=sparse)


@_aten
def _embedding_bag(
    weight, indices, offsets, scale_grad_by_freq=False, mode=0, sparse=False,
    per_sample_weights=None, include_last_offset=False, padding_idx=None,
):  # fmt: skip
    found = F.embedding_bag(
        indices, weight, offsets, mode=("sum", "mean", "max")[mode], sparse=sparse,
        scale_grad_by_freq=scale_grad_by_freq, per_sample_weights=per_sample_weights,
        include_last_offset=include_last_offset, padding_idx=padding_idx,
    )  # fmt: skip
    none = indices[:0]
    return found, none, none, none


@_aten
def _elu(x, alpha=1, scale=1, input_scale=1):
    return (
        scale * F.elu(x * input_scale, alpha) if scale != 1 or input_scale != 1 else F.elu(x, alpha)
    )


@_aten
def _rrelu(x, lower=1 / 8, upper=1 / 3, training=False, generator=None):
    return F.rrelu(x, lower, upper, training)


for _name in """adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d pixel_shuffle
    pixel_unshuffle channel_shuffle pad cosine_similarity pairwise_distance glu
    alpha_dropout feature_alpha_dropout dropout pdist normalize one_hot
    scaled_dot_product_attention""".split():
    TABLE[_name] = getattr(F, _name)
TABLE["log_sigmoid"] = F.logsigmoid
TABLE["_adaptive_avg_pool2d"] = F.adaptive_avg_pool2d
TABLE["_adaptive_avg_pool3d"] = F.adaptive_avg_pool3d


def _pool(function):
    """Pooling without a stride: an empty list, here None."""

    def run(x, kernel, stride=(), *rest, **kwargs):
        return function(x, kernel, stride or None, *rest, **kwargs)

    return run


def _with_places(function):
    def run(*args):
        return function(*args, return_indices=True)

    return run


for _n in ("1d", "2d", "3d"):
    TABLE["max_pool" + _n] = _pool(getattr(F, "max_pool" + _n))
    TABLE["avg_pool" + _n] = _pool(getattr(F, "avg_pool" + _n))
    TABLE[f"max_pool{_n}_with_indices"] = _pool(_with_places(getattr(F, "max_pool" + _n)))
    TABLE["adaptive_max_pool" + _n] = _with_places(getattr(F, "adaptive_max_pool" + _n))
    TABLE["reflection_pad" + _n] = lambda x, pad: F.pad(x, pad, "reflect")
    TABLE["replication_pad" + _n] = lambda x, pad: F.pad(x, pad, "replicate")


@_aten
def _constant_pad_nd(x, pad, value=0):
    return F.pad(x, pad, "constant", value)


@_aten
def _im2col(x, kernel, dilation, padding, stride):
    return F.unfold(x, kernel, dilation, padding, stride)


@_aten
def _col2im(x, size, kernel, dilation, padding, stride):
    return F.fold(x, size, kernel, dilation, padding, stride)


@_aten
def _grid_sampler(x, grid, mode, padding, align_corners):
    modes, paddings = ("bilinear", "nearest", "bicubic"), ("zeros", "border", "reflection")
    return F.grid_sample(x, grid, modes[mode], paddings[padding], align_corners)


TABLE["grid_sampler_2d"] = TABLE["grid_sampler_3d"] = _grid_sampler


@_aten
def _affine_grid_generator(theta, size, align_corners):
    return F.affine_grid(theta, size, align_corners)


def _resize(x, size, factors, mode, align=None, antialias=False):
    if size is not None and factors:
        whole = [int(n * f) for n, f in zip(x.shape[2:], factors, strict=True)]
        if None not in factors and whole == list(size):
            size = None
    if size is not None:
        factors = None
    return F.interpolate(x, size, factors, mode, align, antialias=antialias)


def _upsample(mode, aligned, antialias=False):
    """The scales are a list, or the last arguments one by one."""

    def run(x, size, *rest):
        align, rest = (rest[0], rest[1:]) if aligned else (None, rest)
        if rest and isinstance(rest[0], (list, tuple)):
            factors = rest[0]
        else:
            factors = None if not rest or None in rest else list(rest)
        return _resize(x, size, factors, mode, align, antialias)

    return run


for _n, _smooth in (("1d", "linear"), ("2d", "bilinear"), ("3d", "trilinear")):
    TABLE["upsample_nearest" + _n] = _upsample("nearest", False)
    TABLE["_upsample_nearest_exact" + _n] = _upsample("nearest-exact", False)
    TABLE[f"upsample_{_smooth}{_n}"] = _upsample(_smooth, True)
TABLE["upsample_bicubic2d"] = _upsample("bicubic", True)
TABLE["_upsample_bilinear2d_aa"] = _upsample("bilinear", True, True)
TABLE["_upsample_bicubic2d_aa"] = _upsample("bicubic", True, True)


# -- losses ----------------------------------------------------------------------------------------
def _loss(count, function, *names):
    """A loss of `count` tensors, then `names` in this order; "reduction" is a number."""

    def run(*args, **kwargs):
        given = dict(zip(names, args[count:], strict=False))
        given["reduction"] = REDUCTIONS[given.get("reduction", 1)]
        return function(*args[:count], **given, **kwargs)

    return run


for _count, _name, _names in (
    (2, "mse_loss", "reduction"),
    (2, "l1_loss", "reduction"),
    (2, "soft_margin_loss", "reduction"),
    (2, "multilabel_margin_loss", "reduction"),
    (2, "smooth_l1_loss", "reduction beta"),
    (2, "huber_loss", "reduction delta"),
    (2, "kl_div", "reduction"),
    (2, "binary_cross_entropy", "weight reduction"),
    (2, "binary_cross_entropy_with_logits", "weight pos_weight reduction"),
    (2, "nll_loss", "weight reduction ignore_index"),
    (2, "hinge_embedding_loss", "margin reduction"),
    (2, "poisson_nll_loss", "log_input full eps reduction"),
    (2, "multi_margin_loss", "p margin weight reduction"),
    (3, "cosine_embedding_loss", "margin reduction"),
    (3, "margin_ranking_loss", "margin reduction"),
    (3, "triplet_margin_loss", "margin p eps swap reduction"),
):
    TABLE[_name] = _loss(_count, getattr(F, _name), *_names.split())
TABLE["nll_loss_nd"] = TABLE["nll_loss2d"] = TABLE["nll_loss"]
TABLE["cross_entropy_loss"] = _loss(
    2, F.cross_entropy, "weight", "reduction", "ignore_index", "label_smoothing"
)


@_aten
def _ctc_loss(x, targets, input_lengths, target_lengths, blank=0, reduction=1, zero_infinity=False):
    return F.ctc_loss(
        x, targets, input_lengths, target_lengths, blank, REDUCTIONS[reduction], zero_infinity
    )
