"""MADE as a family: ensembles of orders and masks, mixtures of Gaussians, and the arithmetic of its sampler."""

from __future__ import annotations

import math
from typing import Any
from unittest.mock import patch

import pytest
import torch

from benchmarks._arithmetic import operations
from models.contract import Batch, Event, UnsuitableEvent
from models.layers.autoregressive import masked as layers
from models.made import MADE, MADEConfig
from models.noise import Noise

from .cases import IMAGE, PALETTE, VECTOR, Case, examples, refused

SMALL: dict[str, Any] = {"hidden": [12]}
VARIANTS = [
    Case("made", IMAGE, {"orders": 2, "connectivities": 2}),
    Case("made", IMAGE, {"output": "logistic_mixture", "components": 2}),
    Case("made", VECTOR, {"orders": 2, "permutation": "reverse", "output": "gaussian_mixture"}),
]


def needed(event: Event) -> dict[str, Any]:
    return {} if event.levels is not None else {"output": "gaussian_mixture", "components": 2}


def made(event: Event, **options: object) -> MADE:
    torch.manual_seed(0)
    family = MADE(MADEConfig(**{"hidden": [24, 16], **options}), event).eval()
    with torch.no_grad():
        for parameter in family.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return family


@pytest.mark.parametrize("context", [0, 3])
@pytest.mark.parametrize("connectivities", [0, 2])
@pytest.mark.parametrize("inputs", [1, 4])
def test_units_computed_one_degree_after_the_other_are_those_of_a_pass(
    context: int, connectivities: int, inputs: int
) -> None:
    torch.manual_seed(0)
    network = layers.MaskedMLP(
        [torch.randperm(6), torch.arange(6)], (20, 15), 3, context, inputs, connectivities
    ).double()
    x, c = torch.randn(5, 6, inputs).double(), torch.randn(5, context).double() if context else None
    for member in range(network.members):
        whole = network(x.flatten(1), c, member)
        steps = layers.IncrementalMLP(network, 5, c, member)
        order = network.degrees[member][0].argsort().tolist()
        for place, dimension in enumerate(order):
            torch.testing.assert_close(steps.outputs(place), whole[:, dimension])
            steps.feed(place, x[:, dimension])


def test_sampling_takes_the_arithmetic_of_one_pass() -> None:
    family = made(Event((40,), 3), hidden=[64, 64])
    x, _ = examples(Event((40,), 3, 1), 8)
    one_pass = operations(lambda: family.network(x, None))
    assert 0 < operations(lambda: family.sample(8)) <= one_pass


@pytest.mark.parametrize("connectivities", [0, 1, 3])
def test_an_ensemble_has_a_member_for_each_order_and_mask(connectivities: int) -> None:
    family = made(Event((6,), 3), orders=2, connectivities=connectivities)
    assert family.made.members == family.scoring_passes == 2 * max(1, connectivities)
    first = family.order_of[0]
    assert first == list(range(6)) and family.order_of[-1] != first
    masks = family.made.layers[1].masks
    assert all(not torch.equal(masks[i], masks[j]) for i in range(len(masks)) for j in range(i) if connectivities)


def test_the_likelihood_of_an_ensemble_is_that_of_the_mixture_and_its_loss_bounds_it() -> None:
    event = Event((6,), 3, 2)
    family = made(event, orders=3)
    x, _ = examples(event, 32)
    members = torch.stack([family._log_conditionals(x, None, member).sum(1) for member in range(3)])
    torch.testing.assert_close(family.log_prob(x), members.logsumexp(0) - math.log(3))
    (player,) = family.players()
    losses = [player.loss(Batch(x, None, Noise(torch.Generator().manual_seed(seed), 32))) for seed in range(200)]
    assert torch.stack(losses).mean().item() == pytest.approx(-members.mean().item() / 6, rel=0.02)
    assert -members.mean(0).mean() >= -family.log_prob(x).mean()


