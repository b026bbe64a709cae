"""Containers taken apart by a form that was seen before: what a traced module is called with."""

from flambeau.utils._pytree import SUPPORTED_NODES

__all__ = ["register_pytree_flatten_spec", "tree_flatten_spec"]

_BY_SPEC = {
    dict: lambda d, spec: [d[key] for key in spec.context],
    list: lambda x, spec: [x[i] for i in range(len(spec.children_specs))],
    tuple: lambda x, spec: [x[i] for i in range(len(spec.children_specs))],
}


def register_pytree_flatten_spec(cls, flatten_fn_spec, flatten_fn_exact_match_spec=None):
    """How a container of a class is taken apart by a form: flatten_fn_spec(value, form), a list."""
    _BY_SPEC[cls] = flatten_fn_spec


def tree_flatten_spec(pytree, spec):
    """The leaves of a value that has that form, in the form's order.

    >>> from flambeau.fx._pytree import tree_flatten_spec
    >>> from flambeau.utils._pytree import tree_structure
    >>> tree_flatten_spec({"b": 1, "a": [2, 3]}, tree_structure({"a": [0, 0], "b": 0}))
    [2, 3, 1]
    """
    if spec.is_leaf():
        return [pytree]
    by_spec = _BY_SPEC.get(spec.type)
    parts = by_spec(pytree, spec) if by_spec else SUPPORTED_NODES[spec.type].flatten_fn(pytree)[0]
    return [
        leaf
        for part, inner in zip(parts, spec.children_specs)
        for leaf in tree_flatten_spec(part, inner)
    ]
