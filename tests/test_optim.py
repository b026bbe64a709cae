"""Optimizers against their formulas in NumPy; schedules against theirs."""

import copy
import io
import math
import pickle

import numpy as np
import pytest

import flambeau as torch
from flambeau import nn, optim
from flambeau.optim import lr_scheduler


def start():
    return np.array([[1.0, -2.0, 3.0], [0.5, 0.0, -1.5]])


def gradient(w, step):
    return 2 * w + math.sin(step)


def run(make, steps=5, dtype=None):
    param = nn.Parameter(torch.tensor(start().tolist(), dtype=dtype or torch.float64))
    opt = make([param])
    for step in range(steps):
        param.grad = 2 * param.detach() + math.sin(step)
        opt.step()
    return param.detach().double().numpy(), opt


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("maximize", [False, True])
def test_sgd(nesterov, maximize):
    got, _ = run(
        lambda p: optim.SGD(
            p, lr=0.1, momentum=0.9, weight_decay=0.01, nesterov=nesterov, maximize=maximize
        )
    )
    w, buffer = start(), None
    for step in range(5):
        g = gradient(w, step) * (-1 if maximize else 1) + 0.01 * w
        buffer = g if buffer is None else 0.9 * buffer + g
        w = w - 0.1 * (g + 0.9 * buffer if nesterov else buffer)
    np.testing.assert_allclose(got, w, rtol=1e-12)


def test_sgd_dampening():
    got, opt = run(lambda p: optim.SGD(p, lr=0.1, momentum=0.9, dampening=0.5))
    w, buffer = start(), None
    for step in range(5):
        g = gradient(w, step)
        buffer = g if buffer is None else 0.9 * buffer + 0.5 * g
        w = w - 0.1 * buffer
    np.testing.assert_allclose(got, w, rtol=1e-12)
    assert list(opt.state_dict()["state"][0]) == ["momentum_buffer"]


@pytest.mark.parametrize("decoupled", [False, True])
@pytest.mark.parametrize("amsgrad", [False, True])
def test_adam(decoupled, amsgrad):
    kind = optim.AdamW if decoupled else optim.Adam
    got, opt = run(lambda p: kind(p, lr=0.1, weight_decay=0.05, amsgrad=amsgrad))
    w, m, v, top = start(), 0.0, 0.0, 0.0
    for step in range(5):
        g = gradient(w, step)
        if decoupled:
            w = w * (1 - 0.1 * 0.05)
        else:
            g = g + 0.05 * w
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        top = np.maximum(top, v)
        root = np.sqrt((top if amsgrad else v) / (1 - 0.999 ** (step + 1))) + 1e-8
        w = w - 0.1 * m / (1 - 0.9 ** (step + 1)) / root
    np.testing.assert_allclose(got, w, rtol=1e-9)
    state = opt.state_dict()["state"][0]
    assert list(state)[:3] == ["step", "exp_avg", "exp_avg_sq"]
    assert state["step"].dtype == torch.float32 and float(state["step"]) == 5


def test_parameters_in_any_layout_are_stepped_alike():
    plain = nn.Parameter(torch.arange(12.0).reshape(3, 4))
    turned = nn.Parameter(torch.arange(12.0).reshape(3, 4).t().contiguous().t())
    for param in (plain, turned):
        opt = optim.Adam([param], lr=0.5)
        for _ in range(3):
            param.grad = torch.arange(12.0).reshape(3, 4)
            opt.step()
    assert torch.allclose(plain, turned)


def test_several_dtypes_and_missing_gradients():
    params = [nn.Parameter(torch.ones(2, dtype=d)) for d in (torch.float32, torch.float64)]
    params.append(nn.Parameter(torch.ones(2)))
    for param in params[:2]:
        param.grad = torch.ones_like(param)
    optim.SGD(params, lr=0.25).step()
    assert [float(p.detach()[0]) for p in params] == [0.75, 0.75, 1.0]


OTHERS = {
    "Adagrad": {"lr": 0.1},
    "RMSprop": {"centered": True, "momentum": 0.5},
    "Adadelta": {},
    "Adamax": {},
    "ASGD": {"t0": 2},
    "Rprop": {},
    "NAdam": {},
    "RAdam": {"lr": 0.1},
    "Adafactor": {},
    "Muon": {},
}


