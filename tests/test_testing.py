"""flambeau.testing: comparisons and their messages, random tensors, FileCheck."""

import numpy as np
import pytest

import flambeau as torch
from flambeau.testing import FileCheck, assert_allclose, assert_close, make_tensor

T = torch.tensor
NAN = float("nan")


def message(actual, expected, error=AssertionError, **options):
    with pytest.raises(error) as found:
        assert_close(actual, expected, **options)
    return str(found.value)


def test_close():
    assert_close(T([1.0, 2.0]), T([1.0, 2.0 + 1e-6]))
    assert_close({"a": [1.0, T(2)], "b": (None, True)}, {"b": (None, True), "a": [1.0, T(2)]})
    assert_close(T(NAN), T(NAN), equal_nan=True)
    assert_close(T([1.0]), T([1.5]), rtol=0, atol=0.5)
    assert_close(T([1]), T([1.0]), check_dtype=False)
    assert_close(np.ones(2), np.ones(2))
    assert_close(torch.empty(0), torch.empty(0))
    assert_close(torch.nn.Parameter(torch.ones(1)), torch.ones(1))
    assert_allclose(T([1.0, NAN]), [1.0, NAN])


def test_message_for_tensors():
    assert message(T([[1.0, 2.0], [3.0, 9.0]]), T([[1.0, 2.5], [3.0, 4.0]])) == (
        "Tensor-likes are not close!\n\n"
        "Mismatched elements: 2 / 4 (50.0%)\n"
        "Greatest absolute difference: 5.0 at index (1, 1) (up to 1e-05 allowed)\n"
        "Greatest relative difference: 1.25 at index (1, 1) (up to 1.3e-06 allowed)"
    )
    assert message(T([1, 2]), T([1, 4])) == (
        "Tensor-likes are not equal!\n\n"
        "Mismatched elements: 1 / 2 (50.0%)\n"
        "Greatest absolute difference: 2 at index (1,)\n"
        "Greatest relative difference: 0.5 at index (1,)"
    )
    assert "difference: 1 at index (1,)" in message(T([True, False]), T([True, True]))
    assert "difference: inf" in message(T([float("inf")]), T([1.0]))
    assert message(T(1.0), T(2.0)) == (
        "Scalars are not close!\n\nExpected 2.0 but got 1.0.\n"
        "Absolute difference: 1.0 (up to 1e-05 allowed)\n"
        "Relative difference: 0.5 (up to 1.3e-06 allowed)"
    )


def test_message_for_other_values():
    assert message(1, 2) == (
        "Scalars are not equal!\n\nExpected 2 but got 1.\nAbsolute difference: 1\n"
        "Relative difference: 0.5"
    )
    assert message(True, False) == "Booleans mismatch: True is not False"
    assert message(None, 1) == "None mismatch: None is not 1"
    assert message([1.0], [1.0, 2.0]) == "The length of the sequences mismatch: 1 != 2"
    assert message({"a": 1}, {"b": 1}).endswith("Additional keys in the actual mapping: ['a']")
    assert message([1, [2, 3]], [1, [2, 4]]).endswith("The failure occurred for item [1][1]")
    assert "(d)types" in message(1.0, 1)
    assert message(1, 2, msg="own") == "own"
    assert message(1, 2, msg=lambda m: m + "!").endswith("0.5!")


@pytest.mark.parametrize(
    ("a", "b", "name"),
    [
        (torch.ones(2), torch.ones(3), "shape"),
        (torch.ones(2), torch.ones(2, dtype=torch.float64), "dtype"),
        (torch.ones(2), torch.ones(2, device="meta"), "device"),
        (torch.ones(2, 2), torch.ones(2, 2).t(), "stride()"),
    ],
)
def test_attributes(a, b, name):
    assert message(a, b, check_stride=True).startswith(f"The values for attribute '{name}'")


def test_errors():
    assert "No comparison pair" in message("a", "b", TypeError)
    assert "No comparison pair" in message(torch.ones(1), 1.0, TypeError)
    p = torch.nn.Parameter(torch.ones(1))
    assert "No comparison pair" in message(p, torch.ones(1), TypeError, allow_subclasses=False)
    assert "atol" in message(1, 1, ValueError, rtol=1e-3)


@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.bfloat16, torch.int8, torch.uint8, torch.bool, torch.complex64]
)
def test_make_tensor(dtype):
    t = make_tensor(4, 5, dtype=dtype, device="cpu")
    assert t.shape == (4, 5) and t.dtype == dtype
    values = torch.view_as_real(t) if dtype.is_complex else t
    assert values.float().min() >= -9 and values.float().max() <= 9
    t = make_tensor((3, 4), dtype=dtype, device="cpu", noncontiguous=True, exclude_zero=True)
    assert not t.is_contiguous() and (t != 0).all()


def test_make_tensor_options():
    torch.manual_seed(0)
    t = make_tensor(3, dtype=torch.float32, device="cpu", low=2, high=3, requires_grad=True)
    torch.manual_seed(0)
    assert t.detach().equal(torch.empty(3).uniform_(2, 3)) and t.requires_grad
    with pytest.raises(ValueError, match="low"):
        make_tensor(3, dtype=torch.float32, device="cpu", low=2, high=1)
    with pytest.raises(ValueError, match="requires_grad"):
        make_tensor(3, dtype=torch.int64, device="cpu", requires_grad=True)


def test_file_check():
    text = "one two\nthree\nfour four\n"
    FileCheck().check("one").check_same("two").check_next("three").check_not("five").run(text)
    FileCheck().check_count("four", 2, exactly=True).check_not("one").run(text)
    FileCheck().check_dag("three").check_dag("one").check("four").run(text)
    FileCheck().check_regex("t[a-z]+ee").run(text)
    for check, error in (
        (FileCheck().check("five"), 'find "five"'),
        (FileCheck().check_not("three"), 'not find "three"'),
        (FileCheck().check("one").check_next("four"), "CHECK-NEXT"),
        (FileCheck().check("one").check_same("three"), "CHECK-SAME"),
        (FileCheck().check_count("four", 1, exactly=True), "CHECK-NOT"),
        (FileCheck().check_regex("z+"), "regex"),
        (FileCheck().check("three").check("one"), 'find "one"'),
    ):
        with pytest.raises(RuntimeError, match=error):
            check.run(text)


def test_made_tensors_span_more_than_a_number():
    limit = torch.finfo(torch.float32).max
    x = torch.testing.make_tensor(100, dtype=torch.float32, device="cpu", low=-limit, high=limit)
    assert x.isfinite().all() and x.abs().max() > limit / 2


def test_sparse_and_quantized_tensors_are_compared_by_their_parts():
    x = torch.eye(3)
    with pytest.raises(AssertionError, match="Sparse COO values are not close"):
        assert_close(x.to_sparse(), (x * 2).to_sparse())
    with pytest.raises(AssertionError, match="Sparse CSR col_indices are not equal"):
        assert_close(x.to_sparse_csr(), x.flip(0).to_sparse_csr())
    with pytest.raises(AssertionError, match="specified values in sparse COO tensors"):
        assert_close(x.to_sparse(), torch.ones(3, 3).to_sparse())
    with pytest.raises(AssertionError, match="sparse dimensions"):
        assert_close(torch.ones(2, 2).to_sparse(1), torch.ones(2, 2).to_sparse(2))
    assert_close(x.to_sparse_csr(), x.to_sparse(), check_layout=False)
    q = torch.quantize_per_tensor(x, 1, 0, torch.qint8)
    assert_close(q, q)
    with pytest.raises(AssertionError, match="is_quantized"):
        assert_close(q, x, check_dtype=False)
