"""What a profiler recorded: events, their sums by name, the table."""


class FunctionEvent:
    """One call: name, when it ran, the shapes of its inputs, what it took (times in us)."""

    def __init__(self, name, number, shapes):
        self.id = number
        self.name = self.key = name
        self.input_shapes = shapes
        self.stack = []
        self.parent = None
        self.start = self.end = self.children_time = 0  # ns
        self.cpu_memory_usage = self.children_memory = 0  # bytes
        self.count = 1
        self.flops = 0

    @property
    def cpu_parent(self):
        return self.parent

    @property
    def cpu_time_total(self):
        return (self.end - self.start) / 1e3

    @property
    def self_cpu_time_total(self):
        return (self.end - self.start - self.children_time) / 1e3

    cpu_time = cpu_time_total

    @property
    def self_cpu_memory_usage(self):
        return self.cpu_memory_usage - self.children_memory

    def __repr__(self):
        return f"<FunctionEvent id={self.id} name={self.name} cpu_time={self.cpu_time:.3f}us>"


class FunctionEventAvg:
    """The events of one name: their count and the sums of their times in us."""

    def __init__(self, event):
        self.key = event.name
        self.input_shapes = event.input_shapes
        self.stack = event.stack
        self.count = self.flops = 0
        self.cpu_time_total = self.self_cpu_time_total = 0.0
        self.cpu_memory_usage = self.self_cpu_memory_usage = 0
        self.device_time_total = self.self_device_time_total = 0.0  # of accelerators: none here
        self.device_memory_usage = self.self_device_memory_usage = 0

    def add(self, event):
        self.count += event.count
        for name in (
            "cpu_time_total", "self_cpu_time_total", "cpu_memory_usage", "self_cpu_memory_usage",
            "flops",
        ):  # fmt: skip
            setattr(self, name, getattr(self, name) + getattr(event, name))

    @property
    def cpu_time(self):
        return self.cpu_time_total / self.count

    def __repr__(self):
        return (
            f"<FunctionEventAvg key={self.key} count={self.count} cpu_time={self.cpu_time:.3f}us>"
        )


class EventList(list):
    """A list of events that can be summed, sorted and printed."""

    @property
    def self_cpu_time_total(self):
        return sum(event.self_cpu_time_total for event in self)

    def key_averages(self, group_by_input_shapes=False, group_by_stack_n=0):
        """The events summed by name, and by input shapes and the first lines of the stack."""
        sums = {}
        for event in self:
            key = (
                event.name,
                str(event.input_shapes) if group_by_input_shapes else "",
                tuple(event.stack[:group_by_stack_n]),
            )
            if key not in sums:
                sums[key] = FunctionEventAvg(event)
                if not group_by_input_shapes:
                    sums[key].input_shapes = []
            sums[key].add(event)
        return EventList(sums.values())

    def total_average(self):
        """All events as one."""
        made = None
        for event in self:
            made = made or FunctionEventAvg(event)
            made.add(event)
        if made is not None:
            made.key = "Total"
        return made

    def table(
        self,
        sort_by=None,
        row_limit=100,
        max_src_column_width=75,
        max_name_column_width=55,
        max_shapes_column_width=80,
        header=None,
        top_level_events_only=False,
    ):
        """The events as text, sorted by an attribute such as "self_cpu_time_total"."""
        events = list(self)
        if top_level_events_only:
            events = [e for e in events if getattr(e, "parent", None) is None]
        if sort_by is not None:
            key = sort_by.replace("cuda", "device")
            events.sort(key=lambda event: getattr(event, key), reverse=True)
        total = sum(e.self_cpu_time_total for e in self) or 1.0
        shapes = any(e.input_shapes for e in events)
        flops = any(e.flops for e in events)
        memory = any(e.cpu_memory_usage for e in events)
        titles = ["Name", "Self CPU %", "Self CPU", "CPU total %", "CPU total", "CPU time avg"]
        titles += ["CPU Mem", "Self CPU Mem"] if memory else []
        titles += ["# of Calls"] + (["Input Shapes"] if shapes else [])
        titles += ["Total FLOPs"] if flops else []
        rows = [titles]
        for e in events[: None if row_limit < 0 else row_limit]:
            name = (getattr(e, "key", None) or e.name)[:max_name_column_width]
            row = [name, f"{e.self_cpu_time_total / total:.2%}", _time(e.self_cpu_time_total)]
            row += [f"{e.cpu_time_total / total:.2%}", _time(e.cpu_time_total)]
            row += [_time(e.cpu_time)]
            row += [_bytes(e.cpu_memory_usage), _bytes(e.self_cpu_memory_usage)] if memory else []
            row += [str(e.count)]
            row += [str(e.input_shapes)[:max_shapes_column_width]] if shapes else []
            row += [str(e.flops or "--")] if flops else []
            rows.append(row)
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        rule = "  ".join("-" * width for width in widths)
        lines = ["  ".join(c.rjust(w) for c, w in zip(r, widths, strict=True)) for r in rows]
        lines = [rule, lines[0], rule, *lines[1:], rule, f"Self CPU time total: {_time(total)}"]
        return "\n".join(([header] if header else []) + lines) + "\n"

    def __str__(self):
        return self.table()

    def _chrome(self, metadata):
        import os

        origin = min((event.start for event in self), default=0)
        return {
            "traceEvents": [
                {
                    "ph": "X",
                    "cat": "cpu_op",
                    "name": event.name,
                    "pid": os.getpid(),
                    "tid": 1,
                    "ts": (event.start - origin) / 1e3,
                    "dur": event.cpu_time_total,
                    "args": {"Input Dims": event.input_shapes, "Call stack": event.stack},
                }
                for event in self
            ],
            **metadata,
        }

    def export_chrome_trace(self, path):
        """Writes the events as JSON for chrome://tracing and Perfetto."""
        import json

        with open(path, "w") as file:
            json.dump(self._chrome({}), file)


def _time(us):
    if us >= 1e6:
        return f"{us / 1e6:.3f}s"
    return f"{us / 1e3:.3f}ms" if us >= 1e3 else f"{us:.3f}us"


def _bytes(count):
    for unit, size in (("Gb", 1 << 30), ("Mb", 1 << 20), ("Kb", 1 << 10)):
        if abs(count) >= size:
            return f"{count / size:.2f} {unit}"
    return f"{count} b"
