"""Points for TensorBoard's projector: tables of text, a sheet of pictures, a configuration."""

import math
import os

import numpy as np
from google.protobuf import text_format
from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig

from . import summary


def write_embedding(log_dir, points, metadata, pictures, step, tag, header):
    """Writes points (N, D) with optional labels and pictures (N, C, H, W) under log_dir."""
    if points.ndim != 2:
        raise AssertionError("mat should be 2D, where mat.size(0) is the number of data points")
    place = f"{0 if step is None else step:05d}/{tag.replace('/', '%')}"
    folder = os.path.join(log_dir, place)
    os.makedirs(folder, exist_ok=True)
    config, path = ProjectorConfig(), os.path.join(log_dir, "projector_config.pbtxt")
    if os.path.exists(path):
        with open(path) as file:
            text_format.Parse(file.read(), config)
    entry = config.embeddings.add()
    entry.tensor_name = f"{tag}:{0 if step is None else step:05d}"
    entry.tensor_path = f"{place}/tensors.tsv"
    if metadata is not None:
        if len(metadata) != len(points):
            raise AssertionError("#labels should equal with #data points")
        entry.metadata_path = f"{place}/metadata.tsv"
        rows = [metadata] if header is None else [[header], metadata]
        lines = [
            "\t".join(map(str, row)) if isinstance(row, (list, tuple)) else str(row)
            for part in rows
            for row in part
        ]
        _write(os.path.join(folder, "metadata.tsv"), lines)
    if pictures is not None:
        if len(pictures) != len(points):
            raise AssertionError("#images should equal with #data points")
        entry.sprite.image_path = f"{place}/sprite.png"
        entry.sprite.single_image_dim.extend([pictures.shape[3], pictures.shape[2]])
        _write_sheet(os.path.join(folder, "sprite.png"), summary.array(pictures))
    _write(os.path.join(folder, "tensors.tsv"), ["\t".join(map(repr, r)) for r in points.tolist()])
    with open(path, "w") as file:
        file.write(text_format.MessageToString(config))


def _write(path, lines):
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")


def _write_sheet(path, pictures):
    """A square sheet of the pictures, row by row."""
    from PIL import Image

    n, c, h, w = pictures.shape
    side = math.ceil(math.sqrt(n))
    sheet = np.zeros((side * side, c, h, w), pictures.dtype)
    sheet[:n] = pictures
    sheet = (
        sheet.reshape(side, side, c, h, w).transpose(0, 3, 1, 4, 2).reshape(side * h, side * w, c)
    )
    sheet = sheet.repeat(3, axis=2) if c == 1 else sheet
    Image.fromarray(summary.to_bytes(sheet)).save(path)
