"""How a process tells its launcher what went wrong."""

import functools
import json
import os
import time
import traceback

__all__ = ["ChildFailedError", "ErrorHandler", "record"]


class ChildFailedError(Exception):
    """A process of a launcher failed."""


class ErrorHandler:
    """Writes an error to $TORCHELASTIC_ERROR_FILE, for the launcher to show."""

    def initialize(self):
        """Called before the function runs."""

    def record_exception(self, error):
        """Called with what it raised."""
        path = os.environ.get("TORCHELASTIC_ERROR_FILE")
        if path:
            extra = {"py_callstack": traceback.format_exc(), "timestamp": str(int(time.time()))}
            message = {"message": f"{type(error).__name__}: {error}", "extraInfo": extra}
            with open(path, "w") as file:
                json.dump({"message": message}, file)


def record(fn, error_handler=None):
    """Decorates a program's main function: what it raises goes to the handler first.

    >>> from flambeau.distributed.elastic.multiprocessing.errors import record
    >>> record(lambda: 3)()
    3
    """

    handler = error_handler or ErrorHandler()

    @functools.wraps(fn)
    def wrapped(*args, **kwargs):
        handler.initialize()
        try:
            return fn(*args, **kwargs)
        except Exception as error:
            handler.record_exception(error)
            raise

    return wrapped
