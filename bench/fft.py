"""Fourier transforms: short, many, awkward and long lines, images, spectra of sound."""

import timer

SHAPES = {
    "64": (64,),
    "1024": (1024,),
    "64x1024": (64, 1024),
    "256x997": (256, 997),
    "48x224x224": (48, 224, 224),
    "1M": (1 << 20,),
}

FUNCTIONS = {
    "fft": lambda T, x, z, h: T.fft.fft(z),
    "rfft": lambda T, x, z, h: T.fft.rfft(x),
    "irfft": lambda T, x, z, h: T.fft.irfft(h),
    "rfftn": lambda T, x, z, h: T.fft.rfftn(x),
}


def forward(f, shape):
    def setup(T):
        x = T.randn(*shape)
        z, h = x + 0j, T.fft.rfft(x)
        return lambda: f(T, x, z, h)

    return setup


def sound(T):
    x, window = T.randn(4, 160_000), T.hann_window(400)
    return lambda: T.stft(x, 512, 160, 400, window=window, return_complex=True)


def rows():
    for size, shape in SHAPES.items():
        for name, f in FUNCTIONS.items():
            yield f"{name} {size}", forward(f, shape)
    yield "stft", sound


if __name__ == "__main__":
    timer.main(rows())
