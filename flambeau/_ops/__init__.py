"""The operator table seen from Python: native records, and operators made of other operators.

`functions` holds every operator by its full name (`add`, `nn.functional.relu`), `methods` those of
Tensor by method name. A composite operator is a Python function under `@op("schema")`; a native
record of the same name takes its place, and the composite stays in `composites` as its reference.
"""

import os

from flambeau import _C

functions = dict(_C._functions)
methods = dict(_C._methods)
internal = dict(_C._internal)
composites = {}


def op(schema, *, method=None):
    """Enters a Python function into the table, under the name that its schema begins with.

    It becomes a method too when it has no namespace and takes a Tensor first; `method` overrides.

    >>> from flambeau._ops import op
    >>> @op("twice_for_doc(Tensor input) -> Tensor", method=False)
    ... def twice_for_doc(input):
    ...     return input + input
    """
    name, _, arguments = schema.partition("(")
    if method is None:
        method = "." not in name and arguments.startswith("Tensor ")

    def register(function):
        function.schema = schema
        composites[name] = function
        chosen = functions.setdefault(name, function)
        if method:
            methods.setdefault(name, function)
        return chosen

    return register


def namespace(prefix):
    """The operators of one namespace: `namespace("linalg")` gives {"svd": ..., ...}."""
    start = prefix + "."
    return {
        name[len(start) :]: function
        for name, function in functions.items()
        if name.startswith(start) and "." not in name[len(start) :]
    }


def plain():
    """The operators of `flambeau` itself."""
    return {name: function for name, function in functions.items() if "." not in name}


def find(name, kind, inplace):
    """An operator by its full name; what pickled operators are found with."""
    if inplace and not name.endswith("_"):
        name += "_"
    if kind == "method":
        return methods[name]
    return functions[name] if name in functions else internal[name]


def load_composites():
    """Imports every file of this folder, each of which enters its operators."""
    import importlib

    for file in sorted(os.listdir(os.path.dirname(__file__))):
        name, extension = os.path.splitext(file)
        if extension == ".py" and name != "__init__":
            importlib.import_module(f"{__name__}.{name}")
