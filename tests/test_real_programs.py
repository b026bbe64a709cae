"""Behaviours that libraries rely on, one by one, as their own tests found them."""

import copy
import sys

import pytest

import flambeau as torch
from flambeau import nn


def test_a_quotient_may_be_written_over_before_the_backward_pass():
    a = torch.tensor([1.0, 2.0], requires_grad=True)
    b = torch.tensor([4.0, 8.0], requires_grad=True)
    y = a / b
    y.mul_(2)
    y.sum().backward()
    assert a.grad.tolist() == [0.5, 0.25]
    assert b.grad.tolist() == [-0.125, -0.0625]


def test_a_copy_of_a_module_counts_no_write():
    layer = nn.Linear(2, 2)
    before = layer.weight._version
    x = torch.ones(1, 2, requires_grad=True)
    y = layer(x).sum()
    copy.deepcopy(layer)
    torch.empty(0).set_(layer.weight.detach().untyped_storage())
    y.backward()
    assert layer.weight._version == before


def test_the_cpu_has_no_number():
    assert torch.zeros(1, device="cpu:0").device == torch.device("cpu")
    assert torch.zeros(1).to(torch.device("cpu", 0)).device == torch.device("cpu")
    assert torch.device("cpu:0").index == 0


def test_a_bool_is_a_size_after_the_first():
    assert torch.zeros(2, True).shape == (2, 1)
    assert torch.arange(6.0).view([2, True, 3]).shape == (2, 1, 3)
    with pytest.raises(TypeError):
        torch.zeros(True, 2)


def test_torch_function_sees_the_operands_of_einsum_one_by_one():
    class Seen(torch.Tensor):
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            return args[1:]

    x = torch.ones(2, 2).as_subclass(Seen)
    assert torch.einsum("ij,jk->ik", [x, x]) == (x, x)


def test_fx_names_einsum_as_it_is_reached():
    graph = torch.fx.symbolic_trace(lambda a, b: torch.einsum("ij,jk->ik", a, b)).graph
    assert "functional.einsum" in str(graph)


def test_batches_of_sparse_matrices_are_transposed():
    dense = torch.arange(12.0).view(2, 2, 3)
    assert torch.equal(dense.to_sparse().mT.to_dense(), dense.mT)


def test_expand_keeps_the_parameters_of_the_base():
    class Own(torch.distributions.Categorical):
        arg_constraints = {"level": torch.distributions.constraints.real}

        def __init__(self, level):
            self.level = level
            super().__init__(torch.stack([level.sigmoid(), 1 - level.sigmoid()], -1))

        def expand(self, batch_shape, _instance=None):
            new = self._get_checked_instance(Own, _instance)
            new.level = self.level.expand(batch_shape)
            return super().expand(batch_shape, new)

    assert Own(torch.zeros(2)).expand((3, 2)).sample().shape == (3, 2)


def test_a_distribution_may_be_a_module():
    class Both(torch.distributions.Distribution, nn.Module):
        arg_constraints = {}

    assert list(Both().named_modules())


def test_sizes_of_storages():
    assert sys.getsizeof(torch.zeros(100).untyped_storage()) >= 400


def test_forward_mode_takes_a_tangent_of_another_dtype():
    from flambeau.autograd import forward_ad

    with forward_ad.dual_level():
        x = forward_ad.make_dual(torch.ones(2, dtype=torch.float64), torch.ones(2))
        assert forward_ad.unpack_dual(x * x).tangent.tolist() == [2.0, 2.0]


def test_what_was_found_out_about_the_machine():
    from flambeau.utils import collect_env

    assert collect_env.get_cpu_info(collect_env.run)
    assert collect_env.get_nvidia_driver_version(collect_env.run) is None


def test_starts_of_rows():
    rows = torch.tensor([0, 0, 2])
    assert torch._convert_indices_from_coo_to_csr(rows, 4).tolist() == [0, 2, 2, 3, 3]
    both = torch._convert_indices_from_csr_to_coo(torch.tensor([0, 2, 2, 3]), rows)
    assert both.tolist() == [[0, 0, 2], [0, 0, 2]]


def test_assert_close_takes_numpys_numbers():
    import numpy

    torch.testing.assert_close(1.0, numpy.float64(1.0))


def test_a_saved_tensor_is_unpacked_once_in_a_backward_pass():
    from flambeau.utils.checkpoint import checkpoint

    layer = nn.LayerNorm(8)
    x = torch.randn(2, 8, requires_grad=True)
    checkpoint(layer, x, use_reentrant=False).pow(3).sum().backward()
    got = x.grad.clone()
    x.grad = None
    layer(x).pow(3).sum().backward()
    assert torch.allclose(got, x.grad)
    times = {}

    def pack(tensor):
        times[len(times)] = 0
        return len(times) - 1, tensor

    def unpack(packed):
        times[packed[0]] += 1
        return packed[1]

    with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
        loss = layer(x).square().sum()
    loss.backward()
    assert max(times.values()) == 1


def test_gradients_of_samples():
    from flambeau.nn.utils._per_sample_grad import call_for_per_sample_grads

    torch.manual_seed(0)
    layer, x = nn.Linear(3, 2), torch.randn(4, 3)
    call_for_per_sample_grads(layer, loss_reduction="mean")(x).square().sum(-1).mean().backward()
    assert layer.weight.grad is None
    for i in range(4):
        (grad,) = torch.autograd.grad(layer(x[i]).square().sum(), layer.weight)
        assert torch.allclose(layer.weight.grad_sample[i], grad, atol=1e-6)


def test_a_library_may_trace_by_itself():
    from flambeau.fx import _symbolic_trace as st

    class Tracer(torch.fx.Tracer):
        def trace(self, root):
            self.root, self.submodule_paths = root, {m: n for n, m in root.named_modules()}
            self.graph = torch.fx.Graph(tracer_cls=Tracer)
            function, args = self.create_args_for_root(type(root).forward, True)

            def call(module, *args, **kwargs):
                def forward(*args, **kwargs):
                    return st._orig_module_call(module, *args, **kwargs)

                return self.call_module(module, forward, args, kwargs)

            with st._Patcher() as patcher:
                patcher.patch_method(nn.Module, "__call__", call, deduplicate=False)
                st._patch_wrapped_functions(patcher)
                made = self.create_arg(function(*args))
                self.create_node("output", "output", (made,), {})
            return self.graph

    net = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    assert [n.op for n in Tracer().trace(net).nodes].count("call_module") == 2
    assert net(torch.ones(1, 2)).shape == (1, 2)
