"""What to say about a machine in a report: python -m flambeau.utils.collect_env."""

import platform
import shutil
import subprocess
import sys

import flambeau


def run(command):
    """(exit status, output, errors) of a command: a list, or a text for the shell.

    >>> from flambeau.utils.collect_env import run
    >>> run(["echo", "hello"])
    (0, 'hello', '')
    """
    shell = isinstance(command, str)
    try:
        done = subprocess.run(command, shell=shell, capture_output=True, text=True, check=False)
    except OSError as error:
        return 127, "", str(error)
    return done.returncode, done.stdout.strip(), done.stderr.strip()


def _answer(run_lambda, command):
    """What a command prints; None where it is not there or fails."""
    if shutil.which(command.split()[0]) is None:
        return None
    status, text, _ = run_lambda(command)
    return text if status == 0 else None


def get_gcc_version(run_lambda):
    """The version of gcc, or None."""
    return _answer(run_lambda, "gcc -dumpfullversion -dumpversion")


def get_clang_version(run_lambda):
    """The first line that clang says of itself, or None."""
    text = _answer(run_lambda, "clang --version")
    return text and text.splitlines()[0]


def get_cmake_version(run_lambda):
    """The version of cmake, or None."""
    text = _answer(run_lambda, "cmake --version")
    return text and text.split()[2]


def get_cpu_info(run_lambda):
    """What lscpu says of the processor; its name where there is no lscpu."""
    return _answer(run_lambda, "lscpu") or platform.processor()


def get_gpu_info(run_lambda):
    """The GPUs: None, as none is used."""


def get_nvidia_driver_version(run_lambda):
    """The version of the driver of GPUs: None, as none is used."""


get_running_cuda_version = get_cudnn_version = get_nvidia_driver_version


def get_platform():
    """The system's short name: linux, darwin."""
    return sys.platform


def get_os(run_lambda):
    """The system and its version."""
    return platform.platform()


def get_python_platform():
    """The platform as Python names it."""
    return platform.platform()


def get_pip_packages(run_lambda, patterns=("torch", "numpy", "onnx", "triton", "flambeau")):
    """("pip3", the installed packages in whose name one of the patterns is)."""
    from importlib.metadata import distributions

    found = {f"{d.metadata['Name']}=={d.version}" for d in distributions()}
    return "pip3", "\n".join(sorted(f for f in found if any(p in f for p in patterns)))


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
