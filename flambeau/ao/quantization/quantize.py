"""From a network of floats to one of integers: prepare, calibrate or train, convert."""

import copy
import inspect

import flambeau
from flambeau import nn
from flambeau.ao.nn import intrinsic as nni
from flambeau.ao.nn import quantizable, quantized

from . import quantization_mappings as mappings
from .qconfig import (
    default_dynamic_qconfig,
    float16_dynamic_qconfig,
    float_qparams_weight_only_qconfig,
)

_FUSED = nni._Fused


_CUSTOM = {
    "float_to_observed_custom_module_class": {
        nn.LSTM: quantizable.LSTM,
        nn.MultiheadAttention: quantizable.MultiheadAttention,
    },
    "observed_to_quantized_custom_module_class": {
        quantizable.LSTM: quantized.LSTM,
        quantizable.MultiheadAttention: quantized.MultiheadAttention,
    },
}


def get_default_custom_config_dict():
    """Which layers `prepare` and `convert` replace by others when they are told nothing."""
    return {name: dict(table) for name, table in _CUSTOM.items()}


def propagate_qconfig_(module, qconfig_dict=None, prepare_custom_config_dict=None):
    """Gives every module within the qconfig of its name, its type, or its parent.

    prepare_custom_config_dict: modules listed under "non_traceable_module_name" and
    "non_traceable_module_class" are left out.
    """
    chosen, custom = qconfig_dict or {}, prepare_custom_config_dict or {}
    names = custom.get("non_traceable_module_name", ())
    kinds = custom.get("non_traceable_module_class", ())

    def visit(module, prefix, inherited):
        own = chosen.get(type(module), chosen.get(prefix, getattr(module, "qconfig", inherited)))
        module.qconfig = own
        for name, child in module.named_children():
            if name not in names and type(child) not in kinds:
                visit(child, f"{prefix}.{name}" if prefix else name, own)

    visit(module, "", None)


def _observe_output(module, inputs, output):
    return module.activation_post_process(output)


def _wants_quantizing(module):
    return getattr(module, "qconfig", None) is not None


def _is_one(module):
    """Whether what is within a module is quantized with it."""
    trained = hasattr(module, "weight_fake_quant")
    return isinstance(module, _FUSED) or trained or not list(module.children())


def _add_observers(module, kinds, non_leaf, custom):
    for name, child in list(module.named_children()):
        if isinstance(child, quantized.FloatFunctional):
            if _wants_quantizing(child):
                child.activation_post_process = child.qconfig.activation()
        elif type(child) in custom and _wants_quantizing(child):
            module._modules[name] = observed = custom[type(child)].from_float(child)
            if not isinstance(observed, tuple(mappings.no_observer_set())):
                _observe(observed)
        elif _is_one(child) or type(child) in non_leaf:
            if type(child) in kinds or type(child) in non_leaf:
                _observe(child)
        else:
            _add_observers(child, kinds, non_leaf, custom)


def _observe(module):
    done = hasattr(module, "activation_post_process")
    if _wants_quantizing(module) and type(module) not in mappings.no_observer_set() and not done:
        module.add_module("activation_post_process", module.qconfig.activation())
        module.register_forward_hook(_observe_output)


def prepare(
    model,
    inplace=False,
    allow_list=None,
    observer_non_leaf_module_list=None,
    prepare_custom_config_dict=None,
):
    """Adds observers after the modules that have a qconfig; run data through it, then convert().

    allow_list: the classes to observe, in place of all that can be quantized;
    observer_non_leaf_module_list: classes to observe that have modules within;
    prepare_custom_config_dict: as for propagate_qconfig_(), and under
    "float_to_observed_custom_module_class" classes to those whose from_float() replaces them.

    >>> import flambeau as torch
    >>> q = torch.ao.quantization
    >>> net = torch.nn.Sequential(q.QuantStub(), torch.nn.Linear(2, 2), q.DeQuantStub()).eval()
    >>> net.qconfig = q.get_default_qconfig()
    >>> ready = q.prepare(net)
    >>> _ = ready(torch.randn(8, 2))
    >>> q.convert(ready)(torch.randn(1, 2)).shape
    torch.Size([1, 2])
    """
    if prepare_custom_config_dict is None:
        prepare_custom_config_dict = _CUSTOM
    if not inplace:
        model = copy.deepcopy(model)
    propagate_qconfig_(model, prepare_custom_config_dict=prepare_custom_config_dict)
    if not any(map(_wants_quantizing, model.modules())):
        import warnings

        warnings.warn(
            "None of the submodule got qconfig applied. Make sure you passed correct configuration "
            "through `qconfig_dict` or by assigning the `.qconfig` attribute directly on "
            "submodules",
            stacklevel=2,
        )
    kinds = mappings.get_default_qconfig_propagation_list() if allow_list is None else allow_list
    if list(model.children()) and not isinstance(model, _FUSED):
        custom = prepare_custom_config_dict.get("float_to_observed_custom_module_class", {})
        _add_observers(model, kinds, observer_non_leaf_module_list or (), custom)
    elif type(model) in kinds:
        _observe(model)
    return model


def prepare_qat(model, mapping=None, inplace=False):
    """Makes modules that round as they train, of those that have a qconfig; model.train() first."""
    if not model.training:
        raise AssertionError("prepare_qat only works on models in training mode")
    if not inplace:
        model = copy.deepcopy(model)
    propagate_qconfig_(model)
    mapping = mappings.get_default_qat_module_mappings() if mapping is None else mapping
    convert(model, mapping=mapping, inplace=True, remove_qconfig=False)
    prepare(model, inplace=True)
    return model


