"""Classes of tensors with a __torch_dispatch__, which get operators below autograd."""

import copy

import pytest

import flambeau as torch
from flambeau.utils._mode_utils import no_dispatch
from flambeau.utils._pytree import tree_map

log = []


class Wrapper(torch.Tensor):
    """Holds a tensor and notes what is done with it."""

    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, inner, requires_grad=False):
        made = torch.Tensor._make_wrapper_subclass(
            cls, inner.size(), strides=inner.stride(), dtype=inner.dtype, device=inner.device,
            requires_grad=requires_grad or inner.requires_grad,
        )  # fmt: skip
        made.inner = inner.detach()
        return made

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        log.append(str(func))
        args, kwargs = tree_map(unwrap, (args, kwargs or {}))
        return tree_map(lambda x: cls(x) if isinstance(x, torch.Tensor) else x,
                        func(*args, **kwargs))  # fmt: skip


def unwrap(x):
    return x.inner if isinstance(x, Wrapper) else x


@pytest.fixture(autouse=True)
def empty_log():
    log.clear()


def test_operators_come_below_autograd():
    x = Wrapper(torch.tensor([1.0, 2.0]), requires_grad=True)
    y = (x * 2 + x.sin()).sum()
    assert log == ["aten.mul.Tensor", "aten.sin.default", "aten.add.Tensor", "aten.sum.default"]
    assert type(y) is Wrapper and y.requires_grad
    y.backward()
    assert type(x.grad) is Wrapper and not x.grad.requires_grad
    torch.testing.assert_close(x.grad.inner, 2 + torch.tensor([1.0, 2.0]).cos())


def test_gradients_read_what_is_inside():
    weight = torch.nn.Parameter(Wrapper(torch.tensor([[1.0, 2.0], [3.0, 4.0]])))
    assert type(weight) is Wrapper and weight.requires_grad
    x = torch.ones(3, 2, requires_grad=True)
    out = torch.nn.functional.linear(x, weight, torch.zeros(2))
    assert log[-2:] == ["aten.t.default", "aten.addmm.default"]
    assert out.inner.tolist() == [[3.0, 7.0]] * 3
    out.sum().backward()
    assert unwrap(x.grad).tolist() == [[4.0, 6.0]] * 3
    assert weight.grad.inner.tolist() == [[3.0, 3.0]] * 2


def test_results_of_plain_tensors_have_right_gradients():
    class Scaled(Wrapper):  # dequantizes: results are plain
        @classmethod
        def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
            return func(*tree_map(unwrap, args), **tree_map(unwrap, kwargs or {}))

    w, x = Scaled(torch.tensor([[2.0, 5.0]])), torch.ones(2, 1, requires_grad=True)
    y = x @ w
    assert type(y) is torch.Tensor
    y.sum().backward()
    assert x.grad.tolist() == [[7.0], [7.0]]


def test_writes_in_place():
    x = Wrapper(torch.ones(2))
    x.add_(1)
    assert log == ["aten.add_.Tensor"] and x.inner.tolist() == [2.0, 2.0]
    x += 1
    assert x.inner.tolist() == [3.0, 3.0]


def test_views_copies_and_types():
    x = Wrapper(torch.arange(4.0).view(2, 2).t())
    assert x.stride() == (1, 2) and x.shape == (2, 2) and x.dtype == torch.float32
    assert x[0].inner.tolist() == [0.0, 2.0]
    assert x.to(torch.float64).inner.dtype == torch.float64
    assert type(copy.deepcopy(x)) is Wrapper
    assert type(x.detach()) is Wrapper


def test_the_subclass_goes_first_and_nobody_is_an_error():
    class Other(Wrapper):
        @classmethod
        def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
            assert types == (Other, Wrapper)
            return torch.tensor(5)

    class Nobody(Wrapper):
        @classmethod
        def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
            return NotImplemented

    assert torch.add(Wrapper(torch.ones(1)), Other(torch.ones(1))).item() == 5
    with pytest.raises(TypeError, match="NotImplemented"):
        Nobody(torch.ones(1)).sin()


def test_off():
    x = torch.ones(2).as_subclass(Plain)
    assert x.sin().tolist() == [7.0]
    with no_dispatch():
        assert x.sin().shape == (2,)
    plain = torch.Tensor.__torch_dispatch__(torch.ops.aten.sin.default, (), (x,))
    assert plain.shape == (2,)
    with pytest.raises(TypeError, match="without a __torch_dispatch__"):
        torch.Tensor._make_wrapper_subclass(torch.nn.Parameter, (2,))


class Plain(torch.Tensor):
    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        if func is torch.ops.aten.sin.default:
            return torch.tensor([7.0])
        return super().__torch_dispatch__(func, types, args, kwargs)
