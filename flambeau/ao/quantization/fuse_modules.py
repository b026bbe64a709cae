"""Modules that follow each other as one: a convolution, its batch norm and its relu."""

import copy

from flambeau import nn
from flambeau.ao.nn import intrinsic as nni
from flambeau.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

_CONVS = {nn.Conv1d: 1, nn.Conv2d: 2, nn.Conv3d: 3}
_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def _check_mode(is_qat, conv, bn):
    if conv.training != bn.training:
        raise AssertionError("Conv and BN both must be in the same mode (train or eval).")
    if is_qat is not None and is_qat != conv.training:
        mode = "train" if is_qat else "eval"
        raise AssertionError(f"fusing for {'training' if is_qat else 'inference'}: use .{mode}()")


def fuse_conv_bn(is_qat, conv, bn):
    """A convolution and the batch norm after it: its weights in eval mode, ConvBn in training."""
    _check_mode(is_qat, conv, bn)
    if is_qat:
        return getattr(nni, f"ConvBn{_CONVS[type(conv)]}d")(conv, bn)
    return fuse_conv_bn_eval(conv, bn)


def fuse_conv_bn_relu(is_qat, conv, bn, relu):
    """The same with the relu after it."""
    _check_mode(is_qat, conv, bn)
    n = _CONVS[type(conv)]
    if is_qat:
        return getattr(nni, f"ConvBnReLU{n}d")(conv, bn, relu)
    return getattr(nni, f"ConvReLU{n}d")(fuse_conv_bn_eval(conv, bn), relu)


def fuse_linear_bn(is_qat, linear, bn):
    """A linear layer and the batch norm after it."""
    _check_mode(is_qat, linear, bn)
    return nni.LinearBn1d(linear, bn) if is_qat else fuse_linear_bn_eval(linear, bn)


def fuse_convtranspose_bn(is_qat, convt, bn):
    """A transposed convolution and the batch norm after it, in eval mode."""
    _check_mode(is_qat, convt, bn)
    if is_qat:
        raise Exception("Fusing ConvTranspose+BatchNorm not yet supported in QAT.")
    return fuse_conv_bn_eval(convt, bn, transpose=True)


def _fused(modules, is_qat):
    kinds = tuple(type(m) for m in modules)
    first, last = kinds[0], kinds[-1]
    if first in _CONVS and len(kinds) == 2 and last in _NORMS:
        return fuse_conv_bn(is_qat, *modules)
    if first in _CONVS and kinds[1:] and kinds[1] in _NORMS and last is nn.ReLU:
        return fuse_conv_bn_relu(is_qat, *modules)
    if first in _CONVS and kinds[1:] == (nn.ReLU,):
        return getattr(nni, f"ConvReLU{_CONVS[first]}d")(*modules)
    if first is nn.Linear and kinds[1:] == (nn.ReLU,):
        return nni.LinearReLU(*modules)
    if first is nn.Linear and kinds[1:] == (nn.BatchNorm1d,):
        return fuse_linear_bn(is_qat, *modules)
    if first in _NORMS[1:] and kinds[1:] == (nn.ReLU,):
        return getattr(nni, "BNReLU2d" if first is nn.BatchNorm2d else "BNReLU3d")(*modules)
    if first in _TRANSPOSED and len(kinds) == 2 and last in _NORMS:
        return fuse_convtranspose_bn(is_qat, *modules)
    raise NotImplementedError(f"Cannot fuse modules: {kinds}")


def fuse_known_modules(mod_list, is_qat, additional_fuser_method_mapping=None):
    """The fused module and an Identity for each of the others; hooks go along."""
    own = (additional_fuser_method_mapping or {}).get(tuple(type(m) for m in mod_list))
    fused = own(is_qat, *mod_list) if own else _fused(mod_list, is_qat)
    for hook in mod_list[0]._forward_pre_hooks.values():
        fused.register_forward_pre_hook(hook)
    mod_list[0]._forward_pre_hooks.clear()
    for hook in mod_list[-1]._forward_hooks.values():
        fused.register_forward_hook(hook)
    mod_list[-1]._forward_hooks.clear()
    rest = [nn.Identity() for _ in mod_list[1:]]
    for module in rest:
        module.training = mod_list[0].training
    return [fused, *rest]


def _fuse(model, modules_to_fuse, is_qat, inplace, fuser_func, custom):
    if not inplace:
        model = copy.deepcopy(model)
    groups = modules_to_fuse
    if groups and isinstance(groups[0], str):
        groups = [groups]
    more = (custom or {}).get("additional_fuser_method_mapping")
    for names in groups:
        parts = [model.get_submodule(name) for name in names]
        for name, new in zip(names, fuser_func(parts, is_qat, more), strict=True):
            parent, _, leaf = name.rpartition(".")
            setattr(model.get_submodule(parent), leaf, new)
    return model


def fuse_modules(
    model,
    modules_to_fuse,
    inplace=False,
    fuser_func=fuse_known_modules,
    fuse_custom_config_dict=None,
):
    """Fuses lists of modules, named as in named_modules(): for inference.

    >>> import flambeau as torch
    >>> net = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2)).eval()
    >>> torch.ao.quantization.fuse_modules(net, ["0", "1"])
    Sequential(
      (0): Conv2d(1, 2, kernel_size=(3, 3), stride=(1, 1))
      (1): Identity()
    )
    """
    return _fuse(model, modules_to_fuse, False, inplace, fuser_func, fuse_custom_config_dict)


def fuse_modules_qat(
    model,
    modules_to_fuse,
    inplace=False,
    fuser_func=fuse_known_modules,
    fuse_custom_config_dict=None,
):
    """The same for training with fake quantization."""
    return _fuse(model, modules_to_fuse, True, inplace, fuser_func, fuse_custom_config_dict)
