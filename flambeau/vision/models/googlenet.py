"""GoogLeNet (Szegedy et al., arXiv 1409.4842) with batch normalization."""

import warnings
from collections import namedtuple

import flambeau
from flambeau import nn
from flambeau.nn import functional as F

from ._api import fit_classes, model

__all__ = ["GoogLeNet", "GoogLeNetOutputs", "GoogLeNet_Weights", "_GoogLeNetOutputs", "googlenet"]

GoogLeNetOutputs = namedtuple("GoogLeNetOutputs", ["logits", "aux_logits2", "aux_logits1"])
_GoogLeNetOutputs = GoogLeNetOutputs


class BasicConv2d(nn.Module):
    """Convolution, norm, ReLU."""

    def __init__(self, in_channels, out_channels, **kwargs):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, bias=False, **kwargs)
        self.bn = nn.BatchNorm2d(out_channels, eps=0.001)

    def forward(self, x):
        return F.relu(self.bn(self.conv(x)), inplace=True)


def from_imagenet(x):
    """Pixels normalized by ImageNet's mean and deviation, to those normalized by 0.5."""
    scale = flambeau.tensor([0.229, 0.224, 0.225], dtype=x.dtype, device=x.device) / 0.5
    shift = (flambeau.tensor([0.485, 0.456, 0.406], dtype=x.dtype, device=x.device) - 0.5) / 0.5
    return x * scale[:, None, None] + shift[:, None, None]


def truncated_normal(net):
    """Initial weights of the inception networks; a layer may have a `stddev` of its own."""
    for layer in net.modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            std = getattr(layer, "stddev", net.stddev)
            nn.init.trunc_normal_(layer.weight, mean=0.0, std=std, a=-2, b=2)
        elif isinstance(layer, nn.BatchNorm2d):
            nn.init.ones_(layer.weight)
            nn.init.zeros_(layer.bias)


def warn_if_unset(init_weights, name):
    if init_weights is None:
        warnings.warn(
            f"The default weight initialization of {name} takes long; give init_weights=True to "
            "keep it without this warning, or False to leave it out.",
            FutureWarning,
            stacklevel=3,
        )
    return init_weights is None or init_weights


class Inception(nn.Module):
    """1x1, 3x3, 5x5 (made by 3x3, as in the published weights) and pooling, side by side."""

    def __init__(
        self,
        in_channels,
        ch1x1,
        ch3x3red,
        ch3x3,
        ch5x5red,
        ch5x5,
        pool_proj,
        conv_block=BasicConv2d,
    ):
        super().__init__()
        self.branch1 = conv_block(in_channels, ch1x1, kernel_size=1)
        self.branch2 = nn.Sequential(
            conv_block(in_channels, ch3x3red, kernel_size=1),
            conv_block(ch3x3red, ch3x3, kernel_size=3, padding=1),
        )
        self.branch3 = nn.Sequential(
            conv_block(in_channels, ch5x5red, kernel_size=1),
            conv_block(ch5x5red, ch5x5, kernel_size=3, padding=1),
        )
        self.branch4 = nn.Sequential(
            nn.MaxPool2d(3, 1, 1, ceil_mode=True),
            conv_block(in_channels, pool_proj, kernel_size=1),
        )

    def forward(self, x):
        branches = self.branch1, self.branch2, self.branch3, self.branch4
        return self._join([branch(x) for branch in branches])

    def _join(self, results):
        return flambeau.cat(results, 1)


class InceptionAux(nn.Module):
    """A classifier on the way, for training."""

    def __init__(self, in_channels, num_classes, conv_block=BasicConv2d, dropout=0.7):
        super().__init__()
        self.conv = conv_block(in_channels, 128, kernel_size=1)
        self.fc1 = nn.Linear(2048, 1024)
        self.fc2 = nn.Linear(1024, num_classes)
        self.dropout = nn.Dropout(p=dropout)

    def forward(self, x):
        x = self.conv(F.adaptive_avg_pool2d(x, (4, 4))).flatten(1)
        return self.fc2(self.dropout(self._relu(self.fc1(x))))

    def _relu(self, x):
        return F.relu(x, inplace=True)


