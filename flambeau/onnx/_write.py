"""From a trace to an ONNX graph: what each aten operator is in ONNX's."""

import flambeau
from flambeau import Tensor

from ..jit._trace import SizeNumber, Value, record, values_in

_SAME = {  # aten -> ONNX, of tensors alone
    "relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh", "exp": "Exp", "sqrt": "Sqrt",
    "neg": "Neg", "abs": "Abs", "log": "Log", "erf": "Erf", "add": "Add", "sub": "Sub",
    "mul": "Mul", "div": "Div", "matmul": "MatMul", "bmm": "MatMul", "hardswish": "HardSwish",
}  # fmt: skip
_WRITES = frozenset(
    "relu_ hardtanh_ hardswish_ silu_ sigmoid_ add_ mul_ hardsigmoid_ dropout_".split()
)


class _Writer:
    def __init__(self, onnx, opset):
        self.onnx, self.opset = onnx, opset
        self.nodes, self.weights, self.names = [], {}, {}
        self._count = 0

    def new(self):
        self._count += 1
        return f"v{self._count}"

    def add(self, kind, inputs, results=None, **attributes):
        """Adds a node; returns the name of its first result."""
        results = results or [self.new()]
        made = self.onnx.helper.make_node(kind, inputs, results, **attributes)
        self.nodes.append(made)
        return results[0]

    def constant(self, value, dtype=None):
        """The name of a tensor of the file."""
        tensor = value if isinstance(value, Tensor) else flambeau.tensor(value, dtype=dtype)
        name = f"c{len(self.weights)}"
        self.weights[name] = tensor.detach()
        return name

    def sizes(self, values):
        """A tensor of sizes, some of them computed."""
        if not any(isinstance(v, SizeNumber) for v in values):
            return self.constant([int(v) for v in values], flambeau.int64)
        return self.add("Concat", [self.size(v) for v in values], axis=0)

    def size(self, value):
        if not isinstance(value, SizeNumber):
            return self.constant([int(value)], flambeau.int64)
        name, operands = value.source
        if name == "size":
            shape = self.add("Shape", [self.name(operands[0])])
            return self.add("Gather", [shape, self.constant([operands[1]], flambeau.int64)], axis=0)
        kinds = {"add": "Add", "sub": "Sub", "mul": "Mul", "floordiv": "Div", "neg": "Neg",
                 "remainder": "Mod"}  # fmt: skip
        return self.add(kinds[name], [self.size(v) for v in operands])

    def name(self, value, like=None):
        """The name of a tensor or, in the type of `like`, of a number."""
        if isinstance(value, Value):
            if id(value) not in self.names:
                self.names[id(value)] = self._state(value)
            return self.names[id(value)]
        if value is None:
            return ""
        if isinstance(value, SizeNumber):
            raise RuntimeError("onnx.export(): arithmetic of a tensor and a size")
        return self.constant(value, like.example.dtype)

    def _state(self, value):
        name = value.path if value.kind == "attr" else self.new()
        self.weights[name] = value.example.detach()
        return name

    def call(self, call):
        name = call.name
        if name in _WRITES:
            name = name[:-1]
        if name in ("chunk", "split", "split_with_sizes"):
            return self.parts(call)
        rule = _RULES.get(name)
        if rule is not None:
            found = rule(self, *call.args, **call.kwargs)
        elif name in _SAME and not call.kwargs:
            found = self.pointwise(_SAME[name], call)
        else:
            raise RuntimeError(f"onnx.export(): no rule for aten::{call.name}")
        self.names[id(call.results[0])] = found

    def parts(self, call):
        """Several results of one tensor, of the sizes that the example has."""
        dim = (list(call.args[2:]) + [call.kwargs.get("dim", 0)])[0]
        sizes = [value.example.shape[dim] for value in call.results]
        names = [self.new() for _ in sizes]
        lengths = self.constant(sizes, flambeau.int64)
        self.add("Split", [self.name(call.args[0]), lengths], names, axis=dim)
        for value, name in zip(call.results, names, strict=True):
            self.names[id(value)] = name

    def check_writes(self, call, later):
        """RuntimeError if a tensor over the same memory is read after a write in place."""
        start = call.results[0].example.untyped_storage().data_ptr()
        for value in values_in([[c.args, c.kwargs] for c in later]):
            known = id(value) in self.names and value is not call.results[0]
            if known and value.example.untyped_storage().data_ptr() == start:
                raise RuntimeError(f"onnx.export(): {call.name} writes to what is read later")

    def pointwise(self, kind, call):
        wanted = call.results[0].example.dtype
        inputs = []
        for argument in call.args:
            if isinstance(argument, Value):
                name = self.name(argument)
                if argument.example.dtype != wanted:
                    name = self.cast(name, wanted)
            else:
                name = self.name(argument, call.results[0])
            inputs.append(name)
        return self.add(kind, inputs)

    def cast(self, name, dtype):
        kind = self.onnx.helper.np_dtype_to_tensor_dtype(
            flambeau.empty(0, dtype=dtype).numpy().dtype
        )
        return self.add("Cast", [name], to=kind)


