"""Products made of matrix products: einsum, tensordot, kron, chains of matrices, bilinear."""

from flambeau._ops import functions, op, write_out

_SPACES = str.maketrans("", "", " \t")


# -- einsum ----------------------------------------------------------------------------------------


def _error(text):
    return RuntimeError("einsum(): " + text)


def _subscripts(terms, operands):
    """Each operand's labels, an ellipsis replaced by labels numbered from the last dimension."""
    labels, widest = [], 0
    for i, (term, operand) in enumerate(zip(terms, operands, strict=True)):
        plain = [x for x in term if x is not Ellipsis]
        hidden = operand.dim() - len(plain)
        dots = len(term) - len(plain)
        if dots > 1:
            raise _error(f"found '...' more than once in the subscripts of operand {i}")
        if hidden < 0 or (hidden and not dots):
            raise _error(
                f"the number of subscripts in the equation ({len(plain)}) does not match the "
                f"number of dimensions ({operand.dim()}) for operand {i}"
            )
        widest = max(widest, hidden)
        at = term.index(Ellipsis) if dots else 0
        middle = [("...", hidden - 1 - k) for k in range(hidden)] if dots else []
        labels.append(list(term[:at]) + middle + list(term[at + dots :]))
    return labels, [("...", widest - 1 - k) for k in range(widest)]


def _terms(text):
    terms = []
    for part in text.split(","):
        term = []
        while part:
            if part.startswith("..."):
                term.append(Ellipsis)
                part = part[3:]
            elif part[0].isascii() and part[0].isalpha():
                term.append(part[0])
                part = part[1:]
            else:
                raise _error(f"invalid subscript given: '{part[0]}', must be in [a-zA-Z]")
        terms.append(term)
    return terms


def _parse(equation, operands):
    """The labels of the operands and of the result."""
    left, arrow, right = equation.translate(_SPACES).partition("->")
    terms = _terms(left)
    if len(terms) != len(operands):
        raise _error(
            f"{len(terms)} operands were given subscripts in the equation, "
            f"but {len(operands)} operands were given"
        )
    labels, dots = _subscripts(terms, operands)
    return labels, _result(_terms(right)[0] if arrow else None, labels, dots)


def _result(term, labels, dots):
    counts = {}
    for label in (x for one in labels for x in one):
        counts[label] = counts.get(label, 0) + 1
    if term is None:
        return dots + sorted(x for x, n in counts.items() if n == 1 and x not in dots)
    result = []
    for label in term:
        found = dots if label is Ellipsis else [label]
        for x in found:
            if x not in counts:
                raise _error(f"output subscript {x} does not appear in the equation for any input")
            if x in result:
                raise _error(f"output subscript {x} appears more than once in the output")
        result += found
    return result


def _diagonals(labels, sizes):
    """A label that occurs twice in an operand names a diagonal: the pairs of dimensions to take,
    and the size of each label."""
    labels, sizes, pairs = list(labels), list(sizes), []
    for label in dict.fromkeys(labels):
        while labels.count(label) > 1:
            a = labels.index(label)
            b = labels.index(label, a + 1)
            if sizes[a] != sizes[b]:
                raise _error(
                    f"subscript {label} is repeated for operand but the sizes don't match, "
                    f"{sizes[a]} != {sizes[b]}"
                )
            pairs.append((a, b))
            labels = [x for i, x in enumerate(labels) if i not in (a, b)] + [label]
            sizes = [x for i, x in enumerate(sizes) if i not in (a, b)] + [sizes[a]]
    return pairs, dict(zip(labels, sizes))


def _summed(sizes, keep):
    """The dimensions of labels that nobody needs any more, which leave `sizes`."""
    dims = [i for i, x in enumerate(sizes) if x not in keep]
    for label in [x for x in sizes if x not in keep]:
        del sizes[label]
    return dims


def _drop_ones(sizes, other):
    """A dimension of size 1 broadcasts: it is left out where the other operand has it longer."""
    dims = []
    for label in [x for x in sizes if x in other]:
        n, m = sizes[label], other[label]
        if n == 1 and m != 1:
            dims.append(list(sizes).index(label))
            del sizes[label]
        elif n != m and m != 1:
            raise _error(f"subscript {label} has size {n} for one operand and {m} for another")
    return dims


def _order(sizes, labels):
    """The dimensions as the labels have them; None where they are so already."""
    dims = [list(sizes).index(x) for x in labels]
    return None if dims == list(range(len(dims))) else dims


