"""Window functions: values by their formulas, symmetry, the two spellings, errors."""

import math

import pytest

import flambeau as torch

W = torch.signal.windows
NAMES = [name for name in W.__all__ if name != "general_cosine"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("M", [0, 1, 2, 7, 8])
def test_shape_and_symmetry(name, M):
    window = getattr(W, name)(M, dtype=torch.float64)
    assert window.shape == (M,) and window.dtype == torch.float64
    assert torch.allclose(window, window.flip(0))
    if M == 1:
        assert window.item() == 1
    longer = getattr(W, name)(M + 1, dtype=torch.float64)
    if M > 1:
        assert torch.allclose(getattr(W, name)(M, sym=False, dtype=torch.float64), longer[:M])


@pytest.mark.parametrize(
    "name, keywords, formula",
    [
        ("hann", {}, lambda x: math.sin(math.pi * x) ** 2),
        ("hamming", {}, lambda x: 0.54 - 0.46 * math.cos(2 * math.pi * x)),
        ("general_hamming", {"alpha": 0.7}, lambda x: 0.7 - 0.3 * math.cos(2 * math.pi * x)),
        ("bartlett", {}, lambda x: 1 - abs(2 * x - 1)),
        ("gaussian", {"std": 2.0}, lambda x: math.exp(-(((8 * x - 4) / 2) ** 2) / 2)),
        ("exponential", {"tau": 3.0}, lambda x: math.exp(-abs(8 * x - 4) / 3)),
        ("cosine", {}, lambda x: math.sin(math.pi * (8 * x + 0.5) / 9)),
    ],
)
def test_formulas(name, keywords, formula):
    window = getattr(W, name)(9, dtype=torch.float64, **keywords)
    expected = torch.tensor([formula(k / 8) for k in range(9)], dtype=torch.float64)
    assert torch.allclose(window, expected, atol=1e-14)


def test_cosines_and_kaiser():
    a = [0.4, 0.3, 0.2, 0.1]
    window = W.general_cosine(9, a=a, dtype=torch.float64)
    for k in range(9):
        t = 2 * math.pi * k / 8
        terms = (c * (-1) ** i * math.cos(i * t) for i, c in enumerate(a))
        assert window[k].item() == pytest.approx(sum(terms))
    kaiser = W.kaiser(5, beta=8.0, dtype=torch.float64)
    u = torch.linspace(-1, 1, 5, dtype=torch.float64)
    expected = torch.special.i0(8 * (1 - u * u).sqrt()) / torch.special.i0(torch.tensor(8.0))
    assert torch.allclose(kaiser, expected)
    assert W.kaiser(5, beta=0.0).tolist() == [1.0] * 5
    assert W.exponential(4, center=0, sym=False)[0] == 1


@pytest.mark.parametrize("name", "bartlett blackman hamming hann kaiser".split())
def test_windows_of_torch_itself(name):
    function, twin = getattr(torch, name + "_window"), getattr(W, name)
    assert torch.allclose(function(8), twin(8, sym=False))
    assert torch.allclose(function(8, periodic=False), twin(8))
    assert function(8, dtype=torch.float16).dtype == torch.float16
    assert function(0).shape == (0,) and function(1).tolist() == [1.0]
    assert function(3, requires_grad=True).requires_grad
    with pytest.raises(RuntimeError):
        function(-1)
    with pytest.raises(RuntimeError):
        function(3, dtype=torch.int64)
    with pytest.raises(TypeError):
        function(2.5)


def test_parameters_of_torch_itself():
    assert torch.allclose(torch.hamming_window(4, True, 0.5, 0.5), torch.hann_window(4))
    assert torch.allclose(torch.kaiser_window(5, False, 3.0), W.kaiser(5, beta=3.0))


@pytest.mark.parametrize(
    "call",
    [
        lambda: W.hann(-1),
        lambda: W.hann(3, dtype=torch.int32),
        lambda: W.hann(3, dtype=torch.float16),
        lambda: W.hann(3, layout=torch.sparse_coo),
        lambda: W.gaussian(3, std=0),
        lambda: W.exponential(3, tau=-1),
        lambda: W.exponential(3, center=1),
        lambda: W.kaiser(3, beta=-1),
        lambda: W.general_cosine(3, a=[]),
    ],
)
def test_errors(call):
    with pytest.raises(ValueError):
        call()
    with pytest.raises(TypeError):
        W.general_cosine(3, a=1.0)
