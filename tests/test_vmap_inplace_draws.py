"""vmap: writes in place that are made of others, and draws of every example."""

import pytest

import flambeau as torch
from flambeau import vmap


def test_functions_in_place_that_have_no_rule():
    x = torch.tensor([0.4, 1.6, 2.2])
    assert vmap(lambda x: x.clone().clamp_max_(2))(x).tolist() == x.clamp_max(2).tolist()
    assert vmap(lambda x: x.clone().round_(decimals=0))(x).tolist() == [0, 2, 2]


@pytest.mark.parametrize(
    "layers",
    [
        torch.nn.functional.alpha_dropout,
        torch.nn.functional.feature_alpha_dropout,
        torch.nn.functional.dropout2d,
    ],
)
def test_dropout_of_what_all_examples_share(layers):
    x = torch.ones(2, 8, 3, 3)
    found = vmap(lambda _: layers(x, 0.5, True), randomness="different")(torch.zeros(3))
    assert found.shape == (3, 2, 8, 3, 3)
    assert not torch.equal(found[0], found[1])


def test_normal_draws_are_those_of_the_whole_batch():
    mean, std = torch.zeros(4, 3), torch.ones(3)
    torch.manual_seed(0)
    found = vmap(torch.normal, (0, None), randomness="different")(mean, std)
    torch.manual_seed(0)
    assert torch.equal(found, torch.normal(mean, std))
    with pytest.raises(RuntimeError, match="same randomness with a batched tensor input"):
        vmap(torch.normal, (0, None), randomness="same")(mean, std)


def test_ranks_are_those_of_examples():
    for function, a, b in (
        (torch.mv, (2, 2, 2), (2,)),
        (torch.mm, (2,), (2, 2)),
        (torch.bmm, (2, 2, 2), (2,)),
    ):
        with pytest.raises(RuntimeError, match="dimensions"):
            vmap(function)(torch.ones(3, *a), torch.ones(3, *b))


def test_alpha_dropout_draws_one_mask_for_all():
    torch.manual_seed(0)
    x = torch.ones(3, 8)
    same = torch.vmap(lambda x: torch.nn.functional.alpha_dropout(x, 0.5, True), randomness="same")(
        x
    )
    assert (same == same[0]).all() and (same[0] != same[0, 0]).any()
