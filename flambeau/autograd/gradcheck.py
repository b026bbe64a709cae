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


def _numerical(run, inputs, eps):
    """jacobians[i][o]: rows are real parts of input i, columns real parts of output o."""
    import numpy as np

    jacobians = []
    for x in inputs:
        data, rows = x.detach(), []
        for index in np.ndindex(*x.shape):
            for part in _parts(x):
                before = data[index].item()
                data[index] = before + eps * part
                above = _values(run())
                data[index] = before - eps * part
                below = _values(run())
                data[index] = before
                rows.append([(a - b) / (2 * eps) for a, b in zip(above, below, strict=True)])
        outputs = len(rows[0]) if rows else 0
        jacobians.append([np.stack([r[o] for r in rows]) for o in range(outputs)])
    return jacobians


def _analytical(output, inputs, check_dtypes):
    """The same for one output by backward: one call for each of its real parts."""
    import numpy as np

    from . import grad

    size = output.numel()
    columns = [[] for _ in inputs]
    for index in np.ndindex(*output.shape):
        for part in _parts(output):
            v = output.detach().new_zeros(output.shape)
            v[index] = part
            grads = grad(output, inputs, v, retain_graph=True, allow_unused=True)
            for column, g, x in zip(columns, grads, inputs, strict=True):
                if g is None:
                    g = x.detach().new_zeros(x.shape)
                if g.shape != x.shape:
                    raise GradcheckError(f"grad has shape {g.shape}, its input {x.shape}")
                if check_dtypes and g.dtype != x.dtype:
                    raise GradcheckError(f"grad has dtype {g.dtype}, its input {x.dtype}")
                column.append(_reals(g.detach().numpy()).copy())
    if size == 0:
        return [None for _ in inputs]
    return [np.stack(c, axis=1) for c in columns]


def _compare(run, inputs, eps, atol, rtol, nondet_tol, check_dtypes):
    import numpy as np

    numerical = _numerical(run, inputs, eps)  # writes the inputs: the graph comes after
    outputs = run()
    for o, output in enumerate(outputs):
        first = _analytical(output, inputs, check_dtypes)
        again = _analytical(output, inputs, check_dtypes)
        for i, (got, twice) in enumerate(zip(first, again, strict=True)):
            if got is None or inputs[i].numel() == 0:
                continue
            want = numerical[i][o]
            if not np.allclose(got, want, rtol=rtol, atol=atol):
                raise GradcheckError(
                    f"Jacobian mismatch for output {o} with respect to input {i},\n"
                    f"numerical:{want}\nanalytical:{got}\n"
                )
            if np.abs(got - twice).max(initial=0) > nondet_tol:
                raise GradcheckError(
                    "Backward is not reentrant, i.e., running backward with same input and "
                    "grad_output multiple times gives different values, although analytical "
                    "gradient matches numerical gradient. The tolerance for nondeterminism was "
                    f"{nondet_tol}."
                )


def _refuse(**flags):
    for name, value in flags.items():
        if value:
            raise NotImplementedError(
                f"gradcheck(): {name}=True needs vmap or forward-mode differentiation, which "
                "flambeau does not have yet"
            )


def _check_inputs(inputs, eps):
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
        lines = zip(x.stride(), x.shape, strict=True)
        if x.numel() > 0 and any(s == 0 and n > 1 for s, n in lines):
            raise RuntimeError(
                "gradcheck: an input has elements that share memory: call contiguous() on it first"
            )
    return found


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

    Complex inputs and outputs are checked along real and imaginary parts. Each output is
    differentiated alone, which also checks undefined gradients of the others
    (`check_undefined_grad`). `fast_mode` is taken, and the full check is made; `masked` matters to
    sparse tensors only.

    >>> import flambeau as torch
    >>> x = torch.tensor([0.5, 1.5], dtype=torch.float64, requires_grad=True)
    >>> torch.autograd.gradcheck(torch.sin, (x,))
    True
    """
    _refuse(
        check_batched_grad=check_batched_grad,
        check_batched_forward_grad=check_batched_forward_grad,
        check_forward_ad=check_forward_ad,
    )
    inputs = _tensors(inputs)
    found = _check_inputs(inputs, eps)
    if not check_backward_ad:
        raise ValueError("gradcheck: nothing to check with check_backward_ad=False")

    def run():
        return _differentiable(_tensors(func(*inputs)))

    try:
        _compare(run, found, eps, atol, rtol, nondet_tol, check_grad_dtypes)
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

    >>> import flambeau as torch
    >>> x = torch.tensor([0.5, 1.5], dtype=torch.float64, requires_grad=True)
    >>> torch.autograd.gradgradcheck(torch.sin, (x,))
    True
    """
    from .. import randn_like
    from . import grad

    _refuse(check_fwd_over_rev=check_fwd_over_rev)
    inputs = _tensors(inputs)
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

    def gradient(*args):
        args, grads = args[:-count], args[-count:]
        outputs = _differentiable(_tensors(func(*args)))
        found = grad(outputs, _differentiable(args), grads, create_graph=True, allow_unused=True)
        return tuple(g for g in found if g is not None)

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
        check_backward_ad=check_rev_over_rev,
        fast_mode=fast_mode,
        masked=masked,
    )
