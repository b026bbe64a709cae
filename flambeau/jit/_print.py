"""From a trace to the source of an archive, and to the module that runs it."""

import keyword

import flambeau
from flambeau import Tensor, nn

from ._trace import SizeNumber, Value
from ._unit import Unit
from ._values import FORMATS, NUMBERS


def _type_of(tree):
    """The type of nested values, as archives write it."""
    if isinstance(tree, (Value, Tensor)):
        return "Tensor"
    if isinstance(tree, dict):
        kinds = {_type_of(each) for each in tree.values()} or {"Tensor"}
        return f"Dict[str, {_one(kinds, 'dictionary')}]"
    if isinstance(tree, tuple):
        return f"Tuple[{', '.join(map(_type_of, tree))}]" if tree else "Tuple[()]"
    if isinstance(tree, list):
        return f"List[{_one({_type_of(each) for each in tree} or {'Tensor'}, 'list')}]"
    return "NoneType" if tree is None else type(tree).__name__.replace("SizeNumber", "int")


def _one(kinds, what):
    if len(kinds) != 1:
        raise RuntimeError(f"trace(): a {what} of several types, {sorted(kinds)}")
    return kinds.pop()


def _text(value):
    """A text as a literal."""
    made = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'"{made}"'


class _Printer:
    """The source of forward, line by line."""

    def __init__(self, trace, inputs, outputs):
        self._names = {}  # id of a Value -> its name
        self._paths = {}  # path of a module or tensor -> its name
        self._taken = {"self", "torch", "ops", "inf", "nan"}
        self._count = 0
        arguments = []
        for name, tree in inputs.items():
            arguments.append((self._free(name), tree))
        self.lines = []
        for name, tree in arguments:
            self._unpack(name, tree)
        for call in trace.calls:
            self._call(call)
        result = self.expression(outputs)
        self.lines = [*self._loads, *self.lines, f"return {result}"]
        kinds = "".join(f",\n    {name}: {_type_of(tree)}" for name, tree in arguments)
        self.head = f"  def forward(self: {{owner}}{kinds}) -> {_type_of(outputs)}:"

    _loads = ()

    def text(self, owner):
        """The definition of forward in a class of that name."""
        return "\n".join([self.head.format(owner=owner), *(f"    {each}" for each in self.lines)])

    def _free(self, name):
        while name in self._taken or keyword.iskeyword(name):
            name += "_"
        self._taken.add(name)
        return name

    def _new(self):
        self._count += 1
        return self._free(f"_{self._count}")

    def _unpack(self, name, tree):
        """Names the tensors within an argument."""
        if isinstance(tree, Value):
            self._names[id(tree)] = name
        elif isinstance(tree, tuple) and tree:
            parts = [self._new() for _ in tree]
            self.lines.append(f"{', '.join(parts)}, = {name}")
            for part, each in zip(parts, tree, strict=True):
                self._unpack(part, each)
        elif isinstance(tree, (list, dict)):
            for key, each in tree.items() if isinstance(tree, dict) else enumerate(tree):
                part = self._new()
                at = _text(key) if isinstance(key, str) else key
                self.lines.append(f"{part} = {name}[{at}]")
                self._unpack(part, each)

    def _place(self, path):
        """The name of a module or tensor, loaded before all else."""
        if path not in self._paths:
            owner, _, name = path.rpartition(".")
            base = self._place(owner) if owner else "self"
            at = f"{base}.{name}" if name.isidentifier() else f"getattr({base}, {_text(name)})"
            made = self._new()
            self._loads = [*self._loads, f"{made} = {at}"]
            self._paths[path] = made
        return self._paths[path]

    def _call(self, call):
        parts = [self.expression(each) for each in call.args]
        parts += [f"{key}={self.expression(each)}" for key, each in call.kwargs.items()]
        line = f"torch.{call.name}({', '.join(parts)})"
        names = [self._new() for _ in call.results]
        for name, value in zip(names, call.results, strict=True):
            self._names[id(value)] = name
        if names:
            line = ", ".join(names) + ("," if call.listed else "") + " = " + line
        else:
            line = f"{self._new()} = {line}"
        self.lines.append(line)

    def expression(self, value):
        """Any argument or result."""
        if isinstance(value, Value):
            if value.kind == "attr":
                return self._place(value.path)
            if value.kind == "const":
                return f"CONSTANTS.c{value.path}"
            return self._names[id(value)]
        if isinstance(value, SizeNumber):
            name, operands = value.source
            return f"torch.{name}({', '.join(map(self.expression, operands))})"
        if isinstance(value, tuple):
            return "(" + "".join(self.expression(each) + ", " for each in value) + ")"
        if isinstance(value, list):
            if any(each is None for each in value):
                inner = ", ".join(map(self.expression, value))
                return f"annotate(List[Optional[Tensor]], [{inner}])"
            return "[" + ", ".join(map(self.expression, value)) + "]"
        if isinstance(value, dict):
            pairs = (f"{_text(k)}: {self.expression(v)}" for k, v in value.items())
            return "{" + ", ".join(pairs) + "}"
        return self._plain(value)

    def _plain(self, value):
        if isinstance(value, str):
            return _text(value)
        if isinstance(value, flambeau.dtype):
            return str(NUMBERS[value])
        if isinstance(value, flambeau.device):
            return f'torch.device("{value}")'
        if isinstance(value, flambeau.memory_format):
            return str(FORMATS.index(value))
        if isinstance(value, flambeau.layout):
            return "0"
        if value is None or isinstance(value, (bool, int, float, complex)):
            return repr(value)
        raise RuntimeError(f"trace(): an argument of type {type(value).__name__}")


