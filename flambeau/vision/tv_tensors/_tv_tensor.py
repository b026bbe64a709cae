"""Subclasses of Tensor for the kinds of data that transforms tell apart."""

import enum

import flambeau

_keep_type = False  # whether operators give back the subclass


class set_return_type:
    """What operators on these tensors return: "Tensor" (the default) or "TVTensor".

    Called as a function it is so from then on, as a context manager within the block.
    """

    def __init__(self, return_type):
        global _keep_type
        kinds = {"tensor": False, "tvtensor": True}
        if return_type.lower() not in kinds:
            raise ValueError(f"return_type must be 'TVTensor' or 'Tensor', got {return_type}")
        self._before = _keep_type
        _keep_type = kinds[return_type.lower()]

    def __enter__(self):
        return self

    def __exit__(self, *error):
        global _keep_type
        _keep_type = self._before


def _first(kind, args):
    for arg in args:
        if isinstance(arg, kind):
            return arg
        if isinstance(arg, (list, tuple)):
            found = _first(kind, arg)
            if found is not None:
                return found
    return None


# These change neither shape nor meaning, so the result stays what it was.
_KEEPING = {"clone", "to", "detach", "requires_grad_", "pin_memory", "__deepcopy__"}


class TVTensor(flambeau.Tensor):
    """What all kinds have in common: operators return plain tensors, `clone` and `to` do not."""

    def __new__(cls, data, *, dtype=None, device=None, requires_grad=None):
        return _tensor(data, dtype, device, requires_grad).as_subclass(cls)

    @classmethod
    def _like(cls, tensor, like, **changes):
        made = tensor.as_subclass(cls)
        for name in cls._metadata:
            setattr(made, name, changes.get(name, getattr(like, name, None)))
        return made

    _metadata = ()

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        if not all(issubclass(cls, t) for t in types if issubclass(t, flambeau.Tensor)):
            return NotImplemented
        with flambeau._C.DisableTorchFunctionSubclass():
            result = func(*args, **(kwargs or {}))
        name = getattr(func, "__name__", "")
        in_place = name.endswith("_") and not name.startswith("__")
        if in_place and not _keep_type and isinstance(result, cls) and name != "requires_grad_":
            return result.as_subclass(flambeau.Tensor)
        like = _first(cls, args)
        if like is None or name == "__get__":
            return result
        if _keep_type or (name in _KEEPING and isinstance(args[0], cls)):
            return cls._wrapped(result, like)
        return result

    @classmethod
    def _wrapped(cls, result, like):
        if type(result) is flambeau.Tensor:
            return cls._like(result, like)
        if isinstance(result, (list, tuple)) and type(result) in (list, tuple):
            return type(result)(cls._wrapped(item, like) for item in result)
        return result

    def __deepcopy__(self, memo):
        copied = self.detach().as_subclass(flambeau.Tensor).clone()
        return self._like(copied.requires_grad_(self.requires_grad), self)

    def __reduce_ex__(self, protocol):
        plain = self.as_subclass(flambeau.Tensor)
        return _rebuild, (type(self), plain, {n: getattr(self, n) for n in self._metadata})

    def __repr__(self, *, tensor_contents=None):
        plain = repr(self.as_subclass(flambeau.Tensor)).removeprefix("tensor(").removesuffix(")")
        more = "".join(f", {name}={getattr(self, name)}" for name in self._metadata)
        return f"{type(self).__name__}({plain}{more})"


def _rebuild(cls, plain, metadata):
    made = plain.as_subclass(cls)
    for name, value in metadata.items():
        setattr(made, name, value)
    return made


def _tensor(data, dtype, device, requires_grad):
    if requires_grad is None:
        requires_grad = data.requires_grad if isinstance(data, flambeau.Tensor) else False
    made = flambeau.as_tensor(data, dtype=dtype, device=device)
    if isinstance(made, TVTensor):
        made = made.as_subclass(flambeau.Tensor)
    return made.requires_grad_(requires_grad) if requires_grad != made.requires_grad else made


