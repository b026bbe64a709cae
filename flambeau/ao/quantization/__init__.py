"""Networks of 8-bit integers: made of trained ones, calibrated ones, or trained for it.

`quantize_dynamic` needs no data; `prepare`, calibration and `convert` quantize activations too;
`prepare_qat` trains with rounding; `quantize_fx` does all of this with graphs of whole networks.
The weights are stored as integers; products are computed on the numbers that they stand for, in
float32.
"""

from .fake_quantize import *
from .fuse_modules import (
    fuse_conv_bn,
    fuse_conv_bn_relu,
    fuse_convtranspose_bn,
    fuse_known_modules,
    fuse_linear_bn,
    fuse_modules,
    fuse_modules_qat,
)
from .observer import *
from .qconfig import *
from .qconfig_mapping import *
from .quant_type import QuantType
from .quantization_mappings import (
    get_default_dynamic_quant_module_mappings,
    get_default_qat_module_mappings,
    get_default_qconfig_propagation_list,
    get_default_static_quant_module_mappings,
    get_dynamic_quant_module_class,
    get_static_quant_module_class,
    no_observer_set,
)
from .quantize import (
    convert,
    get_default_custom_config_dict,
    prepare,
    prepare_qat,
    propagate_qconfig_,
    quantize,
    quantize_dynamic,
    quantize_qat,
    swap_module,
)

from . import quantize_fx  # isort: skip
from .stubs import DeQuantStub, QuantStub, QuantWrapper, add_quant_dequant


def default_eval_fn(model, calib_data):
    """Runs a network over batches of (data, target): calibration."""
    for data, _target in calib_data:
        model(data)
