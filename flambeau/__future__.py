"""How modules take on converted tensors: in the old parameters, in new ones, or by a swap."""

_overwrite_module_params_on_conversion = False
_swap_module_params_on_conversion = False


def set_overwrite_module_params_on_conversion(value):
    """Whether `Module.to` and its like make new parameters instead of giving old ones new data.

    >>> import flambeau as torch
    >>> layer = torch.nn.Linear(1, 1)
    >>> old = layer.weight
    >>> torch.__future__.set_overwrite_module_params_on_conversion(True)
    >>> layer.double().weight is old
    False
    >>> torch.__future__.set_overwrite_module_params_on_conversion(False)
    """
    global _overwrite_module_params_on_conversion
    _overwrite_module_params_on_conversion = value


def get_overwrite_module_params_on_conversion():
    """What `set_overwrite_module_params_on_conversion` has set: False at first."""
    return _overwrite_module_params_on_conversion


def set_swap_module_params_on_conversion(value):
    """Whether modules convert and load by `utils.swap_tensors`, which all references see."""
    global _swap_module_params_on_conversion
    _swap_module_params_on_conversion = value


def get_swap_module_params_on_conversion():
    """What `set_swap_module_params_on_conversion` has set: False at first."""
    return _swap_module_params_on_conversion
