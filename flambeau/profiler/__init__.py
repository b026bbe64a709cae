"""Where the time of a program goes, by operator.

>>> import flambeau as torch
>>> with torch.profiler.profile() as profile:
...     _ = torch.ones(4).exp().sum()
>>> sorted(event.key for event in profile.key_averages())
['aten::exp', 'aten::ones', 'aten::sum']
"""

import enum
import functools
import json
import os
import time

from flambeau import _C, autograd
from flambeau.overrides import TorchFunctionMode, resolve_name

from ._table import EventList, FunctionEvent

__all__ = """DeviceType ExecutionTraceObserver ProfilerAction ProfilerActivity kineto_available
profile record_function schedule supported_activities tensorboard_trace_handler""".split()


class ProfilerActivity(enum.Enum):
    """What to watch; only the CPU exists."""

    CPU = 0
    CUDA = 2
    XPU = 1
    MTIA = 3
    HPU = 4
    PrivateUse1 = 5


class DeviceType(enum.Enum):
    """Where an event ran."""

    CPU = 0
    CUDA = 1


class ProfilerAction(enum.Enum):
    """What a step of a schedule does."""

    NONE = 0
    WARMUP = 1
    RECORD = 2
    RECORD_AND_SAVE = 3


def supported_activities():
    """The activities that can be watched."""
    return {ProfilerActivity.CPU}


def kineto_available():
    """Whether PyTorch's Kineto library is part of the build: no."""
    return False


def schedule(*, wait, warmup, active, repeat=0, skip_first=0, skip_first_wait=0):
    """A function of the step number: cycles of wait, warm-up and recording.

    >>> from flambeau.profiler import schedule
    >>> [schedule(wait=1, warmup=1, active=2)(step).name for step in range(4)]
    ['NONE', 'WARMUP', 'RECORD', 'RECORD_AND_SAVE']
    """
    if min(wait, warmup, active, repeat, skip_first) < 0 or active == 0:
        raise AssertionError("Invalid profiler schedule arguments")

    def action(step):
        if step < skip_first:
            return ProfilerAction.NONE
        step -= skip_first
        if skip_first_wait:
            step += wait
        cycle, at = divmod(step, wait + warmup + active)
        if repeat and cycle >= repeat or at < wait:
            return ProfilerAction.NONE
        if at < wait + warmup:
            return ProfilerAction.WARMUP
        last = at == wait + warmup + active - 1
        return ProfilerAction.RECORD_AND_SAVE if last else ProfilerAction.RECORD

    return action


def tensorboard_trace_handler(dir_name, worker_name=None, use_gzip=False, use_python_export=False):
    """A handler that writes each trace to dir_name, for TensorBoard's plugin and Chrome."""

    def handle(profiler):
        import socket

        os.makedirs(dir_name, exist_ok=True)
        name = worker_name or f"{socket.gethostname()}_{os.getpid()}"
        end = ".pt.trace.json.gz" if use_gzip else ".pt.trace.json"
        profiler.export_chrome_trace(os.path.join(dir_name, f"{name}.{time.time_ns()}{end}"))

    return handle


_PLAIN = type(_C.Tensor.dim), type(_C.Tensor.__len__)  # methods that are no operators
_open = []  # the profilers that record, the innermost last


class _Watch(TorchFunctionMode):
    """Times every call of an operator."""

    def __init__(self, owner):
        super().__init__()
        self.owner = owner

    def __torch_function__(self, func, types, args=(), kwargs=None):
        name = getattr(func, "__name__", None) or resolve_name(func) or repr(func)
        kwargs = kwargs or {}
        if func is _C.Tensor.backward:
            return _backward(*args, **kwargs)
        if isinstance(func, _PLAIN):
            return func(*args, **kwargs)
        shapes = args if self.owner.record_shapes else None
        with self.owner._event(f"aten::{name}", shapes) as event:
            result = func(*args, **kwargs)
        if self.owner.with_flops:
            from flambeau.utils.flop_counter import flop_registry

            formula = flop_registry.get(name)
            event.flops = formula(*args, **kwargs, out_val=result) if formula else 0
        return result


def _backward(tensor, gradient=None, retain_graph=None, create_graph=False, inputs=None):
    autograd.backward(tensor, gradient, retain_graph, create_graph, inputs=inputs)


