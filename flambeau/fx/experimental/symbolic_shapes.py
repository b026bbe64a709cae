"""Questions about numbers that only a compiler's trace knows: here every number is known."""

__all__ = """GuardOnDataDependentSymNode free_symbols free_unbacked_symbols guard_or_false
guard_or_true guard_size_oblivious has_free_symbols is_concrete_bool is_concrete_int
statically_known_true sym_and sym_eq sym_or""".split()


class GuardOnDataDependentSymNode(RuntimeError):
    """A trace that would depend on a number it does not know; nothing here raises it."""


def guard_or_false(a):
    """Whether a condition holds; False where it is not known.

    >>> from flambeau.fx.experimental.symbolic_shapes import guard_or_false
    >>> guard_or_false(3 > 2)
    True
    """
    return bool(a)


guard_or_true = guard_size_oblivious = statically_known_true = guard_or_false


def is_concrete_int(a):
    """Whether a number is known: always."""
    return True


is_concrete_bool = is_concrete_int


def free_symbols(val):
    """The numbers in a value that are not known: none."""
    return set()


free_unbacked_symbols = free_symbols


def has_free_symbols(val):
    """Whether a value has numbers that are not known: never."""
    return False


def sym_eq(x, y):
    """x == y, of numbers or of sequences of them."""
    return len(x) == len(y) and all(map(sym_eq, x, y)) if isinstance(x, (tuple, list)) else x == y


def sym_and(x, *others):
    """Whether all conditions hold."""
    return all((x, *others))


def sym_or(x, *others):
    """Whether one of the conditions holds."""
    return any((x, *others))
