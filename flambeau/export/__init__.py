"""torch.export: a model as a graph of aten operators, with its weights, apart from its Python code.

>>> import flambeau as torch
>>> program = torch.export.export(torch.nn.Linear(2, 1), (torch.ones(3, 2),))
>>> [str(node.target) for node in program.graph.nodes if node.op == "call_function"]
['aten.linear.default']
>>> program.module()(torch.zeros(3, 2)).shape
torch.Size([3, 1])
"""

import io
import itertools
import json

import flambeau
from flambeau import Tensor, nn

from ..jit import _print, _trace
from ._graph import build, leaves
from .dynamic_shapes import AdditionalInputs, Dim, ShapesCollection, _Dim, _Line, dims
from .graph_signature import ExportGraphSignature

__all__ = """AdditionalInputs Dim ExportGraphSignature ExportedProgram ShapesCollection dims
export load register_dataclass save""".split()


def _flat(tree, path):
    """(path, tensor) of each tensor in nested arguments."""
    if isinstance(tree, Tensor):
        yield path, tree
    elif isinstance(tree, dict):
        for key, each in tree.items():
            yield from _flat(each, (*path, key))
    elif isinstance(tree, (tuple, list)):
        for i, each in enumerate(tree):
            yield from _flat(each, (*path, i))


def _record(mod, args, kwargs):
    """One run of a module, recorded; its buffers are left as they were."""
    kept = [(buffer, buffer.clone()) for buffer in mod.buffers()]
    recorded = _trace.record(mod, args, kwargs)
    with flambeau.no_grad():
        for buffer, value in kept:
            buffer.copy_(value)
    return recorded


def _program(recorded, mod):
    """The module of a trace, which gives its results in one tuple."""
    trace, inputs, outputs = recorded
    return _print.program(trace, inputs, tuple(leaves(outputs)), mod)


def _structure(tree, count):
    """The shape of nested results: their containers, with the place of each leaf."""
    if isinstance(tree, dict):
        return {key: _structure(each, count) for key, each in tree.items()}
    if isinstance(tree, (list, tuple)):
        return type(tree)([_structure(each, count) for each in tree])
    return next(count)


def _rebuilt(structure, results):
    if isinstance(structure, dict):
        return {key: _rebuilt(each, results) for key, each in structure.items()}
    if isinstance(structure, (list, tuple)):
        return type(structure)([_rebuilt(each, results) for each in structure])
    return results[structure]


def _free_sizes(names, given, dynamic_shapes):
    """path -> {dimension: Dim} of the sizes that may change."""
    if dynamic_shapes is None:
        return {}
    if isinstance(dynamic_shapes, (tuple, list)):
        dynamic_shapes = dict(zip(names, dynamic_shapes, strict=False))
    found = {}
    for name, tree in given.items():
        for path, tensor in _flat(tree, (name,)):
            spec = dynamic_shapes
            for key in path:
                if isinstance(spec, dict):
                    spec = spec.get(key)
                elif isinstance(spec, (list, tuple)) and isinstance(key, int):
                    spec = spec[key] if key < len(spec) else None
            if spec is None:
                continue
            pairs = spec.items() if isinstance(spec, dict) else enumerate(spec)
            chosen = {i % tensor.dim(): dim for i, dim in pairs if isinstance(dim, _Dim)}
            if chosen:
                found[path] = chosen
    return found


def _check_root(what, dim, size, roots):
    """Sizes of one Dim agree, and those of `2 * dim` with it; roots: name -> the size of it."""
    line = isinstance(dim, _Line)
    found = dim.root_of(size) if line else size
    name = dim.root.__name__ if line else dim.__name__
    if found is None or roots.setdefault(name, found) != found:
        raise AssertionError(f"Guard failed: {what} == {dim.__name__}, is {size}")


