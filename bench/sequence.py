"""What sequences are modelled with: attention, recurrent layers, products of bfloat16."""

import timer


def step(T, inputs, f, backward):
    if not backward:
        return lambda: f(*inputs)
    for x in inputs:
        x.requires_grad_()

    def both():
        for x in inputs:
            x.grad = None
        f(*inputs).sum().backward()

    return both


def attention(batch, heads, length, width, causal, backward):
    def setup(T):
        inputs = [T.randn(batch, heads, length, width) for _ in range(3)]
        attend = T.nn.functional.scaled_dot_product_attention
        return step(T, inputs, lambda *x: attend(*x, is_causal=causal), backward)

    return setup


def recurrent(kind, steps, batch, size, hidden, backward):
    def setup(T):
        layer = getattr(T.nn, kind)(size, hidden)
        return step(T, [T.randn(steps, batch, size)], lambda x: layer(x)[0], backward)

    return setup


def product(m, k, n):
    def setup(T):
        x, w = T.randn(m, k).bfloat16(), T.randn(n, k).bfloat16()
        return lambda: T.nn.functional.linear(x, w)

    return setup


def rows():
    for backward in (False, True):
        end = " backward" if backward else ""
        yield f"attention 8x12x197x64{end}", attention(8, 12, 197, 64, False, backward)
        yield f"attention causal 2x6x1024x64{end}", attention(2, 6, 1024, 64, True, backward)
        for kind in ("LSTM", "GRU"):
            yield f"{kind} 35x32x512{end}", recurrent(kind, 35, 32, 512, 512, backward)
            yield f"{kind} 50x1x256{end}", recurrent(kind, 50, 1, 128, 256, backward)
    yield "linear bfloat16 1024x768x3072", product(1024, 768, 3072)


if __name__ == "__main__":
    timer.main(rows())
