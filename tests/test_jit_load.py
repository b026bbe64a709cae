"""jit.load: programs of TorchScript archives, which run, and hostile ones, which do not."""

import io
import zipfile

import pytest

import flambeau as torch

EMPTY = b"\x80\x02c__torch__\nM\n)\x81}X\x08\x00\x00\x00training\x89sb."
HEAD = """class M(Module):
  __parameters__ = []
  __buffers__ = []
  training : bool
"""


def archive(files, data=EMPTY, members=(), packed=False):
    """The bytes of an archive: files below code/, by name."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        file.writestr("m/data.pkl", data)
        file.writestr("m/constants.pkl", b"\x80\x02).")
        file.writestr("m/version", b"3\n")
        for name, content in dict(members).items():
            file.writestr(f"m/{name}", content)
        for name, text in files.items():
            kind = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
            file.writestr(f"m/code/{name}.py", text, kind)
    out.seek(0)
    return out


def program(body, head=HEAD, arguments="x: Tensor", more=""):
    """A loaded module whose forward has this body."""
    lines = "".join(f"    {line}\n" for line in body.strip("\n").splitlines())
    text = f"{head}  def forward(self: __torch__.M,\n    {arguments}) -> Tensor:\n{lines}{more}"
    return torch.jit.load(archive({"__torch__": text}))


def test_operators_and_numbers():
    m = program("""
n = torch.size(x, 0)
y = torch.add(torch.mul(x, 2), n, alpha=3)
z = torch.to(y, 7)
return torch.sum(z, [1], True, dtype=6)
""")
    x = torch.arange(6.0).view(2, 3)
    assert torch.equal(m(x), (x * 2 + 6).sum(1, keepdim=True))
    assert type(m).__name__ == "RecursiveScriptModule" and m.original_name == "M"
    assert "def forward(self,\n  x: Tensor) -> Tensor:\n  n = torch.size(x, 0)" in m.code


def test_control_flow():
    m = program(
        """
out = annotate(List[int], [])
i = 0
_0 = torch.lt(i, k)
while _0:
  if torch.eq(torch.remainder(i, 2), 0):
    _1 = torch.append(out, i)
  else:
    pass
  i0 = torch.add(i, 1)
  _0, i = torch.lt(i0, k), i0
for j in range(torch.len(out)):
  torch._set_item(out, j, torch.mul(out[j], 10))
if torch.__isnot__(y, None):
  y0 = unchecked_cast(Tensor, y)
  r = torch.add(x, y0)
else:
  r = x
d = {"sum": torch.sum(out), "text": torch.format("{}-{}", k, out)}
a, b, = (r, d)
return (a, b, torch.floordiv(7, 2), torch.div(7, 2), torch.pow(2, 3), -inf)
""",
        arguments="x: Tensor,\n    k: int,\n    y: Optional[Tensor]=None",
    )
    x = torch.ones(2)
    a, b, floor, ratio, power, low = m(x, 5, y=x)
    assert a.tolist() == [2, 2] and b == {"sum": 60, "text": "5-[0, 20, 40]"}
    assert (floor, ratio, power, low) == (3, 3.5, 8.0, -float("inf"))
    assert m(x, k=1)[1]["sum"] == 0
    with pytest.raises(RuntimeError, match="missing value for argument 'k'"):
        m(x)
    with pytest.raises(RuntimeError, match="Expected a value of type 'int'"):
        m(x, "5")


def test_classes_functions_and_constants():
    files = {
        "__torch__": HEAD
        + """  scale : Final[float] = 0.5
  def forward(self: __torch__.M,
    x: Tensor) -> Tensor:
    _0 = __torch__.other.double
    p = __torch__.P.__new__(__torch__.P)
    _1 = (p).__init__(3, )
    pair = __torch__.Pair(x, torch.add((p).n, 1))
    if torch.eq((pair)[1], (__torch__.Kind.FOUR).value):
      y = _0(x, True, )
    else:
      y = x
    return __torch__.Pair(y, (p).twice())
  def extra(self: __torch__.M,
    a: float) -> float:
    return torch.mul(a, 2)
class P:
  n : int
  def __init__(self: __torch__.P,
    n: int) -> NoneType:
    self.n = n
    return None
  def twice(self: __torch__.P) -> int:
    n = self.n
    return torch.mul(n, 2)
class Pair(NamedTuple):
  a : Tensor
  b : int
class Kind(Enum):
  THREE = 3
  FOUR = 4
""",
        "__torch__/other": """def double(x: Tensor,
    really: bool=False) -> Tensor:
  if really:
    _0 = torch.mul(x, 2)
  else:
    _0 = x
  return _0
""",
    }
    m = torch.jit.load(archive(files, packed=True))
    found = m(torch.ones(1))
    assert found.a.item() == 2 and found.b == 6 and m.scale == 0.5
    assert m.extra(3) == 6.0 and type(m.extra(3)) is float


def test_fork_with_and_raise():
    m = program("""
def __forked_function():
  return torch.add(x, 1)
f = fork(__forked_function)
y = torch.wait(f)
if torch.gt(torch.item(torch.sum(y)), 3.):
  ops.prim.RaiseException("too much", "builtins.ValueError")
else:
  pass
