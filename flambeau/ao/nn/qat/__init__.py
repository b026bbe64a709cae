"""Modules that round their weights as they train, as integers of 8 bits will."""

from flambeau import nn
from flambeau.ao.nn import intrinsic as nni
from flambeau.nn import functional as F


def _arguments(layer):
    """What makes a convolution or linear layer like this one."""
    names = ("in_features", "out_features")
    if not isinstance(layer, nn.Linear):
        names = "in_channels out_channels kernel_size stride padding dilation groups padding_mode"
        names = names.split()
    return {"bias": layer.bias is not None, **{name: getattr(layer, name) for name in names}}


class _Rounding:
    """A module whose weight goes through a fake quantization."""

    _relu = False

    def _watch(self, qconfig):
        if not qconfig:
            raise AssertionError("qconfig must be provided for QAT module")
        self.qconfig = qconfig
        self.weight_fake_quant = qconfig.weight()

    def _product(self, input, weight, bias):
        return self._conv_forward(input, weight, bias)

    def forward(self, input):
        """What the layer gives with the rounded weight."""
        y = self._product(input, self.weight_fake_quant(self.weight), self.bias)
        return F.relu(y) if self._relu else y

    @classmethod
    def from_float(cls, mod, use_precomputed_fake_quant=False):
        """Of a layer with a qconfig, or of one that is fused with a batch norm, a relu or both."""
        if not getattr(mod, "qconfig", None):
            raise AssertionError("Input float module must have a valid qconfig")
        parts = list(mod) if isinstance(mod, nni._Fused) else [mod]
        made = cls(**_arguments(parts[0]), qconfig=mod.qconfig)
        made.weight, made.bias = parts[0].weight, parts[0].bias
        for norm in parts[1:]:
            if isinstance(norm, nn.modules.batchnorm._BatchNorm):
                made._norm(norm)
        return made.train(mod.training)


class Linear(_Rounding, nn.Linear):
    """nn.Linear with a rounded weight."""

    _FLOAT_MODULE = nn.Linear

    def __init__(self, in_features, out_features, bias=True, qconfig=None, device=None, dtype=None):
        super().__init__(in_features, out_features, bias, device=device, dtype=dtype)
        self._watch(qconfig)

    def _product(self, input, weight, bias):
        return F.linear(input, weight, bias)

    def to_float(self):
        """nn.Linear with the same weight."""
        made = nn.Linear(self.in_features, self.out_features, self.bias is not None)
        made.weight, made.bias = self.weight, self.bias
        return made.train(self.training)


class LinearReLU(Linear):
    """Linear and relu."""

    _relu = True


class _Conv(_Rounding):
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


class _Normed:
    """A convolution or linear layer and its batch norm, whose product is rounded as one weight."""

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
        y = self._product(input, weight, None)
        along = [1] * y.dim()
        along[1] = -1
        y = y / scale.reshape(along)
        if self.bias is not None:
            y = y + self.bias.reshape(along)
        y = self.bn(y)
        return F.relu(y) if self._relu else y


class LinearBn1d(_Normed, Linear):
    """A linear layer and its batch norm."""

    freeze_bn = False


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
