"""autograd.Function in both styles, its context, its errors."""

import gc
import weakref

import numpy as np
import pytest

import flambeau as torch
from flambeau.autograd.function import once_differentiable


def close(a, b):
    return np.allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-5)


def leaf(*values):
    return torch.tensor(values, requires_grad=True)


class Cube(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, scale):
        ctx.save_for_backward(x)
        ctx.scale = scale
        return x * x * x * scale

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return grad * 3 * x * x * ctx.scale, None


class Exp(torch.autograd.Function):
    @staticmethod
    def forward(x):
        return x.exp()

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(output)

    @staticmethod
    def backward(ctx, grad):
        (y,) = ctx.saved_tensors
        return grad * y


def test_both_styles():
    x = leaf(1.0, 2.0)
    y = Cube.apply(x, 2.0)
    assert y.grad_fn.name() == "CubeBackward"
    y.sum().backward()
    assert x.grad.tolist() == [6.0, 24.0]
    x.grad = None
    Exp.apply(x).sum().backward()
    assert close(x.grad, x.detach().exp())


def test_second_derivative():
    x = leaf(2.0)
    (g,) = torch.autograd.grad(Cube.apply(x, 1.0).sum(), x, create_graph=True)
    (h,) = torch.autograd.grad(g.sum(), x)
    assert (g.item(), h.item()) == (12.0, 12.0)
    y = leaf(0.5)
    (g,) = torch.autograd.grad(Exp.apply(y).sum(), y, create_graph=True)
    (h,) = torch.autograd.grad(g.sum(), y)
    assert close(h, y.detach().exp())


def test_saved_tensors_are_freed():
    x = leaf(2.0)
    y = Cube.apply(x, 1.0).sum()
    y.backward()
    with pytest.raises(RuntimeError, match="second time"):
        y.backward()


def test_needs_input_grad_and_several_results():
    seen = []

    class Two(torch.autograd.Function):
        @staticmethod
        def forward(ctx, a, b):
            return a * 2, b * 3, "text"

        @staticmethod
        def backward(ctx, ga, gb, gt):
            seen.append((ctx.needs_input_grad, gb.tolist(), gt))
            return ga * 2, gb * 3

    a = leaf(1.0)
    x, _, text = Two.apply(a, torch.ones(1))
    assert text == "text"
    x.sum().backward()
    assert seen == [((True, False), [0.0], None)]
    assert a.grad.tolist() == [2.0]


def test_gradients_left_out_when_not_materialized():
    seen = []

    class Two(torch.autograd.Function):
        @staticmethod
        def forward(ctx, a):
            ctx.set_materialize_grads(False)
            return a * 2, a * 3

        @staticmethod
        def backward(ctx, ga, gb):
            seen.append(gb)
            return ga * 2

    a = leaf(1.0)
    Two.apply(a)[0].sum().backward()
    assert seen == [None]


