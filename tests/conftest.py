"""What every test starts from."""

import pytest


@pytest.fixture(autouse=True)
def fresh_state():
    """Each test draws from the same seed and leaves the global settings as it found them."""
    import flambeau

    flambeau.manual_seed(0)
    dtype, threads = flambeau.get_default_dtype(), flambeau.get_num_threads()
    yield
    flambeau.set_default_dtype(dtype)
    flambeau.set_num_threads(threads)
