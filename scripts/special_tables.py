"""Writes csrc/cpu/special_tables.h: Chebyshev coefficients of the special functions, by mpmath.

python scripts/special_tables.py > csrc/cpu/special_tables.h    (mpmath is all that it needs)
"""

import mpmath as mp

mp.mp.dps = 40
PI = mp.pi


def chebyshev(f, tolerance=2.0**-56, size=64):
    """Coefficients of f on [-1, 1], highest first, those below the tolerance left out."""
    nodes = [mp.cos(PI * (k + mp.mpf(1) / 2) / size) for k in range(size)]
    values = [f(t) for t in nodes]
    out = []
    for j in range(size):
        weights = (mp.cos(PI * j * (k + mp.mpf(1) / 2) / size) for k in range(size))
        out.append(2 * mp.fsum(v * w for v, w in zip(values, weights, strict=True)) / size)
    out[0] /= 2
    scale = max(abs(v) for v in values)
    while abs(out[-1]) < tolerance * scale:
        out.pop()
    assert len(out) < size - 8, "the function is too rough for this interval"
    return out[::-1]


def interval(f, low, high):
    """f of x in [low, high] as a function of t in [-1, 1]."""
    return lambda t: f(low + (high - low) * (t + 1) / 2)


def inverse(f, low):
    """f of x in [low, inf) as a function of t = 2 low / x - 1."""
    return lambda t: f(2 * low / (t + 1))


def inverse_square(f, low):
    return lambda t: f(low * mp.sqrt(2 / (t + 1)))


def hankel(order):
    """P and x Q with J = sqrt(2 / (pi x)) (P cos a - Q sin a), Y = ... (P sin a + Q cos a)."""

    def parts(x):
        a = x - (order + mp.mpf(1) / 2) * PI / 2
        j, y = mp.besselj(order, x), mp.bessely(order, x)
        s = mp.sqrt(PI * x / 2)
        return s * (j * mp.cos(a) + y * mp.sin(a)), x * s * (y * mp.cos(a) - j * mp.sin(a))

    return (lambda x: parts(x)[0]), (lambda x: parts(x)[1])


def airy_parts():
    """P and zeta Q with Ai(-x) = (P cos(zeta - pi/4) + Q sin(zeta - pi/4)) / (sqrt(pi) x^(1/4))."""

    def parts(zeta):
        x = (mp.mpf(3) / 2 * zeta) ** (mp.mpf(2) / 3)
        a = zeta - PI / 4
        s = mp.sqrt(PI) * mp.root(x, 4)
        ai, bi = s * mp.airyai(-x), s * mp.airybi(-x)
        return (
            ai * mp.cos(a) - bi * mp.sin(a),
            zeta * (ai * mp.sin(a) + bi * mp.cos(a)),
        )

    return (lambda z: parts(z)[0]), (lambda z: parts(z)[1])


def airy_decay(zeta):
    x = (mp.mpf(3) / 2 * zeta) ** (mp.mpf(2) / 3)
    return 2 * mp.sqrt(PI) * mp.root(x, 4) * mp.exp(zeta) * mp.airyai(x)


def small(f):
    """f with mpmath's own limit where it divides by zero."""

    def safe(x):
        return f(x if x else mp.mpf(10) ** -15)

    return safe


def k0_regular(x):
    return mp.besselk(0, x) + mp.log(x / 2) * mp.besseli(0, x)


def k1_regular(x):
    return x * (mp.besselk(1, x) - mp.log(x / 2) * mp.besseli(1, x))


def y0_regular(x):
    return mp.bessely(0, x) - 2 / PI * mp.log(x) * mp.besselj(0, x)


def y1_regular(x):
    return (mp.bessely(1, x) - 2 / PI * (mp.log(x) * mp.besselj(1, x) - 1 / x)) / x


def of_square(f, high):
    """f of x in [0, high] as a function of t = 2 (x / high)^2 - 1."""
    return lambda t: small(f)(high * mp.sqrt((t + 1) / 2))


