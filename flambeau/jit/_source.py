"""From the source of an archive, a small part of Python's grammar, to Python functions.

What is run is not the archive's own syntax tree but one built here from the nodes that TorchScript
has. Every name in it is a local variable or an entry of the table that `Unit` keeps, whose keys
("torch.add", "()forward") are no identifiers, so that a program can neither reach nor hide them.
Attributes of objects are spelled ".name" and methods "()name", which only objects of scripts have.
"""

import ast

from ._types import Types, dotted

_LIMIT = 20_000_000  # characters of source in one file
_NUMBERS = (int, float, complex)
_CONSTANTS = {"inf": float("inf"), "nan": float("nan"), "infj": complex(0, float("inf"))}
_CALLS = ("int float bool str complex sorted print hash range").split()
_DROPPED = ("layout", "pin_memory", "generator")  # nothing to choose here
_CONVERTED = {"dtype": "as dtype", "out_dtype": "as dtype", "memory_format": "as memory format"}
_ROOTS = ("torch", "ops", "__torch__", "CONSTANTS")


def parse(text, name):
    """The syntax tree of a file of an archive; RuntimeError if it is none."""
    if len(text) > _LIMIT:
        raise RuntimeError(f"jit.load(): {name} is longer than {_LIMIT} characters")
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise RuntimeError(f"jit.load(): cannot parse {name}: {error}") from None


class Refused(RuntimeError):
    """A part of a program that is not TorchScript."""

    def __init__(self, node, what):
        line = getattr(node, "lineno", None)
        super().__init__(f"jit.load(): {what}" + (f" (line {line})" if line else ""))


def _load(name):
    return ast.Name(name, ast.Load())


def _call(name, *args):
    return ast.Call(_load(name), list(args), [])


