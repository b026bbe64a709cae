"""vmap: rules against loops, its arguments, random numbers, errors."""

import pytest

import flambeau as torch
from flambeau import vmap

F = torch.nn.functional


def randn(*shape):
    return torch.randn(shape, dtype=torch.float64)


I2, M = torch.tensor([[1, 0], [2, 1]]), torch.tensor([True, False, True])
CASES = {
    "add": (lambda a, b: a + b, (2, 3), (3,)),
    "numbers": (lambda a, b: a * 2 + b, (), (4,)),
    "sum": (lambda a: a.sum(0) + a.sum() + a.sum((0, 1), keepdim=True), (3, 4)),
    "mean of a number": (lambda a: a.mean() + a.max(), ()),
    "var": (lambda a: a.var(-1), (3, 4)),
    "argmax": (lambda a: a.argmax() + a.argmax(0), (3, 4)),
    "max": (lambda a: a.max(1).values + a.max(), (3, 4)),
    "prod": (lambda a: a.prod() + a.prod(0), (3, 4)),
    "softmax": (lambda a: a.softmax(0).log_softmax(-1), (3, 4)),
    "sort": (lambda a: a.sort(0).values + a.topk(2, 1).indices.sum(), (3, 4)),
    "cumsum": (lambda a: a.cumsum(0).cumprod(1), (3, 4)),
    "median": (lambda a: a.median() + a.median(0).values, (3, 4)),
    "views": (lambda a: a.t().reshape(2, -1).unsqueeze(1).squeeze(1).flip(0).roll(1), (3, 4)),
    "expand": (lambda a: a.expand(2, 3, 4).permute(2, 0, 1).flatten(), (3, 4)),
    "select": (lambda a: a[1, ::2] + a[..., -1].sum(), (3, 4)),
    "diagonal": (lambda a: a.diagonal() + a.tril().triu()[:3, 0].diag_embed().sum(), (3, 4)),
    "split": (lambda a: torch.cat(a.split(2, 1), 0) + a.unbind(0)[0].sum(), (3, 4)),
    "cat": (lambda a, b: torch.cat([a, b], -1), (3, 4), (3, 2)),
    "stack": (lambda a, b: torch.stack([a, b], 1), (3, 4), (3, 4)),
    "unfold": (lambda a: a.unfold(1, 2, 1).sum(-1), (3, 4)),
    "repeat": (lambda a: a.repeat(2, 1, 2), (3, 4)),
    "mm": (lambda a, b: a @ b, (3, 4), (4, 2)),
    "mv": (lambda a, b: a @ b, (3, 4), (4,)),
    "dot": (lambda a, b: a @ b + torch.dot(a, b), (4,), (4,)),
    "bmm": (lambda a, b: torch.bmm(a, b), (2, 3, 4), (2, 4, 2)),
    "matmul": (lambda a, b: torch.matmul(a, b), (2, 3, 4), (4, 2)),
    "addmm": (lambda a, b, c: torch.addmm(a, b, c, beta=2, alpha=3), (2,), (3, 4), (4, 2)),
    "einsum": (lambda a, b: torch.einsum("ij,jk->ki", a, b), (3, 4), (4, 2)),
    "linear": (lambda a, w, b: F.linear(a, w, b), (3, 4), (2, 4), (2,)),
    "conv": (
        lambda x, w, b: F.conv2d(x, w, b, padding=1, groups=2),
        (2, 2, 4, 4),
        (4, 1, 3, 3),
        (4,),
    ),
    "conv_transpose": (lambda x, w: F.conv_transpose1d(x, w), (2, 3, 4), (3, 2, 3)),
    "pool": (lambda x: F.max_pool2d(x, 2) + F.avg_pool2d(x, 2), (2, 2, 4, 4)),
    "layer_norm": (lambda x, w, b: F.layer_norm(x, (4,), w, b), (3, 4), (4,), (4,)),
    "batch_norm": (lambda x: F.batch_norm(x, None, None, training=True), (3, 4)),
    "group_norm": (lambda x: F.group_norm(x, 2), (2, 4, 3)),
    "pad": (lambda x: F.pad(x, (1, 2), value=3.0), (3, 4)),
    "attention": (lambda q: F.scaled_dot_product_attention(q, q, q), (2, 3, 4)),
    "index": (lambda a: a[:, I2] + a[I2, I2].sum(), (3, 4)),
    "index of numbers": (lambda a: a[torch.tensor(1)], (3, 4)),
    "gather": (lambda a: a.gather(0, I2) + a.index_select(1, I2[0]).sum(), (3, 4)),
    "scatter": (lambda a, b: a.scatter_add(0, I2, b), (3, 4), (2, 2)),
    "index_add": (lambda a, b: a.index_add(0, I2[1], b, alpha=2), (3, 4), (2, 4)),
    "masked_fill": (lambda a: a.masked_fill(M[:, None], 2.0), (3, 4)),
    "masked_select": (lambda a: a.masked_select(M[:, None]), (3, 4)),
    "embedding": (lambda w: F.embedding(I2, w), (3, 4)),
    "where": (lambda a, b: torch.where(a > 0, a, b), (3, 1), (4,)),
    "in place": (lambda a, b: a.clone().mul_(b).add_(1), (3, 4), (4,)),
    "assignment": (lambda a, b: set_parts(a, b), (3, 4), (4,)),
    "complex": (lambda a: torch.view_as_real(torch.complex(a, a).exp()), (3, 4)),
    "norm": (lambda a: a.norm() + torch.linalg.vector_norm(a, dim=0), (3, 4)),
}


