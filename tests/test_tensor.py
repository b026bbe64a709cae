"""Tensor as a Python object: attributes, numbers, subclasses, identity, settings."""

import copy
import gc
import pickle
import subprocess
import sys
import weakref

import pytest

import flambeau as torch


def test_attributes():
    t = torch.ones(2, 3, 4)
    assert t.shape == t.size() == (2, 3, 4) and isinstance(t.shape, torch.Size)
    assert t.size(-1) == 4 and t.stride() == (12, 4, 1) and t.stride(0) == 12
    assert t.ndim == t.dim() == 3 and len(t) == 2
    assert t.numel() == t.nelement() == 24 and t.nbytes == 96 and t.itemsize == 4
    assert t.dtype is torch.float32 and t.device == torch.device("cpu")
    assert t.layout is torch.strided and t.is_cpu and not t.is_cuda and not t.is_meta
    assert t.T.shape == (4, 3, 2) and t.mT.shape == (2, 4, 3)
    assert t.is_leaf and not t.requires_grad and t.grad is None and t.grad_fn is None
    assert not t.permute(2, 0, 1).is_contiguous()
    assert torch.empty(2, 3, 4, 5).is_contiguous(memory_format=torch.channels_last) is False
    with pytest.raises(IndexError, match=r"range of \[-3, 2\], but got 3"):
        t.size(3)
    with pytest.raises(AttributeError):
        t.shape = (1,)
    with pytest.raises(TypeError, match="'dim' .* must be int, not str"):
        t.size("a")


def test_attributes_of_its_own():
    t = torch.ones(1)
    t.name = "weight"
    assert t.name == "weight" and t.__dict__ == {"name": "weight"}
    assert weakref.ref(t)() is t
    t.me = t
    gone = weakref.ref(t)
    del t
    gc.collect()
    assert gone() is None


def test_requires_grad():
    t = torch.ones(2)
    assert t.requires_grad_() is t and t.requires_grad
    result = t * 2
    assert not result.is_leaf
    with pytest.raises(RuntimeError, match="leaf variables"):
        result.requires_grad = False
    with pytest.raises(RuntimeError, match="floating point"):
        torch.ones(2, dtype=torch.int64).requires_grad_()
    with pytest.raises(RuntimeError, match="must be a bool"):
        t.requires_grad = 1
    assert t.detach().requires_grad is False and t.detach().data_ptr() == t.data_ptr()
    assert result.detach_().is_leaf


def test_grad_is_checked():
    t = torch.ones(2, requires_grad=True)
    t.grad = torch.ones(2)
    with pytest.raises(TypeError, match="got grad of type int"):
        t.grad = 1
    with pytest.raises(RuntimeError, match="size"):
        t.grad = torch.ones(3)
    with pytest.raises(RuntimeError, match="dtype"):
        t.grad = torch.ones(2, dtype=torch.float64)
    with pytest.raises(RuntimeError, match="its own grad"):
        t.grad = t
    t.grad = None
    assert t.grad is None


def test_data():
    t = torch.ones(2, requires_grad=True)
    t.data[0] = 5.0
    assert t.tolist() == [5.0, 1.0] and t._version == 0
    t.data = torch.zeros(3)
    assert t.shape == (3,) and t.requires_grad
    with pytest.raises(TypeError, match="Variable data has to be a tensor"):
        t.data = [1]
    with pytest.raises(RuntimeError, match="floating point"):
        t.data = torch.ones(1, dtype=torch.int64)


