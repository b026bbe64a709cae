"""Recording a run as a list of operators in aten's terms, which archives and exports are made of.

A trace sees the calls of flambeau's functions; those made of others are taken apart unless aten has
them. Sizes are numbers that remember what they were computed from, so that programs with `x.shape`
in them run on other sizes. Everything else that is no tensor becomes a constant.
"""

import inspect

import flambeau
from flambeau import _C, Tensor, nn
from flambeau.nn.modules.rnn import RNNBase
from flambeau.overrides import TorchFunctionMode, resolve_name

from . import _lower

_GETTERS = {"T": "numpy_T", "mT": "mT", "H": "matrix_H", "mH": "mH", "data": "detach"}


class Value:
    """A tensor of the trace: where it comes from, and its example."""

    def __init__(self, kind, example, path=None):
        self.kind, self.example, self.path = kind, example, path  # input, node, attr, const
        self.uses = 0


class Call:
    """One operator: its name in aten, its arguments and the values it gives."""

    def __init__(self, name, args, kwargs):
        self.name, self.args, self.kwargs = name, args, kwargs
        self.results = []
        self.listed = False  # whether the results come in a list

    @property
    def writes(self):
        """Whether it changes an argument."""
        return self.name.endswith("_") and not self.name.endswith("__")


class SizeNumber(int):
    """A number that was computed from sizes: `source` is (operator, operands)."""

    def __new__(cls, value, source):
        made = super().__new__(cls, value)
        made.source = source
        return made


def _sized(name, function):
    def forward(self, other):
        found = function(self, other)
        if type(found) is int and type(other) in (int, SizeNumber):
            return SizeNumber(found, (name, (self, other)))
        return found

    def backward(self, other):
        found = function(other, self)
        if type(found) is int and type(other) is int:
            return SizeNumber(found, (name, (other, self)))
        return found

    return forward, backward


for _method, _name in (
    ("add", "add"),
    ("sub", "sub"),
    ("mul", "mul"),
    ("floordiv", "floordiv"),
    ("mod", "remainder"),
):
    _plain = getattr(int, f"__{_method}__")
    _both = _sized(_name, _plain)
    setattr(SizeNumber, f"__{_method}__", _both[0])
    setattr(SizeNumber, f"__r{_method}__", _both[1])
SizeNumber.__neg__ = lambda self: SizeNumber(-int(self), ("neg", (self,)))