return y
""")
    assert m(torch.zeros(2)).tolist() == [1, 1]
    with pytest.raises(torch.jit.Error, match="too much"):
        m(torch.ones(2))


def test_unknown_operators_fail_when_they_run():
    m = program("if torch.eq(torch.dim(x), 1):\n  y = torch.relu(x)\nelse:\n"
                "  y = ops.quantized.linear_dynamic(x, 3)\nreturn y")  # fmt: skip
    assert m(torch.ones(1)).item() == 1
    with pytest.raises(RuntimeError, match="quantized::linear_dynamic"):
        m(torch.ones(1, 1))


HOSTILE = {
    "import": "import os\nreturn x",
    "builtins": "return __import__('os')",
    "name": "return open('/etc/passwd')",
    "eval": "return eval('1')",
    "lambda": "f = lambda: x\nreturn x",
    "comprehension": "return [y for y in [x]]",
    "global": "global x\nreturn x",
    "delete": "del x\nreturn x",
    "try": "try:\n  pass\nfinally:\n  pass\nreturn x",
    "call of a value": "f = x\nreturn f(x)",
    "call of a result": "return torch.relu(x)(x)",
    "arithmetic": "return 9 ** 9 ** 9",
    "format": "return f'{x.__class__}'",
    "starred": "return torch.cat(*x)",
    "assignment": "torch.relu = x\nreturn x",
    "argument": "return torch.relu(**x)",
    "value": "f = torch.load\nreturn x",
    "decorator": "@torch.load\ndef g():\n  return x\nreturn x",
    "undefined": "return __torch__.nothing(x, )",
    "constant": "return CONSTANTS.c0",
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
def test_what_torchscript_lacks_is_refused(body):
    with pytest.raises(RuntimeError, match=r"jit\.load"):
        program(body)


REACHING = {
    "class": "return x.__class__",
    "method": "return (x).numpy()",
    "dunder": "return (x).__reduce__()",
    "text": "return ('{0.__class__}').format(x)",
    "getattr": "return getattr(x, '__class__')",
    "function": "return self.forward",
    "module": "return self._modules",
    "file": "return torch.from_file('/etc/passwd', False, 1)",
    "save": "return torch.save(x, '/tmp/x')",
    "load": "return torch.load('/tmp/x')",
    "hub": "return torch.hub.load('x', 'y')",
    "ops": "return ops.os.system('true')",
    "prim": "return ops.prim.__import__('os')",
}


@pytest.mark.parametrize("body", REACHING.values(), ids=REACHING)
def test_nothing_beyond_operators_is_reached(body):
    with pytest.raises((RuntimeError, AttributeError)):
        program(body)(torch.ones(1))


def test_formatting_looks_into_nothing():
    assert program("return torch.format('{0.__class__} {}', 1)")(torch.ones(1)) == (
        "{0.__class__} 1"
    )


def pickled(name, module="__torch__"):
    return f"\x80\x02c{module}\n{name}\n)\x81.".encode("latin1")


@pytest.mark.parametrize(
    "data",
    [
        b"\x80\x02cos\nsystem\nX\x04\x00\x00\x00true\x85R.",
        b"\x80\x02cbuiltins\neval\nX\x01\x00\x00\x001\x85R.",
        pickled("Nothing"),
        pickled("M", "__torch__.elsewhere"),
        b"\x80\x02K\x01.",
        EMPTY[:-3],
        EMPTY.replace(b"training", b"_modules"),
        b"",
    ],
)
def test_hostile_pickles(data):
    text = HEAD + "  def forward(self: __torch__.M) -> int:\n    return 1\n"
    with pytest.raises(RuntimeError, match="jit"):
        torch.jit.load(archive({"__torch__": text}, data))


@pytest.mark.parametrize("text", ["class M(", "(" * 500, "class M(Module):\n  x", "x = 1", "\0"])
def test_source_that_is_none(text):
    with pytest.raises(RuntimeError, match="jit"):
        torch.jit.load(archive({"__torch__": text}))


def test_members_that_unfold_to_more_than_they_say():
    file = archive({"__torch__": HEAD + "#" * 1000}, packed=True)
    data = file.getvalue()
    size = len(HEAD) + 1000
    small = data.replace(size.to_bytes(4, "little"), (50).to_bytes(4, "little"))
    with pytest.raises(RuntimeError, match="has not the size"):
        torch.jit.load(io.BytesIO(small))


def test_extra_files_and_torch_load():
    text = HEAD + "  def forward(self: __torch__.M,\n    x: Tensor) -> Tensor:\n    return x\n"
    file = archive({"__torch__": text}, members={"extra/note": b"hello"})
    extra = {"note": "", "none": ""}
    torch.jit.load(file, _extra_files=extra)
    assert extra == {"note": "hello", "none": ""}
    file.seek(0)
    with pytest.raises(RuntimeError, match="TorchScript"):
        torch.load(file)
    file.seek(0)
    with pytest.warns(UserWarning, match="TorchScript archive"):
        assert isinstance(torch.load(file, weights_only=False), torch.jit.ScriptModule)
    checkpoint = io.BytesIO()
    torch.save({"a": torch.ones(1)}, checkpoint)
    checkpoint.seek(0)
    with pytest.raises(RuntimeError, match="checkpoint"):
        torch.jit.load(checkpoint)
