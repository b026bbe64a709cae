"""gradcheck in all its modes, autograd.functional with vmap and forward mode, batched grad."""

import pytest

import flambeau as torch
from flambeau.autograd import functional, gradcheck, gradgradcheck
from flambeau.autograd.gradcheck import GradcheckError

F = torch.nn.functional


def randn(*shape, dtype=torch.float64):
    torch.manual_seed(3)
    return torch.randn(shape, dtype=dtype).requires_grad_()


CASES = {
    "mm": (torch.mm, [(2, 3), (3, 2)], torch.float64),
    "softmax": (lambda x: x.softmax(0), [(2, 3)], torch.float64),
    "complex": (lambda c: (c * c).abs(), [(3,)], torch.complex128),
    "several": (torch.var_mean, [(2, 3)], torch.float64),
    "unbind": (lambda x: x.unbind(0), [(2, 3)], torch.float64),
    "layer_norm": (lambda x: F.layer_norm(x, (3,)), [(2, 3)], torch.float64),
    "cross_entropy": (lambda x: F.cross_entropy(x, torch.tensor([0, 2])), [(2, 3)], torch.float64),
}


@pytest.mark.parametrize("name", CASES)
def test_all_modes(name):
    f, shapes, dtype = CASES[name]
    args = tuple(randn(*s, dtype=dtype) for s in shapes)
    assert gradcheck(
        f, args, check_forward_ad=True, check_batched_grad=True, check_batched_forward_grad=True
    )
    assert gradcheck(f, args, fast_mode=True)
    assert gradgradcheck(f, args, check_fwd_over_rev=True, check_batched_grad=True)
    assert gradgradcheck(f, args, fast_mode=True)


class Wrong(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx, g):
        return g * 3 * ctx.saved_tensors[0]

    @staticmethod
    def jvp(ctx, t):
        return t


@pytest.mark.parametrize("fast", [False, True])
def test_a_wrong_gradient(fast):
    with pytest.raises(GradcheckError, match="Jacobian mismatch for output 0"):
        gradcheck(Wrong.apply, (randn(3),), fast_mode=fast)
    assert not gradcheck(Wrong.apply, (randn(3),), fast_mode=fast, raise_exception=False)


def test_a_wrong_tangent():
    with pytest.raises(GradcheckError, match="forward mode"):
        gradcheck(Wrong.apply, (randn(3),), check_forward_ad=True, check_backward_ad=False)


def test_undefined_gradients():
    class Two(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.set_materialize_grads(False)
            return x * 2, x * 3

        @staticmethod
        def backward(ctx, a, b):
            return 2 * a + 3 * b  # fails when one of them is None

    with pytest.raises(GradcheckError, match="undefined|None"):
        try:
            gradcheck(Two.apply, (randn(2),))
        except TypeError as error:
            raise GradcheckError(str(error)) from error


def test_batched_grad():
    x, w = randn(3), torch.eye(3, dtype=torch.float64)
    y = x.sin()
    (rows,) = torch.autograd.grad(y, x, w, is_grads_batched=True, retain_graph=True)
    assert torch.allclose(rows, torch.diag(x.detach().cos()))
    z = x.detach().clone().requires_grad_()
    found = torch.autograd.grad(y, (x, z), w, is_grads_batched=True, allow_unused=True)
    assert found[1] is None
    # Through a write in place.
    u = (x * 1).clone()
    u[1:].mul_(2)
    (rows,) = torch.autograd.grad(u, x, w, is_grads_batched=True)
    assert torch.allclose(rows, torch.diag(torch.tensor([1.0, 2, 2], dtype=torch.float64)))


@pytest.mark.parametrize("strategy", ["reverse-mode", "forward-mode"])
def test_jacobian_at_once(strategy):
    a, b = randn(3).detach(), randn(2, 3).detach()

    def f(a, b):
        return b @ a.sin(), (a * a).sum()

    want = functional.jacobian(f, (a, b))
    got = functional.jacobian(f, (a, b), vectorize=True, strategy=strategy)
    for row, other in zip(want, got):
        for x, y in zip(row, other):
            assert torch.allclose(x, y)
    g = lambda x: (x**3).sum() * x[0]  # noqa: E731
    got = functional.hessian(g, a, vectorize=True, outer_jacobian_strategy=strategy)
    assert torch.allclose(got, functional.hessian(g, a))


def test_options_that_exclude_each_other():
    x = randn(2).detach()
    with pytest.raises(NotImplementedError, match="vectorize=True"):
        functional.jacobian(torch.sin, x, strategy="forward-mode")
    with pytest.raises(RuntimeError, match="strict"):
        functional.jacobian(torch.sin, x, strict=True, vectorize=True)
    with pytest.raises(AssertionError, match="strategy"):
        functional.jacobian(torch.sin, x, strategy="sideways")


def test_nested_function():
    class Scale(torch.autograd.function.NestedIOFunction):
        def forward_extended(self, pair):
            return {"a": pair[0] * 2, "b": [pair[1] * 3]}

        def backward_extended(self, grads):
            return (grads["a"] * 2, grads["b"][0] * 3)

    x, y = randn(2), randn(2)
    out = Scale.apply((x, y))
    (out["a"].sum() + out["b"][0].sum()).backward()
    assert x.grad.tolist() == [2, 2] and y.grad.tolist() == [3, 3]


def test_switches_that_programs_pass():
    with torch.autograd.set_multithreading_enabled(False):
        torch.autograd.enforce_grad_layout_policy(False)
    with pytest.raises(TypeError):
        torch.autograd.set_multithreading_enabled(1)


def test_tensors_of_inference_mode_stay_out_of_graphs():
    w = torch.ones(2, requires_grad=True)
    with torch.inference_mode():
        x = torch.ones(2)
        x += 1
        view = w.detach()
        normal = w.view(2)
    assert x.is_inference() and x[0].is_inference() and not x.clone().is_inference()
    assert not view.is_inference() and not normal.is_inference()
    with pytest.raises(RuntimeError, match="cannot be saved for backward"):
        w * x
    with pytest.raises(RuntimeError, match="Inplace update to inference tensor"):
        x.add_(1)
    with pytest.raises(RuntimeError, match="requires_grad=True on inference tensor"):
        x.requires_grad_()
    with pytest.raises(RuntimeError, match="version counter"):
        _ = x._version
    (w * x.clone()).sum().backward()
    assert torch.equal(w.grad, torch.full((2,), 2.0))


def test_decorating_a_class_is_deprecated():
    with pytest.warns(FutureWarning):

        @torch.no_grad()
        class Made:
            def __init__(self):
                self.recorded = torch.is_grad_enabled()

    assert isinstance(Made(), Made) and not Made().recorded


def test_inference_tensors_are_not_written_outside_by_out():
    with torch.inference_mode():
        out = torch.ones(2)
    with pytest.raises(RuntimeError, match="inference tensor outside InferenceMode"):
        torch.mul(torch.ones(2), 2, out=out)
