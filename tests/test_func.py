"""flambeau.func: gradients and Jacobians of functions, composed."""

import pytest

import flambeau as torch
from flambeau.func import (
    debug_unwrap,
    functional_call,
    functionalize,
    grad,
    grad_and_value,
    hessian,
    jacfwd,
    jacrev,
    jvp,
    linearize,
    rearrange,
    stack_module_state,
    vjp,
    vmap,
)

nn = torch.nn


def x64(*values):
    return torch.tensor(values, dtype=torch.float64)


def close(a, b):
    return torch.allclose(a, b, rtol=1e-9, atol=1e-9)


X = x64(0.4, -1.3, 2.2)


def test_grad():
    assert close(grad(lambda x: (x.sin() * x).sum())(X), X.cos() * X + X.sin())
    assert close(grad(grad(lambda x: x**4))(x64(2.0)[0]), x64(48.0)[0])
    g, v = grad_and_value(lambda x: (x * x).sum())(X)
    assert close(g, 2 * X) and close(v, (X * X).sum())
    g, (v, aux) = grad_and_value(lambda x: ((x * x).sum(), x + 1), has_aux=True)(X)
    assert close(aux, X + 1) and not aux.requires_grad and not g.requires_grad


def test_argnums_and_trees():
    def f(a, tree):
        return (a * tree["w"]).sum() + tree["b"][0].sum()

    tree = {"w": X * 2, "b": [X]}
    ga, gt = grad(f, argnums=(0, 1))(X, tree)
    assert close(ga, 2 * X) and close(gt["w"], X) and close(gt["b"][0], torch.ones_like(X))
    assert close(grad(f, argnums=-1)(X, tree)["w"], X)


def test_unused_argument_has_a_gradient_of_zeros():
    assert grad(lambda a, b: a.sum(), argnums=1)(X, X).equal(torch.zeros_like(X))


def test_errors():
    with pytest.raises(RuntimeError, match="scalar tensor"):
        grad(lambda x: x)(X)
    with pytest.raises(RuntimeError, match="scalar tensor"):
        grad(lambda x: 3.0)(X)
    with pytest.raises(RuntimeError, match="argnum=2"):
        grad(lambda x: x.sum(), argnums=2)(X)
    with pytest.raises(RuntimeError, match="tuple"):
        jvp(torch.sin, X, X)
    with pytest.raises(RuntimeError, match="structure"):
        vjp(torch.sin, X)[1]((X, X))


def test_outer_graph():
    p = x64(2.0).requires_grad_()
    g = grad(lambda x: (p * x * x).sum())(X)
    assert close(torch.autograd.grad(g.sum(), p)[0], 2 * X.sum().view(1))
    x = X.clone().requires_grad_()
    g = grad(lambda x: (x**3).sum())(x)
    assert close(torch.autograd.grad(g.sum(), x)[0], 6 * X)
    with torch.no_grad():
        assert not grad(lambda x: (p * x).sum())(X).requires_grad


def test_vjp_and_linearize():
    (a, b), pull = vjp(lambda x, y: (x * y, x.sum()), X, X + 1)
    u = x64(1.0, 2.0, 3.0)
    gx, gy = pull((u, x64(5.0)[0]))
    assert close(gx, u * (X + 1) + 5) and close(gy, u * X)
    assert close(a, X * (X + 1)) and close(b, X.sum())
    y, push = linearize(lambda x: x.sin() * x, X)
    for t in (u, X):
        assert close(push(t), jvp(lambda x: x.sin() * x, (X,), (t,))[1])
    assert not y.requires_grad and not push(u).requires_grad


@pytest.mark.parametrize("jac", [jacrev, jacfwd])
def test_jacobians(jac):
    a = torch.arange(6.0, dtype=torch.float64).view(2, 3) / 5
    assert close(jac(lambda x: a @ x.sin())(X), a * X.cos())
    trees = jac(lambda x, y: {"p": x * y.sum(), "s": y.sum()}, argnums=(0, 1))(X, a)
    assert trees["p"][0].shape == (3, 3) and trees["p"][1].shape == (3, 2, 3)
    assert trees["s"][0].equal(torch.zeros(3, dtype=torch.float64))
    value, aux = jac(lambda x: (x * x, x), has_aux=True)(X)
    assert close(value, torch.diag(2 * X)) and aux.equal(X)


def test_jacrev_in_chunks():
    f = lambda x: x.outer(x).sin()  # noqa: E731
    assert close(jacrev(f, chunk_size=2)(X), jacrev(f)(X))


def test_second_derivatives():
    f = lambda x: (x**3).sum() * x[0]  # noqa: E731
    want = hessian(f)(X)
    assert close(want, want.mT)
    for outer in (jacrev, jacfwd):
        for inner in (jacrev, jacfwd):
            assert close(outer(inner(f))(X), want)
    assert close(want[1, 1], 6 * X[1] * X[0])


