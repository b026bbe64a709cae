"""Multiscale Vision Transformers (Fan et al., arXiv 2104.11227; Li et al., arXiv 2112.01526)."""

import math
from functools import partial

import flambeau
from flambeau import fx, nn

from ...ops.misc import MLP
from ...ops.stochastic_depth import StochasticDepth
from .._api import fit_classes, model, set_or_check
from .._utils import truncated

__all__ = ["MViT", "MViT_V1_B_Weights", "MViT_V2_S_Weights", "mvit_v1_b", "mvit_v2_s"]


class MSBlockConfig:
    """Heads, channels, and the kernels and strides that pool queries and keys of a block."""

    def __init__(
        self,
        num_heads,
        input_channels,
        output_channels,
        kernel_q,
        kernel_kv,
        stride_q,
        stride_kv,
    ):
        self.num_heads = num_heads
        self.input_channels = input_channels
        self.output_channels = output_channels
        self.kernel_q = kernel_q
        self.kernel_kv = kernel_kv
        self.stride_q = stride_q
        self.stride_kv = stride_kv


# What depends on sizes is one step of a traced model.
@fx.wrap
def _to_video(x, thw):
    """Tokens [..., 1 + T * H * W, C] without the first as [N, C, T, H, W]."""
    return x[..., 1:, :].transpose(-2, -1).reshape(-1, x.shape[-1], *thw)


@fx.wrap
def _to_tokens(video, x):
    """The inverse, behind the first of the tokens x."""
    made = video.reshape(*x.shape[:-2], x.shape[-1], -1).transpose(-2, -1)
    return flambeau.cat((x[..., :1, :], made), dim=-2)


@fx.wrap
def _extent(video):
    return tuple(video.shape[2:])


class Pool(nn.Module):
    """Pools tokens as a video [T, H, W]; the class token, which is first, goes by."""

    def __init__(self, pool, norm=None):
        super().__init__()
        self.pool = pool
        self.norm_act = nn.Sequential(*([] if norm is None else [norm]))

    def forward(self, x, thw):
        video = self.pool(_to_video(x, thw))
        return self.norm_act(_to_tokens(video, x)), _extent(video)


def _offsets(table, q_size, k_size):
    """[q, k, C]: the table's row for the distance of each query from each key."""
    ratio_q, ratio_k = max(k_size / q_size, 1.0), max(q_size / k_size, 1.0)
    q = flambeau.arange(q_size, device=table.device)[:, None] * ratio_q
    k = flambeau.arange(k_size, device=table.device)[None] * ratio_k
    return table[(q - k + (k_size - 1) * ratio_k).long()]


@fx.wrap
def _add_relative(scores, q, q_thw, k_thw, tables):
    """Scores [N, heads, q tokens, k tokens] with what tables by time, height and width add."""
    n, heads, _, c = q.shape
    q = q[:, :, 1:].reshape(n, heads, *q_thw, c)
    time, height, width = (
        _offsets(table, size, k_size)
        for table, size, k_size in zip(tables, q_thw, k_thw, strict=True)
    )
    by_h = flambeau.einsum("bythwc,hkc->bythwk", q, height)[:, :, :, :, :, None, :, None]
    by_w = flambeau.einsum("bythwc,wkc->bythwk", q, width)[:, :, :, :, :, None, None, :]
    by_t = flambeau.einsum("bythwc,tkc->bythwk", q, time)[:, :, :, :, :, :, None, None]
    total = (by_h + by_w + by_t).reshape(n, heads, math.prod(q_thw), math.prod(k_thw))
    return scores + nn.functional.pad(total, (1, 0, 1, 0))


