"""Images through transform, backbone, proposals and heads."""

from flambeau import nn

from ._utils import features_of


class GeneralizedRCNN(nn.Module):
    """While training the losses by name, else a dictionary of detections for each image."""

    def __init__(self, backbone, rpn, roi_heads, transform):
        super().__init__()
        self.transform = transform
        self.backbone = backbone
        self.rpn = rpn
        self.roi_heads = roi_heads

    def forward(self, images, targets=None):
        images, targets, features, sizes = features_of(self, images, targets)
        proposals, proposal_losses = self.rpn(images, features, targets)
        detections, losses = self.roi_heads(features, proposals, images.image_sizes, targets)
        if self.training:
            return {**losses, **proposal_losses}
        return self.transform.postprocess(detections, images.image_sizes, sizes)
