"""Element types that are kept and converted: complex32, the rarer 8-bit floats, opaque bytes."""

import io
import math

import pytest

import flambeau as torch

nan = math.nan


def half_complex():
    return torch.tensor([1 + 2j, 3 - 4j]).chalf()


def test_complex32_is_computed_as_complex64():
    x = half_complex()
    assert x.dtype is torch.complex32 is torch.chalf and x.element_size() == 4
    assert repr(x) == "tensor([1.+2.j, 3.-4.j], dtype=torch.complex32)"
    assert (x * x).tolist() == [-3 + 4j, -7 - 24j] and (x * x).dtype is torch.complex32
    assert x.abs().dtype is torch.float16 and x.real.tolist() == [1, 3]
    assert (x + torch.ones(2)).dtype is torch.complex64
    assert (x + torch.ones(2).double()).dtype is torch.complex128
    assert x.sum().item() == 4 - 2j and x[1].item() == 3 - 4j
    assert torch.cat([x, x]).tolist() == x.tolist() * 2 and x.flip(0).tolist() == x.tolist()[::-1]
    assert x.mul_(2).tolist() == [2 + 4j, 6 - 8j] and x.fill_(1j).tolist() == [1j, 1j]
    assert torch.add(x, x, out=torch.empty(2, dtype=torch.complex32)).tolist() == [2j, 2j]
    assert torch.add(x, x, out=torch.empty(2, dtype=torch.cfloat)).tolist() == [2j, 2j]


def test_complex32_and_its_parts():
    h = torch.tensor([[1.0, 2.0], [3.0, -4.0]]).half()
    assert torch.equal(torch.view_as_complex(h), half_complex())
    assert torch.equal(torch.view_as_real(half_complex()), h)
    assert torch.equal(torch.complex(h[:, 0], h[:, 1]), half_complex())
    assert torch.float16.to_complex() is torch.complex32
    assert torch.promote_types(torch.complex32, torch.bfloat16) is torch.complex64
    assert torch.promote_types(torch.int64, torch.complex32) is torch.complex32
    assert torch.tensor([1, 2j], dtype=torch.chalf).tolist() == [1, 2j]


def test_gradients_go_through_complex32():
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    y = x.chalf()
    (y * y.conj()).real.float().sum().backward()
    assert x.grad.tolist() == [2, 4]


# Values of the formats: Noune et al. (2022) for "fnuz", OCP Microscaling v1.0 for E8M0.
CODES = [
    ("float8_e4m3fnuz", [0, 1, 64, 127, 128, 255], [0, 2**-10, 1, 240, nan, -240]),
    ("float8_e5m2fnuz", [0, 1, 64, 127, 128, 129], [0, 2**-17, 1, 57344, nan, -(2**-17)]),
    ("float8_e8m0fnu", [0, 1, 127, 130, 254, 255], [2**-127, 2**-126, 1, 8, 2.0**127, nan]),
]


@pytest.mark.parametrize("name, codes, values", CODES)
def test_small_floats(name, codes, values):
    dtype = getattr(torch, name)
    bits = torch.tensor(codes, dtype=torch.uint8).view(dtype)
    torch.testing.assert_close(bits.float(), torch.tensor(values), equal_nan=True, rtol=0, atol=0)
    every = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(every.view(dtype).float().to(dtype).view(torch.uint8), every)
    with pytest.raises(NotImplementedError, match=f'"add" not implemented for .{name}'):
        bits + 1
    two = torch.cat([bits, bits])[1:3]
    assert two.dtype is dtype and two.view(torch.uint8).tolist() == codes[1:3]
    file = io.BytesIO()
    torch.save(bits, file)
    file.seek(0)
    assert torch.load(file).view(torch.uint8).tolist() == codes


def rounded(name, values):
    return torch.tensor(values).to(getattr(torch, name)).float().tolist()


