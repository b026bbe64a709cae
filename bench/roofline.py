"""How near the main kernels come to what the machine can do, and each family against PyTorch.

`scripts/bench roofline --against torch --write` measures both and puts the tables into
docs/performance.md, between its two markers. The peak and the bandwidth are measured first, by
bench/peak.cpp; a kernel's bound is the longer of its arithmetic at the peak and of its bytes, each
counted once, at the bandwidth. It takes some minutes on an otherwise idle machine.
"""

import argparse
import importlib
import math
import os
import pathlib
import re
import statistics
import subprocess
import tempfile

import timer

HERE = pathlib.Path(__file__).parent
PAGE = HERE.parent / "docs" / "performance.md"
BEGIN, END = "<!-- bench/roofline.py: begin -->", "<!-- bench/roofline.py: end -->"
FAMILIES = ("ops", "nn", "conv", "sequence", "linalg", "fft", "special", "optim", "data")


def product(m, k, n, transposed=False):
    def setup(T):
        a = T.randn(m, k)
        b = T.randn(n, k).t() if transposed else T.randn(k, n)
        return lambda: a @ b

    return setup, 2 * m * k * n, 4 * (m * k + k * n + m * n)


def conv(n, c, size, out, kernel, groups=1):
    def setup(T):
        x, w = T.randn(n, c, size, size), T.randn(out, c // groups, kernel, kernel)
        return lambda: T.nn.functional.conv2d(x, w, None, 1, kernel // 2, 1, groups)

    pixels = n * size * size
    flops = 2 * pixels * out * (c // groups) * kernel**2
    return setup, flops, 4 * (pixels * (c + out) + out * (c // groups) * kernel**2)


def attention(batch, heads, length, width):
    def setup(T):
        q = T.randn(batch, heads, length, width)
        return lambda: T.nn.functional.scaled_dot_product_attention(q, q, q)

    numbers = batch * heads * length * width
    return setup, 4 * numbers * length, 4 * 4 * numbers


def streamed(f, passes, shape=(4096, 4096)):
    """Bound by memory: `passes` counts the arrays read and written."""

    def setup(T):
        x, y = T.randn(*shape), T.randn(*shape)
        return lambda: f(T, x, y)

    return setup, 0, 4 * passes * math.prod(shape)


KERNELS = {
    "product 256": product(256, 256, 256),
    "product 1024": product(1024, 1024, 1024),
    "product 2048": product(2048, 2048, 2048),
    "product 4096x768x3072, transposed": product(4096, 768, 3072, True),
    "product 32x1024x4096, transposed": product(32, 1024, 4096, True),
    "product 1x2048x2048": product(1, 2048, 2048),
    "convolution 3x3 64@56": conv(16, 64, 56, 64, 3),
    "convolution 3x3 256@14": conv(16, 256, 14, 256, 3),
    "convolution 1x1 256@56 to 64": conv(16, 256, 56, 64, 1),
    "convolution depthwise 144@56": conv(16, 144, 56, 144, 3, 144),
    "attention 8x12x256x64": attention(8, 12, 256, 64),
    "attention 1x12x2048x64": attention(1, 12, 2048, 64),
    "add": streamed(lambda T, x, y: x + y, 3),
    "add in place": streamed(lambda T, x, y: x.add_(y), 3),
    "gelu": streamed(lambda T, x, y: T.nn.functional.gelu(x), 2),
    "sum": streamed(lambda T, x, y: x.sum(), 1),
    "softmax": streamed(lambda T, x, y: x.softmax(1), 2),
    "layer_norm": streamed(lambda T, x, y: T.nn.functional.layer_norm(x, (4096,)), 2),
    "transpose copy": streamed(lambda T, x, y: x.t().contiguous(), 2),
}


def machine(threads):
    """GFLOP/s, and GB/s of reading and of copying."""
    with tempfile.TemporaryDirectory() as folder:
        program = os.path.join(folder, "peak")
        flags = ["-std=c++20", "-O3", "-march=native", "-mprefer-vector-width=512", "-pthread"]
        compiler = os.environ.get("CXX", "c++")
        subprocess.run([compiler, *flags, str(HERE / "peak.cpp"), "-o", program], check=True)
        out = subprocess.run([program, str(threads)], check=True, capture_output=True, text=True)
    return [float(x) for x in out.stdout.split()]


def roofline(packages, threads):
    gflops, read, copied = machine(threads)
    yield (
        f"Measured on {threads} threads: {gflops:.0f} GFLOP/s of float32, {read:.0f} GB/s read, "
        f"{copied:.0f} GB/s copied."
    )
    yield ""
    yield "| kernel | ms | GFLOP/s | GB/s | of the bound | PyTorch's time over it |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for name, (setup, flops, size) in KERNELS.items():
        times = [timer.measure(setup(package), False) / 1e6 for package in packages]
        bound = max(flops / gflops, size / max(read, copied)) / 1e9
        rate = f"{flops / times[0] / 1e9:.0f}" if flops else ""
        ratio = f"{times[1] / times[0]:.2f}" if len(times) == 2 else ""
        yield (
            f"| {name} | {times[0] * 1e3:.3f} | {rate} | {size / times[0] / 1e9:.0f} "
            f"| {100 * bound / times[0]:.0f} % | {ratio} |"
        )


def families(packages):
    """The rows of bench/<family>.py: PyTorch's time over flambeau's."""
    yield "| family | rows | geometric mean | least |"
    yield "| --- | --- | --- | --- |"
    for family in FAMILIES:
        ratios = {}
        for name, setup in importlib.import_module(family).rows():
            ours, theirs = (timer.measure(setup(package), False, 0.1) for package in packages)
            ratios[name] = theirs / ours
        least = min(ratios, key=ratios.get)
        mean = math.exp(statistics.fmean(map(math.log, ratios.values())))
        yield f"| {family} | {len(ratios)} | {mean:.2f} | {ratios[least]:.2f} ({least}) |"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--write", action="store_true", help="into docs/performance.md")
    args, packages = timer.parse(parser)
    lines = []
    tables = [roofline(packages, packages[0].get_num_threads())]
    if args.against:
        tables.append(families(packages))
    for table in tables:
        lines.append("")
        for line in table:
            print(line, flush=True)
            lines.append(line)
    if args.write:
        text = PAGE.read_text()
        body = "\n".join([BEGIN, *lines, "", END])
        text = re.sub(re.escape(BEGIN) + ".*" + re.escape(END), lambda _: body, text, flags=re.S)
        PAGE.write_text(text)


if __name__ == "__main__":
    main()
