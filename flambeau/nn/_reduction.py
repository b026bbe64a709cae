"""Reductions of losses by name and by number, where libraries look for them."""

from .functional._reduction import name_of_flags, reduction_name, reduction_number


def get_enum(reduction):
    """The number of a reduction."""
    return reduction_number("mean" if reduction == "elementwise_mean" else reduction)


def legacy_get_string(size_average, reduce, emit_warning=True):
    """The name of a reduction that `size_average` and `reduce` stand for."""
    name = name_of_flags(size_average, reduce)
    return reduction_name(size_average, reduce, name) if emit_warning else name


def legacy_get_enum(size_average, reduce, emit_warning=True):
    """Its number."""
    return get_enum(legacy_get_string(size_average, reduce, emit_warning))
