"""Single operators, forward, and forward with backward, at three sizes."""

import timer

SIZES = {"small": (8, 8), "medium": (256, 512), "large": (2048, 4096)}

POINTWISE = {
    "add": lambda T, x, y: x + y,
    "mul scalar": lambda T, x, y: x * 2.5,
    "relu": lambda T, x, y: T.relu(x),
    "exp": lambda T, x, y: x.exp(),
    "tanh": lambda T, x, y: x.tanh(),
    "sum": lambda T, x, y: x.sum(),
    "sum dim 0": lambda T, x, y: x.sum(0),
    "softmax": lambda T, x, y: x.softmax(1),
    "transpose copy": lambda T, x, y: x.t().contiguous(),
    "cube": lambda T, x, y: x**3,
    "clamp": lambda T, x, y: x.clamp(-1, 1),
    "amax dim 0": lambda T, x, y: x.amax(0),
    "where": lambda T, x, y: T.where(x > 0, x, y),
    "cat": lambda T, x, y: T.cat([x, y]),
}


def forward(f, shape):
    def setup(T):
        x, y = T.randn(*shape), T.randn(*shape)
        return lambda: f(T, x, y)

    return setup


def backward(f, shape):
    def setup(T):
        x, y = T.randn(*shape, requires_grad=True), T.randn(*shape)

        def step():
            x.grad = None
            f(T, x, y).sum().backward()

        return step

    return setup


# Of other types than float32.
TYPED = {
    "layer_norm bfloat16": ("bfloat16", lambda T, x: T.nn.functional.layer_norm(x, x.shape[1:])),
    "topk bfloat16": ("bfloat16", lambda T, x: x.topk(5)),
    "sort bfloat16": ("bfloat16", lambda T, x: x.sort()),
    "remainder int64": ("int64", lambda T, x: x % 7),
    "sum complex64": ("complex64", lambda T, x: x.sum()),
}


def typed(dtype, f, shape):
    def setup(T):
        x = (T.randn(*shape) * 100).to(getattr(T, dtype))
        return lambda: f(T, x)

    return setup


def matmul(m, k, n, dtype="float32"):
    def setup(T):
        a, b = T.randn(m, k).to(getattr(T, dtype)), T.randn(k, n).to(getattr(T, dtype))
        return lambda: a @ b

    return setup


def conv(n, c, size, out, kernel):
    def setup(T):
        x, w = T.randn(n, c, size, size), T.randn(out, c, kernel, kernel)
        return lambda: T.nn.functional.conv2d(x, w, padding=kernel // 2)

    return setup


def rows():
    for size, shape in SIZES.items():
        for name, f in POINTWISE.items():
            yield f"{name} {size}", forward(f, shape)
            yield f"{name} {size} backward", backward(f, shape)
    for m, k, n in ((64, 64, 64), (64, 784, 256), (512, 512, 512), (2048, 2048, 2048)):
        yield f"matmul {m}x{k}x{n}", matmul(m, k, n)
    for name, (dtype, f) in TYPED.items():
        yield f"{name} medium", typed(dtype, f, SIZES["medium"])
    for dtype in ("int64", "uint8", "complex64"):
        yield f"matmul 256 {dtype}", matmul(256, 256, 256, dtype)
    for c, size, out in ((3, 224, 64), (64, 56, 64), (256, 14, 256)):
        yield f"conv {c}x{size}->{out}", conv(8, c, size, out, 3)


if __name__ == "__main__":
    timer.main(rows())