def _conv(w, x, weight, bias, stride, padding, dilation, groups):
    if isinstance(padding, str):
        raise RuntimeError("onnx.export(): a convolution with padding by name")
    inputs = [w.name(x), w.name(weight)] + ([] if bias is None else [w.name(bias)])
    return w.add("Conv", inputs, strides=stride, pads=[*padding, *padding], dilations=dilation,
                 group=groups)  # fmt: skip


def _batch_norm(w, x, weight, bias, mean, var, training, momentum, eps, cudnn):
    if training or mean is None:
        raise RuntimeError("onnx.export(): batch_norm in training; call eval() before")
    n = mean.example.shape[0]
    weight = w.constant(flambeau.ones(n)) if weight is None else w.name(weight)
    bias = w.constant(flambeau.zeros(n)) if bias is None else w.name(bias)
    return w.add(
        "BatchNormalization", [w.name(x), weight, bias, w.name(mean), w.name(var)], epsilon=eps
    )


def _max_pool(w, x, kernel, stride, padding, dilation, ceil):
    return w.add(
        "MaxPool", [w.name(x)], kernel_shape=kernel, strides=stride or kernel,
        pads=[*padding, *padding], dilations=dilation, ceil_mode=int(ceil),
    )  # fmt: skip


def _avg_pool(w, x, kernel, stride, padding, ceil, count_padding, divisor=None):
    if divisor is not None:
        raise RuntimeError("onnx.export(): pooling with a divisor of its own")
    return w.add(
        "AveragePool", [w.name(x)], kernel_shape=kernel, strides=stride or kernel,
        pads=[*padding, *padding], ceil_mode=int(ceil), count_include_pad=int(count_padding),
    )  # fmt: skip


