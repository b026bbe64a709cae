"""MIOpen: not part of this build. The flag is there because programs set it without asking."""

import contextlib

immediate = False


def set_flags(_immediate=None):
    """Sets it if given; returns what it was, in a tuple."""
    global immediate
    before = (immediate,)
    immediate = immediate if _immediate is None else _immediate
    return before


@contextlib.contextmanager
def flags(immediate=False):
    """Within it the flag is as given."""
    before = set_flags(immediate)
    try:
        yield
    finally:
        set_flags(*before)
