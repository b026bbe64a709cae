"""Rules of convolution, pooling and normalization."""

import flambeau

from . import fold, one_by_one, padded, rule, unfold

_NONE, _MEAN = 0, 1  # reductions, as operators number them


def _channels(call, i, dim):
    """A tensor with every example's channels side by side in `dim`."""
    return fold(call.whole(i), dim)


@rule("_conv_output", "_conv_input")
def convolution(call):
    size = call.size
    if not call.on[1] and not call.on[2]:  # more images
        images = fold(call.args[0], 0)
        name = call.record.arguments[0][0]
        return unfold(call.run(**{name: images}), 0, size)
    name = call.record.arguments[0][0]
    bias = None if call.args[2] is None else fold(call.whole(2), 0)
    out = call.run(
        **{
            name: _channels(call, 0, 1),
            "weight": fold(call.whole(1), 0),
            "bias": bias,
            "groups": call["groups"] * size,
        }
    )
    return unfold(out, 1, size)


@rule("_conv_weight")
def conv_weight(call):
    out = call.run(
        input=_channels(call, 0, 1),
        output=_channels(call, 1, 1),
        groups=call["groups"] * call.size,
    )
    return unfold(out, 0, call.size)


_N = (1, 2, 3)


@rule(
    *(f"_{kind}_pool{n}d" for kind in ("avg", "max", "adaptive_avg", "adaptive_max") for n in _N),
    *(f"_upsample_nearest{exact}{n}d" for exact in ("", "_exact") for n in _N),
    "_upsample_linear1d", "_upsample_bilinear2d", "_upsample_trilinear3d", "_upsample_bicubic2d",
    "_upsample_bilinear2d_aa", "_upsample_bicubic2d_aa",
)  # fmt: skip
def windows(call):
    """Operators on the last dimensions: the others are planes, however many."""
    x, n = call.args[0], len(call["size"])
    lead = x.shape[:-n]
    out = call.run(input=x.reshape(-1, 1, *x.shape[-n:]))
    if hasattr(out, "shape"):
        return out.reshape(*lead, *out.shape[-n:])
    return [t.reshape(*lead, *t.shape[-n:]) for t in out]


@rule("_add_at_places")
def add_at_places(call):
    return call.run(grad=call.whole(0), places=call.whole(1), shape=(call.size, *call["shape"]))


@rule("_batch_norm")
def batch_norm(call):
    size = call.size
    x, weight, bias, eps = call.args
    w, b = (None if call.args[i] is None else fold(call.whole(i), 0) for i in (1, 2))
    out, mean, var = call.record.call([_channels(call, 0, 1), w, b, eps])
    return [unfold(out, 1, size), unfold(mean, 0, size), unfold(var, 0, size)]


@rule("_layer_norm")
def layer_norm(call):
    size = call.size
    x, weight, bias, eps = call.args
    if not call.on[1] and not call.on[2]:
        out, mean, var = call.record.call([fold(x, 0), weight, bias, eps])
        return [unfold(t, 0, size) for t in (out, mean, var)]
    rows = fold(x, 0) if call.on[0] else x
    found = call.record.call([rows, None, None, eps])
    out, mean, var = [unfold(t, 0, size) if call.on[0] else t.unsqueeze(0) for t in found]
    if weight is not None:
        out = out * (weight.unsqueeze(1) if call.on[1] else weight)
    if bias is not None:
        out = out + (bias.unsqueeze(1) if call.on[2] else bias)
    if not call.on[0]:
        mean, var = mean.expand(size, -1), var.expand(size, -1)
    return [out, mean, var]


def _scaled(call, out, shape):
    """Results of a normalization that ran without its weight and bias, with them."""
    for i, join in ((1, flambeau.mul), (2, flambeau.add)):
        t = call.args[i]
        if t is not None:
            out = join(out, t.reshape(t.shape[0] if call.on[i] else 1, *shape))
    return out