def test_gradients_of_examples():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()
    params = {k: v.detach() for k, v in net.named_parameters()}
    xs, ys = torch.randn(5, 3, dtype=torch.float64), torch.tensor([0, 1, 1, 0, 1])

    def loss(params, x, y):
        return nn.functional.cross_entropy(functional_call(net, params, (x[None],)), y[None])

    all_at_once = vmap(grad(loss), in_dims=(None, 0, 0))(params, xs, ys)
    for i in range(5):
        one = grad(loss)(params, xs[i], ys[i])
        assert all(close(all_at_once[k][i], one[k]) for k in params)


def test_ensemble():
    nets = [nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 2)) for _ in
            range(3)]  # fmt: skip
    params, buffers = stack_module_state(nets)
    x = torch.randn(2, 1, 4, 4)
    out = vmap(lambda p, b: functional_call(nets[0], (p, b), (x,)))(params, buffers)
    assert torch.allclose(out, torch.stack([n(x) for n in nets]), atol=1e-5)
    assert params["0.weight"].requires_grad


def test_functional_call():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Linear(2, 2, bias=False)
            self.b = self.a
            self.register_buffer("s", torch.ones(1))

        def forward(self, x):
            return self.b(self.a(x)) * self.s

    net, w = Tied(), 2 * torch.eye(2)
    before = net.a.weight
    x = torch.ones(2)
    assert functional_call(net, {"a.weight": w}, x).tolist() == [4, 4]
    assert functional_call(net, ({"b.weight": w}, {"s": torch.zeros(1)}), (x,)).tolist() == [0, 0]
    assert net.a.weight is before
    with pytest.raises(RuntimeError, match="Missing"):
        functional_call(net, {"a.weight": w}, x, strict=True)
    with pytest.raises(ValueError, match="multiple"):
        functional_call(net, {"a.weight": w, "b.weight": w * 2}, x)


def test_what_is_refused():
    with pytest.raises(ValueError, match="must be Tensor"):
        grad(lambda x: x)(3.0)
    with pytest.raises(RuntimeError, match="requires_grad_"):
        vmap(lambda x: x.requires_grad_())(X)
    for f in (lambda x: x.tolist(), lambda x: x.numpy()):
        with pytest.raises(RuntimeError, match="vmap"):
            vmap(f)(torch.ones(2, 3))
    net = nn.Linear(2, 2)
    assert functional_call(net, {"other": X}, torch.ones(2)).shape == (2,)


def test_functionalize_writes_the_arguments_back():
    x = torch.zeros(2)
    assert functionalize(lambda x: x.add_(1) * 2)(x).tolist() == [2, 2]
    assert x.tolist() == [1, 1]


def test_rearrange():
    t = torch.arange(24).view(2, 3, 4)
    assert rearrange(t, "a b c -> c (a b)").equal(t.permute(2, 0, 1).reshape(4, 6))
    assert rearrange(t, "a ... -> ... a").equal(t.permute(1, 2, 0))
    assert rearrange(t, "a b (c d) -> a d b c", d=2).equal(t.view(2, 3, 2, 2).permute(0, 3, 1, 2))
    with pytest.raises(ValueError):
        rearrange(t, "a b -> b a")


def test_debug_unwrap():
    seen = []
    vmap(lambda x: seen.append(debug_unwrap(x)) or x)(X)
    assert seen[0].equal(X)


def test_function_with_rules():
    class Square(torch.autograd.Function):
        generate_vmap_rule = True

        @staticmethod
        def forward(x, scale):
            return x * x * scale

        @staticmethod
        def setup_context(ctx, inputs, output):
            x, ctx.scale = inputs
            ctx.save_for_backward(x)

        @staticmethod
        def backward(ctx, g):
            return g * 2 * ctx.saved_tensors[0] * ctx.scale, None

    f = lambda x: Square.apply(x, 3)  # noqa: E731
    assert close(vmap(f)(X), 3 * X * X)
    assert close(vmap(grad(f))(X), 6 * X)
    assert close(vmap(grad(grad(f)))(X), torch.full_like(X, 6))
    assert close(jacrev(f)(X), torch.diag(6 * X))

    class Own(Square):
        generate_vmap_rule = False

        @staticmethod
        def vmap(info, in_dims, x, scale):
            assert info.batch_size == 3 and in_dims == (0, None)
            return Own.apply(x, scale) + 1, 0

    assert close(vmap(lambda x: Own.apply(x, 3))(X), 3 * X * X + 1)

    class Neither(Square):
        generate_vmap_rule = False

    with pytest.raises(RuntimeError, match="vmap support"):
        vmap(lambda x: Neither.apply(x, 3))(X)


def test_jacobians_refuse_what_they_cannot_give():
    x = torch.ones(2, dtype=torch.complex64)
    for jacobian in (jacrev, jacfwd):
        with pytest.raises(RuntimeError, match="Expected all inputs to be real"):
            jacobian(torch.sin)(x)
        with pytest.raises(RuntimeError, match="Expected all outputs to be real"):
            jacobian(lambda x: x * 1j)(torch.ones(2))
        with pytest.raises(RuntimeError, match="Expected tensors, got"):
            jacobian(lambda x: (x, 3), has_aux=True)(torch.ones(2))
        with pytest.raises(RuntimeError, match="int or Tuple"):
            jacobian(torch.sin, argnums=[0])(torch.ones(2))


