"""Writes flambeau/_sobol.bin from new-joe-kuo-6.21201, the published table of direction numbers.

    python scripts/sobol_table.py new-joe-kuo-6.21201

S. Joe and F. Y. Kuo, Constructing Sobol sequences with better two-dimensional projections, SIAM J.
Sci. Comput. 30 (2008). Its lines are `d s a m_1 ... m_s`; the polynomials are all primitive ones of
the degrees 1 to 18. The file has one bit for each odd polynomial of a degree, whether it is
primitive, then for each of these i - 1 bits for each odd m_i < 2^i; degree after degree.
"""

import pathlib
import sys

import numpy as np


def main(source):
    degrees = {}
    for line in pathlib.Path(source).read_text().splitlines()[1:]:
        _, degree, middle, *numbers = map(int, line.split())
        degrees.setdefault(degree, []).append((middle, numbers))
    bits = []
    for degree, lines in sorted(degrees.items()):
        primitive = np.zeros(2 ** (degree - 1), np.uint8)
        primitive[[middle for middle, _ in lines]] = 1
        bits.append(primitive)
        assert [middle for middle, _ in lines] == np.flatnonzero(primitive).tolist()
        for _, numbers in lines:
            for i, m in enumerate(numbers):
                assert m % 2 == 1 and m < 2 ** (i + 1)
                bits.append(np.array([m >> k & 1 for k in range(1, i + 1)], np.uint8))
    path = pathlib.Path(__file__).parent.parent / "flambeau" / "_sobol.bin"
    path.write_bytes(np.packbits(np.concatenate(bits)).tobytes())


if __name__ == "__main__":
    main(sys.argv[1])
