"""Matrix products against NumPy, their gradients against differences, errors, thread counts."""

import numpy as np
import pytest

import flambeau as torch

RNG = np.random.default_rng(0)
TYPES = ["float32", "float64", "int64", "int32", "uint8", "complex64", "complex128"]


def array(*shape, dtype="float64"):
    if dtype.startswith("complex"):
        x = RNG.standard_normal(shape) + 1j * RNG.standard_normal(shape)
    elif dtype.startswith("float"):
        x = RNG.standard_normal(shape)
    else:
        x = RNG.integers(0, 7, shape)
    return np.asarray(x).astype(dtype)


def close(result, expected):
    result = result.numpy()
    assert result.shape == expected.shape
    assert result.dtype == expected.dtype
    tolerance = 1e-4 if expected.dtype in (np.float32, np.complex64) else 1e-10
    np.testing.assert_allclose(result, expected, rtol=tolerance, atol=tolerance * 10)


def layouts(a):
    """The same matrix in several memory layouts."""
    t = torch.from_numpy(a.copy())
    yield t
    yield torch.from_numpy(np.ascontiguousarray(np.swapaxes(a, -1, -2))).transpose(-1, -2)
    wide = np.zeros((*a.shape[:-1], a.shape[-1] * 2 + 3), a.dtype)
    wide[..., 1:-1:2][..., : a.shape[-1]] = a
    yield torch.from_numpy(wide)[..., 1:-1:2][..., : a.shape[-1]]


# Around the sizes of registers, tiles and blocks.
SIZES = [(1, 1, 1), (1, 37, 65), (2, 16, 33), (8, 8, 8), (8, 129, 40), (9, 31, 17), (14, 32, 5)]
SIZES += [(15, 33, 64), (29, 10, 100), (64, 64, 64), (3, 5, 0), (0, 4, 3), (4, 0, 3)]
SIZES += [(130, 70, 650)]


