"""Passes over graphs as classes."""

import abc
from typing import NamedTuple

from ...graph_module import GraphModule

__all__ = ["PassBase", "PassResult"]


class PassResult(NamedTuple):
    """What a pass made, and whether it changed anything."""

    graph_module: GraphModule
    modified: bool


class PassBase(abc.ABC):
    """A pass: call(graph_module), between requires() and ensures(), which check what they like.

    >>> import flambeau as torch
    >>> from flambeau.fx.passes.infra.pass_base import PassBase, PassResult
    >>> class Nothing(PassBase):
    ...     def call(self, graph_module):
    ...         return PassResult(graph_module, False)
    >>> Nothing()(torch.fx.symbolic_trace(torch.nn.ReLU())).modified
    False
    """

    def __call__(self, graph_module):
        self.requires(graph_module)
        found = self.call(graph_module)
        self.ensures(graph_module)
        return found

    @abc.abstractmethod
    def call(self, graph_module):
        """The pass itself: a PassResult, or None."""

    def requires(self, graph_module):  # noqa: B027 (nothing to check, unless a pass has)
        """Called before the pass."""

    def ensures(self, graph_module):  # noqa: B027
        """Called after the pass."""
