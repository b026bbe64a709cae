"""From a file's bytes to a value, by the ending of its name."""

import json
import os


def extension_extract_fn(pathname):
    """The ending of a file's name without its dot."""
    return os.path.splitext(pathname)[1][1:]


def basichandlers(extension, data):
    """Text, JSON and numbers; None for other endings."""
    if extension in ("txt", "text", "transcript"):
        return data.decode("utf-8")
    if extension in ("json", "jsn"):
        return json.loads(data)
    if extension in ("cls", "cls2", "class", "count", "index", "inx", "id"):
        return int(data)
    return None


class Decoder:
    """Asks handlers (extension, bytes) -> value or None in turn."""

    def __init__(self, *handler, key_fn=extension_extract_fn):
        self.handlers = list(handler)
        self.key_fn = key_fn

    def add_handler(self, *handler):
        self.handlers += handler

    def decode1(self, key, data):
        """The value of one file; its bytes where no handler knows it."""
        content = data.read() if hasattr(data, "read") else data
        for handler in self.handlers:
            value = handler(key, content)
            if value is not None:
                return value
        return content

    def __call__(self, data):
        name, file = data
        return name, self.decode1(self.key_fn(name), file)
