"""Networks that find how pixels move."""

from .raft import *
