"""Operators of a program's own."""

import pytest

import flambeau as torch
from flambeau import library


@pytest.fixture(autouse=True)
def clean():
    yield
    for name in [n for n in library._operators if n.startswith("test::")]:
        del library._operators[name]


def test_custom_op_with_gradient_and_meta():
    @library.custom_op("test::scale", mutates_args=())
    def scale(x: torch.Tensor, by: float = 2.0) -> torch.Tensor:
        return torch.from_numpy(x.detach().numpy() * by)

    @scale.register_fake
    def _(x, by=2.0):
        return torch.empty_like(x)

    def setup(ctx, inputs, output):
        ctx.by = inputs[1]

    scale.register_autograd(lambda ctx, g: (g * ctx.by, None), setup_context=setup)
    x = torch.ones(3, requires_grad=True)
    torch.ops.test.scale(x, 3.0).sum().backward()
    assert x.grad.tolist() == [3, 3, 3]
    assert scale(x, by=4.0).sum() == 12 and torch.ops.test.scale.default(x.detach()).sum() == 6
    assert scale(torch.ones(5, device="meta")).shape == (5,)
    assert scale._schema == "(Tensor x, float by=2.0) -> Tensor"
    assert library.opcheck(scale, (torch.ones(2),))["test_faketensor"] == "SUCCESS"


def test_libraries():
    made = library.Library("test", "DEF")
    assert made.define("add_one(Tensor x) -> Tensor") == "add_one"
    with pytest.raises(NotImplementedError, match="test::add_one"):
        torch.ops.test.add_one(torch.ones(1))
    made.impl("add_one", lambda x: x + 1, "CPU")
    assert torch.ops.test.add_one(torch.ones(1)) == 2
    made.impl("add_one", lambda keys, x: x + 2, "CPU", with_keyset=True)
    assert torch.ops.test.add_one(torch.ones(1)) == 3
    library.define("test::sub", "(Tensor x) -> Tensor", tags=torch.Tag.core)
    assert torch.ops.test.sub.default.tags == [torch.Tag.core]
    library.impl("test::sub", "cpu")(lambda x: x - 1)
    assert torch.ops.test.sub(torch.ones(1)) == 0


def test_schemas():
    def f(x: torch.Tensor, n: int | None, *, names: list[str]) -> tuple[torch.Tensor, bool]: ...

    schema = library.infer_schema(f, mutates_args={"x"})
    assert schema == "(Tensor(a0!) x, SymInt? n, *, str[] names) -> (Tensor, bool)"
    with pytest.raises(ValueError, match="annotation"):
        library.infer_schema(lambda x: x, mutates_args=())


def test_namespaces():
    x = torch.tensor([-1.0, 2.0])
    assert torch.equal(torch.ops.aten.relu(x), torch.relu(x))
    assert torch.equal(torch.ops.aten.add.Tensor(x, x), x + x)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = torch.ops.aten.nothing
    with pytest.raises(RuntimeError, match="does not exist"):
        library.register_fake("test::nothing", lambda x: x)
