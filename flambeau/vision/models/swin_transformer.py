"""Swin Transformer (Liu et al., arXiv 2103.14030) and its version 2 (arXiv 2111.09883)."""

import math
from functools import partial

import flambeau
from flambeau import fx, nn
from flambeau.nn import functional as F

from ..ops.misc import MLP, Permute
from ..ops.stochastic_depth import StochasticDepth
from ._api import model
from ._utils import truncated


@fx.wrap  # what depends on sizes is one step of a traced model
def _patch_merging_pad(x):
    """[..., H, W, C] to [..., H/2, W/2, 4C], odd sizes padded with zeros."""
    h, w = x.shape[-3:-1]
    x = F.pad(x, (0, 0, 0, w % 2, 0, h % 2))
    parts = [x[..., i::2, j::2, :] for j in (0, 1) for i in (0, 1)]
    return flambeau.cat(parts, -1)


class PatchMerging(nn.Module):
    """Half the size, twice the channels: norm, then a linear layer."""

    def __init__(self, dim, norm_layer=nn.LayerNorm):
        super().__init__()
        self.dim = dim
        self.reduction = nn.Linear(4 * dim, 2 * dim, bias=False)
        self.norm = norm_layer(4 * dim)

    def forward(self, x):
        return self.reduction(self.norm(_patch_merging_pad(x)))


class PatchMergingV2(nn.Module):
    """Half the size, twice the channels: a linear layer, then norm."""

    def __init__(self, dim, norm_layer=nn.LayerNorm):
        super().__init__()
        self.dim = dim
        self.reduction = nn.Linear(4 * dim, 2 * dim, bias=False)
        self.norm = norm_layer(2 * dim)

    def forward(self, x):
        return self.norm(self.reduction(_patch_merging_pad(x)))


