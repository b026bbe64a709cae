"""torch.sparse.FloatTensor and its kin: constructors and isinstance() tests by dtype."""

import flambeau
from flambeau import Tensor

from ._create import sparse_coo_tensor
from ._tensor import CooTensor

_NAMES = {
    "FloatTensor": flambeau.float32,
    "DoubleTensor": flambeau.float64,
    "HalfTensor": flambeau.float16,
    "BFloat16Tensor": flambeau.bfloat16,
    "ByteTensor": flambeau.uint8,
    "CharTensor": flambeau.int8,
    "ShortTensor": flambeau.int16,
    "IntTensor": flambeau.int32,
    "LongTensor": flambeau.int64,
}


class _OfDType(type):
    def __instancecheck__(cls, instance):
        return isinstance(instance, CooTensor) and instance.dtype == cls.dtype

    def __call__(cls, *args):
        """FloatTensor(indices, values, size=None), FloatTensor(size), FloatTensor(2, 3)."""
        if len(args) >= 2 and isinstance(args[0], Tensor):
            values = args[1]
            if values.dtype != cls.dtype:
                raise TypeError(
                    f"sparse.{cls.__name__}(): expected values of {cls.dtype}, got {values.dtype}"
                )
            return sparse_coo_tensor(args[0], values, *args[2:])
        size = args[0] if len(args) == 1 and not isinstance(args[0], int) else args
        return sparse_coo_tensor(size=tuple(size) or (0,), dtype=cls.dtype)


for _name, _dtype in _NAMES.items():
    globals()[_name] = _OfDType(
        _name,
        (),
        {"dtype": _dtype, "__module__": "flambeau.sparse", "__doc__": _OfDType.__call__.__doc__},
    )
