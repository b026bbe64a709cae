"""Memory shared between processes: anonymous files that are passed on by their descriptors.

They have no name, so nothing is left behind whoever is killed when.
"""

import mmap
import os
import weakref

from . import storage as _storage

_descriptors = {}  # address of a mapping -> the descriptor of its file
_mappings = weakref.WeakValueDictionary()  # (device, inode) of a file -> its mapping here


def _anonymous(nbytes):
    if hasattr(os, "memfd_create"):
        handle = os.memfd_create("flambeau", os.MFD_CLOEXEC)
    else:
        import tempfile

        with tempfile.TemporaryFile() as file:
            handle = os.dup(file.fileno())
    os.ftruncate(handle, nbytes)
    return handle


def _forget(address):
    os.close(_descriptors.pop(address))


def opened(handle, nbytes):
    """The storage over the file behind a descriptor, which belongs to it from here on."""
    status = os.fstat(handle)
    mapping = _mappings.get((status.st_dev, status.st_ino))
    if mapping is not None:
        os.close(handle)
        return _storage._over(mapping)
    mapping = mmap.mmap(handle, nbytes)
    _mappings[status.st_dev, status.st_ino] = mapping
    made = _storage._over(mapping)
    _descriptors[made.data_ptr()] = handle
    weakref.finalize(mapping, _forget, made.data_ptr()).atexit = False
    return made


def descriptor(storage):
    """The descriptor behind a shared storage, None for another."""
    return _descriptors.get(storage.data_ptr()) if storage.nbytes() else None


def share(storage):
    """Moves a storage's bytes into shared memory; every tensor on it follows."""
    if storage.nbytes() and descriptor(storage) is None:
        moved = opened(_anonymous(storage.nbytes()), storage.nbytes())
        moved.copy_(storage)
        storage._take(moved)
    return storage
