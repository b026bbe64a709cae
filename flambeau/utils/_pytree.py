"""Nested containers as trees: taken apart into leaves, put together again, mapped over."""

from collections import OrderedDict, defaultdict, deque, namedtuple

__all__ = [
    "LeafSpec",
    "MappingKey",
    "PyTree",
    "SequenceKey",
    "TreeSpec",
    "keystr",
    "register_pytree_node",
    "tree_all",
    "tree_all_only",
    "tree_any",
    "tree_any_only",
    "tree_flatten",
    "tree_flatten_with_path",
    "tree_iter",
    "tree_leaves",
    "tree_map",
    "tree_map_",
    "tree_map_only",
    "tree_map_only_",
    "tree_map_with_path",
    "tree_structure",
    "tree_unflatten",
    "treespec_pprint",
]

PyTree = Context = object
NodeDef = namedtuple("NodeDef", ("type", "flatten_fn", "unflatten_fn", "keys"))
SUPPORTED_NODES = {}
SequenceKey = namedtuple("SequenceKey", ("idx",))
SequenceKey.__str__ = lambda self: f"[{self.idx!r}]"
MappingKey = namedtuple("MappingKey", ("key",))
MappingKey.__str__ = lambda self: f"[{self.key!r}]"
GetAttrKey = namedtuple("GetAttrKey", ("name",))
GetAttrKey.__str__ = lambda self: f".{self.name}"


def register_pytree_node(
    cls,
    flatten_fn,
    unflatten_fn,
    *,
    serialized_type_name=None,
    to_dumpable_context=None,
    from_dumpable_context=None,
    flatten_with_keys_fn=None,
):
    """Makes a class known: flatten_fn(x) gives (children, context), unflatten_fn puts it together.

    The arguments about serialization are kept for programs that pass them; trees are not written
    to files here.
    """
    if cls in SUPPORTED_NODES:
        raise ValueError(f"{cls} is already registered as pytree node.")
    keys = None
    if flatten_with_keys_fn is not None:

        def keys(x):
            return [k for k, _ in flatten_with_keys_fn(x)[0]]

    SUPPORTED_NODES[cls] = NodeDef(cls, flatten_fn, unflatten_fn, keys)


_register_pytree_node = register_pytree_node


def _sequence_keys(x):
    return [SequenceKey(i) for i in range(len(x))]


def _mapping_keys(x):
    return [MappingKey(k) for k in x]


# Names that libraries register containers like dictionaries and lists with.
def _dict_flatten(d):
    return list(d.values()), list(d)


def _dict_unflatten(values, context):
    return dict(zip(context, values, strict=True))


def _dict_flatten_with_keys(d):
    values, context = _dict_flatten(d)
    return list(zip(_mapping_keys(d), values, strict=True)), context


def _list_flatten(x):
    return list(x), None


def _list_unflatten(values, context):
    return list(values)


def _tuple_unflatten(values, context):
    return tuple(values)


def _list_flatten_with_keys(x):
    return list(zip(_sequence_keys(x), x, strict=True)), None


_tuple_flatten, _tuple_flatten_with_keys = _list_flatten, _list_flatten_with_keys


def _enter():
    for cls, unflatten in ((tuple, _tuple_unflatten), (list, _list_unflatten)):
        SUPPORTED_NODES[cls] = NodeDef(cls, _list_flatten, unflatten, _sequence_keys)
    for cls in (dict, OrderedDict):
        SUPPORTED_NODES[cls] = NodeDef(
            cls,
            _dict_flatten,
            lambda c, keys, cls=cls: cls(_dict_unflatten(c, keys)),
            _mapping_keys,
        )
    SUPPORTED_NODES[defaultdict] = NodeDef(
        defaultdict,
        lambda x: (list(x.values()), (x.default_factory, list(x))),
        lambda c, context: defaultdict(context[0], zip(context[1], c, strict=True)),
        _mapping_keys,
    )
    SUPPORTED_NODES[deque] = NodeDef(
        deque, lambda x: (list(x), x.maxlen), lambda c, n: deque(c, maxlen=n), _sequence_keys
    )


_enter()


_NAMED = NodeDef(
    namedtuple,
    lambda x: (list(x), type(x)),
    lambda c, cls: cls(*c),
    lambda x: [GetAttrKey(n) for n in x._fields],
)
_STRUCT = NodeDef(tuple, lambda x: (list(x), type(x)), lambda c, cls: cls(tuple(c)), _sequence_keys)


def is_namedtuple_instance(obj):
    """Whether something is a namedtuple."""
    return isinstance(obj, tuple) and hasattr(obj, "_fields")


