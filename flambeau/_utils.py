"""What serialization and data loading share: storages, their bytes, and tensors rebuilt on them."""

import flambeau

# PyTorch's names of typed storages. A dtype without one travels as an untyped storage.
STORAGE_TYPES = {
    "FloatStorage": flambeau.float32,
    "DoubleStorage": flambeau.float64,
    "HalfStorage": flambeau.float16,
    "BFloat16Storage": flambeau.bfloat16,
    "LongStorage": flambeau.int64,
    "IntStorage": flambeau.int32,
    "ShortStorage": flambeau.int16,
    "CharStorage": flambeau.int8,
    "ByteStorage": flambeau.uint8,
    "BoolStorage": flambeau.bool,
    "ComplexFloatStorage": flambeau.complex64,
    "ComplexDoubleStorage": flambeau.complex128,
}


def _bytes_of(tensor):
    """A writable view of the bytes of a contiguous CPU tensor, in the tensor's own memory."""
    flat = tensor.detach().reshape(-1).view(flambeau.uint8)
    return memoryview(flat.numpy())


def device_args(device):
    """The arguments that make this device again."""
    return (device.type,) if device.index is None else (device.type, device.index)


def storage_of(tensor):
    """The storage behind a tensor."""
    return tensor.untyped_storage()


def storage_address(storage):
    """What tells one storage from another while both live."""
    return storage._cdata


def storage_bytes(storage):
    """A view of all bytes of a CPU storage."""
    flat = flambeau.empty(0, dtype=flambeau.uint8).set_(storage)
    return _bytes_of(flat)


def tensor_on(storage, dtype, offset, size, stride):
    """A tensor over a storage. The caller has checked that it lies within."""
    return flambeau.empty(0, dtype=dtype, device=storage.device).set_(storage, offset, size, stride)


def check_within(nbytes, itemsize, offset, size, stride):
    """RuntimeError unless all elements of such a tensor lie in a storage of so many bytes."""
    size, stride = tuple(size), tuple(stride)
    for name, values in (("size", size), ("stride", stride), ("storage_offset", (offset,))):
        if not all(type(value) is int and 0 <= value < 1 << 63 for value in values):
            raise RuntimeError(f"rebuilding a tensor: bad {name} {values}")
    if len(size) != len(stride) or len(size) > 64:
        raise RuntimeError(f"rebuilding a tensor: size {size} does not go with stride {stride}")
    count = 1
    for length in size:
        count *= length
    if count >= 1 << 63:
        raise RuntimeError(f"rebuilding a tensor: size {size} has too many elements")
    last = sum((length - 1) * step for length, step in zip(size, stride)) if count else -1
    if (offset + last + 1) * itemsize > nbytes:
        raise RuntimeError(
            f"rebuilding a tensor: size {size}, stride {stride}, storage_offset {offset} go past "
            f"a storage of {nbytes} bytes"
        )


def check_flags(storage):
    """RuntimeError if the bytes of a storage of bools are not all 0 or 1."""
    flat = flambeau.empty(0, dtype=flambeau.uint8).set_(storage)
    if flat.numel() and int(flat.max()) > 1:
        raise RuntimeError("rebuilding a tensor: a bool that is neither 0 nor 1")
