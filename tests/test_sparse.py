# Sparse tensors: parts and layouts, arithmetic against dense tensors, gradients, optimizers, files.
import copy
import io
import pickle

import pytest

import flambeau as torch

AT = [[0, 1, 1, 0], [2, 0, 2, 2]]


def sample(dtype=torch.float64, **options):
    values = torch.tensor([3.0, 4.0, 5.0, 1.0], dtype=dtype)
    return torch.sparse_coo_tensor(AT, values, (2, 4), **options)


DENSE = torch.tensor([[0.0, 0.0, 4.0, 0.0], [4.0, 0.0, 5.0, 0.0]], dtype=torch.float64)


def same(x, dense):
    assert torch.allclose(x.to_dense(), dense)


def test_parts():
    x = sample()
    assert isinstance(x, torch.Tensor) and x.is_sparse and x.layout == torch.sparse_coo
    assert (x.sparse_dim(), x.dense_dim(), x._nnz(), tuple(x.shape)) == (2, 0, 4, (2, 4))
    assert not x.is_coalesced()
    with pytest.raises(RuntimeError, match="uncoalesced"):
        x.indices()
    y = x.coalesce()
    assert y.is_coalesced() and y.coalesce() is y
    assert y.indices().tolist() == [[0, 1, 1], [2, 0, 2]]
    assert y.values().tolist() == [4, 4, 5]
    same(x, DENSE)


def test_positions_are_checked():
    for at, size in (([[0], [4]], (2, 4)), ([[-1], [0]], (2, 4))):
        with pytest.raises(RuntimeError, match="index"):
            torch.sparse_coo_tensor(at, [1.0], size)
    with pytest.raises(RuntimeError, match="nnz"):
        torch.sparse_coo_tensor([[0], [0]], [1.0, 2.0], (2, 4))
    with pytest.raises(RuntimeError):
        torch.sparse_csr_tensor([0, 2, 1], [0, 1], [1.0, 2.0], (2, 2))
    with pytest.raises(RuntimeError):
        torch.sparse_csr_tensor([0, 1, 2], [0, 7], [1.0, 2.0], (2, 2))


@pytest.mark.parametrize("layout", [torch.sparse_coo, torch.sparse_csr, torch.sparse_csc])
def test_layouts(layout):
    x = sample().to_sparse(layout=layout)
    assert x.layout == layout
    same(x, DENSE)
    same(DENSE.to_sparse(layout=layout), DENSE)
    same(x.t(), DENSE.t())
    same(x @ torch.ones(4, 3, dtype=torch.float64), DENSE @ torch.ones(4, 3, dtype=torch.float64))
    for other in (torch.sparse_coo, torch.sparse_csr, torch.sparse_csc):
        same(x.to_sparse(layout=other), DENSE)
    same(copy.deepcopy(x), DENSE)
    same(pickle.loads(pickle.dumps(x)), DENSE)
    file = io.BytesIO()
    torch.save(x, file)
    file.seek(0)
    loaded = torch.load(file)
    assert loaded.layout == layout
    same(loaded, DENSE)


def test_dense_dimensions():
    x = torch.arange(12.0).reshape(2, 3, 2).to_sparse(1)
    assert (x.sparse_dim(), x.dense_dim(), x._nnz()) == (1, 2, 2)
    same(x, torch.arange(12.0).reshape(2, 3, 2))


