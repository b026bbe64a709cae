"""Dropout of whole channels, and the kinds that keep mean and variance."""

import flambeau as torch

__all__ = [
    "alpha_dropout",
    "dropout1d",
    "dropout2d",
    "dropout3d",
    "feature_alpha_dropout",
]


def _check_p(p):
    if p < 0.0 or p > 1.0:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")


def _channel_noise(input, p):
    """1 with probability 1 - p for each channel, shaped to multiply the input with."""
    shape = (*input.shape[:2], *[1] * (input.dim() - 2))
    return torch.bernoulli(torch.empty(shape, dtype=input.dtype, device=input.device), 1 - p)


def _put(input, result, inplace):
    return input.copy_(result) if inplace else result


def _feature_dropout(input, p, training, inplace):
    _check_p(p)
    if not training or p == 0 or input.numel() == 0:
        return input
    if p == 1:
        return _put(input, input * 0, inplace)
    noise = _channel_noise(input, p).div_(1 - p)
    return input.mul_(noise) if inplace else input * noise


def dropout1d(input, p=0.5, training=True, inplace=False):
    """Zeroes whole channels of (N, C, L) or (C, L).

    >>> import flambeau as torch
    >>> torch.nn.functional.dropout1d(torch.ones(1, 2, 3), training=False).sum()
    tensor(6.)
    """
    if input.dim() not in (2, 3):
        _check_p(p)
        raise RuntimeError(
            f"dropout1d: Expected 2D or 3D input, but received a {input.dim()}D input. Note that "
            "dropout1d exists to provide channel-wise dropout on inputs with 1 spatial "
            "dimension, a channel dimension, and an optional batch dimension (i.e. 2D or 3D "
            "inputs)."
        )
    if input.dim() == 3:
        return _feature_dropout(input, p, training, inplace)
    result = _feature_dropout(input.unsqueeze(0), p, training, inplace)
    return result.squeeze(0)


def _warn_of_dimensions(input, name, spatial):
    if input.dim() - spatial in (1, 2):
        return
    import warnings

    warnings.warn(
        f"{name}: Received a {input.dim()}-D input to {name}, which is deprecated and will result "
        "in an error in a future release. To retain the behavior and silence this warning, please "
        f"use dropout instead. {name} is for inputs with {spatial} spatial dimensions, a channel "
        f"dimension, and an optional batch dimension (i.e. {spatial + 1}D or {spatial + 2}D).",
        stacklevel=3,
    )


def dropout2d(input, p=0.5, training=True, inplace=False):
    """Zeroes whole channels of (N, C, H, W).

    >>> import flambeau as torch
    >>> torch.nn.functional.dropout2d(torch.ones(1, 2, 3, 3), training=False).sum()
    tensor(18.)
    """
    _check_p(p)
    _warn_of_dimensions(input, "dropout2d", 2)
    if input.dim() == 3:
        import warnings

        warnings.warn(
            "dropout2d: Received a 3D input to dropout2d and assuming that channel-wise 1D dropout "
            "behavior is desired - input is interpreted as shape (N, C, L), where C is the channel "
            "dim. This behavior will change in a future release to interpret the input as one "
            "without a batch dimension, i.e. shape (C, H, W); dropout1d keeps it.",
            stacklevel=2,
        )
    return _feature_dropout(input, p, training, inplace)


def dropout3d(input, p=0.5, training=True, inplace=False):
    """Zeroes whole channels of (N, C, D, H, W).

    >>> import flambeau as torch
    >>> torch.nn.functional.dropout3d(torch.ones(1, 1, 2, 2, 2), training=False).sum()
    tensor(8.)
    """
    _check_p(p)
    _warn_of_dimensions(input, "dropout3d", 3)
    if input.dim() == 4:  # without a batch
        result = _feature_dropout(input.unsqueeze(0), p, training, inplace)
        return result.squeeze(0)
    return _feature_dropout(input, p, training, inplace)


# The value that SELU saturates at: scale * alpha of its definition, negative.
_SATURATION = -1.7580993408473766


def _alpha_dropout(input, p, training, inplace, by_channel):
    _check_p(p)
    if not training or p == 0 or input.numel() == 0:
        return input
    if p == 1:
        return _put(input, input * 0, inplace)
    if by_channel:
        noise = _channel_noise(input, p)
    else:
        noise = torch.bernoulli(torch.empty_like(input), 1 - p)
    # Dropped values become the saturated one; a linear map restores mean 0 and variance 1.
    scale = 1.0 / ((_SATURATION**2 * p + 1) * (1 - p)) ** 0.5
    shift = (noise - 1) * (-_SATURATION * scale) - _SATURATION * scale * p
    return _put(input, input * (noise * scale) + shift, inplace)


def alpha_dropout(input, p=0.5, training=False, inplace=False):
    """Dropout that keeps mean and variance of what follows a SELU.

    >>> import flambeau as torch
    >>> torch.nn.functional.alpha_dropout(torch.ones(3))
    tensor([1., 1., 1.])
    """
    return _alpha_dropout(input, p, training, inplace, by_channel=False)


def feature_alpha_dropout(input, p=0.5, training=False, inplace=False):
    """Alpha dropout of whole channels.

    >>> import flambeau as torch
    >>> torch.nn.functional.feature_alpha_dropout(torch.ones(1, 3))
    tensor([[1., 1., 1.]])
    """
    return _alpha_dropout(input, p, training, inplace, by_channel=True)
