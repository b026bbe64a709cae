"""The class of nested tensors. Its data is one tensor (jagged) or a tuple of them (strided).

Functions come to `__torch_function__` and from there to the table in `_functions.py`.
"""

import itertools
import math

import flambeau
from flambeau import _C, Tensor

_numbers = itertools.count(1)


class NestedInt:
    """The size of a dimension in which the parts differ."""

    def __init__(self):
        self._number = next(_numbers)

    def __repr__(self):
        return f"j{self._number}"


class NestedSize(tuple):
    """A shape with a NestedInt in it."""

    def __repr__(self):
        return f"torch.Size([{', '.join(map(repr, self))}])"

    def numel(self):
        """An error: the parts differ."""
        raise RuntimeError("the number of elements of a nested size is not one number")


class NestedTensor(Tensor):
    """A batch of tensors of unlike sizes."""

    is_nested = True

    @staticmethod
    def __new__(cls, data, layout, offsets=None, lengths=None, ragged=1, size=None):
        like = data if layout is flambeau.jagged else (data[0] if data else flambeau.empty(0))
        made = Tensor._make_subclass(cls, like.detach())
        made._data_, made._layout = data, layout
        made._offsets, made._lengths, made._ragged_idx = offsets, lengths, ragged
        made._size = size or (NestedInt() if layout is flambeau.jagged else None)
        return made

    def __init__(self, *args, **kwargs):
        pass

    # -- what it is made of --------------------------------------------------------------------
    def _leaves(self):
        return (self._data_,) if self._layout is flambeau.jagged else self._data_

    def _map(self, function, ragged=None):
        """function over the data; `ragged`: where the differing dimension is then."""
        if self._layout is flambeau.jagged:
            return self._like(function(self._data_), ragged)
        return of_results([function(t) for t in self._data_])

    def _like(self, data, ragged=None):
        ragged = self._ragged_idx if ragged is None else ragged
        return NestedTensor(data, self._layout, self._offsets, self._lengths, ragged, self._size)

    def values(self):
        """The data of all parts one after the other."""
        if self._layout is flambeau.jagged:
            return self._data_
        return flambeau.cat([t.reshape(-1) for t in self._data_])

    def offsets(self):
        """Where each part begins, and the end."""
        self._need_jagged("offsets")
        return self._offsets

    def lengths(self):
        """The lengths of the parts where they leave gaps; None where they do not."""
        self._need_jagged("lengths")
        return self._lengths

    def _need_jagged(self, name):
        if self._layout is not flambeau.jagged:
            raise AttributeError(f"'Tensor' object has no attribute '{name}'")

    def _row_lengths(self):
        return self._offsets.diff() if self._lengths is None else self._lengths

    def _get_min_seqlen(self):
        return int(self._row_lengths().min())

    def _get_max_seqlen(self):
        return int(self._row_lengths().max())

    def unbind(self, dim=0):
        """The parts."""
        if dim != 0:
            raise RuntimeError("unbind(): only dim=0 is supported for nested tensors")
        if self._layout is not flambeau.jagged:
            return self._data_
        at, along = self._offsets.tolist(), self._ragged_idx - 1
        lengths = self._row_lengths().tolist()
        return tuple(self._data_.narrow(along, s, n) for s, n in zip(at, lengths))

    def to_padded_tensor(self, padding, output_size=None):
        """A plain tensor in which all parts have the size of the largest, or output_size."""
        parts = self.unbind()
        largest = [max(n) for n in zip(*(t.shape for t in parts))]
        if output_size is not None:
            wanted = list(output_size)[1:]
            if any(n > w for n, w in zip(largest, wanted)):
                raise RuntimeError("Value in output_size is less than NestedTensor padded size.")
            largest = wanted
        rows = []
        for part in parts:
            missing = [(0, w - n) for n, w in zip(part.shape, largest)]
            flat = [n for pair in reversed(missing) for n in pair]
            rows.append(flambeau.nn.functional.pad(part, flat, value=padding))
        return flambeau.stack(rows)

    # -- shapes ----------------------------------------------------------------------------------
    def dim(self):
        """The number of dimensions, the batch's among them."""
        if self._layout is flambeau.jagged:
            return self._data_.dim() + 1
        return self._data_[0].dim() + 1 if self._data_ else 1

    ndim = property(dim)

    def __len__(self):
        return len(self._data_) if self._layout is flambeau.strided else len(self._offsets) - 1

    def _sizes(self):
        if self._layout is flambeau.jagged:
            sizes = [len(self), *self._data_.shape]
            sizes[self._ragged_idx] = self._size
            return NestedSize(sizes)
        columns = list(zip(*(t.shape for t in self._data_)))
        return NestedSize([len(self), *(c[0] if len(set(c)) == 1 else None for c in columns)])

    def size(self, dim=None):
        """The sizes, or one of them; a dimension in which strided parts differ has none."""
        sizes = self._sizes()
        if dim is None:
            if None in sizes:
                raise RuntimeError("the parts of a strided nested tensor have no common size")
            return sizes
        if sizes[dim] is None:
            raise RuntimeError(f"Given dimension {dim} is irregular and does not have a size.")
        return sizes[dim]

    @property
    def shape(self):
        """The sizes."""
        return self.size()

    def numel(self):
        """The number of elements of all parts."""
        return sum(t.numel() for t in self.unbind())

    def is_contiguous(self, memory_format=None):
        """Whether the parts lie one after the other without gaps."""
        leaves = all(t.is_contiguous() for t in self._leaves())
        return leaves and self._ragged_idx == 1 and self._lengths is None

    @property
    def layout(self):
        """torch.jagged or torch.strided."""
        return self._layout

    @property
    def dtype(self):
        """The elements' type."""
        leaves = self._leaves()
        return leaves[0].dtype if leaves else flambeau.get_default_dtype()

    def view(self, *sizes):
        """The data in another shape; -1 or the nested size where the parts differ."""
        from ._functions import view

        return view(self, *sizes)

    reshape = view

    # -- history: that of the data -----------------------------------------------------------------
    @property
    def requires_grad(self):
        """Whether operations on the data are recorded."""
        return any(t.requires_grad for t in self._leaves())

    @requires_grad.setter
    def requires_grad(self, on):
        self.requires_grad_(on)

    def requires_grad_(self, requires_grad=True):
        """Makes the data leaves whose gradients are gathered, or stops that."""
        for t in self._leaves():
            t.requires_grad_(requires_grad)
        return self

    @property
    def grad(self):
        """The gradient of the data, zeros for parts that were not used, or None."""
        grads = tuple(t.grad for t in self._leaves())
        if all(g is None for g in grads):
            return None
        pairs = zip(self._leaves(), grads)
        grads = tuple(flambeau.zeros_like(t) if g is None else g for t, g in pairs)
        if self._layout is flambeau.jagged:
            return self._like(grads[0])
        return NestedTensor(grads, flambeau.strided)

    @grad.setter
    def grad(self, value):
        grads = [None] * len(self._leaves()) if value is None else value._leaves()
        for t, g in zip(self._leaves(), grads, strict=True):
            t.grad = g

    @property
    def grad_fn(self):
        """The node that made the data, or None."""
        return next((t.grad_fn for t in self._leaves() if t.grad_fn is not None), None)

    @property
    def is_leaf(self):
        """True when no recorded operation made the data."""
        return self.grad_fn is None

    def backward(self, gradient=None, *args, **kwargs):
        """Walks the graph from the data."""
        grads = None if gradient is None else gradient._leaves()
        flambeau.autograd.backward(self._leaves(), grads, *args, **kwargs)

    # -- Python's protocols ------------------------------------------------------------------------
    def __iter__(self):
        return iter(self.unbind())

    def __bool__(self):
        raise RuntimeError("Boolean value of a nested tensor is ambiguous")

    def __hash__(self):
        return id(self)

    def __reduce_ex__(self, protocol):
        return NestedTensor, (
            self._data_, self._layout, self._offsets, self._lengths, self._ragged_idx
        )  # fmt: skip

    def __deepcopy__(self, memo):
        return self._map(lambda t: t.detach().clone().requires_grad_(t.requires_grad))

    def _state(self):
        """What a file holds: of a jagged tensor a dict; else the elements and, for each part, its
        sizes, strides and first element."""
        if self._layout is flambeau.jagged:
            return {
                "values": self._data_.detach(),
                "offsets": self._offsets,
                "lengths": self._lengths,
                "_ragged_idx": self._ragged_idx,
                "requires_grad": self.requires_grad,
            }
        parts = [t.detach().contiguous() for t in self._data_]
        sizes = flambeau.tensor([t.shape for t in parts], dtype=flambeau.int64)
        strides = flambeau.tensor([t.stride() for t in parts], dtype=flambeau.int64)
        counts = flambeau.tensor([0, *(t.numel() for t in parts)])
        values = flambeau.cat([t.view(-1) for t in parts] or [flambeau.empty(0)])
        return values, sizes, strides, counts.cumsum(0)[:-1]

    def tolist(self):
        """The numbers, part by part."""
        return [t.tolist() for t in self.unbind()]

    def __repr__(self, *, tensor_contents=None):
        if self._layout is flambeau.jagged:
            size = ", ".join(map(repr, self._sizes()))
            made = "" if self.grad_fn is None else f", grad_fn={self.grad_fn}"
            if not made and self.requires_grad:
                made = ", requires_grad=True"
            where = f"offsets={self._offsets}{made}, contiguous={self.is_contiguous()}"
            return f"NestedTensor(size=({size}), {where})"
        parts = ",\n".join("  " + repr(t).replace("\n", "\n  ") for t in self._data_)
        return f"nested_tensor([\n{parts}\n])"

    __str__ = __repr__

    def __format__(self, spec):
        return repr(self)

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        from ._functions import call

        name = getattr(func, "__name__", str(func))
        if name in ("__get__", "__set__"):
            with _C.DisableTorchFunctionSubclass():
                return func(*args)
        return call(func, name, args, kwargs or {})


