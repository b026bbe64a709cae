"""vmap where older programs look for it."""

from .func import vmap

__all__ = ["vmap"]


def _vmap(func, in_dims=0, out_dims=0, allow_none_pass_through=False):
    """vmap(func, in_dims, out_dims); results that are None may pass."""
    if not allow_none_pass_through:
        return vmap(func, in_dims, out_dims)

    def passing(*args):
        missing = []

        def run(*examples):
            found = func(*examples)
            single = not isinstance(found, tuple)
            found = (found,) if single else found
            missing[:] = [single, [r is None for r in found]]
            return tuple(r for r in found if r is not None)

        there = iter(vmap(run, in_dims, out_dims)(*args))
        single, absent = missing
        found = tuple(None if none else next(there) for none in absent)
        return found[0] if single else found

    return passing
