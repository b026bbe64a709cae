"""A pass of DataLoader over 60,000 samples of 784 numbers, in microseconds for a batch."""

import timer

SAMPLES, FEATURES = 60_000, 784


def one_pass(batch, **arguments):
    """Each call takes the next batch; the start of a pass is spread over its batches."""

    def setup(T):
        data = T.utils.data
        dataset = data.TensorDataset(T.rand(SAMPLES, FEATURES), T.arange(SAMPLES) % 10)
        loader = data.DataLoader(dataset, batch, **arguments)
        state = {"batches": iter(())}

        def step():
            if next(state["batches"], None) is None:
                state["batches"] = iter(loader)

        return step

    return setup


def collate(T):
    samples = [(T.rand(28, 28), i, {"name": str(i)}) for i in range(64)]
    return lambda: T.utils.data.default_collate(samples)


def rows():
    for batch in (64, 512):
        yield f"sequential {batch}", one_pass(batch)
        yield f"shuffle {batch}", one_pass(batch, shuffle=True)
        yield (
            f"shuffle {batch} 1 worker",
            one_pass(batch, shuffle=True, num_workers=1, persistent_workers=True),
        )
    yield "default_collate 64", collate


if __name__ == "__main__":
    timer.main(rows())
