"""Operators as TorchDispatchMode and torch.ops name them: aten.add.Tensor, aten.mm.default."""

from . import _C

_known = {}
_ALIASES = {  # records whose operator PyTorch calls otherwise
    "_conv_output": "convolution",
    "_conv_input": "convolution",
    "_cross_entropy": "cross_entropy_loss",
    "_nll_loss": "nll_loss",
    "_layer_norm": "native_layer_norm",
    "_batch_norm": "native_batch_norm",
    "_batched_products": "bmm",
    "to_copy": "_to_copy",
    "pin_memory": "_pin_memory",
    "linear": "addmm",
    "softmax": "_softmax",
    "_item": "_local_scalar_dense",
    "log_softmax": "_log_softmax",
}


def _function(name):
    """What runs an operator of that name, or None."""
    from . import _ops

    for prefix in ("", "nn.functional.", "special.", "linalg.", "fft."):
        found = _ops.functions.get(prefix + name) or _ops.methods.get(name)
        if found is not None:
            return found
    return _ops.internal.get(name) or _composed(name)


def _composed(name):
    """Operators of PyTorch that are other functions here, or None."""
    import flambeau

    if name.startswith("_foreach_"):
        return getattr(flambeau, name, None)
    place = {
        "_assert_async": "_assert_async",
        "_conj": "conj",
        "_is_all_true": "all",
        "_local_scalar_dense": "Tensor.item",
        "_sparse_addmm": "sparse.addmm",
        "_sparse_mm_reduce_impl": "sparse.mm",
        "_unsafe_view": "Tensor.view",
        "fill_diagonal_": "Tensor.fill_diagonal_",
        "layer_norm": "nn.functional.layer_norm",
        "scaled_dot_product_attention": "nn.functional.scaled_dot_product_attention",
        "sym_size": "Tensor.size",
    }.get(name)
    found = flambeau if place else None
    for part in place.split(".") if place else ():
        found = getattr(found, part)
    return found


def is_known(name):
    """Whether torch.ops.aten has the name: of an operator, or as PyTorch calls one."""
    return name in _ALIASES.values() or _function(name) is not None


class OpOverload:
    """One operator: `torch.ops.aten.mm.default`. Called, it runs."""

    def __init__(self, namespace, name, overload):
        self.namespace, self._opname, self._overloadname = namespace, name, overload
        self.__name__ = self.__qualname__ = f"{name}.{overload}"
        self.__module__ = f"torch._ops.{namespace}"

    @property
    def overloadpacket(self):
        return OpOverloadPacket(self.namespace, self._opname)

    def name(self):
        tail = "" if self._overloadname == "default" else "." + self._overloadname
        return f"{self.namespace}::{self._opname}{tail}"

    def __call__(self, *args, **kwargs):
        record = _running.get(self)
        if record is not None:
            full = list(args) + [None] * (len(record.arguments) - len(args))
            for key, value in kwargs.items():
                full[record.position[key]] = value
            for i, argument in enumerate(record.arguments):
                if i >= len(args) and argument[0] not in kwargs and argument[3] is not ...:
                    full[i] = argument[3]
            return record.call(full, self._opname.endswith("_"))
        from .jit import _operators

        # by aten's own arguments, which a few of our functions have in another order
        function = _operators.find("aten", self._opname) or _function(self._opname)
        if function is None:
            raise AttributeError(f"flambeau has no operator {self}")
        return function(*args, **kwargs)

    def __repr__(self):
        return (
            f"<OpOverload(op='{self.namespace}.{self._opname}', overload='{self._overloadname}')>"
        )

    def __str__(self):
        return f"{self.namespace}.{self._opname}.{self._overloadname}"


class OpOverloadPacket:
    """All overloads of an operator: `torch.ops.aten.mm`."""

    def __init__(self, namespace, name):
        self._namespace, self._name = namespace, name
        self.__name__ = name

    def __getattr__(self, overload):
        if overload.startswith("__"):
            raise AttributeError(overload)
        return overload_of(self._namespace, self._name, overload)

    def __call__(self, *args, **kwargs):
        return overload_of(self._namespace, self._name, "default")(*args, **kwargs)

    def overloads(self):
        return ["default"]

    def __eq__(self, other):
        return isinstance(other, OpOverloadPacket) and str(self) == str(other)

    def __hash__(self):
        return hash(str(self))

    def __str__(self):
        return f"{self._namespace}.{self._name}"


_running = {}  # the records behind the operators that a mode was given


def record_of(operator):
    """The record behind an operator that came to a mode; None for others."""
    return _running.get(operator)


def overload_of(namespace, name, overload):
    key = namespace, name, overload
    if key not in _known:
        _known[key] = OpOverload(*key)
    return _known[key]


def operator_of(record, args, inplace=False):
    """The operator that a call of a record is."""
    name = record.name.rpartition(".")[2]
    overload = "default"
    second = record.arguments[1] if len(record.arguments) > 1 else None
    if name == "linear" and args[2] is None:
        name = "mm"
    elif name in _ALIASES:
        name = _ALIASES[name]
    elif record.pointwise and second is not None and second[0] in ("other", "exponent"):
        number = not isinstance(args[1], _C.Tensor)
        overload = (
            f"Tensor_{'Scalar' if number else 'Tensor'}"
            if name == "pow"
            else ("Scalar" if number and name not in ("add", "sub", "mul", "div") else "Tensor")
        )
    elif name in ("sum", "mean") and args[1] is not None:
        overload = "dim_IntList" if name == "sum" else "dim"
    elif name in ("select", "slice"):
        overload = "int" if name == "select" else "Tensor"
    if inplace and not name.endswith("_"):
        name += "_"
    operator = overload_of("aten", name, overload)
    if name != "_local_scalar_dense":  # which gives a number
        _running[operator] = record
    return operator
