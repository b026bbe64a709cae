"""flambeau.special: names of operators that stand elsewhere too, and forms that take an order."""

from . import functions, internal, methods, op

for _name in ("_standard_gamma_grad", "_dirichlet_grad"):  # what distributions call
    functions.setdefault(_name, internal[_name])


@op("special.softmax(Tensor input, int dim, *, ScalarType? dtype=None) -> Tensor")
def softmax(input, dim, *, dtype=None):
    """Exponentials divided by their sum along a dimension: `flambeau.softmax`.

    >>> import flambeau as torch
    >>> torch.special.softmax(torch.zeros(2), 0)
    tensor([0.5000, 0.5000])
    """
    return functions["softmax"](input, dim, dtype=dtype)


@op("special.log_softmax(Tensor input, int dim, *, ScalarType? dtype=None) -> Tensor")
def log_softmax(input, dim, *, dtype=None):
    """The logarithm of `softmax`: `flambeau.log_softmax`.

    >>> import flambeau as torch
    >>> torch.special.log_softmax(torch.zeros(2), 0)
    tensor([-0.6931, -0.6931])
    """
    return functions["log_softmax"](input, dim, dtype=dtype)


@op("special.logsumexp(Tensor input, int[1] dim, bool keepdim=False, *, Tensor? out=None)-> Tensor")
def logsumexp(input, dim, keepdim=False, *, out=None):
    """The logarithm of the sum of exponentials along dimensions: `flambeau.logsumexp`.

    >>> import flambeau as torch
    >>> torch.special.logsumexp(torch.zeros(2), 0)
    tensor(0.6931)
    """
    if out is not None:
        return functions["logsumexp"](input, dim, keepdim, out=out)
    return functions["logsumexp"](input, dim, keepdim)


def _polygamma(self, n):
    """The n-th derivative of digamma.

    >>> import flambeau as torch
    >>> torch.tensor(1.0).polygamma(1)
    tensor(1.6449)
    """
    return functions["polygamma"](n, self)


def _polygamma_(self, n):
    """In-place `polygamma`.

    >>> import flambeau as torch
    >>> torch.tensor(1.0).polygamma_(1)
    tensor(1.6449)
    """
    return self.copy_(functions["polygamma"](n, self))


methods["polygamma"], methods["polygamma_"] = _polygamma, _polygamma_
