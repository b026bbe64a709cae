"""What `flambeau` itself has of nn.functional: the same functions, or with reductions as numbers.

>>> import flambeau as torch
>>> torch.kl_div(torch.zeros(2), torch.zeros(2), reduction=2)
tensor(0.)
"""

import flambeau as torch
import flambeau.nn.functional as F
from flambeau.nn.functional import (
    adaptive_avg_pool1d,
    bilinear,
    channel_shuffle,
    conv_tbc,
    cosine_similarity,
    hardshrink,
    native_channel_shuffle,
    pairwise_distance,
    pdist,
    pixel_shuffle,
    pixel_unshuffle,
    rms_norm,
)
from flambeau.nn.functional._reduction import REDUCTIONS

_SAMPLINGS = ("bilinear", "nearest", "bicubic")
_PADDINGS = ("zeros", "border", "reflection")
_BAGS = ("sum", "mean", "max")


def adaptive_max_pool1d(input, output_size):
    """The largest values of as many windows as the output is to have, and where they stand."""
    return F.adaptive_max_pool1d_with_indices(input, output_size)


def _addmm_activation(input, mat1, mat2, *, beta=1, alpha=1, use_gelu=False):
    """`addmm` followed by relu, or by gelu.

    >>> import flambeau as torch
    >>> x = torch.tensor([[1.0, -1.0]])
    >>> torch._addmm_activation(torch.zeros(1), x, x.T - 2)
    tensor([[2.]])
    """
    made = torch.addmm(input, mat1, mat2, beta=beta, alpha=alpha)
    return F.gelu(made) if use_gelu else F.relu(made)


def affine_grid_generator(theta, size, align_corners):
    """`nn.functional.affine_grid`."""
    return F.affine_grid(theta, list(size), align_corners)


def grid_sampler(input, grid, interpolation_mode, padding_mode, align_corners):
    """`nn.functional.grid_sample`, its modes as numbers: 0 bilinear, 1 nearest, 2 bicubic."""
    mode, padding = _SAMPLINGS[interpolation_mode], _PADDINGS[padding_mode]
    return F.grid_sample(input, grid, mode, padding, align_corners)


def grid_sampler_2d(input, grid, interpolation_mode, padding_mode, align_corners):
    """`grid_sampler` of images."""
    if input.dim() != 4:
        raise RuntimeError(f"grid_sampler_2d(): expected 4D input, got {input.dim()}D")
    return grid_sampler(input, grid, interpolation_mode, padding_mode, align_corners)


def grid_sampler_3d(input, grid, interpolation_mode, padding_mode, align_corners):
    """`grid_sampler` of volumes."""
    if input.dim() != 5:
        raise RuntimeError(f"grid_sampler_3d(): expected 5D input, got {input.dim()}D")
    return grid_sampler(input, grid, interpolation_mode, padding_mode, align_corners)


# -- normalizations ------------------------------------------------------------------------------
def batch_norm(
    input,
    weight,
    bias,
    running_mean,
    running_var,
    training,
    momentum,
    eps,
    cudnn_enabled=True,
):
    """`nn.functional.batch_norm`, in another order; `cudnn_enabled` does nothing on the CPU."""
    return F.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)


def instance_norm(
    input,
    weight,
    bias,
    running_mean,
    running_var,
    use_input_stats,
    momentum,
    eps,
    cudnn_enabled=True,
):
    """`nn.functional.instance_norm`, in another order; `cudnn_enabled` does nothing on the CPU."""
    return F.instance_norm(
        input, running_mean, running_var, weight, bias, use_input_stats, momentum, eps
    )


def layer_norm(input, normalized_shape, weight=None, bias=None, eps=1e-5, cudnn_enable=True):
    """`nn.functional.layer_norm`; `cudnn_enable` does nothing on the CPU."""
    return F.layer_norm(input, normalized_shape, weight, bias, eps)


def group_norm(input, num_groups, weight=None, bias=None, eps=1e-5, cudnn_enabled=True):
    """`nn.functional.group_norm`; `cudnn_enabled` does nothing on the CPU."""
    return F.group_norm(input, num_groups, weight, bias, eps)


