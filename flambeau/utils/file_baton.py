"""A file as a lock between processes."""

import os
import time


class FileBaton:
    """Held by the process that made the file; the others wait until it is gone.

    >>> import os, tempfile
    >>> from flambeau.utils.file_baton import FileBaton
    >>> path = os.path.join(tempfile.mkdtemp(), "lock")
    >>> first, second = FileBaton(path), FileBaton(path)
    >>> first.try_acquire(), second.try_acquire()
    (True, False)
    >>> first.release()
    >>> second.wait()
    """

    def __init__(self, lock_file_path, wait_seconds=0.1, warn_after_seconds=None):
        self.lock_file_path = lock_file_path
        self.wait_seconds = wait_seconds
        self.warn_after_seconds = warn_after_seconds
        self.fd = None

    def try_acquire(self):
        """Makes the file; False where another process has."""
        try:
            self.fd = os.open(self.lock_file_path, os.O_CREAT | os.O_EXCL)
        except FileExistsError:
            return False
        return True

    def wait(self):
        """Returns when the file is gone."""
        start, told = time.monotonic(), self.warn_after_seconds is None
        while os.path.exists(self.lock_file_path):
            time.sleep(self.wait_seconds)
            if not told and time.monotonic() - start > self.warn_after_seconds:
                import warnings

                warnings.warn(f"waiting for the lock {self.lock_file_path!r}", stacklevel=2)
                told = True

    def release(self):
        """Removes the file."""
        if self.fd is not None:
            os.close(self.fd)
            self.fd = None
        os.remove(self.lock_file_path)
