"""How a batch travels from a worker: the structure is pickled, the arrays lie in shared memory.

The memory is an anonymous file (memfd) whose descriptor goes over the socket: it has no name, so
nothing is left behind whoever is killed when. A worker writes into a segment again when the parent
has let go of every array in it: fresh pages cost more than filling them. Where there is no memfd
the bytes follow the pickle.
"""

import io
import mmap
import os
import pickle
import socket
import struct
import weakref

import flambeau
from flambeau import _utils

# Lengths of pickle and arrays; the segment that the arrays are in, or _INLINE or _ONCE; whether its
# descriptor comes along.
_HEADER = struct.Struct("<QQq?")
_INLINE, _ONCE = -1, -2
_SMALL = 32 * 1024  # below this, copying through the socket is cheaper than a mapping
_ALIGN = 64
_CAN_SHARE = hasattr(os, "memfd_create") and hasattr(socket, "send_fds")


class _Pickler(pickle.Pickler):
    """Pickles tensors as arrays outside the stream."""

    def reducer_override(self, value):
        kind = type(value)
        if (
            isinstance(value, flambeau.Tensor)
            and kind.__reduce_ex__ is flambeau.Tensor.__reduce_ex__
            and value.device.type == "cpu"
        ):
            if value.requires_grad and not value.is_leaf:
                raise RuntimeError(
                    "DataLoader: a worker cannot send a non-leaf tensor that requires grad; "
                    "call detach() on it in the dataset"
                )
            with flambeau._C.DisableTorchFunctionSubclass():
                dense = value.detach().contiguous()
                memory = pickle.PickleBuffer(_utils._bytes_of(dense))
                dtype = str(dense.dtype).rpartition(".")[2]
                made = (memory, dtype, tuple(dense.shape), value.requires_grad)
            if kind is flambeau.Tensor:
                return _tensor_on, made
            return _subclass_on, (kind, value.__dict__, *made)
        return NotImplemented


def _subclass_on(kind, attributes, memory, dtype, shape, requires_grad):
    """The same as an object of a class, with its attributes."""
    made = _tensor_on(memory, dtype, shape, False).as_subclass(kind)
    made.__dict__.update(attributes)
    return made.requires_grad_(requires_grad)


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


class Sender:
    """The sending end of a connection. `reusable` is how many segments it may keep."""

    def __init__(self, connection, reusable=0):
        self._connection = connection
        self._reusable = reusable
        self._segments = []  # mmap by number
        self._free = []

    def release(self, segments):
        """The receiver has let go of these."""
        self._free += segments

    def send(self, message):
        """Sends a packed message."""
        head, memories = message
        total = sum(_aligned(memory.nbytes) for memory in memories)
        if total <= _SMALL or not _CAN_SHARE:
            arrays = bytearray(total)
            _copy(memories, arrays)
            header = _HEADER.pack(len(head), total, _INLINE, False)
            self._connection.sendall(header + head + arrays)
            return
        for number in self._free:
            if len(self._segments[number]) >= total:
                self._free.remove(number)
                _copy(memories, self._segments[number])
                header = _HEADER.pack(len(head), total, number, False)
                self._connection.sendall(header + head)
                return
        self._send_segment(head, memories, total)

    def _send_segment(self, head, memories, total):
        handle = os.memfd_create("flambeau-batch", os.MFD_CLOEXEC)
        try:
            os.ftruncate(handle, total)
            segment, number = mmap.mmap(handle, total), _ONCE
            _copy(memories, segment)
            if len(self._segments) < self._reusable:
                number = len(self._segments)
                self._segments.append(segment)
            header = _HEADER.pack(len(head), total, number, True)
            socket.send_fds(self._connection, [header], [handle])
        finally:
            os.close(handle)
        self._connection.sendall(head)


def _copy(memories, target):
    with memoryview(target) as view:
        start = 0
        for memory in memories:
            view[start : start + memory.nbytes] = memory
            start += _aligned(memory.nbytes)


class Receiver:
    """The receiving end. `released` lists the segments that nothing here uses any more."""

    def __init__(self, connection):
        self._connection = connection
        self._segments = {}  # mmap by number
        self._lent = {}  # weak references to what was made of them
        self.released = []

    def receive(self):
        """The next value; EOFError if the other side is gone."""
        connection = self._connection
        if _CAN_SHARE:
            header, handles, _, _ = socket.recv_fds(connection, _HEADER.size, 1)
        else:
            header, handles = connection.recv(_HEADER.size), []
        try:
            header += _exactly(connection, _HEADER.size - len(header))
            length, total, number, _ = _HEADER.unpack(header)
            stream = io.BytesIO(_exactly(connection, length))
            if number == _INLINE:
                memory = _exactly(connection, total)
            elif handles:
                memory = mmap.mmap(handles[0], total)
            else:
                memory = self._segments[number]
        finally:
            for handle in handles:
                os.close(handle)
        if number >= 0:
            self._segments[number] = memory
            memory = self._lend(number, memory)
        arrays, start = [], 0
        with memoryview(memory) as view:
            view = view.cast("B")
            for size in pickle.load(stream):
                arrays.append(view[start : start + size])
                start += _aligned(size)
        return pickle.load(stream, buffers=arrays)

    def _lend(self, number, segment):
        """The segment as an object of its own, which every view of it keeps alive."""
        import ctypes

        lent = (ctypes.c_char * len(segment)).from_buffer(segment)
        released, lents = self.released, self._lent

        def gone(reference):
            del lents[number]
            released.append(number)

        lents[number] = weakref.ref(lent, gone)
        return lent


def _exactly(connection, size):
    data = bytearray(size)
    view = memoryview(data)
    while view.nbytes:
        count = connection.recv_into(view)
        if count == 0:
            raise EOFError("the other side closed the connection")
        view = view[count:]
    return data