def set_parts(a, b):
    out = torch.zeros_like(a)
    out[1] = b
    out[:, 0] += 1
    out.view(-1)[3] = b[0]
    return out


@pytest.mark.parametrize("name", CASES)
def test_rules(name):
    torch.manual_seed(1)
    f, *shapes = CASES[name]
    n = len(shapes)
    every = [[True] * n] + [[i == k for i in range(n)] for k in range(n)] * (n > 1)
    for on in every:
        if name in ("assignment", "in place") and not on[0]:
            continue
        where = [(len(s) if i % 2 else 0) if b else None for i, (s, b) in
                 enumerate(zip(shapes, on))]  # fmt: skip
        whole = [randn(2, *s) if b else randn(*s) for s, b in zip(shapes, on)]
        want = torch.stack(
            [f(*(t[k] if b else t for t, b in zip(whole, on))) for k in range(2)], -1
        )
        args = [t if d is None else t.movedim(0, d) for t, d in zip(whole, where)]
        got = vmap(f, in_dims=tuple(where), out_dims=-1)(*args)
        assert got.shape == want.shape and torch.allclose(got, want, atol=1e-10), on


def test_batched_indices():
    a, i = randn(4, 3), torch.tensor([0, 2, 1, 2])
    assert vmap(lambda a, i: a[i])(a, i).equal(a[torch.arange(4), i])
    assert vmap(lambda i: a[0][i])(i).equal(a[0][i])
    assert vmap(lambda a, i: a.index_select(0, i[None])[0])(a, i).equal(a[torch.arange(4), i])
    out = vmap(lambda a, i: a.index_put((i,), torch.tensor(7.0, dtype=a.dtype)))(a, i)
    assert (out[torch.arange(4), i] == 7).all() and (out == 7).sum() == 4
    m = a > 0
    assert vmap(lambda a, m: a.masked_fill(m, 0))(a, m).equal(a.masked_fill(m, 0))
    w = randn(4, 5, 2)
    assert vmap(F.embedding)(i[:, None], w)[:, 0].equal(w[torch.arange(4), i])


