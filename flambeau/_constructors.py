"""FloatTensor, LongTensor, ...: constructors and isinstance() tests by dtype."""

from operator import index

import flambeau

_NAMES = {
    "Float": "float32",
    "Double": "float64",
    "Half": "float16",
    "BFloat16": "bfloat16",
    "Byte": "uint8",
    "Char": "int8",
    "Short": "int16",
    "Int": "int32",
    "Long": "int64",
    "Bool": "bool",
}


def _integers(values):
    """values as sizes, or None where one of them is no integer."""
    if any(isinstance(v, (bool, flambeau.Tensor)) for v in values):
        return None
    try:
        return tuple(index(v) for v in values)
    except TypeError:
        return None


class _OfDType(type):
    def __instancecheck__(cls, instance):
        return isinstance(instance, flambeau.Tensor) and instance.dtype == cls.dtype

    def __call__(cls, *args, device=None):
        if device is not None and flambeau.device(device).type != "cpu":
            raise RuntimeError(f"{cls.__name__}(): makes tensors of the CPU, not of {device}")
        data = args[0] if len(args) == 1 else args
        sizes = _integers(data if isinstance(data, flambeau.Size) else args)
        if sizes is not None:
            return flambeau.empty(sizes or (0,), dtype=cls.dtype, device="cpu")
        if isinstance(data, (flambeau.UntypedStorage, flambeau.TypedStorage)):
            return flambeau.tensor([], dtype=cls.dtype, device="cpu").set_(data)
        if isinstance(data, flambeau.Tensor):
            if data.dtype != cls.dtype:
                raise TypeError(f"{cls.__name__}(): expected {cls.dtype}, got {data.dtype}")
            return data.view_as(data)
        if len(args) != 1 or isinstance(data, (bool, float)) or not hasattr(data, "__len__"):
            got = type(data).__name__ if len(args) == 1 else f"{len(args)} arguments"
            raise TypeError(f"{cls.__name__}(): data must be a sequence (got {got})")
        return flambeau.tensor(data, dtype=cls.dtype, device="cpu")


for _name, _dtype in _NAMES.items():
    globals()[f"{_name}Tensor"] = _OfDType(
        f"{_name}Tensor", (), {"dtype": getattr(flambeau, _dtype), "__module__": "flambeau"}
    )


class _OnCuda(type):
    def __instancecheck__(cls, instance):
        return False

    def __call__(cls, *args):
        raise TypeError(f"type torch.cuda.{cls.__name__} not available: there is no CUDA")


def on_cuda(name):
    """The type of CUDA's tensors of one dtype, of which there are none."""
    return _OnCuda(name, (), {"__module__": "flambeau.cuda", "is_cuda": True})
