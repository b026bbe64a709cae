"""jit.trace and jit.save: what is recorded, written and read again."""

import io
import warnings
import zipfile

import pytest

import flambeau as torch
from flambeau import nn
from flambeau.nn import functional as F


def again(traced, **options):
    file = io.BytesIO()
    torch.jit.save(traced, file, **options)
    file.seek(0)
    return torch.jit.load(file)


def check(function, *args, other=()):
    """Traced, saved and loaded, it gives the same for the example and for other sizes."""
    if isinstance(function, nn.Module):
        function.eval()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        traced = torch.jit.trace(function, args)
    loaded = again(traced)
    for given in (args, other or args):
        want, got = function(*given), loaded(*given)
        torch.testing.assert_close(got, want)
        torch.testing.assert_close(traced(*given), want)
    return loaded


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU(inplace=True),
            nn.MaxPool2d(2), nn.Dropout(), nn.AdaptiveAvgPool2d(2), nn.Flatten(),
        )  # fmt: skip
        self.head = nn.Linear(16, 2)
        self.twin = nn.Linear(16, 2)
        self.twin.weight = self.head.weight
        self.register_buffer("scale", torch.tensor(2.0))

    def forward(self, x, factor=1.5):
        x = self.layers(x)
        return self.head(x) * self.scale, {"twin": self.twin(x) * factor}


def test_module():
    net = Net()
    loaded = check(net, torch.rand(1, 3, 8, 8), other=(torch.rand(3, 3, 6, 6),))
    assert list(loaded.state_dict()) == list(net.state_dict())
    assert loaded.original_name == "Net" and "torch.conv2d(x, " in loaded.code
    assert loaded.twin.weight is loaded.head.weight and loaded.head.weight.requires_grad
    loaded(torch.rand(1, 3, 8, 8))[0].sum().backward()
    assert loaded.head.weight.grad is not None


def test_a_trace_shares_parameters():
    layer = nn.Linear(2, 1)
    traced = torch.jit.trace(layer, torch.ones(1, 2))
    layer.weight.data.zero_()
    layer.bias.data.fill_(3)
    assert traced(torch.ones(1, 2)).item() == 3


def test_sizes_follow_the_input():
    def heads(x):
        batch, length, width = x.shape
        split = x.view(batch, length, 2, width // 2).transpose(1, 2)
        mask = torch.ones(length, length).tril().bool()
        scores = (split @ split.mT).masked_fill(~mask, float("-inf"))
        return (scores.softmax(-1) @ split).transpose(1, 2).reshape(x.size(0), -1, width)

    check(heads, torch.rand(2, 3, 4), other=(torch.rand(1, 5, 6),))


def test_indexing_and_writing():
    def program(x, i):
        y = x.clone()
        y[0] = 1
        y[:, 1:3] = 2.0
        y[y > 1.5] = 0
        y[i, i] += 5
        y.mul_(2)[-1] += 1
        return y, x[i], x[..., None], x[::2, -1], x[i, :, None], x[1:, i], x[None, -2:]

    check(program, torch.rand(4, 4), torch.tensor([0, 2]))


def test_functions_and_containers():
    def program(x, pair):
        top, where = x.topk(2)
        parts = x.split([1, 3], 1)
        return {
            "a": torch.einsum("ij,kj->ik", x, pair["k"]),
            "b": F.pad(x, (1, 1), value=3.0) + F.one_hot(where[:, :1], 6).float().squeeze(1),
            "c": torch.cat([parts[0], x.unbind(1)[2][:, None]], 1),
            "d": F.interpolate(x[None, None], scale_factor=2, mode="bilinear")[0, 0],
            "e": x.to(torch.float64).norm(dim=1),
        }, [top, F.normalize(x)]

    check(program, torch.rand(3, 4), {"k": torch.rand(2, 4)})


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
def test_recurrent(kind):
    layer = kind(3, 4, num_layers=2, bidirectional=True, batch_first=True)
    loaded = check(layer, torch.rand(2, 5, 3), other=(torch.rand(3, 2, 3),))
    assert f"torch.{kind.__name__.lower().replace('rnn', 'rnn_tanh')}(" in loaded.code


def test_attention():
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    check(layer, torch.rand(2, 3, 8), other=(torch.rand(1, 5, 8),))


def test_state_that_changes_is_told():
    with pytest.warns(torch.jit.TracerWarning, match="does not match"):
        torch.jit.trace(lambda x: x + torch.rand(2), torch.ones(2))
    with pytest.warns(torch.jit.TracerWarning, match="does not match"):
        torch.jit.trace(
            lambda x: x if x.sum() > 0 else -x,
            torch.ones(2),
            check_inputs=[torch.ones(2), (-torch.ones(2),)],
        )


def test_what_cannot_be_written_says_so():
    def program(x):
        return x.unique()

    traced = torch.jit.trace(program, torch.ones(1, 2))
    assert traced is program
    with pytest.raises(RuntimeError, match="no operator for unique"):
        torch.jit.save(traced, io.BytesIO())
    with pytest.raises(RuntimeError, match="trace it first"):
        torch.jit.save(nn.Linear(1, 1), io.BytesIO())


def test_archive(tmp_path):
    traced = torch.jit.trace(lambda x: x * torch.tensor([1.0, 2.0]), torch.ones(2))
    traced.save(tmp_path / "twice.pt", _extra_files={"note": "hello"})
    names = zipfile.ZipFile(tmp_path / "twice.pt").namelist()
    assert {"twice/code/__torch__.py", "twice/constants.pkl", "twice/data.pkl"} <= set(names)
    extra = {"note": ""}
    loaded = torch.jit.load(tmp_path / "twice.pt", _extra_files=extra)
    assert loaded(torch.ones(2)).tolist() == [1, 2] and extra["note"] == "hello"
    assert again(loaded)(torch.ones(2)).tolist() == [1, 2]


def test_attributes_are_written_by_their_types():
    source = """class M(Module):
  __parameters__ = []
  __buffers__ = []
  training : bool
  sizes : List[int]
  names : Dict[str, List[float]]
  pair : Tuple[int, str]
  maybe : Optional[List[bool]]
  kind : __torch__.Kind
  number : complex
  where : Device
  def forward(self: __torch__.M) -> int:
    sizes = self.sizes
    return torch.len(sizes)
class Kind(Enum):
  ONE = 1
"""
    from flambeau.jit._unit import Unit

    unit = Unit({"code/__torch__.py": source})
    made = unit.find("__torch__.M").__new__(unit.find("__torch__.M"))
    state = {
        "training": True, "sizes": [1, 2], "names": {"a": [0.5]}, "pair": (1, "x"),
        "maybe": [True], "kind": unit.find("__torch__.Kind").ONE, "number": 1 + 2j,
        "where": torch.device("cpu"),
    }  # fmt: skip
    made._fill(state)
    loaded = again(made)
    assert loaded() == 2 and loaded.kind.name == "ONE"
    for name in set(state) - {"kind"}:
        assert getattr(loaded, name) == state[name]


def test_writes_to_an_index_after_whole_dimensions():
    def f(x):
        rows, columns = torch.tril_indices(3, 3, -1)
        made = x.new_zeros(x.shape[:-1] + (3, 3))
        made[..., rows, columns] = x
        made[:, rows] = made[:, rows] + 1
        return made

    x = torch.randn(4, 3)
    traced = torch.jit.trace(f, (torch.randn(4, 3),))
    assert torch.equal(traced(x), f(x))
