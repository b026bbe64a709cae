"""Tensors as text, in PyTorch's form."""

import contextlib
import math
from types import SimpleNamespace

import flambeau
from flambeau import _C, _levels

_DEFAULTS = {"precision": 4, "threshold": 1000, "edgeitems": 3, "linewidth": 80, "sci_mode": None}
_PROFILES = {
    "default": {"precision": 4, "threshold": 1000, "edgeitems": 3, "linewidth": 80},
    "short": {"precision": 2, "threshold": 1000, "edgeitems": 2, "linewidth": 80},
    "full": {"precision": 4, "threshold": math.inf, "edgeitems": 3, "linewidth": 80},
}
PRINT_OPTS = SimpleNamespace(**_DEFAULTS)


def set_printoptions(
    precision=None, threshold=None, edgeitems=None, linewidth=None, profile=None, sci_mode=None
):
    """How tensors are printed: digits, when to shorten, items at the edges, characters in a line.

    >>> import flambeau as torch
    >>> torch.set_printoptions(precision=2)
    >>> torch.tensor([1.12345])
    tensor([1.12])
    >>> torch.set_printoptions(profile="default")
    """
    vars(PRINT_OPTS).update(_PROFILES.get(profile, {}))  # as PyTorch takes any other name
    given = {
        "precision": precision,
        "threshold": threshold,
        "edgeitems": edgeitems,
        "linewidth": linewidth,
    }
    vars(PRINT_OPTS).update({name: value for name, value in given.items() if value is not None})
    PRINT_OPTS.sci_mode = sci_mode


@contextlib.contextmanager
def printoptions(**kwargs):
    """A block in which tensors are written with other options, as set_printoptions() has them."""
    before = get_printoptions()
    set_printoptions(**kwargs)
    try:
        yield
    finally:
        vars(PRINT_OPTS).update(before)


def get_printoptions():
    """What set_printoptions() set."""
    return dict(vars(PRINT_OPTS))


# -- numbers ---------------------------------------------------------------------------------------
class _Numbers:
    """The common form of all numbers of a tensor: fixed, whole or scientific, and its width."""

    def __init__(self, values, floating):
        self.floating = floating
        self.whole = True
        self.scientific = False
        self.width = 1
        if not floating:
            self.width = max([1, *(len(str(v)) for v in values)])
            return
        finite = [v for v in values if v and math.isfinite(v)]
        if not finite:
            return
        smallest, largest = min(map(abs, finite)), max(map(abs, finite))
        self.whole = all(v == math.floor(v) for v in finite)
        wide = largest / smallest > 1000.0 or largest > 1.0e8
        self.scientific = wide if self.whole else wide or smallest < 1.0e-4
        if self.whole and not self.scientific:
            self.width = max(len(f"{v:.0f}") + 1 for v in finite)
        else:
            kind = "e" if self.scientific else "f"
            self.width = max(len(f"{v:.{PRINT_OPTS.precision}{kind}}") for v in finite)
        if PRINT_OPTS.sci_mode is not None:
            self.scientific = PRINT_OPTS.sci_mode

    def text(self, value):
        if not self.floating:
            out = str(value)
        elif self.scientific:
            out = f"{value:{self.width}.{PRINT_OPTS.precision}e}"
        elif self.whole:
            out = f"{value:.0f}" + ("." if math.isfinite(value) else "")
        else:
            out = f"{value:.{PRINT_OPTS.precision}f}"
        return out.rjust(self.width)


class _Complex:
    """The form of complex numbers: that of the real parts and that of the imaginary ones."""

    def __init__(self, values):
        self.real = _Numbers([v.real for v in values], True)
        self.imag = _Numbers([v.imag for v in values], True)
        self.width = self.real.width + self.imag.width + 1

    def text(self, value):
        imag = self.imag.text(value.imag).lstrip() + "j"
        sign = "" if imag[0] in "+-" else "+"
        return self.real.text(value.real) + sign + imag


# -- layout ----------------------------------------------------------------------------------------
def _edges(tensor, shorten):
    """The elements that are shown, as nested lists; in a shortened dimension None is a gap."""
    if tensor.dim() == 0:
        return tensor.item()
    n, edge = len(tensor), PRINT_OPTS.edgeitems
    if not shorten:
        return tensor.tolist()
    if n <= 2 * edge:
        return [_edges(tensor[i], shorten) for i in range(n)]
    rows = [_edges(tensor[i], shorten) for i in range(edge)]
    return rows + [None] + [_edges(tensor[i], shorten) for i in range(n - edge, n)]


def _flat(items):
    if not isinstance(items, list):
        return [] if items is None else [items]
    if not items or not isinstance(items[0], list):
        return [v for v in items if v is not None]
    return [v for row in items if row is not None for v in _flat(row)]


