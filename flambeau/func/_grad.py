"""Reverse mode: grad, grad_and_value, vjp, linearize.

The graph of gradients lies under all batches and derivatives, between plain tensors. A function is
differentiated with respect to new leaves made of its arguments, which are examples of every open
vmap (so that each example gets its own gradient), and the gradient of dual numbers is put together
from those of their parts.
"""

import functools

from .. import _C, _levels, autograd
from ..utils._pytree import tree_flatten, tree_map, tree_unflatten


# -- leaves ----------------------------------------------------------------------------------------
def _strip(tensor, levels):
    for level, size in levels:
        tensor = _levels.remove_batch(tensor, level, size)
    return tensor


def _dress(tensor, levels):
    for level, _ in reversed(levels):
        tensor = _levels.add_batch(tensor, 0, level)
    return tensor


def _new_leaf(tensor, leaves):
    dual = _levels.dual_of(tensor)
    if dual is not None:
        level, primal, tangent = dual
        return _C._make_dual(_new_leaf(primal, leaves), tangent, level)
    leaf = tensor.view_as(tensor) if tensor.requires_grad else tensor.detach().requires_grad_()
    leaves.append(leaf)
    return leaf


class _Tape:
    """One run of a function whose arguments are new leaves."""

    def __init__(self, inputs):
        self.levels = [(level, size) for level, size, _ in _levels.vmaps]
        self.records = _C.is_grad_enabled()
        self.inputs, self.leaves, self.tracked = inputs, [], []
        before = _C._exchange_grad_enabled(True)
        try:
            for x in inputs:
                plain = _strip(_levels.lift(x), self.levels)
                self.tracked.append(_dress(_new_leaf(plain, self.leaves), self.levels))
        finally:
            _C._exchange_grad_enabled(before)

    def run(self, function, *args):
        before = _C._exchange_grad_enabled(True)
        try:
            return function(*args)
        finally:
            _C._exchange_grad_enabled(before)

    def depends_on_others(self, *tensors):
        """Whether gradients have to be differentiable themselves."""
        return self.records and self._leads_elsewhere(*tensors)

    def _leads_elsewhere(self, *tensors):
        parts = tuple(p for t in tensors for p in _levels.parts(t))
        if any(leaf.grad_fn is not None for leaf in self.leaves):
            return True
        return _C._depends_on_others(parts, tuple(self.leaves))

    def finish(self, tensor):
        """A result as the caller may see it: without the graph of this run."""
        if not isinstance(tensor, _C.Tensor):
            return tensor
        return tensor if self.depends_on_others(tensor) else _levels.cut(tensor)

    def gradients(self, outputs, cotangents, retain):
        """Of each input, examples of the same batches."""
        create = _C.is_grad_enabled() and self._leads_elsewhere(*outputs, *cotangents)
        ys = [_strip(y, self.levels) for y in outputs]
        gs = [_strip(g, self.levels) for g in cotangents]
        found = backward_of_duals(ys, gs, tuple(self.leaves), create, retain)
        out = []
        for g, x in zip(found, self.inputs, strict=True):
            if g is None:
                out.append(x.detach().new_zeros(x.shape))
            else:
                g = _dress(g, self.levels)
                out.append(g if create else _levels.cut(g))
        return out


def backward_of_duals(ys, gs, leaves, create, retain):
    """Gradients of plain leaves, each a dual number where outputs or their gradients are."""
    levels = set().union(*(_levels.dual_levels(t) for t in (*ys, *gs))) if ys else set()
    if levels:
        level = max(levels)
        y, dy = zip(*(_levels.unpack_dual(t, level) for t in ys), strict=True)
        g, dg = zip(*(_levels.unpack_dual(t, level) for t in gs), strict=True)
        value = backward_of_duals(y, g, leaves, create, True)
        pairs = [(a, b) for a, b in zip((*dy, *y), (*g, *dg), strict=True)
                 if a is not None and b is not None]  # fmt: skip
        change = (
            backward_of_duals(*zip(*pairs, strict=True), leaves, create, retain)
            if pairs
            else ((None,) * len(leaves))
        )
        return [_join(v, d, level) for v, d in zip(value, change, strict=True)]
    live = [(y, g) for y, g in zip(ys, gs, strict=True) if y.requires_grad]
    if not live:
        return [None] * len(leaves)
    ys, gs = zip(*live, strict=True)
    return list(autograd._run(ys, gs, retain or create, create, leaves, False, True))


