"""500 JPEG files of 500x375 through Resize, CenterCrop, ToTensor and Normalize, in seconds.

`--against torchvision` takes turns with it on the same files; `--workers 2` loads them by two
worker processes, 0 in this one. Prints the median of the runs and, beside it, the ratio.
"""

import argparse
import importlib
import os
import statistics
import tempfile
import time


def write_images(folder, count):
    """Smooth shapes with some noise, as large as photographs: 60 to 70 KB each."""
    import numpy
    from PIL import Image

    os.makedirs(os.path.join(folder, "class"))
    draws = numpy.random.default_rng(0)
    y, x = numpy.mgrid[:375, :500]
    for i in range(count):
        waves = [numpy.sin(x / (7 + i % 13) + c) * numpy.cos(y / (5 + i % 7)) for c in range(3)]
        noise = draws.normal(0, 9, (375, 500, 3))
        pixels = 128 + 100 * numpy.stack(waves, -1) + noise
        image = Image.fromarray(pixels.clip(0, 255).astype("uint8"))
        image.save(os.path.join(folder, "class", f"{i:04}.jpg"), quality=90)


def one_pass(name, folder, workers):
    framework = {"torchvision": "torch", "flambeau.vision": "flambeau"}[name]
    transforms = importlib.import_module(name + ".transforms")
    datasets = importlib.import_module(name + ".datasets")
    data = importlib.import_module(framework + ".utils.data")
    steps = [
        transforms.Resize(256),
        transforms.CenterCrop(224),
        transforms.ToTensor(),
        transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
    ]
    dataset = datasets.ImageFolder(folder, transforms.Compose(steps))
    loader = data.DataLoader(dataset, 32, num_workers=workers)
    start = time.perf_counter()
    for _images, _labels in loader:
        pass
    return time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--against", default="", help="another package: torchvision")
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--images", type=int, default=500)
    args = parser.parse_args()
    names = ["flambeau.vision"] + ([args.against] if args.against else [])
    with tempfile.TemporaryDirectory() as folder:
        write_images(folder, args.images)
        times = {name: [] for name in names}
        for _ in range(args.runs):
            for name in names:
                times[name].append(one_pass(name, folder, args.workers))
    middle = [statistics.median(times[name]) for name in names]
    for name, seconds in zip(names, middle, strict=True):
        print(f"{name:16} {seconds:7.3f} s", f"  {seconds / middle[0]:5.2f}x")


if __name__ == "__main__":
    main()
