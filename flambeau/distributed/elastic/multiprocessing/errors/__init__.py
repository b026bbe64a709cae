"""How a process tells its launcher what went wrong."""

import functools
import json
import os
import time
import traceback

__all__ = ["ChildFailedError", "record"]


class ChildFailedError(Exception):
    """A process of a launcher failed."""


def record(fn, error_handler=None):
    """Decorates a program's main function: an error is written to $TORCHELASTIC_ERROR_FILE too.

    >>> from flambeau.distributed.elastic.multiprocessing.errors import record
    >>> record(lambda: 3)()
    3
    """

    @functools.wraps(fn)
    def wrapped(*args, **kwargs):
        try:
            return fn(*args, **kwargs)
        except Exception as error:
            path = os.environ.get("TORCHELASTIC_ERROR_FILE")
            if path:
                extra = {"py_callstack": traceback.format_exc(), "timestamp": str(int(time.time()))}
                message = {"message": f"{type(error).__name__}: {error}", "extraInfo": extra}
                with open(path, "w") as file:
                    json.dump({"message": message}, file)
            raise

    return wrapped