def _join(value, change, level):
    if change is None:
        return value
    if value is None:
        value = change.new_zeros(change.shape)
    return _levels.make_dual(value, change, level)


def _tensors(tree, what):
    flat, spec = tree_flatten(tree)
    for x in flat:
        if not isinstance(x, _C.Tensor):
            raise RuntimeError(f"{what}, got unsupported type {type(x)}")
    return flat, spec


def _inputs(tree):
    flat, spec = tree_flatten(tree)
    for x in flat:
        if not isinstance(x, _C.Tensor):
            raise ValueError(f"Thing passed to transform API must be Tensor, got {type(x)}")
    return flat, spec


def check_aux(aux):
    """Raises RuntimeError unless `aux` is made of tensors."""
    for x in tree_flatten(aux)[0]:
        if not isinstance(x, _C.Tensor):
            raise RuntimeError(f"Expected tensors, got unsupported type {type(x).__name__}")


def _with_aux(output, name):
    if not (isinstance(output, tuple) and len(output) == 2):
        raise RuntimeError(
            f"{name}: output of function f should be a tuple: (output, aux) if has_aux is True"
        )
    check_aux(output[1])
    return output


# -- vjp -------------------------------------------------------------------------------------------
def vjp(func, *primals, has_aux=False):
    """(func(*primals), a function of cotangents that gives their products with the Jacobian).

    >>> import flambeau as torch
    >>> y, pull = torch.func.vjp(lambda x: x * x, torch.tensor([1., 2.]))
    >>> pull(torch.ones(2))
    (tensor([2., 4.]),)
    """
    flat, spec = _inputs(primals)
    tape = _Tape(flat)
    output, aux = tape.run(func, *tree_unflatten(tape.tracked, spec)), None
    if has_aux:
        output, aux = _with_aux(output, "vjp(f, *primals)")
    if output is None or not tree_flatten(output)[0]:
        raise RuntimeError(
            "vjp(f, *primals): Expected f to be a function that has non-empty output"
        )
    ys, out_spec = _tensors(output, "vjp(f, *primals): expected f(*primals) to return only tensors")

    def pull(cotangents, retain_graph=True, create_graph=None):
        gs, g_spec = tree_flatten(cotangents)
        if g_spec != out_spec:
            raise RuntimeError(
                "Expected pytree structure of cotangents to be the same as pytree structure of "
                f"outputs to the function. cotangents: {g_spec}, primal output: {out_spec}"
            )
        return tree_unflatten(tape.gradients(ys, gs, retain_graph), spec)

    result = tree_map(tape.finish, output)
    if has_aux:
        return result, pull, tree_map(tape.finish, aux)
    return result, pull


def linearize(func, *primals):
    """(func(*primals), a linear function of tangents: func's derivative there, computed once).

    >>> import flambeau as torch
    >>> y, push = torch.func.linearize(torch.sin, torch.tensor(0.))
    >>> push(torch.tensor(2.))
    tensor(2.)
    """
    from .. import zeros_like

    output, pull = vjp(func, *primals)
    spec = tree_flatten(primals)[1]
    # The transpose of a linear function is its own gradient.
    _, transposed = vjp(pull, tree_map(zeros_like, output))

    def push(*tangents):
        flat, t_spec = tree_flatten(tangents)
        if t_spec != spec:
            raise RuntimeError(
                f"linearize: expected tangents of the structure of the primals {spec}, got {t_spec}"
            )
        for t, p in zip(flat, tree_flatten(primals)[0], strict=True):
            if t.shape != p.shape or t.dtype != p.dtype:
                raise RuntimeError(
                    f"linearize: expected a tangent of shape {p.shape} and dtype {p.dtype}, got "
                    f"{t.shape} and {t.dtype}"
                )
        found = transposed(tangents)[0]
        return found if live or any(t.requires_grad for t in flat) else tree_map(_levels.cut, found)

    live = any(t.requires_grad for t in tree_flatten((output, primals))[0])
    return output, push


