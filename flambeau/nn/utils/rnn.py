"""Sequences of different lengths: padded to the longest, or packed step by step."""

from collections import namedtuple

import flambeau as torch
from flambeau import Tensor

__all__ = [
    "PackedSequence",
    "invert_permutation",
    "pack_padded_sequence",
    "pack_sequence",
    "pad_packed_sequence",
    "pad_sequence",
    "unpack_sequence",
    "unpad_sequence",
]

_Packed = namedtuple(
    "PackedSequence", ["data", "batch_sizes", "sorted_indices", "unsorted_indices"]
)


class PackedSequence(_Packed):
    """The steps of several sequences one after the other, and how many sequences each step has.

    >>> import flambeau as torch
    >>> packed = torch.nn.utils.rnn.pack_sequence([torch.tensor([1, 2, 3]), torch.tensor([4])])
    >>> packed.data, packed.batch_sizes
    (tensor([1, 4, 2, 3]), tensor([2, 1, 1]))
    """

    def __new__(cls, data, batch_sizes=None, sorted_indices=None, unsorted_indices=None):
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        if batch_sizes is None:
            if not isinstance(data, (list, tuple)) or len(data) != 2:
                raise AssertionError("expected data to be a tuple of data and batch_sizes")
            data, batch_sizes = data
        elif batch_sizes.device.type != "cpu":
            raise ValueError(
                "batch_sizes should always be on CPU. Instances of PackedSequence should never "
                "be created manually. They should be instantiated by functions like "
                "pack_sequence and pack_padded_sequences in nn.utils.rnn."
            )
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    def to(self, *args, **kwargs):
        """Moves or casts the data, and the indices with it."""
        data = self.data.to(*args, **kwargs)
        if data is self.data:
            return self

        def move(indices):
            return None if indices is None else indices.to(data.device)

        return type(self)(
            data, self.batch_sizes, move(self.sorted_indices), move(self.unsorted_indices)
        )

    def cpu(self, *args, **kwargs):
        return self.to("cpu", *args, **kwargs)

    def cuda(self, *args, **kwargs):
        return self.to("cuda")

    def double(self):
        return self.to(torch.float64)

    def float(self):
        return self.to(torch.float32)

    def half(self):
        return self.to(torch.float16)

    def long(self):
        return self.to(torch.int64)

    def int(self):
        return self.to(torch.int32)

    def short(self):
        return self.to(torch.int16)

    def char(self):
        return self.to(torch.int8)

    def byte(self):
        return self.to(torch.uint8)

    @property
    def is_cuda(self):
        return self.data.is_cuda

    def is_pinned(self):
        return self.data.is_pinned()

    def pin_memory(self):
        return type(self)(self.data.pin_memory(), *self[1:])


def invert_permutation(permutation):
    """The permutation that undoes another.

    >>> import flambeau as torch
    >>> torch.nn.utils.rnn.invert_permutation(torch.tensor([2, 0, 1]))
    tensor([1, 2, 0])
    """
    if permutation is None:
        return None
    steps = torch.arange(permutation.numel(), device=permutation.device)
    return torch.empty_like(permutation).scatter_(0, permutation, steps)


def pack_padded_sequence(input, lengths, batch_first=False, enforce_sorted=True):
    """Packs padded sequences of shape (T, B, *), or (B, T, *) with `batch_first`.

    With `enforce_sorted` they must come longest first.

    >>> import flambeau as torch
    >>> padded = torch.tensor([[1, 4], [2, 0]])
    >>> torch.nn.utils.rnn.pack_padded_sequence(padded, [2, 1]).data
    tensor([1, 4, 2])
    """
    lengths = torch.as_tensor(lengths, dtype=torch.int64, device="cpu")
    order = None
    if not enforce_sorted:
        lengths, order = torch.sort(lengths, descending=True)
        order = order.to(input.device)
        input = input.index_select(0 if batch_first else 1, order)
    steps = input.transpose(0, 1) if batch_first else input
    if lengths.dim() != 1 or lengths.shape[0] != steps.shape[1]:
        raise RuntimeError(
            f"Expected `len(lengths)` to be equal to batch_size, but got {list(lengths.shape)} "
            f"(batch_size={steps.shape[1]})"
        )
    if input.numel() == 0:
        raise RuntimeError("Cannot pack empty tensors.")
    sizes = lengths.tolist()
    if not sizes or min(sizes) <= 0:
        raise RuntimeError(
            "Length of all samples has to be greater than 0, but found an element in 'lengths' "
            "that is <= 0"
        )
    if any(a < b for a, b in zip(sizes, sizes[1:])):
        raise RuntimeError(
            "`lengths` array must be sorted in decreasing order when `enforce_sorted` is True. "
            "You can pass `enforce_sorted=False` to pack_padded_sequence and/or pack_sequence to "
            "sidestep this requirement if you do not need ONNX exportability."
        )
    batch_sizes = [sum(size > t for size in sizes) for t in range(sizes[0])]
    data = torch.cat([steps[t, :n] for t, n in enumerate(batch_sizes)])
    return PackedSequence(data, torch.tensor(batch_sizes), order, None)