def test_an_ensemble_completes_by_an_order_that_begins_with_the_known() -> None:
    """Two orders, forward and backward: whichever half is known, a member sees it all."""
    event = Event((6,), 2)
    family = made(event, orders=2, permutation="reverse")
    x = torch.zeros(400, 6, dtype=torch.uint8)
    back = torch.arange(6) >= 3
    completed = family.complete(x, back, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        h = family.network(x, None, member=1)[0, 2]
    assert completed[:, 2].double().mean().item() == pytest.approx(h.softmax(0)[1].item(), abs=0.08)
    assert not family.completes_exactly(back), "the mixture would weigh its members by what is known"


def test_a_mixture_of_gaussians_learns_two_moons_better_than_one_gaussian() -> None:
    generator = torch.Generator().manual_seed(0)
    angle = math.pi * torch.rand(1000, generator=generator)
    x = torch.stack([angle.cos(), angle.sin()], 1)
    x[::2] = 1 - x[::2] - torch.tensor([0.0, 0.5])
    x = 10 * x + torch.randn(1000, 2, generator=generator)
    scores = {}
    for components in (1, 8):
        torch.manual_seed(0)
        config = MADEConfig(hidden=[64], output="gaussian_mixture", components=components)
        family = MADE(config, Event((2,), None))
        family.initialise(x, None, generator)
        optimiser = torch.optim.Adam(family.parameters(), lr=1e-2)
        (player,) = family.players()
        for _ in range(150):
            optimiser.zero_grad()
            player.loss(Batch(x, None, Noise(generator, 1000))).backward()
            optimiser.step()
        scores[components] = family.eval().log_prob(x).mean().item()
        samples = family.sample(1000, generator=generator)
        torch.testing.assert_close(samples.mean(0), x.mean(0), atol=1.0, rtol=0.1)
    assert scores[8] > scores[1] + 0.2


def test_outputs_must_suit_the_event() -> None:
    with pytest.raises(UnsuitableEvent, match="gaussian_mixture takes vectors"):
        MADE(MADEConfig(), VECTOR)


@pytest.mark.parametrize("event", [Event((2,), None), Event((2,), 9)], ids=["vector", "levels"])
def test_the_first_number_can_have_two_modes(event: Event) -> None:
    """It sees no hidden unit: components that begin equal would stay equal."""
    generator = torch.Generator().manual_seed(0)
    mode = torch.randint(2, (400, 2), generator=generator)
    x = (1 + 6 * mode).to(torch.uint8) if event.levels else 6.0 * mode + 0.1 * torch.randn(400, 2, generator=generator)
    output = "logistic_mixture" if event.levels else "gaussian_mixture"
    torch.manual_seed(0)
    family = MADE(MADEConfig(hidden=[16], output=output, components=4), event)
    family.initialise(x, None, generator)
    optimiser = torch.optim.Adam(family.parameters(), lr=3e-2)
    (player,) = family.players()
    for _ in range(200):
        optimiser.zero_grad()
        player.loss(Batch(x, None, Noise(generator, 400))).backward()
        optimiser.step()
    first, second = family.log_conditionals(x, None).mean(0)
    assert first.item() == pytest.approx(second.item(), abs=0.2)


def test_the_first_number_is_told_the_label() -> None:
    family = made(Event((3,), 4, 2), conditional=True)
    x = torch.zeros(1, 3, dtype=torch.uint8)
    one, two = (family.log_conditionals(x, torch.tensor([label]))[0, 0] for label in (0, 1))
    assert one != two


def test_the_member_that_completes_draws_the_label() -> None:
    """Two orders, forward and backward, and the back half known: only the second member knows what it says."""
    event = Event((6,), 2, 3)
    family = made(event, orders=2, permutation="reverse", conditional=True)
    x = torch.ones(2000, 6, dtype=torch.uint8)
    known = torch.arange(6) >= 3
    with patch.object(family, "stepper", wraps=family.stepper) as made_for:
        family.complete(x, known, generator=torch.Generator().manual_seed(0))
    (call,) = made_for.call_args_list
    assert call.args[2] == 1
    with torch.no_grad():
        labels = torch.arange(3)
        given = family._log_conditionals(x[:3], labels, 1)[:, 3:].sum(1).softmax(0)
    shares = torch.bincount(call.args[1], minlength=3) / 2000
    torch.testing.assert_close(shares, given, atol=0.04, rtol=0)


def test_outputs_are_refused_where_they_make_no_sense() -> None:
    refused("made", VECTOR, "gaussian_mixture takes vectors", output="softmax")
    refused("made", IMAGE, "needs vectors", output="gaussian_mixture")
    refused("made", PALETTE, "softmax takes them", output="logistic_mixture")
