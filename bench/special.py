"""Special functions of a million numbers between 0 and 1."""

import timer

FUNCTIONS = (
    "digamma erf erfc erfcx erfinv gammaln i0 i0e i1 log_ndtr logit ndtr ndtri sinc bessel_j0 entr"
).split()


def forward(name):
    def setup(T):
        x = T.rand(1_000_000)
        function = getattr(T.special, name)
        return lambda: function(x)

    return setup


def incomplete_gamma(T):
    a, x = T.rand(1_000_000), T.rand(1_000_000)
    return lambda: T.special.gammainc(a, x)


def rows():
    for name in FUNCTIONS:
        yield name, forward(name)
    yield "gammainc", incomplete_gamma


if __name__ == "__main__":
    timer.main(rows())
