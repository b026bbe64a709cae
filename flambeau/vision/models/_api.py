"""Models by name, and the published weights that they can be given."""

import fnmatch
import functools
import importlib
import json
import os
import sys
import warnings
from enum import Enum

__all__ = [
    "Weights",
    "WeightsEnum",
    "get_model",
    "get_model_builder",
    "get_model_weights",
    "get_weight",
    "list_models",
    "register_model",
]

_BUILDERS = {}  # name to builder
_ENUMS = {}  # builder to the enum of its weights


class Weights:
    """Where weights lie, the transforms that they want of their input, and facts about them."""

    def __init__(self, url, transforms, meta):
        self.url = url
        self.transforms = transforms
        self.meta = meta

    def __repr__(self):
        return f"Weights(url={self.url!r}, transforms={self.transforms!r}, meta={self.meta!r})"

    def __eq__(self, other):
        if not isinstance(other, Weights):
            return NotImplemented
        preset = [
            (getattr(t, "func", t), getattr(t, "args", ()), getattr(t, "keywords", {}))
            for t in (self.transforms, other.transforms)
        ]
        return (self.url, self.meta) == (other.url, other.meta) and preset[0] == preset[1]

    __hash__ = None


class WeightsEnum(Enum):
    """The weights of one model."""

    @classmethod
    def verify(cls, obj):
        """The member that is meant: itself, its name, or None."""
        if isinstance(obj, str):
            return cls[obj.removeprefix(cls.__name__ + ".")]
        if obj is not None and not isinstance(obj, cls):
            raise TypeError(
                f"Invalid Weight class provided; expected {cls.__name__} "
                f"but received {type(obj).__name__}."
            )
        return obj

    def get_state_dict(self, *args, **kwargs):
        """Downloads them into the hub's folder; arguments are `load_state_dict_from_url`'s."""
        from flambeau.hub import load_state_dict_from_url

        return load_state_dict_from_url(self.url, *args, **kwargs)

    def __repr__(self):
        return f"{type(self).__name__}.{self.name}"

    @property
    def url(self):
        return self.value.url

    @property
    def transforms(self):
        return self.value.transforms

    @property
    def meta(self):
        return self.value.meta


@functools.cache
def _facts():
    with open(os.path.join(os.path.dirname(__file__), "weights.json"), encoding="utf-8") as file:
        return json.load(file)


def weights_enum(name, module):
    """The enum of this name, made from weights.json."""
    from ..transforms import _presets
    from ..transforms.functional import InterpolationMode

    facts, members = _facts(), {}
    for key, entry in facts["weights"][name].items():
        if isinstance(entry, str):  # another name
            members[key] = members[entry]
            continue
        preset, options = entry["transforms"]
        options = {k: tuple(v) if isinstance(v, list) else v for k, v in options.items()}
        if "interpolation" in options:
            options["interpolation"] = InterpolationMode(options["interpolation"])
        meta = dict(entry["meta"])
        if meta.get("categories"):
            meta["categories"] = facts["categories"][meta["categories"]]
        if "min_size" in meta:
            meta["min_size"] = tuple(meta["min_size"])
        preset = getattr(_presets, preset)
        members[key] = Weights(
            entry["url"], functools.partial(preset, **options) if options else preset, meta
        )
    return WeightsEnum(name, members, module=module)


def set_or_check(options, name, value):
    """options[name] becomes what the weights need; another value there is an error."""
    if options.get(name) not in (None, value):
        raise ValueError(
            f"The parameter '{name}' expected value {value} but got {options[name]} instead."
        )
    options[name] = value


def fit_classes(weights, options):
    """num_classes as the weights have it."""
    set_or_check(options, "num_classes", len(weights.meta["categories"]))


def legacy(options, enum):
    """`pretrained=` of old programs as `weights=`."""
    if "pretrained" not in options:
        return None
    warnings.warn(
        "The parameter 'pretrained' is deprecated, please use 'weights' instead.",
        UserWarning,
        stacklevel=3,
    )
    return next(iter(enum)) if options.pop("pretrained") else None


