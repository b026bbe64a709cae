"""save and load of state dicts in memory: many small tensors, one large one."""

import io

import timer


def state(T, count, numel):
    return {f"layer{i}.weight": T.randn(numel) for i in range(count)}


def save(count, numel):
    def setup(T):
        values = state(T, count, numel)
        return lambda: T.save(values, io.BytesIO())

    return setup


def load(count, numel):
    def setup(T):
        file = io.BytesIO()
        T.save(state(T, count, numel), file)

        def step():
            file.seek(0)
            T.load(file)

        return step

    return setup


def rows():
    for name, size in (("1000 small", (1000, 100)), ("one of 40 MB", (1, 10_000_000))):
        yield f"save {name}", save(*size)
        yield f"load {name}", load(*size)


if __name__ == "__main__":
    timer.main(rows())
