"""autograd.Function on examples of batches and on dual numbers: its vmap and its jvp."""

from collections import namedtuple

from .. import _C, _levels
from .._private import is_own
from ..utils._pytree import tree_flatten, tree_map, tree_unflatten
from .function import Function

VmapInfo = namedtuple("VmapInfo", ("batch_size", "randomness"))


def apply(cls, args):
    """cls.apply(*args), some of the arguments being transformed tensors."""
    tensors = [a for a in args if isinstance(a, _C.Tensor)]
    batches = [b for b in map(_levels.batch_of, tensors) if b is not None]
    if batches:
        level = max(b[0] for b in batches)
        size = next(b[1].shape[b[2]] for b in batches if b[0] == level)
        return _batched(cls, args, level, size)
    return _dual(cls, args, max(_levels.dual_of(t)[0] for t in tensors if _levels.dual_of(t)))


# -- forward mode ----------------------------------------------------------------------------------
def _dual(cls, args, level):
    if cls.jvp is Function.jvp and not _is_operator(cls):
        cls.jvp(None)
    primals, tangents = [], []
    for a in args:
        p, t = _levels.unpack_dual(a, level) if isinstance(a, _C.Tensor) else (a, None)
        primals.append(p)
        tangents.append(t)
    if _is_operator(cls):
        return _derived(cls, primals, tangents, level)
    transformed = any(isinstance(p, _C.Tensor) and _C._transformed(p) for p in primals)
    if transformed:  # the next level will set up a context of its own
        outputs, ctx = cls.apply(*primals), _context(cls, primals)
    else:
        ctx, outputs = cls._apply_with_context(*primals)
    if ctx.materialize_grads:
        tangents = [
            p.detach().new_zeros(p.shape)
            if t is None and isinstance(p, _C.Tensor) and (p.is_floating_point() or p.is_complex())
            else t
            for p, t in zip(primals, tangents, strict=True)
        ]
    dirty = {id(t) for t in ctx.dirty_tensors or ()}
    fixed = {id(t) for t in ctx.non_differentiable or ()}
    ctx.dirty_tensors = ctx.non_differentiable = None
    ctx.to_save = ctx.saved_for_forward or ()  # what saved_tensors are to jvp
    found = cls.jvp(ctx, *tangents)
    ctx.to_save = None
    single = not isinstance(outputs, tuple)
    outputs, found = ((outputs,), (found,)) if single else (outputs, tuple(found))
    if len(found) != len(outputs):
        raise RuntimeError(
            f"{cls.__name__}.jvp returned {len(found)} tangents for {len(outputs)} results"
        )
    out = []
    for i, (y, t) in enumerate(zip(outputs, found, strict=True)):
        if id(y) in dirty:
            at = next(n for n, p in enumerate(primals) if p is y)
            if t is not tangents[at]:
                raise RuntimeError(
                    f"{cls.__name__}: an in-place custom Function's jvp function must modify the "
                    "corresponding gradient inplace and return it as is"
                )
            out.append(args[at])
        else:
            _check_tangent(cls, i, y, t, id(y) in fixed)
            out.append(y if t is None else _levels.make_dual(y, t, level))
    return out[0] if single else tuple(out)


def _check_tangent(cls, i, y, t, fixed):
    if fixed and t is not None:
        raise RuntimeError(
            f"{cls.__name__}.jvp: expected None for output {i}, which is not differentiable: "
            "ctx.mark_non_differentiable()"
        )
    if t is not None and t.shape != y.shape:
        raise RuntimeError(
            f"{cls.__name__}.jvp: tangent {i} has shape {list(t.shape)}, the result {list(y.shape)}"
        )


def _is_operator(cls):
    """flambeau's own operators that are written as Functions: their rules follow from backward."""
    return is_own(cls)


