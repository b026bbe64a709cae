"""Sobol sequences: points that fill a cube more evenly than random ones do."""

import functools
from pathlib import Path

import flambeau

# sobol.bin: primitive polynomials and initial direction numbers of S. Joe and F. Y. Kuo,
# "Constructing Sobol sequences with better two-dimensional projections", SIAM J. Sci. Comput. 30
# (2008), of their first 1,111 dimensions: each polynomial as 16 bits, then for each dimension its
# odd numbers m_1, m_2, ... < 2, 4, ...: (m_k - 1) / 2 in k - 1 bits.
_BITS = 30


@functools.cache
def _directions(dimensions):
    """The direction numbers, as rows of 30 integers of 30 bits."""
    data = (Path(__file__).parent / "sobol.bin").read_bytes()
    count = SobolEngine.MAXDIM
    bits = int.from_bytes(data[2 * count :], "little")
    rows = [[1 << (_BITS - 1 - k) for k in range(_BITS)]]  # the first dimension has no polynomial
    for d in range(1, dimensions):
        polynomial = int.from_bytes(data[2 * d : 2 * d + 2], "little")
        degree = polynomial.bit_length() - 1
        row = []
        for k in range(degree):
            m = 2 * (bits & ((1 << k) - 1)) + 1
            bits >>= k
            row.append(m << (_BITS - 1 - k))
        for k in range(degree, _BITS):
            value = row[k - degree] ^ (row[k - degree] >> degree)
            for i in range(1, degree):
                if polynomial >> (degree - i) & 1:
                    value ^= row[k - i]
            row.append(value)
        rows.append(row)
    return rows


class SobolEngine:
    """Points of a Sobol sequence in the unit cube, drawn one after the other.

    With scramble=True the digits are mixed by random triangular matrices and a random shift (J.
    Matousek, "On the L2-discrepancy for anchored boxes", 1998), which seed makes repeatable.

    >>> import flambeau as torch
    >>> torch.quasirandom.SobolEngine(2).draw(3)
    tensor([[0.0000, 0.0000],
            [0.5000, 0.5000],
            [0.7500, 0.2500]])
    """

    MAXBIT = _BITS
    MAXDIM = 1111

    def __init__(self, dimension, scramble=False, seed=None):
        if not 1 <= dimension <= self.MAXDIM:
            raise ValueError(
                "Supported range of dimensionality for SobolEngine is [1, "
                f"{self.MAXDIM}], got {dimension}"
            )
        self.dimension, self.scramble, self.seed = dimension, scramble, seed
        self.num_generated = 0
        self.sobolstate = flambeau.tensor(_directions(dimension), device="cpu")
        self.shift = flambeau.zeros(dimension, dtype=flambeau.int64, device="cpu")
        if scramble:
            self._scramble()

    def _scramble(self):
        generator = None
        if self.seed is not None:
            generator = flambeau.Generator()
            generator.manual_seed(self.seed)
        d, how = self.dimension, {"generator": generator, "device": "cpu"}
        places = 2 ** flambeau.arange(_BITS, device="cpu")
        self.shift = flambeau.randint(2, (d, _BITS), **how) @ places
        mix = flambeau.randint(2, (d, _BITS, _BITS), **how).tril(-1)
        mix += flambeau.eye(_BITS, dtype=mix.dtype, device="cpu")
        # Digits of the direction numbers, the most significant first.
        digits = (self.sobolstate.unsqueeze(-1) >> places.new_tensor(range(_BITS)).flip(0)) & 1
        mixed = flambeau.einsum("dij,dkj->dki", mix, digits) & 1
        self.sobolstate = mixed @ places.flip(0)

    def _points(self, first, n):
        """Points first to first + n as integers: the sums, digit by digit, of Gray's code."""
        count = flambeau.arange(first, first + n, device="cpu")
        gray = count ^ (count >> 1)
        points = self.shift.expand(n, self.dimension).clone()
        for bit in range(max(first + n - 1, 0).bit_length()):
            points ^= ((gray >> bit) & 1).unsqueeze(1) * self.sobolstate[:, bit]
        return points

    @property
    def quasi(self):
        """The digits of the last point drawn."""
        return self._points(max(self.num_generated - 1, 0), 1)[0]

    def draw(self, n=1, out=None, dtype=None):
        """The next n points, a row each."""
        if dtype is None:
            dtype = flambeau.get_default_dtype()
        if self.num_generated + n > 1 << _BITS:
            raise ValueError(f"draw(): there are {1 << _BITS} points only")
        points = self._points(self.num_generated, n).to(dtype) * 2.0**-_BITS
        self.num_generated += n
        if out is None:
            return points
        return out.resize_(points.shape).copy_(points)

    def draw_base2(self, m, out=None, dtype=None):
        """The next 2 ** m points, after which as many are drawn as some power of two says."""
        n = 2**m
        total = self.num_generated + n
        if total & (total - 1):
            raise ValueError(
                "The balance properties of Sobol' points require n to be a power of 2. "
                f"{self.num_generated} points have been previously generated, then: "
                f"n={self.num_generated}+2**{m}={total}. If you still want to do this, please use "
                "'SobolEngine.draw()' instead."
            )
        return self.draw(n, out=out, dtype=dtype)

    def reset(self):
        """Starts over."""
        self.num_generated = 0
        return self

    def fast_forward(self, n):
        """Leaves out n points."""
        self.num_generated += n
        return self

    def __repr__(self):
        about = [f"dimension={self.dimension}"]
        about += ["scramble=True"] if self.scramble else []
        about += [] if self.seed is None else [f"seed={self.seed}"]
        return f"{type(self).__name__}({', '.join(about)})"
