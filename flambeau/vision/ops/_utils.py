"""Checks and conversions that operators share."""

import flambeau


def check_rois(boxes):
    """[K, 5] or a list of [L, 4], else an error."""
    if isinstance(boxes, (list, tuple)):
        for tensor in boxes:
            if tensor.size(1) != 4:
                raise ValueError(
                    "The shape of the tensor in the boxes list is not correct as List[Tensor[L, 4]]"
                )
    elif isinstance(boxes, flambeau.Tensor):
        if boxes.size(1) != 5:
            raise ValueError("The boxes tensor shape is not correct as Tensor[K, 5]")
    else:
        raise TypeError("boxes is expected to be a Tensor[L, 5] or a List[Tensor[K, 4]]")


def as_rois(boxes):
    """[K, 5] with the image's number first."""
    check_rois(boxes)
    if isinstance(boxes, flambeau.Tensor):
        return boxes
    index = [flambeau.full_like(b[:, :1], i) for i, b in enumerate(boxes)]
    return flambeau.cat([flambeau.cat(index), flambeau.cat(list(boxes))], dim=1)


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