def test_numbers():
    a = torch.tensor([1.0, 2.0])
    assert (a + 1).tolist() == (1 + a).tolist() == [2, 3]
    assert (a - 1).tolist() == [0, 1] and (1 - a).tolist() == [0, -1]
    assert (a * 2).tolist() == (2 * a).tolist() == [2, 4]
    assert (a / 2).tolist() == [0.5, 1] and (2 / a).tolist() == [2, 1]
    assert (a**2).tolist() == [1, 4] and (2**a).tolist() == [2, 4]
    assert (-a).tolist() == [-1, -2] and (+a).tolist() == [1, 2] and abs(-a).tolist() == [1, 2]
    assert (a @ a).item() == 5
    assert (a < 2).tolist() == [True, False] and (a == a).tolist() == [True, True]
    assert (2 > a).tolist() == [True, False] and (a != 1).tolist() == [False, True]
    same = a
    a += 1
    a *= 2
    assert a is same and a.tolist() == [4, 6]
    assert (a == None) is False and (a != "text") is True  # noqa: E711
    for other in ("text", None, [1, 2], object()):
        with pytest.raises(TypeError):
            a + other
        with pytest.raises(TypeError):
            a @ other
    bits = torch.tensor([6, 3])
    assert (bits & 2).tolist() == [2, 2] and (bits | 1).tolist() == [7, 3]
    assert (bits ^ 1).tolist() == [7, 2] and (~bits).tolist() == [-7, -4]
    assert (bits << 1).tolist() == [12, 6] and (bits >> 1).tolist() == [3, 1]
    assert (bits // 2).tolist() == [3, 1] and (bits % 4).tolist() == [2, 3]


def test_conversions():
    assert torch.tensor(2.5).item() == 2.5 and isinstance(torch.tensor(2).item(), int)
    assert int(torch.tensor([3.7])) == 3 and float(torch.tensor(3)) == 3.0
    assert complex(torch.tensor(1 + 2j)) == 1 + 2j and [10, 20][torch.tensor(1)] == 20
    assert bool(torch.tensor(True)) and not torch.tensor([0.0])
    assert f"{torch.tensor(1.5):.3f}" == "1.500"
    with pytest.raises(
        RuntimeError, match="a Tensor with 2 elements cannot be converted to Scalar"
    ):
        torch.ones(2).item()
    with pytest.raises(RuntimeError, match="more than one value is ambiguous"):
        bool(torch.ones(2))
    with pytest.raises(RuntimeError, match="no values is ambiguous"):
        bool(torch.ones(0))
    with pytest.raises(ValueError, match="only one element"):
        int(torch.ones(2))
    with pytest.raises(TypeError, match="converted to an index"):
        [1][torch.tensor(0.0)]
    with pytest.raises(TypeError, match="0-d tensor"):
        len(torch.tensor(1))
    with pytest.raises(TypeError, match="0-d tensor"):
        iter(torch.tensor(1))
    assert [t.item() for t in torch.arange(3)] == [0, 1, 2]


def test_size():
    size = torch.ones(2, 3, 4).shape
    assert size.numel() == 24 and isinstance(size[1:], torch.Size) and size[1:] == (3, 4)
    assert isinstance(size + (5,), torch.Size) and (1,) + size == (1, 2, 3, 4)
    assert repr(size) == "torch.Size([2, 3, 4])" and size == (2, 3, 4) and hash(size)
    assert pickle.loads(pickle.dumps(size)) == size
    with pytest.raises(TypeError, match="item 0 is 'float'"):
        torch.Size([1.5])


def test_device_and_dtype():
    assert repr(torch.device("cuda", 1)) == "device(type='cuda', index=1)"
    assert torch.device("cpu") != torch.device("cpu:0") and str(torch.device("cpu:0")) == "cpu:0"
    assert hash(torch.device("meta")) == hash(torch.device("meta"))
    for text in ("foo", "cpu:x", "cpu:-1"):
        with pytest.raises(RuntimeError):
            torch.device(text)
    for thing in (torch.float32, torch.device("cpu:1"), torch.strided, torch.channels_last):
        assert pickle.loads(pickle.dumps(thing)) == thing and copy.deepcopy(thing) == thing
    with torch.device("meta"):
        assert torch.empty(2).is_meta and torch.tensor([1.0]).is_meta
    assert torch.empty(2).is_cpu
    assert torch.float is torch.float32 and torch.float32.to_complex() is torch.complex64
    assert torch.finfo(torch.float16).max == 65504 and torch.iinfo(torch.uint8).max == 255
    with pytest.raises(TypeError):
        torch.finfo(torch.int8)


def test_default_dtype():
    torch.set_default_dtype(torch.float64)
    try:
        assert torch.tensor([1.0]).dtype == torch.float64 and torch.ones(1).dtype == torch.float64
        assert torch.tensor(1j).dtype == torch.complex128
    finally:
        torch.set_default_dtype(torch.float32)
    with pytest.raises(TypeError, match="floating-point"):
        torch.set_default_dtype(torch.int64)


class Named(torch.Tensor):
    pass


def test_subclass_keeps_its_class():
    t = torch.ones(2).as_subclass(Named)
    assert type(t + 1) is Named and type(1 + t) is Named and type(t[0]) is Named
    assert type(t.reshape(1, 2)) is Named and type(torch.cat([t, t])) is Named
    with torch._C.DisableTorchFunctionSubclass():
        assert type(t + 1) is torch.Tensor


def test_torch_function():
    calls = []

    class Logged(torch.Tensor):
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            calls.append(func.__name__)
            return super().__torch_function__(func, types, args, kwargs or {})

    t = torch.ones(2).as_subclass(Logged)
    calls.clear()
    t + 1
    t.exp()
    torch.mul(t, 2)
    assert calls == ["add", "exp", "mul"]

    class Foreign:
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            return func.__name__

    assert torch.ones(1) + Foreign() == "add" and torch.add(Foreign(), 1) == "add"


def test_identity_outlives_python():
    weight = torch.nn.Parameter(torch.ones(2))
    weight.tag = "kept"
    address, loss = id(weight), weight * 2
    del weight
    again = loss.grad_fn.next_functions[0][0].variable
    assert id(again) == address and again.tag == "kept" and type(again) is torch.nn.Parameter
    del again
    again = loss.grad_fn.next_functions[0][0].variable
    assert again.tag == "kept"
    seen = weakref.ref(again)
    del again
    assert seen() is not None
    held = seen()
    del loss
    assert held.tag == "kept" and held.tolist() == [1, 1]
    del held
    gc.collect()
    assert seen() is None


def test_legacy_constructor():
    assert torch.Tensor(2, 3).shape == (2, 3) and torch.Tensor().shape == (0,)
    assert torch.Tensor([1, 2]).tolist() == [1.0, 2.0]
    assert torch.Tensor(torch.Size([2])).shape == (2,)
    assert torch.LongTensor([1]).dtype == torch.int64 and torch.FloatTensor(2).shape == (2,)
    assert isinstance(torch.ones(1), torch.FloatTensor)
    with pytest.raises(TypeError):
        torch.Tensor("text")


def test_copies():
    t = torch.tensor([1.0, 2.0], requires_grad=True)
    for other in (copy.deepcopy(t), pickle.loads(pickle.dumps(t))):
        assert other.tolist() == [1.0, 2.0] and other.requires_grad
        assert other.data_ptr() != t.data_ptr()


def test_storage():
    t = torch.arange(4)
    storage = t.untyped_storage()
    assert storage is t[1:].untyped_storage() and len(storage) == storage.nbytes() == 32
    other = torch.empty(0, dtype=torch.int64).set_(storage, 1, (2,), (2,))
    assert other.tolist() == [1, 3]
    with pytest.raises(RuntimeError, match="out of bounds"):
        torch.empty(0, dtype=torch.int64).set_(storage, 3, (2,), (1,))
    assert storage[0] == 0 and t.storage()[3] == 3 and t.storage().tolist() == [0, 1, 2, 3]


def test_type():
    t = torch.ones(1)
    assert t.type() == "torch.FloatTensor"
    assert (
        t.type(torch.int32).dtype == torch.int32 and t.type("torch.LongTensor").dtype == torch.int64
    )
    assert t.type_as(torch.ones(1, dtype=torch.float64)).dtype == torch.float64
    assert 1.0 in t and 2 not in t


def test_import_is_light():
    code = (
        "import sys, flambeau as torch; torch.nn.Linear; torch.optim; torch.utils.data;"
        "torch.vision; assert not torch.cuda.is_available();"
        "assert not torch.backends.mps.is_available()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    heavy = (
        "import sys, flambeau;"
        "print(sorted({'numpy', 'typing', 'inspect', 'logging'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-S", "-c", heavy], capture_output=True, text=True)
    assert out.stdout.strip() == "[]", out


