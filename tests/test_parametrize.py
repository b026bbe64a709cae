"""Parametrizations, weight and spectral norm, pruning, and the rest of nn.utils."""

import copy
import pickle
import warnings

import pytest

import flambeau as torch
from flambeau import nn
from flambeau.nn.utils import parametrizations, parametrize, prune


class Symmetric(nn.Module):
    def forward(self, x):
        return x.triu() + x.triu(1).mT

    def right_inverse(self, x):
        return x.triu()


class Double(nn.Module):
    def forward(self, x):
        return 2 * x

    def right_inverse(self, x):
        return x / 2


class Sum(nn.Module):
    def forward(self, a, b):
        return a + b

    def right_inverse(self, x):
        return x * 0.25, x * 0.75


def test_register_read_write_remove():
    torch.manual_seed(0)
    layer = nn.Linear(3, 3)
    original = layer.weight
    before = layer.weight.detach().clone()
    parametrize.register_parametrization(layer, "weight", Symmetric())
    assert type(layer).__name__ == "ParametrizedLinear" and isinstance(layer, nn.Linear)
    assert parametrize.type_before_parametrizations(layer) is nn.Linear
    assert parametrize.is_parametrized(layer) and parametrize.is_parametrized(layer, "weight")
    assert not parametrize.is_parametrized(layer, "bias")
    assert torch.equal(layer.weight, layer.weight.mT)
    assert layer.parametrizations.weight.original is original  # optimizers hold it
    assert list(layer.state_dict()) == ["bias", "parametrizations.weight.original"]
    layer(torch.ones(1, 3)).sum().backward()
    assert original.grad is not None and original.grad[1, 0] == 0
    parametrize.register_parametrization(layer, "weight", Double())
    assert torch.allclose(layer.weight, 2 * (before.triu() + before.triu(1).mT))
    value = torch.eye(3)
    layer.weight = value
    assert torch.equal(layer.weight, value)
    assert torch.equal(layer.parametrizations.weight.original, value / 2)
    parametrize.remove_parametrizations(layer, "weight")
    assert type(layer) is nn.Linear and isinstance(layer.weight, nn.Parameter)
    assert torch.equal(layer.weight, value) and layer.weight is original
    assert not hasattr(layer, "parametrizations")


def test_remove_and_leave_the_original():
    layer = nn.Linear(3, 3)
    parametrize.register_parametrization(layer, "weight", Double())
    half = layer.parametrizations.weight.original.detach().clone()
    parametrize.remove_parametrizations(layer, "weight", leave_parametrized=False)
    assert torch.equal(layer.weight, half)


def test_several_originals():
    layer = nn.Linear(2, 2)
    before = layer.weight.detach().clone()
    parametrize.register_parametrization(layer, "weight", Sum())
    assert torch.allclose(layer.weight, before)
    names = [name for name, _ in layer.named_parameters()]
    assert names[1:] == [f"parametrizations.weight.original{i}" for i in range(2)]
    with pytest.raises(ValueError):
        parametrize.remove_parametrizations(layer, "weight", leave_parametrized=False)
    parametrize.remove_parametrizations(layer, "weight")
    assert torch.allclose(layer.weight, before)


def test_copies_and_state():
    layer = nn.Linear(3, 3)
    parametrize.register_parametrization(layer, "weight", Symmetric())
    twin = copy.deepcopy(layer)
    twin.load_state_dict(layer.state_dict())
    x = torch.ones(2, 3)
    assert torch.equal(twin(x), layer(x))
    assert twin.parametrizations.weight.original is not layer.parametrizations.weight.original
    with pytest.raises(RuntimeError, match="state_dict"):
        pickle.dumps(layer)
    other = parametrize.transfer_parametrizations_and_params(layer, nn.Linear(3, 3))
    assert torch.equal(other.weight, layer.weight)


def test_cached():
    calls = []

    class Counted(nn.Module):
        def forward(self, x):
            calls.append(1)
            return x

    layer = nn.Linear(2, 2)
    parametrize.register_parametrization(layer, "weight", Counted(), unsafe=True)
    calls.clear()
    with parametrize.cached():
        assert layer.weight is layer.weight
    assert len(calls) == 1
    assert layer.weight is not None and len(calls) == 2


def test_what_is_refused():
    class Wrong(nn.Module):
        def forward(self, x):
            return x[0]

    class NoTensor(nn.Module):
        def forward(self, x):
            return 3

    for part in (Wrong(), NoTensor()):
        with pytest.raises(ValueError):
            parametrize.register_parametrization(nn.Linear(2, 2), "weight", part)
    with pytest.raises(ValueError):
        parametrize.register_parametrization(nn.Linear(2, 2), "nothing", Double())
    with pytest.raises(ValueError):
        parametrize.remove_parametrizations(nn.Linear(2, 2), "weight")
    layer = nn.Linear(2, 2)
    parametrize.register_parametrization(layer, "weight", Wrong(), unsafe=True)
    assert layer.weight.shape == (2,)


