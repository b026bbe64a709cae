"""Traces of operators on tensors: none is ever under way."""


def get_proxy_mode():
    """The mode of the trace under way: None."""
    return None
