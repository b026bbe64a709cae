"""Helpers that programs import from nn.functional."""

from flambeau import Tensor
from flambeau.overrides import (
    handle_torch_function,
    has_torch_function,
    has_torch_function_unary,
    has_torch_function_variadic,
)

TYPE_CHECKING = False  # what typing says while a program runs

__all__ = [
    "TYPE_CHECKING",
    "BroadcastingList1",
    "BroadcastingList2",
    "BroadcastingList3",
    "GRID_SAMPLE_INTERPOLATION_MODES",
    "GRID_SAMPLE_PADDING_MODES",
    "Tensor",
    "assert_int_or_pair",
    "boolean_dispatch",
    "handle_torch_function",
    "has_torch_function",
    "has_torch_function_unary",
    "has_torch_function_variadic",
]

GRID_SAMPLE_INTERPOLATION_MODES = {"bilinear": 0, "nearest": 1, "bicubic": 2}
GRID_SAMPLE_PADDING_MODES = {"zeros": 0, "border": 1, "reflection": 2}


class _BroadcastingList:
    """In annotations: one value stands for a list of them."""

    def __getitem__(self, types):
        return types


BroadcastingList1 = BroadcastingList2 = BroadcastingList3 = _BroadcastingList()


def boolean_dispatch(arg_name, arg_index, default, if_true, if_false, module_name, func_name):
    """A function that calls one of two, as one of its arguments says.

    The argument is looked up under its name, then at its index, then `default` stands for it.

    >>> from flambeau.nn.functional import boolean_dispatch
    >>> f = boolean_dispatch("up", 1, False, lambda x, up: x + 1, lambda x, up=0: x - 1, "", "f")
    >>> f(1), f(1, True), f(1, up=True)
    (0, 2, 2)
    """

    def function(*args, **kwargs):
        flag = default
        if arg_name in kwargs:
            flag = kwargs[arg_name]
        elif arg_index < len(args):
            flag = args[arg_index]
        return (if_true if flag else if_false)(*args, **kwargs)

    function.__doc__ = if_true.__doc__ or if_false.__doc__
    if module_name:
        function.__module__ = module_name
    if func_name:
        function.__name__ = function.__qualname__ = func_name
    function.if_true, function.if_false = if_true, if_false  # with the arguments' names
    return function


def assert_int_or_pair(arg, arg_name, message):
    """Complains about what is neither an int nor a pair."""
    if not isinstance(arg, int) and len(arg) != 2:
        raise AssertionError(message.format(arg_name))
