"""Optimizer: the base of all optimizers."""

import functools
from collections import OrderedDict, defaultdict
from copy import deepcopy

import flambeau as torch
from flambeau import _C, Tensor
from flambeau.utils.hooks import RemovableHandle

from ._helpers import *  # noqa: F403 (programs take them from here)

__all__ = ["Optimizer", "register_optimizer_step_post_hook", "register_optimizer_step_pre_hook"]

ParamsT = "collections.abc.Iterable"  # tensors, (name, tensor) or groups; for annotations
_params_t = ParamsT


class _RequiredParameter:
    """A default that says that there is none."""

    def __repr__(self):
        return "<required parameter>"


required = _RequiredParameter()

_global_optimizer_pre_hooks = OrderedDict()
_global_optimizer_post_hooks = OrderedDict()


def _register(hooks, hook, prepend=False):
    handle = RemovableHandle(hooks)
    hooks[handle.id] = hook
    if prepend:
        hooks.move_to_end(handle.id, last=False)
    return handle


def register_optimizer_step_pre_hook(hook):
    """Calls ``hook(optimizer, args, kwargs)`` before the step of every optimizer."""
    return _register(_global_optimizer_pre_hooks, hook)


def register_optimizer_step_post_hook(hook):
    """Calls ``hook(optimizer, args, kwargs)`` after the step of every optimizer."""
    return _register(_global_optimizer_post_hooks, hook)


def _hooked(step):
    """A step method that calls hooks, where there are any."""

    @functools.wraps(step)
    def wrapper(self, *args, **kwargs):
        self._opt_called = True
        if "_optimizer_step_pre_hooks" not in vars(self):  # a wrapper that skips our __init__
            return step(self, *args, **kwargs)
        if not (
            self._optimizer_step_pre_hooks
            or self._optimizer_step_post_hooks
            or _global_optimizer_pre_hooks
            or _global_optimizer_post_hooks
        ):
            return step(self, *args, **kwargs)
        for hook in (
            *_global_optimizer_pre_hooks.values(),
            *self._optimizer_step_pre_hooks.values(),
        ):
            new = hook(self, args, kwargs)
            if new is not None:
                if not (isinstance(new, tuple) and len(new) == 2):
                    raise RuntimeError(
                        f"{step} must return None or a tuple of (new_args, new_kwargs), but got "
                        f"{new}."
                    )
                args, kwargs = new
        result = step(self, *args, **kwargs)
        for hook in (
            *self._optimizer_step_post_hooks.values(),
            *_global_optimizer_post_hooks.values(),
        ):
            hook(self, args, kwargs)
        return result

    wrapper.hooked = True
    return wrapper


