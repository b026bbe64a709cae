"""Modules for quantization: quantized ones, those of training for it, and fused ones."""


def __getattr__(name):
    from importlib import import_module

    if name in ("intrinsic", "qat", "quantizable", "quantized"):
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