def of_results(rows):
    """A strided nested tensor of what a function gave for each part, or a tuple of them."""
    if not rows or isinstance(rows[0], Tensor):
        return NestedTensor(tuple(rows), flambeau.strided)
    return type(rows[0])([NestedTensor(r, flambeau.strided) for r in zip(*rows, strict=True)])


def jagged(values, offsets, lengths=None, ragged=1, size=None):
    """A nested tensor over one tensor."""
    return NestedTensor(values, flambeau.jagged, offsets, lengths, ragged, size)


def of_parts(parts, layout, ragged=1):
    """A nested tensor of a list of tensors."""
    parts = tuple(parts)
    if layout == flambeau.strided:
        if len({t.dim() for t in parts}) > 1:
            raise RuntimeError("All Tensors given to nested_tensor must have the same dimension.")
        return NestedTensor(parts, flambeau.strided)
    if layout != flambeau.jagged:
        raise RuntimeError(f"Specified layout is unsupported for nested tensors: {layout}")
    if not parts:
        raise RuntimeError("Cannot construct a nested tensor from an empty tensor list")
    along = ragged - 1
    rest = {(*t.shape[:along], *t.shape[along + 1 :]) for t in parts}
    if len(rest) > 1:
        raise RuntimeError(
            "When constructing a nested tensor with layout=torch.jagged, all components should "
            "have the same shape except for one ragged dimension."
        )
    lengths = flambeau.tensor([t.shape[along] for t in parts], device=parts[0].device)
    offsets = flambeau.nn.functional.pad(lengths.cumsum(0), (1, 0))
    return jagged(flambeau.cat(parts, along), offsets, None, ragged)


