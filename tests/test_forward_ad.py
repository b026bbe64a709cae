"""Forward mode: dual numbers, against reverse mode and finite differences."""

import pytest

import flambeau as torch
import flambeau.autograd.forward_ad as fwAD
from flambeau.func import grad, jacfwd, jvp, vjp

X = [0.3, 1.2, 2.5]


def tensor(values=X):
    return torch.tensor(values, dtype=torch.float64)


def close(a, b, tol=1e-9):
    return torch.allclose(a, b, rtol=tol, atol=tol)


FUNCTIONS = {
    "sin": torch.sin,
    "mul": lambda x: x * x.exp(),
    "div": lambda x: x / (1 + x),
    "pow": lambda x: x**2.5,
    "matmul": lambda x: torch.outer(x, x) @ x,
    "sum": lambda x: x.sum(),
    "softmax": lambda x: torch.softmax(x, 0),
    "cat": lambda x: torch.cat([x, 2 * x]),
    "index": lambda x: x[torch.tensor([0, 2, 0])],
    "view": lambda x: x.view(3, 1).t().expand(2, 3).reshape(-1),
    "max": lambda x: x.max(0).values,
    "sort": lambda x: x.sort(descending=True).values,
    "cumsum": lambda x: x.cumsum(0),
    "logcumsumexp": lambda x: x.logcumsumexp(0),
    "norm": lambda x: x.norm(),
    "where": lambda x: torch.where(x > 1, x, x * x),
    "linear": lambda x: torch.nn.functional.linear(x, torch.outer(x, x), x),
    "conv": lambda x: torch.nn.functional.conv1d(x.view(1, 1, 3), x.view(1, 1, 3), padding=1),
    "layer_norm": lambda x: torch.nn.functional.layer_norm(x, (3,)),
    "stack": lambda x: torch.stack(x.unbind(0)),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_against_reverse_mode(name):
    f, x, t = FUNCTIONS[name], tensor(), tensor([0.7, -0.2, 1.1])
    with fwAD.dual_level():
        out = fwAD.unpack_dual(f(fwAD.make_dual(x, t)))
    y, pull = vjp(f, x)
    u = torch.arange(1.0, y.numel() + 1, dtype=torch.float64).view(y.shape)
    assert close(out.primal, y)
    assert close((out.tangent * u).sum(), (pull(u)[0] * t).sum())


def test_complex():
    x, t = torch.tensor([1 + 2j]), torch.tensor([0.5 - 1j])
    _, d = jvp(lambda x: x * x, (x,), (t,))
    assert close(d, 2 * x * t, 1e-6)
    _, d = jvp(lambda x: x.abs(), (x,), (t,))
    assert close(d, (x.conj() * t).real / x.abs(), 1e-6)


def test_pieces():
    x, t = tensor(), tensor([1.0, 2.0, 3.0])
    with fwAD.dual_level():
        d = fwAD.make_dual(x, t)
        assert fwAD.unpack_dual(x).tangent is None
        assert fwAD.unpack_dual(d).tangent.equal(t)
        assert fwAD.unpack_dual(d.argmax()).tangent is None
        assert fwAD.unpack_dual(d.detach()).tangent is None
    assert fwAD.unpack_dual(d).tangent is None


def test_printing():
    with fwAD.dual_level():
        d = fwAD.make_dual(torch.ones(2), torch.zeros(2))
        assert repr(d) == "tensor([1., 1.], tangent=tensor([0., 0.]))"


def test_tangents_are_gone_with_their_level():
    with fwAD.dual_level():
        y = fwAD.make_dual(torch.ones(2), torch.ones(2)) * 2
        assert "tangent" in repr(y)
    assert repr(y) == repr(fwAD.unpack_dual(y).primal) == "tensor([2., 2.])"
    with fwAD.dual_level():
        assert fwAD.unpack_dual(y * 3).tangent is None
        assert repr(fwAD.unpack_dual(y * 3).primal) == "tensor([6., 6.])"


def test_errors():
    with pytest.raises(RuntimeError, match="no level"):
        fwAD.make_dual(tensor(), tensor())
    with fwAD.dual_level():
        with pytest.raises(RuntimeError, match="different size"):
            fwAD.make_dual(tensor(), tensor([1.0]))
        with pytest.raises(ValueError, match="floating point"):
            fwAD.make_dual(torch.tensor([1]), torch.tensor([1]))
        with pytest.raises(RuntimeError, match="Nested"):
            fwAD.enter_dual_level()


def test_in_place():
    def f(x):
        y = x * 2
        y.mul_(x).add_(1)
        z = torch.zeros(2, 3, dtype=x.dtype)
        z[0] = y
        z[1, 1:] = x[:2]
        z.view(-1)[3] += x[0]
        return z.sin_()

    def g(x):
        second = torch.cat([x[:1], x[:2]])
        return torch.stack([2 * x * x + 1, second]).sin()

    x, t = tensor(), tensor([0.7, -0.2, 1.1])
    assert close(jvp(f, (x,), (t,))[1][0], jvp(g, (x,), (t,))[1][0])
    assert close(jvp(f, (x,), (t,))[1][1], torch.stack([t[0] * x[0].cos(), t[0] * x[0].cos(),
                                                        t[1] * x[1].cos()]))  # fmt: skip


def test_reverse_over_forward():
    x = tensor().requires_grad_()
    with fwAD.dual_level():
        t = fwAD.unpack_dual((fwAD.make_dual(x, torch.ones_like(x)) ** 3).sum()).tangent
    assert close(torch.autograd.grad(t, x)[0], 6 * x.detach())


def test_nested():
    def f(x):
        return x**4

    x = torch.tensor(2.0, dtype=torch.float64)
    one = torch.ones_like(x)
    twice = jvp(lambda x: jvp(f, (x,), (one,))[1], (x,), (one,))
    assert close(twice[1], 12 * x**2)
    assert close(jacfwd(jacfwd(jacfwd(f)))(x), 24 * x)
    assert close(jvp(grad(f), (x,), (one,))[1], 12 * x**2)
    assert close(grad(lambda x: jvp(f, (x,), (one,))[1])(x), 12 * x**2)


def test_inner_derivatives_are_not_confused_with_outer_ones():
    x, one = torch.tensor(3.0), torch.tensor(1.0)
    found = jvp(lambda x: x * jvp(lambda y: x + y, (one,), (one,))[1], (x,), (one,))
    assert found[1].item() == 1


class Cube(torch.autograd.Function):
    @staticmethod
    def forward(x):
        return x**3, x * 0

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    @staticmethod
    def backward(ctx, g, _):
        return g * 3 * ctx.saved_tensors[0] ** 2

    @staticmethod
    def jvp(ctx, t):
        return t * 3 * ctx.saved_for_forward[0] ** 2, None


def test_function():
    x, t = tensor(), tensor([1.0, 0.5, 2.0])
    (y, z), (dy, dz) = jvp(Cube.apply, (x,), (t,))
    assert close(y, x**3) and close(dy, 3 * x**2 * t) and not z.any() and not dz.any()

    class Without(Cube):
        jvp = torch.autograd.Function.jvp

    with pytest.raises(NotImplementedError, match="jvp"):
        jvp(Without.apply, (x,), (t,))


def test_detach_stops_derivatives_in_every_mode():
    x, v = torch.tensor([1.0, 2.0]), torch.ones(2)
    for cut in (torch.detach, lambda t: t.detach(), lambda t: t.data):
        assert torch.func.jvp(lambda t, cut=cut: cut(t) * t, (x,), (v,))[1].tolist() == [1.0, 2.0]
    # straight through: the value rounded, the derivative of what came
    through = torch.func.jvp(lambda t: t + (t.round() - t).detach(), (x + 0.3,), (v,))
    assert [t.tolist() for t in through] == [[1.0, 2.0], [1.0, 1.0]]

    def f(t):
        return (t.detach() * t**2).sum()

    forward_over_reverse = torch.func.hessian(f)(x)
    reverse_over_reverse = torch.func.jacrev(torch.func.jacrev(f))(x)
    assert torch.equal(forward_over_reverse, torch.diag(2 * x))
    assert torch.equal(forward_over_reverse, reverse_over_reverse)


def test_function_gets_zeros_for_missing_tangents():
    class Product(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, y, n):
            ctx.save_for_forward(x, y)
            return x * y * n

        @staticmethod
        def jvp(ctx, dx, dy, dn):
            x, y = ctx.saved_tensors
            assert dn is None
            return dx * y + x * dy

    x, y = torch.tensor([2.0]), torch.tensor([5.0])
    with fwAD.dual_level():
        out = Product.apply(fwAD.make_dual(x, torch.ones(1)), y, 1)
        assert fwAD.unpack_dual(out).tangent.tolist() == [5.0]


def test_function_in_place():
    class Double(torch.autograd.Function):
        good = True

        @staticmethod
        def forward(ctx, x):
            ctx.mark_dirty(x)
            return x.mul_(2)

        @staticmethod
        def jvp(ctx, dx):
            return dx.mul_(2) if Double.good else dx * 2

    with fwAD.dual_level():
        x = fwAD.make_dual(torch.ones(1), torch.ones(1))
        assert Double.apply(x) is x
        assert (x.item(), fwAD.unpack_dual(x).tangent.item()) == (2.0, 2.0)
        Double.good = False
        with pytest.raises(RuntimeError, match="modify the corresponding gradient inplace"):
            Double.apply(x)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradients_of_dual_numbers(name):
    """grad() of a dual number is one itself: its tangent is the Hessian along the tangent."""
    f, x, t = FUNCTIONS[name], tensor(), tensor([0.7, -0.2, 1.1])
    loss = lambda x: (f(x) ** 2).sum()  # noqa: E731
    with fwAD.dual_level():
        leaf = x.clone().requires_grad_()
        dual = fwAD.make_dual(leaf, t)
        (found,) = torch.autograd.grad(loss(dual), dual)
        (of_leaf,) = torch.autograd.grad(loss(dual), leaf)
        out, of_leaf = fwAD.unpack_dual(found), fwAD.unpack_dual(of_leaf)
    _, want = jvp(grad(loss), (x,), (t,))
    assert close(out.tangent, want) and close(of_leaf.tangent, want)
    assert close(out.primal, grad(loss)(x)) and not found.requires_grad


def test_tangents_can_be_switched_off():
    def f(x):
        with fwAD._set_fwd_grad_enabled(False):
            shift = x**2
        assert fwAD._is_fwd_grad_enabled()
        return x**2 - shift

    x, one = torch.tensor(3.0), torch.tensor(1.0)
    assert jvp(f, (x,), (one,))[1].item() == 6
    with fwAD._set_fwd_grad_enabled(False):
        assert jvp(torch.square, (x,), (one,))[1].item() == 6
    assert jvp(lambda x: jvp(f, (x,), (one,))[1], (x,), (one,))[1].item() == 2


def test_a_dual_number_is_detached_in_place():
    with fwAD.dual_level():
        dual = fwAD.make_dual(tensor(), tensor()).clone()
        dual.detach_()
        assert fwAD.unpack_dual(dual * 2).tangent is None
