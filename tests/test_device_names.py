"""Devices that this build knows by name alone, and the namespaces of their functions."""

import pickle

import pytest

import flambeau as torch

NAMES = "mps xla xpu hpu privateuseone mtia maia ipu vulkan lazy ve fpga hip ideep opencl".split()


@pytest.mark.parametrize("name", NAMES)
def test_a_device_can_be_named(name):
    device = torch.device(name)
    assert device.type == str(device) == name and device.index is None
    assert torch.device(name, 1) == torch.device(f"{name}:1") != device
    assert pickle.loads(pickle.dumps(device)) == device
    with pytest.raises((RuntimeError, AssertionError)):
        torch.zeros(2, device=name)
    with pytest.raises((RuntimeError, AssertionError)):
        torch.zeros(2).to(name)


def test_hashes_are_pytorch_s():
    kinds = {"cpu": 0, "cuda": 1, "xla": 9, "xpu": 12, "mps": 13, "meta": 14, "privateuseone": 20}
    for name, number in kinds.items():
        assert hash(torch.device(name)) == number << 16 | 255
        assert hash(torch.device(name, 3)) == number << 16 | 3


def test_unknown_names():
    for name in ("metal", "npu", "gpu", "cpu:a", "mps:01"):
        with pytest.raises(RuntimeError):
            torch.device(name)


@pytest.mark.parametrize("kind", ["cuda", "xpu", "mtia"])
def test_what_is_not_compiled_in_is_an_assertion(kind):
    with pytest.raises(AssertionError, match=f"Torch not compiled with {kind.upper()} enabled"):
        torch.ones(1, device=kind)
    with pytest.raises(AssertionError):
        torch.nn.Linear(1, 1).to(kind)


def test_default_device_is_only_named():
    try:
        torch.set_default_device("cuda")
        with pytest.raises(AssertionError):
            torch.zeros(1)
        torch.set_default_device("mps")
        with pytest.raises(NotImplementedError):
            torch.zeros(1)
    finally:
        torch.set_default_device(None)
    assert torch.zeros(1).device.type == "cpu"


def test_namespaces_say_that_there_is_nothing():
    for kind in ("cuda", "xpu", "mps", "mtia", "accelerator"):
        module = getattr(torch, kind)
        assert module.is_available() is False and module.device_count() == 0
        with pytest.raises((RuntimeError, AssertionError)):
            module.synchronize()
    assert torch.get_device_module("mps") is torch.mps
    with pytest.raises(RuntimeError, match="torch.hpu"):
        torch.get_device_module("hpu")
    with torch.xpu.device(-1), torch.xpu.device_of(torch.ones(1)):
        pass
    with pytest.raises(AssertionError), torch.xpu.device(0):
        pass
    for name in ("cusparselt", "kleidiai", "nnpack", "mkl", "mps", "cudnn"):
        assert getattr(torch.backends, name).is_available() is False


def test_flags_are_kept():
    mha, cudnn, mkldnn = torch.backends.mha, torch.backends.cudnn, torch.backends.mkldnn
    mha.set_fastpath_enabled(False)
    assert not mha.get_fastpath_enabled()
    mha.set_fastpath_enabled(True)
    assert cudnn.enabled and not cudnn.deterministic
    with cudnn.flags(enabled=False), torch.backends.miopen.flags(immediate=True):
        assert not cudnn.enabled and torch.backends.miopen.immediate
    assert cudnn.enabled and not torch.backends.miopen.immediate
    assert mkldnn.set_flags(_deterministic=True)[1] is False
    assert mkldnn.set_flags(_deterministic=False)[1] is True
    with torch.backends.nnpack.flags(enabled=True), torch.backends.mkl.verbose(1):
        pass


def test_extensions_in_cpp_are_described_and_not_built():
    pytest.importorskip("setuptools")
    from flambeau.utils import cpp_extension as ext

    made = ext.CppExtension("mine", ["mine.cpp"], extra_compile_args=["-O3"])
    assert made.name == "mine" and made.extra_compile_args == ["-O3"]
    from setuptools import Distribution

    command = ext.BuildExtension.with_options(use_ninja=False)(Distribution())
    assert command.use_ninja is False
    command.extensions = [made]
    with pytest.raises(RuntimeError, match="headers"):
        command.build_extensions()
    for call in (lambda: ext.load("m", ["m.cpp"]), lambda: ext.load_inline("m", "")):
        with pytest.raises(RuntimeError, match="headers"):
            call()
    with pytest.raises(OSError):
        ext.CUDAExtension("mine", ["mine.cu"])
    assert ext.CUDA_HOME is None and ext.library_paths() == []


def test_no_child_has_lost_its_device():
    for device in (torch.cuda, torch.xpu, torch.mps, torch.mtia):
        assert device._is_in_bad_fork() is False
