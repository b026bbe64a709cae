"""Views and their bases: made without recording, in inference mode, by Functions; and leaves that
change their shape."""

import pytest

import flambeau as torch
import flambeau.autograd.forward_ad as fwAD


def leaf(*values):
    return torch.tensor(values, requires_grad=True)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_views_made_without_recording_require_what_their_base_does(mode):
    base = leaf(1.0, 2.0) * 1
    plain = torch.ones(2)
    with mode():
        view, of_plain = base[:1], plain.view(2, 1)
        assert view.requires_grad and view.is_leaf and view._is_view()
        assert not base.detach().requires_grad and not base.data.requires_grad
    assert not (view.is_inference() or of_plain.is_inference() or of_plain.requires_grad)
    (view * 2).sum().backward()  # nothing is known of how it came about
    assert view.grad is None
    with pytest.raises(RuntimeError, match="being modified inplace"):
        view.add_(1)
    of_plain.add_(1)
    assert plain.tolist() == [2, 2]


def test_bits_read_as_another_dtype_require_nothing():
    x = leaf(1.0, 2.0)
    assert not x.view(torch.int32).requires_grad
    assert torch.view_as_real(torch.view_as_complex(x)).requires_grad


def test_inference_mode_never_records():
    x = leaf(1.0)
    with torch.inference_mode(), torch.enable_grad():
        assert torch.is_grad_enabled()
        assert not (x * 2).requires_grad
    with torch.inference_mode(), torch.inference_mode(False):
        assert torch.is_grad_enabled()
        (x * 2).backward()
    assert x.grad.item() == 2


def test_views_that_functions_return_are_not_written():
    class First(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x[:1]

        @staticmethod
        def backward(ctx, g):
            return torch.cat([g, torch.zeros(1)])

    view = First.apply(leaf(1.0, 2.0) * 1)
    with pytest.raises(RuntimeError, match="created inside a custom Function"):
        view.add_(1)
    with pytest.raises(RuntimeError, match="returns multiple views"):
        (leaf(1.0, 2.0) * 1).split(1)[0].add_(1)


def test_leaves_of_another_shape():
    x = leaf(1.0, 2.0, 3.0)
    old = torch.cat([x, x])  # keeps the node where the gradient of x arrived
    x.data = torch.ones(2)
    torch.cat([x, x]).sum().backward()
    assert x.grad.tolist() == [2, 2]
    assert old.shape == (6,)


def test_versions_that_stay():
    x = torch.ones(2)
    with torch.autograd._unsafe_preserve_version_counter(x):
        x.mul_(3)
    assert x._version == 0
    x.mul_(2)
    assert x._version == 1


def test_a_view_has_the_tangent_that_its_base_was_given():
    with fwAD.dual_level():
        given = fwAD.make_dual(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([4.0, 5.0, 6.0]))
        base = torch.zeros(3)
        view = base[1:]
        last = view[1:]
        base.mul_(2).add_(given)
        assert fwAD.unpack_dual(view).tangent.tolist() == [5, 6]
        assert fwAD.unpack_dual(last * last).tangent.tolist() == [36]
        view.mul_(2)
        assert fwAD.unpack_dual(base).tangent.tolist() == [4, 10, 12]
        other = torch.zeros(3)
        part = other[1:]
        part.copy_(given[1:])
        assert fwAD.unpack_dual(other).tangent.tolist() == [0, 5, 6]
    with fwAD.dual_level():
        x = fwAD.make_dual(leaf(3.0), torch.tensor([1.0]))
        base = torch.zeros(2)
        view = base[1:]
        base.copy_(x.expand(2))
        fwAD.unpack_dual(view**3).tangent.backward()
    assert fwAD.unpack_dual(x).tangent is None


def test_making_a_dual_number_of_one():
    with fwAD.dual_level():
        x = fwAD.make_dual(torch.ones(1), torch.ones(1))
        with pytest.raises(RuntimeError, match="already has a forward gradient"):
            fwAD.make_dual(x, torch.ones(1))


@pytest.mark.parametrize(
    "change",
    [
        lambda v: v.unsqueeze_(1),
        lambda v: v.transpose_(0, 1),
        lambda v: v.unsqueeze_(0).squeeze_(0).t_(),
        lambda v: v.transpose_(0, 1).mul_(1),
    ],
)
@pytest.mark.parametrize(
    "view", [lambda x: x[:, :2], lambda x: x.view(3, 2), lambda x: x.t(), lambda x: x[None][0]]
)
def test_a_view_that_changes_its_shape_in_place(view, change):
    places = torch.arange(6.0).view(2, 3)
    want = change(view(places.clone()))
    weight = torch.arange(1.0, want.numel() + 1).view(want.shape)
    expected = torch.zeros(6).scatter_(0, want.flatten().long(), weight.flatten())
    x = torch.ones(2, 3, requires_grad=True)
    base = x * 2
    part = view(base)
    assert change(part) is part and part.shape == want.shape
    (part * weight).sum().backward()
    assert x.grad.flatten().tolist() == (2 * expected).tolist()
    assert base.shape == (2, 3) and base.grad_fn is not None


def test_views_of_what_has_other_memory_since_keep_their_own():
    for dtype in (torch.float32, torch.float64):
        base = torch.nn.Parameter(torch.zeros(4, 3))
        view = base[:]
        base.data = base.detach().to(dtype, copy=True)
        with torch.no_grad():
            view[0][0] = 5
        assert view[0][0] == 5 and view.dtype == torch.float32
        assert base[0][0] == 0 and base.dtype == dtype
