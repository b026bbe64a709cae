"""Private names of PyTorch that libraries import."""

import importlib
import warnings

import pytest

import flambeau as torch
from flambeau.utils._contextlib import _DecoratorContextManager, _NoParamDecoratorContextManager


class _Noted(_DecoratorContextManager):
    depth = 0

    def __enter__(self):
        _Noted.depth += 1

    def __exit__(self, *exc):
        _Noted.depth -= 1


def test_contexts_that_decorate():
    @_Noted()
    def depth():
        return _Noted.depth

    @_Noted()
    def steps():
        got = yield _Noted.depth
        try:
            yield got
        except KeyError:
            yield "caught"
        return _Noted.depth

    assert depth() == 1 and _Noted.depth == 0
    running = steps()
    assert next(running) == 1 and _Noted.depth == 0
    assert running.send("x") == "x"
    assert running.throw(KeyError()) == "caught"
    with pytest.raises(StopIteration) as stop:
        next(running)
    assert stop.value.value == 1 and _Noted.depth == 0

    class Plain(_NoParamDecoratorContextManager):
        __enter__, __exit__ = _Noted.__enter__, _Noted.__exit__

    assert Plain(lambda: _Noted.depth)() == 1 and _Noted.depth == 0


def test_groups_of_tensors():
    from flambeau._utils import _reorder_tensors_as, _take_tensors

    tensors = [torch.ones(n) for n in (3, 5, 2)] + [torch.ones(1).double()]
    tensors = [tensors[0], tensors[3], tensors[1], tensors[2]]
    groups = list(_take_tensors(tensors, 30))
    assert [[t.numel() for t in group] for group in groups] == [[3], [5, 2], [1]]
    again = _reorder_tensors_as([t for group in groups for t in group], tensors)
    assert all(x is y for x, y in zip(again, tensors, strict=True))


def test_tensors_swapped_in_modules():
    from flambeau.nn.utils._named_member_accessor import set_tensor, swap_tensor

    layer = torch.nn.Linear(2, 2)
    weight, other = layer.weight, torch.zeros(2, 2)
    assert swap_tensor(layer, "weight", other) is weight and layer.weight is other
    assert swap_tensor(layer, "weight", None) is other and "weight" not in layer._parameters
    with pytest.raises(AttributeError):
        swap_tensor(layer, "weight", other)
    assert swap_tensor(layer, "weight", other, allow_missing=True) is None
    set_tensor(layer, "bias", None)
    assert layer.bias is None


def test_names_without_objects():
    from flambeau._subclasses.fake_tensor import unset_fake_temporarily

    assert not isinstance(torch.ones(1), (torch.cuda.FloatTensor, torch._C.Value))
    assert torch.cuda.BoolTensor.__name__ == "BoolTensor" and torch.cuda.BoolTensor.is_cuda
    with pytest.raises(TypeError, match="not available"):
        torch.cuda.FloatTensor(3)
    assert not hasattr(torch.cuda, "NoSuchTensor")
    with unset_fake_temporarily() as mode:
        assert mode is None


def test_blocks_of_transformer_layers():
    """Programs derive from the layers and call their parts."""
    x, memory = torch.randn(3, 2, 8), torch.randn(4, 2, 8)
    layer = torch.nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0)
    y = layer.norm1(x + layer._sa_block(x, None, None))
    assert torch.equal(layer(x), layer.norm2(y + layer._ff_block(y)))
    layer = torch.nn.TransformerDecoderLayer(8, 2, 16, dropout=0.0)
    y = layer.norm1(x + layer._sa_block(x, None, None))
    y = layer.norm2(y + layer._mha_block(y, memory, None, None))
    assert torch.equal(layer(x, memory), layer.norm3(y + layer._ff_block(y)))
    find = torch.nn.modules.transformer._get_activation_fn
    assert find("gelu") is torch.nn.functional.gelu
    with pytest.raises(RuntimeError):
        find("tanh")


def test_switches_of_jit():
    assert torch._C._jit_set_profiling_mode(True) is False
    assert torch._C._jit_set_profiling_mode(False) is True
    assert torch._C._jit_can_fuse_on_cpu() is False
    assert torch.hub.get_dir().startswith(torch.hub._get_torch_home())
    assert torch.cuda.OutOfMemoryError is torch.OutOfMemoryError
    assert torch.onnx.TrainingMode.EVAL.value == 0
    assert len(torch.nn.parallel.scatter(torch.ones(4), ["cpu", "cpu"])) == 2


def test_softmax_backward():
    x = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    y = torch.softmax(x, -1)
    y.backward(grad := torch.randn(3, 4, dtype=torch.float64))
    got = torch._softmax_backward_data(grad, y.detach(), -1, torch.float64)
    torch.testing.assert_close(got, x.grad)
    assert torch._softmax_backward_data(grad, y.detach(), -1, torch.float32).dtype == torch.float32


def test_a_file_as_a_lock(tmp_path):
    from flambeau.utils.file_baton import FileBaton

    first, second = FileBaton(str(tmp_path / "lock")), FileBaton(str(tmp_path / "lock"))
    assert first.try_acquire() and not second.try_acquire()
    first.release()
    second.wait()
    assert second.try_acquire()


def test_devices_and_counts_under_their_private_names():
    device = torch.utils._device
    assert device.CURRENT_DEVICE is None
    with device.DeviceContext("meta"):
        assert torch.zeros(1).is_meta
        assert device.CURRENT_DEVICE == torch.device("meta")
    assert device.set_device("meta")(torch.ones)(2).is_meta
    assert torch.zeros(1).device.type == "cpu"
    assert {torch.randn, torch.fft.fftfreq} < device._device_constructors()

    utils = importlib.import_module("flambeau._dynamo.utils")
    utils.counters["passes"]["fused"] += 1
    assert utils.counters["passes"] == {"fused": 1}
    with pytest.warns(UserWarning, match="only this time"):
        utils.warn_once("only this time")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        utils.warn_once("only this time")
