"""Limits on the size of gradients."""

import flambeau as torch
from flambeau import _C, Tensor

__all__ = ["clip_grad_norm_", "clip_grad_value_", "clip_grads_with_norm_", "get_total_norm"]


def _listed(tensors):
    return [tensors] if isinstance(tensors, Tensor) else list(tensors)


def _native(tensors):
    """Whether one native pass takes these tensors: dense, of one type, without a history."""
    dtype = tensors[0].dtype
    return dtype in (torch.float32, torch.float64) and all(
        t.dtype is dtype
        and t.is_cpu
        and t.layout is torch.strided
        and not t.requires_grad
        and t.is_contiguous()
        for t in tensors
    )


def get_total_norm(tensors, norm_type=2.0, error_if_nonfinite=False, foreach=None):
    """The norm of several tensors as if they were one vector.

    `foreach` is taken for the sake of programs that pass it; there is one way to compute it.

    >>> import flambeau as torch
    >>> torch.nn.utils.get_total_norm([torch.tensor([3.0]), torch.tensor([4.0])])
    tensor(5.)
    """
    tensors = _listed(tensors)
    if not tensors:
        return torch.tensor(0.0)
    norm_type = float(norm_type)
    if norm_type == 2.0 and _native(tensors):
        total = torch.tensor(_C._internal["_total_norm"](tensors), dtype=tensors[0].dtype)
    else:
        norms = [torch.linalg.vector_norm(t, norm_type) for t in tensors]
        total = torch.linalg.vector_norm(torch.stack(norms), norm_type)
    if error_if_nonfinite and not bool(torch.isfinite(total)):
        raise RuntimeError(
            f"The total norm of order {norm_type} for gradients from `parameters` is "
            "non-finite, so it cannot be clipped. To disable this error and scale the gradients "
            "by the non-finite norm anyway, set `error_if_nonfinite=False`"
        )
    return total


def clip_grads_with_norm_(parameters, max_norm, total_norm, foreach=None):
    """Scales gradients down so that a total norm known already becomes at most `max_norm`."""
    grads = [param.grad for param in _listed(parameters) if param.grad is not None]
    if not grads:
        return
    factor = (float(max_norm) / (total_norm + 1e-6)).clamp(max=1.0)
    if _native(grads) and not factor.requires_grad:
        if factor.item() != 1.0:
            _C._internal["_scale_all"](grads, factor.item())
        return
    with torch.no_grad():
        for grad in grads:
            grad.mul_(factor)


def clip_grad_norm_(parameters, max_norm, norm_type=2.0, error_if_nonfinite=False, foreach=None):
    """Scales gradients down so that their total norm is at most `max_norm`; returns the norm.

    >>> import flambeau as torch
    >>> w = torch.nn.Parameter(torch.zeros(2))
    >>> w.grad = torch.tensor([3.0, 4.0])
    >>> torch.nn.utils.clip_grad_norm_([w], 1.0)
    tensor(5.)
    >>> w.grad
    tensor([0.6000, 0.8000])
    """
    parameters = _listed(parameters)
    with torch.no_grad():
        grads = [param.grad for param in parameters if param.grad is not None]
        total = get_total_norm(grads, norm_type, error_if_nonfinite)
    clip_grads_with_norm_(parameters, max_norm, total)
    return total


def clip_grad_norm(parameters, max_norm, norm_type=2.0, error_if_nonfinite=False, foreach=None):
    """The older name of `clip_grad_norm_`."""
    import warnings

    warnings.warn(
        "`torch.nn.utils.clip_grad_norm` is now deprecated in favor of "
        "`torch.nn.utils.clip_grad_norm_`.",
        FutureWarning,
        stacklevel=2,
    )
    return clip_grad_norm_(parameters, max_norm, norm_type, error_if_nonfinite, foreach)


def clip_grad_value_(parameters, clip_value, foreach=None):
    """Cuts each element of the gradients off at plus and minus a value.

    >>> import flambeau as torch
    >>> w = torch.nn.Parameter(torch.zeros(2))
    >>> w.grad = torch.tensor([3.0, -4.0])
    >>> torch.nn.utils.clip_grad_value_([w], 1.0)
    >>> w.grad
    tensor([ 1., -1.])
    """
    clip_value = float(clip_value)
    with torch.no_grad():
        for param in _listed(parameters):
            if param.grad is not None:
                param.grad.clamp_(-clip_value, clip_value)
