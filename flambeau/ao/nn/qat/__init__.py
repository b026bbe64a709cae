"""Modules that round their weights as they train, as integers of 8 bits will."""

from flambeau import nn
from flambeau.ao.nn import intrinsic as nni
from flambeau.nn import functional as F


class _Rounding:
    """A module whose weight goes through a fake quantization."""

    def _watch(self, qconfig):
        if not qconfig:
            raise AssertionError("qconfig must be provided for QAT module")
        self.qconfig = qconfig
        self.weight_fake_quant = qconfig.weight()

    @classmethod
    def _of(cls, mod, **arguments):
        if not getattr(mod, "qconfig", None):
            raise AssertionError("Input float module must have a valid qconfig")
        made = cls(**arguments, qconfig=mod.qconfig)
        return made


def _conv_arguments(conv):
    return {
        "in_channels": conv.in_channels,
        "out_channels": conv.out_channels,
        "kernel_size": conv.kernel_size,
        "stride": conv.stride,
        "padding": conv.padding,
        "dilation": conv.dilation,
        "groups": conv.groups,
        "bias": conv.bias is not None,
        "padding_mode": conv.padding_mode,
    }


def _split(mod):
    """The convolution or linear layer, and the batch norm, of a module that may be fused."""
    parts = list(mod) if isinstance(mod, nni._Fused) else [mod]
    norms = [p for p in parts if isinstance(p, nn.modules.batchnorm._BatchNorm)]
    return parts[0], norms[0] if norms else None


class Linear(_Rounding, nn.Linear):
    """nn.Linear with a rounded weight."""

    _FLOAT_MODULE = nn.Linear
    _relu = False

    def __init__(self, in_features, out_features, bias=True, qconfig=None, device=None, dtype=None):
        super().__init__(in_features, out_features, bias, device=device, dtype=dtype)
        self._watch(qconfig)

    def forward(self, input):
        """The product with the rounded weight."""
        y = F.linear(input, self.weight_fake_quant(self.weight), self.bias)
        return F.relu(y) if self._relu else y

    @classmethod
    def from_float(cls, mod, use_precomputed_fake_quant=False):
        """Of nn.Linear, or of it with a relu, with a qconfig."""
        linear, _ = _split(mod)
        made = cls._of(
            mod,
            in_features=linear.in_features,
            out_features=linear.out_features,
            bias=linear.bias is not None,
        )
        made.weight, made.bias = linear.weight, linear.bias
        made.train(mod.training)
        return made

    def to_float(self):
        """nn.Linear with the same weight."""
        made = nn.Linear(self.in_features, self.out_features, self.bias is not None)
        made.weight, made.bias = self.weight, self.bias
        return made.train(self.training)


class LinearReLU(Linear):
    """Linear and relu."""

    _relu = True


class _Conv(_Rounding):
    _relu = False

    def __init__(
        self,
        in_channels,
        out_channels,
        kernel_size,
        stride=1,
        padding=0,
        dilation=1,
        groups=1,
        bias=True,
        padding_mode="zeros",
        qconfig=None,
        device=None,
        dtype=None,
    ):
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            groups,
            bias,
            padding_mode,
            device=device,
            dtype=dtype,
        )
        self._watch(qconfig)

    def forward(self, input):
        """The convolution with the rounded weight."""
        y = self._conv_forward(input, self.weight_fake_quant(self.weight), self.bias)
        return F.relu(y) if self._relu else y

    @classmethod
    def from_float(cls, mod, use_precomputed_fake_quant=False):
        """Of a convolution, or of it with a relu, with a qconfig."""
        conv, _ = _split(mod)
        made = cls._of(mod, **_conv_arguments(conv))
        made.weight, made.bias = conv.weight, conv.bias
        made.train(mod.training)
        return made


