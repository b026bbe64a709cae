"""Checks of gradients against finite differences."""

from .. import _C

__all__ = ["GradcheckError", "gradcheck", "gradgradcheck"]


class GradcheckError(RuntimeError):
    """What gradcheck and gradgradcheck raise when a gradient is wrong."""


def _tensors(x):
    return (x,) if isinstance(x, _C.Tensor) else tuple(x)


def _differentiable(items):
    return [x for x in items if isinstance(x, _C.Tensor) and x.requires_grad]


def _parts(tensor):
    """The directions in which an element of it moves: along the reals, and the imaginaries."""
    return (1, 1j) if tensor.dtype.is_complex else (1,)


def _reals(array):
    """An array as a flat list of real numbers: complex ones as real part, imaginary part."""
    import numpy as np

    flat = array.reshape(-1)
    if np.iscomplexobj(flat):
        return np.stack([flat.real, flat.imag], axis=-1).reshape(-1)
    return flat


def _values(outputs):
    return [_reals(o.detach().clone().numpy()) for o in outputs]


def _units(tensor):
    """Every direction in which one real number of a tensor moves, as a tensor."""
    import numpy as np

    for index in np.ndindex(*tensor.shape):
        for part in _parts(tensor):
            v = tensor.detach().new_zeros(tensor.shape)
            v[index] = part
            yield v


def _along(run, x, v, eps):
    """The change of the outputs when x moves along v, by central differences."""
    data = x.detach()
    kept = data.clone()
    data.add_(eps * v)
    above = _values(run())
    data.copy_(kept - eps * v)
    below = _values(run())
    data.copy_(kept)
    return [(a - b) / (2 * eps) for a, b in zip(above, below, strict=True)]


def _numerical(run, inputs, eps):
    """jacobians[i][o]: rows are real parts of input i, columns real parts of output o."""
    import numpy as np

    jacobians = []
    for x in inputs:
        rows = [_along(run, x, v, eps) for v in _units(x)]
        outputs = len(rows[0]) if rows else 0
        jacobians.append([np.stack([r[o] for r in rows]) for o in range(outputs)])
    return jacobians


def _pull(outputs, inputs, vs, check_dtypes=False, **options):
    """Gradients as tensors, zeros where there are none."""
    from . import grad

    grads = grad(outputs, inputs, vs, retain_graph=True, allow_unused=True, **options)
    found = []
    batched = options.get("is_grads_batched")
    for g, x in zip(grads, inputs, strict=True):
        if g is None:
            shape = (vs[0].shape[0], *x.shape) if batched else x.shape
            g = x.detach().new_zeros(shape)
        if not batched and g.shape != x.shape:
            raise GradcheckError(f"grad has shape {g.shape}, its input {x.shape}")
        if check_dtypes and g.dtype != x.dtype:
            raise GradcheckError(f"grad has dtype {g.dtype}, its input {x.dtype}")
        found.append(g)
    return found


def _analytical(output, inputs, check_dtypes):
    """The same for one output by backward: one call for each of its real parts."""
    import numpy as np

    columns = [[] for _ in inputs]
    for v in _units(output):
        for column, g in zip(columns, _pull(output, inputs, v, check_dtypes), strict=True):
            column.append(_reals(g.detach().numpy()).copy())
    if output.numel() == 0:
        return [None for _ in inputs]
    return [np.stack(c, axis=1) for c in columns]


def _mismatch(got, want, o, i, how=""):
    return GradcheckError(
        f"Jacobian{how} mismatch for output {o} with respect to input {i},\n"
        f"numerical:{want}\nanalytical:{got}\n"
    )


