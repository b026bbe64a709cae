"""Image datasets."""

from .mnist import EMNIST, KMNIST, MNIST, FashionMNIST, MNISTSample
from .vision import VisionDataset

__all__ = ["EMNIST", "FashionMNIST", "KMNIST", "MNIST", "MNISTSample", "VisionDataset"]