def _derived(cls, primals, tangents, level):
    """The tangents are the transpose of backward, which is linear, applied to tangents."""
    from ..func._grad import _new_leaf, backward_of_duals

    at = [i for i, t in enumerate(tangents) if t is not None]
    leaves, given = [], list(primals)
    moved = [tangents[i] for i in at]
    again = any(_C._transformed(x) for x in (*moved, *(primals[i] for i in at))) or (
        _C.is_grad_enabled() and any(x.requires_grad for x in (*moved, *(primals[i] for i in at)))
    )
    before = _C._exchange_grad_enabled(True)
    try:
        for i in at:
            given[i] = _new_leaf(primals[i], leaves)
        outputs = cls.apply(*given)
        ys = outputs if isinstance(outputs, tuple) else (outputs,)
        live = [y for y in ys if isinstance(y, _C.Tensor) and y.requires_grad]
        seeds = [y.detach().new_ones(y.shape).requires_grad_() for y in live]
        grads = backward_of_duals(live, seeds, tuple(leaves), True, True)
    finally:
        _C._exchange_grad_enabled(before)
    pairs = [(g, t) for g, t in zip(grads, moved, strict=True) if g is not None]
    found = [None] * len(seeds)
    if pairs:
        found = backward_of_duals(*zip(*pairs, strict=True), tuple(seeds), again, True)
    changes = iter(found)
    outside = cls.apply(*primals)
    plain = iter(outside if isinstance(outside, tuple) else (outside,))
    out = []
    for y in ys:
        p = next(plain)
        t = next(changes) if any(y is x for x in live) else None
        out.append(p if t is None else _levels.make_dual(p, t, level))
    return tuple(out) if isinstance(outputs, tuple) else out[0]


def _one_by_one(cls, values, dims, size):
    from .. import stack

    rows = [
        cls.apply(*(v if d is None else v.select(d, k) for v, d in zip(values, dims, strict=True)))
        for k in range(size)
    ]
    if isinstance(rows[0], tuple):
        return tuple(map(stack, zip(*rows, strict=True)))
    return stack(rows)


def _context(cls, args):
    ctx = cls._backward_cls()
    if cls._separate_context:
        cls.setup_context(ctx, tuple(args), cls.forward(*args))
    else:
        cls.forward(ctx, *args)
    return ctx


# -- batches ---------------------------------------------------------------------------------------
def _batched(cls, args, level, size):
    values, dims = [], []
    for a in args:
        value, dim = _levels.split_batch(a, level) if isinstance(a, _C.Tensor) else (a, None)
        values.append(value)
        dims.append(dim)
    if _is_operator(cls) and cls.vmap is Function.vmap:
        outputs, out_dims = _one_by_one(cls, values, dims, size), 0
    elif cls.generate_vmap_rule:
        if cls.vmap is not Function.vmap:
            raise RuntimeError(
                f"You tried to vmap over {cls.__name__}, but it has both generate_vmap_rule=True "
                "and an overriden vmap staticmethod. Please set generate_vmap_rule=False or delete "
                "the overriden vmap staticmethod to avoid ambiguity."
            )
        outputs, out_dims = _generated(cls, values, dims, size)
    elif cls.vmap is Function.vmap:
        raise RuntimeError(
            f"You tried to vmap over {cls.__name__}, but it does not have vmap support. Please "
            "override and implement the vmap staticmethod or set generate_vmap_rule=True."
        )
    else:
        mode = next((r for number, _, r in _levels.vmaps if number == level), "error")
        found = cls.vmap(VmapInfo(size, mode), tuple(dims), *values)
        if not (isinstance(found, tuple) and len(found) == 2):
            raise RuntimeError(
                f"Expected the vmap staticmethod of {cls.__name__} to have two returns: the "
                f"output, and out_dims; got {type(found)}"
            )
        outputs, out_dims = found
    return _wrap(cls, outputs, out_dims, level)


def _incompatible(cls, outputs, out_dims):
    spec, dims = tree_flatten(outputs)[1], tree_flatten(out_dims)[1]
    return RuntimeError(
        f"The vmap staticmethod of {cls.__name__} returned an incompatible (output, out_dims) "
        f"tuple. Expected out_dims={out_dims} to be compatible with the structure of `output`. "
        f"out_dims has structure {dims} but output has structure {spec}."
    )


def _wrap(cls, outputs, out_dims, level):
    flat, spec = tree_flatten(outputs)
    if isinstance(out_dims, tuple) and isinstance(outputs, _C.Tensor):
        raise _incompatible(cls, outputs, out_dims)
    if isinstance(out_dims, int) or out_dims is None:
        flat_dims = [out_dims] * len(flat)
    else:
        flat_dims = tree_flatten(out_dims)[0]
    if len(flat_dims) != len(flat):
        raise _incompatible(cls, outputs, out_dims)
    out = [
        y if d is None or not isinstance(y, _C.Tensor) else _levels.add_batch(y, d, level)
        for y, d in zip(flat, flat_dims, strict=True)
    ]
    return tree_unflatten(out, spec)


