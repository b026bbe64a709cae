"""RAFT (Teed and Deng, arXiv 2003.12039)."""

import math
from functools import partial

import flambeau
from flambeau import nn
from flambeau.nn import functional as F

from ...ops.misc import Conv2dNormActivation
from .._api import model
from .._utils import he_normal, init_layers

__all__ = ["RAFT", "Raft_Large_Weights", "Raft_Small_Weights", "raft_large", "raft_small"]


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside the identity or a projection."""

    def __init__(self, in_channels, out_channels, *, norm_layer, stride=1, always_project=False):
        super().__init__()
        unit = partial(Conv2dNormActivation, norm_layer=norm_layer, bias=True)
        self.convnormrelu1 = unit(in_channels, out_channels, stride=stride)
        self.convnormrelu2 = unit(out_channels, out_channels)
        if stride == 1 and not always_project:
            self.downsample = nn.Identity()
        else:
            self.downsample = unit(
                in_channels, out_channels, kernel_size=1, stride=stride, activation_layer=None
            )
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        return self.relu(self.downsample(x) + self.convnormrelu2(self.convnormrelu1(x)))


class BottleneckBlock(nn.Module):
    """1x1, 3x3, 1x1 beside the identity or a projection."""

    def __init__(self, in_channels, out_channels, *, norm_layer, stride=1):
        super().__init__()
        unit = partial(Conv2dNormActivation, norm_layer=norm_layer, bias=True)
        inner = out_channels // 4
        self.convnormrelu1 = unit(in_channels, inner, kernel_size=1)
        self.convnormrelu2 = unit(inner, inner, stride=stride)
        self.convnormrelu3 = unit(inner, out_channels, kernel_size=1)
        self.relu = nn.ReLU(inplace=True)
        if stride == 1:
            self.downsample = nn.Identity()
        else:
            self.downsample = unit(
                in_channels, out_channels, kernel_size=1, stride=stride, activation_layer=None
            )

    def forward(self, x):
        y = self.convnormrelu3(self.convnormrelu2(self.convnormrelu1(x)))
        return self.relu(self.downsample(x) + y)


class FeatureEncoder(nn.Module):
    """Features at an eighth of the size."""

    def __init__(
        self,
        *,
        block=ResidualBlock,
        layers=(64, 64, 96, 128, 256),
        strides=(2, 1, 2, 2),
        norm_layer=nn.BatchNorm2d,
    ):
        super().__init__()
        if len(layers) != 5:
            raise ValueError(f"The expected number of layers is 5, instead got {len(layers)}")
        self.convnormrelu = Conv2dNormActivation(
            3, layers[0], kernel_size=7, stride=strides[0], norm_layer=norm_layer, bias=True
        )
        for i in (1, 2, 3):
            first = block(layers[i - 1], layers[i], norm_layer=norm_layer, stride=strides[i])
            second = block(layers[i], layers[i], norm_layer=norm_layer, stride=1)
            setattr(self, f"layer{i}", nn.Sequential(first, second))
        self.conv = nn.Conv2d(layers[3], layers[4], 1)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                he_normal(layer.weight)
        init_layers(self)
        self.output_dim = layers[-1]
        self.downsample_factor = math.prod(strides)

    def forward(self, x):
        return self.conv(self.layer3(self.layer2(self.layer1(self.convnormrelu(x)))))


class MotionEncoder(nn.Module):
    """Correlations and flow to features of motion."""

    def __init__(
        self, *, in_channels_corr, corr_layers=(256, 192), flow_layers=(128, 64), out_channels=128
    ):
        super().__init__()
        if len(flow_layers) != 2:
            raise ValueError(
                f"The expected number of flow_layers is 2, instead got {len(flow_layers)}"
            )
        if len(corr_layers) not in (1, 2):
            raise ValueError(
                f"The number of corr_layers should be 1 or 2, instead got {len(corr_layers)}"
            )
        unit = partial(Conv2dNormActivation, norm_layer=None)
        self.convcorr1 = unit(in_channels_corr, corr_layers[0], kernel_size=1)
        self.convcorr2 = unit(*corr_layers) if len(corr_layers) == 2 else nn.Identity()
        self.convflow1 = unit(2, flow_layers[0], kernel_size=7)
        self.convflow2 = unit(*flow_layers)
        self.conv = unit(corr_layers[-1] + flow_layers[-1], out_channels - 2)
        self.out_channels = out_channels

    def forward(self, flow, corr_features):
        corr = self.convcorr2(self.convcorr1(corr_features))
        both = flambeau.cat([corr, self.convflow2(self.convflow1(flow))], dim=1)
        return flambeau.cat([self.conv(both), flow], dim=1)


class ConvGRU(nn.Module):
    """A gated recurrent unit of convolutions."""

    def __init__(self, *, input_size, hidden_size, kernel_size, padding):
        super().__init__()
        conv = partial(
            nn.Conv2d, hidden_size + input_size, hidden_size, kernel_size, padding=padding
        )
        self.convz = conv()
        self.convr = conv()
        self.convq = conv()

    def forward(self, h, x):
        hx = flambeau.cat([h, x], dim=1)
        z, r = flambeau.sigmoid(self.convz(hx)), flambeau.sigmoid(self.convr(hx))
        q = flambeau.tanh(self.convq(flambeau.cat([r * h, x], dim=1)))
        return (1 - z) * h + z * q


class RecurrentBlock(nn.Module):
    """One or two units after each other."""

    def __init__(
        self,
        *,
        input_size,
        hidden_size,
        kernel_size=((1, 5), (5, 1)),
        padding=((0, 2), (2, 0)),
    ):
        super().__init__()
        if len(kernel_size) != len(padding) or len(kernel_size) not in (1, 2):
            raise ValueError(
                "kernel_size and padding should have the same length, 1 or 2, got "
                f"{len(kernel_size)} and {len(padding)}"
            )
        self.convgru1 = ConvGRU(
            input_size=input_size,
            hidden_size=hidden_size,
            kernel_size=kernel_size[0],
            padding=padding[0],
        )
        self.convgru2 = None
        if len(kernel_size) == 2:
            self.convgru2 = ConvGRU(
                input_size=input_size,
                hidden_size=hidden_size,
                kernel_size=kernel_size[1],
                padding=padding[1],
            )
        self.hidden_size = hidden_size

    def forward(self, h, x):
        h = self.convgru1(h, x)
        return h if self.convgru2 is None else self.convgru2(h, x)


class FlowHead(nn.Module):
    """The hidden state to a change of the flow."""

    def __init__(self, *, in_channels, hidden_size):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, hidden_size, 3, padding=1)
        self.conv2 = nn.Conv2d(hidden_size, 2, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        return self.conv2(self.relu(self.conv1(x)))


class UpdateBlock(nn.Module):
    """(the next hidden state, the change of the flow)"""

    def __init__(self, *, motion_encoder, recurrent_block, flow_head):
        super().__init__()
        self.motion_encoder = motion_encoder
        self.recurrent_block = recurrent_block
        self.flow_head = flow_head
        self.hidden_state_size = recurrent_block.hidden_size

    def forward(self, hidden_state, context, corr_features, flow):
        motion = self.motion_encoder(flow, corr_features)
        x = flambeau.cat([context, motion], dim=1)
        hidden_state = self.recurrent_block(hidden_state, x)
        return hidden_state, self.flow_head(hidden_state)


class MaskPredictor(nn.Module):
    """Weights of the 3x3 neighbours of each of the 8x8 pixels under a cell."""

    def __init__(self, *, in_channels, hidden_size, multiplier=0.25):
        super().__init__()
        self.convrelu = Conv2dNormActivation(in_channels, hidden_size, norm_layer=None)
        self.conv = nn.Conv2d(hidden_size, 8 * 8 * 9, 1, padding=0)
        self.multiplier = multiplier

    def forward(self, x):
        return self.multiplier * self.conv(self.convrelu(x))


def _coordinates(n, h, w, device):
    """[N, 2, H, W]: each pixel's x and y."""
    y, x = flambeau.meshgrid(
        flambeau.arange(h, device=device), flambeau.arange(w, device=device), indexing="ij"
    )
    return flambeau.stack([x, y]).float()[None].repeat(n, 1, 1, 1)


