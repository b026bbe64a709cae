"""Vision Transformer (Dosovitskiy et al., arXiv 2010.11929)."""

import math
from collections import OrderedDict, namedtuple
from functools import partial

import flambeau
from flambeau import nn

from ..ops.misc import MLP, Conv2dNormActivation
from ._api import fit_classes, model, set_or_check

ConvStemConfig = namedtuple(
    "ConvStemConfig",
    ["out_channels", "kernel_size", "stride", "norm_layer", "activation_layer"],
    defaults=[nn.BatchNorm2d, nn.ReLU],
)

_NORM = partial(nn.LayerNorm, eps=1e-6)


class MLPBlock(MLP):
    """Two linear layers with GELU."""

    _version = 2

    def __init__(self, in_dim, mlp_dim, dropout):
        super().__init__(
            in_dim, [mlp_dim, in_dim], activation_layer=nn.GELU, inplace=None, dropout=dropout
        )
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                nn.init.xavier_uniform_(layer.weight)
                nn.init.normal_(layer.bias, std=1e-6)

    def _load_from_state_dict(self, state_dict, prefix, local_metadata, *args):
        if local_metadata.get("version", None) in (None, 1):  # the layers' names then
            for old, new in (("linear_1", "0"), ("linear_2", "3")):
                for kind in ("weight", "bias"):
                    value = state_dict.pop(f"{prefix}{old}.{kind}", None)
                    if value is not None:
                        state_dict[f"{prefix}{new}.{kind}"] = value
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *args)


def _check_sequence(x):
    if isinstance(x, flambeau.Tensor) and x.dim() != 3:  # fx traces with something else
        raise ValueError(f"Expected (batch_size, seq_length, hidden_dim) got {tuple(x.shape)}")


class EncoderBlock(nn.Module):
    """Norm and attention, norm and MLP, each beside the identity."""

    def __init__(
        self,
        num_heads,
        hidden_dim,
        mlp_dim,
        dropout,
        attention_dropout,
        norm_layer=_NORM,
    ):
        super().__init__()
        self.num_heads = num_heads
        self.ln_1 = norm_layer(hidden_dim)
        self.self_attention = nn.MultiheadAttention(
            hidden_dim, num_heads, dropout=attention_dropout, batch_first=True
        )
        self.dropout = nn.Dropout(dropout)
        self.ln_2 = norm_layer(hidden_dim)
        self.mlp = MLPBlock(hidden_dim, mlp_dim, dropout)

    def forward(self, input):
        _check_sequence(input)
        x = self.ln_1(input)
        x = self.self_attention(x, x, x, need_weights=False)[0]
        x = self.dropout(x) + input
        return x + self.mlp(self.ln_2(x))


class Encoder(nn.Module):
    """Positions added, then the blocks."""

    def __init__(
        self,
        seq_length,
        num_layers,
        num_heads,
        hidden_dim,
        mlp_dim,
        dropout,
        attention_dropout,
        norm_layer=_NORM,
    ):
        super().__init__()
        self.pos_embedding = nn.Parameter(
            flambeau.empty(1, seq_length, hidden_dim).normal_(std=0.02)
        )
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.Sequential(
            OrderedDict(
                (
                    f"encoder_layer_{i}",
                    EncoderBlock(
                        num_heads, hidden_dim, mlp_dim, dropout, attention_dropout, norm_layer
                    ),
                )
                for i in range(num_layers)
            )
        )
        self.ln = norm_layer(hidden_dim)

    def forward(self, input):
        _check_sequence(input)
        return self.ln(self.layers(self.dropout(input + self.pos_embedding)))


def _init_by_fan_in(conv):
    fan_in = conv.in_channels * conv.kernel_size[0] * conv.kernel_size[1]
    nn.init.trunc_normal_(conv.weight, std=math.sqrt(1 / fan_in))
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)


