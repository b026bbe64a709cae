"""Steps of optimizers and clipping: 40 small parameters, four of a million elements."""

import timer

SIZES = {"small": [(64, 64), (64,)] * 20, "large": [(1024, 1024)] * 4}
OPTIONS = {"SGD": {"momentum": 0.9}, "RMSprop": {"momentum": 0.9, "centered": True}}
NAMES = "SGD Adam AdamW Adagrad RMSprop Adadelta Adamax NAdam RAdam Rprop ASGD".split()


def parameters(T, sizes):
    params = [T.nn.Parameter(T.randn(*size)) for size in sizes]
    for param in params:
        param.grad = T.randn(*param.shape)
    return params


def step(name, sizes):
    def setup(T):
        options = {"lr": 1e-4, **OPTIONS.get(name, {})}
        return getattr(T.optim, name)(parameters(T, sizes), **options).step

    return setup


def clip(sizes):
    def setup(T):
        params = parameters(T, sizes)
        return lambda: T.nn.utils.clip_grad_norm_(params, 1.0)

    return setup


def rows():
    for size, sizes in SIZES.items():
        for name in NAMES:
            yield f"{name} {size}", step(name, sizes)
        yield f"clip_grad_norm_ {size}", clip(sizes)


if __name__ == "__main__":
    timer.main(rows())
