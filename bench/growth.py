"""How time grows: of a graph with its nodes, of a training step with its batch."""

import time

import flambeau as torch

nn = torch.nn
CLASSES = 10


class Last(nn.Module):
    """A linear layer on the last position of what a sequence module returns."""

    def __init__(self, body, width):
        super().__init__()
        self.body, self.head = body, nn.Linear(width, CLASSES)

    def forward(self, x):
        y = self.body(x)
        return self.head((y[0] if isinstance(y, tuple) else y)[:, -1])


def perceptron():
    widths = (784, 512, 512)
    layers = [
        m for a, b in zip(widths, widths[1:], strict=False) for m in (nn.Linear(a, b), nn.ReLU())
    ]
    return nn.Sequential(*layers, nn.Linear(512, CLASSES)), (784,)


def convolutions():
    def block(a, b):
        return nn.Conv2d(a, b, 3, padding=1), nn.BatchNorm2d(b), nn.ReLU()

    body = (*block(3, 32), nn.MaxPool2d(2), *block(32, 64), nn.AdaptiveAvgPool2d(1))
    return nn.Sequential(*body, nn.Flatten(), nn.Linear(64, CLASSES)), (3, 32, 32)


def lstm():
    return Last(nn.LSTM(64, 128, batch_first=True), 128), (20, 64)


def transformer():
    layer = nn.TransformerEncoderLayer(128, 4, 256, dropout=0.0, batch_first=True)
    return Last(layer, 128), (32, 128)


def least(function, runs):
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times) * 1e6


def chain(nodes):
    x = torch.randn(8, 8, requires_grad=True)
    y = x
    for _ in range(nodes // 2):
        y = y * 1.01 + 0.1
    y.sum().backward()


def training(make, batch):
    model, shape = make()
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    x, y = torch.randn(batch, *shape), torch.randint(0, CLASSES, (batch,))

    def step():
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()

    step()
    return least(step, 8) / batch


if __name__ == "__main__":
    print("us a node of a graph of 10 to 100,000, forward and backward")
    print(*(f"{least(lambda n=10**k: chain(n), 4) / 10**k:8.2f}" for k in range(1, 6)))
    print("us a sample of a training step on 8 to 256")
    for make in (perceptron, convolutions, lstm, transformer):
        times = (f"{training(make, 2**k):8.1f}" for k in range(3, 9))
        print(f"{make.__name__:14}", *times, flush=True)
