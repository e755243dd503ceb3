"""Rows of a table in the GAN: what is chosen in them, what is shown, what the players are told, and what is learnt."""

from __future__ import annotations

import math
from dataclasses import asdict, replace
from typing import Any

import pytest
import torch
from safetensors.torch import load, save
from torch import Tensor

from models.columns import Column
from models.contract import Batch, Event
from models.gan import GAN, GANConfig
from models.gan_tables import TableRows, drawn_rows
from models.layers.tables.choices import Choices
from models.noise import Noise

from .cases import refused
from .test_table_rows import ATOMS, EVENT, FEW, GAP, GAPS_AND_ATOMS, MANY, NAMES, REAL, WITH_ATOMS, rows, shares

RARE = Column(levels=3, names=True, distribution=shares(0.69, 0.3, 0.01))
LEARNT = replace(  # with what is true of the rows that `rows` makes
    EVENT,
    columns=(
        replace(NAMES, distribution=shares(0.1, 0.7, 0.2)),
        FEW,
        replace(MANY, distribution=((0.0, 0.0), (1.0, 0.5 + 0.5 / 30), (30.0, 1.0))),
        REAL,
    ),
)
PLAIN = Event((2,), None, columns=(Column(distribution=((-9.0, 0.01), (0.0, 0.5), (9.0, 0.99))), MANY))


def small(event: Event = EVENT, **options: Any) -> GAN:
    torch.manual_seed(0)
    return GAN(GANConfig(**{"architecture": "mlp", "latent": 4, "hidden": [16], **options}), event)


def batch(n: int = 64, seed: int = 0, labels: Tensor | None = None) -> Batch:
    return Batch(rows(n), labels, Noise(torch.Generator().manual_seed(seed), n))


def even(n: int) -> Tensor:
    """Uniform numbers that are spread evenly: shares of what they draw are probabilities, to 1/n."""
    return (torch.arange(n, dtype=torch.float64) + 0.5) / n


# Choices


def test_names_few_levels_and_gaps_are_choices_and_each_row_has_one_outcome_of_each() -> None:
    choices = TableRows(EVENT, 0).choices
    assert choices.counts == [4, 2, 2]  # three names and the gap, two levels, a number that may not be there
    x = torch.tensor([[2.0, 0.0, 7.0, 1.5], [GAP, 1.0, 0.0, GAP]])
    assert choices.outcomes(x).tolist() == [[2, 4, 6], [3, 5, 7]]


def test_shares_of_outcomes_are_those_of_the_training_rows() -> None:
    choices = Choices([NAMES, MANY, REAL])
    torch.testing.assert_close(choices.shares, torch.tensor([0.45, 0.27, 0.18, 0.1, 0.8, 0.2], dtype=torch.float64))
    many = MANY.shares  # a distribution function that is known at some levels is straight between them
    assert len(many) == 30 and many[0] == pytest.approx(0.6) and many[29] == pytest.approx(0.1 / 20)


def test_atoms_are_outcomes_and_what_is_shown_of_them_is_what_real_rows_show() -> None:
    event = Event((2,), None, columns=(GAPS_AND_ATOMS, ATOMS))
    table = TableRows(event, 0)
    assert table.choices.counts == [5, 4]  # any number, three atoms, and the gap of the first column
    x = torch.tensor([[0.0, 29.0], [8.0, 7.0], [GAP, 8.0], [29.0, 0.0]])
    assert table.choices.outcomes(x).tolist() == [[1, 8], [0, 7], [4, 5], [3, 6]]
    shares = [0.7 * 0.33, 0.7 * 0.6, 0.7 * 0.05, 0.7 * 0.02, 0.3, 0.33, 0.6, 0.05, 0.02]
    assert table.choices.shares.tolist() == pytest.approx(shares)
    real = table.real(Batch(x, None, Noise(torch.Generator().manual_seed(0), 4)))
    y = torch.zeros(4, 9).scatter_(1, table.choices.outcomes(x), 1.0)
    torch.testing.assert_close(table.choices.placed(real, y), real)
    noise = torch.randn(real.shape, generator=torch.Generator().manual_seed(1))
    shown = table.choices.placed(noise, y)
    any_number = torch.tensor([[False, False], [True, False], [False, True], [False, False]])
    at = table.numbers.start
    torch.testing.assert_close(shown[:, at], torch.where(any_number, noise[:, at], real[:, at]))
    torch.testing.assert_close(table.numbers.quantise(real), x, equal_nan=True)


