"""Tensors that have shapes and no data, and say that they are on a real device."""

import contextlib

import flambeau
from flambeau import _C
from flambeau._dispatch import record_of
from flambeau.utils._mode_utils import no_dispatch
from flambeau.utils._python_dispatch import TorchDispatchMode
from flambeau.utils._pytree import tree_leaves, tree_map

_META = flambeau.device("meta")


class FakeTensor(flambeau.Tensor):
    """A tensor of the meta device that answers with another: operators give shapes alone."""

    @staticmethod
    def __new__(cls, fake_mode, elem, device, **options):
        made = flambeau.Tensor._make_subclass(cls, elem.detach(), elem.requires_grad)
        made.fake_mode, made.fake_device = fake_mode, flambeau.device(device)
        return made

    device = property(lambda self: self.fake_device, doc="The device that it is to be on.")
    is_cpu = property(lambda self: self.fake_device.type == "cpu", doc="Whether that is the CPU.")
    is_cuda = property(lambda self: self.fake_device.type == "cuda", doc="Whether that is a GPU.")
    is_meta = property(lambda self: self.fake_device.type == "meta", doc="Whether it has none.")

    __torch_function__ = _C._disabled_torch_function_impl

    @classmethod
    def from_tensor(cls, t, fake_mode):
        """The fake form of a tensor."""
        return fake_mode.from_tensor(t)

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        mode = next(x.fake_mode for x in tree_leaves((args, kwargs)) if isinstance(x, FakeTensor))
        return mode.dispatch(func, types, args, kwargs)

    def __repr__(self, *, tensor_contents=None):
        size = ", ".join(map(str, self.shape))
        size += "," if self.dim() == 1 else ""
        device = "" if self.device.type == "cpu" else f"device='{self.device}', "
        dtype = "" if self.dtype == flambeau.float32 else f", dtype={self.dtype}"
        grad = ", requires_grad=True" if self.is_leaf else f", grad_fn=<{self.grad_fn.name()}>"
        text = f"FakeTensor(..., {device}size=({size}){dtype}"
        text += (grad if self.requires_grad else "") + ")"
        return f"Parameter({text})" if getattr(self, "_is_param", False) else text

    def tolist(self):
        """RuntimeError: there are no elements."""
        raise RuntimeError("tolist(): a FakeTensor has no data")

    def __deepcopy__(self, memo):
        if id(self) not in memo:
            twin = FakeTensor(self.fake_mode, _meta(self), self.fake_device)
            twin.__dict__.update(self.__dict__)
            memo[id(self)] = twin.requires_grad_(self.requires_grad)
        return memo[id(self)]


def _meta(t):
    """The shape and strides of a tensor, on the meta device."""
    with no_dispatch(), flambeau.no_grad():
        return flambeau.empty_strided(t.shape, t.stride(), dtype=t.dtype, device=_META)


class FakeTensorMode(TorchDispatchMode):
    """A block in which new tensors have shapes alone, whatever device they are made on.

    >>> import flambeau as torch
    >>> from flambeau._subclasses.fake_tensor import FakeTensorMode
    >>> with FakeTensorMode():
    ...     y = torch.nn.Linear(4096, 4096)(torch.randn(8, 4096))
    >>> y.shape, y.device
    (torch.Size([8, 4096]), device(type='cpu'))

    Args:
        allow_non_fake_inputs: tensors with data take part, by their shapes; else they are an error.
        allow_fallback_kernels, static_shapes, shape_env: taken for programs that pass them; an
            operator here has one kernel for shapes, and shapes are known numbers.
    """

    def __init__(
        self, *, allow_fallback_kernels=True, allow_non_fake_inputs=False, shape_env=None,
        static_shapes=None, export=False,
    ):  # fmt: skip
        super().__init__()
        self.allow_fallback_kernels = allow_fallback_kernels
        self.allow_non_fake_inputs = allow_non_fake_inputs
        self.shape_env = shape_env
        self.static_shapes = static_shapes

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return self.dispatch(func, types, args, kwargs)

    def from_tensor(self, tensor, *, static_shapes=None, **options):
        """The fake form of a tensor, a parameter of a parameter."""
        if isinstance(tensor, FakeTensor):
            if tensor.fake_mode is not self:
                raise AssertionError("Mixing fake modes NYI")
            return tensor
        fake = FakeTensor(self, _meta(tensor), tensor.device)
        if isinstance(tensor, flambeau.nn.Parameter):
            return flambeau.nn.Parameter(fake, tensor.requires_grad)
        return fake.requires_grad_(tensor.requires_grad)

    def dispatch(self, func, types, args=(), kwargs=None):
        """The operator on shapes; its results are on the device that they would be on."""
        tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, flambeau.Tensor)]
        if tensors and not any(isinstance(x, FakeTensor) for x in tensors):
            return func(*args, **(kwargs or {}))  # constants of the program
        wanted, fakes = [], []

        def lower(x):
            if isinstance(x, flambeau.device):
                wanted.append(x)
                return _META
            if isinstance(x, flambeau.Tensor) and not isinstance(x, FakeTensor):
                if x.is_meta:
                    return x
                of_formula = _C._current_graph_task_id() >= 0  # of a gradient
                if x.dim() and not self.allow_non_fake_inputs and not of_formula:
                    raise AssertionError(
                        "Please convert all Tensors to FakeTensors first or instantiate "
                        f"FakeTensorMode with 'allow_non_fake_inputs'. Found in {func}"
                    )
                return _meta(x)
            if isinstance(x, FakeTensor):
                fakes.append(x)
            return x

        args, kwargs = tree_map(lower, (args, kwargs or {}))
        args, kwargs = _on_meta(func, args, kwargs)
        device = wanted[0] if wanted else _common_device(func, fakes)
        with no_dispatch():
            out = func(*args, **kwargs)

        def lift(x):
            if not isinstance(x, flambeau.Tensor) or isinstance(x, FakeTensor):
                return x
            return FakeTensor(self, x, device)

        return tree_map(lift, out)


def _on_meta(func, args, kwargs):
    """A factory's arguments, with the device that was left out."""
    record = record_of(func)
    at = record.position.get("device") if record is not None else None
    if at is None:
        return args, kwargs
    if at >= len(args):
        return args, {**kwargs, "device": _META}
    return (*args[:at], _META, *args[at + 1 :]), kwargs


def _common_device(func, tensors):
    """That of tensors with dimensions: numbers of the CPU go with any of them."""
    devices = {t.device for t in tensors if t.dim()} or {t.device for t in tensors}
    if len(devices) > 1:
        raise RuntimeError(
            f"Unhandled FakeTensor Device Propagation for {func}, found two different devices "
            + ", ".join(sorted(map(str, devices)))
        )
    return devices.pop() if devices else flambeau.device("cpu")


def is_fake(x):
    """Whether a value is a FakeTensor."""
    return isinstance(x, FakeTensor)


@contextlib.contextmanager
def unset_fake_temporarily():
    """A context without the mode that makes such tensors: gives it, None as there is none."""
    yield None