def _row(items, form, indent, step):
    per_line = max(1, (PRINT_OPTS.linewidth - indent) // (step + 2))
    texts = [" ..." if v is None else form.text(v) for v in items]
    lines = [texts[i : i + per_line] for i in range(0, len(texts), per_line)] or [[]]
    return "[" + (",\n" + " " * (indent + 1)).join(", ".join(line) for line in lines) + "]"


def _layout(items, dim, form, indent):
    if dim == 0:
        return form.text(items)
    if dim == 1:
        return _row(items, form, indent, form.width)
    rows = ["..." if r is None else _layout(r, dim - 1, form, indent + 1) for r in items]
    return "[" + ("," + "\n" * (dim - 1) + " " * (indent + 1)).join(rows) + "]"


def _tensor_str(tensor, indent):
    if tensor.numel() == 0:
        return "[]"
    shorten = tensor.numel() > PRINT_OPTS.threshold
    items = _edges(tensor, shorten)
    values = _flat(items)
    if tensor.is_complex():
        form = _Complex(values)
    else:
        form = _Numbers(values, tensor.is_floating_point())
    return _layout(items, tensor.dim(), form, indent)


def _join(text, suffixes, indent):
    """The suffixes after the numbers, on a new line where the last one has no room left."""
    used = len(text) - text.rfind("\n") + 1
    for suffix in suffixes:
        if used + len(suffix) + 2 > PRINT_OPTS.linewidth:
            text += ",\n" + " " * indent + suffix
            used = indent + len(suffix)
        else:
            text += ", " + suffix
            used += len(suffix) + 2
    return text + ")"


def _add_suffixes(tensor_str, suffixes, indent, force_newline):
    """The text with suffixes, the first of them on a new line if need be; libraries write their
    containers by it."""
    if not suffixes:
        return tensor_str + ")"
    if force_newline:
        tensor_str += ",\n" + " " * indent + suffixes[0]
        suffixes = suffixes[1:]
    return _join(tensor_str, suffixes, indent)


def _usual_dtypes():
    default = _C.get_default_dtype()
    return default, default.to_complex(), flambeau.int64, flambeau.bool


def _text(tensor, contents):
    from flambeau.nn.parameter import Parameter

    name = "tensor" if type(tensor) in (flambeau.Tensor, Parameter) else type(tensor).__name__
    indent = len(name) + 1
    plain = tensor.detach()
    suffixes = []
    if not tensor.is_cpu:
        suffixes.append(f"device='{tensor.device}'")
    dtype = f"dtype={tensor.dtype}"
    if contents is not None:
        numbers = contents
    elif tensor.is_meta:
        suffixes.append(f"size={tuple(tensor.shape)}")
        if tensor.dtype != _C.get_default_dtype():
            suffixes.append(dtype)
        numbers = "..."
    elif tensor.numel() == 0:
        if tensor.dim() != 1:
            suffixes.append(f"size={tuple(tensor.shape)}")
        if tensor.dtype != _C.get_default_dtype():
            suffixes.append(dtype)
        numbers = "[]"
    else:
        if tensor.dtype not in _usual_dtypes():
            suffixes.append(dtype)
        numbers = _tensor_str(plain, indent)
    if tensor.grad_fn is not None:
        suffixes.append(f"grad_fn=<{tensor.grad_fn.name().rpartition('::')[2]}>")
    elif tensor.requires_grad:
        suffixes.append("requires_grad=True")
    whole = _join(name + "(" + numbers, suffixes, indent)
    return f"Parameter({whole})" if getattr(tensor, "_is_param", False) else whole


def _transformed_text(transformed, contents):
    """An example of a batch with all of it, a dual number with its tangent."""
    batch, level, value, other = transformed
    if batch:
        inner = text(value).replace("\n", "\n    ")
        return f"BatchedTensor(lvl={level}, bdim={other}, value=\n    {inner}\n)"
    if level not in _levels.duals.items:  # it is over, and with it the tangent
        return text(value, contents)
    return f"{text(value, contents)[:-1]}, tangent={text(other)})"


def _str_intern(inp, *, tensor_contents=None):
    """The text of a tensor; a class that prints its own numbers gives them."""
    return text(inp, tensor_contents)


def text(tensor, contents=None):
    """What repr(tensor) gives; `contents` stands in for the numbers."""
    _C._disable_torch_function(1)
    grad = _C._exchange_grad_enabled(False)
    try:
        transformed = _C._transformed(tensor)
        if transformed is not None:
            return _transformed_text(transformed, contents)
        return _text(tensor, contents)
    finally:
        _C._exchange_grad_enabled(grad)
        _C._disable_torch_function(-1)