# Table 1 of the paper: channels in, then Inception's arguments; a number is a max pooling's kernel.
_TABLE = {
    "inception3a": (192, 64, 96, 128, 16, 32, 32),
    "inception3b": (256, 128, 128, 192, 32, 96, 64),
    "maxpool3": 3,
    "inception4a": (480, 192, 96, 208, 16, 48, 64),
    "inception4b": (512, 160, 112, 224, 24, 64, 64),
    "inception4c": (512, 128, 128, 256, 24, 64, 64),
    "inception4d": (512, 112, 144, 288, 32, 64, 64),
    "inception4e": (528, 256, 160, 320, 32, 128, 128),
    "maxpool4": 2,
    "inception5a": (832, 256, 160, 320, 32, 128, 128),
    "inception5b": (832, 384, 192, 384, 48, 128, 128),
}


class GoogLeNet(nn.Module):
    """While training it returns `GoogLeNetOutputs` with the auxiliary classifiers' logits."""

    stddev = 0.01

    def __init__(
        self,
        num_classes=1000,
        aux_logits=True,
        transform_input=False,
        init_weights=None,
        blocks=None,
        dropout=0.2,
        dropout_aux=0.7,
    ):
        super().__init__()
        conv, inception, auxiliary = blocks or (BasicConv2d, Inception, InceptionAux)
        init_weights = warn_if_unset(init_weights, "GoogLeNet")
        self.aux_logits = aux_logits
        self.transform_input = transform_input
        self.conv1 = conv(3, 64, kernel_size=7, stride=2, padding=3)
        self.maxpool1 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.conv2 = conv(64, 64, kernel_size=1)
        self.conv3 = conv(64, 192, kernel_size=3, padding=1)
        self.maxpool2 = nn.MaxPool2d(3, 2, ceil_mode=True)
        for name, row in _TABLE.items():
            pooling = isinstance(row, int)
            setattr(
                self, name, nn.MaxPool2d(row, 2, ceil_mode=True) if pooling else inception(*row)
            )
        self.aux1 = auxiliary(512, num_classes, dropout=dropout_aux) if aux_logits else None
        self.aux2 = auxiliary(528, num_classes, dropout=dropout_aux) if aux_logits else None
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.dropout = nn.Dropout(p=dropout)
        self.fc = nn.Linear(1024, num_classes)
        if init_weights:
            truncated_normal(self)

    def forward(self, x):
        return self._forward_impl(from_imagenet(x) if self.transform_input else x)

    def _forward_impl(self, x):
        x = self.maxpool2(self.conv3(self.conv2(self.maxpool1(self.conv1(x)))))
        more = {"inception4a": self.aux1, "inception4d": self.aux2}
        extra = []  # computed on the way, as torchvision does: dropout draws in that order
        for name in _TABLE:
            x = getattr(self, name)(x)
            if name in more and self.training and self.aux_logits:
                extra.append(more[name](x))
        x = self.fc(self.dropout(self.avgpool(x).flatten(1)))
        return GoogLeNetOutputs(x, *extra[::-1]) if extra else x


def fit_inception(weights, options):
    options.setdefault("transform_input", True)
    options["init_weights"] = False
    fit_classes(weights, options)


def _fit(weights, options):
    options.setdefault("aux_logits", False)
    fit_inception(weights, options)


def _load(net, state):
    """The published file has auxiliary classifiers, which a model without them leaves out."""
    if not net.aux_logits:
        state = {k: v for k, v in state.items() if not k.startswith(("aux1", "aux2"))}
    else:
        warnings.warn(
            "auxiliary heads in the pretrained googlenet model are NOT pretrained, "
            "so make sure to train them",
            stacklevel=3,
        )
    net.load_state_dict(state)


GoogLeNet_Weights, googlenet = model("googlenet", "GoogLeNet_Weights", GoogLeNet, _fit, _load)
