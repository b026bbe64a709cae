"""Initial values: their bounds, shapes and errors."""

import math

import pytest

import flambeau as torch
from flambeau.nn import init


def test_gains():
    assert init.calculate_gain("relu") == math.sqrt(2)
    assert init.calculate_gain("tanh") == pytest.approx(5 / 3)
    assert init.calculate_gain("leaky_relu", 0.2) == pytest.approx(math.sqrt(2 / 1.04))
    with pytest.raises(ValueError):
        init.calculate_gain("nothing")


def test_bounds_of_uniform_kinds():
    w = torch.empty(40, 60)
    bound = math.sqrt(6 / 100)
    assert 0.9 * bound < float(init.xavier_uniform_(w).abs().max()) <= bound
    bound = math.sqrt(6 / 60)
    assert 0.9 * bound < float(init.kaiming_uniform_(w, nonlinearity="relu").abs().max()) <= bound
    assert float(init.uniform_(w, 2, 3).min()) >= 2


def test_spread_of_normal_kinds():
    w = torch.empty(200, 300)
    assert float(init.normal_(w, 1, 0.5).std()) == pytest.approx(0.5, rel=0.05)
    assert float(init.xavier_normal_(w).std()) == pytest.approx(math.sqrt(2 / 500), rel=0.05)
    init.kaiming_normal_(w, mode="fan_out", nonlinearity="relu")
    assert float(w.std()) == pytest.approx(math.sqrt(2 / 200), rel=0.05)


@pytest.mark.parametrize("a, b", [(-2.0, 2.0), (0.5, 1.0), (3.0, 4.0)])
def test_truncated_normal_stays_inside(a, b):
    w = init.trunc_normal_(torch.empty(500), a=a, b=b) if a < 2 else None
    if w is None:
        with pytest.warns(UserWarning):
            w = init.trunc_normal_(torch.empty(500), a=a, b=b)
    assert float(w.min()) >= a and float(w.max()) <= b


def test_constants_and_identities():
    assert float(init.constant_(torch.empty(3), 4).sum()) == 12
    assert float(init.ones_(torch.empty(3)).sum()) == 3
    assert float(init.zeros_(torch.empty(3)).abs().sum()) == 0
    assert init.eye_(torch.empty(2, 3)).tolist() == [[1, 0, 0], [0, 1, 0]]
    w = init.dirac_(torch.empty(4, 2, 3), groups=2)
    x = torch.arange(20.0).reshape(1, 4, 5)
    assert bool((torch.nn.functional.conv1d(x, w, padding=1, groups=2) == x).all())


def test_sparse():
    w = init.sparse_(torch.empty(10, 5), 0.3)
    assert [int(n) for n in (w == 0).sum(0)] == [3] * 5


@pytest.mark.parametrize("shape", [(4, 6), (6, 4), (3, 2, 2)])
def test_orthogonal(shape):
    w = init.orthogonal_(torch.empty(shape), gain=2).reshape(shape[0], -1)
    gram = w @ w.t() if shape[0] <= w.shape[1] else w.t() @ w
    assert torch.allclose(gram, 4 * torch.eye(gram.shape[0]), atol=1e-5)


@pytest.mark.parametrize(
    "act",
    [
        lambda: init.xavier_uniform_(torch.empty(3)),
        lambda: init.kaiming_uniform_(torch.empty(3, 3), mode="sideways"),
        lambda: init.eye_(torch.empty(3)),
        lambda: init.dirac_(torch.empty(3, 3)),
        lambda: init.dirac_(torch.empty(3, 3, 3), groups=2),
        lambda: init.orthogonal_(torch.empty(3)),
        lambda: init.sparse_(torch.empty(3), 0.1),
    ],
)
def test_errors(act):
    with pytest.raises(ValueError):
        act()


def test_layers_draw_the_same_numbers_for_the_same_seed():
    torch.manual_seed(5)
    a = torch.nn.Conv2d(2, 3, 3)
    torch.manual_seed(5)
    b = torch.nn.Conv2d(2, 3, 3)
    assert bool((a.weight == b.weight).all()) and bool((a.bias == b.bias).all())


def test_linear_weights_are_those_of_a_known_seed():
    torch.manual_seed(0)
    first = torch.nn.Linear(2, 1).weight.flatten().tolist()
    assert first == pytest.approx([-0.00529, 0.37932], abs=1e-4)