def builder_of(name, enum, build, doc=None):
    """Names and registers the function `build`, whose weights are those of `enum`."""
    build.__name__ = build.__qualname__ = name
    build.__module__ = enum.__module__
    build.__doc__ = doc or f"The model {name}; `weights` is a member of `{enum.__name__}` or None."
    _BUILDERS[name] = build
    _ENUMS[build] = enum
    return build


def model(name, enum, make, fit=fit_classes, load=None):
    """(the enum of its weights, the builder) of the model that `make(**options)` constructs.

    `fit(weights, options)` sets the options that weights determine; `load(net, state)` loads a
    state where `load_state_dict` would not do.
    """
    enum = weights_enum(enum, getattr(make, "func", make).__module__)

    def build(*, weights=None, progress=True, **kwargs):
        weights = enum.verify(legacy(kwargs, enum) or weights)
        if weights is not None:
            fit(weights, kwargs)
        net = make(**kwargs)
        if weights is not None:
            state = weights.get_state_dict(progress=progress, check_hash=True)
            if load is None:
                net.load_state_dict(state)
            else:
                load(net, state)
        return net

    return enum, builder_of(name, enum, build)


def register_model(name=None):
    """Decorates a builder: `get_model` then knows it by its name, or by the one given."""

    def register(build):
        key = build.__name__ if name is None else name
        if key in _BUILDERS:
            raise ValueError(f"An entry is already registered under the name '{key}'.")
        _BUILDERS[key] = build
        return build

    return register


def _load_all():
    """All of the models: those of integers are not there before they are asked for."""
    importlib.import_module("flambeau.vision.models.quantization")


def list_models(module=None, include=None, exclude=None):
    """The names of the models, of one module or all, by patterns such as "*resnet*".

    >>> from flambeau.vision.models import list_models
    >>> list_models(include="vit*")
    ['vit_b_16', 'vit_b_32', 'vit_h_14', 'vit_l_16', 'vit_l_32']
    """
    _load_all()
    names = {
        name
        for name, build in _BUILDERS.items()
        if module is None or sys.modules[build.__module__.rsplit(".", 1)[0]] is module
    }

    def matching(patterns):
        patterns = [patterns] if isinstance(patterns, str) else patterns
        return {name for p in patterns for name in fnmatch.filter(names, p)}

    if include:
        names = matching(include)
    if exclude:
        names -= matching(exclude)
    return sorted(names)


def get_model_builder(name):
    """The function that builds the model of this name."""
    _load_all()
    try:
        return _BUILDERS[name.lower()]
    except KeyError:
        raise ValueError(f"Unknown model {name}") from None


def get_model(name, **config):
    """The model of this name, `get_model_builder(name)(**config)`.

    >>> from flambeau.vision.models import get_model
    >>> sum(p.numel() for p in get_model("squeezenet1_1").parameters())
    1235496
    """
    return get_model_builder(name)(**config)


def get_model_weights(name):
    """The enum of the weights of a model, which is given by name or builder."""
    build = get_model_builder(name) if isinstance(name, str) else name
    if build in _ENUMS:
        return _ENUMS[build]
    for kind in getattr(build, "__annotations__", {}).values():  # someone's own builder
        for part in (kind, *getattr(kind, "__args__", ())):
            if isinstance(part, type) and issubclass(part, WeightsEnum):
                return part
    raise ValueError("The weights class for the specific method couldn't be retrieved.")


def get_weight(name):
    """The weights of a full name such as "ResNet50_Weights.IMAGENET1K_V2"."""
    try:
        enum_name, member = name.split(".")
    except ValueError:
        raise ValueError(f"Invalid weight name provided: '{name}'.") from None
    _load_all()
    for enum in _ENUMS.values():
        if enum.__name__ == enum_name:
            return enum[member]
    raise ValueError(f"The weight enum '{enum_name}' for the specific method couldn't be found.")
