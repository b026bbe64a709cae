"""The old name of ao.quantization."""

from flambeau.ao.quantization import *  # noqa: F403
from flambeau.ao.quantization import default_eval_fn  # noqa: F401