@pytest.mark.parametrize("m, n, k", SIZES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_mm_sizes_and_layouts(m, n, k, dtype):
    a, b = array(m, k, dtype=dtype), array(k, n, dtype=dtype)
    for x in layouts(a):
        for y in layouts(b):
            close(x.mm(y), a @ b)


@pytest.mark.parametrize("dtype", TYPES)
def test_mm_types(dtype):
    a, b = array(17, 9, dtype=dtype), array(9, 20, dtype=dtype)
    for x in layouts(a):
        close(x.mm(torch.from_numpy(b)), a @ b)


NARROW = [(1, 50, 33), (33, 50, 1), (300, 9, 2), (5, 40, 70), (2, 0, 3), (70, 33, 130)]


@pytest.mark.parametrize("m, k, n", NARROW)
@pytest.mark.parametrize("dtype", ["int8", "int16", "int64", "complex64", "complex128"])
def test_products_of_few_and_many_columns(m, k, n, dtype):
    a, b, c = array(m, k, dtype=dtype), array(k, n, dtype=dtype), array(m, n, dtype=dtype)
    z = torch.from_numpy(c)
    for x in layouts(a):
        for y in layouts(b):
            close(x.mm(y), a @ b)
            close(torch.addmm(z, x, y, beta=2, alpha=3), 2 * c + 3 * (a @ b))
            close(torch.addmm(z[0], x, y), c[0] + a @ b)


def test_integer_products_wrap_around():
    for dtype in (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64):
        most = torch.full((9, 35), torch.iinfo(dtype).max, dtype=dtype)
        bits = 8 * dtype.itemsize
        exact = sum(torch.iinfo(dtype).max ** 2 for _ in range(35)) % 2**bits
        expected = exact - 2**bits if dtype != torch.uint8 and exact >> (bits - 1) else exact
        assert (most @ most.t() == expected).all()


def test_complex_factors():
    a, b, c = (array(5, 5, dtype="complex128") for _ in range(3))
    out = torch.addmm(*map(torch.from_numpy, (c, a, b)), beta=2 - 1j, alpha=1j)
    close(out, (2 - 1j) * c + 1j * (a @ b))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_rounded_once(dtype):
    a = torch.from_numpy(array(20, 40, dtype="float32")).to(dtype)
    b = torch.from_numpy(array(40, 30, dtype="float32")).to(dtype)
    exact = a.to(torch.float32).mm(b.to(torch.float32)).to(dtype)
    product = a.mm(b)
    assert product.dtype == dtype
    assert product.tolist() == exact.tolist()


def test_same_bits_on_any_number_of_threads():
    a, b = array(260, 700, dtype="float32"), array(700, 250, dtype="float32")
    batch = array(12, 50, 60, dtype="float32")
    results = []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        x = torch.from_numpy(a).mm(torch.from_numpy(b)).numpy()
        y = torch.from_numpy(batch).bmm(torch.from_numpy(batch).transpose(1, 2)).numpy()
        results.append((x, y))
    for x, y in results[1:]:
        np.testing.assert_array_equal(x, results[0][0])
        np.testing.assert_array_equal(y, results[0][1])


MATMUL = [
    ((5,), (5,)), ((3, 4), (4,)), ((4,), (4, 3)), ((2, 3, 4), (4,)), ((2, 3, 4), (4, 5)),
    ((4,), (2, 4, 5)), ((2, 3, 4), (2, 4, 5)), ((2, 1, 3, 4), (5, 4, 6)), ((3, 4), (2, 4, 5)),
    ((7, 2, 3, 1, 4), (2, 1, 4, 5)), ((0, 3, 4), (4, 5)), ((2, 3, 0), (0, 5)), ((1, 4), (4, 1)),
]  # fmt: skip


@pytest.mark.parametrize("a, b", MATMUL)
def test_matmul_broadcasts(a, b):
    a, b = array(*a), array(*b)
    close(torch.matmul(torch.from_numpy(a), torch.from_numpy(b)), np.asarray(a @ b))


def test_matmul_of_transposed_heads():
    a, b = array(2, 7, 3, 4), array(2, 5, 3, 4)
    out = torch.from_numpy(a).transpose(1, 2) @ torch.from_numpy(b).permute(0, 2, 3, 1)
    close(out, np.einsum("bihd,bjhd->bhij", a, b))


@pytest.mark.parametrize("beta, alpha", [(1, 1), (2, 3), (0, 1), (1, 0.5)])
def test_products_added(beta, alpha):
    t = torch.from_numpy
    factors = {"beta": beta, "alpha": alpha}
    a, b, x, y = array(3, 4), array(4, 5), array(2, 3, 4), array(2, 4, 5)
    for shape in ((5,), (3, 5), (3, 1), (1, 5), ()):
        i = array(*shape)
        close(torch.addmm(t(i), t(a), t(b), **factors), beta * i + alpha * (a @ b))
        close(torch.baddbmm(t(i), t(x), t(y), **factors), beta * i + alpha * (x @ y))
        close(torch.addbmm(t(i), t(x), t(y), **factors), beta * i + alpha * (x @ y).sum(0))
    i, v = array(3), array(4)
    close(torch.addmv(t(i), t(a), t(v), **factors), beta * i + alpha * (a @ v))
    i, u, v = array(3, 4), array(3), array(4)
    close(torch.addr(t(i), t(u), t(v), **factors), beta * i + alpha * np.outer(u, v))


def test_addmm_with_beta_zero_does_not_read_its_input():
    nan = torch.full((2, 2), float("nan"))
    assert torch.addmm(nan, torch.ones(2, 3), torch.ones(3, 2), beta=0).tolist() == [[3.0] * 2] * 2


def test_vectors():
    t = torch.from_numpy
    a, b, m = array(7), array(7), array(5, 7)
    close(torch.dot(t(a), t(b)), np.asarray(a @ b))
    close(torch.mv(t(m), t(a)), m @ a)
    close(torch.mv(t(m), t(array(14)[::2] * 0 + 1)), m.sum(1))
    close(torch.outer(t(a), t(b)), np.outer(a, b))
    close(torch.inner(t(m), t(array(3, 7) * 0 + 1)), np.repeat(m.sum(1)[:, None], 3, 1))
    z, w = array(4, dtype="complex128"), array(4, dtype="complex128")
    close(torch.vdot(t(z), t(w)), np.asarray(np.vdot(z, w)))


@pytest.mark.parametrize("shape", [(4,), (3, 4), (2, 3, 4), (0, 4)])
def test_linear(shape):
    x, w, b = array(*shape), array(5, 4), array(5)
    linear = torch.nn.functional.linear
    t = torch.from_numpy
    close(linear(t(x), t(w), t(b)), x @ w.T + b)
    close(linear(t(x), t(w)), x @ w.T)
    close(linear(t(x), t(w[0])), np.asarray(x @ w[0]))


EINSUM = [
    ("ij,jk->ik", (2, 3), (3, 4)), ("ij,jk", (2, 3), (3, 4)), ("ii", (3, 3)), ("ii->i", (3, 3)),
    ("...ii->...i", (2, 3, 3)), ("i,j", (3,), (4,)), ("ij->ji", (2, 3)),
    ("b...d,b...d->b...", (2, 3, 4, 5), (2, 3, 4, 5)), ("ij,ij->", (2, 3), (2, 3)),
    ("bhqd,bhkd->bhqk", (2, 3, 4, 5), (2, 3, 6, 5)), ("ij,ij,ij->i", (2, 3), (2, 3), (2, 3)),
    ("ab,bc,cd,de", (2, 3), (3, 4), (4, 5), (5, 6)), ("...ij,...jk", (1, 3, 2, 3), (4, 1, 3, 5)),
    ("ij,kl->", (2, 3), (4, 5)), ("bn,anm,bm->ba", (2, 5), (3, 5, 4), (2, 4)),
]  # fmt: skip


@pytest.mark.parametrize("equation, shapes", [(e, s) for e, *s in EINSUM])
def test_einsum(equation, shapes):
    arrays = [array(*s) for s in shapes]
    result = torch.einsum(equation, *map(torch.from_numpy, arrays))
    close(result, np.asarray(np.einsum(equation, *arrays)))


def test_einsum_errors():
    for equation in ("ij,jk,kl", "i", "ij->k", "i1", "ij->ii"):
        with pytest.raises(RuntimeError, match="einsum"):
            torch.einsum(equation, torch.ones(2, 3))


def test_tensordot_kron_and_chains():
    t = torch.from_numpy
    a, b = array(3, 4, 5), array(4, 3, 2)
    dims = ([1, 0], [0, 1])
    close(torch.tensordot(t(a), t(b), dims), np.tensordot(a, b, dims))
    close(torch.kron(t(a), t(b)), np.kron(a, b))
    chain = [array(2, 9), array(9, 4), array(4, 7), array(7)]
    close(torch.linalg.multi_dot([t(x) for x in chain]), np.linalg.multi_dot(chain))


def differences(f, x, g, step=1e-6):
    """The gradient of sum(f(x) * g) by central differences."""
    out = np.zeros_like(x)
    for i in np.ndindex(*x.shape):
        for sign in (1, -1):
            moved = x.copy()
            moved[i] += sign * step
            out[i] += sign * (f(torch.from_numpy(moved)).detach().numpy() * g).sum() / (2 * step)
    return out


GRADIENTS = {
    "mm": (lambda a, b: a.mm(b), (3, 4), (4, 2)),
    "mm of a transposed": (lambda a, b: a.mm(b.t()), (3, 4), (2, 4)),
    "bmm": (lambda a, b: a.bmm(b), (2, 3, 4), (2, 4, 2)),
    "matmul": (lambda a, b: a @ b, (2, 1, 3, 4), (3, 4, 2)),
    "mv": (lambda a, b: a.mv(b), (3, 4), (4,)),
    "dot": (lambda a, b: a.dot(b), (4,), (4,)),
    "linear": (torch.nn.functional.linear, (2, 3, 4), (5, 4), (5,)),
    "addmm": (lambda a, b, c: torch.addmm(a, b, c, beta=2, alpha=3), (4,), (2, 3), (3, 4)),
    "baddbmm": (lambda a, b, c: torch.baddbmm(a, b, c, alpha=3), (2, 1), (2, 2, 3), (2, 3, 4)),
    "einsum": (lambda a, b: torch.einsum("ij,kj->ik", a, b), (2, 3), (4, 3)),
}


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients(name):
    f, *shapes = GRADIENTS[name]
    arrays = [array(*s) for s in shapes]
    inputs = [torch.from_numpy(a.copy()).requires_grad_() for a in arrays]
    out = f(*inputs)
    g = array(*out.shape)
    grads = torch.autograd.grad(out, inputs, torch.from_numpy(g), create_graph=True)
    for i, grad in enumerate(grads):

        def moved(x, i=i):
            return f(*[x if j == i else t.detach() for j, t in enumerate(inputs)])

        np.testing.assert_allclose(
            grad.detach().numpy(), differences(moved, arrays[i], g), rtol=1e-5, atol=1e-6
        )
    assert torch.autograd.gradgradcheck(f, inputs)


def test_the_gradient_of_a_transposed_weight_is_laid_out_like_it():
    w = torch.ones(5, 4, requires_grad=True)
    (torch.ones(3, 4) @ w.t()).backward(torch.ones(3, 5))
    assert w.grad.is_contiguous()


def test_errors_name_the_shapes():
    ones = torch.ones
    with pytest.raises(RuntimeError, match="2x3 and 2x3"):
        torch.mm(ones(2, 3), ones(2, 3))
    with pytest.raises(RuntimeError, match="matrix"):
        torch.mm(ones(2), ones(2, 3))
    with pytest.raises(RuntimeError, match="same dtype"):
        torch.mm(ones(2, 3), ones(3, 2, dtype=torch.float64))
    with pytest.raises(RuntimeError, match="3D"):
        torch.bmm(ones(2, 3), ones(2, 3))
    with pytest.raises(RuntimeError, match=r"\[2, 4\] but got: \[3, 4\]"):
        torch.bmm(ones(2, 3, 4), ones(3, 4, 2))
    with pytest.raises(RuntimeError, match="at least 1D"):
        torch.matmul(ones(()), ones(2))
    with pytest.raises(RuntimeError, match="2x3 and 2x4"):
        torch.nn.functional.linear(ones(2, 3), ones(4, 2))
    with pytest.raises(RuntimeError, match="expanded size"):
        torch.addmm(ones(3, 3), ones(2, 3), ones(3, 2))


def test_meta_tensors_have_shapes():
    a = torch.empty(3, 4, device="meta")
    assert a.mm(torch.empty(4, 5, device="meta")).shape == (3, 5)
    assert (torch.empty(2, 3, 4, device="meta") @ torch.empty(4, device="meta")).shape == (2, 3)


@pytest.mark.parametrize("m, n, k", [(3, 1, 3), (1, 3, 3), (1, 1, 5), (8, 1, 8), (4, 1, 16)])
def test_columns_of_few_numbers(m, n, k):
    torch.manual_seed(0)
    a, b, c = torch.randn(5, m, k), torch.randn(5, k, n), torch.randn(5, m, n)
    wanted = (a.double()[..., None] * b.double()[:, None]).sum(2)
    assert torch.allclose((a @ b).double(), wanted, 1e-5, 1e-6)
    turned = (b.mT.contiguous().mT, a.mT.contiguous().mT)
    assert torch.allclose((turned[1] @ turned[0]).double(), wanted, 1e-5, 1e-6)
    found = torch.baddbmm(c, a, b, beta=0.5, alpha=2)
    assert torch.allclose(found.double(), 0.5 * c.double() + 2 * wanted, 1e-5, 1e-6)
    nothing = torch.full_like(c, float("nan"))
    assert torch.equal(torch.baddbmm(nothing, a, b, beta=0), a @ b)


def test_einsum_of_one_equation_and_many_shapes():
    torch.manual_seed(0)
    for b, i, j, k in ((2, 3, 4, 5), (1, 3, 1, 5), (2, 1, 4, 1), (2, 3, 0, 5), (2, 3, 4, 5)):
        x, y = torch.randn(b, i, j).double(), torch.randn(b, k, j).double()
        wanted = (x[:, :, None] * y[:, None]).sum(-1)
        for order in ("bik", "kbi", "ikb"):
            found = torch.einsum(f"bij,bkj->{order}", x, y)
            moved = wanted.permute(["bik".index(c) for c in order])
            assert found.shape == moved.shape and torch.allclose(found, moved)
    wide = torch.einsum("bij,bkj->bik", torch.ones(2, 3, 4), torch.ones(1, 5, 4))
    assert torch.equal(wide, torch.full((2, 3, 5), 4.0))
    for _ in range(2):
        with pytest.raises(RuntimeError, match="size"):
            torch.einsum("ij,jk->ik", torch.ones(2, 3), torch.ones(4, 5))
        with pytest.raises(RuntimeError, match="number of subscripts"):
            torch.einsum("ij,jk->ik", torch.ones(2), torch.ones(4, 5))


def test_outer_products_of_integers_take_integers():
    x, v = torch.ones(2, 2, dtype=torch.int64), torch.ones(2, dtype=torch.int64)
    assert torch.addr(x, v, v, beta=2, alpha=3).tolist() == [[5, 5], [5, 5]]
    with pytest.raises(RuntimeError, match="alpha must not be a floating point number"):
        torch.addr(x, v, v, alpha=0.5)
