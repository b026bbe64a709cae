"""Processes that exchange less than all gradients: PowerSGD, local steps with averaged models."""

import pytest

import flambeau as torch
import flambeau.distributed as dist
import flambeau.multiprocessing as mp
from flambeau import nn
from flambeau.distributed.algorithms.ddp_comm_hooks import post_localSGD_hook, powerSGD_hook
from flambeau.distributed.algorithms.model_averaging.averagers import PeriodicModelAverager
from flambeau.distributed.fsdp.wrap import enable_wrap, wrap
from flambeau.distributed.optim import PostLocalSGDOptimizer


def _process(rank, path, name):
    dist.init_process_group("gloo", init_method=f"file://{path}", rank=rank, world_size=2)
    globals()[name](rank)
    dist.barrier()
    dist.destroy_process_group()


def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(12, 10), nn.ReLU(), nn.Linear(10, 1))


def mean_gradients(x):
    """Of a copy, over both processes."""
    net = model()
    net(x).sum().backward()
    for p in net.parameters():
        dist.all_reduce(p.grad)
    return [p.grad / 2 for p in net.parameters()]


def power(rank):
    x = torch.randn(1, 12, generator=torch.Generator().manual_seed(5))  # gradients of rank one
    together = nn.parallel.DistributedDataParallel(model())
    state = powerSGD_hook.PowerSGDState(None, start_powerSGD_iter=2, min_compression_rate=1)
    together.register_comm_hook(state, powerSGD_hook.powerSGD_hook)
    for step in range(4):
        together.zero_grad()
        together((1 + rank) * x).sum().backward()
        for p, mean in zip(together.parameters(), mean_gradients((1 + rank) * x)):
            assert torch.allclose(p.grad, mean, atol=1e-5), step
    rate, before, after = state.compression_stats()
    assert before == 2 * (120 + 10 + 10 + 1) and after == 2 * (22 + 10 + 10 + 1)
    assert rate == before / after and state.iter == 4 and state.error_dict


def local_steps(rank):
    together = nn.parallel.DistributedDataParallel(model())
    me = [dist.new_group([r]) for r in range(2)][rank]
    state = post_localSGD_hook.PostLocalSGDState(None, me, start_localSGD_iter=1)
    together.register_comm_hook(state, post_localSGD_hook.post_localSGD_hook)
    optimizer = PostLocalSGDOptimizer(
        torch.optim.SGD(together.parameters(), lr=0.1), PeriodicModelAverager(2, warmup_steps=1)
    )
    x = torch.ones(1, 12) * (1 + rank)
    same = []
    for _ in range(4):
        optimizer.zero_grad()
        together(x).sum().backward()
        optimizer.step()
        both = [torch.empty(10, 12) for _ in range(2)]
        dist.all_gather(both, together.module[0].weight.detach())
        same.append(torch.allclose(*both))
    assert same == [True, True, False, True]
    kept = optimizer.state_dict()
    assert kept["step"] == 4
    optimizer.load_state_dict(kept)
    with pytest.warns(UserWarning, match="step counter"):
        optimizer.load_state_dict({k: v for k, v in kept.items() if k != "step"})
    assert optimizer.averager.step == 0


@pytest.mark.parametrize("name", ["power", "local_steps"])
def test_two_processes(name, tmp_path):
    mp.spawn(_process, (str(tmp_path / "store"), name), nprocs=2)


def test_errors_and_wrapping():
    with pytest.raises(ValueError, match="start_powerSGD_iter"):
        powerSGD_hook.PowerSGDState(None, start_powerSGD_iter=1)
    layer = nn.ReLU()
    assert wrap(layer) is layer
    with enable_wrap(wrapper_cls=nn.Sequential):
        assert wrap(layer)[0] is layer
    assert wrap(layer) is layer
