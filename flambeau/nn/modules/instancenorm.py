"""Instance normalization: statistics of each channel of each sample."""

import warnings

from .. import functional as F
from .batchnorm import _check_dims, _LazyNormBase, _NormBase

__all__ = [
    "InstanceNorm1d",
    "InstanceNorm2d",
    "InstanceNorm3d",
    "LazyInstanceNorm1d",
    "LazyInstanceNorm2d",
    "LazyInstanceNorm3d",
]


class _InstanceNorm(_NormBase):
    _dims = 0

    def __init__(
        self,
        num_features,
        eps=1e-5,
        momentum=0.1,
        affine=False,
        track_running_stats=False,
        device=None,
        dtype=None,
        *,
        bias=True,
    ):
        super().__init__(
            num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias
        )

    def _check_input_dim(self, input):
        _check_dims(input, self._dims + 1, self._dims + 2)

    def forward(self, input):
        self._check_input_dim(input)
        batched = input.dim() == self._dims + 2
        channels = input.shape[-self._dims - 1]
        if channels != self.num_features:
            if self.affine:
                raise ValueError(
                    f"expected input's size at dim={int(batched)} to match num_features "
                    f"({self.num_features}), but got: {channels}."
                )
            warnings.warn(
                f"input's size at dim={int(batched)} does not match num_features. You can silence "
                "this warning by not passing in num_features, which is not used because "
                "affine=False",
                stacklevel=3,
            )
        output = F.instance_norm(
            input if batched else input.unsqueeze(0),
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or not self.track_running_stats,
            0.0 if self.momentum is None else self.momentum,
            self.eps,
        )
        return output if batched else output.squeeze(0)


class InstanceNorm1d(_InstanceNorm):
    """Normalizes each channel of each sample.

    Shapes: input (N, C, L) or (C, L), output the same.

    >>> import flambeau as torch
    >>> torch.nn.InstanceNorm1d(1)(torch.tensor([[-1.0, 1.0]]))
    tensor([[-1.0000,  1.0000]])
    """

    _dims = 1


class InstanceNorm2d(_InstanceNorm):
    """Normalizes each channel of each sample over both spatial dimensions.

    Shapes: input (N, C, H, W) or (C, H, W), output the same.

    >>> import flambeau as torch
    >>> torch.nn.InstanceNorm2d(2)(torch.arange(4.0).view(1, 2, 1, 2)).flatten()
    tensor([-1.0000,  1.0000, -1.0000,  1.0000])
    """

    _dims = 2


class InstanceNorm3d(_InstanceNorm):
    """Normalizes each channel of each sample over all three spatial dimensions.

    Shapes: input (N, C, D, H, W) or (C, D, H, W), output the same.

    >>> import flambeau as torch
    >>> torch.nn.InstanceNorm3d(2)(torch.ones(1, 2, 2, 2, 2)).shape
    torch.Size([1, 2, 2, 2, 2])
    """

    _dims = 3


class _LazyInstanceNorm(_LazyNormBase, _InstanceNorm):
    def initialize_parameters(self, input):
        # Unlike batch normalization the batch dimension may be absent.
        super().initialize_parameters(
            input if input.dim() == self._dims + 2 else input.unsqueeze(0)
        )


class LazyInstanceNorm1d(_LazyInstanceNorm):
    """An InstanceNorm1d whose `num_features` is taken from the first input.

    >>> import flambeau as torch
    >>> torch.nn.LazyInstanceNorm1d()(torch.ones(2, 3, 4)).shape
    torch.Size([2, 3, 4])
    """

    cls_to_become = InstanceNorm1d
    _dims = 1


class LazyInstanceNorm2d(_LazyInstanceNorm):
    """An InstanceNorm2d whose `num_features` is taken from the first input.

    >>> import flambeau as torch
    >>> torch.nn.LazyInstanceNorm2d()(torch.ones(2, 3, 4, 4)).shape
    torch.Size([2, 3, 4, 4])
    """

    cls_to_become = InstanceNorm2d
    _dims = 2


class LazyInstanceNorm3d(_LazyInstanceNorm):
    """An InstanceNorm3d whose `num_features` is taken from the first input.

    >>> import flambeau as torch
    >>> torch.nn.LazyInstanceNorm3d()(torch.ones(2, 3, 4, 4, 4)).shape
    torch.Size([2, 3, 4, 4, 4])
    """

    cls_to_become = InstanceNorm3d
    _dims = 3
