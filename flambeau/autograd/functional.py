"""Derivatives of functions of tensors: jacobian, hessian, and products with them."""

from .. import _C, _levels
from .grad_mode import enable_grad

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]


def _as_tuple(x, what, name):
    """(tensors in a tuple, whether there was one alone)."""
    whose = "outputs of the user-provided function" if what == "outputs" else what
    if isinstance(x, _C.Tensor):
        return (x,), True
    if not isinstance(x, tuple | list):
        raise TypeError(
            f"The {whose} given to {name} must be either a Tensor or a tuple of Tensors but the "
            f"given {whose} has type {type(x)}."
        )
    for i, t in enumerate(x):
        if not isinstance(t, _C.Tensor):
            raise TypeError(
                f"The {whose} given to {name} must be either a Tensor or a tuple of Tensors but "
                f"the value at index {i} has type {type(t)}."
            )
    return tuple(x), False


def _prepare(inputs, create_graph):
    """Inputs whose graph ends here, or with create_graph goes on above."""
    if create_graph:
        return tuple(
            x.view_as(x) if x.requires_grad else x.detach().requires_grad_() for x in inputs
        )
    return tuple(x.detach().requires_grad_() for x in inputs)


def _unpack(items, single):
    return items[0] if single else tuple(items)


def _finish(items, create_graph):
    return tuple(items) if create_graph else tuple(map(_levels.cut, items))


def _check_outputs(outputs, strict):
    for i, o in enumerate(outputs):
        if strict and not o.requires_grad:
            raise RuntimeError(
                f"Output {i} of the user-provided function does not require gradients. The outputs "
                "must be computed in a differentiable manner from the input when running in strict "
                "mode."
            )


_INDEPENDENT = "The output of the user-provided function is independent of input {}."
_JACOBIAN = "The jacobian of the user-provided function is independent of input {}."
_SECOND = (
    "While computing the hessian, found that the jacobian of the user-provided function with "
    "respect to input {} is independent of the input."
)


def _grad(outputs, inputs, grads, create_graph, strict, missing):
    """Gradients, zeros where there are none; with strict that is the error `missing`."""
    from . import grad

    live = [(o, g) for o, g in zip(outputs, grads, strict=True) if o.requires_grad]
    found = (None,) * len(inputs)
    if live:
        outs, gs = zip(*live, strict=True)
        found = grad(
            outs, inputs, gs, retain_graph=True, create_graph=create_graph, allow_unused=True
        )
    for i, g in enumerate(found):
        if strict and g is None:
            raise RuntimeError(f"{missing.format(i)} This is not allowed in strict mode.")
    return tuple(
        x.new_zeros(x.shape) if g is None else g for g, x in zip(found, inputs, strict=True)
    )


def _check_graph(found, create_graph, strict, constant=_JACOBIAN):
    for i, g in enumerate(found):
        if strict and create_graph and not g.requires_grad:
            raise RuntimeError(
                f"{constant.format(i)} This is not allowed in strict mode when create_graph=True."
            )


def _vectors(v, like, what, name):
    """v as tensors of the shapes of `like`; ones when there is a single element."""
    if v is None:
        if len(like) != 1 or like[0].numel() != 1:
            raise RuntimeError(
                "The vector v can only be None if the "
                + (
                    "user-provided function returns"
                    if what == "outputs"
                    else "input to the user-provided function is"
                )
                + " a single Tensor with a single element."
            )
        return (like[0].detach().new_ones(like[0].shape),)
    items, _ = _as_tuple(v, "v", name)
    if len(items) != len(like):
        if len(like) == 1:
            raise RuntimeError("The given v should contain a single Tensor.")
        raise RuntimeError(
            f"v is a tuple of invalid length: should be {len(like)} but got {len(items)}."
        )
    for i, (a, b) in enumerate(zip(items, like, strict=True)):
        if a.shape != b.shape:
            entry = f"Entry {i} in " if len(like) > 1 else ""
            raise RuntimeError(f"{entry}v has invalid size: should be {b.shape} but got {a.shape}.")
    return items


def vjp(func, inputs, v=None, create_graph=False, strict=False):
    """(outputs, v times the Jacobian of func at inputs).

    >>> import flambeau as torch
    >>> x = torch.tensor([1., 2.])
    >>> torch.autograd.functional.vjp(lambda x: x * x, x, torch.ones(2))
    (tensor([1., 4.]), tensor([2., 4.]))
    """
    with enable_grad():
        inputs, single_in = _as_tuple(inputs, "inputs", "vjp")
        inputs = _prepare(inputs, create_graph)
        outputs, single_out = _as_tuple(func(*inputs), "outputs", "vjp")
        _check_outputs(outputs, strict)
        v = _vectors(v, outputs, "outputs", "vjp")
        found = _grad(outputs, inputs, v, create_graph, strict, _INDEPENDENT)
        _check_graph(found, create_graph, strict)
    return (
        _unpack(_finish(outputs, create_graph), single_out),
        _unpack(_finish(found, create_graph), single_in),
    )


