"""Questions about ONNX export that programs ask: there is none in this build.

>>> import flambeau as torch
>>> torch.onnx.is_in_onnx_export()
False
"""

__all__ = ["export", "is_in_onnx_export"]


def is_in_onnx_export():
    """Whether an export is under way: never."""
    return False


def export(model, args=(), f=None, **options):
    """RuntimeError: this build writes no ONNX files."""
    raise RuntimeError(
        "onnx.export(): this build writes no ONNX files; save the state dict and export it from "
        "PyTorch, which reads it"
    )