def _adaptive(w, x, size):
    shape = x.example.shape[2:]
    if all(n == 1 for n in size):
        return w.add("GlobalAveragePool", [w.name(x)])
    if any(n % m for n, m in zip(shape, size, strict=True)):
        raise RuntimeError("onnx.export(): adaptive pooling to a size that is no divisor")
    kernel = [n // m for n, m in zip(shape, size, strict=True)]
    return w.add("AveragePool", [w.name(x)], kernel_shape=kernel, strides=kernel)


def _flatten(w, x, start=0, end=-1):
    n = x.example.dim()
    start, end = start % n, end % n
    if end != n - 1:
        raise RuntimeError("onnx.export(): flatten that leaves the last dimension")
    head = [SizeNumber(x.example.shape[i], ("size", (x, i))) for i in range(start)]
    return w.add("Reshape", [w.name(x), w.sizes([*head, -1])])


def _linear(w, x, weight, bias=None):
    turned = w.add("Transpose", [w.name(weight)], perm=[1, 0])
    found = w.add("MatMul", [w.name(x), turned])
    return found if bias is None else w.add("Add", [found, w.name(bias)])


def _transpose(w, x, a, b):
    perm = list(range(x.example.dim()))
    perm[a], perm[b] = perm[b], perm[a]
    return w.add("Transpose", [w.name(x)], perm=perm)


def _permute(w, x, dims):
    return w.add("Transpose", [w.name(x)], perm=[d % x.example.dim() for d in dims])


def _hardtanh(w, x, low, high):
    return w.add("Clip", [w.name(x), w.name(low, x), w.name(high, x)])


def _silu(w, x):
    return w.add("Mul", [w.name(x), w.add("Sigmoid", [w.name(x)])])


def _mean(w, x, dims=None, keepdim=False):
    if dims is None:
        return w.add("ReduceMean", [w.name(x)], keepdims=0)
    dims = dims if isinstance(dims, list) else [dims]
    inputs = [w.name(x), w.constant(dims, flambeau.int64)]
    return w.add("ReduceMean", inputs, keepdims=int(keepdim))


def _layer_norm(w, x, shape, weight, bias, eps):
    scale = w.constant(flambeau.ones(shape)) if weight is None else w.name(weight)
    inputs = [w.name(x), scale] + ([] if bias is None else [w.name(bias)])
    return w.add("LayerNormalization", inputs, axis=-len(shape), epsilon=eps)


def _dropout(w, x, p, train):
    if train:
        raise RuntimeError("onnx.export(): dropout in training; call eval() before")
    return w.name(x)


def _select(w, x, dim, index):
    return w.add("Gather", [w.name(x), w.constant(int(index), flambeau.int64)], axis=dim)


def _slice(w, x, dim, start, end, step):
    ends = w.sizes([2**63 - 1 if end is None else end])
    axis = w.constant([dim], flambeau.int64)
    steps = w.constant([step], flambeau.int64)
    return w.add("Slice", [w.name(x), w.sizes([start or 0]), ends, axis, steps])


def _expand(w, x, size):
    offset = len(size) - x.example.dim()
    kept = [1 if n == -1 and i >= offset else n for i, n in enumerate(size)]
    return w.add("Expand", [w.name(x), w.sizes(kept)])


def _attention(w, q, k, v, mask, dropout, causal, scale=None):
    if mask is not None or causal or dropout:
        raise RuntimeError("onnx.export(): attention with a mask or dropout")
    perm = list(range(k.example.dim()))
    perm[-1], perm[-2] = perm[-2], perm[-1]
    scores = w.add("MatMul", [w.name(q), w.add("Transpose", [w.name(k)], perm=perm)])
    factor = q.example.shape[-1] ** -0.5 if scale is None else scale
    weights = w.add("Softmax", [w.add("Mul", [scores, w.name(factor, q)])], axis=-1)
    return w.add("MatMul", [weights, w.name(v)])


_RULES = {
    "select": _select, "slice": _slice, "expand": _expand,
    "scaled_dot_product_attention": _attention,
    "conv1d": _conv, "conv2d": _conv, "conv3d": _conv, "batch_norm": _batch_norm,
    "max_pool2d": _max_pool, "avg_pool2d": _avg_pool, "adaptive_avg_pool2d": _adaptive,
    "flatten": _flatten, "linear": _linear, "transpose": _transpose, "permute": _permute,
    "hardtanh": _hardtanh, "silu": _silu, "mean": _mean, "layer_norm": _layer_norm,
    "dropout": _dropout, "feature_dropout": _dropout,
    "view": lambda w, x, size: w.add("Reshape", [w.name(x), w.sizes(size)]),
    "reshape": lambda w, x, size: w.add("Reshape", [w.name(x), w.sizes(size)]),
    "contiguous": lambda w, x: w.name(x),
    "detach": lambda w, x: w.name(x),
    "softmax": lambda w, x, dim: w.add("Softmax", [w.name(x)], axis=dim),
    "hardsigmoid": lambda w, x: w.add("HardSigmoid", [w.name(x)], alpha=1 / 6, beta=0.5),
    "gelu": lambda w, x, approximate: w.add("Gelu", [w.name(x)], approximate=approximate),
    "cat": lambda w, xs, dim=0: w.add("Concat", [w.name(x) for x in xs], axis=dim),
    "embedding": lambda w, weight, x, *rest: w.add("Gather", [w.name(weight), w.name(x)], axis=0),
    "unsqueeze": lambda w, x, dim: w.add(
        "Unsqueeze", [w.name(x), w.constant([dim], flambeau.int64)]
    ),
}  # fmt: skip


def model(onnx, module, args, kwargs, input_names, output_names, dynamic_axes, opset):
    """The ModelProto of a module run on example arguments."""
    from ..export._graph import leaves

    trace, _, outputs = record(module, args, kwargs)
    if trace.refused:
        raise RuntimeError(f"onnx.export(): ONNX has no operator for {trace.refused}")
    writer = _Writer(onnx, opset)
    given = dict(enumerate(input_names or ()))
    for i, value in enumerate(trace.inputs):
        writer.names[id(value)] = given.get(i, value.path)
    for i, call in enumerate(trace.calls):
        writer.call(call)
        if call.writes:
            writer.check_writes(call, trace.calls[i + 1 :])
    results = [v for v in leaves(outputs) if isinstance(v, Value)]
    titles = dict(enumerate(output_names or ()))
    ends = []
    for i, value in enumerate(results):
        title = titles.get(i, f"output_{i}")
        writer.add("Identity", [writer.name(value)], [title])
        ends.append(_described(onnx, title, value.example, dynamic_axes))
    begins = [_described(onnx, writer.names[id(v)], v.example, dynamic_axes) for v in trace.inputs]
    weights = [onnx.numpy_helper.from_array(t.numpy(), n) for n, t in writer.weights.items()]
    graph = onnx.helper.make_graph(writer.nodes, "main_graph", begins, ends, weights)
    made = onnx.helper.make_model(
        graph, producer_name="flambeau", opset_imports=[onnx.helper.make_opsetid("", opset)],
        ir_version=10,
    )  # fmt: skip
    onnx.checker.check_model(made)
    return made


def _described(onnx, name, example, dynamic_axes):
    free = (dynamic_axes or {}).get(name, {})
    if not isinstance(free, dict):
        free = {axis: f"{name}_dim_{axis}" for axis in free}
    shape = [free.get(i, n) for i, n in enumerate(example.shape)]
    kind = onnx.helper.np_dtype_to_tensor_dtype(example.detach().numpy().dtype)
    return onnx.helper.make_tensor_value_info(name, kind, shape)