def test_outcomes_and_numbers_have_places_of_their_own() -> None:
    table = TableRows(EVENT, 0)
    h = torch.arange(1.0, table.numbers.total + 1)[None]
    assert table.choices.logits(h).tolist() == [[1, 2, 3, 4, 5, 6, 0, 9]]  # the number 8 of the real column is none
    y = torch.tensor([[0.0, 1, 0, 0, 1, 0, 0.25, 0.75]])
    assert table.choices.placed(h, y).tolist() == [[0, 1, 0, 0, 1, 0, 7, 0.25 * 8, 0.75]]


def test_numbers_are_undone_wherever_in_its_bin_an_integer_is() -> None:
    table, drawn = TableRows(EVENT, 0), batch(500)
    shown = table.real(drawn)
    assert shown.shape == (500, table.numbers.total)
    torch.testing.assert_close(table.numbers.quantise(shown), drawn.x, equal_nan=True, atol=1e-5, rtol=1e-5)
    many = shown[drawn.x[:, 2] == 0, table.numbers.start[2]]
    assert many.std() > 0.3, "one integer is many numbers"


# Conditions


def test_conditions_have_log_frequencies_and_rows_are_those_that_have_them() -> None:
    x = torch.tensor([[0, 3], [0, 3], [0, 3], [0, 4], [0, 4], [1, 4], [2, 4], [2, 4]])  # outcomes 0 … 4 of two choices
    n, total = 400_000, {0: 5, 1: 1, 2: 2, 3: 3, 4: 5}
    row, choice = drawn_rows(x, 6, even(n))
    outcome = x[row, choice]
    for value, count in total.items():
        own = (0, 1, 2) if value < 3 else (3, 4)
        expected = 0.5 * math.log1p(count) / sum(math.log1p(total[other]) for other in own)
        mine = outcome == value
        assert mine.double().mean().item() == pytest.approx(expected, abs=1e-4)
        found = torch.bincount(row[mine], minlength=8)[x[:, int(value > 2)] == value] / n
        assert found.sum() == pytest.approx(expected, abs=1e-4)
        torch.testing.assert_close(found, torch.full_like(found, expected / count), atol=1e-4, rtol=0)
    assert not (outcome == 5).any(), "what the batch does not have is not asked for"


def test_the_players_are_told_what_the_real_row_has() -> None:
    table = TableRows(EVENT, 0)
    told, condition = table.conditioned(batch(300))
    has = torch.zeros(300, table.choices.total).scatter_(1, table.choices.outcomes(told.x), 1.0)
    assert condition.shape == has.shape and (condition.sum(1) == 1).all()
    assert ((condition * has).sum(1) == 1).all()
    assert {tuple(row) for row in told.x.nan_to_num(-1).tolist()} <= {
        tuple(row) for row in rows(300).nan_to_num(-1).tolist()
    }


def test_rows_of_a_generator_pay_the_cross_entropy_of_what_they_were_told() -> None:
    table = TableRows(EVENT, 0)
    h = torch.randn(3, table.numbers.total, generator=torch.Generator().manual_seed(0))
    condition = torch.eye(8)[[1, 4, 7]]
    expected = [-h[0, :4].log_softmax(0)[1], -h[1, 4:6].log_softmax(0)[0], torch.nn.functional.softplus(-h[2, 8])]
    torch.testing.assert_close(table.cross_entropy(h, condition), torch.stack(expected))


def test_samples_are_told_the_shares_of_the_training_rows() -> None:
    table = TableRows(EVENT, 0)
    found = table.condition(even(30_000), None).double().mean(0)
    expected = torch.tensor([0.45, 0.27, 0.18, 0.1, 0.5, 0.5, 0.8, 0.2], dtype=torch.float64) / 3
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


def test_with_labels_the_shares_are_those_of_each_label() -> None:
    x = rows(4000)
    table = TableRows(replace(EVENT, classes=2), 2)
    table.initialise(x, x[:, 1].long())
    for label in (0, 1):
        mine = x[x[:, 1] == label]
        found = 3 * table.condition(even(30_000), torch.full((30_000,), label)).double().mean(0)
        assert found[4 + label].item() == pytest.approx(1, abs=2e-3)
        assert found[7].item() == pytest.approx(mine[:, 3].isnan().double().mean().item(), abs=2e-3)
        assert found[0].item() == pytest.approx((mine[:, 0] == 0).double().mean().item(), abs=2e-3)


