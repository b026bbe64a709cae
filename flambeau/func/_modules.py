"""Modules as functions of their parameters."""

from contextlib import contextmanager

from flambeau import Tensor
from flambeau.nn.utils._named_member_accessor import swap


def _owner(module, name):
    """(the submodule, the attribute) that a dotted name means."""
    *path, last = name.split(".")
    for part in path:
        module = getattr(module, part)
    return module, last


def _aliases(module):
    """Names of the same tensor: {name: (names, ...)} for tied parameters and buffers."""
    groups = {}
    for getter in (module.named_parameters, module.named_buffers):
        for name, tensor in getter(remove_duplicate=False):
            groups.setdefault(id(tensor), []).append(name)
    return {name: names for names in groups.values() for name in names}


def _spread_ties(module, values, tie_weights, strict):
    if not (tie_weights or strict):
        return dict(values)
    aliases = _aliases(module)
    unknown = [n for n in values if n not in aliases]
    if strict:
        missing = [n for n in aliases if n not in values]
        if tie_weights:
            missing = [n for n in missing if not any(a in values for a in aliases[n])]
        if unknown or missing:
            text = f"Error(s) in reparametrizing for {type(module).__name__}:"
            for kind, names in (("Unexpected", unknown), ("Missing", missing)):
                if names:
                    text += f"\n\t{kind} key(s): {', '.join(map(repr, sorted(names)))}."
            raise RuntimeError(text)
    out = dict(values)
    if not tie_weights:
        return out
    for name, value in values.items():
        for other in aliases.get(name, ()):
            if other in values and values[other] is not value:
                raise ValueError(
                    f"functional_call got multiple values for keys {sorted((name, other))}, which "
                    "are tied. Consider using tie_weights=False"
                )
            out.setdefault(other, value)
    return out


@contextmanager
def swapped(module, values):
    """Within the block, parameters, buffers and attributes of those names are other tensors.

    What the block assigned to a name stands in `values` afterwards.
    """
    saved = []
    try:
        for name, value in values.items():
            if not (value is None or isinstance(value, Tensor)):
                raise TypeError(f"{value} is not an instance of torch.Tensor")
            owner, last = _owner(module, name)
            saved.append((owner, last, name, swap(owner, last, value)))
        yield
    finally:
        for owner, last, name, before in reversed(saved):
            values[name] = swap(owner, last, before)


def functional_call(
    module, parameter_and_buffer_dicts, args=None, kwargs=None, *, tie_weights=True, strict=False
):
    """module(*args, **kwargs) with other tensors in place of its parameters and buffers.

    Args:
        parameter_and_buffer_dicts: {name: tensor}, or several of them.
        args: a tuple of arguments, or a lone one.
        tie_weights: a tensor that has several names is replaced under all of them.
        strict: every parameter and buffer must be given, and nothing else.

    >>> import flambeau as torch
    >>> layer = torch.nn.Linear(1, 1, bias=False)
    >>> torch.func.functional_call(layer, {"weight": torch.tensor([[3.]])}, torch.ones(1))
    tensor([3.])
    """
    if isinstance(parameter_and_buffer_dicts, dict):
        values = parameter_and_buffer_dicts
    elif isinstance(parameter_and_buffer_dicts, (tuple, list)):
        values = {}
        for d in parameter_and_buffer_dicts:
            if not isinstance(d, dict):
                raise ValueError(
                    "Expected all elements of parameter_and_buffer_dicts to be dictionaries"
                )
            double = values.keys() & d.keys()
            if double:
                raise ValueError(
                    f"{sorted(double)} appeared in multiple dictionaries; behavior of functional "
                    "call is ambiguous"
                )
            values.update(d)
    else:
        raise ValueError(
            "Expected parameter_and_buffer_dicts to be a dict, or a list/tuple of dicts, but got "
            f"{type(parameter_and_buffer_dicts)}"
        )
    args = () if args is None else args if isinstance(args, tuple) else (args,)
    full = _spread_ties(module, values, tie_weights, strict)
    try:
        with swapped(module, full):
            return module(*args, **(kwargs or {}))
    finally:
        values.update((name, full[name]) for name in values)


def stack_module_state(models):
    """({name: parameters of all models stacked}, {name: buffers stacked}) for an ensemble.

    >>> import flambeau as torch
    >>> params, buffers = torch.func.stack_module_state([torch.nn.Linear(2, 3) for _ in range(4)])
    >>> params["weight"].shape
    torch.Size([4, 3, 2])
    """
    from .. import stack

    models = list(models)
    if not models:
        raise RuntimeError("stack_module_state: Expected at least one model, got 0.")
    if not (all(m.training for m in models) or not any(m.training for m in models)):
        raise RuntimeError(
            "stack_module_state: Expected all models to have the same training/eval mode."
        )
    if any(type(m) is not type(models[0]) for m in models):
        raise RuntimeError("stack_module_state: Expected all models to be of the same class.")

    def stacked(dicts):
        out = {}
        for name in dicts[0]:
            tensors = [d[name] for d in dicts]
            if any(t.requires_grad != tensors[0].requires_grad for t in tensors):
                raise RuntimeError(
                    f"Expected {name} from each model to have the same .requires_grad"
                )
            leaf = tensors[0].is_leaf and tensors[0].requires_grad
            if leaf:
                tensors = [t.detach() for t in tensors]
            out[name] = stack(tensors)
            if leaf:
                out[name].requires_grad_()
        return out

    return (
        stacked([dict(m.named_parameters()) for m in models]),
        stacked([dict(m.named_buffers()) for m in models]),
    )


def replace_all_batch_norm_modules_(root):
    """Batch normalization without running statistics, which vmap could not write; gives root back.

    >>> import flambeau as torch
    >>> net = torch.func.replace_all_batch_norm_modules_(torch.nn.BatchNorm1d(2))
    >>> net.running_mean is None
    True
    """
    for module in root.modules():
        if hasattr(module, "track_running_stats") and hasattr(module, "running_mean"):
            module.track_running_stats = False
            module.running_mean = module.running_var = None
            if "num_batches_tracked" in module._buffers:
                module.num_batches_tracked = None
    return root
