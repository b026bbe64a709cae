"""Trains a variational autoencoder on handwritten digits and draws digits that nobody wrote.

python examples/vae.py          # the 4,000 digits that come with the package
"""

import argparse
import pathlib

import flambeau as torch
import flambeau.nn.functional as F
from flambeau import nn
from flambeau.utils.data import DataLoader
from flambeau.vision import datasets, transforms
from flambeau.vision.utils import save_image


class VAE(nn.Module):
    """A digit as a few numbers with a spread each, and back (Kingma and Welling, 2014)."""

    def __init__(self, latent):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 32, 4, stride=2, padding=1), nn.ReLU(),  # 14 x 14
            nn.Conv2d(32, 64, 4, stride=2, padding=1), nn.ReLU(),  # 7 x 7
            nn.Flatten(), nn.Linear(64 * 7 * 7, 2 * latent),
        )  # fmt: skip
        self.decoder = nn.Sequential(
            nn.Linear(latent, 64 * 7 * 7), nn.ReLU(), nn.Unflatten(1, (64, 7, 7)),
            nn.ConvTranspose2d(64, 32, 4, stride=2, padding=1), nn.ReLU(),
            nn.ConvTranspose2d(32, 1, 4, stride=2, padding=1),
        )  # fmt: skip

    def forward(self, x):
        """The image again, as logits, and the distribution that its code was drawn from."""
        mean, log_std = self.encoder(x).chunk(2, dim=1)
        code = torch.distributions.Normal(mean, log_std.exp())
        return self.decoder(code.rsample()), code


def loss_of(model, x):
    """Minus the bound on the log-likelihood of an image, in nats."""
    logits, code = model(x)
    prior = torch.distributions.Normal(torch.zeros_like(code.mean), torch.ones_like(code.mean))
    again = F.binary_cross_entropy_with_logits(logits, x, reduction="sum")
    return (again + torch.distributions.kl_divergence(code, prior).sum()) / len(x)


@torch.no_grad()
def draw(model, images, out):
    """Digits beside what comes back of them, digits of random codes, and a walk between two."""
    model.eval()
    again = model(images)[0].sigmoid()
    save_image(torch.cat([images, again]), out / "again.png", nrow=len(images))
    latent = model.decoder[0].in_features
    save_image(model.decoder(torch.randn(64, latent)).sigmoid(), out / "new.png")
    codes = model(images)[1].mean
    steps = torch.linspace(0, 1, 12)[:, None, None]
    walk = (codes[:4] * (1 - steps) + codes[4:8] * steps).transpose(0, 1).flatten(0, 1)
    save_image(model.decoder(walk).sigmoid(), out / "between.png", nrow=12)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--latent", type=int, default=12, help="numbers in a code")
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", default="out/vae")
    args = parser.parse_args()
    out = pathlib.Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(args.seed)

    digits = datasets.MNISTSample(train=True, transform=transforms.ToTensor())
    held_back = datasets.MNISTSample(train=False, transform=transforms.ToTensor())
    test = torch.stack([held_back[i][0] for i in range(min(500, len(held_back)))])
    loader = DataLoader(digits, args.batch_size, shuffle=True, drop_last=True)
    model = VAE(args.latent)
    optimizer = torch.optim.Adam(model.parameters(), lr=args.lr)
    for epoch in range(1, args.epochs + 1):
        model.train()
        total = 0.0
        for images, _ in loader:
            loss = loss_of(model, images)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item()
        with torch.no_grad():
            other = loss_of(model.eval(), test).item()
        print(f"epoch {epoch:3}  loss {total / len(loader):.2f}  held back {other:.2f}", flush=True)
    torch.save(model.state_dict(), out / "vae.pt")
    draw(model, test[:16], out)
    print(f"pictures: {out}/again.png, new.png, between.png")


if __name__ == "__main__":
    main()
