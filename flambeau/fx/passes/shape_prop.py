"""Shapes and types of all values of a graph, found by running it."""

import traceback
from typing import Any, NamedTuple

import flambeau as torch

from ..interpreter import Interpreter
from ..node import map_aggregate

__all__ = ["ShapeProp", "TensorMetadata"]


class TensorMetadata(NamedTuple):
    """What a tensor in a graph looks like."""

    shape: torch.Size
    dtype: torch.dtype
    requires_grad: bool
    stride: tuple
    memory_format: torch.memory_format | None
    is_quantized: bool
    qparams: dict


def _extract_tensor_metadata(result, include_contiguity=True):
    """The metadata of a tensor; without include_contiguity its memory format stays open."""
    formats = (torch.contiguous_format, torch.channels_last, torch.channels_last_3d)
    known = None
    if include_contiguity:
        known = next((f for f in formats if result.is_contiguous(memory_format=f)), None)
    return TensorMetadata(
        result.shape, result.dtype, result.requires_grad, result.stride(), known, False, {}
    )


class ShapeProp(Interpreter):
    """Runs a GraphModule and notes in each node's meta what it gave: `tensor_meta` and `type`.

    >>> import flambeau as torch
    >>> from flambeau.fx.passes.shape_prop import ShapeProp
    >>> traced = torch.fx.symbolic_trace(lambda x: x.sum(0))
    >>> _ = ShapeProp(traced).propagate(torch.ones(2, 3))
    >>> [node.meta["tensor_meta"].shape for node in traced.graph.nodes]
    [torch.Size([2, 3]), torch.Size([3]), torch.Size([3])]
    """

    def __init__(self, gm, fake_mode: Any = None):
        super().__init__(gm)
        self.fake_mode = fake_mode

    def run_node(self, n):
        try:
            result = super().run_node(n)
        except Exception as error:
            traceback.print_exc()
            raise RuntimeError(
                f"ShapeProp error for: node={n.format_node()} with meta={n.meta}"
            ) from error
        found = False

        def extract(value):
            nonlocal found
            if not isinstance(value, torch.Tensor):
                return value
            found = True
            return _extract_tensor_metadata(value)

        meta = map_aggregate(result, extract)
        if found:
            n.meta["tensor_meta"] = meta
        if self.fake_mode is not None and found:
            n.meta["val"] = result
        n.meta["type"] = type(result)
        return result

    def propagate(self, *args):
        """Runs the graph on these inputs; returns what it returns."""
        if self.fake_mode is None:
            return super().run(*args)
        with self.fake_mode:
            convert = self.fake_mode.from_tensor
            return super().run(*(convert(a) if isinstance(a, torch.Tensor) else a for a in args))
