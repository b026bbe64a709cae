"""Sparse tensors: the classes, which keep their elements in dense tensors of positions and values.

The values may have a history: what is computed with a sparse tensor is computed with them, and so
gradients flow without a formula for each operator. Functions of flambeau that meet a sparse tensor
come to `__torch_function__` and from there to the table `HANDLERS`.
"""

import flambeau
from flambeau import _C, Tensor

HANDLERS = {}  # by the name of a function or method


def handles(*names):
    """Enters a function as what the functions of these names do with sparse tensors."""

    def register(function):
        for name in names:
            HANDLERS[name] = function
        return function

    return register


class SparseTensor(Tensor):
    """A tensor most of whose elements are zero and are not kept."""

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        name = getattr(func, "__name__", str(func))
        handler = HANDLERS.get(name)
        if handler is None and name in ("__get__", "__set__"):
            with _C.DisableTorchFunctionSubclass():  # an attribute that Tensor has
                return func(*args)
        if handler is None:
            raise NotImplementedError(
                f"Could not run '{name}' with arguments from the 'SparseCPU' backend: it is not "
                "implemented for sparse tensors. to_dense() gives a tensor that it takes."
            )
        return handler(*args, **(kwargs or {}))

    # -- history: that of the values ---------------------------------------------------------------
    @property
    def requires_grad(self):
        """Whether operations on the values are recorded."""
        return self._v.requires_grad

    @requires_grad.setter
    def requires_grad(self, on):
        self.requires_grad_(on)

    def requires_grad_(self, requires_grad=True):
        """Makes it a leaf whose gradient is gathered, or stops that."""
        if requires_grad and not self._v.requires_grad:
            self._v = self._v.detach().requires_grad_()
            self._leaf = True
        elif not requires_grad:
            self._v.requires_grad_(False)
        return self

    @property
    def is_leaf(self):
        """True for tensors that no recorded operation made."""
        return self._leaf or not self._v.requires_grad

    @property
    def grad_fn(self):
        """The node that made the values, or None."""
        return None if self.is_leaf else self._v.grad_fn

    @property
    def grad(self):
        """The gradient of a leaf, with its own positions, or None."""
        grad = self._v.grad if self._leaf else None
        return None if grad is None else self._with_values(grad)

    @grad.setter
    def grad(self, value):
        self._v.grad = value if value is None else value._v

    @property
    def data(self):
        """The same elements without history."""
        return self.detach()

    @data.setter
    def data(self, value):
        HANDLERS["assign"](self, value.detach())

    def detach(self):
        """The same elements without history."""
        return self._with_values(self._v.detach())

    def detach_(self):
        """Cuts it off from what made it."""
        self._v, self._leaf = self._v.detach(), False
        return self

    def backward(self, gradient=None, *args, **kwargs):
        """Walks the graph from the values."""
        gradient = gradient._v if isinstance(gradient, SparseTensor) else gradient
        self._v.backward(gradient, *args, **kwargs)

    def register_hook(self, hook):
        """Calls hook with the gradient."""

        def with_positions(grad):
            new = hook(self._with_values(grad))
            return new._v if isinstance(new, SparseTensor) else new

        return self._v.register_hook(with_positions)

    def retain_grad(self):
        """Keeps the gradient of the values."""
        self._v.retain_grad()

    @property
    def _version(self):
        return self._v._version

    @property
    def T(self):
        """The matrix with rows and columns exchanged."""
        return HANDLERS["t"](self)

    @property
    def mT(self):
        """The matrices with rows and columns exchanged."""
        return HANDLERS["transpose"](self, -2, -1)

    # -- what a sparse tensor does not have --------------------------------------------------------
    def numpy(self, *, force=False):
        """An error: NumPy has no sparse arrays."""
        raise TypeError("can't convert Sparse layout tensor to numpy. Use Tensor.to_dense() first.")

    def __array__(self, dtype=None, copy=None):
        return self.numpy()

    def data_ptr(self):
        """An error: the elements are in several tensors."""
        raise RuntimeError("Cannot access data pointer of Tensor that doesn't have storage")

    def storage(self, *args, **kwargs):
        """An error: the elements are in several tensors."""
        raise NotImplementedError("Cannot access storage of a sparse tensor")

    untyped_storage = set_ = as_subclass = __dlpack__ = storage

    def stride(self, dim=None):
        """An error: sparse tensors have no strides."""
        raise RuntimeError("sparse tensors do not have strides")

    def item(self):
        """The only element as a number."""
        if self.numel() != 1:
            raise RuntimeError(
                f"a Tensor with {self.numel()} elements cannot be converted to Scalar"
            )
        return self.to_dense().item()

    def tolist(self):
        """The elements as nested lists, zeros among them."""
        return self.to_dense().tolist()

    def __bool__(self):
        return bool(self.item())

    def __float__(self):
        return float(self.item())

    def __int__(self):
        return int(self.item())

    def __iter__(self):
        return iter([self[i] for i in range(len(self))])

    def __getitem__(self, index):
        return HANDLERS["__getitem__"](self, index)

    def __setitem__(self, index, value):
        raise RuntimeError("sparse tensors take no assignments to parts of them")

    def is_contiguous(self, memory_format=None):
        """An error but for a question about order, which there is none of."""
        raise RuntimeError("Tensors of sparse layout do not have is_contiguous")

    def is_pinned(self, device=None):
        """False: there is no pinned memory."""
        return False

    # -- pickle, copy, print -----------------------------------------------------------------------
    def __reduce_ex__(self, protocol):
        return rebuild, (str(self.layout).rpartition(".")[2], self._state(), self.requires_grad)

    def __deepcopy__(self, memo):
        if not self.is_leaf:
            raise RuntimeError("only leaves of the graph can be copied deeply: detach() it first")
        if id(self) not in memo:
            memo[id(self)] = self.detach().clone().requires_grad_(self.requires_grad)
        return memo[id(self)]

    def __repr__(self, *, tensor_contents=None):
        return _text(self)

    def __format__(self, spec):
        return object.__format__(self, spec)

    def __hash__(self):
        return id(self)


