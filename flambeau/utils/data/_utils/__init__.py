"""Parts of data loading where PyTorch keeps them."""

from . import collate, pin_memory, worker
