"""When numbers become integers."""

import enum

__all__ = ["QuantType"]


class QuantType(enum.IntEnum):
    """DYNAMIC: as they come; STATIC: by a scale known before; QAT: rounded in training;
    WEIGHT_ONLY: weights alone."""

    DYNAMIC = 0
    STATIC = 1
    QAT = 2
    WEIGHT_ONLY = 3