class _Check:
    """One function at one point, and the tolerances."""

    def __init__(self, func, inputs, eps, atol, rtol):
        self.func, self.inputs = func, inputs
        self.found = _differentiable(inputs)
        self.eps, self.atol, self.rtol = eps, atol, rtol
        self._jacobians = None

    def run(self):
        return _differentiable(_tensors(self.func(*self.inputs)))

    def jacobians(self):
        if self._jacobians is None:
            self._jacobians = _numerical(self.run, self.found, self.eps)
        return self._jacobians

    def close(self, a, b):
        import numpy as np

        return np.allclose(a, b, rtol=self.rtol, atol=self.atol)

    # -- backward ----------------------------------------------------------------------------------
    def backward(self, nondet_tol, check_dtypes):
        import numpy as np

        numerical = self.jacobians()  # writes the inputs: the graph comes after
        for o, output in enumerate(self.run()):
            first = _analytical(output, self.found, check_dtypes)
            again = _analytical(output, self.found, check_dtypes)
            for i, (got, twice) in enumerate(zip(first, again, strict=True)):
                if got is None or self.found[i].numel() == 0:
                    continue
                if not self.close(got, numerical[i][o]):
                    raise _mismatch(got, numerical[i][o], o, i)
                if np.abs(got - twice).max(initial=0) > nondet_tol:
                    raise GradcheckError(
                        "Backward is not reentrant, i.e., running backward with same input and "
                        "grad_output multiple times gives different values, although analytical "
                        "gradient matches numerical gradient. The tolerance for nondeterminism was "
                        f"{nondet_tol}."
                    )

    def fast(self, nondet_tol, check_dtypes):
        """Along one random direction of every input and of every output."""
        vs = [_direction(x) for x in self.found]
        moved = [_along(self.run, x, v, self.eps) for x, v in zip(self.found, vs, strict=True)]
        for o, output in enumerate(self.run()):
            if output.numel() == 0:
                continue
            u = _direction(output)
            weights = _values([u])[0]
            grads = _pull(output, self.found, u, check_dtypes)
            for i, (g, v) in enumerate(zip(grads, vs, strict=True)):
                want = float((moved[i][o] * weights).sum())
                got = float((_values([g])[0] * _values([v])[0]).sum())
                scale = max(1.0, self.found[i].numel() ** 0.5, output.numel() ** 0.5)
                if abs(got - want) > scale * self.atol + self.rtol * abs(want):
                    self.backward(nondet_tol, check_dtypes)  # which tells the elements
                    raise _mismatch(got, want, o, i, " along random directions")

    # -- forward -----------------------------------------------------------------------------------
    def push(self, x, v):
        """The tangents of the outputs when the tangent of input x is v."""
        from . import forward_ad as fw

        with fw.dual_level():
            args = [fw.make_dual(a.detach(), v) if a is x else a for a in self.inputs]
            outputs = _tensors(self.func(*args))
            pairs = [fw.unpack_dual(o) for o in outputs if isinstance(o, _C.Tensor)]
        keep = [o.requires_grad for o in _tensors(self.func(*self.inputs))
                if isinstance(o, _C.Tensor)]  # fmt: skip
        return [
            p.primal.detach().new_zeros(p.primal.shape) if p.tangent is None else p.tangent
            for p, k in zip(pairs, keep, strict=True)
            if k
        ]

    def forward(self):
        import numpy as np

        numerical = self.jacobians()
        for i, x in enumerate(self.found):
            rows = [_values(self.push(x, v)) for v in _units(x)]
            for o in range(len(rows[0]) if rows else 0):
                got = np.stack([r[o] for r in rows])
                if not self.close(got, numerical[i][o]):
                    raise _mismatch(got, numerical[i][o], o, i, " computed with forward mode")

    # -- batches -----------------------------------------------------------------------------------
    def batched(self):
        from .. import stack

        for o, output in enumerate(self.run()):
            vs = [_direction(output) for _ in range(2)]
            each = [_pull(output, self.found, v) for v in vs]
            try:
                together = _pull([output], self.found, [stack(vs)], is_grads_batched=True)
            except RuntimeError as error:
                raise GradcheckError(
                    "While attempting to check batched gradients, vmap of the backward of output "
                    f"{o} failed: {error}"
                ) from error
            self._same(each, together, o, "gradients")

    def batched_forward(self):
        from .. import stack
        from ..func import vmap

        for i, x in enumerate(self.found):
            vs = [_direction(x) for _ in range(2)]
            each = [self.push(x, v) for v in vs]
            together = vmap(lambda v, x=x: tuple(self.push(x, v)))(stack(vs))
            self._same(each, together, i, "forward gradients")

    def _same(self, each, together, at, what):
        for k, whole in enumerate(together):
            for one, row in zip(each, whole, strict=True):
                if not self.close(row.detach().numpy(), one[k].detach().numpy()):
                    raise GradcheckError(
                        f"For input or output {at}, the batched {what} differ from those computed "
                        f"one after another: {row} and {one[k]}"
                    )

    # -- undefined gradients -----------------------------------------------------------------------
    def undefined(self):
        """Each output's gradient missing in turn: what depends on the others must not notice."""
        outputs = self.run()
        if len({o.grad_fn for o in outputs}) == len(outputs):
            return
        for o in range(len(outputs)):
            rest = outputs[:o] + outputs[o + 1 :]
            vs = [_direction(r) for r in rest]
            try:
                found = _pull(rest, self.found, vs)
                zeros = [*vs[:o], outputs[o].detach() * 0, *vs[o:]]
                want = _pull(outputs, self.found, zeros)
            except RuntimeError as error:
                raise GradcheckError(
                    "Expected backward function to handle undefined output grads: without that of "
                    f"output {o} it fails with {error}"
                ) from error
            for a, b in zip(found, want, strict=True):
                if not self.close(a.detach().numpy(), b.detach().numpy()):
                    raise GradcheckError(
                        "Expected backward function to handle undefined output grads: without that "
                        f"of output {o} the gradients are {a}, with zeros {b}"
                    )