def jvp(func, inputs, v=None, create_graph=False, strict=False):
    """(outputs, the Jacobian of func at inputs times v), by differentiating vjp in its vector.

    >>> import flambeau as torch
    >>> x = torch.tensor([1., 2.])
    >>> torch.autograd.functional.jvp(lambda x: x * x, x, torch.ones(2))
    (tensor([1., 4.]), tensor([2., 4.]))
    """
    with enable_grad():
        inputs, _ = _as_tuple(inputs, "inputs", "jvp")
        v = _vectors(v, inputs, "inputs", "jvp")
        inputs = _prepare(inputs, create_graph)
        outputs, single_out = _as_tuple(func(*inputs), "outputs", "jvp")
        _check_outputs(outputs, strict)
        dummies = tuple(o.detach().new_zeros(o.shape).requires_grad_() for o in outputs)
        back = _grad(outputs, inputs, dummies, True, strict, _INDEPENDENT)
        found = _grad(back, dummies, v, create_graph, False, "")
        _check_graph(found, create_graph, strict)
    return (
        _unpack(_finish(outputs, create_graph), single_out),
        _unpack(_finish(found, create_graph), single_out),
    )


def _check_strategy(name, create_graph, strict, vectorize, strategy):
    if strategy not in ("reverse-mode", "forward-mode"):
        raise AssertionError(
            'Expected strategy to be either "forward-mode" or "reverse-mode". Hint: If your '
            'function has more outputs than inputs, "forward-mode" tends to be more performant. '
            'Otherwise, prefer to use "reverse-mode".'
        )
    if strict and vectorize:
        raise RuntimeError(
            f"torch.autograd.functional.{name}: `strict=True` and `vectorize=True` are not "
            "supported together. Please either set `strict=False` or `vectorize=False`."
        )
    if strategy == "forward-mode":
        if create_graph:
            raise NotImplementedError(
                f"torch.autograd.functional.{name}: `create_graph=True` and "
                '`strategy="forward-mode"` are not supported together (yet). Please either set '
                '`create_graph=False` or `strategy="reverse-mode"`.'
            )
        if not vectorize:
            raise NotImplementedError(
                "Computing Jacobian using forward-AD or forward-over-reverse Hessian is only "
                "implemented for `vectorize=True`."
            )


def _forward_jacobian(func, inputs, name):
    from ..func import jacfwd
    from ..utils._pytree import tree_map

    items, single = _as_tuple(inputs, "inputs", name)
    items = tuple(x.detach() for x in items)
    numbers = 0 if single else tuple(range(len(items)))
    return tree_map(_levels.cut, jacfwd(func, numbers)(*items))


def _all_rows(output, flat, inputs, create_graph):
    """A block for each input, the gradients of all elements of the output at once."""
    from .. import eye
    from . import grad

    if not output.requires_grad or flat.numel() == 0:
        return [output.new_zeros((*output.shape, *x.shape)) for x in inputs]
    units = eye(flat.numel(), dtype=flat.dtype, device=flat.device)
    found = grad(
        flat,
        inputs,
        units,
        retain_graph=True,
        create_graph=create_graph,
        allow_unused=True,
        is_grads_batched=True,
    )
    return [
        output.new_zeros((*output.shape, *x.shape))
        if g is None
        else g.reshape((*output.shape, *x.shape))
        for g, x in zip(found, inputs, strict=True)
    ]


