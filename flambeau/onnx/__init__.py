"""torch.onnx: networks as ONNX files, written with the package `onnx`.

>>> import flambeau as torch
>>> torch.onnx.is_in_onnx_export()
False
"""

import enum

__all__ = ["OperatorExportTypes", "TrainingMode", "export", "is_in_onnx_export"]


class TrainingMode(enum.Enum):
    """In which mode a network is exported."""

    EVAL = 0
    PRESERVE = 1
    TRAINING = 2


class OperatorExportTypes(enum.Enum):
    """Which operators may be written: a choice of the older exporter's."""

    ONNX = 0
    ONNX_ATEN = 1
    ONNX_ATEN_FALLBACK = 2
    ONNX_FALLTHROUGH = 3


def is_in_onnx_export():
    """Whether an export is under way: programs are recorded as they run, so never."""
    return False


def export(
    model, args=(), f=None, *, kwargs=None, input_names=None, output_names=None,
    dynamic_axes=None, opset_version=None, export_params=True, verbose=None, dynamo=False,
    do_constant_folding=True, training=None,
):  # fmt: skip
    """Writes a module, run on example arguments, as ONNX to a path or a file; returns the model.

    `dynamic_axes`: name of an input or output -> the axes that may change (a list, or a dictionary
    of names for them). Opset 20 or newer. Operators of convolutional networks and perceptrons are
    there; another is a RuntimeError that names it. The package `onnx` must be installed. There is
    one exporter, which folds no constants: `dynamo`, `verbose` and `do_constant_folding` change
    nothing.
    """
    try:
        import onnx
        import onnx.helper
        import onnx.numpy_helper
    except ImportError:
        raise ImportError("onnx.export(): the package onnx is not installed") from None
    from ._write import model as write

    opset = opset_version or 20
    if opset < 20:
        raise ValueError(f"onnx.export(): opset_version is 20 or newer, got {opset}")
    if not export_params:
        raise ValueError("onnx.export(): parameters are always written")
    if training not in (None, 0) and getattr(training, "value", training) != 0:
        raise ValueError("onnx.export(): only networks in eval mode are written")
    args = args if isinstance(args, tuple) else (args,)
    was = model.training
    model.eval()
    try:
        made = write(
            onnx, model, args, kwargs or {}, input_names, output_names, dynamic_axes, opset
        )
    finally:
        model.train(was)
    if f is not None:
        onnx.save(made, f)
    return made
