"""Types under the name that scripts import them by."""

from typing import Any, Dict, List, Optional, Tuple, Union  # noqa: F401, UP035

from ..futures import Future  # noqa: F401
