"""What the profiler records."""

import json

import pytest

import flambeau as torch
from flambeau.profiler import ProfilerActivity, profile, record_function, schedule


def test_operators_are_counted():
    x = torch.ones(8, 8)
    with (
        profile(
            activities=[ProfilerActivity.CPU],
            record_shapes=True,
            profile_memory=True,
            with_flops=True,
        ) as found,
        record_function("block"),
    ):
        for _ in range(3):
            y = torch.mm(x, x).relu()
        y += 1
    averages = {event.key: event for event in found.key_averages()}
    assert averages["aten::mm"].count == 3 and averages["aten::relu"].count == 3
    assert averages["block"].cpu_time_total >= averages["aten::mm"].cpu_time_total
    assert averages["block"].self_cpu_time_total < averages["block"].cpu_time_total
    assert averages["aten::mm"].cpu_memory_usage >= 3 * 256
    assert averages["aten::mm"].flops == 3 * 2 * 8**3 and "Total FLOPs" in str(found)
    grouped = found.key_averages(group_by_input_shape=True)
    assert [[8, 8], [8, 8]] in [event.input_shapes for event in grouped]
    text = grouped.table(sort_by="self_cpu_time_total", row_limit=2)
    assert "Self CPU" in text and "Input Shapes" in text
    assert found.events().total_average().key == "Total"


def test_backward_is_recorded():
    x = torch.ones(4, requires_grad=True)
    with profile(record_shapes=True) as found:
        (x * 2).exp().sum().backward()
    torch.autograd.grad((x * 3).sum(), x)
    keys = {event.key: event for event in found.key_averages(group_by_input_shape=True)}
    assert {"ExpBackward0", "MulBackward0", "torch::autograd::AccumulateGrad"} <= set(keys)
    assert keys["ExpBackward0"].input_shapes == [[4]]
    assert all(event.count == 1 for event in keys.values())
    y = x * 2
    y.register_hook(lambda grad: int("no number"))
    with pytest.raises(ValueError), profile() as found:
        y.exp().sum().backward()
    assert all(event.end >= event.start for event in found.events())


def test_the_table_is_laid_out_as_pytorchs():
    with profile() as found:
        torch.ones(4).exp()
    lines = found.key_averages().table(sort_by="cuda_time_total").split("\n")
    assert lines[0].split() == ["-" * 14] + ["-" * 12] * 6 and lines[0].endswith("-  ")
    assert "    aten::ones  " in lines[3] and len({len(line) for line in lines[:6]}) == 1


def test_nothing_is_recorded_outside():
    with profile() as found:
        pass
    torch.ones(1).exp()
    assert len(found.events()) == 0


def test_schedules_and_traces(tmp_path):
    saved = []

    def ready(one):
        saved.append(one.step_num)
        one.export_chrome_trace(str(tmp_path / f"{one.step_num}.json"))

    steps = schedule(wait=1, warmup=1, active=2, repeat=1)
    with profile(schedule=steps, on_trace_ready=ready, with_stack=True) as found:
        for _ in range(6):
            torch.ones(2).exp()
            found.step()
    assert saved == [4]
    trace = json.loads((tmp_path / "4.json").read_text())
    names = [event["name"] for event in trace["traceEvents"]]
    assert names.count("aten::exp") == 2 and trace["traceEvents"][0]["args"]["Call stack"]
    found.export_stacks(str(tmp_path / "stacks"), "self_cpu_time_total")
    with pytest.raises(AssertionError):
        schedule(wait=-1, warmup=0, active=1)


def test_a_decorated_function_is_a_range():
    @record_function("named")
    def f(x):
        return x + 1

    with torch.autograd.profiler.profile() as found:
        f(torch.ones(1))
    assert "named" in found.table()


def test_names_that_libraries_look_for():
    from flambeau.autograd.profiler_util import EventList, _format_time

    assert EventList is torch.autograd.profiler.EventList and _format_time(2.0).endswith("us")
    assert torch.autograd.kineto_available() in (True, False)


def test_tables_sorted_by_times_of_devices():
    with torch.profiler.profile() as found:
        torch.ones(2).sum()
    sums = found.key_averages()
    assert sums[0].device_time_total == 0
    for key in ("cuda_time_total", "self_cuda_memory_usage", "device_time_total"):
        assert "sum" in sums.table(sort_by=key)
