"""Versions: flambeau's own, and those of the APIs that it answers to."""

flambeau = "0.1.0"

# Programs compare these with the versions that they need.
__version__ = f"2.13.0+flambeau.{flambeau}"
torchvision = f"0.28.0+flambeau.{flambeau}"
cuda = hip = xpu = None
git_version = "unknown"
debug = False
