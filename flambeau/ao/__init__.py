"""torch.ao: networks whose weights and activations are integers of 8 bits."""


def __getattr__(name):
    from importlib import import_module

    if name in ("nn", "quantization"):
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
