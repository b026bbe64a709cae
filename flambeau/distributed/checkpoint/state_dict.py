"""States of models and optimizers, whole or in parts, under the names of parameters."""

import dataclasses

import flambeau
import flambeau.distributed as dist

from ..fsdp._fully_shard import full_state_dict, load_full_state_dict

__all__ = [
    "StateDictOptions",
    "get_model_state_dict",
    "get_optimizer_state_dict",
    "get_state_dict",
    "set_model_state_dict",
    "set_optimizer_state_dict",
    "set_state_dict",
]


@dataclasses.dataclass
class StateDictOptions:
    """What a state holds: whole tensors or parts, frozen parameters or not."""

    full_state_dict: bool = False
    cpu_offload: bool = False
    ignore_frozen_params: bool = False
    keep_submodule_prefixes: bool = True
    strict: bool = True
    broadcast_from_rank0: bool = False


def _plain(model):
    while hasattr(model, "_fsdp_wrapped_module") or isinstance(
        model, flambeau.nn.parallel.DistributedDataParallel
    ):
        model = model.module
    return model


def get_model_state_dict(model, *, submodules=None, options=None):
    """The state of a model, without the prefixes of wrappers."""
    options, model = options or StateDictOptions(), _plain(model)
    state = full_state_dict(model) if options.full_state_dict else model.state_dict()
    if options.ignore_frozen_params:
        frozen = {n for n, p in model.named_parameters() if not p.requires_grad}
        state = {name: value for name, value in state.items() if name not in frozen}
    return state


def set_model_state_dict(model, model_state_dict, *, options=None):
    """Loads whole tensors or parts into a model."""
    options, model = options or StateDictOptions(), _plain(model)
    if options.broadcast_from_rank0:
        box = [model_state_dict]
        dist.broadcast_object_list(box, 0)
        model_state_dict = box[0]
    if options.full_state_dict or options.broadcast_from_rank0:
        return load_full_state_dict(model, model_state_dict, options.strict)
    return model.load_state_dict(model_state_dict, strict=options.strict)


def _names(model):
    return {param: name for name, param in _plain(model).named_parameters()}


def get_optimizer_state_dict(model, optimizers, *, submodules=None, options=None):
    """The state of optimizers with names of parameters in place of their numbers."""
    options, names = options or StateDictOptions(), _names(model)
    made = {"state": {}, "param_groups": []}
    for optimizer in [optimizers] if hasattr(optimizers, "step") else optimizers:
        for group in optimizer.param_groups:
            for param in group["params"]:
                if param in optimizer.state:
                    state = optimizer.state[param].items()
                    made["state"][names[param]] = {
                        key: _whole(value, param, options) for key, value in state
                    }
            packed = {key: value for key, value in group.items() if key != "params"}
            made["param_groups"].append({**packed, "params": [names[p] for p in group["params"]]})
    return made


def _whole(value, param, options):
    parts = hasattr(param, "take_whole") and getattr(value, "shape", None) == param.shape
    if not (options.full_state_dict and parts):
        return value
    whole = value.new_empty(param._group.size() * value.numel())
    dist.all_gather_into_tensor(whole, value, param._group)
    return whole[: param._shape.numel()].view(param._shape)


def set_optimizer_state_dict(model, optimizers, optim_state_dict, *, options=None):
    """Loads what get_optimizer_state_dict() gave."""
    from ..fsdp._shards import _part

    names = _names(model)
    for optimizer in [optimizers] if hasattr(optimizers, "step") else optimizers:
        for group in optimizer.param_groups:
            for param in group["params"]:
                state = optim_state_dict["state"].get(names[param])
                if state is None:
                    continue
                whole = getattr(param, "_shape", None)
                optimizer.state[param] = {
                    key: _part(value, param._group)
                    if whole is not None and getattr(value, "shape", None) == whole
                    else value
                    for key, value in state.items()
                }
            own = {names[param] for param in group["params"]}
            for given in optim_state_dict["param_groups"]:
                if own == set(given["params"]):
                    group.update({k: v for k, v in given.items() if k != "params"})


def get_state_dict(model, optimizers, *, submodules=None, options=None):
    """(state of the model, state of the optimizers)."""
    return (
        get_model_state_dict(model, submodules=submodules, options=options),
        get_optimizer_state_dict(model, optimizers, submodules=submodules, options=options),
    )


def set_state_dict(model, optimizers, *, model_state_dict, optim_state_dict, options=None):
    """Loads both."""
    set_optimizer_state_dict(model, optimizers, optim_state_dict, options=options)
    return set_model_state_dict(model, model_state_dict, options=options)
