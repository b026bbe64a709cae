"""Checks and conversions that operators share."""

import functools

import flambeau


def check_rois(boxes):
    """[K, 5] or a list of [L, 4], else an error."""
    if isinstance(boxes, (list, tuple)):
        for tensor in boxes:
            if tensor.size(1) != 4:
                raise AssertionError(
                    "The shape of the tensor in the boxes list is not correct as List[Tensor[L, 4]]"
                )
    elif isinstance(boxes, flambeau.Tensor):
        if boxes.size(1) != 5:
            raise AssertionError("The boxes tensor shape is not correct as Tensor[K, 5]")
    else:
        raise AssertionError("boxes is expected to be a Tensor[L, 5] or a List[Tensor[K, 4]]")


def one_step(function):
    """A function that tracing records as one node, as PyTorch does those that `fx.wrap` names."""

    @functools.wraps(function)
    def call(input, *args, **kwargs):
        kind = type(input)
        if not isinstance(input, flambeau.Tensor) and hasattr(kind, "__torch_function__"):
            return kind.__torch_function__(call, (kind,), (input, *args), kwargs)
        return function(input, *args, **kwargs)

    return call


def as_rois(boxes):
    """[K, 5] with the image's number first."""
    check_rois(boxes)
    if isinstance(boxes, flambeau.Tensor):
        return boxes
    index = [flambeau.full_like(b[:, :1], i) for i, b in enumerate(boxes)]
    return flambeau.cat([flambeau.cat(index), flambeau.cat(list(boxes))], dim=1)


# the names that training scripts know
check_roi_boxes_shape, convert_boxes_to_roi_format = check_rois, as_rois


def split_normalization_params(model, norm_classes=None):
    """(parameters of the normalization layers, all others), such as for a weight decay of each."""
    from flambeau import nn

    if not norm_classes:
        norm_classes = [
            nn.modules.batchnorm._BatchNorm,
            nn.LayerNorm,
            nn.GroupNorm,
            nn.modules.instancenorm._InstanceNorm,
            nn.LocalResponseNorm,
        ]
    for kind in norm_classes:
        if not issubclass(kind, nn.Module):
            raise ValueError(f"Class {kind} is not a subclass of nn.Module.")
    norm, other = [], []
    for module in model.modules():
        into = norm if isinstance(module, tuple(norm_classes)) else other
        # a module with children has its own parameters only
        own = module.parameters(recurse=not any(module.children()))
        into.extend(p for p in own if p.requires_grad)
    return norm, other


def numbers(x):
    """What a quantized tensor stands for; any other tensor as it is."""
    return x.dequantize() if x.is_quantized else x


def pair(value):
    return (value, value) if isinstance(value, int) else tuple(value)


def upcast(x):
    """Narrow numbers to ones that hold a product of two of them."""
    if x.is_floating_point():
        return x if x.dtype in (flambeau.float32, flambeau.float64) else x.float()
    return x if x.dtype in (flambeau.int32, flambeau.int64) else x.int()


def reduced(loss, reduction):
    if reduction == "mean":
        return loss.mean() if loss.numel() > 0 else 0.0 * loss.sum()
    if reduction == "sum":
        return loss.sum()
    if reduction != "none":
        raise ValueError(
            f"Invalid Value for arg 'reduction': '{reduction} \n Supported reduction modes: "
            "'none', 'mean', 'sum'"
        )
    return loss
