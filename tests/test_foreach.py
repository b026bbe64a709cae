"""_foreach_*: operators on lists of tensors; conditions that programs assert."""

import pytest

import flambeau as torch


def test_lists_go_along_and_the_rest_to_each():
    a, b = torch.tensor([1.0, 2.0]), torch.tensor([3.0])
    made = torch._foreach_add([a, b], [b, b], alpha=2)
    assert isinstance(made, tuple) and [t.tolist() for t in made] == [[7, 8], [9]]
    assert [t.tolist() for t in torch._foreach_mul([a, b], [2, 3])] == [[2, 4], [9]]
    assert [t.tolist() for t in torch._foreach_pow(2, [a, b])] == [[2, 4], [8]]
    assert [t.tolist() for t in torch._foreach_lerp([a], [a * 3], weight=0.5)] == [[2, 4]]
    assert torch._foreach_norm([torch.full((2,), 3.0)], 1)[0].item() == 6
    assert torch._foreach_maximum([a], 1.5)[0].tolist() == [1.5, 2]


def test_in_place():
    a, b = torch.tensor([4.0]), torch.tensor([9.0])
    both = [a, b]
    assert torch._foreach_sqrt_(both) is both and (a.item(), b.item()) == (2, 3)
    torch._foreach_addcmul_(both, both, both, value=2)
    torch._foreach_addcdiv_(both, [torch.ones(1)] * 2, [torch.ones(1)] * 2, [1, 2])
    assert (a.item(), b.item()) == (11, 23)
    torch._foreach_copy_(both, [b, b])
    torch._foreach_clamp_max_(both, 20)
    assert (a.item(), b.item()) == (20, 20)
    torch._foreach_zero_(both)
    assert (a.item(), b.item()) == (0, 0)


def test_errors():
    with pytest.raises(RuntimeError, match="as long"):
        torch._foreach_add([torch.ones(1)], [torch.ones(1)] * 2)
    with pytest.raises(RuntimeError, match="at least one"):
        torch._foreach_neg([])
    with pytest.raises(AttributeError):
        print(torch._foreach_nothing)
    for check, kind in (("", RuntimeError), ("_index", IndexError), ("_value", ValueError)):
        with pytest.raises(kind, match="no 3"):
            getattr(torch, f"_check{check}")(False, lambda: "no 3")
    with pytest.raises(AssertionError, match="never"):
        torch._assert(False, "never")


def test_scatter_and_gather():
    from flambeau.nn.parallel.scatter_gather import gather, scatter_kwargs

    inputs, kwargs = scatter_kwargs((torch.arange(4),), {"x": [torch.ones(2), 3]}, ["cpu", "cpu"])
    assert inputs[1][0].tolist() == [2, 3] and kwargs[0]["x"][0].tolist() == [1]
    whole = gather([{"y": part[0]} for part in inputs], "cpu")
    assert whole["y"].tolist() == [0, 1, 2, 3]
