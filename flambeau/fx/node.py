"""A step of a recorded program."""

import builtins
import collections.abc
import operator
import types

import flambeau

Target = collections.abc.Callable | str
Argument = object  # anything that create_arg lets through

__all__ = ["Argument", "Node", "Target", "has_side_effect", "map_aggregate", "map_arg"]

_impure = {flambeau.manual_seed, setattr, operator.setitem}


def has_side_effect(fn):
    """Marks a function as one whose call stays, used or not; returns it."""
    _impure.add(fn)
    return fn


def map_aggregate(value, fn):
    """fn over the leaves of tuples, lists, dicts and slices."""
    if isinstance(value, tuple):
        made = [map_aggregate(item, fn) for item in value]
        return type(value)(*made) if hasattr(value, "_fields") else tuple(made)
    if isinstance(value, list):
        return [map_aggregate(item, fn) for item in value]
    if isinstance(value, dict):
        return {key: map_aggregate(item, fn) for key, item in value.items()}
    if isinstance(value, slice):
        return slice(*(map_aggregate(v, fn) for v in (value.start, value.stop, value.step)))
    return fn(value)


def map_arg(value, fn):
    """fn over the nodes in nested arguments."""
    return map_aggregate(value, lambda leaf: fn(leaf) if isinstance(leaf, Node) else leaf)


# Where functions are reached that are written elsewhere.
_HOMES = {
    "flambeau._quantized._functions": "flambeau",
    "flambeau.ao.nn.quantized._operators": "flambeau.ops.quantized",
}


def qualified_name(function):
    """The name under which generated code reaches a function, and the module to import."""
    name = getattr(function, "__name__", None) or type(function).__name__
    if getattr(builtins, name, None) is function:
        return name, None
    module = getattr(function, "__module__", None)
    if isinstance(function, (types.MethodDescriptorType, types.WrapperDescriptorType)):
        return f"{function.__objclass__.__module__}.{function.__objclass__.__name__}.{name}", None
    if module in _HOMES:
        return f"{_HOMES[module]}.{name}", "flambeau"
    if module and module.startswith("flambeau._ops"):  # where it is written; reached elsewhere
        from flambeau import functional

        module = "flambeau.functional" if name in functional.__all__ else "flambeau"
    for home in (module, "flambeau", "flambeau.nn.functional"):
        found = None if home is None else _lookup(home, name)
        if found is function:
            return f"{'_operator' if home == '_operator' else home}.{name}", home
    return f"{module}.{name}" if module else name, module


def _lookup(module, name):
    import sys

    try:
        return getattr(sys.modules.get(module), name, None)
    except ModuleNotFoundError:  # an operator's name, aten.relu.default, is no module's
        return None


