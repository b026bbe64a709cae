"""Class activation maps."""

import pytest

import flambeau as torch
from flambeau import nn
from flambeau.utils import cam


class Corner(nn.Module):
    """Class 0 answers to the first channel's brightness, class 1 to the second's."""

    def __init__(self):
        super().__init__()
        self.features = nn.Conv2d(2, 2, 1, bias=False)
        self.head = nn.Linear(2, 2, bias=False)
        with torch.no_grad():
            for layer in (self.features, self.head):
                layer.weight.copy_(torch.eye(2).view_as(layer.weight))

    def forward(self, x):
        return self.head(self.features(x).relu().mean((2, 3)))


def picture():
    x = torch.zeros(1, 2, 8, 8)
    x[0, 0, :4, :4] = 1.0
    x[0, 1, 4:, 4:] = 0.5
    return x


@pytest.mark.parametrize("method", "CAM GradCAM GradCAMPlusPlus LayerCAM ScoreCAM".split())
def test_the_map_shows_where_the_class_is(method):
    model = Corner()
    made = getattr(cam, method)(model, "features")
    for target, at in ((0, (1, 1)), (1, (6, 6))):
        maps = made(picture(), target)
        assert maps.shape == (1, 8, 8) and maps.min() == 0 and maps.max() == 1
        if method == "ScoreCAM" and target == 1:  # its weights differ little on so small a model
            continue
        assert maps[0][at] == 1.0
        if method != "ScoreCAM":
            assert maps[0, 7 - at[0], 7 - at[1]] == 0
    assert torch.equal(made(picture()), made(picture(), [0]))  # the stronger class by itself
    assert model.training and model.head.weight.grad is None


def test_mistakes():
    model = Corner()
    with pytest.raises(ValueError, match="channels, h, w"):
        cam.GradCAM(model, model.head)(picture())
    with pytest.raises(ValueError, match="did not call"):
        cam.GradCAM(model, nn.Conv2d(1, 1, 1))(picture())


def test_overlay():
    colours = cam.colorize(torch.tensor([[0.0, 0.5, 1.0]]))
    assert colours[:, 0, 0].argmax() == 2 and colours[:, 0, 2].argmax() == 0
    made = cam.overlay(torch.zeros(1, 1, 8, 8), torch.rand(1, 8, 8), alpha=0.25)
    assert made.shape == (1, 3, 8, 8) and made.max() <= 0.25
