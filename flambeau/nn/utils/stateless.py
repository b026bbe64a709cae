"""functional_call under its older name."""

import contextlib

__all__ = ["functional_call"]


def functional_call(
    module, parameters_and_buffers, args=None, kwargs=None, *, tie_weights=True, strict=False
):
    """Calls a module with other tensors in the place of its own; see `torch.func.functional_call`.

    >>> import flambeau as torch
    >>> layer = torch.nn.Linear(2, 1, bias=False)
    >>> torch.nn.utils.stateless.functional_call(
    ...     layer, {"weight": torch.ones(1, 2)}, torch.ones(2)).item()
    2.0
    """
    import warnings

    warnings.warn(
        "This API is deprecated. Use `torch.func.functional_call` instead.",
        FutureWarning,
        stacklevel=2,
    )
    return _functional_call(
        module,
        parameters_and_buffers,
        args,
        kwargs,
        tie_weights=tie_weights,
        strict=strict,
    )


def _functional_call(
    module, parameters_and_buffers, args=None, kwargs=None, *, tie_weights=True, strict=False
):
    from flambeau import func

    return func.functional_call(
        module, parameters_and_buffers, args, kwargs, tie_weights=tie_weights, strict=strict
    )


@contextlib.contextmanager
def _reparametrize_module(
    module, parameters_and_buffers, tie_weights=False, strict=False, stack_weights=False
):
    """A block in which a module has other tensors in the place of its own; `stack_weights`, the
    order in which they are put back, changes nothing."""
    from flambeau.func._modules import _spread_ties, swapped

    full = _spread_ties(module, parameters_and_buffers, tie_weights, strict)
    try:
        with swapped(module, full):
            yield
    finally:
        parameters_and_buffers.update((name, full[name]) for name in parameters_and_buffers)
