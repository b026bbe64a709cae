"""Deformable convolution (Dai et al., arXiv 1703.06211; Zhu et al., arXiv 1811.11168)."""

import math

import flambeau
from flambeau import nn
from flambeau._ops import internal

from ._utils import pair

__all__ = ["DeformConv2d", "deform_conv2d"]

_IN_PIXELS = 3  # the sampling kernel's padding mode of zeros where the grid counts pixels


def _taps(height, width, kernel, out_size, stride, padding, dilation):
    """Rows and columns that an ordinary convolution reads: [kernel, out_h, out_w] each."""
    places = []
    for axis in (0, 1):
        out = flambeau.arange(out_size[axis]) * stride[axis] - padding[axis]
        tap = flambeau.arange(kernel[axis]) * dilation[axis]
        places.append(tap[:, None] + out[None])
    rows = places[0][:, None, :, None].expand(*kernel, *out_size)
    columns = places[1][None, :, None, :].expand(*kernel, *out_size)
    return rows.flatten(0, 1), columns.flatten(0, 1)


def deform_conv2d(
    input,
    offset,
    weight,
    bias=None,
    stride=(1, 1),
    padding=(0, 0),
    dilation=(1, 1),
    mask=None,
):
    """A convolution whose taps are moved by `offset` and scaled by `mask`.

    input [N, C, H, W]; offset [N, 2 * groups * kh * kw, out_h, out_w], y before x; mask
    [N, groups * kh * kw, out_h, out_w]; weight [out, C / convolution groups, kh, kw].
    """
    stride, padding, dilation = pair(stride), pair(padding), pair(dilation)
    n, channels, height, width = input.shape
    out_channels, per_group, *kernel = weight.shape
    area = kernel[0] * kernel[1]
    offset_groups = offset.shape[1] // (2 * area)
    if offset_groups == 0 or channels % offset_groups or channels % per_group:
        raise RuntimeError(
            "the shape of the offset tensor at dimension 1 is not valid. It should be a multiple "
            "of 2 * weight.size[2] * weight.size[3].\n"
            f"Got offset.shape[1]={offset.shape[1]}, while 2 * weight.size[2] * "
            f"weight.size[3]={2 * area}"
        )
    out_size = [
        (size + 2 * p - d * (k - 1) - 1) // s + 1
        for size, k, s, p, d in zip((height, width), kernel, stride, padding, dilation, strict=True)
    ]
    if list(offset.shape[2:]) != out_size:
        raise RuntimeError(
            f"offset output dims: {tuple(offset.shape[2:])} - computed output dims: "
            f"{tuple(out_size)}"
        )
    rows, columns = _taps(height, width, kernel, out_size, stride, padding, dilation)
    moved = offset.reshape(n * offset_groups, area, 2, *out_size)
    grid = flambeau.stack([moved[:, :, 1] + columns, moved[:, :, 0] + rows], dim=-1)
    image = input.reshape(n * offset_groups, channels // offset_groups, height, width)
    taps = internal["_grid_sample"](image, grid.flatten(1, 2), False, _IN_PIXELS, False)
    if mask is not None:
        if mask.shape[1] != offset_groups * area:
            raise RuntimeError(
                f"mask.shape[1] is not valid: got {mask.shape[1]}, expected {offset_groups * area}"
            )
        taps = taps * mask.reshape(n * offset_groups, 1, area * out_size[0], out_size[1])
    groups = channels // per_group
    taps = taps.reshape(n, groups, per_group * area, out_size[0] * out_size[1])
    out = weight.reshape(1, groups, out_channels // groups, per_group * area) @ taps
    out = out.reshape(n, out_channels, *out_size)
    return out if bias is None else out + bias.view(1, -1, 1, 1)


class DeformConv2d(nn.Module):
    """`deform_conv2d` as a layer."""

    def __init__(
        self,
        in_channels,
        out_channels,
        kernel_size,
        stride=1,
        padding=0,
        dilation=1,
        groups=1,
        bias=True,
    ):
        super().__init__()
        if in_channels % groups != 0:
            raise ValueError("in_channels must be divisible by groups")
        if out_channels % groups != 0:
            raise ValueError("out_channels must be divisible by groups")
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = pair(kernel_size)
        self.stride = pair(stride)
        self.padding = pair(padding)
        self.dilation = pair(dilation)
        self.groups = groups
        self.weight = nn.Parameter(
            flambeau.empty(out_channels, in_channels // groups, *self.kernel_size)
        )
        if bias:
            self.bias = nn.Parameter(flambeau.empty(out_channels))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self):
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            fan_in = self.weight[0].numel()
            bound = 1 / math.sqrt(fan_in)
            nn.init.uniform_(self.bias, -bound, bound)

    def forward(self, input, offset, mask=None):
        return deform_conv2d(
            input, offset, self.weight, self.bias, self.stride, self.padding, self.dilation, mask
        )

    def extra_repr(self):
        parts = [f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}"]
        parts.append(f"stride={self.stride}")
        rest = (("padding", (0, 0)), ("dilation", (1, 1)), ("groups", 1))
        parts += [f"{n}={getattr(self, n)}" for n, usual in rest if getattr(self, n) != usual]
        return ", ".join(parts if self.bias is not None else [*parts, "bias=False"])