@pytest.mark.parametrize("name", [*OTHERS, "SGD", "Adam", "AdamW"])
def test_state_survives_a_round_trip(name):
    kind = getattr(optim, name)
    options = OTHERS.get(name, {"lr": 0.1})

    def train(reload):
        param = nn.Parameter(torch.tensor(start().tolist()))
        opt = kind([param], **options)
        for step in range(6):
            if reload and step == 3:
                state = pickle.loads(pickle.dumps(opt.state_dict()))
                opt = kind([param], **options)
                opt.load_state_dict(state)
            param.grad = 2 * param.detach() + step
            opt.step()
        return param.detach()

    assert torch.equal(train(False), train(True))


@pytest.mark.parametrize("name", OTHERS)
def test_a_loss_goes_down(name):
    param = nn.Parameter(torch.tensor(start().tolist()))
    opt = getattr(optim, name)([param], **OTHERS[name])
    losses = []
    for _ in range(20):
        opt.zero_grad()
        loss = (param * param).sum()
        loss.backward()
        opt.step()
        losses.append(float(loss))
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("search", [None, "strong_wolfe"])
def test_lbfgs_finds_a_minimum(search):
    param = nn.Parameter(torch.tensor([3.0, -1.0], dtype=torch.float64))
    opt = optim.LBFGS([param], line_search_fn=search)

    def closure():
        opt.zero_grad()
        loss = ((param - torch.tensor([1.0, 2.0], dtype=torch.float64)) ** 2).sum()
        loss.backward()
        return loss

    for _ in range(3):
        opt.step(closure)
    assert float(closure()) < 1e-12


def test_groups_and_hooks():
    a, b = nn.Parameter(torch.ones(1)), nn.Parameter(torch.ones(1))
    opt = optim.SGD([{"params": [a]}, {"params": b, "lr": 1.0}], lr=0.5)
    a.grad = b.grad = torch.ones(1)
    calls = []
    opt.register_step_pre_hook(lambda o, args, kwargs: calls.append("before"))
    handle = opt.register_step_post_hook(lambda o, args, kwargs: calls.append("after"))
    assert float(opt.step(lambda: torch.tensor(4.0))) == 4
    assert float(a.detach()) == 0.5 and float(b.detach()) == 0.0
    handle.remove()
    opt.step()
    assert calls == ["before", "after", "before"]
    assert [g["params"] for g in opt.state_dict()["param_groups"]] == [[0], [1]]
    twin = copy.deepcopy(opt)
    assert twin.param_groups[0]["params"][0] is not a
    assert "lr: 0.5" in repr(opt)


@pytest.mark.parametrize(
    "act, error",
    [
        (lambda p: optim.SGD([]), ValueError),
        (lambda p: optim.SGD(p), TypeError),
        (lambda p: optim.SGD([3]), TypeError),
        (lambda p: optim.SGD([{"params": {p}}]), TypeError),
        (lambda p: optim.SGD([p], lr=-1), ValueError),
        (lambda p: optim.SGD([p], nesterov=True), ValueError),
        (lambda p: optim.Adam([p], betas=(0.9, 1.0)), ValueError),
        (lambda p: optim.SGD([p * 2]), ValueError),
        (lambda p: optim.SGD([{"params": [p]}, {"params": [p]}]), ValueError),
        (lambda p: optim.SGD([p]).load_state_dict({"state": {}, "param_groups": []}), ValueError),
    ],
)
def test_errors(act, error):
    with pytest.raises(error):
        act(nn.Parameter(torch.ones(2)))


def rates(make, steps, metric=None):
    opt = optim.SGD([nn.Parameter(torch.ones(1))], lr=1.0, momentum=0.9)
    schedule = make(opt)
    seen = []
    for step in range(steps):
        seen.append(opt.param_groups[0]["lr"])
        opt.step()
        schedule.step() if metric is None else schedule.step(metric(step))
    return seen


