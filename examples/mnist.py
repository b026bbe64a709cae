"""Trains a small convolutional network on handwritten digits, saves it, and looks at what it does.

python examples/mnist.py                  # the 4,000 digits that come with the package
python examples/mnist.py --full           # all 60,000 of MNIST, fetched into --data
"""

import argparse
import math
import pathlib
import time

import matplotlib
from tqdm import tqdm

import flambeau as torch
import flambeau.nn.functional as F
from flambeau import nn
from flambeau.utils.data import DataLoader
from flambeau.vision import datasets, transforms

matplotlib.use("Agg")
from matplotlib import pyplot as plt


class LeNet(nn.Module):
    """Two convolutions and two fully connected layers, after LeCun et al., 1998."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 5, padding=2)
        self.norm1 = nn.BatchNorm2d(16)
        self.conv2 = nn.Conv2d(16, 32, 5)
        self.norm2 = nn.BatchNorm2d(32)
        self.fc1 = nn.Linear(32 * 5 * 5, 128)
        self.fc2 = nn.Linear(128, 10)
        self.dropout = nn.Dropout(0.25)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.norm1(self.conv1(x))), 2)
        x = F.max_pool2d(F.relu(self.norm2(self.conv2(x))), 2)
        x = self.dropout(torch.flatten(x, 1))
        return self.fc2(self.dropout(F.relu(self.fc1(x))))


def augment(images):
    """Turns, scales and shifts each image of a batch a little, each in its own way."""
    most = torch.tensor([math.radians(12), 0.1, 2 / 14, 2 / 14], device=images.device)
    draws = (torch.rand(len(images), 4, device=images.device) * 2 - 1) * most
    angle, scale, dx, dy = draws.unbind(1)
    cos, sin = torch.cos(angle) * (1 + scale), torch.sin(angle) * (1 + scale)
    theta = torch.stack([cos, -sin, dx, sin, cos, dy], 1).view(-1, 2, 3)
    grid = F.affine_grid(theta, images.shape, align_corners=False)
    return F.grid_sample(images, grid, align_corners=False)


normalize = transforms.Normalize((0.1307,), (0.3081,))


def load_data(args):
    if args.full or args.data:
        root, fetch = args.data or "data", args.full
        train = datasets.MNIST(root, train=True, transform=transforms.ToTensor(), download=fetch)
        test = datasets.MNIST(root, train=False, transform=transforms.ToTensor(), download=fetch)
    else:
        train = datasets.MNISTSample(train=True, transform=transforms.ToTensor())
        test = datasets.MNISTSample(train=False, transform=transforms.ToTensor())
    return DataLoader(train, args.batch_size, shuffle=True), DataLoader(test, 500)


@torch.no_grad()
def predict(net, loader, device):
    """The predicted labels and the true ones."""
    net.eval()
    pairs = [(net(normalize(x.to(device))).argmax(1).cpu(), y) for x, y in loader]
    return torch.cat([p for p, _ in pairs]), torch.cat([y for _, y in pairs])


def train(net, loader, test_loader, args):
    """Yields (loss, accuracy on the test digits) for each epoch."""
    optimizer = torch.optim.AdamW(net.parameters(), lr=args.lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, args.epochs * len(loader))
    for epoch in range(1, args.epochs + 1):
        net.train()
        total, seen = 0.0, 0
        bar = tqdm(loader, f"epoch {epoch}/{args.epochs}", leave=False, disable=None)
        for images, labels in bar:
            images, labels = images.to(args.device), labels.to(args.device)
            loss = F.cross_entropy(net(normalize(augment(images))), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total, seen = total + loss.item() * len(labels), seen + len(labels)
            bar.set_postfix(loss=f"{total / seen:.4f}", refresh=False)
        predicted, labels = predict(net, test_loader, args.device)
        accuracy = (predicted == labels).float().mean().item()
        print(f"epoch {epoch:3}  loss {total / seen:.4f}  accuracy {accuracy:.2%}", flush=True)
        yield total / seen, accuracy


def draw_curves(losses, accuracies, path):
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
    epochs = range(1, len(losses) + 1)
    left.plot(epochs, losses)
    left.set(xlabel="epoch", ylabel="training loss", yscale="log")
    right.plot(epochs, [100 * accuracy for accuracy in accuracies])
    right.set(xlabel="epoch", ylabel="accuracy on held-back digits, %")
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.xaxis.get_major_locator().set_params(integer=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def draw_digits(images, labels, predicted, path):
    """The digits with their predicted labels: the wrong ones first, in red."""
    wrong = (predicted != labels).nonzero().flatten().tolist()
    right = (predicted == labels).nonzero().flatten().tolist()
    shown = (wrong[:30] + right)[:60]
    figure, axes = plt.subplots(5, 12, figsize=(12, 6), layout="constrained")
    for i, axis in zip(shown, axes.flat):
        axis.imshow(images[i].numpy(), cmap="gray_r")
        good = predicted[i] == labels[i]
        title = f"{predicted[i]}" if good else f"{predicted[i]}, is {labels[i]}"
        axis.set_title(title, color="black" if good else "red", fontsize=10)
    for axis in axes.flat:
        axis.axis("off")
    figure.suptitle(f"{len(wrong)} of {len(labels):,} wrong")
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, help="40, or 5 on the whole of MNIST")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--data", metavar="DIR", help="where the files of MNIST are: train on all")
    parser.add_argument("--full", action="store_true", help="train on all, fetched if not there")
    parser.add_argument("--out", default="out/mnist", help="for the checkpoint and the pictures")
    args = parser.parse_args()
    args.epochs = args.epochs or (5 if args.full or args.data else 40)
    out = pathlib.Path(args.out)
    out.mkdir(parents=True, exist_ok=True)

    torch.manual_seed(args.seed)
    train_loader, test_loader = load_data(args)
    net = LeNet().to(args.device)
    print(
        f"{len(train_loader.dataset):,} digits to train on, {len(test_loader.dataset):,} held back"
    )
    start = time.perf_counter()
    losses, accuracies = zip(*train(net, train_loader, test_loader, args))
    print(f"trained in {time.perf_counter() - start:.0f} s: accuracy {accuracies[-1]:.2%}")

    torch.save({"model": net.state_dict(), "accuracy": accuracies[-1]}, out / "lenet.pt")
    predicted, labels = predict(net, test_loader, args.device)
    draw_curves(losses, accuracies, out / "curves.png")
    draw_digits(test_loader.dataset.data, labels, predicted, out / "digits.png")

    again = LeNet().to(args.device)
    again.load_state_dict(torch.load(out / "lenet.pt", map_location=args.device)["model"])
    same = torch.equal(predict(again, test_loader, args.device)[0], predicted)
    print(f"loaded again from {out / 'lenet.pt'}: predicts {'the same' if same else 'OTHERWISE'}")
    print(f"pictures: {out / 'curves.png'}, {out / 'digits.png'}")
    return 0 if same else 1


if __name__ == "__main__":
    raise SystemExit(main())
