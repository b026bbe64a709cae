"""Checkpoints of several processes: whole tensors in one place, parts put together on the way.

>>> import flambeau as torch, flambeau.distributed.checkpoint as dcp, tempfile
>>> state = {"w": torch.ones(2), "step": 3}
>>> with tempfile.TemporaryDirectory() as folder:
...     dcp.save(state, checkpoint_id=folder)
...     fresh = {"w": torch.zeros(2), "step": 0}
...     dcp.load(fresh, checkpoint_id=folder)
>>> fresh
{'w': tensor([1., 1.]), 'step': 3}
"""

from .filesystem import FileSystemReader, FileSystemWriter, StorageReader, StorageWriter
from .hf_storage import HuggingFaceStorageReader, HuggingFaceStorageWriter
from .state_dict_loader import load, load_state_dict
from .state_dict_saver import async_save, save, save_state_dict

__all__ = [
    "FileSystemReader",
    "FileSystemWriter",
    "HuggingFaceStorageReader",
    "HuggingFaceStorageWriter",
    "StorageReader",
    "StorageWriter",
    "async_save",
    "load",
    "load_state_dict",
    "save",
    "save_state_dict",
]
