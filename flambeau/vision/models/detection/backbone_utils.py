"""Classification networks as backbones with a feature pyramid."""

from flambeau import nn

from ...ops import FeaturePyramidNetwork, FrozenBatchNorm2d, LastLevelMaxPool
from .. import mobilenetv2, mobilenetv3, resnet
from .._utils import IntermediateLayerGetter
from ._utils import _validate_trainable_layers  # noqa: F401 (libraries take it from here)


class BackboneWithFPN(nn.Module):
    """Layers of a network (`return_layers`) and a pyramid of `out_channels` over them."""

    def __init__(
        self,
        backbone,
        return_layers,
        in_channels_list,
        out_channels,
        extra_blocks=None,
        norm_layer=None,
    ):
        super().__init__()
        self.body = IntermediateLayerGetter(backbone, return_layers=return_layers)
        self.fpn = FeaturePyramidNetwork(
            in_channels_list,
            out_channels,
            extra_blocks=extra_blocks or LastLevelMaxPool(),
            norm_layer=norm_layer,
        )
        self.out_channels = out_channels

    def forward(self, x):
        return self.fpn(self.body(x))


def resnet_fpn_backbone(
    backbone_name,
    weights,
    norm_layer=FrozenBatchNorm2d,
    trainable_layers=3,
    returned_layers=None,
    extra_blocks=None,
):
    """A ResNet of the given name with a pyramid."""
    backbone = getattr(resnet, backbone_name)(weights=weights, norm_layer=norm_layer)
    return _resnet_fpn_extractor(backbone, trainable_layers, returned_layers, extra_blocks)


def _resnet_fpn_extractor(
    backbone, trainable_layers, returned_layers=None, extra_blocks=None, norm_layer=None
):
    if not 0 <= trainable_layers <= 5:
        raise ValueError(f"Trainable layers should be in the range [0,5], got {trainable_layers}")
    trained = ["layer4", "layer3", "layer2", "layer1", "conv1"][:trainable_layers]
    if trainable_layers == 5:
        trained.append("bn1")
    for name, parameter in backbone.named_parameters():
        if not name.startswith(tuple(trained)):
            parameter.requires_grad_(False)
    returned_layers = returned_layers or [1, 2, 3, 4]
    if min(returned_layers) <= 0 or max(returned_layers) >= 5:
        raise ValueError(f"Each returned layer should be in the range [1,4]. Got {returned_layers}")
    layers = {f"layer{k}": str(v) for v, k in enumerate(returned_layers)}
    channels = [backbone.inplanes // 8 * 2 ** (i - 1) for i in returned_layers]
    return BackboneWithFPN(backbone, layers, channels, 256, extra_blocks, norm_layer)


def mobilenet_backbone(
    backbone_name,
    weights,
    fpn,
    norm_layer=FrozenBatchNorm2d,
    trainable_layers=2,
    returned_layers=None,
    extra_blocks=None,
):
    """A MobileNet of the given name, with a pyramid or with one map."""
    module = mobilenetv2 if backbone_name == "mobilenet_v2" else mobilenetv3
    backbone = getattr(module, backbone_name)(weights=weights, norm_layer=norm_layer)
    return _mobilenet_extractor(backbone, fpn, trainable_layers, returned_layers, extra_blocks)


def stage_indices(features):
    """The first layer and those that halve the size."""
    return [0] + [i for i, layer in enumerate(features) if getattr(layer, "_is_cn", False)]


def freeze(features, stages, trainable_layers):
    """Only the last stages train."""
    if not 0 <= trainable_layers <= len(stages):
        raise ValueError(
            f"Trainable layers should be in the range [0,{len(stages)}], got {trainable_layers} "
        )
    first = len(features) if trainable_layers == 0 else stages[len(stages) - trainable_layers]
    for layer in features[:first]:
        for parameter in layer.parameters():
            parameter.requires_grad_(False)


def _mobilenet_extractor(
    backbone, fpn, trainable_layers, returned_layers=None, extra_blocks=None, norm_layer=None
):
    features = backbone.features
    stages = [*stage_indices(features), len(features) - 1]
    count = len(stages)
    freeze(features, stages, trainable_layers)
    if not fpn:
        net = nn.Sequential(features, nn.Conv2d(features[-1].out_channels, 256, 1))
        net.out_channels = 256
        return net
    returned_layers = returned_layers or [count - 2, count - 1]
    if min(returned_layers) < 0 or max(returned_layers) >= count:
        raise ValueError(
            f"Each returned layer should be in the range [0,{count - 1}], got {returned_layers} "
        )
    layers = {str(stages[k]): str(v) for v, k in enumerate(returned_layers)}
    channels = [features[stages[i]].out_channels for i in returned_layers]
    return BackboneWithFPN(features, layers, channels, 256, extra_blocks, norm_layer)
