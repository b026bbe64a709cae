"""Help for tests: comparing tensors and nested values, random tensors, checks of texts."""

from ._comparison import assert_allclose, assert_close
from ._file_check import FileCheck
from ._make_tensor import make_tensor

__all__ = ["FileCheck", "assert_allclose", "assert_close", "make_tensor"]
