"""What a compiler's trace knows of itself: no trace is ever under way."""


class TracingContext:
    """The state of a trace."""

    @staticmethod
    def try_get():
        """The one under way: None."""


def detect_fake_mode(inputs=None):
    """The mode of tensors without memory that is open or that the inputs come from.

    >>> from flambeau._guards import detect_fake_mode
    >>> detect_fake_mode() is None
    True
    """
    from flambeau._subclasses import FakeTensor
    from flambeau.utils._pytree import tree_leaves

    for leaf in tree_leaves(inputs):
        if isinstance(leaf, FakeTensor):
            return leaf.fake_mode
    return active_fake_mode()


def active_fake_mode():
    """The mode of tensors without memory that is open, or None."""
    from flambeau._subclasses import FakeTensorMode
    from flambeau.utils._python_dispatch import _get_current_dispatch_mode_stack

    for mode in reversed(_get_current_dispatch_mode_stack()):
        if isinstance(mode, FakeTensorMode):
            return mode
    return None