class Optimizer:
    """Keeps parameters in groups with their options, and what is remembered for each of them.

    A subclass gives the default options and defines ``step``.
    """

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        if "step" in cls.__dict__:
            cls._patch_step_function(cls)

    def __init__(self, params, defaults):
        self.defaults = defaults
        self._make_hooks()
        self._patch_step_function()
        if isinstance(params, Tensor):
            raise TypeError(
                "params argument given to the optimizer should be an iterable of Tensors or "
                f"dicts, but got {params.type()}"
            )
        self.state = defaultdict(dict)
        self.param_groups = []
        groups = list(params)
        if not groups:
            raise ValueError("optimizer got an empty parameter list")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(dict(group))

    def _patch_step_function(self):
        """Has the class's step call hooks, where it does not."""
        cls = self if isinstance(self, type) else type(self)
        if not getattr(cls.step, "hooked", False):
            cls.step = self.profile_hook_step(cls.step)

    profile_hook_step = staticmethod(_hooked)

    @staticmethod
    def _process_value_according_to_param_policy(param, value, param_id, param_groups, key=None):
        """A loaded value of a state as it suits its parameter."""
        return _fitted(value, key, param)

    @staticmethod
    def _group_tensors_by_device_and_dtype(tensorlistlist, with_indices=False):
        """Lists of tensors side by side, parted by the device and dtype of the first list's."""
        found = {}
        for i, first in enumerate(tensorlistlist[0]):
            lists, places = found.setdefault(
                (first.device, first.dtype), ([[] for _ in tensorlistlist], [])
            )
            for tensors, source in zip(lists, tensorlistlist):
                if source:
                    tensors.append(source[i])
            places.append(i)
        return {
            k: (lists, places if with_indices else None) for k, (lists, places) in found.items()
        }

    def _make_hooks(self):
        self._optimizer_step_pre_hooks = OrderedDict()
        self._optimizer_step_post_hooks = OrderedDict()
        self._optimizer_state_dict_pre_hooks = OrderedDict()
        self._optimizer_state_dict_post_hooks = OrderedDict()
        self._optimizer_load_state_dict_pre_hooks = OrderedDict()
        self._optimizer_load_state_dict_post_hooks = OrderedDict()

    def __getstate__(self):
        return {
            "defaults": self.defaults,
            "state": self.state,
            "param_groups": self.param_groups,
        }

    def __setstate__(self, state):
        self.__dict__.update(state)
        if "_optimizer_step_pre_hooks" not in self.__dict__:
            self._make_hooks()
        self.defaults.setdefault("differentiable", False)

    def __repr__(self):
        lines = [f"{type(self).__name__} ("]
        for i, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {i}")
            lines += [f"    {key}: {group[key]}" for key in sorted(group) if key != "params"]
        return "\n".join([*lines, ")"])

    def add_param_group(self, param_group):
        """Adds parameters with options of their own: a dict with "params" among its keys.

        >>> import flambeau as torch
        >>> a, b = torch.nn.Parameter(torch.ones(1)), torch.nn.Parameter(torch.ones(1))
        >>> opt = torch.optim.SGD([a], lr=0.1)
        >>> opt.add_param_group({"params": [b], "lr": 0.01})
        >>> [group["lr"] for group in opt.param_groups]
        [0.1, 0.01]
        """
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group must be a dict, but got {type(param_group)}")
        params = param_group["params"]
        if isinstance(params, Tensor):
            params = [params]
        elif isinstance(params, set):
            raise TypeError(
                "optimizer parameters need to be organized in ordered collections, but the "
                "ordering of tensors in sets will change between runs. Please use a list instead."
            )
        params = list(params)
        named = [isinstance(param, tuple) for param in params]
        if any(named):
            if not all(named):
                raise ValueError(
                    "all optimizer params should be with/without names. Some param names are "
                    "missing"
                )
            param_group["param_names"] = [name for name, _ in params]
            params = [param for _, param in params]
        param_group["params"] = params
        self._check_params(params)
        for name, default in self.defaults.items():
            param_group.setdefault(name, default)
        seen = {id(param) for group in self.param_groups for param in group["params"]}
        if not seen.isdisjoint(map(id, params)):
            raise ValueError("some parameters appear in more than one parameter group")
        self.param_groups.append(param_group)

    def _check_params(self, params):
        for param in params:
            if not isinstance(param, Tensor):
                raise TypeError(
                    "optimizer can only optimize Tensors, but one of the params is "
                    f"{type(param).__name__}"
                )
            if not (self.defaults.get("differentiable") or param.is_leaf or param.retains_grad):
                raise ValueError("can't optimize a non-leaf Tensor")
        if len({id(param) for param in params}) != len(params):
            import warnings

            warnings.warn(
                "optimizer contains a parameter group with duplicate parameters; in future, "
                "this will cause an error",
                stacklevel=4,
            )

    # -- hooks -----------------------------------------------------------------------------

    def register_step_pre_hook(self, hook):
        """Calls ``hook(optimizer, args, kwargs)`` before the step."""
        return _register(self._optimizer_step_pre_hooks, hook)

    def register_step_post_hook(self, hook):
        """Calls ``hook(optimizer, args, kwargs)`` after the step."""
        return _register(self._optimizer_step_post_hooks, hook)

    def register_state_dict_pre_hook(self, hook, prepend=False):
        """Calls ``hook(optimizer)`` before `state_dict`."""
        return _register(self._optimizer_state_dict_pre_hooks, hook, prepend)

    def register_state_dict_post_hook(self, hook, prepend=False):
        """Calls ``hook(optimizer, state_dict)`` after `state_dict`; it may return another."""
        return _register(self._optimizer_state_dict_post_hooks, hook, prepend)

    def register_load_state_dict_pre_hook(self, hook, prepend=False):
        """Calls ``hook(optimizer, state_dict)`` before loading; it may return another."""
        return _register(self._optimizer_load_state_dict_pre_hooks, hook, prepend)

    def register_load_state_dict_post_hook(self, hook, prepend=False):
        """Calls ``hook(optimizer)`` after loading."""
        return _register(self._optimizer_load_state_dict_post_hooks, hook, prepend)

    # -- state -----------------------------------------------------------------------------

    def state_dict(self):
        """The options and what is remembered, with parameters replaced by their numbers.

        >>> import flambeau as torch
        >>> opt = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.1)
        >>> opt.state_dict()["param_groups"][0]["params"]
        [0]
        """
        for hook in self._optimizer_state_dict_pre_hooks.values():
            hook(self)
        numbers = {}
        groups = []
        for group in self.param_groups:
            packed = {key: value for key, value in group.items() if key != "params"}
            for param in group["params"]:
                numbers.setdefault(id(param), len(numbers))
            packed["params"] = [numbers[id(param)] for param in group["params"]]
            groups.append(packed)
        state = {
            numbers[id(key)] if isinstance(key, Tensor) else key: value
            for key, value in self.state.items()
        }
        result = {"state": state, "param_groups": groups}
        for hook in self._optimizer_state_dict_post_hooks.values():
            new = hook(self, result)
            result = result if new is None else new
        return result

    def load_state_dict(self, state_dict):
        """Takes back what `state_dict` returned; the parameters must come in the same order."""
        state_dict = state_dict.copy()
        for hook in self._optimizer_load_state_dict_pre_hooks.values():
            new = hook(self, state_dict)
            state_dict = state_dict if new is None else new
        saved = [dict(group) for group in state_dict["param_groups"]]
        if len(saved) != len(self.param_groups):
            raise ValueError("loaded state dict has a different number of parameter groups")
        params = {}
        for ours, theirs in zip(self.param_groups, saved):
            if len(ours["params"]) != len(theirs["params"]):
                raise ValueError(
                    "loaded state dict contains a parameter group that doesn't match the size of "
                    "optimizer's group"
                )
            params.update(zip(theirs["params"], ours["params"]))
        state = defaultdict(dict)
        for key, value in state_dict["state"].items():
            if key in params:
                param = params[key]
                state[param] = {k: _fitted(v, k, param) for k, v in value.items()}
            else:
                state[key] = value
        groups = []
        for ours, theirs in zip(self.param_groups, saved):
            theirs = deepcopy({k: v for k, v in theirs.items() if k != "params"})
            theirs["params"] = ours["params"]
            if "param_names" in ours:
                theirs.setdefault("param_names", ours["param_names"])
            groups.append(theirs)
        self.__setstate__({"state": state, "param_groups": groups})
        for hook in self._optimizer_load_state_dict_post_hooks.values():
            hook(self)

    # -- work ------------------------------------------------------------------------------

    def zero_grad(self, set_to_none=True):
        """Takes the gradients of all parameters away, or sets them to zero."""
        for group in self.param_groups:
            for param in group["params"]:
                grad = param.grad
                if grad is None:
                    continue
                if set_to_none:
                    param.grad = None
                    continue
                if grad.grad_fn is not None:
                    grad.detach_()
                else:
                    grad.requires_grad_(False)
                grad.zero_()

    def step(self, closure=None):
        """Changes the parameters; each subclass defines it."""
        raise NotImplementedError


