"""What steps share: lengths, and functions of columns."""

from . import decoder


def length_of(pipe, source):
    """len(source), or a TypeError in the name of the step over it."""
    try:
        return len(source)
    except (TypeError, NotImplementedError):
        raise TypeError(f"{type(pipe).__name__} instance doesn't have valid length") from None


def apply(fn, data, input_col, output_col):
    """The sample with fn of its columns `input_col` at `output_col`; -1 for a new last one."""
    if input_col is None:
        return fn(data)
    several = isinstance(input_col, (list, tuple))
    result = fn(*(data[column] for column in input_col)) if several else fn(data[input_col])
    if output_col is None:
        output_col = input_col[0] if several else input_col
    is_tuple = isinstance(data, tuple)
    made = list(data) if is_tuple else data.copy()
    if output_col == -1:
        made.append(result)
    else:
        made[output_col] = result
    if several and output_col == input_col[0] and not isinstance(data, dict):
        for column in sorted(input_col[1:], reverse=True):
            del made[column]
    return tuple(made) if is_tuple else made