class MultiscaleAttention(nn.Module):
    """Attention between pooled queries and pooled keys and values."""

    def __init__(
        self,
        input_size,
        embed_dim,
        output_dim,
        num_heads,
        kernel_q,
        kernel_kv,
        stride_q,
        stride_kv,
        residual_pool,
        residual_with_cls_embed,
        rel_pos_embed,
        dropout=0.0,
        norm_layer=nn.LayerNorm,
    ):
        super().__init__()
        self.output_dim = output_dim
        self.num_heads = num_heads
        self.head_dim = output_dim // num_heads
        self.scaler = 1.0 / math.sqrt(self.head_dim)
        self.residual_pool = residual_pool
        self.residual_with_cls_embed = residual_with_cls_embed
        self.qkv = nn.Linear(embed_dim, 3 * output_dim)
        project = [nn.Linear(output_dim, output_dim)]
        if dropout > 0.0:
            project.append(nn.Dropout(dropout, inplace=True))
        self.project = nn.Sequential(*project)
        self.pool_q = self._pool(kernel_q, stride_q, norm_layer)
        self.pool_k = self._pool(kernel_kv, stride_kv, norm_layer)
        self.pool_v = self._pool(kernel_kv, stride_kv, norm_layer)
        self.rel_pos_h = self.rel_pos_w = self.rel_pos_t = None
        if rel_pos_embed:
            _, *spatial = (
                max(size // (q or 1), size // (kv or 1))
                for size, q, kv in zip(
                    input_size, stride_q or [1] * 3, stride_kv or [1] * 3, strict=True
                )
            )
            space, time = 2 * max(spatial) - 1, 2 * input_size[0] - 1
            self.rel_pos_h = nn.Parameter(flambeau.zeros(space, self.head_dim))
            self.rel_pos_w = nn.Parameter(flambeau.zeros(space, self.head_dim))
            self.rel_pos_t = nn.Parameter(flambeau.zeros(time, self.head_dim))
            for table in (self.rel_pos_h, self.rel_pos_w, self.rel_pos_t):
                truncated(table)

    def _pool(self, kernel, stride, norm_layer):
        if math.prod(kernel) <= 1 and math.prod(stride) <= 1:
            return None
        conv = nn.Conv3d(
            self.head_dim,
            self.head_dim,
            tuple(kernel),
            tuple(stride),
            tuple(k // 2 for k in kernel),
            groups=self.head_dim,
            bias=False,
        )
        return Pool(conv, norm_layer(self.head_dim))

    def forward(self, x, thw):
        n, tokens, _ = x.shape
        qkv = self.qkv(x).reshape(n, tokens, 3, self.num_heads, self.head_dim)
        q, k, v = qkv.transpose(1, 3).unbind(dim=2)
        k_thw = q_thw = thw
        if self.pool_k is not None:
            k, k_thw = self.pool_k(k, thw)
            v = self.pool_v(v, thw)[0]
        if self.pool_q is not None:
            q, q_thw = self.pool_q(q, thw)
        scores = (self.scaler * q) @ k.transpose(2, 3)
        if self.rel_pos_h is not None:
            tables = (self.rel_pos_t, self.rel_pos_h, self.rel_pos_w)
            scores = _add_relative(scores, q, q_thw, k_thw, tables)
        x = scores.softmax(dim=-1) @ v
        if self.residual_pool:
            if self.residual_with_cls_embed:
                x = x + q
            else:
                x = flambeau.cat((x[:, :, :1], x[:, :, 1:] + q[:, :, 1:]), dim=2)
        x = x.transpose(1, 2).reshape(n, -1, self.output_dim)
        return self.project(x), q_thw


class MultiscaleBlock(nn.Module):
    """Attention and an MLP; the channels grow in the one or the other."""

    def __init__(
        self,
        input_size,
        cnf,
        residual_pool,
        residual_with_cls_embed,
        rel_pos_embed,
        proj_after_attn,
        dropout=0.0,
        stochastic_depth_prob=0.0,
        norm_layer=nn.LayerNorm,
    ):
        super().__init__()
        self.proj_after_attn = proj_after_attn
        self.pool_skip = None
        if math.prod(cnf.stride_q) > 1:
            kernel = [s + 1 if s > 1 else s for s in cnf.stride_q]
            padding = [k // 2 for k in kernel]
            self.pool_skip = Pool(nn.MaxPool3d(kernel, cnf.stride_q, padding))
        width = cnf.output_channels if proj_after_attn else cnf.input_channels
        self.norm1 = norm_layer(cnf.input_channels)
        self.norm2 = norm_layer(width)
        self.needs_transposal = isinstance(self.norm1, nn.BatchNorm1d)
        self.attn = MultiscaleAttention(
            input_size,
            cnf.input_channels,
            width,
            cnf.num_heads,
            cnf.kernel_q,
            cnf.kernel_kv,
            cnf.stride_q,
            cnf.stride_kv,
            residual_pool,
            residual_with_cls_embed,
            rel_pos_embed,
            dropout,
            norm_layer,
        )
        self.mlp = MLP(
            width,
            [4 * width, cnf.output_channels],
            activation_layer=nn.GELU,
            dropout=dropout,
            inplace=None,
        )
        self.stochastic_depth = StochasticDepth(stochastic_depth_prob, "row")
        self.project = None
        if cnf.input_channels != cnf.output_channels:
            self.project = nn.Linear(cnf.input_channels, cnf.output_channels)

    def _norm(self, norm, x):
        return norm(x.transpose(1, 2)).transpose(1, 2) if self.needs_transposal else norm(x)

    def forward(self, x, thw):
        normed = self._norm(self.norm1, x)
        attended, new_thw = self.attn(normed, thw)
        if self.project is not None and self.proj_after_attn:
            x = self.project(normed)
        if self.pool_skip is not None:
            x = self.pool_skip(x, thw)[0]
        x = x + self.stochastic_depth(attended)
        normed = self._norm(self.norm2, x)
        if self.project is not None and not self.proj_after_attn:
            x = self.project(normed)
        return x + self.stochastic_depth(self.mlp(normed)), new_thw


class PositionalEncoding(nn.Module):
    """The class token put first; positions added unless attention has relative ones."""

    def __init__(self, embed_size, spatial_size, temporal_size, rel_pos_embed):
        super().__init__()
        self.spatial_size = spatial_size
        self.temporal_size = temporal_size
        self.class_token = nn.Parameter(flambeau.zeros(embed_size))
        self.spatial_pos = self.temporal_pos = self.class_pos = None
        if not rel_pos_embed:
            places = spatial_size[0] * spatial_size[1]
            self.spatial_pos = nn.Parameter(flambeau.zeros(places, embed_size))
            self.temporal_pos = nn.Parameter(flambeau.zeros(temporal_size, embed_size))
            self.class_pos = nn.Parameter(flambeau.zeros(embed_size))

    def forward(self, x):
        token = self.class_token.expand(x.size(0), -1).unsqueeze(1)
        x = flambeau.cat((token, x), dim=1)
        if self.spatial_pos is None:
            return x
        places = self.spatial_pos.unsqueeze(0) + self.temporal_pos.unsqueeze(1)
        places = places.reshape(-1, x.size(2))
        return x + flambeau.cat((self.class_pos.unsqueeze(0), places), dim=0).unsqueeze(0)


@fx.wrap
def _as_video(x):
    """A picture is a video of one frame."""
    return x.unsqueeze(2) if x.dim() == 4 else x


class MViT(nn.Module):
    """Blocks that trade resolution for channels."""

    def __init__(
        self,
        spatial_size,
        temporal_size,
        block_setting,
        residual_pool,
        residual_with_cls_embed,
        rel_pos_embed,
        proj_after_attn,
        dropout=0.5,
        attention_dropout=0.0,
        stochastic_depth_prob=0.0,
        num_classes=400,
        block=None,
        norm_layer=None,
        patch_embed_kernel=(3, 7, 7),
        patch_embed_stride=(2, 4, 4),
        patch_embed_padding=(1, 3, 3),
    ):
        super().__init__()
        if len(block_setting) == 0:
            raise ValueError("The configuration parameter can't be empty.")
        norm_layer = norm_layer or partial(nn.LayerNorm, eps=1e-6)
        width = block_setting[0].input_channels
        self.conv_proj = nn.Conv3d(
            3, width, patch_embed_kernel, patch_embed_stride, patch_embed_padding
        )
        size = [
            full // stride
            for full, stride in zip(
                (temporal_size, *spatial_size), self.conv_proj.stride, strict=True
            )
        ]
        self.pos_encoding = PositionalEncoding(width, (size[1], size[2]), size[0], rel_pos_embed)
        self.blocks = nn.ModuleList()
        for i, cnf in enumerate(block_setting):
            self.blocks.append(
                (block or MultiscaleBlock)(
                    input_size=size,
                    cnf=cnf,
                    residual_pool=residual_pool,
                    residual_with_cls_embed=residual_with_cls_embed,
                    rel_pos_embed=rel_pos_embed,
                    proj_after_attn=proj_after_attn,
                    dropout=attention_dropout,
                    stochastic_depth_prob=stochastic_depth_prob
                    * i
                    / max(len(block_setting) - 1.0, 1.0),
                    norm_layer=norm_layer,
                )
            )
            if cnf.stride_q:
                size = [s // stride for s, stride in zip(size, cnf.stride_q, strict=True)]
        last = block_setting[-1].output_channels
        self.norm = norm_layer(last)
        self.head = nn.Sequential(nn.Dropout(dropout, inplace=True), nn.Linear(last, num_classes))
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                truncated(layer.weight)
                nn.init.zeros_(layer.bias)
            elif isinstance(layer, nn.LayerNorm):
                nn.init.ones_(layer.weight)
                nn.init.zeros_(layer.bias)
            elif isinstance(layer, PositionalEncoding):
                for table in layer.parameters():
                    truncated(table)

    def forward(self, x):
        x = self.conv_proj(_as_video(x)).flatten(2).transpose(1, 2)
        x = self.pos_encoding(x)
        thw = (self.pos_encoding.temporal_size, *self.pos_encoding.spatial_size)
        for block in self.blocks:
            x, thw = block(x, thw)
        return self.head(self.norm(x)[:, 0])


_HALVING = (1, 3, 14)  # blocks whose queries are pooled to half the size
_HEADS = [1, 2, 2] + [4] * 11 + [8] * 2
_STRIDES_KV = [8, 4, 4] + [2] * 11 + [1] * 2


def _settings(widths, next_widths, pool_all):
    settings = []
    for i, (heads, inp, out, kv) in enumerate(
        zip(_HEADS, widths, next_widths, _STRIDES_KV, strict=True)
    ):
        half = i in _HALVING
        kernel_q = [3, 3, 3] if half or pool_all else []
        stride_q = [1, 2, 2] if half else [1, 1, 1] if pool_all else []
        settings.append(MSBlockConfig(heads, inp, out, kernel_q, [3, 3, 3], stride_q, [1, kv, kv]))
    return settings


def _mvit(version, **options):
    if version == 1:
        widths = [96] + [192] * 2 + [384] * 11 + [768] * 2
        settings = _settings(widths, [*widths[1:], 768], pool_all=False)
    else:
        widths = [96] + [192] * 2 + [384] * 11 + [768] * 2
        settings = _settings([96, *widths[:-1]], widths, pool_all=True)
    options.setdefault("spatial_size", (224, 224))
    options.setdefault("temporal_size", 16)
    options.setdefault("stochastic_depth_prob", 0.2)
    second = version == 2
    return MViT(
        block_setting=settings,
        residual_pool=second,
        residual_with_cls_embed=False,
        rel_pos_embed=second,
        proj_after_attn=second,
        **options,
    )


def _fit(weights, options):
    fit_classes(weights, options)
    set_or_check(options, "spatial_size", weights.meta["min_size"])
    set_or_check(options, "temporal_size", weights.meta["min_temporal_size"])


MViT_V1_B_Weights, mvit_v1_b = model("mvit_v1_b", "MViT_V1_B_Weights", partial(_mvit, 1), _fit)
MViT_V2_S_Weights, mvit_v2_s = model("mvit_v2_s", "MViT_V2_S_Weights", partial(_mvit, 2), _fit)
