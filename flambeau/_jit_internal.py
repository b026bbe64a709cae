"""What libraries of PyTorch's age of scripts import of its compiler: marks, and types."""

from typing import Any, Dict, Final, List, Optional, Tuple, Union  # noqa: F401, UP035

from .jit import (  # noqa: F401
    Future,
    _overload,
    _overload_method,
    export,
    ignore,
    is_scripting,
    unused,
)
from .jit.annotations import BroadcastingList1, BroadcastingList2, BroadcastingList3  # noqa: F401


def _copy_to_script_wrapper(fn):
    """The function itself: a script is the Python that it was made of."""
    return fn


def boolean_dispatch(
    arg_name, arg_index, default, if_true, if_false, module_name=None, func_name=None
):
    """A function that calls one of two, as one of its arguments says.

    >>> from flambeau._jit_internal import boolean_dispatch
    >>> boolean_dispatch("sure", 1, False, lambda x, sure: x, lambda x, sure=False: -x)(3)
    -3
    """

    def fn(*args, **kwargs):
        chosen = kwargs.get(arg_name, args[arg_index] if len(args) > arg_index else default)
        return (if_true if chosen else if_false)(*args, **kwargs)

    fn.__name__ = func_name or fn.__name__
    return fn