def test_mark_dirty_and_non_differentiable():
    class Inplace(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            x.mul_(2)
            sign = x > 0
            ctx.mark_dirty(x)
            ctx.mark_non_differentiable(sign)
            return x, sign

        @staticmethod
        def backward(ctx, grad, _):
            return grad * 2

    x = leaf(1.0, 2.0)
    y = x * 1
    z, sign = Inplace.apply(y)
    assert z is y and not sign.requires_grad
    z.sum().backward()
    assert x.grad.tolist() == [2.0, 2.0]
    with pytest.raises(RuntimeError, match="leaf Variable"):
        Inplace.apply(leaf(1.0))


def test_an_input_returned_as_it_is():
    class Same(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x

        @staticmethod
        def backward(ctx, grad):
            return grad * 7

    x = leaf(1.0)
    y = Same.apply(x)
    assert y is not x and x.is_leaf
    y.sum().backward()
    assert x.grad.tolist() == [7.0]


def test_wrong_gradients():
    def make(result):
        class Bad(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x, y):
                return x * 2

            @staticmethod
            def backward(ctx, grad):
                return result

        return Bad

    x = leaf(1.0, 2.0)
    for result, match in (
        (torch.ones(2), "incorrect number of gradients .expected 2, got 1"),
        ((torch.ones(3), None), "invalid gradient at index 0 - got .3. but expected"),
        ((torch.ones(2), torch.ones(2)), "different from None at position 2"),
    ):
        with pytest.raises(RuntimeError, match=match):
            make(result).apply(x, 3).sum().backward()
    make((torch.ones(2), None, None)).apply(x, 3).sum().backward()
    with pytest.raises(RuntimeError, match="expected Variable or None"):
        make((5, None)).apply(x, 3).sum().backward()


def test_once_differentiable():
    class Once(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        @once_differentiable
        def backward(ctx, grad):
            (x,) = ctx.saved_tensors
            return grad * 2 * x

    x = leaf(3.0)
    Once.apply(x).sum().backward()
    assert x.grad.tolist() == [6.0]
    (g,) = torch.autograd.grad((Once.apply(x) ** 2).sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        g.sum().backward()


def test_no_node_without_gradients():
    with torch.no_grad():
        assert not Cube.apply(leaf(1.0), 1.0).requires_grad
    assert not Cube.apply(torch.ones(1), 1.0).requires_grad
    with pytest.warns(DeprecationWarning, match="should not be instantiated"):
        made = torch.autograd.Function()
    with pytest.raises(RuntimeError, match="non-static forward"):
        made(torch.ones(1))


def test_an_error_in_forward_leaves_the_mode_alone():
    class Bad(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            raise KeyError("forward")

    with pytest.raises(KeyError):
        Bad.apply(leaf(1.0))
    assert torch.is_grad_enabled()
    with pytest.raises(TypeError, match="save_for_backward"):

        class Saves(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                ctx.save_for_backward(3)
                return x * 1

        Saves.apply(leaf(1.0))


def test_keywords_go_to_forward():
    class Scale(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, n=2):
            ctx.n = n
            return x * n

        @staticmethod
        def backward(ctx, grad):
            return grad * ctx.n

    x = torch.ones(2, requires_grad=True)
    Scale.apply(x, n=3).sum().backward()
    assert torch.equal(x.grad, torch.full((2,), 3.0))

    class Separate(Scale):
        @staticmethod
        def forward(x, n=2):
            return x * n

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.n = inputs[1]

        @staticmethod
        def backward(ctx, grad):
            return grad * ctx.n, None

    assert torch.autograd.grad(Separate.apply(x, n=5).sum(), x)[0].tolist() == [5, 5]


def test_jvp_sees_what_was_saved_for_forward():
    from flambeau.autograd import forward_ad

    class Square(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_forward(x)
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def jvp(ctx, tangent):
            return 2 * ctx.saved_tensors[0] * tangent

        @staticmethod
        def backward(ctx, grad):
            return 2 * ctx.saved_tensors[0] * grad

    with forward_ad.dual_level():
        y = Square.apply(forward_ad.make_dual(torch.tensor([3.0]), torch.ones(1)))
        assert forward_ad.unpack_dual(y).tangent.tolist() == [6.0]


def test_saved_tensors_are_gone_with_the_graph():
    kept = []

    class Id(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * 1

        @staticmethod
        def backward(ctx, grad):
            kept.append(ctx)
            return ctx.saved_tensors[0]

    loss = Id.apply(leaf(1.0))
    loss.sum().backward(retain_graph=True)
    assert kept[0].saved_tensors[0].tolist() == [1.0]
    del loss
    with pytest.raises(RuntimeError, match="freed"):
        kept[0].saved_tensors  # noqa: B018


def test_two_gradients_are_ambiguous():
    class Both(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, grad):
            return grad

        vjp = staticmethod(lambda ctx, grad: grad)

    with pytest.raises(RuntimeError, match="both 'backward' and 'vjp'"):
        Both.apply(leaf(1.0)).sum().backward()


def test_a_context_that_holds_its_result_is_collected():
    class Mark:
        pass

    class Keeps(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.y = y = x * 2
            ctx.mark = Mark()
            marks.append(weakref.ref(ctx.mark))
            return y

        @staticmethod
        def backward(ctx, grad):
            return grad * 2

    marks = []
    x = torch.ones(2, requires_grad=True)
    loss = (Keeps.apply(x * 1) * 3).sum()
    gc.collect()
    assert marks[0]() is not None
    loss.backward()
    del loss
    gc.collect()
    assert marks[0]() is None and x.grad.tolist() == [6, 6]


def test_hooks_on_what_a_function_saved():
    x = torch.tensor([2.0], requires_grad=True)
    y = Cube.apply(x, 1)
    (saved,) = y.grad_fn._raw_saved_tensors
    saved.register_hooks(lambda t: t.item(), lambda number: torch.tensor([number + 1]))
    y.backward()
    assert x.grad.item() == 27
    with pytest.raises(RuntimeError, match="forbidden"):
        torch.autograd.SavedTensor()
    y = Cube.apply(x, 1)
    with pytest.warns(DeprecationWarning):
        assert y.grad_fn.saved_variables[0] is x


def test_gradients_that_are_undefined_or_errors():
    x = torch.ones(2, requires_grad=True)
    torch._C._functions.UndefinedGrad()(x).sum().backward()
    assert x.grad is None
    with pytest.raises(RuntimeError, match="too late"):
        torch._C._functions.DelayedError("too late", 1)(x).sum().backward()
