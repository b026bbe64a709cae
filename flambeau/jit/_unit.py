"""The program of an archive: its files, classes and functions, translated as they are asked for."""

import ast
import collections
import enum

from flambeau import nn

from . import _operators
from ._modules import RecursiveScriptModule, ScriptObject, attribute, method_caller
from ._source import Refused, Translator, parse
from ._types import dotted

_MODULES = ("Module", "ModuleInterface")
_PLAIN = (str, int, float, bool, complex, type(None))


class Missing(RuntimeError):
    """A name that a program uses and does not define."""


class _Enumeration(enum.Enum):
    """Enumerations of archives."""


setattr(_Enumeration, ".value", property(lambda self: self.value))
setattr(_Enumeration, ".name", property(lambda self: self.name))


class Unit:
    """All code of an archive: `files` has the texts by name."""

    def __init__(self, files, constants=()):
        self.files = files
        self.constants, self.version = (), b"3\n"
        self._parameters = {}  # id of a tensor -> (it, its Parameter)
        self._files = {}  # namespace -> ({name: node}, text)
        self._found = {}  # qualified name -> class
        self._operators = {}
        # What translated functions see: operators, constants and each other. No builtins.
        self.globals = {"__builtins__": {}, **_operators.BASE}
        self.define(constants)

    def define(self, constants):
        """Sets the constants that the program names."""
        self.constants = constants
        for i, value in enumerate(constants):
            self.globals[f"CONSTANTS.c{i}"] = value

    def parameter(self, tensor):
        """The Parameter over a tensor: one, however many modules share it."""
        if isinstance(tensor, nn.Parameter):
            return tensor
        if id(tensor) not in self._parameters:
            made = nn.Parameter(tensor.detach(), requires_grad=tensor.requires_grad)
            self._parameters[id(tensor)] = tensor, made
        return self._parameters[id(tensor)][1]

    def attributes(self, node):
        """The attributes that a class declares: name -> type."""
        found = {}
        for each in _annotations(node):
            if not isinstance(each, ast.AnnAssign) or each.value is None:
                kind = each.annotation if isinstance(each, ast.AnnAssign) else each.value
                found[_name_of(each)] = kind
        return found

    # -- names -----------------------------------------------------------------------------------
    def _file(self, namespace):
        if namespace not in self._files:
            path = "code/" + namespace.replace(".", "/") + ".py"
            text = self.files.get(path)
            nodes = {}
            for node in parse(text, path).body if text is not None else ():
                if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
                    if node.decorator_list:
                        raise Refused(node, "a decorator")
                    nodes[node.name] = node
                elif not _is_version(node):
                    raise Refused(node, f"{type(node).__name__} outside of a function")
            self._files[namespace] = nodes, text
        return self._files[namespace]

    def _node(self, name):
        namespace, _, last = name.rpartition(".")
        return self._file(namespace)[0].get(last)

    def is_function(self, name):
        """Whether the archive has a function of that name."""
        return isinstance(self._node(name), ast.FunctionDef)

    def keep(self, value):
        """Enters a value for translated functions; returns its name there."""
        name = f"kept {len(self.globals)}"
        self.globals[name] = value
        return name

    def operator(self, namespace, name):
        """Enters an operator by its name, `aten` `add`; returns its name in the table."""
        key = f"{namespace}::{name}"
        if key not in self.globals:
            found = _operators.find(namespace, name)
            self.globals[key] = _operators.unknown(key) if found is None else found
        return key

    def value(self, name):
        """Enters what a qualified name stands for: a constant, function, class or enum's member."""
        if name in self.globals:
            return name
        if name.startswith("CONSTANTS."):
            raise Missing(f"jit.load(): the archive has no constant {name}")
        if name.startswith("__torch__.torch.classes."):
            self.globals[name] = _operators.unknown(name)
            return name
        if self.is_function(name):
            self.globals[name] = None  # a function may call itself
            self.globals[name] = self.compile(self._node(name), name)
            return name
        found = self.find(name)
        if found is None:
            found = self._member(name)
        elif not (isinstance(found, type) and issubclass(found, tuple)):
            raise Missing(f"jit.load(): {name} is used as a value")
        self.globals[name] = found
        return name

    def _member(self, name):
        """A member of an enumeration, or its value or name."""
        owner, _, member = name.rpartition(".")
        if member in ("value", "name") and self._node(owner) is None:
            return getattr(self._member(owner), member)
        found = self.find(owner) if owner else None
        if not isinstance(found, enum.EnumMeta) or member not in found.__members__:
            raise Missing(f"jit.load(): the archive does not define {name}")
        return found[member]

    def blank(self, name):
        """Enters the function that makes an object of a class without running its __init__."""
        key = "new " + name
        if key not in self.globals:
            if name.startswith("__torch__.torch.classes."):
                self.globals[key] = _operators.unknown(name)
                return key
            found = self.find(name)
            if not isinstance(found, type) or not issubclass(found, ScriptObject):
                raise Missing(f"jit.load(): {name} is no class whose objects a script makes")
            self.globals[key] = lambda: found.__new__(found)
        return key

    # -- functions -------------------------------------------------------------------------------
    def compile(self, node, name):
        """The Python function of a definition."""
        try:
            tree = ast.fix_missing_locations(Translator(self).function(node, name))
            code = compile(tree, name, "exec", dont_inherit=True)
        except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError) as error:
            raise RuntimeError(f"jit.load(): cannot compile {name}: {error}") from None
        scope = {}
        exec(code, self.globals, scope)
        return scope[name]

    def source(self, namespace, node):
        """The text of a definition."""
        return ast.get_source_segment(self._file(namespace)[1], node)

    # -- classes ---------------------------------------------------------------------------------
    def find(self, name):
        """The class of that qualified name, or None."""
        if name not in self._found:
            node = self._node(name) if name.startswith("__torch__.") else None
            self._found[name] = self._class(name, node) if isinstance(node, ast.ClassDef) else None
        return self._found[name]

    def _class(self, name, node):
        base = dotted(node.bases[0]) if node.bases else None
        if len(node.bases) > 1 or node.keywords or base not in _CLASSES:
            raise Refused(node, f"a class that TorchScript lacks, {name}")
        return _CLASSES[base](self, name, node)

    def _interface(self, name, node):
        """Interfaces have no objects; whoever implements one is no subclass of it."""
        return _Interface

    def _tuple(self, name, node):
        fields = [each.target.id for each in _declared(node)]
        try:
            return collections.namedtuple(node.name, fields)
        except ValueError as error:
            raise Refused(node, str(error)) from None

    def _enum(self, name, node):
        members = {}
        for each in node.body:
            if isinstance(each, ast.Assign) and isinstance(each.targets[0], ast.Name):
                value = _literal(each.value)
                if not isinstance(value, _PLAIN) or each.targets[0].id.startswith("_"):
                    raise Refused(each, "a member of an enumeration")
                members[each.targets[0].id] = value
        made = _Enumeration(node.name, members)
        made._qualified_name = name
        return made

    def _object(self, name, node):
        names = [_name_of(each) for each in _annotations(node)]
        made = type(node.name, (ScriptObject,), {"original_name": node.name})
        made._qualified_name, made._unit, made._node = name, self, node
        for each in names:
            setattr(made, "." + each, attribute(each, None))
        self._found[name] = made  # its own methods name it
        self._enter_methods(made, name, node)
        return made

    def _module(self, name, node):
        lists = {
            each.targets[0].id: _literal(each.value)
            for each in node.body
            if isinstance(each, ast.Assign) and isinstance(each.targets[0], ast.Name)
        }
        annotations = {_name_of(each): each for each in _annotations(node)}
        constants = {
            key: _literal(each.value)
            for key, each in annotations.items()
            if isinstance(each, ast.AnnAssign) and each.value is not None
        }
        names = dict.fromkeys(k for k in annotations if k not in constants)
        parameters = lists.get("__parameters__") or []
        buffers = lists.get("__buffers__")
        for key, each in annotations.items():
            if key in names:
                names[key] = self._place(key, each, parameters, buffers)
        made = type(
            "RecursiveScriptModule",
            (RecursiveScriptModule,),
            {
                "original_name": node.name,
                "_places": names,
                "_constants": constants,
                "_qualified_name": name,
                "_unit": self,
                "_node": node,
            },
        )
        for key, place in names.items():
            setattr(made, "." + key, attribute(key, place))
        for key, value in constants.items():
            setattr(made, "." + key, value)
        self._found[name] = made
        self._enter_methods(made, name, node)
        return made

    def _place(self, key, node, parameters, buffers):
        """Where a module keeps an attribute: the name of the dictionary, or None for its own."""
        kind = node.annotation if isinstance(node, ast.AnnAssign) else node.value
        text = dotted(kind)
        if key in parameters:
            return "_parameters"
        if key in (buffers or ()) or (buffers is None and text == "Tensor"):
            return "_buffers"
        if text and text.startswith("__torch__."):
            other = self._node(text)
            bases = other.bases if isinstance(other, ast.ClassDef) else ()
            if any(dotted(base) in _MODULES for base in bases):
                return "_modules"
        return None

    def _enter_methods(self, made, name, node):
        for each in node.body:
            if isinstance(each, ast.FunctionDef):
                function = self.compile(each, f"{name}.{each.name}")
                setattr(made, "()" + each.name, function)
                public = method_caller(self, each, function, issubclass(made, ScriptObject))
                if public is not None and (each.name == "forward" or not hasattr(made, each.name)):
                    setattr(made, each.name, public)
            elif not isinstance(each, (ast.Assign, ast.AnnAssign, ast.Pass)):
                raise Refused(each, f"{type(each).__name__} in a class")


class _Interface:
    """What an interface is found as."""


_CLASSES = {
    None: Unit._object,
    "Module": Unit._module,
    "ModuleInterface": Unit._interface,
    "Interface": Unit._interface,
    "NamedTuple": Unit._tuple,
    "Enum": Unit._enum,
}


def _is_version(node):
    """`op_version_set = 1`, as archives of before PyTorch 1.6 begin."""
    return isinstance(node, ast.Assign) and dotted(node.targets[0]) == "op_version_set"


def _declared(node):
    return [
        each
        for each in node.body
        if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name)
    ]


def _annotations(node):
    """The declarations `name : type` and `__annotations__["name"] = type` of a class."""
    found = list(_declared(node))
    for each in node.body:
        target = each.targets[0] if isinstance(each, ast.Assign) else None
        if isinstance(target, ast.Subscript) and dotted(target.value) == "__annotations__":
            found.append(each)
    return found


def _name_of(node):
    """The name that a declaration declares."""
    if isinstance(node, ast.AnnAssign):
        return node.target.id
    name = _literal(node.targets[0].slice)
    if not isinstance(name, str):
        raise Refused(node, "a declaration of something else than a name")
    return name


def _literal(node):
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return None