def of_buffer(values, sizes, strides, offsets):
    """A strided nested tensor of parts that lie anywhere in one tensor."""
    parts = zip(sizes.tolist(), strides.tolist(), offsets.tolist(), strict=True)
    return NestedTensor(tuple(values.as_strided(*part) for part in parts), flambeau.strided)


def of_state(state):
    """A jagged tensor of what `_state` gave."""
    values, offsets, along = state["values"].detach(), state["offsets"], state["_ragged_idx"] - 1
    at = offsets.tolist()
    if sorted(at) != at or at[0] < 0 or at[-1] > values.size(along):
        raise RuntimeError("the parts of a jagged tensor lie outside of its values")
    made = jagged(values, offsets, state.get("lengths"), along + 1)
    return made.requires_grad_() if state.get("requires_grad") else made


def contiguous_strides_offsets(sizes):
    """(strides, offsets) of parts of these sizes that lie one after the other."""
    rows = sizes.tolist()
    strides = [[math.prod(row[i + 1 :]) for i in range(len(row))] for row in rows]
    offsets = itertools.accumulate((math.prod(row) for row in rows[:-1]), initial=0)
    return flambeau.tensor(strides), flambeau.tensor(list(offsets) if rows else [])


def view_from_buffer(buffer, sizes, strides, offsets):
    """The nested tensor of the parts of these sizes, strides and offsets in a flat one."""
    rows = zip(sizes.tolist(), strides.tolist(), offsets.tolist(), strict=True)
    parts = [buffer.as_strided(*row[:2], row[2] + buffer.storage_offset()) for row in rows]
    return of_parts(parts, flambeau.strided)
