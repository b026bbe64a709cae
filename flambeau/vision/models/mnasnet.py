"""MnasNet, the variant B1 (Tan et al., arXiv 1807.11626)."""

import warnings
from functools import partial

from flambeau import nn

from ._api import model
from ._utils import init_layers

_MOMENTUM = 1 - 0.9997  # the paper's decay for TensorFlow, as PyTorch counts it


class _InvertedResidual(nn.Module):
    def __init__(self, in_ch, out_ch, kernel_size, stride, expansion_factor, bn_momentum=0.1):
        super().__init__()
        mid, momentum = in_ch * expansion_factor, bn_momentum
        self.apply_residual = in_ch == out_ch and stride == 1
        self.layers = nn.Sequential(
            nn.Conv2d(in_ch, mid, 1, bias=False),
            nn.BatchNorm2d(mid, momentum=momentum),
            nn.ReLU(inplace=True),
            nn.Conv2d(mid, mid, kernel_size, stride, kernel_size // 2, groups=mid, bias=False),
            nn.BatchNorm2d(mid, momentum=momentum),
            nn.ReLU(inplace=True),
            nn.Conv2d(mid, out_ch, 1, bias=False),
            nn.BatchNorm2d(out_ch, momentum=momentum),
        )

    def forward(self, input):
        return self.layers(input) + input if self.apply_residual else self.layers(input)


# Figure 7: kernel, stride, expansion, repeats.
_STACKS = [(3, 2, 3, 3), (5, 2, 3, 3), (5, 2, 6, 3), (3, 1, 6, 2), (5, 2, 6, 4), (3, 1, 6, 1)]


def _depths(alpha):
    """Channels of the layers, times alpha, in multiples of 8."""
    rounded = []
    for depth in (32, 16, 24, 40, 80, 96, 192, 320):
        value = depth * alpha
        new = max(8, int(value + 4) // 8 * 8)
        rounded.append(new if new >= 0.9 * value else new + 8)
    return rounded


def _stem(first, second):
    return [
        nn.Conv2d(3, first, 3, padding=1, stride=2, bias=False),
        nn.BatchNorm2d(first, momentum=_MOMENTUM),
        nn.ReLU(inplace=True),
        nn.Conv2d(first, first, 3, padding=1, groups=first, bias=False),
        nn.BatchNorm2d(first, momentum=_MOMENTUM),
        nn.ReLU(inplace=True),
        nn.Conv2d(first, second, 1, bias=False),
        nn.BatchNorm2d(second, momentum=_MOMENTUM),
    ]


class MNASNet(nn.Module):
    """alpha scales the number of channels."""

    _version = 2  # version 1 had a stem that alpha did not scale

    def __init__(self, alpha, num_classes=1000, dropout=0.2):
        super().__init__()
        if alpha <= 0.0:
            raise ValueError(f"alpha should be greater than 0.0 instead of {alpha}")
        self.alpha = alpha
        self.num_classes = num_classes
        depths = _depths(alpha)
        layers = _stem(*depths[:2])
        for (kernel, stride, expansion, repeats), inp, out in zip(
            _STACKS, depths[1:-1], depths[2:], strict=True
        ):
            block = partial(_InvertedResidual, expansion_factor=expansion, bn_momentum=_MOMENTUM)
            layers.append(
                nn.Sequential(
                    block(inp, out, kernel, stride),
                    *[block(out, out, kernel, 1) for _ in range(1, repeats)],
                )
            )
        layers += [
            nn.Conv2d(depths[7], 1280, 1, bias=False),
            nn.BatchNorm2d(1280, momentum=_MOMENTUM),
            nn.ReLU(inplace=True),
        ]
        self.layers = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.Dropout(p=dropout, inplace=True), nn.Linear(1280, num_classes)
        )
        init_layers(
            self,
            partial(nn.init.kaiming_normal_, mode="fan_out", nonlinearity="relu"),
            partial(nn.init.kaiming_uniform_, mode="fan_out", nonlinearity="sigmoid"),
        )

    def forward(self, x):
        return self.classifier(self.layers(x).mean([2, 3]))

    def _load_from_state_dict(self, state_dict, prefix, local_metadata, *args):
        if local_metadata.get("version", None) == 1 and self.alpha != 1.0:
            depths = [32, 16, *_depths(self.alpha)[2:]]
            for i, layer in enumerate(_stem(*depths[:2])):
                self.layers[i] = layer
            self.layers[8] = nn.Sequential(
                _InvertedResidual(depths[1], depths[2], 3, 2, 3, _MOMENTUM),
                *list(self.layers[8])[1:],
            )
            self._version = 1
            warnings.warn(
                "A new version of MNASNet model has been implemented; the weights are of the "
                "old one, whose stem the model has now.",
                UserWarning,
                stacklevel=2,
            )
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *args)


MNASNet0_5_Weights, mnasnet0_5 = model("mnasnet0_5", "MNASNet0_5_Weights", partial(MNASNet, 0.5))
MNASNet0_75_Weights, mnasnet0_75 = model(
    "mnasnet0_75", "MNASNet0_75_Weights", partial(MNASNet, 0.75)
)
MNASNet1_0_Weights, mnasnet1_0 = model("mnasnet1_0", "MNASNet1_0_Weights", partial(MNASNet, 1.0))
MNASNet1_3_Weights, mnasnet1_3 = model("mnasnet1_3", "MNASNet1_3_Weights", partial(MNASNet, 1.3))

__all__ = [name for name in globals() if name.lower().startswith("mnasnet")]
