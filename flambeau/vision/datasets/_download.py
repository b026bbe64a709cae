"""Fetching a file with a progress line and a check of its sum."""

import hashlib
import os
import sys


def fetch(sources, path, md5):
    """Saves the first source that answers with the right content as `path`.

    The file appears whole or not at all. RuntimeError names what each source said.
    """
    import urllib.error
    import urllib.request

    os.makedirs(os.path.dirname(path), exist_ok=True)
    partial = f"{path}.{os.getpid()}.part"
    failures = []
    for source in sources:
        try:
            with urllib.request.urlopen(source, timeout=30) as answer, open(partial, "wb") as file:
                found = _copy(answer, file, os.path.basename(path))
            if found != md5:
                raise RuntimeError(f"md5 is {found}, wanted {md5}")
            os.replace(partial, path)
            return
        except (OSError, urllib.error.URLError, RuntimeError) as error:
            failures.append(f"{source}: {error}")
        finally:
            if os.path.exists(partial):
                os.remove(partial)
    raise RuntimeError(f"could not download {os.path.basename(path)}: " + "; ".join(failures))


def _copy(answer, file, name):
    total = int(answer.headers.get("Content-Length") or 0)
    digest, done = hashlib.md5(usedforsecurity=False), 0
    show = sys.stderr.isatty()
    while piece := answer.read(1 << 16):
        file.write(piece)
        digest.update(piece)
        done += len(piece)
        if show:
            share = f"{100 * done // total:3} %" if total else f"{done >> 10} KiB"
            print(f"\r{name} {share}", end="", file=sys.stderr)
    if show:
        print(file=sys.stderr)
    return digest.hexdigest()
