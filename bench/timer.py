"""Shared by the benchmarks: times rows of (name, setup) in flambeau and, if asked, in PyTorch.

Each setup takes the package and returns the function to time. Options: a regular expression to
choose rows, `--threads N`, and `--against torch` for a second column and the ratio. On a machine
that others use, `--cpu --threads 1` takes the least processor time in place of the median.
"""

import argparse
import importlib
import math
import re
import statistics
import time


def measure(function, cpu, seconds=0.2):
    """The median time of a call, or its least processor time, in microseconds."""
    clock = time.process_time if cpu else time.perf_counter
    calls = 1
    while (spent := run(function, calls, clock)) < 2e-3:
        calls = max(2 * calls, int(calls * 2.5e-3 / max(spent, 1e-7)))
    samples, end = [], clock() + seconds
    while len(samples) < 5 or clock() < end:
        samples.append(run(function, calls, clock) / calls)
    return (min if cpu else statistics.median)(samples) * 1e6


def run(function, calls, clock):
    start = clock()
    for _ in range(calls):
        function()
    return clock() - start


def parse(parser):
    """The arguments, and the packages to time: flambeau and maybe another."""
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--against", default="", help="another package, such as torch")
    args = parser.parse_args()
    packages = [importlib.import_module(n) for n in ("flambeau", args.against) if n]
    for package in packages:
        if args.threads:
            package.set_num_threads(args.threads)
    return args, packages


def main(rows):
    parser = argparse.ArgumentParser()
    parser.add_argument("only", nargs="?", default=".*", help="rows to run")
    parser.add_argument("--cpu", action="store_true", help="processor time, not the clock's")
    args, packages = parse(parser)
    ratios = []
    for name, setup in rows:
        if not re.fullmatch(args.only, name):
            continue
        times = [measure(setup(package), args.cpu) for package in packages]
        line = f"{name:32}" + "".join(f"{t:12.2f} us" for t in times)
        if len(times) == 2:
            ratios.append(times[1] / times[0])
            line += f"{ratios[-1]:8.2f}x"
        print(line, flush=True)
    if ratios:
        print(f"geometric mean {math.exp(statistics.fmean(map(math.log, ratios))):.2f}x")
