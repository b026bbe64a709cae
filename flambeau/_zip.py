"""A checkpoint's container: a zip file whose members are stored plain, on 64-byte boundaries."""

import os
import struct
import zlib

_ALIGN = 64
_MAX32 = 0xFFFFFFFF
_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END64 = struct.Struct("<4sQ2H2I4Q")
_LOCATOR64 = struct.Struct("<4sIQI")
_END = struct.Struct("<4s4H2IH")
_UTF8 = 1 << 11
_LARGEST_FOLDED = 1 << 26  # bytes of a deflated member: source, never weights


class Writer:
    """Writes members one after the other to anything with `write`; it need not seek."""

    def __init__(self, file, check_sums=True):
        self._file = file
        self._at = 0
        self._members = []  # (name, sum, size, offset of the local header)
        self._check_sums = check_sums

    def _write(self, data):
        self._file.write(data)
        self._at += memoryview(data).nbytes

    def add(self, name, data):
        """Adds a member: bytes, or any one-dimensional buffer of them."""
        view = memoryview(data)
        name, size, start = name.encode(), view.nbytes, self._at
        total = zlib.crc32(view) if self._check_sums else 0
        extra = b""
        if size >= _MAX32:
            extra = struct.pack("<2H2Q", 1, 16, size, size)
        short = min(size, _MAX32)
        gap = -(start + _LOCAL.size + len(name) + len(extra) + 4) % _ALIGN
        extra += b"FB" + struct.pack("<H", gap) + b"Z" * gap
        version = 45 if size >= _MAX32 else 20
        head = (b"PK\3\4", version, _UTF8, 0, 0, 33, total, short, short, len(name), len(extra))
        self._write(_LOCAL.pack(*head) + name + extra)
        self._write(view)
        self._members.append((name, total, size, start))

    def fingerprint(self):
        """40 digits that depend on the names, sizes and sums of all members so far."""
        import hashlib

        text = repr([member[:3] for member in self._members]).encode()
        return f"{int.from_bytes(hashlib.sha256(text).digest()[:16], 'big'):040}".encode()

    def close(self):
        """Writes the directory; the file itself stays open."""
        start = self._at
        for name, total, size, offset in self._members:
            extra = b""
            if size >= _MAX32:
                extra += struct.pack("<2Q", size, size)
            if offset >= _MAX32:
                extra += struct.pack("<Q", offset)
            version = 20
            if extra:
                extra, version = struct.pack("<2H", 1, len(extra)) + extra, 45
            short = min(size, _MAX32)
            entry = (b"PK\1\2", version, version, _UTF8, 0, 0, 33, total, short, short, len(name))
            entry += (len(extra), 0, 0, 0, 0, min(offset, _MAX32))
            self._write(_CENTRAL.pack(*entry) + name + extra)
        size, count, end = self._at - start, len(self._members), self._at
        if count >= 0xFFFF or start >= _MAX32 or size >= _MAX32:
            record = (b"PK\6\6", _END64.size - 12, 45, 45, 0, 0, count, count, size, start)
            self._write(_END64.pack(*record) + _LOCATOR64.pack(b"PK\6\7", 0, end, 1))
        few = min(count, 0xFFFF)
        short = min(size, _MAX32), min(start, _MAX32)
        self._write(_END.pack(b"PK\5\6", 0, 0, few, few, *short, 0))


