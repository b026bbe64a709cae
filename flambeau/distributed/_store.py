"""Stores: keys and values that processes share, by which they find each other."""

import datetime
import os
import threading
import time

from . import _wire
from ._errors import DistError, DistNetworkError, DistStoreError

_DEFAULT = datetime.timedelta(seconds=300)


def seconds_of(timeout):
    """A timeout in seconds, from a timedelta or a number."""
    return timeout.total_seconds() if isinstance(timeout, datetime.timedelta) else float(timeout)


def _bytes(value):
    return value.encode() if isinstance(value, str) else bytes(value)


class Store:
    """Keys that processes set, add to and wait for. Subclasses say where they are kept."""

    def __init__(self):
        self._timeout = _DEFAULT

    @property
    def timeout(self):
        return self._timeout

    def set_timeout(self, timeout):
        """How long `get` and `wait` wait."""
        self._timeout = timeout

    def set(self, key, value):
        """Sets a key to a text or bytes."""
        self._change(key, lambda old: _bytes(value))

    def get(self, key):
        """The bytes of a key, as soon as somebody has set it; DistStoreError after the timeout."""
        self.wait([key])
        return self._read()[key]

    def add(self, key, amount):
        """Adds to a key that counts, and gives the sum."""
        return int(self._change(key, lambda old: str(int(old or 0) + amount).encode()))

    def append(self, key, value):
        """Appends bytes to those of a key."""
        self._change(key, lambda old: (old or b"") + _bytes(value))

    def compare_set(self, key, expected_value, desired_value):
        """Sets a key if it is as expected, or not set and b"" expected; gives what it is then."""
        expected, desired = _bytes(expected_value), _bytes(desired_value)

        def change(old):
            if old is None:
                return desired if not expected else None
            return desired if old == expected else old

        made = self._change(key, change)
        return expected if made is None else made

    def check(self, keys):
        """Whether all of the keys are set."""
        known = self._read()
        return all(key in known for key in keys)

    def wait(self, keys, timeout=None):
        """Returns once all keys are set."""
        seconds = seconds_of(self._timeout if timeout is None else timeout)
        end = time.monotonic() + seconds
        pause = 0.001
        while not self.check(keys):
            if time.monotonic() > end:
                raise late(keys, seconds)
            time.sleep(pause)
            pause = min(2 * pause, 0.05)

    def delete_key(self, key):
        """Removes a key; whether it was there."""
        there = key in self._read()
        self._change(key, lambda old: None)
        return there

    def num_keys(self):
        return len(self._read())

    def multi_get(self, keys):
        self.wait(keys)
        known = self._read()
        return [known[key] for key in keys]

    def multi_set(self, keys, values):
        for key, value in zip(keys, values):
            self.set(key, value)

    def has_extended_api(self):
        return True


def late(keys, seconds):
    return DistStoreError(f"wait timeout after {int(seconds * 1000)}ms, keys: {', '.join(keys)}")


class HashStore(Store):
    """A store within a process, for its threads.

    >>> import flambeau.distributed as dist
    >>> store = dist.HashStore()
    >>> store.set("a", "1")
    >>> store.get("a"), store.add("n", 2)
    (b'1', 2)
    """

    def __init__(self):
        super().__init__()
        self._values = {}
        self._changed = threading.Condition()

    def _read(self):
        return self._values

    def _change(self, key, change):
        with self._changed:
            value = change(self._values.get(key))
            if value is None:
                self._values.pop(key, None)
            else:
                self._values[key] = value
            self._changed.notify_all()
            return value

    def wait(self, keys, timeout=None):
        seconds = seconds_of(self._timeout if timeout is None else timeout)
        with self._changed:
            if not self._changed.wait_for(lambda: self.check(keys), seconds):
                raise late(keys, seconds)