def is_structseq_instance(obj):
    """Whether something is a tuple with named places, as functions of the core return."""
    return isinstance(obj, tuple) and isinstance(getattr(obj, "n_sequence_fields", None), int)


def _get_node_type(tree):
    """The type under which a container is registered."""
    return namedtuple if hasattr(tree, "_fields") and isinstance(tree, tuple) else type(tree)


def _node_of(x):
    """How a container is taken apart; None for a leaf."""
    cls = type(x)
    found = SUPPORTED_NODES.get(cls)
    if found is None and isinstance(x, tuple):
        if hasattr(cls, "_fields"):
            return _NAMED
        if hasattr(cls, "n_sequence_fields"):  # what operators return: named results
            return _STRUCT
    return found


class TreeSpec:
    """The shape of a tree: the containers, without the leaves.

    Its first argument is a registered type, or how one is taken apart.
    """

    __slots__ = ("children_specs", "context", "node", "num_leaves", "type")

    def __init__(self, type, context, children_specs):
        node = type
        if node is not None and node.__class__ is not NodeDef:
            node = _NAMED if type is namedtuple else SUPPORTED_NODES[type]
        self.node = node
        self.type = node.type if node is not None else None
        self.context = context
        self.children_specs = children_specs
        self.num_leaves = sum(c.num_leaves for c in children_specs) if node is not None else 1

    def is_leaf(self):
        return self.node is None

    @property
    def num_nodes(self):
        """How many containers and leaves."""
        return 1 + sum(child.num_nodes for child in self.children_specs)

    @property
    def num_children(self):
        return len(self.children_specs)

    def children(self):
        return list(self.children_specs)

    def child(self, index):
        return self.children_specs[index]

    def unflatten(self, leaves):
        return tree_unflatten(leaves, self)

    def flatten_up_to(self, tree):
        """The subtrees of `tree` that stand where this one has leaves."""
        if self.is_leaf():
            return [tree]
        node = _node_of(tree)
        if node is not self.node:
            raise ValueError(f"Type mismatch; expected {self.type!r}, but got {type(tree)!r}.")
        children, context = node.flatten_fn(tree)
        if len(children) != len(self.children_specs):
            raise ValueError(
                f"Node arity mismatch; expected {self.num_children}, but got {len(children)}."
            )
        if self.type in (dict, OrderedDict):
            if set(context) != set(self.context):
                raise ValueError(f"Node keys mismatch; {context} and {self.context}")
            children = [tree[k] for k in self.context]
        return [x for s, c in zip(self.children_specs, children, strict=True)
                for x in s.flatten_up_to(c)]  # fmt: skip

    def __eq__(self, other):
        return (
            isinstance(other, TreeSpec)
            and self.node is other.node
            and self.context == other.context
            and self.children_specs == other.children_specs
        )

    def __hash__(self):
        return hash((self.type, self.num_leaves, tuple(self.children_specs)))

    def __repr__(self):
        if self.is_leaf():
            return "*"
        inside = ", ".join(map(repr, self.children_specs))
        return f"TreeSpec({self.type.__name__}, {self.context}, [{inside}])"


class LeafSpec(TreeSpec):
    """The shape of a single leaf."""

    __slots__ = ()

    def __init__(self):
        super().__init__(None, None, [])


_LEAF = LeafSpec()


def tree_flatten(tree, is_leaf=None):
    """(the leaves in order, the TreeSpec).

    >>> from flambeau.utils import _pytree
    >>> _pytree.tree_flatten({"a": [1, 2], "b": 3})[0]
    [1, 2, 3]
    """
    leaves = []

    def walk(x):
        node = None if is_leaf is not None and is_leaf(x) else _node_of(x)
        if node is None:
            leaves.append(x)
            return _LEAF
        children, context = node.flatten_fn(x)
        return TreeSpec(node, context, [walk(c) for c in children])

    return leaves, walk(tree)


def tree_unflatten(leaves, treespec):
    """The tree of that shape with these leaves."""
    if not isinstance(treespec, TreeSpec):
        raise TypeError(
            f"tree_unflatten(leaves, treespec): Expected `treespec` to be instance of TreeSpec but "
            f"got item of type {type(treespec)}."
        )
    leaves = list(leaves)
    if len(leaves) != treespec.num_leaves:
        raise ValueError(
            f"tree_unflatten(leaves, treespec): `leaves` has length {len(leaves)} but the spec "
            f"refers to a pytree that holds {treespec.num_leaves} items ({treespec})."
        )
    items = iter(leaves)

    def build(spec):
        if spec.is_leaf():
            return next(items)
        children = [build(c) for c in spec.children_specs]
        return spec.node.unflatten_fn(children, spec.context)

    return build(treespec)


