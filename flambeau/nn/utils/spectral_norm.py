"""spectral_norm in its older form, under the name of PyTorch's file."""

from ._reparametrize import SpectralNorm, remove_spectral_norm, spectral_norm

__all__ = ["SpectralNorm", "remove_spectral_norm", "spectral_norm"]
