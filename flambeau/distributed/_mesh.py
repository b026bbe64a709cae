"""Connections between all processes: messages go out at once and wait where they arrive.

A thread for each peer reads what comes into boxes, one for each (peer, channel, tag), so that a
sender never waits for its receiver and messages of different calls cannot be mistaken.
"""

import collections
import secrets
import struct
import threading

from . import _wire
from ._errors import DistBackendError

_HEADER = struct.Struct("!QqQ")  # channel, tag, bytes


class Mesh:
    """One socket to every other process of the world."""

    def __init__(self, store, rank, size, seconds, address="127.0.0.1"):
        self.rank = rank
        self._boxes = collections.defaultdict(collections.deque)
        self._arrived = threading.Condition()
        self._gone = {}  # peer -> why
        self._peers = {}
        self._locks = {}
        if size > 1:
            self._meet(store, size, seconds, address)
        for peer in self._peers:
            threading.Thread(target=self._read, args=(peer,), daemon=True).start()

    def _meet(self, store, size, seconds, address):
        """Connects to the ranks below, which check a secret from the store; accepts those above."""
        secret = secrets.token_hex(16)
        with _wire.listen() as listener:
            store.set(f"mesh/{self.rank}", f"{address} {listener.getsockname()[1]} {secret}")
            for peer in range(self.rank):
                host, port, word = store.get(f"mesh/{peer}").decode().split()
                made = _wire.connect(host, int(port), seconds)
                made.sendall(bytes.fromhex(word) + struct.pack("!Q", self.rank))
                self._peers[peer] = made
            listener.settimeout(seconds)
            while len(self._peers) < size - 1:
                try:
                    made, _ = listener.accept()
                    made.settimeout(seconds)
                    hello = _wire.read(made, 24)
                except EOFError:
                    continue
                except TimeoutError:
                    raise DistBackendError(
                        f"rank {self.rank}: {size - 1 - len(self._peers)} of {size} processes did "
                        f"not connect within {seconds:g} seconds"
                    ) from None
                if not secrets.compare_digest(bytes(hello[:16]), bytes.fromhex(secret)):
                    made.close()
                    continue
                made.settimeout(None)
                made.setsockopt(6, 1, 1)  # TCP_NODELAY
                self._peers[struct.unpack("!Q", hello[16:])[0]] = made
        self._locks = {peer: threading.Lock() for peer in self._peers}

    def _read(self, peer):
        connection = self._peers[peer]
        try:
            while True:
                channel, tag, nbytes = _HEADER.unpack(_wire.read(connection, _HEADER.size))
                data = _wire.read(connection, nbytes)
                with self._arrived:
                    self._boxes[peer, channel, tag].append(data)
                    self._arrived.notify_all()
        except (EOFError, OSError) as error:
            with self._arrived:
                self._gone[peer] = error
                self._arrived.notify_all()

    def send(self, peer, channel, tag, data):
        """Sends bytes; to oneself too."""
        if peer == self.rank:
            with self._arrived:
                self._boxes[peer, channel, tag].append(bytearray(data))
                self._arrived.notify_all()
            return
        try:
            with self._locks[peer]:
                self._peers[peer].sendall(_HEADER.pack(channel, tag, len(data)))
                self._peers[peer].sendall(data)
        except OSError as error:
            raise DistBackendError(f"rank {self.rank}: sending to rank {peer}: {error}") from None

    def ready(self, peers, channel, tag):
        """The first of these peers from which such a message is here, None if there is none."""
        return next((peer for peer in peers if self._boxes.get((peer, channel, tag))), None)

    def receive(self, peers, channel, tag, seconds):
        """(peer, bytes) of the next such message from one of these peers."""

        def anything():
            return self.ready(peers, channel, tag) is not None or all(
                p in self._gone for p in peers
            )

        with self._arrived:
            if not self._arrived.wait_for(anything, seconds):
                raise DistBackendError(
                    f"rank {self.rank}: timed out after {seconds:g} seconds waiting for rank "
                    f"{', '.join(map(str, peers))}"
                )
            peer = self.ready(peers, channel, tag)
            if peer is None:
                raise DistBackendError(
                    f"rank {self.rank}: connection closed by rank {peers[0]}: "
                    f"{self._gone[peers[0]]}"
                )
            box = self._boxes[peer, channel, tag]
            data = box.popleft()
            if not box:
                del self._boxes[peer, channel, tag]
            return peer, data

    def close(self):
        for connection in self._peers.values():
            try:
                connection.shutdown(2)  # both ways, which also wakes the reader
            except OSError:
                pass
            connection.close()
