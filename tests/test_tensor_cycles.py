"""Attributes of tensors in cycles, and the collector of garbage."""

import gc
import weakref

import flambeau as torch


class Mark:
    """Something to refer to weakly."""


def test_attributes_live_as_long_as_something_holds_the_tensor():
    x, y, mark = torch.ones(2), torch.ones(2), Mark()
    x.mark, x.other, y.other = mark, y, x
    alive = weakref.ref(mark)
    holder = torch.ones(2)
    holder.grad = x
    del x, y, mark
    gc.collect()
    assert alive() is not None
    assert holder.grad.mark is alive()
    del holder
    gc.collect()
    assert alive() is None