# Draws


def test_samples_have_the_probabilities_of_the_logits_and_a_temperature_is_their_power() -> None:
    table, n = TableRows(EVENT, 0), 40_000
    h = torch.randn(1, table.numbers.total, generator=torch.Generator().manual_seed(1)).expand(n, -1)
    u = torch.rand(n, table.choices.total, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    for temperature in (1.0, 0.5):
        x = table.rows(h, u, temperature)
        p = (h[0, :4] / temperature).softmax(0)
        for value, expected in zip((0.0, 1.0, 2.0), p, strict=False):
            assert (x[:, 0] == value).double().mean().item() == pytest.approx(expected.item(), abs=0.01)
        assert x[:, 0].isnan().double().mean().item() == pytest.approx(p[3].item(), abs=0.01)
        missing = torch.sigmoid(h[0, 8] / temperature).item()
        assert x[:, 3].isnan().double().mean().item() == pytest.approx(missing, abs=0.01)
    assert len(table.rows(h, u, 0.0).nan_to_num(-1).unique(dim=0)) == 1


def test_relaxed_rows_have_their_largest_place_where_the_sample_has_its_outcome() -> None:
    table = TableRows(EVENT, 0)
    generator = torch.Generator().manual_seed(0)
    h, u = torch.randn(500, table.numbers.total, generator=generator), torch.rand(500, 8, generator=generator)
    relaxed = table.generated(h, u)
    assert torch.equal(relaxed[:, :4].argmax(1), table.choices.outcomes(table.rows(h, u, 1.0))[:, 0])
    assert ((relaxed[:, :4].sum(1) - 1).abs() < 1e-5).all()
    torch.testing.assert_close(relaxed[:, 7], h[:, 7] * (1 - relaxed[:, 8]))
    assert torch.equal(relaxed[:, 6], h[:, 6])


@torch.no_grad()
@pytest.mark.parametrize("event", [EVENT, PLAIN, WITH_ATOMS], ids=["choices", "numbers alone", "atoms"])
def test_samples_are_what_the_types_allow_and_a_seed_gives_them_however_they_are_split(event: Event) -> None:
    gan = small(event).eval()
    x = gan.sample(300, generator=torch.Generator().manual_seed(1))
    assert x.dtype == torch.float32 and x.shape == (300, event.dimensions)
    for column, values in zip(event.columns or (), x.T, strict=True):
        there = values[~values.isnan()]
        assert column.gaps or len(there) == len(values)
        if column.levels is not None:
            assert (there == there.floor()).all() and there.min() >= 0 and there.max() < column.levels
    generator = torch.Generator().manual_seed(1)
    parts = torch.cat([gan.sample(n, generator=generator) for n in (1, 4, 2)])
    torch.testing.assert_close(parts, x[:7], equal_nan=True, atol=1e-4, rtol=1e-4)
    assert gan.features(x).isfinite().all()


@torch.no_grad()
def test_a_finished_model_is_built_again_from_its_json_and_weights() -> None:
    event = replace(EVENT, classes=2)
    gan = small(event, conditional=True)
    x = rows(200)
    gan.initialise(x, x[:, 1].long(), torch.Generator())
    again = small(Event.of(asdict(event)), conditional=True).eval()
    again.load_state_dict(load(save(dict(gan.state_dict()))))
    mine, other = (each.sample(50, generator=torch.Generator().manual_seed(0)) for each in (gan.eval(), again))
    assert torch.equal(mine.nan_to_num(-1), other.nan_to_num(-1))


# Training


def trained(gan: GAN, x: Tensor, steps: int, labels: Tensor | None = None) -> GAN:
    """A GAN after some steps, with the moving average of its weights."""
    generator, n = torch.Generator().manual_seed(0), 256
    gan.initialise(x, labels, generator)
    players = gan.players()
    betas = (gan.config.beta1, gan.config.beta2)
    optimisers = [torch.optim.Adam(player.module.parameters(), player.learning_rate, betas) for player in players]
    average = {key: value.clone() for key, value in gan.state_dict().items()}
    for step in range(steps):
        for player, optimiser in zip(players, optimisers, strict=True):
            gan.requires_grad_(False)
            player.module.requires_grad_(True)
            index = torch.randint(len(x), (n,), generator=generator)
            told = None if labels is None else labels[index]
            optimiser.zero_grad()
            player.loss(Batch(x[index], told, Noise(generator, n), torch.tensor(step))).backward()
            optimiser.step()
        for key, value in gan.state_dict().items():
            average[key].lerp_(value, max(0.02, 10 / (10 + step)))
    gan.load_state_dict(average)
    return gan.eval()


LEARNS = {"loss": "wasserstein", "gradient_penalty": 10.0, "hidden": [32, 32], "latent": 8, "beta2": 0.9}


def test_the_joint_distribution_is_learnt() -> None:
    """Shares of names and of gaps, integers, and how all depend on the second column."""
    x = rows(4000)
    gan = trained(small(LEARNT, learning_rate=2e-3, **LEARNS), x, 400)
    with torch.no_grad():
        made = gan.sample(4000, generator=torch.Generator().manual_seed(2))
    for value in (0.0, 1.0, 2.0):
        assert ((made[:, 0] == value).double().mean() - (x[:, 0] == value).double().mean()).abs() < 0.05
    for column in (0, 3):
        assert (made[:, column].isnan().double().mean() - x[:, column].isnan().double().mean()).abs() < 0.05
    assert abs(made[:, 3].nanmean() - 1) < 0.4 and 1.2 < made[~made[:, 3].isnan(), 3].std() < 2.8
    for few in (0, 1):
        real, fake = (each[each[:, 1] == few] for each in (x, made))
        assert len(fake) / len(made) == pytest.approx(len(real) / len(x), abs=0.05)
        assert (fake[:, 3].isnan().double().mean() - real[:, 3].isnan().double().mean()).abs() < 0.1
        assert ((fake[:, 0] == 1).double().mean() - (real[:, 0] == 1).double().mean()).abs() < 0.1
        assert ((fake[:, 2] == 0).double().mean() - (real[:, 2] == 0).double().mean()).abs() < 0.15
        assert (fake[:, 2].mean() - real[:, 2].mean()).abs() < 3


def test_what_is_rare_is_made_as_often_as_it_is_there() -> None:
    u = torch.rand(4000, 2, generator=torch.Generator().manual_seed(5))
    names = (u[:, 0] > 0.69).float() + (u[:, 0] > 0.99).float()
    x = torch.stack([names, names * 2 - 1 + torch.special.ndtri(u[:, 1].clamp(1e-4, 1 - 1e-4))], 1)
    event = Event((2,), None, columns=(RARE, Column(mean=-0.3, std=1.4)))
    gan = trained(small(event, learning_rate=2e-3, **LEARNS), x, 250)
    with torch.no_grad():
        made = gan.sample(8000, generator=torch.Generator().manual_seed(2))
    rare = made[made[:, 0] == 2, 1]
    assert 0.005 < len(rare) / len(made) < 0.02
    assert rare.mean().item() == pytest.approx(3, abs=1.0), "what goes with it is learnt, too"


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"loss": "hinge", "spectral_norm": True, "instance_noise": 0.1},
        {"loss": "least_squares", "r1": 1.0, "label_smoothing": 0.1},
        {"loss": "wasserstein", "weight_clip": 0.1},
        {"loss": "wasserstein", "gradient_penalty": 1.0, "conditional": True},
    ],
    ids=str,
)
def test_every_option_trains_every_weight(options: dict[str, Any]) -> None:
    gan = small(replace(EVENT, classes=2), **options)
    x = rows(64)
    gan.initialise(x, x[:, 1].long(), torch.Generator())
    if gan.discriminator.head.bias is not None:  # within ±1 the two slopes of the hinge cancel in it
        torch.nn.init.constant_(gan.discriminator.head.bias, 1.5)
    for player in gan.players():
        gan.zero_grad()
        player.loss(batch(labels=x[:, 1].long())).backward()
        assert all(w.grad is not None and w.grad.isfinite().all() and w.grad.any() for w in player.module.parameters())
    with torch.no_grad():
        measured = gan.eval().diagnostics(batch(labels=x[:, 1].long()))
    assert all(math.isfinite(value) for value in measured.values())


@pytest.mark.parametrize("architecture", ["dcgan", "residual"])
def test_architectures_of_images_are_refused(architecture: str) -> None:
    refused("gan", EVENT, "not a table of 4 typed columns; architecture: mlp makes any", architecture=architecture)


def test_rows_are_not_augmented() -> None:
    refused("gan", EVENT, "augment: true changes images of integers", architecture="mlp", augment=True)
