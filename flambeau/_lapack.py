"""Where LAPACK is: in the package scipy-openblas32, which brings OpenBLAS as a shared library."""

import os


def library():
    """The path of the shared library. The package is found without running its code."""
    from importlib.util import find_spec

    spec = find_spec("scipy_openblas32")
    if spec is None:
        raise RuntimeError(
            "linear algebra needs the package scipy-openblas32: pip install scipy-openblas32"
        )
    folder = os.path.join(spec.submodule_search_locations[0], "lib")
    for name in sorted(os.listdir(folder)):
        if name.startswith("libscipy_openblas"):
            return os.path.join(folder, name)
    raise RuntimeError(f"scipy-openblas32 has no library in {folder}")
