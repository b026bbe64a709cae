"""Fetching a file with a progress line, a check of its sum, and going on where it broke off."""

import hashlib
import os
import sys


def fetch(sources, path, md5=None):
    """Saves the first source that answers with the right content as `path`.

    The file appears whole or not at all; what has come so far is kept in `path.part`, and the next
    attempt asks for the rest. RuntimeError names what each source said.
    """
    import urllib.error

    os.makedirs(os.path.dirname(path), exist_ok=True)
    partial = f"{path}.part"
    failures = []
    for source in sources:
        try:
            found = _copy(source, partial, os.path.basename(path))
            if md5 is not None and found != md5:
                os.remove(partial)
                raise RuntimeError(f"md5 is {found}, wanted {md5}")
            os.replace(partial, path)
            return
        except (OSError, urllib.error.URLError, RuntimeError) as error:
            failures.append(f"{source}: {error}")
    raise RuntimeError(f"could not download {os.path.basename(path)}: " + "; ".join(failures))


def _copy(source, partial, name):
    """Appends what is missing of a source to a file; the MD5 of the whole."""
    import urllib.request

    digest, done = hashlib.md5(usedforsecurity=False), 0
    if os.path.exists(partial):
        with open(partial, "rb") as file:
            while piece := file.read(1 << 20):
                digest.update(piece)
                done += len(piece)
    headers = {"User-Agent": "flambeau", **({"Range": f"bytes={done}-"} if done else {})}
    request = urllib.request.Request(source, headers=headers)
    try:
        answer = urllib.request.urlopen(request, timeout=30)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # nothing is missing, or another file lies there: the sum tells
            return digest.hexdigest()
        raise
    with answer:
        if done and getattr(answer, "status", None) != 206:  # it begins again
            digest, done = hashlib.md5(usedforsecurity=False), 0
        rest = int(answer.headers.get("Content-Length") or 0)
        total, show = (done + rest if rest else 0), sys.stderr.isatty()
        with open(partial, "ab" if done else "wb") as file:
            received = 0
            while piece := answer.read(1 << 16):
                file.write(piece)
                digest.update(piece)
                received += len(piece)
                if show:
                    at = done + received
                    share = f"{100 * at // total:3} %" if total else f"{at >> 10} KiB"
                    print(f"\r{name} {share}", end="", file=sys.stderr)
        if show:
            print(file=sys.stderr)
        if rest and received < rest:
            raise RuntimeError(f"the connection broke after {done + received} of {total} bytes")
    return digest.hexdigest()