class Translator:
    """One function of an archive, translated. `unit` resolves what is not local."""

    def __init__(self, unit):
        self.unit = unit
        self.types = Types(unit)
        self.aliases = {}  # local name -> qualified name of the function behind it
        self.locals = set()

    def function(self, node, name):
        """A module of one function definition, to be compiled."""
        self._collect(node)
        made = ast.FunctionDef(name, self._arguments(node.args), self._block(node.body), [], None)
        return ast.Module([made], [])

    def _collect(self, node):
        """The names that the function binds."""
        for each in ast.walk(node):
            if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store):
                self.locals.add(each.id)
            elif isinstance(each, ast.arg):
                self.locals.add(each.arg)
            elif isinstance(each, ast.FunctionDef) and each is not node:
                self.locals.add(each.name)

    def _arguments(self, args):
        if args.vararg or args.kwarg or args.posonlyargs:
            raise Refused(args, "a function with starred arguments")
        return ast.arguments(
            posonlyargs=[],
            args=[ast.arg(a.arg) for a in args.args],
            vararg=None,
            kwonlyargs=[ast.arg(a.arg) for a in args.kwonlyargs],
            kw_defaults=[None if d is None else self.expression(d) for d in args.kw_defaults],
            kwarg=None,
            defaults=[self.expression(d) for d in args.defaults],
        )

    # -- statements ------------------------------------------------------------------------------
    def _block(self, body):
        found = [made for node in body for made in self._statement(node)]
        return found or [ast.Pass()]

    def _statement(self, node):
        visit = _STATEMENTS.get(type(node))
        if visit is None:
            raise Refused(node, f"a statement {type(node).__name__}, which TorchScript lacks")
        made = visit(self, node)
        if made is None:
            return []
        for each in made if isinstance(made, list) else [made]:
            ast.copy_location(each, node)
        return made if isinstance(made, list) else [made]

    def _assign(self, node):
        if len(node.targets) != 1:
            raise Refused(node, "an assignment to several targets")
        (target,) = node.targets
        name = dotted(node.value)
        if isinstance(target, ast.Name) and name and name.startswith("__torch__."):
            if self.unit.is_function(name):
                self.aliases[target.id] = name
                return None
        return ast.Assign([self._target(target)], self.expression(node.value))

    def _annotated(self, node):
        if node.value is None or not isinstance(node.target, ast.Name):
            raise Refused(node, "a declaration without a value")
        return ast.Assign([self._target(node.target)], self.expression(node.value))

    def _target(self, node):
        if isinstance(node, ast.Name):
            return ast.Name(node.id, ast.Store())
        if isinstance(node, (ast.Tuple, ast.List)):
            return ast.Tuple([self._target(each) for each in node.elts], ast.Store())
        if isinstance(node, ast.Attribute):
            return ast.Attribute(self.expression(node.value), "." + node.attr, ast.Store())
        raise Refused(node, f"an assignment to {type(node).__name__}")

    def _if(self, node):
        other = self._block(node.orelse) if node.orelse else []
        return ast.If(self.expression(node.test), self._block(node.body), other)

    def _while(self, node):
        if node.orelse:
            raise Refused(node, "a loop with else")
        return ast.While(self.expression(node.test), self._block(node.body), [])

    def _for(self, node):
        if node.orelse or not isinstance(node.target, ast.Name):
            raise Refused(node, "a loop that TorchScript lacks")
        return ast.For(
            self._target(node.target), self.expression(node.iter), self._block(node.body), []
        )

    def _with(self, node):
        items = [
            ast.withitem(
                _call("as context", self.expression(item.context_expr)),
                None if item.optional_vars is None else self._target(item.optional_vars),
            )
            for item in node.items
        ]
        return ast.With(items, self._block(node.body))

    def _nested(self, node):
        """What `fork` is given: a function without arguments."""
        if node.args.args or node.args.kwonlyargs or node.decorator_list:
            raise Refused(node, "a function within a function")
        return ast.FunctionDef(node.name, self._arguments(node.args), self._block(node.body), [])

    def _return(self, node):
        return ast.Return(None if node.value is None else self.expression(node.value))

    # -- expressions -----------------------------------------------------------------------------
    def expression(self, node):
        """The node that computes a value."""
        visit = _EXPRESSIONS.get(type(node))
        if visit is None:
            raise Refused(node, f"an expression {type(node).__name__}, which TorchScript lacks")
        return ast.copy_location(visit(self, node), node)

    def _constant(self, node):
        if not isinstance(node.value, (str, bool, type(None), *_NUMBERS)):
            raise Refused(node, f"a constant of type {type(node.value).__name__}")
        return ast.Constant(node.value)

    def _name(self, node):
        if node.id in self.locals and node.id not in self.aliases:
            return _load(node.id)
        if node.id in _CONSTANTS:
            return ast.Constant(_CONSTANTS[node.id])
        raise Refused(node, f"an unknown name {node.id!r}")

    def _unary(self, node):
        if not isinstance(node.op, ast.USub):
            raise Refused(node, f"an operator {type(node.op).__name__}")
        return ast.UnaryOp(ast.USub(), self.expression(node.operand))

    def _sum(self, node):
        """Complex constants: a sum of two numbers."""
        parts = node.left, node.right
        numbers = [p.operand if isinstance(p, ast.UnaryOp) else p for p in parts]
        constant = all(
            isinstance(p, ast.Constant) and isinstance(p.value, _NUMBERS) for p in numbers
        )
        if not constant or not isinstance(node.op, (ast.Add, ast.Sub)):
            raise Refused(node, "arithmetic without an operator's name")
        return ast.BinOp(self.expression(node.left), node.op, self.expression(node.right))

    def _sequence(self, node):
        return type(node)([self.expression(each) for each in node.elts], ast.Load())

    def _dict(self, node):
        if None in node.keys:
            raise Refused(node, "an unpacked dictionary")
        keys = [self.expression(key) for key in node.keys]
        return ast.Dict(keys, [self.expression(value) for value in node.values])

    def _subscript(self, node):
        if isinstance(node.slice, ast.Slice):
            raise Refused(node, "a slice without an operator's name")
        return ast.Subscript(self.expression(node.value), self.expression(node.slice), ast.Load())

    def _attribute(self, node):
        name = dotted(node)
        root = name.partition(".")[0] if name else None
        if root in _ROOTS and root not in self.locals:
            if root == "CONSTANTS" or root == "__torch__":
                return _load(self.unit.value(name))
            raise Refused(node, f"{name} as a value")
        return ast.Attribute(self.expression(node.value), "." + node.attr, ast.Load())

    # -- calls -----------------------------------------------------------------------------------
    def _call(self, node):
        function = node.func
        if isinstance(function, ast.Name):
            return self._call_name(node, function.id)
        name = dotted(function)
        root = name.partition(".")[0] if name else None
        if root in _ROOTS and root not in self.locals:
            return self._call_global(node, name, root)
        if not isinstance(function, ast.Attribute):
            raise Refused(node, "a call of a value")
        method = ast.Attribute(self.expression(function.value), "()" + function.attr, ast.Load())
        return ast.Call(method, *self._passed(node))

    def _passed(self, node):
        """The arguments of a call as they are."""
        keywords = []
        for keyword in node.keywords:
            if keyword.arg is None:
                raise Refused(node, "starred arguments")
            keywords.append(ast.keyword(keyword.arg, self.expression(keyword.value)))
        return [self.expression(argument) for argument in node.args], keywords

    def _call_name(self, node, name):
        if name in self.aliases:
            return ast.Call(_load(self.unit.value(self.aliases[name])), *self._passed(node))
        if name in self.locals:
            raise Refused(node, f"a call of the variable {name!r}")
        if name in _CALLS:
            return ast.Call(_load(self.unit.operator("prim", name)), *self._passed(node))
        special = _SPECIAL.get(name)
        if special is None:
            raise Refused(node, f"a call of {name!r}")
        return special(self, node)

    def _call_global(self, node, name, root):
        if root == "CONSTANTS":
            raise Refused(node, "a call of a constant")
        if root == "__torch__":
            made = name.removesuffix(".__new__")
            if made != name:
                return _call(self.unit.blank(made))
            return ast.Call(_load(self.unit.value(name)), *self._passed(node))
        _, _, rest = name.partition(".")
        namespace = "aten"
        if root == "ops":
            namespace, _, rest = rest.partition(".")
        args, keywords = self._passed(node)
        return ast.Call(_load(self.unit.operator(namespace, rest)), args, self._converted(keywords))

    def _converted(self, keywords):
        """Keywords as flambeau's operators take them: numbers of dtypes become dtypes."""
        made = []
        for keyword in keywords:
            absent = isinstance(keyword.value, ast.Constant) and keyword.value.value is None
            if keyword.arg in _DROPPED or absent:
                continue
            if keyword.arg in _CONVERTED:
                value = _call(_CONVERTED[keyword.arg], keyword.value)
                keyword = ast.keyword(keyword.arg, value)
            made.append(keyword)
        return made

    def _only(self, node, count):
        if len(node.args) != count or node.keywords:
            raise Refused(node, f"{node.func.id}() with {len(node.args)} arguments")
        return node.args

    def _annotate(self, node):
        kind, value = self._only(node, 2)
        if isinstance(kind, ast.Name) and kind.id in ("int", "float", "bool", "number"):
            return _call(self.unit.operator("prim", "as " + kind.id), self.expression(value))
        return self.expression(value)

    def _cast(self, node):
        return self.expression(self._only(node, 2)[1])

    def _uninitialized(self, node):
        return ast.Constant(None)

    def _is_instance(self, node):
        value, kind = self._only(node, 2)
        checks = kind.elts if isinstance(kind, (ast.Tuple, ast.List)) else [kind]
        keys = [_load(self.unit.keep(self.types.check(each))) for each in checks]
        return _call("is instance", self.expression(value), *keys)

    def _get_attribute(self, node):
        value, name = self._only(node, 2)
        if not isinstance(name, ast.Constant) or not isinstance(name.value, str):
            raise Refused(node, "getattr() with a computed name")
        return ast.Attribute(self.expression(value), "." + name.value, ast.Load())

    def _fork(self, node):
        (function,) = self._only(node, 1)
        if not isinstance(function, ast.Name) or function.id not in self.locals:
            raise Refused(node, "fork() of something else than a function of its own")
        return _call("fork", _load(function.id))


_SPECIAL = {
    "annotate": Translator._annotate,
    "unchecked_cast": Translator._cast,
    "uninitialized": Translator._uninitialized,
    "isinstance": Translator._is_instance,
    "getattr": Translator._get_attribute,
    "fork": Translator._fork,
}
_STATEMENTS = {
    ast.Assign: Translator._assign,
    ast.AnnAssign: Translator._annotated,
    ast.If: Translator._if,
    ast.While: Translator._while,
    ast.For: Translator._for,
    ast.With: Translator._with,
    ast.FunctionDef: Translator._nested,
    ast.Return: Translator._return,
    ast.Expr: lambda self, node: ast.Expr(self.expression(node.value)),
    ast.Pass: lambda self, node: ast.Pass(),
}
_EXPRESSIONS = {
    ast.Constant: Translator._constant,
    ast.Name: Translator._name,
    ast.UnaryOp: Translator._unary,
    ast.BinOp: Translator._sum,
    ast.Tuple: Translator._sequence,
    ast.List: Translator._sequence,
    ast.Dict: Translator._dict,
    ast.Subscript: Translator._subscript,
    ast.Attribute: Translator._attribute,
    ast.Call: Translator._call,
}