def _numel(sizes):
    n = 1
    for s in sizes:
        n *= s
    return n


def _contraction(a, b, keep):
    """How two operands are multiplied and summed over the labels outside of `keep`, as one bmm:
    what happens to each before, whether as a sum, the shape of the result, its labels' sizes."""
    before = [_drop_ones(a, b), _drop_ones(b, a)]
    sums = [_summed(a, keep | b.keys()), _summed(b, keep | a.keys())]
    shared = [x for x in a if x in b]
    batch, summed = [x for x in shared if x in keep], [x for x in shared if x not in keep]
    rows, columns = [x for x in a if x not in shared], [x for x in b if x not in shared]
    orders = _order(a, batch + rows + summed), _order(b, batch + summed + columns)
    left, right = [[sizes[x] for x in its] for sizes, its in ((a, batch + rows), (b, columns))]
    out = dict(zip(batch + rows + columns, left + right))
    shape = None
    if summed:
        k, m, n = _numel(a[x] for x in summed), _numel(a[x] for x in rows), _numel(right)
        many = [_numel(a[x] for x in batch)] if batch else []
        shapes = [*many, m, k], [*many, k, n]
        if len(batch) > 1 or len(rows) != 1 or len(columns) != 1:
            shape = left + right
        elif len(summed) == 1:
            shapes = None, None
    else:
        spread = left[: len(batch)] + [1] * len(rows) + right
        shapes = left + [1] * len(columns) if columns else None, spread if rows else None
    steps = [*zip(before, sums, orders, shapes)]
    return steps, bool(summed), shape, out


def _prepared(tensor, steps):
    squeezed, sums, order, shape = steps
    for dim in squeezed:
        tensor = tensor.squeeze(dim)
    if sums:
        tensor = tensor.sum(sums)
    if order:
        tensor = tensor.permute(order)
    return tensor if shape is None else tensor.reshape(shape)


_plans = {}  # by equation and shapes


def _plan(equation, tensors):
    """What einsum() does for an equation and operands of these shapes."""
    labels, result = equation if isinstance(equation, tuple) else _parse(equation, tensors)
    found = [_diagonals(x, t.shape) for x, t in zip(labels, tensors, strict=True)]
    diagonals = [(i, pairs) for i, (pairs, _) in enumerate(found) if pairs]
    sizes, contractions = [sizes for _, sizes in found], []
    out = sizes[0]
    for i, its in enumerate(sizes[1:], 2):
        *steps, out = _contraction(out, its, set(result).union(*sizes[i:]))
        contractions.append(steps)
    return diagonals, contractions, _summed(out, result), _order(out, result)


def _run(plan, tensors):
    diagonals, contractions, sums, order = plan
    for i, pairs in diagonals:
        for pair in pairs:
            tensors[i] = tensors[i].diagonal(0, *pair)
    out = tensors[0]
    for tensor, (steps, summed, shape) in zip(tensors[1:], contractions):
        a, b = _prepared(out, steps[0]), _prepared(tensor, steps[1])
        out = a * b if not summed else a.bmm(b) if a.dim() == 3 else a.mm(b)
        if shape is not None:
            out = out.reshape(shape)
    return _prepared(out, ((), sums, order, None))


def _from_sublists(arguments):
    """einsum(a, [0, 1], b, [1, 2], [0, 2]) in terms of labels."""
    tensors, lists = list(arguments[0::2]), list(arguments[1::2])
    result = tensors.pop() if len(arguments) % 2 else None
    for label in (x for its in [*lists, result or ()] for x in its if x is not Ellipsis):
        if not 0 <= label < 52:
            raise ValueError(
                f"einsum(): subscript {label} is not within the valid range [0, 52) of lists"
            )
    labels, dots = _subscripts([list(x) for x in lists], tensors)
    return tensors, labels, _result(result, labels, dots)


