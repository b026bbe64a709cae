"""utils._pytree: trees of containers."""

from collections import OrderedDict, defaultdict, deque, namedtuple

import pytest

import flambeau as torch
from flambeau.utils import _pytree as pytree

Point = namedtuple("Point", ("x", "y"))
TREE = {"a": [1, (2, 3)], "b": OrderedDict(c=4), "p": Point(5, deque([6], maxlen=3)), "n": None}


def test_apart_and_together():
    leaves, spec = pytree.tree_flatten(TREE)
    assert leaves == [1, 2, 3, 4, 5, 6, None]
    assert pytree.tree_unflatten(leaves, spec) == TREE
    assert spec == pytree.tree_structure(TREE) and hash(spec) == hash(pytree.tree_structure(TREE))
    assert spec != pytree.tree_structure([1]) and spec.num_leaves == 7
    with pytest.raises(ValueError, match="length 1"):
        pytree.tree_unflatten([1], spec)
    d = defaultdict(list, k=1)
    back = pytree.tree_map(lambda x: x + 1, d)
    assert back == {"k": 2} and back.default_factory is list


def test_map():
    assert pytree.tree_map(lambda a, b: a + b, (1, [2]), (10, [20])) == (11, [22])
    assert pytree.tree_map_only(int, lambda x: -x, [1, "a", (2.0, 3)]) == [-1, "a", (2.0, -3)]
    assert pytree.tree_all(lambda x: x > 0, [1, [2]]) and not pytree.tree_any(bool, [0, [0]])
    with pytest.raises(ValueError, match="arity"):
        pytree.tree_map(lambda a, b: a, [1, 2], [1])
    with pytest.raises(ValueError, match="Type mismatch"):
        pytree.tree_map(lambda a, b: a, [1], (1,))
    seen = []
    assert pytree.tree_map_(seen.append, [1, 2]) == [1, 2] and seen == [1, 2]
    whole = pytree.tree_leaves([[1], 2], is_leaf=lambda x: isinstance(x, list) and len(x) == 1)
    assert whole == [[1], 2]


def test_results_of_operators():
    found = pytree.tree_map(lambda t: t * 2, torch.ones(2, 2).max(0))
    assert type(found).__name__ == "max" and found.values.tolist() == [2, 2]


def test_paths():
    found, _ = pytree.tree_flatten_with_path({"a": [1, 2], "p": Point(3, 4)})
    assert [pytree.keystr(p) for p, _ in found] == ["['a'][0]", "['a'][1]", "['p'].x", "['p'].y"]
    named = pytree.tree_map_with_path(lambda p, x: (pytree.keystr(p), x), [7])
    assert named == [("[0]", 7)]


def test_own_classes():
    class Pair:
        def __init__(self, a, b):
            self.a, self.b = a, b

    pytree.register_pytree_node(Pair, lambda p: ([p.a, p.b], None), lambda c, _: Pair(*c))
    try:
        doubled = pytree.tree_map(lambda x: 2 * x, [Pair(1, 2)])[0]
        assert (doubled.a, doubled.b) == (2, 4)
        with pytest.raises(ValueError, match="already"):
            pytree.register_pytree_node(Pair, None, None)
    finally:
        del pytree.SUPPORTED_NODES[Pair]


def test_prefixes():
    spec = pytree.tree_structure(([1, 2], {"a": 3}))
    assert pytree._broadcast_to_and_flatten((0, None), spec) == [0, 0, None]
    assert pytree._broadcast_to_and_flatten(([0, 1], {"a": 2}), spec) == [0, 1, 2]
    assert pytree._broadcast_to_and_flatten((0, 1, 2), spec) is None


def test_shapes_made_by_hand():
    leaf = pytree.LeafSpec()
    pair = namedtuple("Pair", "x y")
    made = {
        (list, None): [1, 2],
        (tuple, None): (1, 2),
        (namedtuple, pair): pair(1, 2),
    }
    for (kind, context), tree in made.items():
        spec = pytree.TreeSpec(kind, context, [leaf, leaf])
        assert spec == pytree.tree_structure(tree)
        assert pytree.tree_unflatten([1, 2], spec) == tree
