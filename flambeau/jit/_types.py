"""Types as the source of an archive writes them: what `isinstance` asks, what a caller may pass."""

import ast

import flambeau

from ..futures import Future

_PLAIN = {
    "Tensor": flambeau.Tensor,
    "int": int,
    "float": float,
    "bool": bool,
    "str": str,
    "complex": complex,
    "number": (int, float, complex),
    "Scalar": (int, float, complex),
    "NoneType": type(None),
    "None": type(None),
    "Device": flambeau.device,
    "Generator": flambeau.Generator,
}


def dotted(node):
    """`a.b.c` as text, or None for anything else."""
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return None
    return ".".join([node.id, *reversed(parts)])


def _anything(value):
    return True


def _exactly(kinds):
    if kinds is int:  # a bool is none in TorchScript
        return lambda value: type(value) is int
    return lambda value: isinstance(value, kinds)


class Types:
    """Types of one archive as functions value -> whether it is of that type."""

    def __init__(self, unit):
        self._unit = unit

    def check(self, node):
        """The function behind a type's node."""
        if isinstance(node, ast.Constant) and node.value is None:
            return _exactly(type(None))
        if isinstance(node, ast.Subscript):
            return self._generic(node)
        name = dotted(node)
        if name in _PLAIN:
            return _exactly(_PLAIN[name])
        if name and name.startswith("__torch__."):
            return self._own(name)
        return {"list": _exactly(list), "tuple": _exactly(tuple)}.get(name, _anything)

    def _own(self, name):
        kind = self._unit.find(name)
        return _exactly(kind) if isinstance(kind, type) else _anything

    def _generic(self, node):
        outer = dotted(node.value)
        inner = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        checks = [self.check(each) for each in inner]
        if outer == "List":
            return lambda v: isinstance(v, list) and all(map(checks[0], v))
        if outer == "Dict":
            return lambda v: (
                isinstance(v, dict)
                and all(map(checks[0], v.keys()))
                and all(map(checks[1], v.values()))
            )
        if outer == "Tuple":
            return lambda v: (
                isinstance(v, tuple)
                and len(v) == len(checks)
                and all(check(x) for check, x in zip(checks, v, strict=True))
            )
        if outer == "Optional":
            return lambda v: v is None or checks[0](v)
        if outer == "Union":
            return lambda v: any(check(v) for check in checks)
        if outer == "Future":
            return _exactly(Future)
        return _anything


def is_optional(node):
    """Whether a type is Optional[...], Union[...] or NoneType."""
    if isinstance(node, ast.Subscript):
        return dotted(node.value) in ("Optional", "Union")
    return dotted(node) in ("NoneType", "Any", None)