class _WatchNodes:
    """Times the nodes of a graph that are run while it is open."""

    def __init__(self, owner, roots):
        self._owner, self._roots = owner, roots

    def __enter__(self):
        self._handles, self._running = [], []
        todo = [
            getattr(root, "grad_fn", None) or getattr(root, "node", None) for root in self._roots
        ]
        seen = set()
        while todo:
            node = todo.pop()
            if node is not None and node not in seen:
                seen.add(node)
                self._handles += self._watch(node)
                todo += [after for after, _ in node.next_functions]

    def _watch(self, node):
        name = node.name()

        def before(grads):
            timed = self._owner._event(name, grads if self._owner.record_shapes else None)
            self._running.append(timed)
            timed.__enter__()

        def after(inputs, outputs):
            self._running.pop().__exit__()

        return node.register_prehook(before), node.register_hook(after)

    def __exit__(self, *exc):
        for handle in self._handles:
            handle.remove()
        while self._running:  # what an error left open
            self._running.pop().__exit__()


def _shapes(args):
    return [list(a.shape) if isinstance(a, _C.Tensor) else [] for a in args]


class profile:
    """Records the operators called while it is open, as context or between start() and stop().

    schedule: a function of the step number, as `schedule()` makes; call step() after each.
    on_trace_ready: called with the profiler when a recording ends. record_shapes, profile_memory,
    with_stack and with_flops add the inputs' shapes, the bytes allocated, the caller and the
    operations (of products, convolutions and attention) to each event; acc_events keeps those of
    earlier cycles. The other arguments are of PyTorch's own tracer, and change nothing here.

    >>> import flambeau as torch
    >>> with torch.profiler.profile(record_shapes=True) as profile:
    ...     _ = torch.ones(2, 3).sum()
    >>> profile.events()[1].input_shapes
    [[2, 3]]
    """

    def __init__(
        self,
        *,
        activities=None,
        schedule=None,
        on_trace_ready=None,
        record_shapes=False,
        profile_memory=False,
        with_stack=False,
        with_flops=False,
        with_modules=False,
        experimental_config=None,
        execution_trace_observer=None,
        acc_events=False,
        use_cuda=None,
        custom_trace_id_callback=None,
    ):
        self.activities = set(activities) if activities else supported_activities()
        self.schedule = schedule or (lambda step: ProfilerAction.RECORD)
        self.on_trace_ready = on_trace_ready
        self.record_shapes = record_shapes
        self.profile_memory = profile_memory
        self.with_stack = with_stack
        self.with_flops = with_flops
        self.acc_events = acc_events
        self.step_num = 0
        self.current_action = ProfilerAction.NONE
        self._metadata = {}
        self._events, self._stack, self._mode = [], [], None

    # -- recording ----------------------------------------------------------------------------
    def _event(self, name, args=None):
        return _Timed(self, name, args)

    def _begin(self):
        if not self.acc_events:
            self._events = []
        self._mode = _Watch(self)
        self._mode.__enter__()
        self._walks = functools.partial(_WatchNodes, self)
        autograd._watchers.append(self._walks)
        _open.append(self)

    def _end(self):
        if self._mode is not None:
            _open.remove(self)
            autograd._watchers.remove(self._walks)
            self._mode.__exit__(None, None, None)
            self._mode = None

    def _act(self, action):
        recording = action in (ProfilerAction.RECORD, ProfilerAction.RECORD_AND_SAVE)
        if recording and self._mode is None:
            self._begin()
        elif not recording:
            self._end()
        self.current_action = action

    def start(self):
        """Begins at step 0."""
        self._act(self.schedule(self.step_num))

    def stop(self):
        """Ends; hands a recording over."""
        recorded = self._mode is not None
        self._end()
        if recorded and self.on_trace_ready:
            self.on_trace_ready(self)
        self.current_action = ProfilerAction.NONE

    def step(self):
        """The next step of the schedule begins."""
        self.step_num += 1
        if self.current_action is ProfilerAction.RECORD_AND_SAVE:
            self._end()
            if self.on_trace_ready:
                self.on_trace_ready(self)
        self._act(self.schedule(self.step_num))

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *exc):
        self.stop()
        return False

    # -- results ------------------------------------------------------------------------------
    def events(self):
        """The events in order, as an EventList."""
        return EventList(self._events)

    def key_averages(
        self, group_by_input_shape=False, group_by_stack_n=0, group_by_overload_name=False
    ):
        """The events summed by name, and by shapes and stack if asked."""
        return self.events().key_averages(group_by_input_shape, group_by_stack_n)

    def export_chrome_trace(self, path):
        """Writes the trace as JSON, for chrome://tracing and Perfetto; gzipped to a path in .gz."""
        import gzip

        with (gzip.open if path.endswith(".gz") else open)(path, "wt") as file:
            json.dump(self.events()._chrome(self._metadata), file)

    def export_stacks(self, path, metric="self_cpu_time_total"):
        """Writes stacks and a metric in the form that flame-graph tools read."""
        if not self.with_stack:
            raise ValueError("export_stacks() requires with_stack=True")
        with open(path, "w") as file:
            for event in self._events:
                value = int(getattr(event, metric))
                if value > 0:
                    stack = ";".join(reversed([event.name, *event.stack]))
                    file.write(f"{stack.replace(' ', '_')} {value}\n")

    def add_metadata(self, key, value):
        """Puts a text into the trace."""
        self._metadata[key] = value

    def add_metadata_json(self, key, value):
        """Puts a value, given as JSON, into the trace."""
        self._metadata[key] = json.loads(value)

    def __repr__(self):
        return repr(self.events())

    def __str__(self):
        return str(self.events())


