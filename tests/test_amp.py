"""Autocast: which operators are cast, how regions nest, gradients through casts; GradScaler."""

import copy
import pickle
import warnings

import pytest

import flambeau as torch
from flambeau import nn
from flambeau.nn import functional as F

BF16, HALF, FLOAT = torch.bfloat16, torch.float16, torch.float32
ones = torch.ones


@pytest.mark.parametrize("dtype", [BF16, HALF])
@pytest.mark.parametrize(
    "call",
    [
        lambda: ones(2, 2) @ ones(2, 2),
        lambda: torch.mm(ones(2, 2), ones(2, 2)),
        lambda: ones(1, 2, 2).bmm(ones(1, 2, 2)),
        lambda: torch.addmm(ones(2), ones(2, 2), ones(2, 2)),
        lambda: F.linear(ones(2, 3), ones(2, 3), ones(2)),
        lambda: F.conv2d(ones(1, 1, 3, 3), ones(1, 1, 2, 2)),
        lambda: torch.einsum("ij,jk", ones(2, 2), ones(2, 2)),
        lambda: torch.linalg.matmul(ones(2, 2), ones(2, 2)),
        lambda: F.scaled_dot_product_attention(*[ones(1, 2, 2)] * 3),
    ],
)
def test_products_are_lowered(dtype, call):
    assert call().dtype == FLOAT
    with torch.autocast("cpu", dtype=dtype):
        assert call().dtype == dtype
    assert call().dtype == FLOAT


def test_losses_and_the_like_run_in_float32():
    low = ones(2, 3, dtype=BF16)
    with torch.autocast("cpu"):
        assert F.mse_loss(low, low).dtype == FLOAT
        assert F.cross_entropy(low, torch.tensor([0, 1])).dtype == FLOAT
        assert F.binary_cross_entropy_with_logits(low, low).dtype == FLOAT
        assert low.prod().dtype == FLOAT
        # what is on no list runs in the types that come
        assert low.sum().dtype == BF16
        assert F.softmax(low, -1).dtype == BF16
        assert F.layer_norm(low, (3,), ones(3), ones(3)).dtype == BF16
        assert ones(2).relu().dtype == FLOAT
    assert F.mse_loss(low, low).dtype == BF16


def test_cat_takes_the_widest():
    with torch.autocast("cpu"):
        assert torch.cat([ones(2), ones(2, dtype=BF16)]).dtype == FLOAT
        assert torch.stack([ones(2, dtype=BF16), ones(2, dtype=BF16)]).dtype == BF16


def test_double_integers_out_and_inplace_are_left_alone():
    with torch.autocast("cpu"):
        assert (ones(2, 2).double() @ ones(2, 2).double()).dtype == torch.float64
        assert torch.tensor([2, 3]).prod().dtype == torch.int64
        assert torch.mm(ones(2, 2), ones(2, 2), out=torch.empty(2, 2)).dtype == FLOAT
        assert ones(2, 2).addmm_(ones(2, 2), ones(2, 2)).dtype == FLOAT


def test_regions_nest():
    x = ones(2, 2)
    with torch.autocast("cpu"):
        assert torch.is_autocast_enabled("cpu")
        with torch.autocast("cpu", enabled=False):
            assert not torch.is_autocast_enabled("cpu")
            assert (x @ x).dtype == FLOAT
            with torch.autocast("cpu", dtype=HALF):
                assert torch.get_autocast_dtype("cpu") == HALF
                assert (x @ x).dtype == HALF
        assert (x @ x).dtype == BF16
    assert not torch.is_autocast_enabled("cpu")
    with pytest.raises(ZeroDivisionError), torch.autocast("cpu"):
        raise ZeroDivisionError
    assert not torch.is_autocast_enabled("cpu")


def test_decorator():
    @torch.autocast("cpu")
    def product(x):
        """doc"""
        return x @ x

    assert product(ones(2, 2)).dtype == BF16 and product.__doc__ == "doc"
    assert (ones(2, 2) @ ones(2, 2)).dtype == FLOAT