@rule("_group_norm")
def group_norm(call):
    size = call.size
    x, weight, bias, groups, eps = call.args
    if call.on[1] or call.on[2]:
        found = call.record.call([fold(call.whole(0), 0), None, None, groups, eps])
        out, mean, var = (unfold(t, 0, size) for t in found)
        return [_scaled(call, out, (1, -1, *(1,) * (out.dim() - 3))), mean, var]
    found = call.record.call([fold(x, 0), weight, bias, groups, eps])
    return [unfold(t, 0, size) for t in found]


@rule("_rms_norm")
def rms_norm(call):
    size = call.size
    x, weight, eps = call.args
    if call.on[1]:
        found = call.record.call([fold(call.whole(0), 0), None, eps])
        out, scale = (unfold(t, 0, size) for t in found)
        return [out * weight.unsqueeze(1), scale]
    return [unfold(t, 0, size) for t in call.record.call([fold(x, 0), weight, eps])]


@rule("_batch_norm_fixed")
def batch_norm_fixed(call):
    channels = [None if t is None else fold(call.whole(i), 0) for i, t in
                enumerate(call.args[:5]) if i]  # fmt: skip
    out = call.record.call([_channels(call, 0, 1), *channels, call["eps"]])
    return unfold(out, 1, call.size)


@rule("_cross_entropy")
def cross_entropy(call):
    """Each row's loss from the kernel, then the reduction of each example."""
    size = call.size
    x, target, weight, ignored, smoothing, reduction = call.args
    if call.on[2]:
        return one_by_one(call)
    if call.rank() == 1:  # one row
        rows = [call.whole(0), call.whole(1)]
    else:
        rows = [fold(call.whole(0), 0), fold(call.whole(1), 0)]
    found = call.record.call([*rows, weight, ignored, smoothing, _NONE])
    loss = found[0] if call.rank() == 1 else unfold(found[0], 0, size)
    loss = _reduced(call, loss, weight, ignored, reduction)
    return [loss, loss.detach(), loss.detach()]


@rule("_nll_loss")
def nll_loss(call):
    x, target, weight, ignored, reduction = call.args
    if call.on[2] or call.rank() == 1:
        return one_by_one(call)
    rows = [fold(call.whole(0), 0), fold(call.whole(1), 0)]
    loss, _ = call.record.call([*rows, weight, ignored, _NONE])
    loss = _reduced(call, unfold(loss, 0, call.size), weight, ignored, reduction)
    return [loss, loss.detach()]


def _reduced(call, loss, weight, ignored, reduction):
    """Losses of places, reduced for each example."""
    size = call.size
    if reduction != _NONE:
        loss = loss.reshape(size, -1).sum(1)
    if reduction == _MEAN:
        labels = call.whole(1).reshape(size, -1)
        kept = labels != ignored
        share = kept if weight is None else kept * weight[flambeau.where(kept, labels, 0)]
        loss = loss / share.sum(1)
    return loss


@rule("constant_pad_nd", "_pad_edges", "_fold_edges")
def padding(call):
    """Operators on the last dimensions, whatever stands before."""
    name = call.record.arguments[0][0]
    return call.run(**{name: call.args[0]})


@rule("_grid_sample")
def grid_sample(call):
    found = call.run(input=fold(call.whole(0), 0), grid=fold(call.whole(1), 0))
    return unfold(found, 0, call.size)


@rule("_prelu", "prelu")
def prelu(call):
    if call.on[1] or call.rank() < 2:
        return one_by_one(call)
    return unfold(call.run(input=fold(call.args[0], 0)), 0, call.size)


@rule("_attention")
def attention(call):
    size, mask = call.size, call["mask"]
    if mask is not None and (call.on[3] or mask.dim() == 4):
        mask = padded(call.whole(3), 4)
        mask = fold(mask.expand(size, call.args[0].shape[-4], *mask.shape[2:]), 0)
    query, key, value = (fold(call.whole(i), 0) for i in range(3))
    found = call.run(query=query, key=key, value=value, mask=mask)
    return [unfold(t, 0, size) for t in found]
