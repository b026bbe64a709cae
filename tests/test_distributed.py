"""Process groups over TCP: collectives, stores, DistributedDataParallel, the launcher."""

import datetime
import os
import shutil
import subprocess
import sys
import tempfile
import time

import pytest

import flambeau as torch
import flambeau.distributed as dist
import flambeau.multiprocessing as mp
from flambeau import nn
from flambeau.distributed.optim import ZeroRedundancyOptimizer


def _process(rank, size, path, name):
    dist.init_process_group("gloo", init_method=f"file://{path}", rank=rank, world_size=size)
    globals()[name](rank, size)
    dist.barrier()
    dist.destroy_process_group()


def run(function, tmp_path, size=3):
    mp.spawn(_process, (size, str(tmp_path / "store"), function.__name__), nprocs=size)


def collectives(rank, size):
    t = torch.full((3,), rank + 1.0)
    dist.all_reduce(t)
    assert t.tolist() == [6.0] * 3
    torch.manual_seed(rank)
    own = torch.randn(50_001)  # more than is sent whole
    parts = [torch.empty(50_001) for _ in range(size)]
    dist.all_gather(parts, own)
    for op, want in (
        (dist.ReduceOp.MAX, torch.stack(parts).amax(0)),
        (dist.ReduceOp.SUM, parts[0] + parts[1] + parts[2]),
        (dist.ReduceOp.AVG, (parts[0] + parts[1] + parts[2]) / 3),
    ):
        t = own.clone()
        work = dist.all_reduce(t, op, async_op=True)
        assert work.wait() and torch.equal(t, want)
    m = torch.zeros(2, 3).t() + rank
    dist.broadcast(m, 1)
    assert m.eq(1).all()
    o = torch.empty(2)
    dist.reduce_scatter(o, [torch.full((2,), float(i)) for i in range(size)])
    assert o.tolist() == [3.0 * rank] * 2
    o = torch.empty(size, dtype=torch.bfloat16)
    dist.all_to_all_single(o, torch.full((size,), float(rank), dtype=torch.bfloat16))
    assert o.tolist() == [0, 1, 2]
    o = torch.empty(6, 2)
    dist.all_gather_into_tensor(o, torch.full((2, 2), float(rank)))
    assert o[:, 0].tolist() == [0, 0, 1, 1, 2, 2]
    t = torch.tensor([rank, 5])
    dist.reduce(t, 2, dist.ReduceOp.BOR)
    assert t.tolist() == ([3, 5] if rank == 2 else [rank, 5])
    t = torch.empty(1)
    dist.scatter(t, [torch.tensor([float(i)]) for i in range(size)] if rank == 0 else None)
    assert t.item() == rank
    gathered = [torch.empty(1) for _ in range(size)] if rank == 1 else None
    dist.gather(t, gathered, 1)
    assert gathered is None or [g.item() for g in gathered] == [0, 1, 2]
    dist.monitored_barrier()


def messages(rank, size):
    if rank == 0:
        dist.send(torch.ones(2), 1, tag=7)
        dist.send(torch.zeros(2), 1, tag=3)
        dist.send_object_list(["a", {"b": 1}], 2)
    elif rank == 1:
        first, second = torch.empty(2), torch.empty(2)
        work = dist.irecv(second, 0, tag=3)
        assert dist.recv(first, tag=7) == 0  # from any process
        work.wait()
        assert first.eq(1).all() and second.eq(0).all()
    else:
        objects = []
        assert dist.recv_object_list(objects) == 0 and objects == ["a", {"b": 1}]
    objects = [None] * size
    dist.all_gather_object(objects, {"rank": rank, "tensor": torch.ones(2) * rank})
    assert [o["rank"] for o in objects] == [0, 1, 2] and objects[2]["tensor"].tolist() == [2, 2]
    objects = [rank, "x"]
    dist.broadcast_object_list(objects, 2)
    assert objects == [2, "x"]
    t = torch.empty(3)
    other = (rank + 1) % size
    ops = [dist.P2POp(dist.isend, torch.full((3,), float(rank)), other)]
    ops.append(dist.P2POp(dist.irecv, t, (rank - 1) % size))
    for work in dist.batch_isend_irecv(ops):
        work.wait()
    assert t.tolist() == [(rank - 1) % size] * 3