def test_small_floats_round_to_the_nearest():
    assert rounded("float8_e4m3fnuz", [17, 19, -21, 247.9, -0.0]) == [16, 20, -20, 240, 0]
    assert all(map(math.isnan, rounded("float8_e4m3fnuz", [248, math.inf, nan])))
    assert rounded("float8_e5m2fnuz", [4.5, 5.5, 61439]) == [4, 6, 57344]
    assert rounded("float8_e8m0fnu", [1.5, 2.5, 0.75, -3.3]) == [2, 2, 1, 4]
    assert math.isnan(rounded("float8_e8m0fnu", [2.0**127 * 1.5])[0])


@pytest.mark.parametrize("name", ["int4", "uint3", "bits8", "bits2x4", "float4_e2m1fn_x2"])
def test_opaque_bytes_are_viewed_and_moved(name):
    dtype = getattr(torch, name)
    x = torch.arange(6, dtype=torch.uint8).view(dtype).reshape(2, 3)
    assert x.t().contiguous().view(torch.uint8).tolist() == [[0, 3], [1, 4], [2, 5]]
    assert torch.zeros(2, dtype=dtype).view(torch.uint8).tolist() == [0, 0]
    for compute in (lambda: x + 1, lambda: x.float(), lambda: x.sum(), lambda: x.sort()):
        with pytest.raises(NotImplementedError, match=name):
            compute()


@pytest.mark.parametrize("name", ["float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz"])
def test_8_bit_floats_are_looked_at(name):
    x = torch.tensor([1.0, 0.0, nan, 2.0]).to(getattr(torch, name))
    assert (x == x).tolist() == [True, True, False, True]
    assert x.isnan().tolist() == [False, False, True, False]
    assert x.nonzero().flatten().tolist() == [0, 2, 3] and x.count_nonzero() == 3
    chosen = torch.where(torch.tensor([True, False, False, True]), x, x[0])
    assert chosen.dtype is x.dtype and chosen.tolist() == [1, 1, 1, 2]
    with pytest.raises(NotImplementedError, match=name):
        x.scatter_add(0, torch.tensor([0]), x[:1])


def test_names_without_tensors():
    assert torch.sparse_bsr != torch.sparse_csr and repr(torch.jagged) == "torch.jagged"
    assert torch.bit is torch.uint1 and torch.Tag["pointwise"].name == "pointwise"
    assert torch.QInt8Storage(3).nbytes() == 3
    assert torch.get_device_module() is torch.cpu
    assert torch.Event().query()
    with pytest.raises(RuntimeError, match="support events"):
        torch.Event().record()
    with pytest.raises(RuntimeError, match="not built with support"):
        torch.Event("cuda")
    assert torch.tensor([1.0]).hardshrink(2).item() == 0
    assert torch.tensor([1.0]).half().dequantize().dtype is torch.float32


def test_convolution_by_the_weights_dimensions():
    x, w = torch.rand(1, 2, 5, 5), torch.rand(3, 2, 2, 2)
    got = torch.convolution(x, w, None, [2, 1], [1, 1], [1, 1], False, [0, 0], 1)
    assert torch.equal(got, torch.nn.functional.conv2d(x, w, None, (2, 1), 1))
    back = torch.convolution(got, w, None, [2, 1], [0, 0], [1, 1], True, [1, 0], 1)
    assert torch.equal(back, torch.nn.functional.conv_transpose2d(got, w, None, (2, 1), 0, (1, 0)))


def test_float8_e4m3fn_rounds_to_the_nearest_and_stops_at_448():
    x = torch.tensor([0.0, -0.0, 17.0, 19.0, 2**-10, 464.0, -1e9, math.inf, nan])
    codes = [0, 128, 88, 90, 0, 126, 254, 126, 127]
    for source in (x, x.double()):
        assert source.to(torch.float8_e4m3fn).view(torch.uint8).tolist() == codes
    assert torch.full((), 500.0, dtype=torch.float8_e4m3fn).item() == 448
