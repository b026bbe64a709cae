"""Images of several sizes in one tensor."""


class ImageList:
    """A batch [N, C, H, W] padded to one size, and the images' own (height, width)."""

    def __init__(self, tensors, image_sizes):
        self.tensors = tensors
        self.image_sizes = image_sizes

    def to(self, device):
        return ImageList(self.tensors.to(device), self.image_sizes)
