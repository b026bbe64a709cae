"""What steps that shuffle have in common."""

import random

from ..sampler import draw_seed


class Shuffling:
    """A generator that is seeded anew with each pass, and a switch."""

    def __init__(self):
        self._enabled = True
        self._seed = None
        self._rng = random.Random()

    def set_shuffle(self, shuffle=True):
        """Turns shuffling on or off."""
        self._enabled = shuffle
        return self

    def set_seed(self, seed):
        """The seed of the next pass."""
        self._seed = seed
        return self

    def reset(self):
        if self._enabled:
            self._rng.seed(draw_seed(None) if self._seed is None else self._seed)
            self._seed = None
