"""Downloads: a progress line, a check of the sum, and going on where a transfer broke off."""

import contextlib
import hashlib
import os
import sys

_SECONDS = 30  # without a byte


def fetch(sources, path, md5=None, sha256=None, progress=None):
    """Saves the first source that answers with the right content as `path`.

    `md5` is a whole sum, `sha256` the first digits of one. The file appears whole or not at all.
    Where there is a sum to check, what has come so far is kept in `path.part` and the next attempt
    asks for the rest. `progress` shows a line on stderr; without it only on a terminal. A single
    source's error is raised as it is, of several a RuntimeError names what each said.
    """
    import urllib.error

    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    wanted = ("md5", md5) if md5 is not None else ("sha256", sha256)
    failures = []
    for source in sources:
        try:
            _fetch(source, path, *wanted, progress)
            return
        except (OSError, urllib.error.URLError, RuntimeError) as error:
            if len(sources) == 1:
                raise
            failures.append(f"{source}: {error}")
    raise RuntimeError(f"could not download {os.path.basename(path)}: " + "; ".join(failures))


def _fetch(source, path, kind, wanted, progress):
    partial, lasting = f"{path}.part", wanted is not None
    with _alone(partial) as alone:
        if not lasting or not alone:  # nothing to check the rest by, or another process is at it
            partial, lasting = f"{path}.{os.getpid()}.part", False
        try:
            name = os.path.basename(path)
            found = _copy(source, partial, name, hashlib.new(kind, usedforsecurity=False), progress)
            if wanted is not None and not found.startswith(wanted):
                lasting = False
                found = found[: len(wanted)]
                raise RuntimeError(
                    f'{name}: invalid hash value ({kind}: expected "{wanted}", got "{found}")'
                )
            os.replace(partial, path)
        finally:
            if not lasting:
                with contextlib.suppress(FileNotFoundError):
                    os.remove(partial)


@contextlib.contextmanager
def _alone(partial):
    """Whether this process is the only one that writes the partial file."""
    try:
        import fcntl
    except ImportError:  # no such locks here
        yield True
        return
    folder = os.open(os.path.dirname(partial) or ".", os.O_RDONLY)
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield True
    finally:
        os.close(folder)


def _copy(source, partial, name, digest, progress):
    """Appends what is missing of a source to a file; the sum of the whole."""
    import urllib.error
    import urllib.request

    done = 0
    if os.path.exists(partial):
        with open(partial, "rb") as file:
            while piece := file.read(1 << 20):
                digest.update(piece)
                done += len(piece)
    headers = {"User-Agent": "flambeau", **({"Range": f"bytes={done}-"} if done else {})}
    request = urllib.request.Request(source, headers=headers)
    try:
        answer = urllib.request.urlopen(request, timeout=_SECONDS)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # nothing is missing, or another file lies there: the sum tells
            return digest.hexdigest()
        raise
    except urllib.error.URLError as error:
        raise urllib.error.URLError(f"cannot reach {source}: {error.reason}") from error
    with answer:
        if done and getattr(answer, "status", None) != 206:  # it begins again
            digest, done = hashlib.new(digest.name, usedforsecurity=False), 0
        rest = answer.headers.get("Content-Length")
        total = done + int(rest) if rest else None
        with (
            open(partial, "ab" if done else "wb") as file,
            _Bar(name, done, total, progress) as bar,
        ):
            while piece := answer.read(1 << 17):
                file.write(piece)
                digest.update(piece)
                bar.add(len(piece))
        if total is not None and bar.done < total:
            raise RuntimeError(
                f"{source}: the connection broke off after {bar.done} of {total} bytes"
            )
    return digest.hexdigest()


class _Bar:
    """A line on stderr that tells how far a download is."""

    def __init__(self, name, done, total, shown):
        if shown is None:
            shown = sys.stderr is not None and sys.stderr.isatty()
        self._name, self._total, self._shown = name, total, shown and sys.stderr is not None
        self.done, self._last = done, None

    def add(self, count):
        self.done += count
        step = self.done * 100 // self._total if self._total else self.done >> 20
        if self._shown and step != self._last:
            self._last = step
            size = f"{self.done / 1e6:.1f} MB"
            text = f"{step:3d}% {size} of {self._total / 1e6:.1f} MB" if self._total else size
            sys.stderr.write(f"\r{self._name}: {text}")
            sys.stderr.flush()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        if self._last is not None:
            sys.stderr.write("\n")
