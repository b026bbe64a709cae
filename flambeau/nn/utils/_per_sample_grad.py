"""Gradients of each sample of a batch, by the names that libraries for private training use."""

import flambeau


def call_for_per_sample_grads(module, *, batch_size=None, loss_reduction="sum", batch_first=True):
    """A function that calls the module; the backward pass then sets `grad_sample` of its
    parameters, one gradient for each sample, and leaves `grad` as it is.

    loss_reduction "mean": the loss is a mean over the batch, whose share is taken out.

    >>> import flambeau as torch
    >>> from flambeau.nn.utils._per_sample_grad import call_for_per_sample_grads
    >>> layer = torch.nn.Linear(2, 1)
    >>> call_for_per_sample_grads(layer)(torch.ones(3, 2)).sum().backward()
    >>> layer.weight.grad_sample.shape
    torch.Size([3, 1, 2])
    """
    if loss_reduction not in ("sum", "mean"):
        raise RuntimeError(
            f"Expected loss_reduction argument to be sum or mean, got {loss_reduction}"
        )
    if not isinstance(module, flambeau.nn.Module):
        raise RuntimeError(f"Module passed must be nn.Module, got {type(module).__name__}")
    if not (batch_size is None or isinstance(batch_size, int)):
        raise RuntimeError(f"Batch size passed must be None or an integer, got {batch_size}")
    if batch_size is not None and batch_size < 1:
        raise RuntimeError("Batch size must be positive")
    for name, parameter in module.named_parameters():
        if getattr(parameter, "grad_sample", None) is not None:
            raise RuntimeError(
                f"Current Expanded Weights accumulates the gradients, which will be incorrect for "
                f"multiple calls without clearing gradients. Please clear out the grad_sample "
                f"parameter of {name} or use zero_grad()"
            )
    dim = 0 if batch_first else 1

    def wrapper(*args, **kwargs):
        tensors = [a for a in (*args, *kwargs.values()) if isinstance(a, flambeau.Tensor)]
        if not tensors and batch_size is None:
            raise RuntimeError("Unable to find a tensor in the passed args and kwargs")
        size = tensors[0].shape[dim] if batch_size is None else batch_size
        scale = size if loss_reduction == "mean" else 1
        copies = {
            name: _copies(parameter, size, scale)
            for name, parameter in module.named_parameters()
            if parameter.requires_grad
        }

        def one(copies, args, kwargs):
            args, kwargs = flambeau.utils._pytree.tree_map(
                lambda a: a.unsqueeze(dim) if isinstance(a, flambeau.Tensor) else a, (args, kwargs)
            )
            made = flambeau.func.functional_call(module, copies, args, kwargs)
            return flambeau.utils._pytree.tree_map(lambda t: t.squeeze(dim), made)

        where = flambeau.utils._pytree.tree_map(
            lambda a: dim if isinstance(a, flambeau.Tensor) else None, (args, kwargs)
        )
        mapped = flambeau.func.vmap(one, in_dims=(0, *where), out_dims=dim, randomness="different")
        return mapped(copies, args, kwargs)

    return wrapper


def _copies(parameter, size, scale):
    """The parameter for each sample; the gradients of the copies go to `grad_sample`."""
    copies = parameter.detach().unsqueeze(0).expand(size, *parameter.shape).requires_grad_()

    def keep(grad):
        grad = grad.detach() * scale
        before = getattr(parameter, "grad_sample", None)
        parameter.grad_sample = grad if before is None else before + grad
        return grad

    copies.register_hook(keep)
    return copies
