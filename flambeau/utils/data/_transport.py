"""How a batch travels from a worker: the structure is pickled, the arrays lie in shared memory.

The memory is an anonymous file (memfd) whose descriptor goes over the socket: it has no name, so
nothing is left behind whoever is killed when. Where that is missing the bytes follow the pickle.
"""

import io
import mmap
import os
import pickle
import socket
import struct

import flambeau
from flambeau import _utils

_HEADER = struct.Struct("<QQ?")  # length of the pickle, length of the arrays, arrays in a file?
_INLINE = 32 * 1024  # below this, copying through the socket is cheaper than a mapping
_ALIGN = 64
_CAN_SHARE = hasattr(os, "memfd_create") and hasattr(socket, "send_fds")


class _Pickler(pickle.Pickler):
    """Pickles tensors as arrays outside the stream."""

    def reducer_override(self, value):
        if isinstance(value, flambeau.Tensor) and value.device.type == "cpu":
            if value.requires_grad and not value.is_leaf:
                raise RuntimeError(
                    "DataLoader: a worker cannot send a non-leaf tensor that requires grad; "
                    "call detach() on it in the dataset"
                )
            dense = value.detach().contiguous()
            memory = pickle.PickleBuffer(_utils._bytes_of(dense))
            dtype = str(dense.dtype).rpartition(".")[2]
            return _tensor_on, (memory, dtype, tuple(dense.shape), value.requires_grad)
        return NotImplemented


def _tensor_on(memory, dtype, shape, requires_grad):
    """A tensor over the given memory, which it keeps alive."""
    dtype = getattr(flambeau, dtype)
    if memory.nbytes == 0:
        made = flambeau.empty(shape, dtype=dtype)
    else:
        made = flambeau.frombuffer(memory, dtype=flambeau.uint8).view(dtype).view(shape)
    return made.requires_grad_() if requires_grad else made


def _aligned(size):
    return -(-size // _ALIGN) * _ALIGN


def pack(value):
    """The message for a value: the pickle and the memory of its arrays."""
    arrays = []
    stream = io.BytesIO()
    _Pickler(stream, 5, buffer_callback=arrays.append).dump(value)
    memories = [array.raw() for array in arrays]
    sizes = [memory.nbytes for memory in memories]
    return pickle.dumps(sizes, 5) + stream.getvalue(), memories


def send(connection, message):
    """Sends a packed message."""
    head, memories = message
    total = sum(_aligned(memory.nbytes) for memory in memories)
    if total > _INLINE and _CAN_SHARE:
        handle = os.memfd_create("flambeau-batch", os.MFD_CLOEXEC)
        try:
            os.ftruncate(handle, total)
            with mmap.mmap(handle, total) as target:
                _copy(memories, target)
            header = _HEADER.pack(len(head), total, True)
            socket.send_fds(connection, [header], [handle])
        finally:
            os.close(handle)
        connection.sendall(head)
    else:
        arrays = bytearray(total)
        _copy(memories, arrays)
        connection.sendall(_HEADER.pack(len(head), total, False) + head + arrays)


def _copy(memories, target):
    with memoryview(target) as view:
        start = 0
        for memory in memories:
            view[start : start + memory.nbytes] = memory
            start += _aligned(memory.nbytes)


def receive(connection):
    """The next value; EOFError if the other side is gone."""
    if _CAN_SHARE:
        header, handles, _, _ = socket.recv_fds(connection, _HEADER.size, 1)
    else:
        header, handles = connection.recv(_HEADER.size), []
    try:
        header += _exactly(connection, _HEADER.size - len(header))
        length, total, shared = _HEADER.unpack(header)
        head = _exactly(connection, length)
        if shared:
            memory = mmap.mmap(handles[0], total)
        else:
            memory = _exactly(connection, total)
    finally:
        for handle in handles:
            os.close(handle)
    stream = io.BytesIO(head)
    sizes = pickle.load(stream)
    view, arrays, start = memoryview(memory), [], 0
    for size in sizes:
        arrays.append(view[start : start + size])
        start += _aligned(size)
    return pickle.load(stream, buffers=arrays)


def _exactly(connection, size):
    data = bytearray(size)
    view = memoryview(data)
    while view.nbytes:
        count = connection.recv_into(view)
        if count == 0:
            raise EOFError("the other side closed the connection")
        view = view[count:]
    return data
