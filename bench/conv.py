"""Convolutions of known networks: forward, and with both gradients."""

import timer

# images, channels, size, filters, kernel, stride, groups, and the dilation where it is not one
SHAPES = {
    "stem 7x7/2": (8, 3, 224, 64, 7, 2, 1),
    "1x1 256@56 to 64": (8, 256, 56, 64, 1, 1, 1),
    "1x1 512@7 to 2048": (8, 512, 7, 2048, 1, 1, 1),
    "1x1/2 1024@14 to 2048": (8, 1024, 14, 2048, 1, 2, 1),
    "3x3 64@56": (8, 64, 56, 64, 3, 1, 1),
    "3x3/2 128@56": (8, 128, 56, 128, 3, 2, 1),
    "3x3 256@14": (8, 256, 14, 256, 3, 1, 1),
    "3x3 512@7": (8, 512, 7, 512, 3, 1, 1),
    "3x3 512@4": (64, 512, 4, 512, 3, 1, 1),
    "5x5 1@28 to 6": (64, 1, 28, 6, 5, 1, 1),
    "depthwise 144@40": (16, 144, 40, 144, 3, 1, 144),
    "depthwise/2 96@80": (16, 96, 80, 96, 3, 2, 96),
    "depthwise 960@5": (16, 960, 5, 960, 3, 1, 960),
    "dilated by 2 256@28": (8, 256, 28, 256, 3, 1, 1, 2),
    "dilated by 4 512@28": (1, 512, 28, 512, 3, 1, 1, 4),
    "dilated by 12 2048@28 to 256": (1, 2048, 28, 256, 3, 1, 1, 12),
    "dilated by 36 2048@28 to 256": (1, 2048, 28, 256, 3, 1, 1, 36),
}


def conv(shape, backward):
    n, channels, size, filters, kernel, stride, groups, dilation = (*shape, 1)[:8]

    def setup(T):
        x = T.randn(n, channels, size, size, requires_grad=backward)
        w = T.randn(filters, channels // groups, kernel, kernel, requires_grad=backward)

        def forward():
            padding = kernel // 2 * dilation
            return T.nn.functional.conv2d(x, w, None, stride, padding, dilation, groups)

        if not backward:
            return forward
        g = T.randn(*forward().shape)

        def both():
            x.grad = w.grad = None
            forward().backward(g)

        return both

    return setup


def transposed(n, channels, size, filters, kernel, stride, padding):
    def setup(T):
        x, w = T.randn(n, channels, size, size), T.randn(channels, filters, kernel, kernel)
        return lambda: T.nn.functional.conv_transpose2d(x, w, None, stride, padding)

    return setup


def rows():
    for name, shape in SHAPES.items():
        yield name, conv(shape, False)
        yield f"{name} backward", conv(shape, True)
    yield "transposed 2x2/2 128@28", transposed(16, 128, 28, 64, 2, 2, 0)
    yield "transposed 4x4/2 256@8", transposed(32, 256, 8, 128, 4, 2, 1)


if __name__ == "__main__":
    timer.main(rows())
