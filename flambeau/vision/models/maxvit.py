"""MaxViT (Tu et al., arXiv 2204.01697)."""

import math
from collections import OrderedDict
from functools import partial

import flambeau
from flambeau import nn
from flambeau.nn import functional as F

from ..ops.misc import Conv2dNormActivation, SqueezeExcitation
from ..ops.stochastic_depth import StochasticDepth
from ._api import fit_classes, model, set_or_check
from ._utils import truncated
from .swin_transformer import relative_positions

__all__ = ["MaxVit", "MaxVit_T_Weights", "maxvit_t"]


class MBConv(nn.Module):
    """Norm, 1x1, depthwise 3x3, squeeze and excitation, 1x1, beside a projection."""

    def __init__(
        self,
        in_channels,
        out_channels,
        expansion_ratio,
        squeeze_ratio,
        stride,
        activation_layer,
        norm_layer,
        p_stochastic_dropout=0.0,
    ):
        super().__init__()
        if stride != 1 or in_channels != out_channels:
            project = [nn.Conv2d(in_channels, out_channels, 1, bias=True)]
            if stride == 2:
                project.insert(0, nn.AvgPool2d(3, stride, 1))
            self.proj = nn.Sequential(*project)
        else:
            self.proj = nn.Identity()
        mid = int(out_channels * expansion_ratio)
        unit = partial(
            Conv2dNormActivation,
            norm_layer=norm_layer,
            activation_layer=activation_layer,
            inplace=None,
        )
        layers = OrderedDict()
        layers["pre_norm"] = norm_layer(in_channels)
        layers["conv_a"] = unit(in_channels, mid, kernel_size=1)
        layers["conv_b"] = unit(mid, mid, stride=stride, groups=mid)
        layers["squeeze_excitation"] = SqueezeExcitation(
            mid, int(out_channels * squeeze_ratio), activation=nn.SiLU
        )
        layers["conv_c"] = nn.Conv2d(mid, out_channels, 1, bias=True)
        if p_stochastic_dropout:
            self.stochastic_depth = StochasticDepth(p_stochastic_dropout, mode="row")
        else:
            self.stochastic_depth = nn.Identity()
        self.layers = nn.Sequential(layers)

    def forward(self, x):
        return self.proj(x) + self.stochastic_depth(self.layers(x))


class RelativePositionalMultiHeadAttention(nn.Module):
    """Attention of [N, groups, tokens, C] with a bias for each offset between tokens."""

    def __init__(self, feat_dim, head_dim, max_seq_len):
        super().__init__()
        if feat_dim % head_dim != 0:
            raise ValueError(f"feat_dim: {feat_dim} must be divisible by head_dim: {head_dim}")
        self.n_heads = feat_dim // head_dim
        self.head_dim = head_dim
        self.size = math.isqrt(max_seq_len)
        self.max_seq_len = max_seq_len
        self.to_qkv = nn.Linear(feat_dim, 3 * feat_dim)
        self.scale_factor = feat_dim**-0.5
        self.merge = nn.Linear(feat_dim, feat_dim)
        self.relative_position_bias_table = nn.Parameter(
            flambeau.empty((2 * self.size - 1) ** 2, self.n_heads)
        )
        index = relative_positions((self.size, self.size))
        self.register_buffer("relative_position_index", index.view(max_seq_len, max_seq_len))
        truncated(self.relative_position_bias_table)

    def get_relative_positional_bias(self):
        """[1, heads, tokens, tokens]"""
        bias = self.relative_position_bias_table[self.relative_position_index.view(-1)]
        bias = bias.view(self.max_seq_len, self.max_seq_len, -1)
        return bias.permute(2, 0, 1).contiguous().unsqueeze(0)

    def forward(self, x):
        n, groups, tokens, c = x.shape
        qkv = self.to_qkv(x).reshape(n, groups, tokens, 3, self.n_heads, self.head_dim)
        q, k, v = qkv.permute(3, 0, 1, 4, 2, 5)
        scores = q @ (k * self.scale_factor).transpose(-2, -1)
        weights = F.softmax(scores + self.get_relative_positional_bias(), dim=-1)
        return self.merge((weights @ v).transpose(2, 3).reshape(n, groups, tokens, c))


class SwapAxes(nn.Module):
    """Two dimensions exchanged."""

    def __init__(self, a, b):
        super().__init__()
        self.a, self.b = a, b

    def forward(self, x):
        return x.transpose(self.a, self.b)