# -- grad ------------------------------------------------------------------------------------------
def _chosen(args, argnums):
    if not isinstance(argnums, (int, tuple)):
        raise RuntimeError(f"argnum must be int or Tuple[int, ...], got: {type(argnums)}")
    numbers = (argnums,) if isinstance(argnums, int) else argnums
    if not numbers:
        raise RuntimeError("argnums must be non-empty")
    for n in numbers:
        if not isinstance(n, int):
            raise RuntimeError(f"argnum must be int, got {type(n)}")
        if not -len(args) <= n < len(args):
            raise RuntimeError(f"Got argnum={n}, but only {len(args)} positional inputs were given")
    numbers = tuple(n % len(args) for n in numbers)
    if len(set(numbers)) != len(numbers):
        raise RuntimeError(f"argnums must be unique, got {argnums}")
    return numbers


def replaced(args, numbers, values):
    args = list(args)
    for n, value in zip(numbers, values, strict=True):
        args[n] = value
    return args


def _scalar(output):
    if not isinstance(output, _C.Tensor):
        raise RuntimeError(
            f"Expected f(*args) to return a scalar tensor, got a value of type {type(output)}"
        )
    if output.dim() != 0:
        raise RuntimeError(
            "Expected f(*args) to return a scalar tensor, got tensor with "
            f"{output.dim()} dims. Maybe you wanted to use the vjp or jacrev APIs instead?"
        )
    return output


def _gradient(func, argnums, has_aux, args, kwargs):
    numbers = _chosen(args, argnums)
    flat, spec = _inputs(tuple(args[n] for n in numbers))
    tape = _Tape(flat)
    tracked = replaced(args, numbers, tree_unflatten(tape.tracked, spec))
    output, aux = tape.run(functools.partial(func, *tracked, **kwargs)), None
    if has_aux:
        output, aux = _with_aux(output, "grad_and_value(f)(*args)")
    output = _scalar(output)
    found = tape.gradients([output], [output.detach().new_ones(())], False)
    found = tree_unflatten(found, spec)
    value = tape.finish(output)
    if has_aux:
        aux = tree_map(tape.finish, aux)
    return found[0] if isinstance(argnums, int) else found, value, aux


def grad_and_value(func, argnums=0, has_aux=False):
    """A function that gives (gradient, value), or with `has_aux` (gradient, (value, aux)).

    >>> import flambeau as torch
    >>> torch.func.grad_and_value(lambda x: x ** 2)(torch.tensor(3.))
    (tensor(6.), tensor(9.))
    """

    @functools.wraps(func)
    def wrapped(*args, **kwargs):
        found, value, aux = _gradient(func, argnums, has_aux, args, kwargs)
        return (found, (value, aux)) if has_aux else (found, value)

    return wrapped


def grad(func, argnums=0, has_aux=False):
    """A function that gives the gradient of a scalar function, of the arguments `argnums`.

    >>> import flambeau as torch
    >>> from flambeau.func import grad
    >>> grad(grad(lambda x: x ** 3))(torch.tensor(2.))
    tensor(12.)
    """

    @functools.wraps(func)
    def wrapped(*args, **kwargs):
        found, _, aux = _gradient(func, argnums, has_aux, args, kwargs)
        return (found, aux) if has_aux else found

    return wrapped