def tree_leaves(tree, is_leaf=None):
    return tree_flatten(tree, is_leaf)[0]


def tree_iter(tree, is_leaf=None):
    return iter(tree_leaves(tree, is_leaf))


def tree_structure(tree, is_leaf=None):
    return tree_flatten(tree, is_leaf)[1]


def tree_map(func, tree, *rests, is_leaf=None):
    """The tree with func applied to each leaf, and to the leaves at the same place in `rests`.

    >>> from flambeau.utils import _pytree
    >>> _pytree.tree_map(lambda a, b: a + b, (1, [2]), (10, [20]))
    (11, [22])
    """
    leaves, spec = tree_flatten(tree, is_leaf)
    others = [spec.flatten_up_to(r) for r in rests]
    return tree_unflatten([func(*x) for x in zip(leaves, *others, strict=True)], spec)


def tree_map_(func, tree, *rests, is_leaf=None):
    """Calls func for each leaf; gives the tree as it was."""
    leaves, spec = tree_flatten(tree, is_leaf)
    for x in zip(leaves, *[spec.flatten_up_to(r) for r in rests], strict=True):
        func(*x)
    return tree


def _test(kinds):
    return (
        kinds
        if callable(kinds) and not isinstance(kinds, type)
        else (lambda x: isinstance(x, kinds))
    )


def map_only(kinds, /):
    test = _test(kinds)
    return lambda func: lambda x: func(x) if test(x) else x


def tree_map_only(kinds, func, tree, is_leaf=None):
    """tree_map over the leaves of one type, or for which kinds(leaf) holds."""
    return tree_map(map_only(kinds)(func), tree, is_leaf=is_leaf)


def tree_map_only_(kinds, func, tree, is_leaf=None):
    return tree_map_(map_only(kinds)(func), tree, is_leaf=is_leaf)


def tree_all(pred, tree, is_leaf=None):
    return all(map(pred, tree_leaves(tree, is_leaf)))


def tree_any(pred, tree, is_leaf=None):
    return any(map(pred, tree_leaves(tree, is_leaf)))


def tree_all_only(kinds, pred, tree, is_leaf=None):
    return all(pred(x) for x in tree_leaves(tree, is_leaf) if isinstance(x, kinds))


def tree_any_only(kinds, pred, tree, is_leaf=None):
    return any(pred(x) for x in tree_leaves(tree, is_leaf) if isinstance(x, kinds))


def tree_flatten_with_path(tree, is_leaf=None):
    """([(path, leaf), ...], TreeSpec), a path being a tuple of keys."""
    found = []

    def walk(x, path):
        node = None if is_leaf is not None and is_leaf(x) else _node_of(x)
        if node is None:
            found.append((path, x))
            return
        children, _ = node.flatten_fn(x)
        keys = node.keys(x) if node.keys is not None else [SequenceKey(i) for i in
                                                           range(len(children))]  # fmt: skip
        for key, child in zip(keys, children, strict=True):
            walk(child, (*path, key))

    walk(tree, ())
    return found, tree_structure(tree, is_leaf)


def tree_map_with_path(func, tree, *rests, is_leaf=None):
    """tree_map whose func gets the path of the leaf first."""
    found, spec = tree_flatten_with_path(tree, is_leaf)
    others = [spec.flatten_up_to(r) for r in rests]
    done = [func(path, leaf, *rest) for (path, leaf), *rest in zip(found, *others, strict=True)]
    return tree_unflatten(done, spec)


def keystr(path):
    """A path as text: [0]['a']."""
    return "".join(map(str, path))


def treespec_pprint(treespec):
    return repr(treespec)


def _broadcast_to_and_flatten(tree, treespec, is_leaf=None):
    """The leaves of `tree` spread to the leaves of `treespec`, of which it is a prefix; or None."""
    node = None if is_leaf is not None and is_leaf(tree) else _node_of(tree)
    if node is None:
        return [tree] * treespec.num_leaves
    if treespec.is_leaf() or node is not treespec.node:
        return None
    children, context = node.flatten_fn(tree)
    if len(children) != treespec.num_children or context != treespec.context:
        return None
    out = []
    for child, spec in zip(children, treespec.children_specs, strict=True):
        part = _broadcast_to_and_flatten(child, spec, is_leaf)
        if part is None:
            return None
        out += part
    return out


def tree_is_leaf(tree, is_leaf=None):
    """Whether a value is no container, or is taken for a leaf."""
    if is_leaf is not None and is_leaf(tree):
        return True
    return _node_of(tree) is None


_is_leaf = tree_is_leaf
