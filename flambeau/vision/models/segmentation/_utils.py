"""What segmentation networks share: backbone, heads, results of the image's size."""

from collections import OrderedDict

from flambeau import nn
from flambeau.nn import functional as F

from .._api import builder_of, legacy, set_or_check, weights_enum
from .._utils import IntermediateLayerGetter


class _SimpleSegmentationModel(nn.Module):
    """{"out": [N, classes, H, W]} and perhaps "aux", the same from an earlier layer."""

    def __init__(self, backbone, classifier, aux_classifier=None):
        super().__init__()
        self.backbone = backbone
        self.classifier = classifier
        self.aux_classifier = aux_classifier

    def forward(self, x):
        size = x.shape[-2:]
        features = self.backbone(x)
        heads = {"out": self.classifier, "aux": self.aux_classifier}
        return OrderedDict(
            (name, F.interpolate(head(features[name]), size=size, mode="bilinear"))
            for name, head in heads.items()
            if head is not None
        )


def cut(backbone, aux, out_layer, aux_layer):
    """The backbone up to the layers that the heads read."""
    layers = {str(out_layer): "out"} | ({str(aux_layer): "aux"} if aux else {})
    return IntermediateLayerGetter(backbone, layers)


def stages(features):
    """Indices of the layers of a MobileNet that halve the size, the first and the last one."""
    inner = [i for i, layer in enumerate(features) if getattr(layer, "_is_cn", False)]
    return [0, *inner, len(features) - 1]


def model(name, enum, module, backbone, make, aux=True, **backbone_options):
    """(enum, builder); `make(backbone, num_classes, aux_loss)` is given the backbone's network."""
    enum = weights_enum(enum, module)

    def build(
        *,
        weights=None,
        progress=True,
        num_classes=None,
        aux_loss=None,
        weights_backbone="IMAGENET1K_V1",
        **kwargs,
    ):
        options = {"num_classes": num_classes, "aux_loss": aux_loss}
        weights = enum.verify(legacy(kwargs, enum) or weights)
        if kwargs.pop("pretrained_backbone", True) is False:
            weights_backbone = None
        if weights is not None:
            weights_backbone = None
            set_or_check(options, "num_classes", len(weights.meta["categories"]))
            if aux:
                set_or_check(options, "aux_loss", True)
        if not aux and aux_loss:
            raise NotImplementedError("This model does not use auxiliary loss")
        if kwargs:
            raise TypeError(f"{name}() got unexpected keyword arguments {sorted(kwargs)}")
        body = backbone(weights=weights_backbone, progress=progress, **backbone_options)
        net = make(body, options["num_classes"] or 21, options["aux_loss"])
        if weights is not None:
            net.load_state_dict(weights.get_state_dict(progress=progress, check_hash=True))
        return net

    return enum, builder_of(name, enum, build)