def test_arithmetic():
    x, ones = sample(), torch.ones(2, 4, dtype=torch.float64)
    same(x + x, 2 * DENSE)
    assert torch.equal(ones + x, 1 + DENSE)
    same(x * 3, 3 * DENSE)
    same(x * (2 * ones), 2 * DENSE)
    same(x * x, DENSE * DENSE)
    same(x / 2, DENSE / 2)
    same(x.sqrt(), DENSE.sqrt())
    same(x - 2 * x, -DENSE)
    assert x.sum() == DENSE.sum()
    same(x.sum(0), DENSE.sum(0))
    same(torch.cat([x, x]), torch.cat([DENSE, DENSE]))
    same(x.index_select(1, torch.tensor([2, 2, 0])), DENSE[:, [2, 2, 0]])
    same(x[1], DENSE[1])
    same(x.float(), DENSE.float())
    y = sample()
    y *= 2
    y.add_(x)
    same(y, 3 * DENSE)
    for halved in y.div_(2), y.divide_(2), y.multiply_(0.5):
        same(halved, y.to_dense())
    same(y, 3 / 8 * DENSE)
    assert y.zero_()._nnz() == 0
    z = ones.clone()
    z.add_(x, alpha=2)
    assert torch.equal(z, 1 + 2 * DENSE)


def test_what_there_is_not():
    x = sample()
    for wrong in (lambda: torch.exp(x), lambda: x + 1, lambda: x == x, lambda: x.view(8)):
        with pytest.raises((NotImplementedError, RuntimeError)):
            wrong()
    with pytest.raises(TypeError):
        x.numpy()


def test_products():
    x, b = sample(), torch.arange(12.0, dtype=torch.float64).reshape(4, 3)
    want = DENSE @ b
    for got in (x @ b, torch.mm(x, b), torch.sparse.mm(x, b), torch.spmm(x, b), x.matmul(b)):
        assert torch.allclose(got, want)
    assert torch.allclose(x @ b[:, 0], want[:, 0])
    assert torch.allclose(b.t() @ x.t(), want.t())
    same(torch.sparse.mm(x, x.t()), DENSE @ DENSE.t())
    assert torch.allclose(torch.sparse.addmm(want, x, b, beta=2, alpha=3), 5 * want)
    assert torch.allclose(torch.sparse.mm(x.to_sparse_csr(), b, "mean")[1], want[1] / 2)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x @ torch.arange(8.0, dtype=torch.float64).reshape(4, 2),
        lambda x: torch.sparse.softmax(x, 1).to_dense(),
        lambda x: torch.sparse.log_softmax(x, 0).coalesce().values(),
        lambda x: torch.sparse.sum(x * 2, 0).to_dense(),
        lambda x: torch.sparse.mm(x, x.t()).to_dense(),
        lambda x: (x.to_sparse_csr() * 3).to_dense() ** 2,
        lambda x: x.coalesce().values().exp(),
    ],
)
def test_gradients_of_values(function):
    check = torch.sparse.as_sparse_gradcheck(torch.autograd.gradcheck)
    assert check(function, [sample().requires_grad_()])


def test_gradients_of_both_factors():
    x, b = sample().requires_grad_(), torch.ones(4, 3, dtype=torch.float64, requires_grad=True)
    torch.sparse.mm(x, b).sum().backward()
    assert x.grad.is_sparse
    same(x.grad.coalesce(), torch.tensor([[0.0, 0, 6, 0], [3, 0, 3, 0]], dtype=torch.float64))
    assert torch.equal(b.grad, DENSE.sum(0)[:, None].expand(4, 3))
    values = torch.ones(4, requires_grad=True)
    y = torch.sparse_coo_tensor(AT, values, (2, 4))
    assert y.requires_grad and not y.is_leaf
    y.to_dense().sum().backward()
    assert values.grad.tolist() == [1, 1, 1, 1]


def test_softmax_of_what_is_there():
    got = torch.sparse.softmax(sample(), 1).to_dense()
    assert got[0].tolist() == [0, 0, 1, 0]
    assert torch.allclose(got[1, [0, 2]], torch.tensor([4.0, 5.0], dtype=torch.float64).softmax(0))


# -- gradients of tables ---------------------------------------------------------------------------
def table():
    return torch.nn.Embedding(5, 2, sparse=True)