def groups(rank, size):
    pair = dist.new_group([0, 2])
    t = torch.ones(1)
    if rank == 1:
        assert pair == dist.GroupMember.NON_GROUP_MEMBER and dist.get_rank(pair) == -1
        with pytest.warns(UserWarning, match="does not belong"):
            dist.all_reduce(t, group=pair)
        assert t.item() == 1
    else:
        dist.all_reduce(t, group=pair)
        assert t.item() == 2 and dist.get_group_rank(pair, 2) == 1
    mesh = dist.init_device_mesh("cpu", (1, 3), mesh_dim_names=("dp", "tp"))
    assert mesh.get_local_rank("tp") == rank and mesh["dp"].size() == 1
    dist.all_reduce(t.fill_(1), group=mesh.get_group("tp"))
    assert t.item() == 3
    x = torch.ones(2, requires_grad=True)
    y = dist.nn.functional.all_reduce(x * (rank + 1))
    (y * (rank + 1)).sum().backward()
    assert x.grad.tolist() == [6.0 * (rank + 1)] * 2


def _network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))


def data_parallel(rank, size):
    """Several processes with parts of a batch do what one does with the batch."""
    alone, together = _network(), _network()
    if rank:
        nn.init.zeros_(together[0].weight)  # rank 0's value counts
    together = nn.parallel.DistributedDataParallel(together, bucket_cap_mb=0.00005)
    assert len(together.reducer.buckets) > 1
    batches = torch.randn(4, 3 * size, 4, generator=torch.Generator().manual_seed(1))
    a, b = torch.optim.SGD(alone.parameters(), 0.1), torch.optim.SGD(together.parameters(), 0.1)
    for batch in batches:
        for optimizer, model, x in ((a, alone, batch), (b, together, batch.chunk(size)[rank])):
            optimizer.zero_grad()
            model(x).square().mean().backward()
            optimizer.step()
    for p, q in zip(alone.parameters(), together.parameters()):
        assert torch.allclose(p, q, atol=1e-6)
    assert list(together.state_dict())[0] == "module.0.weight"
    b.zero_grad()
    with together.no_sync():
        together(torch.full((1, 4), float(rank))).sum().backward()
    here = together.module[0].weight.grad.clone()
    together(torch.zeros(1, 4)).sum().backward()
    dist.all_reduce(here, dist.ReduceOp.AVG)
    assert torch.allclose(together.module[0].weight.grad[:, 0], here[:, 0], atol=1e-6)


class _Branches(nn.Module):
    def __init__(self):
        super().__init__()
        self.parts = nn.ModuleList(nn.Linear(2, 1, bias=False) for _ in range(4))

    def forward(self, x, which):
        return self.parts[which](x)


def unused(rank, size):
    model = nn.parallel.DistributedDataParallel(_Branches(), find_unused_parameters=True)
    for _ in range(2):
        model.zero_grad()
        model(torch.ones(1, 2), rank).sum().backward()
        grads = [part.weight.grad for part in model.module.parts]
        assert grads[3] is None and all(torch.allclose(g, torch.ones(1, 2) / 3) for g in grads[:3])
    strict = nn.parallel.DistributedDataParallel(_Branches())
    strict(torch.ones(1, 2), 0).sum().backward()
    with pytest.raises(RuntimeError, match="Expected to have finished reduction"):
        strict(torch.ones(1, 2), 0)


def hooks_and_shards(rank, size):
    from flambeau.distributed.algorithms.ddp_comm_hooks import default_hooks

    alone, together = _network(), nn.parallel.DistributedDataParallel(_network())
    together.register_comm_hook(None, default_hooks.bf16_compress_hook)
    x = torch.ones(2, 4)
    alone(x).sum().backward()
    together(x).sum().backward()
    for p, q in zip(alone.parameters(), together.parameters()):
        assert torch.allclose(p.grad, q.grad, rtol=2e-2)
        q.grad.copy_(p.grad)
    sharded = ZeroRedundancyOptimizer(together.parameters(), torch.optim.Adam, lr=0.1)
    plain = torch.optim.Adam(alone.parameters(), lr=0.1)
    sharded.step()
    plain.step()
    assert 0 < len(sharded.state) < 4
    for p, q in zip(alone.parameters(), together.parameters()):
        assert torch.equal(p, q)
    sharded.consolidate_state_dict(0)
    if rank == 0:
        state = sharded.state_dict()
        assert sorted(state["state"]) == [0, 1, 2, 3] == state["param_groups"][0]["params"]
        plain.load_state_dict(state)


