"""Types under the name that scripts import them by."""

from typing import Any, Dict, List, Optional, Tuple, Union  # noqa: F401, UP035

from ..futures import Future  # noqa: F401


class _Broadcasting:
    """A list that may be given as one number: `BroadcastingList2[int]`."""

    def __getitem__(self, item):
        return list[item]


BroadcastingList1 = BroadcastingList2 = BroadcastingList3 = _Broadcasting()
