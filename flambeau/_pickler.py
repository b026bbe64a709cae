"""The pickle within a checkpoint: tensors by reference to their storages, names as PyTorch's."""

import _compat_pickle
import importlib
import pickle
from collections import OrderedDict

import flambeau
from flambeau import _utils

from ._names import torch_place
from .serialization import location_tag


class _Name:
    """Stands for a global of PyTorch's, as a callable or a storage type."""

    def __init__(self, module, name):
        self.module, self.name = module, name

    def __call__(self):
        raise TypeError("only a name")


_REBUILD_V2 = _Name("torch._utils", "_rebuild_tensor_v2")
_REBUILD_V3 = _Name("torch._utils", "_rebuild_tensor_v3")
_REBUILD_META = _Name("torch._utils", "_rebuild_meta_tensor_no_storage")
_REBUILD_PARAMETER = _Name("torch._utils", "_rebuild_parameter")
_REBUILD_PARAMETER_STATE = _Name("torch._utils", "_rebuild_parameter_with_state")
_REBUILD_TYPE = _Name("torch._tensor", "_rebuild_from_type_v2")
_REBUILD_SPARSE = _Name("torch._utils", "_rebuild_sparse_tensor")
_REBUILD_QUANTIZED = _Name("torch._utils", "_rebuild_qtensor")
_REBUILD_NESTED = _Name("torch._utils", "_rebuild_nested_tensor")
_REBUILD_JAGGED = _Name("torch.nested._internal.nested_tensor", "_rebuild_njt")
_JAGGED = _Name("torch.nested._internal.nested_tensor", "NestedTensor")
_GET_LAYOUT = _Name("torch.serialization", "_get_layout")
_UNTYPED = _Name("torch.storage", "UntypedStorage")
_STORAGE = "storage"
_TYPED = {dtype: _Name("torch", name) for name, dtype in _utils.STORAGE_TYPES.items()}

_SKIPPED_STATE = ("_backward_hooks", "_post_accumulate_grad_hooks", "_is_param", "_is_buffer")


class _StorageKey:
    """A storage in the pickle: its number in the archive, and as what its elements are counted."""

    def __init__(self, key, kind, location, count, more):
        self.kind = kind
        self.id = (_STORAGE, kind, key, location, count, *more)