class Trace(TorchFunctionMode):
    """A run under way: `calls` in their order, values by the tensors that they stand for."""

    def __init__(self, module=None):
        self.calls, self.constants, self.inputs = [], [], []
        self.refused = []  # operators that aten has no name for
        self.state = []  # the values of the module's parameters and buffers
        self._values = {}  # id of a tensor -> Value
        self._alive = []  # so that no id is given out twice
        if module is not None:
            self._enter_state(module)

    def _enter_state(self, module):
        for kind in (module.named_parameters, module.named_buffers):
            for path, tensor in kind():
                self.state.append(self._set(tensor, Value("attr", tensor, path)))

    def _set(self, tensor, value):
        self._values[id(tensor)] = value
        self._alive.append(tensor)
        return value

    def input(self, tensor, path):
        """Enters a tensor that the program is given."""
        made = self._set(tensor, Value("input", tensor, path))
        self.inputs.append(made)
        return made

    def value(self, tensor):
        """The value of a tensor; one that was never seen is a constant."""
        found = self._values.get(id(tensor))
        if found is None:
            found = self._set(tensor, Value("const", tensor.detach().clone(), len(self.constants)))
            self.constants.append(found)
        return found

    # -- recording -------------------------------------------------------------------------------
    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        name = getattr(func, "__name__", None)
        if name == "__get__":
            return self._get(func, args[0])
        if name in _lower.UNSEEN:
            return func(*args, **kwargs)
        rule = _lower.RULES.get(name)
        inner = getattr(func, "__wrapped__", None)
        if rule is None and inner is not None:
            with self:
                return inner(*args, **kwargs)
        before = len(self.calls)
        if rule is None:
            call = self._plain(func, name, args, kwargs)
        else:
            call = rule(self, *args, **kwargs)
            if call is NotImplemented:  # aten has no such form
                del self.calls[before:]
                with self:
                    return inner(*args, **kwargs)
        found = func(*args, **kwargs)
        self._bind(call, found)
        return found

    def _plain(self, func, name, args, kwargs):
        """An operator that has the same arguments in aten."""
        if name.startswith("_"):
            self.refused.append(name)
        if name in _lower.LISTS and len(args) > 1 and isinstance(args[1], int):
            args = (args[0], list(args[1:]))
        elif name in _lower.FACTORIES and args and isinstance(args[0], int):
            args = (list(args),)
        place = (resolve_name(func) or "").split(".")[-2:-1]
        if place and place[0] in ("linalg", "special", "fft"):
            name = f"{place[0]}_{name}"
        kwargs = {k: v for k, v in kwargs.items() if v is not None and k not in _lower.DROPPED}
        return self.emit(name, *args, **kwargs)

    def emit(self, name, *args, **kwargs):
        """Adds a call; returns it."""
        call = Call(name, self._refer(args), {k: self._refer(v) for k, v in kwargs.items()})
        self.calls.append(call)
        return call

    def step(self, name, example, *args, **kwargs):
        """Adds a call within a rule; returns a stand-in for its result."""
        call = self.emit(name, *args, **kwargs)
        value = Value("node", example)
        call.results = [value]
        return value

    def _refer(self, argument):
        if isinstance(argument, Tensor):
            return self.value(argument)
        if isinstance(argument, (tuple, list)):
            return [self._refer(each) for each in argument]
        return argument

    def _bind(self, call, found):
        """Gives the results of a call their values."""
        if call is None:
            return
        if isinstance(found, Tensor):
            call.results = [self._set(found, Value("node", found))]
            if call.name.startswith("adaptive_max_pool"):  # aten always gives the places, too
                call.results.append(Value("node", None))
        elif isinstance(found, (tuple, list)) and all(isinstance(t, Tensor) for t in found):
            call.listed = call.name in _lower.LISTED
            call.results = [self._set(t, Value("node", t)) for t in found]
        elif call in self.calls and not call.writes:  # numbers are constants
            self.calls.remove(call)

    def _get(self, getter, tensor):
        found = getter(tensor)
        owner = getattr(getter, "__self__", None)
        name = getattr(owner, "__name__", None)
        if name == "shape":
            value = self.value(tensor)
            return flambeau.Size(SizeNumber(n, ("size", (value, i))) for i, n in enumerate(found))
        if name in _GETTERS and isinstance(found, Tensor):
            self._bind(self.emit(_GETTERS[name], tensor), found)
        return found

    # -- what a run needs around it --------------------------------------------------------------
    def run(self, function, args, kwargs):
        """The result of the function, recorded."""
        size, forward = Tensor.size, RNNBase.forward
        trace = self

        def traced_size(tensor, dim=None):
            return tensor.shape if dim is None else tensor.shape[dim]

        def traced_forward(module, input, hx=None):
            return trace._recurrent(forward, module, input, hx)

        Tensor.size, RNNBase.forward = traced_size, traced_forward
        try:
            with self:
                return function(*args, **kwargs)
        finally:
            Tensor.size, RNNBase.forward = size, forward

    def _recurrent(self, forward, module, input, hx):
        """LSTM, GRU and RNN are one operator each."""
        if not isinstance(input, Tensor) or input.dim() != 3 or module.proj_size:
            return forward(module, input, hx)
        lstm = module.mode == "LSTM"
        batch = input.size(0 if module.batch_first else 1)
        if hx is None:
            shape = [module.num_layers * (2 if module.bidirectional else 1), batch]
            shape.append(module.hidden_size)
            zeros = flambeau.zeros(shape, dtype=input.dtype, device=input.device)
            hx = (zeros, zeros) if lstm else zeros
        with _C.DisableTorchFunctionSubclass():
            output, state = forward(module, input, hx)
        call = self.emit(
            module.mode.lower(), input, list(hx) if lstm else hx, module._flat_weights,
            module.bias, module.num_layers, float(module.dropout), module.training,
            module.bidirectional, module.batch_first,
        )  # fmt: skip
        self._bind(call, (output, *state) if lstm else (output, state))
        return output, state

    def finish(self, outputs):
        """Drops calls that nothing needs and counts the uses of values."""
        kept, needed = [], {id(v) for v in values_in(outputs)}
        for call in reversed(self.calls):
            if call.writes or any(id(v) in needed for v in call.results):
                kept.append(call)
                needed.update(id(v) for v in values_in([call.args, call.kwargs]))
        self.calls = kept[::-1]

    def outputs(self, found):
        """What the function gave, with values for its tensors."""
        if isinstance(found, Tensor):
            return self.value(found)
        if isinstance(found, dict):
            return {str(k): self.outputs(v) for k, v in found.items() if v is not None}
        if isinstance(found, tuple):
            return tuple(self.outputs(each) for each in found)
        if isinstance(found, list):
            return [self.outputs(each) for each in found]
        if found is None or isinstance(found, (int, float, bool, str)):
            return found
        raise RuntimeError(f"trace(): a result of type {type(found).__name__} cannot be recorded")


