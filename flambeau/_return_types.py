"""The named tuples that operators with several results give."""

import types

from flambeau import _C

return_types = types.SimpleNamespace(**_C._return_types)