class Pickler(pickle._Pickler):
    """Pickles to `file`; `storages` then holds key -> tensor over the storage to be written."""

    dispatch = pickle._Pickler.dispatch.copy()

    def __init__(self, file, protocol, legacy=False):
        super().__init__(file, protocol)
        self.storages = {}
        self._places = {}  # device -> its name, one object
        self._references = {}  # address of a storage -> _StorageKey
        self._more = (None,) if legacy else ()  # the old format has room for a view

    def persistent_id(self, value):
        if type(value) is _StorageKey:
            return value.id
        if isinstance(value, flambeau.storage.TypedStorage):
            name = _TYPED.get(value.dtype, _UNTYPED)
            reference = self._storage(value.untyped(), name, value.element_size())
            if reference.kind is not name and value.nbytes():
                raise RuntimeError(
                    "Cannot save multiple tensors or storages that view the same data as different "
                    "types"
                )
            return reference.id
        if isinstance(value, flambeau.UntypedStorage):
            return self._storage(value, _UNTYPED, 1).id
        return None

    def reducer_override(self, value):
        if isinstance(value, flambeau.Tensor):
            return self._reduce_tensor(value)
        if isinstance(value, flambeau.dtype):
            return str(value).rpartition(".")[2]
        if isinstance(value, flambeau.Size):
            return flambeau.Size, (tuple(value),)
        if isinstance(value, flambeau.layout):
            return _GET_LAYOUT, ("torch." + str(value).rpartition(".")[2],)
        if isinstance(value, flambeau.device):
            return flambeau.device, _utils.device_args(value)
        if isinstance(value, type(flambeau.relu)):
            return value.__name__
        if isinstance(value, type(flambeau.Tensor.add)):
            return getattr, (flambeau.Tensor, value.__name__)
        return NotImplemented

    def counts(self):
        """The number of elements of each of `storages`."""
        return [reference.id[4] for reference in self._references.values()]

    # -- tensors ---------------------------------------------------------------------------------
    def _reduce_tensor(self, tensor):
        kind = type(tensor)
        if tensor.is_nested:
            return _reduce_nested(tensor)
        if tensor.layout != flambeau.strided:
            *parts, size = tensor._state()[: 3 + (not tensor.is_sparse)]
            coalesced = (tensor.is_coalesced(),) if tensor.is_sparse else ()
            return _REBUILD_SPARSE, (tensor.layout, (*parts, flambeau.Size(size), *coalesced))
        if tensor.is_quantized:
            return self._reduce_quantized(tensor)
        state = {k: v for k, v in vars(tensor).items() if k not in _SKIPPED_STATE}
        if kind is flambeau.Tensor and not state:
            return NotImplemented  # goes to save_tensor
        plain = tensor.detach()
        if issubclass(kind, flambeau.nn.Parameter) and flambeau._private.is_own(kind):
            if kind is not flambeau.nn.Parameter:
                return NotImplemented  # an uninitialized one has no data
            args = (_Plain(plain), tensor.requires_grad, OrderedDict())
            return (
                (_REBUILD_PARAMETER_STATE, (*args, state)) if state else (_REBUILD_PARAMETER, args)
            )
        function, args = self._rebuild(plain, tensor.requires_grad)
        return _REBUILD_TYPE, (function, kind, args, state)

    def _rebuild(self, tensor, requires_grad):
        size, stride = tuple(tensor.size()), tuple(tensor.stride())
        if tensor.device.type == "meta":
            return _REBUILD_META, (tensor.dtype, size, stride, requires_grad)
        name = _TYPED.get(tensor.dtype, _UNTYPED)
        reference = self._storage(tensor.untyped_storage(), name, tensor.element_size())
        place = tensor.storage_offset(), size, stride, requires_grad, OrderedDict()
        if reference.kind is _UNTYPED or reference.kind is not name:
            return _REBUILD_V3, (reference, *place, tensor.dtype)
        return _REBUILD_V2, (reference, *place)

    def _reduce_quantized(self, tensor):
        integers, dtype, *scheme = tensor._parts()
        reference = self._storage(integers.untyped_storage(), _TYPED[dtype], dtype.itemsize)
        size, stride = tuple(integers.size()), tuple(integers.stride())
        place = reference, integers.storage_offset(), size, stride
        return _REBUILD_QUANTIZED, (*place, tuple(scheme), False, OrderedDict())

    def _storage(self, storage, name, itemsize):
        """The reference to a storage: readers know it by the type that comes first."""
        address = _utils.storage_address(storage)
        reference = self._references.get(address)
        if reference is None:
            key = str(len(self._references))
            self.storages[key] = storage  # alive until written: no other gets its address
            if name is _UNTYPED or storage.nbytes() % itemsize:
                name, itemsize = _UNTYPED, 1
            place = self._places.get(storage.device)
            if place is None:
                place = self._places[storage.device] = location_tag(storage)
            reference = _StorageKey(key, name, place, storage.nbytes() // itemsize, self._more)
            self._references[address] = reference
        return reference

    def _write_plain(self, tensor):
        """What save_reduce writes for a tensor, in one piece; False until all names are known."""
        name = _TYPED.get(tensor.dtype)
        if name is None or tensor.device.type == "meta":
            return False
        reference = self._storage(tensor.untyped_storage(), name, tensor.element_size())
        if reference.kind is not name or self._more:
            return False
        _, _, key, location, count = reference.id
        known = (_REBUILD_V2, _STORAGE, name, location, OrderedDict)
        memo = self.memo
        if not all(id(part) in memo for part in known):
            return False
        rebuild, storage, kind, place, hooks = (self.get(memo[id(part)][0]) for part in known)
        parts = [rebuild, b"((", storage, kind, _text(key), place, _number(count), b"tQ"]
        parts += [_number(tensor.storage_offset()), _numbers(tensor.size())]
        parts += [_numbers(tensor.stride()), b"\x88" if tensor.requires_grad else b"\x89"]
        self.write(b"".join([*parts, hooks, b")RtR"]))
        return True

    def save_tensor(self, tensor):
        if self._write_plain(tensor):
            self.memoize(tensor)
        else:
            function, args = self._rebuild(tensor.detach(), tensor.requires_grad)
            self.save_reduce(function, args, obj=tensor)

    dispatch[flambeau.Tensor] = save_tensor

    # -- names -------------------------------------------------------------------------------------
    def save_name(self, value):
        self._write_name(value.module, value.name)
        self.memoize(value)

    dispatch[_Name] = save_name

    def save_plain(self, value):
        if not self._write_plain(value.tensor):
            self.save_reduce(*self._rebuild(value.tensor, False))

    def save_global(self, obj, name=None):
        if isinstance(obj, flambeau.dtype):
            module = "flambeau"
        else:
            name = name or getattr(obj, "__qualname__", None) or obj.__name__
            module = pickle.whichmodule(obj, name)
            try:
                found = importlib.import_module(module)
                for part in name.split("."):
                    found = getattr(found, part)
            except (ImportError, AttributeError):
                found = None
            if found is not obj:
                raise pickle.PicklingError(
                    f"Can't pickle {obj!r}: it's not found as {module}.{name}"
                )
        self._write_name(torch_place(module, name), name)
        self.memoize(obj)

    def save_type(self, obj):
        singletons = {type(None): None, type(NotImplemented): NotImplemented, type(...): ...}
        if obj in singletons:
            self.save_reduce(type, (singletons[obj],), obj=obj)
        else:
            self.save_global(obj)

    dispatch[type] = save_type

    def _write_name(self, module, name):
        if self.proto >= 4:
            self.save(module)
            self.save(name)
            self.write(pickle.STACK_GLOBAL)
            return
        if self.proto < 3:
            both = _compat_pickle.REVERSE_NAME_MAPPING.get((module, name))
            module, name = both or (_compat_pickle.REVERSE_IMPORT_MAPPING.get(module, module), name)
        if "." in name:
            raise pickle.PicklingError(
                f"save(): {module}.{name} is a nested name, which takes pickle_protocol=4"
            )
        self.write(pickle.GLOBAL + f"{module}\n{name}\n".encode())


def _reduce_nested(tensor):
    state = tensor._state()
    if tensor.layout == flambeau.jagged:
        return _REBUILD_TYPE, (_REBUILD_JAGGED, _JAGGED, (state,), {})
    return _REBUILD_NESTED, state


class _Plain:
    """The tensor within a parameter, to be written as a plain tensor."""

    def __init__(self, tensor):
        self.tensor = tensor


Pickler.dispatch[_Plain] = Pickler.save_plain


def _number(value):
    if value < 1 << 8:
        return b"K%c" % value
    if value < 1 << 16:
        return b"M" + value.to_bytes(2, "little")
    if value < 1 << 31:
        return b"J" + value.to_bytes(4, "little")
    return b"\x8a\x08" + value.to_bytes(8, "little", signed=True)


def _numbers(values):
    body = b"".join(map(_number, values))
    short = (b")", b"\x85", b"\x86", b"\x87")
    return body + short[len(values)] if len(values) < 4 else b"(" + body + b"t"


def _text(value):
    data = value.encode()
    return b"X" + len(data).to_bytes(4, "little") + data
