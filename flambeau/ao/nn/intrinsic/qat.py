"""The layers of ao.nn.qat that are several modules in one, and what turns their batch norms off."""

from flambeau.ao.nn import qat

_NAMES = "ConvBn ConvBnReLU ConvReLU".split()
globals().update({f"{name}{n}d": getattr(qat, f"{name}{n}d") for name in _NAMES for n in (1, 2, 3)})
LinearBn1d, LinearReLU = qat.LinearBn1d, qat.LinearReLU


def freeze_bn_stats(mod):
    """For model.apply(): the statistics of batch norms stay as they are from now on.

    >>> import flambeau as torch
    >>> q = torch.ao.quantization
    >>> net = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2)).train()
    >>> net.qconfig = q.get_default_qat_qconfig()
    >>> ready = q.prepare_qat(q.fuse_modules_qat(net, ["0", "1"]))
    >>> ready.apply(torch.ao.nn.intrinsic.qat.freeze_bn_stats)[0].bn.training
    False
    """
    if isinstance(mod, qat._Normed):
        mod.freeze_bn_stats()


def update_bn_stats(mod):
    """For model.apply(): the statistics of batch norms follow the batches again."""
    if isinstance(mod, qat._Normed):
        mod.update_bn_stats()


__all__ = [name for name in dir() if name.startswith(("Conv", "Linear")) or name.endswith("_stats")]
