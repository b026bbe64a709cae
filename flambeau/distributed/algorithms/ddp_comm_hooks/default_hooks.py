"""Averaging gradients as they are, or in half precision."""

import flambeau
import flambeau.distributed as dist

__all__ = [
    "allreduce_hook",
    "bf16_compress_hook",
    "bf16_compress_wrapper",
    "fp16_compress_hook",
    "fp16_compress_wrapper",
]


def _mean(group, tensor):
    group = dist._get_default_group() if group is None else group
    work = dist.all_reduce(tensor.div_(group.size()), group=group, async_op=True)
    return work.get_future().then(lambda done: done.value()[0])


def allreduce_hook(process_group, bucket):
    """The mean over all processes, which is what happens without a hook too."""
    return _mean(process_group, bucket.buffer())


def _compressed(dtype):
    def hook(process_group, bucket):
        buffer = bucket.buffer()
        future = _mean(process_group, buffer.to(dtype))
        return future.then(lambda done: buffer.copy_(done.value()))

    def wrapper(hook):
        def wrapped(state, bucket):
            buffer = bucket.buffer()
            bucket._buffer = buffer.to(dtype)
            future = hook(state, bucket)
            bucket._buffer = buffer

            def decompress(done):
                value = done.value()
                return buffer.copy_(value[0] if isinstance(value, (list, tuple)) else value)

            return future.then(decompress)

        return wrapped

    return hook, wrapper


fp16_compress_hook, fp16_compress_wrapper = _compressed(flambeau.float16)
bf16_compress_hook, bf16_compress_wrapper = _compressed(flambeau.bfloat16)
fp16_compress_hook.__doc__ = "The mean of the gradients in float16."
bf16_compress_hook.__doc__ = "The mean of the gradients in bfloat16."
fp16_compress_wrapper.__doc__ = "A hook that sees the gradients in float16."
bf16_compress_wrapper.__doc__ = "A hook that sees the gradients in bfloat16."