def test_nested():
    a, b = randn(2), randn(3)
    table = vmap(vmap(lambda x, y: x * y, (None, 0)), (0, None))(a, b)
    assert torch.allclose(table, torch.outer(a, b))
    x = randn(2, 3, 4)
    assert torch.allclose(vmap(vmap(torch.sum), in_dims=1)(x), x.sum(2).t())
    assert vmap(vmap(lambda x: x, out_dims=0), in_dims=2, out_dims=1)(x).shape == (2, 4, 3)


def test_trees():
    f = lambda d, k: {"s": d["a"] + d["b"][0] * k, "c": (d["a"],)}  # noqa: E731
    d = {"a": randn(2, 3), "b": [randn(3, 2)]}
    out = vmap(f, in_dims=({"a": 0, "b": [1]}, None), out_dims={"s": 1, "c": (0,)})(d, 2.0)
    assert torch.allclose(out["s"], (d["a"] + d["b"][0].t() * 2).t())
    assert out["c"][0].equal(d["a"])
    assert vmap(lambda x, *, k: x * k)(randn(2, 3), k=randn(2)).shape == (2, 3)


def test_chunks():
    x = randn(7, 3)
    for n in (1, 3, 7, 100):
        assert torch.allclose(vmap(torch.sin, chunk_size=n)(x), x.sin())


def test_constant_results():
    assert vmap(lambda x: torch.ones(2))(randn(3)).equal(torch.ones(3, 2))
    assert vmap(lambda x: torch.tensor(5.0), out_dims=None)(randn(3)).item() == 5


def test_dtypes_of_numbers():
    i, x = torch.arange(3), torch.ones(3, dtype=torch.float64)
    y = torch.ones(2, dtype=torch.float32)
    assert vmap(lambda i: y + i)(i).dtype == torch.float32
    assert vmap(lambda x: y + x)(x).dtype == torch.float32
    assert vmap(lambda i: y[0] + x[0] * i)(i).dtype == torch.float64


def test_randomness():
    x = torch.zeros(3)
    with pytest.raises(RuntimeError, match="randomness error mode"):
        vmap(lambda x: x + torch.rand(()))(x)
    different = vmap(lambda x: x + torch.rand(2), randomness="different")(x)
    assert different.shape == (3, 2) and not different[0].equal(different[1])
    same = vmap(lambda x: x + torch.rand(2), randomness="same")(x)
    assert same[0].equal(same[1])
    for mode, equal in (("same", True), ("different", False)):
        out = vmap(lambda x: F.dropout(x, 0.5), randomness=mode)(torch.ones(2, 50))
        assert out[0].equal(out[1]) == equal
        out = vmap(lambda x: torch.randn_like(x), randomness=mode)(torch.ones(2, 50))
        assert out[0].equal(out[1]) == equal
    with pytest.raises(RuntimeError, match="randomness"):
        vmap(torch.sin, randomness="maybe")


def test_errors():
    x = randn(3, 2)
    with pytest.raises(RuntimeError, match=r"\.item\(\)"):
        vmap(lambda x: x.sum().item())(x)
    with pytest.raises(RuntimeError, match="data-dependent control flow"):
        vmap(lambda x: x if x.sum() > 0 else -x)(x)
    with pytest.raises(RuntimeError, match="nonzero"):
        vmap(torch.nonzero)(x)
    with pytest.raises(RuntimeError, match="inplace arithmetic"):
        vmap(lambda x: torch.zeros(2).add_(x))(x)
    with pytest.raises(ValueError, match="got no inputs"):
        vmap(torch.sin)()
    with pytest.raises(ValueError, match="at least one Tensor"):
        vmap(torch.sin, in_dims=None if False else (None,))(x)
    with pytest.raises(ValueError, match="same size"):
        vmap(torch.add)(x, randn(2, 2))
    with pytest.raises(ValueError, match="in_dim=2"):
        vmap(torch.sin, in_dims=2)(x)
    with pytest.raises(ValueError, match="not compatible"):
        vmap(torch.add, in_dims=(0, 0, 0))(x, x)
    with pytest.raises(ValueError, match="non-Tensor"):
        vmap(torch.add)(x, 1.0)
    with pytest.raises(ValueError, match="only return Tensors"):
        vmap(lambda x: 3)(x)
    with pytest.raises(ValueError, match="out_dims"):
        vmap(torch.sin, out_dims=(0, 0))(x)
    with pytest.raises(ValueError, match="chunk_size"):
        vmap(torch.sin, chunk_size=0)