def test_gradients_come_in_the_types_of_the_parameters():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8), nn.ReLU(), nn.Linear(8, 2))
    x, y = torch.randn(5, 4), torch.tensor([0, 1, 0, 1, 1])
    with torch.autocast("cpu"):
        out = net(x)
        assert out.dtype == BF16
        loss = F.cross_entropy(out, y)
    loss.backward()
    got = [p.grad.clone() for p in net.parameters()]
    net.zero_grad()
    F.cross_entropy(net(x), y).backward()
    for g, p in zip(got, net.parameters()):
        assert g.dtype == FLOAT
        assert (g - p.grad).abs().max() < 0.05


def test_casts_of_weights_are_kept_within_a_region():
    w = ones(2, 2, requires_grad=True)
    x = ones(2, 2)
    with torch.autocast("cpu"):
        a, b = x @ w, x @ w
    first, second = (y.grad_fn.next_functions[1][0] for y in (a, b))
    assert first is second  # one cast serves both
    (a.sum() + b.sum()).backward()
    assert torch.equal(w.grad, torch.full((2, 2), 4.0))
    with torch.autocast("cpu"):
        c = x @ w
    assert c.grad_fn.next_functions[1][0] is not first
    with torch.autocast("cpu", cache_enabled=False):
        a, b = x @ w, x @ w
        assert not torch.is_autocast_cache_enabled()
    assert a.grad_fn.next_functions[1][0] is not b.grad_fn.next_functions[1][0]
    assert torch.is_autocast_cache_enabled()


def test_what_is_refused():
    with pytest.raises(ValueError):
        torch.autocast(torch.device("cpu"))
    with pytest.raises(RuntimeError):
        torch.autocast("toaster")
    with pytest.warns(UserWarning, match="not supported"):
        region = torch.autocast("cpu", dtype=torch.float64)
    with region:
        assert (ones(2, 2) @ ones(2, 2)).dtype == FLOAT
    with pytest.warns(UserWarning, match="not available"):
        torch.autocast("cuda")
    assert torch.amp.is_autocast_available("cpu")
    assert not torch.amp.is_autocast_available("toaster")


def test_custom_functions():
    seen = []

    class Product(torch.autograd.Function):
        @staticmethod
        @torch.amp.custom_fwd(device_type="cpu")
        def forward(ctx, a, b):
            ctx.save_for_backward(a, b)
            return a @ b

        @staticmethod
        @torch.amp.custom_bwd(device_type="cpu")
        def backward(ctx, grad):
            a, b = ctx.saved_tensors
            seen.append(torch.is_autocast_enabled("cpu"))
            return grad @ b.mT, a.mT @ grad

    class InFloat(torch.autograd.Function):
        @staticmethod
        @torch.amp.custom_fwd(device_type="cpu", cast_inputs=FLOAT)
        def forward(ctx, a):
            seen.append((a.dtype, torch.is_autocast_enabled("cpu")))
            return a * 1

        @staticmethod
        @torch.amp.custom_bwd(device_type="cpu")
        def backward(ctx, grad):
            seen.append(torch.is_autocast_enabled("cpu"))
            return grad

    a = ones(2, 2, requires_grad=True)
    with torch.autocast("cpu"):
        out = Product.apply(a, a)
    assert out.dtype == BF16
    out.sum().backward()
    assert seen == [True] and a.grad.dtype == FLOAT
    with torch.autocast("cpu"):
        out = InFloat.apply(ones(2, dtype=BF16).requires_grad_())
    out.sum().backward()
    assert seen[1:] == [(FLOAT, False), False]
    with pytest.raises(ValueError):
        torch.amp.custom_fwd(device_type=0)


def test_older_names():
    with torch.cpu.amp.autocast():
        assert (ones(2, 2) @ ones(2, 2)).dtype == BF16
        assert torch.is_autocast_cpu_enabled()
    assert torch.get_autocast_gpu_dtype() == HALF
    torch.set_autocast_cpu_dtype(HALF)
    assert torch.get_autocast_dtype("cpu") == HALF
    torch.set_autocast_cpu_dtype(BF16)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scaler = torch.cuda.amp.GradScaler()
        with torch.cuda.amp.autocast():
            assert (ones(2, 2) @ ones(2, 2)).dtype == FLOAT
    assert not scaler.is_enabled() and scaler.get_scale() == 1.0