def test_embedding_gradients_are_sparse_and_gather():
    e = table()
    e(torch.tensor([1, 1, 3])).sum().backward()
    assert e.weight.grad.is_sparse and e.weight.grad._nnz() == 3
    e(torch.tensor([2])).sum().backward()
    assert e.weight.grad.to_dense()[:, 0].tolist() == [0, 2, 1, 1, 0]
    (e(torch.tensor([0])).sum() + e.weight.sum()).backward()
    assert e.weight.grad.layout == torch.strided
    assert e.weight.grad[:, 0].tolist() == [2, 3, 2, 2, 1]


def test_embedding_of_a_computed_table():
    w = torch.ones(5, 2, requires_grad=True)
    torch.nn.functional.embedding(torch.tensor([1, 2]), w * 3, sparse=True).sum().backward()
    assert w.grad[:, 0].tolist() == [0, 3, 3, 0, 0]


def test_padding_and_bags():
    e = torch.nn.Embedding(5, 2, sparse=True, padding_idx=1)
    e(torch.tensor([1, 3])).sum().backward()
    assert e.weight.grad._nnz() == 1
    for mode, want in (("sum", [1, 2, 0, 1, 0]), ("mean", [0.5, 1.5, 0, 0.5, 0])):
        bag = torch.nn.EmbeddingBag(5, 2, sparse=True, mode=mode)
        bag(torch.tensor([1, 0, 1, 3]), torch.tensor([0, 2])).sum().backward()
        grad = bag.weight.grad
        assert grad.is_sparse
        if mode == "sum":
            assert grad.to_dense()[:, 0].tolist() == want
        else:
            assert grad.to_dense()[:, 0].tolist() == [0.5, 1, 0, 0.5, 0]


@pytest.mark.parametrize(
    "make",
    [
        lambda p: torch.optim.SGD(p, 0.1),
        lambda p: torch.optim.SGD(p, 0.1, momentum=0.9),
        lambda p: torch.optim.Adagrad(p, 0.1),
    ],
)
def test_optimizers_step_as_with_dense_gradients(make):
    torch.manual_seed(0)
    a, b = table(), torch.nn.Embedding(5, 2)
    b.load_state_dict(a.state_dict())
    for e in (a, b):
        opt = make(e.parameters())
        for k in range(4):
            opt.zero_grad()
            (e(torch.tensor([k, k, 1])) ** 2).sum().backward()
            opt.step()
    assert torch.allclose(a.weight, b.weight, atol=1e-6)


def test_sparse_adam_moves_only_rows_of_the_gradient():
    e = table()
    before = e.weight.detach().clone()
    opt = torch.optim.SparseAdam(e.parameters(), lr=0.1)
    e(torch.tensor([2, 2])).sum().backward()
    opt.step()
    moved = before - e.weight.detach()
    assert torch.allclose(moved[2], torch.full((2,), 0.1)) and moved.abs().sum() < 0.21
    with pytest.raises(RuntimeError, match="SparseAdam"):
        torch.optim.Adam(e.parameters()).step()


def test_graph_network_learns():
    torch.manual_seed(0)
    n = 30
    at = torch.randint(0, n, (2, 120))
    a = torch.sparse_coo_tensor(at, torch.ones(120), (n, n)).coalesce()
    x = torch.randn(n, 4)
    target = (torch.sparse.mm(a, x)[:, 0] > 0).long()
    layer = torch.nn.Linear(4, 2)
    opt = torch.optim.Adam(layer.parameters(), 0.05)
    losses = []
    for _ in range(60):
        loss = torch.nn.functional.cross_entropy(a @ layer(x), target)
        opt.zero_grad()
        loss.backward()
        opt.step()
        losses.append(loss.item())
    assert losses[-1] < 0.4 * losses[0]


def test_printing():
    assert repr(sample(torch.float32)) == (
        "tensor(indices=tensor([[0, 1, 1, 0],\n"
        "                       [2, 0, 2, 2]]),\n"
        "       values=tensor([3., 4., 5., 1.]),\n"
        "       size=(2, 4), nnz=4, layout=torch.sparse_coo)"
    )


