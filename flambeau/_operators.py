"""Operators under PyTorch's own names and arguments, where programs reach below its Python."""


class Operators:
    """A namespace: `gelu`, `linalg_norm`, `lstm` of aten, by name."""

    def __init__(self, name):
        self.__name__ = name

    def __getattr__(self, name):
        found = None if name.startswith("__") else find(name)
        if found is None:
            raise AttributeError(f"{self.__name__} has no attribute {name!r}")
        setattr(self, name, found)
        return found

    def __repr__(self):
        return f"<{self.__name__}>"


def find(name):
    """The function of an operator, or None."""
    import flambeau

    if name == "_parse_to":  # libraries read the arguments of their own `to` with it
        from .nn.modules.module import _parse_to

        return _parse_to

    from .jit import _operators

    return _operators.find("aten", name) or getattr(flambeau, name, None)


NAMESPACES = ("_VariableFunctions", "_nn", "_linalg", "_special", "_fft", "_sparse")
