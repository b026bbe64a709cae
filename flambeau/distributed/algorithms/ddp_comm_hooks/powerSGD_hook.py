"""Gradients as products of two thin matrices: PowerSGD (Vogels et al., arXiv 1905.13727)."""

import flambeau
import flambeau.distributed as dist

from .default_hooks import _mean


class PowerSGDState:
    """The rank of the products, when they begin, and what is kept from step to step: with
    `use_error_feedback` what was left out is added to the next gradient, with `warm_start` the
    factors are the next step's start."""

    def __init__(
        self,
        process_group,
        matrix_approximation_rank=1,
        start_powerSGD_iter=1000,
        min_compression_rate=2,
        use_error_feedback=True,
        warm_start=True,
        orthogonalization_epsilon=0,
        random_seed=0,
        compression_stats_logging_frequency=10000,
        batch_tensors_with_same_shape=False,
    ):
        if (use_error_feedback or warm_start) and start_powerSGD_iter <= 1:
            raise ValueError(
                "Expect `start_powerSGD_iter` > 1 if `use_error_feedback` or `warm_start` is "
                "enabled, because PowerSGD can only be applied after the first two iterations in "
                "DDP."
            )
        self.process_group = process_group
        self.matrix_approximation_rank = matrix_approximation_rank
        self.start_powerSGD_iter = start_powerSGD_iter
        self.min_compression_rate = min_compression_rate
        self.use_error_feedback, self.warm_start = use_error_feedback, warm_start
        self.orthogonalization_epsilon = orthogonalization_epsilon
        self.compression_stats_logging_frequency = compression_stats_logging_frequency
        self.batch_tensors_with_same_shape = batch_tensors_with_same_shape
        self.rng = flambeau.Generator().manual_seed(random_seed)
        self.error_dict, self.q_memory_dict = {}, {}
        self.iter = self.total_numel_before_compression = self.total_numel_after_compression = 0

    def maybe_increase_iter(self, bucket):
        """Counts the steps: by the last bucket of each."""
        if bucket.is_last():
            self.iter += 1

    def compression_stats(self):
        """(how many times fewer numbers travelled, numbers before, numbers after)."""
        before, after = self.total_numel_before_compression, self.total_numel_after_compression
        return (before / after if after else 0), before, after


def _orthogonal(matrix, epsilon):
    """Its columns made orthonormal, one after the other."""
    columns = []
    for column in matrix.unbind(1):
        for other in columns:
            column = column - (other @ column) * other
        columns.append(column / (column.norm() + epsilon))
    return flambeau.stack(columns, 1)


def _factors(state, index, matrices):
    """The right factor of each matrix to begin with, the same on all processes."""
    kept = state.q_memory_dict.get(index) if state.warm_start else None
    if kept is None:
        rank = state.matrix_approximation_rank
        kept = [
            flambeau.randn(m.shape[1], min(*m.shape, rank), generator=state.rng).to(m)
            for m in matrices
        ]
    epsilon = state.orthogonalization_epsilon
    return [_orthogonal(q, epsilon) for q in kept]


def _sum(state, tensors):
    """Adds them up over all processes, in one message."""
    flat = flambeau.cat([t.reshape(-1) for t in tensors])
    dist.all_reduce(flat, group=state.process_group)
    parts = flat.split([t.numel() for t in tensors])
    return [part.view(t.shape) for part, t in zip(parts, tensors)]


def _compressed(state, index, matrices, size):
    """Approximate means of matrices over all processes."""
    qs = _factors(state, index, matrices)
    ps = _sum(state, [m @ q for m, q in zip(matrices, qs)])
    ps = [_orthogonal(p, state.orthogonalization_epsilon) for p in ps]
    qs = [q / size for q in _sum(state, [m.mT @ p for m, p in zip(matrices, ps)])]
    state.q_memory_dict[index] = qs
    state.total_numel_after_compression += sum(t.numel() for t in (*ps, *qs))
    return [p @ q.mT for p, q in zip(ps, qs)]


def powerSGD_hook(state, bucket):
    """The mean over all processes, of large gradients by products of the state's rank."""
    group = state.process_group
    group = dist._get_default_group() if group is None else group
    buffer, step, index = bucket.buffer(), state.iter, bucket.index()
    state.maybe_increase_iter(bucket)
    if step < state.start_powerSGD_iter:
        return _mean(group, buffer)
    if state.use_error_feedback:
        buffer += state.error_dict.get(index, 0)
        wanted = buffer.clone()
    state.total_numel_before_compression += buffer.numel()
    large, small = [], []
    for gradient in bucket.gradients():
        matrix = gradient.view(gradient.shape[0], -1) if gradient.dim() else gradient.view(1, 1)
        n, m = matrix.shape
        few = (n + m) * state.matrix_approximation_rank * state.min_compression_rate < n * m
        (large if gradient.dim() > 1 and few else small).append(matrix)
    if small:
        state.total_numel_after_compression += sum(m.numel() for m in small)
        for gradient, total in zip(small, _sum(state, small)):
            gradient.copy_(total / group.size())
    if large:
        for gradient, found in zip(large, _compressed(state, index, large, group.size())):
            gradient.copy_(found)
    if state.use_error_feedback:
        state.error_dict[index] = wanted - buffer
    done = flambeau.futures.Future()
    done.set_result(buffer)
    return done
