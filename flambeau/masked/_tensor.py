"""MaskedTensor: a tensor together with a mask that says which elements are there."""

import flambeau
from flambeau import _C, Tensor

from . import _functions

_UNARY = (
    "abs absolute acos arccos acosh asin asinh atan atanh angle bitwise_not ceil clamp clip cos "
    "cosh deg2rad digamma erf erfc erfinv exp exp2 expm1 floor frac lgamma log log10 log1p log2 "
    "logit i0 isnan isinf isfinite nan_to_num neg negative positive pow rad2deg reciprocal round "
    "rsqrt sigmoid sign sgn signbit sin sinc sinh sqrt square tan tanh trunc relu gelu silu "
    "logical_not real imag conj"
).split()
_BINARY = (
    "add atan2 arctan2 bitwise_and bitwise_or bitwise_xor div divide floor_divide fmod logaddexp "
    "logaddexp2 mul multiply nextafter remainder sub subtract rsub true_divide eq ne le ge lt gt "
    "maximum minimum fmax fmin pow not_equal less less_equal greater greater_equal logical_and "
    "logical_or logical_xor"
).split()
_SHAPES = (
    "clone contiguous t transpose permute reshape view unsqueeze squeeze flatten expand expand_as "
    "select narrow movedim swapaxes swapdims flip unfold index_select broadcast_to chunk split "
    "unbind diagonal repeat alias view_as reshape_as __getitem__"
).split()
_SAME_MASK = (
    "to float double half bfloat16 int long short char byte bool type cpu softmax log_softmax "
    "softmin ones_like zeros_like empty_like full_like rand_like randn_like"
).split()
_REDUCTIONS = "sum prod amax amin argmax argmin mean std var logsumexp norm median".split()
_RUNNING = "cumsum cumprod".split()
_HANDLERS = {}


class MaskedTensor(Tensor):
    """Data and a mask of the same shape, false where an element is missing.

    Elementwise functions keep the mask, reductions leave the missing elements out.

    >>> import flambeau as torch
    >>> from flambeau.masked import masked_tensor
    >>> x = masked_tensor(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([True, False, True]))
    >>> x + 1
    MaskedTensor(
      [  2.0000,       --,   4.0000]
    )
    """

    def __new__(cls, data, mask, requires_grad=False):
        if not isinstance(data, Tensor) or not isinstance(mask, Tensor):
            raise TypeError("data and mask must be tensors")
        if isinstance(data, MaskedTensor) or isinstance(mask, MaskedTensor):
            raise TypeError("data and mask must not be MaskedTensors")
        if mask.dtype != flambeau.bool:
            raise TypeError("mask must have dtype bool")
        if data.shape != mask.shape:
            raise ValueError(
                f"data and mask must have the same shape, got {tuple(data.shape)} and "
                f"{tuple(mask.shape)}"
            )
        made = Tensor._make_subclass(cls, data.detach())
        made._mask = mask.clone()
        made._data = data
        if requires_grad and not data.requires_grad:
            made._data = data.detach().clone().requires_grad_()
        return made

    def __init__(self, data, mask, requires_grad=False):
        pass

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        name = getattr(func, "__name__", str(func))
        inplace = name.endswith("_") and not name.endswith("__")
        handler = _HANDLERS.get(name[:-1] if inplace else name)
        if handler is None and name in ("__get__", "__set__"):
            with _C.DisableTorchFunctionSubclass():
                return func(*args)
        if handler is None:
            raise TypeError(f"{name}(): not implemented for MaskedTensor")
        result = handler(*args, **(kwargs or {}))
        if inplace:
            args[0]._data, args[0]._mask = result._data, result._mask
            return args[0]
        return result

    def get_data(self):
        """The data, missing elements among them."""
        return self._data

    def get_mask(self):
        """The mask."""
        return self._mask

    def to_tensor(self, value):
        """A plain tensor with a value in place of the missing elements."""
        return flambeau.where(self._mask, self._data, value)

    @property
    def requires_grad(self):
        """Whether operations on the data are recorded."""
        return self._data.requires_grad

    @requires_grad.setter
    def requires_grad(self, on):
        self.requires_grad_(on)

    def requires_grad_(self, requires_grad=True):
        """Makes the data a leaf whose gradient is gathered, or stops that."""
        if requires_grad and not self._data.requires_grad:
            self._data = self._data.detach()
        self._data.requires_grad_(requires_grad)
        return self

    @property
    def grad(self):
        """The data's gradient under the mask, or None."""
        grad = self._data.grad
        return None if grad is None else MaskedTensor(grad, self._mask)

    @property
    def grad_fn(self):
        """The node that made the data, or None."""
        return self._data.grad_fn

    @property
    def is_leaf(self):
        """True when no recorded operation made the data."""
        return self._data.is_leaf

    def detach(self):
        """The same without history."""
        return MaskedTensor(self._data.detach(), self._mask)

    def backward(self, gradient=None, *args, **kwargs):
        """Walks the graph from the data."""
        gradient = gradient._data if isinstance(gradient, MaskedTensor) else gradient
        self._data.backward(gradient, *args, **kwargs)

    def item(self):
        """The only element."""
        return self._data.item()

    def numpy(self, *, force=False):
        """An error: to_tensor() says what the missing elements are."""
        raise RuntimeError(".numpy() is not supported for MaskedTensor: use to_tensor(value)")

    def tolist(self):
        """An error: to_tensor() says what the missing elements are."""
        raise RuntimeError(".tolist() is not supported for MaskedTensor: use to_tensor(value)")

    def __getitem__(self, index):
        index = index._data if isinstance(index, MaskedTensor) else index
        return MaskedTensor(self._data[index], self._mask[index])

    def __setitem__(self, index, value):
        raise TypeError("MaskedTensor takes no assignments to parts of it")

    def __iter__(self):
        return iter([self[i] for i in range(len(self))])

    def __repr__(self, *, tensor_contents=None):
        return _text(self)

    __str__ = __repr__

    def __format__(self, spec):
        return _text(self)

    def __hash__(self):
        return id(self)

    def __reduce_ex__(self, protocol):
        return MaskedTensor, (self._data.detach(), self._mask, self.requires_grad)

    def __deepcopy__(self, memo):
        if id(self) not in memo:
            data = self._data.detach().clone()
            memo[id(self)] = MaskedTensor(data, self._mask, self.requires_grad)
        return memo[id(self)]