class _Classes:
    """The classes of a module and those within it: attributes without methods."""

    def __init__(self):
        self.files = {}
        self._known = {}  # (class, attributes) -> qualified name

    def name(self, module, forward=None):
        """The qualified name of a module's class."""
        children = {
            key: self.name(child) for key, child in module._modules.items() if child is not None
        }
        parameters = {k: v for k, v in module._parameters.items() if v is not None}
        buffers = {k: v for k, v in module._buffers.items() if v is not None}
        attributes = {
            **dict.fromkeys([*parameters, *buffers], "Tensor"),
            "training": "bool",
            **children,
        }
        title = type(module).__name__.strip("_") or "Module"
        key = title, tuple(attributes.items()), tuple(parameters)
        if forward is None and key in self._known:
            return self._known[key]
        count = len(self._known)
        space = "__torch__" if forward else f"__torch__.___torch_mangle_{count}"
        self._known[key] = name = f"{space}.{title}"
        names = "".join(f"{_text(k)}, " for k in parameters)
        lines = [f"class {title}(Module):", f"  __parameters__ = [{names}]"]
        lines.append(f"  __buffers__ = [{''.join(f'{_text(k)}, ' for k in buffers)}]")
        for attribute, kind in attributes.items():
            plain = attribute.isidentifier() and not keyword.iskeyword(attribute)
            at = f"{attribute} : " if plain else f"__annotations__[{_text(attribute)}] = "
            lines.append(f"  {at}{kind}")
        if forward:
            lines.append(forward.text(name))
        self.files[f"code/{space.replace('.', '/')}.py"] = "\n".join(lines) + "\n"
        return name


def _filled(unit, names, module):
    """The modules of the program over the parameters and buffers of `module`."""
    made = unit.find(names(module))
    made = made.__new__(made)
    state = {"training": module.training}
    state.update((k, v) for k, v in module._parameters.items() if v is not None)
    state.update((k, v) for k, v in module._buffers.items() if v is not None)
    for key, child in module._modules.items():
        if child is not None:
            state[key] = _filled(unit, names, child)
    made._fill(state)
    return made


def program(trace, inputs, outputs, module=None):
    """The RecursiveScriptModule that a trace is."""
    if trace.refused:
        raise RuntimeError(
            "trace(): TorchScript has no operator for "
            + ", ".join(sorted({str(name) for name in trace.refused}))
        )
    module = module if module is not None else nn.Module()
    classes = _Classes()
    printed = _Printer(trace, inputs, outputs)
    qualified = {id(module): classes.name(module, printed)}
    constants = [value.example for value in trace.constants]
    unit = Unit(classes.files, constants)
    unit.version = b"10\n"

    def name(each):
        return qualified.get(id(each)) or classes.name(each)

    return _filled(unit, name, module)
