"""Names that libraries import, and the small tools behind some of them."""

import base64
import copy
import importlib
import io
import pickle
import pkgutil
import zlib

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
jit.annotations:BroadcastingList2 _jit_internal:_copy_to_script_wrapper _guards:detect_fake_mode
autograd.profiler_legacy:profile profiler.profiler:_default_schedule_fn utils._triton:has_triton
utils.data._utils.pin_memory:pin_memory utils.data.dataloader:_InfiniteConstantSampler
fx.experimental._config:use_duck_shape fx.experimental.symbolic_shapes:guard_or_false
nn.parallel.data_parallel:DataParallel nn.parallel.parallel_apply:get_a_var
nn.parallel._functions:Broadcast nn.parallel.distributed:_find_tensors cuda.comm:broadcast
cuda.amp.autocast_mode:autocast cuda.amp.grad_scaler:GradScaler onnx.operators:shape_as_tensor
nn.functional:_in_projection_packed utils.mobile_optimizer:optimize_for_mobile
nn.modules.rnn:apply_permutation utils.data._utils.collate:default_collate_err_msg_format
distributed.algorithms.ddp_comm_hooks:DDPCommHookType _inductor.config:triton
distributed.checkpoint.stateful:Stateful backends.cuda:can_use_flash_attention
jit:optimized_execution functional:F
""".split()
PICKLE = """
eNrVkctu1DAYhRMnMwOGlpZ7YcOOsBnNpVJnVrBA3YRr2HiDrNQxTVCI5yTOqEWqNJupCs/AA8AjILHKvBh2J11Uog+AFz7276P
/8nlBTuAEzHUc5wiu0KoUaZ/XOssrykt5UGd5wrUsKlXy+YiCBK2nMhIfSspzFSf8U6m+8INjLSsKT3ChEikqKgt7oPDZtinQLE
jznearP82P/dXvJ5+bn+92+ib4evXLs3reyJZpZFYqrYTK+VyWVaYKuNbCNsxTnmmdSy6LJIsLkOaMURPVxzPJq+yrrOCdwA9Yx
wSrVJUanZAwz9yyQqMb+sy3SVRxiF7o17UtG7Ceda/HgbMej+6bsfSHdka4bNN4puPp3nQ0mewOBsPhCOvEYlbDC8kbDf+9TfcR
zr/MbtwnzsVqFs/N/gId1rXtxDorhuieohfh2hLXI9DQCckSN0J3iZtnwrDIpdAGRUXfloksZfIyE5pi41mETY1bEbbOv3CO7ZQ
EqZf67On/RvyV8VwBfDye7E4Gl4D7VwJvzQa471xebqsXH+G1itupgX8nwt0l7kW4b+GH5BQPQtfKw2+p5byj8SjC47r/F5F746
4=
"""


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
    indented = Timer("""
        y = x + 1
        y * 2
    """, setup="""
        import flambeau
        x = flambeau.ones(2)
    """)  # fmt: skip
    assert indented.timeit(10).number_per_run == 10


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


def test_every_listed_name_is_there():
    found = pkgutil.walk_packages(torch.__path__, "flambeau.")
    for name in [m.name for m in found if not m.name.endswith("__main__")]:
        module = importlib.import_module(name)
        missing = [n for n in getattr(module, "__all__", ()) if not hasattr(module, n)]
        assert not missing, (name, missing)


def test_pickles_that_pytorch_wrote():
    # pickle.dumps({"x": a leaf of float32, "v": a transposed view of int64}) by PyTorch 2.13
    data = zlib.decompress(base64.b64decode(PICKLE))

    class Reader(pickle.Unpickler):  # as the names are once `import torch` gives flambeau
        def find_class(self, module, name):
            return super().find_class(module.replace("torch", "flambeau"), name)

    read = Reader(io.BytesIO(data)).load()
    assert read["x"].tolist() == [1.0, 2.0] and read["x"].requires_grad
    assert read["v"].tolist() == [[0, 2], [1, 3]] and read["v"].stride() == (1, 2)


def test_containers_are_written_with_suffixes():
    from flambeau import _tensor_str

    assert _tensor_str._add_suffixes("x([1]", ["a=1"], 2, False) == "x([1], a=1)"
    assert _tensor_str._add_suffixes("x([1]", ["a=1"], 2, True) == "x([1],\n  a=1)"
    with _tensor_str.printoptions(precision=1):
        assert str(torch.tensor(0.123)) == "tensor(0.1)"
    assert str(torch.tensor(0.123)) == "tensor(0.1230)"


def test_classes_of_compiled_libraries():
    with pytest.raises(RuntimeError, match="Tried to instantiate class 'a.B'"):
        torch.classes.a.B()
    assert torch.classes.loaded_libraries == torch.ops.loaded_libraries == set()


def test_cuda_without_cuda():
    with pytest.raises(RuntimeError, match="NVTX functions not installed"):
        torch.cuda.nvtx.range_push("step")
    with pytest.raises(AssertionError, match="not compiled with CUDA"):
        torch.cuda.profiler.start()
    torch.cuda.random.manual_seed(1)
    assert torch.cuda.default_generators == () and not torch.cuda._initialized
    assert torch.cuda.memory.memory_allocated() == 0 and not torch.cuda.nccl.is_available([])


def test_products_of_integers_and_small_floats():
    a = torch.full((2, 3), 100, dtype=torch.int8)
    assert torch._int_mm(a, a.t()).tolist() == [[30000] * 2] * 2
    with pytest.raises(RuntimeError, match="expected int8"):
        torch._int_mm(a.float(), a.t())
    x = torch.tensor([[1.0, 2.0]]).to(torch.float8_e4m3fn)
    scales = torch.tensor(2.0), torch.tensor(0.5)
    assert torch._scaled_mm(x, x.t(), *scales, out_dtype=torch.float32).item() == 5.0
    grouped = torch._grouped_mm(torch.ones(3, 2), torch.ones(2, 2, 1), torch.tensor([1, 2]))
    assert grouped.tolist() == [[2.0], [2.0], [0.0]]


def test_convolutions_take_their_normalization_in():
    from flambeau.fx.experimental.optimization import fuse, remove_dropout

    net = torch.nn.Sequential(
        torch.nn.Conv2d(2, 3, 3), torch.nn.BatchNorm2d(3), torch.nn.ReLU(), torch.nn.Dropout()
    )
    net(torch.randn(4, 2, 8, 8))
    net.eval()
    x = torch.randn(1, 2, 8, 8)
    fused = remove_dropout(fuse(net))
    assert [type(m).__name__ for m in fused.children()] == ["Conv2d", "ReLU"]
    torch.testing.assert_close(fused(x), net(x))


def test_other_tensors_for_a_block():
    from flambeau.nn.utils.stateless import _reparametrize_module

    layer = torch.nn.Linear(1, 1, bias=False)
    before = layer.weight
    with _reparametrize_module(layer, {"weight": torch.full((1, 1), 3.0)}):
        assert layer(torch.ones(1)).item() == 3.0
    assert layer.weight is before


def test_nested_tensors_over_a_flat_one():
    flat = torch.arange(9.0, requires_grad=True)
    sizes = torch.tensor([[2, 3], [1, 3]])
    strides, offsets = torch._nested_compute_contiguous_strides_offsets(sizes)
    assert strides.tolist() == [[3, 1], [3, 1]] and offsets.tolist() == [0, 6]
    nested = torch._nested_view_from_buffer(flat, sizes, strides, offsets)
    assert [part.tolist() for part in nested.unbind()] == [[[0, 1, 2], [3, 4, 5]], [[6, 7, 8]]]
    nested.unbind()[1].sum().backward()
    assert flat.grad.tolist() == [0] * 6 + [1] * 3


def test_what_libraries_ask_of_process_groups():
    import flambeau.distributed as dist

    assert dist.distributed_c10d._pg_map == {}
    assert dist.Backend.default_device_backend_map["cpu"] == "gloo"
    assert not isinstance(torch, torch._C._distributed_rpc.PyRRef)


def test_parts_of_attention():
    F = torch.nn.functional
    q, w = torch.randn(2, 4), torch.randn(12, 4)
    packed = F._in_projection_packed(q, q, q, w)
    apart = F._in_projection(q, q, q, *w.chunk(3))
    for x, y in zip(packed, apart, strict=True):
        torch.testing.assert_close(x, y)
    assert F._mha_shape_check(q, q, q, None, None, 2) is False
    mask = F._canonical_mask(torch.tensor([True, False]), "mask", None, "", torch.float32)
    assert mask.tolist() == [float("-inf"), 0.0]


def test_between_devices_that_are_not_there():
    from flambeau.nn.parallel._functions import Broadcast, ReduceAddCoalesced

    for function in (Broadcast, ReduceAddCoalesced):
        with pytest.raises(AssertionError, match="not implemented for CPU tensors"):
            function.apply([0], torch.ones(1))
    with pytest.raises(AssertionError, match="not implemented for CPU tensors"):
        torch.nn.parallel.replicate(torch.nn.Linear(1, 1), [0])


def test_modules_that_run_again_in_backward():
    from flambeau.distributed.algorithms._checkpoint import checkpoint_wrapper as c

    def model():
        torch.manual_seed(0)
        return torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1))

    plain, wrapped, runs = model(), model(), []
    c.apply_activation_checkpointing(wrapped, check_fn=lambda m: isinstance(m, torch.nn.Linear))
    assert isinstance(wrapped[0], c.CheckpointWrapper) and isinstance(wrapped[1], torch.nn.Tanh)
    assert list(wrapped.state_dict()) == list(plain.state_dict())
    assert [n for n, _ in wrapped[0].named_parameters()] == ["weight", "bias"]
    inner = wrapped[0]._checkpoint_wrapped_module
    inner.register_forward_pre_hook(lambda *args: runs.append(1))
    x = torch.randn(2, 3, requires_grad=True)
    for net in (plain, wrapped):
        net(x).sum().backward()
    assert len(runs) == 2
    torch.testing.assert_close(wrapped[0].weight.grad, plain[0].weight.grad)
    wrapped.load_state_dict(plain.state_dict())


def test_how_many_nodes_a_tree_has():
    from flambeau.utils._pytree import tree_is_leaf, tree_structure

    spec = tree_structure({"a": [1, 2], "b": (3,)})
    assert (spec.num_nodes, spec.num_leaves, spec.num_children) == (6, 3, 2)
    assert tree_structure(1).num_nodes == 1
    assert tree_is_leaf(1) and not tree_is_leaf([1]) and tree_is_leaf([1], lambda x: True)
