"""The type of `__version__`: text that compares as a version."""

from . import version as _version

_FORM = r"v?(\d+(?:\.\d+)*)(?:[._-]?(a|b|rc|dev|post)[a-z]*\.?(\d*))?[^+]*(?:\+(.*))?"
_RANK = {"dev": -4, "a": -3, "b": -2, "rc": -1, None: 0, "post": 1}


def _key(other):
    """What orders a version given as text, a tuple or a packaging.Version; None if it is none."""
    if isinstance(other, (tuple, list)):
        other = ".".join(map(str, other))
    import re  # late: it takes longer to import than much of flambeau

    match = re.fullmatch(_FORM, str(other))
    if match is None:
        return None
    numbers, stage, count, local = match.groups()
    release = [int(n) for n in numbers.split(".")]
    while len(release) > 1 and release[-1] == 0:
        release.pop()
    return tuple(release), _RANK[stage], int(count or 0), local or ""


class TorchVersion(str):
    """A version number: compares with text and tuples by number, is text otherwise.

    >>> from flambeau.torch_version import TorchVersion
    >>> TorchVersion("2.13.0") > "2.9", TorchVersion("2.13.0") >= (2, 13)
    (True, True)
    """

    def _compare(self, other, method):
        mine, theirs = _key(self), _key(other)
        if mine is None or theirs is None:
            return getattr(str, method)(str(self), str(other))
        return getattr(tuple, method)(mine, theirs)

    def __lt__(self, other):
        return self._compare(other, "__lt__")

    def __le__(self, other):
        return self._compare(other, "__le__")

    def __gt__(self, other):
        return self._compare(other, "__gt__")

    def __ge__(self, other):
        return self._compare(other, "__ge__")

    def __eq__(self, other):
        return self._compare(other, "__eq__")

    def __ne__(self, other):
        return self._compare(other, "__ne__")

    __hash__ = str.__hash__


__version__ = TorchVersion(_version.__version__)
