"""Event files for TensorBoard: needs its package, which the extra `tensorboard` brings."""

try:
    import tensorboard
except ImportError as error:
    raise ImportError(
        "flambeau.utils.tensorboard needs the tensorboard package: pip install tensorboard"
    ) from error

from tensorboard.summary.writer.record_writer import RecordWriter

from .writer import FileWriter, SummaryWriter

__all__ = ["FileWriter", "RecordWriter", "SummaryWriter"]
