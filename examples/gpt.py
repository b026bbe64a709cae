"""Trains a small GPT on the characters of a text and writes some of its own.

python examples/gpt.py --text shakespeare.txt
python examples/gpt.py              # on the manual that comes with Python
"""

import argparse
import pathlib
import time

import flambeau as torch
import flambeau.nn.functional as F
from flambeau import nn


class Block(nn.Module):
    """Attention to what came before, then two layers at each place (Radford et al., 2019)."""

    def __init__(self, width, heads, dropout):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attend, self.project = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.feed = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, x):
        batch, length, width = x.shape
        parts = self.attend(self.norm1(x)).view(batch, length, 3, self.heads, width // self.heads)
        q, k, v = parts.permute(2, 0, 3, 1, 4)
        seen = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.dropout(self.project(seen.transpose(1, 2).reshape(x.shape)))
        return x + self.dropout(self.feed(self.norm2(x)))


class GPT(nn.Module):
    """Scores of the next character at each place of a text."""

    def __init__(self, characters, context, width=128, depth=4, heads=4, dropout=0.1):
        super().__init__()
        self.context = context
        self.token, self.place = nn.Embedding(characters, width), nn.Embedding(context, width)
        self.blocks = nn.Sequential(*(Block(width, heads, dropout) for _ in range(depth)))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, characters, bias=False)
        self.apply(self._init)
        self.token.weight = self.head.weight  # a character is read and written alike

    @staticmethod
    def _init(module):
        if isinstance(module, (nn.Linear, nn.Embedding)):
            nn.init.normal_(module.weight, std=0.02)

    def forward(self, text):  # [B, T] -> [B, T, characters]
        places = torch.arange(text.shape[1], device=text.device)
        return self.head(self.norm(self.blocks(self.token(text) + self.place(places))))

    @torch.no_grad()
    def write(self, text, count, temperature=0.8):
        """The text [1, T] with `count` characters more."""
        self.eval()
        for _ in range(count):
            scores = self(text[:, -self.context :])[:, -1] / temperature
            text = torch.cat([text, torch.multinomial(scores.softmax(-1), 1)], 1)
        return text


def load_text(path):
    if path:
        return pathlib.Path(path).read_text()
    from pydoc_data.topics import topics

    return "\n".join(topics.values())


def windows(data, args):
    """Random pieces of the text, and the same pieces one character on."""
    starts = torch.randint(0, len(data) - args.context, (args.batch_size, 1))
    rows = data[starts + torch.arange(args.context + 1)]
    return rows[:, :-1], rows[:, 1:]


@torch.no_grad()
def mean_loss(model, data, args, rounds=10):
    model.eval()
    losses = []
    for _ in range(rounds):
        x, y = windows(data, args)
        losses.append(F.cross_entropy(model(x).flatten(0, 1), y.flatten()).item())
    return sum(losses) / rounds


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--text", metavar="FILE")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--context", type=int, default=64)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--depth", type=int, default=4)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--write", type=int, default=300, help="characters to write at the end")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", default="out/gpt")
    args = parser.parse_args()
    torch.manual_seed(args.seed)

    text = load_text(args.text)
    characters = sorted(set(text))
    number = {character: i for i, character in enumerate(characters)}
    data = torch.tensor([number[character] for character in text])
    train, held_back = data[: len(data) * 9 // 10], data[len(data) * 9 // 10 :]
    model = GPT(len(characters), args.context, args.width, args.depth)
    size = sum(p.numel() for p in model.parameters())
    print(f"{len(text):,} characters of {len(characters)} sorts, {size:,} weights")

    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, betas=(0.9, 0.95))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, args.lr, args.steps, pct_start=0.1)
    start = time.perf_counter()
    for step in range(1, args.steps + 1):
        model.train()
        x, y = windows(train, args)
        loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % max(1, args.steps // 10) == 0:
            ms = 1000 * (time.perf_counter() - start) / step
            other = mean_loss(model, held_back, args)
            print(f"step {step:5}  loss {loss:.3f}  held back {other:.3f}  {ms:.0f} ms", flush=True)

    out = pathlib.Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    torch.save({"model": model.state_dict(), "characters": characters}, out / "gpt.pt")
    written = model.write(data[None, : args.context], args.write)[0, args.context :]
    print("".join(characters[i] for i in written.tolist()))


if __name__ == "__main__":
    main()