class WindowPartition(nn.Module):
    """[N, C, H, W] to [N, windows, p * p, C]."""

    def forward(self, x, p):
        n, c, h, w = x.shape
        x = x.reshape(n, c, h // p, p, w // p, p).permute(0, 2, 4, 3, 5, 1)
        return x.reshape(n, (h // p) * (w // p), p * p, c)


class WindowDepartition(nn.Module):
    """The inverse, where `h_partitions` and `w_partitions` count windows."""

    def forward(self, x, p, h_partitions, w_partitions):
        n, _, _, c = x.shape
        h, w = h_partitions, w_partitions
        return x.reshape(n, h, w, p, p, c).permute(0, 5, 1, 3, 2, 4).reshape(n, c, h * p, w * p)


class PartitionAttentionLayer(nn.Module):
    """Attention and an MLP within windows, or across them: a grid of one token from each."""

    def __init__(
        self,
        in_channels,
        head_dim,
        partition_size,
        partition_type,
        grid_size,
        mlp_ratio,
        activation_layer,
        norm_layer,
        attention_dropout,
        mlp_dropout,
        p_stochastic_dropout,
    ):
        super().__init__()
        if partition_type not in ("grid", "window"):
            raise ValueError("partition_type must be either 'grid' or 'window'")
        self.n_partitions = grid_size[0] // partition_size
        self.partition_size = partition_size
        self.grid_size = grid_size
        across = partition_type == "grid"
        # a grid has partition_size tokens to a side, spread over the whole map
        self.p = self.n_partitions if across else partition_size
        self.partition_op, self.departition_op = WindowPartition(), WindowDepartition()
        self.partition_swap = SwapAxes(-2, -3) if across else nn.Identity()
        self.departition_swap = SwapAxes(-2, -3) if across else nn.Identity()
        self.attn_layer = nn.Sequential(
            norm_layer(in_channels),
            RelativePositionalMultiHeadAttention(in_channels, head_dim, partition_size**2),
            nn.Dropout(attention_dropout),
        )
        self.mlp_layer = nn.Sequential(
            nn.LayerNorm(in_channels),
            nn.Linear(in_channels, in_channels * mlp_ratio),
            activation_layer(),
            nn.Linear(in_channels * mlp_ratio, in_channels),
            nn.Dropout(mlp_dropout),
        )
        self.stochastic_dropout = StochasticDepth(p_stochastic_dropout, mode="row")

    def forward(self, x):
        h, w = self.grid_size[0] // self.p, self.grid_size[1] // self.p
        if self.grid_size[0] % self.p or self.grid_size[1] % self.p:
            raise ValueError(
                "Grid size must be divisible by partition size. Got grid size of "
                f"{self.grid_size} and partition size of {self.p}"
            )
        x = self.partition_swap(self.partition_op(x, self.p))
        x = x + self.stochastic_dropout(self.attn_layer(x))
        x = x + self.stochastic_dropout(self.mlp_layer(x))
        return self.departition_op(self.departition_swap(x), self.p, h, w)


class MaxVitLayer(nn.Module):
    """Convolution, attention in windows, attention across them."""

    def __init__(
        self,
        in_channels,
        out_channels,
        squeeze_ratio,
        expansion_ratio,
        stride,
        norm_layer,
        activation_layer,
        head_dim,
        mlp_ratio,
        mlp_dropout,
        attention_dropout,
        p_stochastic_dropout,
        partition_size,
        grid_size,
    ):
        super().__init__()
        attention = partial(
            PartitionAttentionLayer,
            in_channels=out_channels,
            head_dim=head_dim,
            partition_size=partition_size,
            grid_size=grid_size,
            mlp_ratio=mlp_ratio,
            activation_layer=activation_layer,
            norm_layer=nn.LayerNorm,
            attention_dropout=attention_dropout,
            mlp_dropout=mlp_dropout,
            p_stochastic_dropout=p_stochastic_dropout,
        )
        self.layers = nn.Sequential(
            OrderedDict(
                MBconv=MBConv(
                    in_channels,
                    out_channels,
                    expansion_ratio,
                    squeeze_ratio,
                    stride,
                    activation_layer,
                    norm_layer,
                    p_stochastic_dropout,
                ),
                window_attention=attention(partition_type="window"),
                grid_attention=attention(partition_type="grid"),
            )
        )

    def forward(self, x):
        return self.layers(x)


def _halved(size):
    return tuple((side - 1) // 2 + 1 for side in size)


class MaxVitBlock(nn.Module):
    """Layers of one width; the first halves the size."""

    def __init__(
        self,
        in_channels,
        out_channels,
        squeeze_ratio,
        expansion_ratio,
        norm_layer,
        activation_layer,
        head_dim,
        mlp_ratio,
        mlp_dropout,
        attention_dropout,
        partition_size,
        input_grid_size,
        n_layers,
        p_stochastic,
    ):
        super().__init__()
        if len(p_stochastic) != n_layers:
            raise ValueError(
                f"p_stochastic must have length n_layers={n_layers}, got {p_stochastic}."
            )
        self.grid_size = _halved(input_grid_size)
        self.layers = nn.ModuleList(
            MaxVitLayer(
                in_channels if i == 0 else out_channels,
                out_channels,
                squeeze_ratio,
                expansion_ratio,
                2 if i == 0 else 1,
                norm_layer,
                activation_layer,
                head_dim,
                mlp_ratio,
                mlp_dropout,
                attention_dropout,
                p,
                partition_size,
                self.grid_size,
            )
            for i, p in enumerate(p_stochastic)
        )

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return x


class MaxVit(nn.Module):
    """A stem, blocks and a classifier, for images of one size."""

    def __init__(
        self,
        input_size,
        stem_channels,
        partition_size,
        block_channels,
        block_layers,
        head_dim,
        stochastic_depth_prob,
        norm_layer=None,
        activation_layer=nn.GELU,
        squeeze_ratio=0.25,
        expansion_ratio=4,
        mlp_ratio=4,
        mlp_dropout=0.0,
        attention_dropout=0.0,
        num_classes=1000,
    ):
        super().__init__()
        norm_layer = norm_layer or partial(nn.BatchNorm2d, eps=1e-3, momentum=0.01)
        size = _halved(input_size)
        grid = size
        for i in range(len(block_channels)):
            grid = _halved(grid)
            if grid[0] % partition_size or grid[1] % partition_size:
                raise ValueError(
                    f"Input size {grid} of block {i} is not divisible by partition size "
                    f"{partition_size}. Consider changing the partition size or the input size."
                )
        stem = partial(
            Conv2dNormActivation,
            kernel_size=3,
            activation_layer=activation_layer,
            inplace=None,
        )
        self.stem = nn.Sequential(
            stem(3, stem_channels, stride=2, norm_layer=norm_layer, bias=False),
            stem(
                stem_channels,
                stem_channels,
                stride=1,
                norm_layer=None,
                activation_layer=None,
                bias=True,
            ),
        )
        self.partition_size = partition_size
        last = max(sum(block_layers) - 1, 1)
        drops = [stochastic_depth_prob * i / last for i in range(sum(block_layers))]
        self.blocks = nn.ModuleList()
        channels, start = stem_channels, 0
        for width, count in zip(block_channels, block_layers, strict=True):
            block = MaxVitBlock(
                channels,
                width,
                squeeze_ratio,
                expansion_ratio,
                norm_layer,
                activation_layer,
                head_dim,
                mlp_ratio,
                mlp_dropout,
                attention_dropout,
                partition_size,
                size,
                count,
                drops[start : start + count],
            )
            self.blocks.append(block)
            channels, size, start = width, block.grid_size, start + count
        self.classifier = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.LayerNorm(channels),
            nn.Linear(channels, channels),
            nn.Tanh(),
            nn.Linear(channels, num_classes, bias=False),
        )
        for layer in self.modules():
            if isinstance(layer, (nn.Conv2d, nn.Linear)):
                nn.init.normal_(layer.weight, std=0.02)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
            elif isinstance(layer, nn.BatchNorm2d):
                nn.init.ones_(layer.weight)
                nn.init.zeros_(layer.bias)

    def forward(self, x):
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return self.classifier(x)


def _maxvit_t(**options):
    options.setdefault("input_size", (224, 224))
    options.setdefault("stochastic_depth_prob", 0.2)
    return MaxVit(
        stem_channels=64,
        partition_size=7,
        block_channels=[64, 128, 256, 512],
        block_layers=[2, 2, 5, 2],
        head_dim=32,
        **options,
    )


def _fit(weights, options):
    fit_classes(weights, options)
    set_or_check(options, "input_size", weights.meta["min_size"])


MaxVit_T_Weights, maxvit_t = model("maxvit_t", "MaxVit_T_Weights", _maxvit_t, _fit)
