"""States of models and optimizers, whole or in parts, under the names of parameters."""

import dataclasses

import flambeau
import flambeau.distributed as dist

from ..fsdp._shards import whole

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
    """What a state holds, and how it is loaded.

    full_state_dict: whole tensors, not parts. ignore_frozen_params: parameters that take no
    gradient are left out. keep_submodule_prefixes: of asked submodules, names as in the model.
    broadcast_from_rank0: the state to load is that of the first process.
    flatten_optimizer_state_dict: one dictionary, with names "state.parameter.key" and
    "param_groups.parameter.key". cpu_offload and dsd_fqn_modifiers have nothing to act on.
    """

    full_state_dict: bool = False
    cpu_offload: bool = False
    ignore_frozen_params: bool = False
    keep_submodule_prefixes: bool = True
    strict: bool = True
    broadcast_from_rank0: bool = False
    flatten_optimizer_state_dict: bool = False
    dsd_fqn_modifiers: str = "_fqn_modifiers"


def _plain(model):
    while hasattr(model, "_fsdp_wrapped_module") or isinstance(
        model, flambeau.nn.parallel.DistributedDataParallel
    ):
        model = model.module
    return model


def _clean(name):
    return name.replace("_fsdp_wrapped_module.", "")


def _names(model):
    return {param: _clean(name) for name, param in _plain(model).named_parameters()}


def _chosen(model, submodules):
    """The beginnings of the names of some modules."""
    return [_clean(f"{n}.") for n, m in _plain(model).named_modules() if m in submodules]


def get_model_state_dict(model, *, submodules=None, options=None):
    """The state of a model, without the prefixes of wrappers; of some of its modules, if asked."""
    options, model = options or StateDictOptions(), _plain(model)
    state = model.state_dict()
    if options.full_state_dict:
        state = {name: whole(value) for name, value in state.items()}
    if options.ignore_frozen_params:
        frozen = {name for param, name in _names(model).items() if not param.requires_grad}
        state = {name: value for name, value in state.items() if name not in frozen}
    if submodules:
        state = {
            name if options.keep_submodule_prefixes else name.removeprefix(prefix): value
            for prefix in _chosen(model, submodules)
            for name, value in state.items()
            if name.startswith(prefix)
        }
    return state


def _given(state, options):
    """The state to load: this process's, or the first one's."""
    if not options.broadcast_from_rank0:
        return state
    box = [state]
    dist.broadcast_object_list(box, 0)
    return box[0]


def set_model_state_dict(model, model_state_dict, *, options=None):
    """Loads whole tensors or parts into a model."""
    options = options or StateDictOptions()
    state = _given(model_state_dict, options)
    return _plain(model).load_state_dict(state, strict=options.strict)


def _parameters(optimizer):
    return [param for group in optimizer.param_groups for param in group["params"]]


def named_state(model, optimizer, packed, options):
    """An optimizer's state_dict() with names of parameters in place of their numbers."""
    names, params = _names(model), _parameters(optimizer)

    def kept(value, param):
        parts = options.full_state_dict and hasattr(param, "whole_of")
        parts = parts and getattr(value, "shape", None) == param.shape
        return param.whole_of(value) if parts else value

    return {
        "state": {
            names[params[i]]: {key: kept(value, params[i]) for key, value in state.items()}
            for i, state in packed["state"].items()
        },
        "param_groups": [
            {**group, "params": [names[params[i]] for i in group["params"]]}
            for group in packed["param_groups"]
        ],
    }


def numbered_state(model, optimizer, named):
    """What optimizer.load_state_dict() takes: parameters by their numbers, tensors in parts."""
    names, params = _names(model), _parameters(optimizer)

    def kept(value, param):
        wholly = hasattr(param, "part_of") and getattr(value, "shape", None) == param._shape
        return param.part_of(value) if wholly else value

    state = {
        i: {key: kept(value, param) for key, value in named["state"][names[param]].items()}
        for i, param in enumerate(params)
        if names[param] in named["state"]
    }
    groups, first = [], 0
    for group in optimizer.param_groups:
        own = {names[param] for param in group["params"]}
        match = [given for given in named["param_groups"] if own == set(given["params"])]
        if not match:
            raise ValueError(f"the state has no group of the parameters {sorted(own)}")
        numbers = list(range(first, first + len(group["params"])))
        groups.append({**match[0], "params": numbers})
        first += len(numbers)
    return {"state": state, "param_groups": groups}


def _several(optimizers):
    return [optimizers] if hasattr(optimizers, "step") else optimizers


def get_optimizer_state_dict(model, optimizers, *, submodules=None, options=None):
    """The state of optimizers with names of parameters in place of their numbers."""
    options = options or StateDictOptions()
    made = {"state": {}, "param_groups": []}
    for optimizer in _several(optimizers):
        one = named_state(model, optimizer, optimizer.state_dict(), options)
        made["state"].update(one["state"])
        made["param_groups"] += one["param_groups"]
    if submodules:
        prefixes = tuple(_chosen(model, submodules))
        made["state"] = {n: s for n, s in made["state"].items() if n.startswith(prefixes)}
        for group in made["param_groups"]:
            group["params"] = [n for n in group["params"] if n.startswith(prefixes)]
    return _flattened(made) if options.flatten_optimizer_state_dict else made


def _flattened(state):
    made = {f"state.{n}.{k}": v for n, each in state["state"].items() for k, v in each.items()}
    for group in state["param_groups"]:
        for name in group["params"]:
            made |= {f"param_groups.{name}.{k}": v for k, v in group.items() if k != "params"}
    return made


def _unflattened(flat, model, optimizers):
    """_flattened() undone, with the optimizers' own groups."""
    names, made = _names(model), {"state": {}, "param_groups": []}
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            own = [names[param] for param in group["params"]]
            for name in own:
                prefix = f"state.{name}."
                state = {k.removeprefix(prefix): flat[k] for k in flat if k.startswith(prefix)}
                made["state"] |= {name: state} if state else {}
            packed = {k: flat.get(f"param_groups.{own[0]}.{k}", v) for k, v in group.items()}
            made["param_groups"].append({**packed, "params": own})
    return made


def set_optimizer_state_dict(model, optimizers, optim_state_dict, *, options=None):
    """Loads what get_optimizer_state_dict() gave."""
    options, optimizers = options or StateDictOptions(), _several(optimizers)
    state = _given(optim_state_dict, options)
    if options.flatten_optimizer_state_dict:
        state = _unflattened(state, model, optimizers)
    for optimizer in optimizers:
        optimizer.load_state_dict(numbered_state(model, optimizer, state))


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
