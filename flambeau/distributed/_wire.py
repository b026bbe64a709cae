"""Bytes over sockets: messages of several parts, addresses, connecting with patience."""

import socket
import struct
import time

from ._errors import DistNetworkError

_COUNT = struct.Struct("!Q")


def read_into(connection, view):
    """Fills a view; EOFError if the other side closes before."""
    at = 0
    while at < len(view):
        count = connection.recv_into(view[at:])
        if not count:
            raise EOFError("connection closed")
        at += count


def read(connection, nbytes):
    data = bytearray(nbytes)
    read_into(connection, memoryview(data))
    return data


def send_parts(connection, parts):
    text = [_COUNT.pack(len(parts))]
    for part in parts:
        text += [_COUNT.pack(len(part)), part]
    connection.sendall(b"".join(text))


def receive_parts(connection):
    (count,) = _COUNT.unpack(read(connection, _COUNT.size))
    parts = []
    for _ in range(count):
        (nbytes,) = _COUNT.unpack(read(connection, _COUNT.size))
        parts.append(bytes(read(connection, nbytes)))
    return parts


def listen(host="", port=0):
    """A listening socket, of both families where the machine has both."""
    if not host and socket.has_dualstack_ipv6():
        try:
            return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
        except OSError as error:
            if port:
                raise _refused("listen on", host, port, error) from None
    try:
        return socket.create_server((host, port))
    except OSError as error:
        raise _refused("listen on", host, port, error) from None


def _refused(verb, host, port, error):
    return DistNetworkError(f"failed to {verb} {host or '*'}:{port}: {error}")


def connect(host, port, seconds):
    """A connection to a server that may start later."""
    end = time.monotonic() + seconds
    pause = 0.002
    while True:
        try:
            made = socket.create_connection((host, port), max(0.1, end - time.monotonic()))
        except OSError as error:
            if time.monotonic() + pause > end:
                raise _refused("connect to", host, port, error) from None
            time.sleep(pause)
            pause = min(2 * pause, 0.2)
        else:
            made.settimeout(None)
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return made


def own_address(towards):
    """The address at which others that reach `towards` reach this machine."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((towards or "127.0.0.1", 9))
            return probe.getsockname()[0]
        except OSError:
            return "127.0.0.1"
