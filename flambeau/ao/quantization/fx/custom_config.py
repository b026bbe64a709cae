"""What a program asks of quantize_fx beyond the qconfigs."""

__all__ = ["ConvertCustomConfig", "FuseCustomConfig", "PrepareCustomConfig"]

_STATIC = "static"


class _Config:
    _lists = ()

    def __init__(self):
        for name in self._lists:
            setattr(self, name, [])

    def set_preserved_attributes(self, attributes):
        """Attributes of the network that its graph is to have as well."""
        self.preserved_attributes = attributes
        return self

    def to_dict(self):
        """A dict of what was set, as from_dict() takes it."""
        return {name: value for name, value in vars(self).items() if value}

    @classmethod
    def from_dict(cls, config):
        """Of such a dict."""
        made = cls()
        for name, value in config.items():
            name = cls._names.get(name, name)
            if name not in vars(made):
                raise ValueError(f"{cls.__name__} has no {name!r}")
            setattr(made, name, value)
        return made


class FuseCustomConfig(_Config):
    """For fuse_fx()."""

    _lists, _names = ("preserved_attributes",), {}


class PrepareCustomConfig(_Config):
    """For prepare_fx() and prepare_qat_fx().

    >>> from flambeau.ao.quantization.fx.custom_config import PrepareCustomConfig
    >>> PrepareCustomConfig().set_non_traceable_module_names(["head"]).to_dict()
    {'non_traceable_module_names': ['head']}
    """

    _lists = (
        "non_traceable_module_names",
        "non_traceable_module_classes",
        "input_quantized_indexes",
        "output_quantized_indexes",
        "preserved_attributes",
    )
    _names = {
        "non_traceable_module_name": "non_traceable_module_names",
        "non_traceable_module_class": "non_traceable_module_classes",
        "input_quantized_idxs": "input_quantized_indexes",
        "output_quantized_idxs": "output_quantized_indexes",
        "float_to_observed_custom_module_class": "float_to_observed_mapping",
    }

    def __init__(self):
        super().__init__()
        self.float_to_observed_mapping = {}

    def set_float_to_observed_mapping(self, float_class, observed_class, quant_type=_STATIC):
        """A class of modules that observed_class.from_float() replaces."""
        self.float_to_observed_mapping.setdefault(quant_type, {})[float_class] = observed_class
        return self

    def set_non_traceable_module_names(self, module_names):
        """Modules that are left as they are."""
        self.non_traceable_module_names = module_names
        return self

    def set_non_traceable_module_classes(self, module_classes):
        """Classes of modules that are left as they are."""
        self.non_traceable_module_classes = module_classes
        return self

    def set_input_quantized_indexes(self, indexes):
        """Inputs of the network that will be quantized tensors."""
        self.input_quantized_indexes = indexes
        return self

    def set_output_quantized_indexes(self, indexes):
        """Outputs of the network that stay quantized tensors."""
        self.output_quantized_indexes = indexes
        return self

    def static_mapping(self):
        """Classes of modules to those whose from_float() replaces them."""
        by_type = self.float_to_observed_mapping
        return next((v for k, v in by_type.items() if getattr(k, "name", k).lower() == _STATIC), {})


class ConvertCustomConfig(_Config):
    """For convert_fx()."""

    _lists = ("preserved_attributes",)
    _names = {"observed_to_quantized_custom_module_class": "observed_to_quantized_mapping"}

    def __init__(self):
        super().__init__()
        self.observed_to_quantized_mapping = {}

    def set_observed_to_quantized_mapping(
        self, observed_class, quantized_class, quant_type=_STATIC
    ):
        """A class of modules that quantized_class.from_observed() replaces."""
        own = self.observed_to_quantized_mapping.setdefault(quant_type, {})
        own[observed_class] = quantized_class
        return self
