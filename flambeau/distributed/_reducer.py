"""Averaging gradients while a backward runs: parameters in buckets, a collective for each."""

import flambeau


class GradBucket:
    """Gradients that travel together, as a communication hook sees them."""

    def __init__(self, index, params, size):
        self._index = index
        self._params = params
        self._size = size
        first = params[0]
        self._buffer = flambeau.zeros(
            sum(p.numel() for p in params), dtype=first.dtype, device=first.device
        )
        self.views = [
            part.view(p.shape)
            for p, part in zip(params, self._buffer.split([p.numel() for p in params]))
        ]
        self.clear()

    def clear(self):
        self.pending = len(self._params)
        self.future = None

    def index(self):
        return self._index

    def buffer(self):
        """All gradients in one flat tensor."""
        return self._buffer

    def set_buffer(self, buffer):
        self._buffer.copy_(buffer)

    def gradients(self):
        return list(self.views)

    def parameters(self):
        return list(self._params)

    def is_last(self):
        return self._index == self._size - 1


def buckets_of(params, nbytes, first_bytes):
    """Parameters, last first, in lists of at most so many bytes and one dtype each."""
    open_lists, done = {}, []
    for param in reversed(params):
        key = param.dtype, param.device
        size = param.numel() * param.element_size()
        here = open_lists.setdefault(key, [[], 0])
        limit = nbytes if done else first_bytes
        here[0].append(param)
        here[1] += size
        if here[1] >= limit:
            done.append(here[0])
            del open_lists[key]
    return done + [here[0] for here in open_lists.values()]


class Reducer:
    """Watches the gradients of parameters and averages them over a group.

    Buckets go out in their order, which is the same in all processes, each as soon as all of
    its gradients and all buckets before it are ready. The last one of a backward waits for all.
    """

    def __init__(self, params, group, nbytes, first_bytes, find_unused, views):
        lists = buckets_of(params, nbytes, first_bytes)
        self.buckets = [GradBucket(i, each, len(lists)) for i, each in enumerate(lists)]
        self.group = group
        self.find_unused = find_unused
        self.views = views
        self.hook = None
        self.enabled = True
        self.expecting = False
        self._place = {}
        for bucket in self.buckets:
            for place, param in enumerate(bucket.parameters()):
                self._place[param] = bucket, place
        for param in params:
            param.register_post_accumulate_grad_hook(self._ready)
        self._reset()

    def _reset(self):
        self._next = 0
        self._seen = set()
        self._used = {}
        self._queued = False
        for bucket in self.buckets:
            bucket.clear()

    def prepare(self, outputs):
        """Called after each forward that will be followed by a backward."""
        if self.expecting and self._seen:
            missing = [p for p in self._place if p not in self._seen]
            raise RuntimeError(
                "Expected to have finished reduction in the prior iteration before starting a new "
                f"one. {len(missing)} parameters were not used in producing the loss. Pass "
                "`find_unused_parameters=True` to DistributedDataParallel if that is so by design."
            )
        self._reset()
        self.expecting = True
        if self.find_unused:
            used = _reachable(outputs)
            for param in self._place:
                if param not in used:
                    self._mark(param, used=False)

    def _ready(self, param):
        if not self.enabled or not self.expecting:
            return
        if param in self._seen:
            if self._used.get(param):
                raise RuntimeError(
                    "Expected to mark a variable ready only once: a parameter was reached by two "
                    "backward passes after one forward, or by reentrant ones"
                )
            self._seen.discard(param)
        self._mark(param, used=True)

    def _mark(self, param, used):
        bucket, place = self._place[param]
        self._seen.add(param)
        self._used[param] = used
        view = bucket.views[place]
        with flambeau.no_grad():
            if used:
                if param.grad.is_sparse:
                    param.grad = param.grad.to_dense()
                if view is not param.grad:
                    view.copy_(param.grad)
            else:
                view.zero_()
        bucket.pending -= 1
        if not self._queued and used:
            self._queued = True
            from flambeau.autograd.variable import Variable

            Variable._execution_engine.queue_callback(self._finish)
        self._launch()

    def _launch(self):
        while self._next < len(self.buckets) and not self.buckets[self._next].pending:
            self._start(self.buckets[self._next])
            self._next += 1

    def _start(self, bucket):
        if self.hook is not None:
            state, hook = self.hook
            bucket.future = hook(state, bucket)
            return
        from .distributed_c10d import all_reduce

        buffer = bucket.buffer()
        with flambeau.no_grad():
            buffer.div_(self.group.size())
        bucket.future = all_reduce(buffer, group=self.group, async_op=True)

    def _finish(self):
        if self._next < len(self.buckets):
            return  # the next forward says which gradients are missing
        used = self._everywhere_used()
        with flambeau.no_grad():
            for bucket in self.buckets:
                result = bucket.future.wait()
                if self.hook is not None:
                    result = result[0] if isinstance(result, (list, tuple)) else result
                    if result is not bucket.buffer():
                        bucket.set_buffer(result.reshape(-1))
                for param, view in zip(bucket.parameters(), bucket.views):
                    if param not in used:
                        continue
                    if self.views:
                        param.grad = view
                    elif param.grad is None:
                        param.grad = view.clone()
                    else:
                        param.grad.copy_(view)
        self.expecting = False

    def contribute_zeros(self):
        """Takes part in the collectives of a backward of the others."""
        self._reset()
        self._used = dict.fromkeys(self._place, False)
        with flambeau.no_grad():
            for bucket in self.buckets:
                bucket.buffer().zero_()
                self._start(bucket)
            for bucket in self.buckets:
                bucket.future.wait()
        self._everywhere_used()

    def _everywhere_used(self):
        """The parameters with a gradient in any process; the others keep what they have."""
        params = list(self._place)
        if not self.find_unused:
            return set(params)
        from .distributed_c10d import ReduceOp, all_reduce

        flags = flambeau.tensor([int(self._used[p]) for p in params], dtype=flambeau.int32)
        all_reduce(flags, ReduceOp.MAX, self.group)
        return {p for p, flag in zip(params, flags.tolist()) if flag}


def _reachable(outputs):
    """The leaves from which tensors were computed."""
    from flambeau.utils._pytree import tree_leaves

    waiting = [
        t.grad_fn
        for t in tree_leaves(outputs)
        if isinstance(t, flambeau.Tensor) and t.requires_grad
    ]
    seen, leaves = set(), {t for t in tree_leaves(outputs) if isinstance(t, flambeau.Tensor)}
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        leaf = getattr(node, "variable", None)
        if leaf is not None:
            leaves.add(leaf)
        waiting += [following for following, _ in node.next_functions]
    return leaves
