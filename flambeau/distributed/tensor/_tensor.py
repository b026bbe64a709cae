"""DTensor and the ways from one placement to another, with gradients."""

import flambeau
from flambeau import _C, Tensor
from flambeau.autograd import Function

from .. import distributed_c10d as c10d
from ._placements import Replicate

_LOCAL = frozenset(
    "abs neg negative exp log sqrt rsqrt square sin cos tanh sigmoid relu gelu silu reciprocal "
    "clone detach to float double half bfloat16 add sub mul div true_divide pow maximum minimum "
    "eq ne lt le gt ge __add__ __radd__ __sub__ __rsub__ __mul__ __rmul__ __truediv__ __neg__ "
    "__pow__ zero_ fill_ add_ sub_ mul_ div_ zeros_like ones_like empty_like full_like".split()
)  # what can be done part by part


def _pieces(size, count):
    """Where chunk() cuts `size` for `count` processes, some of which may get nothing."""
    step = -(-size // count)
    return [max(0, min(step, size - step * i)) for i in range(count)]


def _gathered(local, placement, size, group):
    """A dimension that was cut, whole again."""
    dim, blocks = placement.dim, getattr(placement, "split_factor", 1)
    sizes = [n * blocks for n in _pieces(size // blocks, group.size())]
    shapes = [local.shape[:dim] + (n,) + local.shape[dim + 1 :] for n in sizes]
    parts = [local.new_empty(shape) for shape in shapes]
    c10d.all_to_all(parts, [local.contiguous()] * group.size(), group)
    columns = zip(*(part.tensor_split(blocks, dim) for part in parts))
    return flambeau.cat([block for column in columns for block in column], dim)


def _cut(whole, placement, group):
    """This process's part of a dimension."""
    dim, blocks = placement.dim, getattr(placement, "split_factor", 1)
    sizes = _pieces(whole.shape[dim] // blocks, group.size())
    start, size = sum(sizes[: group.rank()]), sizes[group.rank()]
    parts = [block.narrow(dim, start, size) for block in whole.tensor_split(blocks, dim)]
    return flambeau.cat(parts, dim)


def _move(local, mesh, shape, before, after):
    """What this process holds under other placements. The last dimension of the mesh, which cuts
    what the ones before left, is undone first and done last."""
    if tuple(before) == tuple(after):
        return local
    for at in reversed(range(mesh.ndim)):
        old, group = before[at], mesh.get_group(at)
        if old.is_shard():
            here = list(shape)
            for outer in range(at):
                if before[outer].is_shard(old.dim):
                    sizes = _pieces(here[old.dim], mesh.size(outer))
                    here[old.dim] = sizes[mesh.get_local_rank(outer)]
            local = _gathered(local, old, here[old.dim], group)
        elif old.is_partial():
            local = local.clone()
            c10d.all_reduce(local, getattr(c10d.ReduceOp, old.reduce_op.upper()), group)
    for at in range(mesh.ndim):
        new, group = after[at], mesh.get_group(at)
        if new.is_shard():
            local = _cut(local, new, group)
        elif new.is_partial() and group.rank():
            local = flambeau.zeros_like(local)
    return local


class _Redistribute(Function):
    @staticmethod
    def forward(ctx, local, mesh, shape, before, after):
        ctx.arguments = mesh, shape, before, after
        return _move(local, mesh, shape, before, after).clone()

    @staticmethod
    def backward(ctx, grad):
        mesh, shape, before, after = ctx.arguments
        whole = [Replicate() if p.is_partial() else p for p in after]
        back = [Replicate() if p.is_partial() else p for p in before]
        return _move(grad, mesh, shape, whole, back), None, None, None, None


class _PlaceGradient(Function):
    @staticmethod
    def forward(ctx, local, mesh, shape, own, given):
        ctx.arguments = mesh, shape, given, own
        return local.view_as(local)

    @staticmethod
    def backward(ctx, grad):
        return _move(grad, *ctx.arguments), None, None, None, None


def _with_gradient(tensor, placements):
    """The part of a DTensor here; what comes back as its gradient lies as the placements say."""
    if placements is None:
        return tensor._local_tensor
    own = [Replicate() if p.is_partial() else p for p in tensor._where]
    arguments = tensor._mesh, tuple(tensor.shape), own, _placements(placements, tensor._mesh)
    return _PlaceGradient.apply(tensor._local_tensor, *arguments)


def _placements(given, mesh):
    placements = [Replicate()] * mesh.ndim if given is None else list(given)
    if len(placements) != mesh.ndim:
        raise ValueError(f"{len(placements)} placements for a mesh of {mesh.ndim} dimensions")
    return tuple(placements)


class DTensor(Tensor):
    """A tensor of which every process of a mesh holds a part, the whole or a summand.

    What can be done part by part is; everything else is done on the whole in every process, which
    is correct and not fast.

    >>> import flambeau as torch, flambeau.distributed as dist
    >>> from flambeau.distributed.tensor import Shard, distribute_tensor
    >>> dist.init_process_group(rank=0, world_size=1, store=dist.HashStore())
    >>> mesh = dist.init_device_mesh("cpu", (1,))
    >>> x = distribute_tensor(torch.ones(4, 2), mesh, [Shard(0)])
    >>> (x * 2).full_tensor().sum()
    tensor(16.)
    >>> dist.destroy_process_group()
    """

    def __new__(cls, local_tensor, device_mesh, placements, *, shape):
        made = Tensor._make_subclass(cls, local_tensor.detach().new_zeros(()).expand(shape))
        made._local_tensor = local_tensor
        made._mesh = device_mesh
        made._where = placements
        return made

    def __init__(self, *args, **kwargs):
        pass

    @staticmethod
    def from_local(
        local_tensor, device_mesh=None, placements=None, *, run_check=False, shape=None, stride=None
    ):
        """The tensor whose parts here and elsewhere are given; gradients flow to the parts.

        `run_check` gives all processes the first one's values of what each holds whole. `stride`,
        as PyTorch takes it beside `shape`, tells nothing that the parts do not.
        """
        placements = _placements(placements, device_mesh)
        for at, placement in enumerate(placements if run_check else ()):
            if placement.is_replicate():
                with flambeau.no_grad():
                    c10d.broadcast(local_tensor, group=device_mesh.get_group(at), group_src=0)
        if shape is None:
            shape = list(local_tensor.shape)
            for at, placement in enumerate(placements):
                if placement.is_shard():
                    sizes = [None] * device_mesh.size(at)
                    c10d.all_gather_object(
                        sizes, shape[placement.dim], group=device_mesh.get_group(at)
                    )
                    shape[placement.dim] = sum(sizes)
        return DTensor(local_tensor, device_mesh, placements, shape=tuple(shape))

    @property
    def device_mesh(self):
        return self._mesh

    @property
    def placements(self):
        """A placement for each dimension of the mesh."""
        return self._where

    def to_local(self, *, grad_placements=None):
        """This process's part, whose gradient is placed as the tensor is, or as `grad_placements`
        say: it is brought to the tensor's placements then."""
        return _with_gradient(self, grad_placements)

    def redistribute(self, device_mesh=None, placements=None, *, async_op=False):
        """The same tensor, held in another way."""
        mesh = self._mesh if device_mesh is None else device_mesh
        if mesh != self._mesh:
            raise ValueError("redistribute() from one mesh to another")
        after = _placements(placements, mesh)
        if after == self._where:
            return self
        arguments = mesh, tuple(self.shape), self._where, after
        local = _Redistribute.apply(self._local_tensor, *arguments)
        return DTensor(local, mesh, after, shape=tuple(self.shape))

    def full_tensor(self, *, grad_placements=None):
        """The whole tensor, in every process; its gradient is whole, too, or as `grad_placements`
        say."""
        whole = self.redistribute(placements=[Replicate()] * self._mesh.ndim)
        return _with_gradient(whole, grad_placements)

    @property
    def requires_grad(self):
        return self._local_tensor.requires_grad

    def requires_grad_(self, requires_grad=True):
        self._local_tensor.requires_grad_(requires_grad)
        return self

    @property
    def is_leaf(self):
        return self._local_tensor.is_leaf

    @property
    def grad_fn(self):
        return self._local_tensor.grad_fn

    @property
    def grad(self):
        """The parts' gradients, as a DTensor."""
        grad = self._local_tensor.grad
        if grad is None:
            return None
        return DTensor(grad, self._mesh, self._where, shape=tuple(self.shape))

    @grad.setter
    def grad(self, value):
        self._local_tensor.grad = value._local_tensor if isinstance(value, DTensor) else value

    def backward(self, gradient=None, retain_graph=None, create_graph=False, inputs=None):
        """Backward of the whole tensor."""
        if isinstance(gradient, DTensor):
            gradient = gradient.full_tensor()
        if inputs is not None:
            inputs = [_local(x) for x in ([inputs] if isinstance(inputs, Tensor) else inputs)]
        self.full_tensor().backward(gradient, retain_graph, create_graph, inputs)

    def item(self):
        return self.full_tensor().item()

    def tolist(self):
        return self.full_tensor().tolist()

    def numpy(self):
        return self.full_tensor().numpy()

    def __repr__(self, *, tensor_contents=None):
        return (
            f"DTensor(local_tensor={self._local_tensor}, device_mesh={self._mesh}, "
            f"placements={self._where})"
        )

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        name = getattr(func, "__name__", "")
        if name in ("__get__", "__set__", "dim", "size", "numel", "ndimension", "is_complex"):
            with _C.DisableTorchFunctionSubclass():
                return func(*args, **(kwargs or {}))
        return _by_parts(func, name, args, kwargs or {})


def _by_parts(func, name, args, kwargs):
    from flambeau.utils._pytree import tree_leaves, tree_map

    given = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, DTensor)]
    first = given[0]
    plain = any(
        isinstance(x, Tensor) and not isinstance(x, DTensor) and x.dim()
        for x in tree_leaves((args, kwargs))
    )
    alike = not plain and all(
        d._where == first._where and d.shape == first.shape and d._mesh == first._mesh
        for d in given
    )
    summands = any(placement.is_partial() for placement in first._where)
    inplace = name.endswith("_") and not name.endswith("__")
    if name in _LOCAL and alike and not summands:
        out = func(*tree_map(_local, args), **tree_map(_local, kwargs))
        where, shape = first._where, tuple(first.shape)
    else:
        if inplace:
            raise NotImplementedError(f"{name}() of a DTensor, in place")
        out = func(*tree_map(_full, args), **tree_map(_full, kwargs))
        where, shape = _placements(None, first._mesh), None
    if inplace:
        return args[0]

    def wrapped(value):
        if not isinstance(value, Tensor):
            return value
        return DTensor(value, first._mesh, where, shape=shape or tuple(value.shape))

    return tree_map(wrapped, out)


def _local(value):
    return value._local_tensor if isinstance(value, DTensor) else value


def _full(value):
    return value.full_tensor() if isinstance(value, DTensor) else value


def distribute_tensor(tensor, device_mesh=None, placements=None, *, src_data_rank=0):
    """A DTensor of a tensor that all processes have; the values are those of `src_data_rank`."""
    placements = _placements(placements, device_mesh)
    tensor = tensor.detach().clone().requires_grad_(tensor.requires_grad)
    with flambeau.no_grad():
        if src_data_rank is not None:
            for at in range(device_mesh.ndim):
                c10d.broadcast(tensor, group=device_mesh.get_group(at), group_src=src_data_rank)
        before = _placements(None, device_mesh)
        local = _move(tensor, device_mesh, tuple(tensor.shape), before, placements)
    local = local.detach().requires_grad_(tensor.requires_grad)
    return DTensor(local, device_mesh, placements, shape=tuple(tensor.shape))


def _factory(make):
    def factory(*size, device_mesh=None, placements=None, requires_grad=False, **options):
        whole = make(*size, **options)
        made = distribute_tensor(whole, device_mesh, placements)
        return made.requires_grad_(requires_grad)

    factory.__name__ = make.__name__
    factory.__doc__ = f"{make.__name__}() as a DTensor over a mesh."
    return factory


zeros, ones, empty, full, rand, randn = map(
    _factory,
    (flambeau.zeros, flambeau.ones, flambeau.empty, flambeau.full, flambeau.rand, flambeau.randn),
)
DTensor.__module__ = "flambeau.distributed.tensor"