def test_jacrev_row_by_row_needs_no_vmap():
    def f(x):
        return x[x.nonzero()[:, 0]] ** 2

    x = torch.tensor([1.0, 2.0])
    assert jacrev(f, chunk_size=1)(x).tolist() == [[2.0, 0.0], [0.0, 4.0]]


def test_pulls_follow_the_grad_mode_of_their_call():
    x = torch.tensor(3.0, requires_grad=True)
    y, pull = vjp(lambda x: x**2, x)
    with torch.no_grad():
        (g,) = pull(torch.tensor(1.0))
    assert y.requires_grad and not g.requires_grad and g.item() == 6.0
    with torch.no_grad():
        y, pull = vjp(lambda x: x**2, x)
    (g,) = pull(torch.tensor(1.0))
    assert not y.requires_grad and torch.autograd.grad(g, x)[0].item() == 2.0


def test_modules_taken_apart():
    from flambeau._functorch.older import combine_state_for_ensemble, make_functional

    net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Tanh(), torch.nn.Linear(3, 1))
    f, params = make_functional(net)
    x = torch.ones(4, 2)
    torch.testing.assert_close(f(params, x), net(x))
    want = torch.autograd.grad(net(x).sum(), tuple(net.parameters()))
    for a, b in zip(grad(lambda p: f(p, x).sum())(params), want, strict=True):
        torch.testing.assert_close(a, b)
    with pytest.raises(ValueError, match="has buffers"):
        make_functional(torch.nn.BatchNorm1d(2))
    nets = [torch.nn.Linear(2, 1) for _ in range(3)]
    f, params, buffers = combine_state_for_ensemble(nets)
    found = vmap(f, (0, 0, None))(params, buffers, x)
    torch.testing.assert_close(found, torch.stack([net(x) for net in nets]))


@pytest.mark.parametrize("found, message", [
    (lambda x: x, "to have two returns"),
    (lambda x: (x, x, 0, 0), "to have two returns"),
    (lambda x: (x, (None,)), "returned an incompatible"),
])  # fmt: skip
def test_what_the_vmap_of_a_function_has_to_return(found, message):
    class Same(torch.autograd.Function):
        @staticmethod
        def forward(x):
            return x.clone()

        @staticmethod
        def setup_context(ctx, inputs, output):
            pass

        @staticmethod
        def vmap(info, in_dims, x):
            return found(x)

    with pytest.raises(RuntimeError, match=message):
        vmap(Same.apply)(torch.ones(2, 3))


def in_place(x):
    whole = torch.zeros(2, 2, dtype=x.dtype)
    whole[0] = x
    row = whole[1]
    row.add_(x.sin())
    whole.mul_(x)
    whole[0, 1] = x[0] * x[1]
    return (whole @ whole).sum()


def out_of_place(x):
    first = torch.stack([x[0] * x[0], x[0] * x[1]])
    whole = torch.stack([first, x.sin() * x])
    return (whole @ whole).sum()


def test_derivatives_of_functions_that_write_in_place():
    x, t = torch.tensor([[1.0, 2.0], [0.5, 3.0]], dtype=torch.float64)
    wanted = hessian(out_of_place)(x)
    for found in (hessian(in_place), jacrev(jacrev(in_place)), jacrev(jacfwd(in_place))):
        assert torch.allclose(found(x), wanted)
    assert torch.allclose(jvp(grad(in_place), (x,), (t,))[1], wanted @ t)
    assert torch.allclose(grad(lambda x: jvp(in_place, (x,), (t,))[1])(x), wanted @ t)


def test_batched_writes_leave_what_is_saved():
    def function(x):
        y = x.clone()
        y.mul_(x).add_(1)
        y[0].pow_(2)
        return (y * x).sum()

    x = torch.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    torch.vmap(function)(x).sum().backward()
    wanted = torch.stack([torch.autograd.grad(function(row), row)[0] for row in x])
    assert torch.allclose(x.grad, wanted)


def test_slopes_batched_and_recorded_have_the_bits_of_plain_ones():
    x = torch.linspace(-6, 6, 67)  # near 1 the slope of tanh is what rounding leaves
    rows = torch.eye(67)
    for f in (torch.tanh, lambda x: torch.nn.functional.linear(x, rows).tanh()):
        y = x.clone().requires_grad_()
        plain = torch.stack([torch.autograd.grad(f(y), y, row)[0] for row in rows])
        assert torch.equal(torch.vmap(torch.func.vjp(f, x)[1])(rows)[0], plain)
        again = torch.autograd.grad(f(y), y, rows[40], create_graph=True)[0]
        assert torch.equal(again, plain[40])
