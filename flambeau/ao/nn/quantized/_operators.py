"""torch.ops.quantized: functions of quantized tensors, with a scale for what they give."""

import flambeau
from flambeau._quantized._functions import recorded
from flambeau.nn import functional as F
from flambeau.nn.modules.utils import _ntuple

from ._packed import Packed
from .modules.basic import again
from .modules.functional_modules import add_number, times_number


def _relu(q):
    return F.relu(q)


def _binary(name, function, with_number):
    def call(qa, qb, scale=None, zero_point=None):
        if not isinstance(qa, flambeau.Tensor):
            qa, qb = qb, qa
        if not isinstance(qb, flambeau.Tensor):
            return with_number(qa, qb)
        return again(function(qa.dequantize(), qb.dequantize()), scale, zero_point, qa.dtype)

    def call_relu(qa, qb, scale=None, zero_point=None):
        if scale is None:
            return _relu(call(qa, qb))
        y = function(qa.dequantize(), qb.dequantize()).relu()
        return again(y, scale, zero_point, qa.dtype)

    for made, suffix, more in ((call, "", ""), (call_relu, "_relu", ", and relu")):
        made.__name__ = made.__qualname__ = name + suffix
        made.__doc__ = f"{name} of two quantized tensors{more}; of one and a number, without scale."
    return call, call_relu


add, add_relu = _binary("add", flambeau.add, add_number)
mul, mul_relu = _binary("mul", flambeau.mul, times_number)
add_scalar, add_scalar_relu, mul_scalar, mul_scalar_relu = add, add_relu, mul, mul_relu


def matmul(qa, qb, scale, zero_point):
    """The product of two quantized tensors."""
    return again(qa.dequantize() @ qb.dequantize(), scale, zero_point, qa.dtype)


def cat(qx, dim, scale=None, zero_point=None):
    """Quantized tensors end to end, with the first's scale where none is given."""
    scale = qx[0].q_scale() if scale is None else scale
    zero_point = qx[0].q_zero_point() if zero_point is None else zero_point
    return again(flambeau.cat([q.dequantize() for q in qx], dim), scale, zero_point, qx[0].dtype)


def cat_relu(qx, dim, scale=None, zero_point=None):
    """cat, and relu."""
    return _relu(cat(qx, dim, scale, zero_point))


# -- products with packed weights ------------------------------------------------------------------
def linear_prepack(W, B=None):
    """A weight and a bias for linear(). Input (out_features, in_features), quantized."""
    return Packed(W, B)


def linear_prepack_fp16(W, B=None):
    """The same of a weight rounded to float16."""
    return Packed(W.to(flambeau.float16).to(flambeau.float32), B)


def linear_unpack(W_prepack):
    """(weight, bias)."""
    return W_prepack.unpack()


linear_unpack_fp16 = linear_unpack


def linear(X, W_prepack, Y_scale_i, Y_zero_point_i):
    """The product of a quantized X with a packed weight."""
    y = F.linear(X.dequantize(), W_prepack.numbers(), W_prepack.bias)
    return again(y, Y_scale_i, Y_zero_point_i, X.dtype)


def linear_relu(X, W_prepack, Y_scale_i, Y_zero_point_i):
    """linear, and relu."""
    return _relu(linear(X, W_prepack, Y_scale_i, Y_zero_point_i))


def linear_dynamic(X, W_prepack, reduce_range=False):
    """The product of floats with a packed weight; X is rounded to 8 bits (7 with reduce_range)."""
    return W_prepack.dynamic(X, reduce_range)


def linear_relu_dynamic(X, W_prepack, reduce_range=False):
    """linear_dynamic, and relu."""
    return F.relu(W_prepack.dynamic(X, reduce_range))


def linear_dynamic_fp16(X, W_prepack):
    """The product of floats with a weight of float16's precision."""
    return W_prepack.dynamic(X)


def linear_relu_dynamic_fp16(X, W_prepack):
    """linear_dynamic_fp16, and relu."""
    return F.relu(W_prepack.dynamic(X))


class _PackedConv(Packed):
    """A convolution's weight with what else makes the convolution."""

    def __init__(self, weight, bias, stride, padding, dilation, groups):
        super().__init__(weight, bias)
        self.form = (stride, padding, dilation, groups)

    def __getstate__(self):
        return self.weight, self.bias, self.form

    def __setstate__(self, state):
        super().__setstate__(state[:2])
        self.form = state[2]


def _conv(n):
    def prepack(weight, bias, stride, padding, dilation, groups):
        sizes = (tuple(_ntuple(n)(v)) for v in (stride, padding, dilation))
        return _PackedConv(weight, bias, *sizes, groups)

    def conv(qx, packed_weight, output_scale, output_zero_point):
        function = getattr(F, f"conv{n}d")
        y = function(
            qx.dequantize(), packed_weight.numbers(), packed_weight.bias, *packed_weight.form
        )
        return again(y, output_scale, output_zero_point, qx.dtype)

    def conv_relu(qx, packed_weight, output_scale, output_zero_point):
        return _relu(conv(qx, packed_weight, output_scale, output_zero_point))

    for function, name, doc in (
        (prepack, f"conv{n}d_prepack", "A quantized weight, its bias and the convolution's form."),
        (conv, f"conv{n}d", f"The convolution of a quantized tensor over {n} dimensions."),
        (conv_relu, f"conv{n}d_relu", "The convolution, and relu."),
    ):
        function.__name__ = function.__qualname__ = name
        function.__doc__ = doc
        yield name, function
    yield f"conv{n}d_unpack", linear_unpack


