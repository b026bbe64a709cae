"""Which qconfig each part of a network gets, for networks that are quantized as graphs."""

from collections import OrderedDict

import flambeau
from flambeau import nn
from flambeau.nn import functional as F

from .fake_quantize import (
    default_fixed_qparams_range_0to1_fake_quant,
    default_fixed_qparams_range_neg1to1_fake_quant,
    default_weight_fake_quant,
)
from .observer import (
    PlaceholderObserver,
    default_fixed_qparams_range_0to1_observer,
    default_fixed_qparams_range_neg1to1_observer,
    default_weight_observer,
)
from .qconfig import (
    QConfig,
    default_quint8_weight_qconfig,
    default_reuse_input_qconfig,
    get_default_qat_qconfig,
    get_default_qconfig,
)

__all__ = ["QConfigMapping", "get_default_qat_qconfig_mapping", "get_default_qconfig_mapping"]

_ZERO_TO_ONE = (
    *(nn.Hardsigmoid, F.hardsigmoid, "hardsigmoid", "hardsigmoid_"),
    *(nn.Sigmoid, flambeau.sigmoid, "sigmoid", "sigmoid_", nn.Softmax),
)
_MINUS_ONE_TO_ONE = (nn.Tanh, flambeau.tanh, "tanh", "tanh_")
_TRANSPOSED = (
    *(nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d),
    *(F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d),
)


class QConfigMapping:
    """From modules and functions to a QConfig each, or None for what is to stay as it is.

    What is said of a module by its name and an order of calls goes before its name, the name
    before a regular expression, that before the class or function, that before the global one.

    >>> import flambeau as torch
    >>> q = torch.ao.quantization
    >>> mapping = q.QConfigMapping().set_global(q.default_qconfig)
    >>> mapping.set_module_name("head", None).to_dict()["module_name"]
    [('head', None)]
    """

    def __init__(self):
        self.global_qconfig = None
        self.object_type_qconfigs = OrderedDict()
        self.module_name_regex_qconfigs = OrderedDict()
        self.module_name_qconfigs = OrderedDict()
        self.module_name_object_type_order_qconfigs = OrderedDict()

    def set_global(self, global_qconfig):
        """For all that nothing else is said of."""
        self.global_qconfig = global_qconfig
        return self

    def set_object_type(self, object_type, qconfig):
        """For a class of modules, a function, or a method by its name."""
        self.object_type_qconfigs[object_type] = qconfig
        return self

    def set_module_name_regex(self, module_name_regex, qconfig):
        """For modules whose name the expression matches; the first that matches counts."""
        self.module_name_regex_qconfigs[module_name_regex] = qconfig
        return self

    def set_module_name(self, module_name, qconfig):
        """For a module, and those within it, by its name."""
        self.module_name_qconfigs[module_name] = qconfig
        return self

    def set_module_name_object_type_order(self, module_name, object_type, index, qconfig):
        """For the index-th call of a function, or module of a class, within a module."""
        self.module_name_object_type_order_qconfigs[(module_name, object_type, index)] = qconfig
        return self

    def __repr__(self):
        text = f"{type(self).__name__} (\n"
        for name, value in vars(self).items():
            text += f" {name}\n"
            if isinstance(value, OrderedDict) and value:
                text += "".join(f"  {key}: {own}\n" for key, own in value.items())
            else:
                text += f"  {value}\n"
        return text + ")"

    def to_dict(self):
        """A dict of lists of pairs, as from_dict() takes it."""
        return {
            "": self.global_qconfig,
            "object_type": list(self.object_type_qconfigs.items()),
            "module_name_regex": list(self.module_name_regex_qconfigs.items()),
            "module_name": list(self.module_name_qconfigs.items()),
            "module_name_object_type_order": [
                (*key, own) for key, own in self.module_name_object_type_order_qconfigs.items()
            ],
        }

    @classmethod
    def from_dict(cls, qconfig_dict):
        """Of a dict with the keys "", "object_type", "module_name_regex", "module_name", ..."""
        made = cls().set_global(qconfig_dict.get(""))
        for key in ("object_type", "module_name_regex", "module_name"):
            for name, own in qconfig_dict.get(key, ()):
                getattr(made, f"set_{key}")(name, own)
        for entry in qconfig_dict.get("module_name_object_type_order", ()):
            made.set_module_name_object_type_order(*entry)
        return made


def _default(qconfig, fixed_0to1, fixed_neg1to1, weight):
    made = QConfigMapping().set_global(qconfig)
    made.set_object_type("reshape", default_reuse_input_qconfig)
    for kind in _TRANSPOSED:
        made.set_object_type(kind, QConfig(qconfig.activation, weight))
    for kind in (F.layer_norm, nn.LayerNorm):
        made.set_object_type(kind, QConfig(qconfig.activation, PlaceholderObserver))
    made.set_object_type(nn.PReLU, default_quint8_weight_qconfig)
    for kinds, fixed in ((_ZERO_TO_ONE, fixed_0to1), (_MINUS_ONE_TO_ONE, fixed_neg1to1)):
        for kind in kinds:
            made.set_object_type(kind, QConfig(fixed, weight))
    return made


def get_default_qconfig_mapping(backend="x86", version=0):
    """For a network that is trained already."""
    return _default(
        get_default_qconfig(backend, version),
        default_fixed_qparams_range_0to1_observer,
        default_fixed_qparams_range_neg1to1_observer,
        default_weight_observer,
    )


def get_default_qat_qconfig_mapping(backend="x86", version=1):
    """For a network that is to be trained with fake quantization."""
    return _default(
        get_default_qat_qconfig(backend, version),
        default_fixed_qparams_range_0to1_fake_quant,
        default_fixed_qparams_range_neg1to1_fake_quant,
        default_weight_fake_quant,
    )
