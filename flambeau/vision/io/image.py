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


def _open(data, name, formats=None):
    Image = _pillow()
    try:
        image = Image.open(io.BytesIO(data), formats=formats)
        image.load()
    except Exception as error:
        raise RuntimeError(f"{name}(): {error}") from error
    return image


def _array(image, mode):
    """A picture as [C, H, W]."""
    import numpy

    wanted = _MODES.get(_mode(mode).name)
    deep = image.mode.startswith("I;16") or image.mode == "I"
    if not deep:
        if image.mode in ("P", "PA"):
            alpha = image.mode == "PA" or "transparency" in image.info
            image = image.convert("RGBA" if alpha else "RGB")
        elif image.mode == "1" or (image.mode == "CMYK" and wanted is None):
            image = image.convert("L" if image.mode == "1" else "RGB")
        if wanted is not None and image.mode != wanted:
            image = image.convert(wanted)
    array = numpy.array(image)
    if deep:
        array = array.astype(numpy.uint16)
    array = array[:, :, None] if array.ndim == 2 else array
    return flambeau.from_numpy(array.transpose(2, 0, 1).copy())


def _decode(input, mode, name, formats=None, upright=False):
    image = _open(_bytes(input, name), name, formats)
    if upright:
        from PIL import ImageOps

        image = ImageOps.exif_transpose(image)
    return _array(image, mode)


def decode_png(input, mode=ImageReadMode.UNCHANGED, apply_exif_orientation=False):
    """[C, H, W] from the bytes of a PNG file; uint16 where it has 16 bits."""
    return _decode(input, mode, "decode_png", ["PNG"], apply_exif_orientation)


def decode_jpeg(input, mode=ImageReadMode.UNCHANGED, device="cpu", apply_exif_orientation=False):
    """[C, H, W] from the bytes of a JPEG file, or a list of them."""
    if isinstance(input, (list, tuple)):
        return [decode_jpeg(item, mode, device, apply_exif_orientation) for item in input]
    made = _decode(input, mode, "decode_jpeg", ["JPEG"], apply_exif_orientation)
    return made.to(device)


def decode_webp(input, mode=ImageReadMode.UNCHANGED):
    """[C, H, W] from the bytes of a WebP file."""
    return _decode(input, mode, "decode_webp", ["WEBP"])


def decode_avif(input, mode=ImageReadMode.UNCHANGED):
    """[C, H, W] from the bytes of an AVIF file, where Pillow can read it."""
    return _decode(input, mode, "decode_avif", ["AVIF"])


def decode_heic(input, mode=ImageReadMode.UNCHANGED):
    """[C, H, W] from the bytes of a HEIC file, with the plug-in pillow-heif."""
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        raise RuntimeError(
            "decode_heic(): HEIC needs the package pillow-heif: pip install pillow-heif"
        ) from None
    register_heif_opener()
    return _decode(input, mode, "decode_heic", ["HEIF"])


def decode_gif(input):
    """[3, H, W], or [N, 3, H, W] where there are several frames."""
    from PIL import ImageSequence

    image = _open(_bytes(input, "decode_gif"), "decode_gif", ["GIF"])
    frames = [_array(f.convert("RGB"), "RGB") for f in ImageSequence.Iterator(image)]
    return frames[0] if len(frames) == 1 else flambeau.stack(frames)


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
    return _decode(input, mode, "decode_image", None, apply_exif_orientation)


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
