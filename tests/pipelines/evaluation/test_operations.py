"""What a family costs whatever the machine: operations are counted, and grow with the dimensions as families say."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from models.contract import Batch, Event, Player
from models.noise import Noise
from pipelines.evaluation.metrics import operations as measured
from pipelines.evaluation.metrics.operations import (
    PARALLEL,
    SMALL,
    flops,
    operations,
    pairs_of_sizes,
    sampling_growth,
    scaled,
    training_flops,
)

from ...models.families import CASES, VECTOR, Case
from ...models.families import batch as examples_of


def test_operations_and_flops_are_those_of_the_tensors() -> None:
    x, layer = torch.ones(5, 3), nn.Linear(3, 4, bias=False)
    assert operations(lambda: x + x) == 1
    assert operations(lambda: [x + x for _ in range(7)]) == 7
    with torch.no_grad():
        assert flops(lambda: layer(x)) == 2 * 5 * 3 * 4
        assert flops(lambda: x * x) == 0, "element by element"


def batch(rows: int) -> Batch:
    return Batch(torch.ones(rows, 3), None, Noise(torch.Generator(), rows))


def test_a_training_step_is_counted_per_example_with_each_player_in_proportion() -> None:
    body, critic = nn.Linear(3, 4, bias=False), nn.Linear(4, 1, bias=False)
    module = nn.ModuleList([body, critic])
    both = [
        Player("body", body, lambda batch: critic(body(batch.x)).mean(), 1e-3),
        Player("critic", critic, lambda batch: critic(body(batch.x)).mean(), 1e-3, every=2),
    ]
    forward = 2 * 3 * 4 + 2 * 4
    of_body = forward + 2 * 4 + 2 * 3 * 4  # backward to the code, and to the weights of the body
    of_critic = forward + 2 * 4  # to the weights of the critic alone
    for rows in (2, 6):
        assert training_flops(module, both, batch(rows)) == of_body + of_critic / 2


def test_gradients_of_gradients_are_counted_too() -> None:
    layer = nn.Linear(3, 4, bias=False)

    def penalty(batch: Batch) -> torch.Tensor:
        x = batch.x.requires_grad_()
        (slope,) = torch.autograd.grad(layer(x).square().sum(), x, create_graph=True)
        return slope.square().sum()

    assert training_flops(layer, [Player("critic", layer, penalty, 1e-3)], batch(4)) > 3 * 2 * 3 * 4


def test_a_player_in_closed_form_is_counted_as_it_moves() -> None:
    weights = torch.ones(3, 2)
    em = {"closed_form": lambda batch: batch.x @ weights}
    player = Player("em", nn.Identity(), lambda batch: batch.x.mean(), 1e-3, **em)
    assert training_flops(nn.Identity(), [player], batch(4)) == 2 * 3 * 2


@pytest.mark.parametrize(
    ("event", "sizes"),
    [
        (Event((1, 8, 8), 17), ((1, 8, 8), (1, 16, 16))),
        (Event((3, 32, 32), 256), ((3, 16, 16), (3, 32, 32))),
        (Event((1, 2000), 256), ((1, 1000), (1, 2000))),
        (Event((2,), None), ((SMALL,), (2 * SMALL,))),
    ],
)
def test_growth_is_measured_between_sizes_that_are_neither_tiny_nor_slow(
    event: Event, sizes: tuple[tuple[int, ...], ...]
) -> None:
    assert [each.shape for each in pairs_of_sizes(event)[0]] == list(sizes)
    assert scaled(event, 2).levels == event.levels


def has_a_twin(case: Case) -> bool:
    """Is there a case that differs from this conditional one in nothing but that it is not?"""
    return (
        bool(case.options.get("conditional")) and replace(case, options=case.options | {"conditional": False}) in CASES
    )


# Labels are numbers more that go in: of the families that can be given them, it is enough to see those of the plane.
GROWING = [case for case in CASES if case.event is VECTOR or not has_a_twin(case)]


@pytest.mark.parametrize("case", GROWING, ids=str)
def test_operations_of_a_sample_grow_with_dimensions_where_families_say_that_sampling_is_sequential(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measured, "SMALL", 32)  # these members are small: it takes no more to tell
    family = case.build().eval()
    growth = sampling_growth(family)
    assert growth is not None
    if "jacobi" not in str(case):  # as many passes as it takes to settle: of an untrained model a few
        assert (growth < PARALLEL) == family.parallel_sampling, growth


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_training_step_of_every_family_can_be_counted(case: Case) -> None:
    family = case.build().train()
    counted = training_flops(family, family.players(), examples_of(case.event, 8))
    assert (counted > 0) != ("diagonal-fit=gradient" in str(case)), "that mixture multiplies no matrices"
