"""PNG files of 16 bits, for which Pillow has modes only where they are grey."""

import struct
import zlib

_CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}  # by the type of colour


def read_deep(data):
    """[H, W, channels] of 16 bits; None where the file is not one of those."""
    import numpy

    if data[:8] != b"\x89PNG\r\n\x1a\n" or data[12:16] != b"IHDR" or len(data) < 33:
        return None
    width, height, depth, color, _, _, interlaced = struct.unpack(">2I5B", data[16:29])
    if depth != 16 or interlaced or color not in _CHANNELS:
        return None
    size, at, unpack = 2 * _CHANNELS[color], 8, zlib.decompressobj()
    line = 1 + size * width
    if width * height == 0 or width * height > 2**28:
        raise ValueError(f"an image of {width} x {height} pixels")
    pixels = b""
    while at < len(data):
        if at + 8 > len(data):
            raise ValueError("the file ends within a chunk")
        (length,) = struct.unpack(">I", data[at : at + 4])
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        if kind == b"IDAT":
            pixels += unpack.decompress(body, height * line - len(pixels) + 1)
        at += 12 + length
    if len(pixels) < height * line:
        raise ValueError("the file ends within the image")
    rows = numpy.frombuffer(pixels[: height * line], numpy.uint8).reshape(height, line)
    image = _unfilter(rows[:, 0], rows[:, 1:].astype(numpy.int64), size)
    image = image.reshape(height, width, size // 2, 2)
    return (image[..., 0] << 8 | image[..., 1]).astype(numpy.uint16)


def _unfilter(filters, rows, size):
    """The filters undone (RFC 2083, section 6); pixels have `size` bytes."""
    import numpy

    above = numpy.zeros(rows.shape[1], numpy.int64)
    for kind, row in zip(filters, rows, strict=True):
        pixels, up = row.reshape(-1, size), above.reshape(-1, size)
        if kind == 1:
            pixels[:] = numpy.cumsum(pixels, axis=0) & 255
        elif kind == 2:
            pixels[:] = (pixels + up) & 255
        elif kind in (3, 4):
            left = corner = numpy.zeros(size, numpy.int64)
            for i in range(len(pixels)):
                guess = (left + up[i]) // 2 if kind == 3 else _paeth(left, up[i], corner)
                left = pixels[i] = (pixels[i] + guess) & 255
                corner = up[i]
        above = row
    return rows


def _paeth(a, b, c):
    import numpy

    p = a + b - c
    da, db, dc = abs(p - a), abs(p - b), abs(p - c)
    return numpy.where((da <= db) & (da <= dc), a, numpy.where(db <= dc, b, c))
