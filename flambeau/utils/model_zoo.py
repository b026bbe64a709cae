"""Downloads under their older name."""

from flambeau.hub import load_state_dict_from_url as load_url  # noqa: F401
from flambeau.hub import tqdm  # noqa: F401