class FileStore(Store):
    """A store in a file that all processes see. The file is removed with the last of them.

    >>> import flambeau.distributed as dist, tempfile, os
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     dist.FileStore(os.path.join(folder, "store"), 1).add("n", 3)
    3
    """

    def __init__(self, file_name, world_size=-1):
        super().__init__()
        self.path = os.fspath(file_name)
        open(self.path, "ab").close()

    def _locked(self, change):
        import fcntl
        import json

        with open(self.path, "r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX if change else fcntl.LOCK_SH)
            text = file.read()
            values = json.loads(text) if text else {}
            values = {key: bytes.fromhex(value) for key, value in values.items()}
            if change:
                change(values)
                file.seek(0)
                file.truncate()
                file.write(json.dumps({k: v.hex() for k, v in values.items()}).encode())
            return values

    def _read(self):
        return self._locked(None)

    def _change(self, key, change):
        def within(values):
            value = change(values.pop(key, None))
            if value is not None:
                values[key] = value

        return self._locked(within).get(key)


class PrefixStore(Store):
    """A part of another store: all keys get a prefix."""

    def __init__(self, prefix, store):
        super().__init__()
        self.prefix = prefix
        self.underlying_store = store

    @property
    def timeout(self):
        return self.underlying_store.timeout

    def set_timeout(self, timeout):
        self.underlying_store.set_timeout(timeout)

    def _key(self, key):
        return f"{self.prefix}/{key}"

    def num_keys(self):
        return self.underlying_store.num_keys()

    def check(self, keys):
        return self.underlying_store.check([self._key(key) for key in keys])

    def wait(self, keys, *timeout):
        self.underlying_store.wait([self._key(key) for key in keys], *timeout)

    def multi_get(self, keys):
        return self.underlying_store.multi_get([self._key(key) for key in keys])


def _forward(cls, names, call):
    for name in names:

        def method(self, key, *args, _name=name):
            return call(self, _name, key, *args)

        method.__name__ = name
        method.__doc__ = getattr(Store, name).__doc__
        setattr(cls, name, method)


_BY_KEY = "set get add append compare_set delete_key".split()
_forward(
    PrefixStore,
    _BY_KEY,
    lambda self, name, key, *args: getattr(self.underlying_store, name)(self._key(key), *args),
)


# -- over TCP --------------------------------------------------------------------------------------


def _serve(listener, store):
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:  # closed
            return
        threading.Thread(target=_answer, args=(connection, store), daemon=True).start()


def _answer(connection, store):
    with connection:
        try:
            while True:
                name, *arguments = _wire.receive_parts(connection)
                _wire.send_parts(connection, _answered(store, name.decode(), arguments))
        except (EOFError, OSError):
            return


def _answered(store, name, arguments):
    try:
        if name == "wait":
            seconds, *keys = arguments
            store.wait([key.decode() for key in keys], float(seconds))
            return [b"ok"]
        if name == "check":
            return [b"ok", b"1" if store.check([key.decode() for key in arguments]) else b"0"]
        if name == "num_keys":
            return [b"ok", str(store.num_keys()).encode()]
        if name not in _BY_KEY:
            return [b"error", f"unknown request {name!r}".encode()]
        key, *rest = arguments
        if name == "add":
            rest = [int(rest[0])]
        made = getattr(store, name)(key.decode(), *rest)
        if made is None:
            return [b"ok"]
        return [b"ok", made if isinstance(made, bytes) else str(int(made)).encode()]
    except DistStoreError as error:
        return [b"late", str(error).encode()]
    except Exception as error:
        return [b"error", f"{type(error).__name__}: {error}".encode()]


class TCPStore(Store):
    """A store in one process, the master, that others reach over TCP.

    Port 0 takes a free one, which `port` tells.

    >>> import flambeau.distributed as dist
    >>> store = dist.TCPStore("127.0.0.1", 0, is_master=True)
    >>> other = dist.TCPStore("127.0.0.1", store.port)
    >>> other.set("a", "1")
    >>> store.get("a")
    b'1'
    """

    def __init__(
        self,
        host_name,
        port,
        world_size=None,
        is_master=False,
        timeout=_DEFAULT,
        wait_for_workers=True,
        multi_tenant=False,
        master_listen_fd=None,
        use_libuv=True,
    ):
        super().__init__()
        self._timeout = timeout
        self.host = host_name
        self._lock = threading.Lock()
        self._listener = None
        if is_master:
            if master_listen_fd is not None:
                import socket

                self._listener = socket.socket(fileno=master_listen_fd)
            else:
                self._listener = _wire.listen("", port)
            port = self._listener.getsockname()[1]
            arguments = self._listener, HashStore()
            threading.Thread(target=_serve, args=arguments, daemon=True).start()
        self.port = port
        self._connection = _wire.connect(host_name, port, seconds_of(timeout))
        if world_size is not None and world_size > 0:
            here = self.add("init/", 1)
            if here == world_size:
                self.set("init/all", b"1")
            if wait_for_workers and is_master:
                self.wait(["init/all"])

    def __del__(self):
        for end in (getattr(self, "_connection", None), getattr(self, "_listener", None)):
            if end is not None:
                end.close()

    def _ask(self, name, *arguments):
        parts = [_bytes(str(a) if isinstance(a, (int, float)) else a) for a in arguments]
        try:
            with self._lock:
                _wire.send_parts(self._connection, [name.encode(), *parts])
                state, *result = _wire.receive_parts(self._connection)
        except (EOFError, OSError) as error:
            raise DistNetworkError(
                f"the store at {self.host}:{self.port} has gone: {error}"
            ) from None
        if state == b"late":
            raise DistStoreError(result[0].decode())
        if state == b"error":
            raise DistError(result[0].decode())
        return result[0] if result else None

    def wait(self, keys, timeout=None):
        seconds = seconds_of(self._timeout if timeout is None else timeout)
        self._ask("wait", seconds, *keys)

    def get(self, key):
        self.wait([key])
        return self._ask("get", key)

    def add(self, key, amount):
        return int(self._ask("add", key, amount))

    def delete_key(self, key):
        return self._ask("delete_key", key) == b"1"

    def check(self, keys):
        return self._ask("check", *keys) == b"1"

    def num_keys(self):
        return int(self._ask("num_keys"))

    def multi_get(self, keys):
        return [self.get(key) for key in keys]


_forward(
    TCPStore, "set append compare_set".split(), lambda self, name, *args: self._ask(name, *args)
)
for _class in (Store, HashStore, FileStore, PrefixStore, TCPStore):
    _class.__module__ = "flambeau.distributed"
