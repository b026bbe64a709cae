"""__torch_function__: subclasses, other classes, attributes, modes, the tables of overrides."""

import copy
import pickle

import pytest

import flambeau as torch
from flambeau import overrides
from flambeau.overrides import TorchFunctionMode, resolve_name

F = torch.nn.functional


class Logged(torch.Tensor):
    log = []

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        Logged.log.append(func)
        return super().__torch_function__(func, types, args, kwargs or {})


@pytest.fixture
def x():
    Logged.log.clear()
    return torch.tensor([[1.0, 2.0], [3.0, 4.0]]).as_subclass(Logged)


@pytest.mark.parametrize(
    ("run", "func"),
    [
        (lambda x: torch.sin(x), torch.sin),
        (lambda x: x.sin(), torch.Tensor.sin),
        (lambda x: torch.stack([torch.zeros(2, 2), x]), torch.stack),
        (lambda x: x.shape, torch.Tensor.shape.__get__),
        (lambda x: x.T, torch.Tensor.T.__get__),
        (lambda x: x.grad, torch.Tensor.grad.__get__),
        (lambda x: torch.block_diag(x, x), torch.block_diag),
        (lambda x: F.pad(x, (1, 1)), F.pad),
        (lambda x: x[0], torch.Tensor.__getitem__),
        (lambda x: x.size(0), torch.Tensor.size),
        (lambda x: x.numpy(), torch.Tensor.numpy),
        (lambda x: len(x), torch.Tensor.__len__),
    ],
)
def test_what_comes_to_a_subclass(x, run, func):
    run(x)
    assert Logged.log[0] == func
    assert len(Logged.log) == 1


def test_results_have_the_class(x):
    for y in (x + 1, x.sum(), x.T, x.real, F.pad(x, (1, 1)), x.max(0).values):
        assert type(y) is Logged
    assert type(x.grad) is type(None) and isinstance(x.shape, torch.Size)


def test_setters(x):
    x.requires_grad = True
    assert Logged.log == [torch.Tensor.requires_grad.__set__] and x.requires_grad


class Diagonal:
    """No tensor, but like one."""

    def __init__(self, n, value):
        self.n, self.value = n, value

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        if func is torch.sum:
            return args[0].n * args[0].value
        return NotImplemented


def test_other_classes():
    assert torch.sum(Diagonal(3, 2)) == 6
    assert overrides.is_tensor_like(Diagonal(1, 1)) and not overrides.is_tensor_like(1)
    with pytest.raises(TypeError, match="__torch_function__"):
        torch.sin(Diagonal(1, 1))
    with pytest.raises(TypeError):
        F.pad(Diagonal(1, 1), (1, 1))


def test_functions_of_others(x):
    def double(x):
        if overrides.has_torch_function((x,)):
            return overrides.handle_torch_function(double, (x,), x)
        return 2 * x

    assert type(double(x)) is Logged and Logged.log[0] is double

    @overrides.wrap_torch_function(lambda a: (a,))
    def triple(a):
        return 3 * a

    Logged.log.clear()
    assert triple(x)[0, 0].item() == 3 and Logged.log[0] is triple
    assert triple(torch.ones(1)).item() == 3


class Names(TorchFunctionMode):
    def __init__(self):
        self.names = []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        self.names.append(resolve_name(func))
        return func(*args, **(kwargs or {}))


def test_modes():
    with Names() as outer:
        a = torch.zeros(2)
        with Names() as inner:
            a = (a + 1).sin()
            assert a.dtype
        a[0] = 1
    assert inner.names == ["torch.Tensor.add", "torch.Tensor.sin", "torch.Tensor.dtype.__get__"]
    assert outer.names == ["torch.zeros", *inner.names, "torch.Tensor.__setitem__"]
    assert torch.zeros(1).item() == 0 and len(outer.names) == 5


def test_a_mode_may_replace():
    class Ones(TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            return torch.ones(2) if func is torch.zeros else func(*args, **(kwargs or {}))

    with Ones():
        assert torch.zeros(5).tolist() == [1, 1]
        with overrides.BaseTorchFunctionMode():
            assert torch.zeros(5).tolist() == [1, 1]
    with pytest.raises(ValueError), Ones():
        raise ValueError


def test_tables():
    functions = overrides.get_overridable_functions()
    assert torch.add in functions[torch] and F.relu in functions[F]
    assert torch.Tensor.add in functions[torch.Tensor]
    assert torch.zeros in overrides.get_ignored_functions()
    assert torch.zeros not in functions[torch]
    dummies = overrides.get_testing_overrides()
    assert dummies[torch.add](torch.ones(1), torch.ones(1)) == -1
    with pytest.raises(TypeError):
        dummies[torch.add]()
    for f, name in (
        (torch.add, "torch.add"),
        (torch.Tensor.add, "torch.Tensor.add"),
        (F.pad, "torch.nn.functional.pad"),
        (torch.linalg.inv, "torch.linalg.inv"),
        (torch.Tensor.shape.__get__, "torch.Tensor.shape.__get__"),
        (len, None),
    ):
        assert resolve_name(f) == name
    assert overrides.is_tensor_method_or_property(torch.Tensor.add)
    assert not overrides.is_tensor_method_or_property(torch.add)


def test_functions_made_of_operators_are_ordinary_ones():
    import inspect

    assert "mode" in inspect.signature(F.pad).parameters and F.pad.__name__ == "pad"
    for f in (F.pad, torch.block_diag):
        assert pickle.loads(pickle.dumps(f)) is f


def test_a_dtype_is_no_argument_that_wants_calls():
    assert not torch.overrides.has_torch_function((torch.float32,))
    assert not torch.overrides.is_tensor_like(torch.float32)
    with pytest.raises(TypeError, match="unexpected keyword"):
        torch.zeros(2, dtype=torch.float32, bogus=1)
    with pytest.raises(TypeError):
        torch.ones(2) + torch.float32


def test_pytorchs_functions_with_a_dtype_go_to_their_twins():
    def zeros_like():
        raise AssertionError("PyTorch's own")

    zeros_like.__module__ = "torch"  # what such a function looks like to the protocol
    x = torch.ones(2)
    call = torch.dtype.__torch_function__
    made = call(zeros_like, (torch.dtype, torch.Tensor), (x,), {"dtype": torch.float64})
    assert made.dtype == torch.float64 and made.tolist() == [0, 0]
    assert call(zeros_like, (torch.dtype, int), (x,), {}) is NotImplemented
    assert call(len, (torch.dtype,), ([],), {}) is NotImplemented


def test_a_mode_may_leave_a_call_to_the_classes():
    class Answers(torch.Tensor):
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            return 7 if func is torch.sin else NotImplemented

    class Nothing(TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            return NotImplemented

    x = torch.ones(1).as_subclass(Answers)
    with Nothing():
        assert torch.sin(x) == 7
        with pytest.raises(TypeError, match="Nothing, Answers"):
            torch.cos(x)


def test_slots_are_copied_deeply():
    class Noted(torch.Tensor):
        __slots__ = ("note",)

    x = torch.ones(2).as_subclass(Noted)
    x.note = ["kept"]
    twin = copy.deepcopy(x)
    assert twin.note == ["kept"] and twin.note is not x.note


def test_what_is_not_initialized_is_not_computed_with():
    weight = torch.nn.parameter.UninitializedParameter()
    for function in torch.empty_like, torch.abs, lambda x: x + x:
        with pytest.raises(ValueError, match="uninitialized parameter"):
            function(weight)
