"""Whether Triton's kernels can be compiled: never, as there is no GPU."""


def has_triton():
    """Whether there is a GPU and Triton for it: no."""
    return False


has_triton_package = has_triton_tma = has_triton_tma_device = has_triton