class CooTensor(SparseTensor):
    """Positions [sparse_dim, nnz] and values [nnz, ...]; values of one position add up."""

    def _state(self):
        return self._i, self._v.detach(), tuple(self.shape), self._coalesced

    def _with_values(self, values, coalesced=None):
        """The same positions with other values."""
        coalesced = self._coalesced if coalesced is None else coalesced
        shape = tuple(self.shape[: self.sparse_dim()]) + tuple(values.shape[1:])
        return coo(self._i, values, shape, coalesced)


class CompressedTensor(SparseTensor):
    """Rows or columns one after another: where each begins, positions, values; see _compressed."""

    @property
    def _blocksize(self):
        """The sizes of the blocks; None where the values are numbers."""
        depth = self._c.dim()
        blocks = self.layout in (flambeau.sparse_bsr, flambeau.sparse_bsc)
        return tuple(self._v.shape[depth : depth + 2]) if blocks else None

    def _state(self):
        return self._c, self._p, self._v.detach(), tuple(self.shape)

    def _with_values(self, values):
        return compressed(self._c, self._p, values, tuple(self.shape), self.layout)


def coo(indices, values, size, coalesced=False):
    """A COO tensor over these parts, which fit."""
    made = Tensor._make_sparse(CooTensor, tuple(size), values.dtype, flambeau.sparse_coo)
    coalesced = coalesced or indices.shape[1] < 2
    made._i, made._v, made._coalesced, made._leaf = indices, values, coalesced, False
    return made


def compressed(begins, positions, values, size, layout):
    """A compressed tensor over these parts, which fit."""
    made = Tensor._make_sparse(CompressedTensor, tuple(size), values.dtype, layout)
    made._c, made._p, made._v, made._leaf = begins, positions, values, False
    return made


def rebuild(layout, state, requires_grad=False):
    """A sparse tensor from what a pickle or a checkpoint holds, checked."""
    from ._compressed import sparse_compressed_tensor
    from ._create import sparse_coo_tensor

    if layout == "sparse_coo":
        indices, values, size, *coalesced = state
        made = sparse_coo_tensor(indices, values, size)
        if coalesced and coalesced[0]:
            made = made.coalesce()
    elif layout in ("sparse_csr", "sparse_csc", "sparse_bsr", "sparse_bsc"):
        begins, positions, values, size = state
        layout = getattr(flambeau, layout)
        made = sparse_compressed_tensor(begins, positions, values, size, layout=layout)
    else:
        raise RuntimeError(f"rebuilding a sparse tensor: unknown layout {layout!r}")
    return made.requires_grad_(requires_grad)


def _text(x):
    from flambeau._tensor_str import _join, _tensor_str

    def part(name, tensor):
        start = f"{name}=tensor("
        if tensor.numel() == 0:
            return f"{start}[], size={tuple(tensor.shape)})"
        return start + _tensor_str(tensor.detach(), 7 + len(start)) + ")"

    names = {
        "sparse_coo": ("indices",),
        "sparse_csr": ("crow_indices", "col_indices"),
        "sparse_bsr": ("crow_indices", "col_indices"),
    }
    layout = str(x.layout).rpartition(".")[2]
    coo_like = layout == "sparse_coo"
    positions = (x._i,) if coo_like else (x._c, x._p)
    names = names.get(layout, ("ccol_indices", "row_indices"))
    parts = [part(n, t) for n, t in zip(names, positions, strict=True)]
    parts.append(part("values", x._v))
    tail = [f"size={tuple(x.shape)}", f"nnz={x._nnz()}"]
    if x.dtype not in (flambeau.get_default_dtype(), flambeau.int64, flambeau.bool):
        tail.append(f"dtype={x.dtype}")
    tail.append(f"layout=torch.{layout}")
    if x.grad_fn is not None:
        tail.append(f"grad_fn=<{x.grad_fn.name()}>")
    elif x.requires_grad:
        tail.append("requires_grad=True")
    text = "tensor(" + ",\n       ".join(parts)
    if coo_like:
        text += ",\n       " + tail.pop(0)
    return _join(text, tail, 7)