def test_printing():
    seen = []
    vmap(lambda x: seen.append(repr(x)) or x)(torch.ones(2))
    assert seen[0].startswith("BatchedTensor(lvl=") and "tensor([1., 1.])" in seen[0]


def test_threads_have_their_own_levels():
    import threading

    out = {}

    def work(k):
        x = torch.full((3,), float(k))
        for _ in range(50):
            out[k] = vmap(lambda x: vmap(lambda y: x * y)(torch.ones(2)))(x)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert all(out[k].equal(torch.full((3, 2), float(k))) for k in range(4))


def test_under_an_outer_graph():
    w = randn(2, 3).requires_grad_()
    x = randn(4, 3)
    vmap(lambda x: (w @ x).sin())(x).sum().backward()
    want = torch.autograd.grad((x @ w.t()).sin().sum(), w)[0]
    assert torch.allclose(w.grad, want)


def test_an_example_kept_past_its_vmap_is_an_error():
    kept = []
    torch.vmap(lambda x: kept.append(x) or x * 2)(torch.arange(3.0))
    assert kept[0].shape == ()
    for use in (lambda: kept[0] + 1, lambda: kept[0].sum(), lambda: torch.stack(kept)):
        with pytest.raises(RuntimeError, match="escaped"):
            use()
    kept.clear()
    torch.vmap(torch.sin)(torch.arange(3.0))
    assert (torch.ones(2) + 1).tolist() == [2, 2]


def test_parts_of_vmap_can_be_replaced(monkeypatch):
    """Libraries put containers of their own through vmap in this way."""
    from flambeau._functorch import vmap as source

    class Pair(list):
        pass

    process, create = source._process_batched_inputs, source._create_batched_inputs
    monkeypatch.setattr(
        source, "_process_batched_inputs", lambda d, args, f: process(d, tuple(args[0]), f)
    )
    monkeypatch.setattr(source, "_create_batched_inputs", lambda *parts: (Pair(create(*parts)),))
    x = torch.arange(3.0)
    assert torch.vmap(lambda pair: pair[0] * pair[1])(Pair([x, x])).tolist() == [0, 1, 4]


def test_examples_tell_what_they_are():
    from flambeau._functorch import _native as native

    def look(x):
        assert native.is_batchedtensor(x) and native.is_functorch_wrapped_tensor(x)
        assert native.maybe_get_bdim(x) == 1 and native.maybe_get_level(x) > 0
        assert native.get_unwrapped(x).shape == (2, 3)
        return x.sum()

    assert torch.vmap(look, in_dims=1)(torch.ones(2, 3)).tolist() == [2, 2, 2]
    plain = torch.ones(2)
    assert not native.is_batchedtensor(plain) and native.get_unwrapped(plain) is plain
    assert native.maybe_get_bdim(plain) == native.maybe_get_level(plain) == -1


def test_batched_gradients_of_dropout():
    x = torch.randn(4, 50, requires_grad=True)
    y = torch.nn.functional.dropout(x, 0.3)
    grads = torch.randn(3, 4, 50)
    (batched,) = torch.autograd.grad(y, x, grads, is_grads_batched=True, retain_graph=True)
    each = [torch.autograd.grad(y, x, g, retain_graph=True)[0] for g in grads]
    assert torch.equal(batched, torch.stack(each))
