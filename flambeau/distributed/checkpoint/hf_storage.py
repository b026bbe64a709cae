"""Checkpoints as safetensors files."""

import glob
import os

import flambeau

from .filesystem import StorageReader, StorageWriter

__all__ = ["HuggingFaceStorageReader", "HuggingFaceStorageWriter"]


class HuggingFaceStorageWriter(StorageWriter):
    """Writes tensors to model-0000i-of-0000n.safetensors in a folder, by an index from 1."""

    def __init__(self, path, fqn_to_index_mapping=None, thread_count=1, save_distributed=False,
                 enable_consolidation=False, thread_count_consolidation=1):  # fmt: skip
        self.path = os.fspath(path)
        self._index = fqn_to_index_mapping or {}

    def write(self, values):
        from safetensors.torch import save_file

        os.makedirs(self.path, exist_ok=True)
        files = {}
        for name, value in values.items():
            if isinstance(value, flambeau.Tensor):
                files.setdefault(self._index.get(name, 1), {})[name] = value.contiguous()
        count = max(files, default=1)
        for index, tensors in files.items():
            name = f"model-{index:05d}-of-{count:05d}.safetensors"
            save_file(tensors, os.path.join(self.path, name))


class HuggingFaceStorageReader(StorageReader):
    """Reads all safetensors files of a folder."""

    def __init__(self, path, thread_count=1):
        self.path = os.fspath(path)

    def read(self):
        from safetensors.torch import load_file

        values = {}
        for file in sorted(glob.glob(os.path.join(self.path, "*.safetensors"))):
            values.update(load_file(file))
        return values
