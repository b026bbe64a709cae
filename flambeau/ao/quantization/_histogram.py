"""The observer that keeps a histogram, and the range of it that integers hold with least error.

The search narrows the range from both ends, from the end where fewer numbers are lost, as long as
the squared error of rounding goes down ("L2 norm minimization" in Caffe2's quantization library).
"""

import flambeau

from .observer import _EPS, UniformQuantizationObserverBase, check_by_tensor

_STEP = 1e-5  # the share of all numbers by which an end moves
_LEVELS = 256


class HistogramObserver(UniformQuantizationObserverBase):
    """A histogram of all that passed; outliers that cost more than they bring are cut off."""

    def __init__(
        self,
        bins=2048,
        dtype=flambeau.quint8,
        qscheme=flambeau.per_tensor_affine,
        reduce_range=False,
        quant_min=None,
        quant_max=None,
        factory_kwargs=None,
        eps=_EPS,
        is_dynamic=False,
        **kwargs,
    ):
        check_by_tensor("HistogramObserver", qscheme)
        super().__init__(
            dtype,
            qscheme,
            reduce_range,
            quant_min,
            quant_max,
            factory_kwargs,
            eps,
            is_dynamic,
            **kwargs,
        )
        self.bins = bins
        self.register_buffer("histogram", flambeau.zeros(bins))
        self.register_buffer("min_val", flambeau.tensor(float("inf")))
        self.register_buffer("max_val", flambeau.tensor(float("-inf")))

    def forward(self, x_orig):
        """Counts the numbers of x and gives x back."""
        if not x_orig.numel():
            return x_orig
        x = x_orig.detach().to(flambeau.float32)
        low, high = (v.item() for v in x.aminmax())
        old_low, old_high = self.min_val.item(), self.max_val.item()
        if old_low > old_high:  # the first
            counts = flambeau.zeros(self.bins)
        else:
            low, high = min(low, old_low), max(high, old_high)
            counts = self._moved_to(low, high, old_low, old_high)
        self.histogram.copy_(counts + flambeau.histc(x, self.bins, min=low, max=high))
        self.min_val.fill_(low)
        self.max_val.fill_(high)
        return x_orig

    def _moved_to(self, low, high, old_low, old_high):
        """The counts so far over a wider range: those of a bin go by parts to the bins it meets."""
        if (low, high) == (old_low, old_high):
            return self.histogram.clone()
        width = (high - low) / self.bins
        edges = flambeau.linspace(old_low, old_high, self.bins + 1, dtype=flambeau.float64)
        at = ((edges - low) / width).clamp(0, self.bins)
        first = at[:-1].floor().clamp(max=self.bins - 1)
        inside = (first + 1 - at[:-1]) / (at[1:] - at[:-1]).clamp(min=1e-300)
        share = inside.clamp(0, 1) * self.histogram
        made = flambeau.zeros(self.bins, dtype=flambeau.float64)
        first = first.to(flambeau.int64)
        made.index_add_(0, first, share)
        made.index_add_(0, (first + 1).clamp(max=self.bins - 1), self.histogram - share)
        return made.to(flambeau.float32)

    def _error(self, first, last):
        """The squared error of rounding when the levels cover the bins from first to last."""
        bin_width = (self.max_val.item() - self.min_val.item()) / self.bins
        width = bin_width * (last - first + 1) / _LEVELS
        if width == 0:
            return 0.0
        begin = (flambeau.arange(self.bins, dtype=flambeau.float64) - first) * bin_width
        end = begin + bin_width
        level_begin = (begin / width).floor().clamp(0, _LEVELS - 1)
        level_end = (end / width).floor().clamp(0, _LEVELS - 1)

        def cubes(low, high):
            return (high**3 - low**3) / 3

        to_begin = begin - (level_begin + 0.5) * width
        to_end = end - (level_end + 0.5) * width
        one_level = cubes(to_begin, to_end)
        whole = width**3 / 12
        several = (
            cubes(to_begin, flambeau.tensor(width / 2, dtype=flambeau.float64))
            + (level_end - level_begin - 1) * whole
            + cubes(flambeau.tensor(-width / 2, dtype=flambeau.float64), to_end)
        )
        error = flambeau.where(level_begin == level_end, one_level, several)
        return (error * self.histogram / bin_width).sum().item()

    def _best_range(self):
        sums = self.histogram.cumsum(0).tolist()
        total = self.histogram.sum().item()
        alpha, beta, least = 0.0, 1.0, float("inf")
        first, last = 0, self.bins - 1
        while alpha < beta:
            left, right = first, last
            while left < last and sums[left] < (alpha + _STEP) * total:
                left += 1
            while right > first and sums[right] > (beta - _STEP) * total:
                right -= 1
            if left - first > last - right:
                new, alpha = (left, last), alpha + _STEP
            else:
                new, beta = (first, right), beta - _STEP
            if new == (first, last):
                continue
            error = self._error(*new)
            if error > least:
                break
            least, (first, last) = error, new
        low, high = self.min_val, self.max_val
        width = (high - low) / self.bins
        return low + width * first, low + width * (last + 1)

    def calculate_qparams(self):
        """(scale, zero point) of the range with the least error."""
        if self.min_val > self.max_val:
            return flambeau.tensor([1.0]), flambeau.tensor([0])
        return self._calculate_qparams(*self._best_range())


HistogramObserver.__module__ = UniformQuantizationObserverBase.__module__