class Reader:
    """The members of a checkpoint in a seekable file. What does not add up is a RuntimeError.

    Members in the folders of `packed` may be deflated.
    """

    def __init__(self, file, packed=()):
        import zipfile

        self._file = file
        file.seek(0, os.SEEK_END)
        self._size = file.tell()
        try:
            with zipfile.ZipFile(file) as archive:
                members = archive.infolist()
        except (zipfile.BadZipFile, NotImplementedError, UnicodeDecodeError, ValueError) as error:
            raise RuntimeError(
                f"load(): cannot read the checkpoint's zip archive, is it cut short? {error}"
            ) from error
        self._members = {member.filename: member for member in members}
        if len(self._members) != len(members):
            raise RuntimeError("load(): two members of the archive have the same name")
        stored = 0
        for member in members:
            folded = member.compress_type == zipfile.ZIP_DEFLATED and _in(member.filename, packed)
            if member.flag_bits & 1 or not (folded or member.compress_type == zipfile.ZIP_STORED):
                raise RuntimeError(
                    f"load(): member {member.filename!r} is compressed or encrypted; members of a "
                    "checkpoint are stored as they are"
                )
            if folded and member.file_size > _LARGEST_FOLDED:
                raise RuntimeError(f"load(): member {member.filename!r} is too large")
            stored += member.compress_size if folded else member.file_size
        if stored > self._size:
            raise RuntimeError("load(): the members of the archive claim more bytes than it has")
        roots = [name[: -len("data.pkl")] for name in self._members if _is_root(name)]
        if len(roots) != 1:
            raise RuntimeError("load(): not a checkpoint: the archive has no data.pkl of its own")
        self._root = roots[0]

    def __contains__(self, name):
        return self._root + name in self._members

    def names(self):
        """The names of all members."""
        return [n[len(self._root) :] for n in self._members if n.startswith(self._root)]

    def size(self, name):
        """The number of bytes of a member."""
        return self._members[self._root + name].file_size

    def start(self, name):
        """Where in the file the bytes of a member begin."""
        member = self._members[self._root + name]
        head = b""
        if 0 <= member.header_offset < self._size:
            self._file.seek(member.header_offset)
            head = self._file.read(_LOCAL.size)
        if len(head) < _LOCAL.size or head[:4] != b"PK\3\4":
            raise RuntimeError(f"load(): member {name!r} of the archive is not where it should be")
        fields = _LOCAL.unpack(head)
        start = member.header_offset + _LOCAL.size + fields[-2] + fields[-1]
        if start + (member.compress_size or member.file_size) > self._size:
            raise RuntimeError(f"load(): member {name!r} of the archive goes past its end")
        return start

    def read(self, name):
        """The bytes of a small member."""
        member = self._members[self._root + name]
        if member.compress_type:
            return self._unfold(name, member)
        data = bytearray(self.size(name))
        self.read_into(name, data)
        return bytes(data)

    def _unfold(self, name, member):
        self._file.seek(self.start(name))
        packed = self._file.read(member.compress_size)
        try:
            data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, member.file_size + 1)
        except zlib.error as error:
            raise RuntimeError(f"load(): member {name!r} cannot be read: {error}") from None
        if len(data) != member.file_size:
            raise RuntimeError(f"load(): member {name!r} has not the size that it claims")
        self._check(name, data)
        return data

    def read_into(self, name, buffer):
        """Fills a buffer of the member's size and checks the sum, where there is one."""
        view = memoryview(buffer)
        self._file.seek(self.start(name))
        rest = view
        while rest.nbytes:
            if hasattr(self._file, "readinto"):
                count = self._file.readinto(rest)
            else:
                piece = self._file.read(rest.nbytes)
                count = len(piece)
                rest[:count] = piece
            if not count:
                raise RuntimeError(f"load(): the file ends within member {name!r}")
            rest = rest[count:]
        self._check(name, view)

    def _check(self, name, view):
        """Compares the sum of a member with the one noted; 0 stands for none."""
        noted = self._members[self._root + name].CRC
        if noted and zlib.crc32(view) != noted:
            raise RuntimeError(
                f"load(): member {name!r} of the checkpoint has changed since it was written "
                "(its CRC-32 differs)"
            )


def _in(name, folders):
    """Whether a member is in one of the folders, below the archive's own."""
    return name.partition("/")[2].startswith(tuple(folders))


def _is_root(name):
    folder, _, rest = name.partition("/")
    return rest == "data.pkl" and folder not in ("", ".", "..")


class PyTorchFileReader:
    """A checkpoint's members by name, as PyTorch's reader of that name gives them.

    name_or_buffer: a path or a readable, seekable file.
    """

    def __init__(self, name_or_buffer):
        self._owned = isinstance(name_or_buffer, (str, os.PathLike))
        self._file = open(name_or_buffer, "rb") if self._owned else name_or_buffer
        self._reader = Reader(self._file)

    def has_record(self, name):
        """Whether there is a member of that name."""
        return name in self._reader

    def get_record(self, name):
        """A member's bytes."""
        return self._reader.read(name)

    def get_storage_from_record(self, name, numel, dtype):
        """A member's bytes as a tensor of so many elements."""
        import flambeau

        return flambeau.frombuffer(bytearray(self.get_record(name)), dtype=dtype, count=numel)

    def get_all_records(self):
        """The names of all members."""
        return self._reader.names()

    def get_record_offset(self, name):
        """Where a member's bytes begin in the file."""
        return self._reader.start(name)

    def version(self):
        """The version of the format."""
        return int(self._reader.read("version")) if "version" in self._reader else 1

    def __del__(self):
        if getattr(self, "_owned", False) and hasattr(self, "_file"):
            self._file.close()
