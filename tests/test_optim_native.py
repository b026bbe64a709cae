"""The native pass of every optimizer against the same step in operators; averaging of weights."""

import copy
import io
import warnings

import pytest

import flambeau as torch
from flambeau import nn, optim
from flambeau.optim import swa_utils

CASES = {
    "SGD": [{}, {"momentum": 0.9}, {"momentum": 0.9, "dampening": 0.3, "weight_decay": 0.1}]
    + [{"momentum": 0.9, "nesterov": True}],
    "Adam": [{}, {"amsgrad": True, "weight_decay": 0.1}, {"decoupled_weight_decay": True}],
    "AdamW": [{}, {"amsgrad": True}],
    "Adagrad": [{}, {"lr_decay": 0.1, "weight_decay": 0.1, "initial_accumulator_value": 0.3}],
    "RMSprop": [{}, {"centered": True}, {"momentum": 0.5, "centered": True, "weight_decay": 0.1}],
    "Adadelta": [{}, {"rho": 0.5, "weight_decay": 0.1}],
    "Adamax": [{}, {"weight_decay": 0.1}],
    "NAdam": [{}, {"weight_decay": 0.1}, {"weight_decay": 0.1, "decoupled_weight_decay": True}],
    "RAdam": [{}, {"betas": (0.8, 0.9)}, {"weight_decay": 0.1, "decoupled_weight_decay": True}],
    "Rprop": [{}, {"etas": (0.3, 1.5), "step_sizes": (1e-3, 0.2)}],
    "ASGD": [{}, {"lambd": 0.1, "t0": 2, "weight_decay": 0.1}],
}
EVERY = [(name, options) for name, cases in CASES.items() for options in cases]


def gradient(w, step):
    return (w * w - step * 0.3).sin() + 0.1 * w


def run(name, options, dtype=torch.float64, steps=8, reload_at=None, **more):
    """Parameters after some steps: one of odd size, one transposed, one of no elements."""
    torch.manual_seed(0)
    values = torch.randn(5, 7, dtype=torch.float64), torch.randn(33, dtype=torch.float64)
    params = [nn.Parameter(v.to(dtype)) for v in values]
    params.append(nn.Parameter(torch.randn(4, 3, dtype=torch.float64).to(dtype).t()))
    params.append(nn.Parameter(torch.empty(0, dtype=dtype)))
    if more.get("differentiable"):  # leaves do not take recorded changes
        params = [p.clone() for p in params]
    opt = getattr(optim, name)(params, **{"lr": 0.05, **options, **more})
    for step in range(steps):
        if step == reload_at:
            state = copy.deepcopy(opt.state_dict())
            opt = getattr(optim, name)(params, **{"lr": 0.05, **options, **more})
            opt.load_state_dict(state)
        for p in params:
            p.grad = gradient(p.detach(), step)
        opt.step()
    return [p.detach().double() for p in params], opt


@pytest.mark.parametrize("name,options", EVERY)
def test_native_steps_are_those_of_the_operators(name, options):
    want, slow = run(name, options, differentiable=True)
    got, fast = run(name, options)
    for a, b in zip(want, got):
        assert torch.allclose(a, b, rtol=1e-7, atol=1e-9)
    for a, b in zip(slow.state.values(), fast.state.values()):
        assert list(a) == list(b)
        for key in a:
            assert torch.allclose(a[key].double(), b[key].double(), rtol=1e-6, atol=1e-9), key