def test_unknown_names():
    with pytest.raises(AttributeError, match="no attribute 'nothing_here'"):
        getattr(torch, "nothing_here")  # noqa: B009


@pytest.mark.parametrize("name", ["clamp", "clamp_min", "clamp_max", "div"])
def test_a_number_in_place_of_the_tensor_is_refused(name):
    arguments = {"rounding_mode": "floor"} if name == "div" else {}
    with pytest.raises((TypeError, RuntimeError)):
        getattr(torch, name)(1.0, torch.ones(2) if name == "div" else 2.0, **arguments)


def test_rarely_used_names():
    assert list(torch.FloatStorage([1.0, 2.0])) == [1.0, 2.0]
    assert torch.LongStorage(3).dtype == torch.int64
    x = torch.zeros(2, 3)
    assert x.dim_order() == (0, 1) and x.t().dim_order() == (1, 0)
    assert x.dim_order(ambiguity_check=True) == (0, 1)
    single = torch.empty(1, 2, 3, 4)
    formats = [torch.contiguous_format, torch.channels_last]
    assert single.dim_order(ambiguity_check=formats) == (0, 1, 2, 3)
    for check in (True, formats[1:]):
        with pytest.raises(RuntimeError, match="unique dim order"):
            single.dim_order(ambiguity_check=check)
    assert x.where(x > 0, 1).sum() == 6
    assert torch.zeros(3, 3).fill_diagonal_(2).trace() == 6
    assert torch.zeros(7, 3).fill_diagonal_(1, wrap=True).sum() == 6
    assert x.map2_(x, x, lambda a, b, c: a + 1).sum() == 6
    torch.set_deterministic_debug_mode("error")
    assert torch.get_deterministic_debug_mode() == 2
    torch.set_deterministic_debug_mode(0)
    torch.set_default_tensor_type(torch.DoubleTensor)
    assert torch.ones(1).dtype == torch.float64
    torch.set_default_tensor_type("torch.FloatTensor")
    with pytest.raises(RuntimeError, match="removed"):
        torch.symeig(x)