class CorrBlock(nn.Module):
    """Correlations of all pairs of pixels, at several scales, looked up around a place."""

    def __init__(self, *, num_levels=4, radius=4):
        super().__init__()
        self.num_levels = num_levels
        self.radius = radius
        self.out_channels = num_levels * (2 * radius + 1) ** 2
        self.corr_pyramid = []

    def build_pyramid(self, fmap1, fmap2):
        if fmap1.shape != fmap2.shape:
            raise ValueError(
                "Input feature maps should have the same shape, instead got "
                f"{tuple(fmap1.shape)} != {tuple(fmap2.shape)}"
            )
        n, c, h, w = fmap1.shape
        least = 2 * 2 ** (self.num_levels - 1)
        if h < least or w < least:
            raise ValueError(
                "Feature maps are too small to be down-sampled by the correlation pyramid. H and "
                f"W of feature maps should be at least {least}; got: {(h, w)}."
            )
        corr = fmap1.flatten(2).transpose(1, 2) @ fmap2.flatten(2) / math.sqrt(c)
        corr = corr.reshape(n * h * w, 1, h, w)
        self.corr_pyramid = [corr]
        for _ in range(self.num_levels - 1):
            corr = F.avg_pool2d(corr, 2, 2)
            self.corr_pyramid.append(corr)

    def index_pyramid(self, centroids_coords):
        """[N, levels * side^2, H, W]"""
        n, _, h, w = centroids_coords.shape
        side = 2 * self.radius + 1
        steps = flambeau.linspace(-self.radius, self.radius, side, device=centroids_coords.device)
        around = flambeau.stack(flambeau.meshgrid(steps, steps, indexing="ij"), dim=-1)
        centres = centroids_coords.permute(0, 2, 3, 1).reshape(n * h * w, 1, 1, 2)
        found = []
        for corr in self.corr_pyramid:
            height, width = corr.shape[-2:]
            x, y = (centres + around).split([1, 1], dim=-1)
            grid = flambeau.cat([2 * x / (width - 1) - 1, 2 * y / (height - 1) - 1], dim=-1)
            sampled = F.grid_sample(corr, grid, mode="bilinear", align_corners=True)
            found.append(sampled.view(n, h, w, -1))
            centres = centres / 2
        return flambeau.cat(found, dim=-1).permute(0, 3, 1, 2).contiguous()