def _direction(tensor):
    """A random tensor of the same shape."""
    from .. import rand

    v = rand(tensor.shape, dtype=tensor.dtype)
    return v.to(tensor.device) + 0.1


def _is_sparse(x):
    from .. import strided

    return isinstance(x, _C.Tensor) and x.layout is not strided


def _on_values(func, inputs):
    """(func, inputs) with the values of sparse inputs in their place, and dense outputs."""
    sparse = {i: x for i, x in enumerate(inputs) if _is_sparse(x)}
    if not sparse:
        return func, inputs

    def of_values(*args):
        args = list(args)
        for i, x in sparse.items():
            args[i] = x._with_values(args[i])
        return tuple(o.to_dense() if _is_sparse(o) else o for o in _tensors(func(*args)))

    inputs = list(inputs)
    for i, x in sparse.items():
        inputs[i] = x._v.detach().requires_grad_(x.requires_grad)
    return of_values, tuple(inputs)


def _check_inputs(inputs):
    found = _differentiable(inputs)
    if not found:
        raise ValueError(
            "gradcheck expects at least one input tensor to require gradient, but none of them "
            "have requires_grad=True."
        )
    if any(x.dtype not in (_C.float64, _C.complex128) for x in found):
        import warnings

        warnings.warn(
            "gradcheck: an input that requires gradient is not of double precision: the check "
            "will likely fail",
            stacklevel=4,
        )
    for x in found:
        strides = zip(x.stride(), x.shape, strict=True)
        if x.numel() > 0 and any(s == 0 and n > 1 for s, n in strides):
            raise RuntimeError(
                "gradcheck: an input has elements that share memory: call contiguous() on it first"
            )