def to_windows(x, window):
    """[N, *sizes, C] to [N * windows, tokens of a window, C]; sizes are multiples of window's."""
    n, *sizes, c = x.shape
    split = [v for size, w in zip(sizes, window, strict=True) for v in (size // w, w)]
    d = len(window)
    x = x.reshape(n, *split, c)
    x = x.permute(0, *range(1, 2 * d, 2), *range(2, 2 * d + 1, 2), 2 * d + 1)
    return x.reshape(-1, math.prod(window), c)


def from_windows(x, window, sizes):
    """The inverse of `to_windows`."""
    c, d = x.shape[-1], len(window)
    counts = [size // w for size, w in zip(sizes, window, strict=True)]
    x = x.reshape(-1, *counts, *window, c)
    order = [axis for i in range(d) for axis in (1 + i, 1 + d + i)]
    return x.permute(0, *order, 2 * d + 1).reshape(-1, *sizes, c)


def _shift_mask(x, sizes, window, shift):
    """[windows, tokens, tokens]: -100 between tokens that only the shift brought together."""
    region = x.new_zeros(sizes)
    for axis, (size, w, s) in enumerate(zip(sizes, window, shift, strict=True)):
        place = flambeau.arange(size, device=x.device)
        part = (place >= size - w).to(x.dtype) + (place >= size - s).to(x.dtype)
        shape = [1] * len(sizes)
        shape[axis] = size
        region = region * 3 + part.reshape(shape)
    region = to_windows(region[None, ..., None], window).squeeze(-1)
    apart = region.unsqueeze(1) != region.unsqueeze(2)
    return x.new_zeros(apart.shape).masked_fill(apart, -100.0)


@fx.wrap
def shifted_window_attention(
    input,
    qkv_weight,
    proj_weight,
    relative_position_bias,
    window_size,
    num_heads,
    shift_size,
    attention_dropout=0.0,
    dropout=0.0,
    qkv_bias=None,
    proj_bias=None,
    logit_scale=None,
    training=True,
):
    """Attention within shifted windows of [N, *sizes, C], over any number of sizes."""
    sizes, dims = input.shape[1:-1], len(window_size)
    pads = [(w - size % w) % w for size, w in zip(sizes, window_size, strict=True)]
    x = F.pad(input, (0, 0, *(v for p in reversed(pads) for v in (0, p))))
    padded = x.shape[1:-1]
    shift = [
        0 if w >= size else s for w, size, s in zip(window_size, padded, shift_size, strict=True)
    ]
    axes = tuple(range(1, dims + 1))
    if sum(shift) > 0:
        x = flambeau.roll(x, [-s for s in shift], axes)
    x = to_windows(x, window_size)
    count, tokens, c = x.shape
    if logit_scale is not None and qkv_bias is not None:  # version 2: keys have no bias
        third = qkv_bias.numel() // 3
        keep = flambeau.ones_like(qkv_bias)
        keep[third : 2 * third] = 0
        qkv_bias = qkv_bias * keep
    qkv = F.linear(x, qkv_weight, qkv_bias)
    q, k, v = qkv.reshape(count, tokens, 3, num_heads, c // num_heads).permute(2, 0, 3, 1, 4)
    if logit_scale is None:
        scores = (q * (c // num_heads) ** -0.5).matmul(k.transpose(-2, -1))
    else:
        scores = F.normalize(q, dim=-1) @ F.normalize(k, dim=-1).transpose(-2, -1)
        scores = scores * flambeau.clamp(logit_scale, max=math.log(100.0)).exp()
    scores = scores + relative_position_bias
    if sum(shift) > 0:
        mask = _shift_mask(x, padded, window_size, shift)
        scores = scores.view(-1, len(mask), num_heads, tokens, tokens)
        scores = (scores + mask.unsqueeze(1)).view(-1, num_heads, tokens, tokens)
    scores = F.dropout(F.softmax(scores, dim=-1), attention_dropout, training)
    x = scores.matmul(v).transpose(1, 2).reshape(count, tokens, c)
    x = F.dropout(F.linear(x, proj_weight, proj_bias), dropout, training)
    x = from_windows(x, window_size, padded)
    if sum(shift) > 0:
        x = flambeau.roll(x, shift, axes)
    for axis, size in zip(axes, sizes, strict=True):
        x = x.narrow(axis, 0, size)
    return x.contiguous()


def relative_positions(window_size):
    """Index of each pair of tokens into a table of offsets: prod(w)^2 numbers, flat."""
    axes = [flambeau.arange(w) for w in window_size]
    places = flambeau.stack([g.flatten() for g in flambeau.meshgrid(*axes, indexing="ij")])
    apart = places[:, :, None] - places[:, None, :]
    index = 0
    for w, distance in zip(window_size, apart, strict=True):
        index = index * (2 * w - 1) + distance + w - 1
    return index.flatten()


@fx.wrap
def _get_relative_position_bias(table, index, window_size):
    """[1, heads, tokens, tokens] of the first tokens, as many as the window has."""
    tokens, side = math.prod(window_size), math.isqrt(index.numel())
    index = index.reshape(side, side)[:tokens, :tokens].reshape(-1)
    return table[index].view(tokens, tokens, -1).permute(2, 0, 1).contiguous().unsqueeze(0)


class ShiftedWindowAttention(nn.Module):
    """Attention in windows with a bias for each offset between tokens."""

    def __init__(
        self,
        dim,
        window_size,
        shift_size,
        num_heads,
        qkv_bias=True,
        proj_bias=True,
        attention_dropout=0.0,
        dropout=0.0,
    ):
        super().__init__()
        if not len(window_size) == len(shift_size) == self.dimensions:
            raise ValueError(f"window_size and shift_size must be of length {self.dimensions}")
        self.window_size = window_size
        self.shift_size = shift_size
        self.num_heads = num_heads
        self.attention_dropout = attention_dropout
        self.dropout = dropout
        self.qkv = nn.Linear(dim, dim * 3, bias=qkv_bias)
        self.proj = nn.Linear(dim, dim, bias=proj_bias)
        self.define_relative_position_bias_table()
        self.define_relative_position_index()

    dimensions = 2

    def define_relative_position_bias_table(self):
        offsets = math.prod(2 * w - 1 for w in self.window_size)
        self.relative_position_bias_table = nn.Parameter(flambeau.zeros(offsets, self.num_heads))
        truncated(self.relative_position_bias_table)

    def define_relative_position_index(self):
        self.register_buffer("relative_position_index", relative_positions(self.window_size))

    def _look_up(self, table, window_size=None):
        window_size = self.window_size if window_size is None else window_size
        return _get_relative_position_bias(table, self.relative_position_index, window_size)

    def get_relative_position_bias(self):
        """[1, heads, tokens, tokens]"""
        return self._look_up(self.relative_position_bias_table)

    def forward(self, x):
        return shifted_window_attention(
            x,
            self.qkv.weight,
            self.proj.weight,
            self.get_relative_position_bias(),
            self.window_size,
            self.num_heads,
            shift_size=self.shift_size,
            attention_dropout=self.attention_dropout,
            dropout=self.dropout,
            qkv_bias=self.qkv.bias,
            proj_bias=self.proj.bias,
            logit_scale=getattr(self, "logit_scale", None),
            training=self.training,
        )


class ShiftedWindowAttentionV2(ShiftedWindowAttention):
    """Cosine attention; a small network makes the biases from the offsets' logarithms."""

    def __init__(
        self,
        dim,
        window_size,
        shift_size,
        num_heads,
        qkv_bias=True,
        proj_bias=True,
        attention_dropout=0.0,
        dropout=0.0,
    ):
        super().__init__(
            dim, window_size, shift_size, num_heads,
            qkv_bias, proj_bias, attention_dropout, dropout,
        )  # fmt: skip
        self.logit_scale = nn.Parameter(flambeau.log(10 * flambeau.ones((num_heads, 1, 1))))
        self.cpb_mlp = nn.Sequential(
            nn.Linear(2, 512), nn.ReLU(inplace=True), nn.Linear(512, num_heads, bias=False)
        )
        if qkv_bias:
            third = self.qkv.bias.numel() // 3
            self.qkv.bias[third : 2 * third].data.zero_()

    def define_relative_position_bias_table(self):
        axes = [
            flambeau.arange(-(w - 1), w, dtype=flambeau.float32) / (w - 1) * 8
            for w in self.window_size
        ]
        table = flambeau.stack(flambeau.meshgrid(*axes, indexing="ij"), -1).unsqueeze(0)
        table = table.sign() * flambeau.log2(table.abs() + 1.0) / 3.0
        self.register_buffer("relative_coords_table", table)

    def get_relative_position_bias(self):
        table = self.cpb_mlp(self.relative_coords_table).view(-1, self.num_heads)
        return 16 * flambeau.sigmoid(self._look_up(table))


class SwinTransformerBlock(nn.Module):
    """Norm and attention, norm and MLP, each beside the identity."""

    def __init__(
        self,
        dim,
        num_heads,
        window_size,
        shift_size,
        mlp_ratio=4.0,
        dropout=0.0,
        attention_dropout=0.0,
        stochastic_depth_prob=0.0,
        norm_layer=nn.LayerNorm,
        attn_layer=ShiftedWindowAttention,
    ):
        super().__init__()
        self.norm1 = norm_layer(dim)
        self.attn = attn_layer(
            dim,
            window_size,
            shift_size,
            num_heads,
            attention_dropout=attention_dropout,
            dropout=dropout,
        )
        self.stochastic_depth = StochasticDepth(stochastic_depth_prob, "row")
        self.norm2 = norm_layer(dim)
        self.mlp = MLP(
            dim,
            [int(dim * mlp_ratio), dim],
            activation_layer=nn.GELU,
            inplace=None,
            dropout=dropout,
        )
        for layer in self.mlp.modules():
            if isinstance(layer, nn.Linear):
                nn.init.xavier_uniform_(layer.weight)
                nn.init.normal_(layer.bias, std=1e-6)

    def forward(self, x):
        x = x + self.stochastic_depth(self.attn(self.norm1(x)))
        return x + self.stochastic_depth(self.mlp(self.norm2(x)))


class SwinTransformerBlockV2(SwinTransformerBlock):
    """Norms after attention and MLP."""

    def __init__(
        self,
        dim,
        num_heads,
        window_size,
        shift_size,
        mlp_ratio=4.0,
        dropout=0.0,
        attention_dropout=0.0,
        stochastic_depth_prob=0.0,
        norm_layer=nn.LayerNorm,
        attn_layer=ShiftedWindowAttentionV2,
    ):
        super().__init__(
            dim, num_heads, window_size, shift_size, mlp_ratio, dropout, attention_dropout,
            stochastic_depth_prob, norm_layer, attn_layer,
        )  # fmt: skip

    def forward(self, x):
        x = x + self.stochastic_depth(self.norm1(self.attn(x)))
        return x + self.stochastic_depth(self.norm2(self.mlp(x)))


def swin_stages(net_shape, window_size, drop, make_block, make_merging):
    """The stages of blocks and what merges patches between them, as a list of layers."""
    embed_dim, depths, num_heads = net_shape
    layers, total, done = [], sum(depths), 0
    for i, (depth, heads) in enumerate(zip(depths, num_heads, strict=True)):
        dim, stage = embed_dim * 2**i, []
        for j in range(depth):
            stage.append(
                make_block(
                    dim,
                    heads,
                    window_size=window_size,
                    shift_size=[0 if j % 2 == 0 else w // 2 for w in window_size],
                    stochastic_depth_prob=drop * float(done) / (total - 1),
                )
            )
            done += 1
        layers.append(nn.Sequential(*stage))
        if i < len(depths) - 1:
            layers.append(make_merging(dim))
    return layers


def init_linear(net):
    for layer in net.modules():
        if isinstance(layer, nn.Linear):
            truncated(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


class SwinTransformer(nn.Module):
    """Patches, stages of attention in windows, a linear layer."""

    def __init__(
        self,
        patch_size,
        embed_dim,
        depths,
        num_heads,
        window_size,
        mlp_ratio=4.0,
        dropout=0.0,
        attention_dropout=0.0,
        stochastic_depth_prob=0.1,
        num_classes=1000,
        norm_layer=None,
        block=None,
        downsample_layer=PatchMerging,
    ):
        super().__init__()
        self.num_classes = num_classes
        norm_layer = norm_layer or partial(nn.LayerNorm, eps=1e-5)
        patches = nn.Sequential(
            nn.Conv2d(3, embed_dim, tuple(patch_size), tuple(patch_size)),
            Permute([0, 2, 3, 1]),
            norm_layer(embed_dim),
        )
        make_block = partial(
            block or SwinTransformerBlock,
            mlp_ratio=mlp_ratio,
            dropout=dropout,
            attention_dropout=attention_dropout,
            norm_layer=norm_layer,
        )
        stages = swin_stages(
            (embed_dim, depths, num_heads),
            window_size,
            stochastic_depth_prob,
            make_block,
            lambda dim: downsample_layer(dim, norm_layer),
        )
        self.features = nn.Sequential(patches, *stages)
        width = embed_dim * 2 ** (len(depths) - 1)
        self.norm = norm_layer(width)
        self.permute = Permute([0, 3, 1, 2])
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten(1)
        self.head = nn.Linear(width, num_classes)
        init_linear(self)

    def forward(self, x):
        x = self.permute(self.norm(self.features(x)))
        return self.head(self.flatten(self.avgpool(x)))


def _swin(version, embed_dim, depths, num_heads, drop, **options):
    if version == 2:
        options.setdefault("block", SwinTransformerBlockV2)
        options.setdefault("downsample_layer", PatchMergingV2)
    options.setdefault("stochastic_depth_prob", drop)
    window = [8, 8] if version == 2 else [7, 7]
    return SwinTransformer([4, 4], embed_dim, depths, num_heads, window, **options)


def _model(version, kind, *shape):
    infix = "_v2" if version == 2 else ""
    return model(
        f"swin{infix}_{kind}",
        f"Swin{infix.upper()}_{kind.upper()}_Weights",
        partial(_swin, version, *shape),
    )


Swin_T_Weights, swin_t = _model(1, "t", 96, [2, 2, 6, 2], [3, 6, 12, 24], 0.2)
Swin_S_Weights, swin_s = _model(1, "s", 96, [2, 2, 18, 2], [3, 6, 12, 24], 0.3)
Swin_B_Weights, swin_b = _model(1, "b", 128, [2, 2, 18, 2], [4, 8, 16, 32], 0.5)
Swin_V2_T_Weights, swin_v2_t = _model(2, "t", 96, [2, 2, 6, 2], [3, 6, 12, 24], 0.2)
Swin_V2_S_Weights, swin_v2_s = _model(2, "s", 96, [2, 2, 18, 2], [3, 6, 12, 24], 0.3)
Swin_V2_B_Weights, swin_v2_b = _model(2, "b", 128, [2, 2, 18, 2], [4, 8, 16, 32], 0.5)

__all__ = ["SwinTransformer"] + [
    name for name in globals() if name.lower().startswith(("swin_t_", "swin_s_", "swin_b_"))
]
__all__ += ["Swin_V2_B_Weights", "Swin_V2_S_Weights", "Swin_V2_T_Weights"]
__all__ += ["swin_b", "swin_s", "swin_t", "swin_v2_b", "swin_v2_s", "swin_v2_t"]
