"""Quasirandom numbers: Sobol sequences."""

import flambeau

__all__ = ["SobolEngine"]


class SobolEngine:
    """Points of a Sobol sequence in the unit cube, of up to 21,201 dimensions.

    Direction numbers: S. Joe and F. Y. Kuo, SIAM J. Sci. Comput. 30 (2008). With scramble the
    points are permuted by random lower triangular matrices and shifted (Matousek, J. Complexity 14,
    1998), drawn with the seed or else from the default generator.

    >>> import flambeau as torch
    >>> torch.quasirandom.SobolEngine(2).draw(3)
    tensor([[0.0000, 0.0000],
            [0.5000, 0.5000],
            [0.7500, 0.2500]])
    """

    MAXBIT = 30
    MAXDIM = 21201

    def __init__(self, dimension, scramble=False, seed=None):
        if not 1 <= dimension <= self.MAXDIM:
            raise ValueError(
                f"Supported range of dimensionality for SobolEngine is [1, {self.MAXDIM}]"
            )
        self.seed = seed
        self.scramble = scramble
        self.dimension = dimension
        self.sobolstate = flambeau.from_numpy(_directions(dimension)).to("cpu")
        self.shift = flambeau.zeros(dimension, dtype=flambeau.int64, device="cpu")
        if scramble:
            self._scramble()
        self.quasi = self.shift.clone(memory_format=flambeau.contiguous_format)
        self._first_point = (self.quasi / 2**self.MAXBIT).reshape(1, -1)
        self.num_generated = 0

    def draw(self, n=1, out=None, dtype=None):
        """The next n points, (n, dimension), of a dtype (or the default one)."""
        dtype = flambeau.get_default_dtype() if dtype is None else dtype
        index = flambeau.arange(self.num_generated, self.num_generated + n, device="cpu")
        points = self._points(index)
        if n:
            self.quasi = points[-1].clone()
        self.num_generated += n
        result = points.to(dtype) * 2.0**-self.MAXBIT
        if out is None:
            return result
        return out.resize_(result.shape).copy_(result)

    def draw_base2(self, m, out=None, dtype=None):
        """The next 2^m points; ValueError unless all points so far are then a power of 2."""
        n = 2**m
        total = self.num_generated + n
        if total & (total - 1):
            raise ValueError(
                "The balance properties of Sobol' points require n to be a power of 2. "
                f"{self.num_generated} points have been previously generated, then: "
                f"n={self.num_generated}+2**{m}={total}. If you still want to do this, please use "
                "'SobolEngine.draw()' instead."
            )
        return self.draw(n=n, out=out, dtype=dtype)

    def reset(self):
        """Goes back to the first point; returns the engine."""
        self.quasi.copy_(self.shift)
        self.num_generated = 0
        return self

    def fast_forward(self, n):
        """Leaves n points out; returns the engine."""
        self.num_generated += n
        if self.num_generated:
            last = flambeau.tensor([self.num_generated - 1], device="cpu")
            self.quasi = self._points(last)[0]
        return self

    def _points(self, index):
        """Points by number: the direction numbers at the bits of the number's Gray code."""
        gray = index ^ (index >> 1)
        points = self.shift.repeat(len(index), 1)
        bit = 0
        while bit < self.MAXBIT and len(index) and int(index[-1]) >> bit:
            points ^= (gray >> bit & 1).unsqueeze(1) * self.sobolstate[:, bit]
            bit += 1
        return points

    def _scramble(self):
        generator = None
        if self.seed is not None:
            generator = flambeau.Generator()
            generator.manual_seed(self.seed)
        size, count = self.dimension, self.MAXBIT
        powers = 1 << flambeau.arange(count, device="cpu")
        shifts = flambeau.randint(2, (size, count), device="cpu", generator=generator)
        self.shift = (shifts * powers).sum(1)
        matrices = flambeau.randint(2, (size, count, count), device="cpu", generator=generator)
        matrices = matrices.tril()
        matrices.diagonal(dim1=1, dim2=2).fill_(1)
        # Row p of a matrix gives bit p, the highest first: a sum of bits without carry.
        rows = (matrices * powers.flip(0)).sum(2)
        state = flambeau.zeros_like(self.sobolstate)
        for p in range(count):
            common = self.sobolstate & rows[:, p, None]
            for half in (16, 8, 4, 2, 1):
                common ^= common >> half
            state |= (common & 1) << (count - 1 - p)
        self.sobolstate = state

    def __repr__(self):
        words = [f"dimension={self.dimension}"]
        if self.scramble:
            words.append("scramble=True")
        if self.seed is not None:
            words.append(f"seed={self.seed}")
        return f"{self.__class__.__name__}({', '.join(words)})"


def _directions(dimension):
    """The direction numbers of the first dimensions as an array (dimension, 30)."""
    import os

    import numpy as np

    count = SobolEngine.MAXBIT
    found = [np.array([[1 << (count - 1 - j) for j in range(count)]])]
    missing, at, degree = dimension - 1, 0, 0
    with open(os.path.join(os.path.dirname(__file__), "_sobol.bin"), "rb") as file:
        bits = np.unpackbits(np.frombuffer(file.read(), np.uint8))
    while missing > 0:  # one degree of polynomials after the other, see scripts/sobol_table.py
        degree += 1
        middles = np.flatnonzero(bits[at : at + 2 ** (degree - 1)])
        at += 2 ** (degree - 1)
        width = degree * (degree - 1) // 2
        numbers = bits[at : at + len(middles) * width].reshape(len(middles), width)
        at += numbers.size
        middles, numbers = middles[:missing], numbers[:missing]
        missing -= len(middles)
        v = np.zeros((len(middles), count), np.int64)
        for j in range(min(degree, count)):
            inner = numbers[:, j * (j - 1) // 2 : j * (j + 1) // 2].astype(np.int64)
            m = 1 + 2 * (inner << np.arange(j)).sum(1)
            v[:, j] = m << (count - 1 - j)
        for j in range(degree, count):
            v[:, j] = v[:, j - degree] ^ v[:, j - degree] >> degree
            for k in range(1, degree):
                v[:, j] ^= (middles >> (degree - 1 - k) & 1) * v[:, j - k]
        found.append(v)
    return np.concatenate(found).astype(np.int64)
