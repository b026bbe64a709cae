"""Feature pyramids (Lin et al., arXiv 1612.03144)."""

from collections import OrderedDict

from flambeau import nn
from flambeau.nn import functional as F

from .misc import Conv2dNormActivation

__all__ = ["FeaturePyramidNetwork", "LastLevelMaxPool", "LastLevelP6P7"]


class ExtraFPNBlock(nn.Module):
    """Adds levels: (results, inputs, names) to (results, names)."""

    def forward(self, results, x, names):
        raise NotImplementedError("a subclass says which levels are added")


class FeaturePyramidNetwork(nn.Module):
    """Maps by name, finest first, to maps of `out_channels`, each knowing the coarser ones.

    >>> import flambeau as torch
    >>> from flambeau.vision import ops
    >>> levels = {"a": torch.ones(1, 4, 8, 8), "b": torch.ones(1, 8, 4, 4)}
    >>> made = ops.FeaturePyramidNetwork([4, 8], 16)(levels)
    >>> [tuple(level.shape) for level in made.values()]
    [(1, 16, 8, 8), (1, 16, 4, 4)]
    """

    def __init__(self, in_channels_list, out_channels, extra_blocks=None, norm_layer=None):
        super().__init__()
        self.inner_blocks = nn.ModuleList()
        self.layer_blocks = nn.ModuleList()
        for channels in in_channels_list:
            if channels == 0:
                raise ValueError("in_channels=0 is currently not supported")
            for blocks, width, kernel in (
                (self.inner_blocks, channels, 1),
                (self.layer_blocks, out_channels, 3),
            ):
                blocks.append(
                    Conv2dNormActivation(
                        width,
                        out_channels,
                        kernel_size=kernel,
                        norm_layer=norm_layer,
                        activation_layer=None,
                    )
                )
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_uniform_(layer.weight, a=1)
                if layer.bias is not None:
                    nn.init.constant_(layer.bias, 0)
        if extra_blocks is not None and not isinstance(extra_blocks, ExtraFPNBlock):
            raise TypeError(
                f"extra_blocks should be of type ExtraFPNBlock not {type(extra_blocks)}"
            )
        self.extra_blocks = extra_blocks

    _version = 2

    def _load_from_state_dict(self, state_dict, prefix, local_metadata, *args):
        if local_metadata.get("version", None) in (None, 1):  # bare convolutions then
            for name in ("inner_blocks", "layer_blocks"):
                for i in range(len(self.inner_blocks)):
                    for kind in ("weight", "bias"):
                        value = state_dict.pop(f"{prefix}{name}.{i}.{kind}", None)
                        if value is not None:
                            state_dict[f"{prefix}{name}.{i}.0.{kind}"] = value
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *args)

    def forward(self, x):
        names, maps = list(x), list(x.values())
        last = self.inner_blocks[-1](maps[-1])
        results = [self.layer_blocks[-1](last)]
        for i in range(len(maps) - 2, -1, -1):
            lateral = self.inner_blocks[i](maps[i])
            last = lateral + F.interpolate(last, size=lateral.shape[-2:], mode="nearest")
            results.insert(0, self.layer_blocks[i](last))
        if self.extra_blocks is not None:
            results, names = self.extra_blocks(results, maps, names)
        return OrderedDict(zip(names, results, strict=True))


class LastLevelMaxPool(ExtraFPNBlock):
    """Every other pixel of the last level."""

    def forward(self, x, y, names):
        names.append("pool")
        x.append(F.max_pool2d(x[-1], kernel_size=1, stride=2, padding=0))
        return x, names


class LastLevelP6P7(ExtraFPNBlock):
    """Two levels by convolutions of stride 2, as in RetinaNet."""

    def __init__(self, in_channels, out_channels):
        super().__init__()
        self.p6 = nn.Conv2d(in_channels, out_channels, 3, 2, 1)
        self.p7 = nn.Conv2d(out_channels, out_channels, 3, 2, 1)
        for layer in (self.p6, self.p7):
            nn.init.kaiming_uniform_(layer.weight, a=1)
            nn.init.constant_(layer.bias, 0)
        self.use_P5 = in_channels == out_channels

    def forward(self, p, c, names):
        p6 = self.p6((p if self.use_P5 else c)[-1])
        p.extend([p6, self.p7(F.relu(p6))])
        names.extend(["p6", "p7"])
        return p, names
