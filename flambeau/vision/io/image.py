"""Reading and writing PNG, JPEG, GIF, WebP and AVIF."""

import enum
import io
import os

import flambeau


class ImageReadMode(enum.Enum):
    """The channels wanted; UNCHANGED leaves those of the file."""

    UNCHANGED = 0
    GRAY = 1
    GRAY_ALPHA = 2
    RGB = 3
    RGB_ALPHA = 4
    RGBA = RGB_ALPHA


_MODES = {"GRAY": "L", "GRAY_ALPHA": "LA", "RGB": "RGB", "RGB_ALPHA": "RGBA"}


def _pillow():
    try:
        from PIL import Image
    except ImportError:
        raise ImportError(
            "flambeau.vision.io needs Pillow to read and write images: pip install pillow"
        ) from None
    return Image


def _bytes(input, name):
    if not isinstance(input, flambeau.Tensor) or input.dtype != flambeau.uint8 or input.dim() != 1:
        raise RuntimeError(f"{name}(): expected a uint8 tensor of one dimension")
    if input.numel() == 0:
        raise RuntimeError(f"{name}(): the input is empty")
    return input.contiguous().numpy().tobytes()


def _mode(mode):
    if isinstance(mode, str):
        return ImageReadMode[mode.upper()]
    return ImageReadMode(mode) if isinstance(mode, int) else mode


def _wanted(mode):
    """Pillow's name of the channels wanted; None for those of the file."""
    return _MODES.get(_mode(mode).name)


def _in_mode(image, wanted):
    """The picture in a mode of bytes that [C, H, W] stands for."""
    if wanted is None:  # of a palette the numbers of its colours
        return image.convert({"1": "L", "YCbCr": "RGB"}.get(image.mode, image.mode))
    if image.mode in ("P", "PA"):
        alpha = image.mode == "PA" or "transparency" in image.info
        image = image.convert("RGBA" if alpha else "RGB")
    return image if image.mode == wanted else image.convert(wanted)


def _deep(values, wanted):
    """[H, W, C] of 16 bits with the channels wanted."""
    import numpy

    if wanted is None:
        return values
    colors, alpha = (
        (values[:, :, :-1], values[:, :, -1:]) if values.shape[2] in (2, 4) else (values, None)
    )
    if wanted in ("L", "LA") and colors.shape[2] == 3:
        # shares of 0.2989 red and 0.587 green in 15 bits, rounded
        colors = (colors @ numpy.array([9794, 19235, 3739]) + 16384 >> 15).astype(numpy.uint16)
        colors = colors[:, :, None]
    elif wanted in ("RGB", "RGBA"):
        colors = numpy.broadcast_to(colors, (*colors.shape[:2], 3))
    if not wanted.endswith("A"):
        return colors
    if alpha is None:
        alpha = numpy.full((*colors.shape[:2], 1), 65535, numpy.uint16)
    return numpy.concatenate([colors, alpha], 2)


def _array(image, wanted):
    """The picture's numbers, [H, W, C]."""
    import numpy

    if image.mode.startswith("I"):  # 16 bits of grey
        return _deep(numpy.array(image).astype(numpy.uint16)[:, :, None], wanted)
    array = numpy.array(_in_mode(image, wanted))
    return array[:, :, None] if array.ndim == 2 else array


def _read(image, wanted, data, upright):
    from PIL import ImageOps

    from ._png import read_deep

    if image.format == "JPEG":
        if wanted in ("LA", "RGBA"):
            raise ValueError("The provided mode is not supported for JPEG files")
        if wanted == "L":
            image.draft("L", image.size)  # the file's own brightness, not that of its colours
    values = read_deep(data) if image.format == "PNG" and not image.mode.startswith("I") else None
    if values is not None:
        return _deep(values, wanted)
    image.load()
    if image.mode == "CMYK" and wanted is None and "adobe" in image.info:
        return 255 - _array(image, None)  # as the file has them: Adobe's are upside down
    return _array(ImageOps.exif_transpose(image) if upright else image, wanted)


def _decode(input, name, formats, read):
    """What `read(picture, bytes)` makes, as [C, H, W], or [N, C, H, W] of a list.

    Whatever a damaged file makes Pillow raise comes out as RuntimeError.
    """
    data = _bytes(input, name)
    try:
        with _pillow().open(io.BytesIO(data), formats=formats) as image:
            found = read(image, data)
    except ImportError:
        raise
    except Exception as error:
        raise RuntimeError(f"{name}(): {error}") from error
    frames = found if isinstance(found, list) else [found]
    frames = [flambeau.from_numpy(frame.transpose(2, 0, 1).copy()) for frame in frames]
    return frames[0] if len(frames) == 1 else flambeau.stack(frames)


def _decode_still(input, mode, name, formats=None, upright=False):
    wanted = _wanted(mode)
    return _decode(input, name, formats, lambda image, data: _read(image, wanted, data, upright))


def decode_png(input, mode=ImageReadMode.UNCHANGED, apply_exif_orientation=False):
    """[C, H, W] from the bytes of a PNG file; uint16 where it has 16 bits."""
    return _decode_still(input, mode, "decode_png", ["PNG"], apply_exif_orientation)


