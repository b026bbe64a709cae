"""The functions that PyTorch keeps in `torch.functional`; the same as in `flambeau` itself."""

import flambeau

__all__ = (
    "atleast_1d atleast_2d atleast_3d block_diag broadcast_shapes broadcast_tensors cartesian_prod "
    "cdist chain_matmul einsum lobpcg lu meshgrid norm pca_lowrank split stft svd_lowrank "
    "tensordot unique unique_consecutive unravel_index"
).split()


def __getattr__(name):
    if name in __all__ or name == "istft":
        return getattr(flambeau, name)
    if name == "F":
        return flambeau.nn.functional
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
