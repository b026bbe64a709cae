"""Worker processes for DataLoader: the pool in the parent, the loop in the child.

Each worker has one socket to the parent. Its end closing is how either side learns that the other
is gone, however it went: nothing polls for it and nothing waits for ever.
"""

import contextlib
import os
import pickle
import queue
import random
import select
import signal
import socket
import sys
import threading
import time
import warnings
import weakref

import flambeau
from flambeau._utils import ExceptionWrapper

from . import _info, _transport
from ._fetch import Exhausted, make_fetch
from .dataloader import LengthWatch, Pass, _BaseDataLoaderIter, seed_steps
from .dataset import IterableDataset
from .sampler import draw_seed

_SPARE_SEGMENTS = 4  # beyond those in flight: batches that the program still holds
_LEAVE_SECONDS = 5  # what a busy worker gets to finish once the parent has closed its socket

_parent_ends = weakref.WeakSet()  # the sockets of all pools of this process


def _failure(error, where):
    """An exception as the parent can be told of it."""
    failure = ExceptionWrapper((type(error), error, error.__traceback__), where)
    try:
        pickle.dumps(failure.exc_type)
    except Exception:  # the parent has no such class
        failure.exc_type = RuntimeError
    return failure


# -- in the worker ---------------------------------------------------------------------------------
def _work(connection, setup):
    """The life of a worker: tasks in, results out, until the parent closes the socket."""
    for other in list(_parent_ends):  # they came along with fork
        other.close()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the parent, which ends its workers
    tasks = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(connection, tasks), daemon=True).start()
    prefetch, *setup = setup
    try:
        _serve(_transport.Sender(connection, prefetch + _SPARE_SEGMENTS), tasks, *setup)
    except (BrokenPipeError, ConnectionResetError):
        pass  # the parent has gone
    sys.stdout.flush()


def _listen(connection, tasks):
    """Takes tasks off the socket, so that the parent never waits to send one."""
    receiver = _transport.Receiver(connection)
    try:
        while True:
            tasks.put(receiver.receive())
    except (EOFError, OSError):
        tasks.put(None)
        time.sleep(_LEAVE_SECONDS)
        os._exit(1)


def _serve(sender, tasks, worker, count, seeds, dataset, batched, collate_fn, drop_last, init_fn):
    flambeau.set_num_threads(1)
    seed, pipe_seed = seeds
    where = f"in DataLoader worker process {worker}"
    failure = fetch = None
    _seed_all(seed, worker)
    _info.current = _info.WorkerInfo(worker, count, seed + worker, dataset)
    try:
        seed_steps(dataset, pipe_seed, (count, worker))
        if init_fn is not None:
            init_fn(worker)
    except Exception as error:
        failure = _failure(error, where)
    while (task := tasks.get()) is not None:
        number, indices, released = task
        sender.release(released)
        if number is None:  # another pass
            fetch = None
            seed_steps(dataset, indices)
            continue
        result = failure
        if failure is None:
            try:
                if fetch is None:
                    fetch = make_fetch(dataset, batched, collate_fn, drop_last)
                result = fetch(indices)
            except Exhausted:
                result = Exhausted
            except Exception as error:
                result = _failure(error, where)
        try:
            message = _transport.pack((number, result))
        except Exception as error:  # the data cannot be pickled
            message = _transport.pack((number, _failure(error, where)))
        del result, task, indices
        sender.send(message)


def generate_state(base_seed, worker_id):
    """Four numbers that seed NumPy in a worker."""
    from numpy.random import SeedSequence

    words = [worker_id, base_seed & 0xFFFFFFFF, (base_seed >> 32) & 0xFFFFFFFF, 0]
    return SeedSequence(words).generate_state(4).tolist()


def _seed_all(seed, worker):
    random.seed(seed + worker)
    flambeau.manual_seed(seed + worker)
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        numpy.random.seed(generate_state(seed, worker))


# -- in the parent ---------------------------------------------------------------------------------
class _Worker:
    """A process, the parent's end of its socket, and how many tasks it has in hand."""

    def __init__(self, context, setup):
        self.socket, theirs = socket.socketpair()
        _parent_ends.add(self.socket)
        self.process = context.Process(target=_work, args=(theirs, setup), daemon=True)
        try:
            with warnings.catch_warnings():  # flambeau's threads are safe to fork beside
                warnings.filterwarnings("ignore", ".*multi-threaded.*fork", DeprecationWarning)
                self.process.start()
        except BaseException:
            self.socket.close()
            raise
        finally:
            theirs.close()
        self.sender = _transport.Sender(self.socket)
        self.receiver = _transport.Receiver(self.socket)
        self.in_hand = 0
        self.ended = False  # its copy of an iterable dataset has no more

    def __getattr__(self, name):  # pid, is_alive() and join(), as programs ask of PyTorch's workers
        if name == "process":
            raise AttributeError(name)
        return getattr(self.process, name)