def test_named_results_print_by_lines_and_pickle():
    found = torch.max(torch.ones(2, 2), 0)
    assert repr(found) == (
        "torch.return_types.max(\nvalues=tensor([1., 1.]),\nindices=tensor([0, 0]))"
    )
    again = pickle.loads(pickle.dumps(found))
    assert type(again) is torch.return_types.max and torch.equal(again.values, found.values)
    same = torch.ones(2, requires_grad=True)
    assert torch.broadcast_tensors(same, torch.zeros(2))[0] is same


def test_tensors_without_data_do_not_mix_with_others():
    x, meta = torch.ones(3), torch.ones((), device="meta")
    for wrong in (
        lambda: x + meta,
        lambda: torch.isin(x, meta),
        lambda: x.index_select(0, meta.long()),
    ):
        with pytest.raises(RuntimeError, match="device"):
            wrong()
    assert (meta + torch.tensor(1.0)).is_meta and (torch.ones(2, device="meta") * 2).is_meta


def test_aliases_take_what_their_targets_take():
    x = torch.tensor([3.0, 5.0])
    assert torch.subtract(x, x, alpha=2).tolist() == [-3, -5]
    assert x.subtract(x).tolist() == [0, 0] and x.clone().subtract_(1, alpha=2).tolist() == [1, 3]
    assert torch.divide(x, 2, rounding_mode="floor").tolist() == [1, 2]
    assert torch.special.round(x / 7, decimals=1).tolist() == (x / 7).round(decimals=1).tolist()


def test_factories_take_a_layout():
    for layout in (None, torch.strided):
        assert torch.zeros(2, layout=layout).tolist() == [0, 0]
        assert torch.ones(2).new_full((1,), 3.0, layout=layout).item() == 3
    with pytest.raises(RuntimeError, match="strided"):
        torch.ones(2, layout=torch.sparse_coo)