def _text(x):
    numbers, there = x._data.detach().tolist(), x._mask.tolist()

    def one(value, shown):
        if not shown:
            return "      --"
        return f"{value:8.4f}" if isinstance(value, float) else str(value)

    def lines(values, shown, indent):
        pad = " " * indent
        if not isinstance(values[0] if values else 0.0, list):
            return f"{pad}[{', '.join(one(v, s) for v, s in zip(values, shown, strict=True))}]"
        inner = [lines(v, s, indent + 2) for v, s in zip(values, shown, strict=True)]
        return f"{pad}[\n" + ",\n".join(inner) + f"\n{pad}]"

    if x.dim() == 0:
        return f"MaskedTensor({one(numbers, there)}, {there})"
    return f"MaskedTensor(\n{lines(numbers, there, 2)}\n)"


def masked_tensor(data, mask, requires_grad=False):
    """A MaskedTensor over data, cut off from its history.

    >>> import flambeau as torch
    >>> torch.masked.masked_tensor(torch.arange(3), torch.tensor([True, False, True]))
    MaskedTensor(
      [0,       --, 2]
    )
    """
    return MaskedTensor(data.detach(), mask, requires_grad)


def as_masked_tensor(data, mask):
    """A MaskedTensor over data through which gradients flow.

    >>> import flambeau as torch
    >>> x = torch.ones(2, requires_grad=True)
    >>> torch.masked.as_masked_tensor(x, torch.tensor([True, False])).sum().backward()
    >>> x.grad
    tensor([1., 0.])
    """
    return MaskedTensor(data, mask)


def is_masked_tensor(obj, /):
    """Whether obj is a MaskedTensor.

    >>> import flambeau as torch
    >>> torch.masked.is_masked_tensor(torch.ones(1))
    False
    """
    return isinstance(obj, MaskedTensor)


# -- what functions do with them -------------------------------------------------------------------
def _plain(x):
    return x._data if isinstance(x, MaskedTensor) else x


