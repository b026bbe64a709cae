"""Arguments that do not go together, or are none at all: an error that says so, never a crash."""

from io import BytesIO
from pickle import UnpicklingError

import pytest

import flambeau as torch
from flambeau.nn import functional as F

CALLS = {
    "isin": lambda x, far: torch.isin(x, far),
    "searchsorted": lambda x, far: torch.searchsorted(far[0], x),
    "take_along_dim": lambda x, far: x.take_along_dim(far.long(), 0),
    "gather": lambda x, far: x.gather(0, far.long()),
    "scatter": lambda x, far: x.scatter(0, far.long(), x),
    "index_select": lambda x, far: x.index_select(0, far[0].long()),
    "index_add_": lambda x, far: x.clone().index_add_(0, torch.arange(3), far),
    "mm": lambda x, far: x @ far,
    "conv1d": lambda x, far: torch.nn.functional.conv1d(x[None], far[None]),
    "add": lambda x, far: x + far,
    "bincount": lambda x, far: torch.bincount(x[0].long(), far[0]),
}


@pytest.mark.parametrize("name", CALLS)
def test_devices_do_not_mix(name):
    with pytest.raises(RuntimeError, match="device| is on cpu"):
        CALLS[name](torch.ones(3, 3), torch.ones(3, 3, device="meta"))


def test_numbers_and_shapes_may_come_from_elsewhere():
    x, far = torch.ones(3, 3), torch.ones(3, 3, device="meta")
    assert (far * torch.tensor(2.0)).is_meta
    assert far[torch.tensor([0, 2])].shape == (2, 3)
    assert far.copy_(x).is_meta
    assert x.view_as(far).shape == (3, 3)


@pytest.mark.parametrize("name", ["trace", "logdet", "allclose", "kron"])
def test_what_is_no_tensor_is_a_type_error(name):
    with pytest.raises(TypeError, match="must be Tensor, not str"):
        getattr(torch, name)(*["x"] * (2 if name in ("allclose", "kron") else 1))


def test_what_is_no_tensor_is_named():
    x = torch.ones(2)
    for call in (lambda: torch.isclose(x, 1), lambda: torch.equal(x, 1), lambda: x.kron("a")):
        with pytest.raises(TypeError, match="position 2"):
            call()


@pytest.mark.parametrize(
    "error, message, call",
    [
        (TypeError, r"but found element of type int at pos 2", lambda x: torch.cat([x, 1])),
        (TypeError, r"but found element of type float at pos 2", lambda x: torch.zeros([2, 2.5])),
        (TypeError, r"'tensors' \(position 1\) must be tuple of Tensors, not", torch.cat),
        (
            TypeError,
            r"'device' must be torch.device, not float",
            lambda x: torch.eye(2, device=0.5),
        ),
        (TypeError, r"add\(\): argument 'out' must be Tensor, not int", lambda x: x.add(x, out=3)),
        (TypeError, r"unexpected keyword argument 'inn'", lambda x: torch.add(x, x, inn=3)),
        (TypeError, r"^Linear is not a Module", lambda x: torch.nn.Sequential(torch.nn.Linear)),
        (RuntimeError, r"with shape \[\*, 3\], but got", lambda x: torch.nn.LayerNorm(3)(x)),
        (RuntimeError, r"boolean tensor", lambda x: torch.where(x, x, x)),
        (RuntimeError, r"boolean tensor", lambda x: x.where(x.long(), 0.0)),
        (RuntimeError, r"at least 2 dim", lambda x: F.scaled_dot_product_attention(x, x, x)),
        (AssertionError, r"got int", lambda x: torch.compile(3)),
        (ValueError, r"does not exist", lambda x: torch.jit.load("nowhere/to/be/found")),
        (UnpicklingError, r"no checkpoint", lambda x: torch.load(BytesIO(b"some text"))),
    ],
)
def test_messages_say_what_came(error, message, call):
    with pytest.raises(error, match=message):
        call(torch.ones(2))


@pytest.mark.parametrize(
    "call",
    [
        lambda x: x & x,
        lambda x: x.long().softmax(0),
        lambda x: x.long().logcumsumexp(0),
        lambda x: x.to(torch.complex64) < 1,
        lambda x: x.to(torch.complex64).max(),
        lambda x: F.cross_entropy(x.long()[None], torch.tensor([0])),
    ],
)
def test_types_without_arithmetic_are_not_implemented(call):
    with pytest.raises(NotImplementedError, match="not implemented for '"):
        call(torch.ones(2))


def test_a_condition_of_bytes_is_taken():
    x = torch.tensor([1.0, 2.0])
    assert torch.where(torch.tensor([1, 0], dtype=torch.uint8), x, -x).tolist() == [1, -2]


def test_old_programs_scale_before_the_operand():
    """add(tensor, 2, other) is add(tensor, other, alpha=2), and so on."""
    a, b = torch.tensor([1.0, 2.0]), torch.tensor([3.0, 5.0])
    with pytest.warns(UserWarning, match="This overload of add is deprecated"):
        assert torch.add(a, 2, b).tolist() == [7, 12] == a.add(2, b).tolist()
    with pytest.warns(UserWarning, match="deprecated"):
        assert a.clone().add_(-0.5, b).tolist() == [-0.5, -0.5] == a.sub(0.5, b).tolist()
        assert a.addcmul(2, a, b).tolist() == [7, 22]
        assert a.clone().addcdiv_(2.0, b, a).tolist() == [7, 7]
        assert torch.addcmul(a * 1j, 1j, a, b).tolist() == [4j, 12j]
    with pytest.raises(TypeError):
        torch.mul(a, 2, b)