@pytest.mark.parametrize("width", [1, 3, 64, 70])
def test_products_by_rows(width):
    torch.manual_seed(width)
    a = torch.rand(9, 13, dtype=torch.float64)
    a[a < 0.6] = 0
    a[4] = 0
    x, b = a.to_sparse(), torch.rand(13, width, dtype=torch.float64)
    assert torch.allclose(x @ b, a @ b)
    assert torch.allclose(x.to_sparse_csr() @ b, a @ b)
    assert torch.allclose(x.float() @ b.float(), (a @ b).float(), atol=1e-5)
    left = torch.rand(9, width, dtype=torch.float64)
    got = torch.sparse.sampled_addmm(x.to_sparse_csr(), left, b.t(), beta=0.0)
    assert torch.allclose(got.to_dense(), (left @ b.t()) * (a != 0))


def test_second_gradients_of_products():
    x = DENSE.to_sparse()

    def product(values, b):
        return x._with_values(values) @ b

    values = x.values().clone().requires_grad_()
    b = torch.rand(4, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(product, [values, b])
    assert torch.autograd.gradgradcheck(product, [values, b])


def test_positions_changed_by_hand_are_not_followed_out_of_bounds():
    x = DENSE.to_sparse()
    x.indices()[1, 0] = 1000
    with pytest.raises(IndexError):
        x @ torch.ones(4, 2, dtype=torch.float64)


def test_older_constructors():
    x = torch.sparse.FloatTensor(torch.tensor(AT), torch.ones(4), torch.Size((2, 4)))
    assert isinstance(x, torch.sparse.FloatTensor) and not isinstance(x, torch.sparse.LongTensor)
    assert torch.sparse.DoubleTensor(2, 3).shape == (2, 3)
    with pytest.raises(TypeError):
        torch.sparse.LongTensor(torch.tensor(AT), torch.ones(4))


def test_in_modules_and_functions():
    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("a", sample(torch.float32))
            self.w = torch.nn.Parameter(torch.ones(4, 2))

        def forward(self):
            return Product.apply(self.a, self.w)

    class Product(torch.autograd.Function):
        @staticmethod
        def forward(ctx, a, w):
            ctx.save_for_backward(a)
            return a @ w

        @staticmethod
        def backward(ctx, grad):
            (a,) = ctx.saved_tensors
            return None, a.t() @ grad

    net = Net()
    net().sum().backward()
    assert torch.equal(net.w.grad[:, 0].double(), DENSE.sum(0))
    other = Net()
    other.load_state_dict(net.double().state_dict())
    same(other.a, DENSE.float())
    assert net.a.dtype == torch.float64


def test_dense_doors_are_closed():
    x = sample()
    for wrong in (
        lambda: memoryview(x),
        lambda: torch.tensor(x),
        lambda: torch.from_dlpack(x),
        lambda: x.set_(torch.ones(2)),
        lambda: x.as_subclass(torch.Tensor),
        lambda: torch.ones(2, 4)[x],
    ):
        with pytest.raises((RuntimeError, BufferError, TypeError)):
            wrong()
    x.data = 2 * sample()
    same(x, 2 * DENSE)


def test_products_spread_dimensions_of_size_one():
    dense = torch.arange(6.0).view(2, 3)
    x = dense.to_sparse()
    for other in (torch.tensor(2.0), torch.tensor([[1.0], [2.0]]), torch.tensor([0.0, 1.0, 2.0])):
        for product in (x * other, other * x, x * other.to_sparse(), other.to_sparse() * x):
            assert torch.equal(product.to_dense(), dense * other)
    wide = torch.ones(4, 2, 3)
    assert torch.equal((x * wide).to_dense(), dense * wide)


def test_indices_from_the_end_and_types_that_stay():
    dense = torch.arange(6, dtype=torch.int16).view(2, 3)
    x = dense.to_sparse()
    at = torch.tensor([-1, 0])
    assert torch.equal(x.index_select(1, at).to_dense(), dense.index_select(1, at + 3 * (at < 0)))
    assert x[1, 1] == 4 and x[1, 1].dtype == torch.int16
    with pytest.raises(IndexError):
        x.index_select(1, torch.tensor([-4]))


def test_no_sparse_dimensions_have_one_position():
    x = torch.sparse_coo_tensor(torch.empty(0, 3, dtype=torch.int64), torch.ones(3, 2), (2,))
    assert x.coalesce().values().tolist() == [[3, 3]] and x.to_dense().tolist() == [3, 3]


def test_rows_of_dense_tensors():
    values = torch.arange(6.0).view(3, 2).requires_grad_()
    x = torch.sparse_csr_tensor([0, 1, 3], [1, 0, 1], values)
    assert x.shape == (2, 2, 2) and x.dense_dim() == 1 and x.values().shape == (3, 2)
    assert x.to_dense().tolist() == [[[0, 0], [0, 1]], [[2, 3], [4, 5]]]
    (2 * x.to_dense()).sum().backward()
    assert values.grad.tolist() == [[2, 2]] * 3
    back = x.detach().to_dense().to_sparse_csr(dense_dim=1)
    assert torch.equal(back.crow_indices(), x.crow_indices())
    assert torch.equal(torch.cat([back.to_sparse_coo()] * 2).to_sparse_csr().values()[:3], values)
    with pytest.raises(RuntimeError):
        torch.sparse_csr_tensor([0, 1, 3], [1, 0, 1], values, (2, 2, 3))


def test_masks_and_pieces():
    s = torch.sparse_coo_tensor([[0, 1], [1, 0]], [3.0, 4.0], (2, 2))
    x = torch.arange(4.0).view(2, 2)
    assert x.sparse_mask(s).to_dense().tolist() == [[0, 1], [2, 0]]
    assert x.sparse_mask(s.to_sparse_csr()).layout == torch.sparse_csr
    assert torch.narrow_copy(s, 0, 1, 1).to_dense().tolist() == [[4, 0]]
    with pytest.raises(RuntimeError, match="Invalid range to narrow"):
        torch.narrow_copy(s, 0, 1, 2)
    csr = torch.tensor([[0.0, 1], [2, 3]]).to_sparse_csr()
    assert torch.sparse.mm(csr, x, "max").tolist() == [[2, 3], [6, 9]]


# -- blocks, batches, tensors made empty -----------------------------------------------------------
@pytest.mark.parametrize("layout", ["sparse_bsr", "sparse_bsc"])
@pytest.mark.parametrize("blocksize", [(2, 3), (1, 9), (4, 1)])
def test_blocks(layout, blocksize):
    x = torch.arange(36.0).reshape(4, 9)
    x = torch.where(x % 5 == 0, x, 0.0)
    layout = getattr(torch, layout)
    y = x.to_sparse(layout=layout, blocksize=blocksize)
    assert y.layout == layout and y.values().shape[1:] == blocksize
    assert torch.equal(y.to_dense(), x) and torch.equal(y.t().to_dense(), x.t())
    assert torch.equal((y * 2 + y).to_dense(), x * 3)
    assert torch.equal(y @ torch.ones(9, 2), x @ torch.ones(9, 2))
    assert torch.equal(y.to_sparse().to_dense(), x) and y.to_sparse().is_coalesced()
    assert torch.equal(y.to_sparse_csr().to_dense(), x)
    assert (y.sparse_dim(), y.dense_dim()) == (2, 0)


def test_blocks_keep_the_gradients_of_their_zeros():
    x = torch.eye(4, requires_grad=True)
    weights = torch.arange(16.0).reshape(4, 4)
    (x.to_sparse_bsr((2, 2)).to_dense() * weights).sum().backward()
    assert x.grad.tolist() == [[0, 1, 0, 0], [4, 5, 0, 0], [0, 0, 10, 11], [0, 0, 14, 15]]


def test_blocks_must_fit():
    with pytest.raises(RuntimeError, match="divisible"):
        torch.ones(4, 4).to_sparse_bsr((3, 2))
    with pytest.raises(RuntimeError, match="blocksize"):
        torch.ones(4, 4).to_sparse(layout=torch.sparse_bsr)
    with pytest.raises(RuntimeError, match="blocksize"):
        torch.ones(4, 4).to_sparse(layout=torch.sparse_csr, blocksize=(2, 2))
    with pytest.raises(RuntimeError):
        torch.sparse_bsr_tensor([0, 1], [0], torch.ones(1, 2, 2), (3, 3))


def test_batches_of_matrices():
    x = torch.arange(1.0, 25.0).reshape(2, 3, 4)
    y = x.to_sparse_csr()
    assert y.crow_indices().shape == (2, 4) and y._nnz() == 12 and y.dense_dim() == 0
    assert torch.equal(y.to_dense(), x) and torch.equal(y[1].to_dense(), x[1])
    assert y[1].layout == torch.sparse_csr
    assert torch.equal(y.transpose(1, 2).to_dense(), x.transpose(1, 2))
    assert torch.equal(y.to_sparse_csc().to_dense(), x)
    assert torch.equal(torch.bmm(y, torch.ones(2, 4, 1)), x.sum(2, keepdim=True))
    made = torch.sparse_csr_tensor([[0, 1, 2], [0, 0, 2]], [[0, 1], [0, 1]], torch.ones(2, 2))
    assert made.to_dense().tolist() == [[[1, 0], [0, 1]], [[0, 0], [1, 1]]]
    x[0, 0, 0] = 0
    with pytest.raises(RuntimeError, match="same number of specified elements per batch"):
        x.to_sparse_csr()


def test_made_by_layout():
    for layout in torch.sparse_coo, torch.sparse_csr, torch.sparse_csc:
        x = torch.zeros(2, 3, layout=layout, dtype=torch.float64)
        assert x.layout == layout and x.dtype == torch.float64 and x._nnz() == 0
        assert torch.equal(x.to_dense(), torch.zeros(2, 3, dtype=torch.float64))
    assert torch.empty((10**6, 10**6), layout=torch.sparse_coo).shape == (10**6, 10**6)
    like = torch.zeros_like(torch.ones(2, 2), layout=torch.sparse_coo)
    assert like.is_sparse and like.new_zeros(3, 1).shape == (3, 1)
    with pytest.raises(RuntimeError):
        torch.ones(2, layout=torch.sparse_coo)


def test_rows_kept_whole_and_matrices_turned_in_place():
    x = torch.tensor([[0.0, 2.0, 0.0], [0.0, 0.0, 0.0], [1.0, 0.0, 3.0]]).to_sparse()
    product = torch.hspmm(x, torch.ones(3, 2))
    assert product.sparse_dim() == 1 and product._indices().tolist() == [[0, 2]]
    total = torch.sspaddmm(x, x, torch.eye(3), beta=2.0)
    assert torch.equal(total.to_dense(), x.to_dense() * 3)
    dense = x.to_dense()
    assert torch.equal(x.t_().to_dense(), dense.t())
    assert torch.equal((x // 2).to_dense(), dense.t() // 2) and bool(x.any())
    assert torch.equal(torch.ones(3, 3).mul_(x), dense.t())
    assert torch.equal(x.narrow_copy(0, 1, 2).to_dense(), dense.t()[1:])
    assert torch.equal(torch.hstack((x, x)).to_dense(), torch.hstack((dense.t(), dense.t())))
    assert torch.equal(torch.ones(3, 3).sparse_mask(x).to_dense(), (dense.t() != 0).float())
    assert torch.equal(x.to_sparse_csr() + torch.ones(3, 3), dense.t() + 1)
