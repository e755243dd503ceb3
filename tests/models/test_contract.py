"""The promises of the contract, kept by every family of the catalogue."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, replace
from unittest.mock import patch

import pytest
import torch
from safetensors.torch import load, save
from torch import nn

from models.catalogue import CATALOGUE, family_class, suitable
from models.contract import (
    Batch,
    Density,
    Event,
    Features,
    Invertible,
    Latent,
    Player,
)
from models.noise import Noise

from .cases import COLOUR, EVENTS, IMAGE, PALETTE, TOKENS, VECTOR, Case, batch, examples, refused
from .families import CASES

cases = pytest.mark.parametrize("case", CASES, ids=str)
PARTLY_STEPS = 6  # in which all weights of the small members of families that move partly come into use


def test_every_family_is_covered() -> None:
    assert {case.model for case in CASES} == set(CATALOGUE)


@cases
def test_samples_are_events_in_the_units_of_the_data(case: Case) -> None:
    samples = case.ready().sample(5, generator=torch.Generator().manual_seed(0))
    assert samples.shape == (5, *case.event.shape)
    if case.event.levels is None:
        assert samples.dtype == torch.float32 and samples.isfinite().all()
    else:
        assert samples.dtype == torch.uint8 and int(samples.max()) < case.event.levels


@cases
def test_a_seed_gives_the_same_samples_however_the_batch_is_split(case: Case) -> None:
    family = case.ready()
    whole = family.sample(7, generator=torch.Generator().manual_seed(3))
    generator = torch.Generator().manual_seed(3)
    parts = torch.cat([family.sample(n, generator=generator) for n in (1, 4, 2)])
    torch.testing.assert_close(whole, parts, atol=1e-5, rtol=1e-5)
    assert not torch.equal(whole, family.sample(7, generator=torch.Generator().manual_seed(4)))


@cases
def test_temperature_zero_leaves_less_variety(case: Case) -> None:
    family = case.ready()
    labels = torch.zeros(64, dtype=torch.long)
    spread = [
        family.sample(64, labels, temperature, torch.Generator().manual_seed(0)).double().var(0).sum()
        for temperature in (0.0, 1.0)
    ]
    # What is left is the choice of a component, or the noise of a decoder, which can be all there is.
    assert spread[0] < spread[1] or hasattr(family, "likelihood")


@cases
def test_every_parameter_receives_a_gradient(case: Case) -> None:
    family = case.build()
    missing = {name for name, _ in family.named_parameters()}
    moves = [(player, step) for player in family.players() for step in range(PARTLY_STEPS if player.partly else 1)]
    for player, step in moves:
        family.zero_grad()
        player.loss(replace(batch(case.event), step=torch.tensor(step))).backward()
        mine = {id(parameter) for parameter in player.module.parameters()}
        missing -= {
            name
            for name, parameter in family.named_parameters()
            if id(parameter) in mine and parameter.grad is not None and parameter.grad.abs().sum() > 0
        }
    assert not missing


@cases
def test_players_own_every_parameter_once(case: Case) -> None:
    family = case.build()
    owned = [id(parameter) for player in family.players() for parameter in player.module.parameters()]
    assert sorted(owned) == sorted(id(parameter) for parameter in family.parameters())


def _sums_over_workers(player: Player, event: Event) -> bool:
    """Does the loss take sums over the batches of all workers? Every one of them asks whether there are any."""
    with patch("models.layers.workers.is_available", return_value=False) as asked:
        player.loss(batch(event, 8))
    return asked.called


@cases
def test_a_loss_is_the_mean_over_rows(case: Case) -> None:
    """Halves of a batch average to the whole: what data parallelism relies on."""
    family, whole = case.build(), batch(case.event, 8)
    assert whole.labels is not None
    for player in family.players():
        if _sums_over_workers(player, case.event):
            pytest.skip("it mixes the rows, by statistics that workers share; see the tests of training on workers")
        halves = [
            player.loss(
                Batch(whole.x[i : i + 4], whole.labels[i : i + 4], Noise(torch.Generator().manual_seed(0), 4, i, 8))
            )
            for i in (0, 4)
        ]
        again = replace(whole, noise=Noise(torch.Generator().manual_seed(0), 8))
        torch.testing.assert_close(player.loss(again), torch.stack(halves).mean())


@cases
def test_a_loss_in_mixed_precision_is_about_that_in_float32(case: Case) -> None:
    family = case.build(jitter=0.02)
    for player in family.players():
        exact = player.loss(batch(case.event))
        with torch.autocast("cpu", torch.bfloat16):
            mixed = player.loss(batch(case.event))
        mixed.backward()
        assert mixed.item() == pytest.approx(exact.item(), rel=0.05, abs=0.05)


@cases
def test_weights_survive_safetensors(case: Case) -> None:
    family, other = case.build().eval(), case.build().eval()
    for parameter in other.parameters():
        nn.init.zeros_(parameter)
    other.load_state_dict(load(save({key: value.contiguous() for key, value in family.state_dict().items()})))
    samples = [f.sample(4, generator=torch.Generator().manual_seed(0)) for f in (family, other)]
    assert torch.equal(*samples)


@cases
def test_log_prob_is_finite_and_a_function_of_the_example(case: Case) -> None:
    family = case.ready()
    if not isinstance(family, Density):
        pytest.skip("has no density")
    x, labels = examples(case.event, 6)
    first = family.log_prob(x, labels)
    assert first.shape == (6,) and first.isfinite().all()
    torch.testing.assert_close(first, family.log_prob(x, labels))
    assert family.bound is None or isinstance(family.bound, str)
    if case.event.levels is not None and family.bound is None:
        assert (first <= 0).all()


@cases
def test_a_conditional_density_without_labels_is_the_mean_over_classes(case: Case) -> None:
    family = case.ready()
    if not isinstance(family, Density) or not family.classes:
        pytest.skip("is no conditional density")
    x, _ = examples(case.event, 6)
    by_class = family.log_prob_by_class(x)
    assert by_class.shape == (6, case.event.classes)
    torch.testing.assert_close(by_class[:, 1], family.log_prob(x, torch.ones(6, dtype=torch.long)))
    torch.testing.assert_close(family.log_prob(x).exp(), by_class.exp().mean(1))


@cases
def test_codes_have_a_row_per_example(case: Case) -> None:
    family = case.ready()
    if not isinstance(family, Latent):
        pytest.skip("has no codes")
    x, labels = examples(case.event, 6)
    z = family.encode(x, labels)
    assert z.dim() == 2 and len(z) == 6
    first, second = (family.draw_codes(x, labels, Noise(torch.Generator().manual_seed(0), 6)) for _ in range(2))
    assert first.shape == z.shape and torch.equal(first, second)
    decoded = family.decode(z, labels)
    assert decoded.shape == x.shape and decoded.is_floating_point()
    if isinstance(family, Invertible):
        torch.testing.assert_close(decoded, x.to(decoded.dtype), atol=2e-3, rtol=1e-3)


@cases
def test_features_have_a_row_per_example(case: Case) -> None:
    family = case.ready()
    if not isinstance(family, Features):
        pytest.skip("has no features")
    features = family.features(examples(case.event, 6)[0])
    assert features.dim() == 2 and len(features) == 6


ON_THE_PLANE = [case for case in CASES if case.event is VECTOR and issubclass(family_class(case.model), Density)]


@pytest.mark.parametrize("case", ON_THE_PLANE, ids=str)
def test_a_two_dimensional_density_integrates_to_one(case: Case) -> None:
    family = case.build().double().eval()
    assert isinstance(family, Density)
    if family.bound is not None:
        pytest.skip("is a bound, with less than unit mass")
    side = torch.linspace(-30, 30, 401, dtype=torch.float64)
    grid = torch.cartesian_prod(side, side)
    labels = torch.ones(len(grid), dtype=torch.long)
    with torch.no_grad():
        mass = family.log_prob(grid, labels).exp().sum() * (side[1] - side[0]) ** 2
    assert mass.item() == pytest.approx(1, abs=2e-3)


@pytest.mark.parametrize("model", sorted(CATALOGUE))
def test_a_conditional_model_needs_labels(model: str) -> None:
    suited = next(event for event in EVENTS if model in suitable(event))
    refused(model, replace(suited, classes=0), "labels", conditional=True)


NUMERIC = sorted(set(CATALOGUE) - set(suitable(PALETTE)) - set(suitable(TOKENS)))


@pytest.mark.parametrize("model", NUMERIC)
def test_a_family_of_numbers_refuses_names(model: str) -> None:
    event = next(event for event in EVENTS if event.levels is not None and model in suitable(event))
    refused(model, replace(event, ordered=False), "these levels are names")


@pytest.mark.parametrize("event", EVENTS, ids=str)
def test_suitable_families_are_those_that_can_be_built(event: Event) -> None:
    assert suitable(event) == sorted({case.model for case in CASES if case.event is event})


@pytest.mark.parametrize("event", EVENTS, ids=str)
def test_an_event_survives_json(event: Event) -> None:
    assert Event.of(json.loads(json.dumps(asdict(event)))) == event


def test_an_event_without_a_word_on_order_is_ordered() -> None:
    assert Event.of({"shape": [1, 8, 8], "levels": 17, "classes": 10}) == IMAGE


@pytest.mark.parametrize("model", sorted(CATALOGUE))
def test_every_field_of_a_configuration_is_documented(model: str) -> None:
    config = family_class(model).Config
    parents = [vars(parent).get("__pydantic_fields__", {}) for parent in config.__mro__]
    for name in config.__pydantic_fields__:
        assert any(fields[name].description for fields in parents if name in fields), name


def test_a_colour_image_is_scored_in_all_its_dimensions() -> None:
    assert COLOUR.dimensions == 48 and math.prod(COLOUR.shape) == 48