@pytest.mark.parametrize("name,options", EVERY)
def test_single_precision_maximize_and_tensor_rates(name, options):
    want, _ = run(name, options)
    got, _ = run(name, options, torch.float32)
    again, _ = run(name, {**options, "lr": torch.tensor(0.05)}, torch.float32)
    for a, b, c in zip(want, got, again):
        assert torch.allclose(a, b, rtol=1e-3, atol=1e-4)
        assert torch.allclose(b, c)
    up, _ = run(name, options, maximize=True)
    down, _ = run(name, options, maximize=True, differentiable=True)
    for a, b in zip(up, down):
        assert torch.allclose(a, b, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("name,options", EVERY)
def test_a_state_dict_in_mid_run_changes_nothing(name, options):
    want, _ = run(name, options)
    got, _ = run(name, options, reload_at=4)
    for a, b in zip(want, got):
        assert torch.allclose(a, b, rtol=1e-6)


@pytest.mark.parametrize("name", [*CASES, "Adafactor"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.complex64])
def test_other_dtypes(name, dtype):
    if name == "Adafactor" and dtype.is_complex:
        return
    w = nn.Parameter(torch.ones(3, 2, dtype=dtype))
    opt = getattr(optim, name)([w], lr=0.05)
    for _ in range(3):
        opt.zero_grad()
        (w * w.conj()).real.sum().backward()
        opt.step()
    assert w.dtype == dtype and (w.detach().abs() <= 1).all()


def test_gradients_through_a_step():
    w = torch.ones(2, requires_grad=True)
    rate = torch.tensor(0.1, requires_grad=True)
    moved = w.clone()
    opt = optim.SGD([moved], lr=rate, differentiable=True)
    moved.grad = 2 * w
    opt.step()
    moved.sum().backward()
    assert torch.allclose(w.grad, torch.full((2,), 0.8))
    assert torch.allclose(rate.grad, torch.tensor(-4.0))


# -- averages --------------------------------------------------------------------------------------


def models():
    model = nn.Linear(2, 1, bias=False)
    for value in (1.0, 2.0, 6.0):
        nn.init.constant_(model.weight, value)
        yield model


@pytest.mark.parametrize(
    "options,want",
    [
        ({}, 3.0),
        ({"avg_fn": swa_utils.get_swa_avg_fn()}, 3.0),
        ({"multi_avg_fn": swa_utils.get_swa_multi_avg_fn()}, 3.0),
        ({"avg_fn": swa_utils.get_ema_avg_fn(0.5)}, 3.75),
        ({"multi_avg_fn": swa_utils.get_ema_multi_avg_fn(0.5)}, 3.75),
    ],
)
def test_averaged_model(options, want):
    averaged = None
    for model in models():
        averaged = averaged or swa_utils.AveragedModel(model, **options)
        averaged.update_parameters(model)
    assert torch.allclose(averaged.module.weight, torch.tensor(want))
    assert averaged.n_averaged.item() == 3
    assert averaged(torch.ones(1, 2)).item() == pytest.approx(2 * want)
    assert list(averaged.state_dict()) == ["n_averaged", "module.weight"]


def test_averages_of_buffers():
    model = nn.BatchNorm1d(1)
    copied = swa_utils.AveragedModel(model)
    meant = swa_utils.AveragedModel(model, use_buffers=True)
    for value in (1.0, 3.0):
        model.running_mean.fill_(value)
        copied.update_parameters(model)
        meant.update_parameters(model)
    assert copied.module.running_mean.item() == 3.0
    assert meant.module.running_mean.item() == 2.0
    with pytest.raises(AssertionError):
        swa_utils.AveragedModel(model, avg_fn=lambda *a: 0, multi_avg_fn=lambda *a: 0)
    with pytest.raises(ValueError):
        swa_utils.get_ema_avg_fn(1.5)


def test_update_bn():
    model = nn.Sequential(nn.BatchNorm1d(1, momentum=0.3)).eval()
    batches = [torch.tensor([[0.0], [2.0]]), (torch.tensor([[4.0], [8.0]]), None)]
    swa_utils.update_bn(batches, model)
    assert model[0].running_mean.item() == pytest.approx((1 + 6) / 2)
    assert model[0].running_var.item() == pytest.approx((2 + 8) / 2)
    assert model[0].momentum == 0.3 and not model.training


@pytest.mark.parametrize("strategy,want", [("linear", [1.0, 0.7, 0.4, 0.1, 0.1]),
                                           ("cos", [1.0, 0.775, 0.325, 0.1, 0.1])])  # fmt: skip
def test_swalr(strategy, want):
    opt = optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = swa_utils.SWALR(opt, 0.1, anneal_epochs=3, anneal_strategy=strategy)
    got = []
    for _ in want:
        got.append(opt.param_groups[0]["lr"])
        opt.step()
        schedule.step()
    assert got == pytest.approx(want)
    for wrong in ({"anneal_strategy": "x"}, {"anneal_epochs": -1}):
        with pytest.raises(ValueError):
            swa_utils.SWALR(opt, 0.1, **wrong)


def test_swapped_parameters_and_state():
    w, other = nn.Parameter(torch.ones(2)), nn.Parameter(torch.zeros(2))
    opt = optim.SGD([w], lr=1.0, momentum=0.5)
    w.grad = torch.ones(2)
    opt.step()
    state = copy.deepcopy(opt.state_dict())
    state["param_groups"][0]["lr"] = 2.0
    other.grad = torch.ones(2)
    with optim.swap_in_optimizer_params_and_state(opt, {"w": other}, state):
        opt.step()
    assert other.tolist() == [-3.0, -3.0] and w.tolist() == [0.0, 0.0]
    assert state["state"][0]["momentum_buffer"].tolist() == [1.5, 1.5]
    assert opt.state[w]["momentum_buffer"].tolist() == [1.0, 1.0]
    with pytest.raises(ValueError):
        with optim.swap_in_optimizer_params_and_state(opt, {}, state):
            pass


def test_get_lr_outside_of_step_warns():
    opt = optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = optim.lr_scheduler.StepLR(opt, 1)
    with pytest.warns(UserWarning, match="get_last_lr"):
        schedule.get_lr()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        opt.step()
        schedule.step()
    assert schedule.state_dict()["_get_lr_called_within_step"] is False
    torch.save(schedule.state_dict(), io.BytesIO())


def test_plateau_knows_groups_that_came_later():
    opt = optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = optim.lr_scheduler.ReduceLROnPlateau(opt, factor=0.5, patience=0)
    opt.add_param_group({"params": [nn.Parameter(torch.zeros(1))], "lr": 4.0})
    schedule.step(1.0)
    schedule.step(2.0)
    assert [group["lr"] for group in opt.param_groups] == [0.5, 2.0]


# -- clipping --------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("transposed", [False, True])
def test_clipping_in_one_pass(dtype, transposed):
    torch.manual_seed(0)
    shapes = [(3,), (100, 200), (0,), (8193,), (5, 7)]
    params = [nn.Parameter(torch.zeros(shape, dtype=dtype)) for shape in shapes]
    for p in params:
        p.grad = torch.randn(p.shape, dtype=dtype)
    if transposed:  # not for the native pass
        params[-1].grad = torch.randn(7, 5, dtype=dtype).t()
    before = [p.grad.clone() for p in params]
    want = sum(g.double().pow(2).sum() for g in before).sqrt()
    total = nn.utils.clip_grad_norm_(params, 2.0)
    assert total.dtype == dtype and torch.allclose(total.double(), want, rtol=1e-6)
    for p, g in zip(params, before):
        assert torch.allclose(p.grad, g * (2.0 / want).to(dtype), rtol=1e-5)
    after = [p.grad.clone() for p in params]
    nn.utils.clip_grad_norm_(params, 5.0)  # small enough already
    assert all(torch.equal(p.grad, g) for p, g in zip(params, after))


def test_clipping_of_what_is_not_finite():
    w = nn.Parameter(torch.ones(2))
    w.grad = torch.tensor([float("inf"), 1.0])
    with pytest.raises(RuntimeError, match="non-finite"):
        nn.utils.clip_grad_norm_([w], 1.0, error_if_nonfinite=True)
    assert nn.utils.clip_grad_norm_([w], 1.0).item() == float("inf")
    assert w.grad[1].item() == 0.0 and w.grad[0].isnan()
    assert nn.utils.clip_grad_norm_([nn.Parameter(torch.ones(1))], 1.0).item() == 0.0


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "Adagrad"])
def test_ways_that_exclude_each_other(name):
    params = [nn.Parameter(torch.ones(1))]
    for wrong in ({"fused": True, "foreach": True}, {"fused": True, "differentiable": True}):
        with pytest.raises(RuntimeError):
            getattr(optim, name)(params, **wrong)
    if "Adam" in name:
        with pytest.raises(ValueError):
            getattr(optim, name)(params, lr=torch.tensor(0.1), foreach=True)
