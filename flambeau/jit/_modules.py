"""What programs of archives are made of: modules, objects of their classes, their methods."""

import ast

from flambeau import Tensor, nn

from ._types import Types, dotted, is_optional

_OWN = frozenset(vars(nn.Module())) - {"training", "_is_full_backward_hook"}
_DUNDERS = ("__len__", "__contains__", "__getitem__")


def attribute(name, place):
    """How a script reads and writes an attribute; place: a dictionary of the module, or None."""
    if place is None:

        def get(self):
            try:
                return self.__dict__[name]
            except KeyError:
                raise RuntimeError(f"the attribute {name!r} was never set") from None

        def put(self, value):
            self.__dict__[name] = value
    else:

        def get(self):
            return self.__dict__[place][name]

        def put(self, value):
            self.__dict__[place][name] = value

    return property(get, put)


class ScriptModule(nn.Module):
    """A module that is a TorchScript program, or a base for modules written for TorchScript."""


class RecursiveScriptModule(ScriptModule):
    """A module of a program in an archive: what `jit.load` gives.

    Parameters, buffers and submodules are those of any Module; methods besides forward, attributes
    and constants of the program are attributes. `code` is the source of forward.
    """

    _places, _constants, _unit, _node = {}, {}, None, None
    original_name = "RecursiveScriptModule"

    def __new__(cls, *args, **kwargs):
        made = super().__new__(cls)
        if cls._unit is not None:
            nn.Module.__init__(made)
        return made

    def __init__(self, *args, **kwargs):
        if self._unit is None:
            super().__init__(*args, **kwargs)

    def _fill(self, state):
        """Sets the attributes that an archive has for the module."""
        for name in state:
            if name not in self._places or name in _OWN or name.startswith("__"):
                raise RuntimeError(
                    f"jit.load(): {self.original_name} of the archive has no attribute {name!r}"
                )
        for name, place in self._places.items():
            value = state.get(name)
            if place is None:
                self.__dict__[name] = value
                continue
            kinds = nn.Module if place == "_modules" else Tensor
            if value is not None and not isinstance(value, kinds):
                raise RuntimeError(
                    f"jit.load(): {name!r} of {self.original_name} is a {type(value).__name__}"
                )
            if place == "_parameters" and isinstance(value, Tensor):
                value = self._unit.parameter(value)
            self.__dict__[place][name] = value

    def __getattr__(self, name):
        if name in type(self)._constants:
            return self._constants[name]
        return super().__getattr__(name)

    @property
    def code(self):
        """The source of forward."""
        return self._source("forward")

    @property
    def code_with_constants(self):
        """(source of forward, the constants that it names)."""
        found = {
            name.partition(".")[2]: value
            for name, value in self._unit.globals.items()
            if name.startswith("CONSTANTS.") and name in self.code
        }
        return self.code, found

    def _source(self, method):
        for each in self._node.body:
            if isinstance(each, ast.FunctionDef) and each.name == method:
                namespace = self._qualified_name.rpartition(".")[0]
                lines = self._unit.source(namespace, each).splitlines()
                owner = each.args.args[0]
                lines[0] = lines[0].replace(f"{owner.arg}: {dotted(owner.annotation)}", owner.arg)
                return "\n".join([lines[0], *(line[2:] for line in lines[1:])]) + "\n"
        raise AttributeError(f"{self.original_name} has no method {method!r}")

    def _state(self):
        """The attributes by name, wherever they are kept."""
        return {
            name: (self.__dict__ if place is None else self.__dict__[place]).get(name)
            for name, place in self._places.items()
        }

    def _get_name(self):
        return "RecursiveScriptModule"

    def extra_repr(self):
        return f"original_name={self.original_name}"

    def save(self, f, _extra_files=None):
        """Writes the program and its parameters to an archive at a path."""
        from ._write import save

        save(self, f, _extra_files)

    def save_to_buffer(self, _extra_files=None):
        """The bytes of the archive that `save` writes."""
        import io

        file = io.BytesIO()
        self.save(file, _extra_files)
        return file.getvalue()


class ScriptObject:
    """An object of a class that is defined in an archive."""

    def _fill(self, state):
        restore = getattr(self, "()__setstate__", None)
        if restore is not None:
            restore(state)
            return
        for name in state:
            if not hasattr(type(self), "." + name):
                raise RuntimeError(f"jit.load(): {self.original_name} has no attribute {name!r}")
        self.__dict__.update(state)

    def _state(self):
        return self.__dict__


def method_caller(unit, node, function, plain):
    """A method as Python calls it: arguments checked as TorchScript does; None if it has none."""
    name = node.name
    if name.startswith("__") and (plain or name not in _DUNDERS):
        return None
    types = Types(unit)
    arguments = node.args.args[1:]
    checks = [(a.arg, types.check(a.annotation), a.annotation) for a in arguments]
    floats = {a.arg for a in arguments if dotted(a.annotation) == "float"}
    names = [a.arg for a in arguments]
    required = names[: len(names) - len(node.args.defaults)]

    def call(self, *args, **kwargs):
        if len(args) > len(names):
            raise RuntimeError(
                f"{name}() expected at most {len(names) + 1} argument(s) but received "
                f"{len(args) + 1} argument(s)"
            )
        given = dict(zip(names, args, strict=False))
        for key, value in kwargs.items():
            if key not in names or key in given:
                raise RuntimeError(f"{name}() got an unknown or repeated keyword argument {key!r}")
            given[key] = value
        for key in required:
            if key not in given:
                raise RuntimeError(f"{name}() is missing value for argument '{key}'")
        for key, check, kind in checks:
            if key not in given:
                continue
            value = given[key]
            if key in floats and type(value) is int:
                given[key] = float(value)
            elif not check(value):
                given[key] = _accepted(name, key, value, check, kind)
        return function(self, **given)

    call.__name__ = call.__qualname__ = name
    call._argument_names = names
    return call


def _as_floats(value):
    if type(value) is int:
        return float(value)
    if isinstance(value, (list, tuple)):
        return [_as_floats(each) for each in value]
    return value


def _accepted(method, key, value, check, kind):
    """A value of another type that TorchScript takes all the same, or RuntimeError."""
    if isinstance(value, tuple) and (check(list(value)) or is_optional(kind)):
        return list(value) if check(list(value)) else value
    if isinstance(value, list) and check(tuple(value)):
        return tuple(value)
    if isinstance(value, dict) and check(dict(value)):
        return dict(value)
    if type(value) is bool and check(int(value)):
        return int(value)
    numbers = _as_floats(value)
    if check(numbers):
        return numbers
    raise RuntimeError(
        f"{method}() Expected a value of type '{ast.unparse(kind)}' for argument '{key}' but "
        f"instead found type '{type(value).__name__}'"
    )
