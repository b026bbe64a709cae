"""What a profiler recorded: events, their sums by name, the table."""


class _NoDevice:
    """What an event took elsewhere than on the CPU: nothing."""

    device_time = device_time_total = self_device_time_total = 0.0
    device_memory_usage = self_device_memory_usage = 0
    use_device = None
    is_async = is_remote = is_legacy = is_user_annotation = False


class FunctionEvent(_NoDevice):
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


class FunctionEventAvg(_NoDevice):
    """The events of one name: their count and the sums of their times in us."""

    def __init__(self, event):
        self.key = event.name
        self.input_shapes = event.input_shapes
        self.stack = event.stack
        self.count = self.flops = 0
        self.cpu_time_total = self.self_cpu_time_total = 0.0
        self.cpu_memory_usage = self.self_cpu_memory_usage = 0

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
            f"<FunctionEventAvg key={self.key} self_cpu_time={_time(self.self_cpu_time_total)} "
            f"cpu_time={_time(self.cpu_time)}  self_cuda_time={_time(0.0)} cuda_time={_time(0.0)} "
            f"input_shapes={self.input_shapes or ''} cpu_memory_usage={self.cpu_memory_usage} "
            "cuda_memory_usage=0>"
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
        columns = _columns(events, total, max_name_column_width, max_shapes_column_width)
        rule = "".join("-" * width + "  " for _, width, _ in columns)
        lines = [rule, "".join(title.rjust(width) + "  " for title, width, _ in columns), rule]
        for e in events[: None if row_limit < 0 else row_limit]:
            lines.append("".join(text(e).rjust(width) + "  " for _, width, text in columns))
        lines += [rule, f"Self CPU time total: {_time(total)}"]
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


def _columns(events, total, max_name, max_shapes):
    """(title, width, text of an event) of each column."""

    def widest(texts, most):
        return min(max(map(len, texts), default=0) + 4, most)

    def name(e):
        return _short(getattr(e, "key", None) or e.name, max_name)

    def shapes(e):
        return _short(str(e.input_shapes), max_shapes)

    found = [
        ("Name", widest(map(name, events), max_name), name),
        ("Self CPU %", 12, lambda e: f"{e.self_cpu_time_total / total:.2%}"),
        ("Self CPU", 12, lambda e: _time(e.self_cpu_time_total)),
        ("CPU total %", 12, lambda e: f"{e.cpu_time_total / total:.2%}"),
        ("CPU total", 12, lambda e: _time(e.cpu_time_total)),
        ("CPU time avg", 12, lambda e: _time(e.cpu_time)),
    ]
    if any(e.cpu_memory_usage for e in events):
        found.append(("CPU Mem", 12, lambda e: _bytes(e.cpu_memory_usage)))
        found.append(("Self CPU Mem", 12, lambda e: _bytes(e.self_cpu_memory_usage)))
    found.append(("# of Calls", 12, lambda e: str(e.count)))
    if any(e.input_shapes for e in events):
        found.append(("Input Shapes", max(12, widest(map(shapes, events), max_shapes)), shapes))
    if any(e.flops for e in events):
        found.append(("Total FLOPs", 12, lambda e: str(e.flops or "--")))
    return found


def _short(text, most):
    return text if len(text) <= most else text[: most - 3] + "..."


def _time(us):
    if us >= 1e6:
        return f"{us / 1e6:.3f}s"
    return f"{us / 1e3:.3f}ms" if us >= 1e3 else f"{us:.3f}us"


def _bytes(count):
    for unit, size in (("GB", 1 << 30), ("MB", 1 << 20), ("KB", 1 << 10)):
        if abs(count) >= size:
            return f"{count / size:.2f} {unit}"
    return f"{count} B"
