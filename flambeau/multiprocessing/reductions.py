"""How tensors and storages pickle on their way to another process."""

from multiprocessing import reduction

import flambeau
from flambeau import _shared, _utils


def reduce_storage(storage):
    """A storage by the descriptor of its shared memory, into which it moves first."""
    if storage.nbytes() == 0 or storage.device.type != "cpu":
        return _empty, (storage.nbytes(), storage.device.type)
    _shared.share(storage)
    handle = reduction.DupFd(_shared.descriptor(storage))
    return _opened, (handle, storage.nbytes())


def _empty(nbytes, device):
    return flambeau.UntypedStorage(nbytes, device)


def _opened(handle, nbytes):
    return _shared.opened(handle.detach(), nbytes)


def reduce_tensor(tensor):
    """A tensor by its storage and its place in it; gradients stay behind."""
    if tensor.requires_grad and not tensor.is_leaf:
        raise RuntimeError(
            "Cowardly refusing to serialize non-leaf tensor which requires_grad, since autograd "
            "does not support crossing process boundaries. detach() it first"
        )
    plain = tensor.detach()
    place = plain.storage_offset(), tuple(plain.size()), tuple(plain.stride())
    storage = plain.untyped_storage()
    return _rebuilt, (type(tensor), storage, plain.dtype, place, tensor.requires_grad)


def _rebuilt(cls, storage, dtype, place, requires_grad):
    made = _utils.tensor_on(storage, dtype, *place)
    if issubclass(cls, flambeau.nn.Parameter):
        return cls(made, requires_grad=requires_grad)
    if cls is not flambeau.Tensor:
        made = made.as_subclass(cls)
    return made.requires_grad_(requires_grad)


def register():
    """Makes the standard library's queues, pipes and processes carry tensors so."""
    for cls in (flambeau.Tensor, flambeau.nn.Parameter, flambeau.nn.Buffer):
        reduction.ForkingPickler.register(cls, reduce_tensor)
    reduction.ForkingPickler.register(flambeau.UntypedStorage, reduce_storage)