def active():
    """The trace that is being recorded, or None."""
    from ..overrides import _get_current_function_mode_stack

    return next((m for m in _get_current_function_mode_stack() if isinstance(m, Trace)), None)


def values_in(tree):
    """All values in nested arguments, those behind sizes too."""
    if isinstance(tree, Value):
        yield tree
    elif isinstance(tree, SizeNumber):
        yield from values_in(list(tree.source[1]))
    elif isinstance(tree, (list, tuple)):
        for each in tree:
            yield from values_in(each)
    elif isinstance(tree, dict):
        for each in tree.values():
            yield from values_in(each)


def record(function, args, kwargs=None):
    """(the trace, names and values of the inputs, the outputs) of one run of a function."""
    kwargs = kwargs or {}
    module = function if isinstance(function, nn.Module) else getattr(function, "__self__", None)
    trace = Trace(module if isinstance(module, nn.Module) else None)
    called = function.forward if isinstance(function, nn.Module) else function
    names = _names(called, args, kwargs)
    fresh = _fresh(list(args)), {k: _fresh(v) for k, v in kwargs.items()}
    given = dict(zip(names, [*fresh[0], *fresh[1].values()], strict=True))
    inputs = {name: _enter(trace, value, name) for name, value in given.items()}
    found = trace.run(function, *fresh)
    outputs = trace.outputs(found)
    trace.finish(outputs)
    return trace, inputs, outputs


def _names(function, args, kwargs):
    known = getattr(function, "_argument_names", None)  # a method of an archive
    if known is not None:
        return [*known[: len(args)], *kwargs]
    try:
        bound = inspect.signature(function).bind(*args, **kwargs)
    except (ValueError, TypeError):
        return [f"argument_{i}" for i in range(len(args) + len(kwargs))]
    found = []
    for name, value in bound.arguments.items():
        kind = bound.signature.parameters[name].kind
        if kind is inspect.Parameter.VAR_POSITIONAL:
            found += [f"{name}_{i}" for i in range(len(value))]
        elif kind is inspect.Parameter.VAR_KEYWORD or name in kwargs:
            continue
        else:
            found.append(name)
    return found + list(kwargs)


def _fresh(tree):
    """The arguments as tensors of their own, which no parameter is."""
    if isinstance(tree, Tensor):
        return tree.detach().requires_grad_(tree.requires_grad)
    if isinstance(tree, dict):
        return {key: _fresh(value) for key, value in tree.items()}
    if isinstance(tree, (list, tuple)):
        return type(tree)([_fresh(each) for each in tree])
    return tree


def _enter(trace, tree, path):
    if isinstance(tree, Tensor):
        return trace.input(tree, path)
    if isinstance(tree, dict):
        return {key: _enter(trace, each, f"{path}_{key}") for key, each in tree.items()}
    if isinstance(tree, (list, tuple)):
        return type(tree)([_enter(trace, each, f"{path}_{i}") for i, each in enumerate(tree)])
    return tree
