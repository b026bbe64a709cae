"""Shared by the benchmarks: times rows of (name, setup) in flambeau and, if asked, in PyTorch.

Each setup takes the package and returns the function to time. Options: a regular expression to
choose rows, `--threads N`, and `--against torch` for a second column and the ratio.
"""

import argparse
import importlib
import math
import re
import statistics
import time


def measure(function, seconds=0.2):
    """The median time of a call in microseconds."""
    calls = 1
    while (spent := run(function, calls)) < 2e-3:
        calls = max(2 * calls, int(calls * 2.5e-3 / max(spent, 1e-7)))
    samples, end = [], time.perf_counter() + seconds
    while len(samples) < 5 or time.perf_counter() < end:
        samples.append(run(function, calls) / calls)
    return statistics.median(samples) * 1e6


def run(function, calls):
    start = time.perf_counter()
    for _ in range(calls):
        function()
    return time.perf_counter() - start


def main(rows):
    parser = argparse.ArgumentParser()
    parser.add_argument("only", nargs="?", default=".*", help="rows to run")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--against", default="", help="another package, such as torch")
    args = parser.parse_args()
    packages = [importlib.import_module(n) for n in ("flambeau", args.against) if n]
    for package in packages:
        if args.threads:
            package.set_num_threads(args.threads)
    ratios = []
    for name, setup in rows:
        if not re.fullmatch(args.only, name):
            continue
        times = [measure(setup(package)) for package in packages]
        line = f"{name:32}" + "".join(f"{t:12.2f} us" for t in times)
        if len(times) == 2:
            ratios.append(times[1] / times[0])
            line += f"{ratios[-1]:8.2f}x"
        print(line, flush=True)
    if ratios:
        print(f"geometric mean {math.exp(statistics.fmean(map(math.log, ratios))):.2f}x")
