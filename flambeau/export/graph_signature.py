"""What goes into an exported graph and what comes out of it."""

import enum
from typing import NamedTuple

__all__ = """ExportGraphSignature InputKind InputSpec OutputKind OutputSpec TensorArgument
ConstantArgument""".split()


class InputKind(enum.Enum):
    """What an argument of the graph is."""

    USER_INPUT = enum.auto()
    PARAMETER = enum.auto()
    BUFFER = enum.auto()
    CONSTANT_TENSOR = enum.auto()


class OutputKind(enum.Enum):
    """What a result of the graph is."""

    USER_OUTPUT = enum.auto()


class TensorArgument(NamedTuple):
    """A tensor, by the name of its node."""

    name: str


class ConstantArgument(NamedTuple):
    """A plain value."""

    name: str
    value: object


class InputSpec(NamedTuple):
    """One argument: its kind, its node, and the name of the parameter or buffer behind it."""

    kind: InputKind
    arg: TensorArgument
    target: str | None
    persistent: bool | None = None


class OutputSpec(NamedTuple):
    """One result."""

    kind: OutputKind
    arg: object
    target: str | None = None


class ExportGraphSignature(NamedTuple):
    """All arguments and results of a graph, in their order."""

    input_specs: list
    output_specs: list

    def _inputs(self, kind):
        return {spec.arg.name: spec.target for spec in self.input_specs if spec.kind is kind}

    @property
    def inputs_to_parameters(self):
        """Node -> name of the parameter."""
        return self._inputs(InputKind.PARAMETER)

    @property
    def inputs_to_buffers(self):
        """Node -> name of the buffer."""
        return self._inputs(InputKind.BUFFER)

    @property
    def inputs_to_lifted_tensor_constants(self):
        """Node -> name of the constant."""
        return self._inputs(InputKind.CONSTANT_TENSOR)

    @property
    def parameters(self):
        """The names of the parameters."""
        return tuple(self.inputs_to_parameters.values())

    @property
    def buffers(self):
        """The names of the buffers."""
        return tuple(self.inputs_to_buffers.values())

    @property
    def lifted_tensor_constants(self):
        """The names of the constants."""
        return tuple(self.inputs_to_lifted_tensor_constants.values())

    @property
    def user_inputs(self):
        """The nodes of what the caller gives."""
        return tuple(self._inputs(InputKind.USER_INPUT))

    @property
    def user_outputs(self):
        """The nodes of what the caller gets."""
        return tuple(getattr(spec.arg, "name", None) for spec in self.output_specs)