# -- parametrizations that come along --------------------------------------------------------------


@pytest.mark.parametrize("kind", ["matrix_exp", "cayley", "householder"])
@pytest.mark.parametrize("shape", [(4, 4), (6, 3), (3, 6)])
def test_orthogonal(kind, shape):
    torch.manual_seed(0)
    layer = parametrizations.orthogonal(nn.Linear(*shape), orthogonal_map=kind)

    def check():
        w = layer.weight
        gram = w @ w.mT if w.shape[0] < w.shape[1] else w.mT @ w
        assert torch.allclose(gram, torch.eye(len(gram)), atol=1e-5)

    check()
    opt = torch.optim.SGD(layer.parameters(), lr=0.1)
    for _ in range(3):
        opt.zero_grad()
        layer(torch.randn(5, shape[0])).pow(2).sum().backward()
        opt.step()
    check()
    q, _ = torch.linalg.qr(torch.randn(*layer.weight.shape))
    q = q if q.shape == layer.weight.shape else torch.linalg.qr(torch.randn(*shape))[0].mT
    layer.weight = q
    assert torch.allclose(layer.weight, q, atol=1e-5)
    with pytest.raises(ValueError):
        parametrizations.orthogonal(nn.Linear(2, 2), orthogonal_map="other")


@pytest.mark.parametrize("dim", [0, 1, None])
def test_weight_norm(dim):
    torch.manual_seed(0)
    layer = nn.Linear(3, 4)
    before = layer.weight.detach().clone()
    parametrizations.weight_norm(layer, dim=dim)
    assert torch.allclose(layer.weight, before, atol=1e-6)
    g = layer.parametrizations.weight.original0
    with torch.no_grad():
        g.mul_(3)
    assert torch.allclose(layer.weight, 3 * before, atol=1e-5)
    old = nn.Linear(3, 4)
    with pytest.warns(FutureWarning):
        nn.utils.weight_norm(old, dim=dim)
    old.load_state_dict(
        {
            "bias": layer.bias,
            "weight_g": g,
            "weight_v": layer.parametrizations.weight.original1,
        }
    )
    x = torch.ones(2, 3)
    assert torch.allclose(old(x), layer(x), atol=1e-6)
    layer.load_state_dict(old.state_dict())  # the older names are understood
    nn.utils.remove_weight_norm(old)
    assert [name for name, _ in old.named_parameters()] == ["bias", "weight"]
    assert torch.allclose(old.weight, 3 * before, atol=1e-5)
    with pytest.raises(ValueError):
        nn.utils.remove_weight_norm(old)


@pytest.mark.parametrize("older", [False, True])
def test_spectral_norm(older):
    torch.manual_seed(0)
    make = nn.utils.spectral_norm if older else parametrizations.spectral_norm
    for layer in (nn.Linear(6, 4), nn.Conv2d(2, 3, 3), nn.ConvTranspose2d(2, 3, 3)):
        make(layer)
        shape = (2, 6) if isinstance(layer, nn.Linear) else (1, 2, 5, 5)
        for _ in range(60):
            layer(torch.ones(shape))
        weight = layer.weight.detach()
        if isinstance(layer, nn.ConvTranspose2d):
            weight = weight.transpose(0, 1)
        matrix = weight.reshape(weight.shape[0], -1)
        assert abs(torch.linalg.matrix_norm(matrix, 2).item() - 1) < 1e-3
        layer.eval()
        assert torch.equal(layer(torch.ones(shape)), layer(torch.ones(shape)))
    if older:
        layer = nn.utils.remove_spectral_norm(make(nn.Linear(3, 3)))
        assert [name for name, _ in layer.named_parameters()] == ["bias", "weight"]
        with pytest.raises(ValueError):
            nn.utils.remove_spectral_norm(layer)
    with pytest.raises(ValueError):
        make(nn.Linear(2, 2), n_power_iterations=0)


# -- pruning ---------------------------------------------------------------------------------------


def test_l1_unstructured():
    layer = nn.Linear(3, 2)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.0, -2.0, 3.0], [-4.0, 5.0, -6.0]]))
    prune.l1_unstructured(layer, "weight", amount=2)
    assert layer.weight.tolist() == [[0.0, 0.0, 3.0], [-4.0, 5.0, -6.0]]
    assert list(layer.state_dict()) == ["bias", "weight_orig", "weight_mask"]
    assert prune.is_pruned(layer)
    prune.l1_unstructured(layer, "weight", amount=0.5)  # of the four that are left
    assert layer.weight.tolist() == [[0.0, 0.0, 0.0], [0.0, 5.0, -6.0]]
    layer(torch.ones(1, 3)).sum().backward()
    assert layer.weight_orig.grad.tolist() == [[0.0, 0.0, 0.0], [0.0, 1.0, 1.0]]
    prune.remove(layer, "weight")
    assert not prune.is_pruned(layer) and isinstance(layer.weight, nn.Parameter)
    assert layer.weight.tolist() == [[0.0, 0.0, 0.0], [0.0, 5.0, -6.0]]
    with pytest.raises(ValueError):
        prune.remove(layer, "weight")