@op("einsum(str equation, *Tensor operands) -> Tensor", method=False)
def einsum(equation, *operands):
    """Sums of products of tensors' elements along dimensions named by letters.

    Each letter names a dimension; a letter that is not in the result is summed over. ``...``
    stands for any dimensions, which broadcast. Operands are contracted from left to right.

    >>> import flambeau as torch
    >>> torch.einsum("ij,jk->ik", torch.ones(2, 3), torch.ones(3, 4)).shape
    torch.Size([2, 4])
    """
    if not isinstance(equation, str):
        tensors, labels, result = _from_sublists((equation, *operands))
        return _run(_plan((labels, result), tensors), tensors)
    if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
        operands = operands[0]
    if not operands:
        raise ValueError("einsum(): must provide at least one operand")
    tensors = list(operands)
    for i, tensor in enumerate(tensors):
        if not hasattr(tensor, "dim"):
            raise TypeError(
                f"einsum(): expected Tensor as operand {i}, but got {type(tensor).__name__}"
            )
    key = (equation, *[tensor.shape for tensor in tensors])
    plan = _plans.get(key)
    if plan is None:
        if len(_plans) >= 1000:
            _plans.clear()
        plan = _plans[key] = _plan(equation, tensors)
    return _run(plan, tensors)


# -- other products --------------------------------------------------------------------------------


@op("tensordot(Tensor a, Tensor b, dims=2, out=None) -> Tensor", method=False)
def tensordot(a, b, dims=2, out=None):
    """Sums over products of elements along pairs of dimensions.

    ``dims`` is how many of the last dimensions of ``a`` go with as many first ones of ``b``, or the
    two lists of dimensions that go together.

    >>> import flambeau as torch
    >>> torch.tensordot(torch.ones(2, 3, 4), torch.ones(3, 4, 5)).shape
    torch.Size([2, 5])
    """
    if hasattr(dims, "tolist"):
        dims = dims.tolist()
    if isinstance(dims, int):
        if not 0 <= dims <= min(a.dim(), b.dim()):
            raise RuntimeError(
                "tensordot expects dims >= 0 and at most the tensors' dimensions, "
                f"but got dims={dims}"
            )
        pair = list(range(a.dim() - dims, a.dim())), list(range(dims))
    else:
        pair = [[d] if isinstance(d, int) else list(d) for d in dims]
    a_dims = [d % a.dim() if a.dim() else d for d in pair[0]]
    b_dims = [d % b.dim() if b.dim() else d for d in pair[1]]
    if len(a_dims) != len(b_dims):
        raise RuntimeError("both dimension lists should have same length")
    for d, e in zip(a_dims, b_dims, strict=True):
        n, m = a.size(d), b.size(e)
        if n == m:
            continue
        if m == 1:
            a = a.sum(d, True, dtype=a.dtype)
        elif n == 1:
            b = b.sum(e, True, dtype=b.dtype)
        else:
            raise RuntimeError(
                "contracted dimensions need to match, but first has size "
                f"{n} in dim {d} and second has size {m} in dim {e}"
            )
    rows = [d for d in range(a.dim()) if d not in a_dims]
    columns = [d for d in range(b.dim()) if d not in b_dims]
    sizes = [a.size(d) for d in rows] + [b.size(d) for d in columns]
    k = _numel(a.size(d) for d in a_dims)
    left = a.permute(rows + a_dims).reshape(_numel(a.size(d) for d in rows), k)
    right = b.permute(b_dims + columns).reshape(k, _numel(b.size(d) for d in columns))
    result = left.mm(right).reshape(sizes)
    return result if out is None else write_out("tensordot", result, out)


@op("kron(Tensor input, Tensor other, *, Tensor? out=None) -> Tensor")
def kron(input, other, *, out=None):
    """The Kronecker product: every element of ``input`` times the whole of ``other``.

    >>> import flambeau as torch
    >>> torch.kron(torch.eye(2), torch.ones(2, 3)).shape
    torch.Size([4, 6])
    """
    n = max(input.dim(), other.dim())
    a = [1] * (n - input.dim()) + list(input.shape)
    b = [1] * (n - other.dim()) + list(other.shape)
    left = input.reshape([x for s in a for x in (s, 1)])
    right = other.reshape([x for s in b for x in (1, s)])
    result = (left * right).reshape([x * y for x, y in zip(a, b, strict=True)])
    return result if out is None else write_out("kron", result, out)


def _best_splits(sizes):
    """Where to split each run of matrices so that the fewest multiplications are made."""
    n = len(sizes) - 1
    cost = [[0] * n for _ in range(n)]
    split = [[0] * n for _ in range(n)]
    for length in range(2, n + 1):
        for i in range(n - length + 1):
            j = i + length - 1
            cost[i][j], split[i][j] = min(
                (cost[i][s] + cost[s + 1][j] + sizes[i] * sizes[s + 1] * sizes[j + 1], s)
                for s in range(i, j)
            )
    return split