class WorkerPool(_BaseDataLoaderIter):
    """Passes over a dataset with batches made by worker processes."""

    def __init__(self, loader):
        super().__init__(loader)
        self.closed = False
        self._owner = os.getpid()
        self._workers = []
        self._poll = select.poll()
        self._by_handle = {}  # descriptor -> (worker, the descriptor if it is the process's)
        self._timeout = loader.timeout
        self._in_order = loader.in_order
        self._prefetch = loader.prefetch_factor
        self._persistent = loader.persistent_workers
        self._pass = Pass(loader)
        if self._pass.pipe_seed is not None:
            draw_seed(loader.generator)  # PyTorch draws one more here
        context = loader.multiprocessing_context
        if context is None:
            import multiprocessing

            context = multiprocessing.get_context()
        for worker in range(loader.num_workers):
            setup = (
                self._prefetch,
                worker,
                loader.num_workers,
                (self._pass.seed, self._pass.pipe_seed),
                loader.dataset,
                loader._auto_collation,
            )
            setup += (loader.collate_fn, loader.drop_last, loader.worker_init_fn)
            try:
                self._workers.append(_Worker(context, setup))
            except BaseException:
                self.close()
                raise
        for worker in self._workers:
            self._poll.register(worker.socket, select.POLLIN)
            self._by_handle[worker.socket.fileno()] = worker, None
            if hasattr(os, "pidfd_open"):  # a child of the worker may keep its socket open
                handle = os.pidfd_open(worker.process.pid)
                self._poll.register(handle, select.POLLIN)
                self._by_handle[handle] = worker, handle
        self._next_number = 0
        self._start(loader)

    def restart(self, loader):
        """Begins another pass with the same workers."""
        self._pass = Pass(loader, draw_base_seed=False)
        for worker in self._workers:
            self._tell(worker, None, self._pass.pipe_seed)
        self._start(loader)

    def _start(self, loader):
        self._watch = LengthWatch(loader)
        self._indices = self._pass.advance(iter(loader._index_sampler))
        self._waiting = {}  # task number -> worker, in the order given out
        self._arrived = {}
        self._first = self._next_number  # results of earlier passes are thrown away
        streams = isinstance(loader.dataset, IterableDataset)
        self._turn = 0 if streams else self._pass.skipped  # the worker whose batch it was
        for worker in self._workers:
            worker.ended = False
        for _ in range(self._prefetch):
            for _ in self._workers:
                self._give_task()
        if streams:
            for _ in range(self._pass.skipped):
                next(self)
                self._pass.batches -= 1

    def __next__(self):
        while not self.closed:
            if not self._waiting:
                self._pass.ended = True
                if not self._persistent:
                    self.close()
                raise StopIteration
            number = self._pick()
            if number is None:
                self._receive()
                continue
            worker = self._waiting.pop(number)
            data = self._arrived.pop(number)
            if data is Exhausted:
                worker.ended = True
                self._give_task()
                continue
            self._give_task()
            if isinstance(data, ExceptionWrapper):  # of this batch; the next may be asked for
                data.reraise()
            self._watch.count()
            self._pass.batches += 1
            return data
        raise StopIteration

    def _pick(self):
        """The number of the result to hand out now, None if it has not arrived."""
        if self._in_order:
            number = next(iter(self._waiting))
            return number if number in self._arrived else None
        return next(iter(self._arrived), None)

    def _give_task(self):
        if self._in_order:  # in turn, so that batches come in the same order every time
            for step in range(len(self._workers)):
                worker = self._workers[(self._turn + step) % len(self._workers)]
                if not worker.ended:
                    self._turn += step + 1
                    break
            else:
                return
        else:
            alive = [worker for worker in self._workers if not worker.ended]
            if not alive:
                return
            worker = min(alive, key=lambda worker: worker.in_hand)
        try:
            indices = next(self._indices)
        except StopIteration:
            return
        number = self._next_number
        self._next_number += 1
        self._waiting[number] = worker
        worker.in_hand += 1
        self._tell(worker, number, indices)

    def _tell(self, worker, number, indices):
        released = worker.receiver.released
        task = number, indices, [released.pop() for _ in range(len(released))]
        try:
            worker.sender.send(_transport.pack(task))
        except (BrokenPipeError, ConnectionResetError):
            self._report_death(worker)

    def _receive(self):
        """Waits for one message at least and files what has come."""
        wait = None if self._timeout == 0 else self._timeout * 1000
        ready = self._poll.poll(wait)
        if not ready:
            self.close(0.0)  # who is that late will not leave in time either
            raise RuntimeError(f"DataLoader timed out after {self._timeout} seconds")
        for handle, _ in ready:
            worker, process_handle = self._by_handle[handle]
            if process_handle is not None:
                self._report_death(worker)
            try:
                number, data = worker.receiver.receive()
            except (EOFError, ConnectionResetError):
                self._report_death(worker)
            worker.in_hand -= 1
            if number >= self._first:
                self._arrived[number] = data

    def _report_death(self, worker):
        worker.process.join(1)
        process, code = worker.process, worker.process.exitcode
        if code is None or code >= 0:
            what = f"exited unexpectedly with exit code {code}"
        else:
            number = signal.Signals(-code)
            what = f"is killed by signal: {signal.strsignal(number)} ({number.name})"
        self.close()
        raise RuntimeError(f"DataLoader worker (pid {process.pid}) {what}.")

    def close(self, grace=_LEAVE_SECONDS):
        """Ends the workers, by force after `grace` seconds; safe to call again, and in a process
        forked off since."""
        if self.closed:
            return
        self.closed = True
        self._waiting, self._arrived = {}, {}
        for _, process_handle in self._by_handle.values():
            if process_handle is not None:
                os.close(process_handle)
        if os.getpid() != self._owner:
            for worker in self._workers:
                worker.socket.close()
            return
        for worker in self._workers:
            with contextlib.suppress(OSError):
                worker.socket.shutdown(socket.SHUT_RDWR)  # whoever else holds a copy of it
            worker.socket.close()
        deadline = time.monotonic() + grace
        for worker in self._workers:
            worker.process.join(max(0.0, deadline - time.monotonic()))
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()

    def __del__(self):
        self.close()
