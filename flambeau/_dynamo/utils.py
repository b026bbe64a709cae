"""What libraries take from torch._dynamo.utils: tables of counts, and warnings that come once."""

import functools
import warnings
from collections import Counter, defaultdict

# By topic; passes of libraries count in it what they have replaced.
counters = defaultdict(Counter)


@functools.cache
def warn_once(msg, stacklevel=1):
    """Warns of `msg`, the first time only."""
    warnings.warn(msg, stacklevel=stacklevel + 2)