@pytest.mark.parametrize(
    "make, formula",
    [
        (lambda o: lr_scheduler.StepLR(o, 2, 0.5), lambda t: 0.5 ** (t // 2)),
        (lambda o: lr_scheduler.ExponentialLR(o, 0.9), lambda t: 0.9**t),
        (lambda o: lr_scheduler.LambdaLR(o, lambda e: 1 / (1 + e)), lambda t: 1 / (1 + t)),
        (lambda o: lr_scheduler.MultiStepLR(o, [1, 3]), lambda t: 0.1 ** ((t >= 1) + (t >= 3))),
        (lambda o: lr_scheduler.ConstantLR(o, 0.5, 3), lambda t: 0.5 if t < 3 else 1.0),
        (lambda o: lr_scheduler.LinearLR(o, 0.5, 1.0, 4), lambda t: min(1, 0.5 + t / 8)),
        (lambda o: lr_scheduler.PolynomialLR(o, 4, 2), lambda t: max(0, 1 - t / 4) ** 2),
        (
            lambda o: lr_scheduler.CosineAnnealingLR(o, 4, 0.1),
            lambda t: 0.1 + 0.9 * (1 + math.cos(math.pi * t / 4)) / 2,
        ),
        (
            lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 3),
            lambda t: (1 + math.cos(math.pi * (t % 3) / 3)) / 2,
        ),
        (
            lambda o: lr_scheduler.SequentialLR(
                o, [lr_scheduler.ConstantLR(o, 0.5, 9), lr_scheduler.ExponentialLR(o, 0.9)], [2]
            ),
            lambda t: 0.5 if t < 2 else 0.9 ** (t - 2),
        ),
    ],
)
def test_schedules(make, formula):
    assert rates(make, 6) == pytest.approx([formula(t) for t in range(6)])


def test_plateau_and_saved_schedules():
    got = rates(
        lambda o: lr_scheduler.ReduceLROnPlateau(o, factor=0.5, patience=1), 6, lambda step: 1.0
    )
    assert got == [1.0, 1.0, 1.0, 0.5, 0.5, 0.25]
    opt = optim.SGD([nn.Parameter(torch.ones(1))], lr=1.0)
    schedule = lr_scheduler.StepLR(opt, 2)
    opt.step()
    schedule.step()
    buffer = io.BytesIO()
    pickle.dump(schedule.state_dict(), buffer)
    other = lr_scheduler.StepLR(optim.SGD([nn.Parameter(torch.ones(1))], lr=1.0), 2)
    other.load_state_dict(pickle.loads(buffer.getvalue()))
    assert other.last_epoch == 1
    with pytest.raises(TypeError):
        lr_scheduler.StepLR(3, 2)


def test_gradients_are_clipped():
    w = nn.Parameter(torch.zeros(2))
    w.grad = torch.tensor([3.0, 4.0])
    assert float(nn.utils.clip_grad_norm_([w], 1.0)) == pytest.approx(5)
    assert float(w.grad.norm()) == pytest.approx(1, rel=1e-4)
    nn.utils.clip_grad_value_(w, 0.5)
    assert float(w.grad.max()) == 0.5


DIFFERENTIABLE = [
    (optim.Adam, {"amsgrad": True}),
    (optim.AdamW, {}),
    (optim.NAdam, {}),
    (optim.RAdam, {}),
    (optim.Adadelta, {}),
    (optim.RMSprop, {"centered": True}),
    (optim.Adagrad, {}),
    (optim.SGD, {"momentum": 0.9}),
]


@pytest.mark.parametrize("make, options", DIFFERENTIABLE)
def test_steps_that_are_differentiated(make, options):
    """The loss after some steps, differentiated by the start, against its differences."""

    def final(start):
        w = start.clone()
        opt = make([torch.zeros(3, dtype=torch.float64)], lr=0.1, differentiable=True, **options)
        opt.param_groups[0]["params"] = [w]
        for _ in range(7):
            w.grad = w.detach() * 2 + 1
            opt.step()
        return (w * w).sum()

    start = torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(final(start), start)
    assert slope.isfinite().all() and (slope != 0).all()


def test_the_step_of_an_epoch_says_that_it_is_old():
    opt = optim.SGD([nn.Parameter(torch.ones(1))], lr=1.0)
    schedule = lr_scheduler.StepLR(opt, 2, 0.5)
    opt.step()
    with pytest.warns(UserWarning, match="The epoch parameter"):
        schedule.step(5)
    assert schedule.get_last_lr() == [0.25]


def test_a_step_that_was_replaced_is_noticed():
    opt = optim.SGD([nn.Parameter(torch.ones(1))], lr=1.0)
    schedule = lr_scheduler.StepLR(opt, 2)
    opt.step = lambda: None
    with pytest.warns(UserWarning, match="overridden"):
        schedule.step()
    known = lr_scheduler.StepLR(opt, 2)
    opt._opt_called = True
    known.step()


def test_scheduler_states_have_their_order():
    opt = optim.SGD([nn.Parameter(torch.ones(1))], lr=1.0)
    state = lr_scheduler.LambdaLR(opt, lambda epoch: 0.5**epoch).state_dict()
    assert list(state)[0] == "base_lrs" and list(state)[-1] == "lr_lambdas"


def test_lbfgs_with_a_gradient_of_zero():
    w = nn.Parameter(torch.ones(2))
    w.grad = torch.zeros(2)
    opt = optim.LBFGS([w], tolerance_grad=-1)
    assert opt.step(lambda: (w * 0).sum()).item() == 0


# The class, the states in the function's order, and options.
FUNCTIONS = {
    "adadelta": ("Adadelta", "square_avg acc_delta step", {}),
    "adagrad": ("Adagrad", "sum step", {"lr_decay": 0.1}),
    "adam": ("Adam", "exp_avg exp_avg_sq max_exp_avg_sq step", {"amsgrad": True}),
    "adamw": ("AdamW", "exp_avg exp_avg_sq max_exp_avg_sq step", {"maximize": True}),
    "adamax": ("Adamax", "exp_avg exp_inf step", {}),
    "asgd": ("ASGD", "ax mu eta step", {"t0": 2.0}),
    "nadam": ("NAdam", "exp_avg exp_avg_sq mu_product step", {"decoupled_weight_decay": True}),
    "radam": ("RAdam", "exp_avg exp_avg_sq step", {}),
    "rmsprop": ("RMSprop", "square_avg grad_avg momentum_buffer step", {"centered": True}),
    "rprop": ("Rprop", "prev step_size step", {}),
    "sgd": ("SGD", "momentum_buffer", {"momentum": 0.9, "nesterov": True}),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_step_as_a_function_is_that_of_the_class(name):
    import inspect
    from importlib import import_module

    function = getattr(import_module("flambeau.optim._functional"), name)
    kind, states, options = FUNCTIONS[name]
    param = nn.Parameter(torch.randn(3, 2))
    opt = getattr(optim, kind)([param], **options)
    given = dict(opt.param_groups[0])
    given.update(zip(("beta1", "beta2"), given.get("betas", ())))
    given.update(zip(("etaminus", "etaplus"), given.pop("etas", ())))
    given.update(zip(("step_size_min", "step_size_max"), given.pop("step_sizes", ())))
    del given["params"]
    given = {key: given[key] for key in inspect.signature(function).parameters if key in given}
    param.grad = torch.randn(3, 2)
    opt.step()  # makes the states
    ours, held = param.detach().clone(), copy.deepcopy(opt.state[param])
    lists = [[held[key]] if key in held else [] for key in states.split()]
    for _ in range(3):
        param.grad = torch.randn(3, 2)
        opt.step()
        function([ours], [param.grad], *lists, **given)
        assert torch.equal(param, ours)
    for key, values in zip(states.split(), lists):
        assert not values or torch.equal(values[0], opt.state[param][key])


def test_sgd_as_a_function_begins_its_momentum():
    from flambeau.optim.sgd import sgd

    w, buffers = torch.ones(2), [None]
    options = {"momentum": 0.9, "lr": 0.1, "dampening": 0, "nesterov": False, "maximize": False}
    sgd([w], [torch.ones(2)], buffers, weight_decay=0, **options)
    assert buffers[0].tolist() == [1, 1] and torch.allclose(w, torch.full((2,), 0.9))
    sgd([w], [torch.ones(2)], buffers, weight_decay=0, found_inf=torch.ones(1), **options)
    assert torch.allclose(w, torch.full((2,), 0.9))


def test_functions_of_rarer_optimizers():
    from flambeau.optim._adafactor import adafactor
    from flambeau.optim._functional import adam, sparse_adam
    from flambeau.optim._muon import muon

    eye = torch.eye(2)
    with torch.no_grad():
        w, rows, columns, count = (
            torch.ones(2, 2),
            torch.zeros(2, 1),
            torch.zeros(1, 2),
            torch.tensor(0.0),
        )
        adafactor(
            [w], [eye], [rows], [columns], [None], [count],
            d=1.0, lr=0.1, beta2_decay=-0.8, weight_decay=0.0, eps1=1e-30, eps2=1e-3,
            maximize=False,
        )  # fmt: skip
        assert w[0, 0] < 1 and count == 1 and rows.sum() > 0
        w, buffer = torch.ones(2, 2), torch.zeros(2, 2)
        muon(
            [w], [eye], [buffer], lr=0.1, weight_decay=0.0, momentum=0.9, nesterov=True,
            ns_coefficients=(3.4445, -4.775, 2.0315), ns_steps=5, eps=1e-7, adjust_lr_fn=None,
            has_complex=False,
        )  # fmt: skip
        assert w[0, 0] < 1 and buffer[0, 0] > 0
        w, grad = torch.ones(3, 1), torch.sparse_coo_tensor([[1]], [[2.0]], (3, 1))
        means = [torch.zeros(3, 1)], [torch.zeros(3, 1)]
        sparse_adam(
            [w], [grad], *means, [1], eps=1e-8, beta1=0.9, beta2=0.99, lr=0.1, maximize=False
        )
        assert torch.allclose(w[:, 0], torch.tensor([1.0, 0.9, 1.0]))
    with pytest.raises(RuntimeError, match="state_steps"):
        adam(
            [w], [w], [w], [w], [], [1], amsgrad=False, beta1=0.9, beta2=0.99, lr=0.1,
            weight_decay=0, eps=1e-8, maximize=False,
        )  # fmt: skip


def test_helpers_for_optimizers_of_other_libraries():
    from flambeau.optim import optimizer as o

    class Halving(optim.Optimizer):
        def __init__(self, params, differentiable=False):
            super().__init__(params, {"differentiable": differentiable})

        @o._use_grad_for_differentiable
        def step(self, closure=None):
            return torch.is_grad_enabled()

    w = nn.Parameter(torch.ones(2))
    assert Halving.step.hooked and Halving([w]).step() is False
    assert Halving([w], differentiable=True).step() is True
    assert o._default_to_fused_or_foreach([w], False, True) == (True, False)
    assert o._default_to_fused_or_foreach([w], True, True) == (False, False)
    with pytest.raises(RuntimeError):
        o._device_dtype_check_for_fused(torch.ones(1, dtype=torch.int32))
    numbers, others = (
        [torch.ones(2, dtype=torch.complex64)],
        [torch.zeros(2, dtype=torch.complex64)],
    )
    o._view_as_real(numbers, others)
    assert numbers[0].shape == others[0].shape == (2, 2)
    assert o._get_value(torch.tensor(2.0)) == o._get_value(2.0) == 2
    assert o._to_scalar(torch.ones(1)).dim() == 0 and o._get_scalar_dtype() == torch.float32
    lists = [[torch.zeros(1), torch.zeros(1, dtype=torch.float64)], [torch.ones(1), None]]
    found = optim.Optimizer._group_tensors_by_device_and_dtype(lists, with_indices=True)
    assert [places for _, places in found.values()] == [[0], [1]]


def test_amsgrad_is_differentiable():
    g = torch.ones(3, dtype=torch.float64, requires_grad=True)
    moved = torch.ones(3, dtype=torch.float64, requires_grad=True).clone()
    opt = optim.Adam([moved], lr=0.1, eps=1.0, amsgrad=True, differentiable=True)
    moved.grad = g * 1
    opt.step()  # w - lr g / (|g| + eps)
    moved.sum().backward()
    assert torch.allclose(g.grad, torch.full_like(g, -0.1 / 4))


def test_line_search_stays_within_the_evaluations_allowed():
    for allowed, wanted in (3, 4), (10, 11), (26, 27):
        w = torch.nn.Parameter(torch.tensor([1.3, 2.1], dtype=torch.float64))
        opt = torch.optim.LBFGS([w], max_iter=4, max_eval=allowed, line_search_fn="strong_wolfe")
        calls = []

        def closure(w=w, opt=opt, calls=calls):
            opt.zero_grad()
            loss = 1000 * w.abs().sqrt().sum() + (w**4 - 7 * w**3).sum()  # has a kink to find
            loss.backward()
            calls.append(loss.item())
            return loss

        opt.step(closure)
        opt.step(closure)
        assert len(calls) <= 2 * wanted and len(calls) >= wanted
