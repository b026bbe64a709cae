"""Probability distributions: draws, densities, moments, divergences, under PyTorch's names.

>>> import flambeau as torch
>>> d = torch.distributions.Normal(0.0, 2.0)
>>> d.log_prob(torch.tensor(0.0)), d.stddev
(tensor(-1.6121), tensor(2.))
"""

import sys as _sys

from . import (
    _categories,
    _discrete,
    _gamma,
    _location_scale,
    _multivariate,
    _relaxed,
    _tails,
    _transformed,
    constraint_registry,
    constraints,
    distribution,
    kl,
    transforms,
    utils,
)
from ._categories import *
from ._discrete import *
from ._gamma import *
from ._location_scale import *
from ._multivariate import *
from ._relaxed import *
from ._tails import *
from ._transformed import *
from .constraint_registry import biject_to, transform_to
from .distribution import Distribution, ExponentialFamily
from .kl import kl_divergence, register_kl
from .transforms import *

_FAMILIES = (
    _categories,
    _discrete,
    _gamma,
    _location_scale,
    _multivariate,
    _relaxed,
    _tails,
    _transformed,
)

__all__ = sorted(
    ["Distribution", "ExponentialFamily", "biject_to", "kl_divergence", "register_kl"]
    + ["transform_to", *transforms.__all__]
    + [name for family in _FAMILIES for name in family.__all__]
)


def _answer_module_names():
    """Lets ``distributions.normal`` and the like be imported: the families hold several each."""
    special = {
        "FisherSnedecor": "fishersnedecor",
        "LKJCholesky": "lkj_cholesky",
        "StudentT": "studentT",
    }
    special |= {"LowRankMultivariateNormal": "lowrank_multivariate_normal"}
    special |= {
        "OneHotCategorical": "one_hot_categorical",
        "RelaxedOneHotCategorical": "relaxed_categorical",
    }
    modules = {"exp_family": distribution}
    for family in _FAMILIES:
        for name in family.__all__:
            words = "".join(f"_{c.lower()}" if c.isupper() else c for c in name)
            place = special.get(name, words.lstrip("_"))
            modules[place] = family
            getattr(family, name).__module__ = f"{__name__}.{place}"
    for name, module in modules.items():
        _sys.modules[f"{__name__}.{name}"] = module
        globals().setdefault(name, module)


_answer_module_names()
