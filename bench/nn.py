"""Pooling, resizing, normalization and losses of real networks, forward and with the gradient."""

import timer


def call(f, *shapes, grad=False):
    """f(T, F, *tensors), or with the gradient of all tensors."""

    def setup(T):
        F, tensors = T.nn.functional, [T.randn(*s) for s in shapes]
        if not grad:
            return lambda: f(T, F, *tensors)
        weights = T.ones_like(f(T, F, *tensors))
        for tensor in tensors:
            tensor.requires_grad_()

        def step():
            for tensor in tensors:
                tensor.grad = None
            f(T, F, *tensors).backward(weights)

        return step

    return setup


def targets(T, *shape, classes):
    return (T.arange(shape[0] * (shape[1] if shape[1:] else 1)) % classes).reshape(shape)


STAGE = (16, 64, 56, 56)
ROWS = {
    "max_pool 3x3/2": (lambda T, F, x: F.max_pool2d(x, 3, 2, 1), (16, 64, 112, 112)),
    "max_pool 2x2": (lambda T, F, x: F.max_pool2d(x, 2), STAGE),
    "avg_pool 2x2": (lambda T, F, x: F.avg_pool2d(x, 2), STAGE),
    "avg_pool 3x3": (lambda T, F, x: F.avg_pool2d(x, 3, 1, 1), (16, 64, 35, 35)),
    "adaptive_avg_pool 1": (lambda T, F, x: F.adaptive_avg_pool2d(x, 1), (32, 2048, 7, 7)),
    "adaptive_avg_pool 6": (lambda T, F, x: F.adaptive_avg_pool2d(x, 6), (8, 256, 28, 28)),
    "nearest x2": (lambda T, F, x: F.interpolate(x, scale_factor=2), STAGE),
    "bilinear x2": (lambda T, F, x: F.interpolate(x, scale_factor=2, mode="bilinear"), STAGE),
    "bicubic x2": (lambda T, F, x: F.interpolate(x, scale_factor=2, mode="bicubic"), STAGE),
    "antialias 500x400": (
        lambda T, F, x: F.interpolate(x, (224, 224), mode="bilinear", antialias=True),
        (4, 3, 500, 400),
    ),
    "grid_sample": (
        lambda T, F, x, g: F.grid_sample(x, g, align_corners=False),
        (4, 32, 64, 64),
        (4, 64, 64, 2),
    ),
    "batch_norm": (
        lambda T, F, x, w, b: F.batch_norm(x, None, None, w, b, True),
        STAGE,
        (64,),
        (64,),
    ),
    "batch_norm eval": (
        lambda T, F, x, w, b: F.batch_norm(x, T.zeros(64), T.ones(64), w, b),
        STAGE,
        (64,),
        (64,),
    ),
    "group_norm": (lambda T, F, x, w, b: F.group_norm(x, 8, w, b), STAGE, (64,), (64,)),
    "layer_norm": (
        lambda T, F, x, w, b: F.layer_norm(x, (768,), w, b),
        (2048, 768),
        (768,),
        (768,),
    ),
    "rms_norm": (lambda T, F, x, w: F.rms_norm(x, (768,), w), (2048, 768), (768,)),
    "cross_entropy 1000": (
        lambda T, F, x: F.cross_entropy(x, targets(T, 2048, classes=1000)),
        (2048, 1000),
    ),
    "cross_entropy 32000": (
        lambda T, F, x: F.cross_entropy(x, targets(T, 256, classes=32000)),
        (256, 32000),
    ),
    "cross_entropy pixels": (
        lambda T, F, x: F.cross_entropy(x, targets(T, 4, 16384, classes=21)),
        (4, 21, 16384),
    ),
    "mse_loss": (lambda T, F, x, y: F.mse_loss(x, y), (1000, 1000), (1000, 1000)),
    "smooth_l1_loss": (lambda T, F, x, y: F.smooth_l1_loss(x, y), (1000, 1000), (1000, 1000)),
    "ctc_loss": (
        lambda T, F, x: F.ctc_loss(
            x.log_softmax(2), targets(T, 16, 20, classes=27) + 1, (100,) * 16, (20,) * 16
        ),
        (100, 16, 28),
    ),
}


def rows():
    for name, (f, *shapes) in ROWS.items():
        yield name, call(f, *shapes)
        yield f"{name} backward", call(f, *shapes, grad=True)


if __name__ == "__main__":
    timer.main(rows())
