"""Small parts that models share: rounded widths, initial weights, layers looked into."""

import functools
import warnings
from collections import OrderedDict

from flambeau import nn

from ._api import set_or_check


def make_divisible(value, divisor, least=None):
    """The multiple of `divisor` nearest to `value`, but not more than a tenth below it."""
    least = divisor if least is None else least
    rounded = max(least, int(value + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * value else rounded


# the names that copies of torchvision's model files import
_make_divisible, _ovewrite_named_param = make_divisible, set_or_check


def _ovewrite_value_param(param, actual, expected):
    """`expected`, unless another value was given: that is an error."""
    set_or_check({param: actual}, param, expected)
    return expected


def handle_legacy_interface(**weights):
    """Decorates a builder so that it takes positional arguments and `pretrained=` as well.

    weights={"weights": ("pretrained", what True stands for, or a function of the arguments)}.

    >>> from flambeau.vision.models._utils import handle_legacy_interface
    >>> @handle_legacy_interface(weights=("pretrained", "the default"))
    ... def build(*, weights=None):
    ...     return weights
    >>> build("others")
    'others'
    """

    def decorate(build):
        import inspect

        names = list(inspect.signature(build).parameters)

        @functools.wraps(build)
        def call(*args, **kwargs):
            kwargs.update(zip(names, args))
            for name, (old, default) in weights.items():
                if old not in kwargs and not isinstance(kwargs.get(name), bool):
                    continue
                kwargs[old] = wanted = kwargs.get(old, kwargs.get(name))
                kwargs[name] = (
                    (default(kwargs) if callable(default) else default) if wanted else None
                )
                del kwargs[old]
                warnings.warn(
                    f"The parameter '{old}' is deprecated, please use '{name}' instead.",
                    UserWarning,
                    stacklevel=2,
                )
            return build(**kwargs)

        return call

    return decorate


def init_layers(model, convolution=None, linear=None, norm=True):
    """Sets each layer's weight with the function of its kind; biases to 0, norms to 1 and 0."""
    kinds = (
        ((nn.Conv1d, nn.Conv2d, nn.Conv3d), convolution),
        (nn.Linear, linear),
        ((nn.BatchNorm2d, nn.BatchNorm3d, nn.GroupNorm), nn.init.ones_ if norm else None),
    )
    for layer in model.modules():
        for kind, fill in kinds:
            if fill is not None and isinstance(layer, kind) and layer.weight is not None:
                fill(layer.weight)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)


def he_normal(weight):
    """He's normal distribution by fan-out, for ReLU (arXiv 1502.01852)."""
    nn.init.kaiming_normal_(weight, mode="fan_out", nonlinearity="relu")


def small_normal(weight):
    nn.init.normal_(weight, 0, 0.01)


def truncated(weight):
    nn.init.trunc_normal_(weight, std=0.02)


class IntermediateLayerGetter(nn.ModuleDict):
    """A model cut after the last wanted layer, that returns the outputs of the wanted ones.

    `return_layers` maps names of direct children to names in the result.

    >>> import flambeau as torch
    >>> from flambeau.vision import models
    >>> net = models._utils.IntermediateLayerGetter(models.resnet18(), {"layer1": "low"})
    >>> {name: x.shape for name, x in net(torch.zeros(1, 3, 32, 32)).items()}
    {'low': torch.Size([1, 64, 8, 8])}
    """

    def __init__(self, model, return_layers):
        names = [name for name, _ in model.named_children()]
        if not set(return_layers) <= set(names):
            raise ValueError("return_layers are not present in model")
        last = max(names.index(name) for name in return_layers)
        super().__init__(OrderedDict(list(model.named_children())[: last + 1]))
        self.return_layers = {str(k): str(v) for k, v in return_layers.items()}

    def forward(self, x):
        results = OrderedDict()
        for name, layer in self.items():
            x = layer(x)
            if name in self.return_layers:
                results[self.return_layers[name]] = x
        return results