def _chain(matrices):
    sizes = [m.size(0) for m in matrices] + [matrices[-1].size(1)]
    split = _best_splits(sizes)

    def product(i, j):
        if i == j:
            return matrices[i]
        return product(i, split[i][j]).mm(product(split[i][j] + 1, j))

    return product(0, len(matrices) - 1)


@op("linalg.multi_dot(Tensor[] tensors, *, Tensor? out=None) -> Tensor")
def multi_dot(tensors, *, out=None):
    """The product of several matrices, in the order that takes the fewest multiplications.

    The first and the last may be vectors.

    >>> import flambeau as torch
    >>> torch.linalg.multi_dot([torch.ones(2, 3), torch.ones(3, 4), torch.ones(4)]).shape
    torch.Size([2])
    """
    tensors = list(tensors)
    if len(tensors) < 2:
        raise RuntimeError(f"multi_dot(): expected at least 2 tensors but got {len(tensors)}")
    first, last = tensors[0].dim(), tensors[-1].dim()
    for i, t in enumerate(tensors):
        allowed = (1, 2) if i in (0, len(tensors) - 1) else (2,)
        if t.dim() not in allowed:
            raise RuntimeError(f"multi_dot(): tensor {i} must be 2D but got {t.dim()}D")
    if first == 1:
        tensors[0] = tensors[0].unsqueeze(0)
    if last == 1:
        tensors[-1] = tensors[-1].unsqueeze(1)
    for i, (a, b) in enumerate(zip(tensors, tensors[1:], strict=False)):
        if a.size(1) != b.size(0):
            raise RuntimeError(
                f"multi_dot(): tensors {i} and {i + 1} with shapes {list(a.shape)} and "
                f"{list(b.shape)} cannot be multiplied"
            )
    result = _chain(tensors)
    if first == 1:
        result = result.squeeze(0)
    if last == 1:
        result = result.squeeze(-1)
    return result if out is None else write_out("multi_dot", result, out)


@op("chain_matmul(*Tensor matrices, Tensor? out=None) -> Tensor", method=False)
def chain_matmul(*matrices, out=None):
    """The product of several matrices, in the order that takes the fewest multiplications.

    >>> import flambeau as torch
    >>> torch.chain_matmul(torch.ones(2, 3), torch.ones(3, 4), torch.ones(4, 5)).shape
    torch.Size([2, 5])
    """
    if len(matrices) == 1:
        return matrices[0]
    return multi_dot(matrices, out=out)


@op("linalg.matmul(Tensor input, Tensor other, *, Tensor? out=None) -> Tensor")
def linalg_matmul(input, other, *, out=None):
    """The product of vectors, matrices or batches of matrices: `flambeau.matmul`.

    >>> import flambeau as torch
    >>> torch.linalg.matmul(torch.ones(2, 3), torch.ones(3)).shape
    torch.Size([2])
    """
    matmul = functions["matmul"]
    return matmul(input, other) if out is None else matmul(input, other, out=out)


@op(
    "nn.functional.bilinear(Tensor input1, Tensor input2, Tensor weight, Tensor? bias=None) "
    "-> Tensor"
)
def bilinear(input1, input2, weight, bias=None):
    """``y[o] = input1 @ weight[o] @ input2 + bias[o]``, for vectors along the last dimension.

    >>> import flambeau as torch
    >>> weight = torch.ones(5, 3, 4)
    >>> torch.nn.functional.bilinear(torch.ones(2, 3), torch.ones(2, 4), weight).shape
    torch.Size([2, 5])
    """
    if input1.shape[:-1] != input2.shape[:-1]:
        raise RuntimeError(
            "bilinear(): input batch dimensions do not match: got "
            f"{list(input1.shape)} and {list(input2.shape)}"
        )
    n, i, j = weight.shape
    if input1.size(-1) != i or input2.size(-1) != j:
        raise RuntimeError(
            f"bilinear(): weight of shape {list(weight.shape)} does not go with inputs of shapes "
            f"{list(input1.shape)} and {list(input2.shape)}"
        )
    rows = _numel(input1.shape[:-1])
    half = input1.reshape(rows, i).mm(weight.permute(1, 0, 2).reshape(i, n * j))
    out = half.reshape(rows, n, j).bmm(input2.reshape(rows, j, 1))
    out = out.reshape(list(input1.shape[:-1]) + [n])
    return out if bias is None else out + bias
