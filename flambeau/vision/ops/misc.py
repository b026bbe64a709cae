"""Blocks that many vision models share."""

from collections.abc import Sequence

import flambeau
from flambeau import nn

__all__ = [
    "MLP",
    "Conv2dNormActivation",
    "Conv3dNormActivation",
    "FrozenBatchNorm2d",
    "Permute",
    "SqueezeExcitation",
]


def _tuple(value, count):
    return tuple(value) if isinstance(value, Sequence) else (value,) * count


class ConvNormActivation(nn.Sequential):
    """What the two classes below share."""

    convolution = dimensions = None

    def __init__(
        self,
        in_channels,
        out_channels,
        kernel_size=3,
        stride=1,
        padding=None,
        groups=1,
        norm_layer=None,
        activation_layer=nn.ReLU,
        dilation=1,
        inplace=True,
        bias=None,
    ):
        if padding is None:  # what keeps the size at stride 1
            kernels = _tuple(kernel_size, self.dimensions)
            dilations = _tuple(dilation, self.dimensions)
            padding = tuple((k - 1) // 2 * d for k, d in zip(kernels, dilations, strict=True))
        layers = [
            self.convolution(
                in_channels,
                out_channels,
                kernel_size,
                stride,
                padding,
                dilation=dilation,
                groups=groups,
                bias=norm_layer is None if bias is None else bias,
            )
        ]
        if norm_layer is not None:
            layers.append(norm_layer(out_channels))
        if activation_layer is not None:
            layers.append(activation_layer(**({} if inplace is None else {"inplace": inplace})))
        super().__init__(*layers)
        self.out_channels = out_channels


class Conv2dNormActivation(ConvNormActivation):
    """A convolution, a norm and an activation; either of the last two may be None.

    >>> from flambeau.vision.ops import Conv2dNormActivation
    >>> len(Conv2dNormActivation(3, 8))
    3
    """

    convolution, dimensions = nn.Conv2d, 2

    def __init__(
        self,
        in_channels,
        out_channels,
        kernel_size=3,
        stride=1,
        padding=None,
        groups=1,
        norm_layer=nn.BatchNorm2d,
        activation_layer=nn.ReLU,
        dilation=1,
        inplace=True,
        bias=None,
    ):
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, groups,
            norm_layer, activation_layer, dilation, inplace, bias,
        )  # fmt: skip


class Conv3dNormActivation(ConvNormActivation):
    """`Conv2dNormActivation` over time, height and width."""

    convolution, dimensions = nn.Conv3d, 3

    def __init__(
        self,
        in_channels,
        out_channels,
        kernel_size=3,
        stride=1,
        padding=None,
        groups=1,
        norm_layer=nn.BatchNorm3d,
        activation_layer=nn.ReLU,
        dilation=1,
        inplace=True,
        bias=None,
    ):
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, groups,
            norm_layer, activation_layer, dilation, inplace, bias,
        )  # fmt: skip


class SqueezeExcitation(nn.Module):
    """Channels scaled by what their means say (Hu et al., arXiv 1709.01507, figure 1).

    >>> import flambeau as torch
    >>> from flambeau.vision import ops
    >>> ops.SqueezeExcitation(8, 2)(torch.ones(1, 8, 4, 4)).shape
    torch.Size([1, 8, 4, 4])
    """

    def __init__(
        self,
        input_channels,
        squeeze_channels,
        activation=nn.ReLU,
        scale_activation=nn.Sigmoid,
    ):
        super().__init__()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc1 = nn.Conv2d(input_channels, squeeze_channels, 1)
        self.fc2 = nn.Conv2d(squeeze_channels, input_channels, 1)
        self.activation = activation()
        self.scale_activation = scale_activation()

    def _scale(self, input):
        scale = self.activation(self.fc1(self.avgpool(input)))
        return self.scale_activation(self.fc2(scale))

    def forward(self, input):
        return self._scale(input) * input


class MLP(nn.Sequential):
    """Linear layers of the given widths with activations and dropout in between.

    >>> import flambeau as torch
    >>> from flambeau.vision import ops
    >>> ops.MLP(4, [8, 2])(torch.ones(1, 4)).shape
    torch.Size([1, 2])
    """

    def __init__(
        self,
        in_channels,
        hidden_channels,
        norm_layer=None,
        activation_layer=nn.ReLU,
        inplace=None,
        bias=True,
        dropout=0.0,
    ):
        options = {} if inplace is None else {"inplace": inplace}
        layers = []
        for width in hidden_channels[:-1]:
            layers.append(nn.Linear(in_channels, width, bias=bias))
            if norm_layer is not None:
                layers.append(norm_layer(width))
            layers += [activation_layer(**options), nn.Dropout(dropout, **options)]
            in_channels = width
        layers.append(nn.Linear(in_channels, hidden_channels[-1], bias=bias))
        layers.append(nn.Dropout(dropout, **options))
        super().__init__(*layers)


class Permute(nn.Module):
    """`permute` as a layer.

    >>> import flambeau as torch
    >>> from flambeau.vision import ops
    >>> ops.Permute([0, 2, 1])(torch.ones(1, 2, 3)).shape
    torch.Size([1, 3, 2])
    """

    def __init__(self, dims):
        super().__init__()
        self.dims = dims

    def forward(self, x):
        return flambeau.permute(x, self.dims)


class FrozenBatchNorm2d(nn.Module):
    """Batch normalization whose statistics and scales are constants.

    >>> from flambeau.vision import ops
    >>> len(list(ops.FrozenBatchNorm2d(4).parameters()))
    0
    """

    def __init__(self, num_features, eps=1e-5):
        super().__init__()
        self.eps = eps
        for name, make in [
            ("weight", flambeau.ones),
            ("bias", flambeau.zeros),
            ("running_mean", flambeau.zeros),
            ("running_var", flambeau.ones),
        ]:
            self.register_buffer(name, make(num_features))

    def _load_from_state_dict(self, state_dict, prefix, *args):
        state_dict.pop(prefix + "num_batches_tracked", None)  # a trained BatchNorm2d has it
        super()._load_from_state_dict(state_dict, prefix, *args)

    def forward(self, x):
        scale = self.weight * (self.running_var + self.eps).rsqrt()
        shift = self.bias - self.running_mean * scale
        return x * scale.reshape(1, -1, 1, 1) + shift.reshape(1, -1, 1, 1)

    def __repr__(self):
        return f"{type(self).__name__}({self.weight.shape[0]}, eps={self.eps})"