def tables():
    p0, q0 = hankel(0)
    p1, q1 = hankel(1)
    pa, qa = airy_parts()
    yield "i0_small", interval(lambda x: mp.exp(-x) * mp.besseli(0, x), 0, 8)
    yield "i0_large", inverse(lambda x: mp.sqrt(x) * mp.exp(-x) * mp.besseli(0, x), 8)
    yield "i1_small", interval(small(lambda x: mp.exp(-x) * mp.besseli(1, x) / x), 0, 8)
    yield "i1_large", inverse(lambda x: mp.sqrt(x) * mp.exp(-x) * mp.besseli(1, x), 8)
    yield "k0_small", of_square(k0_regular, 2)
    yield "k0_large", inverse(lambda x: mp.sqrt(x) * mp.exp(x) * mp.besselk(0, x), 2)
    yield "k1_small", of_square(k1_regular, 2)
    yield "k1_large", inverse(lambda x: mp.sqrt(x) * mp.exp(x) * mp.besselk(1, x), 2)
    yield "j0_small", of_square(lambda x: mp.besselj(0, x), 8)
    yield "j1_small", of_square(lambda x: mp.besselj(1, x) / x, 8)
    yield "y0_small", of_square(y0_regular, 8)
    yield "y1_small", of_square(y1_regular, 8)
    yield "p0_large", inverse_square(p0, 8)
    yield "q0_large", inverse_square(q0, 8)
    yield "p1_large", inverse_square(p1, 8)
    yield "q1_large", inverse_square(q1, 8)
    yield "airy_middle", interval(mp.airyai, -5, 2)
    yield "airy_decay", inverse(airy_decay, mp.mpf(1.875))
    yield "airy_cosine", inverse_square(pa, mp.mpf(7.25))
    yield "airy_sine", inverse_square(qa, mp.mpf(7.25))


def temme(rows, terms):
    """C_k(eta) of the incomplete gamma functions' uniform expansion (DLMF 8.12.7 to 8.12.12)."""
    n = terms + 2 * rows + 4
    # eta^2 / 2 = mu - log(1 + mu): mu as a series in eta, by Lagrange inversion of eta(mu).
    # d mu / d eta = eta (1 + mu) / mu gives the coefficients one after the other.
    a = [mp.mpf(0), mp.mpf(1)]
    for m in range(2, n + 1):
        # mu mu' = eta (1 + mu): the coefficient of eta^m
        known = mp.fsum(a[i] * (m + 1 - i) * a[m + 1 - i] for i in range(2, m))
        a.append((a[m - 1] - known) / (m + 1))
    # C_0 = 1 / mu - 1 / eta;  mu = eta (1 + a2 eta + ...)
    b = a[1:]
    inverse_series = [mp.mpf(1)]
    for m in range(1, len(b)):
        inverse_series.append(-mp.fsum(b[i] * inverse_series[m - i] for i in range(1, m + 1)))
    c = inverse_series[1:]  # of eta^0, eta^1, ...
    reciprocal_mu = inverse_series  # of eta^-1, eta^0, ...
    out = [c[:terms]]
    gamma_star = [1, mp.mpf(1) / 12, mp.mpf(1) / 288, mp.mpf(-139) / 51840]
    gamma_star += [mp.mpf(-571) / 2488320, mp.mpf(163879) / 209018880]
    for k in range(1, rows):
        # C_k = C_{k-1}' / eta + g_k / mu with g_k of 1 / Gamma*; DLMF 8.12.11
        sign = (-1) ** k
        derivative = [(m + 1) * c[m + 1] for m in range(len(c) - 1)]
        pole = derivative[0] + sign * gamma_star[k] * reciprocal_mu[0]
        assert abs(pole) < mp.mpf(10) ** -25, (k, pole)
        c = [
            derivative[m + 1] + sign * gamma_star[k] * reciprocal_mu[m + 1]
            for m in range(len(derivative) - 1)
        ]
        out.append(c[:terms])
    return out


def number(c):
    return float(c).hex()


def rows_of(numbers, indent):
    line = " " * indent
    for text in numbers:
        if len(line) + len(text) + 2 > 100:
            yield line.rstrip()
            line = " " * indent
        line += text + ", "
    yield line.rstrip().rstrip(",")


def main():
    print(
        "// Chebyshev coefficients of the special functions, highest first; written by\n"
        "// scripts/special_tables.py.\n#pragma once\n"
        "// clang-format off\n\nnamespace flambeau {\nnamespace FLAMBEAU_ISA {\n"
    )
    for name, f in tables():
        print(f"constexpr double k_{name}[] = {{")
        print("\n".join(rows_of(map(number, chebyshev(f)), 4)) + "};")
    rows = temme(5, 16)
    print("// Taylor coefficients of C_k(eta), lowest first (DLMF 8.12.7 to 8.12.12).")
    print(f"constexpr double k_temme[{len(rows)}][16] = {{")
    for row in rows:
        print("    {" + "\n".join(rows_of(map(number, row), 5)).strip() + "},")
    print("};\n\n}  // namespace FLAMBEAU_ISA\n}  // namespace flambeau")


main()
