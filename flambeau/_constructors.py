"""FloatTensor, LongTensor, ...: constructors and isinstance() tests by dtype."""

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


class _OfDType(type):
    def __instancecheck__(cls, instance):
        return isinstance(instance, flambeau.Tensor) and instance.dtype == cls.dtype

    def __call__(cls, *args):
        sizes = args[0] if len(args) == 1 and isinstance(args[0], flambeau.Size) else args
        if all(isinstance(n, int) for n in sizes):
            return flambeau.empty(tuple(sizes) or (0,), dtype=cls.dtype)
        return flambeau.tensor(args[0], dtype=cls.dtype)


for _name, _dtype in _NAMES.items():
    globals()[f"{_name}Tensor"] = _OfDType(
        f"{_name}Tensor", (), {"dtype": getattr(flambeau, _dtype), "__module__": "flambeau"}
    )