class _Timed:
    """One event from enter to exit."""

    def __init__(self, owner, name, args):
        self._owner = owner
        shapes = _shapes(args) if args is not None else []
        self._event = FunctionEvent(name, len(owner._events), shapes)

    def __enter__(self):
        owner, event = self._owner, self._event
        if owner.with_stack:
            import traceback

            frames = traceback.extract_stack()[:-3]
            event.stack = [f"{f.filename}({f.lineno}): {f.name}" for f in reversed(frames)]
        event.parent = owner._stack[-1] if owner._stack else None
        owner._stack.append(event)
        owner._events.append(event)
        if owner.profile_memory:
            event.cpu_memory_usage = -_C._memory_stats()["in_use"]
        event.start = time.perf_counter_ns()
        return event

    def __exit__(self, *exc):
        owner, event = self._owner, self._event
        event.end = time.perf_counter_ns()
        if owner.profile_memory:
            event.cpu_memory_usage += _C._memory_stats()["in_use"]
        owner._stack.pop()
        if event.parent is not None:
            event.parent.children_time += event.end - event.start
            event.parent.children_memory += event.cpu_memory_usage
        return False


class record_function:
    """A named range in the trace, as context or decorator.

    >>> import flambeau as torch
    >>> with torch.profiler.profile() as profile, torch.profiler.record_function("mine"):
    ...     _ = torch.ones(4)
    >>> [event.key for event in profile.events()]
    ['mine', 'aten::ones']
    """

    def __init__(self, name, args=None):
        self.name = name
        self.args = args
        self._running = []

    def __enter__(self):
        timed = [owner._event(self.name) for owner in _open]
        for one in timed:
            one.__enter__()
        self._running.append(timed)
        return self

    def __exit__(self, *exc):
        for one in self._running.pop():
            one.__exit__()
        return False

    def __call__(self, function):
        @functools.wraps(function)
        def wrapped(*args, **kwargs):
            with record_function(self.name):
                return function(*args, **kwargs)

        return wrapped


class ExecutionTraceObserver:
    """Writes the operators called between start() and stop() as JSON to a registered file."""

    def __init__(self):
        self._path, self._profile = None, None

    def register_callback(self, output_file_path):
        self._path = output_file_path
        return self

    def unregister_callback(self):
        self.stop()
        self._path = None

    def start(self):
        if self._path is not None and self._profile is None:
            self._profile = profile(record_shapes=True)
            self._profile.start()

    def stop(self):
        if self._profile is not None:
            self._profile.stop()
            self._profile.export_chrome_trace(self._path)
            self._profile = None

    def get_output_file_path(self):
        return self._path
