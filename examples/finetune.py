"""Fine-tunes a small ResNet on a folder of images and shows what its answers rest on.

python examples/finetune.py --data pictures     # pictures/<class>/*.jpg
python examples/finetune.py                     # draws circles, squares and triangles first
"""

import argparse
import pathlib

from PIL import Image, ImageDraw

import flambeau as torch
import flambeau.nn.functional as F
from flambeau import nn
from flambeau.utils.cam import LayerCAM, overlay
from flambeau.utils.data import DataLoader, Subset, random_split
from flambeau.vision import datasets, models
from flambeau.vision.transforms import v2
from flambeau.vision.utils import make_grid, save_image

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def draw_shapes(folder, count, size=72):
    """Pictures of one shape each, anywhere, in any colour, as JPEG files."""
    polygons = {
        "square": [(-1, -1), (1, -1), (1, 1), (-1, 1)],
        "triangle": [(0, -1), (1, 1), (-1, 1)],
    }
    for name in ("circle", "square", "triangle"):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            r = int(torch.randint(size // 8, size // 4, ()))
            x, y = torch.randint(r, size - r, (2,)).tolist()
            back, fore = torch.randint(0, 96, (3,)).tolist(), torch.randint(128, 256, (3,)).tolist()
            image = Image.new("RGB", (size, size), tuple(back))
            pen = ImageDraw.Draw(image)
            if name == "circle":
                pen.ellipse((x - r, y - r, x + r, y + r), fill=tuple(fore))
            else:
                corners = [(x + r * dx, y + r * dy) for dx, dy in polygons[name]]
                pen.polygon(corners, fill=tuple(fore))
            image.save(folder / name / f"{i:04}.jpg", quality=90)


def load_data(args):
    """Loaders of augmented images to train on and of plain ones held back; the classes."""
    to_tensor = [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)]
    augmented = v2.Compose([
        v2.RandomResizedCrop(args.size, scale=(0.6, 1.0), antialias=True),
        v2.RandomHorizontalFlip(),
        v2.ColorJitter(0.2, 0.2, 0.2),
        *to_tensor,
    ])  # fmt: skip
    plain = v2.Compose([v2.Resize(args.size), v2.CenterCrop(args.size), *to_tensor])
    images = datasets.ImageFolder(args.data, transform=augmented)
    train, held_back = random_split(images, [0.8, 0.2])
    test = Subset(datasets.ImageFolder(args.data, transform=plain), held_back.indices)
    workers = {"num_workers": args.workers, "persistent_workers": args.workers > 0}
    return (
        DataLoader(train, args.batch_size, shuffle=True, **workers),
        DataLoader(test, args.batch_size, **workers),
        images.classes,
    )


def make_model(args, classes):
    """A ResNet-18 with a new last layer; `--weights` is DEFAULT (fetched once) or a file."""
    if args.weights and args.weights != "DEFAULT":
        model = models.resnet18()
        model.load_state_dict(torch.load(args.weights))
    else:
        model = models.resnet18(weights=args.weights)
    model.fc = nn.Linear(model.fc.in_features, classes)
    return model


def train(model, loader, args):
    """One pass after the other; yields the mean loss of each."""
    body = [p for name, p in model.named_parameters() if not name.startswith("fc.")]
    body_lr = args.lr / 10 if args.weights else args.lr  # what is learned already changes slowly
    groups = [{"params": body, "lr": body_lr}, {"params": model.fc.parameters()}]
    optimizer = torch.optim.AdamW(groups, lr=args.lr, weight_decay=1e-2)
    steps = args.epochs * len(loader)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, [body_lr, args.lr], steps)
    for _ in range(args.epochs):
        model.train()
        total = 0.0
        for images, labels in loader:
            loss = F.cross_entropy(model(images), labels, label_smoothing=0.1)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item() * len(labels)
        yield total / len(loader.dataset)


@torch.no_grad()
def accuracy(model, loader):
    model.eval()
    right = sum(int((model(x).argmax(1) == y).sum()) for x, y in loader)
    return right / len(loader.dataset)


def draw_gallery(model, loader, path):
    """A row of held-back images, and under it where the class that the model sees is seen."""
    images, _ = next(iter(loader))
    images = images[:8]
    maps = LayerCAM(model, "layer3")(images)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))
    pictures = (images * std + mean).clamp(0, 1)
    save_image(make_grid(torch.cat([pictures, overlay(pictures, maps)]), nrow=len(images)), path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", metavar="DIR", help="a folder with a folder for each class")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--size", type=int, default=64, help="height and width in pixels")
    parser.add_argument("--weights", help="DEFAULT for ImageNet's, or a file; none: from nothing")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--images", type=int, default=200, help="of each shape, without --data")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", default="out/finetune")
    args = parser.parse_args()
    out = pathlib.Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(args.seed)
    if args.data is None:
        args.data = out / "shapes"
        draw_shapes(args.data, args.images)

    loader, test_loader, classes = load_data(args)
    model = make_model(args, len(classes))
    for epoch, loss in enumerate(train(model, loader, args), 1):
        share = accuracy(model, test_loader)
        print(f"epoch {epoch:3}  loss {loss:.4f}  accuracy {share:.1%}", flush=True)
    torch.save({"model": model.state_dict(), "classes": classes}, out / "resnet18.pt")
    draw_gallery(model, test_loader, out / "gallery.png")
    print(f"weights: {out / 'resnet18.pt'}, what they look at: {out / 'gallery.png'}")


if __name__ == "__main__":
    main()
