"""Names that libraries import, and the small tools behind some of them."""

import copy
import importlib
import pickle

import pytest

import flambeau as torch

NAMES = """
optim.lr_scheduler:_LRScheduler nn.modules.module:_IncompatibleKeys nn.modules.utils:_pair
nn.modules.batchnorm:_BatchNorm nn.modules.conv:_ConvNd nn.modules.loss:_Loss
utils.data._utils.collate:default_collate _utils:_flatten_dense_tensors autograd:Variable
nn.common_types:_size_2_t types:_dtype utils.model_zoo:load_url utils.hooks:RemovableHandle
backends.mkldnn:is_available backends.opt_einsum:enabled jit.annotations:List jit:Final
hub:HASH_REGEX hub:urlparse nn.init:_calculate_correct_fan _dynamo:OptimizedModule
utils.data.dataloader:_BaseDataLoaderIter utils.data.dataloader:_MultiProcessingDataLoaderIter
utils._pytree:_dict_flatten_with_keys _C:_TensorMeta autograd.profiler:record_function
nn.parallel:DistributedDataParallel nn.parallel.distributed:DistributedDataParallel
multiprocessing:spawn futures:Future
""".split()


@pytest.mark.parametrize("name", NAMES)
def test_it_is_there(name):
    module, _, attribute = name.partition(":")
    assert hasattr(importlib.import_module(f"flambeau.{module}"), attribute)


def test_copies_of_weak_dictionaries():
    from flambeau.utils.weak import WeakIdKeyDictionary

    x, y = torch.ones(1), torch.ones(1)
    notes = WeakIdKeyDictionary({x: [1]})
    twin, deep = notes.copy(), copy.deepcopy(notes)
    twin[y] = [2]
    assert len(notes) == 1 and twin[x] is notes[x] and deep[x] == [1] and deep[x] is not notes[x]
    assert len(notes | twin) == 2
    notes |= {y: [3]}
    assert notes[y] == [3]


def test_weak_dictionaries():
    from flambeau.utils.weak import WeakTensorKeyDictionary

    x, y = torch.ones(2), torch.ones(2)
    notes = WeakTensorKeyDictionary({x: 1})
    notes[y] = 2
    assert notes[x] == 1 and len(notes) == 2 and x in notes and 3 not in notes
    del y
    assert list(notes) == [x]


def test_flat_tensors():
    from flambeau._utils import _flatten_dense_tensors, _unflatten_dense_tensors

    tensors = [torch.arange(3.0), torch.ones(2, 2)]
    flat = _flatten_dense_tensors(tensors)
    assert flat.shape == (7,)
    assert all(torch.equal(a, b) for a, b in zip(_unflatten_dense_tensors(flat, tensors), tensors))


def test_timers():
    from flambeau.utils.benchmark import Compare, Timer

    timer = Timer("x + 1", globals={"x": torch.ones(2)}, label="add", description="small")
    made = timer.timeit(10)
    assert made.number_per_run == 10 and made.median > 0 and "add" in repr(made)
    made = timer.blocked_autorange(min_run_time=0.01)
    assert made.mean > 0 and made.iqr >= 0
    assert "small" in str(Compare([made]))


def test_environment():
    from flambeau.utils import collect_env

    assert torch.version.flambeau in collect_env.get_pretty_env_info()


def test_associative_scan():
    from flambeau._higher_order_ops import associative_scan

    x = torch.randn(2, 7, requires_grad=True)
    assert torch.allclose(associative_scan(torch.mul, x, 1), x.cumprod(1))
    assert torch.allclose(associative_scan(torch.add, x, 1, True), x.flip(1).cumsum(1).flip(1))
    a, b = torch.rand(5, 3), torch.rand(5, 3)  # y[i] = a[i] y[i-1] + b[i]
    y = associative_scan(lambda p, q: (p[0] * q[0], q[0] * p[1] + q[1]), (a, b), 0)[1]
    want = [b[0]]
    for i in range(1, 5):
        want.append(a[i] * want[-1] + b[i])
    assert torch.allclose(y, torch.stack(want))


def test_errors_of_futures():
    from flambeau.futures import Future, collect_all, wait_all

    def fails(done):
        raise ValueError("no " + done.value())

    first = Future()
    second = first.then(fails)
    first.set_result("luck")
    with pytest.raises(RuntimeError, match="running the callback.*no luck"):
        wait_all([second])
    with pytest.raises(RuntimeError, match="completed once"):
        first.set_result(1)
    with pytest.raises(RuntimeError, match="can't be None"):
        collect_all([first, None])
    with pytest.raises(RuntimeError, match="Can not pickle"):
        pickle.dumps(first)
