"""torch.utils.cpp_extension: the names that build scripts import, without PyTorch's C++ headers.

Extensions of PyTorch are C++ over its headers and libraries, which are not here: their descriptions
can be made, and building one is an error. Programs with kernels of their own usually fall back to
tensor operators then.
"""

import os
import shutil
import subprocess
import sys
import sysconfig

try:
    from setuptools.command.build_ext import build_ext
except ImportError:  # only builds need it
    build_ext = object

__all__ = """BuildExtension CUDAExtension CppExtension SyclExtension check_compiler_is_gcc
check_compiler_ok_for_platform get_default_build_root include_paths is_ninja_available
library_paths load load_inline verify_ninja_availability""".split()

CUDA_HOME = ROCM_HOME = SYCL_HOME = CUDNN_HOME = None
IS_HIP_EXTENSION = False
IS_WINDOWS = sys.platform == "win32"
IS_MACOS = sys.platform == "darwin"
IS_LINUX = sys.platform.startswith("linux")
COMMON_NVCC_FLAGS = [
    "-D__CUDA_NO_HALF_OPERATORS__",
    "-D__CUDA_NO_HALF_CONVERSIONS__",
    "-D__CUDA_NO_BFLOAT16_CONVERSIONS__",
    "-D__CUDA_NO_HALF2_OPERATORS__",
    "--expt-relaxed-constexpr",
]


def _refuse(what):
    raise RuntimeError(
        f"{what}: extensions are built against PyTorch's C++ headers and libraries, which flambeau "
        "does not have; operators of one's own are made with torch.library or "
        "torch.autograd.Function"
    )


def _described(name, sources, language, args, kwargs):
    from setuptools import Extension

    kwargs["language"] = language
    return Extension(name, sources, *args, **kwargs)


def CppExtension(name, sources, *args, **kwargs):
    """Describes an extension in C++.

    >>> from flambeau.utils.cpp_extension import CppExtension
    >>> CppExtension("mine", ["mine.cpp"]).language
    'c++'
    """
    return _described(name, sources, "c++", args, kwargs)


def CUDAExtension(name, sources, *args, **kwargs):
    """An error: it needs the CUDA toolkit."""
    raise OSError(
        "CUDA_HOME environment variable is not set. Please set it to your CUDA install root."
    )


def SyclExtension(name, sources, *args, **kwargs):
    """Describes an extension in SYCL."""
    return _described(name, sources, "sycl", args, kwargs)


class BuildExtension(build_ext):
    """setuptools' command of that name, which says what is missing where an extension is built."""

    @classmethod
    def with_options(cls, **options):
        """The command with other defaults: `use_ninja`, `no_python_abi_suffix`."""

        class WithOptions(cls):
            def __init__(self, *args, **kwargs):
                super().__init__(*args, **{**kwargs, **options})

        return WithOptions

    def __init__(self, *args, **kwargs):
        self.no_python_abi_suffix = kwargs.pop("no_python_abi_suffix", False)
        self.use_ninja = kwargs.pop("use_ninja", True)
        super().__init__(*args, **kwargs)

    def build_extensions(self):
        """An error where there is anything to build."""
        if self.extensions:
            _refuse("BuildExtension")


def load(
    name,
    sources,
    extra_cflags=None,
    extra_cuda_cflags=None,
    extra_sycl_cflags=None,
    extra_ldflags=None,
    extra_include_paths=None,
    build_directory=None,
    verbose=False,
    with_cuda=None,
    with_sycl=None,
    is_python_module=True,
    is_standalone=False,
    keep_intermediates=True,
):
    """An error: there is nothing to compile the sources against."""
    _refuse(f"load({name!r})")


def load_inline(name, cpp_sources, cuda_sources=None, *args, **kwargs):
    """An error: there is nothing to compile the sources against."""
    _refuse(f"load_inline({name!r})")


def include_paths(device_type="cpu", torch_include_dirs=True):
    """Directories of headers for extensions: Python's, as there are no others."""
    return [sysconfig.get_paths()["include"]]


def library_paths(device_type="cpu", torch_include_dirs=True, cross_target_platform=None):
    """Directories of libraries for extensions: none."""
    return []


def is_ninja_available():
    """Whether the program ninja can be run."""
    return shutil.which("ninja") is not None


def verify_ninja_availability():
    """An error where ninja cannot be run."""
    if not is_ninja_available():
        raise RuntimeError("Ninja is required to load C++ extensions (pip install ninja to get it)")


def get_cxx_compiler():
    """The C++ compiler: $CXX, or the system's."""
    return os.environ.get("CXX", "cl" if IS_WINDOWS else "c++")


def check_compiler_ok_for_platform(compiler):
    """Whether that compiler is there."""
    return shutil.which(compiler) is not None


def check_compiler_is_gcc(compiler):
    """Whether that compiler is GCC's for C++."""
    if not check_compiler_ok_for_platform(compiler):
        return False
    told = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=False)
    return "Free Software Foundation" in told.stdout


def get_compiler_abi_compatibility_and_version(compiler):
    """(whether that compiler is there, its version as text)."""
    if not check_compiler_ok_for_platform(compiler):
        return False, "0.0.0"
    told = subprocess.run(
        [compiler, "-dumpfullversion", "-dumpversion"], capture_output=True, text=True, check=False
    )
    return True, told.stdout.strip() or "0.0.0"


def get_default_build_root():
    """Where compiled extensions would be kept."""
    cache = os.environ.get("XDG_CACHE_HOME", os.path.join(os.path.expanduser("~"), ".cache"))
    return os.path.join(cache, "torch_extensions")
