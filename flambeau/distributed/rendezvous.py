"""How processes find each other: by the environment, an address or a file."""

import os
from urllib.parse import parse_qs, urlsplit

from ._store import _DEFAULT, FileStore, TCPStore

_handlers = {}


def register_rendezvous_handler(scheme, handler):
    """handler(url, timeout=...) yields (store, rank, world_size) for URLs of a scheme."""
    if scheme in _handlers:
        raise RuntimeError(f"Rendezvous handler for {scheme}:// already registered")
    _handlers[scheme] = handler


def _numbers(url, rank, world_size, kind):
    query = parse_qs(url.query)
    rank = rank if rank >= 0 else int(query.get("rank", [-1])[0])
    world_size = world_size if world_size > 0 else int(query.get("world_size", [-1])[0])
    for name, value in (("rank", rank), ("world size", world_size)):
        if value < 0:
            raise ValueError(
                f"Error initializing torch.distributed using {kind}:// rendezvous: "
                f"{name} parameter missing"
            )
    return rank, world_size


def _environment(name):
    value = os.environ.get(name)
    if value is None:
        raise ValueError(
            "Error initializing torch.distributed using env:// rendezvous: environment variable "
            f"{name} expected, but not set"
        )
    return value


def _by_address(host, port, rank, world_size, timeout):
    outside = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    master = rank == 0 and not outside
    return TCPStore(host, port, world_size, master, timeout, wait_for_workers=False)


def rendezvous(url, rank=-1, world_size=-1, timeout=_DEFAULT):
    """(store, rank, world_size) of a URL: env://, tcp://host:port or file:///path."""
    parts = urlsplit(url)
    if parts.scheme in _handlers:
        return next(iter(_handlers[parts.scheme](url, timeout=timeout)))
    if parts.scheme == "env":
        rank = rank if rank >= 0 else int(_environment("RANK"))
        world_size = world_size if world_size > 0 else int(_environment("WORLD_SIZE"))
        host, port = _environment("MASTER_ADDR"), int(_environment("MASTER_PORT"))
        return _by_address(host, port, rank, world_size, timeout), rank, world_size
    if parts.scheme == "tcp":
        if parts.port is None:
            raise ValueError(
                "Error initializing torch.distributed using tcp:// rendezvous: port number missing"
            )
        rank, world_size = _numbers(parts, rank, world_size, "tcp")
        store = _by_address(parts.hostname, parts.port, rank, world_size, timeout)
        return store, rank, world_size
    if parts.scheme == "file":
        path = parts.netloc + parts.path
        if not path:
            raise ValueError(
                "Error initializing torch.distributed using file:// rendezvous: path missing"
            )
        rank, world_size = _numbers(parts, rank, world_size, "file")
        return FileStore(path, world_size), rank, world_size
    raise RuntimeError(f"No rendezvous handler for {parts.scheme}://")
