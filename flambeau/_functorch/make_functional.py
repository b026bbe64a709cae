"""Modules taken apart into a function and the tuple of their parameters."""

from copy import deepcopy

from flambeau.func import functional_call, stack_module_state
from flambeau.nn import Module


class FunctionalModuleWithBuffers(Module):
    """A module without its state: called with (params, buffers, *args)."""

    def __init__(self, stateless, names, buffer_names):
        super().__init__()
        self.stateless_model = stateless
        self.param_names, self.buffer_names = names, buffer_names

    def forward(self, params, buffers, *args, **kwargs):
        values = dict(zip(self.param_names, params, strict=True))
        values.update(zip(self.buffer_names, buffers, strict=True))
        return functional_call(self.stateless_model, values, args, kwargs)


class FunctionalModule(FunctionalModuleWithBuffers):
    """A module without its parameters: called with (params, *args)."""

    def forward(self, params, *args, **kwargs):
        return super().forward(params, (), *args, **kwargs)


def _tie(stateless, model):
    """Gives the copy one tensor where the model has one under several names."""
    for kind in ("named_parameters", "named_buffers"):
        first = {}
        for name, tensor in getattr(model, kind)(remove_duplicate=False):
            path, _, leaf = first.setdefault(id(tensor), name).rpartition(".")
            home, _, own = name.rpartition(".")
            tied = getattr(stateless.get_submodule(path), leaf)
            setattr(stateless.get_submodule(home), own, tied)


def _taken_apart(model, disable_autograd_tracking):
    """(a copy of the model on the meta device, names and values of parameters and of buffers)."""
    params, buffers = dict(model.named_parameters()), dict(model.named_buffers())
    stateless = deepcopy(model).to("meta")
    _tie(stateless, model)
    if disable_autograd_tracking:
        params = {name: p.detach() for name, p in params.items()}
    return stateless, params, buffers


def make_functional(model, disable_autograd_tracking=False):
    """(a function of (params, *args), the parameters) of a module that has no buffers.

    >>> import flambeau as torch
    >>> from flambeau._functorch.older import make_functional
    >>> f, params = make_functional(torch.nn.Linear(2, 1))
    >>> f(params, torch.ones(3, 2)).shape
    torch.Size([3, 1])
    """
    if next(model.buffers(), None) is not None:
        raise ValueError(
            "make_functional(model): `model` has buffers. Please use "
            "make_functional_with_buffers(model) instead."
        )
    stateless, params, _ = _taken_apart(model, disable_autograd_tracking)
    return FunctionalModule(stateless, tuple(params), ()), tuple(params.values())


def make_functional_with_buffers(model, disable_autograd_tracking=False):
    """(a function of (params, buffers, *args), the parameters, the buffers) of a module."""
    stateless, params, buffers = _taken_apart(model, disable_autograd_tracking)
    function = FunctionalModuleWithBuffers(stateless, tuple(params), tuple(buffers))
    return function, tuple(params.values()), tuple(buffers.values())


def combine_state_for_ensemble(models):
    """(a function of (params, buffers, *args), stacked parameters, stacked buffers) of models."""
    if len(models) == 0:
        raise RuntimeError("combine_state_for_ensemble: Expected at least one model, got 0 models.")
    params, buffers = stack_module_state(models)
    function, _, _ = make_functional_with_buffers(models[0])
    return function, tuple(params.values()), tuple(buffers.values())
