"""Video Swin Transformer (Liu et al., arXiv 2106.13230)."""

import math
from functools import partial

from flambeau import fx, nn
from flambeau.nn import functional as F

from .._api import model
from ..swin_transformer import (
    PatchMerging,
    ShiftedWindowAttention,
    SwinTransformerBlock,
    init_linear,
    relative_positions,
    shifted_window_attention,
    swin_stages,
)

fx.wrap("shifted_window_attention")


@fx.wrap  # what depends on sizes is one step of a traced model
def _window_and_shift(x, window_size, shift_size):
    """A window is no larger than the video, and a whole one is not shifted."""
    sizes = x.shape[1:4]
    window = [min(w, size) for w, size in zip(window_size, sizes, strict=True)]
    shift = [
        0 if size <= w else s for w, s, size in zip(window_size, shift_size, sizes, strict=True)
    ]
    return window, shift


@fx.wrap
def _pad_to_patches(x, patch_size):
    pads = [-size % p for size, p in zip(x.shape[2:], patch_size, strict=True)]
    return F.pad(x, [v for pad in reversed(pads) for v in (0, pad)])


class ShiftedWindowAttention3d(ShiftedWindowAttention):
    """Attention in windows over time, height and width."""

    dimensions = 3

    def define_relative_position_index(self):
        tokens = math.prod(self.window_size)
        index = relative_positions(self.window_size).view(tokens, tokens)
        self.register_buffer("relative_position_index", index)

    def get_relative_position_bias(self, window_size):
        return self._look_up(self.relative_position_bias_table, window_size)

    def forward(self, x):
        window, shift = _window_and_shift(x, self.window_size, self.shift_size)
        return shifted_window_attention(
            x,
            self.qkv.weight,
            self.proj.weight,
            self.get_relative_position_bias(window),
            window,
            self.num_heads,
            shift_size=shift,
            attention_dropout=self.attention_dropout,
            dropout=self.dropout,
            qkv_bias=self.qkv.bias,
            proj_bias=self.proj.bias,
            training=self.training,
        )


class PatchEmbed3d(nn.Module):
    """[N, C, T, H, W] to patches [N, T', H', W', embed_dim]."""

    def __init__(self, patch_size, in_channels=3, embed_dim=96, norm_layer=None):
        super().__init__()
        self.tuple_patch_size = tuple(patch_size)
        self.proj = nn.Conv3d(in_channels, embed_dim, self.tuple_patch_size, self.tuple_patch_size)
        self.norm = nn.Identity() if norm_layer is None else norm_layer(embed_dim)

    def forward(self, x):
        x = _pad_to_patches(x, self.tuple_patch_size)
        return self.norm(self.proj(x).permute(0, 2, 3, 4, 1))


class SwinTransformer3d(nn.Module):
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
        num_classes=400,
        norm_layer=None,
        block=None,
        downsample_layer=PatchMerging,
        patch_embed=None,
    ):
        super().__init__()
        self.num_classes = num_classes
        norm_layer = norm_layer or partial(nn.LayerNorm, eps=1e-5)
        self.patch_embed = (patch_embed or PatchEmbed3d)(
            patch_size=patch_size, embed_dim=embed_dim, norm_layer=norm_layer
        )
        self.pos_drop = nn.Dropout(p=dropout)
        make_block = partial(
            block or partial(SwinTransformerBlock, attn_layer=ShiftedWindowAttention3d),
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
        self.features = nn.Sequential(*stages)
        self.num_features = embed_dim * 2 ** (len(depths) - 1)
        self.norm = norm_layer(self.num_features)
        self.avgpool = nn.AdaptiveAvgPool3d(1)
        self.head = nn.Linear(self.num_features, num_classes)
        init_linear(self)

    def forward(self, x):
        x = self.norm(self.features(self.pos_drop(self.patch_embed(x))))
        return self.head(self.avgpool(x.permute(0, 4, 1, 2, 3)).flatten(1))


def _model(kind, embed_dim, depths, num_heads):
    make = partial(
        SwinTransformer3d,
        patch_size=[2, 4, 4],
        embed_dim=embed_dim,
        depths=depths,
        num_heads=num_heads,
        window_size=[8, 7, 7],
        stochastic_depth_prob=0.1,
    )
    return model(f"swin3d_{kind}", f"Swin3D_{kind.upper()}_Weights", make)


Swin3D_T_Weights, swin3d_t = _model("t", 96, [2, 2, 6, 2], [3, 6, 12, 24])
Swin3D_S_Weights, swin3d_s = _model("s", 96, [2, 2, 18, 2], [3, 6, 12, 24])
Swin3D_B_Weights, swin3d_b = _model("b", 128, [2, 2, 18, 2], [4, 8, 16, 32])

__all__ = [
    "SwinTransformer3d",
    *(name for name in list(globals()) if name.lower().startswith("swin3d_")),
]
