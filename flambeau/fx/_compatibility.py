"""Marks of what stays as it is from one version of fx to the next."""


def compatibility(is_backward_compatible):
    """Decorates a function or class of fx; it is given back as it is.

    >>> from flambeau.fx._compatibility import compatibility
    >>> @compatibility(is_backward_compatible=True)
    ... def run():
    ...     return 1
    >>> run()
    1
    """

    def decorate(made):
        return made

    return decorate