for _n in (1, 2, 3):
    globals().update(_conv(_n))
conv_prepack, conv_unpack = conv2d_prepack, conv2d_unpack  # noqa: F821


# -- functions with a scale of their own ----------------------------------------------------------
def hardswish(input, output_scale, output_zero_point):
    """hardswish of a quantized tensor."""
    return again(F.hardswish(input.dequantize()), output_scale, output_zero_point, input.dtype)


def elu(self, output_scale, output_zero_point, alpha=1, scale=1, input_scale=1):
    """scale * (input_scale * x, where positive, else alpha * (exp(input_scale * x) - 1))."""
    y = scale * F.elu(self.dequantize() * input_scale, alpha)
    return again(y, output_scale, output_zero_point, self.dtype)


def celu(self, output_scale, output_zero_point, alpha=1):
    """celu of a quantized tensor."""
    return again(F.celu(self.dequantize(), alpha), output_scale, output_zero_point, self.dtype)


def leaky_relu(qx, negative_slope, inplace, output_scale, output_zero_point):
    """leaky_relu of a quantized tensor."""
    y = F.leaky_relu(qx.dequantize(), negative_slope)
    made = again(y, output_scale, output_zero_point, qx.dtype)
    return qx.copy_(made) if inplace else made


def prelu(qx, weight, output_scale, output_zero_point):
    """prelu of a quantized tensor with a quantized weight."""
    y = F.prelu(qx.dequantize(), weight.dequantize())
    return again(y, output_scale, output_zero_point, qx.dtype)


def sigmoid(qx, output_scale, output_zero_point):
    """sigmoid of a quantized tensor."""
    return again(qx.dequantize().sigmoid(), output_scale, output_zero_point, qx.dtype)


def softmax(qx, dim, output_scale, output_zero_point):
    """softmax of a quantized tensor."""
    return again(qx.dequantize().softmax(dim), output_scale, output_zero_point, qx.dtype)


def layer_norm(input, normalized_shape, weight, bias, eps, output_scale, output_zero_point):
    """layer_norm of a quantized tensor; weight and bias are floats."""
    y = F.layer_norm(input.dequantize(), normalized_shape, weight, bias, eps)
    return again(y, output_scale, output_zero_point, input.dtype)


def group_norm(input, num_groups, weight, bias, eps, output_scale, output_zero_point):
    """group_norm of a quantized tensor; weight and bias are floats."""
    y = F.group_norm(input.dequantize(), num_groups, weight, bias, eps)
    return again(y, output_scale, output_zero_point, input.dtype)


def instance_norm(input, weight, bias, eps, output_scale, output_zero_point):
    """instance_norm of a quantized tensor; weight and bias are floats."""
    y = F.instance_norm(input.dequantize(), weight=weight, bias=bias, eps=eps)
    return again(y, output_scale, output_zero_point, input.dtype)


def batch_norm(qx, weight, bias, mean, var, eps, output_scale, output_zero_point):
    """batch_norm of a quantized tensor by a running mean and variance."""
    y = F.batch_norm(qx.dequantize(), mean, var, weight, bias, eps=eps)
    return again(y, output_scale, output_zero_point, qx.dtype)


def batch_norm_relu(qx, weight, bias, mean, var, eps, output_scale, output_zero_point):
    """batch_norm, and relu."""
    return _relu(batch_norm(qx, weight, bias, mean, var, eps, output_scale, output_zero_point))


batch_norm1d = batch_norm2d = batch_norm3d = batch_norm
batch_norm1d_relu = batch_norm2d_relu = batch_norm3d_relu = batch_norm_relu


def dropout(self, output_scale, output_zero_point, p=0.5, training=False):
    """The tensor itself: quantized networks do not train."""
    return self


def relu6(qx, inplace=False):
    """relu6 of a quantized tensor, with its scale."""
    return F.relu6(qx, inplace)


def clamp(qx, min=None, max=None):
    """clamp of a quantized tensor, with its scale."""
    return flambeau.clamp(qx, min, max)


def threshold(qx, threshold, value):
    """threshold of a quantized tensor, with its scale."""
    return F.threshold(qx, threshold, value)


def max_pool1d(qx, kernel_size, stride, padding, dilation, ceil_mode):
    """max_pool1d of a quantized tensor, with its scale."""
    return F.max_pool1d(qx, kernel_size, stride, padding, dilation, ceil_mode)


def max_pool2d(qx, kernel_size, stride, padding, dilation, ceil_mode):
    """max_pool2d of a quantized tensor, with its scale."""
    return F.max_pool2d(qx, kernel_size, stride, padding, dilation, ceil_mode)


for _name, _function in list(globals().items()):
    if getattr(_function, "__module__", None) == __name__ and not _name.startswith("_"):
        globals()[_name] = recorded(_function)
