"""Module: registering, hooks, state dicts, copies, repr."""

import copy
import pickle

import pytest

import flambeau as torch
from flambeau import nn


class Pair(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.second = nn.Linear(4, 2, bias=False)
        self.register_buffer("count", torch.zeros(1))
        self.register_buffer("scratch", torch.zeros(1), persistent=False)

    def forward(self, x):
        return self.second(self.first(x))


def same(a, b):
    return bool((a == b).all())


def test_names_of_parameters_and_buffers():
    net = Pair()
    assert [n for n, _ in net.named_parameters()] == ["first.weight", "first.bias", "second.weight"]
    assert [n for n, _ in net.named_buffers()] == ["count", "scratch"]
    assert [n for n, _ in net.named_modules()] == ["", "first", "second"]
    assert list(net.state_dict()) == ["count", "first.weight", "first.bias", "second.weight"]
    assert net.state_dict()._metadata["first"] == {"version": 1}


def test_shared_parameters_are_listed_once():
    net = nn.Module()
    net.a = nn.Linear(2, 2)
    net.b = net.a
    assert len(list(net.parameters())) == 2
    assert len(list(net.named_parameters(remove_duplicate=False))) == 4
    assert [n for n, _ in net.named_children()] == ["a"]


def test_an_attribute_changes_its_kind():
    net = nn.Module()
    net.x = 3
    net.x = nn.Parameter(torch.ones(1))
    assert "x" in net._parameters and "x" not in net.__dict__
    net.x = None
    assert net.x is None and "x" in net._parameters
    del net.x
    assert not hasattr(net, "x")
    net.x = nn.Buffer(torch.ones(1))
    net.x = torch.zeros(1)
    assert same(net._buffers["x"], torch.zeros(1))


@pytest.mark.parametrize(
    "act, error, words",
    [
        (lambda m: setattr(m, "weight", torch.ones(1)), TypeError, "as parameter 'weight'"),
        (lambda m: m.register_parameter("a.b", None), KeyError, "contain"),
        (lambda m: m.register_parameter("", None), KeyError, "empty string"),
        (lambda m: m.register_parameter("forward", None), KeyError, "already exists"),
        (lambda m: m.register_buffer("b", 3), TypeError, "to buffer 'b'"),
        (lambda m: m.add_module("b", 3), TypeError, "not a Module subclass"),
        (lambda m: m.missing, AttributeError, "no attribute 'missing'"),
        (lambda m: m.train(3), ValueError, "boolean"),
        (lambda m: m.to(torch.int32), TypeError, "floating point or complex"),
        (lambda m: m.load_state_dict(3), TypeError, "dict-like"),
        (lambda m: m.get_submodule("a.b"), AttributeError, "no attribute `a`"),
        (lambda m: nn.Module()(1), NotImplementedError, 'required "forward"'),
        (lambda m: nn.Module(1), TypeError, "positional argument"),
    ],
)
def test_errors(act, error, words):
    with pytest.raises(error, match=words):
        act(nn.Linear(2, 2))


def test_assigning_before_init():
    class Early(nn.Module):
        def __init__(self):
            self.layer = nn.Linear(1, 1)

    with pytest.raises(AttributeError, match="before Module"):
        Early()


def test_forward_hooks():
    net = nn.Linear(2, 2)
    seen = []
    net.register_forward_pre_hook(lambda m, args: (args[0] * 0,))
    handle = net.register_forward_hook(lambda m, args, out: seen.append(out))
    net.register_forward_hook(lambda m, args, out: out + 1, prepend=True)
    out = net(torch.ones(1, 2))
    assert same(out, net.bias + 1) and seen[0] is out
    handle.remove()
    net(torch.ones(1, 2))
    assert len(seen) == 1


def test_hooks_with_keyword_arguments_and_errors():
    class Sum(nn.Module):
        def forward(self, a, *, b=0):
            if b is None:
                raise ValueError("b")
            return a + b

    net, seen = Sum(), []
    net.register_forward_pre_hook(lambda m, args, kw: (args, {"b": kw["b"]}), with_kwargs=True)
    net.register_forward_hook(
        lambda m, a, kw, out: seen.append(out), with_kwargs=True, always_call=True
    )
    assert net(1, b=2) == 3
    with pytest.raises(ValueError):
        net(1, b=None)
    assert seen == [3, None]


def test_global_hooks():
    seen = []
    register = nn.modules.module.register_module_forward_hook
    with register(lambda m, args, out: seen.append(type(m).__name__)):
        nn.Sequential(nn.Identity())(1)
    nn.Identity()(1)
    assert seen == ["Identity", "Sequential"]


def test_full_backward_hooks():
    net, seen = nn.Linear(2, 1, bias=False), []
    net.register_full_backward_hook(lambda m, gi, go: seen.append((gi, go)))
    net.register_full_backward_pre_hook(lambda m, go: (go[0] * 2,))
    x = torch.ones(1, 2, requires_grad=True)
    net(x).sum().backward()
    (grad_input,), (grad_output,) = seen[0]
    assert same(grad_output, torch.full((1, 1), 2.0))
    assert same(grad_input, net.weight.detach() * 2) and same(x.grad, grad_input)


def test_a_backward_hook_replaces_the_gradient():
    net = nn.Identity()
    net.register_full_backward_hook(lambda m, gi, go: (gi[0] * 10,))
    x = torch.ones(2, requires_grad=True)
    net(x * 1).sum().backward()
    assert same(x.grad, torch.full((2,), 10.0))


def test_load_state_dict():
    a, b = Pair(), Pair()
    result = b.load_state_dict(a.state_dict())
    assert repr(result) == "<All keys matched successfully>"
    x = torch.ones(1, 3)
    assert same(a(x), b(x))
    missing = b.load_state_dict({"first.weight": torch.zeros(4, 3), "other": x}, strict=False)
    assert missing.unexpected_keys == ["other"]
    assert missing.missing_keys == ["count", "first.bias", "second.weight"]
    with pytest.raises(RuntimeError, match="(?s)Missing key.*Unexpected key.*size mismatch"):
        b.load_state_dict({"first.weight": torch.zeros(1), "other": x})


def test_load_state_dict_by_assignment():
    net = nn.Linear(2, 2)
    state = {"weight": torch.zeros(2, 2), "bias": torch.ones(2)}
    net.load_state_dict(state, assign=True)
    assert isinstance(net.weight, nn.Parameter)
    assert net.weight.data_ptr() == state["weight"].data_ptr()


def test_extra_state_and_state_hooks():
    class Extra(nn.Linear):
        def get_extra_state(self):
            return {"note": 7}

        def set_extra_state(self, state):
            self.note = state["note"]

    a, b = Extra(1, 1), Extra(1, 1)
    a.register_state_dict_post_hook(lambda m, state, prefix, meta: state.update(more=1))
    state = a.state_dict()
    assert state["_extra_state"] == {"note": 7} and state.pop("more") == 1
    b.register_load_state_dict_post_hook(lambda m, keys: seen.append(keys))
    seen = []
    b.load_state_dict(state)
    assert b.note == 7 and len(seen) == 1


def test_to_and_casts_keep_identity():
    net = Pair()
    weight = net.first.weight
    net.register_buffer("index", torch.zeros(1, dtype=torch.int64))
    net.to(torch.float64)
    assert net.first.weight is weight and weight.dtype == torch.float64
    assert net.count.dtype == torch.float64 and net.index.dtype == torch.int64
    assert net.float().first.weight.dtype == torch.float32


def test_train_zero_grad_requires_grad():
    net = Pair()
    assert not net.eval().first.training and net.train().first.training
    net(torch.ones(1, 3)).sum().backward()
    net.zero_grad(set_to_none=False)
    assert same(net.first.weight.grad, torch.zeros(4, 3))
    net.zero_grad()
    assert net.first.weight.grad is None
    assert not any(p.requires_grad for p in net.requires_grad_(False).parameters())


def test_copies_compute_the_same():
    net, x = Pair(), torch.ones(1, 3)
    for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert same(twin(x), net(x))
        assert twin.first.weight is not net.first.weight


def test_repr():
    net = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    assert repr(net) == (
        "Sequential(\n  (0): Linear(in_features=2, out_features=3, bias=True)\n  (1): ReLU()\n)"
    )
    assert repr(nn.ModuleList([nn.ReLU(), nn.ReLU()])) == "ModuleList(\n  (0-1): 2 x ReLU()\n)"


def test_containers():
    net = nn.Sequential(nn.Linear(1, 2), nn.ReLU(), nn.Linear(2, 3))
    assert len(net[:2]) == 2 and net[-1].out_features == 3
    net.insert(1, nn.Tanh())
    assert isinstance(net[1], nn.Tanh) and isinstance(net.pop(1), nn.Tanh)
    assert len(net * 2) == 6 and len(net + net) == 6
    del net[0]
    assert list(net._modules) == ["0", "1"]
    layers = nn.ModuleList([nn.ReLU()])
    layers.extend([nn.Tanh()])
    layers += [nn.Identity()]
    del layers[0]
    assert [type(m).__name__ for m in layers] == ["Tanh", "Identity"]
    with pytest.raises(IndexError):
        layers[2]
    named = nn.ModuleDict({"a": nn.ReLU()})
    named.update([("b", nn.Tanh())])
    assert list(named) == ["a", "b"] and "a" in named and isinstance(named.pop("a"), nn.ReLU)


def test_parameter_containers():
    row = nn.ParameterList([torch.ones(2), torch.zeros(3)])
    assert len(list(row.parameters())) == 2 and row[-1].shape == (3,)
    table = nn.ParameterDict({"a": torch.ones(1)})
    table["b"] = nn.Parameter(torch.zeros(1))
    assert list(table.state_dict()) == ["a", "b"] and table.pop("a").requires_grad
    assert list(nn.ParameterDict(table).keys()) == ["b"]


def test_parameter():
    p = nn.Parameter(torch.ones(2))
    assert p.requires_grad and p.is_leaf and isinstance(p, torch.Tensor)
    assert repr(p).startswith("Parameter containing:\ntensor([1., 1.]")
    assert isinstance(copy.deepcopy(p), nn.Parameter)
    assert isinstance(pickle.loads(pickle.dumps(p)), nn.Parameter)
    assert type(p * 2) is torch.Tensor and type(p.detach()) is torch.Tensor
    with pytest.raises(RuntimeError):
        nn.Parameter(torch.ones(2, dtype=torch.int64))


def test_lazy_modules():
    net = nn.LazyLinear(3)
    assert repr(net.weight) == "<UninitializedParameter>"
    with pytest.raises(RuntimeError, match="uninitialized"):
        _ = net.weight.shape
    assert net(torch.ones(2, 5)).shape == (2, 3) and type(net) is nn.Linear
    other = nn.LazyLinear(3)
    other.load_state_dict(net.state_dict())
    assert other.weight.shape == (3, 5)


def test_lazy_modules_are_saved_before_their_first_input():
    saved = pickle.dumps(nn.LazyLinear(3))
    assert b"_lazy_load_hook" in saved and b"_infer_parameters" in saved  # names that files have
    for net in (pickle.loads(saved), copy.deepcopy(pickle.loads(saved))):
        assert net(torch.ones(2, 5)).shape == (2, 3) and type(net) is nn.Linear


def test_to_empty_from_meta_makes_new_parameters():
    with torch.device("meta"):
        layer = nn.Linear(2, 3)
    layer.to_empty(device="cpu")
    assert layer.weight.device.type == "cpu" and isinstance(layer.weight, nn.Parameter)
    layer(torch.ones(1, 2)).sum().backward()


def test_compile_in_place():
    layer = nn.Linear(2, 2)
    want = layer(torch.ones(1, 2))
    layer.compile(backend="eager")
    assert torch.equal(layer(torch.ones(1, 2)), want)
    calls = []
    layer.register_forward_hook(lambda *a: calls.append(1))
    layer(torch.ones(1, 2))
    assert calls == [1]
    assert "_compiled_call_impl" not in pickle.loads(pickle.dumps(nn.Linear(1, 1))).__dict__
    assert torch.equal(copy.deepcopy(layer)(torch.ones(1, 2)), want)


def test_the_older_backward_hook():
    layer, seen = nn.Linear(2, 1), []
    layer.register_backward_hook(lambda module, grads_in, grads_out: seen.append(grads_out))
    layer(torch.ones(1, 2, requires_grad=True)).sum().backward()
    assert len(seen) == 1 and seen[0][0].tolist() == [[1.0]]
    with pytest.raises(RuntimeError, match="Cannot use both"):
        layer.register_full_backward_hook(lambda *a: None)


def test_backward_hooks_on_all_modules_in_both_forms():
    from flambeau.nn.modules import module as m

    seen = []
    layer, x = nn.Linear(2, 1), torch.ones(1, 2, requires_grad=True)
    with m.register_module_backward_hook(lambda mod, gin, gout: seen.append(gout[0].item())):
        with pytest.raises(RuntimeError):
            m.register_module_full_backward_hook(print)
        layer(x).sum().backward()
    assert seen == [1.0]
    with m.register_module_full_backward_hook(lambda mod, gin, gout: seen.append(len(gin))):
        layer(x).sum().backward()
    assert seen == [1.0, 1]


def test_load_hooks_do_not_hold_their_module():
    import gc
    import weakref

    gc.disable()
    try:
        layer = nn.Linear(1, 1)
        layer.register_load_state_dict_pre_hook(print)
        gone = weakref.ref(layer)
        del layer
        assert gone() is None
    finally:
        gc.enable()


def test_functional_call_takes_attributes_and_gives_back_what_was_assigned():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = torch.ones(1)
            self.register_buffer("count", torch.zeros(1))

        def forward(self, x):
            self.count = self.count + 1
            return x * self.scale

    net = Scaled()
    values = {"scale": torch.full((1,), 3.0), "count": torch.full((1,), 5.0)}
    assert torch.func.functional_call(net, values, torch.ones(1)).item() == 3
    assert values["count"].item() == 6 and net.count.item() == 0 and net.scale.item() == 1
    net.inner = net  # names go round in circles
    out = torch.func.functional_call(
        net, {"inner.inner.scale": values["scale"]}, torch.ones(1), tie_weights=False
    )
    assert out.item() == 3
    with pytest.raises(RuntimeError, match="Missing key"):
        torch.func.functional_call(nn.Linear(1, 1), {"weight": torch.ones(1, 1)}, strict=True)
    with pytest.raises(TypeError):
        torch.func.functional_call(nn.Linear(1, 1), {"weight": 3}, torch.ones(1))


def test_hooks_on_all_modules_may_be_put_aside():
    from flambeau.nn.modules import module as everywhere

    calls = []
    everywhere.register_module_forward_hook(lambda module, args, output: calls.append("forward"))
    everywhere.register_module_full_backward_hook(lambda *args: calls.append("backward"))
    nn.Linear(1, 1)(torch.ones(1, requires_grad=True)).backward()
    assert calls == ["forward", "backward"] and everywhere._has_any_global_hook()
    everywhere._global_forward_hooks = type(everywhere._global_forward_hooks)()
    everywhere._global_backward_hooks = type(everywhere._global_backward_hooks)()
    everywhere._global_is_full_backward_hook = None
    nn.Linear(1, 1)(torch.ones(1, requires_grad=True)).backward()
    assert len(calls) == 2 and not everywhere._has_any_global_hook()


def test_conversion_in_new_parameters_and_by_swapping():
    future = torch.__future__
    layer = nn.Linear(2, 1)
    old = layer.weight
    old.grad = torch.ones(1, 2)
    assert layer.double().weight is old
    future.set_overwrite_module_params_on_conversion(True)
    try:
        assert layer.float().weight is not old and old.dtype == torch.float64
        assert layer.weight.grad.dtype == torch.float32
    finally:
        future.set_overwrite_module_params_on_conversion(False)
    old, bias = layer.weight, layer.bias
    future.set_swap_module_params_on_conversion(True)
    try:
        assert layer.double().weight is old and old.dtype == torch.float64
        state = {key: torch.ones_like(value).float() for key, value in layer.state_dict().items()}
        layer.load_state_dict(state)
        assert layer.bias is bias and bias.item() == 1 and bias.dtype == torch.float64
        layer.load_state_dict(state, assign=True)
        assert layer.bias is bias and bias.dtype == torch.float32 and bias.requires_grad
    finally:
        future.set_swap_module_params_on_conversion(False)


def test_swapped_tensors():
    a, b = torch.zeros(2), nn.Parameter(torch.ones(1))
    b.grad, b.mark = torch.ones(1), "b"
    torch.utils.swap_tensors(a, b)
    assert a.item() == 1 and type(a) is nn.Parameter and a.grad is not None and a.mark == "b"
    assert b.tolist() == [0, 0] and type(b) is torch.Tensor and not b.requires_grad
    with pytest.raises(RuntimeError):
        torch.utils.swap_tensors(a * 2, b)


def test_backward_hooks_see_which_arguments_have_gradients():
    seen = []

    class Sum(nn.Module):
        def forward(self, a, b, c):
            seen.append((a.requires_grad, b.requires_grad, c.requires_grad))
            return {"sum": a + b + c} if self.named else a + b + c

    layer, x = Sum(), torch.ones(2, requires_grad=True)
    layer.named = False
    layer.register_full_backward_hook(lambda module, grad_input, grad_output: None)
    layer(x, x.detach(), x).sum().backward()
    assert seen == [(True, False, True)]
    layer.named = True
    with pytest.warns(UserWarning, match="Tensor or a tuple of Tensors"):
        layer(x, x, x)
    layer = nn.ReLU()
    layer.register_full_backward_hook(lambda module, grad_input, grad_output: grad_input)
    layer(torch.ones(2)).requires_grad_().sum().backward()  # nothing to replace: None for each


def test_grad_has_another_name():
    w = nn.Parameter(torch.ones(2))
    w._grad = torch.ones(2)
    assert w.grad.tolist() == [1, 1] and w._grad is w.grad


def test_arguments_of_to_for_libraries():
    parse = torch._C._nn._parse_to
    assert parse("cpu", torch.float64) == (torch.device("cpu"), torch.float64, False, None)
    last = torch.channels_last
    assert parse(memory_format=last, non_blocking=True) == (None, None, True, last)


def test_gradients_of_linear_layers_arrive_bias_first():
    layers = (nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2))
    module, seen = nn.Sequential(*layers), []
    for name, parameter in module.named_parameters():
        parameter.register_hook(lambda grad, name=name: seen.append(name))
    module(torch.ones(2, 3)).sum().backward()
    assert seen == ["3.bias", "3.weight", "1.weight", "1.bias", "0.bias", "0.weight"]