def _fitted(value, key, param):
    """A loaded value as it suits its parameter: the same device and, but for counts, dtype."""
    if isinstance(value, Tensor):
        if key == "step":
            return value.clone()
        if param.is_floating_point() and value.is_floating_point():
            return value.to(dtype=param.dtype, device=param.device, copy=True)
        return value.to(device=param.device, copy=True)
    if isinstance(value, dict):
        return {k: _fitted(v, k, param) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_fitted(v, key, param) for v in value)
    return value


def run_closure(closure):
    """The loss of a closure that computes gradients anew; None where there is none."""
    if closure is None:
        return None
    with torch.enable_grad():
        return closure()


def step_by(param, x, rate):
    """param - rate * x; the rate may be a tensor that the graph knows."""
    if isinstance(rate, Tensor):
        param.sub_(x * rate)
    else:
        param.add_(x, alpha=-rate)


def step_along(param, x, y, rate):
    """param - rate * x / y; the rate may be a tensor that the graph knows."""
    if isinstance(rate, Tensor):
        param.sub_(x / y * rate)
    else:
        param.addcdiv_(x, y, value=-rate)


def check_options(lr, eps=0.0, weight_decay=0.0, betas=()):
    """Complains about options that no optimizer can work with."""
    if isinstance(lr, Tensor) and lr.numel() != 1:
        raise ValueError("Tensor lr must be 1-element")
    if not 0.0 <= lr:
        raise ValueError(f"Invalid learning rate: {lr}")
    if not 0.0 <= eps:
        raise ValueError(f"Invalid epsilon value: {eps}")
    for i, beta in enumerate(betas):
        if not 0.0 <= beta < 1.0:
            raise ValueError(f"Invalid beta parameter at index {i}: {beta}")
    if not 0.0 <= weight_decay:
        raise ValueError(f"Invalid weight_decay value: {weight_decay}")