class ExportedProgram:
    """A graph of operators with what it needs: `graph_module`, `graph_signature`, `state_dict`,
    `constants`, `example_inputs`; `module()` is the model that it makes."""

    def __init__(self, program, given, sizes, example_inputs, recorded, structure=None):
        self._program, self._given, self._sizes = program, given, sizes
        self._structure = structure
        if structure is None:
            self._structure = _structure(recorded[2], itertools.count())
        self.example_inputs = example_inputs
        self.graph_module, self.graph_signature, self.constants = build(recorded, bool(sizes))

    @property
    def graph(self):
        """The graph of `graph_module`."""
        return self.graph_module.graph

    @property
    def state_dict(self):
        """Parameters and buffers by name."""
        return self._program.state_dict(keep_vars=True)

    def parameters(self):
        """The parameters."""
        return self._program.parameters()

    def named_parameters(self):
        """(name, parameter) of each."""
        return self._program.named_parameters()

    def buffers(self):
        """The buffers."""
        return self._program.buffers()

    def named_buffers(self):
        """(name, buffer) of each."""
        return self._program.named_buffers()

    @property
    def range_constraints(self):
        """The least and the largest of each size that may change, by its name."""
        return {
            dim.__name__: (dim.min, dim.max)
            for chosen in self._sizes.values()
            for dim in chosen.values()
        }

    def module(self, check_guards=True):
        """A Module that runs the program, over the same parameters. Sizes other than those of the
        example are an AssertionError, unless `dynamic_shapes` had a Dim for them."""
        names = list(self._given)
        args, kwargs = self.example_inputs
        made = _program(_record(self._program, args, kwargs), self._program)
        made.register_forward_hook(lambda module, args, results: _rebuilt(self._structure, results))
        if check_guards:

            def check(module, args, kwargs):
                self._check({**dict(zip(names, args, strict=False)), **kwargs})

            made.register_forward_pre_hook(check, with_kwargs=True)
        return made

    def _check(self, given):
        wanted, roots = dict(_flat(self._given, ())), {}
        for path, tensor in _flat(given, ()):
            if path not in wanted:
                continue
            name, free = path[0], self._sizes.get(path, {})
            shape = wanted[path].shape
            if len(shape) != tensor.dim():
                raise AssertionError(f"Guard failed: {name} has {tensor.dim()} dimensions")
            for i, (size, found) in enumerate(zip(shape, tensor.shape, strict=True)):
                dim = free.get(i)
                if dim is None and size != found:
                    raise AssertionError(f"Guard failed: {name}.size()[{i}] == {size}, is {found}")
                most = None if dim is None else dim.max
                if dim is not None and (found < dim.min or (most is not None and found > most)):
                    raise AssertionError(f"Guard failed: {name}.size()[{i}] in {dim}, is {found}")
                if isinstance(dim, Dim):
                    _check_root(f"{name}.size()[{i}]", dim, found, roots)

    def run_decompositions(self, decomp_table=None, decompose_custom_triton_ops=False):
        """The program itself: its operators are those of aten already."""
        return self

    def __call__(self, *args, **kwargs):
        raise RuntimeError(
            "Unable to call ExportedProgram directly. You should use `exported_program.module()` "
            "instead."
        )

    def __str__(self):
        return f"ExportedProgram:\n{self.graph_module.code}\n{self.graph_signature}"


def export(
    mod, args, kwargs=None, *, dynamic_shapes=None, strict=False,
    preserve_module_call_signature=(), prefer_deferred_runtime_asserts_over_guards=False,
):  # fmt: skip
    """The ExportedProgram of a Module: the operators that it runs on the example inputs.

    Branches are those of the example. dynamic_shapes: for each argument, by name or in order, a
    dictionary or a sequence of a Dim (or None) for each dimension; the other sizes are fixed.
    Signatures of submodules are not kept.

    >>> import flambeau as torch
    >>> net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU())
    >>> program = torch.export.export(net, (torch.ones(1, 2),))
    >>> program.module()(torch.ones(1, 2)).shape
    torch.Size([1, 3])
    """
    if not isinstance(mod, nn.Module):
        raise ValueError(f"Expected `mod` to be an instance of nn.Module, got {type(mod)}.")
    if not isinstance(args, tuple):
        raise TypeError(f"Expecting `args` to be a tuple of example positional inputs, got {args}")
    kwargs = kwargs or {}
    names = _trace._names(mod.forward, args, kwargs)
    given = dict(zip(names, [*args, *kwargs.values()], strict=True))
    recorded = _record(mod, args, kwargs)
    program = _program(recorded, mod)
    sizes = _free_sizes(names, given, dynamic_shapes)
    return ExportedProgram(program, given, sizes, (args, kwargs), recorded)


def save(ep, f, *, extra_files=None, opset_version=None, pickle_protocol=2):
    """Writes a program to a path or a file: a TorchScript archive with the example inputs and the
    sizes that may change beside it. PyTorch reads it by `torch.jit.load`."""
    if not isinstance(ep, ExportedProgram):
        raise TypeError(f"The 'ep' parameter must be an instance of 'ExportedProgram', got {ep!r}")
    example = io.BytesIO()
    flambeau.save((*ep.example_inputs, ep._structure), example, pickle_protocol=pickle_protocol)
    sizes = [
        [list(path), i, dim.__name__, dim.min, dim.max]
        for path, chosen in ep._sizes.items()
        for i, dim in chosen.items()
    ]
    files = {**(extra_files or {}), "export/example.pt": example.getvalue()}
    files["export/sizes.json"] = json.dumps(sizes)
    ep._program.save(f, files)


def load(f, *, extra_files=None, expected_opset_version=None):
    """The ExportedProgram that `save` wrote; extra_files: a dictionary to be filled."""
    own = {"export/example.pt": b"", "export/sizes.json": ""}
    names = {**(extra_files or {}), **own}
    program = flambeau.jit.load(f, _extra_files=names)
    if not names["export/sizes.json"]:
        raise RuntimeError("export.load(): the file was not written by flambeau.export.save")
    for name in extra_files or ():
        extra_files[name] = names[name]
    args, kwargs, structure = flambeau.load(io.BytesIO(names["export/example.pt"]))
    sizes = {}
    for path, i, name, least, most in json.loads(names["export/sizes.json"]):
        sizes.setdefault(tuple(path), {})[i] = _Dim(name, least, most)
    recorded = _record(program, tuple(args), kwargs)
    given = dict(zip(recorded[1], [*args, *kwargs.values()], strict=True))
    return ExportedProgram(program, given, sizes, (tuple(args), kwargs), recorded, structure)


def register_dataclass(cls, *, serialized_type_name=None):
    """Lets a dataclass be an input or a result of functions over nested containers."""
    from dataclasses import fields

    names = [field.name for field in fields(cls)]
    flambeau.utils._pytree.register_pytree_node(
        cls,
        lambda value: ([getattr(value, name) for name in names], None),
        lambda values, context: cls(**dict(zip(names, values, strict=True))),
    )
