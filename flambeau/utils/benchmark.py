"""Timing statements: warmed up, repeated, with the median and spread.

>>> from flambeau.utils.benchmark import Timer
>>> timer = Timer("x + 1", globals={"x": 1})
>>> timer.timeit(100).number_per_run
100
"""

import enum
import statistics
import textwrap
import timeit as _timeit

import flambeau

__all__ = ["Compare", "Language", "Measurement", "Timer"]


class Language(enum.Enum):
    """What a statement is written in; Timer takes Python."""

    PYTHON = 0
    CPP = 1


class Measurement:
    """Times of one statement, in seconds for each run of it."""

    def __init__(self, number_per_run, raw_times, label, sub_label, description, env, threads):
        self.number_per_run = number_per_run
        self.raw_times = raw_times
        self.label, self.sub_label, self.description = label, sub_label, description
        self.env, self.num_threads = env, threads

    @property
    def times(self):
        """Seconds for one execution, of each measurement."""
        return [t / self.number_per_run for t in self.raw_times]

    @property
    def median(self):
        return statistics.median(self.times)

    @property
    def mean(self):
        return statistics.fmean(self.times)

    @property
    def iqr(self):
        """The distance between the first and the third quartile."""
        if len(self.times) < 2:
            return 0.0
        low, _, high = statistics.quantiles(self.times, n=4)
        return high - low

    def __repr__(self):
        name = ": ".join(part for part in (self.label, self.sub_label, self.description) if part)
        runs = f"{len(self.times)} measurements, {self.number_per_run} runs each"
        return (
            f"<Measurement {name}\n  Median: {_seconds(self.median)}\n"
            f"  IQR:    {_seconds(self.iqr)}\n  {runs}, {self.num_threads} threads>"
        )


def _seconds(t):
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if t >= size:
            return f"{t / size:.2f} {unit}"
    return f"{t * 1e9:.2f} ns"


def _flush(text):
    """A statement that a program wrote indented, between empty lines, at the margin."""
    return textwrap.dedent(text).strip("\n").rstrip()


class Timer:
    """Times `stmt`, run with the names in globals after `setup`, on num_threads threads."""

    def __init__(
        self,
        stmt="pass",
        setup="pass",
        global_setup="",
        timer=_timeit.default_timer,
        globals=None,
        label=None,
        sub_label=None,
        description=None,
        env=None,
        num_threads=1,
        language="python",
    ):
        if str(getattr(language, "name", language)).lower() not in ("python", "py"):
            raise ValueError("Timer: statements are Python")
        names = {"torch": flambeau, "flambeau": flambeau, **(globals or {})}
        if isinstance(stmt, str):
            stmt, setup = _flush(stmt), _flush(setup)
        self._timer = _timeit.Timer(stmt, setup, timer, names)
        self._told = label or stmt, sub_label, description, env, num_threads
        self._threads = num_threads

    def _measured(self, number, times):
        return Measurement(number, times, *self._told)

    def _run(self, number):
        before = flambeau.get_num_threads()
        try:
            flambeau.set_num_threads(self._threads)
            return self._timer.timeit(number)
        finally:
            flambeau.set_num_threads(before)

    def timeit(self, number=1000000):
        """One measurement of so many runs."""
        self._run(max(number // 100, 2))
        return self._measured(number, [self._run(number)])

    def _number(self, seconds):
        number = 1
        while True:
            took = self._run(number)
            if took >= seconds:
                return number
            number *= 10 if took < seconds / 20 else 2

    def blocked_autorange(self, callback=None, min_run_time=0.2):
        """Measurements of as many runs as make the timer's own cost small, for min_run_time s."""
        number, times = self._number(min(min_run_time, 0.2) / 20), []
        while sum(times) < min_run_time:
            times.append(self._run(number))
            if callback is not None:
                callback(number, times[-1])
        return self._measured(number, times)

    def adaptive_autorange(
        self, threshold=0.1, *, min_run_time=0.01, max_run_time=10.0, callback=None
    ):
        """Measures until the quartiles lie within `threshold` of the median, or max_run_time s."""
        number, times = self._number(min_run_time / 4), []
        while True:
            times.append(self._run(number))
            made = self._measured(number, times)
            spent = sum(times)
            close = len(times) >= 4 and made.iqr / made.median < threshold
            if spent >= min_run_time and close or spent >= max_run_time:
                return made


class Compare:
    """A table of measurements: a row for each sub_label, a column for each description."""

    def __init__(self, results):
        self._results = list(results)

    def extend_results(self, results):
        self._results += results

    def trim_significant_figures(self):
        """Digits are few as it is."""

    def colorize(self, rowwise=False):
        """The table is plain text."""

    def __str__(self):
        columns = list(dict.fromkeys(r.description or "" for r in self._results))
        rows = {}
        for r in self._results:
            key = r.label or "", r.sub_label or "", r.num_threads
            rows.setdefault(key, {})[r.description or ""] = _seconds(r.median)
        table = [["", *columns]]
        for (label, sub, threads), cells in rows.items():
            name = f"{label} {sub} ({threads} threads)".replace("  ", " ")
            table.append([name, *(cells.get(c, "") for c in columns)])
        widths = [max(map(len, column)) for column in zip(*table)]
        return "\n".join(
            "  ".join(c.ljust(w) for c, w in zip(row, widths)).rstrip() for row in table
        )

    def print(self):
        print(self)
