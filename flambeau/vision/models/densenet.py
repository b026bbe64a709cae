"""DenseNet (Huang et al., arXiv 1608.06993)."""

import re
from collections import OrderedDict
from functools import partial

import flambeau
from flambeau import nn
from flambeau.nn import functional as F

from ._api import model
from ._utils import init_layers


class _DenseLayer(nn.Module):
    """Norm, ReLU, 1x1; norm, ReLU, 3x3: `growth_rate` new channels from all before."""

    def __init__(self, num_input_features, growth_rate, bn_size, drop_rate, memory_efficient=False):
        super().__init__()
        self.norm1 = nn.BatchNorm2d(num_input_features)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv1 = nn.Conv2d(num_input_features, bn_size * growth_rate, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(bn_size * growth_rate)
        self.relu2 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(bn_size * growth_rate, growth_rate, 3, padding=1, bias=False)
        self.drop_rate = float(drop_rate)
        self.memory_efficient = memory_efficient

    def _narrow(self, *inputs):
        return self.conv1(self.relu1(self.norm1(flambeau.cat(inputs, 1))))

    def forward(self, input):
        inputs = [input] if isinstance(input, flambeau.Tensor) else list(input)
        if self.memory_efficient and any(x.requires_grad for x in inputs):
            from flambeau.utils.checkpoint import checkpoint

            narrow = checkpoint(self._narrow, *inputs, use_reentrant=False)
        else:
            narrow = self._narrow(*inputs)
        new = self.conv2(self.relu2(self.norm2(narrow)))
        return F.dropout(new, self.drop_rate, self.training) if self.drop_rate > 0 else new


class _DenseBlock(nn.ModuleDict):
    def __init__(
        self,
        num_layers,
        num_input_features,
        bn_size,
        growth_rate,
        drop_rate,
        memory_efficient=False,
    ):
        super().__init__()
        for i in range(num_layers):
            self[f"denselayer{i + 1}"] = _DenseLayer(
                num_input_features + i * growth_rate,
                growth_rate,
                bn_size,
                drop_rate,
                memory_efficient,
            )

    def forward(self, init_features):
        features = [init_features]
        for layer in self.values():
            features.append(layer(features))
        return flambeau.cat(features, 1)


class _Transition(nn.Sequential):
    def __init__(self, num_input_features, num_output_features):
        super().__init__()
        self.norm = nn.BatchNorm2d(num_input_features)
        self.relu = nn.ReLU(inplace=True)
        self.conv = nn.Conv2d(num_input_features, num_output_features, 1, bias=False)
        self.pool = nn.AvgPool2d(2, 2)


class DenseNet(nn.Module):
    """Blocks in which each layer sees the outputs of all layers before it."""

    def __init__(
        self,
        growth_rate=32,
        block_config=(6, 12, 24, 16),
        num_init_features=64,
        bn_size=4,
        drop_rate=0,
        num_classes=1000,
        memory_efficient=False,
    ):
        super().__init__()
        layers = OrderedDict(
            conv0=nn.Conv2d(3, num_init_features, 7, 2, 3, bias=False),
            norm0=nn.BatchNorm2d(num_init_features),
            relu0=nn.ReLU(inplace=True),
            pool0=nn.MaxPool2d(3, 2, 1),
        )
        channels = num_init_features
        for i, count in enumerate(block_config, 1):
            layers[f"denseblock{i}"] = _DenseBlock(
                count, channels, bn_size, growth_rate, drop_rate, memory_efficient
            )
            channels += count * growth_rate
            if i < len(block_config):
                layers[f"transition{i}"] = _Transition(channels, channels // 2)
                channels //= 2
        layers["norm5"] = nn.BatchNorm2d(channels)
        self.features = nn.Sequential(layers)
        self.classifier = nn.Linear(channels, num_classes)
        init_layers(self, nn.init.kaiming_normal_)
        nn.init.zeros_(self.classifier.bias)

    def forward(self, x):
        x = F.relu(self.features(x), inplace=True)
        return self.classifier(F.adaptive_avg_pool2d(x, (1, 1)).flatten(1))


def _load(net, state):
    # the published files say norm.1 where the layers are called norm1
    fix = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.([12]\.)")
    net.load_state_dict({fix.sub(r"\1\2", name): value for name, value in state.items()})


def _model(depth, growth_rate, block_config, num_init_features):
    make = partial(
        DenseNet,
        growth_rate=growth_rate,
        block_config=block_config,
        num_init_features=num_init_features,
    )
    return model(f"densenet{depth}", f"DenseNet{depth}_Weights", make, load=_load)


DenseNet121_Weights, densenet121 = _model(121, 32, (6, 12, 24, 16), 64)
DenseNet161_Weights, densenet161 = _model(161, 48, (6, 12, 36, 24), 96)
DenseNet169_Weights, densenet169 = _model(169, 32, (6, 12, 32, 32), 64)
DenseNet201_Weights, densenet201 = _model(201, 32, (6, 12, 48, 32), 64)

__all__ = [name for name in globals() if name.lower().startswith("densenet")]
