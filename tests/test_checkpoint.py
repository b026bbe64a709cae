"""utils.checkpoint: both forms, early stop, errors, selective checkpointing, dispatch modes."""

import warnings
from functools import partial

import pytest

import flambeau as torch
from flambeau.utils import checkpoint as module
from flambeau.utils._python_dispatch import TorchDispatchMode
from flambeau.utils.checkpoint import (
    CheckpointError,
    CheckpointPolicy,
    GraphExecGroup,
    checkpoint,
    create_selective_checkpoint_contexts,
    set_checkpoint_debug_enabled,
    set_checkpoint_early_stop,
)

aten = torch.ops.aten


class Counted:
    """x -> ((x @ w).sin() + 1).exp(), and how often its parts ran."""

    def __init__(self):
        torch.manual_seed(0)
        self.w = torch.randn(3, 3, requires_grad=True)
        self.calls = self.ends = 0

    def __call__(self, x):
        self.calls += 1
        y = ((x @ self.w).sin() + 1).exp()
        self.ends += 1
        return y


def gradients(run, f):
    x = torch.ones(2, 3, requires_grad=True)
    f.w.grad = None
    run(f, x).sum().backward()
    return x.grad, f.w.grad


@pytest.mark.parametrize("reentrant", [True, False])
def test_gradients_are_the_same(reentrant):
    f = Counted()
    want = gradients(lambda f, x: f(x), f)
    got = gradients(lambda f, x: checkpoint(f, x, use_reentrant=reentrant), f)
    assert all(a.equal(b) for a, b in zip(want, got)) and f.calls == 3


def test_early_stop():
    f = Counted()
    gradients(lambda f, x: checkpoint(f, x, use_reentrant=False), f)
    assert f.calls == 2 and f.ends == 1  # exp() keeps its result: the last that is needed
    with set_checkpoint_early_stop(False):
        gradients(lambda f, x: checkpoint(f, x, use_reentrant=False), f)
    assert f.ends == 3


def test_random_numbers_and_several_backwards():
    x = torch.ones(100, requires_grad=True)
    y = checkpoint(lambda x: torch.nn.functional.dropout(x, 0.5) * x, x, use_reentrant=False)
    (g,) = torch.autograd.grad(y.sum(), x, retain_graph=True)
    (h,) = torch.autograd.grad(y.sum(), x)
    assert g.equal(h) and g.equal(2 * y.detach())


def test_groups_run_once():
    f = Counted()
    x = torch.ones(2, 3, requires_grad=True)
    y = checkpoint(f, x, use_reentrant=False)
    with GraphExecGroup():
        y.sum().backward(retain_graph=True)
        y.sum().backward()
    assert f.calls == 2


def test_nested():
    f = Counted()
    want = gradients(lambda f, x: f(f(x)), f)

    def outer(f, x):
        inner = lambda x: checkpoint(f, f(x), use_reentrant=False)  # noqa: E731
        return checkpoint(inner, x, use_reentrant=False)

    got = gradients(outer, f)
    assert all(torch.allclose(a, b) for a, b in zip(want, got))


def changing():
    runs = []

    def f(x):
        runs.append(1)
        return x.sin() if len(runs) == 1 else x[:1].exp().sin()

    return f


def test_runs_that_differ():
    x = torch.ones(2, requires_grad=True)
    y = checkpoint(changing(), x, use_reentrant=False, early_stop=False)
    with pytest.raises(CheckpointError, match="more tensors"):
        y.sum().backward()
    y = checkpoint(changing(), x, use_reentrant=False)
    with pytest.raises(CheckpointError, match="different metadata"):
        y.sum().backward()
    with set_checkpoint_debug_enabled(True):
        y = checkpoint(changing(), x, use_reentrant=False)
        with pytest.raises(CheckpointError, match=r"aten\.sin(.|\n)*aten\.exp"):
            y.sum().backward()


def test_arguments():
    x = torch.ones(2, requires_grad=True)
    with pytest.warns(UserWarning, match="use_reentrant"):
        checkpoint(torch.sin, x)
    with pytest.raises(ValueError, match="determinism_check"):
        checkpoint(torch.sin, x, use_reentrant=False, determinism_check="some")
    with pytest.raises(ValueError, match="keyword"):
        checkpoint(torch.sin, x, use_reentrant=True, k=1)
    with pytest.warns(UserWarning, match="requires_grad"):
        module.check_backward_validity([torch.ones(1)])
    (y,) = module.detach_variable((x * 2,))
    assert y.is_leaf and y.requires_grad
    assert module.get_device_states(x) == ([], [])


@pytest.mark.parametrize("as_list", [True, False])
def test_selective(as_list):
    seen = []

    class Names(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            seen.append(func)
            return func(*args, **(kwargs or {}))

    def policy(ctx, op, *args, **kwargs):
        keep = op is aten.mm.default
        return CheckpointPolicy.MUST_SAVE if keep else CheckpointPolicy.PREFER_RECOMPUTE

    choice = [aten.mm.default] if as_list else policy
    contexts = partial(create_selective_checkpoint_contexts, choice)
    f = Counted()
    want = gradients(lambda f, x: f(x), f)
    with Names():
        got = gradients(lambda f, x: checkpoint(f, x, use_reentrant=False, context_fn=contexts), f)
    assert all(a.equal(b) for a, b in zip(want, got))
    assert seen.count(aten.mm.default) == 3  # forward, and the gradients of both factors
    assert seen.count(aten.sin.default) == 2


def test_selective_errors():
    with pytest.raises(ValueError, match="OpOverload"):
        create_selective_checkpoint_contexts([torch.mm])
    with pytest.raises(TypeError):
        create_selective_checkpoint_contexts(3)


def test_dispatch_mode_replaces_results():
    class Zeros(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            out = func(*args, **(kwargs or {}))
            return out * 0 if func is aten.sin.default else out

    x = torch.ones(2, requires_grad=True)
    with Zeros():
        y = x.sin() + 1
    assert y.tolist() == [1, 1] and y.requires_grad
    assert x.sin()[0].item() > 0


def test_no_warnings_by_the_better_form():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        checkpoint(torch.sin, torch.ones(1, requires_grad=True), use_reentrant=False)


def test_gradients_of_gradients_through_nested_calls():
    def wrapped(f):
        return lambda x: checkpoint(f, x, use_reentrant=False)

    def gradient(f):
        def run(x):
            return torch.autograd.grad(f(x).sum(), x, create_graph=True)[0]

        return run

    def f(x):
        return x.sin().exp().sin()

    x = torch.tensor([0.3, 1.2], requires_grad=True)
    for early in (True, False):
        with set_checkpoint_early_stop(early):
            want = gradient(gradient(f))(x)
            for g in (
                gradient(gradient(wrapped(f))),
                gradient(wrapped(gradient(wrapped(f)))),
                gradient(gradient(wrapped(wrapped(f)))),
            ):
                torch.testing.assert_close(g(x), want)


def test_saved_tensors_are_there_once():
    class Twice(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * 2

        @staticmethod
        def backward(ctx, grad):
            assert len(ctx.saved_tensors) == 1
            with pytest.raises(RuntimeError, match="make sure to do so only once"):
                ctx.saved_tensors  # noqa: B018
            return grad * 2

    x = torch.ones(2, requires_grad=True)
    checkpoint(lambda x: Twice.apply(x * 3), x, use_reentrant=False).sum().backward()
    assert x.grad.tolist() == [6.0, 6.0]