def _callable(name):
    function = getattr(flambeau, name, None)  # flambeau.int is a dtype
    return function if callable(function) else getattr(Tensor, name)


def _common_mask(tensors):
    masks = [x._mask for x in tensors if isinstance(x, MaskedTensor)]
    for mask in masks[1:]:
        if mask.shape != masks[0].shape or not bool((mask == masks[0]).all()):
            raise ValueError(
                "Input masks must match. If you need support for this, please open an issue on "
                "Github."
            )
    return masks[0]


def _elementwise(name):
    def handler(*args, **kwargs):
        values = (*args, *kwargs.values())
        mask = _common_mask(values)
        plain = {key: _plain(value) for key, value in kwargs.items()}
        data = _callable(name)(*map(_plain, args), **plain)
        return MaskedTensor(data, mask.expand(data.shape))

    return handler


def _of_both(name):
    def handler(input, *args, **kwargs):
        function = getattr(Tensor, name)
        data, mask = function(input._data, *args, **kwargs), function(input._mask, *args, **kwargs)
        if isinstance(data, (tuple, list)):
            return tuple(MaskedTensor(d, m) for d, m in zip(data, mask, strict=True))
        return MaskedTensor(data, mask)

    return handler


def _same_mask(name):
    def handler(input, *args, **kwargs):
        if name in ("softmax", "log_softmax", "softmin"):
            dim = args[0] if args else kwargs["dim"]
            data = getattr(_functions, name)(input._data, dim, mask=input._mask)
        else:
            data = _callable(name)(input._data, *args, **kwargs)
        return MaskedTensor(data, input._mask)

    return handler


def _reduction(name):
    def handler(input, *args, **kwargs):
        if name in ("std", "var") and not args:
            kwargs.setdefault("dim", None)
        dim = kwargs.get("dim", args[0] if args else None)
        keepdim = kwargs.get("keepdim", args[1] if len(args) > 1 else False)
        rest = {k: v for k, v in kwargs.items() if k not in ("dim", "keepdim")}
        function = getattr(_functions, name)
        if name == "norm":
            rest["ord"] = kwargs.pop("p", args[0] if args else 2.0)
            dim = kwargs.get("dim", args[1] if len(args) > 1 else None)
            rest.pop("p", None)
        if name == "median" and dim is None:
            data = function(input._data.reshape(-1), 0, mask=input._mask.reshape(-1))
        else:
            data = function(input._data, dim, keepdim=keepdim, mask=input._mask, **rest)
        dims = _functions._dims(input._data, dim)
        mask = input._mask.any(dims, keepdim) if input.dim() else input._mask
        return MaskedTensor(data, mask.reshape(data.shape))

    return handler


def _running(name):
    def handler(input, dim, *, dtype=None):
        data = getattr(_functions, name)(input._data, dim, dtype=dtype, mask=input._mask)
        return MaskedTensor(data, input._mask)

    return handler


def _joined(name):
    def handler(tensors, dim=0):
        function = getattr(flambeau, name)
        data = function([_plain(x) for x in tensors], dim)
        masks = [
            x._mask if isinstance(x, MaskedTensor) else flambeau.ones_like(x, dtype=flambeau.bool)
            for x in tensors
        ]
        return MaskedTensor(data, function(masks, dim))

    return handler


def _where(condition, input=None, other=None):
    condition = _plain(condition)
    mask = flambeau.where(condition, *(
        x._mask if isinstance(x, MaskedTensor) else flambeau.ones((), dtype=flambeau.bool)
        for x in (input, other)
    ))  # fmt: skip
    data = flambeau.where(condition, _plain(input), _plain(other))
    return MaskedTensor(data, mask.expand(data.shape))


for _names, _make in (
    (_UNARY, _elementwise),
    (_BINARY, _elementwise),
    (_SHAPES, _of_both),
    (_SAME_MASK, _same_mask),
    (_REDUCTIONS, _reduction),
    (_RUNNING, _running),
    (("cat", "concat", "stack", "hstack", "vstack"), _joined),
):
    for _name in _names:
        if hasattr(flambeau, _name) or hasattr(Tensor, _name):
            _HANDLERS[_name] = _make(_name)
_HANDLERS["where"] = _where
