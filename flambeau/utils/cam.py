"""Class activation maps: which parts of an image a convolutional model's answer rests on.

Each class is made for a model and one of its layers, and is called on a batch of images; it gives
maps (N, H, W) from 0 to 1 at the images' size.

>>> import flambeau as torch
>>> from flambeau import nn
>>> from flambeau.utils.cam import GradCAM
>>> model = nn.Sequential(
...     nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)
... )
>>> GradCAM(model, model[1])(torch.rand(1, 3, 8, 8)).shape
torch.Size([1, 8, 8])
"""

import flambeau
from flambeau import nn

__all__ = ["CAM", "GradCAM", "GradCAMPlusPlus", "LayerCAM", "ScoreCAM", "colorize", "overlay"]


class _Map:
    """What the methods share: the run, the layer's activations, scaling and resizing."""

    def __init__(self, model, target_layer):
        self.model = model
        self.layer = (
            model.get_submodule(target_layer) if isinstance(target_layer, str) else target_layer
        )

    def __call__(self, images, targets=None):
        """The maps of images (N, C, H, W) for classes `targets` (an int or N of them).

        Without targets, of the class with the highest score. Raises ValueError if the layer's
        output has no height and width, or the model's no classes.
        """
        training = self.model.training
        self.model.eval()
        try:
            maps = self._maps(images, targets)
        finally:
            self.model.train(training)
        maps = maps.detach().clamp(min=0).unsqueeze(1)
        maps = nn.functional.interpolate(
            maps, size=tuple(images.shape[-2:]), mode="bilinear", align_corners=False
        ).squeeze(1)
        return _to_unit(maps)

    def _run(self, images):
        """Scores (N, classes) and the layer's output (N, channels, h, w)."""
        kept = []
        handle = self.layer.register_forward_hook(lambda module, args, output: kept.append(output))
        try:
            scores = self.model(images)
        finally:
            handle.remove()
        if not kept:
            raise ValueError("the model did not call the layer")
        if kept[-1].dim() != 4:
            raise ValueError(f"the layer gives {tuple(kept[-1].shape)}, not (N, channels, h, w)")
        if scores.dim() != 2:
            raise ValueError(f"the model gives {tuple(scores.shape)}, not (N, classes)")
        return scores, kept[-1]

    @staticmethod
    def _chosen(scores, targets):
        """The score of each image's class, (N)."""
        if targets is None:
            targets = scores.argmax(dim=1)
        targets = flambeau.as_tensor(targets).to(flambeau.int64).expand(scores.size(0))
        return scores.gather(1, targets.unsqueeze(1)).squeeze(1)

    def _gradients(self, images, targets):
        """Activations, and the gradient of the class's score for them."""
        with flambeau.enable_grad():
            scores, values = self._run(images.detach().requires_grad_())
            (gradients,) = flambeau.autograd.grad(self._chosen(scores, targets).sum(), values)
        return values.detach(), gradients


def _to_unit(maps):
    """Each map scaled to 0 ... 1; one that is the same everywhere becomes 0."""
    low, high = maps.amin((-2, -1), keepdim=True), maps.amax((-2, -1), keepdim=True)
    return (maps - low) / (high - low).clamp(min=1e-12)


class CAM(_Map):
    """Activations weighed by the last linear layer (Zhou et al., arXiv 1512.04150).

    For models that end in global average pooling and one linear layer over the layer's channels.
    """

    def _maps(self, images, targets):
        with flambeau.no_grad():
            scores, values = self._run(images)
        linear = [m for m in self.model.modules() if isinstance(m, nn.Linear)]
        if not linear or linear[-1].in_features != values.size(1):
            raise ValueError("CAM needs a last linear layer over the channels of the layer")
        if targets is None:
            targets = scores.argmax(dim=1)
        targets = flambeau.as_tensor(targets).to(flambeau.int64).expand(values.size(0))
        weights = linear[-1].weight[targets]
        return flambeau.einsum("nc,nchw->nhw", weights, values)


class GradCAM(_Map):
    """Activations weighed by the mean gradient of each channel (arXiv 1610.02391)."""

    def _maps(self, images, targets):
        values, gradients = self._gradients(images, targets)
        return (gradients.mean((2, 3), keepdim=True) * values).sum(1)


class GradCAMPlusPlus(_Map):
    """Weights from higher powers of the gradient (arXiv 1710.11063, equation 19)."""

    def _maps(self, images, targets):
        values, gradients = self._gradients(images, targets)
        square, cube = gradients**2, gradients**3
        below = 2 * square + values.sum((2, 3), keepdim=True) * cube
        alpha = square / flambeau.where(below != 0, below, flambeau.ones_like(below))
        weights = (alpha * gradients.clamp(min=0)).sum((2, 3), keepdim=True)
        return (weights * values).sum(1)


class LayerCAM(_Map):
    """Activations weighed by the positive gradient at each place (Jiang et al., 2021)."""

    def _maps(self, images, targets):
        values, gradients = self._gradients(images, targets)
        return (gradients.clamp(min=0) * values).sum(1)


class ScoreCAM(_Map):
    """Activations weighed by the score of the image seen through them (arXiv 1910.01279).

    Needs no gradient, and a run of the model for each channel, `batch_size` of them at a time.
    """

    def __init__(self, model, target_layer, batch_size=32):
        super().__init__(model, target_layer)
        self.batch_size = batch_size

    @flambeau.no_grad()
    def _maps(self, images, targets):
        scores, values = self._run(images)
        if targets is None:
            targets = scores.argmax(dim=1)
        targets = flambeau.as_tensor(targets).to(flambeau.int64).expand(images.size(0))
        masks = nn.functional.interpolate(
            values, size=tuple(images.shape[-2:]), mode="bilinear", align_corners=False
        )
        masks = _to_unit(masks)
        maps = []
        for image, mask, value, target in zip(images, masks, values, targets.tolist(), strict=True):
            seen = [
                self.model(image * part.unsqueeze(1))[:, target]
                for part in mask.split(self.batch_size)
            ]
            weights = flambeau.cat(seen).softmax(0)
            maps.append((weights.view(-1, 1, 1) * value).sum(0))
        return flambeau.stack(maps)


def colorize(maps):
    """Maps (..., H, W) from 0 to 1 as colours (..., 3, H, W): blue over green to red."""
    x = maps.clamp(0, 1).unsqueeze(-3) * 4
    center = maps.new_tensor([3.0, 2.0, 1.0]).view(3, 1, 1)
    return (1.5 - (x - center).abs()).clamp(0, 1)


def overlay(images, maps, alpha=0.5):
    """Images (N, C, H, W) from 0 to 1 with the coloured maps (N, H, W) laid over them.

    >>> import flambeau as torch
    >>> from flambeau.utils.cam import overlay
    >>> overlay(torch.rand(2, 3, 4, 4), torch.rand(2, 4, 4)).shape
    torch.Size([2, 3, 4, 4])
    """
    images = images.expand(-1, 3, -1, -1) if images.size(1) == 1 else images
    return (images * (1 - alpha) + colorize(maps).to(images.dtype) * alpha).clamp(0, 1)
