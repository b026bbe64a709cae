"""Dropout of channels and the kinds that keep mean and variance, under flambeau itself."""

from flambeau._ops import op


def _run(name, input, p, train, inplace):
    from flambeau.nn.functional import _dropout

    if not 0 <= p <= 1:
        raise RuntimeError(f"dropout probability has to be between 0 and 1, but got {p}")
    if name == "feature_dropout":
        if input.dim() < 2:
            raise RuntimeError("Feature dropout requires at least 2 dimensions in the input")
        return _dropout._feature_dropout(input, p, train, inplace)
    by_channel = name == "feature_alpha_dropout"
    return _dropout._alpha_dropout(input, p, train, inplace, by_channel=by_channel)


@op("feature_dropout(Tensor input, float p, bool train) -> Tensor", method=False)
def feature_dropout(input, p, train):
    """Zeroes whole channels, the second dimension, with probability p."""
    return _run("feature_dropout", input, p, train, False)


@op("feature_dropout_(Tensor(a!) input, float p, bool train) -> Tensor(a!)", method=False)
def feature_dropout_(input, p, train):
    """Zeroes whole channels in place."""
    return _run("feature_dropout", input, p, train, True)


@op("alpha_dropout(Tensor input, float p, bool train) -> Tensor", method=False)
def alpha_dropout(input, p, train):
    """Dropout that keeps mean and variance of what follows a SELU."""
    return _run("alpha_dropout", input, p, train, False)


@op("alpha_dropout_(Tensor(a!) input, float p, bool train) -> Tensor(a!)", method=False)
def alpha_dropout_(input, p, train):
    """Alpha dropout in place."""
    return _run("alpha_dropout", input, p, train, True)


@op("feature_alpha_dropout(Tensor input, float p, bool train) -> Tensor", method=False)
def feature_alpha_dropout(input, p, train):
    """Alpha dropout of whole channels."""
    return _run("feature_alpha_dropout", input, p, train, False)


@op("feature_alpha_dropout_(Tensor(a!) input, float p, bool train) -> Tensor(a!)", method=False)
def feature_alpha_dropout_(input, p, train):
    """Alpha dropout of whole channels in place."""
    return _run("feature_alpha_dropout", input, p, train, True)
