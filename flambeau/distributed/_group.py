"""Collectives of a group of processes, made of messages between pairs of them.

A reduction is summed in the order of the ranks whoever computes it, so every process gets the same
bits. Each call numbers its messages, so that calls under way at the same time do not meet.
"""

import concurrent.futures
import enum
import hashlib
import pickle
import threading

import flambeau
from flambeau._utils import _bytes_of

from ._errors import DistBackendError

_SMALL = 65536  # bytes up to which everybody gets everything and sums it


class RedOpType(enum.Enum):
    SUM = 0
    AVG = 1
    PRODUCT = 2
    MIN = 3
    MAX = 4
    BAND = 5
    BOR = 6
    BXOR = 7
    PREMUL_SUM = 8
    UNUSED = 9

    def __str__(self):
        return f"RedOpType.{self.name}"


class _Reductions(type):
    def __instancecheck__(cls, other):
        return isinstance(other, RedOpType)


class ReduceOp(metaclass=_Reductions):
    """How values of several processes become one: SUM, AVG, PRODUCT, MIN, MAX, BAND, BOR, BXOR."""

    RedOpType = RedOpType
    SUM, AVG, PRODUCT = RedOpType.SUM, RedOpType.AVG, RedOpType.PRODUCT
    MIN, MAX = RedOpType.MIN, RedOpType.MAX
    BAND, BOR, BXOR = RedOpType.BAND, RedOpType.BOR, RedOpType.BXOR
    PREMUL_SUM, UNUSED = RedOpType.PREMUL_SUM, RedOpType.UNUSED

    def __new__(cls, op=RedOpType.SUM):
        return RedOpType(op)


_COMBINE = {
    RedOpType.SUM: lambda a, b: a.add_(b),
    RedOpType.AVG: lambda a, b: a.add_(b),
    RedOpType.PRODUCT: lambda a, b: a.mul_(b),
    RedOpType.MIN: lambda a, b: flambeau.minimum(a, b, out=a),
    RedOpType.MAX: lambda a, b: flambeau.maximum(a, b, out=a),
    RedOpType.BAND: lambda a, b: a.bitwise_and_(b),
    RedOpType.BOR: lambda a, b: a.bitwise_or_(b),
    RedOpType.BXOR: lambda a, b: a.bitwise_xor_(b),
}


class Work:
    """A call under way, or done."""

    def __init__(self, future=None, result=None, run=None, ready=None):
        self._future = future or concurrent.futures.Future()
        self._result = result  # the tensors that the call fills
        self._run = run  # what waits for it, if no thread does
        self._ready = ready
        self._source = None
        if future is None and run is None:
            self._future.set_result(None)

    def wait(self, timeout=None):
        """Waits until it is done; raises what went wrong."""
        if self._run is not None:
            run, self._run = self._run, None
            try:
                self._source = run()
                self._future.set_result(None)
            except BaseException as error:
                self._future.set_exception(error)
                raise
        from ._store import seconds_of

        seconds = None if timeout is None else seconds_of(timeout)
        try:
            self._future.result(seconds or None)
        except concurrent.futures.TimeoutError:
            raise DistBackendError(f"Work.wait(): not done after {seconds:g} seconds") from None
        return True

    synchronize = wait

    def is_completed(self):
        if self._run is not None and self._ready is not None and self._ready():
            self.wait()
        return self._future.done()

    def is_success(self):
        return self._future.done() and self._future.exception() is None

    def exception(self):
        return self._future.exception() if self._future.done() else None

    def result(self):
        """The tensors that were filled."""
        self.wait()
        return self._result

    def source_rank(self):
        return self._source

    def get_future(self):
        """A flambeau.futures.Future of the tensors."""
        from flambeau.futures import Future

        made = Future()

        def pass_on(done):
            if done.exception() is not None:
                made.set_exception(done.exception())
            else:
                made.set_result(self._result)

        self._future.add_done_callback(pass_on)
        return made


def _flat(tensor):
    """(contiguous one-dimensional form, whether it is the tensor's own memory)."""
    if tensor.is_sparse:
        raise ValueError("collectives of sparse tensors: densify them first, by to_dense()")
    tensor = tensor.detach()
    own = tensor.is_contiguous()
    return (tensor if own else tensor.contiguous()).reshape(-1), own


def _bytes(tensor):
    return _bytes_of(tensor) if tensor.numel() else b""


def _tensor(data, dtype):
    if not data:
        return flambeau.empty(0, dtype=dtype)
    return flambeau.frombuffer(data, dtype=dtype)