class VisionTransformer(nn.Module):
    """Patches as a sequence behind a class token, through a transformer's encoder."""

    def __init__(
        self,
        image_size,
        patch_size,
        num_layers,
        num_heads,
        hidden_dim,
        mlp_dim,
        dropout=0.0,
        attention_dropout=0.0,
        num_classes=1000,
        representation_size=None,
        norm_layer=_NORM,
        conv_stem_configs=None,
    ):
        super().__init__()
        if image_size % patch_size != 0:
            raise ValueError("Input shape indivisible by patch size!")
        self.image_size = image_size
        self.patch_size = patch_size
        self.hidden_dim = hidden_dim
        self.mlp_dim = mlp_dim
        self.attention_dropout = attention_dropout
        self.dropout = dropout
        self.num_classes = num_classes
        self.representation_size = representation_size
        self.norm_layer = norm_layer
        if conv_stem_configs is None:
            self.conv_proj = nn.Conv2d(3, hidden_dim, patch_size, patch_size)
        else:
            self.conv_proj = _conv_stem(conv_stem_configs, hidden_dim)
        self.seq_length = (image_size // patch_size) ** 2 + 1
        self.class_token = nn.Parameter(flambeau.zeros(1, 1, hidden_dim))
        self.encoder = Encoder(
            self.seq_length, num_layers, num_heads, hidden_dim, mlp_dim,
            dropout, attention_dropout, norm_layer,
        )  # fmt: skip
        heads = OrderedDict()
        if representation_size is None:
            heads["head"] = nn.Linear(hidden_dim, num_classes)
        else:
            heads["pre_logits"] = nn.Linear(hidden_dim, representation_size)
            heads["act"] = nn.Tanh()
            heads["head"] = nn.Linear(representation_size, num_classes)
        self.heads = nn.Sequential(heads)
        if isinstance(self.conv_proj, nn.Conv2d):
            _init_by_fan_in(self.conv_proj)
        else:
            last = self.conv_proj.conv_last
            nn.init.normal_(last.weight, 0.0, math.sqrt(2.0 / last.out_channels))
            nn.init.zeros_(last.bias)
        if representation_size is not None:
            pre = self.heads.pre_logits
            nn.init.trunc_normal_(pre.weight, std=math.sqrt(1 / pre.in_features))
            nn.init.zeros_(pre.bias)
        nn.init.zeros_(self.heads.head.weight)
        nn.init.zeros_(self.heads.head.bias)

    def _process_input(self, x):
        """[N, 3, H, W] to patches [N, H / p * W / p, hidden_dim]."""
        wanted = (self.image_size, self.image_size)
        if isinstance(x, flambeau.Tensor) and x.shape[2:] != wanted:
            raise ValueError(f"Wrong image size! Expected {wanted} but got {tuple(x.shape[2:])}!")
        return self.conv_proj(x).flatten(2).permute(0, 2, 1)

    def forward(self, x):
        x = self._process_input(x)
        token = self.class_token.expand_as(x[:, :1])
        x = self.encoder(flambeau.cat([token, x], dim=1))
        return self.heads(x[:, 0])


def _conv_stem(configs, hidden_dim):
    layers, channels = nn.Sequential(), 3
    for i, config in enumerate(configs):
        layers.add_module(
            f"conv_bn_relu_{i}",
            Conv2dNormActivation(
                channels,
                config.out_channels,
                config.kernel_size,
                config.stride,
                norm_layer=config.norm_layer,
                activation_layer=config.activation_layer,
            ),
        )
        channels = config.out_channels
    layers.add_module("conv_last", nn.Conv2d(channels, hidden_dim, 1))
    return layers


def _vit(*shape, **options):
    options.setdefault("image_size", 224)
    patch_size, num_layers, num_heads, hidden_dim, mlp_dim = shape
    return VisionTransformer(
        patch_size=patch_size,
        num_layers=num_layers,
        num_heads=num_heads,
        hidden_dim=hidden_dim,
        mlp_dim=mlp_dim,
        **options,
    )


def _fit(weights, options):
    fit_classes(weights, options)
    set_or_check(options, "image_size", weights.meta["min_size"][0])


def _model(kind, *shape):
    return model(f"vit_{kind.lower()}", f"ViT_{kind}_Weights", partial(_vit, *shape), _fit)


# Patch, layers, heads, width, width of the MLP (table 1).
ViT_B_16_Weights, vit_b_16 = _model("B_16", 16, 12, 12, 768, 3072)
ViT_B_32_Weights, vit_b_32 = _model("B_32", 32, 12, 12, 768, 3072)
ViT_L_16_Weights, vit_l_16 = _model("L_16", 16, 24, 16, 1024, 4096)
ViT_L_32_Weights, vit_l_32 = _model("L_32", 32, 24, 16, 1024, 4096)
ViT_H_14_Weights, vit_h_14 = _model("H_14", 14, 32, 16, 1280, 5120)


def interpolate_embeddings(
    image_size, patch_size, model_state, interpolation_mode="bicubic", reset_heads=False
):
    """A state whose positions are resized for images of another size."""
    embedding = model_state["encoder.pos_embedding"]
    n, length, width = embedding.shape
    if n != 1:
        raise ValueError(f"Unexpected position embedding shape: {tuple(embedding.shape)}")
    side = image_size // patch_size
    if side * side + 1 == length:
        return model_state
    old = math.isqrt(length - 1)
    if old * old != length - 1:
        raise ValueError(f"the positions of {length - 1} patches are no square")
    grid = embedding[:, 1:].permute(0, 2, 1).reshape(1, width, old, old)
    grid = nn.functional.interpolate(grid, size=side, mode=interpolation_mode, align_corners=True)
    grid = grid.reshape(1, width, side * side).permute(0, 2, 1)
    model_state["encoder.pos_embedding"] = flambeau.cat([embedding[:, :1], grid], dim=1)
    if reset_heads:
        return OrderedDict((k, v) for k, v in model_state.items() if not k.startswith("heads"))
    return model_state


__all__ = [
    "VisionTransformer",
    "interpolate_embeddings",
    *(name for name in list(globals()) if name.lower().startswith("vit_")),
]
