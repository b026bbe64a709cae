"""flambeau.return_types: the named tuples that operators with several results give."""

from flambeau import _C

# Of those whose operators are written in Python.
_FIELDS = {
    "frexp": ("mantissa", "exponent"),
    "histogram": ("hist", "bin_edges"),
    "histogramdd": ("hist", "bin_edges"),
}


def _native():
    """Names and fields of the native operators whose schema names its results."""
    for name, function in _C._functions.items():
        results = function.schemas[0].rpartition("-> ")[2]
        fields = [result.split() for result in results.strip("()").split(",")]
        if len(fields) > 1 and all(len(field) == 2 for field in fields):
            yield name.replace(".", "_"), tuple(field[1] for field in fields)


def pytree_register_structseq(cls):
    """Makes the class known to flambeau.utils._pytree, which takes named tuples as they are."""
    return cls


def _make():
    for name, fields in (*_FIELDS.items(), *_native()):
        _C._return_type(name, fields)
    classes = dict(_C._return_types)
    for name, cls in classes.items():
        globals()[name] = cls
        if name != "histogramdd":
            globals()[name + "_out"] = cls  # what the call with out= gives
    return list(classes.values())


all_return_types = _make()
