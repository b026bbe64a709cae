"""Time and memory of `import flambeau` and a first result, and the size of the package's files."""

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

PEAK = "import resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"


def start(program, repeat=15):
    """Median milliseconds of running the program, and its peak memory in MB."""
    times = []
    for _ in range(repeat):
        begin = time.perf_counter()
        result = subprocess.run(
            [sys.executable, "-c", program], check=True, capture_output=True, text=True
        )
        times.append((time.perf_counter() - begin) * 1e3)
    return statistics.median(times), int(result.stdout) / 1024


def main():
    package = sys.argv[1] if len(sys.argv) > 1 else "flambeau"
    for name, program in {
        "interpreter": "",
        f"import {package}": f"import {package};",
        "a first result": f"import {package} as t; (t.ones(3) + 1).sum();",
    }.items():
        ms, peak = start(program + PEAK)
        print(f"{name:20}{ms:9.1f} ms{peak:9.1f} MB at the peak")
    spec = __import__(package).__spec__
    folder = Path(spec.submodule_search_locations[0])
    size = sum(os.path.getsize(f) for f in folder.rglob("*") if f.is_file())
    print(f"{'size of its files':20}{size / 1e6:9.1f} MB")


if __name__ == "__main__":
    main()
