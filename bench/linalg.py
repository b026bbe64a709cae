"""Factorizations and what follows from them: one small matrix, many small ones, a large one."""

import timer

SHAPES = {"4": (4, 4), "1000x3": (1000, 3, 3), "256": (256, 256)}

FUNCTIONS = {
    "inv": lambda T, a, s: T.linalg.inv(a),
    "solve": lambda T, a, s: T.linalg.solve(a, s),
    "det": lambda T, a, s: T.linalg.det(a),
    "cholesky": lambda T, a, s: T.linalg.cholesky(s),
    "triangular": lambda T, a, s: T.linalg.solve_triangular(s, a, upper=True),
    "qr": lambda T, a, s: T.linalg.qr(a),
    "svd": lambda T, a, s: T.linalg.svd(a),
    "eigh": lambda T, a, s: T.linalg.eigh(s),
    "eig": lambda T, a, s: T.linalg.eig(a),
    "lstsq": lambda T, a, s: T.linalg.lstsq(a, s),
    "matrix_exp": lambda T, a, s: T.linalg.matrix_exp(a),
    "vector_norm": lambda T, a, s: T.linalg.vector_norm(a),
}


def forward(f, shape):
    def setup(T):
        a = T.randn(*shape)
        s = a @ a.mT + T.eye(shape[-1])
        return lambda: f(T, a, s)

    return setup


def rows():
    for size, shape in SHAPES.items():
        for name, f in FUNCTIONS.items():
            yield f"{name} {size}", forward(f, shape)


if __name__ == "__main__":
    timer.main(rows())