def decode_jpeg(input, mode=ImageReadMode.UNCHANGED, device="cpu", apply_exif_orientation=False):
    """[C, H, W] from the bytes of a JPEG file, or a list of them."""
    if isinstance(input, (list, tuple)):
        return [decode_jpeg(item, mode, device, apply_exif_orientation) for item in input]
    made = _decode_still(input, mode, "decode_jpeg", ["JPEG"], apply_exif_orientation)
    return made.to(device)


def decode_webp(input, mode=ImageReadMode.UNCHANGED):
    """[C, H, W] from the bytes of a WebP file."""
    return _decode_still(input, mode, "decode_webp", ["WEBP"])


def decode_avif(input, mode=ImageReadMode.UNCHANGED):
    """[C, H, W] from the bytes of an AVIF file, where Pillow can read it."""
    return _decode_still(input, mode, "decode_avif", ["AVIF"])


def decode_heic(input, mode=ImageReadMode.UNCHANGED):
    """[C, H, W] from the bytes of a HEIC file, with the plug-in pillow-heif."""
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        raise RuntimeError(
            "decode_heic(): HEIC needs the package pillow-heif: pip install pillow-heif"
        ) from None
    register_heif_opener()
    return _decode_still(input, mode, "decode_heic", ["HEIF"])


def decode_gif(input):
    """[3, H, W], or [N, 3, H, W] where there are several frames."""
    from PIL import ImageSequence

    def frames(image, data):
        return [_array(frame.convert("RGB"), "RGB") for frame in ImageSequence.Iterator(image)]

    return _decode(input, "decode_gif", ["GIF"], frames)


def decode_image(input, mode=ImageReadMode.UNCHANGED, apply_exif_orientation=False):
    """[C, H, W] from the bytes of an image file, or from its path.

    >>> import flambeau as torch
    >>> from flambeau.vision.io import decode_image, encode_png
    >>> decode_image(encode_png(torch.zeros(3, 2, 4, dtype=torch.uint8))).shape
    torch.Size([3, 2, 4])
    """
    if not isinstance(input, flambeau.Tensor):
        input = read_file(input)
    data = _bytes(input, "decode_image")
    if data[:3] == b"GIF":
        return decode_gif(input)
    if data[4:12] in (b"ftypheic", b"ftypheix"):
        return decode_heic(input, mode)
    return _decode_still(input, mode, "decode_image", None, apply_exif_orientation)


def read_image(path, mode=ImageReadMode.UNCHANGED, apply_exif_orientation=False):
    """[C, H, W] from an image file."""
    return decode_image(read_file(path), mode, apply_exif_orientation)


def read_file(path):
    """The bytes of a file as a uint8 tensor."""
    try:
        with open(os.fspath(path), "rb") as file:
            data = file.read()
    except OSError as error:
        raise RuntimeError(f"[Errno {error.errno}] {error.strerror}: '{path}'") from error
    if not data:
        raise RuntimeError(f"Expected a non empty file: '{path}'")
    return flambeau.frombuffer(bytearray(data), dtype=flambeau.uint8)


def write_file(filename, data):
    """Writes a uint8 tensor of one dimension as a file."""
    content = _bytes(data, "write_file")
    with open(os.fspath(filename), "wb") as file:
        file.write(content)


def _encode(input, name, format, **options):
    if input.dtype != flambeau.uint8:
        raise RuntimeError(f"Input tensor dtype should be uint8, got {input.dtype}")
    if input.dim() != 3 or input.shape[0] not in (1, 3):
        raise RuntimeError(f"{name}(): expected [1 or 3, H, W], got shape {tuple(input.shape)}")
    pixels = input.permute(1, 2, 0).contiguous().numpy()
    picture = _pillow().fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    file = io.BytesIO()
    picture.save(file, format, **options)
    return flambeau.frombuffer(bytearray(file.getvalue()), dtype=flambeau.uint8)


def encode_png(input, compression_level=6):
    """The bytes of a PNG file from uint8 [1 or 3, H, W]."""
    if not 0 <= compression_level <= 9:
        raise RuntimeError("Compression level should be between 0 and 9")
    return _encode(input, "encode_png", "PNG", compress_level=compression_level)


def encode_jpeg(input, quality=75):
    """The bytes of a JPEG file from uint8 [1 or 3, H, W], or a list of them."""
    if not 1 <= quality <= 100:
        raise ValueError("Image quality should be a positive number between 1 and 100")
    if isinstance(input, (list, tuple)):
        return [encode_jpeg(image, quality) for image in input]
    return _encode(input, "encode_jpeg", "JPEG", quality=quality)


def write_png(input, filename, compression_level=6):
    """Writes uint8 [1 or 3, H, W] as a PNG file."""
    write_file(filename, encode_png(input, compression_level))


def write_jpeg(input, filename, quality=75):
    """Writes uint8 [1 or 3, H, W] as a JPEG file."""
    write_file(filename, encode_jpeg(input, quality))