def check_ways(foreach, fused, differentiable):
    """Complains about ways to step that exclude each other; there is one here, which serves all."""
    if fused and differentiable:
        raise RuntimeError("`fused` does not support `differentiable`")
    if fused and foreach:
        raise RuntimeError("`fused` and `foreach` cannot be `True` together.")


class EachParameter(Optimizer):
    """The base of optimizers that treat each parameter by itself.

    A subclass names a formula of the native table, which steps all parameters in one pass, and
    the states that the formula works on; `_update` says the same in operators, for dtypes that
    the table does not know and for steps that are differentiated.
    """

    _formula = None
    _states = ()  # names, in the formula's order; up to three
    _numbers = ()  # names of further numbers kept for each parameter; up to two

    def step(self, closure=None):
        """Changes every parameter that has a gradient; returns the closure's loss."""
        loss = run_closure(closure)
        for group in self.param_groups:
            with torch.set_grad_enabled(bool(group.get("differentiable"))):
                self._step_group(group)
        return loss

    def _step_group(self, group):
        with_grad = [(param, grad) for param in group["params"] if (grad := param.grad) is not None]
        self._step_pairs(with_grad, group)

    def _step_pairs(self, pairs, group):
        """One step of parameters, each given with its gradient."""
        batches, rest = native_batches(pairs, group, self._formula is not None)
        for params, grads in batches:
            self._native_step(group, params, grads)
        for param, grad in rest:
            if grad.is_sparse:
                self._update_sparse(param, self._sparse_gradient(grad, group), group)
            else:
                self._update(param, self._gradient(param, grad, group), group)

    @classmethod
    def step_on(cls, group, params, grads, states, grad_scale=None, found_inf=None):
        """One step of parameters whose states are kept by the caller, as the functions take them.

        `states` has a list for each name, one value for each parameter; what a step makes anew
        is put into these lists.
        """
        if not all(isinstance(count, Tensor) for count in states.get("step", ())):
            raise RuntimeError(
                "API has changed, `state_steps` argument must contain a list of singleton tensors"
            )
        if found_inf is not None and found_inf.item() != 0:
            return
        if grad_scale is not None:
            grads = [grad / grad_scale for grad in grads]
        stepper = cls.__new__(cls)
        stepper.state = {
            param: {name: held[i] for name, held in states.items() if i < len(held)}
            for i, param in enumerate(params)
        }
        differentiable = bool(group.get("differentiable"))
        with torch.set_grad_enabled(differentiable and torch.is_grad_enabled()):
            stepper._step_pairs(list(zip(params, grads)), group)
        for name, held in states.items():
            for i in range(len(held)):
                held[i] = stepper.state[params[i]][name]

    def _native_step(self, group, params, grads):
        states = [self._state_of(param, group) for param in params]
        self._call_native(group, params, grads, states)

    def _call_native(self, group, params, grads, states, *flags):
        def column(names, i):
            if i >= len(names) or names[i] not in states[0]:
                return []
            return [state[names[i]] for state in states]

        decoupled = group.get("decoupled_weight_decay")
        _C._internal["_optimizer_step"](
            self._formula,
            params,
            grads,
            *(column(self._states, i) for i in range(3)),
            column(("step",), 0),
            *(column(self._numbers, i) for i in range(2)),
            [float(option) for option in self._options(group)] + [*flags],
            0.0 if decoupled else float(group.get("weight_decay", 0)),
            bool(group["maximize"]),
        )

    def _options(self, group):
        """The options as the formula numbers them."""
        raise NotImplementedError

    @staticmethod
    def _shrink(group):
        """What decoupled weight decay multiplies a parameter with."""
        decoupled = group["decoupled_weight_decay"]
        return 1 - group["lr"] * group["weight_decay"] if decoupled else 1.0

    def _state_of(self, param, group):
        state = self.state[param]
        if not state:
            state.update(self._fresh(param, group))
        return state

    def _fresh(self, param, group):
        """What is remembered for a parameter, before its first step."""
        return {}

    @staticmethod
    def _gradient(param, grad, group):
        """The gradient, negated to maximize, with the weight decay that adds to it."""
        grad = -grad if group.get("maximize") else grad
        decay = group.get("weight_decay", 0)
        if decay != 0 and not group.get("decoupled_weight_decay"):
            grad = grad.add(param, alpha=decay)
        return grad

    @staticmethod
    def _sparse_gradient(grad, group):
        """The gradient with each row once, negated to maximize."""
        if group.get("weight_decay", 0) != 0:
            raise RuntimeError("weight_decay option is not compatible with sparse gradients")
        grad = grad.coalesce()
        return -grad if group.get("maximize") else grad

    def _update_sparse(self, param, grad, group):
        """One step for a sparse gradient, of the rows that it has."""
        raise RuntimeError(
            f"{type(self).__name__} does not support sparse gradients, please consider SparseAdam "
            "instead"
        )

    def _count(self, state):
        """Counts a step; 0-d float32 tensors, as checkpoints have them."""
        step = state["step"]
        step.add_(1)
        return step.item()

    def _update(self, param, grad, group):
        """One step of one parameter; each subclass defines it."""
        raise NotImplementedError


_NATIVE = (torch.float32, torch.float64)


_plain_dispatch = torch.Tensor.__torch_dispatch__.__func__


def native_batches(pairs, group, native=True):
    """(parameter, gradient) pairs as lists that one native call takes, and those it does not.

    Returns [(parameters, gradients), ...] with one dtype each, and a list of pairs.
    """
    batches, rest = {}, []
    native = native and not group.get("differentiable")
    for pair in pairs:
        param, grad = pair
        dtype = param.dtype
        known = native and dtype in _NATIVE and grad.dtype is dtype and not grad.is_sparse
        if not known or type(param).__torch_dispatch__.__func__ is not _plain_dispatch:
            rest.append(pair)
            continue
        batch = batches.get(dtype)
        if batch is None:
            batch = batches[dtype] = ([], [])
        batch[0].append(param)
        batch[1].append(grad)
    return batches.values(), rest


def new_count():
    """A count of steps at its beginning."""
    return torch.tensor(0.0, dtype=torch.float32)
