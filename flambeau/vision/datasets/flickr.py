"""Photos with captions: Flickr8k and Flickr30k."""

import glob
import os
from html.parser import HTMLParser

from .folder import default_loader
from .vision import VisionDataset


class _Captions(VisionDataset):
    def __init__(
        self, root, ann_file, transform=None, target_transform=None, loader=default_loader
    ):
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.ann_file = os.path.expanduser(ann_file)
        self.loader = loader
        self.annotations = self._read()
        self.ids = sorted(self.annotations)

    def _read(self):
        """{image: captions} of lines "image#number<tab>caption"."""
        found = {}
        with open(self.ann_file, encoding="utf-8") as file:
            for line in file:
                if "\t" in line:
                    image, caption = line.rstrip("\n").split("\t", 1)
                    found.setdefault(image.rsplit("#", 1)[0], []).append(caption)
        return found

    def __getitem__(self, index):
        name = self.ids[index]
        image, target = self.loader(os.path.join(self.root, name)), self.annotations[name]
        return self._transformed(image, target)

    def __len__(self):
        return len(self.ids)


class Flickr8k(_Captions):
    """8,000 photos with five captions each, from the token file or the page of captions."""

    def _read(self):
        with open(self.ann_file, encoding="utf-8") as file:
            text = file.read()
        if "<table" not in text:
            return super()._read()
        found = {}
        for number, lines in _captions(text).items():
            paths = glob.glob(os.path.join(self.root, f"{number}_*.jpg"))
            if paths:
                found[paths[0]] = lines
        return found


class Flickr30k(_Captions):
    """30,000 photos with five captions each, from the token file."""


def _captions(page):
    """{number of the photo: captions} of the page that comes with Flickr8k; of its links only."""
    parser = _Parser()
    parser.feed(page)
    parser.close()
    return parser.found


class _Parser(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found = {}
        self._number, self._tag = None, None

    def handle_starttag(self, tag, attrs):
        self._tag = tag

    def handle_data(self, data):
        text = data.strip()
        if not text:
            return
        if self._tag == "td":  # in place of the link
            self._number = None
        elif self._tag == "a":
            self._number = text.rstrip("/").rsplit("/", 1)[-1]
            self.found[self._number] = []
        elif self._tag == "li" and self._number is not None:
            self.found[self._number].append(text)