class Image(TVTensor):
    """[..., C, H, W], from a tensor, an array or a PIL image."""

    def __new__(cls, data, *, dtype=None, device=None, requires_grad=None):
        from ..transforms import _pil

        if _pil.is_pil(data):
            data = _pil.to_tensor(data)
        made = _tensor(data, dtype, device, requires_grad)
        if made.ndim < 2:
            raise ValueError
        return (made.unsqueeze(0) if made.ndim == 2 else made).as_subclass(cls)


class Video(TVTensor):
    """[..., T, C, H, W]"""

    def __new__(cls, data, *, dtype=None, device=None, requires_grad=None):
        made = _tensor(data, dtype, device, requires_grad)
        if made.ndim < 4:
            raise ValueError
        return made.as_subclass(cls)


class Mask(TVTensor):
    """[..., H, W]: labels of pixels, or one plane for each object."""

    def __new__(cls, data, *, dtype=None, device=None, requires_grad=None):
        from ..transforms import _pil

        if _pil.is_pil(data):
            data = _pil.to_tensor(data)
        return super().__new__(cls, data, dtype=dtype, device=device, requires_grad=requires_grad)


class BoundingBoxFormat(enum.Enum):
    """How the numbers of a box are to be read; those that end in R have an angle in degrees."""

    XYXY = "XYXY"
    XYWH = "XYWH"
    CXCYWH = "CXCYWH"
    XYWHR = "XYWHR"
    CXCYWHR = "CXCYWHR"
    XYXYXYXY = "XYXYXYXY"


_TURNED = (BoundingBoxFormat.XYWHR, BoundingBoxFormat.CXCYWHR, BoundingBoxFormat.XYXYXYXY)


def is_rotated_bounding_format(format):
    """Whether boxes of this format may be turned."""
    if isinstance(format, str):
        format = BoundingBoxFormat[format.upper()]
    return format in _TURNED


class BoundingBoxes(TVTensor):
    """[N, 4] boxes (5 or 8 numbers where turned) in an image of size `canvas_size`."""

    _metadata = ("format", "canvas_size", "clamping_mode")

    def __new__(
        cls,
        data,
        *,
        format,
        canvas_size,
        clamping_mode="soft",
        dtype=None,
        device=None,
        requires_grad=None,
    ):
        made = _tensor(data, dtype, device, requires_grad)
        if isinstance(format, str):
            format = BoundingBoxFormat[format.upper()]
        if made.ndim == 1:
            made = made.unsqueeze(0)
        elif made.ndim != 2:
            raise ValueError(f"Expected a 1D or 2D tensor, got {made.ndim}D")
        if clamping_mode not in ("soft", "hard", None):
            raise ValueError(f"clamping_mode must be soft, hard or None, got {clamping_mode}")
        if is_rotated_bounding_format(format) and not made.is_floating_point():
            raise ValueError(
                f"Rotated bounding boxes should be floating point tensors, got {made.dtype}"
            )
        made = made.as_subclass(cls)
        made.format = format
        made.canvas_size = canvas_size
        made.clamping_mode = clamping_mode
        return made


class KeyPoints(TVTensor):
    """[..., 2] points (x, y) in an image of size `canvas_size`."""

    _metadata = ("canvas_size",)

    def __new__(cls, data, *, canvas_size, dtype=None, device=None, requires_grad=None):
        made = _tensor(data, dtype, device, requires_grad)
        if made.ndim == 1:
            made = made.unsqueeze(0)
        if made.shape[-1] != 2:
            raise ValueError(f"Expected a tensor of shape (..., 2), not {tuple(made.shape)}")
        made = made.as_subclass(cls)
        made.canvas_size = canvas_size
        return made


def wrap(wrappee, *, like, **kwargs):
    """A plain tensor as what `like` is; `kwargs` replace what is known about it.

    >>> import flambeau as torch
    >>> from flambeau.vision import tv_tensors
    >>> image = tv_tensors.Image(torch.zeros(3, 2, 2))
    >>> type(tv_tensors.wrap(image + 1, like=image)).__name__
    'Image'
    """
    if type(wrappee) is not flambeau.Tensor and isinstance(wrappee, flambeau.Tensor):
        wrappee = wrappee.as_subclass(flambeau.Tensor)
    return type(like)._like(wrappee, like, **kwargs)