def _upsample(flow, mask=None, factor=8):
    """Flow of the images' size; without weights by bilinear interpolation."""
    n, _, h, w = flow.shape
    if mask is None:
        size = (factor * h, factor * w)
        return factor * F.interpolate(flow, size=size, mode="bilinear", align_corners=True)
    mask = flambeau.softmax(mask.view(n, 1, 9, factor, factor, h, w), dim=2)
    near = F.unfold(factor * flow, kernel_size=3, padding=1).view(n, 2, 9, 1, 1, h, w)
    flow = flambeau.sum(mask * near, dim=2)
    return flow.permute(0, 1, 4, 2, 5, 3).reshape(n, 2, factor * h, factor * w)


class RAFT(nn.Module):
    """Flow from the first image to the second, after each of `num_flow_updates` steps."""

    def __init__(
        self, *, feature_encoder, context_encoder, corr_block, update_block, mask_predictor=None
    ):
        super().__init__()
        self.feature_encoder = feature_encoder
        self.context_encoder = context_encoder
        self.corr_block = corr_block
        self.update_block = update_block
        self.mask_predictor = mask_predictor

    def forward(self, image1, image2, num_flow_updates=12):
        n, _, h, w = image1.shape
        if image2.shape[-2:] != (h, w):
            raise ValueError(
                f"input images should have the same shape, instead got {(h, w)} != "
                f"{tuple(image2.shape[-2:])}"
            )
        if h % 8 or w % 8:
            raise ValueError(
                f"input image H and W should be divisible by 8, instead got {h} (h) and {w} (w)"
            )
        fmaps = self.feature_encoder(flambeau.cat([image1, image2], dim=0))
        self.corr_block.build_pyramid(*fmaps.chunk(2, dim=0))
        hidden_size = self.update_block.hidden_state_size
        context = self.context_encoder(image1)
        hidden = flambeau.tanh(context[:, :hidden_size])
        context = F.relu(context[:, hidden_size:])
        start = _coordinates(n, h // 8, w // 8, image1.device)
        place, predictions = start, []
        for _ in range(num_flow_updates):
            place = place.detach()  # gradients do not pass from step to step
            corr = self.corr_block.index_pyramid(place)
            hidden, change = self.update_block(hidden, context, corr, place - start)
            place = place + change
            mask = None if self.mask_predictor is None else self.mask_predictor(hidden)
            predictions.append(_upsample(place - start, mask))
        self.corr_block.corr_pyramid = []  # as large as the image squared
        return predictions


# Encoders' layers and blocks, correlations' radius, the update's widths and kernels, of both sizes.
_LARGE = {
    "features": {"layers": (64, 64, 96, 128, 256), "block": ResidualBlock},
    "context": {
        "layers": (64, 64, 96, 128, 256),
        "block": ResidualBlock,
        "norm_layer": nn.BatchNorm2d,
    },
    "radius": 4,
    "motion": {"corr_layers": (256, 192), "flow_layers": (128, 64), "out_channels": 128},
    "recurrent": {"hidden_size": 128, "kernel_size": ((1, 5), (5, 1)), "padding": ((0, 2), (2, 0))},
    "flow_hidden": 256,
    "mask": True,
}
_SMALL = {
    "features": {"layers": (32, 32, 64, 96, 128), "block": BottleneckBlock},
    "context": {"layers": (32, 32, 64, 96, 160), "block": BottleneckBlock, "norm_layer": None},
    "radius": 3,
    "motion": {"corr_layers": (96,), "flow_layers": (64, 32), "out_channels": 82},
    "recurrent": {"hidden_size": 96, "kernel_size": (3,), "padding": (1,)},
    "flow_hidden": 128,
    "mask": False,
}


def _raft(shape, **parts):
    """`parts` may replace the five parts of the network."""
    hidden = shape["recurrent"]["hidden_size"]
    if "feature_encoder" not in parts:
        parts["feature_encoder"] = FeatureEncoder(norm_layer=nn.InstanceNorm2d, **shape["features"])
    if "context_encoder" not in parts:
        parts["context_encoder"] = FeatureEncoder(**shape["context"])
    if "corr_block" not in parts:
        parts["corr_block"] = CorrBlock(num_levels=4, radius=shape["radius"])
    if "update_block" not in parts:
        motion = MotionEncoder(in_channels_corr=parts["corr_block"].out_channels, **shape["motion"])
        context = parts["context_encoder"].output_dim - hidden
        parts["update_block"] = UpdateBlock(
            motion_encoder=motion,
            recurrent_block=RecurrentBlock(
                input_size=motion.out_channels + context, **shape["recurrent"]
            ),
            flow_head=FlowHead(in_channels=hidden, hidden_size=shape["flow_hidden"]),
        )
    if shape["mask"] and "mask_predictor" not in parts:
        parts["mask_predictor"] = MaskPredictor(in_channels=hidden, hidden_size=256)
    return RAFT(**parts)


def _fit(weights, options):
    """Flow has no classes."""


Raft_Large_Weights, raft_large = model(
    "raft_large", "Raft_Large_Weights", partial(_raft, _LARGE), _fit
)
Raft_Small_Weights, raft_small = model(
    "raft_small", "Raft_Small_Weights", partial(_raft, _SMALL), _fit
)