def uneven(rank, size):
    alone, together = _network(), nn.parallel.DistributedDataParallel(_network())
    a, b = torch.optim.SGD(alone.parameters(), 0.1), torch.optim.SGD(together.parameters(), 0.1)
    x = torch.ones(1, 4)
    with together.join():
        for _ in range(rank + 1):
            b.zero_grad()
            together(x).sum().backward()
            b.step()
    for step in range(size):  # the sum over those that still train, divided by all
        a.zero_grad()
        alone(x).sum().mul((size - step) / size).backward()
        a.step()
    for p, q in zip(alone.parameters(), together.parameters()):
        assert torch.allclose(p, q, atol=1e-6)


def one_tensor_in_parts(rank, size):
    from flambeau.distributed.tensor import DTensor, Partial, Replicate, Shard, distribute_tensor
    from flambeau.distributed.tensor.placement_types import _StridedShard

    mesh = dist.init_device_mesh("cpu", (size,))
    whole = torch.arange(10.0).view(5, 2).requires_grad_()
    x = distribute_tensor(whole, mesh, [Shard(0)])
    assert x.shape == (5, 2) and x.to_local().shape == (2 if rank < 2 else 1, 2)
    assert torch.equal(x.full_tensor(), whole)
    y = (x * 2 + x).redistribute(placements=[Shard(1)])
    assert y.to_local().shape == (5, 1 if rank < 2 else 0)
    z = y.t() @ x
    assert isinstance(z, DTensor) and z.placements == (Replicate(),)
    assert torch.equal(z.to_local(), 3 * whole.t() @ whole)
    z.sum().backward()
    (want,) = torch.autograd.grad((3 * whole.t() @ whole).sum(), whole)
    assert torch.allclose(x.grad.full_tensor(), want)
    blocks = _StridedShard(dim=0, split_factor=2)
    pairs = distribute_tensor(torch.arange(6), mesh, [blocks])
    assert pairs.to_local().tolist() == [rank, 3 + rank]
    assert pairs.full_tensor().tolist() == list(range(6))
    here = torch.ones(2) * rank
    same = DTensor.from_local(here, mesh, [Replicate()], run_check=True)
    assert same.to_local().tolist() == [0, 0]
    x.grad = None
    (x.to_local(grad_placements=[Shard(0)]) * 2).sum().backward()
    x.grad = None
    x.full_tensor(grad_placements=[Partial()]).sum().backward()
    assert torch.equal(x.grad.full_tensor(), torch.full_like(whole, size))
    parts = DTensor.from_local(torch.ones(2) * rank, mesh, [Partial()])
    assert parts.full_tensor().tolist() == [3, 3]