def test_constructors_by_type_take_sizes_arrays_and_sequences():
    import numpy as np

    for make in (torch.Tensor, torch.FloatTensor):
        assert make(np.linspace(0, 1, 3)).tolist() == [0, 0.5, 1]
        assert make(np.array([[1], [2]])).shape == (2, 1)
        assert make(np.int64(2), 3).shape == (2, 3)
        assert make(torch.Size([2, 1])).shape == make(np.array(2), 1).shape == (2, 1)
        for bad in (True, 2.0, np.float32(2)):
            with pytest.raises(TypeError, match="must be a sequence"):
                make(bad)
    assert torch.LongTensor(range(3)).tolist() == [0, 1, 2]
    with pytest.raises(TypeError, match="expected torch.float32"):
        torch.FloatTensor(torch.ones(2, dtype=torch.float64))


def test_quotients_of_numbers():
    assert torch.div(7, 2, rounding_mode="trunc").item() == 3
    assert torch.divide(-7, 2, rounding_mode="floor").item() == -4
    assert torch.div(7.5, 2, rounding_mode="floor").dtype == torch.float32


def test_conditions():
    torch._check(True)
    torch._check_tensor_all(torch.tensor([True]))
    with pytest.raises(ValueError, match="wrong"):
        torch._check_with(ValueError, False, lambda: "wrong")
    with pytest.raises(IndexError, match="Expected cond"):
        torch._check_index(False)
    with pytest.raises(TypeError, match="_check_tensor_all"):
        torch._check(torch.tensor(True))
    with pytest.raises(RuntimeError):
        torch._check_tensor_all(torch.tensor([True, False]))


def test_constructors_by_type_are_of_the_cpu():
    with torch.device("meta"):
        assert torch.Tensor([1.0]).device.type == torch.FloatTensor(2).device.type == "cpu"


def test_new_from_sizes_storages_and_tensors():
    x = torch.zeros(2)
    assert x.new(size=(3, 4)).shape == (3, 4) and x.new().shape == (0,)
    y = torch.randn(4)
    assert x.new(y).data_ptr() == y.data_ptr() == x.new(y.storage()).data_ptr()
    with pytest.raises(TypeError):
        x.new(torch.ones(2, dtype=torch.int64))


def test_functions_of_python_over_elements():
    x = torch.arange(1, 4)
    assert x.clone().apply_(lambda k: k + k).tolist() == [2, 4, 6]
    with pytest.raises(TypeError):
        x.apply_(lambda k: "text")
    w = torch.ones(3, requires_grad=True)
    for call in (lambda: w.apply_(abs), lambda: torch.ones(3).map_(w, max)):
        with pytest.raises(RuntimeError, match="requires grad"):
            call()
    with pytest.raises(RuntimeError, match="requires grad"):
        torch.ones(3).map2_(w, w, lambda a, b, c: a)


def test_type_takes_the_class_of_tensors():
    assert torch.ones(2, dtype=torch.int32).type(torch.Tensor).dtype == torch.float32


def test_clamp_of_bools_by_integers_counts():
    got = torch.clamp(torch.tensor([True, False]), 1, 3)
    assert got.dtype == torch.int64 and got.tolist() == [1, 1]


def test_what_integers_and_bools_refuse():
    ints, flags = torch.tensor([2, 3]), torch.tensor([True, False])
    for call in (lambda: ints**-1, lambda: ints.clone().pow_(-2), lambda: flags**-1):
        with pytest.raises(RuntimeError, match="negative integer powers"):
            call()
    assert (2.0**-ints).tolist() == [0.25, 0.125] and (ints[:1] ** -1.0).tolist() == [0.5]
    for call in (lambda: 1 - flags, lambda: flags - 1, lambda: ints - flags, lambda: flags - flags):
        with pytest.raises(RuntimeError, match="bool"):
            call()
    with pytest.raises(TypeError, match="invert"):
        ~torch.ones(2)


def test_ravel_is_contiguous():
    x = torch.arange(6.0)
    assert x[::2].ravel().is_contiguous() and x.ravel().data_ptr() == x.data_ptr()
    assert x.view(2, 3).t().ravel().tolist() == [0, 3, 1, 4, 2, 5]