def jacobian(
    func, inputs, create_graph=False, strict=False, vectorize=False, strategy="reverse-mode"
):
    """The Jacobian of func: for an output of shape S and an input of shape T, shape S + T.

    Args:
        strict: whether an output that does not depend on an input is an error.
        vectorize: all rows at once, by vmap.
        strategy: "reverse-mode", or with vectorize "forward-mode", column by column.

    >>> import flambeau as torch
    >>> torch.autograd.functional.jacobian(lambda x: x * x, torch.tensor([1., 2.]))
    tensor([[2., 0.],
            [0., 4.]])
    """
    from .. import stack

    _check_strategy("jacobian", create_graph, strict, vectorize, strategy)
    if strategy == "forward-mode":
        return _forward_jacobian(func, inputs, "jacobian")
    with enable_grad():
        inputs, single_in = _as_tuple(inputs, "inputs", "jacobian")
        inputs = _prepare(inputs, create_graph)
        outputs, single_out = _as_tuple(func(*inputs), "outputs", "jacobian")
        _check_outputs(outputs, strict)
        result = []
        for i, o in enumerate(outputs):
            flat = o.reshape(-1)
            if vectorize:
                blocks = _all_rows(o, flat, inputs, create_graph)
                result.append(_unpack(_finish(blocks, create_graph), single_in))
                continue
            rows = [[] for _ in inputs]
            for k in range(flat.numel()):
                v = flat.detach().new_zeros(flat.shape)
                v[k] = 1
                missing = f"Output {i} of the user-provided function is independent of input {{}}."
                found = _grad((flat,), inputs, (v,), create_graph, strict, missing)
                _check_graph(found, create_graph, strict)
                for row, g in zip(rows, found, strict=True):
                    row.append(g)
            blocks = [
                stack(r).reshape((*o.shape, *x.shape)) if r else o.new_zeros((*o.shape, *x.shape))
                for r, x in zip(rows, inputs, strict=True)
            ]
            result.append(_unpack(_finish(blocks, create_graph), single_in))
    return _unpack(result, single_out)


def _scalar(func, name):
    def checked(*args):
        outputs, single = _as_tuple(func(*args), "outputs", name)
        if not single:
            raise RuntimeError(f"The function given to {name} should return a single Tensor")
        if outputs[0].numel() != 1:
            raise RuntimeError(
                f"The Tensor returned by the function given to {name} should contain a single "
                "element"
            )
        return outputs[0].reshape(())

    return checked


def hessian(
    func,
    inputs,
    create_graph=False,
    strict=False,
    vectorize=False,
    outer_jacobian_strategy="reverse-mode",
):
    """The matrix of second derivatives of a scalar function.

    >>> import flambeau as torch
    >>> torch.autograd.functional.hessian(lambda x: (x ** 3).sum(), torch.tensor([1., 2.]))
    tensor([[ 6.,  0.],
            [ 0., 12.]])
    """
    _, single = _as_tuple(inputs, "inputs", "hessian")
    func = _scalar(func, "hessian")
    _check_strategy("hessian", create_graph, strict, vectorize, outer_jacobian_strategy)
    if outer_jacobian_strategy == "forward-mode":
        from ..func import jacrev

        numbers = 0 if single else tuple(range(len(inputs)))
        return _forward_jacobian(jacrev(func, numbers), inputs, "hessian")

    def gradient(*args):
        found = jacobian(func, args if not single else args[0], create_graph=True)
        if strict:
            _check_outputs((func(*args),), strict)
            for i, g in enumerate((found,) if single else found):
                if not g.requires_grad:
                    raise RuntimeError(f"{_SECOND.format(i)} This is not allowed in strict mode.")
        return found

    return jacobian(gradient, inputs, create_graph, strict, vectorize, outer_jacobian_strategy)


def vhp(func, inputs, v=None, create_graph=False, strict=False):
    """(output, v times the Hessian of a scalar function).

    >>> import flambeau as torch
    >>> x = torch.tensor([1., 2.])
    >>> torch.autograd.functional.vhp(lambda x: (x ** 3).sum(), x, torch.ones(2))
    (tensor(9.), tensor([ 6., 12.]))
    """
    return _second(func, inputs, v, create_graph, strict, "vhp")


def _second(func, inputs, v, create_graph, strict, name):
    func = _scalar(func, name)
    with enable_grad():
        inputs, single_in = _as_tuple(inputs, "inputs", name)
        v = _vectors(v, inputs, "inputs", name)
        inputs = _prepare(inputs, create_graph)
        output = func(*inputs)
        _check_outputs((output,), strict)
        one = (output.detach().new_ones(()),)
        gradient = _grad((output,), inputs, one, True, strict, _INDEPENDENT)
        for i, g in enumerate(gradient):
            if strict and not g.requires_grad:
                raise RuntimeError(f"{_SECOND.format(i)} This is not allowed in strict mode.")
        found = _grad(gradient, inputs, v, create_graph, strict, _SECOND)
    return _finish((output,), create_graph)[0], _unpack(_finish(found, create_graph), single_in)


def hvp(func, inputs, v=None, create_graph=False, strict=False):
    """(output, the Hessian of a scalar function times v): the Hessian is symmetric, so vhp.

    >>> import flambeau as torch
    >>> x = torch.tensor([1., 2.])
    >>> torch.autograd.functional.hvp(lambda x: (x ** 3).sum(), x, torch.ones(2))
    (tensor(9.), tensor([ 6., 12.]))
    """
    return _second(func, inputs, v, create_graph, strict, "hvp")