class Node:
    """One step: `op` says which kind, `target` what is called or fetched.

    op: placeholder (an input), get_attr (an attribute of the root), call_function, call_module,
    call_method, output. `args` and `kwargs` may hold other nodes, nested in tuples, lists, dicts
    and slices; `users` maps the nodes that read this one; `meta` is free for passes.
    """

    def __init__(self, graph, name, op, target, args, kwargs, return_type=None):
        if op == "call_function" and not callable(target):
            raise ValueError(f"a call_function node wants a callable, not {target!r}")
        if op != "call_function" and not isinstance(target, str):
            raise ValueError(f"a {op} node wants a name as target, not {target!r}")
        self.graph = graph
        self.name = name
        self.op = op
        self.target = target
        self.type = return_type
        self.users = {}
        self.meta = {}
        self._input_nodes = {}
        self._args, self._kwargs = (), {}
        self._prev = self._next = self
        self._erased = False
        self._set(args, kwargs)

    # -- the list -----------------------------------------------------------------------------
    @property
    def next(self):
        return self._next

    @property
    def prev(self):
        return self._prev

    def _unlink(self):
        self._prev._next, self._next._prev = self._next, self._prev

    def prepend(self, x):
        """Puts node x in front of this one."""
        if x is self:
            return
        if x.graph is not self.graph:
            raise AssertionError("Attempting to move a Node into a different Graph")
        x._unlink()
        before = self._prev
        before._next, x._prev, x._next, self._prev = x, before, self, x

    def append(self, x):
        """Puts node x behind this one."""
        self._next.prepend(x)

    # -- arguments ----------------------------------------------------------------------------
    @property
    def args(self):
        return self._args

    @args.setter
    def args(self, args):
        self._set(args, self._kwargs)

    @property
    def kwargs(self):
        return self._kwargs

    @kwargs.setter
    def kwargs(self, kwargs):
        self._set(self._args, kwargs)

    def _set(self, args, kwargs):
        for node in self._input_nodes:
            node.users.pop(self, None)
        self._input_nodes = {}

        def use(node):
            self._input_nodes[node] = None
            node.users[self] = None
            return node

        self._args = map_arg(tuple(args), use)
        self._kwargs = map_arg(dict(kwargs), use)

    @property
    def all_input_nodes(self):
        """The nodes among the arguments, each once."""
        return list(self._input_nodes)

    def update_arg(self, idx, arg):
        """Sets a positional argument."""
        args = list(self._args)
        args[idx] = arg
        self.args = args

    def insert_arg(self, idx, arg):
        """Puts a positional argument in front of the one at idx."""
        self.args = (*self._args[:idx], arg, *self._args[idx:])

    def update_kwarg(self, key, arg):
        """Sets a keyword argument."""
        self.kwargs = {**self._kwargs, key: arg}

    def replace_input_with(self, old_input, new_input):
        """Reads new_input wherever it read old_input."""

        def swap(node):
            return new_input if node is old_input else node

        self._set(map_arg(self._args, swap), map_arg(self._kwargs, swap))

    def replace_all_uses_with(
        self, replace_with, delete_user_cb=lambda user: True, *, propagate_meta=False
    ):
        """Makes every user of this node read replace_with; returns those users."""
        if propagate_meta:
            replace_with.meta.update(self.meta)
        changed = [user for user in self.users if delete_user_cb(user)]
        for user in changed:
            user.replace_input_with(self, replace_with)
        return changed

    # -- reading ------------------------------------------------------------------------------
    @property
    def stack_trace(self):
        return self.meta.get("stack_trace")

    @stack_trace.setter
    def stack_trace(self, trace):
        self.meta["stack_trace"] = trace

    def is_impure(self, impure_random=True):
        """Whether the step must stay although nobody reads it."""
        if self.op in ("placeholder", "output"):
            return True
        if self.op == "call_function":
            name = getattr(self.target, "_opname", "")  # of an operator that writes to its argument
            return self.target in _impure or (name.endswith("_") and not name.endswith("__"))
        if self.op == "call_method":
            return self.target.endswith("_") and not self.target.endswith("__")
        if self.op == "call_module":
            owner = self.graph.owning_module
            return owner is None or getattr(owner.get_submodule(self.target), "_is_impure", False)
        return False

    def _pretty_print_target(self, target):
        """A target as PyTorch prints it: torch.relu, operator.add, builtins.getattr."""
        if isinstance(target, str):
            return target
        path, _ = qualified_name(target)
        root, _, rest = path.partition(".")
        if not rest:
            return f"{getattr(target, '__module__', None) or 'builtins'}.{path}"
        return {"flambeau": "torch", "_operator": "operator"}.get(root, root) + f".{rest}"

    def format_node(self, placeholder_names=None, maybe_return_typename=None):
        """The step as a line of text."""
        kind = f"{self.type.__name__} " if isinstance(self.type, type) else ""
        head = f"%{self.name} : {kind}[num_users={len(self.users)}] = {self.op}"
        if self.op == "placeholder":
            default = f"(default={self._args[0]})" if self._args else ""
            return f"{head}[target={self.target}]{default}"
        if self.op == "output":
            return f"return {self._args[0]}"
        head += f"[target={self._pretty_print_target(self.target)}]"
        if self.op == "get_attr":
            return head
        return f"{head}(args = {_text(self._args)}, kwargs = {_text(self._kwargs)})"

    def __repr__(self):
        return self.name


def _text(value):
    if isinstance(value, Node):
        return f"%{value.name}"
    if isinstance(value, tuple):
        return "(" + ", ".join(map(_text, value)) + ("," if len(value) == 1 else "") + ")"
    if isinstance(value, list):
        return "[" + ", ".join(map(_text, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k}: {_text(v)}" for k, v in value.items()) + "}"
    return str(value)
