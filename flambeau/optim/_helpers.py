"""Helpers that optimizers of other libraries import from optim.optimizer."""

import functools

import flambeau as torch
from flambeau import Tensor

__all__ = [
    "_capturable_doc",
    "_default_to_fused_or_foreach",
    "_device_dtype_check_for_fused",
    "_differentiable_doc",
    "_disable_dynamo_if_unsupported",
    "_foreach_doc",
    "_foreach_supported_types",
    "_fused_doc",
    "_get_capturable_supported_devices",
    "_get_foreach_kernels_supported_devices",
    "_get_fused_kernels_supported_devices",
    "_get_scalar_dtype",
    "_get_value",
    "_maximize_doc",
    "_params_doc",
    "_stack_if_compiling",
    "_to_scalar",
    "_use_grad_for_differentiable",
    "_view_as_real",
]

_params_doc = "params (iterable): parameters, named parameters or groups of them"
_foreach_doc = "foreach (bool, optional): has one meaning only here: all tensors go in one pass"
_fused_doc = "fused (bool, optional): has one meaning only here: all tensors go in one pass"
_maximize_doc = "maximize (bool, optional): steps along the gradient (default: False)"
_capturable_doc = "capturable (bool, optional): for graphs of devices; changes nothing here"
_differentiable_doc = "differentiable (bool, optional): whether the graph records steps"

_FUSED = ["mps", "cuda", "xpu", "hpu", "cpu", "mtia", "privateuseone"]


def _use_grad_for_differentiable(func):
    """A step in grad mode where the optimizer's `differentiable` says so, and without elsewhere."""

    @functools.wraps(func)
    def step(self, *args, **kwargs):
        with torch.set_grad_enabled(self.defaults["differentiable"]):
            return func(self, *args, **kwargs)

    return step


def _disable_dynamo_if_unsupported(single_tensor_fn=None):
    """A decorator that leaves a function as it is: none is compiled here."""
    return lambda func: func


def _default_to_fused_or_foreach(params, differentiable, use_fused=False):
    """(fused, foreach) for these parameters; foreach is a matter of other devices than the CPU."""
    if differentiable:
        return False, False
    fits = all(
        p is None or (type(p) in _foreach_supported_types and p.is_floating_point()) for p in params
    )
    return use_fused and fits, False


def _get_value(x):
    """A number out of a tensor of one."""
    return x.item() if isinstance(x, Tensor) else x


def _stack_if_compiling(x):
    """x: nothing is compiled."""
    return x


def _to_scalar(x):
    """A tensor of one element without dimensions; all else as it is."""
    return x.squeeze() if isinstance(x, Tensor) and x.dim() != 0 else x


def _get_scalar_dtype(is_fused=None):
    """The dtype in which steps are counted."""
    if is_fused:
        return torch.float32
    double = torch.get_default_dtype() == torch.float64
    return torch.float64 if double else torch.float32


def _view_as_real(params, *state_and_grads):
    """Puts views as real numbers into lists of tensors where the parameter is complex."""
    for i, param in enumerate(params):
        if param.is_complex():
            params[i] = torch.view_as_real(param)
            for tensors in state_and_grads:
                tensors[i] = torch.view_as_real(tensors[i])


def _get_foreach_kernels_supported_devices():
    """Devices on which steps over lists of tensors are the default."""
    return ["cuda", "xpu", "mtia", "privateuseone"]


def _get_fused_kernels_supported_devices():
    """Devices that have fused steps."""
    return list(_FUSED)


def _get_capturable_supported_devices(supports_xla=True):
    """Devices whose steps can be captured in a graph."""
    return ["cuda", "xpu", "hpu", "privateuseone", *(["xla"] if supports_xla else [])]


def _device_dtype_check_for_fused(p, cuda_unsupported=False):
    devices = [d for d in _FUSED if not (cuda_unsupported and d == "cuda")]
    if not (p.device.type in devices and p.is_floating_point()):
        raise RuntimeError(
            "`fused=True` requires all the params to be floating point Tensors of supported "
            f"devices: {devices} but {p.dtype} and {p.device.type}"
        )


_foreach_supported_types = [Tensor, torch.nn.Parameter]