def test_structured_random_and_custom():
    torch.manual_seed(0)
    layer = nn.Linear(3, 4)
    with torch.no_grad():
        layer.weight.copy_(torch.arange(12.0).reshape(4, 3) - 3)
    prune.ln_structured(layer, "weight", amount=0.5, n=2, dim=0)
    assert (layer.weight != 0).any(1).tolist() == [False, False, True, True]
    layer = prune.random_structured(nn.Linear(3, 4), "weight", amount=1, dim=1)
    assert (layer.weight != 0).any(0).sum() == 2
    layer = prune.random_unstructured(nn.Linear(3, 4), "weight", amount=0.25)
    assert (layer.weight == 0).sum() == 3
    layer = prune.custom_from_mask(nn.Linear(2, 1), "weight", torch.tensor([[1, 0]]))
    assert layer.weight[0, 1] == 0 and layer.weight[0, 0] != 0
    layer = prune.identity(nn.Linear(2, 1), "bias")
    assert layer.bias_mask.tolist() == [1.0]
    for amount, error in ((-1, ValueError), (1.5, ValueError), ("a", TypeError), (99, ValueError)):
        with pytest.raises(error):
            prune.l1_unstructured(nn.Linear(2, 2), "weight", amount)


def test_global_unstructured():
    a, b = nn.Linear(2, 1), nn.Linear(2, 1)
    with torch.no_grad():
        a.weight.copy_(torch.tensor([[1.0, 2.0]]))
        b.weight.copy_(torch.tensor([[30.0, 40.0]]))
    pairs = [(a, "weight"), (b, "weight")]
    prune.global_unstructured(pairs, pruning_method=prune.L1Unstructured, amount=0.5)
    assert a.weight.tolist() == [[0.0, 0.0]] and b.weight.tolist() == [[30.0, 40.0]]


# -- the rest --------------------------------------------------------------------------------------


def test_functional_call_under_its_older_name():
    layer = nn.Linear(2, 1, bias=False)
    with pytest.warns(FutureWarning):
        got = nn.utils.stateless.functional_call(
            layer, {"weight": torch.ones(1, 2)}, torch.ones(1, 2)
        )
    assert got.item() == 2.0


def test_older_initializers_warn():
    with pytest.warns(FutureWarning):
        assert nn.init.constant(torch.empty(2), 3.0).tolist() == [3.0, 3.0]
    with pytest.warns(FutureWarning):
        nn.init.xavier_uniform(torch.empty(2, 2))


def test_memory_format_of_weights():
    net = nn.Sequential(nn.Conv2d(2, 3, 3), nn.Linear(2, 2))
    nn.utils.convert_conv2d_weight_memory_format(net, torch.channels_last)
    assert net[0].weight.is_contiguous(memory_format=torch.channels_last)


def test_attention_backends_and_causal_bias():
    from flambeau.nn.attention import SDPBackend, sdpa_kernel
    from flambeau.nn.attention.bias import causal_lower_right, causal_upper_left

    q = torch.randn(1, 2, 3, 4)
    k = torch.randn(1, 2, 5, 4)
    sdpa = nn.functional.scaled_dot_product_attention
    with sdpa_kernel([SDPBackend.MATH, SDPBackend.FLASH_ATTENTION]):
        want = sdpa(q, k, k, is_causal=True)
    assert torch.allclose(sdpa(q, k, k, attn_mask=causal_upper_left(3, 5)), want)
    lower = sdpa(q, k, k, attn_mask=causal_lower_right(3, 5))
    mask = torch.ones(3, 5, dtype=torch.bool).tril(2)
    assert torch.allclose(lower, sdpa(q, k, k, attn_mask=mask))
    with pytest.raises(AssertionError):
        with sdpa_kernel("math"):
            pass


def test_sync_batch_norm_is_batch_norm_in_one_process():
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    x = torch.randn(2, 1, 5, 5)
    want = copy.deepcopy(net)(x)
    synced = nn.SyncBatchNorm.convert_sync_batchnorm(net)
    assert isinstance(synced[1], nn.SyncBatchNorm)
    assert torch.allclose(synced(x), want)


def test_older_layers():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert isinstance(nn.NLLLoss2d(), nn.NLLLoss)
        assert isinstance(nn.Container(a=nn.ReLU()).a, nn.ReLU)
    x = torch.rand(1, 4, 3, 3)
    assert torch.allclose(nn.CrossMapLRN2d(2)(x), nn.LocalResponseNorm(2)(x))