def parameters_in_parts(rank, size):
    from flambeau.distributed import checkpoint
    from flambeau.distributed.checkpoint.state_dict import get_model_state_dict
    from flambeau.distributed.fsdp import FullyShardedDataParallel, MixedPrecision, fully_shard
    from flambeau.distributed.fsdp.wrap import ModuleWrapPolicy

    alone, cut = _network(), _network()
    wrapped = FullyShardedDataParallel(_network(), auto_wrap_policy=ModuleWrapPolicy({nn.Linear}))
    fully_shard(cut[0])
    fully_shard(cut)
    assert cut[0].weight.shape == (11,) and isinstance(cut[0], nn.Linear)
    batches = torch.randn(3, 2 * size, 4, generator=torch.Generator().manual_seed(1))
    for model in (alone, cut, wrapped):
        optimizer = torch.optim.Adam(model.parameters(), 0.1)
        for batch in batches:
            optimizer.zero_grad()
            x = batch if model is alone else batch.chunk(size)[rank]
            model(x).square().mean().backward()
            optimizer.step()
    for p, q in zip(alone.parameters(), cut.parameters()):
        assert torch.allclose(p, q.full_tensor(), atol=1e-5)
    for name, value in wrapped.state_dict().items():
        assert torch.allclose(alone.state_dict()[name], value, atol=1e-5)
    path = [tempfile.mkdtemp()]
    dist.broadcast_object_list(path)
    state = {"model": get_model_state_dict(cut), "step": torch.tensor(7)}
    checkpoint.save(state, checkpoint_id=path[0])
    fresh = fully_shard(_network())
    state = {"model": get_model_state_dict(fresh), "step": torch.tensor(0)}
    checkpoint.load(state, checkpoint_id=path[0])
    assert state["step"] == 7
    for p, q in zip(alone.parameters(), fresh.parameters()):
        assert torch.allclose(p, q.full_tensor(), atol=1e-5)
    dist.barrier()
    if rank == 0:
        shutil.rmtree(path[0])
    with FullyShardedDataParallel.summon_full_params(wrapped):
        wrapped.module[0].weight.data.zero_()
    wrapped.load_state_dict({**wrapped.state_dict(), "0.bias": torch.ones(8)})
    want = alone[2](torch.ones(1, 8).tanh())
    assert torch.allclose(wrapped(batches[0])[:1], want, atol=1e-5)
    wrapped.clip_grad_norm_(1e-3)
    torch.manual_seed(rank)
    unlike = nn.Linear(2, 3)
    with FullyShardedDataParallel.summon_full_params(
        FullyShardedDataParallel(unlike, sync_module_states=True)
    ):
        torch.manual_seed(0)
        assert torch.equal(unlike.weight, nn.Linear(2, 3).weight)
    states_in_parts(wrapped, rank)
    half = FullyShardedDataParallel(_network(), mixed_precision=MixedPrecision(torch.bfloat16))
    assert half(batches[0]).dtype == torch.bfloat16


def states_in_parts(wrapped, rank):
    from flambeau.distributed import fsdp
    from flambeau.distributed.checkpoint import state_dict as states

    sharded, wholly = fsdp.StateDictType.SHARDED_STATE_DICT, fsdp.StateDictType.FULL_STATE_DICT
    full = wrapped.state_dict()
    outer = nn.Sequential(wrapped, nn.Linear(2, 2))
    assert list(outer.state_dict())[:4] == [f"0.{name}" for name in full]
    outer.load_state_dict(outer.state_dict())
    with wrapped.state_dict_type(wrapped, sharded):
        parts = wrapped.state_dict()
        assert parts["0.weight"].shape == (11,)
        wrapped.load_state_dict(parts)
    config = fsdp.FullStateDictConfig(rank0_only=True)
    with wrapped.state_dict_type(wrapped, wholly, config):
        assert len(wrapped.state_dict()) == (0 if rank else 4)
    for name, value in wrapped.state_dict().items():
        assert torch.equal(value, full[name])
    with pytest.raises(RuntimeError, match="state_dict_config"):
        wrapped.set_state_dict_type(wrapped, sharded, config)

    optimizer = torch.optim.Adam(wrapped.parameters(), 0.1)
    wrapped(torch.ones(2, 4)).square().mean().backward()
    grads = [p.whole_of(p.grad) for p in wrapped.parameters()]
    optimizer.step()
    named = wrapped.optim_state_dict(wrapped, optimizer)
    assert named["state"]["0.weight"]["exp_avg"].shape == (8, 4)
    fresh = torch.optim.Adam(wrapped.parameters())
    fresh.load_state_dict(wrapped.optim_state_dict_to_load(wrapped, fresh, named))
    assert fresh.param_groups[0]["lr"] == 0.1
    flat = states.StateDictOptions(full_state_dict=True, flatten_optimizer_state_dict=True)
    other = torch.optim.Adam(wrapped.parameters())
    packed = states.get_optimizer_state_dict(wrapped, optimizer, options=flat)
    states.set_optimizer_state_dict(wrapped, other, packed, options=flat)
    for p in wrapped.parameters():
        for made in (fresh, other):
            assert torch.equal(made.state[p]["exp_avg"], optimizer.state[p]["exp_avg"])
    with wrapped.summon_full_params(wrapped, with_grads=True):
        for p, grad in zip(wrapped.module.parameters(), grads):
            assert torch.equal(p.grad, grad)
    with wrapped.summon_full_params(wrapped, recurse=False):
        assert wrapped.module[0].weight.dim() == 1
    with wrapped.summon_full_params(wrapped, rank0_only=True, writeback=False):
        assert wrapped.module[0].weight.dim() == (1 if rank else 2)
    inner = wrapped.module[0]
    short = states.StateDictOptions(keep_submodule_prefixes=False)
    chosen = states.get_model_state_dict(wrapped, submodules={inner}, options=short)
    assert list(chosen) == ["weight", "bias"]
    if rank == 1:
        with pytest.raises(RuntimeError, match="."):
            dist.barrier(timeout=datetime.timedelta(seconds=0.2))
    else:
        time.sleep(0.5)
        dist.barrier()


