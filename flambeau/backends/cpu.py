"""The CPU's kernels."""


def get_cpu_capability():
    """The instruction-set level in use, by PyTorch's names.

    >>> import flambeau as torch
    >>> isinstance(torch.backends.cpu.get_cpu_capability(), str)
    True
    """
    from flambeau import _C

    names = {"v3": "AVX2", "v4": "AVX512", "amx": "AVX512"}
    return names.get(_C._isa_level(), "DEFAULT")
