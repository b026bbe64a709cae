"""One function for all kinds of data: the kernel for the kind of the first argument runs."""

import functools
import sys

import flambeau
from flambeau.vision import tv_tensors

from ... import _pil

_KERNELS = {}  # name of the functional: {type: kernel}
_BUILTIN = [getattr(tv_tensors, name) for name in tv_tensors.__all__]
PIL = "PIL"


def is_pure_tensor(inpt):
    """Whether it is a tensor and none of the kinds that `tv_tensors` has."""
    return isinstance(inpt, flambeau.Tensor) and not isinstance(inpt, tv_tensors.TVTensor)


def kind_of(inpt):
    if isinstance(inpt, tv_tensors.TVTensor):
        return type(inpt)
    if isinstance(inpt, flambeau.Tensor):
        return flambeau.Tensor
    return PIL if _pil.is_pil(inpt) else type(inpt)


def kernel_for(name, inpt):
    """The kernel of a functional for a value, or None."""
    kernels, kind = _KERNELS[name], kind_of(inpt)
    if isinstance(kind, type):
        for parent in kind.__mro__:
            if parent in kernels and (parent is not flambeau.Tensor or kind is flambeau.Tensor):
                return kernels[parent]
        return None
    return kernels.get(kind)


def enter(name, kernel, *kinds):
    for kind in kinds:
        _KERNELS.setdefault(name, {})[kind] = kernel


def register_kernel(functional, tv_tensor_cls):
    """Decorates a function that `functional` is to call for a subclass of `TVTensor`.

    It is given the value itself, not a plain tensor.
    """
    known = sys.modules[__package__]
    found = getattr(known, functional, None) if isinstance(functional, str) else functional
    name = getattr(found, "__name__", None)
    if name not in _KERNELS:
        if isinstance(functional, str):
            raise ValueError(
                f"Could not find functional with name '{functional}' in "
                "torchvision.transforms.v2.functional."
            )
        raise ValueError(
            "Kernels can only be registered on functionals from "
            f"torchvision.transforms.v2.functional, but got {functional}."
        )
    if not (isinstance(tv_tensor_cls, type) and issubclass(tv_tensor_cls, tv_tensors.TVTensor)):
        raise ValueError(
            f"Kernels can only be registered for subclasses of tv_tensors.TVTensor, but got "
            f"{tv_tensor_cls}."
        )

    if tv_tensor_cls in _BUILTIN:
        raise ValueError("Kernels cannot be registered for the builtin tv_tensor classes.")

    def register(kernel):
        if tv_tensor_cls in _KERNELS[name]:
            raise ValueError(
                f"Functional {name} already has a kernel registered for type {tv_tensor_cls}."
            )
        kernel.__takes_itself__ = True
        _KERNELS[name][tv_tensor_cls] = kernel
        return kernel

    return register


def _rewrap(kernel):
    """Gives a kernel of plain tensors what it is to wrap its result as."""

    @functools.wraps(kernel)
    def call(inpt, *args, **kwargs):
        made = kernel(inpt.as_subclass(flambeau.Tensor), *args, **kwargs)
        if isinstance(made, tuple):
            return tuple(tv_tensors.wrap(part, like=inpt) for part in made)
        return tv_tensors.wrap(made, like=inpt)

    return call


def functional(name, image, pil=None, video=True, mask=None, picture=True, kernels=None):
    """The dispatcher `name`: image, video and mask kernels take and return plain tensors.

    Without `picture` it is for videos and plain tensors alone. `kernels` are further ones by type,
    which take and return their own type.
    """
    enter(name, image, flambeau.Tensor)
    if picture:
        enter(name, _rewrap(image), tv_tensors.Image)
    if video:
        enter(name, _rewrap(image), tv_tensors.Video)
    if pil is not None:
        enter(name, pil, PIL)
    if mask is not None:
        enter(name, _rewrap(mask), tv_tensors.Mask)
    for kind, kernel in (kernels or {}).items():
        enter(name, kernel, kind)

    @functools.wraps(pil or image)
    def call(inpt, *args, **kwargs):
        kernel = kernel_for(name, inpt)
        if kernel is None:
            kinds = ", ".join(getattr(k, "__name__", "PIL image") for k in _KERNELS[name])
            raise TypeError(
                f"Functional F.{name} supports inputs of type {kinds}, but got {type(inpt)} "
                "instead."
            )
        return kernel(inpt, *args, **kwargs)

    call.__name__ = call.__qualname__ = name
    call.__doc__ = image.__doc__
    call.__module__ = "flambeau.vision.transforms.v2.functional"
    return call
