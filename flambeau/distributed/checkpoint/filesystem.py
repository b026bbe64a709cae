"""Where checkpoints are kept: a folder with a file of all values under their dotted names."""

import os

import flambeau

__all__ = ["FileSystemReader", "FileSystemWriter", "StorageReader", "StorageWriter"]

_FILE = "state.distcp"


class StorageWriter:
    """Keeps a dictionary of dotted names and values."""

    def write(self, values):
        raise NotImplementedError


class StorageReader:
    """Gives the dictionary back."""

    def read(self):
        raise NotImplementedError


class FileSystemWriter(StorageWriter):
    """Writes into a folder, which it makes."""

    def __init__(self, path, single_file_per_rank=True, sync_files=True, thread_count=1,
                 per_thread_copy_ahead=10_000_000, cache_staged_state_dict=False,
                 overwrite=True):  # fmt: skip
        self.path = os.fspath(path)
        self.overwrite = overwrite

    def write(self, values):
        os.makedirs(self.path, exist_ok=True)
        file = os.path.join(self.path, _FILE)
        if os.path.exists(file) and not self.overwrite:
            raise RuntimeError(f"Checkpoint already exists at {self.path} and overwrite=False")
        flambeau.save(values, file)


class FileSystemReader(StorageReader):
    """Reads what FileSystemWriter wrote."""

    def __init__(self, path):
        self.path = os.fspath(path)

    def read(self):
        return flambeau.load(os.path.join(self.path, _FILE))
