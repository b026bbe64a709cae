"""Writes docs/operators.md: every operator with its schema, kind, gradient and dtypes.

The dtypes are those that a call on small tensors takes, where a call needs nothing but tensors.
"""

import re
import sys
import warnings

import flambeau as torch
from flambeau import _ops

DTYPES = (
    "bool uint8 int8 int16 int32 int64 float16 bfloat16 float32 float64 complex64 complex128"
).split()
GROUPS = [
    ("all", set(DTYPES)),
    ("numbers", set(DTYPES[1:])),
    ("real", set(DTYPES[:10])),
    ("real numbers", set(DTYPES[1:10])),
    ("integers, bool", set(DTYPES[:6])),
    ("integers", set(DTYPES[1:6])),
    ("floats, complex", set(DTYPES[6:])),
    ("floats", set(DTYPES[6:10])),
    ("float32, float64, complex", {"float32", "float64", "complex64", "complex128"}),
    ("float32, float64", {"float32", "float64"}),
    ("complex", {"complex64", "complex128"}),
]

_ONCE = "float16 and bfloat16 are rounded once, PyTorch's sums after each part"
_DOUBLE = "computed in double; PyTorch's float32 loses up to three digits, narrower types give NaN"
_BESSEL = "within 5e-14; PyTorch is off by up to 3e-7 between 3 and 8"
_STABLE = "equal elements of lines longer than 16,384 keep their order"
_SINGLE = "float16 with a complex number gives complex64, in PyTorch complex32"
# What gives other results than PyTorch, and why. Where it says nothing, PyTorch's tests of the
# operator pass.
DEVIATIONS = {
    "add": _SINGLE,
    "addbmm": _ONCE,
    "as_strided_scatter": "elements that are written over get no gradient; in PyTorch 0-d ones do",
    "div": _SINGLE,
    "histc": "float16 is counted in double; PyTorch's bins are off by their rounding",
    "istft": "the gradient of a complex window is the exact one",
    "linalg.matrix_exp": _DOUBLE,
    "matrix_exp": _DOUBLE,
    "mul": _SINGLE,
    "nn.functional.conv_transpose1d": _ONCE,
    "nn.functional.conv_transpose2d": _ONCE,
    "nn.functional.conv_transpose3d": _ONCE,
    "sort": _STABLE,
    "argsort": _STABLE,
    "special.bessel_j0": _BESSEL,
    "special.bessel_y1": _BESSEL,
    "sub": _SINGLE,
}


def schemas(function):
    return list(getattr(function, "schemas", None) or [function.schema])


def required(schema):
    """The arguments that a call must give, as (type, name)."""
    inside = re.search(r"\((.*)\)(?: ->|$)", schema).group(1)
    found = []
    for part in re.split(r",\s*(?![^\[\]()]*[\])])", inside):
        if part.strip() == "*":
            break
        if part and "=" not in part:
            found.append(part.rsplit(" ", 1))
    return found


def dtypes_of(function):
    """Names of the dtypes that it takes; None if a call needs more than tensors."""
    needs = required(schemas(function)[0])
    kinds = {re.sub(r"\(.*?\)", "", need[0]) for need in needs}
    if not needs or not kinds <= {"Tensor"}:
        return None
    taken = set()
    for name in DTYPES:
        for shape in ((2, 2), (2,), (1, 2, 4, 4)):
            try:
                function(*(torch.ones(shape, dtype=getattr(torch, name)) for _ in needs))
            except Exception:
                continue
            taken.add(name)
            break
    return taken


def dtypes_text(function):
    taken = dtypes_of(function)
    if not taken:
        return ""
    for text, group in GROUPS:
        if taken == group:
            return text
    return ", ".join(name for name in DTYPES if name in taken)


def row(name, function):
    kind = getattr(function, "kind", "composed")
    gradient = getattr(function, "differentiable", True)
    text = "<br>".join(f"`{s}`".replace("|", "\\|") for s in schemas(function))
    inplace = f"`{name}_`" if name + "_" in _ops.functions or name + "_" in _ops.methods else ""
    return (
        f"| {text} | {kind} | {'yes' if gradient else ''} | {inplace} | {dtypes_text(function)} | "
        f"{DEVIATIONS.get(name, '')} |"
    )


def listed(table):
    """The public operators; those in place stand beside their plain forms."""
    return {
        name: function
        for name, function in table.items()
        if not name.rpartition(".")[2].startswith("_")
        and not (name.endswith("_") and (name[:-1] in _ops.functions or name[:-1] in _ops.methods))
        and (hasattr(function, "schemas") or hasattr(function, "schema"))
    }


def main(file):
    warnings.simplefilter("ignore")
    table = listed(_ops.functions)
    methods = listed({n: f for n, f in _ops.methods.items() if n not in _ops.functions})
    print("# Operators\n", file=file)
    print(
        f"{len(table)} functions and {len(methods)} methods of Tensor beside them, as "
        "`scripts/docs` finds them in the\noperator table. A *pointwise* operator is a line of "
        "`csrc/ops/pointwise.def`, a *native* one a record\nwith a kernel, a *view* shares memory, "
        "a *composed* one is made of others and has their gradients.\nThe dtypes are those that a "
        "call on small tensors takes, left empty where a call needs more than\ntensors. An "
        "operator with the name of PyTorch's takes its arguments and gives its results, but for "
        "what\nthe last column says.\n",
        file=file,
    )
    spaces = {}
    for name, function in sorted(table.items()):
        spaces.setdefault(name.rpartition(".")[0], {})[name] = function
    spaces["Tensor"] = dict(sorted(methods.items()))
    for space, entries in sorted(spaces.items()):
        title = space if space == "Tensor" else f"flambeau.{space}".rstrip(".")
        print(f"## {title}\n", file=file)
        print("| schema | kind | gradient | in place | dtypes | deviation |", file=file)
        print("| --- | --- | --- | --- | --- | --- |", file=file)
        for name, function in entries.items():
            print(row(name, function), file=file)
        print(file=file)


if __name__ == "__main__":
    main(sys.stdout)
