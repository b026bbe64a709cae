"""Checks of sparse tensors: positions are checked always, so that nothing is read out of bounds."""


class check_sparse_tensor_invariants:
    """Switches checks of sparse tensors in PyTorch. Here they are always made: only kept.

    >>> import flambeau as torch
    >>> with torch.sparse.check_sparse_tensor_invariants():
    ...     torch.sparse.check_sparse_tensor_invariants.is_enabled()
    True
    """

    _enabled = False

    def __init__(self, enable=True):
        self._state = enable
        self._before = None

    @staticmethod
    def is_enabled():
        """What was asked for."""
        return check_sparse_tensor_invariants._enabled

    @staticmethod
    def enable():
        """Asks for checks."""
        check_sparse_tensor_invariants._enabled = True

    @staticmethod
    def disable():
        """Asks for no checks; they are made."""
        check_sparse_tensor_invariants._enabled = False

    def __enter__(self):
        self._before = self.is_enabled()
        check_sparse_tensor_invariants._enabled = self._state

    def __exit__(self, *error):
        check_sparse_tensor_invariants._enabled = self._before

    def __call__(self, function):
        def checked(*args, **kwargs):
            with type(self)(self._state):
                return function(*args, **kwargs)

        return checked


def as_sparse_gradcheck(gradcheck):
    """A gradcheck that takes sparse inputs: their values are what is varied.

    >>> import flambeau as torch
    >>> check = torch.sparse.as_sparse_gradcheck(torch.autograd.gradcheck)
    >>> x = torch.eye(2, dtype=torch.float64).to_sparse().requires_grad_()
    >>> check(lambda x: x.to_dense().exp(), [x])
    True
    """

    def check(func, inputs, **options):
        from ._tensor import SparseTensor

        options.pop("masked", None)
        inputs = list(inputs) if isinstance(inputs, (list, tuple)) else [inputs]
        whole = [x.detach() if isinstance(x, SparseTensor) else x for x in inputs]
        parts = [
            x._v.detach().clone().requires_grad_(x.requires_grad)
            if isinstance(x, SparseTensor)
            else x
            for x in inputs
        ]

        def of_values(*values):
            made = [
                x._with_values(v) if isinstance(x, SparseTensor) else v
                for x, v in zip(whole, values, strict=True)
            ]
            result = func(*made)
            several = result if isinstance(result, (list, tuple)) else (result,)
            dense = tuple(y._v if isinstance(y, SparseTensor) else y for y in several)
            return dense if isinstance(result, (list, tuple)) else dense[0]

        return gradcheck(of_values, parts, **options)

    return check