def swap_module(mod, mapping, custom_module_class_mapping=None, use_precomputed_fake_quant=False):
    """What the mapping makes of a module that has a qconfig; else the module itself.

    custom_module_class_mapping: classes to those whose from_observed() replaces them;
    use_precomputed_fake_quant: a weight's scale stays as its observer has it.
    """
    own = (custom_module_class_mapping or {}).get(type(mod))
    kind = mapping.get(type(mod))
    if not _wants_quantizing(mod) or (own or kind) is None:
        return mod
    if own is not None:
        new = own.from_observed(mod)
    elif "use_precomputed_fake_quant" in inspect.signature(kind.from_float).parameters:
        new = kind.from_float(mod, use_precomputed_fake_quant=use_precomputed_fake_quant)
    else:
        new = kind.from_float(mod)
    for hook in mod._forward_pre_hooks.values():
        new.register_forward_pre_hook(hook)
    for hook in mod._forward_hooks.values():
        if hook is not _observe_output:
            new.register_forward_hook(hook)
    return new


def _convert(module, mapping, custom, precomputed):
    for name, child in list(module.named_children()):
        if not isinstance(child, _FUSED) and type(child) not in (*mapping, *custom):
            _convert(child, mapping, custom, precomputed)
        module._modules[name] = swap_module(child, mapping, custom, precomputed)


def _clean(module):
    for part in module.modules():
        vars(part).pop("qconfig", None)
        if not isinstance(part, quantized.QFunctional):
            part._modules.pop("activation_post_process", None)
        hooks = part._forward_hooks
        for key in [k for k, hook in hooks.items() if hook is _observe_output]:
            del hooks[key]


def convert(
    module,
    mapping=None,
    inplace=False,
    remove_qconfig=True,
    is_reference=False,
    convert_custom_config_dict=None,
    use_precomputed_fake_quant=False,
):
    """Makes quantized modules of those that prepare() has readied and data has calibrated.

    convert_custom_config_dict: "observed_to_quantized_custom_module_class" maps classes to those
    whose from_observed() replaces them; use_precomputed_fake_quant: see swap_module().
    """
    if is_reference:
        raise NotImplementedError("convert(): is_reference=True is not supported")
    if not inplace:
        module = copy.deepcopy(module)
    if mapping is None:
        mapping = mappings.get_default_static_quant_module_mappings()
    if convert_custom_config_dict is None:
        convert_custom_config_dict = _CUSTOM
    custom = convert_custom_config_dict.get("observed_to_quantized_custom_module_class", {})
    _convert(module, mapping, custom, use_precomputed_fake_quant)
    if remove_qconfig:
        _clean(module)
    return module


def quantize(model, run_fn, run_args, mapping=None, inplace=False):
    """prepare(), run_fn(model, *run_args) to calibrate, convert()."""
    if not inplace:
        model = copy.deepcopy(model)
    model.eval()
    prepare(model, inplace=True)
    run_fn(model, *run_args)
    convert(model, mapping, inplace=True)
    return model


def quantize_qat(model, run_fn, run_args, inplace=False):
    """prepare_qat(), run_fn(model, *run_args) to train, convert()."""
    if not inplace:
        model = copy.deepcopy(model)
    model.train()
    prepare_qat(model, inplace=True)
    run_fn(model, *run_args)
    convert(model, inplace=True)
    return model


_RECURRENT = (nn.Linear, nn.LSTM, nn.GRU, nn.LSTMCell, nn.RNNCell, nn.GRUCell)


def _dynamic_spec(qconfig_spec, dtype):
    by_dtype = {
        flambeau.qint8: default_dynamic_qconfig,
        flambeau.float16: float16_dynamic_qconfig,
        flambeau.quint8: float_qparams_weight_only_qconfig,
    }
    if qconfig_spec is None:
        kinds = (nn.EmbeddingBag, nn.Embedding) if dtype == flambeau.quint8 else _RECURRENT
        if dtype not in by_dtype:
            raise ValueError(
                f"Don't know how to quantize with default settings for {dtype}. Provide full "
                "qconfig please"
            )
        return dict.fromkeys(kinds, by_dtype[dtype])
    if isinstance(qconfig_spec, set):
        if dtype not in by_dtype:
            raise RuntimeError(f"Unknown dtype specified for quantize_dynamic: {dtype}")
        return dict.fromkeys(qconfig_spec, by_dtype[dtype])
    return qconfig_spec


def quantize_dynamic(model, qconfig_spec=None, dtype=flambeau.qint8, mapping=None, inplace=False):
    """A network whose linear and recurrent layers keep integers of 8 bits as their weights.

    What goes into such a layer is quantized as it comes. qconfig_spec: types or names of modules
    (a set), or those with a qconfig for each (a dict).

    >>> import flambeau as torch
    >>> net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU())
    >>> torch.ao.quantization.quantize_dynamic(net, {torch.nn.Linear})
    Sequential(
      (0): DynamicQuantizedLinear(in_features=2, out_features=3, dtype=torch.qint8, \
qscheme=torch.per_tensor_affine)
      (1): ReLU()
    )
    """
    spec = _dynamic_spec(qconfig_spec, dtype)
    mapping = mappings.get_default_dynamic_quant_module_mappings() if mapping is None else mapping
    if not inplace:
        model = copy.deepcopy(model)
    model.eval()
    propagate_qconfig_(model, spec)
    if type(model) in mapping:
        return swap_module(model, mapping)
    return convert(model, mapping, inplace=True)
