"""Inception v3 (Szegedy et al., arXiv 1512.00567)."""

from collections import namedtuple

import flambeau
from flambeau import nn
from flambeau.nn import functional as F

from ._api import model
from .googlenet import BasicConv2d, fit_inception, from_imagenet, truncated_normal, warn_if_unset

__all__ = [
    "Inception3",
    "InceptionOutputs",
    "Inception_V3_Weights",
    "_InceptionOutputs",
    "inception_v3",
]

InceptionOutputs = namedtuple("InceptionOutputs", ["logits", "aux_logits"])
_InceptionOutputs = InceptionOutputs


class _Branches(nn.Module):
    """Chains of convolutions side by side, joined along the channels.

    `table` has a line for each convolution: name, what it reads (None is the input, "pool" its
    average over 3x3), channels, kernel, stride. What nobody reads is part of the result, in the
    order of the lines; with `pooled` the input's maxima over 3x3 with stride 2 are too.
    """

    def __init__(self, in_channels, table, conv_block=None, pooled=False):
        super().__init__()
        widths = {None: in_channels, "pool": in_channels}
        for name, source, width, kernel, stride in table:
            sides = kernel if isinstance(kernel, tuple) else (kernel, kernel)
            layer = (conv_block or BasicConv2d)(
                widths[source],
                width,
                kernel_size=kernel,
                stride=stride,
                padding=tuple(side // 2 if stride == 1 else 0 for side in sides),
            )
            setattr(self, name, layer)
            widths[name] = width
        self._sources = [(name, source) for name, source, *_ in table]
        read = {source for _, source in self._sources}
        self._results = [name for name, _ in self._sources if name not in read]
        self._pooled = pooled

    def forward(self, x):
        values = {None: x}
        for name, source in self._sources:
            if source == "pool":
                values["pool"] = F.avg_pool2d(x, 3, 1, 1)
            values[name] = getattr(self, name)(values[source])
        results = [values[name] for name in self._results]
        if self._pooled:
            results.append(F.max_pool2d(x, 3, 2))
        return self._join(results)

    def _join(self, results):
        return flambeau.cat(results, 1)


class InceptionA(_Branches):
    """Figure 5: 5x5 and two 3x3."""

    def __init__(self, in_channels, pool_features, conv_block=None):
        table = [
            ("branch1x1", None, 64, 1, 1),
            ("branch5x5_1", None, 48, 1, 1),
            ("branch5x5_2", "branch5x5_1", 64, 5, 1),
            ("branch3x3dbl_1", None, 64, 1, 1),
            ("branch3x3dbl_2", "branch3x3dbl_1", 96, 3, 1),
            ("branch3x3dbl_3", "branch3x3dbl_2", 96, 3, 1),
            ("branch_pool", "pool", pool_features, 1, 1),
        ]
        super().__init__(in_channels, table, conv_block)


class InceptionB(_Branches):
    """Figure 10: half the size."""

    def __init__(self, in_channels, conv_block=None):
        table = [
            ("branch3x3", None, 384, 3, 2),
            ("branch3x3dbl_1", None, 64, 1, 1),
            ("branch3x3dbl_2", "branch3x3dbl_1", 96, 3, 1),
            ("branch3x3dbl_3", "branch3x3dbl_2", 96, 3, 2),
        ]
        super().__init__(in_channels, table, conv_block, pooled=True)


class InceptionC(_Branches):
    """Figure 6: 7x7 as 1x7 and 7x1."""

    def __init__(self, in_channels, channels_7x7, conv_block=None):
        c = channels_7x7
        table = [
            ("branch1x1", None, 192, 1, 1),
            ("branch7x7_1", None, c, 1, 1),
            ("branch7x7_2", "branch7x7_1", c, (1, 7), 1),
            ("branch7x7_3", "branch7x7_2", 192, (7, 1), 1),
            ("branch7x7dbl_1", None, c, 1, 1),
            ("branch7x7dbl_2", "branch7x7dbl_1", c, (7, 1), 1),
            ("branch7x7dbl_3", "branch7x7dbl_2", c, (1, 7), 1),
            ("branch7x7dbl_4", "branch7x7dbl_3", c, (7, 1), 1),
            ("branch7x7dbl_5", "branch7x7dbl_4", 192, (1, 7), 1),
            ("branch_pool", "pool", 192, 1, 1),
        ]
        super().__init__(in_channels, table, conv_block)


class InceptionD(_Branches):
    """Half the size again."""

    def __init__(self, in_channels, conv_block=None):
        table = [
            ("branch3x3_1", None, 192, 1, 1),
            ("branch3x3_2", "branch3x3_1", 320, 3, 2),
            ("branch7x7x3_1", None, 192, 1, 1),
            ("branch7x7x3_2", "branch7x7x3_1", 192, (1, 7), 1),
            ("branch7x7x3_3", "branch7x7x3_2", 192, (7, 1), 1),
            ("branch7x7x3_4", "branch7x7x3_3", 192, 3, 2),
        ]
        super().__init__(in_channels, table, conv_block, pooled=True)


class InceptionE(_Branches):
    """Figure 7: 1x3 and 3x1 side by side."""

    def __init__(self, in_channels, conv_block=None):
        table = [
            ("branch1x1", None, 320, 1, 1),
            ("branch3x3_1", None, 384, 1, 1),
            ("branch3x3_2a", "branch3x3_1", 384, (1, 3), 1),
            ("branch3x3_2b", "branch3x3_1", 384, (3, 1), 1),
            ("branch3x3dbl_1", None, 448, 1, 1),
            ("branch3x3dbl_2", "branch3x3dbl_1", 384, 3, 1),
            ("branch3x3dbl_3a", "branch3x3dbl_2", 384, (1, 3), 1),
            ("branch3x3dbl_3b", "branch3x3dbl_2", 384, (3, 1), 1),
            ("branch_pool", "pool", 192, 1, 1),
        ]
        super().__init__(in_channels, table, conv_block)


class InceptionAux(nn.Module):
    """A classifier on the way, for training."""

    def __init__(self, in_channels, num_classes, conv_block=None):
        super().__init__()
        conv_block = conv_block or BasicConv2d
        self.conv0 = conv_block(in_channels, 128, kernel_size=1)
        self.conv1 = conv_block(128, 768, kernel_size=5)
        self.conv1.stddev = 0.01
        self.fc = nn.Linear(768, num_classes)
        self.fc.stddev = 0.001

    def forward(self, x):
        x = self.conv1(self.conv0(F.avg_pool2d(x, 5, 3)))
        return self.fc(F.adaptive_avg_pool2d(x, (1, 1)).flatten(1))


class Inception3(nn.Module):
    """For images of 299x299; while training it returns `InceptionOutputs`."""

    stddev = 0.1

    def __init__(
        self,
        num_classes=1000,
        aux_logits=True,
        transform_input=False,
        inception_blocks=None,
        init_weights=None,
        dropout=0.5,
    ):
        super().__init__()
        conv, a, b, c, d, e, auxiliary = inception_blocks or (
            BasicConv2d, InceptionA, InceptionB, InceptionC, InceptionD, InceptionE, InceptionAux
        )  # fmt: skip
        init_weights = warn_if_unset(init_weights, "inception_v3")
        self.aux_logits = aux_logits
        self.transform_input = transform_input
        self.Conv2d_1a_3x3 = conv(3, 32, kernel_size=3, stride=2)
        self.Conv2d_2a_3x3 = conv(32, 32, kernel_size=3)
        self.Conv2d_2b_3x3 = conv(32, 64, kernel_size=3, padding=1)
        self.maxpool1 = nn.MaxPool2d(3, 2)
        self.Conv2d_3b_1x1 = conv(64, 80, kernel_size=1)
        self.Conv2d_4a_3x3 = conv(80, 192, kernel_size=3)
        self.maxpool2 = nn.MaxPool2d(3, 2)
        self.Mixed_5b = a(192, pool_features=32)
        self.Mixed_5c = a(256, pool_features=64)
        self.Mixed_5d = a(288, pool_features=64)
        self.Mixed_6a = b(288)
        self.Mixed_6b = c(768, channels_7x7=128)
        self.Mixed_6c = c(768, channels_7x7=160)
        self.Mixed_6d = c(768, channels_7x7=160)
        self.Mixed_6e = c(768, channels_7x7=192)
        self.AuxLogits = auxiliary(768, num_classes) if aux_logits else None
        self.Mixed_7a = d(768)
        self.Mixed_7b = e(1280)
        self.Mixed_7c = e(2048)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.dropout = nn.Dropout(p=dropout)
        self.fc = nn.Linear(2048, num_classes)
        self._order = [name for name, _ in self.named_children()]
        if init_weights:
            truncated_normal(self)

    def forward(self, x):
        return self._forward_impl(from_imagenet(x) if self.transform_input else x)

    def _forward_impl(self, x):
        auxiliary = None
        for name in self._order:
            layer = getattr(self, name)
            if name == "AuxLogits":
                auxiliary = layer(x) if self.training and self.aux_logits else None
            elif name == "fc":
                x = layer(x.flatten(1))
            else:
                x = layer(x)
        return InceptionOutputs(x, auxiliary) if self.training and self.aux_logits else x


def _fit(weights, options):
    options.setdefault("aux_logits", True)
    fit_inception(weights, options)


def _load(net, state):
    if not net.aux_logits:
        state = {k: v for k, v in state.items() if not k.startswith("AuxLogits")}
    net.load_state_dict(state)


Inception_V3_Weights, inception_v3 = model(
    "inception_v3", "Inception_V3_Weights", Inception3, _fit, _load
)
