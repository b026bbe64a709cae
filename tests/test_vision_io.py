"""Image files, and drawing."""

import pytest

import flambeau as torch
from flambeau.vision import io, utils

pytest.importorskip("PIL")


def test_png_is_exact(tmp_path):
    image = (torch.arange(3 * 5 * 7) * 7 % 256).to(torch.uint8).view(3, 5, 7)
    path = str(tmp_path / "a.png")
    io.write_png(image, path)
    assert io.read_image(path).equal(image)
    assert io.decode_png(io.encode_png(image[:1])).equal(image[:1])
    assert io.read_image(path, io.ImageReadMode.GRAY).shape == (1, 5, 7)
    assert io.read_image(path, "RGB_ALPHA").shape == (4, 5, 7)


def test_jpeg_is_near():
    image = torch.full((3, 16, 16), 100, dtype=torch.uint8)
    found = io.decode_jpeg(io.encode_jpeg(image, quality=95))
    assert (found.int() - 100).abs().max() <= 2


def test_errors(tmp_path):
    with pytest.raises(RuntimeError, match="No such file"):
        io.read_file(str(tmp_path / "none"))
    with pytest.raises(RuntimeError):
        io.decode_png(torch.zeros(10, dtype=torch.uint8))
    with pytest.raises(RuntimeError, match="uint8"):
        io.encode_png(torch.zeros(3, 2, 2))


def test_drawing():
    image = torch.zeros(3, 20, 30, dtype=torch.uint8)
    boxes = torch.tensor([[2, 3, 10, 12]])
    found = utils.draw_bounding_boxes(image, boxes, colors="red")
    assert found[:, 3, 5].tolist() == [255, 0, 0] and found[:, 5, 5].tolist() == [0, 0, 0]
    mask = torch.zeros(20, 30, dtype=torch.bool)
    mask[5:] = True
    found = utils.draw_segmentation_masks(image, mask, alpha=1.0, colors=(1, 2, 3))
    assert found[:, 6, 6].tolist() == [1, 2, 3] and found[:, 0, 0].tolist() == [0, 0, 0]
    found = utils.draw_keypoints(image, torch.tensor([[[5.0, 5.0]]]), colors="lime")
    assert found[:, 5, 5].tolist() == [0, 255, 0]
    assert utils.flow_to_image(torch.zeros(2, 3, 4)).unique().tolist() == [255]


def saved(mode="RGB", format="PNG", size=(6, 4), color=None, **options):
    """The bytes of a small file of this kind."""
    from io import BytesIO

    from PIL import Image

    file = BytesIO()
    Image.new(mode, size, color if color is not None else 0).save(file, format, **options)
    return file.getvalue()


def read(data, *args):
    return io.decode_image(torch.frombuffer(bytearray(data), dtype=torch.uint8), *args)


