"""Quantization of whole networks as graphs: no stubs, and functions are quantized as well."""

import copy

from .fx import _prepare
from .fx._convert import convert
from .fx.custom_config import ConvertCustomConfig, FuseCustomConfig, PrepareCustomConfig
from .qconfig_mapping import QConfigMapping

__all__ = ["convert_fx", "fuse_fx", "prepare_fx", "prepare_qat_fx"]


def _config(kind, given):
    if given is None:
        return kind()
    return kind.from_dict(given) if isinstance(given, dict) else given


def _check_backend(backend_config):
    if backend_config is not None:
        raise NotImplementedError("backend_config: there is one backend, the CPU's; leave it out")


def fuse_fx(model, fuse_custom_config=None, backend_config=None):
    """A network in eval mode as a graph, each layer one with its batch norm and its relu.

    >>> import flambeau as torch
    >>> net = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2)).eval()
    >>> fused = torch.ao.quantization.quantize_fx.fuse_fx(net)
    >>> [type(m).__name__ for m in fused.children()]
    ['Conv2d']
    """
    _check_backend(backend_config)
    preserved = _config(FuseCustomConfig, fuse_custom_config).preserved_attributes
    return _prepare.fuse(_prepare.traced(model, preserved=preserved), is_qat=False)


def _prepared(model, qconfig_mapping, is_qat, prepare_custom_config, backend_config):
    _check_backend(backend_config)
    if model.training != is_qat:
        raise AssertionError(
            "prepare_qat_fx() is for networks in training mode: call model.train()"
            if is_qat
            else "prepare_fx() is for networks in eval mode: call model.eval()"
        )
    mapping = _config(QConfigMapping, qconfig_mapping)
    config = _config(PrepareCustomConfig, prepare_custom_config)
    return _prepare.prepare(model, mapping, is_qat, config)


def prepare_fx(
    model,
    qconfig_mapping,
    example_inputs,
    prepare_custom_config=None,
    _equalization_config=None,
    backend_config=None,
):
    """A network in eval mode as a graph with observers; run data through it, then convert_fx().

    qconfig_mapping: a QConfigMapping, or a dict in its form; example_inputs: a tuple of inputs
    (the graph is made without running it); prepare_custom_config: a PrepareCustomConfig.

    >>> import flambeau as torch
    >>> from flambeau.ao.quantization import get_default_qconfig_mapping
    >>> from flambeau.ao.quantization.quantize_fx import convert_fx, prepare_fx
    >>> net = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.ReLU()).eval()
    >>> x = torch.randn(8, 4)
    >>> ready = prepare_fx(net, get_default_qconfig_mapping(), (x,))
    >>> _ = ready(x)
    >>> convert_fx(ready)(x).shape
    torch.Size([8, 4])
    """
    if _equalization_config is not None:
        raise NotImplementedError("prepare_fx(): _equalization_config is not supported")
    return _prepared(model, qconfig_mapping, False, prepare_custom_config, backend_config)


def prepare_qat_fx(
    model, qconfig_mapping, example_inputs, prepare_custom_config=None, backend_config=None
):
    """The same in training mode: the graph rounds as it trains, then convert_fx() after eval()."""
    return _prepared(model, qconfig_mapping, True, prepare_custom_config, backend_config)


def convert_fx(
    graph_module,
    convert_custom_config=None,
    _remove_qconfig=True,
    qconfig_mapping=None,
    backend_config=None,
    keep_original_weights=False,
):
    """A graph of integers, of one that prepare_fx() made and data has passed.

    qconfig_mapping: parts for which it has None stay with numbers; _remove_qconfig: modules lose
    their qconfig.
    """
    _check_backend(backend_config)
    if keep_original_weights:
        raise NotImplementedError("convert_fx(): keep_original_weights is not supported")
    told = graph_module.meta.get("quantization")
    if told is None:
        raise AssertionError("convert_fx() takes what prepare_fx() or prepare_qat_fx() made")
    config = _config(ConvertCustomConfig, convert_custom_config)
    made = copy.deepcopy(graph_module)
    if qconfig_mapping is not None:
        again = _prepare.choose_qconfigs(
            made, _config(QConfigMapping, qconfig_mapping), told["types"]
        )
        kept = {name: mode for name, mode in told["modes"].items() if again.get(name) is not None}
        told = {**told, "modes": kept}
    made = convert(made, told, config.observed_to_quantized_mapping)
    del made.meta["quantization"]
    for name in {*told["preserved"], *config.preserved_attributes}:
        setattr(made, name, getattr(graph_module, name))
    if _remove_qconfig:
        for module in made.modules():
            vars(module).pop("qconfig", None)
            module._modules.pop("activation_post_process", None)
    return made
