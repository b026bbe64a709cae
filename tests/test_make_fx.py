"""make_fx: graphs of the operators that functions run."""

import pytest

import flambeau as torch
from flambeau.func import grad, vmap
from flambeau.fx.experimental.proxy_tensor import get_proxy_mode, make_fx


def names(module):
    return [str(n.target) for n in module.graph.nodes if n.op == "call_function"]


def test_operators_in_their_order():
    traced = make_fx(lambda x, y: (x @ y).exp().sum())(torch.ones(2, 2), torch.ones(2, 2))
    assert names(traced) == ["aten.mm.default", "aten.exp.default", "aten.sum.default"]
    assert [n.name for n in traced.graph.nodes][:3] == ["x_1", "y_1", "mm"]
    assert "torch.ops.aten.mm.default(x_1, y_1)" in traced.code
    x = torch.rand(2, 2)
    assert torch.equal(traced(x, x), (x @ x).exp().sum())


@pytest.mark.parametrize(
    "function",
    [
        grad(lambda x: (x.exp() * x.sin()).sum()),
        grad(lambda x: (x.tanh() / x.sigmoid()).sum()),
        vmap(grad(lambda x: x.relu().softmax(0)[0] ** 2)),
        vmap(lambda x: x.cumsum(0) @ x),
    ],
)
def test_gradients_and_batches_are_taken_apart(function):
    x = torch.tensor([[0.5, 0.2, 0.3], [1.0, 2.0, -1.0]])
    traced = make_fx(function)(x)
    other = x.flip(1)
    assert torch.allclose(traced(other), function(other), atol=1e-6)


def test_gradients_of_a_module():
    layer = torch.nn.Linear(3, 2)

    def step(x):
        return torch.autograd.grad(layer(x).square().sum(), tuple(layer.parameters()))

    traced = make_fx(step)(torch.rand(4, 3))
    x = torch.rand(4, 3)
    for a, b in zip(traced(x), step(x), strict=True):
        assert torch.allclose(a, b, atol=1e-6)


def test_nested_arguments_and_results():
    given = {"w": torch.ones(2), "b": [torch.ones(2)]}
    traced = make_fx(lambda p: {"o": p["w"] * 2, "n": (p["b"][0], 3)})(given)
    found = traced({"w": torch.zeros(2), "b": [torch.full((2,), 4.0)]})
    assert found["o"].tolist() == [0, 0]
    assert found["n"][0].tolist() == [4, 4]
    assert found["n"][1] == 3


def test_decompositions_and_constants():
    table = {torch.ops.aten.exp.default: lambda x: x * 3}
    constant = torch.tensor([1.0, 2.0])

    def function(x):
        assert get_proxy_mode() is not None
        return x.exp() + constant

    traced = make_fx(function, table)(torch.ones(2))
    assert names(traced) == ["aten.mul.Tensor", "aten.add.Tensor"]
    assert traced(torch.ones(2)).tolist() == [4, 5]
    assert get_proxy_mode() is None


def test_saved_results_of_classes_that_dispatch():
    class Wrapped(torch.Tensor):
        @staticmethod
        def __new__(cls, inner, requires_grad=False):
            made = torch.Tensor._make_wrapper_subclass(
                cls, inner.shape, dtype=inner.dtype, requires_grad=requires_grad
            )
            made.inner = inner
            return made

        @classmethod
        def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
            plain = [a.inner if isinstance(a, cls) else a for a in args]
            out = func(*plain, **(kwargs or {}))
            return cls(out) if isinstance(out, torch.Tensor) else out

    x = Wrapped(torch.tensor([0.0, 1.0]), requires_grad=True)
    (g,) = torch.autograd.grad(x.exp(), x, torch.ones(2))
    assert torch.allclose(g.inner, torch.tensor([1.0, 2.7182817]))


def test_functions_of_functorch_under_their_older_names():
    from flambeau._functorch.older import make_functional
    from flambeau._functorch.older.experimental import chunk_vmap

    assert chunk_vmap(torch.sin, chunks=2)(torch.zeros(5)).shape == (5,)

    class Tied(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = torch.nn.Linear(2, 2, bias=False), torch.nn.Linear(2, 2, bias=False)
            self.b.weight = self.a.weight

        def forward(self, x):
            return self.b(self.a(x))

    net = Tied()
    function, params = make_functional(net)
    assert len(params) == 1
    assert torch.equal(function(params, torch.ones(1, 2)), net(torch.ones(1, 2)))


def test_numbers_of_classes_that_dispatch():
    class Inner(torch.Tensor):
        @staticmethod
        def __new__(cls, inner):
            made = torch.Tensor._make_wrapper_subclass(cls, inner.shape, dtype=inner.dtype)
            made.inner = inner
            return made

        @classmethod
        def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
            plain = [a.inner if isinstance(a, cls) else a for a in args]
            out = func(*plain, **(kwargs or {}))
            return cls(out) if isinstance(out, torch.Tensor) else out

    x = Inner(torch.tensor([1.5, 2.0]))
    assert x.sum().item() == 3.5
    assert float(x[0]) == 1.5
    assert bool((x > 1).all())
    assert x.tolist() == [1.5, 2.0]
    assert torch.equal(x, x)


def test_classes_that_dispatch_over_memory_of_their_own():
    seen = []

    class Noted(torch.Tensor):
        __torch_function__ = torch._C._disabled_torch_function_impl

        @classmethod
        def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
            seen.append(str(func))
            with torch._C._DisableTorchDispatch():
                return func(*args, **(kwargs or {}))

    x = torch.Tensor._make_subclass(Noted, torch.ones(2))
    assert x.exp().shape == (2,)
    assert seen == ["aten.exp.default"]