def deep_png(color, height=3, width=4, kinds=(0, 1, 2, 3, 4)):
    """(file, values) of 16 bits, each row with another of PNG's filters."""
    import struct
    import zlib

    channels = {0: 1, 2: 3, 4: 2, 6: 4}[color]
    values = [
        [(997 * (r * 31 + i)) % 65536 for i in range(width * channels)] for r in range(height)
    ]
    rows, above = b"", [0] * (2 * width * channels)
    for kind, row in zip(kinds, values, strict=False):
        line = [b for v in row for b in (v >> 8, v & 255)]
        size, made = 2 * channels, []
        for i, b in enumerate(line):
            left = line[i - size] if i >= size else 0
            up, corner = above[i], above[i - size] if i >= size else 0
            p = left + up - corner
            near = min((left, up, corner), key=lambda v: abs(p - v))
            guess = (0, left, up, (left + up) // 2, near)[kind]
            made.append((b - guess) & 255)
        rows, above = rows + bytes([kind, *made]), line

    def chunk(kind, body):
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">2I5B", width, height, 16, color, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
    data += chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return data, torch.tensor(values).view(height, width, channels).permute(2, 0, 1)


@pytest.mark.parametrize("color", [0, 2, 4, 6])
def test_png_of_16_bits(color):
    data, wanted = deep_png(color, 5)
    found = read(data)
    assert found.dtype == torch.uint16 and found.long().equal(wanted)
    assert read(data, "RGB_ALPHA").shape == (4, 5, 4)
    gray = read(data, "GRAY").double()
    assert gray.shape == (1, 5, 4)
    shares = torch.tensor([0.299, 0.587, 0.114], dtype=torch.float64)
    brightness = wanted[0] if color in (0, 4) else shares @ wanted[:3].double().reshape(3, -1)
    assert (gray.flatten() - brightness.flatten()).abs().max() < 10


def test_masks_and_keypoints_are_drawn_on_colours():
    gray = torch.zeros(1, 8, 8, dtype=torch.uint8)
    with pytest.raises(ValueError, match="RGB image"):
        utils.draw_segmentation_masks(gray, torch.ones(1, 8, 8, dtype=torch.bool))
    with pytest.raises(ValueError, match="RGB image"):
        utils.draw_keypoints(gray, torch.ones(1, 1, 2))
    assert utils.draw_bounding_boxes(gray, torch.ones(1, 4)).shape == (3, 8, 8)


def test_channels_of_files():
    assert read(saved("P")).shape == (1, 4, 6) and read(saved("P"), "RGB").shape == (3, 4, 6)
    assert read(saved("LA")).shape == (2, 4, 6) and read(saved("1", color=1)).max() == 255
    assert read(saved("CMYK", "JPEG")).shape == (4, 4, 6)
    with pytest.raises(RuntimeError, match="not supported for JPEG"):
        read(saved("RGB", "JPEG"), "RGB_ALPHA")
    from PIL import Image

    turned = Image.Exif()
    turned[0x112] = 6
    data = saved(format="JPEG", exif=turned)
    assert read(data).shape == (3, 4, 6) and read(data, "UNCHANGED", True).shape == (3, 6, 4)


def test_damaged_files_are_errors():
    import struct

    whole = [saved("P", color=1, transparency=1), saved(format="JPEG"), saved("P", "GIF", color=1)]
    whole += [deep_png(2)[0], saved(format="BMP"), saved(format="TIFF"), saved(format="WEBP")]
    draw = torch.Generator().manual_seed(0)
    for data in whole:
        cut = [data[:n] for n in (1, 3, 9, len(data) // 4, len(data) // 2)]
        for at in torch.randint(4, len(data) - 4, (40,), generator=draw).tolist():
            for value in (0, 2**31 - 1, 2**32 - 1):
                cut.append(data[:at] + struct.pack(">I", value) + data[at + 4 :])
        for piece in cut:
            try:
                read(piece)
            except RuntimeError:
                continue
    for data in (b"GIF89a", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"nothing", whole[3][:60]):
        with pytest.raises(RuntimeError):
            read(data)
    huge = bytearray(deep_png(2)[0])
    huge[16:24] = struct.pack(">2I", 2**31 - 1, 2**31 - 1)
    with pytest.raises(RuntimeError):
        read(bytes(huge))


def test_video(tmp_path):
    pytest.importorskip("av")
    frames = (torch.arange(10, dtype=torch.uint8) * 20)[:, None, None, None].expand(10, 16, 16, 3)
    path = str(tmp_path / "a.mp4")
    io.write_video(path, frames, 10, "mpeg4")
    found, sound, info = io.read_video(path, pts_unit="sec")
    assert found.shape == frames.shape and sound.numel() == 0 and info["video_fps"] == 10
    part = io.read_video(path, 0.3, 0.5, "sec", "TCHW")[0]
    assert part.shape == (3, 3, 16, 16) and abs(part[0].float().mean().item() - 60) < 8
    assert len(io.read_video_timestamps(path)[0]) == 10
    with pytest.raises(RuntimeError, match="not found"):
        io.read_video(str(tmp_path / "b.mp4"))
