"""How a loss is reduced: none, mean or sum."""

__all__ = ["REDUCTIONS", "reduce_loss", "reduction_name", "reduction_number"]

REDUCTIONS = ("none", "mean", "sum")  # as operators number them


def name_of_flags(size_average, reduce):
    """The reduction that the two older flags say."""
    return "none" if reduce is False else "sum" if size_average is False else "mean"


def reduction_name(size_average, reduce, reduction):
    """The reduction, where the two older flags that say the same are given too."""
    if size_average is None and reduce is None:
        return reduction
    name = name_of_flags(size_average, reduce)
    import warnings

    warnings.warn(
        f"size_average and reduce args will be deprecated, please use reduction='{name}' instead.",
        stacklevel=4,
    )
    return name


def reduction_number(reduction):
    """How operators number a reduction; ValueError for what is none."""
    if reduction not in REDUCTIONS:
        raise ValueError(f"{reduction} is not a valid value for reduction")
    return REDUCTIONS.index(reduction)


def reduce_loss(loss, reduction):
    """A loss for each element, reduced as asked."""
    if reduction == "mean":
        return loss.mean()
    if reduction == "sum":
        return loss.sum()
    reduction_number(reduction)
    return loss
