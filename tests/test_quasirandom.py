"""Sobol sequences."""

import copy

import pytest

import flambeau as torch
from flambeau.quasirandom import SobolEngine


def test_first_points():
    points = SobolEngine(4).draw(5)
    assert points.tolist() == [
        [0, 0, 0, 0],
        [0.5, 0.5, 0.5, 0.5],
        [0.75, 0.25, 0.25, 0.25],
        [0.25, 0.75, 0.75, 0.75],
        [0.375, 0.375, 0.625, 0.875],
    ]


def test_every_dimension_fills_its_intervals_once():
    points = SobolEngine(SobolEngine.MAXDIM).draw(64, dtype=torch.float64)
    cells = (points * 64).floor().sort(dim=0).values
    assert (cells == torch.arange(64.0, dtype=torch.float64)[:, None]).all()


@pytest.mark.parametrize("scramble", [False, True])
def test_pieces_are_the_whole(scramble):
    whole = SobolEngine(3, scramble=scramble, seed=5).draw(12)
    engine = SobolEngine(3, scramble=scramble, seed=5)
    parts = torch.cat([engine.draw(1), engine.draw(4), copy.deepcopy(engine).draw(2)])
    assert torch.equal(parts, whole[:7])
    assert torch.equal(engine.fast_forward(2).draw(), whole[7:8])
    assert torch.equal(engine.reset().draw_base2(3), whole[:8]) and engine.num_generated == 8
    out = torch.empty(0)
    assert torch.equal(engine.draw(4, out=out), whole[8:]) and torch.equal(out, whole[8:])


def test_scrambled_points_are_pytorchs():
    first = SobolEngine(3, scramble=True, seed=7)
    assert first.shift.tolist() == [214182645, 183537049, 804615878]
    assert first.sobolstate[:, 0].tolist() == [545853173, 662285411, 816589273]
    cells = (first.draw(32) * 32).floor().sort(dim=0).values
    assert (cells == torch.arange(32.0)[:, None]).all()
    torch.manual_seed(7)
    assert torch.equal(SobolEngine(3, scramble=True).shift, first.shift)


def test_refusals():
    for dimension in (0, SobolEngine.MAXDIM + 1):
        with pytest.raises(ValueError, match="Supported range"):
            SobolEngine(dimension)
    engine = SobolEngine(2)
    engine.draw(3)
    with pytest.raises(ValueError, match="power of 2"):
        engine.draw_base2(2)
    assert repr(SobolEngine(2, True, 3)) == "SobolEngine(dimension=2, scramble=True, seed=3)"