def pad_packed_sequence(sequence, batch_first=False, padding_value=0.0, total_length=None):
    """Undoes the packing; returns the padded sequences and their lengths.

    >>> import flambeau as torch
    >>> packed = torch.nn.utils.rnn.pack_sequence([torch.tensor([1, 2]), torch.tensor([4])])
    >>> torch.nn.utils.rnn.pad_packed_sequence(packed, batch_first=True)
    (tensor([[1, 2],
            [4, 0]]), tensor([2, 1]))
    """
    data, batch_sizes, _, unsorted = sequence
    sizes = batch_sizes.tolist()
    longest = len(sizes)
    if total_length is not None:
        if total_length < longest:
            raise ValueError(
                "Expected total_length to be at least the length of the longest sequence in "
                f"input, but got total_length={total_length} and max sequence length being "
                f"{longest}"
            )
        longest = total_length
    batch = sizes[0]
    output = data.new_full((longest, batch, *data.shape[1:]), padding_value)
    for t, part in enumerate(data.split(sizes)):
        output[t, : sizes[t]] = part
    lengths = torch.tensor([sum(size > i for size in sizes) for i in range(batch)])
    if unsorted is not None:
        output = output.index_select(1, unsorted)
        lengths = lengths[unsorted.cpu()]
    return (output.transpose(0, 1) if batch_first else output), lengths


def pad_sequence(sequences, batch_first=False, padding_value=0.0, padding_side="right"):
    """Stacks sequences of different lengths, filled up to the longest.

    >>> import flambeau as torch
    >>> parts = [torch.tensor([1, 2]), torch.tensor([3])]
    >>> torch.nn.utils.rnn.pad_sequence(parts, batch_first=True)
    tensor([[1, 2],
            [3, 0]])
    """
    if padding_side not in ("left", "right"):
        raise RuntimeError(
            f"Expected padding_side to be one of left or right, but got {padding_side}."
        )
    if isinstance(sequences, Tensor):
        sequences = sequences.unbind(0)
    try:
        sequences = list(sequences)
    except TypeError:
        raise RuntimeError(
            "pad_sequence: Expected iterable for input sequences, but got arg of type: "
            f"{type(sequences)}"
        ) from None
    if not sequences:
        raise RuntimeError("received an empty list of sequences")
    longest = max(len(part) for part in sequences)
    first = sequences[0]
    output = first.new_full((len(sequences), longest, *first.shape[1:]), padding_value)
    for i, part in enumerate(sequences):
        if padding_side == "right":
            output[i, : len(part)] = part
        else:
            output[i, longest - len(part) :] = part
    return output if batch_first else output.transpose(0, 1)


def unpad_sequence(padded_sequences, lengths, batch_first=False):
    """Cuts padded sequences to their lengths.

    >>> import flambeau as torch
    >>> torch.nn.utils.rnn.unpad_sequence(torch.tensor([[1, 2], [3, 0]]), [2, 1], True)
    [tensor([1, 2]), tensor([3])]
    """
    rows = padded_sequences if batch_first else padded_sequences.transpose(0, 1)
    return [row[: int(length)] for row, length in zip(rows, lengths)]


def pack_sequence(sequences, enforce_sorted=True):
    """Packs sequences of different lengths.

    >>> import flambeau as torch
    >>> packed = torch.nn.utils.rnn.pack_sequence([torch.tensor([1, 2]), torch.tensor([3])])
    >>> packed.data, packed.batch_sizes
    (tensor([1, 3, 2]), tensor([2, 1]))
    """
    lengths = torch.tensor([len(part) for part in sequences])
    return pack_padded_sequence(pad_sequence(sequences), lengths, enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences):
    """Undoes `pack_sequence`.

    >>> import flambeau as torch
    >>> both = [torch.tensor([1, 2]), torch.tensor([3])]
    >>> packed = torch.nn.utils.rnn.pack_sequence(both)
    >>> torch.nn.utils.rnn.unpack_sequence(packed)
    [tensor([1, 2]), tensor([3])]
    """
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)
