"""Scripts made ready for telephones: `save` writes the module as it is."""

from flambeau.jit import ScriptModule

__all__ = ["optimize_for_mobile"]


def optimize_for_mobile(
    script_module, optimization_blocklist=None, preserved_methods=None, backend="CPU"
):
    """The script in evaluation mode. Its operators stay apart, so that the block list, the methods
    to keep and the backend have nothing to decide."""
    if not isinstance(script_module, ScriptModule):
        raise TypeError(f"Got {type(script_module)}, but ScriptModule is expected.")
    return script_module.eval()