class ProcessGroup:
    """Some of the processes, in order; `rank()` is the place of this one."""

    def __init__(self, mesh, ranks, name, timeout, backend="gloo", description=""):
        self._mesh = mesh
        self.ranks = list(ranks)
        self.group_name = name
        self.group_desc = description or "undefined"
        self.backend = backend
        self.timeout = timeout
        self._rank = self.ranks.index(mesh.rank)
        self._channel = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
        self._calls = 0
        self._lock = threading.Lock()
        self._thread = None

    def rank(self):
        return self._rank

    def size(self):
        return len(self.ranks)

    def name(self):
        return self.backend

    def __repr__(self):
        return f"<flambeau.distributed.ProcessGroup {self.group_name} of ranks {self.ranks}>"

    def __deepcopy__(self, memo):
        return self

    # -- messages ----------------------------------------------------------------------------------

    def _others(self):
        return [peer for peer in range(self.size()) if peer != self._rank]

    def _send(self, peer, tag, data):
        self._mesh.send(self.ranks[peer], self._channel, tag, data)

    def _receive(self, peer, tag, timeout=None):
        from ._store import seconds_of

        seconds = seconds_of(self.timeout if timeout is None else timeout)
        return self._mesh.receive([self.ranks[peer]], self._channel, tag, seconds)[1]

    def _tags(self, count=2):
        """A negative number for the messages of a call; the one above it is the call's too."""
        with self._lock:
            self._calls += count
            return -self._calls

    def run(self, function, result, async_op):
        """Calls function(tag) here, or in the group's thread; None or the Work."""
        tag = self._tags()

        def call():
            with flambeau.no_grad():
                function(tag)

        if not async_op:
            call()
            return None
        if self._thread is None:
            self._thread = concurrent.futures.ThreadPoolExecutor(1)
        return Work(self._thread.submit(call), result)

    def close(self):
        if self._thread is not None:
            self._thread.shutdown(wait=False)

    # -- on bytes ----------------------------------------------------------------------------------

    def exchange(self, parts, tag, timeout=None):
        """Sends parts[i] to rank i; what came from each, with one's own part as it is."""
        for peer in self._others():
            self._send(peer, tag, parts[peer])
        return [
            parts[peer] if peer == self._rank else self._receive(peer, tag, timeout)
            for peer in range(self.size())
        ]

    def spread(self, data, root, tag):
        """What the root gave, everywhere."""
        if self._rank == root:
            for peer in self._others():
                self._send(peer, tag, data)
            return data
        return self._receive(root, tag)

    def collect(self, data, root, tag):
        """What everybody gave at the root, None elsewhere."""
        if self._rank != root:
            self._send(root, tag, data)
            return None
        return [
            data if peer == self._rank else self._receive(peer, tag) for peer in range(self.size())
        ]

    def objects(self, value, tag):
        """What everybody gave, unpickled. Like PyTorch's, for processes that trust each other."""
        data = pickle.dumps(value)
        return [pickle.loads(part) for part in self.exchange([data] * self.size(), tag)]

    # -- on tensors --------------------------------------------------------------------------------

    def fill(self, target, data):
        """Puts bytes into a tensor, whatever its strides."""
        flat, own = _flat(target)
        if len(data) != flat.numel() * flat.element_size():
            raise DistBackendError(
                f"rank {self._rank}: {len(data)} bytes came for a tensor of shape "
                f"{list(target.shape)} and dtype {target.dtype}: shapes differ between processes"
            )
        if data:
            target.detach().copy_(_tensor(data, flat.dtype).view(target.shape))

    def combine(self, parts, op):
        """The reduction of flat tensors, in their order, in new memory."""
        if op not in _COMBINE:
            raise ValueError(f"{op} is not supported")
        made = parts[0].clone()
        for part in parts[1:]:
            _COMBINE[op](made, part)
        if op is RedOpType.AVG:
            made.div_(len(parts)) if made.is_floating_point() else made.floor_divide_(len(parts))
        return made

    def reduce_all(self, tensor, op, tag):
        """Replaces a tensor by the reduction over all processes."""
        flat, own = _flat(tensor)
        size = self.size()
        if size == 1:
            return
        if flat.numel() * flat.element_size() <= _SMALL:
            parts = self.exchange([_bytes(flat)] * size, tag)
            made = self.combine([_tensor(part, flat.dtype) for part in parts], op)
            tensor.detach().copy_(made.view(tensor.shape))
            return
        pieces = flat.tensor_split(size)  # piece i is summed by rank i
        parts = self.exchange([_bytes(piece) for piece in pieces], tag)
        mine = self.combine([_tensor(part, flat.dtype) for part in parts], op)
        for piece, part in zip(pieces, self.exchange([_bytes(mine)] * size, tag + 1)):
            piece.copy_(_tensor(part, flat.dtype))
        if not own:
            tensor.detach().copy_(flat.view(tensor.shape))


ProcessGroupGloo = ProcessGroup
for _class in (RedOpType, ReduceOp, Work, ProcessGroup):
    _class.__module__ = "flambeau.distributed"
