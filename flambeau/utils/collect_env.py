"""What to say about a machine in a report: python -m flambeau.utils.collect_env."""

import platform
import sys

import flambeau


def get_pretty_env_info():
    """Versions of flambeau, Python and NumPy, the system, the processor's level, threads.

    >>> from flambeau.utils.collect_env import get_pretty_env_info
    >>> "Python version" in get_pretty_env_info()
    True
    """
    import numpy

    capabilities = flambeau.cpu.get_capabilities()
    lines = {
        "flambeau version": flambeau.version.flambeau,
        "API version": flambeau.__version__,
        "CUDA available": flambeau.cuda.is_available(),
        "OS": platform.platform(),
        "Python version": sys.version.replace("\n", " "),
        "NumPy version": numpy.__version__,
        "Architecture": capabilities["architecture"],
        "Kernel level": capabilities["level"],
        "Threads": flambeau.get_num_threads(),
    }
    return "\n".join(f"{name}: {value}" for name, value in lines.items())


def main():
    print(get_pretty_env_info())


if __name__ == "__main__":
    main()