def gradcheck(
    func,
    inputs,
    *,
    eps=1e-6,
    atol=1e-5,
    rtol=1e-3,
    raise_exception=True,
    nondet_tol=0.0,
    check_undefined_grad=True,
    check_grad_dtypes=False,
    check_batched_grad=False,
    check_batched_forward_grad=False,
    check_forward_ad=False,
    check_backward_ad=True,
    fast_mode=False,
    masked=False,
):
    """Compares the gradients of `func` at `inputs` with finite differences; True when they agree.

    Complex inputs and outputs are checked along real and imaginary parts.

    Args:
        check_undefined_grad: whether gradients of outputs may be missing.
        check_batched_grad, check_batched_forward_grad: whether vmap over gradients agrees.
        check_forward_ad, check_backward_ad: which modes are checked.
        fast_mode: one random direction instead of every element.
        masked: as if True: of sparse inputs, the elements that they hold are varied.

    >>> import flambeau as torch
    >>> x = torch.tensor([0.5, 1.5], dtype=torch.float64, requires_grad=True)
    >>> torch.autograd.gradcheck(torch.sin, (x,), check_forward_ad=True, check_batched_grad=True)
    True
    """
    if not (check_backward_ad or check_forward_ad):
        raise ValueError("gradcheck: one of check_forward_ad and check_backward_ad must be True")
    for name, on, needs in (
        ("check_batched_grad", check_batched_grad, check_backward_ad),
        ("check_batched_forward_grad", check_batched_forward_grad, check_forward_ad),
    ):
        if on and not needs:
            raise ValueError(f"gradcheck: {name}=True needs the check of that mode")
    func, inputs = _on_values(func, _tensors(inputs))
    _check_inputs(inputs)
    check = _Check(func, inputs, eps, atol, rtol)
    try:
        if check_backward_ad:
            (check.fast if fast_mode else check.backward)(nondet_tol, check_grad_dtypes)
            if check_undefined_grad:
                check.undefined()
        if check_batched_grad:
            check.batched()
        if check_forward_ad:
            check.forward()
        if check_batched_forward_grad:
            check.batched_forward()
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def gradgradcheck(
    func,
    inputs,
    grad_outputs=None,
    *,
    eps=1e-6,
    atol=1e-5,
    rtol=1e-3,
    gen_non_contig_grad_outputs=False,
    raise_exception=True,
    nondet_tol=0.0,
    check_undefined_grad=True,
    check_grad_dtypes=False,
    check_batched_grad=False,
    check_fwd_over_rev=False,
    check_rev_over_rev=True,
    fast_mode=False,
    masked=False,
):
    """gradcheck of the gradient itself: with respect to the inputs and to `grad_outputs`.

    `check_fwd_over_rev` and `check_rev_over_rev` choose the mode of the second derivative.

    >>> import flambeau as torch
    >>> x = torch.tensor([0.5, 1.5], dtype=torch.float64, requires_grad=True)
    >>> torch.autograd.gradgradcheck(torch.sin, (x,))
    True
    """
    from .. import randn_like

    func, inputs = _on_values(func, _tensors(inputs))
    if grad_outputs is None:
        grad_outputs = []
        for o in _differentiable(_tensors(func(*inputs))):
            g = randn_like(o.detach())
            if gen_non_contig_grad_outputs:
                pair = g.new_empty((*g.shape, 2))
                pair[..., 0] = g
                g = pair[..., 0]
            grad_outputs.append(g.requires_grad_())
    grad_outputs = _tensors(grad_outputs)
    count = len(grad_outputs)
    places = [i for i, x in enumerate(inputs) if isinstance(x, _C.Tensor) and x.requires_grad]

    def gradient(*args):
        from ..func import vjp

        args, grads = args[:-count], args[-count:]

        def of_places(*xs):
            full = list(args)
            for i, x in zip(places, xs, strict=True):
                full[i] = x
            outputs = _tensors(func(*full))
            return tuple(o for o in outputs if isinstance(o, _C.Tensor) and o.requires_grad)

        _, pull = vjp(of_places, *(args[i] for i in places))
        return tuple(pull(tuple(grads)))

    return gradcheck(
        gradient,
        (*inputs, *grad_outputs),
        eps=eps,
        atol=atol,
        rtol=rtol,
        raise_exception=raise_exception,
        nondet_tol=nondet_tol,
        check_undefined_grad=check_undefined_grad,
        check_grad_dtypes=check_grad_dtypes,
        check_batched_grad=check_batched_grad,
        check_forward_ad=check_fwd_over_rev,
        check_backward_ad=check_rev_over_rev,
        fast_mode=fast_mode,
        masked=masked,
    )