def _statistics(x, dims, eps):
    """The mean and one over the standard deviation, in x's type."""
    wide = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
    variance, mean = torch.var_mean(wide, dims, correction=0)
    return mean.to(x.dtype), (variance + eps).rsqrt().to(x.dtype)


def native_batch_norm(input, weight, bias, running_mean, running_var, training, momentum, eps):
    """Batch normalization, with the mean and one over the standard deviation that it used."""
    output = F.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)
    if not training:
        return output, input.new_empty(0), input.new_empty(0)
    dims = [d for d in range(input.dim()) if d != 1]
    return output, *_statistics(input.detach(), dims, eps)


def native_layer_norm(input, normalized_shape, weight, bias, eps):
    """Layer normalization, with the mean and one over the standard deviation that it used."""
    output = F.layer_norm(input, normalized_shape, weight, bias, eps)
    dims = list(range(-len(normalized_shape), 0))
    mean, scale = _statistics(input.detach(), dims, eps)
    shape = [*input.shape[: len(dims) * -1], *[1] * len(dims)]
    return output, mean.reshape(shape), scale.reshape(shape)


def native_group_norm(input, weight, bias, N, C, HxW, group, eps):
    """Group normalization, with the mean and one over the standard deviation that it used."""
    output = F.group_norm(input, group, weight, bias, eps)
    return output, *_statistics(input.reshape(N, group, C * HxW // group), [2], eps)


def norm_except_dim(v, pow=2, dim=0):
    """The norm over all dimensions but one, with size 1 in them; `dim` -1: over all.

    >>> import flambeau as torch
    >>> torch.norm_except_dim(torch.tensor([[3.0, 4.0], [0.0, 2.0]]))
    tensor([[5.],
            [2.]])
    """
    if dim == -1:
        return torch.linalg.vector_norm(v, pow)
    others = [d for d in range(v.dim()) if d != dim % v.dim()]
    return torch.linalg.vector_norm(v, pow, others, keepdim=True) if others else v.abs()


# -- embeddings ----------------------------------------------------------------------------------
def embedding_bag(
    weight,
    indices,
    offsets,
    scale_grad_by_freq=False,
    mode=0,
    sparse=False,
    per_sample_weights=None,
    include_last_offset=False,
    padding_idx=None,
):
    """`nn.functional.embedding_bag` with its mode as a number, and what describes the bags.

    Returns the bags, the bag of every index, the size of every bag, and for mode 2 the index
    that won.
    """
    output = F.embedding_bag(
        indices,
        weight,
        offsets,
        scale_grad_by_freq=scale_grad_by_freq,
        mode=_BAGS[mode],
        sparse=sparse,
        per_sample_weights=per_sample_weights,
        include_last_offset=include_last_offset,
        padding_idx=padding_idx,
    )
    ends = torch.cat([offsets, offsets.new_tensor([indices.numel()])])
    sizes = (ends[1:] - ends[:-1])[: output.shape[0]]
    bags = torch.arange(output.shape[0], device=indices.device).repeat_interleave(sizes)
    kept = torch.ones_like(indices, dtype=torch.bool)
    if padding_idx is not None:
        kept = indices != padding_idx % weight.shape[0]
        sizes = torch.zeros_like(sizes).index_add_(0, bags, kept.long())
    winners = indices.new_empty(0)
    if mode == 2:
        winners = _winners(weight.detach(), indices, bags, kept, output.detach())
    return output, bags, sizes, winners


def _embedding_bag(
    weight,
    indices,
    offsets,
    scale_grad_by_freq=False,
    mode=0,
    sparse=False,
    per_sample_weights=None,
    include_last_offset=False,
    padding_idx=-1,
):
    """`embedding_bag` with -1 for no padding."""
    return embedding_bag(
        weight,
        indices,
        offsets,
        scale_grad_by_freq,
        mode,
        sparse,
        per_sample_weights,
        include_last_offset,
        padding_idx if padding_idx >= 0 else None,
    )


def _winners(weight, indices, bags, kept, output):
    """For each number of each bag the index whose row it came from, -1 in empty bags."""
    found = torch.full(output.shape, -1, dtype=torch.int64, device=weight.device)
    for k in range(indices.numel() - 1, -1, -1):  # the first of equals is written last
        if kept[k]:
            bag = bags[k]
            hit = weight[indices[k]] == output[bag]
            found[bag] = torch.where(hit, indices[k].long(), found[bag])
    return found


def embedding_renorm_(input, indices, max_norm, norm_type):
    """Shortens those rows of a table that are named and longer than max_norm.

    >>> import flambeau as torch
    >>> torch.embedding_renorm_(torch.tensor([[3.0, 4.0]]), torch.tensor([0]), 1.0, 2.0)
    tensor([[0.6000, 0.8000]])
    """
    with torch.no_grad():
        F.embedding(indices, input, max_norm=max_norm, norm_type=norm_type)
    return input


# -- losses --------------------------------------------------------------------------------------
def _reduction(number):
    if number not in (0, 1, 2):
        raise ValueError(f"{number} is not a valid value for reduction")
    return REDUCTIONS[number]


def binary_cross_entropy_with_logits(input, target, weight=None, pos_weight=None, reduction=0):
    """The binary cross entropy of logits."""
    return F.binary_cross_entropy_with_logits(
        input, target, weight, reduction=_reduction(reduction), pos_weight=pos_weight
    )


def cosine_embedding_loss(input1, input2, target, margin=0.0, reduction=0):
    """`nn.functional.cosine_embedding_loss`."""
    name = _reduction(reduction)
    return F.cosine_embedding_loss(input1, input2, target, margin, reduction=name)


def hinge_embedding_loss(input, target, margin=1.0, reduction=0):
    """`nn.functional.hinge_embedding_loss`."""
    return F.hinge_embedding_loss(input, target, margin, reduction=_reduction(reduction))


def kl_div(input, target, reduction=0, *, log_target=False):
    """`nn.functional.kl_div`."""
    return F.kl_div(input, target, reduction=_reduction(reduction), log_target=log_target)


def margin_ranking_loss(input1, input2, target, margin=0.0, reduction=0):
    """`nn.functional.margin_ranking_loss`."""
    return F.margin_ranking_loss(input1, input2, target, margin, reduction=_reduction(reduction))


def poisson_nll_loss(input, target, log_input, full, eps, reduction):
    """`nn.functional.poisson_nll_loss`."""
    name = _reduction(reduction)
    return F.poisson_nll_loss(input, target, log_input, full, eps=eps, reduction=name)


def triplet_margin_loss(
    anchor, positive, negative, margin=1.0, p=2.0, eps=1e-6, swap=False, reduction=0
):
    """`nn.functional.triplet_margin_loss`."""
    return F.triplet_margin_loss(
        anchor, positive, negative, margin, p, eps, swap, reduction=_reduction(reduction)
    )


def ctc_loss(
    log_probs, targets, input_lengths, target_lengths, blank=0, reduction=0, zero_infinity=False
):
    """`nn.functional.ctc_loss`."""
    return F.ctc_loss(
        log_probs,
        targets,
        input_lengths,
        target_lengths,
        blank,
        _reduction(reduction),
        zero_infinity,
    )


__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_max_pool1d",
    "affine_grid_generator",
    "batch_norm",
    "bilinear",
    "binary_cross_entropy_with_logits",
    "channel_shuffle",
    "conv_tbc",
    "cosine_embedding_loss",
    "cosine_similarity",
    "ctc_loss",
    "embedding_bag",
    "embedding_renorm_",
    "grid_sampler",
    "grid_sampler_2d",
    "grid_sampler_3d",
    "group_norm",
    "hardshrink",
    "hinge_embedding_loss",
    "instance_norm",
    "kl_div",
    "layer_norm",
    "margin_ranking_loss",
    "native_batch_norm",
    "native_channel_shuffle",
    "native_group_norm",
    "native_layer_norm",
    "norm_except_dim",
    "pairwise_distance",
    "pdist",
    "pixel_shuffle",
    "pixel_unshuffle",
    "poisson_nll_loss",
    "rms_norm",
    "triplet_margin_loss",
]
