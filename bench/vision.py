"""Transforms (version 2) of an image of bytes [3, 375, 500], in microseconds."""

import importlib

import timer


def images(T):
    names = {"torch": "torchvision", "flambeau": "flambeau.vision"}
    v2 = importlib.import_module(names[T.__name__] + ".transforms.v2")
    image = T.randint(0, 256, (3, 375, 500), dtype=T.uint8)
    return v2, image, image.permute(1, 2, 0).contiguous().permute(2, 0, 1)


def step(change, pixels=False):
    def setup(T):
        v2, planes, together = images(T)
        function = change(v2)
        return lambda: function(together if pixels else planes)

    return setup


def function(name, *args):
    return step(lambda v2: lambda x: getattr(v2.functional, name)(x, *args))


def rows():
    for mode in ("BILINEAR", "BICUBIC", "NEAREST"):
        for pixels in (False, True):
            yield (
                f"resize {mode.lower()}{' of pixels' if pixels else ''}",
                step(lambda v2, m=mode: v2.Resize(256, v2.InterpolationMode[m]), pixels),
            )
    yield "random resized crop", step(lambda v2: v2.RandomResizedCrop(224))
    yield "colour jitter", step(lambda v2: v2.ColorJitter(0.3, 0.3, 0.3, 0.1))
    yield "rand augment", step(lambda v2: v2.RandAugment())
    for name, *args in (
        ("horizontal_flip",), ("vertical_flip",), ("posterize", 3), ("solarize", 100), ("invert",),
        ("adjust_brightness", 1.3), ("adjust_contrast", 0.7), ("adjust_saturation", 1.5),
        ("adjust_hue", 0.2), ("adjust_gamma", 1.7), ("adjust_sharpness", 2.0), ("autocontrast",),
        ("equalize",), ("rgb_to_grayscale",), ("gaussian_blur", [5, 5]), ("pad", [4]),
        ("rotate", 30.0), ("affine", 10.0, [2, 3], 1.1, [3.0, 5.0]),
    ):  # fmt: skip
        yield name, function(name, *args)


if __name__ == "__main__":
    timer.main(rows())