class _Inner:
    """The ctx of a Function that runs on examples inside of a Function on whole batches."""

    def __init__(self, needs):
        self.needs_input_grad = needs
        self.to_save = self.saved_for_forward = ()
        self.materialize = True

    def save_for_backward(self, *tensors):
        self.to_save = tensors

    def save_for_forward(self, *tensors):
        self.saved_for_forward = tensors

    def mark_dirty(self, *tensors):
        raise RuntimeError("vmap: a Function with generate_vmap_rule=True cannot mark_dirty()")

    def mark_non_differentiable(self, *tensors):
        self.non_differentiable = tensors

    def set_materialize_grads(self, value):
        self.materialize = bool(value)

    @property
    def saved_tensors(self):
        return tuple(self.to_save)


class _level_of:
    """A vmap level by itself."""

    def __init__(self, size):
        self.number, self.size = _levels.new_level(), size

    def __enter__(self):
        _levels.vmaps.append((self.number, self.size, "error"))
        _C._open_levels(1, 1)
        return self

    def __exit__(self, *exc):
        _C._open_levels(-1, -1)
        _levels.vmaps.pop()

    def put(self, value, dim):
        return value if dim is None else _levels.add_batch(value, dim, self.number)

    def take(self, x):
        if not isinstance(x, _C.Tensor):
            return x
        return _levels.remove_batch(x, self.number, self.size)

    def apart(self, tensors):
        """Tensors, or None, without the level, and the dimensions it was in."""
        both = [(None, None) if t is None else _levels.split_batch(t, self.number) for t in tensors]
        return [t for t, _ in both], [d for _, d in both]

    def together(self, tensors, dims):
        """What apart() has taken apart."""
        return [None if t is None else self.put(t, d) for t, d in zip(tensors, dims, strict=True)]


def _generated(cls, values, dims, size):
    """The Function on a whole batch: forward and backward run under a vmap of their own."""

    class OnBatch(Function):
        @staticmethod
        def forward(ctx, *args):
            inner = _Inner(ctx.needs_input_grad)
            with _level_of(size) as level:
                inputs = tuple(map(level.put, args, dims))
                if cls._separate_context:
                    outputs = cls.forward(*inputs)
                    cls.setup_context(inner, inputs, outputs)
                else:
                    outputs = cls.forward(inner, *inputs)
                marked = {id(t) for t in getattr(inner, "non_differentiable", ())}
                flags = [id(y) in marked for y in tree_flatten(outputs)[0]]
                saved, ctx.saved_dims = level.apart(inner.to_save)
                for_jvp, ctx.jvp_dims = level.apart(inner.saved_for_forward)
                outputs = tree_map(level.take, outputs)
            ctx.inner, ctx.flags = inner, flags
            ctx.save_for_backward(*saved)
            ctx.save_for_forward(*for_jvp)
            ctx.set_materialize_grads(inner.materialize)
            flat = tree_flatten(outputs)[0]
            ctx.mark_non_differentiable(*(y for y, f in zip(flat, flags, strict=True) if f))
            return outputs

        @staticmethod
        def backward(ctx, *grads):
            with _level_of(size) as level:
                ctx.inner.to_save = level.together(ctx.saved_tensors, ctx.saved_dims)
                given = [None if g is None else level.put(g, 0) for g in grads]
                rule = getattr(cls, cls._backward_name)
                found = rule(ctx.inner, *given)
                found = found if isinstance(found, tuple) else (found,)
                out = []
                for g, dim in zip(found, dims, strict=False):
                    if g is None:
                        out.append(None)
                    elif dim is None:  # shared by all examples
                        at = _levels.size_of(g, level.number)
                        out.append(level.take(g).sum(0) if at is not None else g * size)
                    else:
                        out.append(level.take(g).movedim(0, dim))
            return tuple(out)

        @staticmethod
        def jvp(ctx, *tangents):
            with _level_of(size) as level:
                ctx.inner.to_save = level.together(ctx.saved_tensors, ctx.jvp_dims)
                found = cls.jvp(ctx.inner, *level.together(tangents, dims))
                return tree_map(level.take, found)

    OnBatch.__name__ = OnBatch.__qualname__ = cls.__name__
    OnBatch.__module__ = cls.__module__
    return OnBatch.apply(*values), 0
