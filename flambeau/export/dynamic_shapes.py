"""Sizes that may change from call to call of an exported program."""

from flambeau import Tensor
from flambeau.utils import _pytree as pytree

__all__ = ["AdditionalInputs", "Dim", "ShapesCollection", "dims"]


class _Dim:
    """A size that may change, by name, from `min` to `max`."""

    def __init__(self, name, min=None, max=None):
        self.__name__, self.min, self.max = name, min or 0, max

    def __repr__(self):
        return f"Dim('{self.__name__}', min={self.min}, max={self.max})"


class Dim(_Dim):
    """A size that may change: `Dim("batch", min=1, max=64)`; Dim.AUTO and Dim.DYNAMIC without a
    name, Dim.STATIC for one that may not."""

    AUTO = _Dim("AUTO")
    DYNAMIC = _Dim("DYNAMIC")
    STATIC = None

    def __init__(self, name, *, min=None, max=None):
        super().__init__(name, min, max)

    def _of(self, factor, offset):
        return _Line(self, factor, offset)

    def __add__(self, other):
        return self._of(1, _whole(other))

    def __sub__(self, other):
        return self._of(1, -_whole(other))

    def __mul__(self, other):
        return self._of(_whole(other), 0)

    __radd__, __rmul__ = __add__, __mul__


def _whole(value):
    if type(value) is not int:
        raise NotImplementedError(f"Dim: only whole numbers are added or multiplied, got {value!r}")
    return value


class _Line(Dim):
    """factor * root + offset of another Dim: a size that goes with that one."""

    def __init__(self, root, factor, offset):
        if factor <= 0:
            raise NotImplementedError(f"Dim: only positive factors, got {factor}")
        self.root, self._factor, self._offset = root, factor, offset
        name = root.__name__ if factor == 1 else f"{factor}*{root.__name__}"
        if offset:
            name += f" {'-' if offset < 0 else '+'} {abs(offset)}"
        most = None if root.max is None else self.fn(root.max)
        super().__init__(name, min=self.fn(root.min), max=most)

    def fn(self, size):
        """The size for one of the root."""
        return self._factor * size + self._offset

    def root_of(self, size):
        """The root's size for one of this; None where there is none."""
        found, rest = divmod(size - self._offset, self._factor)
        return None if rest else found

    def _of(self, factor, offset):
        return _Line(self.root, factor * self._factor, factor * self._offset + offset)

    def __repr__(self):
        return self.__name__


def dims(*names, min=None, max=None):
    """A Dim for each name."""
    return tuple(Dim(name, min=min, max=max) for name in names)


def _named(m, args, kwargs):
    """The arguments of a module's or function's call, by name."""
    import inspect

    signature = inspect.signature(getattr(m, "forward", m))
    return dict(signature.bind(*args, **(kwargs or {})).arguments)


class ShapesCollection:
    """Shapes by tensor: those of nested arguments without writing their nesting down again.

    >>> import flambeau as torch
    >>> x, shapes = torch.ones(3, 2), torch.export.ShapesCollection()
    >>> shapes[x] = {0: torch.export.Dim("batch")}
    >>> shapes.dynamic_shapes(torch.nn.Linear(2, 1), (x,))
    {'input': {0: Dim('batch', min=0, max=None)}}
    """

    def __init__(self):
        self._shapes = {}

    def __setitem__(self, t, shape):
        if not isinstance(t, Tensor):
            raise TypeError(f"ShapesCollection: expected a tensor, got {type(t).__name__}")
        if self._shapes.get(id(t), (t, shape))[1] != shape:
            raise AssertionError(f"the shape of this tensor is already given: {self[t]}")
        self._shapes[id(t)] = t, shape

    def __getitem__(self, t):
        return self._shapes[id(t)][1]

    def __len__(self):
        return len(self._shapes)

    def dynamic_shapes(self, m, args, kwargs=None):
        """The shapes in the nesting of the arguments, None for other tensors."""
        return pytree.tree_map(
            lambda leaf: self._shapes.get(id(leaf), (leaf, None))[1], _named(m, args, kwargs)
        )


class AdditionalInputs:
    """Further arguments of which a program is to be valid: sizes that differ may change."""

    def __init__(self):
        self._examples = []

    def add(self, args, kwargs=None):
        """One call's arguments."""
        self._examples.append((args, kwargs))

    def dynamic_shapes(self, m, args, kwargs=None):
        """Dim.DYNAMIC for each size that differs between the calls, None for others."""

        def of(leaf, *others):
            if not isinstance(leaf, Tensor):
                return None
            sizes = zip(*(t.shape for t in (leaf, *others)))
            return tuple(Dim.DYNAMIC if len(set(each)) > 1 else None for each in sizes)

        return pytree.tree_map(
            of, _named(m, args, kwargs), *(_named(m, *example) for example in self._examples)
        )
