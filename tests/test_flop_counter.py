"""Operations counted by module."""

import flambeau as torch
from flambeau import nn
from flambeau.utils.flop_counter import FlopCounterMode


def test_forward_and_backward(capsys):
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 36, 5))
    x = torch.rand(2, 3, 8, 8)
    with FlopCounterMode(depth=2) as counter:
        loss = model(x).sum()
    conv, linear = 2 * (2 * 4 * 36) * 27, 2 * (2 * 5) * 144
    assert counter.get_total_flops() == conv + linear
    assert counter.get_flop_counts()["Sequential.0"] == {"conv2d": conv}
    assert "Sequential.2" in capsys.readouterr().out
    with FlopCounterMode(display=False) as counter:
        loss = model(x).sum()
        loss.backward()
    # the input of the first layer wants no gradient
    assert counter.get_total_flops() == 2 * conv + 3 * linear