@pytest.mark.parametrize(
    "part",
    [
        collectives,
        messages,
        groups,
        data_parallel,
        unused,
        hooks_and_shards,
        uneven,
        one_tensor_in_parts,
        parameters_in_parts,
    ],
)
def test_in_processes(part, tmp_path):
    run(part, tmp_path)


def lost(rank, size):
    if rank == 1:
        os._exit(3)
    with pytest.raises(dist.DistBackendError, match="closed by rank 1|sending to rank 1"):
        dist.all_reduce(torch.ones(1))
    os._exit(0)


def test_a_process_that_dies_is_an_error_elsewhere(tmp_path):
    with pytest.raises(mp.ProcessExitedException, match="exit code 3"):
        run(lost, tmp_path, 2)


def test_without_a_group():
    assert dist.is_available() and not dist.is_initialized()
    with pytest.raises(ValueError, match="Default process group has not been initialized"):
        dist.all_reduce(torch.ones(1))
    with pytest.raises(RuntimeError, match="doesn't have NCCL built in"):
        dist.init_process_group("nccl")
    with pytest.raises(ValueError, match="Invalid backend"):
        dist.init_process_group("carrier pigeon")


def test_a_group_of_one():
    dist.init_process_group(rank=0, world_size=1, store=dist.HashStore())
    try:
        t = torch.ones(2)
        assert dist.all_reduce(t, async_op=True).get_future().wait()[0] is t
        with pytest.raises(ValueError, match="twice"):
            dist.init_process_group(rank=0, world_size=1, store=dist.HashStore())
        with pytest.raises(TypeError, match="Expected parameter `tensor`"):
            dist.all_reduce([t])
    finally:
        dist.destroy_process_group()


@pytest.mark.parametrize("kind", ["hash", "file", "tcp", "prefix"])
def test_stores(kind, tmp_path):
    store = {
        "hash": dist.HashStore,
        "file": lambda: dist.FileStore(str(tmp_path / "store"), 1),
        "tcp": lambda: dist.TCPStore("127.0.0.1", 0, 1, True),
        "prefix": lambda: dist.PrefixStore("a", dist.HashStore()),
    }[kind]()
    store.set("key", "value")
    assert store.get("key") == b"value" and store.check(["key"]) and not store.check(["other"])
    assert store.add("count", 2) == 2 and store.add("count", 3) == 5
    assert store.compare_set("key", "other", "new") == b"value"
    assert store.compare_set("key", "value", "new") == b"new" == store.get("key")
    assert store.compare_set("fresh", "", "set") == b"set"
    assert store.delete_key("key") and not store.delete_key("key")
    with pytest.raises(dist.DistStoreError, match="wait timeout after 20ms"):
        store.wait(["never"], datetime.timedelta(milliseconds=20))


PROGRAM = """
import os
import torch
import torch.distributed as dist
dist.init_process_group()
t = torch.ones(1) * (1 + int(os.environ["RANK"]))
dist.all_reduce(t)
if os.environ.get("FAIL") == os.environ["RANK"] and os.environ["TORCHELASTIC_RESTART_COUNT"] == "0":
    raise SystemExit(4)
dist.barrier()
if dist.get_rank() == 0:
    print(int(t), dist.get_world_size())
"""


@pytest.mark.parametrize("fail", [None, "1"])
def test_launcher(fail, tmp_path):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    root = os.path.dirname(os.path.dirname(torch.__file__))
    environment = {**os.environ, "PYTHONPATH": root, **({"FAIL": fail} if fail else {})}
    command = [sys.executable, "-m", "flambeau.distributed.run", "--nproc_per_node=2"]
    made = subprocess.run(
        [*command, "--max-restarts=1", str(program)],
        capture_output=True, text=True, env=environment, timeout=60,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    assert made.stdout.split() == ["3", "2"]
