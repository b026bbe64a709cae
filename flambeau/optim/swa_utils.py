"""Weights averaged along the way of training, and the learning rate that goes with it."""

import copy
import math

import flambeau as torch
from flambeau.nn import Module

from ._scheduler import LRScheduler, number

__all__ = [
    "AveragedModel",
    "SWALR",
    "get_ema_avg_fn",
    "get_ema_multi_avg_fn",
    "get_swa_avg_fn",
    "get_swa_multi_avg_fn",
    "update_bn",
]


def _check_decay(decay):
    if decay < 0.0 or decay > 1.0:
        raise ValueError(
            f"Invalid decay value {decay} provided. Please provide a value in [0,1] range."
        )


def get_ema_multi_avg_fn(decay=0.999):
    """The function for `AveragedModel` that keeps an exponential mean, of lists of tensors."""
    _check_decay(decay)

    def ema_update(ema_param_list, current_param_list, _):
        with torch.no_grad():
            for mean, current in zip(ema_param_list, current_param_list):
                if mean.is_floating_point() or mean.is_complex():
                    mean.lerp_(current, 1 - decay)
                else:
                    mean.copy_(mean * decay + current * (1 - decay))

    return ema_update


def get_swa_multi_avg_fn():
    """The function for `AveragedModel` that keeps a plain mean, of lists of tensors."""

    def swa_update(averaged_param_list, current_param_list, num_averaged):
        with torch.no_grad():
            share = 1 / (float(num_averaged) + 1)
            for mean, current in zip(averaged_param_list, current_param_list):
                if mean.is_floating_point() or mean.is_complex():
                    mean.lerp_(current, share)
                else:
                    mean.add_(((current - mean) * share).to(mean.dtype))

    return swa_update


def get_ema_avg_fn(decay=0.999):
    """The function for `AveragedModel` that keeps an exponential mean, of one tensor."""
    _check_decay(decay)

    def ema_update(ema_param, current_param, num_averaged):
        with torch.no_grad():
            return decay * ema_param + (1 - decay) * current_param

    return ema_update


def get_swa_avg_fn():
    """The function for `AveragedModel` that keeps a plain mean, of one tensor."""

    def swa_update(averaged_param, current_param, num_averaged):
        with torch.no_grad():
            return averaged_param + (current_param - averaged_param) / (num_averaged + 1)

    return swa_update


class AveragedModel(Module):
    """A copy of a model whose parameters are means of those that the model had.

    `avg_fn(averaged, current, count)` gives the new mean of a tensor, `multi_avg_fn` changes lists
    of them in place; without either the mean is plain. With `use_buffers` buffers are averaged
    too, else they are copied.

    >>> import flambeau as torch
    >>> model = torch.nn.Linear(1, 1, bias=False)
    >>> averaged = torch.optim.swa_utils.AveragedModel(model)
    >>> for value in (1.0, 2.0, 6.0):
    ...     _ = torch.nn.init.constant_(model.weight, value)
    ...     averaged.update_parameters(model)
    >>> averaged.module.weight.item()
    3.0
    """

    def __init__(self, model, device=None, avg_fn=None, multi_avg_fn=None, use_buffers=False):
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            raise AssertionError("Only one of avg_fn and multi_avg_fn should be provided")
        self.module = copy.deepcopy(model)
        if device is not None:
            self.module = self.module.to(device)
        self.register_buffer("n_averaged", torch.tensor(0, dtype=torch.long, device=device))
        self.avg_fn = avg_fn
        self.multi_avg_fn = multi_avg_fn
        self.use_buffers = use_buffers

    def forward(self, *args, **kwargs):
        return self.module(*args, **kwargs)

    def _tensors(self, module):
        tensors = list(module.parameters())
        return tensors + list(module.buffers()) if self.use_buffers else tensors

    def update_parameters(self, model):
        """Takes a model's parameters into the means."""
        pairs = [
            (mean.detach(), current.detach().to(mean.device))
            for mean, current in zip(self._tensors(self.module), self._tensors(model))
        ]
        if self.n_averaged == 0:
            for mean, current in pairs:
                mean.copy_(current)
        else:
            self._average(pairs)
        if not self.use_buffers:
            for own, current in zip(self.module.buffers(), model.buffers()):
                own.detach().copy_(current.detach().to(own.device))
        self.n_averaged += 1

    def _average(self, pairs):
        if self.avg_fn is not None:
            for mean, current in pairs:
                mean.copy_(self.avg_fn(mean, current, self.n_averaged.to(mean.device)))
            return
        update = get_swa_multi_avg_fn() if self.multi_avg_fn is None else self.multi_avg_fn
        if pairs:
            update([mean for mean, _ in pairs], [current for _, current in pairs], self.n_averaged)


def update_bn(loader, model, device=None):
    """Gathers the running statistics of batch normalizations anew, over a loader's batches.

    A batch that is a list or tuple gives its first item to the model.
    """
    from flambeau.nn.modules.batchnorm import _BatchNorm

    layers = [layer for layer in model.modules() if isinstance(layer, _BatchNorm)]
    if not layers:
        return
    momenta = {layer: layer.momentum for layer in layers}
    was_training = model.training
    model.train()
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # the plain mean of all batches
    with torch.no_grad():
        for batch in loader:
            input = batch[0] if isinstance(batch, (list, tuple)) else batch
            model(input if device is None else input.to(device))
    for layer, momentum in momenta.items():
        layer.momentum = momentum
    model.train(was_training)


class SWALR(LRScheduler):
    """Goes from each learning rate to `swa_lr` in `anneal_epochs`, and stays there.

    >>> import flambeau as torch
    >>> opt = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    >>> schedule = torch.optim.swa_utils.SWALR(opt, 0.1, anneal_epochs=1)
    >>> opt.step()
    >>> schedule.step()
    >>> schedule.get_last_lr()
    [0.1]
    """

    def __init__(self, optimizer, swa_lr, anneal_epochs=10, anneal_strategy="cos", last_epoch=-1):
        groups = optimizer.param_groups
        rates = list(swa_lr) if isinstance(swa_lr, (list, tuple)) else [swa_lr] * len(groups)
        if len(rates) != len(groups):
            raise ValueError(
                f"swa_lr must have the same length as optimizer.param_groups: swa_lr has "
                f"{len(rates)}, optimizer.param_groups has {len(groups)}"
            )
        for rate, group in zip(rates, groups):
            group["swa_lr"] = rate
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(
                f"anneal_strategy must by one of 'cos' or 'linear', instead got {anneal_strategy}"
            )
        if not isinstance(anneal_epochs, int) or anneal_epochs < 0:
            raise ValueError(f"anneal_epochs must be equal or greater than 0, got {anneal_epochs}")
        self._anneal_strategy = anneal_strategy
        self.anneal_epochs = anneal_epochs
        super().__init__(optimizer, last_epoch)

    def _share(self, step):
        """How much of the way is gone at a step."""
        t = max(0, min(1, step / max(1, self.anneal_epochs)))
        return (1 - math.cos(math.pi * t)) / 2 if self._anneal_strategy == "cos" else t

    def get_lr(self):
        step = self._step_count - 1
        if self.anneal_epochs == 0:
            step = max(1, step)
        before, now = self._share(step - 1), self._share(step)
        rates = []
        for group in self.optimizer.param_groups:
            target, rate = group["swa_lr"], number(group["lr"])
            first = target if before == 1 else (rate - before * target) / (1 - before)
            rates.append(target * now + first * (1 - now))
        return rates