# -- GradScaler ------------------------------------------------------------------------------------


def setup(**options):
    w = nn.Parameter(ones(2))
    options = {"init_scale": 8.0, "growth_interval": 2, **options}
    return w, torch.optim.SGD([w], lr=0.5), torch.amp.GradScaler("cpu", **options)


def test_steps_with_unscaled_gradients():
    w, opt, scaler = setup()
    loss = scaler.scale((w * w).sum())
    assert loss.item() == 16.0
    loss.backward()
    assert torch.equal(w.grad, torch.full((2,), 16.0))
    scaler.unscale_(opt)
    assert torch.equal(w.grad, torch.full((2,), 2.0))
    scaler.step(opt)
    scaler.update()
    assert torch.equal(w.detach(), torch.zeros(2))


def test_infinite_gradients_skip_the_step_and_lower_the_scale():
    w, opt, scaler = setup()
    for grad, scale, value in (
        (float("inf"), 4.0, 1.0), (float("nan"), 2.0, 1.0), (2.0, 2.0, 0.5), (2.0, 4.0, 0.0)
    ):  # fmt: skip
        w.grad = torch.full((2,), grad)
        scaler.scale(ones(1))
        scaler.step(opt)
        scaler.update()
        assert scaler.get_scale() == scale
        assert w[0].item() == value


def test_order_of_calls():
    w, opt, scaler = setup()
    with pytest.raises(AssertionError):
        scaler.step(opt)
    scaler.scale(ones(1))
    with pytest.raises(AssertionError, match="inf checks"):
        scaler.step(opt)
    scaler = setup()[2]
    w.grad = ones(2)
    scaler.scale(ones(1))
    scaler.unscale_(opt)
    with pytest.raises(RuntimeError, match="already been called"):
        scaler.unscale_(opt)
    with pytest.raises(RuntimeError, match="Closure"):
        scaler.step(opt, closure=lambda: None)
    with pytest.raises(AssertionError):
        pickle.dumps(scaler)
    scaler.step(opt)
    with pytest.raises(RuntimeError):
        scaler.step(opt)
    half = nn.Parameter(ones(2, dtype=HALF))
    half.grad = ones(2, dtype=HALF)
    scaler.update()
    with pytest.raises(ValueError, match="FP16"):
        scaler.unscale_(torch.optim.SGD([half], lr=1.0))


def test_state():
    w, opt, scaler = setup()
    w.grad = ones(2)
    outs = scaler.scale([ones(1), (ones(1),)])
    assert outs[0].item() == outs[1][0].item() == 8.0
    scaler.step(opt)
    scaler.update()
    state = scaler.state_dict()
    assert state == {
        "scale": 8.0, "growth_factor": 2.0, "backoff_factor": 0.5, "growth_interval": 2,
        "_growth_tracker": 1,
    }  # fmt: skip
    other = torch.amp.GradScaler("cpu")
    other.load_state_dict(state)
    assert other.state_dict() == state
    assert copy.deepcopy(scaler).state_dict() == pickle.loads(pickle.dumps(scaler)).state_dict()
    scaler.update(new_scale=32.0)
    assert scaler.get_scale() == 32.0
    off = torch.amp.GradScaler("cpu", enabled=False)
    assert off.state_dict() == {} and off.scale(3) == 3
    with pytest.raises(RuntimeError):
        other.load_state_dict({})


def test_padding_and_recurrent_layers_follow_the_lists():
    low = ones(1, 2, 5, dtype=BF16)
    with torch.autocast("cpu"):
        assert F.pad(low, (1, 1), mode="reflect").dtype == FLOAT
        assert F.pad(low, (1, 1), mode="replicate").dtype == FLOAT
        assert F.pad(low, (1, 1), mode="circular").dtype == BF16
        assert F.pad(low, (1, 1)).dtype == BF16
        assert F.bilinear(ones(3, 4), ones(3, 5), ones(2, 4, 5)).dtype == FLOAT
