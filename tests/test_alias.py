"""Programs that import torch themselves, and the version that they read."""

import os
import subprocess
import sys

import flambeau as torch
from flambeau.torch_version import TorchVersion

PROGRAM = """
import sys
import importlib.metadata
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader
import torchvision.transforms as T
import flambeau

assert torch is flambeau and nn is flambeau.nn and torch.nn is nn
assert F is flambeau.nn.functional and torch.torch is torch and torch.__name__ == "torch"
import copy, pickle
assert repr(torch.Tensor) == "<class 'torch.Tensor'>" == str(type(torch.ones(1)))
assert nn.Linear.__module__ == "torch.nn.modules.linear" in sys.modules
assert repr(torch.optim.SGD) == "<class 'torch.optim.sgd.SGD'>"
net = pickle.loads(pickle.dumps(copy.deepcopy(nn.Sequential(nn.Linear(1, 1), nn.ReLU()))))
assert repr(net).startswith("Sequential(")
normal = torch.distributions.Normal(0.0, 1.0).expand((2,))
assert T is flambeau.vision.transforms and nn.__spec__.name == "flambeau.nn"
assert importlib.metadata.version("torch") == torch.__version__ >= "2.1"
try:
    import torch.no_such_module
except ModuleNotFoundError as error:
    assert error.name == "torch.no_such_module"
print(nn.Linear(2, 3)(torch.ones(1, 2)).shape, __name__, sys.argv[1:])
import torchvision.datasets.svhn
from torchvision.datasets.cifar import CIFAR10
assert torchvision.datasets.cifar.CIFAR10 is torchvision.datasets.CIFAR10 is CIFAR10
assert torchvision.get_image_backend() == "PIL" and not torchvision._is_tracing()
from torch.multiprocessing.pool import Pool
from torchvision.ops.roi_align import RoIAlign
from torchvision.tv_tensors._bounding_boxes import BoundingBoxes
from torchvision.transforms._functional_tensor import rgb_to_grayscale
import torchvision
for place in ("tv_tensors", "transforms.v2.functional", "datasets"):
    try:
        __import__("torchvision." + place, fromlist=["_no_such_name"])._no_such_name
        raise SystemError(place)
    except AttributeError:
        pass
assert callable(torchvision.ops.roi_align) and RoIAlign is torchvision.ops.RoIAlign
try:
    import torchvision.datasets.nothing
except ModuleNotFoundError as error:
    assert error.name == "torchvision.datasets.nothing"
"""


def test_a_program_runs_unedited(tmp_path):
    (tmp_path / "helper.py").write_text("import torch\nx = torch.ones(2)\n")
    program = tmp_path / "program.py"
    program.write_text(PROGRAM + "import helper\nassert helper.x.sum() == 2\n")
    run = [sys.executable, "-m", "flambeau", str(program), "--lr", "1"]
    env = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
    env["PYTHONPATH"] = os.path.dirname(os.path.dirname(os.path.abspath(torch.__file__)))
    out = subprocess.run(run, capture_output=True, text=True, cwd=tmp_path, env=env)
    assert out.returncode == 0, out.stderr
    assert out.stdout == "torch.Size([1, 3]) __main__ ['--lr', '1']\n"


CHILDREN = """
import torch, torch.multiprocessing as mp

def work(rank, weight):
    with torch.no_grad():
        weight[rank] = type(weight).__module__ == "torch"

if __name__ == "__main__":
    weight = torch.zeros(2).share_memory_()
    mp.spawn(work, (weight,), nprocs=2)
    print(weight.tolist())
"""


def test_children_import_torch_too(tmp_path):
    (tmp_path / "program.py").write_text(CHILDREN)
    root = os.path.dirname(os.path.dirname(os.path.abspath(torch.__file__)))
    run = [sys.executable, "-m", "flambeau", str(tmp_path / "program.py")]
    env = {**os.environ, "PYTHONPATH": root}
    out = subprocess.run(run, capture_output=True, text=True, env=env)
    assert out.stdout == "[1.0, 1.0]\n", out.stderr


def test_without_a_program_it_says_how():
    out = subprocess.run([sys.executable, "-m", "flambeau"], capture_output=True, text=True)
    assert out.returncode == 2 and "usage" in out.stdout


def test_versions_compare_as_numbers():
    v = TorchVersion("2.13.0+flambeau.0.1.0")
    assert v > "2.9" and v >= (2, 13) and v >= "2.13.0" and not v < "2.13" and v < "2.13.1"
    assert v != "2.12" and v == "2.13.0+flambeau.0.1.0" and v.startswith("2.13")
    assert TorchVersion("2.0.0") == "2.0" and TorchVersion("2.0.0a0") < "2.0"
    assert isinstance(torch.__version__, str) and torch.__version__ > "2.0"
    assert torch.version.cuda is None
