"""Counting the multiply-adds of products, convolutions and attention, by module."""

import warnings
from collections import defaultdict
from math import prod

import flambeau
from flambeau.overrides import TorchFunctionMode
from flambeau.utils._pytree import tree_map_only

__all__ = ["FlopCounterMode", "register_flop_formula"]

flop_registry = {}  # name of a function -> operations of a call, from its result and arguments


def register_flop_formula(targets, get_raw=False):
    """A decorator: f(*shapes, out_shape=shape, **kwargs) counts calls of these functions.

    Arguments that are no tensors come as they are. With `get_raw` tensors come as themselves, and
    the result as `out_val`.

    >>> import flambeau as torch
    >>> from flambeau.utils.flop_counter import FlopCounterMode, register_flop_formula
    >>> @register_flop_formula(torch.cumsum)
    ... def _cumsum(shape, dim, out_shape=None, **kwargs):
    ...     return shape.numel()
    >>> with FlopCounterMode(display=False) as counter:
    ...     _ = torch.ones(2, 3).cumsum(1)
    >>> counter.get_total_flops()
    6
    """
    targets = targets if isinstance(targets, (list, tuple)) else [targets]

    def register(formula):
        for target in targets:
            name = target if isinstance(target, str) else target.__name__
            flop_registry[name] = formula if get_raw else _of_shapes(formula)
        return formula

    return register


def _of_shapes(formula):
    def shapes(values):
        return tree_map_only(flambeau.Tensor, lambda t: t.shape, values)

    def raw(*args, out_val, **kwargs):
        return formula(*shapes(args), **shapes(kwargs), out_shape=shapes(out_val))

    return raw


@register_flop_formula(
    ["mm", "matmul", "bmm", "__matmul__", "__rmatmul__", "linear", "dot", "mv"], True
)
def _product(input, other, *rest, out_val, **options):
    return 2 * out_val.numel() * input.shape[-1]


@register_flop_formula(["addmm", "baddbmm", "addmv"], True)
def _added_product(input, one, other, *rest, out_val, **options):
    return 2 * out_val.numel() * one.shape[-1]


@register_flop_formula(["conv1d", "conv2d", "conv3d"], True)
def _convolution(input, weight, *rest, out_val, **options):
    return 2 * out_val.numel() * prod(weight.shape[1:])


@register_flop_formula(["conv_transpose1d", "conv_transpose2d", "conv_transpose3d"], True)
def _transposed_convolution(input, weight, *rest, out_val, **options):
    return 2 * input.numel() * prod(weight.shape[1:])


@register_flop_formula("scaled_dot_product_attention", True)
def _attention(query, key, value, *rest, out_val, **options):
    pairs = prod(query.shape[:-1]) * key.shape[-2]
    return 2 * pairs * (query.shape[-1] + value.shape[-1])


class FlopCounterMode(TorchFunctionMode):
    """Counts operations of what runs within, forward and backward, 2 for a multiply and add.

    The backward of a product counts once for each of its two operands that wants a gradient.
    depth: how many levels of modules the table shows. custom_mapping: formulas by function, as
    register_flop_formula() takes them (with raw tensors where they have a true `_get_raw`).

    >>> import flambeau as torch
    >>> from flambeau.utils.flop_counter import FlopCounterMode
    >>> with FlopCounterMode(display=False) as counter:
    ...     _ = torch.ones(2, 3) @ torch.ones(3, 4)
    >>> counter.get_total_flops()
    48
    """

    def __init__(self, mods=None, depth=2, display=True, custom_mapping=None):
        super().__init__()
        if mods is not None:
            warnings.warn(
                "mods argument is not needed anymore, you can stop passing it", stacklevel=2
            )
        self.depth = depth
        self.display = display
        self.flop_counts = defaultdict(lambda: defaultdict(int))
        self._formulas = dict(flop_registry)
        for target, formula in (custom_mapping or {}).items():
            raw = formula if getattr(formula, "_get_raw", False) else _of_shapes(formula)
            self._formulas[getattr(target, "__name__", target)] = raw
        self._path = []
        self._handles = []

    def __enter__(self):
        self.flop_counts.clear()
        module = flambeau.nn.modules.module
        self._handles = [
            module.register_module_forward_pre_hook(self._enter_module),
            module.register_module_forward_hook(self._leave_module, always_call=True),
        ]
        return super().__enter__()

    def __exit__(self, *exc):
        for handle in self._handles:
            handle.remove()
        made = super().__exit__(*exc)
        if self.display:
            print(self.get_table(self.depth))
        return made

    def _enter_module(self, module, inputs):
        name = type(module).__name__
        if self._path:
            parent = self._path[-1][0]
            child = next((n for n, m in parent.named_children() if m is module), name)
            name = f"{self._path[-1][1]}.{child}"
        self._path.append((module, name))

    def _leave_module(self, module, inputs, output):
        self._path.pop()

    def _count(self, places, name, flops):
        for place in places:
            self.flop_counts[place][name] += flops

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        name = getattr(func, "__name__", "")
        formula = self._formulas.get(name)
        if formula is not None:
            flops = formula(*args, **kwargs, out_val=result)
            places = ["Global", *(name for _, name in self._path)]
            self._count(places, name, flops)
            first = 1 if name.startswith(("add", "badd")) else 0
            operands = args[first : first + (3 if "attention" in name else 2)]
            times = sum(isinstance(a, flambeau.Tensor) and a.requires_grad for a in operands)
            if times:
                name += "_backward"
                result.register_hook(lambda g: self._count(places, name, times * flops))
        return result

    def get_total_flops(self):
        """The operations counted."""
        return sum(self.flop_counts["Global"].values())

    def get_flop_counts(self):
        """{module: {function: operations}}; "Global" has all."""
        return {place: dict(counts) for place, counts in self.flop_counts.items()}

    def get_table(self, depth=None):
        """The counts as text, modules down to the depth."""
        depth = self.depth if depth is None else depth
        total = max(self.get_total_flops(), 1)
        rows = [("Module", "FLOP", "% Total")]
        for place, counts in sorted(self.flop_counts.items(), key=lambda item: item[0] != "Global"):
            level = place.count(".") + (place != "Global")
            if level <= depth:
                flops = sum(counts.values())
                rows.append((" " * level + place, f"{flops:,}", f"{flops / total:.2%}"))
                for name, count in counts.items():
                    rows.append((" " * level + f" - {name}", f"{count:,}", f"{count / total:.2%}"))
        widths = [max(map(len, column)) for column in zip(*rows)]
        return "\n".join(
            f"{a.ljust(widths[0])}  {b.rjust(widths[1])}  {c.rjust(widths[2])}" for a, b, c in rows
        )