class _Normed:
    """A convolution or linear layer and its batch norm, whose product is rounded as one weight."""

    _relu = False

    def _norm(self, bn):
        self.bn = bn
        self.freeze_bn = False

    def freeze_bn_stats(self):
        """Statistics stay as they are from now on."""
        self.freeze_bn = True
        self.bn.training = False
        return self

    def update_bn_stats(self):
        """Statistics follow the batches again."""
        self.freeze_bn = False
        self.bn.training = True
        return self

    def train(self, mode=True):
        """Training mode, in which frozen statistics stay frozen."""
        self.training = mode
        for child in self.children():
            child.train(mode)
        if self.freeze_bn:
            self.bn.training = False
        return self

    def forward(self, input):
        """The batch norm of the product with the weight as it will be, rounded."""
        scale = self.bn.weight / (self.bn.running_var + self.bn.eps).sqrt()
        shape = (-1, *[1] * (self.weight.dim() - 1))
        weight = self.weight_fake_quant(self.weight * scale.reshape(shape))
        y = self._product(input, weight)
        along = [1] * y.dim()
        along[1] = -1
        y = y / scale.reshape(along)
        if self.bias is not None:
            y = y + self.bias.reshape(along)
        y = self.bn(y)
        return F.relu(y) if self._relu else y

    def _product(self, input, weight):
        return self._conv_forward(input, weight, None)

    @classmethod
    def from_float(cls, mod, use_precomputed_fake_quant=False):
        """Of a fused module in training mode, with a qconfig."""
        first, bn = _split(mod)
        if isinstance(first, nn.Linear):
            arguments = {
                "in_features": first.in_features,
                "out_features": first.out_features,
                "bias": first.bias is not None,
            }
        else:
            arguments = _conv_arguments(first)
        made = cls._of(mod, **arguments)
        made.weight, made.bias = first.weight, first.bias
        made._norm(bn)
        made.train(mod.training)
        return made


class LinearBn1d(_Normed, Linear):
    """A linear layer and its batch norm."""

    freeze_bn = False

    def _product(self, input, weight):
        return F.linear(input, weight)


def _make(name, *bases, **attributes):
    made = type(name, bases, {"__module__": __name__, **attributes})
    globals()[name] = made
    return made


for _n in (1, 2, 3):
    _float = getattr(nn, f"Conv{_n}d")
    _made = _make(
        f"Conv{_n}d",
        _Conv,
        _float,
        _FLOAT_MODULE=_float,
        __doc__=f"nn.Conv{_n}d with a rounded weight.",
    )
    _make(f"ConvReLU{_n}d", _made, _relu=True, __doc__="A convolution and relu.")
    _normed = _make(
        f"ConvBn{_n}d", _Normed, _made, freeze_bn=False, __doc__="A convolution and its batch norm."
    )
    _make(f"ConvBnReLU{_n}d", _normed, _relu=True, __doc__="A convolution, batch norm and relu.")


class Embedding(_Rounding, nn.Embedding):
    """nn.Embedding with rounded rows."""

    def __init__(self, *args, qconfig=None, **kwargs):
        super().__init__(*args, **kwargs)
        self._watch(qconfig)

    def forward(self, input):
        """The rounded rows of the indices."""
        return F.embedding(input, self.weight_fake_quant(self.weight), self.padding_idx)

    @classmethod
    def from_float(cls, mod, use_precomputed_fake_quant=False):
        """Of nn.Embedding with a qconfig."""
        made = cls(mod.num_embeddings, mod.embedding_dim, mod.padding_idx, qconfig=mod.qconfig)
        made.weight = mod.weight
        return made


class EmbeddingBag(_Rounding, nn.EmbeddingBag):
    """nn.EmbeddingBag with rounded rows."""

    def __init__(self, *args, qconfig=None, **kwargs):
        super().__init__(*args, **kwargs)
        self._watch(qconfig)

    def forward(self, input, offsets=None, per_sample_weights=None):
        """The bags of rounded rows."""
        return F.embedding_bag(
            input,
            self.weight_fake_quant(self.weight),
            offsets,
            mode=self.mode,
            per_sample_weights=per_sample_weights,
            include_last_offset=self.include_last_offset,
            padding_idx=self.padding_idx,
        )

    @classmethod
    def from_float(cls, mod, use_precomputed_fake_quant=False):
        """Of nn.EmbeddingBag with a qconfig."""
        made = cls(mod.num_embeddings, mod.embedding_dim, mode=mod.mode, qconfig=mod.qconfig)
        made.weight = mod.weight
        return made
