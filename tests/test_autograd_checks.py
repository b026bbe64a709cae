"""gradcheck, gradgradcheck, autograd.functional and checkpointing."""

import numpy as np
import pytest

import flambeau as torch
from flambeau.autograd import functional
from flambeau.utils.checkpoint import CheckpointError, checkpoint, checkpoint_sequential


def close(a, b):
    return np.allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-5)


def double(*values):
    return torch.tensor(values, dtype=torch.float64, requires_grad=True)


class Wrong(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    def backward(ctx, grad):
        return grad * 3


def test_gradcheck_of_right_and_wrong_gradients():
    x, y = double(0.5, 1.5), double(2.0, 3.0)
    assert torch.autograd.gradcheck(lambda x, y: (x * y).exp(), (x, y))
    assert torch.autograd.gradcheck(lambda x: (x.sin(), x.cos()), (x,))
    with pytest.raises(RuntimeError, match="mismatch for output 0 with respect to input 0"):
        torch.autograd.gradcheck(Wrong.apply, (x,))
    assert not torch.autograd.gradcheck(Wrong.apply, (x,), raise_exception=False)
    with pytest.raises(ValueError, match="at least one input"):
        torch.autograd.gradcheck(torch.sin, (torch.ones(1),))


def test_gradcheck_of_complex_functions():
    z = torch.tensor([1 + 2j, 0.5 - 1j], dtype=torch.complex128, requires_grad=True)
    assert torch.autograd.gradcheck(lambda z: z * z, (z,))
    assert torch.autograd.gradcheck(lambda z: z * z.detach(), (z,), raise_exception=False) is False


def test_gradgradcheck():
    x = double(0.5, 1.5)
    assert torch.autograd.gradgradcheck(lambda x: x * x * x, (x,))
    assert torch.autograd.gradgradcheck(torch.exp, (x,), gen_non_contig_grad_outputs=True)


def test_functional():
    x = torch.tensor([1.0, 2.0])
    assert functional.jacobian(lambda x: x * x, x).tolist() == [[2.0, 0.0], [0.0, 4.0]]
    assert functional.hessian(lambda x: (x**3).sum(), x).tolist() == [[6.0, 0.0], [0.0, 12.0]]
    _, g = functional.vjp(lambda x: x * x, x, torch.ones(2))
    assert g.tolist() == [2.0, 4.0]
    _, t = functional.jvp(lambda x: x * x, x, torch.ones(2))
    assert t.tolist() == [2.0, 4.0]
    _, h = functional.hvp(lambda x: (x**3).sum(), x, torch.ones(2))
    assert h.tolist() == [6.0, 12.0]
    (a, b), _ = functional.jacobian(lambda x, y: (x * y, x), (x, x)), None
    assert a[1].tolist() == [[1.0, 0.0], [0.0, 2.0]] and b[1].tolist() == [[0.0, 0.0], [0.0, 0.0]]


@pytest.mark.parametrize("use_reentrant", [True, False])
def test_checkpoint_gives_the_same_gradients(use_reentrant):
    runs = []

    def f(x, w):
        runs.append(1)
        return (x * w).exp() * w

    x, w = double(0.5, 1.0), double(1.0, 2.0)
    want = torch.autograd.grad(f(x, w).sum(), (x, w))
    runs.clear()
    checkpoint(f, x, w, use_reentrant=use_reentrant).sum().backward()
    assert len(runs) == 2
    assert x.grad.tolist() == want[0].tolist() and w.grad.tolist() == want[1].tolist()


def test_checkpoint_draws_the_same_numbers():
    x = torch.ones(8, requires_grad=True)
    y = checkpoint(lambda x: x * torch.rand(8), x, use_reentrant=False)
    y.sum().backward()
    assert x.grad.tolist() == y.tolist()


def test_checkpoint_nested_and_sequential():
    x = double(0.5, 1.0)

    def inner(x):
        return (x * x).exp()

    y = checkpoint(lambda x: checkpoint(inner, x, use_reentrant=False) * x, x, use_reentrant=False)
    y.sum().backward()
    want = torch.autograd.grad((inner(x) * x).sum(), x)[0]
    assert close(x.grad, want)
    x.grad = None
    steps = [torch.exp, torch.sin, torch.cos]
    checkpoint_sequential(steps, 2, x, use_reentrant=False).sum().backward()
    assert close(x.grad, torch.autograd.grad(x.exp().sin().cos().sum(), x)[0])


def test_checkpoint_notices_another_second_run():
    x = double(0.5, 1.0)
    times = []

    def f(x):
        times.append(1)
        return x.exp() if len(times) == 1 else x.exp() * x.exp()

    with pytest.raises(CheckpointError, match="more tensors"):
        checkpoint(f, x, use_reentrant=False, early_stop=False).sum().backward()


def test_second_derivatives_where_a_part_has_none():
    """Running sums of exponentials: parts without a gradient are not nan the second time."""
    x = double(0.3, -1.0, 2.0)
    (g,) = torch.autograd.grad(x.logcumsumexp(0).sum(), x, create_graph=True)
    want = torch.func.hessian(lambda x: torch.stack(
        [x[: i + 1].logsumexp(0) for i in range(3)]).sum())(x.detach())  # fmt: skip
    for i in range(3):
        assert close(torch.autograd.grad(g[i], x, retain_graph=True)[0], want[i])


@pytest.mark.parametrize("fast", [True, False])
def test_gradcheck_is_strict(fast):
    class Draws(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 1

        @staticmethod
        def backward(ctx, grad):
            return grad * (1 + torch.rand_like(grad) * 1e-6)

    def steps(x):
        return torch.cat([x, x]) if (x >= 1).all() else x

    def there(grad):
        if grad is None:
            raise RuntimeError("no gradient")

    def fails(x):
        y = x.clone()
        y.register_hook(there)
        return y

    def wrong(x):
        y = x.clone()
        y.register_hook(lambda g: g + 0.01j)
        return y

    gradcheck = torch.autograd.gradcheck
    x = double(1.0, 2.0)
    with pytest.raises(RuntimeError, match="Backward is not reentrant"):
        gradcheck(Draws.apply, x, fast_mode=fast)
    assert gradcheck(Draws.apply, x, nondet_tol=1e-5, fast_mode=fast)
    with pytest.raises(AssertionError, match="same shape when inputs are perturbed"):
        gradcheck(steps, double(1.0), fast_mode=fast)
    with pytest.raises(RuntimeError, match="expected to be zero"):
        gradcheck(lambda x: x.detach() * 2, x, fast_mode=fast)
    assert gradcheck(lambda x: (), x, fast_mode=fast)
    with pytest.warns(UserWarning), pytest.raises(RuntimeError, match="undefined output grads"):
        gradcheck(fails, x, fast_mode=fast)
    with pytest.raises(RuntimeError, match="imaginary part of complex outputs only, Jacobian"):
        gradcheck(wrong, torch.ones(1, dtype=torch.complex128, requires_grad=True))
    with pytest.raises(AssertionError, match="at least one of"):
        gradcheck(steps, x, check_backward_ad=False)
